// SPDX-License-Identifier: BSD-2-Clause
/*
 * closing.c - descriptors of files that clients have, too, or that lie unread
 * in a socket, closed where a wait harms nobody else.
 *
 * Flow:  what a request, or its end, leaves over -> vmb_close_later() ->
 *        vmb_closing_begin() -> helper thread
 *        a client leaves, or was never one -> vmb_hang_up() -> helper thread
 * Owns:  each descriptor until it is closed.
 * Trust: a last close() waits for whoever serves the file: a FUSE server that
 *        is asked to flush, a pipe or an epoll set that is held busy, for
 *        ever; a TCP socket that lingers, until a signal. What lies unread in
 *        a Unix socket was never opened here, so that its end is no flush.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/local/local.h"

#define FDS_FIRST 4u

struct vmb_closing {
	struct vmb_transport_job job;
	struct vmb_platform *p;
	bool is_hang_up; /* counted in p->hang_ups */
	unsigned count, room;
	int fds[];
};

/* NULL: no memory. */
static struct vmb_closing *grow(struct vmb_closing *closing)
{
	unsigned room = closing ? 2 * closing->room : FDS_FIRST;
	struct vmb_closing *grown =
		realloc(closing, sizeof(*grown) + room * sizeof(int));

	if (!grown)
		return NULL;
	if (!closing)
		memset(grown, 0, sizeof(*grown));
	grown->room = room;
	return grown;
}

void vmb_close_later(struct vmb_closing **closing, int fd)
{
	struct vmb_closing *c = *closing;

	if (!c || c->count == c->room)
		c = grow(c);
	if (!c) { /* a wait is the smaller harm */
		close(fd);
		return;
	}
	c->fds[c->count++] = fd;
	*closing = c;
}

unsigned vmb_closing_count(const struct vmb_closing *closing)
{
	return closing ? closing->count : 0;
}

static void close_run(struct vmb_helper_job *job)
{
	struct vmb_closing *c =
		vmb_container_of(job, struct vmb_closing, job.helper);

	for (unsigned i = 0; i < c->count; i++)
		close(c->fds[i]);
}

static void close_done(struct vmb_helper_job *job)
{
	struct vmb_closing *c =
		vmb_container_of(job, struct vmb_closing, job.helper);
	struct vmb_transport *t = vmb_transport_end(&c->job);

	if (c->is_hang_up)
		c->p->hang_ups--;
	free(c);
	if (!t)
		return;
	vmb_transport_tidy(t);
	vmb_transport_update(t);
}

static struct vmb_helper_job *prepare(struct vmb_closing *c,
				      struct vmb_platform *p, uid_t uid)
{
	c->p = p;
	c->job.helper.run = close_run;
	c->job.helper.done = close_done;
	c->job.helper.uid = uid;
	c->job.helper.interrupt = true;
	return &c->job.helper;
}

void vmb_closing_begin(struct vmb_platform *p, uid_t uid,
		       struct vmb_transport *t, struct vmb_closing **closing)
{
	struct vmb_closing *c = *closing;

	if (!c)
		return;
	*closing = NULL;
	prepare(c, p, uid)->endless = true;
	c->job.t = t;
	if (t)
		t->closes = &c->job;
	vmb_helper_start(p->helper, &c->job.helper);
}

void vmb_hang_up(struct vmb_platform *p, uid_t uid, int fd,
		 struct vmb_closing *with)
{
	shutdown(fd, SHUT_RDWR); /* is heard at once */
	vmb_close_later(&with, fd);
	if (!with)
		return;
	with->is_hang_up = true;
	p->hang_ups++;
	vmb_helper_start(p->helper, prepare(with, p, uid));
}
