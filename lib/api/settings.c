// SPDX-License-Identifier: BSD-2-Clause
/*
 * settings.c - what the environment says about waiting and protocols.
 *
 * Flow:  vmb_init() -> [here] -> vmb_library.settings -> vmb_open()
 * Owns:  nothing.
 * Trust: the environment is input. A value that makes no sense is named in a
 *        warning, together with what is allowed, and the default is used.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/log.h"

#define EAGER_DEFAULT 8192
#define LANE_EAGER_DEFAULT VMB_BUF_MAX
#define LANE_STREAM_DEFAULT (64ul << 10)
#define LANE_STREAM_MAX (1ul << 40)
#define SPIN_US_DEFAULT 20
#define SPIN_US_MAX 1000000
#define LANES_DEFAULT 64
#define LANES_MAX 4096

static enum vmb_wait_mode read_wait(void)
{
	const char *text = getenv("VMB_WAIT");

	if (!text || !*text || !strcmp(text, "adaptive"))
		return VMB_WAIT_ADAPTIVE;
	if (!strcmp(text, "spin"))
		return VMB_WAIT_SPIN;
	if (!strcmp(text, "block"))
		return VMB_WAIT_BLOCK;
	vmb_warn("VMB_WAIT=%s ignored: use spin, adaptive or block", text);
	return VMB_WAIT_ADAPTIVE;
}

static unsigned long read_number(const char *name, unsigned long min,
				 unsigned long max, unsigned long preset)
{
	const char *text = getenv(name);
	unsigned long value;
	char *end;

	if (!text || !*text)
		return preset;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && !*end && !errno &&
	    value >= min && value <= max)
		return value;
	vmb_warn("%s=%s ignored: use a number from %lu to %lu", name, text, min,
		 max);
	return preset;
}

/*
 * The engine copies once where a lane copies twice, but it needs a processor
 * while both sides spin on theirs.
 */
static unsigned long default_lane_stream(void)
{
	cpu_set_t ours;

	CPU_ZERO(&ours);
	if (!sched_getaffinity(0, sizeof(ours), &ours) && CPU_COUNT(&ours) < 3)
		return LANE_STREAM_MAX;
	return LANE_STREAM_DEFAULT;
}

void vmb_settings_read(struct vmb_settings *settings)
{
	settings->wait = read_wait();
	settings->eager_max = read_number("VMB_EAGER", VMB_EAGER_MIN,
					  VMB_BUF_MAX, EAGER_DEFAULT);
	settings->lane_eager_max = read_number("VMB_LANE_EAGER", VMB_EAGER_MIN,
					       VMB_BUF_MAX, LANE_EAGER_DEFAULT);
	settings->lane_stream_max = read_number(
		"VMB_LANE_STREAM", 0, LANE_STREAM_MAX, default_lane_stream());
	settings->spin_ns =
		1000u * (uint64_t)read_number("VMB_SPIN_US", 0, SPIN_US_MAX,
					      SPIN_US_DEFAULT);
	settings->lanes =
		(unsigned)read_number("VMB_LANES", 0, LANES_MAX, LANES_DEFAULT);
}
