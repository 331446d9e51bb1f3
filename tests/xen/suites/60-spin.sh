# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
# limit: 300
#
# No system call and no hypercall on the data path while both sides spin. A
# process makes hypercalls by system calls alone, so those of the client, the
# server and all threads of vmbd are counted; and the events of the device, in
# the interrupt counts of both guests, in the log.

# events NAME: how many the device has got.
events()
{
	guest "$1" "awk '/vmb/ { n += \$2 } END { print n + 0 }' /proc/interrupts"
}

# number NAME FILE: a number, or a list of them, of a line of JSON.
number()
{
	sed -n "s/.*\"$1\": *\(\[[^]]*\]\|[0-9.e+-]*\|null\).*/\1/p" "$2"
}

# spin SERVER CLIENT: system calls as the client reports them.
spin()
{
	peer=$(serve "$1" 6 "--wait spin --count auto") || return 1
	on "$2" "rm -f /tmp/spin.json; vmb-pingpong --daemon none --quiet \
		--wait spin --rounds 2 --iters 500 --sizes 8 --connect $peer \
		--json /tmp/spin.json"
	on "$2" 'cat /tmp/spin.json' | tee /tmp/spin.out
	serve_end "$1" 6
	say "system calls of client, server, engine:" \
		"$(number syscalls /tmp/spin.out) in" \
		"$(number iters /tmp/spin.out) messages"
}

# Four that spin share fewer real processors: an engine that sleeps after 1 ms
# without work would sleep whenever the others have its processor.
vmbd_end
VMBD_OPTIONS="--spin-us 1000000"
guest_attach pv1 pvh1
before="$(events pv1) $(events pvh1)"
spin pv1 pvh1
equal "no system call of client and server, guest to guest" \
	"$(number syscalls /tmp/spin.out | cut -d, -f1,2)" "[0,0"
say "events of pv1 and pvh1 before: $before, after:" \
	"$(events pv1) $(events pvh1)"
spin pvh1 dom0
equal "no system call of client, server and engine, dom0 to guest" \
	"$(number syscalls /tmp/spin.out)" "[0,0,0]"
vmbd_end
