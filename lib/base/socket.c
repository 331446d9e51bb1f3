// SPDX-License-Identifier: BSD-2-Clause
/* socket.c - see socket.h. */
#include "base/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* Room for one control message with n descriptors, suitably aligned. */
#define CONTROL_BUFFER(name, n)                           \
	union {                                           \
		struct cmsghdr head;                      \
		char room[CMSG_SPACE((n) * sizeof(int))]; \
	} name

int vmb_socket_connect(const char *path, int type, int timeout_ms, int *fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = timeout_ms / 1000,
				.tv_usec = timeout_ms % 1000 * 1000};
	int s, err;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	s = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (s < 0)
		return -errno;
	/* bounds the wait for a place in the listener's queue */
	if (setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ||
	    connect(s, (struct sockaddr *)&address, sizeof(address))) {
		err = errno == EAGAIN ? -ETIMEDOUT : -errno;
		close(s);
		return err;
	}
	*fd = s;
	return 0;
}

int vmb_socket_peer(int fd, struct ucred *peer)
{
	socklen_t len = sizeof(*peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &len))
		return -errno;
	return peer->uid == 0 || peer->uid == geteuid() ? 0 : -EACCES;
}

int vmb_socket_send(int fd, const void *buf, size_t len, int pass)
{
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	CONTROL_BUFFER(control, 1) = {0};

	if (pass >= 0) {
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(pass));
		memcpy(CMSG_DATA(&control.head), &pass, sizeof(pass));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	if (sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}

/* What does not fit in the control buffer the kernel has closed already. */
static void take_fds(struct msghdr *msg, struct vmb_socket_packet *packet)
{
	struct cmsghdr *c;
	size_t n;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(packet->fds, CMSG_DATA(c), n * sizeof(int));
		packet->fd_count = (unsigned)n;
	}
}

int vmb_socket_receive(int fd, void *buf, size_t size,
		       struct vmb_socket_packet *packet)
{
	CONTROL_BUFFER(control, VMB_SOCKET_FDS);
	struct iovec iov = {.iov_base = buf, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	ssize_t n;

	n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	packet->len = (size_t)n;
	packet->truncated = msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC);
	packet->fd_count = 0;
	take_fds(&msg, packet);
	return 0;
}

void vmb_socket_close_fds(struct vmb_socket_packet *packet)
{
	while (packet->fd_count)
		close(packet->fds[--packet->fd_count]);
}
