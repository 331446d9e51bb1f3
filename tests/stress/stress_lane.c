// SPDX-License-Identifier: BSD-2-Clause
/*
 * stress_lane.c - two endpoints that send to each other as fast as they can,
 * fall asleep whenever nothing is there, and end their lanes now and then: no
 * message is lost, changed or overtaken, and no wake-up is missed.
 *
 * Flow:  two threads, struct t_end each -> lanes, and the engine between them
 * Owns:  the engine in this process, two ends.
 * Trust: support/ends.h checks every byte and the order. A lost wake-up is a
 *        hang, which the watchdog turns into an abort.
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>

#include "am/lane.h"
#include "stress/stress.h"
#include "support/ends.h"
#include "support/run.h"

#define BURST_MAX 64u
#define ENDS 16u     /* of the lane to a side, in all */
#define IDLE_MAX 64u /* fruitless passes before a side sleeps */

static struct t_end ends[2];
static uint32_t messages;
static uint32_t moved; /* watched; by side 0 */
static unsigned done_sides;

static void dump(void)
{
	for (int i = 0; i < 2; i++)
		fprintf(stderr,
			"side %d: sent %u, received %u of %u; %llu by lane, "
			"%llu sleeps, stuck %d\n",
			i, ends[i].sent[0], ends[i].received[0], messages,
			(unsigned long long)ends[i].am.counters.lane_arrivals,
			(unsigned long long)ends[i].am.counters.sleeps,
			!vmb_list_empty(&ends[i].am.lanes.stuck));
}

static size_t length(uint64_t r)
{
	if (r % 64 == 0)
		return (size_t)(r >> 8) % 9000;
	return (size_t)(r >> 8) % 200;
}

static void post_some(struct t_end *me, struct t_end *you, uint64_t *random)
{
	uint64_t burst = stress_next(random) % BURST_MAX;

	while (burst-- && me->sent[0] < messages)
		if (t_end_post(me, you, 0, length(stress_next(random)),
			       VMB_AM_TRY))
			break;
}

/* Now and then the lane to us goes, and comes again. */
static void end_lane(struct t_end *me, struct t_end *you)
{
	struct vmb_lane_in *in = t_end_peer(me, you)->lane_in;

	if (in)
		vmb_lane_ask_end(&me->am, in);
}

/* At once, and not after VMB_LANE_AGAIN messages. */
static void want_lane(struct t_end *me, struct t_end *you)
{
	struct vmb_peer *peer = t_end_peer(me, you);

	if (peer->lane_sends > VMB_LANE_AFTER)
		vmb_lane_want(&me->am, peer);
}

static void sleep_once(struct t_end *me)
{
	if (vmb_am_arm(&me->am, VMB_AM_SLEEP_FD))
		return;
	/* the time-out is for the end, when nobody wakes anybody */
	me->port->ops->wait(&me->am.pep,
			    vmb_load_relaxed(&done_sides) ? 10 : -1);
	vmb_am_disarm(&me->am);
}

static void *side(void *arg)
{
	struct t_end *me = arg, *you = &ends[me == &ends[0]];
	uint64_t random = 7 + (uint64_t)(me - ends);
	uint32_t next_end = messages / ENDS;
	unsigned idle = 0;
	bool counted = false;

	while (vmb_load_relaxed(&done_sides) < 2) {
		uint32_t before = me->sent[0] + me->received[0];
		int n = vmb_am_poll(&me->am, 16);

		ck_assert_int_ge(n, 0);
		if (stress_next(&random) % 4 == 0)
			post_some(me, you, &random);
		want_lane(me, you);
		if (me->received[0] >= next_end) {
			next_end += messages / ENDS;
			end_lane(me, you);
		}
		if (me == ends)
			vmb_store_relaxed(&moved,
					  me->sent[0] + me->received[0]);
		idle = before == me->sent[0] + me->received[0] ? idle + 1 : 0;
		if (me->sent[0] == messages && me->received[0] == messages &&
		    !counted) {
			counted = true;
			__atomic_fetch_add(&done_sides, 1, __ATOMIC_SEQ_CST);
		}
		/* who has not sent all it has to is not asleep for good */
		if (idle > stress_next(&random) % IDLE_MAX &&
		    (me->sent[0] == messages ||
		     vmb_am_tells_room(t_end_peer(me, you))))
			sleep_once(me);
	}
	return NULL;
}

START_TEST(nothing_is_lost)
{
	pthread_t threads[2];

	messages = stress_messages() / 2; /* each way */
	t_nic_start(NULL);
	for (int i = 0; i < 2; i++) {
		t_end_open(&ends[i], NULL, NULL);
		vmb_am_set_lanes(&ends[i].am, 4, VMB_LANE_AFTER);
	}
	stress_watch(&moved, dump);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(
			pthread_create(&threads[i], NULL, side, &ends[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	stress_unwatch();
	dump();
	for (int i = 0; i < 2; i++) {
		const struct vmb_am_counters *c = &ends[i].am.counters;

		/* or nothing was tried */
		ck_assert_uint_gt(c->lane_arrivals, messages / 2);
		ck_assert_uint_gt(c->sleeps, 0);
		ck_assert_uint_eq(c->lane_lies + c->lane_nonsense, 0);
	}
	ck_assert_uint_gt(
		ends[0].am.counters.lanes_in + ends[1].am.counters.lanes_in, 2);
	t_end_close(&ends[0], 0);
	t_end_close(&ends[1], 0);
	t_nic_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stress_lane");
	TCase *tcase = tcase_create("lane");

	tcase_set_timeout(tcase, 0); /* the watchdog knows better */
	tcase_add_test(tcase, nothing_is_lost);
	suite_add_tcase(suite, tcase);
	return t_run(suite);
}
