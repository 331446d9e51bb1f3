// SPDX-License-Identifier: BSD-2-Clause
/*
 * request.c - requests: where they live, what names them, how they end.
 *
 * Flow:  send.c, receive.c, connect.c -> alloc ... complete -> done set
 *        api -> owns, first_done, collect, forget
 * Owns:  the slabs, their free list, the numbers.
 * Trust: a pointer of the application is looked up before it is followed; a
 *        number that a peer gave us must be of a request with that peer, and
 *        of the present user of its place (generation).
 *
 * Slabs are never freed before close, so a stale pointer reads a request that
 * is free or another's, never foreign memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "msg/state.h"

/* ---- slabs ---------------------------------------------------------------- */

static int reserve_table(struct vmb_msg *msg)
{
	uint32_t room = msg->slab_room ? 2 * msg->slab_room : 16;
	struct vmb_req_slab **table;

	if (msg->slab_count < msg->slab_room)
		return 0;
	table = realloc(msg->slabs, room * sizeof(*table));
	if (!table)
		return -ENOMEM;
	msg->slabs = table;
	table = realloc(msg->sorted, room * sizeof(*table));
	if (!table)
		return -ENOMEM;
	msg->sorted = table;
	msg->slab_room = room;
	return 0;
}

/* How many slabs lie at or below an address. */
static uint32_t slabs_below(const struct vmb_msg *msg, const void *p)
{
	uint32_t low = 0, high = msg->slab_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if ((uintptr_t)msg->sorted[middle] <= (uintptr_t)p)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int add_slab(struct vmb_msg *msg)
{
	struct vmb_req_slab *slab;
	uint32_t at;

	if (reserve_table(msg))
		return -ENOMEM;
	slab = aligned_alloc(VMB_LINE, sizeof(*slab));
	if (!slab)
		return -ENOMEM;
	memset(slab, 0, sizeof(*slab));
	for (uint32_t i = VMB_REQ_SLAB; i--;) {
		struct vmb_req *req = &slab->reqs[i];

		req->index = msg->slab_count * VMB_REQ_SLAB + i;
		req->segments = &req->one;
		vmb_list_init(&req->link);
		vmb_list_init(&req->timer);
		req->next_free = msg->free_reqs;
		msg->free_reqs = req;
	}
	at = slabs_below(msg, slab);
	memmove(&msg->sorted[at + 1], &msg->sorted[at],
		(msg->slab_count - at) * sizeof(slab));
	msg->sorted[at] = slab;
	msg->slabs[msg->slab_count++] = slab;
	return 0;
}

bool vmb_req_reserve(struct vmb_msg *msg)
{
	return vmb_likely(msg->free_reqs != NULL) || !add_slab(msg);
}

/* What a free one has anyway is not written again: see vmb_req_detach(). */
struct vmb_req *vmb_req_alloc(struct vmb_msg *msg, enum vmb_req_kind kind)
{
	struct vmb_req *req;

	if (!vmb_req_reserve(msg))
		return NULL;
	req = msg->free_reqs;
	msg->free_reqs = req->next_free;
	req->kind = (uint8_t)kind;
	req->forgotten = false;
	req->code = 0;
	req->handle = 0;
	req->msg_len = 0;
	req->xfer_len = 0;
	return req;
}

void vmb_req_free(struct vmb_msg *msg, struct vmb_req *req)
{
	req->state = VMB_REQ_FREE;
	req->generation++;
	req->next_free = msg->free_reqs;
	msg->free_reqs = req;
}

/* The slab of the last question is most often that of the next one. */
static inline bool owns(struct vmb_msg *msg, const struct vmb_req *req)
{
	size_t at = (uintptr_t)req - msg->recent_reqs;
	uint32_t below;

	if (vmb_unlikely(!msg->recent_reqs ||
			 at >= sizeof(msg->sorted[0]->reqs))) {
		below = slabs_below(msg, req);
		if (!below)
			return false;
		msg->recent_reqs = (uintptr_t)msg->sorted[below - 1]->reqs;
		at = (uintptr_t)req - msg->recent_reqs;
		if (at >= sizeof(msg->sorted[0]->reqs))
			return false;
	}
	return at % sizeof(*req) == 0 && req->state != VMB_REQ_FREE &&
	       !req->forgotten;
}

bool vmb_msg_owns(struct vmb_msg *msg, const struct vmb_req *req)
{
	return owns(msg, req);
}

/* ---- numbers --------------------------------------------------------------- */

uint64_t vmb_req_number(const struct vmb_req *req)
{
	return (uint64_t)req->generation << 32 | req->index;
}

struct vmb_req *vmb_req_find(struct vmb_msg *msg, uint64_t number,
			     const struct vmb_msg_peer *mp)
{
	uint32_t index = (uint32_t)number;
	struct vmb_req *req;

	if (index / VMB_REQ_SLAB >= msg->slab_count)
		return NULL;
	req = &msg->slabs[index / VMB_REQ_SLAB]->reqs[index % VMB_REQ_SLAB];
	if (req->state == VMB_REQ_FREE || req->mp != mp ||
	    req->generation != number >> 32)
		return NULL;
	return req;
}

/* ---- segments -------------------------------------------------------------- */

/* Without empty pieces, neighbours merged: how many are left. */
static unsigned pack_segments(struct vmb_segment *dst,
			      const struct vmb_segment *src, unsigned count)
{
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++) {
		if (!src[i].len)
			continue;
		if (n && (char *)dst[n - 1].ptr + dst[n - 1].len == src[i].ptr)
			dst[n - 1].len += src[i].len;
		else
			dst[n++] = src[i];
	}
	return n;
}

