# SPDX-License-Identifier: BSD-3-Clause
"""Start and stop, publish latency, and all peers side by side."""

from __future__ import annotations

import os

from . import filters, live, peers, stats
from .inputs import need_disk
from .lab import Lab, Result, case
from .runner import Contender, samples

ALL_TCP = [None, "tcp"]


@case("start_stop", "Start to the first working file; SIGTERM to exit", "bar")
def start_stop(lab: Lab) -> Result:
    """With 1 and 96 targets, idle and busy."""
    result = Result()
    work = lab.disk + "/live"
    os.makedirs(work, exist_ok=True)
    small = lab.inputs.get("multicast", 30_000_000 if lab.settings.quick else 100_000_000, lab.settings.seed)
    what = "exec to the first working file"
    contenders = [
        Contender("1 target", lambda: live.start_stop(small, [None], work, False), what),
        Contender("96 targets", lambda: live.start_stop(small, filters.groups(96), work, False), what),
        Contender("96 targets, stopped while busy", lambda: live.start_stop(small, filters.groups(96), work, True), what),
    ]
    result.contenders = lab.runner.measure(contenders)
    result.inputs.append(small.key)
    result.value("start_1", samples(result.contenders["1 target"]))
    result.value("start_96", samples(result.contenders["96 targets"]))
    for ratio, name in (("stop_96", "96 targets"), ("stop_96_busy", "96 targets, stopped while busy")):
        result.value(ratio, [e["stop_seconds"] for e in result.contenders[name].get("extra", [])])
    result.notes.append("The first working file is a little later than the first dispatch: its packets were filtered too.")
    return result


@case("publish_latency", "Window's end to the file under its final name, live capture, windows of 1 s", "other")
def publish_latency(lab: Lab) -> Result:
    """Eight targets on disk."""
    result = Result()
    work = lab.disk + "/live"
    os.makedirs(work, exist_ok=True)
    seconds = lab.settings.live_seconds
    texts: list[str | None] = [None, "tcp", "udp", "port 53", "port 443", "net 10.0.3.0/24", "vlan", "ip6"]
    found = live.publish_latency(work, lab.tmpfs, texts, seconds, 20_000 * seconds, lab.settings.seed)
    latencies = [w["latency"] for w in found["windows"]]
    result.series = [{"latency": value} for value in sorted(latencies)]
    result.value("median_seconds", latencies)
    result.more.update(
        commands=found["commands"], windows=found["windows"], latency=stats.summary(latencies),
        worst_seconds=max(latencies),
    )  # fmt: skip
    result.notes.append(
        "The capture is flushed once a second, so a window's last packets may be up to 1 s old before push can see them."
    )
    return result


@case("peers", "All peers that are installed, the same capture", "other")
def all_peers(lab: Lab) -> Result:
    """Copying to nothing, to tmpfs and to disk."""
    result = Result()
    size = lab.settings.scale_bytes
    item = lab.inputs.get("realistic", size, lab.settings.seed, room=int(1.8 * size))
    expected = lab.inputs.sums(item, ALL_TCP)
    one = lab.inputs.sums(item, [None])
    need_disk(lab.disk, int(2.2 * size))
    disk, tmpfs = lab.disk + "/out", lab.tmpfs + "/out"
    on_disk = lab.push(item, ALL_TCP, expected, out=disk, durable=True)
    pushes = {
        "sluice, null sink, all": lab.push(item, [None], one),
        "sluice, tmpfs, all": lab.push(item, [None], one, out=tmpfs),
        "sluice, disk, all": lab.push(item, [None], one, out=disk, durable=True),
        "sluice, disk, all + tcp": on_disk,
    }

    def files(kind, name, out, durable):
        return lambda: kind(item, out, name, durable)

    others = lab.peer("tcpdump -w /dev/null, all", lambda: peers.tcpdump_null(item, name="tcpdump -w /dev/null, all"), "tcpdump")
    for kind, program in ((peers.editcap, "editcap"), (peers.netsniff, "netsniff-ng")):
        for where, out, durable in (("tmpfs", tmpfs, False), ("disk", disk, True))[: 1 if lab.settings.quick else 2]:
            name = f"{program}, {where}, all"
            others += lab.peer(name, files(kind, name, out, durable), program)
    name = "two tcpdumps, disk, all + tcp"
    others += lab.peer(name, lambda: peers.tcpdump_files(item, ALL_TCP, expected, disk, name), "tcpdump")
    fio_name = "fio, disk, bytes of all + tcp"
    others += lab.peer(fio_name, lambda: lab.fio.contender(fio_name, lambda: on_disk.written), "fio")
    others += lab.memcpy(item)
    lab.measure(result, pushes, others)
    for name in list(pushes) + [c.name for c in others]:
        one_result = result.contenders[name]
        if one_result.get("seconds"):
            seconds = one_result["seconds"]
            result.series.append(
                {
                    "name": name,
                    "gigabytes_per_second": item.bytes / seconds["median"] / 1e9,
                    "low": item.bytes / seconds["interval"]["high"] / 1e9,
                    "high": item.bytes / seconds["interval"]["low"] / 1e9,
                    "peer": one_result["peer"],
                }
            )
    result.ratio("null_to_tcpdump", "tcpdump -w /dev/null, all", "sluice, null sink, all")
    return result
