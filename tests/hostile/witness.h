/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * witness.h - a daemon with a good client: whatever others do, the witness is
 * served, and at the end the daemon holds what it held before.
 */
#ifndef TESTS_HOSTILE_WITNESS_H
#define TESTS_HOSTILE_WITNESS_H

#include "support/daemon.h"
#include "support/raw.h"

struct t_witness {
	struct t_daemon daemon;
	int fd; /* its control socket */
	struct t_raw_endpoint ep;
	struct t_raw_usage before;
};
extern struct t_witness t_witness;

/* Fixtures of a test case. The end compares, and fails what leaked. */
void t_witness_start(void);
void t_witness_stop(void);

/* Does this process hold what it held? Fails when something leaked. */
void t_usage_is_as_before(pid_t pid, const struct t_raw_usage *before);

/* One round through the engine and through the control thread. */
void t_witness_is_served(void);

/* A request that would be good if its values were. */
void t_request_fill(union vmb_ctl_any *msg, uint32_t op);

/*
 * A page whose first access never ends, in the kernel neither, until *uffd is
 * closed. NULL: this machine has none.
 */
void *t_endless_memory(int *uffd);

#endif
