# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
# nightly
# limit: 600
#
# A hostile guest: pv1 speaks to vmbd by a frontend that lies. dom0 and the
# other guest are unharmed, each lie is in the fault log.

faults()
{
	vmbctl status --json | sed -n 's/.*"faults": *\([0-9]*\).*/\1/p'
}

# Sixteen lies, or one about the ring, and vmbd hears no more of a device until it
# is attached anew: so each lie has its own.
attach_anew()
{
	guest_detach pv1 && vmbctl attach pv1
}

# lie_told NAME: the liar says what came of it, and whether that is right.
lie_told()
{
	GUEST_LIMIT=90 guest pv1 "xen-frontend $1" >/tmp/lie
	lie_status=$?
	cat /tmp/lie
	return $lie_status
}

guest_attach pv1 pvh1
before=$(held pvh1)
guest pv1 'rmmod vmbypass'
pid=$(cat /tmp/vmbd.pid)
begin=$(faults)
lies=$(guest pv1 xen-frontend)
equal "there are 16 lies" "$(echo "$lies" | wc -w)" 16
for lie in $lies; do
	check "attached anew for: $lie" attach_anew
	check "lie: $lie" lie_told "$lie"
done
vmbctl faults --all
check "the fault log has grown by a dozen and more" \
	[ $(($(faults) - begin)) -ge 12 ]
equal "vmbd is the same process" "$(cat /tmp/vmbd.pid)" "$pid"
check "and runs" vmbd_runs
check "the other guest exchanges with itself" self_test pvh1
check "and with dom0" exchange pvh1 dom0 "--rounds 1 --iters 50 --sizes 8,64K"
check "the liar can be honest again" attach_anew
check "and connect" guest_attach pv1
check "and exchange" exchange pv1 pvh1 "--rounds 1 --iters 50 --sizes 8,64K"
check "the other guest and dom0 hold what they held" \
	nothing_left pvh1 "$before"
for name in pv1 pvh1 dom0; do
	check "no bug in the kernel's log of $name" \
		on $name '! dmesg | grep -E "BUG|WARNING|Oops"'
done
