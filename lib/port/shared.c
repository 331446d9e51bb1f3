// SPDX-License-Identifier: BSD-2-Clause
/* shared.c - see shared.h. */
#include "port/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"

#define HUGE_BYTES (2u << 20)

/* A descriptor, or -errno. */
static int create_sealed(const char *name, size_t len)
{
	int f = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	if (f < 0)
		return -errno;
	if (ftruncate(f, (off_t)len) ||
	    fcntl(f, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		/* a size beyond what a file can have is too much memory */
		err = errno == EFBIG || errno == EINVAL ? -ENOMEM : -errno;
		close(f);
		return err;
	}
	return f;
}

/* Reserve more than needed, put the file on the aligned part, drop the rest. */
static void *map_aligned(int fd, size_t len)
{
	size_t room = len + HUGE_BYTES;
	char *start, *at;

	if (room < len)
		return MAP_FAILED;
	start = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (start == MAP_FAILED)
		return MAP_FAILED;
	at = (char *)vmb_round_up((uintptr_t)start, HUGE_BYTES);
	if (mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 0) == MAP_FAILED) {
		munmap(start, room);
		return MAP_FAILED;
	}
	if (at > start)
		munmap(start, (size_t)(at - start));
	if (start + room > at + len)
		munmap(at + len, (size_t)(start + room - (at + len)));
	madvise(at, len, MADV_HUGEPAGE); /* a wish; small pages work too */
	return at;
}

int vmb_shared_create(const char *name, size_t len, int *fd, void **addr)
{
	void *mapped;
	int f = create_sealed(name, len);

	if (f < 0)
		return f;
	if (len >= HUGE_BYTES)
		mapped = map_aligned(f, len);
	else
		mapped = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, f,
			      0);
	if (mapped == MAP_FAILED) {
		close(f);
		return -ENOMEM;
	}
	*fd = f;
	*addr = mapped;
	return 0;
}

void vmb_shared_unmap(void *addr, size_t len)
{
	munmap(addr, len);
}
