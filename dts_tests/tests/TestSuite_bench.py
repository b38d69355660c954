# SPDX-License-Identifier: BSD-3-Clause
"""The performance suite itself: its statistics, its record, its comparison, and that a wrong result fails it.

Nothing here judges speed: that is dts_tests/perf.
"""

from __future__ import annotations

import copy
import json
import math
import os
import re
import shutil
import subprocess
import zlib
from collections import Counter

import pytest
from api.test import verify
from bench import cli, compare, expect, inputs, machine, model, plots, report, stats, steal, watch
from bench.runner import Contender, Run, Runner
from framework import run, traffic
from framework.test_suite import TestSuite, func_test

QUICK = ["--quick", "--bytes", "1e8", "--scale-bytes", "5e7", "--only", "null_one"]


def near(got: float, want: float, share: float = 1e-3) -> bool:
    """Equal but for rounding."""
    return math.isclose(got, want, rel_tol=share, abs_tol=1e-12)


class Stolen:
    """Steal times, one after the other."""

    def __init__(self, *shares: float):
        self.shares = list(shares)

    def __call__(self) -> Stolen:
        return self

    def share(self) -> float:
        return self.shares.pop(0) if self.shares else 0.0


def bench(*words: str, sluice: str | None = None, rc: int = 0) -> run.Result:
    """devtools/bench with a binary."""
    environment = {"SLUICE": sluice or run.SLUICE}
    return run.run([run.REPO + "/devtools/bench", *words], rc=rc, timeout=120, env=environment)


