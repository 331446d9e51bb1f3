#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# mx.sh - run mx_conform against itself: two processes and a daemon.
#
# Flow:  mx.sh VMBD MX_CONFORM [SUITE]
# Owns:  a daemon and a far half, in a folder of its own, all gone at the end.
#
# Between two machines or guests the same program is started by hand:
#   there: mx_conform far 900        here: mx_conform near NAME/900
set -eu

vmbd=$1
program=$2
shift 2
dir=$(mktemp -d)
daemon=
far=

finish() {
	for pid in $far $daemon; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$dir"
}
trap finish EXIT

VMB_PORT=local:$dir/sock
export VMB_PORT

mkfifo "$dir/ready"
"$vmbd" --local --socket "$dir/sock" --log warn --ready-fd 3 3>"$dir/ready" &
daemon=$!
read -r _ <"$dir/ready" || {
	echo "mx: vmbd did not start" >&2
	exit 1
}
"$program" far 900 &
far=$!
"$program" near localhost/900 "$@"
[ $# = 0 ] || exit 0
"$program" near localhost/900 stop
wait "$far" || {
	echo "mx: the far half did not end well" >&2
	exit 1
}
far=
