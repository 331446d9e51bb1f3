// SPDX-License-Identifier: BSD-2-Clause
/*
 * closing.c - descriptors that clients sent, or that lie unread in a socket,
 * closed where a wait harms nobody else.
 *
 * Flow:  a request is answered -> vmb_attachment_close() -> helper thread
 *        a client leaves, or was never one -> vmb_hang_up() -> helper thread
 * Owns:  each descriptor until it is closed.
 * Trust: close() waits for whoever serves the file: a FUSE server that is
 *        asked to flush, or a pipe that is held busy, for ever; a TCP socket
 *        that lingers, until a signal. What lies unread in a Unix socket was
 *        never opened here, so that its end is no flush at least.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/local/local.h"

struct closing {
	struct vmb_transport_job
		job;		/* of a client that waits for it, or not */
	struct vmb_platform *p; /* whose hang_ups it counts in, or NULL */
	int fd;
};

static void close_run(struct vmb_helper_job *job)
{
	close(vmb_container_of(job, struct closing, job.helper)->fd);
}

static void close_done(struct vmb_helper_job *job)
{
	struct closing *closing =
		vmb_container_of(job, struct closing, job.helper);
	struct vmb_transport *t = vmb_transport_end(&closing->job);

	if (closing->p)
		closing->p->hang_ups--;
	free(closing);
	if (t)
		vmb_transport_update(t);
}

/* NULL, and closed: without memory a wait is the smaller harm. */
static struct closing *make_closing(int fd, uid_t uid)
{
	struct closing *closing = calloc(1, sizeof(*closing));

	if (!closing) {
		close(fd);
		return NULL;
	}
	closing->fd = fd;
	closing->job.helper.run = close_run;
	closing->job.helper.done = close_done;
	closing->job.helper.uid = uid;
	closing->job.helper.endless = true;
	closing->job.helper.interrupt = true;
	return closing;
}

void vmb_attachment_close(struct vmb_platform *p, uid_t uid,
			  struct vmb_transport *t, struct vmb_attachment *a)
{
	struct closing *closing;

	if (a->fd < 0)
		return;
	if (a->known) {
		close(a->fd);
		return;
	}
	closing = make_closing(a->fd, uid);
	if (closing && t)
		vmb_transport_begin(t, &closing->job);
	else if (closing)
		vmb_helper_start(p->helper, &closing->job.helper);
}

void vmb_hang_up(struct vmb_platform *p, uid_t uid, int fd)
{
	struct closing *closing;

	shutdown(fd, SHUT_RDWR); /* is heard at once */
	closing = make_closing(fd, uid);
	if (!closing)
		return;
	closing->job.helper.endless = false;
	closing->p = p;
	p->hang_ups++;
	vmb_helper_start(p->helper, &closing->job.helper);
}
