# SPDX-License-Identifier: BSD-3-Clause
"""An independent reader and writer of pcap files, and a writer of pcapng files.

Written from draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng; shares nothing with the code under test.
"""

from __future__ import annotations

import os
import struct
from typing import Iterable, NamedTuple, Sequence

MAGIC_USEC = 0xA1B2C3D4
MAGIC_NSEC = 0xA1B23C4D

LINKTYPE_ETHERNET = 1
LINKTYPE_PPP = 9
LINKTYPE_PPP_HDLC = 50
LINKTYPE_PPP_ETHER = 51
LINKTYPE_RAW = 101
LINKTYPE_LINUX_SLL = 113
LINKTYPE_IEEE802_11_RADIOTAP = 127
LINKTYPE_LINUX_SLL2 = 276

NS = 1_000_000_000


class Packet(NamedTuple):
    """One packet.

    Attributes:
        ts: Nanoseconds since 1970 UTC.
        data: Captured bytes.
        len: Bytes on the wire.
    """

    ts: int
    data: bytes
    len: int


def packet(ts: int, data: bytes, wire_len: int | None = None) -> Packet:
    """A Packet whose wire length is that of its data unless given."""
    return Packet(ts, data, len(data) if wire_len is None else wire_len)


class Pcap(NamedTuple):
    """A pcap file.

    Attributes:
        linktype: LINKTYPE_ value.
        snaplen: Snap length of the header.
        nano: The file has nanoseconds.
        endian: "<" or ">".
        packets: All whole packets.
        trailing: Bytes after the last whole packet; 0 for a sound file.
    """

    linktype: int
    snaplen: int
    nano: bool
    endian: str
    packets: list[Packet]
    trailing: int


def parse_pcap(blob: bytes) -> Pcap:
    """Parse a pcap file that is in memory; raises ValueError if its header is not one."""
    for endian in "<>":
        magic = struct.unpack_from(endian + "I", blob)[0] if len(blob) >= 24 else 0
        if magic in (MAGIC_USEC, MAGIC_NSEC):
            break
    else:
        raise ValueError("not a pcap file")
    nano = magic == MAGIC_NSEC
    snaplen, linktype = struct.unpack_from(endian + "II", blob, 16)
    record = struct.Struct(endian + "IIII")
    scale = 1 if nano else 1000
    packets = []
    offset, end = 24, len(blob)
    while offset + 16 <= end:
        sec, frac, caplen, wire = record.unpack_from(blob, offset)
        if offset + 16 + caplen > end:
            break
        packets.append(Packet(sec * NS + frac * scale, blob[offset + 16 : offset + 16 + caplen], wire))
        offset += 16 + caplen
    return Pcap(linktype & 0xFFFF, snaplen, nano, endian, packets, end - offset)


def read_pcap(path: str) -> Pcap:
    """Read a pcap file; raises ValueError if it is none."""
    with open(path, "rb") as file:
        return parse_pcap(file.read())


def read_packets(*paths: str) -> list[Packet]:
    """All packets of several pcap files, in order. The files must be whole."""
    packets = []
    for path in paths:
        pcap = read_pcap(path)
        if pcap.trailing:
            raise ValueError(f"{path}: {pcap.trailing} bytes after the last whole packet")
        packets += pcap.packets
    return packets


def pcap_header(linktype: int = 1, snaplen: int = 262144, nano: bool = True, endian: str = "<") -> bytes:
    """The 24 bytes at the start of a pcap file."""
    return struct.pack(endian + "IHHiIII", MAGIC_NSEC if nano else MAGIC_USEC, 2, 4, 0, 0, snaplen, linktype)


def pcap_record(item: Packet, nano: bool = True, endian: str = "<") -> bytes:
    """A packet with its 16-byte record header."""
    sec, frac = divmod(item.ts, NS)
    return struct.pack(endian + "IIII", sec, frac if nano else frac // 1000, len(item.data), item.len) + item.data


def pcap_bytes(
    packets: Iterable[Packet], linktype: int = 1, snaplen: int = 262144, nano: bool = True, endian: str = "<"
) -> bytes:
    """A whole pcap file in memory."""
    records = b"".join(pcap_record(item, nano, endian) for item in packets)
    return pcap_header(linktype, snaplen, nano, endian) + records


def write_pcap(path: str, packets: Iterable[Packet], **kwargs) -> str:
    """Write pcap_bytes() to a file; returns its path."""
    with open(path, "wb") as file:
        file.write(pcap_bytes(packets, **kwargs))
    return path


def record_bytes(path: str) -> int:
    """Bytes of a pcap file after its header."""
    return os.path.getsize(path) - 24


class Interface(NamedTuple):
    """An interface of a pcapng file.

    Attributes:
        linktype: LINKTYPE_ value.
        snaplen: Snap length, 0: no limit.
        tsresol: The if_tsresol byte (6: microseconds, 9: nanoseconds, 0x80 | n: 2^-n s), or None to leave it out.
        tsoffset: The if_tsoffset value in seconds, or None to leave it out.
    """

    linktype: int = 1
    snaplen: int = 262144
    tsresol: int | None = 9
    tsoffset: int | None = None


def _option(endian: str, code: int, data: bytes) -> bytes:
    return struct.pack(endian + "HH", code, len(data)) + data + bytes(-len(data) % 4)


def _block(endian: str, kind: int, body: bytes) -> bytes:
    total = len(body) + 12
    return struct.pack(endian + "II", kind, total) + body + struct.pack(endian + "I", total)


def pcapng_section(endian: str = "<") -> bytes:
    """A section header block."""
    return _block(endian, 0x0A0D0D0A, struct.pack(endian + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def pcapng_interface(interface: Interface, endian: str = "<") -> bytes:
    """An interface description block."""
    options = b""
    if interface.tsresol is not None:
        options += _option(endian, 9, bytes([interface.tsresol]))
    if interface.tsoffset is not None:
        options += _option(endian, 14, struct.pack(endian + "q", interface.tsoffset))
    if options:
        options += struct.pack(endian + "HH", 0, 0)
    return _block(endian, 1, struct.pack(endian + "HHI", interface.linktype, 0, interface.snaplen) + options)


def pcapng_packet(item: Packet, number: int = 0, interface: Interface = Interface(), endian: str = "<") -> bytes:
    """An enhanced packet block; the time is rounded down to the interface's resolution."""
    resolution = 6 if interface.tsresol is None else interface.tsresol
    units = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    ticks = (item.ts - (interface.tsoffset or 0) * NS) * units // NS
    body = struct.pack(endian + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(item.data), item.len)
    return _block(endian, 6, body + item.data + bytes(-len(item.data) % 4))


def write_pcapng(
    path: str,
    packets: Iterable[Packet | tuple[int, Packet]],
    interfaces: Sequence[Interface] = (Interface(),),
    endian: str = "<",
) -> str:
    """Write a pcapng file of one section. A packet is a Packet (interface 0) or (interface number, Packet)."""
    with open(path, "wb") as file:
        file.write(pcapng_section(endian))
        for interface in interfaces:
            file.write(pcapng_interface(interface, endian))
        for entry in packets:
            number, item = (0, entry) if isinstance(entry, Packet) else entry
            file.write(pcapng_packet(item, number, interfaces[number], endian))
    return path
