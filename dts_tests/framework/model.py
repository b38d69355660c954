# SPDX-License-Identifier: BSD-3-Clause
"""An independent model of splits and names: which files a target makes of a capture, and what they hold.

Written from the documented rules, one packet at a time, with Python's own time zones; shares nothing with the code under
test. The capture is a list of packets in their order on disk; a result is a dict of relative path -> packets.
"""

from __future__ import annotations

import datetime
import functools
import os
import zoneinfo
from typing import Callable, Iterable, NamedTuple, Sequence

from .exception import TestCaseVerifyError
from .oracle import verify_same_packets
from .pcap import NS, Packet, parse_pcap

RECORD_HEADER = 16
FILE_HEADER = 24


class File(NamedTuple):
    """A file that a target makes.

    Attributes:
        start: Time that it is named after, ns.
        end: Second time for names that have two, ns.
        part: Part number, 0: none.
        packets: What it holds.
        late: How many of them are older than the window.
    """

    start: int
    end: int
    part: int
    packets: list[Packet]
    late: int = 0


# ---------------------------------------------------------------- time zones


@functools.lru_cache(maxsize=1 << 16)
def offset(zone: str, seconds: int) -> int:
    """Seconds east of UTC at a time."""
    when = datetime.datetime.fromtimestamp(seconds, zoneinfo.ZoneInfo(zone))
    return int(when.utcoffset().total_seconds())


def local(zone: str, seconds: int) -> datetime.datetime:
    """Local time."""
    return datetime.datetime.fromtimestamp(seconds, zoneinfo.ZoneInfo(zone))


# ---------------------------------------------------------------- windows


class Windows:
    """Windows of a length: [start, end) in ns that holds a time.

    Args:
        length: Nanoseconds.
        zone: None: multiples of the length since the epoch. A zone: the longest stretches of time in which local time
            divided by the length stays the same; searched minute by minute, so the length must be whole minutes.
    """

    def __init__(self, length: int, zone: str | None = None):
        self.length, self.zone = length, zone
        self._known: list[tuple[int, int]] = []

    def _number(self, minute: int) -> int:
        return (minute * 60 + offset(self.zone, minute * 60)) * NS // self.length

    def around(self, ts: int) -> tuple[int, int]:
        if self.zone is None:
            start = ts - ts % self.length
            return start, start + self.length
        for start, end in self._known:
            if start <= ts < end:
                return start, end
        first = last = ts // (60 * NS)
        number = self._number(first)
        while self._number(first - 1) == number:
            first -= 1
        while self._number(last + 1) == number:
            last += 1
        self._known.append((first * 60 * NS, (last + 1) * 60 * NS))
        return self._known[-1]


# ---------------------------------------------------------------- splits


def record_size(packet: Packet) -> int:
    """Bytes of a packet in a file."""
    return RECORD_HEADER + len(packet.data)


def split(
    capture: Sequence[Packet],
    time: int = 0,
    size: int = 0,
    zone: str | None = None,
    accept: Callable[[Packet], bool] = lambda packet: True,
    empty: bool = False,
    slice_len: int = 0,
) -> list[File]:
    """The files of a target, in the order in which they are finished.

    Args:
        capture: All packets, whether the target wants them or not: each moves the clock.
        time: Window length in ns, 0: no time split.
        size: Largest file in bytes, 0: no byte split.
        zone: Windows are aligned to local time in this zone; None: UTC.
        accept: Does the target want a packet?
        empty: Windows without packets make an empty file.
        slice_len: Bytes kept of each packet, 0: all.
    """
    files: list[File] = []
    windows = Windows(time, zone) if time else None
    clock: int | None = None
    window: tuple[int, int] | None = None
    packets: list[Packet] = []
    used = FILE_HEADER
    part = late = 0
    parts_of: int | None = None
    any_in_window = False

    def close() -> None:
        nonlocal packets, used, late
        if packets:
            if window:
                files.append(File(window[0], window[1], part if size else 0, packets, late))
            else:
                files.append(File(packets[0].ts, packets[-1].ts, 0, packets))
        packets, used, late = [], FILE_HEADER, 0

    def leave(new: tuple[int, int] | None) -> None:
        """The clock leaves the window, for a later one or (None) because the capture ends."""
        nonlocal any_in_window, part, parts_of
        close()
        if empty and window:
            at = window
            if any_in_window:
                at = windows.around(at[1])
            until = new[0] if new else window[1]
            while at[0] < until:
                files.append(File(at[0], at[1], 1 if size else 0, []))
                parts_of, part = at[0], 1
                at = windows.around(at[1])
        any_in_window = False

    for packet in capture:
        if windows:
            if clock is None or packet.ts + time < window[0]:
                clock = packet.ts
            else:
                clock = max(clock, packet.ts)
            if window is None or not window[0] <= clock < window[1]:
                new = windows.around(clock)
                leave(new)
                window = new
        if not accept(packet):
            continue
        if slice_len:
            packet = packet._replace(data=packet.data[:slice_len])
        if size and packets and used + record_size(packet) > size:
            close()
        if not packets and window:
            # Parts are counted on if a window comes again and this target has made no file of another one meanwhile.
            part = part + 1 if parts_of == window[0] else 1
            parts_of = window[0]
        packets.append(packet)
        used += record_size(packet)
        any_in_window = True
        late += bool(window and packet.ts < window[0])
    leave(None)
    return files


