# SPDX-License-Identifier: BSD-3-Clause
"""What sluice is measured beside: tools of Debian, the disk's and the memory's own limits."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Sequence

from framework import run

from .contenders import empty, prepare, sync
from .inputs import Input, Sum, Wrong, tool
from .runner import Contender, Run

FIO_BLOCKS = ("256k", "1m", "4m")
FIO_DEPTHS = (1, 4, 16)
FIO_BYTES = 64 << 20
"""Most bytes in flight of a sweep."""

LEFT_OUT = {
    "dumpcap": "captures from interfaces only, does not read files",
    "tshark": "dissects every packet before it writes it; editcap is the tool of its package for this job",
}


def hugepages_free() -> int:
    """Bytes of free hugepages of the default size."""
    with open("/proc/meminfo", encoding="ascii") as file:
        found = dict(re.findall(r"^(HugePages_Free|Hugepagesize):\s+(\d+)", file.read(), re.M))
    return int(found.get("HugePages_Free", 0)) * int(found.get("Hugepagesize", 0)) * 1024


def installed(*programs: str) -> bool:
    """Are all of them there?"""
    return all(shutil.which(program) for program in programs)


def timed(commands: Sequence[Sequence[str]], at_a_time: int = 1, then: Callable[[], None] | None = None) -> Run:
    """Run commands, so many at a time, and what follows inside the time."""

    def one(words: Sequence[str]) -> None:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        if done.returncode:
            raise Wrong(f"{' '.join(words)}: exit status {done.returncode}: {done.stderr.decode().strip()[-300:]}")

    start = time.monotonic()
    with ThreadPoolExecutor(at_a_time) as pool:
        list(pool.map(one, commands))
    if then:
        then()
    seconds = time.monotonic() - start
    return Run(seconds, seconds, [list(words) for words in commands])


def tcpdump_words(item: Input, text: str | None, to: str) -> list[str]:
    """-Z root: as root tcpdump would give /dev/null to its own user."""
    return ["tcpdump", "--nano", "-nn", "-r", item.pcap, "-Z", "root", "-w", to, *([text] if text else [])]


def tcpdump_null(item: Input, texts: Sequence[str | None] = (None,), name: str = "tcpdump -w /dev/null") -> Contender:
    """tcpdump for each filter, two at a time, to /dev/null."""
    commands = [tcpdump_words(item, text, "/dev/null") for text in texts]
    return Contender(
        name, lambda: timed(commands, 2), "whole command; to /dev/null, so only its exit status is verified",
        item.packets, item.bytes, peer=True,
    )  # fmt: skip


def tcpdump_files(item: Input, texts: Sequence[str | None], expected: Sequence[Sum], out: str, name: str) -> Contender:
    """tcpdump for each filter, two at a time, to files, durable."""

    def once() -> Run:
        prepare(out, sum(s.bytes for s in expected))
        files = [f"{out}/{i}.pcap" for i in range(len(texts))]
        result = timed([tcpdump_words(item, t, f) for t, f in zip(texts, files)], 2, lambda: sync(out))
        for path, want in zip(files, expected):
            if os.path.getsize(path) - 24 != want.bytes:
                raise Wrong(f"{name}: {path} has {os.path.getsize(path) - 24} bytes of records, not {want.bytes}")
        empty(out)
        return result

    return Contender(name, once, "whole command and sync -f", item.packets, item.bytes, peer=True)


def one_file(item: Input, words: Callable[[str], list[str]], out: str, name: str, durable: bool) -> Contender:
    """A tool that copies the capture to one or more files of a directory."""

    def once() -> Run:
        prepare(out, item.bytes)
        result = timed([words(out)], 1, (lambda: sync(out)) if durable else None)
        size = sum(os.path.getsize(os.path.join(out, f)) - 24 for f in os.listdir(out))
        if size != item.bytes:
            raise Wrong(f"{name}: {size} bytes of records, not {item.bytes}")
        empty(out)
        return result

    what = "whole command and sync -f" if durable else "whole command"
    return Contender(name, once, what, item.packets, item.bytes, peer=True)


def editcap(item: Input, out: str, name: str, durable: bool) -> Contender:
    """editcap -i 60."""
    return one_file(
        item, lambda to: ["editcap", "-F", "nsecpcap", "-i", "60", item.pcap, to + "/all.pcap"], out, name, durable
    )


def netsniff(item: Input, out: str, name: str, durable: bool) -> Contender:
    """netsniff-ng, pcap to pcap; it has no nanosecond magic of its own unless -T says so."""
    return one_file(
        item,
        lambda to: ["netsniff-ng", "--in", item.pcap, "--out", to + "/all.pcap", "-s", "-T", "0xa1b23c4d"],
        out, name, durable,
    )  # fmt: skip


# --- limits


def memcpy(item: Input) -> Contender | None:
    """The capture's bytes at the rate of memcpy_bench."""
    program = tool("memcpy_bench")
    if not program:
        return None

    def once() -> Run:
        start = time.monotonic()
        rate = float(run.run([program]).out)
        return Run(item.bytes / rate, time.monotonic() - start, [[program]], {"bytes_per_second": rate})

    return Contender("memcpy, 1 core", once, "the capture's bytes at memcpy_bench's rate", None, item.bytes, peer=True)


