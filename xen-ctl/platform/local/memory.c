// SPDX-License-Identifier: BSD-2-Clause
/*
 * memory.c - memory that a client shares with the engine: a sealed memfd.
 *
 * Flow:  descriptor -> is it a memfd? sealed? how large? -> mmap of the pages
 *        that hold the range -> engine
 * Owns:  the mapping; the descriptor is closed by whoever received it.
 * Trust: a descriptor may be anything: see base/memfd.h. The engine reads and
 *        writes the mapping without a fault handler.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memfd.h"
#include "platform/local/local.h"

static int check_size(uint64_t size, const struct vmb_platform_memory *m)
{
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
	struct stat st;
	char *start;
	int err;

	if (!a)
		return -EBADF;
	err = vmb_memfd_check(a->fd, &st);
	a->known = err != -EBADF;
	if (!err)
		err = check_size((uint64_t)st.st_size, m);
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
	    fcntl(l->fd, F_ADD_SEALS, VMB_MEMFD_SEALS))
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
