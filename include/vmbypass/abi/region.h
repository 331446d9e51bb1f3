/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * region.h - registered memory as descriptors name it: a key and an offset.
 *
 * A key is valid in one protection domain. It carries a random part, so that
 * a peer that was never told a key cannot guess it, and a generation, so that
 * the key of a deregistered region is stale for ever. See docs/region.md.
 */
#ifndef VMBYPASS_ABI_REGION_H
#define VMBYPASS_ABI_REGION_H

#include <linux/types.h>

/* key: index (16 bits, low) | generation (16) | random (32, never 0) */
#define VMB_KEY_INDEX(k) ((__u32)((k)&0xffffu))
#define VMB_KEY_GEN(k) ((__u32)(((k) >> 16) & 0xffffu))
#define VMB_KEY(index, gen, rnd)                                 \
	(((__u64)(rnd) << 32) | ((__u64)((gen)&0xffffu) << 16) | \
	 (__u64)((index)&0xffffu))
#define VMB_KEY_NONE 0ull
#define VMB_KEY_TX 1ull /* the send buffers of the endpoint itself */

/* Who may do what: the own domain always reads and writes. */
#define VMB_ACCESS_REMOTE_READ 0x1u  /* peers may GET */
#define VMB_ACCESS_REMOTE_WRITE 0x2u /* peers may PUT */
#define VMB_ACCESS_ALL 0x3u

/* What stands behind a region. */
#define VMB_REGION_MEMFD 1u   /* sealed shared memory, mapped by the engine */
#define VMB_REGION_PROCESS 2u /* virtual addresses of the client's process */
#define VMB_REGION_GRANT 3u   /* pages granted by a guest (Xen) */

#define VMB_REGION_BYTES_MAX (1ull << 40)

#endif
