// SPDX-License-Identifier: BSD-2-Clause
/*
 * help.c - what the suites share; see conform.h.
 *
 * Flow:  test -> [here] -> vmb_*()
 * Owns:  nothing.
 * Trust: every result is checked, so that a test fails where it goes wrong.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "conform/conform.h"
#include "conform/far.h"
#include "support/pattern.h"

/* Each way of a message or an answer takes one: more than any protocol has. */
#define SETTLE_ROUNDS 32

const struct t_port *t_port;

void t_attach(void)
{
	t_port->start();
	t_ok(vmb_init());
	far_attach();
}

void t_detach(void)
{
	far_detach();
	vmb_finalize();
	t_port->stop();
}

TCase *t_case(Suite *suite, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, t_attach, t_detach);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return tc;
}

TCase *t_case_here(Suite *suite, const char *name)
{
	static Suite *not_run;

	if (!far_where)
		return t_case(suite, name);
	if (!not_run)
		not_run = suite_create("not between two");
	return t_case(not_run, name);
}

double t_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- endpoints ---------------------------------------------------------------- */

struct vmb_endpoint *t_open(const struct vmb_open_params *params)
{
	struct vmb_endpoint *ep = NULL;

	t_ok(far_open(params, &ep));
	ck_assert_ptr_nonnull(ep);
	return ep;
}

uint64_t t_nic_id(void)
{
	uint64_t nic_id;

	t_ok(vmb_nic_id(&nic_id));
	return nic_id;
}

uint32_t t_id(struct vmb_endpoint *ep)
{
	struct vmb_addr self;
	uint32_t id;

	t_ok(vmb_self(ep, &self));
	t_ok(vmb_addr_query(ep, self, NULL, &id, NULL));
	return id;
}

uint64_t t_nic_of(struct vmb_endpoint *ep)
{
	struct vmb_addr self;
	uint64_t nic_id;

	t_ok(vmb_self(ep, &self));
	t_ok(vmb_addr_query(ep, self, &nic_id, NULL, NULL));
	return nic_id;
}

struct vmb_addr t_connect(struct vmb_endpoint *from, struct vmb_endpoint *to)
{
	struct vmb_addr addr;

	t_ok(vmb_connect(from, t_nic_of(to), t_id(to), 0, T_MS, &addr));
	return addr;
}

struct t_pair t_pair_open_with(const struct vmb_open_params *params)
{
	struct t_pair pair = {.a = t_open(params), .b = t_open(params)};

	pair.to_b = t_connect(pair.a, pair.b);
	pair.to_a = t_connect(pair.b, pair.a);
	return pair;
}

struct t_pair t_pair_open(void)
{
	return t_pair_open_with(NULL);
}

void t_pair_close(struct t_pair *pair)
{
	t_ok(vmb_close(pair->a));
	t_ok(vmb_close(pair->b));
}

bool t_addr_equal(struct vmb_addr a, struct vmb_addr b)
{
	return !memcmp(&a, &b, sizeof(a));
}

/* ---- messages ------------------------------------------------------------------ */

struct vmb_req *t_isend(struct vmb_endpoint *ep, struct vmb_addr to,
			uint64_t match, const void *buf, size_t len)
{
	struct vmb_segment seg = {.ptr = (void *)(uintptr_t)buf, .len = len};
	struct vmb_req *req = NULL;

	t_ok(vmb_isend(ep, &seg, 1, to, match, NULL, &req));
	ck_assert_ptr_nonnull(req);
	return req;
}

struct vmb_req *t_irecv(struct vmb_endpoint *ep, uint64_t match, uint64_t mask,
			void *buf, size_t len)
{
	struct vmb_segment seg = {.ptr = buf, .len = len};
	struct vmb_req *req = NULL;

	t_ok(vmb_irecv(ep, &seg, 1, match, mask, NULL, &req));
	ck_assert_ptr_nonnull(req);
	return req;
}

struct vmb_status t_finish(struct vmb_endpoint *ep, struct vmb_req *req)
{
	struct vmb_status status;
	int done = 0;

	t_ok(vmb_wait(ep, &req, T_MS, &status, &done));
	ck_assert_msg(done, "request did not end in time");
	ck_assert_ptr_null(req);
	return status;
}

