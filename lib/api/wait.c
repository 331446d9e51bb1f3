// SPDX-License-Identifier: BSD-2-Clause
/*
 * wait.c - threads that wait in one endpoint: one of them makes progress for
 * all, the others sleep until somebody tells them.
 *
 * Flow:  vmb_wait() and its like -> vmb_endpoint_await() -> pass, look, sleep
 * Owns:  the list of waiters and who of them leads.
 * Trust: threads of our own process.
 *
 * A waiter brings a look: a function that says, under the lock, whether it may
 * return, and takes the outcome. Whoever changes something looks for all
 * waiters, in order, and tells just those whose look succeeded; so an outcome
 * is taken once and no crowd is woken. The leader makes progress: it spins
 * with the lock held while nobody else wants it, then sleeps in sleep.c. Who
 * leaves the lead tells the first of the others, which takes it over. All
 * state is changed under the lock and a waiter is told under the lock, so
 * nothing can be missed between a look and the sleep after it.
 */
#include "api/api.h"

/* vmb_waiter.signal */
#define SIGNAL_AWAKE 0u /* will look at the word before it sleeps */
#define SIGNAL_ASLEEP 1u
#define SIGNAL_TOLD 2u

#define GLANCES 17u	   /* looks, all but the last of which are no passes */
#define STAND_BY 64u	   /* looks: a microsecond, or a few */
#define ANSWER_NS 15000u   /* as long as changes of processes take */
#define LOOKS_PER_CLOCK 8u /* of which each takes longer than the clock */
#define PROGRESS_PAUSES 2  /* more: who calls it has others to look after */
#define PASSES_BEFORE_PAUSE 256 /* tens of microseconds */
#define LOOKS_PER_PASS 32
#define PASSES_PER_CLOCK 64 /* a look at the clock costs about one pass */
#define FOLLOWER_SPINS 100  /* before a thread that does not lead sleeps */
#define SPIN_STEP_NS 500
#define TRIAL_SPINS 10 /* VMB_SPIN_US, while a lane is new */
#define POLL_FIRST_NS 20000
#define POLL_MAX_NS 5000000

/* ---- telling ---------------------------------------------------------------- */

static void tell(struct vmb_endpoint *ep, struct vmb_waiter *w)
{
	if (w == ep->leader) {
		if (ep->sleeping)
			vmb_endpoint_poke(ep);
		return;
	}
	if (__atomic_exchange_n(&w->signal, SIGNAL_TOLD, __ATOMIC_ACQ_REL) ==
	    SIGNAL_ASLEEP)
		vmb_futex_wake(&w->signal, 1);
}

static void tell_all(struct vmb_endpoint *ep, struct vmb_list *list)
{
	struct vmb_list *pos;

	vmb_list_each (pos, list)
		tell(ep, vmb_container_of(pos, struct vmb_waiter, node));
}

/* Its look is asked, and it is told when it may go. */
static void ask(struct vmb_endpoint *ep, struct vmb_waiter *w)
{
	w->result = w->look(ep, w->arg);
	w->done = w->result != 0;
	if (w->done)
		tell(ep, w);
}

void vmb_endpoint_attend(struct vmb_endpoint *ep)
{
	struct vmb_waiter *w;
	struct vmb_list *pos;

	ep->attended = ep->version;
	vmb_list_each (pos, &ep->waiters) {
		w = vmb_container_of(pos, struct vmb_waiter, node);
		if (!w->done)
			ask(ep, w);
	}
}

void vmb_endpoint_promote(struct vmb_endpoint *ep)
{
	if (ep->leader || ep->held || ep->progressing ||
	    vmb_list_empty(&ep->waiters))
		return;
	tell(ep, vmb_list_first(&ep->waiters, struct vmb_waiter, node));
}

