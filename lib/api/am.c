// SPDX-License-Identifier: BSD-2-Clause
/*
 * am.c - active messages, one-sided transfers and offers for the application.
 *
 * Flow:  vmb_am_send(), vmb_am_put() -> check -> vmb_am_post(), vmb_am_rdma()
 *        vmb_am_offer(), vmb_am_accept() -> check -> lib/msg/offer.c
 *        vmb_am_poll() -> arrive(), transfer_ended() -> the application
 * Owns:  the application's handlers; a record per transfer it wants to hear of.
 * Trust: arguments are input; arrivals were checked by am.
 */
#include <stdlib.h>

#include "api/api.h"
#include "msg/wire.h"

#define TRANSFERS_PER_BLOCK 64

/* ---- active messages ---------------------------------------------------------- */

static void arrive(struct vmb_am *am, const struct vmb_am_arrival *a, void *arg)
{
	struct vmb_endpoint *ep = vmb_container_of(am, struct vmb_endpoint, am);
	struct vmb_am_msg msg = {
		.source = vmb_msg_addr(ep->msg, a->peer),
		.hdr = a->hdr,
		.data = a->data,
		.len = a->len,
	};
	unsigned id = (unsigned)(uintptr_t)arg;
	vmb_am_handler_t fn = ep->handlers[id].fn;
	void *context = ep->handlers[id].context;

	vmb_endpoint_handler_enter(ep);
	fn(ep, &msg, context);
	vmb_endpoint_handler_leave(ep);
}

int vmb_am_register(struct vmb_endpoint *ep, unsigned id,
		    vmb_am_handler_t handler, void *context)
{
	int rc;

	if (id >= VMB_AM_IDS)
		return -EINVAL;
	rc = vmb_endpoint_enter(ep);
	if (rc)
		return rc;
	ep->handlers[id].fn = handler;
	ep->handlers[id].context = context;
	vmb_am_bind(&ep->am, id, handler ? arrive : NULL,
		    (void *)(uintptr_t)id);
	vmb_endpoint_leave(ep);
	return 0;
}

int vmb_am_max(struct vmb_endpoint *ep, size_t *max)
{
	int rc;

	if (!max)
		return -EINVAL;
	rc = vmb_endpoint_enter(ep);
	if (rc)
		return rc;
	*max = vmb_am_payload_max(&ep->am);
	vmb_endpoint_leave(ep);
	return 0;
}

int vmb_am_send(struct vmb_endpoint *ep, struct vmb_addr dest, unsigned id,
		uint64_t hdr, const struct vmb_segment *segments,
		unsigned count)
{
	struct vmb_peer *peer;
	uint64_t len;
	int rc;

	if (id >= VMB_AM_IDS)
		return -EINVAL;
	rc = vmb_segments_check(segments, count, &len);
	if (rc)
		return rc;
	rc = vmb_endpoint_enter(ep);
	if (rc)
		return rc;
	peer = vmb_address_peer(ep, dest);
	if (!peer)
		rc = -EINVAL;
	else if (len > vmb_am_payload_max(&ep->am))
		rc = -EMSGSIZE;
	else if (vmb_unlikely(vmb_msg_sends_wait(peer)))
		rc = ep->am.error ? ep->am.error : -EAGAIN;
	else if (vmb_likely(count == 1 && len <= VMB_INLINE_ONE))
		rc = vmb_am_post_short(&ep->am, peer, id, hdr, segments->ptr,
				       len);
	else
		rc = vmb_am_post(&ep->am, peer, id, hdr, segments, count, 0,
				 (size_t)len, VMB_AM_TRY);
	vmb_endpoint_posted(ep);
	vmb_endpoint_leave(ep);
	return rc;
}

/* ---- transfers ------------------------------------------------------------------ */

struct vmb_transfer_block {
	struct vmb_transfer_block *next;
	struct vmb_transfer transfers[TRANSFERS_PER_BLOCK];
};

