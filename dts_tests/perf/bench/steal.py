# SPDX-License-Identifier: BSD-3-Clause
"""Time that the hypervisor took away, from /proc/stat."""

from __future__ import annotations

LIMIT = 0.02


def parse(text: str) -> tuple[int, int]:
    """Ticks of all CPUs and ticks stolen, of a /proc/stat. guest is part of user, so it is not added again."""
    for line in text.splitlines():
        words = line.split()
        if words and words[0] == "cpu":
            ticks = list(map(int, words[1:9]))
            return sum(ticks), ticks[7] if len(ticks) > 7 else 0
    raise ValueError("/proc/stat has no line of all CPUs")


class Watch:
    """Share of the CPUs' time stolen since it was made."""

    def __init__(self, path: str = "/proc/stat"):
        self.path = path
        self.total, self.stolen = self._now()

    def _now(self) -> tuple[int, int]:
        with open(self.path, encoding="ascii") as file:
            return parse(file.read())

    def share(self) -> float:
        """0 if the clock of ticks has not moved."""
        total, stolen = self._now()
        return (stolen - self.stolen) / (total - self.total) if total > self.total else 0.0
