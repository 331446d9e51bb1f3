// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_checklist.c - the points on which programs written to MX break: a test
 * for each, under its number in docs/mx.md.
 *
 * Flow:  near halves are libcheck tests; far halves have the same name
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "mx_internals/mx__driver_interface.h"
#include "mx_internals/mx__fops.h"
#include "mxtest.h"

int mx__regcache_clean(void *ptr, size_t len); /* 14: as Open MPI has it */

/* ---- 1 ------------------------------------------------------------------------ */

START_TEST(row01_infinite_is_zero)
{
	struct peer p = t_begin("row01");
	mx_status_t status;
	mx_request_t request;
	uint32_t result = 0;
	double start = t_seconds();
	char in;

	ck_assert_uint_eq(MX_INFINITE, 0);
	request = t_irecv(&p, 1, &in, 1);
	/* were it "no time", this would return before the message comes */
	T_OK(mx_wait(p.ep, &request, 0, &status, &result));
	T_EQ(result, 1);
	ck_assert(t_seconds() - start > 0.15);
	t_end(&p);
}
END_TEST

static void far_row01(struct peer *p)
{
	t_compute(0.2);
	t_put(p, 1, 1);
}

/* ---- 2 ------------------------------------------------------------------------ */

START_TEST(row02_time_out_is_success_with_result_0)
{
	mx_status_t status;
	mx_endpoint_t ep;
	uint32_t result[5] = {7, 7, 7, 7, 7};
	mx_request_t request, seen = NULL;
	double start;

	t_attach();
	ep = t_open();
	T_OK(mx_irecv(ep, NULL, 0, 1, MX_MATCH_MASK_NONE, NULL, &request));
	start = t_seconds();
	T_OK(mx_wait(ep, &request, 30, &status, &result[0]));
	ck_assert(t_seconds() - start >= 0.03);
	T_OK(mx_wait_any(ep, 10, 0, 0, &status, &result[1]));
	T_OK(mx_probe(ep, 10, 0, 0, &status, &result[2]));
	T_OK(mx_peek(ep, 10, &seen, &result[3]));
	T_OK(mx_test(ep, &request, &status, &result[4]));
	for (int i = 0; i < 5; i++)
		T_EQ(result[i], 0);
	T_OK(mx_close_endpoint(ep));
	t_detach();
}
END_TEST

/* Every call with a result writes it when it fails. */
START_TEST(row02_result_is_written_on_every_path)
{
	mx_request_t dead = NULL;
	uint32_t r[9] = {7, 7, 7, 7, 7, 7, 7, 7, 7};
	mx_status_t s;

	t_attach();
	T_FAILS(mx_test(NULL, &dead, &s, &r[0]), MX_BAD_ENDPOINT);
	T_FAILS(mx_wait(NULL, &dead, 1, &s, &r[1]), MX_BAD_ENDPOINT);
	T_FAILS(mx_test_any(NULL, 0, 0, &s, &r[2]), MX_BAD_ENDPOINT);
	T_FAILS(mx_wait_any(NULL, 1, 0, 0, &s, &r[3]), MX_BAD_ENDPOINT);
	T_FAILS(mx_ipeek(NULL, &dead, &r[4]), MX_BAD_ENDPOINT);
	T_FAILS(mx_peek(NULL, 1, &dead, &r[5]), MX_BAD_ENDPOINT);
	T_FAILS(mx_iprobe(NULL, 0, 0, &s, &r[6]), MX_BAD_ENDPOINT);
	T_FAILS(mx_probe(NULL, 1, 0, 0, &s, &r[7]), MX_BAD_ENDPOINT);
	T_FAILS(mx_ibuffered(NULL, &dead, &r[8]), MX_BAD_ENDPOINT);
	for (int i = 0; i < 9; i++)
		T_EQ(r[i], 0);
	t_detach();
}
END_TEST

/* ---- 3 ------------------------------------------------------------------------ */

