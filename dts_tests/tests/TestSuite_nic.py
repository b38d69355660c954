# SPDX-License-Identifier: BSD-3-Clause
"""Capture from NICs on a PCI bus, which DPDK drives through vfio-pci: what was sent to them is in the store.

The NICs are qemu's, behind its IOMMU, in a guest under software emulation (framework/guest.py): an Intel 82574 and a virtio one. Frames
come to each through a Unix socket, as fast as it takes them: qemu keeps back what a NIC has no descriptor for.
"""

import base64
import glob
import gzip
import os
import socket
import struct
import threading

import pytest
from api.test import verify
from framework import guest, pcap, store, traffic
from framework.test_suite import TestSuite, func_test

# PCI address -> DPDK's driver, and the NIC as qemu's option says it.
NICS = {
    "0000:00:05.0": ("net_e1000_em", "e1000e,addr=5"),
    "0000:00:06.0": ("net_virtio", "virtio-net-pci,addr=6,disable-legacy=on,iommu_platform=on,host_mtu=9000"),
}
PORTS = [word for address in NICS for word in ("--port", address)]
PLUGINS = ("bus_pci", "bus_vdev", "mempool_ring", "net_e1000", "net_virtio")
# Bytes of a frame without its checksum: qemu pads what is shorter.
SHORTEST, LONGEST = 60, 9014
BIND = """
device=/sys/bus/pci/devices/%s
echo %s >$device/driver_override
[ ! -e $device/driver ] || echo $(basename $device) >$device/driver/unbind
echo $(basename $device) >/sys/bus/pci/drivers_probe
"""
HUGEPAGES = "mkdir -p /dev/hugepages; mount -t hugetlbfs none /dev/hugepages; echo 100 >/proc/sys/vm/nr_hugepages"


