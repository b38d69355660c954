# SPDX-License-Identifier: BSD-3-Clause
"""The cases whose ratios have bars in tests_config.yaml: one run of the interleaved contenders gives each ratio."""

from __future__ import annotations

from . import filters, peers, watch
from .bound import bound
from .contenders import Push
from .inputs import need_disk
from .lab import Lab, Result, case, missing_ratio, verdict_cache_off
from .runner import samples

ALL_TCP = [None, "tcp"]


@case("null_one", "One unfiltered target, null sink, store on tmpfs", "bar")
def null_one(lab: Lab) -> Result:
    """Against tcpdump, and against what reading, CRC and copying alone allow."""
    result = Result()
    item = lab.input("realistic")
    push = lab.push(item, [None], lab.inputs.sums(item, [None]))
    others = lab.peer("tcpdump -w /dev/null", lambda: peers.tcpdump_null(item), "tcpdump")
    others += lab.peer("read, CRC, copy alone", lambda: bound(push))
    others += lab.memcpy(item)
    lab.measure(result, {"sluice": push}, others)
    result.ratio("rate_to_bound", "read, CRC, copy alone", "sluice")
    result.ratio("to_tcpdump", "tcpdump -w /dev/null", "sluice")
    return result


def _disk_case(lab: Lab, same_disk: bool) -> Result:
    result = Result()
    item = lab.input("realistic")
    expected = lab.inputs.sums(item, ALL_TCP)
    need_disk(lab.disk, int(2.2 * item.size * (2 if same_disk else 1)))
    store = lab.inputs.on_disk(item) if same_disk else None
    push = lab.push(item, ALL_TCP, expected, out=lab.disk + "/out", durable=True, store=store)
    fio_name = "fio, reading and writing the same bytes" if same_disk else "fio, the same bytes"

    def fio():
        return lab.fio.contender(fio_name, lambda: push.written, item.bytes if same_disk else 0)

    others = lab.peer(fio_name, fio, "fio")
    if not same_disk:
        name = "two tcpdumps and sync"
        others += lab.peer(
            name, lambda: peers.tcpdump_files(item, ALL_TCP, expected, lab.disk + "/out", name), "tcpdump"
        )
    lab.measure(result, {"sluice": push}, others)
    result.ratio("rate_to_fio", fio_name, "sluice")
    if not same_disk:
        result.ratio("to_two_tcpdumps", "two tcpdumps and sync", "sluice")
    result.more["fio_sweep_bytes_per_second"] = lab.fio.sweeps
    result.notes.append("sluice: from its first dispatch to its exit and `sync -f`; its start is reported apart.")
    return result


@case("disk", "All and tcp, 60 s splits, store on tmpfs, durable on disk", "bar")
def disk(lab: Lab) -> Result:
    """Against fio for the same bytes and two tcpdumps."""
    return _disk_case(lab, False)


@case("disk_same", "The same with the store on that disk", "bar")
def disk_same(lab: Lab) -> Result:
    """Against fio that reads and writes at once."""
    return _disk_case(lab, True)


@case("groups_96", "96 multicast groups, a target each, null sink", "bar")
def groups_96(lab: Lab) -> Result:
    """Against one unfiltered target, and 96 tcpdumps, two at a time."""
    result = Result()
    item = lab.input("multicast", groups=96)
    texts = filters.groups(96)
    pushes = {
        "sluice, 96 groups": lab.push(item, texts, lab.inputs.group_sums(item)),
        "sluice, 1 unfiltered": lab.push(item, [None], lab.inputs.sums(item, [None])),
    }
    name = "96 tcpdumps, two at a time"
    others = []
    if lab.settings.quick:
        lab.absent[name] = "takes too long for --quick"
    else:
        others = lab.peer(name, lambda: peers.tcpdump_null(item, texts, name), "tcpdump")
    lab.measure(result, pushes, others)
    result.ratio("to_one_target", "sluice, 96 groups", "sluice, 1 unfiltered")
    result.ratio("to_tcpdumps", name, "sluice, 96 groups")
    return result


@case("filters_96", "96 unrelated filters, null sink, with locality", "bar")
def filters_96(lab: Lab) -> Result:
    """Against one filtered target."""
    result = Result()
    item = lab.input("realistic")
    texts = filters.unrelated(96)
    pushes = {
        "sluice, 96 filters": lab.push(item, texts, lab.inputs.sums(item, texts)),
        "sluice, tcp": lab.push(item, ["tcp"], lab.inputs.sums(item, ["tcp"])),
    }
    lab.measure(result, pushes)
    result.ratio("to_one_filter", "sluice, 96 filters", "sluice, tcp")
    return result


