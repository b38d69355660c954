# SPDX-License-Identifier: BSD-3-Clause
"""A push behind a live capture: rolls, silence, how soon it sees what was committed, and what it costs when idle.

The oracles: a push of the same packets as one capture that is complete, and the kernel's account of CPU time.
"""

import os
import subprocess
import time

from api.test import verify
from framework import lua, oracle, pcap, run, traffic
from framework.run import SLUICE
from framework.test_suite import TestSuite, func_test

ROLLS = 5


class TestLive(TestSuite):
    """Follow."""

    def set_up_suite(self) -> None:
        """Ten minutes of traffic, and what one push makes of them as one capture."""
        self.capture = traffic.make_traffic(f"{self.suite_dir}/in.pcap", packets=30000, duration=600, seed=11)
        self.packets = pcap.read_packets(self.capture)
        self.reference = f"{self.suite_dir}/reference"
        store = f"{self.suite_dir}/store"
        run.import_capture(store, self.capture)
        run.push_once(lua.write_config(f"{self.suite_dir}/c.lua", self._targets(self.reference)), store)

    @staticmethod
    def _targets(out: str) -> list[dict]:
        shapes = {
            "minute": (None, "--split-time 60e9", {}),
            "bytes": ("udp", "--split-byte 150000", {}),
            "both": ("tcp", "--split-time 120e9 --split-byte 300000", {}),
            "rare": ("icmp and greater 900", "--split-time 10e9", {"EmptyFiles": True}),
            "day": (None, "--split-time 86400e9", {}),
        }
        return lua.shaped(f"{out}/{{}}/%H%M/x", shapes)

    def _args(self) -> tuple[str, ...]:
        return ("--state-dir", f"{self.dir}/state", "--log-dir", f"{self.dir}/log")

    @func_test
    def test_rolls(self) -> None:
        """A capture that rolls makes no file more, and none less.

        **Steps:**
            * Cut ten minutes of traffic into six captures within windows; import them one after the other into a store
              that a push follows; stop it; the same with a push --once behind all of them.

        **Verify:**
            * Names and bytes of all files are those of a push of one capture.
        """
        out, store = f"{self.dir}/out", f"{self.dir}/store"
        os.mkdir(store)
        config = lua.write_config(f"{self.dir}/c.lua", self._targets(out), {"FollowStart": True})
        size = len(self.packets) // (ROLLS + 1) + 1
        with run.push_start(config, store, *self._args()) as push:
            for i in range(ROLLS + 1):
                part = pcap.write_pcap(f"{self.dir}/part{i}.pcap", self.packets[i * size : (i + 1) * size])
                run.import_capture(store, part, capture=f"part{i}")
            minutes = len(run.list_files(f"{self.reference}/minute"))
            push.wait_until(
                lambda: len(run.list_files(f"{out}/minute", ".pcap")) == minutes - 1, 30, "all windows but the last"
            )
            push.stop(20)
        oracle.verify_same_tree(run.read_tree(out), run.read_tree(self.reference), "followed")
        again = f"{self.dir}/again"
        config = lua.write_config(f"{self.dir}/again.lua", self._targets(again))
        run.push_once(config, store, "--capture", "part5", rc=0)
        last = sum((pcap.read_packets(f"{again}/day/{name}") for name in run.list_files(f"{again}/day")), [])
        oracle.verify_same_packets(last, self.packets[ROLLS * size :], "the last capture alone")

    @func_test
    def test_roll_snap_length(self) -> None:
        """Another snap length cannot share a file.

        **Steps:**
            * Two captures of one minute, the second with snap length 96, follow each other in a store that is followed.

        **Verify:**
            * Two files, the second under _1, each with its capture's snap length as capinfos tells it; together they hold
              the packets of both, in order.
        """
        out, store = f"{self.dir}/out", f"{self.dir}/store"
        os.mkdir(store)
        start = 1_767_605_700_000_000_000
        first = [traffic.simple_udp(start + i * 1_000_000, 200, i) for i in range(500)]
        second = [traffic.simple_udp(start + 5_000_000_000 + i * 1_000_000, 80, i) for i in range(500)]
        target = lua.target("all", f"{out}/x", Split="--split-time 60e9", FileName="--filename-epoch-sec", MinFree=0)
        config = lua.write_config(f"{self.dir}/c.lua", [target], {"FollowStart": True})
        with run.push_start(config, store, *self._args()) as push:
            # Two captures have come and gone before the push looks again: it begins with the first all the same.
            run.import_capture(store, pcap.write_pcap(f"{self.dir}/a.pcap", first))
            run.import_capture(store, pcap.write_pcap(f"{self.dir}/b.pcap", second, snaplen=96))
            push.wait_until(lambda: run.list_files(out, ".pcap"), 60, "the first file")
            push.stop(20)
        names = run.list_files(out)
        verify(len(names) == 2 and names[1].endswith("_1.pcap"), f"files: {names}")
        for name, packets, length in ((names[0], first, None), (names[1], second, "96")):
            oracle.verify_same_packets(pcap.read_packets(f"{out}/{name}"), packets, name)
            told = next(text for key, text in oracle.capinfos(f"{out}/{name}").items() if "size limit" in key.lower())
            verify(length is None or length in told, f"{name}: capinfos says {told}")

    @func_test
    def test_silence(self) -> None:
        """Silence publishes, and costs nothing.

        **Steps:**
            * A live capture of 3 s, then silence with the capture still open; a push with windows of 1 s follows.

        **Verify:**
            * Each window of a target with packets, and of one whose packets ended earlier, is published within 2 s of the
              window's end by the clock (with 1 s more for a machine that is busy).
            * In 8 s of silence the push takes less than 1 percent of a CPU.
        """
        out, store = f"{self.dir}/out", f"{self.dir}/store"
        os.mkdir(store)
        split = {"Split": "--split-time 1e9", "FileName": "--filename-epoch-sec-startend", "MinFree": 0}
        targets = [lua.target("all", f"{out}/all", **split), lua.target("quiet", f"{out}/quiet", "udp port 53", **split)]
        config = lua.write_config(f"{self.dir}/c.lua", targets, {"FollowStart": True})
        words = [traffic.make_traffic_tool(), "--profile=realistic", "--live", "--duration=3", "--packets=3000", "-"]
        feeder = run.Process([SLUICE, "import", "--store", store, "-"], stdin=subprocess.PIPE)
        self.enter(feeder)
        with run.push_start(config, store, *self._args()) as push:
            with run.Process(words, stdout=feeder.popen.stdin) as maker:
                maker.wait(30)
            # The importer's standard input stays open here: the capture goes on in silence.
            time.sleep(4)
            before = run.cpu_seconds(push.pid)
            time.sleep(8)
            used = (run.cpu_seconds(push.pid) - before) / 8
            names = run.list_files(out, ".pcap")
            late = []
            for name in names:
                end = int(name.rpartition("-")[2].split(".")[0])
                # Of an inode whose working name was removed, the last step of publishing.
                delay = os.stat(f"{out}/{name}").st_ctime - end
                if delay > 3:
                    late.append((name, round(delay, 2)))
            verify(not run.list_files(out, ".pending"), f"still open: {run.list_files(out, '.pending')}")
            push.stop(20)
        verify(len(names) >= 6 and not late, f"published {names}, too late: {late}")
        verify(used < 0.01, f"{100 * used:.2f} percent of a CPU in silence")
