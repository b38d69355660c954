# SPDX-License-Identifier: BSD-3-Clause
"""A push that is killed and started again makes the files of a push that was never killed.

It is killed at every point named in lib/writer/crash_points.h, through SLUICE_CRASH, and at random moments from outside.
What is compared is names and bytes of all files; a *.pending that is left is a difference too. One that is stopped by
SIGTERM at random moments pushes the same packets in the same order.

SLUICE_CRASH_KILLS=1000 SLUICE_CRASH_STOPS=1000 is the long form.
"""

import glob
import itertools
import os
import random
import re
import signal
import subprocess
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from api.test import verify
from framework import lua, pcap, run, traffic
from framework.restart import CAPTURE, COMMON, Push
from framework.test_suite import TestSuite, func_test

POINTS = os.path.join(run.REPO, "lib", "writer", "crash_points.h")
PARALLEL = 2
# 1,000 in the long form
KILLS = int(os.environ.get("SLUICE_CRASH_KILLS", "60"))
STOPS = int(os.environ.get("SLUICE_CRASH_STOPS", "40"))

# These are passed only when a push goes on after a crash: the crash that brings it there.
FIRST_CRASH = {
    "resume.ftruncate": "publish.link.before",
    "resume.fsync-name": "publish.link.after",
    "resume.unlink": "publish.link.after",
}
# These have a test case of their own, the second one in TestSuite_power_loss.
ELSEWHERE = ("rescue.fsync", "archive.fsync-dir")
# These need a file that outgrows its first allocation and what goes between two checkpoints: a large capture.
LARGE = ("checkpoint.fsync", "checkpoint.fsync-dir", "extend.fallocate")


