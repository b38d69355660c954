# SPDX-License-Identifier: BSD-3-Clause
"""A machine that can lose its power: a faultfs for all that is on its disk, and another boot id after each loss."""

from __future__ import annotations

import os
import shutil

from . import run
from .faultfs import FaultFs

_BOOT = 'mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec "$@"'


class Machine:
    """A context manager.

    Args:
        directory: Where its disk is made, and what is not on it.
        store: A store that is copied to it, as <disk>/store.

    Attributes:
        disk: The mount point.
        fs: The FaultFs.
    """

    def __init__(self, directory: str, store: str | None = None):
        self.directory = directory
        self.disk = os.path.join(directory, "disk")
        self.store = os.path.join(self.disk, "store")
        backing = os.path.join(directory, "backing")
        os.makedirs(backing)
        if store:
            shutil.copytree(store, os.path.join(backing, "store"), symlinks=True)
        self.fs = FaultFs(backing, self.disk, forget=True)
        self._boots = 0

    def __enter__(self) -> Machine:
        self.fs.__enter__()
        self._boot()
        return self

    def __exit__(self, *_: object) -> None:
        self.fs.close()
        run.wait_until(lambda: not os.path.ismount(self.disk), what="unmount")
        shutil.rmtree(self.directory, ignore_errors=True)

    def _boot(self) -> None:
        self._boots += 1
        self._boot_id = os.path.join(self.directory, f"boot{self._boots}")
        with open(self._boot_id, "w", encoding="ascii") as file:
            file.write(f"{self._boots:08x}-5ca1-4ab1-8e55-0123456789ab\n")

    def command(self, command: list[str]) -> list[str]:
        """The words that run a command of this machine: it sees the boot id of this boot."""
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", _BOOT, "sh", self._boot_id, *command]

    def run(self, command: list[str], rc: int | None = 0, **kwargs) -> run.Result:
        """Run a command to its end."""
        return run.run(self.command(command), rc=rc, **kwargs)

    def start(self, command: list[str], **kwargs) -> run.Process:
        """Start a command."""
        return run.Process(self.command(command), **kwargs)

    def sync_root(self) -> None:
        """Make what is directly on the disk durable."""
        fd = os.open(self.disk, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    def until(self, command: list[str], op: str, glob: str, skip: int = 0, seed: int = 0, **kwargs) -> run.Result:
        """Run a command until its power goes before an operation, or to its end.

        Args:
            command: Program and arguments.
            op, glob, skip: The operation, as for FaultFs.rule().
            seed: As for FaultFs.power_loss().
            kwargs: For run.Process.

        Returns:
            How it ended: its status is -SIGKILL if the power went.
        """
        rule = self.fs.rule(op, glob, freeze=True, skip=skip, times=1)
        with self.start(command, **kwargs) as process:
            run.wait_until(lambda: self.fs.frozen() or not process.running(), 60, f"{op} {glob}, or the end of {command}")
            if self.fs.frozen():
                self.lose(seed, process)
            result = process.wait(rc=None)
        self.fs.remove(rule)
        return result

    def lose(self, seed: int = 0, *processes: run.Process) -> None:
        """Lose power now, with all that runs; boot again.

        Args:
            seed: As for FaultFs.power_loss().
            processes: All that has something open on the disk.
        """
        for process in processes:
            if process.running():
                process.popen.kill()
        # What waits in the file system can't die before.
        self.fs.cut()
        for process in processes:
            process.wait(rc=None)
        self.fs.power_loss(seed)
        self._boot()
