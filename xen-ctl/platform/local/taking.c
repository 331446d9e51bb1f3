// SPDX-License-Identifier: BSD-2-Clause
/*
 * taking.c - requests that bring descriptors, taken by a helper thread.
 *
 * Flow:  transport.c has seen one -> vmb_take_start() -> helper thread:
 *        recvmsg() -> control thread: events->request()
 * Owns:  the message and its attachment, until it is served.
 * Trust: a descriptor is anything that a process can open, and there may be
 *        253 of them. One is let in where one is wanted; the others are dropped
 *        by the kernel before recvmsg() returns, a socket that lingers for as
 *        long as it likes, or until the next signal.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/local/local.h"

struct taking {
	struct vmb_transport_job job;
	struct vmb_platform *p; /* what a client that has left leaves behind */
	uid_t uid;
	int fd;

	unsigned wanted;
	ssize_t len; /* as recvmsg() */
	union vmb_ctl_any msg;
	struct vmb_platform_request request;
	struct vmb_attachment attachment;
};

/* exactly one descriptor; the padding of CMSG_SPACE() would admit a second */
union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

static void take_descriptor(struct taking *taking, struct msghdr *head)
{
	struct vmb_platform_request *request = &taking->request;
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(head); c; c = CMSG_NXTHDR(head, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
		    c->cmsg_len != CMSG_LEN(sizeof(int)))
			continue;
		memcpy(&taking->attachment.fd, CMSG_DATA(c), sizeof(int));
		request->attached = 1;
		request->attachment = &taking->attachment;
	}
	request->attached_more = head->msg_flags & MSG_CTRUNC;
	if (taking->wanted && !request->attached && request->attached_more)
		request->attach_error = -EMFILE;
}

static void take_run(struct vmb_helper_job *job)
{
	struct taking *taking =
		vmb_container_of(job, struct taking, job.helper);
	union control control;
	struct msghdr head = {0};

	if (taking->wanted) {
		head.msg_control = &control;
		head.msg_controllen = CMSG_LEN(sizeof(int));
	}
	taking->len = vmb_transport_receive(taking->fd, &taking->msg, &head, 0);
	if (taking->len <= 0)
		return;
	taking->request.msg = &taking->msg;
	taking->request.len = (size_t)taking->len;
	take_descriptor(taking, &head);
}

static void forget(struct taking *taking)
{
	struct vmb_closing *closing = NULL;

	if (taking->attachment.fd >= 0)
		vmb_close_later(&closing, taking->attachment.fd);
	taking->p->hang_ups--; /* counted when it left, and again now: */
	vmb_hang_up(taking->p, taking->uid, taking->fd, closing);
}

static void serve(struct vmb_transport *t, struct taking *taking)
{
	int err = taking->len > 0 ? vmb_transport_request(t, &taking->request)
				  : (int)taking->len;

	if (err)
		vmb_transport_failed(t, err);
	else
		vmb_transport_update(t);
}

static void take_done(struct vmb_helper_job *job)
{
	struct taking *taking =
		vmb_container_of(job, struct taking, job.helper);
	struct vmb_transport *t = vmb_transport_end(&taking->job);

	if (t)
		serve(t, taking);
	else
		forget(taking);
	free(taking);
}

int vmb_take_start(struct vmb_transport *t, unsigned wanted)
{
	struct taking *taking = calloc(1, sizeof(*taking));

	if (!taking)
		return -ENOMEM;
	taking->p = t->p;
	taking->uid = t->who.uid;
	taking->fd = t->fd;
	taking->wanted = wanted;
	taking->len = -ECANCELED;
	taking->attachment.fd = -1;
	taking->job.uses_socket = true;
	taking->job.helper.run = take_run;
	taking->job.helper.done = take_done;
	taking->job.helper.interrupt = true;
	vmb_transport_begin(t, &taking->job);
	return 0;
}
