# SPDX-License-Identifier: BSD-3-Clause
"""Which packet goes into which file: time and byte splits against an independent model.

The model (framework/model.py) walks the capture one packet at a time; sluice walks it by chunks. Both must agree on late
packets, clocks that jump, boundaries, silence, and files that are full to the byte.
"""

import os
import random

from api.test import verify
from framework import lua, model, pcap, run, traffic
from framework.pcap import NS, Packet
from framework.test_suite import TestSuite, func_test

# 2025-06-02 10:00:00 UTC, a multiple of 60 s
BASE = 1748858400
YEAR_2099 = 4071772800
STAMP = model.STAMPS["--filename-epoch-nsec"]


def udp(ts: int, size: int = 80, number: int = 0) -> Packet:
    """A packet that `udp` takes."""
    return traffic.simple_udp(ts, size, number)


def tcp(ts: int, size: int = 80, number: int = 0) -> Packet:
    """A packet that `tcp` takes."""
    data = number.to_bytes(8, "big").ljust(size - 54, b"\xaa")
    return pcap.packet(ts, traffic.ether(traffic.tcp("10.0.0.1", "10.0.0.2", 80, 81, 0x18, data)))


def is_tcp(packet: Packet) -> bool:
    return packet.data[23] == 6


def at(seconds: float) -> int:
    """Nanoseconds of a time relative to BASE, exact for milliseconds."""
    return (BASE * 1000 + round(seconds * 1000)) * 1_000_000


