// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_descriptors.c - a client that lies in every field it can write, beside
 * two honest ones whose traffic must go on and verify.
 *
 * Flow:  liar -> raw bytes in its own area -> engine: code, fault record,
 *        error event; honest pair -> engine: as if nobody lied
 * Owns:  the engine, in this process: what the process holds after a test is
 *        compared with what it held before.
 */
#include <check.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support/inproc.h"
#include "support/run.h"
#include "witness.h"

static struct t_raw_usage before;
static struct t_client liar, a, b;
static uint64_t own_key, peer_key; /* 8 KiB of the liar, 8 KiB of a */
static uint64_t closed_key;	   /* of a, allows no remote access */
static void *own, *theirs, *closed;

static void open_all(unsigned threads)
{
	t_nic_start(&(struct vmb_nic_config){
		.threads = threads, .endpoints_max = 64, .spin_us = 50});
	t_client_open(&liar, "liar", NULL);
	t_client_open(&a, "honest", NULL);
	t_client_open(&b, "honest", NULL);
	ck_assert_int_eq(
		liar.port->ops->mem_alloc(liar.port, 8192, &own, &own_key), 0);
	ck_assert_int_eq(
		a.port->ops->mem_alloc(a.port, 8192, &theirs, &peer_key), 0);
	closed = calloc(1, 4096);
	ck_assert_int_eq(a.port->ops->mem_register(a.port, closed, 4096, 0,
						   &closed_key),
			 0);
}

static void close_all(void)
{
	liar.port->ops->mem_free(liar.port, own, 8192, own_key);
	a.port->ops->mem_free(a.port, theirs, 8192, peer_key);
	a.port->ops->mem_deregister(a.port, closed_key);
	free(closed);
	t_client_close(&liar);
	t_client_close(&a);
	t_client_close(&b);
	t_nic_stop();
}

/* Once in vain, so that what is made at first use is made. */
static void start_with(unsigned threads)
{
	open_all(threads);
	close_all();
	before = t_raw_usage(getpid());
	open_all(threads);
}

static void start(void)
{
	start_with(0);
}

static void start_threads(void)
{
	start_with(1);
}

static void stop(void)
{
	close_all();
	t_usage_is_as_before(getpid(), &before);
}

/* The honest pair exchanges and verifies n messages. */
static void honest_traffic(unsigned n)
{
	struct vmb_slot event;
	const uint8_t *data;

	for (unsigned i = 0; i < n; i++) {
		uint64_t word = i * 0x9e3779b97f4a7c15ull;

		t_client_send(&a, b.pep.handle, 1, i, &word, sizeof(word));
		ck_assert(t_client_next(&b, &event, 10000, &data));
		ck_assert_uint_eq(event.op, VMB_EV_ARRIVE);
		ck_assert_uint_eq(event.peer, a.pep.handle);
		ck_assert_uint_eq(event.hdr, i);
		ck_assert_mem_eq(data, &word, sizeof(word));
		if (i % 16 == 0)
			t_client_publish(&b);
	}
}

static struct vmb_nic_fault last_fault(void)
{
	struct vmb_nic_fault fault = {.code = VMB_CODE_OK};
	uint64_t lost;

	vmb_nic_faults(t_nic(), &fault, 1, &lost);
	return fault;
}

/* Who it was, and when. */
static void expect_whose(const struct vmb_nic_fault *fault)
{
	struct timespec now;
	uint64_t now_ns;

	clock_gettime(CLOCK_REALTIME, &now);
	now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	ck_assert_uint_eq(fault->handle, liar.pep.handle);
	ck_assert_uint_eq(fault->domain,
			  vmb_nic_domain_id(t_port_domain(liar.port)));
	ck_assert_uint_le(fault->time_ns, now_ns);
	ck_assert_uint_gt(fault->time_ns, now_ns - 60000000000u);
}

static uint64_t fault_count(void)
{
	return vmb_nic_stats(t_nic(), liar.pep.handle)->faults;
}

