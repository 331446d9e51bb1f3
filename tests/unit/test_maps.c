// SPDX-License-Identifier: BSD-2-Clause
/* test_maps.c - telling private anonymous memory from all other kinds. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

#include "am/maps.h"
#include "support/run.h"

#define T_PAGE 4096u

static uintptr_t map_pages(size_t pages)
{
	void *p = mmap(NULL, pages * T_PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	return (uintptr_t)p;
}

static int ask_maps(FILE *f, uintptr_t start, uintptr_t end, uintptr_t low,
		    uintptr_t high)
{
	int answer = vmb_maps_private(fileno(f), &start, &end);

	if (answer == 1) {
		ck_assert_uint_eq(start, low);
		ck_assert_uint_eq(end, high);
	}
	return answer;
}

START_TEST(maps_text_is_judged_by_every_line)
{
	static const struct {
		uintptr_t start, end;
		int answer;
		uintptr_t low, high;
	} cases[] = {
		{0x2000, 0x5000, 1, 0x1000, 0x6000}, /* side by side */
		{0x1000, 0x7000, 0, 0, 0},	     /* into a shared one */
		{0x7000, 0x8000, 0, 0, 0},	     /* a file */
		{0x8000, 0x9000, 1, 0x8000, 0x9000},
		{0x8000, 0xa000, 0, 0, 0}, /* a hole */
		{0xc000, 0xd000, 0, 0, 0}, /* past the end */
	};
	static const char text[] =
		"00001000-00004000 rw-p 00000000 00:00 0 \n"
		"00004000-00006000 r--p 00000000 00:00 0    [heap]\n"
		"00006000-00007000 rw-s 00000000 00:00 0    /dev/zero\n"
		"00007000-00008000 rw-p 00000000 08:01 77   /a b\n"
		"00008000-00009000 ---p 00000000 00:00 0 \n"
		"0000a000-0000b000 rw-p 00000000 00:00 0 \n";
	FILE *f = tmpfile();

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fflush(f);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_int_eq(ask_maps(f, cases[i].start, cases[i].end,
					  cases[i].low, cases[i].high),
				 cases[i].answer);
	fclose(f);
}
END_TEST

START_TEST(maps_of_the_kernel_tell_private_from_shared)
{
	FILE *f = fopen("/proc/self/maps", "r");
	uintptr_t p = map_pages(6), shared = p + 4 * T_PAGE;

	/* fences, so that no neighbour is merged */
	ck_assert_int_eq(mprotect((void *)p, T_PAGE, PROT_NONE), 0);
	ck_assert_ptr_eq(mmap((void *)shared, T_PAGE, PROT_READ,
			      MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 (void *)shared);
	ck_assert_int_eq(ask_maps(f, p + 2 * T_PAGE, p + 3 * T_PAGE, p + T_PAGE,
				  shared),
			 1);
	ck_assert_int_eq(ask_maps(f, p + 2 * T_PAGE, shared + 1, 0, 0), 0);
	ck_assert_int_eq(ask_maps(f, 0, T_PAGE, 0, 0), 0);
	fclose(f);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("maps");
	TCase *kind = tcase_create("kind");

	tcase_add_test(kind, maps_text_is_judged_by_every_line);
	tcase_add_test(kind, maps_of_the_kernel_tell_private_from_shared);
	suite_add_tcase(s, kind);
	return t_run(s);
}
