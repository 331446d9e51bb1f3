/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * talk.h - how much the log says of one user, or of one guest: so many lines a
 * second, then how many more there were. Who comes and goes all the time, or is
 * refused all the time, under ever new client numbers, fills no disk with it.
 */
#ifndef VMBD_TALK_H
#define VMBD_TALK_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "platform/platform.h"

#define VMBD_TALK_LINES 16u /* a second, of a kind */
#define VMBD_TALKERS 16u    /* told apart at once; more than that share */

struct vmbd;

enum vmbd_talk_kind {
	VMBD_TALK_COMING, /* and going */
	VMBD_TALK_WARNING,
	VMBD_TALK_KINDS,
};

struct vmbd_talk {
	struct vmbd_talker {
		uint64_t owner; /* see talk.c; 0: nobody yet */
		char name[VMB_NAME_BYTES + 8];
		uint64_t second; /* in which it was last heard of */
		unsigned said[VMBD_TALK_KINDS];
		unsigned unsaid[VMBD_TALK_KINDS];
	} talkers[VMBD_TALKERS];
	sd_event_source *later; /* NULL, or it tells what is unsaid */
};

/* May this second have one more line of them? If not, it is counted. */
bool vmbd_talk_may(struct vmbd *d, const struct vmb_credentials *who,
		   enum vmbd_talk_kind kind);

/* At the end: what is still unsaid. */
void vmbd_talk_close(struct vmbd *d);

#endif
