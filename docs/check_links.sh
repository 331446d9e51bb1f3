#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# check_links.sh SOURCE - do the links between the markdown files of the
# source, and the sections that they name, exist? Only local links.
set -euo pipefail

cd "$1"
bad=0
count=0

# The anchors of a file: headings, lower case, punctuation gone, "-" for blanks.
anchors()
{
	sed -n 's/^##* //p' "$1" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9_\n-'
}

while IFS=: read -r file link; do
	link=${link#*(}
	link=${link%)}
	case $link in http:* | https:* | mailto:*) continue ;; esac
	count=$((count + 1))
	path=${link%%#*}
	target=$(dirname "$file")/$path
	[ -n "$path" ] || target=$file
	if [ ! -e "$target" ]; then
		echo "$file: there is no $link" >&2
		bad=$((bad + 1))
	elif [[ $link == *#* ]] && ! anchors "$target" | grep -qx "${link#*#}"; then
		echo "$file: no such section: $link" >&2
		bad=$((bad + 1))
	fi
done < <(grep -oH '\[[^]]*\]([^) ]*)' README.md docs/*.md docs/decisions/*.md)

[ $count -gt 20 ] || { echo "only $count links found" >&2 && exit 1; }
[ $bad = 0 ] || exit 1
echo "$count links lead somewhere"
