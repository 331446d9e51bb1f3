// SPDX-License-Identifier: BSD-2-Clause
/* lane.c - see lane.h. */
#include "lane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "domain.h"
#include "endpoint.h"

#define REFUSED_KEPT 16u /* of one client */

static struct vmbd_lane *lane_of(struct vmb_list *node)
{
	return vmb_container_of(node, struct vmbd_lane, node);
}

const char *vmbd_lane_why(const struct vmbd_lane *lane)
{
	switch (lane->why) {
	case -EXDEV:
		return "not on one platform";
	case -EOPNOTSUPP:
		return "this platform makes none";
	case -EDQUOT:
		return "the policy allows no more";
	case -EMFILE:
		return "no descriptor is left for it";
	default:
		return strerror(-lane->why);
	}
}

const char *vmbd_lane_state_name(enum vmbd_lane_state state)
{
	static const char *const names[] = {"offered", "open", "refused"};

	return names[state];
}

/* ---- records ------------------------------------------------------------ */

static void free_memory(struct vmbd_lane *lane)
{
	struct vmbd_client *c = lane->receiver->client;

	c->platform->ops->lane_free(lane->memory);
	lane->memory = NULL;
	vmbd_user_count(c->user, VMBD_HAS_DESCRIPTORS,
			-(int)VMBD_DESCRIPTORS_OF_LANE);
}

static void end(struct vmbd_lane *lane)
{
	struct vmbd_client *c = lane->receiver->client;

	vmb_list_remove(&lane->node);
	if (lane->state == VMBD_LANE_REFUSED) {
		c->lanes_refused--;
	} else {
		c->lane_count--;
		c->lanes_ended[c->lanes_ended_next++ % VMBD_LANES_ENDED] =
			lane->ticket;
	}
	if (lane->memory)
		free_memory(lane);
	free(lane);
}

void vmbd_lanes_end(struct vmbd_endpoint *receiver)
{
	struct vmb_list *pos, *tmp;

	vmb_list_each_safe (pos, tmp, &receiver->client->lanes)
		if (lane_of(pos)->receiver == receiver)
			end(lane_of(pos));
}

static struct vmbd_lane *add(struct vmbd_endpoint *receiver, uint32_t sender,
			     enum vmbd_lane_state state)
{
	struct vmbd_lane *lane = calloc(1, sizeof(*lane));

	if (!lane)
		return NULL;
	lane->receiver = receiver;
	lane->sender = sender;
	lane->state = state;
	vmb_list_append(&receiver->client->lanes, &lane->node);
	return lane;
}

/* The oldest makes room; for the same pair there is one. */
static void note_refused(struct vmbd_endpoint *receiver, uint32_t sender,
			 int why)
{
	struct vmbd_client *c = receiver->client;
	struct vmb_list *pos, *tmp;
	struct vmbd_lane *lane;

	vmb_list_each_safe (pos, tmp, &c->lanes) {
		lane = lane_of(pos);
		if (lane->state != VMBD_LANE_REFUSED)
			continue;
		if (c->lanes_refused >= REFUSED_KEPT ||
		    (lane->receiver == receiver && lane->sender == sender))
			end(lane);
	}
	lane = add(receiver, sender, VMBD_LANE_REFUSED);
	if (!lane)
		return; /* nobody will be told why; the client is */
	lane->why = why;
	c->lanes_refused++;
}

static struct vmbd_lane *by_ticket(struct vmbd_client *owner, uint64_t ticket)
{
	struct vmb_list *pos;

	vmb_list_each (pos, &owner->lanes)
		if (lane_of(pos)->ticket == ticket &&
		    lane_of(pos)->state != VMBD_LANE_REFUSED)
			return lane_of(pos);
	return NULL;
}

/* Who asks for it now is late, not a liar: a guess has one chance in 2^58. */
static bool was_of(const struct vmbd_client *owner, uint64_t ticket)
{
	for (unsigned i = 0; i < VMBD_LANES_ENDED; i++)
		if (ticket && owner->lanes_ended[i] == ticket)
			return true;
	return false;
}

