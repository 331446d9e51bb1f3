// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_idle.c - how often fruitless looks look at the clock, and after what time
 * the daemon is missed, however often a program looks.
 *
 * Flow:  times that the test makes up -> struct vmb_idle
 *        the same as the clock of this thread -> vmb_*() -> -EPIPE
 * Owns:  the clock of the testing thread; an engine that takes nothing.
 * Trust: nothing.
 */
#include <check.h>
#include <errno.h>
#include <time.h>

#include <vmbypass/vmb.h>
#include <vmbypass/vmb_am.h>

#include "am/idle.h"
#include "port/port.h"
#include "support/inproc.h"
#include "support/run.h"

#define MS 1000000ull /* ns */
#define LOOKS_MAX 20000000u

/* ---- the distance --------------------------------------------------------------- */

static struct vmb_idle idle;
static uint64_t now_ns;

static void begin(void)
{
	idle = (struct vmb_idle){.left = 1, .step = 77, .looked_ns = 1};
	now_ns = 5000000000;
	vmb_idle_end(&idle);
}

/* Looks at such a pace, up to one at the clock: how many. */
static uint32_t to_the_clock(uint64_t pace_ns, bool *lasts)
{
	uint32_t looks = 0;

	do {
		now_ns += pace_ns;
		looks++;
	} while (!vmb_idle_look(&idle));
	*lasts = vmb_idle_lasts(&idle, now_ns);
	return looks;
}

/* ns until it is said to last. */
static uint64_t until_it_lasts(uint64_t pace_ns)
{
	uint64_t from = now_ns;
	bool lasts = false;

	while (!lasts)
		to_the_clock(pace_ns, &lasts);
	return now_ns - from;
}

START_TEST(first_looks_do_without_the_clock)
{
	bool lasts;

	begin();
	for (int i = 0; i < 10; i++) {
		ck_assert_uint_eq(to_the_clock(MS, &lasts), VMB_IDLE_FIRST);
		ck_assert(!lasts); /* since when is not known yet */
		until_it_lasts(_i ? 20 * MS : 10);
		vmb_idle_end(&idle);
	}
	ck_assert_uint_ge(VMB_IDLE_FIRST, 64);
}
END_TEST

START_TEST(message_in_between_begins_anew)
{
	bool lasts;

	begin();
	for (int i = 0; i < 1000; i++) {
		for (uint32_t n = 1; n < VMB_IDLE_FIRST; n++)
			ck_assert(!vmb_idle_look(&idle));
		vmb_idle_end(&idle);
	}
	to_the_clock(MS, &lasts);
	for (int i = 0; i < 1000; i++) { /* two looks at the clock, at most */
		ck_assert(!lasts);
		vmb_idle_end(&idle);
		to_the_clock(MS, &lasts);
	}
}
END_TEST

START_TEST(fast_looks_look_at_the_clock_rarely)
{
	uint32_t looks, before = VMB_IDLE_FIRST;
	bool lasts;

	begin();
	to_the_clock(10, &lasts);
	for (int i = 0; i < 100; i++, before = looks) {
		looks = to_the_clock(10, &lasts);
		ck_assert_uint_ge(looks, before);
		ck_assert_uint_le(looks, 2 * before);
	}
	ck_assert_uint_eq(looks, VMB_IDLE_MOST);
}
END_TEST

/* A few at once, and both ways: after one step it is as the pace wants it. */
START_TEST(distance_follows_the_pace)
{
	static const struct {
		uint64_t pace_ns;
		uint32_t least, most;
	} steps[] = {
		{10, VMB_IDLE_MOST, VMB_IDLE_MOST},
		{MS, 5, 20},
		{20 * MS, 1, 1},
		{1000 * MS, 1, 1},
		{MS, 5, 20},
		{10, VMB_IDLE_MOST, VMB_IDLE_MOST},
		{1000 * MS, 1, 1},
		{10, VMB_IDLE_MOST, VMB_IDLE_MOST},
	};
	uint32_t looks = 0;
	bool lasts;

	begin();
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		for (int n = 0; n < 12; n++)
			looks = to_the_clock(steps[i].pace_ns, &lasts);
		ck_assert_uint_ge(looks, steps[i].least);
		ck_assert_uint_le(looks, steps[i].most);
	}
}
END_TEST

