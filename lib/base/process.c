// SPDX-License-Identifier: BSD-2-Clause
/*
 * process.c - see process.h.
 */
#include "base/process.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/uio.h>

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

pid_t vmb_process_number(int pidfd)
{
	char path[64], line[128];
	int pid = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	file = fopen(path, "re");
	if (!file)
		return -ESRCH;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "Pid: %d", &pid) == 1)
			break;
	fclose(file);
	return pid > 0 ? pid : -ESRCH;
}
