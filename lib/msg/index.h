/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index.h - hash table from 64-bit keys to nodes in order of insertion.
 *
 * Flow:  match.c, rendezvous -> insert / find the oldest of a key / remove
 * Owns:  the buckets. Nodes are embedded in what they index.
 * Trust: keys are chosen by peers. The multiplier is secret and random, so
 *        keys that collide cannot be chosen; when a chain grows long all the
 *        same, another multiplier is drawn.
 *
 * Nodes of equal key hang behind the oldest of them, which alone stands in
 * the bucket's chain: the cost of a look-up depends on the distinct keys of
 * one bucket, never on how many nodes share a key. Nothing here allocates but
 * growth, and growth that finds no memory only makes chains longer.
 */
#ifndef VMB_MSG_INDEX_H
#define VMB_MSG_INDEX_H

#include "base/list.h"

#define VMB_INDEX_SMALL_BITS 4 /* buckets that need no allocation */

struct vmb_index_node {
	struct vmb_list same;	      /* nodes of the same key, oldest first */
	struct vmb_index_node *next;  /* oldest only: chain of the bucket */
	struct vmb_index_node **back; /* oldest only: what points here */
	uint64_t key;
};

struct vmb_index {
	struct vmb_index_node **buckets;
	uint64_t multiplier; /* odd, secret */
	unsigned bits;	     /* 1 << bits buckets */
	size_t count;	     /* nodes */
	size_t keys;	     /* distinct ones */
	size_t fresh;	     /* keys inserted since the last rehash */
	uint64_t steps;	     /* chain links followed since init */
	uint64_t *seed;
	struct vmb_index_node *small[1 << VMB_INDEX_SMALL_BITS];
};

/* A random start for the multipliers of one process. */
uint64_t vmb_index_seed(void);

/*
 * Which bucket a key falls into. One product alone would leave keys of equal
 * distance at equal distances, which for one multiplier in a hundred fall on few
 * buckets. Both halves of a wide one, put together, are no such row any more.
 */
static inline size_t vmb_index_bucket(const struct vmb_index *ix, uint64_t key)
{
	__extension__ unsigned __int128 wide =
		(unsigned __int128)key * ix->multiplier;
	uint64_t h = (uint64_t)wide ^ (uint64_t)(wide >> 64);

	return h * 0x9e3779b97f4a7c15u >> (64 - ix->bits);
}

/* seed is advanced at each draw and must outlive the index. */
void vmb_index_init(struct vmb_index *ix, uint64_t *seed);
/* Nodes that are still in it are left alone. */
void vmb_index_fini(struct vmb_index *ix);

void vmb_index_insert(struct vmb_index *ix, struct vmb_index_node *node,
		      uint64_t key);
/* Oldest node of that key, or NULL. */
struct vmb_index_node *vmb_index_find(struct vmb_index *ix, uint64_t key);
void vmb_index_remove(struct vmb_index *ix, struct vmb_index_node *node);

#endif
