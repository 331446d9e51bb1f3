// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_guest.c - the library in a guest, where registrations pin pages: which
 * memory is reached without a copy, which is streamed, what is given back. A
 * device and a shim of the test's own stand below (support/shim.h).
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "api/api.h"
#include "support/inproc.h"
#include "support/run.h"
#include "support/shim.h"

#define LEN (1u << 20)
#define PATIENCE_MS 10000

static struct vmb_endpoint *a, *b;
static struct vmb_addr to_b;
static bool watching; /* registrations are kept */

static void open_both(void)
{
	struct vmb_regcache_counters counters;
	struct vmb_addr self;
	uint64_t nic;
	uint32_t id;

	ck_assert_int_eq(vmb_init(), 0);
	ck_assert_int_eq(vmb_open(NULL, &a), 0);
	ck_assert_int_eq(vmb_open(NULL, &b), 0);
	ck_assert_int_eq(vmb_self(b, &self), 0);
	ck_assert_int_eq(vmb_addr_query(b, self, &nic, &id, NULL), 0);
	ck_assert_int_eq(vmb_connect(a, nic, id, 0, PATIENCE_MS, &to_b), 0);
	vmb_regcache_query(vmb_library.regcache, &counters);
	watching = counters.watching;
}

static void start(void)
{
	char where[64];

	t_nic_start(NULL);
	t_shim_start();
	snprintf(where, sizeof(where), "kshim:%s", t_shim_path());
	setenv("VMB_PORT", where, 1);
	unsetenv("VMB_DOMAIN");
	open_both();
}

static void stop(void)
{
	vmb_finalize();
	t_shim_stop();
	t_nic_stop();
}

/* Bytes that depend on their place and on seed. */
static void fill(void *buf, unsigned seed)
{
	for (size_t i = 0; i < LEN; i++)
		((unsigned char *)buf)[i] =
			(unsigned char)(i * 13 + i / 251 + seed);
}

/* One message, as it was filled in with seed. */
static void exchange(void *out, void *in, unsigned seed)
{
	struct vmb_segment from = {out, LEN}, to = {in, LEN};
	unsigned char *got = in;
	struct vmb_status status;
	struct vmb_req *send, *recv;
	int done = 0;

	ck_assert_int_eq(vmb_irecv(b, &to, 1, 1, VMB_MATCH_ALL, NULL, &recv),
			 0);
	ck_assert_int_eq(vmb_isend(a, &from, 1, to_b, 1, NULL, &send), 0);
	while (!done) {
		ck_assert_int_eq(vmb_progress(a), 0);
		ck_assert_int_eq(vmb_test(b, &recv, &status, &done), 0);
	}
	ck_assert_int_eq(status.code, 0);
	ck_assert_uint_eq(status.xfer_len, LEN);
	ck_assert_int_eq(vmb_wait(a, &send, PATIENCE_MS, &status, &done), 0);
	ck_assert(done && !status.code);
	for (size_t i = 0; i < LEN; i++)
		if (got[i] != (unsigned char)(i * 13 + i / 251 + seed))
			ck_abort_msg("byte %zu is wrong", i);
}

static uint64_t pipelined(void)
{
	struct vmb_counters counters = {.size = sizeof(counters)};

	ck_assert_int_eq(vmb_query_counters(a, &counters), 0);
	return counters.pipelined;
}

static void *map(void)
{
	void *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	return p;
}

/* Until no more regions are left; the sweeper ends them by itself. */
static void expect_regions(unsigned regions)
{
	for (int ms = 0; t_shim_regions() != regions; ms++) {
		ck_assert_msg(ms < PATIENCE_MS, "%u regions are left",
			      t_shim_regions());
		poll(NULL, 0, 1);
	}
}

START_TEST(ordinary_memory_is_registered_once_and_not_copied)
{
	void *out = map(), *in = map();
	unsigned registers;

	fill(out, 1);
	exchange(out, in, 1);
	registers = t_shim_registers();
	ck_assert_uint_eq(registers, 2);
	for (unsigned i = 2; i < 20; i++) {
		fill(out, i);
		exchange(out, in, i);
	}
	ck_assert_uint_eq(pipelined(), 0);
	if (watching)
		ck_assert_uint_eq(t_shim_registers(), registers);
	munmap(out, LEN);
	munmap(in, LEN);
	expect_regions(0);
}
END_TEST