START_TEST(row03_peeked_handles_can_be_tested)
{
	struct peer p = t_begin("row03");
	mx_request_t own, seen, again;
	mx_status_t status;
	uint32_t result;
	char in;

	own = t_irecv(&p, 1, &in, 1);
	T_OK(mx_peek(p.ep, T_MS, &seen, &result));
	T_EQ(result, 1);
	ck_assert_ptr_eq(seen, own);
	T_OK(mx_ipeek(p.ep, &again, &result)); /* it stays */
	ck_assert_ptr_eq(again, own);
	T_OK(mx_test(p.ep, &seen, &status, &result));
	T_EQ(result, 1);
	ck_assert_ptr_null(seen);
	/* the program's own copy is the handle of a dead request */
	T_FAILS(mx_test(p.ep, &own, &status, &result), MX_BAD_REQUEST);
	T_EQ(result, 0);
	t_end(&p);
}
END_TEST

static void far_row03(struct peer *p)
{
	t_put(p, 1, 1);
}

/* ---- 4 ------------------------------------------------------------------------ */

START_TEST(row04_segments_are_copied_and_may_be_empty)
{
	struct peer p = t_begin("row04");
	char a[3], b[100], c[5000];
	mx_segment_t list[6] = {{NULL, 0}, {a, 3},    {NULL, 0},
				{b, 100},  {c, 5000}, {NULL, 0}};
	mx_request_t request;
	mx_status_t status;

	T_OK(mx_irecv(p.ep, list, 6, 1, MX_MATCH_MASK_NONE, NULL, &request));
	memset(list, 0xff, sizeof(list));
	t_sync(&p);
	status = t_finish_well(&p, request);
	T_EQ(status.xfer_length, 5103);
	T_CHECK(a[2] == 'a' && b[99] == 'b' && c[4999] == 'c');
	T_OK(mx_irecv(p.ep, NULL, 0, 2, MX_MATCH_MASK_NONE, NULL, &request));
	T_EQ(t_finish_well(&p, request).msg_length, 0);
	t_end(&p);
}
END_TEST

static void far_row04(struct peer *p)
{
	char a[1000], b[4103];
	mx_segment_t list[4] = {{a, 1000}, {NULL, 0}, {b, 4103}, {NULL, 0}};
	mx_request_t request;

	memset(a, 'a', 3);
	memset(a + 3, 'b', 100);
	memset(a + 103, 'c', sizeof(a) - 103);
	memset(b, 'c', sizeof(b));
	t_sync(p); /* the receive is posted */
	T_OK(mx_issend(p->ep, list, 4, p->to, 1, NULL, &request));
	memset(list, 0xff, sizeof(list));
	t_finish_well(p, request);
	T_OK(mx_isend(p->ep, NULL, 0, p->to, 2, NULL, &request));
	t_finish_well(p, request);
}

/* ---- 5 ------------------------------------------------------------------------ */

START_TEST(row05_ids_are_small)
{
	mx_endpoint_t ep[4];
	uint64_t nic;

	t_attach();
	nic = t_own_nic();
	ck_assert_uint_ne(nic, 0);
	ck_assert_uint_eq(nic >> 48, 0);
	for (uint32_t i = 0; i < 4; i++) { /* the far half has a high one */
		ep[i] = t_open();
		T_EQ(t_id(ep[i]), i);
	}
	T_OK(mx_close_endpoint(ep[1]));
	ep[1] = t_open();
	T_EQ(t_id(ep[1]), 1); /* the lowest, at once */
	for (int i = 0; i < 4; i++)
		T_OK(mx_close_endpoint(ep[i]));
	t_detach();
}
END_TEST

/* ---- 6 ------------------------------------------------------------------------ */

static unsigned handled;

static mx_return_t count_errors(char *str, mx_return_t ret)
{
	handled++;
	T_CHECK(strstr(str, "mx_open_endpoint") != NULL);
	T_CHECK(strstr(str, "MX_NOT_INITIALIZED") != NULL ||
		strstr(str, "MX_BOARD_UNKNOWN") != NULL);
	return (mx_return_t)(ret + 100);
}

