// SPDX-License-Identifier: BSD-2-Clause
/*
 * harness.c - what every bench program begins and ends with.
 *
 * Flow:  main() -> [here] -> daemon, syscalls, report
 * Owns:  what struct bench holds.
 * Trust: its callers.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define ITERS_MIN 20
#define ITERS_MAX (1u << 24)
#define TRIALS_MAX 12u
#define ARENA_AIM (64u << 20)

int bench_fail(const char *what, int code)
{
	fprintf(stderr, "%s%s: %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "",
		what, strerror(-code));
	return code;
}

uint64_t bench_iters(const struct bench_options *o, double ns_each)
{
	double fit = o->time_ms * 1e6 / (ns_each > 1 ? ns_each : 1);

	if (o->iters)
		return o->iters;
	if (fit < ITERS_MIN)
		return ITERS_MIN;
	return fit > ITERS_MAX ? ITERS_MAX : (uint64_t)fit;
}

void bench_trials_begin(struct bench_trials *t, uint64_t first)
{
	*t = (struct bench_trials){.iters = first};
}

bool bench_trials_end(struct bench_trials *t, const struct bench_options *o,
		      uint64_t ns)
{
	double before = t->ns_each, each = (double)ns / (double)t->iters;
	bool steady = each > before / 2 && each < before * 2;
	bool longer = (double)ns < o->time_ms * 1e6 / 8;

	t->ns_each = each;
	t->count++;
	if (o->iters || (steady && !longer) || t->count == TRIALS_MAX) {
		t->iters = bench_iters(o, each);
		return true;
	}
	if (longer)
		t->iters *= 4;
	return false;
}

unsigned bench_window_fit(unsigned window, size_t size)
{
	size_t fit = size ? ARENA_AIM / size : window;

	if (fit < 2)
		fit = 2;
	return fit < window ? (unsigned)fit : window;
}

/*
 * The engine gets a processor of its own when there are two, and the last one,
 * so that the others are the same whatever runs. A peer gets its own when
 * there are three. Two that are told to spin come first: with two processors
 * each has one, and an engine, which lanes leave in peace, has the peer's.
 */
static void cpus_choose(struct bench_options *o, unsigned needs)
{
	int cpus[BENCH_CPUS_MAX];
	unsigned n = bench_cpu_list(cpus, BENCH_CPUS_MAX);
	unsigned enough = needs & BENCH_NEEDS_SPIN ? 2 : 3;
	unsigned own = needs & BENCH_NEEDS_TWO && n >= enough ? 1 : 0;

	if (!n) {
		n = 1;
		cpus[0] = BENCH_CPU_ANY;
	}
	if (o->cpus[0] == BENCH_CPU_UNSET) {
		o->cpus[0] = cpus[0];
		o->cpus[1] = cpus[own];
	}
	if (o->engine_cpu == BENCH_CPU_UNSET)
		o->engine_cpu = cpus[n > own + 1 ? own + 1 : n - 1];
}

static int cpu_check(int cpu, const char *option)
{
	int ret = bench_cpu_try(cpu);
	char text[64];

	if (!ret)
		return 0;
	snprintf(text, sizeof(text), "processor %d of %s", cpu, option);
	return bench_fail(text, ret);
}

/* Before anything is started, and so that the message has the number. */
static int cpus_check(const struct bench_options *o)
{
	int ret = cpu_check(o->cpus[0], "--cpu");

	if (!ret)
		ret = cpu_check(o->cpus[1], "--cpu");
	return ret ? ret : cpu_check(o->engine_cpu, "--engine-cpu");
}

static json_t *cpu_json(int cpu)
{
	return cpu >= 0 ? json_integer(cpu) : json_null();
}

/* What the library is told about lanes; null: nothing, so its default. */
static json_t *lanes_json(void)
{
	const char *lanes = getenv("VMB_LANES");

	return lanes ? json_string(lanes) : json_null();
}

static void environment_add(struct bench *b, unsigned needs)
{
	const struct bench_options *o = &b->options;

	bench_report_environment(b->report, "pin",
				 json_pack("[o,o,o]", cpu_json(o->cpus[0]),
					   cpu_json(o->cpus[1]),
					   cpu_json(o->engine_cpu)));
	bench_report_environment(
		b->report, "syscalls_by",
		json_string(bench_syscalls_method(&b->syscalls)));
	bench_report_environment(
		b->report, "clock",
		json_string(bench_clock_is_tsc ? "tsc" : "CLOCK_MONOTONIC"));
	bench_report_environment(b->report, "lanes", lanes_json());
	if (needs & BENCH_NEEDS_DAEMON)
		bench_report_environment(
			b->report, "daemon",
			json_string(b->daemon.private ? "private"
				    : b->daemon.pid   ? "running"
						      : "elsewhere"));
}

static const char *cpu_text(int cpu, char text[16])
{
	if (cpu < 0)
		return "any";
	snprintf(text, 16, "%d", cpu);
	return text;
}

static void notes_add(struct bench *b, unsigned needs)
{
	const struct bench_options *o = &b->options;
	char own[16], peer[16], engine[16];

	bench_report_note(b->report, "processors: bench %s, peer %s, engine %s",
			  cpu_text(o->cpus[0], own), cpu_text(o->cpus[1], peer),
			  needs & BENCH_NEEDS_DAEMON && !b->daemon.private
				  ? "where the running vmbd has it"
				  : cpu_text(o->engine_cpu, engine));
	bench_report_note(b->report, "system calls: %s",
			  bench_syscalls_method(&b->syscalls));
	if (getenv("VMB_LANES"))
		bench_report_note(b->report, "lanes: VMB_LANES=%s",
				  getenv("VMB_LANES"));
}

/* Thousands of endpoints need thousands of descriptors. */
static void files_allow(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int bench_open(struct bench *b, const char *name,
	       const struct bench_column *columns, unsigned needs)
{
	int ret;

	files_allow();
	bench_clock_init();
	b->engine_placed = b->options.engine_cpu != BENCH_CPU_UNSET;
	cpus_choose(&b->options, needs);
	ret = cpus_check(&b->options);
	if (ret)
		return ret;
	ret = bench_report_open(&b->options, name, columns, &b->report);
	if (ret)
		return bench_fail(b->options.json ? b->options.json : name,
				  ret);
	if (needs & BENCH_NEEDS_DAEMON)
		ret = bench_daemon_open(&b->daemon, &b->options);
	if (ret)
		goto err_close_report;
	bench_syscalls_open(&b->syscalls, b->options.count);
	environment_add(b, needs);
	notes_add(b, needs);
	return 0;

err_close_report:
	bench_report_close(b->report);
	b->report = NULL;
	return ret;
}

int bench_begin(struct bench *b)
{
	int ret = bench_cpu_pin(b->options.cpus[0]);

	if (ret)
		bench_fail("cannot pin the bench to the processor of --cpu",
			   ret);
	return ret;
}

int bench_close(struct bench *b)
{
	int ret;

	bench_syscalls_close(&b->syscalls);
	bench_daemon_close(&b->daemon);
	ret = bench_report_close(b->report);
	b->report = NULL;
	return ret;
}
