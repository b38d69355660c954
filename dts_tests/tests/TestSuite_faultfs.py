# SPDX-License-Identifier: BSD-3-Clause
"""The file system that other suites break on purpose (dts_tests/faultfs) does what they rely on.

A fault that is not injected makes a test that can't fail. So delays, hangs and errors are looked at here, and a power loss
is compared with a model of POSIX's promises that is written apart from it, in Python.
"""

import ctypes
import errno
import mmap
import os
import random
import shutil
import sys
import threading
import time

from api.test import verify
from framework import fs, run, traffic
from framework.faultfs import FaultFs
from framework.test_suite import TestSuite, func_test

LIBC = ctypes.CDLL(None, use_errno=True)
RENAME_NOREPLACE = 1
ROUNDS = 40
DTS = os.path.join(run.REPO, "dts_tests")
CLEANER = "import sys; sys.path.insert(0, sys.argv[1]); from framework import fs; fs.remove_stale()"
KILLED = """
import sys, time
sys.path.insert(0, sys.argv[1])
from framework import faultfs, fs
with fs.work_dir("killed") as path, faultfs.FaultFs(f"{path}/back", f"{path}/mnt"), fs.LoopFs(path, 8 << 20) as loop, fs.netns() as name:
    with open(f"{path}/mnt/file", "w") as file:
        file.write("here")
    print(path, loop.device, name, flush=True)
    time.sleep(600)
"""


def failure(function, *args) -> int:
    """The errno with which a call fails; 0 if it does not."""
    try:
        function(*args)
    except OSError as error:
        return error.errno
    return 0


