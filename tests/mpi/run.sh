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
# has gone through vmbypass. Where something else could, Open MPI is asked which it
# has chosen (mpi_module), and the daemon what went by. Exit status 77: skipped, the
# last line says why.
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

# daemon_start OPTION...: without what its clients have in their environment:
# they are known by that.
daemon_start()
{
	env -u VMB_PORT "$build/xen-ctl/vmbd/vmbd" --local --socket "$work/socket" \
		"$@" 2>"$work/daemon" &
	daemon=$!
	until [ -S "$work/socket" ]; do
		kill -0 $daemon || fail "the daemon did not start"
		sleep 0.05
	done
	export VMB_PORT=local:$work/socket
}

# ask COMMAND EXPRESSION: jq's answer about what vmbctl tells
ask()
{
	"$build/xen-ctl/vmbctl/vmbctl" --socket "$work/socket" "$1" --json |
		jq "$2"
}

# Processes of jobs, mpirun too, by their files in /proc.
processes()
{
	env -u VMB_PORT grep -lzx "VMB_PORT=local:$work/socket" \
		/proc/[0-9]*/environ 2>/dev/null
}

# Processes of a job may be ending still.
no_process_left()
{
	local tries=0

	until [ -z "$(processes)" ]; do
		[ $((tries++)) -lt 100 ] ||
			fail "processes are left: $(processes)"
		sleep 0.1
	done
}

