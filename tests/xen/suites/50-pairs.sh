# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
# limit: 900
#
# Messages between guests of each kind and dom0, payloads checked; 20,000 of
# mixed sizes from 0 bytes to 1 MiB.

quick="--rounds 1 --iters 100 --sizes 0,8,96,8K,64K,1M"

guest_attach pv1 pvh1
for pair in "pv1 pvh1" "pvh1 pv1" "dom0 pvh1" "pv1 dom0"; do
	check "server and client: $pair" exchange $pair "$quick"
done

# there and back: 12 sizes of 1,600 messages, 600 of 64 KiB, 200 of 1 MiB. Who
# sleeps before each message costs milliseconds here: 600 of each size do.
mixed()
{
	sizes=0,1,8,40,41,96,97,512,4096,8191,8192,8193
	EXCHANGE_LIMIT=400 exchange pv1 pvh1 \
		"--rounds 1 --iters 300 --sizes $sizes" &&
		EXCHANGE_LIMIT=200 exchange pv1 pvh1 "--wait spin --rounds 1 \
			--iters 500 --sizes $sizes" "--wait spin" &&
		EXCHANGE_LIMIT=200 exchange pv1 pvh1 \
			"--rounds 1 --iters 300 --sizes 65536" &&
		EXCHANGE_LIMIT=200 exchange pv1 pvh1 \
			"--rounds 1 --iters 100 --sizes 1M"
}
check "20,000 messages of mixed sizes between pv1 and pvh1" mixed

guest_attach pv2
check "server and client: pv1 pv2" exchange pv1 pv2 "$quick"
guest_destroy pv2
guest_attach pvh2
check "server and client: pvh1 pvh2" exchange pvh1 pvh2 "$quick"
guest_destroy pvh2
