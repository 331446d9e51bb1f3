// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_status.c - how requests end when they do not end well. (Truncation: row
 * 10 of the checklist; peers that leave: test_peer.c; the daemon:
 * test_daemon.c.)
 *
 * Flow:  near halves are libcheck tests; far halves have the same name
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mxtest.h"

static mx_endpoint_t ep;
static mx_endpoint_addr_t self;

static mx_status_code_t ended(mx_request_t request)
{
	struct peer p = {.ep = ep};

	return t_finish(&p, request).code;
}

START_TEST(timeout_ends_a_request)
{
	double start;
	mx_request_t request, receive;
	mx_status_t status;
	uint32_t result;

	t_attach();
	ep = t_open();
	T_OK(mx_get_endpoint_addr(ep, &self));
	T_OK(mx_issend(ep, NULL, 0, self, 1, NULL, &request));
	start = t_seconds();
	T_OK(mx_set_request_timeout(ep, request, 1)); /* a second, see mx.md */
	T_EQ(ended(request), MX_STATUS_TIMEOUT);
	ck_assert(t_seconds() - start > 0.9);
	T_OK(mx_set_request_timeout(ep, NULL, 1)); /* of all later ones */
	T_OK(mx_irecv(ep, NULL, 0, 9, 9, NULL, &receive));
	T_OK(mx_issend(ep, NULL, 0, self, 1, NULL, &request));
	T_OK(mx_set_request_timeout(ep, NULL, 0));
	T_EQ(ended(request), MX_STATUS_TIMEOUT);
	T_OK(mx_test(ep, &receive, &status, &result));
	T_EQ(result, 0); /* a receive waits for ever */
	t_detach();
}
END_TEST

START_TEST(iconnect_reports_by_status)
{
	static const struct {
		uint32_t id, key;
		mx_status_code_t code;
	} cases[] = {
		{300, 42, MX_STATUS_SUCCESS},
		{300, 41, MX_STATUS_BAD_KEY},
		{301, 0, MX_STATUS_ENDPOINT_CLOSED},
		{65536, 0, MX_STATUS_BAD_ENDPOINT},
	};
	mx_endpoint_t locked;
	mx_status_t status;
	uint32_t result;

	t_attach();
	ep = t_open();
	T_OK(mx_open_endpoint(0, 300, 42, NULL, 0, &locked));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		T_OK(mx_iconnect(ep, t_own_nic(), cases[i].id, cases[i].key,
				 i + 10, &locked, &(mx_request_t){NULL}));
		T_OK(mx_wait_any(ep, T_MS, i + 10, MX_MATCH_MASK_NONE, &status,
				 &result));
		T_EQ(result, 1);
		T_EQ(status.code, cases[i].code);
		ck_assert_uint_eq(status.match_info, i + 10);
		ck_assert_ptr_eq(status.context, &locked);
		if (!i)
			self = status.source;
	}
	T_OK(mx_isend(ep, NULL, 0, self, 1, NULL, NULL)); /* it is usable */
	T_OK(mx_wait_any(locked, 1, 0, 0, &status, &result));
	T_OK(mx_iconnect(ep, t_own_nic(), 300, 42, 1, NULL, NULL));
	t_detach();
}
END_TEST

/* One that ends at once is a connect like any other. */
START_TEST(connect_to_a_bad_id_is_a_connect)
{
	mx_request_t request;
	mx_status_t status;
	uint32_t result = 7;

	t_attach();
	ep = t_open();
	T_OK(mx_iconnect(ep, t_own_nic(), 65536, 0, 5, &ep, &request));
	T_FAILS(mx_ibuffered(ep, &request, &result), MX_BAD_REQUEST);
	result = 7;
	T_OK(mx_cancel(ep, &request, &result)); /* too late */
	T_EQ(result, 0);
	T_OK(mx_test(ep, &request, &status, &result));
	T_EQ(result, 1);
	T_EQ(status.code, MX_STATUS_BAD_ENDPOINT);
	ck_assert_uint_eq(status.match_info, 5);
	ck_assert_ptr_eq(status.context, &ep);
	t_detach();
}
END_TEST

