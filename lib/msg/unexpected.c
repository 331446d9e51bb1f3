// SPDX-License-Identifier: BSD-2-Clause
/*
 * unexpected.c - messages that arrived before their receive.
 *
 * Flow:  receive.c -> arrive: the application's handler -> match again -> keep
 *        irecv -> take;  probe -> look
 * Owns:  copies of what is kept, counted against unexpected_max.
 * Trust: a peer decides how much it sends, so what is kept is bounded: at the
 *        limit no more events are taken, the event queue fills, and senders
 *        feel it. The handler may do anything with the endpoint meanwhile, so
 *        nothing that was known before it is believed after it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "msg/state.h"

#define SPARES_MAX 64u /* kept of each size for the next message */
#define SIZE_NONE VMB_UNEXPECTED_CLASSES	  /* as large as needed */
#define SIZE_RESERVE (VMB_UNEXPECTED_CLASSES + 1) /* of msg->reserve */

static const size_t sizes[VMB_UNEXPECTED_CLASSES] = {512, 2048, 8192};

/* ---- memory -------------------------------------------------------------------- */

static unsigned size_of(size_t bytes)
{
	unsigned c = 0;

	while (c < VMB_UNEXPECTED_CLASSES && sizes[c] < bytes)
		c++;
	return c;
}

static struct vmb_unexpected *allocate(struct vmb_msg *msg, size_t data_len)
{
	size_t bytes = sizeof(struct vmb_unexpected) + data_len;
	unsigned c = size_of(bytes);
	struct vmb_unexpected *u;

	if (c < VMB_UNEXPECTED_CLASSES && msg->spares[c]) {
		u = msg->spares[c];
		msg->spares[c] = u->next;
		msg->spare_count[c]--;
		return u;
	}
	u = malloc(c < VMB_UNEXPECTED_CLASSES ? sizes[c] : bytes);
	if (u)
		u->size_class = c;
	return u;
}

/*
 * No memory, but the message is here. There is a header in reserve for each
 * event of a pass (see the budget), so that its receive learns of the loss.
 */
static struct vmb_unexpected *take_reserve(struct vmb_msg *msg)
{
	struct vmb_unexpected *u = msg->reserve;

	msg->reserve = u->next;
	msg->reserve_count--;
	return u;
}

void vmb_unexpected_free(struct vmb_msg *msg, struct vmb_unexpected *u)
{
	unsigned c = u->size_class;

	msg->unexpected_bytes -= u->charge;
	if (c == SIZE_RESERVE) {
		u->next = msg->reserve;
		msg->reserve = u;
		msg->reserve_count++;
	} else if (c == SIZE_NONE || msg->spare_count[c] == SPARES_MAX) {
		free(u);
	} else {
		u->next = msg->spares[c];
		msg->spares[c] = u;
		msg->spare_count[c]++;
	}
}

unsigned vmb_unexpected_budget(const struct vmb_msg *msg)
{
	uint64_t room, most;

	if (msg->unexpected_bytes >= msg->config.unexpected_max)
		return 0;
	room = msg->config.unexpected_max - msg->unexpected_bytes;
	if (vmb_likely(room >= VMB_MSG_BUDGET * msg->unexpected_each))
		return msg->reserve_count; /* no division on each pass */
	most = room / msg->unexpected_each + 1;
	return (unsigned)vmb_min(most, msg->reserve_count);
}

int vmb_unexpected_init(struct vmb_msg *msg)
{
	struct vmb_unexpected *u;

	msg->unexpected_each = sizeof(*u) + vmb_max(msg->config.eager_max,
						    msg->config.lane_eager_max);
	for (unsigned i = 0; i < VMB_MSG_BUDGET; i++) {
		u = malloc(sizeof(*u));
		if (!u)
			return -ENOMEM;
		u->size_class = SIZE_RESERVE;
		u->next = msg->reserve;
		msg->reserve = u;
		msg->reserve_count++;
	}
	return 0;
}

static void free_chain(struct vmb_unexpected *u)
{
	while (u) {
		struct vmb_unexpected *next = u->next;

		free(u);
		u = next;
	}
}

void vmb_unexpected_fini(struct vmb_msg *msg)
{
	struct vmb_list *l, *tmp;

	vmb_list_each_safe (l, tmp, &msg->unexpected.order)
		free(vmb_container_of(l, struct vmb_unexpected, item.node));
	for (unsigned c = 0; c < VMB_UNEXPECTED_CLASSES; c++)
		free_chain(msg->spares[c]);
	free_chain(msg->reserve);
}

/* ---- the queue -------------------------------------------------------------------- */

/*
 * A copy that outlives the event, with room for data_len bytes of it. NULL, and
 * the end of the endpoint: no memory, and more came than the reserve is for, as
 * when a lane is emptied whose peer has gone.
 */
