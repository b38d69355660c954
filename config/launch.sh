#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Start `sluice push` on CPUs of its own: reserve hugepages, choose NUMA-local cores, pin each stage, keep everything else off
# them. Settings: launch.conf beside this script, or --conf FILE.
#
# SL_SYSFS and SL_ALLOWED_CPUS replace /sys and the affinity mask, so that tests can show it other machines.
set -u

here=$(dirname "$(readlink -f "$0")")
conf=$here/launch.conf
dry_run=no
sys=${SL_SYSFS:-/sys}

usage() {
	echo "usage: launch.sh [--conf FILE] [--dry-run] [-- SLUICE-PUSH-OPTION...]"
	echo "Reserves hugepages, prints which stage runs on which CPU, then becomes sluice push."
	echo "Exit status 2: the settings ask for CPUs or memory that this process can't have."
}

refuse() {
	echo "launch.sh: $*" >&2
	exit 2
}

while [ $# -gt 0 ]; do
	case $1 in
	--conf)
		[ $# -ge 2 ] || refuse "--conf needs a file"
		conf=$2
		shift
		;;
	--dry-run) dry_run=yes ;;
	--help | -h)
		usage
		exit 0
		;;
	--)
		shift
		break
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
	shift
done

SETTINGS="CONFIG STORE STATE_DIR LOG_DIR PUSH_OPTIONS SLUICE CPUS NUMA_NODE FILTERS WRITERS MAP HELPER_CPUS POLL HUGEPAGES_MB
HUGEPAGE_KB"
CONFIG='' STORE='' STATE_DIR='' LOG_DIR='' PUSH_OPTIONS='' SLUICE=${SLUICE:-}
CPUS='' NUMA_NODE='' FILTERS='' WRITERS='' MAP='' HELPER_CPUS='' POLL='' HUGEPAGES_MB='' HUGEPAGE_KB=''
if [ ! -f "$conf" ] || [ ! -r "$conf" ]; then
	refuse "$conf: can't be read; name another with --conf FILE"
fi

# A misspelt setting would be passed over without a word.
while IFS=: read -r line name; do
	case " ${SETTINGS//$'\n'/ } " in
	*" $name "*) ;;
	*) refuse "$conf:$line: no setting '$name'; there are ${SETTINGS//$'\n'/ }" ;;
	esac
done < <(grep -noE '^[[:space:]]*[A-Za-z_][A-Za-z_0-9]*=' "$conf" | tr -d ' \t=')

