// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_error.c - who is told of an error: the endpoint's handler, the global
 * one, or standard error before the end.
 *
 * Flow:  a call or a request that must fail -> the handler in force
 * Owns:  children that abort.
 * Trust: nothing.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mxtest.h"

static mx_endpoint_t ep;
static mx_endpoint_addr_t self;

static char told[300];
static mx_return_t told_code;

static mx_return_t note_error(char *str, mx_return_t ret)
{
	strncpy(told, str, sizeof(told) - 1);
	told_code = ret;
	return ret;
}

static mx_return_t other_error(char *str, mx_return_t ret)
{
	(void)str;
	(void)ret;
	return (mx_return_t)1000;
}

START_TEST(endpoints_handler_comes_before_the_global_one)
{
	mx_param_t p[2] = {{.key = MX_PARAM_ERROR_HANDLER},
			   {.key = MX_PARAM_ERROR_HANDLER}};
	mx_endpoint_t plain;
	mx_request_t none = NULL;

	p[0].val.error_handler = other_error;
	p[1].val.error_handler = note_error; /* the last one counts */
	t_attach();
	plain = t_open();
	T_OK(mx_open_endpoint(0, MX_ANY_ENDPOINT, 0, p, 2, &ep));
	mx_set_error_handler(other_error);
	T_FAILS(mx_forget(ep, &none), MX_BAD_REQUEST);
	T_EQ(told_code, MX_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(told, "mx_forget"));
	ck_assert_ptr_nonnull(strstr(told, "MX_BAD_REQUEST"));
	T_FAILS(mx_forget(plain, &none), (mx_return_t)1000);
	ck_assert_ptr_eq(mx_set_error_handler(NULL), other_error);
	ck_assert_ptr_eq(mx_set_error_handler(MX_ERRORS_RETURN),
			 MX_ERRORS_ARE_FATAL);
	t_detach();
}
END_TEST

static void expect_told(mx_return_t code)
{
	T_EQ(told_code, code);
	ck_assert_ptr_nonnull(strstr(told, "mx_open_endpoint"));
	told_code = MX_SUCCESS;
}

/* The one that it would have had, if it stands before what is wrong. */
START_TEST(own_handler_is_told_that_the_open_fails)
{
	mx_param_t p[2] = {{.key = MX_PARAM_ERROR_HANDLER},
			   {.key = (mx_param_key_t)3}};
	mx_endpoint_t other = NULL;

	p[0].val.error_handler = note_error;
	t_attach();
	ep = t_open();
	mx_set_error_handler(other_error);
	T_FAILS(mx_open_endpoint(0, t_id(ep), 0, p, 1, &other), MX_BUSY);
	expect_told(MX_BUSY);
	T_FAILS(mx_open_endpoint(1, 9, 0, p, 1, &other), MX_BOARD_UNKNOWN);
	expect_told(MX_BOARD_UNKNOWN);
	T_FAILS(mx_open_endpoint(0, 9, 0, p, 1, NULL), MX_BAD_BAD_BAD);
	expect_told(MX_BAD_BAD_BAD);
	T_FAILS(mx_open_endpoint(0, 9, 0, p, 2, &other), MX_BAD_PARAM_NAME);
	expect_told(MX_BAD_PARAM_NAME);
	T_FAILS(mx_open_endpoint(0, 9, 0, p + 1, 1, &other),
		(mx_return_t)1000); /* it names none */
	T_FAILS(mx_open_endpoint(0, t_id(ep), 0, NULL, 0, &other),
		(mx_return_t)1000);
	ck_assert_ptr_null(other);
	T_EQ(told_code, MX_SUCCESS);
	mx_set_error_handler(MX_ERRORS_RETURN);
	t_detach();
}
END_TEST

/* A request that fails is told too, a truncation is not. */
START_TEST(handler_is_told_of_requests)
{
	struct peer p = {0};
	mx_status_t status;
	char in;

	t_attach();
	p.ep = t_open();
	T_OK(mx_get_endpoint_addr(p.ep, &p.to));
	mx_set_error_handler(note_error);
	t_finish(&p, t_isend(&p, 1, "ab", 2));
	status = t_finish(&p, t_irecv(&p, 1, &in, 1));
	T_EQ(status.code, MX_STATUS_TRUNCATED);
	ck_assert_str_eq(told, "");
	memset(&p.to, 0x11, sizeof(p.to));
	status = t_finish(&p, t_isend(&p, 1, "ab", 2));
	T_EQ(status.code, MX_STATUS_BAD_SESSION);
	T_EQ(told_code, MX_STATUS_BAD_SESSION);
	ck_assert_ptr_nonnull(strstr(told, "MX_STATUS_BAD_SESSION"));
	mx_set_error_handler(other_error); /* its answer is the status */
	T_EQ(t_finish(&p, t_isend(&p, 1, "ab", 2)).code, 1000);
	t_detach();
}
END_TEST

