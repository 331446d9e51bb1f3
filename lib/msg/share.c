// SPDX-License-Identifier: BSD-2-Clause
/*
 * share.c - a rendezvous in which both sides copy: the receiver reads the
 * message piece by piece from the sender's process, and a sender that is at
 * hand writes pieces from the other end, until the two meet.
 *
 * Flow:  announce.c -> RTS_DIRECT -> receiver reads, SHARE -> sender writes,
 *        SHARED -> FIN
 * Owns:  the entry of the lane (sender) and the copy's state (both).
 * Trust: see am/direct.h. SHARE and SHARED are checked against the request that
 *        they name. The memory of a receive is given back only when the sender
 *        does not write to it any more.
 *
 * Nobody needs the other: a receiver that is not helped reads all of it, and
 * one that cannot read asks for a stream.
 */
#include <errno.h>

#include "base/barrier.h"
#include "msg/state.h"

/* ---- sender ----------------------------------------------------------------- */

bool vmb_share_offer(struct vmb_msg *msg, struct vmb_req *req)
{
	struct vmb_lane_file source;

	if (req->send.direct)
		return true; /* it found no room before */
	if (req->segment_count != 1 ||
	    req->msg_len <= vmb_min(msg->config.lane_direct_max,
				    msg->config.lane_mapped_max) ||
	    !vmb_direct_may_offer(req->mp->peer))
		return false;
	vmb_regcache_describe(msg->config.regcache, req->segments[0].ptr,
			      req->msg_len, &source);
	if (!source.file && req->msg_len <= msg->config.lane_direct_max)
		return false;
	req->send.direct =
		vmb_direct_offer(req->mp->peer, &source, &req->send.copy.id);
	return req->send.direct;
}

void vmb_share_end(struct vmb_msg *msg, struct vmb_req *req)
{
	if (req->send.direct)
		vmb_direct_end(msg->am, req->mp->peer, &req->send.copy.id);
	req->send.direct = false;
}

static bool is_share(const struct vmb_req *req,
		     const struct vmb_wire_share *share)
{
	return req && req->state == VMB_REQ_ANNOUNCED && req->send.direct &&
	       share->want && share->want <= req->msg_len &&
	       share->addr <= UINT64_MAX - share->want &&
	       vmb_is_pow2(share->piece) &&
	       share->piece >= VMB_DIRECT_PIECE_MIN &&
	       share->piece <= VMB_DIRECT_PIECE_MAX &&
	       share->want / share->piece < VMB_DIRECT_PIECES_MAX &&
	       !share->reserved_e0;
}

void vmb_share_on_share(struct vmb_am *am, const struct vmb_am_arrival *a,
			void *arg)
{
	struct vmb_wire_share share = {0};
	struct vmb_req *req = NULL;
	struct vmb_msg *msg = arg;

	(void)am;
	if (a->len == sizeof(share) && a->peer->msg) {
		memcpy(&share, a->data, sizeof(share));
		req = vmb_req_find(msg, a->hdr, a->peer->msg);
	}
	if (!is_share(req, &share)) {
		vmb_msg_nonsense(msg);
		return;
	}
	req->state = VMB_REQ_SHARING;
	req->send.remote = share.number;
	req->send.shared = req->send.failed = false;
	req->send.copy = (struct vmb_direct_copy){
		.id = req->send.copy.id,
		.remote = share.addr,
		.local = req->segments[0].ptr,
		.len = share.want,
		.piece = share.piece,
	};
	vmb_direct_begin_write(msg->am, req->mp->peer, &req->send.copy);
	vmb_list_remove(&req->link);
	vmb_list_append(&req->mp->copies, &req->link);
	vmb_msg_peer_busy(msg, req->mp);
}

static int say_shared(struct vmb_msg *msg, struct vmb_req *req)
{
	struct vmb_wire_shared shared = {
		.pieces = req->send.copy.back,
		.failed = req->send.failed,
	};
	struct vmb_segment body = {&shared, sizeof(shared)};

	return vmb_am_post(msg->am, req->mp->peer, VMB_MSG_SHARED,
			   req->send.remote, &body, 1, 0, sizeof(shared),
			   VMB_AM_QUEUE);
}

/* Nobody waits for SHARED when we came too late for any piece. */
static int write_step(struct vmb_msg *msg, struct vmb_req *req)
{
	struct vmb_msg_send *send = &req->send;
	int rc;

	if (!send->shared) {
		rc = vmb_direct_write(msg->am, req->mp->peer, &send->copy);
		if (rc > 0) {
			msg->counters.direct_written++;
			return 0;
		}
		send->shared = true;
		send->failed = rc < 0;
	}
	if ((send->copy.back || send->failed) &&
	    say_shared(msg, req) == -ENOMEM)
		return -EAGAIN;
	vmb_req_await(req, VMB_REQ_STREAMED);
	return 0;
}

/* ---- receiver --------------------------------------------------------------- */

