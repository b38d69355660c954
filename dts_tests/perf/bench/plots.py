# SPDX-License-Identifier: BSD-3-Clause
"""Plots of measurements as SVG by gnuplot. What was calculated is never plotted."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Callable, Sequence

SIZE = "760,380"
_drawn = [0]
STYLE = """set terminal svg size {size} font "sans-serif,12" background rgb "white" dynamic
set output
set title {title}
set grid ytics lc rgb "#dddddd"
set border 3
set tics nomirror
set key outside right top
set yrange [0:*]
"""


def _quote(text: str) -> str:
    """A string of gnuplot, without its markup."""
    return "'" + str(text).replace("'", "''") + "'"


def _block(number: int, rows: Sequence[Sequence[object]]) -> str:
    lines = []
    for row in rows:
        lines.append(" ".join('"' + str(v).replace('"', "") + '"' if isinstance(v, str) else repr(v) for v in row))
    return f"$d{number} << EOD\n" + "\n".join(lines) + "\nEOD\n"


def gnuplot(script: str) -> str:
    """Run gnuplot; returns the SVG element alone."""
    done = subprocess.run(
        ["gnuplot"], input=script, capture_output=True, text=True, check=False, timeout=60
    )
    start = done.stdout.find("<svg")
    if done.returncode or start < 0:
        raise ValueError(f"gnuplot: {done.stderr.strip()[:500]}")
    svg = re.sub(r"<title>.*?</title>|<desc>.*?</desc>", "", done.stdout[start:], flags=re.S)
    # A page holds many plots, and their ids must not collide.
    _drawn[0] += 1
    svg = re.sub(r'id="gnuplot_[^"]*"', "", svg)
    return re.sub(r"\bgp(Dot|Pt\d+)", rf"plot{_drawn[0]}\1", svg)


def _head(title: str, xlabel: str, ylabel: str, more: str = "") -> str:
    text = STYLE.format(size=SIZE, title=_quote(title) + " noenhanced")
    return text + f"set xlabel {_quote(xlabel)}\nset ylabel {_quote(ylabel)}\n{more}"


def lines(title: str, xlabel: str, ylabel: str, series: dict[str, list[tuple]], log_x: bool = False) -> str:
    """Points (x, y, low, high) with their intervals, a line for each name."""
    more = "set logscale x 2\n" if log_x else ""
    blocks = "".join(_block(i, rows) for i, rows in enumerate(series.values()))
    plots = [
        f"$d{i} using 1:2:3:4 with yerrorlines lw 1.5 pt 7 ps 0.5 title {_quote(name)} noenhanced"
        for i, name in enumerate(series)
    ]
    return gnuplot(blocks + _head(title, xlabel, ylabel, more) + "plot " + ", ".join(plots) + "\n")


def bars(title: str, ylabel: str, rows: list[tuple[str, float, float, float, bool]]) -> str:
    """A bar for each (name, value, low, high, peer), with its interval; peers in grey."""
    own = [(name, i, v, lo, hi) for i, (name, v, lo, hi, peer) in enumerate(rows) if not peer]
    others = [(name, i, v, lo, hi) for i, (name, v, lo, hi, peer) in enumerate(rows) if peer]
    tics = ", ".join(f"{_quote(name)} {i}" for i, (name, *_) in enumerate(rows))
    more = f"set style fill solid 0.8\nset boxwidth 0.7\nset xtics ({tics}) rotate by -35 noenhanced\n"
    more += f"set xrange [-0.6:{len(rows) - 0.4}]\nset bmargin 9\n"
    parts, blocks = [], ""
    for number, (name, data, colour) in enumerate((("sluice", own, "#1f77b4"), ("others", others, "#aaaaaa"))):
        if data:
            blocks += _block(number, data)
            parts.append(f"$d{number} using 2:3 with boxes lc rgb '{colour}' title '{name}'")
            parts.append(f"$d{number} using 2:3:4:5 with yerrorbars pt 0 lc rgb 'black' notitle")
    return gnuplot(blocks + _head(title, "", ylabel, more) + "plot " + ", ".join(parts) + "\n")


def cumulative(title: str, xlabel: str, values: Sequence[float]) -> str:
    """Share of the values that are at most x."""
    ordered = sorted(values)
    rows = [(v, (i + 1) / len(ordered)) for i, v in enumerate(ordered)]
    return gnuplot(
        _block(0, rows) + _head(title, xlabel, "share of the files") + "plot $d0 using 1:2 with steps lw 2 notitle\n"
    )


def rates(title: str, series: dict[str, list[tuple[float, float]]], width: float) -> str:
    """Rates over time from samples (seconds, bytes): each point is the mean of the second (or so) that begins there."""
    data = {}
    for name, samples in series.items():
        rows, right = [], 0
        for when, value in samples:
            while right < len(samples) and samples[right][0] < when + width:
                right += 1
            if right == len(samples):
                break
            rows.append((when, (samples[right][1] - value) / (samples[right][0] - when) / 1e9))
        if rows:
            data[name] = rows
    if not data:
        raise ValueError(f"no push took longer than {width} s")
    blocks = "".join(_block(i, rows) for i, rows in enumerate(data.values()))
    parts = [f"$d{i} using 1:2 with lines lw 1.5 title {_quote(name)} noenhanced" for i, name in enumerate(data)]
    return gnuplot(blocks + _head(title, "seconds since the start", "GB/s of the store", "") + "plot " + ", ".join(parts) + "\n")


def scatter(title: str, xlabel: str, ylabel: str, rows: list[tuple[float, float]]) -> str:
    """Points beside the diagonal."""
    more = "set key off\nset xrange [0:*]\n"
    text = "plot $d0 using 1:2 with points pt 7 ps 0.5, x with lines dt 2 lc rgb '#888888'\n"
    return gnuplot(_block(0, rows) + _head(title, xlabel, ylabel, more) + text)


# --- from a report's cases


def _grouped(case: dict, x: str, by: str | None, unit: str) -> dict[str, list[tuple]]:
    series: dict[str, list[tuple]] = {}
    for point in case["series"]:
        row = (point[x], point[unit], point[unit + "_low"], point[unit + "_high"])
        series.setdefault(point[by] if by else "sluice", []).append(row)
    return series


def _targets(case: dict) -> str:
    return lines("Throughput against targets, null sink", "targets", "GB/s of the store", _grouped(case, "targets", "kind", "gigabytes"), True)


def _sizes(case: dict) -> str:
    return lines("Throughput against packet size, null sink", "bytes on the wire", "GB/s of the store", _grouped(case, "size", "kind", "gigabytes"), True)


def _packets(case: dict) -> str:
    return lines("Packets against packet size, null sink", "bytes on the wire", "million packets/s", _grouped(case, "size", "kind", "million_packets"), True)


def _lcores(case: dict) -> str:
    rows = [(p["name"], p["gigabytes"], p["gigabytes_low"], p["gigabytes_high"], False) for p in case["series"]]
    return bars("Throughput against lcores, null sink", "GB/s of the store", rows)


def _lengths(case: dict) -> str:
    return lines("Throughput against the length of a filter, null sink", "hosts in the filter", "GB/s of the store", _grouped(case, "hosts", None, "gigabytes"), True)


def _files(case: dict) -> str:
    return lines("Throughput against the size of the files, tmpfs", "MB a file", "GB/s of the store", _grouped(case, "megabytes", None, "gigabytes"), True)


def _peers(case: dict) -> str:
    rows = [(p["name"], p["gigabytes_per_second"], p["low"], p["high"], p["peer"]) for p in case["series"]]
    rows = [row for row in rows if not row[0].startswith("memcpy")]
    return bars("Beside its peers: GB of the capture a second", "GB/s", rows)


def _latency(case: dict) -> str:
    return cumulative(
        "Publish latency, live", "seconds from the window's end to the final name", [p["latency"] for p in case["series"]]
    )


def _windows(case: dict) -> str:
    traces = {}
    for name, one in case["contenders"].items():
        if one.get("extra"):
            # the middle one of the runs by time
            middle = sorted(range(len(one["extra"])), key=lambda i: one["seconds"]["samples"][i])[len(one["extra"]) // 2]
            traces[name] = one["extra"][middle]["trace"]
    longest = max((t[-1][0] for t in traces.values() if t), default=0)
    width = 1.0 if longest > 3 else 0.25
    return rates(f"96 targets across windows: means of {width:g} s, the run of median time", traces, width)


def _model(case: dict) -> str:
    rows = [(p["seconds"], p["fitted"]) for p in case["series"]]
    return scatter("The model beside the runs it was fitted to", "measured seconds", "seconds by the model", rows)


PLOTS: dict[str, list[Callable[[dict], str]]] = {
    "targets": [_targets],
    "packet_size": [_sizes, _packets],
    "lcores": [_lcores],
    "filter_length": [_lengths],
    "file_size": [_files],
    "peers": [_peers],
    "publish_latency": [_latency],
    "window_96": [_windows],
    "model": [_model],
}


def draw(cases: dict[str, dict]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """SVGs by case, and why a plot is missing, by case."""
    found: dict[str, list[str]] = {}
    missing: dict[str, str] = {}
    for name, functions in PLOTS.items():
        if name not in cases:
            continue
        if not shutil.which("gnuplot"):
            missing[name] = "gnuplot is not installed (Debian package gnuplot-nox)"
            continue
        for function in functions:
            try:
                found.setdefault(name, []).append(function(cases[name]))
            except (ValueError, KeyError, IndexError) as error:
                missing[name] = str(error)
    return found, missing
