# SPDX-License-Identifier: BSD-3-Clause
"""O_DIRECT: what is published does not fill the page cache; where it is refused, push works all the same."""

import os
import subprocess

from api.test import verify
from framework import fs, lua, oracle, pcap, run, traffic
from framework.test_suite import TestSuite, func_test

# One page can come from the unaligned tail, one from reading the first bytes.
MOST_PAGES = 2


class TestDirectIo(TestSuite):
    """Published files and the page cache."""

    def set_up_suite(self) -> None:
        self.capture = traffic.make_traffic(os.path.join(self.suite_dir, "capture.pcap"), packets=60000, seed=9)
        self.expected = oracle.tcpdump_filter(self.capture, "", os.path.join(self.suite_dir, "all.pcap")).packets
        self.tcp = oracle.tcpdump_filter(self.capture, "tcp", os.path.join(self.suite_dir, "tcp.pcap")).packets
        self.store = os.path.join(self.suite_dir, "store")
        run.import_capture(self.store, self.capture)

    def _config(self, base: str) -> str:
        """Large files, many files, a filter, small files of odd sizes."""
        fields = {"FileName": "--filename-epoch-nsec", "MinFree": 0}
        splits = {
            "time": {"Split": "--split-time 60e9"},
            "byte": {"Split": "--split-byte 1000001"},
            "tcp": {"Split": "--split-time 60e9", "FilterBPF": "tcp"},
            "small": {"Split": "--split-byte 100003", "Slice": 70},
        }
        targets = []
        for desc, split in splits.items():
            os.makedirs(os.path.join(base, desc))
            targets.append(lua.target(desc, os.path.join(base, desc, "x"), **fields, **split))
        return lua.write_config(os.path.join(self.dir, "push.lua"), targets)

    def _verify_packets(self, base: str) -> None:
        cut = [packet._replace(data=packet.data[:70]) for packet in self.expected]
        wanted = {"time": self.expected, "byte": self.expected, "tcp": self.tcp, "small": cut}
        for desc, packets in wanted.items():
            names = run.list_files(os.path.join(base, desc))
            got = pcap.read_packets(*(os.path.join(base, desc, name) for name in names))
            oracle.verify_same_packets(got, packets, desc)

    @func_test
    def test_page_cache_stays_empty(self) -> None:
        """fincore of each published file on ext4.

        **Steps:**
            * Write a file of 1 MiB by ordinary writes on an ext4 of its own and ask fincore.
            * Push to four targets there and ask fincore for each published file before anything reads it.

        **Verify:**
            * fincore sees the ordinary file's 256 pages, so it can see pages at all.
            * No published file has more than 2 resident pages; the packets are tcpdump's; nothing was said of O_DIRECT.
        """
        disk = self.enter(fs.LoopFs(self.dir, 256 << 20))
        buffered = os.path.join(disk.path, "buffered")
        with open(buffered, "wb") as file:
            file.write(bytes(1 << 20))
            os.fsync(file.fileno())
        verify(fs.resident_pages(buffered) == 256, f"fincore: {fs.resident_pages(buffered)} pages of an ordinary file")
        result = run.push_once(self._config(disk.path), self.store)
        published = run.list_files(disk.path, ".pcap")
        pages = {name: fs.resident_pages(os.path.join(disk.path, name)) for name in published}
        verify(len(pages) > 40, f"only {len(pages)} files\n{result.describe()}")
        bad = {name: count for name, count in pages.items() if count > MOST_PAGES}
        verify(not bad, f"{len(bad)} of {len(pages)} files have more than {MOST_PAGES} resident pages: {bad}")
        verify("using buffered I/O" not in result.err, f"fell back to buffered I/O\n{result.describe()}")
        self._verify_packets(disk.path)

    @func_test
    def test_sector_sizes(self) -> None:
        """Disks of 512-byte and of 4096-byte sectors, written and read.

        **Steps:**
            * For each size, make an ext4 on a loop device of such sectors, import into a store there, forget the cache.
            * Push from that store to four targets there.

        **Verify:**
            * The device has that sector size.
            * No page of a segment, and at most 2 of a published file, are resident: both were direct.
            * Nothing was said of O_DIRECT; the packets are tcpdump's.
        """
        for sector in (512, 4096):
            disk = self.enter(fs.LoopFs(self.dir, 1 << 30, sector=sector))
            with open(f"/sys/block/{os.path.basename(disk.device)}/queue/logical_block_size", encoding="ascii") as file:
                verify(int(file.read()) == sector, f"{disk.device} has no sectors of {sector} bytes")
            store = os.path.join(disk.path, "store")
            run.import_capture(store, self.capture)
            disk.drop_caches()
            result = run.push_once(self._config(disk.path), store)
            pages = {name: fs.resident_pages(os.path.join(store, name)) for name in run.list_files(store, ".seg")}
            verify(pages and not any(pages.values()), f"{sector}: resident pages of segments: {pages}")
            names = [name for name in run.list_files(disk.path, ".pcap")]
            pages = {name: fs.resident_pages(os.path.join(disk.path, name)) for name in names}
            bad = {name: count for name, count in pages.items() if count > MOST_PAGES}
            verify(len(pages) > 40 and not bad, f"{sector}: {len(pages)} files, resident pages {bad}")
            verify("using buffered I/O" not in result.err, f"{sector}: fell back to buffered I/O\n{result.describe()}")
            self._verify_packets(disk.path)

    @func_test
    def test_no_direct_io(self) -> None:
        """A file system that takes O_DIRECT and says through statx that it does none: ext4 with data=journal.

        **Steps:**
            * Import into a store on such an ext4, forget the cache, push from that store to four targets there.

        **Verify:**
            * Exit 0; the packets are tcpdump's; that it is buffered is said once for all targets there.
        """
        disk = self.enter(fs.LoopFs(self.dir, 1 << 30, options="data=journal"))
        store = os.path.join(disk.path, "store")
        run.import_capture(store, self.capture)
        disk.drop_caches()
        result = run.push_once(self._config(disk.path), store)
        said = result.err.count("refuses direct I/O; using buffered I/O")
        verify(said == 1, f"said {said} times\n{result.describe()}")
        self._verify_packets(disk.path)

    @func_test
    def test_locked_memory(self) -> None:
        """Without the privilege to lock memory the write blocks are not registered with io_uring, and all works.

        **Steps:**
            * Push with a limit of 64 KiB of locked memory and without CAP_IPC_LOCK, to the disk.

        **Verify:**
            * Exit 0; one line says what was not registered and how to allow it; the packets are tcpdump's.
        """
        base = os.path.join(self.dir, "out")
        os.makedirs(base)
        config = self._config(base)
        limits = ["prlimit", "--memlock=65536:65536", "setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"]
        command = [*limits, run.SLUICE, "push", "--config", config, "--store", self.store, "--once", "--no-huge"]
        result = run.run(command, timeout=120)
        verify(result.err.count("not registered with io_uring") == 1, result.describe())
        verify("ulimit -l" in result.err, result.describe())
        self._verify_packets(base)

    @func_test
    def test_tmpfs(self) -> None:
        """A file system that may refuse O_DIRECT.

        **Steps:**
            * Push to the same targets on tmpfs (kernels before 6.6 refuse O_DIRECT there).

        **Verify:**
            * Exit 0; the packets are tcpdump's; if this tmpfs refuses O_DIRECT, that is said once for all targets there.
        """
        base = self.tmpfs_dir()
        result = run.push_once(self._config(base), self.store)
        self._verify_packets(base)
        probe = os.path.join(base, "probe")
        try:
            os.close(os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_DIRECT, 0o600))
            refused = False
        except OSError:
            refused = True
        said = result.err.count("refuses direct I/O; using buffered I/O")
        verify(said == 1 if refused else said <= 1, f"refused: {refused}, said {said} times\n{result.describe()}")

    @func_test
    def test_full_tmpfs(self) -> None:
        """A tmpfs, which the lcore itself writes to and nothing is allocated on, is full and then larger.

        **Steps:**
            * Push to four targets on a tmpfs of 16 MiB; give it 400 MiB once the fault is reported.

        **Verify:**
            * Each target names the fault once; the same run completes with exit 0; the packets are tcpdump's.
        """
        base = os.path.join(self.dir, "full")
        os.makedirs(base)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", base], check=True)
        try:
            config = self._config(base)
            with run.push_start(config, self.store, "--once", "--retry-for", "30") as push:
                push.wait_until(lambda: "No space left on device" in push.err, what="report of the full tmpfs")
                subprocess.run(["mount", "-o", "remount,size=400m", base], check=True)
                result = push.wait(60)
            said = [line for line in result.err.splitlines() if "No space left on device" in line]
            targets = {line.split('"')[1] for line in said}
            verify(0 < len(said) == len(targets), f"not reported once a target\n{result.describe()}")
            self._verify_packets(base)
        finally:
            subprocess.run(["umount", "-l", base], check=True)
