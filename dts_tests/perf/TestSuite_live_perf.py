# SPDX-License-Identifier: BSD-3-Clause
"""A push behind a live capture: how old a packet is when it lies durable in a file, and what CPU both take. Run with --perf.

tcpreplay, capture and push share this machine's CPUs; with few of them the wire's rate is what tcpreplay reaches, and that is what
is reported. SLUICE_LIVE_SECONDS (default 10) of each load.
"""

import os
import re
import shutil
import statistics
import time

from api.test import log, verify, write_performance_json
from framework import lua, pcap, run, telemetry, traffic, wire
from framework.run import SLUICE, Process
from framework.test_suite import TestSuite, perf_test

SECONDS = float(os.environ.get("SLUICE_LIVE_SECONDS", "10"))
# tcpreplay's options for each load; None: silence.
LOADS = {"idle": None, "1 Gb/s": ("--mbps=1000",), "at the limit": ("--topspeed",)}
# Of one CPU, in silence.
IDLE_CPU = 0.01
FILE_BYTES = 1_000_000


class TestLivePerf(TestSuite):
    """Capture and push at once."""

    def set_up_suite(self) -> None:
        """Realistic traffic, small enough to stay in tcpreplay's memory."""
        self.file = traffic.make_traffic(f"{self.suite_dir}/in.pcap", profile="realistic", packets=100_000, duration=1, seed=5)

    def _load(self, options: tuple | None) -> dict:
        """One load: rates, losses, lags of all files, CPU of both."""
        store, out = f"{self.tmpfs_dir()}/store", f"{self.dir}/out"
        shutil.rmtree(out, ignore_errors=True)
        cable = wire.Wire(self)
        fields = {"Split": f"--split-byte {FILE_BYTES}", "FileName": "--filename-epoch-nsec", "MinFree": 0}
        targets = [lua.target("all", f"{out}/all", **fields), lua.target("tcp", f"{out}/tcp", "tcp", **fields)]
        config = lua.write_config(f"{self.dir}/c.lua", targets, {"FollowStart": True})
        words = [*cable.inside, SLUICE, "capture", "--store", store, "--no-huge", "--port", "b0", "--keep-free", "0"]
        with Process(words) as capture:
            capture.wait_until(lambda: os.path.lexists(f"{store}/active"), 30, "an active capture")
            wire.told(capture)
            with run.push_start(config, store, "--state-dir", f"{self.dir}/state", "--log-dir", f"{self.dir}/log") as push:
                push.wait_until(lambda: telemetry.ask(push.pid, "/sluice/push"), 30, "a push that runs")
                time.sleep(1)  # what starting costs is not counted
                before = [run.cpu_seconds(process.pid) for process in (capture, push)]
                sent = 0.0
                if options is None:
                    time.sleep(SECONDS)
                else:
                    words = [*cable.inside, "tcpreplay", "-q", "-K", "-i", "a0", "--loop=0", f"--duration={SECONDS:g}", *options]
                    told = run.run([*words, self.file], timeout=6 * SECONDS + 60).out
                    sent = float(re.search(r"([\d.]+) Mbps", told)[1]) / 1000
                used = [run.cpu_seconds(process.pid) - at for process, at in zip((capture, push), before)]
                # What is open now is closed by the stop, and not by the traffic.
                lags = []
                for name in run.list_files(out, ".pcap") if os.path.isdir(out) else []:
                    # Of an inode whose working name was removed, the last step of publishing.
                    lags.append(os.stat(f"{out}/{name}").st_ctime_ns / 1e9 - pcap.read_packets(f"{out}/{name}")[-1].ts / pcap.NS)
                capture.stop(60)
                told = capture.out
                push.stop(60)
        shutil.rmtree(out, ignore_errors=True)
        shutil.rmtree(store, ignore_errors=True)
        received = int(re.search(r": (\d+) packets received", told)[1])
        stored = int(re.search(r": (\d+) packets, \d+ bytes in", told)[1])
        return {"gbit_s": sent, "received": received, "stored": stored, "capture_cpu": used[0] / SECONDS,
                "push_cpu": used[1] / SECONDS, "lags": sorted(lags), "capture_said": told}  # fmt: skip

    @perf_test
    def test_perf_lag(self) -> None:
        """Lag and CPU in silence, at 1 Gb/s, and as fast as tcpreplay sends.

        **Steps:**
            * A wire; `sluice capture` from its end to a store on tmpfs; a push of all and of tcp follows, in files of 1 MB on the disk.
              tcpreplay realistic traffic in a loop for SLUICE_LIVE_SECONDS.

        **Verify:**
            * For each file: the time from its last packet on the wire to the file under its final name; its median and 99th
              percentile. The CPU seconds of capture and push, of each second. In silence the push takes less than one percent of a
              CPU; a capture has to look at its port.
        """
        rows = {}
        for name, options in LOADS.items():
            row = rows[name] = self._load(options)
            lags, said = row.pop("lags"), row.pop("capture_said")
            if options is None:
                verify(row["received"] == 0, f"the wire is not silent\n{said}")
            else:
                verify(len(lags) >= 20, f"only {len(lags)} files were published\n{said}")
                percentiles = statistics.quantiles(lags, n=100, method="inclusive")
                row.update(files=len(lags), lag_p50=percentiles[49], lag_p99=percentiles[98], lag_max=lags[-1])
            log(f"{name}: {row}")
            print(f"{name}: {row}")
        write_performance_json({"seconds": SECONDS, "loads": rows}, "live_lag.json")
        silent = rows["idle"]["push_cpu"]
        verify(silent < IDLE_CPU, f"the push takes {100 * silent:.2f} percent of a CPU in silence")
