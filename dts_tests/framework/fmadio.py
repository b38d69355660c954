# SPDX-License-Identifier: BSD-3-Clause
"""A writer of FMADIO's chunked stream.

Written from the layout of the structures in FMADIO's public pcap_split and pcap2json (FMADHeader_t, FMADPacket_t); shares
nothing with the code under test. All fields are little-endian, nothing is aligned:

* a file header of 24 bytes in the shape of pcap's, magic 0x1337bab3;
* chunks: a header of 48 bytes, then packets, together less than 1 MiB; a chunk of no packets says that the link is idle;
* packets: a header of 16 bytes, then the captured bytes. Captured before wire length; wire length 0 is a filler (NOP).
"""

from __future__ import annotations

import random
import struct
from typing import Iterable, NamedTuple, Sequence

from .pcap import Packet

MAGIC = 0x1337BAB3
_CHUNK = struct.Struct("<HHIIIQQQHHHH")
_PACKET = struct.Struct("<QHHBBH")


class Frame(NamedTuple):
    """A packet with what only FMADIO's format says of it."""

    packet: Packet
    port: int = 0
    bad_fcs: bool = False


def header(link_type: int = 1, snap_len: int = 65535) -> bytes:
    """The file header."""
    return struct.pack("<IHHiIII", MAGIC, 2, 4, 0, 0, snap_len, link_type)


def frame(item: Frame) -> bytes:
    """A packet with its header."""
    ts, data, length = item.packet
    return _PACKET.pack(ts, len(data), length, item.port, int(item.bad_fcs), 0) + data


def nop(ts: int, data: bytes = b"") -> bytes:
    """A filler: only its time means something."""
    return _PACKET.pack(ts, len(data), 0, 0, 0, 0) + data


def chunk(payload: bytes, count: int, wire: int = 0, captured: int = 0, first: int = 0, last: int = 0) -> bytes:
    """A chunk around what frame() and nop() made."""
    head = _CHUNK.pack(count, 0x5A5A, wire, captured, len(payload), first, last, 12345, 0x8000, 0x4000, 0x2000, 0)
    return head + payload


def chunks(frames: Sequence[Frame], rng: random.Random) -> Iterable[bytes]:
    """Chunks of all sizes around frames, with fillers between them and idle chunks among them, some of those with payload."""
    at = 0
    while at < len(frames):
        size = rng.choice((1, 2, 7, 50, 400))
        part = frames[at : at + size]
        payload = b""
        count = 0
        for item in part:
            if rng.random() < 0.1:
                payload += nop(item.packet.ts, rng.choice((b"", bytes(60))))
                count += 1
            payload += frame(item)
            count += 1
        packets = [item.packet for item in part]
        yield chunk(
            payload, count, sum(p.len for p in packets), sum(len(p.data) for p in packets), packets[0].ts, packets[-1].ts
        )
        if rng.random() < 0.2:
            yield chunk(rng.choice((b"", bytes(100))), 0, first=packets[-1].ts, last=packets[-1].ts)
        at += size


def stream(frames: Sequence[Frame], seed: int = 1, link_type: int = 1, snap_len: int = 65535) -> bytes:
    """A whole stream."""
    return header(link_type, snap_len) + b"".join(chunks(frames, random.Random(seed)))
