// SPDX-License-Identifier: BSD-2-Clause
/*
 * send.c - isend and issend: choose a protocol, and the eager ones.
 *
 * Flow:  api -> vmb_msg_isend() -> EAGER | EAGER_SYNC | announce.c
 *        peer -> ACK -> the synchronous send ends
 * Owns:  nothing; requests wait in the lists of peer.c.
 * Trust: arguments were checked by api; an ACK is a peer's word about its own
 *        request only, and no larger than the message.
 */
#include <errno.h>
#include <string.h>

#include "msg/state.h"

static unsigned choose(const struct vmb_msg *msg, const struct vmb_peer *peer,
		       size_t len, bool synchronous)
{
	if (synchronous)
		return len <= msg->sync_max ? VMB_MSG_EAGER_SYNC : VMB_MSG_RTS;
	if (len <= msg->config.eager_max ||
	    (peer->lane_on && len <= msg->config.lane_eager_max))
		return VMB_MSG_EAGER;
	return VMB_MSG_RTS;
}

/* Has no end yet: it waits for room, or for the peer. */
static int begin(struct vmb_msg *msg, struct vmb_msg_peer *mp, unsigned id,
		 const struct vmb_segment *segments, unsigned count, size_t len,
		 uint64_t match, void *context, struct vmb_req **out)
{
	struct vmb_req *req = vmb_req_alloc(msg, VMB_REQ_SEND);

	if (vmb_req_set_segments(req, segments, count, len)) {
		vmb_req_free(msg, req);
		return -ENOMEM;
	}
	req->mp = mp;
	req->handle = mp->peer->handle;
	req->match = match;
	req->context = context;
	req->msg_len = len;
	req->id = (uint8_t)id;
	req->state = VMB_REQ_PENDING;
	req->send.registered = req->send.direct = false;
	req->forgotten = !out;
	if (out)
		*out = req;
	vmb_timer_set(msg, req, msg->timeout_ns);
	vmb_list_append(&mp->pending, &req->link);
	vmb_list_init(&req->send.node);
	vmb_list_append(&mp->sends, &req->send.node);
	vmb_msg_peer_begin(msg, mp);
	return 0;
}

/*
 * Eager, and nothing before it: straight from the caller's segments, and over
 * with the call. The request, if one is wanted, is made when it has ended.
 */
int vmb_msg_isend(struct vmb_msg *msg, const struct vmb_segment *segments,
		  unsigned count, size_t len, struct vmb_peer *peer,
		  uint64_t match, bool synchronous, void *context,
		  struct vmb_req **out)
{
	struct vmb_msg_peer *mp = vmb_msg_peer_get(msg, peer);
	unsigned id = choose(msg, peer, len, synchronous);
	int rc = -EAGAIN;

	if (vmb_unlikely(msg->am->error))
		return msg->am->error;
	if (vmb_unlikely(!mp || !vmb_req_reserve(msg)))
		return -ENOMEM;
	if (vmb_likely(id == VMB_MSG_EAGER && vmb_list_empty(&mp->pending)))
		rc = vmb_msg_peer_post(msg, mp, id, match, segments, count,
				       len);
	if (rc == -EAGAIN)
		return begin(msg, mp, id, segments, count, len, match, context,
			     out);
	msg->counters.eager += !rc;
	if (out)
		*out = vmb_req_ended(msg, peer->handle, rc, match, len,
				     context);
	return 0;
}

/* The number goes before the data. */
static int post_sync(struct vmb_msg *msg, struct vmb_req *req)
{
	struct vmb_wire_sync head = {.number = vmb_req_number(req)};
	struct vmb_segment with_head[VMB_SEGMENTS_MAX + 1] = {
		{&head, sizeof(head)},
	};

	memcpy(&with_head[1], req->segments,
	       req->segment_count * sizeof(with_head[0]));
	return vmb_msg_peer_post(msg, req->mp, VMB_MSG_EAGER_SYNC, req->match,
				 with_head, req->segment_count + 1,
				 sizeof(head) + req->msg_len);
}

int vmb_send_start(struct vmb_msg *msg, struct vmb_req *req)
{
	int rc;

	if (req->id == VMB_MSG_RTS)
		return vmb_announce_start(msg, req);
	if (req->id == VMB_MSG_EAGER_SYNC)
		rc = post_sync(msg, req);
	else
		rc = vmb_msg_peer_post(msg, req->mp, VMB_MSG_EAGER, req->match,
				       req->segments, req->segment_count,
				       req->msg_len);
	if (rc)
		return rc;
	msg->counters.eager++;
	if (req->id == VMB_MSG_EAGER)
		vmb_req_complete(msg, req, 0, req->msg_len);
	else
		vmb_req_await(req, VMB_REQ_SYNC);
	return 0;
}

void vmb_send_on_end(struct vmb_msg *msg, const struct vmb_am_arrival *a,
		     bool (*may_end)(const struct vmb_req *req))
{
	static const int codes[VMB_WIRE_CODES] = {
		[VMB_WIRE_OK] = 0,
		[VMB_WIRE_FAULT] = -EFAULT,
		[VMB_WIRE_NO_ROOM] = -ENOBUFS,
	};
	struct vmb_wire_end end;
	struct vmb_req *req = NULL;
	int code;

	if (a->len == sizeof(end) && a->peer->msg) {
		memcpy(&end, a->data, sizeof(end));
		req = vmb_req_find(msg, a->hdr, a->peer->msg);
	}
	if (!req || !may_end(req) || end.code >= VMB_WIRE_CODES ||
	    end.reserved_60 || end.moved > req->msg_len) {
		vmb_msg_nonsense(msg);
		return;
	}
	code = codes[end.code];
	if (!code && end.moved < req->msg_len)
		code = -EMSGSIZE;
	vmb_req_complete(msg, req, code, end.moved);
}

static bool waits_for_ack(const struct vmb_req *req)
{
	return req->state == VMB_REQ_SYNC;
}

void vmb_send_on_ack(struct vmb_am *am, const struct vmb_am_arrival *a,
		     void *arg)
{
	(void)am;
	vmb_send_on_end(arg, a, waits_for_ack);
}