struct vmb_status t_finish_pair(struct t_pair *pair, struct vmb_endpoint *ep,
				struct vmb_req *req)
{
	struct vmb_endpoint *other = ep == pair->a ? pair->b : pair->a;
	double end = t_seconds() + T_MS / 1000;
	struct vmb_status status;
	int done = 0;

	while (!done) {
		t_ok(vmb_progress(other));
		t_ok(vmb_test(ep, &req, &status, &done));
		ck_assert_msg(t_seconds() < end, "request did not end");
	}
	return status;
}

static void on_fence(struct vmb_endpoint *ep, int code, uint64_t moved,
		     void *context)
{
	(void)ep;
	(void)moved;
	ck_assert_int_eq(code, 0);
	*(bool *)context = true;
}

void t_flush(struct t_pair *pair, struct vmb_endpoint *ep)
{
	double end = t_seconds() + T_MS / 1000;
	bool posted = false, done = false;

	while (!done) {
		if (!posted) {
			int rc = vmb_am_fence(ep, on_fence, &done);

			ck_assert(!rc || rc == -EAGAIN);
			posted = !rc;
		}
		t_ok(vmb_progress(pair->a));
		t_ok(vmb_progress(pair->b));
		ck_assert_msg(t_seconds() < end, "the engine is not done");
	}
}

void t_settle(struct t_pair *pair)
{
	for (int i = 0; i < SETTLE_ROUNDS; i++) {
		t_flush(pair, pair->a);
		t_flush(pair, pair->b);
	}
}

void *t_pages(size_t len)
{
	void *pages = mmap(NULL, len, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(pages, MAP_FAILED);
	return pages;
}

void t_fill(void *buf, size_t len, unsigned seed)
{
	t_pattern_fill(buf, len, seed);
}

void t_verify(const void *buf, size_t len, unsigned seed)
{
	size_t wrong = t_pattern_check(buf, len, seed);

	if (wrong < len)
		ck_abort_msg("byte %zu of %zu is %u, sent was %u", wrong, len,
			     ((const unsigned char *)buf)[wrong],
			     t_pattern_byte(wrong, seed));
}

void t_exchange_in(struct t_pair *pair, uint64_t match, unsigned char *out,
		   unsigned char *in, size_t len)
{
	struct vmb_req *send, *recv;
	struct vmb_status status;

	memset(in, 0, len + 1);
	t_fill(out, len, (unsigned)match);
	recv = t_irecv(pair->b, match, VMB_MATCH_ALL, in, len);
	send = t_isend(pair->a, pair->to_b, match, out, len);
	status = t_finish_pair(pair, pair->b, recv);
	ck_assert_int_eq(status.code, 0);
	ck_assert_uint_eq(status.xfer_len, len);
	ck_assert_int_eq(t_finish_pair(pair, pair->a, send).code, 0);
	t_verify(in, len, (unsigned)match);
	ck_assert_uint_eq(in[len], 0); /* not a byte further */
}

void t_exchange(struct t_pair *pair, uint64_t match, size_t len)
{
	unsigned char *out = malloc(len + 1), *in = malloc(len + 1);

	t_exchange_in(pair, match, out, in, len);
	free(out);
	free(in);
}

struct vmb_counters t_counters(struct vmb_endpoint *ep)
{
	struct vmb_counters c = {.size = sizeof(c)};

	t_ok(vmb_query_counters(ep, &c));
	return c;
}

#define LANE_MESSAGES 200 /* more than it takes to want a lane */

/* Until the daemon has answered, messages take the engine. */
void t_exchange_until_lane(struct t_pair *pair)
{
	double begin = t_seconds();

	for (unsigned i = 0;
	     i < LANE_MESSAGES ||
	     (t_port_makes_lanes() && !t_counters(pair->a).lanes &&
	      t_seconds() - begin < T_MS / 1000);
	     i++)
		t_exchange(pair, i, 8);
	if (strcmp(t_port->name, "env")) /* that may be any */
		ck_assert_uint_eq(t_counters(pair->a).lanes != 0,
				  t_port_makes_lanes());
}

void t_note_end(struct vmb_endpoint *ep, int code, uint64_t moved,
		void *context)
{
	struct t_ended *e = context;

	(void)ep;
	e->code = code;
	e->moved = moved;
	__atomic_add_fetch(&e->count, 1, __ATOMIC_RELEASE);
}
