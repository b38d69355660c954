# SPDX-License-Identifier: BSD-3-Clause
"""Running sluice and other programs, with output that explains a failure."""

from __future__ import annotations

import atexit
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from typing import Callable, Sequence

from .exception import TestCaseVerifyError

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SLUICE = os.environ.get("SLUICE", os.path.join(REPO, "build", "app", "sluice"))


def tool(path: str, sources: Sequence[str], headers: Sequence[str], flags: Callable[[], Sequence[str]]) -> str:
    """A program of the tests: the one built beside sluice, or, if it is older than what it is made of, one compiled now.

    Args:
        path: Where the build has it, below the directory of the build.
        sources, headers: What it is made of.
        flags: Says what the linker needs.
    """
    built = os.path.join(os.path.dirname(os.path.dirname(SLUICE)), path)
    if os.path.exists(built) and os.path.getmtime(built) >= max(map(os.path.getmtime, [*sources, *headers])):
        return built
    directory = tempfile.mkdtemp(prefix="sluice-tool-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    built = os.path.join(directory, os.path.basename(path))
    run(["cc", "-O2", "-std=gnu17", "-D_GNU_SOURCE", "-o", built, *sources, *flags()])
    return built


def _tail(text: str, limit: int = 6000) -> str:
    return text if len(text) <= limit else f"[{len(text) - limit} characters before]\n" + text[-limit:]


class Result:
    """A finished program.

    Attributes:
        rc: Exit status; -N if signal N ended it.
        out: Standard output.
        err: Standard error.
    """

    def __init__(self, command: Sequence[str], rc: int, out: str, err: str, seconds: float):
        self.command, self.rc, self.out, self.err, self.seconds = list(command), rc, out, err, seconds

    def describe(self) -> str:
        """The command, its exit status and its output, for a failure message."""
        return (
            f"$ {shlex.join(self.command)}\nexit status {self.rc} after {self.seconds:.2f} s\n"
            f"--- stdout\n{_tail(self.out)}\n--- stderr\n{_tail(self.err)}"
        )

    def check(self, rc: int = 0) -> Result:
        """Fail the test case unless the exit status is rc."""
        __tracebackhide__ = True
        if self.rc != rc:
            raise TestCaseVerifyError(f"exit status {self.rc}, expected {rc}\n{self.describe()}")
        if "Sanitizer" in self.err or "runtime error:" in self.err:
            raise TestCaseVerifyError(f"a sanitizer spoke\n{self.describe()}")
        return self


def run(
    command: Sequence[str],
    rc: int | None = 0,
    timeout: float = 120,
    env: dict[str, str] | None = None,
    stdin: bytes | None = None,
    cwd: str | None = None,
) -> Result:
    """Run a program to its end.

    Args:
        command: Program and arguments.
        rc: Exit status it must have; None: any.
        timeout: Seconds after which it is killed and the test case fails.
        env: Variables added to the environment.
        stdin: Bytes for standard input.
        cwd: Directory to run in.
    """
    __tracebackhide__ = True
    command = [str(word) for word in command]
    start = time.monotonic()
    try:
        done = subprocess.run(
            command,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        text = Result(
            command,
            -signal.SIGKILL,
            (late.stdout or b"").decode(errors="replace"),
            (late.stderr or b"").decode(errors="replace"),
            timeout,
        )
        raise TestCaseVerifyError(f"not done after {timeout} s: killed\n{text.describe()}") from None
    except FileNotFoundError:
        raise TestCaseVerifyError(f"{command[0]}: no such program (SLUICE={SLUICE})") from None
    result = Result(
        command,
        done.returncode,
        done.stdout.decode(errors="replace"),
        done.stderr.decode(errors="replace"),
        time.monotonic() - start,
    )
    if rc is not None:
        result.check(rc)
    return result


class Process:
    """A program that runs beside the test case; a context manager that kills it if it still runs."""

    def __init__(
        self,
        command: Sequence[str],
        env: dict[str, str] | None = None,
        stdin=subprocess.DEVNULL,
        stdout=None,
        preexec_fn: Callable | None = None,
        cwd: str | None = None,
    ):
        self.command = [str(word) for word in command]
        # Files, not pipes: a test case that does not read can't block the program.
        self._out = tempfile.TemporaryFile()
        self._err = tempfile.TemporaryFile()
        self._start = time.monotonic()
        self.popen = subprocess.Popen(
            self.command,
            stdin=stdin,
            stdout=self._out if stdout is None else stdout,
            stderr=self._err,
            env={**os.environ, **(env or {})},
            preexec_fn=preexec_fn,
            cwd=cwd,
        )
        self.pid = self.popen.pid

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._out.close()
        self._err.close()

    @staticmethod
    def _text(file) -> str:
        # pread: the file offset is shared with the running program.
        return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")

    @property
    def out(self) -> str:
        """Standard output so far."""
        return self._text(self._out)

    @property
    def err(self) -> str:
        """Standard error so far."""
        return self._text(self._err)

    def running(self) -> bool:
        return self.popen.poll() is None

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def kill(self) -> None:
        if self.running():
            self.popen.kill()
        self.popen.wait()

    def result(self) -> Result:
        rc = self.popen.poll()
        return Result(self.command, rc if rc is not None else 0, self.out, self.err, time.monotonic() - self._start)

    def wait(self, timeout: float = 60, rc: int | None = 0) -> Result:
        """Wait for its end; fail the test case if it takes longer or ends with another exit status."""
        __tracebackhide__ = True
        try:
            self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            text = self.result().describe()
            self.kill()
            raise TestCaseVerifyError(f"still running after {timeout} s: killed\n{text}") from None
        result = self.result()
        return result if rc is None else result.check(rc)

    def stop(self, timeout: float = 60, rc: int | None = 0) -> Result:
        """SIGTERM, then wait()."""
        __tracebackhide__ = True
        if self.running():
            self.signal(signal.SIGTERM)
        return self.wait(timeout, rc)

    def wait_until(self, condition: Callable[[], object], timeout: float = 30, what: str = "condition") -> object:
        """Wait until condition() is true; fail if the program ends or time is up before."""
        __tracebackhide__ = True

        def check() -> object:
            __tracebackhide__ = True
            running = self.running()
            value = condition()
            if not value and not running:
                raise TestCaseVerifyError(f"ended before: {what}\n{self.result().describe()}")
            return value

        return wait_until(check, timeout, lambda: f"{what}\n{self.result().describe()}")


def cpu_seconds(pid: int) -> float:
    """CPU time of a process's threads that still run; not sampled by the timer's ticks, as /proc/PID/stat may be."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def resident(pid: int) -> int:
    """Bytes of a process that are in memory."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def wait_until(
    condition: Callable[[], object], timeout: float = 30, what: str | Callable[[], str] = "condition", pause: float = 0.02
) -> object:
    """Wait until condition() is true; fail the test case if time is up before.

    Args:
        condition: Is asked again after each pause (seconds).
        what: What is waited for, or a function that says it when it was in vain.
    """
    __tracebackhide__ = True
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TestCaseVerifyError(f"not within {timeout} s: {what() if callable(what) else what}")
        time.sleep(pause)


def sluice(*args: str, rc: int | None = 0, timeout: float = 120, **kwargs) -> Result:
    """Run `sluice ARGS...` to its end; rc is the exit status it must have, None for any."""
    __tracebackhide__ = True
    return run([SLUICE, *args], rc=rc, timeout=timeout, **kwargs)


def sluice_start(*args: str, **kwargs) -> Process:
    """Start `sluice ARGS...` beside the test case."""
    return Process([SLUICE, *args], **kwargs)


def import_capture(store: str, *files: str, capture: str | None = None, rc: int | None = 0, **kwargs) -> Result:
    """`sluice import` of files into a store."""
    __tracebackhide__ = True
    name = ["--capture", capture] if capture else []
    return sluice("import", "--store", store, *name, *files, rc=rc, **kwargs)


def push_once(
    config: str, store: str, *args: str, no_huge: bool = True, rc: int | None = 0, timeout: float = 120, **kwargs
) -> Result:
    """`sluice push --once`. Without hugepages unless no_huge is False, so that suites can run side by side."""
    __tracebackhide__ = True
    huge = ["--no-huge"] if no_huge else []
    return sluice(
        "push", "--config", config, "--store", store, "--once", *huge, *args, rc=rc, timeout=timeout, **kwargs
    )


def push_start(config: str, store: str, *args: str, no_huge: bool = True, **kwargs) -> Process:
    """A following `sluice push` beside the test case."""
    huge = ["--no-huge"] if no_huge else []
    return sluice_start("push", "--config", config, "--store", store, *huge, *args, **kwargs)


def summary(result: Result) -> dict[str, dict[str, str]]:
    """The table that ends `push --once`: Desc -> column -> text, such as {"all": {"packets": "12", ...}}."""
    __tracebackhide__ = True
    rows: dict[str, dict[str, str]] = {}
    heads: list[str] = []
    for line in result.out.splitlines():
        words = line.split()
        if words[:3] == ["target", "packets", "bytes"]:
            heads = words[1:]
        elif heads and len(words) > len(heads) and all(re.fullmatch(r"[0-9a-f]+", word) for word in words[-len(heads) :]):
            rows[" ".join(words[: -len(heads)])] = dict(zip(heads, words[-len(heads) :]))
        elif heads:
            break
    if not rows:
        raise TestCaseVerifyError(f"no table of targets\n{result.describe()}")
    return rows


def list_files(directory: str, suffix: str = "") -> list[str]:
    """All regular files below a directory, as sorted relative paths."""
    found = []
    for base, _, names in os.walk(directory):
        for name in names:
            if name.endswith(suffix):
                found.append(os.path.relpath(os.path.join(base, name), directory))
    return sorted(found)


def read_tree(directory: str, suffix: str = "") -> dict[str, bytes]:
    """Relative path -> content of all regular files below a directory."""
    tree = {}
    for name in list_files(directory, suffix):
        with open(os.path.join(directory, name), "rb") as file:
            tree[name] = file.read()
    return tree
