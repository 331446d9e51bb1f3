// SPDX-License-Identifier: BSD-2-Clause
/*
 * ring.c - the control ring of a guest, and its clients: one for each open
 * file, told apart by the number that the guest's shim gives them.
 *
 * Flow:  request on the ring -> copied, envelope checked -> client ->
 *        events->request() -> vmb_xen_reply() -> reply on the ring
 * Owns:  the private positions of the ring, the clients.
 * Trust: the ring is the guest's. The envelope is the work of its shim: what
 *        is wrong there is a lie of the guest. The message in it is that of a
 *        process; vmbd judges it, and the process alone suffers.
 *
 * Each request is answered before the next is taken, so the answers of a
 * client come before that of its LEAVE, and there is always room for them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/xen/xen.h"

#define REQUESTS_PER_TURN 8u

static void answer(struct vmb_guest *g, uint32_t client,
		   const union vmb_ctl_any *msg)
{
	struct vmb_xen_reply reply = {.id = g->answering, .client = client};

	memcpy(reply.msg, msg,
	       vmb_min((size_t)msg->head.len, sizeof(reply.msg)));
	*RING_GET_RESPONSE(&g->ring, g->ring.rsp_prod_pvt) = reply;
	g->ring.rsp_prod_pvt++;
}

/* The head alone. */
static void answer_status(struct vmb_guest *g, uint32_t client,
			  const struct vmb_ctl_head *request, int status)
{
	const union vmb_ctl_any msg = {.head = {.op = request->op,
						.tag = request->tag,
						.status = status,
						.len = sizeof(msg.head)}};

	answer(g, client, &msg);
}

/* Where is the other side, for that in a guest? */
static uint32_t where(const struct vmb_lane_memory *lane, uint32_t guest)
{
	if (lane->sender == lane->receiver)
		return VMB_LANE_SAME_GUEST;
	return lane->sender == guest ? lane->receiver : lane->sender;
}

/*
 * What the client gets of a signal is the place that it asked for; of a lane,
 * which domain the other side is.
 */
int vmb_xen_reply(struct vmb_transport *t, const union vmb_ctl_any *msg,
		  const struct vmb_gift *gift)
{
	union vmb_ctl_any told = *msg;

	if (gift && gift->lane)
		told.lane.guest = where(gift->lane, t->g->who.id);
	answer(t->g, t->number, &told);
	return 0;
}

/* ---- clients ------------------------------------------------------------ */

/* It stays until its LEAVE, which the shim owes us, and gets -EPIPE. */
void vmb_xen_drop(struct vmb_transport *t, const char *why)
{
	if (t->client)
		t->g->p->config.events->left(t->client, why);
	t->client = NULL;
}

static void forget(struct vmb_transport *t, const char *why)
{
	vmb_xen_drop(t, why);
	t->g->clients[t->number] = NULL;
	free(t);
}

void vmb_xen_clients_drop(struct vmb_guest *g, const char *why)
{
	for (uint32_t i = 1; i <= VMB_XEN_CLIENTS; i++)
		if (g->clients[i])
			forget(g->clients[i], why);
}

static int arrive(struct vmb_guest *g, uint32_t number,
		  struct vmb_transport **result)
{
	const struct vmb_credentials who = {.guest = g->guest};
	const struct vmb_platform_config *config = &g->p->config;
	struct vmb_transport *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->g = g;
	t->number = number;
	err = config->events->arrived(config->arg, t, &who, &t->client);
	if (err) {
		free(t);
		return err;
	}
	g->clients[number] = t;
	*result = t;
	return 0;
}

/* ---- the envelope ------------------------------------------------------- */

static bool is_zero(const void *at, size_t len)
{
	const char *bytes = at;

	while (len)
		if (bytes[--len])
			return false;
	return true;
}

static int lie(struct vmb_guest *g, unsigned fault, uint64_t value)
{
	vmb_xen_guest_lied(g, fault, value);
	return -EINVAL;
}

static int check_pages(struct vmb_guest *g, const struct vmb_xen_request *r,
		       const struct vmb_ctl_head *head)
{
	uint32_t refs = r->pages;

	if (r->pages > VMB_XEN_PAGES_MAX ||
	    (r->pages && head->op != VMB_CTL_OPEN &&
	     head->op != VMB_CTL_REGISTER))
		return lie(g, VMB_NIC_FAULT_PAGES, r->pages);
	if (refs > VMB_XEN_REFS)
		refs = (refs + VMB_XEN_LIST_REFS - 1) / VMB_XEN_LIST_REFS;
	if (!is_zero(r->refs + refs,
		     (VMB_XEN_REFS - refs) * sizeof(r->refs[0])))
		return lie(g, VMB_NIC_FAULT_PAGES, r->pages);
	return 0;
}

