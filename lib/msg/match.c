// SPDX-License-Identifier: BSD-2-Clause
/*
 * match.c - who matches whom, at a cost that does not grow with the queues.
 *
 * Flow:  receive.c, unexpected.c, request.c -> [here] -> index.c
 * Owns:  the classes (distinct masks) and their tables; see match.h.
 * Trust: bits are a peer's choice, masks the application's.
 */
#include "msg/match.h"

#include <stdlib.h>

#define SCAN_FEW 8     /* items that are not worth a class */
#define SLAB_BLOCKS 32 /* blocks allocated at a time */

/* ---- posted --------------------------------------------------------------- */

void vmb_postedset_init(struct vmb_postedset *set, uint64_t *seed)
{
	*set = (struct vmb_postedset){0};
	vmb_list_init(&set->alike);
	vmb_list_init(&set->beyond);
	for (unsigned c = 0; c < VMB_MATCH_CLASSES; c++)
		vmb_index_init(&set->classes[c].index, seed);
}

void vmb_postedset_fini(struct vmb_postedset *set)
{
	for (unsigned c = 0; c < VMB_MATCH_CLASSES; c++)
		vmb_index_fini(&set->classes[c].index);
}

/* The class of a mask: there already, vacant, or new. NULL: all are in use. */
static struct vmb_index *posted_class(struct vmb_postedset *set, uint64_t mask)
{
	unsigned use = VMB_MATCH_CLASSES;

	for (unsigned c = 0; c < set->class_count; c++) {
		if (set->classes[c].mask == mask)
			return &set->classes[c].index;
		if (!set->classes[c].index.count)
			use = c;
	}
	if (use == VMB_MATCH_CLASSES) {
		if (set->class_count == VMB_MATCH_CLASSES)
			return NULL;
		use = set->class_count++;
	}
	set->classes[use].mask = mask;
	return &set->classes[use].index;
}

static void classify(struct vmb_postedset *set, struct vmb_posted *p)
{
	p->index = posted_class(set, p->mask);
	if (p->index)
		vmb_index_insert(p->index, &p->node, p->node.key);
	else
		vmb_list_append(&set->beyond, &p->node.same);
}

static bool is_alike(struct vmb_postedset *set, uint64_t match, uint64_t mask)
{
	if (!set->count) {
		set->alike_match = match;
		set->alike_mask = mask;
		return true;
	}
	return !vmb_list_empty(&set->alike) && set->alike_match == match &&
	       set->alike_mask == mask && set->count < VMB_MATCH_ALIKE;
}

/* They are alike no more. */
static void classify_alike(struct vmb_postedset *set)
{
	while (!vmb_list_empty(&set->alike)) {
		struct vmb_posted *p = vmb_list_first(
			&set->alike, struct vmb_posted, node.same);

		vmb_list_remove(&p->node.same);
		classify(set, p);
	}
}

void vmb_postedset_insert(struct vmb_postedset *set, struct vmb_posted *p,
			  uint64_t match, uint64_t mask)
{
	bool alike = is_alike(set, match, mask);

	p->mask = mask;
	p->node.key = match;
	p->order = set->order++;
	set->count++;
	if (vmb_likely(alike)) {
		p->index = NULL;
		vmb_list_append(&set->alike, &p->node.same);
		return;
	}
	classify_alike(set);
	classify(set, p);
}

void vmb_postedset_remove(struct vmb_postedset *set, struct vmb_posted *p)
{
	set->count--;
	if (p->index)
		vmb_index_remove(p->index, &p->node);
	else
		vmb_list_remove(&p->node.same);
}

/* Those beyond the classes, as far as they are older than best. */
static struct vmb_posted *scan_beyond(struct vmb_postedset *set, uint64_t bits,
				      struct vmb_posted *best)
{
	struct vmb_list *l;

	vmb_list_each (l, &set->beyond) {
		struct vmb_posted *p =
			vmb_container_of(l, struct vmb_posted, node.same);

		if (best && p->order > best->order)
			break;
		set->scanned++;
		if ((bits & p->mask) == p->node.key)
			return p;
	}
	return best;
}

/* Of several. */
static struct vmb_posted *find_oldest(struct vmb_postedset *set, uint64_t bits)
{
	struct vmb_posted *best = NULL;

	for (unsigned c = 0; c < set->class_count; c++) {
		struct vmb_index *ix = &set->classes[c].index;
		struct vmb_index_node *node;
		struct vmb_posted *p;

		if (!ix->count)
			continue;
		node = vmb_index_find(ix, bits & set->classes[c].mask);
		if (!node)
			continue;
		p = vmb_container_of(node, struct vmb_posted, node);
		if (!best || p->order < best->order)
			best = p;
	}
	return scan_beyond(set, bits, best);
}

struct vmb_posted *vmb_postedset_take_some(struct vmb_postedset *set,
					   uint64_t bits)
{
	struct vmb_posted *p = find_oldest(set, bits);

	if (p)
		vmb_postedset_remove(set, p);
	return p;
}

