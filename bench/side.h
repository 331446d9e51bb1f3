/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * side.h - one endpoint of a measured pair, and the loops it runs: answer a
 * ping, keep a window of messages under way, take in what arrives. By matched
 * messages or by active messages; spinning or blocking; checked or not.
 *
 * A job says what to do; both sides get the same one. All calls return 0 or
 * -errno; a payload that does not verify is -EBADMSG.
 */
#ifndef BENCH_SIDE_H
#define BENCH_SIDE_H

#include <stdbool.h>
#include <stdint.h>

#include <vmbypass/vmb.h>
#include <vmbypass/vmb_am.h>

#include "calls.h"
#include "options.h"

#define BENCH_WINDOW_MAX 1024
#define BENCH_ARENA_MAX (256u << 20) /* bytes, of each direction */
#define BENCH_AM_ID 7
/* Who hears nothing for so long gives up: -ETIMEDOUT. */
#define BENCH_SILENCE_MS 30000

/* match bits: control messages of the pair, and data */
#define BENCH_MATCH_DATA 1ull
#define BENCH_MATCH_CONTROL (1ull << 63)

enum bench_pattern {
	BENCH_PINGPONG,	     /* client sends, server answers */
	BENCH_STREAM,	     /* client sends, server takes in */
	BENCH_BIDIRECTIONAL, /* both do both */
	BENCH_PATTERNS,
};

#define BENCH_JOB_VERIFY 1u
#define BENCH_JOB_AM 2u
#define BENCH_JOB_COUNT 4u	 /* count system calls */
#define BENCH_JOB_MX 8u		 /* through the calls of MX */
#define BENCH_JOB_ONE_BUFFER 16u /* for all messages of the window */
#define BENCH_JOB_FLAGS 31u

/* What to do. Travels to the server as it is, and is checked there. */
struct bench_job {
	uint32_t pattern; /* enum bench_pattern */
	uint32_t flags;	  /* BENCH_JOB_* */
	uint32_t window;  /* messages under way, at most */
	uint32_t memory;  /* enum bench_memory */
	uint64_t size;	  /* bytes of a message */
	uint64_t iters;	  /* messages of each sender, warm ones included */
	uint64_t warm;	  /* of them, before anything is measured */
	uint64_t arena;	  /* bytes of buffers to hold ready */
	uint64_t seed;
};

/* -EINVAL: a field is out of range. */
int bench_job_check(const struct bench_job *job);
/* Bytes of buffers that a job's window takes, per direction. */
uint64_t bench_job_bytes(const struct bench_job *job);

struct bench_side {
	struct vmb_endpoint *ep;
	struct mx_endpoint *mx;		 /* on top of it, or NULL */
	const struct bench_calls *calls; /* of the job */
	struct vmb_addr peer;
	bool block; /* sleep where there is nothing to do */
	struct bench_job job;
	uint64_t send_seed, recv_seed;

	/* buffers: a slot per message under way, for each direction */
	enum bench_memory memory;
	uint64_t arena_bytes;
	uint8_t *arena[2]; /* send, receive */
	uint64_t stride;   /* 0: one buffer for all */

	uint64_t to_send, to_recv;
	uint64_t sent, finished; /* finished: its memory is free again */
	uint64_t posted, received;
	uint32_t send_at, finish_at, post_at, receive_at; /* in the window */
	/* what the receiver has, when we can see it (set after begin); NULL:
	 * a send counts as finished when its request has completed */
	const uint64_t *delivered;
	int error;		 /* found by a handler */
	uint64_t unexpected_max; /* of the endpoint, set before it is opened */
	uint32_t fruitless;	 /* looks in a row that found nothing */
	uint64_t quiet_ns;	 /* when that began */
	struct vmb_req *send_req[BENCH_WINDOW_MAX];
	struct vmb_req *recv_req[BENCH_WINDOW_MAX];
};

int bench_side_open(struct bench_side *s, enum bench_api api,
		    enum vmb_wait_mode wait, uint32_t id);
void bench_side_close(struct bench_side *s);

/*
 * Prepare buffers and post what the window holds. client: who sends first. A
 * ping-pong has a window of 1.
 */
int bench_side_begin(struct bench_side *s, const struct bench_job *job,
		     bool client);
/* Nothing is left posted after a job that ended well. */
bool bench_side_done(const struct bench_side *s);

/* Send one message; waits for room. In a ping-pong, then post the receive of
 * the answer, unless it is posted. */
int bench_side_send(struct bench_side *s);
/* Take in one message; waits for it. idle: the other side, if it is ours. */
int bench_side_receive(struct bench_side *s, struct bench_side *idle);
/* A bounded share of what is to be sent and received; never waits. */
int bench_side_step(struct bench_side *s);
/* To be asked again and again by who spins: has it been quiet for too long? */
int bench_side_patience(struct bench_side *s, bool moved);
/*
 * Alone, for a side whose peer is another process: until all is done, or so
 * many messages are finished and received, if that comes first.
 */
int bench_side_run(struct bench_side *s, uint64_t until);

#endif
