// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_connect.c - addresses: how they are obtained, what they tell.
 *
 * Flow:  vmb_connect(), vmb_iconnect() -> address -> query, context, disconnect
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <errno.h>
#include <string.h>

#include "conform/conform.h"

/*
 * Our board's id but for this is nobody's. Boards are numbered one after the
 * other, so one bit away may be a guest.
 */
#define NOBODY 0x8000

START_TEST(connect_again_gives_an_equal_address)
{
	struct t_pair pair = t_pair_open();

	ck_assert(t_addr_equal(pair.to_b, t_connect(pair.a, pair.b)));
	ck_assert(!t_addr_equal(pair.to_b, pair.to_a));
	t_pair_close(&pair);
}
END_TEST

START_TEST(connect_to_self_gives_our_own_address)
{
	struct vmb_endpoint *ep = t_open(NULL);
	struct vmb_addr self;

	t_ok(vmb_self(ep, &self));
	ck_assert(t_addr_equal(self, t_connect(ep, ep)));
	t_ok(vmb_close(ep));
}
END_TEST

START_TEST(connect_errors_say_why)
{
	struct vmb_open_params p = {
		.size = sizeof(p), .id = 500, .key = 0x5ec2e7};
	struct vmb_endpoint *ep = t_open(NULL), *locked = t_open(&p);
	uint64_t nic = t_nic_of(locked);
	struct vmb_addr addr;

	t_fails(vmb_connect(ep, nic ^ NOBODY, 0, 0, T_MS, &addr), -ENXIO);
	t_fails(vmb_connect(ep, nic, 4321, 0, T_MS, &addr), -ECONNREFUSED);
	t_fails(vmb_connect(ep, nic, 65536, 0, T_MS, &addr), -EINVAL);
	t_fails(vmb_connect(ep, nic, 0, 0, -2, &addr), -EINVAL);
	t_fails(vmb_connect(ep, nic, 500, 0, T_MS, &addr), -EKEYREJECTED);
	t_ok(vmb_connect(ep, nic, 500, 0x5ec2e7, T_MS, &addr));
	t_fails(vmb_connect(locked, nic, 500, 1, T_MS, &addr), -EKEYREJECTED);
	t_ok(vmb_connect(locked, nic, 500, 0x5ec2e7, T_MS, &addr));
	t_ok(vmb_close(locked));
	t_ok(vmb_close(ep));
}
END_TEST

START_TEST(connect_times_out)
{
	struct t_pair pair = t_pair_open();
	double start = t_seconds();
	struct vmb_status status;
	struct vmb_addr addr;
	struct vmb_req *req;
	int cancelled;

	t_port->hold_connects(true);
	t_fails(vmb_connect(pair.a, t_nic_of(pair.b), t_id(pair.b), 0, 50,
			    &addr),
		-ETIMEDOUT);
	ck_assert(t_seconds() - start >= 0.05);
	ck_assert(t_seconds() - start < 5);
	t_ok(vmb_set_request_timeout(pair.a, NULL, 50));
	t_ok(vmb_iconnect(pair.a, t_nic_of(pair.b), t_id(pair.b), 0, 1, NULL,
			  &req));
	status = t_finish(pair.a, req);
	ck_assert_int_eq(status.code, -ETIMEDOUT);
	t_ok(vmb_set_request_timeout(pair.a, NULL, 0));
	t_ok(vmb_iconnect(pair.a, t_nic_of(pair.b), t_id(pair.b), 0, 1, NULL,
			  &req));
	t_ok(vmb_cancel(pair.a, &req, &cancelled));
	ck_assert_int_eq(cancelled, 1);
	ck_assert_ptr_null(req);
	t_port->hold_connects(false);
	ck_assert(t_addr_equal(pair.to_b, t_connect(pair.a, pair.b)));
	t_pair_close(&pair);
}
END_TEST

