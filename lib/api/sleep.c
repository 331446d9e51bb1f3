// SPDX-License-Identifier: BSD-2-Clause
/*
 * sleep.c - an endpoint's sleep: of its leading thread, and of an event loop
 * of the application that watches vmb_fd().
 *
 * Flow:  wait.c -> arm -> futex or ppoll(notification, poke) -> look again
 * Owns:  the eventfd that ends a sleep; the epoll instance behind vmb_fd().
 * Trust: the kernel.
 *
 * A thread sleeps on a word of the endpoint's area while the engine notified a
 * moment ago, because that wakes it sooner. Else it sleeps on descriptors, of
 * which one tells of the daemon's end (docs/signalling.md).
 *
 * Both sleepers on the descriptor are woken by one notification of the engine,
 * and a thread that wakes up swallows it. When the application is armed as
 * well, vmb_fd() is made readable by its timer instead, which also reports the
 * time-outs.
 */
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "api/api.h"
#include "base/futex.h"

#define WORD_NS 10000000u /* after a notification */

int vmb_endpoint_sleep_init(struct vmb_endpoint *ep)
{
	ep->user_fd = -1;
	ep->timer_fd = -1;
	ep->timer_at = UINT64_MAX;
	ep->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return ep->wake_fd < 0 ? -errno : 0;
}

void vmb_endpoint_sleep_fini(struct vmb_endpoint *ep)
{
	close(ep->wake_fd);
	if (ep->user_fd >= 0) {
		close(ep->user_fd);
		close(ep->timer_fd);
	}
}

void vmb_endpoint_poke(struct vmb_endpoint *ep)
{
	if (ep->poked || !ep->sleeping)
		return;
	vmb_publish(&ep->poked, 1u);
	if (ep->how == VMB_AM_SLEEP_WORD)
		vmb_futex_wake(&ep->poked, 1);
	else
		eventfd_write(ep->wake_fd, 1);
}

/* Was there one? */
static bool end_poke(struct vmb_endpoint *ep)
{
	bool poked = ep->poked != 0;
	eventfd_t count;

	if (poked && ep->how == VMB_AM_SLEEP_FD)
		eventfd_read(ep->wake_fd, &count);
	vmb_store_relaxed(&ep->poked, 0u);
	return poked;
}

