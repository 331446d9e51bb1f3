// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_faults.c - endpoints that are faulted: what their own client hears, and
 * what those hear who have to do with it.
 *
 * Flow:  struct t_end lies in its own pages -> engine -> events of all ends
 * Owns:  three ends and two engines that the test steps.
 * Trust: see support/ends.h; the time that a fault is recorded with is where
 *        the test gets hold of the engine that does it.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>

#include "am/lane.h"
#include "nic/engine.h"
#include "support/ends.h"
#include "support/run.h"

static struct t_end a, b, c;

static const struct vmb_geometry small = {
	.eq_slots = 64, .rx_bytes = 8192, .tx_bytes = 8192};

/* a and c belong to engine 0, b to engine 1. */
static void setup(void)
{
	t_nic_start_stepped(&(struct vmb_nic_config){.endpoints_max = 16,
						     .spin_us = 100},
			    2);
	t_end_open(&a, NULL, &small);
	t_end_open(&b, NULL, &small);
	t_end_open(&c, NULL, &small);
}

static void teardown(void)
{
	t_end_close(&a, 0);
	t_end_close(&b, 0);
	t_end_close(&c, 0);
	t_nic_stop();
}

/* The linker sends clock_gettime() here; a fault's record has the real time. */
static void (*while_recorded)(void);

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	if (clock == CLOCK_REALTIME && while_recorded)
		while_recorded();
	return __real_clock_gettime(clock, now);
}

static struct vmb_nic_endpoint *inside(const struct t_end *e)
{
	return t_nic()->endpoints[VMB_HANDLE_INDEX(e->am.pep.handle)];
}

static void post_short(struct t_end *from, struct t_end *to, unsigned count)
{
	while (count--)
		ck_assert_int_eq(t_end_post(from, to, 0, 8, VMB_AM_QUEUE), 0);
}

/* The last event that the engine wrote. */
static const struct vmb_slot *last_event(const struct t_end *e)
{
	const struct vmb_ring *events = &inside(e)->events;

	return &events->slots[(events->pos - 1) & events->mask];
}

/* ---- its own client ---------------------------------------------------------- */

static struct {
	pthread_t thread;
	uint32_t passes, stop;
} other;

static void *step_engine_1(void *arg)
{
	while (!vmb_load_relaxed(&other.stop)) {
		t_nic_breathe_one(1);
		__atomic_fetch_add(&other.passes, 1, __ATOMIC_RELAXED);
	}
	return arg;
}

/* Until b's engine has looked at everything, or has found out and waits. */
static void let_engine_1_look(void)
{
	uint32_t begin = vmb_load_relaxed(&other.passes);

	while (vmb_load_relaxed(&other.passes) - begin < 1000 &&
	       !vmb_load_relaxed(&inside(&b)->laid_off))
		;
}

/* Its own engine looks in the middle of what another one does to it. */
START_TEST(fault_by_another_engine_tells_its_code)
{
	post_short(&a, &b, small.eq_slots - EVENTS_KEPT);
	t_nic_settle();
	vmb_publish(&b.am.ctl->consumed, vmb_pack(0x7fffffff, 0));
	post_short(&a, &b, 1);
	while_recorded = let_engine_1_look;
	other.passes = other.stop = 0;
	ck_assert_int_eq(
		pthread_create(&other.thread, NULL, step_engine_1, NULL), 0);
	while (inside(&b)->state == VMB_STATE_OPEN)
		t_nic_breathe_one(0);
	vmb_store_relaxed(&other.stop, 1);
	pthread_join(other.thread, NULL);
	while_recorded = NULL;
	t_nic_settle();
	ck_assert_uint_eq(last_event(&b)->op, VMB_EV_FAULT);
	ck_assert_uint_eq(last_event(&b)->status, VMB_CODE_BAD_CONSUMER);
	ck_assert_uint_eq(b.am.ctl->fault_code, VMB_CODE_BAD_CONSUMER);
	ck_assert_uint_eq(inside(&b)->stats->faults, 1);
}
END_TEST

/*
 * Another engine cannot know what its own is writing: the client is told when
 * that has stopped, and not before.
 */
START_TEST(client_is_told_by_its_own_engine)
{
	post_short(&a, &b, small.eq_slots - EVENTS_KEPT);
	t_nic_settle();
	vmb_publish(&b.am.ctl->consumed, vmb_pack(0x7fffffff, 0));
	post_short(&a, &b, 1);
	while (inside(&b)->state == VMB_STATE_OPEN)
		t_nic_breathe_one(0);
	ck_assert_uint_eq(b.am.ctl->state, VMB_STATE_OPEN);
	ck_assert_uint_eq(inside(&b)->stats->state, VMB_STATE_OPEN);
	ck_assert_uint_ne(last_event(&b)->op, VMB_EV_FAULT);
	while (!inside(&b)->laid_off)
		t_nic_breathe_one(1);
	ck_assert_uint_eq(b.am.ctl->state, VMB_STATE_FAULTED);
	ck_assert_uint_eq(b.am.ctl->fault_code, VMB_CODE_BAD_CONSUMER);
	ck_assert_uint_eq(inside(&b)->stats->state, VMB_STATE_FAULTED);
	ck_assert_uint_eq(last_event(&b)->op, VMB_EV_FAULT);
}
END_TEST

