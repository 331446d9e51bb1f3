# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
# nightly
# limit: 900
#
# A guest with an emulated machine: BIOS, and devices of a device model that
# runs in dom0. The shim finds xenbus, grants and event channels there as in
# any other.

quick="--rounds 1 --iters 100 --sizes 0,8,96,8K,64K,1M"

# Unpacked by run.sh, where the package is.
if [ ! -x /share/hvm/qemu ]; then
	skip "an HVM guest" "no device model: tests/packages.sh xen"
	return
fi

boots()
{
	guest_start hvm1 && return
	tail -n 20 /var/log/xen/qemu-dm-hvm1.log
	return 1
}

guest_attach pv1 pvh1
check "an HVM guest boots" boots
before=$(held hvm1)
check "hvm1 can be attached" guest_attach hvm1
check "hvm1: messages between two of its endpoints" self_test hvm1
for pair in "hvm1 pv1" "pvh1 hvm1" "dom0 hvm1"; do
	check "server and client: $pair" exchange $pair "$quick"
done
check "hvm1 can be detached" vmbctl detach hvm1
check "hvm1: the module can be unloaded" guest hvm1 'rmmod vmbypass'
check "hvm1: no grant and no channel is left" nothing_left hvm1 "$before"
guest_destroy hvm1
