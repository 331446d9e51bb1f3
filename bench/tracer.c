// SPDX-License-Identifier: BSD-2-Clause
/*
 * tracer.c - count system calls with ptrace, from a child process.
 *
 * Flow:  bench_tracer_begin() -> command -> child forks a session -> traces
 *        marker call of the traced thread opens and closes the counting
 *        bench_tracer_stop() <- counts <- session ends, and so detaches all
 * Owns:  the child, the socket to it. The session owns its tracees and leaves
 *        them running when it exits, whatever happened.
 * Trust: the kernel.
 */
#include "tracer.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "cpu.h"

/* prctl() options that do not exist: the marks in the stream of calls. */
#define MARK_START 0x766d6201
#define MARK_STOP 0x766d6202

struct command {
	pid_t own;   /* thread */
	pid_t other; /* process, or 0 */
};

struct answer {
	int error;
	int64_t own, others;
};

struct session {
	struct command command;
	struct answer answer;
	bool counting, stopped;
};

/* From now on this thread stops at every system call. */
static int thread_trace(pid_t tid)
{
	int status;

	if (ptrace(PTRACE_SEIZE, tid, 0, PTRACE_O_TRACESYSGOOD) ||
	    ptrace(PTRACE_INTERRUPT, tid, 0, 0))
		return -errno;
	if (waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status))
		return -ESRCH;
	return ptrace(PTRACE_SYSCALL, tid, 0, 0) ? -errno : 0;
}

/* All but one, who is traced already. */
static int process_trace(pid_t pid, pid_t already)
{
	pid_t tids[BENCH_TRACER_THREADS];
	int n = bench_cpu_threads(pid, tids, BENCH_TRACER_THREADS);
	int ret = n < 0 ? n : 0;

	for (int i = 0; i < n && !ret; i++)
		if (tids[i] != already)
			ret = thread_trace(tids[i]);
	return ret;
}

/* A thread is about to enter a system call: count it, or obey the mark. */
static void entry_count(struct session *s, pid_t tid)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	if (tid == s->command.own && info.entry.nr == SYS_prctl) {
		if (info.entry.args[0] == MARK_START)
			s->counting = true;
		if (info.entry.args[0] == MARK_STOP)
			s->stopped = true;
		if (info.entry.args[0] == MARK_START || s->stopped)
			return;
	}
	if (!s->counting)
		return;
	if (tid == s->command.own)
		s->answer.own++;
	else if (s->answer.others >= 0)
		s->answer.others++;
}

/* Follow the tracees until the mark that ends it, or until none is left. */
static void session_follow(struct session *s)
{
	while (!s->stopped) {
		int status, sig = 0;
		pid_t tid = waitpid(-1, &status, __WALL);

		if (tid < 0) {
			s->answer.error = -errno;
			return;
		}
		if (!WIFSTOPPED(status))
			continue;
		if (status >> 16 == PTRACE_EVENT_STOP)
			sig = 0; /* our own interrupt */
		else if (WSTOPSIG(status) == (SIGTRAP | 0x80))
			entry_count(s, tid);
		else
			sig = WSTOPSIG(status);
		ptrace(PTRACE_SYSCALL, tid, 0, sig);
	}
}

static void session_run(int fd, const struct command *command)
{
	struct session s = {.command = *command};

	s.answer.error = thread_trace(command->own);
	if (!command->other || process_trace(command->other, command->own))
		s.answer.others = -1;
	/* begin() waits for this, so the marks come after it */
	if (write(fd, &s.answer, sizeof(s.answer)) != sizeof(s.answer) ||
	    s.answer.error)
		_exit(1);
	session_follow(&s);
	_exit(write(fd, &s.answer, sizeof(s.answer)) != sizeof(s.answer));
}

/* The child: one session after the other, each in a process of its own. */
static void tracer_serve(int fd)
{
	struct command command;

	while (read(fd, &command, sizeof(command)) == sizeof(command)) {
		pid_t pid = fork();

		if (!pid)
			session_run(fd, &command);
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
	_exit(0);
}

int bench_tracer_open(pid_t *pid, int *fd)
{
	int pair[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	child = bench_child_fork();
	if (!child) {
		close(pair[0]);
		tracer_serve(pair[1]);
	}
	close(pair[1]);
	if (child < 0) {
		close(pair[0]);
		return (int)child;
	}
	/* Yama lets only ancestors trace, unless we agree */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	*pid = child;
	*fd = pair[0];
	return 0;
}

void bench_tracer_close(pid_t pid, int fd)
{
	bench_child_end(pid);
	close(fd);
}

int bench_tracer_begin(int fd, pid_t other)
{
	struct command command = {.own = (pid_t)syscall(SYS_gettid),
				  .other = other};
	struct answer answer;

	if (write(fd, &command, sizeof(command)) != sizeof(command) ||
	    read(fd, &answer, sizeof(answer)) != sizeof(answer))
		return -EIO;
	return answer.error;
}

void bench_tracer_start(void)
{
	syscall(SYS_prctl, MARK_START, 0, 0, 0, 0);
}

int bench_tracer_stop(int fd, int64_t *own, int64_t *others)
{
	struct answer answer;

	syscall(SYS_prctl, MARK_STOP, 0, 0, 0, 0);
	if (read(fd, &answer, sizeof(answer)) != sizeof(answer))
		return -EIO;
	*own = answer.own;
	*others = answer.others;
	return answer.error;
}