/* Since the last message; and when the pace was another one before. */
static const struct {
	uint64_t pace_ns, begun_ns, after_ns; /* at most */
} paces[] = {
	{10, 101 * MS, 101 * MS},	 {1000, 101 * MS, 101 * MS},
	{MS, 300 * MS, 400 * MS},	 {10 * MS, 1500 * MS, 2700 * MS},
	{20 * MS, 3000 * MS, 5500 * MS}, {100 * MS, 13000 * MS, 26000 * MS},
};

#define PACES (sizeof(paces) / sizeof(paces[0]))

START_TEST(time_until_it_lasts_is_bounded)
{
	uint64_t took;

	begin();
	took = until_it_lasts(paces[_i].pace_ns);
	ck_assert_uint_ge(took, VMB_IDLE_NS);
	ck_assert_uint_le(took, paces[_i].begun_ns);
	for (uint64_t before = 10; before < 1000 * MS; before *= 10) {
		begin();
		for (int i = 0; i < 5; i++)
			until_it_lasts(before);
		took = until_it_lasts(paces[_i].pace_ns);
		ck_assert_uint_le(took, paces[_i].after_ns);
		took = until_it_lasts(paces[_i].pace_ns); /* and again */
		ck_assert_uint_ge(took, VMB_IDLE_NS);
		ck_assert_uint_le(took, 240 * MS);
	}
}
END_TEST

START_TEST(glances_leave_the_clock_to_the_next_look)
{
	begin();
	vmb_idle_glances(&idle, 16);
	ck_assert_uint_eq(idle.left, VMB_IDLE_FIRST - 16);
	for (int i = 0; i < 10; i++)
		vmb_idle_glances(&idle, 16);
	ck_assert(vmb_idle_look(&idle));
}
END_TEST

/* ---- an endpoint ------------------------------------------------------------------ */

/* The linker sends clock_gettime() here. */
static __thread struct {
	bool made_up;
	uint64_t ns;
	unsigned looks;
} mine;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	if (!mine.made_up)
		return __real_clock_gettime(clock, now);
	mine.looks++;
	*now = vmb_timespec(mine.ns);
	return 0;
}

static struct vmb_endpoint *ep;
static struct vmb_addr self;
static struct vmb_mem *mem;
static struct vmb_req *receive;
static char memory[64];

/* Nobody steps the engine: it takes nothing, and nothing comes. */
static void setup(void)
{
	struct vmb_segment s = {memory, sizeof(memory)};

	t_nic_start(&(struct vmb_nic_config){.endpoints_max = 16,
					     .spin_us = 1000000});
	vmb_port_override(&t_port_inproc);
	ck_assert_int_eq(vmb_init(), 0);
	ck_assert_int_eq(vmb_open(NULL, &ep), 0);
	ck_assert_int_eq(vmb_self(ep, &self), 0);
	ck_assert_int_eq(
		vmb_register(memory, sizeof(memory), VMB_REMOTE_READ, &mem), 0);
	ck_assert_int_eq(vmb_irecv(ep, &s, 1, 1, ~0ull, NULL, &receive), 0);
	__real_clock_gettime(CLOCK_MONOTONIC, &(struct timespec){0});
	mine.ns = 5000000000;
	mine.made_up = true;
}

static void teardown(void)
{
	mine.made_up = false;
	t_port_lose_daemon(false);
	vmb_finalize();
	vmb_port_override(NULL);
	t_nic_stop();
}

static int do_test(void)
{
	struct vmb_status status = {0};
	int done, rc = vmb_test(ep, &receive, &status, &done);

	return done ? status.code : rc;
}

static int do_progress(void)
{
	return vmb_progress(ep);
}

static int do_isend(void)
{
	struct vmb_segment s = {memory, 8};
	struct vmb_req *req;
	int rc = vmb_isend(ep, &s, 1, self, 2, NULL, &req);

	return rc ? rc : vmb_forget(ep, &req);
}

static int do_issend(void)
{
	struct vmb_segment s = {memory, 64};

	return vmb_issend(ep, &s, 1, self, 2, NULL, NULL);
}

static int do_am_send(void)
{
	struct vmb_segment s = {memory, 8};
	int rc = vmb_am_send(ep, self, 1, 0, &s, 1);

	return rc == -EAGAIN ? 0 : rc;
}

static int do_am_put(void)
{
	int rc = vmb_am_put(ep, self, mem, 0, 1, 0, 8, NULL, NULL);

	return rc == -EAGAIN ? 0 : rc;
}

