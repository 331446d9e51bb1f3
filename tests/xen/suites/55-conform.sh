# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
# nightly
# limit: 2600
#
# The conformance suite of the library, unchanged: in guests, and between two,
# where every second endpoint of a test is one of the other guest.

# An emulated machine is slow, and each call over there is a round trip of TCP.
times=$((8 * slow))

# far_start NAME: the half that serves, a process there for each test.
far_start()
{
	guest "$1" 'setsid conform serve 7100 </dev/null >/tmp/far 2>&1 &
		echo $! >/tmp/far.pid' &&
		until_true 60 guest "$1" 'grep -q serving /tmp/far'
}

# conform_between FAR NEAR SUITE...: no suite: all
conform_between()
{
	far=$1 near=$2 near_status=0
	shift 2
	far_start $far || return 1
	for suite in "${@:-}"; do
		GUEST_LIMIT=1300 guest $near "CK_TIMEOUT_MULTIPLIER=$times \
			conform env@$(guest_address $far):7100 $suite" ||
			near_status=$?
	done
	guest $far 'kill $(cat /tmp/far.pid) 2>&-; cat /tmp/far'
	return $near_status
}

guest_attach pv1 pvh1
for name in pvh1 pv1; do
	GUEST_LIMIT=400 check "conform in $name" \
		guest $name 'CK_DEFAULT_TIMEOUT=120 conform env'
done
check "conform, far half in pv1, near half in pvh1" conform_between pv1 pvh1
# its many thousands of messages take minutes, once is enough
check "conform, far half in pvh1, near half in pv1, without messages" \
	conform_between pvh1 pv1 connect requests unexpected lane am
