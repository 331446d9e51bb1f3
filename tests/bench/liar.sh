#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# liar.sh PEER-TCP - a server of a peer whose client asks for what cannot be: it
# refuses, says so, and ends. A job has 48 bytes: flags, window (4 each), size,
# messages, warm ones, seed, pause (8 each).
set -uo pipefail

program=$1
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
bad=0

# number BYTES VALUE: little-endian, as printf wants it
number()
{
	local i

	for ((i = 0; i < $1; i++)); do
		printf '\\x%02x' $((($2 >> (8 * i)) & 255))
	done
}

# job NAME TEXT FLAGS WINDOW SIZE ITERS WARM: the server ends with TEXT
job()
{
	local turns=0 status port

	timeout 60 "$program" --serve 127.0.0.1 --name 0 --count none \
		>"$work/output" 2>&1 &
	server=$!
	until port=$(sed -n 's/.*--name //p' "$work/output") && [ "$port" ]; do
		kill -0 $server 2>/dev/null && [ $((turns++)) -lt 600 ] ||
			{ cat "$work/output" >&2; exit 1; }
		sleep 0.05
	done
	exec 3<>"/dev/tcp/127.0.0.1/$port"
	# shellcheck disable=SC2059 # the format is the bytes
	printf "$(number 4 "$3")$(number 4 "$4")$(number 8 "$5")$(number 8 \
		"$6")$(number 8 "$7")$(number 8 1)$(number 8 0)" >&3
	wait $server
	status=$?
	server=
	exec 3>&-
	if [ $status != 1 ] || ! grep -q "$2" "$work/output"; then
		echo "$1: exit status $status" >&2
		cat "$work/output" >&2
		bad=1
	fi
}

refused='serving ended: Invalid argument'
stream=1
job "unknown flags" "$refused" 64 1 8 10 1
job "no window" "$refused" $stream 0 8 10 1
job "a window above the limit" "$refused" $stream 1025 8 10 1
job "a window that wraps" "$refused" $stream 4294967295 8 10 1
job "a ping-pong with a window" "$refused" 0 2 8 10 1
job "a size above the limit" "$refused" $stream 1 16777217 10 1
job "a size that wraps" "$refused" $stream 1 18446744073709551615 10 1
job "buffers above the limit" "$refused" $stream 1024 16777216 10 1
job "empty messages over a byte stream" "$refused" 0 1 0 10 1
job "more warm ones than there are" "$refused" $stream 1 8 10 11
[ $bad = 0 ] || exit 1
echo "all refused"
