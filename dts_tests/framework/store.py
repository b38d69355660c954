# SPDX-License-Identifier: BSD-3-Clause
"""What is in a store, read from the description of its format (docs/store_format.rst): nothing of ours stands between."""

from __future__ import annotations

import json
import os
import struct
from typing import NamedTuple

from api.test import verify

from . import run
from .pcap import NS, Packet, read_pcap

CHUNK = 1 << 20
HEADER = struct.Struct("<IHH16sQIIIIQQQQQQQQQII")


class Stored(NamedTuple):
    """What a capture of a store holds."""

    info: dict
    packets: list[Packet]
    ports: list[int]
    flags: list[int]
    chunks: int


def stored(store: str, capture: str | None = None) -> Stored:
    """Read a capture's chunks, the active one's unless a name is given."""
    base = os.path.join(store, capture or "active")
    with open(os.path.join(base, "capture.json"), encoding="utf-8") as file:
        info = json.load(file)
    packets, ports, flags, number = [], [], [], 0
    for name in run.list_files(base, ".seg"):
        with open(os.path.join(base, name), "rb") as file:
            while blob := file.read(CHUNK):
                if len(blob) < HEADER.size or blob[:4] != b"SCHK":
                    break
                head = HEADER.unpack_from(blob)
                verify(head[4] == number, f"chunk {head[4]} lies in the place of {number}")
                number += 1
                for entry in struct.unpack_from(f"<{head[5]}I", blob, head[8]):
                    offset = entry & 0xFFFFF
                    sec, nsec, caplen, length = struct.unpack_from("<IIII", blob, offset)
                    packets.append(Packet(sec * NS + nsec, blob[offset + 16 : offset + 16 + caplen], length))
                    ports.append(entry >> 20 & 0xFF)
                    flags.append(entry >> 28)
    return Stored(info, packets, ports, flags, number)


def captures(store: str) -> list[str]:
    """Names of a store's captures, oldest first."""
    found = []
    for name in os.listdir(store) if os.path.isdir(store) else ():
        path = os.path.join(store, name, "capture.json")
        if name.startswith(".") or os.path.islink(os.path.join(store, name)) or not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            found.append((json.load(file)["sequence"], name))
    return [name for _, name in sorted(found)]


def exported(store: str, directory: str) -> list[Packet]:
    """All packets of all captures of a store, oldest first, by `sluice store export`: also of one that was killed."""
    packets = []
    for name in captures(store):
        path = os.path.join(directory, "exported.pcap")
        run.sluice("store", "export", "--store", store, "--capture", name, "-o", path)
        packets += read_pcap(path).packets
        os.unlink(path)
    return packets


def count(store: str) -> int:
    """Packets in all chunks that are on the disk, of all captures, by the chunks' headers: right for killed writers too."""
    packets = 0
    for name in captures(store):
        for segment in run.list_files(os.path.join(store, name), ".seg"):
            try:
                file = open(os.path.join(store, name, segment), "rb")
            except FileNotFoundError:
                continue  # made ahead, and not needed after all
            with file:
                for slot in range(1024):
                    head = os.pread(file.fileno(), HEADER.size, slot * CHUNK)
                    if len(head) < HEADER.size or head[:4] != b"SCHK":
                        break
                    packets += HEADER.unpack(head)[5]
    return packets