/* Time that has passed, and no result, are none; a connect that fails is. */
START_TEST(handler_is_not_told_of_time)
{
	mx_request_t request;
	mx_status_t status;
	uint32_t result;

	t_attach();
	ep = t_open();
	mx_set_error_handler(note_error);
	T_OK(mx_irecv(ep, NULL, 0, 1, MX_MATCH_MASK_NONE, NULL, &request));
	T_OK(mx_test(ep, &request, &status, &result));
	T_OK(mx_wait(ep, &request, 1, &status, &result));
	T_OK(mx_wait_any(ep, 1, 0, 0, &status, &result));
	T_OK(mx_peek(ep, 1, &request, &result));
	T_OK(mx_probe(ep, 1, 0, 0, &status, &result));
	T_OK(mx_wakeup(ep));
	ck_assert_str_eq(told, "");
	T_FAILS(mx_connect(ep, t_own_nic(), 60000, 0, T_MS, &self),
		MX_CONNECTION_FAILED);
	T_EQ(told_code, MX_CONNECTION_FAILED);
	t_detach();
}
END_TEST

/* What a child says on standard error, and how it ends. */
static int child_status(void (*run)(void), char *text, size_t size)
{
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	T_EQ(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		dup2(fds[1], STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		run();
		_exit(55);
	}
	close(fds[1]);
	n = read(fds[0], text, size - 1);
	text[n > 0 ? n : 0] = 0;
	close(fds[0]);
	T_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

static void fail_fatally(void)
{
	mx_endpoint_t e;

	mx_init();
	mx_open_endpoint(0, MX_ANY_ENDPOINT, 0, NULL, 0, &e);
	mx_isend(e, NULL, 300, self, 0, NULL, NULL);
}

static void fail_before_init(void)
{
	mx_progress(NULL);
}

static void fail_by_request(void)
{
	mx_endpoint_t e;
	mx_request_t request;
	mx_status_t status;
	uint32_t result;

	mx_init();
	mx_open_endpoint(0, MX_ANY_ENDPOINT, 0, NULL, 0, &e);
	mx_isend(e, NULL, 0, self, 0, NULL, &request);
	mx_wait(e, &request, T_MS, &status, &result);
}

START_TEST(default_is_to_abort_and_say_why)
{
	static const struct {
		void (*run)(void);
		const char *call, *code;
	} cases[] = {
		{fail_fatally, "mx_isend", "MX_BAD_SEG_CNT"},
		{fail_before_init, "mx_progress", "MX_NOT_INITIALIZED"},
		{fail_by_request, "mx_wait", "MX_STATUS_BAD_SESSION"},
	};
	char text[400];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status = child_status(cases[i].run, text, sizeof(text));

		ck_assert(WIFSIGNALED(status));
		T_EQ(WTERMSIG(status), SIGABRT);
		ck_assert_ptr_nonnull(strstr(text, cases[i].call));
		ck_assert_ptr_nonnull(strstr(text, cases[i].code));
		setenv("MX_ERRORS_ARE_FATAL", "0", 1);
		status = child_status(cases[i].run, text, sizeof(text));
		ck_assert(WIFEXITED(status));
		T_EQ(WEXITSTATUS(status), 55);
		unsetenv("MX_ERRORS_ARE_FATAL");
	}
}
END_TEST

/* A second mx_init() is an error that nobody dies of. */
static void init_twice(void)
{
	mx_init();
	if (mx_init() != MX_ALREADY_INITIALIZED)
		_exit(1);
}

START_TEST(second_init_is_not_fatal)
{
	char text[400];

	T_EQ(WEXITSTATUS(child_status(init_twice, text, sizeof(text))), 55);
}
END_TEST

/* ---- tables --------------------------------------------------------------------- */

Suite *t_error_suite(void)
{
	Suite *s = suite_create("error");
	TCase *tc = t_case(s, "handlers");

	tcase_add_test(tc, endpoints_handler_comes_before_the_global_one);
	tcase_add_test(tc, own_handler_is_told_that_the_open_fails);
	tcase_add_test(tc, handler_is_told_of_requests);
	tcase_add_test(tc, handler_is_not_told_of_time);
	tcase_add_test(tc, default_is_to_abort_and_say_why);
	tcase_add_test(tc, second_init_is_not_fatal);
	return s;
}