/* The next descriptor of it that the engine takes is a lie. */
static void lie(struct t_end *e)
{
	vmb_ring_commit(&e->am.doorbell, &(struct vmb_slot){.op = 99});
	e->am.port->ops->kick(&e->am.pep);
}

static bool is_notified(struct t_end *e)
{
	return !e->am.port->ops->wait(&e->am.pep, 0);
}

/* A hot one, which is found out by the clock, after the clients were told. */
START_TEST(sleeping_client_is_told_of_its_fault)
{
	post_short(&b, &b, 1);
	t_ends_until(b.received[0] == 1, &b);
	while (!inside(&b)->hot) {
		post_short(&b, &b, 1);
		t_nic_breathe_one(1);
	}
	t_ends_until(b.received[0] == b.sent[0], &b);
	while (is_notified(&b))
		;
	ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_FD), 0);
	lie(&b);
	while (!inside(&b)->laid_off)
		t_nic_breathe_one(1);
	ck_assert(t_nic_may_sleep_one(1));
	ck_assert(is_notified(&b));
}
END_TEST

/* ---- a copy that goes on ------------------------------------------------------ */

#define COPIED 4096u

/* What a GET of b writes to: memory of a process, that is slow. */
static struct {
	struct vmb_nic_host host;
	struct vmb_nic_mover *mover;
	sem_t let;
	uint32_t begun;
	uint8_t to[COPIED];
	uint64_t key;
} copy;

static int64_t write_when_let(void *cookie, uint64_t address, const void *from,
			      size_t len)
{
	(void)cookie;
	vmb_publish(&copy.begun, 1);
	sem_wait(&copy.let);
	memcpy((void *)(uintptr_t)address, from, len);
	return (int64_t)len;
}

static void setup_copy(void)
{
	struct vmb_nic_memory memory = {.kind = VMB_REGION_PROCESS,
					.address = (uintptr_t)copy.to,
					.len = COPIED};

	setup();
	copy.host = *t_nic()->host;
	copy.host.process_write = write_when_let;
	t_nic()->host = &copy.host;
	sem_init(&copy.let, 0, 0);
	ck_assert_int_eq(vmb_nic_mover_open(t_nic(), NULL, &copy.mover), 0);
	memory.mover = copy.mover;
	ck_assert_int_eq(vmb_nic_region_add(t_nic(), t_port_domain(b.port),
					    &memory, &copy.key),
			 0);
}

static void teardown_copy(void)
{
	sem_post(&copy.let);
	vmb_nic_region_remove(t_nic(), t_port_domain(b.port), copy.key);
	vmb_nic_mover_close(copy.mover);
	teardown();
}

/* b gets what a has at key, and its copy begins. */
static void begin_copy(uint64_t key)
{
	struct vmb_slot_rdma what = {
		.local_key = copy.key, .remote_key = key, .len = COPIED};
	struct vmb_slot slot = {.op = VMB_OP_GET, .peer = a.am.pep.handle};

	memcpy(slot.payload, &what, sizeof(what));
	vmb_ring_commit(&b.am.doorbell, &slot);
	b.am.port->ops->kick(&b.am.pep);
	while (!vmb_observe(&copy.begun))
		t_nic_breathe_one(1);
}

/*
 * It cannot be called back, so the client is not told that its transfers have
 * ended; peers are. Looped: the copy ends, or its mover is given up.
 */
START_TEST(client_is_not_told_while_its_memory_is_written)
{
	uint64_t key;
	void *from;

	post_short(&a, &b, 1);
	t_ends_until(b.received[0] == 1, &a, &b);
	ck_assert_int_eq(a.port->ops->mem_alloc(a.port, COPIED, &from, &key),
			 0);
	memset(from, 7, COPIED);
	begin_copy(key);
	lie(&b);
	t_ends_until(a.gone == 1, &a);
	for (unsigned i = 0; i < 1000; i++)
		t_nic_breathe_one(1);
	ck_assert(!inside(&b)->laid_off);
	ck_assert_uint_eq(b.am.ctl->state, VMB_STATE_OPEN);
	ck_assert_uint_ne(last_event(&b)->op, VMB_EV_FAULT);
	if (_i) /* deregistering does not wait for it for ever */
		vmb_nic_region_remove(t_nic(), t_port_domain(b.port), copy.key);
	else
		sem_post(&copy.let);
	t_ends_until(inside(&b)->laid_off, &a);
	ck_assert_uint_eq(b.am.ctl->state, VMB_STATE_FAULTED);
	ck_assert_uint_eq(last_event(&b)->op, VMB_EV_FAULT);
	ck_assert_uint_eq(copy.to[COPIED - 1], _i ? 0 : 7);
	a.port->ops->mem_free(a.port, from, COPIED, key);
}
END_TEST

