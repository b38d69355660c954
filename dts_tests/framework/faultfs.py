# SPDX-License-Identifier: BSD-3-Clause
"""A file system that does what it is told: delays, hangs, errors, and the loss of what was not fsynced.

    with FaultFs(backing, mount) as faulty:
        hung = faulty.rule("fsync", "*.pending", hang=True)
        ...
        faulty.wait_hit(hung)
        faulty.clear()

Operations: open, create, mkdir, symlink, link, rename, unlink, rmdir, write, truncate, fallocate, chown, chmod, fsync,
fsyncdir, getattr, flush, statfs, read, readdir, readlink; "change" is any that changes or syncs something, "any" is any. A
pattern with a slash is matched with the path below the mount point ("/day/x*"; * matches slashes too), one without
with its last part.

The program is dts_tests/faultfs. Meson builds it where libfuse3-dev is installed.
"""

from __future__ import annotations

import functools
import glob as globbing
import os
import shlex
import shutil
import socket
import subprocess
import tempfile

from . import run
from .exception import TestCaseVerifyError

_SOURCES = os.path.join(run.REPO, "dts_tests", "faultfs")


@functools.cache
def program() -> str:
    """Path of faultfs: $FAULTFS, the one built beside sluice, or one compiled now."""

    def flags() -> list[str]:
        return [*shlex.split(run.run(["pkg-config", "--cflags", "--libs", "fuse3"]).out), "-lpthread"]

    sources, headers = (globbing.glob(f"{_SOURCES}/*.{suffix}") for suffix in "ch")
    return os.environ.get("FAULTFS") or run.tool("dts_tests/faultfs/faultfs", sources, headers, flags)


