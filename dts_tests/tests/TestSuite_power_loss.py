# SPDX-License-Identifier: BSD-3-Clause
"""A power loss takes what was not fsynced: no packet of the store is lost or pushed twice by it.

Store, state directory and output are on a file system (dts_tests/faultfs) that forgets, at an operation that a test
chooses, all data and directory entries that were not fsynced; with a seed, a random part of them survives, as on real
disks. Then the machine boots again, and the push or import is started again.

SLUICE_POWER_ROUNDS=N: so many rounds for each kind of operation instead of 1.
"""

import glob
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch

from api.test import verify
from framework import lua, pcap, run, traffic
from framework.exception import TestCaseVerifyError
from framework.power import Machine
from framework.restart import CAPTURE, COMMON, Push
from framework.test_suite import TestSuite, func_test

PARALLEL = 2
ROUNDS = int(os.environ.get("SLUICE_POWER_ROUNDS", "1"))
POINTS = os.path.join(run.REPO, "lib", "writer", "crash_points.h")
GONE = "is gone; its packets are taken from the store again"

# Each kind of operation of a push: power goes before one of them.
KINDS = [
    ("mkdir", "/*"),
    ("fsyncdir", "/"),
    ("fsyncdir", "/out*"),
    ("fsyncdir", "/state"),
    ("create", "/state/lock"),
    ("truncate", "/state/lock"),
    ("write", "/state/lock"),
    ("create", "*.journal.new"),
    ("write", "*.journal.new"),
    ("fsync", "*.journal.new"),
    ("rename", "*.journal"),
    ("write", "*.journal"),
    ("fsync", "*.journal"),
    ("create", "*.pending"),
    ("fallocate", "*.pending"),
    ("write", "*.pending"),
    ("truncate", "*.pending"),
    ("chown", "*.pending"),
    ("fsync", "*.pending"),
    ("link", "*.pcap"),
    ("unlink", "*.pending"),
]


def targets(push: Push) -> list:
    """Three targets: each file in a directory of its own; names that collide; time and bytes."""
    out, common = push.out, {**COMMON, "MinFree": 0}
    return [
        lua.target("time", f"{out}/%H%M/x", **common, SplitCmd=f"-Z {os.getuid()}.{os.getgid()}"),
        lua.target("bytes", f"{out}/b/x", **common, Split="--split-byte 100e3", FileName="--filename-tstr-HHMM"),
        lua.target("both", f"{out}/both/x", **common, Split="--split-time 100e9 --split-byte 150e3"),
    ]


def kinds_of(line: str) -> list[tuple[str, str]]:
    """The kinds that a line of the log belongs to."""
    op, *paths = line.split()
    path = paths[1] if op in ("link", "rename") else paths[0]
    name = path.rsplit("/", 1)[-1]
    return [kind for kind in KINDS if kind[0] == op and fnmatch(path if "/" in kind[1] else name, kind[1])]


class PowerPush(Push):
    """A push on a machine's disk."""

    def __init__(self, machine: Machine, store: str | None = None, make_targets=targets):
        self.machine = machine
        super().__init__(machine.directory, store or machine.store, data=machine.disk, targets=[])
        self.config = lua.write_config(self.config, make_targets(self))

    def wrong_now(self, expected: dict[str, bytes]) -> str:
        """What no power loss may leave: a half file under a final name."""
        found = run.read_tree(self.out, ".pcap") if os.path.isdir(self.out) else {}
        bad = [f"{name}: {len(data)} bytes" for name, data in found.items() if expected.get(name) != data]
        return "".join(f"not whole under its final name: {text}\n" for text in bad)

    def finish(self, expected: dict[str, bytes], gone: bool = False) -> str:
        """Push to the end after a power loss; what is wrong then.

        Args:
            expected: The files of a push that was never interrupted.
            gone: A working file that the journal knows may be lost.
        """
        wrong = self.wrong_now(expected)
        result = self.machine.run(self.once_command(), rc=None)
        if result.rc:
            return f"{wrong}does not go on\n{result.describe()}"
        if GONE in result.err and not gone:
            wrong += f"a working file that the journal knows was not durable\n{result.describe()}"
        lines = self.difference(expected).splitlines()
        # A working file whose name got to the disk before the journal's line about it: nobody knows whose it is.
        orphans = [name for name in run.list_files(self.out, ".pending") if os.stat(f"{self.out}/{name}").st_nlink == 1]
        allowed = {f"{text}: {name}" for name in orphans for text in ("left behind", "not expected")}
        return wrong + "".join(f"{line}\n" for line in lines if line not in allowed)


