# SPDX-License-Identifier: BSD-3-Clause
"""sluice as it is timed: started, watched, and its result verified against what tcpdump says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
import zlib
from dataclasses import dataclass, field
from typing import Any, Callable, Sequence

from framework import fs, lua, run

from . import filters, watch
from .inputs import Input, Sum, Wrong
from .runner import Contender, Run

STEADY = "first to last dispatch"
DURABLE = "first dispatch to exit and sync -f"
TO_EXIT = "first dispatch to exit"

pause = [4.0]
"""Seconds of rest before a run that writes to a disk; Lab sets it."""

_number = [0]


def sync(path: str) -> None:
    """Make what is on the path's file system durable."""
    subprocess.run(["sync", "-f", path], check=True)


def wait_exactly(process: run.Process, most: float) -> None:
    """Wait for an end without looking only every 50 ms, as Popen.wait() does with a timeout. It is killed after `most`."""
    killer = threading.Timer(most, process.popen.kill)
    killer.start()
    try:
        process.popen.wait()
    finally:
        killer.cancel()


def empty(path: str) -> str:
    """A directory without content, with nothing left to be written by the disk."""
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    sync(path)
    return path


def prepare(out: str, size: int) -> str:
    """An empty directory to write so many bytes to, in the same state for everybody.

    On tmpfs, memory that a virtual machine has given back to its host is dear to touch again: as many bytes are written
    and deleted just before. A disk gets a pause, as many have a token bucket.
    """
    empty(out)
    if fs.fs_type(out) == "tmpfs":
        block = bytes(4 << 20)
        with open(out + "/warm", "wb", buffering=0) as file:
            for _ in range(0, size, len(block)):
                file.write(block)
        os.unlink(out + "/warm")
    else:
        time.sleep(pause[0])
    return out


def verdict_cache(text: str) -> str | None:
    """What push said of its verdict cache."""
    match = re.search(r"^(verdict.*)$", text, re.M)
    return match.group(1) if match else None


def steady_seconds(text: str) -> float | None:
    """What push printed."""
    match = re.search(r"first to last dispatch ([\d.]+) s", text)
    return float(match.group(1)) if match and float(match.group(1)) > 0 else None


def start_seconds(text: str) -> float | None:
    """Start to first dispatch as push printed it."""
    match = re.search(r"start to first dispatch ([\d.]+) s", text)
    return float(match.group(1)) if match else None


def stages(text: str) -> dict[str, float]:
    """Nanoseconds a packet of each stage that push printed."""
    match = re.search(r"^stages:(.*)$", text, re.M)
    return {n: float(v) for n, v in re.findall(r"(\w+) ([\d.]+) ns/packet", match.group(1))} if match else {}


def lcores_busy(text: str) -> dict[str, int]:
    """Percent of each lcore's time that push printed as busy."""
    match = re.search(r"^lcores busy:(.*)$", text, re.M)
    return {name: int(share) for name, share in re.findall(r"(\S+) (\d+) %", match.group(1))} if match else {}


def map_of(text: str) -> str | None:
    """The map that push printed."""
    match = re.search(r"^map: (.*)$", text, re.M)
    return match.group(1) if match else None


def compare(rows: dict[str, dict[str, str]], expected: Sequence[Sum], crc: bool) -> None:
    """Raise unless push's table holds what was expected of targets t0, t1, ..."""
    if len(rows) != len(expected):
        raise Wrong(f"{len(rows)} targets in the summary, {len(expected)} were pushed")
    for i, want in enumerate(expected):
        row = rows.get(f"t{i}")
        if row is None:
            raise Wrong(f"target t{i} is not in the summary")
        got = Sum(int(row["packets"]), int(row["bytes"]), row["crc-32"] if crc else want.crc)
        if got != want:
            raise Wrong(f"target t{i}: got {got}, expected {want}")


def files_of(out: str) -> dict[str, list[str]]:
    """Published files of each target, in the order of their names, which begin with a time."""
    found: dict[str, list[str]] = {}
    for name in sorted(os.listdir(out)):
        if not name.endswith(".pcap"):
            raise Wrong(f"{out}/{name}: not a published file")
        found.setdefault(name.split("_")[0], []).append(os.path.join(out, name))
    return found


def compare_sizes(out: str, expected: Sequence[Sum]) -> int:
    """Raise unless the files' sizes are those of the expected records. Returns the bytes of all files."""
    files, total = files_of(out), 0
    for i, want in enumerate(expected):
        names = files.get(f"t{i}", [])
        size = sum(os.path.getsize(name) for name in names)
        total += size
        if size - 24 * len(names) != want.bytes:
            raise Wrong(f"target t{i}: its files hold {size - 24 * len(names)} bytes of records, not {want.bytes}")
    return total