START_TEST(row06_error_handler_before_init)
{
	mx_endpoint_t ep;

	ck_assert_ptr_eq(mx_set_error_handler(count_errors),
			 MX_ERRORS_ARE_FATAL);
	/* what the handler returns is what the call returns */
	T_FAILS(mx_open_endpoint(0, 0, 0, NULL, 0, &ep),
		MX_NOT_INITIALIZED + 100);
	T_OK(mx_init());
	/* and it survives mx_init() */
	T_FAILS(mx_open_endpoint(99, 0, 0, NULL, 0, &ep),
		MX_BOARD_UNKNOWN + 100);
	ck_assert_uint_eq(handled, 2);
	ck_assert_ptr_eq(mx_set_error_handler(MX_ERRORS_RETURN), count_errors);
	t_detach();
}
END_TEST

/* ---- 7 ------------------------------------------------------------------------ */

START_TEST(row07_source_is_an_address)
{
	struct peer p = t_begin("row07");

	t_put(&p, 1, 10);
	t_take(&p, 2, 100000); /* sent to what the far half has of us */
	t_end(&p);
}
END_TEST

/* It has never connected to us. */
static void far_row07(struct peer *p)
{
	char in[10];
	mx_status_t status = t_finish_well(p, t_irecv(p, 1, in, 10));
	uint64_t nic = 0;
	void *context = p;
	uint32_t id = ~0u, session = 0;

	T_OK(mx_decompose_endpoint_addr2(status.source, &nic, &id, &session));
	T_CHECK(nic != 0 && id <= 65535 && session != 0);
	T_OK(mx_get_endpoint_addr_context(status.source, &context));
	T_CHECK(context == NULL);
	T_OK(mx_set_endpoint_addr_context(status.source, p));
	T_OK(mx_get_endpoint_addr_context(p->to, &context));
	T_CHECK(context == p); /* one peer, whichever status told of it */
	p->to = status.source;
	t_put(p, 2, 100000);
}

/* ---- 8 ------------------------------------------------------------------------ */

START_TEST(row08_address_alone_leads_to_its_context)
{
	struct peer p = t_begin("row08");
	mx_endpoint_t other = t_open();
	mx_endpoint_addr_t to, self, mine;
	void *context = &p;
	uint64_t nic;
	uint32_t id;

	T_OK(mx_connect(other, t_far_nic(), t_far_id, 0, T_MS, &to));
	T_OK(mx_set_endpoint_addr_context(p.to, &p));
	/* the same peer for another endpoint is another address */
	T_OK(mx_get_endpoint_addr_context(to, &context));
	ck_assert_ptr_null(context);
	T_OK(mx_set_endpoint_addr_context(to, &other));
	T_OK(mx_get_endpoint_addr_context(p.to, &context));
	ck_assert_ptr_eq(context, &p);
	T_OK(mx_decompose_endpoint_addr(to, &nic, &id));
	ck_assert_uint_eq(nic, t_far_nic());
	T_EQ(id, t_far_id);
	/* our own has a place of its own, and connecting again changes none */
	T_OK(mx_get_endpoint_addr(p.ep, &self));
	T_OK(mx_set_endpoint_addr_context(self, &self));
	T_OK(mx_connect(p.ep, t_far_nic(), t_far_id, 0, T_MS, &mine));
	ck_assert_mem_eq(&mine, &p.to, sizeof(mine));
	T_OK(mx_get_endpoint_addr_context(mine, &context));
	ck_assert_ptr_eq(context, &p);
	T_OK(mx_close_endpoint(other));
	T_FAILS(mx_get_endpoint_addr_context(to, &context), MX_BAD_ENDPOINT);
	t_sync(&p);
	t_end(&p);
}
END_TEST

static void far_row08(struct peer *p)
{
	t_sync(p); /* stay until it is over */
}

/* ---- 9 ------------------------------------------------------------------------ */

#define KINDS 8

static const struct {
	size_t len;
	bool synchronous, data;
} kinds[KINDS] = {
	{0, false, true},    {16, false, true},	    {100, false, true},
	{1024, false, true}, {10000, false, false}, {1u << 20, false, false},
	{0, true, false},    {1024, true, false},
};