class TestPowerLoss(TestSuite):
    """Losses of power."""

    def set_up_suite(self) -> None:
        """A capture, and the files and operations of a push that is not interrupted."""
        self.capture = traffic.make_traffic(
            f"{self.suite_dir}/c.pcap", packets=3000, duration=300, seed=17, start=1767605400
        )
        self.packets = pcap.read_packets(self.capture)
        self.store = f"{self.suite_dir}/store"
        run.import_capture(self.store, self.capture, capture=CAPTURE)
        self._number = itertools.count()
        with Machine(f"{self.suite_dir}/reference", self.store) as machine:
            push = PowerPush(machine)
            machine.run(push.once_command())
            self.log = machine.fs.log()
            self.reference = run.read_tree(push.out)
        names = list(self.reference)
        verify(any(name.endswith("_1.pcap") for name in names), f"no names collide: {names}")
        verify(any(name.endswith("_p002.pcap") for name in names), f"no second part: {names}")
        for prefix in ("0", "b/", "both/"):
            found = [self.reference[name] for name in names if name.startswith(prefix)]
            verify(sum(len(data) - 24 for data in found) == sum(16 + len(p.data) for p in self.packets), prefix)

    def _machine(self, store: str | None = None) -> Machine:
        return Machine(os.path.join(self.dir, f"machine{next(self._number)}"), store)

    def _in_parallel(self, function, jobs: list) -> list[str]:
        """What is wrong with each of the jobs."""
        with ThreadPoolExecutor(PARALLEL) as pool:
            return [text for text in pool.map(lambda job: function(*job), jobs) if text]

    # ------------------------------------------------------------ a push

    def _round(self, kind: tuple[str, str], skip: int, seed: int) -> str:
        """Lose power before an operation, perhaps again while the push goes on, and finish."""
        rng = random.Random(f"{kind} {skip} {seed}")
        where = f"power lost before {' '.join(kind)} number {skip}, seed {seed}"
        with self._machine(self.store) as machine:
            push = PowerPush(machine)
            result = machine.until(push.once_command(), *kind, skip=skip, seed=seed)
            if result.rc != -signal.SIGKILL:
                return f"{where}: never reached\n{result.describe()}"
            wrong = push.wrong_now(self.reference)
            if not wrong and rng.random() < 0.5:
                again = rng.randrange(60)
                where += f", again before change {again}"
                machine.until(push.once_command(), "change", "*", skip=again, seed=seed and seed + 1)
            wrong = wrong or push.finish(self.reference)
        return f"{where}:\n{wrong}" if wrong else ""

    @func_test
    def test_push(self) -> None:
        """Power goes at any operation of a push.

        **Steps:**
            * For each kind of operation that a push makes on store, state directory and output: lose power before the first one
              and before random ones, taking all that was not fsynced or a random part of it; in half of the rounds once more while
              the push goes on. Push to the end.

        **Verify:**
            * Each operation in the log of a push belongs to a kind, and each kind is reached.
            * After the loss, no file under a final name is anything but whole.
            * At the end names and bytes are those of a push that was never interrupted; what the journal knew was there.
        """
        count = {kind: sum(kind in kinds_of(line) for line in self.log) for kind in KINDS}
        unknown = [line for line in self.log if not kinds_of(line)]
        verify(not unknown, f"operations at which no power is lost: {unknown[:20]}")
        verify(all(count.values()), f"operations that a push does not make any more: {count}")
        rng = random.Random(4)
        jobs = []
        for turn, kind in enumerate(KINDS):
            # How often each is reached depends on the turns that threads take; the last ones may not be there.
            most = max(1, count[kind] * 2 // 3)
            for number in range(ROUNDS):
                skip = 0 if number == 0 and rng.random() < 0.5 else rng.randrange(most)
                jobs.append((kind, skip, rng.randrange(1, 1 << 30) if (turn + number) % 2 else 0))
        wrong = self._in_parallel(self._round, jobs)
        verify(not wrong, f"{len(wrong)} of {len(jobs)} rounds:\n" + "\n".join(wrong))
        print(f"{len(jobs)} power losses at {len(KINDS)} kinds of operations")

    # ------------------------------------------------------------ an import

    def _import(self, machine: Machine, name: str) -> list[str]:
        return [run.SLUICE, "import", "--store", machine.store, "--capture", name, "-q", self.capture]

    def _stored(self, machine: Machine, name: str) -> list[pcap.Packet] | None:
        """The packets of a capture in a machine's store; None if it can't be read."""
        path = os.path.join(machine.directory, f"{name}.pcap")
        words = [run.SLUICE, "store", "export", "--store", machine.store, "--capture", name, "-o", path]
        return pcap.read_packets(path) if machine.run(words, rc=None).rc == 0 else None

    def _wrong_in_store(self, machine: Machine, whole: str = "") -> str:
        """What is wrong with a store after a power loss.

        Args:
            whole: A capture whose import had ended: the active one, all of it there, and closed.
        """
        store = machine.store
        if not os.path.isdir(store):
            return "no store\n" if whole else ""
        result = machine.run([run.SLUICE, "store", "ls", "--store", store], rc=None)
        wrong = result.describe() if result.rc else ""
        if os.path.islink(f"{store}/active") and not os.path.isdir(f"{store}/active"):
            wrong += "the link `active` leads nowhere\n"
        for name in ("first", "second"):
            if not os.path.isdir(f"{store}/{name}"):
                wrong += f"{name} is gone\n" if name == whole else ""
                continue
            packets = self._stored(machine, name)
            if packets is None or packets != self.packets[: len(packets)]:
                wrong += f"{name} can't be read, or its packets are not the first ones that were imported\n"
            elif name == whole and len(packets) != len(self.packets):
                wrong += f"{name}: {len(packets)} packets\n"
        if whole and not re.search(rf"^\* {whole} +closed ", result.out, re.MULTILINE):
            wrong += f"{whole} is not the active capture, closed\n{result.out}"
        return wrong

    def _wrong_sequence(self, machine: Machine) -> str:
        """A store whose only capture has been removed does not give its sequence number again."""
        shutil.rmtree(f"{machine.store}/first")
        os.unlink(f"{machine.store}/active")
        machine.run(self._import(machine, "second"))
        info = machine.run([run.SLUICE, "store", "info", "--store", machine.store, "second"]).out
        return "" if re.search(r"^sequence: +2$", info, re.MULTILINE) else f"a sequence number is given again\n{info}"

    def _import_round(self, number: int, seed: int, left_out: tuple = ()) -> str:
        """Lose power before a change that an import makes; import again; push what is there.

        Args:
            number: Of the change; -1: when it has ended.
            seed: As for FaultFs.power_loss().
            left_out: Operation, path and number of an fsync that is not carried out.
        """
        with self._machine() as machine:
            if left_out:
                machine.fs.rule(left_out[0], left_out[1], ignore=True, skip=left_out[2], times=1)
            if number < 0:
                machine.run(self._import(machine, "first"))
                machine.lose(seed)
                return self._wrong_in_store(machine, "first") or self._wrong_sequence(machine)
            result = machine.until(self._import(machine, "first"), "change", "*", skip=number, seed=seed)
            if result.rc != -signal.SIGKILL:
                return f"change {number} was never reached\n{result.describe()}"
            where = f"power lost before change {number} of an import, seed {seed}"
            wrong = self._wrong_in_store(machine)
            machine.fs.clear()
            again = machine.run(self._import(machine, "second"), rc=None)
            if again.rc:
                return f"{where}: {wrong}can't import any more\n{again.describe()}"
            machine.lose()
            wrong += self._wrong_in_store(machine, "second")
            return f"{where}: {wrong}" if wrong else ""

    def _import_log(self) -> list[str]:
        with self._machine() as machine:
            machine.run(self._import(machine, "first"))
            return machine.fs.log()

    @func_test
    def test_import(self) -> None:
        """Power goes at any operation of an import.

        **Steps:**
            * For each change that an import makes to a new store: lose power before it, taking all that was not fsynced, and
              again a random part of it. Import into the same store again, and lose power when that has ended.
            * Lose power when an import has ended.

        **Verify:**
            * After the loss the store can be read, `active` leads to a capture if it is there, and a capture that is there holds
              the first packets of what was imported.
            * The import that ended with status 0 is all there: closed, active, every packet.
        """
        changes = len(self._import_log())
        jobs = [(number, 0) for number in range(-1, changes)]
        jobs += [(number, 1000 + number) for number in range(0, changes, 1 if ROUNDS > 1 else 3)]
        wrong = self._in_parallel(self._import_round, jobs)
        verify(not wrong, f"{len(wrong)} of {len(jobs)} rounds:\n" + "\n".join(wrong))

    @func_test
    def test_removed_fsync_of_import(self) -> None:
        """Each fsync of an import is needed, and this suite would see it if one were missing.

        **Steps:**
            * For each fsync in the log of an import: let the file system report it as done without doing it, and lose power after
              the end; if nothing is wrong then, before each change, and with a few seeds.

        **Verify:**
            * Something is wrong. Only the first fsync of a head may be missing: it is there to learn that a server is full.
        """
        log = self._import_log()
        seen: dict[tuple[str, str], int] = {}
        fsyncs = []
        for number, line in enumerate(log):
            op, path = line.replace("fdatasync", "fsync").split()[:2]
            if op in ("fsync", "fsyncdir"):
                fsyncs.append((number, (op, path, seen.get((op, path), 0))))
                seen[op, path] = seen.get((op, path), 0) + 1
        verify(len(fsyncs) >= 7, f"fsyncs of an import: {fsyncs}")

        def noticed(number: int, left_out: tuple) -> str:
            if left_out[1].endswith("/head") and left_out[2] == 0 and left_out[1].split("/")[2].startswith("."):
                return ""
            # where most hangs on it: before the next fsync of the same
            later = [other for other, fsync in fsyncs if other > number and fsync[:2] == left_out[:2]]
            rounds = [(-1, 0), *itertools.product(range(number + 1, len(log)), (0, 1, 2))]
            rounds += itertools.product(later[:1], range(3, 300))
            return "" if any(self._import_round(*at, left_out) for at in rounds) else f"{left_out}: nobody noticed"

        wrong = self._in_parallel(noticed, fsyncs)
        verify(not wrong, "\n".join(wrong))

    # ------------------------------------------------------------ both at a time

    def _live_round(self, seed: int) -> str:
        """Lose power while a capture comes through a pipe and is pushed; push what the store has kept."""
        rng = random.Random(f"live {seed}")
        with open(self.capture, "rb") as file:
            data = file.read()
        with self._machine() as machine:
            push = PowerPush(machine)
            words = ["import", "--store", machine.store, "--capture", CAPTURE, "--flush-interval", "0.02", "-q", "-"]
            machine.fs.rule("change", freeze=True, skip=rng.randrange(60, 400), times=1)
            with machine.start([run.SLUICE, *words], stdin=subprocess.PIPE) as source:
                os.set_blocking(source.popen.stdin.fileno(), False)
                with machine.start(push.follow_command()) as process:
                    sent = 0
                    while not machine.fs.frozen() and sent < len(data):
                        try:
                            sent += source.popen.stdin.write(data[sent : sent + 20000]) or 0
                            source.popen.stdin.flush()
                        except BlockingIOError as full:
                            sent += full.characters_written
                        time.sleep(0.01)
                    machine.lose(seed if seed % 2 else 0, process, source)
            machine.fs.clear()
            where = f"live, seed {seed}, {sent} bytes sent"
            if not os.path.isdir(f"{machine.store}/{CAPTURE}"):
                return "" if not run.list_files(push.out, ".pcap") else f"{where}: files, but no store"
            # the first whole push seals the capture: nobody writes it any more
            machine.run([run.SLUICE, "import", "--store", machine.store, "--capture", "next", "-q", self.capture])
            kept = self._stored(machine, CAPTURE)
            if kept is None or kept != self.packets[: len(kept)]:
                return f"{where}: the store has other packets"
            result = machine.run([*push.once_command(), "--capture", CAPTURE], rc=None)
            if result.rc:
                return f"{where}: {result.describe()}"
            for target in ("0", "b/", "both/"):
                names = [name for name in run.list_files(push.out, ".pcap") if name.startswith(target)]
                got = pcap.read_packets(*(os.path.join(push.out, name) for name in names)) if names else []
                once = len(set(got)) == len(got) and set(got) <= set(self.packets)
                if not once or not set(kept) <= set(got):
                    return f"{where}: {target}: {len(got)} packets, {len(set(got))} different, the store has {len(kept)}"
        return ""

    @func_test
    def test_live(self) -> None:
        """Power goes while a capture comes and is pushed: the store forgets, too.

        **Steps:**
            * Import from a pipe and follow with a push, both on one disk; lose power at random changes, in half of the rounds with a
              seed. Begin another capture, so that the first is sealed, and push the first to its end.

        **Verify:**
            * The store has the first packets of what was sent. Each of them is in the files of each target once; what the files
              have beyond that the store had before the loss, and it is there once as well.
        """
        verify(len(set(self.packets)) == len(self.packets), "packets can't be told apart")
        wrong = self._in_parallel(self._live_round, [(seed,) for seed in range(4 * ROUNDS)])
        verify(not wrong, "\n".join(wrong))

    # ------------------------------------------------------------ every fsync is needed

    @staticmethod
    def _one_target(push: Push, **fields: object) -> list:
        fields = {**COMMON, "MinFree": 0, **fields}
        return [lua.target("time", f"{push.out}/%H%M/x", **fields)]

    def _expected(self, prefix: str = "0") -> dict[str, bytes]:
        return {name: data for name, data in self.reference.items() if name.startswith(prefix)}

    def _lose_at(self, skip: str, op: str, pattern: str, count: int = 0, first: str = "") -> str:
        """One loss without a seed at a certain operation of a push with one target; what is wrong afterwards.

        Args:
            skip: SLUICE_SKIP_FSYNC.
            op, pattern, count: The operation.
            first: SLUICE_CRASH of a push before, which is killed without a power loss.
        """
        with self._machine(self.store) as machine:
            push = PowerPush(machine, make_targets=self._one_target)
            # or all that the push has made might be lost together, which is no harm
            os.mkdir(push.state)
            machine.sync_root()
            if first:
                killed = machine.run(push.once_command(), rc=None, env={"SLUICE_CRASH": first})
                verify(killed.rc == -signal.SIGKILL, f"{first}: never reached\n{killed.describe()}")
            result = machine.until(push.once_command(), op, pattern, skip=count, env={"SLUICE_SKIP_FSYNC": skip})
            verify(result.rc == -signal.SIGKILL, f"{op} {pattern} {count}: never reached\n{result.describe()}")
            return push.finish(self._expected())

    def _lose_stopped(self, skip: str) -> str:
        """Power goes after a stop that keeps an open file for later (OnStop = "resume")."""
        with self._machine(self.store) as machine:
            fields = {"Split": "--split-time 86400e9", "OnStop": "resume"}
            push = PowerPush(machine, make_targets=lambda push: self._one_target(push, **fields))
            command = [*push.follow_command(), "--map", "all@0"]
            with machine.start(command, env={"SLUICE_SKIP_FSYNC": skip}) as process:
                process.wait_until(lambda: run.list_files(push.out, ".pending"), what="an open file")
                process.stop()
            verify(len(run.list_files(push.out, ".pending")) == 1, "the stop did not keep the file open")
            machine.lose()
            wrong = "" if glob.glob(f"{push.out}/*/*.pending") else "the working file of a stopped push is gone\n"
            result = machine.run(push.once_command(), rc=None)
            if result.rc or GONE in result.err:
                wrong += result.describe()
            data = b"".join(run.read_tree(push.out, ".pcap").values())
            expected = b"".join(data[24:] for _, data in sorted(self._expected().items()))
            return wrong if data[24:] == expected else f"{wrong}other bytes\n"

    def _lose_begin(self, skip: str) -> str:
        """Power goes after a push has begun "now" and taken its first packets: where it began is not forgotten."""
        with open(self.capture, "rb") as file:
            data = file.read()
        middle = 24
        for _ in range(len(self.packets) // 2):
            middle += 16 + int.from_bytes(data[middle + 8 : middle + 12], "little")
        with self._machine() as machine:
            store = os.path.join(machine.directory, "store")
            # nothing is published before the loss: that would have made it durable as well
            fields = {"FollowStart": False, "Split": "--split-time 86400e9"}
            push = PowerPush(machine, store, lambda push: self._one_target(push, **fields))
            words = ("import", "--store", store, "--capture", CAPTURE, "--flush-interval", "0.05", "-q", "-")
            with run.sluice_start(*words, stdin=subprocess.PIPE) as source:
                source.popen.stdin.write(data[:middle])
                source.popen.stdin.flush()
                count = rf"packets: +{len(self.packets) // 2}\n"
                info = ("store", "info", "--store", store)
                run.wait_until(lambda: re.search(count, run.sluice(*info, rc=None).out), what="the first half in the store")
                with machine.start(push.follow_command(), env={"SLUICE_SKIP_FSYNC": skip}) as process:
                    journal = os.path.join(push.state, "time.journal")
                    process.wait_until(lambda: os.path.exists(journal), what="a push that has begun")
                    time.sleep(1)
                    source.popen.stdin.write(data[middle:])
                    source.popen.stdin.flush()
                    process.wait_until(lambda: run.list_files(push.out, ".pending"), what="an open file")
                    machine.lose(0, process)
                source.popen.stdin.close()
                source.wait()
            result = machine.run(push.once_command(), rc=None)
            files = [os.path.join(push.out, name) for name in run.list_files(push.out, ".pcap")]
            got = pcap.read_packets(*files) if files else []
            same = sorted(got) == sorted(self.packets[len(self.packets) // 2 :])
            return "" if same and result.rc == 0 else f"{len(got)} packets\n{result.describe()}"

    def _lose_rescued(self, skip: str) -> str:
        """Power goes after the directory of an open file was taken away, and its bytes were copied to a new one."""
        with self._machine(self.store) as machine:
            fields = {"Split": "--split-time 86400e9"}
            push = PowerPush(machine, make_targets=lambda push: self._one_target(push, **fields))
            with machine.start(push.follow_command(), env={"SLUICE_SKIP_FSYNC": skip}) as process:
                process.wait_until(lambda: run.list_files(push.out, ".pending"), what="an open file")
                os.rename(push.out, f"{machine.disk}/away")
                process.stop()
            verify(len(run.list_files(push.out, ".pcap")) == 1, "nothing was rescued")
            before = run.read_tree(push.out)
            machine.lose()
            return push.wrong_now(before)

    def _lose_archived(self, skip: str) -> str:
        """Power goes after a reload has removed a target and put its journal away."""
        with self._machine(self.store) as machine:
            push = PowerPush(machine)
            with machine.start(push.follow_command(), env={"SLUICE_SKIP_FSYNC": skip}) as process:
                process.wait_until(lambda: os.path.exists(f"{push.state}/both.journal"), what="a journal")
                process.wait_until(lambda: run.list_files(push.out, ".pending"), what="an open file")
                lua.write_config(push.config, targets(push)[:2])
                process.signal(signal.SIGHUP)
                away = f"{push.state}/both.journal.removed-*"
                process.wait_until(lambda: glob.glob(away), what="a journal that was put away")
                # the rename is seen before its fsync has ended
                process.stop()
            machine.lose()
            return "" if glob.glob(away) and not os.path.exists(f"{push.state}/both.journal") else "it is back\n"

    def _fsync_scenarios(self) -> dict:
        """Name of an fsync's point -> function that says what is wrong if it is left out."""
        at = self._lose_at
        third = "publish.link.before:3"
        return {
            "mkdir.fsync": lambda skip: at(skip, "link", "/out/0931/*"),
            "publish.fsync": lambda skip: at(skip, "unlink", "/out/0930/*"),
            "publish.fsync-dir": lambda skip: at(skip, "link", "/out/0930/*"),
            "publish.fsync-name": lambda skip: at(skip, "link", "/out/0931/*"),
            "publish.fsync-gone": lambda skip: at(skip, "link", "/out/0933/*"),
            "rescue.fsync": self._lose_rescued,
            "checkpoint.fsync": self._lose_stopped,
            "checkpoint.fsync-dir": self._lose_stopped,
            "journal.fsync-intent": lambda skip: at(skip, "unlink", "/out/0930/*"),
            "journal.fsync-checkpoint": self._lose_begin,
            "journal.fsync-new": lambda skip: at(skip, "write", "*.journal", first=third),
            "journal.fsync-dir": lambda skip: at(skip, "unlink", "/out/0930/*"),
            "archive.fsync-dir": self._lose_archived,
            "resume.fsync-name": lambda skip: at(skip, "link", "/out/0931/*", first="publish.link.after"),
        }

    @func_test
    def test_removed_fsync_of_push(self) -> None:
        """Each fsync of a push is needed, and this suite would see it if one were missing.

        **Steps:**
            * Read the points from lib/writer/crash_points.h. For each fsync: lose power where that one alone keeps what is needed,
              once with it and once without it (SLUICE_SKIP_FSYNC).

        **Verify:**
            * With it nothing is wrong; without it something is.
            * There is no fsync in lib/writer but through these points.
        """
        with open(POINTS, encoding="utf-8") as file:
            points = set(re.findall(r'^POINT\(\w+, "([\w.-]*fsync[\w-]*)"\)', file.read(), re.MULTILINE))
        scenarios = self._fsync_scenarios()
        verify(points == scenarios.keys(), f"without a scenario, or no more: {sorted(points ^ scenarios.keys())}")
        for name in glob.glob(os.path.join(run.REPO, "lib", "writer", "*.c")):
            if name.endswith("_test.c") or os.path.basename(name) == "ops.c":
                continue
            with open(name, encoding="utf-8") as file:
                found = re.findall(r"(?:sl_ops\.fsync|\bfsync|fdatasync|prep_fsync)\(", file.read())
            verify(not found, f"{name}: not through a point: {found}")

        def both(point: str) -> str:
            try:
                wrong = scenarios[point]("")
                if wrong:
                    return f"{point}: wrong although nothing was left out:\n{wrong}"
                return "" if scenarios[point](point) else f"{point}: left out, and nobody noticed"
            except TestCaseVerifyError as error:
                return f"{point}: {error}"

        wrong = self._in_parallel(both, [(point,) for point in sorted(points)])
        verify(not wrong, "\n".join(wrong))
