// SPDX-License-Identifier: BSD-2-Clause
/*
 * peer.c - what is under way with each peer, and what waits for room there.
 *
 * Flow:  send.c, fetch.c, receive.c -> post or wait -> drain at each progress
 *        am -> a peer has gone -> everything with it ends
 * Owns:  the lists of a peer, the limit on what am keeps for it.
 * Trust: who is gone is the engine's word. A peer that takes nothing holds up
 *        only what is meant for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "msg/state.h"

#define STREAM_BATCH 16	  /* DATA to one peer in one pass */
#define STREAMS_IN_TURN 8 /* the others wait */
#define COPY_BATCH 2	  /* pieces with one peer in one pass */
#define COPIES_IN_TURN 2  /* so one goes on while another meets its end */

struct vmb_msg_peer *vmb_msg_peer_get(struct vmb_msg *msg,
				      struct vmb_peer *peer)
{
	struct vmb_msg_peer *mp = peer->msg;

	if (vmb_likely(mp))
		return mp;
	mp = calloc(1, sizeof(*mp));
	if (!mp)
		return NULL;
	mp->peer = peer;
	vmb_list_init(&mp->busy);
	vmb_list_init(&mp->replies);
	vmb_list_init(&mp->pending);
	vmb_list_init(&mp->streams);
	vmb_list_init(&mp->copies);
	vmb_list_init(&mp->active);
	vmb_list_init(&mp->sends);
	vmb_list_init(&mp->unexpected);
	vmb_index_init(&mp->announced, &msg->seed);
	vmb_list_append(&msg->peers, &mp->node);
	peer->msg = mp;
	return mp;
}

static void peer_free(struct vmb_msg_peer *mp)
{
	mp->peer->msg = NULL;
	vmb_list_remove(&mp->node);
	vmb_list_remove(&mp->busy);
	vmb_index_fini(&mp->announced);
	free(mp);
}

void vmb_msg_peer_busy(struct vmb_msg *msg, struct vmb_msg_peer *mp)
{
	if (vmb_list_empty(&mp->busy))
		vmb_list_append(&msg->busy, &mp->busy);
}

/* ---- replies ----------------------------------------------------------------- */

static int post_reply(struct vmb_msg *msg, struct vmb_msg_peer *mp,
		      struct vmb_reply *reply)
{
	struct vmb_segment body = {&reply->body, sizeof(reply->body.end)};

	if (reply->id == VMB_MSG_CTS)
		body.len = reply->body.cts.denied ? sizeof(reply->body.cts)
						  : VMB_WIRE_CTS_SHORT;

	return vmb_am_post(msg->am, mp->peer, reply->id, reply->hdr, &body, 1,
			   0, body.len, VMB_AM_TRY);
}

/* It is on its way, or nobody is there to read it. */
static void reply_ended(struct vmb_msg *msg, struct vmb_reply *reply, int rc)
{
	if (reply->entry)
		vmb_unexpected_free(msg, reply->entry);
	else
		vmb_receive_replied(msg,
				    vmb_container_of(reply, struct vmb_req,
						     recv.reply),
				    rc);
}

void vmb_msg_peer_reply(struct vmb_msg *msg, struct vmb_msg_peer *mp,
			struct vmb_reply *reply)
{
	int rc = -EAGAIN;

	vmb_list_init(&reply->node);
	if (vmb_list_empty(&mp->replies))
		rc = post_reply(msg, mp, reply);
	if (rc != -EAGAIN) {
		reply_ended(msg, reply, rc);
		return;
	}
	vmb_list_append(&mp->replies, &reply->node);
	vmb_msg_peer_busy(msg, mp);
}

/* ---- drain ---------------------------------------------------------------------- */

static int drain_replies(struct vmb_msg *msg, struct vmb_msg_peer *mp)
{
	int posted = 0;

	while (!vmb_list_empty(&mp->replies)) {
		struct vmb_reply *reply =
			vmb_list_first(&mp->replies, struct vmb_reply, node);
		int rc = post_reply(msg, mp, reply);

		if (rc == -EAGAIN)
			break;
		vmb_list_remove(&reply->node);
		reply_ended(msg, reply, rc);
		posted++;
	}
	return posted;
}

