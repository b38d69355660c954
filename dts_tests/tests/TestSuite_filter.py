# SPDX-License-Identifier: BSD-3-Clause
"""Filters: the packets written are those of tcpdump, for every kind of expression, on five link types.

A verdict that differs from libpcap's is the worst bug a push can have, and nobody would notice it.
"""

import os
import random
import re
import shutil
import struct

import scapy.all as scapy
from api.test import verify
from framework import lua, oracle, run, traffic
from framework.pcap import (
    LINKTYPE_IEEE802_11_RADIOTAP,
    LINKTYPE_LINUX_SLL,
    LINKTYPE_RAW,
    Packet,
    read_packets,
    write_pcap,
)
from framework.test_suite import TestSuite, func_test
from scapy.contrib.mpls import MPLS
from scapy.layers.vxlan import VXLAN

LINKTYPE_ETHERNET = 1
LINKTYPE_PPP = 9

START = 1_700_000_040_000_000_000  # 40 s into a minute: the whole capture lies in one window

HOSTS = ("10.0.0.1", "10.0.0.2", "10.1.2.3", "192.168.1.7", "224.0.0.5", "255.255.255.255")
HOSTS6 = ("2001:db8::1", "2001:db8::2", "fe80::1", "ff02::5")
PORTS = (20, 53, 80, 123, 443, 1024, 2152, 4789, 5060, 6081, 8080, 65535)


