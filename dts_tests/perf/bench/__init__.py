# SPDX-License-Identifier: BSD-3-Clause
"""The performance laboratory: inputs, contenders, cases, statistics, report and comparison.

`devtools/bench` runs it; TestSuite_push_perf.py is its face as a DTS suite. docs/perf_suite.rst says how to read it.
"""
