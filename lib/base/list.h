/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * list.h - circular doubly linked list, embedded in what it links. A node
 * that is on no list points to itself, so removing twice is harmless.
 */
#ifndef VMB_BASE_LIST_H
#define VMB_BASE_LIST_H

#include "base/util.h"

struct vmb_list {
	struct vmb_list *next, *prev;
};

static inline void vmb_list_init(struct vmb_list *l)
{
	l->next = l->prev = l;
}

static inline bool vmb_list_empty(const struct vmb_list *l)
{
	return l->next == l;
}

static inline void vmb_list_append(struct vmb_list *l, struct vmb_list *node)
{
	node->prev = l->prev;
	node->next = l;
	l->prev->next = node;
	l->prev = node;
}

static inline void vmb_list_remove(struct vmb_list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	vmb_list_init(node);
}

#define vmb_list_first(l, type, member) \
	vmb_container_of((l)->next, type, member)

#define vmb_list_each(pos, l) \
	for ((pos) = (l)->next; (pos) != (l); (pos) = (pos)->next)

/* the body may remove pos */
#define vmb_list_each_safe(pos, tmp, l)                            \
	for ((pos) = (l)->next, (tmp) = (pos)->next; (pos) != (l); \
	     (pos) = (tmp), (tmp) = (pos)->next)

#endif
