# SPDX-License-Identifier: BSD-3-Clause
"""TestSuite and the decorators that mark its test cases.

As in DPDK's DTS a suite is one object for all of its test cases: what set_up_suite() stores in self is there in each of
them. Only methods marked with func_test or perf_test are test cases; perf_test cases run only with --perf.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any, Callable

from . import fs


def func_test(method: Callable) -> Callable:
    """Mark a functional test case."""
    method.dts_test_type = "functional"
    return method


def perf_test(method: Callable) -> Callable:
    """Mark a performance test case; not run without --perf."""
    method.dts_test_type = "performance"
    return method


class TestSuite:
    """Base of all suites.

    Attributes:
        dir: A directory of the current test case on a real disk; removed after it (SLUICE_KEEP=1 keeps it).
        suite_dir: The same for the whole suite.
    """

    __test__ = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__test__ = True

    # --- hooks, as in DTS

    def set_up_suite(self) -> None:
        """Called once, before the first test case."""

    def set_up_test_case(self) -> None:
        """Called before each test case."""

    def tear_down_test_case(self) -> None:
        """Called after each test case."""

    def tear_down_suite(self) -> None:
        """Called once, after the last test case."""

    # --- what DTS has not: work directories and clean-up that also runs when set-up fails half way

    def tmpfs_dir(self) -> str:
        """A fresh directory on tmpfs that lives as long as the test case."""
        return self._case_stack.enter_context(fs.work_dir(self._name, tmpfs=True))

    def on_tear_down(self, function: Callable, *args: Any, **kwargs: Any) -> None:
        """Call function after the test case (or the suite, while set_up_suite() runs), whatever happens."""
        (self._case_stack or self._suite_stack).callback(function, *args, **kwargs)

    def enter(self, context: Any) -> Any:
        """Enter a context manager that is left after the test case (or the suite, in set_up_suite())."""
        return (self._case_stack or self._suite_stack).enter_context(context)

    # --- called by conftest.py

    _suite_stack: ExitStack | None = None
    _case_stack: ExitStack | None = None
    _name = ""

    def begin_suite(self) -> None:
        self._name = type(self).__name__
        self._suite_stack = ExitStack()
        self.suite_dir = self._suite_stack.enter_context(fs.work_dir(self._name))
        self.dir = self.suite_dir
        try:
            self.set_up_suite()
        except BaseException:
            self._suite_stack.close()
            raise

    def end_suite(self) -> None:
        try:
            self.tear_down_suite()
        finally:
            self._suite_stack.close()

    def begin_case(self, name: str) -> None:
        self._case_stack = ExitStack()
        self.dir = os.path.join(self.suite_dir, name)
        try:
            os.makedirs(self.dir)
            self._case_stack.callback(fs.remove_tree, self.dir)
            self.set_up_test_case()
        except BaseException:
            self._close_case()
            raise

    def end_case(self) -> None:
        try:
            self.tear_down_test_case()
        finally:
            self._close_case()

    def _close_case(self) -> None:
        stack, self._case_stack = self._case_stack, None
        self.dir = self.suite_dir
        stack.close()
