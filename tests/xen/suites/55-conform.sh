# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
# nightly
# limit: 900
#
# The conformance suite of the library, unchanged, in guests.

guest_attach pv1 pvh1
for name in pvh1 pv1; do
	GUEST_LIMIT=400 check "conform in $name" \
		guest $name 'CK_DEFAULT_TIMEOUT=120 conform env'
done
