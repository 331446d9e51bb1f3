# SPDX-License-Identifier: BSD-2-Clause
# ucx.jq - what "ucx_perftest -b BATCH -f -v" prints, as the JSON lines of our
# benches: jq -c -n -R --argjson environment {...} -f ucx.jq
#
# The first column has the name of each test of the batch, under that of the
# file; compare.sh names them TEST/SIZE/WAIT/WINDOW. ucx_perftest says
# microseconds, its MB have 2^20 bytes, and "overall" is from the beginning to
# the end of the test; the others are of its last second.

def spaces_off: gsub("^ +| +$"; "");

def number($column):
	(.[$column] // error("ucx_perftest printed no \($column)"))
	| tonumber;

# One line of numbers, by the names of the header.
def point:
	(.name | split("/")) as [$test, $size, $wait, $window]
	| number("50.0_percentile_lat") as $us
	| number("overall_bw") as $mib
	| number("overall_mr") as $rate
	| ({
		latency: ["lat_ns.p50", $us * 1000],
		bandwidth: ["bw_MBps", $mib * 1.048576],
		rate: ["rate_mps", $rate]
	}[$test] // error("no such test: \($test)")) as [$metric, $value]
	| {
		bench: "ucx", $test, impl: "ucx", size: ($size | tonumber),
		iters: number("iterations"),
		lat_ns: (if $test == "latency"
			 then {min: null, p50: ($us * 1000), p99: null,
			       p999: null, max: null}
			 else null end),
		rate_mps: $rate,
		bw_MBps: ($mib * 1.048576),
		rounds: {$metric, count: 1, median: $value, min: $value,
			 max: $value},
		cpu_pct: [null, null, null],
		syscalls: [null, null, null], syscalls_per_msg: null,
		floor: null, floor_ratio: null,
		$wait, window: ($window | tonumber), processes: 2,
		one_buffer: ($test != "latency"),
		verified: false
	} + $environment;

[inputs | split(",") | map(spaces_off)]
| ((map(select(.[1] == "iterations"))[0]
    // error("ucx_perftest printed no header")) | .[0] = "name") as $header
| .[]
| select(length == ($header | length) and .[1] != "iterations")
| [$header, .] | transpose | map({(.[0]): .[1]}) | add
| point
