# SPDX-License-Identifier: BSD-3-Clause
"""A virtual machine under software emulation, for kernels that this machine has not: see dts_tests/guest/.

It is an initramfs of Debian's cloud kernel, busybox, NFS server and client, the sluice of this run and files of the test.
A test may plug NICs into it.
Scripts go to it through a virtio-serial port, one at a time; what goes on at the same time is started there with `&`.
"""

from __future__ import annotations

import base64
import os
import platform
import select
import shlex
import subprocess
import time
from typing import Callable, Mapping, Sequence

from .exception import TestCaseVerifyError
from .run import REPO, SLUICE, Result, run, wait_until

SCRIPTS = os.path.join(REPO, "dts_tests", "guest")
CACHE = os.environ.get("SLUICE_GUEST_CACHE", os.path.join(REPO, "build-check", "guest"))
# Never KVM: a virtual machine in a virtual machine may hang, and every machine has software emulation.
QEMU = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-no-reboot"]
QEMU += ["-nodefaults", "-display", "none"]
KERNEL_WORDS = "console=ttyS0 panic=-1 quiet random.trust_cpu=on mitigations=off cryptomgr.notests intel_iommu=on"


def supported() -> bool:
    """The guest's programs are this machine's, so it must be of the guest's architecture."""
    return platform.machine() == "x86_64"


class Guest:
    """A running guest, from `with` until its end.

    Attributes:
        booted: Seconds until it answered.
        kernel: Its `uname -r`.
    """

    def __init__(
        self,
        directory: str,
        files: Mapping[str, str],
        memory: int = 1024,
        hardware: Sequence[str] = ("-M", "pc"),
        programs: Sequence[str] = (),
    ):
        """
        Args:
            directory: For the initramfs and the console's log.
            files: Path on this machine -> path in the guest.
            memory: MiB.
            hardware: qemu's options for the machine and what is plugged into it.
            programs: Programs of this machine that the guest has too, besides sluice.
        """
        self.directory, self.files, self.memory = directory, dict(files), memory
        self.hardware, self.programs = list(hardware), list(programs)
        self.console_path = os.path.join(directory, "console.log")
        self.popen: subprocess.Popen | None = None
        self.number = 0
        self.pending = b""
        self.booted = 0.0
        self.kernel = ""

    def __enter__(self) -> Guest:
        __tracebackhide__ = True
        run([os.path.join(SCRIPTS, "fetch.sh"), CACHE], timeout=600)
        with open(os.path.join(CACHE, "kernel"), encoding="ascii") as file:
            kernel = os.path.join(CACHE, "root", "boot", f"vmlinuz-{file.read().strip()}")
        initramfs = os.path.join(self.directory, "initramfs.cpio")
        words = [f"{path}={inside}" for path, inside in self.files.items()]
        run([os.path.join(SCRIPTS, "initramfs.sh"), CACHE, initramfs, SLUICE, *self.programs, *words], timeout=120)
        command = [*QEMU, *self.hardware, "-m", str(self.memory), "-kernel", kernel, "-initrd", initramfs, "-append", KERNEL_WORDS]
        command += ["-serial", f"file:{self.console_path}", "-chardev", "stdio,id=port,signal=off"]
        command += ["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=port"]
        start = time.monotonic()
        self.popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
        )
        try:
            self.kernel = self._answer(command, 0, 120).out.strip()
        except BaseException:
            self.close()
            raise
        self.booted = time.monotonic() - start
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it at once."""
        if self.popen:
            self.popen.kill()
            self.popen.wait()
            self.popen.stdin.close()
            self.popen.stdout.close()
            self.popen = None

    def console(self) -> str:
        """What its kernel and its first process have said, the end of it."""
        with open(self.console_path, encoding="utf-8", errors="replace") as file:
            return file.read()[-4000:]

    def _answer(self, command: list[str], number: int, timeout: float) -> Result:
        __tracebackhide__ = True
        start = time.monotonic()
        while True:
            line, found, rest = self.pending.partition(b"\n")
            if found:
                self.pending = rest
                words = line.decode("ascii", errors="replace").split()
                if len(words) in (2, 3) and words[0] == str(number):
                    out = base64.b64decode(words[2] if len(words) == 3 else "").decode(errors="replace")
                    return Result(command, int(words[1]), out, "", time.monotonic() - start)
                raise TestCaseVerifyError(f"the guest says {line!r}\n--- console\n{self.console()}")
            left = start + timeout - time.monotonic()
            data = b""
            if left > 0 and select.select([self.popen.stdout], [], [], left)[0]:
                data = os.read(self.popen.stdout.fileno(), 65536)
            if not data:
                why = "has ended" if left > 0 else f"does not answer within {timeout:.0f} s"
                text = shlex.join(command)
                said = self.pending.decode(errors="replace")
                raise TestCaseVerifyError(f"the guest {why}: $ {text}\n{said}\n--- console\n{self.console()}")
            self.pending += data

    def run(self, script: str, rc: int | None = 0, timeout: float = 60) -> Result:
        """Run a shell script in the guest to its end; stdout holds its stderr, too.

        Args:
            script: For busybox's sh; the functions of guest/nfs.sh are there.
            rc: Exit status it must have, None for any.
            timeout: Seconds until it is killed there, which gives status 143.
        """
        __tracebackhide__ = True
        self.number += 1
        text = base64.b64encode(f". /etc/nfs.sh\n{script}\n".encode()).decode()
        self.popen.stdin.write(f"{self.number} {int(timeout)} {text}\n".encode())
        result = self._answer(["guest", script], self.number, timeout + 20)
        return result if rc is None else result.check(rc)

    def wait_until(self, condition: Callable[[], object], timeout: float = 60, what: str | Callable[[], str] = "") -> object:
        """Ask until condition() is true; what, or what it returns then, says what was waited for in vain."""
        __tracebackhide__ = True
        return wait_until(
            condition, timeout, lambda: f"{what() if callable(what) else what}\n--- console\n{self.console()}", 0.3
        )

    def read(self, path: str) -> bytes:
        """A file of the guest."""
        __tracebackhide__ = True
        return base64.b64decode(self.run(f"base64 {shlex.quote(path)}").out)
