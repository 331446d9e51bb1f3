// SPDX-License-Identifier: BSD-2-Clause
/*
 * offer.c - a rendezvous without matching: the application itself carries the
 * announcement to its peer, and the peer says where it goes.
 *
 * Flow:  vmb_am_offer() -> a send that is announced, but nothing is posted
 *        vmb_am_accept() -> a receive that has met its announcement -> fetch.c
 *        from there on as any rendezvous; the end -> vmb_offers_tell()
 * Owns:  nothing; the requests are as those of isend and irecv, but nobody
 *        collects them.
 * Trust: an offer comes from the peer by way of the application: it is checked
 *        as an RTS is. One to another peer, or that is over, finds no request.
 */
#include <errno.h>

#include "msg/state.h"

static bool is_offer(const struct vmb_wire_offer *offer)
{
	return (offer->id == VMB_MSG_RTS || offer->id == VMB_MSG_RTS_DIRECT) &&
	       !offer->reserved_120 && offer->rts.len <= VMB_MESSAGE_MAX &&
	       offer->rts.offset <= UINT64_MAX - offer->rts.len;
}

/* ---- who offers ------------------------------------------------------------- */

static int find_peer(struct vmb_msg *msg, struct vmb_peer *peer,
		     struct vmb_msg_peer **mp)
{
	if (msg->am->error)
		return msg->am->error;
	if (peer->gone)
		return -ECONNRESET;
	*mp = vmb_msg_peer_get(msg, peer);
	return *mp ? 0 : -ENOMEM;
}

/* One that is known by nobody but us; one piece of memory needs no other. */
static struct vmb_req *make(struct vmb_msg *msg, enum vmb_req_kind kind,
			    void *ptr, size_t len, vmb_am_rdma_fn ended,
			    void *arg)
{
	const struct vmb_segment memory = {ptr, len};
	struct vmb_req *req = vmb_req_alloc(msg, kind);

	if (!req)
		return NULL;
	vmb_req_set_segments(req, &memory, 1, len);
	req->forgotten = true;
	req->ended = ended;
	req->context = arg;
	req->match = 0;
	return req;
}

int vmb_msg_offer(struct vmb_msg *msg, struct vmb_peer *peer,
		  struct vmb_wire_offer *offer, void *ptr, size_t len,
		  vmb_am_rdma_fn ended, void *arg)
{
	struct vmb_msg_peer *mp;
	struct vmb_req *req;
	int rc = find_peer(msg, peer, &mp);

	if (rc)
		return rc;
	req = make(msg, VMB_REQ_SEND, ptr, len, ended, arg);
	if (!req)
		return -ENOMEM;
	req->mp = mp;
	req->handle = peer->handle;
	req->msg_len = len;
	req->id = VMB_MSG_RTS;
	req->send.registered = req->send.direct = false;
	vmb_list_init(&req->send.node);
	vmb_list_append(&mp->sends, &req->send.node);
	*offer = (struct vmb_wire_offer){0};
	offer->id = vmb_announce_describe(msg, req, &offer->rts);
	msg->counters.rendezvous++;
	vmb_req_await(req, VMB_REQ_ANNOUNCED);
	return 0;
}

static struct vmb_req *find_offered(struct vmb_msg *msg, uint64_t number)
{
	uint32_t index = (uint32_t)number;
	struct vmb_req *req;

	if (index / VMB_REQ_SLAB >= msg->slab_count)
		return NULL;
	req = &msg->slabs[index / VMB_REQ_SLAB]->reqs[index % VMB_REQ_SLAB];
	return req->mp ? vmb_req_find(msg, number, req->mp) : NULL;
}

int vmb_msg_withdraw(struct vmb_msg *msg, const struct vmb_wire_offer *offer)
{
	struct vmb_req *req = NULL;

	if (is_offer(offer))
		req = find_offered(msg, offer->rts.number);
	if (!req || req->kind != VMB_REQ_SEND || !req->forgotten)
		return -EINVAL;
	vmb_announce_withdraw(msg, req, true);
	vmb_req_complete(msg, req, -ECANCELED, 0);
	return 0;
}

/* ---- who accepts ------------------------------------------------------------ */

int vmb_msg_accept(struct vmb_msg *msg, struct vmb_peer *peer,
		   const struct vmb_wire_offer *offer, void *ptr, size_t len,
		   vmb_am_rdma_fn ended, void *arg)
{
	struct vmb_incoming in = {
		.id = VMB_MSG_RTS,
		.direct = offer->id == VMB_MSG_RTS_DIRECT,
		.number = offer->rts.number,
		.len = offer->rts.len,
		.key = offer->rts.key,
		.offset = offer->rts.offset,
	};
	struct vmb_req *req;
	int rc = is_offer(offer) ? find_peer(msg, peer, &in.mp) : -EINVAL;

	if (rc)
		return rc;
	if (vmb_index_find(&in.mp->announced, in.number))
		return -EALREADY;
	req = make(msg, VMB_REQ_RECV, ptr, len, ended, arg);
	if (!req)
		return -ENOMEM;
	vmb_receive_deliver(msg, req, &in);
	return 0;
}

/* ---- the end ---------------------------------------------------------------- */

/*
 * Not where they end, which may be in the middle of a list that the
 * application changes; and its memory is its own before it is called.
 */
int vmb_offers_tell(struct vmb_msg *msg)
{
	int told = 0;

	while (!vmb_list_empty(&msg->ended)) {
		struct vmb_req *req =
			vmb_list_first(&msg->ended, struct vmb_req, link);
		vmb_am_rdma_fn ended = req->ended;
		uint64_t moved = req->xfer_len;
		void *arg = req->context;
		int code = req->code;

		vmb_list_remove(&req->link);
		req->ended = NULL;
		vmb_req_free(msg, req);
		msg->am->in_handler = true;
		ended(msg->am, code, moved, arg);
		msg->am->in_handler = false;
		told++;
	}
	return told;
}