START_TEST(iconnect_reports_the_address)
{
	struct t_pair pair = t_pair_open();
	struct vmb_status status;
	struct vmb_req *req;

	t_ok(vmb_iconnect(pair.a, t_nic_of(pair.b), t_id(pair.b), 0, 77, &pair,
			  &req));
	status = t_finish(pair.a, req);
	ck_assert_int_eq(status.code, 0);
	ck_assert(t_addr_equal(status.peer, pair.to_b));
	ck_assert_uint_eq(status.match, 77);
	ck_assert_ptr_eq(status.context, &pair);
	t_ok(vmb_iconnect(pair.a, t_nic_of(pair.b), t_id(pair.b), 0, 77, &pair,
			  NULL)); /* nobody learns */
	t_pair_close(&pair);
}
END_TEST

START_TEST(iconnect_reports_errors)
{
	static const struct {
		uint64_t flip;
		uint32_t id, key;
		int code;
	} cases[] = {
		{NOBODY, 0, 0, -ENXIO},
		{0, 4321, 0, -ECONNREFUSED},
		{0, 0, 9, -EKEYREJECTED},
	};
	struct vmb_endpoint *target = t_open(NULL), *ep = t_open(NULL);
	struct vmb_req *req;

	ck_assert_uint_eq(t_id(target), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		t_ok(vmb_iconnect(ep, t_nic_of(target) ^ cases[i].flip,
				  cases[i].id, cases[i].key, i, NULL, &req));
		ck_assert_int_eq(t_finish(ep, req).code, cases[i].code);
	}
	t_fails(vmb_iconnect(ep, t_nic_id(), 65536, 0, 0, NULL, &req), -EINVAL);
	t_ok(vmb_close(ep));
	t_ok(vmb_close(target));
}
END_TEST

/* ---- about addresses ----------------------------------------------------------- */

START_TEST(query_tells_who_a_peer_is)
{
	struct t_pair pair = t_pair_open();
	uint32_t id, session, own_session;
	struct vmb_addr self;
	uint64_t nic;

	t_ok(vmb_addr_query(pair.a, pair.to_b, &nic, &id, &session));
	ck_assert_uint_eq(nic, t_nic_of(pair.b));
	ck_assert_uint_eq(id, t_id(pair.b));
	ck_assert_uint_ne(session, 0);
	t_ok(vmb_self(pair.b, &self));
	t_ok(vmb_addr_query(pair.b, self, NULL, NULL, &own_session));
	ck_assert_uint_eq(session, own_session);
	t_pair_close(&pair);
}
END_TEST

/* An address that nobody connected for: from a status. */
START_TEST(query_tells_who_sent)
{
	struct vmb_endpoint *a = t_open(NULL), *b = t_open(NULL);
	struct vmb_addr to_b = t_connect(a, b);
	struct vmb_status status;
	uint32_t id, session;
	uint64_t nic;
	char in[4];

	t_isend(a, to_b, 5, "abc", 4);
	status = t_finish(b, t_irecv(b, 5, VMB_MATCH_ALL, in, 4));
	t_ok(vmb_addr_query(b, status.peer, &nic, &id, &session));
	ck_assert_uint_eq(nic, t_nic_of(a));
	ck_assert_uint_eq(id, t_id(a));
	t_isend(b, status.peer, 6, "def", 4); /* and it can be answered */
	t_finish(a, t_irecv(a, 6, VMB_MATCH_ALL, in, 4));
	ck_assert_str_eq(in, "def");
	t_ok(vmb_close(a));
	/* what was learnt stays, though the peer has gone */
	t_ok(vmb_addr_query(b, status.peer, NULL, &id, NULL));
	t_ok(vmb_close(b));
}
END_TEST

