# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
#
# lib.sh - what suites are made of: tests and their names, guests and commands
# in them, the state of Xen before and after.
#
# Flow:  driver.sh, suites -> [here] -> xl, xen-agent, xenstore
# Owns:  the guests pv1, pv2, pvh1, pvh2; their addresses are 10.0.0.11 to .14.
#
# Standard output and standard error of a suite are its log; tests are TAP lines
# on descriptor 3.
tests=0
# all limits are so many times as long
slow=$(cat /share/slow)

say()
{
	echo "$(cut -d' ' -f1 /proc/uptime) $*"
}

seconds()
{
	cut -d. -f1 /proc/uptime
}

# ---- tests ----------------------------------------------------------------

ok()
{
	tests=$((tests + 1))
	say "ok: $1"
	echo "ok $tests - $1" >&3
}

# not_ok NAME [REASON]
not_ok()
{
	tests=$((tests + 1))
	say "NOT OK: $1: ${2:-}"
	echo "not ok $tests - $1 # ${2:-see the log}" >&3
}

# skip NAME REASON
skip()
{
	tests=$((tests + 1))
	say "skipped: $1: $2"
	echo "ok $tests - $1 # SKIP $2" >&3
}

# check NAME COMMAND...: the test NAME is whether COMMAND succeeds.
check()
{
	check_name=$1
	shift
	say "> $*"
	if "$@"; then
		ok "$check_name"
	else
		not_ok "$check_name" "status $? of: $*"
		return 1
	fi
}

# refused NAME COMMAND...: the test NAME is whether COMMAND fails.
refused()
{
	refused_name=$1
	shift
	say "> ! $*"
	if "$@"; then
		not_ok "$refused_name" "should have failed: $*"
		return 1
	fi
	ok "$refused_name"
}

# equal NAME HAVE WANT
equal()
{
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "have '$2', want '$3'"
		return 1
	fi
}

plan_end()
{
	echo "1..$tests" >&3
}

# until_true SECONDS COMMAND...: look again until COMMAND succeeds.
until_true()
{
	until_last=$(($(seconds) + $1 * slow))
	shift
	until "$@"; do
		[ "$(seconds)" -le $until_last ] || return 1
		usleep 100000
	done
}

# ---- guests ---------------------------------------------------------------

guest_address()
{
	case $1 in
	pv1) echo 10.0.0.11 ;;
	pv2) echo 10.0.0.12 ;;
	pvh1) echo 10.0.0.13 ;;
	pvh2) echo 10.0.0.14 ;;
	hvm1) echo 10.0.0.15 ;;
	*) say "no such guest: $1" >&2 && return 1 ;;
	esac
}

# Processor 0 is for PV: its state of virtualization is not safe in QEMU while
# another processor restores floating point registers (docs/testing.md).
guest_config()
{
	cat <<END
name = "$1"
type = "${1%[0-9]}"
memory = 224
vcpus = 1
kernel = "/vmlinuz"
ramdisk = "/guest.img"
extra = "console=hvc0 $(case $1 in hvm*) echo console=ttyS0 ;; esac) quiet panic=1 tsc=reliable clocksource=tsc vmb.name=$1 vmb.ip=$(guest_address "$1")"
tsc_mode = "native"
vif = ["type=vif,bridge=xenbr0,script=/share/dom0/vif.sh"]
on_poweroff = "destroy"
on_reboot = "destroy"
on_crash = "destroy"
END
	case $1 in pv[0-9]*) ;; *) echo 'cpus = "all,^0"' ;; esac
	case $1 in hvm*) hvm_config ;; esac
}

# What only a guest with an emulated machine has; see hvm_add() of run.sh.
hvm_config()
{
	cat <<END
device_model_version = "qemu-xen"
device_model_override = "/share/hvm/qemu"
bios = "seabios"
bios_path_override = "/share/hvm/bios-256k.bin"
firmware_override = "/share/hvm/hvmloader"
vga = "none"
nographic = 1
vnc = 0
usb = 0
serial = "file:/log/guest-hvm.log"
END
}

guest_id()
{
	xl domid "$1" 2>/dev/null
}

# guest NAME COMMAND: run it there; output and exit status are its own. 124:
# it took longer than GUEST_LIMIT seconds; 255: the guest cannot be reached.
guest()
{
	xen-agent run "$(guest_address "$1")" \
		$((${GUEST_LIMIT:-60} * slow)) "$2"
}

guest_answers()
{
	GUEST_LIMIT=5 guest "$1" true 2>/dev/null
}

