# SPDX-License-Identifier: BSD-3-Clause
"""The capture store: its bytes on disk, damage of every kind, death of its writer, a full disk, export.

Whatever happens to a chunk, it is reported, counted and passed over; whatever happens to a writer, what was committed stays.
"""

import calendar
import json
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time

from api.test import verify
from framework import lua, oracle, run, traffic
from framework.fs import LoopFs
from framework.pcap import NS, parse_pcap, pcap_bytes, read_packets, read_pcap, write_pcap
from framework.store import HEADER, headers
from framework.test_suite import TestSuite, func_test

MIB = 1 << 20
SEGMENT = "00000000.seg"
BOOT_ID = 24  # offset in the head page, see docs/store_format.rst


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), by the book."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


class TestStore(TestSuite):
    """`sluice store` and the store's format."""

    def set_up_suite(self) -> None:
        """A capture of about 6 MiB: several chunks."""
        self.capture = os.path.join(self.suite_dir, "in.pcap")
        self.packets = traffic.traffic(self.capture, packets=9000, seed=11)
        self.store = os.path.join(self.suite_dir, "store")
        run.import_capture(self.store, self.capture, capture="one")
        self.chunks = os.path.getsize(f"{self.store}/one/{SEGMENT}") // MIB
        verify(self.chunks >= 4, f"{self.chunks} chunks are too few for this suite")

    def _copy(self) -> str:
        """A store of the test case's own, to be damaged."""
        store = os.path.join(self.dir, "store")
        shutil.copytree(self.store, store, symlinks=True)
        return store

    def _patch(self, store: str, at: int, data: bytes, capture: str = "one", name: str = SEGMENT) -> None:
        with open(f"{store}/{capture}/{name}", "r+b") as file:
            file.seek(at)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def _without(self, chunks: set[int], counts: list[int]) -> list:
        """The packets of the capture without those of some chunks."""
        kept, at = [], 0
        for number, count in enumerate(counts):
            if number not in chunks:
                kept += self.packets[at : at + count]
            at += count
        return kept

    def _export(self, store: str, *args: str, rc: int = 0, **kwargs) -> list:
        out = os.path.join(self.dir, "export.pcap")
        run.sluice("store", "export", "--store", store, "-o", out, *args, rc=rc, **kwargs)
        pcap = read_pcap(out)
        verify(pcap.nano and pcap.trailing == 0, "export is not a whole nanosecond pcap")
        return pcap.packets

    def _info(self, store: str, *args: str) -> dict[str, str]:
        lines = run.sluice("store", "info", "--store", store, *args).out.splitlines()
        return {line.split(":", 1)[0]: line.split(":", 1)[1].strip() for line in lines}

    @func_test
    def test_format(self) -> None:
        """The bytes on disk are those of docs/store_format.rst.

        **Steps:**
            * Read capture.json and the segment with a reader written from the description, CRC-32C included.

        **Verify:**
            * Every header field and both checksums are right; records and index are those of the imported packets.
        """
        with open(f"{self.store}/one/capture.json", encoding="utf-8") as file:
            info = json.load(file)
        verify(info["format"] == 1 and info["sequence"] == 1 and info["link_type"] == 1, f"capture.json: {info}")
        verify(os.readlink(f"{self.store}/active") == "one", "active does not point at the capture")
        with open(f"{self.store}/one/{SEGMENT}", "rb") as file:
            data = file.read()
        verify(len(data) % MIB == 0, "the last segment does not end with a slot")
        done, clock = 0, 0
        for number in range(len(data) // MIB):
            chunk = data[number * MIB : (number + 1) * MIB]
            (magic, version, size, uuid, n, count, rec_off, rec_len, idx_off, first, low, high, last, before, heartbeat,
             wire, dropped, _, _, body_crc, header_crc) = HEADER.unpack_from(chunk)
            verify((magic, version, size, n) == (0x4B484353, 1, 128, number), f"chunk {number}: bad start")
            verify(uuid.hex() == info["uuid"].replace("-", ""), f"chunk {number}: bad UUID")
            verify(header_crc == crc32c(chunk[:124]), f"chunk {number}: header checksum")
            verify(rec_off == 128 and idx_off == (rec_off + rec_len + 3) // 4 * 4, f"chunk {number}: bad layout")
            # In pure Python a checksum of a MiB takes a while: two tell enough.
            if number in (0, len(data) // MIB - 1):
                verify(body_crc == crc32c(chunk[128 : idx_off + 4 * count]), f"chunk {number}: body checksum")
            mine = self.packets[done : done + count]
            records = pcap_bytes(mine)[24:]
            verify(chunk[128 : 128 + rec_len] == records, f"chunk {number}: records differ from the capture's")
            offsets, at = [], 128
            for item in mine:
                offsets.append(at)
                at += 16 + len(item.data)
            index = struct.unpack_from(f"<{count}I", chunk, idx_off)
            verify([entry & 0xFFFFF for entry in index] == offsets, f"chunk {number}: index")
            times = [item.ts for item in mine]
            verify((first, low, high, last) == (times[0], min(times), max(times), times[-1]), f"chunk {number}: times")
            verify((wire, dropped, heartbeat) == (sum(item.len for item in mine), 0, 0), f"chunk {number}: sums")
            verify(before == clock, f"chunk {number}: clock {before}, expected {clock}")
            clock = max(clock, high)
            done += count
        verify(done == len(self.packets), f"{done} packets in chunks, {len(self.packets)} imported")

    @func_test
    def test_export_all(self) -> None:
        """A whole export is the capture.

        **Steps:**
            * Export to a file and to a pipe that tcpdump reads.

        **Verify:**
            * Same packets, encapsulation, sizes and duration; capinfos finds no fault; tcpdump reads the same from the pipe.
        """
        oracle.verify_same_packets(self._export(self.store), self.packets)
        mine, its = oracle.capinfos(f"{self.dir}/export.pcap"), oracle.capinfos(self.capture)
        for name in ("Number of packets", "Data size (bytes)", "Capture duration (seconds)", "File encapsulation"):
            verify(mine[name] == its[name], f"capinfos: {name} is {mine[name]}, of the capture {its[name]}")
        subprocess.run(
            f"'{run.SLUICE}' store export --store '{self.store}' --capture one | tcpdump --nano -r - -w piped.pcap",
            shell=True, cwd=self.dir, stderr=subprocess.DEVNULL, check=True)
        oracle.verify_same_packets(read_pcap(f"{self.dir}/piped.pcap").packets, self.packets, "through a pipe")

    @func_test
    def test_export_range(self) -> None:
        """A time range is half-open, and every spelling of a time means the same.

        **Steps:**
            * Export ranges that begin and end exactly at packets, inside one chunk and over several, and empty ones.
            * Write one range's bounds in every form, in another time zone too.

        **Verify:**
            * Exactly the packets with from <= time < to, in order; tshark counts the same.
        """
        times = sorted(item.ts for item in self.packets)
        bounds = [(times[0], times[0] + 1), (times[100], times[200]), (times[1000], times[-1]), (times[5], times[5] + 1),
                  (times[-1] + 1, times[-1] + 2), (times[3000] + 1, times[6000] + 1)]
        for low, high in bounds:
            got = self._export(self.store, "--from", oracle.time_text(low), "--to", oracle.time_text(high))
            oracle.verify_same_packets(got, [item for item in self.packets if low <= item.ts < high], f"{low} to {high}")
        low, high = bounds[-1]
        wanted = f"frame.time_epoch >= {oracle.time_text(low)} && frame.time_epoch < {oracle.time_text(high)}"
        shown = len(oracle.tshark_fields(self.capture, ["frame.number"], wanted))
        verify(shown == len(got), f"tshark finds {shown} packets, exported were {len(got)}")
        oracle.verify_same_packets(
            self._export(self.store, "--from", oracle.time_text(low)), [item for item in self.packets if item.ts >= low])
        oracle.verify_same_packets(
            self._export(self.store, "--to", oracle.time_text(low)), [item for item in self.packets if item.ts < low])
        second = times[4500] // NS
        after = [item for item in self.packets if item.ts >= second * NS]
        utc = time.gmtime(second)
        east = time.gmtime(second + 19800)
        for text in (
            str(second), f"{second}.000", time.strftime("%Y-%m-%dT%H:%M:%SZ", utc),
            time.strftime("%Y-%m-%dT%H:%M:%S+05:30", east), time.strftime("%Y-%m-%dT%H:%M:%S.0", east),
            time.strftime("%Y-%m-%d %H:%M:%S", east), time.strftime("%Y%m%d_%H%M%S", east),
        ):
            got = self._export(self.store, "--from", text, env={"TZ": "Asia/Kolkata"})
            oracle.verify_same_packets(got, after, f"--from {text}")

    @func_test
    def test_corrupted(self) -> None:
        """Damage in a header, a record and an index entry costs those chunks and nothing else.

        **Steps:**
            * Damage the header of chunk 0, a record of chunk 1, the last index entry of chunk 3.
            * verify, export.

        **Verify:**
            * verify names each chunk and its byte in the file, says 3 bad, exits 1; without damage it exits 0.
            * export writes all other packets, names the same chunks, exits 1.
        """
        store = self._copy()
        verify(run.sluice("store", "verify", "--store", store).out.rstrip().endswith("0 bad"), "found damage in a sound store")
        counts = [header.count for header in headers(store, "one")]
        with open(f"{store}/one/{SEGMENT}", "rb") as file:
            data = file.read()
        index = struct.unpack_from("<I", data, 3 * MIB + 44)[0]
        for at in (40, MIB + 128 + 16 + 3, 3 * MIB + index + 4 * counts[3] - 4):
            self._patch(store, at, bytes([data[at] ^ 1]))
        for args, rc in ((("--store", store), 1), (("--store", store, "one"), 1)):
            result = run.sluice("store", "verify", *args, rc=rc)
            verify("3 bad" in result.out, f"verify: {result.out}")
            for number in (0, 1, 3):
                verify(f"{SEGMENT}: chunk {number} at byte {number * MIB} is damaged" in result.err, result.describe())
            verify(len(result.err.splitlines()) == 3, f"more than three chunks are named: {result.err}")
        oracle.verify_same_packets(self._export(store, rc=1), self._without({0, 1, 3}, counts))

    @func_test
    def test_missing(self) -> None:
        """Chunks that are not there: a hole, a segment cut short, no segment.

        **Steps:**
            * Punch out chunk 2; then cut the segment inside the last chunk; then remove the segment.

        **Verify:**
            * verify reports exactly the missing chunks each time, and never fails otherwise; export writes the rest.
        """
        store = self._copy()
        counts = [header.count for header in headers(store, "one")]
        path = f"{store}/one/{SEGMENT}"
        run.run(["fallocate", "-p", "-o", str(2 * MIB), "-l", str(MIB), path])
        result = run.sluice("store", "verify", "--store", store, rc=1)
        verify(f"chunk 2 at byte {2 * MIB} was never written" in result.err and "1 bad" in result.out, result.describe())
        oracle.verify_same_packets(self._export(store, rc=1), self._without({2}, counts))
        os.truncate(path, (self.chunks - 1) * MIB + 300)
        result = run.sluice("store", "verify", "--store", store, rc=1)
        verify(f"chunk {self.chunks - 1} at" in result.err and "2 bad" in result.out, result.describe())
        oracle.verify_same_packets(self._export(store, rc=1), self._without({2, self.chunks - 1}, counts))
        os.unlink(path)
        result = run.sluice("store", "verify", "--store", store, rc=1)
        verify(f"chunks 0 to {self.chunks - 1} from byte 0 on: each is gone" in result.err, result.describe())
        verify(self._export(store, rc=1) == [], "packets without a segment")

    @func_test
    def test_push_passes_over(self) -> None:
        """Push passes over what cannot be read, says so, and delivers all the rest.

        **Steps:**
            * Damage a record of chunk 1, punch out chunk 2, put the capture's chunk 0 in the place of chunk 4; push --once. Then
              remove the segment and push to another directory.

        **Verify:**
            * Exit 1; segment, chunk, byte and what is wrong are named for each, and how many there were.
            * The files hold the packets of all other chunks, in order; without a segment there is no file.
        """
        store = self._copy()
        counts = [header.count for header in headers(store, "one")]
        path = f"{store}/one/{SEGMENT}"
        with open(path, "rb") as file:
            data = file.read()
        self._patch(store, MIB + 150, bytes([data[MIB + 150] ^ 0x10]))
        run.run(["fallocate", "-p", "-o", str(2 * MIB), "-l", str(MIB), path])
        self._patch(store, 4 * MIB, data[:MIB])
        target = lua.target("all", f"{self.dir}/out/x", MinFree=0, FileName="--filename-epoch-nsec", Split="--split-byte 1e9")
        config = lua.write_config(f"{self.dir}/c.lua", [target])
        result = run.push_once(config, store, rc=1)
        for text in (
            f"{SEGMENT}: chunk 1 at byte {MIB} is damaged", f"{SEGMENT}: chunk 2 at byte {2 * MIB} was never written",
            f"{SEGMENT}: chunk 4 at byte {4 * MIB} holds a chunk of another capture or number",
            "3 damaged or missing chunks were passed over",
        ):
            verify(result.err.count(text) == 1, f"'{text}' is not said once\n{result.describe()}")
        [name] = run.list_files(f"{self.dir}/out")
        oracle.verify_same_packets(read_packets(f"{self.dir}/out/{name}"), self._without({1, 2, 4}, counts))
        os.unlink(path)
        target = lua.target("all", f"{self.dir}/none/x", MinFree=0)
        result = run.push_once(lua.write_config(f"{self.dir}/c.lua", [target]), store, rc=1)
        verify(f"{self.chunks} damaged or missing chunks" in result.err, result.describe())
        verify(run.list_files(f"{self.dir}/none") == [], "files without a segment")

    @func_test
    def test_head_damaged(self) -> None:
        """A wrong bit in the head page neither hides chunks nor makes the capture endless.

        **Steps:**
            * Flip bits of state, committed, heartbeat, the sums, the checksum and `first`; remove the head. Each time verify,
              export, ls, info. Then begin another capture.

        **Verify:**
            * verify names the head and exits 1; export writes every packet, exits 0; nothing takes long.
            * After the next capture has begun the head is sound again: verify exits 0.
        """
        store = self._copy()
        head = f"{store}/one/head"
        with open(head, "rb") as file:
            good = file.read()
        for at, mask in ((40, 1), (48, 4), (50, 0x80), (55, 0x80), (63, 0x10), (64, 1), (112, 1), (116, 1), (120, 1), (122, 1), (127, 0x80), (-1, 0)):
            if at < 0:
                os.unlink(head)
            else:
                self._patch(store, 0, good[:at] + bytes([good[at] ^ mask]) + good[at + 1 :], name="head")
            result = run.sluice("store", "verify", "--store", store, rc=1, timeout=10)
            verify(f"{head}: missing or damaged" in result.err and "1 bad" in result.out, result.describe())
            oracle.verify_same_packets(self._export(store, timeout=10), self.packets, f"head without byte {at}")
            listed = run.sluice("store", "ls", "--store", store, timeout=10).out
            verify(f" {self.chunks} " in listed and f" {len(self.packets)} " in listed, listed)
        run.import_capture(store, self.capture, capture="two")
        verify("0 bad" in run.sluice("store", "verify", "--store", store, "one").out, "the head was not made anew")
        oracle.verify_same_packets(self._export(store, "--capture", "one"), self.packets)

    @func_test
    def test_description_damaged(self) -> None:
        """A wrong capture.json is told, not believed.

        **Steps:**
            * Change the link type, then the UUID in capture.json; then give the capture the capture.json of another one. Put a
              FIFO in the place of one.

        **Verify:**
            * export, info and verify of that capture exit 2 and name the file or the capture, and nothing is written.
            * Another import works, and leaves the damaged capture's files as they are.
        """
        store = self._copy()
        run.import_capture(store, self.capture, capture="two")
        path, out = f"{store}/one/capture.json", f"{self.dir}/out.pcap"
        with open(path, encoding="utf-8") as file:
            good = file.read()
        with open(f"{store}/two/capture.json", encoding="utf-8") as file:
            other = file.read()
        uuid = json.loads(good)["uuid"]
        cases = [
            (good.replace('"link_type": 1,', '"link_type": 9,'), f"{path}: damaged: its checksum is wrong"),
            (good.replace(uuid, uuid[:-1] + "%x" % (int(uuid[-1], 16) ^ 1)), f"{path}: damaged: its checksum is wrong"),
            (other, f"{store}/one: capture.json and head have different UUIDs"),
        ]
        for number, (text, message) in enumerate(cases):
            verify(text != good, "nothing was changed")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            for args in (["info", "one"], ["verify", "one"], ["export", "--capture", "one", "-o", out]):
                result = run.sluice("store", args[0], "--store", store, *args[1:], rc=2)
                verify(message in result.err, result.describe())
            verify(not os.path.exists(out), "something was exported")
            verify("two" in run.sluice("store", "ls", "--store", store, rc=1).out, "the sound capture is not listed")
            os.rename(f"{store}/active", f"{store}/was")
            os.symlink("one", f"{store}/active")
            run.import_capture(store, self.capture, capture=f"more{number}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(good)
        oracle.verify_same_packets(self._export(store, "--capture", "one"), self.packets)
        os.mkdir(f"{store}/fifo")
        os.mkfifo(f"{store}/fifo/capture.json")
        result = run.sluice("store", "ls", "--store", store, rc=1, timeout=10)
        verify(f"{store}/fifo/capture.json: not a small regular file" in result.err, result.describe())

    @func_test
    def test_stale(self) -> None:
        """A sound chunk of another capture, or of another place, is not this one.

        **Steps:**
            * Import the same packets again as "two"; copy chunk 1 of "two" over chunk 1 of "one", and chunk 0 over chunk 2.

        **Verify:**
            * verify calls both chunks another's; export leaves both out although their checksums hold.
        """
        store = self._copy()
        counts = [header.count for header in headers(store, "one")]
        run.import_capture(store, self.capture, capture="two")
        with open(f"{store}/two/{SEGMENT}", "rb") as file:
            data = file.read()
        with open(f"{store}/one/{SEGMENT}", "rb") as file:
            mine = file.read()
        self._patch(store, MIB, data[MIB : 2 * MIB])
        self._patch(store, 2 * MIB, mine[:MIB])
        result = run.sluice("store", "verify", "--store", store, "one", rc=1)
        for number in (1, 2):
            verify(f"chunk {number} at byte {number * MIB} holds a chunk of another capture or number" in result.err,
                   result.describe())
        oracle.verify_same_packets(self._export(store, "--capture", "one", rc=1), self._without({1, 2}, counts))
        oracle.verify_same_packets(self._export(store), self.packets)

    def _start_import(self, store: str, count: int) -> run.Process:
        """An import from a pipe that has stored its first `count` packets and waits for more."""
        process = run.sluice_start("import", "--store", store, "--flush-interval", "0.2", "-", stdin=subprocess.PIPE)
        self.enter(process)
        process.popen.stdin.write(pcap_bytes(self.packets[:count]))
        process.popen.stdin.flush()
        process.wait_until(
            lambda: run.sluice("store", "ls", "--store", store, rc=None).out.count(f" {count} ") == 1,
            what=f"{count} packets in the store")
        return process

    @func_test
    def test_open(self) -> None:
        """A capture can be looked at while it is written, by a user without privilege too, and has one writer.

        **Steps:**
            * Import from a pipe; look at the store as user nobody; start a second import into it.
            * Give the pipe the rest of the packets and close it.

        **Verify:**
            * The state is open; info and export give what was committed so far; the second import is refused by the
              first one's process number and changes nothing; at the end the capture is closed and whole.
        """
        store = os.path.join(self.dir, "store")
        process = self._start_import(store, 5000)
        verify(self._info(store)["state"] == "open", "not open while it is written")
        nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        listed = subprocess.run([run.SLUICE, "store", "ls", "--store", store], stdout=subprocess.PIPE, text=True, check=True,
                                **nobody)
        verify(" open " in listed.stdout and " EN10MB " in listed.stdout, listed.stdout)
        piped = subprocess.run([run.SLUICE, "store", "export", "--store", store], stdout=subprocess.PIPE, check=True, **nobody)
        oracle.verify_same_packets(parse_pcap(piped.stdout).packets, self.packets[:5000])
        refused = run.import_capture(store, self.capture, rc=None)
        verify(refused.rc in (1, 2) and f"process {process.pid} is writing" in refused.err, refused.describe())
        verify(len([n for n in os.listdir(store) if os.path.isdir(f"{store}/{n}") and n != "active"]) == 1, "a second capture")
        process.popen.stdin.write(pcap_bytes(self.packets[5000:])[24:])
        process.popen.stdin.close()
        process.wait()
        verify(self._info(store)["state"] == "closed", "not closed after its writer")
        oracle.verify_same_packets(self._export(store), self.packets)

    @func_test
    def test_killed(self) -> None:
        """A writer that is killed leaves an unclean capture, whole up to its last chunk; the next writer seals it.

        **Steps:**
            * SIGKILL an import from a pipe; look; claim another boot in its head page and look again.
            * Import again.

        **Verify:**
            * unclean both times, with all packets committed; verify finds no fault.
            * The new import makes a capture of its own, active, number 2; the old one is closed with the same packets.
        """
        store = os.path.join(self.dir, "store")
        process = self._start_import(store, 6000)
        process.kill()
        first = os.readlink(f"{store}/active")
        for _ in range(2):
            info = self._info(store)
            verify(info["state"] == "unclean" and info["packets"] == "6000", f"after SIGKILL: {info}")
            oracle.verify_same_packets(self._export(store), self.packets[:6000])
            run.sluice("store", "verify", "--store", store)
            self._patch(store, BOOT_ID, os.urandom(16), first, "head")
        run.import_capture(store, self.capture, capture="next")
        verify(self._info(store)["sequence"] == "2" and os.readlink(f"{store}/active") == "next", "not the active one")
        verify(self._info(store, first)["state"] == "closed", "not sealed")
        oracle.verify_same_packets(self._export(store, "--capture", first), self.packets[:6000])
        oracle.verify_same_packets(self._export(store), self.packets)

    @func_test
    def test_power_loss(self) -> None:
        """What a disk holds at a moment, without anything that was only in memory, is a readable store.

        **Steps:**
            * Import from a pipe into a file system of its own; wait until the running capture has been synced.
            * Copy the device's bytes, mount the copy, claim another boot.

        **Verify:**
            * The capture there is unclean; its packets are all that were committed before the sync.
        """
        disk = self.enter(LoopFs(self.dir, 96 * MIB))
        store = os.path.join(disk.path, "store")
        process = self._start_import(store, 9000)
        # The interval of syncs while a capture runs, see docs/store_format.rst, and time for one.
        time.sleep(7)
        twin = self.enter(LoopFs(self.dir, 96 * MIB))
        twin.umount()
        shutil.copyfile(disk.image, twin.image)
        process.kill()
        run.run(["blockdev", "--flushbufs", twin.device])
        twin.mount()
        store = os.path.join(twin.path, "store")
        self._patch(store, BOOT_ID, os.urandom(16), os.readlink(f"{store}/active"), "head")
        verify(self._info(store)["state"] == "unclean", "not unclean")
        oracle.verify_same_packets(self._export(store), self.packets)
        run.sluice("store", "verify", "--store", store)

    @func_test
    def test_removed(self) -> None:
        """A capture that is removed while it is written is a failure, not a success that nobody can read.

        **Steps:**
            * Import from a pipe; remove the capture's directory, then only its segment, then end the pipe. On disk and on tmpfs.

        **Verify:**
            * Exit status 1, and the capture or the segment is named as removed; no packet is said to be stored.
        """
        for where in (self.dir, self.enter(tempfile.TemporaryDirectory(dir="/dev/shm"))):
            for what in ("", f"/{SEGMENT}"):
                store = os.path.join(where, "removed" + str(len(what)))
                process = self._start_import(store, 600)
                path = os.path.realpath(f"{store}/active") + what
                run.run(["rm", "-r", path])
                process.popen.stdin.close()
                result = process.wait(rc=1)
                verify(f"{path}: was removed while it was being written" in result.err, result.describe())
                verify("are stored" not in result.err and "incomplete" in result.out, result.describe())

    @func_test
    def test_export_into_capture(self) -> None:
        """An export cannot overwrite the capture it reads.

        **Steps:**
            * Export to the capture's own segment, through a link to it, and to a new file in the capture's directory.

        **Verify:**
            * Exit status 2 each time, and the capture is whole.
        """
        store = self._copy()
        link = os.path.join(self.dir, "link")
        os.symlink(f"{store}/one/{SEGMENT}", link)
        for path in (f"{store}/active/{SEGMENT}", link, f"{store}/one/new.pcap"):
            result = run.sluice("store", "export", "--store", store, "-o", path, rc=2)
            verify(f"{path}: lies in the directory of a capture" in result.err, result.describe())
        result = run.sluice("store", "export", "--store", store, "-o", "new.pcap", cwd=f"{store}/one", rc=2)
        verify(not os.path.exists(f"{store}/one/new.pcap"), result.describe())
        oracle.verify_same_packets(self._export(store), self.packets)

    @func_test
    def test_no_space(self) -> None:
        """A full disk ends the import with what it needs; nothing is deleted, what was committed stays.

        **Steps:**
            * Import "one" into an ext4 of 16 MiB, then a capture of about 24 MiB.
            * Export onto the full disk. Remove the second capture and import "one" once more.

        **Verify:**
            * Exit status 1 and a line with the space that is needed; "one" is untouched; the second is closed, and holds
              the first packets of its file in order; with room again the store works.
        """
        disk = self.enter(LoopFs(self.dir, 24 * MIB))
        store = os.path.join(disk.path, "store")
        run.import_capture(store, self.capture, capture="one")
        big = write_pcap(os.path.join(self.dir, "big.pcap"), self.packets * 4)
        result = run.import_capture(store, big, capture="big", rc=1)
        verify("no space left" in result.err.lower() and "needs" in result.err, result.describe())
        run.sluice("store", "verify", "--store", store)
        verify(self._info(store, "big")["state"] == "closed", "not closed")
        oracle.verify_same_packets(self._export(store, "--capture", "one"), self.packets)
        got = self._export(store, "--capture", "big")
        verify(len(got) > 5000, f"only {len(got)} packets were stored")
        oracle.verify_same_packets(got, (self.packets * 4)[: len(got)])
        verify(self._info(store, "big")["packets"] == str(len(got)), "info counts other packets")
        verify(f"({len(got)} packets are stored" in result.err, result.describe())
        part = os.path.join(disk.path, "part.pcap")
        result = run.sluice("store", "export", "--store", self.store, "-o", part, rc=1)
        verify(f"{part}: No space left on device; it holds only a part" in result.err, result.describe())
        os.unlink(part)
        shutil.rmtree(f"{store}/big")
        run.import_capture(store, self.capture, capture="again")
        oracle.verify_same_packets(self._export(store), self.packets)

    @func_test
    def test_tmpfs(self) -> None:
        """The same on tmpfs, where nothing is O_DIRECT.

        **Steps:**
            * Import on tmpfs; export; damage one chunk.

        **Verify:**
            * The same packets; the damage is found.
        """
        store = os.path.join(self.tmpfs_dir(), "store")
        run.import_capture(store, self.capture, capture="one")
        oracle.verify_same_packets(self._export(store), self.packets)
        self._patch(store, 2 * MIB + 1000, b"damage")
        verify("1 bad" in run.sluice("store", "verify", "--store", store, rc=1).out, "damage not found")

    @func_test
    def test_several(self) -> None:
        """Captures of one store: order, the active mark, one that is damaged beyond reading.

        **Steps:**
            * Import twice more with given and made-up names; damage the first one's capture.json.

        **Verify:**
            * ls lists in order of sequence with one mark; the damaged one is named on standard error with exit status 1,
              and the others are still listed.
        """
        store = self._copy()
        run.import_capture(store, self.capture)
        run.import_capture(store, self.capture, capture="third")
        run.import_capture(store, self.capture, capture="third", rc=None).check(2)
        lines = run.sluice("store", "ls", "--store", store).out.splitlines()
        verify(len(lines) == 4 and lines[1].split()[0] == "one" and lines[3].split()[:2] == ["*", "third"], "\n".join(lines))
        verify(all(str(len(self.packets)) in line.split() for line in lines[1:]), "packets are missing")
        self._patch(store, 0, b"@", "one", "capture.json")
        result = run.sluice("store", "ls", "--store", store, rc=1)
        verify("one/capture.json: damaged" in result.err and len(result.out.splitlines()) == 3, result.describe())
        verify(run.sluice("store", "info", "--store", store, "one", rc=2).err.count("capture.json") == 1, "info says nothing")

    @func_test
    def test_refused(self) -> None:
        """What is wrong on the command line or not there is told and exits 2; help exits 0.

        **Steps:**
            * Wrong actions, options, times, names, stores.

        **Verify:**
            * Exit status 2, one or two lines on standard error that name the culprit, nothing written.
        """
        out = os.path.join(self.dir, "x.pcap")
        base = ("--store", self.store)
        for culprit, args in (
            ("ls, info, verify or export", ()), ("frob", ("frob",)), ("--frob", ("ls", "--frob")),
            ("/nonexistent", ("ls", "--store", "/nonexistent")), ("nope", ("verify", *base, "nope")),
            ("nope", ("info", *base, "nope")), ("nope", ("export", *base, "--capture", "nope", "-o", out)),
            ("--from 'then'", ("export", *base, "--from", "then", "-o", out)),
            ("--to '2023-02-30'", ("export", *base, "--to", "2023-02-30", "-o", out)),
            ("before", ("export", *base, "--from", "5", "--to", "5", "-o", out)),
            ("--from", ("ls", *base, "--from", "5")), ("surplus", ("info", *base, "one", "surplus")),
            ("/nonexistent/x", ("export", *base, "-o", "/nonexistent/x")),
        ):
            result = run.sluice("store", *args, rc=2)
            verify(culprit in result.err and not result.out, f"{args}: {result.describe()}")
        verify(not os.path.exists(out), "a refused export left a file")
        for args in (("--help",), ("ls", "--help"), ("export", "-h")):
            verify("--store" in run.sluice("store", *args).out, "no help")
        verify(calendar.timegm((2023, 11, 14, 22, 13, 20)) == 1700000000, "the example in the help is wrong")
        with open("/dev/full", "wb") as full:
            broken = run.sluice_start("store", "export", *base, stdout=full)
            self.enter(broken)
            verify("No space left" in broken.wait(rc=1).err, "a failed write is not told")
        gone = run.sluice_start("store", "export", *base, stdout=subprocess.PIPE)
        self.enter(gone)
        gone.popen.stdout.read(100)
        gone.popen.stdout.close()
        result = gone.wait(rc=1)
        verify("Broken pipe" in result.err and gone.popen.returncode != -signal.SIGPIPE, result.describe())
