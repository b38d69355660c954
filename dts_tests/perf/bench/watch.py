# SPDX-License-Identifier: BSD-3-Clause
"""What is looked at while something runs: memory, the first working file, and progress."""

from __future__ import annotations

import glob
import json
import os
import re
import socket
import threading
import time


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{task}/children", encoding="ascii") as file:
                    found += map(int, file.read().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


class Thread(threading.Thread):
    """Calls look() every so often until it is stopped."""

    def __init__(self, every: float):
        super().__init__(daemon=True)
        self.every, self.done = every, threading.Event()

    def look(self) -> None:
        """To be overridden."""

    def run(self) -> None:
        while not self.done.wait(self.every):
            self.look()

    def stop(self) -> None:
        self.done.set()
        self.join()

    def __enter__(self) -> "Thread":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Memory(Thread):
    """Peak of the memory of a process and its children.

    Attributes:
        peak: Bytes, VmRSS plus HugetlbPages, without pages of the store.
        store: Bytes of the store that were mapped at that moment: page cache of a tmpfs, not memory of the process.
    """

    def __init__(self, pid: int, store: str, every: float = 0.02):
        super().__init__(every)
        self.pid, self.path, self.peak, self.store = pid, os.path.realpath(store), 0, 0

    @staticmethod
    def of(pid: int) -> int:
        """Bytes of one process; 0 if it is gone."""
        try:
            with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
                found = re.findall(r"^(?:VmRSS|HugetlbPages):\s+(\d+) kB", file.read(), re.M)
        except (FileNotFoundError, ProcessLookupError):
            return 0
        return sum(map(int, found)) * 1024

    def mapped(self, pid: int) -> int:
        """Bytes of the store's files that are in its memory."""
        total, inside = 0, False
        try:
            with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
                if self.path not in file.read():
                    return 0
            with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as file:
                for line in file:
                    if line[0] in "0123456789abcdef":
                        inside = self.path in line
                    elif inside and line.startswith("Rss:"):
                        total += int(line.split()[1]) * 1024
        except (FileNotFoundError, ProcessLookupError):
            return 0
        return total

    def look(self) -> None:
        pids = family(self.pid)
        total = sum(map(self.of, pids))
        if total <= self.peak:
            return
        store = sum(map(self.mapped, pids))
        if total - store > self.peak:
            self.peak, self.store = total - store, store


class FirstFile(Thread):
    """When the first file appeared in a directory: the first packet of a target has come through all stages."""

    def __init__(self, directory: str, every: float = 0.001):
        super().__init__(every)
        self.directory, self.at = directory, None

    def look(self) -> None:
        with os.scandir(self.directory) as entries:
            if any(True for _ in entries):
                self.at = time.monotonic()
                self.done.set()


class Progress(Thread):
    """Bytes that a process has had written, sampled: /proc/PID/io counts what goes to a block device at submission.

    Attributes:
        samples: (seconds since the start, bytes).
    """

    def __init__(self, pid: int, every: float = 0.05):
        super().__init__(every)
        self.pid, self.begun, self.samples = pid, time.monotonic(), []

    def value(self) -> int | None:
        """Bytes so far; None if the process is gone."""
        try:
            total = 0
            for pid in family(self.pid):
                with open(f"/proc/{pid}/io", encoding="ascii") as file:
                    total += int(re.search(r"^write_bytes: (\d+)", file.read(), re.M).group(1))
            return total
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return None

    def look(self) -> None:
        value = self.value()
        if value is not None:
            self.samples.append((time.monotonic() - self.begun, value))


class Dispatched(Progress):
    """Bytes that the reader has dispatched, asked of push's own telemetry."""

    def __init__(self, pid: int, every: float = 0.05):
        super().__init__(pid, every)
        self.socket: socket.socket | None = None

    @staticmethod
    def directory() -> str:
        """Where EAL puts its sockets, by push's file prefix."""
        root = "/var/run" if os.getuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "/tmp")
        return root + "/dpdk/sluice"

    def _connect(self) -> socket.socket | None:
        """The socket that greets with our process id: other pushes have theirs beside it."""
        for path in glob.glob(self.directory() + "/dpdk_telemetry.v2*"):
            one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            one.settimeout(1)
            try:
                one.connect(path)
                if json.loads(one.recv(4096)).get("pid") == self.pid:
                    return one
            except (OSError, ValueError):
                pass
            one.close()
        return None

    def value(self) -> int | None:
        try:
            self.socket = self.socket or self._connect()
            if not self.socket:
                return None
            self.socket.send(b"/sluice/stages")
            told = json.loads(self.socket.recv(65536)).get("/sluice/stages")
            return told["bytes"] if told else None
        except (OSError, ValueError, KeyError):
            return None

    def stop(self) -> None:
        super().stop()
        if self.socket:
            self.socket.close()


def slowest_second(samples: list[tuple[float, float]], width: float = 1.0) -> dict | None:
    """The worst of all windows of so many seconds, against the mean from the first to the last progress.

    Windows begin at each sample, so a dip is not split between two of them. None if progress took less than two of
    them: then a second says nothing.
    """
    first = next((i for i in range(1, len(samples)) if samples[i][1] > samples[0][1]), None)
    if first is None:
        return None
    end = samples[-1][1]
    last = next(i for i, (_, value) in enumerate(samples) if value == end)
    steady = samples[first - 1 : last + 1]
    span = steady[-1][0] - steady[0][0]
    if span < 2 * width:
        return None
    mean = (steady[-1][1] - steady[0][1]) / span
    worst, at = None, 0.0
    right = 0
    for when, value in steady:
        while right < len(steady) and steady[right][0] < when + width:
            right += 1
        if right == len(steady):
            break
        # interpolate, as samples do not fall on whole seconds
        (t0, v0), (t1, v1) = steady[right - 1], steady[right]
        end_value = v0 + (v1 - v0) * (when + width - t0) / (t1 - t0) if t1 > t0 else v1
        rate = (end_value - value) / width
        if worst is None or rate < worst:
            worst, at = rate, when - steady[0][0]
    return {"mean": mean, "worst": worst, "at": at, "ratio": worst / mean, "width": width, "span": span}