static int do_am_get(void)
{
	int rc = vmb_am_get(ep, self, mem, 0, 1, 0, 8, NULL, NULL);

	return rc == -EAGAIN ? 0 : rc;
}

static int (*const calls[])(void) = {do_test,	do_progress, do_isend,
				     do_issend, do_am_send,  do_am_put,
				     do_am_get};

#define CALLS (sizeof(calls) / sizeof(calls[0]))
#define LOOKING 2u /* the first of them */

/* ns of the clock that was made up until the call says so. */
static uint64_t until_missed(int (*call)(void), uint64_t pace_ns)
{
	uint64_t from = mine.ns;
	int rc = 0;

	for (unsigned i = 0; !rc && i < LOOKS_MAX; i++) {
		mine.ns += pace_ns;
		rc = call();
	}
	ck_assert_int_eq(rc, -EPIPE);
	return mine.ns - from;
}

/* From the first one on: posts go on for as long as there is room for them. */
START_TEST(lost_daemon_is_missed_in_time)
{
	size_t n = _i % PACES;
	uint64_t took, room = 64 * paces[n].pace_ns;

	if (_i / PACES >= LOOKING && paces[n].pace_ns < 1000)
		return; /* millions of posts, all of which are kept */
	t_port_lose_daemon(true);
	took = until_missed(calls[_i / PACES], paces[n].pace_ns);
	ck_assert_uint_ge(took, VMB_IDLE_NS);
	/* how far the engine was is read when it has lasted already */
	ck_assert_uint_le(took, room + paces[n].begun_ns + 340 * MS +
					17 * paces[n].pace_ns);
}
END_TEST

/* Who looked all the time before had a longer distance. */
START_TEST(lost_daemon_is_missed_after_fast_looks)
{
	size_t n = _i % PACES;
	int (*call)(void) = calls[_i / PACES];

	for (unsigned i = 0; i < 10000; i++) {
		mine.ns += 10;
		ck_assert_int_eq(call(), 0);
	}
	t_port_lose_daemon(true);
	ck_assert_uint_le(until_missed(call, paces[n].pace_ns),
			  paces[n].after_ns + 340 * MS + 17 * paces[n].pace_ns);
}
END_TEST

static unsigned clock_looks(unsigned calls_made, int (*call)(void))
{
	unsigned before = mine.looks;

	while (calls_made--) {
		mine.ns += 10;
		ck_assert_int_eq(call(), 0);
	}
	return mine.looks - before;
}

START_TEST(looks_leave_the_clock_alone)
{
	int (*call)(void) = calls[_i];

	ck_assert_uint_eq(clock_looks(VMB_IDLE_FIRST - 1, call), 0);
	/* the next comes with a pass */
	ck_assert_uint_eq(clock_looks(18, call), 1);
	clock_looks(10 * VMB_IDLE_MOST, call);
	ck_assert_uint_le(clock_looks(100 * VMB_IDLE_MOST, call), 100);
	ck_assert_uint_ge(clock_looks(100 * VMB_IDLE_MOST, call), 90);
}
END_TEST

START_TEST(daemon_that_is_there_is_no_loss)
{
	for (unsigned i = 0; i < 3000; i++) {
		mine.ns += 10 * MS;
		ck_assert_int_eq(calls[_i](), 0);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("idle");
	TCase *tc = tcase_create("distance");

	suite_add_tcase(s, tc);
	tcase_add_loop_test(tc, first_looks_do_without_the_clock, 0, 2);
	tcase_add_test(tc, message_in_between_begins_anew);
	tcase_add_test(tc, fast_looks_look_at_the_clock_rarely);
	tcase_add_test(tc, distance_follows_the_pace);
	tcase_add_loop_test(tc, time_until_it_lasts_is_bounded, 0, PACES);
	tcase_add_test(tc, glances_leave_the_clock_to_the_next_look);
	tc = tcase_create("endpoint");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	tcase_add_loop_test(tc, lost_daemon_is_missed_in_time, 0,
			    PACES * CALLS);
	tcase_add_loop_test(tc, lost_daemon_is_missed_after_fast_looks, 0,
			    PACES * LOOKING);
	tcase_add_loop_test(tc, looks_leave_the_clock_alone, 0, LOOKING);
	tcase_add_loop_test(tc, daemon_that_is_there_is_no_loss, 0, CALLS);
	return t_run(s);
}
