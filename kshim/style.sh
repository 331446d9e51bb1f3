#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# style.sh KDIR TREE - the module is clean: gcc with W=1, sparse, checkpatch; it
# asks for no kernel version; it is small.
#
# Flow:  sources in TREE -> a copy -> the kernel's build with C=2 -> no warning
# Owns:  the copy. checkpatch.pl is not in Debian's headers: CHECKPATCH names it,
#        or it comes out of Debian's linux-source.
set -euo pipefail

kdir=$1
tree=$2
lines_max=1500
here=$(dirname "$(realpath "$0")")

command -v sparse >/dev/null || {
	echo "kshim_style: sparse is not installed"
	exit 77
}

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r "$tree"/{*.[ch],Kbuild,config,include} "$copy"
rm -f "$copy"/*.mod.c
env -u MAKEFLAGS make -s -C "$kdir" M="$copy" W=1 C=2 \
	CF=-D__CHECK_ENDIAN__ modules >"$copy/log" 2>&1 || {
	cat "$copy/log"
	exit 1
}
if grep -E 'warning|error' "$copy/log"; then
	exit 1
fi
echo "kshim_style: gcc and sparse are silent"

if grep -n LINUX_VERSION_CODE "$copy"/*.[ch] | grep -v kcompat.h; then
	echo "kshim_style: ask a probe in config/ and kcompat.h"
	exit 1
fi

lines=$(cat "$here"/*.[ch] |
	gcc -fpreprocessed -dD -E -P -x c - 2>/dev/null | grep -c '[^[:space:]]')
echo "kshim_style: $lines lines of code"
[ "$lines" -lt "$lines_max" ] || {
	echo "kshim_style: that is $lines_max or more"
	exit 1
}

checkpatch=${CHECKPATCH:-$copy/scripts/checkpatch.pl}
source=$(printf '%s\n' /usr/src/linux-source-*.tar.xz | sort -V | tail -n 1)
if [ ! -e "$checkpatch" ] && [ -e "$source" ]; then
	name=$(basename "$source" .tar.xz)
	tar xJf "$source" -C "$copy" --strip-components=1 --occurrence=1 \
		"$name"/scripts/{checkpatch.pl,spelling.txt,const_structs.checkpatch}
fi
[ -e "$checkpatch" ] || {
	echo "kshim_style: no checkpatch.pl: install linux-source, or set CHECKPATCH"
	exit 77
}
# the kernel's own names of states are CamelCase
(cd "$copy" && perl "$checkpatch" --no-tree --no-summary --terse --strict \
	--ignore CAMELCASE -f "$here"/*.[ch] "$here"/config/*.c)
echo "kshim_style: checkpatch is silent"
