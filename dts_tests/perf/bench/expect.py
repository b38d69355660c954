# SPDX-License-Identifier: BSD-3-Clause
"""Bars: what tests_config.yaml expects of the ratios, judged as DPDK's DTS judges its throughput figures."""

from __future__ import annotations

import os

import yaml

CONFIG = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests_config.yaml")


def load(path: str | None = None) -> list[dict]:
    """The expectations of suite push_perf: $SLUICE_TESTS_CONFIG or the file of this directory."""
    path = path or os.environ.get("SLUICE_TESTS_CONFIG", CONFIG)
    with open(path, encoding="utf-8") as file:
        suite = yaml.safe_load(file)["push_perf"]
    found = []
    for one in suite["test_parameters"]:
        if one.get("sense") not in ("at_least", "at_most"):
            raise ValueError(f"{path}: {one.get('metric')}: sense is at_least or at_most")
        found.append({"delta_tolerance": suite["delta_tolerance"], **one})
    return found


def judge(expectations: list[dict], cases: dict[str, dict]) -> list[dict]:
    """Each expectation whose case was run, with what was measured, its delta and whether it passes.

    performance_delta is (measured - expected) / expected, as in DTS; at_least passes from -delta_tolerance up, at_most
    up to delta_tolerance. What was not measured does not pass: pass is null, with the reason.
    """
    found = []
    for one in expectations:
        case, _, name = one["metric"].partition(".")
        if case not in cases:
            continue
        why = cases[case].get("refused") or "the case has no such ratio"
        got = cases[case]["ratios"].get(name, {"value": None, "reason": why})
        row = {**one, "measured": got["value"], "performance_delta": None, "pass": None}
        if got["value"] is None:
            row["reason"] = got["reason"]
        else:
            delta = (got["value"] - one["expected"]) / one["expected"]
            tolerance = one["delta_tolerance"]
            row["performance_delta"] = round(delta, 4)
            row["pass"] = delta >= -tolerance if one["sense"] == "at_least" else delta <= tolerance
            row["low"], row["high"] = got["low"], got["high"]
        found.append(row)
    return found
