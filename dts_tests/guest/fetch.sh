#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Fetch what a guest is made of: Debian's cloud kernel and NFS programs, unpacked into a directory. Nothing is installed, so no
# NFS server starts on this machine and its boot loader is left alone. Does nothing if the directory has them already.
#
#   dts_tests/guest/fetch.sh build-check/guest
set -eu

# The libraries too: which of them this machine has is not known.
PACKAGES="busybox-static kmod nfs-kernel-server nfs-common rpcbind keyutils libtirpc3 libtirpc-common libnfsidmap1 libwrap0
	libevent-core-2.1-7 libsqlite3-0 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0 libcom-err2 libkeyutils1
	libnsl2 libcap2 libmount1 libblkid1 libuuid1 libselinux1 libpcre2-8-0 libsystemd0 liblzma5 libzstd1 liblz4-1
	libgcrypt20 libgpg-error0 libkmod2 libssl3 e2fsprogs libext2fs2 libss2"
KERNEL=linux-image-cloud-amd64

if [ $# -ne 1 ]; then
	echo "usage: $0 DIR" >&2
	exit 2
fi
mkdir -p "$(dirname "$1")"
dir=$(readlink -f "$1")
words="$KERNEL $PACKAGES"

have() {
	[ "$(cat "$dir/packages" 2>/dev/null)" = "$words" ]
}

download() {
	local kernel

	# The package of that name is empty: it depends on the newest one.
	kernel=$(apt-cache depends --important "$KERNEL" | sed -n 's/.*Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
	if [ -z "$kernel" ]; then
		echo "no package $KERNEL is known to apt-cache" >&2
		return 1
	fi
	# shellcheck disable=SC2086 # a list of names
	(cd "$work/debs" && apt-get download -q "$kernel" $PACKAGES)
}

have && exit 0
exec 9>"$dir.lock"
flock 9
have && exit 0
work=$(mktemp -d "$dir.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/debs" "$work/root"
# apt's own user writes here if it can.
chmod 755 "$work"
chmod 777 "$work/debs"
if ! download; then
	echo "apt-get download has failed: trying again with new lists" >&2
	apt-get update -q
	rm -f "$work"/debs/*
	download
fi
for deb in "$work"/debs/*.deb; do
	dpkg-deb -x "$deb" "$work/root"
done
rm -rf "$work/debs" "$work/root/usr/share" "$work/root/usr/include"
version=$(basename "$(echo "$work"/root/lib/modules/*)")
# What the kernel's package does when it is installed; its links are for a root of its own.
ln -sf ../bin/kmod "$work/root/sbin/depmod"
ln -sf ../bin/kmod "$work/root/sbin/modprobe"
LD_LIBRARY_PATH=$work/root/lib/x86_64-linux-gnu:$work/root/usr/lib/x86_64-linux-gnu "$work/root/sbin/depmod" -b "$work/root" "$version"
echo "$version" >"$work/kernel"
echo "$words" >"$work/packages"
rm -rf "$dir"
mv "$work" "$dir"
trap - EXIT
chmod 755 "$dir"
