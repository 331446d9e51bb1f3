#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# quickstart.sh SOURCE BUILD - the first thing that a newcomer runs, with the
# programs of this build: it shows what it promises, and leaves nothing,
# however it ends.
#
# Flow:  examples/quickstart.sh --built BUILD -> what it says and leaves
# Owns:  a folder, in which the script makes its own, and the script's session.
set -euo pipefail

source=$1 build=$2
script=
work=$(mktemp -d)
mkdir "$work/tmp"

finish()
{
	[ -z "$script" ] || kill -KILL -- "-$script" 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT

fail()
{
	echo "quickstart: $*" >&2
	cat "$work/out" >&2
	exit 1
}

# start ARGUMENT...: in a session of its own, whose number is $script
start()
{
	: >"$work/out" # what the last one said is not this one's
	TMPDIR=$work/tmp setsid "$source/examples/quickstart.sh" "$@" \
		>"$work/out" 2>&1 &
	script=$!
}

# ends STATUS: with this one, and nothing stays
ends()
{
	local status=0 limit=$((SECONDS + 20))

	wait "$script" || status=$?
	[ "$status" = "$1" ] || fail "its status is $status, not $1"
	# grandchildren that were stopped are not its to wait for
	while pgrep -s "$script" >"$work/left"; do
		[ $SECONDS -lt $limit ] ||
			fail "still run: $(ps -o pid=,args= -p "$(paste -sd, "$work/left")")"
		sleep 0.05
	done
	[ -z "$(ls -A "$work/tmp")" ] || fail "left: $(ls -A "$work/tmp")"
}

says()
{
	grep -Eq -- "$1" "$work/out" || fail "it does not say \"$1\""
}

start --built "$build"
ends 0
says '^platform +local$'
says '^latency +vmb +64K '
says '^bandwidth +vmb +1M '
says '^ *HANDLE +SENDS'
says 'every payload filled and checked$'
says '^==> done'

# who has seen enough, as soon as the daemon is there
start --built "$build"
until grep -q '^platform' "$work/out"; do
	kill -0 "$script" 2>/dev/null || fail "it ended before it was stopped"
	sleep 0.05
done
kill -TERM -- "-$script"
ends 130

start --built "$work"
ends 1
says '^quickstart: failed'
start --no-such-option
ends 2
says '^usage: '
