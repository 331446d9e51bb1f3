# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
#
# driver.sh - run the suites in dom0, one after the other, each in a session of
# its own and within its time.
#
# Flow:  dom0/init -> [here] -> suites/NN-name.sh -> /share/tap/NN-name.tap
# Owns:  nothing. What a suite leaves running is ended after it; guests stay,
#        for the next one, unless the suite ran out of time.
cd /share || exit 1
. /share/dom0/lib.sh

# The line "# limit: SECONDS" of a suite, or two minutes.
limit_of()
{
	limit=$(sed -n 's/^# limit: \([0-9]*\).*/\1/p' "$1")
	echo $((${limit:-120} * slow))
}

# suite_watch SESSION SECONDS NAME: in a session of its own as well, so that its
# sleep ends with it.
suite_watch()
{
	setsid sh -c 'sleep "$1"
		echo "not ok - time-out # after $1 s" >>"tap/$2.tap"
		kill -KILL "-$0"' "$1" "$2" "$3" &
	watch=$!
}

suite_run()
{
	name=$(basename "$1" .sh)
	begin=$(seconds)
	: >"tap/$name.tap"
	setsid sh -c '. /share/dom0/lib.sh; . "$0"; plan_end' "$1" \
		3>>"tap/$name.tap" >"/log/$name.log" 2>&1 &
	session=$!
	suite_watch $session "$(limit_of "$1")" "$name"
	wait $session
	status=$?
	kill -KILL "-$watch" 2>/dev/null
	wait $watch 2>/dev/null
	kill -KILL "-$session" 2>/dev/null
	grep -q '^1\.\.' "tap/$name.tap" ||
		suite_broken "$name" $status
	post_mortem "$name"
	touch "tap/$name.ended"
	say "suite $name: $(($(seconds) - begin)) s"
}

# It said no plan, so it did not come to its end.
suite_broken()
{
	grep -q '^not ok - time-out' "tap/$1.tap" ||
		echo "not ok - end # ended early with status $2" >>"tap/$1.tap"
	say "suite $1 is broken; state of the machine:"
	xl list
	dmesg | tail -n 50
	guests_end
}

# What the machine looked like when a suite failed, in a log beside its own; as
# few lines as tests/run.sh shows of one.
post_mortem()
{
	grep -q '^not ok' "tap/$1.tap" || return 0
	{
		xl list
		xl dmesg | tail -n 8
		tail -n 3 /log/guest-*.log
	} >"/log/$1.after.log" 2>&1
}

for suite in suites/*.sh; do
	[ -f "$suite" ] || continue
	suite_run "/share/$suite"
done
guests_end
xl dmesg >>/log/xl-dmesg.log
dmesg >/log/dom0-dmesg.log
