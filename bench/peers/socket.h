/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * socket.h - the moving part of the transports that are a connected stream
 * socket. conn is a struct peer_socket; calls as in struct peer_transport.
 */
#ifndef BENCH_PEERS_SOCKET_H
#define BENCH_PEERS_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

struct peer_socket {
	int fd;
};

int peer_socket_send(void *conn, const void *buf, size_t len, bool spin);
int peer_socket_receive(void *conn, void *buf, size_t len, bool spin);
void peer_socket_close(void *conn);

#endif
