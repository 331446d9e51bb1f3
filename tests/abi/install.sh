#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# install.sh - examples, and the README's, are built against a staged install, found by
# pkg-config and by find_package, and runs: against nobody it says so.
#
# Flow:  install.sh BUILD-FOLDER SOURCE-FOLDER CMAKE CC
# Owns:  the stage, in a folder of its own.
set -eu

build=$1
source=$2
cmake=$3
cc=$4
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() {
	echo "install: $*" >&2
	exit 1
}

# runs PROGRAM: it finds the library, and reports that no daemon listens
runs() {
	if LD_LIBRARY_PATH=$libdir VMB_PORT=local:$dir/nobody "$1" \
		>"$dir/out" 2>&1; then
		fail "$1 ends well without a daemon"
	fi
	grep -q "start vmbd" "$dir/out" || fail "$1: $(cat "$dir/out")"
}

# explains PROGRAM: it finds the library, and wants arguments
explains() {
	if LD_LIBRARY_PATH=$libdir "$1" >"$dir/out" 2>&1; then
		fail "$1 ends well without arguments"
	fi
	grep -q usage "$dir/out" || fail "$1: $(cat "$dir/out")"
}

"$cmake" --install "$build" --prefix "$dir/stage" >"$dir/log" 2>&1 ||
	fail "$(cat "$dir/log")"
pc=$(find "$dir/stage" -name vmbypass.pc)
[ -n "$pc" ] || fail "vmbypass.pc is not installed"
libdir=$(dirname "$(dirname "$pc")")

# word by word, as a Makefile would have it
flags() {
	PKG_CONFIG_PATH=$(dirname "$pc") pkg-config \
		"--define-variable=prefix=$dir/stage" "$@" \
		"${package:-vmbypass}"
}
[ "$(flags --modversion)" ] || fail "pkg-config does not know the version"
# shellcheck disable=SC2046
"$cc" -Wall -Wextra -Werror $(flags --cflags) "$source/examples/hello.c" \
	$(flags --libs) -o "$dir/hello"
runs "$dir/hello"
echo "install: pkg-config ok"

# what the README shows first is what people try first
sed -n '/^```c$/,/^```$/ { /^```/!p }' "$source/README.md" >"$dir/readme.c"
grep -q main "$dir/readme.c" || fail "README.md has no program"
# shellcheck disable=SC2046
"$cc" -Wall -Wextra -Werror $(flags --cflags) "$dir/readme.c" \
	$(flags --libs) -o "$dir/readme"
runs "$dir/readme"
echo "install: the program of README.md ok"

# a program written to MX, where its build system looks, knowing of us nothing
"$cc" -Wall -Wextra -Werror -I"$dir/stage/include" \
	"$source/examples/mx/mx_receive.c" -L"$libdir" -lmyriexpress \
	-o "$dir/mx_receive"
runs "$dir/mx_receive"
# shellcheck disable=SC2046
"$cc" -Wall -Wextra -Werror $(package=myriexpress flags --cflags) \
	"$source/examples/mx/mx_send.c" \
	$(package=myriexpress flags --libs) -o "$dir/mx_send"
explains "$dir/mx_send"
echo "install: myriexpress ok"

"$cmake" -S "$source/tests/abi/consumer" -B "$dir/consumer" \
	-DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$dir/stage" \
	-DEXAMPLE="$source/examples/hello.c" \
	-DMX_EXAMPLE="$source/examples/mx/mx_send.c" >"$dir/log" 2>&1 ||
	fail "$(cat "$dir/log")"
"$cmake" --build "$dir/consumer" >"$dir/log" 2>&1 || fail "$(cat "$dir/log")"
runs "$dir/consumer/hello"
explains "$dir/consumer/mx_send"
echo "install: find_package ok"
