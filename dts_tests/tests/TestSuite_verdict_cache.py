# SPDX-License-Identifier: BSD-3-Clause
"""The verdict cache: with many filters, what each target gets is what tcpdump takes, however the packets come."""

import os
import re
import zlib

from api.test import verify
from framework import lua, run, traffic
from framework.test_suite import TestSuite, func_test

PACKETS = 40_000


def _filters(hosts: list[str]) -> list[str]:
    """Filters that are alike but for a constant, filters of all other kinds, and some that spoil keys."""
    filters = [f"dst host {host}" for host in hosts]
    filters += [f"udp and src host {host}" for host in hosts[:10]]
    filters += [f"not host {host}" for host in hosts[:4]]
    filters += [f"port {port}" for port in (22, 25, 53, 80, 123, 443, 8080)]
    filters += [f"tcp[tcpflags] & {1 << bit} != 0" for bit in range(6)]
    filters += [f"net 10.0.{n}.0/24 and not port {n + 50}" for n in range(8)]
    filters += [f"ip[8] > {n * 16} and ip[1] = 0" for n in range(8)]
    filters += ["tcp", "udp", "ip6", "arp", "icmp or icmp6", "vlan", "vlan and tcp", "ether multicast", "mpls"]
    filters += ["tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420", "udp[8:4] > 0x80000000", "ip[4:2] & 1 = 1"]
    filters += ["greater 1000", "less 100 and tcp", "ip6 protochain 17", "ether[150] = 7", "udp[90:2] > 100"]
    return filters


class TestVerdictCache(TestSuite):
    """Verdicts from the cache against tcpdump."""

    def _check(self, name: str, *options: str, maps: tuple[str, ...] = (), **named: object) -> list[str]:
        """Push a capture to all filters, with the cache and without; compare each with tcpdump.

        Returns:
            What each push with the cache said about it.
        """
        capture = traffic.make_traffic(f"{self.dir}/{name}.pcap", *options, packets=PACKETS, seed=5, **named)
        store = f"{self.dir}/{name}.store"
        run.import_capture(store, capture)
        seen = run.run(["tshark", "-n", "-r", capture, "-c", "3000", "-T", "fields", "-e", "ip.dst"]).out.split()
        hosts = sorted({host for host in seen if re.fullmatch(r"[\d.]+", host)})[:40]
        verify(len(hosts) >= 10, f"only {len(hosts)} destinations in the traffic")
        expected, targets = {}, []
        for i, text in enumerate(_filters(hosts)):
            run.run(["tcpdump", "--nano", "-nn", "-r", capture, "-w", f"{self.dir}/one.pcap", "--", text])
            with open(f"{self.dir}/one.pcap", "rb") as file:
                records = file.read()[24:]
            expected[f"f{i}"] = (text, len(records), zlib.crc32(records))
            targets.append(lua.target(f"f{i}", f"{self.dir}/none/f{i}", text))
        config = lua.write_config(f"{self.dir}/{name}.lua", targets)
        said = []
        for words in [["--map", one] for one in maps] + [[], ["--verdict-cache", "off"]]:
            result = run.push_once(config, store, "--sink", "null,crc", *words)
            rows = run.summary(result)
            for desc, (text, size, crc) in expected.items():
                got = (int(rows[desc]["bytes"]), int(rows[desc]["crc-32"], 16))
                verify(got == (size, crc), f"{name} {words}: '{text}': bytes and CRC {got}, tcpdump {(size, crc)}")
            line = re.search(r"^verdict cache: .*", result.out, re.M)
            if words == ["--verdict-cache", "off"]:
                verify(not line, f"a cache that is off says: {line and line.group()}")
            else:
                verify(bool(line), f"the cache says nothing\n{result.describe()}")
                said.append(line.group())
        os.unlink(capture)
        return said

    @staticmethod
    def _share(line: str, what: str) -> float:
        """Packets that a cache's line names for something, as a share of all."""
        packets = int(re.search(r"(\d+) packets", line).group(1))
        return int(re.search(rf"(\d+) {what}", line).group(1)) / packets

    @func_test
    def test_flows(self) -> None:
        """Flows that come again are found again.

        **Steps:**
            * 40,000 packets in flows and more than 80 filters, alike ones, unlike ones, and such as the cache can't hold.
            * Push with the cache, with two filter lcores, with all on one lcore, and without the cache.

        **Verify:**
            * Bytes and CRC-32 of each target are those of what tcpdump takes.
            * Less than half of the packets were not found.
        """
        maps = ("reader@0,filter@0,filter@1,writer@1", "all@0")
        for line in self._check("flows", maps=maps, profile="realistic"):
            verify(self._share(line, "missed") < 0.5, line)

    @func_test
    def test_all_kinds(self) -> None:
        """Tags, tunnels, fragments, IPv6, packets cut by a snap length.

        **Steps:**
            * The generator's mixed traffic, whole and cut to 60 bytes.

        **Verify:**
            * As above.
        """
        self._check("mixed")
        self._check("cut", snaplen=60)

    @func_test
    def test_no_locality(self) -> None:
        """Nothing comes again: the cache gives way.

        **Steps:**
            * Every packet has new addresses, ports and size.

        **Verify:**
            * As above; at least half of the packets were not looked up.
        """
        for line in self._check("none", profile="adversarial"):
            verify(self._share(line, "by running the filters") > 0.5, line)

    @func_test
    def test_option(self) -> None:
        """--verdict-cache takes on and off.

        **Steps:**
            * Another word.

        **Verify:**
            * Exit status 2, and the two words are named.
        """
        config = lua.write_config(self.dir + "/c.lua", [lua.target("all", self.dir + "/all")])
        result = run.sluice("push", "--config", config, "--verdict-cache", "maybe", rc=2)
        verify("on or off" in result.err, result.describe())
