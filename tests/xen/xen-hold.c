// SPDX-License-Identifier: BSD-2-Clause
/*
 * xen-hold.c - take endpoints, or registered memory, until there is no more,
 * and hold it.
 *
 *   xen-hold endpoints|memory MOST     MOST: so many, or so many MiB
 *
 * Flow:  suite -> [here] -> public calls -> the limits of policy, vmbd and Xen
 * Owns:  what it takes, until standard input ends.
 * Trust: the library's errors are what is looked at.
 *
 * Prints "N ERROR", or "N all" when MOST was reached.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vmbypass/vmb.h>

#define MIB (1u << 20)

static int endpoint_take(void)
{
	struct vmb_endpoint *ep;

	return vmb_open(NULL, &ep);
}

static int memory_take(void)
{
	struct vmb_mem *mem;
	void *at;

	at = mmap(NULL, MIB, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (at == MAP_FAILED)
		return -errno;
	return vmb_register(at, MIB, VMB_REMOTE_READ, &mem);
}

int main(int argc, char **argv)
{
	unsigned long most = argc == 3 ? strtoul(argv[2], NULL, 10) : 0, n;
	int (*take)(void) = endpoint_take;
	char byte;
	int ret = 0;

	if (argc == 3 && !strcmp(argv[1], "memory"))
		take = memory_take;
	else if (argc != 3 || strcmp(argv[1], "endpoints")) {
		fprintf(stderr, "usage: xen-hold endpoints|memory MOST\n");
		return 2;
	}
	ret = vmb_init();
	for (n = 0; n < most && !ret; n++)
		ret = take();
	printf("%lu %s\n", ret ? n - 1 : n,
	       ret ? strerrorname_np(-ret) : "all");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
