#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# stop.sh SOURCE BUILD - Ctrl-C while bench/compare.sh measures: it ends, and so
# does everything that it started. What is ours is known by a word in its
# environment.
set -uo pipefail
set -m # a group for each job, which listens to SIGINT, as on a terminal

source=$1
build=$2
word=VMB_STOP_TEST=$$-$RANDOM
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

skip()
{
	echo "$*"
	exit 77
}

command -v jq >/dev/null || skip "jq is missing: tests/packages.sh test"
[ "$(nproc)" -ge 2 ] || skip "two processors are needed"

# Of these processes those that have our word, one a line.
ours()
{
	local pid

	for pid; do
		if { tr '\0' '\n' <"/proc/$pid/environ" |
			grep -qx "$word"; } 2>/dev/null; then
			echo "$pid"
		fi
	done
}

# stop_at SIGNAL STATUS PROGRAM PEERS: when PROGRAM runs
stop_at()
{
	local turns=0 script status left

	# where temporary folders are made, and those of private daemons
	TMPDIR=$work XDG_RUNTIME_DIR=$work env "$word" "$source/bench/compare.sh" --time 2000 --peers "$4" \
		--figures none --programs "$build/bench" >"$work/output" 2>&1 &
	script=$!
	# shellcheck disable=SC2046 # one word a process
	until [ -n "$(ours $(pgrep -x "$3"))" ]; do
		if [ $((turns++)) -gt 600 ] || ! kill -0 $script 2>/dev/null; then
			echo "$3 was never seen" >&2
			cat "$work/output" >&2
			kill -- -$script 2>/dev/null
			bad=1
			return
		fi
		sleep 0.1
	done
	kill -"$1" -- -$script
	wait $script
	status=$?
	[ $status = "$2" ] || { echo "$1: exit status $status, not $2" >&2; bad=1; }
	# a process that is told to end has done so a bit later
	turns=0
	# shellcheck disable=SC2046
	while left=$(ours $(pgrep .)) && [ -n "$left" ] &&
		[ $((turns++)) -lt 200 ]; do
		sleep 0.1
	done
	if [ -n "$left" ]; then
		echo "$1 while $3 ran: still there:" >&2
		# shellcheck disable=SC2086 # one word a process
		ps -o pid,args -p $left >&2
		bad=1
	fi
	left=$(find "$work" -mindepth 1 ! -name output)
	[ -z "$left" ] || { echo "left behind: $left" >&2; bad=1; }
}

stop_at INT 130 peer-unix unix
stop_at TERM 143 vmbd vmb
if [ -x "$build/bench/peers/peer-fabric" ] && [ -n "${3:-}" ]; then
	stop_at INT 130 peer-fabric fabric
	left=$(find /dev/shm -name 'vmb-peer:*' -newer "$work" 2>/dev/null)
	[ -z "$left" ] || { echo "left behind: $left" >&2; bad=1; }
fi
if command -v ucx_perftest >/dev/null && [ -n "${3:-}" ]; then
	stop_at INT 130 ucx_perftest ucx
fi
if command -v mpirun >/dev/null && [ -x "$build/bench/peers/peer-mpi" ] &&
	[ -n "${3:-}" ]; then
	stop_at INT 130 peer-mpi mpi
fi
[ $bad = 0 ] || exit 1
echo "nothing is left"
