# SPDX-License-Identifier: BSD-3-Clause
"""The cost model, and what it says about machines that nobody here has: calculated, never measured."""

from __future__ import annotations

from . import stats

TERMS = {"a": None, "b": "bytes", "c": "packets", "d": "matches"}
MORE_TERMS = {**TERMS, "e": "matched_bytes"}

STAGES = {
    "reader": ({"r": "bytes"}, "bytes"),
    "filter": ({"b": "bytes", "c": "packets"}, "packets"),
    "writer": ({"d": "matches", "e": "matched_bytes"}, "matches"),
}
"""Terms of each stage's busy time. A store on tmpfs is read by the filter lcores."""

PROFILES = {"64 B": 76, "IMIX": 373, "mean 700 B": 716, "1518 B": 1530}
"""Mean bytes of a record, its header of 16 bytes included."""

GAPS = 24
"""Bytes on the wire beside a captured frame: FCS 4, preamble 8, gap 12."""

BANDWIDTH = {16: 200e9, 32: 400e9}
"""Assumed memory bandwidth: eight channels of DDR4-3200 a socket (8 x 25.6 GB/s), 16 cores a socket."""

MOVES = 5
"""How often a byte crosses the memory bus: stored by the capture, read, written to a buffer (which reads the line first),
read again by the disk. Caches save some of that; this is the upper end."""


def _fit(terms: dict[str, str | None], observations: list[dict]) -> dict:
    rows = [[1.0 if key is None else float(o[key]) for key in terms.values()] for o in observations]
    try:
        found = stats.least_squares(list(terms), rows, [o["seconds"] for o in observations])
    except ValueError as error:
        return {"terms": None, "reason": str(error)}
    found["units"] = {
        name: "s" if key is None else "ns/byte" if "bytes" in key else "ns/packet" for name, key in terms.items()
    }
    found["per_unit"] = {
        name: {k: v * (1 if terms[name] is None else 1e9) for k, v in term.items()}
        for name, term in found["terms"].items()
    }
    return found


def _fit_stage(terms: dict[str, str], observations: list[dict], seconds: str, needs: str) -> dict:
    """A stage by its own account: its busy time, which no other stage is in."""
    seen = [{**o, "seconds": o[seconds]} for o in observations if o.get(seconds, 0) > 0 and o[needs] > 0]
    if not seen:
        return {"terms": None, "reason": "push printed no account of its stages"}
    return _fit(terms, seen)


def fit(observations: list[dict]) -> dict:
    """The model of four terms, and with a fifth one: a match is copied, and that is paid by the byte."""
    return {
        "formula": "time = a + b x bytes + c x packets + d x matches",
        "four_terms": _fit(TERMS, observations),
        "with_matched_bytes": _fit(MORE_TERMS, observations),
        "stages": {
            name: _fit_stage(terms, observations, f"{name}_seconds", needs) for name, (terms, needs) in STAGES.items()
        },
        "meaning": {
            "a": "what a push costs whatever it pushes",
            "r": "finding the next chunk, a byte of the store",
            "b": "reading and CRC, a byte of the store",
            "c": "filtering, a packet of the store",
            "d": "collecting, a packet that a target receives",
            "e": "copying, a byte that a target receives",
        },
    }


def _stages(cores: int) -> list[tuple[int, int]]:
    """Filter and writer lcores that a machine of so many cores can have beside one reader."""
    return [(f, cores - 1 - f) for f in range(1, cores - 1)]


def limits(terms: dict[str, float], record: float, copies: float, cores: int, disk: float | None) -> dict:
    """Bytes of records a second that each stage allows, on the best division of the cores, and which breaks first.

    Args:
        terms: Seconds for each unit: r, b, c, d, e.
        record: Mean bytes of a record.
        copies: Of how many targets a packet is part, on average.
        cores: Of the machine.
        disk: Bytes a second that it writes; None: the null sink.
    """
    cost = {name: max(value, 1e-15) for name, value in terms.items()}
    packet_filter = 1 / (cost["b"] + cost["c"] / record)
    packet_writer = 1 / (copies * (cost["d"] / record + cost["e"]))
    best: dict = {}
    for filter_lcores, writer_lcores in _stages(cores):
        # One engine a socket of 16 cores: a reader each.
        stages = {
            "reader": max(1, cores // 16) / cost["r"],
            "filter": filter_lcores * packet_filter,
            "writer": writer_lcores * packet_writer,
            "memory bandwidth": BANDWIDTH[cores] / (2 + copies * (MOVES - 2)),
        }
        if disk:
            stages["disk"] = disk / copies
        rate = min(stages.values())
        if not best or rate > best["bytes_per_second"]:
            best = {
                "bytes_per_second": rate,
                "breaks_first": min(stages, key=stages.get),
                "filters": filter_lcores,
                "writers": writer_lcores,
                "stages": stages,
            }
    return best


def wire_gbps(bytes_per_second: float, record: float) -> float:
    """Gb/s on the wire of so many bytes of records a second."""
    return bytes_per_second / record * (record - 16 + GAPS) * 8 / 1e9


def extrapolate(fitted: dict, disk: float | None) -> dict:
    """A table for 16 and 32 cores, and what 100 and 400 Gb/s would need, from fit()'s stages."""
    terms: dict[str, float] = {}
    for name, found in fitted["stages"].items():
        if not found.get("terms"):
            return {"rows": None, "reason": f"{name}: {found.get('reason', 'no fit')}"}
        terms.update({term: value["value"] for term, value in found["terms"].items()})
    rows = []
    for name, record in PROFILES.items():
        for copies in (1.0, 2.0):
            for cores in (16, 32):
                for sink, rate in (("null", None), ("one disk as measured here", disk)):
                    if sink != "null" and rate is None:
                        continue
                    found = limits(terms, record, copies, cores, rate)
                    gbps = wire_gbps(found["bytes_per_second"], record)
                    rows.append(
                        {
                            "traffic": name,
                            "copies_of_a_packet": copies,
                            "cores": cores,
                            "sink": sink,
                            "wire_gbps": gbps,
                            "reaches_100": gbps >= 100,
                            "reaches_400": gbps >= 400,
                            **{k: found[k] for k in ("bytes_per_second", "breaks_first", "filters", "writers")},
                        }
                    )
    needs = []
    for name, record in PROFILES.items():
        for gbps in (100, 400):
            rate = gbps * 1e9 / 8 / (record - 16 + GAPS) * record
            needs.append(
                {
                    "traffic": name,
                    "wire_gbps": gbps,
                    "bytes_per_second": rate,
                    "packets_per_second": rate / record,
                    "reader_lcores": rate * max(terms["r"], 0),
                    "filter_lcores": rate * (max(terms["b"], 0) + max(terms["c"], 0) / record),
                    "writer_lcores_a_copy": rate * (max(terms["d"], 0) / record + max(terms["e"], 0)),
                    "memory_bytes_per_second_one_copy": rate * MOVES,
                    "disks_as_measured_here": rate / disk if disk else None,
                }
            )
    return {
        "calculated": True,
        "assumptions": [
            "verdicts cost what they did in the runs of the model: four filters, whose programs are run",
            "each lcore is as fast as the one that was measured, and stages on different lcores do not slow each other",
            f"memory bandwidth {BANDWIDTH[16] / 1e9:.0f} GB/s for 16 cores and {BANDWIDTH[32] / 1e9:.0f} GB/s for 32",
            f"a byte crosses the memory bus up to {MOVES} times with one copy",
            "32 cores are two sockets with an engine and a reader each; a sharded capture feeds both",
        ],
        "rows": rows,
        "needs": needs,
    }