int vmb_req_set_pieces(struct vmb_req *req, const struct vmb_segment *segments,
		       unsigned count)
{
	struct vmb_segment packed[VMB_SEGMENTS_MAX];
	unsigned n;

	n = pack_segments(packed, segments, count);
	if (n > 1) {
		req->segments = malloc(n * sizeof(*packed));
		if (!req->segments) {
			req->segments = &req->one;
			return -ENOMEM;
		}
	}
	memcpy(req->segments, packed, n * sizeof(*packed));
	req->segment_count = n;
	return 0;
}

/* ---- the end ---------------------------------------------------------------- */

void vmb_req_detach(struct vmb_msg *msg, struct vmb_req *req)
{
	switch (req->state) {
	case VMB_REQ_POSTED:
		vmb_postedset_remove(&msg->posted, &req->posted);
		break;
	case VMB_REQ_CONNECTING:
		vmb_connect_withdraw(msg, req);
		break;
	case VMB_REQ_ANNOUNCED:
	case VMB_REQ_PENDING:
	case VMB_REQ_SHARING:
	case VMB_REQ_STREAMED:
		vmb_announce_release(msg, req);
		break;
	case VMB_REQ_FETCHING:
	case VMB_REQ_READING:
	case VMB_REQ_MEETING:
	case VMB_REQ_CLEARING:
	case VMB_REQ_RECEIVING:
	case VMB_REQ_REPLYING:
		vmb_fetch_release(msg, req);
		break;
	}
	if (req->kind == VMB_REQ_SEND)
		vmb_list_remove(&req->send.node);
	req->state = VMB_REQ_MATCHED;
	vmb_list_remove(&req->link);
	vmb_list_remove(&req->timer);
	req->deadline = 0;
	req->mp = NULL;
	vmb_req_drop_segments(req);
}

void vmb_req_end_forgotten(struct vmb_msg *msg, struct vmb_req *req)
{
	if (req->ended)
		vmb_list_append(&msg->ended, &req->link);
	else
		vmb_req_free(msg, req);
}

void vmb_req_complete(struct vmb_msg *msg, struct vmb_req *req, int code,
		      uint64_t xfer_len)
{
	vmb_req_detach(msg, req);
	vmb_req_end(msg, req, code, xfer_len);
}

static inline struct vmb_addr peer_of(const struct vmb_msg *msg,
				      const struct vmb_req *req)
{
	if (vmb_unlikely(req->kind >= VMB_REQ_TOLD_SEND))
		return req->told;
	return vmb_msg_addr_of(msg, req->handle);
}

