# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
# limit: 400
#
# What connects guests without us, every payload checked: TCP over netfront and
# netback, and libxenvchan.

guest_need pv1 pvh1

# A server in pv1, a client in pvh1, one after the other the other way round.
for pair in "pv1 pvh1" "pvh1 pv1"; do
	check "TCP over netfront, $pair" \
		peer tcp $pair --verify --wait block --sizes 8,4K,64K \
		--rounds 1 --iters 20
	check "libxenvchan, $pair" \
		peer vchan $pair --verify --sizes 8,4K,64K --rounds 1 --iters 50
done
