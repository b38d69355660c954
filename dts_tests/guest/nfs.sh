# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=dash
# An NFS server and its clients in one guest. Sourced by the scripts that a test sends.

EXPORTS=/export

# A disk of its own for the server: what it has said is stable survives its unmounting.
make_exports() { # NAME...: one export each
	local id=1 name

	truncate -s 400M /tmp/disk
	/sbin/mke2fs -q -F -t ext4 -O ^has_journal -E lazy_itable_init=1 -m 0 /tmp/disk || return 1
	mkdir -p $EXPORTS
	mount -o loop /tmp/disk $EXPORTS || return 1
	: >/etc/exports
	for name in "$@"; do
		mkdir -p "$EXPORTS/$name"
		echo "$EXPORTS/$name *(rw,sync,no_root_squash,no_subtree_check,insecure,fsid=$id)" >>/etc/exports
		id=$((id + 1))
	done
}

# What a boot does once: a server with an export of each name.
first_start() { # NAME...
	make_exports "$@" || return 1
	mkdir -p /run/rpcbind /run/sendsigs.omit.d /var/lib/nfs/sm /var/lib/nfs/sm.bak /var/lib/nfs/nfsdcld \
		/var/lib/nfs/rpc_pipefs /var/lib/nfs/v4recovery /etc/exports.d
	: >/var/lib/nfs/etab
	: >/var/lib/nfs/rmtab
	: >/var/lib/nfs/state
	chown -R statd:nogroup /var/lib/nfs/sm /var/lib/nfs/sm.bak /var/lib/nfs/state
	mount -t rpc_pipefs rpc_pipefs /var/lib/nfs/rpc_pipefs || return 1
	mount -t nfsd nfsd /proc/fs/nfsd || return 1
	# Seconds that a restarted server waits for its clients to claim what they had open: 90 and 50 by default.
	echo 3 >/proc/sys/fs/nfs/nlm_timeout
	echo 3 >/proc/sys/fs/nfs/nlm_grace_period
	rpcbind -w || return 1
	rpc.statd || return 1
	nfsdcld || return 1
	rpc.mountd || return 1
	server_start
}

server_start() {
	grep -q " $EXPORTS " /proc/mounts || mount -o loop /tmp/disk $EXPORTS || return 1
	exportfs -ra || return 1
	rpc.nfsd --grace-time 10 --lease-time 10 4
}

server_stop() { # its file system is unmounted, too
	rpc.nfsd 0 || return 1
	exportfs -ua
	exportfs -f
	# lockd is the client's as well and goes on: it keeps files of v3 open that are locked.
	echo $EXPORTS >/proc/fs/nfsd/unlock_filesystem
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		umount $EXPORTS 2>/dev/null && return 0
		sleep 0.5
	done
	umount $EXPORTS
}

# mount_export NAME VERSION MODE POINT
mount_export() {
	local options

	case $3 in
	soft) options=soft,timeo=20,retrans=1 ;;
	*) options=hard,timeo=50 ;;
	esac
	mkdir -p "$4"
	mount.nfs "localhost:$EXPORTS/$1" "$4" -o "rw,proto=tcp,vers=$2,$options"
}

# What lies below a directory: checksum and name, sorted by name.
sums() {
	(cd "$1" && find . -type f | sort | xargs -r sha256sum)
}