static int drain_pending(struct vmb_msg *msg, struct vmb_msg_peer *mp)
{
	int posted = 0;

	while (!vmb_list_empty(&mp->pending)) {
		struct vmb_req *req =
			vmb_list_first(&mp->pending, struct vmb_req, link);
		int rc = vmb_send_start(msg, req);

		if (rc == -EAGAIN)
			break;
		if (rc)
			vmb_req_complete(msg, req, rc, 0);
		posted++;
	}
	return posted;
}

void vmb_msg_peer_begin(struct vmb_msg *msg, struct vmb_msg_peer *mp)
{
	/* behind others it waits with them */
	if (mp->pending.next == mp->pending.prev)
		drain_pending(msg, mp);
	if (vmb_list_empty(&mp->pending))
		return;
	vmb_msg_peer_busy(msg, mp);
	vmb_am_fruitless(msg->am); /* the next one hears of it */
}

void vmb_req_await(struct vmb_req *req, enum vmb_req_state state)
{
	req->state = (uint8_t)state;
	vmb_list_remove(&req->link);
	vmb_list_append(&req->mp->active, &req->link);
}

/*
 * The first few in turn, so that a long one does not hold up the others; not
 * all, or of thousands none would end before the last has nearly ended too.
 */
static void wait_for_turn(struct vmb_list *list, struct vmb_req *req,
			  int in_turn)
{
	struct vmb_list *before;

	vmb_list_remove(&req->link);
	before = list->next;
	for (int i = 1; i < in_turn && before != list; i++)
		before = before->next;
	vmb_list_append(before, &req->link);
}

static int drain_streams(struct vmb_msg *msg, struct vmb_msg_peer *mp)
{
	int posted = 0;

	while (posted < STREAM_BATCH && !vmb_list_empty(&mp->streams)) {
		struct vmb_req *req =
			vmb_list_first(&mp->streams, struct vmb_req, link);
		int rc = vmb_announce_stream(msg, req);

		if (rc == -EAGAIN)
			break;
		if (rc) {
			vmb_req_complete(msg, req, rc, 0);
		} else if (req->state == VMB_REQ_STREAMING) {
			wait_for_turn(&mp->streams, req, STREAMS_IN_TURN);
		}
		posted++;
	}
	return posted;
}

static int drain_copies(struct vmb_msg *msg, struct vmb_msg_peer *mp)
{
	int copied = 0;

	for (int i = 0; i < COPY_BATCH && !vmb_list_empty(&mp->copies); i++) {
		struct vmb_req *req =
			vmb_list_first(&mp->copies, struct vmb_req, link);

		wait_for_turn(&mp->copies, req, COPIES_IN_TURN);
		copied += vmb_share_step(msg, req) != -EAGAIN;
	}
	return copied;
}

int vmb_msg_peers_drain(struct vmb_msg *msg)
{
	struct vmb_list *l, *tmp;
	int posted = 0;

	vmb_list_each_safe (l, tmp, &msg->busy) {
		struct vmb_msg_peer *mp =
			vmb_container_of(l, struct vmb_msg_peer, busy);

		posted += drain_replies(msg, mp);
		posted += drain_pending(msg, mp);
		posted += drain_streams(msg, mp);
		posted += drain_copies(msg, mp);
		if (vmb_list_empty(&mp->replies) &&
		    vmb_list_empty(&mp->pending) &&
		    vmb_list_empty(&mp->streams) && vmb_list_empty(&mp->copies))
			vmb_list_remove(&mp->busy);
	}
	return posted;
}

/* ---- the end of a peer ------------------------------------------------------------ */

/* Whatever they wait for. */
static void fail_sends(struct vmb_msg *msg, struct vmb_msg_peer *mp, int code)
{
	while (!vmb_list_empty(&mp->sends))
		vmb_req_complete(msg,
				 vmb_list_first(&mp->sends, struct vmb_req,
						send.node),
				 code, 0);
}

static void fail_receives(struct vmb_msg *msg, struct vmb_list *list, int code)
{
	struct vmb_list *l, *tmp;

	vmb_list_each_safe (l, tmp, list) {
		struct vmb_req *req = vmb_container_of(l, struct vmb_req, link);

		if (req->state == VMB_REQ_REPLYING)
			vmb_req_complete(msg, req, req->code, req->xfer_len);
		else
			vmb_fetch_abort(msg, req, code);
	}
}

