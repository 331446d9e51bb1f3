// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_bench.c - the instruments of the benches: a figure is worth what they
 * are worth.
 *
 * Flow:  ctest -> [here] -> bench/floor, hist, jain, pattern, point,
 *        syscalls
 * Owns:  nothing.
 * Trust: nobody.
 */
#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../bench/harness.h"
#include "../../bench/hist.h"
#include "../../bench/jain.h"
#include "../../bench/options.h"
#include "../../bench/pattern.h"
#include "../../bench/point.h"
#include "../../bench/syscalls.h"
#include "support/run.h"
#include "support/skip.h"

#define CALLS 37

/* ---- histogram ---------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

START_TEST(quantiles_match_sorted_values)
{
	enum {
		N = 10001
	};
	static const double quantiles[] = {0, 0.5, 0.9, 0.99, 0.999, 1};
	static struct bench_hist hist;
	static uint64_t values[N];

	bench_hist_init(&hist, 0.5);
	for (int i = 0; i < N; i++) {
		values[i] = (uint64_t)random() >> (i % 31);
		bench_hist_record(&hist, values[i]);
	}
	qsort(values, N, sizeof(values[0]), by_value);
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
		size_t rank = (size_t)(quantiles[i] * N);
		double exact = (double)values[rank < N ? rank : N - 1] / 2;

		ck_assert_double_eq_tol(bench_hist_quantile_ns(&hist,
							       quantiles[i]),
					exact, exact * 0.008 + 0.5);
	}
	ck_assert_double_eq(bench_hist_min_ns(&hist), (double)values[0] / 2);
	ck_assert_double_eq(bench_hist_max_ns(&hist),
			    (double)values[N - 1] / 2);
}
END_TEST

START_TEST(merge_adds_counts_and_extremes)
{
	static struct bench_hist a, b;

	bench_hist_init(&a, 1);
	bench_hist_init(&b, 1);
	bench_hist_record(&a, 10);
	bench_hist_record(&b, 5);
	bench_hist_record(&b, 1000000);
	bench_hist_merge(&a, &b);
	ck_assert_uint_eq(a.count, 3);
	ck_assert_double_eq(bench_hist_min_ns(&a), 5);
	ck_assert_double_eq(bench_hist_quantile_ns(&a, 0.5), 10);
	ck_assert_double_eq(bench_hist_max_ns(&a), 1000000);
}
END_TEST

START_TEST(every_value_has_its_bucket)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t v = 1ull << bit;

		ck_assert_uint_lt(bench_hist_index(v), BENCH_HIST_BUCKETS);
		ck_assert_uint_le(bench_hist_index(v - 1), bench_hist_index(v));
	}
	ck_assert_uint_eq(bench_hist_index(UINT64_MAX), BENCH_HIST_BUCKETS - 1);
}
END_TEST

/* ---- payloads ----------------------------------------------------------- */

START_TEST(pattern_notices_every_changed_bit)
{
	uint8_t data[77];

	for (size_t len = 0; len <= sizeof(data); len++) {
		bench_pattern_fill(data, len, 42);
		ck_assert(bench_pattern_check(data, len, 42));
		for (size_t bit = 0; bit < 8 * len; bit++) {
			data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			ck_assert(!bench_pattern_check(data, len, 42));
			data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
}
END_TEST

START_TEST(pattern_differs_by_seed_and_place)
{
	uint8_t data[256];

	bench_pattern_fill(data, sizeof(data), 7);
	ck_assert(!bench_pattern_check(data, sizeof(data), 8));
	ck_assert(!bench_pattern_check(data + 8, sizeof(data) - 8, 7));
	ck_assert(!bench_pattern_check(data + 1, 4, 7));
}
END_TEST

/* ---- points ------------------------------------------------------------- */

START_TEST(median_is_the_middle_value)
{
	double odd[] = {5, 1, 9}, even[] = {4, 1, 2, 9};

	ck_assert_double_eq(bench_median(odd, 3), 5);
	ck_assert_double_eq(bench_median(even, 4), 3);
	ck_assert(isnan(bench_median(odd, 0)));
}
END_TEST

static struct bench_round round_with(uint64_t messages, int64_t calls)
{
	struct bench_round r;

	bench_round_init(&r, 1);
	r.messages = messages;
	r.bytes = messages * 8;
	r.ns = 1000;
	r.counted = true;
	for (int i = 0; i < BENCH_PARTIES; i++)
		r.syscalls[i] = calls;
	return r;
}

START_TEST(uncounted_party_is_null_and_not_zero)
{
	static struct bench_point p;
	struct bench_round r = round_with(10, 0);
	json_t *o;

	bench_point_init(&p, "t", "i", BENCH_RATE, 8, 1);
	bench_point_add(&p, &r);
	r.syscalls[BENCH_ENGINE] = BENCH_NOT_COUNTED;
	bench_point_add(&p, &r);
	o = bench_point_json(&p);
	ck_assert(json_is_null(json_object_get(o, "syscalls_per_msg")));
	ck_assert(json_is_null(
		json_array_get(json_object_get(o, "syscalls"), BENCH_ENGINE)));
	ck_assert(json_is_integer(
		json_array_get(json_object_get(o, "syscalls"), BENCH_CLIENT)));
	json_decref(o);
}
END_TEST

START_TEST(calls_are_divided_by_counted_messages_only)
{
	static struct bench_point p;
	struct bench_round r = round_with(10, 5);
	json_t *o;

	bench_point_init(&p, "t", "i", BENCH_RATE, 8, 1);
	bench_point_add(&p, &r);
	r.counted = false;
	bench_point_add(&p, &r);
	o = bench_point_json(&p);
	ck_assert_double_eq(
		json_number_value(json_object_get(o, "syscalls_per_msg")), 1.5);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "iters")), 20);
	json_decref(o);
}
END_TEST

