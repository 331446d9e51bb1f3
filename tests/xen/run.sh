#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# run.sh [--build DIR] [--only SUITE[,SUITE]...] [--shell] - boot a real Xen
# with dom0 and guests in an emulated machine, run the suites there, and say
# what each test of them gave.
#
# Flow:  images.sh -> [here] -> QEMU: Xen, dom0/init, dom0/driver.sh, suites
#        -> share/tap -> one line a test on standard output
# Owns:  build/xen, the emulator. Consoles and logs end in build/log/xen.
#
# Lines: state, suite/test, reason, with tabs between; state is passed, failed
# or skipped. Exit status 0: every line has been written, whatever it says; 77:
# this machine cannot run it, the reason is the last line of standard error.
set -uo pipefail
exec </dev/null

root=$(realpath "$(dirname "$(realpath "$0")")/../..")
here=$root/tests/xen
out=$root/build/xen
log=$root/build/log/xen
share=$out/share
build=$root/build/release
only=
shell=no
slow=${VMB_XEN_SLOW:-1}
limit_s=1500
[ "${VMB_STRESS:-}" != nightly ] || limit_s=6000
limit_s=${VMB_XEN_LIMIT:-$((limit_s * slow))}
smp=${VMB_XEN_SMP:-3}
xen_options=${VMB_XEN_OPTIONS:-sched=credit2}

usage()
{
	cat <<END
usage: tests/xen/run.sh [--build DIR] [--only SUITE[,SUITE]...] [--shell]

  --build  the build folder whose programs are tested (default build/release)
  --only   these suites of tests/xen/suites, by name or number; else all, but
           those that say "# nightly" only with VMB_STRESS=nightly
  --shell  no suites: a shell in dom0 on this terminal; poweroff -f ends it

VMB_XEN_LIMIT=SECONDS  after which the machine is ended (default 1500, 6000
                       for a nightly run)
VMB_XEN_SLOW=N         how many times slower this machine is than a quiet one:
                       all limits are N times as long (default 1)
VMB_XEN_SMP=N          processors of the emulated machine (default 3, at
                       least 2: PVH and HVM guests have all but the first)
VMB_XEN_OPTIONS=TEXT   options for Xen (default sched=credit2)
END
}

cannot()
{
	echo "$*" >&2
	exit 77
}

while [ $# -gt 0 ]; do
	case $1 in
	--build) build=$(realpath "${2:?--build needs a folder}") && shift ;;
	--only) only=,${2:?--only needs a suite}, && shift ;;
	--shell) shell=yes ;;
	-h | --help) usage && exit 0 ;;
	*) usage >&2 && exit 2 ;;
	esac
	shift
done

# ---- can it run here ------------------------------------------------------

needs()
{
	local program

	[ "$(uname -m)" = x86_64 ] ||
		cannot "the emulated Xen machine is made of amd64 packages"
	for program in qemu-system-x86_64 cpio depmod modprobe \
		dpkg-deb /bin/busybox; do
		command -v $program >/dev/null ||
			cannot "$program is missing: tests/packages.sh xen"
	done
	compgen -G '/boot/xen-4.*-amd64.gz' >/dev/null ||
		cannot "no Xen in /boot: tests/packages.sh xen"
	[ -x "$build/xen-ctl/vmbd/vmbd" ] ||
		cannot "$build has no vmbd: build it first"
}

# ---- the machine ----------------------------------------------------------

wanted()
{
	local name=$1

	[ -z "$only" ] || [[ $only == *,$name,* || $only == *,${name%%-*},* ]]
}

