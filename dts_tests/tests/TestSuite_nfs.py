# SPDX-License-Identifier: BSD-3-Clause
"""Push to real NFS, v3 and v4.2, whose server stops, whose export is withdrawn and whose mount comes and goes; import from it.

Server and client run in a guest under software emulation (framework/guest.py), since not every machine's kernel has them. What
must arrive is what the same configuration makes of the same capture on this machine, and that is compared with tcpdump's.
"""

import hashlib
import os
import re
import time

import pytest
from api.test import verify
from framework import guest, lua, oracle, pcap, run, traffic
from framework.test_suite import TestSuite, func_test

# Seconds without a server. The minute: SLUICE_NFS_STOP=60.
STOP = float(os.environ.get("SLUICE_NFS_STOP", "10"))
LONG = 30
# How the outages' exports are mounted: name -> version and mode.
MOUNTS = {"hard3": ("3", "hard"), "hard4": ("4.2", "hard"), "soft3": ("3", "soft"), "soft4": ("4.2", "soft")}
# Those that are unmounted: name -> version.
REMOUNTS = {"remount3": "3", "remount4": "4.2"}
# From which files are imported while they grow on the server: name -> version.
FOLLOWED = {"follow3": "3", "follow4": "4.2"}
# Where the capture is cut: in the middle of a window, of a record.
CUTS = (0.35, 0.65, 1.0)
O_DIRECT = 0o40000