bool vmb_share_start(struct vmb_msg *msg, struct vmb_req *req,
		     const struct vmb_incoming *in)
{
	struct vmb_msg_recv *recv = &req->recv;

	if (vmb_low(in->key) >= VMB_LANE_DIRECTS || !vmb_high(in->key) ||
	    req->segments[0].len < recv->want ||
	    !vmb_direct_reaches(req->mp->peer))
		return false;
	recv->direct = true;
	recv->copy = (struct vmb_direct_copy){
		.id = {vmb_low(in->key), vmb_high(in->key)},
		.remote = in->offset,
		.local = req->segments[0].ptr,
		.len = recv->want,
		.piece = vmb_direct_piece(recv->want),
	};
	vmb_direct_begin_read(msg->am, req->mp->peer, &recv->copy);
	req->state = VMB_REQ_READING;
	vmb_list_remove(&req->link);
	vmb_list_append(&req->mp->copies, &req->link);
	vmb_msg_peer_busy(msg, req->mp);
	return true;
}

void vmb_share_stop(struct vmb_msg *msg, struct vmb_req *req)
{
	if (req->recv.direct && req->recv.asked)
		vmb_direct_shut(msg->am, req->mp->peer, &req->recv.copy);
	req->recv.direct = false;
}

/*
 * Not before we know that we may read, so that who may not can still ask for a
 * stream; and not for less than what it takes to be heard.
 */
static void ask_for_help(struct vmb_msg *msg, struct vmb_req *req)
{
	struct vmb_msg_recv *recv = &req->recv;
	struct vmb_wire_share share = {
		.number = vmb_req_number(req),
		.want = recv->want,
		.addr = (uintptr_t)recv->copy.local,
		.piece = recv->copy.piece,
	};
	struct vmb_segment body = {&share, sizeof(share)};
	struct vmb_lane_file destination;

	if (recv->asked || !vmb_direct_is_proven(req->mp->peer) ||
	    vmb_direct_pieces(&recv->copy) - recv->copy.front < 2)
		return;
	vmb_regcache_describe(msg->config.regcache, recv->copy.local,
			      recv->want, &destination);
	vmb_direct_tell(req->mp->peer, &recv->copy, &destination);
	recv->asked = !vmb_am_post(msg->am, req->mp->peer, VMB_MSG_SHARE,
				   recv->number, &body, 1, 0, sizeof(share),
				   VMB_AM_TRY);
}

static void read_failed(struct vmb_msg *msg, struct vmb_req *req, int rc)
{
	if (rc == -ESRCH) {
		/* it is dead, and soon the engine will say so; what it may
		 * have said before does not make this one whole */
		req->recv.told = true;
		req->recv.told_pieces = UINT32_MAX;
		vmb_req_await(req, VMB_REQ_MEETING);
		return;
	}
	vmb_req_await(req, VMB_REQ_MATCHED); /* what is said next may wait */
	if (rc != -ESTALE && !req->recv.asked) {
		req->recv.direct = false;
		vmb_fetch_clear_to_send(msg, req, true);
		return;
	}
	vmb_share_stop(msg, req);
	vmb_receive_end(msg, req, VMB_MSG_FIN, -EFAULT, 0);
}

static void met(struct vmb_msg *msg, struct vmb_req *req)
{
	msg->counters.direct++;
	req->recv.direct = false;
	vmb_req_await(req, VMB_REQ_MATCHED);
	vmb_fetch_end(msg, req);
}

static bool is_all_written(const struct vmb_msg_recv *recv)
{
	return !recv->copy.back ||
	       (recv->told && recv->told_pieces == recv->copy.back);
}

static void read_step(struct vmb_msg *msg, struct vmb_req *req)
{
	struct vmb_msg_recv *recv = &req->recv;
	int rc;

	ask_for_help(msg, req);
	rc = vmb_direct_read(msg->am, req->mp->peer, &recv->copy);
	if (rc > 0)
		return;
	if (rc < 0)
		read_failed(msg, req, rc);
	else if (is_all_written(recv))
		met(msg, req);
	else if (recv->told)
		vmb_direct_read_alone(&recv->copy); /* that was not true */
	else
		vmb_req_await(req, VMB_REQ_MEETING);
}

void vmb_share_on_shared(struct vmb_am *am, const struct vmb_am_arrival *a,
			 void *arg)
{
	struct vmb_wire_shared shared;
	struct vmb_req *req = NULL;
	struct vmb_msg *msg = arg;

	(void)am;
	if (a->len == sizeof(shared) && a->peer->msg) {
		memcpy(&shared, a->data, sizeof(shared));
		req = vmb_req_find(msg, a->hdr, a->peer->msg);
	}
	if (!req ||
	    (req->state != VMB_REQ_READING && req->state != VMB_REQ_MEETING) ||
	    !req->recv.asked || req->recv.told || shared.failed > 1) {
		vmb_msg_nonsense(msg); /* or the receive has ended */
		return;
	}
	req->recv.told = true;
	req->recv.told_pieces = shared.pieces;
	if (req->state == VMB_REQ_MEETING && is_all_written(&req->recv)) {
		met(msg, req);
		return;
	}
	if (shared.failed || req->state == VMB_REQ_MEETING)
		vmb_direct_read_alone(&req->recv.copy);
	req->state = VMB_REQ_READING;
	vmb_list_remove(&req->link);
	vmb_list_append(&req->mp->copies, &req->link);
	vmb_msg_peer_busy(msg, req->mp);
}

/* ---- both ------------------------------------------------------------------- */

int vmb_share_step(struct vmb_msg *msg, struct vmb_req *req)
{
	if (req->kind == VMB_REQ_SEND)
		return write_step(msg, req);
	read_step(msg, req);
	return 0;
}