# Without a slash "." would look in PATH first.
case $conf in
*/*) ;;
*) conf=./$conf ;;
esac
# shellcheck source=config/launch.conf
. "$conf" || refuse "$conf: not a shell file of VARIABLE=value lines"

POLL=${POLL:-no}
HUGEPAGES_MB=${HUGEPAGES_MB:-512}
HUGEPAGE_KB=${HUGEPAGE_KB:-2048}
case $POLL in
yes | no) ;;
*) refuse "POLL: '$POLL' is neither yes nor no" ;;
esac
if [ -z "$SLUICE" ]; then
	SLUICE=$(readlink -f "$here/../build/app/sluice")
	[ -x "$SLUICE" ] || SLUICE=$(command -v sluice) || refuse "no sluice beside this script nor in PATH; set SLUICE in $conf"
elif ! command -v "$SLUICE" >/dev/null; then
	refuse "SLUICE: there is no program '$SLUICE'"
fi

# ---------------------------------------------------------------- CPU lists

# expand LIST NAME: "0,2-4" -> "0 2 3 4"
expand() {
	local part low high out=()
	local -A taken=()

	for part in ${1//,/ }; do
		case $part in
		*[!0-9-]* | -* | *- | *-*-* | *[0-9][0-9][0-9][0-9][0-9]*) refuse "$2: '$1' is not a CPU list such as 2-7,10" ;;
		esac
		# 10#: a leading 0 does not mean octal.
		low=$((10#${part%-*}))
		high=$((10#${part#*-}))
		[ "$low" -le "$high" ] || refuse "$2: '$part' runs backwards"
		while [ "$low" -le "$high" ]; do
			[ -n "${taken[$low]:-}" ] || out+=("$low")
			taken[$low]=1
			low=$((low + 1))
		done
	done
	echo "${out[*]}"
}

# has "0 2 3" 2
has() {
	case " $1 " in
	*" $2 "*) return 0 ;;
	esac
	return 1
}

# both "0 1 2" "1 2 3" -> "1 2"
both() {
	local cpu out=()

	for cpu in $1; do
		if has "$2" "$cpu"; then
			out+=("$cpu")
		fi
	done
	echo "${out[*]}"
}

# minus "0 1 2" "1" -> "0 2"
minus() {
	local cpu out=()

	for cpu in $1; do
		if ! has "$2" "$cpu"; then
			out+=("$cpu")
		fi
	done
	echo "${out[*]}"
}

list() {
	local IFS=,

	# shellcheck disable=SC2086 # words become a comma list
	set -- ${1// /,}
	echo "$*"
}

read_sys() {
	cat "$sys/$1" 2>/dev/null
}

count() {
	# shellcheck disable=SC2086 # words are counted
	set -- $1
	echo $#
}

# ---------------------------------------------------------------- what this process may use

if [ -n "${SL_ALLOWED_CPUS:-}" ]; then
	mask=$(expand "$SL_ALLOWED_CPUS" SL_ALLOWED_CPUS) || exit 2
else
	mask=$(expand "$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)" "Cpus_allowed_list") || exit 2
fi
online=$(expand "$(read_sys devices/system/cpu/online)" online) || exit 2
isolated=$(both "$(expand "$(read_sys devices/system/cpu/isolated)" isolated)" "$online")
allowed=$mask

# The kernel leaves isolated CPUs out of every default mask. A mask that is exactly "all the others" is that default, and then
# the isolated CPUs are there to be asked for, unless the cpuset withholds them.
if [ -n "$isolated" ] && [ "$(minus "$online" "$isolated")" = "$mask" ]; then
	if [ -n "${SL_ALLOWED_CPUS:-}" ]; then
		allowed=$(both "$online" "$mask $isolated")
	else
		# The kernel cuts a mask down to the cpuset: what is left of "all" is what may be used.
		allowed=$(taskset -c "$(list "$online")" sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status) &&
			allowed=$(expand "$allowed" "Cpus_allowed_list") || allowed=$mask
	fi
fi
isolated=$(both "$isolated" "$allowed")

node_of_cpu() {
	local node

	for node in "$sys"/devices/system/node/node[0-9]*; do
		if [ -r "$node/cpulist" ] && has "$(expand "$(cat "$node/cpulist")" "$node/cpulist")" "$1"; then
			echo "${node##*/node}"
			return
		fi
	done
	echo 0
}

node_cpus() {
	if [ -r "$sys/devices/system/node/node$1/cpulist" ]; then
		expand "$(read_sys "devices/system/node/node$1/cpulist")" "node $1"
	else
		echo "$online"
	fi
}

choose_node() {
	local device node best=0 most=-1 n

	# The disk of the store; sysfs says -1 where there is one node only.
	if [ -n "$STORE" ] && device=$(stat -c '%Hd:%Ld' "$STORE" 2>/dev/null) && [ -e "$sys/dev/block/$device" ]; then
		device=$(readlink -f "$sys/dev/block/$device")
		while [ "$device" != / ] && [ "$device" != "$sys" ]; do
			if [ -r "$device/numa_node" ]; then
				node=$(cat "$device/numa_node")
				if [ "$node" -ge 0 ] && [ -n "$(both "$(node_cpus "$node")" "$allowed")" ]; then
					echo "$node"
					return
				fi
				break
			fi
			device=$(dirname "$device")
		done
	fi
	for node in "$sys"/devices/system/node/node[0-9]*; do
		[ -d "$node" ] || continue
		node=${node##*/node}
		n=$(count "$(both "$(node_cpus "$node")" "${isolated:-$allowed}")")
		if [ "$n" -gt "$most" ]; then
			most=$n
			best=$node
		fi
	done
	echo "$best"
}

# cores_first CPUS: one thread of each core, then the other threads.
cores_first() {
	local cpu sibling first=() second=() seen=''

	for cpu in $1; do
		if has "$seen" "$cpu"; then
			second+=("$cpu")
			continue
		fi
		first+=("$cpu")
		for sibling in $(expand "$(read_sys "devices/system/cpu/cpu$cpu/topology/thread_siblings_list")" siblings); do
			seen="$seen $sibling"
		done
	done
	echo "${first[*]} ${second[*]}"
}

# ---------------------------------------------------------------- the map

[ -n "$NUMA_NODE" ] || NUMA_NODE=$(choose_node)
case $NUMA_NODE in
*[!0-9]*) refuse "NUMA_NODE: '$NUMA_NODE' is not a number" ;;
esac
# A kernel without NUMA has no nodes at all; 0 is then the machine.
if [ "$NUMA_NODE" != 0 ] && [ ! -d "$sys/devices/system/node/node$NUMA_NODE" ]; then
	refuse "NUMA_NODE: there is no node $NUMA_NODE (nodes: $(read_sys devices/system/node/online || echo 0))"
