# SPDX-License-Identifier: BSD-3-Clause
"""Two reports: what became slower, and whether they may be compared at all."""

from __future__ import annotations

import json

from . import machine

TOLERANCE = 0.05
SETTINGS = ("quick", "bytes", "scale_bytes", "seed", "pause")
INPUT = ("profile", "seed", "bytes_of_records", "packets", "sha256")


def load(path: str) -> dict:
    """A report.json; ValueError if it is none."""
    try:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(report, dict) or report.get("format") != "sluice-bench-1":
        raise ValueError(f"{path}: not a report of this suite")
    return report


def differences(old: dict, new: dict) -> list[str]:
    """Why two reports may not be compared: one line for each field of the machine, the settings or an input."""
    found = []
    for field in machine.IDENTITY:
        a, b = machine.lookup(old["machine"], field), machine.lookup(new["machine"], field)
        if a != b:
            found.append(f"machine.{field}: {json.dumps(a)} was, {json.dumps(b)} is")
    for field in SETTINGS:
        a, b = old["settings"].get(field), new["settings"].get(field)
        if a != b:
            found.append(f"settings.{field}: {a} was, {b} is")
    for key in sorted(set(old["inputs"]) & set(new["inputs"])):
        for field in INPUT:
            a, b = old["inputs"][key].get(field), new["inputs"][key].get(field)
            if a != b:
                found.append(f"inputs.{key}.{field}: {a} was, {b} is")
    if not set(old["cases"]) & set(new["cases"]):
        found.append("cases: the reports have none in common")
    for name in sorted(set(old["cases"]) & set(new["cases"])):
        a, b = old["cases"][name]["inputs"], new["cases"][name]["inputs"]
        if a and b and sorted(a) != sorted(b):
            found.append(f"cases.{name}.inputs: {a} was, {b} is")
    return found


def compare(old: dict, new: dict, tolerance: float = TOLERANCE) -> list[dict]:
    """Each time that both reports have.

    A regression is a median that is more than `tolerance` longer and whose interval lies wholly above the old one. A
    peer that became slower is `drift`: the machine did, not sluice.
    """
    rows = []
    for name in sorted(set(old["cases"]) & set(new["cases"])):
        before, after = old["cases"][name]["contenders"], new["cases"][name]["contenders"]
        for contender in before:
            a, b = before[contender].get("seconds"), after.get(contender, {}).get("seconds")
            if not a or not b:
                if a and not after.get(contender, {}).get("peer", before[contender]["peer"]):
                    rows.append({"case": name, "contender": contender, "change": None, "verdict": "gone"})
                continue
            change = b["median"] / a["median"] - 1
            apart = b["interval"]["low"] > a["interval"]["high"]
            faster = b["interval"]["high"] < a["interval"]["low"]
            verdict = "same"
            if change > tolerance and apart:
                verdict = "drift" if before[contender]["peer"] else "regression"
            elif change < -tolerance and faster:
                verdict = "drift" if before[contender]["peer"] else "faster"
            rows.append(
                {
                    "case": name,
                    "contender": contender,
                    "old": a["median"],
                    "new": b["median"],
                    "change": change,
                    "verdict": verdict,
                }
            )
    return rows


def table(rows: list[dict]) -> str:
    """As text."""
    lines = []
    for row in rows:
        if row["change"] is None:
            lines.append(f"{row['verdict']:>10}          {row['case']}: {row['contender']}")
        else:
            lines.append(
                f"{row['verdict']:>10} {row['change']:+7.1%}  {row['case']}: {row['contender']}"
                f"  {row['old']:.4f} s -> {row['new']:.4f} s"
            )
    return "\n".join(lines)