static struct {
	bool wrong;
	unsigned calls;
} data_seen;

static mx_unexp_handler_action_t look_at_data(void *context,
					      mx_endpoint_addr_t source,
					      uint64_t match, uint32_t length,
					      void *data)
{
	(void)context;
	(void)source;
	if (match >= KINDS)
		return MX_RECV_CONTINUE;
	if (length != kinds[match].len || !data == kinds[match].data)
		data_seen.wrong = true;
	if (data)
		t_verify(data, length, (unsigned)match);
	data_seen.calls++;
	return MX_RECV_FINISHED;
}

START_TEST(row09_handler_gets_the_data_that_is_at_hand)
{
	struct peer p = t_begin("row09");

	T_OK(mx_register_unexp_handler(p.ep, look_at_data, NULL));
	t_sync(&p);
	t_sync(&p); /* all have been consumed */
	ck_assert_uint_eq(data_seen.calls, KINDS);
	ck_assert(!data_seen.wrong);
	T_OK(mx_register_unexp_handler(p.ep, NULL, NULL));
	t_end(&p);
}
END_TEST

static void far_row09(struct peer *p)
{
	t_sync(p);
	for (uint64_t i = 0; i < KINDS; i++) {
		void *buf = t_alloc(kinds[i].len);

		t_fill(buf, kinds[i].len, (unsigned)i);
		t_finish(p, kinds[i].synchronous
				    ? t_issend(p, i, buf, kinds[i].len)
				    : t_isend(p, i, buf, kinds[i].len));
		free(buf);
	}
	t_sync(p);
}

/* ---- 10 ----------------------------------------------------------------------- */

#define EAGER 1000u
#define LARGE (1u << 20)

/* What a sender sees when its receiver takes 100 bytes, and 0 by FINISHED. */
static void expect_send(struct peer *p, mx_request_t request, uint32_t len,
			mx_status_code_t code, uint32_t moved)
{
	mx_status_t status = t_finish(p, request);

	T_EQ(status.code, code);
	T_EQ(status.msg_length, len);
	T_EQ(status.xfer_length, moved);
}

static void far_row10(struct peer *p)
{
	char *buf = t_alloc(LARGE);

	for (int i = 0; i < 2; i++) { /* truncated, then consumed */
		uint32_t took = i ? 0 : 100;

		t_sync(p);
		expect_send(p, t_isend(p, 1, buf, EAGER), EAGER,
			    MX_STATUS_SUCCESS, EAGER);
		expect_send(p, t_isend(p, 1, buf, LARGE), LARGE,
			    MX_STATUS_TRUNCATED, took);
		expect_send(p, t_issend(p, 1, buf, EAGER), EAGER,
			    MX_STATUS_TRUNCATED, took);
		expect_send(p, t_issend(p, 1, buf, 0), 0, MX_STATUS_SUCCESS, 0);
	}
	free(buf);
}

static mx_unexp_handler_action_t consume(void *context,
					 mx_endpoint_addr_t source,
					 uint64_t match, uint32_t length,
					 void *data)
{
	(void)context;
	(void)source;
	(void)length;
	(void)data;
	return match & T_CONTROL ? MX_RECV_CONTINUE : MX_RECV_FINISHED;
}

START_TEST(row10_truncation_as_each_side_sees_it)
{
	static const uint32_t lens[4] = {EAGER, LARGE, EAGER, 0};
	struct peer p = t_begin("row10");
	mx_request_t requests[4];
	char in[4][104];

	memset(in, 0x55, sizeof(in));
	for (int i = 0; i < 4; i++)
		requests[i] = t_irecv(&p, 1, in[i], 100);
	t_sync(&p);
	for (int i = 0; i < 4; i++) {
		mx_status_t status = t_finish(&p, requests[i]);

		T_EQ(status.code,
		     lens[i] ? MX_STATUS_TRUNCATED : MX_STATUS_SUCCESS);
		T_EQ(status.msg_length, lens[i]);
		T_EQ(status.xfer_length, lens[i] ? 100 : 0);
		T_EQ(in[i][100], 0x55); /* beyond the buffer: untouched */
	}
	T_OK(mx_register_unexp_handler(p.ep, consume, NULL));
	t_sync(&p);
	t_end(&p); /* the far half has asserted the rest */
}
END_TEST

