// SPDX-License-Identifier: BSD-2-Clause
/*
 * floor.c - what the machine can do at best.
 *
 * Flow:  program -> [here] -> the machine, and nothing of ours between
 * Owns:  its threads during a run; the buffers and the child between open and
 *        close.
 * Trust: its callers.
 */
#include "floor.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/util.h"
#include "child.h"
#include "clock.h"
#include "cpu.h"
#include "harness.h"

/*
 * What turns took, from the ticks between which they were: nothing of the way
 * to them, warming up for one, which has no messages either.
 */
static void turns_add(struct bench_round *r, uint64_t turns, uint64_t first,
		      uint64_t last)
{
	r->messages += turns;
	r->ns += (uint64_t)((double)(last - first) * bench_ns_per_tick());
}

/* The other side of a floor is not where it was asked for. */
static int pin_failed(int cpu, int code)
{
	char text[64];

	snprintf(text, sizeof(text),
		 "the other side of a floor, on processor %d", cpu);
	return bench_fail(text, code);
}

/* ---- system calls ------------------------------------------------------ */

static void count_begin(struct bench_syscalls *count, pid_t other,
			struct bench_round *r)
{
	r->counted = count && !bench_syscalls_begin(count, other);
}

static void count_start(struct bench_syscalls *count,
			const struct bench_round *r)
{
	if (r->counted)
		bench_syscalls_start(count);
}

/* There is no engine; without an other there is one party only. */
static void count_stop(struct bench_syscalls *count, pid_t other,
		       struct bench_round *r)
{
	if (!r->counted)
		return;
	bench_syscalls_stop(count, &r->syscalls[BENCH_CLIENT],
			    &r->syscalls[BENCH_SERVER]);
	bench_syscalls_end(count);
	r->syscalls[BENCH_ENGINE] = 0;
	if (!other)
		r->syscalls[BENCH_SERVER] = 0;
}

/* ---- a cache line ------------------------------------------------------ */

struct line {
	uint64_t there __attribute__((aligned(VMB_LINE_PAIR)));
	uint64_t back __attribute__((aligned(VMB_LINE_PAIR)));
	uint64_t iters;
	uint64_t ready; /* the peer is where it belongs, or pin says why not */
	int cpu, pin;
	bool pause; /* between looks: better or worse than none */
};

static inline void line_await(const struct line *line, const uint64_t *word,
			      uint64_t value)
{
	while (vmb_observe(word) != value)
		if (line->pause)
			vmb_relax();
}

static void *line_peer(void *arg)
{
	struct line *line = arg;

	line->pin = bench_cpu_pin(line->cpu);
	vmb_publish(&line->ready, 1);
	if (line->pin)
		return NULL;
	for (uint64_t i = 1; i <= line->iters; i++) {
		line_await(line, &line->there, i);
		vmb_publish(&line->back, i);
	}
	/* its end makes system calls, and the other one may count */
	line_await(line, &line->there, line->iters + 1);
	return NULL;
}

/* From one number to the next one; r NULL: to warm up. */
static void line_turns(struct line *line, uint64_t first, uint64_t end,
		       struct bench_round *r)
{
	uint64_t start = bench_ticks(), last = start;

	for (uint64_t i = first; i < end; i++) {
		uint64_t now;

		vmb_publish(&line->there, i);
		line_await(line, &line->back, i);
		now = bench_ticks();
		if (r)
			bench_hist_record(&r->hist, now - last);
		last = now;
	}
	if (r)
		turns_add(r, end - first, start, last);
}

static void line_exchange(struct line *line, struct bench_syscalls *count,
			  struct bench_round *r)
{
	uint64_t begin = line->iters / 8 + 2, end = line->iters + 1;
	pid_t other = getpid(); /* the peer is a thread of ours */

	count_begin(count, other, r);
	line_turns(line, 1, begin, NULL);
	count_start(count, r);
	line_turns(line, begin, end, r);
	count_stop(count, other, r);
	vmb_publish(&line->there, end);
}

