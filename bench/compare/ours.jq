# SPDX-License-Identifier: BSD-2-Clause
# ours.jq - the JSON lines of our own programs, so that those of a key compare:
# jq -c -s --argjson latency [SIZES] --argjson bandwidth [SIZES] -f ours.jq
#
# vmb-perf, vmb-pingpong and the peers print what is wanted, and it is passed
# on. vmb-idle has a line per process, of which two are paid for by who waits;
# vmb-floor knows no messages: docs/performance.md says which floor is whose.

def value($metric; $value):
	.rounds = {$metric, count: 1, median: $value, min: $value,
		   max: $value};

# The process that waits, and the daemon that serves it.
def idle:
	map(select(.bench == "idle"))
	| map(select(.test == "peer process" or .test == "vmbd"))
	| select(length > 0)
	| (map(.cpu) | add) as $cpu
	| .[0] + {test: "idle", $cpu};

def floor($how; $test; $size; $wait):
	{bench, $test, impl: "floor", $how, $size, $wait, memory, lat_ns,
	 iters, processes: null, window: 1}
	+ (with_entries(select(.key | IN("commit", "build", "host", "cpu_model",
					 "cpus", "kernel", "time", "pin",
					 "clock"))));

def floors:
	.rounds.median as $ns
	| if .test == "line" then
		($latency[] | select(. <= 4096)) as $size
		| floor("cache line"; "latency"; $size; "spin")
		| value("lat_ns.p50"; $ns)
	  elif .test == "wake" and .impl == "eventfd" then
		floor("eventfd"; "latency"; 8; "block")
		| value("lat_ns.p50"; $ns)
	  elif .test == "memcpy" then
		(.memory = .impl)
		| ((select(.size | . > 4096 and IN($latency[]))
		    | floor("memcpy"; "latency"; .size; "spin")
		    | value("lat_ns.p50"; $ns)),
		   (select(.size | IN($bandwidth[]))
		    | floor("memcpy"; "bandwidth"; .size; "spin")
		    | value("bw_MBps"; .size * 1000 / $ns)))
	  else empty end;

# One message at a time, without anything between.
def floor_rate:
	select(.test == "line")
	| .rounds.median as $ns
	| floor("cache line"; "rate"; 8; "spin")
	| value("rate_mps"; 1e9 / $ns);

# A stream out of one buffer and into one brings its own: one pair, not two.
def floor_of_one:
	select(.bench == "perf" and .test == "bandwidth" and .one_buffer
	       and .floor.impl == "memcpy")
	| .floor.rounds.median as $ns
	| .lat_ns = .floor.lat_ns
	| floor("memcpy"; "bandwidth"; .size; "spin") + {one_buffer}
	| value("bw_MBps"; .size * 1000 / $ns);

(.[] | select(.bench == "floor") | floors, floor_rate),
(.[] | floor_of_one),
((idle, (.[] | select(.bench != "floor" and .bench != "idle")))
 | if .test == "idle" then .size = 8 | value("cpu_pct"; .cpu) else . end)
