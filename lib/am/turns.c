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
 * that shares our processor never comes meanwhile, and soon is left alone.
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

void vmb_lanes_looks(struct vmb_am *am)
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

	if (!to || to->state != VMB_LANE_OPEN)
		return false;
	if (is_looking(to))
		return true;
	if (first)
		to->patient = !(vmb_xorshift(&am->lanes.random) >> 8 &
				((1u << to->doubt) - 1));
	return to->patient;
}

static void learn(struct vmb_lane_out *to, bool came)
{
	if (came && to->doubt)
		to->doubt--;
	else if (!came && to->doubt < DOUBT_MOST)
		to->doubt++;
	to->patient = false;
}

void vmb_lanes_rests(struct vmb_am *am, bool away)
{
	struct vmb_lane_out *to = am->lanes.to;

	if (to && to->patient)
		learn(to, !away);
	am->lanes.to = NULL;
	if (am->lanes.away != away)
		set_away(am, away);
}
