#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# includes.sh - who may include whom. A layer of lib/ includes itself, base/,
# ring/ and the layers under it; nic/ and the client layers meet in abi/ only;
# examples include the public headers and nothing else of ours.
#
# Flow:  includes.sh SOURCE-FOLDER
# Owns:  nothing.
set -eu

cd "$1"
failed=0

# may LAYER...: the layers that files of the first one include
may() {
	layer=$1
	[ -d "lib/$layer" ] || return 0
	allowed=$(echo "$@" | tr ' ' '|')
	wrong=$(grep -nE '^[ \t]*#[ \t]*include[ \t]+"' -r "lib/$layer" |
		grep -vE "\"($allowed)/[a-z0-9_]+\\.h\"" || true)
	report "$wrong" "lib/$layer may include: $*"
}

report() {
	[ -n "$1" ] || return 0
	echo "$1" >&2
	echo "includes: $2" >&2
	failed=1
}

may base
may ring base
may link base ring
may nic base ring link
may port base ring
may am base ring port
may msg base ring port am
may api base ring port am msg
may mx # an application of the library
may btl # another
report "$(grep -nE '^[ \t]*#[ \t]*include[ \t]+<(base|ring|port|am|msg|api|nic|vmbypass/abi)/' \
	-r lib/mx || true)" "lib/mx includes public headers only"
report "$(grep -nE '^[ \t]*#[ \t]*include[ \t]+<(base|ring|port|am|msg|api|nic|vmbypass/abi)/' \
	-r lib/btl || true)" "lib/btl includes public headers only"
report "$(grep -nE '^[ \t]*#[ \t]*include' -r examples/mx |
	grep -E 'vmbypass|vmb\.h|example\.h' || true)" \
	"examples/mx are written to MX alone"

# only the daemon's side may know libxen*; two of <xen/> are the kernel's
report "$(grep -nE '^[ \t]*#[ \t]*include[ \t]+<xen' -r lib examples bench |
	grep -vE '^lib/port/grants\.c:.*<xen/gnt(alloc|dev)\.h>' || true)" \
	"libxen headers belong to xen-ctl/"
# ours between quotes, of the folder itself; public ones by their full name
report "$(grep -nE '^[ \t]*#[ \t]*include[ \t]+"' -r examples |
	grep -vE '"example\.h"|"(myriexpress|mx_extensions)\.h"' || true)" \
	"examples include public headers and example.h"
report "$(grep -nE '^[ \t]*#[ \t]*include[ \t]+<(base|ring|port|am|msg|api|nic|vmbypass/abi)/' \
	-r examples || true)" "examples include public headers only"
# shared with the kernel: nothing but the kernel's types, and each other
report "$(grep -nE '^[ \t]*#[ \t]*include' -r include/vmbypass/abi |
	grep -vE '<(linux/types\.h|linux/ioctl\.h|linux/stddef\.h|stddef\.h|vmbypass/abi/[a-z]+\.h)>' || true)" \
	"abi/ includes <linux/types.h>, <linux/ioctl.h>, <stddef.h> and abi/ only"
exit $failed
