#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# parsers.sh SOURCE - what bench/compare.sh makes of the output of each program:
# captured samples through bench/compare/*.jq, one fact a line.
set -uo pipefail

source=$1
filters=$source/bench/compare
samples=$source/tests/bench/samples
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

# holds WHAT FILE JQ: true of all lines of the file together
holds()
{
	if ! jq -e -s "$3" "$2" >/dev/null 2>"$work/why"; then
		echo "not so: $1" >&2
		cat "$work/why" "$2" >&2
		bad=1
	fi
}

# refused WHAT TEXT COMMAND...: fails, and says TEXT
refused()
{
	local what=$1 text=$2
	shift 2

	if "$@" >"$work/out" 2>&1 || ! grep -q -- "$text" "$work/out"; then
		echo "not refused with '$text': $what" >&2
		cat "$work/out" >&2
		bad=1
	fi
}

near='def near($x): . > $x * 0.9999 and . < $x * 1.0001;'

# ---- ucx_perftest ---------------------------------------------------------

ucx()
{
	jq -c -n -R --argjson environment '{"host": "here"}' \
		-f "$filters/ucx.jq" "$1"
}

ucx "$samples/ucx.txt" >"$work/ucx" || bad=1
holds "ucx: a line a test" "$work/ucx" \
	'map([.test, .size, .wait, .window]) == [["latency", 0, "spin", 1],
	 ["latency", 8, "block", 1], ["bandwidth", 1048576, "spin", 64],
	 ["rate", 8, "spin", 64]]'
holds "ucx: latency is the median, in ns" "$work/ucx" "$near"'
	.[0] | .lat_ns.p50 == 135 and .rounds.metric == "lat_ns.p50"
	and (.rounds.median | near(135)) and .iters == 20000'
holds "ucx: a MB of ucx_perftest has 2^20 bytes" "$work/ucx" "$near"'
	.[2] | .lat_ns == null and (.bw_MBps | near(2204.9))
	and .rounds.metric == "bw_MBps" and (.rounds.min | near(2204.9))'
holds "ucx: rate is that of the whole test" "$work/ucx" \
	'.[3].rounds == {metric: "rate_mps", count: 1, median: 2429248,
	 min: 2429248, max: 2429248}'
holds "ucx: every line has the environment" "$work/ucx" 'all(.host == "here")'
echo "UCX  ERROR no such transport" >"$work/broken"
refused "ucx: no output" "no header" ucx "$work/broken"
sed 's/overall_mr/other/' "$samples/ucx.txt" >"$work/broken"
refused "ucx: a column is missing" "no overall_mr" ucx "$work/broken"
sed 's/0.135/soon/' "$samples/ucx.txt" >"$work/broken"
refused "ucx: no number" "cannot be parsed\|Invalid" ucx "$work/broken"

# ---- ours -----------------------------------------------------------------

ours()
{
	jq -c -s --argjson latency '[0, 8, 65536]' --argjson bandwidth '[1048576]' \
		-f "$filters/ours.jq" "$samples/$1.json"
}

ours floor >"$work/floor" || bad=1
holds "floor: whose it is" "$work/floor" \
	'map([.how, .test, .size, .wait, .memory]) | sort == ([
	 ["cache line", "latency", 0, "spin", null],
	 ["cache line", "latency", 8, "spin", null],
	 ["cache line", "rate", 8, "spin", null],
	 ["eventfd", "latency", 8, "block", null],
	 ["memcpy", "latency", 65536, "spin", "alloc"],
	 ["memcpy", "latency", 65536, "spin", "malloc"],
	 ["memcpy", "bandwidth", 1048576, "spin", "alloc"],
	 ["memcpy", "bandwidth", 1048576, "spin", "malloc"]] | sort)'
jq -s 'map(select(.test == "line"))[0].rounds.median' "$samples/floor.json" \
	>"$work/line"
cat "$work/line" "$work/floor" >"$work/both"
holds "floor: one line after another" "$work/both" "$near"'
	.[0] as $ns | .[1:] | map(select(.test == "rate"))[0].rounds.median
	| near(1e9 / $ns)'
holds "floor: bandwidth is bytes by time" "$work/floor" "$near"'
	map(select(.test == "bandwidth" and .memory == "malloc"))[0]
	| .rounds.median | near(1048576 * 1000 / '"$(jq -s 'map(select(.impl == "malloc" and .size == 1048576))[0].rounds.median' "$samples/floor.json")"')'
ours perf >"$work/perf" || bad=1
jq -c . "$samples/perf.json" >"$work/perf.expected"
cmp "$work/perf" "$work/perf.expected" || bad=1
ours idle >"$work/idle" || bad=1
holds "idle: who waits and vmbd, not who measures" "$work/idle" \
	'length == 1 and (.[0] | .test == "idle" and .size == 8 and .cpu == 0
	 and .rounds.metric == "cpu_pct")'
ours peer >"$work/peer" || bad=1
holds "peer: latency as it is, idle with its value" "$work/peer" \
	'map([.test, .impl, .wait]) == [["latency", "unix", "block"],
	 ["idle", "unix", "block"]] and (.[1] | .rounds.median == .cpu)'

# ---- rounds, table --------------------------------------------------------