uint64_t vmb_postedset_steps(const struct vmb_postedset *set)
{
	uint64_t steps = set->scanned;

	for (unsigned c = 0; c < set->class_count; c++)
		steps += set->classes[c].index.steps;
	return steps;
}

/* ---- item sets ------------------------------------------------------------- */

/* The places of one item in all classes; allocated once there is a class. */
struct vmb_item_block {
	struct vmb_item *item;	     /* in use */
	struct vmb_item_block *next; /* free */
	struct vmb_index_node nodes[VMB_MATCH_CLASSES];
};

struct vmb_item_slab {
	struct vmb_item_slab *next;
	struct vmb_item_block blocks[SLAB_BLOCKS];
};

void vmb_itemset_init(struct vmb_itemset *set, uint64_t *seed)
{
	*set = (struct vmb_itemset){.seed = seed};
	vmb_list_init(&set->order);
}

static void drop_slabs(struct vmb_itemset *set)
{
	struct vmb_item_slab *slab, *next;

	for (slab = set->slabs; slab; slab = next) {
		next = slab->next;
		free(slab);
	}
	set->slabs = NULL;
	set->free = NULL;
}

void vmb_itemset_fini(struct vmb_itemset *set)
{
	for (unsigned c = 0; c < set->class_count; c++)
		vmb_index_fini(&set->classes[c].index);
	set->class_count = 0;
	drop_slabs(set);
}

static bool give_block(struct vmb_itemset *set, struct vmb_item *item)
{
	struct vmb_item_block *block;

	if (!set->free) {
		struct vmb_item_slab *slab = malloc(sizeof(*slab));

		if (!slab)
			return false;
		slab->next = set->slabs;
		set->slabs = slab;
		for (unsigned i = 0; i < SLAB_BLOCKS; i++) {
			slab->blocks[i].next = set->free;
			set->free = &slab->blocks[i];
		}
	}
	block = set->free;
	set->free = block->next;
	block->item = item;
	item->block = block;
	return true;
}

/* No memory to keep the classes up: back to scanning, which needs none. */
static void drop_classes(struct vmb_itemset *set)
{
	struct vmb_list *l;

	vmb_list_each (l, &set->order)
		vmb_container_of(l, struct vmb_item, node)->block = NULL;
	vmb_itemset_fini(set);
}

static void class_insert(struct vmb_itemset *set, unsigned c,
			 struct vmb_item *item)
{
	vmb_index_insert(&set->classes[c].index, &item->block->nodes[c],
			 item->bits & set->classes[c].mask);
}

static bool build_class(struct vmb_itemset *set, uint64_t mask)
{
	unsigned c = set->class_count;
	struct vmb_list *l;

	set->classes[c].mask = mask;
	vmb_index_init(&set->classes[c].index, set->seed);
	set->class_count++;
	vmb_list_each (l, &set->order) {
		struct vmb_item *item =
			vmb_container_of(l, struct vmb_item, node);

		if (!item->block && !give_block(set, item)) {
			drop_classes(set);
			return false;
		}
		set->scanned++;
		class_insert(set, c, item);
	}
	return true;
}

void vmb_itemset_classify(struct vmb_itemset *set, struct vmb_item *item)
{
	if (!give_block(set, item)) {
		drop_classes(set);
		return;
	}
	for (unsigned c = 0; c < set->class_count; c++)
		class_insert(set, c, item);
}

void vmb_itemset_declassify(struct vmb_itemset *set, struct vmb_item *item)
{
	struct vmb_item_block *block = item->block;

	for (unsigned c = 0; c < set->class_count; c++)
		vmb_index_remove(&set->classes[c].index, &block->nodes[c]);
	item->block = NULL;
	block->next = set->free;
	set->free = block;
}

static struct vmb_item *find_in_class(struct vmb_itemset *set, unsigned c,
				      uint64_t match)
{
	struct vmb_index_node *node;

	node = vmb_index_find(&set->classes[c].index, match);
	if (!node)
		return NULL;
	return vmb_container_of(node - c, struct vmb_item_block, nodes[0])
		->item;
}

static struct vmb_item *scan(struct vmb_itemset *set, uint64_t match,
			     uint64_t mask)
{
	struct vmb_list *l;

	vmb_list_each (l, &set->order) {
		struct vmb_item *item =
			vmb_container_of(l, struct vmb_item, node);

		set->scanned++;
		if ((item->bits & mask) == match)
			return item;
	}
	return NULL;
}

struct vmb_item *vmb_itemset_find_some(struct vmb_itemset *set, uint64_t match,
				       uint64_t mask)
{
	unsigned c;

	if (!mask || set->count <= SCAN_FEW)
		return scan(set, match, mask);
	for (c = 0; c < set->class_count; c++)
		if (set->classes[c].mask == mask)
			return find_in_class(set, c, match);
	if (c < VMB_MATCH_CLASSES && build_class(set, mask))
		return find_in_class(set, c, match);
	return scan(set, match, mask);
}

uint64_t vmb_itemset_steps(const struct vmb_itemset *set)
{
	uint64_t steps = set->scanned;

	for (unsigned c = 0; c < set->class_count; c++)
		steps += set->classes[c].index.steps;
	return steps;
}
