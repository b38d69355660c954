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
from framework import chunks, guest, pcap, traffic
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
# Give the NICs to DPDK, and hugepages.
PREPARE = """
for nic in %s; do
	device=/sys/bus/pci/devices/$nic
	echo vfio-pci >$device/driver_override
	[ ! -e $device/driver ] || echo $nic >$device/driver/unbind
	echo $nic >/sys/bus/pci/drivers_probe
done
mkdir -p /dev/hugepages
mount -t hugetlbfs none /dev/hugepages
echo 100 >/proc/sys/vm/nr_hugepages
"""


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

    def _start(self, store: str, *options: str) -> None:
        """A capture that runs in the guest, from all NICs."""
        words = " ".join((*PORTS, *options))
        self.guest.run(f"sluice capture --store {store} --keep-free 0 {words} >{store}.log 2>&1 & echo $! >{store}.pid")
        self.guest.wait_until(
            lambda: "capture" in self.guest.run("sluice status 2>/dev/null", rc=None).out, 60,
            lambda: f"a capture; it says {self.guest.run(f'cat {store}.log').out}",
        )  # fmt: skip

    def _count(self, store: str) -> int:
        told = self.guest.run(f"sluice store info --store {store} 2>&1", rc=None).out
        return next((int(line.split()[1]) for line in told.splitlines() if line.startswith("packets:")), 0)

    def _stop(self, store: str) -> str:
        """Returns what it said."""
        script = f"kill $(cat {store}.pid); while kill -0 $(cat {store}.pid) 2>/dev/null; do sleep 0.2; done; cat {store}.log"
        return self.guest.run(script).out

    def _read(self, store: str, name: str = "") -> list[chunks.Chunk]:
        """The chunks of a capture in the guest, the active one by default."""
        capture = name or self.guest.run(f"readlink {store}/active").out.strip()
        slots = int(self.guest.run(f"sluice store info --store {store} {capture} 2>/dev/null | sed -n 's/^chunks: *//p'").out.split()[0])
        packed = self.guest.run(f"head -c {slots * chunks.MIB} {store}/{capture}/00000000.seg | gzip -1 | base64").out
        os.makedirs(f"{self.dir}/store/{capture}")
        with open(f"{self.dir}/store/{capture}/00000000.seg", "wb") as file:
            file.write(gzip.decompress(base64.b64decode(packed)))
        return chunks.read_chunks(f"{self.dir}/store", capture)

    def _verify_frames(self, found: list[chunks.Chunk], expected: list[list[bytes]]) -> None:
        for number, frames in enumerate(expected):
            pairs = [pair for chunk in found for pair in zip(chunk.packets, chunk.ports) if pair[1] == number]
            got = [packet.data for packet, _ in pairs]
            first = next((i for i, (a, b) in enumerate(zip(got, frames)) if a != b), min(len(got), len(frames)))
            verify(got == frames, f"port {number}: {len(got)} frames, {len(frames)} were sent; the first other one is {first}")
            verify(all(packet.len == len(packet.data) for packet, _ in pairs), f"port {number}: lengths on the wire")
        times = [packet.ts for chunk in found for packet in chunk.packets]
        verify(times == sorted(times), "time goes back")

    @func_test
    def test_kernel_driver(self) -> None:
        """A NIC that the kernel has, or that is not there, is refused; then DPDK gets them.

        **Steps:**
            * Capture from the virtio NIC while virtio-pci has it; from an address without a device.
            * Bind both to vfio-pci, reserve hugepages; capture for a second in silence.

        **Verify:**
            * Exit status 2; a line names the port and the kernel's driver, or says that no device is there.
            * Exit status 0; both drivers of DPDK are named.
        """
        address = list(NICS)[1]
        refused = self.guest.run(f"sluice capture --store /tmp/none --port {address} --duration 1", rc=2).out
        verify(f"--port {address}:" in refused and "virtio-pci" in refused, refused)
        refused = self.guest.run("sluice capture --store /tmp/none --port 0000:00:1e.0 --duration 1", rc=2).out
        verify("0000:00:1e.0" in refused, refused)
        self.guest.run(PREPARE % " ".join(NICS))
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
            store = f"/tmp/frames{len(options)}"
            self._start(store, *options)
            senders = [self._send(number, frames) for number, frames in enumerate(self.frames)]
            wanted = sum(map(len, self.frames))
            self.guest.wait_until(lambda: self._count(store) >= wanted, 90, lambda: f"{self._count(store)} of {wanted}")
            for sender in senders:
                sender.join(10)
            told = self._stop(store)
            verify(f" {wanted} packets, " in told and "lost: 0 missed by the port, 0 without a buffer, 0 since" in told, told)
            self._verify_frames(self._read(store), self.frames)

    @func_test
    def test_kill(self) -> None:
        """kill -9 leaves NICs that the next capture can have.

        **Steps:**
            * Capture; send 500 frames to the first NIC; wait until they are in the store; kill -9. Capture again, send others.

        **Verify:**
            * The second capture has the others, whole and in order; the first one is closed, with its 500 frames.
        """
        store, half = "/tmp/kill", self.frames[0][:500]
        self._start(store)
        self._send(0, half)
        self.guest.wait_until(lambda: self._count(store) >= len(half), 60, "the first frames")
        first = self.guest.run(f"readlink {store}/active; kill -9 $(cat {store}.pid)").out.split()[0]
        self.guest.wait_until(lambda: "capture" not in self.guest.run("sluice status 2>/dev/null", rc=None).out, 20, "a death")
        self._start(store)
        others = self.frames[0][500:900]
        self._send(0, others)
        self.guest.wait_until(lambda: self._count(store) >= len(others), 60, "the other frames")
        self._stop(store)
        self._verify_frames(self._read(store), [others, []])
        self._verify_frames(self._read(store, first), [half, []])
        listed = self.guest.run(f"sluice store ls --store {store}").out
        verify("closed" in next(line for line in listed.splitlines() if first in line), listed)