/* The liar is out, one record says why, and nobody else noticed. */
static void expect_faulted(unsigned code, unsigned op)
{
	struct vmb_nic_fault fault;
	struct vmb_slot event;

	honest_traffic(100);
	fault = last_fault();
	ck_assert_uint_eq(fault_count(), 1);
	ck_assert_uint_eq(fault.code, code);
	ck_assert_uint_eq(fault.op, op);
	expect_whose(&fault);
	ck_assert_uint_eq(vmb_load_relaxed(&liar.ctl->state),
			  VMB_STATE_FAULTED);
	ck_assert_uint_eq(vmb_load_relaxed(&liar.ctl->fault_code), code);
	while (vmb_ring_peek(&liar.events, &event) == 1 &&
	       event.op != VMB_EV_FAULT)
		vmb_ring_release(&liar.events, 1);
	ck_assert_uint_eq(event.op, VMB_EV_FAULT);
	ck_assert_uint_eq(event.status, code);
}

/* ---- descriptors that make no sense --------------------------------------- */

static const struct nonsense {
	const char *what;
	struct vmb_slot slot;
	unsigned code;
} nonsense[] = {
	{"op 0", {.op = 0}, VMB_CODE_BAD_OP},
	{"op past the last", {.op = VMB_OP_FENCE + 1}, VMB_CODE_BAD_OP},
	{"an event's op", {.op = VMB_EV_ARRIVE}, VMB_CODE_BAD_OP},
	{"op 255", {.op = 255}, VMB_CODE_BAD_OP},
	{"unknown flag",
	 {.op = VMB_OP_SEND, .flags = 0x08},
	 VMB_CODE_BAD_FLAGS},
	{"all flags", {.op = VMB_OP_PUT, .flags = 0xf8}, VMB_CODE_BAD_FLAGS},
	{"buffered put",
	 {.op = VMB_OP_PUT, .flags = VMB_F_BUF},
	 VMB_CODE_BAD_FLAGS},
	{"resumed fence",
	 {.op = VMB_OP_FENCE, .flags = VMB_F_RESUME},
	 VMB_CODE_BAD_FLAGS},
	{"status set", {.op = VMB_OP_SEND, .status = 1}, VMB_CODE_BAD_FLAGS},
	{"reserved set",
	 {.op = VMB_OP_SEND, .reserved_70 = 1},
	 VMB_CODE_BAD_FLAGS},
	{"41 bytes inline",
	 {.op = VMB_OP_SEND, .len = VMB_INLINE_ONE + 1},
	 VMB_CODE_BAD_LENGTH},
	{"65535 bytes inline",
	 {.op = VMB_OP_SEND, .len = 65535},
	 VMB_CODE_BAD_LENGTH},
	{"buffered, of no length",
	 {.op = VMB_OP_SEND, .flags = VMB_F_BUF},
	 VMB_CODE_BAD_LENGTH},
	{"buffered and inline",
	 {.op = VMB_OP_SEND, .flags = VMB_F_BUF, .len = 1},
	 VMB_CODE_BAD_LENGTH},
	{"put with a length", {.op = VMB_OP_PUT, .len = 1}, VMB_CODE_BAD_FLAGS},
	{"get with an am id", {.op = VMB_OP_GET, .am = 1}, VMB_CODE_BAD_FLAGS},
};

START_TEST(nonsense_faults_the_endpoint)
{
	struct vmb_slot slot = nonsense[_i].slot;

	slot.peer = a.pep.handle;
	t_client_post(&liar, &slot);
	t_nic_settle();
	expect_faulted(nonsense[_i].code, slot.op);
	/* it is not served any more */
	t_client_send(&liar, b.pep.handle, 0, 7, NULL, 0);
	honest_traffic(100);
}
END_TEST

START_TEST(pair_lies_fault_the_endpoint)
{
	struct vmb_slot slot = {.op = VMB_OP_SEND, .flags = VMB_F_PAIR};
	struct vmb_slot_ext ext = {.reserved_20 = _i == 0};

	slot.peer = a.pep.handle;
	if (_i == 1)
		slot.len = VMB_INLINE_PAIR + 1;
	if (_i == 2)
		slot.flags |= VMB_F_BUF;
	if (_i < 3)
		t_client_post_pair(&liar, &slot, &ext);
	else
		t_client_post(&liar, &slot); /* and no second slot */
	t_nic_settle();
	expect_faulted(_i == 1	 ? VMB_CODE_BAD_LENGTH
		       : _i == 3 ? VMB_CODE_BAD_SEQ
				 : VMB_CODE_BAD_FLAGS,
		       _i == 3 ? 0 : VMB_OP_SEND);
}
END_TEST

