// SPDX-License-Identifier: BSD-2-Clause
/* memfd.c - see memfd.h. */
#include "base/memfd.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/vfs.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#define SEALS_REFUSED (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

int vmb_memfd_check(int fd, struct stat *st)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct statfs fs;

	if (seals < 0 || fstat(fd, st) || fstatfs(fd, &fs) ||
	    !S_ISREG(st->st_mode) || fs.f_type != TMPFS_MAGIC)
		return -EBADF;
	if ((seals & VMB_MEMFD_SEALS) != VMB_MEMFD_SEALS ||
	    (seals & SEALS_REFUSED))
		return -EPERM;
	return 0;
}

bool vmb_memfd_faults_are_safe(void)
{
	FILE *file = fopen("/proc/sys/vm/overcommit_memory", "re");
	int mode = 0;

	if (!file)
		return false;
	if (fscanf(file, "%d", &mode) != 1)
		mode = 2;
	fclose(file);
	return mode != 2;
}
