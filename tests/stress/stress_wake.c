// SPDX-License-Identifier: BSD-2-Clause
/*
 * stress_wake.c - arm, look again, sleep, on both sides of an endpoint: no
 * wake-up is lost, with fences, with the barrier on the sleeper's side, and
 * when the client sleeps on a word.
 *
 * Flow:  client thread: descriptors, kick -> engine thread: events, notify
 * Owns:  a control page, a doorbell ring, an event queue, two eventfds.
 * Trust: a lost wake-up is a hang, which the watchdog turns into an abort
 *        with the state of both sides.
 *
 * The steps are those of docs/signalling.md and of tests/model/wake.pml.
 * ThreadSanitizer does not follow stand-alone fences. It needs not: every
 * shared word is an atomic, data are ordered by the release of a slot's seq,
 * and the fences order a store against a load of another word, which is no
 * data race. What it cannot see, a lost wake-up, the model proves and the
 * watchdog observes.
 */
#include <check.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vmbypass/abi/doorbell.h>

#include "base/futex.h"
#include "ring/ring.h"
#include "stress/stress.h"
#include "support/run.h"
#include "support/skip.h"

#define WINDOW_MAX 8u	 /* descriptors posted before the client waits */
#define DELAY_MAX 2048u	 /* turns of a random delay */
#define PATIENCE_MAX 64u /* looks before a side arms */
#define NUMBER_START 0xffffff00u /* arming numbers wrap, too */

static struct {
	struct vmb_control_page ctl;
	struct vmb_slot doorbell[VMB_DOORBELL_SLOTS];
	struct vmb_slot events[VMB_EQ_SLOTS_MIN];
	bool barrier; /* the engine orders both sides when it arms */
	bool word;    /* the client sleeps on ctl.notified */
	uint32_t messages;
	int kick_fd, notify_fd;
	uint32_t engine_sleeps, client_sleeps; /* each by its own side */
	uint32_t echoed; /* by the client; read by the watchdog */
} shared __attribute__((aligned(VMB_PAGE)));

static void dump_shared(void)
{
	const struct vmb_control_page *c = &shared.ctl;
	uint64_t progress = vmb_load_relaxed(&c->progress);

	fprintf(stderr, "echoed %u of %u; consumed %u; taken %u, written %u; ",
		vmb_load_relaxed(&shared.echoed), shared.messages,
		vmb_low(vmb_load_relaxed(&c->consumed)), vmb_low(progress),
		vmb_high(progress));
	fprintf(stderr, "kick_arm %u, event_arm %u, notified %u\n",
		vmb_load_relaxed(&c->kick_arm), vmb_load_relaxed(&c->event_arm),
		vmb_load_relaxed(&c->notified));
}

/* Mostly nothing, sometimes long: moves the two sides against each other. */
static void delay(uint64_t *random)
{
	uint64_t r = stress_next(random);

	if (r & 7)
		return;
	for (uint32_t n = (uint32_t)(r >> 32) % DELAY_MAX; n; n--)
		vmb_relax();
}

static void wake(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

static void sleep_on(int fd, uint32_t *sleeps)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) != sizeof(count))
		abort();
	vmb_store_relaxed(sleeps, *sleeps + 1);
}

/* The number of a new arming; 0 asks for nothing. */
static uint32_t arm_number(uint32_t *number)
{
	if (++*number == 0)
		*number = 1;
	return *number;
}

/* A number that the other side armed with, and that is to be answered? */
static bool take_number(const uint32_t *arm, uint32_t *answered)
{
	uint32_t number = vmb_load_relaxed(arm);

	if (!number || number == *answered)
		return false;
	*answered = number;
	return true;
}

/* ---- engine ----------------------------------------------------------- */

struct engine {
	struct vmb_ring doorbell, events;
	uint32_t arms, notified; /* numbers: own, and answered */
	uint64_t random;
};

