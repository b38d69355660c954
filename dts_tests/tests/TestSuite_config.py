# SPDX-License-Identifier: BSD-3-Clause
"""push_realtime.lua: what is accepted, what is refused and in which words, and what `sluice check` shows.

The examples of docs/configuration.rst are run here, so that the page can't say what the program does not.
"""

import os
import re
import shutil
import struct
import time

from api.test import verify
from framework import lua, run
from framework.test_suite import TestSuite, func_test

DOC = os.path.join(run.REPO, "docs", "configuration.rst")
EXAMPLES = os.path.join(run.REPO, "config", "examples")

# The configuration of "Automatic Push PCAP", byte for byte, blanks at line ends included.
REFERENCE = (
    "local Config = {}\n"
    "\n"
    "Config.Target = {}\n"
    "\n"
    "-- push all pcap data to /mnt/remote0/push/all_*.pcap\n"
    "table.insert(Config.Target, \n"
    "{\n"
    '    Desc      = "pcap-all",\n'
    '    Mode      = "File",\n'
    '    Path      = "/mnt/remote0/push/all",\n'
    '    Split     = "--split-time 60e9",\n'
    '    FileName  = "--filename-epoch-sec-startend",\n'
    "    FilterBPF = nil \n"
    "})\n"
    "\n"
    "-- push all tcp data to /mnt/remote0/push/tcp_*.pcap\n"
    "table.insert(Config.Target, \n"
    "{\n"
    '    Desc      = "pcap-tcp", \n'
    '    Mode      = "File", \n'
    '    Path      = "/mnt/remote0/push/tcp",   \n'
    '    Split     = "--split-time 60e9", \n'
    '    FileName  = "--filename-epoch-sec-startend", \n'
    '    FilterBPF = "tcp" \n'
    "})\n"
    "\n"
    "return Config\n"
)

# Ethernet, IPv4, TCP, padded to 60 bytes.
TCP_PACKET = (bytes(12) + bytes.fromhex("0800" "4500002800000000400600000102030405060708" "00140050") + bytes(4)).ljust(60, b"\0")

AT = "2021-12-01T23:50:59.123456789Z"  # 1638402659.123456789


def doc_examples() -> list[tuple[int, str, list[str]]]:
    """Line, Lua fields and expected text of each Lua block of the page that a text block follows."""
    with open(DOC, encoding="utf-8") as file:
        lines = file.read().split("\n")
    blocks = []
    at = 0
    while at < len(lines):
        match = re.match(r"\.\. code-block:: (\w+)$", lines[at])
        start = at
        at += 1
        if not match:
            continue
        body = []
        while at < len(lines) and (not lines[at] or lines[at].startswith("   ")):
            body.append(lines[at][3:])
            at += 1
        text = "\n".join(body).strip("\n")
        blocks.append((start, match.group(1), text, at))
    found = []
    for (line, kind, text, end), (next_line, next_kind, next_text, _) in zip(blocks, blocks[1:]):
        if kind == "lua" and next_kind == "text" and next_line == end:
            found.append((line + 1, text, next_text.split("\n")))
    return found


def doc_config(fields: str) -> str:
    """The fields of an example within a file, with those that the page says are left out."""
    left_out = {
        "Desc": '"pcap-all"',
        "Path": '"/mnt/remote0/push/all"',
        "Split": '"--split-time 60e9"',
    }
    have = set(re.findall(r"^(\w+)\s*=", fields, re.M))
    body = "".join(f"{name} = {value},\n" for name, value in left_out.items() if name not in have)
    return (
        "local Config = {}\nConfig.Target = {}\ntable.insert(Config.Target,\n{\n"
        + body
        + fields.rstrip().rstrip(",")
        + "\n})\nreturn Config\n"
    )


def next_files(out: str) -> dict[str, list[str]]:
    """The file names that check shows, by target."""
    names: dict[str, list[str]] = {}
    listing = False
    for line in out.splitlines():
        target = re.match(r'target "(.*)" \(line \d+\)$', line)
        if target:
            names[target.group(1)] = current = []
        elif line.startswith(("  next files  ", "  such as     ")):
            listing = True
            current.append(line[14:])
        elif listing and line.startswith(" " * 14):
            current.append(line[14:])
            continue
        listing = line.startswith(("  next files  ", "  such as     "))
    return names


