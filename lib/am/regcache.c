// SPDX-License-Identifier: BSD-2-Clause
/*
 * regcache.c - registrations kept for reuse, one cache per process.
 *
 * Flow:  msg (rendezvous) -> vmb_regcache_get() -> [here] -> port
 *        kernel -> watch -> regkept: what was changed is never handed out again
 * Owns:  the registrations it made.
 * Trust: the application may unmap, remap, fork or punch holes at any time.
 *        See docs/regcache.md for what is kept, and why.
 *
 * An entry is registered for exactly the pages that were asked for, never
 * for more: memory that nobody asked for may be going away in this moment.
 */
#include "am/regcache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "am/regentry.h"
#include "base/util.h"

/* ---- get and put ------------------------------------------------------- */

/*
 * A registration was made: keep it, or another that came first, or use it
 * once.
 */
static struct vmb_regcache_entry *settle(struct vmb_regcache *c,
					 struct vmb_regcache_entry *e,
					 bool watched, struct vmb_list *victims)
{
	struct vmb_regcache_entry *other;

	watched = watched && vmb_kept_settle(c); /* may make it loose */
	e->refs = 1;
	if (!watched || e->state != VMB_REGENTRY_PENDING)
		goto loose;
	other = vmb_spans_cover(&c->kept, e->start, e->end);
	if (other) {
		e->state = VMB_REGENTRY_LOOSE;
		vmb_regentry_move(victims, e);
		vmb_kept_hold(c, other);
		return other;
	}
	if (!vmb_kept_make_room(c, e, victims))
		goto loose;
	vmb_spans_insert(&c->kept, e->start, e->end, e);
	e->state = VMB_REGENTRY_KEPT;
	vmb_regentry_move(&c->busy, e);
	return e;

loose:
	e->state = VMB_REGENTRY_LOOSE;
	vmb_regentry_move(&c->busy, e);
	return e;
}

/*
 * Watched first, registered then: whatever happens to the memory after the
 * registration is reported. The entry is on `pending` all the while, so a
 * report finds it.
 */
static int miss(struct vmb_regcache *c, uintptr_t start, uintptr_t end,
		struct vmb_regcache_entry **entry)
{
	struct vmb_regcache_entry *e =
		vmb_regentry_new(start, end, VMB_REGENTRY_PENDING);
	struct vmb_list victims;
	bool watched, late;
	int err;

	if (!e)
		return -ENOMEM;
	vmb_list_init(&victims);
	pthread_mutex_lock(&c->lock);
	c->counters.misses++;
	vmb_sweeper_start(c);
	watched = c->watch;
	late = !vmb_list_empty(&c->dead);
	vmb_list_append(&c->pending, &e->node);
	pthread_mutex_unlock(&c->lock);

	if (late) /* the dead must not pile up behind the sweeper */
		vmb_sweeper_flush(c);
	if (watched)
		watched = !vmb_watch_add(c->watch, start, end);
	err = vmb_sweeper_obtain(c, e, false);

	pthread_mutex_lock(&c->lock);
	if (err) {
		vmb_list_remove(&e->node);
		free(e);
	} else {
		*entry = settle(c, e, watched, &victims);
	}
	pthread_mutex_unlock(&c->lock);
	vmb_sweeper_discard(c, &victims);
	return err;
}

/* The whole pages that hold [addr, addr + len). */
static int round_out(const struct vmb_regcache *c, const void *addr, size_t len,
		     uintptr_t *start, uintptr_t *end)
{
	uintptr_t first = (uintptr_t)addr, last = UINTPTR_MAX - c->page;

	if (len == 0)
		return -EINVAL;
	if (first > last || len > last - first)
		return -EFAULT;
	*start = first & ~(c->page - 1);
	*end = vmb_round_up(first + len, c->page);
	return 0;
}

static struct vmb_regcache_entry *look_up(struct vmb_regcache *c,
					  uintptr_t start, uintptr_t end)
{
	struct vmb_regcache_entry *e;

	vmb_kept_update(c);
	e = vmb_spans_cover(&c->own, start, end);
	if (!e && vmb_spans_cover(&c->kept, start, end) && vmb_kept_settle(c))
		e = vmb_spans_cover(&c->kept, start, end);
	if (e) {
		vmb_kept_hold(c, e);
		c->counters.hits++;
	}
	return e;
}