def fsync(path: str) -> None:
    """fsync a file or a directory by name."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class File:
    """A file of the model: what it holds, and what of it is durable."""

    def __init__(self) -> None:
        self.live, self.durable = b"", b""


class Directory:
    """A directory of the model: entries as seen, and as durable."""

    def __init__(self) -> None:
        self.live: dict[str, object] = {}
        self.durable: dict[str, object] = {}


class Model:
    """What POSIX promises: a file's content by fsync of the file, an entry by fsync of its directory.

    Directories are not renamed; so a path says which directory is meant.
    """

    def __init__(self, root: str, seed: int):
        self.root, self.rng = root, random.Random(seed)
        self.tree = Directory()
        self.dirs: dict[str, Directory] = {"": self.tree}
        self.names = 0
        self.steps: list[str] = []

    def _files(self) -> list[tuple[str, str]]:
        return [(d, name) for d, node in self.dirs.items() for name, x in node.live.items() if isinstance(x, File)]

    def step(self) -> None:
        """One random operation, on the file system and in the model."""
        rng, files = self.rng, self._files()
        where = rng.choice(list(self.dirs))
        kinds = ["create", "mkdir", "fsyncdir"]
        kinds += ["append", "append", "overwrite", "truncate", "fsync", "fsync", "link", "rename", "unlink"] if files else []
        kind = rng.choice(kinds)
        if kind == "mkdir" and len(self.dirs) > 4:
            kind = "fsyncdir"
        self.names += 1
        new = f"{where}/{kind[0]}{self.names}"
        path = self.root + new
        file_dir, file_name = rng.choice(files) if files else ("", "")
        old = f"{file_dir}/{file_name}"
        file = self.dirs[file_dir].live.get(file_name)
        self.steps.append(f"{kind} {new if kind in ('create', 'mkdir') else where if kind == 'fsyncdir' else old}")
        if kind == "create":
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            self.dirs[where].live[new.split("/")[-1]] = File()
        elif kind == "mkdir":
            os.mkdir(path)
            self.dirs[new] = self.dirs[where].live[new.split("/")[-1]] = Directory()
        elif kind == "fsyncdir":
            fsync(self.root + where)
            self.dirs[where].durable = dict(self.dirs[where].live)
        elif kind in ("append", "overwrite", "truncate"):
            data = rng.randbytes(rng.choice([1, 100, 4096, 9000]))
            at = len(file.live) if kind == "append" else rng.randrange(len(file.live) + 1)
            with open(self.root + old, "r+b") as stream:
                if kind == "truncate":
                    stream.truncate(at)
                    file.live = file.live[:at]
                else:
                    stream.seek(at)
                    stream.write(data)
                    file.live = file.live[:at] + data + file.live[at + len(data) :]
        elif kind == "fsync":
            fsync(self.root + old)
            file.durable = file.live
        elif kind == "link":
            os.link(self.root + old, path)
            self.dirs[where].live[new.split("/")[-1]] = file
        elif kind == "rename":
            # In one directory: what becomes of the two halves of another one is each file system's own.
            name = f"r{self.names}"
            os.rename(self.root + old, f"{self.root}{file_dir}/{name}")
            self.dirs[file_dir].live[name] = self.dirs[file_dir].live.pop(file_name)
        elif kind == "unlink":
            os.unlink(self.root + old)
            del self.dirs[file_dir].live[file_name]

    def lose(self) -> None:
        """Go on from what is durable."""
        self.dirs = {}

        def walk(directory: Directory, path: str) -> None:
            directory.live = dict(directory.durable)
            self.dirs[path] = directory
            for name, node in directory.live.items():
                if isinstance(node, Directory):
                    walk(node, f"{path}/{name}")
                else:
                    node.live = node.durable

        walk(self.tree, "")

    def paths(self) -> dict[str, bytes | None]:
        """Path -> content; None for a directory."""
        found: dict[str, bytes | None] = {}
        for path, directory in self.dirs.items():
            for name, node in directory.live.items():
                found[f"{path}/{name}"] = node.live if isinstance(node, File) else None
        return found


def paths_of(root: str) -> dict[str, bytes | None]:
    """As Model.paths(), of a directory."""
    found: dict[str, bytes | None] = {}
    for base, dirs, files in os.walk(root):
        short = base[len(root) :]
        found |= {f"{short}/{name}": None for name in dirs}
        for name in files:
            with open(os.path.join(base, name), "rb") as file:
                found[f"{short}/{name}"] = file.read()
    return found


class TestFaultfs(TestSuite):
    """faultfs itself."""

    def _mount(self, forget: bool = False) -> FaultFs:
        return self.enter(FaultFs(os.path.join(self.dir, "backing"), os.path.join(self.dir, "mnt"), forget))

    @func_test
    def test_pass_through(self) -> None:
        """What is done to it is done to the backing directory.

        **Steps:**
            * Make, write (with O_DIRECT too, and through a shared mapping), link, rename, truncate, allocate and remove files
              and directories; import a capture into a store on it and verify that.

        **Verify:**
            * The backing directory holds the same; hard links have one inode number; RENAME_NOREPLACE and O_EXCL refuse.
            * The log has the operations in order; a store on it verifies, so O_DIRECT, io_uring and a mapped head work.
        """
        faulty = self._mount()
        top = faulty.mount
        os.mkdir(f"{top}/d")
        fd = os.open(f"{top}/d/direct", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_DIRECT)
        block = mmap.mmap(-1, 8192)
        block.write(b"x" * 8192)
        verify(os.pwrite(fd, block, 4096) == 8192, "O_DIRECT write")
        os.posix_fallocate(fd, 0, 65536)
        os.ftruncate(fd, 10000)
        os.fsync(fd)
        os.close(fd)
        with open(f"{top}/mapped", "w+b") as file:
            file.truncate(4096)
            with mmap.mmap(file.fileno(), 4096) as view:
                view[100:104] = b"abcd"
                view.flush()
        os.link(f"{top}/d/direct", f"{top}/linked")
        os.rename(f"{top}/mapped", f"{top}/renamed")
        fsync(f"{top}/d")
        verify(os.stat(f"{top}/linked").st_ino == os.stat(f"{top}/d/direct").st_ino, "two inode numbers for one file")
        for old, new, expected in (("linked", "renamed", errno.EEXIST), ("linked", "free", 0)):
            words = (-100, f"{top}/{old}".encode(), -100, f"{top}/{new}".encode(), RENAME_NOREPLACE)
            got = ctypes.get_errno() if LIBC.renameat2(*words) else 0
            verify(got == expected, f"renameat2 of {old} to {new}: errno {got}")
        verify(failure(os.open, f"{top}/free", os.O_CREAT | os.O_EXCL) == errno.EEXIST, "O_EXCL")
        verify(paths_of(faulty.backing) == paths_of(top), "mount and backing directory differ")
        with open(f"{faulty.backing}/free", "rb") as file:
            verify(file.read() == b"\0" * 4096 + b"x" * 5904, "other bytes than were written")
        expected = ["mkdir /d", "create /d/direct excl", "write /d/direct 4096 8192", "fallocate /d/direct 0 65536"]
        expected += ["truncate /d/direct 10000", "fsync /d/direct"]
        verify(faulty.log()[:6] == expected, f"log: {faulty.log()[:6]}")
        capture = traffic.make_traffic(os.path.join(self.dir, "c.pcap"), packets=20000)
        run.import_capture(f"{top}/store", capture)
        run.sluice("store", "verify", "--store", f"{top}/store")
        verify(any(line.startswith("write /store/") for line in faulty.log()), "no writes of the import in the log")

    @func_test
    def test_rules(self) -> None:
        """Each kind of fault, one by one.

        **Steps:**
            * Rules with error, times, skip, every, short, direct, after, delay and hang, and operations that they match, and such
              that they don't.

        **Verify:**
            * Exactly the operations that match fail, wait or are shortened; one that hangs goes on when it is released, others
              on other files do not wait for it; an error with after=True leaves the effect.
        """
        faulty = self._mount()
        top = faulty.mount
        faulty.rule("mkdir", "/a*", error=errno.EROFS, skip=1, times=2)
        got = [failure(os.mkdir, f"{top}/a{i}") for i in range(5)] + [failure(os.mkdir, f"{top}/b")]
        verify(got == [0, errno.EROFS, errno.EROFS, 0, 0, 0], f"skip=1, times=2: {got}")
        rule = faulty.rule("create", "x*", error=errno.ENOSPC, every=3)
        got = [failure(lambda i: os.close(os.open(f"{top}/b/x{i}", os.O_CREAT)), i) for i in range(7)]
        verify(got == [0, 0, errno.ENOSPC, 0, 0, errno.ENOSPC, 0], f"every=3: {got}")
        verify(faulty.hits(rule) == 2, f"hits: {faulty.hits(rule)}")
        faulty.clear()
        fd = os.open(f"{top}/w", os.O_RDWR | os.O_CREAT)
        faulty.rule("write", "/w", short=100, times=1)
        verify([os.write(fd, b"y" * 300), os.write(fd, b"y" * 300)] == [100, 300], "a short write")
        faulty.rule("write", "/w", error=errno.EINVAL, direct=True)
        direct = os.open(f"{top}/w", os.O_RDWR | os.O_DIRECT)
        block = mmap.mmap(-1, 4096)
        verify(failure(os.pwrite, direct, block, 0) == errno.EINVAL, "EINVAL with O_DIRECT")
        verify(failure(os.pwrite, fd, block, 0) == 0, "EINVAL without O_DIRECT")
        os.close(direct)
        faulty.rule("fsync", "w", error=errno.EIO)
        verify(failure(os.fsync, fd) == errno.EIO, "fsync")
        faulty.rule("link", "l*", error=errno.EIO, after=True)
        verify(failure(os.link, f"{top}/w", f"{top}/l1") == errno.EIO, "link")
        verify(os.path.exists(f"{top}/l1"), "after=True: no effect")
        stale = faulty.rule("getattr", "l1", error=errno.ESTALE)
        verify(failure(os.stat, f"{top}/l1") == errno.ESTALE, "getattr")
        faulty.remove(stale)
        verify(failure(os.stat, f"{top}/l1") == 0, "getattr without its rule")
        faulty.rule("statfs", error=errno.EIO)
        verify(failure(os.statvfs, top) == errno.EIO, "statfs")
        faulty.clear()
        faulty.rule("unlink", "l1", delay=0.5)
        start = time.monotonic()
        os.unlink(f"{top}/l1")
        verify(time.monotonic() - start >= 0.5, "no delay")
        hung = faulty.rule("fsync", "w", hang=True)
        thread = threading.Thread(target=os.fsync, args=(fd,))
        thread.start()
        faulty.wait_hit(hung)
        os.mkdir(f"{top}/beside")
        verify(faulty.waiting() == ["fsync /w"] and thread.is_alive(), f"waiting: {faulty.waiting()}")
        faulty.release()
        thread.join(30)
        verify(not thread.is_alive(), "released, and it still waits")
        os.close(fd)

    @func_test
    def test_unmount_ends_hangs(self) -> None:
        """The end of the file system ends what hangs in it.

        **Steps:**
            * Let an operation hang for ever; leave the context.

        **Verify:**
            * The operation fails, the mount point is free again, and the program is gone.
        """
        got = []
        with FaultFs(os.path.join(self.dir, "backing"), os.path.join(self.dir, "mnt")) as faulty:
            hung = faulty.rule("mkdir", hang=True)
            thread = threading.Thread(target=lambda: got.append(failure(os.mkdir, f"{faulty.mount}/x")))
            thread.start()
            faulty.wait_hit(hung)
        thread.join(30)
        verify(got and got[0] in (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO), f"errno {got}")
        verify(not os.path.ismount(faulty.mount), "still mounted")

    @func_test
    def test_worst_case(self) -> None:
        """A power loss takes all that was not fsynced, and nothing else.

        **Steps:**
            * Random operations on files and directories, from seeds, some of them fsyncs; then a power loss without a seed; go on
              with what is left, and lose power again.

        **Verify:**
            * Each time names and bytes are those of a model of POSIX's promises; inode numbers of what is left are as before.
        """
        for seed in range(ROUNDS):
            base = os.path.join(self.dir, str(seed))
            with FaultFs(f"{base}/backing", f"{base}/mnt", forget=True) as faulty:
                model = Model(faulty.mount, seed)
                for loss in range(4):
                    for _ in range(model.rng.randrange(5, 60)):
                        model.step()
                    where = f"seed {seed}, loss {loss}, after:\n" + "\n".join(model.steps[-60:])
                    verify(paths_of(faulty.mount) == model.paths(), f"before the power loss, {where}")
                    numbers = {path: os.lstat(faulty.mount + path).st_ino for path in model.paths()}
                    counts = faulty.power_loss()
                    model.lose()
                    verify(counts["kept"] == 0, f"kept something: {counts}")
                    expected, got = model.paths(), paths_of(faulty.mount)
                    different = [x for x in expected.keys() | got.keys() if expected.get(x, 0) != got.get(x, 0)]
                    verify(not different, f"other files: {sorted(different)}, {where}")
                    for path in numbers.keys() & got.keys():
                        number = os.lstat(faulty.mount + path).st_ino
                        verify(number == numbers[path], f"{path}: inode {number}, before {numbers[path]}, {where}")
            shutil.rmtree(base)

    @func_test
    def test_killed_run(self) -> None:
        """What a run that was killed has left goes when the next one begins.

        **Steps:**
            * A run with a work directory, in which a faultfs and a loop device are mounted, and with a namespace; kill -9; clean up
              as a run does that begins. The same while it lives, and from a second run at the same time.

        **Verify:**
            * While it lives nothing of it goes. Then mounts, loop device, directory and namespace are gone, and the work directory
              of this suite, which lives, is there.
        """
        with run.Process([sys.executable, "-c", KILLED, DTS]) as killed:
            path, device, namespace = killed.wait_until(lambda: killed.out.endswith("\n") and killed.out.split())
            fs.remove_stale()
            with open(f"{path}/mnt/file", encoding="ascii") as file:
                verify(file.read() == "here", "a living run's file")
            killed.kill()
        cleaners = [run.Process([sys.executable, "-c", CLEANER, DTS]) for _ in range(2)]
        for cleaner in cleaners:
            self.enter(cleaner)
        for cleaner in cleaners:
            cleaner.wait()
        verify(not os.path.lexists(path), f"{path} is still there")
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            verify(path not in file.read(), "still mounted")
        verify(path not in run.run(["losetup", "--list", device], rc=None).out, f"{device} is still there")
        verify(not os.path.exists(f"/run/netns/{namespace}"), "the namespace is still there")
        verify(os.path.isdir(self.dir), "it took what a living run has")

    @func_test
    def test_seeds(self) -> None:
        """With a seed part of what was not fsynced survives.

        **Steps:**
            * A file with a durable first half, a second half written after that; entries made after the fsync of their
              directory. Lose power with many seeds, each from the same state.

        **Verify:**
            * What was fsynced is always there. Each page of the rest holds what was written or zeros, each entry is there or
              not; over the seeds both are seen of each, and sizes between the durable and the last one.
        """
        kept, sizes, pages = set(), set(), set()
        half = b"a" * 8192
        for seed in range(1, ROUNDS + 1):
            base = os.path.join(self.dir, str(seed))
            with FaultFs(f"{base}/backing", f"{base}/mnt", forget=True) as faulty:
                path = f"{faulty.mount}/file"
                with open(path, "wb", buffering=0) as file:
                    file.write(half)
                    os.fsync(file.fileno())
                    fsync(faulty.mount)
                    for letter in b"bc":
                        file.write(bytes([letter]) * 4096)
                    for name in "xyz":
                        os.mkdir(f"{faulty.mount}/{name}")
                faulty.power_loss(seed)
                with open(path, "rb") as file:
                    data = file.read()
                verify(data[:8192] == half, f"seed {seed}: durable bytes are gone")
                sizes.add(len(data))
                for at, letter in ((8192, b"b"), (12288, b"c")):
                    for piece in range(at, min(len(data), at + 4096), 512):
                        page = data[piece : piece + 512]
                        verify(page in (letter * 512, b"\0" * 512), f"seed {seed}: strange bytes at {piece}")
                        pages.add(page[:1])
                kept |= {(name, os.path.isdir(f"{faulty.mount}/{name}")) for name in "xyz"}
            shutil.rmtree(base)
        verify(len(kept) == 6, f"entries: {kept}")
        verify(sizes == {8192, 12288, 16384}, f"sizes: {sizes}")
        verify(pages == {b"b", b"c", b"\0"}, f"pages: {pages}")