@case("small_64", "64-byte packets, 4 filtered targets, one filter lcore, null sink", "bar")
def small_64(lab: Lab) -> Result:
    """Packets a second."""
    result = Result()
    item = lab.input("64")
    expected = lab.inputs.sums(item, filters.SMALL)
    one, two = lab.two_maps()
    pushes = {"sluice": lab.push(item, filters.SMALL, expected, map=two)}
    pushes["sluice, all on one CPU"] = lab.push(item, filters.SMALL, expected, map=one)
    lab.measure(result, pushes)
    result.value("million_packets", samples(result.contenders["sluice"]), lambda s: item.packets / s / 1e6)
    return result


@case("tmpfs_256", "256 targets writing to tmpfs, against 2 targets that receive the same packets", "bar")
def tmpfs_256(lab: Lab) -> Result:
    """Rate of writing, and memory."""
    result = Result()
    item = lab.input("multicast", groups=256)
    halves = ["dst net 239.1.0.0/25", "not dst net 239.1.0.0/25"]
    each, half = lab.inputs.group_sums(item), lab.inputs.sums(item, halves)
    item = lab.input("multicast", groups=256, pcap=False, room=int(item.size * 1.1))
    out = lab.tmpfs + "/out"
    pushes = {
        "sluice, 256 targets": lab.push(item, filters.groups(256), each, out=out, memory=True),
        "sluice, 2 targets": lab.push(item, halves, half, out=out, memory=True),
    }
    lab.measure(result, pushes)
    result.ratio("rate_to_two", "sluice, 2 targets", "sluice, 256 targets")
    extra = result.contenders["sluice, 256 targets"].get("extra", [])
    result.value("memory_gib", [e["peak_bytes"] / (1 << 30) for e in extra])
    result.notes.append(
        "Memory is the peak of VmRSS and HugetlbPages of all of sluice's processes, without pages of the store, which may "
        "be mapped while it is on tmpfs; those are in the samples beside it."
    )
    return result


@case("window_96", "Window changes with 96 targets, files of 60 s, on disk and on tmpfs", "bar")
def window_96(lab: Lab) -> Result:
    """The slowest second of a push."""
    result = Result()
    item = lab.input("multicast", groups=96)
    expected = lab.inputs.group_sums(item)
    item = lab.input("multicast", groups=96, pcap=False, room=int(item.size * 1.1))
    need_disk(lab.disk, int(item.size * 1.2))
    split = {"Split": "--split-time 60e9"}
    texts = filters.groups(96)
    tmpfs_out = lab.tmpfs + "/out"
    pushes = {
        "sluice, disk": lab.push(
            item, texts, expected, out=lab.disk + "/out", durable=True, fields=split, trace=watch.Dispatched
        ),
        "sluice, tmpfs": lab.push(
            item, texts, expected, out=tmpfs_out, fields=split, trace=watch.Dispatched
        ),
    }
    lab.measure(result, pushes)
    for name, ratio in (("sluice, disk", "slowest_second_disk"), ("sluice, tmpfs", "slowest_second_tmpfs")):
        traces = [extra["trace"] for extra in result.contenders[name].get("extra", [])]
        found = [watch.slowest_second(trace) for trace in traces]
        result.more[ratio] = found
        result.more[ratio.replace("second", "quarter_of_a_second")] = [
            watch.slowest_second(trace, 0.25) for trace in traces
        ]
        if not all(traces):
            result.ratios[ratio] = missing_ratio("push's telemetry could not be asked")
        elif found and all(found):
            result.value(ratio, [one["ratio"] for one in found])
        else:
            result.ratios[ratio] = missing_ratio("the push took less than two seconds: a second says nothing")
    result.notes.append(
        "Progress is what the reader has dispatched, asked of push's telemetry every 50 ms. A second is any window of 1 s "
        "between the first and the last progress, not only those that begin at a whole one."
    )
    return result


@case("adversarial_96", "96 unrelated filters on traffic without locality, null sink", "bar")
def adversarial_96(lab: Lab) -> Result:
    """With the verdict cache and without it."""
    result = Result()
    item = lab.input("adversarial")
    texts = filters.unrelated(96)
    expected = lab.inputs.sums(item, texts)
    pushes = {"sluice": lab.push(item, texts, expected)}
    off = verdict_cache_off()
    if "reason" not in off:
        pushes["sluice, no verdict cache"] = Push(
            lab.disk, item, texts, expected, options=off.get("options", ()), environment=off.get("environment", {})
        )
    lab.measure(result, pushes)
    if "reason" in off:
        result.ratios["to_no_cache"] = missing_ratio(off["reason"])
    else:
        result.ratio("to_no_cache", "sluice", "sluice, no verdict cache")
    return result
