#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# compare.sh SOURCE BUILD [all] - does bench/compare.sh measure every point of
# every peer, and say why it has none of the others? Without "all" the peers that
# need nothing installed: a sanitizer would judge the others' libraries.
set -uo pipefail

source=$1
build=$2
which=${3:-own}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

skip()
{
	echo "$*"
	exit 77
}

wrong()
{
	echo "$*" >&2
	bad=1
}

command -v jq >/dev/null || skip "jq is missing: tests/packages.sh test"
[ "$(nproc)" -ge 2 ] || skip "two processors are needed"

compare()
{
	"$source/bench/compare.sh" --quick --time 5 --figures none "$@" \
		>"$work/table" 2>"$work/errors"
}

# ---- every point ----------------------------------------------------------

peers=vmb,unix,tcp,floor
if [ "$which" = all ]; then
	command -v ucx_perftest >/dev/null && peers=$peers,ucx
	command -v mpirun >/dev/null && [ -x "$build/bench/peers/peer-mpi" ] &&
		peers=$peers,mpi
	[ -x "$build/bench/peers/peer-fabric" ] && peers=$peers,fabric
fi

# points IMPL: test, size, wait, memory of each line that must be there
points()
{
	local size memory memories=null wait=block

	case $1 in
	vmb-local) memories='malloc alloc' ;;
	floor) memories='malloc alloc' ;;
	mpi | fabric) wait=spin ;;
	esac
	for size in 0 8 4096 65536; do
		case $1/$size in
		unix/0 | tcp/0) ;;
		floor/65536) echo "latency $size spin malloc"
			echo "latency $size spin alloc" ;;
		vmb-local/*) echo "latency $size spin malloc" ;;
		*) echo "latency $size spin null" ;;
		esac
	done
	for memory in $memories; do
		for size in 65536 1048576; do
			echo "bandwidth $size spin $memory"
			case $1 in # from one buffer as well
			ucx) ;;
			*) echo "bandwidth $size spin $memory" ;;
			esac
		done
	done
	memory=null
	[ "$1" != vmb-local ] || memory=malloc
	echo "rate 8 spin $memory"
	[ $wait = spin ] || echo "latency 8 block $memory"
	[ "$1" = floor ] || echo "idle 8 $wait null"
}

every_point()
{
	local impl status

	compare --programs "$build/bench" --peers $peers --json "$work/lines" \
		--raw "$work/raw"
	status=$?
	[ $status = 0 ] || { wrong "exit status $status"; cat "$work/errors"; }
	for impl in ${peers//,/ }; do
		[ "$impl" != vmb ] || impl=vmb-local
		points "$impl" | sort >"$work/expected"
		jq -r --arg impl "$impl" 'select(.impl == $impl)
			| "\(.test) \(.size) \(.wait) \(.memory)"' \
			"$work/lines" | sort >"$work/found"
		diff "$work/expected" "$work/found" >"$work/diff" ||
			wrong "points of $impl: $(cat "$work/diff")"
	done
}

# What a line must have, whoever it is of.
every_line()
{
	jq -e -s 'all(.bench == "compare" and .rounds.count == 2
		and (.rounds | .min <= .median and .median <= .max)
		and (.test == "idle" or .rounds.min > 0)
		and (.commit | type) == "string" and .cpus >= 2)' \
		"$work/lines" >/dev/null || wrong "a line lacks something"
	jq -e -s 'map(select(.impl != "vmb-local" and .impl != "floor"
			     and .test != "idle"))
		| length > 0 and all(.ratio | [.[]] | length > 0
			and all(.median > 0 and .min <= .max))' \
		"$work/lines" >/dev/null || wrong "a peer has no ratio"
	[ "$(jq -s 'map(.round) | unique == [1, 2]' "$work/raw")" = true ] ||
		wrong "the raw lines are not of two rounds"
}

# A row a point of ours, and a cell for each peer in each row but 0 B.
every_row()
{
	local row

	while read -r row; do
		grep -qF "| $row" "$work/table" || wrong "no row: $row"
	done <<-'END'
	0 B one way
	8 B one way
	4 KiB one way
	64 KiB one way
	8 B one way, blocking
	64 KiB one after another
	64 KiB one after another, `vmb_alloc`
	64 KiB one after another, one buffer
	64 KiB one after another, one buffer, `vmb_alloc`
	1 MiB one after another
	1 MiB one after another, `vmb_alloc`
	8 B messages, window 64
	idle, of one process and its daemon
	END
	awk -F'|' '/^\| what/ {
		for (i = 4; i < NF; i++) {
			if ($i ~ /^ floor *$/) floor = i
			if ($i ~ /^ UCX *$/) ucx = i
		}
	}
	/^\| [0-9].* (one way|one after|messages)/ &&
		!/blocking/ && !/^\| 0 B/ {
			# UCX has one buffer
			none = /one after/ && !/one buffer/ ? ucx : 0
			for (i = 4; i < NF; i++)
				if (i != none && $i ~ /^ *- *$/) { print "empty: " $0; bad = 1 }
		} END { exit bad }' "$work/table" || wrong "a cell is empty"
	[ $bad = 0 ] || cat "$work/table" >&2
}

# ---- what is not there ----------------------------------------------------

# A build without peer-mpi, and a ucx_perftest that cannot.
missing_named()
{
	local status

	mkdir -p "$work/build/bench/peers" "$work/bin"
	ln -s "$build/xen-ctl" "$work/build/xen-ctl"
	ln -s "$build"/bench/vmb-* "$work/build/bench"
	ln -s "$build"/bench/peers/peer-{unix,tcp} "$work/build/bench/peers"
	printf '#!/bin/sh\necho "no such transport" >&2\nexit 1\n' \
		>"$work/bin/ucx_perftest"
	printf '#!/bin/sh\nexit 1\n' >"$work/bin/mpirun"
	chmod +x "$work"/bin/*
	PATH=$work/bin:$PATH compare --programs "$work/build/bench" \
		--peers unix,ucx,mpi --json "$work/some"
	status=$?
	[ $status = 2 ] || wrong "exit status $status, not 2, with peers missing"
	grep -q '^Not measured: ucx (failed in round 1: no such transport)' \
		"$work/table" || wrong "ucx is not named"
	grep -q '^Not measured: mpi (peer-mpi was not built' "$work/table" ||
		wrong "mpi is not named"
	[ "$(jq -s 'map(.impl) | unique == ["unix"]' "$work/some")" = true ] ||
		wrong "unix was not measured all the same"
	[ $bad = 0 ] || cat "$work/table" "$work/errors" >&2
}

# refused TEXT OPTION...: exit status 1, and says TEXT
refused()
{
	local text=$1 status
	shift

	compare --programs "$build/bench" "$@"
	status=$?
	[ $status = 1 ] && grep -q -- "$text" "$work/errors" ||
		wrong "$*: exit status $status, $(cat "$work/errors")"
}

every_point
every_line
every_row
missing_named
refused "no such peer: pigeon" --peers unix,pigeon
refused "two different processors" --cpu 1,1
refused "must be a number from 1 to 100" --rounds 0
refused "needs a value" --peers
refused "no folder" --programs "$work/nowhere"
[ $bad = 0 ] || exit 1
echo "every point of $peers is there"