/* ---- 11 ----------------------------------------------------------------------- */

START_TEST(row11_probe_fills_both_lengths)
{
	static const size_t lens[3] = {0, 777, LARGE};
	struct peer p = t_begin("row11");

	for (uint64_t i = 0; i < 3; i++) {
		mx_status_t status = t_probe(&p, i);
		uint32_t result;

		T_EQ(status.msg_length, lens[i]);
		T_EQ(status.xfer_length, lens[i]);
		T_EQ(status.code, MX_STATUS_SUCCESS);
		ck_assert_uint_eq(status.match_info, i);
		ck_assert_mem_eq(&status.source, &p.to, sizeof(p.to));
		T_OK(mx_iprobe(p.ep, i, MX_MATCH_MASK_NONE, &status, &result));
		T_EQ(result, 1); /* it stays */
		t_take(&p, i, lens[i]);
		T_OK(mx_iprobe(p.ep, i, MX_MATCH_MASK_NONE, &status, &result));
		T_EQ(result, 0);
	}
	t_end(&p);
}
END_TEST

static void far_row11(struct peer *p)
{
	t_put(p, 0, 0);
	t_put(p, 1, 777);
	t_put(p, 2, LARGE);
}

/* ---- 12 ----------------------------------------------------------------------- */

START_TEST(row12_cancel_writes_its_result)
{
	struct peer p = t_begin("row12");
	static char buf[LARGE];
	uint32_t result = 7;
	mx_request_t send, receive, none = NULL;
	mx_status_t status;

	send = t_issend(&p, 1, buf, LARGE);
	T_FAILS(mx_cancel(p.ep, &send, &result), MX_CANCEL_NOT_SUPPORTED);
	T_EQ(result, 0);
	result = 7;
	T_FAILS(mx_cancel(p.ep, &none, &result), MX_BAD_REQUEST);
	T_EQ(result, 0);
	result = 7;
	T_FAILS(mx_cancel(NULL, &send, &result), MX_BAD_ENDPOINT);
	T_EQ(result, 0);
	t_sync(&p);
	t_finish_well(&p, send);
	receive = t_irecv(&p, 2, buf, 1);
	T_OK(mx_cancel(p.ep, &receive, &result));
	T_EQ(result, 1);
	ck_assert_ptr_null(receive);
	T_OK(mx_test_any(p.ep, 0, 0, &status, &result));
	T_EQ(result, 0); /* nothing is reported of it */
	t_end(&p);
}
END_TEST

static void far_row12(struct peer *p)
{
	t_sync(p);
	void *buf = t_alloc(LARGE);

	t_finish_well(p, t_irecv(p, 1, buf, LARGE));
	free(buf);
}

/* ---- 13 ----------------------------------------------------------------------- */

START_TEST(row13_connects_are_answered_while_the_peer_computes)
{
	struct peer p = t_begin("row13");
	mx_endpoint_addr_t addr;
	mx_return_t code = MX_TIMEOUT;
	uint32_t limit_ms = (uint32_t)(5 * t_slowness());
	unsigned answered = 0;
	double end;

	t_sync(&p); /* it computes for a second from now on */
	end = t_seconds() + 0.5 * t_slowness();
	while (t_seconds() < end) {
		code = mx_connect(p.ep, t_far_nic(), t_far_id, 0, limit_ms,
				  &addr);
		/* a busy machine may lose a time slice; the peer may not */
		T_CHECK(code == MX_SUCCESS || code == MX_TIMEOUT);
		answered += code == MX_SUCCESS;
	}
	ck_assert_uint_ge(answered, 20);
	ck_assert_mem_eq(&addr, &p.to, sizeof(addr));
	T_OK(mx_connect(p.ep, t_own_nic(), t_id(p.ep), 77, limit_ms, &addr));
	t_end(&p);
}
END_TEST

static void far_row13(struct peer *p)
{
	t_sync(p);
	t_compute(1 * t_slowness());
}

