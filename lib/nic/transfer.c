// SPDX-License-Identifier: BSD-2-Clause
/*
 * transfer.c - PUT, GET and FENCE.
 *
 * Flow:  engine.c takes a descriptor -> vmb_transfer_begin() -> each visit
 *        moves a quantum -> EV_DONE
 * Owns:  the table of transfers of an endpoint.
 * Trust: both addresses are translated again for every quantum, so a region
 *        that is deregistered, or a peer that closes, ends the transfer with
 *        a code and never with a stray access.
 */
#include "nic/engine.h"

#include <errno.h>
#include <stdlib.h>

int vmb_transfer_init(struct vmb_nic_endpoint *ep)
{
	ep->transfer_table = calloc(TRANSFERS_MAX, sizeof(*ep->transfer_table));
	if (!ep->transfer_table)
		return -ENOMEM;
	for (unsigned i = 0; i < TRANSFERS_MAX; i++)
		vmb_list_append(&ep->transfers_free,
				&ep->transfer_table[i].node);
	return 0;
}

static struct vmb_nic_transfer *first(struct vmb_list *list)
{
	return vmb_list_first(list, struct vmb_nic_transfer, node);
}

void vmb_transfer_begin(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
			const struct vmb_slot *slot)
{
	struct vmb_nic_transfer *t = first(&ep->transfers_free);

	if (slot->len || slot->am) {
		vmb_endpoint_fault(engine, ep, slot->op, VMB_CODE_BAD_FLAGS,
				   ep->doorbell.pos);
		return;
	}
	vmb_list_remove(&t->node);
	t->slot = *slot;
	memcpy(&t->what, slot->payload, sizeof(t->what));
	t->moved = 0;
	t->in = NULL;
	t->out = NULL;
	t->spare = NULL;
	vmb_list_append(&ep->transfers, &t->node);
	vmb_store_relaxed(&ep->active, ep->active + 1);
}

static void retire(struct vmb_nic_endpoint *ep, struct vmb_nic_transfer *t)
{
	if (t->in)
		vmb_mover_give(t->in);
	if (t->out)
		vmb_mover_give(t->out);
	if (t->spare)
		vmb_mover_give(t->spare);
	vmb_list_remove(&t->node);
	vmb_list_append(&ep->transfers_free, &t->node);
	vmb_store_relaxed(&ep->active, ep->active - 1);
}

/*
 * Is a copy to process memory of our own side under way? It cannot be called
 * back, and that memory is its owner's again as soon as the transfer ends.
 */
static bool is_writing(const struct vmb_nic_transfer *t)
{
	return t->slot.op == VMB_OP_GET && t->out && !vmb_mover_done(t->out) &&
	       !vmb_mover_lost(t->out->mover);
}

struct vmb_nic_mover *vmb_transfer_writer(const struct vmb_nic_endpoint *ep)
{
	struct vmb_list *l;

	vmb_list_each (l, &ep->transfers) {
		struct vmb_nic_transfer *t =
			vmb_container_of(l, struct vmb_nic_transfer, node);

		if (is_writing(t))
			return t->out->mover;
	}
	return NULL;
}

bool vmb_transfer_stop(struct vmb_nic_endpoint *ep)
{
	struct vmb_list *l, *tmp;

	ep->fenced = false;
	vmb_list_each_safe (l, tmp, &ep->transfers) {
		struct vmb_nic_transfer *t =
			vmb_container_of(l, struct vmb_nic_transfer, node);

		if (!is_writing(t))
			retire(ep, t);
	}
	return vmb_list_empty(&ep->transfers);
}

static struct vmb_nic_job *not_of(struct vmb_nic_job *job,
				  const struct vmb_nic_mover *mover)
{
	if (!job || job->mover != mover)
		return job;
	vmb_mover_give(job);
	return NULL;
}

void vmb_transfer_leave(struct vmb_nic_endpoint *ep,
			const struct vmb_nic_mover *mover)
{
	struct vmb_list *l;

	vmb_list_each (l, &ep->transfers) {
		struct vmb_nic_transfer *t =
			vmb_container_of(l, struct vmb_nic_transfer, node);

		t->in = not_of(t->in, mover);
		t->out = not_of(t->out, mover);
		t->spare = not_of(t->spare, mover);
	}
}

void vmb_transfer_abort(struct vmb_nic_endpoint *ep)
{
	while (!vmb_list_empty(&ep->transfers))
		retire(ep, first(&ep->transfers));
	ep->fenced = false;
}

