// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_argument.c - what no call takes: endpoints and requests that are none,
 * and NULL where something is to be written.
 *
 * Flow:  each call with a bad argument -> refused
 * Owns:  nothing.
 * Trust: nothing.
 */
#include "mxtest.h"

static mx_endpoint_t ep;
static mx_endpoint_addr_t self;

/* Each call that takes one, on an endpoint that is none. */
static void refused_by_each_call(mx_endpoint_t bad)
{
	uint64_t nic = t_own_nic();
	mx_segment_t piece = {&nic, sizeof(nic)};
	mx_request_t request = NULL;
	mx_endpoint_addr_t addr;
	mx_status_t status;
	uint32_t done;

	T_FAILS(mx_close_endpoint(bad), MX_BAD_ENDPOINT);
	T_FAILS(mx_wakeup(bad), MX_BAD_ENDPOINT);
	T_FAILS(mx_progress(bad), MX_BAD_ENDPOINT);
	T_FAILS(mx_disable_progression(bad), MX_BAD_ENDPOINT);
	T_FAILS(mx_reenable_progression(bad), MX_BAD_ENDPOINT);
	T_FAILS(mx_get_endpoint_addr(bad, &addr), MX_BAD_ENDPOINT);
	T_FAILS(mx_connect(bad, nic, 1, 0, 10, &addr), MX_BAD_ENDPOINT);
	T_FAILS(mx_iconnect(bad, nic, 1, 0, 0, NULL, &request),
		MX_BAD_ENDPOINT);
	T_FAILS(mx_disconnect(bad, self), MX_BAD_ENDPOINT);
	T_FAILS(mx_register_unexp_handler(bad, NULL, NULL), MX_BAD_ENDPOINT);
	T_FAILS(mx_register_unexp_callback(bad, NULL, NULL), MX_BAD_ENDPOINT);
	T_FAILS(mx_set_request_timeout(bad, NULL, 2000), MX_BAD_ENDPOINT);
	for (uint32_t count = 0; count < 3; count++) { /* 1: straight down */
		mx_segment_t pieces[2] = {piece, piece};

		T_FAILS(mx_isend(bad, pieces, count, self, 0, NULL, &request),
			MX_BAD_ENDPOINT);
		T_FAILS(mx_issend(bad, pieces, count, self, 0, NULL, &request),
			MX_BAD_ENDPOINT);
		T_FAILS(mx_irecv(bad, pieces, count, 0, 0, NULL, &request),
			MX_BAD_ENDPOINT);
	}
	T_FAILS(mx_test_any(bad, 0, 0, &status, &done), MX_BAD_ENDPOINT);
	T_FAILS(mx_wait_any(bad, 10, 0, 0, &status, &done), MX_BAD_ENDPOINT);
	T_FAILS(mx_iprobe(bad, 0, 0, &status, &done), MX_BAD_ENDPOINT);
	T_FAILS(mx_probe(bad, 10, 0, 0, &status, &done), MX_BAD_ENDPOINT);
	T_FAILS(mx_ipeek(bad, &request, &done), MX_BAD_ENDPOINT);
	T_FAILS(mx_peek(bad, 10, &request, &done), MX_BAD_ENDPOINT);
	/* a request that is pending, at another one */
	T_OK(mx_irecv(ep, &piece, 1, 9, MX_MATCH_MASK_NONE, NULL, &request));
	T_FAILS(mx_test(bad, &request, &status, &done), MX_BAD_ENDPOINT);
	T_FAILS(mx_wait(bad, &request, 10, &status, &done), MX_BAD_ENDPOINT);
	T_FAILS(mx_ibuffered(bad, &request, &done), MX_BAD_ENDPOINT);
	T_FAILS(mx_forget(bad, &request), MX_BAD_ENDPOINT);
	T_FAILS(mx_cancel(bad, &request, &done), MX_BAD_ENDPOINT);
	T_OK(mx_cancel(ep, &request, &done));
	T_EQ(done, 1);
}

