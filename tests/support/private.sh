# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
#
# private.sh - sourced by scripts that test programs against a daemon of their
# own.
#
# Flow:  script -> private_daemon VMBD -> VMB_PORT leads there
# Owns:  the folder $dir, the daemon, and the processes that the script adds to
#        $started; all are gone when the script ends.

dir=$(mktemp -d)
started=

private_end() {
	for pid in $started; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$dir"
}
trap private_end EXIT

VMB_PORT=local:$dir/sock
export VMB_PORT

# private_daemon VMBD: returns when it serves
private_daemon() {
	mkfifo "$dir/ready"
	"$1" --local --socket "$dir/sock" --log warn --ready-fd 3 \
		3>"$dir/ready" &
	started="$! $started"
	read -r _ <"$dir/ready" || {
		echo "vmbd did not start" >&2
		exit 1
	}
}
