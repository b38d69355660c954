# SPDX-License-Identifier: BSD-3-Clause
"""A following push: how soon it starts and stops, and how soon a window that ended is published."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time

from framework import lua, run, traffic

from . import contenders, filters, watch
from .inputs import Input, Wrong
from .runner import Run

WINDOW = re.compile(r"_(\d+)-(\d+)(_\d+)?\.pcap$")


def command(config: str, store: str, work: str) -> list[str]:
    """A push that follows, with journals and logs of its own."""
    words = [run.SLUICE, "push", "--config", config, "--store", store]
    return words + ["--state-dir", work + "/state", "--log-dir", work + "/log"]


def fresh(work: str) -> str:
    """Directories of a following push, emptied. Returns where its files go."""
    for name in ("state", "log", "out"):
        shutil.rmtree(f"{work}/{name}", ignore_errors=True)
        os.makedirs(f"{work}/{name}")
    return work + "/out"


def start_stop(item: Input, texts: list[str | None], work: str, busy: bool) -> Run:
    """Start a push, wait for its first working file, stop it.

    Args:
        item: What its store holds.
        texts: A filter for each target.
        work: Directory on the disk.
        busy: Stop it at once while it has more to push; else after it has pushed all.
    """
    out = fresh(work)
    config = lua.write_config(f"{work}/live.lua", filters.targets(texts, out), {"FollowStart": True})
    words = command(config, item.store, work)
    begun = time.monotonic()
    with run.Process(words) as push:
        with watch.FirstFile(out) as first:
            push.wait_until(lambda: first.at, 30, "a working file")
        if busy:
            time.sleep(0.05)
        else:
            # All is pushed when nothing has been written for a while.
            last = -1
            while (now := watch.Progress(push.pid).value()) != last:
                last = now
                time.sleep(0.3)
        asked = time.monotonic()
        push.signal(signal.SIGTERM)
        contenders.wait_exactly(push, 30)
        ended = time.monotonic()
        said = push.wait(1).out
    shutil.rmtree(out, ignore_errors=True)
    return Run(first.at - begun, ended - begun, [words], {"stop_seconds": ended - asked, "start_to_first_dispatch": contenders.start_seconds(said)})


def publish_latency(work: str, tmpfs: str, texts: list[str | None], seconds: int, packets: int, seed: int) -> dict:
    """Seconds from the end of each window to its file under the final name, of a live capture.

    The time of a file is its inode's change time: its working name was removed then, the last step of publishing.
    """
    out, store = fresh(work), tmpfs + "/live.store"
    shutil.rmtree(store, ignore_errors=True)
    targets = filters.targets(texts, out, Split="--split-time 1e9")
    config = lua.write_config(f"{work}/latency.lua", targets, {"FollowStart": True})
    maker_words = [traffic.make_traffic_tool(), "--profile=realistic", "--live", f"--duration={seconds}"]
    maker_words += [f"--packets={packets}", f"--seed={seed}", "-"]
    import_words = [run.SLUICE, "import", "--store", store, "-"]
    found: list[dict] = []
    with run.Process(maker_words, stdout=subprocess.PIPE) as maker:
        with run.Process(import_words, stdin=maker.popen.stdout) as importer:
            importer.wait_until(lambda: os.path.lexists(store + "/active"), 20, "an active capture")
            words = command(config, store, work)
            with run.Process(words) as push:
                importer.wait(seconds + 60)
                time.sleep(1.5)
                asked = time.time()
                push.stop(60)
            maker.wait(10)
    for name in sorted(os.listdir(out)):
        match = WINDOW.search(name)
        if not match:
            raise Wrong(f"{out}/{name}: not a published window")
        end, changed = int(match.group(2)), os.stat(f"{out}/{name}").st_ctime_ns / 1e9
        if end < asked - 1.5 and changed < asked:  # not what the stop closed
            found.append({"window_end": end, "target": name.split("_")[0], "latency": changed - end})
    shutil.rmtree(store, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    if not found:
        raise Wrong("no window was published")
    return {"commands": [maker_words, import_words, words], "windows": found}
