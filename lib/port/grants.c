// SPDX-License-Identifier: BSD-2-Clause
/* grants.c - see grants.h. */
#include "port/grants.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xen/gntalloc.h>

/* gntdev.h names these types of Xen's and does not say what they are */
typedef uint16_t domid_t;
typedef uint32_t grant_ref_t;
#include <xen/gntdev.h>

#include <vmbypass/abi/doorbell.h>

#include "base/log.h"

#define SHARE_PATH "/dev/xen/gntalloc"
#define MAP_PATH "/dev/xen/gntdev"

/* A descriptor, or -errno. */
static int open_device(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno != ENOENT && errno != ENODEV && errno != ENXIO)
		return -errno;
	vmb_debug("no %s: no lanes between guests", path);
	return -EOPNOTSUPP;
}

/* The mapping keeps the file, and the file what is behind it. */
static int map_and_close(int fd, uint64_t index, uint32_t count, void **base)
{
	int err = 0;

	*base = mmap(NULL, (size_t)count * VMB_PAGE, PROT_READ | PROT_WRITE,
		     MAP_SHARED, fd, (off_t)index);
	if (*base == MAP_FAILED) {
		err = -errno;
		*base = NULL;
	}
	close(fd);
	return err;
}

int vmb_grants_share(uint32_t domain, uint32_t *refs, uint32_t count,
		     void **base)
{
	struct ioctl_gntalloc_alloc_gref *ask;
	int fd = open_device(SHARE_PATH), err = 0;

	if (fd < 0)
		return fd;
	ask = calloc(1, sizeof(*ask) + count * sizeof(ask->gref_ids[0]));
	if (!ask) {
		close(fd);
		return -ENOMEM;
	}
	ask->domid = (uint16_t)domain;
	ask->flags = GNTALLOC_FLAG_WRITABLE;
	ask->count = count;
	if (ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, ask))
		err = -errno;
	else
		memcpy(refs, ask->gref_ids, count * sizeof(refs[0]));
	if (err)
		close(fd); /* gives back what it had */
	else
		err = map_and_close(fd, ask->index, count, base);
	free(ask);
	return err;
}

int vmb_grants_map(uint32_t domain, const uint32_t *refs, uint32_t count,
		   void **base)
{
	struct ioctl_gntdev_map_grant_ref *ask;
	int fd = open_device(MAP_PATH), err = 0;

	if (fd < 0)
		return fd;
	ask = calloc(1, sizeof(*ask) + count * sizeof(ask->refs[0]));
	if (!ask) {
		close(fd);
		return -ENOMEM;
	}
	ask->count = count;
	for (uint32_t i = 0; i < count; i++)
		ask->refs[i] = (struct ioctl_gntdev_grant_ref){domain, refs[i]};
	if (ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, ask))
		err = -errno;
	if (err)
		close(fd);
	else
		err = map_and_close(fd, ask->index, count, base);
	free(ask);
	return err;
}
