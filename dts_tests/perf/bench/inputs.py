# SPDX-License-Identifier: BSD-3-Clause
"""What is pushed: captures of make_traffic, each as a pcap for the peers and as a store, and what they must yield."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Callable, Sequence

from framework import run, traffic

from . import filters

SLACK = 2 << 30


class Refused(Exception):
    """The bench cannot run here; nothing was measured."""


class Wrong(Exception):
    """Something that was measured did not do its work."""


def tool(name: str) -> str | None:
    """Path of a program of devtools that is built beside sluice; None if it is not."""
    path = os.path.join(os.path.dirname(os.path.dirname(run.SLUICE)), "devtools", name)
    return path if os.path.exists(path) else None


def need_tool(name: str) -> str:
    """As tool(), but refuses."""
    path = tool(name)
    if not path:
        raise Refused(f"{name} is not built beside {run.SLUICE}: build the whole tree (`ninja -C build`)")
    return path


def memory_available() -> int:
    """Bytes that can be had without swapping."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return int(re.search(r"^MemAvailable:\s+(\d+) kB", file.read(), re.M).group(1)) * 1024


@dataclass(frozen=True)
class Sum:
    """What a target must have received."""

    packets: int
    bytes: int
    crc: str


@dataclass
class Input:
    """A capture and its stores."""

    profile: str
    size: int
    seed: int = 1
    groups: int = 96
    pcap: str = ""
    store: str = ""
    disk_store: str = ""
    sha256: str = ""
    packets: int = 0
    bytes: int = 0
    command: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        more = f"-{self.groups}groups" if self.profile == "multicast" else ""
        return f"{self.profile}{more}-{self.size / 1e6:g}MB-seed{self.seed}"

    def record(self) -> dict:
        """For the report."""
        return {
            "profile": self.profile,
            "seed": self.seed,
            "size": self.size,
            "bytes_of_records": self.bytes,
            "packets": self.packets,
            "mean_record_bytes": self.bytes / self.packets,
            "sha256": self.sha256,
            "command": self.command,
        }