# ---------------------------------------------------------------- names


def _hms_tz(start: int, zone: str) -> str:
    when = local(zone, start // NS)
    minutes = offset(zone, start // NS) // 60
    sign = "-" if minutes < 0 else "+"
    return f"{when:%Y-%m-%d_%H:%M:%S}{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def _nanos(start: int) -> str:
    return f"{start % NS:09d}"


# Option -> stamp of (start, end, zone); both spellings where there are two.
STAMPS: dict[str, Callable[[int, int, str], str]] = {
    "--filename-epoch-sec": lambda s, e, z: f"{s // NS}",
    "--filename-epoch-sec-startend": lambda s, e, z: f"{s // NS}-{e // NS}",
    "--filename-epoch-msec": lambda s, e, z: f"{s // 10**6}",
    "--filename-epoch-usec": lambda s, e, z: f"{s // 10**3}",
    "--filename-epoch-nsec": lambda s, e, z: f"{s}",
    "--filename-tstr-HHMM": lambda s, e, z: f"{local(z, s // NS):%Y%m%d_%H%M}",
    "--filename-timestr-HHMM": lambda s, e, z: f"{local(z, s // NS):%Y%m%d_%H%M}",
    "--filename-tstr-HHMMSS": lambda s, e, z: f"{local(z, s // NS):%Y%m%d_%H%M%S}",
    "--filename-timestr-HHMMSS": lambda s, e, z: f"{local(z, s // NS):%Y%m%d_%H%M%S}",
    "--filename-tstr-HHMMSS_NS": lambda s, e, z: f"{local(z, s // NS):%Y%m%d_%H%M%S}."
    + ".".join((_nanos(s)[:3], _nanos(s)[3:6], _nanos(s)[6:])),
    "--filename-timestr-HHMMSS_NS": lambda s, e, z: f"{local(z, s // NS):%Y%m%d_%H%M%S}."
    + ".".join((_nanos(s)[:3], _nanos(s)[3:6], _nanos(s)[6:])),
    "--filename-tstr-HHMMSS_TZ": lambda s, e, z: _hms_tz(s, z),
    "--filename-tstr-HHMMSS_SUB": lambda s, e, z: f"{local(z, s // NS):%Y%m%d_%H-%M-%S}.{_nanos(s)}",
}


def strftime_stamp(text: str) -> Callable[[int, int, str], str]:
    """A stamp of --filename-strftime; Python's strftime does the work."""

    def stamp(start: int, _end: int, zone: str) -> str:
        # Not %s: Python leaves it to the process's zone.
        return local(zone, start // NS).strftime(text.replace("%s", str(start // NS)))

    return stamp


def name(
    file: File,
    path: str,
    stamp: Callable[[int, int, str], str],
    zone: str = "UTC",
    suffix: str = ".pcap",
    separator: str | None = None,
) -> tuple[str, str]:
    """A file's path without and its suffix, so that a copy number fits between them."""
    if separator is None:
        separator = "_" if path[-1:].isalnum() else ""
    if "%" in path:
        path = local(zone, file.start // NS).strftime(path)
    part = f"_p{file.part:03d}" if file.part else ""
    return path + separator + stamp(file.start, file.end, zone) + part, suffix


def named(files: Iterable[File], names: Callable[[File], tuple[str, str]], taken: Iterable[str] = ()) -> dict[str, File]:
    """Path -> file; a name that is taken gets _1, _2 and so on."""
    result: dict[str, File] = {}
    taken = set(taken)
    for file in files:
        stem, suffix = names(file)
        candidate, copy = stem + suffix, 0
        while candidate in taken:
            copy += 1
            candidate = f"{stem}_{copy}{suffix}"
        taken.add(candidate)
        result[candidate] = file
    return result


# ---------------------------------------------------------------- the verdict


def verify_files(directory: str, expected: dict[str, File], linktype: int = 1) -> None:
    """Fail unless a directory holds the expected files (paths relative to it), each a nanosecond pcap of its packets."""
    __tracebackhide__ = True
    got = []
    for base, _, names in os.walk(directory):
        got += [os.path.relpath(os.path.join(base, item), directory) for item in names]
    missing, extra = sorted(set(expected) - set(got)), sorted(set(got) - set(expected))
    if missing or extra:
        raise TestCaseVerifyError(
            f"{directory}: {len(got)} files, expected {len(expected)}\n  missing {missing[:8]}\n  unexpected {extra[:8]}"
        )
    for path, file in expected.items():
        with open(os.path.join(directory, path), "rb") as opened:
            pcap = parse_pcap(opened.read())
        if not pcap.nano or pcap.endian != "<" or pcap.trailing or pcap.linktype != linktype:
            raise TestCaseVerifyError(f"{path}: {pcap._replace(packets=[])}")
        verify_same_packets(pcap.packets, file.packets, path)
