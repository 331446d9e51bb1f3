// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_checklist_1_10.c - the points on which programs written to MX break: a
 * test for each, under its number in docs/mx.md. The rows after the tenth are
 * in test_checklist_11_19.c.
 *
 * Flow:  near halves are libcheck tests; far halves have the same name
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "mxtest.h"

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

/* ---- tables --------------------------------------------------------------------- */

const struct far_half t_checklist_1_10_far[] = {
	{"row01", far_row01}, {"row03", far_row03}, {"row04", far_row04},
	{"row07", far_row07}, {"row08", far_row08}, {"row09", far_row09},
	{"row10", far_row10}, {NULL, NULL},
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
	t_checklist_add_11_19(tc);
	return s;
}