START_TEST(memory_that_was_replaced_is_sent_as_it_is_now)
{
	char *out = map(), *in = map();

	for (unsigned i = 0; i < 20; i++) {
		fill(out, i);
		exchange(out, in, i);
		if (i % 2)
			ck_assert_ptr_eq(mmap(out, LEN, PROT_READ | PROT_WRITE,
					      MAP_PRIVATE | MAP_ANONYMOUS |
						      MAP_FIXED,
					      -1, 0),
					 out);
		else
			ck_assert_int_eq(madvise(in, LEN, MADV_DONTNEED), 0);
	}
	ck_assert_uint_eq(pipelined(), 0);
	ck_assert_uint_gt(t_shim_registers(), 20);
}
END_TEST

START_TEST(allocated_memory_is_registered_once)
{
	void *out, *in;

	ck_assert_int_eq(vmb_alloc(LEN, &out), 0);
	ck_assert_int_eq(vmb_alloc(LEN, &in), 0);
	for (unsigned i = 0; i < 5; i++) {
		fill(out, i);
		exchange(out, in, i);
	}
	ck_assert_uint_eq(t_shim_registers(), 2);
	ck_assert_uint_eq(pipelined(), 0);
	ck_assert_int_eq(vmb_free(out), 0);
	ck_assert_uint_eq(t_shim_regions(), 1);
	ck_assert_int_eq(vmb_free(in), 0);
	ck_assert_uint_eq(t_shim_regions(), 0);
}
END_TEST

START_TEST(memory_that_cannot_be_written_is_streamed)
{
	void *out = map(), *in = map();

	fill(out, 3);
	ck_assert_int_eq(mprotect(out, LEN, PROT_READ), 0);
	exchange(out, in, 3);
	ck_assert_uint_eq(pipelined(), 1);
}
END_TEST

START_TEST(memory_over_the_limit_of_the_shim_is_streamed)
{
	void *out = map(), *in = map(), *block = NULL;
	struct vmb_mem *mem;

	t_shim_set_pages_max(LEN / 4096 - 1);
	fill(out, 4);
	exchange(out, in, 4);
	ck_assert_uint_eq(pipelined(), 1);
	ck_assert_int_eq(vmb_alloc(LEN, &block), -EFBIG);
	ck_assert_ptr_null(block);
	ck_assert_int_eq(vmb_register(out, LEN, VMB_REMOTE_READ, &mem), -EFBIG);
	ck_assert_int_eq(vmb_register(out, LEN - 4096, VMB_REMOTE_READ, &mem),
			 0);
	ck_assert_int_eq(vmb_deregister(mem), 0);
	ck_assert_uint_eq(t_shim_regions(), 0);
}
END_TEST

/* No barrier of another domain's kernel reaches us: docs/signalling.md. */
START_TEST(sender_fences_for_itself)
{
	ck_assert_uint_eq(vmb_library.port->hello.features, 0);
	ck_assert(a->am.fences);
}
END_TEST

START_TEST(protection_domain_is_the_guest)
{
	vmb_finalize();
	setenv("VMB_DOMAIN", "db", 1);
	ck_assert_int_eq(vmb_init(), -EINVAL);
	unsetenv("VMB_DOMAIN");
	ck_assert_int_eq(vmb_init(), 0);
}
END_TEST

static void start_without_keeping(void)
{
	setenv("VMB_REGCACHE", "0", 1);
	start();
}

static void start_with_keeping(void)
{
	unsetenv("VMB_REGCACHE");
	start();
}

static TCase *guest_case(const char *name, void (*begin)(void))
{
	TCase *c = tcase_create(name);

	tcase_add_checked_fixture(c, begin, stop);
	tcase_add_test(c, ordinary_memory_is_registered_once_and_not_copied);
	tcase_add_test(c, memory_that_was_replaced_is_sent_as_it_is_now);
	tcase_add_test(c, allocated_memory_is_registered_once);
	tcase_add_test(c, memory_that_cannot_be_written_is_streamed);
	tcase_add_test(c, memory_over_the_limit_of_the_shim_is_streamed);
	tcase_add_test(c, sender_fences_for_itself);
	tcase_add_test(c, protection_domain_is_the_guest);
	return c;
}

int main(void)
{
	Suite *s = suite_create("guest");

	suite_add_tcase(s, guest_case("kept", start_with_keeping));
	suite_add_tcase(s, guest_case("not kept", start_without_keeping));
	return t_run(s);
}
