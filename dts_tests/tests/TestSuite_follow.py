# SPDX-License-Identifier: BSD-3-Clause
"""A push that follows a growing capture: stopped, killed and started again, with silence in between.

The oracle is a push that was never stopped, and the packets that were sent.
"""

import os
import signal
import subprocess
import time

from api.test import verify
from framework import lua, oracle, pcap, run, traffic
from framework.run import SLUICE
from framework.test_suite import TestSuite, func_test

# Where the capture is cut into what is sent before each stop: in the middle of records, and once with little between.
CUTS = (0.11, 0.3, 0.31, 0.55, 0.8, 1.0)


class TestFollow(TestSuite):
    """Stop, kill, go on."""

    def set_up_suite(self) -> None:
        """A capture, and what one push makes of it that is never stopped."""
        self.capture = traffic.make_traffic(f"{self.suite_dir}/in.pcap", packets=20000, duration=300, seed=5)
        with open(self.capture, "rb") as file:
            self.blob = file.read()
        self.packets = pcap.parse_pcap(self.blob).packets
        store = f"{self.suite_dir}/store"
        run.import_capture(store, self.capture)
        self.reference = f"{self.suite_dir}/reference"
        run.push_once(lua.write_config(f"{self.suite_dir}/c.lua", self._targets(self.reference)), store)

    @staticmethod
    def _targets(out: str, **fields: object) -> list[dict]:
        """A time split, a byte split, both with empty files, and a window that outlasts the capture."""
        shapes = {
            "time": (None, "--split-time 60e9", {}),
            "bytes": ("udp", "--split-byte 200000", {}),
            "both": ("tcp", "--split-time 30e9 --split-byte 100000", {"EmptyFiles": True}),
            "day": (None, "--split-time 86400e9", {}),
        }
        return [
            lua.target(
                desc, f"{out}/{desc}/at%H%M/x", text, Split=split, FileName="--filename-epoch-nsec", MinFree=0, **more,
                **fields,
            )
            for desc, (text, split, more) in shapes.items()
        ]

    def _args(self) -> tuple[str, ...]:
        return ("--state-dir", f"{self.dir}/state", "--log-dir", f"{self.dir}/log")

    def _packets(self, out: str, desc: str) -> list[pcap.Packet]:
        """A target's packets, file by file in the order of their first packets."""
        names = run.list_files(f"{out}/{desc}")
        verify(all(name.endswith(".pcap") for name in names), f"left over: {names}")
        files = [pcap.read_packets(f"{out}/{desc}/{name}") for name in names]
        files.sort(key=lambda packets: self.order[packets[0]] if packets else -1)
        return sum(files, [])

    def _stop_and_go(self, **fields: object) -> str:
        """Send the capture through a pipe in pieces; a push runs during each piece and is stopped. The output."""
        out, store = f"{self.dir}/out", f"{self.dir}/store"
        config = lua.write_config(f"{self.dir}/c.lua", self._targets(out, **fields), {"FollowStart": True})
        feeder = run.Process([SLUICE, "import", "--store", store, "-"], stdin=subprocess.PIPE)
        self.enter(feeder)
        at = 0
        for cut in CUTS:
            end = int(len(self.blob) * cut)
            feeder.popen.stdin.write(self.blob[at:end])
            feeder.popen.stdin.flush()
            at = end
            if cut == 1:
                feeder.popen.stdin.close()
                feeder.wait(20)
            with run.push_start(config, store, *self._args()) as push:
                time.sleep(1.6)
                result = push.stop(15)
                verify(result.err == "" or "waiting for" in result.err, f"words at a stop\n{result.describe()}")
        run.push_once(config, store, *self._args())
        return out

    @func_test
    def test_stop_resume(self) -> None:
        """OnStop = "resume" leaves no trace of a stop.

        **Steps:**
            * Send a capture in six pieces, cut within records, to `import -`; a push follows during each and is stopped
              with SIGTERM; a last push --once with the same state directory.

        **Verify:**
            * Each stop ends within 15 s with status 0 and without a word.
            * Names and bytes of all files are those of a push that was never stopped.
        """
        out = self._stop_and_go(OnStop="resume")
        oracle.verify_same_tree(run.read_tree(out), run.read_tree(self.reference))

    @func_test
    def test_stop_close(self) -> None:
        """OnStop = "close", the default, publishes what there is.

        **Steps:**
            * The same without OnStop.

        **Verify:**
            * The rest of a window becomes _1 and so on, in the directory of its window.
            * Each target has the packets of a push that was never stopped, once and in order.
        """
        out = self._stop_and_go()
        # The packets of a capture are distinct, so each has a place in it.
        self.order = {packet: i for i, packet in enumerate(self.packets)}
        for desc in ("time", "bytes", "both", "day"):
            oracle.verify_same_packets(self._packets(out, desc), self._packets(self.reference, desc), desc)
        names = run.list_files(f"{out}/day")
        stem = run.list_files(f"{self.reference}/day")[0][: -len(".pcap")]
        expected = sorted([f"{stem}.pcap"] + [f"{stem}_{i}.pcap" for i in range(1, len(names))])
        verify(names == expected and len(names) > 3, f"the day's files are {names}")
