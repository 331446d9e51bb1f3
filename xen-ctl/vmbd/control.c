// SPDX-License-Identifier: BSD-2-Clause
/*
 * control.c - requests of clients: shape, state, then one handler per
 * operation.
 *
 * Flow:  platform -> vmbd_control_request() -> handler -> platform reply
 * Owns:  nothing.
 * Trust: a message is input. Its length is that of its operation exactly,
 *        reserved fields are 0, attachments are as many as it needs; then the
 *        handler looks at the values. A request that is refused is answered
 *        with the head alone; a client that goes on sending what is no
 *        request at all is sent away.
 */
#include "control.h"

#include <errno.h>
#include <string.h>

#include "board.h"
#include "domain.h"
#include "endpoint.h"
#include "lane.h"
#include "name.h"
#include "region.h"

#define STRIKES_MAX 16u

/* What a handler works on. */
struct call {
	struct vmbd_client *client;
	const union vmb_ctl_any *msg;
	struct vmb_attachment *attachment;
	union vmb_ctl_any *reply; /* zeroed */
	struct vmb_gift gift;	  /* to be given with the reply */
	struct vmbd_lane *lane;	  /* whose memory that is */
};

/* ---- HELLO -------------------------------------------------------------- */

static void fill_hello(struct vmbd_client *c, struct vmb_ctl_hello_reply *r)
{
	const struct vmbd_board *board = c->domain->board;

	r->domain_id = c->domain->id;
	r->features = c->features;
	r->nic_id = board->nic_id;
	r->endpoints_max = (uint32_t)c->limits.of[VMBD_ENDPOINTS];
	r->engine_threads = c->d->options->engines;
	r->memory_max = c->limits.of[VMBD_MEMORY];
	memcpy(r->name, board->name, sizeof(r->name));
}

static int do_hello(struct call *call)
{
	const struct vmb_ctl_hello *hello = &call->msg->hello;
	struct vmbd_client *c = call->client;
	int err;

	if (c->domain) {
		vmbd_client_lied(c, VMB_CTL_HELLO, 0, "second hello");
		return -EALREADY;
	}
	if (hello->abi_major != VMB_ABI_MAJOR) {
		vmbd_client_warn(c,
				 "not admitted: it speaks version %u.%u, "
				 "the daemon %u.%u",
				 hello->abi_major, hello->abi_minor,
				 VMB_ABI_MAJOR, VMB_ABI_MINOR);
		return -EPROTO;
	}
	if (!vmbd_name_is_padded(hello->domain)) {
		vmbd_client_warn(c, "not admitted: the domain's name is not "
				    "padded with 0");
		return -EINVAL;
	}
	err = vmbd_client_admit(c, hello->domain);
	if (err)
		return err;
	c->features =
		hello->features & c->platform->ops->features(c->transport);
	call->reply->hello_reply.abi_major = VMB_ABI_MAJOR;
	call->reply->hello_reply.abi_minor =
		vmb_min(hello->abi_minor, (uint16_t)VMB_ABI_MINOR);
	fill_hello(c, &call->reply->hello_reply);
	return 0;
}

/* ---- endpoints ---------------------------------------------------------- */

static int do_open(struct call *call)
{
	struct vmb_ctl_open_reply *reply = &call->reply->open_reply;
	struct vmbd_endpoint *e;
	int err;

	err = vmbd_endpoint_open(call->client, &call->msg->open,
				 call->attachment, &e);
	if (err)
		return err;
	reply->handle = e->handle;
	reply->id = e->id;
	reply->session = e->session;
	call->gift.signal = e->signal;
	return 0;
}

static int do_close(struct call *call)
{
	struct vmbd_client *c = call->client;
	struct vmbd_endpoint *e;

	e = vmbd_endpoint_by_handle(c->d, call->msg->close.handle);
	if (!e || e->client != c) {
		vmbd_client_lied(c, VMB_CTL_CLOSE, call->msg->close.handle,
				 "close refused: handle 0x%x is not its own",
				 call->msg->close.handle);
		return -ENOENT;
	}
	vmbd_endpoint_close(e, true);
	return 0;
}

