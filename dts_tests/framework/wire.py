# SPDX-License-Identifier: BSD-3-Clause
"""Live captures: a wire of our own to listen to (veth pairs in a network namespace, tcpreplay at one end), and what they tell."""

from __future__ import annotations

import json

from . import fs, run, telemetry
from .run import Process
from .test_suite import TestSuite

# Bytes that any Ethernet frame of make_traffic fits in, and frames as large as GRO makes them.
MTU = 60000


class Wire:
    """veth pairs in a namespace: what is sent into a0 comes out of b0."""

    def __init__(self, suite: TestSuite, pairs: int = 1):
        self.namespace = suite.enter(fs.netns())
        self.inside = fs.in_netns(self.namespace)
        # Nobody but tcpreplay is to speak.
        run.run([*self.inside, "sysctl", "-q", "-w", "net.ipv6.conf.default.disable_ipv6=1"])
        for i in range(pairs):
            run.run([*self.inside, "ip", "link", "add", f"a{i}", "type", "veth", "peer", "name", f"b{i}"])
            for end in ("a", "b"):
                run.run([*self.inside, "ip", "link", "set", f"{end}{i}", "mtu", str(MTU), "up"])

    def send(self, file: str, pair: int = 0, *options: str) -> None:
        """Send a pcap file, as fast as tcpreplay can unless options say otherwise."""
        run.run([*self.inside, "tcpreplay", "-q", "-i", f"a{pair}", *(options or ("--topspeed",)), file], timeout=100)

    def replay(self, file: str, pair: int, *options: str) -> Process:
        """send(), beside the test case."""
        return Process([*self.inside, "tcpreplay", "-q", "-i", f"a{pair}", *options, file])

    def carried(self, pair: int = 0) -> int:
        """Packets that have been sent into one end, as its interface counts them."""
        shown = json.loads(run.run([*self.inside, "ip", "-stats", "-json", "link", "show", f"a{pair}"]).out)
        return shown[0]["stats64"]["tx"]["packets"]


def told(capture: Process, timeout: float = 30) -> dict:
    """What a capture answers to /sluice/capture, once it does: then it runs."""
    return capture.wait_until(lambda: telemetry.ask(capture.pid, "/sluice/capture"), timeout, "an answer")


def received(capture: Process, count: int) -> None:
    """Wait until a capture has stored or lost so many packets."""

    def done() -> bool:
        now = telemetry.ask(capture.pid, "/sluice/capture")
        return bool(now) and now["packets"] + now["missed"] + now["no_buffer"] + now["store_slow"] >= count

    capture.wait_until(done, 90, f"{count} packets stored or lost")