/* As of a send that got on its way: what was posted, and to whom. */
static void expect_lost(struct peer *p, mx_request_t request, size_t len,
			void *context)
{
	mx_status_t status = t_finish(p, request);

	T_EQ(status.code, MX_STATUS_BAD_SESSION);
	ck_assert_uint_eq(status.match_info, 7);
	ck_assert_mem_eq(&status.source, &p->to, sizeof(p->to));
	T_EQ(status.msg_length, len);
	T_EQ(status.xfer_length, 0);
	ck_assert_ptr_eq(status.context, context);
}

START_TEST(bad_destination_is_told_by_the_status)
{
	struct peer p = t_begin("dest"), lost = p;
	char buf[300] = "";
	mx_segment_t two[2] = {{buf, 100}, {buf + 100, 177}};
	mx_request_t request;
	uint32_t result;

	lost.to = (mx_endpoint_addr_t){{1, 2}};
	T_OK(mx_isend(p.ep, NULL, 0, lost.to, 7, &p, &request));
	expect_lost(&lost, request, 0, &p);
	expect_lost(&lost, t_isend(&lost, 7, buf, 50), 50, NULL);
	T_OK(mx_isend(p.ep, two, 2, lost.to, 7, &lost, &request));
	expect_lost(&lost, request, 277, &lost);
	request = t_issend(&lost, 7, buf, 300);
	/* and it is a send */
	T_FAILS(mx_cancel(p.ep, &request, &result), MX_CANCEL_NOT_SUPPORTED);
	T_OK(mx_ibuffered(p.ep, &request, &result));
	T_EQ(result, 1);
	expect_lost(&lost, request, 300, NULL);
	T_OK(mx_issend(p.ep, NULL, 0, lost.to, 7, NULL, NULL)); /* forgotten */
	t_end(&p);
}
END_TEST

static void far_nothing(struct peer *p)
{
	(void)p;
}

/* Its sender gives up in the middle of a message in many pieces. */
START_TEST(sender_that_gives_up_aborts_the_receive)
{
	struct peer p = t_begin("aborted");
	size_t len = 64u << 20;
	char *buf = t_alloc(len);
	mx_segment_t two[2] = {{buf, 100}, {buf + 200, (uint32_t)len - 200}};
	mx_request_t request;

	T_OK(mx_isend(p.ep, two, 2, p.to, 1, NULL, &request));
	t_take(&p, 3, 0); /* it is in the middle of it, and has stopped */
	T_OK(mx_set_request_timeout(p.ep, request, 1000));
	T_EQ(t_finish(&p, request).code, MX_STATUS_TIMEOUT);
	t_finish_well(&p, t_isend(&p, 2, NULL, 0));
	t_end(&p);
	free(buf);
}
END_TEST

/* Takes a little of it, then nothing until the sender must have given up. */
static void far_aborted(struct peer *p)
{
	size_t len = 64u << 20;
	char *buf = t_alloc(len);
	mx_request_t request;
	mx_segment_t seg = {buf, (uint32_t)len};
	double end = t_seconds() + T_MS / 1000;

	memset(buf, 1, len);
	T_OK(mx_irecv(p->ep, &seg, 1, 1, MX_MATCH_MASK_NONE, NULL, &request));
	while (((volatile char *)buf)[0]) {
		T_OK(mx_progress(p->ep));
		T_CHECK(t_seconds() < end);
	}
	T_OK(mx_disable_progression(p->ep));
	T_OK(mx_isend(p->ep, NULL, 0, p->to, 3, NULL, NULL));
	usleep(4000000); /* its limit is one second from then on */
	T_OK(mx_reenable_progression(p->ep));
	T_EQ(t_finish(p, request).code, MX_STATUS_ABORTED);
	t_take(p, 2, 0);
	free(buf);
}

/* ---- memory that is not there ------------------------------------------------------ */

#define LARGE (1u << 20)

/* The message is announced, and taken back before anybody fetches it. */
START_TEST(window_that_vanished_ends_the_receive)
{
	struct peer p = t_begin("window");
	char *buf = t_alloc(LARGE);
	mx_status_t status;

	t_probe(&p, 1);
	t_sync(&p);
	t_take(&p, 2,
	       0); /* the other half has disconnected us, and come back */
	status = t_finish(&p, t_irecv(&p, 1, buf, LARGE));
	T_EQ(status.code, MX_STATUS_BAD_RDMAWIN);
	T_EQ(status.msg_length, LARGE);
	T_EQ(status.xfer_length, 0);
	t_take(&p, 3, LARGE); /* and what comes after it is well */
	t_end(&p);
	free(buf);
}
END_TEST

