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
 * looks from time to time whether the application has asked for a pass since
 * (visits), and touches nothing if so. Where processes share processors each
 * look takes one from somebody: there it looks the more rarely, the longer it
 * goes on like that. Otherwise:
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

#define LOOK_NS 2000000	     /* between looks, at first */
#define LOOK_MAX_NS 16000000 /* and at most */

/* Sleep until told. Unlocks meanwhile. */
static void park(struct vmb_endpoint *ep)
{
	struct vmb_background *b = &ep->background;
	uint32_t signal = b->signal; /* changed under the lock only */

	b->parked = true;
	vmb_endpoint_leave(ep);
	vmb_futex_wait(&b->signal, signal, UINT64_MAX);
	vmb_lock_take(&ep->lock);
	b->parked = false;
}

/* false: it cannot sleep now, and there was nothing to do. */
static bool stand_in(struct vmb_endpoint *ep)
{
	struct vmb_background *b = &ep->background;
	bool slept;
	int n = vmb_endpoint_pass(ep);

	b->visits = ep->visits; /* that one was ours */
	if (n || b->stop)
		return true;
	b->sleeping = true;
	/* the application computes: that says nothing of how messages find it */
	vmb_am_weigh_lanes(&ep->am, false);
	slept = vmb_endpoint_sleep(ep, UINT64_MAX);
	vmb_am_weigh_lanes(&ep->am, true);
	b->sleeping = false;
	if (ep->am.error) /* found by the sleep: end the requests */
		vmb_endpoint_pass(ep);
	return slept;
}

/* The application was away for a while. false: look again later. */
static bool serve(struct vmb_endpoint *ep)
{
	if (ep->visits != ep->background.visits || ep->progressing)
		return false; /* it is back, or in a handler that takes long */
	if (!ep->sleeping && !ep->held && !ep->am.error)
		return stand_in(ep);
	if (ep->am.error) /* found by a post: end what is under way */
		vmb_endpoint_pass(ep);
	park(ep);
	return true;
}

/* The look takes no lock: threads of the application would feel that. */
static void *run(void *arg)
{
	struct vmb_endpoint *ep = arg;
	struct vmb_background *b = &ep->background;
	uint64_t pause_ns = LOOK_NS;

	for (;;) {
		uint32_t signal = vmb_observe(&b->signal); /* then stop */
		uint64_t visits = vmb_load_relaxed(&ep->visits);
		bool away = visits == b->visits, served = false;

		if (vmb_load_relaxed(&b->stop))
			return NULL;
		b->visits = visits;
		if (away) {
			vmb_lock_take(&ep->lock);
			served = serve(ep);
			vmb_endpoint_leave(ep);
		}
		pause_ns = away || !ep->yields ? LOOK_NS
					       : vmb_min(2 * pause_ns,
							 (uint64_t)LOOK_MAX_NS);
		if (!served)
			vmb_futex_wait(&b->signal, signal,
				       vmb_now_ns() + pause_ns);
	}
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

	vmb_publish(&b->signal, b->signal + 1); /* pairs with run() */
	if (b->parked || b->stop)
		vmb_futex_wake(&b->signal, 1);
}

void vmb_background_stop(struct vmb_endpoint *ep)
{
	struct vmb_background *b = &ep->background;

	if (!b->running)
		return;
	vmb_store_relaxed(&b->stop, true);
	vmb_background_tell(ep);
	if (b->sleeping)
		vmb_endpoint_poke(ep);
	vmb_lock_release(&ep->lock);
	pthread_join(b->thread, NULL);
	vmb_lock_take(&ep->lock);
	b->running = false;
}
