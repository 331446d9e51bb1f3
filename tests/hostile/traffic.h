/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * traffic.h - an honest pair of processes that exchange messages of 0 B to
 * 1 MiB all the time and verify every byte, and welcome any visitor: they
 * receive what it sends, answer it, and get from its memory. Whatever happens
 * to others, the pair goes on.
 *
 * All processes of a test share one struct t_crowd. A process that finds
 * something wrong says so on stderr and ends with status 1.
 */
#ifndef TESTS_HOSTILE_TRAFFIC_H
#define TESTS_HOSTILE_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <vmbypass/vmb.h>
#include <vmbypass/vmb_am.h>

#define T_MESSAGE_MAX (1u << 20)
#define T_VISITORS 4
#define T_PATIENCE_MS 20000 /* longer than anything takes */

/* What one process tells the others; it alone writes it. */
struct t_member {
	uint32_t ready; /* the rest is good, but for the counters */
	uint32_t id;
	uint64_t key; /* T_MESSAGE_MAX bytes that all may put and get */
	uint64_t rounds;
	uint64_t visits; /* honest: operations with visitors that ended well */
	uint64_t resets; /* and those that ended by the visitor's death */
};

struct t_crowd {
	char port[64]; /* VMB_PORT of all */
	uint32_t stop;
	struct t_member honest[2];
	struct t_member visitors[T_VISITORS];
	pid_t pids[2];
};

/* For processes beside the test, where libcheck cannot be used. */
#define t_must(condition)                                          \
	do {                                                       \
		if (!(condition))                                  \
			t_give_up(#condition, __FILE__, __LINE__); \
	} while (0)
_Noreturn void t_give_up(const char *what, const char *file, int line);

/* Shared memory, and the pair at work. */
struct t_crowd *t_crowd_start(const char *socket);
/* The pair has done `rounds` more; fails when it does not in time. */
void t_crowd_goes_on(struct t_crowd *crowd, uint64_t rounds);
/* Nothing with a visitor is under way; the pair ends well. */
void t_crowd_stop(struct t_crowd *crowd);

/* fork(), and the child dies with the test. 0 in the child. */
pid_t t_child(void);
/* The child must end by itself, with status 0. */
void t_child_ends(pid_t pid);
void t_child_kill(pid_t pid);
/* Until *word is not 0, or the test fails. */
void t_until_set(const uint32_t *word);

/* vmb_init(), vmb_open() and 1 MiB for puts and gets, told to the others. */
struct vmb_endpoint *t_member_open(const struct t_crowd *crowd,
				   struct t_member *me);

/* Messages of visitors carry the seed of their bytes in the match bits. */
#define T_VISIT (1ull << 63)
#define T_SEEDS 4096u
static inline uint64_t t_visit(unsigned seed)
{
	return T_VISIT | seed % T_SEEDS;
}

/* T_MESSAGE_MAX bytes that depend on the seed; never changed. */
const unsigned char *t_bytes(uint64_t seed);
/* From nothing to 1 MiB, all protocols alike often. */
size_t t_size(uint64_t seed);
/* Is it how an operation ends whose peer died? */
bool t_is_gone(int code);
uint64_t t_mix(uint64_t seed);
/* VMB_SEED, or one that is told, so that a failure can be repeated. */
uint64_t t_choose_seed(const char *test);

#endif
