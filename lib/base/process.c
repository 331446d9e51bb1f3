// SPDX-License-Identifier: BSD-2-Clause
/*
 * process.c - see process.h.
 */
#include "base/process.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

bool vmb_process_is_alive(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	int n;

	do /* a signal is no answer */
		n = poll(&p, 1, 0);
	while (n < 0 && errno == EINTR);
	return n == 0;
}

int64_t vmb_process_read_memory(pid_t pid, uint64_t addr, void *buf, size_t len)
{
	struct iovec local = {.iov_base = buf, .iov_len = len};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)addr,
			       .iov_len = len};
	ssize_t moved = process_vm_readv(pid, &local, 1, &remote, 1, 0);

	return moved < 0 ? -errno : moved;
}

int64_t vmb_process_write_memory(pid_t pid, uint64_t addr, const void *buf,
				 size_t len)
{
	struct iovec local = {.iov_base = (void *)(uintptr_t)buf,
			      .iov_len = len};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)addr,
			       .iov_len = len};
	ssize_t moved = process_vm_writev(pid, &local, 1, &remote, 1, 0);

	return moved < 0 ? -errno : moved;
}

int vmb_process_take_fd(int pidfd, uint32_t fd)
{
	long taken = syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	return taken < 0 ? -errno : (int)taken;
}

/* Numbers of the line "KEY: A B ..." of a file: how many, and the first. */
static int read_numbers(const char *path, const char *key, int *first)
{
	char line[256], *at;
	FILE *file = fopen(path, "re");
	int count = 0, value, len;

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, strlen(key)))
			continue;
		for (at = line + strlen(key);
		     sscanf(at, "%d%n", &value, &len) == 1; at += len)
			if (!count++)
				*first = value;
		break;
	}
	fclose(file);
	return count;
}

/* /proc may be that of another pid namespace, an outer one: then we have
 * several numbers there, and those of others mean nothing to us. */
static bool is_proc_ours(void)
{
	int number;

	return read_numbers("/proc/self/status", "NSpid:", &number) == 1 &&
	       number == getpid();
}

pid_t vmb_process_number(int pidfd)
{
	char path[64];
	int number;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	if (!is_proc_ours() || read_numbers(path, "Pid:", &number) != 1 ||
	    number <= 0)
		return -ESRCH;
	return number;
}
