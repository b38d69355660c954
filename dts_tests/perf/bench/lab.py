# SPDX-License-Identifier: BSD-3-Clause
"""What the cases share: directories, sizes, inputs, the runner, and the list of the cases themselves."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Callable

from framework import run

from . import contenders, peers, stats
from .contenders import Push
from .inputs import Input, Inputs, Sum
from .runner import Contender, Runner, samples


@dataclass
class Settings:
    """How much is measured.

    Attributes:
        quick: Small inputs and few runs: shows that everything works, judges nothing.
        runs: Timed runs of each contender.
        bytes: Size of the inputs of the bars.
        scale_bytes: Size of the inputs of the series and the peers.
        seed: Of the traffic.
        pause: Seconds of rest before a run that writes to a disk.
        live_seconds: How long the live capture of the publish latency takes.
    """

    quick: bool = False
    runs: int = 7
    bytes: int = 8_000_000_000
    scale_bytes: int = 2_000_000_000
    seed: int = 1
    live_seconds: int = 30
    pause: float = 4.0

    @classmethod
    def quickly(cls) -> Settings:
        """For --quick."""
        return cls(True, 2, 200_000_000, 100_000_000, 1, 4, 0.0)


@dataclass
class Result:
    """What a case found.

    Attributes:
        contenders: By name, what Runner.measure() returned.
        ratios: By name: value with its interval, or null with the reason.
        series: Points for plots: list of mappings.
        notes: Sentences for the report.
        inputs: Keys of the inputs.
        more: Anything else for the report.
    """

    contenders: dict[str, dict] = field(default_factory=dict)
    ratios: dict[str, dict] = field(default_factory=dict)
    series: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    def ratio(self, name: str, above: str, below: str) -> None:
        """A ratio of two contenders' times, above / below."""
        a, b = (samples(self.contenders.get(one, {})) for one in (above, below))
        if a and b:
            self.ratios[name] = stats.ratio(a, b)
        else:
            lost = [one for one, values in ((above, a), (below, b)) if not values]
            self.ratios[name] = missing_ratio(f"not measured: {', '.join(lost)}")

    def value(self, name: str, values: list[float], per: Callable[[float], float] = float) -> None:
        """A figure of one contender that has a bar by itself."""
        if not values:
            self.ratios[name] = missing_ratio("no valid run")
            return
        found = stats.summary([per(v) for v in values])
        self.ratios[name] = {
            "value": found["median"],
            "low": found["interval"]["low"],
            "high": found["interval"]["high"],
            "method": found["interval"]["method"],
            "samples": found["samples"],
        }


def missing_ratio(reason: str) -> dict:
    """A ratio that there is not."""
    return {"value": None, "reason": reason}


class Lab:
    """Where the cases run."""

    def __init__(self, tmpfs: str, disk: str, settings: Settings, runner: Runner, say: Callable[[str], None]):
        self.tmpfs, self.disk, self.settings, self.runner, self.say = tmpfs, disk, settings, runner, say
        contenders.pause[0] = settings.pause
        self.inputs = Inputs(tmpfs, disk, say, keep=1_000_000_000)
        self.fio = peers.Fio(disk, min(settings.bytes, 1 << 30), settings.quick)
        self.absent: dict[str, str] = dict(peers.LEFT_OUT)
        self.cpus = sorted(os.sched_getaffinity(0))

    def input(self, profile: str, size: int | None = None, **named: Any) -> Input:
        """An input of the bars' size, or another."""
        return self.inputs.get(profile, size or self.settings.bytes, self.settings.seed, **named)

    def push(self, item: Input, texts: list[str | None], expected: list[Sum], **named: Any) -> Push:
        """A push of an input to a target for each filter."""
        return Push(self.disk, item, texts, expected, **named)

    def peer(self, name: str, make: Callable[[], Contender | None], *programs: str) -> list[Contender]:
        """A peer, or nothing if a program of its is not installed, which the report then says."""
        lost = [program for program in programs if not peers.installed(program)]
        if lost:
            self.absent[name] = f"not installed: {', '.join(lost)}"
            return []
        contender = make()
        if contender is None:
            self.absent[name] = "not built"
            return []
        return [contender]

    def memcpy(self, item: Input) -> list[Contender]:
        """The memory's own rate."""
        if self.settings.quick:
            self.absent["memcpy, 1 core"] = "takes too long for --quick"
            return []
        return self.peer("memcpy, 1 core", lambda: peers.memcpy(item))

    def measure(self, result: Result, pushes: dict[str, Push], others: list[Contender] = ()) -> None:
        """Verify every push by CRC, then time all of them, interleaved."""
        for name, push in pushes.items():
            self.say(f"   verifying {name}")
            push.check()
            result.inputs += [push.item.key] if push.item.key not in result.inputs else []
        self.say(f"   timing {', '.join([*pushes, *(c.name for c in others)])}")
        found = self.runner.measure([push.contender(name) for name, push in pushes.items()] + list(others))
        for name, push in pushes.items():
            found[name]["matched"] = {
                "packets": sum(s.packets for s in push.expected),
                "bytes": sum(s.bytes for s in push.expected),
            }
            found[name]["targets"] = len(push.texts)
            found[name]["verified"] = "packets and bytes of each target in every run; CRC-32 of each in a run before"
        result.contenders.update(found)

    def two_maps(self) -> tuple[str, str]:
        """All on one CPU, and the writer on another one (the same one if there is no other)."""
        a, b = self.cpus[0], self.cpus[-1]
        return f"all@{a}", f"reader+filter@{a},writer@{b}"


@dataclass
class Case:
    """A case of the suite."""

    name: str
    title: str
    kind: str
    run: Callable[[Lab], Result]


CASES: dict[str, Case] = {}


def case(name: str, title: str, kind: str) -> Callable:
    """Register a case; kind is bar, scale or other."""

    def register(function: Callable[[Lab], Result]) -> Callable[[Lab], Result]:
        CASES[name] = Case(name, title, kind, function)
        return function

    return register


def verdict_cache_off() -> dict:
    """How the verdict cache is switched off in this build: environment and options, or why that cannot be done."""
    said = run.run([run.SLUICE, "push", "--help"], rc=None)
    if "--verdict-cache" in said.out + said.err:
        return {"options": ["--verdict-cache", "off"]}
    return {"reason": "this build of push has no --verdict-cache"}