nothing_left()
{
	local tries=0 kind

	no_process_left
	for kind in clients endpoints regions lanes; do
		until [ "$(ask $kind length)" = 0 ]; do
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
	modes persistent_modes persistent_together matched replace
	pieces nobody completion cancel_some vector indexed structure subarray
	barrier bcast reduce reduce_scatter scans gather_and_scatter
	gather_unequal alltoall alltoall_unequal nonblocking reduce_in_order
	places operations reduce_scatter_unequal in_place alltoall_types
	all_at_once barrier_waits neighbours_of_grid neighbours_of_graph
	between_rooted between_all come_and_go between"

only_vmb=(--mca btl "self,vmb")
with_tcp=(--mca btl "self,vmb,tcp" --mca btl_tcp_if_include lo)
carriers=("${only_vmb[@]}")
limit=120

# bounded COMMAND...: its own status; 124 if it had to be ended, whatever it said
bounded()
{
	rm -f "$work/ended"
	# a trap waits for the command: nothing is written after a signal
	# shellcheck disable=SC2016 # for the inner one
	timeout -k 5 "$limit" bash -c \
		'trap "exit 1" TERM; "${@:2}"; echo $? >"$1"' \
		bounded "$work/ended" "$@"
	[ -s "$work/ended" ] || return 124
	return "$(cat "$work/ended")"
}

# mpi MPIRUN-ARGUMENT...
mpi()
{
	bounded mpirun --oversubscribe --bind-to none --mca pml ob1 \
		"${carriers[@]}" "$@"
}

# job RANKS ARGUMENT...: of mpi_conform
job()
{
	local ranks=$1
	shift

	mpi "${windows[@]}" -np "$ranks" "$build/tests/mpi/mpi_conform" "$@"
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

# What has to be run while the ranks are still there, for `number`.
count="'$build/xen-ctl/vmbctl/vmbctl' counters --json --socket '$work/socket' \
	>'$work/counters'"

# number EXPRESSION: what jq makes of the counters that `count` has left
number()
{
	jq "$1" "$work/counters" || fail "no counters"
}

# Without lanes the engine fetches what is offered, and counts it.
fetched()
{
	local gets

	VMB_LANES=0 must job 2 --short --then "$count" standard both_ways
	gets=$(number '[.[].gets] | add') || exit 1
	echo "$gets messages fetched"
	[ "$gets" -gt 0 ]
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

# ---- what ends in mid-run ----------------------------------------------------

# mpirun ends the job of a rank that died, and says so.
killed()
{
	local i status

	limit=60
	for ((i = 1; i <= 5; i++)); do
		job 3 --die $((i * 150)) >"$work/job" 2>&1
		status=$?
		if [ $status != 137 ] ||
			! grep -q 'rank 1 .*signal 9' "$work/job"; then
			cat "$work/job"
			fail "run $i: mpirun ended with $status"
		fi
		nothing_left
	done
	echo "5 ranks killed, 5 jobs ended, nothing left"
}

# orphan SECONDS ARGUMENT...: a job whose daemon is killed so long after it began
orphan()
{
	local after=$1 running status
	shift

	job 3 --exchange 3000 "$@" >"$work/job" 2>&1 &
	running=$!
	until grep -q begun "$work/job"; do
		kill -0 $running 2>/dev/null || break
		sleep 0.01
	done
	sleep "$after" # which moment it is does not matter
	kill -KILL "$daemon"
	wait "$daemon" 2>/dev/null
	daemon=
	wait $running
	status=$?
	if [ $status = 0 ]; then
		grep -q exchanged "$work/job" && went_on=$((went_on + 1))
	else
		[ $status != 124 ] && grep -q 'daemon is gone' "$work/job"
	fi || {
		cat "$work/job"
		fail "without its daemon the job ended with $status"
	}
	no_process_left
	daemon_start
}

# The daemon is killed under a job, which ends with an error that says so, or goes
# on to its end, by lanes. Never does it hang, or take wrong bytes for right ones.
orphaned()
{
	local went_on=0

	limit=20
	orphan 0
	orphan 0.4
	VMB_LANES=0 orphan 0.1
	orphan 0.2 --threads
	must job 2 --short standard
	echo "4 daemons killed, $went_on jobs went on, the others ended"
}

# ---- what carries --------------------------------------------------------------

# What carries, by Open MPI's own table, and by the engine's counters: it counts what
# goes by without lanes, a thousand messages each way.
carriers_of()
{
	VMB_LANES=0 "$@" "$build/tests/mpi/mpi_module" carriers "$count" \
		>"$work/carriers" || fail "carriers: status $?"
	nothing_left
}

# carried FROM TO NAME: the table has no other name between them
carried()
{
	grep -qE "^$1 $2( (first|rest):$3)+\$" "$work/carriers" || {
		cat "$work/carriers"
		fail "from $1 to $2 it is not $3 that carries"
	}
}

# Two had endpoints, and each of them sent.
pair_sent()
{
	local sent

	sent=$(number '[.[].sends] | if length == 2 then min else 0 end') ||
		exit 1
	[ "$sent" -ge 1000 ] || fail "$sent messages by vmbypass"
	echo "both sent $sent messages by vmbypass, or more"
}

# four PROGRAM ARGUMENT...: ranks 2 and 3 find no daemon
four()
{
	mpi "${windows[@]}" -np 2 "$@" : \
		-np 2 -x VMB_PORT="local:$work/nobody" "$@"
}

# Ranks 0 and 1 are reached by vmbypass, the others by TCP.
mixed()
{
	local from to

	carriers=("${with_tcp[@]}")
	carriers_of four
	for from in 0 1 2 3; do
		for to in 0 1 2 3; do
			if [ $from = $to ]; then
				carried $from $to self
			elif [ $((from + to)) = 1 ]; then
				carried $from $to vmb
			else
				carried $from $to tcp
			fi
		done
	done
	pair_sent
	must four "$build/tests/mpi/mpi_conform" --short
}

# Nobody says what is to carry: Open MPI's own shared memory and TCP are there.
chosen()
{
	carriers=(--mca btl_tcp_if_include lo)
	carriers_of mpi -np 2
	carried 0 1 vmb
	carried 1 0 vmb
	pair_sent
	must job 2 --short
}

# The module's own functions: memory with a key.
module()
{
	local program="$build/tests/mpi/mpi_module"

	must mpi --mca mpi_leave_pinned 0 -np 2 "$program" keys-end
	must mpi -np 2 "$program" transfers threads
}

# The daemon has one endpoint: a rank starts half way, takes that back, and says so.
refused()
{
	carriers=("${with_tcp[@]}")
	must job 2 --short standard reduce 2>"$work/job"
	grep -q 'btl:vmb: not used' "$work/job" || {
		cat "$work/job"
		fail "no word about the endpoint"
	}
}

# No daemon at all.
alone()
{
	export VMB_PORT=local:$work/nobody
	carriers=("${with_tcp[@]}")
	job 2 --short standard reduce || fail "not over TCP either"
	carriers=("${only_vmb[@]}")
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
		mpi -np 3 "$build/examples/mpi/$example" || return 1
	done
}

netpipe()
{
	local program how

	program=$(command -v NPopenmpi || command -v NPmpi) ||
		skip "netpipe-openmpi is not installed"
	for how in "-i" "-a" "-a -2"; do # checked; posted before; both ways
		must mpi -np 2 "$program" $how -n 50 -u 4194304 \
			-o "$work/netpipe"
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
refused)
	daemon_start --max-endpoints 1
	refused
	daemon_end
	;;
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
	orphaned) orphaned ;;
	mixed) mixed ;;
	chosen) chosen ;;
	module) module ;;
	examples) must examples ;;
	netpipe) netpipe ;;
	*) fail "there is no such run" ;;
	esac
	daemon_end
	;;
esac