def _expressions() -> list[str]:
    """Expressions of every kind that pcap-filter(7) describes; those that a link type lacks are refused there."""
    result = [
        # protocols and abbreviations
        "ip", "ip6", "arp", "rarp", "tcp", "udp", "icmp", "icmp6", "igmp", "igrp", "pim", "ah", "esp", "vrrp", "carp",
        "sctp", "atalk", "aarp", "decnet", "iso", "stp", "ipx", "netbeui", "lat", "moprc", "mopdl", "llc", "clnp",
        "esis", "isis", "l1", "l2", "csnp", "psnp",
        "ip proto 47", "ip proto \\tcp", "ip6 proto 17", "ip6 proto \\icmp6", "proto \\udp", "proto 132", "proto 89",
        "ether proto 0x0806", "ether proto \\ip6", "ether proto 0x88cc", "ether proto 0x86dd or ether proto 0x88a8",
        "ip protochain 6", "ip6 protochain 17", "protochain 58", "ip6 protochain \\tcp",
        "llc i", "llc s", "llc u", "llc rr", "llc ui", "iso proto \\clnp",
        # hosts and networks
        "host 10.0.0.1", "src host 10.0.0.1", "dst host 10.0.0.2", "src or dst host 10.1.2.3",
        "src and dst host 10.0.0.1", "ip host 192.168.1.7", "arp host 10.0.0.1", "rarp host 10.0.0.2",
        "host 2001:db8::1", "src host fe80::1", "dst host ff02::5", "ip6 host 2001:db8::2", "not host 10.0.0.1",
        "host 10.0.0.1 or host 10.1.2.3 or host 2001:db8::1", "net 10.0.0.0/8", "net 10.0.0.0/30", "net 10.1",
        "src net 192.168.0.0 mask 255.255.0.0", "dst net 224.0.0.0/4", "net 2001:db8::/32", "src net fe80::/10",
        "not net 10.0.0.0/8", "net 0.0.0.0/0", "net 2001:db8::2/128", "ip src net 10.0.0.0/24", "dst net ff00::/8",
        "host 10.0.0.1 and host 10.0.0.2", "host 10.0.0.1 and not host 10.0.0.2", "src 10.0.0.1", "dst 10.0.0.1",
        "ether host 02:00:00:00:00:01", "ether src 02:00:00:00:00:01", "ether dst 02:00:00:00:00:02",
        "ether broadcast", "ether multicast", "broadcast", "multicast", "ip broadcast", "ip multicast",
        "ip6 multicast", "not multicast", "ip and not multicast", "ether broadcast or ether multicast",
        # ports
        "port 80", "port domain", "src port 53", "dst port 443", "tcp port 80", "udp port 53", "tcp src port 80",
        "udp dst port 123", "sctp port 5060", "portrange 1000-9000", "tcp portrange 80-443", "src portrange 0-1023",
        "udp dst portrange 4000-5000", "port 80 or port 443", "tcp port 80 or udp port 53", "not port 80",
        "tcp port 80 and host 10.0.0.1", "port 65535", "portrange 65535-65535", "ip6 and tcp port 443",
        "(tcp or udp) and (port 53 or port 80 or port 443) and not host 10.0.0.1", "port 53 or 80 or 443",
        "tcp and not (port 80 or port 443 or portrange 8000-9000)", "src port 80 and dst port 443",
        "src 10.0.0.1 and (dst port 80 or 443)", "udp port 6081 or udp port 4789 or udp port 2152",
        # lengths: on the wire
        "less 60", "less 100", "greater 100", "greater 1000", "len > 200", "len < 90", "len = 100", "len != 60",
        "len >= 1500", "len & 1 = 1", "len > 4000000000", "len - 14 > 64", "less 100 and greater 60",
        "len = ip[2:2] + 14", "len > ip[2:2] and tcp", "len * 2 > 300", "len / 10 = 6", "len % 7 = 3",
        # bytes: every size, offset and operator
        "ether[0] & 1 = 0", "ether[12:2] = 0x0800", "ether[6:4] = 0x02000000", "ether[20] > ether[21]", "link[2] = 0",
        "ip[0] & 0xf = 5", "ip[0] & 0xf > 5", "ip[8] < 64", "ip[8] = 64", "ip[9] = 6", "ip[2:2] > 100", "ip[6:2] & 0x1fff != 0",
        "ip[6] & 32 != 0", "ip[6] & 0x40 = 0x40", "ip[12:4] = 0x0a000001", "ip[16:4] & 0xffffff00 = 0x0a000000",
        "ip[12:4] > 0x80000000", "ip[12:4] >= 0xe0000000", "ip[12:4] < 0xffffffff", "ip[4:2] = 1", "ip[1] = 0 and ip[10:2] != 0",
        "tcp[13] = 2", "tcp[13] = 18", "tcp[tcpflags] & tcp-syn != 0", "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
        "tcp[tcpflags] & (tcp-syn|tcp-ack) = (tcp-syn|tcp-ack)", "tcp[tcpflags] = tcp-rst", "tcp[0:2] = 80", "tcp[4:4] > 1000",
        "tcp[4:4] > 0x7fffffff", "tcp[4:4] = 1", "tcp[12] >> 4 = 5", "tcp[12] & 0xf0 > 0x50", "tcp[14:2] = 65535", "udp[8:4] = 0x55555555",
        "udp[4:2] > 20", "udp[0:2] > udp[2:2]", "udp[8] = 0x55", "udp[udp[8:4]:4] = 1", "udp[udp[8]:1] != 0", "icmp[0] = 8",
        "icmp[icmptype] = icmp-echo", "icmp[icmptype] = icmp-echoreply", "icmp[icmpcode] = 0", "icmp[icmptype] != icmp-echo and icmp",
        "icmp6[0] = 128", "icmp6[icmp6type] = icmp6-echo", "icmp6[icmp6type] = icmp6-echoreply or icmp6[0] = 135", "ip6[6] = 6",
        "ip6[7] > 32", "ip6[4:2] < 40", "ip6[40:2] = 443", "ip6[0] & 0xf0 = 0x60", "sctp[0:2] = 5060", "arp[6:2] = 1", "arp[7] = 2",
        "arp[14:4] = 0x0a000001", "rarp[7] = 3", "igmp[0] = 0x16", "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420",
        "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)", "ip[ip[0] & 0xf] = 0", "ip[ip[8]:2] = 0",
        "ip[2:2] - 20 > 80", "ip[8] + ip[9] = 70", "ip[8] - ip[9] = 58", "ip[8] * ip[9] = 384", "ip[8] / ip[9] = 3", "ip[8] % ip[9] = 4",
        "ip[8] / ip[1] = 3", "ip[8] % ip[1] = 0", "ip[8] | ip[9] = 70", "ip[8] & ip[9] = 0", "ip[8] ^ ip[9] = 70", "ip[8] << 2 = 256",
        "ip[8] >> 3 = 8", "ip[8] << ip[9] = 4096", "ip[8] >> ip[9] = 1", "ip[8] << ip[8] = 0", "-ip[8] = 4294967232", "ip[8] > ip[9]",
        "ip[8] >= ip[9] and ip[9] <= 17", "ip[12:4] = ip[16:4]", "ip[12:4] > ip[16:4]", "ip[12:4] + 1 = ip[16:4]", "ip[2:2] * 3 / 2 % 7 = 3",
        "ip[0:4] + ip[4:4] * 2 != 0", "(ip[0] + ip[1]) * (ip[8] - ip[9]) > 4000", "ip[1000] = 0", "ether[70000] = 1",
        "ip[2147483647] = 0", "ether[4294967280] = 0", "1 = 1 and ip", "5 > 6 or udp", "0x80000000 > 1 and tcp", "ip[2:2] & 0xff = 0x64",
        "tcp[0] + tcp[1] = 80", "ip[0] = 0x45", "ip[0] != 0x45 and ip", "ip6[1000] = 0", "udp[1400] = 0x55",
        # tunnels and tags
        "vlan", "vlan 7", "vlan 7 and tcp", "vlan and host 10.0.0.1", "vlan and vlan", "vlan 7 and vlan 9 and udp", "vlan 4095", "not vlan",
        "vlan or ip", "vlan and ip6", "vlan and arp", "mpls", "mpls 100", "mpls 100 and mpls 200", "mpls and tcp", "mpls 100 and mpls 200 and host 10.0.0.1",
        "vlan and mpls", "pppoed", "pppoes", "pppoes 5", "pppoes and ip", "pppoes 5 and tcp port 80", "geneve", "geneve 5", "geneve and udp",
        "geneve 5 and host 10.0.0.1", "vlan and pppoes and udp", "ip proto 4", "ip proto \\ipip or ip proto 41",
        # logic
        "tcp and udp or icmp", "not (tcp or udp)", "not not ip", "! tcp && ! udp", "tcp || icmp", "ip and (tcp or (udp and not port 53))",
        "not (ip6 or arp) and greater 80", "tcp and (tcp[13] = 2 or tcp[13] = 18 or dst port 443) and not src net 10.0.0.0/30",
        " or ".join(f"host 10.{i}.0.1" for i in range(30)), " or ".join(f"port {i}" for i in range(50, 90)),
        " or ".join(f"(tcp dst port {p} and net 10.0.{i}.0/24)" for i, p in enumerate(PORTS)),
        "not (" + " or ".join(f"net 10.{i}.0.0/16" for i in range(1, 25)) + ")", " or ".join(f"host 2001:db8::{i:x}" for i in range(1, 20)),
        # 802.11
        "type mgt", "type ctl", "type data", "subtype beacon", "type data subtype qos-data", "wlan addr1 02:00:00:00:00:02",
        "wlan addr2 02:00:00:00:00:01", "wlan host 02:00:00:00:00:01", "wlan ra 02:00:00:00:00:02", "dir nods", "dir tods", "dir fromds", "wlan[0] = 0x88",
        "radio[0] = 0", "radio[2] = 8",
        # direction, where the link type has it
        "inbound", "outbound", "inbound and tcp", "ifindex 1",
    ]  # fmt: skip
    return list(dict.fromkeys(result))


