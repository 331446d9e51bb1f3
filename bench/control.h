/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control.h - what client and server of a pair tell each other beside the
 * measured messages, as messages of their own. 0 or -errno.
 */
#ifndef BENCH_CONTROL_H
#define BENCH_CONTROL_H

#include "side.h"
#include "syscalls.h"

enum bench_control {
	BENCH_CONTROL_JOB = 1, /* client: struct bench_job */
	BENCH_CONTROL_READY,   /* server: struct bench_ready */
	BENCH_CONTROL_RESULT,  /* server: struct bench_result */
};

/* The server has posted what the job needs, or cannot. */
struct bench_ready {
	int32_t code;
	uint32_t reserved;
};

struct bench_result {
	int32_t code;
	uint32_t reserved;
	int64_t syscalls; /* BENCH_NOT_COUNTED */
	int64_t cpu_ns;	  /* -1: not known */
};

int bench_control_send(struct bench_side *s, enum bench_control kind,
		       const void *data, size_t len);
/* Exactly len bytes, or -EPROTO. source may be NULL. */
int bench_control_receive(struct bench_side *s, enum bench_control kind,
			  void *data, size_t len, int timeout_ms,
			  struct vmb_addr *source);

/* Serve jobs of one client after the other; returns when it must give up. */
int bench_server_run(struct bench_side *s, struct bench_syscalls *syscalls);

#endif
