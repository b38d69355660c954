# SPDX-License-Identifier: BSD-3-Clause
"""The form of the suites themselves: names, docstrings, test plans.

A suite that nobody can find in a test plan, or a test method that is never run, is worse than none.
"""

import os

from api.test import verify
from framework.conventions import problems, suite_files
from framework.test_suite import TestSuite, func_test


class TestConventions(TestSuite):
    """Every suite has the form of DPDK's DTS."""

    @func_test
    def test_form_of_suites(self) -> None:
        """Names, docstrings and test plans.

        **Steps:**
            * Parse each TestSuite_*.py and its test plan.

        **Verify:**
            * There is a class of the suite's name with a docstring, and a test plan that names each test case.
            * Each test_ method is marked, and its docstring has **Steps:** and **Verify:**.
        """
        suites = suite_files()
        verify(len(suites) > 0, "no suites found")
        found = [line for path in suites for line in problems(path)]
        verify(not found, "\n".join(found))

    @func_test
    def test_problems_are_found(self) -> None:
        """The check itself can fail.

        **Steps:**
            * Write a suite without plan, with an unmarked method and a docstring without sections.

        **Verify:**
            * Each fault is reported.
        """
        path = os.path.join(self.dir, "TestSuite_sample.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(
                '"""x"""\nclass TestSample:\n'
                "    def test_never_runs(self):\n        pass\n"
                '    @func_test\n    def test_bare(self):\n        """One line."""\n'
            )
        text = "\n".join(problems(path))
        for part in ("no test plan", "test_never_runs: neither", "test_bare: docstring has no **Steps:**"):
            verify(part in text, f"not reported: {part}\n{text}")
