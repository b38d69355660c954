#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Make the initramfs of a guest: busybox, NFS server and client, the kernel modules that they need, programs of this machine
# with their libraries, and files.
#
#   dts_tests/guest/initramfs.sh build-check/guest out.cpio [PROGRAM | FILE=/PATH/IN/THE/GUEST]...
set -eu
here=$(dirname "$(readlink -f "$0")")
guest=$(readlink -f "$1")
out=$(readlink -m "$2")
shift 2
root=$guest/root
version=$(cat "$guest/kernel")
export LD_LIBRARY_PATH=$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu
stage=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$stage"' EXIT
programs=("$root"/usr/sbin/{rpc.nfsd,rpc.mountd,exportfs,nfsdcld} "$root"/sbin/{rpcbind,rpc.statd,mount.nfs,umount.nfs,sm-notify}
	"$root/sbin/mke2fs")
modules="virtio_pci virtio_console loop ext4 nfsd nfsv3 nfsv4 vfio-pci vfio_iommu_type1"

cd "$stage"
chmod 755 .
mkdir -p bin sbin usr/bin usr/sbin lib lib64 etc proc sys dev tmp run modules mnt
cp "$root/bin/busybox" bin/
while read -r name; do
	ln -s /bin/busybox "$name" 2>/dev/null || true
done < <(cd /; "$root/bin/busybox" --list-full)
# busybox has programs of these names.
for name in "${programs[@]}"; do
	rm -f "sbin/$(basename "$name")" "usr/sbin/$(basename "$name")"
	cp "$name" sbin/
done
ln -s mount.nfs sbin/mount.nfs4
ln -s umount.nfs sbin/umount.nfs4
ln -s /sbin/rpc.mountd usr/sbin/rpc.mountd
for word in "$@"; do
	case $word in
	*=*)
		mkdir -p "$(dirname ".${word#*=}")"
		cp -r "${word%%=*}" ".${word#*=}"
		;;
	*)
		cp "$word" bin/
		programs+=("$word")
		;;
	esac
done
for name in "${programs[@]}"; do
	missing=$(ldd "$name" | grep 'not found' || true)
	if [ -n "$missing" ]; then
		echo "$name: $missing" >&2
		exit 1
	fi
	ldd "$name" | sed -n -e 's/.*=> \(\/[^ ]*\) .*/\1/p'
done | sort -u | while read -r library; do
	cp -L "$library" lib/
done
cp -L "$root/lib64/ld-linux-x86-64.so.2" lib64/ 2>/dev/null || cp -L /lib64/ld-linux-x86-64.so.2 lib64/

# In the order in which they can be loaded; what is built in has no file.
for name in $modules; do
	"$root/sbin/modprobe" -d "$root" -S "$version" --show-depends "$name" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' | while read -r module; do
	cp "$module" modules/
	basename "$module" >>modules/order
done

cp "$root/etc/netconfig" etc/
cat >etc/services <<'TEXT'
sunrpc 111/tcp portmapper
sunrpc 111/udp portmapper
nfs 2049/tcp
nfs 2049/udp
TEXT
printf 'tcp 6 TCP\nudp 17 UDP\n' >etc/protocols
printf 'root:x:0:0:root:/:/bin/sh\nstatd:x:100:65534::/var/lib/nfs:/bin/sh\n_rpc:x:101:65534::/run/rpcbind:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' >etc/group
printf '127.0.0.1 localhost\n' >etc/hosts
printf 'passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\nrpc: files\nnetgroup: files\n' >etc/nsswitch.conf
cp "$root/etc/rpc" etc/ 2>/dev/null || printf 'portmapper 100000\nnfs 100003\nmountd 100005\nnlockmgr 100021\nstatus 100024\n' >etc/rpc
cp "$here/init" init
cp "$here/nfs.sh" etc/nfs.sh
chmod 755 init
find . | "$root/bin/busybox" cpio -o -H newc -R 0:0 >"$out"
