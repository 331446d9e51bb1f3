#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# build_man.sh OUTPUT PAGE.md... - render manual pages below OUTPUT.
#
# PAGE is NAME.SECTION.md. Each further name in the line after "# NAME" gets a
# page of its own that refers to the first.
set -euo pipefail

output=$1
shift

names_of()
{
	sed -n '/^# NAME$/,/ - /{ / - /{ s/ - .*//; s/, */\n/g; p } }' "$1"
}

for page in "$@"; do
	file=$(basename "$page" .md)
	name=${file%.*} section=${file##*.}
	folder=$output/man$section
	mkdir -p "$folder"
	if [ "$(names_of "$page" | head -n 1)" != "$name" ]; then
		echo "$page: the line after NAME does not begin with $name" >&2
		exit 1
	fi
	lowdown -s -t man --parse-no-intraemph --out-no-smarty -o "$folder/$file" "$page"
	names_of "$page" | tail -n +2 | while read -r other; do
		echo ".so man$section/$file" >"$folder/$other.$section"
	done
done
