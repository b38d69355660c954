# SPDX-License-Identifier: BSD-3-Clause
"""`sluice scheduler`: when pushes run, and what happens to them.

The oracle for times is Python's zoneinfo, which reads the tz database by itself; for steps of the clock, libfaketime under the
running program; for packets, those that were sent.
"""

import os
import random
import signal
import tempfile
import time
from datetime import date, datetime, timedelta, timezone
from typing import Any, Iterator
from zoneinfo import ZoneInfo, available_timezones

from api.test import verify
from framework import lua, oracle, pcap, run, traffic
from framework.test_suite import TestSuite, func_test

DAY = 86400
DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
# Half-hour and two-hour changes, changes at midnight, daylight saving that is winter time, twice a year for a fast, none at all.
ZONES = (
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Antarctica/Troll", "Asia/Beirut", "America/Havana",
    "Africa/Cairo", "America/Santiago", "Europe/Dublin", "Africa/Casablanca", "Pacific/Chatham", "America/St_Johns",
    "Asia/Kathmandu", "UTC",
)
# (start, stop), seconds of the day: usual ones, over midnight, whole days, at and around the hours that clocks leave out or repeat.
WINDOWS = (
    (8 * 3600, 18 * 3600), (17 * 3600, DAY - 1), (22 * 3600, 6 * 3600), (0, 0), (2 * 3600 + 1800, 2 * 3600 + 1800), (0, DAY),
    (7800, 10200), (5400, 9000), (9000, 12600), (3600, 7200), (1800, 5400), (DAY - 1800, 1800), (DAY - 1, 1), (2 * 3600, 3 * 3600),
)
ENDLESS = 10 * DAY


# ------------------------------------------------------------------------------------------------ the model


def moment(local: datetime, zone: ZoneInfo, last: bool) -> int:
    """A local time as seconds since 1970: the first or last of two, the change itself where there is none."""
    early, late = sorted(int(local.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1))
    if datetime.fromtimestamp(early, zone).replace(tzinfo=None) == local:
        return late if last else early
    if early == late:
        return early
    # In a gap the two are the times by the offsets before and behind it; the change lies between them.
    low, high = early - 1, late
    offset = datetime.fromtimestamp(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high


def runs(zone: ZoneInfo, days: set[int], start: int, stop: int, first: date, count: int) -> list[list[int]]:
    """All runs that begin on `count` days from `first` on, those that touch made one."""
    found: list[list[int]] = []
    for number in range(count):
        day = first + timedelta(days=number)
        if (day.weekday() + 1) % 7 not in days:
            continue
        midnight = datetime(day.year, day.month, day.day)
        begin = moment(midnight + timedelta(seconds=start), zone, False)
        end = moment(midnight + timedelta(seconds=stop + (0 if stop > start else DAY)), zone, True)
        if begin >= end:
            continue
        if found and begin <= found[-1][1]:
            found[-1][1] = max(found[-1][1], end)
        else:
            found.append([begin, end])
    return found


def changes(zone: ZoneInfo, begin: int, end: int) -> Iterator[int]:
    """The moments at which a zone's offset changes."""

    def offset(at: int) -> Any:
        return datetime.fromtimestamp(at, zone).utcoffset()

    for day in range(begin, end, DAY):
        low, high = day, day + DAY
        if offset(low) == offset(high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
        yield high


# ------------------------------------------------------------------------------------------------ schedules


def clock(seconds: int) -> str:
    """HH:MM:SS"""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def write_schedule(path: str, rows: list[dict[str, Any]]) -> str:
    """Write a schedule of rows, each a mapping of fields."""
    lines = ["local S = {Row = {}}"]
    for row in rows:
        lines += ["table.insert(S.Row,", "{"] + [f"    {name} = {lua.value(item)}," for name, item in row.items()] + ["})"]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines + ["return S", ""]))
    return path


def listed(schedule: str, at: float | None = None, **kwargs: Any) -> dict[str, list[str]]:
    """`--list`: Desc -> state, next start, next stop, process, engine, configuration."""
    when = ["--at", str(at)] if at is not None else []
    result = run.sluice("scheduler", "--schedule", schedule, "--list", *when, **kwargs)
    rows = [line.split() for line in result.out.splitlines()[1:]]
    return {row[0]: row[1:] for row in rows}


