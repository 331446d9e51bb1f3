#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# examples.sh - every example runs by itself against a daemon, says what it is
# expected to say, and says why when there is no daemon.
#
# Flow:  examples.sh VMBD FOLDER-OF-EXAMPLES
# Owns:  a daemon in a folder of its own, both gone at the end.
set -eu

vmbd=$1
examples=$2
# shellcheck source=tests/support/private.sh
. "$(dirname "$0")/../support/private.sh"

fail() {
	echo "examples: $*" >&2
	exit 1
}

# expect EXAMPLE TEXT: it ends well, and one of its lines has the text
expect() {
	# shellcheck disable=SC2086 # a program and its arguments
	timeout 60 "$examples/"$1 >"$dir/out" 2>&1 ||
		fail "$1 failed: $(cat "$dir/out")"
	grep -q "$2" "$dir/out" || fail "$1 does not say \"$2\": $(cat "$dir/out")"
	echo "$1: ok"
}

for name in hello pingpong many_to_one unexpected active_message one_sided_put; do
	if timeout 60 "$examples/$name" >"$dir/out" 2>&1; then
		fail "$name ends well without a daemon"
	fi
	grep -q "start vmbd" "$dir/out" ||
		fail "$name does not say that there is no daemon"
done

private_daemon "$vmbd"

expect hello 'received "hello from process [0-9]*" ([0-9]* bytes)'
expect pingpong '^ *1048576 '
expect many_to_one 'received 1000 messages of sender 3, in order'
expect unexpected 'server: 3 requests served'
expect active_message 'the sum of 1..1000 is 500500'
expect one_sided_put 'my window now says "written by another process"'

# written to MX: one process waits for the other
mkfifo "$dir/where"
timeout 60 "$examples/mx_receive" 2 >"$dir/where" 2>&1 &
receiver=$!
exec 4<"$dir/where"
read -r _ _ host id <&4 || fail "mx_receive did not start"
for text in hello again; do
	expect "mx_send $host $id $text" "answer of 5 bytes: $text"
	read -r line <&4 || fail "mx_receive said nothing of $text"
	[ "$line" = "received 5 bytes: $text" ] || fail "mx_receive: $line"
done
wait $receiver || fail "mx_receive failed"
echo "mx_receive: ok"
