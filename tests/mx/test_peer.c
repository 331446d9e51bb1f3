// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_peer.c - what happens when a peer leaves, dies, comes back, or is
 * disconnected.
 *
 * Flow:  near halves are libcheck tests; the next far process is the old one
 *        come back: the same endpoint id, another session
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "mxtest.h"

#define LARGE (1u << 20)

static uint32_t session_of(mx_endpoint_addr_t addr)
{
	uint64_t nic;
	uint32_t id, session = 0;

	T_OK(mx_decompose_endpoint_addr2(addr, &nic, &id, &session));
	T_CHECK(nic == t_far_nic() && id == t_far_id && session != 0);
	return session;
}

/* The next far process takes the place of the one that has left. */
static mx_endpoint_addr_t reconnect(struct peer *p)
{
	double end = t_seconds() + T_MS / 1000;
	mx_endpoint_addr_t now;
	mx_return_t code;

	do {
		code = mx_connect(p->ep, t_far_nic(), t_far_id, 0, T_MS, &now);
		T_CHECK(code == MX_SUCCESS || code == MX_CONNECTION_FAILED);
		T_CHECK(t_seconds() < end);
	} while (code || !memcmp(&now, &p->to, sizeof(now)));
	return now;
}

/* ---- a peer that dies ------------------------------------------------------------------ */

START_TEST(death_ends_what_is_pending)
{
	struct peer p = t_begin("death");
	char *buf = t_alloc(LARGE), in[10];
	mx_request_t large, synchronous, receive, fetched;
	mx_status_t status;
	uint32_t result;

	session_of(p.to);
	receive = t_irecv(&p, 77, in, 10);
	t_finish_well(&p, t_irecv(&p, 3, in, 10)); /* it has sent to us */
	t_probe(&p, 4);
	t_probe(&p, 5);
	large = t_isend(&p, 1, buf, LARGE);
	synchronous = t_issend(&p, 2, buf, 10);
	t_finish_well(&p, t_isend(&p, 6, NULL, 0)); /* now it dies */
	T_EQ(t_finish(&p, large).code, MX_STATUS_ENDPOINT_CLOSED);
	T_EQ(t_finish(&p, synchronous).code, MX_STATUS_ENDPOINT_CLOSED);
	/* what it had sent stays; what has to be fetched cannot be */
	t_take(&p, 4, 10);
	fetched = t_irecv(&p, 5, buf, LARGE);
	status = t_finish(&p, fetched);
	T_EQ(status.code, MX_STATUS_ENDPOINT_CLOSED);
	T_EQ(status.xfer_length, 0);
	/* posted receives have no source and never fail */
	T_OK(mx_test(p.ep, &receive, &status, &result));
	T_EQ(result, 0);
	t_end_silent(&p);
	free(buf);
}
END_TEST

static void far_death(struct peer *p)
{
	char *buf = t_alloc(LARGE), in;

	t_fill(buf, 10, 4);
	t_finish_well(p, t_isend(p, 3, buf, 10));
	t_finish_well(p, t_isend(p, 4, buf, 10));
	t_isend(p, 5, buf, LARGE);
	t_finish_well(p, t_irecv(p, 6, &in, 1));
	kill(getpid(), SIGKILL);
}

/* ---- a peer that comes back -------------------------------------------------------------- */

START_TEST(old_address_is_stale_after_a_restart)
{
	struct peer p = t_begin("restart");
	mx_endpoint_addr_t old = p.to, now;
	mx_request_t request;
	mx_status_code_t code;
	uint32_t session = session_of(old);

	t_take(&p, 1, 5);
	t_finish_well(&p, t_isend(&p, 2, NULL, 0)); /* it leaves */
	now = reconnect(&p);
	ck_assert_uint_ne(session_of(now), session);
	ck_assert(memcmp(&old, &now, sizeof(now)) != 0);
	T_OK(mx_issend(p.ep, NULL, 0, old, 3, NULL, &request));
	code = t_finish(&p, request).code;
	/* it may have been under way when we heard of the end */
	T_CHECK(code == MX_STATUS_BAD_SESSION ||
		code == MX_STATUS_ENDPOINT_CLOSED);
	T_OK(mx_isend(p.ep, NULL, 0, old, 3, NULL, &request));
	T_EQ(t_finish(&p, request).code, MX_STATUS_BAD_SESSION);
	t_end_silent(&p);
}
END_TEST

static void far_restart(struct peer *p)
{
	t_put(p, 1, 5);
	t_take(p, 2, 0);
	T_OK(mx_close_endpoint(p->ep));
	_Exit(0);
}

static void expect_source(struct peer *p, mx_endpoint_addr_t source, size_t len)
{
	char in[100];
	mx_status_t status = t_finish_well(p, t_irecv(p, 4, in, sizeof(in)));

	T_EQ(status.msg_length, len);
	T_EQ(status.xfer_length, len);
	t_verify(in, len, 4);
	ck_assert_mem_eq(&status.source, &source, sizeof(source));
}

