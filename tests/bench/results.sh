#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# results.sh VMBD PROGRAM... - the benches, short, with a daemon of their own:
# they end well, each point has the fields that the page of the program names,
# and as many messages as were asked for. No time is judged.
#
# Flow:  vmb-fair, vmb-floor, vmb-match, vmb-open, vmb-perf --json -> jq
# Owns:  a folder for the results; the daemons are the programs' own.
set -euo pipefail

vmbd=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

complain()
{
	echo "results: $*" >&2
	bad=1
}

# measure PROGRAM OPTION...: its points in $work/points
measure()
{
	name=$(basename "$1")
	rm -f "$work/points"
	"$1" --daemon "$vmbd" --rounds 1 --count none --quiet "${@:2}" \
		--json "$work/points" >"$work/table" 2>"$work/err" ||
		complain "$name fails: $(cat "$work/err")"
	[ ! -s "$work/err" ] || complain "$name: $(cat "$work/err")"
	# beside JSON in a file there is the table, a line for each point
	[ "$(grep -Ec "$lines" "$work/table")" = "$(wc -l <"$work/points")" ] ||
		complain "$name: the table has other points: $(cat "$work/table")"
}

# so WHAT FILTER: the points, as an array, are so
so()
{
	jq -se "$2" "$work/points" >/dev/null ||
		complain "$name: not so: $1: $(cat "$work/points")"
}

# The columns of an array of points, joined.
common='all(.bench == $b and .impl == "vmb-local" and .daemon == "private" and
	.rounds.count == 1 and (.commit | type) == "string" and
	.syscalls_by == "not counted")'

times='all(.lat_ns | .min > 0 and .min <= .p50 and .p50 <= .p99 and
	.p99 <= .p999 and .p999 <= .max)'

results_fair()
{
	local way

	lines='^(alone|together) '
	for way in "" --get; do
		# shellcheck disable=SC2086 # an option or none
		measure "$1" --domains 3 --small 2 --large-bytes 64K \
			--time 300 $way
		so "all fields" "\"fair\" as \$b | $common"
		so "each small one and a large one alone, all together" \
			'map([.test, .domain, .small]) == [
			["alone", 0, true], ["alone", 1, true],
			["alone", 2, false], ["together", 0, true],
			["together", 1, true], ["together", 2, false]]'
		so "sizes" 'all(.size == (if .small then 64 else 65536 end))'
		so "all moved something" 'all(.iters > 0 and .bw_MBps > 0)'
		so "times of small ones alone" \
			"all(.small == (.lat_ns != null)) and
			(map(select(.small)) | $times)"
		so "indexes, once" \
			'map(select(has("jain"))) | length == 1 and
			(.[0] | .test == "together" and .jain_large == 1 and
			([.jain, .jain_entitled] | all(. > 0 and . <= 1)))'
		so "of one round the least is the median" \
			'map(select(has("jain"))) | all(.jain_min == .jain and
			.jain_large_min == 1 and
			.jain_entitled_min == .jain_entitled)'
	done
}

# The machine alone: no daemon; and system calls, by whatever way there is.
results_floor()
{
	local way

	lines='^(line|wake|memcpy) '
	for way in perf ptrace none; do
		measure "$1" --sizes 64,64K --iters 200 --count $way
		so "all fields" 'all(.bench == "floor" and .iters > 0)'
		so "times" "$times"
		if jq -se 'any(.syscalls_by == "not counted")' "$work/points" \
			>/dev/null; then
			so "nothing is counted" \
				'all(.syscalls == [null, null, null] and
				.syscalls_per_msg == null)'
			continue
		fi
		# both sides write and read for each turn; at the ends one of the
		# peer's may be on the other side of the line
		so "calls of our own" 'all(.iters as $n | .syscalls[0] ==
			if .test == "wake" then 2 * $n else 0 end)'
		so "no engine" 'all(.syscalls[2] == 0)'
		so "calls of the peer, where it could be counted" \
			'all(.iters as $n | .test as $t | .syscalls[1] |
			. == null or if $t == "wake"
			then . >= 2 * $n - 2 and . <= 2 * $n + 2
			else . == 0 end)'
	done
	full "$1" --sizes 64 --iters 20
	for way in "--cpu any,1023" "--cpu 1023,any" "--engine-cpu 1023"; do
		# shellcheck disable=SC2086 # an option and its value
		fails "^processor 1023 of ${way% *}: " "$1" $way
	done
}

results_match()
{
	lines='^(posted|unexpected) '
	measure "$1" --depth 50 --iters 200
	so "all fields" "\"match\" as \$b | $common"
	so "one, the last, any; of receives and of messages" \
		'map([.test, .depth, .position]) == [
		["posted", 1, "last"], ["posted", 50, "last"],
		["posted", 50, "random"], ["unexpected", 1, "last"],
		["unexpected", 50, "last"], ["unexpected", 50, "random"]]'
	so "all were matched" 'all(.iters == 200 and .size == 8)'
	so "times" "$times"
	so "compared with one" 'all((.depth == 1) == (.floor_ratio == null))'
}