# line IMPL TEST SIZE WAIT MEMORY ROUND METRIC VALUE
line()
{
	jq -c -n --argjson size "$3" --argjson memory "$5" --argjson round "$6" \
		--argjson value "$8" --arg impl "$1" --arg test "$2" --arg wait "$4" \
		--arg metric "$7" '{$impl, $test, $size, $wait, $memory, $round,
		window: 1, rounds: {$metric, count: 1, median: $value}}'
}

{
	for round in 1 2 3; do
		line vmb-local latency 8 spin '"malloc"' $round lat_ns.p50 $((round * 100))
		line mpi latency 8 spin null $round lat_ns.p50 $((round == 2 ? 100 : 400))
		line vmb-local bandwidth 4096 spin '"malloc"' $round bw_MBps 1000
		line vmb-local bandwidth 4096 spin '"alloc"' $round bw_MBps 3000
		line mpi bandwidth 4096 spin null $round bw_MBps 500
		line floor bandwidth 4096 spin '"alloc"' $round bw_MBps 6000
		line vmb-local idle 8 block null $round cpu_pct 0.1
		line mpi idle 8 spin null $round cpu_pct 100
		line unix idle 8 block null $round cpu_pct $((round == 2 ? 1 : 0))
	done
	line tcp latency 8 spin null 1 lat_ns.p50 0 # a round without a value
	line tcp latency 64 spin null 1 lat_ns.p50 5000
} >"$work/rounds"
jq -c -s -L "$filters" -f "$filters/combine.jq" "$work/rounds" >"$work/combined" ||
	bad=1
# point IMPL TEST SIZE MEMORY
point='def point($i; $t; $s; $m): map(select(.impl == $i and .test == $t
	and .size == $s and .memory == $m)) | if length == 1 then .[0]
	else error("\(length) lines of \($i) \($t)") end;'
holds "rounds: median, least, greatest, all" "$work/combined" "$point"'
	point("vmb-local"; "latency"; 8; "malloc").rounds
	== {metric: "lat_ns.p50", count: 3, median: 200, min: 100, max: 300,
	    values: [100, 200, 300]}'
holds "ratio: median and spread of those within the rounds" "$work/combined" "$point"'
	point("mpi"; "latency"; 8; null).ratio
	== {malloc: {median: 0.75, min: 0.25, max: 2}}'
holds "ratio: for each kind of memory" "$work/combined" "$point"'
	point("mpi"; "bandwidth"; 4096; null).ratio
	| .malloc.median == 2 and .alloc.median == 6'
holds "ratio: memcpy of the same kind only" "$work/combined" "$point"'
	point("floor"; "bandwidth"; 4096; "alloc").ratio
	== {alloc: {median: 0.5, min: 0.5, max: 0.5}}'
holds "ratio: idle compares though one spins" "$work/combined" "$point"'
	point("mpi"; "idle"; 8; null).ratio.any.median == 0.001'
holds "ratio: none by a median of nothing, though a round has something" "$work/combined" "$point"'
	point("unix"; "idle"; 8; null).ratio.any == null'
holds "ratio: none by nothing, none without ours" "$work/combined" "$point"'
	(point("tcp"; "latency"; 8; null).ratio.malloc == null)
	and (point("tcp"; "latency"; 64; null).ratio == null)'

jq -r -s -L "$filters" --argjson peers '["vmb-local", "mpi", "tcp", "floor"]' \
	-f "$filters/table.jq" "$work/combined" | tr -s ' -' >"$work/table" || bad=1
while read -r row; do
	grep -qxF -- "$row" "$work/table" ||
		{ echo "not in the table: $row" >&2; cat "$work/table" >&2; bad=1; }
done <<'END'
| what | | vmbypass | Open MPI | TCP loopback | floor | the best peer |
| 8 B one way | us | 0.2 (0.1-0.3) | 0.4, 0.75x (0.25-2) | 0 | - | TCP loopback |
| 64 B one way | us | - | - | 5 | - | TCP loopback |
| 4 KiB one after another | GB/s | 1 (1-1) | 0.5, 2x (2-2) | - | - | Open MPI 2x |
| 4 KiB one after another, `vmb_alloc` | GB/s | 3 (3-3) | 0.5, 6x (6-6) | - | 6, 0.5x (0.5-0.5) | Open MPI 6x |
| idle, of one process and its daemon | % | 0.1 (0.1-0.1) | 100, 0.001x (0.001-0.001), spins | - | - | AF_UNIX |
END

# ---- pictures -------------------------------------------------------------

# picture FIGURE TEXT...: what stands in it
picture()
{
	local figure=$1 text
	shift

	"$source/bench/plot.sh" --figure "$figure" "$work/combined" \
		"$work/picture.svg" || bad=1
	for text; do
		grep -qF "$text" "$work/picture.svg" ||
			{ echo "not in the picture $figure: $text" >&2; bad=1; }
	done
}

if command -v gnuplot >/dev/null; then
	picture latency vmbypass "Open MPI" "TCP loopback" "64 B"
	picture bandwidth "vmbypass, vmb_alloc memory" "4 KiB"
	refused "a picture of nothing" "no points of rate" "$source/bench/plot.sh" \
		--figure rate "$work/combined" "$work/picture.svg"
	refused "a format that is none" "must end with" "$source/bench/plot.sh" \
		--figure latency "$work/combined" "$work/picture.gif"
fi

[ $bad = 0 ] || exit 1
echo "all samples are read as they should be"