def pcap_file(path: str, link_type: int, packet: bytes) -> str:
    """A capture of one packet."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, link_type))
        file.write(struct.pack("<IIII", 1638402659, 0, len(packet), len(packet)) + packet)
    return path


class TestConfig(TestSuite):
    """sluice check, and by it the reader of configurations."""

    def check(self, text: str, *args: str, rc: int | None = 0, name: str = "push.lua", **env: str) -> run.Result:
        """Run check on a file with this text; messages then begin with its bare name."""
        with open(os.path.join(self.dir, name), "w", encoding="utf-8") as file:
            file.write(text)
        return run.run([run.SLUICE, "check", name, *args], rc=rc, cwd=self.dir, timeout=60, env={"TZ": "UTC", **env})

    def check_target(self, rc: int | None = 0, **fields) -> run.Result:
        """Run check on one target; fields are added to a complete one."""
        target = {
            "Desc": "t",
            "Mode": "File",
            "Path": self.dir + "/out/x",
            "Split": "--split-time 60e9",
            "FileName": "--filename-epoch-sec",
            "FilterBPF": None,
            **fields,
        }
        return self.check(lua.config_text([target]), rc=rc)

    @func_test
    def test_reference_verbatim(self) -> None:
        """The reference's configuration is shipped as it is, and means what its page says.

        **Steps:**
            * Compare config/push_realtime.lua, without its licence line, with the reference's text.
            * Check it.

        **Verify:**
            * The bytes are the same.
            * Two targets: all packets and tcp, files of a minute, names with start and end, prefix all_ and tcp_.
        """
        path = os.path.join(run.REPO, "config", "push_realtime.lua")
        with open(path, encoding="utf-8", newline="") as file:
            licence, text = file.read().split("\n", 1)
        verify(licence == "-- SPDX-License-Identifier: BSD-3-Clause", f"first line: {licence}")
        verify(text == REFERENCE, "config/push_realtime.lua differs from the reference")
        result = run.run([run.SLUICE, "check", path, "--at", AT])
        names = next_files(result.out)
        verify(list(names) == ["pcap-all", "pcap-tcp"], result.describe())
        for prefix, target in (("all", "pcap-all"), ("tcp", "pcap-tcp")):
            want = [f"/mnt/remote0/push/{prefix}_{s}-{s + 60}.pcap" for s in (1638402600, 1638402660, 1638402720)]
            verify(names[target] == want, f"{target}: {names[target]}")
        verify(re.findall(r"^  filter      (.*)$", result.out, re.M) == ["none: all packets", "tcp"], result.out)

    @func_test
    def test_documented_examples(self) -> None:
        """Each example of docs/configuration.rst gives what the page says.

        **Steps:**
            * Take each Lua block that a text block follows, complete it as the page says, and check it.

        **Verify:**
            * File names: the first ones that check shows are those of the page.
            * Messages: check prints exactly those of the page.
        """
        examples = doc_examples()
        verify(len(examples) >= 40, f"only {len(examples)} examples found in {DOC}")
        wrong = []
        for line, fields, expected in examples:
            messages = expected[0].startswith("push_realtime.lua:")
            result = self.check(doc_config(fields), "--at", AT, name="push_realtime.lua", rc=None)
            if messages:
                got = [
                    text
                    for text in result.err.splitlines()
                    if not text.startswith("sluice check:") and "lies on the root file system" not in text
                ]
                fine = got == expected and result.rc == (2 if ": error: " in result.err else 0)
            else:
                got = next_files(result.out)
                got = list(got.values())[0][: len(expected)] if got else []
                fine = got == expected and result.rc == 0
            if not fine:
                wrong.append(f"configuration.rst:{line}: expected {expected}\n{result.describe()}")
        verify(not wrong, "\n".join(wrong))

    @func_test
    def test_documented_names(self) -> None:
        """Push makes the files that docs/configuration.rst names.

        **Steps:**
            * A store with a packet at the page's time, and later ones in the windows that its examples name.
            * Push each example that shows names, with /mnt/remote0 replaced by a directory of the test's.

        **Verify:**
            * The names of the page are there (but for second parts: the packets fill none).
        """
        remote = os.path.join(self.dir, "remote0")
        with open(self.dir + "/doc.pcap", "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
            for later in (0, 60, 120, 600, 3600, 7200, 86400):
                file.write(struct.pack("<IIII", 1638402659 + later, 123456789, 60, 60) + TCP_PACKET)
        run.import_capture(self.dir + "/store", self.dir + "/doc.pcap")
        wrong = []
        tried = 0
        for line, fields, expected in doc_examples():
            # A mount point of its own is not to be had everywhere.
            if expected[0].startswith("push_realtime.lua:") or "Mount " in fields:
                continue
            tried += 1
            shutil.rmtree(remote, ignore_errors=True)
            with open(self.dir + "/push_realtime.lua", "w", encoding="utf-8") as file:
                file.write(doc_config(fields).replace("/mnt/remote0", remote))
            command = [run.SLUICE, "push", "--config", self.dir + "/push_realtime.lua", "--store", self.dir + "/store"]
            command += ["--once", "--log-dir", self.dir]
            result = run.run(command, rc=None, env={"TZ": "UTC"})
            made = [os.path.join(where, name) for where, _, names in os.walk(remote) for name in names]
            want = [name.replace("/mnt/remote0", remote) for name in expected if "_p002" not in name]
            if result.rc != 0 or not set(want) <= set(made):
                wrong.append(f"configuration.rst:{line}: expected {want}, made {sorted(made)}\n{result.describe()}")
        verify(tried >= 30, f"only {tried} examples found in {DOC}")
        verify(not wrong, "\n".join(wrong))

    @func_test
    def test_every_field_documented(self) -> None:
        """The page names every field and option that the program knows.

        **Steps:**
            * Take all words of the program's tables of fields and options from its source.

        **Verify:**
            * Each is in docs/configuration.rst (the options --filename-timestr-... by their rule).
        """
        with open(DOC, encoding="utf-8") as file:
            page = file.read()
        words = []
        for name, pattern in (("fields.c", r'^\t\{"(\w+)", IN_'), ("option.c", r'^\t\{"(--?[\w-]+)", OPT_')):
            with open(os.path.join(run.REPO, "lib", "config", name), encoding="utf-8") as file:
                found = re.findall(pattern, file.read(), re.M)
            verify(len(found) > 20, f"{name}: {found}")
            words += found
        missing = [word for word in words if word not in page and "--filename-timestr-" not in word]
        verify(not missing, f"not in {DOC}: {missing}")

    @func_test
    def test_example_files(self) -> None:
        """The files of config/examples are valid.

        **Steps:**
            * Check each of config/examples.

        **Verify:**
            * Exit status 0 and no warning.
            * multicast-96.lua has 96 targets of different names, and the day directories roll.
        """
        files = sorted(name for name in os.listdir(EXAMPLES) if name.endswith(".lua"))
        verify(len(files) >= 5, f"{files}")
        for name in files:
            result = run.run([run.SLUICE, "check", os.path.join(EXAMPLES, name), "--at", AT], env={"TZ": "UTC"})
            verify(result.err == "", result.describe())
            names = next_files(result.out)
            flat = [path for paths in names.values() for path in paths]
            verify(len(set(flat)) == len(flat) == 3 * len(names), result.describe())
            if name == "multicast-96.lua":
                verify(len(names) == 96, f"{len(names)} targets")
            if name == "day-directories.lua":
                days = [os.path.basename(os.path.dirname(path)) for path in names["hourly"]]
                verify(days == ["2021-12-01", "2021-12-02", "2021-12-02"], f"{days}")

    @func_test
    def test_messages(self) -> None:
        """A mistake is reported with file, line, target, field, what is wrong and the nearest valid word.

        **Steps:**
            * Check one target with one mistake after the other.

        **Verify:**
            * Exit status 2, and one line "push.lua:LINE: error: target "t": FIELD: ..." with the expected words.
        """
        cases = [
            ("Mode", "Fil", 'did you mean "File"?'),
            ("Mode", "rclone", "is not available in this version"),
            ("Path", "data/x", "is not absolute"),
            ("Path", "/data/%Q/x", "unknown conversion %Q"),
            ("Split", "--split-tme 60e9", 'did you mean "--split-time"?'),
            ("Split", "--split-time 0.5", "is not a whole number"),
            ("Split", "--split-time sixty", "is not a number"),
            ("Split", 60e9, "must be a string, not the number"),
            ("Split", None, "is missing"),
            ("FileName", "--filename-epoch-seconds", "--filename-epoch-sec"),
            ("FileName", "--filename-strftime %Y/%m", "put directories into Path"),
            ("FilterBPF", "tcpp", 'did you mean "tcp" instead of "tcpp"?'),
            ("FilterBPF", "host 1.2.3.4 and (", "syntax error"),
            ("FilterBPF", True, "must be a string, not true"),
            ("FileSuffix", "/x", "contains '/'"),
            ("SplitCmd", "-Z fmadio", 'the user "fmadio" does not exist'),
            ("FollowStart", "yes", "must be true or false"),
            ("Slice", -1, "is negative"),
            ("TimeZone", "Europe/Berln", 'did you mean "Europe/Berlin"?'),
            ("SplitAlign", "lokal", 'did you mean "local"?'),
            ("Separator", "/", "end Path with '/'"),
            ("EmptyFiles", 1, "must be true or false"),
            ("OnStop", "resum", 'did you mean "resume"?'),
            ("MinFree", "5 apples", "unknown unit"),
            ("Mount", "mnt", "is not absolute"),
            ("FiterBPF", "tcp", "did you mean FilterBPF?"),
            ("Bandwidth", 5, "unknown field"),
            ("PipeCmd", "gzip -c", "is not available in this version"),
            ("Decap", True, "is not available in this version"),
            ("Decap", "no", "must be true or false"),
        ]
        if run.run(["getent", "passwd", "fmadio"], rc=None).rc == 0:
            cases = [case for case in cases if case[1] != "-Z fmadio"]
        for field, value, words in cases:
            result = self.check_target(rc=2, **{field: value})
            with open(os.path.join(self.dir, "push.lua"), encoding="utf-8") as file:
                lines = file.read().split("\n")
            line = next(i for i, text in enumerate(lines, 1) if re.match(rf"    {field}\b", text))
            errors = [text for text in result.err.splitlines() if ": error: " in text]
            verify(len(errors) == 1, f"{field} = {value}: one error expected\n{result.describe()}")
            start = f'push.lua:{line}: error: target "t": {field}: '
            verify(errors[0].startswith(start) and words in errors[0], f"expected {start}...{words}\n{result.describe()}")
            verify(result.out == "", f"nothing is shown of a refused file\n{result.describe()}")

    @func_test
    def test_all_errors_at_once(self) -> None:
        """All mistakes of a file are reported in one run, in the order of its lines.

        **Steps:**
            * Check a file of three targets with nine mistakes, a bad filter and a Lua error behind them included.

        **Verify:**
            * Each mistake has its line; exit status 2; the last line counts them.
        """
        text = (
            "local Config = { Target = {} }\n"
            "Config.FolowStart = true\n"
            'table.insert(Config.Target, { Desc = "a", Path = "x", Split = "--split-time 1m",\n'
            '  FileName = "--filename-epoch",\n'
            '  FilterBPF = "prt 53" })\n'
            'table.insert(Config.Target, { Desc = "a", Path = "/b", Split = "--split-byte much",\n'
            '  Slize = 5, FilterBPF = udp, FileName = "--filename-epoch-sec" })\n'
            'table.insert(Config.Target, { Path = "/c", Split = "--split-byte 5G", FileName = "--filename-epoch-sec" })\n'
        )
        result = self.check(text + "return Config\n", rc=2)
        expected = [
            (2, "FolowStart: unknown field; did you mean FollowStart?"),
            (3, 'target "a": Path: "x" is not absolute'),
            (4, 'target "a": FileName: unknown option "--filename-epoch"'),
            (5, 'target "a": FilterBPF: '),
            (6, 'target "a": Split: the value "much"'),
            (6, "the target of line 3 has this Desc too"),
            (7, 'target "a": Slize: unknown field; did you mean Slice?'),
            (7, "nothing was assigned to the name udp"),
            (8, 'target "#3": Desc: is missing'),
        ]
        lines = [int(line) for line in re.findall(r"^push\.lua:(\d+): error: ", result.err, re.M)]
        verify(lines == sorted(lines), f"not in order\n{result.describe()}")
        for line, words in expected:
            verify(
                any(text.startswith(f"push.lua:{line}: error: ") and words in text for text in result.err.splitlines()),
                f"line {line}: {words}\n{result.describe()}",
            )
        verify(len(lines) == len(expected), f"{len(lines)} errors, {len(expected)} expected\n{result.describe()}")
        verify("sluice check: 9 errors in push.lua; nothing was touched" in result.err, result.describe())
        # A Lua error further down hides none of the mistakes above it, but ends the top level unread.
        result = self.check(text + "Config.Targt.x = 5\nreturn Config\n", rc=2)
        verify(re.search(r"^push\.lua:9: error: attempt to index a nil value", result.err, re.M), result.describe())
        verify('target "a": Path: "x" is not absolute' in result.err, result.describe())

    @func_test
    def test_nothing_touched(self) -> None:
        """Neither a good nor a bad configuration leaves a trace.

        **Steps:**
            * Check a good and a bad file whose Paths, store and logs would lie in an empty directory.

        **Verify:**
            * The directory holds the two configurations and nothing else, with the times that they had.
        """
        for name, path, rc in (("good.lua", self.dir + "/out/x", 0), ("bad.lua", "out/x", 2)):
            text = lua.config_text([lua.target("t", path)])
            self.check(text, "-v", name=name, rc=rc)
            before = os.stat(self.dir).st_mtime_ns
            self.check(text, "-v", name=name, rc=rc)
            verify(os.stat(self.dir).st_mtime_ns == before, f"{name}: the directory changed")
        verify(sorted(os.listdir(self.dir)) == ["bad.lua", "good.lua"], f"{os.listdir(self.dir)}")

    @func_test
    def test_collisions(self) -> None:
        """Targets that would write the same names, or whose Desc become equal, are refused with the fix.

        **Steps:**
            * Check pairs of targets with equal Desc, with Desc that become equal, with equal names by several ways.
            * Check pairs that differ in one part of the name only.

        **Verify:**
            * The first are refused at the second target's line, and the message names the first and the fix.
            * The others are accepted.
        """
        base = {"Split": "--split-time 60e9", "FileName": "--filename-tstr-HHMMSS"}
        equal = [
            ({"Desc": "x", "Path": "/d/a"}, {"Desc": "x", "Path": "/d/b"}, "give each target a Desc of its own"),
            ({"Desc": "x y", "Path": "/d/a"}, {"Desc": "x/y", "Path": "/d/b"}, 'becomes "x_y" in file names'),
            ({"Desc": "x", "Path": "/d/a"}, {"Desc": "y", "Path": "/d/a"}, "another Path, FileName or FileSuffix"),
            ({"Desc": "x", "Path": "/d/a"}, {"Desc": "y", "Path": "/d//a_"}, "another Path"),
            (
                {"Desc": "x", "Path": "/d/%Y%m%d"},
                {"Desc": "y", "Path": "/d/", "FileName": "--filename-strftime %Y%m%d_%Y%m%d_%H%M%S"},
                "another Path",
            ),
        ]
        for first, second, words in equal:
            result = self.check(lua.config_text([{**base, **first}, {**base, **second}]), rc=2)
            errors = [text for text in result.err.splitlines() if ": error: " in text]
            verify(len(errors) == 1 and words in errors[0], f"{words}\n{result.describe()}")
            verify("line 5" in errors[0], f"the first target is not named\n{result.describe()}")
        for change in ({"Path": "/d/c"}, {"FileSuffix": ".cap"}, {"FileName": "--filename-epoch-sec"}, {"Separator": "-"}):
            self.check(lua.config_text([{**base, "Desc": "x", "Path": "/d/a"}, {**base, "Desc": "y", "Path": "/d/a", **change}]))

    @func_test
    def test_warnings(self) -> None:
        """What is allowed but will surprise is said, and the file is accepted.

        **Steps:**
            * Check targets with one surprise each, then one without any.

        **Verify:**
            * Exit status 0 and a warning with the expected words; none for the last.
        """
        os.makedirs(self.dir + "/existing")
        cases = [
            ({"Split": "--split-time 10s", "FileName": "--filename-tstr-HHMM"}, "names tell the minute"),
            ({"Split": "--split-time 10ms"}, "names tell the second"),
            ({"Split": "--split-byte 100M"}, "at 10 Gb/s"),
            ({"FileName": "--filename-strftime %H%M%S"}, "comes again every day"),
            ({"FileName": "--filename-tstr-HHMM", "TimeZone": "Europe/Berlin"}, "repeats an hour"),
            ({"Path": self.dir + "/existing"}, "is a directory, but files will be made beside it"),
            ({"Path": lua.Raw(f'os.date("{self.dir}/%Y%m%d/all-")')}, f'write Path = "{self.dir}/%Y%m%d/all-"'),
            ({"CPU": 3, "Chunked": True}, "without a meaning in sluice: CPU, Chunked"),
            ({"Split": "--split-time 60"}, "for seconds write 60s"),
            ({"FileSuffix": ".pcap.gz"}, "looks compressed"),
        ]
        for fields, words in cases:
            result = self.check_target(**fields)
            verify(": warning: " in result.err and words in result.err, f"{fields}: {words}\n{result.describe()}")
            verify(" warning" in result.out.split("\n")[0], f"not counted\n{result.describe()}")
        local = lua.config_text([lua.target("t", self.dir + "/x", FileName="--filename-tstr-HHMM")])
        result = self.check(local, TZ="America/New_York")
        verify("repeats an hour" in result.err, f"daylight saving time of the local zone\n{result.describe()}")
        quiet = self.check_target(Path=self.dir + "/%Y%m%d/all", TimeZone="UTC", FileName="--filename-tstr-HHMM")
        verify(quiet.err == "", quiet.describe())

    @func_test
    def test_root_file_system(self) -> None:
        """A Path under /mnt or /media that would fill the root disk gets a warning.

        **Steps:**
            * Check a Path in a directory of /mnt that nothing is mounted on, then the same with Mount.

        **Verify:**
            * The warning, if /mnt lies on the root file system; with Mount none, and check says that it is not mounted.
        """
        path = "/mnt/sluice-test-no-such-mount/push/all"
        on_root = not any(
            line.split()[1] == "/mnt" for line in open("/proc/self/mounts", encoding="utf-8") if len(line.split()) > 1
        )
        result = self.check_target(Path=path)
        verify(("lies on the root file system" in result.err) == on_root, result.describe())
        result = self.check_target(Path=path, Mount="/mnt/sluice-test-no-such-mount")
        verify(result.err == "" and "NOT MOUNTED" in result.out, result.describe())
        result = self.check_target(Path=path, Mount="")
        verify("NOT MOUNTED" not in result.out, result.describe())

    def push(self, rc: int, *args: str, **fields) -> run.Result:
        """Push a capture of one packet to one target with these fields."""
        store = self.dir + "/store"
        if not os.path.isdir(store):
            packet = bytes.fromhex("45000014000000004011000001020304" "05060708")
            run.run([run.SLUICE, "import", "-q", "--store", store, pcap_file(self.dir + "/raw.pcap", 101, packet)])
        path = lua.write_config(self.dir + "/push.lua", [{**lua.target("t", self.dir + "/out/x"), **fields}])
        return run.run(
            [run.SLUICE, "push", "--config", path, "--store", store, "--once", "--no-huge", *args], rc=rc, timeout=60
        )

    @func_test
    def test_push_says_the_same(self) -> None:
        """What check says of the places of files, push says too.

        **Steps:**
            * Push to a Path that is a directory, to one without surprises, and with the null sink to the first.
            * Push to a Path of /mnt that nothing is mounted on, with a filter that is refused.

        **Verify:**
            * The warning of check, word for word, and the file beside the directory; no warning for the others.
        """
        os.makedirs(self.dir + "/existing")
        result = self.push(0, Path=self.dir + "/existing")
        checked = run.run([run.SLUICE, "check", self.dir + "/push.lua"])
        warning = re.search(r"^.*: warning: .*is a directory, but files will be made beside it", result.err, re.M)
        verify(warning, result.describe())
        # The example's name is that of the present window, which may end between the two.
        verify(warning.group(0) in checked.err, f"{result.err}\n{checked.describe()}")
        verify(os.path.exists(self.dir + "/existing_1638402600-1638402660.pcap"), f"{os.listdir(self.dir)}")
        verify(": warning: " not in self.push(0).err, "a warning about nothing")
        result = self.push(0, "--sink", "null", Path=self.dir + "/existing")
        verify(": warning: " not in result.err, f"the null sink makes no file\n{result.describe()}")
        on_root = not any(
            line.split()[1] == "/mnt" for line in open("/proc/self/mounts", encoding="utf-8") if len(line.split()) > 1
        )
        # The filter is refused, so that nothing is written there.
        result = self.push(2, Path="/mnt/sluice-test-no-such-mount/push/all", FilterBPF="tpc")
        verify("FilterBPF" in result.err, result.describe())
        verify(("lies on the root file system" in result.err) == on_root, result.describe())
        verify(result.err.count(": error: ") == 1, result.describe())

    @func_test
    def test_names_too_long(self) -> None:
        """Names that no file system takes are refused before anything is made.

        **Steps:**
            * Check and push a Path whose last part leaves no room for a stamp, a Path of more bytes than a path may have,
              a Desc too long for the working file, each with a filter that is wrong too; then a Path just short enough.

        **Verify:**
            * Exit status 2, errors for Path and for FilterBPF at their lines, nothing made; the last one is pushed.
        """
        cases = (
            {"Path": self.dir + "/out/" + "p" * 240},
            {"Path": self.dir + "/out" + "/d" * 2040 + "/x"},
            {"Desc": "d" * 150, "Path": self.dir + "/out/" + "p" * 100},
        )
        for fields in cases:
            result = self.push(2, FilterBPF="tpc", **fields)
            checked = run.run([run.SLUICE, "check", self.dir + "/push.lua", "--store", self.dir + "/store"], rc=2)
            for text in (result.err, checked.err):
                verify(re.search(r'push\.lua:\d+: error: target ".*": Path: .*too long', text), f"{text}")
                verify(re.search(r'push\.lua:\d+: error: target ".*": FilterBPF: ', text), f"{text}")
            verify(not os.path.exists(self.dir + "/out"), f"{fields}: something was made")
        result = self.push(0, Path=self.dir + "/out/" + "p" * 210)
        names = os.listdir(self.dir + "/out")
        verify(names == ["p" * 210 + "_1638402600-1638402660.pcap"], f"{names}\n{result.describe()}")

    @func_test
    def test_sandbox(self) -> None:
        """A configuration can compute, and nothing else.

        **Steps:**
            * Check files that open files, run programs, never end, take all memory, or recurse without end.
            * Check one that uses what is allowed.

        **Verify:**
            * Each is refused within 20 seconds with its file and line, exit status 2; no file was made.
            * The last is accepted.
        """
        marker = self.dir + "/made"
        cases = [
            f'io.open("{marker}", "w")',
            f'os.execute("touch {marker}")',
            'local os = require "os"',
            f'os.remove("{self.dir}")',
            'load("return 1")',
            "debug.sethook()",
            "while true do end",
            "while true do pcall(function() while true do end end) end",
            "local t = {} while true do t[#t + 1] = t end",
            'local s = "x" while true do s = s .. s end',
            'string.rep("x", 1e18)',
            'return ("a"):rep(40):find(("a?"):rep(40) .. ("a"):rep(40))',
            "local function f() return 1 + f() end f()",
            "setmetatable({}, { __gc = function() end })",
            "string.dump(print)",
        ]
        for case in cases:
            start = time.monotonic()
            result = self.check("-- line 1\n" + case + "\n", rc=2)
            verify(re.match(r"push\.lua:2: error: ", result.err), f"{case}\n{result.describe()}")
            verify(time.monotonic() - start < 20, f"{case}: too slow")
        verify(not os.path.exists(marker), "a configuration made a file")
        with open(os.path.join(self.dir, "push.lua"), "wb") as file:
            file.write(b"\x1bLua\x54\x00\x19\x93\r\n\x1a\n")
        result = run.run([run.SLUICE, "check", "push.lua"], rc=2, cwd=self.dir)
        verify("only Lua source text is read" in result.err, result.describe())
        self.check(
            "local Config = { Target = {} }\n"
            "for _, Port in ipairs({ 53, 80, 443 }) do\n"
            '  local Name = string.format("port-%03d", Port):upper():gsub("PORT", "p")\n'
            "  table.insert(Config.Target, { Desc = Name, Path = '/data/' .. Name, FilterBPF = 'port ' .. Port,\n"
            '    Split = "--split-time " .. math.floor(60e9), FileName = "--filename-epoch-sec" })\n'
            "end\n"
            "table.sort(Config.Target, function(A, B) return A.Desc > B.Desc end)\n"
            "assert(os.time() > 1e9 and os.date('%Y') >= '2021')\n"
            "return Config\n"
        )

    @func_test
    def test_fmadio_idioms(self) -> None:
        """What configurations of appliances contain is understood.

        **Steps:**
            * Check 48 targets made by a loop, with concatenated numbers, ignored fields and both spellings of names.
            * Check -Z with users that exist.

        **Verify:**
            * 48 targets, one warning that names each ignored field once, the right names.
        """
        text = (
            "local Config = {}\nConfig.FollowStart = true\nConfig.Decap = false\nConfig.TimeoutRing = 5*60e9\n"
            "Config.Target = {}\n"
            "for i = 0, 47 do\n"
            "  table.insert(Config.Target, { Desc = 'group' .. i, Mode = 'FILE', Path = '/data/group' .. i .. '-',\n"
            '    Split = "--split-time "..(60e9*1), FileName = "--filename-timestr-HHMM", FilterBPF = "net 10." .. i,\n'
            "    CPU = 23, Chunked = true, StreamCat = '--ring-timeout-exit ', PipeCmd = '', SplitCmd = '-Z root' })\n"
            "end\nreturn Config\n"
        )
        result = self.check(text, "--at", AT)
        names = next_files(result.out)
        verify(len(names) == 48, f"{len(names)} targets")
        verify(names["group47"][0] == "/data/group47-20211201_2350.pcap", f"{names['group47']}")
        warnings = [line for line in result.err.splitlines() if ": warning: " in line]
        verify(len(warnings) == 1, result.err)
        for field in ("TimeoutRing", "CPU", "Chunked", "StreamCat"):
            verify(warnings[0].count(field) == 1, warnings[0])
        verify(result.out.count("begins at   the capture's start") == 48, "FollowStart of the top level is no default")
        result = self.check_target(SplitCmd="-Z root.daemon")
        verify("  owner       root:daemon\n" in result.out, result.describe())

    @func_test
    def test_link_type(self) -> None:
        """Filters are checked for the link type of the store's active capture.

        **Steps:**
            * Import a raw IP capture; check an Ethernet filter without a store, then with that store.
            * Name a store that is not there.

        **Verify:**
            * Accepted for Ethernet, refused for raw IP; a missing store is exit status 2.
        """
        store = self.dir + "/store"
        packet = bytes.fromhex("45000014000000004011000001020304" "05060708")
        run.run([run.SLUICE, "import", "--store", store, pcap_file(self.dir + "/raw.pcap", 101, packet)])
        text = lua.config_text([lua.target("t", self.dir + "/x", "ether host 00:11:22:33:44:55")])
        result = self.check(text)
        verify("link type 1 (Ethernet)" in result.out, result.describe())
        result = self.check(text, "--store", store, rc=2)
        verify(re.search(r'^push\.lua:12: error: target "t": FilterBPF: ', result.err, re.M), result.describe())
        result = self.check(text.replace("ether host 00:11:22:33:44:55", "udp"), "--store", store)
        verify("link type 101" in result.out, result.describe())
        result = self.check(text, "--store", self.dir + "/none", rc=2)
        verify("--store" in result.err and "No such file" in result.err, result.describe())

    @func_test
    def test_verbose(self) -> None:
        """check -v shows how each filter runs, and why.

        **Steps:**
            * Check targets without a filter and with two filters, two of them equal.

        **Verify:**
            * Every target has a line for its program; equal filters share one; a filter shows its proof.
        """
        targets = [
            lua.target(name, f"{self.dir}/{name}", text)
            for name, text in (("all", None), ("tcp1", "tcp"), ("tcp2", "ip proto 6 or ip6 proto 6 or tcp"), ("dns", "port 53"))
        ]
        targets.append(lua.target("tcp3", self.dir + "/tcp3", "tcp"))
        result = self.check(lua.config_text(targets), "-v")
        programs = re.findall(r"^  runs as     program (\d+): (.*)$", result.out, re.M)
        verify(len(programs) == 5, result.describe())
        verify("every packet" in programs[0][1], result.describe())
        verify(programs[1] == programs[4], f"equal filters, two programs\n{result.describe()}")
        verify(programs[1] != programs[3], result.describe())
        # Why it runs so: the proof of machine code, or what kept it from being proven.
        reasons = re.findall(r"^ {14}\d+ instructions; (.*)$", result.out, re.M)
        verify(len(reasons) == 4 and all(reasons), result.describe())
        verify(re.search(r"\b\d+ packets\b", reasons[0]), f"tcp is not proven\n{result.describe()}")
        result = self.check(lua.config_text(targets))
        verify("runs as" not in result.out, "shown without -v")

    @func_test
    def test_default_paths(self) -> None:
        """Without an argument the configuration is looked for in its two places.

        **Steps:**
            * In a root directory of its own: no file, one in /etc/sluice, one in /opt/fmadio/etc too.

        **Verify:**
            * Exit status 2 and the argument to use; then the one of /etc/sluice; then the one of /opt/fmadio/etc.
        """
        root = os.path.join(self.dir, "root")
        for path in [run.SLUICE, *re.findall(r"(/\S+) \(0x", run.run(["ldd", run.SLUICE]).out)]:
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            run.run(["cp", path, root + path])

        def check(rc: int) -> run.Result:
            return run.run(["chroot", root, run.SLUICE, "check"], rc=rc)

        none = check(2)
        found = []
        for place in ("/etc/sluice", "/opt/fmadio/etc"):
            os.makedirs(root + place, exist_ok=True)
            lua.write_config(f"{root}{place}/push_realtime.lua", [lua.target("of" + place, "/x")])
            found += re.findall(r'^target "(.*)" ', check(0).out, re.M)
        verify("name the configuration: sluice check CONFIG" in none.err, none.describe())
        verify(found == ["of/etc/sluice", "of/opt/fmadio/etc"], f"found {found}")

    @func_test
    def test_command_line(self) -> None:
        """Arguments that are wrong are refused, and --help says how.

        **Steps:**
            * A missing file, a directory, two files, an unknown option, times that are none; one time in every form.

        **Verify:**
            * Exit status 2 and a message that names the argument; --help exits 0; every form is the same window.
        """
        good = self.dir + "/good.lua"
        lua.write_config(good, [lua.target("t", self.dir + "/x")])
        for args, words in (
            (["/nonexistent.lua"], "/nonexistent.lua: error: can't be read: No such file or directory"),
            ([self.dir], "Is a directory"),
            ([good, "second.lua"], "second.lua"),
            (["--bogus"], "--bogus"),
            ([good, "--at", "noon"], "--at 'noon' is not a time; write seconds since 1970"),
            ([good, "--at", "2021-02-29T00:00:00Z"], "is not a time"),
            ([good, "--at", "99999999999"], "--at '99999999999' is before 1970 or after 2106"),
        ):
            result = run.run([run.SLUICE, "check", *args], rc=2)
            verify(words in result.err, f"{args}\n{result.describe()}")
        verify("usage: sluice check" in run.run([run.SLUICE, "check", "--help"]).out, "no help")
        for at in (
            "1638402659.5",
            "1638402659",
            "2021-12-01T23:50:59Z",
            "2021-12-02T00:50:59.25+01:00",
            "2021-12-01T13:50:59",
            "20211201_135059",
        ):
            # A time without a zone is local.
            result = run.run([run.SLUICE, "check", good, "--at", at], env={"TZ": "Pacific/Honolulu"})
            verify("_1638402600-1638402660.pcap" in result.out, f"{at}\n{result.describe()}")

    @func_test
    def test_push_command_line(self) -> None:
        """Options of push that cannot be are refused before anything is made; the others do what they say.

        **Steps:**
            * Push with each option that is wrong, and with a word that is no option.
            * Push with a polling lcore, a CPU for the helpers and a word for EAL.

        **Verify:**
            * Exit status 2, one message with the option and its value or what to write, nothing made.
            * The packet is pushed; EAL says more than without that word.
        """
        cpu = min(os.sched_getaffinity(0))
        file = lua.write_config(self.dir + "/a-file", [])
        cases = (
            (["--map", f"bogus@{cpu}"], "no stage 'bogus': there are reader, filter, writer and all"),
            (["--map", f"reader@{cpu}"], "at least one of each other"),
            (["--map", "all@1023"], "--map: CPU 1023 is not among those this process may use"),
            (["--poll", "--map", f"reader+filter@{cpu},writer@{cpu}"], "--poll needs a CPU for each lcore"),
            (["--helper-cpus", "1-x"], "--helper-cpus 1-x: not a CPU list such as"),
            (["--helper-cpus", "1023"], "--helper-cpus 1023: not all of them may be used"),
            (["--sink", "tape"], "--sink tape: must be file, null"),
            (["--retry-for", "soon"], "--retry-for soon: not a number of seconds"),
            (["--stop-timeout", "-1"], "--stop-timeout -1: not a number of seconds"),
            (["--log-dir", file], f"--log-dir {file}: not a directory"),
            (["--state-dir", file], f"--state-dir {file}: not a directory"),
            (["--state-dir", ""], "--state-dir '': not a directory"),
            (["--capture", "none"], "none: no such capture"),
            (["--eal", "--bogus"], '--eal "--bogus": EAL refuses its arguments'),
            (["--bogus"], "sluice push: unrecognized option '--bogus'"),
            (["a.lua"], "'a.lua' is not an option; the configuration is named with --config FILE"),
        )
        for args, words in cases:
            result = self.push(2, *args)
            verify(words in result.err, f"{args}\n{result.describe()}")
            verify(not os.path.exists(self.dir + "/out"), f"{args}: something was made")
        result = self.push(0, "--poll", "--map", f"all@{cpu}", "--helper-cpus", str(cpu))
        verify("EAL: " not in result.err, result.describe())
        verify(f"\nmap: all@{cpu}\n" in result.out, result.describe())
        args = ["--poll", "--map", f"all@{cpu}", "--helper-cpus", str(cpu), "--eal", "--log-level lib.eal:info"]
        result = self.push(0, *args, Path=self.dir + "/out/eal")
        verify("EAL: " in result.err, result.describe())
        for prefix in ("x", "eal"):
            verify(os.path.exists(f"{self.dir}/out/{prefix}_1638402600-1638402660.pcap"), f"{prefix}: no file")

    @func_test
    def test_state_of_another_store(self) -> None:
        """A state directory that was used with another store is said, and no packet of this store is passed over.

        **Steps:**
            * Push with a state directory; make the store anew; push with the same state directory, twice.

        **Verify:**
            * The second push says that the journal is of another store, and which capture is missing, and pushes the packet;
              the third says nothing and has nothing to push.
        """
        args = ("--state-dir", self.dir + "/state")
        self.push(0, *args)
        run.run(["rm", "-r", self.dir + "/store"])
        result = self.push(0, *args)
        words = r'target "t": its journal is of another store \(.*/store: no capture has the UUID [0-9a-f-]{36}\); starting afresh'
        verify(re.search(words, result.err), result.describe())
        verify(run.summary(result)["t"]["packets"] == "1", result.describe())
        result = self.push(0, *args)
        verify(result.err == "" and run.summary(result)["t"]["packets"] == "0", result.describe())

    @func_test
    def test_output_not_written(self) -> None:
        """Who asks for words and can't have them is told.

        **Steps:**
            * Run each command with a standard output that is full, with a shell that redirects it to /dev/full.

        **Verify:**
            * Exit status 1 and a message that says which output failed and why.
        """
        self.push(0)
        for words in (
            ["check", self.dir + "/push.lua"],
            ["store", "ls", "--store", self.dir + "/store"],
            ["import", "--store", self.dir + "/other", self.dir + "/raw.pcap"],
            ["push", "--config", self.dir + "/push.lua", "--store", self.dir + "/store", "--once", "--no-huge"],
        ):
            result = run.run(["sh", "-c", '"$@" >/dev/full', "sh", run.SLUICE, *words], rc=1)
            line = f"sluice {words[0]}: standard output: No space left on device\n"
            verify(result.err.endswith(line), result.describe())
