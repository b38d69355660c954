# SPDX-License-Identifier: BSD-3-Clause
"""sluice import: every format, link type and byte order, damage, pipes, refusals.

Oracles: tcpdump, tshark, editcap, mergecap. What is in a store is read here in Python, from the description of its
format, so that no code of ours stands between the chunks and the comparison.
"""

from __future__ import annotations

import os
import pty
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import time

from api.test import verify
from framework import fs, oracle, pcap, run, traffic
from framework.pcap import NS, Interface, Packet
from framework.store import stored
from framework.test_suite import TestSuite, func_test

def tcpdump_packets(path: str, output: str) -> list[Packet]:
    """The packets that tcpdump finds in a file, damaged or not."""
    run.run(["tcpdump", "--nano", "-nn", "-r", path, "-w", output], rc=None)
    return pcap.read_pcap(output).packets


def modified_pcap(packets: list[Packet], endian: str) -> bytes:
    """The format of old patched libpcaps: 24-byte record headers."""
    blob = struct.pack(endian + "IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 65535, 1)
    for item in packets:
        sec, ns = divmod(item.ts, NS)
        blob += struct.pack(endian + "IIIIIHBB", sec, ns // 1000, len(item.data), item.len, 3, 0x0800, 0, 0)
        blob += item.data
    return blob


def write(path: str, blob: bytes) -> str:
    """Write a file; returns its path."""
    with open(path, "wb") as file:
        file.write(blob)
    return path


class TestImport(TestSuite):
    """The importer, as a user runs it."""

    def set_up_suite(self) -> None:
        """One capture of mixed traffic, small enough to be cut often."""
        self.capture = traffic.make_traffic(self.suite_dir + "/mixed.pcap", packets=3000, seed=11)
        self.packets = pcap.read_packets(self.capture)
        self.few = self.packets[:40]

    def store(self) -> str:
        """Path of a store that does not exist yet."""
        self._stores = getattr(self, "_stores", 0) + 1
        return f"{self.dir}/store{self._stores}"

    def import_same_as_tcpdump(self, path: str, what: str) -> Stored:
        """Import a file and compare with what tcpdump reads from it."""
        __tracebackhide__ = True
        store = self.store()
        run.import_capture(store, path)
        got = stored(store)
        expected = tcpdump_packets(path, self.dir + "/tcpdump.pcap")
        verify(len(expected) > 0, f"{what}: tcpdump finds no packet")
        oracle.verify_same_packets(got.packets, expected, what)
        return got

    @func_test
    def test_formats(self) -> None:
        """All formats in both byte orders.

        **Steps:**
            * Make pcap, nsecpcap, modpcap and pcapng files with editcap, and all of them in both byte orders here.
            * Import each.

        **Verify:**
            * Time, lengths and bytes of each packet are those that tcpdump reads, in order.
        """
        files = {}
        for kind in ("pcap", "nsecpcap", "modpcap", "pcapng"):
            files[f"editcap {kind}"] = f"{self.dir}/{kind}"
            oracle.editcap("-F", kind, self.capture, files[f"editcap {kind}"])
        for endian in "<>":
            for nano in (False, True):
                name = f"pcap nano={nano} {endian}"
                files[name] = pcap.write_pcap(
                    f"{self.dir}/{name.replace(' ', '_')}", self.packets, nano=nano, endian=endian
                )
            files[f"modpcap {endian}"] = write(f"{self.dir}/mod{endian}", modified_pcap(self.few, endian))
            name = f"pcapng {endian}"
            files[name] = pcap.write_pcapng(f"{self.dir}/ng{endian}", self.packets, endian=endian)
        for name, path in files.items():
            self.import_same_as_tcpdump(path, name)

    @func_test
    def test_export(self) -> None:
        """What was imported comes out again byte for byte.

        **Steps:**
            * Import a file in each format, and export it with `sluice store export`.

        **Verify:**
            * The exported file is the one that `tcpdump --nano -r IN -w OUT` writes.
        """
        for kind in ("pcap", "nsecpcap", "pcapng"):
            path, ours, theirs = (f"{self.dir}/{kind}.{end}" for end in ("in", "ours", "tcpdump"))
            oracle.editcap("-F", kind, self.capture, path)
            store = self.store()
            run.import_capture(store, path)
            run.sluice("store", "export", "--store", store, "-o", ours)
            tcpdump_packets(path, theirs)
            with open(ours, "rb") as one, open(theirs, "rb") as two:
                verify(one.read() == two.read(), f"{kind}: export differs from tcpdump's file")
            run.sluice("store", "verify", "--store", store)

    @func_test
    def test_time_resolutions(self) -> None:
        """if_tsresol in powers of ten and of two, if_tsoffset.

        **Steps:**
            * Write pcapng files with resolutions from seconds to 2^-40 s, and offsets, in both byte orders.
            * Import each.

        **Verify:**
            * The times are those that tcpdump and (but for picoseconds) tshark show.
        """
        cases = [(None, None), (0, None), (3, None), (6, 1000), (9, -7), (12, None), (0x80 | 10, None)]
        cases += [(0x80 | 20, 5), (0x80 | 30, None)]
        for number, (resolution, offset) in enumerate(cases):
            endian = "<>"[number % 2]
            interface = Interface(tsresol=resolution, tsoffset=offset)
            # A time that fits 64 bits in each resolution
            packets = [pcap.packet(item.ts % (10**7 * NS) + 5 * NS, item.data) for item in self.few]
            path = pcap.write_pcapng(f"{self.dir}/{number}.pcapng", packets, [interface], endian)
            got = self.import_same_as_tcpdump(path, f"tsresol {resolution} tsoffset {offset}")
            if resolution == 12:
                # Wireshark 4.0 multiplies picoseconds by 1e9 in 64 bits, which overflows from 18 ms on.
                continue
            shown = [row[0] for row in oracle.tshark_fields(path, ["frame.time_epoch"])]
            ours = [oracle.time_text(item.ts) for item in got.packets]
            verify(ours == shown, f"tsresol {resolution}: {ours[:3]} is not tshark's {shown[:3]}")

    @func_test
    def test_pcapng_interfaces(self) -> None:
        """Interfaces become ports; sections are read on.

        **Steps:**
            * Import a pcapng file with three Ethernet interfaces, and the same file twice in one (two sections, the
              second in the other byte order).

        **Verify:**
            * Packets are all there in order; the port is the interface's number in the file, as capinfos counts.
        """
        interfaces = [Interface(), Interface(tsresol=6), Interface(snaplen=96)]
        blobs = b""
        for endian in "<>":
            path = self.dir + "/x.pcapng"
            pcap.write_pcapng(path, [(i % 3, item) for i, item in enumerate(self.few)], interfaces, endian)
            with open(path, "rb") as file:
                blobs += file.read()
        write(path, blobs)
        store = self.store()
        run.import_capture(store, path)
        got = stored(store)
        fields = ["frame.section_number", "frame.interface_id", "frame.time_epoch", "frame.cap_len", "frame.len"]
        rows = oracle.tshark_fields(path, fields)
        # tshark counts anew in each section, capinfos and sluice through the file.
        rows = [[str(3 * (int(row[0]) - 1) + int(row[1]))] + row[2:] for row in rows]
        ours = [
            [str(port), oracle.time_text(item.ts), str(len(item.data)), str(item.len)]
            for port, item in zip(got.ports, got.packets)
        ]
        verify(len(ours) == 2 * len(self.few), f"{len(ours)} packets")
        verify(ours == rows, f"first ours {ours[:4]}, tshark {rows[:4]}")
        said = run.run(["capinfos", path]).out
        verify("Interface #5 info" in said and "Interface #6 info" not in said and max(got.ports) == 5, said)
        verify(got.info["snap_len"] == 262144, str(got.info))

    @func_test
    def test_link_types(self) -> None:
        """Any link type; the FCS bits of the field are none of it.

        **Steps:**
            * Import files of many link types, one with the FCS length in the field's upper bits.

        **Verify:**
            * capture.json has the link type of the file; packets are tcpdump's.
        """
        for link in (0, 1, 9, 12, 50, 51, 101, 105, 108, 113, 119, 127, 147, 195, 220, 228, 239, 276, 290):
            for endian in "<>":
                path = pcap.write_pcap(self.dir + "/x.pcap", self.few, linktype=link, endian=endian)
                got = self.import_same_as_tcpdump(path, f"link type {link} {endian}")
                verify(got.info["link_type"] == link, f"{link}: {got.info}")
        path = pcap.write_pcap(self.dir + "/x.pcap", self.few, linktype=0x44000001)
        verify(self.import_same_as_tcpdump(path, "FCS").info["link_type"] == 1, "the FCS bits are in the link type")
        for link in ("raw", "sll", "sll2", "radiotap", "ppp"):
            path = traffic.make_traffic(self.dir + "/y.pcap", packets=200, seed=3, link=link)
            self.import_same_as_tcpdump(path, link)

    @func_test
    def test_truncated(self) -> None:
        """A file that is cut short gives its whole packets.

        **Steps:**
            * Cut a pcap and a pcapng file at several places; import each, by name and from a pipe.

        **Verify:**
            * Exit status 1, the file and the byte offset of the broken record are named.
            * The packets are those that tcpdump reads from the same file.
        """
        for kind in ("nsecpcap", "pcapng"):
            whole = f"{self.dir}/whole"
            oracle.editcap("-F", kind, "-r", self.capture, whole, "1-30")
            with open(whole, "rb") as file:
                blob = file.read()
            for number, cut in enumerate((len(blob) - 1, len(blob) - 5, len(blob) // 2, len(blob) // 3 + 1)):
                path = write(f"{self.dir}/cut", blob[:cut])
                expected = tcpdump_packets(path, self.dir + "/t.pcap")
                by_pipe = number % 2 == 1
                store = self.store()
                if by_pipe:
                    result = run.import_capture(store, "-", rc=1, stdin=blob[:cut])
                else:
                    result = run.import_capture(store, path, rc=1)
                oracle.verify_same_packets(stored(store).packets, expected, f"{kind} cut at {cut}")
                where = "standard input" if by_pipe else path
                verify(f"{where}: damaged at byte " in result.err, result.err)
                verify(f"the file ends at byte {cut}" in result.err, result.err)
                if kind == "nsecpcap":
                    offset = 24 + sum(16 + len(item.data) for item in expected)
                    verify(f"damaged at byte {offset}:" in result.err, f"{offset} not in {result.err}")

    @func_test
    def test_damaged(self) -> None:
        """Damage in the middle ends that file, not the import.

        **Steps:**
            * Overwrite the length field of packet 20 of a pcap and of a pcapng file with nonsense, and with half a million.
            * Import the damaged file followed by a good one.

        **Verify:**
            * Exit status 1, the offset is said; 20 packets of the first (as tcpdump) and all of the second are there.
        """
        record = 24 + sum(16 + len(item.data) for item in self.few[:20])
        blob = bytearray(pcap.pcap_bytes(self.few))
        blob[record + 8 : record + 12] = b"\xff\xff\xff\x7f"
        block = len(pcap.pcapng_section() + pcap.pcapng_interface(Interface()))
        block += sum(len(pcap.pcapng_packet(item)) for item in self.few[:20])
        with open(pcap.write_pcapng(self.dir + "/good.pcapng", self.few), "rb") as file:
            second = bytearray(file.read())
        second[block + 4 : block + 8] = b"\xff\xff\xff\x7f"
        # Not absurd, but longer than any packet of the file: it must not become one, and swallow 600 others.
        swallow = bytearray(pcap.pcap_bytes(self.packets))
        swallow[record + 8 : record + 12] = struct.pack("<I", 500000)
        for bad, offset in ((bytes(blob), record), (bytes(second), block), (bytes(swallow), record)):
            path = write(self.dir + "/bad", bad)
            verify(len(tcpdump_packets(path, self.dir + "/t.pcap")) == 20, "tcpdump reads on")
            store = self.store()
            result = run.import_capture(store, path, self.dir + "/good.pcapng", rc=1)
            verify(f"{path}: damaged at byte {offset}:" in result.err, result.err)
            verify("whole packets before it, all kept: 20" in result.err, result.err)
            oracle.verify_same_packets(stored(store).packets, self.few[:20] + self.few)

    @func_test
    def test_too_large(self) -> None:
        """A packet that no chunk can hold is skipped and counted.

        **Steps:**
            * Import a pcap and a pcapng file with a packet of 1 MiB and one of 3 MiB between others, and a file with
              the largest packet that fits.

        **Verify:**
            * Exit status 1, two packets are reported; all others are there; `store info` counts two as lost.
        """
        large = [pcap.packet(self.few[0].ts, bytes(size)) for size in (1 << 20, 3 << 20)]
        packets = [self.few[0], large[0], self.few[1], large[1], self.few[2]]
        pcap.write_pcap(self.dir + "/large.pcap", packets, snaplen=4 << 20)
        pcap.write_pcapng(self.dir + "/large.pcapng", packets, [Interface(snaplen=0)])
        # The large ones of another interface are nobody's loss.
        pcap.write_pcapng(
            self.dir + "/two.pcapng",
            [(int(len(item.data) > 1 << 19), item) for item in packets],
            [Interface(snaplen=0), Interface(snaplen=0)],
        )
        store = self.store()
        result = run.sluice("import", "--store", store, "--interface", "0", self.dir + "/two.pcapng")
        verify(result.err == "" and "too large" not in result.out, result.describe())
        oracle.verify_same_packets(stored(store).packets, self.few[:3])
        for name in ("large.pcap", "large.pcapng"):
            store = self.store()
            result = run.import_capture(store, f"{self.dir}/{name}", rc=1)
            verify("chunk of 1048576 bytes, skipped: 2" in result.err and name in result.err, result.err)
            verify("2 too large" in result.out, result.out)
            got = stored(store)
            oracle.verify_same_packets(got.packets, self.few[:3], name)
            info = run.sluice("store", "info", "--store", store).out
            verify(oracle.summary_number(info, "dropped") == 2, info)
        fits = pcap.packet(self.few[0].ts, bytes((1 << 20) - 148))
        store = self.store()
        run.import_capture(store, pcap.write_pcap(self.dir + "/fits.pcap", [fits, self.few[1]], snaplen=2 << 20))
        oracle.verify_same_packets(stored(store).packets, [fits, self.few[1]])

    @func_test
    def test_mixed_link_types(self) -> None:
        """Different link types are refused before anything is written; --interface takes one.

        **Steps:**
            * Import an Ethernet and a raw IP file together; a pcapng file that mergecap made of them; the same with
              --interface 0, 1 and 2.

        **Verify:**
            * Exit status 2, file and interface and both link types are named, no store was made.
            * --interface 1 gives the raw IP file's packets; --interface 2 is refused.
        """
        raw = traffic.make_traffic(self.dir + "/raw.pcap", packets=500, seed=2, link="raw")
        store = self.store()
        result = run.import_capture(store, self.capture, raw, rc=2)
        for word in (raw, self.capture, "EN10MB", "RAW", "101"):
            verify(word in result.err, f"{word} not in {result.err}")
        verify(not os.path.exists(store), "a store was made")
        merged = self.dir + "/merged.pcapng"
        run.run(["mergecap", "-a", "-w", merged, self.capture, raw])
        result = run.import_capture(store, merged, rc=2)
        verify(f"{merged}: interface 1" in result.err and "--interface N" in result.err, result.err)
        verify(not os.path.exists(store), "a store was made")
        run.import_capture(store, "--interface", "1", merged)
        oracle.verify_same_packets(stored(store).packets, pcap.read_packets(raw))
        verify(stored(store).info["link_type"] == 101, str(stored(store).info))
        store = self.store()
        run.import_capture(store, "--interface=0", merged)
        oracle.verify_same_packets(stored(store).packets, self.packets)
        result = run.import_capture(self.store(), "--interface", "2", merged, rc=2)
        verify("no interface 2" in result.err, result.err)

    @func_test
    def test_late_interface(self) -> None:
        """An interface of another link type that is described only at the end of a file, or of a pipe.

        **Steps:**
            * Import a pcapng file whose second interface follows a thousand packets; then the same from a pipe that
              cannot be looked ahead in.

        **Verify:**
            * The file is refused: exit status 2, nothing written. The pipe stops there: exit status 1, interface and
              offset named, the packets before it are kept.
        """
        blob = pcap.pcapng_section() + pcap.pcapng_interface(Interface())
        blob += b"".join(pcap.pcapng_packet(item) for item in self.packets)
        at = len(blob)
        blob += pcap.pcapng_interface(Interface(linktype=113)) + pcap.pcapng_packet(self.few[0], 1)
        path = write(self.dir + "/late.pcapng", blob)
        store = self.store()
        result = run.import_capture(store, path, rc=2)
        verify(f"{path}: interface 1 has link type 113" in result.err, result.err)
        verify(not os.path.exists(store), "a store was made")
        with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
            with run.sluice_start("import", "--store", store, "-", stdin=cat.stdout) as process:
                result = process.wait(rc=1)
        verify("standard input: interface 1" in result.err and "has link type 113" in result.err, result.err)
        verify(f"described at byte {at}," in result.err, result.err)
        oracle.verify_same_packets(stored(store).packets, self.packets)

    @func_test
    def test_several_files(self) -> None:
        """Several files go into one capture, in the order given, times as they are.

        **Steps:**
            * Import the later half, then the earlier half, as pcap, pcapng and from standard input.

        **Verify:**
            * One capture, packets in that order; the summary has count, bytes and the earliest and latest time.
        """
        half = len(self.packets) // 2
        late = pcap.write_pcap(self.dir + "/late.pcap", self.packets[half:], snaplen=300000)
        early = pcap.write_pcapng(self.dir + "/early.pcapng", self.packets[:half])
        store = self.store()
        result = run.import_capture(
            store, late, early, "-", capture="both", stdin=pcap.pcap_bytes(self.few), rc=0
        )
        expected = self.packets[half:] + self.packets[:half] + self.few
        got = stored(store, "both")
        oracle.verify_same_packets(got.packets, expected)
        verify(got.info["snap_len"] == 300000, str(got.info))
        times = [item.ts for item in expected]
        size = sum(len(item.data) for item in expected)
        verify(f"capture both: {len(expected)} packets, {size} bytes" in result.out, result.out)
        for ts in (min(times), max(times)):
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ts // NS)) + f".{ts % NS:09d}Z"
            verify(text in result.out, f"{text} not in {result.out}")
        result = run.import_capture(store, late, capture="both", rc=2)
        verify("both" in result.err, result.err)
        verify(len(stored(store, "both").packets) == len(expected), "the capture has changed")

    @func_test
    def test_full_disk(self) -> None:
        """A store without space left.

        **Steps:**
            * Import more than a small loop-mounted ext4 can hold, after a capture that fits.

        **Verify:**
            * Exit status 1; what is missing is said. The first capture is whole, and the second one holds the packets
              that the message counts, from the first one on.
        """
        disk = self.enter(fs.LoopFs(self.dir, 24 << 20))
        big = traffic.make_traffic(self.dir + "/big.pcap", bytes=int(48e6), seed=5)
        store = disk.path + "/store"
        run.import_capture(store, self.capture, capture="first")
        result = run.import_capture(store, big, capture="second", rc=1)
        verify(result.err.count("no space left") == 1 and "make room" in result.err, result.err)
        verify(f"the files have {os.path.getsize(big)} bytes" in result.err, result.err)
        oracle.verify_same_packets(stored(store, "first").packets, self.packets)
        got = stored(store, "second").packets
        verify("capture second: incomplete" in result.out, result.out)
        verify(len(got) > 10000 and f"({len(got)} packets are stored" in result.err, f"{len(got)}: {result.err}")
        oracle.verify_same_packets(got, pcap.read_packets(big)[: len(got)])
        run.sluice("store", "verify", "--store", store)

    @func_test
    def test_refusals(self) -> None:
        """What cannot be imported is refused before anything is written.

        **Steps:**
            * Import a missing file, a directory, an empty file, a text, a bare magic, and captures compressed with
              gzip, zstd and xz, each beside a good file. Follow the advice for the compressed ones.
            * Give wrong options.

        **Verify:**
            * Exit status 2, the file is named, and no store was made; the advised command imports all packets.
        """
        good = pcap.write_pcap(self.dir + "/good.pcap", self.few)
        cases = {
            "missing": "No such file",
            "folder": "is a directory",
            "empty": "empty",
            "text": "not a pcap or pcapng file",
            "short": "cut short",
        }
        os.mkdir(self.dir + "/folder")
        write(self.dir + "/empty", b"")
        write(self.dir + "/text", b"hello world\n")
        write(self.dir + "/short", pcap.pcap_header()[:11])
        for tool in ("gzip", "zstd", "xz"):
            with open(f"{self.dir}/{tool}", "wb") as file:
                subprocess.run([tool, "-c", good], stdout=file, check=True)
            cases[tool] = "compressed with " + tool
        store = self.store()
        for name, text in cases.items():
            result = run.import_capture(store, good, f"{self.dir}/{name}", rc=2)
            verify(f"{self.dir}/{name}: " in result.err and text in result.err, result.err)
            verify(not os.path.exists(store), f"{name}: a store was made")
            if "decompress" in result.err:
                advice = result.err.split("on the way in: ")[1].strip()
                os.makedirs(self.dir + "/bin", exist_ok=True)
                link = self.dir + "/bin/sluice"
                if not os.path.islink(link):
                    os.symlink(run.SLUICE, link)
                run.run(["sh", "-c", advice], env={"PATH": f"{self.dir}/bin:{os.environ['PATH']}"})
                oracle.verify_same_packets(stored(store).packets, self.few, name)
                shutil.rmtree(store)
        for args in (
            ["--interface", "x", good],
            ["--interface", "-1", good],
            ["--flush-interval", "-1", good],
            ["--flush-interval", "nan", good],
            ["--capture", "../x", good],
            ["--nonsense", good],
            ["-", "-"],
            [],
        ):
            result = run.sluice("import", "--store", store, *args, rc=2, stdin=b"")
            verify(result.err != "", f"{args}: nothing said")
            verify(not os.path.exists(store), f"{args}: a store was made")
        verify("--flush-interval" in run.sluice("import", "--help").out, "no help")

    @func_test
    def test_unprivileged(self) -> None:
        """A user without privilege imports into a store of its own, and reads but cannot change root's.

        **Steps:**
            * As user nobody import into a directory of nobody's, then into a store that root made; ls, verify, export that one.

        **Verify:**
            * The first works. The second is refused with exit status 2, names the store, and leaves it alone.
            * Reading root's store works.
        """
        with tempfile.TemporaryDirectory() as home:
            sluice = shutil.copy(run.SLUICE, home + "/sluice")
            few = pcap.write_pcap(home + "/few.pcap", self.few)
            os.chmod(home, 0o755)
            os.mkdir(home + "/own")
            shutil.chown(home + "/own", "nobody")
            run.import_capture(home + "/root", few)

            def nobody(*args: str, rc: int = 0) -> run.Result:
                return run.run(["runuser", "-u", "nobody", "--", sluice, *args], rc=rc)

            nobody("import", "--store", home + "/own/store", few)
            oracle.verify_same_packets(stored(home + "/own/store").packets, self.few)
            result = nobody("import", "--store", home + "/root", few, rc=2)
            verify(home + "/root: cannot begin a capture" in result.err and "another --store" in result.err, result.err)
            verify(len(os.listdir(home + "/root")) == 3, str(os.listdir(home + "/root")))
            for action in ("ls", "info", "verify", "export"):
                verify(nobody("store", action, "--store", home + "/root").out != "", action)

    @func_test
    def test_standard_input(self) -> None:
        """Pipes, FIFOs and redirected files.

        **Steps:**
            * Import by `< file`, from a pipe, from a FIFO by its name, pcap and pcapng.

        **Verify:**
            * The packets are those of the file.
        """
        ng = pcap.write_pcapng(self.dir + "/x.pcapng", self.packets, [Interface(tsresol=9)])
        for path in (self.capture, ng):
            store = self.store()
            with open(path, "rb") as file, run.sluice_start("import", "--store", store, "-", stdin=file) as process:
                process.wait()
            oracle.verify_same_packets(stored(store).packets, self.packets, "redirected")
            store = self.store()
            with open(path, "rb") as file:
                run.import_capture(store, "-", stdin=file.read())
            oracle.verify_same_packets(stored(store).packets, self.packets, "pipe")
            store = self.store()
            fifo = self.dir + "/fifo"
            os.mkfifo(fifo)
            with subprocess.Popen(["cp", "--no-preserve=mode", path, fifo]):
                run.import_capture(store, fifo)
            os.unlink(fifo)
            oracle.verify_same_packets(stored(store).packets, self.packets, "FIFO")

    @func_test
    def test_growing_pipe(self) -> None:
        """What comes through a pipe can be read from the store after the flush interval.

        **Steps:**
            * Import from a pipe with --flush-interval 0.3; write three packets and a half, and keep the pipe open.
            * Write the other half; wait again; end with SIGTERM in the middle of a record.

        **Verify:**
            * Three packets are in the store while the pipe is open, and later four; not before the interval.
            * SIGTERM is a normal end: exit status 0, no complaint, a summary, the half record left out.
        """
        store = self.store()
        fifo = self.dir + "/fifo"
        os.mkfifo(fifo)
        records = [pcap.pcap_record(item) for item in self.few]
        with run.sluice_start("import", "--store", store, "--flush-interval", "0.3", fifo) as process:
            with open(fifo, "wb", buffering=0) as pipe:
                start = time.monotonic()
                pipe.write(pcap.pcap_header() + b"".join(records[:3]) + records[3][:20])
                process.wait_until(lambda: os.path.exists(store + "/active/capture.json"), what="capture")
                process.wait_until(lambda: len(stored(store).packets) == 3, timeout=10, what="first chunk")
                seconds = time.monotonic() - start
                verify(0.25 < seconds < 3, f"visible after {seconds:.2f} s")
                pipe.write(records[3][20:])
                process.wait_until(lambda: len(stored(store).packets) == 4, timeout=10, what="second chunk")
                pipe.write(records[4] + records[5][:17])
                time.sleep(0.05)
                result = process.stop(timeout=10)
        verify(result.err == "", result.err)
        verify(": 5 packets" in result.out, result.out)
        oracle.verify_same_packets(stored(store).packets, self.few[:5])

    @func_test
    def test_stop(self) -> None:
        """SIGINT and SIGTERM on an idle pipe, before and after the header came.

        **Steps:**
            * Start an import from a silent pipe and signal it; again after the header and a packet.

        **Verify:**
            * Exit status 0 each time, soon; what came is kept.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            for blob, packets in ((b"", None), (pcap.pcap_header(), 0), (pcap.pcap_bytes(self.few[:1]), 1)):
                store = self.store()
                reader, writer = os.pipe()
                with run.sluice_start("import", "--store", store, "-", stdin=reader) as process:
                    os.close(reader)
                    os.write(writer, blob)
                    if packets is None:
                        time.sleep(0.3)
                    else:
                        process.wait_until(lambda: os.path.exists(store + "/active"), what="capture")
                        time.sleep(0.1)
                    process.signal(number)
                    result = process.wait(timeout=5)
                    os.close(writer)
                if packets is None:
                    verify("no capture was made" in result.err and not os.path.exists(store), result.err)
                else:
                    verify(f": {packets} packets" in result.out and result.err == "", result.describe())
                    verify(len(stored(store).packets) == packets, "packets are missing")

    @func_test
    def test_live_tcpdump(self) -> None:
        """tcpdump -U into an import, both ended by SIGTERM.

        **Steps:**
            * In a network namespace run tcpdump -U --immediate-mode -w - on lo into sluice import, send 200
              datagrams, end both with SIGTERM at the same moment.

        **Verify:**
            * All datagrams that tcpdump says it captured are there, in order, and exit status is 0.
        """
        name = self.enter(fs.netns())
        store = self.store()
        # Without immediate mode tcpdump forgets what the kernel has collected for it when it is told to end.
        tcpdump = [*fs.in_netns(name), "tcpdump", "-i", "lo", "--immediate-mode", "-U", "-w", "-", "udp", "port", "7777"]
        code = (
            "import socket, time\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "for i in range(200):\n    s.sendto(b'datagram %03d' % i, ('127.0.0.1', 7777))\n    time.sleep(0.001)\n"
        )
        with subprocess.Popen(tcpdump, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as source:
            with run.sluice_start("import", "--store", store, "-", stdin=source.stdout) as process:
                source.stdout.close()
                # The capture is made when tcpdump's file header has come: then it listens.
                process.wait_until(lambda: os.path.exists(store + "/active/capture.json"), what="capture")
                run.run([*fs.in_netns(name), "/usr/bin/python3", "-c", code])
                process.signal(signal.SIGTERM)
                source.send_signal(signal.SIGTERM)
                result = process.wait(timeout=10)
            said = source.stderr.read().decode()
        verify("200 packets captured" in said, said)
        data = [item.data[-12:] for item in stored(store).packets]
        verify(data == [b"datagram %03d" % i for i in range(200)], f"{len(data)} packets\n{result.describe()}")

    @func_test
    def test_progress(self) -> None:
        """Progress on a terminal, and none elsewhere.

        **Steps:**
            * Import with standard error on a pseudo-terminal, slowly enough to be watched; and with it in a file.

        **Verify:**
            * Rate and packets are shown on the terminal and the line is cleared at the end; nothing in the file.
        """
        store = self.store()
        master, slave = pty.openpty()
        reader, writer = os.pipe()
        shown = bytearray()

        def watch() -> None:
            try:
                while part := os.read(master, 4096):
                    shown.extend(part)
            except OSError:
                pass

        watcher = threading.Thread(target=watch)
        watcher.start()
        with subprocess.Popen(
            [run.SLUICE, "import", "--store", store, "-"], stdin=reader, stdout=subprocess.DEVNULL, stderr=slave
        ) as process:
            os.close(reader)
            os.close(slave)
            os.write(writer, pcap.pcap_bytes(self.few))
            time.sleep(1.2)
            os.close(writer)
            rc = process.wait()
        watcher.join(5)
        os.close(master)
        text = shown.decode()
        verify(rc == 0, text)
        verify("40 packets" in text and "MB/s" in text and text.endswith("\r\x1b[K"), repr(text))
        verify(run.import_capture(self.store(), self.capture).err == "", "progress without a terminal")
