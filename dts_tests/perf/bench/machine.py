# SPDX-License-Identifier: BSD-3-Clause
"""What the figures were measured on. What cannot be read is null, with the reason."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from typing import Any

from framework.run import REPO, SLUICE

# What must be the same before two reports may be compared.
IDENTITY = (
    "cpu_model",
    "microcode",
    "cpus",
    "cpus_allowed",
    "smt",
    "numa_nodes",
    "memory_gib",
    "kernel",
    "kernel_command_line",
    "mitigations",
    "governor",
    "hugepages",
    "hypervisor",
    "disk.device",
    "disk.model",
    "disk.size_bytes",
    "disk.scheduler",
    "disk.type",
    "disk.options",
    "tmpfs.type",
    "tmpfs.options",
)


def missing(reason: str) -> dict:
    """A value that could not be read."""
    return {"value": None, "reason": reason}


def read(path: str) -> Any:
    """A file's text, or missing()."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError as error:
        return missing(f"{path}: {error.strerror}")


def output(*command: str, cwd: str | None = None) -> Any:
    """What a program prints, or missing()."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, cwd=cwd)
    except (OSError, subprocess.TimeoutExpired) as error:
        return missing(f"{command[0]}: {error}")
    if done.returncode:
        return missing(f"{' '.join(command)}: exit status {done.returncode}: {done.stderr.strip()[:200]}")
    return done.stdout.strip()


def _cpuinfo(name: str) -> Any:
    text = read("/proc/cpuinfo")
    if isinstance(text, dict):
        return text
    found = re.search(rf"^{name}\s*:\s*(.*)$", text, re.M)
    return found.group(1) if found else missing(f"/proc/cpuinfo has no '{name}'")


def _directory_of_values(pattern: str) -> Any:
    found = {os.path.basename(path): read(path) for path in sorted(glob.glob(pattern))}
    return found or missing(f"{pattern}: nothing there")


def _hugepages() -> Any:
    found = {}
    for path in sorted(glob.glob("/sys/kernel/mm/hugepages/*")):
        found[os.path.basename(path)] = read(path + "/nr_hugepages")
    return found or missing("/sys/kernel/mm/hugepages: nothing there")


def _governor() -> Any:
    found = {read(path) for path in glob.glob("/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor")}
    return sorted(found) if found else missing("none visible: no cpufreq in /sys")


def _hypervisor() -> Any:
    flags = _cpuinfo("flags")
    if isinstance(flags, dict):
        return flags
    if "hypervisor" not in flags.split():
        return "none"
    found = output("lscpu")
    match = re.search(r"^Hypervisor vendor:\s*(.*)$", found, re.M) if isinstance(found, str) else None
    return match.group(1) if match else "yes, vendor not visible"


def mount_of(path: str) -> dict:
    """Source, type and options of the mount that holds a path, from mountinfo."""
    path = os.path.realpath(path)
    best: dict = missing("no mount found in /proc/self/mountinfo")
    length = -1
    text = read("/proc/self/mountinfo")
    if isinstance(text, dict):
        return text
    for line in text.splitlines():
        words = line.split()
        dash = words.index("-")
        point = words[4].replace("\\040", " ")
        if (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= length:
            length = len(point)
            best = {
                "mount_point": point,
                "device_number": words[2],
                "source": words[dash + 2],
                "type": words[dash + 1],
                "options": ",".join([words[5], words[dash + 3]]),
            }
    return best


def disk(path: str) -> dict:
    """The block device below a path."""
    mount = mount_of(path)
    if "type" not in mount:
        return mount
    base = f"/sys/dev/block/{mount['device_number']}"
    if not os.path.exists(base):
        return {**mount, "device": missing(f"{base}: not there"), "model": missing("no block device")}
    real = os.path.realpath(base)
    if os.path.exists(real + "/partition"):
        real = os.path.dirname(real)
    size = read(real + "/size")
    return {
        **mount,
        "device": os.path.basename(real),
        "model": read(real + "/device/model"),
        "serial": read(real + "/serial"),
        "rotational": read(real + "/queue/rotational"),
        "scheduler": read(real + "/queue/scheduler"),
        "nr_requests": read(real + "/queue/nr_requests"),
        "write_cache": read(real + "/queue/write_cache"),
        "logical_block_size": read(real + "/queue/logical_block_size"),
        "size_bytes": int(size) * 512 if isinstance(size, str) else size,
    }


def _version(package: str) -> Any:
    return output("dpkg-query", "-W", "-f=${Version}", package)


def _build(directory: str) -> dict:
    """How the binary under test was built, from meson's introspection of its build directory."""
    def introspect(what: str) -> Any:
        text = output("meson", "introspect", what, directory)
        return json.loads(text) if isinstance(text, str) else text

    options, compilers = introspect("--buildoptions"), introspect("--compilers")
    wanted = ("buildtype", "optimization", "debug", "c_args", "c_link_args", "b_lto", "b_ndebug", "b_sanitize", "b_pgo")
    found: dict[str, Any] = {"directory": directory}
    found["options"] = (
        {o["name"]: o["value"] for o in options if o["name"] in wanted} if isinstance(options, list) else options
    )
    if isinstance(compilers, dict) and "host" in compilers:
        compiler = compilers["host"].get("c", {})
        found["compiler"] = {name: compiler.get(name) for name in ("id", "exelist", "full_version", "version")}
    else:
        # meson of Debian 12 knows no --compilers; the log names what was found
        log = read(directory + "/meson-logs/meson-log.txt")
        match = re.search(r"^C compiler for the host machine: (.*)$", log, re.M) if isinstance(log, str) else None
        found["compiler"] = match.group(1) if match else missing("not in meson-log.txt")
    commands = read(directory + "/compile_commands.json")
    if isinstance(commands, str):
        words = next((e["command"] for e in json.loads(commands) if e["file"].endswith("lib/filter/filter.c")), None)
        found["compile_command"] = words or missing("no such file in compile_commands.json")
    else:
        found["compile_command"] = commands
    return found


