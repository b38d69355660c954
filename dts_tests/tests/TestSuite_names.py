# SPDX-License-Identifier: BSD-3-Clause
"""File names: every mode in three time zones, against a model that uses Python's own time zones.

Names are how users find their packets: a wrong zone, a wrong digit or a file that overwrites another one is loss of data.
"""

import os

from api.test import verify
from framework import lua, model, run, traffic
from framework.pcap import NS, write_pcap
from framework.test_suite import TestSuite, func_test

ZONES = ("UTC", "America/New_York", "Asia/Kolkata")

# 2025-11-02 05:00 UTC, 01:00 EDT: at 06:00 UTC clocks in New York go back to 01:00.
BACK = 1762059600
# 2025-03-09 06:30 UTC, 01:30 EST: at 07:00 UTC clocks in New York go from 02:00 to 03:00.
FORWARD = 1741501800

STRFTIME = (
    "%Y-%m-%dT%H.%M.%S%z",
    "%a_%d_%b_%Y_%I%M%p_%Z",
    "%s_%j_%G-W%V-%u",
    "100%%_%y%m%d%H%M%S",
)


class TestNames(TestSuite):
    """Names of published files."""

    def set_up_suite(self) -> None:
        """A capture of 72 packets over both DST changes of a year, with all digits of a nanosecond in use."""
        times = []
        for begin in (FORWARD, BACK):
            times += [begin * NS + i * 300 * NS + i * 37_123_457 + 1 for i in range(36)]
        # Sub-seconds that a rounding through floating point would spoil.
        times[5] = (FORWARD + 1501) * NS + 999_999_999
        times[6] = (FORWARD + 1800) * NS
        times[7] = (FORWARD + 2100) * NS + 9
        self.packets = [traffic.simple_udp(ts, 60 + i, i) for i, ts in enumerate(times)]
        self.store = os.path.join(self.suite_dir, "store")
        run.import_capture(self.store, write_pcap(os.path.join(self.suite_dir, "in.pcap"), self.packets))

    def _push(self, targets: list, out: str = "out", **kwargs) -> run.Result:
        """Push to targets whose paths lie in a directory of the test case."""
        os.makedirs(os.path.join(self.dir, out), exist_ok=True)
        config = lua.write_config(os.path.join(self.dir, out + ".lua"), targets)
        return run.push_once(config, self.store, **kwargs)

    def _all_modes(self, split: str, files: list, time_zone: str | None, zone: str, **kwargs) -> None:
        """Push to one target for each mode, each in a directory of its own; compare with the model."""
        field = {"TimeZone": time_zone} if time_zone else {}
        stamps = {f"{i}-{option[11:]}": (option, stamp) for i, (option, stamp) in enumerate(model.STAMPS.items())}
        for i, text in enumerate(STRFTIME):
            stamps[f"s{i}"] = (f"--filename-strftime \\\"{text}\\\"", model.strftime_stamp(text))
        targets = [
            lua.target(
                desc, f"{self.dir}/out/{desc}/x", Split=split, FileName=lua.Raw(f'"{option}"'), EmptyFiles=False, **field
            )
            for desc, (option, _) in stamps.items()
        ]
        for desc in stamps:
            os.makedirs(os.path.join(self.dir, "out", desc))
        self._push(targets, **kwargs)
        for desc, (_, stamp) in stamps.items():
            expected = model.named(files, lambda file, stamp=stamp: model.name(file, "x", stamp, zone))
            model.verify_files(os.path.join(self.dir, "out", desc), expected)

    def _time_split(self, zone: str) -> None:
        self._all_modes("--split-time 600e9", model.split(self.packets, time=600 * NS), zone, zone)

    def _byte_split(self, zone: str) -> None:
        self._all_modes("--split-byte 300", model.split(self.packets, size=300), zone, zone)

    @func_test
    def test_time_split_utc(self) -> None:
        """Every mode, both spellings, 10-minute windows, UTC.

        **Steps:**
            * Push to a target for each --filename option and to four with --filename-strftime, TimeZone = "UTC".

        **Verify:**
            * The files of each target have the model's names and packets.
        """
        self._time_split("UTC")

    @func_test
    def test_time_split_new_york(self) -> None:
        """Every mode over both DST changes of New York.

        **Steps:**
            * As in UTC, with TimeZone = "America/New_York".

        **Verify:**
            * As in UTC; a local name that comes twice gets _1; offsets are those of each packet's own time.
        """
        self._time_split("America/New_York")
        files = run.list_files(os.path.join(self.dir, "out"))
        verify(any("20251102_013000_1.pcap" in name for name in files), "the repeated hour made no _1")
        verify(any("2025-11-02_01:30:00-04:00" in name for name in files), "no name with the offset before the change")
        verify(any("2025-11-02_01:30:00-05:00" in name for name in files), "no name with the offset after the change")

    @func_test
    def test_time_split_kolkata(self) -> None:
        """Every mode in a zone of half hours.

        **Steps:**
            * As in UTC, with TimeZone = "Asia/Kolkata".

        **Verify:**
            * As in UTC.
        """
        self._time_split("Asia/Kolkata")

    @func_test
    def test_byte_split_utc(self) -> None:
        """Every mode with files of at most 300 bytes, UTC.

        **Steps:**
            * As in test_time_split_utc, with --split-byte 300: names come from the first (and last) packet's time.

        **Verify:**
            * As in test_time_split_utc.
        """
        self._byte_split("UTC")

    @func_test
    def test_byte_split_new_york(self) -> None:
        """Every mode with files of at most 300 bytes over the DST changes of New York.

        **Steps:**
            * As in test_byte_split_utc, with TimeZone = "America/New_York".

        **Verify:**
            * As in test_byte_split_utc.
        """
        self._byte_split("America/New_York")

    @func_test
    def test_byte_split_kolkata(self) -> None:
        """Every mode with files of at most 300 bytes in a zone of half hours.

        **Steps:**
            * As in test_byte_split_utc, with TimeZone = "Asia/Kolkata".

        **Verify:**
            * As in test_byte_split_utc.
        """
        self._byte_split("Asia/Kolkata")

    @func_test
    def test_process_zone(self) -> None:
        """Without TimeZone the process's zone counts.

        **Steps:**
            * Push to every mode without TimeZone, with TZ=America/New_York in the environment.

        **Verify:**
            * Names are those of New York.
        """
        files = model.split(self.packets, time=600 * NS)
        self._all_modes("--split-time 600e9", files, None, "America/New_York", env={"TZ": "America/New_York"})

    @func_test
    def test_path_and_separator(self) -> None:
        """strftime in Path makes directories for each file; separators.

        **Steps:**
            * Push to Paths that end in a letter, `-`, `/` and `.`, with Separator "", "+" and none, with day directories,
              with `%%`, with another suffix.

        **Verify:**
            * Names and packets are the model's; directories follow each file's own time in the target's zone.
        """
        cases = {
            "plain": ("all", {}),
            "dash": ("all-", {}),
            "slash": ("sub/", {}),
            "dot": ("a.b.", {}),
            "none": ("all", {"Separator": ""}),
            "plus": ("all", {"Separator": "+"}),
            "plusdash": ("all-", {"Separator": "+"}),
            "days": ("%Y/%m-%d/%H/tcp", {}),
            "percent": ("%Y%%/x", {}),
            "suffix": ("all", {"FileSuffix": ".cap"}),
        }
        files = model.split(self.packets, time=600 * NS)
        stamp = model.STAMPS["--filename-tstr-HHMMSS_TZ"]
        for zone in ZONES:
            out = zone.replace("/", "-")
            targets = []
            for desc, (path, fields) in cases.items():
                targets.append(
                    lua.target(
                        desc,
                        f"{self.dir}/{out}/{desc}/{path}",
                        Split="--split-time 600e9",
                        FileName="--filename-tstr-HHMMSS_TZ",
                        TimeZone=zone,
                        **fields,
                    )
                )
                os.makedirs(os.path.join(self.dir, out, desc, "sub"))
            self._push(targets, out)
            for desc, (path, fields) in cases.items():

                def names(file: model.File) -> tuple:
                    return model.name(
                        file, path, stamp, zone, fields.get("FileSuffix", ".pcap"), fields.get("Separator")
                    )

                model.verify_files(os.path.join(self.dir, out, desc), model.named(files, names))

    @func_test
    def test_taken_names(self) -> None:
        """A finished file is never overwritten.

        **Steps:**
            * Push twice to the same target; a directory and a dangling link have two of its names.

        **Verify:**
            * All earlier files are as they were; the new ones have the next free numbers and the model's packets.
            * The summary says how many names were taken.
        """
        files = model.split(self.packets, time=600 * NS)
        target = lua.target("twice", f"{self.dir}/out/x", Split="--split-time 600e9", FileName="--filename-epoch-sec")
        out = os.path.join(self.dir, "out")

        def names(file: model.File) -> tuple:
            return model.name(file, "x", model.STAMPS["--filename-epoch-sec"])

        first, second = ("".join(names(file)) for file in files[:2])
        os.makedirs(os.path.join(out, first))
        os.symlink("/nonexistent/target", os.path.join(out, second))
        expected = model.named(files, names, taken=(first, second))
        self._push([target])
        os.unlink(os.path.join(out, second))
        model.verify_files(out, expected)
        os.symlink("/nonexistent/target", os.path.join(out, second))

        more = model.named(files, names, taken=(first, second, *expected))
        result = self._push([target])
        text = result.out + result.err
        os.unlink(os.path.join(out, second))
        model.verify_files(out, {**expected, **more})
        verify(f"{len(files)} files already existed" in text, f"no word about taken names\n{result.describe()}")

    @func_test
    def test_check_shows_the_same_names(self) -> None:
        """`sluice check` and `sluice push` name alike.

        **Steps:**
            * Run `sluice check` on a configuration with every mode.

        **Verify:**
            * For each target three names are shown, in its directory, with its suffix, made for its own zone now.
        """
        targets = [
            lua.target(f"m{i}", f"{self.dir}/out/m{i}/x", FileName=option, TimeZone="Asia/Kolkata")
            for i, option in enumerate(model.STAMPS)
        ]
        config = lua.write_config(os.path.join(self.dir, "c.lua"), targets)
        result = run.sluice("check", config)
        for i in range(len(targets)):
            shown = {
                word.strip("\"',")
                for word in result.out.replace("\n", " ").split()
                if f"/out/m{i}/x_" in word and word.strip("\"',").endswith(".pcap")
            }
            verify(len(shown) == 3, f"m{i}: {len(shown)} names shown: {sorted(shown)}\n{result.describe()}")
