// SPDX-License-Identifier: BSD-2-Clause
/*
 * near.c - the half that runs the tests.
 *
 * Flow:  t_begin() -> connect until a far process is there -> START
 *        t_end() <- VERDICT
 * Owns:  nothing.
 * Trust: the far half is a partner; the limits of time are for its failures.
 */
#include <string.h>

#include "control.h"
#include "mxtest.h"

const char *t_far_name;
uint32_t t_far_id;

TCase *t_case(Suite *suite, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 100);
	suite_add_tcase(suite, tc);
	return tc;
}

void t_attach(void)
{
	mx_set_error_handler(MX_ERRORS_RETURN);
	T_OK(mx_init());
}

void t_detach(void)
{
	T_OK(mx_finalize());
}

mx_endpoint_t t_open(void)
{
	mx_endpoint_t ep = NULL;

	T_OK(mx_open_endpoint(MX_ANY_NIC, MX_ANY_ENDPOINT, 0, NULL, 0, &ep));
	T_CHECK(ep != NULL);
	return ep;
}

uint64_t t_own_nic(void)
{
	uint64_t nic = 0;

	T_OK(mx_board_number_to_nic_id(0, &nic));
	return nic;
}

uint64_t t_far_nic(void)
{
	char name[MX_MAX_HOSTNAME_LEN];
	uint64_t nic = 0;

	strncpy(name, t_far_name, sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	T_OK(mx_hostname_to_nic_id(name, &nic));
	return nic;
}

uint32_t t_id(mx_endpoint_t ep)
{
	mx_endpoint_addr_t addr;
	uint64_t nic;
	uint32_t id;

	T_OK(mx_get_endpoint_addr(ep, &addr));
	T_OK(mx_decompose_endpoint_addr(addr, &nic, &id));
	return id;
}

mx_endpoint_addr_t t_connect(mx_endpoint_t from, mx_endpoint_t to)
{
	mx_endpoint_addr_t addr;

	T_OK(mx_connect(from, t_own_nic(), t_id(to), 0, T_MS, &addr));
	return addr;
}

/*
 * The far side is between two tests for a moment: nobody is there, or the last
 * one is about to leave. It takes no START; the next one does.
 */
static bool try_start(struct peer *p, const char *test)
{
	mx_return_t code =
		mx_connect(p->ep, t_far_nic(), t_far_id, 0, T_MS, &p->to);

	if (code == MX_CONNECTION_FAILED)
		return false;
	T_OK(code);
	return t_finish(p, t_issend(p, CONTROL_START, test, strlen(test) + 1))
		       .code == MX_STATUS_SUCCESS;
}

struct peer t_begin(const char *test)
{
	double end = t_seconds() + T_MS / 1000;
	struct peer p = {0};

	t_attach();
	p.ep = t_open();
	while (!try_start(&p, test))
		if (t_seconds() > end)
			t_fail(__FILE__, __LINE__, "no far half at %s/%u",
			       t_far_name, t_far_id);
	return p;
}

void t_end_silent(struct peer *p)
{
	T_OK(mx_close_endpoint(p->ep));
	t_detach();
}

void t_end(struct peer *p)
{
	char text[CONTROL_TEXT] = "";

	t_finish_well(p, t_irecv(p, CONTROL_VERDICT, text, sizeof(text) - 1));
	if (text[0])
		ck_abort_msg("far half: %s", text);
	t_end_silent(p);
}
