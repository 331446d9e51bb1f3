#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# plot.sh - draw JSON lines of the benches: [--figure FIGURE] LINES OUTPUT
#
# OUTPUT ends with .svg or .png. Figures:
#   sweep      latency and bandwidth by size, one curve per test: the lines of
#              vmb-perf and vmb-pingpong (default)
#   latency    one way by size, one curve per peer    } the lines of
#   bandwidth  by size, one curve per peer            } compare.sh
#   rate       messages per second, one bar per peer  }
set -euo pipefail

fail() {
	echo "plot.sh: $*" >&2
	exit 1
}

figure=sweep
if [ "${1:-}" = --figure ] && [ $# -gt 1 ]; then
	figure=$2
	shift 2
fi
if [ $# -ne 2 ] || [ ! -r "$1" ]; then
	echo "Usage: bench/plot.sh [--figure sweep|latency|bandwidth|rate]" \
		"LINES.json OUTPUT.svg|OUTPUT.png" >&2
	exit 1
fi
for program in jq gnuplot; do
	command -v $program >/dev/null ||
		fail "$program is needed: apt-get install jq gnuplot-nox"
done
lines=$1 output=$2
[[ $output == *.svg || $output == *.png ]] ||
	fail "OUTPUT must end with .svg or .png, not $output"
modules=$(dirname "$(realpath "$0")")/compare
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT

# gnuplot's terminal, by the ending; $1: width,height in points
terminal() {
	case $output in
	*.svg) echo "svg noenhanced size $1 font 'DejaVu Sans,13' background 'white'" ;;
	*.png) echo "pngcairo noenhanced size $1 font 'DejaVu Sans,10' background 'white'" ;;
	esac
}

# jq program over the lines, with the names of the peers
query() {
	jq -r -s -L "$modules" "include \"names\"; $1" "$lines"
}

# Colours that colour-blind people can tell apart; ours is the thick one.
styles="set style line 1 lc rgb '#d55e00' lw 3.5 pt 7 ps 0.9
set style line 2 lc rgb '#0072b2' lw 2 pt 5 ps 0.8
set style line 3 lc rgb '#009e73' lw 2 pt 9 ps 1
set style line 4 lc rgb '#cc79a7' lw 2 pt 11 ps 1
set style line 5 lc rgb '#56b4e9' lw 2 pt 13 ps 1
set style line 6 lc rgb '#e69f00' lw 2 pt 3 ps 0.9
set style line 7 lc rgb '#777777' lw 2 dt 2 pt 1 ps 0.7
set style line 8 lc rgb '#d55e00' lw 2 dt 4 pt 6 ps 0.9
set grid lc rgb '#dddddd' lt 1
set pointintervalbox 0
set border 3
set tics nomirror"

# Tics that say "4 KiB", at every second power of two from 64 B on
sizes="'8 B' 8,"
for ((power = 6; power <= 30; power += 2)); do
	case $((power / 10)) in
	0) sizes="$sizes'$((1 << power)) B' $((1 << power))," ;;
	1) sizes="$sizes'$((1 << (power - 10))) KiB' $((1 << power))," ;;
	*) sizes="$sizes'$((1 << (power - 20))) MiB' $((1 << power))," ;;
	esac
done
by_size="set logscale x 2
set logscale y
set xlabel 'size of a message'
set xtics (${sizes%,})
set autoscale xfix
$styles"

# ---- one curve per test ----------------------------------------------------

# points TEST VALUE: size and value of each line of a test, by size
points() {
	query ".[] | select(.test == \"$1\" and .size > 0) | [.size, $2] | @tsv" |
		sort -n >"$data/$1"
	[ -s "$data/$1" ] || rm "$data/$1"
}

# curves TEST...: the plot arguments of those that were measured
curves() {
	local test style=1

	for test; do
		if [ -e "$data/$test" ]; then
			printf "%s'%s' with linespoints ls %d title '%s'" \
				"${sep:-}" "$data/$test" $style "$test"
			sep=", " style=$((style + 1))
		fi
	done
}

draw_sweep() {
	local left right

	points latency '.lat_ns.p50 / 1000'
	points bandwidth .bw_MBps
	points bidirectional .bw_MBps
	left=$(sep="" curves latency)
	right=$(sep="" curves bandwidth bidirectional)
	[ -n "$left$right" ] || fail "no points in $lines"
	gnuplot <<-EOF
	set terminal $(terminal 1000,420)
	set output '$output'
	set multiplot layout 1,2
	$by_size
	set key left top
	set ylabel 'one way, p50, microseconds'
	${left:+plot $left}
	set ylabel 'MB/s'
	${right:+plot $right}
	EOF
}

# ---- one curve per peer ----------------------------------------------------

# Streams from one buffer where there are any: everybody has those.
has_one_buffer() {
	[ "$(query 'any(.test == "bandwidth" and .one_buffer == true)')" = true ]
}

