// SPDX-License-Identifier: BSD-2-Clause
/*
 * maps.c - what kind of memory lies behind addresses of this process.
 *
 * Flow:  watch -> [here] -> /proc/self/maps
 * Owns:  nothing; the caller opened the file.
 * Trust: the kernel is believed.
 */
#include "am/maps.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/types.h>

#include "base/util.h"

/*
 * struct procmap_query of linux/fs.h, which the headers of older
 * distributions do not have.
 */
struct maps_query {
	__u64 size;
	__u64 query_flags;
	__u64 query_addr;
	__u64 vma_start, vma_end, vma_flags;
	__u64 vma_page_size, vma_offset;
	__u64 inode;
	__u32 dev_major, dev_minor;
	__u32 vma_name_size, build_id_size;
	__u64 vma_name_addr, build_id_addr;
};
_Static_assert(sizeof(struct maps_query) == 104, "the kernel's layout");

#define MAPS_QUERY _IOWR('f', 17, struct maps_query)
#define MAPS_SHARED 0x8u

/* What is known on the way from one mapping to the next. */
struct maps_walk {
	uintptr_t start, end; /* asked for; start moves on */
	uintptr_t low, high;  /* of the mappings so far */
};

/* The next mapping. 1 or 0: the answer; -EAGAIN: go on. */
static int judge(struct maps_walk *w, uintptr_t from, uintptr_t to,
		 bool private_anonymous)
{
	if (to <= w->start)
		return -EAGAIN;
	if (from > w->start || !private_anonymous)
		return 0;
	w->low = vmb_min(w->low, from);
	w->high = w->start = to;
	return to >= w->end ? 1 : -EAGAIN;
}

/* -ENOTTY: the kernel or the file has no such call. */
static int walk_by_query(int fd, struct maps_walk *w)
{
	int answer;

	do {
		struct maps_query q = {.size = sizeof(q),
				       .query_addr = w->start};

		if (ioctl(fd, MAPS_QUERY, &q))
			return errno == ENOENT ? 0 : -errno;
		answer = judge(w, (uintptr_t)q.vma_start, (uintptr_t)q.vma_end,
			       !(q.vma_flags & MAPS_SHARED) && !q.inode &&
				       !q.dev_major && !q.dev_minor);
	} while (answer == -EAGAIN);
	return answer;
}

static int judge_line(struct maps_walk *w, const char *line)
{
	unsigned long from, to, inode;
	unsigned major, minor;
	char mode[5];

	if (sscanf(line, "%lx-%lx %4s %*x %x:%x %lu", &from, &to, mode, &major,
		   &minor, &inode) != 6)
		return 0;
	return judge(w, from, to, mode[3] == 'p' && !inode && !major && !minor);
}

static int walk_by_text(int fd, struct maps_walk *w)
{
	char text[8192];
	size_t have = 0;
	off_t at = 0;

	for (;;) {
		ssize_t n = pread(fd, text + have, sizeof(text) - 1 - have, at);
		char *line = text, *stop;

		if (n <= 0)
			return n ? -errno : 0;
		at += n;
		have += (size_t)n;
		text[have] = '\0';
		while ((stop = strchr(line, '\n'))) {
			int answer = judge_line(w, line);

			if (answer != -EAGAIN)
				return answer;
			line = stop + 1;
		}
		have -= (size_t)(line - text);
		if (have == sizeof(text) - 1)
			return -ENAMETOOLONG;
		memmove(text, line, have);
	}
}

int vmb_maps_private(int fd, uintptr_t *start, uintptr_t *end)
{
	struct maps_walk w = {*start, *end, *start, *end};
	int answer = walk_by_query(fd, &w);

	if (answer == -ENOTTY)
		answer = walk_by_text(fd, &w);
	if (answer == 1) {
		*start = w.low;
		*end = w.high;
	}
	return answer;
}
