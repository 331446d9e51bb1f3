// SPDX-License-Identifier: BSD-2-Clause
/*
 * memory.c - memory that a client shares with the engine: a sealed memfd.
 *
 * Flow:  descriptor -> is it a memfd? sealed? how large? -> mmap of the pages
 *        that hold the range -> engine
 * Owns:  the mapping; the descriptor is closed by whoever received it.
 * Trust: a descriptor may be anything. The first question put to it is
 *        F_GET_SEALS, which the kernel answers from memory for a memfd and
 *        refuses for all else; fstat() or close() of a file in a FUSE file
 *        system would wait for its owner, perhaps for ever.
 *
 * The engine reads and writes the mapping without a fault handler. A fault in
 * it cannot end in SIGBUS: the size is sealed, so every page lies inside the
 * file, and a memfd on tmpfs (not hugetlbfs, whose pool can run dry) gets a
 * page for each hole or waits for memory as any anonymous memory does.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "platform/local/local.h"

#define SEALS_NEEDED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#define SEALS_REFUSED (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

static int check_memfd(struct vmb_attachment *a)
{
	int seals = fcntl(a->fd, F_GET_SEALS);
	struct statfs fs;
	struct stat st;

	if (seals < 0)
		return -EBADF;
	a->known = true;
	if (fstat(a->fd, &st) || fstatfs(a->fd, &fs))
		return -errno;
	if (!S_ISREG(st.st_mode) || fs.f_type != TMPFS_MAGIC)
		return -EBADF;
	if ((seals & SEALS_NEEDED) != SEALS_NEEDED || (seals & SEALS_REFUSED))
		return -EPERM;
	return 0;
}

static int check_size(int fd, const struct vmb_platform_memory *m)
{
	struct stat st;
	uint64_t size;

	if (fstat(fd, &st))
		return -errno;
	size = (uint64_t)st.st_size;
	if (m->address > size || m->len > size - m->address ||
	    (m->kind == VMB_MEMORY_AREA && m->len != size - m->address))
		return -EINVAL;
	return 0;
}

/* Bytes between the start of its page and what address (or pointer) names. */
static size_t offset_in_page(uint64_t address)
{
	return address & ((uint64_t)sysconf(_SC_PAGESIZE) - 1);
}

static int map_memfd(struct vmb_attachment *a, struct vmb_platform_memory *m)
{
	size_t before = offset_in_page(m->address);
	char *start;
	int err;

	if (!a)
		return -EBADF;
	err = check_memfd(a);
	if (err)
		return err;
	err = check_size(a->fd, m);
	if (err)
		return err;
	start = mmap(NULL, before + m->len, PROT_READ | PROT_WRITE, MAP_SHARED,
		     a->fd, (off_t)(m->address - before));
	if (start == MAP_FAILED)
		return -errno;
	/* a child of the daemon (there is none) would have no use for it */
	madvise(start, before + m->len, MADV_DONTFORK);
	m->base = start + before;
	return 0;
}

int vmb_memory_map(struct vmb_transport *t, struct vmb_attachment *attachment,
		   struct vmb_platform_memory *memory)
{
	memory->base = NULL;
	switch (memory->kind) {
	case VMB_MEMORY_AREA:
	case VMB_REGION_MEMFD:
		return map_memfd(attachment, memory);
	case VMB_REGION_PROCESS:
		return vmb_process_probe(t, memory);
	default:
		return -EOPNOTSUPP;
	}
}

void vmb_memory_unmap(struct vmb_transport *t,
		      struct vmb_platform_memory *memory)
{
	size_t before = offset_in_page((uintptr_t)memory->base);

	(void)t;
	if (memory->base)
		munmap((char *)memory->base - before, before + memory->len);
	memory->base = NULL;
}

/* ---- lanes --------------------------------------------------------------- */

struct vmb_lane_memory {
	int fd;
};

int vmb_lane_make(struct vmb_transport *receiver, struct vmb_transport *sender,
		  size_t len, struct vmb_lane_memory **lane)
{
	struct vmb_lane_memory *l = malloc(sizeof(*l));
	int err = 0;

	(void)receiver;
	(void)sender;
	if (!l)
		return -ENOMEM;
	l->fd = memfd_create("vmb-lane", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (l->fd < 0 || ftruncate(l->fd, (off_t)len) ||
	    fcntl(l->fd, F_ADD_SEALS, SEALS_NEEDED))
		err = -errno;
	if (err) {
		vmb_lane_free(l);
		return err;
	}
	*lane = l;
	return 0;
}

void vmb_lane_free(struct vmb_lane_memory *lane)
{
	if (lane->fd >= 0)
		close(lane->fd);
	free(lane);
}

int vmb_lane_fd(const struct vmb_lane_memory *lane)
{
	return lane->fd;
}