/* ---- lies ---------------------------------------------------------------- */

/* A lane of others. */
static int lie(struct vmbd_client *c, uint64_t value, const char *what)
{
	vmbd_client_warn(c, "lane refused: %s", what);
	vmb_nic_fault_report(c->d->nic, c->domain->nic, VMB_NIC_FAULT_LANE, 0,
			     value);
	return -ENOENT;
}

/* No lane at all. */
static int nonsense(struct vmbd_client *c, uint64_t value, const char *what)
{
	vmbd_client_lied(c, VMB_CTL_LANE, value, "lane refused: %s", what);
	return -EINVAL;
}

/* ---- offer -------------------------------------------------------------- */

static struct vmbd_endpoint *own(struct vmbd_client *c, uint32_t handle)
{
	struct vmbd_endpoint *e = vmbd_endpoint_by_handle(c->d, handle);

	return e && e->client == c ? e : NULL;
}

static bool is_size(uint32_t value, uint32_t min, uint32_t max)
{
	return vmb_is_pow2(value) && value >= min && value <= max;
}

/* May these two share memory? 0 or why not. */
static int check_pair(struct vmbd_client *receiver, struct vmbd_client *sender)
{
	const struct vmb_platform_ops *ops = receiver->platform->ops;

	if (!ops->lane_make)
		return -EOPNOTSUPP;
	if (sender->platform != receiver->platform ||
	    !ops->coresident(receiver->transport, sender->transport))
		return -EXDEV;
	if (receiver->lane_count >= receiver->limits.of[VMBD_LANES])
		return -EDQUOT;
	if (!vmbd_client_may_take(receiver, VMBD_HAS_DESCRIPTORS,
				  VMBD_DESCRIPTORS_OF_LANE, "lane"))
		return -EMFILE;
	return 0;
}

static int make(struct vmbd_endpoint *receiver, struct vmbd_endpoint *sender,
		const struct vmb_ctl_lane *request, struct vmbd_lane **result)
{
	struct vmbd_client *c = receiver->client;
	struct vmbd_lane *lane;
	int err;

	err = check_pair(c, sender->client);
	if (err)
		return err;
	lane = add(receiver, sender->handle, VMBD_LANE_OFFERED);
	if (!lane)
		return -ENOMEM;
	c->lane_count++;
	lane->slots = request->slots;
	lane->bytes = request->bytes;
	if (getrandom(&lane->ticket, sizeof(lane->ticket), 0) !=
	    sizeof(lane->ticket))
		err = -EIO;
	if (!err)
		err = c->platform->ops->lane_make(
			c->transport, sender->client->transport,
			VMB_LANE_LEN(lane->slots, lane->bytes), &lane->memory);
	if (err) {
		end(lane);
		return err;
	}
	vmbd_user_count(c->user, VMBD_HAS_DESCRIPTORS,
			VMBD_DESCRIPTORS_OF_LANE);
	*result = lane;
	return 0;
}

static int do_offer(struct vmbd_client *c, const struct vmb_ctl_lane *request,
		    struct vmbd_lane **lane)
{
	struct vmbd_endpoint *receiver = own(c, request->handle);
	struct vmbd_endpoint *sender =
		vmbd_endpoint_by_handle(c->d, request->peer);
	int err;

	if (!receiver)
		return lie(c, request->handle, "not its endpoint");
	if (request->ticket || request->reason || request->guest)
		return nonsense(c, request->handle, "unused fields are not 0");
	if (!is_size(request->slots, VMB_LANE_SLOTS_MIN, VMB_LANE_SLOTS_MAX))
		return nonsense(c, request->slots, "number of slots");
	if (!is_size(request->bytes, VMB_LANE_BYTES_MIN, VMB_LANE_BYTES_MAX))
		return nonsense(c, request->bytes, "bytes of the buffers");
	if (!vmbd_client_sees(c, sender))
		return -ENOENT; /* it closed meanwhile, or is none of its */
	err = make(receiver, sender, request, lane);
	if (err)
		note_refused(receiver, sender->handle, err);
	return err;
}

