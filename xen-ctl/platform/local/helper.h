/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * helper.h - work that a hostile client can make endless, done off the
 * control thread: reading its memory (a page fault that user space answers),
 * closing a file it sent (a FUSE server that is asked to flush).
 *
 * One short-lived thread per job, so that a stuck one holds up only itself.
 * At most HELPERS_PER_USER of a user run at once, the others of that user
 * queue; a user with that many stuck ones is not served any further
 * (vmb_helper_is_stuck()).
 */
#ifndef VMB_PLATFORM_LOCAL_HELPER_H
#define VMB_PLATFORM_LOCAL_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/list.h"

#define HELPERS_MAX 256
#define HELPERS_PER_USER 8

struct vmb_helper;

/* Embedded in what the job works on; owned by the helper until done(). */
struct vmb_helper_job {
	void (*run)(struct vmb_helper_job *job);  /* in a thread of its own */
	void (*done)(struct vmb_helper_job *job); /* control thread, after */
	uid_t uid;				  /* on whose account */
	struct vmb_helper *helper;
	struct vmb_list node; /* control thread: waiting or running */
	struct vmb_list done_node;
	uint64_t started_ns;
};

int vmb_helper_open(sd_event *event, struct vmb_helper **helper);
/*
 * done() is called for what ended or never ran. Jobs that are stuck keep what
 * they need and end with the process.
 */
void vmb_helper_close(struct vmb_helper *helper);

void vmb_helper_start(struct vmb_helper *helper, struct vmb_helper_job *job);

/* Are all places of this user taken by jobs that do not end? */
bool vmb_helper_is_stuck(const struct vmb_helper *helper, uid_t uid);

#endif
