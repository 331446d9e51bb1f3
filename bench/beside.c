// SPDX-License-Identifier: BSD-2-Clause
/*
 * beside.c - endpoints that are open beside a measured pair and silent.
 *
 * Flow:  sweep -> [here] -> vmb_open(), one message each
 * Owns:  those endpoints.
 * Trust: its callers.
 */
#include "beside.h"

#include <vmbypass/vmb_am.h>

#include "clock.h"

#define HELLO_ID 9 /* nobody has a handler for it */
#define CONNECT_MS 5000
#define SETTLE_NS 1000000000u /* for lanes to come up, all together */

static int greet(struct vmb_endpoint *ep, uint64_t nic_id, uint32_t id)
{
	struct vmb_addr addr;
	int ret = vmb_connect(ep, nic_id, id, 0, CONNECT_MS, &addr);

	return ret ? ret : vmb_am_send(ep, addr, HELLO_ID, 0, NULL, 0);
}

static unsigned count_lanes(const struct bench_beside *b)
{
	struct vmb_counters c = {.size = sizeof(c)};
	unsigned n = 0;

	for (unsigned i = 0; i < b->open; i++)
		n += !vmb_query_counters(b->ep[i], &c) && c.lanes;
	return n;
}

/* Lanes are made by both sides and the daemon, and nobody else looks here. */
static int settle(struct bench_beside *b, struct vmb_endpoint *to)
{
	uint64_t end = bench_monotonic_ns() + SETTLE_NS;
	int ret = 0;

	do {
		ret = vmb_progress(to);
		for (unsigned i = 0; i < b->open && !ret; i++)
			ret = vmb_progress(b->ep[i]);
		b->lanes = count_lanes(b);
	} while (!ret && b->lanes < b->open && bench_monotonic_ns() < end);
	return ret;
}

int bench_beside_open(struct bench_beside *b, struct vmb_endpoint *to)
{
	struct vmb_open_params params = {
		.size = sizeof(params),
		.id = VMB_ANY_ID,
		.flags = VMB_OPEN_LANES,
	};
	struct vmb_addr self;
	uint64_t nic_id;
	uint32_t id;
	int ret = vmb_self(to, &self);

	if (!ret)
		ret = vmb_addr_query(to, self, &nic_id, &id, NULL);
	while (!ret && b->open < b->count) {
		ret = vmb_open(&params, &b->ep[b->open]);
		if (!ret)
			ret = greet(b->ep[b->open++], nic_id, id);
	}
	return ret ? ret : settle(b, to);
}

void bench_beside_close(struct bench_beside *b)
{
	while (b->open)
		vmb_close(b->ep[--b->open]);
}