fi

may_use() { # CPU NAME
	has "$online" "$1" || refuse "$2: CPU $1 is not online (online: $(list "$online"))"
	has "$allowed" "$1" || refuse "$2: CPU $1 is outside the affinity mask or cpuset (allowed: $(list "$allowed"))"
}

choose_map() {
	local cpus n filters writers i map

	if [ -n "$CPUS" ]; then
		cpus=$(expand "$CPUS" CPUS) || exit 2
		for i in $cpus; do
			may_use "$i" CPUS
		done
	elif [ -n "$isolated" ]; then
		cpus=$(both "$isolated" "$(node_cpus "$NUMA_NODE")")
		cpus=$(cores_first "${cpus:-$isolated}")
	else
		cpus=$(both "$(node_cpus "$NUMA_NODE")" "$allowed")
		[ -n "$cpus" ] || refuse "NUMA_NODE: no CPU of node $NUMA_NODE is allowed (allowed: $(list "$allowed"))"
		if [ "$(count "$cpus")" -ge 3 ]; then
			# The lowest CPU is the system's: interrupts, helpers.
			cpus=$(minus "$cpus" "${cpus%% *}")
		fi
		cpus=$(cores_first "$cpus")
	fi
	cpus=$(minus "$cpus" "$(expand "$HELPER_CPUS" HELPER_CPUS)") || exit 2
	n=$(count "$cpus")
	[ "$n" -gt 0 ] || refuse "no CPU is left for the stages: HELPER_CPUS takes all of them"

	writers=$WRITERS
	filters=$FILTERS
	case $writers$filters in
	*[!0-9]* | *[0-9][0-9][0-9][0-9][0-9][0-9]*) refuse "FILTERS and WRITERS are numbers of lcores" ;;
	esac
	[ "$((10#0$writers))" -gt 0 ] || [ -z "$writers" ] || refuse "WRITERS: there must be one at least"
	[ "$((10#0$filters))" -gt 0 ] || [ -z "$filters" ] || refuse "FILTERS: there must be one at least"
	# shellcheck disable=SC2086 # one word a CPU
	set -- $cpus
	if [ -z "$filters$writers" ] && [ "$n" = 1 ]; then
		echo "all@$1"
		return
	fi
	if [ -z "$filters$writers" ] && [ "$n" = 2 ]; then
		echo "reader+filter@$1,filter+writer@$2"
		return
	fi
	if [ -z "$filters$writers" ] && [ "$n" = 3 ]; then
		echo "reader+filter@$1,filter@$2,filter+writer@$3"
		return
	fi
	[ -n "$writers" ] || writers=$(((((n - 1) * 4) + 7) / 14))
	[ "$writers" -ge 1 ] || writers=1
	[ -n "$filters" ] || filters=$((n - 1 - writers))
	[ "$filters" -ge 1 ] || filters=1
	[ $((1 + filters + writers)) -le "$n" ] ||
		refuse "1 reader, $filters filter and $writers writer lcores need $((1 + filters + writers)) CPUs, but there are $n: $(list "$cpus")"
	map=reader@$1
	shift
	for ((i = 0; i < filters; i++)); do
		map=$map,filter@$1
		shift
	done
	for ((i = 0; i < writers; i++)); do
		map=$map,writer@$1
		shift
	done
	echo "$map"
}