void vmb_endpoint_posted(struct vmb_endpoint *ep)
{
	if (vmb_likely(!ep->sleeping) || ep->poked)
		return;
	if (vmb_msg_deadline(ep->msg) < ep->sleep_until) {
		vmb_endpoint_poke(ep);
	} else if (vmb_am_arm(&ep->am, ep->how)) {
		vmb_endpoint_disarmed(ep);
		vmb_endpoint_poke(ep);
	}
}

/* ---- progress --------------------------------------------------------------- */

/*
 * Did it find nothing, and leave nothing that waits for another one? Then the
 * next few only look whether an event is there, which takes a quarter of the
 * time, and nobody else's turn.
 */
static bool is_at_rest(const struct vmb_endpoint *ep)
{
	return vmb_list_empty(&ep->pausers) && vmb_list_empty(&ep->waiters) &&
	       vmb_msg_at_rest(ep->msg);
}

/*
 * Between two looks at a line that another processor is about to write. Each
 * look takes the line from there, and the store has to take it back: looked at
 * without a pause it comes later than with one (decision 0025).
 */
static inline void pause_between_looks(void)
{
	vmb_relax();
}

/* rested: nothing was to be done before an event that has been seen. */
static int take(struct vmb_endpoint *ep, bool rested)
{
	int rc;

	ep->glances = 0;
	if (vmb_unlikely(ep->progressing || ep->held)) {
		/* in a handler no event is taken; answers of connects are */
		if (vmb_endpoint_in_handler(ep) && vmb_msg_progress(ep->msg))
			vmb_endpoint_changed(ep);
		return 0;
	}
	ep->progressing = true;
	ep->progress_thread = vmb_thread_self();
	rc = rested ? vmb_msg_take_answer(ep->msg) : vmb_msg_progress(ep->msg);
	if (vmb_unlikely(rc < 0))
		vmb_transfer_fail(ep, rc);
	ep->progressing = false;
	if (rc)
		vmb_endpoint_changed(ep);
	if (vmb_unlikely(!vmb_list_empty(&ep->pausers)))
		tell_all(ep, &ep->pausers);
	vmb_endpoint_promote(ep);
	if (!rc && is_at_rest(ep))
		ep->glances = GLANCES;
	return rc;
}

int vmb_endpoint_pass(struct vmb_endpoint *ep)
{
	bool rested = ep->glances != 0;

	vmb_store_relaxed(&ep->visits, ep->visits + 1);
	if (rested && !vmb_am_due_anywhere(&ep->am)) {
		if (vmb_likely(--ep->glances)) {
			pause_between_looks();
			return 0;
		}
		/* here, so that a glance costs nothing more */
		vmb_idle_glances(&ep->am.idle, GLANCES - 1);
		rested = false;
	}
	return take(ep, rested);
}

static inline void leave_after_look(struct vmb_endpoint *ep)
{
	bool rests = ep->glances != 0;

	vmb_endpoint_leave(ep);
	for (int i = 0; i < PROGRESS_PAUSES && rests; i++)
		pause_between_looks(); /* others may have the lock meanwhile */
}

/* The lock again, after a time without it that was counted as inside. */
static int come_back(struct vmb_endpoint *ep)
{
	vmb_lock_take(&ep->lock);
	ep->inside--;
	if (vmb_likely(ep->state == VMB_ENDPOINT_OPEN))
		return 0;
	tell_all(ep, &ep->pausers);
	vmb_lock_release(&ep->lock);
	return -EBADF;
}

/* Nothing stands between a message that comes and its being taken by us. */
static bool may_stand_by(const struct vmb_endpoint *ep)
{
	return !ep->held && !ep->progressing && !vmb_lock_wanted(&ep->lock);
}

/*
 * After a fruitless look the program gives up the processor: once another
 * process has had it, an answer has waited for long. A peer that looks answers
 * sooner than that; one that does not had better get the processor
 * (decision 0026). Who waits for room has something else to do. Unlocks.
 */
