#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# check_tables.sh SOURCE - compare the byte tables of docs/*.md with what the
# compiler makes of include/vmbypass/abi/*.h.
#
# A table after "<!-- layout: struct NAME -->" has rows
#     | offset | bytes | `field` | ...
# Each row must say the truth, the rows must follow each other without a gap,
# and the last one must end where the structure ends. A table after
# "<!-- constants -->" has rows | `NAME` | value | ... Every operation, event,
# flag, code and the like of the headers must be in one of them.
set -euo pipefail

source=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One static assertion per claim, with the line that makes the claim.
assertions()
{
	awk '
	function claim(what, text) {
		printf "_Static_assert(%s, \"%s:%d: %s\");\n", what, file,
			FNR, text
	}
	function end_layout() {
		if (type != "")
			claim("sizeof(" type ") == " next_byte, type \
				" does not end at " next_byte)
		type = ""
	}
	FNR == 1 { end_layout(); constants = 0; n = split(FILENAME, part, "/")
		   file = part[n] }
	/^<!-- layout: / {
		end_layout()
		type = $0
		sub(/^<!-- layout: /, "", type); sub(/ -->.*/, "", type)
		next_byte = 0; rows = 0
	}
	/^<!-- constants -->/ { constants = 1; rows = 0 }
	/^\|/ && (type != "" || constants) {
		if (++rows <= 2)
			next # the heading
		split($0, column, /[ \t]*\|[ \t]*/)
		gsub(/`/, "", column[2]); gsub(/`/, "", column[4])
		if (constants) {
			claim(column[2] " == " column[3], column[2] " is not " \
				column[3])
			next
		}
		field = column[4]
		claim("offsetof(" type ", " field ") == " column[2],
			field " is not at " column[2])
		claim("sizeof(((" type " *)0)->" field ") == " column[3],
			field " has not " column[3] " bytes")
		claim(column[2] " == " next_byte, field " leaves a gap")
		next_byte = column[2] + column[3]
	}
	/^$/ && rows > 0 { end_layout(); constants = 0 }
	END { end_layout() }' "$source"/docs/*.md
}

# Names that a client or an engine meets must be documented in a table.
undocumented()
{
	local name

	sed -n 's/^#define \(VMB_[A-Z0-9_]*\)[ \t].*/\1/p' \
		"$source"/include/vmbypass/abi/{slot,doorbell,region,control}.h |
		grep -E '^VMB_(OP|EV|F|CODE|STATE|CTL|FEATURE|LOOKUP|REGION|ACCESS|KEY)_' |
		grep -vxE 'VMB_CODE_COUNT|VMB_FEATURES_ALL|VMB_REGION_BYTES_MAX|VMB_KEY_(INDEX|GEN)' |
		while read -r name; do
			grep -q "\"[a-z]*\\.md:[0-9]*: $name is not" \
				"$work/tables.c" || echo "$name"
		done
}

cd "$work"
{
	echo '#include <stddef.h>'
	for header in "$source"/include/vmbypass/abi/*.h; do
		echo "#include <vmbypass/abi/$(basename "$header")>"
	done
	assertions
} >tables.c

claims=$(grep -c '^_Static_assert' tables.c)
if [ "$claims" -lt 100 ]; then
	echo "only $claims claims found: the tables were not understood" >&2
	exit 1
fi
if ! ${CC:-cc} -std=gnu11 -fsyntax-only -I"$source/include" tables.c 2>errors
then
	grep -o 'static assertion failed.*\|error: .*' errors | sort -u >&2
	exit 1
fi
missing=$(undocumented)
if [ -n "$missing" ]; then
	printf 'in no table of docs/:\n%s\n' "$missing" >&2
	exit 1
fi
echo "$claims claims about layout and values hold"
