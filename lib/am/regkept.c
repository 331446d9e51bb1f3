// SPDX-License-Identifier: BSD-2-Clause
/*
 * regkept.c - which registrations may be handed out again.
 *
 * Flow:  regcache -> [here]; watch -> changes -> [here] -> entries die
 * Owns:  the table of kept entries. They may overlap, but none lies within
 *        another.
 * Trust: internal; the caller holds the cache's lock.
 */
#include "am/regentry.h"

#include "base/util.h"

void vmb_kept_hold(struct vmb_regcache *c, struct vmb_regcache_entry *e)
{
	if (e->refs++ == 0 && e->state == VMB_REGENTRY_KEPT)
		vmb_regentry_move(&c->busy, e);
}

/* Take the entry at index i out: to list, or to busy while it is in use. */
static void drop(struct vmb_regcache *c, unsigned i, struct vmb_list *list)
{
	struct vmb_regcache_entry *e = c->kept.at[i].entry;

	vmb_spans_remove(&c->kept, i, 1);
	e->state = VMB_REGENTRY_LOOSE;
	vmb_regentry_move(e->refs ? &c->busy : list, e);
}

static void evict_oldest(struct vmb_regcache *c, struct vmb_list *list)
{
	struct vmb_regcache_entry *e =
		vmb_list_first(&c->idle, struct vmb_regcache_entry, node);
	unsigned i = vmb_spans_after(&c->kept, e->start);

	while (c->kept.at[i].entry != e)
		i++;
	drop(c, i, list);
}

void vmb_kept_evict_idle(struct vmb_regcache *c, struct vmb_list *list)
{
	while (!vmb_list_empty(&c->idle))
		evict_oldest(c, list);
}

bool vmb_kept_make_room(struct vmb_regcache *c,
			const struct vmb_regcache_entry *e,
			struct vmb_list *victims)
{
	unsigned i = vmb_spans_after(&c->kept, e->start);

	while (i < c->kept.count && c->kept.at[i].start < e->start)
		i++;
	while (i < c->kept.count && c->kept.at[i].end <= e->end)
		drop(c, i, victims);
	while (c->kept.count >= c->kept_max) {
		if (vmb_list_empty(&c->idle))
			return false;
		evict_oldest(c, victims);
	}
	return true;
}

void vmb_kept_kill(struct vmb_regcache *c, uintptr_t start, uintptr_t end,
		   struct vmb_list *list)
{
	unsigned first = vmb_spans_after(&c->kept, start), i = first;
	struct vmb_list *pos;

	while (i < c->kept.count && c->kept.at[i].start < end)
		i++;
	while (i-- > first) {
		drop(c, i, list);
		c->counters.invalidated++;
	}
	vmb_list_each (pos, &c->pending) {
		struct vmb_regcache_entry *e =
			vmb_container_of(pos, struct vmb_regcache_entry, node);

		if (e->start < end && e->end > start)
			e->state = VMB_REGENTRY_LOOSE;
	}
}

void vmb_kept_kill_all(struct vmb_regcache *c, struct vmb_list *list)
{
	vmb_kept_kill(c, 0, UINTPTR_MAX, list);
}

void vmb_kept_update(struct vmb_regcache *c)
{
	struct vmb_watch_change change;

	if (!c->watch || vmb_likely(!vmb_watch_changed(c->watch)))
		return;
	/* the watch thread wakes the sweeper for what ends up on `dead` */
	while (vmb_watch_take(c->watch, &change))
		vmb_kept_kill(c, change.start, change.end, &c->dead);
}

/*
 * Where registrations hold addresses an old one reaches the new memory. With
 * pages it would not, so nothing kept is handed out during a change.
 */
bool vmb_kept_settle(struct vmb_regcache *c)
{
	if (c->port->ops->pins && (!c->watch || vmb_watch_changing(c->watch)))
		return false;
	vmb_kept_update(c);
	return true;
}
