# SPDX-License-Identifier: BSD-3-Clause
"""report.json, the performance JSON of DTS, and the page report.html, which needs nothing from outside."""

from __future__ import annotations

import html
import json
import os
from typing import Any

from . import compare, plots

STYLE = """
body{font:14px/1.45 sans-serif;max-width:1100px;margin:1.5em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:.6em 0}
td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}
th{background:#f2f2f2}
.pass{background:#e2f4e2}.miss{background:#fbe3e0}.none{background:#eee}
.calculated{border-left:4px solid #c80;padding-left:1em}
code,pre{font:12px monospace;white-space:pre-wrap;word-break:break-all}
details{margin:.4em 0}
svg{max-width:100%;height:auto;display:block;margin:.6em 0}
"""


def write_json(report: dict, path: str) -> None:
    """All of it."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
        file.write("\n")


def dts(report: dict) -> dict:
    """As TestSuite_single_core_forward_perf of DPDK's DTS writes it: parameters with what was measured beside them."""
    return {
        "results": report["bars"],
        "commit": report["machine"]["source"]["commit"],
        "dirty": report["machine"]["source"]["dirty"],
        "quick": report["settings"]["quick"],
    }


# --- HTML


def _text(value: Any) -> str:
    if isinstance(value, dict) and set(value) == {"value", "reason"}:
        return f"null ({value['reason']})"
    return value if isinstance(value, str) else json.dumps(value)


def _cell(value: Any) -> str:
    if value is None:
        return "<td>null</td>"
    if isinstance(value, bool):
        return f"<td>{'yes' if value else 'no'}</td>"
    if isinstance(value, (int, float)):
        return f'<td class="n">{value:,.4g}</td>' if isinstance(value, float) else f'<td class="n">{value:,}</td>'
    return f"<td>{html.escape(_text(value))}</td>"


def _table(heads: list[str], rows: list[list], classes: list[str] | None = None) -> str:
    out = ["<table><tr>" + "".join(f"<th>{html.escape(h)}</th>" for h in heads) + "</tr>"]
    for i, row in enumerate(rows):
        kind = f' class="{classes[i]}"' if classes else ""
        out.append(f"<tr{kind}>" + "".join(_cell(v) for v in row) + "</tr>")
    return "\n".join(out) + "</table>"


def _verdict(bar: dict) -> str:
    return "null: " + bar["reason"] if bar["pass"] is None else "reached" if bar["pass"] else "missed"


def _bars(report: dict) -> str:
    rows, classes = [], []
    for bar in report["bars"]:
        sense = "≥" if bar["sense"] == "at_least" else "≤"
        interval = f"{bar['low']:.3g} to {bar['high']:.3g}" if bar.get("low") is not None else None
        rows.append([bar["title"], f"{sense} {bar['expected']}", bar["measured"], interval, _verdict(bar)])
        classes.append("none" if bar["pass"] is None else "pass" if bar["pass"] else "miss")
    return _table(["what", "to reach", "measured", "95 % interval", "verdict"], rows, classes)


def _contenders(case: dict) -> str:
    rows = []
    for name, one in case["contenders"].items():
        seconds = one.get("seconds")
        if not seconds:
            rows.append([name, None, None, None, None, None, None, len(one["discarded"]), one.get("reason", "")])
            continue
        interval = seconds["interval"]
        rows.append(
            [
                name,
                seconds["median"],
                seconds["min"],
                seconds["max"],
                f"{interval['low']:.4g} to {interval['high']:.4g} ({interval['coverage']:.1%})",
                one.get("bytes_per_second", 0) / 1e9 or None,
                one.get("packets_per_second", 0) / 1e6 or None,
                f"{len(one['discarded'])} of {len(one['discarded']) + one['valid_runs']}",
                one["what"],
            ]
        )
    heads = ["contender", "median s", "min", "max", "interval of the median (coverage)", "GB/s in", "M packets/s in"]
    return _table(heads + ["discarded for steal", "the time is"], rows)


def _case(name: str, case: dict, drawn: list[str], why_not: str | None) -> str:
    parts = [f'<h3 id="{name}">{html.escape(case["title"])} <code>{name}</code></h3>', _contenders(case)]
    if case["ratios"]:
        rows = [[k, v["value"], v.get("low"), v.get("high"), v.get("method", v.get("reason"))] for k, v in case["ratios"].items()]
        parts.append(_table(["figure", "value", "low", "high", "interval by"], rows))
    parts += drawn
    if why_not:
        parts.append(f"<p>No plot: {html.escape(why_not)}.</p>")
    parts += [f"<p>{html.escape(note)}</p>" for note in case["notes"]]
    parts.append(f"<p>Inputs: {html.escape(', '.join(case['inputs']) or 'made live')}.</p>")
    commands = []
    for contender, one in case["contenders"].items():
        for words in one.get("commands", [])[:2]:
            commands.append(f"{contender}: {' '.join(words)}")
        if len(one.get("commands", [])) > 2:
            commands.append(f"{contender}: ... {len(one['commands'])} commands, all in report.json")
    parts.append("<details><summary>commands</summary><pre>" + html.escape("\n".join(commands)) + "</pre></details>")
    return "\n".join(parts)