/* Answers to messages that the handler consumed; others go with requests. */
static void drop_replies(struct vmb_msg *msg, struct vmb_msg_peer *mp)
{
	struct vmb_list *l, *tmp;

	vmb_list_each_safe (l, tmp, &mp->replies) {
		struct vmb_reply *reply =
			vmb_container_of(l, struct vmb_reply, node);

		if (!reply->entry)
			continue;
		vmb_list_remove(&reply->node);
		vmb_unexpected_free(msg, reply->entry);
	}
}

static void peer_fail(struct vmb_msg *msg, struct vmb_msg_peer *mp, int code)
{
	fail_sends(msg, mp, code);
	fail_receives(msg, &mp->active, code);
	fail_receives(msg, &mp->copies, code);
}

void vmb_msg_peer_gone(struct vmb_am *am, struct vmb_peer *peer, void *arg)
{
	struct vmb_msg_peer *mp = peer->msg;
	struct vmb_msg *msg = arg;

	(void)am;
	if (!mp)
		return;
	/* what it announced stays too: who receives it is told by the engine */
	peer_fail(msg, mp, -ECONNRESET);
	drop_replies(msg, mp);
}

/* Nobody may read the memory of a send that is given back to its owner. */
static void withdraw_all(struct vmb_msg *msg, struct vmb_list *list)
{
	struct vmb_list *l;

	vmb_list_each (l, list) {
		struct vmb_req *req = vmb_container_of(l, struct vmb_req, link);

		if (req->kind == VMB_REQ_SEND)
			vmb_announce_withdraw(msg, req, false);
	}
}

static void drop_unexpected(struct vmb_msg *msg, struct vmb_msg_peer *mp)
{
	while (!vmb_list_empty(&mp->unexpected))
		vmb_unexpected_drop(msg, vmb_list_first(&mp->unexpected,
							struct vmb_unexpected,
							peer_node));
}

void vmb_msg_peer_close(struct vmb_msg *msg, struct vmb_msg_peer *mp)
{
	drop_replies(msg, mp);
	drop_unexpected(msg, mp);
	peer_free(mp);
}

void vmb_msg_disconnect(struct vmb_msg *msg, struct vmb_peer *peer)
{
	struct vmb_msg_peer *mp = peer->msg;

	vmb_connect_disconnect(msg, peer);
	peer->context = NULL;
	if (!mp)
		return;
	withdraw_all(msg, &mp->active);
	withdraw_all(msg, &mp->copies);
	withdraw_all(msg, &mp->streams);
	peer_fail(msg, mp, -ECANCELED);
	vmb_msg_peer_close(msg, mp);
}

bool vmb_msg_sends_wait(const struct vmb_peer *peer)
{
	const struct vmb_msg_peer *mp = peer->msg;

	return mp && !vmb_list_empty(&mp->pending);
}

/* Was it the message that could not be delivered, and not the peer? */
static bool peer_lives(int code)
{
	return code != -ECONNRESET && code != -ESTALE && code != -ECANCELED;
}

/* Which of our requests cannot go on, when the engine gives a post back. */
void vmb_msg_undelivered(struct vmb_am *am, const struct vmb_am_arrival *a,
			 unsigned id, int code, void *arg)
{
	struct vmb_msg_peer *mp = a->peer->msg;
	struct vmb_req *req = NULL;
	struct vmb_msg *msg = arg;
	uint64_t number = 0;

	/* one that has gone ends all that is under way, in order of posting */
	if (!mp || !peer_lives(code))
		return;
	switch (id) {
	case VMB_MSG_EAGER: /* its send has ended: nobody else to tell */
		vmb_error("endpoint %u: peer %#x cannot take a message "
			  "of %zu bytes: %s",
			  am->pep.id, a->peer->handle, a->len, strerror(-code));
		return;
	case VMB_MSG_EAGER_SYNC:
	case VMB_MSG_RTS:
	case VMB_MSG_RTS_DIRECT:
	case VMB_MSG_SHARE:
	case VMB_MSG_CTS: /* all begin with our own number */
		if (a->len < sizeof(number))
			return;
		memcpy(&number, a->data, sizeof(number));
		req = vmb_req_find(msg, number, mp);
		break;
	case VMB_MSG_DATA:
		req = vmb_announce_find_stream(mp, a->hdr);
		break;
	}
	if (!req)
		return;
	if (req->kind == VMB_REQ_SEND) {
		vmb_announce_withdraw(msg, req, true);
		vmb_req_complete(msg, req, code, 0);
	} else {
		vmb_fetch_abort(msg, req, code);
	}
}
