// SPDX-License-Identifier: BSD-2-Clause
/*
 * socket.c - bytes over a connected stream socket.
 *
 * Flow:  peer-tcp, peer-unix -> [here] -> send(2), recv(2)
 * Owns:  the socket.
 * Trust: bytes are bytes; what they mean is checked above.
 */
#include "socket.h"

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

/* done: what a call moved; ends a spinning wait or fails. */
static bool again(ssize_t done, bool spin)
{
	return done < 0 && (errno == EINTR || (spin && (errno == EAGAIN ||
							errno == EWOULDBLOCK)));
}

int peer_socket_send(void *conn, const void *buf, size_t len, bool spin)
{
	const struct peer_socket *socket = conn;
	const uint8_t *at = buf;

	while (len) {
		ssize_t done = send(socket->fd, at, len,
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

int peer_socket_receive(void *conn, void *buf, size_t len, bool spin)
{
	const struct peer_socket *socket = conn;
	uint8_t *at = buf;

	while (len) {
		ssize_t done =
			recv(socket->fd, at, len, spin ? MSG_DONTWAIT : 0);

		if (again(done, spin))
			continue;
		if (done <= 0)
			return done ? -errno : -EPIPE;
		at += done;
		len -= (size_t)done;
	}
	return 0;
}

void peer_socket_close(void *conn)
{
	const struct peer_socket *socket = conn;

	close(socket->fd);
}
