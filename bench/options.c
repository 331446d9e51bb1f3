// SPDX-License-Identifier: BSD-2-Clause
/*
 * options.c - arguments shared by all benches.
 *
 * Flow:  argv -> argp -> [here] -> struct bench_options
 * Owns:  nothing; text arguments stay where argv has them.
 * Trust: nobody: numbers are bounded here.
 */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"

enum option_key {
	OPT_CPU = 0x1000,
	OPT_ENGINE_CPU,
	OPT_ENGINE_SPIN,
	OPT_DAEMON,
	OPT_JSON,
	OPT_ROUNDS,
	OPT_ITERS,
	OPT_TIME,
	OPT_COUNT,
	OPT_QUIET,
};

static const struct argp_option option_list[] = {
	{NULL, 0, NULL, 0, "Shared by all benches:", 10},
	{"cpu", OPT_CPU, "A[,B]", 0,
	 "Processors of the measuring thread and of its peer; \"any\": not "
	 "pinned",
	 10},
	{"engine-cpu", OPT_ENGINE_CPU, "N", 0,
	 "Processor of the engine of a private daemon", 10},
	{"engine-spin-us", OPT_ENGINE_SPIN, "N", 0,
	 "Let the engine of a private daemon spin for so long before it sleeps "
	 "(default: as vmbd does, 1000)",
	 10},
	{"daemon", OPT_DAEMON, "WHICH", 0,
	 "auto (default): the running vmbd, or a private one that ends with "
	 "the bench; none: the running one; PATH: a private one from this file",
	 10},
	{"json", OPT_JSON, "FILE", 0,
	 "Append one JSON line per point to FILE; -: to standard output, "
	 "instead of the table",
	 10},
	{"rounds", OPT_ROUNDS, "N", 0,
	 "Interleaved repetitions of all points (default 5)", 10},
	{"iters", OPT_ITERS, "N", 0,
	 "Messages per point and round (default: as many as fit --time)", 10},
	{"time", OPT_TIME, "MS", 0,
	 "Time of one point and round, about (default 200)", 10},
	{"count", OPT_COUNT, "METHOD", 0,
	 "How system calls are counted: auto (default), perf, ptrace, none",
	 10},
	{"quiet", OPT_QUIET, NULL, 0, "No progress bar", 10},
	{0}};

void bench_options_init(struct bench_options *options)
{
	*options = (struct bench_options){
		.cpus = {BENCH_CPU_UNSET, BENCH_CPU_UNSET},
		.engine_cpu = BENCH_CPU_UNSET,
		.engine_spin_us = -1,
		.daemon = "auto",
		.rounds = 5,
		.time_ms = 200,
	};
}

/* Digits and one of K, M, G behind; false: not a number. */
static bool number_from_text(const char *text, char **end, uint64_t *value)
{
	static const char suffix[] = "KMG";
	const char *found;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, end, 10);
	if (errno)
		return false;
	found = **end ? strchr(suffix, **end) : NULL;
	if (found) {
		unsigned shift = 10 * (unsigned)(found - suffix + 1);

		if (*value > UINT64_MAX >> shift)
			return false;
		*value <<= shift;
		(*end)++;
	}
	return true;
}

uint64_t bench_parse_number(struct argp_state *state, const char *what,
			    const char *text, uint64_t min, uint64_t max)
{
	uint64_t value;
	char *end;

	if (!number_from_text(text, &end, &value) || *end || value < min ||
	    value > max)
		argp_error(state,
			   "%s must be a number from %llu to %llu, not %s",
			   what, (unsigned long long)min,
			   (unsigned long long)max, text);
	return value;
}

/* "8", or "8-4K": each power of two times the first. */
static bool sizes_add(const char *text, char **end, struct bench_sizes *sizes)
{
	uint64_t from, to;

	if (!number_from_text(text, end, &from))
		return false;
	to = from;
	if (**end == '-' && !number_from_text(*end + 1, end, &to))
		return false;
	if (to < from || to > BENCH_SIZE_LIMIT)
		return false;
	for (;;) {
		if (sizes->count == BENCH_SIZES_MAX)
			return false;
		sizes->size[sizes->count++] = from;
		from = from ? 2 * from : 1;
		if (from > to)
			return true;
	}
}

void bench_parse_sizes(struct argp_state *state, const char *text,
		       struct bench_sizes *sizes)
{
	const char *at = strcmp(text, "all") ? text : "0-4M";
	char *end;

	sizes->count = 0;
	while (sizes_add(at, &end, sizes)) {
		if (!*end)
			return;
		if (*end != ',')
			break;
		at = end + 1;
	}
	argp_error(state,
		   "sizes must be a list such as 0,8,64-4K,1M of at most %u "
		   "numbers up to 1G, not %s",
		   BENCH_SIZES_MAX, text);
}

