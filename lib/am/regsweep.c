// SPDX-License-Identifier: BSD-2-Clause
/*
 * regsweep.c - the registration cache's calls of the port, and the thread
 * that deregisters what died while nobody called.
 *
 * Flow:  watch -> wake -> sweeper thread -> port mem_deregister
 * Owns:  the sweeper thread.
 * Trust: the port's answers are believed.
 *
 * A thread of its own: the watch thread must not free memory, and the
 * application may never call again, yet the pages are held until then.
 */
#include "am/regentry.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/barrier.h"
#include "base/log.h"

struct vmb_regcache_entry *vmb_regentry_new(uintptr_t start, uintptr_t end,
					    enum vmb_regentry_state state)
{
	struct vmb_regcache_entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	vmb_list_init(&e->node);
	e->start = start;
	e->end = end;
	e->state = state;
	return e;
}

void vmb_regentry_move(struct vmb_list *list, struct vmb_regcache_entry *e)
{
	vmb_list_remove(&e->node);
	vmb_list_append(list, &e->node);
}

void vmb_sweeper_discard(struct vmb_regcache *c, struct vmb_list *list)
{
	while (!vmb_list_empty(list)) {
		struct vmb_regcache_entry *e =
			vmb_list_first(list, struct vmb_regcache_entry, node);
		int err = 0;

		vmb_list_remove(&e->node);
		if (e->state != VMB_REGENTRY_FREED && !c->foreign)
			err = c->port->ops->mem_deregister(c->port, e->key);
		if (err && err != -EPIPE) /* that ended them all */
			vmb_warn("deregister of key %#llx: %s",
				 (unsigned long long)e->key, strerror(-err));
		free(e);
	}
}

enum sweep_what {
	SWEEP_DEAD,
	SWEEP_IDLE, /* live ones too that nobody uses */
};

/* On return all are deregistered, also those that another thread took. */
static void sweep(struct vmb_regcache *c, enum sweep_what what)
{
	struct vmb_list list;

	vmb_list_init(&list);
	pthread_mutex_lock(&c->sweep_lock);
	pthread_mutex_lock(&c->lock);
	vmb_kept_update(c);
	if (what == SWEEP_IDLE)
		vmb_kept_evict_idle(c, &list);
	while (!vmb_list_empty(&c->dead))
		vmb_regentry_move(
			&list, vmb_list_first(&c->dead,
					      struct vmb_regcache_entry, node));
	pthread_mutex_unlock(&c->lock);
	vmb_sweeper_discard(c, &list);
	pthread_mutex_unlock(&c->sweep_lock);
}

void vmb_sweeper_flush(struct vmb_regcache *c)
{
	sweep(c, SWEEP_DEAD);
}

static int try_obtain(struct vmb_regcache *c, struct vmb_regcache_entry *e,
		      bool own)
{
	const struct vmb_port_ops *ops = c->port->ops;
	size_t len = e->end - e->start;
	void *addr;
	int err;

	if (!own)
		return ops->mem_register(c->port, (void *)e->start, len,
					 VMB_ACCESS_REMOTE_READ, &e->key);
	err = ops->mem_alloc(c->port, len, &addr, &e->key);
	if (err)
		return err;
	e->start = (uintptr_t)addr;
	e->end = e->start + len;
	return 0;
}

int vmb_sweeper_obtain(struct vmb_regcache *c, struct vmb_regcache_entry *e,
		       bool own)
{
	int err = try_obtain(c, e, own);

	if (err != -EDQUOT && err != -ENOSPC && err != -ENOMEM)
		return err;
	sweep(c, SWEEP_IDLE);
	return try_obtain(c, e, own);
}

/* ---- thread ------------------------------------------------------------ */

static void *sweeper_run(void *arg)
{
	struct vmb_regcache *c = arg;

	for (;;) {
		if (sem_wait(&c->sweep))
			continue; /* a debugger's signal */
		if (vmb_observe(&c->stop))
			return NULL;
		sweep(c, SWEEP_DEAD);
	}
}

void vmb_sweeper_wake(void *cache)
{
	struct vmb_regcache *c = cache;

	sem_post(&c->sweep);
}

void vmb_sweeper_stop(struct vmb_regcache *c)
{
	/* the sweeper first: it uses the watch, and may free memory */
	if (c->threads) {
		vmb_publish(&c->stop, true);
		sem_post(&c->sweep);
		pthread_join(c->sweeper, NULL);
	}
	c->threads = false;
	if (c->watch)
		vmb_watch_close(c->watch);
	c->watch = NULL;
}

void vmb_sweeper_start(struct vmb_regcache *c)
{
	sigset_t all, before;
	int err;

	if (!c->watch || c->threads)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = -pthread_create(&c->sweeper, NULL, sweeper_run, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	c->threads = !err;
	if (!err)
		err = vmb_watch_start(c->watch);
	if (err) {
		vmb_warn("registrations are not kept: no thread: %s",
			 strerror(-err));
		vmb_sweeper_stop(c);
	}
}
