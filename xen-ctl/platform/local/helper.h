/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * helper.h - work that a hostile client can make long, done off the control
 * thread: reading its memory (a page fault that user space answers), dropping
 * a file that it sent (a socket that lingers), closing one (a FUSE server that
 * is asked to flush).
 *
 * One short-lived thread per job, so that a stuck one holds up only itself.
 * There are two kinds: those that are easily made endless, and those that
 * end, by a signal at the latest, unless somebody takes great pains. At most
 * HELPERS_PER_USER of a user and kind run at once, the others queue; a user
 * with that many stuck ones, or a long queue behind them, is not served any
 * further (vmb_helper_refuses()).
 */
#ifndef VMB_PLATFORM_LOCAL_HELPER_H
#define VMB_PLATFORM_LOCAL_HELPER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/list.h"

#define HELPERS_MAX 256 /* of a kind */
#define HELPERS_PER_USER 8
#define HELPERS_QUEUED_ENDLESS 64 /* of a user */
#define HELPERS_QUEUED_SHORT 512  /* many clients may leave at once */

struct vmb_helper;

/* Embedded in what the job works on; owned by the helper until done(). */
struct vmb_helper_job {
	void (*run)(struct vmb_helper_job *job);  /* in a thread of its own */
	void (*done)(struct vmb_helper_job *job); /* control thread, after */
	uid_t uid;				  /* on whose account */
	bool endless;				  /* perhaps */
	bool interrupt; /* by a signal, now and then, while it runs */
	struct vmb_helper *helper;
	struct vmb_list node; /* control thread: waiting or running */
	struct vmb_list done_node;
	uint64_t started_ns;
	pthread_t thread;
	bool ended; /* the thread may be gone; under the helper's lock */
};

/* SIGURG of this process is taken: a handler that does nothing. */
int vmb_helper_open(sd_event *event, struct vmb_helper **helper);
/*
 * Those that end run to their end. done() is called for what ended, or never
 * ran: then a descriptor that was to be closed is left to the exit. Jobs that
 * are stuck keep what they need and end with the process.
 */
void vmb_helper_close(struct vmb_helper *helper);

/* done() is never called from inside. */
void vmb_helper_start(struct vmb_helper *helper, struct vmb_helper_job *job);

/* Does this user have too much that does not end to be served any further? */
bool vmb_helper_refuses(const struct vmb_helper *helper, uid_t uid);

#endif