stage_cpus=''
check_map() {
	local entry stages cpu word readers=0 filters=0 writers=0 entries=() IFS=$' \t\n'

	for entry in ${MAP//,/ }; do
		case $entry in
		*@*) ;;
		*) refuse "MAP: '$entry' is not STAGES@CPU" ;;
		esac
		stages=${entry%@*}
		cpu=${entry#*@}
		case $cpu in
		'' | *[!0-9]* | ??????*) refuse "MAP: '$entry': '$cpu' is not a CPU number" ;;
		esac
		cpu=$((10#$cpu))
		entries+=("$stages@$cpu")
		may_use "$cpu" "MAP: '$entry'"
		for word in ${stages//+/ }; do
			case $word in
			reader) readers=$((readers + 1)) ;;
			filter) filters=$((filters + 1)) ;;
			writer) writers=$((writers + 1)) ;;
			all)
				readers=$((readers + 1))
				filters=$((filters + 1))
				writers=$((writers + 1))
				;;
			*) refuse "MAP: '$entry': no stage '$word' (reader, filter, writer, all)" ;;
			esac
		done
		if has "$stage_cpus" "$cpu"; then
			[ "$POLL" != yes ] || refuse "POLL=yes: CPU $cpu carries more than one lcore, which would starve each other"
		else
			stage_cpus="$stage_cpus $cpu"
		fi
	done
	[ "$readers" = 1 ] || refuse "MAP: $readers readers in '$MAP'; there must be one"
	[ "$filters" -ge 1 ] || refuse "MAP: no filter in '$MAP'"
	[ "$writers" -ge 1 ] || refuse "MAP: no writer in '$MAP'"
	IFS=,
	MAP="${entries[*]}"
}

if [ -z "$MAP" ]; then
	MAP=$(choose_map) || exit 2
