// SPDX-License-Identifier: BSD-2-Clause
/*
 * am.c - an endpoint from open to close, and its sleep.
 *
 * Flow:  api, msg -> [here] -> port endpoint_open(), endpoint_close()
 *        api -> vmb_am_arm() -> port wait() -> engine notifies
 * Owns:  the mapping of the area, through the port.
 * Trust: geometry and arguments were checked by api; positions in the control
 *        page are taken as a start and checked from then on.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "am/internal.h"
#include "am/lane.h"

static void map_area(struct vmb_am *am)
{
	const struct vmb_geometry *g = &am->pep.geometry;
	uint8_t *area = am->pep.area;
	uint64_t progress, consumed;

	am->ctl = (void *)(area + VMB_AREA_CONTROL);
	am->rx = area + VMB_AREA_RX(g);
	am->tx = area + VMB_AREA_TX(g);
	/* zero in a new area; both sides go on from what they find there */
	progress = vmb_observe(&am->ctl->progress);
	consumed = vmb_load_relaxed(&am->ctl->consumed);
	vmb_ring_init(&am->doorbell, area + VMB_AREA_DOORBELL,
		      VMB_DOORBELL_SLOTS, vmb_low(progress));
	vmb_ring_init(&am->events, area + VMB_AREA_EQ, g->eq_slots,
		      vmb_low(consumed));
	am->settled = vmb_low(progress);
	am->rx_pos = vmb_high(consumed);
	am->published = consumed;
	vmb_claimer_init(&am->claimer, am->pep.handle);
	/* another for each, far apart though the handles are alike */
	am->lanes.random = am->pep.handle * 2654435761u;
	am->lanes.random += !am->lanes.random;
}

int vmb_am_init(struct vmb_am *am, struct vmb_port *port, uint32_t id,
		uint32_t key, const struct vmb_geometry *geometry,
		vmb_am_undelivered_fn undelivered, vmb_am_gone_fn gone,
		void *upper_arg)
{
	int rc;

	memset(am, 0, sizeof(*am));
	am->port = port;
	am->undelivered = undelivered;
	am->gone = gone;
	am->upper_arg = upper_arg;
	vmb_idle_end(&am->idle);
	am->fences = !(port->hello.features & VMB_FEATURE_BARRIER);
	vmb_copier_init(&am->tx_copier);
	vmb_list_init(&am->ready);
	vmb_list_init(&am->settling);
	vmb_lanes_init(am);
	rc = vmb_am_rdma_init(am);
	if (rc)
		return rc;
	rc = port->ops->endpoint_open(port, id, key, geometry, &am->pep);
	if (rc)
		goto err_rdma;
	map_area(am);
	return 0;
err_rdma:
	vmb_am_rdma_fini(am);
	memset(am, 0, sizeof(*am));
	return rc;
}

/* All is sent, and none of it can come back? */
static bool is_delivered(const struct vmb_am *am)
{
	return am->settled == am->doorbell.pos && !am->kept;
}

static void sleep_for_room(struct vmb_am *am, uint64_t left_ns)
{
	if (am->settled != am->doorbell.pos || vmb_am_must_flush(am) ||
	    vmb_am_arm(am, VMB_AM_SLEEP_FD)) {
		sched_yield(); /* the engine's turn; it does not tell us */
		return;
	}
	if (am->port->ops->wait(&am->pep, (int)(left_ns / 1000000u) + 1) ==
	    -EPIPE)
		vmb_am_fail(am, -EPIPE);
	vmb_am_disarm(am);
}

#define LINGERS_MAX 6u /* times linger_ms, whatever receivers take */

/* While receivers take something, however slowly, they are waited for. */
static void linger(struct vmb_am *am, int linger_ms)
{
	uint64_t limit = (uint64_t)linger_ms * 1000000u;
	uint64_t last = vmb_now_ns() + LINGERS_MAX * limit, end = last;
	uint64_t least = UINT64_MAX; /* what was sent again may come back */

	for (;;) {
		int taken = vmb_am_poll(am, 64);
		uint64_t now = vmb_now_ns();

		vmb_am_refresh(am);
		if (am->kept < least) {
			least = am->kept;
			end = vmb_min(now + limit, last);
		}
		if (am->error || now >= end || is_delivered(am))
			return;
		if (!taken)
			sleep_for_room(am, end - now);
	}
}

