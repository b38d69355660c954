# SPDX-License-Identifier: BSD-3-Clause
"""The pipeline as a whole: many targets, any map of lcores, one read for all, following, several at a time.

The oracle for packets is tcpdump; the oracle for reads is the block device's own counter.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from contextlib import ExitStack
from typing import Any

import pytest
from api.test import verify
from framework import fs, lua, oracle, pcap, run, telemetry, traffic
from framework.test_suite import TestSuite, func_test

# Where EAL keeps its files, as its documentation says.

# Different programs; the targets go through them in turn.
FILTERS = [
    "",
    "tcp",
    "udp",
    "ip6",
    "arp or icmp",
    "port 53",
    "tcp port 443",
    "not host 192.168.1.7",
    "net 10.0.0.0/14 and udp",
    "vlan",
    "tcp[tcpflags] & tcp-syn != 0",
    "ether multicast",
    "greater 1000",
    "less 100",
    "ip[6:2] & 0x3fff != 0",
    "udp port 5001 and dst net 239.0.0.0/8",
    "ip proto 132 or ip proto 47",
    "tcp src port 80 or tcp src port 8080",
    "icmp6 or icmp",
    "host 192.168.1.3 and not port 22",
]

# (map, fewest CPUs): A and B stand for two CPUs of this machine.
MAPS = [
    "all@A",
    "reader+filter@A,writer@B",
    "reader@A,filter@A,writer@B",
    "reader@A,filter@B,filter@A,writer@B,writer@A",
    "reader@A,filter@A,filter@B,filter@A,filter@B,writer@B,writer@A,writer@B",
    "reader+filter+writer@A,filter+writer@B,filter@A",
]


class TestPushScale(TestSuite):
    """Scale and shape of the pipeline."""

    def set_up_suite(self) -> None:
        self.capture = traffic.make_traffic(
            self.suite_dir + "/in.pcap", packets=60000, duration=400, seed=11, disorder=2e6
        )
        self.store = self.suite_dir + "/store"
        run.import_capture(self.store, self.capture)
        self.expected: dict[str, list[pcap.Packet]] = {}

    def packets_of(self, expression: str) -> list[pcap.Packet]:
        """What tcpdump takes from the capture."""
        if expression not in self.expected:
            self.expected[expression] = oracle.tcpdump_filter(
                self.capture, expression, self.suite_dir + "/tcpdump.pcap"
            ).packets
        return self.expected[expression]

    @func_test
    @pytest.mark.parametrize("count", [1, 2, 32, 256])
    def test_targets(self, count: int) -> None:
        """1, 2, 32 and 256 targets in one push.

        **Steps:**
            * Push a capture to so many targets, with 20 different filters in turn, in files of 60 s.

        **Verify:**
            * Each target's files hold, in order, exactly what tcpdump takes with its filter.
            * The summary's packets are those of the files.
        """
        targets = [
            lua.target(f"t{i}", f"{self.dir}/out/t{i}/f", FILTERS[i % len(FILTERS)] or None) for i in range(count)
        ]
        for i in range(count):
            os.makedirs(f"{self.dir}/out/t{i}")
        result = run.push_once(lua.write_config(self.dir + "/c.lua", targets), self.store)
        rows = run.summary(result)
        verify(len(rows) == count, f"{len(rows)} rows for {count} targets\n{result.describe()}")
        for i in range(count):
            directory = f"{self.dir}/out/t{i}"
            got = pcap.read_packets(*(f"{directory}/{name}" for name in run.list_files(directory)))
            expression = FILTERS[i % len(FILTERS)]
            oracle.verify_same_packets(got, self.packets_of(expression), f"target t{i}, filter '{expression}'")
            verify(int(rows[f"t{i}"]["packets"]) == len(got), f"t{i}: summary {rows[f't{i}']}, files hold {len(got)}")

    @func_test
    def test_maps(self) -> None:
        """The same bytes whatever the lcores.

        **Steps:**
            * Push seven targets with time and byte splits under each of six maps, from all stages on one lcore to more
              lcores than CPUs, and under the map that sluice chooses.

        **Verify:**
            * Names and bytes of all files are equal.
        """
        cpus = sorted(os.sched_getaffinity(0))
        first = None
        for text in MAPS + [""]:
            out = f"{self.dir}/out"
            os.makedirs(out)
            targets = [
                lua.target("all", out + "/all"),
                lua.target("tcp", out + "/tcp", "tcp"),
                lua.target("bytes", out + "/bytes", None, Split="--split-byte 1e6"),
                lua.target("both", out + "/both", "udp", Split="--split-time 60e9 --split-byte 500000"),
                lua.target("dns", out + "/dns", "port 53", FileName="--filename-epoch-nsec"),
                lua.target("syn", out + "/syn", "tcp[tcpflags] & tcp-syn != 0", Split="--split-time 7e9"),
                lua.target("short", out + "/short", None, Slice=64),
            ]
            config = lua.write_config(self.dir + "/c.lua", targets)
            chosen = text.replace("@A", f"@{cpus[0]}").replace("@B", f"@{cpus[-1]}")
            run.push_once(config, self.store, *(["--map", chosen] if chosen else []))
            tree = run.read_tree(out)
            verify(len(tree) > 30, f"only {len(tree)} files")
            if first is None:
                first = tree
            oracle.verify_same_tree(tree, first, f"map '{chosen or 'chosen'}' against '{MAPS[0]}'")
            fs.remove_tree(out)

    @func_test
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("reader@0,filter@0", "writer"),
            ("reader@0,filter@0,writer@4095", "4095"),
            ("reader@0,reader@0,filter@0,writer@0", "reader"),
            ("reader@0,filtre@0,writer@0", "filtre"),
            ("reader", "reader"),
        ],
    )
    def test_bad_maps(self, text: str, said: str) -> None:
        """Maps that can't be.

        **Steps:**
            * Push with a map that lacks a stage, doubles the reader, names a CPU or a stage that is not there.

        **Verify:**
            * Exit status 2, the word at fault is named, no file is made.
        """
        config = lua.write_config(self.dir + "/c.lua", [lua.target("all", self.dir + "/out/all")])
        os.mkdir(self.dir + "/out")
        result = run.push_once(config, self.store, "--map", text, rc=2)
        verify(said in result.err, f"'{said}' not said\n{result.describe()}")
        verify(not run.list_files(self.dir + "/out"), "files in spite of it")

    @func_test
    def test_reads_once(self) -> None:
        """The store is read once however many targets there are.

        **Steps:**
            * A store of 64 MB on a loop device of its own. Unmount and mount it (no cache), push to one target, and read
              the device's counter of sectors read; the same for 32 targets.

        **Verify:**
            * 32 targets read at most 1.05 times what one reads, and one reads at least the packets' bytes.
        """
        capture = traffic.make_traffic(self.dir + "/big.pcap", bytes=64e6, seed=3)
        volume = self.enter(fs.LoopFs(self.dir, 256 << 20))
        run.import_capture(volume.path + "/store", capture)
        sectors = {}
        for count in (1, 32):
            out = f"{self.dir}/out{count}"
            os.makedirs(out)
            # Full copies only twice: what is measured is reading.
            filters = [None, "tcp"] + [f"port {port}" for port in range(50, 80)]
            targets = [lua.target(f"t{i}", f"{out}/t{i}", filters[i]) for i in range(count)]
            config = lua.write_config(f"{self.dir}/c{count}.lua", targets)
            volume.drop_caches()
            before = volume.sectors_read()
            run.push_once(config, volume.path + "/store")
            sectors[count] = volume.sectors_read() - before
        verify(sectors[1] * 512 >= 64e6, f"one target read {sectors[1]} sectors: fewer than the packets have")
        verify(sectors[32] <= 1.05 * sectors[1], f"sectors read: {sectors}")

    @func_test
    def test_null_sink(self) -> None:
        """The null sink does the same work on the same bytes.

        **Steps:**
            * Push with --sink null,crc and with files.

        **Verify:**
            * No file from the null sink; packets, bytes and CRC-32 it prints are those of the files' records.
        """
        out = self.dir + "/out"
        os.makedirs(out)
        targets = [
            lua.target(f"t{i}", f"{out}/t{i}", text or None, FileName="--filename-epoch-nsec")
            for i, text in enumerate(FILTERS[:8])
        ]
        config = lua.write_config(self.dir + "/c.lua", targets)
        null = run.summary(run.push_once(config, self.store, "--sink", "null,crc"))
        verify(not run.list_files(out), "the null sink made files")
        run.push_once(config, self.store)
        for i in range(len(targets)):
            crc = size = packets = 0
            for name in run.list_files(out):
                if not name.startswith(f"t{i}_"):
                    continue
                with open(f"{out}/{name}", "rb") as file:
                    blob = file.read()
                packets += len(pcap.parse_pcap(blob).packets)
                size += len(blob) - 24
                crc = zlib.crc32(blob[24:], crc)
            row = null[f"t{i}"]
            got = (int(row["packets"]), int(row["bytes"]), int(row["crc-32"], 16))
            verify(got == (packets, size, crc), f"t{i}: null sink {got}, files {(packets, size, crc)}")

    @func_test
    def test_following(self) -> None:
        """From a live tcpdump to published windows.

        **Steps:**
            * In a network namespace: tcpdump -U -w - | tee | sluice import --store S -, and sluice push following with
              windows of 1 s: all packets, a busy filter, a filter that matches only in the first second.
            * Send datagrams for five seconds, then be silent.

        **Verify:**
            * While it runs, windows of the quiet target come out too, and after the silence nothing stays pending.
            * SIGTERM ends import and push with status 0, and every packet that tcpdump saw is published.
        """
        out, store, tee = self.dir + "/out", self.dir + "/store", self.dir + "/tee.pcap"
        os.makedirs(out)
        config = lua.write_config(
            self.dir + "/c.lua",
            [
                lua.target(name, f"{out}/{name}", text, Split="--split-time 1e9", FileName="--filename-epoch-nsec")
                for name, text in (("all", None), ("busy", "udp port 7001"), ("quiet", "udp port 7002"))
            ],
            {"FollowStart": True},
        )
        namespace = self.enter(fs.netns())
        inside = fs.in_netns(namespace)
        with ExitStack() as stack:
            dump = stack.enter_context(
                run.Process(inside + ["tcpdump", "--nano", "-U", "-i", "lo", "-w", "-", "udp"], stdout=subprocess.PIPE)
            )
            copy = stack.enter_context(run.Process(["tee", tee], stdin=dump.popen.stdout, stdout=subprocess.PIPE))
            importer = stack.enter_context(
                run.sluice_start("import", "--store", store, "-", stdin=copy.popen.stdout)
            )
            dump.popen.stdout.close()
            copy.popen.stdout.close()
            dump.wait_until(lambda: "listening on" in dump.err, 20, "tcpdump listening")
            importer.wait_until(lambda: os.path.lexists(store + "/active"), 20, "an active capture")
            push = stack.enter_context(
                run.push_start(config, store, "--state-dir", self.dir + "/state", "--log-dir", self.dir + "/log")
            )
            sender = stack.enter_context(run.Process(inside + [sys.executable, "-c", SENDER], stdout=subprocess.PIPE))
            push.wait_until(lambda: any(n.startswith("quiet_") for n in published(out)), 15, "a quiet target's window")
            verify(sender.running(), "the quiet target's window came out only after all packets were sent")
            sender.wait(30)
            push.wait_until(
                lambda: published(out) and not pending(out), 15, "all windows published while nothing is sent"
            )
            importer.signal(signal.SIGTERM)
            importer.wait(20)
            push.stop(20)
            dump.signal(signal.SIGTERM)
            dump.wait(20, rc=None)
            copy.wait(20, rc=None)
        expected = pcap.read_pcap(tee).packets
        verify(len(expected) > 1000, f"tcpdump saw only {len(expected)} packets")
        verify(not pending(out), f"left over: {pending(out)}")
        for name, port in (("all", None), ("busy", 7001), ("quiet", 7002)):
            files = [f"{out}/{file}" for file in published(out) if file.startswith(name + "_")]
            want = [p for p in expected if port is None or int.from_bytes(p.data[36:38], "big") == port]
            oracle.verify_same_packets(pcap.read_packets(*files), want, f"target {name}")
            verify(len(files) >= (1 if name == "quiet" else 4), f"target {name}: only {len(files)} files")

    @func_test
    def test_side_by_side(self) -> None:
        """Several DPDK programs on one machine.

        **Steps:**
            * Start two following pushes, dpdk-testpmd, and a push without hugepages, at the same time; hugepages are
              reserved where this machine has any to give.

        **Verify:**
            * All of them run together, each push publishes the same bytes, and each ends with status 0.
        """
        self.reserve_hugepages(300)
        with ExitStack() as stack:
            testpmd = stack.enter_context(
                run.Process(
                    ["dpdk-testpmd", "--no-huge", "-m", "256", "--no-pci", "--vdev=net_null0", "--file-prefix=other"]
                    + ["-l", ",".join(map(str, sorted(os.sched_getaffinity(0))[:2])), "--", "--stats-period=1"]
                    + ["--total-num-mbufs=4096"],
                    stdin=subprocess.PIPE,
                )
            )
            pushes = []
            for i, no_huge in enumerate((False, False, True)):
                out = f"{self.dir}/out{i}"
                os.makedirs(out)
                config = lua.write_config(
                    f"{self.dir}/c{i}.lua", [lua.target("a", out + "/a"), lua.target("b", out + "/b", "tcp")],
                    {"FollowStart": True},
                )
                push = run.push_start(
                    config, self.store, "--state-dir", f"{self.dir}/state{i}", "--log-dir", f"{self.dir}/log{i}",
                    no_huge=no_huge,
                )
                pushes.append((stack.enter_context(push), out))
            for push, out in pushes:
                push.wait_until(lambda out=out: len(published(out)) >= 12, 40, "six windows of each target")
            verify(testpmd.running(), f"testpmd ended\n{testpmd.result().describe()}")
            verify(all(push.running() for push, _ in pushes), "a push ended by itself")
            for push, _ in pushes:
                push.stop(30)
            testpmd.signal(signal.SIGINT)
            testpmd.wait(20, rc=None)
        trees = [run.read_tree(out) for _, out in pushes]
        for tree in trees:
            oracle.verify_same_tree(tree, trees[0], "pushes side by side")
        names = sorted(name for name in trees[0] if name.startswith("a_"))
        got = [p for name in names for p in pcap.parse_pcap(trees[0][name]).packets]
        oracle.verify_same_packets(got, self.packets_of(""), "all packets")

    def reserve_hugepages(self, pages: int) -> None:
        """Have so many free 2 MiB hugepages until the test case ends, if the kernel gives them."""
        pool = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
        if not os.access(pool, os.W_OK):
            return
        with open(pool, encoding="ascii") as file:
            before = file.read()

        def write(text: str) -> None:
            with open(pool, "w", encoding="ascii") as file:
                file.write(text)

        write(str(int(before) + pages))
        self.on_tear_down(write, before)

    @func_test
    def test_nothing_left_behind(self) -> None:
        """A push leaves no hugepage files or runtime directories behind, even if it is killed.

        **Steps:**
            * With hugepages where there are any, and without: push --once, and kill a following push by SIGKILL.

        **Verify:**
            * As many hugepages are free as before, and no file of sluice is in /dev/hugepages.
            * Nothing is added to EAL's runtime directory, of which this case has its own; one that was killed may leave its
              telemetry socket there, which the next push takes over.
        """
        self.reserve_hugepages(200)
        # short: the name of a socket has 107 characters at most
        runtime = tempfile.mkdtemp(prefix="sluice-run-")
        self.on_tear_down(shutil.rmtree, runtime)
        env = {"RUNTIME_DIRECTORY": runtime}

        def free() -> int:
            with open("/proc/meminfo", encoding="ascii") as file:
                return int(re.search(r"HugePages_Free: +(\d+)", file.read()).group(1))

        os.makedirs(self.dir + "/out")
        config = lua.write_config(
            self.dir + "/c.lua", [lua.target("all", self.dir + "/out/all")], {"FollowStart": True}
        )
        before = free()

        def left() -> list[str]:
            return run.list_files(runtime)

        for no_huge in (False, True):
            run.push_once(config, self.store, no_huge=no_huge, env=env)
            verify(not left(), f"left in {runtime}: {left()}")
            out = f"{self.dir}/out"
            shutil.rmtree(out)
            os.makedirs(out)
            state = ["--state-dir", f"{self.dir}/state{no_huge}", "--log-dir", self.dir + "/log"]
            with run.push_start(config, self.store, *state, no_huge=no_huge, env=env) as push:
                push.wait_until(lambda: len(published(self.dir + "/out")) > 3, 30, "published files")
                push.signal(signal.SIGKILL)
                push.wait(10, rc=None)
            verify(all("dpdk_telemetry" in name for name in left()), f"left in {runtime}: {left()}")
        run.push_once(config, self.store, env=env)
        # Other suites may hold some for a moment; what is left behind would never come back.
        deadline = time.monotonic() + 30
        while free() < before and time.monotonic() < deadline:
            time.sleep(0.2)
        verify(free() >= before, f"{before} hugepages were free before, {free()} are now")
        stray = [n for n in (os.listdir("/dev/hugepages") if os.path.isdir("/dev/hugepages") else []) if "sl" in n]
        verify(not stray, f"left in /dev/hugepages: {stray}")
        verify(not left(), f"left in {runtime}: {left()}")

    @func_test
    def test_telemetry(self) -> None:
        """DPDK's telemetry socket tells what each stage has cost, while the push runs.

        **Steps:**
            * Let a push follow a capture; ask it for /sluice/stages, /sluice/lcores, /sluice/targets and /sluice/target,N as
              dpdk-telemetry.py does.

        **Verify:**
            * Packets are those that tcpdump counts; of reader, filter and writer each was busy for some time, which is no more
              than has passed; targets have their names and packets; one that is not there has no answer.
        """
        os.makedirs(self.dir + "/out")
        targets = [lua.target("a", self.dir + "/out/a"), lua.target("b", self.dir + "/out/b", "tcp")]
        config = lua.write_config(self.dir + "/c.lua", targets, {"FollowStart": True})
        packets = [len(self.packets_of("")), len(self.packets_of("tcp"))]
        start = time.monotonic_ns()
        state = ["--state-dir", self.dir + "/state", "--log-dir", self.dir + "/log"]
        with run.push_start(config, self.store, *state, no_huge=True) as push:

            def ask(command: str) -> Any:
                return telemetry.ask(push.pid, command)

            push.wait_until(
                lambda: (ask("/sluice/target,1") or {}).get("packets") == packets[1], 30, "all packets in telemetry"
            )
            stages, lcores = ask("/sluice/stages"), ask("/sluice/lcores")
            passed = time.monotonic_ns() - start
            verify(ask("/sluice/targets") == ["a", "b"], f"targets: {ask('/sluice/targets')}")
            for i, target in enumerate(targets):
                told = ask(f"/sluice/target,{i}")
                want = (target["Desc"], packets[i])
                verify((told["desc"], told["packets"]) == want, f"target {i}: {told}, expected {want}")
            verify(ask("/sluice/target,2") is None, "there is no target 2")
            push.stop(30)
        verify(stages["packets"] == packets[0], f"{stages}, expected {packets[0]} packets")
        for stage in ("reader", "filter", "writer"):
            busy, most = stages[stage + "/busy_ns"], passed * stages[stage + "/lcores"]
            verify(0 < busy <= most, f"{stage} was busy for {busy} of {most} ns: {stages}")
            mean = busy / packets[0] * 1000
            verify(abs(stages[stage + "/ps_per_packet"] - mean) <= 1 + mean / 100, f"{stage}: {stages}")
        verify(sum(1 for key in lcores if key.endswith("/busy_cycles")) >= 1, f"lcores: {lcores}")


SENDER = """
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
start = time.time()
n = 0
while time.time() - start < 5:
    n += 1
    s.sendto(b"x" * (n % 900), ("127.0.0.1", 7001 if n % 3 else 7003))
    if time.time() - start < 0.5:
        s.sendto(b"quiet", ("127.0.0.1", 7002))
    time.sleep(0.002)
"""


def published(directory: str) -> list[str]:
    """Names of finished files."""
    return run.list_files(directory, ".pcap")


def pending(directory: str) -> list[str]:
    """Names of working files."""
    return run.list_files(directory, ".pending")