static void far_window(struct peer *p)
{
	char *buf = t_alloc(LARGE);
	mx_request_t request = t_isend(p, 1, buf, LARGE);
	mx_endpoint_addr_t near = p->to;
	uint64_t nic;
	uint32_t id;

	t_sync(p);
	T_OK(mx_decompose_endpoint_addr(near, &nic, &id));
	T_OK(mx_disconnect(p->ep, near));
	T_EQ(t_finish(p, request).code, MX_STATUS_ENDPOINT_UNREACHABLE);
	memset(buf, 1, LARGE); /* it is ours again */
	T_OK(mx_connect(p->ep, nic, id, 0, T_MS, &p->to));
	t_put(p, 2, 0);
	t_put(p, 3, LARGE);
	free(buf);
}

#define SCARCE 200u
#define SCARCE_LEN 30000u
#define SCARCE_SYNC 50u /* one of them is synchronous */

#ifndef __SANITIZE_ADDRESS__ /* whose malloc() does not fail, but aborts */

static void limit_memory(rlim_t most)
{
	struct rlimit limit;

	T_EQ(getrlimit(RLIMIT_DATA, &limit), 0);
	limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
	T_EQ(setrlimit(RLIMIT_DATA, &limit), 0);
}

/*
 * They arrive where there is no memory left to keep them: the first few find
 * what is free inside of the heap, 64 are kept without their data, and the rest
 * waits.
 */
START_TEST(no_memory_is_told_to_both_sides)
{
	struct peer p = t_begin("scarce");
	char *buf = t_alloc(SCARCE_LEN);
	mx_status_code_t last = MX_STATUS_PENDING;

	limit_memory(4096); /* none: 0 is not taken for a limit by Linux */
	t_finish_well(&p, t_isend(&p, 1000, NULL, 0)); /* now they come */
	t_probe(&p, SCARCE_SYNC + 1);
	limit_memory(RLIM_INFINITY);
	for (unsigned i = 0; i < SCARCE; i++) {
		mx_status_t status =
			t_finish(&p, t_irecv(&p, i, buf, SCARCE_LEN));

		last = status.code;
		T_CHECK(!last || last == MX_STATUS_NO_RESOURCES);
		T_EQ(status.msg_length, SCARCE_LEN);
		T_EQ(status.xfer_length, last ? 0 : SCARCE_LEN);
		if (i == SCARCE_SYNC)
			T_EQ(last, MX_STATUS_NO_RESOURCES);
		if (!last)
			t_verify(buf, SCARCE_LEN, 3);
	}
	T_EQ(last, MX_STATUS_SUCCESS); /* it had to wait, and came */
	t_end(&p);
	free(buf);
}
END_TEST

#endif

static void far_scarce(struct peer *p)
{
	char *buf = t_alloc(SCARCE_LEN);
	mx_request_t requests[SCARCE];

	t_fill(buf, SCARCE_LEN, 3);
	t_take(p, 1000, 0);
	for (unsigned i = 0; i < SCARCE; i++)
		requests[i] = i == SCARCE_SYNC ? t_issend(p, i, buf, SCARCE_LEN)
					       : t_isend(p, i, buf, SCARCE_LEN);
	for (unsigned i = 0; i < SCARCE; i++)
		T_EQ(t_finish(p, requests[i]).code,
		     i == SCARCE_SYNC ? MX_STATUS_NO_RESOURCES
				      : MX_STATUS_SUCCESS);
	free(buf);
}

/* ---- tables --------------------------------------------------------------------- */

const struct far_half t_status_far[] = {
	{"dest", far_nothing},	{"aborted", far_aborted},
	{"window", far_window}, {"scarce", far_scarce},
	{NULL, NULL},
};

Suite *t_status_suite(void)
{
	Suite *s = suite_create("status");
	TCase *tc = t_case(s, "requests");

	tcase_add_test(tc, timeout_ends_a_request);
	tcase_add_test(tc, iconnect_reports_by_status);
	tcase_add_test(tc, connect_to_a_bad_id_is_a_connect);
	tcase_add_test(tc, bad_destination_is_told_by_the_status);
	tcase_add_test(tc, sender_that_gives_up_aborts_the_receive);
	tcase_add_test(tc, window_that_vanished_ends_the_receive);
#ifndef __SANITIZE_ADDRESS__
	tcase_add_test(tc, no_memory_is_told_to_both_sides);
#endif
	return s;
}
