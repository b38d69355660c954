# SPDX-License-Identifier: BSD-3-Clause
"""O_DIRECT: what is published does not fill the page cache; where it is refused, push works all the same."""

import os

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