int vmb_msg_collect(struct vmb_msg *msg, struct vmb_req *req,
		    struct vmb_status *status)
{
	if (vmb_unlikely(!owns(msg, req)))
		return -EINVAL;
	if (req->state != VMB_REQ_DONE)
		return 0;
	if (status)
		*status = (struct vmb_status){
			.code = req->code,
			.peer = peer_of(msg, req),
			.match = req->match,
			.msg_len = req->msg_len,
			.xfer_len = req->xfer_len,
			.context = req->context,
		};
	vmb_itemset_remove(&msg->done, &req->item);
	vmb_req_free(msg, req);
	return 1;
}

struct vmb_req *vmb_req_ended(struct vmb_msg *msg, uint32_t handle, int code,
			      uint64_t match, uint64_t len, void *context)
{
	struct vmb_req *req = vmb_req_alloc(msg, VMB_REQ_SEND);

	req->handle = handle;
	req->match = match;
	req->msg_len = len;
	req->context = context;
	vmb_req_end(msg, req, code, code ? 0 : len);
	return req;
}

int vmb_msg_icomplete(struct vmb_msg *msg, bool connect,
		      const struct vmb_status *status, struct vmb_req **out)
{
	struct vmb_req *req = vmb_req_alloc(msg, connect ? VMB_REQ_TOLD_CONNECT
							 : VMB_REQ_TOLD_SEND);

	if (!req)
		return -ENOMEM;
	req->told = status->peer;
	req->match = status->match;
	req->msg_len = status->msg_len;
	req->context = status->context;
	vmb_req_end(msg, req, status->code, status->xfer_len);
	*out = req;
	return 0;
}

struct vmb_req *vmb_msg_first_done(struct vmb_msg *msg, uint64_t match,
				   uint64_t mask)
{
	struct vmb_item *item = vmb_itemset_find(&msg->done, match, mask);

	return item ? vmb_container_of(item, struct vmb_req, item) : NULL;
}

static bool is_send(const struct vmb_req *req)
{
	return req->kind == VMB_REQ_SEND || req->kind == VMB_REQ_TOLD_SEND;
}

int vmb_msg_cancel(struct vmb_msg *msg, struct vmb_req *req, int *cancelled)
{
	*cancelled = 0;
	if (is_send(req))
		return -EOPNOTSUPP;
	if (req->state != VMB_REQ_POSTED && req->state != VMB_REQ_CONNECTING)
		return 0;
	vmb_req_detach(msg, req);
	vmb_req_free(msg, req);
	*cancelled = 1;
	return 0;
}

void vmb_msg_forget(struct vmb_msg *msg, struct vmb_req *req)
{
	req->forgotten = true;
	if (req->state != VMB_REQ_DONE)
		return;
	vmb_itemset_remove(&msg->done, &req->item);
	vmb_req_free(msg, req);
}

int vmb_msg_buffered(struct vmb_msg *msg, struct vmb_req *req, int *done)
{
	(void)msg;
	if (!is_send(req))
		return -EINVAL;
	/* the data of EAGER_SYNC were copied when it was posted */
	*done = req->state == VMB_REQ_DONE || req->state == VMB_REQ_SYNC;
	return 0;
}

void *vmb_msg_context(struct vmb_msg *msg, struct vmb_req *req)
{
	(void)msg;
	return req->context;
}

/* ---- all of them -------------------------------------------------------------- */

static bool has_begun(const struct vmb_req *req)
{
	return req->state != VMB_REQ_FREE && req->state != VMB_REQ_DONE;
}

void vmb_req_fail_all(struct vmb_msg *msg, int code)
{
	for (uint32_t i = 0; i < msg->slab_count * VMB_REQ_SLAB; i++) {
		struct vmb_req *req =
			&msg->slabs[i / VMB_REQ_SLAB]->reqs[i % VMB_REQ_SLAB];

		if (!has_begun(req))
			continue;
		if (req->state == VMB_REQ_REPLYING)
			vmb_req_complete(msg, req, req->code, req->xfer_len);
		else
			vmb_req_complete(msg, req, code, 0);
	}
}

void vmb_req_pool_fini(struct vmb_msg *msg)
{
	for (uint32_t s = 0; s < msg->slab_count; s++) {
		for (uint32_t i = 0; i < VMB_REQ_SLAB; i++)
			if (has_begun(&msg->slabs[s]->reqs[i]))
				vmb_req_detach(msg, &msg->slabs[s]->reqs[i]);
		free(msg->slabs[s]);
	}
	free(msg->slabs);
	free(msg->sorted);
}