/* ---- regions ------------------------------------------------------------ */

static int do_register(struct call *call)
{
	uint64_t key = VMB_KEY_NONE;
	int err;

	err = vmbd_region_add(call->client, &call->msg->reg, call->attachment,
			      &key);
	if (err == -EINPROGRESS)
		call->client->pending = call->msg->reg;
	call->reply->reg_reply.key = key;
	return err;
}

static int do_deregister(struct call *call)
{
	struct vmbd_region *region;

	region = vmbd_region_by_key(call->client, call->msg->dereg.key);
	if (!region) {
		vmbd_client_lied(call->client, VMB_CTL_DEREGISTER,
				 VMB_KEY_INDEX(call->msg->dereg.key),
				 "deregister refused: the key is not its own");
		return -ENOENT;
	}
	vmbd_region_remove(region);
	return 0;
}

/* ---- peers -------------------------------------------------------------- */

static bool sees_board(const struct vmbd_client *c,
		       const struct vmbd_board *board)
{
	return board && (c->limits.of[VMBD_PEERS] || board == c->domain->board);
}

/* Wrong guesses are no fault of the client: they are answered, not logged. */
static int do_connect(struct call *call)
{
	const struct vmb_ctl_connect *request = &call->msg->connect;
	struct vmb_ctl_connect_reply *reply = &call->reply->connect_reply;
	struct vmbd_client *c = call->client;
	struct vmbd_board *board;
	struct vmbd_endpoint *e;

	board = vmbd_board_by_nic(c->d, request->nic_id);
	if (!sees_board(c, board))
		return -ENXIO;
	if (request->id > VMB_ID_MAX)
		return -EINVAL;
	e = vmbd_board_endpoint(board, request->id);
	if (!vmbd_client_sees(c, e))
		return -ECONNREFUSED;
	if (e->key != request->key)
		return -EKEYREJECTED;
	vmb_nic_domain_allow(c->domain->nic, e->nic);
	reply->handle = e->handle;
	reply->session = e->session;
	return 0;
}

/* A kind that there is, and the fields that it does not use are 0. */
static bool is_plain_lookup(const struct vmb_ctl_lookup *l)
{
	static const char no_name[VMB_NAME_BYTES];

	if (l->kind < VMB_LOOKUP_NAME || l->kind > VMB_LOOKUP_HANDLE)
		return false;
	if (l->id || l->session)
		return false;
	if (l->kind != VMB_LOOKUP_NIC && l->nic_id)
		return false;
	if (l->kind != VMB_LOOKUP_HANDLE && l->handle)
		return false;
	return l->kind == VMB_LOOKUP_NAME
		       ? vmbd_name_is_padded(l->name)
		       : !memcmp(l->name, no_name, sizeof(no_name));
}

/* Of one that has left no more and no less is told, and to the same. */
static int lookup_handle(struct vmbd_client *c, uint32_t handle,
			 struct vmb_ctl_lookup *reply)
{
	struct vmbd_identity who;
	int err;

	err = vmbd_endpoint_identify(c->d, handle, &who);
	if (err || !vmbd_client_sees_domain(c, who.domain))
		return -ENOENT;
	reply->handle = handle;
	reply->id = who.id;
	reply->session = who.session;
	reply->nic_id = who.nic_id;
	memcpy(reply->name, who.name, sizeof(reply->name));
	return 0;
}

static int lookup_board(struct vmbd_client *c,
			const struct vmb_ctl_lookup *request,
			struct vmb_ctl_lookup *reply)
{
	const struct vmbd_board *board;

	if (request->kind == VMB_LOOKUP_NAME)
		board = vmbd_board_by_name(c->d, request->name,
					   c->domain->board);
	else
		board = vmbd_board_by_nic(c->d, request->nic_id);
	if (!sees_board(c, board))
		return -ENOENT;
	reply->nic_id = board->nic_id;
	memcpy(reply->name, board->name, sizeof(reply->name));
	return 0;
}

