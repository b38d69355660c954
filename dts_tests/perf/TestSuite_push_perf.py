# SPDX-License-Identifier: BSD-3-Clause
"""The performance suite in the form of DTS. Run with --perf; not part of ./check. `devtools/bench` is the same and more.

The cases, their inputs and their peers are those of the package bench; what is expected is in tests_config.yaml.
PERF_BYTES (default 8e9), PERF_RUNS (default 7) and PERF_MEMORY_BYTES (default 20e9) set how much is measured.
"""

import os
import subprocess
import tempfile

import pytest
from api.test import log, verify, verify_else_skip, write_performance_json
from bench import cli, expect, watch
from bench.inputs import Refused
from bench.lab import CASES, Lab, Settings
from bench.runner import Runner
from framework import fs, lua, run, traffic
from framework.test_suite import TestSuite, perf_test

GIB = 1 << 30
BARS = [name for name in cli.ORDER if CASES[name].kind == "bar"]


class TestPushPerf(TestSuite):
    """Speed and memory of push."""

    def set_up_suite(self) -> None:
        """A lab whose inputs serve one case after another."""
        size = int(float(os.environ.get("PERF_BYTES", "8e9")))
        settings = Settings(runs=int(os.environ.get("PERF_RUNS", "7")), bytes=size, scale_bytes=min(size, 2_000_000_000))
        tmpfs = self.enter(tempfile.TemporaryDirectory(prefix="sluice-perf-", dir=fs.TMPFS))
        self.expectations = expect.load()
        self.lab = Lab(tmpfs, self.suite_dir, settings, Runner(settings.runs, log), log)

    @perf_test
    @pytest.mark.parametrize("name", BARS)
    def test_perf_bars(self, name: str) -> None:
        """The cases that have bars.

        **Steps:**
            * Verify what each contender of sluice yields by CRC-32 against tcpdump.
            * One warm-up and then seven runs of all contenders in turn; runs with too much steal time are repeated.

        **Verify:**
            * Packets and bytes of each target in every run.
            * Each figure is at least (or at most) what tests_config.yaml expects, within its delta_tolerance.
        """
        try:
            result = CASES[name].run(self.lab)
        except Refused as why:
            verify_else_skip(False, str(why))
        results = expect.judge(self.expectations, {name: {"ratios": result.ratios}})
        write_performance_json({"results": results}, f"{name}.json")
        missed = [
            f"{one['title']}: {one['measured']}, expected {one['sense']} {one['expected']} {one.get('reason', '')}"
            for one in results
            if not one["pass"]
        ]
        verify(results != [], f"tests_config.yaml expects nothing of {name}")
        verify(not missed, "\n".join(missed))

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
            with watch.Memory(push.pid, store) as memory:
                while push.running():
                    for name in run.list_files(out, ".pcap"):
                        os.unlink(os.path.join(out, name))
                    memory.done.wait(0.5)
            result = push.wait(10)
        write_performance_json({"bytes": size, "targets": 32, "peak_bytes": memory.peak}, "memory.json")
        print(f"peak {memory.peak / GIB:.3f} GiB for 32 targets over {size / 1e9:.1f} GB\n{result.out}")
        verify(memory.peak > 0, "nothing was measured")
        verify(memory.peak <= GIB, f"peak {memory.peak / GIB:.3f} GiB, at most 1 GiB wanted")