def tool_versions() -> dict:
    """Peers: the package's version, or that it is missing."""
    packages = {
        "tcpdump": "tcpdump",
        "editcap": "wireshark-common",
        "netsniff-ng": "netsniff-ng",
        "fio": "fio",
        "gnuplot": "gnuplot-nox",
    }
    found = {}
    for tool, package in packages.items():
        if not shutil.which(tool):
            found[tool] = missing("not installed")
            continue
        version = _version(package)
        found[tool] = version if isinstance(version, dict) else f"{package} {version}"
    return found


def binary() -> dict:
    """What was measured, whatever tree is beside it."""
    with open(SLUICE, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    return {"path": SLUICE, "sha256": digest, "version": output(SLUICE, "--version"), "modified": os.stat(SLUICE).st_mtime}


def source() -> dict:
    """The commit, and whether the tree differs from it."""
    status = output("git", "status", "--porcelain", cwd=REPO)
    return {
        "commit": output("git", "rev-parse", "HEAD", cwd=REPO),
        "dirty": bool(status) if isinstance(status, str) else status,
        "changed": status.splitlines()[:50] if isinstance(status, str) else status,
    }


def record(disk_dir: str, tmpfs_dir: str) -> dict:
    """Everything about this machine, the build, and the programs beside it."""
    meminfo = read("/proc/meminfo")
    total = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.M) if isinstance(meminfo, str) else None
    return {
        "cpu_model": _cpuinfo("model name"),
        "cpu_family_model_stepping": [_cpuinfo("cpu family"), _cpuinfo("model"), _cpuinfo("stepping")],
        "cpu_flags": _cpuinfo("flags"),
        "microcode": _cpuinfo("microcode"),
        "cpus": os.cpu_count(),
        "cpus_allowed": sorted(os.sched_getaffinity(0)),
        "lscpu": output("lscpu"),
        "smt": read("/sys/devices/system/cpu/smt/control"),
        "numa_nodes": read("/sys/devices/system/node/online"),
        "memory_gib": round(int(total.group(1)) / (1 << 20)) if total else missing("no MemTotal"),
        "hugepages": _hugepages(),
        "transparent_hugepages": _directory_of_values("/sys/kernel/mm/transparent_hugepage/*enabled"),
        # Free pages that a guest gives back are dear to touch again; counters are left out, they change by themselves.
        "page_reporting_order": read("/sys/module/page_reporting/parameters/page_reporting_order"),
        "kernel": platform.release() + " " + platform.version(),
        "kernel_command_line": read("/proc/cmdline"),
        "mitigations": _directory_of_values("/sys/devices/system/cpu/vulnerabilities/*"),
        "governor": _governor(),
        "hypervisor": _hypervisor(),
        "clock_source": read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "distribution": read("/etc/debian_version"),
        "disk": disk(disk_dir),
        "tmpfs": mount_of(tmpfs_dir),
        "binary": binary(),
        "build": _build(os.path.dirname(os.path.dirname(SLUICE))),
        "libraries": {name: _version(name) for name in ("libdpdk-dev", "libpcap0.8", "liburing2", "libisal2", "libc6")},
        "peers": tool_versions(),
        "source": source(),
    }


def lookup(data: dict, path: str) -> Any:
    """data["a"]["b"] for "a.b"; None if it is not there."""
    for name in path.split("."):
        if not isinstance(data, dict) or name not in data:
            return None
        data = data[name]
    return data