class TestNfs(TestSuite):
    """The reference's first example, on the file system that it was made for."""

    def set_up_suite(self) -> None:
        if not guest.supported():
            pytest.skip("the guest is x86-64, and this machine is not")
        capture = traffic.make_traffic(f"{self.suite_dir}/in.pcap", bytes=8e6, duration=280, seed=9)
        files, at = {f"{run.REPO}/config/push_realtime.lua": "/data/push_realtime.lua"}, 0
        files[f"{run.REPO}/config/examples/nfs-minute.lua"] = "/data/nfs-minute.lua"
        with open(capture, "rb") as file:
            blob = file.read()
        for number, cut in enumerate(CUTS, 1):
            path, end = f"{self.suite_dir}/part{number}", int(len(blob) * cut)
            with open(path, "wb") as file:
                file.write(blob[at:end])
            files[path] = f"/data/part{number}"
            at = end
        self._make_reference(capture)
        self.capture = capture
        names = ["reference3", "reference4", *REMOUNTS, *MOUNTS, *FOLLOWED]
        tcpdump = run.run(["sh", "-c", "command -v tcpdump"]).out.strip()
        self.guest = self.enter(guest.Guest(self.suite_dir, files, programs=[tcpdump]))
        self.guest.run(f"first_start {' '.join(names)}", timeout=120)
        self.guest.run("cat /data/part* >/data/capture.pcap && sluice import --store /tmp/store /data/capture.pcap")

    def _make_reference(self, capture: str) -> None:
        """self.expected: name -> SHA-256 of what the reference configuration makes of the capture here."""
        store, out = f"{self.suite_dir}/store", f"{self.suite_dir}/reference"
        run.import_capture(store, capture)
        with open(f"{run.REPO}/config/push_realtime.lua", encoding="utf-8") as file:
            text = file.read()
        verify(text.count("/mnt/remote0/push/") >= 2, "the reference configuration has other paths")
        with open(f"{self.suite_dir}/reference.lua", "w", encoding="utf-8") as file:
            file.write(text.replace("/mnt/remote0/push/", f"{out}/"))
        run.push_once(f"{self.suite_dir}/reference.lua", store)
        tree = run.read_tree(out)
        for desc, expression in (("all", ""), ("tcp", "tcp")):
            names = sorted(name for name in tree if name.startswith(f"{desc}_"))
            verify(len(names) >= 4, f"{desc}: {names}")
            got = pcap.read_packets(*(f"{out}/{name}" for name in names))
            wanted = oracle.tcpdump_filter(capture, expression, f"{self.suite_dir}/{desc}.pcap").packets
            oracle.verify_same_packets(got, wanted, f"{desc} of the reference run")
        self.expected = {name: hashlib.sha256(data).hexdigest() for name, data in tree.items()}
        self.bytes = sum(len(data) for data in tree.values())

    # ------------------------------------------------------------ in the guest

    def _mount(self, name: str, version: str, mode: str, point: str) -> None:
        self.guest.run(f"mount_export {name} {version} {mode} {point}", timeout=60)
        found = self.guest.run(f"grep ' {point} nfs' /proc/mounts").out
        verify(f"vers={version}," in found and f",{mode}," in found, f"mounted as {found}")

    def _verify_bare(self, point: str) -> None:
        """Nothing lies in the directory on which something is mounted at other times."""
        found = self.guest.run(f"grep ' {point} ' /proc/mounts; find {point} -mindepth 1", rc=None).out
        verify(found == "", f"{point} is mounted or is not empty:\n{found}")

    def _verify_arrived(self, *names: str) -> None:
        """What the server has of exports, name by name and byte by byte; nothing beside it."""
        for name in names:
            text = self.guest.run(f"sums /export/{name}/push", timeout=120).out
            got = {line[66:].removeprefix("./"): line[:64] for line in text.splitlines()}
            verify(
                got == self.expected,
                f"export {name}: missing {sorted(set(self.expected) - set(got))}, unexpected "
                f"{sorted(set(got) - set(self.expected))}, other bytes "
                f"{sorted(n for n in got if n in self.expected and got[n] != self.expected[n])}",
            )

    def _start(self, name: str, config: str, feed: bool = True) -> None:
        """Start a push that follows, in /tmp/NAME; it is sent part 1 of the capture, and _feed() sends the others."""
        base = f"/tmp/{name}"
        script = f"mkdir -p {base} && cd {base} || exit 1\n"
        if feed:
            script += "mkfifo fifo\n"
            script += "(for part in 1 2 3; do while ! [ -e go$part ]; do sleep 0.1; done; cat /data/part$part; done) >fifo &\n"
            script += "(sluice import --store store fifo >import.log 2>&1; echo $? >import.rc) &\n"
            script += "touch go1; while ! [ -e store/active ]; do sleep 0.1; done\n"
        script += f"{self._push(base, config)} &\n"
        self.guest.run(script)

    @staticmethod
    def _push(base: str, config: str, *options: str) -> str:
        """A script that pushes from the store of a directory, and leaves process number, output and status there."""
        words = ["push", "--config", config, "--store", f"{base}/store", "--state-dir", f"{base}/state"]
        words += ["--log-dir", f"{base}/log", "--no-huge", "--map", "all@0", *options]
        start = f"rm -f {base}/push.rc; sh -c 'echo $$ >{base}/push.pid; exec sluice {' '.join(words)}' >>{base}/push.log 2>&1"
        return f"({start}; echo $? >{base}/push.rc)"

    def _feed(self, name: str, part: int) -> None:
        self.guest.run(f"touch /tmp/{name}/go{part}")

    def _log(self, name: str) -> str:
        return self.guest.run(f"cat /tmp/{name}/*.log /tmp/{name}/*.rc 2>/dev/null", rc=None).out

    def _wait_log(self, name: str, *words: str, timeout: float = 120) -> None:
        self.guest.wait_until(
            lambda: all(word in self._log(name) for word in words), timeout, lambda: f"{words} in\n{self._log(name)}"
        )

    def _wait_file(self, name: str, file: str) -> None:
        """Wait until a status of 0 is in a file."""
        self.guest.wait_until(
            lambda: self.guest.run(f"cat /tmp/{name}/{file}", rc=None).out == "0\n", 120, lambda: f"{file}\n{self._log(name)}"
        )

    def _stop(self, name: str, rc: int = 0, number: str = "TERM") -> None:
        script = f"kill -{number} $(cat /tmp/{name}/push.pid); while ! [ -e /tmp/{name}/push.rc ]; do sleep 0.1; done\n"
        got = self.guest.run(script + f"cat /tmp/{name}/push.rc", timeout=90).out.strip()
        verify(got == str(rc), f"push has ended with {got}\n{self._log(name)}")

    def _finish(self, name: str, config: str) -> None:
        """When the import has ended: stop the push, and push --once what it has not published."""
        self._wait_file(name, "import.rc")
        self._stop(name)
        script = f"{self._push(f'/tmp/{name}', config, '--once')}; cat /tmp/{name}/push.rc"
        rc = self.guest.run(script, timeout=120).out.strip()
        verify(rc == "0", f"push --once has ended with {rc}\n{self._log(name)}")

    def _follow_config(self, path: str, points: dict[str, str], named: bool = False) -> None:
        """The reference's two targets on each mount, from the capture's start; a stop leaves windows open. named: with Mount."""
        targets = []
        for name, point in points.items():
            fields = {"OnStop": "resume", **({"Mount": point} if named else {})}
            for desc, expression in (("all", None), ("tcp", "tcp")):
                targets.append(lua.target(f"{name}-{desc}", f"{point}/push/{desc}", expression, **fields))
        text = lua.config_text(targets, {"FollowStart": True})
        self.guest.run(f"cat >{path} <<'END'\n{text}\nEND")

    def _pending(self, *names: str) -> dict[str, int]:
        """Working files on the server -> bytes allocated there."""
        dirs = " ".join(f"/export/{name}" for name in names)
        out = self.guest.run(f"find {dirs} -name '*.pending' -exec stat -c '%b %n' {{}} + 2>/dev/null", rc=None).out
        return {line.split()[1]: int(line.split()[0]) * 512 for line in out.splitlines()}

    def _wait_pending(self, name: str, count: int, *exports: str) -> None:
        """Wait until so many working files are open and have data on the server."""

        def ready() -> bool:
            sizes = self._pending(*exports)
            return len(sizes) == count and min(sizes.values()) > 0

        self.guest.wait_until(ready, 120, lambda: f"{count} working files of {exports}\n{self._log(name)}")

    # ------------------------------------------------------------ test cases

    @func_test
    @pytest.mark.parametrize(("name", "version"), [("reference3", "3"), ("reference4", "4.2")])
    def test_reference_configuration(self, name: str, version: str) -> None:
        """The configuration of the reference, as it is, on its mount point, which is not mounted at the start.

        **Steps:**
            * v3: name /mnt/remote0 in /etc/fstab and push --once with config/push_realtime.lua; v4.2: the same with
              config/examples/nfs-minute.lua, whose Mount names it. Mount it once the push has said what it waits for.

        **Verify:**
            * Nothing is written below the mount point while nothing is mounted there.
            * The push goes on and ends with 0; the server has the names and bytes of the reference run and nothing else.
            * The client has written all of it with O_DIRECT and nothing through its page cache (mountstats).
        """
        point, base = "/mnt/remote0", f"/tmp/{name}"
        script = f"mkdir -p {point} {base}; ln -s /tmp/store {base}/store; : >/etc/fstab\n"
        config = "/data/nfs-minute.lua"
        if version == "3":
            script += f"echo 'localhost:/export/{name} {point} nfs noauto 0 0' >/etc/fstab\n"
            config = "/data/push_realtime.lua"
        self.guest.run(f"{script}{self._push(base, config, '--once')} &")
        self._wait_log(name, "not mounted", point)
        self._verify_bare(point)
        self._mount(name, version, "hard", point)
        self._wait_file(name, "push.rc")
        self._verify_arrived(name)
        stats = self.guest.run("sed -n '/mounted on .mnt.remote0 /,/^device/p' /proc/self/mountstats").out
        # mountstats(8): bytes read and written by the calls, by those with O_DIRECT, and to the server
        found = re.search(r"bytes:\s+(\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", stats)
        verify(found is not None, f"no bytes in mountstats\n{stats}")
        normal, direct, server = (int(found.group(i)) for i in (2, 4, 6))
        verify(normal == 0, f"{normal} bytes were written through the page cache")
        verify(direct >= self.bytes and server >= self.bytes, f"{direct} direct, {server} to the server, of {self.bytes}")
        self.guest.run(f"umount {point}")
        self._verify_bare(point)

    @func_test
    def test_server_stopped(self) -> None:
        """The server stops in the middle of files and comes back.

        **Steps:**
            * Follow a growing capture to four mounts of one push: v3 and v4.2, hard and soft.
            * In the middle of a window, stop the server and unmount its disk; go on sending. In the long form (30 s and more)
              kill the push with SIGKILL and start it again, half way.
            * Start the server after SLUICE_NFS_STOP seconds, 10 by default; send the rest.

        **Verify:**
            * Working files were open with O_DIRECT and had data when the server went.
            * The soft mounts' targets say that they fail; nothing else ends.
            * Every export has the names and bytes of the reference run and nothing else.
        """
        points = {name: f"/mnt/{name}" for name in MOUNTS}
        for name, (version, mode) in MOUNTS.items():
            self._mount(name, version, mode, points[name])
        self._follow_config("/tmp/stopped.lua", points)
        self._start("stopped", "/tmp/stopped.lua")
        self._wait_pending("stopped", 8, *MOUNTS)
        flags = self.guest.run(
            "for fd in /proc/$(cat /tmp/stopped/push.pid)/fd/*; do case $(readlink $fd) in *.pending)\n"
            "sed -n 's/^flags:\t//p' ${fd%/fd/*}/fdinfo/${fd##*/};; esac; done"
        ).out.split()
        verify(len(flags) == 8 and all(int(text, 8) & O_DIRECT for text in flags), f"flags of the working files: {flags}")
        self.on_tear_down(self.guest.run, "server_start")
        self.guest.run("server_stop")
        stopped = time.monotonic()
        self._feed("stopped", 2)
        time.sleep(STOP / 2)
        if STOP >= LONG:
            # Nothing can be written, so it is the journal alone that knows where to go on.
            self._stop("stopped", 137, "KILL")
            self.guest.run(f"{self._push('/tmp/stopped', '/tmp/stopped.lua')} &")
        time.sleep(STOP / 2)
        log = self._log("stopped")
        self.guest.run("server_start", timeout=60)
        verify(time.monotonic() - stopped >= STOP, "the server was not away for long enough")
        self._feed("stopped", 3)
        for name in ("soft3", "soft4"):
            verify(f'target "{name}-' in log, f"{name} has not said that it fails\n{log}")
        self._finish("stopped", "/tmp/stopped.lua")
        self._verify_arrived(*MOUNTS)
        for point in points.values():
            self.guest.run(f"umount {point}")

    @func_test
    def test_remounted(self) -> None:
        """The exports are withdrawn and given again, then the mounts go and come, both in the middle of files.

        **Steps:**
            * Follow to a v3 and a v4.2 mount, with Mount named; after part 1 exportfs -ua for two seconds, in which part 2 is
              sent.
            * umount -l both; send part 3; wait until the push says "not mounted" of both; mount them again.

        **Verify:**
            * Nothing is written below a mount point while nothing is mounted there.
            * Both exports have the names and bytes of the reference run and nothing else.
        """
        points = {name: f"/mnt/{name}" for name in REMOUNTS}
        for name, point in points.items():
            self._mount(name, REMOUNTS[name], "hard", point)
        self._follow_config("/tmp/remount.lua", points, named=True)
        self._start("remount", "/tmp/remount.lua")
        self._wait_pending("remount", 4, *REMOUNTS)
        self.on_tear_down(self.guest.run, "exportfs -ra")
        self.guest.run("exportfs -ua; exportfs -f")
        self._feed("remount", 2)
        time.sleep(2)
        self.guest.run("exportfs -ra")
        files = "ls /export/remount3/push /export/remount4/push 2>/dev/null | grep -c ^all_"
        self.guest.wait_until(
            lambda: int(self.guest.run(files, rc=None).out) >= 6, 120, lambda: f"part 2\n{self._log('remount')}"
        )
        for point in points.values():
            self.guest.run(f"umount -l {point}")
        self._feed("remount", 3)
        self._wait_log("remount", *(f"{point}: not mounted" for point in points.values()))
        for name, point in points.items():
            self._verify_bare(point)
            self._mount(name, REMOUNTS[name], "hard", point)
        self._finish("remount", "/tmp/remount.lua")
        self._verify_arrived(*REMOUNTS)
        for point in points.values():
            self.guest.run(f"umount {point}")
            self._verify_bare(point)

    @func_test
    def test_import_follow(self) -> None:
        """What the server itself writes is followed by a client, whom nothing wakes.

        **Steps:**
            * On a v3 and a v4.2 mount, four times `import --follow`: of a directory that tcpdump -C fills on the server, not
              through the client, and of a file that grows there; all in pieces that end anywhere.
            * SIGTERM when all files are written and the packets are committed.

        **Verify:**
            * Each store has the capture's packets, each once, in order; exit status 0.
        """
        script, followed = "", []
        for name, version in FOLLOWED.items():
            self._mount(name, version, "hard", f"/mnt/{name}")
            base = f"/export/{name}"
            self.guest.run(f"mkdir {base}/ring; : >{base}/grows.pcap")
            parts = "for part in 1 2 3; do cat /data/part$part; sleep 0.5; done"
            script += f"(({parts}) | tcpdump -Z root --nano -r - -U -C 1 -w {base}/ring/cap.pcap; touch /tmp/{name}.ring) 2>/dev/null &\n"
            script += f"({parts} >>{base}/grows.pcap; touch /tmp/{name}.grows.pcap) &\n"
            followed += [(f"/tmp/{name}.{source}", f"/mnt/{name}/{source}") for source in ("ring", "grows.pcap")]
        for store, source in followed:
            words = f"sluice import --follow --keep-free 0 --flush-interval 0.2 --store {store}.store {source}"
            script += f"(sh -c 'echo $$ >{store}.pid; exec {words}' >{store}.log 2>&1; echo $? >{store}.rc) &\n"
        self.guest.run(script)
        packets = pcap.read_packets(self.capture)
        exported = {}
        for store, source in followed:

            def said(store: str = store) -> str:
                info = f"sluice store info --store {store}.store | sed -n 's/^packets: *//p'; cat {store}.log"
                return self.guest.run(info, rc=None).out

            self.guest.wait_until(lambda: said().startswith(f"{len(packets)}\n"), 120, lambda: f"{source}: {said()}")
            self.guest.run(f"kill $(cat {store}.pid); while ! [ -e {store}.rc ]; do sleep 0.1; done")
            verify(self.guest.run(f"cat {store}.rc").out == "0\n", f"{source}: {said()}")
            script = f"sluice store export --store {store}.store -o /tmp/got.pcap && sha256sum </tmp/got.pcap"
            exported[source] = self.guest.run(script).out
        # One is looked at here, the others are the same.
        with open(f"{self.dir}/got.pcap", "wb") as file:
            file.write(self.guest.read("/tmp/got.pcap"))
        oracle.verify_same_packets(pcap.read_packets(f"{self.dir}/got.pcap"), packets, source)
        verify(len(set(exported.values())) == 1, f"not the same: {exported}")
        for name in FOLLOWED:
            self.guest.run(f"umount /mnt/{name}")
