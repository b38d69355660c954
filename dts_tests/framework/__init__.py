# SPDX-License-Identifier: BSD-3-Clause
"""A local stand-in for DTS's framework package, and what the suites share.

test_suite   TestSuite, func_test, perf_test: same names and meaning as in DPDK's DTS
run          running sluice and other programs, with output that explains a failure
pcap         an independent reader and writer of pcap and pcapng files
oracle       tcpdump, tshark, editcap, capinfos
lua          writing push_realtime.lua files
fs           work directories, loop-mounted ext4, tmpfs, network namespaces
traffic      captures to test with
faultfs      a file system that delays, hangs, fails, and loses what was not fsynced
store        what is in a store, read from the description of its format
wire         the wire of a live capture, and what the capture tells
telemetry    asking a push by DPDK's telemetry
"""
