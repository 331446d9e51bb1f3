#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# mx_symbols.sh - libmyriexpress exports what its headers declare, and nothing
# else, under the name and the versions that programs linked with MX ask for.
#
# Flow:  mx_symbols.sh SOURCE-FOLDER LIBRARY
# Owns:  two lists in a folder of its own.
set -eu

source=$1
library=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() {
	echo "mx_symbols: $*" >&2
	exit 1
}

# declarations, joined to one line each; two are data. One has no header: Open
# MPI declares it itself.
{
	cat "$source"/include/mx/*.h "$source"/include/mx/mx_internals/*.h |
		tr '\n\t' '  ' | sed 's/MX_PUBLIC/\n&/g' |
		sed -n 's/^MX_PUBLIC [^(;]*[ *]\(mx_[a-z_0-9]*\)(.*/\1/p
			s/^MX_PUBLIC extern const [a-z_]* \(MX_[A-Z_]*\);.*/\1/p'
	printf '\nmx__regcache_clean\n'
} | grep . | sort >"$dir/header"
nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' |
	sed 's/@.*//' | sort >"$dir/library"
[ "$(wc -l <"$dir/header")" -ge 50 ] || fail "the headers were not understood"
diff -u "$dir/header" "$dir/library" >&2 ||
	fail "headers (-) and library (+) differ"

# version SYMBOL: its version, or nothing
version() {
	nm -D --defined-only "$library" | awk -v symbol="$1" '
		{ n = split($3, part, "@") }
		part[1] == symbol { print (n > 1 ? part[n] : "") }'
}

# expect VERSION SYMBOL...
expect() {
	wanted=$1
	shift
	for symbol in "$@"; do
		[ "$(version "$symbol")" = "$wanted" ] ||
			fail "$symbol has version '$(version "$symbol")'," \
				"not '$wanted'"
	done
}

expect MX_0.9 mx_open_endpoint mx_decompose_endpoint_addr
expect MX_0.91 mx_get_info mx_test mx_wait mx_iprobe
expect MX_0.92 mx__init_api
expect "" mx_isend mx_irecv mx_wait_any mx_forget MX_ERRORS_ARE_FATAL
nm -D "$library" | grep -q ' A MX_0\.0$' || fail "node MX_0.0 is missing"
[ "$(nm -D --defined-only "$library" | grep -c '@MX_0')" = 7 ] ||
	fail "another symbol has a version"
readelf -d "$library" | grep -q 'SONAME.*\[libmyriexpress\.so\]' ||
	fail "soname is not libmyriexpress.so"
echo "mx_symbols: $(wc -l <"$dir/header") names and their versions agree"
