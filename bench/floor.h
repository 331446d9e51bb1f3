/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * floor.h - what the machine can do at best, to measure everything else by.
 *
 * line:    a cache line handed from one pinned thread to another and back
 * copy:    memcpy between two buffers of the same kind as the bench uses
 * wake:    two processes that block and wake each other, by eventfd or by a
 *          Unix socket
 *
 * One way is half of a round trip in all of them. Results are added to the
 * histogram, whose unit the caller has set: bench_ns_per_tick() / 2 for round
 * trips, bench_ns_per_tick() for copies. Turns and their time, without that of
 * warming up, are added to the messages and ns of the round. 0 or -errno.
 *
 * count: what counts the system calls of the measured part, see syscalls.h, or
 * NULL. Then the round is counted, if that can be done.
 */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "options.h"
#include "point.h"

/*
 * The calling thread is the first; the other runs on peer_cpu meanwhile.
 * Half of iters each with and without a pause between looks; the round gets the
 * half that was quicker, by its median.
 * -EINVAL: peer_cpu is where the caller runs, two threads would take turns.
 */
int bench_floor_line(int cpu, int peer_cpu, uint64_t iters,
		     struct bench_syscalls *count, struct bench_round *r);

/*
 * Buffers for copies; kept, so that page faults are behind us. Two pairs, used
 * in turn, where a ping-pong is compared: it has one for each direction, and
 * caches tell the difference. One for a stream out of one buffer and into one.
 */
#define BENCH_COPY_PAIRS 2
struct bench_copy {
	enum bench_memory memory;
	unsigned pairs; /* in use, at most BENCH_COPY_PAIRS */
	size_t bytes;
	void *from[BENCH_COPY_PAIRS], *to[BENCH_COPY_PAIRS];
};

int bench_copy_open(struct bench_copy *c, enum bench_memory memory,
		    unsigned pairs, size_t bytes);
void bench_copy_close(struct bench_copy *c);
/* Copy size bytes (at most c->bytes) so many times. */
void bench_copy_run(struct bench_copy *c, size_t size, uint64_t iters,
		    struct bench_syscalls *count, struct bench_round *r);

/* Two processes; the other one is forked at open, before vmb_init(). */
struct bench_wake {
	bool open, socket;
	pid_t pid;
	int to, from; /* descriptors; the same one for the socket */
};

int bench_wake_open(struct bench_wake *w, bool socket, int peer_cpu);
/* One that is not open is ignored. */
void bench_wake_close(struct bench_wake *w);
int bench_wake_run(struct bench_wake *w, uint64_t iters,
		   struct bench_syscalls *count, struct bench_round *r);

#endif