def _ip6(src: str, dst: str, protocol: int, payload: bytes) -> bytes:
    import ipaddress

    head = struct.pack(">IHBB", 0x60000000, len(payload), protocol, 64)
    return head + ipaddress.IPv6Address(src).packed + ipaddress.IPv6Address(dst).packed + payload


def _ip_packets(rng: random.Random) -> list[tuple[int, bytes]]:
    """EtherType and packet: all that can follow a link header which carries IP."""
    out = []
    for _ in range(400):
        src, dst, sport, dport = rng.choice(HOSTS[:4]), rng.choice(HOSTS), rng.choice(PORTS), rng.choice(PORTS)
        data = rng.choice([b"", b"GET / HTTP/1.1\r\n", b"\x55" * rng.randrange(1500), rng.randbytes(rng.randrange(200))])
        ttl, frag = rng.choice([1, 63, 64, 255]), rng.choice([0, 0, 0, 0, 0x4000, 0x2000, 0x2005, 0x0010])
        flags = rng.choice([2, 18, 16, 24, 17, 4])
        kind = rng.randrange(10)
        if kind < 3:
            packet = traffic.tcp(src, dst, sport, dport, flags, data, rng.choice([1, 5000, 0xFFFFFFF0]), ttl=ttl, frag=frag)
        elif kind < 6:
            packet = traffic.udp(src, dst, sport, dport, data, ttl=ttl, frag=frag)
        elif kind == 6:
            packet = traffic.ipv4(src, dst, 1, struct.pack(">BBHI", rng.choice([0, 3, 8, 11]), 0, 0, 1) + data, ttl=ttl)
        elif kind == 7:
            packet = traffic.ipv4(src, dst, 132, struct.pack(">HHII", sport, dport, 1, 0) + data)
        else:
            packet = traffic.ipv4(src, dst, rng.choice([2, 4, 9, 41, 47, 50, 51, 89, 103, 112, 6, 17]), rng.randbytes(40))
        if rng.randrange(6) == 0:
            # Options: a header of 24 to 60 bytes.
            words = rng.randrange(1, 11)
            packet = bytes([0x45 + words]) + packet[1:20] + b"\x01" * (4 * words) + packet[20:]
        if rng.randrange(4) == 0:
            inner = packet[20:]
            protocol = rng.choice([6, 17, 58, 132, 0, 44, 60, 51, 89])
            if protocol in (0, 60):
                inner = bytes([rng.choice([6, 17]), 0]) + b"\x01\x04\0\0\0\0" + inner
            if protocol == 44:
                inner = bytes([17, 0, 0, rng.choice([0, 8]), 0, 0, 0, 1]) + inner
            if protocol == 58:
                inner = bytes([rng.choice([128, 129, 135]), 0]) + inner
            out.append((0x86DD, _ip6(rng.choice(HOSTS6[:3]), rng.choice(HOSTS6), protocol, inner)))
        else:
            out.append((0x0800, packet))
    return out