/* What one process has sent is its own, whoever has its place now. */
START_TEST(messages_of_the_old_process_stay)
{
	struct peer p = t_begin("old_one"), now = p;
	uint32_t session = session_of(p.to);
	mx_status_code_t code;
	mx_request_t request;
	void *context = NULL;

	t_probe(&p, 8);
	T_OK(mx_set_endpoint_addr_context(p.to, &p));
	t_finish_well(&p, t_isend(&p, 2, NULL, 0)); /* it leaves */
	now.to = reconnect(&p);
	t_finish_well(&now, t_issend(&now, CONTROL_START, "new_one", 8));
	t_probe(&p, 5); /* the new one has sent, too */
	expect_source(&p, p.to, 10);
	expect_source(&now, now.to, 20);
	t_take(&p, 8, 30); /* synchronous, but here */
	/* the old address has its session and its context, and leads nowhere */
	T_EQ(session_of(p.to), session);
	T_OK(mx_get_endpoint_addr_context(p.to, &context));
	ck_assert_ptr_eq(context, &p);
	T_OK(mx_get_endpoint_addr_context(now.to, &context));
	ck_assert_ptr_null(context);
	T_OK(mx_issend(p.ep, NULL, 0, p.to, 6, NULL, &request));
	code = t_finish(&p, request).code;
	/* it may have been under way when we heard of the end */
	T_CHECK(code == MX_STATUS_BAD_SESSION ||
		code == MX_STATUS_ENDPOINT_CLOSED);
	t_finish_well(&now, t_isend(&now, 7, NULL, 0));
	t_end(&now);
}
END_TEST

static void far_old_one(struct peer *p)
{
	char buf[30];

	t_put(p, 4, 10);
	t_fill(buf, sizeof(buf), 8);
	t_issend(p, 8, buf, sizeof(buf));
	t_take(p, 2, 0);
	T_OK(mx_close_endpoint(p->ep));
	_Exit(0);
}

static void far_new_one(struct peer *p)
{
	uint32_t result;

	t_put(p, 4, 20);
	t_put(p, 5, 0);
	t_take(p, 7, 0);
	/* it was for another one, and came before what we have received */
	T_OK(mx_iprobe(p->ep, 6, MX_MATCH_MASK_NONE, NULL, &result));
	T_EQ(result, 0);
}

/* Who disconnects the old one gets rid of them. */
START_TEST(messages_of_the_old_process_are_dropped_by_disconnect)
{
	struct peer p = t_begin("old_one");
	uint32_t result;

	t_probe(&p, 4);
	t_finish_well(&p, t_isend(&p, 2, NULL, 0));
	reconnect(&p);
	T_OK(mx_disconnect(p.ep, p.to));
	T_OK(mx_iprobe(p.ep, 4, MX_MATCH_MASK_NONE, NULL, &result));
	T_EQ(result, 0);
	t_end_silent(&p);
}
END_TEST

/* ---- one's own session ------------------------------------------------------------------- */

/* It is what the peers are told. */
START_TEST(own_session_is_what_a_peer_gets_by_connect)
{
	struct peer p = t_begin("session");
	uint32_t id, own = 0, seen[2] = {0, 0};
	mx_endpoint_addr_t self;
	uint64_t nic;

	T_OK(mx_get_endpoint_addr(p.ep, &self));
	T_OK(mx_decompose_endpoint_addr2(self, &nic, &id, &own));
	ck_assert_uint_eq(nic, t_own_nic());
	ck_assert_uint_ne(own, 0);
	t_finish_well(&p, t_irecv(&p, 1, seen, sizeof(seen)));
	ck_assert_uint_eq(seen[0], own);
	ck_assert_uint_eq(seen[1], own);
	t_end(&p);
}
END_TEST

/* By connect, and from an address that came with a message. */
static void far_session(struct peer *p)
{
	mx_endpoint_addr_t addr;
	uint32_t id, seen[2];
	uint64_t nic;

	T_OK(mx_decompose_endpoint_addr2(p->to, &nic, &id, &seen[1]));
	T_OK(mx_connect(p->ep, nic, id, 0, T_MS, &addr));
	T_OK(mx_decompose_endpoint_addr2(addr, &nic, &id, &seen[0]));
	t_finish_well(p, t_isend(p, 1, seen, sizeof(seen)));
}

/* ---- a source that has left ------------------------------------------------------------ */

struct self {
	uint64_t nic;
	uint32_t id, session;
};

/* Nobody connected to it, and nobody asked before it was gone. */
START_TEST(source_that_has_left_is_decomposed)
{
	struct peer p = t_begin("passer_by");
	mx_endpoint_addr_t source;
	struct self self, told = {0};
	uint32_t id = 0;

	source = t_finish_well(&p, t_irecv(&p, 1, &self, sizeof(self))).source;
	t_finish_well(&p, t_isend(&p, 2, NULL, 0)); /* its process leaves */
	reconnect(&p);
	T_OK(mx_decompose_endpoint_addr(source, &told.nic, &id));
	T_CHECK(told.nic == self.nic && id == self.id && id != t_far_id);
	T_OK(mx_decompose_endpoint_addr2(source, &told.nic, &told.id,
					 &told.session));
	T_CHECK(told.nic == self.nic && told.id == self.id &&
		told.session == self.session);
	/* it is known, and not there */
	T_FAILS(mx_connect(p.ep, self.nic, self.id, 0, T_MS, &source),
		MX_CONNECTION_FAILED);
	t_end_silent(&p);
}
END_TEST

