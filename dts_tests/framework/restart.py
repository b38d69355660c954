# SPDX-License-Identifier: BSD-3-Clause
"""Pushes that end before their time and are started again, and what their files must be then."""

from __future__ import annotations

import os
import shutil

from . import lua, run

CAPTURE = "traffic"
COMMON = {"FollowStart": True, "TimeZone": "UTC"}


class Push:
    """A push of its own: output, state directory, configuration.

    Args:
        directory: Where they are made.
        store: What is pushed.
        large: It is a large capture, for one target that splits by time only.
        data: Where output and state directory are, if that is not the same place.
        targets: Targets of lua.target(); the default is three whose files collide and are split by bytes, time and both.
    """

    def __init__(
        self, directory: str, store: str, large: bool = False, data: str | None = None, targets: list | None = None
    ):
        self.directory, self.store = directory, store
        self.out = os.path.join(data or directory, "out")
        self.state = os.path.join(data or directory, "state")
        self.log = os.path.join(directory, "log")
        os.makedirs(directory, exist_ok=True)
        if targets is None:
            targets = self.large_targets() if large else self.small_targets()
        self.config = lua.write_config(os.path.join(directory, "c.lua"), targets)

    def small_targets(self) -> list:
        """Three targets, split by time, bytes, and both."""
        owner = f"-Z {os.getuid()}.{os.getgid()}"
        return [
            lua.target("time", f"{self.out}/time/%H%M/x", **COMMON, SplitCmd=owner),
            # a minute holds several files: all but the first get _1, _2 ...
            lua.target("bytes", f"{self.out}/x", **COMMON, Split="--split-byte 100e3", FileName="--filename-tstr-HHMM"),
            lua.target("both", f"{self.out}/both/x", **COMMON, Split="--split-time 100e9 --split-byte 150e3"),
        ]

    def large_targets(self) -> list:
        """One target that splits by the day."""
        return [lua.target("time", f"{self.out}/time/x", **COMMON, Split="--split-time 86400e9")]

    def once_command(self) -> list[str]:
        """Push all that is in the store."""
        words = ["push", "--once", "--no-huge", "--config", self.config, "--store", self.store]
        return [run.SLUICE, *words, "--state-dir", self.state]

    def once(self, crash: str | None = None, rc: int | None = 0) -> run.Result:
        """Push all that is in the store, or until it is killed at a point."""
        return run.run(self.once_command(), rc=rc, timeout=60, env={"SLUICE_CRASH": crash} if crash else None)

    def follow_command(self, *args: str) -> list[str]:
        """Push until stopped."""
        words = ["push", "--no-huge", "--config", self.config, "--store", self.store, "--capture", CAPTURE]
        return [run.SLUICE, *words, "--state-dir", self.state, "--log-dir", self.log, *args]

    def follow(self, *args: str) -> run.Process:
        """Start a following push."""
        return run.Process(self.follow_command(*args))

    def difference(self, expected: dict[str, bytes]) -> str:
        """What differs from the files of a push that was never killed; empty if nothing does."""
        found = run.read_tree(self.out)
        lines = [f"left behind: {name}" for name in found if name.endswith(".pending")]
        lines += [f"missing: {name}" for name in sorted(expected.keys() - found.keys())]
        lines += [f"not expected: {name}" for name in sorted(found.keys() - expected.keys())]
        for name in sorted(expected.keys() & found.keys()):
            if found[name] != expected[name]:
                lines.append(f"other bytes: {name} ({len(found[name])}, expected {len(expected[name])})")
        return "\n".join(lines)

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.directory)
