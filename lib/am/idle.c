// SPDX-License-Identifier: BSD-2-Clause
/*
 * idle.c - see idle.h.
 */
#include "am/idle.h"

#define PACE_NS (VMB_IDLE_NS / 8) /* between looks at the clock, if we may */

/*
 * As many as take so long at the pace of the last ones. More by and by only:
 * who looks fast for a moment and slowly again would notice nothing for long.
 */
static uint32_t next_step(uint32_t step, uint64_t took_ns)
{
	uint64_t wanted = (uint64_t)step * PACE_NS / vmb_max(took_ns, 1u);
	uint32_t most = vmb_min(2 * step, VMB_IDLE_MOST);

	return (uint32_t)vmb_max(vmb_min(wanted, most), 1u);
}

bool vmb_idle_lasts(struct vmb_idle *idle, uint64_t now_ns)
{
	if (idle->step) {
		idle->step = next_step(idle->step, now_ns - idle->looked_ns);
	} else {
		idle->step = VMB_IDLE_FIRST;
		idle->since_ns = now_ns;
	}
	idle->left = idle->step;
	idle->looked_ns = now_ns;
	if (now_ns - idle->since_ns < VMB_IDLE_NS)
		return false;
	idle->since_ns = now_ns;
	return true;
}
