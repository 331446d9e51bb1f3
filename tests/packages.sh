#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# packages.sh KIND... - install what is missing of tests/packages.txt.
#
# Does nothing, and needs no rights, when everything is there.
set -euo pipefail

list=$(dirname "$(realpath "$0")")/packages.txt
missing=()

for kind in "$@"; do
	while read -r package; do
		status=$(dpkg-query -W -f '${db:Status-Status}' \
			"$package" 2>/dev/null || true)
		[ "$status" = installed ] || missing+=("$package")
	done < <(awk -v kind="$kind" '$2 == kind { print $1 }' "$list")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "missing packages: ${missing[*]}" >&2
		echo "install them, or run this as root" >&2
		exit 1
	fi
	as_root=(sudo)
fi
if ! command -v apt-get >/dev/null; then
	echo "no apt-get here; install what Debian calls: ${missing[*]}" >&2
	exit 1
fi
echo "installing ${missing[*]}"
"${as_root[@]}" apt-get -q update </dev/null
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
	--no-install-recommends install "${missing[@]}" </dev/null