/* Nobody connected to it, nobody asked while it was there. */
START_TEST(query_tells_who_sent_and_left)
{
	struct vmb_endpoint *a = t_open(NULL), *b = t_open(NULL);
	struct vmb_addr to_b = t_connect(a, b), self, again;
	uint64_t nic, nic_of_a = t_nic_of(a);
	uint32_t id, session, id_of_a = t_id(a), session_of_a;
	struct vmb_status status;
	struct vmb_req *req;
	char in[4];

	t_ok(vmb_self(a, &self));
	t_ok(vmb_addr_query(a, self, NULL, NULL, &session_of_a));
	t_isend(a, to_b, 5, "abc", 4);
	status = t_finish(b, t_irecv(b, 5, VMB_MATCH_ALL, in, 4));
	t_ok(vmb_close(a));
	t_ok(vmb_addr_query(b, status.peer, &nic, &id, &session));
	ck_assert_uint_eq(nic, nic_of_a);
	ck_assert_uint_eq(id, id_of_a);
	ck_assert_uint_eq(session, session_of_a);
	/* to know who it was makes it no destination */
	t_fails(vmb_connect(b, nic, id, 0, T_MS, &again), -ECONNREFUSED);
	t_ok(vmb_issend(b, NULL, 0, status.peer, 6, NULL, &req));
	ck_assert_int_eq(t_finish(b, req).code, -ECONNRESET);
	t_ok(vmb_close(b));
}
END_TEST

/* Its place is taken before anybody asks: they are two. */
START_TEST(query_tells_a_sender_from_its_successor)
{
	struct vmb_open_params p = {.size = sizeof(p), .id = 41};
	struct vmb_endpoint *a = t_open(&p), *b = t_open(NULL);
	struct vmb_addr to_b = t_connect(a, b), now;
	uint32_t id, session, session_now;
	struct vmb_status status;
	char in[4];

	t_isend(a, to_b, 5, "abc", 4);
	status = t_finish(b, t_irecv(b, 5, VMB_MATCH_ALL, in, 4));
	t_ok(vmb_close(a));
	a = t_open(&p);
	now = t_connect(b, a);
	t_ok(vmb_addr_query(b, status.peer, NULL, &id, &session));
	ck_assert_uint_eq(id, 41);
	t_ok(vmb_addr_query(b, now, NULL, &id, &session_now));
	ck_assert_uint_eq(id, 41);
	ck_assert_uint_ne(session, session_now);
	t_ok(vmb_close(a));
	t_ok(vmb_close(b));
}
END_TEST

START_TEST(context_is_kept_per_peer)
{
	struct t_pair pair = t_pair_open();
	struct vmb_addr self;
	void *context = &pair;

	t_ok(vmb_self(pair.a, &self));
	t_ok(vmb_addr_get_context(pair.a, pair.to_b, &context));
	ck_assert_ptr_null(context);
	t_ok(vmb_addr_set_context(pair.a, pair.to_b, &pair));
	t_ok(vmb_addr_get_context(pair.a, self, &context));
	ck_assert_ptr_null(context);
	t_ok(vmb_addr_get_context(pair.a, pair.to_b, &context));
	ck_assert_ptr_eq(context, &pair);
	t_pair_close(&pair);
}
END_TEST

