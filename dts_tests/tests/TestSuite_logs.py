# SPDX-License-Identifier: BSD-3-Clause
"""The log of each target: its file, its link, its lines, and how long it is kept.

What a line says of a published file is compared with what capinfos says of it. Rolling at 64 MiB needs a size that a test
case can set: lib/writer/push_log_test.c.
"""

import datetime
import os
import re
import subprocess
import time

from api.test import verify
from framework import lua, oracle, pcap, run, traffic
from framework.run import SLUICE
from framework.test_suite import TestSuite, func_test

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} "
PUBLISHED = re.compile(
    STAMP + r"published (?P<path>\S+): packets (?P<packets>\d+), bytes (?P<bytes>\d+), first (?P<first>\S+),"
    r" last (?P<last>\S+), wall \d+\.\d{3} s, late (?P<late>\d+)$"
)
OPENED = re.compile(STAMP + r"open (?P<path>\S+)$")
STATUS = re.compile(STAMP + r"status: packets (?P<packets>\d+), ")


def nanoseconds(text: str) -> int:
    """2026-01-05T09:30:00.000000001Z"""
    when = datetime.datetime.strptime(text[:19] + "+0000", "%Y-%m-%dT%H:%M:%S%z")
    return int(when.timestamp()) * pcap.NS + int(text[20:29])