def _encapsulated(rng: random.Random, kind: int, packet: bytes) -> tuple[int, bytes]:
    """What else an Ethernet frame may carry."""
    mpls = struct.pack(">I", 100 << 12 | 64 | (0x100 if rng.randrange(2) else 0)) + struct.pack(">I", 200 << 12 | 0x140)
    arp = struct.pack(">HHBBH", 1, 0x800, 6, 4, rng.choice([1, 2, 3, 4])) + bytes(6) + bytes([10, 0, 0, 1]) + bytes(6) + bytes([10, 0, 0, 2])
    vlan7, vlan9 = struct.pack(">HH", 7, kind), struct.pack(">HH", 9, kind)
    ppp = struct.pack(">BBHHH", 0x11, rng.choice([0, 0, 0xA7]), rng.choice([5, 6]), len(packet) + 2, 0x21 if kind == 0x800 else 0x57)
    inner = traffic.ether(packet, kind)
    tunnel = struct.pack(">BBHI", rng.choice([0, 1]), 0, rng.choice([0x6558, 0x0800]), 5 << 8)
    return rng.choice([
        (0x8100, vlan7 + packet), (0x88A8, struct.pack(">HH", 7, 0x8100) + vlan9 + packet), (0x9100, vlan9 + packet),
        (0x8100, struct.pack(">HH", 7, 0x8847) + mpls + packet), (0x8100, struct.pack(">HH", 3, 0x8864) + ppp + packet),
        (0x8100, struct.pack(">HH", 3, 0x0806) + arp), (0x8847, mpls + packet), (0x8848, mpls[:4] + packet), (0x0806, arp), (0x8035, arp),
        (0x8863, ppp + packet), (0x8864, ppp + packet), (0x88CC, rng.randbytes(50)), (0x809B, rng.randbytes(50)), (0x6003, rng.randbytes(50)),
        (0x8137, rng.randbytes(50)), (0x80F3, rng.randbytes(30)), (0x6004, rng.randbytes(60)),
        (38, b"\x42\x42\x03" + bytes(35)), (60, bytes([0xFE, 0xFE, 3, 0x83]) + rng.randbytes(56)), (50, b"\xe0\xe0\x03" + rng.randbytes(47)),
        (50, b"\xaa\xaa\x03\0\0\0" + struct.pack(">H", kind) + packet[:42]), (50, b"\xff\xff" + bytes(48)), (40, b"\xf0\xf0\x03" + rng.randbytes(37)),
        (0x0800, traffic.udp("10.0.0.1", "10.0.0.2", 999, 6081, tunnel + (inner if tunnel[2] == 0x65 else packet))),
        (0x0800, traffic.udp("10.0.0.1", "10.0.0.2", 999, 4789, b"\x08\0\0\0\0\0\5\0" + inner)),
    ])  # fmt: skip


