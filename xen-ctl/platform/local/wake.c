// SPDX-License-Identifier: BSD-2-Clause
/*
 * wake.c - kicks and notifications of the local platform.
 *
 * Flow:  client -> eventfd -> epoll set of the engine thread -> vmb_nic_kicked
 *        engine -> notify() -> socket pair -> client
 * Owns:  one epoll set per engine thread; an eventfd and a socket pair per
 *        endpoint.
 * Trust: the client shares the eventfd with us, so it is never read or
 *        written here: edges are counted by the kernel. Notifications go
 *        through a socket whose flags the client cannot change
 *        (docs/decisions/0002-notify-by-socket.md).
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "platform/local/local.h"

#define EVENTS_PER_LOOK 64
#define TICKET_WAKE 0u /* no signal has it */

struct vmb_signal {
	struct vmb_platform *p;
	int kick_fd;   /* given to the client, kept for the epoll set */
	int notify_fd; /* ours */
	int client_fd; /* other end; -1 once it was given */
	struct vmb_nic_endpoint *ep;
	unsigned thread;
	uint64_t ticket; /* 0: not bound */
};

/* ---- called by engine threads ------------------------------------------- */

/*
 * The lock is held over vmb_nic_kicked(): an endpoint that is found cannot be
 * removed meanwhile, because unbind() comes first and waits here.
 */
static void serve_kicks(struct vmb_platform *p, struct vmb_sleeper *s,
			const struct epoll_event *events, int count)
{
	struct vmb_signal *signal;

	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < count; i++) {
		if (events[i].data.u64 == TICKET_WAKE)
			continue;
		signal = vmb_table_find(&s->kicks, events[i].data.u64);
		if (signal)
			vmb_nic_kicked(p->nic, signal->ep);
	}
	pthread_mutex_unlock(&s->lock);
}

static void host_sleep(void *arg, unsigned thread)
{
	struct vmb_platform *p = arg;
	struct vmb_sleeper *s = &p->sleepers[thread];
	struct epoll_event events[EVENTS_PER_LOOK];
	int n;

	n = epoll_wait(s->epoll_fd, events, EVENTS_PER_LOOK, -1);
	if (n > 0)
		serve_kicks(p, s, events, n);
}

/* Never read: in an edge-triggered set each write is news. */
static void host_wake(void *arg, unsigned thread)
{
	static const uint64_t one = 1;
	struct vmb_platform *p = arg;

	if (write(p->sleepers[thread].wake_fd, &one, sizeof(one)) < 0)
		vmb_error("cannot wake engine thread %u: %m", thread);
}

/*
 * A full socket buffer means that the client has notifications to read, and a
 * closed one that it does not want any: both are as good as sent.
 */
static void host_notify(void *cookie)
{
	struct vmb_signal *signal = cookie;
	static const char byte = 1;

	send(signal->notify_fd, &byte, sizeof(byte),
	     MSG_DONTWAIT | MSG_NOSIGNAL);
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

void vmb_wake_host(struct vmb_nic_host *host)
{
	host->notify = host_notify;
	host->sleep = host_sleep;
	host->wake = host_wake;
	host->barrier = has_membarrier() ? host_barrier : NULL;
}

/* ---- the sets of the engine threads ------------------------------------- */

static int sleeper_open(struct vmb_sleeper *s)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET,
				    .data.u64 = TICKET_WAKE};
	int err;

	s->kicks = (struct vmb_table){0};
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
	return 0;

err_close_wake:
	close(s->wake_fd);
err_close_epoll:
	close(s->epoll_fd);
	return err;
}

int vmb_sleepers_open(struct vmb_platform *p, unsigned count)
{
	int err;

	for (p->sleeper_count = 0; p->sleeper_count < count;
	     p->sleeper_count++) {
		err = sleeper_open(&p->sleepers[p->sleeper_count]);
		if (err) {
			vmb_sleepers_close(p);
			return err;
		}
	}
	return 0;
}

void vmb_sleepers_close(struct vmb_platform *p)
{
	struct vmb_sleeper *s;

	while (p->sleeper_count) {
		s = &p->sleepers[--p->sleeper_count];
		close(s->epoll_fd);
		close(s->wake_fd);
		vmb_table_fini(&s->kicks);
		pthread_mutex_destroy(&s->lock);
	}
}

/* ---- signals ------------------------------------------------------------ */

/*
 * The socket holds a few notifications at most, and nothing that the client
 * sends the wrong way.
 */
static int open_pair(struct vmb_signal *signal)
{
	int smallest = 1, fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	signal->notify_fd = fds[0];
	signal->client_fd = fds[1];
	if (setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &smallest,
		       sizeof(smallest)) ||
	    shutdown(fds[0], SHUT_RD)) {
		close(fds[0]);
		close(fds[1]);
		return -errno;
	}
	return 0;
}

int vmb_signal_open(struct vmb_transport *t, struct vmb_signal **result)
{
	struct vmb_signal *signal = calloc(1, sizeof(*signal));
	int err;

	if (!signal)
		return -ENOMEM;
	signal->p = t->p;
	signal->kick_fd = eventfd(0, EFD_CLOEXEC);
	if (signal->kick_fd < 0) {
		err = -errno;
		goto err_free;
	}
	err = open_pair(signal);
	if (err)
		goto err_close_kick;
	*result = signal;
	return 0;

err_close_kick:
	close(signal->kick_fd);
err_free:
	free(signal);
	return err;
}

int vmb_signal_bind(struct vmb_signal *signal, struct vmb_nic_endpoint *ep)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	struct vmb_sleeper *s;
	int err;

	signal->ep = ep;
	signal->thread = vmb_nic_endpoint_thread(ep);
	s = &signal->p->sleepers[signal->thread];
	pthread_mutex_lock(&s->lock);
	err = vmb_table_add(&s->kicks, signal, &signal->ticket);
	pthread_mutex_unlock(&s->lock);
	if (err)
		return err;
	event.data.u64 = signal->ticket;
	if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, signal->kick_fd, &event)) {
		err = -errno;
		vmb_signal_unbind(signal);
	}
	return err;
}

void vmb_signal_unbind(struct vmb_signal *signal)
{
	struct vmb_sleeper *s = &signal->p->sleepers[signal->thread];

	if (!signal->ticket)
		return;
	epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, signal->kick_fd, NULL);
	pthread_mutex_lock(&s->lock);
	vmb_table_remove(&s->kicks, signal->ticket);
	pthread_mutex_unlock(&s->lock);
	signal->ticket = 0;
}

void vmb_signal_client_fds(const struct vmb_signal *signal, int fds[2])
{
	fds[0] = signal->kick_fd;
	fds[1] = signal->client_fd;
}

void vmb_signal_given(struct vmb_signal *signal)
{
	close(signal->client_fd);
	signal->client_fd = -1;
}

void vmb_signal_close(struct vmb_signal *signal)
{
	vmb_signal_unbind(signal);
	if (signal->client_fd >= 0)
		close(signal->client_fd);
	close(signal->notify_fd);
	close(signal->kick_fd);
	free(signal);
}
