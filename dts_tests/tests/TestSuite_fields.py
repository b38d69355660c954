# SPDX-License-Identifier: BSD-3-Clause
"""Fields of a target that change its files: Slice against editcap, SplitCmd's owner against the file system."""

import os
import pwd
import shutil

from api.test import verify
from framework import lua, oracle, pcap, run, traffic
from framework.run import SLUICE
from framework.test_suite import TestSuite, func_test

SPLITS = {
    "time": "--split-time 60e9",
    "bytes": "--split-byte 100000",
    "both": "--split-time 60e9 --split-byte 100000",
}


class TestFields(TestSuite):
    """Slice and SplitCmd."""

    def set_up_suite(self) -> None:
        """A capture and its store."""
        self.capture = traffic.make_traffic(f"{self.suite_dir}/in.pcap", packets=10000, duration=200, seed=8)
        self.store = f"{self.suite_dir}/store"
        run.import_capture(self.store, self.capture)

    @func_test
    def test_slice(self) -> None:
        """Slice is editcap's -s.

        **Steps:**
            * Push with Slice 1, 14, 60, 96, 1514 and 262144, each split by time, by bytes and by both.

        **Verify:**
            * The packets are those of `editcap -s`: bytes, caplen, len, time. The files' snap length is that of the slice.
            * No file of a byte split is larger than it says.
        """
        sizes = (1, 14, 60, 96, 1514, 262144)
        targets = [
            lua.target(f"{how}{size}", f"{self.dir}/out/{how}{size}/x", Slice=size, Split=split,
                       FileName="--filename-epoch-nsec", MinFree=0)
            for size in sizes
            for how, split in SPLITS.items()
        ]
        run.push_once(lua.write_config(f"{self.dir}/c.lua", targets), self.store)
        for size in sizes:
            oracle.editcap("-F", "nsecpcap", "-s", str(size), self.capture, f"{self.dir}/cut.pcap")
            expected = pcap.read_packets(f"{self.dir}/cut.pcap")
            for how in SPLITS:
                out = f"{self.dir}/out/{how}{size}"
                files = [pcap.read_pcap(f"{out}/{name}") for name in run.list_files(out)]
                got = [packet for file in files for packet in file.packets]
                oracle.verify_same_packets(got, expected, f"{how}, Slice = {size}")
                verify({file.snaplen for file in files} == {size}, f"{out}: snap lengths {[f.snaplen for f in files]}")
                large = [name for name in run.list_files(out) if os.path.getsize(f"{out}/{name}") > 100000]
                verify(how == "time" or not large, f"{out}: larger than 100000 bytes: {large}")

    @func_test
    def test_owner(self) -> None:
        """SplitCmd = "-Z user" and "-Z user.group" own what is published.

        **Steps:**
            * As root, push with each form, names and numbers. As nobody, push with -Z of nobody and of somebody else.

        **Verify:**
            * Files have that user and group (the user's own group without one) and mode 0644.
            * What nobody may not give away is not published: exit 1, the working file and "Operation not permitted".
            * A user and a group that are not there: exit 2 with file and line, from check and from push; nothing is made.
        """
        daemon = pwd.getpwnam("daemon")
        cases = {
            "daemon": (daemon.pw_uid, daemon.pw_gid),
            "daemon.games": (daemon.pw_uid, 60),
            "daemon:games": (daemon.pw_uid, 60),
            "12345.54321": (12345, 54321),
        }
        for word, owner in cases.items():
            out = f"{self.dir}/{word}"
            config = lua.write_config(f"{self.dir}/c.lua", [lua.target("x", f"{out}/x", SplitCmd=f"-Z {word}", MinFree=0)])
            run.push_once(config, self.store)
            stats = [os.stat(f"{out}/{name}") for name in run.list_files(out)]
            found = {(stat.st_uid, stat.st_gid, stat.st_mode & 0o7777) for stat in stats}
            verify(found == {(*owner, 0o644)}, f"-Z {word}: {found}")
        for word in ("nosuchuser", "daemon.nosuchgroup", "daemon."):
            out = f"{self.dir}/refused"
            config = lua.write_config(f"{self.dir}/c.lua", [lua.target("x", f"{out}/x", SplitCmd=f"-Z {word}", MinFree=0)])
            line = next(i for i, text in enumerate(open(config, encoding="utf-8"), 1) if "SplitCmd" in text)
            for result in (run.sluice("check", config, rc=2), run.push_once(config, self.store, rc=2)):
                verify(f"{config}:{line}: error" in result.err and "does not exist" in result.err, result.describe())
            verify(not os.path.exists(out), f"-Z {word}: something was made")

        os.chmod(self.suite_dir, 0o755)
        home = f"{self.dir}/nobody"
        os.mkdir(home)
        shutil.copy(SLUICE, f"{home}/sluice")
        shutil.chown(home, "nobody")
        for word, status in (("nobody", 0), ("daemon", 1)):
            config = lua.write_config(
                f"{home}/{word}.lua", [lua.target("x", f"{home}/{word}/x", SplitCmd=f"-Z {word}", MinFree=0)]
            )
            command = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", f"{home}/sluice", "push", "--config", config]
            command += ["--store", self.store, "--once", "--no-huge", "--retry-for", "0"]
            result = run.run(command, rc=status, env={"XDG_RUNTIME_DIR": home, "HOME": home})
            names = run.list_files(f"{home}/{word}")
            verify(any(name.endswith(".pcap") for name in names) == (status == 0), f"{word}: {names}")
        verify("Operation not permitted" in result.err and ".pending" in result.err, result.describe())
