// SPDX-License-Identifier: BSD-2-Clause
/*
 * local.c - reach the engine of a daemon on this machine: a Unix socket for
 * control, memfds for pages, an eventfd to kick, a socket to be notified.
 *
 * Flow:  api, am -> vmb_port_local -> calls.c, channel.c -> vmbd
 * Owns:  the channel; between open and close of an endpoint its mapping and
 *        two descriptors; between alloc and free of memory the descriptor of
 *        its memfd, of which parts can be registered.
 * Trust: the daemon is of our own user or of root; its replies are checked
 *        by channel.c and calls.c.
 */
#include "port/port.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/futex.h"
#include "base/log.h"
#include "base/memfd.h"
#include "base/paths.h"
#include "base/process.h"
#include "base/socket.h"
#include "base/util.h"
#include "port/blocks.h"
#include "port/calls.h"
#include "port/shared.h"

static const struct vmb_carrier by_socket = {
	.send = vmb_socket_send,
	.receive = vmb_socket_receive,
};

struct local_port {
	struct vmb_calls_port calls;
	struct vmb_blocks blocks;
};

static struct local_port *local_of(struct vmb_port *port)
{
	return vmb_container_of(port, struct local_port, calls.base);
}

static struct vmb_blocks *blocks_of(struct vmb_port *port)
{
	return &local_of(port)->blocks;
}

/* ---- open --------------------------------------------------------------- */

static int check_domain_name(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";

	if (strlen(name) < VMB_NAME_BYTES && !name[strspn(name, allowed)])
		return 0;
	vmb_error("domain %s: not a name of at most %u letters, digits and "
		  "any of ._-",
		  name, VMB_NAME_BYTES - 1);
	return -EINVAL;
}

/* What we can do, as far as this kernel says now. */
static uint64_t offered_features(void)
{
	uint64_t features =
		VMB_FEATURE_PROCESS_MEMORY | VMB_FEATURE_PEER_PROCESS;

	if (!syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED,
		     0, 0))
		features |= VMB_FEATURE_BARRIER;
	if (vmb_futex_has_either())
		features |= VMB_FEATURE_WAKE_WORD;
	return features;
}

/*
 * Speak to our own user's daemon or to root's.
 *
 * Where Yama restricts ptrace to parents, the daemon may read our memory only
 * if we name it. Elsewhere the call fails, and is not needed.
 */
static int admit_daemon(int sock, const char *path)
{
	struct ucred peer;
	int err = vmb_socket_peer(sock, &peer);

	if (err == -EACCES)
		vmb_error("socket %s belongs to user %u, not to us or root",
			  path, (unsigned)peer.uid);
	if (err)
		return err;
	if (peer.pid > 0) /* 0: it lives where we cannot see it */
		prctl(PR_SET_PTRACER, (unsigned long)peer.pid, 0, 0, 0);
	return 0;
}

static int choose_path(const char *where, char *path, size_t size)
{
	int err = 0;

	if (!where || !*where)
		err = vmb_default_socket(path, size);
	else if (strlen(where) < size)
		memcpy(path, where, strlen(where) + 1);
	else
		err = -ENAMETOOLONG;
	if (err)
		vmb_error("socket path of the daemon is longer than %zu",
			  size - 1);
	return err;
}

static int connect_daemon(const char *path, int *sock)
{
	int err = vmb_socket_connect(path, SOCK_SEQPACKET, VMB_PORT_TIMEOUT_MS,
				     sock);

	if (err == -ENOENT || err == -ECONNREFUSED)
		vmb_error("no daemon at %s: start one with vmbd --local", path);
	if (err)
		return err;
	err = admit_daemon(*sock, path);
	if (err)
		close(*sock);
	return err;
}

static int local_open(const char *where, const char *domain,
		      struct vmb_port **port)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct local_port *lp;
	int sock, err;

	err = domain ? check_domain_name(domain) : 0;
	if (!err)
		err = choose_path(where, path, sizeof(path));
	if (err)
		return err;
	lp = calloc(1, sizeof(*lp));
	if (!lp)
		return -ENOMEM;
	lp->calls.base.ops = &vmb_port_local;
	err = connect_daemon(path, &sock);
	if (!err)
		err = vmb_calls_attach(&lp->calls, &by_socket, sock, path,
				       domain, offered_features());
	if (err) {
		free(lp);
		return err;
	}
	vmb_blocks_init(&lp->blocks);
	*port = &lp->calls.base;
	return 0;
}

