// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_library.c - attach, detach, names, texts.
 *
 * Flow:  vmb_init() ... vmb_finalize()
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conform/conform.h"

START_TEST(init_is_counted)
{
	struct vmb_endpoint *ep;

	t_ok(vmb_init());
	vmb_finalize();
	ep = t_open(NULL); /* the fixture's vmb_init() still counts */
	t_ok(vmb_close(ep));
}
END_TEST

START_TEST(calls_before_init_are_refused)
{
	struct vmb_endpoint *ep;
	struct vmb_mem *mem;
	char name[VMB_NAME_MAX], buf[8];
	uint64_t nic_id;
	void *p;

	vmb_finalize();
	t_fails(vmb_open(NULL, &ep), -ENOTCONN);
	t_fails(vmb_alloc(100, &p), -ENOTCONN);
	t_fails(vmb_register(buf, sizeof(buf), 0, &mem), -ENOTCONN);
	t_fails(vmb_nic_id(&nic_id), -ENOTCONN);
	t_fails(vmb_name_to_nic_id("localhost", &nic_id), -ENOTCONN);
	t_fails(vmb_nic_id_to_name(1, name), -ENOTCONN);
	vmb_finalize(); /* one too many is harmless */
	t_ok(vmb_init());
}
END_TEST

START_TEST(finalize_closes_what_is_open)
{
	struct vmb_endpoint *ep = t_open(NULL);
	struct vmb_addr self;
	void *p;

	t_ok(vmb_alloc(100, &p));
	vmb_finalize();
	t_fails(vmb_self(ep, &self), -EINVAL);
	t_ok(vmb_init());
	t_fails(vmb_self(ep, &self), -EINVAL);
	t_ok(vmb_close(t_open(NULL)));
}
END_TEST

START_TEST(init_works_many_times)
{
	for (int i = 0; i < 50; i++) {
		vmb_finalize();
		t_ok(vmb_init());
		t_ok(vmb_close(t_open(NULL)));
	}
}
END_TEST

START_TEST(version_is_that_of_the_header)
{
	char text[32];

	snprintf(text, sizeof(text), "%d.%d.%d", VMB_VERSION_MAJOR,
		 VMB_VERSION_MINOR, VMB_VERSION_PATCH);
	ck_assert_str_eq(vmb_version(), text);
}
END_TEST

START_TEST(strerror_has_a_text_for_every_number)
{
	static const int named[] = {
		0,
		-EPIPE,
		-EIO,
		-EINVAL,
		-EPERM,
		-ENOENT,
		-ECONNREFUSED,
		-EACCES,
		-EPROTO,
		-ENOMEM,
		-EUSERS,
		-EBUSY,
		-EDQUOT,
		-EMFILE,
		-ENOTCONN,
		-EDEADLK,
		-EAGAIN,
		-ENXIO,
		-ETIMEDOUT,
		-EMSGSIZE,
		-EBADF,
		-EOPNOTSUPP,
		-EFAULT,
		-ENOKEY,
		-ERANGE,
		-ECONNRESET,
		-ESTALE,
		-ECANCELED,
		-ENOBUFS,
		-EKEYREJECTED,
		-EFBIG,
		-ENOSPC,
		-ECONNABORTED,
	};

	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		const char *text = vmb_strerror(named[i]);

		ck_assert_str_ne(text, "unknown error");
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(text, vmb_strerror(named[j]));
	}
	for (int code = 10; code > -5000; code--)
		ck_assert_ptr_nonnull(vmb_strerror(code));
	ck_assert_str_eq(vmb_strerror(-4999), "unknown error");
	ck_assert_ptr_nonnull(vmb_strerror(-2147483647 - 1));
}
END_TEST

