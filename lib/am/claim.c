// SPDX-License-Identifier: BSD-2-Clause
/*
 * claim.c - see claim.h.
 */
#include "am/claim.h"

/* By so much, or it is no gain: a 64th. */
static bool is_shorter(uint64_t ns, uint64_t than)
{
	return ns < than - than / 64;
}

static void choose(struct vmb_claimer *c)
{
	c->way = VMB_CLAIM_NOT;
	for (unsigned way = 0; way < VMB_CLAIMS; way++) {
		if (is_shorter(c->best[way], c->best[c->way]))
			c->way = way;
	}
	for (unsigned way = 0; way < VMB_CLAIMS; way++)
		c->best[way] = UINT64_MAX;
}

/* The shortest counts: one in which something else was done says nothing. */
void vmb_claimer_tried(struct vmb_claimer *c, uint32_t turn, uint64_t now_ns)
{
	uint32_t trials = turn / VMB_CLAIMER_SLICE; /* that have ended */
	uint64_t *best;

	if (trials) {
		best = &c->best[(trials - 1) % VMB_CLAIMS];
		*best = vmb_min(now_ns - c->from_ns, *best);
	}
	c->from_ns = now_ns;
	if (trials == VMB_CLAIMER_TRIALS)
		choose(c);
}
