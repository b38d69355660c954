# SPDX-License-Identifier: BSD-3-Clause
"""Full disks, file systems that are read-only or not mounted, and names that are taken.

Faults are real ones of an ext4 on a loop device. What must be in the files is what tcpdump writes of the same capture.
"""

import os
import re
import shutil
import subprocess

from api.test import verify
from framework import fs, lua, oracle, pcap, run, traffic
from framework.test_suite import TestSuite, func_test

MIB = 1 << 20
FIELDS = {"FileName": "--filename-epoch-nsec", "Split": "--split-byte 1e6", "MinFree": 0}


class TestFaults(TestSuite):
    """One target's fault is that target's alone, and nothing is lost, doubled or overwritten."""

    def set_up_suite(self) -> None:
        self.capture = traffic.make_traffic(os.path.join(self.suite_dir, "capture.pcap"), packets=20000, seed=5)
        self.expected = oracle.tcpdump_filter(self.capture, "", os.path.join(self.suite_dir, "expected.pcap")).packets
        self.store = os.path.join(self.suite_dir, "store")
        run.import_capture(self.store, self.capture)

    def _small_fs(self) -> fs.LoopFs:
        return self.enter(fs.LoopFs(self.dir, 24 * MIB))

    @staticmethod
    def _fill(disk: fs.LoopFs, left: int) -> str:
        """Leave so many bytes free; the file that takes the rest."""
        filler = os.path.join(disk.path, "filler")
        with open(filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, disk.free() - left)
        return filler

    def _config(self, bad: str, **fields: object) -> str:
        """Two targets: "bad" writes below a directory, "good" below self.dir/good."""
        os.makedirs(os.path.join(self.dir, "good"), exist_ok=True)
        targets = [
            lua.target("bad", os.path.join(bad, "x"), **{**FIELDS, **fields}),
            lua.target("good", os.path.join(self.dir, "good", "x"), **FIELDS),
        ]
        return lua.write_config(os.path.join(self.dir, "push.lua"), targets)

    def _state(self) -> tuple[str, str]:
        return "--state-dir", os.path.join(self.dir, "state")

    def _verify_report(self, result: run.Result, path: str, reason: str) -> None:
        """The last word names target, path and errno; the other target is not blamed."""
        lines = [line for line in result.err.splitlines() if line.startswith('sluice push: target "bad"')]
        verify(len(lines) == 1, f"not one final line of the target\n{result.describe()}")
        verify(path in lines[0] and reason in lines[0], f"no {path} or no {reason!r} in the final line\n{result.describe()}")
        when = re.search(r"packet time (\d+)\.(\d{9})", lines[0])
        verify(when is not None, f"no time of the first unpublished packet\n{result.describe()}")
        verify('target "good":' not in "".join(re.findall(r"(?m)^(?:WRITER|sluice push): .*$", result.err)), result.describe())

    def _first_unpublished(self, result: run.Result) -> int:
        when = re.search(r"packet time (\d+)\.(\d{9})", result.err)
        return int(when.group(1)) * pcap.NS + int(when.group(2))

    # ------------------------------------------------------------ disks

    @func_test
    def test_full_disk(self) -> None:
        """A disk that is full in the middle of a push.

        **Steps:**
            * Fill a 24 MiB ext4 up to 4 MiB; push 13 MB to it and to a healthy directory, with a state directory.
            * Delete the filler and run the same command again, and once more.

        **Verify:**
            * Exit 1; target, path, "No space left on device" and the time of the first unpublished packet are named.
            * The published files hold exactly the packets before that time; the healthy target has all.
            * The second run exits 0 and leaves all packets once; files published before it are untouched.
            * The third run changes nothing.
        """
        disk = self._small_fs()
        filler = self._fill(disk, 4 * MIB)
        out = os.path.join(disk.path, "out")
        os.mkdir(out)
        config = self._config(out)
        result = run.push_once(config, self.store, "--retry-for", "1", *self._state(), rc=1)
        self._verify_report(result, out + "/", "No space left on device")
        oracle.verify_all_published(os.path.join(self.dir, "good"), self.expected)
        before = run.read_tree(out, ".pcap")
        verify(bool(before), f"nothing published before the disk was full\n{result.describe()}")
        got = pcap.read_packets(*(os.path.join(out, name) for name in sorted(before)))
        verify(0 < len(got) < len(self.expected), f"{len(got)} packets published")
        oracle.verify_same_packets(got, self.expected[: len(got)], "published before the disk was full")
        next_ts = self.expected[len(got)].ts
        verify(self._first_unpublished(result) == next_ts, f"first unpublished is {next_ts}\n{result.describe()}")

        good = run.read_tree(os.path.join(self.dir, "good"))
        os.unlink(filler)
        for _ in range(2):
            run.push_once(config, self.store, "--retry-for", "1", *self._state())
            oracle.verify_all_published(out, self.expected)
            after = run.read_tree(out)
            oracle.verify_same_tree({name: after.get(name, b"") for name in before}, before, "published before")
            oracle.verify_same_tree(run.read_tree(os.path.join(self.dir, "good")), good, "healthy target")

    @func_test
    def test_disk_freed_during_the_run(self) -> None:
        """Space comes back while the push still tries.

        **Steps:**
            * Push to the filled ext4 with a long --retry-for; delete the filler once the fault is reported.

        **Verify:**
            * The same run completes with exit 0; all packets are there once; the fault was reported once.
        """
        disk = self._small_fs()
        filler = self._fill(disk, 4 * MIB)
        out = os.path.join(disk.path, "out")
        os.mkdir(out)
        with run.push_start(self._config(out), self.store, "--once", "--retry-for", "30") as push:
            push.wait_until(lambda: "No space left on device" in push.err, what="report of the full disk")
            os.unlink(filler)
            result = push.wait(30)
        verify(result.err.count("No space left on device") == 1, f"not reported once\n{result.describe()}")
        oracle.verify_all_published(out, self.expected)
        oracle.verify_all_published(os.path.join(self.dir, "good"), self.expected)

    @func_test
    def test_read_only(self) -> None:
        """A file system that went read-only, as ext4 does after an I/O error.

        **Steps:**
            * Remount the ext4 read-only; push with a state directory; remount it read-write; push again.
            * The same without state directory, remounted read-write while the push still tries.

        **Verify:**
            * Exit 1 with target, path and "Read-only file system"; the other target has all.
            * The second run exits 0 with all packets; so does the run during which the file system came back.
        """
        disk = self._small_fs()
        for name in ("before", "during"):
            os.mkdir(os.path.join(disk.path, name))
        subprocess.run(["mount", "-o", "remount,ro", disk.path], check=True)
        out = os.path.join(disk.path, "before")
        config = self._config(out)
        result = run.push_once(config, self.store, "--retry-for", "1", *self._state(), rc=1)
        self._verify_report(result, out + "/", "Read-only file system")
        oracle.verify_all_published(os.path.join(self.dir, "good"), self.expected)
        subprocess.run(["mount", "-o", "remount,rw", disk.path], check=True)
        run.push_once(config, self.store, "--retry-for", "1", *self._state())
        oracle.verify_all_published(out, self.expected)
        oracle.verify_all_published(os.path.join(self.dir, "good"), self.expected)

        # There is room for one copy only.
        for name in run.list_files(out):
            os.unlink(os.path.join(out, name))
        subprocess.run(["mount", "-o", "remount,ro", disk.path], check=True)
        fs.remove_tree(os.path.join(self.dir, "good"))
        out = os.path.join(disk.path, "during")
        with run.push_start(self._config(out), self.store, "--once", "--retry-for", "30") as push:
            push.wait_until(lambda: "Read-only file system" in push.err, what="report of the read-only file system")
            subprocess.run(["mount", "-o", "remount,rw", disk.path], check=True)
            push.wait(30)
        oracle.verify_all_published(out, self.expected)
        oracle.verify_all_published(os.path.join(self.dir, "good"), self.expected)

    @func_test
    def test_not_mounted(self) -> None:
        """Mount names a file system that is not mounted.

        **Steps:**
            * Push with Mount = a directory that does not exist, and one that exists but is no mount point.
            * Unmount the ext4, push with Mount = its directory, and mount it while the push still tries.

        **Verify:**
            * Exit 1 after --retry-for, the mount point is named, nothing is created; the other target has all.
            * Once mounted, the run completes with exit 0; all packets are on the mounted file system.
        """
        absent, present = os.path.join(self.dir, "absent"), os.path.join(self.dir, "present")
        os.mkdir(present)
        for point in (absent, present):
            fs.remove_tree(os.path.join(self.dir, "good"))
            config = self._config(os.path.join(point, "sub"), Mount=point)
            result = run.push_once(config, self.store, "--retry-for", "1", rc=1)
            verify(1 <= result.seconds < 10, f"not given up after a second\n{result.describe()}")
            self._verify_report(result, point, "")
            verify("not mounted" in result.err, f"does not say that it is not mounted\n{result.describe()}")
            oracle.verify_all_published(os.path.join(self.dir, "good"), self.expected)
        verify(not os.path.lexists(absent), f"{absent} was created")
        verify(not os.listdir(present), f"created below {present}: {os.listdir(present)}")

        disk = self._small_fs()
        disk.umount()
        fs.remove_tree(os.path.join(self.dir, "good"))
        out = os.path.join(disk.path, "out")
        with run.push_start(self._config(out, Mount=disk.path), self.store, "--once", "--retry-for", "30") as push:
            push.wait_until(lambda: "not mounted" in push.err, what="report of the missing mount")
            verify(not os.listdir(disk.path), f"created below the mount point: {os.listdir(disk.path)}")
            disk.mount()
            push.wait(30)
        oracle.verify_all_published(out, self.expected)
        oracle.verify_all_published(os.path.join(self.dir, "good"), self.expected)
        disk.umount()
        verify(not os.listdir(disk.path), f"created below the mount point: {os.listdir(disk.path)}")

    @func_test
    def test_mount_lost(self) -> None:
        """The file system goes away under an open file, is not there at a restart, and comes back.

        **Steps:**
            * Follow the capture with Mount = an ext4 and one large window; umount -l it once the working file is there; stop
              the push with --stop-timeout 2; start it again, unmounted; mount it; stop the push.

        **Verify:**
            * The first push says "not mounted" with the mount point and exits 1; nothing is created below the mount point,
              neither by the first nor by the second push.
            * Once mounted, the second push goes on and exits 0; after a last push --once all packets are there once.
        """
        disk = self._small_fs()
        out = os.path.join(disk.path, "out")
        config = self._config(out, Mount=disk.path, Split="--split-time 86400e9", FollowStart=True)
        args = (*self._state(), "--log-dir", os.path.join(self.dir, "log"), "--stop-timeout", "2")
        with run.push_start(config, self.store, *args) as push:
            push.wait_until(lambda: run.list_files(disk.path, ".pending"), what="the working file")
            run.run(["umount", "-l", disk.path])
            disk.mounted = False
            result = push.stop(20, rc=1)
        verify("not mounted" in result.err and disk.path in result.err, result.describe())
        verify(not os.listdir(disk.path), f"created below the mount point: {os.listdir(disk.path)}")
        with run.push_start(config, self.store, *args) as push:
            push.wait_until(lambda: "not mounted" in push.err, what="report of the missing mount")
            verify(not os.listdir(disk.path), f"created below the mount point: {os.listdir(disk.path)}")
            disk.mount()
            push.wait_until(lambda: "works again" in push.err, what="the mount is noticed")
            push.stop(20)
        # The stop may have come while the target was still catching up.
        run.push_once(config, self.store, *self._state())
        oracle.verify_all_published(out, self.expected)

    @func_test
    def test_resume_read_only(self) -> None:
        """A restart that cannot touch the working file that it should go on with.

        **Steps:**
            * Follow the capture with OnStop = "resume" until the last file is open; stop; remount the ext4 read-only.
            * Push --once; follow, and remount it read-write while the push tries; push --once.

        **Verify:**
            * The first exits 1 and names target, working file, "Read-only file system" and the time of that file's first
              packet; the healthy target is not held up.
            * The second goes on by itself; at the end all packets are there once.
        """
        disk = self._small_fs()
        out = os.path.join(disk.path, "out")
        config = self._config(out, OnStop="resume", FollowStart=True)
        args = (*self._state(), "--log-dir", os.path.join(self.dir, "log"))
        with run.push_start(config, self.store, *args) as push:
            push.wait_until(lambda: len(run.list_files(out, ".pcap")) > 10, what="published files")
            push.wait_until(lambda: len(run.list_files(out, ".pending")) == 1, what="the last file")
            push.stop(20)
        left = run.list_files(out, ".pending")
        verify(len(left) == 1, f"working files after the stop: {left}")
        shutil.rmtree(os.path.join(self.dir, "good"))
        run.run(["mount", "-o", "remount,ro", disk.path])
        os.rename(os.path.join(self.dir, "state", "good.journal"), os.path.join(self.dir, "good.journal"))
        result = run.push_once(config, self.store, "--retry-for", "1", *self._state(), rc=1)
        self._verify_report(result, os.path.join(out, left[0]), "Read-only file system")
        done = pcap.read_packets(*(os.path.join(out, name) for name in run.list_files(out, ".pcap")))
        oracle.verify_same_packets(done, self.expected[: len(done)], "published before")
        verify(self._first_unpublished(result) == self.expected[len(done)].ts, result.describe())
        oracle.verify_all_published(os.path.join(self.dir, "good"), self.expected)
        with run.push_start(config, self.store, *args) as push:
            push.wait_until(lambda: "Read-only file system" in push.err, what="report")
            run.run(["mount", "-o", "remount,rw", disk.path])
            push.wait_until(lambda: "works again" in push.err, what="going on")
            push.stop(20)
        run.push_once(config, self.store, *self._state())
        oracle.verify_all_published(out, self.expected)

    @func_test
    def test_min_free(self) -> None:
        """MinFree keeps that much of a disk free.

        **Steps:**
            * Push to a 24 MiB ext4 without MinFree in the configuration: by default 1 GiB is kept free on local disks.
            * The same state directory with MinFree = 4 MiB and the disk filled up to 6 MiB; delete the filler once the push
              waits.

        **Verify:**
            * The first run exits 1; target, directory, MinFree and both sizes are named; the healthy target has all.
            * The second says once that it waits; never were less than 4 MiB free; then it exits 0 with all packets.
        """
        disk = self._small_fs()
        out = os.path.join(disk.path, "out")
        targets = [lua.target("bad", os.path.join(out, "x"), **{k: v for k, v in FIELDS.items() if k != "MinFree"})]
        targets.append(lua.target("good", os.path.join(self.dir, "good", "x"), **FIELDS))
        config = lua.write_config(os.path.join(self.dir, "default.lua"), targets)
        result = run.push_once(config, self.store, "--retry-for", "1", *self._state(), rc=1)
        self._verify_report(result, out, "MinFree keeps 1024 MiB by default")
        oracle.verify_all_published(os.path.join(self.dir, "good"), self.expected)

        filler = self._fill(disk, 6 * MIB)
        args = ("--once", "--retry-for", "30", *self._state())
        with run.push_start(self._config(out, MinFree=4 * MIB), self.store, *args) as push:
            push.wait_until(lambda: "MinFree keeps 4 MiB" in push.err, what="report of MinFree")
            verify(disk.free() >= 4 * MIB, f"only {disk.free()} bytes are free")
            os.unlink(filler)
            result = push.wait(30)
        verify(result.err.count("MinFree keeps") == 1, f"not said once\n{result.describe()}")
        oracle.verify_all_published(out, self.expected)
        oracle.verify_all_published(os.path.join(self.dir, "good"), self.expected)

    # ------------------------------------------------------------ names

    def _one_target(self, name: str) -> tuple[str, str]:
        """A configuration of one target, and its directory."""
        out = os.path.join(self.dir, name)
        os.makedirs(out)
        target = lua.target("all", os.path.join(out, "x"), **FIELDS)
        return lua.write_config(os.path.join(self.dir, name + ".lua"), [target]), out

    @func_test
    def test_same_run_twice(self) -> None:
        """The same push three times without a state directory.

        **Steps:**
            * Push --once three times to the same directory.

        **Verify:**
            * Each file of the second run ends in _1, of the third in _2, with the bytes of the first's.
            * The first run's files are the same inodes with the same bytes; the summary counts the files that existed.
        """
        config, out = self._one_target("out")
        run.push_once(config, self.store)
        oracle.verify_all_published(out, self.expected)
        first = run.read_tree(out)
        inodes = {name: os.stat(os.path.join(out, name)).st_ino for name in first}
        expected = dict(first)
        for count in (1, 2):
            result = run.push_once(config, self.store)
            line = f"{len(first)} files already existed; written as _1"
            verify(line in result.out, f"no line {line!r}\n{result.describe()}")
            expected |= {f"{name[: -len('.pcap')]}_{count}.pcap": data for name, data in first.items()}
            oracle.verify_same_tree(run.read_tree(out), expected, f"after run {count + 1}")
        now = {name: os.stat(os.path.join(out, name)).st_ino for name in first}
        verify(now == inodes, "files of the first run were replaced")

    @func_test
    def test_names_taken_by_others(self) -> None:
        """Something else has the final name.

        **Steps:**
            * Put a directory, a symlink to a file, a dangling symlink, a FIFO and an empty file at the names of five files.
            * Push.

        **Verify:**
            * All five are as they were, neither followed nor overwritten; their files end in _1, the others do not.
        """
        config, out = self._one_target("plain")
        run.push_once(config, self.store)
        plain = run.read_tree(out)
        names = sorted(plain)
        verify(len(names) > 6, f"too few files: {names}")
        config, out = self._one_target("taken")
        other, nowhere = os.path.join(self.dir, "other"), os.path.join(self.dir, "nowhere")
        with open(other, "wb") as file:
            file.write(b"precious")
        paths = [os.path.join(out, name) for name in names[:5]]
        os.mkdir(paths[0])
        os.symlink(other, paths[1])
        os.symlink(nowhere, paths[2])
        os.mkfifo(paths[3])
        with open(paths[4], "wb"):
            pass
        before = [os.lstat(path) for path in paths]
        result = run.push_once(config, self.store)
        verify("5 files already existed; written as _1" in result.out, f"not 5 files counted\n{result.describe()}")
        for path, old in zip(paths, before):
            new = os.lstat(path)
            same = (new.st_ino, new.st_mode, new.st_size) == (old.st_ino, old.st_mode, old.st_size)
            verify(same, f"{path} was replaced: {old} is now {new}")
        verify(os.listdir(paths[0]) == [], "something was put into the directory")
        with open(other, "rb") as file:
            verify(file.read() == b"precious", "the symlink was followed and its file overwritten")
        verify(not os.path.lexists(nowhere), "the dangling symlink was followed")
        for number, name in enumerate(names):
            got = name.replace(".pcap", "_1.pcap") if number < 5 else name
            with open(os.path.join(out, got), "rb") as file:
                verify(file.read() == plain[name], f"{got}: not the bytes of {name}")
        verify(len(os.listdir(out)) == len(names) + 5, f"files: {sorted(os.listdir(out))}")
