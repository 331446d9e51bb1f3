/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * api.h - what the files of lib/api share: the process context, the endpoint
 * and the way threads wait in it.
 *
 * Flow:  application -> vmb_*() -> check, lock -> msg, am, port
 * Owns:  the process context, the table of endpoints, the locks, the waiting.
 * Trust: arguments are input; every handle is checked before it is read.
 *
 * Locks: vmb_library.mutex and an endpoint's lock are never held together, and
 * neither during a control call to the daemon.
 */
#ifndef VMB_API_API_H
#define VMB_API_API_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <vmbypass/vmb.h>
#include <vmbypass/vmb_am.h>

#include "am/am.h"
#include "am/regcache.h"
#include "api/lock.h"
#include "api/table.h"
#include "base/list.h"
#include "msg/msg.h"
#include "port/port.h"

/* ---- the process context (library.c) ------------------------------------ */

/* An unexpected handler is promised to see messages of this size whole. */
#define VMB_EAGER_MIN 4096

/* From the environment, read by the first vmb_init(). */
struct vmb_settings {
	enum vmb_wait_mode wait; /* never VMB_WAIT_DEFAULT */
	size_t eager_max;	 /* bytes */
	size_t lane_eager_max;	 /* bytes, to a peer with a lane */
	size_t lane_stream_max;
	size_t lane_direct_max;
	size_t lane_mapped_max;
	uint64_t spin_ns;
	unsigned lanes; /* to one endpoint, at most */
};

void vmb_settings_read(struct vmb_settings *settings);

struct vmb_library {
	pthread_mutex_t mutex;
	pthread_cond_t changed; /* of calls and busy */
	unsigned users;		/* vmb_init() without vmb_finalize() */
	unsigned calls;		/* vmb_library_enter() without leave */
	bool busy;		/* a thread attaches or detaches */
	bool forked;		/* we are a child without its own vmb_init() */
	struct vmb_port *port;
	struct vmb_regcache *regcache;
	struct vmb_settings settings;
};

extern struct vmb_library vmb_library;

/*
 * Keep the context alive until vmb_library_leave(). -ENOTCONN: no vmb_init();
 * -EPERM: after fork.
 */
int vmb_library_enter(void);
void vmb_library_leave(void);

/* ---- endpoints (endpoint.c) --------------------------------------------- */

enum vmb_endpoint_state {
	VMB_ENDPOINT_FREE,
	VMB_ENDPOINT_OPEN,
	VMB_ENDPOINT_CLOSING,
	VMB_ENDPOINT_INHERITED, /* open in the process that forked us */
	VMB_ENDPOINT_LOST,	/* was inherited; the entry is not used again */
};

struct vmb_waiter;

/* A put, get or fence that the application wants to hear of. */
struct vmb_transfer {
	struct vmb_transfer *next; /* when free */
	struct vmb_endpoint *ep;
	vmb_am_done_t done;
	void *context;
};

struct vmb_transfer_block;

/* The thread of VMB_OPEN_BACKGROUND: see background.c. */
struct vmb_background {
	pthread_t thread;
	bool running, stop;
	bool parked;	 /* sleeps until told */
	bool sleeping;	 /* has taken the endpoint's sleep */
	uint32_t signal; /* futex: counts what it was told */
	uint64_t visits; /* of the endpoint, when it last looked */
};

/* Everything below `lock` and `state` is protected by the lock. */
struct vmb_endpoint {
	struct vmb_entry entry;
	struct vmb_lock lock;
	enum vmb_endpoint_state state;

	uint32_t number; /* never used twice: goes into struct vmb_addr */
	uint32_t key;
	int linger_ms; /* see struct vmb_open_params */
	enum vmb_wait_mode wait_mode;
	struct vmb_msg *msg;

	/* progress: one thread at a time, handlers run with the lock free */
	bool progressing;
	uint64_t visits; /* passes asked for; read without the lock */
	const void *progress_thread; /* vmb_thread_self() */
	/* not beside `progressing`: one load of both would have to wait for
	 * the store of one */
	bool held; /* vmb_hold() */
	/* passes that may be a glance at the next event, see wait.c; whoever
	 * comes to do more than look takes them away */
	unsigned glances;
	bool yields; /* VMB_OPEN_YIELDS */
	struct vmb_background background;

