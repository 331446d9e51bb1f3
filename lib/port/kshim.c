// SPDX-License-Identifier: BSD-2-Clause
/*
 * kshim.c - in a Xen guest: reach the engine of the driver domain through the
 * kernel shim, docs/chardev.md.
 *
 * Flow:  api, am -> vmb_port_kshim -> calls.c, channel.c -> /dev/vmbypass
 * Owns:  the control file; between open and close of an endpoint its file and
 *        its mapping; between alloc and free of memory the mapping.
 * Trust: the kernel, shim included, is believed; what the daemon answers is
 *        checked by channel.c and calls.c.
 *
 * A registration pins pages: the key names these, whatever the addresses come
 * to mean afterwards (docs/regcache.md).
 */
#include "port/port.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vmbypass/abi/chardev.h>

#include "base/log.h"
#include "base/util.h"
#include "port/calls.h"
#include "port/grants.h"
#include "port/pages.h"
#include "port/shared.h"

/* ---- the control file as a carrier -------------------------------------- */

static int send_request(int fd, const void *buf, size_t len, int pass)
{
	ssize_t n;

	(void)pass; /* memory comes along by its address, not by a file */
	do
		n = write(fd, buf, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static int receive_reply(int fd, void *buf, size_t size,
			 struct vmb_socket_packet *packet)
{
	ssize_t n;

	do
		n = read(fd, buf, size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	*packet = (struct vmb_socket_packet){.len = (size_t)n};
	return 0;
}

static const struct vmb_carrier by_file = {
	.send = send_request,
	.receive = receive_reply,
};

/* ---- open --------------------------------------------------------------- */

/* Say what to do next, and with which error vmb_init() returns. */
static int explain(const char *path, int err)
{
	switch (err) {
	case -ENOENT:
		vmb_error("no %s: load the module vmbypass, and have this "
			  "guest attached (vmbctl attach) in the driver domain",
			  path);
		return err;
	case -EACCES:
	case -EPERM:
		vmb_error("%s may be opened by root and the group vmbypass; "
			  "add this user to it",
			  path);
		return -EACCES;
	case -EUSERS:
		vmb_error("%s is open in as many processes of this guest as "
			  "it can be: end one",
			  path);
		return err;
	case -ENXIO: /* the shim; ENODEV: a node without a shim */
	case -ENODEV:
		vmb_error("%s is not connected: does vmbd run in the driver "
			  "domain, and is this guest attached (vmbctl attach)?",
			  path);
		return -ECONNREFUSED;
	default:
		vmb_error("%s: %s", path, strerrordesc_np(-err));
		return err;
	}
}

/* Nothing is written to what is no device. */
static int check_device(const char *path, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISCHR(st.st_mode))
		return 0;
	vmb_error("%s is not a device", path);
	return -EINVAL;
}

static int open_device(const char *path, int *fd)
{
	int err;

	*fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (*fd < 0)
		return explain(path, -errno);
	err = check_device(path, *fd);
	if (err)
		close(*fd);
	return err;
}

static int kshim_open(const char *where, const char *domain,
		      struct vmb_port **port)
{
	const char *path = where && *where ? where : VMB_CHARDEV_PATH;
	struct vmb_calls_port *p;
	int fd, err;

	if (domain && *domain) {
		vmb_error("VMB_DOMAIN=%s: in a guest the protection domain is "
			  "the guest; unset it",
			  domain);
		return -EINVAL;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->base.ops = &vmb_port_kshim;
	err = open_device(path, &fd);
	if (!err) /* no feature: the daemon is in another domain */
		err = vmb_calls_attach(p, &by_file, fd, path, NULL, 0);
	if (err) {
		free(p);
		return err;
	}
	*port = &p->base;
	return 0;
}

static void kshim_close(struct vmb_port *port)
{
	vmb_channel_close(vmb_calls_channel(port));
	free(vmb_container_of(port, struct vmb_calls_port, base));
}

/* ---- endpoints ---------------------------------------------------------- */

/* The file of an endpoint, or -errno. */
static int open_file(struct vmb_port *port, uint32_t handle)
{
	struct vmb_chardev_endpoint ask = {.handle = handle};
	int control = vmb_channel_fd(vmb_calls_channel(port));
	int fd, err;

	if (control < 0)
		return control;
	fd = ioctl(control, VMB_IOC_ENDPOINT, &ask);
	if (fd < 0) {
		err = -errno;
		/* it ended with the backend, or the handle is a lie */
		if (err == -ENOENT)
			err = vmb_calls_alive(port) ? -EPIPE : -EPROTO;
		return err;
	}
	/* two threads may be told of one notification */
	if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int obtain_area(struct vmb_port *port, struct vmb_port_endpoint *pep)
{
	int fd = open_file(port, pep->handle);
	void *area;
	int err;

	if (fd < 0)
		return fd;
	area = mmap(NULL, VMB_AREA_BYTES(&pep->geometry),
		    PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (area == MAP_FAILED) {
		err = -errno;
		close(fd);
		return err;
	}
	pep->area = area;
	pep->wait_fd = pep->kick_fd = fd;
	return 0;
}

static int kshim_endpoint_open(struct vmb_port *port, uint32_t id, uint32_t key,
			       const struct vmb_geometry *geometry,
			       struct vmb_port_endpoint *pep)
{
	struct vmb_port_endpoint p = {.geometry = *geometry};
	int err = vmb_calls_open(port, id, key, -1, NULL, 0, &p);

	if (err)
		return err;
	err = obtain_area(port, &p);
	if (err) {
		vmb_calls_close(port, p.handle);
		return err;
	}
	*pep = p;
	return 0;
}

static void kshim_endpoint_close(struct vmb_port *port,
				 struct vmb_port_endpoint *pep)
{
	bool inherited = vmb_channel_fd(vmb_calls_channel(port)) == -EPERM;

	if (!pep->area)
		return;
	vmb_calls_close(port, pep->handle);
	/* a child has the file, not the area: there may be other memory now */
	if (!inherited)
		munmap(pep->area, VMB_AREA_BYTES(&pep->geometry));
	close(pep->wait_fd); /* and kick_fd: it is the same */
	*pep = (struct vmb_port_endpoint){.wait_fd = -1, .kick_fd = -1};
}

static void kshim_kick(struct vmb_port_endpoint *pep)
{
	uint64_t one = 1;
	ssize_t n;

	/* where it fails the endpoint has ended, and wait() says so */
	n = write(pep->kick_fd, &one, sizeof(one));
	(void)n;
}

static int kshim_wait(struct vmb_port_endpoint *pep, int timeout_ms)
{
	return vmb_calls_wait(pep->wait_fd, timeout_ms);
}

/* ---- memory ------------------------------------------------------------- */

static int kshim_mem_register(struct vmb_port *port, void *addr, size_t len,
			      uint32_t access, uint64_t *key)
{
	struct vmb_ctl_register what = {
		.kind = VMB_REGION_GRANT,
		.access = access,
		.base = (uintptr_t)addr,
		.len = len,
	};

	return vmb_calls_register(port, &what, -1, key);
}

static int kshim_mem_alloc(struct vmb_port *port, size_t len, void **addr,
			   uint64_t *key)
{
	void *p = vmb_pages_map(-1, len);
	int err;

	if (!p)
		return -ENOMEM;
	err = kshim_mem_register(port, p, len, VMB_ACCESS_REMOTE_READ, key);
	if (err) {
		munmap(p, len);
		return err;
	}
	*addr = p;
	return 0;
}

static void kshim_mem_free(struct vmb_port *port, void *addr, size_t len,
			   uint64_t key)
{
	vmb_calls_end_key(port, key);
	munmap(addr, len);
}

/* ---- lanes -------------------------------------------------------------- */

static int kshim_lane_start(struct vmb_port *port,
			    const struct vmb_ctl_lane *what, uint32_t *tag)
{
	return vmb_calls_lane_start(port, what, 0, 0, tag);
}

static size_t lane_len(const struct vmb_port_lane *lane)
{
	return VMB_LANE_LEN((size_t)lane->slots, lane->bytes);
}

static int refs_make(struct vmb_port_lane *lane, uint32_t count)
{
	lane->refs = calloc(count, sizeof(lane->refs[0]));
	if (!lane->refs)
		return -ENOMEM;
	lane->ref_count = count;
	return 0;
}

/*
 * Within one guest a grant must not be mapped: a PVH guest's own page would be
 * in two places of its memory, which breaks when it is unmapped (seen on Xen
 * 4.17). There the references are a file: whose process, which descriptor, and
 * the low half of its inode number, for the descriptor may be that of another
 * file when it is looked at.
 */
#define FILE_REFS 3u

static int lane_create_file(struct vmb_port_lane *lane)
{
	struct stat st;
	int fd, err = refs_make(lane, FILE_REFS);

	if (err)
		return err;
	err = vmb_shared_create("vmb-lane", lane_len(lane), &fd, &lane->base);
	if (err)
		goto err_refs;
	if (fstat(fd, &st)) {
		err = -errno;
		goto err_file;
	}
	lane->refs[0] = (uint32_t)getpid();
	lane->refs[1] = (uint32_t)fd;
	lane->refs[2] = (uint32_t)st.st_ino;
	return 0;

err_file:
	close(fd);
	vmb_shared_unmap(lane->base, lane_len(lane));
	lane->base = NULL;
err_refs:
	lane->ref_count = 0;
	return err;
}

/* A file system in user space, which answers when it likes, is not asked. */
static int look_at(int fd, struct statx *st)
{
	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
		     STATX_BASIC_STATS, st)
		       ? -errno
		       : 0;
}

/*
 * -EPERM: it is no memfd, all of which are on one file system of the kernel's
 * own; or another user's, which root could open: maybe the lane of two others.
 * -ENOENT: the lane has ended, and the descriptor is that of another file.
 */
static int check_file(int named, uint32_t inode)
{
	struct statx st, ours;
	int fd = memfd_create("vmb-lane", MFD_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = look_at(fd, &ours);
	close(fd);
	if (!err)
		err = look_at(named, &st);
	if (err)
		return err;
	if (st.stx_dev_major != ours.stx_dev_major ||
	    st.stx_dev_minor != ours.stx_dev_minor ||
	    st.stx_uid != ours.stx_uid)
		return -EPERM;
	return (uint32_t)st.stx_ino == inode ? 0 : -ENOENT;
}

/* Somebody may have a lease on it, for whom open() would wait. */
static int reopen(int named)
{
	char here[64];
	int fd;

	snprintf(here, sizeof(here), "/proc/self/fd/%d", named);
	fd = open(here, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	return errno == EAGAIN ? -EBUSY : -errno; /* it is no answer yet */
}

/* Not opened before it is known to be the file: others may do things then. */
static int lane_open_file(const struct vmb_port_lane *lane)
{
	char path[64];
	int named, fd;

	snprintf(path, sizeof(path), "/proc/%u/fd/%u", lane->refs[0],
		 lane->refs[1]);
	named = open(path, O_PATH | O_CLOEXEC);
	if (named < 0)
		return -errno;
	fd = check_file(named, lane->refs[2]);
	if (!fd)
		fd = reopen(named);
	close(named);
	return fd;
}

static int lane_map_file(struct vmb_port_lane *lane)
{
	int fd, err;

	if (lane->ref_count != FILE_REFS)
		return -EPROTO;
	fd = lane_open_file(lane);
	if (fd < 0)
		return fd;
	err = vmb_shared_map(fd, lane_len(lane), &lane->base);
	close(fd);
	return err;
}

/* The daemon has said where the other side is: make our half. */
static int obtain_lane(struct vmb_port_lane *lane,
		       const struct vmb_ctl_lane *answer)
{
	uint32_t pages = (uint32_t)(lane_len(lane) / VMB_PAGE);
	bool offer = answer->kind == VMB_LANE_OFFER;
	int err;

	if (answer->guest == VMB_LANE_SAME_GUEST)
		return offer ? lane_create_file(lane) : lane_map_file(lane);
	if (!offer)
		return lane->ref_count == pages
			       ? vmb_grants_map(answer->guest, lane->refs,
						pages, &lane->base)
			       : -EPROTO;
	err = refs_make(lane, pages);
	return err ? err
		   : vmb_grants_share(answer->guest, lane->refs, pages,
				      &lane->base);
}

static int kshim_lane_poll(struct vmb_port *port, uint32_t tag,
			   struct vmb_port_lane *lane)
{
	struct vmb_ctl_lane answer;
	int fds[2], err = vmb_calls_lane_poll(port, tag, lane, &answer, fds);

	if (err)
		return err;
	err = obtain_lane(lane, &answer);
	if (err)
		vmb_calls_lane_failed(port, &answer);
	return err;
}

static void kshim_lane_close(struct vmb_port *port, struct vmb_port_lane *lane,
			     bool offered, uint32_t reason)
{
	munmap(lane->base, lane_len(lane));
	lane->base = NULL;
	if (offered && lane->ref_count == FILE_REFS)
		close((int)lane->refs[1]);
	if (offered)
		vmb_calls_lane_close(port, lane->ticket, reason);
}

const struct vmb_port_ops vmb_port_kshim = {
	.name = "kshim",
	.pins = true,
	.open = kshim_open,
	.close = kshim_close,
	.alive = vmb_calls_alive,
	.endpoint_open = kshim_endpoint_open,
	.endpoint_close = kshim_endpoint_close,
	.kick = kshim_kick,
	.wait = kshim_wait,
	.mem_alloc = kshim_mem_alloc,
	.mem_free = kshim_mem_free,
	.mem_register = kshim_mem_register,
	.mem_deregister = vmb_calls_deregister,
	.connect = vmb_calls_connect,
	.connect_start = vmb_calls_connect_start,
	.connect_poll = vmb_calls_connect_poll,
	.connect_cancel = vmb_calls_connect_cancel,
	.lookup = vmb_calls_lookup,
	.lane_start = kshim_lane_start,
	.lane_poll = kshim_lane_poll,
	.lane_cancel = vmb_calls_lane_cancel,
	.lane_close = kshim_lane_close,
};