void vmb_am_fini(struct vmb_am *am, int linger_ms)
{
	if (!am->port)
		return;
	memset(am->handlers, 0, sizeof(am->handlers));
	am->undelivered = NULL;
	am->gone = NULL;
	vmb_am_rdma_silence(am);
	if (linger_ms > 0)
		linger(am, linger_ms);
	vmb_peers_fini(am);
	vmb_lanes_fini(am);
	vmb_am_rdma_fini(am);
	am->port->ops->endpoint_close(am->port, &am->pep);
	memset(am, 0, sizeof(*am));
}

/* A handler may have forked, and may return in the child. */
void vmb_am_mark_forked(struct vmb_am *am)
{
	am->short_to = NULL;
}

void vmb_am_bind(struct vmb_am *am, unsigned id, vmb_am_handler_fn fn,
		 void *arg)
{
	am->handlers[id].fn = fn;
	am->handlers[id].arg = arg;
}

size_t vmb_am_payload_max(const struct vmb_am *am)
{
	return vmb_min(VMB_BUF_MAX, am->pep.geometry.tx_bytes / 2);
}

void vmb_am_fail(struct vmb_am *am, int code)
{
	if (!am->error)
		am->error = code;
}

/*
 * Arm, then look again: pairs with the engine's fence between its events and
 * its look at event_arm.
 */
int vmb_am_arm(struct vmb_am *am, enum vmb_am_sleep how)
{
	if (am->error)
		return am->error;
	/* a pass is under way, maybe in a handler: it walks over what we cool */
	if (am->polling || am->in_handler)
		return -EAGAIN;
	vmb_am_tell(am);
	if (vmb_am_must_flush(am))
		return -EAGAIN;
	am->arm_number = (am->arm_number + 1) & ~VMB_ARM_WORD;
	am->arm_number += !am->arm_number;
	vmb_store_relaxed(
		&am->ctl->event_arm,
		am->arm_number | (how == VMB_AM_SLEEP_WORD ? VMB_ARM_WORD : 0));
	vmb_arm_fence();
	if (vmb_ring_due(&am->events, 0, vmb_ring_seq(&am->events)) ||
	    (am->lanes.active && !vmb_lanes_arm(am))) {
		vmb_am_disarm(am);
		return -EAGAIN; /* an event, or a lie that poll will find */
	}
	am->counters.sleeps++;
	return 0;
}

bool vmb_am_only_takes(const struct vmb_am *am)
{
	return !am->error && !am->polling && !am->in_handler &&
	       !vmb_am_must_flush(am);
}

uint32_t *vmb_am_word(const struct vmb_am *am)
{
	bool granted = am->port->hello.features & VMB_FEATURE_WAKE_WORD;

	return granted ? &am->ctl->notified : NULL;
}

void vmb_am_disarm(struct vmb_am *am)
{
	vmb_store_relaxed(&am->ctl->event_arm, 0);
}

int vmb_am_errno(unsigned code)
{
	static const int table[VMB_CODE_COUNT] = {
		[VMB_CODE_OK] = 0,
		[VMB_CODE_NO_ROOM] = -EAGAIN,
		[VMB_CODE_PEER_GONE] = -ECONNRESET,
		[VMB_CODE_BAD_PEER] = -ECONNREFUSED,
		[VMB_CODE_BAD_OP] = -EIO,
		[VMB_CODE_BAD_FLAGS] = -EIO,
		[VMB_CODE_BAD_LENGTH] = -EMSGSIZE,
		[VMB_CODE_BAD_KEY] = -ENOKEY,
		[VMB_CODE_STALE_KEY] = -ENOKEY,
		[VMB_CODE_BAD_RANGE] = -ERANGE,
		[VMB_CODE_DENIED] = -EACCES,
		[VMB_CODE_BAD_SEQ] = -EIO,
		[VMB_CODE_BAD_CONSUMER] = -EIO,
		[VMB_CODE_UNREACHABLE] = -EFAULT,
	};

	return code < VMB_CODE_COUNT ? table[code] : -EIO;
}