class TestWindows(TestSuite):
    """Splits by time, by size and by both."""

    def _store(self, packets: list, name: str = "store") -> str:
        """Import packets into a fresh store."""
        store = os.path.join(self.dir, name)
        capture = pcap.write_pcap(os.path.join(self.dir, name + ".pcap"), packets)
        run.import_capture(store, capture)
        return store

    def _compare(self, packets: list, splits: dict, *args: str, name: str = "out") -> run.Result:
        """Push to a target for each split and compare with the model.

        Args:
            packets: The capture.
            splits: Desc -> (fields of the target, arguments of model.split()).
            args: More arguments for push.
            name: Directory of the output in the test case's.
        """
        store = self._store(packets, name + ".store")
        targets = []
        for desc, (fields, _) in splits.items():
            os.makedirs(os.path.join(self.dir, name, desc))
            fields = {"FileName": "--filename-epoch-nsec", **fields}
            targets.append(lua.target(desc, f"{self.dir}/{name}/{desc}/x", **fields))
        config = lua.write_config(os.path.join(self.dir, name + ".lua"), targets)
        result = run.push_once(config, store, *args, timeout=60)
        for desc, (_, arguments) in splits.items():
            files = model.split(packets, **arguments)
            kept = sum(len(file.packets) for file in files)
            accept = arguments.get("accept", lambda packet: True)
            verify(kept == sum(map(accept, packets)), f"{desc}: the model itself lost packets")
            expected = model.named(files, lambda file: model.name(file, "x", STAMP))
            model.verify_files(os.path.join(self.dir, name, desc), expected)
        return result

    def _timed(self, seconds: int = 60, **arguments) -> dict:
        """One unfiltered target and one for each protocol, split by time."""
        fields = {"Split": f"--split-time {seconds}e9"}
        length = seconds * NS
        return {
            "all": (fields, {"time": length, **arguments}),
            "tcp": ({**fields, "FilterBPF": "tcp"}, {"time": length, "accept": is_tcp, **arguments}),
            "udp": (
                {**fields, "FilterBPF": "udp"},
                {"time": length, "accept": lambda packet: not is_tcp(packet), **arguments},
            ),
        }

    # ------------------------------------------------------------ the clock

    @func_test
    def test_boundaries(self) -> None:
        """Packets exactly on a boundary and a nanosecond beside it.

        **Steps:**
            * Push packets at B-1, B, B, B+1 ns for many boundaries B, with 60 s windows.

        **Verify:**
            * A packet at B begins the window [B, B+T); names and packets are the model's.
        """
        packets = []
        for minute in range(1, 30):
            for delta in (-1, 0, 0, 1):
                make = tcp if (minute + delta) % 3 else udp
                packets.append(make(at(60 * minute) + delta, number=len(packets)))
        self._compare(packets, self._timed())

    @func_test
    def test_late_packets(self) -> None:
        """Packets older than their window stay in it.

        **Steps:**
            * Push packets up to T behind the clock, to the nanosecond, matched and not.

        **Verify:**
            * They are in the clock's window, in the capture's order; the logs count as many late packets as the model.
        """
        times = [0, 61, 59.999, 60, 1, 0.001, 119, 120, 60, 90, 125, 181, 120, 120.001, 179, 185, 240, 239, 181, 300]
        packets = [(tcp, udp)[i % 2](at(t), number=i) for i, t in enumerate(times)]
        packets += [udp(at(360)), udp(at(300)), udp(at(300) - 1), tcp(at(301))]
        logs = os.path.join(self.dir, "log")
        splits = self._timed()
        self._compare(packets, splits, "--log-dir", logs)
        for desc, (_, arguments) in splits.items():
            expected = sum(file.late for file in model.split(packets, **arguments))
            verify(expected > 0, f"{desc}: no late packet in the test")
            with open(os.path.join(logs, f"push_{desc}.cur"), encoding="utf-8") as log:
                text = log.read()
            lines = [line for line in text.splitlines() if " published " in line]
            counted = sum(int(line.rsplit(" late ", 1)[1].split()[0]) for line in lines)
            verify(counted == expected, f"{desc}: {counted} late packets logged, expected {expected}\n{text}")

    @func_test
    def test_jump_back(self) -> None:
        """Time goes back by more than a window: the clock goes with it.

        **Steps:**
            * Push a capture whose time goes back by T, by T and 1 ns, by an hour, and forward again.

        **Verify:**
            * Names and packets are the model's; a window that comes twice gets _1.
        """
        times = [at(600), at(601), at(540), at(540) - 1, at(541), at(660), at(3600), at(3601), at(0), at(1), at(61)]
        times += [at(3600), at(3605), at(0), at(59.5), at(60), at(119), at(3600)]
        packets = [(tcp, udp)[i % 3 == 0](ts, number=i) for i, ts in enumerate(times)]
        self._compare(packets, self._timed())
        names = run.list_files(os.path.join(self.dir, "out", "all"))
        verify(any(name.endswith("_1.pcap") for name in names), f"no window came twice: {names}")

    @func_test
    def test_one_odd_date(self) -> None:
        """One packet dated 2099, one dated 1970, one at the very epoch.

        **Steps:**
            * Push an ordinary capture with such a packet in its middle, at its start and at its end; the odd packet is one
              that the filter takes, or one that it does not.

        **Verify:**
            * Names and packets are the model's, so no packet is lost; at most two more files than without the packet.
        """
        ordinary = [(tcp, udp)[i % 2](at(7 * i), number=i) for i in range(60)]
        for i, odd in enumerate((YEAR_2099 * NS + 5, 5 * NS, 0)):
            for j, place in enumerate((30, 0, 60)):
                packets = ordinary[:place] + [tcp(odd, number=99)] + ordinary[place:]
                self._compare(packets, self._timed(), name=f"out{i}{j}")
                for desc, (_, arguments) in self._timed().items():
                    more = len(run.list_files(os.path.join(self.dir, f"out{i}{j}", desc)))
                    more -= len(model.split(ordinary, **arguments))
                    verify(0 <= more <= 2, f"{desc}: {more} more files for one odd packet")

    @func_test
    def test_silence(self) -> None:
        """Silence over many windows, and windows in which only other targets have packets.

        **Steps:**
            * Push a capture with pauses of 1, 2, 10 and 100,000 windows; TCP pauses on its own too.

        **Verify:**
            * A window without packets makes no file; the others are the model's.
        """
        packets, now = [], 0
        for pause in (60, 120, 600, 6_000_000, 60):
            for i in range(10):
                packets.append((udp, tcp)[i in (0, 9)](at(now + i * 20), number=len(packets)))
            now += 200 + pause
        self._compare(packets, self._timed())

    @func_test
    def test_empty_files(self) -> None:
        """EmptyFiles = true makes a file of 24 bytes for each window without packets.

        **Steps:**
            * Push the capture with pauses of up to 20 windows with EmptyFiles, to targets that take all, some, no packets.

        **Verify:**
            * Each window from the capture's first to its last has a file; those without packets have 24 bytes.
        """
        packets, now = [], 0
        for pause in (60, 120, 1200):
            for i in range(10):
                packets.append((udp, tcp)[i in (0, 9)](at(now + i * 20), number=len(packets)))
            now += 200 + pause
        splits = self._timed(empty=True)
        splits["none"] = ({"Split": "--split-time 60e9", "FilterBPF": "sctp"}, {**splits["all"][1], "accept": lambda _: False})
        splits = {desc: ({**fields, "EmptyFiles": True}, arguments) for desc, (fields, arguments) in splits.items()}
        self._compare(packets, splits)
        windows = (packets[-1].ts // NS - BASE) // 60 + 1
        for desc in splits:
            names = run.list_files(os.path.join(self.dir, "out", desc))
            verify(len(names) == windows, f"{desc}: {len(names)} files, expected {windows}")
        sizes = {os.path.getsize(os.path.join(self.dir, "out", "none", name)) for name in names}
        verify(sizes == {24}, f"sizes of empty files: {sizes}")

    @func_test
    def test_empty_files_and_an_odd_date(self) -> None:
        """EmptyFiles and a packet dated 2099: no 39 million files.

        **Steps:**
            * Push a capture with one packet dated 2099 in its middle, with EmptyFiles.

        **Verify:**
            * Every packet is there; at most two files more than without that packet.
        """
        ordinary = [udp(at(30 * i), number=i) for i in range(20)]
        packets = ordinary[:10] + [udp(YEAR_2099 * NS, number=99)] + ordinary[10:]
        store = self._store(packets)
        os.makedirs(os.path.join(self.dir, "out"))
        fields = {"FileName": "--filename-epoch-nsec", "EmptyFiles": True}
        config = lua.write_config(f"{self.dir}/c.lua", [lua.target("all", f"{self.dir}/out/x", **fields)])
        run.push_once(config, store)
        files = run.list_files(os.path.join(self.dir, "out"))
        got = pcap.read_packets(*(os.path.join(self.dir, "out", name) for name in files))
        verify(sorted(got) == sorted(packets), f"{len(got)} packets of {len(packets)}")
        verify(len(files) <= 12, f"{len(files)} files: {files[:20]}")

    # ------------------------------------------------------------ sizes

    @func_test
    def test_byte_split_around_one_record(self) -> None:
        """Files full to the byte.

        **Steps:**
            * Push records of one size R with --split-byte at 24 + nR - 1, + 0 and + 1 for n = 1, 2, 3, 7, and at 1 and R.
            * The same with records of sizes R and R + 1 in turn, filtered, and with Slice.

        **Verify:**
            * No file is larger than N unless one packet alone is; each holds as many packets as fit. Names and packets are the
              model's.
        """
        same = [udp(at(i) + i, 100, i) for i in range(40)]
        record = model.record_size(same[0])
        sizes = sorted({24 + n * record + d for n in (1, 2, 3, 7) for d in (-1, 0, 1)} | {1, record, 24})

        def splits(**arguments) -> dict:
            return {f"n{n}": ({"Split": f"--split-byte {n}"}, {"size": n, **arguments}) for n in sizes}

        self._compare(same, splits(), name="same")
        for desc, (_, arguments) in splits().items():
            for name in run.list_files(os.path.join(self.dir, "same", desc)):
                size = os.path.getsize(os.path.join(self.dir, "same", desc, name))
                verify(size <= max(arguments["size"], 24 + record), f"{desc}/{name}: {size} bytes")

        mixed = [(tcp, udp)[i % 3 == 0](at(i) + i, 100 + i % 2, i) for i in range(60)]
        targets = splits()
        for desc, (fields, arguments) in splits(accept=is_tcp).items():
            targets["tcp" + desc] = ({**fields, "FilterBPF": "tcp"}, arguments)
        for desc, (fields, arguments) in splits(slice_len=70).items():
            targets["slice" + desc] = ({**fields, "Slice": 70}, arguments)
        self._compare(mixed, targets, name="mixed")

    @func_test
    def test_both_splits(self) -> None:
        """--split-time and --split-byte together: whichever comes first, in parts.

        **Steps:**
            * Push a capture with late packets and a jump back to targets with both splits, at several sizes.

        **Verify:**
            * Names (_p001, _p002, from 1 in each window) and packets are the model's.
        """
        packets = [(tcp, udp)[i % 2](at(i * 3 + (-40 if i % 7 == 6 else 0)), 90 + i % 5, i) for i in range(150)]
        packets += [udp(at(i), 90, i) for i in range(10)]
        splits = {}
        for size in (24 + 106, 24 + 2 * 108, 500, 1000, 10**6):
            fields = {"Split": f"--split-time 60e9 --split-byte {size}"}
            splits[f"n{size}"] = (fields, {"time": 60 * NS, "size": size})
            fields = {**fields, "FilterBPF": "tcp"}
            splits[f"t{size}"] = (fields, {"time": 60 * NS, "size": size, "accept": is_tcp})
        self._compare(packets, splits)
        names = run.list_files(os.path.join(self.dir, "out", "n500"))
        verify(any("_p002" in name for name in names), f"no second part: {names[:5]}")
        verify(any("_p001_1" in name for name in names), f"no window twice: {names[:5]}")

    @func_test
    def test_spellings(self) -> None:
        """A number means the same in every spelling that Lua prints.

        **Steps:**
            * Push to targets with 60e9, 60000000000, 60000000000.0, 6e+10, `..(60e9)..` and 0x; and sizes likewise.

        **Verify:**
            * All have the model's files.
        """
        packets = [udp(at(11 * i), 100, i) for i in range(60)]
        splits = {}
        for i, text in enumerate(("60e9", "60000000000", "60000000000.0", "6e+10", "6E10", '".. 60e9 .."', '".. 60*10^9 .."')):
            splits[f"t{i}"] = ({"Split": lua.Raw(f'"--split-time {text}"')}, {"time": 60 * NS})
        for i, text in enumerate(("1e3", "1000", "1000.0", "1e+3", '".. 1e3 .."')):
            splits[f"b{i}"] = ({"Split": lua.Raw(f'"--split-byte {text}"')}, {"size": 1000})
        self._compare(packets, splits)

    # ------------------------------------------------------------ local time

    @func_test
    def test_local_days(self) -> None:
        """SplitAlign = "local" over changes of local time.

        **Steps:**
            * Push captures of five days around changes in New York, Havana (at midnight), Lord Howe (half an hour), Kolkata
              (none) with windows of a week, a day, 7 h, 1 h and 30 min.

        **Verify:**
            * Names and packets are the model's; a local day of 23 or 25 hours is one file.
        """
        changes = {
            "America/New_York": (1762063200, 1741503600),
            "America/Havana": (1762059600, 1741496400),
            "Australia/Lord_Howe": (1743865200, 1759591800),
            "Asia/Kolkata": (1762063200,),
        }
        for zone, instants in changes.items():
            for i, instant in enumerate(instants):
                begin = instant - 2 * 86400 - 4321
                times = [begin * NS + n * 601 * NS + n for n in range(5 * 144)]
                times += [(instant + d) * NS + e for d in (-3600, -1800, 0, 1800, 3600) for e in (-1, 0, 1)]
                packets = [(tcp, udp)[n % 2](ts, 60, n) for n, ts in enumerate(sorted(times))]
                splits = {}
                for length in (7 * 86400, 86400, 7 * 3600, 3600, 1800):
                    fields = {"Split": f"--split-time {length}e9", "SplitAlign": "local", "TimeZone": zone}
                    splits[f"l{length}"] = (fields, {"time": length * NS, "zone": zone})
                    fields = {**fields, "FilterBPF": "tcp"}
                    splits[f"t{length}"] = (fields, {"time": length * NS, "zone": zone, "accept": is_tcp})
                self._compare(packets, splits, name=f"{zone.replace('/', '-')}{i}")
                days = {f"{model.local(zone, packet.ts // NS):%Y-%m-%d}" for packet in packets}
                got = run.list_files(os.path.join(self.dir, f"{zone.replace('/', '-')}{i}", "l86400"))
                verify(len(got) == len(days), f"{zone}: {len(got)} files for {len(days)} local days")

    # ------------------------------------------------------------ chance

    @func_test
    def test_random_captures(self) -> None:
        """Captures of several chunks with jitter, late packets and jumps.

        **Steps:**
            * Make captures from seeds; push each to targets with random windows, sizes, filters, both splits and Slice, on one
              lcore and on five.

        **Verify:**
            * Names and packets are the model's.
        """
        for seed in range(4):
            rng = random.Random(seed)
            packets, now = [], BASE * NS
            for i in range(4000):
                now += rng.choice((0, 1, 1000, 10**6, 10**8, 10**9))
                if rng.random() < 0.001:
                    now += rng.choice((-1, 1)) * rng.choice((10, 100, 1000, 10**5)) * NS
                ts = now - (rng.randrange(30 * NS) if rng.random() < 0.02 else 0)
                packets.append((tcp, udp)[rng.random() < 0.3](ts, rng.choice((60, 61, 200, 1514, 1514)), i))
            splits = {}
            for i in range(12):
                fields, arguments, split = {}, {}, []
                if i % 3 != 1:
                    arguments["time"] = rng.choice((30 * NS, 60 * NS, 47 * NS + 1, 3600 * NS))
                    split.append(f"--split-time {arguments['time']}")
                if i % 3 != 0:
                    arguments["size"] = rng.choice((65_536, 100_001, 1_048_576, 3_000_000))
                    split.append(f"--split-byte {arguments['size']}")
                if rng.random() < 0.5:
                    fields["FilterBPF"] = "tcp"
                    arguments["accept"] = is_tcp
                if rng.random() < 0.2:
                    fields["Slice"] = arguments["slice_len"] = 128
                fields["Split"] = " ".join(split)
                splits[f"r{i}"] = (fields, arguments)
            the_map = ("all@0", "reader@0,filter@0,filter@0,writer@0,writer@0")[seed % 2]
            self._compare(packets, splits, "--map", the_map, name=f"seed{seed}")

    @func_test
    def test_several_captures(self) -> None:
        """Captures that follow one another in a store are one stream, even if time goes back between them.

        **Steps:**
            * Follow a store; import five captures into it: of the same time, an hour earlier, right behind that, the first time
              again, overlapping. Between two of them the push is stopped, with OnStop = "resume", and started again.
            * Splits by time, by time with EmptyFiles, and by bytes.

        **Verify:**
            * Names and packets are what the model makes of all captures as one.
        """
        captures = [
            [udp(at(start + i / 2), number=1000 * n + i) for i in range(150)]
            for n, start in enumerate((0, -3600, -3530, 0, 52))
        ]
        shapes = {
            "time": ({"Split": "--split-time 10e9"}, {"time": 10 * NS}),
            "empty": ({"Split": "--split-time 10e9", "EmptyFiles": True}, {"time": 10 * NS, "empty": True}),
            "bytes": ({"Split": "--split-byte 5000"}, {"size": 5000}),
        }
        out, store = f"{self.dir}/out", f"{self.dir}/store"
        targets = [
            lua.target(desc, f"{out}/{desc}/x", FileName="--filename-epoch-nsec", OnStop="resume", MinFree=0, **fields)
            for desc, (fields, _) in shapes.items()
        ]
        config = lua.write_config(f"{self.dir}/c.lua", targets, {"FollowStart": True})
        args = ("--state-dir", f"{self.dir}/state", "--log-dir", f"{self.dir}/log")
        for n, packets in enumerate(captures):
            pcap.write_pcap(f"{self.dir}/{n}.pcap", packets)
        run.import_capture(store, f"{self.dir}/0.pcap")
        for after in ((1, 2), (3, 4)):
            with run.push_start(config, store, *args) as push:
                push.wait_until(lambda: run.list_files(out) if os.path.isdir(out) else None, what="files")
                for number, n in enumerate(after, 1):
                    run.import_capture(store, f"{self.dir}/{n}.pcap")
                    push.wait_until(
                        lambda number=number: push.err.count("is complete; going on with") == number,
                        what="the next capture",
                    )
                push.stop(15)
        run.push_once(config, store, *args)
        for desc, (_, arguments) in shapes.items():
            files = model.split(sum(captures, []), **arguments)
            model.verify_files(f"{out}/{desc}", model.named(files, lambda file: model.name(file, "x", STAMP)))
