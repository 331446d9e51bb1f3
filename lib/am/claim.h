/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * claim.h - when to take back the line of the slot in which an answer will be
 * answered: before it is read, after, or only when that slot is written?
 *
 * Flow:  take_answer() in poll.c, lane_in.c -> vmb_claimer_turn()
 * Owns:  nothing.
 * Trust: none is needed.
 *
 * A line comes while the answer goes up to the application and the next
 * message comes down. If that takes longer than the line stays, the other side
 * has looked again and taken it away: worse than not to have asked. How long
 * both take depends on the application and on where the processors are, so
 * all ways are tried, a few answers of many (decision 0023).
 */
#ifndef VMB_AM_CLAIM_H
#define VMB_AM_CLAIM_H

#include <stdint.h>

#include "base/util.h"

enum vmb_claim {
	VMB_CLAIM_NOT,
	VMB_CLAIM_EARLY, /* before the answer is read */
	VMB_CLAIM_LATE,	 /* when its handler has returned */
	VMB_CLAIMS,
};

#define VMB_CLAIMER_ROUND 8192u /* answers; then all are tried again ... */
#define VMB_CLAIMER_SLICE 64u	/* ... so many answers at a time ... */
#define VMB_CLAIMER_TRIALS (4u * VMB_CLAIMS) /* ... in turn, so often in all */
/* Answers before the first trial: by then they come as they will. */
#define VMB_CLAIMER_FIRST 64u

struct vmb_claimer {
	uint32_t answers;   /* so far, modulo 2^32 */
	enum vmb_claim way; /* that the last round has shown to be best */
	uint64_t from_ns;   /* when this trial began */
	uint64_t best[VMB_CLAIMS]; /* shortest trial of this round, ns */
};

static inline void vmb_claimer_init(struct vmb_claimer *c)
{
	*c = (struct vmb_claimer){
		.answers = 0u - VMB_CLAIMER_FIRST,
		.best = {UINT64_MAX, UINT64_MAX, UINT64_MAX},
	};
}

/* A trial has ended, or the first one begins, before answer `turn`. */
void vmb_claimer_tried(struct vmb_claimer *c, uint32_t turn, uint64_t now_ns);

/* An answer is about to be read: when to claim? */
static inline enum vmb_claim vmb_claimer_turn(struct vmb_claimer *c)
{
	uint32_t turn = c->answers++ % VMB_CLAIMER_ROUND;

	if (vmb_likely(turn > VMB_CLAIMER_TRIALS * VMB_CLAIMER_SLICE))
		return c->way;
	if (turn % VMB_CLAIMER_SLICE == 0)
		vmb_claimer_tried(c, turn, vmb_now_ns());
	return turn / VMB_CLAIMER_SLICE % VMB_CLAIMS;
}

#endif
