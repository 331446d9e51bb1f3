/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * match.h - who matches whom, at a cost that does not grow with the queues.
 *
 * Flow:  arrival  -> vmb_posted_take(): oldest posted (match, mask) that
 *                    accepts its bits
 *        receive, probe, test_any -> vmb_itemset_find(): oldest item whose
 *                    bits are accepted by (match, mask)
 * Owns:  the hash tables; entries are embedded in requests and messages.
 * Trust: match bits are a peer's choice (see index.h); masks are the
 *        application's.
 *
 * A class is a distinct mask. Within a class everything is found by one hash
 * look-up of (bits & mask). While all entries are alike, a window of receives
 * for one kind of message, they need neither. Up to VMB_MATCH_CLASSES classes
 * are indexed; an application that has more masks in use at a time pays a scan,
 * in order, for those beyond. The result never depends on which way was taken.
 */
#ifndef VMB_MSG_MATCH_H
#define VMB_MSG_MATCH_H

#include "msg/index.h"

#define VMB_MATCH_CLASSES 8
#define VMB_MATCH_ALIKE 128u /* most that are put into a class at a time */

/* ---- posted: entries have a mask, the question is one value -------------- */

struct vmb_posted {
	struct vmb_index_node node; /* key: match; in a class or in `beyond` */
	uint64_t mask;
	uint64_t order;		 /* of posting */
	struct vmb_index *index; /* NULL: in `beyond` or `alike` */
};

struct vmb_postedset {
	struct {
		uint64_t mask;
		struct vmb_index index;
	} classes[VMB_MATCH_CLASSES];
	unsigned class_count; /* a class without entries changes its mask */
	uint64_t order;
	size_t count;
	struct vmb_list alike; /* in order; all there are, or none */
	uint64_t alike_match, alike_mask;
	struct vmb_list beyond; /* in order */
	uint64_t scanned;	/* comparisons in `alike` and `beyond` */
};

void vmb_postedset_init(struct vmb_postedset *set, uint64_t *seed);
void vmb_postedset_fini(struct vmb_postedset *set);
/* match has no bits outside mask. */
void vmb_postedset_insert(struct vmb_postedset *set, struct vmb_posted *p,
			  uint64_t match, uint64_t mask);
/* What vmb_postedset_take() does when they are not all alike. */
struct vmb_posted *vmb_postedset_take_some(struct vmb_postedset *set,
					   uint64_t bits);
void vmb_postedset_remove(struct vmb_postedset *set, struct vmb_posted *p);
/* Oldest with (bits & mask) == match, taken out; or NULL. */
static inline struct vmb_posted *vmb_postedset_take(struct vmb_postedset *set,
						    uint64_t bits)
{
	struct vmb_posted *p;

	if (vmb_list_empty(&set->alike))
		return set->count ? vmb_postedset_take_some(set, bits) : NULL;
	set->scanned++;
	if ((bits & set->alike_mask) != set->alike_match)
		return NULL;
	p = vmb_list_first(&set->alike, struct vmb_posted, node.same);
	set->count--;
	vmb_list_remove(&p->node.same);
	return p;
}

/* Comparisons made so far: what tests measure instead of time. */
uint64_t vmb_postedset_steps(const struct vmb_postedset *set);

/* ---- item sets: entries have a value, the question has a mask ------------- */

struct vmb_item_block;

struct vmb_item {
	struct vmb_list node; /* in order of insertion */
	uint64_t bits;
	struct vmb_item_block *block; /* its places in the classes, or NULL */
};

/*
 * A class is built when a mask is first asked for while more than a few items
 * wait, and kept up from then on.
 */
struct vmb_itemset {
	struct vmb_list order;
	size_t count;
	struct {
		uint64_t mask;
		struct vmb_index index;
	} classes[VMB_MATCH_CLASSES];
	unsigned class_count;
	struct vmb_item_block *free;
	struct vmb_item_slab *slabs;
	uint64_t *seed;
	uint64_t scanned; /* items that were compared one by one */
};

void vmb_itemset_init(struct vmb_itemset *set, uint64_t *seed);
/* Items that are still in it are left alone. */
void vmb_itemset_fini(struct vmb_itemset *set);
/* What the three calls below do when the set has classes, or items. */
void vmb_itemset_classify(struct vmb_itemset *set, struct vmb_item *item);
void vmb_itemset_declassify(struct vmb_itemset *set, struct vmb_item *item);
struct vmb_item *vmb_itemset_find_some(struct vmb_itemset *set, uint64_t match,
				       uint64_t mask);

static inline void vmb_itemset_insert(struct vmb_itemset *set,
				      struct vmb_item *item, uint64_t bits)
{
	item->bits = bits;
	item->block = NULL;
	vmb_list_append(&set->order, &item->node);
	set->count++;
	if (vmb_unlikely(set->class_count))
		vmb_itemset_classify(set, item);
}

static inline void vmb_itemset_remove(struct vmb_itemset *set,
				      struct vmb_item *item)
{
	vmb_list_remove(&item->node);
	set->count--;
	if (vmb_unlikely(item->block))
		vmb_itemset_declassify(set, item);
}

/* Oldest with (bits & mask) == match, or NULL. It stays. */
static inline struct vmb_item *vmb_itemset_find(struct vmb_itemset *set,
						uint64_t match, uint64_t mask)
{
	return set->count ? vmb_itemset_find_some(set, match, mask) : NULL;
}

uint64_t vmb_itemset_steps(const struct vmb_itemset *set);

#endif
