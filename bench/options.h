/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.h - the arguments that all benches share, as an argp child, and the
 * words that arguments are made of.
 *
 * A program puts bench_options_argp into its children and hands the address
 * of its struct bench_options through state->child_inputs (argp's way).
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmbypass/vmb.h>

#define BENCH_SIZES_MAX 64
#define BENCH_SIZE_LIMIT (1u << 30) /* bytes of one message, at most */
#define BENCH_ROUNDS_MAX 100

enum bench_count_method {
	BENCH_COUNT_AUTO,
	BENCH_COUNT_PERF,
	BENCH_COUNT_PTRACE,
	BENCH_COUNT_NONE,
};

enum bench_memory {
	BENCH_MEMORY_ALLOC, /* vmb_alloc(): shared memory */
	BENCH_MEMORY_MALLOC,
};

struct bench_options {
	int cpus[2];	     /* measuring thread, its peer; BENCH_CPU_UNSET */
	int engine_cpu;	     /* of a private daemon */
	long engine_spin_us; /* before it sleeps; -1: as vmbd has it */
	const char *daemon;  /* "auto", "none", or the path of vmbd */
	const char *json;    /* file, "-", or NULL */
	unsigned rounds;
	uint64_t iters;	  /* per point and round; 0: by time */
	unsigned time_ms; /* of one point and round, about */
	enum bench_count_method count;
	bool quiet; /* no progress bar */
};

#define BENCH_CPU_UNSET (-2)

extern const struct argp bench_options_argp;

void bench_options_init(struct bench_options *options);

/* What a program that sends messages may be told beside. */
struct bench_sizes {
	size_t size[BENCH_SIZES_MAX];
	unsigned count;
};

/*
 * The words. Each ends the program with a message that names the argument
 * when the text is not valid.
 *
 * sizes: "0,8,64K,1M", ranges of powers of two "1-4M", or "all".
 */
void bench_parse_sizes(struct argp_state *state, const char *text,
		       struct bench_sizes *sizes);
uint64_t bench_parse_number(struct argp_state *state, const char *what,
			    const char *text, uint64_t min, uint64_t max);
/* "a,b": sets chosen[i] for each of the NULL-ended words, as it is there. */
void bench_parse_list(struct argp_state *state, const char *what,
		      const char *const *words, const char *text, bool *chosen);
enum vmb_wait_mode bench_parse_wait(struct argp_state *state, const char *text);
enum bench_memory bench_parse_memory(struct argp_state *state,
				     const char *text);
const char *bench_wait_text(enum vmb_wait_mode wait);
const char *bench_memory_text(enum bench_memory memory);

/* "64 KiB" and its like, as short as exact: "64K", "1M", "1500". */
const char *bench_size_text(uint64_t bytes, char text[24]);

#endif