# guest_start NAME: boot it and wait until it takes commands.
guest_start()
{
	guest_config "$1" >"/tmp/$1.cfg"
	xl create "/tmp/$1.cfg" || return 1
	case $1 in
	hvm*) boot_limit=240 ;; # by an emulated BIOS
	*) boot_limit=90 ;;
	esac
	until_true $boot_limit guest_answers "$1" && say "guest $1 is up"
}

# guest_need NAME...: those that do not run are started.
guest_need()
{
	for need in "$@"; do
		[ -n "$(guest_id "$need")" ] || guest_start "$need" || return 1
	done
}

guest_gone()
{
	[ -z "$(guest_id "$1")" ]
}

guest_destroy()
{
	xl destroy "$1" && until_true 30 guest_gone "$1"
}

guests_end()
{
	xl list | awk 'NR > 1 && $2 != 0 { print $2 }' | while read -r end; do
		xl destroy "$end"
	done
}

# guest_spawn NAME LOG COMMAND: start it there and leave it running; its
# process id is printed, its output is the file LOG of the guest.
guest_spawn()
{
	guest "$1" "setsid $3 </dev/null >$2 2>&1 & echo \$!"
}

# ---- the state of Xen -----------------------------------------------------

# xen_key KEY END: what Xen prints for a debug key; END is in its last line.
# The log of Xen is read and emptied; all of it goes to /log/xl-dmesg.log.
xen_key()
{
	xl dmesg -c >>/log/xl-dmesg.log
	xl debug-keys "$1"
	until_true 10 xen_key_done "$2" || return 1
	xl dmesg -c | tee -a /log/xl-dmesg.log
}

xen_key_done()
{
	xl dmesg | grep -q "$1"
}

