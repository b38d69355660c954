# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034
# What quickstart and check share: Debian packages and the build. Sourced, with the tree's root as working directory.

# To build, and to run the result.
PACKAGES_BUILD="gcc libc6-dev meson ninja-build pkg-config libdpdk-dev libpcap-dev liblua5.4-dev liburing-dev
	libisal-dev libjansson-dev libcmocka-dev"
# To look at the result: capinfos and editcap are in wireshark-common, which tshark brings.
PACKAGES_LOOK="tcpdump tshark"
# For devtools/bench: the suite itself, its plots, and its peers.
PACKAGES_BENCH="python3 python3-pytest python3-scapy python3-yaml gnuplot-nox fio netsniff-ng util-linux git"

# install_packages NAME...: apt-get what is missing; touches neither apt nor the network if nothing is.
install_packages() {
	local name missing=()

	for name in "$@"; do
		# Virtual packages are installed under another name; none of ours is virtual.
		if [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" != installed ]; then
			missing+=("$name")
		fi
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	echo "installing ${missing[*]}"
	local sudo=()
	if [ "$(id -u)" != 0 ]; then
		if ! command -v sudo >/dev/null; then
			echo "these Debian packages are missing and only root can install them: ${missing[*]}" >&2
			return 1
		fi
		sudo=(sudo)
	fi
	"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q || return 1
	"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
}

# build_tree DIR [MESON OPTION]...: configure once, then build.
build_tree() {
	local dir=$1

	shift
	if [ ! -e "$dir/build.ninja" ]; then
		meson setup "$dir" "$@" || return 1
	fi
	ninja -C "$dir"
}