START_TEST(names_lead_to_ids_and_back)
{
	char name[VMB_NAME_MAX], again[VMB_NAME_MAX], *colon;
	uint64_t own = t_nic_id(), id;

	ck_assert_uint_ne(own, 0);
	ck_assert_uint_eq(own >> 48, 0);
	t_ok(vmb_nic_id_to_name(own, name));
	t_ok(vmb_name_to_nic_id(name, &id));
	ck_assert_uint_eq(id, own);
	t_ok(vmb_name_to_nic_id("localhost", &id));
	ck_assert_uint_eq(id, own);

	colon = strchr(name, ':');
	ck_assert_ptr_nonnull(colon);
	snprintf(again, sizeof(again), "localhost%s", colon);
	t_ok(vmb_name_to_nic_id(again, &id));
	ck_assert_uint_eq(id, own);
	if (!strcmp(colon, ":0")) { /* the host alone is board 0 */
		*colon = 0;
		t_ok(vmb_name_to_nic_id(name, &id));
		ck_assert_uint_eq(id, own);
	}
}
END_TEST

START_TEST(unknown_names_are_refused)
{
	char name[VMB_NAME_MAX], longest[VMB_NAME_MAX + 1];
	uint64_t id = 7;

	memset(longest, 'x', VMB_NAME_MAX);
	longest[VMB_NAME_MAX] = 0;
	t_fails(vmb_name_to_nic_id("no-such-host:0", &id), -ENOENT);
	t_fails(vmb_name_to_nic_id("localhost:77", &id), -ENOENT);
	t_fails(vmb_name_to_nic_id("", &id), -EINVAL);
	t_fails(vmb_name_to_nic_id(":0", &id), -EINVAL);
	t_fails(vmb_name_to_nic_id("a:", &id), -EINVAL);
	t_fails(vmb_name_to_nic_id("a:0:0", &id), -EINVAL);
	t_fails(vmb_name_to_nic_id(longest, &id), -EINVAL);
	t_fails(vmb_name_to_nic_id(NULL, &id), -EINVAL);
	t_fails(vmb_name_to_nic_id("localhost", NULL), -EINVAL);
	ck_assert_uint_eq(id, 7); /* written on success only */

	t_fails(vmb_nic_id_to_name(0xdeadull, name), -ENOENT);
	t_fails(vmb_nic_id_to_name(0, name), -EINVAL);
	t_fails(vmb_nic_id_to_name(1ull << 48, name), -EINVAL);
	t_fails(vmb_nic_id_to_name(t_nic_id(), NULL), -EINVAL);
	t_fails(vmb_nic_id(NULL), -EINVAL);
}
END_TEST

START_TEST(bad_environment_falls_back)
{
	struct t_pair pair;

	vmb_finalize();
	setenv("VMB_WAIT", "sometimes", 1);
	setenv("VMB_EAGER", "-3", 1);
	setenv("VMB_SPIN_US", "20us", 1);
	t_ok(vmb_init());
	pair = t_pair_open();
	t_exchange(&pair, 1, 5000);
	t_pair_close(&pair);
}
END_TEST

/* With settings read anew: messages up to this many bytes are sent at once. */
static void eager_limit_is(size_t bytes)
{
	struct vmb_counters counters = {.size = sizeof(counters)};
	struct t_pair pair;

	vmb_finalize();
	t_ok(vmb_init());
	pair = t_pair_open();
	t_exchange(&pair, 1, bytes);
	t_ok(vmb_query_counters(pair.a, &counters));
	ck_assert_uint_eq(counters.eager, 1);
	t_exchange(&pair, 2, bytes + 1);
	t_ok(vmb_query_counters(pair.a, &counters));
	ck_assert_uint_eq(counters.eager, 1);
	ck_assert_uint_eq(counters.rendezvous + counters.pipelined, 1);
	t_pair_close(&pair);
}

START_TEST(eager_limit_is_taken_from_the_environment)
{
	setenv("VMB_EAGER", "4096", 1);
	eager_limit_is(4096);
}
END_TEST

static char home[] = "/tmp/vmb-conform-XXXXXX";

