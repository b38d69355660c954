# SPDX-License-Identifier: BSD-3-Clause
"""Runs suites written for DPDK's DTS under pytest."""

import os
import re
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from framework import fs  # noqa: E402
from framework.test_suite import TestSuite  # noqa: E402


class SuiteCollector(pytest.Class):
    """A suite class: one object for all of its test cases."""

    _suite = None

    def newinstance(self):
        if self._suite is None:
            self._suite = self.obj()
        return self._suite


def pytest_addoption(parser):
    parser.addoption("--perf", action="store_true", help="run the performance test cases, and only those")


def pytest_sessionstart():
    """A run that was killed has left mounts."""
    if os.getuid() == 0:
        fs.remove_stale()


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector, name, obj):
    if isinstance(obj, type) and issubclass(obj, TestSuite) and obj is not TestSuite:
        return SuiteCollector.from_parent(collector, name=name, obj=obj)
    if isinstance(collector, SuiteCollector) and callable(obj):
        if getattr(obj, "dts_test_type", None) is None:
            return []
    return None


def pytest_collection_modifyitems(config, items):
    wanted = "performance" if config.getoption("--perf") else "functional"
    keep, drop = [], []
    for item in items:
        kind = getattr(getattr(item, "function", None), "dts_test_type", "functional")
        (keep if kind == wanted else drop).append(item)
    if drop:
        config.hook.pytest_deselected(items=drop)
        items[:] = keep


@pytest.fixture(scope="class", autouse=True)
def _dts_suite(request):
    if request.cls is None or not issubclass(request.cls, TestSuite):
        yield
        return
    suite = request.node.newinstance()
    suite.begin_suite()
    yield
    suite.end_suite()


@pytest.fixture(autouse=True)
def _dts_case(request, _dts_suite):
    if request.cls is None or not issubclass(request.cls, TestSuite):
        yield
        return
    suite = request.instance
    suite.begin_case(re.sub(r"[^A-Za-z0-9_.-]+", "_", request.node.name)[:100])
    yield
    suite.end_case()


def pytest_sessionfinish(session, exitstatus):
    """In CI nothing may be skipped quietly."""
    if os.environ.get("CI", "").lower() not in ("true", "1"):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and reporter.stats.get("skipped") and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