# grants_active DOMAIN: how many of its grants somebody has mapped now.
grants_active()
{
	xen_key g 'gnttab_usage_print_all.*done' | awk -v domain="d$1" '
	/grant-table for remote/ { inside = $0 ~ "(" domain "[^0-9]|" domain "$)" }
	inside && /^\(XEN\) *\[/ { count++ }
	END { print count + 0 }'
}

# channels DOMAIN: how many event channels it has.
channels()
{
	lsevtchn "$1" 2>/dev/null | grep -c .
}

# ---- vmbypass -------------------------------------------------------------

# vmbd_start: with the policy /tmp/vmbd.conf, ready when this returns.
vmbd_start()
{
	mkdir -p /run/vmbypass
	rm -f /tmp/vmbd.ready
	mkfifo /tmp/vmbd.ready
	[ -f /tmp/vmbd.conf ] || policy_default
	setsid vmbd --xen --policy /tmp/vmbd.conf --ready-fd 3 ${VMBD_OPTIONS:-} \
		</dev/null >>/log/vmbd.log 2>&1 3>/tmp/vmbd.ready &
	echo $! >/tmp/vmbd.pid
	# its end closes the pipe
	read -r _ </tmp/vmbd.ready
}

vmbd_runs()
{
	[ -f /tmp/vmbd.pid ] && kill -0 "$(cat /tmp/vmbd.pid 2>/dev/null)" 2>/dev/null
}

vmbd_need()
{
	vmbd_runs || vmbd_start
}

# vmbd_end [SIGNAL]: and wait until it has gone.
vmbd_end()
{
	vmbd_runs || return 0
	kill "-${1:-TERM}" "$(cat /tmp/vmbd.pid)"
	until_true 30 vmbd_gone
}

vmbd_gone()
{
	! vmbd_runs
}

# policy_default [LINE...]: everybody may all; LINEs are of [default-guest].
policy_default()
{
	{
		printf '%s\n' "[default]" "allow = yes" \
			"[default-guest]" "allow = yes" "$@"
	} >/tmp/vmbd.conf
	chmod 600 /tmp/vmbd.conf
}

# on NAME COMMAND: in a guest, or here when NAME is dom0.
on()
{
	if [ "$1" = dom0 ]; then
		timeout -s KILL $((${GUEST_LIMIT:-60} * slow)) sh -c "$2"
	else
		guest "$@"
	fi
}

# The shell would make a file where there is no device.
vmb_opens()
{
	guest "$1" '[ -c /dev/vmbypass ] && : <>/dev/vmbypass' 2>/dev/null
}

vmb_closed()
{
	! vmb_opens "$1"
}

guest_listed()
{
	vmbctl guests --json >/tmp/guests && grep -q "\"$1\"" /tmp/guests
}

guest_unlisted()
{
	vmbctl guests --json >/tmp/guests && ! grep -q "\"$1\"" /tmp/guests
}

# guest_detach NAME: until vmbd knows nothing of it any more.
guest_detach()
{
	vmbctl detach "$1" && until_true 30 guest_unlisted "$1"
}

# guest_attach NAME...: they run, with the module, connected to vmbd.
guest_attach()
{
	vmbd_need && guest_need "$@" || return 1
	for attach in "$@"; do
		guest_listed "$attach" ||
			vmbctl attach "$attach" || return 1
		guest "$attach" '[ -d /sys/module/vmbypass ] ||
			insmod /lib/vmbypass.ko' || return 1
		until_true 60 vmb_opens "$attach" || return 1
	done
}

# self_test NAME: two endpoints in one process there, payloads checked.
self_test()
{
	on "$1" 'vmb-pingpong --self --daemon none --verify --quiet --rounds 1 \
		--iters 100 --sizes 0,8,96,4K,64K'
}

# serve NAME ID [OPTIONS]: a peer there, in the background; how to connect to
# it is printed. System calls are counted only where a suite asks, since that
# has the kernel of dom0 rewrite its code (docs/testing.md).
serve()
{
	on "$1" "setsid vmb-pingpong --serve --id $2 --daemon none \
		--count none ${3:-} </dev/null >/tmp/serve.$2 2>&1 &
		echo \$! >/tmp/serve.$2.pid" &&
		until_true 60 on "$1" "grep -q serving /tmp/serve.$2" ||
		return 1
	on "$1" "sed -n 's/.*--connect //p' /tmp/serve.$2"
}

serve_end()
{
	on "$1" "kill \$(cat /tmp/serve.$2.pid); cat /tmp/serve.$2"
}

# exchange SERVER CLIENT OPTIONS [SERVER-OPTIONS]: verified ping-pong between two
# machines.
exchange()
{
	peer=$(serve "$1" 5 "--verify ${4:-}") || return 1
	GUEST_LIMIT=${EXCHANGE_LIMIT:-120} on "$2" "vmb-pingpong --daemon none \
		--count none --quiet --connect $peer --verify ${3:-}"
	exchange_status=$?
	serve_end "$1" 5
	return $exchange_status
}

# What dom0 holds of a guest: its mapped grants, its event channels, and the
# event channels of dom0.
held()
{
	echo "$(grants_active "$(guest_id "$1")") grants," \
		"$(channels "$(guest_id "$1")") and $(channels 0) channels"
}

held_is()
{
	[ "$(held "$1")" = "$2" ]
}

# nothing_left NAME BEFORE: what held() says is again what it said before.
nothing_left()
{
	until_true 20 held_is "$1" "$2" && return
	say "held before: $2; now: $(held "$1")"
	return 1
}

# ---- the peers beside us --------------------------------------------------

# peer tcp|vchan SERVER CLIENT OPTIONS...: the same measurement over something
# else. The store path is one that the server may write.
peer()
{
	peer_kind=$1 peer_server=$2 peer_client=$3
	shift 3
	peer_path=/local/domain/$(guest_id "$peer_server")/data/vchan
	if [ "$peer_kind" = tcp ]; then
		set -- "--connect $(guest_address "$peer_server")" "$*"
		peer_serve="--serve $(guest_address "$peer_client")"
	else
		set -- "--connect $(guest_id "$peer_server")" \
			"--name $peer_path" "$*"
		peer_serve="--serve $(guest_id "$peer_client") --name $peer_path"
	fi
	guest "$peer_server" "setsid peer-$peer_kind $peer_serve </dev/null \
		>/tmp/peer.log 2>&1 & echo \$! >/tmp/peer.pid"
	until_true 60 peer_listens &&
		GUEST_LIMIT=${PEER_LIMIT:-150} \
			guest "$peer_client" "peer-$peer_kind $*"
	peer_status=$?
	until_true 10 peer_ended || guest "$peer_server" 'kill $(cat /tmp/peer.pid)'
	guest "$peer_server" 'cat /tmp/peer.log' >&2 # no part of what it measured
	return $peer_status
}

peer_listens()
{
	case $peer_kind in
	tcp) guest "$peer_server" 'netstat -ltn | grep -q :7000' ;;
	vchan) xenstore-exists "$peer_path/event-channel" ;;
	esac
}

peer_ended()
{
	guest "$peer_server" '! kill -0 $(cat /tmp/peer.pid) 2>&-'
}
