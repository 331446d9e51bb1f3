/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tracer.h - a child process that counts system calls of others with ptrace:
 * the fallback of syscalls.h where tracepoints are not to be had.
 */
#ifndef BENCH_TRACER_H
#define BENCH_TRACER_H

#include <stdint.h>
#include <sys/types.h>

#define BENCH_TRACER_THREADS 64

/* Fork the child; *fd talks to it. 0 or -errno. */
int bench_tracer_open(pid_t *pid, int *fd);
void bench_tracer_close(pid_t pid, int fd);

/*
 * Attach to the calling thread, and to the threads of process other (0:
 * none), other than this one. 0; -EPERM: the kernel does not let us; -errno.
 */
int bench_tracer_begin(int fd, pid_t other);
/* Count from here to bench_tracer_stop(). */
void bench_tracer_start(void);
/* Detaches too. others is -1 when the other process could not be traced. */
int bench_tracer_stop(int fd, int64_t *own, int64_t *others);

#endif
