#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# layout.sh - the layout of today is that of layout.txt.
#
# Flow:  layout.sh LAYOUT-PROGRAM LAYOUT.TXT
# Owns:  nothing.
set -eu

if [ "$(getconf LONG_BIT)" != 64 ]; then
	echo "layout: the dump is of a 64-bit machine"
	exit 77
fi
"$1" | diff -u "$2" - >&2 || {
	echo "layout: a structure has moved; a new ABI needs a new version" >&2
	exit 1
}
