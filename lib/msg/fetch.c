// SPDX-License-Identifier: BSD-2-Clause
/*
 * fetch.c - the receiver's side of a rendezvous.
 *
 * Flow:  receive.c -> GET from the sender's memory into ours -> FIN
 *        or, when one side cannot be reached, CTS -> DATA ... DATA -> FIN
 *        or, through a lane, both sides copy: share.c
 * Owns:  the registrations of the receive buffer while the NIC writes there.
 * Trust: the announcement's key and offset are checked by the engine, its
 *        length was by receive.c; DATA must fit what was asked for. A request
 *        never ends while a GET may still write to its memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "msg/state.h"

/* ---- registrations --------------------------------------------------------- */

static void put_refs(struct vmb_msg *msg, struct vmb_req *req)
{
	struct vmb_msg_recv *recv = &req->recv;

	while (recv->ref_count)
		vmb_regcache_put(msg->config.regcache,
				 &recv->refs[--recv->ref_count]);
	if (recv->refs != &recv->one)
		free(recv->refs);
	recv->refs = &recv->one;
}

void vmb_fetch_release(struct vmb_msg *msg, struct vmb_req *req)
{
	struct vmb_msg_recv *recv = &req->recv;

	vmb_share_stop(msg, req);
	put_refs(msg, req);
	if (recv->announced.indexed)
		vmb_index_remove(&req->mp->announced, &recv->announced.node);
	recv->announced.indexed = false;
	vmb_list_remove(&recv->reply.node);
}

/* Those segments that the message will reach. */
static bool get_refs(struct vmb_msg *msg, struct vmb_req *req)
{
	struct vmb_msg_recv *recv = &req->recv;
	uint64_t left = recv->want;

	if (req->segment_count > VMB_MSG_FETCH_SEGMENTS)
		return false;
	if (req->segment_count > 1) {
		recv->refs = calloc(req->segment_count, sizeof(*recv->refs));
		if (!recv->refs) {
			recv->refs = &recv->one;
			return false;
		}
	}
	for (unsigned i = 0; left; i++) {
		const struct vmb_segment *s = &req->segments[i];
		size_t len = vmb_min(left, s->len);

		if (vmb_regcache_get(msg->config.regcache, s->ptr, len,
				     &recv->refs[i])) {
			put_refs(msg, req);
			return false;
		}
		recv->ref_count++;
		left -= len;
	}
	return true;
}

/* ---- GET ---------------------------------------------------------------------- */

void vmb_fetch_clear_to_send(struct vmb_msg *msg, struct vmb_req *req,
			     bool direct)
{
	struct vmb_msg_recv *recv = &req->recv;

	recv->got = 0;
	recv->reply.id = VMB_MSG_CTS;
	recv->reply.hdr = recv->number;
	recv->reply.body.cts = (struct vmb_wire_cts){
		.number = vmb_req_number(req),
		.want = recv->want,
		.denied = direct && vmb_direct_is_denied(req->mp->peer),
	};
	req->state = VMB_REQ_CLEARING;
	vmb_msg_peer_reply(msg, req->mp, &recv->reply);
}

void vmb_fetch_end(struct vmb_msg *msg, struct vmb_req *req)
{
	vmb_receive_end(msg, req, VMB_MSG_FIN,
			req->recv.want < req->msg_len ? -EMSGSIZE : 0,
			req->recv.want);
}

/* The NIC has let go of the memory; what now? */
static void gets_ended(struct vmb_msg *msg, struct vmb_req *req)
{
	struct vmb_msg_recv *recv = &req->recv;

	put_refs(msg, req);
	if (recv->abort)
		vmb_req_complete(msg, req, recv->abort, 0);
	else if (!recv->get_error)
		vmb_fetch_end(msg, req);
	else if (recv->get_error == -EFAULT || recv->get_error == -ENOMEM)
		/* one side's memory is out of the engine's reach, or there is
		 * none to ask it: both sides can still copy by themselves */
		vmb_fetch_clear_to_send(msg, req, false);
	else if (recv->get_error == -ECONNRESET)
		vmb_req_complete(msg, req, -ECONNRESET, 0);
	else
		vmb_receive_end(msg, req, VMB_MSG_FIN, -EFAULT, 0);
}