/* Addresses of another endpoint, of a former one, made up. */
START_TEST(foreign_addresses_are_refused)
{
	struct t_pair pair = t_pair_open();
	struct vmb_addr made_up = pair.to_b, stale = pair.to_b;
	struct vmb_endpoint *third;
	struct vmb_req *req;
	void *context;

	made_up.opaque[0] ^= 0x0102030405060708ull;
	t_fails(vmb_isend(pair.a, NULL, 0, made_up, 0, NULL, &req), -EINVAL);
	made_up = pair.to_b;
	made_up.opaque[1] ^= 1;
	t_fails(vmb_isend(pair.a, NULL, 0, made_up, 0, NULL, &req), -EINVAL);
	t_fails(vmb_isend(pair.b, NULL, 0, pair.to_b, 0, NULL, &req), -EINVAL);
	t_fails(vmb_issend(pair.b, NULL, 0, pair.to_b, 0, NULL, &req), -EINVAL);
	t_fails(vmb_addr_query(pair.b, pair.to_b, NULL, NULL, NULL), -EINVAL);
	t_fails(vmb_addr_get_context(pair.b, pair.to_b, &context), -EINVAL);
	t_fails(vmb_disconnect(pair.b, pair.to_b), -EINVAL);
	t_fails(vmb_am_send(pair.b, pair.to_b, 1, 0, NULL, 0), -EINVAL);
	t_ok(vmb_close(pair.a));
	third = t_open(NULL);
	t_fails(vmb_isend(third, NULL, 0, stale, 0, NULL, &req), -EINVAL);
	t_ok(vmb_close(third));
	t_ok(vmb_close(pair.b));
}
END_TEST

START_TEST(address_leads_to_its_endpoint)
{
	struct t_pair pair = t_pair_open();
	struct vmb_endpoint *ep = NULL;
	struct vmb_addr bad = pair.to_b, self;
	uint64_t bits;

	t_ok(vmb_addr_endpoint(pair.to_b, &ep));
	ck_assert_ptr_eq(ep, pair.a);
	t_ok(vmb_self(pair.b, &self));
	t_ok(vmb_addr_endpoint(self, &ep));
	ck_assert_ptr_eq(ep, pair.b);
	/* any other is none; below bit 32 is the peer, and we know ourselves */
	for (int bit = 32; bit < 128; bit++) {
		memcpy(&bad, &pair.to_b, sizeof(bad));
		bits = bad.opaque[bit / 64] ^ 1ull << bit % 64;
		bad.opaque[bit / 64] = bits;
		t_fails(vmb_addr_endpoint(bad, &ep), -EINVAL);
	}
	t_fails(vmb_addr_endpoint(pair.to_b, NULL), -EINVAL);
	t_ok(vmb_disconnect(pair.a, pair.to_b));
	t_fails(vmb_addr_endpoint(pair.to_b, &ep), -EINVAL);
	t_pair_close(&pair);
	t_fails(vmb_addr_endpoint(self, &ep), -EINVAL);
}
END_TEST

/* ---- disconnect ------------------------------------------------------------------ */

START_TEST(disconnect_ends_what_is_pending)
{
	struct t_pair pair = t_pair_open();
	char *buf = t_pages(T_LARGE), in[16];
	struct vmb_req *send = t_isend(pair.a, pair.to_b, 1, buf, T_LARGE);
	struct vmb_req *recv = t_irecv(pair.a, 9, VMB_MATCH_ALL, in, 16);
	struct vmb_status status;
	int done;

	t_ok(vmb_addr_set_context(pair.a, pair.to_b, &pair));
	t_ok(vmb_disconnect(pair.a, pair.to_b));
	status = t_finish(pair.a, send);
	ck_assert_int_eq(status.code, -ECANCELED);
	ck_assert(t_addr_equal(status.peer, pair.to_b));
	t_ok(vmb_test(pair.a, &recv, NULL, &done));
	ck_assert_int_eq(done, 0); /* posted receives stay */
	t_fails(vmb_isend(pair.a, NULL, 0, pair.to_b, 0, NULL, NULL), -EINVAL);
	t_fails(vmb_disconnect(pair.a, pair.to_b), -EINVAL);
	t_pair_close(&pair);
}
END_TEST

START_TEST(connect_after_disconnect_works)
{
	struct t_pair pair = t_pair_open();
	void *context = &pair;

	t_exchange(&pair, 1, 100);
	t_ok(vmb_addr_set_context(pair.a, pair.to_b, &pair));
	t_ok(vmb_disconnect(pair.a, pair.to_b));
	pair.to_b = t_connect(pair.a, pair.b);
	t_ok(vmb_addr_get_context(pair.a, pair.to_b, &context));
	ck_assert_ptr_null(context);
	t_exchange(&pair, 2, 100);
	t_exchange(&pair, 3, 1000000);
	t_pair_close(&pair);
}
END_TEST