fi
check_map
stage_cpus=${stage_cpus# }

shared=no
if [ -n "$HELPER_CPUS" ]; then
	helpers=$(expand "$HELPER_CPUS" HELPER_CPUS) || exit 2
	for cpu in $helpers; do
		may_use "$cpu" HELPER_CPUS
	done
	[ -z "$(both "$helpers" "$stage_cpus")" ] ||
		refuse "HELPER_CPUS: CPU $(list "$(both "$helpers" "$stage_cpus")") carries a stage already ($MAP)"
else
	# Isolated CPUs are for stages only, also those that no stage uses.
	helpers=$(minus "$(minus "$allowed" "$isolated")" "$stage_cpus")
	[ -n "$helpers" ] || helpers=$(minus "$allowed" "$stage_cpus")
	if [ -z "$helpers" ]; then
		[ "$POLL" != yes ] || refuse "POLL=yes: every allowed CPU polls, so none is left for the main thread and helpers"
		helpers=$stage_cpus
		shared=yes
	fi
fi

# ---------------------------------------------------------------- hugepages and locked memory

case $HUGEPAGES_MB$HUGEPAGE_KB in
*[!0-9]*) refuse "HUGEPAGES_MB and HUGEPAGE_KB are numbers" ;;
esac
if [ ${#HUGEPAGES_MB} -gt 9 ] || [ ${#HUGEPAGE_KB} -gt 9 ] || [ "$((10#$HUGEPAGE_KB))" = 0 ]; then
	refuse "HUGEPAGES_MB=$HUGEPAGES_MB of HUGEPAGE_KB=$HUGEPAGE_KB can't be"
fi
HUGEPAGES_MB=$((10#$HUGEPAGES_MB))
HUGEPAGE_KB=$((10#$HUGEPAGE_KB))
pool=$sys/devices/system/node/node$NUMA_NODE/hugepages/hugepages-${HUGEPAGE_KB}kB
[ -d "$pool" ] || pool=$sys/kernel/mm/hugepages/hugepages-${HUGEPAGE_KB}kB
huge=no
huge_text="none wanted"

reserve_hugepages() {
	local want total free memory

	want=$(((HUGEPAGES_MB * 1024 + HUGEPAGE_KB - 1) / HUGEPAGE_KB))
	if [ ! -r "$pool/nr_hugepages" ]; then
		huge_text="this kernel has none of $HUGEPAGE_KB kB"
		return
	fi
	total=$(cat "$pool/nr_hugepages")
	free=$(cat "$pool/free_hugepages")
	if [ "$free" -ge "$want" ]; then
		huge=yes
		huge_text="$free of $HUGEPAGE_KB kB are free on node $NUMA_NODE, $want wanted"
		return
	fi
	# Asked for more than there is, the kernel would first take all there is from everyone else.
	memory=$(sed -n 's/.*MemTotal: *\([0-9]*\) kB/\1/p' "$sys/devices/system/node/node$NUMA_NODE/meminfo" 2>/dev/null)
	if [ -n "$memory" ] && [ $((HUGEPAGES_MB * 1024)) -gt $((memory * 9 / 10)) ]; then
		refuse "HUGEPAGES_MB: $HUGEPAGES_MB of the $((memory / 1024)) MB of node $NUMA_NODE leave nothing for the rest of the system"
	fi
	if [ "$dry_run" = yes ]; then
		huge=yes
		huge_text="$((want - free)) more of $HUGEPAGE_KB kB would be reserved on node $NUMA_NODE ($free free, $want wanted)"
		return
	fi
	# sysfs takes a count for one node, hugeadm one for the machine; both need root.
	if ! { echo $((total + want - free)) >"$pool/nr_hugepages"; } 2>/dev/null && command -v hugeadm >/dev/null; then
		hugeadm --pool-pages-min "${HUGEPAGE_KB}KB:$((total + want - free))" >/dev/null 2>&1
	fi
	free=$(cat "$pool/free_hugepages")
	if [ "$free" -ge "$want" ]; then
		huge=yes
		huge_text="$want of $HUGEPAGE_KB kB reserved on node $NUMA_NODE"
	else
		# Give back what is too little to be of use.
		{ echo "$total" >"$pool/nr_hugepages"; } 2>/dev/null
		huge_text="only $free of the $want wanted could be had on node $NUMA_NODE; ordinary memory is used"
		[ "$(id -u)" = 0 ] || huge_text="$huge_text (only root can reserve more)"
	fi
}

if [ "$HUGEPAGES_MB" -gt 0 ]; then
	reserve_hugepages
fi

# memlock: raise the limit as far as this user may, and print it.
memlock() {
	ulimit -l unlimited 2>/dev/null || ulimit -S -l "$(ulimit -H -l)" 2>/dev/null
	ulimit -l
}

locked=$(memlock)
[ "$dry_run" = yes ] || memlock >/dev/null

# ---------------------------------------------------------------- say it, do it

command=("$SLUICE" push --map "$MAP" --helper-cpus "$(list "$helpers")")
[ -z "$CONFIG" ] || command+=(--config "$CONFIG")
[ -z "$STORE" ] || command+=(--store "$STORE")
[ -z "$STATE_DIR" ] || command+=(--state-dir "$STATE_DIR")
[ -z "$LOG_DIR" ] || command+=(--log-dir "$LOG_DIR")
[ "$POLL" != yes ] || command+=(--poll)
[ "$huge" = yes ] || command+=(--no-huge)
# shellcheck disable=SC2206 # options are words
command+=($PUSH_OPTIONS "$@")

echo "map: $MAP"
for entry in ${MAP//,/ }; do
	cpu=${entry#*@}
	kind=''
	if has "$isolated" "$cpu"; then
		kind=', isolated'
	fi
	printf '  CPU %-3s node %s%s: %s\n' "$cpu" "$(node_of_cpu "$cpu")" "$kind" "${entry%@*}"
done
if [ "$shared" = yes ]; then
	echo "  CPU $(list "$helpers"): main thread, helpers, kernel I/O workers too (no CPU is left for them alone)"
else
	echo "  CPU $(list "$helpers"): main thread, helpers, kernel I/O workers"
fi
echo "hugepages: $huge_text"
if [ "$locked" = unlimited ]; then
	echo "locked memory: unlimited"
else
	echo "locked memory: at most $locked KiB; if sluice can't register buffers, raise it (ulimit -l, LimitMEMLOCK=)"
fi
printf 'command:'
for word in "${command[@]}"; do
	case $word in
	'' | *[!A-Za-z0-9_./,@+:=-]*) printf ' %q' "$word" ;;
	*) printf ' %s' "$word" ;;
	esac
done
echo
[ "$dry_run" = no ] || exit 0
cpus=$(list "$stage_cpus $helpers")
exec taskset -c "$cpus" "${command[@]}"
