# SPDX-License-Identifier: BSD-2-Clause
# table.jq - the lines of combine.jq as one table in markdown, a row per point,
# a column per peer: jq -r -s --argjson peers [IMPL...] -L bench/compare -f ...

include "names";

# Three digits that say something.
def short:
	if . == null then "-"
	elif . >= 100 then round | tostring
	elif . >= 10 then . * 10 | round / 10 | tostring
	elif . >= 1 then . * 100 | round / 100 | tostring
	else . * 1000 | round / 1000 | tostring end;

def units: {
	"lat_ns.p50": {unit: "us", factor: 0.001, less: true},
	"time_ns": {unit: "us", factor: 0.001, less: true},
	"bw_MBps": {unit: "GB/s", factor: 0.001, less: false},
	"rate_mps": {unit: "M/s", factor: 0.000001, less: false},
	"cpu_pct": {unit: "%", factor: 1, less: true}
};

def place: {latency: 0, bandwidth: 2, bidirectional: 2.5, rate: 3, idle: 4,
	allreduce: 6, alltoall: 7}[.test]
	+ (if .wait == "block" then 1 else 0 end)
	+ (if .one_buffer and .test == "bandwidth" then 0.25 else 0 end);

def what:
	if .test == "idle" then "idle, of one process and its daemon"
	elif .test == "rate" then "\(.size | size_text) messages, window \(.window)"
	elif .test == "bandwidth" then
		"\(.size | size_text) one after another"
		+ (if .one_buffer then ", one buffer" else "" end)
		+ (if .memory == "alloc" then ", `vmb_alloc`" else "" end)
	elif .test == "bidirectional" then
		"\(.size | size_text) both ways at once"
	elif (.test | IN("allreduce", "alltoall")) then
		"\(.test) of \(.size | size_text), \(.processes) ranks"
	else "\(.size | size_text) one way"
		+ (if .wait == "block" then ", blocking" else "" end)
	end;

def spread($unit):
	"\(.rounds.median * $unit.factor | short) (\(.rounds.min * $unit.factor | short)-\(.rounds.max * $unit.factor | short))";

def times: if . == null then "" else
	", \(.median | short)x (\(.min | short)-\(.max | short))" end;

# The cell of a peer in the row of $own.
def cell($unit; $memory):
	if . == null then "-"
	else (.rounds.median * $unit.factor | short)
		+ (.ratio[$memory] | times)
		+ (if .test == "idle" and .wait == "spin" then ", spins"
		   else "" end)
	end;

def best($unit; $memory):
	map(select(.impl != "floor" and .impl != ours))
	| (if $unit.less then min_by(.rounds.median)
	   else max_by(.rounds.median) end)
	| if . == null then "-"
	  else "\(.impl | title)"
		+ (if .ratio[$memory] then " \(.ratio[$memory].median | short)x"
		   else "" end)
	  end;

# $row: all lines of a key; $own: ours of one kind of memory, or null.
def row($own; $peers):
	. as $lines
	| ($own // .[0]) as $first
	| units[$first.rounds.metric] as $unit
	| ($own.memory // "any") as $memory
	| [$first | what, $unit.unit]
	  + [$peers[] | . as $peer
	     | if . == ours then
		if $own then $own | spread($unit) else "-" end
	       else [$lines[] | select(.impl == $peer
			and (.memory == null or $own == null
			     or .memory == $own.memory))][0]
		| cell($unit; $memory) end]
	  + [$lines | best($unit; $memory)];

def padded($widths):
	[., $widths] | transpose
	| map(.[0] + (" " * (.[1] - (.[0] | length)) // ""))
	| "| " + join(" | ") + " |";

(["what", ""] + ($peers | map(title)) + ["the best peer"]) as $head
| [group_by(key) | sort_by([(.[0] | place), .[0].processes, .[0].size])[]
   | . as $lines
   | (map(select(.impl == ours)) | sort_by(.memory) | reverse) as $own
   | if $own == [] then row(null; $peers)
     else $own[] as $o | $lines | row($o; $peers) end]
| . as $rows
| ([$head] + . | transpose | map(map(length) | max)) as $widths
| ($head | padded($widths)),
  ($widths | map("-" * .) | padded($widths)),
  ($rows[] | padded($widths))