static void get_done(struct vmb_am *am, int code, uint64_t moved, void *arg)
{
	struct vmb_req *req = arg;

	(void)am;
	(void)moved;
	/* not so: the endpoint failed, which ended the request before */
	if (req->state != VMB_REQ_FETCHING)
		return;
	if (code && !req->recv.get_error)
		req->recv.get_error = code;
	if (!--req->recv.gets)
		gets_ended(req->recv.msg, req);
}

/* One GET for each segment; the engine cuts long ones into quanta. */
static void issue_gets(struct vmb_msg *msg, struct vmb_req *req,
		       const struct vmb_incoming *in)
{
	struct vmb_msg_recv *recv = &req->recv;
	uint64_t at = 0;

	req->state = VMB_REQ_FETCHING;
	recv->gets = 1; /* ours, until all are issued */
	for (unsigned i = 0; at < recv->want && !recv->get_error; i++) {
		struct vmb_slot_rdma get = {
			.local_key = recv->refs[i].key,
			.local_offset = recv->refs[i].offset,
			.remote_key = in->key,
			.remote_offset = in->offset + at,
			.len = vmb_min(recv->want - at, req->segments[i].len),
		};
		int rc = vmb_am_rdma(msg->am, VMB_OP_GET, req->mp->peer, &get,
				     get_done, req, VMB_AM_QUEUE);

		at += get.len;
		if (rc)
			recv->get_error = rc;
		else
			recv->gets++;
	}
	if (!--recv->gets)
		gets_ended(msg, req);
}

void vmb_fetch_start(struct vmb_msg *msg, struct vmb_req *req,
		     const struct vmb_incoming *in)
{
	struct vmb_msg_recv *recv = &req->recv;

	recv->want = vmb_min(in->len, vmb_receive_room(req));
	if (!recv->want) {
		vmb_fetch_end(msg, req);
		return;
	}
	recv->announced.req = req;
	recv->announced.indexed = true;
	vmb_index_insert(&in->mp->announced, &recv->announced.node,
			 recv->number);
	if (in->direct && vmb_share_start(msg, req, in))
		return;
	if (!in->direct && in->key != VMB_KEY_NONE && get_refs(msg, req))
		issue_gets(msg, req, in);
	else
		vmb_fetch_clear_to_send(msg, req, in->direct);
}

/* ---- the end by others ----------------------------------------------------------- */

void vmb_fetch_abort(struct vmb_msg *msg, struct vmb_req *req, int code)
{
	struct vmb_msg_recv *recv = &req->recv;

	if (req->state != VMB_REQ_FETCHING) {
		vmb_req_complete(msg, req, code, 0);
		return;
	}
	/* get_done() comes for each GET, whatever becomes of the peer */
	recv->abort = code;
	vmb_index_remove(&req->mp->announced, &recv->announced.node);
	recv->announced.indexed = false;
	vmb_list_remove(&req->link);
	req->mp = NULL;
}

void vmb_fetch_on_data(struct vmb_am *am, const struct vmb_am_arrival *a,
		       void *arg)
{
	struct vmb_msg *msg = arg;
	struct vmb_req *req = NULL;

	(void)am;
	if (a->peer->msg)
		req = vmb_req_find(msg, a->hdr, a->peer->msg);
	if (!req || req->state != VMB_REQ_RECEIVING || !a->len ||
	    a->len > req->recv.want - req->recv.got) {
		vmb_msg_nonsense(msg);
		return;
	}
	vmb_receive_scatter(req, req->recv.got, a->data, a->len);
	req->recv.got += a->len;
	if (req->recv.got == req->recv.want)
		vmb_fetch_end(msg, req);
}

/* The sender gave up: its memory is its own again. */
void vmb_fetch_on_abort(struct vmb_am *am, const struct vmb_am_arrival *a,
			void *arg)
{
	struct vmb_msg_peer *mp = a->peer->msg;
	struct vmb_index_node *node = NULL;
	struct vmb_announced *announced;
	struct vmb_msg *msg = arg;

	(void)am;
	if (mp && !a->len)
		node = vmb_index_find(&mp->announced, a->hdr);
	if (!node) {
		vmb_msg_nonsense(msg); /* or it came too late */
		return;
	}
	announced = vmb_container_of(node, struct vmb_announced, node);
	if (announced->req)
		vmb_fetch_abort(msg, announced->req, -ECONNABORTED);
	else
		vmb_unexpected_drop(msg, vmb_container_of(announced,
							  struct vmb_unexpected,
							  announced));
}
