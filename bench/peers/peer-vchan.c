// SPDX-License-Identifier: BSD-2-Clause
/*
 * peer-vchan.c - libxenvchan as a transport: two byte rings in granted pages
 * of the server, and an event channel.
 *
 * Flow:  peer.c -> [here] -> libxenvchan -> gntalloc, gntdev, evtchn
 * Owns:  one vchan.
 * Trust: libxenvchan checks the ring of the other side.
 */
#include <errno.h>
#include <libxenvchan.h>
#include <stdio.h>
#include <stdlib.h>

#include "peer.h"

/* The server may still be on its way: it writes its nodes when it is ready. */
static int vchan_open(const struct peer_where *where, void **conn)
{
	char *end;
	unsigned long domain = strtoul(where->address, &end, 10);
	struct libxenvchan *v;

	if (*end || !where->name)
		return -EINVAL;
	errno = 0;
	if (where->serve)
		v = libxenvchan_server_init(NULL, (int)domain, where->name,
					    where->ring_bytes,
					    where->ring_bytes);
	else
		v = libxenvchan_client_init(NULL, (int)domain, where->name);
	if (!v)
		return errno ? -errno : -ENOENT;
	*conn = v;
	return 0;
}

/* 0: nothing could be moved and the other side has gone. */
static int moved(const struct libxenvchan *v, int done, bool *gone)
{
	*gone = !done && libxenvchan_is_open((struct libxenvchan *)v) == 0;
	return done;
}

static int vchan_send(void *conn, const void *buf, size_t len, bool spin)
{
	struct libxenvchan *v = conn;
	const uint8_t *at = buf;
	bool gone;

	v->blocking = !spin;
	while (len) {
		int done = moved(v, libxenvchan_write(v, at, len), &gone);

		if (done < 0 || gone)
			return -EPIPE;
		at += done;
		len -= (size_t)done;
	}
	return 0;
}

static int vchan_receive(void *conn, void *buf, size_t len, bool spin)
{
	struct libxenvchan *v = conn;
	uint8_t *at = buf;
	bool gone;

	v->blocking = !spin;
	while (len) {
		int done = moved(v, libxenvchan_read(v, at, len), &gone);

		if (done < 0 || gone)
			return -EPIPE;
		at += done;
		len -= (size_t)done;
	}
	return 0;
}

static void vchan_close(void *conn)
{
	libxenvchan_close(conn);
}

int main(int argc, char **argv)
{
	static const struct peer_transport transport = {
		.name = "vchan",
		.doc = "libxenvchan",
		.open = vchan_open,
		.send = vchan_send,
		.receive = vchan_receive,
		.close = vchan_close,
	};

	return peer_main(&transport, argc, argv);
}
