#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Read test results (meson's testlog.json, JUnit XML) and print lines that ./check adds up.

passed N            test cases that passed
failed NAME         each that failed
skipped NAME: WHY   each that was skipped
A file without any result is a failure: a run of zero tests must not look like success.
"""

import json
import os
import sys
import xml.etree.ElementTree as ElementTree


def meson(path):
    """Yield (name, outcome, why) for each test of a testlog.json."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            test = json.loads(line)
            outcome = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}.get(test["result"], "failed")
            yield test["name"], outcome, test["result"]


def junit(path):
    """Yield (name, outcome, why) for each test case of a JUnit file."""
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname', '').split('.')[-1]}.{case.get('name')}"
        outcome, why = "passed", ""
        for child in case:
            if child.tag in ("failure", "error"):
                outcome, why = "failed", (child.get("message") or "").split("\n")[0]
            elif child.tag == "skipped" and outcome == "passed":
                outcome, why = "skipped", child.get("message") or ""
        yield name, outcome, why


def main(paths):
    passed = 0
    for path in paths:
        found = False
        try:
            for name, outcome, why in (junit if path.endswith(".xml") else meson)(path):
                found = True
                why = " ".join(why.split())[:200]
                if outcome == "passed":
                    passed += 1
                else:
                    print(f"{outcome} {name}: {why}" if why else f"{outcome} {name}")
        except (OSError, ValueError, ElementTree.ParseError) as error:
            print(f"failed {path}: {error}")
            continue
        if not found:
            print(f"failed {os.path.basename(path)}: no test ran")
    print(f"passed {passed}")


main(sys.argv[1:])