/* ---- equal parts ---------------------------------------------------------- */

START_TEST(jain_is_one_for_equals_and_one_part_for_one_that_has_all)
{
	static const double equal[] = {3, 3, 3, 3}, all[] = {0, 0, 8, 0};

	ck_assert_double_eq(bench_jain(equal, 4), 1);
	ck_assert_double_eq(bench_jain(all, 4), 0.25);
	ck_assert(isnan(bench_jain(all, 2)));
	ck_assert(isnan(bench_jain(all, 0)));
}
END_TEST

START_TEST(jain_entitled_takes_no_offence_at_who_cannot_use_its_share)
{
	static const double got[] = {1, 10, 10, 10}, alone[] = {1, 40};
	static const double taken[] = {1, 28, 1, 1};

	/* it moved all that it can: then the others are equal, or are not */
	ck_assert_double_eq_tol(bench_jain_entitled(got, alone, 1, 4), 1, 1e-9);
	ck_assert_double_lt(bench_jain(got, 4), 0.9);
	ck_assert_double_lt(bench_jain_entitled(taken, alone, 1, 4), 0.5);
	/* it could use a share, and got less */
	ck_assert_double_lt(bench_jain_entitled(got, alone + 1, 1, 4), 0.9);
	/* all are bounded: nobody shares a rest */
	ck_assert_double_eq_tol(bench_jain_entitled(alone, alone, 1, 1), 1,
				1e-9);
}
END_TEST

/* ---- system calls ------------------------------------------------------- */

static void calls_make(int n)
{
	while (n--)
		getppid();
}

/* _i: the method. Twice, because a counter may be used again and again. */
START_TEST(counter_finds_exactly_the_calls_made)
{
	struct bench_syscalls s;
	int64_t own, others;

	bench_syscalls_open(&s, (enum bench_count_method)_i);
	if (s.method == BENCH_COUNT_NONE) {
		t_skip(_i == BENCH_COUNT_PERF
			       ? "no counting of system calls by perf here"
			       : "no counting of system calls by ptrace here");
		return;
	}
	for (int calls = CALLS; calls >= 0; calls -= CALLS) {
		/* no check between: libcheck makes a call for each */
		int ret = bench_syscalls_begin(&s, 0);

		calls_make(CALLS); /* attached, not started */
		if (!ret)
			bench_syscalls_start(&s);
		calls_make(calls);
		if (!ret)
			bench_syscalls_stop(&s, &own, &others);
		if (!ret)
			bench_syscalls_end(&s);
		ck_assert_int_eq(ret, 0);
		ck_assert_int_eq(own, calls);
	}
	bench_syscalls_close(&s);
}
END_TEST

START_TEST(counter_says_when_it_cannot)
{
	struct bench_syscalls s;

	bench_syscalls_open(&s, BENCH_COUNT_NONE);
	ck_assert_int_lt(bench_syscalls_begin(&s, 0), 0);
	ck_assert_str_eq(bench_syscalls_method(&s), "not counted");
	bench_syscalls_close(&s);
}
END_TEST

/* ---- processor time --------------------------------------------------- */

START_TEST(processor_time_is_of_a_process_and_never_of_none)
{
	uint64_t ns = 42;

	ck_assert_int_eq(bench_cpu_time(0, &ns), -ESRCH);
	ck_assert_int_eq(bench_cpu_time(-1, &ns), -ESRCH);
	ck_assert_uint_eq(ns, 42);
	ck_assert_int_eq(bench_cpu_time(getpid(), &ns), 0);
}
END_TEST

/* ---- floors --------------------------------------------------------------- */

/* One turn: the time of the round is that turn, and no warming up is in it. */
static void one_turn_check(const struct bench_round *r)
{
	ck_assert_uint_eq(r->messages, 1);
	ck_assert_uint_eq(r->hist.count, 1);
	ck_assert_double_eq_tol((double)r->ns, bench_hist_max_ns(&r->hist), 2);
}

START_TEST(floors_take_the_time_of_their_measured_turns_only)
{
	static struct bench_round r;
	struct bench_copy copy = {0};
	struct bench_wake wake;

	bench_clock_init();
	ck_assert_int_eq(bench_copy_open(&copy, BENCH_MEMORY_MALLOC, 1, 65536),
			 0);
	bench_round_init(&r, bench_ns_per_tick());
	bench_copy_run(&copy, 65536, 1, NULL, &r);
	one_turn_check(&r);
	bench_copy_close(&copy);

	ck_assert_int_eq(bench_wake_open(&wake, true, BENCH_CPU_ANY), 0);
	bench_round_init(&r, bench_ns_per_tick());
	ck_assert_int_eq(bench_wake_run(&wake, 1, NULL, &r), 0);
	one_turn_check(&r);
	bench_wake_close(&wake);
}
END_TEST

