// SPDX-License-Identifier: BSD-2-Clause
/*
 * turns.c - processes that take turns on processors: whether to stand by for an
 * answer, or to give the processor to another process first.
 *
 * Flow:  vmb_progress() of who yields -> [here] -> `away` of lanes
 * Owns:  `away` of the lanes to us; of a lane from us, how much it is doubted.
 * Trust: `away` of the other side is a hint: its lies cost us looks, of which
 *        the caller makes no more than so many.
 *
 * A peer that looks for messages in this moment answers sooner than the
 * processor would come back. One that is away has to get a processor first,
 * maybe ours. But where pairs on two processors are out of step, each finds its
 * peer away, both yield, both processors go on to the next pair, and so for ever.
 * So one stands by even though its peer is away, for as long as a turn takes.
 * When that was in vain the peer is doubted: it is done one time in two, in four
 * and so on, at random, as two that do it at once do not help each other. One
 * that shares our processor never comes meanwhile, and soon is left alone. So is
 * one that never says that it is away, but computes for long: of both kinds of
 * standing by it is known apart how often they were in vain.
 * Numbers: decision 0026.
 */
#include "am/lane.h"

#define DOUBT_MOST 6u /* one time in 64 */

static void set_away(struct vmb_am *am, bool away)
{
	struct vmb_list *pos;

	am->lanes.away = away;
	vmb_list_each (pos, &am->lanes.hot) {
		struct vmb_lane_in *in =
			vmb_container_of(pos, struct vmb_lane_in, node);

		vmb_store_relaxed(&in->ctl->away, (uint32_t)away);
	}
}

void vmb_lanes_look(struct vmb_am *am)
{
	if (am->lanes.away)
		set_away(am, false);
}

/* Who has armed its lane sleeps, or hears of a message by a detour. */
static bool is_looking(const struct vmb_lane_out *to)
{
	return !vmb_load_relaxed(&to->ctl->away) &&
	       !vmb_load_relaxed(&to->ctl->look_arm);
}

bool vmb_lanes_answer_near(struct vmb_am *am, bool first)
{
	struct vmb_lane_out *to = am->lanes.to;
	bool looking;

	if (!to || to->state != VMB_LANE_OPEN)
		return false;
	looking = is_looking(to);
	if (first) {
		uint32_t toss = vmb_xorshift(&am->lanes.random) >> 8;

		to->looked = looking;
		to->patient = !(toss & ((1u << to->doubt[looking]) - 1));
	}
	return to->patient && (looking || !to->looked);
}

/* One that turned away meanwhile has said so: that is no reason for doubt. */
static void learn(struct vmb_lane_out *to, bool came)
{
	uint8_t *doubt = &to->doubt[to->looked];

	to->patient = false;
	if (came)
		*doubt -= *doubt > 0;
	else if (!to->looked || is_looking(to))
		*doubt += *doubt < DOUBT_MOST;
}

void vmb_lanes_looked(struct vmb_am *am, bool came)
{
	struct vmb_lane_out *to = am->lanes.to;

	if (to && to->patient)
		learn(to, came);
	am->lanes.to = NULL;
	if (!came)
		set_away(am, true);
}
