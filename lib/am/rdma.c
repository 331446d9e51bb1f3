// SPDX-License-Identifier: BSD-2-Clause
/*
 * rdma.c - PUT, GET and FENCE: started by a descriptor, ended by an event.
 *
 * Flow:  msg, api -> vmb_am_rdma() -> doorbell page -> engine
 *        engine -> VMB_EV_DONE -> poll.c -> vmb_am_rdma_done() -> callback
 * Owns:  the table of transfers under way and the list of those that wait.
 * Trust: a cookie that comes back is checked against the table: its index,
 *        and that its use is the one under way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "am/internal.h"

/* One place of the table. Its cookie: index, and uses in the high half. */
struct vmb_am_rdma {
	vmb_am_rdma_fn fn;
	void *arg;
	uint32_t uses; /* counts; the last is under way when busy */
	uint32_t next; /* free list */
	bool busy;
	bool fence;
};

/* What could not be posted yet, in order. */
struct rdma_waiting {
	struct vmb_list node;
	struct vmb_slot slot;
	vmb_am_rdma_fn fn;
	void *arg;
};

int vmb_am_rdma_init(struct vmb_am *am)
{
	am->rdma = calloc(VMB_AM_TRANSFERS, sizeof(*am->rdma));
	if (!am->rdma)
		return -ENOMEM;
	for (uint32_t i = 0; i < VMB_AM_TRANSFERS; i++)
		am->rdma[i].next = i + 1;
	am->rdma[VMB_AM_TRANSFERS - 1].next = VMB_AM_NONE;
	am->rdma_free = 0;
	vmb_list_init(&am->rdma_waiting);
	return 0;
}

void vmb_am_rdma_fini(struct vmb_am *am)
{
	free(am->rdma);
	am->rdma = NULL;
}

static struct rdma_waiting *first_waiting(struct vmb_am *am)
{
	return vmb_list_first(&am->rdma_waiting, struct rdma_waiting, node);
}

static void drop(struct vmb_am *am, struct rdma_waiting *w)
{
	am->fences_waiting -= w->slot.op == VMB_OP_FENCE;
	vmb_list_remove(&w->node);
	free(w);
}

void vmb_am_rdma_silence(struct vmb_am *am)
{
	while (!vmb_list_empty(&am->rdma_waiting))
		drop(am, first_waiting(am));
	for (uint32_t i = 0; i < VMB_AM_TRANSFERS; i++)
		am->rdma[i].fn = NULL;
}

/* -EAGAIN: no place in the table, or in the doorbell page. */
static int start(struct vmb_am *am, struct vmb_slot *slot, vmb_am_rdma_fn fn,
		 void *arg)
{
	uint32_t index = am->rdma_free;
	struct vmb_am_rdma *r;

	if (index == VMB_AM_NONE || !vmb_am_has_slots(am, 1))
		return -EAGAIN;
	r = &am->rdma[index];
	am->rdma_free = r->next;
	r->fn = fn;
	r->arg = arg;
	r->busy = true;
	r->fence = slot->op == VMB_OP_FENCE;
	am->fences_open += r->fence;
	if (++r->uses == 0)
		r->uses = 1; /* 0 is no cookie of anybody */
	slot->hdr = vmb_pack(index, r->uses);
	vmb_am_commit(am, slot, sizeof(struct vmb_slot_rdma));
	am->short_to = NULL;
	return 0;
}

static int queue(struct vmb_am *am, const struct vmb_slot *slot,
		 vmb_am_rdma_fn fn, void *arg)
{
	struct rdma_waiting *w = malloc(sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->slot = *slot;
	w->fn = fn;
	w->arg = arg;
	vmb_list_append(&am->rdma_waiting, &w->node);
	am->fences_waiting += slot->op == VMB_OP_FENCE;
	return 0;
}

int vmb_am_rdma(struct vmb_am *am, unsigned op, struct vmb_peer *peer,
		const struct vmb_slot_rdma *what, vmb_am_rdma_fn fn, void *arg,
		enum vmb_am_mode mode)
{
	struct vmb_slot slot = {.op = (uint8_t)op};
	int rc = -EAGAIN;

	if (am->error)
		return am->error;
	if (op != VMB_OP_FENCE) {
		if (peer->gone)
			return -ECONNRESET;
		slot.peer = peer->handle;
		memcpy(slot.payload, what, sizeof(*what));
	}
	if (vmb_list_empty(&am->rdma_waiting))
		rc = start(am, &slot, fn, arg);
	if (!rc) {
		vmb_am_kick(am);
		return 0;
	}
	vmb_am_fruitless(am); /* as post_slow() */
	if (am->error)
		return am->error;
	return mode == VMB_AM_TRY ? -EAGAIN : queue(am, &slot, fn, arg);
}

void vmb_am_rdma_flush(struct vmb_am *am)
{
	while (!vmb_list_empty(&am->rdma_waiting)) {
		struct rdma_waiting *w = first_waiting(am);

		if (start(am, &w->slot, w->fn, w->arg))
			return;
		drop(am, w);
	}
}

void vmb_am_rdma_fail(struct vmb_am *am, vmb_am_rdma_fn fn, int code)
{
	for (uint32_t i = 0; i < VMB_AM_TRANSFERS; i++) {
		struct vmb_am_rdma *r = &am->rdma[i];

		if (!r->busy || r->fn != fn)
			continue;
		r->fn = NULL; /* once */
		fn(am, code, 0, r->arg);
	}
}

int vmb_am_rdma_done(struct vmb_am *am, const struct vmb_slot *event)
{
	uint32_t index = vmb_low(event->hdr), use = vmb_high(event->hdr);
	struct vmb_slot_done done;
	struct vmb_am_rdma *r;
	vmb_am_rdma_fn fn;

	if (index >= VMB_AM_TRANSFERS)
		return -EPROTO;
	r = &am->rdma[index];
	if (!use || (int32_t)(use - r->uses) > 0)
		return -EPROTO;
	if (use != r->uses || !r->busy) {
		am->counters.repeated++;
		return 0;
	}
	memcpy(&done, event->payload, sizeof(done));
	fn = r->fn;
	r->busy = false;
	am->fences_open -= r->fence;
	r->next = am->rdma_free;
	am->rdma_free = index;
	if (fn)
		fn(am, vmb_am_errno(event->status), done.moved, r->arg);
	return 0;
}
