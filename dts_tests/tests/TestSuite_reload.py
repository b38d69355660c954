# SPDX-License-Identifier: BSD-3-Clause
"""SIGHUP: another configuration while a push runs, and what a stop does with what can't end.

The oracles: a push that was never told to reload, an independent model of which packet goes to which file, tcpdump for
filters.
"""

import bisect
import os
import random
import re
import resource
import signal
import subprocess
import time

from api.test import verify
from framework import lua, model, oracle, pcap, run, traffic
from framework.faultfs import FaultFs
from framework.run import SLUICE
from framework.store import captures, headers
from framework.test_suite import TestSuite, func_test

NS = pcap.NS
# SLUICE_RELOAD_ROUNDS=10 for a longer form of what is repeated at random moments.
ROUNDS = int(os.environ.get("SLUICE_RELOAD_ROUNDS", "1"))
FILTERS = ("tcp", "udp", "udp port 53", "")
# Options of Split, and the model's parameters for the same.
SPLITS = (
    ("--split-time 60e9", {"time": 60 * NS}),
    ("--split-time 10e9", {"time": 10 * NS}),
    ("--split-byte 300000", {"size": 300000}),
    ("--split-time 30e9 --split-byte 200000", {"time": 30 * NS, "size": 200000}),
)
IN_FORCE = re.compile(r"in force from capture (\S+), chunk (\d+) on: (\d+) targets? as before, (\d+) changed, (\d+) added, (\d+)")


def listens(pid: int) -> bool:
    """Has the process a handler of SIGHUP?"""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        caught = re.search(r"SigCgt:\s+(\w+)", file.read())
    return bool(caught and int(caught.group(1), 16) & 1 << (signal.SIGHUP - 1))


class Reloaded:
    """A growing capture, a push that follows it, and its configuration file.

    Args:
        base: Directory for all of it.
        targets: The first configuration's.
        first: Packets that are in the store before the push begins.
        args: More options of push.
        roll: Seconds of the capture after which the next one begins; 0: there is one.
    """

    def __init__(
        self, suite: "TestReload", base: str, targets: list[dict], first: int, *args: str, roll: int = 0, **kwargs
    ):
        os.makedirs(base, exist_ok=True)
        self.suite, self.base, self.store = suite, base, f"{base}/store"
        self.config = f"{base}/c.lua"
        self.state = f"{base}/state"
        self.reloads = 0
        self.sent = 0
        self.roll = roll
        words = [SLUICE, "import", "--store", self.store]
        if roll:
            growing = f"{base}/in.pcap"
            self.input = open(growing, "wb")
            words += ["--follow", "--roll", str(roll), "--flush-interval", "0.05", growing]
            self.feeder = suite.enter(run.Process(words))
        else:
            self.feeder = suite.enter(run.Process([*words, "-"], stdin=subprocess.PIPE))
            self.input = self.feeder.popen.stdin
        self.input.write(suite.blob[:24])
        self.feed(first)
        self.write(targets)
        self.args = ("--state-dir", self.state, "--log-dir", f"{base}/log", *args)
        self.push = suite.enter(run.push_start(self.config, self.store, *self.args, **kwargs))
        self.push.wait_until(lambda: listens(self.push.pid), 60, "a push that listens to SIGHUP")

    def write(self, targets: list[dict]) -> None:
        """Another configuration in the same file."""
        lua.write_config(self.config, targets)

    def feed(self, end: int) -> None:
        """Send packets up to number end, and wait until the store has them."""
        self.send(end)
        self.feeder.wait_until(lambda: self.stored() >= end, 60, f"{end} packets in the store")

    def send(self, end: int) -> None:
        """As feed(), without waiting."""
        suite = self.suite
        self.input.write(suite.blob[suite.offsets[self.sent] : suite.offsets[end]])
        self.input.flush()
        self.sent = end

    def stored(self) -> int:
        if not os.path.lexists(f"{self.store}/active"):
            return 0
        if self.roll:
            return sum(head.count for name in captures(self.store) for head in headers(self.store, name))
        found = re.search(r"(?m)^packets: +(\d+)", run.sluice("store", "info", "--store", self.store, rc=None).out)
        return int(found.group(1)) if found else 0

    def words(self, pattern: str) -> int:
        return len(re.findall(pattern, self.push.err))

    def reload(self, targets: list[dict] | None = None, wait: bool = True) -> tuple[int, ...]:
        """SIGHUP. Returns the numbers that the push says: chunk, targets as before, changed, added, removed."""
        if targets is not None:
            self.write(targets)
        self.reloads += 1
        self.push.signal(signal.SIGHUP)
        if not wait:
            return ()
        self.push.wait_until(lambda: self.words("in force from") >= self.reloads, 60, f"reload {self.reloads}")
        return tuple(int(text) for text in IN_FORCE.findall(self.push.err)[-1][1:])

    def logged(self, desc: str, pattern: str) -> int:
        """Lines of a target's logs that hold a pattern."""
        count = 0
        for name in run.list_files(f"{self.base}/log"):
            if re.fullmatch(rf"push_{desc}_\d{{8}}_\d{{4}}(_\d+)?", name):
                with open(f"{self.base}/log/{name}", encoding="utf-8") as file:
                    count += len(re.findall(pattern, file.read()))
        return count

    def finish(self) -> None:
        """The capture ends."""
        self.input.close()
        if self.roll:
            self.feeder.wait_until(lambda: self.stored() >= self.sent, 60, "all packets in the store")
            self.feeder.stop(30)
        self.feeder.wait(30)

    def end(self) -> run.Result:
        """The capture ends; the push has all of it, and is stopped."""
        self.finish()
        result = self.push.stop(60)
        verify("Sanitizer" not in result.err, result.describe())
        return result