static void release(struct vmb_transfer *t)
{
	t->next = t->ep->transfers_free;
	t->ep->transfers_free = t;
}

static int grow(struct vmb_endpoint *ep)
{
	struct vmb_transfer_block *block = malloc(sizeof(*block));

	if (!block)
		return -ENOMEM;
	block->next = ep->transfer_blocks;
	ep->transfer_blocks = block;
	for (unsigned i = 0; i < TRANSFERS_PER_BLOCK; i++) {
		block->transfers[i].ep = ep;
		release(&block->transfers[i]);
	}
	return 0;
}

/* *out stays NULL when nobody wants to hear. */
static int obtain(struct vmb_endpoint *ep, vmb_am_done_t done, void *context,
		  struct vmb_transfer **out)
{
	struct vmb_transfer *t;

	*out = NULL;
	if (!done)
		return 0;
	if (!ep->transfers_free && grow(ep))
		return -ENOMEM;
	t = ep->transfers_free;
	ep->transfers_free = t->next;
	t->done = done;
	t->context = context;
	*out = t;
	return 0;
}

void vmb_transfer_fini(struct vmb_endpoint *ep)
{
	struct vmb_transfer_block *block;

	while ((block = ep->transfer_blocks)) {
		ep->transfer_blocks = block->next;
		free(block);
	}
}

static void transfer_ended(struct vmb_am *am, int code, uint64_t moved,
			   void *arg)
{
	struct vmb_transfer *t = arg;
	struct vmb_endpoint *ep = t->ep;
	vmb_am_done_t done = t->done;
	void *context = t->context;

	(void)am;
	release(t);
	vmb_endpoint_handler_enter(ep);
	done(ep, code, moved, context);
	vmb_endpoint_handler_leave(ep);
}

/* lib/msg has ended its own by itself. */
void vmb_transfer_fail(struct vmb_endpoint *ep, int code)
{
	vmb_am_rdma_fail(&ep->am, transfer_ended, code);
}

/* Locked. what: NULL for a fence. */
static int start(struct vmb_endpoint *ep, unsigned op, struct vmb_peer *peer,
		 const struct vmb_slot_rdma *what, vmb_am_done_t done,
		 void *context)
{
	struct vmb_transfer *t;
	int rc;

	rc = obtain(ep, done, context, &t);
	if (rc)
		return rc;
	rc = vmb_am_rdma(&ep->am, op, peer, what, t ? transfer_ended : NULL, t,
			 VMB_AM_TRY);
	if (rc && t)
		release(t);
	vmb_endpoint_posted(ep);
	return rc;
}

static int move(struct vmb_endpoint *ep, unsigned op, struct vmb_addr dest,
		const struct vmb_mem *mem, struct vmb_slot_rdma *what,
		vmb_am_done_t done, void *context)
{
	struct vmb_peer *peer;
	int rc;

	rc = vmb_endpoint_enter(ep);
	if (rc)
		return rc;
	rc = vmb_memory_translate(mem, what);
	peer = vmb_address_peer(ep, dest);
	if (!rc)
		rc = peer ? start(ep, op, peer, what, done, context) : -EINVAL;
	vmb_endpoint_leave(ep);
	return rc;
}

int vmb_am_put(struct vmb_endpoint *ep, struct vmb_addr dest,
	       struct vmb_mem *mem, uint64_t offset, uint64_t key,
	       uint64_t remote_offset, uint64_t len, vmb_am_done_t done,
	       void *context)
{
	struct vmb_slot_rdma what = {
		.local_offset = offset,
		.remote_key = key,
		.remote_offset = remote_offset,
		.len = len,
	};

	return move(ep, VMB_OP_PUT, dest, mem, &what, done, context);
}

