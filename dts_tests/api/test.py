# SPDX-License-Identifier: BSD-3-Clause
"""The names of DTS's api.test that the suites use, on top of pytest."""

import json
import logging
import os
from datetime import datetime
from typing import NoReturn

import pytest

from framework.exception import TestCaseVerifyError

_logger = logging.getLogger("dts")


def log(message: str) -> None:
    """Log a message; pytest shows it with a failure."""
    _logger.info(message)


def log_debug(message: str) -> None:
    """Log a message of level debug."""
    _logger.debug(message)


def fail(failure_description: str) -> NoReturn:
    """Fail the current test case."""
    __tracebackhide__ = True
    raise TestCaseVerifyError(failure_description)


def verify(condition: bool, failure_description: str) -> None:
    """Fail the current test case unless condition holds."""
    __tracebackhide__ = True
    if not condition:
        fail(failure_description)


def skip(skip_description: str) -> NoReturn:
    """Skip the current test case or suite. With CI=true in the environment a skip fails the run."""
    pytest.skip(skip_description)


def verify_else_skip(condition: bool, skip_reason: str) -> None:
    """Skip the current test case unless condition holds."""
    if not condition:
        skip(skip_reason)


def write_performance_json(performance_data: dict, filename: str = "performance_metrics.json") -> None:
    """Write figures to a file in $SLUICE_PERF_DIR (default: out/perf under the current directory)."""
    directory = os.environ.get("SLUICE_PERF_DIR", os.path.join("out", "perf"))
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, filename)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"timestamp": datetime.now().isoformat(), **performance_data}, file, indent=2)
    log(f"performance results written to {path}")
