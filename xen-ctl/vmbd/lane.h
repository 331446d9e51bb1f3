/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane.h - lanes: who may have one with whom, and who has. See docs/lane.md.
 *
 * Flow:  LANE offer -> memory made, ticket -> LANE accept -> the sender has it
 * Owns:  the memory until the sender has it too; the list of lanes, and of the
 *        last ones that were refused, for vmbctl.
 * Trust: a ticket is a secret of two clients. Who is on one host, and who owns
 *        an endpoint, vmbd knows; nobody is asked.
 */
#ifndef VMBD_LANE_H
#define VMBD_LANE_H

#include "client.h"

struct vmbd_endpoint;

enum vmbd_lane_state {
	VMBD_LANE_OFFERED,
	VMBD_LANE_OPEN,
	VMBD_LANE_REFUSED, /* kept so that somebody can be told why */
};

struct vmbd_lane {
	struct vmb_list node; /* client.lanes, of the receiver */
	uint64_t ticket;
	const struct vmbd_endpoint *receiver;
	uint32_t sender; /* handle */
	uint32_t slots, bytes;
	enum vmbd_lane_state state;
	int why;			/* it was refused: -errno */
	struct vmb_lane_memory *memory; /* NULL: the sender has it */
};

/*
 * What a client asks for. On success reply is filled in, and the memory of
 * *lane goes along with it unless that is NULL. Errors: see abi/control.h.
 */
int vmbd_lane_request(struct vmbd_client *client,
		      const struct vmb_ctl_lane *request,
		      struct vmb_ctl_lane *reply, struct vmbd_lane **lane);
/* The reply went out: a sender that has the memory needs no more of us. */
void vmbd_lane_given(struct vmbd_lane *lane);
/* The endpoint closes: lanes to it end. */
void vmbd_lanes_end(struct vmbd_endpoint *receiver);

/* Why it was refused, for people. */
const char *vmbd_lane_why(const struct vmbd_lane *lane);
/* "offered", "open", "refused". */
const char *vmbd_lane_state_name(enum vmbd_lane_state state);

#endif
