// SPDX-License-Identifier: BSD-2-Clause
/*
 * receive.c - irecv and arrivals: where a message and its receive meet.
 *
 * Flow:  am -> on_eager, on_eager_sync, on_rts -> posted set -> deliver
 *                                              -> unexpected.c
 *        api -> vmb_msg_irecv() -> unexpected queue -> deliver
 *                               -> posted set
 * Owns:  the posted receives, through match.c.
 * Trust: lengths and offsets of an announcement are bounded here, before
 *        anything is done with them.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "msg/state.h"

/* ---- memory of a receive ---------------------------------------------------- */

uint64_t vmb_receive_room(const struct vmb_req *req)
{
	uint64_t room = 0;

	for (unsigned i = 0; i < req->segment_count; i++)
		room += req->segments[i].len;
	return room;
}

void vmb_receive_scatter(const struct vmb_req *req, uint64_t at,
			 const void *data, size_t len)
{
	const char *from = data;

	for (unsigned i = 0; len; i++) {
		const struct vmb_segment *s = &req->segments[i];
		size_t n;

		if (at >= s->len) {
			at -= s->len;
			continue;
		}
		n = vmb_min(len, s->len - at);
		memcpy((char *)s->ptr + at, from, n);
		from += n;
		len -= n;
		at = 0;
	}
}

/* ---- delivery ------------------------------------------------------------------ */

static inline uint64_t copy_out(const struct vmb_req *req, const void *data,
				uint64_t len)
{
	if (vmb_likely(req->segment_count == 1)) {
		len = vmb_min(len, req->one.len);
		vmb_copy_short(req->one.ptr, data, len);
	} else {
		len = vmb_min(len, vmb_receive_room(req));
		vmb_receive_scatter(req, 0, data, len);
	}
	return len;
}

static inline void note_source(struct vmb_req *req, const struct vmb_peer *peer,
			       uint64_t match, uint64_t len)
{
	req->handle = peer->handle;
	req->match = match;
	req->msg_len = len;
}

/* Its end, which nobody else has to know. */
static inline void deliver_eager(struct vmb_msg *msg, struct vmb_req *req,
				 const void *data, uint64_t len)
{
	uint64_t taken = copy_out(req, data, len);

	vmb_req_complete_matched(msg, req, taken < len ? -EMSGSIZE : 0, taken);
}

static void deliver_sync(struct vmb_msg *msg, struct vmb_req *req,
			 const struct vmb_incoming *in)
{
	uint64_t taken = in->code ? 0 : copy_out(req, in->data, in->len);
	int code = taken < in->len ? -EMSGSIZE : 0;

	vmb_receive_end(msg, req, VMB_MSG_ACK, in->code ? in->code : code,
			taken);
}

void vmb_receive_deliver(struct vmb_msg *msg, struct vmb_req *req,
			 const struct vmb_incoming *in)
{
	note_source(req, in->mp->peer, in->match, in->len);
	if (in->id == VMB_MSG_EAGER && !in->code) {
		deliver_eager(msg, req, in->data, in->len);
		return;
	}
	if (in->id == VMB_MSG_EAGER) {
		vmb_req_complete_matched(msg, req, in->code, 0);
		return;
	}
	req->state = VMB_REQ_MATCHED;
	req->mp = in->mp;
	req->recv = (struct vmb_msg_recv){.msg = msg, .number = in->number};
	req->recv.refs = &req->recv.one;
	vmb_list_init(&req->recv.reply.node);
	vmb_list_append(&in->mp->active, &req->link);
	if (in->id == VMB_MSG_RTS)
		vmb_fetch_start(msg, req, in);
	else
		deliver_sync(msg, req, in);
}

static uint32_t wire_code(int code)
{
	if (!code || code == -EMSGSIZE)
		return VMB_WIRE_OK;
	return code == -ENOBUFS ? VMB_WIRE_NO_ROOM : VMB_WIRE_FAULT;
}

void vmb_receive_end(struct vmb_msg *msg, struct vmb_req *req, unsigned id,
		     int code, uint64_t moved)
{
	struct vmb_reply *reply = &req->recv.reply;

	reply->id = (uint8_t)id;
	reply->hdr = req->recv.number;
	reply->body.end = (struct vmb_wire_end){
		.moved = moved,
		.code = wire_code(code),
	};
	req->code = code;
	req->xfer_len = moved;
	req->state = VMB_REQ_REPLYING;
	vmb_msg_peer_reply(msg, req->mp, reply);
}

void vmb_receive_replied(struct vmb_msg *msg, struct vmb_req *req, int rc)
{
	if (req->state == VMB_REQ_REPLYING)
		/* what was received stays so if the sender is gone */
		vmb_req_complete(msg, req, req->code, req->xfer_len);
	else if (rc) /* an older instance of it has announced the message */
		vmb_req_complete(msg, req, rc == -ESTALE ? -ECONNRESET : rc, 0);
	else
		req->state = VMB_REQ_RECEIVING;
}

