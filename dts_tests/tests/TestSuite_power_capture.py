# SPDX-License-Identifier: BSD-3-Clause
"""A power loss takes what was not fsynced: a live capture's store, its rolls and its retention, and the push behind it.

Store, state directory and output are on one file system (dts_tests/faultfs) that forgets; see TestSuite_power_loss.py. Each packet
has a number in it, so that what is there can be told from what was sent.

SLUICE_POWER_ROUNDS=N: so many times the rounds.
"""

import itertools
import os
import random
import re
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Iterator

from api.test import verify
from framework import lua, pcap, run, store, traffic
from framework.exception import TestCaseVerifyError
from framework.power import Machine
from framework.restart import COMMON, Push
from framework.run import SLUICE, Process
from framework.test_suite import TestSuite, func_test
from framework.wire import Wire

PARALLEL = 2
ROUNDS = int(os.environ.get("SLUICE_POWER_ROUNDS", "1"))
SENT = 8000 # before the loss, at the most
EARLY = 80 # changes while they start
AGAIN = 200 # after it
NUMBER = slice(42, 46) # of a frame: Ethernet, IPv4, UDP
BEGUN = "rename /store/.active.new /store/active"
SEED_SOME_ENTRIES = 472 # a disk that keeps about half of the changes of directories, in no order, and no data
SEED_ALL_ENTRIES = 39 # one that keeps all of them
RETAIN_NOTHING = "99" # percent to be kept free: each capture goes as soon as it is closed


def frame(number: int) -> bytes:
    """A frame that tells its number."""
    payload = struct.pack(">I", number) + bytes(40 + number % 900)
    return traffic.ether(traffic.udp("10.0.0.1", "10.0.0.2", 1000 + number % 7, 2000, payload))


def numbers(packets: list[pcap.Packet]) -> list[int]:
    """Numbers of packets that are what was sent."""
    found = [int.from_bytes(item.data[NUMBER], "big") for item in packets]
    bad = [number for number, item in zip(found, packets) if item.data != frame(number)]
    verify(not bad, f"packets that were never sent: {bad[:10]}")
    return found


