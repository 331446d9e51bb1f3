#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# plot.sh - draw latency and bandwidth by size from the JSON lines of vmb-perf
# and vmb-pingpong, one curve per test: plot.sh LINES OUTPUT.svg
set -euo pipefail

if [ $# -ne 2 ] || [ ! -r "$1" ]; then
	echo "Usage: bench/plot.sh LINES.json OUTPUT.svg" >&2
	exit 1
fi
for program in jq gnuplot; do
	command -v $program > /dev/null ||
		{ echo "plot.sh: $program is needed: apt-get install jq gnuplot-nox" >&2; exit 1; }
done
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT

# points TEST VALUE: size and value of each line of a test, by size
points() {
	jq -r "select(.test == \"$1\" and .size > 0) | [.size, $2] | @tsv" "$lines" |
		sort -n > "$data/$1"
	[ -s "$data/$1" ] || rm "$data/$1"
}

lines=$1
points latency '.lat_ns.p50 / 1000'
points bandwidth .bw_MBps
points bidirectional .bw_MBps

# curves TEST...: the plot arguments of those that were measured
curves() {
	local test

	for test; do
		if [ -e "$data/$test" ]; then
			printf "%s'%s' with linespoints title '%s'" \
				"${sep:-}" "$data/$test" "$test"
			sep=", "
		fi
	done
}

left=$(sep="" curves latency)
right=$(sep="" curves bandwidth bidirectional)
[ -n "$left$right" ] || { echo "plot.sh: no points in $1" >&2; exit 1; }
gnuplot <<EOF
set terminal svg size 1000,420
set output '$2'
set multiplot layout 1,2
set logscale xy
set xlabel 'bytes'
set grid
set key left top
set ylabel 'one way, p50, microseconds'
${left:+plot $left}
set ylabel 'MB/s'
${right:+plot $right}
EOF
