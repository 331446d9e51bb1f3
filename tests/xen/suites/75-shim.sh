# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
# nightly
# limit: 900
#
# The guest's module against both its neighbours: a process that misuses the
# device, and a backend in dom0 that lies (which takes vmbd's place).

# libcheck's last line but one, and each test that failed.
shim_suite()
{
	guest "$1" "CK_DEFAULT_TIMEOUT=120 xen-chardev $2"
}

no_oops()
{
	guest "$1" '! dmesg | grep -E "BUG|WARNING|Oops|general protection"'
}

faults()
{
	vmbctl status --json | sed -n 's/.*"faults": *\([0-9]*\).*/\1/p'
}

grants_are()
{
	[ "$(grants_active "$(guest_id "$1")")" = "$2" ]
}

# foreign_suite OWNER NAME: a process of NAME passes a page of OWNER for its own.
foreign_suite()
{
	guest "$1" "rm -f /tmp/share
		setsid xen-chardev share $(guest_id "$2") </dev/null \
			>/tmp/share 2>&1 & echo \$! >/tmp/share.pid"
	until_true 60 guest "$1" '[ -s /tmp/share ]' || return 1
	share="$(guest_id "$1") $(guest "$1" 'cat /tmp/share')"
	say "domain and reference: $share"
	guest "$2" "VMB_FOREIGN='$share' CK_DEFAULT_TIMEOUT=120 \
		xen-chardev foreign"
}

# foreign_refused NAME OWNER GRANTS: who grants what is not its own lies to vmbd,
# so the module does not. OWNER had so many grants mapped by others before.
foreign_refused()
{
	lies=$(faults)
	GUEST_LIMIT=200 check "$1: memory of $2 is refused" \
		foreign_suite "$2" "$1"
	equal "$1: vmbd heard no lie" "$(faults)" "$lies"
	check "$1: the page of $2 is not mapped any more" \
		until_true 30 grants_are "$2" "$3"
	check "$1: the module lives after that" no_oops "$1"
	check "$1: and works after that" self_test "$1"
	guest "$2" 'kill $(cat /tmp/share.pid)'
}

# It dies, or closes the device, when it is told to; the next one takes over.
backend_loop()
{
	until [ -f /tmp/backend.stop ]; do
		xen-backend "$1"
	done
}

# One may have begun between the look at the file and this.
backend_gone()
{
	! kill $(pidof xen-backend) 2>&-
}

backend_end()
{
	touch /tmp/backend.stop
	until_true 20 backend_gone
}

guest_attach pv1 pvh1
granted_pv1=$(grants_active "$(guest_id pv1)")
granted_pvh1=$(grants_active "$(guest_id pvh1)")
for name in pv1 pvh1; do
	GUEST_LIMIT=400 check "$name: misuse of the device" \
		shim_suite $name chardev
	check "$name: the module lives" no_oops $name
	check "$name: and works" self_test $name
done

foreign_refused pv1 pvh1 "$granted_pvh1"
foreign_refused pvh1 pv1 "$granted_pv1"

vmbd_end
for name in pv1 pvh1; do
	id=$(guest_id $name)
	rm -f /tmp/backend.stop
	backend_loop "$id" </dev/null >"/log/backend-$name.log" 2>&1 &
	GUEST_LIMIT=400 check "$name: a backend that lies" \
		shim_suite $name backend
	check "$name: the module lives" no_oops $name
	check "$name: the backend has gone" backend_end
	check "$name: the device is closed" until_true 20 vmb_closed $name
done
check "vmbd is back" vmbd_start
for name in pv1 pvh1; do
	check "$name: and works with it" guest_attach $name
	check "$name: as before" self_test $name
done
