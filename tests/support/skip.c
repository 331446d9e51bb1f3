// SPDX-License-Identifier: BSD-2-Clause
/*
 * skip.c - see skip.h.
 *
 * Flow:  test, in a process of its own -> [shared memory] -> main()
 * Owns:  a page, made before libcheck forks.
 */
#include "support/skip.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define EXIT_SKIPPED 77
#define REASON_BYTES 200

static char *reason; /* of the first that was left out; empty: there is none */

__attribute__((constructor)) static void map_reason(void)
{
	reason = mmap(NULL, REASON_BYTES, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (reason == MAP_FAILED)
		abort();
}

/* Tests run one after the other. */
void t_skip(const char *why)
{
	if (!*reason)
		snprintf(reason, REASON_BYTES, "%s", why);
}

int t_exit_status(int failed)
{
	if (failed)
		return EXIT_FAILURE;
	if (!*reason)
		return EXIT_SUCCESS;
	printf("not all of it ran: %s\n", reason);
	return EXIT_SKIPPED;
}
