// SPDX-License-Identifier: BSD-2-Clause
/*
 * frame.c - frames over a TCP connection; see far.h.
 *
 * Flow:  near.c <-> [here] <-> far.c
 * Owns:  nothing.
 * Trust: the other half. A connection that ends ends the process.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conform/far.h"

static void put(int fd, const void *bytes, size_t len, int flags)
{
	const char *p = bytes;

	while (len) {
		ssize_t n = send(fd, p, len, flags | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			fprintf(stderr, "conform: the other half is gone: %s\n",
				strerror(errno));
			_exit(EXIT_FAILURE);
		}
		p += n;
		len -= (size_t)n;
	}
}

static void get(int fd, void *bytes, size_t len)
{
	char *p = bytes;

	while (len) {
		ssize_t n = recv(fd, p, len, MSG_WAITALL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) /* so does every test end */
			_exit(n ? EXIT_FAILURE : EXIT_SUCCESS);
		p += n;
		len -= (size_t)n;
	}
}

void far_send(int fd, struct far_frame *frame, const void *payload, size_t len)
{
	frame->bytes = (uint32_t)len;
	put(fd, frame, sizeof(*frame), len ? MSG_MORE : 0);
	put(fd, payload, len, 0);
}

void far_receive(int fd, struct far_frame *frame, struct far_payload *payload)
{
	get(fd, frame, sizeof(*frame));
	free(payload->bytes);
	payload->len = frame->bytes;
	payload->bytes = malloc(payload->len + 1);
	get(fd, payload->bytes, payload->len);
}
