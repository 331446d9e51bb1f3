// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_admin.c - the admin socket answers, changes limits, and waits for nobody.
 *
 * Flow:  a vmbd of our own ($VMBD) <- lines of JSON
 * Owns:  one daemon and one folder per test.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <vmbypass/abi/stats.h>

#include "base/util.h"
#include "support/daemon.h"
#include "support/raw.h"
#include "support/run.h"

static struct t_daemon d;

static void start(void)
{
	t_daemon_start(&d, NULL);
}

static void stop(void)
{
	t_daemon_stop(&d);
}

/* The answer to one admin line. */
static const char *ask(const char *request)
{
	return t_raw_ask(d.socket, request);
}

/* ---- admin -------------------------------------------------------------- */

START_TEST(set_limit_holds_for_a_client)
{
	int fd = t_raw_attach(d.socket, "");
	char request[128];
	long client = t_raw_number(ask("{\"cmd\":\"clients\"}"), "client");

	snprintf(request, sizeof(request),
		 "{\"cmd\":\"set-limit\",\"client\":%ld,\"endpoints\":1,"
		 "\"memory\":4096}",
		 client);
	ck_assert_ptr_nonnull(strstr(ask(request), "\"ok\":true"));
	ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, NULL, NULL), 0);
	ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, NULL, NULL), -EDQUOT);
	ck_assert_int_eq(t_raw_register_memfd(fd, 4097, NULL), -EDQUOT);
	close(fd);
}
END_TEST

START_TEST(set_weight_holds_for_a_domain)
{
	int fd = t_raw_attach(d.socket, "w");

	ck_assert_ptr_nonnull(strstr(ask("{\"cmd\":\"set-weight\","
					 "\"domain\":\"w\",\"weight\":200}"),
				     "\"ok\":true"));
	ck_assert_int_eq(t_raw_number(ask("{\"cmd\":\"domains\"}"), "weight"),
			 200);
	close(fd);
}
END_TEST

/* As text, a number counts where no domain has that name. */
START_TEST(domain_is_found_by_a_number_as_text)
{
	int fd = t_raw_attach(d.socket, "w");
	long domain = t_raw_number(ask("{\"cmd\":\"domains\"}"), "domain");
	char request[128];

	snprintf(request, sizeof(request),
		 "{\"cmd\":\"set-weight\",\"domain\":\"%ld\",\"weight\":9}",
		 domain);
	ck_assert_ptr_nonnull(strstr(ask(request), "\"ok\":true"));
	ck_assert_int_eq(t_raw_number(ask("{\"cmd\":\"domains\"}"), "weight"),
			 9);
	snprintf(request, sizeof(request),
		 "{\"cmd\":\"set-weight\",\"domain\":\"%lld\",\"weight\":2}",
		 domain + (1ll << 32));
	ck_assert_int_eq(t_raw_number(ask(request), "errno"), ENOENT);
	close(fd);
}
END_TEST

static const char *const bad_requests[] = {
	"{}",
	"[]",
	"{\"cmd\":7}",
	"{\"cmd\":\"explode\"}",
	"not json",
	"{\"cmd\":\"set-weight\",\"domain\":\"none\",\"weight\":1}",
	"{\"cmd\":\"set-weight\",\"domain\":\"w\",\"weight\":0}",
	"{\"cmd\":\"set-weight\",\"domain\":\"w\",\"weight\":\"1\"}",
	"{\"cmd\":\"set-limit\",\"client\":\"x\",\"endpoints\":1}",
	"{\"cmd\":\"set-limit\",\"domain\":\"w\"}",
	"{\"cmd\":\"set-limit\",\"domain\":\"w\",\"memory\":-1}",
	"{\"cmd\":\"faults\",\"max\":0}",
	"{\"cmd\":\"faults\",\"max\":1e9}",
};

/* Numbers of 33 bits, whose last 32 are those of somebody. */
START_TEST(number_that_is_none_is_nobody)
{
	int fd = t_raw_attach(d.socket, "w");
	long client = t_raw_number(ask("{\"cmd\":\"clients\"}"), "client");
	long domain = t_raw_number(ask("{\"cmd\":\"domains\"}"), "domain");
	char request[128];

	snprintf(request, sizeof(request),
		 "{\"cmd\":\"set-limit\",\"client\":%lld,\"endpoints\":1}",
		 client + (1ll << 32));
	ck_assert_int_eq(t_raw_number(ask(request), "errno"), ENOENT);
	snprintf(request, sizeof(request),
		 "{\"cmd\":\"set-weight\",\"domain\":%lld,\"weight\":2}",
		 domain - (1ll << 32));
	ck_assert_int_eq(t_raw_number(ask(request), "errno"), ENOENT);
	close(fd);
}
END_TEST

