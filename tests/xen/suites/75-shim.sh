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
	! guest "$1" 'dmesg | grep -E "BUG|WARNING|Oops|general protection"'
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
	setsid xen-backend "$id" </dev/null >"/log/backend-$name.log" 2>&1 &
	backend=$!
	GUEST_LIMIT=400 check "$name: a backend that lies" \
		shim_suite $name backend
	check "$name: the module lives" no_oops $name
	kill $backend
	until_true 20 vmb_closed $name
done
check "vmbd is back" vmbd_start
for name in pv1 pvh1; do
	check "$name: and works with it" guest_attach $name
	check "$name: as before" self_test $name
done
