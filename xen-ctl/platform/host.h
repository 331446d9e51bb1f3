/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * host.h - the engine's host in this process: how engine threads sleep, are
 * woken, hear of kicks and notify clients. One, for all platforms at once.
 *
 * Flow:  a descriptor becomes readable -> the epoll set of the engine thread
 *        -> watch->ready() -> vmb_host_kick() -> vmb_nic_kicked()
 *        engine -> signal->notify() -> the client
 * Owns:  one epoll set per engine thread, the list of what was kicked.
 * Trust: what is readable, and how often, is up to clients. It costs a look.
 *
 * A platform embeds a struct vmb_signal in its side of an endpoint, and a
 * struct vmb_watch in whatever it waits for: one per endpoint, or one per
 * guest and thread.
 *
 * Locks, outer first: the thread's lock of watches (held over ready()), the
 * platform's own, the thread's lock of kicks. Nothing blocks under any of them.
 */
#ifndef VMB_PLATFORM_HOST_H
#define VMB_PLATFORM_HOST_H

#include <pthread.h>

#include "base/list.h"
#include "nic/nic.h"
#include "platform/table.h"

/* The daemon's side of one endpoint; the cookie of vmb_nic_endpoint_add(). */
struct vmb_signal {
	/*
	 * Tell the client that an event is there. Called by engine threads;
	 * never blocks, whatever the client does to its end.
	 */
	void (*notify)(struct vmb_signal *signal);
	struct vmb_nic_endpoint *ep; /* NULL: not bound */
	unsigned thread;	     /* that serves it, while bound */
	struct vmb_list kicked;	     /* in vmb_sleeper.kicked, or alone */
};

/* Something that an engine thread waits for while it sleeps. */
struct vmb_watch {
	/*
	 * The descriptor became readable; it may not be any more. Called by
	 * that thread, with its lock of watches held: a watch that is found
	 * cannot go away meanwhile.
	 */
	void (*ready)(struct vmb_watch *watch, unsigned thread);
	int fd;
	uint64_t ticket; /* 0: not watched */
};

/* How one engine thread sleeps. */
struct vmb_sleeper {
	int epoll_fd;
	int wake_fd; /* in the set as ticket 0 */
	pthread_mutex_t lock;
	struct vmb_table watches;
	pthread_mutex_t kicks_lock;
	struct vmb_list kicked; /* of struct vmb_signal */
};

struct vmb_host {
	/* What the engine calls. A platform adds process_read and _write. */
	struct vmb_nic_host ops;
	struct vmb_nic *nic; /* set before its threads start */
	struct vmb_sleeper sleepers[VMB_NIC_THREADS_MAX];
	unsigned threads;
};

#define VMB_HOST_NO_THREAD VMB_NIC_THREADS_MAX /* the caller is none */

/* -EMFILE, -ENOMEM. */
int vmb_host_open(unsigned threads, struct vmb_host **host);
/* After the engine was closed; watches have been removed. NULL is ignored. */
void vmb_host_close(struct vmb_host *host);

/* Control thread. From now on kicks of the signal go to ep. */
void vmb_host_bind(struct vmb_signal *signal, struct vmb_nic_endpoint *ep);
/* Control thread. After return no kick refers to the endpoint any more. */
void vmb_host_unbind(struct vmb_host *host, struct vmb_signal *signal);
/*
 * The client kicked. Any thread; self: the engine thread that calls, inside
 * ready(), or VMB_HOST_NO_THREAD. The caller sees to it that the signal is
 * bound and stays so meanwhile.
 */
void vmb_host_kick(struct vmb_host *host, struct vmb_signal *signal,
		   unsigned self);

/*
 * Control thread. Wake that engine thread, when it sleeps, each time the
 * descriptor becomes readable (edges). -ENOMEM, -ENOSPC.
 */
int vmb_host_watch(struct vmb_host *host, unsigned thread,
		   struct vmb_watch *watch, int fd);
/* After return ready() is not called any more. One not watched is ignored. */
void vmb_host_unwatch(struct vmb_host *host, unsigned thread,
		      struct vmb_watch *watch);

#endif
