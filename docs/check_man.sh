#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# check_man.sh SOURCE OUTPUT PROGRAM... - are the manual pages complete?
#
# Every function of the public headers and every program has a page; pages
# show the prototypes as the headers have them; they render without a warning
# (where groff is installed); what they refer to exists.
set -euo pipefail

source=$1 output=$2
shift 2
bad=0

complain()
{
	echo "$*" >&2
	bad=$((bad + 1))
}

squeeze()
{
	tr -s ' \t\n' ' ' | sed 's/( /(/g'
}

# The page that a name leads to, through .so if need be.
page_of()
{
	local page=$output/man$2/$1.$2

	[ -f "$page" ] || return 1
	sed -n 's/^\.so man\([0-9]\)\/\(.*\)\.[0-9]$/\2.\1.md/p' "$page" |
		grep . || echo "$1.$2.md"
}

# One prototype a line, without VMB_PUBLIC or MX_PUBLIC and the comments between.
# extra.c declares what has no header.
prototypes()
{
	awk '
	/^(VMB|MX)_PUBLIC / && !/ extern / { text = ""; inside = 1 }
	inside { text = text " " $0 }
	inside && /;/ {
		inside = 0
		gsub(/[ \t]+/, " ", text); sub(/^ (VMB|MX)_PUBLIC /, "", text)
		gsub(/\( /, "(", text)
		print text
	}' "$source"/include/vmbypass/{vmb,vmb_am}.h "$source"/include/mx/*.h \
		"$source"/include/mx/mx_internals/*.h "$source"/lib/mx/extra.c
}

count=0
while read -r prototype; do
	name=${prototype%%(*}
	name=${name##*[ *]}
	count=$((count + 1))
	if ! page=$(page_of "$name" 3); then
		complain "$name has no page"
		continue
	fi
	squeeze <"$source/docs/man/$page" | grep -qF "$prototype" ||
		complain "$page: not as in the header: $prototype"
done < <(prototypes)
[ $count -ge 102 ] || complain "only $count functions found in the headers"

for program in "$@"; do
	page_of "$program" 1 >/dev/null || page_of "$program" 8 >/dev/null ||
		complain "$program has no page"
done

for page in "$output"/man*/*; do
	section=${page##*.}
	grep -q '^\.so ' "$page" && continue
	source_page=$source/docs/man/$(basename "$page").md
	for heading in NAME SYNOPSIS DESCRIPTION 'SEE ALSO'; do
		[ "$section" = 5 ] && [ "$heading" = SYNOPSIS ] && continue
		grep -qx "# $heading" "$source_page" ||
			complain "$(basename "$source_page") has no $heading"
	done
	if command -v groff >/dev/null; then
		warnings=$(groff -man -Tutf8 -ww -z "$page" 2>&1)
		[ -z "$warnings" ] || complain "$page: $warnings"
	fi
	while IFS='*(' read -r other other_section; do
		page_of "$other" "$other_section" >/dev/null ||
			complain "$(basename "$source_page"): there is no" \
				"$other($other_section)"
	done < <(grep -oE '\*\*(vmb|mx|myri)[a-z0-9_-]*\*\*\([0-9]\)' "$source_page" |
		sed 's/\*//g; s/)//' | sed 's/(/*/' | sort -u)
done

[ $bad = 0 ] || exit 1
echo "$count functions and $# programs have pages that agree with the source"