static __attribute__((noinline)) int
progress_before_yield(struct vmb_endpoint *ep)
{
	uint64_t until = 0;

	for (unsigned looks = 1;; looks++) {
		bool stuck = vmb_lanes_stuck(&ep->am), near;
		int rc;

		vmb_lanes_look(&ep->am);
		rc = vmb_endpoint_pass(ep);
		near = !rc && !stuck && may_stand_by(ep) &&
		       vmb_lanes_answer_near(&ep->am, looks == 1);
		if (near && looks == 1)
			until = vmb_now_ns() + ANSWER_NS;
		else if (near && looks % LOOKS_PER_CLOCK == 0)
			near = vmb_now_ns() < until;
		if (!near) {
			vmb_lanes_looked(&ep->am, rc != 0);
			leave_after_look(ep);
			return rc;
		}
		ep->inside++; /* not closed meanwhile */
		leave_after_look(ep);
		rc = come_back(ep);
		if (rc)
			return rc;
	}
}

int vmb_progress(struct vmb_endpoint *ep)
{
	int rc = vmb_endpoint_enter_to_look(ep);

	if (rc)
		return rc;
	if (vmb_endpoint_in_handler(ep)) {
		vmb_endpoint_leave(ep);
		return -EDEADLK;
	}
	if (vmb_unlikely(ep->yields)) {
		rc = progress_before_yield(ep);
	} else {
		rc = vmb_endpoint_pass(ep);
		leave_after_look(ep);
	}
	return rc < 0 ? rc : 0;
}

/* ---- one thread waits ------------------------------------------------------- */

static void look_at_clock(struct vmb_endpoint *ep, struct vmb_waiter *w,
			  uint64_t now)
{
	if (now >= w->poll_at && !w->done) {
		ask(ep, w);
		w->poll_step = vmb_min(2 * w->poll_step, POLL_MAX_NS);
		w->poll_at = now + w->poll_step;
	}
	w->expired = now >= w->deadline;
}

static uint64_t next_look(const struct vmb_waiter *w)
{
	return vmb_min(w->deadline, w->poll_at);
}

static void spin_as_follower(struct vmb_endpoint *ep, struct vmb_waiter *w)
{
	bool forever = ep->wait_mode == VMB_WAIT_SPIN;
	uint64_t until = next_look(w);

	for (unsigned i = 1; forever || i < FOLLOWER_SPINS; i++) {
		if (vmb_observe(&w->signal) == SIGNAL_TOLD)
			return;
		if (i % PASSES_PER_CLOCK == 0 && vmb_now_ns() >= until)
			return;
		vmb_relax();
	}
}

