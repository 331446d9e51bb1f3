#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# run.sh MODEL VARIANT holds|fails - check one variant of a Spin model.
#
# holds: Spin searches all states and finds no error.
# fails: Spin must find an error, so that the model is known to be able to.
set -euo pipefail

if [ $# -ne 3 ]; then
	echo "usage: $0 MODEL.pml VARIANT holds|fails" >&2
	exit 2
fi
model=$(realpath "$1") variant=$2 expected=$3

if ! command -v spin >/dev/null; then
	echo "skipped: spin is not installed"
	exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

spin "-D$variant" -a "$model"
${CC:-cc} -O2 -w -DSAFETY -DNOREDUCE -DMEMLIM=2048 -o pan pan.c
./pan -m1000000 >result || true

grep -E '^State-vector|errors:|states, stored' result
if grep -q 'search not completed\|max search depth too small\|out of memory' \
	result && [ "$expected" = holds ]; then
	echo "$variant: the search is not complete" >&2
	exit 1
fi
errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' result)
case $expected:${errors:-none} in
holds:0)
	echo "$variant: no wake-up is lost in any order"
	;;
fails:0 | *:none)
	echo "$variant: expected \"$expected\", found errors: ${errors:-none}" >&2
	exit 1
	;;
fails:*)
	grep -m1 '^pan:1:' result
	echo "$variant: the error is found, as it must be"
	;;
*)
	grep -m1 '^pan:1:' result >&2
	spin -t -p -g "-D$variant" "$model" | tail -n 40 >&2
	exit 1
	;;
esac
