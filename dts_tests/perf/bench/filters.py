# SPDX-License-Identifier: BSD-3-Clause
"""The filters of the cases. They fit make_traffic's profiles: clients 10.0.0-15.1-250, servers 192.168.0-1.1-200."""

from __future__ import annotations

from framework import lua

SMALL = ["tcp port 443", "udp port 53", "net 10.0.3.0/24", "host 192.168.0.17"]
"""Four filters for the case of 64-byte packets."""

_PROTOCOLS = [
    "arp", "icmp", "icmp6", "igmp", "ip proto 47", "esp", "sctp", "ip proto 89", "ip proto 112",
    "tcp[tcpflags] & tcp-syn != 0", "tcp[tcpflags] & (tcp-rst|tcp-fin) != 0", "ip[6:2] & 0x1fff != 0", "mpls", "stp",
    "udp[8:2] = 0x1234", "ip6 and tcp port 25", "ip6 and udp", "vlan 100", "vlan 102 and tcp", "ether multicast",
]  # fmt: skip
_PORTS = [22, 25, 53, 69, 123, 179, 445, 514, 1812, 2055, 3306, 4789, 5060, 6081, 8080, 33434]


def unrelated(count: int) -> list[str]:
    """Filters that look at different things: hosts, networks, ports, ranges, protocols, flags, tags; no two equal.

    The kinds alternate, so that any number of them is a mix. None reads `len`.
    """
    kinds = [
        [f"host 192.168.{n % 2}.{1 + 7 * n % 200}" for n in range(200)],
        [f"src host 10.0.{n % 16}.{1 + 11 * n % 250}" for n in range(240)],
        [f"port {port}" for port in _PORTS[::2]] + [f"tcp portrange {n}-{n + 90}" for n in range(33000, 45000, 100)],
        _PROTOCOLS + [f"udp dst portrange {n}-{n + 90}" for n in range(33000, 45000, 100)],
        [f"net 10.0.{n}.0/24 and tcp port {port}" for port in (443, 80, 22, 25) for n in range(16)],
        [f"dst host 192.168.1.{n} and udp" for n in range(3, 200, 3)],
    ]
    found: list[str] = []
    at = 0
    while len(found) < count:
        row = [kind[at] for kind in kinds if at < len(kind)]
        if not row:
            raise ValueError(f"only {len(found)} unrelated filters are known, not {count}")
        found += [text for text in row if text not in found]
        at += 1
    return found[:count]


def group_address(group: int) -> str:
    """The address of make_traffic's multicast group."""
    return f"239.1.{group // 250}.{1 + group % 250}"


def groups(count: int) -> list[str]:
    """One filter for each multicast group."""
    return [f"dst host {group_address(group)}" for group in range(count)]


def hosts(count: int) -> str:
    """One long filter: any of so many hosts, none of which is in the traffic but the first."""
    names = ["192.168.0.17"] + [f"172.{16 + n // 62500}.{n // 250 % 250}.{1 + n % 250}" for n in range(count - 1)]
    return " or ".join(f"host {name}" for name in names)


def targets(filters: list[str | None], out: str, **fields: object) -> list[dict]:
    """A target t<n> for each filter, files in a directory."""
    return [lua.target(f"t{i}", f"{out}/t{i}", text, **fields) for i, text in enumerate(filters)]
