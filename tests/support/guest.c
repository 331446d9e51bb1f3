// SPDX-License-Identifier: BSD-2-Clause
/* guest.c - see guest.h. */
#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/guest.h"
#include "support/raw.h"

#define FRONT "/local/domain/%u/device/vmb/0/"
#define BACK "/local/domain/0/backend/vmb/%u/0/"

/* ---- the device --------------------------------------------------------- */

void t_guest_start(struct t_guest *g, struct t_vmbd *v, uint32_t id,
		   const char *name)
{
	memset(g, 0, sizeof(*g));
	g->v = v;
	g->id = id;
	t_xen_domain_start(id, name);
	t_vmbd_settle(v);
}

void t_guest_attach(struct t_guest *g)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", g->id);
	ck_assert_int_eq(t_vmbd_command(g->v, NULL, "{s:s, s:s}", "cmd",
					"attach", "guest", number),
			 0);
	t_vmbd_settle(g->v);
}

uint32_t t_guest_back_state(struct t_guest *g)
{
	const char *state = t_xen_read(BACK "state", g->id);

	return state ? (uint32_t)atoi(state) : 0;
}

void t_guest_await(struct t_guest *g, uint32_t state)
{
	t_vmbd_until(g->v, t_guest_back_state(g) == state);
}

void t_guest_say(struct t_guest *g, uint32_t state)
{
	char text[8];

	snprintf(text, sizeof(text), "%u", state);
	t_xen_write(text, FRONT "state", g->id);
	t_vmbd_settle(g->v);
}

void t_guest_prepare(struct t_guest *g)
{
	const char *session = t_xen_read(BACK "session", g->id);
	vmb_xen_sring_t *ring;

	if (g->events) /* the pages of the last session, and another port */
		t_xen_port_close(g->id, g->port);
	else
		g->page = t_xen_pages(g->id, 2);
	ring = t_xen_page(g->id, g->page);
	ck_assert_ptr_nonnull(session);
	ck_assert_uint_eq(strlen(session), XEN_SESSION_BYTES - 1);
	ck_assert_str_ne(session, g->session);
	strcpy(g->session, session);
	ck_assert_str_eq(t_xen_read(BACK "abi", g->id), "1.0");
	XEN_FRONT_RING_INIT(&g->ring, ring, VMB_PAGE);
	g->events = t_xen_page(g->id, g->page + 1);
	memset(g->events, 0, sizeof(*g->events));
	g->ring_ref = t_xen_grant(g->id, g->page, false);
	g->events_ref = t_xen_grant(g->id, g->page + 1, false);
	g->port = t_xen_port(g->id);
}

static void write_number(struct t_guest *g, const char *node, uint32_t value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	t_xen_write(text, FRONT "%s", g->id, node);
}

void t_guest_initialise(struct t_guest *g)
{
	t_xen_write("1.0", FRONT "abi", g->id);
	t_xen_write(g->session, FRONT "session", g->id);
	write_number(g, "ring-ref", g->ring_ref);
	write_number(g, "events-ref", g->events_ref);
	write_number(g, "event-channel", g->port);
	t_guest_say(g, XenbusStateInitialised);
}

void t_guest_connect(struct t_guest *g)
{
	t_guest_await(g, XenbusStateInitWait);
	t_guest_prepare(g);
	t_guest_initialise(g);
	t_guest_await(g, XenbusStateConnected);
	ck_assert_int_eq(g->events->alive, 1);
	t_guest_say(g, XenbusStateConnected);
}

void t_guest_check_let_go(struct t_guest *g)
{
	ck_assert_int_eq(g->events->alive, 0);
	ck_assert_uint_ge(t_xen_events(g->id, g->port), 1);
	ck_assert(t_xen_grant_end(g->id, g->ring_ref));
	ck_assert(t_xen_grant_end(g->id, g->events_ref));
}

/* ---- the control ring --------------------------------------------------- */

