# SPDX-License-Identifier: BSD-3-Clause
"""sluice import --follow: files and directories that other programs fill, while they are filled and after a crash.

The writers are tcpdump (-C, -W, -G), dumpcap (-b) and editcap; the oracle is what they were given, or tcpdump's reading of
what they wrote.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import struct
import subprocess
import time

from api.test import verify
from framework import fmadio, fs, lua, oracle, pcap, run, traffic
from framework import store as stores
from framework.exception import TestCaseVerifyError
from framework.pcap import Interface, Packet
from framework.run import SLUICE
from framework.store import captures, exported, stored
from framework.test_suite import TestSuite, func_test

PORT = 40123
# In immediate mode each packet takes a place of the snap length in the kernel: few would fit on a busy machine.
ROOM = ("-s", "2000", "-B", "16384")


def append(path: str, blob: bytes) -> None:
    """Append to a file."""
    with open(path, "ab") as file:
        file.write(blob)


def payloads(packets: list[Packet]) -> list[bytes]:
    """The last eight bytes of each packet: what the sender of numbered datagrams put there."""
    return [item.data[-8:] for item in packets]


class TestImportFollow(TestSuite):
    """Follow what others write."""

    def set_up_suite(self) -> None:
        """One capture of mixed traffic."""
        self.capture = traffic.make_traffic(f"{self.suite_dir}/in.pcap", packets=12000, duration=300, seed=9)
        with open(self.capture, "rb") as file:
            self.blob = file.read()
        self.packets = pcap.parse_pcap(self.blob).packets
        self.seed = int(os.environ.get("SLUICE_SEED", "1"))

    def set_up_test_case(self) -> None:
        self.store = f"{self.dir}/store"
        self.source = f"{self.dir}/source"
        os.mkdir(self.source)

    # ------------------------------------------------------------ helpers

    def follow(self, *args: str, store: str | None = None) -> run.Process:
        """A follower of the source directory, or of what args name."""
        sources = [] if any(not word.startswith("-") for word in args) else [self.source]
        words = ["import", "--follow", "--store", store or self.store, "--flush-interval", "0.2", "--keep-free", "0"]
        words += [*args, *sources]
        return self.enter(run.Process([SLUICE, *words]))

    def stored_count(self) -> int:
        """Packets that the store has in all of its captures."""
        return stores.count(self.store)

    def wait_stored(self, follower: run.Process, count: int, timeout: float = 30) -> None:
        """Wait until so many packets are committed."""
        follower.wait_until(lambda: self.stored_count() >= count, timeout, f"{count} packets in the store")

    def verify_stored(self, expected: list[Packet], what: str = "the store") -> None:
        """All captures of the store together have exactly these packets, in this order."""
        oracle.verify_same_packets(exported(self.store, self.dir), expected, what)

    def split(self, *options: str, name: str = "cap.pcap", capture: str | None = None) -> None:
        """Let tcpdump write a capture into the source directory."""
        words = ["tcpdump", "-Z", "root", "--nano", "-r", capture or self.capture, "-w", f"{self.source}/{name}"]
        run.run([*words, *options])

    def trickle(self, *options: str, seconds: float, name: str = "cap.pcap") -> subprocess.Popen:
        """The same, but tcpdump gets the capture through a pipe, evenly over some seconds."""
        words = ["tcpdump", "-Z", "root", "--nano", "-r", "-", "-w", f"{self.source}/{name}", *options]
        feeder = (
            "import sys, time\n"
            "blob = open(sys.argv[1], 'rb').read(); n = 100; step = len(blob) // n + 1\n"
            "for i in range(n):\n"
            "    sys.stdout.buffer.write(blob[i * step:(i + 1) * step]); sys.stdout.buffer.flush()\n"
            "    time.sleep(float(sys.argv[2]) / n)\n"
        )
        source = subprocess.Popen(["python3", "-c", feeder, self.capture, str(seconds)], stdout=subprocess.PIPE)
        writer = subprocess.Popen(words, stdin=source.stdout, stderr=subprocess.DEVNULL)
        source.stdout.close()
        for process in (writer, source):
            self.on_tear_down(process.wait)
            self.on_tear_down(process.kill)
        return writer

    # ------------------------------------------------------------ one file

    @func_test
    def test_growing_file(self) -> None:
        """A file that grows in pieces that end anywhere.

        **Steps:**
            * Follow a pcap, and then a pcapng file (editcap's), that does not exist yet; append it in 30 pieces cut at random
              places, with pauses; SIGTERM while half a record is at its end.

        **Verify:**
            * All whole packets are in the store, in order; nothing is said about the half record; exit status 0.
            * The rest of the file, written later, is taken by a second run: each packet is there once.
        """
        rng = random.Random(self.seed)
        oracle.editcap("-F", "pcapng", self.capture, f"{self.dir}/in.pcapng")
        for kind in ("pcap", "pcapng"):
            self.store = f"{self.dir}/store.{kind}"
            path = f"{self.source}/grows.{kind}"
            with open(self.capture if kind == "pcap" else f"{self.dir}/in.pcapng", "rb") as file:
                blob = file.read()
            end = len(blob) - 21  # within the last record
            cuts = sorted(rng.randrange(1, end) for _ in range(30)) + [end]
            with self.follow(path) as follower:
                follower.wait_until(lambda: "waited for" in follower.err, what="word that the file is missing")
                at = 0
                for cut in cuts:
                    append(path, blob[at:cut])
                    at = cut
                    time.sleep(rng.choice((0, 0.005, 0.03)))
                self.wait_stored(follower, len(self.packets) - 1)
                result = follower.stop()
            verify("damaged" not in result.err, result.describe())
            self.verify_stored(self.packets[:-1], kind)
            with self.follow(path) as follower:
                append(path, blob[end:])
                self.wait_stored(follower, len(self.packets))
                follower.stop()
            self.verify_stored(self.packets, f"{kind}, second run")
            verify(len(captures(self.store)) == 2, f"captures {captures(self.store)}")

    @func_test
    def test_replaced_file(self) -> None:
        """A file that is rotated away, and one that is written over.

        **Steps:**
            * Follow a file; rename it, append to it under its new name, make a new one, append to the old one once more;
              truncate the new one and write other packets into it.

        **Verify:**
            * All packets are there in the order of writing; both changes are told with the file's name; exit status 0.
            * Renamed while no follower ran, the rest of the old file is taken first by the next run.
        """
        path = f"{self.source}/a.pcap"
        parts = [self.packets[i * 100 : (i + 1) * 100] for i in range(6)]
        with self.follow(path) as follower:
            pcap.write_pcap(path, parts[0])
            self.wait_stored(follower, 100)
            os.rename(path, path + ".1")
            follower.wait_until(lambda: "renamed" in follower.err, what="word of the rename")
            append(path + ".1", b"".join(pcap.pcap_record(item) for item in parts[1]))
            self.wait_stored(follower, 200)
            pcap.write_pcap(path, parts[2])
            self.wait_stored(follower, 300)
            pcap.write_pcap(path, parts[3])
            self.wait_stored(follower, 400)
            result = follower.stop()
        verify("a.pcap: was written over" in result.err, result.describe())
        os.rename(path, path + ".2")
        append(path + ".2", b"".join(pcap.pcap_record(item) for item in parts[4]))
        pcap.write_pcap(path, parts[5])
        with self.follow(path) as follower:
            self.wait_stored(follower, 600)
            follower.stop()
        self.verify_stored(sum(parts, []))

    # ------------------------------------------------------------ directories

    @func_test
    def test_tcpdump_size(self) -> None:
        """tcpdump -C fills a directory, before and while it is followed.

        **Steps:**
            * Let tcpdump split a capture into more than ten files; follow; stop. Follow again: nothing is new.
            * Follow an empty directory while tcpdump -C fills it from a slow pipe.

        **Verify:**
            * The store has the capture's packets in their order, each once (cap.pcap10 comes after cap.pcap9).
        """
        self.split("-C", "500k" if self._has_units() else "1")
        verify(len(os.listdir(self.source)) > 6, f"{os.listdir(self.source)}")
        with self.follow() as follower:
            self.wait_stored(follower, len(self.packets))
            follower.stop()
        with self.follow() as follower:
            time.sleep(0.5)
            result = follower.stop()
        verify(result.out == "", f"the second run imported something\n{result.describe()}")
        self.verify_stored(self.packets)
        self.store = f"{self.dir}/live"
        shutil.rmtree(self.source)
        os.mkdir(self.source)
        with self.follow() as follower:
            writer = self.trickle("-C", "1", seconds=1.5)
            self.wait_stored(follower, len(self.packets))
            verify(writer.wait(20) == 0, "tcpdump failed")
            follower.stop()
        self.verify_stored(self.packets, "live")

    @staticmethod
    def _has_units() -> bool:
        """Does this tcpdump take -C 500k? (4.99 does not.)"""
        return b"suffix" in subprocess.run(["tcpdump", "--help"], capture_output=True, check=False).stderr

    @func_test
    def test_tcpdump_ring(self) -> None:
        """tcpdump -C -W: a ring of files that is written over in place.

        **Steps:**
            * Follow a directory while tcpdump writes a ring of three files from a slow pipe, several times round.
            * Follow a ring that has wrapped already.

        **Verify:**
            * Live: all packets, in order, each once, also across a restart in the middle.
            * Afterwards: what the ring still holds, from the oldest file on, although that is not the first by name.
        """
        with self.follow() as follower:
            writer = self.trickle("-C", "1", "-W", "3", seconds=3)
            self.wait_stored(follower, len(self.packets) // 2)
            follower.stop()
        with self.follow() as follower:
            self.wait_stored(follower, len(self.packets))
            verify(writer.wait(20) == 0, "tcpdump failed")
            follower.stop()
        self.verify_stored(self.packets, "live")
        files = [pcap.read_packets(f"{self.source}/{name}") for name in sorted(os.listdir(self.source))]
        files.sort(key=lambda packets: packets[0].ts)
        verify(files[0] != pcap.read_packets(f"{self.source}/cap.pcap0"), "the ring has not wrapped")
        self.store = f"{self.dir}/after"
        with self.follow() as follower:
            self.wait_stored(follower, sum(map(len, files)))
            follower.stop()
        self.verify_stored(sum(files, []), "afterwards")

    def _send(self, namespace: str, first: int, count: int, pause: float) -> None:
        """Send numbered datagrams over the namespace's loopback."""
        program = (
            "import socket, struct, sys, time\n"
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "for i in range(int(sys.argv[1]), int(sys.argv[1]) + int(sys.argv[2])):\n"
            "    s.sendto(bytes(400) + struct.pack('>Q', i), ('127.0.0.1', int(sys.argv[4])))\n"
            "    time.sleep(float(sys.argv[3]))\n"
        )
        words = ["python3", "-c", program, str(first), str(count), str(pause), str(PORT)]
        run.run([*fs.in_netns(namespace), *words])

    def _live(self, command: list[str], pattern: str, least: int) -> None:
        """Follow what a live capture on loopback writes into the directory; each datagram sent must be stored once."""
        namespace = self.enter(fs.netns())
        follower = self.follow()
        writer = self.enter(run.Process([*fs.in_netns(namespace), *command]))
        writer.wait_until(lambda: "istening on" in writer.err or "File:" in writer.err, what="a capture that runs")
        time.sleep(0.5)
        for turn in range(3):
            self._send(namespace, turn * 300, 300, 0.003)
            if turn == 1:
                # The follower misses a part of the ring's life.
                follower.kill()
                follower = self.follow()
        time.sleep(0.3)
        writer.signal(signal.SIGINT)
        done = writer.wait(20)
        try:
            self.wait_stored(follower, 900)
        except TestCaseVerifyError as late:
            raise TestCaseVerifyError(f"{self.stored_count()} of 900 stored\n{late}\n{done.describe()}") from None
        follower.stop()
        verify(len([name for name in os.listdir(self.source) if pattern in name]) >= least, f"{os.listdir(self.source)}")
        sent = [struct.pack(">Q", i) for i in range(900)]
        got = [data for data in payloads(exported(self.store, self.dir)) if data in set(sent)]
        verify(got == sent, f"{len(got)} datagrams stored, {len(set(got))} different, 900 sent")

    @func_test
    def test_tcpdump_time(self) -> None:
        """tcpdump -G: a file a second, of live traffic, its names by strftime.

        **Steps:**
            * tcpdump -G 1 on a namespace's loopback into the directory; send 900 numbered datagrams; kill the follower with
              SIGKILL in the middle and start it again.

        **Verify:**
            * Each datagram is stored once, in order.
        """
        words = ["tcpdump", "-Z", "root", "-i", "lo", "--nano", "--immediate-mode", "-U", "-G", "1", *ROOM]
        self._live([*words, "-w", f"{self.source}/lo-%s.pcap", "udp", "and", "port", str(PORT)], "lo-", 3)

    @func_test
    def test_dumpcap_ring(self) -> None:
        """dumpcap -b filesize -b files: the oldest file is removed when a new one begins.

        **Steps:**
            * The same with dumpcap, 15 files of 20 kB, of about twice as many that are needed.

        **Verify:**
            * Each datagram is stored once, in order, though most of their files are gone by then.
        """
        words = ["dumpcap", "-q", "-i", "lo", "-s", "2000", "-B", "16", "-b", "filesize:20", "-b", "files:15"]
        self._live([*words, "-w", f"{self.source}/lo.pcapng", "-f", f"udp and port {PORT}"], "lo_", 8)

    # ------------------------------------------------------------ crashes

    def _push(self, out: str) -> run.Process:
        """A push that follows the store from its start."""
        os.makedirs(self.store, exist_ok=True)
        targets = [
            lua.target("all", f"{out}/all", Split="--split-time 60e9", MinFree=0),
            lua.target("day", f"{out}/day", Split="--split-time 86400e9", MinFree=0, OnStop="resume"),
        ]
        config = lua.write_config(f"{self.dir}/c.lua", targets, {"FollowStart": True})
        args = ("--state-dir", f"{self.dir}/state", "--log-dir", f"{self.dir}/log")
        return self.enter(run.push_start(config, self.store, *args))

    @func_test
    def test_kill(self) -> None:
        """SIGKILL at random moments neither loses nor repeats a packet, from the directory to the pushed files.

        **Steps:**
            * tcpdump -C writes the capture from a slow pipe into the directory; the follower is killed and started again at
              random moments all the while (SLUICE_SEED chooses them, SLUICE_KILLS how many); a push follows the store.

        **Verify:**
            * The captures of the store together have the input's packets, each once, in order.
            * So have the files that the push published.
        """
        kills = int(os.environ.get("SLUICE_KILLS", "10"))
        rng = random.Random(self.seed)
        out = f"{self.dir}/out"
        push = self._push(out)
        follower = self.follow()
        writer = self.trickle("-C", "1", seconds=0.35 * kills)
        for _ in range(kills):
            time.sleep(rng.uniform(0.02, 0.6))
            follower.kill()
            verify("damaged" not in follower.err, follower.err)
            follower = self.follow()
        verify(writer.wait(60) == 0, "tcpdump failed")
        self.wait_stored(follower, len(self.packets))
        time.sleep(0.3)
        follower.stop()
        self.verify_stored(self.packets)
        push.stop()
        names = [f"{out}/{name}" for name in run.list_files(out) if name.startswith("all")]
        files = sorted((pcap.read_packets(name) for name in names), key=lambda packets: packets[0].ts)
        verify(len(captures(self.store)) > 2, f"captures {captures(self.store)}")
        oracle.verify_same_packets(sum(files, []), self.packets, "pushed")

    @func_test
    def test_kill_backlog(self) -> None:
        """SIGKILL while a backlog is read at full speed, and after every kind of end.

        **Steps:**
            * A directory of finished files; a follower without a flush interval, so that a chunk goes out only when it is full, is
              killed as soon as something is committed, ten times, then stopped with SIGTERM.

        **Verify:**
            * Each packet is there once, in order.
            * A state file whose last line is cut short, as a crash leaves it, changes nothing.
        """
        rng = random.Random(self.seed)
        self.split("-C", "1")
        words = ["import", "--follow", "--store", self.store, "--flush-interval", "0", self.source]
        for turn in range(10):
            before = self.stored_count()
            with run.Process([SLUICE, *words]) as follower:
                if turn < 9:
                    # What is left in the end fills no chunk.
                    end = time.monotonic() + 1
                    while time.monotonic() < end and self.stored_count() == before:
                        time.sleep(0.001)
                    time.sleep(rng.uniform(0, 0.004))
                    follower.kill()
                else:
                    time.sleep(0.5)
                    follower.stop()
            with open(f"{self.store}/.import-follow", "rb+") as file:
                lines = file.read()
                if turn % 3 == 0:
                    file.write(lines[lines.rindex(b"\n", 0, -1) + 1 :][:-4])
        self.verify_stored(self.packets)

    # ------------------------------------------------------------ what differs

    @func_test
    def test_link_types(self) -> None:
        """Another link type or snapshot length in the next file begins a new capture.

        **Steps:**
            * Files of Ethernet, Linux cooked, Ethernet, and Ethernet with another snapshot length, in a directory; follow.

        **Verify:**
            * Four captures with these link types and lengths, each with its file's packets; exit status 0.
            * A pcapng file with two interfaces of different link types: the packets of the first are taken, what to do about
              the other is told, exit status 1. With --interface 1 it is the other way round.
        """
        kinds = ((1, 262144), (113, 262144), (1, 262144), (1, 1000))
        parts = [self.packets[i * 50 : i * 50 + 50] for i in range(4)]
        for i, (link, snap) in enumerate(kinds):
            pcap.write_pcap(f"{self.source}/{i}.pcap", parts[i], linktype=link, snaplen=snap)
        with self.follow("--capture", "name", self.source) as follower:
            self.wait_stored(follower, 200)
            follower.stop()
        names = captures(self.store)
        verify(names == ["name", "name_1", "name_2", "name_3"], f"captures {names}")
        for name, part, kind in zip(names, parts, kinds):
            capture = stored(self.store, name)
            verify((capture.info["link_type"], capture.info["snap_len"]) == kind, f"{name}: {capture.info}")
            oracle.verify_same_packets(capture.packets, part, name)
        self.store = f"{self.dir}/mixed"
        path = f"{self.source}/9.pcapng"
        few = self.packets[:10]
        pcap.write_pcapng(path, [(i % 2, item) for i, item in enumerate(few)], (Interface(1), Interface(113)))
        for option, part in ((), few[::2]), (("--interface", "1"), few[1::2]):
            self.store = f"{self.dir}/mixed{len(option)}"
            with self.follow(*option, path) as follower:
                self.wait_stored(follower, 5)
                result = follower.stop(rc=0 if option else 1)
            verify(bool(option) or "interface 1 has link type 113" in result.err, result.describe())
            self.verify_stored(part, f"{option}")

    @func_test
    def test_hostile_directory(self) -> None:
        """What does not belong into the directory, and what is damaged, is told and does not stop anything.

        **Steps:**
            * A directory with garbage, a gzip file, an empty file, a directory, a FIFO, symbolic links (one to itself), hidden
              files, a file cut short, a file damaged in the middle and sound ones before, between and behind; more sound ones
              come later; the directory is removed and made again with one more.

        **Verify:**
            * All packets of the sound files and the good parts of the damaged ones are stored; each problem is told once, with
              the file's name; exit status 1.
        """
        parts = [self.packets[i * 60 : i * 60 + 60] for i in range(7)]

        def path(name: str) -> str:
            return f"{self.source}/{name}"

        pcap.write_pcap(path("1.pcap"), parts[0])
        cut = pcap.pcap_bytes(parts[1])
        append(path("2.pcap"), cut[:-7])
        spoilt = bytearray(pcap.pcap_bytes(parts[2]))
        at = 24 + sum(16 + len(item.data) for item in parts[2][:30])
        spoilt[at + 8 : at + 12] = struct.pack("<I", 0x7FFFFFFF)
        append(path("3.pcap"), bytes(spoilt))
        pcap.write_pcap(path("4.pcap"), parts[3])
        append(path("garbage.pcap"), bytes(random.Random(1).randrange(256) for _ in range(5000)))
        append(path("zipped.pcap.gz"), b"\x1f\x8b\x08\x00" + bytes(50))
        append(path("empty.pcap"), b"")
        append(path("header.pcap"), pcap.pcap_header())
        append(path(".hidden.pcap"), pcap.pcap_bytes(parts[6]))
        os.mkdir(path("directory"))
        os.mkfifo(path("fifo"))
        os.symlink("1.pcap", path("link.pcap"))
        os.symlink("loop", path("loop"))
        expected = parts[0] + parts[1][:-1] + parts[2][:30] + parts[3]
        with self.follow() as follower:
            self.wait_stored(follower, len(expected))
            pcap.write_pcap(path("5.pcap"), parts[4])
            self.wait_stored(follower, len(expected) + 60)
            shutil.rmtree(self.source)
            time.sleep(0.3)
            os.mkdir(self.source)
            pcap.write_pcap(path("6.pcap"), parts[5])
            self.wait_stored(follower, len(expected) + 120)
            result = follower.stop(rc=1)
        self.verify_stored(expected + parts[4] + parts[5])
        for word in (
            "2.pcap: damaged at byte",
            "3.pcap: damaged at byte",
            "garbage.pcap: damaged",
            "zipped.pcap.gz: damaged",
            "directory: is a directory",
            "fifo: is a FIFO",
            "link.pcap: is a symbolic link",
            "loop: is a symbolic link",
        ):
            verify(result.err.count(f"/{word}") == 1, f"{word}: told {result.err.count(word)} times\n{result.describe()}")
        verify("hidden" not in result.err, result.describe())

    @func_test
    def test_several_sources(self) -> None:
        """Two directories at a time, through a kill.

        **Steps:**
            * Follow two directories and a file, all of which grow by turns; SIGKILL in the middle; go on.

        **Verify:**
            * The packets of each source are there once, in their order.
        """
        sources = [f"{self.dir}/a", f"{self.dir}/b", f"{self.dir}/c.pcap"]
        for name in sources[:2]:
            os.mkdir(name)
        files = [f"{sources[0]}/x.pcap", f"{sources[1]}/y.pcap", sources[2]]
        parts = [self.packets[i::3] for i in range(3)]
        parts = [part[:1500] for part in parts]
        records = [[pcap.pcap_record(item) for item in part] for part in parts]
        follower = self.follow(*sources)
        for turn in range(10):
            for name, list_ in zip(files, records):
                append(name, (pcap.pcap_header() if turn == 0 else b"") + b"".join(list_[turn * 150 : turn * 150 + 150]))
                time.sleep(0.01)
            time.sleep(0.05)
            if turn in (3, 6):
                follower.kill()
                follower = self.follow(*sources)
        self.wait_stored(follower, 4500)
        follower.stop()
        got = exported(self.store, self.dir)
        for part, name in zip(parts, files):
            mine = set(part)
            oracle.verify_same_packets([item for item in got if item in mine], part, name)
        verify(len(got) == 4500, f"{len(got)} packets")

    # ------------------------------------------------------------ the store's disk

    @func_test
    def test_full_disk(self) -> None:
        """A store without space: reading waits, and nothing is lost or repeated.

        **Steps:**
            * A store on a file system of 24 MiB of which most is taken; follow a directory with more than fits; SIGTERM while it
              is full; SIGKILL the next one while it is full; make room while a third one waits.

        **Verify:**
            * That it waits is told with the store's path, and when there is room again; the first ends within 10 s, exit status 1 or 0.
            * In the end each packet is there once, in order.
        """
        disk = self.enter(fs.LoopFs(self.dir, 40 << 20))
        self.store = f"{disk.path}/store"
        self.split("-C", "1")
        ballast = f"{disk.path}/ballast"
        with open(ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, disk.free() - (4 << 20))
        for turn in range(2):
            with self.follow() as follower:
                follower.wait_until(lambda: f"{self.store}: no space left" in follower.err, what="word that it is full")
                if turn:
                    follower.kill()
                else:
                    follower.signal(signal.SIGTERM)
                    follower.wait(10, rc=None)
        with self.follow() as follower:
            follower.wait_until(lambda: f"{self.store}: no space left" in follower.err, what="word that it is full")
            os.unlink(ballast)
            self.wait_stored(follower, len(self.packets))
            follower.wait_until(lambda: "there is room again" in follower.err, what="word that there is room")
            follower.stop()
        self.verify_stored(self.packets)

    @func_test
    def test_rolls(self) -> None:
        """--roll and --roll-size begin new captures; --keep-free says that they may be deleted.

        **Steps:**
            * Follow the capture, split by tcpdump, with --roll 60 and then with --roll-size 2M, killed in the middle and gone on with,
              the latter with --keep-free 1.

        **Verify:**
            * With --roll no capture has packets of more than one minute, out of order ones apart. All packets are there once, in order.
            * Only captures of --keep-free are marked as deletable, and say what is kept free.
        """
        self.split("-C", "1")
        for name, options in (("time", ("--roll", "60")), ("size", ("--roll-size", "2M", "--keep-free", "1"))):
            self.store = f"{self.dir}/{name}"
            with self.follow(*options, self.source) as follower:
                self.wait_stored(follower, len(self.packets) // 3)
                follower.kill()
            with self.follow(*options, self.source) as follower:
                self.wait_stored(follower, len(self.packets))
                follower.stop()
            self.verify_stored(self.packets, name)
            parts = [stored(self.store, each) for each in captures(self.store)]
            verify(len([part for part in parts if part.packets]) >= 4, f"{name}: {len(parts)} captures")
            for part in parts:
                verify(bool(part.info.get("expires")) == (name == "size"), f"{name}: {part.info}")
                kept = (part.info.get("keep_free_percent"), part.info.get("keep_free_bytes"))
                verify(kept == ((1, 0) if name == "size" else (None, None)), f"{name}: {part.info}")
                clock, minutes = 0, set()
                for item in part.packets:
                    clock = max(clock, item.ts)
                    minutes.add(clock // (60 * pcap.NS))
                verify(name == "size" or len(minutes) <= 1, f"minutes of a capture: {minutes}")

    # ------------------------------------------------------------ time

    def _quiet(self, name: str, tail: bytes, pad: int) -> tuple[run.Process, run.Process, str]:
        """A follower of a file with one live packet of pad bytes and a tail, a push with windows of a second, and its output."""
        base = f"{self.dir}/{name}"
        self.source, self.store, out = f"{base}.source", f"{base}.store", f"{base}.out"
        os.mkdir(self.source)
        os.makedirs(self.store)
        config = lua.write_config(
            f"{base}.lua", [lua.target("all", f"{out}/x", Split="--split-time 1e9", MinFree=0)], {"FollowStart": True}
        )
        args = ("--state-dir", f"{base}.state", "--log-dir", f"{base}.log")
        push = self.enter(run.push_start(config, self.store, *args))
        follower = self.follow()
        now = Packet(time.time_ns(), bytes(pad), pad)
        append(f"{self.source}/a.pcap", pcap.pcap_header() + pcap.pcap_record(now) + tail)
        return follower, push, out

    @func_test
    def test_quiet(self) -> None:
        """Silence closes windows, but only where no packet can be in the writer's memory.

        **Steps:**
            * A live packet in a file that ends behind it; one in a file that ends within the next record; one in a file that ends at
              a multiple of 4096 bytes, as a buffer that was full leaves it. A push with windows of a second follows each store.

        **Verify:**
            * The window is published in the first case; not in the others, within two seconds more.
        """
        cases = {"behind": (b"", 100), "within": (bytes(10), 100), "full": (b"", 4096 - 24 - 16)}
        running = {name: self._quiet(name, *case) for name, case in cases.items()}
        follower, _, out = running["behind"]
        follower.wait_until(lambda: run.list_files(out, ".pcap"), what="a file published in silence")
        for name in ("within", "full"):
            running[name][1].wait_until(lambda: run.list_files(running[name][2]), what=f"{name}: an open file")
        time.sleep(2)
        for name in ("within", "full"):
            verify(not run.list_files(running[name][2], ".pcap"), f"{name}: published, though more may come")
        for follower, push, _ in running.values():
            follower.stop()
            push.stop()

    @func_test
    def test_idle(self) -> None:
        """An idle follower costs next to nothing, and is there at once when something comes.

        **Steps:**
            * Follow a directory of 200 files, live ones; wait 3 seconds; append a packet.

        **Verify:**
            * Less than 1 percent of a CPU; the packet is committed within a second (of that the flush interval is 0.2).
        """
        now = time.time_ns()
        for i in range(200):
            pcap.write_pcap(f"{self.source}/{i:03d}.pcap", [Packet(now + i, bytes(60 + i), 60 + i)])
        with self.follow() as follower:
            self.wait_stored(follower, 200)
            time.sleep(0.5)
            before = run.cpu_seconds(follower.pid)
            time.sleep(3)
            used = run.cpu_seconds(follower.pid) - before
            start = time.monotonic()
            append(f"{self.source}/199.pcap", pcap.pcap_record(Packet(now + 1000, bytes(70), 70)))
            self.wait_stored(follower, 201)
            seconds = time.monotonic() - start
            follower.stop()
        print(f"idle: {used / 3 * 100:.2f} % of a CPU; a packet committed after {seconds:.3f} s")
        verify(used <= 0.03, f"{used:.3f} s of CPU in 3 s")
        verify(seconds < 3, f"committed after {seconds:.2f} s")

    # ------------------------------------------------------------ FMADIO

    @func_test
    def test_fmadio(self) -> None:
        """FMADIO's chunked stream from a file, a pipe and a file that grows.

        **Steps:**
            * Write a stream with ports, bad FCS flags, fillers and idle chunks with the framework's generator; import it by name, by
              pipe, and following while it grows in pieces.
            * Import it with --interface 3. Import streams cut within a chunk, with a packet larger than its chunk's rest, and with a
              chunk of 2 MiB.

        **Verify:**
            * All packets with times, lengths, ports and flags; fillers are none.
            * --interface takes the packets of that port.
            * The whole packets before the damage, its byte offset and exit status 1.
        """
        rng = random.Random(self.seed)
        frames = [
            fmadio.Frame(Packet(item.ts, item.data[:65535], min(item.len, 65535)), rng.randrange(8), rng.random() < 0.1)
            for item in self.packets[:3000]
        ]
        blob = fmadio.stream(frames, self.seed)
        path = f"{self.source}/a.fmad"
        append(path, blob)
        expected = [item.packet for item in frames]

        def check(store: str) -> None:
            capture = stored(store)
            oracle.verify_same_packets(capture.packets, expected, store)
            verify(capture.ports == [item.port for item in frames], "ports")
            verify(capture.flags == [int(item.bad_fcs) for item in frames], "flags")
            verify((capture.info["link_type"], capture.info["snap_len"]) == (1, 65535), f"{capture.info}")

        run.import_capture(f"{self.dir}/file", path)
        check(f"{self.dir}/file")
        run.sluice("import", "--store", f"{self.dir}/pipe", "-", stdin=blob)
        check(f"{self.dir}/pipe")
        run.sluice("import", "--store", f"{self.dir}/port", "--interface", "3", path)
        oracle.verify_same_packets(
            stored(f"{self.dir}/port").packets, [item.packet for item in frames if item.port == 3], "port 3"
        )
        os.unlink(path)
        follower = self.follow(path)
        at = 0
        while at < len(blob):
            step = rng.randrange(1, len(blob) // 20)
            append(path, blob[at : at + step])
            at += step
            time.sleep(0.01)
            if at > len(blob) // 2 and len(captures(self.store)) == 1:
                follower.kill()
                follower = self.follow(path)
        self.wait_stored(follower, len(expected))
        follower.stop()
        self.verify_stored(expected, "grown, with a kill")

        few = b"".join(fmadio.frame(item) for item in frames[:5])
        head = fmadio.header() + fmadio.chunk(few, 5)
        for name, tail, word in (
            ("cut", fmadio.chunk(few, 5)[:-3], "inside the chunk"),
            ("long", fmadio.chunk(fmadio.frame(frames[0])[:-1], 1), "has only"),
            ("huge", b"\x01\x00\x00\x00" + bytes(8) + struct.pack("<I", 2 << 20) + bytes(32), "chunk of 2097152 bytes"),
        ):
            append(f"{self.dir}/{name}.fmad", head + tail)
            result = run.import_capture(f"{self.dir}/{name}", f"{self.dir}/{name}.fmad", rc=1)
            verify(word in result.err and f"{name}.fmad: damaged at byte" in result.err, result.describe())
            good = expected[:5] * 2 if name == "cut" else expected[:5]
            got = stored(f"{self.dir}/{name}").packets
            verify(got == good[: len(got)] and len(got) >= 5, f"{name}: {len(got)} packets")

    # ------------------------------------------------------------ refusals

    @func_test
    def test_refusals(self) -> None:
        """What cannot be followed is refused with words, before anything is written.

        **Steps:**
            * A second follower of a store; a pipe beside a directory; a directory that does not exist; one file named twice; a state
              directory of another store; a damaged state file; --state-dir without --follow.

        **Verify:**
            * Exit status 2 and a line that names what and what to do; the store is unchanged.
            * A single pipe with --follow is imported as without.
        """
        pcap.write_pcap(f"{self.source}/a.pcap", self.packets[:10])
        with self.follow() as follower:
            self.wait_stored(follower, 10)
            result = run.sluice("import", "--follow", "--store", self.store, self.source, rc=2)
            verify(f"process {follower.pid}" in result.err, result.describe())
            follower.stop()
        state = f"{self.dir}/state"
        other = f"{self.dir}/other"
        with self.follow("--state-dir", state, self.source, store=other) as follower:
            follower.wait_until(lambda: captures(other), what="a capture")
            follower.stop()
        before = sorted(os.listdir(self.store))
        for args, word in (
            ((self.source, "-"), "standard input: a pipe cannot be followed beside"),
            ((f"{self.dir}/no/such/file",), f"{self.dir}/no/such/file: No such file"),
            ((f"{self.dir}/no/",), "no such directory"),
            ((self.source, f"{self.source}/a.pcap"), "name each file once"),
            (("--state-dir", state, self.source), "use another --state-dir"),
        ):
            result = run.sluice("import", "--follow", "--store", self.store, *args, rc=2)
            verify(word in result.err, f"{word}\n{result.describe()}")
        result = run.sluice("import", "--state-dir", state, "--store", self.store, self.source, rc=2)
        verify("--follow" in result.err, result.describe())
        path = f"{self.store}/.import-follow"
        with open(path, "rb+") as file:
            file.seek(20)
            file.write(b"#")
        result = run.sluice("import", "--follow", "--store", self.store, self.source, rc=2)
        verify(f"{path}: damaged at line 1" in result.err, result.describe())
        verify(sorted(os.listdir(self.store)) == before, f"{os.listdir(self.store)}")
        self.store = f"{self.dir}/piped"
        run.sluice("import", "--follow", "--store", self.store, "-", stdin=self.blob)
        self.verify_stored(self.packets)