static int do_lookup(struct call *call)
{
	const struct vmb_ctl_lookup *request = &call->msg->lookup;
	struct vmb_ctl_lookup *reply = &call->reply->lookup;
	struct vmbd_client *c = call->client;

	if (!is_plain_lookup(request)) {
		vmbd_client_lied(c, VMB_CTL_LOOKUP, request->kind,
				 "lookup refused: kind %u, or unused fields "
				 "are not 0",
				 request->kind);
		return -EINVAL;
	}
	reply->kind = request->kind;
	if (request->kind == VMB_LOOKUP_HANDLE)
		return lookup_handle(c, request->handle, reply);
	return lookup_board(c, request, reply);
}

static int do_lane(struct call *call)
{
	int err = vmbd_lane_request(call->client, &call->msg->lane,
				    &call->reply->lane, &call->lane);
	const struct vmbd_client *other;

	if (err || !call->lane)
		return err;
	call->gift.lane = call->lane->memory;
	other = vmbd_endpoint_by_handle(call->client->d, call->msg->lane.peer)
			->client;
	if (call->client->features & other->features & VMB_FEATURE_PEER_PROCESS)
		call->gift.process_of = other->transport;
	return err;
}

/* ---- the table ---------------------------------------------------------- */

static const struct operation {
	const char *name;
	int (*handle)(struct call *call);
	size_t request_len, reply_len;
	size_t reserved_at; /* a 32-bit field that is 0; 0: there is none */
} operations[] = {
	[VMB_CTL_HELLO] = {"hello", do_hello, sizeof(struct vmb_ctl_hello),
			   sizeof(struct vmb_ctl_hello_reply),
			   offsetof(struct vmb_ctl_hello, reserved_a0)},
	[VMB_CTL_OPEN] = {"open", do_open, sizeof(struct vmb_ctl_open),
			  sizeof(struct vmb_ctl_open_reply),
			  offsetof(struct vmb_ctl_open, geometry.reserved_60)},
	[VMB_CTL_CLOSE] = {"close", do_close, sizeof(struct vmb_ctl_close),
			   sizeof(struct vmb_ctl_head),
			   offsetof(struct vmb_ctl_close, reserved_a0)},
	[VMB_CTL_REGISTER] = {"register", do_register,
			      sizeof(struct vmb_ctl_register),
			      sizeof(struct vmb_ctl_register_reply), 0},
	[VMB_CTL_DEREGISTER] = {"deregister", do_deregister,
				sizeof(struct vmb_ctl_deregister),
				sizeof(struct vmb_ctl_head), 0},
	[VMB_CTL_CONNECT] = {"connect", do_connect,
			     sizeof(struct vmb_ctl_connect),
			     sizeof(struct vmb_ctl_connect_reply), 0},
	[VMB_CTL_LOOKUP] = {"lookup", do_lookup, sizeof(struct vmb_ctl_lookup),
			    sizeof(struct vmb_ctl_lookup), 0},
	[VMB_CTL_LANE] = {"lane", do_lane, sizeof(struct vmb_ctl_lane),
			  sizeof(struct vmb_ctl_lane),
			  offsetof(struct vmb_ctl_lane, reserved_1a0)},
};

static const struct operation *operation_of(const union vmb_ctl_any *msg)
{
	uint32_t op = msg->head.op;

	if (op >= vmb_array_size(operations) || !operations[op].handle)
		return NULL;
	return &operations[op];
}

const char *vmbd_control_name(uint32_t op)
{
	if (op >= vmb_array_size(operations) || !operations[op].handle)
		return "none";
	return operations[op].name;
}

unsigned vmbd_control_attachments(const struct vmbd_client *c,
				  const union vmb_ctl_any *msg, size_t len)
{
	const struct operation *operation = operation_of(msg);

	if (!c->domain || !operation || len != operation->request_len)
		return 0;
	return msg->head.op == VMB_CTL_OPEN ||
	       (msg->head.op == VMB_CTL_REGISTER &&
		vmbd_region_is_attached(c, msg->reg.kind));
}