static void local_close(struct vmb_port *port)
{
	struct local_port *lp = local_of(port);

	vmb_channel_close(lp->calls.channel);
	vmb_blocks_fini(&lp->blocks);
	free(lp);
}

/* ---- endpoints ---------------------------------------------------------- */

/* Whatever the daemon made them: a kick never waits, nor does a look for a
 * notification. */
static int make_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ? -errno : 0;
}

static int ask_open(struct vmb_port *port, uint32_t id, uint32_t key, int area,
		    struct vmb_port_endpoint *pep)
{
	int fds[2], err;

	err = vmb_calls_open(port, id, key, area, fds, 2, pep);
	if (err)
		return err;
	err = make_nonblocking(fds[0]);
	if (!err)
		err = make_nonblocking(fds[1]);
	if (err) {
		close(fds[0]);
		close(fds[1]);
		vmb_calls_close(port, pep->handle);
		return err;
	}
	pep->kick_fd = fds[0];
	pep->wait_fd = fds[1];
	return 0;
}

static int local_endpoint_open(struct vmb_port *port, uint32_t id, uint32_t key,
			       const struct vmb_geometry *geometry,
			       struct vmb_port_endpoint *pep)
{
	struct vmb_port_endpoint p = {.geometry = *geometry};
	size_t len = VMB_AREA_BYTES(geometry);
	int fd, err;

	err = vmb_shared_create("vmb-endpoint", len, &fd, &p.area);
	if (err)
		return err;
	err = ask_open(port, id, key, fd, &p);
	close(fd); /* the mappings of both sides keep the pages */
	if (err) {
		vmb_shared_unmap(p.area, len);
		return err;
	}
	*pep = p;
	return 0;
}

static void local_endpoint_close(struct vmb_port *port,
				 struct vmb_port_endpoint *pep)
{
	if (!pep->area)
		return;
	vmb_calls_close(port, pep->handle);
	vmb_shared_unmap(pep->area, VMB_AREA_BYTES(&pep->geometry));
	close(pep->kick_fd);
	close(pep->wait_fd);
	*pep = (struct vmb_port_endpoint){.wait_fd = -1, .kick_fd = -1};
}

static void local_kick(struct vmb_port_endpoint *pep)
{
	uint64_t one = 1;
	ssize_t n;

	/* a full counter has woken the engine already */
	n = write(pep->kick_fd, &one, sizeof(one));
	(void)n;
}

static int local_wait(struct vmb_port_endpoint *pep, int timeout_ms)
{
	return vmb_calls_wait(pep->wait_fd, timeout_ms);
}

/* ---- memory ------------------------------------------------------------- */

static int local_mem_register(struct vmb_port *port, void *addr, size_t len,
			      uint32_t access, uint64_t *key)
{
	struct vmb_ctl_register what = {
		.kind = VMB_REGION_PROCESS,
		.access = access,
		.base = (uintptr_t)addr,
		.len = len,
	};
	struct vmb_block *block = vmb_blocks_find(blocks_of(port), addr, len);
	int err;

	if (block) {
		what.kind = VMB_REGION_MEMFD;
		what.base -= block->start;
		err = vmb_calls_register(port, &what, block->fd, key);
		vmb_blocks_put(block);
		return err;
	}
	if (!(port->hello.features & VMB_FEATURE_PROCESS_MEMORY))
		return -EOPNOTSUPP;
	return vmb_calls_register(port, &what, -1, key);
}

static int local_mem_alloc(struct vmb_port *port, size_t len, void **addr,
			   uint64_t *key)
{
	struct vmb_ctl_register what = {
		.kind = VMB_REGION_MEMFD,
		.access = VMB_ACCESS_REMOTE_READ,
		.len = len,
	};
	void *mapped;
	int err, fd;

	err = vmb_shared_create("vmb-memory", len, &fd, &mapped);
	if (err)
		return err;
	err = vmb_calls_register(port, &what, fd, key);
	if (err)
		goto err_shared;
	err = vmb_blocks_add(blocks_of(port), mapped, len, fd);
	if (err)
		goto err_key;
	*addr = mapped;
	return 0;

err_key:
	vmb_calls_end_key(port, *key);
err_shared:
	close(fd);
	vmb_shared_unmap(mapped, len);
	return err;
}

static void local_mem_describe(struct vmb_port *port, const void *addr,
			       struct vmb_lane_file *what)
{
	vmb_blocks_describe(blocks_of(port), addr, what);
}

