# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's telemetry socket, as dpdk-telemetry.py speaks to it."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

from .run import list_files

RUNTIME_DIR = "/var/run/dpdk" if os.getuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "/tmp") + "/dpdk"


def telemetry(path: str, command: str, pid: int = 0) -> Any:
    """Ask a DPDK program; None if nobody listens at that socket, or not the one with this process number."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(5)
        try:
            sock.connect(path)
            greeting = json.loads(sock.recv(1024))
            if pid not in (0, greeting["pid"]):
                return None
            sock.send(command.encode())
            return json.loads(sock.recv(greeting["max_output_len"]))
        except (OSError, ValueError):  # one that ends while it is asked says nothing
            return None


def ask(pid: int, command: str) -> Any:
    """What a process answers to a command such as "/sluice/target,1"; None if it does not."""
    for name in list_files(RUNTIME_DIR):
        answer = telemetry(os.path.join(RUNTIME_DIR, name), command, pid)
        if answer:
            return answer[command.split(",", maxsplit=1)[0]]
    return None
