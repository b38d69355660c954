# SPDX-License-Identifier: BSD-3-Clause
"""How fast push is beside its peers, and how much memory it takes. Run with --perf; not part of ./check.

PERF_BYTES (default 2e9) and PERF_MEMORY_BYTES (default 20e9) set the size of the captures.
"""

import os
import re
import subprocess
import threading

from api.test import log, verify, verify_else_skip, write_performance_json
from framework import lua, run, traffic
from framework.test_suite import TestSuite, perf_test
from side_by_side import Bench, table

GIB = 1 << 30


class MemoryWatch(threading.Thread):
    """Peak of VmRSS plus HugetlbPages of a process and its children.

    Attributes:
        peak: Bytes.
    """

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.pid, self.peak, self.done = pid, 0, threading.Event()

    @staticmethod
    def of(pid: int) -> int:
        """Bytes of one process; 0 if it is gone."""
        try:
            with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
                found = re.findall(r"^(?:VmRSS|HugetlbPages):\s+(\d+) kB", file.read(), re.M)
        except (FileNotFoundError, ProcessLookupError):
            return 0
        return sum(map(int, found)) * 1024

    def family(self) -> list[int]:
        """The process and all below it."""
        found = [self.pid]
        for pid in found:
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                        found += map(int, file.read().split())
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found

    def run(self) -> None:
        while not self.done.wait(0.02):
            self.peak = max(self.peak, sum(map(self.of, self.family())))


class TestPushPerf(TestSuite):
    """Speed and memory of push."""

    @perf_test
    def test_perf_side_by_side(self) -> None:
        """sluice beside tcpdump, editcap, fio and memcpy.

        **Steps:**
            * A capture of 2 GB, the store on tmpfs; nine contenders in turn, a warm-up and five runs each.

        **Verify:**
            * Two targets, durable on disk: at least 4 times as fast as two concurrent tcpdumps and sync, and 0.8 of fio
              for the same bytes.
            * One unfiltered target on the null sink, first to last dispatch: at least 2 times tcpdump -w /dev/null.
        """
        bench = Bench(int(float(os.environ.get("PERF_BYTES", "2e9"))), self.dir, self.tmpfs_dir())
        report = bench.measure(5, log)
        write_performance_json(report, "side_by_side.json")
        print(table(report))
        ratios = report["ratios"]
        missed = [
            f"{name}: {ratios[name]:.2f}, wanted {least}"
            for name, least in (
                ("disk / 2 x tcpdump", 4),
                ("disk / fio for the same bytes", 0.8),
                ("null sink steady state / tcpdump -w /dev/null", 2),
            )
            if ratios[name] < least
        ]
        verify(not missed, "\n".join(missed) + "\n" + table(report))

    @perf_test
    def test_perf_memory(self) -> None:
        """Memory of a push to 32 targets.

        **Steps:**
            * A store of 20 GB on disk, written through a pipe; push it to 32 targets with files. Published files are removed as
              they appear, so that the disk need not hold them all.
            * Every 20 ms: VmRSS plus HugetlbPages of the process and its children.

        **Verify:**
            * The peak is at most 1 GiB.
        """
        size = int(float(os.environ.get("PERF_MEMORY_BYTES", "20e9")))
        stat = os.statvfs(self.dir)
        verify_else_skip(
            stat.f_bavail * stat.f_frsize > size * 1.5, f"{self.dir}: less than {size * 1.5 / 1e9:.0f} GB free"
        )
        store, out = self.dir + "/store", self.dir + "/out"
        os.makedirs(out)
        with run.Process(
            [traffic.make_traffic_tool(), f"--bytes={size}", "--duration=1800", "-"], stdout=subprocess.PIPE
        ) as maker:
            run_import = run.Process([run.SLUICE, "import", "--store", store, "-"], stdin=maker.popen.stdout)
            with run_import:
                run_import.wait(1200)
        filters = [None, "tcp", "udp"] + [f"port {port}" for port in (22, 25, 53, 80, 123, 179, 443, 445, 5001, 8080)]
        filters += [f"host 192.168.1.{host}" for host in range(1, 20)]
        targets = [lua.target(f"t{i}", f"{out}/t{i}", text) for i, text in enumerate(filters[:32])]
        config = lua.write_config(self.dir + "/c.lua", targets)
        with run.push_start(config, store, "--once", no_huge=False) as push:
            watch = MemoryWatch(push.pid)
            watch.start()
            while push.running():
                for name in run.list_files(out, ".pcap"):
                    os.unlink(os.path.join(out, name))
                watch.done.wait(0.5)
            watch.done.set()
            watch.join()
            result = push.wait(10)
        write_performance_json({"bytes": size, "targets": 32, "peak_bytes": watch.peak}, "memory.json")
        print(f"peak {watch.peak / GIB:.3f} GiB for 32 targets over {size / 1e9:.1f} GB\n{result.out}")
        verify(watch.peak > 0, "nothing was measured")
        verify(watch.peak <= GIB, f"peak {watch.peak / GIB:.3f} GiB, at most 1 GiB wanted")