def told(text: str) -> int | None:
    """A moment as --list shows it; None: never."""
    return None if text == "never" else int(datetime.fromisoformat(text).timestamp())


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def alive(pid: int) -> bool:
    """Is there such a process, and is it more than a zombie?"""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class TestSchedule(TestSuite):
    """Rows, clocks and processes."""

    def set_up_suite(self) -> None:
        """A store with a capture, and a runtime directory of our own, so that telemetry is nobody else's."""
        self.capture = traffic.make_traffic(f"{self.suite_dir}/in.pcap", packets=2000, duration=120, seed=3)
        self.packets = pcap.read_packets(self.capture)
        self.store = f"{self.suite_dir}/store"
        run.import_capture(self.store, self.capture)

    def _row(self, name: str, **fields: Any) -> dict[str, Any]:
        """A row that is always on unless it has a Start, with a configuration, state and log directory of its own."""
        base = f"{self.dir}/{name}"
        if not os.path.exists(f"{base}.lua"):
            target = lua.target("all", f"{base}.out/x", MinFree=0, OnStop="resume")
            lua.write_config(f"{base}.lua", [target], {"FollowStart": True})
        row = {
            "Desc": name, "Config": f"{base}.lua", "Store": self.store, "StateDir": f"{base}.state", "LogDir": f"{base}.log",
            "Options": "--no-huge --map all@0", "StopTimeout": 10, **fields,
        }
        return row if "Start" in row else {**row, "Always": True}

    def _start(self, rows: list[dict[str, Any]], name: str = "schedule.lua", **kwargs: Any) -> run.Process:
        schedule = write_schedule(f"{self.dir}/{name}", rows)
        process = self.enter(run.sluice_start("scheduler", "--schedule", schedule, **kwargs))
        # whatever happens: no push outlives the case
        self.on_tear_down(self._end_all, process)
        return process

    @staticmethod
    def _end_all(process: run.Process) -> None:
        pushes = children(process.pid)
        process.kill()
        for pid in pushes:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass

    def _pushed(self, name: str) -> bool:
        """Has a push begun to write?"""
        return bool(run.list_files(f"{self.dir}/{name}.out"))

    # ------------------------------------------------------------ times

    @func_test
    def test_times(self) -> None:
        """Next start and stop, over many zones and both changes of the year.

        **Steps:**
            * For fourteen chosen zones and ten drawn ones: rows with windows within a day, over midnight, of a whole day, and
              in the hours that clocks leave out or show twice, each on seven sets of weekdays in turn; ask `--list --at` for
              moments before, at and behind each change of the years 2024 to 2026, and for some in between.

        **Verify:**
            * State, next start and next stop are those of a model on Python's zoneinfo.
        """
        draw = random.Random(4)
        zones = list(ZONES) + draw.sample(sorted(name for name in available_timezones() if "/" in name and "right" not in name), 10)
        asked = 0
        for number, name in enumerate(zones):
            zone = ZoneInfo(name)
            rows, rules = [], {}
            for index, (start, stop) in enumerate(WINDOWS):
                days = {0, 1, 2, 3, 4, 5, 6} if index % 3 == 0 else set(draw.sample(range(7), draw.randint(1, 6)))
                if index % 3 == 1:
                    days.add(0)  # most changes are on a Sunday
                rules[f"w{index}"] = (days, start, stop)
                rows.append({
                    "Desc": f"w{index}", "Config": "/c.lua", "TimeZone": name, "Days": ", ".join(DAYS[d] for d in sorted(days)),
                    "Start": clock(start), "Stop": clock(stop),
                })
            schedule = write_schedule(f"{self.dir}/{number}.lua", rows)
            begin = int(datetime(2024, 1, 1, tzinfo=timezone.utc).timestamp())
            edges = list(changes(zone, begin, begin + 3 * 366 * DAY)) or [begin + 1000000]
            picked = edges[:2] + draw.sample(edges[2:], min(1, len(edges[2:])))
            moments = [edge + step for edge in picked for step in (-26 * 3600, -5400, -1, 0, 1800, 86399)]
            moments += [draw.randrange(begin, begin + 3 * 366 * DAY) for _ in range(3)]
            for now in moments:
                answer = listed(schedule, now)
                today = datetime.fromtimestamp(now, zone).date()
                for desc, (days, start, stop) in rules.items():
                    all_runs = runs(zone, days, start, stop, today - timedelta(days=4), 30)
                    ahead = [r for r in all_runs if r[1] > now]
                    on = ahead[0][0] <= now
                    nexts = ahead[1][0] if on and len(ahead) > 1 else None if on else ahead[0][0]
                    end = None if ahead[0][1] - max(now, ahead[0][0]) > ENDLESS else ahead[0][1]
                    expected = ("on" if on else "off", None if on and end is None else nexts, end)
                    state, got_start, got_stop = answer[desc][:3]
                    got = (state, told(got_start), told(got_stop))
                    asked += 1
                    verify(
                        got == expected,
                        f"{name}, {sorted(days)} {clock(start)} to {clock(stop)}, at {now} "
                        f"({datetime.fromtimestamp(now, zone)}): {got}, expected {expected}\n{answer[desc]}",
                    )
        verify(asked > 2000, f"only {asked} questions")

    @func_test
    def test_check(self) -> None:
        """What is wrong with a schedule, with file and line.

        **Steps:**
            * `--check` a schedule with a day that is none, an unknown field, a configuration that is missing and one with errors,
              two that would share their journals, an option that a field is for, `--once`; then the schedule that comes with
              sluice, with a configuration in place of its own; a file that does not end; a file that is not there.

        **Verify:**
            * Exit 2, and one line `file:line: error: row "x": field: ...` for each; nothing was started. The good one: exit 0.
            * Without --check: what is wrong with a configuration is a warning, and what is wrong with the schedule stops it.
        """
        good = lua.write_config(f"{self.dir}/good.lua", [lua.target("all", f"{self.dir}/out/x")])
        os.mkdir(f"{self.dir}/other")
        again = lua.write_config(f"{self.dir}/other/good.lua", [lua.target("all", f"{self.dir}/out2/x")])
        bad = lua.write_config(f"{self.dir}/bad.lua", [lua.target("all", "relative/x")])
        rows = [
            {"Desc": "a", "Config": good, "Start": "08:00:00", "Stop": "18:00:00", "Days": "Mon-Fry"},
            {"Desc": "b", "Config": f"{self.dir}/none.lua", "Always": True},
            {"Desc": "c", "Config": bad, "Always": True, "Enabled": True},
            {"Desc": "d", "Config": again, "Always": True, "Options": "--no-huge --once"},
            {"Desc": "e", "Config": good + "x", "Enable": False, "Always": True},
            {"Desc": "f", "Config": f"{self.dir}/a.lua", "Always": True, "Options": "--state-dir /x"},
        ]
        path = write_schedule(f"{self.dir}/s.lua", rows)
        with open(path, encoding="utf-8") as file:
            text = file.read().splitlines()

        def line(row: str, field: str) -> int:
            begin = next(i for i, item in enumerate(text) if f'Desc = "{row}"' in item)
            return next(i for i in range(begin, len(text)) if f" {field} =" in text[i]) + 1

        result = run.sluice("scheduler", "--schedule", path, "--check", rc=2)
        for row, field, words in (
            ("a", "Days", "Mon-Fry"), ("b", "Config", "none.lua"), ("c", "Enabled", "did you mean Enable"),
            ("c", "Config", "sluice check"), ("d", "Options", "--once"), ("d", "Config", "StateDir"),
            ("f", "Options", "field StateDir"), ("f", "Config", "a.lua"),
        ):
            start = f'{path}:{line(row, field)}: error: row "{row}": {field}: '
            verify(any(item.startswith(start) and words in item for item in result.err.splitlines()), f"no {start}\n{result.describe()}")
        verify('row "e"' not in result.err, f"a row that is off is checked\n{result.describe()}")
        with open(f"{run.REPO}/config/schedule.lua", encoding="utf-8") as file:
            shipped = file.read()
        config = lua.write_config(f"{self.dir}/ours.lua", [lua.target("all", f"{self.dir}/out3/x")])
        with open(f"{self.dir}/shipped.lua", "w", encoding="utf-8") as file:
            file.write(shipped.replace("/opt/fmadio/etc/push_realtime.lua", config))
        result = run.sluice("scheduler", "--schedule", f"{self.dir}/shipped.lua", "--check")
        verify("2 rows, no errors" in result.out and not result.err, result.describe())
        for content, words in (("while true do end", ":1: error: the file runs for too long"), ("return {Row =", ":1: error: ")):
            with open(f"{self.dir}/odd.lua", "w", encoding="utf-8") as file:
                file.write(content)
            result = run.sluice("scheduler", "--schedule", f"{self.dir}/odd.lua", rc=2)
            verify(f"{self.dir}/odd.lua{words}" in result.err, result.describe())
        result = run.sluice("scheduler", "--schedule", f"{self.dir}/nothing.lua", rc=2)
        verify("nothing.lua: error: can't be read" in result.err, result.describe())
        process = self._start([self._row("gone", Config=f"{self.dir}/missing.lua")])
        process.wait_until(lambda: "refused to start" in process.err, 60, "a refusal of the missing configuration")
        verify('warning: row "gone": Config' in process.err, process.result().describe())
        process.stop(30)
        for args in (("--at", "0"), ("--list", "--at", "noon"), ("x",)):
            run.sluice("scheduler", "--schedule", path, *args, rc=2)

    # ------------------------------------------------------------ processes

    @func_test
    def test_windows(self) -> None:
        """Pushes are started and stopped when their rows say so.

        **Steps:**
            * Five rows side by side: always on, off, on until a few seconds from now, on from a few seconds from now on, on all the time
              by two windows that meet a few seconds from now.
            * SIGTERM to the scheduler.

        **Verify:**
            * Each push runs when it should, within two seconds; the one of two windows is not started a second time.
            * The scheduler ends with status 0 when all have, and each push's packets are all those of the capture.
        """
        now = int(time.time())

        def at(step: int) -> str:
            return clock((now + step) % DAY)

        change = 8
        rows = [
            self._row("always"),
            self._row("off", Enable=False),
            self._row("ends", Start=at(-60), Stop=at(change), TimeZone="UTC"),
            self._row("begins", Start=at(change), Stop=at(3600), TimeZone="UTC"),
            self._row("meets", Start=at(-60), Stop=at(change), TimeZone="UTC"),
            {**self._row("meets", Start=at(change), Stop=at(3600), TimeZone="UTC"), "Desc": "meets too"},
        ]
        scheduler = self._start(rows)
        scheduler.wait_until(lambda: all(map(self._pushed, ("always", "ends", "meets"))), change - 1, "three pushes")
        verify(len(children(scheduler.pid)) == 3, f"{children(scheduler.pid)}\n{scheduler.err}")
        [meets] = [line for line in scheduler.err.splitlines() if ": meets: started" in line]
        scheduler.wait_until(lambda: "ends: stopped" in scheduler.err, change + 10, "the end of a window")
        scheduler.wait_until(lambda: self._pushed("begins"), 60, "the start of a window")
        verify(time.time() >= now + change, "a window began or ended too early")
        table = listed(f"{self.dir}/schedule.lua")
        for name, state, running in (("always", "on", True), ("off", "disabled", False), ("ends", "off", False), ("begins", "on", True)):
            verify((table[name][0], table[name][3] != "-") == (state, running), f"{name}: {table[name]}")
        pids = children(scheduler.pid)
        verify(len(pids) == 3 and str(pids[0]) in {row[3] for row in table.values()}, f"{pids}, {table}")
        verify(scheduler.err.count(": meets") == 1 and meets.split()[5] in map(str, pids), scheduler.err)
        result = scheduler.stop(30)
        verify(not any(map(alive, pids)), f"still there: {pids}\n{result.describe()}")
        verify(result.err.count(": stopped\n") == 4, result.describe())
        for name in ("always", "ends", "begins", "meets"):
            got = pcap.read_packets(*(f"{self.dir}/{name}.out/{item}" for item in run.list_files(f"{self.dir}/{name}.out", ".pcap")))
            verify(len(got) > 0 and got == self.packets[: len(got)], f"{name}: {len(got)} packets, not the first of the capture")
            verify(os.listdir(f"{self.dir}/{name}.state") and os.listdir(f"{self.dir}/{name}.log"), f"{name}: no journal or log")
        verify(not self._pushed("off"), "a row that is off was pushed")

    @func_test
    def test_crash(self) -> None:
        """What crashes is started again, later each time; what the scheduler leaves behind ends.

        **Steps:**
            * Kill a push with SIGKILL three times; let another refuse its configuration, and mend that.
            * Kill the scheduler with SIGKILL, start it again; SIGTERM.

        **Verify:**
            * The push goes on each time, and the pause that is announced and kept grows.
            * The refused one is tried again and runs once its configuration is good.
            * Pushes of a killed scheduler end by themselves and the new one starts them: never two at a time. All packets come once.
        """
        rows = [self._row("all"), self._row("mended")]
        with open(rows[1]["Config"], encoding="utf-8") as file:
            good = file.read()
        lua.write_config(rows[1]["Config"], [lua.target("all", "relative/x")])
        scheduler = self._start(rows)
        pauses = []
        for turn in range(1, 4):
            scheduler.wait_until(lambda: scheduler.err.count(": all: started") == turn, 60, f"start {turn}")
            [pid] = [int(line.split()[5]) for line in scheduler.err.splitlines() if ": all: started" in line][-1:]
            scheduler.wait_until(lambda: self._lock_holder("all") == pid, 60, "its lock")
            os.kill(pid, signal.SIGKILL)
            scheduler.wait_until(lambda: scheduler.err.count(": all: process was ended by signal 9") == turn, 60, "its end")
            line = [item for item in scheduler.err.splitlines() if ": all: process was ended" in item][-1]
            pauses.append(float(line.split("next start in ")[1].split()[0]))
        for turn, pause in enumerate(pauses):
            verify(0.5 * 2**turn <= pause + 0.1 and pause <= 2**turn, f"pauses {pauses}")
        verify(": mended: process refused to start" in scheduler.err, scheduler.err)
        with open(rows[1]["Config"], "w", encoding="utf-8") as file:
            file.write(good)
        scheduler.wait_until(lambda: self._pushed("mended") and len(children(scheduler.pid)) == 2, 60, "both pushes")
        pids = children(scheduler.pid)
        scheduler.kill()
        second = self._start(rows)
        run.wait_until(lambda: not any(map(alive, pids)), 60, "the end of the pushes of a killed scheduler")
        second.wait_until(lambda: len(children(second.pid)) == 2, 60, "two new pushes")
        second.wait_until(lambda: self._lock_holder("all") in children(second.pid), 60, "the new one's lock")
        second.stop(30)
        for name in ("all", "mended"):
            run.push_once(
                f"{self.dir}/{name}.lua", self.store, "--state-dir", f"{self.dir}/{name}.state", "--log-dir", f"{self.dir}/log"
            )
            files = [f"{self.dir}/{name}.out/{item}" for item in run.list_files(f"{self.dir}/{name}.out")]
            oracle.verify_same_packets(pcap.read_packets(*files), self.packets, name)

    def _lock_holder(self, name: str) -> int:
        """Process that holds a state directory, by `--list`."""
        held = listed(f"{self.dir}/schedule.lua")[name][3]
        return int(held) if held.isdigit() else 0

    @func_test
    def test_once_at_a_time(self) -> None:
        """One configuration is never pushed twice.

        **Steps:**
            * Start a push by hand, then a scheduler with a row for it, then a second scheduler; stop the push by hand, then the first
              scheduler, then the second.

        **Verify:**
            * The first scheduler says which process has it, and starts nothing before that has ended; so does the second.
            * At every moment there was one push.
        """
        rows = [self._row("all")]
        by_hand = self.enter(run.push_start(
            rows[0]["Config"], self.store, "--state-dir", rows[0]["StateDir"], "--log-dir", rows[0]["LogDir"], "--map", "all@0"
        ))
        by_hand.wait_until(lambda: self._pushed("all"), 60, "its first file")
        first = self._start(rows)
        first.wait_until(lambda: f"by process {by_hand.pid} already" in first.err, 60, "a word of the push by hand")
        time.sleep(3)
        verify(not children(first.pid) and first.err.count("already") == 1, first.result().describe())
        by_hand.stop(20)
        first.wait_until(lambda: children(first.pid), 60, "a push by the scheduler")
        [pid] = children(first.pid)
        first.wait_until(lambda: self._lock_holder("all") == pid, 60, "its lock")
        second = self._start(rows)
        second.wait_until(lambda: f"by process {pid} already" in second.err, 60, "a word of the other's push")
        verify(not children(second.pid), second.err)
        first.stop(30)
        second.wait_until(lambda: children(second.pid), 60, "a push by the second scheduler")
        second.stop(30)

    @func_test
    def test_read_again(self) -> None:
        """SIGHUP reads the schedule again.

        **Steps:**
            * Two pushes run. SIGHUP with a schedule that has an error; then with one that has the first row as it was, the second one
              switched off, and a third one; then with the first one's options changed.

        **Verify:**
            * The bad one is refused with file and line, and both pushes go on. Then the first one goes on as the same process, the second
              one is stopped, the third one runs. Changed options: stopped, and started with them.
        """
        rows = [self._row("one"), self._row("two")]
        scheduler = self._start(rows)
        scheduler.wait_until(lambda: self._pushed("one") and self._pushed("two"), 60, "both pushes")

        def pid_of(name: str) -> int:
            lines = [line for line in scheduler.err.splitlines() if f": {name}: started process" in line]
            return int(lines[-1].split()[5]) if lines else 0

        before = pid_of("one"), pid_of("two")
        write_schedule(f"{self.dir}/schedule.lua", [{**rows[0], "Days": "Noday"}])
        scheduler.signal(signal.SIGHUP)
        scheduler.wait_until(lambda: "going on with the schedule as it was" in scheduler.err, 60, "a refusal")
        verify("schedule.lua:" in scheduler.err and "Noday" in scheduler.err, scheduler.err)
        verify(sorted(children(scheduler.pid)) == sorted(before), "a bad schedule changed something")

        write_schedule(f"{self.dir}/schedule.lua", [rows[0], {**rows[1], "Enable": False}, self._row("three")])
        scheduler.signal(signal.SIGHUP)
        scheduler.wait_until(lambda: self._pushed("three") and "two: stopped" in scheduler.err, 60, "the change")
        verify(pid_of("one") == before[0] and alive(before[0]) and not alive(before[1]), scheduler.err)

        write_schedule(f"{self.dir}/schedule.lua", [{**rows[0], "Options": "--no-huge --map reader+filter@0,writer@0"}])
        scheduler.signal(signal.SIGHUP)
        scheduler.wait_until(lambda: pid_of("one") not in (0, before[0]), 60, "a new process")
        verify("one: stopped" in scheduler.err and len(children(scheduler.pid)) <= 2, scheduler.err)

        def command() -> str:
            with open(f"/proc/{pid_of('one')}/cmdline", encoding="utf-8") as file:
                return file.read()

        # it is there before it has become a push
        scheduler.wait_until(lambda: "reader+filter@0,writer@0" in command(), 60, "the new options")
        scheduler.stop(30)

    @func_test
    def test_clock_steps(self) -> None:
        """The clock is set, also over changes of daylight saving and over midnight.

        **Steps:**
            * Under libfaketime, with rows in Europe/Berlin: 01:30 to 02:30 and 22:00 to 01:00. Set the clock by turns: before
              both; into the first; to a second before the spring change, past it; into the second before midnight, past
              midnight, past its end; back a day; into the repeated hour of autumn, both times.

        **Verify:**
            * After each step exactly the pushes run that should, by the model on zoneinfo, within a few seconds.
        """
        library = next((p for p in LIBFAKETIME if os.path.exists(p)), None)
        verify(library is not None, "libfaketime is not installed (package libfaketime)")
        zone = ZoneInfo("Europe/Berlin")
        windows = {"early": (5400, 9000), "late": (79200, 3600)}
        rows = [self._row(n, Start=clock(a), Stop=clock(b), TimeZone="Europe/Berlin") for n, (a, b) in windows.items()]
        stamp = f"{tempfile.mkdtemp(dir=self.dir)}/time"

        def set_clock(local: datetime, fold: int = 0) -> int:
            utc = int(local.replace(tzinfo=zone, fold=fold).timestamp())
            # by renaming: it is read at any moment
            with open(stamp + ".new", "w", encoding="ascii") as file:
                file.write(f"{utc - time.time():+.3f}\n")
            os.rename(stamp + ".new", stamp)
            return utc

        steps = (
            (datetime(2026, 3, 28, 12), 0), (datetime(2026, 3, 29, 1, 45), 0), (datetime(2026, 3, 29, 3, 0, 5), 0),
            (datetime(2026, 3, 29, 23), 0), (datetime(2026, 3, 30, 0, 30), 0), (datetime(2026, 3, 30, 1, 10), 0),
            (datetime(2026, 3, 29, 1, 45), 0), (datetime(2026, 10, 25, 2, 45), 0), (datetime(2026, 10, 25, 2, 10), 1),
            (datetime(2026, 10, 25, 2, 45), 1),
        )
        set_clock(steps[0][0])
        env = {
            "LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": stamp, "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }
        scheduler = self._start(rows, env=env)

        def running() -> set[str]:
            found = set()
            for pid in filter(alive, children(scheduler.pid)):
                with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
                    command = file.read()
                found |= {name for name in windows if f"/{name}.lua" in command}
            return found

        seen = set()
        for local, fold in steps:
            now = set_clock(local, fold)
            expected = set()
            for name, (start, stop) in windows.items():
                every = runs(zone, set(range(7)), start, stop, local.date() - timedelta(days=3), 6)
                if any(begin <= now < end for begin, end in every):
                    expected.add(name)
            scheduler.wait_until(lambda: running() == expected, 30, f"at {local} fold {fold}: {expected}, not {running()}")
            seen.add(frozenset(expected))
        verify(len(seen) >= 3, f"the steps show only {seen}")
        scheduler.stop(30)


LIBFAKETIME = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
)
