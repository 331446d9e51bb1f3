// SPDX-License-Identifier: BSD-2-Clause
/*
 * timer.c - the time limits of sends and connects.
 *
 * Flow:  api -> set_timeout; send.c, connect.c -> start with the default
 *        progress -> poll: what is overdue ends with -ETIMEDOUT
 * Owns:  the list of requests with a limit, earliest first.
 * Trust: the application's numbers.
 *
 * A request is put in its place from the end of the list, so with one limit
 * for all, the usual case, it is appended. The clock is read only while some
 * request has a limit.
 */
#include <errno.h>

#include "msg/state.h"

void vmb_timer_set(struct vmb_msg *msg, struct vmb_req *req, uint64_t ns)
{
	struct vmb_list *l;

	vmb_list_remove(&req->timer);
	req->deadline = 0;
	if (!ns)
		return;
	req->deadline = vmb_now_ns() + ns;
	for (l = msg->timers.prev; l != &msg->timers; l = l->prev)
		if (vmb_container_of(l, struct vmb_req, timer)->deadline <=
		    req->deadline)
			break;
	vmb_list_append(l->next, &req->timer);
}

int vmb_msg_set_timeout(struct vmb_msg *msg, struct vmb_req *req,
			unsigned timeout_ms)
{
	uint64_t ns = (uint64_t)timeout_ms * 1000000u;

	if (!req)
		msg->timeout_ns = ns;
	else if (req->kind != VMB_REQ_RECV && req->state != VMB_REQ_DONE)
		vmb_timer_set(msg, req, ns);
	return 0;
}

int vmb_timer_poll(struct vmb_msg *msg)
{
	uint64_t now;
	int ended = 0;

	if (vmb_list_empty(&msg->timers))
		return 0;
	now = vmb_now_ns();
	while (!vmb_list_empty(&msg->timers)) {
		struct vmb_req *req =
			vmb_list_first(&msg->timers, struct vmb_req, timer);

		if (req->deadline > now)
			break;
		if (req->kind == VMB_REQ_SEND)
			vmb_announce_withdraw(msg, req, true);
		vmb_req_complete(msg, req, -ETIMEDOUT, 0);
		ended++;
	}
	return ended;
}

/* Must the drain be tried again although no event will say so? */
static bool drain_is_due(const struct vmb_msg *msg)
{
	struct vmb_list *l;

	vmb_list_each (l, &msg->busy) {
		const struct vmb_msg_peer *mp =
			vmb_container_of(l, struct vmb_msg_peer, busy);

		/* else am waits for its room, and for the event of that */
		if (!vmb_am_tells_room(mp->peer) ||
		    !vmb_list_empty(&mp->copies))
			return true;
	}
	return false;
}

uint64_t vmb_msg_deadline(const struct vmb_msg *msg)
{
	uint64_t due = UINT64_MAX;

	if (drain_is_due(msg) || !vmb_list_empty(&msg->ended))
		return 0;
	if (!vmb_list_empty(&msg->timers))
		due = vmb_list_first(&msg->timers, struct vmb_req, timer)
			      ->deadline;
	if (!vmb_list_empty(&msg->connects))
		due = vmb_min(due, msg->connect_due);
	return due;
}
