// SPDX-License-Identifier: BSD-2-Clause
/*
 * regfork.c - what a fork does to registration caches.
 *
 * Flow:  fork() -> handlers -> every cache of the process
 * Owns:  the list of caches.
 * Trust: a child made without fork handlers (a bare clone call) is not seen.
 *
 * Pinned pages and copy-on-write: after a fork the parent may be given new
 * pages in place of those that were registered. So everything dies in the
 * parent, and the child's copy of the cache is closed to it.
 */
#include "am/regentry.h"

#include "base/util.h"

static pthread_mutex_t caches_lock = PTHREAD_MUTEX_INITIALIZER;
static struct vmb_list caches = {&caches, &caches};

static struct vmb_regcache *cache_of(struct vmb_list *node)
{
	return vmb_container_of(node, struct vmb_regcache, process_node);
}

static void fork_prepare(void)
{
	struct vmb_list *pos;

	pthread_mutex_lock(&caches_lock);
	vmb_list_each (pos, &caches) {
		struct vmb_regcache *c = cache_of(pos);

		pthread_mutex_lock(&c->lock);
		vmb_kept_update(c);
		vmb_kept_kill_all(c, &c->dead);
	}
}

static void fork_parent(void)
{
	struct vmb_list *pos;

	vmb_list_each (pos, &caches) {
		struct vmb_regcache *c = cache_of(pos);

		pthread_mutex_unlock(&c->lock);
		vmb_sweeper_wake(c);
	}
	pthread_mutex_unlock(&caches_lock);
}

/* The threads are not in the child, and its descriptors must not stay. */
static void fork_child(void)
{
	while (!vmb_list_empty(&caches)) {
		struct vmb_regcache *c = cache_of(caches.next);

		vmb_list_remove(&c->process_node);
		c->foreign = true;
		c->threads = false;
		if (c->watch)
			vmb_watch_abandon(c->watch);
		c->watch = NULL;
		pthread_mutex_unlock(&c->lock);
	}
	pthread_mutex_unlock(&caches_lock);
}

static int install_error;

static void install(void)
{
	install_error = -pthread_atfork(fork_prepare, fork_parent, fork_child);
}

int vmb_regfork_join(struct vmb_regcache *c)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, install);
	if (install_error)
		return install_error;
	pthread_mutex_lock(&caches_lock);
	vmb_list_append(&caches, &c->process_node);
	pthread_mutex_unlock(&caches_lock);
	return 0;
}

void vmb_regfork_leave(struct vmb_regcache *c)
{
	pthread_mutex_lock(&caches_lock);
	vmb_list_remove(&c->process_node);
	pthread_mutex_unlock(&caches_lock);
}
