// SPDX-License-Identifier: BSD-2-Clause
/*
 * syscalls.c - count the system calls of a measured loop.
 *
 * Flow:  measured loop, before and after -> [here] -> perf_event_open(2), or
 *        the tracer
 * Owns:  the perf descriptors between begin and end, and from open to close one
 *        that keeps the tracepoint on; the tracer child.
 * Trust: the kernel.
 */
#include "syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpu.h"
#include "tracer.h"

#define TRACEPOINT_FILE "events/raw_syscalls/sys_enter/id"
#define THREADS_MAX 256

static unsigned tracepoint_from_file(const char *path)
{
	unsigned number = 0;
	FILE *f = fopen(path, "re");

	if (!f)
		return 0;
	if (fscanf(f, "%u", &number) != 1)
		number = 0;
	fclose(f);
	return number;
}

/* Mount tracefs where nobody else sees it: in a child that ends at once. */
static unsigned tracepoint_from_private_mount(void)
{
	unsigned number = 0;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return 0;
	pid = fork();
	if (!pid) {
		if (!unshare(CLONE_NEWNS) &&
		    !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
		    !mount("tracefs", "/mnt", "tracefs", 0, NULL))
			number = tracepoint_from_file("/mnt/" TRACEPOINT_FILE);
		_exit(write(fds[1], &number, sizeof(number)) != sizeof(number));
	}
	close(fds[1]);
	if (pid < 0 || read(fds[0], &number, sizeof(number)) != sizeof(number))
		number = 0;
	close(fds[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return number;
}

static unsigned tracepoint_find(void)
{
	static const char *const mounts[] = {
		"/sys/kernel/tracing/" TRACEPOINT_FILE,
		"/sys/kernel/debug/tracing/" TRACEPOINT_FILE,
	};
	unsigned number = 0;

	for (unsigned i = 0; i < 2 && !number; i++)
		number = tracepoint_from_file(mounts[i]);
	return number ? number : tracepoint_from_private_mount();
}

static int perf_open(unsigned tracepoint, pid_t tid, bool counts)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = tracepoint,
		.disabled = !counts,
	};
	long fd = syscall(SYS_perf_event_open, &attr, tid, -1, -1,
			  PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

/*
 * The first and the last user of a tracepoint have the kernel rewrite its own code,
 * for which it interrupts every processor: not in the middle of a run.
 */
static bool perf_works(struct bench_syscalls *s)
{
	s->tracepoint = tracepoint_find();
	if (!s->tracepoint)
		return false;
	s->kept_fd = perf_open(s->tracepoint, 0, false);
	return s->kept_fd >= 0;
}

void bench_syscalls_open(struct bench_syscalls *s,
			 enum bench_count_method wanted)
{
	*s = (struct bench_syscalls){
		.method = BENCH_COUNT_NONE, .kept_fd = -1, .tracer_fd = -1};
	if (wanted == BENCH_COUNT_NONE)
		return;
	if (wanted != BENCH_COUNT_PTRACE && perf_works(s))
		s->method = BENCH_COUNT_PERF;
	else if (wanted != BENCH_COUNT_PERF &&
		 !bench_tracer_open(&s->tracer_pid, &s->tracer_fd))
		s->method = BENCH_COUNT_PTRACE;
}

void bench_syscalls_close(struct bench_syscalls *s)
{
	if (s->method == BENCH_COUNT_PERF)
		close(s->kept_fd);
	else if (s->method == BENCH_COUNT_PTRACE)
		bench_tracer_close(s->tracer_pid, s->tracer_fd);
	s->method = BENCH_COUNT_NONE;
}

const char *bench_syscalls_method(const struct bench_syscalls *s)
{
	switch (s->method) {
	case BENCH_COUNT_PERF:
		return "perf raw_syscalls:sys_enter";
	case BENCH_COUNT_PTRACE:
		return "ptrace, in a round of its own";
	default:
		return "not counted";
	}
}

bool bench_syscalls_disturbs(const struct bench_syscalls *s)
{
	return s->method == BENCH_COUNT_PTRACE;
}

static void perf_release(struct bench_syscalls *s)
{
	for (unsigned i = 0; i < s->count; i++)
		close(s->fds[i]);
	free(s->fds);
	free(s->start);
	s->fds = NULL;
	s->start = NULL;
	s->count = 0;
}

static int perf_add(struct bench_syscalls *s, pid_t tid)
{
	int fd = perf_open(s->tracepoint, tid, true);

	if (fd < 0)
		return fd;
	s->fds[s->count++] = fd;
	return 0;
}

/* Counters of other threads; without them these are not counted. */
static void perf_add_others(struct bench_syscalls *s, pid_t pid)
{
	pid_t tids[THREADS_MAX], own = (pid_t)syscall(SYS_gettid);
	int n = bench_cpu_threads(pid, tids, THREADS_MAX);

	s->others = n > 0;
	for (int i = 0; i < n; i++)
		if (tids[i] != own && perf_add(s, tids[i]))
			s->others = false;
}

static int perf_begin(struct bench_syscalls *s, pid_t other)
{
	int ret;

	s->count = 0;
	s->others = false;
	s->fds = calloc(1 + THREADS_MAX, sizeof(*s->fds));
	s->start = calloc(1 + THREADS_MAX, sizeof(*s->start));
	ret = s->fds && s->start ? perf_add(s, 0) : -ENOMEM;
	if (ret)
		goto err_release;
	if (other)
		perf_add_others(s, other);
	return 0;

err_release:
	perf_release(s);
	return ret;
}

/* Our own last: its value includes the calls that read the others. */
static void perf_start(struct bench_syscalls *s)
{
	for (unsigned i = s->count; i-- > 0;)
		if (read(s->fds[i], &s->start[i], sizeof(*s->start)) !=
		    sizeof(*s->start))
			s->start[i] = UINT64_MAX;
}

static void perf_stop(struct bench_syscalls *s, int64_t *own, int64_t *others)
{
	*own = BENCH_NOT_COUNTED;
	*others = s->others ? 0 : BENCH_NOT_COUNTED;
	for (unsigned i = 0; i < s->count; i++) {
		uint64_t now;

		if (s->start[i] == UINT64_MAX ||
		    read(s->fds[i], &now, sizeof(now)) != sizeof(now)) {
			*(i ? others : own) = BENCH_NOT_COUNTED;
			continue;
		}
		if (!i) /* without the read() that just counted itself */
			*own = (int64_t)(now - s->start[0] - 1);
		else if (*others != BENCH_NOT_COUNTED)
			*others += (int64_t)(now - s->start[i]);
	}
}

int bench_syscalls_begin(struct bench_syscalls *s, pid_t other)
{
	switch (s->method) {
	case BENCH_COUNT_PERF:
		return perf_begin(s, other);
	case BENCH_COUNT_PTRACE:
		return bench_tracer_begin(s->tracer_fd, other);
	default:
		return -EOPNOTSUPP;
	}
}

void bench_syscalls_start(struct bench_syscalls *s)
{
	if (s->method == BENCH_COUNT_PERF)
		perf_start(s);
	else
		bench_tracer_start();
}

void bench_syscalls_stop(struct bench_syscalls *s, int64_t *own,
			 int64_t *others)
{
	if (s->method == BENCH_COUNT_PERF) {
		perf_stop(s, own, others);
		return;
	}
	if (bench_tracer_stop(s->tracer_fd, own, others)) {
		*own = BENCH_NOT_COUNTED;
		*others = BENCH_NOT_COUNTED;
	}
}

void bench_syscalls_end(struct bench_syscalls *s)
{
	/* a tracer has let go by itself */
	if (s->method == BENCH_COUNT_PERF)
		perf_release(s);
}
