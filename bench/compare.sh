#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# compare.sh - vmbypass beside what a user would pick instead, in one run.
#
# Flow:  packages -> build -> rounds of all peers in turn -> compare/*.jq
#        -> JSON lines, one table, pictures (plot.sh)
# Owns:  a folder of its own in /tmp, and every process that it started.
#
# A peer that is missing or fails is named with the reason; the rest goes on.
# What is compared with what, and what is fair: docs/performance.md.
set -uo pipefail

usage() {
	cat <<-EOF
	Usage: bench/compare.sh [OPTION...]

	Measures vmbypass and its peers in interleaved rounds, each pinned the same
	way, and prints one table in markdown: medians, and how many times a peer's
	value vmbypass has (least and greatest of all rounds in brackets).

	  --peers LIST     vmb, ucx, mpi, fabric, unix, tcp, floor (default: all)
	  --mpi            compare what carries the messages of MPI programs: the
	                   component of docs/mpi.md, Open MPI's shared memory, its TCP.
	                   --peers: btl-vmb, btl-vader, btl-tcp, floor
	  --rounds N       of all peers (default 5)
	  --time MS        of one point and round, about (default 200)
	  --quick          2 rounds of 20 ms, fewer sizes, no pictures: does it work?
	  --cpu A,B        the processors of the two sides (default: the first two)
	  --processes N    of vmbypass. 2: two that spin, as the peers have; 1: one
	                   with both endpoints, through the engine on the other
	                   processor, without lanes (default: 2: lanes need no engine)
	  --json FILE      append the lines of the table to FILE
	  --raw FILE       append the lines of each round to FILE
	  --figures DIR    where the pictures go (default: docs/figures); none: nowhere
	  --programs DIR   the bench folder of a build to measure, as it is. Without it
	                   missing packages are installed and build/release is built
	  --help

	Exit status: 0 all measured, 2 some peers or points are missing, 1 failed.
	EOF
}

fail() {
	echo "compare.sh: $*" >&2
	exit 1
}

note() {
	echo "compare.sh: $*" >&2
}

# ---- options --------------------------------------------------------------

top=$(cd "$(dirname "$(realpath "$0")")/.." && pwd)
filters=$top/bench/compare
all_peers=(vmb ucx mpi fabric unix tcp floor)
mpi=no
peers=()
rounds=5
time_ms=200
quick=no
cpus=
processes=
json=
raw=
figures=
programs=

number() {
	[[ $2 =~ ^[1-9][0-9]*$ ]] && [ "$2" -le "$3" ] ||
		fail "$1 must be a number from 1 to $3, not $2"
}

parse() {
	while [ $# -gt 0 ]; do
		case $1 in
		--help) usage; exit 0 ;;
		--quick) quick=yes; shift; continue ;;
		--mpi) mpi=yes; shift; continue ;;
		--peers | --rounds | --time | --cpu | --processes | --json | --raw | \
			--figures | --programs)
			[ $# -gt 1 ] || fail "$1 needs a value" ;;
		*) usage >&2; exit 1 ;;
		esac
		case $1 in
		--peers) IFS=, read -ra peers <<<"$2" ;;
		--rounds) number "$1" "$2" 100; rounds=$2 rounds_chosen=yes ;;
		--time) number "$1" "$2" 600000; time_ms=$2 time_chosen=yes ;;
		--cpu) cpus=$2 ;;
		--processes) number "$1" "$2" 2; processes=$2 ;;
		--json) json=$2 ;;
		--raw) raw=$2 ;;
		--figures) figures=$2 ;;
		--programs) programs=$2 ;;
		esac
		shift 2
	done
}