	/* waiting: see wait.c */
	unsigned inside;  /* threads that sleep in here, lock released */
	uint64_t version; /* grows when a look may have another answer */
	uint64_t attended;
	struct vmb_list waiters;   /* who waits for something to happen */
	struct vmb_list pausers;   /* who waits for a handler to end */
	struct vmb_waiter *leader; /* makes progress for all */
	uint64_t spin_ns;	   /* spins so long before it sleeps */

	/* sleeping: see sleep.c */
	bool sleeping;
	enum vmb_am_sleep how; /* it sleeps, if it does */
	uint32_t poked;	       /* a futex in VMB_AM_SLEEP_WORD */
	uint64_t noted_ns;     /* when the engine notified last */
	bool user_armed;       /* vmb_arm() since the last notification */
	bool user_full;	       /* ... while no event could be taken */
	int wake_fd;	       /* eventfd: ends the leader's sleep */
	int user_fd;	       /* epoll for vmb_fd(), -1: never asked for */
	int timer_fd;	       /* in user_fd: time-outs */
	uint64_t timer_at;
	uint64_t sleep_until;
	uint64_t sleeps;

	/* active messages: see am.c */
	struct {
		vmb_am_handler_t fn;
		void *context;
	} handlers[VMB_AM_IDS];
	struct vmb_transfer *transfers_free;
	struct vmb_transfer_block *transfer_blocks;

	struct vmb_am am;
} __attribute__((aligned(VMB_LINE)));

extern struct vmb_table vmb_endpoints;

/* Why a handle is no open endpoint: -EINVAL, or -EPERM: our parent's. */
int vmb_endpoint_refuse(void);
/* Look for all waiters, tell those who may return. */
void vmb_endpoint_attend(struct vmb_endpoint *ep);

/*
 * Check a handle and lock its endpoint, to look what has happened and to make
 * progress, and for nothing else. 0, or vmb_endpoint_refuse(). Every call begins
 * so; to be called for it would take as long as it takes.
 */
static inline __attribute__((always_inline)) int
vmb_endpoint_enter_to_look(struct vmb_endpoint *ep)
{
	if (vmb_unlikely(!vmb_table_holds(&vmb_endpoints, ep, sizeof(*ep))))
		return vmb_endpoint_refuse();
	vmb_lock_take(&ep->lock);
	if (vmb_likely(ep->state == VMB_ENDPOINT_OPEN))
		return 0;
	vmb_lock_release(&ep->lock);
	return vmb_endpoint_refuse();
}

/* The same to change something. */
static inline __attribute__((always_inline)) int
vmb_endpoint_enter(struct vmb_endpoint *ep)
{
	int rc = vmb_endpoint_enter_to_look(ep);

	if (vmb_likely(!rc))
		ep->glances = 0;
	return rc;
}

/* Serve who waits, unlock. */
static inline void vmb_endpoint_leave(struct vmb_endpoint *ep)
{
	if (ep->version != ep->attended && !vmb_list_empty(&ep->waiters))
		vmb_endpoint_attend(ep);
	vmb_lock_release(&ep->lock);
}

/* Is the calling thread in a handler of this (locked) endpoint? */
static inline bool vmb_endpoint_in_handler(const struct vmb_endpoint *ep)
{
	return ep->progressing && ep->progress_thread == vmb_thread_self();
}

/* Unlock for a handler of the application, lock after it. arg: endpoint. */
void vmb_endpoint_handler_enter(void *arg);
void vmb_endpoint_handler_leave(void *arg);

/* Does the calling thread run a handler of any endpoint? */
bool vmb_endpoint_any_handler(void);
/* Last vmb_finalize(): close what is open. */
void vmb_endpoint_close_all(void);
/* In a child of fork: mark, later drop what was inherited. */
void vmb_endpoint_mark_forked(void);
void vmb_endpoint_drop_forked(void);

/* ---- addresses (address.c) ---------------------------------------------- */

/* The peer of an address, or NULL: it is none of this endpoint. */
struct vmb_peer *vmb_address_peer(struct vmb_endpoint *ep,
				  struct vmb_addr addr);

/* ---- waiting (wait.c) ---------------------------------------------------- */

/*
 * Has what a thread waits for happened? Called with the endpoint locked, by
 * whatever thread. 1: yes, and the outcome is in arg; 0: not yet; -errno.
 */
typedef int (*vmb_look_fn)(struct vmb_endpoint *ep, void *arg);