class TestBench(TestSuite):
    """The performance suite under test."""

    def set_up_suite(self) -> None:
        """A real report of one small case."""
        self.out = self.suite_dir + "/report"
        self.result = bench(*QUICK, "--out", self.out)
        self.report = compare.load(self.out + "/report.json")

    def saved(self, name: str, found: dict) -> str:
        """Write a report; returns its path."""
        path = f"{self.dir}/{name}.json"
        report.write_json(found, path)
        return path

    # --- statistics

    @func_test
    def test_median_interval(self) -> None:
        """The interval of a median.

        **Steps:**
            * Intervals of 1 to 5, 7, 10 and 20 samples.

        **Verify:**
            * The samples are those of the tables of order statistics, and the coverage is right: less than 95 % is said.
        """
        for n, low, high, coverage in ((1, 1, 1, 0.0), (5, 1, 5, 0.9375), (7, 1, 7, 0.98438), (10, 2, 9, 0.97852),
                                       (20, 6, 15, 0.95861)):  # fmt: skip
            got = stats.median_interval([float(v) for v in range(n, 0, -1)])
            verify((got["low"], got["high"]) == (low, high), f"n={n}: {got}")
            verify(near(got["coverage"], coverage), f"n={n}: {got}")

    @func_test
    def test_ratio(self) -> None:
        """The interval of a ratio.

        **Steps:**
            * Bootstrap ratios of two constant and of two scattered samples, twice.

        **Verify:**
            * It is exact without scatter, holds the ratio of the medians with it, and is the same each time.
        """
        verify(stats.ratio([6.0] * 5, [2.0] * 5)["low"] == 3.0, "no scatter")
        a, b = [10.0, 11, 9, 10, 12, 8, 10], [5.0, 5.5, 4.5, 5, 6, 4, 5]
        once = stats.ratio(a, b)
        verify(once == stats.ratio(a, b), "not the same twice")
        verify(1 < once["low"] < once["value"] == 2 < once["high"] < 3, f"{once}")

    @func_test
    def test_least_squares(self) -> None:
        """The fit of the model.

        **Steps:**
            * Student's quantiles against a table. Fit times that were made from known coefficients, exact and with noise of
              1 %. Fit what cannot be told apart.

        **Verify:**
            * The coefficients come back, those of noisy times within their intervals; the other fit is refused.
        """
        for freedom, want in ((1, 12.706), (10, 2.2281), (30, 2.0423), (200, 1.9719)):
            verify(near(stats.student_t(0.95, freedom), want), f"t({freedom}) = {stats.student_t(0.95, freedom)}")
        truth = {"a": 0.01, "b": 1.2e-10, "c": 1.5e-8, "d": 4e-9, "e": 6e-11}
        for noise in (0.0, 0.01):
            observations = []
            for i, size in enumerate((60, 60, 250, 250, 1514, 1514, 500, 900, 1200)):
                for j, share in enumerate((0, 0.3, 1, 3)):
                    packets = (1 + i % 2) * 1e9 / (size + 16)
                    o = {"bytes": packets * (size + 16), "packets": packets, "matches": share * packets}
                    o["matched_bytes"] = o["matches"] * (size + 16)
                    exact = truth["a"] + sum(truth[t] * o[k] for t, k in model.MORE_TERMS.items() if k)
                    o["filter_seconds"] = truth["b"] * o["bytes"] + truth["c"] * packets
                    o["seconds"] = exact * (1 + noise * (-1) ** (i + j + i * j // 2))
                    observations.append(o)
            fitted = model.fit(observations)
            found = fitted["with_matched_bytes"]["terms"]
            stage = fitted["stages"]["filter"]["terms"]
            verify(near(stage["b"]["value"], truth["b"]) and near(stage["c"]["value"], truth["c"]), f"{stage}")
            verify(fitted["stages"]["writer"]["terms"] is None, "a stage that gave no account was fitted")
            for name, want in truth.items():
                term = found[name]
                right = term["low"] <= want <= term["high"] if noise else near(term["value"], want, 1e-5)
                verify(right, f"noise {noise}: {name} is {term}, was made from {want}")
        same = [{"seconds": 1.0 + i, "bytes": 1e9, "packets": 1e6, "matches": i, "matched_bytes": i} for i in range(9)]
        refused = model.fit(same)["with_matched_bytes"]
        verify(refused["terms"] is None and "told apart" in refused["reason"], f"{refused}")

    @func_test
    def test_slowest_second(self) -> None:
        """The slowest second of a trace.

        **Steps:**
            * Traces of 1 GB/s: steady; with half the rate between 3.25 and 4.25 s; with a start and an end that stand still; of
              one and a half seconds.

        **Verify:**
            * 1, 0.5 / mean at 3.25, 1, and none.
        """
        steady = [(i / 20, i / 20) for i in range(201)]
        verify(near(watch.slowest_second(steady)["ratio"], 1), "steady")
        dip = [(t, t if t < 3.25 else 3.25 + (t - 3.25) / 2 if t < 4.25 else t - 0.5) for t, _ in steady]
        got = watch.slowest_second(dip)
        verify(near(got["worst"], 0.5, 0.01) and near(got["at"], 3.25, 0.02), f"{got}")
        ends = [(t, min(max(t - 2, 0), 6)) for t, _ in steady]
        verify(near(watch.slowest_second(ends)["ratio"], 1, 0.02), f"{watch.slowest_second(ends)}")
        verify(watch.slowest_second([s for s in steady if s[0] <= 1.5]) is None, "too short")
        verify(watch.slowest_second([(0.0, 0), (1.0, 0)]) is None, "no progress")

    # --- running

    @func_test
    def test_interleaved(self) -> None:
        """Contenders run in turn, and disturbed runs are counted.

        **Steps:**
            * Two contenders, three runs; of the second one's runs one has 3 % steal time. Then a machine that always steals.

        **Verify:**
            * One warm-up each, no sample of it, both in each turn, not always in the same order.
            * The disturbed run is repeated, counted and not among the samples; without a valid run there is no figure, but a
              reason.
        """
        order: list[str] = []

        def contender(name: str) -> Contender:
            def once() -> Run:
                order.append(name)
                return Run(float(len(order)), 9.0)

            return Contender(name, once, "its number", bytes=1000)

        # warm-ups, then a, b (disturbed), b again, ...
        runner = Runner(3, lambda _: None, Stolen(0, 0, 0, 0.03))
        found = runner.measure([contender("a"), contender("b")])
        verify("".join(order) == "ab" + "abb" + "ba" + "ab", f"{order}")
        verify(found["a"]["seconds"]["samples"] == [3.0, 7.0, 8.0], f"{found['a']}")
        verify(found["b"]["seconds"]["samples"] == [5.0, 6.0, 9.0], f"{found['b']}")
        verify(found["b"]["discarded"] == [{"seconds": 4.0, "steal": 0.03}] and runner.discarded == 1, f"{found['b']}")
        thief = Runner(2, lambda _: None, Stolen(*[0.5] * 1000), repeats=3)
        lost = thief.measure([contender("c")])["c"]
        verify(lost["seconds"] is None and lost["reason"] and len(lost["discarded"]) == 8, f"{lost}")

    @func_test
    def test_steal(self) -> None:
        """Steal time from /proc/stat.

        **Steps:**
            * Read a /proc/stat twice, with 30 of 1,000 new ticks stolen and 500 of a guest, which user already holds.

        **Verify:**
            * The share is 3 %.
        """
        path = self.dir + "/stat"
        for text in ("cpu 100 0 0 100 0 0 0 10 50 0\ncpu0 1 1\n", "cpu 600 70 0 500 0 0 0 40 550 0\ncpu0 1 1\n"):
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
            if text.startswith("cpu 100"):
                seen = steal.Watch(path)
        verify(near(seen.share(), 0.03), f"{seen.share()}")

    # --- traffic

    @func_test
    @pytest.mark.parametrize("profile", ["realistic", "imix", "64", "1518", "777", "adversarial", "multicast"])
    def test_profiles(self, profile: str) -> None:
        """The traffic profiles are what their names say.

        **Steps:**
            * 20,000 packets, twice with one seed and once with another; read by tcpdump with checksums.

        **Verify:**
            * The same seed gives the same bytes, another one others. Sizes, groups, flows and their locality are the
              profile's; all but adversarial have right checksums.
        """
        path = self.dir + "/a.pcap"
        words = {"profile": profile, "packets": 20000, "duration": 10}
        packets = traffic.traffic(path, **words, seed=3)
        first = inputs.sha256(path)
        verify(inputs.sha256(traffic.make_traffic(self.dir + "/b.pcap", **words, seed=3)) == first, "not repeatable")
        verify(inputs.sha256(traffic.make_traffic(self.dir + "/b.pcap", **words, seed=4)) != first, "the seed is ignored")
        sizes = Counter(len(p.data) for p in packets)
        flows = Counter(p.data[12:14] + p.data[26:38] for p in packets)
        # both directions of a flow are one
        pairs = [frozenset((p.data[26:30], p.data[30:34])) for p in packets]
        runs = 1 + sum(a != b for a, b in zip(pairs, pairs[1:]))
        if profile.isdigit():
            verify(set(sizes) == {int(profile) - 4}, f"{sizes}")
        if profile == "imix":
            shares = [sizes[60] / 20000, sizes[590] / 20000, sizes[1514] / 20000]
            verify(all(abs(s - w / 12) < 0.02 for s, w in zip(shares, (7, 4, 1))), f"{sizes}")
        if profile == "adversarial":
            verify(max(flows.values()) <= 2 and len(sizes) > 1000, f"{flows.most_common(3)}, {len(sizes)} sizes")
        elif profile == "multicast":
            groups = {".".join(map(str, p.data[30:34])) for p in packets}
            verify(groups == {f"239.1.0.{1 + g}" for g in range(96)}, f"{sorted(groups)}")
        else:
            verify(1000 < len(flows) < 12000, f"{len(flows)} flows")
            verify(runs < 6000, f"{runs} runs of one flow in 20000 packets: no locality")
        said = run.run(["tcpdump", "-nnvv", "-r", path], timeout=60).out
        # A tunnel's port has random bytes behind it, whose "headers" are wrong: those lines are indented.
        wrong = [line for line in said.splitlines() if re.search(r"incorrect|bad (udp )?cksum|wrong icmp", line)]
        outer = [line for line in wrong if re.match(r"    \d+\.\d+\.\d+\.\d+|\d\d:\d\d:\d\d", line)]
        verify(bool(outer) == (profile == "adversarial"), f"wrong checksums: {outer[:3]}")

    @func_test
    def test_pcap_sum(self) -> None:
        """The oracle that is ours adds up what tcpdump writes.

        **Steps:**
            * pcap_sum over a multicast capture, whole and by group; over one that is cut off.

        **Verify:**
            * Packets, bytes and CRC-32 are those of Python's zlib over the records; each group's those of tcpdump; the cut one
              is refused.
        """
        item = inputs.Input("multicast", 0, groups=7)
        item.pcap = traffic.make_traffic(self.dir + "/m.pcap", profile="multicast", packets=5000, groups=7)
        with open(item.pcap, "rb") as file:
            blob = file.read()
        whole = inputs.tcpdump_sum(item.pcap, "")
        want = inputs.Sum(5000, len(blob) - 24, f"{zlib.crc32(blob[24:]):08x}")
        verify(whole == want, f"{whole}, expected {want}")
        item.packets = 5000
        store = inputs.Inputs(self.dir, self.dir, lambda _: None, 0)
        each = store.group_sums(item, sample=7)
        verify(sum(s.packets for s in each) == 5000 and len(each) == 7, f"{each}")
        done = subprocess.run([inputs.need_tool("pcap_sum")], input=blob[:-1], capture_output=True, check=False)
        verify(done.returncode == 1 and b"ends within a record" in done.stderr, f"{done}")

    # --- record, judgement, comparison

    @func_test
    def test_record(self) -> None:
        """The record of the machine.

        **Steps:**
            * The record of a real report, and a value of a file that is not there.

        **Verify:**
            * Every field that makes two machines comparable is there or null with a reason; CPUs are those that nproc says;
              the commit is git's; tools that are not installed are said to be.
        """
        record = self.report["machine"]
        for field in machine.IDENTITY:
            value = machine.lookup(record, field)
            verify(value is not None, f"{field} is not recorded")
            if isinstance(value, dict) and "value" in value:
                verify(value["value"] is None and bool(value["reason"]), f"{field}: {value}")
        verify(record["cpus_allowed"] == sorted(os.sched_getaffinity(0)), f"{record['cpus_allowed']}")
        commit = record["source"]["commit"]
        verify(commit == machine.output("git", "rev-parse", "HEAD", cwd=run.REPO), f"{commit}")
        verify(isinstance(commit, dict) or re.fullmatch("[0-9a-f]{40}", commit) is not None, f"{commit}")
        lost = machine.read(self.dir + "/none")
        verify(lost == {"value": None, "reason": f"{self.dir}/none: No such file or directory"}, f"{lost}")
        for tool, version in record["peers"].items():
            verify((shutil.which(tool) is not None) == isinstance(version, str), f"{tool}: {version}")

    @func_test
    def test_judgement(self) -> None:
        """Bars are judged as tests_config.yaml says.

        **Steps:**
            * Figures at, just within and beyond a bar with a tolerance of 5 %, both senses, and one that was not measured.

        **Verify:**
            * performance_delta and pass; not measured is null with the reason, which is not a pass. All bars of the file name
              a case that there is.
        """
        wanted = [
            {"metric": "c.x", "expected": 2.0, "sense": "at_least", "delta_tolerance": 0.05},
            {"metric": "c.x", "expected": 2.0, "sense": "at_most", "delta_tolerance": 0.05},
        ]
        for value, passes in ((2.0, [True, True]), (1.91, [True, True]), (1.89, [False, True]), (2.11, [True, False])):
            ratios = {"x": {"value": value, "low": value, "high": value}}
            got = expect.judge(wanted, {"c": {"ratios": ratios}})
            verify([row["pass"] for row in got] == passes, f"{value}: {got}")
            verify(near(got[0]["performance_delta"], (value - 2) / 2), f"{got}")
        lost = expect.judge(wanted[:1], {"c": {"ratios": {"x": {"value": None, "reason": "why"}}}})
        verify(lost[0]["pass"] is None and lost[0]["reason"] == "why", f"{lost}")
        for one in expect.load():
            verify(one["metric"].split(".")[0] in cli.ORDER, f"{one['metric']}: no such case")

    @func_test
    def test_compare_regression(self) -> None:
        """A planted regression is found, and only that.

        **Steps:**
            * Compare a real report with itself, and with copies in which all times of sluice are 3 % longer, 30 % longer, 30 %
              shorter, 30 % longer at the median but scattered, and in which tcpdump is 30 % slower.

        **Verify:**
            * Exit status 1 and "regression" for the second copy alone; "faster" and "drift" are named.
        """
        old = copy.deepcopy(self.report)
        contenders = old["cases"]["null_one"]["contenders"]
        for one in contenders.values():
            one["seconds"] = stats.summary([1.0, 1.01, 0.99, 1.0, 1.02, 1.0])
        path = self.saved("old", old)
        scattered = [0.9, 1.3, 1.3, 1.3, 1.3, 1.5]
        for who, samples, status, word in (
            ("sluice", [1.0] * 6, 0, "same"),
            ("sluice", [1.03] * 6, 0, "same"),
            ("sluice", [1.3] * 6, 1, "regression"),
            ("sluice", [0.7] * 6, 0, "faster"),
            ("sluice", scattered, 0, "same"),
            ("tcpdump -w /dev/null", [1.3] * 6, 0, "drift"),
        ):
            new = copy.deepcopy(old)
            new["cases"]["null_one"]["contenders"][who]["seconds"] = stats.summary(samples)
            said = bench("--compare", path, "--report", self.saved("new", new), rc=status).out
            line = next(line for line in said.splitlines() if line.split("null_one: ")[-1].startswith(who))
            verify(line.split()[0] == word, f"{who} {samples}: {said}")

    @func_test
    @pytest.mark.parametrize(
        ("where", "value"),
        [
            ("machine.cpu_model", "another"),
            ("machine.microcode", "0x1"),
            ("machine.disk.model", "another"),
            ("settings.bytes", 7),
            ("inputs.realistic-100MB-seed1.sha256", "0"),
            ("format", "none"),
        ],
    )
    def test_compare_refuses(self, where: str, value: object) -> None:
        """Reports of different machines or inputs are not compared.

        **Steps:**
            * Compare a report with a copy in which the machine, the sizes, an input's SHA-256 or the format differs.

        **Verify:**
            * Exit status 2, and the field is named.
        """
        old = copy.deepcopy(self.report)
        *path, last = where.split(".")
        place = old
        for name in path:
            place = place[name]
        place[last] = value
        said = bench("--compare", self.saved("old", old), "--report", self.out + "/report.json", rc=2).err
        verify((where if path else "not a report") in said, said)

    # --- the whole of it

    @func_test
    def test_report(self) -> None:
        """What one command leaves.

        **Steps:**
            * devtools/bench --quick with one case on a small input.

        **Verify:**
            * The JSON holds samples, median, interval, commands, steal and what was verified; the DTS JSON expected,
              delta_tolerance and performance_delta.
            * The page asks for nothing from outside, and holds the bars.
        """
        case = self.report["cases"]["null_one"]
        own = case["contenders"]["sluice"]
        verify(len(own["seconds"]["samples"]) == own["valid_runs"] == len(own["steal"]), f"{own}")
        verify(own["seconds"]["interval"]["low"] <= own["seconds"]["median"], f"{own}")
        verify(own["commands"][0][0] == run.SLUICE and "CRC-32" in own["verified"], f"{own}")
        item = self.report["inputs"][case["inputs"][0]]
        verify(re.fullmatch("[0-9a-f]{64}", item["sha256"]) is not None and item["seed"] == 1, f"{item}")
        with open(self.out + "/performance_metrics.json", encoding="utf-8") as file:
            rows = json.load(file)["results"]
        verify({"expected", "delta_tolerance", "performance_delta", "pass"} <= set(rows[0]), f"{rows}")
        with open(self.out + "/report.html", encoding="utf-8") as file:
            page = file.read()
        outside = re.findall(r'(?:src|href|url\()\s*=?\s*["\']?(?!#)[a-z]*:?//[^"\' >]*', page)
        verify(not outside and "<script" not in page, f"the page asks for {outside}")
        verify("tcpdump -w /dev/null" in page and "95 % interval" in page, "no bars in the page")

    @func_test
    def test_plots(self) -> None:
        """Plots hold measurements; what was calculated is a table that says so.

        **Steps:**
            * A report with a series of targets and an extrapolation, as a page; the same series without gnuplot.

        **Verify:**
            * One SVG with a point for each measurement; the extrapolation is outside of it, under a heading that says
              calculated.
            * Without gnuplot there is a page and the reason why it has no plot.
        """
        found = copy.deepcopy(self.report)
        point = {f"gigabytes{end}": 5.0 for end in ("", "_low", "_high")}
        case = copy.deepcopy(found["cases"]["null_one"])
        case["series"] = [{"targets": n, "kind": "unrelated <filters>", **point} for n in (1, 2, 256)]
        found["cases"]["targets"] = case
        stages = {
            name: {"terms": {term: {"value": 1e-9} for term in terms}} for name, (terms, _) in model.STAGES.items()
        }
        found["extrapolation"] = model.extrapolate({"stages": stages}, 2e9)
        page = report.page(found)
        svg = re.findall(r"<svg.*?</svg>", page, re.S)
        verify(len(svg) == 1 and "unrelated &lt;filters" in svg[0], f"{len(svg)} plots")
        verify("calculated, not measured" in page and not any("calculated" in one for one in svg), "extrapolation")
        verify({row["cores"] for row in found["extrapolation"]["rows"]} == {16, 32}, "cores")
        path = os.environ["PATH"]
        try:
            os.environ["PATH"] = self.dir
            drawn, why = plots.draw(found["cases"])
        finally:
            os.environ["PATH"] = path
        verify(not drawn and "gnuplot-nox" in why["targets"], f"{why}")

    @func_test
    def test_wrong_result_fails(self) -> None:
        """A push whose result is wrong fails the bench.

        **Steps:**
            * A sluice that says one packet less than it pushed, in every run; in timed runs alone; one that says another
              CRC-32.

        **Verify:**
            * Exit status 1, the target and what was expected are said, and there is no report.
        """
        build = os.path.dirname(os.path.dirname(run.SLUICE))
        for name, edit in (
            ("packets", r"'s/^\(t0 *[0-9]*\)[0-9] /\1x /; s/x / /'"),
            ("timed", r"'/crc-32/,$b; s/^\(t0 *\)[0-9]/\19/'"),
            ("crc", r"'s/^\(t0 .*\)[0-9a-f]\{4\}$/\10bad/'"),
        ):
            fake = f"{self.dir}/{name}"
            os.makedirs(fake + "/app")
            os.symlink(build + "/devtools", fake + "/devtools")
            with open(fake + "/app/sluice", "w", encoding="ascii") as file:
                file.write(f'#!/bin/bash\nset -o pipefail\n"{run.SLUICE}" "$@" | sed {edit}\n')
            os.chmod(fake + "/app/sluice", 0o755)
            said = bench(*QUICK, "--out", fake + "/report", sluice=fake + "/app/sluice", rc=1).err
            verify("target t0: got" in said and "expected" in said, f"{name}: {said}")
            verify(not os.path.exists(fake + "/report"), f"{name}: a report in spite of it")

    @func_test
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--only", "nonsense"], "nonsense"),
            (["--runs", "4"], "at least 5"),
            (["--bytes", "1e15", "--only", "null_one"], "are available"),
            (["--quick", "--tmpfs", "/"], "not on tmpfs"),
            (["--compare", "/dev/null"], "/dev/null"),
        ],
    )
    def test_refusals(self, words: list[str], said: str) -> None:
        """What cannot be run is refused before anything is measured.

        **Steps:**
            * A case that there is not, too few runs, more than memory holds, a tmpfs that is none, an old report that is none.

        **Verify:**
            * Exit status 2 and a line that says why.
        """
        result = bench(*words, "--out", self.dir + "/none", rc=2)
        verify(said in result.err, result.describe())
        verify(not os.path.exists(self.dir + "/none"), "a report in spite of it")