START_TEST(buffered_length_over_the_limit_faults)
{
	struct vmb_slot slot = {.op = VMB_OP_SEND, .flags = VMB_F_BUF};
	struct vmb_slot_buf buf = {.key = VMB_KEY_TX};

	buf.len = _i ? 1 : VMB_BUF_MAX + 1;
	buf.reserved_a0 = _i ? 1 : 0;
	slot.peer = a.pep.handle;
	memcpy(slot.payload, &buf, sizeof(buf));
	t_client_post(&liar, &slot);
	t_nic_settle();
	expect_faulted(_i ? VMB_CODE_BAD_FLAGS : VMB_CODE_BAD_LENGTH,
		       VMB_OP_SEND);
}
END_TEST

/* ---- positions that cannot be ------------------------------------------------ */

START_TEST(impossible_seq_faults)
{
	static const uint32_t lies[] = {2, 3, 64, 66, 1u << 31, 0xfffffffe};

	vmb_publish(&liar.doorbell.slots[0].seq, lies[_i]);
	liar.port->ops->kick(&liar.pep);
	t_nic_settle();
	expect_faulted(VMB_CODE_BAD_SEQ, 0);
}
END_TEST

START_TEST(impossible_consumer_faults)
{
	static const uint64_t lies[] = {
		1000,	    /* ahead of what was written */
		0xffffffff, /* backwards */
		0x80000000,
		1ull << 32, /* receive buffers never written */
		0xffffffffull << 32,
	};

	vmb_publish(&liar.ctl->consumed, lies[_i]);
	/* something has to arrive or leave before anybody cares */
	t_client_send(&liar, liar.pep.handle, 0, 0, NULL, 0);
	for (unsigned i = 0; i < VMB_EQ_SLOTS_MIN; i++) {
		t_client_send(&a, liar.pep.handle, 0, i, NULL, 0);
		t_nic_settle();
	}
	while (t_client_next(&a, &(struct vmb_slot){0}, 0, NULL))
		;
	expect_faulted(VMB_CODE_BAD_CONSUMER, 0);
}
END_TEST

/* ---- addresses that are refused ------------------------------------------------ */

/* key index into keys[]: what stands for a value known only at run time */
enum {
	OWN,
	PEER,
	CLOSED,
	NONE,
	TX,
	GUESSED,
	STALE,
	FOREIGN,
	KEYS
};

static const struct refusal {
	const char *what;
	unsigned op, local, remote;
	uint64_t local_offset, remote_offset, len;
	unsigned code;
} refusals[] = {
	{"no local key", VMB_OP_PUT, NONE, PEER, 0, 0, 8, VMB_CODE_BAD_KEY},
	{"no remote key", VMB_OP_PUT, OWN, NONE, 0, 0, 8, VMB_CODE_BAD_KEY},
	{"peer's key as own", VMB_OP_PUT, PEER, PEER, 0, 0, 8,
	 VMB_CODE_BAD_KEY},
	{"own key as peer's", VMB_OP_GET, OWN, OWN, 0, 0, 8, VMB_CODE_BAD_KEY},
	{"guessed key", VMB_OP_GET, OWN, GUESSED, 0, 0, 8, VMB_CODE_BAD_KEY},
	{"a third one's key", VMB_OP_GET, OWN, FOREIGN, 0, 0, 8,
	 VMB_CODE_BAD_KEY},
	{"a third one's key as own", VMB_OP_PUT, FOREIGN, PEER, 0, 0, 8,
	 VMB_CODE_BAD_KEY},
	{"stale key", VMB_OP_GET, OWN, STALE, 0, 0, 8, VMB_CODE_STALE_KEY},
	{"stale own key", VMB_OP_PUT, STALE, PEER, 0, 0, 8, VMB_CODE_STALE_KEY},
	{"no remote write", VMB_OP_PUT, OWN, CLOSED, 0, 0, 8, VMB_CODE_DENIED},
	{"no remote read", VMB_OP_GET, OWN, CLOSED, 0, 0, 8, VMB_CODE_DENIED},
	{"peer's send buffers", VMB_OP_GET, OWN, TX, 0, 0, 8, VMB_CODE_DENIED},
	{"own end", VMB_OP_PUT, OWN, PEER, 8185, 0, 8, VMB_CODE_BAD_RANGE},
	{"peer's end", VMB_OP_PUT, OWN, PEER, 0, 8185, 8, VMB_CODE_BAD_RANGE},
	{"offset past the end", VMB_OP_GET, OWN, PEER, 0, 8193, 0,
	 VMB_CODE_BAD_RANGE},
	{"length past the end", VMB_OP_GET, OWN, PEER, 0, 0, 8193,
	 VMB_CODE_BAD_RANGE},
	{"offset wraps", VMB_OP_GET, OWN, PEER, 0, UINT64_MAX, 8,
	 VMB_CODE_BAD_RANGE},
	{"offset + length wraps to 0", VMB_OP_GET, OWN, PEER, 0, UINT64_MAX - 7,
	 8, VMB_CODE_BAD_RANGE},
	{"own offset wraps", VMB_OP_PUT, OWN, PEER, UINT64_MAX - 7, 0, 8,
	 VMB_CODE_BAD_RANGE},
	{"length of everything", VMB_OP_PUT, OWN, PEER, 0, 0, UINT64_MAX,
	 VMB_CODE_BAD_RANGE},
	{"send buffers' end", VMB_OP_PUT, TX, PEER, VMB_TX_BYTES_MIN, 0, 1,
	 VMB_CODE_BAD_RANGE},
};