START_TEST(bad_admin_request_is_answered_with_an_error)
{
	int fd = t_raw_attach(d.socket, "w");
	const char *answer = ask(bad_requests[_i]);

	ck_assert_ptr_nonnull(strstr(answer, "\"ok\":false"));
	ck_assert_int_gt(t_raw_number(answer, "errno"), 0);
	close(fd);
}
END_TEST

START_TEST(regions_are_listed_without_the_secret_of_the_key)
{
	int fd = t_raw_attach(d.socket, "");
	const char *answer;
	char secret[32];
	uint64_t key;

	ck_assert_int_eq(t_raw_register_memfd(fd, 12288, &key), 0);
	answer = ask("{\"cmd\":\"regions\"}");
	ck_assert_int_eq(t_raw_number(answer, "bytes"), 12288);
	ck_assert_ptr_nonnull(strstr(answer, "\"kind\":\"memfd\""));
	snprintf(secret, sizeof(secret), "%u", (unsigned)(key >> 32));
	ck_assert_ptr_null(strstr(answer, secret));
	close(fd);
}
END_TEST

START_TEST(statistics_come_as_memory_that_cannot_be_written)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	static const char request[] = "{\"cmd\":\"stats\"}\n";
	int fd = t_raw_attach(d.socket, ""), ctl;
	struct vmb_ctl_open_reply open;
	struct t_raw_reply r;
	const struct vmb_stats_head *head;

	ck_assert_int_eq(t_raw_open(fd, 5, 0, &open, NULL), 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s.ctl", d.socket);
	ctl = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(ctl, (void *)&a, sizeof(a)), 0);
	ck_assert_int_eq(send(ctl, request, sizeof(request) - 1, 0),
			 sizeof(request) - 1);
	t_raw_receive(ctl, &r);
	ck_assert_uint_eq(r.fd_count, 1);
	head = mmap(NULL, 4096, PROT_READ, MAP_SHARED, r.fds[0], 0);
	ck_assert_ptr_ne(head, MAP_FAILED);
	ck_assert_uint_eq(head->magic, VMB_STATS_MAGIC);
	ck_assert_ptr_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			      r.fds[0], 0),
			 MAP_FAILED);
	munmap((void *)(uintptr_t)head, 4096);
	t_raw_close_fds(&r);
	close(ctl);
	close(fd);
}
END_TEST

START_TEST(admin_that_never_reads_holds_up_nobody)
{
	int fd = t_raw_attach(d.socket, ""), ctl;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	static const char request[] = "{\"cmd\":\"endpoints\"}\n";

	for (int i = 0; i < 500; i++)
		ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, NULL, NULL), 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s.ctl", d.socket);
	ctl = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(connect(ctl, (void *)&a, sizeof(a)), 0);
	while (send(ctl, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0)
		;
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(t_raw_number(ask("{\"cmd\":\"status\"}"),
					      "endpoints"),
				 500);
	close(ctl);
	close(fd);
}
END_TEST

/* ---- suite -------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name, bool with_daemon)
{
	TCase *t = tcase_create(name);

	if (with_daemon)
		tcase_add_checked_fixture(t, start, stop);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return t;
}

static void add_admin(Suite *s)
{
	TCase *t = add_case(s, "admin", true);

	tcase_add_test(t, set_limit_holds_for_a_client);
	tcase_add_test(t, set_weight_holds_for_a_domain);
	tcase_add_test(t, domain_is_found_by_a_number_as_text);
	tcase_add_test(t, number_that_is_none_is_nobody);
	tcase_add_loop_test(t, bad_admin_request_is_answered_with_an_error, 0,
			    vmb_array_size(bad_requests));
	tcase_add_test(t, regions_are_listed_without_the_secret_of_the_key);
	tcase_add_test(t, statistics_come_as_memory_that_cannot_be_written);
	tcase_add_test(t, admin_that_never_reads_holds_up_nobody);
}

int main(void)
{
	Suite *s = suite_create("admin");

	add_admin(s);
	return t_run(s);
}