class TestNic(TestSuite):
    """sluice capture --port <PCI address>."""

    def set_up_suite(self) -> None:
        """Frames, and a guest with NICs to send them to."""
        if not guest.supported():
            pytest.skip("the guest is x86-64, and this machine is not")
        [directory] = glob.glob("/usr/lib/*/dpdk/pmds-*")
        files, hardware = {}, ["-M", "q35", "-device", "intel-iommu"]
        for name in PLUGINS:
            files[os.path.realpath(f"{directory}/librte_{name}.so")] = f"{directory}/librte_{name}.so"
        for number, (_, device) in enumerate(NICS.values()):
            path = f"{self.suite_dir}/wire{number}"
            hardware += ["-netdev", f"stream,id=n{number},server=on,addr.type=unix,addr.path={path}"]
            hardware += ["-device", f"{device},netdev=n{number},romfile="]
        self.guest = self.enter(guest.Guest(self.suite_dir, files, hardware=hardware))
        # plugins know each other by these names
        self.guest.run(f"for path in {directory}/*; do ln -s $path /lib/$(basename $path).23; done")
        self.guest.run(HUGEPAGES + "".join(BIND % (address, "vfio-pci") for address in NICS))
        self.frames: list[list[bytes]] = []
        self.wires: list[socket.socket] = []
        for number in range(len(NICS)):
            path = traffic.make_traffic(f"{self.suite_dir}/{number}.pcap", packets=3000, duration=10, seed=30 + number)
            frames = [packet.data.ljust(SHORTEST, b"\0") for packet in pcap.read_packets(path)]
            # some become jumbo frames, longer than a packet buffer, up to the longest
            frames[::50] = [frame.ljust(LONGEST - 100 * i, b"j") for i, frame in enumerate(frames[::50])]
            self.frames.append([frame for frame in frames if len(frame) <= LONGEST])
            wire = self.enter(socket.socket(socket.AF_UNIX))
            wire.connect(f"{self.suite_dir}/wire{number}")
            self.wires.append(wire)

    def _send(self, number: int, frames: list[bytes]) -> threading.Thread:
        data = b"".join(struct.pack(">I", len(frame)) + frame for frame in frames)
        thread = threading.Thread(target=self.wires[number].sendall, args=(data,), daemon=True)
        thread.start()
        return thread

    def _start(self, path: str, *options: str) -> None:
        """A capture that runs in the guest, from all NICs."""
        words = " ".join((*PORTS, *options))
        self.guest.run(f"sluice capture --store {path} --keep-free 0 {words} >{path}.log 2>&1 & echo $! >{path}.pid")
        self.guest.wait_until(
            lambda: "capture" in self.guest.run("sluice status 2>/dev/null", rc=None).out, 60,
            lambda: f"a capture; it says {self.guest.run(f'cat {path}.log').out}",
        )  # fmt: skip

    def _count(self, path: str) -> int:
        told = self.guest.run(f"sluice store info --store {path} 2>&1", rc=None).out
        return next((int(line.split()[1]) for line in told.splitlines() if line.startswith("packets:")), 0)

    def _stop(self, path: str) -> str:
        """Returns what it said."""
        script = f"kill $(cat {path}.pid); while kill -0 $(cat {path}.pid) 2>/dev/null; do sleep 0.2; done; cat {path}.log"
        return self.guest.run(script).out

    def _read(self, path: str, name: str = "") -> store.Stored:
        """A capture in the guest, the active one by default."""
        capture = name or self.guest.run(f"readlink {path}/active").out.strip()
        told = self.guest.run(f"sluice store info --store {path} {capture} 2>/dev/null | sed -n 's/^chunks: *//p'").out
        size, here = int(told.split()[0]) * store.CHUNK, f"{self.dir}/store/{capture}"
        packed = self.guest.run(f"head -c {size} {path}/{capture}/00000000.seg | gzip -1 | base64").out
        os.makedirs(here)
        with open(f"{here}/00000000.seg", "wb") as file:
            file.write(gzip.decompress(base64.b64decode(packed)))
        with open(f"{here}/capture.json", "wb") as file:
            file.write(self.guest.read(f"{path}/{capture}/capture.json"))
        return store.stored(f"{self.dir}/store", capture)

    def _verify_frames(self, found: store.Stored, expected: list[list[bytes]]) -> None:
        for number, frames in enumerate(expected):
            got = [packet.data for packet, port in zip(found.packets, found.ports) if port == number]
            first = next((i for i, (a, b) in enumerate(zip(got, frames)) if a != b), min(len(got), len(frames)))
            verify(got == frames, f"port {number}: {len(got)} frames, {len(frames)} were sent; the first other one is {first}")
        verify(all(packet.len == len(packet.data) for packet in found.packets), "lengths on the wire")
        times = [packet.ts for packet in found.packets]
        verify(times == sorted(times), "time goes back")

    @func_test
    def test_kernel_driver(self) -> None:
        """A NIC that the kernel has, or that is not there, is refused.

        **Steps:**
            * Bind the virtio NIC to virtio-pci; capture from it; from an address without a device.
            * Bind it to vfio-pci again; capture from both NICs for a second in silence.

        **Verify:**
            * Exit status 2; a line names the port and the kernel's driver, or says that no device is there.
            * Exit status 0; both drivers of DPDK are named.
        """
        address = list(NICS)[1]
        self.guest.run(BIND % (address, "virtio-pci"))
        refused = self.guest.run(f"sluice capture --store /tmp/none --port {address} --duration 1", rc=2).out
        verify(f"--port {address}:" in refused and "virtio-pci" in refused, refused)
        refused = self.guest.run("sluice capture --store /tmp/none --port 0000:00:1e.0 --duration 1", rc=2).out
        verify("0000:00:1e.0" in refused, refused)
        self.guest.run(BIND % (address, "vfio-pci"))
        told = self.guest.run(f"sluice capture --store /tmp/quiet {' '.join(PORTS)} --duration 1").out
        for address, (driver, _) in NICS.items():
            verify(f"{address} ({driver}, " in told, told)
        verify("no-huge" not in told, f"hugepages were not taken: {told}")

    @func_test
    def test_frames(self) -> None:
        """Frames of 60 to 9014 bytes into two NICs at a time, with hugepages and without.

        **Steps:**
            * Capture from both NICs into one store; send some 3,000 frames to each; stop. Again with --no-huge.

        **Verify:**
            * Of each port the store has the frames that were sent, bytes and order, none lost; times do not go back.
        """
        for options in ((), ("--no-huge",)):
            path = f"/tmp/frames{len(options)}"
            self._start(path, *options)
            senders = [self._send(number, frames) for number, frames in enumerate(self.frames)]
            wanted = sum(map(len, self.frames))
            self.guest.wait_until(lambda: self._count(path) >= wanted, 90, lambda: f"{self._count(path)} of {wanted}")
            for sender in senders:
                sender.join(10)
            told = self._stop(path)
            verify(f" {wanted} packets, " in told and "lost: 0 missed by the port, 0 without a buffer, 0 since" in told, told)
            self._verify_frames(self._read(path), self.frames)

    @func_test
    def test_kill(self) -> None:
        """kill -9 leaves NICs that the next capture can have.

        **Steps:**
            * Capture; send 500 frames to the first NIC; wait until they are in the store; kill -9. Capture again, send others.

        **Verify:**
            * The second capture has the others, whole and in order; the first one is closed, with its 500 frames.
        """
        path, half = "/tmp/kill", self.frames[0][:500]
        self._start(path)
        self._send(0, half)
        self.guest.wait_until(lambda: self._count(path) >= len(half), 60, "the first frames")
        first = self.guest.run(f"readlink {path}/active; kill -9 $(cat {path}.pid)").out.split()[0]
        self.guest.wait_until(lambda: "capture" not in self.guest.run("sluice status 2>/dev/null", rc=None).out, 20, "a death")
        self._start(path)
        others = self.frames[0][500:900]
        self._send(0, others)
        self.guest.wait_until(lambda: self._count(path) >= len(others), 60, "the other frames")
        self._stop(path)
        self._verify_frames(self._read(path), [others, []])
        self._verify_frames(self._read(path, first), [half, []])
        listed = self.guest.run(f"sluice store ls --store {path}").out
        verify("closed" in next(line for line in listed.splitlines() if first in line), listed)
