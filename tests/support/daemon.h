/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * daemon.h - a vmbd of the test's own, in a folder of its own.
 *
 * The program is $VMBD. Its log goes to a file in the folder; when the test
 * fails, or the daemon does not end well, the log is shown. A test that fails
 * or is killed leaves neither daemon nor folder.
 */
#ifndef TESTS_SUPPORT_DAEMON_H
#define TESTS_SUPPORT_DAEMON_H

#include <sys/types.h>

struct t_daemon {
	pid_t pid;    /* 0: not running */
	pid_t keeper; /* removes the folder when the test dies */
	char dir[32];
	char socket[48]; /* the admin socket adds ".ctl" */
	char log[48];
};

/*
 * Start it, and return when clients can connect. extra: further arguments,
 * ended by NULL; or NULL. A daemon that does not start fails the test.
 */
void t_daemon_start(struct t_daemon *d, const char *const *extra);

/* SIGKILL and reap; the folder stays. */
void t_daemon_kill(struct t_daemon *d);

/* After a kill: again, on the same socket. */
void t_daemon_restart(struct t_daemon *d, const char *const *extra);

/*
 * End it (SIGTERM) unless it was killed, and remove the folder. A daemon that
 * does not end in time, or not with status 0, fails the test.
 */
void t_daemon_stop(struct t_daemon *d);

/* The value of an environment variable that ctest sets; fails without it. */
const char *t_environment(const char *name);

#endif
