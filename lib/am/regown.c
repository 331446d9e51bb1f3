// SPDX-License-Identifier: BSD-2-Clause
/*
 * regown.c - vmb_alloc() memory: registered for as long as it lives.
 *
 * Flow:  api (vmb_alloc, vmb_free) -> [here] -> port mem_alloc, mem_free
 * Owns:  the table of such memory.
 * Trust: the address to free is looked up, not believed. The application may
 *        have unmapped the memory by itself: it is not watched, but when the
 *        kernel gives its address out again the old entry goes.
 */
#include "am/regentry.h"

#include <errno.h>
#include <stdlib.h>

#include "base/util.h"

/* What we knew at these addresses: only its registration is left to end. */
static void displace(struct vmb_regcache *c, uintptr_t start, uintptr_t end,
		     struct vmb_list *victims)
{
	unsigned i = vmb_spans_after(&c->own, start);

	while (i < c->own.count && c->own.at[i].start < end) {
		struct vmb_regcache_entry *e = c->own.at[i].entry;

		vmb_spans_remove(&c->own, i, 1);
		e->state = VMB_REGENTRY_LOOSE;
		vmb_regentry_move(e->refs ? &c->busy : victims, e);
	}
}

static void mem_free(struct vmb_regcache *c, uintptr_t start, uintptr_t end,
		     uint64_t key)
{
	c->port->ops->mem_free(c->port, (void *)start, end - start, key);
}

static bool is_foreign(struct vmb_regcache *c)
{
	bool foreign;

	pthread_mutex_lock(&c->lock);
	foreign = c->foreign;
	pthread_mutex_unlock(&c->lock);
	return foreign;
}

int vmb_regcache_alloc(struct vmb_regcache *c, size_t len, void **addr)
{
	struct vmb_regcache_entry *e;
	struct vmb_list victims;
	int err;

	if (len == 0)
		return -EINVAL;
	if (len > VMB_REGION_BYTES_MAX)
		return -ENOMEM;
	if (is_foreign(c))
		return -EPERM;
	e = vmb_regentry_new(0, vmb_round_up(len, c->page), VMB_REGENTRY_OWN);
	if (!e)
		return -ENOMEM;
	err = vmb_sweeper_obtain(c, e, true);
	if (err)
		goto err_entry;
	if (c->port->ops->mem_describe)
		c->port->ops->mem_describe(c->port, (void *)e->start,
					   &e->memory);

	vmb_list_init(&victims);
	pthread_mutex_lock(&c->lock);
	displace(c, e->start, e->end, &victims);
	err = vmb_spans_reserve(&c->own, c->own.count + 1);
	if (!err)
		vmb_spans_insert(&c->own, e->start, e->end, e);
	pthread_mutex_unlock(&c->lock);
	vmb_sweeper_discard(c, &victims);
	if (err)
		goto err_memory;
	*addr = (void *)e->start;
	return 0;

err_memory:
	mem_free(c, e->start, e->end, e->key);
err_entry:
	free(e);
	return err;
}

void vmb_regcache_describe(struct vmb_regcache *c, const void *addr, size_t len,
			   struct vmb_lane_file *what)
{
	uintptr_t start = (uintptr_t)addr;
	struct vmb_regcache_entry *e;

	pthread_mutex_lock(&c->lock);
	e = vmb_spans_cover(&c->own, start, start + len);
	*what = e ? e->memory : (struct vmb_lane_file){0};
	pthread_mutex_unlock(&c->lock);
}

/* Take the entry that starts there out of the table. */
static int take_out(struct vmb_regcache *c, uintptr_t start,
		    struct vmb_regcache_entry **entry)
{
	unsigned i = vmb_spans_after(&c->own, start);

	if (c->foreign)
		return -EPERM;
	if (i == c->own.count || c->own.at[i].start != start)
		return -EINVAL;
	*entry = c->own.at[i].entry;
	vmb_spans_remove(&c->own, i, 1);
	return 0;
}

int vmb_regcache_free(struct vmb_regcache *c, void *addr)
{
	struct vmb_regcache_entry *e;
	uintptr_t start, end;
	bool in_use;
	uint64_t key;
	int err;

	pthread_mutex_lock(&c->lock);
	err = take_out(c, (uintptr_t)addr, &e);
	if (err) {
		pthread_mutex_unlock(&c->lock);
		return err;
	}
	start = e->start;
	end = e->end;
	key = e->key;
	in_use = e->refs;
	e->state = VMB_REGENTRY_FREED;
	if (in_use)
		vmb_regentry_move(&c->busy, e); /* its last put frees it */
	pthread_mutex_unlock(&c->lock);
	mem_free(c, start, end, key);
	if (!in_use)
		free(e);
	return 0;
}

void vmb_regown_end(struct vmb_regcache *c)
{
	for (unsigned i = 0; i < c->own.count; i++) {
		struct vmb_regcache_entry *e = c->own.at[i].entry;

		if (!c->foreign)
			mem_free(c, e->start, e->end, e->key);
		free(e);
	}
	vmb_spans_fini(&c->own);
}
