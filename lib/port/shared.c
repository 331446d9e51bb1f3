// SPDX-License-Identifier: BSD-2-Clause
/* shared.c - see shared.h. */
#include "port/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "port/pages.h"

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
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) ||
	    st.st_size != (off_t)len)
		return -EPERM;
	*addr = vmb_pages_map(fd, len);
	return *addr ? 0 : -ENOMEM;
}

void vmb_shared_unmap(void *addr, size_t len)
{
	munmap(addr, len);
}