START_TEST(disconnect_drops_unexpected_messages)
{
	struct t_pair pair = t_pair_open();
	struct vmb_status status;
	int done;

	t_isend(pair.a, pair.to_b, 1, "x", 1);
	t_ok(vmb_probe(pair.b, 1, VMB_MATCH_ALL, T_MS, &status, &done));
	ck_assert_int_eq(done, 1);
	t_ok(vmb_disconnect(pair.b, status.peer));
	t_ok(vmb_iprobe(pair.b, 0, 0, &status, &done));
	ck_assert_int_eq(done, 0);
	t_pair_close(&pair);
}
END_TEST

/* The same id is opened again: the old address does not reach the new one. */
START_TEST(old_address_does_not_reach_a_successor)
{
	struct vmb_open_params p = {.size = sizeof(p), .id = 40};
	struct vmb_endpoint *a = t_open(NULL), *b = t_open(&p);
	struct vmb_addr old = t_connect(a, b), now;
	struct vmb_req *req = NULL;
	int rc, done;

	t_isend(a, old, 1, "x", 1);
	t_finish(b, t_irecv(b, 1, VMB_MATCH_ALL, &p, 1));
	t_ok(vmb_close(b));
	p = (struct vmb_open_params){.size = sizeof(p), .id = 40};
	b = t_open(&p);
	now = t_connect(a, b);
	ck_assert(!t_addr_equal(old, now));
	/* one that is under way when the end is heard of ends by it; later
	 * ones by what we know of the endpoint after it */
	t_ok(vmb_issend(a, NULL, 0, old, 2, NULL, &req));
	rc = t_finish(a, req).code;
	ck_assert(rc == -ECONNRESET || rc == -ESTALE);
	for (int i = 0; i < 3; i++) {
		t_ok(vmb_issend(a, NULL, 0, old, 2, NULL, &req));
		ck_assert_int_eq(t_finish(a, req).code, -ESTALE);
	}
	t_ok(vmb_iprobe(b, 0, 0, NULL, &done));
	ck_assert_int_eq(done, 0);
	t_isend(a, now, 3, "y", 1);
	t_finish(b, t_irecv(b, 3, VMB_MATCH_ALL, &p, 1));
	t_ok(vmb_close(a));
	t_ok(vmb_close(b));
}
END_TEST

Suite *t_connect_suite(void)
{
	Suite *s = suite_create("connect");
	TCase *tc = t_case(s, "connect");

	tcase_add_test(tc, connect_again_gives_an_equal_address);
	tcase_add_test(tc, connect_to_self_gives_our_own_address);
	tcase_add_test(tc, connect_errors_say_why);
	if (t_port->hold_connects)
		tcase_add_test(tc, connect_times_out);
	tcase_add_test(tc, iconnect_reports_the_address);
	tcase_add_test(tc, iconnect_reports_errors);
	tc = t_case(s, "address");
	tcase_add_test(tc, query_tells_who_a_peer_is);
	tcase_add_test(tc, query_tells_who_sent);
	tcase_add_test(tc, query_tells_who_sent_and_left);
	tcase_add_test(tc, query_tells_a_sender_from_its_successor);
	tcase_add_test(tc, context_is_kept_per_peer);
	tcase_add_test(tc, foreign_addresses_are_refused);
	tcase_add_test(tc, address_leads_to_its_endpoint);
	tc = t_case(s, "disconnect");
	tcase_add_test(tc, disconnect_ends_what_is_pending);
	tcase_add_test(tc, connect_after_disconnect_works);
	tcase_add_test(tc, disconnect_drops_unexpected_messages);
	tcase_add_test(tc, old_address_does_not_reach_a_successor);
	return s;
}