/* A thread that waits; on its stack. */
struct vmb_waiter {
	struct vmb_list node;
	vmb_look_fn look;
	void *arg;
	uint64_t deadline; /* vmb_now_ns(); UINT64_MAX: none */
	uint64_t poll_at;  /* look then even if nothing happened */
	uint64_t poll_step;
	uint64_t spin_from; /* 0: not yet */
	unsigned passes;    /* made as leader */
	unsigned idle;	    /* fruitless ones in a row */
	uint32_t signal;    /* futex: see wait.c */
	bool done, woken, expired;
	int result;
};

/*
 * One pass over arrived events unless another thread is at it or it is held.
 * Returns events taken, 0, or am.error.
 */
int vmb_endpoint_pass(struct vmb_endpoint *ep);

/*
 * Look; make progress; wait until look() succeeds. poll: what look() asks
 * does not announce itself, look again from time to time. Returns what look()
 * returned; 0: time passed or vmb_wakeup(); -EBADF: closed; -EDEADLK: would
 * wait inside a handler; -EINVAL: timeout_ms.
 */
int vmb_endpoint_await(struct vmb_endpoint *ep, vmb_look_fn look, void *arg,
		       int timeout_ms, bool poll);

/* A look of a waiter may have another answer. */
static inline void vmb_endpoint_changed(struct vmb_endpoint *ep)
{
	ep->version++;
}

/* Messages were received, so that there may be room for more. */
void vmb_endpoint_emptied(struct vmb_endpoint *ep);
/* Something was posted: the sleeping leader may have to do something. */
void vmb_endpoint_posted(struct vmb_endpoint *ep);
/* No thread makes progress but one of the waiters may: tell it. */
void vmb_endpoint_promote(struct vmb_endpoint *ep);
/* Return when no handler runs in another thread. -EBADF: closed meanwhile. */
int vmb_endpoint_quiesce(struct vmb_endpoint *ep);
/* For a close: turn everybody out and return when all have left. */
void vmb_endpoint_evict(struct vmb_endpoint *ep);
/* An unlocked control call: not closed before the end of it. */
void vmb_endpoint_absent(struct vmb_endpoint *ep);
int vmb_endpoint_present(struct vmb_endpoint *ep);

/* ---- sleeping (sleep.c) --------------------------------------------------- */

int vmb_endpoint_sleep_init(struct vmb_endpoint *ep);
void vmb_endpoint_sleep_fini(struct vmb_endpoint *ep);
/*
 * The leader, or the background thread, sleeps until an event, a poke, or
 * `until`. Unlocks meanwhile. false: not now, there is something to do.
 */
bool vmb_endpoint_sleep(struct vmb_endpoint *ep, uint64_t until);
/* What an event loop armed is not armed any more: tell it to look. */
void vmb_endpoint_disarmed(struct vmb_endpoint *ep);
/* End that sleep. */
void vmb_endpoint_poke(struct vmb_endpoint *ep);

/* ---- the background thread (background.c) -------------------------------- */

/* -ENOMEM: no thread to be had. */
int vmb_background_start(struct vmb_endpoint *ep);
/* Returns when it has ended, if there is one. Unlocks meanwhile. */
void vmb_background_stop(struct vmb_endpoint *ep);
/* Something has changed that it may sleep for. */
void vmb_background_tell(struct vmb_endpoint *ep);

/* ---- memory and active messages (memory.c, am.c) -------------------------- */

extern struct vmb_table vmb_memories;

/* Last vmb_finalize(): deregister what is registered. */
void vmb_memory_fini(void);
void vmb_memory_mark_forked(void);

void vmb_transfer_fini(struct vmb_endpoint *ep);
/* In a pass that found that the endpoint has failed: they end by this code. */
void vmb_transfer_fail(struct vmb_endpoint *ep, int code);

/*
 * Fill in our side of a transfer of what->len bytes; local_offset comes as an
 * offset in mem. -EINVAL: mem is no handle; -ERANGE.
 */
int vmb_memory_translate(const struct vmb_mem *mem, struct vmb_slot_rdma *what);

/* Sum of the segments. -EINVAL: too many, NULL with a length; -EMSGSIZE. */
int vmb_segments_check_all(const struct vmb_segment *segments, unsigned count,
			   uint64_t *len);

static inline int vmb_segments_check(const struct vmb_segment *segments,
				     unsigned count, uint64_t *len)
{
	if (vmb_unlikely(count != 1 || !segments || !segments->ptr ||
			 segments->len > VMB_MESSAGE_MAX))
		return vmb_segments_check_all(segments, count, len);
	*len = segments->len;
	return 0;
}

#endif
