#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# beside.sh VMB_PERF - endpoints beside a measured pair have lanes to it, if
# there are lanes.
#
# Flow:  vmb-perf --endpoints-idle -> JSON lines -> what they say of the idle
# Owns:  nothing; the daemon is vmb-perf's own.
set -euo pipefail

# measure LANES - prints the idle endpoints and their lanes, point by point
measure()
{
	VMB_LANES=$1 "$perf" --self --test latency --sizes 8 --endpoints-idle 6 \
		--rounds 1 --time 5 --count none --quiet --json - |
		jq -r '"\(.endpoints_idle) \(.lanes_idle)"' | paste -sd ' '
}

perf=$1
bad=0
# expect WHAT GOT PATTERN
expect()
{
	[[ $2 =~ ^$3$ ]] && return
	echo "beside: $1: \"$2\", not \"$3\"" >&2
	bad=1
}
expect "with lanes" "$(measure 64)" "0 0 6 [1-6]"
expect "one lane at most, which is the pair's or not" "$(measure 1)" "0 0 6 [01]"
expect "without lanes" "$(measure 0)" "0 0 6 0"
exit $bad