struct vmb_xen_request t_guest_request(struct t_guest *g, uint32_t client,
				       uint32_t op,
				       const union vmb_ctl_any *msg)
{
	struct vmb_xen_request r = {.id = ++g->last_request, .client = client};
	union vmb_ctl_any m = msg ? *msg : (union vmb_ctl_any){0};

	m.head.op = op;
	m.head.tag = 7 * r.id;
	m.head.len = (uint32_t)(op == VMB_CTL_LEAVE ? sizeof(m.head)
						    : t_raw_request_len(op));
	memcpy(r.msg, &m, m.head.len);
	return r;
}

void t_guest_push(struct t_guest *g, const struct vmb_xen_request *request)
{
	int wanted;

	ck_assert(!RING_FULL(&g->ring));
	*RING_GET_REQUEST(&g->ring, g->ring.req_prod_pvt) = *request;
	g->ring.req_prod_pvt++;
	RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&g->ring, wanted);
	if (wanted)
		t_xen_event(g->id, g->port);
}

bool t_guest_poll(struct t_guest *g, struct vmb_xen_reply *reply)
{
	int more;

	RING_FINAL_CHECK_FOR_RESPONSES(&g->ring, more);
	if (!more)
		return false;
	xen_rmb();
	RING_COPY_RESPONSE(&g->ring, g->ring.rsp_cons, reply);
	g->ring.rsp_cons++;
	return true;
}

int t_guest_call(struct t_guest *g, const struct vmb_xen_request *request,
		 struct vmb_xen_reply *reply)
{
	struct vmb_xen_reply r;
	struct vmb_ctl_head asked, head;

	t_guest_push(g, request);
	t_vmbd_until(g->v, t_guest_poll(g, &r));
	memcpy(&asked, request->msg, sizeof(asked));
	memcpy(&head, r.msg, sizeof(head));
	ck_assert_uint_eq(r.id, request->id);
	ck_assert_uint_eq(r.client, request->client);
	ck_assert_uint_eq(head.op, asked.op);
	ck_assert_uint_eq(head.tag, asked.tag);
	ck_assert_uint_ge(head.len, sizeof(head));
	ck_assert_uint_le(head.len, VMB_XEN_MSG_BYTES);
	if (reply)
		*reply = r;
	return head.status;
}

int t_guest_hello(struct t_guest *g, uint32_t client,
		  struct vmb_ctl_hello_reply *reply)
{
	const union vmb_ctl_any msg = {.hello = {.abi_major = VMB_ABI_MAJOR,
						 .abi_minor = VMB_ABI_MINOR,
						 .features = VMB_FEATURES_ALL}};
	struct vmb_xen_request r =
		t_guest_request(g, client, VMB_CTL_HELLO, &msg);
	struct vmb_xen_reply answer;
	int status = t_guest_call(g, &r, &answer);

	if (reply)
		memcpy(reply, answer.msg, sizeof(*reply));
	return status;
}

int t_guest_leave(struct t_guest *g, uint32_t client)
{
	struct vmb_xen_request r =
		t_guest_request(g, client, VMB_CTL_LEAVE, NULL);

	return t_guest_call(g, &r, NULL);
}

void t_guest_give_pages(struct t_guest *g, struct vmb_xen_request *r,
			uint32_t first, uint32_t count)
{
	uint32_t *refs = r->refs, list;

	memset(r->refs, 0, sizeof(r->refs));
	r->pages = count;
	for (uint32_t i = 0; i < count; i++) {
		if (count > VMB_XEN_REFS && i % VMB_XEN_LIST_REFS == 0) {
			list = t_xen_pages(g->id, 1);
			refs = t_xen_page(g->id, list);
			r->refs[i / VMB_XEN_LIST_REFS] =
				t_xen_grant(g->id, list, true);
		}
		refs[i % VMB_XEN_LIST_REFS] =
			t_xen_grant(g->id, first + i, false);
	}
}

