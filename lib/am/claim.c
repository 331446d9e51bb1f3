// SPDX-License-Identifier: BSD-2-Clause
/*
 * claim.c - see claim.h.
 */
#include "am/claim.h"

#include <string.h>

/* So many times the shortest time between two answers: a line cannot cost as
 * much, so something else was done meanwhile. */
#define ELSE 4u

/* By so much, or it is no gain: a 64th. */
static bool is_shorter(uint64_t ns, uint64_t than)
{
	return ns < than - than / 64;
}

static void begin(struct vmb_claimer *c)
{
	c->least_ns = UINT64_MAX;
	memset(c->sums, 0, sizeof(c->sums));
}

/* From the answer before to this one. */
static void note(struct vmb_claimer *c, uint64_t ns)
{
	if (ns < c->least_ns / ELSE) /* so it was in all before */
		begin(c);
	c->least_ns = vmb_max(vmb_min(ns, c->least_ns), (uint64_t)1);
	if (ns > ELSE * c->least_ns)
		return;
	c->sums[c->tried].ns += ns;
	c->sums[c->tried].count++;
}

/* ps, on average; of a way that was not tried: for ever. */
static uint64_t average(const struct vmb_claimer *c, enum vmb_claim way)
{
	return c->sums[way].count ? 1000 * c->sums[way].ns / c->sums[way].count
				  : UINT64_MAX;
}

static enum vmb_claim best_of(const struct vmb_claimer *c)
{
	enum vmb_claim best = VMB_CLAIM_NOT;

	for (enum vmb_claim way = best + 1; way < VMB_CLAIMS; way++)
		if (is_shorter(average(c, way), average(c, best)))
			best = way;
	return best;
}

static enum vmb_claim any_way(struct vmb_claimer *c)
{
	return (enum vmb_claim)(vmb_xorshift(&c->random) % VMB_CLAIMS);
}

enum vmb_claim vmb_claimer_try(struct vmb_claimer *c, uint32_t turn,
			       uint64_t now_ns)
{
	if (!turn)
		begin(c);
	else
		note(c, now_ns - c->from_ns);
	c->from_ns = now_ns;
	if (turn == VMB_CLAIMER_TRIALS)
		return c->way = best_of(c);
	if (turn % VMB_CLAIMER_SLICE == 0)
		c->tried = any_way(c);
	return c->tried;
}
