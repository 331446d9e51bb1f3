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

# How often the emulator has broken a guest so far: QEMU 7.2 at times leaves a
# VMRUN with Xen's own code segment and registers in the guest's state, and the guest
# is gone with a triple fault. No software in a guest can have those.
emulator_faults()
{
	{
		cat /log/xl-dmesg.log 2>/dev/null
		xl dmesg
	} | grep -A 1 '^(XEN) RIP: *e008:' | grep -c 'CONTEXT: hvm guest'
}

# What the machine looked like when a suite failed, in a log beside its own; as
# few lines as tests/run.sh shows of one.
post_mortem()
{
	grep -q '^not ok' "tap/$1.tap" || return 0
	{
		xl list
		echo "faults of the emulator so far: $(emulator_faults)"
		xl dmesg | tail -n 8
		tail -n 3 /log/guest-*.log
	} >"/log/$1.after.log" 2>&1
}

# Once more, when it failed and the emulator is to blame; the line of that says
# so. What the first run said is in the log beside.
suite_run_again()
{
	name=$(basename "$1" .sh)
	grep -q '^not ok' "tap/$name.tap" &&
		[ "$(emulator_faults)" -gt "$2" ] || return 0
	say "suite $name: the emulator broke a guest; again"
	guests_end
	vmbd_end KILL
	mv "tap/$name.tap" "/log/$name.broken.tap"
	mv "/log/$name.log" "/log/$name.broken.log"
	suite_run "$1"
	echo "ok - run again, the emulator broke a guest # SKIP triple fault" \
		"with the registers of Xen, see $name.broken.log" >>"tap/$name.tap"
}

for suite in suites/*.sh; do
	[ -f "$suite" ] || continue
	faults=$(emulator_faults)
	suite_run "/share/$suite"
	suite_run_again "/share/$suite" "$faults"
done
guests_end
xl dmesg >>/log/xl-dmesg.log
dmesg >/log/dom0-dmesg.log