static void stale_key(uint64_t *key, struct t_client *c)
{
	void *p;

	ck_assert_int_eq(c->port->ops->mem_alloc(c->port, 4096, &p, key), 0);
	c->port->ops->mem_free(c->port, p, 4096, *key);
}

/* Is it what the descriptor says of its own memory that cannot be? */
static bool own_is_refused(const struct refusal *r)
{
	uint64_t end = r->local == TX ? VMB_TX_BYTES_MIN : 8192;

	return (r->local != OWN && r->local != TX) || r->local_offset > end ||
	       r->len > end - r->local_offset;
}

/* The record names the side that was refused: the own one is looked at first. */
static void expect_where(const struct vmb_nic_fault *fault,
			 const struct vmb_slot_rdma *what, bool at_home)
{
	expect_whose(fault);
	ck_assert_uint_eq(fault->key,
			  at_home ? what->local_key : what->remote_key);
	ck_assert_uint_eq(fault->address,
			  at_home ? what->local_offset : what->remote_offset);
	ck_assert_uint_eq(fault->len, what->len);
}

START_TEST(refused_address_is_an_error_and_no_access)
{
	const struct refusal *r = &refusals[_i];
	struct vmb_nic_fault fault;
	struct t_client third;
	void *foreign;
	uint64_t keys[KEYS] = {own_key, peer_key,   closed_key,
			       0,	VMB_KEY_TX, peer_key ^ 0x100000000000,
			       0};
	struct vmb_slot_rdma what = {.local_offset = r->local_offset,
				     .remote_offset = r->remote_offset,
				     .len = r->len};
	struct vmb_slot slot = {.op = (uint8_t)r->op, .hdr = 77};
	static uint8_t expected[8192];
	struct vmb_slot event;

	stale_key(&keys[STALE], r->local == STALE ? &liar : &a);
	t_client_open(&third, "neither", NULL);
	ck_assert_int_eq(third.port->ops->mem_alloc(third.port, 4096, &foreign,
						    &keys[FOREIGN]),
			 0);
	what.local_key = keys[r->local];
	what.remote_key = keys[r->remote];
	memset(own, 0x11, 8192);
	memset(theirs, 0x22, 8192);
	memcpy(slot.payload, &what, sizeof(what));
	slot.peer = a.pep.handle;
	t_client_post(&liar, &slot);
	t_client_expect(&liar, VMB_EV_DONE, &event);
	ck_assert_msg(event.status == r->code, "%s: code %u, not %u", r->what,
		      event.status, r->code);
	ck_assert_uint_eq(event.hdr, 77);
	ck_assert_uint_eq(fault_count(), 1);
	fault = last_fault();
	ck_assert_uint_eq(fault.code, r->code);
	ck_assert_uint_eq(fault.op, r->op);
	expect_where(&fault, &what, own_is_refused(r));
	memset(expected, 0x11, sizeof(expected));
	ck_assert_mem_eq(own, expected, sizeof(expected));
	memset(expected, 0x22, sizeof(expected));
	ck_assert_mem_eq(theirs, expected, sizeof(expected));
	/* the endpoint goes on */
	honest_traffic(10);
	t_client_send(&liar, b.pep.handle, 0, 5, NULL, 0);
	t_client_expect(&b, VMB_EV_ARRIVE, &event);
	ck_assert_uint_eq(event.hdr, 5);
	third.port->ops->mem_free(third.port, foreign, 4096, keys[FOREIGN]);
	t_client_close(&third);
}
END_TEST

