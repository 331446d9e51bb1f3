// SPDX-License-Identifier: BSD-2-Clause
/* pages.c - see pages.h. */
#include "port/pages.h"

#include <stdint.h>
#include <sys/mman.h>

#include "base/util.h"

#define HUGE_BYTES (2u << 20)

static void *map_at(void *at, int more_flags, int fd, size_t len)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *p = mmap(at, len, PROT_READ | PROT_WRITE, flags | more_flags, fd,
		       0);

	return p == MAP_FAILED ? NULL : p;
}

/* Reserve more than needed, map the aligned part, drop the rest. */
static void *map_aligned(int fd, size_t len)
{
	size_t room = len + HUGE_BYTES;
	char *start, *at;

	if (room < len)
		return NULL;
	start = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (start == MAP_FAILED)
		return NULL;
	at = (char *)vmb_round_up((uintptr_t)start, HUGE_BYTES);
	if (!map_at(at, MAP_FIXED, fd, len)) {
		munmap(start, room);
		return NULL;
	}
	if (at > start)
		munmap(start, (size_t)(at - start));
	if (start + room > at + len)
		munmap(at + len, (size_t)(start + room - (at + len)));
	madvise(at, len, MADV_HUGEPAGE); /* a wish; small pages work too */
	return at;
}

void *vmb_pages_map(int fd, size_t len)
{
	return len >= HUGE_BYTES ? map_aligned(fd, len)
				 : map_at(NULL, 0, fd, len);
}
