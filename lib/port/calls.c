// SPDX-License-Identifier: BSD-2-Clause
/* calls.c - see calls.h. */
#include "port/calls.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

static int call_timeout_ms = VMB_PORT_TIMEOUT_MS;

void vmb_calls_set_timeout(int timeout_ms)
{
	call_timeout_ms = timeout_ms;
}

struct vmb_channel *vmb_calls_channel(struct vmb_port *port)
{
	return vmb_container_of(port, struct vmb_calls_port, base)->channel;
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

static int call_daemon(struct vmb_port *port, struct vmb_channel_call *call)
{
	return vmb_channel_call(vmb_calls_channel(port), call, -1);
}

/* The end of something failed. Of a daemon that is gone it is no news. */
static void warn_of_end(const char *what, uint64_t which, int err)
{
	if (err && err != -EPIPE && err != -EPERM)
		vmb_warn("%s %#llx: %s", what, (unsigned long long)which,
			 strerrordesc_np(-err));
}

/* ---- attaching ---------------------------------------------------------- */

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

static int say_hello(struct vmb_port *port, const char *domain,
		     uint64_t features)
{
	struct vmb_channel_call call =
		make_call(VMB_CTL_HELLO, sizeof(call.request.hello),
			  sizeof(call.reply.hello_reply));
	struct vmb_ctl_hello *hello = &call.request.hello;
	int err;

	hello->abi_major = VMB_ABI_MAJOR;
	hello->abi_minor = VMB_ABI_MINOR;
	hello->features = features;
	if (domain)
		memcpy(hello->domain, domain, strlen(domain));
	err = call_daemon(port, &call);
	if (!err)
		err = check_hello(&call.reply.hello_reply, features);
	if (!err)
		port->hello = call.reply.hello_reply;
	return err;
}

int vmb_calls_attach(struct vmb_calls_port *port,
		     const struct vmb_carrier *carrier, int fd,
		     const char *where, const char *domain, uint64_t features)
{
	int err =
		vmb_channel_open(carrier, fd, call_timeout_ms, &port->channel);

	if (err) {
		close(fd);
		return err;
	}
	err = say_hello(&port->base, domain, features);
	if (err) {
		vmb_error("daemon at %s does not admit us: %s", where,
			  strerrordesc_np(-err));
		vmb_channel_close(port->channel);
	}
	return err;
}

int vmb_calls_alive(struct vmb_port *port)
{
	return vmb_channel_alive(vmb_calls_channel(port));
}

/* ---- endpoints ---------------------------------------------------------- */

void vmb_calls_close(struct vmb_port *port, uint32_t handle)
{
	struct vmb_channel_call call =
		make_call(VMB_CTL_CLOSE, sizeof(call.request.close),
			  sizeof(call.reply.head));

	call.request.close.handle = handle;
	warn_of_end("close of endpoint", handle, call_daemon(port, &call));
}

static int check_open(const struct vmb_ctl_open *request,
		      const struct vmb_ctl_open_reply *reply)
{
	if (reply->handle && reply->session && !reply->reserved_e0 &&
	    reply->id <= VMB_ID_MAX &&
	    (request->id == VMB_ID_ANY || reply->id == request->id))
		return 0;
	vmb_error("daemon opened endpoint %u as handle %#x id %u session %#x",
		  request->id, reply->handle, reply->id, reply->session);
	return -EPROTO;
}

int vmb_calls_open(struct vmb_port *port, uint32_t id, uint32_t key, int pass,
		   int *fds, unsigned fd_count, struct vmb_port_endpoint *pep)
{
	struct vmb_channel_call call =
		make_call(VMB_CTL_OPEN, sizeof(call.request.open),
			  sizeof(call.reply.open_reply));
	const struct vmb_ctl_open_reply *reply = &call.reply.open_reply;
	int err;

	call.request.open.id = id;
	call.request.open.key = key;
	call.request.open.geometry = pep->geometry;
	call.request_fd = pass;
	call.reply_fds = fd_count;
	err = call_daemon(port, &call);
	if (err)
		return err;
	err = check_open(&call.request.open, reply);
	if (err) {
		while (fd_count)
			close(call.fds[--fd_count]);
		vmb_calls_close(port, reply->handle);
		return err;
	}
	for (unsigned i = 0; i < fd_count; i++)
		fds[i] = call.fds[i];
	pep->handle = reply->handle;
	pep->id = reply->id;
	pep->session = reply->session;
	return 0;
}

/*
 * All notifications that are there. Nothing to read is the daemon's end; so is
 * a reset, when it left something unread.
 */
static int take_notes(int fd)
{
	uint64_t notes[8];
	ssize_t n = read(fd, notes, sizeof(notes));

	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return n ? 0 : -EPIPE;
}

int vmb_calls_wait(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int err = take_notes(fd), n;

	/* who was told that it is there pays for one system call */
	if (err != -EAGAIN)
		return err;
	if (!timeout_ms)
		return -ETIMEDOUT;
	n = poll(&p, 1, timeout_ms);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ETIMEDOUT;
	err = take_notes(fd);
	/* another thread may have taken it: the caller looks again */
	return err == -EAGAIN ? 0 : err;
}

/* ---- memory ------------------------------------------------------------- */

int vmb_calls_register(struct vmb_port *port,
		       const struct vmb_ctl_register *what, int pass,
		       uint64_t *key)
{
	struct vmb_channel_call call =
		make_call(VMB_CTL_REGISTER, sizeof(call.request.reg),
			  sizeof(call.reply.reg_reply));
	struct vmb_ctl_register *reg = &call.request.reg;
	int err;

	reg->kind = what->kind;
	reg->access = what->access;
	reg->base = what->base;
	reg->len = what->len;
	call.request_fd = pass;
	err = call_daemon(port, &call);
	if (err)
		return err;
	if (call.reply.reg_reply.key >> 32 == 0) {
		vmb_error("daemon gave key %#llx, which is none",
			  (unsigned long long)call.reply.reg_reply.key);
		vmb_calls_end_key(port, call.reply.reg_reply.key);
		return -EPROTO;
	}
	*key = call.reply.reg_reply.key;
	return 0;
}

int vmb_calls_deregister(struct vmb_port *port, uint64_t key)
{
	struct vmb_channel_call call =
		make_call(VMB_CTL_DEREGISTER, sizeof(call.request.dereg),
			  sizeof(call.reply.head));

	call.request.dereg.key = key;
	return call_daemon(port, &call);
}

void vmb_calls_end_key(struct vmb_port *port, uint64_t key)
{
	/* the index alone: the rest of a key is a secret */
	warn_of_end("deregister of region", VMB_KEY_INDEX(key),
		    vmb_calls_deregister(port, key));
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

int vmb_calls_connect(struct vmb_port *port, uint64_t nic_id, uint32_t id,
		      uint32_t key, int timeout_ms, uint32_t *handle,
		      uint32_t *session)
{
	struct vmb_channel_call call = make_connect(nic_id, id, key);
	int err = vmb_channel_call(vmb_calls_channel(port), &call, timeout_ms);

	return err ? err : take_connect(&call, handle, session);
}

int vmb_calls_connect_start(struct vmb_port *port, uint64_t nic_id, uint32_t id,
			    uint32_t key, uint32_t *tag)
{
	struct vmb_channel_call call = make_connect(nic_id, id, key);

	return vmb_channel_start(vmb_calls_channel(port), &call, tag);
}

int vmb_calls_connect_poll(struct vmb_port *port, uint32_t tag,
			   uint32_t *handle, uint32_t *session)
{
	struct vmb_channel_call call;
	int err = vmb_channel_poll(vmb_calls_channel(port), tag, &call);

	return err ? err : take_connect(&call, handle, session);
}

void vmb_calls_connect_cancel(struct vmb_port *port, uint32_t tag)
{
	vmb_channel_cancel(vmb_calls_channel(port), tag);
}

/* ---- lanes -------------------------------------------------------------- */

int vmb_calls_lane_start(struct vmb_port *port, const struct vmb_ctl_lane *what,
			 unsigned fds, unsigned fds_more, uint32_t *tag)
{
	struct vmb_channel_call call =
		make_call(VMB_CTL_LANE, sizeof(call.request.lane),
			  sizeof(call.reply.lane));
	struct vmb_ctl_head head = call.request.head;

	call.request.lane = *what;
	call.request.head = head;
	call.reply_fds = fds;
	call.reply_fds_more = fds_more;
	return vmb_channel_start(vmb_calls_channel(port), &call, tag);
}

void vmb_calls_lane_cancel(struct vmb_port *port, uint32_t tag)
{
	vmb_channel_cancel(vmb_calls_channel(port), tag);
}

static bool is_lane_size(uint32_t value, uint32_t min, uint32_t max)
{
	return vmb_is_pow2(value) && value >= min && value <= max;
}

/* Is it an answer to that? Memory is made and mapped by what it says. */
static int check_lane(const struct vmb_ctl_lane *asked,
		      const struct vmb_ctl_lane *reply)
{
	bool same = reply->kind == asked->kind &&
		    reply->handle == asked->handle &&
		    reply->peer == asked->peer &&
		    (asked->kind == VMB_LANE_ACCEPT
			     ? reply->ticket == asked->ticket
			     : reply->slots == asked->slots &&
				       reply->bytes == asked->bytes);

	if (same && !reply->reserved_1a0 &&
	    reply->guest <= VMB_LANE_SAME_GUEST &&
	    is_lane_size(reply->slots, VMB_LANE_SLOTS_MIN,
			 VMB_LANE_SLOTS_MAX) &&
	    is_lane_size(reply->bytes, VMB_LANE_BYTES_MIN, VMB_LANE_BYTES_MAX))
		return 0;
	vmb_error("daemon answered lane request %u of %#x and %#x with %u of "
		  "%#x and %#x, %u slots, %u bytes, guest %#x",
		  asked->kind, asked->handle, asked->peer, reply->kind,
		  reply->handle, reply->peer, reply->slots, reply->bytes,
		  reply->guest);
	return -EPROTO;
}

/*
 * Whichever of the two is right: if there is a lane of ours now, it is that of
 * this ticket. If there is none, the daemon says so.
 */
static void refuse_lane(struct vmb_port *port, const struct vmb_ctl_lane *asked,
			const struct vmb_ctl_lane *reply, const int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (asked->kind == VMB_LANE_OFFER || reply->kind == VMB_LANE_OFFER)
		vmb_calls_lane_close(port, reply->ticket, 0);
}

int vmb_calls_lane_poll(struct vmb_port *port, uint32_t tag,
			struct vmb_port_lane *lane, struct vmb_ctl_lane *reply,
			int fds[2])
{
	struct vmb_channel_call call;
	int err = vmb_channel_poll(vmb_calls_channel(port), tag, &call);

	if (err)
		return err;
	fds[0] = call.reply_fds ? call.fds[0] : -1;
	fds[1] = call.reply_fds_more ? call.fds[1] : -1;
	*reply = call.reply.lane;
	err = check_lane(&call.request.lane, reply);
	if (err) {
		refuse_lane(port, &call.request.lane, reply, fds);
		return err;
	}
	lane->slots = reply->slots;
	lane->bytes = reply->bytes;
	lane->ticket = reply->ticket;
	return 0;
}

void vmb_calls_lane_failed(struct vmb_port *port,
			   const struct vmb_ctl_lane *answer)
{
	if (answer->kind == VMB_LANE_OFFER)
		vmb_calls_lane_close(port, answer->ticket, 0);
}

void vmb_calls_lane_close(struct vmb_port *port, uint64_t ticket,
			  uint32_t reason)
{
	struct vmb_channel_call call =
		make_call(VMB_CTL_LANE, sizeof(call.request.lane),
			  sizeof(call.reply.lane));

	call.request.lane.kind = VMB_LANE_CLOSE;
	call.request.lane.ticket = ticket;
	call.request.lane.reason = reason;
	vmb_channel_post(vmb_calls_channel(port), &call);
}

/* ---- names -------------------------------------------------------------- */

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

int vmb_calls_lookup(struct vmb_port *port, uint32_t kind, uint32_t handle,
		     struct vmb_port_identity *who)
{
	struct vmb_channel_call call =
		make_call(VMB_CTL_LOOKUP, sizeof(call.request.lookup),
			  sizeof(call.reply.lookup));
	const struct vmb_ctl_lookup *reply = &call.reply.lookup;
	int err;

	err = make_lookup(&call.request.lookup, kind, handle, who);
	if (!err)
		err = call_daemon(port, &call);
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