/* With a peer that runs: did it get to its processor? */
static int line_pinned(struct line *line)
{
	while (!vmb_observe(&line->ready))
		vmb_relax();
	return line->pin ? pin_failed(line->cpu, line->pin) : 0;
}

static int line_measure(int cpu, uint64_t iters, bool pause,
			struct bench_syscalls *count, struct bench_round *r)
{
	struct line *line = aligned_alloc(VMB_LINE_PAIR, sizeof(*line));
	pthread_t peer;
	int ret;

	if (!line)
		return -ENOMEM;
	/* an eighth more for warming up */
	*line = (struct line){
		.iters = iters + iters / 7 + 2, .cpu = cpu, .pause = pause};
	ret = -pthread_create(&peer, NULL, line_peer, line);
	if (!ret) {
		ret = line_pinned(line);
		if (!ret)
			line_exchange(line, count, r);
		pthread_join(peer, NULL);
	}
	free(line);
	return ret;
}

/* The floor is the lower one of two ways to wait. */
int bench_floor_line(int cpu, int peer_cpu, uint64_t iters,
		     struct bench_syscalls *count, struct bench_round *r)
{
	struct bench_round *ways = calloc(2, sizeof(*ways));
	int ret = ways ? 0 : -ENOMEM;
	bool pause;

	if (cpu == peer_cpu && cpu != BENCH_CPU_ANY)
		ret = -EINVAL;
	for (int i = 0; i < 2 && !ret; i++) {
		bench_round_init(&ways[i], r->hist.unit_ns);
		ret = line_measure(peer_cpu, iters / 2, i, count, &ways[i]);
	}
	if (!ret) {
		pause = bench_hist_quantile_ns(&ways[1].hist, 0.5) <
			bench_hist_quantile_ns(&ways[0].hist, 0.5);
		bench_hist_merge(&r->hist, &ways[pause].hist);
		r->messages += ways[pause].messages;
		r->ns += ways[pause].ns;
		r->counted = ways[pause].counted;
		memcpy(r->syscalls, ways[pause].syscalls, sizeof(r->syscalls));
	}
	free(ways);
	return ret;
}

/* ---- copies ------------------------------------------------------------ */

/* As vmb_alloc() memory is: a shared mapping of a memfd. */
static void *shared_map(size_t bytes)
{
	int fd = memfd_create("vmb-bench", MFD_CLOEXEC);
	void *at = MAP_FAILED;

	if (fd < 0)
		return NULL;
	if (!ftruncate(fd, (off_t)bytes))
		at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			  0);
	close(fd);
	return at == MAP_FAILED ? NULL : at;
}

static void *copy_buffer(enum bench_memory memory, size_t bytes)
{
	void *at = memory == BENCH_MEMORY_ALLOC ? shared_map(bytes)
						: aligned_alloc(4096, bytes);

	if (at)
		memset(at, 0x5a, bytes); /* pages are there before we measure */
	return at;
}

static void copy_buffer_free(enum bench_memory memory, void *at, size_t bytes)
{
	if (!at)
		return;
	if (memory == BENCH_MEMORY_ALLOC)
		munmap(at, bytes);
	else
		free(at);
}

int bench_copy_open(struct bench_copy *c, enum bench_memory memory,
		    unsigned pairs, size_t bytes)
{
	c->memory = memory;
	c->pairs = pairs;
	c->bytes = vmb_round_up(bytes ? bytes : 1, 4096);
	for (unsigned i = 0; i < pairs; i++) {
		c->from[i] = copy_buffer(memory, c->bytes);
		c->to[i] = copy_buffer(memory, c->bytes);
		if (!c->from[i] || !c->to[i]) {
			bench_copy_close(c);
			return -ENOMEM;
		}
	}
	return 0;
}

void bench_copy_close(struct bench_copy *c)
{
	for (int i = 0; i < BENCH_COPY_PAIRS; i++) {
		copy_buffer_free(c->memory, c->from[i], c->bytes);
		copy_buffer_free(c->memory, c->to[i], c->bytes);
		c->from[i] = NULL;
		c->to[i] = NULL;
	}
}

