# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
# nightly
# limit: 900
#
# Jobs of Open MPI with ranks in two guests, and in a guest and dom0: started
# from dom0 over the network of the guests, which carries what mpirun says to
# its daemons; all messages of the ranks go through vmbypass.

# Open MPI is not in the images: a suite of a nightly run uses it.
if [ ! -f /share/mpi.cpio ]; then
	skip "MPI between guests" "no Open MPI here: tests/packages.sh peers"
	return
fi

# The network that all machines here have.
net=10.0.0.0/24

hosts()
{
	echo "127.0.0.1 localhost"
	echo "10.0.0.1 dom0"
	for host in "$@"; do
		echo "$(guest_address "$host") $host"
	done
}

# What mpirun starts its daemons with, in place of ssh: HOST COMMAND.
agent_write()
{
	cat >/bin/mpi-agent <<-'END'
	#!/bin/sh
	host=$1
	shift
	exec xen-agent run "$(awk -v h="$host" '$2 == h { print $1 }' /etc/hosts)" \
		900 "export OMPI_ALLOW_RUN_AS_ROOT=1; $*"
	END
	chmod +x /bin/mpi-agent
}

# mpi_install NAME...: into guests, and dom0.
mpi_install()
{
	hostname dom0
	hosts "$@" >/etc/hosts
	agent_write
	(cd / && cpio -idmu </share/mpi.cpio) || return 1
	httpd -p 10.0.0.1:80 -h /share || return 1
	for install in "$@"; do
		guest "$install" "cd / && wget -q -O /tmp/mpi.cpio \
			http://10.0.0.1/mpi.cpio && cpio -idmu </tmp/mpi.cpio &&
			rm /tmp/mpi.cpio && echo '$(hosts "$@")' >/etc/hosts &&
			ln -sf false /bin/mpi-agent" || # never started there
			return 1
	done
	killall httpd
}

# job MPIRUN-ARGUMENT...: MPI_BTL carries its messages.
job()
{
	timeout -s KILL $((${MPI_LIMIT:-200} * slow)) mpirun \
		--allow-run-as-root --bind-to none --leave-session-attached \
		--mca plm_rsh_agent /bin/mpi-agent \
		--mca plm_rsh_no_tree_spawn 1 --mca oob_tcp_if_include $net \
		--mca btl_tcp_if_include $net --mca pml ob1 \
		--mca btl "${MPI_BTL:-self,vmb}" --mca osc pt2pt "$@"
}

# on_both HOST,HOST PROGRAM...: a rank on each; more may be spawned there.
on_both()
{
	both=${1%,*}:4,${1#*,}:4
	shift
	job -np 2 --host "$both" --map-by node "$@"
}

# pair BTL TEST SIZES: of two ranks, pv1 and pvh1; its lines.
pair()
{
	MPI_BTL=self,$1 job -np 1 --host pv1 peer-mpi --connect 1 \
		--test "$2" --sizes "$3" --rounds 3 --time 200 --count none \
		--quiet --json - : \
		-np 1 --host pvh1 peer-mpi --serve 0 --count none
}

# group BTL TEST SIZES: the same of what ranks do together.
group()
{
	MPI_BTL=self,$1 on_both pv1,pvh1 mpi-group --test "$2" --sizes "$3" \
		--rounds 3 --time 200 --cpu any --quiet --json -
}

# medians: SIZE VALUE of each line.
medians()
{
	sed -n 's/.*"size": *\([0-9]*\),.*"rounds": *{[^}]*"median": *\([0-9]*\).*/\1 \2/p'
}

# beside METHOD TEST SIZES UNIT: over vmbypass, then over TCP, in one boot.
beside()
{
	for btl in vmb tcp; do
		"$1" $btl "$2" "$3" >/tmp/$btl || return 1
		cat /tmp/$btl >>/log/mpi.json
		medians </tmp/$btl >/tmp/$btl.medians
	done
	points=$(echo "$3" | tr ',' '\n' | wc -l)
	[ "$(wc -l </tmp/vmb.medians)" = "$points" ] &&
		[ "$(wc -l </tmp/tcp.medians)" = "$points" ] || return 1
	paste /tmp/vmb.medians /tmp/tcp.medians |
		while read -r size ours _ theirs; do
			say "$2 of $size bytes: $ours $4; over TCP $theirs $4"
		done
}

ten_times_faster()
{
	beside pair latency 8 ns || return 1
	read -r _ ours </tmp/vmb.medians
	read -r _ theirs </tmp/tcp.medians
	say "over TCP and netfront it takes $((theirs / ours)) times as long"
	[ "$theirs" -ge $((10 * ours)) ]
}

# mixed PROGRAM...: two ranks in dom0, one in each guest.
mixed()
{
	job -np 2 --host dom0:2 "$@" : -np 1 --host pv1 "$@" : \
		-np 1 --host pvh1 "$@"
}

# Everything of a rank of a guest is gone with its job.
nothing_held()
{
	vmbctl endpoints --json >/tmp/endpoints &&
		[ "$(tr -d ' \n' </tmp/endpoints)" = "[]" ]
}

guest_attach pv1 pvh1
check "Open MPI is installed in pv1, pvh1 and dom0" mpi_install pv1 pvh1 ||
	return
check "a job finds its hosts" on_both pv1,pvh1 hostname
check "ring: pv1, pvh1" on_both pv1,pvh1 ring
check "cases of MPI, short: pv1, pvh1" on_both pv1,pvh1 mpi_conform --short
check "cases of MPI, short: pvh1, pv1" on_both pvh1,pv1 mpi_conform --short
check "halo exchange: pv1, pvh1" on_both pv1,pvh1 jacobi
check "sort by all-to-all: pvh1, pv1" on_both pvh1,pv1 sort
check "ring: dom0, pv1" on_both dom0,pv1 ring
check "cases of MPI, short: dom0, pvh1" on_both dom0,pvh1 mpi_conform --short
check "ring: two in dom0, pv1, pvh1" mixed ring
check "sort by all-to-all: two in dom0, pv1, pvh1" mixed sort
check "8 bytes over vmbypass take a tenth of what they take over TCP" \
	ten_times_faster
check "measured beside TCP: latency" beside pair latency 4K,64K ns
check "measured beside TCP: bandwidth" beside pair bandwidth 4K,64K MB/s
check "measured beside TCP: rate" beside pair rate 8 messages/s
check "measured beside TCP: both ways" beside group bidirectional 4K,64K MB/s
check "measured beside TCP: allreduce" beside group allreduce 8,64K ns
check "measured beside TCP: alltoall" beside group alltoall 4K ns
check "nothing is held by jobs that ended" until_true 20 nothing_held