static int check_slot(struct vmb_guest *g, const struct vmb_xen_request *r,
		      const struct vmb_ctl_head *head)
{
	if (head->op == VMB_CTL_OPEN
		    ? r->slot < VMB_XEN_SLOTS && !g->slots[r->slot]
		    : !r->slot)
		return 0;
	return lie(g, VMB_NIC_FAULT_SLOT, r->slot);
}

static int check_envelope(struct vmb_guest *g, const struct vmb_xen_request *r,
			  const struct vmb_ctl_head *head)
{
	int err;

	if (!r->client || r->client > VMB_XEN_CLIENTS)
		return lie(g, VMB_NIC_FAULT_CLIENT, r->client);
	if (!is_zero(r->reserved_7c0, sizeof(r->reserved_7c0)) ||
	    head->len < sizeof(*head) || head->len > sizeof(r->msg))
		return lie(g, VMB_NIC_FAULT_REQUEST, head->op);
	err = check_slot(g, r, head);
	return err ? err : check_pages(g, r, head);
}

/* ---- requests ----------------------------------------------------------- */

static int leave(struct vmb_guest *g, const struct vmb_xen_request *r,
		 const struct vmb_ctl_head *head)
{
	if (head->len != sizeof(*head) || head->status)
		return lie(g, VMB_NIC_FAULT_REQUEST, head->op);
	if (!g->clients[r->client])
		return lie(g, VMB_NIC_FAULT_CLIENT, r->client);
	forget(g->clients[r->client], "closed");
	return 0;
}

/* vmbd answers by vmb_xen_reply(). */
static void pass_on(struct vmb_transport *t, const struct vmb_xen_request *r,
		    const union vmb_ctl_any *msg)
{
	struct vmb_attachment attachment = {
		.slot = r->slot, .pages = r->pages, .refs = r->refs};
	const struct vmb_platform_request request = {
		.msg = msg,
		.len = msg->head.len,
		.attached = r->pages ? 1 : 0,
		.attachment = &attachment,
	};
	int err = t->g->p->config.events->request(t->client, &request);

	if (err)
		vmb_xen_drop(t, strerror(-err));
}

/*
 * A client that did not say HELLO is not there: nothing is kept of it, and no
 * LEAVE will come. It is its process that erred.
 */
static void serve_client(struct vmb_guest *g, const struct vmb_xen_request *r,
			 const union vmb_ctl_any *msg)
{
	struct vmb_transport *t = g->clients[r->client];
	int err = 0;

	if (!t)
		err = msg->head.op == VMB_CTL_HELLO ? arrive(g, r->client, &t)
						    : -ENOTCONN;
	else if (!t->client)
		err = -EPIPE;
	if (err)
		answer_status(g, r->client, &msg->head, err);
	else
		pass_on(t, r, msg);
}

static void serve(struct vmb_guest *g, const struct vmb_xen_request *r)
{
	union vmb_ctl_any msg = {0};
	int err;

	memcpy(&msg.head, r->msg, sizeof(msg.head));
	g->answering = r->id;
	err = check_envelope(g, r, &msg.head);
	if (!err && msg.head.op == VMB_CTL_LEAVE) {
		err = leave(g, r, &msg.head);
	} else if (!err) {
		memcpy(&msg, r->msg, msg.head.len);
		serve_client(g, r, &msg);
		return;
	}
	answer_status(g, r->client, &msg.head, err);
}

static void push_replies(struct vmb_guest *g)
{
	int wanted;

	RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&g->ring, wanted);
	if (wanted)
		vmb_xen_channel_notify(g);
}

/* Requests that were there at first; false: the ring cannot be believed. */
static bool serve_some(struct vmb_guest *g)
{
	RING_IDX end = vmb_load_relaxed(&g->ring.sring->req_prod);
	struct vmb_xen_request request;

	xen_rmb();
	if (RING_REQUEST_PROD_OVERFLOW(&g->ring, end)) {
		vmb_xen_guest_lied(g, VMB_NIC_FAULT_RING, end);
		return false;
	}
	for (unsigned n = 0; n < REQUESTS_PER_TURN && g->ring.req_cons != end &&
			     g->lies < XEN_LIES_MAX;
	     n++) {
		RING_COPY_REQUEST(&g->ring, g->ring.req_cons, &request);
		g->ring.req_cons++;
		serve(g, &request);
	}
	vmb_store_relaxed(&g->taken, g->ring.req_cons);
	return true;
}

void vmb_xen_ring_serve(struct vmb_guest *g)
{
	int more;

	if (!serve_some(g)) {
		vmb_xen_guest_send_away(g, "impossible position of the ring");
		return;
	}
	push_replies(g);
	if (g->lies >= XEN_LIES_MAX) {
		vmb_xen_guest_send_away(g, "too many lies");
		return;
	}
	RING_FINAL_CHECK_FOR_REQUESTS(&g->ring, more);
	sd_event_source_set_enabled(g->more,
				    more ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}
