# SPDX-License-Identifier: BSD-3-Clause
"""Cases that vary one thing each: lcores, targets, packet size, filter length, file size; and the runs of the model."""

from __future__ import annotations

from . import filters, model
from .contenders import Push
from .inputs import Input
from .lab import Lab, Result, case
from .runner import samples

TARGETS = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256)
SIZES = (64, 128, 256, 512, 1024, 1518)
LENGTHS = (1, 3, 10, 30, 100, 200, 300)
FILE_SIZES = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)


def _point(result: Result, name: str, **named: object) -> None:
    """Add a point of a plot: rates with their intervals."""
    one = result.contenders[name]
    if not one.get("seconds"):
        return
    seconds = one["seconds"]
    rates = {}
    for unit, amount, scale in (("gigabytes", one["bytes"], 1e9), ("million_packets", one["packets"], 1e6)):
        rates[unit] = amount / seconds["median"] / scale
        rates[unit + "_low"] = amount / seconds["interval"]["high"] / scale
        rates[unit + "_high"] = amount / seconds["interval"]["low"] / scale
    result.series.append({"name": name, **named, **rates})


def _few(lab: Lab, values: tuple[int, ...]) -> tuple[int, ...]:
    return values if not lab.settings.quick else (values[0], values[len(values) // 2])


@case("targets", "Throughput against the number of targets", "scale")
def targets(lab: Lab) -> Result:
    """1 to 256 unrelated filters with locality, and as many multicast groups; null sink."""
    result = Result()
    counts = _few(lab, TARGETS)
    size = lab.settings.scale_bytes
    mixed = lab.inputs.get("realistic", size, lab.settings.seed)
    texts = filters.unrelated(max(counts))
    sums = lab.inputs.sums(mixed, texts)
    pushes = {f"{n} unrelated": lab.push(mixed, texts[:n], sums[:n]) for n in counts}
    lab.measure(result, pushes)
    for n in counts:
        _point(result, f"{n} unrelated", kind="unrelated filters", targets=n)
    feeds = lab.inputs.get("multicast", size, lab.settings.seed, groups=256)
    texts, sums = filters.groups(256), lab.inputs.group_sums(feeds)
    pushes = {f"{n} groups": lab.push(feeds, texts[:n], sums[:n]) for n in counts}
    lab.measure(result, pushes)
    for n in counts:
        _point(result, f"{n} groups", kind="multicast groups", targets=n)
    return result


@case("packet_size", "Throughput against packet size", "scale")
def packet_size(lab: Lab) -> Result:
    """Unfiltered, and four filtered targets; null sink."""
    result = Result()
    for size in _few(lab, SIZES):
        item = lab.inputs.get(str(size), lab.settings.scale_bytes, lab.settings.seed)
        pushes = {
            f"{size} B, 1 unfiltered": lab.push(item, [None], lab.inputs.sums(item, [None])),
            f"{size} B, 4 filtered": lab.push(item, filters.SMALL, lab.inputs.sums(item, filters.SMALL)),
        }
        lab.measure(result, pushes)
        for name in pushes:
            _point(result, name, size=size, kind=name.split(", ")[1])
    return result


def _maps(lab: Lab) -> list[str]:
    a, b = lab.cpus[0], lab.cpus[-1]
    if a == b:
        return [f"all@{a}"]
    if lab.settings.quick:
        return [f"all@{a}", f"reader+filter@{a},writer@{b}"]
    found = [f"all@{a}", f"reader+filter@{a},writer@{b}", f"reader@{a},filter+writer@{b}"]
    found += [f"reader+filter@{a},filter+writer@{b}", f"reader+writer@{a},filter@{b}"]
    c = lab.cpus
    if len(c) >= 4:
        found += [f"reader@{c[0]},filter@{c[1]},filter@{c[2]},writer@{c[3]}"]
    if len(c) >= 8:
        found += ["reader@%d,filter@%d,filter@%d,filter@%d,filter@%d,writer@%d,writer@%d" % tuple(c[:7])]
    return found


@case("lcores", "Throughput against lcores", "scale")
def lcores(lab: Lab) -> Result:
    """Stages on one CPU and spread over all; 1 unfiltered, 4 filtered and 96 filtered targets; null sink."""
    result = Result()
    item = lab.inputs.get("realistic", lab.settings.scale_bytes, lab.settings.seed)
    kinds: dict[str, list[str | None]] = {
        "1 unfiltered": [None],
        "4 filtered": list(filters.SMALL),
        "96 filtered": list(filters.unrelated(96)),
    }
    pushes: dict[str, Push] = {}
    where = {}
    for kind, texts in kinds.items():
        expected = lab.inputs.sums(item, texts)
        for text in _maps(lab):
            name = f"{kind}, {text}"
            pushes[name] = lab.push(item, texts, expected, map=text)
            where[name] = (kind, text)
    lab.measure(result, pushes)
    for name, (kind, text) in where.items():
        _point(result, name, kind=kind, map=text, lcores=len(text.split(",")))
    return result


@case("filter_length", "Throughput against the length of one filter", "scale")
def filter_length(lab: Lab) -> Result:
    """`host A or host B or ...`; null sink."""
    result = Result()
    item = lab.inputs.get("realistic", lab.settings.scale_bytes, lab.settings.seed)
    pushes = {}
    for count in _few(lab, LENGTHS):
        text = filters.hosts(count)
        # The other hosts are not in the traffic: what the first one finds is what all find.
        pushes[f"{count} hosts"] = lab.push(item, [text], lab.inputs.sums(item, [filters.hosts(1)]))
    lab.measure(result, pushes)
    for name in pushes:
        _point(result, name, hosts=int(name.split()[0]))
    return result


@case("file_size", "Throughput against the size of the files", "scale")
def file_size(lab: Lab) -> Result:
    """One unfiltered target to tmpfs, byte splits."""
    result = Result()
    size = lab.settings.scale_bytes
    item = lab.inputs.get("realistic", size, lab.settings.seed, room=int(1.1 * size))
    expected = lab.inputs.sums(item, [None])
    pushes = {}
    for most in [s for s in _few(lab, FILE_SIZES) if s <= size] or [FILE_SIZES[0]]:
        fields = {"Split": f"--split-byte {most}", "FileName": "--filename-epoch-nsec"}
        pushes[f"{most / 1e6:g} MB"] = lab.push(item, [None], expected, out=lab.tmpfs + "/out", fields=fields)
    lab.measure(result, pushes)
    for name in pushes:
        _point(result, name, megabytes=float(name.split()[0]))
    return result


# Four filters each, so that what a packet costs is the same and what it matches is not.
MATCHES = {
    "none": [f"host 172.16.0.{n}" for n in range(1, 5)],
    "few": filters.SMALL,
    "one": ["tcp", "udp", "arp", "icmp"],
    "three": ["ip", "tcp or udp", "not arp", "icmp"],
}


def _observe(lab: Lab, item: Input) -> dict[str, Push]:
    one, _ = lab.two_maps()
    return {
        f"{item.key}, matches: {kind}": lab.push(item, texts, lab.inputs.sums(item, texts), map=one)
        for kind, texts in MATCHES.items()
        if not lab.settings.quick or kind in ("none", "three")
    }


@case("model", "time = a + b x bytes + c x packets + d x matches", "scale")
def fit(lab: Lab) -> Result:
    """All stages on one CPU, so that their costs add up; sizes, packets and matches vary on their own.

    The chunks that are in flight when the last one is dispatched are not in the time: that makes `a` a little smaller.
    """
    result = Result()
    size = lab.settings.scale_bytes
    profiles = ("64", "256", "1518", "imix") if not lab.settings.quick else ("64", "1518")
    observations = []
    for part in (2, 1):
        for profile in profiles:
            item = lab.inputs.get(profile, size // part, lab.settings.seed)
            pushes = _observe(lab, item)
            lab.measure(result, pushes)
            for name, push in pushes.items():
                one = result.contenders[name]
                for seconds, extra in zip(samples(one), one.get("extra", [])):
                    spent = {f"{s}_seconds": ns * item.packets / 1e9 for s, ns in extra["stages_ns_per_packet"].items()}
                    observations.append(
                        {
                            "name": name,
                            "seconds": seconds,
                            **spent,
                            "bytes": item.bytes,
                            "packets": item.packets,
                            "matches": sum(s.packets for s in push.expected),
                            "matched_bytes": sum(s.bytes for s in push.expected),
                        }
                    )
    result.more["model"] = model.fit(observations)
    result.series = [
        {**o, "fitted": f} for o, f in zip(observations, result.more["model"]["with_matched_bytes"].get("fitted", []))
    ]
    return result
