# SPDX-License-Identifier: BSD-3-Clause
"""What is in a store, read from the description of its format (docs/store_format.rst): nothing of ours stands between."""

from __future__ import annotations

import json
import os
import struct
from typing import Iterator, NamedTuple

from api.test import verify

from . import run
from .pcap import NS, Packet, read_pcap

CHUNK = 1 << 20
MAGIC = 0x4B484353
HEADER = struct.Struct("<IHH16sQIIIIQQQQQQQQIIII")


class Header(NamedTuple):
    """A chunk's header, field by field."""

    magic: int
    version: int
    size: int
    uuid: bytes
    number: int
    count: int
    records: int
    records_size: int
    index: int
    first: int
    low: int
    high: int
    last: int
    clock: int
    heartbeat: int
    wire: int
    dropped: int
    dropped_port: int
    dropped_store: int
    body_crc: int
    crc: int


class Stored(NamedTuple):
    """What a capture of a store holds."""

    info: dict
    packets: list[Packet]
    ports: list[int]
    flags: list[int]
    chunks: int


def _blobs(store: str, capture: str, size: int) -> Iterator[bytes]:
    """The first bytes of each chunk of a capture, segment by segment up to the first slot that holds none."""
    base = os.path.join(store, capture)
    for name in run.list_files(base, ".seg"):
        try:
            file = open(os.path.join(base, name), "rb")
        except FileNotFoundError:
            continue  # made ahead, and not needed after all
        with file:
            for slot in range(1024):
                blob = os.pread(file.fileno(), size, slot * CHUNK)
                if len(blob) < HEADER.size or blob[:4] != MAGIC.to_bytes(4, "little"):
                    break
                yield blob


def headers(store: str, capture: str) -> list[Header]:
    """The headers of all chunks of a capture that are on the disk: right for killed writers too."""
    return [Header(*HEADER.unpack(blob)) for blob in _blobs(store, capture, HEADER.size)]


def stored(store: str, capture: str | None = None, chunks: int | None = None) -> Stored:
    """Read a capture's chunks, or so many from the first on; the active capture's unless a name is given."""
    capture = capture or "active"
    with open(os.path.join(store, capture, "capture.json"), encoding="utf-8") as file:
        info = json.load(file)
    packets, ports, flags, number = [], [], [], 0
    for blob in _blobs(store, capture, CHUNK):
        if number == chunks:
            break
        head = Header(*HEADER.unpack_from(blob))
        verify(head.number == number, f"chunk {head.number} lies in the place of {number}")
        number += 1
        for entry in struct.unpack_from(f"<{head.count}I", blob, head.index):
            offset = entry & 0xFFFFF
            sec, nsec, caplen, length = struct.unpack_from("<IIII", blob, offset)
            packets.append(Packet(sec * NS + nsec, blob[offset + 16 : offset + 16 + caplen], length))
            ports.append(entry >> 20 & 0xFF)
            flags.append(entry >> 28)
    return Stored(info, packets, ports, flags, number)


def captures(store: str) -> list[str]:
    """Names of a store's captures, oldest first; none if there is no store."""
    found = []
    for name in os.listdir(store) if os.path.isdir(store) else ():
        path = os.path.join(store, name, "capture.json")
        if name.startswith(".") or os.path.islink(os.path.join(store, name)) or not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            found.append((json.load(file)["sequence"], name))
    return [name for _, name in sorted(found)]


def exported(store: str, directory: str, capture: str | None = None) -> list[Packet]:
    """The packets of a capture, or of all of them, oldest first, by `sluice store export`: also of one that was killed.

    The files are <directory>/exported-<capture>.pcap.
    """
    packets = []
    for name in [capture] if capture else captures(store):
        path = os.path.join(directory, f"exported-{name}.pcap")
        run.sluice("store", "export", "--store", store, "--capture", name, "-o", path)
        packets += read_pcap(path).packets
    return packets


def verify_sound(store: str) -> None:
    """Fail if `sluice store verify` finds a bad chunk."""
    told = run.sluice("store", "verify", "--store", store).out
    verify(" 0 bad" in told, f"a chunk is bad: {told}")


def count(store: str) -> int:
    """Packets in all chunks that are on the disk, of all captures."""
    return sum(header.count for name in captures(store) for header in headers(store, name))
