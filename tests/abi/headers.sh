#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# headers.sh - every installed header compiles alone: all of them in C11, those
# that applications include in C++ too, and those of MX as old as its programs.
#
# Flow:  headers.sh INCLUDE-FOLDER CC [CXX]
# Owns:  nothing.
set -eu

include=$1
cc=$2
cxx=${3:-}
failed=0

# alone COMPILER LANGUAGE STANDARD HEADER
alone() {
	echo "#include <$4>" | "$1" -x "$2" "-std=$3" -Wall -Wextra -Wpedantic \
		-Wundef -Werror -fsyntax-only "-I$include" - || {
		echo "headers: $4 does not compile alone as $3" >&2
		failed=1
	}
}

cd "$include"
for header in vmbypass/*.h vmbypass/abi/*.h; do
	alone "$cc" c c11 "$header"
done
for header in mx/*.h mx/mx_internals/*.h; do
	alone "$cc" c gnu90 "$header"
	alone "$cc" c c11 "$header"
done
if [ -z "$cxx" ]; then
	echo "headers: no C++ compiler, C only"
else
	for header in vmbypass/*.h; do
		alone "$cxx" c++ c++11 "$header"
	done
	for header in mx/*.h mx/mx_internals/*.h; do
		alone "$cxx" c++ gnu++98 "$header"
	done
fi
exit $failed