int vmb_regcache_get(struct vmb_regcache *c, const void *addr, size_t len,
		     struct vmb_regref *ref)
{
	struct vmb_regcache_entry *e = NULL;
	uintptr_t start, end;
	bool foreign;
	int err = round_out(c, addr, len, &start, &end);

	if (err)
		return err;
	pthread_mutex_lock(&c->lock);
	foreign = c->foreign;
	if (!foreign)
		e = look_up(c, start, end);
	pthread_mutex_unlock(&c->lock);
	if (foreign)
		return -EPERM;
	if (!e)
		err = miss(c, start, end, &e);
	if (err)
		return err;
	*ref = (struct vmb_regref){.entry = e,
				   .key = e->key,
				   .offset = (uintptr_t)addr - e->start};
	return 0;
}

void vmb_regcache_put(struct vmb_regcache *c, struct vmb_regref *ref)
{
	struct vmb_regcache_entry *e = ref->entry;
	struct vmb_list last;

	if (!e)
		return;
	ref->entry = NULL;
	vmb_list_init(&last);
	pthread_mutex_lock(&c->lock);
	if (--e->refs == 0 && e->state == VMB_REGENTRY_KEPT)
		vmb_regentry_move(&c->idle, e);
	else if (e->refs == 0 && e->state != VMB_REGENTRY_OWN)
		vmb_regentry_move(&last, e);
	pthread_mutex_unlock(&c->lock);
	vmb_sweeper_discard(c, &last);
}

void vmb_regcache_invalidate(struct vmb_regcache *c, const void *addr,
			     size_t len)
{
	uintptr_t start = (uintptr_t)addr, end = start + len;
	struct vmb_list list;

	if (len == SIZE_MAX)
		start = 0;
	if (len > UINTPTR_MAX - start)
		end = UINTPTR_MAX;
	vmb_list_init(&list);
	pthread_mutex_lock(&c->lock);
	vmb_kept_update(c);
	vmb_kept_kill(c, start, end, &list);
	pthread_mutex_unlock(&c->lock);
	vmb_sweeper_discard(c, &list);
}

void vmb_regcache_query(struct vmb_regcache *c,
			struct vmb_regcache_counters *counters)
{
	pthread_mutex_lock(&c->lock);
	*counters = c->counters;
	counters->watching = c->watch;
	pthread_mutex_unlock(&c->lock);
}

/* ---- open and close ---------------------------------------------------- */

static bool switched_off(void)
{
	const char *value = getenv("VMB_REGCACHE");

	return value && !strcmp(value, "0");
}

int vmb_regcache_open(struct vmb_port *port, unsigned entries,
		      struct vmb_regcache **cache)
{
	struct vmb_regcache *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->port = port;
	c->page = (uintptr_t)sysconf(_SC_PAGESIZE);
	c->kept_max = entries;
	vmb_list_init(&c->pending);
	vmb_list_init(&c->idle);
	vmb_list_init(&c->busy);
	vmb_list_init(&c->dead);
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->sweep_lock, NULL);
	sem_init(&c->sweep, 0, 0);
	err = vmb_spans_reserve(&c->kept, entries);
	if (err)
		goto err_free;
	err = vmb_regfork_join(c);
	if (err)
		goto err_spans;
	if (entries && !switched_off() &&
	    vmb_watch_open(vmb_sweeper_wake, c, &c->watch))
		c->watch = NULL; /* works without */
	*cache = c;
	return 0;

err_spans:
	vmb_spans_fini(&c->kept);
err_free:
	free(c);
	return err;
}

/* Those in use too: nobody will put them any more. */
static void end_all(struct vmb_regcache *c)
{
	pthread_mutex_lock(&c->lock);
	vmb_kept_kill_all(c, &c->dead);
	while (!vmb_list_empty(&c->busy))
		vmb_regentry_move(&c->dead,
				  vmb_list_first(&c->busy,
						 struct vmb_regcache_entry,
						 node));
	pthread_mutex_unlock(&c->lock);
	if (c->foreign)
		vmb_sweeper_discard(c, &c->dead);
	else
		vmb_sweeper_flush(c);
}

void vmb_regcache_close(struct vmb_regcache *c)
{
	vmb_regfork_leave(c);
	/* while the watch thread lives: ending them may free memory */
	end_all(c);
	vmb_regown_end(c);
	vmb_sweeper_stop(c);
	vmb_spans_fini(&c->kept);
	free(c);
}
