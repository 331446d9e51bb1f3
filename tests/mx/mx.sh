#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# mx.sh - run mx_conform against itself: two processes and a daemon.
#
# Flow:  mx.sh VMBD MX_CONFORM [SUITE]
# Owns:  a daemon and a far half, gone at the end.
#
# Between two machines or guests the same program is started by hand:
#   there: mx_conform far 900        here: mx_conform near NAME/900
set -eu

vmbd=$1
program=$2
shift 2
# shellcheck source=tests/support/private.sh
. "$(dirname "$0")/../support/private.sh"

private_daemon "$vmbd"
"$program" far 900 &
far=$!
started="$far $started"
"$program" near localhost/900 "$@"
[ $# = 0 ] || exit 0
"$program" near localhost/900 stop
wait "$far" || {
	echo "mx: the far half did not end well" >&2
	exit 1
}
