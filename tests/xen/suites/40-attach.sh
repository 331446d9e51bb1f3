# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
# limit: 450
#
# Attach, detach, attach again; load and unload the module twenty times; nothing
# is left in the grant table, among the event channels and in the store.

module_cycles()
{
	guest "$1" 'for i in $(seq 20); do
		insmod /lib/vmbypass.ko || exit 1
		until [ -c /dev/vmbypass ] && (: <>/dev/vmbypass) 2>&-; do
			usleep 20000
		done
		rmmod vmbypass || exit 1
	done; ! dmesg | grep -E "BUG|WARNING|Oops|leak"'
}

store_nodes()
{
	xenstore-exists "/local/domain/$(guest_id "$1")/device/vmb/0" ||
		xenstore-exists "/local/domain/0/backend/vmb/$(guest_id "$1")/0"
}

store_clean()
{
	! store_nodes "$1"
}

node_gone()
{
	guest "$1" '[ ! -e /dev/vmbypass ]'
}

# The module is not loaded yet: its node gets the lowest number that is free. Then
# it is detached, and another device takes that number.
number_taken()
{
	guest "$1" 'rmmod xen-gntalloc' &&
		guest_attach "$1" &&
		guest "$1" 'modprobe xen-gntalloc' &&
		guest_detach "$1" &&
		until_true 30 node_gone "$1" &&
		guest "$1" 'rmmod xen-gntalloc && modprobe xen-gntalloc'
}

# An earlier suite may have used it: what it holds now is not "nothing".
detached()
{
	guest_need "$1" || return 1
	guest_listed "$1" || return 0
	guest_detach "$1" && guest "$1" 'rmmod vmbypass'
}

# peers_has NAME/ID: the table has that board, with a nic id, and the endpoint.
peers_has()
{
	vmbctl peers >/tmp/peers || return 1
	cat /tmp/peers
	awk -v board="${1%/*}" -v id="${1#*/}" '
	NR == 1 { head = $1 == "NAME" && $2 == "NIC-ID" }
	$1 == board && $2 ~ /^02(:[0-9a-f][0-9a-f])+$/ && length($2) == 17 {
		for (i = 3; i <= NF; i++)
			found = found || $i == id
	}
	END { exit !(head && found) }' /tmp/peers
}

policy_default
check "vmbd --xen starts" vmbd_need
for name in pv1 pvh1; do
	detached $name
	before=$(held $name)
	check "$name can be attached" guest_attach $name
	refused "$name cannot be attached twice" vmbctl attach $name
	check "$name: messages between two of its endpoints" self_test $name
	guest $name 'vmb-pingpong --serve --daemon none </dev/null \
		>/tmp/serve.9 2>&1 & echo $! >/tmp/serve.9.pid'
	until_true 60 guest $name 'grep -q serving /tmp/serve.9'
	where=$(guest $name "sed -n 's/.*--connect //p' /tmp/serve.9")
	equal "$name: its name is that of the guest and its board" \
		"${where%/*}" "$name:0"
	check "$name: vmbctl peers has the board and the endpoint" \
		peers_has "$where"
	refused "$name: the module is in use" guest $name 'rmmod vmbypass'
	check "$name can be detached, whoever uses it" vmbctl detach $name
	check "$name: the process that used it is told" until_true 30 \
		guest $name '! kill -0 $(cat /tmp/serve.9.pid) 2>&-'
	check "$name: the device is closed" until_true 30 vmb_closed $name
	check "$name: the store nodes are gone" until_true 30 store_clean $name
	check "$name: no grant and no channel is left" \
		nothing_left $name "$before"
	check "$name can be attached again" guest_attach $name
	check "$name: and messages go" self_test $name
	check "$name: the module can be unloaded" guest $name 'rmmod vmbypass'
	check "$name: no grant and no channel is left after that" \
		nothing_left $name "$before"
	check "$name: load and unload 20 times" module_cycles $name
	check "$name: no grant and no channel is left after 20 times" \
		nothing_left $name "$before"
	check "$name: detached, and the number of its node is taken" \
		number_taken $name
	check "$name: and once more" guest_attach $name
done
refused "a guest that there is not cannot be attached" vmbctl attach nobody
