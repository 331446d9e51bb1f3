# SPDX-License-Identifier: BSD-2-Clause
# combine.jq - all rounds of all peers into one line per point and peer:
# jq -c -s -L bench/compare -f combine.jq
#
# Each line has the number of its round. "ratio" is vmbypass divided by the
# peer, for each kind of memory that vmbypass was measured with: the median, the
# least and the greatest of those within a round.

include "names";

def median:
	sort | if length % 2 == 1 then .[length / 2 | floor]
	       else (.[length / 2 - 1] + .[length / 2]) / 2 end;

# {round: value} of the lines of one point and peer
def by_round: map({"\(.round)": .rounds.median}) | add;

def ratio($own; $peer):
	[$own | keys[] | select($peer[.] != null and $peer[.] != 0)
	 | $own[.] / $peer[.]] as $within
	| if ($within | length) == 0 or ([$peer[]] | median) == 0 then null
	  else {median: ($within | median), min: ($within | min),
		max: ($within | max)} end;

# vmbypass and memcpy compare by memory; the others know one kind only
def ratios($own):
	. as $lines
	| [$own | group_by(.memory)[]
	   | select($lines[0].memory == null
		    or $lines[0].memory == .[0].memory)
	   | {(.[0].memory // "any"): ratio(by_round; $lines | by_round)}]
	| add;

def combined($own):
	ratios($own) as $ratios
	| [by_round[]] as $values
	| .[-1]
	| del(.round)
	| .bench = "compare"
	| .rounds = {metric: .rounds.metric, count: ($values | length),
		     median: ($values | median), min: ($values | min),
		     max: ($values | max), $values}
	| if .impl == ours then . else .ratio = $ratios end;

group_by(key)[]
| map(select(.impl == ours)) as $own
| group_by([.impl, .memory])[]
| combined($own)