/* A message of an endpoint that exists for it alone. */
static void far_passer_by(struct peer *p)
{
	struct peer passer = {.far = true};
	mx_endpoint_addr_t addr;
	struct self self;
	uint64_t nic;
	uint32_t id;

	T_OK(mx_open_endpoint(0, MX_ANY_ENDPOINT, 0, NULL, 0, &passer.ep));
	T_OK(mx_get_endpoint_addr(passer.ep, &addr));
	T_OK(mx_decompose_endpoint_addr2(addr, &self.nic, &self.id,
					 &self.session));
	T_OK(mx_decompose_endpoint_addr(p->to, &nic, &id));
	T_OK(mx_connect(passer.ep, nic, id, 0, T_MS, &passer.to));
	t_finish_well(&passer, t_isend(&passer, 1, &self, sizeof(self)));
	T_OK(mx_close_endpoint(passer.ep));
	t_take(p, 2, 0);
	T_OK(mx_close_endpoint(p->ep));
	_Exit(0);
}

/* ---- disconnect ------------------------------------------------------------------------------ */

START_TEST(disconnect_gives_everything_back)
{
	struct peer p = t_begin("disconnect");
	char *buf = t_alloc(LARGE), in[10];
	mx_request_t large, synchronous, receive;
	mx_status_t status;
	void *context;
	uint32_t result;

	t_probe(&p, 4);
	T_OK(mx_set_endpoint_addr_context(p.to, &p));
	receive = t_irecv(&p, 5, in, 10);
	large = t_isend(&p, 1, buf, LARGE);
	synchronous = t_issend(&p, 2, buf, 10);
	T_OK(mx_disconnect(p.ep, p.to));
	T_EQ(t_finish(&p, large).code, MX_STATUS_ENDPOINT_UNREACHABLE);
	T_EQ(t_finish(&p, synchronous).code, MX_STATUS_ENDPOINT_UNREACHABLE);
	T_OK(mx_iprobe(p.ep, 0, 0, &status, &result));
	T_EQ(result, 0); /* what it sent and nobody received is dropped */
	T_FAILS(mx_get_endpoint_addr_context(p.to, &context), MX_BAD_ENDPOINT);
	T_FAILS(mx_disconnect(p.ep, p.to), MX_BAD_ENDPOINT);
	T_OK(mx_connect(p.ep, t_far_nic(), t_far_id, 0, T_MS, &p.to));
	T_OK(mx_get_endpoint_addr_context(p.to, &context));
	ck_assert_ptr_null(context);
	t_finish_well(&p, t_isend(&p, 3, NULL, 0));
	t_finish_well(&p, receive); /* posted before, and stays */
	t_end(&p);
	free(buf);
}
END_TEST

static void far_disconnect(struct peer *p)
{
	t_put(p, 4, 10);
	t_take(p, 3, 0);
	t_put(p, 5, 10);
}

/* A disconnect tells the peer nothing, and it may send on. */
START_TEST(peer_is_not_told_of_a_disconnect)
{
	struct peer p = t_begin("untold");

	t_put(&p, 1, 10);
	t_take(&p, 2, 10);
	T_OK(mx_disconnect(p.ep, p.to));
	T_OK(mx_connect(p.ep, t_far_nic(), t_far_id, 0, T_MS, &p.to));
	t_put(&p, 3, 10);
	t_take(&p, 4, LARGE);
	t_end(&p);
}
END_TEST

static void far_untold(struct peer *p)
{
	t_take(p, 1, 10);
	t_put(p, 2, 10);
	t_take(p, 3, 10);
	t_put(p, 4, LARGE);
}

/* ---- tables ------------------------------------------------------------------------------ */

const struct far_half t_peer_far[] = {
	{"death", far_death},
	{"restart", far_restart},
	{"old_one", far_old_one},
	{"new_one", far_new_one},
	{"session", far_session},
	{"passer_by", far_passer_by},
	{"disconnect", far_disconnect},
	{"untold", far_untold},
	{NULL, NULL},
};

Suite *t_peer_suite(void)
{
	Suite *s = suite_create("peer");
	TCase *tc = t_case(s, "peers");

	tcase_add_test(tc, death_ends_what_is_pending);
	tcase_add_test(tc, old_address_is_stale_after_a_restart);
	tcase_add_test(tc, messages_of_the_old_process_stay);
	tcase_add_test(tc,
		       messages_of_the_old_process_are_dropped_by_disconnect);
	tcase_add_test(tc, own_session_is_what_a_peer_gets_by_connect);
	tcase_add_test(tc, source_that_has_left_is_decomposed);
	tcase_add_test(tc, disconnect_gives_everything_back);
	tcase_add_test(tc, peer_is_not_told_of_a_disconnect);
	return s;
}
