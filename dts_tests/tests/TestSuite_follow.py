# SPDX-License-Identifier: BSD-3-Clause
"""A push that follows a growing capture: stopped, killed and started again, with silence in between.

The oracle is a push that was never stopped, and the packets that were sent.
"""

import os
import shutil
import subprocess
import time

from api.test import verify
from framework import lua, oracle, pcap, run, traffic
from framework.run import SLUICE
from framework.store import captures, exported, verify_sound
from framework.test_suite import TestSuite, func_test

# Where the capture is cut into what is sent before each stop: in the middle of records, and once with little between.
CUTS = (0.11, 0.3, 0.31, 0.7, 1.0)


class TestFollow(TestSuite):
    """Stop, kill, go on."""

    def set_up_suite(self) -> None:
        """A capture, and what one push makes of it that is never stopped."""
        self.capture = traffic.make_traffic(f"{self.suite_dir}/in.pcap", packets=20000, duration=300, seed=5)
        with open(self.capture, "rb") as file:
            self.blob = file.read()
        self.packets = pcap.parse_pcap(self.blob).packets
        store = f"{self.suite_dir}/store"
        run.import_capture(store, self.capture)
        self.reference = f"{self.suite_dir}/reference"
        run.push_once(lua.write_config(f"{self.suite_dir}/c.lua", self._targets(self.reference)), store)

    @staticmethod
    def _targets(out: str, **fields: object) -> list[dict]:
        """A time split, a byte split, both with empty files, and a window that outlasts the capture."""
        shapes = {
            "time": (None, "--split-time 60e9", {}),
            "bytes": ("udp", "--split-byte 200000", {}),
            "both": ("tcp", "--split-time 30e9 --split-byte 100000", {"EmptyFiles": True}),
            "day": (None, "--split-time 86400e9", {}),
        }
        return lua.shaped(f"{out}/{{}}/at%H%M/x", shapes, **fields)

    def _args(self) -> tuple[str, ...]:
        return ("--state-dir", f"{self.dir}/state", "--log-dir", f"{self.dir}/log")

    def _packets(self, out: str, desc: str) -> list[pcap.Packet]:
        """A target's packets, file by file in the order of their first packets."""
        names = run.list_files(f"{out}/{desc}")
        verify(all(name.endswith(".pcap") for name in names), f"left over: {names}")
        files = [pcap.read_packets(f"{out}/{desc}/{name}") for name in names]
        files.sort(key=lambda packets: self.order[packets[0]] if packets else -1)
        return sum(files, [])

    def _stop_and_go(self, **fields: object) -> str:
        """Send the capture through a pipe in pieces; a push runs during each piece and is stopped. The output."""
        out, store = f"{self.dir}/out", f"{self.dir}/store"
        config = lua.write_config(f"{self.dir}/c.lua", self._targets(out, **fields), {"FollowStart": True})
        feeder = run.Process([SLUICE, "import", "--store", store, "-"], stdin=subprocess.PIPE)
        self.enter(feeder)
        at = 0
        for cut in CUTS:
            end = int(len(self.blob) * cut)
            feeder.popen.stdin.write(self.blob[at:end])
            feeder.popen.stdin.flush()
            at = end
            if cut == 1:
                feeder.popen.stdin.close()
                feeder.wait()
            with run.push_start(config, store, *self._args()) as push:
                time.sleep(1.3)
                result = push.stop()
                verify(result.err == "" or "waiting for" in result.err, f"words at a stop\n{result.describe()}")
        run.push_once(config, store, *self._args())
        return out

    @func_test
    def test_stop_resume(self) -> None:
        """OnStop = "resume" leaves no trace of a stop.

        **Steps:**
            * Send a capture in five pieces, cut within records, to `import -`; a push follows during each and is stopped
              with SIGTERM; a last push --once with the same state directory.

        **Verify:**
            * Each stop ends within 15 s with status 0 and without a word.
            * Names and bytes of all files are those of a push that was never stopped.
        """
        out = self._stop_and_go(OnStop="resume")
        oracle.verify_same_tree(run.read_tree(out), run.read_tree(self.reference))

    @func_test
    def test_stop_close(self) -> None:
        """OnStop = "close", the default, publishes what there is.

        **Steps:**
            * The same without OnStop.

        **Verify:**
            * The rest of a window becomes _1 and so on, in the directory of its window.
            * Each target has the packets of a push that was never stopped, once and in order.
        """
        out = self._stop_and_go()
        # The packets of a capture are distinct, so each has a place in it.
        self.order = {packet: i for i, packet in enumerate(self.packets)}
        for desc in ("time", "bytes", "both", "day"):
            oracle.verify_same_packets(self._packets(out, desc), self._packets(self.reference, desc), desc)
        names = run.list_files(f"{out}/day")
        stem = run.list_files(f"{self.reference}/day")[0][: -len(".pcap")]
        expected = sorted([f"{stem}.pcap"] + [f"{stem}_{i}.pcap" for i in range(1, len(names))])
        verify(names == expected and len(names) > 3, f"the day's files are {names}")

    @func_test
    def test_stopped_together(self) -> None:
        """One signal for the whole pipe, as Ctrl-C gives it.

        **Steps:**
            * `cat | sluice import -` in one process group with a push that follows; packets that were sent but not yet
              committed; SIGTERM to the group. Five times.

        **Verify:**
            * Both end with status 0, and the push has published all packets, without a second run.
            * A push whose capture goes on ends within a second.
        """
        for turn in range(5):
            out, store = f"{self.dir}/out{turn}", f"{self.dir}/store{turn}"
            os.mkdir(store)
            target = lua.target("day", f"{out}/x", Split="--split-time 86400e9", MinFree=0)
            config = lua.write_config(f"{self.dir}/c.lua", [target], {"FollowStart": True})
            feeder = run.Process([SLUICE, "import", "--store", store, "-"], stdin=subprocess.PIPE)
            with feeder, run.push_start(config, store, *self._args()) as push:
                half = len(self.blob) // 2
                feeder.popen.stdin.write(self.blob[:half])
                feeder.popen.stdin.flush()
                push.wait_until(lambda: run.list_files(out, ".pending"), what="an open file")
                feeder.popen.stdin.write(self.blob[half:])
                feeder.popen.stdin.flush()
                feeder.signal(15)
                push.signal(15)
                feeder.popen.stdin.close()
                feeder.wait()
                push.wait()
            [name] = run.list_files(out)
            oracle.verify_same_packets(pcap.read_packets(f"{out}/{name}"), self.packets, f"turn {turn}")
        out, store = f"{self.dir}/out", f"{self.dir}/store"
        os.mkdir(store)
        target = lua.target("day", f"{out}/x", Split="--split-time 86400e9", MinFree=0)
        config = lua.write_config(f"{self.dir}/c.lua", [target], {"FollowStart": True})
        feeder = self.enter(run.Process([SLUICE, "import", "--store", store, "-"], stdin=subprocess.PIPE))
        feeder.popen.stdin.write(self.blob)
        feeder.popen.stdin.flush()
        with run.push_start(config, store, *self._args()) as push:
            push.wait_until(lambda: run.list_files(out), what="a file")
            start = time.monotonic()
            push.stop(10)
            verify(time.monotonic() - start < 1, f"the stop took {time.monotonic() - start:.2f} s")

    # ------------------------------------------------------------ journals

    def _killed(self, name: str) -> tuple[str, str, str]:
        """Kill a push that has published all but the last windows: configuration, output, state directory."""
        out, state = f"{self.dir}/{name}", f"{self.dir}/{name}.state"
        config = lua.write_config(f"{self.dir}/{name}.lua", self._targets(out), {"FollowStart": True})
        count = len(run.list_files(f"{self.reference}/time"))
        args = ("--state-dir", state, "--log-dir", f"{self.dir}/log")
        with run.push_start(config, f"{self.suite_dir}/store", *args) as push:
            push.wait_until(lambda: len(run.list_files(f"{out}/time", ".pcap")) == count - 1, 60, "published windows")
            push.kill()
        return config, out, state

    @func_test
    def test_journal_damaged(self) -> None:
        """A journal with a flipped bit, or with half a line at its end, costs nothing.

        **Steps:**
            * Kill a push; flip a bit of a target's journal at a third, at half and at three quarters of its length; append
              half a line to it, as a kill in the middle of a write does; push --once.

        **Verify:**
            * Names and bytes of all files are those of a push that was never killed.
            * A damaged line in the middle is told, with the journal's path; half a line at the end is not.
        """
        for name, place in (("third", 1 / 3), ("half", 1 / 2), ("late", 3 / 4), ("torn", None)):
            config, out, state = self._killed(name)
            journal = f"{state}/time.journal"
            with open(journal, "rb") as file:
                blob = bytearray(file.read())
            if place is None:
                # not the last line itself: what it announces may have happened since it was written
                last = blob[blob.rindex(b"\n", 0, -1) + 1 :]
                blob += last[: len(last) // 2]
            else:
                blob[int(len(blob) * place)] ^= 4
            with open(journal, "wb") as file:
                file.write(blob)
            result = run.push_once(config, f"{self.suite_dir}/store", "--state-dir", state)
            oracle.verify_same_tree(run.read_tree(out), run.read_tree(self.reference), name)
            told = [line for line in result.err.splitlines() if journal in line and "damaged" in line]
            verify(len(told) == (place is not None), f"{name}: told {told}\n{result.describe()}")

    @func_test
    def test_journal_of_another(self) -> None:
        """The journal of another target is refused, not followed.

        **Steps:**
            * Kill a push; copy the journal of one target over that of another; push --once; put the right one back.

        **Verify:**
            * Exit status 1 with the journal's path, the target that it belongs to, and what to do; no file changes.
            * With the right journal again the files are those of a push that was never killed.
        """
        config, out, state = self._killed("other")
        journal = f"{state}/time.journal"
        shutil.copy(journal, f"{self.dir}/saved")
        shutil.copy(f"{state}/day.journal", journal)
        before = run.list_files(out, ".pcap")
        result = run.push_once(config, f"{self.suite_dir}/store", "--state-dir", state, rc=1)
        verify(journal in result.err and '"day"' in result.err and "move it away" in result.err, result.describe())
        verify(run.list_files(out, ".pcap") == before, "files were published")
        shutil.copy(f"{self.dir}/saved", journal)
        run.push_once(config, f"{self.suite_dir}/store", "--state-dir", state)
        oracle.verify_same_tree(run.read_tree(out), run.read_tree(self.reference))

    @func_test
    def test_state_dir_removed(self) -> None:
        """Someone removes the state directory, or one journal, of a running push.

        **Steps:**
            * Import half of the capture through a pipe; push follows; remove a journal, then with it the whole directory;
              send the rest; stop the push; push --once with the same state directory, twice.

        **Verify:**
            * The loss is told with the path; the files are those of a push that was never stopped (OnStop = "resume").
        """
        for name in ("journal", "directory"):
            out, store, state = (f"{self.dir}/{name}.{what}" for what in ("out", "store", "state"))
            targets = self._targets(out, OnStop="resume")
            config = lua.write_config(f"{self.dir}/c.lua", targets, {"FollowStart": True})
            args = ("--state-dir", state, "--log-dir", f"{self.dir}/log")
            with run.Process([SLUICE, "import", "--store", store, "-"], stdin=subprocess.PIPE) as feeder:
                half = len(self.blob) // 2
                feeder.popen.stdin.write(self.blob[:half])
                feeder.popen.stdin.flush()
                feeder.wait_until(lambda: os.path.lexists(f"{store}/active"), what="a capture")
                with run.push_start(config, store, *args) as push:
                    push.wait_until(lambda: run.list_files(f"{out}/time", ".pcap"), what="a published window")
                    time.sleep(1.2)
                    if name == "journal":
                        os.unlink(f"{state}/time.journal")
                    else:
                        shutil.rmtree(state)
                    feeder.popen.stdin.write(self.blob[half:])
                    feeder.popen.stdin.close()
                    feeder.wait()
                    time.sleep(0.5)
                    result = push.stop()
            verify(f"{state}/time.journal was removed" in result.err, f"not told\n{result.describe()}")
            for _ in range(2):
                run.push_once(config, store, *args)
            oracle.verify_same_tree(run.read_tree(out), run.read_tree(self.reference), name)

    @func_test
    def test_changed_definition(self) -> None:
        """A target whose definition changes goes on where it was, under the new one.

        **Steps:**
            * Send the capture in three pieces; during each a push with OnStop = "resume" follows and is stopped, each time with
              another Split, Path and Slice.
            * A push whose configuration has no longer that target.

        **Verify:**
            * Each change is told. All packets are there once, in order, with those sizes that they had under the old and the
              new Slice; no working file is left.
            * The journal without a target is told with its path.
        """
        out, state, store = f"{self.dir}/out", f"{self.dir}/state", f"{self.dir}/store"
        definitions = (
            {"Split": "--split-time 60e9"},
            {"Split": "--split-byte 300000"},
            {"Split": "--split-time 30e9", "Path": f"{out}/b/y", "Slice": 60},
        )
        with run.Process([SLUICE, "import", "--store", store, "-"], stdin=subprocess.PIPE) as feeder:
            size = len(self.blob)
            for i, fields in enumerate(definitions):
                feeder.popen.stdin.write(self.blob[size * i // 3 : size * (i + 1) // 3])
                feeder.popen.stdin.flush()
                feeder.wait_until(lambda: os.path.lexists(f"{store}/active"), what="a capture")
                target = lua.target("x", f"{out}/a/x", OnStop="resume", MinFree=0, **fields)
                target.update(FileName="--filename-epoch-nsec", **fields)
                config = lua.write_config(f"{self.dir}/c.lua", [target], {"FollowStart": True})
                with run.push_start(config, store, *self._args()) as push:
                    time.sleep(1.3)
                    result = push.stop()
                verify(("definition has changed" in result.err) == (i > 0), result.describe())
            feeder.popen.stdin.close()
            feeder.wait()
        run.push_once(config, store, *self._args())
        names = run.list_files(out)
        verify(all(name.endswith(".pcap") for name in names), f"left over: {names}")
        # Time stamps of this capture may repeat, so order is that of the files' first packets.
        files = sorted((pcap.read_packets(f"{out}/{name}") for name in names), key=lambda packets: packets[0].ts)
        got = sum(files, [])
        verify([(p.ts, p.len) for p in got] == [(p.ts, p.len) for p in self.packets], "not the capture's packets")
        cut = next(i for i, p in enumerate(got) if len(p.data) < len(self.packets[i].data))
        oracle.verify_same_packets(got[:cut], self.packets[:cut], "before the slice")
        sliced = [p._replace(data=p.data[:60]) for p in self.packets[cut:]]
        oracle.verify_same_packets(got[cut:], sliced, "since the slice")
        other = lua.write_config(f"{self.dir}/other.lua", [lua.target("other", f"{self.dir}/other/x", MinFree=0)])
        result = run.push_once(other, store, *self._args())
        verify(f"{state}/x.journal" in result.err, f"the journal is not told\n{result.describe()}")

    # ------------------------------------------------------------ silence, start, death

    @func_test
    def test_silence(self) -> None:
        """A window ends by the clock, not by the next packet.

        **Steps:**
            * `import` reads a FIFO to which packets of now are written, and then nothing; push follows in windows of 2 s: a
              target that takes all packets, one that takes only the first, one that takes none.
            * Later one packet more; SIGTERM to the import, and to the push when it has ended.

        **Verify:**
            * Both windows that have packets are published, and no working file is left, while nothing is sent.
            * The FIFO's writer still open, import ends with status 0 and push too; all packets are there once.
        """
        store, out, fifo = f"{self.dir}/store", f"{self.dir}/out", f"{self.dir}/fifo"
        os.mkfifo(fifo)
        targets = [
            lua.target(desc, f"{out}/{desc}", text, Split="--split-time 2e9", FileName="--filename-epoch-nsec", MinFree=0)
            for desc, text in (("all", None), ("first", "udp port 7001"), ("none", "tcp"))
        ]
        os.mkdir(out)
        config = lua.write_config(f"{self.dir}/c.lua", targets, {"FollowStart": True})

        def frame(number: int, port: int) -> pcap.Packet:
            data = traffic.udp("10.0.0.1", "10.0.0.2", 1, port, b"%08d" % number)
            return pcap.packet(time.time_ns(), traffic.ether(data))

        with run.sluice_start("import", "--store", store, fifo) as importer, open(fifo, "wb", buffering=0) as feed:
            time.sleep(max(0, time.time() % 2 - 1))  # not across the end of a window
            sent = [frame(i, 7000 if i else 7001) for i in range(20)]
            feed.write(pcap.pcap_bytes(sent))
            importer.wait_until(lambda: os.path.lexists(f"{store}/active"), what="a capture")
            with run.push_start(config, store, *self._args()) as push:

                def quiet(files: int) -> bool:
                    return len(run.list_files(out, ".pcap")) == files and not run.list_files(out, ".pending")

                push.wait_until(lambda: quiet(2), 60, "the window published in silence")
                time.sleep(2.1)
                sent.append(frame(20, 7000))
                feed.write(pcap.pcap_record(sent[-1]))
                push.wait_until(lambda: quiet(3), 60, "the second window published in silence")
                sent.append(frame(21, 7000))
                feed.write(pcap.pcap_record(sent[-1]))
                time.sleep(0.1)
                importer.stop()
                push.stop()
        names = run.list_files(out)
        verify(all(name.endswith(".pcap") for name in names), f"left over: {names}")
        got = {desc: [f"{out}/{name}" for name in names if name.startswith(desc)] for desc in ("all", "first", "none")}
        oracle.verify_same_packets(pcap.read_packets(*got["all"]), sent, "all")
        oracle.verify_same_packets(pcap.read_packets(*got["first"]), sent[:1], "first")
        verify(not got["none"], got["none"])

    @func_test
    def test_begins_with_capture(self) -> None:
        """A push that begins while the store's first capture is being made.

        **Steps:**
            * While an import goes on, take the link `active` away: so a store looks whose first capture was made just now. Start a
              push; make the link once it says that it waits; end the import.

        **Verify:**
            * The push takes that capture, not only one that comes after it; all packets are there.
        """
        store, out = f"{self.dir}/store", f"{self.dir}/out"
        target = lua.target("day", f"{out}/x", Split="--split-time 86400e9", MinFree=0)
        config = lua.write_config(f"{self.dir}/c.lua", [target], {"FollowStart": True})
        feeder = self.enter(run.Process([SLUICE, "import", "--store", store, "-"], stdin=subprocess.PIPE))
        feeder.popen.stdin.write(self.blob)
        feeder.popen.stdin.flush()
        feeder.wait_until(lambda: os.path.lexists(f"{store}/active"), what="a capture")
        name = os.readlink(f"{store}/active")
        os.unlink(f"{store}/active")
        push = self.enter(run.push_start(config, store, *self._args()))
        push.wait_until(lambda: "waiting for the first capture" in push.err, what="word that it waits")
        os.symlink(name, f"{store}/active")
        push.wait_until(lambda: run.list_files(out), what="a file")
        feeder.popen.stdin.close()
        feeder.wait()
        push.stop()
        oracle.verify_all_published(out, self.packets)

    @func_test
    def test_follow_start(self) -> None:
        """FollowStart of a target goes before that of the file, and a journal before both.

        **Steps:**
            * Follow a finished capture with FollowStart at the top only, at the target only, at both; stop, start again.

        **Verify:**
            * A target with FollowStart has all packets, one without has none; a restart adds nothing.
        """
        expected = {(None, None): 0, (True, None): 1, (True, False): 0, (None, True): 1, (False, True): 1}
        for top in (None, False, True):
            cases = [case for case in expected if case[0] is top]
            out = f"{self.dir}/{top}"
            targets = [
                lua.target(str(own), f"{out}/{own}/x", MinFree=0, **({} if own is None else {"FollowStart": own}))
                for _, own in cases
            ]
            config = lua.write_config(f"{self.dir}/{top}.lua", targets, {} if top is None else {"FollowStart": top})
            args = ("--state-dir", f"{out}.state", "--log-dir", f"{self.dir}/log")
            for _ in range(2):
                with run.push_start(config, f"{self.suite_dir}/store", *args) as push:
                    time.sleep(1.2)
                    push.stop()
            for case in cases:
                names = run.list_files(f"{out}/{case[1]}") if os.path.isdir(f"{out}/{case[1]}") else []
                got = pcap.read_packets(*(f"{out}/{case[1]}/{name}" for name in names))
                oracle.verify_same_packets(got, self.packets if expected[case] else [], f"top, target: {case}")

    @func_test
    def test_killed_in_turn(self) -> None:
        """kill -9 of the import and of the push, in turn and together.

        **Steps:**
            * Send the capture to seven imports, one after the other, each killed while it waits for more; the push that follows
              is killed with every second one, before it or after it, and started again.
            * Then a last import that ends by itself; push --once.

        **Verify:**
            * `store verify` finds nothing bad. Each target has what tcpdump takes from what `store export` gives of all
              captures, once and in order.
        """
        store, out = f"{self.dir}/store", f"{self.dir}/out"
        config = lua.write_config(f"{self.dir}/c.lua", self._targets(out), {"FollowStart": True})
        header, push = self.blob[:24], None
        each = len(self.packets) // 8
        for i in range(8):
            part = b"".join(pcap.pcap_record(packet) for packet in self.packets[i * each : (i + 1) * each])
            if i == 7:
                run.run([SLUICE, "import", "--store", store, "-"], stdin=header + part)
                break
            feeder = self.enter(run.Process([SLUICE, "import", "--store", store, "-"], stdin=subprocess.PIPE))
            feeder.popen.stdin.write(header + part[:-7])
            feeder.popen.stdin.flush()
            feeder.wait_until(lambda: os.path.lexists(f"{store}/active"), what="a capture")
            push = push or self.enter(run.push_start(config, store, *self._args()))
            time.sleep((0.2, 1.3, 0.6)[i % 3])
            verify(push.running(), f"the push ended by itself\n{push.result().describe()}")
            for process in ([feeder], [push, feeder], [feeder], [feeder, push])[i % 4]:
                process.kill()
            if not push.running():
                push = None
        if push:
            push.kill()
        run.push_once(config, store, *self._args())
        verify_sound(store)
        names = captures(store)
        verify(len(names) == 8, f"captures: {names}")
        stored = exported(store, self.dir)
        verify(len(stored) > len(self.packets) // 2, f"only {len(stored)} packets were stored")
        whole = pcap.write_pcap(f"{self.dir}/stored.pcap", stored)
        self.order = {packet: i for i, packet in enumerate(stored)}
        for desc, text in (("time", ""), ("bytes", "udp"), ("both", "tcp"), ("day", "")):
            expected = oracle.tcpdump_filter(whole, text, f"{self.dir}/{desc}.pcap").packets
            oracle.verify_same_packets(self._packets(out, desc), expected, desc)
