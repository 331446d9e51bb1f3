// SPDX-License-Identifier: BSD-2-Clause
/*
 * cpu.c - pinning, and what the kernel says about processes.
 *
 * Flow:  harness, programs -> [here] -> sched_setaffinity, /proc, CPU clocks
 * Owns:  nothing.
 * Trust: the kernel.
 */
#include "cpu.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

unsigned bench_cpu_list(int *cpus, unsigned max)
{
	cpu_set_t set;
	unsigned n = 0;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 0;
	for (int cpu = 0; cpu < CPU_SETSIZE && n < max; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[n++] = cpu;
	return n;
}

int bench_cpu_pin_process(pid_t pid, int cpu)
{
	cpu_set_t set;

	if (cpu == BENCH_CPU_ANY)
		return 0;
	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return -EINVAL;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(pid, sizeof(set), &set) ? -errno : 0;
}

int bench_cpu_pin(int cpu)
{
	return bench_cpu_pin_process(0, cpu);
}

/* What taskset(1) left out may still be chosen; the kernel knows what may not. */
int bench_cpu_try(int cpu)
{
	cpu_set_t before;
	int ret;

	if (cpu == BENCH_CPU_ANY)
		return 0;
	if (sched_getaffinity(0, sizeof(before), &before))
		return -errno;
	ret = bench_cpu_pin(cpu);
	if (!ret && sched_setaffinity(0, sizeof(before), &before))
		ret = -errno;
	return ret;
}

int bench_cpu_time(pid_t pid, uint64_t *ns)
{
	struct timespec t;
	clockid_t id;
	int err;

	if (pid <= 0) /* clock_getcpuclockid(0) would be our own */
		return -ESRCH;
	err = clock_getcpuclockid(pid, &id);
	if (err)
		return -err;
	if (clock_gettime(id, &t))
		return -errno;
	*ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	return 0;
}

int bench_cpu_threads(pid_t pid, pid_t *tids, unsigned max)
{
	char path[64];
	struct dirent *entry;
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (n < max && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			tids[n++] = (pid_t)atoi(entry->d_name);
	closedir(dir);
	return (int)n;
}

/* Add up the values of all lines of path that begin with one of names. */
static int sum_lines(const char *path, const char *const *names,
		     uint64_t *value)
{
	char line[256];
	int ret = -ENOENT;
	FILE *f = fopen(path, "re");

	if (!f)
		return -errno;
	*value = 0;
	while (fgets(line, sizeof(line), f)) {
		for (const char *const *name = names; *name; name++) {
			size_t len = strlen(*name);

			if (strncmp(line, *name, len) || line[len] != ':')
				continue;
			*value += strtoull(line + len + 1, NULL, 10);
			ret = 0;
		}
	}
	fclose(f);
	return ret;
}

int bench_cpu_switches(pid_t pid, uint64_t *switches)
{
	static const char *const names[] = {"voluntary_ctxt_switches",
					    "nonvoluntary_ctxt_switches", NULL};
	pid_t tids[BENCH_CPUS_MAX];
	int n = bench_cpu_threads(pid, tids, BENCH_CPUS_MAX);

	if (n < 0)
		return n;
	*switches = 0;
	for (int i = 0; i < n; i++) {
		uint64_t of_thread;
		char path[96];
		int ret;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/status",
			 (int)pid, (int)tids[i]);
		ret = sum_lines(path, names, &of_thread);
		if (ret)
			return ret;
		*switches += of_thread;
	}
	return 0;
}

int bench_proc_kb(pid_t pid, const char *file, const char *name, uint64_t *kb)
{
	const char *const names[] = {name, NULL};
	char path[96];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return sum_lines(path, names, kb);
}
