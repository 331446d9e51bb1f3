/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * channel.h - requests to the daemon and its replies, over one descriptor.
 *
 * Flow:  calls.c -> vmb_channel_call() -> carrier -> vmbd
 * Owns:  the descriptor, the tags, the requests under way.
 * Trust: who is at the other end was found out by the port; every reply is
 *        checked for its shape and a descriptor that nobody asked for is
 *        closed.
 * Threads: every call, any thread. One of those that wait reads for all.
 * fork:  a child holds no copy of the descriptor, and every call there
 *        returns -EPERM. Close leaves the memory of calls under way.
 */
#ifndef VMB_PORT_CHANNEL_H
#define VMB_PORT_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmbypass/abi/control.h>

#include "base/list.h"
#include "base/socket.h"

struct vmb_channel;

/*
 * What carries the messages: two calls on the descriptor, which never wait.
 * poll() on it says when to try again.
 */
struct vmb_carrier {
	/*
	 * One whole message, with one descriptor unless pass is -1. -EAGAIN:
	 * no room; -EPIPE, -ECONNRESET: the daemon is gone, its last replies
	 * may be unread; others end this request only.
	 */
	int (*send)(int fd, const void *buf, size_t len, int pass);
	/*
	 * One whole message; of 0 bytes: the daemon is gone. -EAGAIN: none;
	 * -ECONNRESET: try again; others: nothing will come any more.
	 */
	int (*receive)(int fd, void *buf, size_t size,
		       struct vmb_socket_packet *packet);
};

#define VMB_CHANNEL_REPLY_FDS 2 /* descriptors of a reply, at most */

/* One request and what came of it. */
struct vmb_channel_call {
	union vmb_ctl_any request; /* op and len are set; the tag is ours */
	int request_fd;		   /* sent along and still the caller's; -1 */
	size_t reply_bytes;	   /* of a reply with status 0 */
	unsigned reply_fds;	   /* of a reply with status 0 */
	unsigned reply_fds_more;   /* that may follow; then: that did */

	int result; /* 0, the daemon's status, or what went wrong */
	union vmb_ctl_any reply;	/* valid when result is 0 */
	int fds[VMB_CHANNEL_REPLY_FDS]; /* then the caller's */

	/* private to channel.c */
	bool sent, done;
	bool kept;   /* a copy made by vmb_channel_start() */
	bool orphan; /* nobody asks for the outcome */
	struct vmb_list node, unsent_node;
};

/*
 * Over fd, which is the channel's from success on. timeout_ms: for each call
 * that gives none. -ENOMEM.
 */
int vmb_channel_open(const struct vmb_carrier *carrier, int fd, int timeout_ms,
		     struct vmb_channel **channel);
/* No thread is in any other call. NULL is ignored. */
void vmb_channel_close(struct vmb_channel *channel);
/* Its descriptor, for what is no message. -EPERM: it is our parent's. */
int vmb_channel_fd(const struct vmb_channel *channel);

/* 0; -EPIPE: the daemon is gone; -EPERM. One look, never waits. */
int vmb_channel_alive(struct vmb_channel *channel);

/*
 * Send and wait for the reply; returns call->result. timeout_ms -1: that of
 * the channel. -ETIMEDOUT: what the daemon grants later is given back to it.
 */
int vmb_channel_call(struct vmb_channel *channel, struct vmb_channel_call *call,
		     int timeout_ms);

/*
 * The same without waiting: the call is copied. It must pass no descriptor.
 * The tag ends with poll or cancel. -ENOMEM; -EPIPE.
 */
int vmb_channel_start(struct vmb_channel *channel,
		      const struct vmb_channel_call *call, uint32_t *tag);
/* -EAGAIN: no answer yet; -ENOENT: no such tag; else result, and *call. */
int vmb_channel_poll(struct vmb_channel *channel, uint32_t tag,
		     struct vmb_channel_call *call);
void vmb_channel_cancel(struct vmb_channel *channel, uint32_t tag);
/* Send it and never hear of it: what is only told. -ENOMEM; -EPIPE. */
int vmb_channel_post(struct vmb_channel *channel,
		     const struct vmb_channel_call *call);

#endif