static void tell_client(uint32_t number)
{
	if (!shared.word) {
		wake(shared.notify_fd);
		return;
	}
	vmb_publish(&shared.ctl.notified, number);
	vmb_futex_wake_shared(&shared.ctl.notified);
}

/* Take what is there, echo each as an event, notify once. Returns how many. */
static uint32_t engine_breathe(struct engine *e)
{
	struct vmb_slot slot;
	uint32_t taken = 0;

	if (vmb_ring_observe(&e->events,
			     vmb_low(vmb_observe(&shared.ctl.consumed))))
		abort();
	while (vmb_ring_peek(&e->doorbell, &slot) == 1) {
		vmb_ring_release(&e->doorbell, 1);
		slot.op = VMB_EV_ARRIVE;
		vmb_ring_commit(&e->events, &slot);
		taken++;
		delay(&e->random);
	}
	if (!taken)
		return 0;
	vmb_publish(&shared.ctl.progress,
		    vmb_pack(e->doorbell.pos, e->events.pos));
	vmb_arm_fence(); /* pairs with the client's, in client_wait() */
	if (take_number(&shared.ctl.event_arm, &e->notified))
		tell_client(e->notified);
	return taken;
}

static void engine_arm_and_sleep(struct engine *e)
{
	struct vmb_slot slot;

	vmb_store_relaxed(&shared.ctl.kick_arm, arm_number(&e->arms));
	if (!shared.barrier)
		vmb_arm_fence(); /* pairs with client_post() */
	else if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0))
		abort();
	if (vmb_ring_peek(&e->doorbell, &slot) == 0)
		sleep_on(shared.kick_fd, &shared.engine_sleeps);
	vmb_store_relaxed(&shared.ctl.kick_arm, 0);
}

static void *engine_run(void *unused)
{
	struct engine e = {.random = 1, .arms = NUMBER_START};
	uint32_t patience = 0, looks = 0, done = 0, taken;

	(void)unused;
	vmb_ring_init(&e.doorbell, shared.doorbell, VMB_DOORBELL_SLOTS, 0);
	vmb_ring_init(&e.events, shared.events, VMB_EQ_SLOTS_MIN, 0);
	while (done < shared.messages) {
		taken = engine_breathe(&e);
		done += taken;
		if (taken) {
			looks = 0;
			patience =
				(uint32_t)stress_next(&e.random) % PATIENCE_MAX;
		} else if (looks++ >= patience) {
			engine_arm_and_sleep(&e);
		}
	}
	return NULL;
}

/* ---- client ----------------------------------------------------------- */

struct client {
	struct vmb_ring doorbell, events;
	uint32_t arms, kicked; /* numbers: own, and answered */
	uint64_t random;
};

static void client_post(struct client *c)
{
	struct vmb_slot slot = {.op = VMB_OP_SEND, .hdr = c->doorbell.pos};

	if (!vmb_ring_room(&c->doorbell) &&
	    vmb_ring_observe(&c->doorbell,
			     vmb_low(vmb_observe(&shared.ctl.progress))))
		abort();
	vmb_ring_commit(&c->doorbell, &slot);
	if (!shared.barrier)
		vmb_arm_fence(); /* pairs with engine_arm_and_sleep() */
	if (take_number(&shared.ctl.kick_arm, &c->kicked))
		wake(shared.kick_fd);
}

/* Arm, look again, sleep. */
static void client_sleep(struct client *c)
{
	static uint32_t poked;
	const struct vmb_futex_watched own = {&poked, 0};
	struct vmb_futex_watched told = {&shared.ctl.notified, 0};
	struct vmb_slot slot;

	told.value = vmb_observe(told.word);
	vmb_store_relaxed(&shared.ctl.event_arm, arm_number(&c->arms));
	vmb_arm_fence(); /* pairs with engine_breathe() */
	if (vmb_ring_peek(&c->events, &slot) != 0)
		return;
	if (!shared.word) {
		sleep_on(shared.notify_fd, &shared.client_sleeps);
		return;
	}
	vmb_futex_wait_either(&told, &own, UINT64_MAX);
	vmb_store_relaxed(&shared.client_sleeps, shared.client_sleeps + 1);
}