/* ---- endpoints and memory ----------------------------------------------- */

struct vmb_geometry t_guest_geometry(void)
{
	return (struct vmb_geometry){.eq_slots = VMB_EQ_SLOTS_MIN,
				     .rx_bytes = VMB_RX_BYTES_MIN,
				     .tx_bytes = VMB_TX_BYTES_MIN};
}

int t_guest_open(struct t_guest *g, uint32_t client, uint32_t slot,
		 struct t_guest_endpoint *ep)
{
	const union vmb_ctl_any msg = {
		.open = {.id = VMB_ID_ANY, .geometry = t_guest_geometry()}};
	struct vmb_xen_request r =
		t_guest_request(g, client, VMB_CTL_OPEN, &msg);
	struct vmb_ctl_open_reply reply;
	struct vmb_xen_reply answer;
	char *area;
	int status;

	memset(ep, 0, sizeof(*ep));
	ep->g = g;
	ep->client = client;
	ep->slot = r.slot = slot;
	ep->pages = VMB_AREA_BYTES(&msg.open.geometry) / VMB_PAGE;
	ep->first_page = t_xen_pages(g->id, ep->pages);
	t_guest_give_pages(g, &r, ep->first_page, ep->pages);
	ep->first_ref = r.refs[0];
	status = t_guest_call(g, &r, &answer);
	if (status)
		return status;
	memcpy(&reply, answer.msg, sizeof(reply));
	ep->handle = reply.handle;
	ep->id = reply.id;
	area = t_xen_page(g->id, ep->first_page);
	ep->ctl = (void *)(area + VMB_AREA_CONTROL);
	vmb_ring_init(&ep->doorbell, area + VMB_AREA_DOORBELL,
		      VMB_DOORBELL_SLOTS, 0);
	vmb_ring_init(&ep->events, area + VMB_AREA_EQ, VMB_EQ_SLOTS_MIN, 0);
	return 0;
}

int t_guest_close(struct t_guest_endpoint *ep)
{
	const union vmb_ctl_any msg = {.close = {.handle = ep->handle}};
	struct vmb_xen_request r =
		t_guest_request(ep->g, ep->client, VMB_CTL_CLOSE, &msg);

	return t_guest_call(ep->g, &r, NULL);
}

int t_guest_register(struct t_guest *g, uint32_t client, uint32_t first,
		     uint32_t offset, uint64_t len, uint32_t access,
		     uint64_t *key)
{
	const union vmb_ctl_any msg = {.reg = {.kind = VMB_REGION_GRANT,
					       .access = access,
					       .base = offset,
					       .len = len}};
	struct vmb_xen_request r =
		t_guest_request(g, client, VMB_CTL_REGISTER, &msg);
	struct vmb_ctl_register_reply reply;
	struct vmb_xen_reply answer;
	int status;

	t_guest_give_pages(
		g, &r, first,
		(uint32_t)((offset + len + VMB_PAGE - 1) / VMB_PAGE));
	status = t_guest_call(g, &r, &answer);
	memcpy(&reply, answer.msg, sizeof(reply));
	*key = status ? VMB_KEY_NONE : reply.key;
	return status;
}

int t_guest_deregister(struct t_guest *g, uint32_t client, uint64_t key)
{
	const union vmb_ctl_any msg = {.dereg = {.key = key}};
	struct vmb_xen_request r =
		t_guest_request(g, client, VMB_CTL_DEREGISTER, &msg);

	return t_guest_call(g, &r, NULL);
}

int t_guest_peer(struct t_guest *g, uint32_t client, uint64_t nic_id,
		 uint32_t id, uint32_t *handle)
{
	const union vmb_ctl_any msg = {.connect = {.nic_id = nic_id, .id = id}};
	struct vmb_xen_request r =
		t_guest_request(g, client, VMB_CTL_CONNECT, &msg);
	struct vmb_ctl_connect_reply reply;
	struct vmb_xen_reply answer;
	int status = t_guest_call(g, &r, &answer);

	memcpy(&reply, answer.msg, sizeof(reply));
	*handle = status ? 0 : reply.handle;
	return status;
}

