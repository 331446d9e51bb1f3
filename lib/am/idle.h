/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * idle.h - looks that find nothing: which of them look at the clock, and when
 * has that gone on for so long that the daemon is asked for?
 *
 * Flow:  vmb_am_poll(), posts without room -> vmb_am_fruitless() -> [here]
 * Owns:  nothing.
 * Trust: none is needed.
 *
 * A look at the clock costs as much as a few at the events. The first ones after
 * a message are those that the next one is waited for with, so they do without.
 * After that a program that looks all the time looks at the clock rarely, and
 * one that looks a few times a second does it each time.
 */
#ifndef VMB_AM_IDLE_H
#define VMB_AM_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

#define VMB_IDLE_FIRST 64u /* looks from a message to the first at the clock */
#define VMB_IDLE_MOST 256u /* and from one to the next, at most */
#define VMB_IDLE_NS 100000000u /* idle for so long: is the daemon there? */

struct vmb_idle {
	uint32_t left;	    /* looks until one at the clock; never 0 */
	uint32_t step;	    /* from the last one to that; 0: it is the first */
	uint64_t looked_ns; /* the last one */
	uint64_t since_ns;  /* the first one, or when it was said to last */
};

/* We are served. One store. */
static inline void vmb_idle_end(struct vmb_idle *idle)
{
	idle->left = VMB_IDLE_FIRST;
	idle->step = 0;
}

/* A look found nothing. true: call vmb_idle_lasts(). */
static inline bool vmb_idle_look(struct vmb_idle *idle)
{
	return --idle->left == 0;
}

/* So many found nothing; the clock is left to the next one. */
static inline void vmb_idle_glances(struct vmb_idle *idle, uint32_t looks)
{
	idle->left -= vmb_min(looks, idle->left - 1);
}

/* true: for VMB_IDLE_NS, or for as long again since this was said. */
bool vmb_idle_lasts(struct vmb_idle *idle, uint64_t now_ns);

#endif
