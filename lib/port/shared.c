// SPDX-License-Identifier: BSD-2-Clause
/* shared.c - see shared.h. */
#include "port/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memfd.h"
#include "port/pages.h"

/* A descriptor, or -errno. */
static int create_sealed(const char *name, size_t len)
{
	int f = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	if (f < 0)
		return -errno;
	if (ftruncate(f, (off_t)len) ||
	    fcntl(f, F_ADD_SEALS, VMB_MEMFD_SEALS)) {
		/* a size beyond what a file can have is too much memory */
		err = errno == EFBIG || errno == EINVAL ? -ENOMEM : -errno;
		close(f);
		return err;
	}
	return f;
}

int vmb_shared_create(const char *name, size_t len, int *fd, void **addr)
{
	int f = create_sealed(name, len);
	void *mapped;

	if (f < 0)
		return f;
	mapped = vmb_pages_map(f, len);
	if (!mapped) {
		close(f);
		return -ENOMEM;
	}
	*fd = f;
	*addr = mapped;
	return 0;
}

int vmb_shared_map(int fd, size_t len, void **addr)
{
	struct stat st;

	if (vmb_memfd_check(fd, &st) || st.st_size != (off_t)len)
		return -EPERM;
	*addr = vmb_pages_map(fd, len);
	return *addr ? 0 : -ENOMEM;
}

int vmb_shared_map_file(int fd, uint64_t file, size_t max, void **addr,
			size_t *len)
{
	struct stat st;

	if (vmb_memfd_check(fd, &st) || st.st_ino != file || st.st_size <= 0 ||
	    st.st_size % sysconf(_SC_PAGESIZE))
		return -ESTALE;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	*len = (size_t)st.st_size;
	*addr = vmb_pages_map(fd, *len);
	return *addr ? 0 : -ENOMEM;
}

uint64_t vmb_shared_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino;
}

void vmb_shared_discard(int fd, uint64_t file, size_t len)
{
	/* the program may have closed it, and another one has its number */
	if (vmb_shared_file(fd) != file)
		return;
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		  (off_t)len);
}

void vmb_shared_unmap(void *addr, size_t len)
{
	munmap(addr, len);
}