/* Sees the message in its memory, without a call into MX. */
START_TEST(row13_large_messages_arrive_while_the_peer_computes)
{
	struct peer p = t_begin("row13_large");
	static char buf[4 * LARGE];

	memset(buf, 1, sizeof(buf));
	t_sync(&p);
	t_finish_well(&p, t_isend(&p, 1, buf, sizeof(buf)));
	t_end(&p);
}
END_TEST

static void far_row13_large(struct peer *p)
{
	size_t len = 4 * LARGE;
	volatile char *buf = t_alloc(len);
	mx_request_t request = t_irecv(p, 1, (void *)(uintptr_t)buf, len);
	double end = t_seconds() + T_MS / 1000;
	const char *mono = getenv("MX_MONOTHREAD");

	t_sync(p);
	while (!buf[len - 1] && !(mono && !strcmp(mono, "1")))
		if (t_seconds() > end)
			t_fail(__FILE__, __LINE__, "nothing arrives");
	t_finish_well(p, request);
	free((void *)(uintptr_t)buf);
}

/* ---- 14, 16 ------------------------------------------------------------------- */

START_TEST(row14_regcache_clean_links)
{
	char buf[10];

	T_EQ(mx__regcache_clean(buf, sizeof(buf)), 0);
}
END_TEST

struct network {
	uint8_t mac[3];
	uint32_t speed, type;
};

static struct network network(void)
{
	struct network n = {.speed = 99};
	mx_mapper_state_t state;
	mx_endpt_handle_t board = MX__INVALID_HANDLE;
	uint32_t number = 0;

	T_OK(mx_open_board(0, &board));
	T_CHECK(board != MX__INVALID_HANDLE);
	T_OK(mx__get_mapper_state(board, &state));
	memcpy(n.mac, &state.mapper_mac[3], 3);
	T_OK(mx_get_info(NULL, MX_LINE_SPEED, &number, sizeof(number), &n.speed,
			 sizeof(n.speed)));
	T_OK(mx_get_info(NULL, MX_NET_TYPE, &number, sizeof(number), &n.type,
			 sizeof(n.type)));
	return n;
}

START_TEST(row16_network_id_is_the_same_everywhere)
{
	struct peer p = t_begin("row16");
	struct network here = network(), there;

	t_finish_well(&p, t_irecv(&p, 1, &there, sizeof(there)));
	ck_assert_mem_eq(here.mac, there.mac, 3);
	T_EQ(here.speed, there.speed);
	T_EQ(here.type, there.type);
	t_end(&p);
}
END_TEST

static void far_row16(struct peer *p)
{
	struct network n = network();

	t_finish_well(p, t_isend(p, 1, &n, sizeof(n)));
}

/* ---- 15 ----------------------------------------------------------------------- */

#define OWN 4
#define OWN_LEN (9u << 20)

START_TEST(row15_everything_works_with_oneself)
{
	struct peer self = {0};
	mx_request_t sends[OWN];
	char *buf = t_alloc(OWN_LEN), *in = t_alloc(OWN_LEN);
	uint32_t result;
	mx_endpoint_addr_t own;

	t_attach();
	self.ep = t_open();
	T_OK(mx_get_endpoint_addr(self.ep, &own));
	/* connect, whatever the key: the same address */
	T_OK(mx_connect(self.ep, t_own_nic(), t_id(self.ep), 3, T_MS,
			&self.to));
	ck_assert_mem_eq(&own, &self.to, sizeof(own));
	for (int i = 0; i < OWN; i++) {
		t_fill(buf, OWN_LEN, 5);
		sends[i] = t_isend(&self, 1, buf, OWN_LEN);
	}
	for (int i = 0; i < OWN; i++) {
		mx_status_t s =
			t_finish_well(&self, t_irecv(&self, 1, in, OWN_LEN));

		ck_assert_mem_eq(&s.source, &own, sizeof(own));
		t_verify(in, OWN_LEN, 5);
		t_finish_well(&self, sends[i]);
	}
	sends[0] = t_issend(&self, 1, buf, 10); /* nobody receives */
	t_probe(&self, 1);
	T_OK(mx_disconnect(self.ep, own));
	T_EQ(t_finish(&self, sends[0]).code, MX_STATUS_ENDPOINT_UNREACHABLE);
	T_OK(mx_iprobe(self.ep, 0, 0, NULL, &result));
	T_EQ(result, 0);     /* dropped */
	t_put(&self, 2, 10); /* and connected again at once */
	t_take(&self, 2, 10);
	T_OK(mx_close_endpoint(self.ep));
	t_detach();
	free(buf);
	free(in);
}
END_TEST

