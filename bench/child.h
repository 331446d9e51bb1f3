/* SPDX-License-Identifier: BSD-2-Clause */
/* child.h - child processes that never outlive the bench. */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <sys/types.h>

/*
 * fork(2), but the child dies with its parent and has the default signal
 * actions. Returns 0 in the child, its pid in the parent, or -errno.
 */
pid_t bench_child_fork(void);
/* Kill it, whatever it does, and reap it. pid 0 is ignored. */
void bench_child_end(pid_t pid);

#endif
