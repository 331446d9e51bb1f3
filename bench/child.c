// SPDX-License-Identifier: BSD-2-Clause
/*
 * child.c - child processes that never outlive the bench.
 *
 * Flow:  tracer, floors, peer -> [here] -> fork(2)
 * Owns:  nothing; who forks ends.
 * Trust: its callers.
 */
#include "child.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t bench_child_fork(void)
{
	static const int stops[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1); /* the parent died before we could ask */
	for (unsigned i = 0; i < sizeof(stops) / sizeof(stops[0]); i++)
		signal(stops[i], SIG_DFL);
	return 0;
}

void bench_child_end(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