/* ---- 17 ----------------------------------------------------------------------- */

#define LAST 200

START_TEST(row17_complete_sends_survive_close_and_exit)
{
	struct peer p = t_begin("row17");

	t_sync(&p);
	for (unsigned i = 0; i < LAST; i++)
		t_take(&p, i, i * 100);
	t_end_silent(&p);
}
END_TEST

/* Complete, close with receives pending, gone: no finalize, no verdict. */
static void far_row17(struct peer *p)
{
	char in[10];

	for (uint64_t i = 0; i < 10; i++)
		t_irecv(p, 1000 + i, in, 10);
	t_sync(p);
	for (unsigned i = 0; i < LAST; i++)
		t_put(p, i, i * 100); /* up to 20 KB: buffered */
	T_OK(mx_close_endpoint(p->ep));
	_Exit(0);
}

/* ---- 18 ----------------------------------------------------------------------- */

#define MANY 6000u
#define MANY_LARGE (650u << 10) /* every third; 1.3 GB in all */

static size_t many_len(unsigned i)
{
	return i % 3 ? i % 1000 : MANY_LARGE;
}

START_TEST(row18_many_requests_queue)
{
	struct peer p = t_begin("row18");
	char *buf = t_alloc(MANY_LARGE);
	mx_request_t *requests = t_alloc(MANY * sizeof(*requests));

	for (unsigned i = 0; i < MANY; i++)
		requests[i] = t_isend(&p, i, buf, many_len(i));
	t_sync(&p);
	for (unsigned i = 0; i < MANY; i++)
		t_finish_well(&p, requests[i]);
	t_end(&p);
	free(requests);
	free(buf);
}
END_TEST

static void far_row18(struct peer *p)
{
	char *buf = t_alloc(MANY_LARGE);
	mx_request_t *requests = t_alloc(MANY * sizeof(*requests));

	t_sync(p);
	for (unsigned i = 0; i < MANY; i++)
		requests[i] = t_irecv(p, i, buf, MANY_LARGE);
	for (unsigned i = 0; i < MANY; i++)
		T_EQ(t_finish_well(p, requests[i]).xfer_length, many_len(i));
	free(requests);
	free(buf);
}

#define CANCELLED 4096u

static void *cancel_many(void *arg)
{
	struct peer *p = arg;
	mx_request_t *requests = t_alloc(CANCELLED * sizeof(*requests));
	uint32_t result;

	for (unsigned i = 0; i < CANCELLED; i++)
		requests[i] = t_irecv(p, i, NULL, 0);
	for (unsigned i = 0; i < CANCELLED; i++) {
		T_OK(mx_cancel(p->ep, &requests[i], &result));
		T_EQ(result, 1);
	}
	free(requests);
	return NULL;
}

START_TEST(row18_thousands_can_be_cancelled_by_each_thread)
{
	struct peer p = {0};
	pthread_t threads[4];
	mx_status_t status;
	uint32_t result;

	t_attach();
	p.ep = t_open();
	for (int i = 0; i < 4; i++)
		T_EQ(pthread_create(&threads[i], NULL, cancel_many, &p), 0);
	for (int i = 0; i < 4; i++)
		T_EQ(pthread_join(threads[i], NULL), 0);
	T_OK(mx_test_any(p.ep, 0, 0, &status, &result));
	T_EQ(result, 0);
	T_OK(mx_close_endpoint(p.ep));
	t_detach();
}
END_TEST

/* ---- 19 ----------------------------------------------------------------------- */