START_TEST(send_from_a_refused_address_bounces)
{
	static const struct {
		uint64_t key, offset;
		uint32_t len;
		unsigned code;
	} cases[] = {
		{VMB_KEY_TX, VMB_TX_BYTES_MIN, 1, VMB_CODE_BAD_RANGE},
		{VMB_KEY_TX, UINT64_MAX, 2, VMB_CODE_BAD_RANGE},
		{VMB_KEY_TX, 1, VMB_RX_BYTES_MIN / 2 + 1, VMB_CODE_BAD_LENGTH},
		{0, 0, 8, VMB_CODE_BAD_KEY},
		{0x0000123400010005, 0, 8, VMB_CODE_BAD_KEY},
	};
	struct vmb_slot_buf buf = {.key = cases[_i].key,
				   .offset = cases[_i].offset,
				   .len = cases[_i].len};
	struct vmb_slot slot = {.op = VMB_OP_SEND, .flags = VMB_F_BUF};
	struct vmb_slot event;

	slot.peer = a.pep.handle;
	memcpy(slot.payload, &buf, sizeof(buf));
	t_client_post(&liar, &slot);
	t_client_expect(&liar, VMB_EV_BOUNCE, &event);
	ck_assert_uint_eq(event.status, cases[_i].code);
	ck_assert_uint_eq(fault_count(), 1);
	honest_traffic(10);
}
END_TEST

START_TEST(send_to_nobody_bounces)
{
	static const uint32_t nobody[] = {0,	      1,       0xffff,
					  0xffffffff, 0x10020, 0x7fff0001};
	struct vmb_slot event;

	t_client_send(&liar, nobody[_i], 0, 0, NULL, 0);
	t_client_expect(&liar, VMB_EV_BOUNCE, &event);
	ck_assert(event.status == VMB_CODE_BAD_PEER ||
		  event.status == VMB_CODE_PEER_GONE);
	honest_traffic(10);
}
END_TEST

/* ---- what is left ------------------------------------------------------------ */

/* Every descriptor that faults, one that bounces, one that is refused. */
static void tell_all_lies(void)
{
	const struct vmb_slot_rdma nowhere = {.local_key = own_key, .len = 8};
	struct vmb_slot slot, event;

	slot = (struct vmb_slot){.op = VMB_OP_GET, .peer = a.pep.handle};
	memcpy(slot.payload, &nowhere, sizeof(nowhere));
	t_client_post(&liar, &slot);
	t_client_expect(&liar, VMB_EV_DONE, &event);
	t_client_send(&liar, 0, 0, 0, NULL, 0);
	t_client_expect(&liar, VMB_EV_BOUNCE, &event);
	for (unsigned i = 0; i < vmb_array_size(nonsense); i++) {
		slot = nonsense[i].slot;
		slot.peer = a.pep.handle;
		t_client_post(&liar, &slot);
		t_client_expect(&liar, VMB_EV_FAULT, &event);
		t_client_reopen(&liar);
	}
}

#define ROUNDS 200
#define LEAST_LEAK 16u /* bytes; the allocator gives no less */

/* The fixture allows for what allocators keep; here each byte counts. */
START_TEST(lies_leave_nothing_behind)
{
	struct t_raw_usage first, last;
	size_t bytes;

	tell_all_lies();
	first = t_raw_usage(getpid());
	bytes = mallinfo2().uordblks;
	for (int i = 0; i < ROUNDS; i++)
		tell_all_lies();
	ck_assert_uint_lt(mallinfo2().uordblks, bytes + ROUNDS * LEAST_LEAK);
	last = t_raw_usage(getpid());
	ck_assert_uint_eq(last.fds, first.fds);
	ck_assert_uint_lt(last.maps, first.maps + ROUNDS);
	honest_traffic(100);
}
END_TEST

