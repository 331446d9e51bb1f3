// SPDX-License-Identifier: BSD-2-Clause
/*
 * peer-tcp.c - a TCP connection as a transport: between two guests that is
 * netfront, netback, the bridge of dom0, and the same back.
 *
 * Flow:  peer.c -> [here] -> sockets
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

struct tcp {
	int fd;
};

static int resolve(const struct peer_where *where, struct addrinfo **found)
{
	const struct addrinfo hints = {.ai_family = AF_INET,
				       .ai_socktype = SOCK_STREAM};

	return getaddrinfo(where->address, where->name ? where->name : "7000",
			   &hints, found)
		       ? -EINVAL
		       : 0;
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

static int tcp_open(const struct peer_where *where, void **conn)
{
	static struct tcp tcp;
	struct addrinfo *found;
	int one = 1, ret = resolve(where, &found);

	if (ret)
		return ret;
	ret = where->serve ? client_accept(found, &tcp.fd)
			   : server_connect(found, &tcp.fd);
	freeaddrinfo(found);
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

/* done: what a call moved; ends a spinning wait or fails. */
static bool again(ssize_t done, bool spin)
{
	return done < 0 && (errno == EINTR || (spin && (errno == EAGAIN ||
							errno == EWOULDBLOCK)));
}

static int tcp_send(void *conn, const void *buf, size_t len, bool spin)
{
	const struct tcp *tcp = conn;
	const uint8_t *at = buf;

	while (len) {
		ssize_t done = send(tcp->fd, at, len,
				    MSG_NOSIGNAL | (spin ? MSG_DONTWAIT : 0));

		if (again(done, spin))
			continue;
		if (done < 0)
			return -errno;
		at += done;
		len -= (size_t)done;
	}
	return 0;
}

static int tcp_receive(void *conn, void *buf, size_t len, bool spin)
{
	const struct tcp *tcp = conn;
	uint8_t *at = buf;

	while (len) {
		ssize_t done = recv(tcp->fd, at, len, spin ? MSG_DONTWAIT : 0);

		if (again(done, spin))
			continue;
		if (done <= 0)
			return done ? -errno : -EPIPE;
		at += done;
		len -= (size_t)done;
	}
	return 0;
}

static void tcp_close(void *conn)
{
	const struct tcp *tcp = conn;

	close(tcp->fd);
}

int main(int argc, char **argv)
{
	static const struct peer_transport transport = {
		.name = "tcp",
		.doc = "TCP",
		.open = tcp_open,
		.send = tcp_send,
		.receive = tcp_receive,
		.close = tcp_close,
	};

	return peer_main(&transport, argc, argv);
}
