# SPDX-License-Identifier: BSD-3-Clause
"""Work directories, loop-mounted file systems, network namespaces."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from typing import Callable, Iterator

DISK = os.environ.get("SLUICE_TEST_DIR", "/var/tmp")
TMPFS = os.environ.get("SLUICE_TEST_TMPFS", "/dev/shm")


def _run(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"$ {' '.join(command)}\nexit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def fs_type(path: str) -> str:
    """Type of the file system that holds a path ("ext2/ext3", "tmpfs", "overlayfs", ...)."""
    return _run("stat", "-f", "-c", "%T", path).strip()


def remove_tree(path: str) -> None:
    if os.environ.get("SLUICE_KEEP") != "1":
        shutil.rmtree(path, ignore_errors=True)


def _claim(path: str) -> Callable[[], None]:
    """Note that a living run uses a work directory, see remove_stale(); the function that takes it back."""
    if os.environ.get("SLUICE_KEEP") == "1":
        return lambda: None
    fd, new = tempfile.mkstemp(prefix=".sluice-", suffix=".new", dir=DISK)
    os.write(fd, path.encode())
    # Locked before it has its name: nobody finds it without its owner. Children do not inherit it.
    fcntl.flock(fd, fcntl.LOCK_EX)
    claim = new.removesuffix(".new") + ".claim"
    os.rename(new, claim)

    def release() -> None:
        os.unlink(claim)
        os.close(fd)

    return release


@contextmanager
def work_dir(name: str, tmpfs: bool = False) -> Iterator[str]:
    """A fresh directory on a real disk ($SLUICE_TEST_DIR) or on tmpfs, removed at the end unless SLUICE_KEEP=1."""
    base = TMPFS if tmpfs else DISK
    # A bare chroot has a /dev/shm that is an ordinary directory.
    mounted = tmpfs and (not os.path.isdir(base) or fs_type(base) != "tmpfs")
    path = tempfile.mkdtemp(prefix=f"sluice-{name}-", dir=DISK if mounted else base)
    release = _claim(path)
    try:
        if mounted:
            _run("mount", "-t", "tmpfs", "tmpfs", path)
            try:
                yield path
            finally:
                _run("umount", "-l", path)
                os.rmdir(path)
        else:
            os.chmod(path, 0o755)
            try:
                yield path
            finally:
                remove_tree(path)
    finally:
        release()


def _mounts_below(path: str) -> list[str]:
    """Mount points at or below a path, the last one first."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        points = [re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), line.split()[4]) for line in file]
    return [point for point in reversed(points) if point == path or point.startswith(path + "/")]


def _remove_stale_dir(path: str) -> None:
    """Unmount what is mounted below a work directory, detach loop devices whose file is there, remove it."""
    for point in _mounts_below(path):
        subprocess.run(["umount", "-l", point], check=False)
    listed = subprocess.run(
        ["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"], stdout=subprocess.PIPE, text=True, check=False
    )
    for line in listed.stdout.splitlines():
        device, _, image = line.partition(" ")
        if image.strip().startswith(path + "/"):
            subprocess.run(["losetup", "-d", device], check=False)
    # What could not be unmounted may hold what is not ours.
    if not _mounts_below(path):
        shutil.rmtree(path, ignore_errors=True)


def remove_stale() -> None:
    """Remove what runs that were killed have left: work directories with their mounts and loop devices, and namespaces.

    Nothing of a run that lives is touched: that holds the lock of its claims. Nor is anything that SLUICE_KEEP=1 kept.
    """
    for name in os.listdir(DISK):
        claim = os.path.join(DISK, name)
        if not re.fullmatch(r"\.sluice-\w+\.claim", name):
            continue
        try:
            with open(claim, encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path = file.read()
                if os.fstat(file.fileno()).st_nlink:
                    if os.path.dirname(path) in (DISK, TMPFS) and os.path.basename(path).startswith("sluice-"):
                        _remove_stale_dir(path)
                    os.unlink(claim)
        except OSError:
            continue  # its run lives, or somebody else removes it
    for name in os.listdir("/run/netns") if os.path.isdir("/run/netns") else ():
        found = re.fullmatch(r"sluice-(\d+)-[0-9a-f]{6}", name)
        if found and not os.path.exists(f"/proc/{found[1]}"):
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL, check=False)


class LoopFs:
    """A file system of its own on a loop device. Needs root.

    Attributes:
        path: Where it is mounted.
        device: "/dev/loopN".
    """

    def __init__(self, directory: str, size: int, kind: str = "ext4", options: str = "", sector: int = 512):
        os.makedirs(directory, exist_ok=True)
        self.image = tempfile.mktemp(prefix="loop-", suffix=".img", dir=directory)
        self.path = self.image[: -len(".img")] + ".mnt"
        self.device = ""
        self.mounted = False
        self.size, self.kind, self.options, self.sector = size, kind, options, sector

    def __enter__(self) -> LoopFs:
        with open(self.image, "wb") as file:
            file.truncate(self.size)
        try:
            # Without direct I/O the backing file's page cache would hide what the device reads.
            words = ["losetup", "--find", "--show", "--direct-io=on", "--sector-size", str(self.sector)]
            self.device = _run(*words, self.image).strip()
            if self.kind == "ext4":
                # No reserved blocks: a full file system is full for root as well.
                _run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.device)
            else:
                _run(f"mkfs.{self.kind}", self.device)
            os.makedirs(self.path)
            self.mount()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def mount(self) -> None:
        _run("mount", "-t", self.kind, *(["-o", self.options] if self.options else []), self.device, self.path)
        self.mounted = True

    def umount(self) -> None:
        _run("umount", self.path)
        self.mounted = False

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", self.path], check=False)
            self.mounted = False
        if self.device:
            subprocess.run(["losetup", "-d", self.device], check=False)
            self.device = ""
        for path, remove in ((self.path, os.rmdir), (self.image, os.unlink)):
            try:
                remove(path)
            except OSError:
                pass

    def sectors_read(self) -> int:
        """512-byte sectors read from the device so far."""
        with open(f"/sys/block/{os.path.basename(self.device)}/stat", encoding="ascii") as file:
            return int(file.read().split()[2])

    def drop_caches(self) -> None:
        """Forget what is cached of this file system only, so that others on the machine are left in peace."""
        self.umount()
        self.mount()

    def free(self) -> int:
        """Bytes free."""
        stat = os.statvfs(self.path)
        return stat.f_bfree * stat.f_frsize


def in_netns(name: str) -> list[str]:
    """Words before a command that is to run in a network namespace. `ip netns exec` does not work in a chroot."""
    return ["nsenter", f"--net=/run/netns/{name}"]


@contextmanager
def netns() -> Iterator[str]:
    """A network namespace with its loopback up. Needs root. Use: [*in_netns(name), ...]"""
    name = f"sluice-{os.getpid()}-{os.urandom(3).hex()}"
    _run("ip", "netns", "add", name)
    try:
        _run(*in_netns(name), "ip", "link", "set", "lo", "up")
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


def resident_pages(path: str) -> int:
    """Pages of a file that are in the page cache (fincore)."""
    out = _run("fincore", "--raw", "--noheadings", "--bytes", "--output", "PAGES", path)
    match = re.search(r"\d+", out)
    return int(match.group()) if match else 0