suites()
{
	local suite

	for suite in "$here"/suites/*.sh ${VMB_XEN_SUITES:-}; do
		[ -f "$suite" ] || continue
		[ -n "$only" ] || [ "${VMB_STRESS:-}" = nightly ] ||
			! grep -q '^# nightly' "$suite" || continue
		wanted "$(basename "$suite" .sh)" && echo "$suite"
	done
}

share_make()
{
	rm -rf "$share" "$log"
	mkdir -p "$share"/{suites,tap} "$log"
	cp -r "$here/dom0" "$share/"
	echo "$slow" >"$share/slow"
	suites | xargs -r cp -t "$share/suites" --
	! ls "$share/suites" | grep -q hvm || hvm_add
	! ls "$share/suites" | grep -q mpi || [ ! -f "$out/mpi.cpio" ] ||
		cp "$out/mpi.cpio" "$share/"
	[ $shell = no ] || touch "$share/shell"
}

# What an HVM guest boots from, and the emulator of its devices, which runs in
# dom0. In the share and not in the image: one suite of a nightly run uses it.
hvm_add()
{
	local qemu=/usr/libexec/xen-qemu-system-i386 file

	[ -x $qemu ] || return 0
	mkdir -p "$share/hvm/lib"
	install -s $qemu "$share/hvm/qemu-system-i386"
	ldd $qemu | awk '$2 == "=>" { print $3 }' |
		xargs cp -L -t "$share/hvm/lib" --
	for file in /usr/share/seabios/bios-256k.bin \
		/usr/share/qemu/linuxboot{,_dma}.bin \
		/usr/share/seabios/vgabios-stdvga.bin \
		/usr/lib/xen-4.*/boot/hvmloader; do
		cp -L "$file" "$share/hvm/"
	done
	install -D -m 644 -t "$share/hvm/keymaps" /usr/share/qemu/keymaps/en-us
	cat >"$share/hvm/qemu" <<-'END'
	#!/bin/sh
	export LD_LIBRARY_PATH=/share/hvm/lib
	exec /share/hvm/qemu-system-i386 -L /share/hvm "$@"
	END
	chmod +x "$share/hvm/qemu"
}

# Without SMAP, which QEMU 7.2 checks wrongly on an IRET inside ring 3; without
# RDTSCP, which the emulated SVM cannot intercept for PVH guests; without AVX and
# XSAVE, with which registers of user space were lost between domains.
cpu=max,-smap,-smep,-rdtscp,-avx,-avx2,-fma,-f16c,-vaes,-vpclmulqdq
cpu=$cpu,-xsave,-xsaveopt,-xsavec,-xgetbv1,-xsaves

machine()
{
	timeout -k 10 "$limit_s" qemu-system-x86_64 \
		-accel tcg,thread=multi -machine q35 \
		-cpu "$cpu" -smp "$smp" -m 3G \
		-nographic -no-reboot -nodefaults -serial "$1" \
		-virtfs "local,path=$share,mount_tag=share,security_model=none" \
		-virtfs "local,path=$log,mount_tag=log,security_model=none" \
		-kernel "$out/xen" \
		-append "console=com1 com1=115200,8n1 dom0_mem=1G,max:1G \
dom0_max_vcpus=2 ucode=no loglvl=warning guest_loglvl=warning conring_size=512k \
gnttab_max_frames=64 $xen_options" \
		-initrd "$out/vmlinuz console=hvc0 quiet panic=1 tsc=reliable \
clocksource=tsc,$out/dom0.img"
}

# ---- results --------------------------------------------------------------

# TAP of a suite as lines: state, name, reason.
tap_lines()
{
	awk -v suite="$1" -v OFS='\t' '
	/^(not )?ok / {
		state = $1 == "ok" ? "passed" : "failed"
		name = $0
		sub(/^(not )?ok [0-9]* *-? */, "", name)
		reason = ""
		if ((at = index(name, " # "))) {
			reason = substr(name, at + 3)
			name = substr(name, 1, at - 1)
			if (reason ~ /^SKIP/) {
				state = "skipped"
				sub(/^SKIP */, "", reason)
			}
		}
		print state, suite "/" name, reason
	}' "$2"
}

results()
{
	local suite name

	for suite in "$share"/suites/*.sh; do
		name=$(basename "$suite" .sh)
		if [ -f "$share/tap/$name.tap" ]; then
			tap_lines "$name" "$share/tap/$name.tap"
		fi
		if [ ! -f "$share/tap/$name.ended" ]; then
			printf 'failed\t%s\t%s\n' "$name" \
				"did not end: $why, see $log"
		fi
	done
}

# ---- the run --------------------------------------------------------------

needs
mkdir -p "$out" "$root/build/log"
"$here/images.sh" "$build" >"$root/build/log/xen-images.log" 2>&1 || {
	tail -n 5 "$root/build/log/xen-images.log" >&2
	echo "the images could not be built" >&2
	exit 1
}
share_make
if [ $shell = yes ]; then
	machine mon:stdio </dev/tty
	exit
fi
machine "file:$log/xen.log" >"$log/qemu.log" 2>&1
status=$?
case $status in
0) why="the machine ended before" ;;
124 | 137) why="no end within $limit_s s" ;;
*) why="qemu ended with $status: $(tail -n 1 "$log/qemu.log")" ;;
esac
results
