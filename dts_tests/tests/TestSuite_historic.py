# SPDX-License-Identifier: BSD-3-Clause
"""Pushing what was captured at some time: `push --once --from T --to T`, over the captures of a store.

The oracle for packets is editcap's -A and -B; the one for files and windows is a push of everything.
"""

import os

from api.test import verify
from framework import lua, oracle, pcap, run, traffic
from framework.test_suite import TestSuite, func_test

START = 1767605400
SECOND = 1_000_000_000


class TestHistoric(TestSuite):
    """A range of time."""

    def set_up_suite(self) -> None:
        """One capture of five minutes, in a store as three captures that follow one another."""
        source = traffic.make_traffic(f"{self.suite_dir}/in.pcap", packets=20000, duration=300, seed=8, start=START)
        self.source = source
        self.packets = pcap.read_packets(source)
        self.store = f"{self.suite_dir}/store"
        for number, (begin, end) in enumerate(((0, 7000), (7000, 14000), (14000, 20000))):
            part = pcap.write_pcap(f"{self.suite_dir}/{number}.pcap", self.packets[begin:end])
            run.import_capture(self.store, part, capture=f"part{number}")
        self.edges = [self.packets[7000].ts, self.packets[14000].ts]

    def _push(self, name: str, *args: str, rc: int = 0, **fields: object) -> tuple[str, run.Result]:
        out = f"{self.dir}/{name}"
        target = lua.target("all", f"{out}/x", MinFree=0, **{"Split": "--split-time 60e9", **fields})
        config = lua.write_config(f"{self.dir}/{name}.lua", [target])
        return out, run.push_once(config, self.store, *args, rc=rc)

    def _got(self, out: str) -> list[pcap.Packet]:
        return pcap.read_packets(*(f"{out}/{name}" for name in run.list_files(out)))

    @func_test
    def test_packets(self) -> None:
        """The packets of a time, neither more nor fewer.

        **Steps:**
            * Push ranges within a capture, over the edges of captures, from before the first packet, to behind the last one,
              with only --from, with only --to, with whole seconds and with a packet's own nanoseconds.

        **Verify:**
            * The packets are those with from <= time < to; for whole seconds those of `editcap -A -B`.
            * Few chunks outside the range were read.
        """
        first, last = self.packets[0].ts, self.packets[-1].ts
        whole = [(START + 50, START + 200), (START + 61, START + 62), (START + 130, START + 131), (START - 9, START + 400)]
        ranges = [(a * SECOND, b * SECOND) for a, b in whole]
        ranges += [(self.edges[0], self.edges[1]), (self.edges[0] + 1, self.edges[1] + 1), (first, first + 1)]
        ranges += [(None, self.packets[100].ts), (last, None), (self.packets[13999].ts, None)]
        for number, (begin, end) in enumerate(ranges):
            args = ["--from", f"{begin // SECOND}.{begin % SECOND:09d}"] if begin is not None else []
            args += ["--to", f"{end // SECOND}.{end % SECOND:09d}"] if end is not None else []
            out, result = self._push(f"out{number}", *args)
            low, high = begin or 0, end or 1 << 63
            expected = [packet for packet in self.packets if low <= packet.ts < high]
            oracle.verify_same_packets(self._got(out), expected, " ".join(args))
            if number < len(whole):
                cut = f"{self.dir}/cut.pcap"
                run.run(["editcap", "-F", "nsecpcap", "-A", str(whole[number][0]), "-B", str(whole[number][1]), self.source, cut])
                verify(len(pcap.read_packets(cut)) == len(expected), f"editcap has {len(pcap.read_packets(cut))} packets")
            read = int(result.out.split("read: ")[1].split()[0])
            verify(read <= len(expected) + 6000, f"{read} packets were read for {len(expected)}\n{result.describe()}")

    @func_test
    def test_files(self) -> None:
        """Whole windows of a range are the files of a push of everything; EmptyFiles fills the range and no more.

        **Steps:**
            * Push everything, from a store that has it as one capture; push minutes 1 to 3 from the three captures.
            * The same with EmptyFiles and a filter that matches nothing.
            * With a state directory: push minute 1, then again; --capture part1.

        **Verify:**
            * The files of minutes 1 to 3 have the same names and bytes.
            * There are three empty files, of these minutes.
            * The second run adds nothing. With --capture only packets of that capture come.
        """
        run.import_capture(f"{self.dir}/one", self.source)
        target = lua.target("all", f"{self.dir}/whole/x", MinFree=0)
        run.push_once(lua.write_config(f"{self.dir}/whole.lua", [target]), f"{self.dir}/one")
        # The capture begins at half past, so minutes begin where the split does.
        args = ("--from", str(START + 60), "--to", str(START + 240))
        out, _ = self._push("range", *args)
        whole = run.read_tree(f"{self.dir}/whole")
        names = [name for name in whole if START + 60 <= int(name.split("_")[1].split("-")[0]) < START + 240]
        verify(len(names) == 3, f"the whole push made {sorted(whole)}")
        oracle.verify_same_tree(run.read_tree(out), {name: whole[name] for name in names})

        out, _ = self._push("empty", *args, EmptyFiles=True, FilterBPF="port 9 and port 10")
        tree = run.read_tree(out)
        verify(sorted(tree) == sorted(names), f"empty files: {sorted(tree)}, expected {sorted(names)}")
        verify(all(len(data) == 24 for data in tree.values()), "they are not empty")

        once = ("--from", str(START + 60), "--to", str(START + 120), "--state-dir", f"{self.dir}/state")
        for _ in range(2):
            out, _ = self._push("again", *once)
            verify(len(run.list_files(out)) == 1, f"files: {run.list_files(out)}")
        out, _ = self._push("capture", "--capture", "part1", "--from", str(START))
        oracle.verify_same_packets(self._got(out), self.packets[7000:14000], "--capture part1")

    @func_test
    def test_refused(self) -> None:
        """What makes no sense.

        **Steps:**
            * --from without --once, a text that is no time, --from behind --to, a time of which the store has nothing, a
              filter that the link type of an older capture does not know.

        **Verify:**
            * Exit 2 with the option and what to write; nothing is made. Of the time without packets it is said; exit 0.
        """
        config = lua.write_config(f"{self.dir}/c.lua", [lua.target("all", f"{self.dir}/out/x", MinFree=0)])
        for args, said in (
            (("--from", "1"), "--once"),
            (("--once", "--from", "yesterday"), "--from yesterday"),
            (("--once", "--from", "20", "--to", "10"), "not before --to"),
        ):
            result = run.sluice("push", "--config", config, "--store", self.store, "--no-huge", *args, rc=2)
            verify(said in result.err, f"{args}\n{result.describe()}")
        result = run.push_once(config, self.store, "--from", "10", "--to", "20")
        verify("no packets of that time" in result.err, result.describe())

        store = f"{self.dir}/mixed"
        run.import_capture(store, pcap.write_pcap(f"{self.dir}/raw.pcap", self.packets[:10], linktype=101), capture="raw")
        run.import_capture(store, pcap.write_pcap(f"{self.dir}/eth.pcap", self.packets[10:20]), capture="eth")
        config = lua.write_config(f"{self.dir}/mac.lua", [lua.target("mac", f"{self.dir}/out/x", "ether src 1:2:3:4:5:6")])
        result = run.push_once(config, store, "--from", "1", rc=2)
        verify("mac.lua:" in result.err and "FilterBPF" in result.err, f"the filter is not named\n{result.describe()}")
        verify(not os.path.exists(f"{self.dir}/out"), "something was made")