static struct vmb_unexpected *
copy(struct vmb_msg *msg, const struct vmb_incoming *in, size_t data_len)
{
	struct vmb_unexpected *u = allocate(msg, data_len);
	bool lost = !u;

	if (lost && !msg->reserve) {
		vmb_am_fail(msg->am, -EIO);
		return NULL;
	}
	if (lost) {
		u = take_reserve(msg);
		data_len = 0;
	}
	u->in = *in;
	u->in.data = u->data;
	if (lost && in->id != VMB_MSG_RTS)
		u->in.code = -ENOBUFS;
	if (data_len)
		memcpy(u->data, in->data, data_len);
	u->announced.req = NULL;
	u->announced.indexed = false;
	u->charge = sizeof(*u) + data_len;
	msg->unexpected_bytes += u->charge;
	return u;
}

static void keep(struct vmb_msg *msg, const struct vmb_incoming *in)
{
	bool rts = in->id == VMB_MSG_RTS;
	struct vmb_unexpected *u = copy(msg, in, rts ? 0 : in->len);

	if (!u)
		return;
	vmb_itemset_insert(&msg->unexpected, &u->item, in->match);
	vmb_list_append(&in->mp->unexpected, &u->peer_node);
	if (!rts)
		return;
	u->announced.indexed = true;
	vmb_index_insert(&in->mp->announced, &u->announced.node, in->number);
}

bool vmb_msg_is_full(const struct vmb_msg *msg)
{
	return !vmb_unexpected_fits_one(msg);
}

static void remove_from_queue(struct vmb_msg *msg, struct vmb_unexpected *u)
{
	vmb_itemset_remove(&msg->unexpected, &u->item);
	vmb_list_remove(&u->peer_node);
	if (u->announced.indexed)
		vmb_index_remove(&u->in.mp->announced, &u->announced.node);
}

struct vmb_unexpected *vmb_unexpected_take(struct vmb_msg *msg, uint64_t match,
					   uint64_t mask)
{
	struct vmb_item *item = vmb_itemset_find(&msg->unexpected, match, mask);
	struct vmb_unexpected *u;

	if (!item)
		return NULL;
	u = vmb_container_of(item, struct vmb_unexpected, item);
	remove_from_queue(msg, u);
	return u;
}

void vmb_unexpected_drop(struct vmb_msg *msg, struct vmb_unexpected *u)
{
	remove_from_queue(msg, u);
	vmb_unexpected_free(msg, u);
}

bool vmb_msg_probe(struct vmb_msg *msg, uint64_t match, uint64_t mask,
		   struct vmb_status *status)
{
	struct vmb_item *item = vmb_itemset_find(&msg->unexpected, match, mask);
	const struct vmb_incoming *in;

	if (!item)
		return false;
	in = &vmb_container_of(item, struct vmb_unexpected, item)->in;
	if (status)
		*status = (struct vmb_status){
			.peer = vmb_msg_addr(msg, in->mp->peer),
			.match = in->match,
			.msg_len = in->len,
			.xfer_len = in->len,
		};
	return true;
}

/* ---- the application's handler --------------------------------------------------------- */

void vmb_msg_set_handler(struct vmb_msg *msg, vmb_unexpected_handler_t fn,
			 void *context)
{
	msg->handler = fn;
	msg->handler_context = context;
}

/*
 * Call it with the endpoint unlocked. false: the peer was disconnected
 * meanwhile, and the message with it.
 */
static bool ask_handler(struct vmb_msg *msg, struct vmb_incoming *in,
			enum vmb_unexpected_action *action)
{
	vmb_unexpected_handler_t handler = msg->handler;
	void *context = msg->handler_context;
	uint32_t handle = in->mp->peer->handle;
	struct vmb_addr source = vmb_msg_addr_of(msg, handle);
	bool at_hand =
		in->id == VMB_MSG_EAGER && in->len <= VMB_MSG_HANDLER_DATA;
	const void *data = in->data ? in->data : "";
	struct vmb_peer *peer;

	if (msg->config.handler_enter)
		msg->config.handler_enter(msg->config.arg);
	*action = handler(context, source, in->match, in->len,
			  at_hand ? data : NULL);
	if (msg->config.handler_leave)
		msg->config.handler_leave(msg->config.arg);
	peer = vmb_am_find_peer(msg->am, handle);
	if (!peer || !peer->msg)
		return false;
	in->mp = peer->msg;
	return true;
}

/* Consumed by the handler: the sender of a synchronous one is told. */
static void finish(struct vmb_msg *msg, const struct vmb_incoming *in)
{
	struct vmb_unexpected *u;

	if (in->id == VMB_MSG_EAGER)
		return;
	u = copy(msg, in, 0);
	if (!u)
		return;
	u->reply.entry = u;
	u->reply.id = in->id == VMB_MSG_RTS ? VMB_MSG_FIN : VMB_MSG_ACK;
	u->reply.hdr = in->number;
	u->reply.body.end = (struct vmb_wire_end){0};
	vmb_msg_peer_reply(msg, in->mp, &u->reply);
}

void vmb_unexpected_arrive(struct vmb_msg *msg, struct vmb_incoming *in)
{
	enum vmb_unexpected_action action;

	msg->counters.unexpected++;
	if (msg->handler) {
		if (!ask_handler(msg, in, &action) || msg->am->error)
			return;
		if (action == VMB_UNEXPECTED_FINISHED) {
			finish(msg, in);
			return;
		}
		if (vmb_receive_match(msg, in))
			return;
	}
	keep(msg, in);
}
