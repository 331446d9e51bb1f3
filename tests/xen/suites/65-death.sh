# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
# nightly
# limit: 900
#
# Death of a process, of a guest and of vmbd in mid-traffic: the others go on
# and verify, nothing is left behind.
#
# The victims are in pv1; they exchange with pvh1. The bystander is a pair
# between dom0 and pvh1 that exchanges checked messages all the time.

bystander_loop()
{
	while [ ! -f /tmp/bystander.stop ]; do
		vmb-pingpong --daemon none --quiet --verify --connect "$1" \
			--count none --sizes 8,4K,64K --rounds 1 --iters 50 \
			>/tmp/bystander.out 2>&1 || {
			echo failed >>/tmp/bystander
			cat /tmp/bystander.out
		}
		echo done >>/tmp/bystander
	done
}

bystander_start()
{
	rm -f /tmp/bystander.stop
	: >/tmp/bystander
	bystander=$(serve pvh1 8 --verify) || return 1
	bystander_loop "$bystander" &
	bystander_pid=$!
	bystander_goes_on
}

bystander_count()
{
	grep -c done /tmp/bystander
}

bystander_above()
{
	[ "$(bystander_count)" -gt "$1" ]
}

# Two more rounds from now on, and none that failed.
bystander_goes_on()
{
	until_true 120 bystander_above $(($(bystander_count) + 1)) &&
		! grep failed /tmp/bystander
}

bystander_end()
{
	touch /tmp/bystander.stop
	wait $bystander_pid
	serve_end pvh1 8
}

# traffic_of NAME: messages that the endpoints of a guest have sent.
traffic_of()
{
	vmbctl endpoints --json --all | awk -v guest="$1" '
	/"sends":/ { gsub(/[^0-9]/, ""); sends = $0 }
	/"guest":/ && $0 ~ "\"" guest "\"" { sum += sends }
	END { print sum + 0 }'
}

traffic_above()
{
	[ "$(traffic_of "$1")" -gt "$2" ]
}

# victim_start: traffic from pv1 to pvh1 that outlasts what is done to it. The bench
# measures its floors first, for as many turns as it has iterations.
victim_start()
{
	victim_peer=$(serve pvh1 7 --verify) || return 1
	guest pv1 "setsid vmb-pingpong --daemon none --quiet --verify \
		--connect $victim_peer --sizes 64K --rounds 100 \
		--iters 10000 </dev/null >/tmp/victim 2>&1 &
		echo \$! >/tmp/victim.pid"
	until_true 60 traffic_above pv1 20
}

guest_memory()
{
	vmbctl guests --json | awk -v guest="$1" '
	/"guest":/ { inside = $0 ~ "\"" guest "\"" }
	inside && /"(clients|endpoints|regions|memory_bytes)":/ {
		gsub(/[ ,]/, ""); printf "%s ", $0 }'
}

guest_memory_is()
{
	[ "$(guest_memory "$1")" = "$2" ]
}

store_back()
{
	xenstore-exists "/local/domain/0/backend/vmb/$1"
}

guest_attach pv1 pvh1
idle=$(guest_memory pv1)
before=$(held pv1)
say "pv1 holds $idle, $before"
check "the bystanders exchange" bystander_start

# ---- a process
check "a victim exchanges" victim_start
guest pv1 'kill -KILL $(cat /tmp/victim.pid)'
check "SIGKILL of a process: its memory is let go" \
	until_true 60 guest_memory_is pv1 "$idle"
check "SIGKILL of a process: no grant and no channel is left" \
	nothing_left pv1 "$before"
check "SIGKILL of a process: bystanders go on" bystander_goes_on
check "SIGKILL of a process: its guest can exchange" self_test pv1
serve_end pvh1 7

# ---- a guest
check "another victim exchanges" victim_start
id=$(guest_id pv1)
check "a guest is destroyed in mid-traffic" guest_destroy pv1
check "destroyed guest: bystanders go on" bystander_goes_on
check "destroyed guest: vmbd has forgotten it" \
	until_true 60 guest_unlisted pv1
refused "destroyed guest: no store node" store_back "$id"
equal "destroyed guest: no memory is held" \
	"$(xl list | awk -v id="$id" '$2 == id')" ""
check "destroyed guest: the peer's process lives" \
	guest pvh1 'kill -0 $(cat /tmp/serve.7.pid)'
serve_end pvh1 7
check "it can come back" guest_attach pv1
check "and exchange" exchange pvh1 pv1 "--rounds 1 --iters 50 --sizes 8,64K"
check "the bystanders have gone on all the time" bystander_goes_on
bystander_end

# ---- vmbd
before=$(held pv1)
check "a third victim exchanges" victim_start
check "vmbd is killed" vmbd_end KILL
check "killed vmbd: processes of guests are told" until_true 60 \
	guest pv1 '! kill -0 $(cat /tmp/victim.pid) 2>&-'
check "killed vmbd: the device is closed" until_true 60 vmb_closed pv1
serve_end pvh1 7
check "vmbd starts again" vmbd_start
for name in pv1 pvh1; do
	check "restarted vmbd: $name is connected" until_true 60 vmb_opens $name
	check "restarted vmbd: $name exchanges" self_test $name
done
check "restarted vmbd: no grant and no channel is left" \
	nothing_left pv1 "$before"
check "guests exchange" exchange pvh1 pv1 "--rounds 1 --iters 50 --sizes 8,64K"
