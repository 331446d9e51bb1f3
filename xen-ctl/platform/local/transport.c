// SPDX-License-Identifier: BSD-2-Clause
/*
 * transport.c - the control socket of one client: one packet, one message.
 *
 * Flow:  socket -> look at the head -> take it, or have it taken (taking.c) ->
 *        events->request() -> vmb_transport_reply() -> socket
 * Owns:  the socket, the pidfd, one reply that found no room.
 * Trust: a packet may be anything. One with descriptors is never taken here: the
 *        kernel drops those that are not wanted while it gives us the packet,
 *        and a file may be slow to go.
 *
 * A client is not served while a reply to it cannot be sent, a job for it is
 * under way, or much that it has left over waits to be closed, so what it can
 * make us hold is bounded.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "platform/local/local.h"

#define REQUESTS_PER_TURN 16
#define LEFT_OVER_MAX 48u /* descriptors: sixteen endpoints */

/* ---- requests ----------------------------------------------------------- */

/* As recvmsg(), of a message that is zero beyond its end. */
ssize_t vmb_transport_receive(int fd, union vmb_ctl_any *msg,
			      struct msghdr *head, int flags)
{
	struct iovec iov = {.iov_base = msg, .iov_len = sizeof(*msg)};
	ssize_t n;

	memset(msg, 0, sizeof(*msg));
	head->msg_iov = &iov;
	head->msg_iovlen = 1;
	n = recvmsg(fd, head,
		    flags | MSG_TRUNC | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	return n < 0 ? -errno : n;
}

void vmb_transport_tidy(struct vmb_transport *t)
{
	if (!t->closes)
		vmb_closing_begin(t->p, t->who.uid, t, &t->closing);
}

/* What it may make us hold is bounded, also while its files do not close. */
static bool is_busy(const struct vmb_transport *t)
{
	return t->job || t->unsent_len ||
	       vmb_closing_count(t->closing) >= LEFT_OVER_MAX;
}

int vmb_transport_request(struct vmb_transport *t,
			  const struct vmb_platform_request *request)
{
	int err = t->p->config.events->request(t->client, request);

	if (request->attachment && request->attachment->known)
		close(request->attachment->fd);
	else if (request->attachment)
		vmb_close_later(&t->closing, request->attachment->fd);
	if (!err)
		vmb_transport_tidy(t);
	return err;
}

/* Without descriptors, it was seen. */
static int take(struct vmb_transport *t, union vmb_ctl_any *msg)
{
	struct vmb_platform_request request = {.msg = msg};
	struct msghdr head = {0};
	ssize_t n;

	n = vmb_transport_receive(t->fd, msg, &head, 0);
	if (n < 0)
		return (int)n;
	request.len = (size_t)n;
	return vmb_transport_request(t, &request);
}

/* One request. 1: served; 0: none, or not now; -errno: the client must go. */
static int serve(struct vmb_transport *t)
{
	struct msghdr head = {0};
	union vmb_ctl_any msg;
	unsigned wanted;
	ssize_t n;
	int err;

	if (is_busy(t))
		return 0;
	n = vmb_transport_receive(t->fd, &msg, &head, MSG_PEEK);
	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		return n ? (int)n : -ESHUTDOWN;
	wanted = t->p->config.events->attachments(t->client, &msg, (size_t)n);
	/* no room for descriptors was given: this says that there are some */
	err = head.msg_flags & MSG_CTRUNC ? vmb_take_start(t, wanted)
					  : take(t, &msg);
	return err ? err : 1;
}

/* ---- replies ------------------------------------------------------------ */

static int send_packet(struct vmb_transport *t, const union vmb_ctl_any *msg,
		       const int *fds, unsigned fd_count)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)msg,
			    .iov_len = msg->head.len};
	struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd_count) {
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds, fd_count * sizeof(int));
		head.msg_control = &control;
		head.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
	}
	return sendmsg(t->fd, &head, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno
								      : 0;
}

static void forget_unsent(struct vmb_transport *t)
{
	while (t->unsent_fd_count)
		vmb_close_later(&t->closing,
				t->unsent_fds[--t->unsent_fd_count]);
	t->unsent_len = 0;
}

/* The signal may be closed before the reply has left: keep copies. */
static int keep_unsent(struct vmb_transport *t, const union vmb_ctl_any *msg,
		       const int *fds, unsigned fd_count)
{
	for (unsigned i = 0; i < fd_count; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			int err = -errno;

			forget_unsent(t);
			return err;
		}
		t->unsent_fds[t->unsent_fd_count++] = fd;
	}
	memcpy(&t->unsent, msg, msg->head.len);
	t->unsent_len = msg->head.len;
	vmb_transport_update(t);
	return 0;
}

/*
 * Who may copy the other's memory, the kernel decides at each copy. Processes
 * of one user can stop each other anyway, so they may as well wait for each
 * other's page faults.
 */
static bool may_be_told(const struct vmb_transport *t,
			const struct vmb_transport *other)
{
	return other->pidfd >= 0 && t->who.uid == other->who.uid;
}