/* Of the side that was refused: the other one's key would mislead. */
static void record(struct vmb_nic_endpoint *ep,
		   const struct vmb_nic_transfer *t, unsigned code)
{
	const struct vmb_slot_rdma *what = &t->what;
	uint64_t key = t->own_refused ? what->local_key : what->remote_key;
	uint64_t offset =
		t->own_refused ? what->local_offset : what->remote_offset;

	vmb_faults_record(ep, t->slot.op, code, key, offset + t->moved,
			  what->len - t->moved);
}

static void finish(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
		   struct vmb_nic_transfer *t, unsigned code)
{
	bool put = t->slot.op == VMB_OP_PUT;

	if (code && code != VMB_CODE_PEER_GONE)
		record(ep, t, code);
	if (!code) {
		vmb_count(put ? &ep->stats->puts : &ep->stats->gets, 1);
		vmb_count(put ? &ep->stats->put_bytes : &ep->stats->get_bytes,
			  t->moved);
	}
	vmb_events_done(engine, ep, t->slot.hdr, code, t->moved);
	retire(ep, t);
}

/* Both sides of what is left, checked. */
static unsigned translate(struct vmb_nic_endpoint *ep,
			  struct vmb_nic_transfer *t, struct vmb_nic_span *src,
			  struct vmb_nic_span *dst)
{
	const struct vmb_slot_rdma *what = &t->what;
	uint64_t left = what->len - t->moved;
	bool put = t->slot.op == VMB_OP_PUT;
	struct vmb_nic_endpoint *peer;
	unsigned code;

	t->own_refused = false;
	peer = vmb_nic_find(ep->nic, t->slot.peer, &code);
	if (!peer)
		return code;
	if (vmb_unlikely(!vmb_endpoint_may_meet(ep, peer)))
		return vmb_endpoint_stranger_code(peer);
	/* it takes part: its next descriptor is not that of an idle one */
	vmb_store_relaxed(&peer->last_work_ns, ep->engine->now_ns);
	code = vmb_nic_translate(ep, what->local_key,
				 what->local_offset + t->moved, left, 0,
				 put ? src : dst);
	if (code) {
		t->own_refused = true;
		return code;
	}
	return vmb_nic_translate(
		peer, what->remote_key, what->remote_offset + t->moved, left,
		put ? VMB_ACCESS_REMOTE_WRITE : VMB_ACCESS_REMOTE_READ,
		put ? dst : src);
}

static void submit(struct vmb_nic_job *job, const struct vmb_nic_span *span,
		   uint64_t len, bool write)
{
	job->address = span->address;
	job->len = (uint32_t)len;
	job->write = write;
	vmb_mover_submit(job);
}

/*
 * Start to read a chunk from process memory. The job that will write it is
 * taken first: who held one and waited for the other could wait for ever.
 */
static void begin_chunk(struct vmb_engine *engine, struct vmb_nic_transfer *t,
			const struct vmb_nic_span *src,
			const struct vmb_nic_span *dst, uint64_t len)
{
	if (!dst->ptr && dst->mover != src->mover) {
		t->spare = vmb_mover_take(dst->mover, engine);
		if (!t->spare)
			return;
	}
	t->in = vmb_mover_take(src->mover, engine);
	if (t->in) {
		submit(t->in, src, len, false);
	} else if (t->spare) {
		vmb_mover_give(t->spare);
		t->spare = NULL;
	}
}

/* Start to write a chunk to process memory; false: come again. */
static bool write_chunk(struct vmb_engine *engine, struct vmb_nic_transfer *t,
			const struct vmb_nic_span *dst, const uint8_t *data,
			uint64_t len)
{
	if (t->in && t->in->mover == dst->mover) {
		t->out = t->in; /* as it is */
		t->in = NULL;
	} else {
		t->out = t->spare ? t->spare
				  : vmb_mover_take(dst->mover, engine);
		t->spare = NULL;
		if (!t->out)
			return false;
		memcpy(t->out->buffer, data, len);
	}
	submit(t->out, dst, len, true);
	return true;
}

static bool came_short(const struct vmb_nic_job *job)
{
	return job->result != (int64_t)job->len;
}

/*
 * Why a side of process memory ends the transfer; VMB_CODE_OK: it does not.
 * done: its job, if any, was seen to be done. One look serves all decisions,
 * or a copy that fails in between would pass for a good one.
 */
