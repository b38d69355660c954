# SPDX-License-Identifier: BSD-3-Clause
"""Speed of live capture, from ports that give packets out of nothing to a store on tmpfs. Run with --perf.

Offered is what the port gave or would have given, accepted is what is in the store, verified chunk by chunk after each run. PERF_RUNS
(default 5) runs of PERF_SECONDS (default 0.5) each, of which the median counts; a run needs up to a gigabyte of tmpfs.
"""

import os
import re
import shutil
import statistics

from api.test import log, verify, write_performance_json
from framework import run
from framework import store as stores
from framework.test_suite import TestSuite, perf_test

SIZES = (64, 512, 1518)
RUNS = int(os.environ.get("PERF_RUNS", "5"))
SECONDS = float(os.environ.get("PERF_SECONDS", "0.5"))
# Packets a second of 64 bytes from net_null to tmpfs with one RX lcore.
EXPECTED_64 = float(os.environ.get("PERF_CAPTURE_EXPECTED", "10e6"))
TOOL = os.path.join(os.path.dirname(os.path.dirname(run.SLUICE)), "devtools", "live_bench")
# A rate is held if no packet is lost in this many runs, one after the other.
HELD_RUNS = 3


class TestCapturePerf(TestSuite):
    """Packets a second."""

    def _stored(self, store: str) -> int:
        """Packets of a store's only capture; it is sound, and goes away."""
        stores.verify_sound(store)
        [name] = stores.captures(store)
        count = stores.count(store)
        shutil.rmtree(f"{store}/{name}")
        os.unlink(f"{store}/active")
        return count

    @perf_test
    def test_perf_null(self) -> None:
        """net_null, one lcore that receives and stores.

        **Steps:**
            * `sluice capture --port net_null0,size=N --poll --map all@LAST`, with the writer of the store on the other CPUs, for 64, 512
              and 1518 bytes; runs in turn.

        **Verify:**
            * Accepted and lost packets add up to what the port gave. With 64 bytes 10 M packets a second are accepted.
        """
        cpus = sorted(os.sched_getaffinity(0))
        store = self.tmpfs_dir()
        figures: dict[int, list[tuple[float, float]]] = {size: [] for size in SIZES}
        for _ in range(RUNS):
            for size in SIZES:
                result = run.sluice(
                    "capture", "--store", store, "--port", f"net_null0,size={size}", "--duration", str(SECONDS),
                    "--keep-free", "0", "--poll", "--map", f"all@{cpus[-1]}", "--no-huge",
                )  # fmt: skip
                accepted, seconds = re.search(r": (\d+) packets, \d+ bytes in ([\d.]+) s", result.out).groups()
                offered = int(re.search(r": (\d+) packets received", result.out)[1])
                slow = int(re.search(r"(\d+) since the store was slow", result.out)[1])
                verify(self._stored(store) == int(accepted), f"the store has other packets\n{result.describe()}")
                verify(int(accepted) + slow == offered, f"packets are missing\n{result.describe()}")
                figures[size].append((offered / float(seconds), int(accepted) / float(seconds)))
        rows = []
        for size, pairs in figures.items():
            offered, accepted = (statistics.median(column) for column in zip(*pairs))
            rows.append({"size": size, "offered_pps": offered, "accepted_pps": accepted, "bytes_s": accepted * size,
                         "runs_pps": [pair[1] for pair in pairs]})  # fmt: skip
            log(f"net_null {size}: offered {offered:.0f}/s, accepted {accepted:.0f}/s, {accepted * size / 1e6:.0f} MB/s")
            print(rows[-1])
        write_performance_json({"port": "net_null", "results": rows}, "capture_null.json")
        got = rows[0]["accepted_pps"]
        verify(got >= EXPECTED_64, f"{got:.0f} packets/s of 64 bytes, {EXPECTED_64:.0f} are expected")

    @perf_test
    def test_perf_ring(self) -> None:
        """net_ring, fed by a generator on another CPU: the rate without loss, and what is accepted above it.

        **Steps:**
            * devtools/live_bench for 64, 512 and 1518 bytes: as fast as the generator can; then a binary search, ten steps, for the
              highest rate at which three runs lose nothing.

        **Verify:**
            * What the ring took is in the store, or counted as lost. At the rate that was found all that is offered is accepted.
        """
        cpus = [str(cpu) for cpu in sorted(os.sched_getaffinity(0))]
        verify(len(cpus) > 1, "a generator needs a CPU of its own")
        store, rows = self.tmpfs_dir(), []

        def once(size: int, rate: float) -> dict[str, float]:
            words = run.run([TOOL, store, str(size), str(rate), str(SECONDS), cpus[0], cpus[-1]], timeout=60).out.split()
            told = dict(zip(words[::2], map(float, words[1::2])))
            verify(self._stored(store) == told["accepted"], f"the store has other packets: {told}")
            return told

        for size in SIZES:
            fastest = once(size, 0)
            low, high, without_loss = 0.0, fastest["accepted_pps"] * 1.5, 0.0
            for _ in range(10):
                rate = (low + high) / 2
                runs = [once(size, rate) for _ in range(HELD_RUNS)]
                held = all(told["offered"] == told["accepted"] for told in runs)
                low, high = (rate, high) if held else (low, rate)
                if held:
                    # a generator that shares its CPU offers less than it is asked for
                    without_loss = max(without_loss, min(told["offered_pps"] for told in runs))
            rows.append({"size": size, "zero_loss_pps": without_loss, "offered_pps": fastest["offered_pps"],
                         "accepted_pps": fastest["accepted_pps"], "bytes_s": fastest["accepted_bytes_s"]})  # fmt: skip
            log(f"net_ring {size}: {rows[-1]}")
            print(rows[-1])
        write_performance_json({"port": "net_ring", "results": rows}, "capture_ring.json")
        verify(all(row["zero_loss_pps"] > 0 for row in rows), f"no rate without loss: {rows}")