static void write_conf(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

/* The user's own file, where both variables have it; another one by name. */
static void make_home(char own[128], char other[128])
{
	char folder[64];

	ck_assert_ptr_nonnull(mkdtemp(home));
	snprintf(folder, sizeof(folder), "%s/.config", home);
	ck_assert(!mkdir(folder, 0700));
	setenv("HOME", home, 1);
	unsetenv("XDG_CONFIG_HOME");
	snprintf(folder, sizeof(folder), "%s/.config/vmbypass", home);
	ck_assert(!mkdir(folder, 0700));
	snprintf(own, 128, "%s/vmbypass.conf", folder);
	snprintf(other, 128, "%s/other.conf", home);
}

static void remove_home(const char *own, const char *other)
{
	char folder[64];

	remove(own);
	remove(other);
	snprintf(folder, sizeof(folder), "%s/.config/vmbypass", home);
	rmdir(folder);
	snprintf(folder, sizeof(folder), "%s/.config", home);
	rmdir(folder);
	rmdir(home);
}

START_TEST(eager_limit_is_taken_from_the_first_file_there_is)
{
	char own[128], other[128], config[64];

	make_home(own, other);
	eager_limit_is(8192); /* there is none */
	write_conf(own, "# mine\n eager=5000 ; bytes\n");
	eager_limit_is(5000);
	snprintf(config, sizeof(config), "%s/.config", home);
	setenv("XDG_CONFIG_HOME", "/nowhere", 1);
	eager_limit_is(8192);
	setenv("HOME", "/nowhere", 1);
	setenv("XDG_CONFIG_HOME", config, 1);
	eager_limit_is(5000);
	write_conf(other, "wait = adaptive\neager = 6000\n");
	setenv("VMB_CONF", other, 1);
	eager_limit_is(6000);
	setenv("VMB_EAGER", "7000", 1); /* goes before all files */
	eager_limit_is(7000);
	unsetenv("VMB_EAGER");
	setenv("VMB_CONF", "/nowhere", 1);
	eager_limit_is(8192);
	setenv("VMB_CONF", "", 1);
	eager_limit_is(8192);
	remove_home(own, other);
}
END_TEST

START_TEST(bad_lines_of_a_file_fall_back)
{
	char own[128], other[128], comment[300];

	make_home(own, other);
	write_conf(own, "eager = 5000\nno such line\nbogus = 1\nwait = often\n"
			"spin_us = 99999999999999999999999999999999999999\n"
			"[section]\neager = 6000 7000\n");
	eager_limit_is(5000);
	write_conf(own, "eager = 4095\n");
	eager_limit_is(8192);
	write_conf(own, "\xff\xfe eager");
	eager_limit_is(8192);
	memset(comment, ' ', 255);
	comment[0] = '#';
	strcpy(comment + 255, "eager = 5000\n");
	write_conf(own, comment);
	eager_limit_is(8192);
	remove_home(own, other);
}
END_TEST

Suite *t_library_suite(void)
{
	Suite *s = suite_create("library");
	TCase *tc = t_case(s, "attach");

	tcase_add_test(tc, init_is_counted);
	tcase_add_test(tc, calls_before_init_are_refused);
	tcase_add_test(tc, finalize_closes_what_is_open);
	tcase_add_test(tc, init_works_many_times);
	tc = t_case(s, "texts");
	tcase_add_test(tc, version_is_that_of_the_header);
	tcase_add_test(tc, strerror_has_a_text_for_every_number);
	tc = t_case(s, "names");
	tcase_add_test(tc, names_lead_to_ids_and_back);
	tcase_add_test(tc, unknown_names_are_refused);
	tc = t_case(s, "environment");
	tcase_add_test(tc, bad_environment_falls_back);
	tcase_add_test(tc, eager_limit_is_taken_from_the_environment);
	tcase_add_test(tc, eager_limit_is_taken_from_the_first_file_there_is);
	tcase_add_test(tc, bad_lines_of_a_file_fall_back);
	return s;
}
