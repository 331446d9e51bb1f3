#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# staged.sh - what a package would hold is complete and speaks of no other
# place: manual pages, the unit of systemd, Open MPI's component, paths.
#
# Flow:  staged.sh BUILD-FOLDER SOURCE-FOLDER CMAKE PREFIX SBIN MAN UNITS LIB
#        COMPONENTS (MAN and COMPONENTS are empty where none are built)
# Owns:  the stage, made with DESTDIR as packages are, in a folder of its own.
set -euo pipefail

build=$1 source=$2 cmake=$3 prefix=$4 sbin=$5 man=$6 units=$7 lib=$8
components=$9
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
stage=$dir/stage
bad=0

complain()
{
	echo "staged: $*" >&2
	bad=$((bad + 1))
}

# ---- manual pages ---------------------------------------------------------

# Public calls, by the installed headers; one a line.
calls()
{
	awk '
	/^(VMB|MX)_PUBLIC / && !/ extern / { text = ""; inside = 1 }
	inside { text = text " " $0 }
	inside && /;/ {
		inside = 0
		sub(/\(.*/, "", text); sub(/.*[ *]/, "", text)
		print text
	}' "$stage$prefix"/include/vmbypass/*.h "$stage$prefix"/include/*.h
}

# The text under the heading NAME, without fonts.
name_section()
{
	sed -n '/^\.SH/,$ { /^NAME$/,/^\.SH/p }' "$1" | sed 's/\\f[A-Z]//g'
}

# page NAME SECTION: it is there, leads to a text, which names it; so does man.
page()
{
	local file=$stage$man/man$2/$1.$2 text to

	[ -f "$file" ] || { complain "no page $1($2)" && return; }
	text=$file
	to=$(sed -n 's/^\.so //p' "$file")
	[ -z "$to" ] || text=$stage$man/$to
	[ -f "$text" ] || { complain "$1($2) leads to $to: no such page" &&
		return; }
	name_section "$text" | grep -qw -e "$1" ||
		complain "$1($2) is not in the NAME section of its page"
	! command -v man >/dev/null ||
		[ "$(man -M "$stage$man" -w "$2" "$1" 2>&1)" = "$text" ] ||
		complain "man does not find $1($2)"
}

pages()
{
	local name count=0

	while read -r name; do
		page "$name" 3
		count=$((count + 1))
	done < <(calls)
	[ $count -ge 90 ] || complain "only $count calls in the headers"
	for name in "$stage$prefix"/bin/*; do
		page "$(basename "$name")" 1
	done
	for name in "$stage$sbin"/*; do
		page "$(basename "$name")" 8
	done
	echo "staged: $count calls and the programs have pages"
}

# ---- the unit -------------------------------------------------------------

# What systemd says of it, with what it starts where it was staged.
verify()
{
	mkdir "$dir/unit"
	sed "s|$sbin/vmbd|$stage&|" "$unit" >"$dir/unit/vmbd.service"
	MANPATH=${man:+$stage$man} systemd-analyze verify \
		--man="$([ -n "$man" ] && command -v man >/dev/null &&
			echo yes || echo no)" "$dir/unit/vmbd.service" \
		>"$dir/log" 2>&1 && [ ! -s "$dir/log" ] ||
		complain "systemd-analyze: $(cat "$dir/log")"
}

# Without systemd: sections, and lines KEY=VALUE.
plain()
{
	! grep -vnE '^(#.*|\[(Unit|Service|Install)\]|[A-Z][A-Za-z]*=.*|)$' \
		"$unit" >"$dir/log" || complain "$unit: $(cat "$dir/log")"
	echo "staged: there is no systemd-analyze, the unit was read by us"
}

unit()
{
	local program

	unit=$stage$units/vmbd.service
	[ -f "$unit" ] || { complain "no vmbd.service" && return; }
	program=$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$unit")
	[ "$program" = "$sbin/vmbd" ] && [ -x "$stage$program" ] ||
		complain "the unit starts $program, which is not installed"
	if command -v systemd-analyze >/dev/null; then
		verify
	else
		plain
	fi
	echo "staged: the unit starts what is installed"
}

# ---- Open MPI's component -------------------------------------------------

# It is where cmake was told to put it, and Open MPI takes it from there.
component()
{
	local file=$stage$components/mca_btl_vmb.so

	[ -f "$file" ] || { complain "no $components/mca_btl_vmb.so" && return; }
	LD_LIBRARY_PATH=$stage$lib \
		OMPI_MCA_mca_base_component_path=$stage$components \
		ompi_info --parsable >"$dir/log" 2>&1 || {
		complain "ompi_info: $(cat "$dir/log")"
		return
	}
	grep -q '^mca:btl:vmb:version:.*component:' "$dir/log" || {
		complain "ompi_info does not know vmb:" \
			"$(grep -F vmb "$dir/log" || echo no word)"
		return
	}
	echo "staged: Open MPI finds its component"
}

# ---- paths ----------------------------------------------------------------

# Stripped as by a package: symbols for a debugger do name the source.
paths()
{
	local file

	while read -r file; do
		complain "${file#"$stage"} speaks of where it was built:" \
			"$(grep -aoE -m1 "($build|$source)[[:graph:]]*" \
				"$file" | tr -cd '[:print:]')"
	done < <(grep -rlaF -e "$build" -e "$source" "$stage")
	echo "staged: nothing speaks of another place"
}

# ---------------------------------------------------------------------------

DESTDIR=$stage "$cmake" --install "$build" --strip >"$dir/log" 2>&1 || {
	cat "$dir/log" >&2
	exit 1
}
[ -z "$man" ] || pages
unit
[ -z "$components" ] || component
paths
[ $bad = 0 ]