class FaultFs:
    """A mounted faultfs; a context manager that unmounts it. Needs root.

    Args:
        backing: Directory that holds the files; made if it is not there. What is in it when it is mounted is durable.
        mount: Mount point; made if it is not there.
        forget: Keep what a power loss would leave; power_loss() works only with it. BACKING.objects is made then.
    """

    def __init__(self, backing: str, mount: str, forget: bool = False):
        self.backing, self.mount, self.forget = backing, mount, forget
        # The name of a socket is short; a test's directory need not be.
        self._dir = ""
        self._process: run.Process | None = None

    def __enter__(self) -> FaultFs:
        if not os.path.exists("/dev/fuse"):
            os.mknod("/dev/fuse", 0o600 | 0o020000, os.makedev(10, 229))
        os.makedirs(self.backing, exist_ok=True)
        os.makedirs(self.mount, exist_ok=True)
        self._dir = tempfile.mkdtemp(prefix="faultfs-")
        self._socket = os.path.join(self._dir, "socket")
        words = [program(), self.backing, self.mount, self._socket, *(["forget"] if self.forget else [])]
        self._process = run.Process(words)
        try:
            self._process.wait_until(
                lambda: os.path.exists(self._socket) and os.path.ismount(self.mount), what=f"a mount at {self.mount}"
            )
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmount; what still waits in it fails."""
        if self._process:
            # Its end ends the connection: whoever hangs gets ENOTCONN, which no unmount would bring about.
            if subprocess.run(["umount", self.mount], stderr=subprocess.DEVNULL, check=False).returncode:
                self._process.kill()
                subprocess.run(["umount", "-l", self.mount], stderr=subprocess.DEVNULL, check=False)
            self._process.__exit__()
            self._process = None
        shutil.rmtree(self._dir, ignore_errors=True)

    def _ask(self, *words: object) -> list[str]:
        """Send a command; the lines of its answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(60)
            connection.connect(self._socket)
            connection.sendall(("\t".join(str(word) for word in words) + "\n").encode())
            answer = b""
            while data := connection.recv(1 << 20):
                answer += data
        lines = answer.decode(errors="surrogateescape").splitlines()
        if lines and lines[0].startswith("error"):
            raise TestCaseVerifyError(f"faultfs {' '.join(str(word) for word in words)}: {lines[0]}")
        return lines

    # ------------------------------------------------------------ rules

    def rule(
        self,
        op: str,
        glob: str = "*",
        delay: float = 0,
        hang: bool = False,
        error: int = 0,
        after: bool = False,
        ignore: bool = False,
        short: int = 0,
        freeze: bool = False,
        direct: bool | None = None,
        skip: int = 0,
        every: int = 0,
        times: int = 0,
    ) -> int:
        """Add a rule. Of several that match an operation the oldest whose turn it is decides.

        Args:
            op: Operation.
            glob: Path or last part of a path; for link and rename the new one.
            delay: Seconds that it takes longer.
            hang: It waits until release(), remove() or clear(); then it goes on, or fails if there is an error.
            error: It fails with this errno (the kernel repeats by itself what ends in ESTALE, and each failed look at a name) ...
            after: ... although it took place.
            ignore: It is reported as done and does nothing; fsync, fsyncdir and write only.
            short: A write takes only so many bytes.
            freeze: Here the power goes: this operation and all that follow wait, as if time stood still; see
                power_loss() and thaw().
            direct: Only what comes through a descriptor with O_DIRECT, or only what does not (open, create, read, write).
            skip: The first so many that match pass.
            every: Then each so-manieth.
            times: So often, then never again.

        Returns:
            Its number.
        """
        options: dict[str, object] = {"delay": delay, "hang": int(hang), "error": error, "after": int(after)}
        options |= {"ignore": int(ignore), "short": short, "freeze": int(freeze)}
        options |= {"skip": skip, "every": every, "times": times}
        if direct is not None:
            options["direct"] = int(direct)
        words = [f"{name}={value}" for name, value in options.items() if value or name == "direct"]
        return int(self._ask("rule", op, glob, *words)[0])

    def remove(self, rule: int) -> None:
        """Remove a rule. All operations that hang go on."""
        self._ask("remove", rule)

    def clear(self) -> None:
        """Remove all rules. All operations that hang or are delayed go on."""
        self._ask("remove")

    def release(self) -> None:
        """Operations that hang or are delayed go on; the rules stay."""
        self._ask("release")

    def hits(self, rule: int) -> int:
        """How often a rule was taken."""
        return int(self._ask("hits", rule)[0])

    def wait_hit(self, rule: int, timeout: float = 30) -> None:
        """Wait until a rule has been taken."""
        run.wait_until(lambda: self.hits(rule), timeout, f"rule {rule} of {self.mount}")

    def waiting(self) -> list[str]:
        """What hangs or is delayed: "fsync /day/x.pending"."""
        return self._ask("waiting")

    # ------------------------------------------------------------ what was done

    def log(self) -> list[str]:
        """Operations that change or sync something, in the order in which they finished.

        "write /x 0 4096", "link /a /b", "create /x excl"; those that failed end in " = ENOSPC".
        """
        return self._ask("log")

    def counts(self) -> dict[str, int]:
        """How many of each operation were begun."""
        return {name: int(count) for name, count in (line.split() for line in self._ask("counts"))}

    def clear_log(self) -> None:
        """Begin log() and counts() anew."""
        self._ask("forget-log")

    # ------------------------------------------------------------ power

    def frozen(self) -> bool:
        """A rule with freeze=True has been taken, and nothing goes on."""
        return self._ask("power") == ["frozen"]

    def thaw(self) -> None:
        """The power is back as if nothing had been."""
        self._ask("thaw")

    def cut(self) -> None:
        """Whatever waits or comes ends without effect, and with EIO, but for writes and their fsyncs.

        Kill programs first: then nothing of them runs on. They can't end before this.
        """
        self._ask("cut")

    def power_loss(self, seed: int = 0) -> dict[str, int]:
        """The power was lost: what is there now is what was fsynced.

        Programs that use the mount must have been killed; they end when this cuts the power. A directory's entries are durable
        if it was fsynced, a file's data, size and owner if the file was.

        Args:
            seed: 0: nothing else. Other numbers: some of it, at random, as disks and their caches do it: pieces of data, one of
                the sizes that the file had, single entries or all up to some moment.

        Returns:
            How many pieces of data and changes of entries were "kept" and "lost".
        """
        self.cut()
        return {name: int(count) for name, count in (line.split() for line in self._ask("loss", seed))}