static void local_mem_free(struct vmb_port *port, void *addr, size_t len,
			   uint64_t key)
{
	vmb_calls_end_key(port, key);
	/* peers may have it mapped still, and keep its pages */
	vmb_blocks_discard(blocks_of(port), addr, len);
	/* first: once unmapped, the addresses may be given out again */
	vmb_blocks_drop(blocks_of(port), addr);
	vmb_shared_unmap(addr, len);
}

/* ---- lanes -------------------------------------------------------------- */

static int local_lane_start(struct vmb_port *port,
			    const struct vmb_ctl_lane *what, uint32_t *tag)
{
	unsigned more = (port->hello.features & VMB_FEATURE_PEER_PROCESS) != 0;

	return vmb_calls_lane_start(port, what, 1, more, tag);
}

/* Without a number that means something here, it is as if we were not told. */
static void take_process(struct vmb_port_lane *lane, int pidfd)
{
	pid_t pid = pidfd < 0 ? -1 : vmb_process_number(pidfd);

	lane->process = pid > 0 ? pid : 0;
	lane->process_fd = pidfd;
	if (pidfd >= 0 && pid <= 0)
		close(pidfd);
}

static int local_lane_poll(struct vmb_port *port, uint32_t tag,
			   struct vmb_port_lane *lane)
{
	struct vmb_ctl_lane answer;
	int fds[2], err = vmb_calls_lane_poll(port, tag, lane, &answer, fds);
	size_t len;

	if (err)
		return err;
	len = VMB_LANE_LEN(lane->slots, lane->bytes);
	err = vmb_shared_map(fds[0], len, &lane->base);
	close(fds[0]); /* the mappings of both sides keep the pages */
	if (!err) {
		take_process(lane, fds[1]);
		return 0;
	}
	if (fds[1] >= 0)
		close(fds[1]);
	vmb_calls_lane_failed(port, &answer);
	return err;
}

static void local_lane_close(struct vmb_port *port, struct vmb_port_lane *lane,
			     bool offered, uint32_t reason)
{
	vmb_shared_unmap(lane->base, VMB_LANE_LEN(lane->slots, lane->bytes));
	lane->base = NULL;
	if (lane->process)
		close(lane->process_fd);
	lane->process = 0;
	if (offered)
		vmb_calls_lane_close(port, lane->ticket, reason);
}

static int64_t local_lane_read(const struct vmb_port_lane *lane, uint64_t addr,
			       void *buf, size_t len)
{
	return vmb_process_read_memory(lane->process, addr, buf, len);
}

static int64_t local_lane_write(const struct vmb_port_lane *lane, uint64_t addr,
				const void *buf, size_t len)
{
	return vmb_process_write_memory(lane->process, addr, buf, len);
}

static int local_lane_map(const struct vmb_port_lane *lane,
			  const struct vmb_lane_file *what, size_t max,
			  void **base, size_t *len)
{
	int err, fd;

	if (!vmb_memfd_faults_are_safe())
		return -ENOSYS;
	fd = vmb_process_take_fd(lane->process_fd, what->fd);
	if (fd < 0)
		return fd == -EBADF ? -ESTALE : fd;
	err = vmb_shared_map_file(fd, what->file, max, base, len);
	close(fd); /* the mapping keeps the file */
	return err;
}

static bool local_lane_alive(const struct vmb_port_lane *lane)
{
	return vmb_process_is_alive(lane->process_fd);
}

const struct vmb_port_ops vmb_port_local = {
	.name = "local",
	.open = local_open,
	.close = local_close,
	.alive = vmb_calls_alive,
	.endpoint_open = local_endpoint_open,
	.endpoint_close = local_endpoint_close,
	.kick = local_kick,
	.wait = local_wait,
	.mem_alloc = local_mem_alloc,
	.mem_free = local_mem_free,
	.mem_describe = local_mem_describe,
	.mem_register = local_mem_register,
	.mem_deregister = vmb_calls_deregister,
	.connect = vmb_calls_connect,
	.connect_start = vmb_calls_connect_start,
	.connect_poll = vmb_calls_connect_poll,
	.connect_cancel = vmb_calls_connect_cancel,
	.lookup = vmb_calls_lookup,
	.lane_start = local_lane_start,
	.lane_poll = local_lane_poll,
	.lane_cancel = vmb_calls_lane_cancel,
	.lane_close = local_lane_close,
	.lane_read = local_lane_read,
	.lane_write = local_lane_write,
	.lane_map = local_lane_map,
	.lane_unmap = vmb_shared_unmap,
	.lane_alive = local_lane_alive,
};
