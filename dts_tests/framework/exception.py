# SPDX-License-Identifier: BSD-3-Clause
"""Exceptions of the framework."""


class TestCaseVerifyError(AssertionError):
    """A verify() that did not hold."""

    __test__ = False
