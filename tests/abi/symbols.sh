#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# symbols.sh - what the headers declare VMB_PUBLIC, what the map lists and what
# the library exports are the same names; the soname is that of the version.
#
# Flow:  symbols.sh SOURCE-FOLDER LIBRARY
# Owns:  three lists in a folder of its own.
set -eu

source=$1
library=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

same() {
	diff -u "$dir/$1" "$dir/$2" >&2 || {
		echo "symbols: $1 (-) and $2 (+) differ" >&2
		exit 1
	}
}

# a declaration may be broken after its type: join lines up to the parenthesis
cat "$source"/include/vmbypass/*.h | tr '\n\t' '  ' | sed 's/VMB_PUBLIC/\n&/g' |
	sed -n 's/^VMB_PUBLIC [^(]*[ *]\(vmb_[a-z_]*\)(.*/\1/p' |
	sort >"$dir/header"
sed -n 's/^[ \t]*\(vmb_[a-z_]*\);.*/\1/p' "$source/lib/libvmbypass.map" |
	sort >"$dir/map"
nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' |
	sed 's/@.*//' | sort >"$dir/library"

[ -s "$dir/header" ] || {
	echo "symbols: no VMB_PUBLIC name found" >&2
	exit 1
}
same header map
same map library

major=$(sed -n 's/^#define VMB_VERSION_MAJOR \([0-9]*\).*/\1/p' \
	"$source/include/vmbypass/vmb.h")
readelf -d "$library" | grep -q "SONAME.*\[libvmbypass.so.$major\]" || {
	echo "symbols: soname is not libvmbypass.so.$major" >&2
	exit 1
}
echo "symbols: $(wc -l <"$dir/map") names agree"