def _model(report: dict) -> str:
    model = report.get("model")
    if not model:
        return ""
    parts = ["<h2>Cost model, fitted to measurements</h2>", f"<p><code>{html.escape(model['formula'])}</code></p>"]
    fits = [("four terms, first to last dispatch", model["four_terms"]),
            ("with a fifth: e x bytes of matches", model["with_matched_bytes"])]  # fmt: skip
    fits += [(f"stage {name}, by its own account of busy time", found) for name, found in model["stages"].items()]
    for title, found in fits:
        if not found.get("terms"):
            parts.append(f"<p>{title}: null ({html.escape(found['reason'])})</p>")
            continue
        rows = [
            [name, t["value"], t["low"], t["high"], found["units"][name], model["meaning"][name]]
            for name, t in found["per_unit"].items()
        ]
        parts.append(f"<p>{title}: {found['observations']} runs, R² {found['r_squared']:.5f}, "
                     f"worst residual {found['worst_relative_residual']:.1%}; {html.escape(found['method'])}.</p>")
        parts.append(_table(["term", "value", "low", "high", "unit", "meaning"], rows))
    return "\n".join(parts)


def _extrapolation(report: dict) -> str:
    found = report.get("extrapolation")
    if not found:
        return ""
    if not found.get("rows"):
        return f"<h2>Larger machines</h2><p>null: {html.escape(found['reason'])}</p>"
    parts = ['<div class="calculated"><h2>Larger machines: calculated, not measured</h2>']
    parts.append("<ul>" + "".join(f"<li>{html.escape(a)}</li>" for a in found["assumptions"]) + "</ul>")
    keys = ["traffic", "copies_of_a_packet", "cores", "sink", "filters", "writers", "wire_gbps", "reaches_100",
            "reaches_400", "breaks_first"]  # fmt: skip
    heads = ["traffic", "copies of a packet", "cores", "sink", "filter lcores", "writer lcores", "Gb/s on the wire",
             "100 Gb/s", "400 Gb/s", "breaks first"]  # fmt: skip
    parts.append(_table(heads, [[row[k] for k in keys] for row in found["rows"]]))
    keys = ["traffic", "wire_gbps", "packets_per_second", "bytes_per_second", "reader_lcores", "filter_lcores",
            "writer_lcores_a_copy", "memory_bytes_per_second_one_copy", "disks_as_measured_here"]  # fmt: skip
    heads = ["traffic", "Gb/s", "packets/s", "bytes/s", "reader lcores", "filter lcores", "writer lcores a copy",
             "memory bytes/s, one copy", "disks as here a copy"]  # fmt: skip
    parts.append(_table(heads, [[row[k] for k in keys] for row in found["needs"]]))
    return "\n".join(parts) + "</div>"


def _comparison(report: dict) -> str:
    found = report.get("comparison")
    if not found:
        return ""
    kind = {"regression": "miss", "faster": "pass"}
    rows = [[r["case"], r["contender"], r.get("old"), r.get("new"), r["change"], r["verdict"]] for r in found["rows"]]
    heads = ["case", "contender", "old median s", "new median s", "change", "verdict"]
    return (
        f"<h2>Against {html.escape(found['old'])}</h2>"
        + f"<p>A regression is more than {found['tolerance']:.0%} slower with intervals apart.</p>"
        + _table(heads, rows, [kind.get(r["verdict"], "none") for r in found["rows"]])
    )


def page(report: dict) -> str:
    """The whole page."""
    drawn, why_not = plots.draw(report["cases"])
    source = report["machine"]["source"]
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8"><title>sluice: performance report</title>',
        f"<style>{STYLE}</style></head><body>",
        "<h1>sluice: performance report</h1>",
        f"<p>{html.escape(report['started'])}, {report['seconds']:.0f} s, commit <code>{html.escape(_text(source['commit']))}"
        f"</code>{' with changes in the tree' if source['dirty'] else ''}, <code>{html.escape(report['command'])}</code></p>",
    ]
    if report["settings"]["quick"]:
        parts.append("<p><b>Quick run: small inputs and few runs. It shows that everything works; it judges nothing.</b></p>")
    parts.append(
        f"<p>Every contender ran once to warm up and then {report['settings']['runs']} times, in turn with the others of its "
        f"case. Runs with more than {report['steal']['limit']:.0%} steal time were discarded and repeated: "
        f"{report['steal']['discarded']} of them.</p>"
    )
    parts += ["<h2>Bars</h2>", _bars(report)]
    if report["absent"]:
        parts.append("<h2>Not measured beside</h2>")
        parts.append(_table(["contender", "why"], [[k, v] for k, v in report["absent"].items()]))
    parts.append(_comparison(report))
    parts.append("<h2>Measurements</h2>")
    for name, case in report["cases"].items():
        parts.append(_case(name, case, drawn.get(name, []), why_not.get(name)))
    parts += [_model(report), _extrapolation(report)]
    parts.append("<h2>Inputs</h2>")
    rows = [[k, i["packets"], i["bytes_of_records"], i["sha256"], " ".join(i["command"])] for k, i in report["inputs"].items()]
    parts.append(_table(["input", "packets", "bytes of records", "SHA-256", "command"], rows))
    parts.append("<h2>Machine and build</h2>")
    parts.append(_table(["", ""], [[k, v] for k, v in report["machine"].items()]))
    return "\n".join(parts) + "</body></html>\n"


def write(report: dict, directory: str) -> None:
    """All three files."""
    os.makedirs(directory, exist_ok=True)
    write_json(report, directory + "/report.json")
    write_json(dts(report), directory + "/performance_metrics.json")
    with open(directory + "/report.html", "w", encoding="utf-8") as file:
        file.write(page(report))


def text(report: dict) -> str:
    """The bars as text."""
    lines = []
    for bar in report["bars"]:
        sense = ">=" if bar["sense"] == "at_least" else "<="
        got = "     null" if bar["measured"] is None else f"{bar['measured']:9.3f}"
        lines.append(f"{got}  {sense} {bar['expected']:<5g} {_verdict(bar):8}  {bar['title']}")
    if report.get("comparison"):
        lines += ["", compare.table(report["comparison"]["rows"])]
    return "\n".join(lines)
