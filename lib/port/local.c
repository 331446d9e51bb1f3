// SPDX-License-Identifier: BSD-2-Clause
/*
 * local.c - reach the engine of a daemon on this machine: a Unix socket for
 * control, memfds for pages, an eventfd to kick, a socket to be notified.
 *
 * Flow:  api, am -> vmb_port_local -> channel.c -> vmbd
 * Owns:  the channel; between open and close of an endpoint its mapping and
 *        two descriptors; between alloc and free of memory the descriptor of
 *        its memfd, of which parts can be registered.
 * Trust: channel.c checks the shape of replies; what the values mean is
 *        checked here before they are used.
 */
#include "port/port.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/paths.h"
#include "base/util.h"
#include "port/blocks.h"
#include "port/channel.h"
#include "port/local.h"
#include "port/shared.h"

#define NOTES_AT_ONCE 8 /* notifications swallowed by one system call */

struct local_port {
	struct vmb_port base;
	struct vmb_channel *channel;
	struct vmb_blocks blocks;
};

static int port_timeout_ms = VMB_PORT_TIMEOUT_MS;

void vmb_port_local_set_timeout(int timeout_ms)
{
	port_timeout_ms = timeout_ms;
}

static struct vmb_channel *channel_of(struct vmb_port *port)
{
	return vmb_container_of(port, struct local_port, base)->channel;
}

static struct vmb_blocks *blocks_of(struct vmb_port *port)
{
	return &vmb_container_of(port, struct local_port, base)->blocks;
}

/* A request of op, without descriptors, whose reply is reply_bytes long. */
static struct vmb_channel_call make_call(uint32_t op, size_t request_bytes,
					 size_t reply_bytes)
{
	return (struct vmb_channel_call){
		.request.head = {.op = op, .len = (uint32_t)request_bytes},
		.request_fd = -1,
		.reply_bytes = reply_bytes,
	};
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
	uint64_t features = VMB_FEATURE_PROCESS_MEMORY;

	if (!syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED,
		     0, 0))
		features |= VMB_FEATURE_BARRIER;
	return features;
}

static int check_hello(const struct vmb_ctl_hello_reply *hello,
		       uint64_t features)
{
	if (hello->abi_major != VMB_ABI_MAJOR) {
		vmb_error("daemon speaks version %u.%u, we %u.%u",
			  hello->abi_major, hello->abi_minor, VMB_ABI_MAJOR,
			  VMB_ABI_MINOR);
		return -EPROTO;
	}
	if (hello->abi_minor > VMB_ABI_MINOR || hello->features & ~features ||
	    !hello->nic_id || hello->nic_id >> 48 ||
	    !memchr(hello->name, 0, sizeof(hello->name))) {
		vmb_error("daemon granted what was not offered, or has no "
			  "valid nic id or name");
		return -EPROTO;
	}
	return 0;
}

static int say_hello(struct local_port *lp, const char *domain)
{
	struct vmb_channel_call call =
		make_call(VMB_CTL_HELLO, sizeof(call.request.hello),
			  sizeof(call.reply.hello_reply));
	struct vmb_ctl_hello *hello = &call.request.hello;
	int err;

	hello->abi_major = VMB_ABI_MAJOR;
	hello->abi_minor = VMB_ABI_MINOR;
	hello->features = offered_features();
	memcpy(hello->domain, domain, strlen(domain));
	err = vmb_channel_call(lp->channel, &call, -1);
	if (!err)
		err = check_hello(&call.reply.hello_reply, hello->features);
	if (!err)
		lp->base.hello = call.reply.hello_reply;
	return err;
}

/*
 * Where Yama restricts ptrace to parents, the daemon may read our memory only
 * if we name it. Elsewhere the call fails, and is not needed.
 */
static void admit_daemon(struct vmb_channel *channel)
{
	pid_t daemon = vmb_channel_daemon(channel);

	if (daemon > 0)
		prctl(PR_SET_PTRACER, (unsigned long)daemon, 0, 0, 0);
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

static int attach(struct local_port *lp, const char *path, const char *domain)
{
	int err;

	err = vmb_channel_open(path, port_timeout_ms, &lp->channel);
	if (err == -ENOENT || err == -ECONNREFUSED)
		vmb_error("no daemon at %s: start one with vmbd --local", path);
	if (err)
		return err;
	admit_daemon(lp->channel);
	err = say_hello(lp, domain);
	if (err) {
		vmb_error("daemon at %s does not admit us: %s", path,
			  strerrordesc_np(-err));
		vmb_channel_close(lp->channel);
	}
	return err;
}

static int local_open(const char *where, const char *domain,
		      struct vmb_port **port)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct local_port *lp;
	int err;

	if (!domain)
		domain = "";
	err = check_domain_name(domain);
	if (!err)
		err = choose_path(where, path, sizeof(path));
	if (err)
		return err;
	lp = calloc(1, sizeof(*lp));
	if (!lp)
		return -ENOMEM;
	lp->base.ops = &vmb_port_local;
	err = attach(lp, path, domain);
	if (err) {
		free(lp);
		return err;
	}
	vmb_blocks_init(&lp->blocks);
	*port = &lp->base;
	return 0;
}

