#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# between.sh - run conform between two processes of one daemon.
#
# Flow:  between.sh VMBD CONFORM [SUITE]
# Owns:  a daemon and a far half, gone at the end.
set -eu

vmbd=$1
program=$2
shift 2
# shellcheck source=tests/support/private.sh
. "$(dirname "$0")/../support/private.sh"

private_daemon "$vmbd"
mkfifo "$dir/serving"
"$program" serve 0 >"$dir/serving" &
started="$! $started"
read -r _ _ _ port <"$dir/serving" || {
	echo "between: the far half did not start" >&2
	exit 1
}
# nobody does anything wrong here, so nobody has anything to warn of
VMB_LOG=warn "$program" "env@127.0.0.1:$port" "$@" 2>"$dir/log" || {
	cat "$dir/log" >&2
	exit 1
}
[ ! -s "$dir/log" ] || {
	echo "between: warnings where all is well:" >&2
	cat "$dir/log" >&2
	exit 1
}
