/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * beside.h - endpoints that are open beside a measured pair and silent: each
 * has sent one of the pair a message, and has a lane to it if there are lanes.
 */
#ifndef BENCH_BESIDE_H
#define BENCH_BESIDE_H

#include <vmbypass/vmb.h>

struct bench_beside {
	unsigned count;		  /* to open */
	struct vmb_endpoint **ep; /* count of them */
	unsigned open;
	unsigned lanes; /* of them have one */
};

/* count endpoints that are known to `to`. On failure some may be open. */
int bench_beside_open(struct bench_beside *b, struct vmb_endpoint *to);
void bench_beside_close(struct bench_beside *b);

#endif
