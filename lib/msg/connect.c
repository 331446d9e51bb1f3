// SPDX-License-Identifier: BSD-2-Clause
/*
 * connect.c - iconnect: ask the daemon who a peer is, without waiting.
 *
 * Flow:  api -> vmb_msg_iconnect() -> port connect_start()
 *        progress -> connect_poll() -> the peer, with its session -> complete
 * Owns:  the list of unanswered questions.
 * Trust: the daemon is believed about handles and sessions.
 *
 * Answers come over the control channel, which raises no event, so they are
 * looked for at times: soon at first, then every millisecond.
 */
#include <errno.h>

#include "msg/state.h"

#define POLL_FIRST_NS 20000u
#define POLL_LAST_NS 1000000u

static bool is_ourselves(const struct vmb_am *am, uint64_t nic_id, uint32_t id)
{
	return nic_id == am->port->hello.nic_id && id == am->pep.id;
}

static void answered(struct vmb_msg *msg, struct vmb_req *req, int code,
		     uint32_t handle, uint32_t session)
{
	struct vmb_peer *peer;

	req->state = VMB_REQ_MATCHED; /* nothing to withdraw any more */
	if (!code) {
		peer = vmb_am_peer(msg->am, handle);
		if (peer) {
			peer->session = session;
			peer->nic_id = req->connect.nic_id;
			peer->id = req->connect.id;
			req->handle = handle;
		} else {
			code = -ENOBUFS;
		}
	}
	vmb_req_complete(msg, req, code, 0);
}

static void ask_again_soon(struct vmb_msg *msg, uint64_t after_ns)
{
	msg->connect_step = after_ns;
	msg->connect_due = vmb_now_ns() + after_ns;
}

int vmb_msg_iconnect(struct vmb_msg *msg, uint64_t nic_id, uint32_t id,
		     uint32_t key, uint64_t match, void *context,
		     struct vmb_req **out)
{
	struct vmb_port *port = msg->am->port;
	struct vmb_req *req;
	int rc;

	if (msg->am->error)
		return msg->am->error;
	req = vmb_req_alloc(msg, VMB_REQ_CONNECT);
	if (!req)
		return -ENOMEM;
	req->match = match;
	req->context = context;
	req->connect.nic_id = nic_id;
	req->connect.id = id;
	req->forgotten = !out;
	if (is_ourselves(msg->am, nic_id, id)) {
		answered(msg, req, 0, msg->am->pep.handle,
			 msg->am->pep.session);
		goto begun;
	}
	rc = port->ops->connect_start(port, nic_id, id, key, &req->connect.tag);
	if (rc) {
		vmb_req_free(msg, req);
		return rc;
	}
	req->state = VMB_REQ_CONNECTING;
	vmb_list_append(&msg->connects, &req->link);
	vmb_timer_set(msg, req, msg->timeout_ns);
	ask_again_soon(msg, POLL_FIRST_NS);
begun:
	if (out)
		*out = req;
	return 0;
}

void vmb_connect_withdraw(struct vmb_msg *msg, struct vmb_req *req)
{
	struct vmb_port *port = msg->am->port;

	port->ops->connect_cancel(port, req->connect.tag);
}

int vmb_connect_poll(struct vmb_msg *msg)
{
	struct vmb_port *port = msg->am->port;
	struct vmb_list *l, *tmp;
	int ended = 0;

	if (vmb_now_ns() < msg->connect_due)
		return 0;
	vmb_list_each_safe (l, tmp, &msg->connects) {
		struct vmb_req *req = vmb_container_of(l, struct vmb_req, link);
		uint32_t handle = 0, session = 0;
		int rc = port->ops->connect_poll(port, req->connect.tag,
						 &handle, &session);

		if (rc == -EAGAIN)
			continue;
		answered(msg, req, rc, handle, session);
		ended++;
	}
	ask_again_soon(msg,
		       vmb_min(2 * msg->connect_step, (uint64_t)POLL_LAST_NS));
	return ended;
}

void vmb_connect_disconnect(struct vmb_msg *msg, const struct vmb_peer *peer)
{
	struct vmb_list *l, *tmp;

	vmb_list_each_safe (l, tmp, &msg->connects) {
		struct vmb_req *req = vmb_container_of(l, struct vmb_req, link);

		if (peer->nic_id && req->connect.nic_id == peer->nic_id &&
		    req->connect.id == peer->id)
			vmb_req_complete(msg, req, -ECANCELED, 0);
	}
}
