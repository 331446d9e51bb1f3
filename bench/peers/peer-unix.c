// SPDX-License-Identifier: BSD-2-Clause
/*
 * peer-unix.c - a pair of AF_UNIX stream sockets as a transport: what two
 * processes of one machine use when they use nothing special.
 *
 * Flow:  peer.c -> [here] -> socket.c
 * Owns:  the pair, until each side has its half.
 * Trust: bytes are bytes; what they mean is checked above.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"
#include "socket.h"

static int pair[2];

static int unix_listen(const struct peer_where *where)
{
	(void)where;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ? -errno
									: 0;
}

static int unix_open(const struct peer_where *where, void **conn)
{
	static struct peer_socket half;

	if (!where->local)
		return -EINVAL;
	half.fd = pair[where->serve];
	close(pair[!where->serve]); /* or we would never hear the other's end */
	*conn = &half;
	return 0;
}

int main(int argc, char **argv)
{
	static const struct peer_transport transport = {
		.name = "unix",
		.doc = "AF_UNIX",
		.traits = PEER_ONLY_LOCAL,
		.listen = unix_listen,
		.open = unix_open,
		.send = peer_socket_send,
		.receive = peer_socket_receive,
		.close = peer_socket_close,
	};

	return peer_main(&transport, argc, argv);
}