def _frame(rng: random.Random, linktype: int, kind: int, packet: bytes) -> bytes:
    """A link header before a packet."""
    if linktype == LINKTYPE_RAW:
        return packet
    if linktype == LINKTYPE_PPP:
        return b"\xff\x03" + struct.pack(">H", {0x800: 0x21, 0x86DD: 0x57}.get(kind, 0xC021)) + packet
    if linktype == LINKTYPE_LINUX_SLL:
        return struct.pack(">HHH8sH", rng.randrange(5), 1, 6, b"\x02\0\0\0\0\x01\0\0", kind) + packet
    if linktype == LINKTYPE_IEEE802_11_RADIOTAP:
        radio = bytes([0, 0, 8, 0, 0, 0, 0, 0]) if rng.randrange(3) else bytes([0, 0, 12, 0, 2, 0, 0, 0, 0, 0, 0, 0])
        control, direction = rng.choice([0x08, 0x88, 0x08, 0x88, 0x80, 0x40, 0xD4, 0x48]), rng.randrange(4)
        head = bytes([control, direction, 0, 0]) + b"\x02\0\0\0\0\x02" + b"\x02\0\0\0\0\x01" + b"\x02\0\0\0\0\x03" + b"\x10\0"
        head += (b"\x02\0\0\0\0\x04" if direction == 3 else b"") + (b"\0\0" if control == 0x88 else b"")
        return radio + head + b"\xaa\xaa\x03\0\0\0" + struct.pack(">H", kind) + packet
    destination = rng.choice(["02:00:00:00:00:02", "02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:05", "33:33:00:00:00:01"])
    return traffic.ether(packet, kind, None, destination)


def make_packets(linktype: int) -> list[Packet]:
    """Packets of a link type: whole, cut at any length, longer on the wire, with bytes changed, and noise."""
    rng = random.Random(linktype)
    frames = []
    for kind, packet in _ip_packets(rng):
        frames.append(_frame(rng, linktype, kind, packet))
        if linktype == LINKTYPE_ETHERNET:
            frames.append(_frame(rng, linktype, *_encapsulated(rng, kind, packet)))
        elif linktype == LINKTYPE_LINUX_SLL and rng.randrange(4) == 0:
            frames.append(_frame(rng, linktype, *_encapsulated(rng, kind, packet)))
    packets = []
    for frame in frames:
        packets.append((frame, len(frame)))
        cut = frame[: rng.randrange(min(len(frame), 100) + 1)]
        packets.append((cut, len(frame)))
        noisy = bytearray(frame[: rng.randrange(1, 200)])
        for _ in range(rng.randrange(1, 4)):
            noisy[rng.randrange(len(noisy))] = rng.choice([0, 0xFF, 0x45, 6, 17, rng.randrange(256)])
        packets.append((bytes(noisy), rng.choice([len(noisy), len(frame), 65535])))
    packets += [(rng.randbytes(rng.randrange(120)), rng.randrange(2000)) for _ in range(100)]
    packets += [(b"", 0), (b"", 60), (b"\0", 1)]
    rng.shuffle(packets)
    return [Packet(START + i * 1_000_003, data, wire) for i, (data, wire) in enumerate(packets)]


