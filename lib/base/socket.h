/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * socket.h - Unix sockets that carry file descriptors, as the control channel
 * and the tools use them. Nothing here raises SIGPIPE; every descriptor is
 * close-on-exec.
 */
#ifndef VMB_BASE_SOCKET_H
#define VMB_BASE_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#define VMB_SOCKET_FDS 4 /* descriptors taken with one packet, at most */

/* What one receive brought. The descriptors belong to who received them. */
struct vmb_socket_packet {
	size_t len;	/* bytes; 0: the other side has closed */
	bool truncated; /* there was more, of bytes or of descriptors */
	unsigned fd_count;
	int fds[VMB_SOCKET_FDS];
};

/*
 * Connect to the listener at path; type: SOCK_STREAM or SOCK_SEQPACKET.
 * -ENAMETOOLONG; -ENOENT, -ECONNREFUSED: nobody listens; -EACCES;
 * -ETIMEDOUT: its queue stayed full.
 */
int vmb_socket_connect(const char *path, int type, int timeout_ms, int *fd);

/*
 * Who listens at the other end, as the kernel says. Anybody can do so in /tmp.
 * -EACCES: it is neither our own user nor root; peer is filled in then, too.
 */
int vmb_socket_peer(int fd, struct ucred *peer);

/* Send without waiting, with one descriptor unless pass is -1. -EAGAIN. */
int vmb_socket_send(int fd, const void *buf, size_t len, int pass);

/* Receive without waiting. -EAGAIN: nothing is there. */
int vmb_socket_receive(int fd, void *buf, size_t size,
		       struct vmb_socket_packet *packet);

void vmb_socket_close_fds(struct vmb_socket_packet *packet);

#endif
