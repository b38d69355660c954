#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Compile every file of a configured build for arm64, with the same warnings; nothing is linked or run.
#
# The arm64 headers of the libraries come from Debian's packages, unpacked under DIR: no foreign architecture is added to
# this machine's dpkg.
set -eu

if [ $# != 2 ]; then
	echo "usage: devtools/arm64.sh BUILD DIR    (BUILD is a configured build directory, DIR is made)" >&2
	exit 2
fi
build=$(readlink -f "$1")
mkdir -p "$2"
dir=$(readlink -f "$2")
sysroot=$dir/sysroot
packages="libc6-dev linux-libc-dev libdpdk-dev libpcap0.8-dev liblua5.4-dev liburing-dev libisal-dev libjansson-dev libcmocka-dev libbsd-dev libmd-dev zlib1g-dev libfuse3-dev"

if [ ! -e "$sysroot/complete" ]; then
	mkdir -p "$dir/apt/lists/partial" "$dir/apt/archives/partial" "$sysroot"
	options=(-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::Lists="$dir/apt/lists"
		-o Dir::Cache="$dir/apt" -o Dir::State::status=/dev/null -o APT::Sandbox::User=root
		-o Acquire::Languages=none)
	apt-get "${options[@]}" -q update
	# shellcheck disable=SC2086 # a list of names
	(cd "$dir/apt" && apt-get "${options[@]}" -q download $packages)
	for deb in "$dir"/apt/*.deb; do
		dpkg-deb -x "$deb" "$sysroot"
	done
	rm -rf "$dir/apt"
	touch "$sysroot/complete"
fi

/usr/bin/python3 - "$build" "$sysroot" <<'PY'
import concurrent.futures
import json
import os
import shlex
import subprocess
import sys

build, sysroot = sys.argv[1:]
triplet = "aarch64-linux-gnu"
with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
    entries = json.load(file)


def compile_one(entry):
    # gcc 12 takes the copy loop of rte_ring_elem_pvt.h for reading past a small object on the stack.
    words = ["aarch64-linux-gnu-gcc", "--sysroot=" + sysroot]
    source = shlex.split(entry["command"])[1:]
    skip = False
    for word in source:
        if skip:
            skip = False
        elif word in ("-o", "-MF", "-MQ"):
            skip = True
        elif word.startswith("-march=") or word in ("-MD", "-mssse3", "-m64"):
            pass
        elif word.startswith("-I/usr/include"):
            words.append("-isystem" + sysroot + word[2:].replace("x86_64-linux-gnu", triplet))
        else:
            words.append(word)
    words += ["-fdiagnostics-color=never", "-Wno-maybe-uninitialized", "-o", "/dev/null"]
    done = subprocess.run(words, cwd=entry["directory"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return entry["file"], done.returncode, done.stdout


failed = 0
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for name, rc, text in pool.map(compile_one, entries):
        if rc:
            failed += 1
            print(f"{name}: exit status {rc}\n{text}")
if not entries:
    sys.exit("no compile commands")
print(f"   {len(entries) - failed} of {len(entries)} files compile for arm64 (nothing linked or run)")
sys.exit(1 if failed else 0)
PY
