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
for name in pv1 pvh1; do
	GUEST_LIMIT=400 check "$name: misuse of the device" \
		shim_suite $name chardev
	check "$name: the module lives" no_oops $name
	check "$name: and works" self_test $name
done

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