static void local_close(struct vmb_port *port)
{
	vmb_channel_close(channel_of(port));
	vmb_blocks_fini(blocks_of(port));
	free(vmb_container_of(port, struct local_port, base));
}

static int local_alive(struct vmb_port *port)
{
	return vmb_channel_alive(channel_of(port));
}

/* ---- endpoints ---------------------------------------------------------- */

/* Best effort: when the daemon is gone, so is what it held for us. */
static void tell_closed(struct vmb_port *port, uint32_t handle)
{
	struct vmb_channel_call call =
		make_call(VMB_CTL_CLOSE, sizeof(call.request.close),
			  sizeof(call.reply.head));
	int err;

	call.request.close.handle = handle;
	err = vmb_channel_call(channel_of(port), &call, -1);
	if (err && err != -EPIPE && err != -EPERM)
		vmb_warn("close of endpoint %#x: %s", handle,
			 strerrordesc_np(-err));
}

static int check_open(const struct vmb_ctl_open *request,
		      const struct vmb_ctl_open_reply *reply, int kick_fd)
{
	int flags = fcntl(kick_fd, F_GETFL);

	if (!reply->handle || !reply->session || reply->reserved_e0 ||
	    reply->id > VMB_ID_MAX ||
	    (request->id != VMB_ID_ANY && reply->id != request->id)) {
		vmb_error("daemon opened endpoint %u as handle %#x id %u "
			  "session %#x",
			  request->id, reply->handle, reply->id,
			  reply->session);
		return -EPROTO;
	}
	/* whatever the daemon made it, a kick never waits */
	if (flags < 0 || fcntl(kick_fd, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	return 0;
}

static int ask_open(struct vmb_port *port, struct vmb_channel_call *call)
{
	const struct vmb_ctl_open_reply *reply = &call->reply.open_reply;
	int err;

	call->reply_fds = 2;
	err = vmb_channel_call(channel_of(port), call, -1);
	if (err)
		return err;
	err = check_open(&call->request.open, reply, call->fds[0]);
	if (err) {
		close(call->fds[0]);
		close(call->fds[1]);
		tell_closed(port, reply->handle);
	}
	return err;
}

static int local_endpoint_open(struct vmb_port *port, uint32_t id, uint32_t key,
			       const struct vmb_geometry *geometry,
			       struct vmb_port_endpoint *pep)
{
	struct vmb_channel_call call =
		make_call(VMB_CTL_OPEN, sizeof(call.request.open),
			  sizeof(call.reply.open_reply));
	size_t len = VMB_AREA_BYTES(geometry);
	void *area;
	int err;

	err = vmb_shared_create("vmb-endpoint", len, &call.request_fd, &area);
	if (err)
		return err;
	call.request.open.id = id;
	call.request.open.key = key;
	call.request.open.geometry = *geometry;
	err = ask_open(port, &call);
	close(call.request_fd); /* the mappings of both sides keep the pages */
	if (err) {
		vmb_shared_unmap(area, len);
		return err;
	}
	*pep = (struct vmb_port_endpoint){
		.handle = call.reply.open_reply.handle,
		.id = call.reply.open_reply.id,
		.session = call.reply.open_reply.session,
		.geometry = *geometry,
		.area = area,
		.kick_fd = call.fds[0],
		.wait_fd = call.fds[1],
	};
	return 0;
}

static void local_endpoint_close(struct vmb_port *port,
				 struct vmb_port_endpoint *pep)
{
	if (!pep->area)
		return;
	tell_closed(port, pep->handle);
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

/*
 * Swallow all notifications that are there. With MSG_WAITFORONE it sleeps for
 * the first of them. An empty packet is the end of the daemon.
 */
static int take_notes(int fd, int flags)
{
	struct mmsghdr notes[NOTES_AT_ONCE];
	struct iovec iov[NOTES_AT_ONCE];
	char bytes[NOTES_AT_ONCE][8];
	int n;

	memset(notes, 0, sizeof(notes));
	for (int i = 0; i < NOTES_AT_ONCE; i++) {
		iov[i] = (struct iovec){bytes[i], sizeof(bytes[i])};
		notes[i].msg_hdr.msg_iov = &iov[i];
		notes[i].msg_hdr.msg_iovlen = 1;
	}
	n = recvmmsg(fd, notes, NOTES_AT_ONCE, flags, NULL);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	for (int i = 0; i < n; i++)
		if (!notes[i].msg_len)
			return -EPIPE;
	return 0;
}

static int local_wait(struct vmb_port_endpoint *pep, int timeout_ms)
{
	struct pollfd p = {.fd = pep->wait_fd, .events = POLLIN};
	int n, err;

	/* without a limit one system call does it, if the socket blocks */
	if (timeout_ms < 0) {
		err = take_notes(pep->wait_fd, MSG_WAITFORONE);
		if (err != -EAGAIN)
			return err;
	}
	n = poll(&p, 1, timeout_ms);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ETIMEDOUT;
	err = take_notes(pep->wait_fd, MSG_DONTWAIT);
	/* another thread may have taken it: the caller looks again */
	return err == -EAGAIN ? 0 : err;
}

/* ---- memory ------------------------------------------------------------- */

static int register_memory(struct vmb_port *port, uint32_t kind, uint64_t base,
			   uint64_t len, uint32_t access, int fd, uint64_t *key)
{
	struct vmb_channel_call call =
		make_call(VMB_CTL_REGISTER, sizeof(call.request.reg),
			  sizeof(call.reply.reg_reply));
	int err;

	call.request.reg.kind = kind;
	call.request.reg.access = access;
	call.request.reg.base = base;
	call.request.reg.len = len;
	call.request_fd = fd;
	err = vmb_channel_call(channel_of(port), &call, -1);
	if (err)
		return err;
	if (call.reply.reg_reply.key >> 32 == 0) {
		vmb_error("daemon gave key %#llx, which is none",
			  (unsigned long long)call.reply.reg_reply.key);
		return -EPROTO;
	}
	*key = call.reply.reg_reply.key;
	return 0;
}

static int local_mem_deregister(struct vmb_port *port, uint64_t key)
{
	struct vmb_channel_call call =
		make_call(VMB_CTL_DEREGISTER, sizeof(call.request.dereg),
			  sizeof(call.reply.head));

	call.request.dereg.key = key;
	return vmb_channel_call(channel_of(port), &call, -1);
}

static int local_mem_register(struct vmb_port *port, void *addr, size_t len,
			      uint32_t access, uint64_t *key)
{
	struct vmb_block *block = vmb_blocks_find(blocks_of(port), addr, len);
	int err;

	if (block) {
		err = register_memory(port, VMB_REGION_MEMFD,
				      (uintptr_t)addr - block->start, len,
				      access, block->fd, key);
		vmb_blocks_put(block);
		return err;
	}
	if (!(port->hello.features & VMB_FEATURE_PROCESS_MEMORY))
		return -EOPNOTSUPP;
	return register_memory(port, VMB_REGION_PROCESS, (uintptr_t)addr, len,
			       access, -1, key);
}

/* Best effort, as tell_closed(). */
static void end_key(struct vmb_port *port, uint64_t key)
{
	int err = local_mem_deregister(port, key);

	if (err && err != -EPIPE && err != -EPERM)
		vmb_warn("deregister of region %u: %s", VMB_KEY_INDEX(key),
			 strerrordesc_np(-err));
}

static int local_mem_alloc(struct vmb_port *port, size_t len, void **addr,
			   uint64_t *key)
{
	void *mapped;
	int err, fd;

	err = vmb_shared_create("vmb-memory", len, &fd, &mapped);
	if (err)
		return err;
	err = register_memory(port, VMB_REGION_MEMFD, 0, len,
			      VMB_ACCESS_REMOTE_READ, fd, key);
	if (err)
		goto err_shared;
	err = vmb_blocks_add(blocks_of(port), mapped, len, fd);
	if (err)
		goto err_key;
	*addr = mapped;
	return 0;

err_key:
	end_key(port, *key);
err_shared:
	close(fd);
	vmb_shared_unmap(mapped, len);
	return err;
}

static void local_mem_free(struct vmb_port *port, void *addr, size_t len,
			   uint64_t key)
{
	end_key(port, key);
	/* first: once unmapped, the addresses may be given out again */
	vmb_blocks_drop(blocks_of(port), addr);
	vmb_shared_unmap(addr, len);
}

/* ---- peers -------------------------------------------------------------- */

static struct vmb_channel_call make_connect(uint64_t nic_id, uint32_t id,
					    uint32_t key)
{
	struct vmb_channel_call call =
		make_call(VMB_CTL_CONNECT, sizeof(call.request.connect),
			  sizeof(call.reply.connect_reply));

	call.request.connect.nic_id = nic_id;
	call.request.connect.id = id;
	call.request.connect.key = key;
	return call;
}

static int take_connect(const struct vmb_channel_call *call, uint32_t *handle,
			uint32_t *session)
{
	const struct vmb_ctl_connect_reply *reply = &call->reply.connect_reply;

	if (!reply->handle || !reply->session) {
		vmb_error("daemon connected us to handle %#x session %#x",
			  reply->handle, reply->session);
		return -EPROTO;
	}
	*handle = reply->handle;
	*session = reply->session;
	return 0;
}

static int local_connect(struct vmb_port *port, uint64_t nic_id, uint32_t id,
			 uint32_t key, int timeout_ms, uint32_t *handle,
			 uint32_t *session)
{
	struct vmb_channel_call call = make_connect(nic_id, id, key);
	int err = vmb_channel_call(channel_of(port), &call, timeout_ms);

	return err ? err : take_connect(&call, handle, session);
}

static int local_connect_start(struct vmb_port *port, uint64_t nic_id,
			       uint32_t id, uint32_t key, uint32_t *tag)
{
	struct vmb_channel_call call = make_connect(nic_id, id, key);

	return vmb_channel_start(channel_of(port), &call, tag);
}

static int local_connect_poll(struct vmb_port *port, uint32_t tag,
			      uint32_t *handle, uint32_t *session)
{
	struct vmb_channel_call call;
	int err = vmb_channel_poll(channel_of(port), tag, &call);

	return err ? err : take_connect(&call, handle, session);
}

static void local_connect_cancel(struct vmb_port *port, uint32_t tag)
{
	vmb_channel_cancel(channel_of(port), tag);
}

/* Fill in what this kind of question takes. -EINVAL: not a name. */
static int make_lookup(struct vmb_ctl_lookup *ask, uint32_t kind,
		       uint32_t handle, const struct vmb_port_identity *who)
{
	size_t len = strnlen(who->name, sizeof(who->name));

	ask->kind = kind;
	switch (kind) {
	case VMB_LOOKUP_NAME:
		if (!len || len == sizeof(who->name))
			return -EINVAL;
		memcpy(ask->name, who->name, len);
		return 0;
	case VMB_LOOKUP_NIC:
		ask->nic_id = who->nic_id;
		return 0;
	case VMB_LOOKUP_HANDLE:
		ask->handle = handle;
		return 0;
	default:
		return -EINVAL;
	}
}

static int local_lookup(struct vmb_port *port, uint32_t kind, uint32_t handle,
			struct vmb_port_identity *who)
{
	struct vmb_channel_call call =
		make_call(VMB_CTL_LOOKUP, sizeof(call.request.lookup),
			  sizeof(call.reply.lookup));
	const struct vmb_ctl_lookup *reply = &call.reply.lookup;
	int err;

	err = make_lookup(&call.request.lookup, kind, handle, who);
	if (!err)
		err = vmb_channel_call(channel_of(port), &call, -1);
	if (err)
		return err;
	if (!memchr(reply->name, 0, sizeof(reply->name)) ||
	    reply->nic_id >> 48 || (kind != VMB_LOOKUP_NIC && !reply->nic_id)) {
		vmb_error("daemon answered a lookup of kind %u with nic id "
			  "%#llx, or no name",
			  kind, (unsigned long long)reply->nic_id);
		return -EPROTO;
	}
	if (kind != VMB_LOOKUP_NIC)
		who->nic_id = reply->nic_id;
	if (kind == VMB_LOOKUP_HANDLE) {
		who->id = reply->id;
		who->session = reply->session;
	}
	if (kind != VMB_LOOKUP_NAME)
		memcpy(who->name, reply->name, sizeof(who->name));
	return 0;
}

const struct vmb_port_ops vmb_port_local = {
	.name = "local",
	.open = local_open,
	.close = local_close,
	.alive = local_alive,
	.endpoint_open = local_endpoint_open,
	.endpoint_close = local_endpoint_close,
	.kick = local_kick,
	.wait = local_wait,
	.mem_alloc = local_mem_alloc,
	.mem_free = local_mem_free,
	.mem_register = local_mem_register,
	.mem_deregister = local_mem_deregister,
	.connect = local_connect,
	.connect_start = local_connect_start,
	.connect_poll = local_connect_poll,
	.connect_cancel = local_connect_cancel,
	.lookup = local_lookup,
};
