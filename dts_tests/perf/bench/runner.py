# SPDX-License-Identifier: BSD-3-Clause
"""Runs contenders in turn: interleaved, warmed up, without runs that the hypervisor disturbed."""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass, field
from typing import Callable, Iterator

from . import stats, steal

LEAST_RUNS = 5


@dataclass
class Run:
    """One run of a contender.

    Attributes:
        seconds: What is compared: of sluice on the null sink first to last dispatch, of all others see `what`.
        whole: The whole command, start and end included.
        commands: What was run.
        extra: Anything else that was seen, JSON-able.
    """

    seconds: float
    whole: float
    commands: list[list[str]] = field(default_factory=list)
    extra: dict = field(default_factory=dict)


@dataclass
class Contender:
    """Something that is timed.

    Attributes:
        name: As in tables.
        run: Does it once. It must verify its own result and raise if that is wrong.
        what: What `seconds` is.
        packets: Packets in, for rates; None if that says nothing.
        bytes: Bytes in.
        peer: Not sluice.
    """

    name: str
    run: Callable[[], Run]
    what: str
    packets: int | None = None
    bytes: int | None = None
    peer: bool = False


@contextlib.contextmanager
def alone(path: str | None) -> Iterator[None]:
    """Hold a lock while timing, if a lock file is named ($SLUICE_BENCH_LOCK): other work of this machine waits."""
    if not path:
        yield
        return
    with open(path, "a", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Runner:
    """Counts what was thrown away, too."""

    def __init__(
        self,
        runs: int,
        say: Callable[[str], None],
        watch: Callable[[], steal.Watch] = steal.Watch,
        steal_limit: float = steal.LIMIT,
        repeats: int = 10,
    ):
        self.runs, self.say, self.watch, self.steal_limit, self.repeats = runs, say, watch, steal_limit, repeats
        self.discarded = 0

    def _once(self, contender: Contender) -> tuple[Run, float]:
        with alone(os.environ.get("SLUICE_BENCH_LOCK")):
            watch = self.watch()
            run = contender.run()
            return run, watch.share()

    def _valid(self, contender: Contender, into: dict) -> None:
        for _ in range(self.repeats + 1):
            run, share = self._once(contender)
            if share <= self.steal_limit:
                into["runs"].append((run, share))
                return
            into["discarded"].append({"seconds": run.seconds, "steal": share})
            self.discarded += 1
            self.say(f"   {contender.name}: {share:.1%} of the CPU time was stolen: run again")
        self.say(f"   {contender.name}: given up after {self.repeats + 1} disturbed runs")

    def measure(self, contenders: list[Contender]) -> dict[str, dict]:
        """Every contender once to warm up, then `runs` times, in turn. Returns what the report holds of each."""
        seen = {c.name: {"runs": [], "discarded": []} for c in contenders}
        for contender in contenders:
            self._once(contender)
        for turn in range(self.runs):
            # Not always the same one after another: what a run leaves behind hits each of them.
            order = contenders[turn % len(contenders) :] + contenders[: turn % len(contenders)]
            for contender in order:
                self._valid(contender, seen[contender.name])
        return {c.name: self._result(c, **seen[c.name]) for c in contenders}

    def _result(self, contender: Contender, runs: list[tuple[Run, float]], discarded: list[dict]) -> dict:
        result = {
            "what": contender.what,
            "peer": contender.peer,
            "discarded": discarded,
            "valid_runs": len(runs),
            "packets": contender.packets,
            "bytes": contender.bytes,
        }
        if not runs:
            return {**result, "seconds": None, "reason": f"all {len(discarded)} runs had too much steal time"}
        seconds = stats.summary([run.seconds for run, _ in runs])
        result.update(
            seconds=seconds,
            whole_seconds=stats.summary([run.whole for run, _ in runs]),
            steal=[round(share, 5) for _, share in runs],
            commands=runs[0][0].commands,
            extra=[run.extra for run, _ in runs],
        )
        if contender.bytes:
            result["bytes_per_second"] = contender.bytes / seconds["median"]
        if contender.packets:
            result["packets_per_second"] = contender.packets / seconds["median"]
        return result


def samples(result: dict) -> list[float]:
    """The samples of a contender's result; empty if it has none."""
    return result["seconds"]["samples"] if result.get("seconds") else []
