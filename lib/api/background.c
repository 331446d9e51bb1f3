// SPDX-License-Identifier: BSD-2-Clause
/*
 * background.c - a thread that makes progress in an endpoint while no thread
 * of the application does.
 *
 * Flow:  vmb_open() with VMB_OPEN_BACKGROUND -> [here] -> pass, sleep
 * Owns:  its thread, for as long as the endpoint is open.
 * Trust: threads of our own process.
 *
 * It must not cost anything where the application makes progress by itself:
 * an armed endpoint would make the engine notify it of every event. So it
 * looks every LOOK_NS whether the application has asked for a pass since
 * (visits), and touches nothing if so. Otherwise:
 *   - the application sleeps in a waiting call, or holds progress: whatever
 *     happens is the business of that call. Park, without a limit, until the
 *     call has ended (vmb_background_tell()).
 *   - it is away: stand in for it. Make passes, and sleep between them as a
 *     leading waiter would. A waiter that wants to sleep itself pokes us out
 *     (take_over() in sleep.c), so there is one sleeper at a time.
 * It never is the leader: nobody waits for it.
 */
#include <signal.h>

#include "api/api.h"

#define LOOK_NS 2000000

/* Sleep until told or `until`. Unlocks meanwhile. */
static void rest(struct vmb_endpoint *ep, uint64_t until)
{
	struct vmb_background *b = &ep->background;
	uint32_t signal = b->signal; /* changed under the lock only */

	b->parked = until == UINT64_MAX;
	vmb_endpoint_leave(ep);
	vmb_futex_wait(&b->signal, signal, until);
	vmb_lock_take(&ep->lock);
	b->parked = false;
}

static void stand_in(struct vmb_endpoint *ep)
{
	struct vmb_background *b = &ep->background;
	bool slept;
	int n = vmb_endpoint_pass(ep);

	b->visits = ep->visits; /* that one was ours */
	if (ep->version != ep->attended)
		vmb_endpoint_attend(ep);
	if (n || b->stop)
		return;
	b->sleeping = true;
	slept = vmb_endpoint_sleep(ep, UINT64_MAX);
	b->sleeping = false;
	if (!slept && !b->stop) /* somebody is at it, or there is no room */
		rest(ep, vmb_now_ns() + LOOK_NS);
}

static void *run(void *arg)
{
	struct vmb_endpoint *ep = arg;
	struct vmb_background *b = &ep->background;

	vmb_lock_take(&ep->lock);
	while (!b->stop) {
		if (ep->visits != b->visits) {
			b->visits = ep->visits;
			rest(ep, vmb_now_ns() + LOOK_NS);
		} else if (ep->sleeping || ep->held || ep->am.error) {
			rest(ep, UINT64_MAX);
		} else if (ep->progressing) { /* a handler that takes long */
			rest(ep, vmb_now_ns() + LOOK_NS);
		} else {
			stand_in(ep);
		}
	}
	vmb_lock_release(&ep->lock);
	return NULL;
}

int vmb_background_start(struct vmb_endpoint *ep)
{
	struct vmb_background *b = &ep->background;
	sigset_t all, before;
	int rc;

	/* signals are for threads of the application */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&b->thread, NULL, run, ep);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	b->running = !rc;
	return rc ? -ENOMEM : 0;
}

void vmb_background_tell(struct vmb_endpoint *ep)
{
	struct vmb_background *b = &ep->background;

	__atomic_store_n(&b->signal, b->signal + 1, __ATOMIC_RELEASE);
	if (b->parked || b->stop)
		vmb_futex_wake(&b->signal, 1);
}

void vmb_background_stop(struct vmb_endpoint *ep)
{
	struct vmb_background *b = &ep->background;

	if (!b->running)
		return;
	b->stop = true;
	vmb_background_tell(ep);
	if (b->sleeping)
		vmb_endpoint_poke(ep);
	vmb_lock_release(&ep->lock);
	pthread_join(b->thread, NULL);
	vmb_lock_take(&ep->lock);
	b->running = false;
}