START_TEST(bad_endpoints_are_refused_by_each_call)
{
	mx_endpoint_t closed;
	char odd[256];

	t_attach();
	ep = t_open();
	T_OK(mx_get_endpoint_addr(ep, &self));
	closed = t_open();
	T_OK(mx_close_endpoint(closed));
	refused_by_each_call(NULL);
	refused_by_each_call(closed);
	refused_by_each_call((mx_endpoint_t)(void *)odd);
	refused_by_each_call((mx_endpoint_t)(void *)((char *)ep + 1));
	t_detach();
}
END_TEST

/* A live request of one endpoint is none of another. */
START_TEST(requests_of_others_are_refused)
{
	mx_request_t request;
	mx_endpoint_t other;
	mx_status_t status;
	uint32_t done;

	t_attach();
	ep = t_open();
	other = t_open();
	T_OK(mx_irecv(ep, NULL, 0, 9, MX_MATCH_MASK_NONE, NULL, &request));
	T_FAILS(mx_test(other, &request, &status, &done), MX_BAD_REQUEST);
	T_FAILS(mx_wait(other, &request, 10, &status, &done), MX_BAD_REQUEST);
	T_FAILS(mx_ibuffered(other, &request, &done), MX_BAD_REQUEST);
	T_FAILS(mx_forget(other, &request), MX_BAD_REQUEST);
	T_FAILS(mx_cancel(other, &request, &done), MX_BAD_REQUEST);
	T_FAILS(mx_set_request_timeout(other, request, 2000), MX_BAD_REQUEST);
	T_OK(mx_cancel(ep, &request, &done));
	T_EQ(done, 1);
	t_detach();
}
END_TEST

/* NULL where something is to be written, or read. */
START_TEST(nulls_are_refused)
{
	mx_request_t request = NULL;
	mx_status_t status;
	uint32_t done;

	t_attach();
	ep = t_open();
	T_OK(mx_get_endpoint_addr(ep, &self));
	T_CHECK(mx_open_endpoint(0, MX_ANY_ENDPOINT, 0, NULL, 0, NULL));
	T_CHECK(mx_get_endpoint_addr(ep, NULL));
	T_CHECK(mx_connect(ep, t_own_nic(), t_id(ep), 0, T_MS, NULL));
	T_CHECK(mx_board_number_to_nic_id(0, NULL));
	T_CHECK(mx_nic_id_to_board_number(t_own_nic(), NULL));
	T_CHECK(mx_hostname_to_nic_id(NULL, NULL));
	T_CHECK(mx_nic_id_to_hostname(t_own_nic(), NULL));
	T_CHECK(mx_get_endpoint_addr_context(self, NULL));
	T_CHECK(mx_test(ep, NULL, &status, &done));
	T_CHECK(mx_wait(ep, NULL, 10, &status, &done));
	T_CHECK(mx_test(ep, &request, &status, &done));
	T_CHECK(mx_cancel(ep, NULL, &done));
	T_CHECK(mx_forget(ep, NULL));
	T_CHECK(mx_ibuffered(ep, NULL, &done));
	T_CHECK(mx_context(NULL, NULL));
	T_CHECK(mx_test_any(ep, 0, 0, &status, NULL));
	T_CHECK(mx_wait_any(ep, 10, 0, 0, &status, NULL));
	T_CHECK(mx_iprobe(ep, 0, 0, &status, NULL));
	T_CHECK(mx_probe(ep, 10, 0, 0, &status, NULL));
	T_CHECK(mx_ipeek(ep, &request, NULL));
	T_CHECK(mx_peek(ep, 10, &request, NULL));
	/* those that may be NULL */
	T_OK(mx_decompose_endpoint_addr(self, NULL, NULL));
	T_OK(mx_isend(ep, NULL, 0, self, 3, NULL, &request));
	T_OK(mx_wait(ep, &request, T_MS, NULL, &done));
	T_EQ(done, 1);
	t_detach();
}
END_TEST

/* ---- tables --------------------------------------------------------------------- */

Suite *t_argument_suite(void)
{
	Suite *s = suite_create("argument");
	TCase *tc = t_case(s, "arguments");

	tcase_add_test(tc, bad_endpoints_are_refused_by_each_call);
	tcase_add_test(tc, requests_of_others_are_refused);
	tcase_add_test(tc, nulls_are_refused);
	return s;
}
