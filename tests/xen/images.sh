#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# images.sh BUILD - make what the machine of tests/xen boots, below build/xen:
# the kernel of Debian, an initramfs for dom0 and one for the guests; and what
# jobs of Open MPI need besides, where it is installed.
#
# Flow:  [here] -> build/xen/{xen,vmlinuz,dom0.img,guest.img,mpi.cpio} -> run.sh
#        -> QEMU
# Owns:  build/xen. A part of an image is made again when what goes into it, or
#        this file, has changed: the base (Debian's programs and modules), and
#        ours (what BUILD holds, and the module).
#
# An initramfs is cpio archives one behind the other, so the two parts of an
# image are files of their own. Nothing here needs root.
set -euo pipefail

root=$(realpath "$(dirname "$(realpath "$0")")/../..")
here=$root/tests/xen
out=$root/build/xen
build=$(realpath "${1:?usage: images.sh BUILD}")
module=$build/kshim/tree/vmbypass.ko
xen_bin=$(printf '%s\n' /usr/lib/xen-[0-9]*/bin | sort -V | tail -n 1)

dom0_modules="xen-privcmd xenfs xen-evtchn xen-gntdev xen-gntalloc xen-netback
	bridge virtio_pci 9pnet_virtio 9p"
guest_modules="xen-privcmd xenfs xen-evtchn xen-gntdev xen-gntalloc
	xen-netfront"
dom0_programs="/usr/bin/xenstore-ls /usr/bin/xenstore-read
	/usr/bin/xenstore-write /usr/bin/xenstore-rm /usr/bin/xenstore-chmod
	/usr/bin/xenstore-list /usr/bin/xenstore-exists /usr/bin/xenstore-watch
	$xen_bin/xl $xen_bin/xenstored $xen_bin/xenconsoled
	$xen_bin/xen-init-dom0 $xen_bin/lsevtchn"
guest_programs="/usr/bin/xenstore-ls /usr/bin/xenstore-read
	/usr/bin/xenstore-write"

die()
{
	echo "images.sh: $*" >&2
	exit 1
}

# ---- the kernel -----------------------------------------------------------

# That for which the module was built; the newest one whose headers are here.
kernel_release()
{
	if [ -f "$module" ]; then
		modinfo -F vermagic "$module" | cut -d' ' -f1
		return
	fi
	dpkg-query -W -f '${db:Status-Status} ${Package}\n' \
		'linux-headers-*-amd64' 2>/dev/null |
		sed -n 's/^installed linux-headers-\([0-9].*\)/\1/p' |
		sort -V | tail -n 1
}

