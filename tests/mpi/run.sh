#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# run.sh BUILD WHAT - run MPI jobs over the component, and see that nothing of them
# is left.
#
# Flow:  ctest -> [here] -> vmbd, mpirun -> mpi_conform
# Owns:  a daemon of its own, a folder in /tmp; both end with this script.
#
# --mca btl self,vmb: nothing else can carry a message, so one that arrives
# has gone through vmbypass. Exit status 77: skipped, the last line says why.
set -uo pipefail

build=$(realpath "$1")
what=$2
work=$(mktemp -d)
daemon=

finish()
{
	local status=$?

	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null
	wait
	rm -rf "$work"
	exit $status
}
trap finish EXIT
trap 'exit 143' TERM INT

fail()
{
	tail -n 40 "$work/daemon" 2>/dev/null
	echo "$what: $*"
	exit 1
}

skip()
{
	echo "$what: $*"
	exit 77
}

# ---- the daemon ------------------------------------------------------------

daemon_start()
{
	"$build/xen-ctl/vmbd/vmbd" --local --socket "$work/socket" \
		2>"$work/daemon" &
	daemon=$!
	until [ -S "$work/socket" ]; do
		kill -0 $daemon || fail "the daemon did not start"
		sleep 0.05
	done
	export VMB_PORT=local:$work/socket
}

# rows COMMAND: of a list of vmbctl
rows()
{
	"$build/xen-ctl/vmbctl/vmbctl" --socket "$work/socket" "$1" --json |
		jq length
}

# Processes of a job may be ending still.
nothing_left()
{
	local tries=0 kind

	for kind in clients endpoints regions lanes; do
		until [ "$(rows $kind)" = 0 ]; do
			[ $((tries++)) -lt 100 ] ||
				fail "$kind are left: $("$build/xen-ctl/vmbctl/vmbctl" \
					--socket "$work/socket" $kind)"
			sleep 0.1
		done
	done
}

daemon_end()
{
	kill "$daemon"
	wait "$daemon" || fail "the daemon ended with status $?"
	daemon=
}

# ---- jobs ------------------------------------------------------------------

messages="standard synchronous buffered ready both_ways to_oneself wildcards
	order unexpected outstanding persistent probe cancel truncated immediate
	modes persistent_modes persistent_together matched matched_long replace
	pieces nobody completion cancel_some vector indexed structure subarray
	barrier bcast reduce reduce_scatter scans gather_and_scatter
	gather_unequal alltoall alltoall_unequal nonblocking reduce_in_order
	places operations reduce_scatter_unequal in_place alltoall_types
	all_at_once barrier_waits neighbours_of_grid neighbours_of_graph
	between_rooted between_all come_and_go between"

btl=self,vmb
limit=120

# job RANKS ARGUMENT...: of mpi_conform
job()
{
	local ranks=$1
	shift

	timeout -k 5 "$limit" mpirun --oversubscribe --bind-to none -np "$ranks" \
		--mca pml ob1 --mca btl "$btl" "${windows[@]}" \
		"$build/tests/mpi/mpi_conform" "$@"
}

must()
{
	"$@" || fail "status $? of: $*"
	nothing_left
}

repeat()
{
	local i

	for ((i = 1; i <= 50; i++)); do
		job 2 --short standard both_ways unexpected outstanding bcast \
			reduce alltoall nonblocking >"$work/job" 2>&1 || {
			cat "$work/job"
			fail "run $i of 50"
		}
	done
	nothing_left
	echo "50 runs"
}

# GETs that the engine has done so far for those who are attached
gets()
{
	"$build/xen-ctl/vmbctl/vmbctl" --socket "$work/socket" counters --json |
		jq '[.[].gets] | add // 0'
}

# Without lanes the engine fetches what is offered, and counts it.
fetched()
{
	local most=0 now running

	VMB_LANES=0 job 2 --short standard both_ways >"$work/job" 2>&1 &
	running=$!
	while kill -0 $running 2>/dev/null; do
		now=$(gets)
		# the daemon may be busy: no answer is no number
		[ "${now:-0}" -le "$most" ] || most=$now
	done
	wait $running || {
		cat "$work/job"
		fail "without lanes"
	}
	echo "$most messages fetched"
	[ "$most" -gt 0 ]
}

