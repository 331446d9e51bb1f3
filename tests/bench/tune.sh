#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# tune.sh - what vmb-tune makes of times that are known: it runs beside programs
# that say them in place of the benches.
#
# Flow:  tune.sh VMB-TUNE -> a copy in a folder of its own, with fakes
# Owns:  that folder.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp "$1" "$dir/vmb-tune"
export HOME="$dir" XDG_CONFIG_HOME="$dir"

fail() {
	echo "tune: $*" >&2
	exit 1
}

# fake BODY: vmb-perf, with the sizes asked for in $sizes
fake() {
	cat >"$dir/vmb-perf" <<-END
	#!/bin/sh
	while [ \$1 != --sizes ]; do shift; done
	sizes=\$(echo \$2 | tr , ' ')
	$1
	END
	cat >"$dir/vmb-pingpong" <<-'END'
	#!/bin/sh
	echo '{"lat_ns": {"p50": 7400.0}}'
	END
	chmod +x "$dir/vmb-perf" "$dir/vmb-pingpong"
}

# found NAME VALUE
found() {
	grep -qx "$1 = $2" "$dir/out" || fail "not \"$1 = $2\": $(cat "$dir/out")"
}

tune() {
	"$dir/vmb-tune" --rounds 2 --quiet "$@"
}

# Eager costs its bytes and anything else 14000; a stream half its bytes,
# without the engine for all sizes.
fake '
for size in $sizes; do
	ns=14000
	case $VMB_LANES/$VMB_EAGER in 0/32768) ns=$size ;; esac
	case $VMB_LANE_EAGER/$VMB_LANE_STREAM/$VMB_LANE_DIRECT in
	/1099511627776/1099511627776) ns=$((size / 20)) ;;
	/262144/0) ns=10000 ;;
	/262144/1099511627776) ns=$((size / 12)) ;;
	32768/262144/65536) ns=$((3 * size)) ;;
	esac
	case $VMB_LANE_MAPPED in
	0) ns=9000 ;;
	1099511627776) ns=$((size / 8)) ;;
	esac
	echo "{\"lat_ns\": {\"p50\": $ns.5}}"
done'
tune --output "$dir/out" >"$dir/table"
found eager 12288
found lane_stream 262144
found lane_direct 65536
found lane_mapped 65536
found lane_eager 4096
found spin_us 7
grep -q "^eager *12K eager .* eager$" "$dir/table" &&
	grep -q "^eager *16K eager .* rendezvous$" "$dir/table" ||
	fail "the table says: $(cat "$dir/table")"

# A way that is better throughout; one disturbed point decides nothing.
fake '
for size in $sizes; do
	ns=$((size * 2))
	[ "$VMB_LANES/$VMB_EAGER" != 0/32768 ] || ns=$size
	case $VMB_LANE_EAGER/$VMB_LANE_STREAM/$VMB_LANE_DIRECT in
	/1099511627776/1099511627776 | 32768/*) ns=$size ;;
	esac
	[ "$VMB_LANE_MAPPED/$VMB_LANE_EAGER" != 0/ ] || ns=$size
	[ "$ns/$VMB_LANES" != 12288/0 ] || ns=$((size * 5 / 2))
	echo "{\"lat_ns\": {\"p50\": $ns}}"
done'
tune --output - | grep = >"$dir/out"
found eager 32768
found lane_stream 1099511627776
found lane_direct 1099511627776
found lane_mapped 0
found lane_eager 32768

# Where the library reads, for who is not root; a file that is there is kept.
as_user=
[ "$(id -u)" != 0 ] || as_user='setpriv --reuid=65534 --clear-groups'
chmod 777 "$dir"
$as_user "$dir/vmb-tune" --rounds 1 --quiet >/dev/null ||
	fail "it does not write where the library reads"
grep -q "^eager = 32768$" "$dir/vmbypass/vmbypass.conf" ||
	fail "no file where the library reads"
echo keep >"$dir/out"
! tune --output "$dir/out" 2>"$dir/error" || fail "a file was replaced"
grep -q -- --force "$dir/error" || fail "no word of --force"
grep -qx keep "$dir/out" || fail "the file is not what it was"
tune --force --output "$dir/out" >/dev/null
found eager 32768

# A full disk: a message, for the table, for the lines and for the file.
for way in "--output -" "--force --output $dir/out" \
	"--json - --force --output $dir/out"; do
	# shellcheck disable=SC2086 # options
	! tune $way >/dev/full 2>"$dir/error" || fail "no failure: $way"
	grep -qx "standard output: No space left on device" "$dir/error" ||
		fail "a full disk, $way: $(cat "$dir/error")"
done
! tune --force --output /dev/full >/dev/null 2>"$dir/error" ||
	fail "no failure: a full disk for the file"
grep -qx "/dev/full: No space left on device" "$dir/error" ||
	fail "a full disk for the file: $(cat "$dir/error")"

# Benches that lie, or fail: a message, and no file.
for lie in 'echo "{}"' 'echo nonsense' 'exit 3' \
	'for size in $sizes $sizes; do echo "{\"lat_ns\": {\"p50\": 1}}"; done' \
	'for size in $sizes; do echo "{\"lat_ns\": {\"p50\": -1}}"; done'; do
	fake "$lie"
	rm -f "$dir/out"
	! tune --output "$dir/out" >/dev/null 2>"$dir/error" ||
		fail "it believes: $lie"
	[ -s "$dir/error" ] && [ ! -e "$dir/out" ] ||
		fail "no message, or a file: $lie"
done
echo "tune: ok"
