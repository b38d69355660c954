# SPDX-License-Identifier: BSD-3-Clause
"""Targets whose endpoint hangs, crawls, fails or is full, beside targets that are well.

The endpoint is faultfs (dts_tests/faultfs). What must be in the files in the end is what a push writes that nothing
disturbs, and that is what tcpdump writes of the same capture.
"""

import errno
import os
import re
import shutil
import statistics
import subprocess
import time

import pytest
from api.test import log, verify, write_performance_json
from framework import fs, lua, oracle, pcap, run, telemetry, traffic
from framework.faultfs import FaultFs
from framework.test_suite import TestSuite, func_test, perf_test

FIELDS = {"FileName": "--filename-epoch-nsec", "Split": "--split-byte 1e6", "MinFree": 0, "FollowStart": True}
# Few small blocks: a target that cannot write has no room after half a megabyte, as others after their megabytes.
SMALL = {"SLUICE_WRITE_BLOCKS": "65536x6"}
HANGS = ["create", "mkdir", "fallocate", "write", "truncate", "fsync", "fsyncdir", "link", "unlink"]


class TestIsolation(TestSuite):
    """A target's trouble is that target's alone."""

    def set_up_suite(self) -> None:
        capture = traffic.make_traffic(os.path.join(self.suite_dir, "capture.pcap"), packets=16000, seed=11)
        self.packets = oracle.tcpdump_filter(capture, "", os.path.join(self.suite_dir, "tcpdump.pcap")).packets
        self.store = os.path.join(self.suite_dir, "store")
        run.import_capture(self.store, capture)
        out = os.path.join(self.suite_dir, "undisturbed")
        os.mkdir(out)
        config = lua.write_config(os.path.join(self.suite_dir, "c.lua"), [lua.target("all", out + "/x", **FIELDS)])
        run.push_once(config, self.store)
        self.expected = run.read_tree(out)
        paths = [os.path.join(out, name) for name in sorted(self.expected)]
        oracle.verify_same_packets(pcap.read_packets(*paths), self.packets, "undisturbed")

    def set_up_test_case(self) -> None:
        self.faulty = self.enter(FaultFs(os.path.join(self.dir, "backing"), os.path.join(self.dir, "faulty")))
        self.plain = os.path.join(self.dir, "plain")
        self.state = os.path.join(self.dir, "state")
        self.logs = os.path.join(self.dir, "log")

    # ------------------------------------------------------------ helpers

    def _config(self, bad: list[str], good: int = 2, **fields: object) -> str:
        """Targets on the faulty file system, and good ones: the first of these lies there, too."""
        names = list(bad)
        targets = [lua.target(name, f"{self._out(name)}/x", **{**FIELDS, **fields}) for name in bad]
        for i in range(good):
            targets.append(lua.target(f"good{i}", f"{self._out(f'good{i}')}/x", **{**FIELDS, **fields}))
            names.append(f"good{i}")
        for name in names:
            os.makedirs(os.path.dirname(self._out(name)) if name == "mkdir" else self._out(name), exist_ok=True)
        return lua.write_config(os.path.join(self.dir, "push.lua"), targets)

    def _out(self, name: str) -> str:
        """A target's directory, or for mkdir the one that it is to make."""
        if name.startswith("good") and name != "good0":
            return os.path.join(self.plain, name)
        below = "mkdir/below" if name == "mkdir" else name
        return os.path.join(self.faulty.mount, below)

    def _push(self, config: str, *args: str) -> run.Process:
        args = ("--state-dir", self.state, "--log-dir", self.logs, *args)
        return self._start(config, self.store, *args)

    def _start(self, config: str, store: str, *args: str) -> run.Process:
        push = self.enter(run.push_start(config, store, *args, env=SMALL))
        # a process whose system calls hang in FUSE cannot even be killed
        self.on_tear_down(self.faulty.clear)
        return push

    def _complete(self, *names: str) -> bool:
        return all(run.list_files(self._out(name)) == sorted(self.expected) for name in names)

    def _verify_exact(self, *names: str) -> None:
        for name in names:
            oracle.verify_same_tree(run.read_tree(self._out(name)), self.expected, name)

    def _log(self, name: str) -> str:
        texts = []
        for path in sorted(run.list_files(self.logs)):
            if re.match(rf"push_{name}_\d", os.path.basename(path)):
                with open(os.path.join(self.logs, path), encoding="utf-8") as file:
                    texts.append(file.read())
        return "".join(texts)

    @staticmethod
    def _ask(push: run.Process, number: int) -> dict:
        told = telemetry.ask(push.pid, f"/sluice/target,{number}")
        verify(told is not None, f"no answer about target {number}\n{push.result().describe()}")
        return told

    @staticmethod
    def _parked(text: str, name: str) -> bool:
        return f'target "{name}": parked after' in text

    # ------------------------------------------------------------ hangs

    @func_test
    def test_hangs(self) -> None:
        """Nine targets of one mount, each of which hangs in another operation.

        **Steps:**
            * Rules let create, mkdir, fallocate, write, truncate, fsync, fsyncdir, link and unlink hang, each below a directory of
              its own. Push --once to these, to a good target on the same mount and to one on another file system.
            * When both good ones are complete, let go of what hangs.

        **Verify:**
            * The good ones are complete while all nine hang, and are not parked; telemetry says so.
            * Each of the nine is said to be parked, in the program's and in its own log, with the time; later that it runs
              again and has caught up. The summary counts the time.
            * The push ends with 0; all files are those of an undisturbed run.
        """
        for op in HANGS:
            # an fsync of a directory goes by the directory's name
            self.faulty.rule(op, "/fsyncdir" if op == "fsyncdir" else f"/{op}/*", hang=True)
        push = self._push(self._config(HANGS), "--once")
        push.wait_until(lambda: self._complete("good0", "good1"), 40, "the good targets")
        push.wait_until(lambda: all(self._parked(push.err, op) for op in HANGS), 20, "all are parked")
        hung = {line.split()[0] for line in self.faulty.waiting()}
        verify(hung == set(HANGS), f"hang: {sorted(hung)}")
        for i, name in enumerate([*HANGS, "good0", "good1"]):
            told = self._ask(push, i)
            is_bad = name in HANGS
            want = (name, int(is_bad), is_bad)
            verify((told["desc"], told["parked"], told["parks"] > 0) == want, f"{told}, expected {want}")
        self.faulty.clear()
        result = push.wait(60)
        self._verify_exact("good0", "good1", *HANGS)
        verify(not self._parked(result.err, "good0") and not self._parked(result.err, "good1"), result.describe())
        for op in HANGS:
            text = self._log(op)
            for words in (r"parked after 2\.\d s without a completed write", r"runs again after", r"caught up after"):
                verify(re.search(words, text) is not None, f"{op}: not in its log: {words}\n{text}")
            verify(re.search(rf'target "{op}": parked \d+ time', result.out) is not None, result.describe())

    @func_test
    def test_stop_while_it_hangs(self) -> None:
        """SIGTERM while a target hangs.

        **Steps:**
            * Follow with a target whose writes hang and two good ones; SIGTERM with --stop-timeout 2 once it is parked.
            * Let go of what hangs; push --once.

        **Verify:**
            * Within the time the push says what it could not end; a process whose system calls hang cannot disappear, so
              its end is waited for after they were let go. Exit 1.
            * The good ones are published. The second push leaves all packets once, in order, with every target.
        """
        self.faulty.rule("write", "/bad/*", hang=True)
        config = self._config(["bad"], Split="--split-time 86400e9")
        push = self._push(config, "--stop-timeout", "2")
        push.wait_until(lambda: self._parked(push.err, "bad"), 30, "the target is parked")
        push.popen.terminate()
        push.wait_until(lambda: re.search(r'sluice push: .*("bad"|--stop-timeout)', push.err), 20, "what it could not end")
        self.faulty.clear()
        push.wait(30, rc=1)
        run.push_once(config, self.store, "--state-dir", self.state)
        for name in ("bad", "good0", "good1"):
            names = run.list_files(self._out(name))
            verify(names != [] and all(one.endswith(".pcap") for one in names), f"{name}: {names}")
            paths = [os.path.join(self._out(name), one) for one in names]
            paths.sort(key=lambda path: pcap.read_packets(path)[0].ts)
            oracle.verify_same_packets(pcap.read_packets(*paths), self.packets, name)

    @func_test
    def test_hung_writes_are_not_polled(self) -> None:
        """A target whose writes hang costs no CPU.

        **Steps:**
            * Follow with a target whose writes hang and two good ones. When it is parked and the good ones are through, count
              how often the lcores give their CPU away within 3 s. Let go.

        **Verify:**
            * Less than 300 times a second: an lcore that asks for completions in turns of 50 us does so many thousand times.
            * The target runs again and has what the others have.
        """
        self.faulty.rule("write", "/bad/*", hang=True)
        push = self._push(self._config(["bad"]))
        push.wait_until(lambda: self._parked(push.err, "bad"), 30, "the target is parked")
        for name in ("good0", "good1"):
            push.wait_until(lambda: len(run.list_files(self._out(name), ".pcap")) == len(self.expected) - 1, 30, "files")
        time.sleep(2)
        before = self._switches(push.pid)
        time.sleep(3)
        count = self._switches(push.pid) - before
        verify(count < 900, f"{count} times in 3 s")
        self.faulty.clear()
        push.wait_until(lambda: "caught up" in self._log("bad"), 30, "it has caught up")
        push.stop(60)
        self._verify_exact("bad", "good0", "good1")

    @staticmethod
    def _switches(pid: int) -> int:
        """How often the lcores have gone to sleep so far."""
        count = 0
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as file:
                text = file.read()
            if re.match(r"Name:\tsl-(all|reader|filter\d|writer\d)", text):
                count += int(re.search(r"\nvoluntary_ctxt_switches:\t(\d+)", text).group(1))
        return count

    @func_test
    def test_given_up(self) -> None:
        """A push --once with a target that hangs for longer than --retry-for.

        **Steps:**
            * Push --once --retry-for 1 to a target whose fsync hangs and to two good ones; let go once it is given up; push --once.

        **Verify:**
            * The first push gives the target up while it hangs, names it with the reason, and exits 1; the good ones are complete.
            * The second one leaves the files of an undisturbed run.
        """
        self.faulty.rule("fsync", "/bad/*", hang=True)
        config = self._config(["bad"])
        push = self._push(config, "--once", "--retry-for", "1")
        push.wait_until(lambda: 'target "bad": given up' in push.err, 30, "it is given up")
        verify(self.faulty.waiting() != [], "nothing hangs any more")
        push.wait_until(lambda: re.search(r'sluice push: target "bad": .*hangs', push.err), 30, "the last word")
        self._verify_exact("good0", "good1")
        self.faulty.clear()
        push.wait(30, rc=1)
        run.push_once(config, self.store, "--state-dir", self.state)
        self._verify_exact("bad", "good0", "good1")

    @func_test
    def test_start_while_it_hangs(self) -> None:
        """A push starts while the file that a target should go on with cannot be opened.

        **Steps:**
            * Follow with OnStop = "resume" until the last files are open; stop.
            * Let open and getattr hang below one target's directory; push --once; when the good targets are complete, let go.

        **Verify:**
            * The good ones are complete while it hangs; it is reported. The push ends with 0, all files are those of an
              undisturbed run.
        """
        config = self._config(["bad"], OnStop="resume")
        push = self._push(config)
        for name in ("bad", "good0", "good1"):
            push.wait_until(lambda: len(run.list_files(self._out(name), ".pcap")) == len(self.expected) - 1, 30, "files")
            push.wait_until(lambda: len(run.list_files(self._out(name), ".pending")) == 1, 30, "the last file")
        push.stop(30)
        verify(run.list_files(self._out("bad"), ".pending") != [], "there is no open file")
        for op in ("open", "getattr"):
            self.faulty.rule(op, "/bad/*", hang=True)
        push = self._push(config, "--once")
        push.wait_until(lambda: self._complete("good0", "good1"), 30, "the good targets")
        verify(self.faulty.waiting() != [], "nothing hangs")
        push.wait_until(lambda: re.search(r'target "bad": .*hangs', push.err), 20, "the report")
        self.faulty.clear()
        push.wait(60)
        self._verify_exact("bad", "good0", "good1")

    # ------------------------------------------------------------ slow ones

    @func_test
    @pytest.mark.parametrize("writers", [1, 3])
    def test_crawls(self, writers: int) -> None:
        """One path of a mount crawls.

        **Steps:**
            * Each write below one directory takes 0.4 s; push --once to it, to a good target on the same mount and to six others,
              with one writer lcore and with three.
            * When the good ones are complete, let go.

        **Verify:**
            * The good ones are complete before it is; it was parked for holding the others back, or for 2 s without a write.
            * All files are those of an undisturbed run.
        """
        self.faulty.rule("write", "/bad/*", delay=0.4)
        good = [f"good{i}" for i in range(7)]
        cpu = min(os.sched_getaffinity(0))
        lcores = ",".join([f"reader+filter@{cpu}", *[f"writer@{cpu}"] * writers])
        push = self._push(self._config(["bad"], 7), "--once", "--map", lcores)
        push.wait_until(lambda: self._complete(*good), 40, "the good targets")
        verify(not self._complete("bad"), "the crawling target was as fast as the others")
        verify(self._parked(push.err, "bad"), f"not parked\n{push.result().describe()}")
        self.faulty.clear()
        result = push.wait(60)
        self._verify_exact("bad", *good)
        verify(len(set(re.findall(r'target "(\w+)": parked after', result.err))) == 1, result.describe())

    @func_test
    def test_slow_disk_is_back_pressure(self) -> None:
        """Two targets on one slow file system.

        **Steps:**
            * Every write to the mount takes 0.6 s; push --once to two targets there, one for all packets and one for few.

        **Verify:**
            * It takes far longer than 2 s, yet neither is parked, and no chunk is read twice. All is there.
        """
        self.faulty.rule("write", "*", delay=0.6)
        few = {**FIELDS, "FilterBPF": "udp", "Split": "--split-byte 100e3"}
        for name in ("all", "few"):
            os.mkdir(self._out(name))
        targets = [lua.target("all", self._out("all") + "/x", **FIELDS), lua.target("few", self._out("few") + "/x", **few)]
        config = lua.write_config(os.path.join(self.dir, "push.lua"), targets)
        result = self._push(config, "--once").wait(60)
        verify(result.seconds > 3, f"it was not slow\n{result.describe()}")
        verify("parked" not in result.err + result.out, result.describe())
        verify("read again" not in result.out, result.describe())
        chunks = re.search(r"in (\d+) chunks", result.out)
        listed = run.sluice("store", "ls", "--store", self.store).out
        verify(chunks is not None and chunks.group(1) in listed.split(), f"{result.out}\n{listed}")
        self._verify_exact("all")
        capture = os.path.join(self.suite_dir, "tcpdump.pcap")
        udp = oracle.tcpdump_filter(capture, "udp", os.path.join(self.dir, "udp.pcap")).packets
        paths = [os.path.join(self._out("few"), name) for name in sorted(run.list_files(self._out("few")))]
        oracle.verify_same_packets(pcap.read_packets(*paths), udp, "few")

    # ------------------------------------------------------------ errors

    @func_test
    def test_errors(self) -> None:
        """Errors that go away.

        **Steps:**
            * Below a directory each: EIO and ESTALE of writes, ENOSPC of fallocate and of writes, ESTALE of create, EIO of fsync and
              link for a few times; short direct writes; EINVAL of direct writes for good, also with short writes of other kind.
              Push --once to these, and to two good targets.

        **Verify:**
            * Each failing target is reported with its errno, the others are not, and neither are those that got EINVAL; the push
              ends with 0.
            * All files are those of an undisturbed run.
        """
        few = {
            "eio": ("write", errno.EIO),
            "estale": ("write", errno.ESTALE),
            "full": ("fallocate", errno.ENOSPC),
            "nospace": ("write", errno.ENOSPC),
            "gone": ("create", errno.ESTALE),
            "fsync": ("fsync", errno.EIO),
            "link": ("link", errno.EIO),
        }
        rules = {}
        for name, (op, error) in few.items():
            # fallocate is asked again for less and less before that is a failure: until it is said
            times = 0 if op == "fallocate" else 3
            rules[name] = self.faulty.rule(op, f"/{name}/*", error=error, skip=1, times=times)
        self.faulty.rule("write", "/short/*", short=12345, every=3)
        for name in ("buffered", "both"):
            self.faulty.rule("write", f"/{name}/*", error=errno.EINVAL, direct=True)
        self.faulty.rule("write", "/both/*", short=12345, every=3, direct=False)
        names = [*few, "short", "buffered", "both"]
        push = self._push(self._config(names), "--once")
        push.wait_until(lambda: 'target "full": fallocate' in push.err, 30, "the report of the full disk")
        self.faulty.remove(rules["full"])
        result = push.wait(60)
        self._verify_exact("good0", "good1", *names)
        for name, (_, error) in few.items():
            verify(f'target "{name}": ' in result.err, f"{name}: not reported\n{result.describe()}")
            verify(os.strerror(error) in self._log(name), f"{name}: no {os.strerror(error)} in its log\n{self._log(name)}")
        # FUSE in the kernel makes EIO of a short direct write
        for name in ("good0", "good1", "buffered", "both"):
            verify(f'target "{name}": ' not in result.err, f"{name} is blamed\n{result.describe()}")

    # ------------------------------------------------------------ what the store has lost meanwhile

    @func_test
    def test_gap(self) -> None:
        """The store loses what a parked target has not had yet.

        **Steps:**
            * Follow a store with a target whose files cannot be opened and a good one; once the first capture is through, remove
              it, and import a second one; let go.

        **Verify:**
            * The good target has all of both captures.
            * The bad one has what it took before, and the second capture; its log, the program's and telemetry's counts
              name a gap between the times of the last packet before it and the first one behind it.
        """
        store = os.path.join(self.dir, "store")
        shutil.copytree(self.store, store, symlinks=True)
        second = traffic.make_traffic(os.path.join(self.dir, "second.pcap"), packets=3000, seed=12, start=self._after())
        more = oracle.tcpdump_filter(second, "", os.path.join(self.dir, "second-tcpdump.pcap")).packets
        config = self._config(["bad"])
        rule = self.faulty.rule("create", "/bad/*", hang=True)
        args = ("--state-dir", self.state, "--log-dir", self.logs)
        push = self._start(config, store, *args)
        self.faulty.wait_hit(rule)
        push.wait_until(lambda: len(run.list_files(self._out("good1"), ".pcap")) >= len(self.expected) - 1, 40, "a capture")
        push.wait_until(lambda: self._parked(push.err, "bad"), 20, "the target is parked")
        first = os.path.realpath(os.path.join(store, "active"))
        run.import_capture(store, second, capture="second")
        # the last file of the first capture ends with the second one's packets
        push.wait_until(lambda: len(run.list_files(self._out("good1"), ".pcap")) > len(self.expected), 40, "the second capture")
        shutil.rmtree(first)
        self.faulty.clear()
        push.wait_until(lambda: "caught up" in self._log("bad"), 40, "it has caught up")
        gap = self._ask(push, 0)
        result = push.stop(30)

        for name, expected in (("good1", self.packets + more), ("good0", self.packets + more)):
            paths = [os.path.join(self._out(name), one) for one in sorted(run.list_files(self._out(name)))]
            oracle.verify_same_packets(pcap.read_packets(*paths), expected, name)
        paths = [os.path.join(self._out("bad"), one) for one in sorted(run.list_files(self._out("bad")))]
        got = pcap.read_packets(*paths)
        had = len(got) - len(more)
        verify(0 < had < len(self.packets), f"{len(got)} packets")
        oracle.verify_same_packets(got, self.packets[:had] + more, "bad")
        begin, end = (self._utc(one.ts) for one in (self.packets[had - 1], more[0]))
        verify(f"between {begin} and {end}" in self._log("bad"), f"{begin} {end}\n{self._log('bad')}")
        verify(f"between {begin} and {end}" in result.err, f"{begin} {end}\n{result.describe()}")
        verify((gap["gaps"], gap["gap_begin"], gap["gap_end"]) == (1, self.packets[had - 1].ts, more[0].ts), f"{gap}")
        verify(0 < gap["gap_chunks"] < 16, f"{gap}")

    def _after(self) -> int:
        """Seconds behind the first capture."""
        return max(one.ts for one in self.packets) // pcap.NS + 10

    @staticmethod
    def _utc(ts: int) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ts // pcap.NS)) + f".{ts % pcap.NS:09d}Z"

    # ------------------------------------------------------------ what it costs the others

    def _eight(self, bad: bool) -> tuple[str, list[str]]:
        """Seven good targets elsewhere, with filters, and perhaps one that takes all packets to the faulty file system."""
        filters = ["tcp", "udp", "port 443", "not tcp", "net 10.0.0.0/9", "less 200", "greater 1000"]
        good = [f"good{i + 1}" for i in range(7)]
        targets = [lua.target(name, self._out(name) + "/x", text, **FIELDS) for name, text in zip(good, filters)]
        if bad:
            targets.append(lua.target("bad", self._out("bad") + "/x", **FIELDS))
        for target in targets:
            fs.remove_tree(self._out(target["Desc"]))
            os.makedirs(self._out(target["Desc"]))
        return lua.write_config(os.path.join(self.dir, "eight.lua"), targets), good

    def _until_complete(self, push: run.Process, good: list[str]) -> None:
        def is_complete(name: str) -> bool:
            names = run.list_files(self._out(name))
            return names != [] and all(one.endswith(".pcap") for one in names)

        push.wait_until(lambda: all(is_complete(name) for name in good), 120, "all files of the good targets")

    def _once(self, store: str, bad: bool) -> float:
        """Seconds until seven good targets have what is in the store."""
        config, good = self._eight(bad)
        with run.push_start(config, store, "--once", "--log-dir", self.logs) as push:
            begun = time.monotonic()
            try:
                # its own word: a directory may look complete between two files
                push.wait_until(lambda: all(self._has_ended(push, name) for name in good), 120, "the good targets")
                return time.monotonic() - begun
            finally:
                # what hangs cannot be killed
                self.faulty.clear()

    @staticmethod
    def _has_ended(push: run.Process, name: str) -> bool:
        number = int(name[len("good") :]) - 1
        told = telemetry.ask(push.pid, f"/sluice/target,{number}")
        return told is None if not push.running() else told is not None and told["packets"] == told["published_packets"] > 0

    def _live(self, capture: str, rate: float, bad: bool) -> float:
        """Seconds until seven good targets have a capture that is written at so many bytes a second, and then stopped."""
        store = os.path.join(self.dir, "live")
        fs.remove_tree(store)
        os.makedirs(store)
        config, good = self._eight(bad)
        state = os.path.join(self.dir, "live-state")
        fs.remove_tree(state)
        args = ("--state-dir", state, "--log-dir", self.logs, "--stop-timeout", "60")
        words = [run.SLUICE, "import", "--store", store, "-"]
        with run.Process(words, stdin=subprocess.PIPE) as feed, run.push_start(config, store, *args) as push:
            begun = time.monotonic()
            try:
                sent = 0
                with open(capture, "rb") as file:
                    while data := file.read(1 << 20):
                        feed.popen.stdin.write(data)
                        sent += len(data)
                        time.sleep(max(0.0, begun + sent / rate - time.monotonic()))
                feed.popen.stdin.close()
                feed.wait(60)
                push.popen.terminate()
                self._until_complete(push, good)
                return time.monotonic() - begun
            finally:
                self.faulty.clear()

    @func_test
    def test_one_bad_of_eight(self) -> None:
        """What one hung target of eight costs the seven others, with a bound that holds on any machine.

        **Steps:**
            * Push --once to seven targets, alone and beside one whose writes hang.

        **Verify:**
            * The seven are complete no later than 2 s of waiting, and some, after the time that they take alone.
        """
        alone = self._once(self.store, False)
        self.faulty.rule("write", "/bad/*", hang=True)
        beside = self._once(self.store, True)
        verify(beside <= 2 * alone + 5, f"{beside:.2f} s, alone {alone:.2f} s")

    @perf_test
    def test_perf_one_bad_of_eight(self) -> None:
        """What one bad target of eight costs the seven others.

        **Steps:**
            * Follow a capture that is written at 30 MB/s for PERF_SECONDS (default 15), with seven targets on tmpfs, alone and with an
              eighth one on faultfs: whose writes hang, whose writes take 0.1 s, whose file system is full. Five runs, in turn.
            * The same with --once from a store of the same size.

        **Verify:**
            * Live, the median of the time until the seven have all their files is at most 5 percent above that without the eighth.
            * Once, it is at most 5 percent above that plus the 2 s for which a target is waited for before it is parked.
        """
        self.plain = self.tmpfs_dir()
        rate, seconds = 30e6, float(os.environ.get("PERF_SECONDS", "15"))
        capture = traffic.make_traffic(os.path.join(self.dir, "big.pcap"), bytes=int(rate * seconds))
        store = os.path.join(self.dir, "big")
        run.import_capture(store, capture)
        faults = {"alone": None, "hangs": {"hang": True}, "crawls": {"delay": 0.1}, "full": {"error": errno.ENOSPC}}
        times: dict[str, dict[str, list[float]]] = {kind: {name: [] for name in faults} for kind in ("live", "once")}
        for _ in range(5):
            for name, options in faults.items():
                for kind, values in times.items():
                    if options:
                        self.faulty.rule("write", "/bad/*", **options)
                    bad = options is not None
                    taken = self._live(capture, rate, bad) if kind == "live" else self._once(store, bad)
                    values[name].append(taken)
        medians = {kind: {name: statistics.median(one) for name, one in values.items()} for kind, values in times.items()}
        log(f"seconds until seven targets are complete, medians: {medians}; all: {times}")
        write_performance_json({"seconds": times, "medians": medians}, "isolation.json")
        for kind, waiting in (("live", 0.0), ("once", 2.0)):
            for name, median in medians[kind].items():
                most = 1.05 * medians[kind]["alone"] + waiting
                verify(median <= most, f"{kind}, {name}: {median:.3f} s, at most {most:.3f} s; {times}")
