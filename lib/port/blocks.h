/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blocks.h - which file stands behind which memory of mem_alloc(), so that a
 * part of it can be registered as a part of the file.
 *
 * Flow:  local.c: mem_alloc() adds, mem_register() looks up, mem_free() drops
 * Owns:  the descriptor of each block.
 * Trust: addresses are input. The application may have unmapped a block by
 *        itself: when its addresses are given out again the old block goes.
 * Threads: every call, any thread; fini when nobody else is in a call. A
 *        forked child finds the list whole, and may end it.
 */
#ifndef VMB_PORT_BLOCKS_H
#define VMB_PORT_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#include <vmbypass/abi/lane.h>

#include "base/list.h"

struct vmb_blocks { /* of one port */
	struct vmb_list list;
};

struct vmb_block {
	struct vmb_list node;
	uintptr_t start;
	size_t len;
	int fd;	       /* of the file that is mapped there, from its start */
	uint64_t file; /* its inode number */
	unsigned uses; /* the list's own, and those of find() */
};

void vmb_blocks_init(struct vmb_blocks *blocks);
/* Closes every descriptor. */
void vmb_blocks_fini(struct vmb_blocks *blocks);
/* fd is the block's from success on. -ENOMEM. */
int vmb_blocks_add(struct vmb_blocks *blocks, const void *addr, size_t len,
		   int fd);
/* What starts there. Its descriptor goes with its last use. */
void vmb_blocks_drop(struct vmb_blocks *blocks, const void *addr);
/* The block that holds all of [addr, addr + len) until put(), or NULL. */
struct vmb_block *vmb_blocks_find(struct vmb_blocks *blocks, const void *addr,
				  size_t len);
void vmb_blocks_put(struct vmb_block *block);
/* What a peer needs to map the block that holds addr; file 0: there is none. */
void vmb_blocks_describe(struct vmb_blocks *blocks, const void *addr,
			 struct vmb_lane_file *what);
/* Give the pages of the block of len bytes at addr back, whoever maps them. */
void vmb_blocks_discard(struct vmb_blocks *blocks, const void *addr,
			size_t len);

#endif
