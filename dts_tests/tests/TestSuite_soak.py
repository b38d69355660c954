# SPDX-License-Identifier: BSD-3-Clause
"""A push behind a capture that does not end, with everything that goes wrong in months, in a short time.

SLUICE_SOAK_SECONDS says how long; 600 is the long form. The oracle is a push of the same packets that nothing happened to.
"""

import errno
import os
import random
import subprocess
import threading
import time

from api.test import verify
from framework import lua, oracle, pcap, run, traffic
from framework.faultfs import FaultFs
from framework.run import SLUICE
from framework.test_suite import TestSuite, func_test

SECONDS = int(os.environ.get("SLUICE_SOAK_SECONDS", "20"))
RATE = 3000 # packets a second
ROLLS = 5
CALM = 0.35 # of the time, at the end: nobody is killed, so that memory can be watched


class Feeder(threading.Thread):
    """Sends a capture at the pace of its time stamps to one `sluice import -` after the other."""

    def __init__(self, store: str, packets: list[pcap.Packet]):
        super().__init__(daemon=True)
        self.store, self.packets = store, packets
        self.failed: BaseException | None = None

    def run(self) -> None:
        try:
            size = len(self.packets) // (ROLLS + 1) + 1
            begun = time.monotonic()
            for roll in range(ROLLS + 1):
                self._feed(self.packets[roll * size : (roll + 1) * size], begun)
        except BaseException as error:  # pylint: disable=broad-exception-caught
            self.failed = error

    def _feed(self, packets: list[pcap.Packet], begun: float) -> None:
        first = self.packets[0].ts
        words = [SLUICE, "import", "--store", self.store, "-"]
        with run.Process(words, stdin=subprocess.PIPE) as importer:
            pipe = importer.popen.stdin
            pipe.write(pcap.pcap_header())
            at = 0
            while at < len(packets):
                now = first + int((time.monotonic() - begun) * 1e9)
                end = at
                while end < len(packets) and packets[end].ts <= now:
                    end += 1
                pipe.write(b"".join(pcap.pcap_record(item) for item in packets[at:end]))
                pipe.flush()
                at = end
                time.sleep(0.02)
            pipe.close()
            importer.wait(60)


class TestSoak(TestSuite):
    """Everything at once."""

    def set_up_suite(self) -> None:
        """Traffic, and what one push makes of it."""
        capture = traffic.make_traffic(f"{self.suite_dir}/in.pcap", packets=RATE * SECONDS, duration=SECONDS, seed=3)
        self.packets = pcap.read_packets(capture)
        self.reference = f"{self.suite_dir}/reference"
        store = f"{self.suite_dir}/store"
        run.import_capture(store, capture)
        run.push_once(lua.write_config(f"{self.suite_dir}/c.lua", self._targets(self.reference)), store)

    @staticmethod
    def _targets(out: str) -> list[dict]:
        shapes = {
            "all": (None, "--split-time 2e9", {}),
            "bytes": ("udp", "--split-byte 400000", {}),
            "both": ("tcp", "--split-time 4e9 --split-byte 1000000", {}),
            "rare": ("arp or icmp", "--split-time 1e9", {"EmptyFiles": True}),
        }
        return lua.shaped(f"{out}/{{}}/%M/x", shapes, OnStop="resume")

    def _stall(self, faulty: FaultFs, dice: random.Random) -> None:
        """One target's endpoint hangs, crawls, or is full, for a while."""
        desc = dice.choice(["all", "bytes", "both", "rare"])
        op = dice.choice(["write", "fsync", "create", "mkdir", "link", "fsyncdir"])
        fault = dice.choice([{"hang": True}, {"delay": 0.3}, {"error": errno.ENOSPC}, {"error": errno.EIO}])
        if op != "write" and fault.get("error") == errno.ENOSPC:
            fault = {"hang": True}
        faulty.rule(op, f"/{desc}/*", **fault)
        time.sleep(dice.uniform(0.5, 3))
        faulty.clear()

    @func_test
    def test_soak(self) -> None:
        """Stalls, kills, stops, rolls and reloads at random, and in the end exactly the same files.

        **Steps:**
            * Feed traffic at the pace of its time stamps into captures that roll five times; a push follows, its output on a
              file system of which one target's part hangs, crawls or fails at random moments; SIGKILL, SIGTERM and SIGHUP
              with another target more or less at random moments; in the last third nobody is ended.
            * When all is fed, stop the push and let push --once finish.

        **Verify:**
            * Names and bytes of all files are those of a push that nothing happened to.
            * In the last third the push's resident memory grows by no more than 16 MiB.
        """
        seed = int(os.environ.get("SLUICE_SOAK_SEED", "0")) or random.randrange(1, 1 << 30)
        dice = random.Random(seed)
        store, state = f"{self.dir}/store", f"{self.dir}/state"
        os.mkdir(store)
        with FaultFs(f"{self.dir}/back", f"{self.dir}/out") as faulty:
            out = faulty.mount
            extra = lua.target("extra", f"{self.dir}/extra/x", "udp", Split="--split-time 3e9", MinFree=0)
            config = f"{self.dir}/c.lua"
            top = {"FollowStart": True}
            args = ("--state-dir", state, "--log-dir", f"{self.dir}/log")
            lua.write_config(config, self._targets(out), top)
            feeder = Feeder(store, self.packets)
            push = run.push_start(config, store, *args)
            did, grown, with_extra = [], [], False
            try:
                begun = time.monotonic()
                feeder.start()
                while feeder.is_alive():
                    time.sleep(dice.uniform(0.2, 1.2))
                    calm = time.monotonic() - begun > SECONDS * (1 - CALM)
                    what = dice.choice(["stall", "reload"] if calm else ["stall", "kill", "stop", "reload", "kill"])
                    verify(push.running(), f"seed {seed}, after {did}: the push ended\n{push.result().describe()}")
                    did.append(what)
                    if what == "stall":
                        self._stall(faulty, dice)
                    elif what == "reload":
                        with_extra = not with_extra
                        lua.write_config(config, self._targets(out) + ([extra] if with_extra else []), top)
                        push.signal(1)
                    else:
                        if what == "kill":
                            push.kill()
                        else:
                            push.stop(30)
                        push.__exit__()
                        push = run.push_start(config, store, *args)
                    if calm:
                        grown.append(run.resident(push.pid))
                verify(feeder.failed is None, f"the feeder: {feeder.failed}")
                push.stop(60)
            finally:
                push.__exit__()
            lua.write_config(config, self._targets(out), top)
            run.push_once(config, store, *args)
            oracle.verify_same_tree(run.read_tree(out), run.read_tree(self.reference), f"seed {seed}, did {did}")
        verify(len(grown) > 1 and grown[-1] - grown[0] < 16 << 20, f"seed {seed}: resident {grown}")
