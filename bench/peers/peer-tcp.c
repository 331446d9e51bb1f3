// SPDX-License-Identifier: BSD-2-Clause
/*
 * peer-tcp.c - a TCP connection as a transport: between two guests that is
 * netfront, netback, the bridge of dom0, and the same back; with --local the
 * loopback interface.
 *
 * Flow:  peer.c -> [here] -> socket.c
 * Owns:  one connected socket.
 * Trust: bytes are bytes; what they mean is checked above.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"
#include "socket.h"

/* --local: listens on a free port until the two have met */
static int local_listener = -1;

static int resolve(const struct peer_where *where, struct addrinfo **found)
{
	const struct addrinfo hints = {.ai_family = AF_INET,
				       .ai_socktype = SOCK_STREAM};

	return getaddrinfo(where->address, where->name ? where->name : "7000",
			   &hints, found)
		       ? -EINVAL
		       : 0;
}

/* Port 0 takes a free one: the client's user has to know which. */
static int port_tell(int listener)
{
	struct sockaddr_in at;
	socklen_t len = sizeof(at);

	if (getsockname(listener, (struct sockaddr *)&at, &len))
		return -errno;
	printf("serving; the peer runs with --name %u\n", ntohs(at.sin_port));
	fflush(stdout);
	return 0;
}

/* Listens on all addresses, and takes the one client from where->address. */
static int client_accept(const struct addrinfo *from, int *fd)
{
	struct sockaddr_in any = *(struct sockaddr_in *)from->ai_addr, peer;
	const struct in_addr want = any.sin_addr;
	socklen_t len = sizeof(peer);
	int one = 1, ret = 0;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0)
		return -errno;
	any.sin_addr.s_addr = INADDR_ANY;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&any, sizeof(any)) ||
	    listen(listener, 1)) {
		ret = -errno;
		goto err_close;
	}
	ret = any.sin_port ? 0 : port_tell(listener);
	if (ret)
		goto err_close;
	*fd = accept4(listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);
	if (*fd < 0)
		ret = -errno;
	else if (peer.sin_addr.s_addr != want.s_addr) {
		close(*fd);
		ret = -EACCES;
	}
err_close:
	close(listener);
	return ret;
}

static int server_connect(const struct addrinfo *to, int *fd)
{
	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return -errno;
	if (connect(*fd, to->ai_addr, to->ai_addrlen)) {
		int ret = -errno;

		close(*fd);
		return ret;
	}
	return 0;
}

static int tcp_listen(const struct peer_where *where)
{
	const struct sockaddr_in loopback = {.sin_family = AF_INET,
					     .sin_addr.s_addr =
						     htonl(INADDR_LOOPBACK)};
	int ret = 0;

	(void)where;
	local_listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (local_listener < 0)
		return -errno;
	if (bind(local_listener, (const struct sockaddr *)&loopback,
		 sizeof(loopback)) ||
	    listen(local_listener, 1)) {
		ret = -errno;
		close(local_listener);
	}
	return ret;
}

static int local_connect(const struct peer_where *where, int *fd)
{
	struct sockaddr_in at;
	struct addrinfo to = {.ai_addr = (struct sockaddr *)&at,
			      .ai_addrlen = sizeof(at)};
	int ret;

	if (where->serve) {
		*fd = accept4(local_listener, NULL, NULL, SOCK_CLOEXEC);
		ret = *fd < 0 ? -errno : 0;
	} else if (getsockname(local_listener, to.ai_addr, &to.ai_addrlen)) {
		ret = -errno;
	} else {
		ret = server_connect(&to, fd);
	}
	close(local_listener);
	return ret;
}

static int remote_connect(const struct peer_where *where, int *fd)
{
	struct addrinfo *found;
	int ret = resolve(where, &found);

	if (ret)
		return ret;
	ret = where->serve ? client_accept(found, fd)
			   : server_connect(found, fd);
	freeaddrinfo(found);
	return ret;
}

static int tcp_open(const struct peer_where *where, void **conn)
{
	static struct peer_socket tcp;
	int one = 1;
	int ret = where->local ? local_connect(where, &tcp.fd)
			       : remote_connect(where, &tcp.fd);

	if (ret)
		return ret;
	/* a small message must not wait for the answer to the one before */
	if (setsockopt(tcp.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one))) {
		ret = -errno;
		close(tcp.fd);
		return ret;
	}
	*conn = &tcp;
	return 0;
}

int main(int argc, char **argv)
{
	static const struct peer_transport transport = {
		.name = "tcp",
		.doc = "TCP",
		.listen = tcp_listen,
		.open = tcp_open,
		.send = peer_socket_send,
		.receive = peer_socket_receive,
		.close = peer_socket_close,
	};

	return peer_main(&transport, argc, argv);
}