/* ---- accept, close ------------------------------------------------------ */

static int do_accept(struct vmbd_client *c, const struct vmb_ctl_lane *request,
		     struct vmbd_lane **lane)
{
	struct vmbd_endpoint *receiver =
		vmbd_endpoint_by_handle(c->d, request->peer);

	if (!own(c, request->handle))
		return lie(c, request->handle, "not its endpoint");
	if (request->slots || request->bytes || request->reason ||
	    request->guest)
		return nonsense(c, request->handle, "unused fields are not 0");
	if (!vmbd_client_sees(c, receiver))
		return -ENOENT; /* it closed meanwhile, or is none of its */
	*lane = by_ticket(receiver->client, request->ticket);
	if (!*lane && was_of(receiver->client, request->ticket))
		return -ENOENT;
	if (!*lane || (*lane)->receiver != receiver ||
	    (*lane)->sender != request->handle)
		return lie(c, request->peer, "no such ticket for it");
	return (*lane)->memory ? 0 : -EALREADY;
}

/* The receiver says what the sender did; vmbd says who that was. */
static void note_lie(struct vmbd_client *c, const struct vmbd_lane *lane,
		     uint32_t reason)
{
	struct vmbd_endpoint *sender =
		vmbd_endpoint_by_handle(c->d, lane->sender);

	vmbd_client_warn(c, "endpoint 0x%x wrote nonsense into a lane: %s",
			 lane->sender, vmb_nic_code_text(reason));
	if (sender)
		vmb_nic_fault_report(c->d->nic, sender->client->domain->nic,
				     VMB_NIC_FAULT_LANE, 0, lane->sender);
}

static int do_close(struct vmbd_client *c, const struct vmb_ctl_lane *request)
{
	struct vmbd_lane *lane = by_ticket(c, request->ticket);

	if (!lane && was_of(c, request->ticket))
		return -ENOENT;
	if (!lane)
		return lie(c, 0, "close of a lane that is not its own");
	if (request->handle || request->peer || request->slots ||
	    request->bytes || request->guest ||
	    request->reason >= VMB_CODE_COUNT)
		return nonsense(c, request->reason,
				"reason, or unused fields are not 0");
	/* of one that nobody took we do not know who has written to it */
	if (request->reason && lane->state == VMBD_LANE_OPEN)
		note_lie(c, lane, request->reason);
	end(lane);
	return 0;
}

int vmbd_lane_request(struct vmbd_client *c, const struct vmb_ctl_lane *request,
		      struct vmb_ctl_lane *reply, struct vmbd_lane **lane)
{
	int err;

	reply->kind = request->kind;
	if (request->kind == VMB_LANE_OFFER)
		err = do_offer(c, request, lane);
	else if (request->kind == VMB_LANE_ACCEPT)
		err = do_accept(c, request, lane);
	else if (request->kind == VMB_LANE_CLOSE)
		err = do_close(c, request);
	else
		err = nonsense(c, request->kind, "unknown kind");
	if (err)
		*lane = NULL; /* nothing is given */
	if (!*lane)
		return err;
	reply->handle = request->handle;
	reply->peer = request->peer;
	reply->slots = (*lane)->slots;
	reply->bytes = (*lane)->bytes;
	reply->ticket = (*lane)->ticket;
	if (request->kind == VMB_LANE_ACCEPT)
		(*lane)->state = VMBD_LANE_OPEN;
	return 0;
}

void vmbd_lane_given(struct vmbd_lane *lane)
{
	if (lane->state != VMBD_LANE_OPEN)
		return;
	free_memory(lane);
}