/* Position of text[0..len-1] in a NULL-ended list of words; -1: not there. */
static int find_word(const char *const *words, const char *text, size_t len)
{
	for (int i = 0; words[i]; i++) {
		if (strlen(words[i]) == len && !strncmp(words[i], text, len))
			return i;
	}
	return -1;
}

static void word_error(struct argp_state *state, const char *what,
		       const char *kind, const char *const *words,
		       const char *text)
{
	char list[128] = "";

	for (int i = 0; words[i]; i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list),
			 "%s%s", i ? ", " : "", words[i]);
	argp_error(state, "%s must be %s of %s, not %s", what, kind, list,
		   text);
}

/* Ends with a message when text is not one of the words. */
static int parse_word(struct argp_state *state, const char *what,
		      const char *const *words, const char *text)
{
	int found = find_word(words, text, strlen(text));

	if (found < 0)
		word_error(state, what, "one", words, text);
	return found < 0 ? 0 : found;
}

void bench_parse_list(struct argp_state *state, const char *what,
		      const char *const *words, const char *text, bool *chosen)
{
	const char *at = text;

	for (int i = 0; words[i]; i++)
		chosen[i] = false;
	for (;;) {
		size_t len = strcspn(at, ",");
		int found = find_word(words, at, len);

		if (found < 0) {
			word_error(state, what, "a list", words, text);
			return;
		}
		chosen[found] = true;
		if (!at[len])
			return;
		at += len + 1;
	}
}

static const char *const wait_words[] = {"default", "spin", "adaptive", "block",
					 NULL};
static const char *const memory_words[] = {"alloc", "malloc", NULL};
static const char *const count_words[] = {"auto", "perf", "ptrace", "none",
					  NULL};

enum vmb_wait_mode bench_parse_wait(struct argp_state *state, const char *text)
{
	return (enum vmb_wait_mode)parse_word(state, "wait", wait_words, text);
}

enum bench_memory bench_parse_memory(struct argp_state *state, const char *text)
{
	return (enum bench_memory)parse_word(state, "memory", memory_words,
					     text);
}

const char *bench_wait_text(enum vmb_wait_mode wait)
{
	return wait_words[wait];
}

const char *bench_memory_text(enum bench_memory memory)
{
	return memory_words[memory];
}

static int parse_cpu(struct argp_state *state, const char *text)
{
	if (!strcmp(text, "any"))
		return BENCH_CPU_ANY;
	return (int)bench_parse_number(state, "a processor", text, 0,
				       BENCH_CPUS_MAX - 1);
}

static void parse_cpus(struct argp_state *state, const char *text, int cpus[2])
{
	char first[16];
	size_t len = strcspn(text, ",");

	if (len >= sizeof(first))
		argp_error(state, "cpu must be A or A,B, not %s", text);
	snprintf(first, sizeof(first), "%.*s", (int)len, text);
	cpus[0] = parse_cpu(state, first);
	cpus[1] = text[len] ? parse_cpu(state, text + len + 1) : cpus[0];
}

static error_t options_parse(int key, char *arg, struct argp_state *state)
{
	struct bench_options *o = state->input;

	switch (key) {
	case OPT_CPU:
		parse_cpus(state, arg, o->cpus);
		return 0;
	case OPT_ENGINE_CPU:
		o->engine_cpu = parse_cpu(state, arg);
		return 0;
	case OPT_ENGINE_SPIN:
		o->engine_spin_us = (long)bench_parse_number(
			state, "engine-spin-us", arg, 0, 1000000);
		return 0;
	case OPT_DAEMON:
		o->daemon = arg;
		return 0;
	case OPT_JSON:
		o->json = arg;
		return 0;
	case OPT_ROUNDS:
		o->rounds = (unsigned)bench_parse_number(state, "rounds", arg,
							 1, BENCH_ROUNDS_MAX);
		return 0;
	case OPT_ITERS:
		o->iters = bench_parse_number(state, "iters", arg, 1, 1u << 30);
		return 0;
	case OPT_TIME:
		o->time_ms = (unsigned)bench_parse_number(state, "time", arg, 1,
							  600000);
		return 0;
	case OPT_COUNT:
		o->count = (enum bench_count_method)parse_word(
			state, "count", count_words, arg);
		return 0;
	case OPT_QUIET:
		o->quiet = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp bench_options_argp = {
	.options = option_list,
	.parser = options_parse,
};

const char *bench_size_text(uint64_t bytes, char text[24])
{
	static const char suffix[] = " KMG";
	unsigned step = 0;

	while (bytes && step < 3 && !(bytes % 1024)) {
		bytes /= 1024;
		step++;
	}
	snprintf(text, 24, "%llu%.*s", (unsigned long long)bytes, step ? 1 : 0,
		 &suffix[step]);
	return text;
}
