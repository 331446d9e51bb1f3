// SPDX-License-Identifier: BSD-2-Clause
/*
 * host.c - see host.h.
 *
 * Flow:  epoll_wait -> ready() of what became readable -> list of kicked
 *        signals -> vmb_nic_kicked() for each
 * Owns:  the epoll sets. A set holds tickets, never pointers, so that an event
 *        of something that was removed meanwhile finds nothing.
 * Trust: see host.h.
 *
 * A kick may be seen by another thread than the one that serves the endpoint
 * (one descriptor may speak for many endpoints, and any thread may take what
 * it says). So a kick is first put on the list of its own thread, which alone
 * may call vmb_nic_kicked(). The wake descriptor is private and is never read:
 * its edge stays in the set until the thread sleeps next, so a kick that is
 * listed while its thread is awake is found then at the latest.
 */
#include "host.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/futex.h"
#include "base/log.h"

#define EVENTS_PER_LOOK 64
#define TICKET_WAKE 0u /* no watch has it */

/* ---- called by engine threads ------------------------------------------- */

static void look_at(struct vmb_sleeper *s, unsigned thread,
		    const struct epoll_event *events, int count)
{
	struct vmb_watch *watch;

	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < count; i++) {
		if (events[i].data.u64 == TICKET_WAKE)
			continue;
		watch = vmb_table_find(&s->watches, events[i].data.u64);
		if (watch)
			watch->ready(watch, thread);
	}
	pthread_mutex_unlock(&s->lock);
}

/*
 * The lock is held over vmb_nic_kicked(): an endpoint that is found cannot be
 * removed meanwhile, because unbind() comes first and waits here.
 */
static void serve_kicks(struct vmb_host *h, struct vmb_sleeper *s)
{
	struct vmb_signal *signal;

	pthread_mutex_lock(&s->kicks_lock);
	while (!vmb_list_empty(&s->kicked)) {
		signal = vmb_list_first(&s->kicked, struct vmb_signal, kicked);
		vmb_list_remove(&signal->kicked);
		vmb_nic_kicked(h->nic, signal->ep);
	}
	pthread_mutex_unlock(&s->kicks_lock);
}

static void host_sleep(void *arg, unsigned thread)
{
	struct vmb_host *h = arg;
	struct vmb_sleeper *s = &h->sleepers[thread];
	struct epoll_event events[EVENTS_PER_LOOK];
	int n;

	n = epoll_wait(s->epoll_fd, events, EVENTS_PER_LOOK, -1);
	if (n > 0)
		look_at(s, thread, events, n);
	serve_kicks(h, s);
}

/* Never read: in an edge-triggered set each write is news. */
static void host_wake(void *arg, unsigned thread)
{
	static const uint64_t one = 1;
	struct vmb_host *h = arg;

	if (write(h->sleepers[thread].wake_fd, &one, sizeof(one)) < 0)
		vmb_error("cannot wake engine thread %u: %m", thread);
}

static void host_notify(void *cookie)
{
	struct vmb_signal *signal = cookie;

	signal->notify(signal);
}

/* Reaches the processors that run processes registered for it. */
static void host_barrier(void *arg)
{
	(void)arg;
	if (syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0))
		vmb_error("membarrier: %m");
}

static bool has_membarrier(void)
{
	long commands = syscall(__NR_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	return commands > 0 && (commands & MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}

/* ---- signals ------------------------------------------------------------ */

void vmb_host_bind(struct vmb_signal *signal, struct vmb_nic_endpoint *ep)
{
	vmb_list_init(&signal->kicked);
	signal->thread = vmb_nic_endpoint_thread(ep);
	signal->ep = ep;
}

void vmb_host_unbind(struct vmb_host *h, struct vmb_signal *signal)
{
	struct vmb_sleeper *s = &h->sleepers[signal->thread];

	if (!signal->ep)
		return;
	pthread_mutex_lock(&s->kicks_lock);
	vmb_list_remove(&signal->kicked);
	pthread_mutex_unlock(&s->kicks_lock);
	signal->ep = NULL;
}

void vmb_host_kick(struct vmb_host *h, struct vmb_signal *signal, unsigned self)
{
	struct vmb_sleeper *s = &h->sleepers[signal->thread];

	pthread_mutex_lock(&s->kicks_lock);
	if (vmb_list_empty(&signal->kicked))
		vmb_list_append(&s->kicked, &signal->kicked);
	pthread_mutex_unlock(&s->kicks_lock);
	if (signal->thread != self) /* else host_sleep() serves it next */
		host_wake(h, signal->thread);
}

/* ---- watches ------------------------------------------------------------ */

int vmb_host_watch(struct vmb_host *h, unsigned thread, struct vmb_watch *watch,
		   int fd)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	struct vmb_sleeper *s = &h->sleepers[thread];
	int err;

	pthread_mutex_lock(&s->lock);
	err = vmb_table_add(&s->watches, watch, &watch->ticket);
	pthread_mutex_unlock(&s->lock);
	if (err)
		return err;
	watch->fd = fd;
	event.data.u64 = watch->ticket;
	if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
		err = -errno;
		vmb_host_unwatch(h, thread, watch);
	}
	return err;
}

void vmb_host_unwatch(struct vmb_host *h, unsigned thread,
		      struct vmb_watch *watch)
{
	struct vmb_sleeper *s = &h->sleepers[thread];

	if (!watch->ticket)
		return;
	epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	pthread_mutex_lock(&s->lock);
	vmb_table_remove(&s->watches, watch->ticket);
	pthread_mutex_unlock(&s->lock);
	watch->ticket = 0;
}

/* ---- the sets of the engine threads ------------------------------------- */

static int sleeper_open(struct vmb_sleeper *s)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET,
				    .data.u64 = TICKET_WAKE};
	int err;

	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll_fd < 0)
		return -errno;
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake_fd < 0) {
		err = -errno;
		goto err_close_epoll;
	}
	if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->wake_fd, &event)) {
		err = -errno;
		goto err_close_wake;
	}
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->kicks_lock, NULL);
	vmb_list_init(&s->kicked);
	return 0;

err_close_wake:
	close(s->wake_fd);
err_close_epoll:
	close(s->epoll_fd);
	return err;
}

int vmb_host_open(unsigned threads, struct vmb_host **result)
{
	struct vmb_host *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return -ENOMEM;
	h->ops.arg = h;
	h->ops.notify = host_notify;
	h->ops.notify_word = vmb_futex_wake_shared;
	h->ops.sleep = host_sleep;
	h->ops.wake = host_wake;
	h->ops.barrier = has_membarrier() ? host_barrier : NULL;
	for (; h->threads < threads; h->threads++) {
		err = sleeper_open(&h->sleepers[h->threads]);
		if (err) {
			vmb_host_close(h);
			return err;
		}
	}
	*result = h;
	return 0;
}

void vmb_host_close(struct vmb_host *h)
{
	struct vmb_sleeper *s;

	if (!h)
		return;
	while (h->threads) {
		s = &h->sleepers[--h->threads];
		close(s->epoll_fd);
		close(s->wake_fd);
		vmb_table_fini(&s->watches);
		pthread_mutex_destroy(&s->lock);
		pthread_mutex_destroy(&s->kicks_lock);
	}
	free(h);
}
