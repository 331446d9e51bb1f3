/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest.h - a guest on the host of fake_xen.h: what its kernel shim and its
 * processes would do, right or, by hand, wrong.
 *
 * Flow:  test -> store nodes, control ring, kicks -> platform/xen
 *        test -> descriptors in an area of its own memory -> engine
 * Owns:  nothing but numbers: memory is the domain's.
 * Trust: what the daemon answers is checked as docs/xenbus.md says.
 */
#ifndef TESTS_SUPPORT_GUEST_H
#define TESTS_SUPPORT_GUEST_H

#include "platform/xen/xen.h"
#include "ring/ring.h"
#include "support/fake_xen.h"
#include "support/vmbd.h"

struct t_guest {
	struct t_vmbd *v;
	uint32_t id;
	char session[XEN_SESSION_BYTES];
	vmb_xen_front_ring_t ring;
	struct vmb_xen_events *events;
	uint32_t page; /* of the ring; the events page follows */
	uint32_t ring_ref, events_ref, port;
	uint32_t last_request;
};

struct t_guest_endpoint {
	struct t_guest *g;
	uint32_t client, slot, handle, id;
	uint32_t first_page, pages, first_ref;
	struct vmb_control_page *ctl;
	struct vmb_ring doorbell, events;
	uint32_t arm;
	unsigned notes; /* that ended a sleep */
};

/* ---- the device --------------------------------------------------------- */

/* A domain starts; the policy may attach it. */
void t_guest_start(struct t_guest *g, struct t_vmbd *v, uint32_t id,
		   const char *name);
/* `vmbctl attach`; must work. */
void t_guest_attach(struct t_guest *g);
/* The number in BACK/state; 0: there is no device. */
uint32_t t_guest_back_state(struct t_guest *g);
/* Wait until BACK/state is this. */
void t_guest_await(struct t_guest *g, uint32_t state);
/* Pages, grants and channel for the session that is offered. */
void t_guest_prepare(struct t_guest *g);
/* Write what was prepared, and Initialised. */
void t_guest_initialise(struct t_guest *g);
/* All of it, until both are Connected. */
void t_guest_connect(struct t_guest *g);
/* Set FRONT/state. */
void t_guest_say(struct t_guest *g, uint32_t state);
/* The daemon has let go: alive is 0, and grants can be ended. */
void t_guest_check_let_go(struct t_guest *g);

/* ---- the control ring --------------------------------------------------- */

/* A request with this message; head.op, .len and .tag are filled in. */
struct vmb_xen_request t_guest_request(struct t_guest *g, uint32_t client,
				       uint32_t op,
				       const union vmb_ctl_any *msg);
/* Put it on the ring and send an event. */
void t_guest_push(struct t_guest *g, const struct vmb_xen_request *request);
/* Is a reply there? */
bool t_guest_poll(struct t_guest *g, struct vmb_xen_reply *reply);
/* Push, and wait for the reply; the status. reply may be NULL. */
int t_guest_call(struct t_guest *g, const struct vmb_xen_request *request,
		 struct vmb_xen_reply *reply);

int t_guest_hello(struct t_guest *g, uint32_t client,
		  struct vmb_ctl_hello_reply *reply);
int t_guest_leave(struct t_guest *g, uint32_t client);
/* Fill in refs: pages in a row, granted; more than fit go by lists. */
void t_guest_give_pages(struct t_guest *g, struct vmb_xen_request *request,
			uint32_t first, uint32_t count);

/* ---- endpoints and memory ----------------------------------------------- */

struct vmb_geometry t_guest_geometry(void); /* the smallest */
int t_guest_open(struct t_guest *g, uint32_t client, uint32_t slot,
		 struct t_guest_endpoint *ep);
int t_guest_close(struct t_guest_endpoint *ep);
/* len bytes at this offset of the first of the pages. */
int t_guest_register(struct t_guest *g, uint32_t client, uint32_t first,
		     uint32_t offset, uint64_t len, uint32_t access,
		     uint64_t *key);
int t_guest_deregister(struct t_guest *g, uint32_t client, uint64_t key);
/* The handle of an endpoint on a board, by nic id. */
int t_guest_peer(struct t_guest *g, uint32_t client, uint64_t nic_id,
		 uint32_t id, uint32_t *handle);

/* Ask for a note with the next event, before that can be there. */
void t_guest_arm(struct t_guest_endpoint *ep);
/* Sleep until one has come. */
void t_guest_await_note(struct t_guest_endpoint *ep);

/* Set a kick bit, and send an event if it was clear. */
void t_guest_kick(struct t_guest *g, uint32_t slot);
/* Post a descriptor; kick if the engine asks for it. */
void t_guest_post(struct t_guest_endpoint *ep, const struct vmb_slot *slot);
/* An inline SEND of a number. */
void t_guest_send(struct t_guest_endpoint *ep, uint32_t peer, uint64_t number);
/* Arm, sleep, take the next event; it must come within 10 s. */
void t_guest_next(struct t_guest_endpoint *ep, struct vmb_slot *event);
/* The next event must be an arrival of this number from there. */
void t_guest_expect(struct t_guest_endpoint *ep, uint32_t peer,
		    uint64_t number);

#endif