/* No machine that runs this has so many. */
#define NOWHERE (BENCH_CPUS_MAX - 1)

START_TEST(floors_fail_whose_other_side_cannot_be_pinned)
{
	static struct bench_round r;
	struct bench_wake wake;

	for (int socket = 0; socket < 2; socket++)
		ck_assert_int_lt(bench_wake_open(&wake, socket, NOWHERE), 0);
	bench_round_init(&r, 1);
	ck_assert_int_lt(
		bench_floor_line(BENCH_CPU_ANY, NOWHERE, 100, NULL, &r), 0);
	ck_assert_uint_eq(r.messages, 0);
	ck_assert_int_lt(bench_cpu_try(NOWHERE), 0);
	ck_assert_int_eq(bench_cpu_try(BENCH_CPU_ANY), 0);
}
END_TEST

/* ---- trials --------------------------------------------------------------- */

/* Messages of `each` ns, behind a set-up of `setup_ns` that happens once. */
static uint64_t trials_run(const struct bench_options *o, double each,
			   double setup_ns)
{
	struct bench_trials t;
	double ns;

	bench_trials_begin(&t, 100);
	do {
		ns = (double)t.iters * each + setup_ns;
		setup_ns = 0;
	} while (!bench_trials_end(&t, o, (uint64_t)ns));
	return t.iters;
}

START_TEST(trials_find_the_number_that_fits_the_time)
{
	struct bench_options o = {.time_ms = 200};

	ck_assert_uint_eq(trials_run(&o, 100, 0), 2000000);
	ck_assert_uint_eq(trials_run(&o, 1e6, 0), 200);
}
END_TEST

START_TEST(trials_leave_out_what_the_first_messages_set_up)
{
	struct bench_options o = {.time_ms = 200};

	/* shorter than a trial, as long, longer than the whole time */
	ck_assert_uint_eq(trials_run(&o, 100, 1e7), 2000000);
	ck_assert_uint_eq(trials_run(&o, 100, 3e7), 2000000);
	ck_assert_uint_eq(trials_run(&o, 100, 1e9), 2000000);
}
END_TEST

START_TEST(trials_end_where_no_two_are_alike_or_the_number_is_given)
{
	struct bench_options o = {.time_ms = 200};
	struct bench_trials t;
	unsigned n = 1;

	bench_trials_begin(&t, 100);
	while (!bench_trials_end(&t, &o, (n % 2 ? 1 : 10) * 100000000ull))
		n++;
	ck_assert_uint_le(n, 100);
	o.iters = 7;
	bench_trials_begin(&t, 100);
	ck_assert(bench_trials_end(&t, &o, 1));
	ck_assert_uint_eq(t.iters, 7);
}
END_TEST

START_TEST(sizes_print_as_short_as_exact)
{
	char text[24];

	ck_assert_str_eq(bench_size_text(0, text), "0");
	ck_assert_str_eq(bench_size_text(1500, text), "1500");
	ck_assert_str_eq(bench_size_text(4096, text), "4K");
	ck_assert_str_eq(bench_size_text(1048576, text), "1M");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bench");
	TCase *tc = tcase_create("instruments");

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, quantiles_match_sorted_values);
	tcase_add_test(tc, merge_adds_counts_and_extremes);
	tcase_add_test(tc, every_value_has_its_bucket);
	tcase_add_test(tc, pattern_notices_every_changed_bit);
	tcase_add_test(tc, pattern_differs_by_seed_and_place);
	tcase_add_test(tc, median_is_the_middle_value);
	tcase_add_test(tc, uncounted_party_is_null_and_not_zero);
	tcase_add_test(tc, calls_are_divided_by_counted_messages_only);
	tcase_add_test(
		tc, jain_is_one_for_equals_and_one_part_for_one_that_has_all);
	tcase_add_test(
		tc, jain_entitled_takes_no_offence_at_who_cannot_use_its_share);
	tcase_add_loop_test(tc, counter_finds_exactly_the_calls_made,
			    BENCH_COUNT_PERF, BENCH_COUNT_PTRACE + 1);
	tcase_add_test(tc, counter_says_when_it_cannot);
	tcase_add_test(tc, processor_time_is_of_a_process_and_never_of_none);
	tcase_add_test(tc, floors_take_the_time_of_their_measured_turns_only);
	tcase_add_test(tc, floors_fail_whose_other_side_cannot_be_pinned);
	tcase_add_test(tc, trials_find_the_number_that_fits_the_time);
	tcase_add_test(tc, trials_leave_out_what_the_first_messages_set_up);
	tcase_add_test(
		tc, trials_end_where_no_two_are_alike_or_the_number_is_given);
	tcase_add_test(tc, sizes_print_as_short_as_exact);
	return t_run(suite);
}
