/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * claim.h - when to take back the line of the slot in which an answer will be
 * answered: before it is read, after, or only when that slot is written?
 *
 * Flow:  take_answer() in poll.c, lane_in.c -> vmb_am_claims() -> [here]
 * Owns:  nothing.
 * Trust: none is needed.
 *
 * A line comes while the answer goes up to the application and the next
 * message comes down. If that takes longer than the line stays, the other side
 * has looked again and taken it away: worse than not to have asked. How long
 * both take depends on the application and on where the processors are, so
 * all ways are tried, a few answers of many (decision 0023). In an order that
 * nobody else has: the other side tries as well, and programs have rhythms.
 */
#ifndef VMB_AM_CLAIM_H
#define VMB_AM_CLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

enum vmb_claim {
	VMB_CLAIM_NOT,
	VMB_CLAIM_EARLY, /* before the answer is read */
	VMB_CLAIM_LATE,	 /* when its handler has returned */
	VMB_CLAIMS,
};

#define VMB_CLAIMER_ROUND 8192u /* answers; of these ... */
#define VMB_CLAIMER_TRIALS 768u /* ... so many are trials ... */
#define VMB_CLAIMER_SLICE 4u	/* ... of which so many in a row are alike */
/* Answers before the first trial: by then they come as they will. */
#define VMB_CLAIMER_FIRST 64u

struct vmb_claimer {
	uint32_t answers;     /* so far, modulo 2^32 */
	enum vmb_claim way;   /* that the last trials have shown to be best */
	enum vmb_claim tried; /* now */
	uint32_t random;      /* never 0 */
	uint64_t from_ns;     /* when the last answer of these trials came */
	uint64_t least_ns;    /* between two of them */
	struct {
		uint64_t ns;	/* in all ... */
		uint64_t count; /* ... of so many */
	} sums[VMB_CLAIMS];
};

/* seed: what the other side does not have, the handle for one. */
static inline void vmb_claimer_init(struct vmb_claimer *c, uint32_t seed)
{
	*c = (struct vmb_claimer){
		.answers = 0u - VMB_CLAIMER_FIRST,
		.random = seed ? seed : 1,
	};
}

/* Answer `turn` of the round, at most VMB_CLAIMER_TRIALS, has come at now_ns. */
enum vmb_claim vmb_claimer_try(struct vmb_claimer *c, uint32_t turn,
			       uint64_t now_ns);

/* An answer is about to be read: when to claim? */
static inline enum vmb_claim vmb_claimer_turn(struct vmb_claimer *c)
{
	uint32_t turn = c->answers++ % VMB_CLAIMER_ROUND;

	if (vmb_likely(turn > VMB_CLAIMER_TRIALS))
		return c->way;
	return vmb_claimer_try(c, turn, vmb_now_ns());
}

#endif
