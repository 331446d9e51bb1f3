/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * calls.h - the calls that a pair is measured through: vmb.h, or MX on top of
 * the same endpoint.
 */
#ifndef BENCH_CALLS_H
#define BENCH_CALLS_H

#include <stdint.h>

#include <vmbypass/vmb.h>

struct bench_side;

enum bench_api {
	BENCH_API_VMB,
	BENCH_API_MX,
	BENCH_APIS,
};

extern const char *const bench_api_names[BENCH_APIS + 1];

/* How a request ended: 0 or -errno, and its bytes. */
struct bench_outcome {
	int code;
	uint64_t len;
};

/* A request is the same pointer in both. All return 0 or -errno. */
struct bench_calls {
	/* req NULL: forget at once */
	int (*send)(struct bench_side *s, void *data, uint64_t len,
		    struct vmb_req **req);
	int (*receive)(struct bench_side *s, void *data, uint64_t len,
		       struct vmb_req **req);
	/* timeout_ms 0: test */
	int (*wait)(struct bench_side *s, struct vmb_req **req, int timeout_ms,
		    struct bench_outcome *outcome, int *done);
	int (*progress)(struct bench_side *s);
};

extern const struct bench_calls bench_calls[BENCH_APIS];

/* Attach this process, and open an endpoint: an MX one has s->mx. */
int bench_api_attach(enum bench_api api, enum vmb_wait_mode wait);
void bench_api_detach(enum bench_api api);
int bench_api_open(enum bench_api api, struct bench_side *s,
		   enum vmb_wait_mode wait, uint32_t id);
void bench_api_close(struct bench_side *s);

#endif
