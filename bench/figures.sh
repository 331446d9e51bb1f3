#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# figures.sh - measure every figure that docs/performance.md quotes, and print
# a markdown table with the raw JSON lines below it, ready for its section
# "Figures". Nothing is adjusted: a figure that was missed is printed as such.
set -euo pipefail

usage() {
	cat <<-EOF
	Usage: bench/figures.sh [--programs DIR] [-- ARGUMENT...]

	Runs each bench of the table and prints markdown on standard output.

	  --programs DIR  where the bench programs are (default: build/release/bench,
	                  else those in PATH)
	  -- ARGUMENT...  given to every bench, for instance: -- --rounds 9

	Exit status: 0 all figures measured (met or not), 1 a bench failed.
	EOF
}

fail() {
	echo "figures.sh: $*" >&2
	exit 1
}

top=$(cd "$(dirname "$0")/.." && pwd)
programs=
while [ $# -gt 0 ]; do
	case $1 in
	--programs) programs=${2:?--programs needs a folder}; shift ;;
	--help) usage; exit 0 ;;
	--) shift; break ;;
	*) usage >&2; exit 1 ;;
	esac
	shift
done
extra=("$@")
command -v jq > /dev/null || fail "jq is needed: apt-get install jq"
if [ -z "$programs" ] && [ -x "$top/build/release/bench/vmb-perf" ]; then
	programs=$top/build/release/bench
fi
if [ -n "$programs" ]; then
	[ -x "$programs/vmb-perf" ] && [ -x "$programs/vmb-fair" ] ||
		fail "no bench programs in $programs"
	PATH=$(cd "$programs" && pwd):$PATH
fi
command -v vmb-perf > /dev/null || fail "build the project first, or say where with --programs"

lines=$(mktemp -d)
trap 'rm -rf "$lines"' EXIT
failed=0
run_count=0
declare -A run_of

# measure COMMAND: run it once, however many figures read its lines.
measure() {
	[ -z "${run_of[$1]:-}" ] || return 0
	run_count=$((run_count + 1))
	run_of[$1]=$lines/$run_count
	echo "figures.sh: $1" >&2
	# shellcheck disable=SC2086 # the command is words
	if ! $1 --json "$lines/$run_count" "${extra[@]}" > /dev/null; then
		echo "figures.sh: failed: $1" >&2
		failed=1
	fi
}

# figure WHAT COMPARISON LIMIT UNIT FILTER COMMAND: one row. FILTER turns the
# array of lines of COMMAND into one number, or null when it was not measured.
figure() {
	local value met

	measure "$6"
	value=$(jq -s -r "$5" "${run_of[$6]}" 2> /dev/null) || value=null
	if [ "$value" = null ] || [ -z "$value" ]; then
		value="not measured"
		met="-"
	else
		met=$(jq -n -r "if $value $2 $3 then \"yes\" else \"**no**\" end")
		value=$(jq -n -r "$value | . * 1000 | round / 1000")
	fi
	echo "| $1 | $2 $3 $4 | $value $4 | $met | \`$6\` |"
}

table() {
	# what the engine takes: without lanes, which go past it
	export VMB_LANES=0
	local self8='vmb-pingpong --self --sizes 8'
	# an engine that spins through whatever takes its processor away
	local calls='vmb-perf --self --test latency,bandwidth,rate --sizes 0,8,64,4K,64K,1M,4M --engine-spin-us 100000'
	local copy='vmb-perf --self --test latency --sizes 1M --memory alloc'
	local idle='vmb-perf --self --test latency --sizes 8 --endpoints-idle 1000'
	local match='vmb-match --depth 10000'
	local fair='vmb-fair --domains 8 --small 1'
	# a processor for each process, so that the eventfd too wakes another one
	local block='vmb-pingpong --wait block --sizes 8 --cpu 0,1 --engine-cpu 1'
	local mx='vmb-pingpong --self --api both --sizes 8'
	local rate='vmb-perf --self --test rate --sizes 8 --window 64'

	echo "| what | asked | measured | met | command |"
	echo "|---|---|---|---|---|"
	figure "8 B one way, times the cache-line exchange" "<=" 3.0 x \
		'.[0].floor_ratio' "$self8"
	figure "system calls per message, spinning, most of all sizes" "<=" 0 "" \
		'map(.syscalls_per_msg) | if any(. == null) then null else max end' \
		"$calls"
	figure "8 B active messages per second, windowed" ">=" 8000000 /s \
		'.[0].rate_mps' "$rate --am"
	figure "8 B matched messages per second, windowed" ">=" 8000000 /s \
		'.[0].rate_mps' "$rate"
	figure "1 MiB one way from vmb_alloc memory, share of memcpy" ">=" 0.8 "" \
		'1 / .[0].floor_ratio' "$copy"
	figure "8 B one way through MX, times the vmb calls beneath" "<=" 1.03 x \
		'map(select(.api == "mx"))[0].api_ratio' "$mx"
	figure "latency beside 1,000 idle endpoints, times alone" "<=" 1.15 x \
		'map(select(.endpoints_idle > 0))[0].idle_ratio' "$idle"
	figure "match the last of 10,000 posted receives, times one" "<=" 2 x \
		'map(select(.test == "posted" and .depth > 1 and .position == "last"))[0].floor_ratio' \
		"$match"
	figure "match the last of 10,000 unexpected messages, times one" "<=" 2 x \
		'map(select(.test == "unexpected" and .depth > 1 and .position == "last"))[0].floor_ratio' \
		"$match"
	figure "endpoint open, p50" "<=" 1000 us \
		'.[0].rounds.median / 1000' "vmb-open"
	figure "endpoint close, p50" "<=" 1000 us \
		'.[1].rounds.median / 1000' "vmb-open"
	figure "engine memory per endpoint" "<=" 256 KiB \
		'map(select(.memory))[0].memory.engine_kib' "vmb-open"
	figure "fairness: Jain index of bytes of 8 domains" ">=" 0.98 "" \
		'map(select(.jain))[0].jain' "$fair"
	figure "fairness: p99 of 64 B in company, times alone" "<=" 3 x \
		'map(select(.alone_ratio))[0].alone_ratio' "$fair"
	figure "blocked: processor time of the busiest process" "<" 1 % \
		'map(.cpu) | max' "vmb-idle"
	figure "8 B blocking ping-pong, times a bare eventfd" "<=" 2 x \
		'.[0].floor_ratio' "$block"
}

# A bench that failed at once has left no file.
lines_found() {
	local n

	for ((n = 1; n <= run_count; n++)); do
		[ ! -s "$lines/$n" ] || echo "$lines/$n"
	done
}

environment() {
	jq -s -r '.[0] | "Commit \(.commit) (\(.build)), \(.time), \(.cpu_model), \(.cpus) processors, Linux \(.kernel); pinned to \(.pin | tojson) (bench, peer, engine); system calls by \(.syscalls_by)."' \
		"${found[0]}"
	echo
	echo "Load average at the end: $(cut -d' ' -f1-3 /proc/loadavg)."
}

table > "$lines/table"
mapfile -t found < <(lines_found)
[ ${#found[@]} -gt 0 ] || fail "nothing was measured"
environment
echo
cat "$lines/table"
echo
echo '<details><summary>The raw lines</summary>'
echo
echo '```json'
cat "${found[@]}"
echo '```'
echo
echo '</details>'
exit $failed
