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

guest_attach pv1 pvh1
before=$(held pvh1)
guest pv1 'rmmod vmbypass'
pid=$(cat /tmp/vmbd.pid)
begin=$(faults)
GUEST_LIMIT=300 guest pv1 'xen-frontend' >/tmp/lies
while read -r line; do
	case $line in
	ok*) ok "lie: ${line#ok }" ;;
	*) not_ok "lie: ${line#not ok }" "vmbd believed it" ;;
	esac
done </tmp/lies
check "all lies were told" grep -q kicks /tmp/lies
vmbctl faults --all
check "the fault log has grown by a dozen and more" \
	[ $(($(faults) - begin)) -ge 12 ]
equal "vmbd is the same process" "$(cat /tmp/vmbd.pid)" "$pid"
check "and runs" vmbd_runs
check "the other guest exchanges with itself" self_test pvh1
check "and with dom0" exchange pvh1 dom0 "--rounds 1 --iters 50 --sizes 8,64K"
check "and holds what it held" nothing_left pvh1 "$before"
check "the liar can be honest again" guest_attach pv1
check "and exchange" exchange pv1 pvh1 "--rounds 1 --iters 50 --sizes 8,64K"
for name in pv1 pvh1 dom0; do
	refused "no bug in the kernel's log of $name" \
		on $name 'dmesg | grep -E "BUG|WARNING|Oops"'
done
