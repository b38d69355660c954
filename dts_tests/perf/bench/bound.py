# SPDX-License-Identifier: BSD-3-Clause
"""The bound of the null sink: read, CRC and copy measured alone, on the CPUs that the push used."""

from __future__ import annotations

import re
import time

from framework import run

from .contenders import Push
from .inputs import tool
from .runner import Contender, Run


def bound(push: Push) -> Contender | None:
    """The capture's bytes at the rate that stage_bench finds; None if it is not built.

    stage_bench gives the best of five passes over the store with all three done to each chunk by whoever got it: a
    rate that a pipeline can come near to but not reach.
    """
    program = tool("stage_bench")
    if not program:
        return None

    def once() -> Run:
        cpus = sorted(set(re.findall(r"@(\d+)", push.map_used)), key=int)
        words = [program, push.item.store, ",".join(cpus), "together"]
        start = time.monotonic()
        rate = float(run.run(words, timeout=900).out)
        return Run(push.item.bytes / rate, time.monotonic() - start, [words], {"bytes_per_second": rate})

    what = "the capture's bytes at stage_bench's rate, best of five passes"
    return Contender("read, CRC, copy alone", once, what, None, push.item.bytes, peer=True)