/* Is this a request at all? 0, or -errno and what is wrong with it. */
static int check_shape(const struct operation *operation,
		       const struct vmb_platform_request *r, const char **what)
{
	uint32_t reserved = 0;

	if (r->len < sizeof(r->msg->head)) {
		*what = "shorter than a head";
		return -EBADMSG;
	}
	if (!operation) {
		*what = "unknown operation";
		return -ENOSYS;
	}
	if (r->len != operation->request_len || r->msg->head.len != r->len) {
		*what = "wrong length";
		return -EBADMSG;
	}
	if (operation->reserved_at)
		memcpy(&reserved, (const char *)r->msg + operation->reserved_at,
		       sizeof(reserved));
	if (r->msg->head.status || reserved) {
		*what = "a reserved field is not 0";
		return -EINVAL;
	}
	return 0;
}

static int check_attachments(struct vmbd_client *c,
			     const struct vmb_platform_request *r,
			     const char **what)
{
	unsigned wanted = vmbd_control_attachments(c, r->msg, r->len);

	if (r->attach_error) {
		*what = "no descriptor is left";
		return r->attach_error;
	}
	if (r->attached_more || r->attached > wanted) {
		*what = "too many descriptors";
		return -EBADF;
	}
	if (r->attached < wanted) {
		*what = "a descriptor is missing";
		return -EBADF;
	}
	return 0;
}

static int refuse(struct vmbd_client *c, const struct vmb_platform_request *r,
		  const struct operation *operation, const char *what)
{
	c->strikes++;
	if (c->domain)
		vmb_nic_fault_report(c->d->nic, c->domain->nic,
				     VMB_NIC_FAULT_REQUEST, 0, r->msg->head.op);
	vmbd_client_warn(c, "message of %zu bytes, operation %u (%s): %s",
			 r->len, r->msg->head.op,
			 operation ? operation->name : "none", what);
	return c->strikes >= STRIKES_MAX ? -EPROTO : 0;
}

static int send_reply(struct vmbd_client *c, const struct vmb_ctl_head *request,
		      int status, size_t len, union vmb_ctl_any *reply,
		      const struct vmb_gift *gift)
{
	reply->head.op = request->op;
	reply->head.tag = request->tag;
	reply->head.status = status;
	reply->head.len = (uint32_t)(status ? sizeof(reply->head) : len);
	return c->platform->ops->reply(c->transport, reply,
				       status ? NULL : gift);
}

int vmbd_control_request(struct vmbd_client *c,
			 const struct vmb_platform_request *r)
{
	const struct operation *operation = operation_of(r->msg);
	union vmb_ctl_any reply = {0};
	struct call call = {.client = c,
			    .msg = r->msg,
			    .attachment = r->attachment,
			    .reply = &reply};
	const char *what = NULL;
	int status, err, fatal = 0;

	status = check_shape(operation, r, &what);
	if (!status)
		status = check_attachments(c, r, &what);
	if (!status && !c->domain && r->msg->head.op != VMB_CTL_HELLO) {
		what = "no hello before";
		status = -ENOTCONN;
	}
	if (status && !r->attach_error)
		fatal = refuse(c, r, operation, what);
	else if (!status)
		status = operation->handle(&call);
	if (status == -EINPROGRESS)
		return 0;
	/* not admitted: told, and sent away; of a guest's process nothing is
	 * kept that has no place in the guest's limits */
	if (status && !c->domain &&
	    (c->who.guest || (r->msg->head.op == VMB_CTL_HELLO && !what)))
		fatal = status;
	err = send_reply(c, &r->msg->head, status,
			 operation ? operation->reply_len : 0, &reply,
			 &call.gift);
	if (call.lane)
		vmbd_lane_given(call.lane);
	return err ? err : fatal;
}

int vmbd_control_memory_ready(struct vmbd_client *c, int status)
{
	union vmb_ctl_any reply = {0};
	uint64_t key = VMB_KEY_NONE;

	if (status)
		vmbd_client_memory_refused(c, VMB_CTL_REGISTER, c->pending.base,
					   status);
	else
		status = vmbd_region_finish(c, &c->pending, &key);
	reply.reg_reply.key = key;
	return send_reply(c, &c->pending.head, status, sizeof(reply.reg_reply),
			  &reply, NULL);
}