class TestPowerCapture(TestSuite):
    """Losses of power under a live capture."""

    def set_up_suite(self) -> None:
        """What is sent."""
        self.first = self._file("first", range(SENT))
        self.second = self._file("second", range(SENT, SENT + AGAIN))
        self._number = itertools.count()

    def _file(self, name: str, which: range) -> str:
        packets = [pcap.packet(number * 1000000, frame(number)) for number in which]
        return pcap.write_pcap(f"{self.suite_dir}/{name}.pcap", packets)

    def _machine(self) -> Machine:
        return Machine(os.path.join(self.dir, f"machine{next(self._number)}"))

    def _in_parallel(self, function, jobs: list, workers: int = PARALLEL) -> list[str]:
        """What is wrong with each of the jobs; each has a wire of its own."""
        wire = Wire(self, pairs=len(jobs))
        with ThreadPoolExecutor(workers) as pool:
            done = pool.map(lambda pair: function(wire, pair, *jobs[pair]), range(len(jobs)))
            return [text for text in done if text]

    # ------------------------------------------------------------ what runs

    @staticmethod
    def _capture(machine: Machine, wire: Wire, pair: int, *options: str) -> Process:
        words = ["capture", "--store", machine.store, "--no-huge", "--port", f"b{pair}", "--flush-interval", "0.05"]
        return machine.start([*wire.inside, SLUICE, *words, *options])

    @contextmanager
    def _receiving(self, machine: Machine, wire: Wire, pair: int, *options: str) -> Iterator[Process]:
        """A capture whose port is open: that comes before its store."""
        before = machine.fs.log().count(BEGUN)
        with self._capture(machine, wire, pair, *options) as capture:
            verify(self._is_up(machine, capture, BEGUN, before + 1), "the power has gone")
            yield capture

    def _receive(self, machine: Machine, wire: Wire, pair: int, capture: Process) -> None:
        """Send AGAIN packets, until they are in the store."""
        before = store.count(machine.store)
        wire.send(self.second, pair, "--pps=2000")
        capture.wait_until(lambda: store.count(machine.store) >= before + AGAIN, 90, "all packets in the store")

    @staticmethod
    def _push(machine: Machine) -> Push:
        out = os.path.join(machine.disk, "out")
        targets = [
            lua.target("time", f"{out}/time/%H%M/x", **COMMON, MinFree=0, Split="--split-time 1e9"),
            lua.target("bytes", f"{out}/bytes/x", **COMMON, MinFree=0, Split="--split-byte 100e3"),
        ]
        return Push(machine.directory, machine.store, data=machine.disk, targets=targets)

    @staticmethod
    def _follow(machine: Machine, push: Push) -> Process:
        words = ["push", "--no-huge", "--config", push.config, "--store", machine.store]
        return machine.start([SLUICE, *words, "--state-dir", push.state, "--log-dir", push.log])

    @staticmethod
    def _is_up(machine: Machine, process: Process, done: str, count: int = 1) -> bool:
        """Whether so many lines of the log begin with what a program does last at its start, and the power is still there."""

        def seen() -> bool:
            # not the disk itself: that may hang by now
            return machine.fs.frozen() or sum(line.startswith(done) for line in machine.fs.log()) >= count

        process.wait_until(seen, 90, done)
        return not machine.fs.frozen()

    def _until_loss(self, machine: Machine, wire: Wire, pair: int, seed: int, options: tuple, skip: int) -> Push:
        """Capture and push until the power goes: before a change, or when all has been sent."""
        push = self._push(machine)
        if skip < EARLY:
            machine.fs.rule("change", freeze=True, skip=skip, times=1)
        with ExitStack() as stack:
            programs = [stack.enter_context(self._capture(machine, wire, pair, *options))]
            if self._is_up(machine, programs[0], BEGUN):
                programs.append(stack.enter_context(self._follow(machine, push)))
                # it begins where the capture is now: what is sent from here on is for it
                if self._is_up(machine, programs[1], "rename /state/", 2):
                    if skip >= EARLY:
                        machine.fs.rule("change", freeze=True, skip=skip - EARLY, times=1)
                    sender = stack.enter_context(wire.replay(self.first, pair, "--pps=2000"))
                    run.wait_until(lambda: machine.fs.frozen() or not sender.running(), 90, "the loss of power")
            machine.lose(seed, *programs)
        machine.fs.clear()
        return push

    def _again(self, machine: Machine, wire: Wire, pair: int) -> None:
        """Capture into the same store once more."""
        with self._receiving(machine, wire, pair, "--keep-free", "0") as capture:
            self._receive(machine, wire, pair, capture)
            capture.stop(60)
        listed = machine.run([SLUICE, "store", "ls", "--store", machine.store]).out
        verify(re.search(r"^\* \S+ +closed ", listed, re.MULTILINE), f"not closed:\n{listed}")

    # ------------------------------------------------------------ what is there

    @staticmethod
    def _listed(machine: Machine) -> dict[str, str]:
        """Captures that `store ls` shows, with their states; what the store's directory has besides is not for good."""
        out = machine.run([SLUICE, "store", "ls", "--store", machine.store]).out
        found = dict(re.findall(r"^[* ] (\S+) +(closed|open|unclean) ", out, re.MULTILINE))
        others = [name for name in os.listdir(machine.store) if name not in found and not name.startswith(".")]
        verify(sorted(found) == sorted(store.captures(machine.store)), out)
        verify(others in ([], ["active"]), f"in the store, and in no list: {others}\n{out}")
        verify(not others or os.path.isdir(f"{machine.store}/active"), "the link `active` leads nowhere")
        return found

    @staticmethod
    def _kept(machine: Machine, name: str, whole: bool) -> list[int]:
        """Numbers of a capture's packets, in order. whole: no chunk of it may be bad."""
        path = os.path.join(machine.directory, "kept.pcap")
        words = ["store", "export", "--store", machine.store, "--capture", name, "-o", path]
        result = machine.run([SLUICE, *words], rc=None)
        verify(result.rc == 0 or not whole, f"{name}: {result.describe()}")
        found = numbers(pcap.read_packets(path))
        verify(found == sorted(set(found)), f"{name}: out of order, or there twice")
        return found

    def _all_kept(self, machine: Machine, seed: int) -> dict[str, list[int]]:
        """Capture to packets; without a seed the first ones of each, and all of a closed one."""
        states = self._listed(machine) if os.path.isdir(machine.store) else {}
        kept = {name: self._kept(machine, name, not seed) for name in store.captures(machine.store)}
        after = 0
        for name, found in kept.items():
            info = machine.run([SLUICE, "store", "info", "--store", machine.store, name]).out
            if seed or not found or not re.search(r"^dropped: +0\b", info, re.MULTILINE):
                after = 0
                continue
            verify(found[-1] - found[0] + 1 == len(found), f"{name}: packets are missing between others")
            verify(after in (0, found[0]), f"{name} begins with packet {found[0]}; the last one was closed before {after}")
            after = found[-1] + 1 if states[name] == "closed" else 0
        return kept

    @staticmethod
    def _wrong_in_files(push: Push, before: dict[str, bytes], kept: list[int]) -> str:
        """Each packet of the store once in each target's files; what was published before the loss is as it was."""
        files = run.read_tree(push.out, ".pcap")
        wrong = "".join(f"changed: {name}\n" for name, data in before.items() if files.get(name) != data)
        for target in ("time", "bytes"):
            got = []
            for name, data in files.items():
                if name.startswith(f"{target}/"):
                    parsed = pcap.parse_pcap(data)
                    wrong += f"{name}: not whole\n" if parsed.trailing else ""
                    got += numbers(parsed.packets)
            if len(set(got)) != len(got) or not set(kept) <= set(got):
                missing = sorted(set(kept) - set(got))
                wrong += f"{target}: {len(got)} packets, {len(set(got))} different, {len(missing)} missing: {missing[:9]}\n"
        return wrong

    # ------------------------------------------------------------ at random

    def _round(self, wire: Wire, pair: int, turn: int, seed: int, keep_free: str) -> str:
        """Lose power once; go on; what is wrong then."""
        rng = random.Random(f"capture {turn} {seed} {keep_free}")
        skip = rng.randrange(EARLY) if turn % 4 == 0 else rng.randrange(EARLY, 900)
        where = f"power lost before change {skip}, seed {seed}, keep-free {keep_free}"
        with self._machine() as machine:
            push = self._until_loss(machine, wire, pair, seed, ("--roll", "1", "--keep-free", keep_free), skip)
            before = run.read_tree(push.out, ".pcap") if os.path.isdir(push.out) else {}
            try:
                kept = self._all_kept(machine, seed)
                self._again(machine, wire, pair)
                after = self._all_kept(machine, seed)
            except TestCaseVerifyError as error:
                return f"{where}:\n{error}"
            wrong = "".join(f"{name}: changed when it was sealed\n" for name in kept if kept[name] != after.get(name))
            result = machine.run(push.once_command(), rc=None)
            # what a random part of has survived may be a bad chunk, which is told of
            wrong += result.describe() if result.rc and not (seed and "passed over" in result.err) else ""
            wrong += self._wrong_in_files(push, before, list(itertools.chain(*after.values())))
        return f"{where}:\n{wrong}" if wrong else ""

    @func_test
    def test_capture(self) -> None:
        """Power goes while packets are captured, rolled, deleted and pushed.

        **Steps:**
            * Capture from a veth pair, a new capture each second, in half of the rounds with a retention that deletes each as soon as it
              is closed; a push with two targets follows. Lose power before a random change, in half of the rounds with a
              seed, in some while the programs start. Capture once more into the same store; push all to the end.

        **Verify:**
            * The store can be listed, ``active`` leads to a capture, nothing in it belongs to none. A capture that was closed has all of its
              packets, the others the first ones; with a seed some of them, each once and in order. Sealing changes nothing.
            * The other capture begins, takes all packets and is closed.
            * No file under a final name changes, each is whole, and each packet of the store is in each target's files once.
        """
        turns = range(2 * ROUNDS)
        jobs = [(turn, turn * 7919 if turn % 2 else 0, keep) for turn in turns for keep in ("0", RETAIN_NOTHING)]
        wrong = self._in_parallel(self._round, jobs)
        verify(not wrong, "\n".join(wrong))

    # ------------------------------------------------------------ every fsync is needed

    @staticmethod
    def _is_synced(machine: Machine) -> bool:
        """Whether the last of writes and syncs of the capture's segments is a sync."""
        ops = [line.split()[0] for line in machine.fs.log() if " /store/live/0" in line]
        return [op for op in ops if op in ("write", "fsync", "fdatasync")][-1:] in (["fsync"], ["fdatasync"])

    def _lose_running(self, wire: Wire, pair: int, machine: Machine) -> str:
        """Power goes when the store of a running capture has been synced: what came before that is there."""
        with self._receiving(machine, wire, pair, "--capture", "live", "--keep-free", "0") as capture:
            self._receive(machine, wire, pair, capture)
            capture.wait_until(lambda: self._is_synced(machine), 90, "a sync after the last chunk")
            machine.lose(0, capture)
        return "" if len(self._kept(machine, "live", True)) == AGAIN else "not all is there that was synced\n"

    def _lose_closed(self, wire: Wire, pair: int, machine: Machine) -> str:
        """Power goes when a capture has ended: it is whole, and closed."""
        with self._receiving(machine, wire, pair, "--capture", "live", "--keep-free", "0") as capture:
            self._receive(machine, wire, pair, capture)
            capture.stop(60)
        machine.lose()
        whole = self._listed(machine) == {"live": "closed"} and len(self._kept(machine, "live", True)) == AGAIN
        return "" if whole else "not closed, or not whole\n"

    def _capture_until(self, machine: Machine, wire: Wire, pair: int, text: str, name: str, keep_free: str) -> None:
        """Capture chunks of a packet or two until a line of the log begins with this, and stop."""
        options = ("--capture", name, "--keep-free", keep_free, "--flush-interval", "0.001")
        with self._receiving(machine, wire, pair, *options) as capture:
            # little at a time, for it is to end soon after
            for _ in range(200):
                wire.send(self.first, pair, "--pps=250", "--limit=40")
                if any(line.startswith(text) for line in machine.fs.log()):
                    break
            capture.stop(60)

    def _lose_ahead(self, wire: Wire, pair: int, machine: Machine) -> str:
        """Power goes when a capture has ended that had a segment made ahead: that takes no room any more."""
        self._capture_until(machine, wire, pair, "create /store/live/00000001.seg", "live", "0")
        verify("unlink /store/live/00000001.seg" in machine.fs.log(), "no segment was made ahead and removed")
        machine.lose()
        left = run.list_files(f"{machine.store}/live", ".seg")
        return "" if left == ["00000000.seg"] else f"segments: {left}\n"

    def _lose_gone(self, wire: Wire, pair: int, machine: Machine) -> str:
        """Power goes when retention has removed a capture: what is back of it is removed by the next one."""
        with self._receiving(machine, wire, pair, "--capture", "old", "--keep-free", "1") as capture:
            self._receive(machine, wire, pair, capture)
            capture.stop(60)
        options = ("--keep-free", RETAIN_NOTHING)
        with self._capture(machine, wire, pair, "--capture", "live", *options) as capture:
            capture.wait_until(lambda: "rmdir /store/.old.gone" in machine.fs.log(), 90, "the end of the old capture")
            machine.lose(SEED_SOME_ENTRIES, capture)
        self._listed(machine)
        with self._capture(machine, wire, pair, *options) as capture:
            capture.wait_until(lambda: len(os.listdir(machine.store)) <= 3, 90, "a store with one capture alone")
            capture.stop(60)
        return ""

    def _lose_first(self, wire: Wire, pair: int, machine: Machine) -> str:
        """Power goes when retention has removed one of two segments: nobody looks for what was in it."""
        self._capture_until(machine, wire, pair, "write /store/old/00000001.seg", "old", "1")
        rule = machine.fs.rule("unlink", "/store/old/00000001.seg", freeze=True, times=1)
        with self._capture(machine, wire, pair, "--capture", "live", "--keep-free", RETAIN_NOTHING) as capture:
            capture.wait_until(machine.fs.frozen, 90, "the second segment's turn")
            machine.lose(SEED_ALL_ENTRIES, capture)
        machine.fs.remove(rule)
        verify(run.list_files(f"{machine.store}/old", ".seg") == ["00000001.seg"], "not one segment is left")
        return "packets that retention had given up\n" if self._kept(machine, "old", True) else ""

    def _fsyncs(self) -> list:
        """What is left out: function that says what is wrong then, operation, path, how many before it."""
        segment, head = "/store/live/0*.seg", "/store/live/head"
        return [
            (self._lose_running, "fsyncdir", "/store/live", 0),
            (self._lose_running, "fsync", segment, 0),
            (self._lose_closed, "fsync", segment, 0),
            (self._lose_closed, "fsync", head, 0),
            (self._lose_ahead, "fsyncdir", "/store/live", 2),
            (self._lose_gone, "fsyncdir", "/store", 4),
            (self._lose_first, "fsync", "/store/old/head", 1),
        ]

    def _left_out(self, wire: Wire, pair: int, lose, *left_out: object) -> str:
        """Lose power with all fsyncs, or without one."""
        with self._machine() as machine:
            if left_out:
                op, path, skip = left_out
                machine.fs.rule(op, path, ignore=True, skip=skip)
            try:
                wrong = lose(wire, pair, machine)
            except TestCaseVerifyError as error:
                wrong = str(error)
        if left_out:
            return "" if wrong else f"{left_out}: left out, and nobody noticed\n"
        return f"{lose.__name__}: wrong although nothing was left out: {wrong}" if wrong else ""

    @func_test
    def test_removed_fsync_of_capture(self) -> None:
        """Each fsync of a live capture's writer and of its retention is needed, and this suite would see it if one were missing.

        Those that begin a capture are an import's: TestPowerLoss.

        **Steps:**
            * Lose power where one fsync alone keeps what is needed: when a running capture's store has been synced, when a capture has
              ended, when it has ended with a segment made ahead, when retention has removed a capture, and one of two segments. Once with
              all fsyncs, and once for each without it: the file system reports it as done and does nothing.

        **Verify:**
            * With all of them: what was synced is there; what has ended is closed and whole, and the segment made ahead takes no room;
              what was removed is no half capture, and the next retention removes what is back of it.
            * Without one something is wrong.
        """
        left_out = self._fsyncs()
        jobs = [*((lose,) for lose in dict.fromkeys(words[0] for words in left_out)), *left_out]
        # most of them wait
        wrong = self._in_parallel(self._left_out, jobs, 3 * PARALLEL)
        verify(not wrong, "\n".join(wrong))