#define FRAGMENTS 64

START_TEST(row19_contexts_come_back_and_none_is_invented)
{
	struct peer p = t_begin("row19");
	char in[FRAGMENTS][32], seen[FRAGMENTS] = {0};
	mx_segment_t seg = {NULL, 32};
	unsigned nulls = 0, total = 0;
	mx_status_t status;
	uint32_t result;

	for (int i = 0; i < FRAGMENTS; i++) {
		seg.segment_ptr = in[i];
		T_OK(mx_irecv(p.ep, &seg, 1, 1, MX_MATCH_MASK_NONE, &seen[i],
			      &(mx_request_t){NULL}));
	}
	T_OK(mx_isend(p.ep, NULL, 0, p.to, 2, NULL, &(mx_request_t){NULL}));
	T_OK(mx_isend(p.ep, NULL, 0, p.to, 2, &total, NULL)); /* forgotten */
	while (total < FRAGMENTS + 1) {
		T_OK(mx_wait_any(p.ep, T_MS, 0, 0, &status, &result));
		T_EQ(result, 1);
		total++;
		if (status.context)
			++*(char *)status.context;
		else
			nulls++;
	}
	ck_assert_uint_eq(nulls, 1);
	for (int i = 0; i < FRAGMENTS; i++)
		T_EQ(seen[i], 1);
	T_OK(mx_wait_any(p.ep, 30, 0, 0, &status, &result));
	T_EQ(result, 0);
	t_end(&p);
}
END_TEST

static void far_row19(struct peer *p)
{
	for (int i = 0; i < FRAGMENTS; i++)
		t_put(p, 1, 32);
	t_take(p, 2, 0);
	t_take(p, 2, 0);
}

/* ---- tables --------------------------------------------------------------------- */

const struct far_half t_checklist_far[] = {
	{"row01", far_row01},
	{"row03", far_row03},
	{"row04", far_row04},
	{"row07", far_row07},
	{"row08", far_row08},
	{"row09", far_row09},
	{"row10", far_row10},
	{"row11", far_row11},
	{"row12", far_row12},
	{"row13", far_row13},
	{"row13_large", far_row13_large},
	{"row16", far_row16},
	{"row17", far_row17},
	{"row18", far_row18},
	{"row19", far_row19},
	{NULL, NULL},
};

Suite *t_checklist_suite(void)
{
	Suite *s = suite_create("checklist");
	TCase *tc = t_case(s, "rows");

	tcase_add_test(tc, row01_infinite_is_zero);
	tcase_add_test(tc, row02_time_out_is_success_with_result_0);
	tcase_add_test(tc, row02_result_is_written_on_every_path);
	tcase_add_test(tc, row03_peeked_handles_can_be_tested);
	tcase_add_test(tc, row04_segments_are_copied_and_may_be_empty);
	tcase_add_test(tc, row05_ids_are_small);
	tcase_add_test(tc, row06_error_handler_before_init);
	tcase_add_test(tc, row07_source_is_an_address);
	tcase_add_test(tc, row08_address_alone_leads_to_its_context);
	tcase_add_test(tc, row09_handler_gets_the_data_that_is_at_hand);
	tcase_add_test(tc, row10_truncation_as_each_side_sees_it);
	tcase_add_test(tc, row11_probe_fills_both_lengths);
	tcase_add_test(tc, row12_cancel_writes_its_result);
	tcase_add_test(tc, row13_connects_are_answered_while_the_peer_computes);
	tcase_add_test(tc, row13_large_messages_arrive_while_the_peer_computes);
	tcase_add_test(tc, row14_regcache_clean_links);
	tcase_add_test(tc, row15_everything_works_with_oneself);
	tcase_add_test(tc, row16_network_id_is_the_same_everywhere);
	tcase_add_test(tc, row17_complete_sends_survive_close_and_exit);
	tcase_add_test(tc, row18_many_requests_queue);
	tcase_add_test(tc, row18_thousands_can_be_cancelled_by_each_thread);
	tcase_add_test(tc, row19_contexts_come_back_and_none_is_invented);
	return s;
}