class TestLogs(TestSuite):
    """push_<Desc>_YYYYMMDD_HHMM and push_<Desc>.cur."""

    def _lines(self, desc: str) -> list[str]:
        with open(f"{self.dir}/log/push_{desc}.cur", encoding="utf-8") as file:
            return file.read().splitlines()

    @func_test
    def test_lines(self) -> None:
        """Files of a push in its log.

        **Steps:**
            * Push a capture with late packets to a target whose Desc has blanks, in windows of 20 s, and to one that matches
              nothing, with --log-dir.

        **Verify:**
            * push_<Desc>.cur is a link to push_<Desc>_YYYYMMDD_HHMM of this minute.
            * A line for each file that was opened, under its working name, and one for each that was published, in order.
              Packets, bytes, first and last time are capinfos'; late is the number of packets older than the window.
            * The target without a match has no line of a file.
        """
        capture = traffic.make_traffic(f"{self.dir}/in.pcap", packets=5000, duration=100, seed=2, disorder=3e9)
        run.import_capture(f"{self.dir}/store", capture)
        targets = [
            lua.target("a b/c", f"{self.dir}/out/x", Split="--split-time 20e9", MinFree=0),
            lua.target("none", f"{self.dir}/out/none", "ether host 2:3:4:5:6:7", MinFree=0),
        ]
        before = datetime.datetime.now()
        config = lua.write_config(f"{self.dir}/c.lua", targets)
        run.push_once(config, f"{self.dir}/store", "--log-dir", f"{self.dir}/log")
        after = datetime.datetime.now()
        link = os.readlink(f"{self.dir}/log/push_a_b_c.cur")
        verify(
            link in {f"push_a_b_c_{when:%Y%m%d_%H%M}" for when in (before, after)}, f"push_a_b_c.cur points to {link}"
        )
        lines = self._lines("a_b_c")
        verify(len(lines) == len([line for line in lines if OPENED.match(line) or PUBLISHED.match(line)]), lines)
        published = [match for match in map(PUBLISHED.match, lines) if match]
        opened = [match["path"] for match in map(OPENED.match, lines) if match]
        names = [f"{self.dir}/out/{name}" for name in run.list_files(f"{self.dir}/out")]
        verify([match["path"] for match in published] == names, f"published {names}, in the log:\n" + "\n".join(lines))
        verify(len(opened) == len(names) and all(name.endswith(".pending") for name in opened), f"opened: {opened}")
        late = 0
        for match in published:
            packets = pcap.read_packets(match["path"])
            window = int(re.search(r"_(\d+)-\d+\.pcap$", match["path"]).group(1)) * pcap.NS
            expected = {
                "packets": oracle.capinfos_count(match["path"]),
                "bytes": os.path.getsize(match["path"]),
                "first": packets[0].ts,
                "last": packets[-1].ts,
                "late": sum(packet.ts < window for packet in packets),
            }
            got = {key: nanoseconds(text) if key in ("first", "last") else int(text)
                   for key, text in match.groupdict().items() if key != "path"}
            verify(got == expected, f"{match[0]}\nexpected {expected}")
            late += expected["late"]
        verify(late > 0, "the capture has no late packets")
        if os.path.lexists(f"{self.dir}/log/push_none.cur"):
            verify(not self._lines("none"), self._lines("none"))

    @func_test
    def test_status(self) -> None:
        """A status line every 15 s, but only if something changed.

        **Steps:**
            * Follow a capture that an import from a pipe makes; send packets, and then nothing for more than 30 s.

        **Verify:**
            * Exactly one status line, 15 s after the start, with the number of packets; the target that got none has none.
        """
        packets = [traffic.simple_udp(1_700_000_000 * pcap.NS + i, 100, i) for i in range(100)]
        targets = [
            lua.target("busy", f"{self.dir}/out/busy", MinFree=0),
            lua.target("none", f"{self.dir}/out/none", "tcp", MinFree=0),
        ]
        config = lua.write_config(f"{self.dir}/c.lua", targets, {"FollowStart": True})
        store = f"{self.dir}/store"
        with run.Process([SLUICE, "import", "--store", store, "-"], stdin=subprocess.PIPE) as feeder:
            feeder.popen.stdin.write(pcap.pcap_bytes(packets))
            feeder.popen.stdin.flush()
            feeder.wait_until(lambda: os.path.lexists(f"{store}/active"), what="a capture")
            args = ("--state-dir", f"{self.dir}/state", "--log-dir", f"{self.dir}/log")
            with run.push_start(config, store, *args) as push:
                push.wait_until(lambda: os.path.lexists(f"{self.dir}/log/push_busy.cur"), what="a log")
                time.sleep(32)
                push.stop(20)
            feeder.popen.stdin.close()
            feeder.wait(20)
        found = [match for match in map(STATUS.match, self._lines("busy")) if match]
        verify(len(found) == 1 and int(found[0]["packets"]) == 100, "\n".join(self._lines("busy")))
        if os.path.lexists(f"{self.dir}/log/push_none.cur"):
            verify(not any(STATUS.match(line) for line in self._lines("none")), "\n".join(self._lines("none")))

    @func_test
    def test_midnight(self) -> None:
        """A new log at local midnight.

        **Steps:**
            * With TZ such that local midnight is 4 s ahead: follow a capture that an import from a pipe makes, with packets
              before midnight and after.

        **Verify:**
            * Two logs: one of the old day with a line for the file opened before midnight, and push_x_<new day>_0000, to which
              the link points, with the file published after it. No line has the other day's date.
        """
        store = f"{self.dir}/store"
        config = lua.write_config(
            f"{self.dir}/c.lua", [lua.target("x", f"{self.dir}/out/x", Split="--split-byte 1000", MinFree=0)],
            {"FollowStart": True},
        )
        packets = [traffic.simple_udp(1_700_000_000 * pcap.NS + i, 100, i) for i in range(10)]
        with run.Process([SLUICE, "import", "--store", store, "-"], stdin=subprocess.PIPE) as feeder:
            feeder.popen.stdin.write(pcap.pcap_bytes(packets[:2]))
            feeder.popen.stdin.flush()
            feeder.wait_until(lambda: os.path.lexists(f"{store}/active"), what="a capture")
            midnight = int(time.time()) + 4
            west = midnight % 86400
            zone = f"XYZ{west // 3600:02d}:{west // 60 % 60:02d}:{west % 60:02d}"
            days = [time.strftime("%Y%m%d", time.gmtime(midnight - west + ahead)) for ahead in (-1, 0)]
            args = ("--state-dir", f"{self.dir}/state", "--log-dir", f"{self.dir}/log")
            with run.push_start(config, store, *args, env={"TZ": zone}) as push:
                push.wait_until(lambda: run.list_files(f"{self.dir}/out"), 60, "a working file")
                verify(time.time() < midnight, "too slow: midnight has passed")
                time.sleep(midnight + 0.2 - time.time())
                feeder.popen.stdin.write(b"".join(map(pcap.pcap_record, packets[2:])))
                feeder.popen.stdin.close()
                feeder.wait(20)
                push.wait_until(lambda: run.list_files(f"{self.dir}/out", ".pcap"), 60, "a published file")
                push.stop(20)
        logs = sorted(set(os.listdir(f"{self.dir}/log")) - {"push_x.cur"})
        verify(len(logs) == 2 and logs[0].startswith(f"push_x_{days[0]}_2359"), f"{days}, {zone}: logs {logs}")
        verify(logs[1] == f"push_x_{days[1]}_0000", f"{days}, {zone}: logs {logs}")
        verify(os.readlink(f"{self.dir}/log/push_x.cur") == logs[1], "the link does not name the new log")
        for name, day, kind in ((logs[0], days[0], OPENED), (logs[1], days[1], PUBLISHED)):
            with open(f"{self.dir}/log/{name}", encoding="utf-8") as file:
                lines = file.read().splitlines()
            verify(any(kind.match(line) for line in lines), f"{name}: {lines}")
            verify(all(line[:10].replace("-", "") == day for line in lines), f"{name}: {lines}")

    @func_test
    def test_kept(self) -> None:
        """Logs of more than 30 days ago are removed, and nothing else is.

        **Steps:**
            * In the log directory: logs of the target of 29, 30, 31 and 400 days ago, one with a number; a log of another
              target of 400 days ago; a directory, a link and other files with names like a log's. Push twice within a minute.

        **Verify:**
            * Only the target's own logs of more than 30 days are gone.
            * Both pushes have a log of their own, and the link names the second.
        """
        log = f"{self.dir}/log"
        os.makedirs(log)
        today = datetime.date.today()

        def name(desc: str, days: int, more: str = "") -> str:
            return f"push_{desc}_{today - datetime.timedelta(days=days):%Y%m%d}_1200{more}"

        keep = [name("x", 29), name("x", 30), name("x_y", 400), name("x", 400, ".gz"), "push_x_20200101", "push_x_notes"]
        gone = [name("x", 31), name("x", 400), name("x", 400, "_1")]
        for file in keep + gone:
            with open(f"{log}/{file}", "w", encoding="utf-8") as out:
                out.write("kept\n")
        os.mkdir(f"{log}/{name('x', 500)}")
        os.symlink("nowhere", f"{log}/{name('x', 501)}")
        keep += [name("x", 500), name("x", 501)]
        capture = pcap.write_pcap(f"{self.dir}/in.pcap", [traffic.simple_udp(pcap.NS, 100)])
        run.import_capture(f"{self.dir}/store", capture)
        config = lua.write_config(f"{self.dir}/c.lua", [lua.target("x", f"{self.dir}/out/x", MinFree=0)])
        for _ in range(2):
            run.push_once(config, f"{self.dir}/store", "--log-dir", log)
        found = set(os.listdir(log))
        verify(found >= set(keep), f"removed: {set(keep) - found}")
        verify(not found & set(gone), f"not removed: {found & set(gone)}")
        new = sorted(found - set(keep) - {"push_x.cur"})
        verify(len(new) == 2, f"new logs: {new}")
        last = os.readlink(f"{log}/push_x.cur")
        with open(f"{log}/{last}", encoding="utf-8") as file:
            verify("_1.pcap" in file.read(), f"push_x.cur points to {last}, which is not of the second push")
