/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer.h - the same measurements as vmb-perf makes, over something else that
 * connects two guests or two processes: what vmbypass is compared with.
 *
 *   main():  peer_main(&transport)   argp, one job after the other, report
 *
 * A transport moves bytes in order, or messages. Client and server tell each
 * other what to do over the transport itself, as the pair of pair.h does.
 */
#ifndef BENCH_PEERS_PEER_H
#define BENCH_PEERS_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_WINDOW_MAX 1024 /* messages under way */

/* What the user said about the connection; text is a transport's to check. */
struct peer_where {
	bool serve;
	bool local;	     /* both sides here, between listen and close */
	const char *address; /* --serve or --connect: whom to talk to */
	const char *name;    /* --name: port, or path */
	size_t ring_bytes;   /* --ring */
};

enum peer_trait {
	PEER_MESSAGES = 1,  /* keeps them apart: one may be empty */
	PEER_NO_BLOCK = 2,  /* cannot sleep until a message comes */
	PEER_BY_LAUNCH = 4, /* its launcher starts both sides: no --local */
	PEER_ONLY_LOCAL = 8,
};

enum peer_direction {
	PEER_SEND,
	PEER_RECEIVE,
};

/*
 * All calls return 0 or -errno. spin: look again and again, without sleeping,
 * where the transport has nothing; else sleep. send and receive move exactly
 * len bytes; receive is -EPIPE when the other side has gone.
 *
 * start begins to send or to receive a message and finish waits for it: slots
 * 0..PEER_WINDOW_MAX-1 are the caller's numbers of those under way. NULL: one
 * message after the other, by send and receive.
 */
struct peer_transport {
	const char *name; /* of the results: "tcp" */
	const char *doc;  /* for --help, after "over" */
	unsigned traits;  /* enum peer_trait */
	/* --local, before the two sides part: client can connect. Or NULL */
	int (*listen)(const struct peer_where *where);
	int (*open)(const struct peer_where *where, void **conn);
	int (*send)(void *conn, const void *buf, size_t len, bool spin);
	int (*receive)(void *conn, void *buf, size_t len, bool spin);
	int (*start)(void *conn, enum peer_direction direction, unsigned slot,
		     void *buf, size_t len);
	int (*finish)(void *conn, unsigned slot, bool spin);
	void (*close)(void *conn);
};

/* Exit status. A server serves one client and ends with it. */
int peer_main(const struct peer_transport *transport, int argc, char **argv);

#endif
