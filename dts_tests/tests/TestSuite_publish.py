# SPDX-License-Identifier: BSD-3-Clause
"""How a file gets its final name: in which order, on file systems that lack something, and when its directory goes away.

The order is seen by a FUSE file system that logs what is done to it (dts_tests/faultfs): strace does not see what goes through
io_uring.
"""

import errno
import os
import re
import shutil
import subprocess

from api.test import verify
from framework import lua, oracle, pcap, run, traffic
from framework.faultfs import FaultFs
from framework.test_suite import TestSuite, func_test

FIELDS = {"FileName": "--filename-epoch-nsec", "Split": "--split-byte 1e6", "MinFree": 0}


class TestPublish(TestSuite):
    """Publish, seen from the file system."""

    def set_up_suite(self) -> None:
        """A capture and a store."""
        self.capture = traffic.make_traffic(f"{self.suite_dir}/capture.pcap", packets=8000, duration=240, seed=31)
        self.expected = oracle.tcpdump_filter(self.capture, "", f"{self.suite_dir}/expected.pcap").packets
        self.store = f"{self.suite_dir}/store"
        run.import_capture(self.store, self.capture)

    def _mount(self) -> FaultFs:
        """The logging file system."""
        return self.enter(FaultFs(os.path.join(self.dir, "below"), os.path.join(self.dir, "mnt")))

    def _config(self, base: str, **fields: object) -> str:
        target = lua.target("all", os.path.join(base, "day", "x"), **{**FIELDS, **fields})
        return lua.write_config(os.path.join(self.dir, "push.lua"), [target])

    def _state(self) -> tuple[str, str]:
        return "--state-dir", os.path.join(self.dir, "state")

    @staticmethod
    def _operations(faulty: FaultFs) -> list[str]:
        """Operations that succeeded."""
        return [line for line in faulty.log() if " = " not in line]

    def _verify_order(self, faulty: FaultFs, names: list[str], verb: str) -> None:
        """For each published file: writes, fsync, directory, name, directory, and only then the working name goes."""
        done = self._operations(faulty)
        for name in names:
            final = f"/day/{name}"
            named = [i for i, line in enumerate(done) if line.startswith(verb + " ") and line.endswith(" " + final)]
            verify(len(named) == 1, f"{final} got its name {len(named)} times:\n" + "\n".join(done))
            at = named[0]
            work = done[at].split()[1]
            where = f"{work} -> {final}:\n" + "\n".join(line for line in done if work in line or "fsyncdir" in line)
            mine = [i for i, line in enumerate(done) if line.split()[1:2] == [work]]
            created = [i for i in mine if done[i] == f"create {work} excl"]
            changes = [i for i in mine if re.match(r"(write|truncate|fallocate|chown) ", done[i])]
            syncs = [i for i in mine if done[i] == f"fsync {work}"]
            directory = [i for i, line in enumerate(done) if line == "fsyncdir /day"]
            verify(len(created) == 1 and created[0] == mine[0], f"not created once, with O_EXCL: {where}")
            verify(any(done[i].startswith("write ") for i in changes), f"nothing written: {where}")
            last = max(changes)
            synced = [i for i in syncs if last < i < at]
            verify(bool(synced), f"no fsync between the last change and the name: {where}")
            verify(any(synced[0] < i < at for i in directory), f"no fsync of the directory before the name: {where}")
            after = [i for i in directory if i > at]
            verify(bool(after), f"no fsync of the directory after the name: {where}")
            if verb == "link":
                gone = [i for i in mine if done[i] == f"unlink {work}"]
                verify(len(gone) == 1 and gone[0] > after[0], f"the working name did not go last: {where}")
            over = [line for line in done if line.split()[0] in ("write", "truncate", "create", "rename") and final in line]
            verify(not over, f"{final} was touched under its final name: {over}")

    @func_test
    def test_order(self) -> None:
        """What a file system sees of each file.

        **Steps:**
            * Push with a state directory, and SplitCmd, to the logging file system.

        **Verify:**
            * For each file: created with O_EXCL; its writes, ftruncate and chown; then fsync of the file; then of the
              directory; then link to the final name; then fsync of the directory; then unlink of the working name.
            * Nothing ever opens, writes or renames over a final name. The packets are tcpdump's.
        """
        faulty = self._mount()
        run.push_once(self._config(faulty.mount, SplitCmd=f"-Z {os.getuid()}.{os.getgid()}"), self.store, *self._state())
        names = oracle.verify_all_published(os.path.join(self.dir, "below", "day"), self.expected)
        verify(len(names) > 3, f"too few files: {names}")
        self._verify_order(faulty, names, "link")
        verify(any(line.startswith("chown /day/") for line in self._operations(faulty)), "no chown was seen")

    @func_test
    def test_no_hard_links(self) -> None:
        """A file system without hard links and without fallocate.

        **Steps:**
            * The same push where link() fails with EPERM and fallocate() with EOPNOTSUPP.
            * Once more, without the state directory: every name is taken now.

        **Verify:**
            * Each file is renamed with RENAME_NOREPLACE, with the same order of fsyncs around it.
            * The second run's files end in _1; the first run's are untouched.
        """
        faulty = self._mount()
        faulty.rule("link", error=errno.EPERM)
        faulty.rule("fallocate", error=errno.EOPNOTSUPP)
        config = self._config(faulty.mount)
        run.push_once(config, self.store, *self._state())
        below = os.path.join(self.dir, "below", "day")
        names = oracle.verify_all_published(below, self.expected)
        self._verify_order(faulty, names, "rename-noreplace")
        first = run.read_tree(below)
        run.push_once(config, self.store)
        expected = dict(first)
        expected |= {f"{name[: -len('.pcap')]}_1.pcap": data for name, data in first.items()}
        oracle.verify_same_tree(run.read_tree(below), expected, "after the second run")

    # ------------------------------------------------------------ directories

    @func_test
    def test_vanished_directory(self) -> None:
        """The directory of an open file is removed under a following push.

        **Steps:**
            * Follow a capture with one large window; once the working file is there, rename the directory away, with the
              file in it, and remove it; then stop the push.
            * The same, but the removed directory's parent is made immutable (chattr +i) for a while.

        **Verify:**
            * The loss is reported once with path and errno; the directory is made again; all packets are published.
            * While the parent is immutable the errno of that is reported; afterwards all packets are published.
        """
        base = os.path.join(self.dir, "out")
        for number, locked in enumerate((False, True)):
            os.makedirs(base, exist_ok=True)
            day = os.path.join(base, "day")
            config = self._config(base, Split="--split-time 86400e9", FollowStart=True)
            state = ("--state-dir", os.path.join(self.dir, f"state{number}"), "--log-dir", os.path.join(self.dir, "log"))
            with run.push_start(config, self.store, "--stop-timeout", "30", *state) as push:
                push.wait_until(lambda: run.list_files(base, ".pending"), what="the working file")
                os.rename(day, day + ".gone")
                shutil.rmtree(day + ".gone")
                if locked:
                    run.run(["chattr", "+i", base])
                    self.on_tear_down(subprocess.run, ["chattr", "-i", base], check=False)
                push.signal(15)
                if locked:
                    push.wait_until(lambda: "Operation not permitted" in push.err, what="report of the locked parent")
                    verify(push.running(), "gave up at once")
                    run.run(["chattr", "-i", base])
                result = push.wait(40)
            verify(result.err.count("No such file or directory") == 1, f"not reported once\n{result.describe()}")
            verify(day in result.err, f"does not name {day}\n{result.describe()}")
            oracle.verify_all_published(base, self.expected)
            shutil.rmtree(base)

    @func_test
    def test_permission(self) -> None:
        """A directory in which nobody, not even root, may create files.

        **Steps:**
            * chattr +i the directory; push with --retry-for 1 and a state directory; chattr -i; push again.

        **Verify:**
            * Exit 1; target, path and "Operation not permitted" are named; nothing was created.
            * The second run exits 0 with all packets.
        """
        base = os.path.join(self.dir, "out")
        day = os.path.join(base, "day")
        os.makedirs(day)
        config = self._config(base)
        run.run(["chattr", "+i", day])
        self.on_tear_down(subprocess.run, ["chattr", "-i", day], check=False)
        result = run.push_once(config, self.store, "--retry-for", "1", *self._state(), rc=1)
        lines = [line for line in result.err.splitlines() if line.startswith('sluice push: target "all"')]
        verify(len(lines) == 1 and day in lines[0] and "Operation not permitted" in lines[0], result.describe())
        verify(not os.listdir(day), f"created: {os.listdir(day)}")
        run.run(["chattr", "-i", day])
        run.push_once(config, self.store, *self._state())
        oracle.verify_all_published(base, self.expected)
