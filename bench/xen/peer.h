/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer.h - the same measurements as vmb-perf makes, over something else that
 * connects two guests: what vmbypass is compared with.
 *
 *   main():  peer_main(&transport)   argp, one job after the other, report
 *
 * A transport moves bytes in order. Client and server tell each other what to
 * do over the transport itself, as the pair of pair.h does.
 */
#ifndef BENCH_XEN_PEER_H
#define BENCH_XEN_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the user said about the connection; text is a transport's to check. */
struct peer_where {
	bool serve;
	const char *address; /* --connect or --from: whom to talk to */
	const char *name;    /* --name: port, or xenstore path */
	size_t ring_bytes;   /* --ring */
};

/*
 * All calls return 0 or -errno. spin: look again and again, without sleeping,
 * where the transport has nothing; else sleep. send and receive move exactly
 * len bytes; receive is -EPIPE when the other side has gone.
 */
struct peer_transport {
	const char *name; /* of the results: "tcp" */
	const char *doc;  /* for --help, after "over" */
	int (*open)(const struct peer_where *where, void **conn);
	int (*send)(void *conn, const void *buf, size_t len, bool spin);
	int (*receive)(void *conn, void *buf, size_t len, bool spin);
	void (*close)(void *conn);
};

/* Exit status. A server serves one client and ends with it. */
int peer_main(const struct peer_transport *transport, int argc, char **argv);

#endif
