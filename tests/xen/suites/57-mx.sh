# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
# nightly
# limit: 900
#
# Programs written to MX, in guests and over the shim: the conformance suite of
# libmyriexpress with its two halves in two guests, each guest once as each
# half; then messages of a bench and of the examples.

# Both halves are told that an emulated machine is slow: the limit of a connect
# while the peer computes is 5 ms otherwise.
times=$((4 * slow))

# far_start NAME: the half that serves, a process there for each test.
far_start()
{
	guest "$1" "export CK_TIMEOUT_MULTIPLIER=$times
		setsid mx_conform far 900 </dev/null >/tmp/far 2>&1 &
		echo \$! >/tmp/far.pid" &&
		until_true 60 guest "$1" 'grep -q "endpoint 900" /tmp/far'
}

far_gone()
{
	guest "$1" '! kill -0 $(cat /tmp/far.pid) 2>&-'
}

# suite_between FAR NEAR
suite_between()
{
	far_start "$1" || return 1
	GUEST_LIMIT=400 guest "$2" \
		"CK_TIMEOUT_MULTIPLIER=$times mx_conform near $1:0/900"
	near_status=$?
	guest "$2" "mx_conform near $1:0/900 stop" &&
		until_true 30 far_gone "$1" || near_status=1
	guest "$1" 'kill $(cat /tmp/far.pid) 2>&-; cat /tmp/far'
	return $near_status
}

# The smallest programs of MX: the answer is what was sent.
examples_between()
{
	guest "$1" 'mx_receive 1 </dev/null >/tmp/receive 2>&1 &'
	until_true 60 guest "$1" 'grep -q receiving /tmp/receive' || return 1
	where=$(guest "$1" "sed -n 's/^receiving at //p' /tmp/receive")
	guest "$2" "mx_send $where 'over the wall'" | tee /tmp/answer
	guest "$1" 'cat /tmp/receive'
	[ "$(cat /tmp/answer)" = "answer of 13 bytes: over the wall" ]
}

# bench_between SERVER CLIENT: payloads checked at both ends.
bench_between()
{
	EXCHANGE_LIMIT=200 exchange "$1" "$2" "--api mx --rounds 1 \
		--iters 100 --sizes 0,8,96,4K,64K,1M" "--api mx"
}

guest_attach pv1 pvh1
for pair in "pv1 pvh1" "pvh1 pv1"; do
	check "mx_conform, far and near half: $pair" suite_between $pair
	check "mx_receive and mx_send: $pair" examples_between $pair
	check "vmb-pingpong over MX, server and client: $pair" \
		bench_between $pair
done
