# SPDX-License-Identifier: BSD-3-Clause
"""Programs that nobody here wrote, asked what is right: tcpdump, tshark, editcap, capinfos."""

from __future__ import annotations

import os
import re
from typing import Sequence

from .exception import TestCaseVerifyError
from .pcap import NS, Packet, Pcap, read_packets, read_pcap
from .run import Result, list_files, run


def tcpdump_filter(capture: str, expression: str, output: str) -> Pcap:
    """The packets that tcpdump takes from a capture, with nanoseconds.

    Args:
        capture: A pcap file.
        expression: Filter, "" for all packets.
        output: File for tcpdump to write.
    """
    __tracebackhide__ = True
    command = ["tcpdump", "--nano", "-nn", "-r", capture, "-w", output]
    run(command + ([expression] if expression else []), env={"TZ": "UTC"})
    return read_pcap(output)


def tcpdump_accepts(linktype_capture: str, expression: str) -> bool:
    """Does `tcpdump -d` compile the expression for that capture's link type?"""
    return run(["tcpdump", "-d", "-r", linktype_capture, expression], rc=None).rc == 0


def tshark_fields(capture: str, fields: Sequence[str], display_filter: str = "") -> list[list[str]]:
    """Fields of each packet by tshark."""
    command = ["tshark", "-n", "-r", capture, "-T", "fields", "-E", "separator=|"]
    for field in fields:
        command += ["-e", field]
    if display_filter:
        command += ["-Y", display_filter]
    return [line.split("|") for line in run(command).out.splitlines()]


def editcap(*args: str) -> Result:
    """Run editcap."""
    return run(["editcap", *args])


def editcap_split(capture: str, seconds: float, directory: str) -> list[str]:
    """Files that `editcap -i` makes of a capture (from its first packet, not aligned), as paths in order."""
    os.makedirs(directory, exist_ok=True)
    editcap("-F", "nsecpcap", "-i", str(seconds), capture, os.path.join(directory, "part.pcap"))
    return [os.path.join(directory, name) for name in list_files(directory)]


def capinfos(capture: str) -> dict[str, str]:
    """capinfos in its table form: long name -> value; fails the test case if capinfos finds damage."""
    __tracebackhide__ = True
    result = run(["capinfos", "-M", "-T", "-B", "-S", capture])
    heads, values = result.out.splitlines()[:2]
    return dict(zip(heads.split("\t"), values.split("\t")))


def capinfos_count(capture: str) -> int:
    """Number of packets as capinfos counts them."""
    return int(capinfos(capture)["Number of packets"])


def time_text(ts: int) -> str:
    """Nanoseconds as seconds with nine digits."""
    return f"{ts // NS}.{ts % NS:09d}"


def verify_same_packets(got: Sequence[Packet], expected: Sequence[Packet], what: str = "packets") -> None:
    """Fail unless both hold equal packets in the same order: time, caplen, len and bytes."""
    __tracebackhide__ = True
    for i, (left, right) in enumerate(zip(got, expected)):
        if left != right:
            raise TestCaseVerifyError(
                f"{what}: packet {i} of {len(got)} differs (expected {len(expected)})\n"
                f"  got      {time_text(left.ts)} caplen {len(left.data)} len {left.len} {left.data[:64].hex()}\n"
                f"  expected {time_text(right.ts)} caplen {len(right.data)} len {right.len} {right.data[:64].hex()}"
            )
    if len(got) != len(expected):
        longer, side = (got, "got") if len(got) > len(expected) else (expected, "expected")
        extra = longer[min(len(got), len(expected))]
        raise TestCaseVerifyError(
            f"{what}: {len(got)} packets, expected {len(expected)}; equal so far, then only {side} has "
            f"{time_text(extra.ts)} caplen {len(extra.data)} len {extra.len}"
        )


def verify_all_published(directory: str, expected: Sequence[Packet]) -> list[str]:
    """Fail unless a directory's files hold these packets, once, in order, and there is no file beside these.

    Their names must sort by time, as epoch nanoseconds do.

    Returns:
        The names.
    """
    __tracebackhide__ = True
    names = list_files(directory)
    if not names or not all(name.endswith(".pcap") for name in names):
        raise TestCaseVerifyError(f"{directory}: no files, or something left behind: {names}")
    verify_same_packets(read_packets(*(os.path.join(directory, name) for name in names)), expected, directory)
    return names


def verify_same_tree(got: dict[str, bytes], expected: dict[str, bytes], what: str = "files") -> None:
    """Fail unless both hold the same names with the same bytes (see run.read_tree)."""
    __tracebackhide__ = True
    missing, extra = sorted(set(expected) - set(got)), sorted(set(got) - set(expected))
    if missing or extra:
        raise TestCaseVerifyError(f"{what}: missing {missing[:10]}, unexpected {extra[:10]}")
    for name in sorted(got):
        if got[name] != expected[name]:
            at = next((i for i, (a, b) in enumerate(zip(got[name], expected[name])) if a != b), "the shorter's end")
            raise TestCaseVerifyError(
                f"{what}: {name} differs from byte {at} on; {len(got[name])} bytes, expected {len(expected[name])}"
            )


def summary_number(text: str, name: str) -> int:
    """The number after `name` in a text such as "packets 1,234"; -1 if there is none."""
    match = re.search(re.escape(name) + r"[ :=]*([\d,]+)", text)
    return int(match.group(1).replace(",", "")) if match else -1