void t_guest_kick(struct t_guest *g, uint32_t slot)
{
	uint64_t bit = 1ull << (slot % 64);

	if (!(vmb_bits_set((uint64_t *)&g->events->kicks[slot / 64], bit) &
	      bit))
		t_xen_event(g->id, g->port);
}

static void kick_if_asked(struct t_guest_endpoint *ep)
{
	vmb_arm_fence();
	if (vmb_load_relaxed(&ep->ctl->kick_arm) ||
	    vmb_load_relaxed(&ep->ctl->room_arm))
		t_guest_kick(ep->g, ep->slot);
}

void t_guest_post(struct t_guest_endpoint *ep, const struct vmb_slot *slot)
{
	uint64_t progress = vmb_observe(&ep->ctl->progress);

	ck_assert_int_eq(vmb_ring_observe(&ep->doorbell, vmb_low(progress)), 0);
	ck_assert_uint_ge(vmb_ring_room(&ep->doorbell), 1);
	vmb_ring_commit(&ep->doorbell, slot);
	kick_if_asked(ep);
}

void t_guest_send(struct t_guest_endpoint *ep, uint32_t peer, uint64_t number)
{
	const struct vmb_slot slot = {
		.op = VMB_OP_SEND, .peer = peer, .hdr = number};

	t_guest_post(ep, &slot);
}

/* Sleep for one note, as the shim lets its process. */
static void sleep_for_note(struct t_guest_endpoint *ep)
{
	struct t_guest *g = ep->g;
	uint64_t bit = 1ull << (ep->slot % 64);
	uint64_t *word = (uint64_t *)&g->events->notes[ep->slot / 64];
	struct pollfd p = {.fd = t_xen_event_fd(g->id, g->port),
			   .events = POLLIN};

	poll(&p, 1, 1);
	t_xen_events(g->id, g->port);
	if (vmb_load_relaxed(word) & bit) {
		__atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST);
		ep->notes++;
	}
	t_vmbd_turn(g->v, 0);
}

void t_guest_arm(struct t_guest_endpoint *ep)
{
	vmb_store_relaxed(&ep->ctl->event_arm, ++ep->arm);
	vmb_arm_fence();
}

void t_guest_await_note(struct t_guest_endpoint *ep)
{
	uint64_t end = vmb_now_ns() + 10000000000ull;
	unsigned notes = ep->notes;

	while (ep->notes == notes) {
		ck_assert_msg(vmb_now_ns() < end, "no note");
		sleep_for_note(ep);
	}
}

void t_guest_next(struct t_guest_endpoint *ep, struct vmb_slot *event)
{
	uint64_t end = vmb_now_ns() + 10000000000ull;
	int due;

	t_guest_arm(ep);
	while ((due = vmb_ring_peek(&ep->events, event)) == 0) {
		ck_assert_msg(vmb_now_ns() < end, "no event");
		sleep_for_note(ep);
	}
	ck_assert_int_eq(due, 1);
	vmb_store_relaxed(&ep->ctl->event_arm, 0);
	vmb_ring_release(&ep->events, 1);
	vmb_publish(&ep->ctl->consumed, vmb_pack(ep->events.pos, 0));
	kick_if_asked(ep);
}

void t_guest_expect(struct t_guest_endpoint *ep, uint32_t peer, uint64_t number)
{
	struct vmb_slot event;

	t_guest_next(ep, &event);
	ck_assert_int_eq(event.op, VMB_EV_ARRIVE);
	ck_assert_uint_eq(event.peer, peer);
	ck_assert_uint_eq(event.hdr, number);
}
