# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
# nightly
# limit: 600
#
# More endpoints and more memory than policy and Xen allow: a clear error,
# nothing else broken, and vmbctl says who holds what.

policy_reload()
{
	policy_default "$@"
	kill -HUP "$(cat /tmp/vmbd.pid)"
	vmbctl limits
}

# hold NAME endpoints|memory MOST: what is printed, while it is held. The pipe
# on its standard input keeps it until hold_end.
hold()
{
	guest "$1" "rm -f /tmp/hold /tmp/hold.in; mkfifo /tmp/hold.in
		setsid xen-hold $2 $3 </tmp/hold.in >/tmp/hold 2>&1 &
		setsid sleep 1000 >/tmp/hold.in </dev/null 2>&1 &
		echo \$! >/tmp/hold.pid"
	until_true 200 guest "$1" '[ -s /tmp/hold ]' || return 1
	guest "$1" 'cat /tmp/hold'
}

hold_end()
{
	guest "$1" 'kill $(cat /tmp/hold.pid)
		while pidof xen-hold; do usleep 50000; done' >/dev/null
}

has()
{
	vmbctl guests --json | awk -v guest="$1" -v key="\"$2\":" -v most="$3" '
	/"guest":/ { inside = $0 ~ "\"" guest "\"" }
	inside && $1 == key { gsub(/[^0-9]/, "", $2); found = $2 >= most }
	END { exit !found }'
}

guest_attach pv1 pvh1
before=$(held pv1)

policy_reload "endpoints = 5" "memory = 3M"
check "pv1 is detached" guest_detach pv1
check "and attached under another policy" guest_attach pv1
equal "endpoints over the policy" "$(hold pv1 endpoints 100)" "5 EDQUOT"
check "vmbctl says who has them" has pv1 endpoints 5
check "another guest may open its own" self_test pvh1
hold_end pv1
equal "memory over the policy" "$(hold pv1 memory 100)" "3 EDQUOT"
check "vmbctl says who has it" has pv1 memory_bytes 3145728
hold_end pv1
check "then there is room again" self_test pv1

policy_reload
check "detached again" guest_detach pv1
check "attached without limits" guest_attach pv1
taken=$(hold pv1 memory 4000)
say "memory until Xen or the guest has no more: $taken MiB"
check "memory over what Xen grants: an error" \
	expr "$taken" : '[0-9]* \(ENOSPC\|ENOMEM\|EDQUOT\)$'
check "another guest may register its own" self_test pvh1
check "dom0 still exchanges" exchange pvh1 dom0 \
	"--rounds 1 --iters 50 --sizes 8,64K"
hold_end pv1
check "then there is room again, after Xen's limit" self_test pv1
check "detached at the end" guest_detach pv1
check "and attached" guest_attach pv1
check "no grant and no channel is left" nothing_left pv1 "$before"
