/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * syscalls.h - count the system calls of a measured loop, never assume them.
 *
 * perf:   the kernel's tracepoint raw_syscalls:sys_enter, per thread. Costs a
 *         loop without system calls nothing, so the measured loop itself is
 *         counted. Needs root or perf_event_paranoid -1, and tracefs (mounted
 *         for a moment in a mount namespace of its own where it is not).
 * ptrace: a child of ours stops the threads at each system call. Changes the
 *         timing, so one more round of the same loop is counted and not
 *         timed. Needs no privileges for processes of the same user.
 *
 * Open it before vmb_init(): it may fork.
 */
#ifndef BENCH_SYSCALLS_H
#define BENCH_SYSCALLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "options.h"

#define BENCH_NOT_COUNTED (-1)

struct bench_syscalls {
	enum bench_count_method method; /* PERF, PTRACE or NONE */
	unsigned tracepoint;		/* PERF: its number */
	int kept_fd;			/* PERF: keeps it on */
	int tracer_fd;			/* PTRACE: command socket */
	pid_t tracer_pid;
	int *fds; /* PERF, between begin and end: own, then other's */
	uint64_t *start;
	unsigned count;
	bool others;
};

/* Never fails: without any way to count, the method is NONE. */
void bench_syscalls_open(struct bench_syscalls *s,
			 enum bench_count_method wanted);
void bench_syscalls_close(struct bench_syscalls *s);
const char *bench_syscalls_method(const struct bench_syscalls *s);
/* Must the counted round be kept apart from the timed ones? */
bool bench_syscalls_disturbs(const struct bench_syscalls *s);

/*
 * Attach to the calling thread and, with other not 0, to all threads of that
 * process; its own one: to all others of it. Takes milliseconds. -errno: nothing is counted, do not call the
 * other three.
 */
int bench_syscalls_begin(struct bench_syscalls *s, pid_t other);
/* Count from here to stop. Quick, so that nobody falls asleep over it. */
void bench_syscalls_start(struct bench_syscalls *s);
/* Either result is BENCH_NOT_COUNTED when it could not be counted. */
void bench_syscalls_stop(struct bench_syscalls *s, int64_t *own,
			 int64_t *others);
/* Detach. */
void bench_syscalls_end(struct bench_syscalls *s);

#endif
