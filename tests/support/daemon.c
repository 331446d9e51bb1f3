// SPDX-License-Identifier: BSD-2-Clause
/* daemon.c - see daemon.h. */
#include "support/daemon.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_MS 20000
#define STOP_MS 20000
#define ARGUMENTS_MAX 32

const char *t_environment(const char *name)
{
	const char *value = getenv(name);

	if (!value)
		ck_abort_msg("%s is not set; run this test by ctest", name);
	return value;
}

static void show_log(const struct t_daemon *d)
{
	FILE *f = fopen(d->log, "r");
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		fprintf(stderr, "vmbd: %s", line);
	if (f)
		fclose(f);
}

static void remove_folder(const struct t_daemon *d)
{
	static const char *const ends[] = {"", ".ctl", ".lock"};
	char path[64];

	/* a daemon that was killed leaves its files behind */
	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", d->socket, ends[i]);
		unlink(path);
	}
	unlink(d->log);
	rmdir(d->dir);
}

/* ---- tests that end without t_daemon_stop() ------------------------------ */

/*
 * A test that fails or is killed runs nothing more, so a process beside it
 * waits for its end, shows what the daemon said, and removes the folder. It
 * is in a group of its own, because libcheck kills that of the test, and
 * holds no descriptor of the test open.
 */
static void keep_folder(const struct t_daemon *d, pid_t test)
{
	int fd = (int)syscall(SYS_pidfd_open, test, 0);
	struct pollfd p = {.events = POLLIN};

	setsid();
	if (fd < 0 || dup2(fd, STDIN_FILENO) < 0 || getppid() != test)
		_exit(1);
	close_range(STDERR_FILENO + 1, ~0u, 0);
	p.fd = STDIN_FILENO;
	while (poll(&p, 1, -1) != 1)
		;
	show_log(d);
	remove_folder(d);
	_exit(0);
}

static void start_keeper(struct t_daemon *d)
{
	pid_t test = getpid();

	d->keeper = fork();
	ck_assert_int_ge(d->keeper, 0);
	if (!d->keeper)
		keep_folder(d, test);
}

static void stop_keeper(struct t_daemon *d)
{
	kill(d->keeper, SIGKILL);
	waitpid(d->keeper, NULL, 0);
}

/* ---- start and stop ------------------------------------------------------ */

/* In the child: become the daemon. */
static void exec_daemon(const struct t_daemon *d, const char *program,
			const char *const *extra, int ready, pid_t parent)
{
	const char *argv[ARGUMENTS_MAX + 8] = {program, "--local", "--socket",
					       d->socket, "--ready-fd"};
	int log = open(d->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	char number[16];
	unsigned n = 5;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	snprintf(number, sizeof(number), "%d", ready);
	argv[n++] = number;
	for (unsigned i = 0; extra && extra[i] && i < ARGUMENTS_MAX; i++)
		argv[n++] = extra[i];
	fcntl(ready, F_SETFD, 0);
	dup2(log, STDERR_FILENO);
	execv(program, (char *const *)argv);
	dprintf(STDERR_FILENO, "%s: %m\n", program);
	_exit(127);
}

static bool wait_ready(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;

	return poll(&p, 1, READY_MS) == 1 && read(fd, &byte, 1) == 1;
}

void t_daemon_restart(struct t_daemon *d, const char *const *extra)
{
	const char *program = t_environment("VMBD");
	pid_t parent = getpid();
	bool ready;
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	d->pid = fork();
	ck_assert_int_ge(d->pid, 0);
	if (!d->pid)
		exec_daemon(d, program, extra, fds[1], parent);
	close(fds[1]);
	ready = wait_ready(fds[0]);
	close(fds[0]);
	if (!ready)
		ck_abort_msg("%s did not get ready", program);
}

void t_daemon_start(struct t_daemon *d, const char *const *extra)
{
	*d = (struct t_daemon){.dir = "/tmp/vmb-test-XXXXXX"};
	t_environment("VMBD"); /* before there is a folder */
	ck_assert_ptr_nonnull(mkdtemp(d->dir));
	snprintf(d->socket, sizeof(d->socket), "%s/vmbd.sock", d->dir);
	snprintf(d->log, sizeof(d->log), "%s/log", d->dir);
	start_keeper(d);
	t_daemon_restart(d, extra);
}

void t_daemon_kill(struct t_daemon *d)
{
	int status;

	if (!d->pid)
		return;
	kill(d->pid, SIGKILL);
	ck_assert_int_eq(waitpid(d->pid, &status, 0), d->pid);
	d->pid = 0;
}

/* Its exit status as waitpid() gives it, or -1 when it does not end. */
static int wait_end(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int status = -1;

	ck_assert_int_ge(fd, 0);
	if (poll(&p, 1, STOP_MS) == 1)
		waitpid(pid, &status, 0);
	close(fd);
	return status;
}

void t_daemon_stop(struct t_daemon *d)
{
	int status = 0;

	if (d->pid) {
		kill(d->pid, SIGTERM);
		status = wait_end(d->pid);
		if (status)
			show_log(d);
	}
	if (d->pid && status == -1)
		t_daemon_kill(d);
	d->pid = 0;
	remove_folder(d);
	stop_keeper(d);
	ck_assert_int_ne(access(d->dir, F_OK), 0);
	ck_assert_msg(!status, "vmbd ended with status %#x", status);
}
