// SPDX-License-Identifier: BSD-2-Clause
/*
 * talk.c - see talk.h.
 *
 * Flow:  client.c has a line -> may it? -> the log, or a count -> a second later
 *        the count, in the log
 * Owns:  a small table of those who were heard of last. It is no part of
 *        user.c's records: these end with the last client of a user, and one who
 *        comes and goes would begin anew each time.
 * Trust: the kernel says whose a client is, the toolstack what a guest is called.
 */
#include "talk.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"
#include "daemon.h"
#include "guest.h"

/* Neither of a user nor of a guest is it ever 0. */
#define OWNER_USER (1ull << 32)
#define OWNER_GUEST (2ull << 32)

static void say_rest(struct vmbd_talker *t)
{
	if (t->unsaid[VMBD_TALK_COMING])
		vmb_info("%s: clients came or left %u more times", t->name,
			 t->unsaid[VMBD_TALK_COMING]);
	if (t->unsaid[VMBD_TALK_WARNING])
		vmb_warn("%s: %u more warnings", t->name,
			 t->unsaid[VMBD_TALK_WARNING]);
	memset(t->unsaid, 0, sizeof(t->unsaid));
}

static void say_all(struct vmbd_talk *talk)
{
	for (unsigned i = 0; i < VMBD_TALKERS; i++)
		say_rest(&talk->talkers[i]);
	talk->later = sd_event_source_unref(talk->later);
}

static int on_later(sd_event_source *source, uint64_t now_us, void *arg)
{
	(void)source;
	(void)now_us;
	say_all(arg);
	return 0;
}

/* Without a timer it is told with what comes next, or at the end. */
static void tell_later(struct vmbd *d)
{
	if (!d->talk.later)
		sd_event_add_time_relative(d->event, &d->talk.later,
					   CLOCK_MONOTONIC, 1000000, 0,
					   on_later, &d->talk);
}

static void give(struct vmbd_talker *t, uint64_t owner,
		 const struct vmb_credentials *who)
{
	say_rest(t);
	*t = (struct vmbd_talker){.owner = owner};
	if (who->guest)
		snprintf(t->name, sizeof(t->name), "guest %s",
			 who->guest->who.name);
	else
		snprintf(t->name, sizeof(t->name), "user %u",
			 (unsigned)who->uid);
}

/*
 * The owner's own, or that of whom nothing was heard for longest. Where all have
 * had lines in this second the log is busy enough: then owners share.
 */
static struct vmbd_talker *talker_of(struct vmbd_talk *talk,
				     const struct vmb_credentials *who,
				     uint64_t second)
{
	uint64_t owner = who->guest ? OWNER_GUEST | who->guest->who.id
				    : OWNER_USER | who->uid;
	struct vmbd_talker *oldest = &talk->talkers[0];

	for (unsigned i = 0; i < VMBD_TALKERS; i++) {
		struct vmbd_talker *t = &talk->talkers[i];

		if (t->owner == owner)
			return t;
		if (t->second < oldest->second)
			oldest = t;
	}
	if (oldest->second == second)
		return &talk->talkers[owner % VMBD_TALKERS];
	give(oldest, owner, who);
	return oldest;
}

bool vmbd_talk_may(struct vmbd *d, const struct vmb_credentials *who,
		   enum vmbd_talk_kind kind)
{
	uint64_t second = vmb_now_ns() / 1000000000u;
	struct vmbd_talker *t = talker_of(&d->talk, who, second);

	if (t->second != second) {
		t->second = second;
		memset(t->said, 0, sizeof(t->said));
	}
	if (t->said[kind] < VMBD_TALK_LINES) {
		t->said[kind]++;
		return true;
	}
	t->unsaid[kind]++;
	tell_later(d);
	return false;
}

void vmbd_talk_close(struct vmbd *d)
{
	say_all(&d->talk);
}
