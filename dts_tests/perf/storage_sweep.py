#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Which block size and which depth suit a disk: sluice's own paths swept, fio beside them.

    SLUICE=build/app/sluice dts_tests/perf/storage_sweep.py --bytes 1e9 --runs 3

Four tables: reads of a store at depths of 1 to 64 (devtools/read_bench, the reader that push uses), a push of two
targets (all, tcp) and one of many targets with several sizes of write blocks (SLUICE_WRITE_BLOCKS), and reading and
writing at once. A push is timed whole, start and sync included. fio has huge pages where there are some, because the size
of a buffer's pages can halve a virtual disk's rate. Everything runs in turn, with a pause before each run, because many
disks have a burst that must fill up again.
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

READ_DEPTHS = (1, 2, 4, 8, 16, 32, 64)
FEW = ("131072x64", "262144x32", "524288x24", "1048576x16", "2097152x12")
MANY = ("65536x10", "131072x8", "131072x12", "262144x6", "262144x9")
FIO = (("256k", 16), ("512k", 16), ("1m", 4), ("1m", 16), ("1m", 32))


class Sweep:
    """What is measured and where."""

    def __init__(self, size: int, disk: str, tmpfs: str, pause: float, targets: int):
        self.disk, self.pause, self.targets = disk, pause, targets
        capture = tmpfs + "/in.pcap"
        traffic.make_traffic(capture, bytes=size, duration=300, seed=1)
        self.stores = {"tmpfs": tmpfs + "/store", "disk": disk + "/store"}
        for store in self.stores.values():
            run.import_capture(store, capture, timeout=600)
        os.unlink(capture)
        names = run.list_files(self.stores["disk"], ".seg")
        self.segment = os.path.join(self.stores["disk"], names[0])
        self.huge = []
        with open("/proc/meminfo", encoding="ascii") as file:
            if int(re.search(r"HugePages_Free: +(\d+)", file.read()).group(1)) >= 64:
                self.huge = ["--mem=shmhuge", "--hugepage-size=2m"]

    def _rest(self) -> str:
        """An output directory without content, and a disk without work."""
        out = self.disk + "/out"
        shutil.rmtree(out, ignore_errors=True)
        os.makedirs(out)
        subprocess.run(["sync", "-f", out], check=True)
        time.sleep(self.pause)
        return out

    def _fio(self, *jobs: str) -> float:
        """Seconds of fio's longest job."""
        options = ["--direct=1", "--ioengine=io_uring", "--fallocate=posix", "--end_fsync=1", "--output-format=json"]
        result = run.run(["fio", *options, *self.huge, *jobs], timeout=600)
        report = json.loads(result.out[result.out.index("{") :])["jobs"]
        return max(job["job_runtime"] for job in report) / 1000

    def _fio_read(self, block: str, depth: int) -> list[str]:
        size = os.path.getsize(self.segment) & ~0x3FFFFF
        words = ["--name=r", "--rw=read", f"--filename={self.segment}", f"--size={size}"]
        return [*words, f"--bs={block}", f"--iodepth={depth}"]

    def _fio_write(self, out: str, size: int, block: str, depth: int) -> list[str]:
        size = size & ~0xFFFFF
        words = ["--name=w", "--rw=write", f"--filename={out}/fio", f"--size={size}"]
        return [*words, f"--bs={block}", f"--iodepth={depth}"]

    def read(self, depth: int) -> float:
        """Bytes per second of the store's reader."""
        self._rest()
        tool = os.path.join(os.path.dirname(os.path.dirname(run.SLUICE)), "devtools", "read_bench")
        return float(run.run([tool, self.stores["disk"], str(depth)], timeout=600).out)

    def fio_read(self, block: str, depth: int) -> float:
        """The same by fio, from the store's first segment."""
        self._rest()
        return (os.path.getsize(self.segment) & ~0x3FFFFF) / self._fio(*self._fio_read(block, depth))

    def push(self, store: str, targets: int, blocks: str | None = None) -> float:
        """Bytes of output per second of a whole push, to durable files."""
        out = self._rest()
        filters = [None, "tcp"] if targets == 2 else [f"tcp and ip[19] & 63 = {i % 16}" for i in range(targets)]
        config = lua.write_config(
            self.disk + "/sweep.lua", [lua.target(f"t{i}", f"{out}/t{i}", text) for i, text in enumerate(filters)]
        )
        env = {"SLUICE_WRITE_BLOCKS": blocks} if blocks else None
        start = time.monotonic()
        run.push_once(config, self.stores[store], no_huge=False, timeout=600, env=env)
        subprocess.run(["sync", "-f", out], check=True)
        seconds = time.monotonic() - start
        self.written = sum(os.path.getsize(os.path.join(out, name)) for name in run.list_files(out))
        return self.written / seconds

    def fio_write(self, block: str, depth: int) -> float:
        """As many bytes as the newest push wrote, by fio."""
        out = self._rest()
        return self.written / self._fio(*self._fio_write(out, self.written, block, depth))

    def fio_both(self, block: str, depth: int) -> float:
        """The store's first segment is read while as many bytes are written as the newest push wrote: of these, per second."""
        out = self._rest()
        jobs = self._fio_write(out, self.written, block, depth) + self._fio_read(block, depth)
        return self.written / self._fio(*jobs)

    def tables(self) -> dict[str, dict[str, Callable[[], float]]]:
        """Title -> row -> what measures it."""
        return {
            "reading the store": {
                **{f"sluice, {d} x 1 MiB": lambda d=d: self.read(d) for d in READ_DEPTHS},
                **{f"fio, {d} x {b}": lambda b=b, d=d: self.fio_read(b, d) for b, d in FIO},
            },
            "writing, 2 targets": {
                **{f"sluice, blocks {p}": lambda p=p: self.push("tmpfs", 2, p) for p in FEW},
                "sluice, as it chooses": lambda: self.push("tmpfs", 2),
                **{f"fio, {d} x {b}": lambda b=b, d=d: self.fio_write(b, d) for b, d in FIO},
            },
            f"writing, {self.targets} targets": {
                **{f"sluice, blocks {p}": lambda p=p: self.push("tmpfs", self.targets, p) for p in MANY},
                "sluice, as it chooses": lambda: self.push("tmpfs", self.targets),
            },
            "reading and writing, 2 targets": {
                "sluice": lambda: self.push("disk", 2),
                **{f"fio, {d} x {b}": lambda b=b, d=d: self.fio_both(b, d) for b, d in FIO},
            },
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bytes", type=float, default=1e9, help="size of the capture (default 1e9)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each (default 3)")
    parser.add_argument("--pause", type=float, default=3, help="seconds of rest before each run (default 3)")
    parser.add_argument("--targets", type=int, default=256, help="targets of the third table (default 256)")
    parser.add_argument("--disk", default=fs.DISK, help="directory on the disk")
    parser.add_argument("--json", default="out/perf/storage_sweep.json", help="where to write all figures")
    options = parser.parse_args()
    report: dict[str, dict[str, list[float]]] = {}
    with fs.work_dir("sweep", tmpfs=True) as tmpfs, tempfile.TemporaryDirectory(
        prefix="sluice-sweep-", dir=options.disk
    ) as disk:
        sweep = Sweep(int(options.bytes), disk, tmpfs, options.pause, options.targets)
        for title, rows in sweep.tables().items():
            samples: dict[str, list[float]] = {name: [] for name in rows}
            for _ in range(options.runs):
                for name, measure in rows.items():
                    samples[name].append(measure())
            report[title] = samples
            print(f"\n{title + ', GB/s':36} {'median':>7} {'min':>7} {'max':>7}")
            for name, values in samples.items():
                low, mid, high = (f(values) / 1e9 for f in (min, statistics.median, max))
                print(f"{name:36} {mid:7.2f} {low:7.2f} {high:7.2f}", flush=True)
    os.makedirs(os.path.dirname(options.json) or ".", exist_ok=True)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=2)
    print(f"\nall figures, bytes per second: {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
