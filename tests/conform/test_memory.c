// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_memory.c - vmb_alloc() and vmb_register().
 *
 * Flow:  memory -> keys -> handles that end
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "conform/conform.h"

static bool is_zero(const char *p, size_t len)
{
	return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

START_TEST(alloc_gives_zeroed_pages)
{
	static const size_t lens[] = {1, 4096, 4097, 3u << 20};
	char *p[4];

	for (int i = 0; i < 4; i++) {
		t_ok(vmb_alloc(lens[i], (void **)&p[i]));
		ck_assert_uint_eq((uintptr_t)p[i] % 4096, 0);
		ck_assert(is_zero(p[i], lens[i]));
		memset(p[i], 0xff, lens[i]);
	}
	for (int i = 0; i < 4; i++)
		t_ok(vmb_free(p[i]));
}
END_TEST

START_TEST(bad_allocations_are_refused)
{
	void *p = NULL, *good;

	t_fails(vmb_alloc(0, &p), -EINVAL);
	t_fails(vmb_alloc(1, NULL), -EINVAL);
	t_fails(vmb_alloc(SIZE_MAX, &p), -ENOMEM);
	t_fails(vmb_alloc((size_t)1 << 60, &p), -ENOMEM);
	ck_assert_ptr_null(p);
	t_ok(vmb_alloc(8192, &good));
	t_fails(vmb_free((char *)good + 4096), -EINVAL);
	t_fails(vmb_free(&p), -EINVAL);
	t_ok(vmb_free(good));
	t_fails(vmb_free(good), -EINVAL);
	t_ok(vmb_free(NULL));
}
END_TEST

START_TEST(registrations_have_keys_of_their_own)
{
	static char buf[100000];
	struct vmb_mem *mem[20];
	uint64_t keys[20];

	for (unsigned i = 0; i < 20; i++) {
		t_ok(vmb_register(buf + i, sizeof(buf) - i, i % 4, &mem[i]));
		t_ok(vmb_mem_key(mem[i], &keys[i]));
		ck_assert_uint_ne(keys[i] >> 32, 0); /* cannot be guessed */
		for (unsigned j = 0; j < i; j++)
			ck_assert_uint_ne(keys[i], keys[j]);
	}
	for (int i = 0; i < 20; i++)
		t_ok(vmb_deregister(mem[i]));
}
END_TEST

START_TEST(allocated_memory_is_registered_too)
{
	struct vmb_mem *mem, *part;
	char *p;

	t_ok(vmb_alloc(100000, (void **)&p));
	t_ok(vmb_register(p, 100000, VMB_REMOTE_READ, &mem));
	t_ok(vmb_register(p + 100, 1000, VMB_REMOTE_WRITE, &part));
	t_ok(vmb_deregister(mem));
	t_ok(vmb_deregister(part));
	t_ok(vmb_free(p));
}
END_TEST

START_TEST(bad_registrations_are_refused)
{
	struct vmb_mem *mem = NULL;
	char buf[64];

	t_fails(vmb_register(NULL, 1, 0, &mem), -EINVAL);
	t_fails(vmb_register(buf, 0, 0, &mem), -EINVAL);
	t_fails(vmb_register(buf, sizeof(buf), 4, &mem), -EINVAL);
	t_fails(vmb_register(buf, sizeof(buf), 0, NULL), -EINVAL);
	t_fails(vmb_register(buf, SIZE_MAX, 0, &mem), -EINVAL);
	ck_assert_ptr_null(mem);
}
END_TEST

START_TEST(memory_that_is_none_of_ours_is_refused)
{
	struct vmb_mem *mem = NULL;
	char *p = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	t_ok(mprotect(p + 4096, 4096, PROT_READ));
	t_ok(munmap(p + 8192, 4096));
	t_fails(vmb_register(p + 4096, 1, 0, &mem), -EFAULT);
	t_fails(vmb_register(p, 4097, 0, &mem), -EFAULT);
	t_fails(vmb_register(p + 8192, 100, 0, &mem), -EFAULT);
	ck_assert_ptr_null(mem);
	t_ok(vmb_register(p, 4096, 0, &mem));
	t_ok(vmb_deregister(mem));
	t_ok(munmap(p, 8192));
}
END_TEST

START_TEST(dead_registrations_are_refused)
{
	struct vmb_mem *mem;
	uint64_t key = 5;
	char buf[64];

	t_ok(vmb_register(buf, sizeof(buf), 0, &mem));
	t_fails(vmb_mem_key(mem, NULL), -EINVAL);
	t_ok(vmb_deregister(mem));
	t_fails(vmb_deregister(mem), -EINVAL);
	t_fails(vmb_mem_key(mem, &key), -EINVAL);
	t_fails(vmb_deregister(NULL), -EINVAL);
	t_fails(vmb_deregister((struct vmb_mem *)(void *)buf), -EINVAL);
	t_fails(vmb_mem_key((struct vmb_mem *)(void *)1, &key), -EINVAL);
	ck_assert_uint_eq(key, 5);
}
END_TEST

START_TEST(finalize_ends_registrations)
{
	struct vmb_mem *mem;
	uint64_t key;
	char buf[64];

	t_ok(vmb_register(buf, sizeof(buf), 0, &mem));
	vmb_finalize();
	t_fails(vmb_mem_key(mem, &key), -EINVAL);
	t_ok(vmb_init());
	t_fails(vmb_deregister(mem), -EINVAL);
}
END_TEST

Suite *t_memory_suite(void)
{
	Suite *s = suite_create("memory");
	TCase *tc = t_case(s, "alloc");

	tcase_add_test(tc, alloc_gives_zeroed_pages);
	tcase_add_test(tc, bad_allocations_are_refused);
	tc = t_case(s, "register");
	tcase_add_test(tc, registrations_have_keys_of_their_own);
	tcase_add_test(tc, allocated_memory_is_registered_too);
	tcase_add_test(tc, bad_registrations_are_refused);
	tcase_add_test(tc, memory_that_is_none_of_ours_is_refused);
	tcase_add_test(tc, dead_registrations_are_refused);
	tcase_add_test(tc, finalize_ends_registrations);
	return s;
}
