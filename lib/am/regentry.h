/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * regentry.h - inside of the registration cache, for its own files only.
 *
 * Flow:  regcache.c (get, put) -> regkept.c (what may be handed out again)
 *                              -> regsweep.c (calls of the port, threads)
 *        regown.c (vmb_alloc() memory), regfork.c (a fork ends it all)
 * Owns:  the types.
 * Trust: internal; see regcache.h.
 *
 * Locks: caches of the process (regfork.c), then sweep_lock, then lock. The
 *        port is never called with lock held.
 */
#ifndef VMB_AM_REGENTRY_H
#define VMB_AM_REGENTRY_H

#include <pthread.h>
#include <semaphore.h>

#include "am/regcache.h"
#include "am/span.h"
#include "am/watch.h"
#include "base/list.h"

enum vmb_regentry_state {
	VMB_REGENTRY_PENDING, /* being registered; on `pending` */
	VMB_REGENTRY_KEPT,    /* in `kept`; on `idle` or `busy` */
	VMB_REGENTRY_LOOSE,   /* ends with its last put; on `busy`, `dead` */
	VMB_REGENTRY_OWN,     /* of vmb_regcache_alloc(); in `own`, no list */
	VMB_REGENTRY_FREED,   /* was own, still referred to; on `busy` */
};

struct vmb_regcache_entry {
	struct vmb_list node;
	uintptr_t start, end;
	uint64_t key;
	unsigned refs;
	enum vmb_regentry_state state;
	struct vmb_lane_file memory; /* OWN: see vmb_regcache_describe() */
};

struct vmb_regcache {
	struct vmb_port *port;
	struct vmb_list process_node; /* regfork.c */
	uintptr_t page;		      /* bytes */

	pthread_mutex_t lock; /* of this block */
	struct vmb_spans own, kept;
	unsigned kept_max;
	struct vmb_list pending, idle, busy, dead; /* idle: oldest first */
	struct vmb_regcache_counters counters;
	struct vmb_watch *watch; /* NULL: nothing is kept */
	bool threads;		 /* were started */
	bool foreign; /* inherited by fork: of no use, not ours to end */

	pthread_mutex_t sweep_lock; /* held while the dead are deregistered */
	sem_t sweep;		    /* something may have died */
	bool stop;
	pthread_t sweeper;
};

struct vmb_regcache_entry *vmb_regentry_new(uintptr_t start, uintptr_t end,
					    enum vmb_regentry_state state);
/* From the list it is on, if any, to the end of another. */
void vmb_regentry_move(struct vmb_list *list, struct vmb_regcache_entry *e);

/* ---- regkept.c; all with the lock held --------------------------------- */

/* One more reference to a kept or own entry. */
void vmb_kept_hold(struct vmb_regcache *c, struct vmb_regcache_entry *e);
/* Room for e: what lies within it goes, then the oldest idle, to victims. */
bool vmb_kept_make_room(struct vmb_regcache *c,
			const struct vmb_regcache_entry *e,
			struct vmb_list *victims);
/* Everything that nobody uses goes to list. */
void vmb_kept_evict_idle(struct vmb_regcache *c, struct vmb_list *list);
/* Nothing of [start, end) is handed out again; what is idle goes to list. */
void vmb_kept_kill(struct vmb_regcache *c, uintptr_t start, uintptr_t end,
		   struct vmb_list *list);
void vmb_kept_kill_all(struct vmb_regcache *c, struct vmb_list *list);
/* Apply what the kernel reported. Comes first in every call. */
void vmb_kept_update(struct vmb_regcache *c);
/*
 * The same, where registrations hold pages: true when what is kept now is not
 * of memory that another thread is giving up in this moment.
 */
bool vmb_kept_settle(struct vmb_regcache *c);

/* ---- regsweep.c; all without the lock ---------------------------------- */

/* Deregister and free entries that nobody refers to. */
void vmb_sweeper_discard(struct vmb_regcache *c, struct vmb_list *list);
/*
 * Register e->start to e->end, or (own) allocate so many bytes. Idle entries
 * give way before a caller is told that there is no room.
 */
int vmb_sweeper_obtain(struct vmb_regcache *c, struct vmb_regcache_entry *e,
		       bool own);
/* With the lock held, on the first miss: start what keeping needs. */
void vmb_sweeper_start(struct vmb_regcache *c);
void vmb_sweeper_stop(struct vmb_regcache *c);
/* Something may have died. Never blocks. */
void vmb_sweeper_wake(void *cache);
/* Wait until all that died is deregistered. */
void vmb_sweeper_flush(struct vmb_regcache *c);

/* ---- regfork.c --------------------------------------------------------- */

/* Be told about forks from now on, until leave. */
int vmb_regfork_join(struct vmb_regcache *c);
void vmb_regfork_leave(struct vmb_regcache *c);

/* ---- regown.c ---------------------------------------------------------- */

/* Free all vmb_alloc() memory. */
void vmb_regown_end(struct vmb_regcache *c);

#endif
