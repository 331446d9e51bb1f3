#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# help.sh - every installed program explains itself, and says what it does not
# know.
#
# Flow:  help.sh PROGRAM... -> PROGRAM --help, PROGRAM --no-such-option
# Owns:  a folder for what they say.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
bad=0

# run PROGRAM OPTION: its exit status in $status, its words in $dir
run() {
	status=0
	timeout 20 "$1" "$2" >"$dir/out" 2>"$dir/err" </dev/null || status=$?
}

# expect PROGRAM WHAT COMMAND...
expect() {
	who=$1 what=$2
	shift 2
	"$@" && return
	echo "$who: $what: status $status" >&2
	cat "$dir/out" "$dir/err" >&2
	bad=1
}

# 2 or EX_USAGE: nothing else ends like this, a signal least of all
is_usage_error() {
	[ "$status" = 2 ] || [ "$status" = 64 ]
}

[ $# -gt 0 ] || { echo "help: no programs" >&2 && exit 1; }
for program; do
	name=$(basename "$program")
	run "$program" --help
	expect "$name" "--help fails" [ "$status" = 0 ]
	expect "$name" "--help does not say how to use it" \
		grep -q "^Usage: $name " "$dir/out"
	expect "$name" "--help says something on standard error" \
		[ ! -s "$dir/err" ]
	run "$program" --no-such-option
	expect "$name" "an unknown option is taken" is_usage_error
	expect "$name" "an unknown option is not named" \
		grep -q -e "--no-such-option" "$dir/err"
	expect "$name" "an unknown option has a result" [ ! -s "$dir/out" ]
done
exit $bad
