# SPDX-License-Identifier: BSD-3-Clause
"""What a suite must look like; checked by TestSuite_conventions."""

from __future__ import annotations

import ast
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def suite_files() -> list[str]:
    """All suites: tests/ and perf/."""
    found = []
    for folder in ("tests", "perf"):
        base = os.path.join(ROOT, folder)
        if not os.path.isdir(base):
            continue
        found += [os.path.join(base, name) for name in os.listdir(base) if re.match(r"TestSuite_\w+\.py$", name)]
    return sorted(found)


def pascal(name: str) -> str:
    """push_scale -> PushScale"""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def problems(path: str) -> list[str]:
    """What is wrong with a suite's form, one line each; empty if nothing is."""
    short = os.path.basename(path)
    name = short[len("TestSuite_") : -len(".py")]
    found = []
    plan = os.path.join(ROOT, "test_plans", f"{name}_test_plan.rst")
    if not os.path.exists(plan):
        found.append(f"{short}: no test plan test_plans/{name}_test_plan.rst")
        plan_text = ""
    else:
        with open(plan, encoding="utf-8") as file:
            plan_text = file.read()
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read(), path)
    if not ast.get_docstring(tree):
        found.append(f"{short}: no module docstring")
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Test" + pascal(name)]
    if not classes:
        return found + [f"{short}: no class Test{pascal(name)}"]
    cases = 0
    for node in classes[0].body:
        if not isinstance(node, ast.FunctionDef):
            continue
        marks = {getattr(mark, "id", "") for mark in node.decorator_list}
        marked = marks & {"func_test", "perf_test"}
        where = f"{short}:{node.lineno}: {node.name}"
        if node.name.startswith("test_") and not marked:
            found.append(f"{where}: neither @func_test nor @perf_test, so it never runs")
        if marked and not node.name.startswith("test_"):
            found.append(f"{where}: marked as a test case, but its name does not start with test_")
        if not marked:
            continue
        cases += 1
        text = ast.get_docstring(node) or ""
        for word in ("**Steps:**", "**Verify:**"):
            if word not in text:
                found.append(f"{where}: docstring has no {word}")
        if plan_text and node.name not in plan_text:
            found.append(f"{where}: not mentioned in its test plan")
    if not cases:
        found.append(f"{short}: no test case")
    return found
