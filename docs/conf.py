# SPDX-License-Identifier: BSD-3-Clause
"""Sphinx configuration: python3 -m sphinx -W -b html docs out/docs"""

import os
import shutil

project = "sluice"
copyright = "2026 The sluice authors"
author = "The sluice authors"
master_doc = "index"
html_theme = "alabaster"
html_theme_options = {"page_width": "1000px", "sidebar_width": "230px"}
html_show_sourcelink = False
highlight_language = "none"
exclude_patterns = ["test_plans/README*"]


def copy_test_plans(app):
    """The plans live beside the suites; Sphinx reads only what is below docs/."""
    here = os.path.dirname(os.path.abspath(__file__))
    source = os.path.join(here, os.pardir, "dts_tests", "test_plans")
    target = os.path.join(here, "test_plans", "plans")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=lambda _, names: [name for name in names if not name.endswith(".rst")])


def setup(app):
    app.connect("builder-inited", copy_test_plans)
