# SPDX-License-Identifier: BSD-3-Clause
"""Captures to test with: devtools/make_traffic, and single frames made here."""

from __future__ import annotations

import functools
import os
import struct

from .pcap import Packet, packet, read_pcap
from .run import REPO, run, tool

_SOURCES = [os.path.join(REPO, "devtools", name) for name in ("make_traffic.c", "traffic_profile.c")]
_HEADERS = [os.path.join(REPO, "devtools", name) for name in ("traffic.h", "traffic_profile.h")]


@functools.cache
def make_traffic_tool() -> str:
    """Path of make_traffic: $MAKE_TRAFFIC, the one built beside sluice, or one compiled now."""
    return os.environ.get("MAKE_TRAFFIC") or tool("devtools/make_traffic", _SOURCES, _HEADERS, lambda: ["-lm"])


def make_traffic(path: str, *options: str, **named: object) -> str:
    """Write a capture: make_traffic("x.pcap", packets=1000, seed=7, link="sll"). See `make_traffic --help`."""
    words = [f"--{name.replace('_', '-')}={item}" for name, item in named.items()]
    run([make_traffic_tool(), *options, *words, path], timeout=300)
    return path


def traffic(path: str, **named: object) -> list[Packet]:
    """make_traffic(), read back."""
    return read_pcap(make_traffic(path, **named)).packets


def checksum(data: bytes) -> int:
    """Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(src: str, dst: str, protocol: int, payload: bytes, ident: int = 1, ttl: int = 64, frag: int = 0) -> bytes:
    """An IPv4 packet; frag is the flags and fragment offset word."""
    head = struct.pack(
        ">BBHHHBBH4s4s",
        0x45,
        0,
        20 + len(payload),
        ident & 0xFFFF,
        frag,
        ttl,
        protocol,
        0,
        bytes(map(int, src.split("."))),
        bytes(map(int, dst.split("."))),
    )
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def udp(src: str, dst: str, sport: int, dport: int, data: bytes, **kwargs) -> bytes:
    """An IPv4 packet with a UDP datagram (checksum left out, which RFC 768 allows)."""
    return ipv4(src, dst, 17, struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data, **kwargs)


def tcp(src: str, dst: str, sport: int, dport: int, flags: int, data: bytes = b"", seq: int = 1, **kwargs) -> bytes:
    """An IPv4 packet with a TCP segment and a right checksum."""
    head = struct.pack(">HHIIBBHHH", sport, dport, seq, 0, 0x50, flags, 65535, 0, 0)
    pseudo = bytes(map(int, src.split("."))) + bytes(map(int, dst.split("."))) + struct.pack(">HH", 6, 20 + len(data))
    total = checksum(pseudo + head + data)
    return ipv4(src, dst, 6, head[:16] + struct.pack(">H", total) + head[18:] + data, **kwargs)


def ether(payload: bytes, kind: int = 0x0800, vlan: int | None = None, dst: str = "02:00:00:00:00:02") -> bytes:
    """An Ethernet frame, padded to 60 bytes."""
    tag = b"" if vlan is None else struct.pack(">HH", 0x8100, vlan)
    frame = bytes.fromhex(dst.replace(":", "")) + bytes.fromhex("020000000001") + tag + struct.pack(">H", kind)
    return (frame + payload).ljust(60, b"\0")


def simple_udp(ts: int, size: int = 100, number: int = 0) -> Packet:
    """An Ethernet frame of an exact size (60 or more) with a UDP datagram that carries a number."""
    data = struct.pack(">Q", number).ljust(size - 42, b"\x55")
    return packet(ts, ether(udp("10.0.0.1", "10.0.0.2", 1000, 2000, data)))
