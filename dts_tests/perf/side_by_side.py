#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""sluice beside tcpdump, editcap, fio and memcpy: the same packets, the same disk, interleaved in one run.

    SLUICE=build/app/sluice dts_tests/perf/side_by_side.py --bytes 2e9

Each contender runs once to warm up and then `--runs` times, in turn with the others, so that a slow minute of the machine
hits all of them. Whoever writes to a disk has `sync -f` inside its time. Absolute figures are this machine's; the ratios
are what travels.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Callable

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from framework import fs, lua, run, traffic  # noqa: E402

FIO_BLOCKS = ("256k", "1m", "4m")
FIO_DEPTHS = (1, 4, 16)


def sync(path: str) -> None:
    """Make what is on the path's file system durable."""
    subprocess.run(["sync", "-f", path], check=True)


def empty(path: str) -> str:
    """A directory without content, with nothing left to be written by the disk."""
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    sync(path)
    return path


def tree_bytes(path: str) -> int:
    """Bytes of all files below."""
    return sum(os.path.getsize(os.path.join(path, name)) for name in run.list_files(path))


class Bench:
    """The contenders and what they work on."""

    def __init__(self, size: int, disk: str, tmpfs: str):
        self.disk, self.tmpfs, self.size = disk, tmpfs, size
        self.capture = tmpfs + "/in.pcap"
        self.store = tmpfs + "/store"
        self.steady: list[float] = []
        self.fio_best = ("1m", 4)
        self.fio_sweep: dict[str, float] = {}
        self.written = 0
        traffic.make_traffic(self.capture, bytes=size, duration=300, seed=1)
        run.import_capture(self.store, self.capture, timeout=600)
        self.bytes = os.path.getsize(self.capture)
        self.packets = int(run.run(["capinfos", "-M", "-c", "-T", "-r", self.capture]).out.split()[-1])

    # --- sluice

    def _push(self, targets: list[dict], *options: str) -> run.Result:
        config = lua.write_config(self.disk + "/bench.lua", targets)
        return run.push_once(config, self.store, *options, no_huge=False, timeout=600)

    def sluice_null(self) -> float:
        """One unfiltered target on the null sink."""
        start = time.monotonic()
        result = self._push([lua.target("all", self.disk + "/null/all")], "--sink", "null")
        seconds = time.monotonic() - start
        match = re.search(r"first to last dispatch ([\d.]+) s", result.out)
        self.steady.append(float(match.group(1)) if match else seconds)
        return seconds

    def _sluice_files(self, out: str) -> float:
        empty(out)
        targets = [lua.target("all", out + "/all"), lua.target("tcp", out + "/tcp", "tcp")]
        start = time.monotonic()
        self._push(targets)
        sync(out)
        return time.monotonic() - start

    def sluice_tmpfs(self) -> float:
        """Two targets, all and tcp, to tmpfs."""
        return self._sluice_files(self.tmpfs + "/out")

    def sluice_disk(self) -> float:
        """Two targets, all and tcp, to the disk, durable."""
        seconds = self._sluice_files(self.disk + "/out")
        self.written = tree_bytes(self.disk + "/out")
        return seconds

    # --- the others

    def tcpdump_null(self) -> float:
        """tcpdump -w /dev/null. As root it would give /dev/null to its own user; -Z root keeps it."""
        start = time.monotonic()
        run.run(["tcpdump", "--nano", "-nn", "-r", self.capture, "-Z", "root", "-w", "/dev/null"], timeout=600)
        return time.monotonic() - start

    def tcpdump_disk(self) -> float:
        """Two tcpdumps at a time, all and tcp, to the disk, durable."""
        out = empty(self.disk + "/out")
        start = time.monotonic()
        both = [
            subprocess.Popen(
                ["tcpdump", "--nano", "-nn", "-r", self.capture, "-w", f"{out}/{name}.pcap", *words],
                stderr=subprocess.DEVNULL,
            )
            for name, words in (("all", []), ("tcp", ["tcp"]))
        ]
        codes = [process.wait() for process in both]
        sync(out)
        seconds = time.monotonic() - start
        if any(codes):
            raise RuntimeError(f"tcpdump: exit status {codes}")
        return seconds

    def _editcap(self, out: str) -> float:
        empty(out)
        start = time.monotonic()
        run.run(["editcap", "-F", "nsecpcap", "-i", "60", self.capture, out + "/all.pcap"], timeout=600)
        sync(out)
        return time.monotonic() - start

    def editcap_tmpfs(self) -> float:
        """editcap -i 60, all packets, to tmpfs."""
        return self._editcap(self.tmpfs + "/out")

    def editcap_disk(self) -> float:
        """editcap -i 60, all packets, to the disk, durable."""
        return self._editcap(self.disk + "/out")

    def _fio(self, block: str, depth: int, size: int) -> float:
        out = empty(self.disk + "/out")
        start = time.monotonic()
        result = run.run(
            ["fio", "--name=w", f"--filename={out}/fio", "--rw=write", "--direct=1", "--ioengine=io_uring"]
            + [f"--bs={block}", f"--iodepth={depth}", f"--size={size}", "--fallocate=posix", "--end_fsync=1"]
            + ["--output-format=json"],
            timeout=600,
        )
        sync(out)
        seconds = time.monotonic() - start
        # fio takes a while to start and to end: its own clock is the fairer one to be measured against.
        report = json.loads(result.out[result.out.index("{") :])["jobs"][0]
        return min(seconds, max(report["job_runtime"] / 1000, 0.001))

    def sweep_fio(self) -> None:
        """Find fio's best block size and depth here."""
        size = min(self.size, 1 << 30)
        for block in FIO_BLOCKS:
            for depth in FIO_DEPTHS:
                seconds = min(self._fio(block, depth, size) for _ in range(2))
                self.fio_sweep[f"{block} x {depth}"] = size / seconds
        best = max(self.fio_sweep, key=self.fio_sweep.get)
        block, _, depth = best.partition(" x ")
        self.fio_best = (block, int(depth))

    def fio_disk(self) -> float:
        """fio, O_DIRECT, its best block size and depth, as many bytes as sluice wrote to the disk."""
        return self._fio(*self.fio_best, (self.written + 4095) // 4096 * 4096)

    def memcpy(self) -> float:
        """Bytes of the capture at the rate of memcpy_bench."""
        tool = os.path.join(os.path.dirname(os.path.dirname(run.SLUICE)), "devtools", "memcpy_bench")
        return self.bytes / float(run.run([tool]).out)

    # --- all of them

    def measure(self, runs: int, say: Callable[[str], None]) -> dict:
        """Run every contender once to warm up and then `runs` times, in turn."""
        contenders = [
            ("sluice null sink, 1 target", self.sluice_null),
            ("tcpdump -w /dev/null", self.tcpdump_null),
            ("sluice tmpfs, all + tcp", self.sluice_tmpfs),
            ("editcap -i 60 tmpfs, all", self.editcap_tmpfs),
            ("sluice disk, all + tcp", self.sluice_disk),
            ("2 x tcpdump -w disk, all + tcp", self.tcpdump_disk),
            ("editcap -i 60 disk, all", self.editcap_disk),
            ("fio O_DIRECT disk, same bytes", self.fio_disk),
            ("memcpy, 1 core", self.memcpy),
        ]
        say(f"{self.packets} packets, {self.bytes} bytes; looking for fio's best")
        self.sweep_fio()
        times: dict[str, list[float]] = {name: [] for name, _ in contenders}
        for turn in range(runs + 1):
            for name, function in contenders:
                seconds = function()
                if turn:
                    times[name].append(seconds)
            if not turn:
                self.steady.clear()
            say(f"turn {turn} of {runs}" + (" (warm-up)" if not turn else ""))
        return self.report(times)

    def report(self, times: dict[str, list[float]]) -> dict:
        """Medians and the ratios that matter."""
        middle = {name: statistics.median(values) for name, values in times.items()}
        steady = statistics.median(self.steady)
        return {
            "packets": self.packets,
            "bytes": self.bytes,
            "written_to_disk": self.written,
            "cpus": len(os.sched_getaffinity(0)),
            "disk": fs.fs_type(self.disk),
            "fio_best": f"{self.fio_best[0]} x {self.fio_best[1]}",
            "fio_sweep_bytes_per_second": self.fio_sweep,
            "seconds": times,
            "median_seconds": middle,
            "steady_state_seconds": self.steady,
            "ratios": {
                "null sink steady state / tcpdump -w /dev/null": middle["tcpdump -w /dev/null"] / steady,
                "null sink whole run / tcpdump -w /dev/null": middle["tcpdump -w /dev/null"]
                / middle["sluice null sink, 1 target"],
                "disk / 2 x tcpdump": middle["2 x tcpdump -w disk, all + tcp"] / middle["sluice disk, all + tcp"],
                "disk / fio for the same bytes": middle["fio O_DIRECT disk, same bytes"]
                / middle["sluice disk, all + tcp"],
            },
        }


def table(report: dict) -> str:
    """The report as text."""
    lines = [
        f"{report['packets']} packets, {report['bytes'] / 1e9:.2f} GB, {report['cpus']} CPUs, disk {report['disk']}, "
        f"fio best {report['fio_best']}",
        "",
        f"{'':34} {'median s':>9} {'min':>7} {'max':>7} {'GB/s in':>8} {'Mpps':>7}",
    ]

    def row(name: str, values: list[float]) -> str:
        mid = statistics.median(values)
        return (
            f"{name:34} {mid:9.3f} {min(values):7.3f} {max(values):7.3f} {report['bytes'] / mid / 1e9:8.2f} "
            f"{report['packets'] / mid / 1e6:7.2f}"
        )

    for name, values in report["seconds"].items():
        lines.append(row(name, values))
        if name.startswith("sluice null"):
            lines.append(row("  first to last dispatch", report["steady_state_seconds"]))
    lines.append("")
    for name, value in report["ratios"].items():
        lines.append(f"{name:52} {value:6.2f}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bytes", type=float, default=2e9, help="size of the capture (default 2e9)")
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each (default 5)")
    parser.add_argument("--disk", default=fs.DISK, help="directory on the disk to write to")
    parser.add_argument("--json", default="out/perf/side_by_side.json", help="where to write all figures")
    options = parser.parse_args()
    with fs.work_dir("bench", tmpfs=True) as tmpfs, tempfile.TemporaryDirectory(
        prefix="sluice-bench-", dir=options.disk
    ) as disk:
        bench = Bench(int(options.bytes), disk, tmpfs)
        report = bench.measure(options.runs, lambda text: print(text, file=sys.stderr))
    print(table(report))
    os.makedirs(os.path.dirname(options.json) or ".", exist_ok=True)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=2)
    print(f"\nall figures: {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