static unsigned moved_badly(const struct vmb_nic_span *span,
			    const struct vmb_nic_job *job, bool done)
{
	if (done && came_short(job))
		/* a process that ends is no fault of whom it leaves behind */
		return job->result == -ESRCH ? VMB_CODE_PEER_GONE
					     : VMB_CODE_UNREACHABLE;
	if (!span->ptr && vmb_mover_lost(span->mover))
		return VMB_CODE_UNREACHABLE;
	return VMB_CODE_OK;
}

/*
 * One step of a transfer where a side is process memory; sets *code when it
 * must end, returns the bytes that arrived, -1 when it has to wait.
 */
static int64_t step_moved(struct vmb_engine *engine, struct vmb_nic_transfer *t,
			  const struct vmb_nic_span *src,
			  const struct vmb_nic_span *dst, unsigned *code)
{
	bool in_done = t->in && vmb_mover_done(t->in);
	bool out_done = t->out && vmb_mover_done(t->out);
	uint64_t left = t->what.len - t->moved;
	const uint8_t *data = src->ptr;
	int64_t len;

	*code = moved_badly(src, t->in, in_done);
	t->own_refused = *code && t->slot.op == VMB_OP_PUT;
	if (!*code) {
		*code = moved_badly(dst, t->out, out_done);
		t->own_refused = *code && t->slot.op == VMB_OP_GET;
	}
	if (*code)
		return 0;
	if (t->out) {
		if (!out_done)
			return -1;
		len = t->out->len;
		vmb_mover_give(t->out);
		t->out = NULL;
		return len;
	}
	left = vmb_min(left, (uint64_t)JOB_BYTES);
	if (!src->ptr) {
		if (!t->in)
			begin_chunk(engine, t, src, dst, left);
		if (!in_done)
			return -1;
		data = t->in->buffer;
		left = t->in->len;
	}
	if (dst->ptr)
		memcpy(dst->ptr, data, left);
	else if (!write_chunk(engine, t, dst, data, left))
		return -1;
	if (t->in)
		vmb_mover_give(t->in);
	t->in = NULL;
	return dst->ptr ? (int64_t)left : 0;
}

static unsigned advance(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
			struct vmb_nic_transfer *t, int64_t *deficit)
{
	struct vmb_nic_span src, dst;
	unsigned code = translate(ep, t, &src, &dst);
	int64_t len = 0;

	if (!code && t->what.len == t->moved) { /* of length 0 */
		*deficit -= ENGINE_COST_MIN;
		finish(engine, ep, t, code);
		return 1;
	}
	if (!code && src.ptr && dst.ptr) {
		len = (int64_t)vmb_min(t->what.len - t->moved,
				       (uint64_t)*deficit);
		memmove(dst.ptr, src.ptr, (size_t)len);
	} else if (!code) {
		len = step_moved(engine, t, &src, &dst, &code);
		if (len < 0)
			return 0;
	}
	if (code && is_writing(t))
		return 0;
	t->moved += (uint64_t)len;
	*deficit -= vmb_max(len, (int64_t)ENGINE_COST_MIN);
	if (code || t->moved == t->what.len)
		finish(engine, ep, t, code);
	return 1;
}

/* Its mover answers, unless that is lost. */
static bool is_awaited(struct vmb_nic_job *job)
{
	return job && !vmb_mover_done(job) && !vmb_mover_lost(job->mover);
}

/* Does any transfer have something to do that needs no mover's answer? */
bool vmb_transfer_ready(struct vmb_nic_endpoint *ep)
{
	struct vmb_list *l;

	vmb_list_each (l, &ep->transfers) {
		struct vmb_nic_transfer *t =
			vmb_container_of(l, struct vmb_nic_transfer, node);

		if (!is_awaited(t->in) && !is_awaited(t->out))
			return true;
	}
	return ep->fenced && !ep->active;
}

/* Each transfer in turn, so that a short one need not wait for a long one. */
unsigned vmb_transfer_serve(struct vmb_engine *engine,
			    struct vmb_nic_endpoint *ep, int64_t *deficit)
{
	unsigned work = 0;

	for (uint32_t n = ep->active; n && *deficit > 0; n--) {
		struct vmb_nic_transfer *t = first(&ep->transfers);

		vmb_list_remove(&t->node);
		vmb_list_append(&ep->transfers, &t->node);
		work += advance(engine, ep, t, deficit);
	}
	if (ep->fenced && !ep->active) {
		ep->fenced = false;
		vmb_events_done(engine, ep, ep->fence.hdr, VMB_CODE_OK, 0);
		vmb_count(&ep->stats->fences, 1);
		work++;
	}
	return work;
}
