# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
# limit: 600
#
# Lanes between guests: memory that one grants to the other, without dom0 on the
# way. Payloads are checked; vmbctl says which lanes there are, and why not.

sizes="8,96,4K,32K,256K"

# lanes STATE: how many are in that state
lanes()
{
	vmbctl lanes --json | grep -c "\"state\": *\"$1\""
}

lanes_are()
{
	[ "$(lanes "$1")" = "$2" ]
}

# traffic_start SERVER CLIENT: spinning, checked, until it is ended.
traffic_start()
{
	traffic_peer=$(serve "$1" 7 "--verify --wait spin") || return 1
	on "$2" "setsid vmb-pingpong --daemon none --quiet --wait spin \
		--verify --count none --connect $traffic_peer --sizes $sizes \
		--rounds 100 --time 1000 </dev/null >/tmp/traffic 2>&1 &
		echo \$! >/tmp/traffic.pid"
}

traffic_end()
{
	on "$2" 'kill $(cat /tmp/traffic.pid); cat /tmp/traffic'
	serve_end "$1" 7
}

# lane_pair SERVER CLIENT: both directions come up, and the payloads are right.
lane_pair()
{
	traffic_start "$1" "$2" || return 1
	until_true 30 lanes_are open 2
	pair_status=$?
	vmbctl lanes
	traffic_end "$1" "$2"
	[ $pair_status = 0 ] &&
		exchange "$1" "$2" "--wait spin --rounds 1 \
			--time 200 --sizes $sizes" "--wait spin"
}

guest_attach pv1 pvh1
before_pv1=$(grants_active "$(guest_id pv1)")
before_pvh1=$(grants_active "$(guest_id pvh1)")
check "lanes between pv1 and pvh1" lane_pair pv1 pvh1
check "lanes between pvh1 and pv1" lane_pair pvh1 pv1
check "lanes inside pvh1" lane_pair pvh1 pvh1
check "lanes inside pv1" lane_pair pv1 pv1

# what is left when processes die in the middle of it: nothing
grants_are()
{
	[ "$(grants_active "$(guest_id "$1")")" = "$2" ]
}
nothing_granted()
{
	until_true 30 grants_are pv1 "$before_pv1" &&
		until_true 30 grants_are pvh1 "$before_pvh1" &&
		lanes_are open 0
}
check "no grant and no lane is left" nothing_granted

killed()
{
	traffic_start pvh1 pv1 && until_true 30 lanes_are open 2 || return 1
	guest "$1" "kill -9 \$(cat $2)"
	until_true 30 lanes_are open 0
	killed_status=$?
	traffic_end pvh1 pv1
	[ $killed_status = 0 ] && nothing_granted
}
check "the sender is killed" killed pv1 /tmp/traffic.pid
check "the receiver is killed" killed pvh1 /tmp/serve.7.pid

# dom0 has no lanes with guests, and says why; messages go all the same
traffic_start pvh1 dom0
check "why there is none with dom0" until_true 60 eval \
	'vmbctl lanes | grep -q "not on one platform"'
traffic_end pvh1 dom0
check "pvh1 and dom0 exchange without" exchange pvh1 dom0 \
	"--wait spin --rounds 1 --iters 200 --sizes 8,4K" "--wait spin"

# without the kernel's device there are no lanes, and messages go all the same
guest pv1 'rmmod xen-gntalloc'
check "without xen-gntalloc" exchange pv1 pvh1 \
	"--wait spin --rounds 1 --iters 500 --sizes 8,4K" "--wait spin"
guest pv1 'modprobe xen-gntalloc'

# a guest that is destroyed is gone, although another one had mapped its pages
guest_attach pvh2
traffic_start pvh2 pv1
until_true 30 lanes_are open 2
check "a guest is destroyed in the middle" guest_destroy pvh2
zombies()
{
	xl list | grep -c '(null)'
}
no_zombie()
{
	[ "$(zombies)" = 0 ]
}
check "and leaves no zombie" until_true 30 no_zombie
guest pv1 'kill $(cat /tmp/traffic.pid); cat /tmp/traffic'
check "lanes go on between the others" lane_pair pvh1 pv1
equal "no lie was recorded" "$(vmbctl faults --json | grep -c lane)" 0