/* Until told, or until it is time to look. Unlocks meanwhile. */
static void follow(struct vmb_endpoint *ep, struct vmb_waiter *w)
{
	uint32_t awake = SIGNAL_AWAKE;

	if (ep->leader == w)
		ep->leader = NULL;
	w->signal = SIGNAL_AWAKE;
	vmb_lock_release(&ep->lock);
	spin_as_follower(ep, w);
	if (ep->wait_mode != VMB_WAIT_SPIN &&
	    __atomic_compare_exchange_n(&w->signal, &awake, SIGNAL_ASLEEP,
					false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		vmb_futex_wait(&w->signal, SIGNAL_ASLEEP, next_look(w));
	vmb_lock_take(&ep->lock);
	if (next_look(w) != UINT64_MAX)
		look_at_clock(ep, w, vmb_now_ns());
}

/* A wait ended after so long: would spinning have caught it? */
static void adapt(struct vmb_endpoint *ep, uint64_t waited_ns)
{
	uint64_t max = vmb_library.settings.spin_ns;

	if (waited_ns > max)
		ep->spin_ns /= 2;
	else
		ep->spin_ns = vmb_min(max, 2 * ep->spin_ns + SPIN_STEP_NS);
}

/*
 * A hot lane is worth it: one that is slept beside again and again ends. Two
 * sides that both sleep find out only when one of them does not for as long as
 * it takes to wake the other: a new lane gets that chance.
 */
static uint64_t spins_for(const struct vmb_endpoint *ep)
{
	if (ep->wait_mode == VMB_WAIT_BLOCK)
		return 0;
	if (!ep->am.lanes.watch)
		return ep->spin_ns;
	return vmb_library.settings.spin_ns *
	       (ep->am.lanes.trials ? TRIAL_SPINS : 1);
}

/* Nothing came for a while: look at the clock, sleep if it is time to. */
static void rest(struct vmb_endpoint *ep, struct vmb_waiter *w)
{
	uint64_t now = vmb_now_ns();

	look_at_clock(ep, w, now);
	if (w->done || w->expired || !w->idle || ep->wait_mode == VMB_WAIT_SPIN)
		return;
	if (!w->spin_from)
		w->spin_from = now;
	if (now - w->spin_from < spins_for(ep))
		return;
	vmb_endpoint_sleep(ep, next_look(w));
	now = vmb_now_ns();
	adapt(ep, now - w->spin_from);
	w->spin_from = 0;
	look_at_clock(ep, w, now);
}

/*
 * The last pass found nothing: watch the next event, and only that, for about
 * the time of a pass. A message is seen at once and not half a pass later.
 */
static void watch_next(struct vmb_endpoint *ep)
{
	for (unsigned i = 0; i < LOOKS_PER_PASS && !vmb_am_due(&ep->am); i++)
		;
}

static void lead(struct vmb_endpoint *ep, struct vmb_waiter *w)
{
	ep->leader = w;
	if (w->idle && ep->wait_mode != VMB_WAIT_BLOCK)
		watch_next(ep);
	if (vmb_endpoint_pass(ep)) {
		if (w->spin_from)
			adapt(ep, 0);
		w->idle = 0;
		w->spin_from = 0;
	} else {
		/* a pause takes as long as a message, so not at first */
		if (++w->idle > PASSES_BEFORE_PAUSE)
			vmb_relax();
	}
	if (vmb_unlikely(vmb_lock_wanted(&ep->lock)))
		vmb_lock_yield(&ep->lock);
	w->passes++;
	if (w->passes % PASSES_PER_CLOCK == 0 ||
	    (w->idle && ep->wait_mode == VMB_WAIT_BLOCK))
		rest(ep, w);
}

static bool may_lead(const struct vmb_endpoint *ep, const struct vmb_waiter *w)
{
	return !ep->held && !ep->progressing &&
	       (!ep->leader || ep->leader == w);
}

/* Counted as inside, so that a close waits until it has left. */
static int stay(struct vmb_endpoint *ep, struct vmb_waiter *w)
{
	vmb_list_append(&ep->waiters, &w->node);
	ep->glances = 0; /* it may have to be told to lead */
	ep->inside++;
	for (;;) {
		/* first of all: our own pass may have ended what others,
		 * who sleep, wait for */
		if (ep->version != ep->attended)
			vmb_endpoint_attend(ep);
		if (w->done)
			break;
		if (ep->state != VMB_ENDPOINT_OPEN)
			w->result = -EBADF;
		if (w->result || w->woken || w->expired)
			break;
		if (may_lead(ep, w))
			lead(ep, w);
		else
			follow(ep, w);
	}
	vmb_list_remove(&w->node);
	if (ep->leader == w)
		ep->leader = NULL;
	ep->inside--;
	if (vmb_unlikely(ep->state != VMB_ENDPOINT_OPEN))
		tell_all(ep, &ep->pausers);
	vmb_endpoint_promote(ep);
	if (vmb_unlikely(ep->background.parked))
		vmb_background_tell(ep);
	return w->result;
}

static int await(struct vmb_endpoint *ep, vmb_look_fn look, void *arg,
		 int timeout_ms, bool poll)
{
	struct vmb_waiter w = {
		.look = look,
		.arg = arg,
		.deadline = UINT64_MAX,
		.poll_at = UINT64_MAX,
		.poll_step = POLL_FIRST_NS,
	};

	if (timeout_ms > 0)
		w.deadline = vmb_now_ns() + (uint64_t)timeout_ms * 1000000u;
	if (poll)
		w.poll_at = vmb_now_ns() + w.poll_step;
	return stay(ep, &w);
}

/*
 * For as long as an answer takes that comes at once: who does nothing but wait
 * for it need not be in the list of those who are told. Nobody else is, or
 * there were no glances.
 */
static int stand_by(struct vmb_endpoint *ep, vmb_look_fn look, void *arg)
{
	int rc = 0;

	for (unsigned i = 0; i < STAND_BY && ep->glances && !rc; i++) {
		if (vmb_unlikely(vmb_lock_wanted(&ep->lock)))
			break;
		if (vmb_am_due_anywhere(&ep->am)) {
			take(ep, true);
			rc = look(ep, arg);
		} else {
			pause_between_looks();
		}
	}
	return rc;
}

/* What has happened already needs no pass: a burst is taken in by one. */
int vmb_endpoint_await(struct vmb_endpoint *ep, vmb_look_fn look, void *arg,
		       int timeout_ms, bool poll)
{
	int rc;

	if (timeout_ms < VMB_INFINITE)
		return -EINVAL;
	if (vmb_unlikely(ep->am.error)) /* found outside of any pass? */
		vmb_endpoint_pass(ep);	/* then it ends the requests here */
	rc = look(ep, arg);
	if (rc) /* an outcome is taken once: look no more */
		return rc;
	vmb_endpoint_pass(ep); /* its error is found by the look */
	rc = look(ep, arg);
	if (rc || !timeout_ms)
		return rc;
	if (vmb_endpoint_in_handler(ep))
		return -EDEADLK;
	if (ep->wait_mode != VMB_WAIT_BLOCK)
		rc = stand_by(ep, look, arg);
	return rc ? rc : await(ep, look, arg, timeout_ms, poll);
}

int vmb_wakeup(struct vmb_endpoint *ep)
{
	struct vmb_list *pos;
	int rc = vmb_endpoint_enter(ep);

	if (rc)
		return rc;
	vmb_list_each (pos, &ep->waiters)
		vmb_container_of(pos, struct vmb_waiter, node)->woken = true;
	tell_all(ep, &ep->waiters);
	vmb_endpoint_leave(ep);
	return 0;
}

/* ---- waiting for each other -------------------------------------------------- */

/* Until a pass has ended, or somebody has left a closing endpoint. */
static void pause_once(struct vmb_endpoint *ep)
{
	struct vmb_waiter w = {.deadline = UINT64_MAX, .poll_at = UINT64_MAX};

	vmb_list_append(&ep->pausers, &w.node);
	follow(ep, &w);
	vmb_list_remove(&w.node);
}

int vmb_endpoint_quiesce(struct vmb_endpoint *ep)
{
	int rc = 0;

	ep->inside++;
	while (ep->progressing && !vmb_endpoint_in_handler(ep) && !rc) {
		pause_once(ep);
		if (ep->state != VMB_ENDPOINT_OPEN)
			rc = -EBADF;
	}
	ep->inside--;
	if (rc)
		tell_all(ep, &ep->pausers);
	return rc;
}

void vmb_endpoint_evict(struct vmb_endpoint *ep)
{
	tell_all(ep, &ep->waiters);
	tell_all(ep, &ep->pausers);
	while (ep->inside || ep->progressing)
		pause_once(ep);
}

void vmb_endpoint_absent(struct vmb_endpoint *ep)
{
	ep->inside++;
	vmb_endpoint_leave(ep);
}

int vmb_endpoint_present(struct vmb_endpoint *ep)
{
	int rc = come_back(ep);

	if (!rc)
		ep->glances = 0;
	return rc;
}

int vmb_hold(struct vmb_endpoint *ep, int hold)
{
	int rc = vmb_endpoint_enter(ep);

	if (rc)
		return rc;
	ep->held = hold != 0;
	if (ep->held)
		rc = vmb_endpoint_quiesce(ep);
	else
		vmb_endpoint_promote(ep);
	vmb_background_tell(ep);
	vmb_endpoint_leave(ep);
	return rc;
}
