# SPDX-License-Identifier: BSD-3-Clause
"""Live capture: what comes over a wire is in the store, whole, in order, with its time; or is counted as lost.

The wire is a veth pair in a network namespace of its own; tcpreplay sends, and tcpdump captures beside.
"""

import os
import random
import re
import signal
import time
from collections import Counter
from typing import Sequence

from api.test import verify, verify_else_skip
from framework import fs, lua, oracle, pcap, run, store, telemetry, traffic
from framework.run import SLUICE, Process
from framework.test_suite import TestSuite, func_test
from framework.wire import MTU, Wire, received, told

NS = 1_000_000_000


class TestCapture(TestSuite):
    """sluice capture."""

    def set_up_suite(self) -> None:
        """Traffic to send."""
        self.file = traffic.make_traffic(f"{self.suite_dir}/in.pcap", packets=6000, duration=300, seed=8)
        self.packets = pcap.read_packets(self.file)
        verify(max(packet.len for packet in self.packets) <= MTU + 14, "the wire is too small for the traffic")

    def set_up_test_case(self) -> None:
        """A store of its own for each case; a place where tcpdump never waits for a disk, or it would lose packets."""
        self.store, self.beside = f"{self.dir}/store", self.tmpfs_dir()

    def tcpdump(self, wire: Wire, end: str, *options: str) -> Process:
        """tcpdump beside; its file is <beside>/<end>.pcap."""
        command = [*wire.inside, "tcpdump", "-i", end, "--nano", "-B", "65536", "-w", f"{self.beside}/{end}.pcap"]
        process = self.enter(Process([*command, *options]))
        process.wait_until(lambda: "listening on" in process.err, 60, "tcpdump listens")
        return process

    def capture(self, *options: str, wire: Wire | None = None, **kwargs: object) -> Process:
        """A capture into self.store that runs, deletes nothing, and takes no hugepages from others."""
        before = store.captures(self.store)
        command = [*(wire.inside if wire else []), SLUICE, "capture", "--store", self.store, "--no-huge"]
        process = self.enter(Process([*command, "--keep-free", "0", *options], **kwargs))
        process.wait_until(lambda: len(store.captures(self.store)) > len(before), 60, "a capture")
        # Ports have been opened before it was made; lcores start after that.
        told(process)
        return process

    def stored(self, name: str | None = None) -> list[pcap.Packet]:
        """Packets of a capture, or of all of them in order, by `store export`; the store is sound."""
        store.verify_sound(self.store)
        return store.exported(self.store, self.dir, name)

    def dropped(self, name: str) -> int:
        """Packets lost, as `store info` tells."""
        return oracle.summary_number(run.sluice("store", "info", "--store", self.store, name).out, "dropped")

    @staticmethod
    def tcpdumped(process: Process, path: str, count: int) -> list[pcap.Packet]:
        """What tcpdump has, once it has that many packets."""

        def captured() -> bool:
            # Its answer comes when it has time for it: another question then does no harm.
            process.signal(signal.SIGUSR1)
            time.sleep(0.1)
            return max(map(int, re.findall(r"(\d+) packets captured", process.err)), default=0) >= count

        process.wait_until(captured, 60, f"tcpdump has {count} packets")
        process.signal(signal.SIGINT)
        result = process.wait(20)
        verify("\n0 packets dropped by kernel" in result.err, f"tcpdump lost packets\n{result.describe()}")
        return pcap.read_packets(path)

    @staticmethod
    def contents(packets: Sequence[pcap.Packet]) -> list[tuple[bytes, int]]:
        """Bytes and lengths, without times."""
        return [(packet.data, packet.len) for packet in packets]

    # ------------------------------------------------------------ interfaces

    @func_test
    def test_interface(self) -> None:
        """`--port b0`: what tcpdump has.

        **Steps:**
            * tcpreplay 6,000 packets at 20,000 a second; tcpdump beside; then the same with --snap-len and --filter, and
              with tcpdump's -s and expression.

        **Verify:**
            * Times, bytes, lengths on the wire and order are tcpdump's; nothing is lost; ends on SIGTERM with status 0.
            * Link type and snap length of the exported file are those of the capture.
        """
        wire = Wire(self)
        for options, expression, snap in (((), "", 262144), (("--snap-len", "80"), "udp or vlan", 80)):
            tcpdump = self.tcpdump(wire, "b0", "-s", str(snap), *([expression] if expression else []))
            more = ["--filter", expression] if expression else []
            process = self.capture("--port", "b0", *options, *more, "--capture", f"snap{snap}", wire=wire)
            wire.send(self.file, 0, "--pps=20000")
            wanted = oracle.tcpdump_filter(self.file, expression, f"{self.dir}/wanted.pcap").packets
            expected = self.tcpdumped(tcpdump, f"{self.beside}/b0.pcap", len(wanted))
            received(process, len(wanted))
            result = process.stop(20)
            got = self.stored(f"snap{snap}")
            oracle.verify_same_packets(got, expected, f"snap length {snap}")
            verify(len(got) == len(wanted), f"{len(got)} packets, {len(wanted)} were sent\n{result.describe()}")
            head = pcap.read_pcap(f"{self.dir}/exported-snap{snap}.pcap")
            verify((head.linktype, head.snaplen) == (1, snap), f"link type {head.linktype}, snap length {head.snaplen}")
            verify(f"{len(wanted)} packets" in result.out, f"summary\n{result.describe()}")

    @func_test
    def test_frames_as_they_come(self) -> None:
        """Fragments, tags and frames of all sizes are stored as they were on the wire.

        **Steps:**
            * Send IPv4 fragments in and out of order, single and double VLAN tags, frames from 60 to 60,014 bytes, frames to
              another host's address, and one of an unknown type; --port of the interface, one queue and two.

        **Verify:**
            * One queue: the bytes that were sent, in order. Two: each frame once.
        """
        payload = bytes(range(256)) * 12
        frames = [
            traffic.ether(traffic.ipv4("10.0.0.1", "10.0.0.2", 17, payload[at : at + 800], ident=7, frag=at // 8 | more))
            for at, more in ((1600, 0x2000), (0, 0x2000), (800, 0x2000), (2400, 0))
        ]
        inner = traffic.udp("10.0.0.1", "10.0.0.2", 5, 6, b"x" * 40)
        frames.append(traffic.ether(inner, vlan=42))
        frames.append(traffic.ether(b"\0\x2a\x08\0" + inner, kind=0x8100, vlan=7))
        frames.append(traffic.ether(inner, dst="06:00:00:00:00:77"))
        frames.append(traffic.ether(b"anything", kind=0x88B5))
        frames += [traffic.ether(b"\x55" * (size - 14), kind=0x88B5)[:size] for size in (60, 64, 65, 1514, 1518, 9214, 60014)]
        file = pcap.write_pcap(f"{self.dir}/f.pcap", [pcap.packet(NS + i, frame) for i, frame in enumerate(frames)])
        wire = Wire(self)
        for queues in (1, 2):
            process = self.capture("--port", "b0", "--queues", str(queues), "--capture", f"q{queues}", wire=wire)
            wire.send(file, 0, "--pps=500")
            received(process, len(frames))
            process.stop(20)
            got = [packet.data for packet in self.stored(f"q{queues}")]
            verify(got == frames if queues == 1 else Counter(got) == Counter(frames), f"{queues} queues: frames differ")

    @func_test
    def test_queues(self) -> None:
        """--queues 3: shared out by flow, and in the order of time again.

        **Steps:**
            * The same traffic into an interface with three queues, on one lcore and on three with the store on another.

        **Verify:**
            * The packets of tcpdump, each once. Sorted, but for those that the summary tells of.
        """
        wire = Wire(self)
        cpus = sorted(os.sched_getaffinity(0))
        spread = ",".join(f"rx@{cpus[i % len(cpus)]}" for i in range(3)) + f",store@{cpus[-1]}"
        for turn, layout in enumerate((f"all@{cpus[0]}", spread)):
            tcpdump = self.tcpdump(wire, "b0")
            process = self.capture(
                "--port", "b0", "--queues", "3", "--map", layout, "--capture", f"turn{turn}", wire=wire
            )
            wire.send(self.file, 0, "--pps=20000")
            expected = self.tcpdumped(tcpdump, f"{self.beside}/b0.pcap", len(self.packets))
            received(process, len(self.packets))
            result = process.stop(20)
            got = self.stored(f"turn{turn}")
            verify(Counter(got) == Counter(expected), f"{layout}: other packets than tcpdump's\n{result.describe()}")
            self._verify_order(got, result)

    @staticmethod
    def _verify_order(got: Sequence[pcap.Packet], result: run.Result) -> None:
        """Each packet that lies behind a later one was counted: an lcore that was not run in time."""
        latest, late = 0, 0
        for packet in got:
            late += packet.ts < latest
            latest = max(latest, packet.ts)
        lines = [line for line in result.out.splitlines() if "lie behind" in line]
        verify(late == (int(lines[0].split()[0]) if lines else 0), f"{late} out of order\n{result.describe()}")
        verify(late < len(got) // 20, f"{late} of {len(got)} out of order\n{result.describe()}")

    @func_test
    def test_ports(self) -> None:
        """Two interfaces into one capture: one order of time, and each packet's port.

        **Steps:**
            * tcpreplay the traffic into two pairs at the same time, at different rates; tcpdump on both; capture from b0 and b1
              on two lcores and a third for the store.

        **Verify:**
            * Packets of port 0 are those that tcpdump has of b0, in order; of port 1 those of b1.
            * All together they are in the order of time, but for those that the summary tells of.
        """
        wire = Wire(self, pairs=2)
        cpus = sorted(os.sched_getaffinity(0))
        layout = f"rx@{cpus[0]},rx@{cpus[-1]},store@{cpus[0]}"
        tcpdumps = [self.tcpdump(wire, f"b{i}") for i in range(2)]
        process = self.capture("--port", "b0", "--port", "b1", "--map", layout, wire=wire)
        senders = [self.enter(wire.replay(self.file, i, f"--pps={rate}")) for i, rate in enumerate((20000, 13000))]
        for sender in senders:
            sender.wait(60)
        received(process, 2 * len(self.packets))
        result = process.stop(20)
        [name] = store.captures(self.store)
        found = store.stored(self.store, name)
        for i, tcpdump in enumerate(tcpdumps):
            expected = self.tcpdumped(tcpdump, f"{self.beside}/b{i}.pcap", len(self.packets))
            got = [packet for packet, port in zip(found.packets, found.ports) if port == i]
            oracle.verify_same_packets(got, expected, f"port {i}")
        self._verify_order(found.packets, result)

    @func_test
    def test_missed(self) -> None:
        """Packets that the kernel had no room for are counted, as missed, in the chunk where they are missing.

        **Steps:**
            * A capture with a ring of 1 MiB; stop it with SIGSTOP while tcpreplay sends, let it go on, send more.

        **Verify:**
            * Packets stored and packets missed add up to what was sent; the store's chunks tell the same number.
        """
        wire = Wire(self)
        process = self.capture("--port", "b0", "--buffer-size", "1", wire=wire)
        wire.send(self.file, 0, "--pps=20000", "--limit=1000")
        received(process, 1000)
        process.signal(signal.SIGSTOP)
        wire.send(self.file)
        process.signal(signal.SIGCONT)
        received(process, 1000 + len(self.packets))
        # The ring has room again.
        wire.send(self.file, 0, "--pps=20000", "--limit=1000")
        received(process, 2000 + len(self.packets))
        result = process.stop(20)
        [name] = store.captures(self.store)
        found = store.headers(self.store, name)
        stored = sum(header.count for header in found)
        lost = sum(header.dropped for header in found)
        verify(lost > 0, f"nothing was lost: the case shows nothing\n{result.describe()}")
        verify(stored + lost == 2000 + len(self.packets), f"{stored} stored, {lost} lost\n{result.describe()}")
        verify(f"{lost} missed by the port" in result.out, f"summary\n{result.describe()}")

    @func_test
    def test_no_space(self) -> None:
        """A full store: packets wait in the buffers, then they are lost and counted; with room it goes on.

        **Steps:**
            * A store on a tmpfs of 40 MiB that a file fills but for 3 MiB; capture with 4 buffers; send 15 MB; remove the file;
              send 4 MB.

        **Verify:**
            * It is told that there is no space, and that there is again. Stored and lost packets add up to what was sent; all
              losses are the store's by the chunks; the last packets are there; status 0.
        """
        self.store = f"{self.dir}/small/store"
        os.makedirs(f"{self.dir}/small")
        run.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", f"{self.dir}/small"])
        self.on_tear_down(run.run, ["umount", "-l", f"{self.dir}/small"])
        with open(f"{self.dir}/small/filler", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, 37 << 20)
        wire = Wire(self)
        process = self.capture("--port", "b0", "--store-buffers", "4", "--flush-interval", "0.1", wire=wire)
        wire.send(self.file, 0, "--pps=20000", "--loop=4")
        process.wait_until(lambda: "no space left" in process.err, 60, "it is told")
        received(process, 4 * len(self.packets))
        os.unlink(f"{self.dir}/small/filler")
        process.wait_until(lambda: "there is room again" in process.err, 60, "it goes on")
        wire.send(self.file, 0, "--pps=20000")
        received(process, 5 * len(self.packets))
        result = process.stop(20)
        [name] = store.captures(self.store)
        found, lost = store.headers(self.store, name), self.dropped(name)
        stored = self.contents(self.stored())
        verify(len(stored) + lost == 5 * len(self.packets), f"{len(stored)} stored, {lost} lost\n{result.describe()}")
        verify(lost > 0, "nothing was lost: the case shows nothing")
        verify("warning" not in result.err, f"a warning of what is not to be kept free\n{result.describe()}")
        verify(sum(h.dropped for h in found) == lost == sum(h.dropped_store for h in found), f"chunks: {found}")
        sent = self.contents(self.packets)
        verify(stored[-len(sent) :] == sent, "after there was room, other packets than were sent")

    # ------------------------------------------------------------ DPDK ports

    @func_test
    def test_af_packet(self) -> None:
        """`--port net_af_packet0,iface=b0`: DPDK's own way to an interface.

        **Steps:**
            * tcpreplay the traffic at 20,000 packets a second, but its IP fragments, which that driver has the kernel put
              together (docs/capture.rst); tcpdump beside.

        **Verify:**
            * Bytes and order are tcpdump's; times do not go back, and each is at most a second behind tcpdump's.
        """
        wire = Wire(self)
        whole = "not (ip[6:2] & 0x3fff != 0) and not vlan"
        sent = len(oracle.tcpdump_filter(self.file, whole, f"{self.dir}/whole.pcap").packets)
        verify(sent > 4500, f"only {sent} packets are no fragments")
        tcpdump = self.tcpdump(wire, "b0")
        port = "net_af_packet0,iface=b0,framesz=16384,blocksz=65536,framecnt=4096"
        process = self.capture("--port", port, wire=wire)
        wire.send(f"{self.dir}/whole.pcap", 0, "--pps=20000")
        expected = self.tcpdumped(tcpdump, f"{self.beside}/b0.pcap", sent)
        received(process, sent)
        result = process.stop(20)
        got = self.stored()
        verify(self.contents(got) == self.contents(expected), f"other packets than tcpdump's\n{result.describe()}")
        times = [packet.ts for packet in got]
        verify(times == sorted(times), "time goes back")
        behind = [mine.ts - theirs.ts for mine, theirs in zip(got, expected)]
        verify(-NS // 100 < min(behind) and max(behind) < NS, f"behind tcpdump by {min(behind)} to {max(behind)} ns")

    @func_test
    def test_pcap_port(self) -> None:
        """A file played by net_pcap is stored with its own times.

        **Steps:**
            * Capture from net_pcap0,rx_pcap=FILE with microseconds; again with --filter and --snap-len; with two ports, each
              with every second packet of the file.

        **Verify:**
            * The file's packets; those that tcpdump accepts, cut; with two ports all of them in the order of time.
        """
        packets = [pcap.packet(p.ts - p.ts % 1000, p.data) for p in self.packets]
        pcap.write_pcap(f"{self.dir}/in.pcap", packets, nano=False)
        for name, part in (("even", packets[::2]), ("odd", packets[1::2])):
            pcap.write_pcap(f"{self.dir}/{name}.pcap", part, nano=False)
        tcp = oracle.tcpdump_filter(f"{self.dir}/in.pcap", "tcp port 443", f"{self.dir}/tcp.pcap").packets
        cases = (
            ("whole", ["in"], [], packets),
            ("some", ["in"], ["--filter", "tcp port 443", "--snap-len", "64"], [p._replace(data=p.data[:64]) for p in tcp]),
            ("two", ["even", "odd"], [], packets),
        )
        for name, files, options, expected in cases:
            ports = [f"--port=net_pcap{i},rx_pcap={self.dir}/{file}.pcap" for i, file in enumerate(files)]
            process = self.capture(*ports, *options, "--capture", name)
            received(process, len(expected))
            process.stop(20)
            oracle.verify_same_packets(self.stored(name), expected, name)

    @func_test
    def test_null_port(self) -> None:
        """net_null gives packets as fast as they are taken.

        **Steps:**
            * Capture from net_null with 60 and 1500 bytes for 0.3 s into a store on tmpfs; with --poll; with a second lcore
              for the store.

        **Verify:**
            * Packets stored and lost, as the store tells, are those that the port has given; sizes are right; times do not go
              back and cover the time of the run.
        """
        cpus = sorted(os.sched_getaffinity(0))
        for size, options in ((60, ()), (1500, ("--map", f"rx@{cpus[0]},store@{cpus[-1]}"))):
            self.store = self.tmpfs_dir()
            result = run.sluice(
                "capture", "--store", self.store, "--port", f"net_null0,size={size}", "--duration", "0.3", "--keep-free",
                "0", "--no-huge", *options,
            )
            [name] = store.captures(self.store)
            found = store.headers(self.store, name)
            stored = sum(header.count for header in found)
            # What was lost behind the last packet is in no chunk, but in the capture's sum.
            lost = self.dropped(name)
            verify(sum(header.dropped for header in found) <= lost, f"chunks tell more than {lost}")
            received = int(result.out.split(" packets received")[0].split()[-1])
            verify(stored + lost == received, f"{stored} stored, {lost} lost\n{result.describe()}")
            verify(stored > 10000, f"only {stored} packets\n{result.describe()}")
            first = store.stored(self.store, name, chunks=1).packets
            verify(all(p.len == size == len(p.data) for p in first), "sizes")
            # Chunk by chunk: first is the earliest, last the latest, and none before the chunk before.
            back = [h for h in found if not h.clock <= h.first == h.low <= h.high == h.last]
            verify(not back, f"time goes back: {back[:3]}")
            times = [packet.ts for packet in first]
            verify(times == sorted(times), "time goes back in the first chunk")
            covered = found[-1].last - found[0].first
            # On a busy machine what comes at the end may all be lost; times are compared with tcpdump's elsewhere.
            verify(0.05 * NS < covered < 10 * NS, f"times cover {covered / NS} s")
            verify(abs(found[0].first - time.time_ns()) < 60 * NS, "times are not those of now")

    @func_test
    def test_other_ports(self) -> None:
        """net_ring, net_tap and net_af_xdp.

        **Steps:**
            * net_ring0, which nobody feeds. net_tap0: tcpreplay into its interface. net_af_xdp0 on a veth's end: tcpreplay into
              the other.

        **Verify:**
            * The ring's capture is empty and sound; from the tap and by XDP the bytes that were sent come, in order.
        """
        process = self.capture("--port", "net_ring0", "--capture", "ring")
        process.stop(20)
        verify(self.stored("ring") == [], "packets from nowhere")
        few = [packet for packet in self.packets if packet.len <= 1514][:2000]
        file = pcap.write_pcap(f"{self.dir}/few.pcap", few)
        wire = Wire(self)
        process = self.capture("--port", "net_tap0,iface=slt0", "--capture", "tap", wire=wire)
        run.run([*wire.inside, "tcpreplay", "-q", "-i", "slt0", "--pps=2000", file])
        received(process, len(few))
        process.stop(20)
        verify(self.contents(self.stored("tap")) == self.contents(few), "tap: other packets than were sent")
        for end in ("a0", "b0"):
            run.run([*wire.inside, "ip", "link", "set", end, "mtu", "1500"])
        process = self.enter(
            Process([*wire.inside, SLUICE, "capture", "--store", self.store, "--port", "net_af_xdp0,iface=b0", "--no-huge",
                     "--keep-free", "0", "--capture", "xdp"])
        )  # fmt: skip
        run.wait_until(lambda: not process.running() or telemetry.ask(process.pid, "/sluice/capture"), 60, "running")
        result = process.result()
        verify_else_skip(process.running(), f"this kernel has no AF_XDP for veth:\n{result.err}")
        wire.send(file, 0, "--pps=2000")
        received(process, len(few))
        process.stop(20)
        verify(self.contents(self.stored("xdp")) == self.contents(few), "XDP: other packets than were sent")

    # ------------------------------------------------------------ rolls

    @func_test
    def test_rolls_and_push(self) -> None:
        """New captures by signal and size, while a push follows.

        **Steps:**
            * A capture with --roll-size 2M; SIGUSR1 between pieces of the traffic; a push with two targets follows, from before
              the first packet to the end.

        **Verify:**
            * At least five captures, in the order of their packets; `active` is the last; names begin with --capture's.
            * All captures together have the packets that were sent, once, in order; so has each target, by tcpdump's filter.
        """
        wire = Wire(self)
        targets = [lua.target("all", f"{self.dir}/out/all"), lua.target("udp", f"{self.dir}/out/udp", "udp")]
        config = lua.write_config(f"{self.dir}/c.lua", targets, {"FollowStart": True})
        process = self.capture("--port", "b0", "--capture", "live", "--roll-size", "2M", "--flush-interval", "0.2", wire=wire)
        push = self.enter(
            run.push_start(config, self.store, "--state-dir", f"{self.dir}/state", "--log-dir", f"{self.dir}/log")
        )
        quarter = len(self.packets) // 4
        for i in range(4):
            part = pcap.write_pcap(f"{self.dir}/part.pcap", self.packets[i * quarter : (i + 1) * quarter])
            wire.send(part, 0, "--pps=20000")
            received(process, (i + 1) * quarter)
            before = told(process)["rolls"]
            process.signal(signal.SIGUSR1)
            process.wait_until(lambda: told(process)["rolls"] > before, 60, "a new capture")
        process.stop(20)
        names = store.captures(self.store)
        verify(len(names) >= 5 and names[0] == "live" and all(n.startswith("live_") for n in names[1:]), f"{names}")
        verify(os.readlink(f"{self.store}/active") == names[-1], "`active` is not the last capture")
        stored = self.stored()
        sent = self.packets[: 4 * quarter]
        verify(self.contents(stored) == self.contents(sent), "the captures hold other packets than were sent")
        push.stop(30)
        run.push_once(config, self.store, "--state-dir", f"{self.dir}/state")
        whole = pcap.write_pcap(f"{self.dir}/whole.pcap", stored)
        for desc, text in (("all", ""), ("udp", "udp")):
            files = [f"{self.dir}/out/{name}" for name in run.list_files(f"{self.dir}/out") if name.startswith(desc)]
            got = sorted((pcap.read_packets(file) for file in files), key=lambda part: part[0].ts)
            expected = oracle.tcpdump_filter(whole, text, f"{self.dir}/{desc}.pcap").packets
            oracle.verify_same_packets(sum(got, []), expected, desc)

    @func_test
    def test_rolls_by_time(self) -> None:
        """--roll 1: a new capture each second, also in silence.

        **Steps:**
            * Send 2.5 seconds of packets, then nothing for two seconds.

        **Verify:**
            * Each capture but the first begins at a full second: packets lie between their capture's second and the next one's.
            * Captures are made in silence too, empty ones. All packets are there once, in order.
        """
        wire = Wire(self)
        process = self.capture("--port", "b0", "--roll", "1", "--capture", "live", wire=wire)
        wire.send(self.file, 0, "--pps=2400")
        received(process, len(self.packets))
        busy = told(process)["rolls"]
        process.wait_until(lambda: told(process)["rolls"] >= busy + 2, 60, "rolls in silence")
        process.stop(20)
        seconds: dict[str, set[int]] = {
            name: {packet.ts // NS for packet in self.stored(name)} for name in store.captures(self.store)
        }
        verify(all(len(found) <= 1 for found in seconds.values()), f"seconds of captures: {seconds}")
        filled = [next(iter(found)) for found in seconds.values() if found]
        verify(len(filled) == len(set(filled)) >= 3 and filled == sorted(filled), f"seconds of captures: {seconds}")
        for name, found in seconds.items():
            if found and name != "live":
                stamp = time.strftime("live_%Y%m%d_%H%M%S", time.localtime(next(iter(found))))
                verify(name == stamp, f"{name} has packets of {stamp}")
        verify(self.contents(self.stored()) == self.contents(self.packets), "other packets than were sent")

    @func_test
    def test_silence(self) -> None:
        """A window ends by the clock, though no packet comes after it.

        **Steps:**
            * Send packets for half a second, then nothing; a push with windows of one second follows.

        **Verify:**
            * Within 10 s all packets are in published files, while both run.
        """
        wire = Wire(self)
        config = lua.write_config(
            f"{self.dir}/c.lua", [lua.target("all", f"{self.dir}/out/x", Split="--split-time 1e9")], {"FollowStart": True}
        )
        process = self.capture("--port", "b0", wire=wire)
        push = self.enter(
            run.push_start(config, self.store, "--state-dir", f"{self.dir}/state", "--log-dir", f"{self.dir}/log")
        )
        wire.send(self.file, 0, "--pps=2000", "--limit=1000")

        def published() -> int:
            files = run.list_files(f"{self.dir}/out", ".pcap") if os.path.isdir(f"{self.dir}/out") else []
            return sum(len(pcap.read_packets(f"{self.dir}/out/{name}")) for name in files)

        push.wait_until(lambda: published() == 1000, 10, "all packets published")
        verify(process.running(), "the capture has ended")
        push.stop(20)
        process.stop(20)

    @func_test
    def test_keep_free(self) -> None:
        """--keep-free: the oldest captures make room.

        **Steps:**
            * A store on a tmpfs of 64 MiB, --keep-free 0,40M, --roll-size 2M; send 30 MB.

        **Verify:**
            * Nothing is lost. At the end at least 36 MiB are free; the first capture is gone, which the summary counts; what is left
              is sound, and has the last packets that were sent, in order. So small a file system is warned of.
        """
        self.store = f"{self.dir}/small/store"
        os.makedirs(f"{self.dir}/small")
        run.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", f"{self.dir}/small"])
        self.on_tear_down(run.run, ["umount", "-l", f"{self.dir}/small"])
        wire = Wire(self)
        process = self.capture("--port", "b0", "--keep-free", "0,40M", "--roll-size", "2M", "--capture", "live", wire=wire)
        wire.send(self.file, 0, "--pps=20000", "--loop=8")
        received(process, 8 * len(self.packets))

        def free() -> int:
            stat = os.statvfs(self.store)
            return stat.f_bavail * stat.f_frsize

        process.wait_until(lambda: free() >= 36 << 20, 60, "room")
        result = process.stop(20)
        verify(f"{8 * len(self.packets)} packets" in result.out, f"packets were lost\n{result.describe()}")
        names = store.captures(self.store)
        verify("live" not in names and len(names) >= 2, f"captures: {names}")
        removed = re.search(r"--keep-free\): (\d+) whole captures, (\d+) bytes", result.out)
        verify(removed and int(removed[1]) >= 1 and int(removed[2]) > 1 << 20, f"it is not said\n{result.describe()}")
        verify(result.err.count("warning: its file system has 0.0 GB beside") == 1, f"no warning\n{result.describe()}")
        stored = self.contents(self.stored())
        sent = self.contents(self.packets) * 8
        verify(len(stored) > 1000 and stored == sent[-len(stored) :], f"{len(stored)} packets, not the last ones sent")

    # ------------------------------------------------------------ ends

    @func_test
    def test_killed(self) -> None:
        """kill -9: what was committed stays; the next capture begins anew.

        **Steps:**
            * Send packets, wait until all are committed, kill -9 the capture; begin another one, send, end it
              with SIGHUP.

        **Verify:**
            * The first capture is sealed with its packets; the second has its own; the interface is no longer promiscuous.
        """
        wire = Wire(self)
        for turn in range(2):
            process = self.capture("--port", "b0", "--capture", f"turn{turn}", "--flush-interval", "0.1", wire=wire)
            wire.send(self.file, 0, "--pps=10000", "--limit=5000")
            received(process, 5000)
            if turn == 1:
                # As a terminal does that is closed.
                process.signal(signal.SIGHUP)
                process.wait(20)
                break
            process.wait_until(lambda: len(store.stored(self.store, f"turn{turn}").packets) == 5000, 60, "all committed")
            process.kill()
        shown = run.run([*wire.inside, "ip", "-d", "link", "show", "b0"]).out
        verify("promiscuity 0" in shown, f"still promiscuous\n{shown}")
        listed = run.sluice("store", "ls", "--store", self.store).out
        verify(listed.count("closed") == 2, f"captures\n{listed}")
        for turn in range(2):
            got = self.contents(self.stored(f"turn{turn}"))
            verify(got == self.contents(self.packets[:5000]), f"turn {turn}: {len(got)} packets")

    @func_test
    def test_second(self) -> None:
        """One store has one capture at a time.

        **Steps:**
            * Begin a capture while another one runs into the same store; one of the same name after it has ended.

        **Verify:**
            * Each is refused with status 2 and one line that names the store and the reason; the first goes on.
        """
        wire = Wire(self)
        process = self.capture("--port", "b0", "--capture", "one", wire=wire)
        command = [*wire.inside, SLUICE, "capture", "--store", self.store, "--port", "b0", "--no-huge", "--keep-free", "0"]
        result = run.run(command, rc=2)
        verify(self.store in result.err and "one" in result.err and result.err.count("\n") == 1, result.describe())
        wire.send(self.file, 0, "--pps=10000", "--limit=100")
        received(process, 100)
        process.stop(20)
        result = run.run([*command, "--capture", "one"], rc=2)
        verify("one: exists" in result.err, result.describe())
        verify(store.captures(self.store) == ["one"], f"captures: {store.captures(self.store)}")

    @func_test
    def test_refused(self) -> None:
        """What cannot be captured is refused before anything is made.

        **Steps:**
            * Ports that are not there, not known, down, not allowed, twice; arguments that a driver refuses; a filter that does not
              compile; options out of range; more lcores than queues.

        **Verify:**
            * Status 2; the message names the option's value and what is wrong; no store is made.
        """
        wire = Wire(self)
        run.run([*wire.inside, "ip", "link", "set", "b0", "down"])
        null = "net_null0"
        cases: list[tuple[list[str], list[str]]] = [
            ([], ["--port"]),
            (["--port", "nosuch0"], ["nosuch0", "no network interface", "a0"]),
            (["--port", "b0"], ["b0", "is down", "ip link set b0 up"]),
            (["--port", "net_af_packet0"], ["iface=eth0"]),
            (["--port", "net_af_packet0,iface=nosuch0"], ["nosuch0", "no network interface"]),
            (["--port", "net_nosuch0"], ["net_nosuch0", "no such virtual device"]),
            (["--port", "net_null0,sise=9"], ["net_null0,sise=9", "refused by its driver"]),
            (["--port", f"net_pcap0,rx_pcap={self.dir}/nosuch"], [f"{self.dir}/nosuch: No such file"]),
            (["--port", "0000:ff:1f.7"], ["0000:ff:1f.7", "no PCI device", "dpdk-devbind.py"]),
            (["--port", null, "--port", null], [null, "twice"]),
            (["--port", null, "--filter", "tcp prot 80"], ["tcp prot 80", "syntax error"]),
            (["--port", null, "--queues", "0"], ["--queues 0"]),
            (["--port", null, "--snap-len", "0"], ["--snap-len 0"]),
            (["--port", null, "--roll", "weekly"], ["weekly", "daily, hourly"]),
            (["--port", null, "--roll-size", "1K"], ["--roll-size 1K"]),
            (["--port", null, "--keep-free", "100"], ["--keep-free 100"]),
            (["--port", null, "--map", "rx@0,rx@0,store@0"], ["2 lcores receive", "--queues"]),
            (["--port", null, "--map", "rx@0"], ["0 store"]),
            (["--port", null, "--map", "reader@0"], ["no stage 'reader'", "rx, store and all"]),
            (["--port", null, "--capture", "a/b"], ["a/b"]),
            (["--port", null, "eth0"], ["'eth0' is not an option"]),
        ]
        for options, words in cases:
            command = [*wire.inside, SLUICE, "capture", "--store", self.store, "--no-huge", *options]
            result = run.run(command, rc=2, timeout=60)
            verify(all(word in result.err for word in words), f"expected {words}\n{result.describe()}")
            verify(not os.path.exists(self.store), f"a store was made\n{result.describe()}")
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
        command = [*wire.inside, *nobody, SLUICE, "capture", "--store", f"{self.dir}/no", "--port", "a0", "--no-huge"]
        run.run([*wire.inside, "ip", "link", "set", "b0", "up"])
        result = run.run(command, rc=2)
        verify("not allowed to read packets" in result.err and "setcap" in result.err, result.describe())

    @func_test
    def test_soak(self) -> None:
        """A wire that does not rest, with rolls, and a push that is killed, stopped and held up.

        **Steps:**
            * tcpreplay in a loop at 4,000 packets a second for SLUICE_SOAK_SECONDS (default 6), tcpdump beside; a capture of two
              queues that rolls by size, by signal and every three seconds; a push that follows is killed, ended by SIGTERM and stopped
              by SIGSTOP at random moments.

        **Verify:**
            * All captures together have tcpdump's packets, each once, sorted but for those that are told; nothing is lost.
            * Each target of the push has what tcpdump takes from them, in order.
            * The capture's resident memory grows by no more than 8 MiB after the first third.
        """
        seconds = int(os.environ.get("SLUICE_SOAK_SECONDS", "6"))
        dice = random.Random(int(os.environ.get("SLUICE_SOAK_SEED", "0")) or None)
        wire = Wire(self)
        targets = [
            lua.target("all", f"{self.dir}/out/all", Split="--split-time 2e9", OnStop="resume"),
            lua.target("tcp", f"{self.dir}/out/tcp", "tcp", Split="--split-byte 500000", OnStop="resume"),
        ]
        config = lua.write_config(f"{self.dir}/c.lua", targets, {"FollowStart": True})
        args = ("--state-dir", f"{self.dir}/state", "--log-dir", f"{self.dir}/log")
        tcpdump = self.tcpdump(wire, "b0")
        rolls = ("--roll", "3", "--roll-size", "4M", "--flush-interval", "0.2")
        process = self.capture("--port", "b0", "--queues", "2", "--capture", "live", *rolls, wire=wire)
        sender = self.enter(wire.replay(self.file, 0, "--pps=4000", "--loop=0"))
        push = self.enter(run.push_start(config, self.store, *args))
        begun, sizes = time.monotonic(), []
        while time.monotonic() - begun < seconds:
            time.sleep(dice.uniform(0.2, 1))
            sizes.append(run.resident(process.pid))
            what = dice.choice(("roll", "kill", "stop", "hold", "nothing"))
            if what == "roll":
                process.signal(signal.SIGUSR1)
            elif what == "hold":
                push.signal(signal.SIGSTOP)
                time.sleep(dice.uniform(0.1, 1))
                push.signal(signal.SIGCONT)
            elif what != "nothing":
                push.signal(signal.SIGKILL if what == "kill" else signal.SIGTERM)
                push.wait(60, rc=None)
                push = self.enter(run.push_start(config, self.store, *args))
        sender.signal(signal.SIGKILL)
        sender.wait(20, rc=None)
        expected = self.tcpdumped(tcpdump, f"{self.beside}/b0.pcap", wire.carried())
        received(process, len(expected))
        result = process.stop(30)
        push.stop(60)
        run.push_once(config, self.store, *args)
        stored = self.stored()
        verify(Counter(stored) == Counter(expected), f"{len(stored)} packets, tcpdump has {len(expected)}\n{result.describe()}")
        self._verify_order(stored, result)
        whole = pcap.write_pcap(f"{self.dir}/whole.pcap", stored)
        place = {packet: i for i, packet in enumerate(stored)}
        for desc in ("all", "tcp"):
            files = [name for name in run.list_files(f"{self.dir}/out", ".pcap") if name.startswith(desc)]
            parts = sorted((pcap.read_packets(f"{self.dir}/out/{name}") for name in files), key=lambda part: place[part[0]])
            wanted = oracle.tcpdump_filter(whole, "" if desc == "all" else desc, f"{self.dir}/{desc}.pcap").packets
            oracle.verify_same_packets(sum(parts, []), wanted, desc)
        calm = sizes[len(sizes) // 3 :]
        verify(max(calm) - calm[0] <= 8 << 20, f"resident memory: {sizes}")

    @func_test
    def test_interface_goes(self) -> None:
        """An interface disappears while it is captured from.

        **Steps:**
            * Capture from two interfaces; delete one, send to the other; delete that, too.

        **Verify:**
            * The loss is told with the port's name; the other port goes on; when the last one is gone the capture ends with
              status 1, and what was captured is there.
        """
        wire = Wire(self, pairs=2)
        process = self.capture("--port", "b0", "--port", "b1", wire=wire)
        wire.send(self.file, 0, "--pps=10000", "--limit=500")
        received(process, 500)
        run.run([*wire.inside, "ip", "link", "del", "b0"])
        process.wait_until(lambda: "--port b0" in process.err, 60, "it is told")
        wire.send(self.file, 1, "--pps=10000", "--limit=700")
        received(process, 1200)
        run.run([*wire.inside, "ip", "link", "del", "b1"])
        result = process.wait(20, rc=1)
        verify("--port b1" in result.err, result.describe())
        sent = self.packets[:500] + self.packets[:700]
        verify(self.contents(self.stored()) == self.contents(sent), "other packets than were sent")
