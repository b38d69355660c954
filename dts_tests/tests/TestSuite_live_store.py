# SPDX-License-Identifier: BSD-3-Clause
"""The store of a live capture: read from memory, killed, full, and old.

The oracles: the block device's own counters, the kernel's account of a process's reads, what `store export` says, and how
many packets were sent.
"""

import os
import re
import signal

from api.test import verify
from framework import fs, lua, oracle, pcap, run, telemetry, traffic
from framework.run import SLUICE, Process
from framework.store import captures, exported, verify_sound
from framework.test_suite import TestSuite, func_test
from framework.wire import Wire, received, told

MIB = 1 << 20
HEAD_NEWEST = 152  # docs/store_format.rst


def disk_reads(pid: int) -> int:
    """Bytes that a process has had read from disks."""
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        return int(re.search(r"^read_bytes: (\d+)$", file.read(), re.M).group(1))


class TestLiveStore(TestSuite):
    """A store that a live capture writes."""

    def set_up_suite(self) -> None:
        """Traffic to send."""
        self.file = traffic.make_traffic(f"{self.suite_dir}/in.pcap", packets=10000, duration=300, seed=18)
        self.bytes = os.path.getsize(self.file)

    def set_up_test_case(self) -> None:
        """A veth pair in a namespace of its own."""
        self.wire = Wire(self)

    def _send(self, *options: str) -> None:
        self.wire.send(self.file, 0, *options)

    def _disk(self, mib: int) -> fs.LoopFs:
        return self.enter(fs.LoopFs(f"{self.dir}/disk", mib * MIB))

    def _capture(self, store: str, *options: str) -> Process:
        words = [*self.wire.inside, SLUICE, "capture", "--store", store, "--no-huge", "--port", "b0", *options]
        process = self.enter(Process(words))
        told(process, 60)
        return process

    @staticmethod
    def _memory(store: str) -> str:
        """The file that the active capture's newest chunks are in."""
        with open(f"{store}/active/head", "rb") as file:
            name = file.read(168)[HEAD_NEWEST:].hex()
        return "/dev/shm/sluice-" + "-".join((name[:8], name[8:12], name[12:16], name[16:20], name[20:]))

    def _push(self, store: str, out: str) -> Process:
        target = lua.target("all", f"{out}/x", Split="--split-time 86400e9", MinFree=0)
        config = lua.write_config(f"{self.dir}/c.lua", [target], {"FollowStart": True})
        options = ("--state-dir", f"{self.dir}/state", "--log-dir", f"{self.dir}/log")
        return self.enter(run.push_start(config, store, *options))

    @staticmethod
    def _pushed(push: Process, count: int) -> None:
        def done() -> bool:
            told = telemetry.ask(push.pid, "/sluice/target,0")
            return bool(told) and told["packets"] >= count

        push.wait_until(done, 90, f"{count} packets pushed")

    def _exported(self, store: str) -> list[pcap.Packet]:
        """Packets of all captures in order; the store is sound."""
        verify_sound(store)
        return exported(store, self.dir)

    @func_test
    def test_no_disk(self) -> None:
        """A push that is up to date reads no disk.

        **Steps:**
            * A store on a file system of its own; a push follows a capture of which it has had the first packets; send
              10,000 more; then a push --once of the same, with nothing cached.

        **Verify:**
            * While it follows, its own account of bytes read stays, and the store's device is read for less than 2 percent of
              what was pushed: what the capture itself needs for the file system.
            * The other push reads all of it: the counters would have shown it.
            * The packets are those of the store.
        """
        disk = self._disk(600)
        store = f"{disk.path}/store"
        capture = self._capture(store, "--keep-free", "0", "--flush-interval", "0.05")
        push = self._push(store, f"{self.dir}/out")
        self._send("--pps=2000", "--limit=1000")
        self._pushed(push, 1000)
        before, sectors = disk_reads(push.pid), disk.sectors_read()
        self._send("--pps=5000")
        self._pushed(push, 11000)
        read, sectors = disk_reads(push.pid) - before, disk.sectors_read() - sectors
        push.stop(30)
        capture.stop(30)
        disk.drop_caches()
        cold = disk.sectors_read()
        target = lua.target("all", f"{self.dir}/again/x", Split="--split-time 86400e9", MinFree=0)
        run.push_once(lua.write_config(f"{self.dir}/again.lua", [target]), store)
        cold = disk.sectors_read() - cold
        verify(cold * 512 > self.bytes, f"the other push had {cold} sectors read: the case shows nothing")
        verify(read < 64 << 10, f"{read} bytes read from disks while it was up to date")
        verify(sectors * 512 < self.bytes // 50, f"{sectors} sectors read of the store's device")
        [name] = run.list_files(f"{self.dir}/out", ".pcap")
        pushed = pcap.read_packets(f"{self.dir}/out/{name}")
        oracle.verify_same_packets(pushed, self._exported(store), "pushed from memory")
        verify(len(pushed) == 11000, f"{len(pushed)} packets")

    @func_test
    def test_killed(self) -> None:
        """SIGKILL of the capture: what was committed is there, what it had in memory is removed by the next one.

        **Steps:**
            * SIGKILL a capture while tcpreplay sends; a push follows. Begin another capture, send again, stop both.

        **Verify:**
            * The killed one has memory in /dev/shm, not for everybody to read; with the next one, which has its own, it is gone,
              and with the end of that one its memory too.
            * The push has the packets of both captures, each once and in order.
        """
        store = f"{self.dir}/store"
        capture = self._capture(store, "--keep-free", "0", "--flush-interval", "0.05")
        first = self._memory(store)
        verify(os.path.exists(first), f"no {first}")
        verify(os.stat(first).st_mode & 0o7 == 0, f"mode {os.stat(first).st_mode:o}")
        push = self._push(store, f"{self.dir}/out")
        self._send("--pps=5000", "--limit=5000")
        sender = self.enter(self.wire.replay(self.file, 0, "--pps=5000"))
        self._pushed(push, 6000)
        capture.signal(signal.SIGKILL)
        capture.wait(30, rc=None)
        sender.wait(60)
        again = self._capture(store, "--keep-free", "0", "--flush-interval", "0.05")
        second = self._memory(store)
        verify(second != first and os.path.exists(second) and not os.path.exists(first), "memory of the two captures")
        self._send("--pps=5000")
        received(again, 10000)
        again.stop(30)
        verify(not os.path.exists(second), f"{second} is left")
        stored = self._exported(store)
        verify(len(stored) > 15000, f"{len(stored)} packets")
        self._pushed(push, len(stored))
        push.stop(30)
        names = run.list_files(f"{self.dir}/out", ".pcap")
        pushed = sum((pcap.read_packets(f"{self.dir}/out/{name}") for name in names), [])
        oracle.verify_same_packets(pushed, stored, "across a kill")

    @func_test
    def test_full_disk(self) -> None:
        """A full disk: losses are counted, and the capture goes on when there is room again.

        **Steps:**
            * A small file system with an import of 30 MiB; a capture that may delete nothing; send more than fits; remove the
              import; send again; stop.

        **Verify:**
            * The capture does not end. Packets stored and lost add up to what was sent, in the store as well; all are lost to
              the store, and `store info` says so.
            * The last packets sent are stored.
        """
        disk = self._disk(96)
        store = f"{disk.path}/store"
        big = traffic.make_traffic(f"{self.dir}/big.pcap", packets=40000, duration=300, seed=2)
        run.import_capture(store, big, capture="import")
        capture = self._capture(store, "--keep-free", "0", "--store-buffers", "4", "--capture", "live")
        sent = 0
        while told(capture)["store_slow"] < 1000:
            self._send("--pps=40000")
            sent += 10000
            received(capture, sent)
            verify(sent < 1000000, "the disk does not get full")
        run.run(["rm", "-r", f"{store}/import"])
        before = told(capture)["packets"]
        while told(capture)["packets"] < before + 10000:
            self._send("--pps=20000")
            sent += 10000
            received(capture, sent)
            verify(sent < 2000000, "it does not go on")
        result = capture.stop(60)
        info = run.sluice("store", "info", "--store", store, "live").out
        lost = oracle.summary_number(info, "dropped")
        stored = self._exported(store)
        verify(len(stored) + lost == sent, f"{len(stored)} stored, {lost} lost, {sent} sent\n{result.describe()}")
        verify(f"{lost} store too slow" in info, info)
        tail = pcap.read_packets(self.file)[-100:]
        verify([p.data for p in stored[-100:]] == [p.data for p in tail], "the last packets sent are not stored")

    @func_test
    def test_retention(self) -> None:
        """Old captures go, so that space stays free; an import stays; a push that was away sees a gap.

        **Steps:**
            * A small file system with an import; a capture that rolls every 8 MiB and keeps half of it free; a push that is
              stopped early; send several times what fits; let the push go on, until it has caught up.

        **Verify:**
            * Half is free, but for what comes within two seconds. The import is there, and of the captures the newest, without a hole
              in their sequence; all chunks are sound.
            * The push tells of a gap, and has the packets of what is left, in order.
        """
        disk = self._disk(160)
        store = f"{disk.path}/store"
        run.import_capture(store, self.file, capture="import")
        capture = self._capture(
            store, "--keep-free", "50", "--store-buffers", "8", "--roll-size", "8M", "--flush-interval", "0.2"
        )
        push = self._push(store, f"{self.dir}/out")
        self._send("--pps=20000")
        self._pushed(push, 10000)
        push.stop(30)
        sent = 10000
        for _ in range(16):
            self._send("--pps=20000")
            sent += 10000
            received(capture, sent)
        free = disk.free()
        push = self._push(store, f"{self.dir}/out")
        push.wait_until(lambda: (telemetry.ask(push.pid, "/sluice/target,0") or {}).get("gaps"), 60, "a gap")
        capture.stop(60)
        names = captures(store)
        stored = self._exported(store)
        last = stored[-1]
        push.wait_until(lambda: (telemetry.ask(push.pid, "/sluice/target,0") or {}).get("lag_chunks") == 0, 60, "no lag")
        push.stop(30)
        verify(free > disk.size * 0.25, f"{free} bytes are free")
        verify(names[0] == "import" and 3 <= len(names) < 14, f"captures: {names}")
        pushed = []
        for name in run.list_files(f"{self.dir}/out", ".pcap"):
            pushed += pcap.read_packets(f"{self.dir}/out/{name}")
        verify(pushed[-1] == last, "the last packet")
        left = stored[10000:]
        verify(pushed[-len(left) :] == left, f"{len(pushed)} pushed, {len(left)} left in the store")