results_open()
{
	lines='^(open|close) '
	measure "$1" --endpoints 20 --iters 30
	so "all fields" "\"open\" as \$b | $common"
	so "alone, and beside others" 'map([.test, .beside]) == [["open", 0],
		["close", 0], ["open", 20], ["close", 20]]'
	so "all were opened" 'all(.iters == 30)'
	so "times" "$times"
	so "calls, not messages" 'all(has("rate_mps") | not)'
	so "memory, once" 'map(has("memory")) == [false, false, true, false]'
	# the engine maps the whole area of each; the heap of a sanitizer gives
	# address space back in the mean time, so there it may be a bit less
	so "memory" '.[2] | .build as $b | .memory |
		.area_kib > 0 and .resident_kib > 0 and .engine_kib >=
		.area_kib * if $b == "sanitizer" then 0.5 else 1 end'
}

# full PROGRAM OPTION...: what cannot be written is told
full()
{
	local status way

	for way in "--json /dev/full" "--json -" ""; do
		status=0
		# shellcheck disable=SC2086 # options or none
		"$@" $way --rounds 1 --count none --quiet >/dev/full \
			2>"$work/err" || status=$?
		[ $status = 1 ] || complain "full disk: $* $way: status $status"
		[ "$(grep -c ': No space left on device$' "$work/err")" = 1 ] ||
			complain "full disk: $* $way: $(cat "$work/err")"
	done
}

# Two processes that are told to spin, and who shares a processor then.
results_perf()
{
	local a b common_options=(--daemon "$vmbd" --wait spin --test latency
		--sizes 8 --rounds 1 --iters 20 --count none --quiet --json -)

	ratios "$1" 0 '"memcpy"'
	ratios "$1" 64 '"memcpy"'
	ratios "$1" 0 null --one-buffer
	[ "$(nproc)" -ge 2 ] || return 0
	name=vmb-perf
	"$1" "${common_options[@]}" >"$work/points" 2>"$work/err" ||
		complain "$name --wait spin: $(cat "$work/err")"
	so "a processor for each process" 'length == 1 and
		all(.pin[0] != .pin[1] and .wait == "spin")'
	[ "$(grep -c . "$work/err")" = \
		"$(jq '.pin | if .[1] == .[2] then 1 else 0 end' "$work/points")" ] ||
		complain "$name: who shares a processor: $(cat "$work/err")"
	read -r a b < <(jq -r '"\(.pin[0]) \(.pin[1])"' "$work/points")
	lines='^latency '
	measure "$1" --wait spin --test latency --sizes 8 --iters 20 \
		--cpu "$a,$b" --engine-cpu "$b"
	so "what was chosen is not spoken of" 'length == 1'
	"$1" "${common_options[@]}" --cpu "$a" >"$work/points" 2>"$work/err" ||
		complain "$name --cpu $a: $(cat "$work/err")"
	grep -qx "the bench and its peer spin on processor $a: .*" "$work/err" ||
		complain "$name --cpu $a: $(cat "$work/err")"
}

# Which floor each point of vmb-perf is compared with. ratios PROGRAM LANES FLOOR
# OPTION...: FLOOR, a filter, is that of a stream of large messages; the line is
# one only where the engine, with a processor of its own, had part.
ratios()
{
	lines='^(latency|bandwidth) '
	VMB_LANES=$2 measure "$1" --self --test latency,bandwidth --sizes 8,64K \
		--time 10 "${@:4}"
	so "floors, lanes $2 ${*:4}" "length == 4 and
		all((.floor.impl == if .size > 8 then
			if .test == \"latency\" then $3 else \"memcpy\" end
			elif $2 == 0 and .pin[0] != .pin[2] then \"cache line\"
			else null end) and
		(.floor == null) == (.floor_ratio == null))"
}

# Where no daemon serves, and where there is no program to start.
fails()
{
	local status=0 message=$1
	shift

	"$@" --quiet >"$work/out" 2>"$work/err" || status=$?
	[ $status = 1 ] || complain "$*: status $status"
	[ ! -s "$work/out" ] || complain "$*: has a result"
	grep -q "$message" "$work/err" || complain "$*: $(cat "$work/err")"
}

for program; do
	"results_${program##*-}" "$program"
	[ "${program##*-}" != floor ] || continue
	VMB_SOCKET=$work/none fails "no vmbd answers at $work/none" \
		"$program" --daemon none
	fails "cannot start $work/none" "$program" --daemon "$work/none"
done
exit $bad
