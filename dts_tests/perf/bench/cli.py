# SPDX-License-Identifier: BSD-3-Clause
"""The command: which cases, how much, where the report goes."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import shlex
import signal
import sys
import tempfile
import time
from datetime import datetime, timezone
from typing import Callable, Iterable

from framework import fs
from framework.exception import TestCaseVerifyError

from . import cases_bars, cases_other, cases_scale, compare, expect, inputs, machine, model, report, steal  # noqa: F401
from .inputs import Refused, Wrong, need_tool
from .lab import CASES, Lab, Result, Settings
from .runner import LEAST_RUNS, Runner

DONE, FAILED, REFUSED = 0, 1, 2

# Those that share an input follow each other: an input of 8 GB takes a minute to make.
ORDER = (
    "null_one", "filters_96", "disk", "disk_same", "groups_96", "window_96", "tmpfs_256", "small_64", "adversarial_96",
    "start_stop", "publish_latency", "peers", "lcores", "filter_length", "file_size", "targets", "packet_size", "model",
)  # fmt: skip


def choose(only: Iterable[str], cases: Iterable[str] = ORDER) -> list[str]:
    """Cases by name or by the beginning of a name, in order; Refused for one that is none."""
    wanted = list(only)
    for word in wanted:
        if not any(name.startswith(word) for name in cases):
            raise Refused(f"--only {word}: no such case; --list shows them")
    return [name for name in cases if not wanted or any(name.startswith(word) for word in wanted)]


def memory_need(names: list[str], settings: Settings) -> int:
    """Bytes that the largest of the cases has on tmpfs, and what must be left."""
    times = {"peers": 3.8, "file_size": 3.1, "start_stop": 0, "publish_latency": 0}
    sizes = [
        int(settings.bytes * 2.1) if CASES[n].kind == "bar" and n not in times else int(settings.scale_bytes * times.get(n, 2))
        for n in names
    ]
    return max(sizes) + inputs.SLACK


def measure(
    names: list[str],
    settings: Settings,
    tmpfs: str,
    disk: str,
    say: Callable[[str], None],
    command: str,
    watch: Callable = steal.Watch,
) -> dict:
    """Run cases and return the report."""
    for name in ("make_traffic", "pcap_sum"):
        need_tool(name)
    runner = Runner(settings.runs, say, watch)
    lab = Lab(tmpfs, disk, settings, runner, say)
    begun, started = time.monotonic(), datetime.now(timezone.utc).isoformat(timespec="seconds")
    found = {
        "format": "sluice-bench-1",
        "started": started,
        "command": command,
        "settings": dataclasses.asdict(settings),
        "machine": machine.record(disk, tmpfs),
        "cases": {},
    }
    for name in names:
        case = CASES[name]
        case_begun = time.monotonic()
        say(f"{name}: {case.title}")
        try:
            result, refused = case.run(lab), None
        except Refused as why:
            # Memory that somebody else took meanwhile: what was measured before is not thrown away.
            say(f"   refused: {why}")
            result, refused = Result(notes=[f"Not measured: {why}"]), str(why)
        found["cases"][name] = {
            "title": case.title,
            "kind": case.kind,
            **dataclasses.asdict(result),
            "refused": refused,
            "case_seconds": round(time.monotonic() - case_begun, 1),
        }
    found["inputs"] = lab.inputs.records
    found["absent"] = lab.absent
    found["steal"] = {"limit": steal.LIMIT, "discarded": runner.discarded}
    found["bars"] = expect.judge(expect.load(), found["cases"])
    if "model" in found["cases"]:
        found["model"] = found["cases"]["model"]["more"].pop("model")
        rate = max(lab.fio.sweeps.get("write", {"": 0.0}).values()) or None
        found["extrapolation"] = model.extrapolate(found["model"], rate)
    found["seconds"] = time.monotonic() - begun
    return found


def judge_comparison(old_path: str, new: dict) -> int:
    """Put the comparison into a report. Returns an exit status."""
    old = compare.load(old_path)
    differ = compare.differences(old, new)
    if differ:
        print(f"bench: {old_path} cannot be compared:\n  " + "\n  ".join(differ), file=sys.stderr)
        return REFUSED
    rows = compare.compare(old, new)
    new["comparison"] = {"old": old_path, "tolerance": compare.TOLERANCE, "rows": rows}
    return FAILED if any(row["verdict"] == "regression" for row in rows) else DONE


def parser() -> argparse.ArgumentParser:
    """The options."""
    words = argparse.ArgumentParser(
        prog="devtools/bench",
        description="Measure sluice beside its peers and write a report. Exit status: 0 done, 1 a result was wrong or "
        "--compare found a regression (or --judge a missed bar), 2 refused.",
    )
    words.add_argument("--quick", action="store_true", help="two minutes: small inputs, few runs; judges nothing")
    words.add_argument("--only", action="append", default=[], metavar="NAME", help="this case, or all that begin so")
    words.add_argument("--list", action="store_true", help="name the cases and exit")
    words.add_argument("--compare", metavar="OLD.json", help="mark what became slower since that report")
    words.add_argument("--report", metavar="NEW.json", help="with --compare: measure nothing, compare this report")
    words.add_argument("--judge", action="store_true", help="exit 1 if a bar is missed or was not measured")
    words.add_argument("--runs", type=int, help=f"timed runs of each contender (default 7, at least {LEAST_RUNS})")
    words.add_argument("--bytes", type=float, help="size of the captures of the bars (default 8e9)")
    words.add_argument("--scale-bytes", type=float, help="size of the captures of all other cases (default 2e9)")
    words.add_argument("--seed", type=int, help="of the traffic (default 1)")
    words.add_argument("--disk", default=fs.DISK, help=f"directory on the disk to write to (default {fs.DISK})")
    words.add_argument("--tmpfs", default=fs.TMPFS, help=f"directory on tmpfs (default {fs.TMPFS})")
    words.add_argument("--out", help="where the report goes (default out/bench/<time>)")
    return words


def settings_of(options: argparse.Namespace) -> Settings:
    """What the options ask for."""
    settings = Settings.quickly() if options.quick else Settings()
    for name in ("runs", "seed"):
        if getattr(options, name) is not None:
            setattr(settings, name, getattr(options, name))
    for name in ("bytes", "scale_bytes"):
        if getattr(options, name) is not None:
            setattr(settings, name, int(getattr(options, name)))
    if settings.runs < (1 if options.quick else LEAST_RUNS):
        raise Refused(f"--runs {settings.runs}: at least {LEAST_RUNS}, or --quick")
    if min(settings.bytes, settings.scale_bytes) < 10_000_000:
        raise Refused("--bytes and --scale-bytes: at least 1e7, or a push is over before it can be timed")
    return settings


@contextlib.contextmanager
def directories(options: argparse.Namespace):
    """One on tmpfs, one on the disk; removed afterwards."""
    if fs.fs_type(options.tmpfs) != "tmpfs":
        raise Refused(f"{options.tmpfs} is not on tmpfs: name a directory that is, with --tmpfs")
    with tempfile.TemporaryDirectory(prefix="sluice-bench-", dir=options.tmpfs) as tmpfs:
        with tempfile.TemporaryDirectory(prefix="sluice-bench-", dir=options.disk) as disk:
            yield tmpfs, disk


def _run(options: argparse.Namespace, command: str) -> int:
    old = compare.load(options.compare) if options.compare else None
    if options.report:
        if not old:
            raise Refused("--report NEW.json is for --compare OLD.json")
        found = compare.load(options.report)
        status = judge_comparison(options.compare, found)
        if status != REFUSED:
            print(compare.table(found["comparison"]["rows"]))
        return status
    names, settings = choose(options.only), settings_of(options)
    directory = options.out or os.path.join("out", "bench", datetime.now().strftime("%Y%m%d_%H%M%S"))
    with directories(options) as (tmpfs, disk):
        need, free = memory_need(names, settings), inputs.memory_available()
        if free < need:
            raise Refused(
                f"{need / 1e9:.1f} GB of memory are needed, {free / 1e9:.1f} GB are available: end what uses it, or ask for "
                "less with --bytes and --scale-bytes"
            )
        if old:
            # What can be known before an hour has passed.
            early = {**old, "machine": machine.record(disk, tmpfs), "settings": dataclasses.asdict(settings)}
            if differ := compare.differences(old, early):
                raise Refused(f"{options.compare} cannot be compared:\n  " + "\n  ".join(differ))
        found = measure(names, settings, tmpfs, disk, lambda text: print(text, file=sys.stderr, flush=True), command)
    status = judge_comparison(options.compare, found) if old else DONE
    report.write(found, directory)
    print(report.text(found))
    print(f"\n{found['seconds']:.0f} s, {found['steal']['discarded']} runs discarded for steal time: {directory}/report.html")
    if any(case["refused"] for case in found["cases"].values()):
        return REFUSED
    if options.judge and not all(bar["pass"] for bar in found["bars"]):
        return status or FAILED
    return status


def _terminated(*_: object) -> None:
    """SIGTERM: directories are removed and children end, as with an interrupt."""
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    """Exit status."""
    options = parser().parse_args(arguments)
    if options.list:
        for name in ORDER:
            print(f"{name:16} {CASES[name].kind:6} {CASES[name].title}")
        return DONE
    signal.signal(signal.SIGTERM, _terminated)
    try:
        return _run(options, shlex.join(["devtools/bench", *(sys.argv[1:] if arguments is None else arguments)]))
    except (Refused, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return REFUSED
    except (Wrong, TestCaseVerifyError) as error:
        print(f"bench: a result is wrong, there is no report: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return FAILED