class Inputs:
    """Makes inputs, keeps as many as memory allows, and knows what filters must find in them."""

    def __init__(self, tmpfs: str, disk: str, say: Callable[[str], None], keep: int):
        self.tmpfs, self.disk, self.say, self.keep = tmpfs, disk, say, keep
        self.made: dict[str, Input] = {}
        self.records: dict[str, dict] = {}
        self._sums: dict[tuple[str, str], Sum] = {}

    def get(self, profile: str, size: int, seed: int = 1, groups: int = 96, pcap: bool = True, room: int = 0) -> Input:
        """An input with its store on tmpfs.

        Args:
            profile: Of make_traffic.
            size: Bytes of the capture.
            seed: Of make_traffic.
            groups: Of the multicast profile.
            pcap: Whether the pcap must stay on tmpfs, for peers.
            room: Bytes that the case itself will write to tmpfs.
        """
        wanted = Input(profile, size, seed, groups)
        item = self.made.get(wanted.key, wanted)
        if item.store and (item.pcap or not pcap):
            if room and memory_available() < room + SLACK:
                self.drop_all_but(item)
                if not pcap:
                    self.drop_pcap(item)
                self._need(room, item.key)
            return item
        self.drop(item)
        item = wanted
        # While the store is being written the pcap is there too.
        need = max(2 * size, (2 if pcap else 1) * size + room)
        if sum(i.size for i in self.made.values()) > self.keep or memory_available() < need + SLACK:
            self.drop_all_but(None)
        self._need(need, item.key)
        self._make(item)
        if not pcap:
            self.drop_pcap(item)
        return item

    def _need(self, need: int, key: str) -> None:
        free = memory_available()
        if free < need + SLACK:
            raise Refused(
                f"{key} needs {(need + SLACK) / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are available: "
                "end what uses it, or ask for less with --bytes"
            )

    def _make(self, item: Input) -> None:
        self.say(f"   making {item.key}")
        base = f"{self.tmpfs}/{item.key}"
        item.pcap, item.store = base + ".pcap", base + ".store"
        item.command = [traffic.make_traffic_tool(), f"--profile={item.profile}", f"--bytes={item.size}"]
        item.command += [f"--seed={item.seed}", "--duration=300"]
        if item.profile == "multicast":
            item.command.append(f"--groups={item.groups}")
        run.run([*item.command, item.pcap], timeout=900)
        item.sha256 = sha256(item.pcap)
        found = run.import_capture(item.store, item.pcap, timeout=900).out
        item.packets = int(re.search(r": (\d+) packets", found).group(1))
        item.bytes = os.path.getsize(item.pcap) - 24
        self.made[item.key] = item
        self.records[item.key] = item.record()

    def on_disk(self, item: Input) -> str:
        """A store of the same input on the disk."""
        if not item.disk_store:
            item.disk_store = f"{self.disk}/{item.key}.store"
            need_disk(self.disk, int(item.size * 1.05))
            run.import_capture(item.disk_store, item.pcap, timeout=900)
            subprocess.run(["sync", "-f", self.disk], check=True)
        return item.disk_store

    def drop_pcap(self, item: Input) -> None:
        if item.pcap and os.path.exists(item.pcap):
            os.unlink(item.pcap)
        item.pcap = ""

    def drop(self, item: Input) -> None:
        self.drop_pcap(item)
        for path in (item.store, item.disk_store):
            if path:
                shutil.rmtree(path, ignore_errors=True)
        self.made.pop(item.key, None)
        item.store = item.disk_store = ""

    def drop_all_but(self, keep: Input | None) -> None:
        for item in list(self.made.values()):
            if item is not keep:
                self.drop(item)

    # --- what targets must receive

    def sums(self, item: Input, wanted: Sequence[str | None]) -> list[Sum]:
        """What each filter finds, by tcpdump, two at a time."""
        unknown = sorted({text or "" for text in wanted if (item.key, text or "") not in self._sums})
        if len(unknown) > 4:
            self.say(f"   tcpdump says what {len(unknown)} filters find in {item.key}")
        with ThreadPoolExecutor(2) as pool:
            for text, found in zip(unknown, pool.map(lambda text: tcpdump_sum(item.pcap, text), unknown)):
                self._sums[item.key, text] = found
        return [self._sums[item.key, text or ""] for text in wanted]

    def group_sums(self, item: Input, sample: int = 3) -> list[Sum]:
        """What each multicast group's filter finds: one pass over the pcap, a few of them asked of tcpdump as well."""
        texts = filters.groups(item.groups)
        if (item.key, texts[0]) not in self._sums or (item.key, texts[-1]) not in self._sums:
            with open(item.pcap, "rb") as file:
                done = subprocess.run(
                    [need_tool("pcap_sum"), "--by-group"], stdin=file, capture_output=True, text=True, check=True
                )
            by_address = {w[0]: Sum(int(w[1]), int(w[2]), w[3]) for w in map(str.split, done.stdout.splitlines())}
            found = [by_address.get(filters.group_address(g), Sum(0, 0, "00000000")) for g in range(item.groups)]
            if sum(s.packets for s in found) != item.packets:
                raise Wrong(f"{item.key}: the groups hold {sum(s.packets for s in found)} of {item.packets} packets")
            step = max(1, item.groups // sample)
            for group in range(0, item.groups, step):
                other = tcpdump_sum(item.pcap, texts[group])
                if other != found[group]:
                    raise Wrong(f"{item.key}, {texts[group]}: tcpdump found {other}, one pass {found[group]}")
            for text, one in zip(texts, found):
                self._sums[item.key, text] = one
        return [self._sums[item.key, text] for text in texts]


def need_disk(path: str, need: int) -> None:
    """Refuse unless the file system of a path has so much space."""
    stat = os.statvfs(path)
    free = stat.f_bavail * stat.f_frsize
    if free < need:
        raise Refused(f"{path}: {need / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free: name another with --disk")


def sha256(path: str) -> str:
    """Of a file."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(4 << 20):
            digest.update(block)
    return digest.hexdigest()


def tcpdump_sum(pcap: str, text: str) -> Sum:
    """Packets, bytes of records and CRC-32 that tcpdump lets through."""
    words = ["tcpdump", "--nano", "-nn", "-r", pcap, "-Z", "root", "-w", "-", *([text] if text else [])]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as dump:
        done = subprocess.run([need_tool("pcap_sum")], stdin=dump.stdout, capture_output=True, text=True, check=False)
        dump.stdout.close()
        said = dump.stderr.read()
    if dump.returncode or done.returncode:
        raise Wrong(f"{' '.join(words)}: {said.strip()} {done.stderr.strip()}")
    packets, size, crc = done.stdout.split()
    return Sum(int(packets), int(size), crc)
