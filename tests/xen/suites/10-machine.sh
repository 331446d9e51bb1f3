# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
# limit: 300
#
# The machine is what the other suites take it for: Xen, a PV and a PVH guest
# on a Debian kernel, commands in them with their exit status, a network, and
# nothing left of a guest that was destroyed.

xen_version()
{
	xl info | awk '/^xen_version/ { print $3 }'
}

agent_kills()
{
	GUEST_LIMIT=2 guest pv1 'sleep 1000'
	[ $? = 124 ] && until_true 30 guest pv1 '! pidof sleep'
}

echo "$(uname -r) on Xen $(xen_version)"
equal "dom0 is the control domain" \
	"$(grep -o control_d /proc/xen/capabilities)" control_d
for name in pv1 pvh1; do
	check "$name starts" guest_need $name
done
equal "pv1 is a PV guest" "$(guest pv1 'cat /sys/hypervisor/guest_type')" PV
equal "pvh1 is a PVH guest" "$(guest pvh1 'cat /sys/hypervisor/guest_type')" PVH
equal "a guest knows its domain" "$(guest pv1 'xenstore-read domid')" \
	"$(guest_id pv1)"

guest pv1 'exit 7'
equal "an exit status comes back" $? 7
equal "output comes back, errors apart" \
	"$(guest pv1 'echo out; echo err >&2' 2>/dev/null)" out
check "a command that takes too long is killed" agent_kills

check "pv1 reaches dom0" guest pv1 'ping -c 2 10.0.0.1'
check "pv1 reaches pvh1" guest pv1 'ping -c 2 10.0.0.13'

# what a guest leaves behind when it is destroyed: nothing
guest_need pvh1 && id=$(guest_id pvh1)
check "a guest can be destroyed" guest_destroy pvh1
none_of() # COUNT ID: dom0's own programs are told of the end a bit later
{
	[ "$("$1" "$2")" = 0 ]
}
check "its grants are gone" until_true 30 none_of grants_active "$id"
check "its event channels are gone" until_true 30 none_of channels "$id"
refused "its store nodes are gone" xenstore-exists "/local/domain/$id"
check "and started again" guest_need pvh1
