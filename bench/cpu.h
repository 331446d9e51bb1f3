/* SPDX-License-Identifier: BSD-2-Clause */
/* cpu.h - where threads run, and what processes use. 0 or -errno. */
#ifndef BENCH_CPU_H
#define BENCH_CPU_H

#include <stdint.h>
#include <sys/types.h>

#define BENCH_CPUS_MAX 1024
#define BENCH_CPU_ANY (-1) /* not pinned */

/* The processors this process may run on: how many, and their numbers. */
unsigned bench_cpu_list(int *cpus, unsigned max);
/* Pin the calling thread; BENCH_CPU_ANY does nothing. */
int bench_cpu_pin(int cpu);
/* The same of another process. */
int bench_cpu_pin_process(pid_t pid, int cpu);
/* Could the calling thread be pinned there? It stays where it is. */
int bench_cpu_try(int cpu);

/*
 * Processor time of a whole process, of any user, in ns. -ESRCH: pid is not
 * that of a process; 0, a daemon in another domain, is not the caller either.
 */
int bench_cpu_time(pid_t pid, uint64_t *ns);
/* Context switches (wanted and not) of all threads of a process. */
int bench_cpu_switches(pid_t pid, uint64_t *switches);
/* Thread ids of a process: how many, at most max, or -errno. */
int bench_cpu_threads(pid_t pid, pid_t *tids, unsigned max);

/* A value in kB of a file of name-value lines, as /proc/PID/status is. */
int bench_proc_kb(pid_t pid, const char *file, const char *name, uint64_t *kb);

#endif
