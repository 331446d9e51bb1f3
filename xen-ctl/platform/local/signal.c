// SPDX-License-Identifier: BSD-2-Clause
/*
 * signal.c - kicks and notifications of the local platform.
 *
 * Flow:  client -> eventfd -> host.c -> kick_ready() -> vmb_host_kick()
 *        engine -> notify() -> socket pair -> client
 * Owns:  an eventfd and a socket pair per endpoint.
 * Trust: the client shares the eventfd with us, so it is never read or
 *        written here: edges are counted by the kernel. Notifications go
 *        through a socket, whose flags and locks the client cannot hold
 *        against us (docs/decisions/0020-notify-by-stream.md). What the client
 *        has as well is closed by a helper thread: an epoll set of its own can
 *        hold up the last close.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/local/local.h"

struct local_signal {
	struct vmb_signal signal;
	struct vmb_host *host;
	struct vmb_watch kicks; /* of kick_fd, by the endpoint's thread */
	int kick_fd;		/* given to the client, kept for the watch */
	int notify_fd;		/* ours */
	int client_fd;		/* other end */
	struct vmb_transport *t;
	bool given; /* the client has kick_fd and client_fd as well */
};

static struct local_signal *local_of(const struct vmb_signal *signal)
{
	return vmb_container_of(signal, struct local_signal, signal);
}

static void kick_ready(struct vmb_watch *watch, unsigned thread)
{
	struct local_signal *l =
		vmb_container_of(watch, struct local_signal, kicks);

	vmb_host_kick(l->host, &l->signal, thread);
}

/*
 * A full socket buffer means that the client has notifications to read, and a
 * closed one that it does not want any: both are as good as sent.
 */
static void notify(struct vmb_signal *signal)
{
	static const char byte = 1;

	send(local_of(signal)->notify_fd, &byte, sizeof(byte),
	     MSG_DONTWAIT | MSG_NOSIGNAL);
}

/*
 * The socket holds a few notifications at most, and nothing that the client
 * sends the wrong way.
 */
static int open_pair(struct local_signal *l)
{
	int smallest = 1, fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -errno;
	l->notify_fd = fds[0];
	l->client_fd = fds[1];
	if (setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &smallest,
		       sizeof(smallest)) ||
	    shutdown(fds[0], SHUT_RD)) {
		close(fds[0]);
		close(fds[1]);
		return -errno;
	}
	return 0;
}

int vmb_signal_open(struct vmb_transport *t, struct vmb_attachment *attachment,
		    struct vmb_signal **result)
{
	struct local_signal *l = calloc(1, sizeof(*l));
	int err;

	(void)attachment;
	if (!l)
		return -ENOMEM;
	l->t = t;
	l->host = t->p->config.host;
	l->signal.notify = notify;
	l->kicks.ready = kick_ready;
	l->kick_fd = eventfd(0, EFD_CLOEXEC);
	if (l->kick_fd < 0) {
		err = -errno;
		goto err_free;
	}
	err = open_pair(l);
	if (err)
		goto err_close_kick;
	*result = &l->signal;
	return 0;

err_close_kick:
	close(l->kick_fd);
err_free:
	free(l);
	return err;
}

int vmb_signal_bind(struct vmb_signal *signal, struct vmb_nic_endpoint *ep)
{
	struct local_signal *l = local_of(signal);
	int err;

	vmb_host_bind(signal, ep);
	err = vmb_host_watch(l->host, signal->thread, &l->kicks, l->kick_fd);
	if (err)
		vmb_host_unbind(l->host, signal);
	return err;
}

void vmb_signal_unbind(struct vmb_signal *signal)
{
	struct local_signal *l = local_of(signal);

	vmb_host_unwatch(l->host, signal->thread, &l->kicks);
	vmb_host_unbind(l->host, signal);
}

void vmb_signal_client_fds(const struct vmb_signal *signal, int fds[2])
{
	fds[0] = local_of(signal)->kick_fd;
	fds[1] = local_of(signal)->client_fd;
}

void vmb_signal_given(struct vmb_signal *signal)
{
	local_of(signal)->given = true;
}

void vmb_signal_close(struct vmb_signal *signal)
{
	struct local_signal *l = local_of(signal);
	const int fds[] = {l->kick_fd, l->client_fd, l->notify_fd};

	vmb_signal_unbind(signal);
	shutdown(l->notify_fd, SHUT_RDWR); /* is heard at once */
	for (unsigned i = 0; i < vmb_array_size(fds); i++) {
		if (l->given)
			vmb_close_later(&l->t->closing, fds[i]);
		else
			close(fds[i]);
	}
	free(l);
}