/* ---- the application ------------------------------------------------------------- */

int vmb_msg_irecv(struct vmb_msg *msg, const struct vmb_segment *segments,
		  unsigned count, size_t len, uint64_t match, uint64_t mask,
		  void *context, struct vmb_req **out)
{
	struct vmb_unexpected *u;
	struct vmb_req *req;

	if (msg->am->error)
		return msg->am->error;
	req = vmb_req_alloc(msg, VMB_REQ_RECV);
	if (!req)
		return -ENOMEM;
	if (vmb_req_set_segments(req, segments, count, len)) {
		vmb_req_free(msg, req);
		return -ENOMEM;
	}
	req->context = context;
	req->forgotten = !out;
	if (out)
		*out = req;
	u = vmb_unexpected_take(msg, match, mask);
	if (u) {
		vmb_receive_deliver(msg, req, &u->in);
		vmb_unexpected_free(msg, u);
	} else {
		req->state = VMB_REQ_POSTED;
		req->match = match;
		vmb_postedset_insert(&msg->posted, &req->posted, match, mask);
	}
	return 0;
}

/* ---- arrivals ----------------------------------------------------------------------- */

bool vmb_receive_match(struct vmb_msg *msg, const struct vmb_incoming *in)
{
	struct vmb_posted *p = vmb_postedset_take(&msg->posted, in->match);

	if (!p)
		return false;
	vmb_receive_deliver(msg, vmb_container_of(p, struct vmb_req, posted),
			    in);
	return true;
}

static bool find_sender(struct vmb_msg *msg, const struct vmb_am_arrival *a,
			struct vmb_incoming *in)
{
	in->match = a->hdr;
	in->mp = vmb_msg_peer_get(msg, a->peer);
	if (vmb_likely(in->mp))
		return true;
	/* no way to answer, no way to keep it */
	vmb_error("endpoint %u: no memory for a new peer", msg->am->pep.id);
	vmb_am_fail(msg->am, -EIO);
	return false;
}

static void arrive(struct vmb_msg *msg, const struct vmb_am_arrival *a,
		   struct vmb_incoming *in)
{
	if (!find_sender(msg, a, in))
		return;
	if (vmb_receive_match(msg, in))
		msg->counters.expected++;
	else
		vmb_unexpected_arrive(msg, in);
}

static void eager_unexpected(struct vmb_msg *msg,
			     const struct vmb_am_arrival *a)
{
	struct vmb_incoming in = {
		.id = VMB_MSG_EAGER,
		.len = a->len,
		.data = a->data,
	};

	if (find_sender(msg, a, &in))
		vmb_unexpected_arrive(msg, &in);
}

/* Most messages: all in this function when a receive waits for it. */
void vmb_receive_on_eager(struct vmb_am *am, const struct vmb_am_arrival *a,
			  void *arg)
{
	struct vmb_msg *msg = arg;
	struct vmb_posted *p = vmb_postedset_take(&msg->posted, a->hdr);
	struct vmb_req *req;

	(void)am;
	if (vmb_unlikely(!p)) {
		eager_unexpected(msg, a);
		return;
	}
	msg->counters.expected++;
	req = vmb_container_of(p, struct vmb_req, posted);
	note_source(req, a->peer, a->hdr, a->len);
	deliver_eager(msg, req, a->data, a->len);
}

void vmb_receive_on_eager_sync(struct vmb_am *am,
			       const struct vmb_am_arrival *a, void *arg)
{
	struct vmb_incoming in = {.id = VMB_MSG_EAGER_SYNC};
	struct vmb_wire_sync head;

	(void)am;
	if (a->len < sizeof(head)) {
		vmb_msg_nonsense(arg);
		return;
	}
	memcpy(&head, a->data, sizeof(head));
	in.number = head.number;
	in.len = a->len - sizeof(head);
	in.data = (const char *)a->data + sizeof(head);
	arrive(arg, a, &in);
}

static void on_announced(const struct vmb_am_arrival *a, bool direct, void *arg)
{
	struct vmb_incoming in = {.id = VMB_MSG_RTS, .direct = direct};
	struct vmb_wire_rts rts;

	if (a->len == sizeof(rts))
		memcpy(&rts, a->data, sizeof(rts));
	if (a->len != sizeof(rts) || rts.len > VMB_MESSAGE_MAX ||
	    rts.offset > UINT64_MAX - rts.len) {
		vmb_msg_nonsense(arg);
		return;
	}
	in.number = rts.number;
	in.len = rts.len;
	in.key = rts.key;
	in.offset = rts.offset;
	arrive(arg, a, &in);
}

void vmb_receive_on_rts(struct vmb_am *am, const struct vmb_am_arrival *a,
			void *arg)
{
	(void)am;
	on_announced(a, false, arg);
}

void vmb_receive_on_rts_direct(struct vmb_am *am,
			       const struct vmb_am_arrival *a, void *arg)
{
	(void)am;
	on_announced(a, true, arg);
}