# All long messages are offered, none is, and all are put or got with a key.
offers()
{
	fetched || fail "nothing was offered"
	OMPI_MCA_btl_vmb_offer_min=1 must job 2 --short $messages
	OMPI_MCA_btl_vmb_offer_min=1000000000 must job 2 --short $messages
	if OMPI_MCA_btl_vmb_offer_min=1000000000 fetched; then
		fail "offered in spite of btl_vmb_offer_min"
	fi
	OMPI_MCA_btl_vmb_flags=send,inplace,put \
		OMPI_MCA_btl_vmb_min_rdma_pipeline_size=32768 \
		must job 2 --short $messages
}

# mpirun ends the job of a rank that died, and says so by its status.
killed()
{
	local i status

	limit=60
	for ((i = 1; i <= 5; i++)); do
		job 3 --die $((i * 150)) >"$work/job" 2>&1
		status=$?
		if [ $status = 0 ] || [ $status = 124 ]; then
			cat "$work/job"
			fail "run $i: mpirun ended with $status"
		fi
		nothing_left
	done
	echo "5 ranks killed, 5 jobs ended, nothing left"
}

# Ranks 2 and 3 find no daemon: they are reached by TCP.
mixed()
{
	timeout -k 5 "$limit" mpirun --oversubscribe --bind-to none \
		--mca pml ob1 --mca btl self,vmb,tcp "${windows[@]}" \
		-np 2 "$build/tests/mpi/mpi_conform" --short : \
		-np 2 -x VMB_PORT="local:$work/nobody" \
		"$build/tests/mpi/mpi_conform" --short
}

# No daemon at all.
alone()
{
	export VMB_PORT=local:$work/nobody
	btl=self,vmb,tcp
	job 2 --short standard reduce || fail "not over TCP either"
	btl=self,vmb
	if job 2 --short standard >"$work/job" 2>&1; then
		fail "it worked without anything to carry messages"
	fi
	grep -q 'start vmbd' "$work/job" || {
		cat "$work/job"
		fail "no word about the daemon"
	}
}

examples()
{
	local example

	for example in ring jacobi sort; do
		timeout -k 5 "$limit" mpirun --oversubscribe --bind-to none -np 3 \
			--mca pml ob1 --mca btl self,vmb \
			"$build/examples/mpi/$example" || return 1
	done
}

netpipe()
{
	local program how

	program=$(command -v NPopenmpi || command -v NPmpi) ||
		skip "netpipe-openmpi is not installed"
	for how in "-i" "-a" "-a -2"; do # checked; posted before; both ways
		must timeout -k 5 "$limit" mpirun --oversubscribe \
			--bind-to none -np 2 --mca pml ob1 --mca btl self,vmb \
			"$program" $how -n 50 -u 4194304 -o "$work/netpipe"
	done
}

# What a user is told of the component, without a daemon.
info()
{
	local param

	ompi_info --param btl vmb --level 9 --parsable >"$work/info" ||
		fail "ompi_info: $?"
	for param in port offer_min; do
		grep -q "^mca:btl:vmb:param:btl_vmb_$param:help:.." \
			"$work/info" || fail "no help for btl_vmb_$param"
	done
	for param in exclusivity flags eager_limit max_send_size latency; do
		grep -q "^mca:btl:vmb:param:btl_vmb_$param:value:" "$work/info" ||
			fail "no btl_vmb_$param: $(cat "$work/info")"
	done
	echo "ompi_info shows the component and its parameters"
}

# ---- the run ---------------------------------------------------------------

command -v mpirun >/dev/null || skip "openmpi-bin is not installed"
if [ "$(id -u)" = 0 ]; then
	export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
OMPI_MCA_mca_base_component_path=$(ompi_info --path pkglibdir --parsable |
	cut -d: -f3):$build/lib/btl
export OMPI_MCA_mca_base_component_path TMPDIR=$work
# osc rdma of Open MPI 4.1 needs atomics; that of 5, which has no pt2pt, brings them
windows=()
! ompi_info --parsable | grep -q '^mca:osc:pt2pt:' || windows=(--mca osc pt2pt)
[ -f "$build/lib/btl/mca_btl_vmb.so" ] || fail "there is no component"

case $what in
alone) alone ;;
info) info ;;
*)
	daemon_start
	case $what in
	two) must job 2 ;;
	three) must job 3 ;;
	four) must job 4 --short ;;
	crowd) must job 8 --short standard both_ways wildcards bcast reduce \
		gather_and_scatter alltoall nonblocking ;;
	# osc pt2pt, which windows need here, does not know threads
	threads) must job 2 --threads --short $messages threads ;;
	repeat) repeat ;;
	killed) killed ;;
	offers) offers ;;
	mixed) must mixed ;;
	examples) must examples ;;
	netpipe) netpipe ;;
	*) fail "there is no such run" ;;
	esac
	daemon_end
	;;
esac