peers_check() {
	local peer

	if [ $mpi = yes ]; then
		all_peers=(btl-vmb btl-vader btl-tcp floor)
		export VMB_COMPARE_OURS=btl-vmb # for names.jq
	fi
	[ ${#peers[@]} -gt 0 ] || peers=("${all_peers[@]}")
	for peer in "${peers[@]}"; do
		[[ " ${all_peers[*]} " == *" $peer "* ]] ||
			fail "no such peer: $peer (there are: ${all_peers[*]})"
	done
}

# The processors that this process may use, one a line.
allowed_cpus() {
	local range

	awk '/^Cpus_allowed_list:/ { gsub(",", "\n", $2); print $2 }' \
		/proc/self/status | while read -r range; do
		seq "${range%-*}" "${range#*-}"
	done
}

cpus_choose() {
	local allowed

	mapfile -t allowed < <(allowed_cpus)
	[ ${#allowed[@]} -ge 2 ] ||
		fail "two processors are needed: all sides spin"
	if [ -z "$cpus" ]; then
		cpus=${allowed[0]},${allowed[1]}
	fi
	[[ $cpus =~ ^([0-9]+),([0-9]+)$ ]] && [ "${cpus%,*}" != "${cpus#*,}" ] ||
		fail "--cpu must be two different processors A,B, not $cpus"
	cpu_a=${cpus%,*} cpu_b=${cpus#*,} cpu_engine=$cpu_b
	if [ ${#allowed[@]} -ge 3 ]; then
		cpu_engine=$(printf '%s\n' "${allowed[@]}" |
			grep -vx -e "$cpu_a" -e "$cpu_b" | head -n 1)
	fi
	processes=${processes:-2}
}

# The one place that says how vmbypass spins.
pair_choose() {
	if [ "$processes" = 2 ]; then
		vmb_lanes=()
		vmb_pair=(--cpu "$cpus" --engine-cpu "$cpu_engine" --wait spin)
		vmb_mode="two processes on processors $cpus that spin, engine on $cpu_engine"
	else
		vmb_pair=(--self --cpu "$cpu_a" --engine-cpu "$cpu_b" --wait spin)
		vmb_lanes=(env VMB_LANES=0) # a lane would go past the engine
		vmb_mode="one process with both endpoints on processor $cpu_a, through the engine on $cpu_b"
	fi
	[ $mpi = no ] || vmb_mode="ranks on processors $cpus in turn, engine on $cpu_engine"
}

sizes_choose() {
	latency_sizes=0,8,64,256,1K,4K,16K,64K
	bandwidth_sizes=4K,16K,64K,256K,1M,4M,16M
	group_sizes=4K,64K,1M
	if [ $quick = yes ]; then
		[ -n "${rounds_chosen:-}" ] || rounds=2
		[ -n "${time_chosen:-}" ] || time_ms=20
		latency_sizes=0,8,4K,64K
		bandwidth_sizes=64K,1M
		group_sizes=64K
		figures=${figures:-none}
	fi
	figures=${figures:-$top/docs/figures}
}

# "4K" -> 4096
bytes() {
	case $1 in
	*K) echo $((${1%K} << 10)) ;;
	*M) echo $((${1%M} << 20)) ;;
	*) echo "$1" ;;
	esac
}

# bytes_list 0,8,4K: one number a line
bytes_list() {
	local size

	for size in ${1//,/ }; do
		bytes "$size"
	done
}

# ---- packages, build ------------------------------------------------------

prepare() {
	local program options=()

	if [ -z "$programs" ]; then
		# the tests need more packages than this does
		[ -f "$top/build/release/CMakeCache.txt" ] ||
			options=(-DVMB_TESTS=OFF -DVMB_MAN=OFF)
		"$top/tests/packages.sh" build peers >&2 ||
			note "some packages are missing; what needs them is left out"
		(cd "$top" && cmake --preset release "${options[@]}" && cmake --build build/release) \
			>"$work/build.log" 2>&1 ||
			{ tail -n 20 "$work/build.log" >&2; fail "the build failed"; }
		programs=$top/build/release/bench
	fi
	programs=$(cd "$programs" 2>/dev/null && pwd) || fail "no folder $programs"
	for program in vmb-perf vmb-pingpong vmb-idle vmb-floor peers/peer-tcp; do
		[ -x "$programs/$program" ] || fail "no $program in $programs"
	done
	command -v jq >/dev/null || fail "jq is needed: apt-get install jq"
	vmbd=$programs/../xen-ctl/vmbd/vmbd
	component=$programs/../lib/btl
	[ -x "$vmbd" ] || vmbd=$(command -v vmbd) || fail "no vmbd beside $programs"
}

# ---- processes ------------------------------------------------------------

declare -A under_way=() # process numbers of what runs now

# Whatever ends this script ends them: timeout(1) hands the signal on to its
# group, and kills what does not listen.
# Processes of an MPI job: see mpi_start.
ranks() {
	grep -lzxF "TMPDIR=$work" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3
}

# An mpirun that is stopped twice, by the terminal and by us, does not wait for
# its ranks, which end on their own as a rule.
ranks_end() {
	local tries=0 left

	while left=$(ranks) && [ -n "$left" ]; do
		# shellcheck disable=SC2086 # one word a process
		[ $((tries++)) -lt 50 ] || kill -KILL $left 2>/dev/null
		sleep 0.1
	done
}

cleanup() {
	local pid

	trap '' INT TERM HUP
	for pid in "${!under_way[@]}"; do
		kill -TERM "$pid" 2>/dev/null
		kill -CONT "$pid" 2>/dev/null
	done
	wait
	ranks_end
	rm -rf "$work" /dev/shm/"vmb-peer:$$-"*
}

# start SECONDS COMMAND...: in the background, its number in $started
start() {
	timeout --kill-after=5 "$@" &
	started=$!
	under_way[$started]=1
}

# finish PID: its exit status
finish() {
	local status

	wait "$1"
	status=$?
	unset "under_way[$1]"
	return $status
}

# run COMMAND...: within the limit; errors to $work/errors
run() {
	start "$limit" "$@" </dev/null >"$work/output" 2>"$work/errors"
	finish "$started"
}

# ---- the peers ------------------------------------------------------------
#
# measure_PEER STAGE appends JSON lines to $work/lines; exit status not 0: failed,
# and the end of $work/errors says why. missing_PEER prints why it cannot be run.
# The stages are "short", one message and the rate of small ones, and "long".

shared=()  # options of all our programs

# tell COMMAND...: one of ours, whose lines we want
tell() {
	run "$@" "${shared[@]}" --json "$work/lines"
}

missing_program() {
	[ -x "$programs/peers/$1" ] ||
		echo "$1 was not built: $2 was not there when the build was configured"
}

# tell_streams PROGRAM OPTION...: with a buffer for each message under way, and
# with one for all, as ucx_perftest has it
tell_streams() {
	tell "$@" --test bandwidth --sizes $bandwidth_sizes || return
	tell "$@" --test bandwidth --sizes $bandwidth_sizes --one-buffer
}

missing_vmb() { :; }

measure_vmb() {
	local memory perf=("${vmb_lanes[@]}" "$programs/vmb-perf" --daemon "$vmbd"
		"${vmb_pair[@]}")

	if [ "$1" = short ]; then
		tell "${perf[@]}" --test latency --sizes $latency_sizes \
			--memory malloc || return
		tell "${perf[@]}" --test rate --sizes 8 --memory malloc
		return
	fi
	for memory in malloc alloc; do
		tell_streams "${perf[@]}" --memory $memory || return
	done
	tell "$programs/vmb-pingpong" --daemon "$vmbd" --cpu "$cpus" \
		--engine-cpu "$cpu_b" --wait block --sizes 8 --memory malloc || return
	tell "$programs/vmb-idle" --daemon "$vmbd" --cpu "$cpus" \
		--engine-cpu "$cpu_b" --wait block --seconds 1
}

missing_floor() { :; }

measure_floor() {
	[ "$1" = short ] || return 0
	tell "$programs/vmb-floor" --cpu "$cpus" --engine-cpu "$cpu_b" \
		--sizes "$latency_sizes,$bandwidth_sizes"
}

# Sockets: bytes in order, so no message of 0 bytes. They can block.
# socket_measure KIND STAGE
socket_measure() {
	local peer=("$programs/peers/peer-$1" --local --cpu "$cpus")

	if [ "$2" = short ]; then
		tell "${peer[@]}" --wait spin --test latency \
			--sizes "${latency_sizes#0,}" || return
		tell "${peer[@]}" --wait spin --test rate --sizes 8
		return
	fi
	tell_streams "${peer[@]}" --wait spin || return
	tell "${peer[@]}" --wait block --test latency,idle --sizes 8
}

missing_unix() { :; }
measure_unix() { socket_measure unix "$1"; }
missing_tcp() { :; }
measure_tcp() { socket_measure tcp "$1"; }

# The shared-memory provider spins, whatever one asks of it.
missing_fabric() { missing_program peer-fabric libfabric-dev; }

measure_fabric() {
	local peer=("$programs/peers/peer-fabric" --local --name "$$-$RANDOM"
		--cpu "$cpus")

	if [ "$1" = short ]; then
		tell "${peer[@]}" --test latency --sizes $latency_sizes || return
		tell "${peer[@]}" --test rate --sizes 8
		return
	fi
	tell_streams "${peer[@]}" || return
	tell "${peer[@]}" --test idle
}

missing_mpi() {
	command -v mpirun >/dev/null || echo "no mpirun: openmpi-bin is not installed"
	missing_program peer-mpi libopenmpi-dev
}

# mpi_start BTL: what all jobs have in common, in $launch
mpi_start() {
	launch=(env TMPDIR="$work" mpirun --mca pml ob1 --mca btl "self,$1"
		--bind-to none --oversubscribe)
}

# One rank on each processor: they pin themselves, as all our programs do.
mpi_tell() {
	tell "${launch[@]}" -np 1 \
		"$programs/peers/peer-mpi" --serve 1 --cpu "$cpu_b" --count none : \
		-np 1 "$programs/peers/peer-mpi" --connect 0 --cpu "$cpu_a" "$@"
}

measure_mpi() {
	mpi_start vader
	if [ "$1" = short ]; then
		mpi_tell --test latency --sizes $latency_sizes || return
		mpi_tell --test rate --sizes 8
		return
	fi
	mpi_tell --test bandwidth --sizes $bandwidth_sizes || return
	mpi_tell --test bandwidth --sizes $bandwidth_sizes --one-buffer || return
	mpi_tell --test idle
}

# group_tell RANKS OPTION...
group_tell() {
	local ranks=$1

	shift
	tell "${launch[@]}" -np "$ranks" "$programs/peers/mpi-group" \
		--cpu "$cpus" "$@"
}

# Open MPI over BTL, which ranks on processors of their own and two and four
# times as many ranks as processors make use of. btl_measure BTL STAGE
btl_measure() {
	local ranks

	mpi_start "$1"
	if [ "$2" = short ]; then
		mpi_tell --test latency --sizes $latency_sizes || return
		mpi_tell --test rate --sizes 8 || return
		group_tell 2 --test allreduce --sizes 8
		return
	fi
	mpi_tell --test bandwidth --sizes $bandwidth_sizes || return
	group_tell 2 --test bidirectional --sizes $group_sizes || return
	group_tell 2 --test allreduce --sizes 64K || return
	group_tell 2 --test alltoall --sizes 4K || return
	for ranks in 4 8; do
		group_tell $ranks --test allreduce --sizes 8,64K || return
		group_tell $ranks --test alltoall --sizes 4K || return
	done
}

missing_btl-vmb() {
	missing_mpi
	[ -f "$component/mca_btl_vmb.so" ] ||
		echo "mca_btl_vmb.so was not built: libopenmpi-dev was not there"
}

# The daemon is there for the time of the measurement only: it may spin.
measure_btl-vmb() {
	local OMPI_MCA_mca_base_component_path VMB_PORT=local:$work/vmbd daemon status

	OMPI_MCA_mca_base_component_path=$(ompi_info --path pkglibdir --parsable |
		cut -d: -f3):$component
	export OMPI_MCA_mca_base_component_path VMB_PORT
	start $((20 * limit)) taskset -c "$cpu_engine" "$vmbd" --local \
		--socket "$work/vmbd" </dev/null 2>"$work/daemon"
	daemon=$started
	until [ -S "$work/vmbd" ]; do
		kill -0 $daemon || { cp "$work/daemon" "$work/errors"; return 1; }
		sleep 0.05
	done
	btl_measure vmb "$1"
	status=$?
	kill $daemon
	finish $daemon
	return $status
}

missing_btl-vader() { missing_mpi; }
measure_btl-vader() { btl_measure vader "$1"; }
missing_btl-tcp() { missing_mpi; }
measure_btl-tcp() { btl_measure tcp "$1"; }

missing_ucx() {
	command -v ucx_perftest >/dev/null ||
		echo "no ucx_perftest: ucx-utils is not installed"
}

# ucx_test TEST SIZE WAIT WINDOW NS: a line of the batch, for a message that
# takes NS and what its bytes take, about. ucx_perftest wants a number.
ucx_test() {
	local kind=tag_bw mode=poll iters least=$((16 * $4 + 4))

	iters=$((time_ms * 1000000 / ($5 + $2 / 4)))
	iters=$((iters < least ? least : iters > 1000000 ? 1000000 : iters))
	[ "$1" != latency ] || kind=tag_lat
	[ "$3" != block ] || mode="sleep"
	echo "$1/$2/$3/$4 -t $kind -s $2 -n $iters -w $((iters / 8 + 2)) -E $mode" \
		"$([ "$4" = 1 ] || echo "-O $4")"
}

ucx_batch() {
	local size window

	if [ "$1" = short ]; then
		for size in $(bytes_list $latency_sizes); do
			ucx_test latency "$size" spin 1 1000
		done
		ucx_test rate 8 spin 64 200
		return
	fi
	ucx_test latency 8 block 1 10000
	for size in $(bytes_list $bandwidth_sizes); do
		window=$(((64 << 20) / size))
		ucx_test bandwidth "$size" spin $((window < 64 ? window : 64)) 200
	done
}

# A port on which nobody listens.
port_choose() {
	port=$((20000 + RANDOM % 10000))
	while port_listens; do
		port=$((port + 1))
	done
}

port_listens() {
	local hex

	hex=$(printf '%04X' "$port")
	awk -v port="$hex" '$4 == "0A" && $2 ~ ":" port "$" { found = 1 }
		END { exit !found }' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# ucx_serve OPTION...: a server that listens, its number in $server
ucx_serve() {
	local turns=0

	port_choose
	start "$limit" taskset -c "$cpu_b" ucx_perftest -p "$port" "$@" \
		</dev/null >"$work/server" 2>&1
	server=$started
	until port_listens; do
		if ! kill -0 "$server" 2>/dev/null || [ $((turns++)) -gt 200 ]; then
			cp "$work/server" "$work/errors"
			server_end
			return 1
		fi
		sleep 0.05
	done
}

# A client that failed leaves a server that waits for one, at cpu_b: what is
# measured next would share it with that.
server_end() {
	kill -TERM "$server" 2>/dev/null # of timeout, which ends its child
	finish "$server" 2>/dev/null
	return 1
}

measure_ucx() {
	local UCX_TLS=posix,cma,self UCX_WARN_UNUSED_ENV_VARS=n

	export UCX_TLS UCX_WARN_UNUSED_ENV_VARS
	ucx_batch "$1" >"$work/batch"
	ucx_serve -b "$work/batch" || return
	run taskset -c "$cpu_a" ucx_perftest localhost -p "$port" \
		-b "$work/batch" -f -v || { server_end; return 1; }
	finish "$server" || { cp "$work/server" "$work/errors"; return 1; }
	jq -c -n -R --argjson environment "$environment" -f "$filters/ucx.jq" \
		<"$work/output" >>"$work/lines" 2>"$work/errors" || return
	[ "$1" = short ] || ucx_idle
}

# ns that a process has used
cpu_ns() {
	cut -d' ' -f1 "/proc/$1/schedstat"
}

child_of() {
	cat "/proc/$1/task/$1/children"
}

# The client is stopped after a while of messages: the server waits for one.
ucx_idle() {
	local before after client waiter

	ucx_serve || return
	start "$limit" taskset -c "$cpu_a" ucx_perftest localhost -p "$port" \
		-t tag_lat -s 8 -n 100000000 -E sleep </dev/null >"$work/output" 2>&1
	client=$started
	read -r waiter < <(child_of "$server")
	# connected, and past its set-up, when it has used 20 ms more
	before=$(cpu_ns "$waiter")
	until [ "$(cpu_ns "$waiter")" -gt $((before + 20000000)) ]; do
		if ! kill -0 "$client" 2>/dev/null; then
			cp "$work/output" "$work/errors"
			finish "$client" 2>/dev/null
			server_end
			return 1
		fi
		sleep 0.05
	done
	read -r stopped < <(child_of "$client")
	kill -STOP "$stopped"
	sleep 0.1
	before=$(cpu_ns "$waiter")
	sleep 1
	after=$(cpu_ns "$waiter")
	jq -c -n --argjson environment "$environment" \
		--argjson cpu "$(((after - before) / 10000))" \
		'{bench: "ucx", test: "idle", impl: "ucx", wait: "block", seconds: 1,
		  cpu: ($cpu / 1000), processes: 2} + $environment' >>"$work/lines"
	kill -KILL "$stopped" "$waiter"
	finish "$client" 2>/dev/null
	finish "$server" 2>/dev/null
	return 0
}

# ---- rounds ---------------------------------------------------------------

declare -A lost=() # why a peer is not, or not any more, measured

missing_find() {
	local peer reason

	for peer in "${peers[@]}"; do
		reason=$(missing_"$peer" | head -n 1)
		[ -z "$reason" ] || lost[$peer]=$reason
	done
}

# The machine and the build, from a line of a program of ours.
environment_find() {
	run "$programs/vmb-floor" --cpu "$cpus" --engine-cpu "$cpu_b" --sizes 8 \
		--rounds 1 --iters 1 --count none --quiet --json "$work/lines" ||
		fail "vmb-floor: $(tail -n 1 "$work/errors")"
	environment=$(jq -c -s --argjson pin "[$cpu_a,$cpu_b,null]" \
		'.[0] | {commit, build, host, cpu_model, cpus, kernel, time, $pin}' \
		"$work/lines")
}

# peer_round PEER ROUND STAGE: its lines, as they compare, to $work/all
peer_round() {
	: >"$work/lines"
	: >"$work/errors"
	if ! "measure_$1" "$3"; then
		lost[$1]="failed in round $2: $(grep -v '^$' "$work/errors" |
			tail -n 3 | paste -s -d' ' | cut -c1-200)"
		note "$1 ${lost[$1]}"
		return
	fi
	jq -c -s --argjson latency "$(bytes_list $latency_sizes | jq -c -s .)" \
		--argjson bandwidth "$(bytes_list $bandwidth_sizes | jq -c -s .)" \
		-f "$filters/ours.jq" "$work/lines" |
		jq -c --argjson round "$2" --arg impl "$(impl "$1")" \
			'.round = $round | if .impl == "mpi" then .impl = $impl else . end' \
			>>"$work/all" ||
		fail "cannot read the lines of $1"
}

# stage_round ROUND STAGE: all peers, beginning with another one in each round,
# so that none has always the same before it
stage_round() {
	local i peer count=${#peers[@]}

	for ((i = 0; i < count; i++)); do
		peer=${peers[(i + $1 - 1) % count]}
		[ -z "${lost[$peer]:-}" ] || continue
		[ ! -t 2 ] || printf '\r\033[Kround %d of %d: %s, %s' \
			"$1" "$rounds" "$2" "$peer" >&2
		peer_round "$peer" "$1" "$2"
	done
}

# What is most sensitive to the state of the machine is measured for all peers
# within seconds.
measure_all() {
	local round

	for ((round = 1; round <= rounds; round++)); do
		stage_round "$round" short
		stage_round "$round" long
	done
	[ ! -t 2 ] || printf '\r\033[K' >&2
}

# ---- results --------------------------------------------------------------

# impl PEER: as the JSON lines call it
impl() {
	[ "$1" = vmb ] && echo vmb-local || echo "$1" # also in names.jq
}

impls_json() {
	local peer

	for peer in "${peers[@]}"; do
		[ -n "${lost[$peer]:-}" ] || impl "$peer"
	done | jq -c -R -s 'split("\n") | map(select(. != ""))'
}

versions() {
	dpkg-query -W -f '${Package} ${Version}\n' ucx-utils openmpi-bin libfabric1 \
		2>/dev/null | paste -s -d, | sed 's/,/, /g'
}

print_all() {
	local peer

	jq -r '"Commit \(.commit) (\(.build)), \(.time), \(.cpu_model), \(.cpus) processors, Linux \(.kernel)."' \
		<<<"$environment"
	echo "$rounds rounds, $time_ms ms a point; medians, in brackets the least and the"
	echo "greatest round. vmbypass: $vmb_mode."
	echo "Peers: $(versions). Load average at the end: $(cut -d' ' -f1-3 /proc/loadavg)."
	echo
	jq -r -s -L "$filters" --argjson peers "$(impls_json)" \
		-f "$filters/table.jq" "$work/combined" || fail "cannot make the table"
	for peer in "${peers[@]}"; do
		[ -z "${lost[$peer]:-}" ] || printf '\nNot measured: %s (%s).\n' \
			"$peer" "${lost[$peer]}"
	done
}

draw_all() {
	local figure format prefix=

	[ "$figures" != none ] || return 0
	[ $mpi = no ] || prefix=mpi-
	mkdir -p "$figures" || fail "cannot make $figures"
	for figure in latency bandwidth rate; do
		for format in svg png; do
			"$top/bench/plot.sh" --figure $figure "$work/combined" \
				"$figures/$prefix$figure.$format" ||
				note "no picture $figure.$format"
		done
	done
}

main() {
	parse "$@"
	peers_check
	cpus_choose
	pair_choose
	sizes_choose
	work=$(mktemp -d) || fail "no folder for temporary files"
	trap cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	prepare
	limit=$((120 + time_ms / 10)) # seconds of one program: many times what it takes
	shared=(--rounds 1 --time "$time_ms" --count none --quiet)
	if [ "$(id -u)" = 0 ]; then
		export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
	fi
	: >"$work/lines"
	: >"$work/all"
	environment_find
	missing_find
	measure_all
	[ -s "$work/all" ] || fail "nothing was measured"
	jq -c -s -L "$filters" -f "$filters/combine.jq" "$work/all" \
		>"$work/combined" || fail "cannot combine the rounds"
	[ -z "$json" ] || cat "$work/combined" >>"$json" || fail "cannot write $json"
	[ -z "$raw" ] || cat "$work/all" >>"$raw" || fail "cannot write $raw"
	print_all
	draw_all
	[ ${#lost[@]} = 0 ] || exit 2
}

main "$@"
