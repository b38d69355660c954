# SPDX-License-Identifier: BSD-3-Clause
"""`sluice status`: what it says of pushes that run, fail, lag and hang.

The oracle is what the case itself has done: packets that it sent, files that are there, errors that it made. JSON is read by
Python's json.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from typing import Any

from api.test import verify
from framework import fs, lua, pcap, run, traffic
from framework.run import SLUICE
from framework.test_suite import TestSuite, func_test

RECORD = 16  # bytes of a packet's header in a pcap file
START = 1767605400
SECOND = 1_000_000_000


class TestStatus(TestSuite):
    """One page about all of them."""

    def set_up_suite(self) -> None:
        """A capture of five minutes, half of which is more than the blocks that a target fills before it lags."""
        self.capture = traffic.make_traffic(f"{self.suite_dir}/in.pcap", packets=100000, duration=300, seed=6, start=START)
        with open(self.capture, "rb") as file:
            self.blob = file.read()
        self.packets = pcap.parse_pcap(self.blob).packets

    def set_up_test_case(self) -> None:
        """A runtime directory of our own: pushes of other suites are not asked. Short, as a socket's name must be."""
        runtime = tempfile.mkdtemp(prefix="sluice-run-")
        self.on_tear_down(shutil.rmtree, runtime, True)
        self.env = {"RUNTIME_DIRECTORY": runtime}

    def _status(self, rc: int | None = None) -> dict[str, Any]:
        result = run.sluice("status", "--json", rc=rc, env=self.env)
        document = json.loads(result.out)
        verify(document["status"] == result.rc, result.describe())
        return document

    def _push(self, name: str, targets: list[dict], store: str, *args: str, **kwargs: Any) -> run.Process:
        config = lua.write_config(f"{self.dir}/{name}.lua", targets, {"FollowStart": True})
        places = ("--state-dir", f"{self.dir}/{name}.state", "--log-dir", f"{self.dir}/{name}.log")
        process = run.push_start(config, store, *places, "--stop-timeout", "3", *args, env=self.env, **kwargs)
        return self.enter(process)

    def _feed(self, store: str) -> run.Process:
        return self.enter(run.Process([SLUICE, "import", "--store", store, "-"], stdin=subprocess.PIPE))

    def _target(self, name: str, rc: int | None = None) -> dict[str, Any]:
        """A target of any push, by name; {} if there is none."""
        for push in self._status(rc)["pushes"]:
            for target in push.get("targets", []):
                if target["desc"] == name:
                    return target
        return {}

    def _wait(self, process: run.Process, name: str, timeout: float = 60, **expected: Any) -> dict[str, Any]:
        """Wait until a target's status has these values; the target."""
        seen: dict[str, Any] = {}

        def there() -> bool:
            seen.clear()
            seen.update(self._target(name))
            return bool(seen) and all(seen[key] == value for key, value in expected.items())

        try:
            process.wait_until(there, timeout)
        except Exception as error:
            raise AssertionError(f"{name}: not {expected}: {seen}") from error
        return seen

    @func_test
    def test_growing(self) -> None:
        """A growing capture, a target that keeps up and one whose file system is full.

        **Steps:**
            * Ask when nothing runs. Feed half a capture to a store; push it to a target on a disk, and to one on a tmpfs of 256 KiB with
              names that no JSON likes; ask as JSON and as text; feed the rest; make the tmpfs larger.

        **Verify:**
            * Exit status 2, then 1, then 0; the JSON is one document each time.
            * Packets, bytes, files and the last file are those that are there. The full one is failing, with the file and "No space
              left", its lag in bytes is that of the packets that it lacks to within its chunks, in seconds it ends at the newest packet;
              both grow with the capture, and are 0 in the end.
        """
        verify(self._status(2) == {"pushes": [], "captures": [], "status": 2}, "something runs")
        result = run.sluice("status", rc=2, env=self.env)
        verify("no push" in result.err and not result.out, result.describe())

        small = f"{self.dir}/small"
        os.mkdir(small)
        run.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", small])
        self.on_tear_down(subprocess.run, ["umount", "-l", small], check=False)
        name = 'full "ü\\%41'
        targets = [
            lua.target("good", f"{self.dir}/good/x", MinFree=0),
            lua.target(name, f"{small}/ä%%/x", MinFree=0, Split="--split-time 300e9"),
        ]
        store = f"{self.dir}/store"
        feeder = self._feed(store)
        records = self._records(0.5)
        feeder.popen.stdin.write(self.blob[: records[1]])
        feeder.popen.stdin.flush()
        push = self._push("push", targets, store)
        good = self._wait(push, "good", packets=records[0])
        full = self._wait(push, name, state="failing")
        self._check_good(good, records)
        self._check_full(push, full, name, records)
        first = self._target(name, 1)
        text = run.sluice("status", rc=1, env=self.env).out
        for part in (f"push {push.pid}: ", "lcores busy: ", "  good ", f"  {name}", "failing", "No space left on device", "/good/x_"):
            verify(part in text, f"no {part}\n{text}")

        records = self._records(1)
        feeder.popen.stdin.write(self.blob[self._records(0.5)[1] :])
        feeder.popen.stdin.close()
        feeder.wait(30)
        good = self._wait(push, "good", packets=records[0])
        run.wait_until(lambda: self._target(name)["lag_bytes"] > first["lag_bytes"], 60, "a growing lag")
        self._check_full(push, self._target(name), name, records)
        run.run(["mount", "-o", "remount,size=200m", small])
        full = self._wait(push, name, state="attached", packets=records[0], lag_bytes=0, lag_s=0)
        verify("No space" in full["last_error"] and full["last_error_at"], f"the last error is forgotten: {full}")
        verify(self._target("good", 0)["gaps"] == 0, "gaps")
        result = push.stop(30)
        self._status(2)

    def _records(self, part: float) -> tuple[int, int, int]:
        """Packets of a part of the capture, the bytes of the file up to there, their record bytes."""
        count = int(len(self.packets) * part)
        size = sum(RECORD + len(packet.data) for packet in self.packets[:count])
        return count, 24 + size, size

    def _check_good(self, good: dict[str, Any], records: tuple[int, int, int]) -> None:
        verify((good["state"], good["bytes"], good["late"], good["gaps"]) == ("attached", records[2], 0, 0), f"{good}")
        files = run.list_files(f"{self.dir}/good", ".pcap")
        verify(good["files"] == len(files) and good["last_file"] == f"{self.dir}/good/{files[-1]}", f"{good}, files {files}")
        size = sum(os.path.getsize(f"{self.dir}/good/{name}") for name in files)
        verify(good["published_bytes"] == size, f"{good}, {size} bytes in files")
        run.wait_until(lambda: self._target("good")["lag_bytes"] == 0, 60, "no lag")

    def _check_full(self, push: run.Process, full: dict[str, Any], name: str, records: tuple[int, int, int]) -> None:
        run.wait_until(lambda: self._target(name)["lag_bytes"] > 0, 60, "a lag")
        full = self._target(name, 1)
        verify(full["reason"] == full["last_error"] and "No space left on device" in full["reason"], f"{full}")
        verify(f"{self.dir}/small/ä%/x" in full["reason"], f"the path is not whole: {full['reason']}")
        # The newest packets are in the store once their chunk is committed; and the target may take some more.
        newest = self.packets[records[0] - 1].ts / SECOND

        def behind() -> bool:
            # counts are of now, the lag of the last look, which is a second old at the most
            full.update(self._target(name))
            lacks = records[2] - full["bytes"]
            # not finer than floating point is with seconds since 1970
            seconds = full["lag_s"] >= newest - self.packets[full["packets"]].ts / SECOND - 1e-5
            # Lag begins at a chunk, of which some packets may have been taken.
            return seconds and 0.98 * lacks <= full["lag_bytes"] <= 1.02 * lacks + (1 << 20)

        run.wait_until(behind, 60, f"a lag of what is lacking: {full}\n{push.err}")
        verify(full["lag_s"] <= newest - self.packets[0].ts / SECOND + 2, f"{full['lag_s']} s behind, more than there is\n{full}")

    @func_test
    def test_many(self) -> None:
        """Several pushes, one of them stopped by a signal, beside other sockets in the way.

        **Steps:**
            * Three pushes, one of them with 300 targets; ask. SIGSTOP one of them, ask; SIGCONT, ask. Beside them a stale socket, a socket
              of a program that never answers, one that answers nonsense, a regular file, a directory that can't be listed.
            * End them; arguments that make no sense.

        **Verify:**
            * Each push is there with its configuration, store and state directory, and all of its targets in order.
            * The stopped one "does not answer", exit 1, within seconds; it is back afterwards, exit 0. Nothing else is taken for a push.
            * Exit 2 with usage hints.
        """
        store = f"{self.dir}/store"
        run.import_capture(store, self.capture)
        names = {"a": ["a1", "a2"], "b": ["b1"], "many": [f"t{i}" for i in range(300)]}
        pushes = {}
        for name, descs in names.items():
            shape = {"Split": "--split-time 3600e9", "FilterBPF": "port 9999"} if name == "many" else {}
            targets = [{**lua.target(desc, f"{self.dir}/{name}/{desc}", MinFree=0), **shape} for desc in descs]
            pushes[name] = self._push(name, targets, store, "--map", "all@0")

        def there() -> bool:
            return sum(len(push.get("targets", [])) for push in self._status()["pushes"]) == 303

        pushes["many"].wait_until(there, 60, "three pushes with 303 targets")
        silent = self._hinder()
        status = self._status(0)
        silent.close()
        verify(len(status["pushes"]) == 3, json.dumps(status)[:2000])
        for push in status["pushes"]:
            name = os.path.basename(push["config"])[: -len(".lua")]
            verify(push["pid"] == pushes[name].pid and push["store"] == store, f"{name}: {push['pid']}")
            verify(push["state_dir"] == f"{self.dir}/{name}.state", f"{name}: {push['state_dir']}")
            verify([target["desc"] for target in push["targets"]] == names[name], f"{name}: targets")
            verify(all(0 <= lcore["busy_percent"] <= 100 for lcore in push["lcores"]) and push["lcores"], f"{push['lcores']}")
        pushes["b"].signal(signal.SIGSTOP)
        result = run.sluice("status", "--json", rc=1, env=self.env, timeout=30)
        problems = [push for push in json.loads(result.out)["pushes"] if "problem" in push]
        verify([(push["pid"], push["problem"]) for push in problems] == [(pushes["b"].pid, "does not answer")], f"{problems}")
        pushes["b"].signal(signal.SIGCONT)
        run.wait_until(lambda: self._status()["status"] == 0, 30, "an answer after SIGCONT")
        for push in pushes.values():
            push.stop(60)
        self._status(2)
        for args in (("--jso",), ("everything",), ("--wrong",)):
            result = run.sluice("status", *args, rc=None, env=self.env)
            verify(result.rc == 2, result.describe())

    @func_test
    def test_starts(self) -> None:
        """A push that is stopped keeps no other from starting; of those that start at once each can be asked.

        **Steps:**
            * A push follows; SIGSTOP. Five times push --once, one after the other; ask. SIGCONT; end it.
            * Six pushes that follow, started at once; ask.

        **Verify:**
            * Each of the five ends with status 0. The stopped one does not answer, whatever is left of its queue: exit 1.
            * All six answer.
        """
        store = f"{self.dir}/store"
        run.import_capture(store, self.capture)
        stopped = self._push("stopped", [lua.target("x", f"{self.dir}/stopped/x", MinFree=0)], store)
        stopped.wait_until(lambda: len(self._status()["pushes"]) == 1, 60, "an answer")
        stopped.signal(signal.SIGSTOP)
        config = lua.write_config(f"{self.dir}/once.lua", [lua.target("x", f"{self.dir}/once/x", MinFree=0)])
        for _ in range(5):
            run.push_once(config, store, "--log-dir", f"{self.dir}/log", env=self.env, timeout=60)
        [problem] = json.loads(run.sluice("status", "--json", rc=1, env=self.env, timeout=60).out)["pushes"]
        verify(problem["problem"] == "does not answer" and problem["pid"] in (None, stopped.pid), f"{problem}")
        told = run.sluice("status", rc=1, env=self.env, timeout=60).out
        verify("does not answer" in told, told)
        stopped.signal(signal.SIGCONT)
        stopped.stop(60)
        names = [f"p{i}" for i in range(6)]
        pushes = [self._push(name, [lua.target("x", f"{self.dir}/{name}/x", MinFree=0)], store) for name in names]

        def all_there() -> bool:
            return {push["pid"] for push in self._status()["pushes"]} == {push.pid for push in pushes}

        run.wait_until(all_there, 60, "six answers")
        for push in pushes:
            push.stop(60)

    def _hinder(self) -> socket.socket:
        """Put what is no push where sockets of pushes are; the one that never answers costs every question its patience."""
        root = f"{self.env['RUNTIME_DIRECTORY']}/dpdk"
        run.wait_until(lambda: os.path.isdir(root), 60, "a runtime directory")
        for name in ("stale", "silent", "nonsense", "plain"):
            os.mkdir(f"{root}/{name}")
        with open(f"{root}/plain/dpdk_telemetry.v2", "w", encoding="ascii") as file:
            file.write("no socket")
        stale = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stale.bind(f"{root}/stale/dpdk_telemetry.v2")
        stale.close()
        silent = self.enter(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        silent.bind(f"{root}/silent/dpdk_telemetry.v2")
        silent.listen(100)
        script = (
            "import socket, sys\n"
            "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
            f"s.bind({root + '/nonsense/dpdk_telemetry.v2'!r})\n"
            "s.listen(100)\nprint(flush=True)\n"
            "while True:\n"
            "    c, _ = s.accept()\n"
            "    c.send(b'{\"pid\": 1')\n"
            "    c.close()\n"
        )
        nonsense = self.enter(run.Process(["/usr/bin/python3", "-c", script]))
        nonsense.wait_until(lambda: nonsense.out, 60, "a program that answers nonsense")
        return silent

    @func_test
    def test_history(self) -> None:
        """A target that is about to lose packets is warned of, once at 50 and once at 80 percent.

        **Steps:**
            * A store on a small tmpfs, whose captures retention may remove; a target whose directory is a file, and one that writes.
            * Then let it write, and make a directory of the file again.

        **Verify:**
            * Standard error and the target's log say 50 and 80 percent once each, status has a warning and the percentage; nothing is said
              of the other target. Once it has caught up the warning is gone.
        """
        packets = 250000
        store = self._history(packets)
        wall = f"{self.dir}/wall"
        push = self._held_up(store, wall)
        push.wait_until(lambda: "more than 80 %" in push.err, 60, "a warning")
        bad = self._target("bad", 1)
        verify(bad["lag_percent"] >= 80 and f"{bad['lag_percent']} %" in bad["warning"], f"{bad}")
        verify("warning" not in self._target("good"), "the other target has a warning")
        verify("WARNING" in run.sluice("status", rc=1, env=self.env).out, "no warning in the text")
        run.wait_until(lambda: self._target("bad")["lag_percent"] >= 80, 60, "three more looks")
        lines = [line for line in push.err.splitlines() if "of the store's history" in line]
        verify(len(lines) == 2 and "50 %" in lines[0] and "80 %" in lines[1] and all('"bad"' in line for line in lines), push.err)
        log = f"{self.dir}/push.log/push_bad.cur"

        def logged() -> int:
            with open(log, encoding="utf-8") as file:
                return len(re.findall("of the store's history", file.read()))

        run.wait_until(lambda: logged() == 2, 60, "two lines in the log")
        os.unlink(wall)
        bad = self._wait(push, "bad", state="attached", lag_bytes=0, packets=packets)
        verify("warning" not in bad and bad["lag_percent"] == 0, f"{bad}")
        push.stop(30)
        verify(logged() == 2, "more lines in the log")

    @func_test
    def test_history_kept(self) -> None:
        """What a capture keeps free decides how much history there is.

        **Steps:**
            * The same, but the capture's file says that its writer keeps so much free that the store may be a third larger than it is.

        **Verify:**
            * The percentage is that of the packets that the target has not taken, of blocks that the store has and may have yet, within
              what headers and indexes take. Standard error warns of 50 percent and not of 80.
        """
        store = self._history(250000)
        held = int(run.run(["du", "-s", "-B1", store]).out.split()[0])
        stat = os.statvfs(store)
        keep = held + stat.f_bavail * stat.f_frsize - held * 4 // 3
        self._expire(store, keep_free_percent=0, keep_free_bytes=keep)
        push = self._held_up(store, f"{self.dir}/wall")
        push.wait_until(lambda: "more than 50 %" in push.err, 60, "a warning")
        bad = self._target("bad", 1)
        part = 100 * bad["lag_bytes"] / (held * 4 / 3)
        verify(part - 1 <= bad["lag_percent"] <= part + 6 and "warning" in bad, f"{part:.1f} percent expected: {bad}")
        push.stop(30, rc=1)
        verify("more than 80 %" not in push.err, push.err)

    def _history(self, packets: int) -> str:
        """A store on a small tmpfs that retention may take from; more in it than the blocks that a target fills before it lags."""
        store = f"{self.enter(_Tmpfs(self.tmpfs_dir(), '300m'))}/store"
        capture = traffic.make_traffic(f"{self.dir}/large.pcap", packets=packets, duration=300, seed=7, start=START)
        run.import_capture(store, capture)
        self._expire(store)
        return store

    def _expire(self, store: str, **members: int) -> None:
        path = f"{store}/active/capture.json"
        with open(path, encoding="utf-8") as file:
            about = json.load(file)
        with open(path, "w", encoding="utf-8") as file:
            json.dump({**{key: item for key, item in about.items() if key != "crc"}, "expires": 1, **members}, file)

    def _held_up(self, store: str, wall: str) -> run.Process:
        """A push with a target whose directory is a file, and one that writes."""
        with open(wall, "w", encoding="ascii"):
            pass
        targets = [lua.target("good", f"{self.dir}/good/x", MinFree=0), lua.target("bad", f"{wall}/x", MinFree=0)]
        return self._push("push", targets, store)


class _Tmpfs:
    """A tmpfs of a size."""

    def __init__(self, place: str, size: str):
        self.path, self.size = f"{place}/small", size

    def __enter__(self) -> str:
        os.makedirs(self.path)
        run.run(["mount", "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs", self.path])
        return self.path

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", self.path], check=False)
        fs.remove_tree(self.path)
