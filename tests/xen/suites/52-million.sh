# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
# nightly
# limit: 900
#
# A million messages of mixed sizes, 0 bytes to 1 MiB, between a PV and a PVH
# guest, every payload checked: what 50-pairs does with 20,000.

guest_attach pv1 pvh1

# part ITERS SIZES: one way and back, so twice as many messages of each size
part()
{
	EXCHANGE_LIMIT=500 exchange pv1 pvh1 "--wait spin \
		--rounds 1 --iters $1 --sizes $2" "--wait spin"
}

# 12 sizes of 80,000, 39,000 of 64 KiB, 1,000 of 1 MiB
check "960,000 messages of 0 to 8193 bytes between pv1 and pvh1" \
	part 40000 0,1,8,40,41,96,97,512,4096,8191,8192,8193
check "39,000 of 64 KiB" part 19500 64K
check "1,000 of 1 MiB" part 500 1M
