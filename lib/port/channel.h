/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * channel.h - requests to the daemon and its replies, over one socket.
 *
 * Flow:  local.c -> vmb_channel_call() -> SOCK_SEQPACKET -> vmbd
 * Owns:  the socket, the tags, the requests under way.
 * Trust: the daemon's user was checked; every reply is checked for its shape
 *        and a descriptor that nobody asked for is closed.
 * Threads: every call, any thread. One of those that wait reads for all.
 * fork:  a child holds no copy of the socket, and every call there returns
 *        -EPERM.
 */
#ifndef VMB_PORT_CHANNEL_H
#define VMB_PORT_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <vmbypass/abi/control.h>

#include "base/list.h"

struct vmb_channel;

#define VMB_CHANNEL_REPLY_FDS 2 /* descriptors of a reply, at most */

/* One request and what came of it. */
struct vmb_channel_call {
	union vmb_ctl_any request; /* op and len are set; the tag is ours */
	int request_fd;		   /* sent along and still the caller's; -1 */
	size_t reply_bytes;	   /* of a reply with status 0 */
	unsigned reply_fds;	   /* of a reply with status 0 */

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
 * Connect to the daemon at path. -EACCES: it is neither ours nor root's.
 * Others: see vmb_socket_connect(). timeout_ms: for each call that gives none.
 */
int vmb_channel_open(const char *path, int timeout_ms,
		     struct vmb_channel **channel);
/* No thread is in any other call. NULL is ignored. */
void vmb_channel_close(struct vmb_channel *channel);
/* Process id of the daemon, 0 when it lives where we cannot see it. */
pid_t vmb_channel_daemon(const struct vmb_channel *channel);

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

#endif
