// SPDX-License-Identifier: BSD-2-Clause
/*
 * vmb-idle.c - what do two processes and the daemon cost while nothing
 * happens? Messages flow first, so that everything was awake; then both sides
 * wait for a message that does not come.
 *
 * Flow:  main -> pair (two processes) -> both block; /proc says what they use
 * Owns:  nothing but the pair.
 * Trust: its user.
 */
#include <errno.h>
#include <math.h>
#include <unistd.h>

#include "pair.h"

static const char doc[] =
	"Measure processor time and context switches of a library process and "
	"of vmbd while they are blocked with nothing to do, after traffic."
	"\vExamples:\n"
	"  vmb-idle\n"
	"  vmb-idle --wait block --seconds 10";

static const struct bench_column columns[] = {
	{"PROCESS", "test", BENCH_TEXT},
	{"WAIT", "wait", BENCH_TEXT},
	{"SECONDS", "seconds", BENCH_FIX1},
	{"CPU %", "cpu", BENCH_FIX3},
	{"SWITCHES/s", "switches_per_s", BENCH_FIX1},
	{"SYSCALLS/s", "syscalls_per_s", BENCH_COUNTED},
	{0},
};

#define TRAFFIC_ITERS 2000

struct sample {
	bool known; /* not of a daemon in another domain */
	uint64_t cpu_ns, switches;
};

struct idler {
	struct bench bench;
	struct bench_pair_options options;
	struct bench_pair pair;
	unsigned seconds;
	struct sample before[BENCH_PARTIES], after[BENCH_PARTIES];
	int64_t syscalls[BENCH_PARTIES];
};

enum {
	OPT_SECONDS = 's',
	OPT_WAIT = 'w'
};

static const struct argp_option option_list[] = {
	{"seconds", OPT_SECONDS, "N", 0, "How long to look (default 3)", 1},
	{"wait", OPT_WAIT, "MODE", 0,
	 "How the processes wait: adaptive (default) or block", 1},
	{0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct idler *i = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &i->bench.options;
		return 0;
	case OPT_SECONDS:
		i->seconds = (unsigned)bench_parse_number(state, "seconds", arg,
							  1, 3600);
		return 0;
	case OPT_WAIT:
		i->options.wait = bench_parse_wait(state, arg);
		if (i->options.wait != VMB_WAIT_ADAPTIVE &&
		    i->options.wait != VMB_WAIT_BLOCK)
			argp_error(state, "wait must be adaptive or block");
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static pid_t party_pid(const struct idler *i, int party)
{
	if (party == BENCH_CLIENT)
		return getpid();
	return party == BENCH_SERVER ? i->pair.server : i->bench.daemon.pid;
}

static int samples_take(const struct idler *i, struct sample *samples)
{
	int ret = 0;

	for (int party = 0; party < BENCH_PARTIES && !ret; party++) {
		pid_t pid = party_pid(i, party);

		samples[party].known = pid > 0;
		if (!samples[party].known)
			continue;
		ret = bench_cpu_time(pid, &samples[party].cpu_ns);
		if (!ret)
			ret = bench_cpu_switches(pid, &samples[party].switches);
	}
	return ret;
}

/* Everything has just been busy. */
static int traffic_run(struct idler *i)
{
	static struct bench_round round;
	struct bench_job job = {.pattern = BENCH_PINGPONG,
				.window = 1,
				.size = 8,
				.iters = TRAFFIC_ITERS,
				.seed = 1};

	job.arena = bench_job_bytes(&job);
	bench_round_init(&round, bench_pair_unit());
	return bench_pair_run(&i->pair, &job, false, &round);
}

/* A receive that nothing matches, until the time has passed. */
static int block(struct idler *i)
{
	struct vmb_endpoint *ep = i->pair.a.ep;
	struct vmb_req *req;
	int done, ret;

	ret = vmb_irecv(ep, NULL, 0, BENCH_MATCH_CONTROL, VMB_MATCH_ALL, NULL,
			&req);
	if (!ret)
		ret = vmb_wait(ep, &req, (int)i->seconds * 1000, NULL, &done);
	if (ret)
		return ret;
	return done ? -EBADMSG : vmb_cancel(ep, &req, &done);
}

static int idler_measure(struct idler *i)
{
	bool counted;
	int ret = traffic_run(i);

	if (ret)
		return ret;
	for (int party = 0; party < BENCH_PARTIES; party++)
		i->syscalls[party] = BENCH_NOT_COUNTED;
	bench_daemon_settle(&i->bench.daemon);
	counted =
		!bench_syscalls_begin(&i->bench.syscalls, i->bench.daemon.pid);
	if (counted)
		bench_syscalls_start(&i->bench.syscalls);
	ret = samples_take(i, i->before);
	if (!ret)
		ret = block(i);
	if (!ret)
		ret = samples_take(i, i->after);
	if (!counted)
		return ret;
	bench_syscalls_stop(&i->bench.syscalls, &i->syscalls[BENCH_CLIENT],
			    &i->syscalls[BENCH_ENGINE]);
	bench_syscalls_end(&i->bench.syscalls);
	return ret;
}

/* Growth per second while both samples are known. */
static double per_second(const struct idler *i, int party, uint64_t before,
			 uint64_t after)
{
	return i->after[party].known ? (double)(after - before) / i->seconds
				     : NAN;
}

static void idler_report(struct idler *i)
{
	static const char *const names[] = {"measuring process", "peer process",
					    "vmbd"};
	double seconds = i->seconds;

	for (int p = 0; p < BENCH_PARTIES; p++) {
		double cpu = per_second(i, p, i->before[p].cpu_ns,
					i->after[p].cpu_ns);
		double switches = per_second(i, p, i->before[p].switches,
					     i->after[p].switches);
		json_t *calls =
			i->syscalls[p] == BENCH_NOT_COUNTED
				? json_null()
				: json_real((double)i->syscalls[p] / seconds);
		json_t *point =
			json_pack("{s:s,s:s,s:s,s:o,s:o,s:o,s:o}", "test",
				  names[p], "impl", "vmb-local", "wait",
				  bench_wait_text(i->options.wait), "seconds",
				  bench_fix1_json(seconds), "cpu",
				  bench_fix3_json(cpu / 1e7), "switches_per_s",
				  bench_fix1_json(switches), "syscalls_per_s",
				  calls);

		bench_report_add(i->bench.report, point);
	}
	bench_report_note(i->bench.report,
			  "system calls of the measuring process include those "
			  "that read the samples");
}

int main(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{&bench_options_argp, 0, NULL, 0}, {0}};
	static const struct argp argp = {option_list, parse, NULL, doc,
					 children,    NULL,  NULL};
	static struct idler i = {.seconds = 3,
				 .options.wait = VMB_WAIT_ADAPTIVE,
				 .options.wait_chosen = true};
	int ret;

	bench_options_init(&i.bench.options);
	argp_parse(&argp, argc, argv, 0, NULL, &i);
	ret = bench_open(&i.bench, "idle", columns,
			 BENCH_NEEDS_DAEMON | BENCH_NEEDS_TWO);
	if (ret)
		return 1;
	ret = bench_pair_prepare(&i.pair, &i.bench, &i.options);
	if (!ret)
		ret = bench_begin(&i.bench);
	if (!ret)
		ret = bench_pair_open(&i.pair);
	if (!ret) {
		ret = idler_measure(&i);
		if (ret)
			bench_fail("cannot measure", ret);
		else
			idler_report(&i);
	}
	bench_pair_close(&i.pair);
	if (bench_close(&i.bench))
		ret = 1;
	return ret ? 1 : 0;
}