int vmb_transport_reply(struct vmb_transport *t, const union vmb_ctl_any *msg,
			const struct vmb_gift *gift)
{
	struct vmb_signal *signal = gift ? gift->signal : NULL;
	unsigned fd_count = 0;
	int fds[2] = {-1, -1};
	int err;

	if (t->unsent_len)
		return -ENOBUFS; /* cannot be: it would not have been served */
	if (signal) {
		vmb_signal_client_fds(signal, fds);
		fd_count = 2;
	} else if (gift && gift->lane) {
		fds[fd_count++] = vmb_lane_fd(gift->lane);
		if (gift->process_of && may_be_told(t, gift->process_of))
			fds[fd_count++] = gift->process_of->pidfd;
	}
	err = send_packet(t, msg, fds, fd_count);
	if (err == -EAGAIN)
		err = keep_unsent(t, msg, fds, fd_count);
	if (!err && signal)
		vmb_signal_given(signal);
	return err;
}

static int flush(struct vmb_transport *t)
{
	int err;

	if (!t->unsent_len)
		return 0;
	err = send_packet(t, &t->unsent, t->unsent_fds, t->unsent_fd_count);
	if (err == -EAGAIN)
		return 0;
	forget_unsent(t);
	vmb_transport_tidy(t);
	vmb_transport_update(t);
	return err;
}

/* ---- the loop's view ---------------------------------------------------- */

void vmb_transport_update(struct vmb_transport *t)
{
	uint32_t events = EPOLLIN;

	if (t->unsent_len)
		events = EPOLLOUT;
	else if (is_busy(t))
		events = 0; /* the end of the client is told all the same */
	sd_event_source_set_io_events(t->io, events);
}

void vmb_transport_begin(struct vmb_transport *t, struct vmb_transport_job *job)
{
	job->t = t;
	job->helper.uid = t->who.uid;
	t->job = job;
	vmb_transport_update(t);
	vmb_helper_start(t->p->helper, &job->helper);
}

struct vmb_transport *vmb_transport_end(struct vmb_transport_job *job)
{
	struct vmb_transport *t = job->t;

	if (t && t->closes == job)
		t->closes = NULL;
	else if (t)
		t->job = NULL;
	return t;
}

/* That the other side is gone shows in three ways. */
static const char *reason(int err)
{
	if (err == -ESHUTDOWN || err == -ECONNRESET || err == -EPIPE)
		return "closed";
	return strerror(-err);
}

void vmb_transport_failed(struct vmb_transport *t, int err)
{
	vmb_transport_drop(t, reason(err));
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct vmb_transport *t = arg;
	int n = 1;

	(void)source;
	(void)fd;
	if (revents & EPOLLOUT)
		n = flush(t) ?: 1;
	for (int i = 0; i < REQUESTS_PER_TURN && n > 0; i++)
		n = serve(t);
	if (n >= 0 && (revents & (EPOLLHUP | EPOLLERR)) && is_busy(t))
		n = -ESHUTDOWN; /* nobody is left to be answered */
	if (n < 0)
		vmb_transport_failed(t, n);
	else
		vmb_transport_update(t);
	return 0;
}

/* Its children may still hold the socket, but it is the process we serve. */
static int on_exit_of(sd_event_source *source, int fd, uint32_t revents,
		      void *arg)
{
	struct vmb_transport *t = arg;

	(void)source;
	(void)fd;
	(void)revents;
	/* what it said last comes first: an orderly close is still one */
	for (int i = 0; i < REQUESTS_PER_TURN && serve(t) > 0; i++)
		;
	vmb_transport_drop(t, "process ended");
	return 0;
}

int vmb_transport_watch(struct vmb_transport *t)
{
	int err;

	err = sd_event_add_io(t->p->config.event, &t->io, t->fd, EPOLLIN, on_io,
			      t);
	if (err >= 0 && t->pidfd >= 0)
		err = sd_event_add_io(t->p->config.event, &t->exit_source,
				      t->pidfd, EPOLLIN, on_exit_of, t);
	return err < 0 ? err : 0;
}

void vmb_transport_drop(struct vmb_transport *t, const char *why)
{
	bool used = t->job && t->job->uses_socket;

	if (t->job)
		t->job->t = NULL;
	if (t->closes)
		t->closes->t = NULL;
	if (t->client)
		t->p->config.events->left(t->client, why);
	sd_event_source_disable_unref(t->io);
	sd_event_source_disable_unref(t->exit_source);
	forget_unsent(t);
	if (t->process)
		vmb_process_close(t->process);
	if (t->pidfd >= 0)
		vmb_close_later(&t->closing, t->pidfd);
	if (used) {
		shutdown(t->fd, SHUT_RDWR);
		t->p->hang_ups++; /* it will be */
		vmb_closing_begin(t->p, t->who.uid, NULL, &t->closing);
	} else {
		vmb_hang_up(t->p, t->who.uid, t->fd, t->closing);
	}
	vmb_list_remove(&t->node);
	t->p->transport_count--;
	free(t);
}
