# SPDX-License-Identifier: BSD-3-Clause
"""An independent reader of a store's chunks: ports and losses, which no pcap file shows. Written from docs/store_format.rst."""

from __future__ import annotations

import json
import os
import struct
from typing import Iterator, NamedTuple

from .pcap import NS, Packet
from .run import list_files

MIB = 1 << 20
MAGIC = 0x4B484353


class Chunk(NamedTuple):
    """One chunk.

    Attributes:
        packets: Its packets.
        ports: The capture port of each.
        dropped: Packets lost before it, or between its packets.
        clock: Largest time in the capture before it.
    """

    packets: list[Packet]
    ports: list[int]
    dropped: int
    clock: int


class Header(NamedTuple):
    """What a chunk's header tells.

    Attributes:
        count: Packets in it.
        first, low, high, last: Time of the first, the earliest, the latest and the last packet.
        clock: Largest time in the capture before it.
        dropped: Packets lost before it, or between its packets.
        dropped_store: Of these, since the store was slow.
    """

    count: int
    first: int
    low: int
    high: int
    last: int
    clock: int
    dropped: int
    dropped_store: int


def parse_header(blob: bytes) -> Header | None:
    """A chunk's header; None: the slot is empty."""
    magic, count = struct.unpack_from("<I28xI", blob)
    if magic != MAGIC:
        return None
    return Header(count, *struct.unpack_from("<QQQQQ", blob, 48), *struct.unpack_from("<Q4xI", blob, 104))


def parse_chunk(blob: bytes) -> Chunk | None:
    """A chunk from the bytes of its slot; None: the slot is empty."""
    header = parse_header(blob)
    if header is None:
        return None
    packets, ports = [], []
    for entry in struct.unpack_from(f"<{header.count}I", blob, struct.unpack_from("<I", blob, 44)[0]):
        at = entry & 0xFFFFF
        sec, nsec, caplen, wire = struct.unpack_from("<IIII", blob, at)
        packets.append(Packet(sec * NS + nsec, blob[at + 16 : at + 16 + caplen], wire))
        ports.append(entry >> 20 & 0xFF)
    return Chunk(packets, ports, header.dropped, header.clock)


def read_slots(store: str, capture: str, size: int = MIB) -> Iterator[bytes]:
    """The first bytes of each slot that a capture's segments have, in order."""
    directory = os.path.join(store, capture)
    for name in list_files(directory, ".seg"):
        with open(os.path.join(directory, name), "rb") as file:
            for at in range(0, os.fstat(file.fileno()).st_size, MIB):
                file.seek(at)
                yield file.read(size)


def read_chunks(store: str, capture: str) -> list[Chunk]:
    """All chunks of a capture, in order."""
    return [chunk for chunk in map(parse_chunk, read_slots(store, capture)) if chunk]


def read_headers(store: str, capture: str) -> list[Header]:
    """The headers of all chunks of a capture, in order."""
    return [header for header in map(parse_header, read_slots(store, capture, 128)) if header]


def captures(store: str) -> list[str]:
    """Names of a store's captures in the order in which they were made."""
    found = []
    for name in os.listdir(store):
        path = os.path.join(store, name, "capture.json")
        if name != "active" and not name.startswith(".") and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                found.append((json.load(file)["sequence"], name))
    return [name for _, name in sorted(found)]
