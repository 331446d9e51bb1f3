// SPDX-License-Identifier: BSD-2-Clause
/*
 * index.c - hash table from 64-bit keys to nodes in order of insertion.
 *
 * Flow:  match.c, rendezvous -> [here]
 * Owns:  the buckets; see index.h.
 * Trust: keys are a peer's choice, the multiplier is our secret.
 */
#include "msg/index.h"

#include <stdlib.h>
#include <sys/random.h>

#define CHAIN_LONG 32  /* links: beyond it the multiplier is suspect */
#define REHASH_PART 8u /* of the buckets: so many new keys pay for it */

uint64_t vmb_index_seed(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		seed = vmb_now_ns() ^ (uintptr_t)&seed;
	return seed;
}

/* splitmix64 */
static uint64_t draw(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static struct vmb_index_node **bucket_of(struct vmb_index *ix, uint64_t key)
{
	return &ix->buckets[vmb_index_bucket(ix, key)];
}

static void chain(struct vmb_index_node **where, struct vmb_index_node *node)
{
	node->next = *where;
	node->back = where;
	if (node->next)
		node->next->back = &node->next;
	*where = node;
}

void vmb_index_init(struct vmb_index *ix, uint64_t *seed)
{
	*ix = (struct vmb_index){
		.bits = VMB_INDEX_SMALL_BITS,
		.multiplier = draw(seed) | 1,
		.seed = seed,
	};
	ix->buckets = ix->small;
}

void vmb_index_fini(struct vmb_index *ix)
{
	if (ix->buckets != ix->small)
		free(ix->buckets);
	ix->buckets = ix->small;
}

/* Into 1 << bits new buckets under a new multiplier. */
static void rehash(struct vmb_index *ix, unsigned bits)
{
	struct vmb_index_node **old = ix->buckets, *node, *next;
	size_t count = (size_t)1 << ix->bits;

	ix->fresh = 0;
	ix->buckets = calloc((size_t)1 << bits, sizeof(*old));
	if (!ix->buckets) {
		ix->buckets = old;
		return;
	}
	ix->bits = bits;
	ix->multiplier = draw(ix->seed) | 1;
	for (size_t i = 0; i < count; i++) {
		for (node = old[i]; node; node = next) {
			next = node->next;
			chain(bucket_of(ix, node->key), node);
		}
	}
	if (old != ix->small)
		free(old);
}

/*
 * Twice the buckets when there are more keys than buckets. A long chain under
 * that load is bad luck or malice: draw again. Neither so often that it
 * becomes the cost itself: a rehash is paid for by the inserts before it.
 */
static void adapt(struct vmb_index *ix, size_t links)
{
	size_t size = (size_t)1 << ix->bits;

	if (ix->fresh < size / REHASH_PART)
		return;
	if (ix->keys > size)
		rehash(ix, ix->bits + 1);
	else if (links > CHAIN_LONG)
		rehash(ix, ix->bits);
}

/* Oldest node of that key; *links: how far it was to the end of the look. */
static struct vmb_index_node *look_up(struct vmb_index *ix, uint64_t key,
				      size_t *links)
{
	struct vmb_index_node *node;

	*links = 0;
	for (node = *bucket_of(ix, key); node; node = node->next) {
		++*links;
		if (node->key == key)
			break;
	}
	ix->steps += *links;
	return node;
}

void vmb_index_insert(struct vmb_index *ix, struct vmb_index_node *node,
		      uint64_t key)
{
	struct vmb_index_node *oldest;
	size_t links;

	node->key = key;
	ix->count++;
	oldest = look_up(ix, key, &links);
	if (oldest) {
		node->back = NULL;
		vmb_list_append(&oldest->same, &node->same);
		return;
	}
	vmb_list_init(&node->same);
	chain(bucket_of(ix, key), node);
	ix->keys++;
	ix->fresh++;
	adapt(ix, links);
}

struct vmb_index_node *vmb_index_find(struct vmb_index *ix, uint64_t key)
{
	size_t links;

	return look_up(ix, key, &links);
}

void vmb_index_remove(struct vmb_index *ix, struct vmb_index_node *node)
{
	struct vmb_index_node *heir =
		vmb_list_first(&node->same, struct vmb_index_node, same);

	ix->count--;
	if (node->back) {
		*node->back = node->next;
		if (node->next)
			node->next->back = node->back;
		if (heir != node)
			chain(node->back, heir);
		else
			ix->keys--;
		node->back = NULL;
	}
	vmb_list_remove(&node->same);
}