/* Wait for the next event; checks that it is the one due. */
static void client_wait(struct client *c)
{
	uint32_t patience = (uint32_t)stress_next(&c->random) % PATIENCE_MAX;
	struct vmb_slot slot;
	uint32_t looks = 0;

	while (vmb_ring_peek(&c->events, &slot) == 0) {
		if (looks++ < patience)
			continue;
		client_sleep(c);
		vmb_store_relaxed(&shared.ctl.event_arm, 0);
	}
	if (slot.op != VMB_EV_ARRIVE || slot.hdr != c->events.pos)
		ck_abort_msg("event %u: op %u, number %u", c->events.pos,
			     slot.op, (unsigned)slot.hdr);
	vmb_ring_release(&c->events, 1);
	vmb_publish(&shared.ctl.consumed, vmb_pack(c->events.pos, 0));
	vmb_store_relaxed(&shared.echoed, c->events.pos);
}

static void client_run(void)
{
	struct client c = {.random = 2, .arms = NUMBER_START};

	vmb_ring_init(&c.doorbell, shared.doorbell, VMB_DOORBELL_SLOTS, 0);
	vmb_ring_init(&c.events, shared.events, VMB_EQ_SLOTS_MIN, 0);
	while (c.events.pos < shared.messages) {
		uint32_t left = shared.messages - c.events.pos;
		uint32_t window = (uint32_t)stress_next(&c.random) % WINDOW_MAX;

		for (window = vmb_min(window + 1, left); window; window--) {
			client_post(&c);
			delay(&c.random);
		}
		while (c.events.pos != c.doorbell.pos)
			client_wait(&c);
	}
}

static void run_wake(bool barrier, bool word)
{
	pthread_t engine;

	memset(&shared, 0, sizeof(shared));
	shared.barrier = barrier;
	shared.word = word;
	shared.messages = stress_messages();
	shared.kick_fd = eventfd(0, EFD_CLOEXEC);
	shared.notify_fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_ge(shared.kick_fd, 0);
	ck_assert_int_ge(shared.notify_fd, 0);
	stress_watch(&shared.echoed, dump_shared);
	ck_assert_int_eq(pthread_create(&engine, NULL, engine_run, NULL), 0);
	client_run();
	pthread_join(engine, NULL);
	stress_unwatch();
	close(shared.kick_fd);
	close(shared.notify_fd);
	printf("%u messages, engine slept %u times, client %u times\n",
	       shared.messages, shared.engine_sleeps, shared.client_sleeps);
	/* or nothing was tried */
	ck_assert_uint_gt(shared.engine_sleeps, 0);
	ck_assert_uint_gt(shared.client_sleeps, 0);
}

START_TEST(fence_loses_no_wakeup)
{
	run_wake(false, false);
}
END_TEST

START_TEST(barrier_loses_no_wakeup)
{
	ck_assert_int_eq(syscall(SYS_membarrier,
				 MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0,
				 0),
			 0);
	run_wake(true, false);
}
END_TEST

START_TEST(word_loses_no_wakeup)
{
	run_wake(false, true);
}
END_TEST

static bool have_barrier(void)
{
	long offered = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	return offered > 0 && offered & MEMBARRIER_CMD_GLOBAL_EXPEDITED;
}

int main(void)
{
	Suite *suite = suite_create("stress_wake");
	TCase *tcase = tcase_create("sleep");

	tcase_set_timeout(tcase, 0); /* the watchdog knows better */
	tcase_add_test(tcase, fence_loses_no_wakeup);
	if (vmb_futex_has_either())
		tcase_add_test(tcase, word_loses_no_wakeup);
	else
		t_skip("no futex_waitv() here");
	if (have_barrier())
		tcase_add_test(tcase, barrier_loses_no_wakeup);
	else
		t_skip("no membarrier() here");
	suite_add_tcase(suite, tcase);
	return t_run(suite);
}
