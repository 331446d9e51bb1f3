/* SPDX-License-Identifier: BSD-2-Clause */
/* job.h - one measurement over a transport, from either side. 0 or -errno. */
#ifndef BENCH_PEERS_JOB_H
#define BENCH_PEERS_JOB_H

#include "../point.h"
#include "../syscalls.h"
#include "peer.h"

#define PEER_SIZE_MAX (16u << 20)
#define PEER_ARENA_MAX (256u << 20) /* bytes, of each direction */

#define PEER_JOB_STREAM 1u /* client sends only; else ping-pong */
#define PEER_JOB_SPIN 2u
#define PEER_JOB_VERIFY 4u
#define PEER_JOB_COUNT 8u	/* count system calls */
#define PEER_JOB_ONE_BUFFER 16u /* for all messages of the window */
#define PEER_JOB_FLAGS 31u

/* Travels to the server as it is, and is checked there. */
struct peer_job {
	uint32_t flags;	   /* PEER_JOB_* */
	uint32_t window;   /* messages under way, at most; 1 in a ping-pong */
	uint64_t size;	   /* bytes of a message */
	uint64_t iters;	   /* messages, warm ones included; 0: the last job */
	uint64_t warm;	   /* of them, before anything is measured */
	uint64_t seed;	   /* of the payloads */
	uint64_t pause_ns; /* of the client, before the first measured one */
};

struct peer_side {
	const struct peer_transport *transport;
	void *conn;
	struct bench_syscalls syscalls;
	/* a slot per message under way, for each direction */
	uint8_t *arena[2]; /* send, receive */
	uint64_t arena_bytes;
};

/* Bytes of buffers that a job's window takes, per direction. */
uint64_t peer_job_bytes(const struct peer_job *job);

int peer_side_open(struct peer_side *s, const struct peer_transport *transport,
		   const struct peer_where *where,
		   enum bench_count_method count);
void peer_side_close(struct peer_side *s);

/*
 * Client: one job; what it gave is in *r. A wrong payload is -EBADMSG.
 */
int peer_job_run(struct peer_side *s, const struct peer_job *job,
		 struct bench_round *r);
/* Client: tell the server that there is nothing more. */
int peer_job_end(struct peer_side *s);
/* Server: jobs until the client says so. */
int peer_job_serve(struct peer_side *s);

#endif