class Fio:
    """fio on the disk, with its best block size, depth and kind of memory, found once."""

    def __init__(self, disk: str, sweep_bytes: int, quick: bool):
        self.disk, self.sweep_bytes = disk, sweep_bytes
        self.read_file = disk + "/fio-read"
        self.best: dict[str, tuple[str, int, str]] = {}
        self.sweeps: dict[str, dict[str, float]] = {}
        memories = ("malloc", "shmhuge") if hugepages_free() >= FIO_BYTES else ("malloc",)
        self.tries = [(b, d, m) for b in FIO_BLOCKS for d in FIO_DEPTHS for m in memories]
        if quick:
            self.tries = [("1m", 16, memories[-1])]

    @staticmethod
    def _round(size: int) -> int:
        return (size + (4 << 20) - 1) // (4 << 20) * (4 << 20)

    def words(self, block: str, depth: int, memory: str, write: int, read: int) -> list[str]:
        """A command that writes and reads so many bytes at once; 0: does not."""
        words = ["fio", "--direct=1", "--ioengine=io_uring", f"--bs={block}", f"--iodepth={depth}", f"--mem={memory}"]
        words += ["--output-format=json"]
        if write:
            words += ["--name=w", "--rw=write", f"--filename={self.disk}/out/fio", f"--size={self._round(write)}"]
            words += ["--fallocate=posix", "--end_fsync=1"]
        if read:
            words += ["--name=r", "--rw=read", f"--filename={self.read_file}", f"--size={self._round(read)}"]
        return words

    def prepare_read(self, read: int) -> None:
        """Lay out the file to read, once."""
        if os.path.exists(self.read_file) and os.path.getsize(self.read_file) >= self._round(read):
            return
        run.run(
            ["fio", "--name=l", "--direct=1", "--ioengine=io_uring", "--bs=1m", "--iodepth=4", "--rw=write"]
            + [f"--filename={self.read_file}", f"--size={self._round(read)}", "--end_fsync=1"],
            timeout=900,
        )

    def once(self, block: str, depth: int, memory: str, write: int, read: int) -> Run:
        """One run; fio takes a while to start and to end, so its own clock is the fairer one to be measured against."""
        out = prepare(self.disk + "/out", write)
        words = self.words(block, depth, memory, write, read)
        start = time.monotonic()
        result = run.run(words, timeout=900)
        sync(out)
        whole = time.monotonic() - start
        jobs = json.loads(result.out[result.out.index("{") :])["jobs"]
        moved = sum(job["read"]["io_bytes"] + job["write"]["io_bytes"] for job in jobs)
        if moved < write + read:
            raise Wrong(f"fio moved {moved} bytes, not {write + read}")
        own = max(job["job_runtime"] for job in jobs) / 1000
        empty(out)
        extra = {"block": block, "depth": depth, "memory": memory}
        return Run(min(whole, max(own, 0.001)), whole, [words], extra)

    def sweep(self, reading: bool) -> tuple[str, int, str]:
        """The best of this disk, writing, or reading and writing at once."""
        kind = "read and write" if reading else "write"
        if kind not in self.best:
            if reading:
                self.prepare_read(self.sweep_bytes)
            read = self.sweep_bytes if reading else 0
            rates = dict.fromkeys(self.tries, 0.0)
            for again in range(2):
                # The second time only those that may be the best.
                for one in sorted(rates, key=rates.get, reverse=True)[: 4 if again else None]:
                    seconds = self.once(*one, self.sweep_bytes, read).seconds
                    rates[one] = max(rates[one], (self.sweep_bytes + read) / seconds)
            self.sweeps[kind] = {f"{b} x {d}, {m}": rate for (b, d, m), rate in rates.items()}
            self.best[kind] = max(rates, key=rates.get)
        return self.best[kind]

    def contender(self, name: str, write: Callable[[], int], read: int = 0) -> Contender:
        """fio for the same bytes; `write` is asked when it runs, as the first run of sluice says how many."""
        best = self.sweep(bool(read))
        if read:
            self.prepare_read(read)
        return Contender(name, lambda: self.once(*best, write(), read), "fio's own clock", peer=True)
