# SPDX-License-Identifier: BSD-3-Clause
"""The launch script: which CPUs it chooses, what it refuses, and what the kernel says of the running process.

Machines that are not here (two NUMA nodes, isolated CPUs, hyper-threads) are shown to it as a made-up /sys; the last
test case looks at the threads of a real push.
"""

import os
import pty
import re
import select
import shlex
import signal
import time

import pytest
from api.test import verify
from framework import fs, lua, run, traffic
from framework.test_suite import TestSuite, func_test

LAUNCH = os.path.join(run.REPO, "config", "launch.sh")


def fake_sys(path: str, nodes: list[str], siblings: dict[int, str] | None = None, isolated: str = "") -> str:
    """A /sys of a machine: the CPU list of each node, thread siblings where a core has two, isolated CPUs."""
    cpus = sorted(cpu for node in nodes for cpu in expand(node))
    files = {
        "devices/system/cpu/online": ",".join(map(str, cpus)),
        "devices/system/cpu/isolated": isolated,
    }
    for number, text in enumerate(nodes):
        files[f"devices/system/node/node{number}/cpulist"] = text
    for cpu in cpus:
        files[f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"] = (siblings or {}).get(cpu, str(cpu))
    for name, text in files.items():
        os.makedirs(os.path.dirname(os.path.join(path, name)), exist_ok=True)
        with open(os.path.join(path, name), "w", encoding="ascii") as file:
            file.write(text + "\n")
    return path


def fake_hugepages(sys_dir: str, total: int, free: int) -> str:
    """A pool of 2 MiB hugepages on node 0."""
    pool = sys_dir + "/devices/system/node/node0/hugepages/hugepages-2048kB"
    os.makedirs(pool, exist_ok=True)
    for name, value in (("nr_hugepages", total), ("free_hugepages", free)):
        with open(f"{pool}/{name}", "w", encoding="ascii") as file:
            file.write(str(value))
    return pool


def expand(text: str) -> list[int]:
    """ "0,2-4" -> [0, 2, 3, 4]"""
    cpus = []
    for part in filter(None, text.strip().split(",")):
        low, _, high = part.partition("-")
        cpus += range(int(low), int(high or low) + 1)
    return cpus


class TestLaunch(TestSuite):
    """config/launch.sh and config/launch.conf."""

    def set_up_suite(self) -> None:
        self.count = 0

    def dry_run(self, settings: str = "", rc: int | None = 0, **env: str) -> run.Result:
        """launch.sh --dry-run with these settings; a program that is never run stands for sluice."""
        self.count += 1
        conf = os.path.join(self.dir, f"launch{self.count}.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write(settings + "\n")
        return run.run([LAUNCH, "--conf", conf, "--dry-run"], rc=rc, env={"SLUICE": "/bin/false", **env})

    def map_of(self, result: run.Result) -> dict[str, list[int]]:
        """Stage -> CPUs, from the map line; "helpers" too."""
        stages: dict[str, list[int]] = {}
        text = re.search(r"^map: (\S+)$", result.out, re.M).group(1)
        for entry in text.split(","):
            names, cpu = entry.split("@")
            for name in names.split("+"):
                stages.setdefault(name, []).append(int(cpu))
        stages["helpers"] = expand(re.search(r"--helper-cpus (\S+)", result.out).group(1))
        return stages

    @func_test
    def test_default_conf(self) -> None:
        """The settings as shipped.

        **Steps:**
            * Run launch.sh --dry-run with the launch.conf of the tree.

        **Verify:**
            * It prints map, hugepages, locked memory and the command, and the map's CPUs are allowed ones.
        """
        result = run.run([LAUNCH, "--dry-run"], env={"SLUICE": "/bin/false"})
        for word in ("map: ", "hugepages: ", "locked memory: ", "command: /bin/false push --map "):
            verify(word in result.out, f"no '{word}'\n{result.describe()}")
        stages = self.map_of(result)
        used = {cpu for cpus in stages.values() for cpu in cpus}
        verify(used <= os.sched_getaffinity(0), f"{stages} uses CPUs outside {os.sched_getaffinity(0)}")

    @func_test
    def test_numa_local(self) -> None:
        """CPUs of one node, one thread of each core first, the lowest left alone.

        **Steps:**
            * Two nodes of four cores with two threads each; NUMA_NODE=1, then none given.

        **Verify:**
            * All stages lie on the node; both threads of a core are used only once all cores are.
            * The node's lowest CPU carries no stage.
        """
        siblings = {cpu: f"{cpu % 8},{cpu % 8 + 8}" for cpu in range(16)}
        sys_dir = fake_sys(self.dir + "/sys", ["0-3,8-11", "4-7,12-15"], siblings)
        env = {"SL_SYSFS": sys_dir, "SL_ALLOWED_CPUS": "0-15"}
        stages = self.map_of(self.dry_run("NUMA_NODE=1", **env))
        placed = stages["reader"] + stages["filter"] + stages["writer"]
        verify(set(placed) == {5, 6, 7, 12, 13, 14, 15}, f"node 1's CPUs but 4 expected: {stages}")
        verify(placed[:3] == [5, 6, 7], f"whole cores first: {stages}")
        verify(len(stages["filter"]) > len(stages["writer"]) >= 1, f"more filters than writers: {stages}")
        verify(not set(stages["helpers"]) & set(placed), f"helpers on a stage's CPU: {stages}")
        few = self.map_of(self.dry_run("NUMA_NODE=1\nFILTERS=1\nWRITERS=1", **env))
        verify(few["reader"] + few["filter"] + few["writer"] == [5, 6, 7], f"{few}")
        anywhere = self.map_of(self.dry_run("", **env))
        placed = anywhere["reader"] + anywhere["filter"] + anywhere["writer"]
        on_node_0 = set(placed) <= set(expand("0-3,8-11"))
        verify(on_node_0 or set(placed) <= set(expand("4-7,12-15")), f"stages on two nodes: {anywhere}")

    @func_test
    def test_isolated(self) -> None:
        """Isolated CPUs are for the stages.

        **Steps:**
            * Eight CPUs, 4-7 isolated; the mask is the kernel's default, 0-3.
            * The same with a mask of 0-1, set by hand.

        **Verify:**
            * Stages on 4-7 only, helpers on 0-3 only.
            * A mask set by hand is kept: no CPU outside 0-1.
        """
        sys_dir = fake_sys(self.dir + "/sys", ["0-7"], isolated="4-7")
        stages = self.map_of(self.dry_run("", SL_SYSFS=sys_dir, SL_ALLOWED_CPUS="0-3"))
        placed = stages["reader"] + stages["filter"] + stages["writer"]
        verify(set(placed) == {4, 5, 6, 7} and len(placed) == 4, f"{stages}")
        verify(stages["helpers"] == [0, 1, 2, 3], f"{stages}")
        stages = self.map_of(self.dry_run("", SL_SYSFS=sys_dir, SL_ALLOWED_CPUS="0-1"))
        verify({cpu for cpus in stages.values() for cpu in cpus} <= {0, 1}, f"{stages}")

    @func_test
    def test_real_mask(self) -> None:
        """The affinity mask of the shell it is started from.

        **Steps:**
            * Start it under taskset with one CPU, and ask for another one.

        **Verify:**
            * Without settings all stages and helpers are on that CPU; the other is refused with exit status 2.
        """
        cpus = sorted(os.sched_getaffinity(0))
        conf = os.path.join(self.dir, "empty.conf")
        with open(conf, "w", encoding="ascii"):
            pass
        env = {"SLUICE": "/bin/false"}
        command = ["taskset", "-c", str(cpus[-1]), LAUNCH, "--conf", conf, "--dry-run"]
        stages = self.map_of(run.run(command, env=env))
        verify({cpu for all_of in stages.values() for cpu in all_of} == {cpus[-1]}, f"{stages}")
        if len(cpus) > 1:
            with open(conf, "w", encoding="ascii") as file:
                file.write(f"MAP=all@{cpus[0]}\n")
            refused = run.run(command, rc=2, env=env)
            verify("affinity mask or cpuset" in refused.err, refused.describe())

    @func_test
    @pytest.mark.parametrize(
        ("settings", "text"),
        [
            ("MAP=reader@0,filter@9,writer@1", "CPU 9 is not online"),
            ("MAP=reader@0,filter@3,writer@1", "CPU 3 is outside the affinity mask or cpuset"),
            ("MAP=reader@0,filter@1", "no writer"),
            ("MAP=reader+filter@0,reader+writer@1", "2 readers"),
            ("MAP=reader@0,filtre@1,writer@1", "no stage 'filtre'"),
            ("MAP=all", "not STAGES@CPU"),
            ("MAP=reader@0,filter@1,writer@1\nPOLL=yes", "more than one lcore"),
            ("MAP=reader+filter@0,writer+filter@1\nHELPER_CPUS=1", "carries a stage already"),
            ("CPUS=0-1\nFILTERS=2\nWRITERS=2", "need 5 CPUs, but there are 2"),
            ("CPUS=2", "outside the affinity mask or cpuset"),
            ("CPUS=one", "not a CPU list"),
            ("HELPER_CPUS=0-1", "no CPU is left for the stages"),
            ("MAP=reader+filter@0,writer@1\nPOLL=yes", "every allowed CPU polls"),
            ("POLL=ja", "neither yes nor no"),
            ("CPUS=0-9999999999", "not a CPU list"),
            ("CPUS=1,1\nWRITERS=1", "need 3 CPUs, but there are 1: 1"),
            ("WRITERS=0", "one at least"),
            ("NUMA_NODE=7", "there is no node 7"),
            ("HUGEPAGES_MB=few", "are numbers"),
            ("HUGEPAGE_KB=0", "can't be"),
            ("HUGEPAGES_MB=4000", "4000 of the 2048 MB of node 0"),
            ("SLUICE=/no/such/program", "there is no program '/no/such/program'"),
            ("CPUS=0\nCPU=1", ".conf:2: no setting 'CPU'; there are CONFIG STORE"),
        ],
    )
    def test_impossible(self, settings: str, text: str) -> None:
        """Settings that can't be met.

        **Steps:**
            * Four CPUs, of which 0-1 are allowed, and a pool of hugepages in 2 GiB of memory; settings with one thing
              impossible or misspelt.

        **Verify:**
            * Exit status 2, one line that names it, nothing printed or started.
        """
        sys_dir = fake_sys(self.dir + "/sys", ["0-3"])
        fake_hugepages(sys_dir, total=8, free=8)
        with open(sys_dir + "/devices/system/node/node0/meminfo", "w", encoding="ascii") as file:
            file.write("Node 0 MemTotal:        2097152 kB\nNode 0 MemFree:         1000000 kB\n")
        result = self.dry_run(settings, rc=2, SL_SYSFS=sys_dir, SL_ALLOWED_CPUS="0-1")
        verify(text in result.err, f"'{text}' not said\n{result.describe()}")
        verify(len(result.err.splitlines()) == 1, f"more than one line\n{result.describe()}")
        verify("map:" not in result.out, result.describe())

    @func_test
    def test_hugepages(self) -> None:
        """Reserving hugepages on a made-up /sys.

        **Steps:**
            * A pool with room, with too little and none; the program started is a stand-in that prints its arguments.

        **Verify:**
            * nr_hugepages is raised by what is missing; with no pool the push is told --no-huge.
        """
        sys_dir = fake_sys(self.dir + "/sys", ["0-1"])
        conf = os.path.join(self.dir, "huge.conf")
        with open(conf, "w", encoding="ascii") as file:
            file.write("HUGEPAGES_MB=64\n")
        env = {"SLUICE": "/bin/echo", "SL_SYSFS": sys_dir, "SL_ALLOWED_CPUS": "0-1"}
        result = run.run([LAUNCH, "--conf", conf], env=env)
        verify("none of 2048 kB" in result.out and "--no-huge" in result.out.splitlines()[-1], result.describe())
        pool = fake_hugepages(sys_dir, total=8, free=40)
        result = run.run([LAUNCH, "--conf", conf], env=env)
        verify("--no-huge" not in result.out, result.describe())
        with open(f"{pool}/free_hugepages", "w", encoding="ascii") as file:
            file.write("3")
        result = run.run([LAUNCH, "--conf", conf, "--dry-run"], env=env)
        verify("29 more of 2048 kB would be reserved" in result.out, result.describe())
        with open(f"{pool}/nr_hugepages", encoding="ascii") as file:
            verify(file.read() == "8", "a dry run changed nr_hugepages")

    @func_test
    def test_words(self) -> None:
        """Settings with blanks, in a file that is named without a directory.

        **Steps:**
            * A configuration and a log directory with blanks in their names, a map with blanks and leading zeros;
              ``--conf NAME`` from the directory of the file, which is also the name of a program in PATH.
            * The program started is a stand-in that prints one argument a line; one more option comes after ``--``.

        **Verify:**
            * Each name with blanks is one argument; the map has neither blanks nor zeros.
            * The printed command, read by a shell, is the command that was started.
        """
        show = os.path.join(self.dir, "show")
        with open(show, "w", encoding="ascii") as file:
            file.write('#!/bin/sh\nprintf "arg:%s\\n" "$@"\n')
        os.chmod(show, 0o755)
        with open(self.dir + "/true", "w", encoding="ascii") as file:
            file.write(
                f'SLUICE={show}\nCONFIG="{self.dir}/my conf.lua"\nSTORE=$HOME/store\nLOG_DIR="$STORE/lo g"\n'
                'MAP="reader+filter@00, writer@0,"\nPUSH_OPTIONS="--stop-timeout 5"\nHUGEPAGES_MB=0\n'
            )
        env = {"SL_SYSFS": fake_sys(self.dir + "/sys", ["0-1"]), "SL_ALLOWED_CPUS": "0-1", "HOME": "/h"}
        result = run.run([LAUNCH, "--conf", "true", "--", "--eal", "-v x"], env=env, cwd=self.dir)
        args = re.findall(r"^arg:(.*)$", result.out, re.M)
        want = ["push", "--map", "reader+filter@0,writer@0", "--helper-cpus", "1", "--config", f"{self.dir}/my conf.lua"]
        want += ["--store", "/h/store", "--log-dir", "/h/store/lo g", "--no-huge", "--stop-timeout", "5", "--eal", "-v x"]
        verify(args == want, f"{args}, expected {want}\n{result.describe()}")
        printed = shlex.split(re.search(r"^command: (.*)$", result.out, re.M).group(1))
        verify(printed == [show, *want], f"printed: {printed}\n{result.describe()}")

    @func_test
    def test_locked_memory(self) -> None:
        """The memlock limit is raised as far as it goes.

        **Steps:**
            * A soft limit of 64 KiB below a hard limit of 4096 KiB, without the right to raise that; the program started
              is a stand-in that prints its limits.

        **Verify:**
            * A dry run and a real one say 4096 KiB, and the program has it.
        """
        show = os.path.join(self.dir, "show")
        with open(show, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\ngrep locked /proc/self/limits\n")
        os.chmod(show, 0o755)
        conf = os.path.join(self.dir, "locked.conf")
        with open(conf, "w", encoding="ascii") as file:
            file.write(f"SLUICE={show}\nHUGEPAGES_MB=0\n")
        command = ["prlimit", "--memlock=65536:4194304", "--"]
        if os.geteuid() == 0:
            command += ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource", "--"]
        for dry in ([], ["--dry-run"]):
            result = run.run([*command, LAUNCH, "--conf", conf, *dry])
            verify("locked memory: at most 4096 KiB" in result.out, result.describe())
            if not dry:
                verify(re.search(r"^Max locked memory +4194304 +4194304 ", result.out, re.M), result.describe())

    @func_test
    def test_terminal(self) -> None:
        """A push that follows, started by hand.

        **Steps:**
            * Start a following push by launch.sh with standard error on a terminal (a pty), then press Ctrl-C there.
            * The same with standard error in a file.

        **Verify:**
            * At the terminal it says what it follows and where the logs are, and ends with status 0; in the file it says
              nothing.
        """
        capture = traffic.make_traffic(self.dir + "/in.pcap", packets=100)
        run.import_capture(self.dir + "/store", capture)
        config = lua.write_config(self.dir + "/c.lua", [lua.target("all", self.dir + "/out/all")])
        conf = os.path.join(self.dir, "launch.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write(
                f"SLUICE={run.SLUICE}\nCONFIG={config}\nSTORE={self.dir}/store\nSTATE_DIR={self.dir}/state\n"
                f"LOG_DIR={self.dir}/log\nHUGEPAGES_MB=0\n"
            )
        child, terminal = pty.fork()
        if child == 0:
            os.execv(LAUNCH, [LAUNCH, "--conf", conf])
        said = b""
        try:
            deadline = time.monotonic() + 30
            while b"following" not in said and time.monotonic() < deadline:
                if select.select([terminal], [], [], 1)[0]:
                    said += os.read(terminal, 4096)
            os.write(terminal, b"\x03")
            _, status = os.waitpid(child, 0)
        finally:
            os.close(terminal)
        words = f"sluice push: following {self.dir}/store; 1 target, logs in {self.dir}/log;"
        verify(words.encode() in said, f"'{words}' not in {said!r}")
        verify(os.waitstatus_to_exitcode(status) == 0, f"Ctrl-C: {os.waitstatus_to_exitcode(status)}")
        os.unlink(self.dir + "/state/all.journal")
        with run.Process([LAUNCH, "--conf", conf]) as push:
            push.wait_until(lambda: os.path.exists(self.dir + "/state/all.journal") and push.running(), 30, "a journal")
            push.signal(signal.SIGTERM)
            result = push.wait(60)
        verify(result.err == "", result.describe())

    @func_test
    def test_running_process(self) -> None:
        """What the kernel says of the threads.

        **Steps:**
            * Start a following push by launch.sh: each stage on its own lcore, CPUs as this machine has them.
            * Read name and Cpus_allowed_list of each thread from /proc/PID/task.

        **Verify:**
            * Each stage's thread has its name and exactly the CPU of the printed map.
            * Every other thread, the kernel's I/O workers included, is confined to the helper CPUs.
            * SIGTERM ends it with exit status 0.
        """
        cpus = sorted(os.sched_getaffinity(0))
        capture = traffic.make_traffic(self.dir + "/in.pcap", packets=2000)
        run.import_capture(self.dir + "/store", capture)
        # On ext2 too: nothing can be allocated ahead there, so the kernel writes by workers of its own.
        ext2 = self.enter(fs.LoopFs(self.dir, 64 << 20, "ext2")).path
        config = lua.write_config(
            self.dir + "/c.lua",
            [
                lua.target("all", self.dir + "/out/all", FollowStart=True),
                lua.target("ext2", ext2 + "/all", FollowStart=True, MinFree=0),
            ],
        )
        os.mkdir(self.dir + "/out")
        stage_map = f"reader@{cpus[-1]},filter@{cpus[-1]},filter@{cpus[-1]},writer@{cpus[-1]}"
        conf = os.path.join(self.dir, "launch.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write(
                f"SLUICE={run.SLUICE}\nCONFIG={config}\nSTORE={self.dir}/store\nSTATE_DIR={self.dir}/state\n"
                f"LOG_DIR={self.dir}/log\nMAP={stage_map}\nHUGEPAGES_MB=0\n"
            )
            if len(cpus) > 1:
                file.write(f"HELPER_CPUS={cpus[0]}\n")
        expected = {name: [cpus[-1]] for name in ("sl-reader", "sl-filter0", "sl-filter1", "sl-writer0")}
        with run.Process([LAUNCH, "--conf", conf]) as push:
            threads: dict[str, list[list[int]]] = {}

            def stages_up() -> bool:
                threads.clear()
                # First the files, then the threads: the kernel's workers are there once something is written.
                if not push.running() or not run.list_files(self.dir + "/out") or not run.list_files(ext2):
                    return False
                for task in os.listdir(f"/proc/{push.pid}/task"):
                    try:
                        with open(f"/proc/{push.pid}/task/{task}/status", encoding="ascii") as file:
                            status = file.read()
                    except FileNotFoundError:
                        continue
                    name = re.search(r"^Name:\t(.*)$", status, re.M).group(1)
                    allowed = re.search(r"^Cpus_allowed_list:\t(.*)$", status, re.M).group(1)
                    threads.setdefault(name, []).append(expand(allowed))
                return set(expected) <= set(threads) and any(name.startswith("iou-wrk") for name in threads)

            push.wait_until(stages_up, 30, "stage threads, a file on each file system and a worker of the kernel's")
            for name, allowed in expected.items():
                verify(threads[name] == [allowed], f"{name}: {threads[name]}, expected {allowed}\n{threads}")
            for name, found in threads.items():
                for allowed in found:
                    if name not in expected:
                        verify(allowed == [cpus[0]], f"{name} may run on {allowed}, helpers are on {cpus[0]}\n{threads}")
            push.signal(signal.SIGTERM)
            result = push.wait(60)
        verify(f"map: {stage_map}" in result.out, result.describe())

    @func_test
    def test_units(self) -> None:
        """The units for systemd are what systemd and sluice understand.

        **Steps:**
            * systemd-analyze verify on each unit of config/systemd, with the programs' places replaced by real ones.
            * Ask the command of each unit that is sluice's own for its --help.

        **Verify:**
            * No complaint; each option that a unit gives is one that the command knows.
        """
        units = os.path.join(run.REPO, "config", "systemd")
        names = sorted(os.listdir(units))
        verify(len(names) == 3, f"units: {names}")
        for name in names:
            with open(f"{units}/{name}", encoding="utf-8") as file:
                text = file.read()
            text = text.replace("/opt/sluice/bin/sluice", run.SLUICE).replace("/opt/sluice/config", os.path.dirname(LAUNCH))
            text = re.sub(r"^Documentation=.*\n", "", text, flags=re.M)
            with open(f"{self.dir}/{name}", "w", encoding="utf-8") as file:
                file.write(text)
        for name in names:
            said = run.run(["systemd-analyze", "verify", f"{self.dir}/{name}"])
            verify(name not in said.err, f"systemd says\n{said.describe()}")
            with open(f"{self.dir}/{name}", encoding="utf-8") as file:
                start = re.search(r"^ExecStart=(.*)$", file.read(), re.M).group(1).split()
            if start[0] == run.SLUICE:
                known = run.run([run.SLUICE, start[1], "--help"]).out
                unknown = [word for word in start if word.startswith("--") and word not in known]
                verify(not unknown, f"{name}: options {unknown} of {start}")