static void copy_turns(struct bench_copy *c, size_t size, uint64_t turns,
		       struct bench_round *r)
{
	uint64_t start = bench_ticks(), last = start;

	for (uint64_t i = 0; i < turns; i++) {
		unsigned pair = i % c->pairs;
		uint64_t now;

		memcpy(c->to[pair], c->from[pair], size);
		/* the copy must happen, and each time */
		__asm__ __volatile__("" : : "r"(c->to[pair]) : "memory");
		now = bench_ticks();
		if (r)
			bench_hist_record(&r->hist, now - last);
		last = now;
	}
	if (r)
		turns_add(r, turns, start, last);
}

void bench_copy_run(struct bench_copy *c, size_t size, uint64_t iters,
		    struct bench_syscalls *count, struct bench_round *r)
{
	count_begin(count, 0, r);
	copy_turns(c, size, iters / 8 + 1, NULL);
	count_start(count, r);
	copy_turns(c, size, iters, r);
	count_stop(count, 0, r);
}

/* ---- waking another process --------------------------------------------- */

/* One direction: 8 bytes, as an eventfd and a small message both have. */
static bool wake_send(int fd, uint64_t value)
{
	return write(fd, &value, sizeof(value)) == sizeof(value);
}

static bool wake_receive(int fd)
{
	uint64_t value;

	return read(fd, &value, sizeof(value)) == sizeof(value);
}

static void wake_serve(const struct bench_wake *w)
{
	while (wake_receive(w->to) && wake_send(w->from, 1))
		;
	_exit(0);
}

static int eventfds_open(int fds[2])
{
	int ret;

	fds[0] = eventfd(0, EFD_CLOEXEC);
	if (fds[0] < 0)
		return -errno;
	fds[1] = eventfd(0, EFD_CLOEXEC);
	if (fds[1] >= 0)
		return 0;
	ret = -errno;
	close(fds[0]);
	return ret;
}

int bench_wake_open(struct bench_wake *w, bool socket, int peer_cpu)
{
	int fds[2], ret;

	*w = (struct bench_wake){.socket = socket};
	if (socket)
		ret = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds)
			      ? -errno
			      : 0;
	else
		ret = eventfds_open(fds);
	if (ret)
		return ret;
	w->open = true;
	w->to = fds[0];
	w->from = socket ? fds[0] : fds[1];
	w->pid = bench_child_fork();
	if (!w->pid) {
		if (socket)
			w->to = w->from = fds[1];
		wake_serve(w);
	}
	if (socket)
		close(fds[1]);
	if (w->pid < 0) {
		ret = (int)w->pid;
		w->pid = 0;
	} else {
		ret = bench_cpu_pin_process(w->pid, peer_cpu);
		if (ret)
			pin_failed(peer_cpu, ret);
	}
	if (ret)
		bench_wake_close(w);
	return ret;
}

void bench_wake_close(struct bench_wake *w)
{
	if (!w->open)
		return;
	bench_child_end(w->pid);
	close(w->to);
	if (!w->socket)
		close(w->from);
	w->pid = 0;
	w->open = false;
}

static int wake_turns(struct bench_wake *w, uint64_t turns,
		      struct bench_round *r)
{
	uint64_t start = bench_ticks(), last = start;

	for (uint64_t i = 0; i < turns; i++) {
		uint64_t now;

		if (!wake_send(w->to, 1) || !wake_receive(w->from))
			return -errno;
		now = bench_ticks();
		if (r)
			bench_hist_record(&r->hist, now - last);
		last = now;
	}
	if (r)
		turns_add(r, turns, start, last);
	return 0;
}

int bench_wake_run(struct bench_wake *w, uint64_t iters,
		   struct bench_syscalls *count, struct bench_round *r)
{
	int ret;

	count_begin(count, w->pid, r);
	ret = wake_turns(w, iters / 8 + 1, NULL);
	count_start(count, r);
	if (!ret)
		ret = wake_turns(w, iters, r);
	count_stop(count, w->pid, r);
	return ret;
}