/* UINT64_MAX: never; a time that has passed: at once. */
static void set_timer(struct vmb_endpoint *ep, uint64_t at)
{
	struct itimerspec spec = {{0}, {0}};

	if (ep->timer_fd < 0 || ep->timer_at == at)
		return;
	if (at != UINT64_MAX)
		spec.it_value = vmb_timespec(at ? at : 1);
	timerfd_settime(ep->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
	ep->timer_at = at;
}

/* Take the notification, if there is one. 1: it was there. */
static int swallow(struct vmb_endpoint *ep)
{
	int rc = ep->am.port->ops->wait(&ep->am.pep, 0);

	if (rc == -EPIPE)
		vmb_am_fail(&ep->am, rc);
	return rc == 0;
}

/* Returns whether there is a notification. */
static bool watch_fds(const struct vmb_endpoint *ep, uint64_t until)
{
	struct pollfd fds[2] = {
		{.fd = ep->am.pep.wait_fd, .events = POLLIN},
		{.fd = ep->wake_fd, .events = POLLIN},
	};
	uint64_t now = vmb_now_ns();
	struct timespec left = vmb_timespec(until > now ? until - now : 0);

	/* an early return, by a signal too, is a useless look */
	return ppoll(fds, 2, until == UINT64_MAX ? NULL : &left, NULL) > 0 &&
	       fds[0].revents;
}

/* Unlocked. Returns whether the engine has notified; late ones count, too. */
static bool watch_word(struct vmb_endpoint *ep, uint32_t before, uint64_t until)
{
	const struct vmb_futex_watched told = {vmb_am_word(&ep->am), before};
	const struct vmb_futex_watched poked = {&ep->poked, 0};

	vmb_futex_wait_either(&told, &poked, until);
	return vmb_observe(told.word) != before;
}

/* The background thread has the sleep: it shall leave it to who comes. */
static void take_over(struct vmb_endpoint *ep)
{
	vmb_endpoint_poke(ep);
	vmb_lock_release(&ep->lock);
	sched_yield();
	vmb_lock_take(&ep->lock);
}

void vmb_endpoint_disarmed(struct vmb_endpoint *ep)
{
	if (!ep->user_armed)
		return;
	ep->user_armed = ep->user_full = false;
	set_timer(ep, 0);
}

void vmb_endpoint_emptied(struct vmb_endpoint *ep)
{
	if (vmb_unlikely(ep->user_full) && !vmb_msg_is_full(ep->msg))
		vmb_endpoint_disarmed(ep);
}

/* Until when is the next sleep on the word? 0: it is on the descriptors. */
static uint64_t word_until(const struct vmb_endpoint *ep)
{
	uint64_t until = ep->noted_ns + WORD_NS;
	bool may = !ep->user_armed && vmb_am_word(&ep->am);

	return may && vmb_now_ns() < until ? until : 0;
}

/* Lock released meanwhile. Has the engine notified? */
static bool sleep_unlocked(struct vmb_endpoint *ep, uint32_t before)
{
	uint64_t until = ep->sleep_until;
	bool noted;

	vmb_lock_release(&ep->lock);
	noted = ep->how == VMB_AM_SLEEP_WORD ? watch_word(ep, before, until)
					     : watch_fds(ep, until);
	vmb_lock_take(&ep->lock);
	return noted;
}

/* 1: somebody ended it; 0: the time did; < 0: work, or an error that a pass
 * reports. */
static int sleep_as(struct vmb_endpoint *ep, enum vmb_am_sleep how,
		    uint64_t until)
{
	uint32_t before = 0;
	bool noted, poked;

	ep->how = how;
	if (how == VMB_AM_SLEEP_WORD)
		before = vmb_observe(vmb_am_word(&ep->am));
	if (vmb_am_arm(&ep->am, how)) {
		vmb_endpoint_disarmed(ep);
		return -EAGAIN;
	}
	ep->sleep_until = vmb_min(until, vmb_msg_deadline(ep->msg));
	ep->sleeping = true;
	ep->sleeps++;
	noted = sleep_unlocked(ep, before);
	ep->sleeping = false;
	poked = end_poke(ep);
	if (noted) {
		ep->noted_ns = vmb_now_ns();
		if (how == VMB_AM_SLEEP_FD && swallow(ep))
			vmb_endpoint_disarmed(ep);
	}
	if (!ep->user_armed)
		vmb_am_disarm(&ep->am);
	return noted || poked;
}

bool vmb_endpoint_sleep(struct vmb_endpoint *ep, uint64_t until)
{
	uint64_t word = word_until(ep);
	int rc = 0;

	if (vmb_unlikely(ep->sleeping)) {
		take_over(ep);
		return false;
	}
	ep->glances = 0;
	if (word)
		rc = sleep_as(ep, VMB_AM_SLEEP_WORD, vmb_min(word, until));
	if (!rc && (!word || word < until))
		rc = sleep_as(ep, VMB_AM_SLEEP_FD, until);
	return rc >= 0;
}

/* ---- for an event loop ------------------------------------------------------- */

static int watch_fd(int epoll_fd, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_user_fd(struct vmb_endpoint *ep)
{
	int fd, timer, rc;

	fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd < 0)
		return -errno;
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	rc = timer < 0 ? -errno : 0;
	if (rc)
		goto err_close_epoll;
	rc = watch_fd(fd, ep->am.pep.wait_fd);
	if (!rc)
		rc = watch_fd(fd, timer);
	if (rc)
		goto err_close_timer;
	ep->user_fd = fd;
	ep->timer_fd = timer;
	return 0;
err_close_timer:
	close(timer);
err_close_epoll:
	close(fd);
	return rc;
}

int vmb_fd(struct vmb_endpoint *ep, int *fd)
{
	int rc;

	if (!fd)
		return -EINVAL;
	rc = vmb_endpoint_enter(ep);
	if (rc)
		return rc;
	if (ep->user_fd < 0)
		rc = open_user_fd(ep);
	if (!rc)
		*fd = ep->user_fd;
	vmb_endpoint_leave(ep);
	return rc;
}

static int arm(struct vmb_endpoint *ep)
{
	uint64_t due = vmb_msg_deadline(ep->msg);
	int rc;

	ep->user_armed = false;
	if (swallow(ep) && ep->sleeping)
		vmb_endpoint_poke(ep); /* it was the leader's too */
	set_timer(ep, due);
	if (ep->sleeping && ep->how == VMB_AM_SLEEP_WORD)
		vmb_endpoint_poke(ep); /* it is the descriptor's turn */
	rc = vmb_am_arm(&ep->am, VMB_AM_SLEEP_FD);
	/* what has arrived has to wait until the application receives some */
	ep->user_full = rc == -EAGAIN && vmb_msg_is_full(ep->msg) &&
			vmb_am_only_takes(&ep->am);
	if (ep->user_full)
		rc = 0;
	if (!rc && due != UINT64_MAX && due <= vmb_now_ns())
		rc = -EAGAIN;
	if (rc && ep->sleeping)
		vmb_endpoint_poke(ep); /* it is not armed any more */
	ep->user_armed = !rc;
	return rc;
}

int vmb_arm(struct vmb_endpoint *ep)
{
	int rc = vmb_endpoint_enter(ep);

	if (rc)
		return rc;
	rc = arm(ep);
	vmb_endpoint_leave(ep);
	return rc;
}