class TestCrash(TestSuite):
    """Kills of the whole program."""

    def set_up_suite(self) -> None:
        """A small and a large capture, and the files of pushes that are not killed."""
        source = traffic.make_traffic(f"{self.suite_dir}/c.pcap", packets=5000, duration=300, seed=17, start=1767605400)
        self.packets = packets = pcap.read_packets(source)
        self.store, self.large = f"{self.suite_dir}/store", f"{self.suite_dir}/large"
        run.import_capture(self.store, source, capture=CAPTURE)
        self.capture = source
        source = traffic.make_traffic(f"{self.suite_dir}/l.pcap", bytes=200_000_000, duration=300, seed=18, start=1767605400)
        run.import_capture(self.large, source, capture=CAPTURE)
        os.unlink(source)
        push = Push(f"{self.suite_dir}/reference-large", self.large, True)
        push.once()
        self.reference_large = run.read_tree(push.out)
        push.remove()

        push = Push(f"{self.suite_dir}/reference", self.store)
        start = time.monotonic()
        with run.Process(push.once_command()) as process:
            process.wait_until(lambda: os.path.exists(f"{push.state}/lock"), what="the lock of the state directory")
            self.begin = time.monotonic() - start
            process.wait()
        self.seconds = time.monotonic() - start
        self.reference = run.read_tree(push.out)
        names = list(self.reference)
        verify(not any(name.endswith(".pending") for name in names), f"a working file is left: {names}")
        verify(any(name.endswith("_1.pcap") for name in names), f"no names collide: {names}")
        verify(any(name.endswith("_p002.pcap") for name in names), f"no second part: {names}")
        for prefix in ("time/", "both/", "x_"):
            files = [os.path.join(push.out, name) for name in names if name.startswith(prefix)]
            verify(sorted(pcap.read_packets(*files)) == sorted(packets), f"{prefix}: other packets than in the capture")
        # It does nothing but wait: beside the other cases.
        self.quiet = self._start_quiet()

    # ------------------------------------------------------------ named points

    def _at_point(self, point: str, side: str) -> str:
        """Kill a push at a point, finish it, compare; what is wrong, or nothing."""
        crash = f"{point}.{side}"
        large = point in LARGE
        expected = self.reference_large if large else self.reference
        push = Push(os.path.join(self.dir, crash), self.large if large else self.store, large)
        if point in FIRST_CRASH:
            first = push.once(FIRST_CRASH[point], rc=None)
            if first.rc != -signal.SIGKILL:
                return f"{crash}: the crash before it, {FIRST_CRASH[point]}, was never reached\n{first.describe()}"
        killed = push.once(crash, rc=None)
        if killed.rc != -signal.SIGKILL:
            return f"{crash}: never reached\n{killed.describe()}"
        done = push.once(rc=None)
        if done.rc != 0:
            return f"{crash}: does not go on\n{done.describe()}"
        difference = push.difference(expected)
        if difference:
            return f"{crash}: files differ\n{difference}\n{done.describe()}"
        push.remove()
        return ""

    @func_test
    def test_every_named_point(self) -> None:
        """A push that dies at any of the named points.

        **Steps:**
            * Read the points from lib/writer/crash_points.h.
            * For each, before and after: push with SLUICE_CRASH until it dies there, push again with the same --state-dir. Points
              of going on are reached after another crash, points of large files with a large capture.

        **Verify:**
            * Each push dies by SIGKILL: a point that is never reached is a failure.
            * The second push exits 0; names and bytes of all files are those of a push that was never killed, and no
              working file is left.
        """
        with open(POINTS, encoding="utf-8") as file:
            points = re.findall(r'^POINT\(\w+, "([\w.-]+)"\)', file.read(), re.MULTILINE)
        verify(len(points) > 20 and len(set(points)) == len(points), f"points in {POINTS}: {points}")
        unknown = {*FIRST_CRASH, *FIRST_CRASH.values(), *LARGE, *ELSEWHERE}
        unknown = {name.removesuffix(".before").removesuffix(".after") for name in unknown} - set(points)
        verify(not unknown, f"no such points any more: {unknown}")
        jobs = [(point, side) for point in points if point not in ELSEWHERE for side in ("before", "after")]
        with ThreadPoolExecutor(PARALLEL) as pool:
            wrong = [text for text in pool.map(lambda job: self._at_point(*job), jobs) if text]
        verify(not wrong, f"{len(wrong)} of {len(jobs)}:\n" + "\n".join(wrong))

    @func_test
    def test_directory_taken_away(self) -> None:
        """A push that dies while it copies a working file whose directory was taken away.

        **Steps:**
            * Follow a capture with one large window; rename the directory of the working file away; stop the push with
              SLUICE_CRASH at the fsync of the copy, before and after it. Push again.

        **Verify:**
            * It dies there; names and bytes are those of a push that was left alone, and no working file is left.
        """
        expected = {}
        for side in ("", "before", "after"):
            push = Push(os.path.join(self.dir, f"push-{side}"), self.store, large=True)
            if side:
                words = push.follow_command()
                with run.Process(words, env={"SLUICE_CRASH": f"rescue.fsync.{side}"}) as process:
                    process.wait_until(lambda push=push: run.list_files(push.out, ".pending"), what="an open file")
                    os.rename(push.out, push.out + ".away")
                    process.signal(signal.SIGTERM)
                    process.wait(rc=-signal.SIGKILL)
            push.once()
            expected = expected or run.read_tree(push.out)
            difference = push.difference(expected)
            verify(len(expected) == 1 and not difference, f"rescue.fsync.{side}: {difference}")

    # ------------------------------------------------------------ random moments

    def _rounds(self, worker: int, kills: int) -> tuple[int, int]:
        """Rounds of kills until there were enough.

        Returns:
            How many rounds; how many kills found some but not all files finished.
        """
        done = rounds = midway = 0
        # What was measured depends on what else ran then.
        pace = 1.0
        while done < kills:
            seed = 1000 * worker + rounds
            rng = random.Random(seed)
            push = Push(os.path.join(self.dir, f"seed{seed}"), self.store)
            moments = [rng.uniform(self.begin / 2, self.seconds) for _ in range(rng.randint(1, 16))]
            in_round, delays = 0, []
            for moment in moments[: kills - done]:
                delays.append(pace * moment)
                with run.Process(push.once_command()) as process:
                    time.sleep(delays[-1])
                    process.kill()
                    result = process.result()
                if result.rc != -signal.SIGKILL:
                    result.check(0)
                    # It was faster than the one that was measured: aim earlier.
                    pace *= 0.9
                    break
                pace = min(1, pace * 1.05)
                in_round += 1
                files = run.list_files(push.out)
                midway += 0 < len(files) and files != sorted(self.reference)
            push.once()
            difference = push.difference(self.reference)
            where = f"seed {seed}, {in_round} kills after {[round(delay, 4) for delay in delays]} s"
            verify(not difference, f"{where}: files differ\n{difference}")
            push.remove()
            done += in_round
            rounds += 1
            verify(rounds <= 2 * kills, f"worker {worker}: {rounds} rounds, only {done} kills met a running push")
        return rounds, midway

    @func_test
    def test_random_moments(self) -> None:
        """A push that is killed again and again.

        **Steps:**
            * In each round kill -9 a push up to 16 times after random delays, from seeds, within the time that a whole push
              takes; let the last one finish. Rounds until 60 kills (SLUICE_CRASH_KILLS) met a running push.

        **Verify:**
            * After each round names and bytes of all files are those of a push that was never killed, and no working file
              is left.
            * Enough of the kills met a push in the middle of its files.
        """
        with ThreadPoolExecutor(PARALLEL) as pool:
            results = list(pool.map(self._rounds, range(PARALLEL), [KILLS // PARALLEL] * PARALLEL))
        midway = sum(result[1] for result in results)
        print(f"{KILLS} kills in {sum(result[0] for result in results)} rounds, {midway} in the middle of the files")
        verify(midway >= KILLS // 10, f"only {midway} of {KILLS} kills met a push that had some of its files")

    def _targets(self, push: Push) -> list:
        """The usual three, and one that keeps its file open over a stop."""
        fields = {**COMMON, "Split": "--split-time 100e9 --split-byte 150e3", "OnStop": "resume"}
        return [*push.small_targets(), lua.target("kept", f"{push.out}/kept/x", **fields)]

    @staticmethod
    def _published(push: Push, target: str) -> list[str]:
        """A target's files in the order in which its logs, one a run and a link to the newest, say that they were published."""
        logs = []
        for name in glob.glob(os.path.join(push.log, f"push_{target}_*")):
            with open(name, encoding="utf-8") as file:
                logs.append(file.read())
        # each line begins with its time
        names = [name for text in sorted(logs) for name in re.findall(r" published (\S+): packets ", text)]
        verify(len(names) == len(set(names)), f"{target}: published twice: {sorted(names)}")
        return names

    def _feed(self, source: run.Process, rng: random.Random) -> None:
        """Give a capture to an import, in pieces, over a second or so."""
        with open(self.capture, "rb") as file:
            while piece := file.read(rng.randrange(1000, 2 * os.path.getsize(self.capture) // 100)):
                source.popen.stdin.write(piece)
                source.popen.stdin.flush()
                time.sleep(0.01)
        source.popen.stdin.close()

    def _stop_round(self, seed: int) -> tuple[int, int]:
        """Stop a push that follows a live capture, until that ends; how often, and how often after its first files."""
        rng = random.Random(f"stop {seed}")
        directory = os.path.join(self.dir, f"seed{seed}")
        store = os.path.join(directory, "store")
        push = Push(directory, store, targets=[])
        push.config = lua.write_config(push.config, self._targets(push))
        words = ("import", "--store", store, "--capture", CAPTURE, "--flush-interval", "0.01", "-q", "-")
        stops: list[float] = []
        midway = 0
        with run.sluice_start(*words, stdin=subprocess.PIPE) as source:
            feeder = threading.Thread(target=self._feed, args=(source, rng))
            feeder.start()
            source.wait_until(lambda: os.path.islink(f"{store}/active"), what="a capture")
            while feeder.is_alive():
                stops.append(rng.uniform(0, 0.3))
                with push.follow() as process:
                    process.wait_until(lambda: os.path.exists(f"{push.state}/lock"), what="the state directory")
                    time.sleep(stops[-1])
                    result = process.stop(rc=None)
                # a signal ends it without ceremony while it has not begun to look for one
                if result.rc == -signal.SIGTERM and result.seconds < 1:
                    stops.pop()
                    continue
                result.check(0)
                midway += feeder.is_alive() and bool(run.list_files(push.out, ".pcap"))
            feeder.join()
            source.wait()
        run.run([*push.once_command(), "--log-dir", push.log])
        where = f"seed {seed}, stops after {[round(delay, 4) for delay in stops]} s"
        published = []
        for target in ("time", "bytes", "both", "kept"):
            names = self._published(push, target)
            verify(pcap.read_packets(*names) == self.packets, f"{where}: {target}: other packets or order")
            published += [os.path.relpath(name, push.out) for name in names]
        verify(sorted(published) == run.list_files(push.out), f"{where}: published, and there: {published}")
        kept = {name[5:]: data for name, data in run.read_tree(push.out).items() if name.startswith("kept/")}
        expected = {name[5:]: data for name, data in self.reference.items() if name.startswith("both/")}
        verify(kept == expected, f"{where}: OnStop=resume: {sorted(kept)}, expected {sorted(expected)}")
        push.remove()
        return len(stops), midway

    def _stop_rounds(self, worker: int, stops: int) -> tuple[int, int]:
        """Rounds of stops until there were enough."""
        done = midway = 0
        for seed in itertools.count(1000 * worker):
            if done >= stops:
                return done, midway
            result = self._stop_round(seed)
            done, midway = done + result[0], midway + result[1]
        return done, midway

    @func_test
    def test_stopped_at_random_moments(self) -> None:
        """A push that is stopped by SIGTERM again and again.

        **Steps:**
            * In each round import a capture from a pipe, piece by piece, and follow it with a push that is stopped after random
              times, from seeds, and started again; then push to the end. Rounds until there were 40 stops (SLUICE_CRASH_STOPS).

        **Verify:**
            * Each stop exits 0. The files that each target's log names hold the packets of the capture, in the capture's order,
              each once; there are no other files.
            * A target with OnStop = "resume" has names and bytes of a push that was never stopped.
            * Enough of the stops met a push in the middle of its files.
        """
        with ThreadPoolExecutor(PARALLEL) as pool:
            results = list(pool.map(self._stop_rounds, range(PARALLEL), [STOPS // PARALLEL] * PARALLEL))
        stops, midway = (sum(column) for column in zip(*results))
        print(f"{stops} stops, {midway} in the middle of the files")
        verify(midway >= STOPS // 10, f"only {midway} of {stops} stops met a push that had some of its files")

    # ------------------------------------------------------------ two at a time

    @func_test
    def test_state_dir_is_locked(self) -> None:
        """Two pushes with one state directory.

        **Steps:**
            * While a push follows, start a second one with the same --state-dir and other Paths, and the same push again.
            * Stop the first one, push again.

        **Verify:**
            * Both exit non-zero at once and name the process that is in the way; one the state directory, the other the Path that
              is pushed to already. The first goes on.
            * With the first one gone the state directory is free; the files are those of one push.
        """
        push = Push(os.path.join(self.dir, "push"), self.store)
        with push.follow() as first:
            first.wait_until(lambda: run.list_files(push.out, ".pending"), what="an open file")
            other = Push(os.path.join(self.dir, "other"), self.store)
            other.state = push.state
            for second, named in ((other, push.state), (push, f"{push.out}/time")):
                refused = second.once(rc=None)
                verify(refused.rc > 0, f"the second push was let in\n{refused.describe()}")
                verify(named in refused.err, f"it does not name {named}\n{refused.describe()}")
                verify(str(first.pid) in refused.err, f"it does not name process {first.pid}\n{refused.describe()}")
                verify(refused.seconds < 10, f"it took its time\n{refused.describe()}")
            verify(first.running(), f"the first push ended\n{first.result().describe()}")
            first.signal(signal.SIGTERM)
            first.wait()
        push.once()
        difference = push.difference(self.reference)
        verify(not difference, difference)

    # ------------------------------------------------------------ nothing happens

    def _start_quiet(self) -> Future[str]:
        """Begin test_quiet_checkpoint: what differs from the reference in the end."""
        push = Push(f"{self.suite_dir}/quiet", self.store)
        process = self.enter(push.follow("--map", "reader@0,filter@0,writer@0"))
        pool, ended = self.enter(ThreadPoolExecutor(1)), threading.Event()
        # If that case is not run nobody waits for the end.
        self.on_tear_down(process.kill)
        self.on_tear_down(ended.set)
        return pool.submit(self._quiet, push, process, ended)

    def _quiet(self, push: Push, process: run.Process, ended: threading.Event) -> str:
        journal, log = os.path.join(push.state, "time.journal"), os.path.join(push.directory, "log", "push_time.cur")

        def last_checkpoint() -> int:
            with open(journal, encoding="utf-8") as file:
                lines = [line for line in file if " ckpt " in line and " packets=" in line]
            return int(re.search(r" packets=(\d+)", lines[-1])[1]) if lines else 0

        def status_lines() -> list[str]:
            with open(log, encoding="utf-8") as file:
                return [line for line in file if " status: " in line]

        process.wait_until(lambda: run.list_files(push.out, ".pending"), what="an open file")
        process.wait_until(last_checkpoint, timeout=15, what="a checkpoint of the open file")
        process.wait_until(status_lines, timeout=15, what="a status line")
        ended.wait(16)
        verify(len(status_lines()) == 1, f"status lines though nothing changed: {status_lines()}")
        process.kill()
        noted = last_checkpoint()
        push.once()
        last = max(name for name in self.reference if name.startswith("time/"))
        packets = len(pcap.read_packets(os.path.join(push.out, last)))
        verify(noted == packets, f"the last checkpoint has {noted} packets, {last} has {packets}")
        return push.difference(self.reference)

    @func_test
    def test_quiet_checkpoint(self) -> None:
        """A push that follows a quiet capture.

        **Steps:**
            * Follow a capture that gets no more packets, writer and reader on lcores of their own; wait, while the other cases
              run; kill -9.
            * Push again.

        **Verify:**
            * Within the 10 s between two checkpoints the journal has one with all packets of the open file; after 15 s the
              log has a status line, and later no second one.
            * The files are the reference's.
        """
        difference = self.quiet.result()
        verify(not difference, difference)
