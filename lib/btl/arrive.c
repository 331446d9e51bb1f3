// SPDX-License-Identifier: BSD-2-Clause
/*
 * arrive.c - fragments and ended transfers, handed to Open MPI.
 *
 * Flow:  progress -> vmb_progress() -> vmb_btl_arrive(), vmb_btl_moved() -> ob1
 *        or, by another way, -> inbox -> vmb_btl_deliver() -> ob1
 * Owns:  what is in the inbox.
 * Trust: the sender is of our job; the tag indexes a table, and is checked.
 *
 * A handler runs while its endpoint is locked. It calls Open MPI only where
 * that can do no harm: in the one thread of a program that has one, and only
 * when Open MPI itself has asked for progress. Else it puts aside, at the price of
 * a copy: in the library's own thread, which keeps things going while the
 * program computes; inside a connect; and always when the program has several
 * threads, because Open MPI's locks and the endpoint's would be taken in two
 * orders (docs/decisions/0014).
 *
 * What was put aside is handed over before what came later.
 */
#include "btl/btl.h"

static void construct(btl_transfer_t *t)
{
	t->peer = NULL;
}

OBJ_CLASS_INSTANCE(btl_transfer_t, opal_free_list_item_t, construct, NULL);

__thread bool vmb_btl_asked;

/* Neither free lists nor OPAL_THREAD_LOCK(): both believe in one thread. */
struct btl_arrival {
	opal_list_item_t super;
	struct vmb_addr source;
	mca_btl_base_tag_t tag;
	size_t len;
	max_align_t data[];
};

static bool is_expected(uint64_t tag)
{
	return tag < MCA_BTL_TAG_MAX &&
	       mca_btl_base_active_message_trigger[tag].cbfunc;
}

/* NULL: we have not sent to it, so Open MPI has not told us who it is. */
static btl_peer_t *peer_of(const struct btl_module *m, struct vmb_addr source)
{
	void *peer = NULL;

	if (BTL_TELLS_SENDER)
		vmb_addr_get_context(m->ep, source, &peer);
	return peer;
}

static void hand_over(struct btl_module *m, struct vmb_addr source,
		      mca_btl_base_tag_t tag, const void *data, size_t len)
{
	mca_btl_base_segment_t segment = {.seg_len = len};

	segment.seg_addr.pval = (void *)(uintptr_t)data;
	m->events++;
	btl_compat_deliver(&m->super, tag, peer_of(m, source), &segment);
}

static void put_aside(struct btl_module *m, const struct vmb_am_msg *msg)
{
	struct btl_arrival *a = malloc(sizeof(*a) + msg->len);

	if (!a) {
		vmb_btl_worry(m, -ENOMEM);
		return;
	}
	OBJ_CONSTRUCT(&a->super, opal_list_item_t);
	memcpy(a->data, msg->data, msg->len);
	a->source = msg->source;
	a->len = msg->len;
	a->tag = (mca_btl_base_tag_t)msg->hdr;
	opal_mutex_lock(&m->inbox_lock);
	opal_list_append(&m->come, &a->super);
	opal_mutex_unlock(&m->inbox_lock);
	vmb_btl_count(&m->inbox, 1);
}

static bool may_call(const struct btl_module *m)
{
	return vmb_btl_asked && !m->deferred &&
	       !__atomic_load_n(&m->inbox, __ATOMIC_ACQUIRE);
}

void vmb_btl_arrive(struct vmb_endpoint *ep, const struct vmb_am_msg *msg,
		    void *context)
{
	struct btl_module *m = context;

	(void)ep;
	if (!is_expected(msg->hdr))
		vmb_btl_worry(m, -EPROTO);
	else if (may_call(m))
		hand_over(m, msg->source, (mca_btl_base_tag_t)msg->hdr,
			  msg->data, msg->len);
	else
		put_aside(m, msg);
}

/* ---- transfers ---------------------------------------------------------- */

static void end(struct btl_module *m, btl_transfer_t *t)
{
	btl_transfer_t copy = *t;

	vmb_btl_release(m, t);
	opal_free_list_return(&m->transfers, &t->super);
	m->events++;
	copy.done(&m->super, copy.peer, copy.local_address, copy.local_handle,
		  copy.context, copy.data, vmb_btl_code(copy.code));
	vmb_btl_count(&copy.peer->moving, -1);
	OBJ_RELEASE(copy.peer);
}

void vmb_btl_moved(struct vmb_endpoint *ep, int code, uint64_t moved,
		   void *context)
{
	struct btl_module *m = &vmb_btl_module;
	btl_transfer_t *t = context;

	(void)ep;
	(void)moved;
	t->code = code;
	if (may_call(m)) {
		end(m, t);
		return;
	}
	opal_mutex_lock(&m->inbox_lock);
	opal_list_append(&m->ended, &t->super.super);
	opal_mutex_unlock(&m->inbox_lock);
	vmb_btl_count(&m->inbox, 1);
}

/* ---- the inbox ---------------------------------------------------------- */

static opal_list_item_t *take(struct btl_module *m, opal_list_t *from)
{
	opal_list_item_t *item;

	opal_mutex_lock(&m->inbox_lock);
	item = opal_list_remove_first(from);
	opal_mutex_unlock(&m->inbox_lock);
	return item;
}

/* One at a time: what we call may call us. */
void vmb_btl_deliver(struct btl_module *m)
{
	opal_list_item_t *item;

	while ((item = take(m, &m->come))) {
		struct btl_arrival *a = (struct btl_arrival *)item;

		hand_over(m, a->source, a->tag, a->data, a->len);
		OBJ_DESTRUCT(&a->super);
		free(a);
		vmb_btl_count(&m->inbox, -1);
	}
	while ((item = take(m, &m->ended))) {
		end(m, (btl_transfer_t *)item);
		vmb_btl_count(&m->inbox, -1);
	}
}