class TestFilter(TestSuite):
    """Filtered targets against tcpdump."""

    def _compare(self, linktype: int, at_least: int) -> None:
        """Push a capture to one target for each expression that tcpdump takes; compare each."""
        packets = make_packets(linktype)
        capture = write_pcap(os.path.join(self.dir, "in.pcap"), packets, linktype=linktype)
        store = os.path.join(self.dir, "store")
        run.import_capture(store, capture)
        expected, targets, refused = {}, [], []
        for i, expression in enumerate(_expressions()):
            command = ["tcpdump", "--nano", "-nn", "-r", capture, "-w", os.path.join(self.dir, "tcpdump.pcap"), "--", expression]
            if run.run(command, rc=None).rc != 0:
                refused.append(expression)
                continue
            desc = f"f{i}"
            expected[desc] = (expression, read_packets(os.path.join(self.dir, "tcpdump.pcap")))
            targets.append(lua.target(desc, f"{self.dir}/out/{desc}/x", expression, EmptyFiles=False))
        verify(len(targets) >= at_least, f"tcpdump takes only {len(targets)} of the expressions")

        result = run.push_once(lua.write_config(os.path.join(self.dir, "c.lua"), targets), store)
        some = 0
        for desc, (expression, want) in expected.items():
            files = run.list_files(os.path.join(self.dir, "out", desc))
            got = read_packets(*(os.path.join(self.dir, "out", desc, name) for name in files))
            oracle.verify_same_packets(got, want, f"'{expression[:100]}' on link type {linktype}")
            some += 0 < len(want) < len(packets)
        verify(some >= len(targets) // 2, f"only {some} of {len(targets)} expressions tell packets apart\n{result.describe()}")

        # What tcpdump refuses is refused before anything is touched.
        if refused:
            bad = [lua.target("bad", f"{self.dir}/bad/x", refused[0])]
            result = run.push_once(lua.write_config(os.path.join(self.dir, "bad.lua"), bad), store, rc=2)
            verify("bad" in result.err + result.out, f"the target is not named\n{result.describe()}")
            verify(not os.path.exists(f"{self.dir}/bad"), "something was made for a refused configuration")

    @func_test
    def test_ethernet(self) -> None:
        """Every expression that tcpdump takes on Ethernet, of about 300.

        **Steps:**
            * Import 2,500 packets: IP of all kinds, tags, labels, tunnels, LLC, cut ones, changed ones, noise.
            * Push once to one target for each expression.

        **Verify:**
            * Each target's packets are those of `tcpdump --nano -r -w` with that expression, in order.
            * An expression that tcpdump refuses ends push with status 2 and makes nothing.
        """
        self._compare(LINKTYPE_ETHERNET, 250)

    @func_test
    def test_raw_ip(self) -> None:
        """The same expressions on raw IP.

        **Steps:**
            * As test_ethernet, without a link header.

        **Verify:**
            * As test_ethernet.
        """
        self._compare(LINKTYPE_RAW, 150)

    @func_test
    def test_linux_sll(self) -> None:
        """The same expressions on Linux cooked captures.

        **Steps:**
            * As test_ethernet, with SLL headers of all packet types.

        **Verify:**
            * As test_ethernet; `inbound` and `outbound` work here.
        """
        self._compare(LINKTYPE_LINUX_SLL, 180)

    @func_test
    def test_radiotap(self) -> None:
        """The same expressions on 802.11 with radiotap headers.

        **Steps:**
            * As test_ethernet, with radiotap headers of two lengths, data, QoS and management frames, all directions.

        **Verify:**
            * As test_ethernet.
        """
        self._compare(LINKTYPE_IEEE802_11_RADIOTAP, 180)

    @func_test
    def test_ppp(self) -> None:
        """The same expressions on PPP.

        **Steps:**
            * As test_ethernet, with PPP headers.

        **Verify:**
            * As test_ethernet.
        """
        self._compare(LINKTYPE_PPP, 150)

    @func_test
    def test_how_filters_run(self) -> None:
        """`check -v` says for each filter how it runs and why.

        **Steps:**
            * Check a configuration with an empty filter, a usual one and one that libpcap compiles to a loop.

        **Verify:**
            * The usual one runs as machine code, proven on packets; the loop on libpcap's interpreter, with the reason.
        """
        filters = {"all": None, "web": "tcp port 80", "loop": "ip6 protochain 6"}
        targets = [lua.target(name, f"{self.dir}/{name}/x", text) for name, text in filters.items()]
        result = run.sluice("check", "-v", lua.write_config(os.path.join(self.dir, "c.lua"), targets), rc=0)
        text = result.out + result.err
        verify(re.search(r"equal to libpcap on [\d,]+ packets", text), f"no proof of 'tcp port 80'\n{result.describe()}")
        verify("protochain" in text and "backward jump" in text, f"no reason for the interpreter\n{result.describe()}")

    @func_test
    def test_hint_for_tags(self) -> None:
        """A filter that matches nothing because packets are tagged says so once.

        **Steps:**
            * Push 120,000 VLAN-tagged TCP packets to a target with the filter `tcp`, and to one with `vlan and tcp`.

        **Verify:**
            * One line of output names the percentage and `vlan and (tcp)`; `vlan and tcp` takes all packets.
        """
        frame = traffic.ether(traffic.tcp("10.0.0.1", "10.0.0.2", 1000, 80, 16), 0x0800, 7)
        packets = [Packet(START + i * 1000, frame, len(frame)) for i in range(120_000)]
        store = os.path.join(self.dir, "store")
        run.import_capture(store, write_pcap(os.path.join(self.dir, "in.pcap"), packets))
        targets = [lua.target("plain", f"{self.dir}/out/plain", "tcp"), lua.target("tagged", f"{self.dir}/out/tagged", "vlan and tcp")]
        result = run.push_once(lua.write_config(os.path.join(self.dir, "c.lua"), targets), store)
        text = result.out + result.err
        verify(text.count("try 'vlan and (tcp)'") == 1, f"not said once\n{result.describe()}")
        verify("100 % VLAN-tagged" in text, f"no percentage\n{result.describe()}")
        tagged = [name for name in run.list_files(f"{self.dir}/out") if name.startswith("tagged")]
        got = read_packets(*(f"{self.dir}/out/{name}" for name in tagged))
        verify(len(got) == len(packets), f"{len(got)} packets of {len(packets)}")

    @func_test
    def test_hints_match(self) -> None:
        """What a hint suggests matches the packets that it speaks of.

        **Steps:**
            * For frames of scapy with two VLAN tags, MPLS, PPPoE, GRE, IP in IP, VXLAN, Geneve, GTP-U, and VXLAN behind a tag:
              push 110,000 of each to a target with a filter that looks for the inner TCP port.
            * Give tcpdump the expression that the hint names.

        **Verify:**
            * There is one hint for each, and tcpdump finds all the packets with it.
        """
        tcp = scapy.IP(src="10.1.0.1", dst="10.1.0.2") / scapy.TCP(sport=1000, dport=8081) / b"payload"
        ether = scapy.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
        ip = scapy.IP(src="10.0.0.1", dst="10.0.0.2")
        # The outer headers by hand where scapy would need its contributions.
        geneve = bytes.fromhex("0000655800000100") + bytes(ether / tcp)
        gtp = bytes.fromhex("30ff") + len(bytes(tcp)).to_bytes(2, "big") + bytes.fromhex("00000001") + bytes(tcp)
        frames = {
            "QinQ": ether / scapy.Dot1AD(vlan=5) / scapy.Dot1Q(vlan=6) / tcp,
            "MPLS": ether / MPLS(label=16, s=1, ttl=64) / tcp,
            "PPPoE": ether / scapy.PPPoE(sessionid=1) / bytes.fromhex("0021") / tcp,
            "GRE": ether / ip / scapy.GRE() / tcp,
            "IP in IP": ether / ip / tcp,
            "VXLAN": ether / ip / scapy.UDP(dport=4789) / VXLAN(vni=1) / ether / tcp,
            "Geneve": ether / ip / scapy.UDP(dport=6081) / geneve,
            "GTP-U": ether / ip / scapy.UDP(dport=2152) / gtp,
            "VXLAN behind a tag": ether / scapy.Dot1Q(vlan=5) / ip / scapy.UDP(dport=4789) / VXLAN() / ether / tcp,
        }
        for number, (name, frame) in enumerate(frames.items()):
            data = bytes(frame)
            packets = [Packet(START + i * 1000, data, len(data)) for i in range(110_000)]
            capture = write_pcap(os.path.join(self.dir, f"{number}.pcap"), packets)
            store = os.path.join(self.dir, f"store{number}")
            run.import_capture(store, capture)
            target = lua.target("plain", f"{self.dir}/out{number}/x", "tcp dst port 8081")
            result = run.push_once(lua.write_config(os.path.join(self.dir, "c.lua"), [target]), store)
            found = re.findall(r"100 % .*(?:try '(.*)'|; '(.*)' matches)", result.err)
            verify(len(found) == 1, f"{name}: {len(found)} hints\n{result.describe()}")
            expression = "".join(found[0])
            got = oracle.tcpdump_filter(capture, expression, os.path.join(self.dir, "hinted.pcap")).packets
            verify(len(got) == len(packets), f"{name}: '{expression}' finds {len(got)} of {len(packets)} packets")
            os.unlink(capture)
            shutil.rmtree(store)
