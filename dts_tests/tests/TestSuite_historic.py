# SPDX-License-Identifier: BSD-3-Clause
"""Pushing what was captured at some time: `push --once --from T --to T`, over the captures of a store.

The oracle for packets is editcap's -A and -B; the one for files and windows is a push of everything.
"""

import os
import signal
import subprocess

from api.test import verify
from framework import lua, oracle, pcap, run, traffic
from framework.faultfs import FaultFs
from framework.test_suite import TestSuite, func_test

START = 1767605400
SECOND = 1_000_000_000


class TestHistoric(TestSuite):
    """A range of time."""

    def set_up_suite(self) -> None:
        """One capture of five minutes, in a store as three captures that follow one another."""
        source = traffic.make_traffic(f"{self.suite_dir}/in.pcap", packets=20000, duration=300, seed=8, start=START)
        self.source = source
        self.packets = pcap.read_packets(source)
        self.store = f"{self.suite_dir}/store"
        for number, (begin, end) in enumerate(((0, 7000), (7000, 14000), (14000, 20000))):
            part = pcap.write_pcap(f"{self.suite_dir}/{number}.pcap", self.packets[begin:end])
            run.import_capture(self.store, part, capture=f"part{number}")
        self.edges = [self.packets[7000].ts, self.packets[14000].ts]

    def _push(self, name: str, *args: str, rc: int = 0, **fields: object) -> tuple[str, run.Result]:
        out = f"{self.dir}/{name}"
        target = lua.target("all", f"{out}/x", MinFree=0, **{"Split": "--split-time 60e9", **fields})
        config = lua.write_config(f"{self.dir}/{name}.lua", [target])
        return out, run.push_once(config, self.store, *args, rc=rc)

    def _got(self, out: str) -> list[pcap.Packet]:
        return pcap.read_packets(*(f"{out}/{name}" for name in run.list_files(out)))

    @func_test
    def test_packets(self) -> None:
        """The packets of a time, neither more nor fewer.

        **Steps:**
            * Push ranges within a capture, over the edges of captures, from before the first packet, to behind the last one,
              with only --from, with only --to, with whole seconds and with a packet's own nanoseconds.

        **Verify:**
            * The packets are those with from <= time < to; for whole seconds those of `editcap -A -B`.
            * Few chunks outside the range were read.
        """
        first, last = self.packets[0].ts, self.packets[-1].ts
        whole = [(START + 50, START + 200), (START + 61, START + 62), (START + 130, START + 131), (START - 9, START + 400)]
        ranges = [(a * SECOND, b * SECOND) for a, b in whole]
        ranges += [(self.edges[0], self.edges[1]), (self.edges[0] + 1, self.edges[1] + 1), (first, first + 1)]
        ranges += [(None, self.packets[100].ts), (last, None), (self.packets[13999].ts, None)]
        for number, (begin, end) in enumerate(ranges):
            args = ["--from", f"{begin // SECOND}.{begin % SECOND:09d}"] if begin is not None else []
            args += ["--to", f"{end // SECOND}.{end % SECOND:09d}"] if end is not None else []
            out, result = self._push(f"out{number}", *args)
            low, high = begin or 0, end or 1 << 63
            expected = [packet for packet in self.packets if low <= packet.ts < high]
            oracle.verify_same_packets(self._got(out), expected, " ".join(args))
            if number < len(whole):
                cut = f"{self.dir}/cut.pcap"
                run.run(["editcap", "-F", "nsecpcap", "-A", str(whole[number][0]), "-B", str(whole[number][1]), self.source, cut])
                verify(len(pcap.read_packets(cut)) == len(expected), f"editcap has {len(pcap.read_packets(cut))} packets")
            read = int(result.out.split("read: ")[1].split()[0])
            verify(read <= len(expected) + 6000, f"{read} packets were read for {len(expected)}\n{result.describe()}")

    @func_test
    def test_files(self) -> None:
        """Whole windows of a range are the files of a push of everything; EmptyFiles fills the range and no more.

        **Steps:**
            * Push everything, from a store that has it as one capture; push minutes 1 to 3 from the three captures.
            * The same with EmptyFiles and a filter that matches nothing.
            * With a state directory: push minute 1, then again; --capture part1.

        **Verify:**
            * The files of minutes 1 to 3 have the same names and bytes.
            * There are three empty files, of these minutes.
            * The second run adds nothing. With --capture only packets of that capture come.
        """
        run.import_capture(f"{self.dir}/one", self.source)
        target = lua.target("all", f"{self.dir}/whole/x", MinFree=0)
        run.push_once(lua.write_config(f"{self.dir}/whole.lua", [target]), f"{self.dir}/one")
        # The capture begins at half past, so minutes begin where the split does.
        args = ("--from", str(START + 60), "--to", str(START + 240))
        out, _ = self._push("range", *args)
        whole = run.read_tree(f"{self.dir}/whole")
        names = [name for name in whole if START + 60 <= int(name.split("_")[1].split("-")[0]) < START + 240]
        verify(len(names) == 3, f"the whole push made {sorted(whole)}")
        oracle.verify_same_tree(run.read_tree(out), {name: whole[name] for name in names})

        out, _ = self._push("empty", *args, EmptyFiles=True, FilterBPF="port 9 and port 10")
        tree = run.read_tree(out)
        verify(sorted(tree) == sorted(names), f"empty files: {sorted(tree)}, expected {sorted(names)}")
        verify(all(len(data) == 24 for data in tree.values()), "they are not empty")

        once = ("--from", str(START + 60), "--to", str(START + 120), "--state-dir", f"{self.dir}/state")
        for _ in range(2):
            out, _ = self._push("again", *once)
            verify(len(run.list_files(out)) == 1, f"files: {run.list_files(out)}")
        out, _ = self._push("capture", "--capture", "part1", "--from", str(START))
        oracle.verify_same_packets(self._got(out), self.packets[7000:14000], "--capture part1")

    @func_test
    def test_refused(self) -> None:
        """What makes no sense.

        **Steps:**
            * --from without --once, a text that is no time, --from behind --to, a time of which the store has nothing, a
              filter that the link type of an older capture does not know.

        **Verify:**
            * Exit 2 with the option and what to write; nothing is made. Of the time without packets it is said; exit 0.
        """
        config = lua.write_config(f"{self.dir}/c.lua", [lua.target("all", f"{self.dir}/out/x", MinFree=0)])
        for args, said in (
            (("--from", "1"), "--once"),
            (("--from", "1", "--capture", "part1"), "--once"),
            (("--once", "--from", "yesterday"), "--from yesterday"),
            (("--once", "--from", "20", "--to", "10"), "not before --to"),
        ):
            result = run.sluice("push", "--config", config, "--store", self.store, "--no-huge", *args, rc=2)
            verify(said in result.err, f"{args}\n{result.describe()}")
        result = run.push_once(config, self.store, "--from", "10", "--to", "20")
        verify("no packets of that time" in result.err, result.describe())

        store = f"{self.dir}/mixed"
        run.import_capture(store, pcap.write_pcap(f"{self.dir}/raw.pcap", self.packets[:10], linktype=101), capture="raw")
        run.import_capture(store, pcap.write_pcap(f"{self.dir}/eth.pcap", self.packets[10:20]), capture="eth")
        config = lua.write_config(f"{self.dir}/mac.lua", [lua.target("mac", f"{self.dir}/out/x", "ether src 1:2:3:4:5:6")])
        result = run.push_once(config, store, "--from", "1", rc=2)
        verify("mac.lua:" in result.err and "FilterBPF" in result.err, f"the filter is not named\n{result.describe()}")
        verify(not os.path.exists(f"{self.dir}/out"), "something was made")

    # ------------------------------------------------------------ beside a live push

    def _live(self, *fields: dict) -> tuple[run.Process, run.Process, str]:
        """A capture "live" of the whole source that is still open behind part0 to part2 of a store, and a push that follows it."""
        store = f"{self.dir}/store"
        subprocess.run(["cp", "-r", self.store, store], check=True)
        feeder = self.enter(run.Process([run.SLUICE, "import", "--store", store, "--capture", "live", "-"], stdin=subprocess.PIPE))
        with open(self.source, "rb") as file:
            self.blob = file.read()
        feeder.popen.stdin.write(self.blob[: len(self.blob) // 2])
        feeder.popen.stdin.flush()
        run.wait_until(lambda: os.path.exists(f"{store}/live/capture.json"), 60, "the live capture")
        target = lua.target("all", f"{self.dir}/live/x", MinFree=0)
        config = lua.write_config(f"{self.dir}/live.lua", [{**target, **dict(*fields)}], {"FollowStart": True})
        push = self.enter(run.push_start(config, store, "--state-dir", f"{self.dir}/live.state", "--log-dir", f"{self.dir}/live.log"))
        push.wait_until(lambda: run.list_files(f"{self.dir}/live", ".pcap"), 60, "the live push's first file")
        return feeder, push, store

    @func_test
    def test_beside_live(self) -> None:
        """Ranges are pushed while a live push runs, and neither knows of the other.

        **Steps:**
            * A live push follows a growing capture behind three older ones. Beside it, without --once: a range over the edges of
              the older ones; one of a single capture by --capture; a range of the live capture; the first one again with a state
              directory, killed in the middle and run again; once more with a range that lies before it.
            * End the live capture and the live push.

        **Verify:**
            * Each range's packets are those of the time, by tcpdump's capture cut with editcap, also after the kill; they have
              journals and logs of their own.
            * A state directory of a later range is refused, since nothing would be pushed.
            * The live push's files are those of a push that was alone.
        """
        feeder, live, store = self._live()
        wanted = [packet for packet in self.packets if START + 50 <= packet.ts / SECOND < START + 200]
        cut = f"{self.dir}/cut.pcap"
        run.run(["editcap", "-F", "nsecpcap", "-A", str(START + 50), "-B", str(START + 200), self.source, cut])
        oracle.verify_same_packets(pcap.read_packets(cut), wanted, "editcap")
        half = self._ranges(store, wanted)
        self._killed_range(store, wanted)

        feeder.popen.stdin.write(self.blob[len(self.blob) // 2 :])
        feeder.popen.stdin.close()
        feeder.wait(30)
        live.wait_until(lambda: len(run.list_files(f"{self.dir}/live", ".pcap")) >= 5, 60, "the last whole minute")
        result = live.stop(30)
        verify(result.err == "", result.describe())
        oracle.verify_same_packets(self._got(f"{self.dir}/live"), self.packets, "the live push")
        verify(half > 0, "the live capture's range was empty")

    def _ranges(self, store: str, wanted: list[pcap.Packet]) -> int:
        """Push ranges of the old captures and of the live one; packets of the latter."""
        span = ("--from", str(START + 50), "--to", str(START + 200))

        def push(name: str, *args: str) -> list[pcap.Packet]:
            config = lua.write_config(f"{self.dir}/{name}.lua", [lua.target("all", f"{self.dir}/{name}/x", MinFree=0)])
            logs = f"{self.dir}/{name}.log"
            state = f"{self.dir}/{name}.state"
            command = ("push", "--config", config, "--store", store, "--no-huge", "--state-dir", state, "--log-dir", logs)
            run.sluice(*command, *args)
            verify(os.path.exists(f"{state}/all.journal") and os.path.exists(f"{logs}/push_all.cur"), f"{name}: no journal or log")
            return self._got(f"{self.dir}/{name}")

        # Without --capture a time means every capture, so the live one gives its packets too; this capture repeats the old ones.
        live = push("inside", "--capture", "live", *span)
        verify(live == wanted[: len(live)] and len(live) > 100, f"{len(live)} packets of the live capture")
        both = push("old", *span)
        # The live capture comes last, so it finds the old ones' names taken; meanwhile more of it may be committed.
        more = sorted(wanted + wanted[: len(both) - len(wanted)], key=repr)
        verify(len(both) >= len(wanted) + len(live) and sorted(both, key=repr) == more, f"{len(both)} packets, {len(live)} of them live")
        one = push("one", "--capture", "part1", *span)
        oracle.verify_same_packets(one, [p for p in wanted if self.edges[0] <= p.ts < self.edges[1]], "part1")
        return len(live)

    def _killed_range(self, store: str, wanted: list[pcap.Packet]) -> None:
        """A range of part0 to part2 alone, killed while a second target can't write, and run again."""
        out = f"{self.dir}/killed"
        old = f"{self.dir}/old.store"
        subprocess.run(["cp", "-r", self.store, old], check=True)
        with open(f"{self.dir}/wall", "w", encoding="ascii"):
            pass
        bad = lua.target("bad", f"{self.dir}/wall/x", MinFree=0)
        config = lua.write_config(f"{self.dir}/killed.lua", [lua.target("all", f"{out}/x", MinFree=0), bad])
        args = ["push", "--config", config, "--store", old, "--no-huge", "--from", str(START + 50), "--to", str(START + 200)]
        args += ["--state-dir", f"{self.dir}/killed.state", "--log-dir", f"{self.dir}/killed.log"]
        with run.sluice_start(*args) as push:
            push.wait_until(lambda: run.list_files(out, ".pcap"), 60, "a file")
            push.signal(signal.SIGKILL)
            push.wait(10, rc=None)
        os.unlink(f"{self.dir}/wall")
        run.sluice(*args)
        oracle.verify_same_packets(self._got(out), wanted, "after a kill")
        oracle.verify_same_packets(self._got(f"{self.dir}/wall"), wanted, "the target that could not write before")
        earlier = [*args[: args.index("--from")], "--from", str(START), "--to", str(START + 2), *args[args.index("--state-dir") :]]
        result = run.sluice(*earlier, rc=1)
        verify('target "all"' in result.err and "another --state-dir" in result.err, result.describe())

    @func_test
    def test_claims(self) -> None:
        """A Path, a log and a state directory are one push's.

        **Steps:**
            * While a live push runs: push ranges to its Path; spelled otherwise; with its separator at the end; with the same log directory
              and Desc; with its state directory; with the null sink; another Path beside it in the same directory.
            * Two ranges with one Path, the first of which waits for a target that can't write.
            * Kill the live push, and push to its Path.

        **Verify:**
            * Exit 2 with target, Path and the process's number, and nothing is made: only the null sink and the other Path run.
            * The second range is refused while the first runs. What was killed holds nothing.
        """
        feeder, live, store = self._live()
        out = f"{self.dir}/live"
        span = ("--to", str(START + 60))

        def push(path: str, *args: str, desc: str = "all", rc: int = 0) -> run.Result:
            config = lua.write_config(f"{self.dir}/claim.lua", [lua.target(desc, path, MinFree=0)])
            return run.sluice("push", "--config", config, "--store", store, "--no-huge", *span, *args, rc=rc)

        for path in (f"{out}/x", f"{out}//./y/../x", f"{out}/x_"):
            result = push(path, rc=None)
            verify(result.rc == 2, f"{result.describe()}\nthe live push:\n{live.result().describe()}")
            verify(f"process {live.pid}" in result.err and f'"all": Path {path}' in result.err, result.describe())
        result = push(f"{self.dir}/other/x", "--log-dir", f"{self.dir}/live.log", rc=2)
        verify(f"process {live.pid}" in result.err and "--log-dir" in result.err, result.describe())
        result = push(f"{self.dir}/other/x", "--state-dir", f"{self.dir}/live.state", rc=1)
        verify("in use by another push" in result.err, result.describe())
        verify(not os.path.exists(f"{self.dir}/other"), "something was made")
        push(f"{out}/x", "--sink", "null")
        push(f"{out}/z", "--log-dir", f"{self.dir}/live.log", desc="z")
        verify(any(name.startswith("z_") for name in run.list_files(out)), "another Path beside it was not pushed to")

        wall = f"{self.dir}/wall"
        with open(wall, "w", encoding="ascii"):
            pass
        targets = [lua.target("bad", f"{wall}/x", MinFree=0), lua.target("good", f"{self.dir}/good/x", MinFree=0)]
        config = lua.write_config(f"{self.dir}/first.lua", targets)
        with run.sluice_start("push", "--config", config, "--store", store, "--no-huge", *span) as first:
            first.wait_until(lambda: run.list_files(f"{self.dir}/good", ".pcap"), 60, "the first range's file")
            result = push(f"{self.dir}/good/x", rc=2)
            verify(f"process {first.pid}" in result.err, result.describe())
            os.unlink(wall)
            first.wait(60)
        push(f"{self.dir}/good/x")

        live.kill()
        push(f"{out}/x")
        feeder.kill()

    @func_test
    def test_claims_places(self) -> None:
        """A directory is one directory, whatever it is called and from wherever a push looks at it.

        **Steps:**
            * While a live push runs: push ranges to its Path by a symbolic link to the directory, by links one after another, by one
              beside `..`, by a bind mount of it and of the directory above, from a network namespace, from a mount namespace, from both
              by a link; with its log directory by a link. To another prefix by the link.
            * Push to the live push's Path from a network namespace, and there once more from another one.
            * Push with a target on a FUSE mount whose calls hang, by a link, beside one with the live push's Path.

        **Verify:**
            * Exit 2 with the live push's process number, every time but for the other prefix. The one with a hanging target is refused, too, at once.
        """
        feeder, live, store = self._live()
        out, span = f"{self.dir}/live", ("--to", str(START + 60))
        for link, to in (("link", out), ("chain", "link"), ("above", self.dir), ("logs", f"{self.dir}/live.log")):
            os.symlink(to, f"{self.dir}/{link}")
        os.makedirs(f"{self.dir}/other/sub")
        os.symlink(f"{self.dir}/other/sub", f"{self.dir}/sub")
        bound = [(f"{self.dir}/bound", out), (f"{self.dir}/parent", self.dir)]
        for point, place in bound:
            os.mkdir(point)
            run.run(["mount", "--bind", place, point])
            self.on_tear_down(run.run, ["umount", "-l", point])

        def push(targets: list[dict], *args: str, inside: tuple[str, ...] = (), rc: int = 2) -> run.Result:
            config = lua.write_config(f"{self.dir}/claim.lua", targets)
            return run.run([*inside, run.SLUICE, "push", "--config", config, "--store", store, "--no-huge", *span, *args], rc=rc)

        def target(path: str) -> dict:
            return lua.target("all", path, MinFree=0)

        net, mounts = ("unshare", "--net"), ("unshare", "--mount")
        tries: list[tuple[str, tuple[str, ...]]] = [
            (f"{self.dir}/{name}/x", ())
            for name in ("link", "chain", "sub/../../live", "above/live", "./above//above/./link", "bound", "parent/live")
        ]
        tries += [(f"{out}/x", net), (f"{out}/x", mounts), (f"{self.dir}/link/x", (*net, *mounts)), (f"{self.dir}/bound/x", net)]
        for path, inside in tries:
            result = push([target(path)], inside=inside)
            verify(f"process {live.pid}" in result.err and f'"all": Path {path}' in result.err, f"{path} {inside}: {result.describe()}")
        result = push([target(f"{self.dir}/other/x")], "--log-dir", f"{self.dir}/logs")
        verify(f"process {live.pid}" in result.err and "--log-dir" in result.err, result.describe())
        result = push([target(f"{self.dir}/link/z")], rc=0)
        verify(any(name.startswith("z_") for name in run.list_files(out)), f"another Path beside it: {result.describe()}")

        faulty = self.enter(FaultFs(f"{self.dir}/backing", f"{self.dir}/faulty"))
        os.makedirs(f"{faulty.mount}/hung")
        os.symlink(f"{faulty.mount}/hung", f"{self.dir}/hung")
        self.on_tear_down(faulty.clear)
        for op in ("getattr", "readlink", "open"):
            faulty.rule(op, "*", hang=True)
        result = push([lua.target("hung", f"{self.dir}/hung/x", MinFree=0), target(f"{self.dir}/link/x")])
        verify(f"process {live.pid}" in result.err and result.seconds < 20, result.describe())
        faulty.clear()

        live.kill()
        wall = f"{self.dir}/wall"
        with open(wall, "w", encoding="ascii"):
            pass
        config = lua.write_config(f"{self.dir}/first.lua", [lua.target("bad", f"{wall}/x", MinFree=0), target(f"{out}/x")])
        command = [*net, run.SLUICE, "push", "--config", config, "--store", store, "--no-huge", *span]
        with run.Process(command) as first:
            first.wait_until(lambda: '"bad": mkdir' in first.err, 60, "a target that can't write")
            for inside in ((), net):
                result = push([target(f"{self.dir}/link/x")], inside=inside)
                verify(f"process {first.pid}" in result.err, result.describe())
            os.unlink(wall)
            first.wait(60)