/* ---- its peers --------------------------------------------------------------- */

/* They hear once, however it ends after that; others do not. */
START_TEST(peers_hear_of_a_fault_once)
{
	post_short(&a, &b, 1);
	t_ends_until(b.received[0] == 1, &a, &b);
	lie(&b);
	t_ends_until(a.gone == 1, &a, &c);
	ck_assert_uint_eq(c.gone, 0);
	ck_assert_int_eq(t_end_post(&a, &b, 0, 8, VMB_AM_TRY), -ECONNRESET);
	t_end_close(&b, 0);
	t_nic_settle();
	ck_assert_int_eq(vmb_am_poll(&a.am, 64), 0);
	ck_assert_int_eq(vmb_am_poll(&c.am, 64), 0);
	t_end_open(&b, NULL, &small);
}
END_TEST

/* c has never reached b: its first message finds a lie in place of room. */
START_TEST(who_finds_no_room_in_a_lie_hears_at_once)
{
	post_short(&a, &b, small.eq_slots - EVENTS_KEPT);
	t_nic_settle();
	vmb_publish(&b.am.ctl->consumed, vmb_pack(0x7fffffff, 0));
	post_short(&c, &b, 1);
	while (inside(&b)->state == VMB_STATE_OPEN)
		t_nic_breathe_one(0);
	ck_assert(!inside(&b)->laid_off);
	while (vmb_am_poll(&c.am, 64) > 0)
		;
	ck_assert_uint_eq(c.gone, 1);
	ck_assert_uint_eq(c.undelivered[0], 1);
	ck_assert_int_eq(c.code, -ECONNRESET);
	ck_assert_uint_eq(a.gone, 0);
	t_ends_until(a.gone == 1, &a, &c);
	ck_assert_uint_eq(c.gone, 1);
}
END_TEST

/*
 * Nobody will read the lane any more, nor close the endpoint. A word about the
 * lane itself that comes back is no message that anybody posted.
 */
START_TEST(waiting_in_a_lane_of_a_faulted_receiver_ends)
{
	vmb_am_set_lanes(&a.am, 1, 1);
	vmb_am_set_lanes(&b.am, 1, 1);
	while (!t_end_peer(&a, &b)->lane_on) {
		post_short(&a, &b, 1);
		t_ends_until(b.received[0] == a.sent[0], &a, &b);
	}
	while (!t_end_post(&a, &b, 0, 64, VMB_AM_TRY))
		;
	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(t_end_post(&a, &b, 1, 300, VMB_AM_QUEUE), 0);
	t_nic_settle();
	vmb_lane_owe(&a.am, t_end_peer(&a, &b), VMB_LANE_LOOK);
	vmb_lanes_speak(&a.am);
	lie(&b);
	while (!inside(&b)->laid_off)
		t_nic_breathe_one(1);
	t_ends_until(inside(&a)->stats->bounces == 1, &a);
	t_ends_until(a.gone == 1 && !vmb_am_due(&a.am), &a);
	ck_assert_uint_eq(a.undelivered[1], 10);
	ck_assert_int_eq(a.code, -ECONNRESET);
}
END_TEST

static TCase *add_case(Suite *s, const char *name, SFun up, SFun down)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, up, down);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	return tc;
}

static Suite *faults_suite(void)
{
	Suite *s = suite_create("faults");
	TCase *tc = add_case(s, "client", setup, teardown);

	tcase_add_test(tc, fault_by_another_engine_tells_its_code);
	tcase_add_test(tc, client_is_told_by_its_own_engine);
	tcase_add_test(tc, sleeping_client_is_told_of_its_fault);
	tc = add_case(s, "copy", setup_copy, teardown_copy);
	tcase_add_loop_test(tc, client_is_not_told_while_its_memory_is_written,
			    0, 2);
	tc = add_case(s, "peers", setup, teardown);
	tcase_add_test(tc, peers_hear_of_a_fault_once);
	tcase_add_test(tc, who_finds_no_room_in_a_lie_hears_at_once);
	tcase_add_test(tc, waiting_in_a_lane_of_a_faulted_receiver_ends);
	return s;
}

int main(void)
{
	return t_run(faults_suite());
}