kernel_fetch()
{
	local release=$1 version folder=$out/kernel-$1
	local package=linux-image-$release

	version=$(dpkg-query -W -f '${Version}' "linux-headers-$release")
	[ "$(cat "$folder/version" 2>/dev/null)" != "$version" ] || return 0
	rm -rf "$folder" "$folder.part"
	mkdir -p "$folder.part"
	(
		cd "$folder.part"
		apt-get -q download "$package=$version" ||
			{ apt-get -q update &&
				apt-get -q download "$package=$version"; } ||
			die "cannot download $package $version"
		dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards \
			./boot './lib/modules/*'
		rm -f ./*.deb
		depmod -b . "$release" 2>/dev/null
		echo "$version" >version
	)
	mv "$folder.part" "$folder"
}

# ---- packing --------------------------------------------------------------

# libraries FILE...: what they name, with what that names.
libraries()
{
	ldd "$@" 2>/dev/null | awk '
		$2 == "=>" && $3 ~ /^\// { print $3 }
		$1 ~ /^\/.*\.so/ && $1 !~ /:$/ { print $1 }' | sort -u
}

# programs_add TREE FOLDER FILE...: into FOLDER of the tree, with libraries,
# without symbols for a debugger.
programs_add()
{
	local tree=$1 folder=$2 library
	shift 2

	install -D -s -t "$tree$folder" "$@"
	libraries "$@" | while read -r library; do
		[ -e "$tree$library" ] ||
			install -D -s "$(realpath "$library")" "$tree$library"
	done
}

# modules_add TREE MODULE...: modules of the kernel, with what they need.
modules_add()
{
	local tree=$1 module path
	shift

	for module in "$@"; do
		modprobe -d "$out/kernel-$release" -S "$release" \
			--show-depends "$module"
	done | awk '$1 == "insmod" { print $2 }' | sort -u |
		while read -r path; do
			install -D -m 644 "$path" \
				"$tree/${path#"$out/kernel-$release/"}"
		done
	cp "$out/kernel-$release/lib/modules/$release"/modules.{order,builtin} \
		"$tree/lib/modules/$release/"
	depmod -b "$tree" "$release" 2>/dev/null
}

# pack TREE FILE: reproducible, so that an equal tree gives an equal file.
pack()
{
	find "$1" -exec touch -hd @1 {} +
	(cd "$1" && find . | LC_ALL=C sort |
		cpio -o -H newc -R 0:0 --reproducible --quiet) >"$2.part"
	mv "$2.part" "$2"
}

busybox_add()
{
	local tree=$1 name

	mkdir -p "$tree"/{bin,sbin,usr/bin,usr/sbin,proc,sys,dev,run,tmp,root,etc,mnt}
	install /bin/busybox "$tree/bin/busybox"
	for name in $(/bin/busybox --list); do
		[ "$name" = busybox ] || ln -s busybox "$tree/bin/$name"
	done
	mkdir -p "$tree/var"
	ln -s ../run "$tree/var/run"
	echo 'root::0:0:root:/root:/bin/sh' >"$tree/etc/passwd"
	echo 'root:x:0:' >"$tree/etc/group"
	echo /bin/sh >"$tree/etc/shells"
}

# ---- the bases ------------------------------------------------------------

base_hash()
{
	{
		cat "$0" "$out/kernel-$release/version"
		dpkg-query -W -f '${Package} ${Version}\n' busybox-static \
			xen-utils-4.17 xenstore-utils libxenmisc4.17 \
			libc6
	} | sha256sum | cut -c1-16
}

tree_new()
{
	local tree=$out/tree-$1

	rm -rf "$tree"
	mkdir -p "$tree"
	echo "$tree"
}

dom0_base()
{
	local tree

	tree=$(tree_new dom0)
	busybox_add "$tree"
	# shellcheck disable=SC2086 # one word a program
	programs_add "$tree" /usr/bin $dom0_programs
	# xl ends threads by way of it, and aborts when it is not there
	install -D -t "$tree/lib/x86_64-linux-gnu" \
		/lib/x86_64-linux-gnu/libgcc_s.so.1
	# shellcheck disable=SC2086 # one word a module
	modules_add "$tree" $dom0_modules
	pack "$tree" "$1"
	rm -rf "$tree"
}

guest_base()
{
	local tree

	tree=$(tree_new guest)
	busybox_add "$tree"
	# shellcheck disable=SC2086 # one word a program
	programs_add "$tree" /usr/bin $guest_programs
	# shellcheck disable=SC2086 # one word a module
	modules_add "$tree" $guest_modules
	pack "$tree" "$1"
	rm -rf "$tree"
}

# ---- ours -----------------------------------------------------------------

# Programs of the build that a suite may want to run, one a line.
programs()
{
	local program

	for program in "$build"/xen-ctl/vmbctl/vmbctl \
		"$build"/bench/vmb-{floor,idle,open,perf,pingpong} \
		"$build"/bench/peers/peer-{tcp,vchan} "$build"/tests/conform/conform \
		"$build"/tests/mx/mx_conform "$build"/examples/mx_* \
		"$build"/tests/xen/xen-*; do
		[ -f "$program" ] && [ -x "$program" ] && echo "$program"
	done
	[ "$1" = guest ] || echo "$build/xen-ctl/vmbd/vmbd"
}

# Of everything that our part of an image is made of.
ours_hash()
{
	# shellcheck disable=SC2046 # one word a program
	cat "$0" "$here/$1/init" $(programs "$1") "$build"/lib/{,mx/}*.so \
		$([ "$1" = guest ] || echo "$out/vmlinuz" "$out/guest.img") \
		"$module" 2>/dev/null |
		sha256sum | cut -c1-16
}

# ours KIND FILE: our part of an image.
ours()
{
	local kind=$1 tree

	tree=$(tree_new "$kind-ours")
	# shellcheck disable=SC2046 # one word a program
	programs_add "$tree" /usr/bin $(programs "$kind")
	install "$here/$kind/init" "$tree/init"
	if [ "$kind" = dom0 ]; then
		# reading these over 9p takes xl longer than starting a guest
		ln "$out/guest.img" "$out/vmlinuz" "$tree/"
	elif [ -f "$module" ]; then
		install -D -m 644 -t "$tree/lib" "$module"
		strip -g "$tree/lib/vmbypass.ko"
	fi
	pack "$tree" "$2"
	rm -rf "$tree"
}

# ---- Open MPI -------------------------------------------------------------

# Plugins of Open MPI that no machine here has a use for, with libraries that
# would make the part several times as large.
mpi_needless='ucx|ofi|psm|openib|slurm|flux|gridengine|cuda|monitoring|romio'

mpi_programs()
{
	printf '%s\n' "$(realpath "$(command -v mpirun)")" \
		"$(command -v orted)" "$build/tests/mpi/mpi_conform" \
		"$build"/bench/peers/{peer-mpi,mpi-group} "$build"/examples/mpi/{ring,jacobi,sort}
}

# mpi_part FILE: what a machine needs besides its image to run jobs of Open MPI
# over vmbypass: unpacked there by the suite that wants it.
mpi_part()
{
	local tree plugins

	plugins=$(ompi_info --path pkglibdir --parsable | cut -d: -f3)
	tree=$(tree_new mpi)
	# shellcheck disable=SC2046 # one word a program
	programs_add "$tree" /usr/bin $(mpi_programs)
	mv "$tree/usr/bin/$(basename "$(realpath "$(command -v mpirun)")")" \
		"$tree/usr/bin/mpirun"
	# shellcheck disable=SC2046 # one word a plugin
	programs_add "$tree" "$plugins" "$build/lib/btl/mca_btl_vmb.so" \
		$(printf '%s\n' "$plugins"/mca_*.so | grep -vE "$mpi_needless")
	programs_add "$tree" /usr/lib/x86_64-linux-gnu/pmix2/lib/pmix \
		/usr/lib/x86_64-linux-gnu/pmix2/lib/pmix/pmix_mca_*.so
	install -D -t "$tree/lib/x86_64-linux-gnu" \
		/lib/x86_64-linux-gnu/libgcc_s.so.1
	mkdir -p "$tree/usr/share"
	cp -rL /usr/share/openmpi "$tree/usr/share/"
	pack "$tree" "$1"
	rm -rf "$tree"
}

# ---- all ------------------------------------------------------------------

mkdir -p "$out"
exec 9>"$out/lock"
flock 9
release=$(kernel_release)
[ -n "$release" ] || die "no linux-headers-*-amd64 is installed"
kernel_fetch "$release"
hash=$(base_hash)
cp "$out/kernel-$release/boot/vmlinuz-$release" "$out/vmlinuz"
for kind in guest dom0; do
	if [ ! -f "$out/$kind-base-$hash.cpio" ]; then
		rm -f "$out/$kind-base-"*.cpio
		${kind}_base "$out/$kind-base-$hash.cpio"
	fi
	ours=$out/$kind-ours-$(ours_hash $kind).cpio
	if [ ! -f "$ours" ]; then
		rm -f "$out/$kind-ours-"*.cpio
		ours $kind "$ours"
	fi
	cat "$out/$kind-base-$hash.cpio" "$ours" >"$out/$kind.img.part"
	mv "$out/$kind.img.part" "$out/$kind.img"
done
zcat "$(printf '%s\n' /boot/xen-4.*-amd64.gz | sort -V | tail -n 1)" \
	>"$out/xen.part"
mv "$out/xen.part" "$out/xen"
rm -f "$out/mpi.cpio"
if command -v orted >/dev/null && [ -f "$build/lib/btl/mca_btl_vmb.so" ]; then
	mpi_part "$out/mpi.cpio"
fi