/* ---- the log ------------------------------------------------------------------- */

START_TEST(fault_log_is_bounded_and_counts_what_it_lost)
{
	static struct vmb_nic_fault records[4096];
	struct vmb_slot event;
	uint64_t lost;
	size_t n;

	for (unsigned i = 0; i < 3000; i++) {
		t_client_send(&liar, 0, 0, i, NULL, 0);
		t_client_expect(&liar, VMB_EV_BOUNCE, &event);
	}
	n = vmb_nic_faults(t_nic(), records, 4096, &lost);
	ck_assert_uint_eq(n, 1024);
	ck_assert_uint_eq(lost, 3000 - 1024);
	for (size_t i = 0; i < n; i++)
		ck_assert_uint_eq(records[i].number, lost + i);
	honest_traffic(100);
}
END_TEST

/* ---- while it is read ------------------------------------------------------------ */

static uint32_t liar_stops;

/* Scribble over everything a client can write, as fast as possible. */
static void *scribble(void *arg)
{
	uint64_t random = 88172645463325252ull + (uintptr_t)arg;
	uint64_t *page = (uint64_t *)(void *)liar.doorbell.slots;

	while (!vmb_load_relaxed(&liar_stops)) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		/* mostly plausible heads, so that the checks behind are met */
		if (random % 8 == 0)
			vmb_store_relaxed(&page[random % 512], random);
		else if (random % 8 == 1)
			vmb_store_relaxed(&liar.ctl->consumed, random);
		else
			vmb_store_relaxed(&page[random % 512],
					  (random & 0x0107000700000000) |
						  (uint32_t)(random % 130));
	}
	return NULL;
}

START_TEST(doorbell_rewritten_while_read_hurts_nobody)
{
	pthread_t thread;

	vmb_store_relaxed(&liar_stops, 0);
	pthread_create(&thread, NULL, scribble, NULL);
	for (int round = 0; round < 30; round++) {
		/* a faulted liar comes back under another handle */
		if (vmb_load_relaxed(&liar.ctl->state) == VMB_STATE_FAULTED) {
			vmb_store_relaxed(&liar_stops, 1);
			pthread_join(thread, NULL);
			t_client_reopen(&liar);
			vmb_store_relaxed(&liar_stops, 0);
			pthread_create(&thread, NULL, scribble,
				       (void *)(uintptr_t)round);
		}
		liar.port->ops->kick(&liar.pep);
		honest_traffic(200);
	}
	vmb_store_relaxed(&liar_stops, 1);
	pthread_join(thread, NULL);
	honest_traffic(100);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("descriptors");
	TCase *stepped = tcase_create("stepped");
	TCase *threaded = tcase_create("threaded");

	tcase_add_checked_fixture(stepped, start, stop);
	tcase_set_timeout(stepped, 60);
	tcase_add_loop_test(stepped, nonsense_faults_the_endpoint, 0,
			    (int)vmb_array_size(nonsense));
	tcase_add_loop_test(stepped, pair_lies_fault_the_endpoint, 0, 4);
	tcase_add_loop_test(stepped, buffered_length_over_the_limit_faults, 0,
			    2);
	tcase_add_loop_test(stepped, impossible_seq_faults, 0, 6);
	tcase_add_loop_test(stepped, impossible_consumer_faults, 0, 5);
	tcase_add_loop_test(stepped, refused_address_is_an_error_and_no_access,
			    0, (int)vmb_array_size(refusals));
	tcase_add_loop_test(stepped, send_from_a_refused_address_bounces, 0, 5);
	tcase_add_loop_test(stepped, send_to_nobody_bounces, 0, 6);
	tcase_add_test(stepped, lies_leave_nothing_behind);
	tcase_add_test(stepped, fault_log_is_bounded_and_counts_what_it_lost);
	suite_add_tcase(s, stepped);

	tcase_add_checked_fixture(threaded, start_threads, stop);
	tcase_set_timeout(threaded, 120);
	tcase_add_test(threaded, doorbell_rewritten_while_read_hurts_nobody);
	suite_add_tcase(s, threaded);

	return t_run(s);
}