class TestReload(TestSuite):
    """Reload and stop."""

    def set_up_suite(self) -> None:
        """A capture, where its records lie, and what tcpdump takes of it."""
        self.capture = traffic.make_traffic(f"{self.suite_dir}/in.pcap", packets=20000, duration=300, seed=11)
        with open(self.capture, "rb") as file:
            self.blob = file.read()
        self.packets = pcap.parse_pcap(self.blob).packets
        self.offsets = [24]
        for packet in self.packets:
            self.offsets.append(self.offsets[-1] + 16 + len(packet.data))
        self.order = {packet: i for i, packet in enumerate(self.packets)}
        verify(len(self.order) == len(self.packets), "packets of the capture must be distinct")
        self.taken = {}
        for text in FILTERS:
            got = oracle.tcpdump_filter(self.capture, text, f"{self.suite_dir}/tcpdump.pcap").packets
            self.taken[text] = {self.order[packet] for packet in got}

    # ------------------------------------------------------------ targets and what they make

    def _target(self, path: str, desc: str, text: str = "", split: int = 0, **fields: object) -> dict:
        return lua.target(
            desc, path, text or None, Split=SPLITS[split][0], FileName="--filename-epoch-nsec", MinFree=0, **fields
        )

    def _files(self, text: str, split: int, begin: int, end: int) -> list[model.File]:
        """What a target makes that takes packets from number begin up to end, exclusive."""
        wanted = self.taken[text]
        return model.split(
            self.packets,
            accept=lambda packet: begin <= self.order[packet] < end and self.order[packet] in wanted,
            **SPLITS[split][1],
        )

    @staticmethod
    def _verify(directory: str, stem: str, files: list[model.File]) -> None:
        stamp = model.STAMPS["--filename-epoch-nsec"]
        model.verify_files(directory, model.named(files, lambda file: model.name(file, stem, stamp)))

    def _numbers(self, directory: str) -> list[int]:
        """Numbers of the packets in a directory's files, file by file in the order of their first packets."""
        names = run.list_files(directory)
        verify(all(name.endswith(".pcap") for name in names), f"left over: {names}")
        files = [[self.order[packet] for packet in pcap.read_packets(f"{directory}/{name}")] for name in names]
        return sum(sorted(files), [])

    # ------------------------------------------------------------ reload

    @func_test
    def test_model(self) -> None:
        """Targets added, changed, removed and kept, against a model.

        **Steps:**
            * Feed a capture in pieces; between two of them, when the store has all of the piece and the push is idle, SIGHUP with
              another configuration: one target never changes; one changes its filter, its split or both; one comes with
              FollowStart, one without; one goes and comes back.

        **Verify:**
            * Each reload says how many targets were kept, changed, added and removed.
            * Names and packets of all files are those that the model makes of the pieces: a changed target's files end at the
              piece's end and go on there under the new definition; what shares a name gets _1; filters as tcpdump.
            * The journal of a removed target is archived, and a target that comes back begins afresh.
        """
        out = f"{self.dir}/out"
        cuts = [3000, 7000, 11000, 16000, 20000]
        keep = self._target(f"{out}/keep/x", "keep", "", 0, FollowStart=True)

        def swap(text: str, split: int) -> dict:
            return self._target(f"{out}/swap/x", "swap", text, split, FollowStart=True)

        def late(desc: str, follow: bool) -> dict:
            return self._target(f"{out}/{desc}/x", desc, "udp", 1, FollowStart=follow)

        back = self._target(f"{out}/back/x", "back", "tcp", 2)
        plans = [
            [keep, swap("tcp", 0), {**back, "FollowStart": True}],
            [keep, swap("udp", 0), late("start", True), late("now", False)],
            [keep, swap("udp", 3), late("start", True), late("now", False), back],
            [late("start", True), swap("", 3), back, late("now", False), keep],
            [keep, swap("", 2), late("start", True), back],
        ]
        push = Reloaded(self, f"{self.dir}/run", plans[0], cuts[0])
        push.push.wait_until(lambda: push.logged("keep", "open "), 60, "an open file")
        said = []
        for plan, cut in zip(plans[1:], cuts[1:]):
            # Idle: what was committed is on its way by the next look at the store.
            time.sleep(0.5)
            changes = sum(push.logged(desc, "begins at") for desc in ("swap", "start", "now", "back"))
            said.append(push.reload(plan)[1:])
            wanted = changes + said[-1][1] + said[-1][2]
            push.push.wait_until(
                lambda: sum(push.logged(desc, "begins at") for desc in ("swap", "start", "now", "back")) == wanted,
                20,
                "all targets begun",
            )
            push.feed(cut)
        time.sleep(0.5)
        result = push.end()
        verify(result.rc == 0, result.describe())
        verify(said == [(1, 1, 2, 1), (3, 1, 1, 0), (4, 1, 0, 0), (3, 1, 0, 1)], f"the push said {said}\n{result.describe()}")
        everything = len(self.packets)
        self._verify(f"{out}/keep", "x", self._files("", 0, 0, everything))
        definitions = [("tcp", 0), ("udp", 0), ("udp", 3), ("", 3), ("", 2)]
        files = []
        for definition, begin, end in zip(definitions, [0, *cuts], cuts):
            files += self._files(*definition, begin, end)
        self._verify(f"{out}/swap", "x", files)
        self._verify(f"{out}/start", "x", self._files("udp", 1, 0, everything))
        self._verify(f"{out}/now", "x", self._files("udp", 1, cuts[0], cuts[3]))
        self._verify(f"{out}/back", "x", self._files("tcp", 2, 0, cuts[0]) + self._files("tcp", 2, cuts[1], everything))
        journals = run.list_files(push.state)
        removed = [name for name in journals if re.fullmatch(r"(back|now)\.journal\.removed-\d{8}T\d{6}Z", name)]
        verify(len(removed) == 2, f"archived journals: {journals}")
        verify(sorted(name for name in journals if name.endswith(".journal")) == [
            "back.journal", "keep.journal", "start.journal", "swap.journal"], f"journals: {journals}")

    @func_test
    def test_random_moments(self) -> None:
        """Reloads while packets arrive.

        **Steps:**
            * Feed a capture in pieces of random size with random pauses; SIGHUP at random moments between and during them. Each
              configuration keeps two targets, changes a third (filter, split, Path), and replaces a fourth by one of another Desc.

        **Verify:**
            * Targets that were kept made the names and bytes of a push without any reload.
            * The replaced ones hold, one after another, all packets from the first reload on, once and in order: what one has is
              where the next begins.
            * The changed one has, under each definition, just what tcpdump takes of a stretch of the capture, and the
              stretches follow each other without gap or overlap.
        """
        for turn in range(ROUNDS):
            self._random_turn(random.Random(1000 + turn), f"{self.dir}/{turn}")

    @func_test
    def test_rolls(self) -> None:
        """Reloads at the moment at which the capture rolls.

        **Steps:**
            * As test_random_moments, from a file that grows and is imported with --follow --roll 10: most pieces end at or just
              behind the packet that begins a new capture, and SIGHUP follows at once or up to 0.2 s later.

        **Verify:**
            * As test_random_moments; the kept targets made the files of a push of one capture with all the packets.
            * There were at least 20 captures, and 10 reloads.
        """
        for turn in range(ROUNDS):
            self._random_turn(random.Random(2000 + turn), f"{self.dir}/{turn}", roll=10)

    def _rolls(self, seconds: int) -> list[int]:
        """Numbers of the packets that begin new captures."""
        clock, numbers = self.packets[0].ts, []
        for i, packet in enumerate(self.packets):
            if packet.ts // (seconds * NS) > clock // (seconds * NS):
                numbers.append(i)
            clock = max(clock, packet.ts)
        return numbers

    def _random_turn(self, rng: random.Random, base: str, roll: int = 0) -> None:
        out = f"{base}/out"
        rolls = self._rolls(roll) if roll else []
        kept = [
            self._target(f"{out}/a/x", "a", "tcp", 0, FollowStart=True, OnStop="resume"),
            self._target(f"{out}/b/x", "b", "", 3, FollowStart=True, OnStop="resume"),
        ]
        definitions: list[str] = []

        def plan() -> list[dict]:
            number = len(definitions)
            text = rng.choice(FILTERS)
            definitions.append(text)
            changed = self._target(
                f"{out}/changed/{number}/x", "changed", text, rng.randrange(len(SPLITS)), FollowStart=True
            )
            replaced = self._target(f"{out}/replaced/{number}/x", f"r{number}")
            targets = [*kept, changed, replaced]
            rng.shuffle(targets)
            return targets

        current = plan()
        push = Reloaded(self, f"{base}/run", current, 500, roll=roll)
        push.push.wait_until(lambda: push.logged("a", "open "), 60, "an open file")
        while push.sent < len(self.packets):
            end = push.sent + rng.randrange(1, 2500)
            if roll and rng.random() < 0.8:
                end = next((number for number in rolls if number > push.sent), end) + rng.choice((0, 1, 1, 2, 20))
            push.send(min(end, len(self.packets)))
            time.sleep(rng.choice((0, 0.02, 0.2)) if roll else rng.random() * 0.3)
            if rng.random() < 0.7:
                current = plan()
                push.reload(current)
        push.finish()
        time.sleep(0.3)
        result = push.end()
        verify(result.rc == 0 and push.reloads > (10 if roll else 2), result.describe())
        whole = push.store
        if roll:
            verify(len(captures(push.store)) >= 20, f"rolls: {captures(push.store)}")
            whole = f"{base}/whole"
            run.import_capture(whole, self.capture)
        reference = [dict(target, Path=target["Path"].replace(out, f"{base}/reference")) for target in kept]
        # a stop does not wait for captures that the push has not come to
        final = lua.write_config(f"{base}/final.lua", current if roll else kept)
        run.push_once(final, push.store, *push.args)
        run.push_once(lua.write_config(f"{base}/reference.lua", reference), whole)
        for name in "ab":
            oracle.verify_same_tree(run.read_tree(f"{out}/{name}"), run.read_tree(f"{base}/reference/{name}"), name)
        # The first one began at "now", so some packets come before its first.
        numbers: list[int] = []
        for number in range(len(definitions)):
            numbers += self._numbers(f"{out}/replaced/{number}")
        verify(numbers == list(range(500, len(self.packets))) or numbers == list(range(numbers[0], len(self.packets))),
               "packets of the replaced targets are not those of the capture, once and in order")
        self._verify_stretches([(text, self._numbers(f"{out}/changed/{n}")) for n, text in enumerate(definitions)])

    def _verify_stretches(self, definitions: list[tuple[str, list[int]]]) -> None:
        """Fail unless the capture can be cut so that each definition took just what it filters out of its stretch."""
        low = high = 0  # where this definition's stretch may begin
        for number, (text, got) in enumerate(definitions):
            wanted = sorted(self.taken[text]) + [len(self.packets)]
            what = f"definition {number} ({text!r}), which begins at packet {low} to {high}"
            if not got:
                high = wanted[bisect.bisect_left(wanted, high)]
                continue
            first = bisect.bisect_left(wanted, got[0])
            verify(got == wanted[first : first + len(got)], f"{what}: not what tcpdump takes from its first packet on")
            low = max(low, wanted[first - 1] + 1 if first else 0)
            verify(low <= min(high, got[0]), f"{what}: its first packet is {got[0]}, and it wants what is before {low}")
            low, high = got[-1] + 1, wanted[first + len(got)]
        verify(high == len(self.packets), f"the last definition takes nothing from packet {high} on")

    @func_test
    def test_refused(self) -> None:
        """A configuration with errors changes nothing.

        **Steps:**
            * SIGHUP with: a syntax error, a field that is unknown, a filter that does not compile, two targets of one Desc, no
              file at all; then with the old file again, and with a good new one.

        **Verify:**
            * The push says the findings that `sluice check` prints, word for word, and that it goes on; all packets are
              published as by a push that was never told.
            * The good one is taken.
        """
        out = f"{self.dir}/out"
        good = [self._target(f"{out}/x", "t", FollowStart=True)]
        push = Reloaded(self, f"{self.dir}/run", good, 5000)
        push.push.wait_until(lambda: push.logged("t", "open "), 60, "an open file")
        bad = {
            "syntax": "local Config = {\n",
            "unknown": lua.config_text([dict(good[0], Splitt="--split-time 60e9")]),
            "filter": lua.config_text([dict(good[0], FilterBPF="tcp prot 80"), self._target(f"{out}/y", "u", "udpp")]),
            "twice": lua.config_text([good[0], good[0]]),
            "gone": None,
        }
        refusals = 0
        for name, text in bad.items():
            if text is None:
                os.unlink(push.config)
            else:
                with open(push.config, "w", encoding="utf-8") as file:
                    file.write(text)
            before = len(push.push.err)
            push.push.signal(signal.SIGHUP)
            refusals += 1
            push.push.wait_until(lambda: push.words("is not taken") == refusals, 60, f"refusal of {name}")
            said = push.push.err[before:]
            if text is None:
                verify("No such file" in said, said)
                continue
            check = run.sluice("check", "--store", push.store, push.config, rc=2)
            findings = [line for line in check.err.splitlines() if line.startswith(push.config)]
            verify(bool(findings) and all(line in said for line in findings), f"{name}: {findings}\nsaid\n{said}")
        verify(push.words("in force") == 0, push.push.err)
        push.write(good)
        verify(push.reload()[1:] == (1, 0, 0, 0), push.push.err)
        more = good + [self._target(f"{out}/more/x", "more", "udp", FollowStart=True)]
        verify(push.reload(more)[1:] == (1, 0, 1, 0), push.push.err)
        push.feed(len(self.packets))
        time.sleep(0.5)
        verify(push.end().rc == 0, push.push.err)
        everything = len(self.packets)
        stamp = model.STAMPS["--filename-epoch-nsec"]
        expected = model.named(self._files("", 0, 0, everything), lambda file: model.name(file, "x", stamp))
        expected |= model.named(self._files("udp", 0, 0, everything), lambda file: model.name(file, "more/x", stamp))
        model.verify_files(out, expected)

    @func_test
    def test_signals(self) -> None:
        """SIGHUP when nobody expects it.

        **Steps:**
            * SIGHUP before there is a store; 30 times in a row during a reload; at the same moment as SIGTERM; to a push --once.

        **Verify:**
            * None of them ends the push. The first is answered once there is a capture; the many are answered by a few reloads,
              the last of which has the newest configuration; the stop ends with 0 and all packets; --once says that it does not
              listen and goes on to the end.
        """
        out = f"{self.dir}/out"
        targets = [self._target(f"{out}/x", "t", FollowStart=True)]
        store, config = f"{self.dir}/run/store", f"{self.dir}/run/c.lua"
        os.makedirs(store)
        lua.write_config(config, targets)
        args = ("--state-dir", f"{self.dir}/run/state", "--log-dir", f"{self.dir}/run/log")
        push = self.enter(run.push_start(config, store, *args))
        push.wait_until(lambda: "waiting for" in push.err, 60, "a push that waits")
        push.signal(signal.SIGHUP)
        push.wait_until(lambda: "once there is a capture" in push.err, 60, "an answer")
        whole = f"{self.suite_dir}/in.pcap"
        run.import_capture(store, whole)
        push.wait_until(lambda: "in force" in push.err, 60, "the reload")
        for number in range(30):
            lua.write_config(config, targets + [self._target(f"{out}/{number}/x", f"n{number}", "udp")])
            push.signal(signal.SIGHUP)
        push.wait_until(lambda: run.list_files(f"{self.dir}/run/state", "n29.journal"), 60, "the newest configuration")
        push.wait_until(lambda: push.err.count("in force") >= 2, 60, "the last reload")
        time.sleep(0.3)
        count = push.err.count("in force")
        verify(2 <= count <= 31, f"{count} reloads")
        push.signal(signal.SIGHUP)
        push.signal(signal.SIGTERM)
        push.wait(30)
        self._verify(out, "x", self._files("", 0, 0, len(self.packets)))
        # The null sink prints when it has begun, and a pipe into import keeps --once from nothing: it is quick, so many are sent.
        once = run.Process([
            SLUICE, "push", "--config", config, "--store", store, "--once", "--no-huge", "--log-dir", f"{self.dir}/log2",
        ])
        with once:
            while once.running() and "with --once" not in once.err:
                if listens(once.pid):
                    once.signal(signal.SIGHUP)
                time.sleep(0.002)
            once.wait(30)

    @func_test
    def test_many(self) -> None:
        """50 reloads leave nothing behind, and more targets than at the start find room.

        **Steps:**
            * SIGHUP 50 times: 2 targets, then 40, then 2 again, with other filters and Paths each time; packets in between.

        **Verify:**
            * After the first rounds neither resident memory nor descriptors nor threads grow; all targets that were there at the
              end have all of their packets.
        """
        out = f"{self.dir}/out"

        def plan(number: int) -> list[dict]:
            count = 40 if number % 2 else 2
            return [
                self._target(f"{out}/{number % 4}/{i}/x", f"t{i}", FILTERS[(i + number) % len(FILTERS)], i % len(SPLITS))
                for i in range(count)
            ]

        push = Reloaded(self, f"{self.dir}/run", plan(0), 200)
        figures = []
        for number in range(1, 51):
            push.reload(plan(number))
            if number % 5 == 0:
                push.send(push.sent + 300)
                time.sleep(0.1)
            if number == 6:
                time.sleep(1)
                first = self._figures(push.push.pid)
            if number > 6 and number % 4 == 2:
                # Those that left publish what they have; then their descriptors are gone.
                push.push.wait_until(
                    lambda: self._figures(push.push.pid)[1] <= first[1] + 8, 60, f"no more than {first[1]} descriptors and a few"
                )
                figures.append(self._figures(push.push.pid))
        result = push.end()
        verify(result.rc == 0, result.describe())
        rss, _, threads = zip(*figures)
        verify(threads[-1] <= max(threads[:3]) + 1, f"threads {threads}")
        verify(rss[-1] <= max(rss[:4]) + 16384, f"resident KiB {rss}")

    @staticmethod
    def _figures(pid: int) -> tuple[int, int, int]:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            status = file.read()
        numbers = [int(re.search(rf"{name}:\s+(\d+)", status).group(1)) for name in ("VmRSS", "Threads")]
        return numbers[0], len(os.listdir(f"/proc/{pid}/fd")), numbers[1]

    @func_test
    def test_too_many(self) -> None:
        """What there is no room for is refused, and the push goes on.

        **Steps:**
            * A push that may open 400 files (hard limit): SIGHUP with 60 targets, then with 5.

        **Verify:**
            * The first is refused with the limit and what to do; the second is taken; all packets are there.
        """
        out = f"{self.dir}/out"
        targets = [self._target(f"{out}/{i}/x", f"t{i}", FollowStart=True) for i in range(60)]
        push = Reloaded(
            self, f"{self.dir}/run", targets[:2], 3000,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400)),
        )
        push.push.wait_until(lambda: push.logged("t0", "open "), 60, "an open file")
        push.write(targets)
        push.push.signal(signal.SIGHUP)
        push.push.wait_until(lambda: push.words("is not taken") == 1, 60, "a refusal")
        verify("LimitNOFILE" in push.push.err, push.push.err)
        verify(push.reload(targets[:5])[1:] == (2, 0, 3, 0), push.push.err)
        push.feed(len(self.packets))
        time.sleep(0.5)
        verify(push.end().rc == 0, push.push.err)
        for i in range(5):
            self._verify(f"{out}/{i}", "x", self._files("", 0, 0, len(self.packets)))

    @func_test
    def test_killed(self) -> None:
        """kill -9 around a reload.

        **Steps:**
            * SIGHUP with another filter, split and Path for a target, and SIGKILL a random moment later, from at once to when the
              reload is done; push --once with the new configuration; several times.

        **Verify:**
            * The target has a stretch of the capture as tcpdump filters it under the old definition, and from there on all the
              rest under the new one, once and in order; a target that did not change has all packets; nothing is left over.
        """
        rng = random.Random(5)
        for turn in range(3 * ROUNDS):
            base = f"{self.dir}/{turn}"
            out = f"{base}/out"
            kept = self._target(f"{out}/kept/x", "kept", "", 3, FollowStart=True)
            old = self._target(f"{out}/old/x", "t", "tcp", turn % len(SPLITS), FollowStart=True)
            new = self._target(f"{out}/new/x", "t", "", (turn + 1) % len(SPLITS), FollowStart=True)
            push = Reloaded(self, f"{base}/run", [kept, old], 8000)
            push.push.wait_until(lambda: push.logged("t", "open "), 60, "an open file")
            time.sleep(rng.random() * 0.2)
            push.reload([kept, new], wait=False)
            push.send(12000)
            time.sleep(rng.random() * 0.25)
            push.push.kill()
            push.send(len(self.packets))
            push.finish()
            run.push_once(push.config, push.store, *push.args)
            before, after = self._numbers(f"{out}/old"), self._numbers(f"{out}/new")
            verify(before == sorted(self.taken["tcp"])[: len(before)], f"turn {turn}: packets of the old definition")
            verify(after == list(range(after[0], len(self.packets))), f"turn {turn}: packets of the new definition")
            following = sorted(self.taken["tcp"])[len(before) : len(before) + 1] or [len(self.packets)]
            verify(
                (before[-1] if before else -1) < after[0] <= following[0],
                f"turn {turn}: old up to {before[-1:]}, new from {after[0]} on; the next TCP packet is {following[0]}",
            )
            oracle.verify_same_packets(
                [self.packets[n] for n in self._numbers(f"{out}/kept")], self.packets, f"turn {turn}: kept"
            )

    # ------------------------------------------------------------ endpoints that hang

    def _faulty(self) -> FaultFs:
        return self.enter(FaultFs(f"{self.dir}/backing", f"{self.dir}/faulty"))

    @func_test
    def test_reload_while_hung(self) -> None:
        """A target that hangs holds up no reload.

        **Steps:**
            * Two targets on a file system where fsync hangs, one elsewhere. SIGHUP: the first is removed, the second gets another
              filter and another file system, a new one comes. SIGHUP again: the second gets yet another filter. Feed on; let go
              of what hangs; feed the rest.

        **Verify:**
            * Both reloads are in force while fsync hangs, and the targets elsewhere publish.
            * Afterwards the removed one has published all that it had, and its journal is archived; the changed one has a stretch
              under its first definition, and from there on everything under its last one: nothing lost, nothing twice.
        """
        faulty, out = self._faulty(), f"{self.dir}/out"
        gone = self._target(f"{faulty.mount}/gone/x", "gone", "", 2, FollowStart=True)
        moved = self._target(f"{faulty.mount}/moved/x", "moved", "", 2, FollowStart=True)
        good = self._target(f"{out}/good/x", "good", "", 0, FollowStart=True)
        fresh = self._target(f"{out}/fresh/x", "fresh", "tcp", 0, FollowStart=True)
        rule = faulty.rule("fsync", "*.pending", hang=True)
        push = Reloaded(self, f"{self.dir}/run", [gone, moved, good], 4000)
        # A process whose system calls hang in FUSE can't even be killed.
        self.on_tear_down(faulty.clear)
        faulty.wait_hit(rule)
        second = self._target(f"{out}/second/x", "moved", "udp", 1)
        third = self._target(f"{out}/third/x", "moved", "tcp", 1)
        verify(push.reload([second, good, fresh])[1:] == (1, 1, 1, 1), push.push.err)
        verify(push.reload([third, good, fresh])[1:] == (2, 1, 0, 0), push.push.err)
        push.feed(12000)
        push.push.wait_until(lambda: len(run.list_files(f"{out}/fresh", ".pcap")) >= 2, 60, "files of the new target")
        verify(not run.list_files(f"{faulty.mount}", ".pcap"), "something was published where fsync hangs")
        verify(not run.list_files(f"{out}/third"), "the changed target has begun before its old files are published")
        faulty.clear()
        push.push.wait_until(
            lambda: any("gone.journal.removed" in name for name in run.list_files(push.state)), 60, "an archived journal"
        )
        push.push.wait_until(lambda: push.logged("moved", "begins at") == 1, 60, "the changed target")
        push.feed(len(self.packets))
        end = len(self._numbers(f"{faulty.mount}/moved"))
        expected = self._files("tcp", 1, end, len(self.packets))
        # all but the last one, which is open: a stop would end it wherever it has got to in catching up
        push.push.wait_until(
            lambda: len(run.list_files(f"{out}/third", ".pcap")) >= len(expected) - 1, 60, "the changed target's files"
        )
        time.sleep(0.5)
        result = push.end()
        verify(result.rc == 0, result.describe())
        self._verify(f"{out}/good", "x", self._files("", 0, 0, len(self.packets)))
        self._verify(f"{out}/fresh", "x", self._files("tcp", 0, 0, len(self.packets)))
        verify(not run.list_files(f"{out}/second"), "the definition that was never in force has made files")
        for name in ("gone", "moved"):
            numbers = self._numbers(f"{faulty.mount}/{name}")
            verify(numbers == list(range(len(numbers))) and numbers, f"{name}: not the first packets")
        self._verify(f"{out}/third", "x", expected)

    # ------------------------------------------------------------ stop

    @staticmethod
    def _lock(state: str) -> str:
        with open(f"{state}/lock", encoding="ascii") as file:
            return file.read()

    def _second(self, push: Reloaded) -> run.Process:
        """Another push with the state directory, Paths and logs of one that has ended as far as it can."""
        end = time.monotonic() + 20
        while True:
            second = run.push_start(push.config, push.store, *push.args)
            # The lock of the state directory comes last.
            run.wait_until(lambda: not second.running() or str(second.pid) in self._lock(push.state), 60, "a push")
            if second.running():
                return second
            result = second.result()
            verify(time.monotonic() < end and "process" in result.err, result.describe())
            time.sleep(0.1)

    @staticmethod
    def _journal(path: str) -> list[str]:
        """Lines of a journal that say where to go on: not those that announce a working file."""
        with open(path, encoding="ascii") as file:
            return [line for line in file if line.split()[1] != "open"]

    @func_test
    def test_stop_hung(self) -> None:
        """A stop ends in time, whatever hangs.

        **Steps:**
            * Targets that hang in create, write, fsync and link, one that gets EIO, a good one; SIGTERM with --stop-timeout 3.
            * When the push has said its last word, a second push with the same state directory, while the first one's system
              calls still hang. Let go; both end; push --once.

        **Verify:**
            * The last word comes within the time (and what a busy machine needs); it names each target that was left, as its log
              does; the good one has published. Exit status 1.
            * The journals of those that hang say after the signal what they said before it: where to go on. The second push is not refused.
            * In the end each target has all packets once and in order, and no working file is left.
        """
        # in memory, but for what hangs: 3 s are short for a disk that others keep busy
        faulty, base = self._faulty(), self.tmpfs_dir()
        out = f"{base}/out"
        hung = ("create", "write", "fsync", "link")
        targets = [self._target(f"{faulty.mount}/{op}/x", op, "", 2, FollowStart=True) for op in (*hung, "eio")]
        targets.append(self._target(f"{out}/good/x", "good", "", 0, FollowStart=True))
        rules = [faulty.rule(op, f"/{op}/*", hang=True, skip=1) for op in hung]
        faulty.rule("fsync", "/eio/*", error=5)
        push = Reloaded(self, f"{base}/run", targets, 10000, "--stop-timeout", "3")
        # A process whose system calls hang in FUSE can't even be killed.
        self.on_tear_down(faulty.clear)
        for rule in rules:
            faulty.wait_hit(rule)
        push.push.wait_until(lambda: '"eio": fsync' in push.push.err, 60, "an EIO")
        push.push.wait_until(lambda: run.list_files(f"{out}/good"), 60, "a file of the good one")
        journals = {op: self._journal(f"{push.state}/{op}.journal") for op in hung}
        start = time.monotonic()
        push.push.signal(signal.SIGTERM)
        last = re.compile(r'(?m)^sluice push: target "eio"')
        push.push.wait_until(lambda: last.search(push.push.err), 60, "the last word")
        seconds = time.monotonic() - start
        verify(seconds < 3 + 3, f"the last word came after {seconds:.1f} s\n{push.push.err}")
        for op in (*hung, "eio"):
            verify(re.search(rf'(?m)^sluice push: target "{op}": ', push.push.err) is not None, f"{op} is not named\n{push.push.err}")
            verify(push.logged(op, "given up|has not ended in time") > 0, f"the log of {op} does not say it")
        self._verify(f"{out}/good", "x", self._files("", 0, 0, 10000))
        after = {op: self._journal(f"{push.state}/{op}.journal") for op in hung}
        verify(after == journals, f"the journals said\n{journals}\nand say now\n{after}")
        # A second after the last word, at the most, nothing is claimed any more. Those that hang can't be settled by the second
        # push; that is their trouble alone.
        with self._second(push) as second:
            time.sleep(1)
            faulty.clear()
            verify(second.running(), second.result().describe())
            push.push.wait(30, rc=1)
            push.feed(len(self.packets))
            push.finish()
            time.sleep(0.5)
            second.stop(60, rc=None)
        run.push_once(push.config, push.store, *push.args[:4])
        for op in (*hung, "eio"):
            verify(self._numbers(f"{faulty.mount}/{op}") == list(range(len(self.packets))), f"{op}: not all packets once and in order")
        verify(self._numbers(f"{out}/good") == list(range(len(self.packets))), "good: not all packets once and in order")

    @func_test
    def test_stop_removed(self) -> None:
        """A target that hangs and was removed is not forgotten at the end.

        **Steps:**
            * A target whose fsync hangs and a good one; a reload removes the first; SIGTERM with --stop-timeout 3; let go of what hangs.
            * Push with the first configuration again, to the end.

        **Verify:**
            * Exit status 1, standard error tells of a removed target that could not publish all. Its journal is there under its name.
            * Then each target has all packets once and in order.
        """
        faulty, out = self._faulty(), f"{self.dir}/out"
        targets = [
            self._target(f"{faulty.mount}/hung/x", "hung", "", 2, FollowStart=True),
            self._target(f"{out}/good/x", "good", "", 0, FollowStart=True),
        ]
        rule = faulty.rule("fsync", "*.pending", hang=True)
        push = Reloaded(self, f"{self.dir}/run", targets, 10000, "--stop-timeout", "3")
        self.on_tear_down(faulty.clear)
        faulty.wait_hit(rule)
        verify(push.reload(targets[1:])[1:] == (1, 0, 0, 1), push.push.err)
        push.push.signal(signal.SIGTERM)
        push.push.wait_until(lambda: "a reload had removed or changed" in push.push.err, 20, "the last word")
        faulty.clear()
        result = push.push.wait(30, rc=1)
        verify('target "hung": given up' in result.err, result.describe())
        verify("hung.journal" in run.list_files(push.state), f"{run.list_files(push.state)}")
        push.feed(len(self.packets))
        push.feeder.popen.stdin.close()
        push.feeder.wait(30)
        config = lua.write_config(f"{self.dir}/again.lua", targets)
        run.push_once(config, push.store, *push.args[:4])
        for path in (f"{faulty.mount}/hung", f"{out}/good"):
            verify(self._numbers(path) == list(range(len(self.packets))), f"{path}: not all packets once and in order")

    @func_test
    def test_stop_twice(self) -> None:
        """A second signal ends the push at once.

        **Steps:**
            * A target that gets EIO and a good one; SIGTERM with --stop-timeout 100; half a second later SIGINT. Mend; push --once.

        **Verify:**
            * The push still runs after the first signal and is gone soon after the second, with status 1; nothing is lost or doubled.
        """
        faulty, out = self._faulty(), f"{self.dir}/out"
        targets = [
            self._target(f"{faulty.mount}/bad/x", "bad", "", 2, FollowStart=True),
            self._target(f"{out}/good/x", "good", "", 0, FollowStart=True),
        ]
        faulty.rule("fsync", "*.pending", error=5)
        push = Reloaded(self, f"{self.dir}/run", targets, 5000, "--stop-timeout", "100")
        # A process whose system calls hang in FUSE can't even be killed.
        self.on_tear_down(faulty.clear)
        push.push.wait_until(lambda: '"bad": fsync' in push.push.err, 60, "an EIO")
        push.push.signal(signal.SIGTERM)
        time.sleep(0.5)
        verify(push.push.running(), "it did not wait for the target that fails")
        push.push.signal(signal.SIGINT)
        push.push.wait(10, rc=1)
        faulty.clear()
        push.feed(len(self.packets))
        push.finish()
        run.push_once(push.config, push.store, *push.args[:4])
        for path in (f"{faulty.mount}/bad", f"{out}/good"):
            verify(self._numbers(path) == list(range(len(self.packets))), f"{path}: not all packets once and in order")
