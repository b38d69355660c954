#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Run a command of this tree in a fresh Debian 12 with nothing but the essential packages: a machine that already has the
# packages hides a missing one. Needs root and debootstrap.
#
#   devtools/fresh.sh /var/tmp/fresh ./quickstart
#   devtools/fresh.sh /var/tmp/fresh ./check
#
# DIR is made if it is not there, else used as it is (so a second run shows that running twice works). Its mounts end with the
# command.
set -eu
cd "$(dirname "$(readlink -f "$0")")/.."

if [ $# -lt 2 ] || [ "$(id -u)" != 0 ]; then
	echo "usage (as root): devtools/fresh.sh DIR COMMAND..." >&2
	exit 2
fi
root=$1
shift
if [ ! -e "$root/etc/debian_version" ]; then
	debootstrap --variant=minbase bookworm "$root" ${MIRROR:+"$MIRROR"}
fi
cp /etc/resolv.conf "$root/etc/resolv.conf"
mkdir -p "$root/src/sluice"
# What git knows or would add: no build output.
git ls-files -co --exclude-standard -z | tar --null --ignore-failed-read -T - -c | tar -x -C "$root/src/sluice"
# A mount namespace of its own: whatever happens, nothing stays mounted.
# shellcheck disable=SC2016 # expanded by the inner shells
exec unshare --mount --propagation private bash -c '
	set -e
	root=$1
	shift
	mount -t proc proc "$root/proc"
	mount -t sysfs sysfs "$root/sys"
	mount --rbind /dev "$root/dev"
	exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb ${CI:+CI=$CI} \
		bash -c "cd /src/sluice && exec \"\$@\"" bash "$@"
' bash "$root" "$@"