int vmb_am_get(struct vmb_endpoint *ep, struct vmb_addr dest,
	       struct vmb_mem *mem, uint64_t offset, uint64_t key,
	       uint64_t remote_offset, uint64_t len, vmb_am_done_t done,
	       void *context)
{
	struct vmb_slot_rdma what = {
		.local_offset = offset,
		.remote_key = key,
		.remote_offset = remote_offset,
		.len = len,
	};

	return move(ep, VMB_OP_GET, dest, mem, &what, done, context);
}

int vmb_am_fence(struct vmb_endpoint *ep, vmb_am_done_t done, void *context)
{
	int rc = vmb_endpoint_enter(ep);

	if (rc)
		return rc;
	rc = start(ep, VMB_OP_FENCE, NULL, NULL, done, context);
	vmb_endpoint_leave(ep);
	return rc;
}

/* ---- offers ----------------------------------------------------------------------- */

_Static_assert(sizeof(struct vmb_am_offer) == sizeof(struct vmb_wire_offer),
	       "public and wire");

static int check_memory(const void *ptr, size_t len)
{
	if (len > VMB_MESSAGE_MAX)
		return -EMSGSIZE;
	return ptr || !len ? 0 : -EINVAL;
}

/* Locked. One of the two sides. */
static int meet_locked(struct vmb_endpoint *ep, bool accepts,
		       struct vmb_addr with, struct vmb_wire_offer *offer,
		       void *ptr, size_t len, vmb_am_done_t done, void *context)
{
	struct vmb_peer *peer = vmb_address_peer(ep, with);
	vmb_am_rdma_fn ended = done ? transfer_ended : NULL;
	struct vmb_transfer *t;
	int rc;

	if (!peer)
		return -EINVAL;
	rc = obtain(ep, done, context, &t);
	if (rc)
		return rc;
	rc = accepts ? vmb_msg_accept(ep->msg, peer, offer, ptr, len, ended, t)
		     : vmb_msg_offer(ep->msg, peer, offer, ptr, len, ended, t);
	if (rc && t)
		release(t);
	vmb_endpoint_posted(ep);
	return rc;
}

static int meet(struct vmb_endpoint *ep, bool accepts, struct vmb_addr with,
		struct vmb_wire_offer *offer, void *ptr, size_t len,
		vmb_am_done_t done, void *context)
{
	int rc = check_memory(ptr, len);

	rc = rc ? rc : vmb_endpoint_enter(ep);
	if (rc)
		return rc;
	rc = meet_locked(ep, accepts, with, offer, ptr, len, done, context);
	vmb_endpoint_leave(ep);
	return rc;
}

int vmb_am_offer(struct vmb_endpoint *ep, struct vmb_addr dest, void *ptr,
		 size_t len, vmb_am_done_t done, void *context,
		 struct vmb_am_offer *offer)
{
	struct vmb_wire_offer wire;
	int rc;

	if (!offer)
		return -EINVAL;
	rc = meet(ep, false, dest, &wire, ptr, len, done, context);
	if (!rc)
		memcpy(offer, &wire, sizeof(wire));
	return rc;
}

int vmb_am_accept(struct vmb_endpoint *ep, struct vmb_addr source,
		  const struct vmb_am_offer *offer, void *ptr, size_t len,
		  vmb_am_done_t done, void *context)
{
	struct vmb_wire_offer wire;

	if (!offer)
		return -EINVAL;
	memcpy(&wire, offer, sizeof(wire));
	return meet(ep, true, source, &wire, ptr, len, done, context);
}

int vmb_am_withdraw(struct vmb_endpoint *ep, const struct vmb_am_offer *offer)
{
	struct vmb_wire_offer wire;
	int rc;

	if (!offer)
		return -EINVAL;
	memcpy(&wire, offer, sizeof(wire));
	rc = vmb_endpoint_enter(ep);
	if (rc)
		return rc;
	rc = vmb_msg_withdraw(ep->msg, &wire);
	vmb_endpoint_posted(ep);
	vmb_endpoint_leave(ep);
	return rc;
}
