# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
# nightly
# limit: 900
#
# The local platform in dom0, as on a host without Xen.

export VMBD=/usr/bin/vmbd VMBCTL=/usr/bin/vmbctl

check "vmb-pingpong between processes of dom0" \
	vmb-pingpong --verify --count none --sizes 0,8,4K,64K --rounds 2 \
		--time 100
CK_FORK=yes CK_DEFAULT_TIMEOUT=240 \
	check "the conformance suite over the local port" conform local