in_figure() {
	local one=false

	[ "$figure" != bandwidth ] || ! has_one_buffer || one=true
	echo ".test == \"$figure\" and .wait == \"spin\"
		and (.test != \"bandwidth\" or (.one_buffer // false) == $one)"
}

# Who was measured: style, name of the curve, jq filter of its lines. Ours from
# vmb_alloc memory is a curve of its own.
peers() {
	query "
		map(select($in_figure))
		| (map([.impl, .memory]) | unique) as \$have
		| order | to_entries[] | .key as \$i | .value as \$impl
		| if \$impl == ours then
			([1, null, \"\"], [1, \"malloc\", \"\"],
			 [8, \"alloc\", \", vmb_alloc memory\"])
			| . as [\$style, \$memory, \$more]
			| select(\$have | any(. == [ours, \$memory]))
			| [\$style, (ours | title) + \$more,
			   \".impl == ours and .memory == \(\$memory | tojson)\"]
		  elif \$have | any(.[0] == \$impl) then
			[\$i + 1, (\$impl | title),
			 \".impl == \\\"\(\$impl)\\\" and .memory != \\\"alloc\\\"\"]
		  else empty end
		| @tsv"
}

# peers_query: their data, in thousandths: size, median, least, most
peers_query() {
	local style title filter

	: >"$data/all"
	while IFS=$'\t' read -r style title filter; do
		query "map(select($in_figure and .size > 0 and ($filter)))
			| sort_by(.size)[] | .rounds as \$r
			| [.size, (\$r | .median, .min, .max | . / 1000)] | @tsv" \
			>"$data/$style"
		[ -s "$data/$style" ] || continue
		cat "$data/$style" >>"$data/all"
		printf '%s\t%s\n' "$style" "$title" >>"$data/curves"
	done < <(peers)
}

# The plot arguments: the spread of all beneath the curves of all.
peers_plot() {
	local style title

	while IFS=$'\t' read -r style title; do
		printf "'%s' using 1:2:3:4 with yerrorbars ls %d lw 1 dt 1 pt -1 notitle, " \
			"$data/$style" "$style"
	done <"$data/curves"
	while IFS=$'\t' read -r style title; do
		printf "'%s' using 1:2 with linespoints ls %d title '%s', " \
			"$data/$style" "$style" "$title"
	done <"$data/curves"
}

# range COLUMN COLUMN FACTOR: from the least of one to the greatest of the other,
# with a margin
range() {
	awk -v low="$1" -v high="$2" -v factor="$3" '
		NR == 1 { min = $low }
		$low < min { min = $low }
		$high > max { max = $high }
		END { print min / factor ":" max * factor }' "$data/all"
}

draw_by_peer() {
	local title=$1 ylabel=$2 xrange yrange plot in_figure

	in_figure=$(in_figure)
	peers_query
	[ -s "$data/all" ] || fail "no points of $figure in $lines"
	xrange=$(range 1 1 1.15)
	yrange=$(range 3 4 1.3)
	plot=$(peers_plot)
	gnuplot <<-EOF
	set terminal $(terminal 900,520)
	set output '$output'
	$by_size
	set title '$title (median, least and greatest of the rounds)'
	set key outside right center reverse Left
	set ylabel '$ylabel'
	set xrange [$xrange]
	set yrange [$yrange]
	set ytics (0.01,0.02,0.05,0.1,0.2,0.5,1,2,5,10,20,50,100,200,500,1000)
	plot ${plot%, }
	EOF
}

draw_rate() {
	query "map(select(.test == \"rate\" and .impl != \"floor\"))
		| . as \$lines | order[] | . as \$impl
		| (\$lines[] | select(.impl == \$impl)) | .rounds
		| [(\$impl | title), (.median, .min, .max | . / 1000000),
		   (if \$impl == ours then 14048768 else 29362 end)] | @tsv" \
		>"$data/rate"
	[ -s "$data/rate" ] || fail "no points of rate in $lines"
	gnuplot <<-EOF
	set terminal $(terminal 900,420)
	set output '$output'
	$styles
	unset grid
	set grid y lc rgb '#dddddd' lt 1
	set title '8 B messages per second, 64 under way (median, least and greatest of the rounds)'
	set ylabel 'million a second'
	set yrange [0:*]
	set offsets graph 0, graph 0, graph 0.12, 0
	set boxwidth 0.6
	set style fill solid 0.85 noborder
	set datafile separator tab
	plot '$data/rate' using 0:2:5:xtic(1) with boxes lc rgb variable notitle, \
	     '' using 0:2:3:4 with yerrorbars lc rgb '#333333' lw 1.5 pt 7 ps 0.5 notitle, \
	     '' using 0:4:(sprintf('%.3g', \$2)) with labels offset 0,0.8 notitle
	EOF
}

case $figure in
sweep) draw_sweep ;;
latency) draw_by_peer 'One way, spinning, two processors of one machine' microseconds ;;
bandwidth)
	buffers='each in a buffer of its own'
	! has_one_buffer || buffers='in one buffer'
	draw_by_peer "One after another, up to 64 under way $buffers" GB/s
	;;
rate) draw_rate ;;
*) fail "no such figure: $figure" ;;
esac
