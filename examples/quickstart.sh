#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# quickstart.sh - see it work: install what is missing, build, start a daemon
# of our own, let two processes exchange messages through it, look at it with
# vmbctl, stop everything.
#
# Flow:  packages -> build/release -> vmbd -> vmb-pingpong, vmb-perf -> the end
# Owns:  the daemon that it starts and a folder for its socket; both go at the
#        end, however that comes. A daemon that runs already is left alone.
set -euo pipefail

root=$(realpath "$(dirname "$(realpath "$0")")/..")
build=$root/build/release
built=no
work= daemon= perf=

usage()
{
	cat <<END
usage: examples/quickstart.sh [--built FOLDER | --help]

Installs the Debian packages that are missing (as root or with sudo), builds
vmbypass in build/release, starts a private daemon, runs a ping-pong between
two processes and a short verified measurement, shows what the daemon sees,
and stops everything. May be run again at any time.

  --built FOLDER  the programs of that build; nothing is installed or built
END
}

say()
{
	printf '\n==> %s\n' "$*"
}

finish()
{
	local status=$?

	for process in $perf $daemon; do
		kill "$process" 2>/dev/null || true
		wait "$process" 2>/dev/null || true
	done
	[ -z "$work" ] || rm -rf "$work"
	[ $status = 0 ] || echo "quickstart: failed, status $status" >&2
	exit $status
}

build_it()
{
	local options=()

	# the tests and the manual need more packages than this does
	[ -f "$build/CMakeCache.txt" ] || options=(-DVMB_TESTS=OFF -DVMB_MAN=OFF)
	(cd "$root" && cmake --preset release "${options[@]}") >"$work/log" 2>&1 &&
		cmake --build "$build" -j "$(nproc)" --target \
			vmbd vmbctl vmb-pingpong vmb-perf >>"$work/log" 2>&1 && return
	tail -n 30 "$work/log" >&2
	return 1
}

start_daemon()
{
	local ready

	mkfifo "$work/ready"
	"$build/xen-ctl/vmbd/vmbd" --local --socket "$VMB_SOCKET" --log warn \
		--ready-fd 3 3>"$work/ready" &
	daemon=$!
	# a newline when clients can connect, nothing when it has ended
	read -r ready <"$work/ready" || {
		echo "vmbd did not start" >&2
		return 1
	}
}

# What vmbctl shows once messages flow.
look_until_busy()
{
	while kill -0 $perf 2>/dev/null; do
		"$build/xen-ctl/vmbctl/vmbctl" counters >"$work/seen"
		awk 'NR > 1 && length($2) > 2 { busy = 1 } END { exit !busy }' \
			"$work/seen" && break
		sleep 0.1
	done
	cat "$work/seen"
}

case ${1:-} in
'') ;;
--built) built=yes build=$(realpath "${2:?--built needs a folder}") ;;
-h | --help) usage && exit 0 ;;
*) usage >&2 && exit 2 ;;
esac

exec </dev/null
trap finish EXIT
trap 'exit 130' INT TERM
work=$(mktemp -d)
export VMB_SOCKET=$work/vmbd.sock VMB_PORT=local
unset VMB_DOMAIN

if [ $built = no ]; then
	say "packages"
	"$root/tests/packages.sh" build
	echo "all there"

	say "build (in build/release; a minute the first time)"
	build_it
	echo "built"
fi

say "a daemon of our own"
start_daemon
"$build/xen-ctl/vmbctl/vmbctl" status

say "ping-pong between two processes, soon by a lane, past the engine"
"$build/bench/vmb-pingpong" --daemon none

if [ "$(nproc)" -ge 2 ]; then
	say "the same in one process through an engine of its own, both pinned and spinning"
	VMB_LANES=0 "$build/bench/vmb-pingpong" --daemon "$build/xen-ctl/vmbd/vmbd" \
		--self --wait spin --sizes 8,64,4K,64K --rounds 3
fi

say "bandwidth, every payload verified; what the daemon sees meanwhile"
"$build/bench/vmb-perf" --daemon none --verify --rounds 3 \
	--test latency,bandwidth --sizes 8,4K,64K,1M >"$work/perf" 2>&1 &
perf=$!
look_until_busy
wait $perf || { cat "$work/perf" >&2 && exit 1; }
perf=
cat "$work/perf"

say "done: the daemon is stopped, nothing is left running"
echo "next: README.md, docs/overview.md, examples/"