def compare_content(out: str, expected: Sequence[Sum]) -> None:
    """Raise unless the CRC-32 over the files' records is as expected."""
    files = files_of(out)
    for i, want in enumerate(expected):
        crc = 0
        for name in files.get(f"t{i}", []):
            with open(name, "rb") as file:
                file.seek(24)
                while block := file.read(4 << 20):
                    crc = zlib.crc32(block, crc)
        if f"{crc:08x}" != want.crc:
            raise Wrong(f"target t{i}: CRC-32 of its files is {crc:08x}, expected {want.crc}")


@dataclass
class Push:
    """A push of an input to some targets.

    Attributes:
        work: Directory for the configuration.
        item: What is pushed.
        texts: A filter for each target; None: no filter.
        expected: What each target must receive.
        out: Directory for files; None: the null sink.
        durable: The time holds a `sync -f` of `out`.
        store: The store, if it is not the input's on tmpfs.
        map: --map.
        options: More options.
        environment: More environment.
        fields: More fields of each target.
        memory: Watch it.
        trace: What samples progress while it runs, made from the process id.
        written: Bytes of the files of the last run.
        map_used: The map that push printed when it was checked.
    """

    work: str
    item: Input
    texts: Sequence[str | None]
    expected: Sequence[Sum]
    out: str | None = None
    durable: bool = False
    store: str | None = None
    map: str | None = None
    options: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    memory: bool = False
    trace: Callable[[int], watch.Progress] | None = None
    written: int = 0
    map_used: str = ""

    def __post_init__(self) -> None:
        _number[0] += 1
        self.config = f"{self.work}/push{_number[0]}.lua"
        lua.write_config(
            self.config, filters.targets(list(self.texts), self.out or self.work + "/null", **self.fields)
        )

    def command(self, crc: bool = False) -> list[str]:
        """As it is run."""
        sink = ("file" if self.out else "null") + (",crc" if crc else "")
        words = [run.SLUICE, "push", "--config", self.config, "--store", self.store or self.item.store, "--once"]
        words += ["--sink", sink, *(["--map", self.map] if self.map else []), *self.options]
        return words

    def check(self) -> None:
        """An untimed run whose CRC-32 of each target is compared; of files also what can be read back from them."""
        if self.out:
            empty(self.out)
        result = run.run(self.command(crc=True), timeout=900, env=self.environment)
        self.map_used = map_of(result.out) or ""
        compare(run.summary(result), self.expected, crc=True)
        if self.out:
            compare_sizes(self.out, self.expected)
            compare_content(self.out, self.expected)
            empty(self.out)

    def run(self) -> Run:
        """A timed run; packets and bytes are verified."""
        command = self.command()
        if self.out:
            prepare(self.out, sum(s.bytes for s in self.expected))
        watchers: dict[str, watch.Thread] = {}
        start = time.monotonic()
        with run.Process(command, env=self.environment) as process:
            if self.memory:
                watchers["memory"] = watch.Memory(process.pid, self.store or self.item.store)
            if self.trace:
                watchers["trace"] = self.trace(process.pid)
            for one in watchers.values():
                one.start()
            try:
                wait_exactly(process, 900)
                if self.durable:
                    sync(self.out)
                end = time.monotonic()
            finally:
                for one in watchers.values():
                    one.stop()
            result = process.result().check()
        compare(run.summary(result), self.expected, crc=False)
        extra: dict[str, Any] = {"map": map_of(result.out), "lcores_busy_percent": lcores_busy(result.out)}
        if said := verdict_cache(result.out):
            extra["verdict_cache"] = said
        extra["stages_ns_per_packet"] = stages(result.out)
        # Counted from exec, before push's own clock begins: no later than the first dispatch really was.
        starting = extra["start_to_first_dispatch"] = start_seconds(result.out)
        steady = steady_seconds(result.out)
        if self.out:
            self.written = compare_sizes(self.out, self.expected)
            seconds = end - start - (starting or 0)
            extra.update(dispatch_seconds=steady, written=self.written)
            shutil.rmtree(self.out, ignore_errors=True)
        else:
            if steady is None:
                raise Wrong(f"push did not say how long it took from first to last dispatch\n{result.describe()}")
            seconds = steady
            extra["start_and_stop_seconds"] = end - start - steady
        if self.memory:
            extra.update(peak_bytes=watchers["memory"].peak, store_mapped_bytes=watchers["memory"].store)
        if self.trace:
            extra["trace"] = watchers["trace"].samples
        return Run(seconds, end - start, [command], extra)

    def contender(self, name: str) -> Contender:
        """To be timed."""
        what = STEADY if not self.out else DURABLE if self.durable else TO_EXIT
        return Contender(name, self.run, what, self.item.packets, self.item.bytes)
