/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control_model.h - a naive model of the daemon's control protocol, written
 * from docs/control.md: who has which endpoint, region, lane and domain, and
 * which statuses a request may get.
 */
#ifndef TESTS_FUZZ_CONTROL_MODEL_H
#define TESTS_FUZZ_CONTROL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmbypass/abi/control.h>

#define M_CLIENTS 4u
#define M_ENDPOINTS 3u /* limits of the policy */
#define M_REGIONS 4u
#define M_MEMORY (1u << 20)
#define M_LANES 2u
#define M_ADMITTED 3u
#define M_STRIKES 16u
#define M_DEPARTED 64u /* as many as the engine has endpoints */

struct m_endpoint {
	bool open;
	uint32_t id, key, handle, session;
	uint64_t opened; /* later ones have more */
};

/* One that was closed. */
struct m_departed {
	struct m_endpoint endpoint; /* handle 0: none */
	uint64_t nic_id;
};

struct m_region {
	uint64_t key, len; /* key 0: none */
};

/* Of the client that reads it. */
struct m_lane {
	uint64_t ticket;	   /* 0: none */
	uint32_t receiver, sender; /* handles */
	uint32_t slots, bytes;
	bool accepted;
};

struct m_client {
	bool there, admitted;
	unsigned strikes;
	char domain[VMB_NAME_BYTES];
	uint64_t nic_id, features;
	struct m_endpoint endpoints[M_ENDPOINTS];
	struct m_region regions[M_REGIONS];
	struct m_lane lanes[M_LANES];
};

struct m_request {
	const union vmb_ctl_any *msg;
	size_t len;
	unsigned attached;
	bool attached_more;
	int map_status;	 /* what the platform says of the memory */
	int lane_status; /* and of memory for a lane */
};

/* Statuses that a request may get; none: it must work. */
struct m_verdict {
	int status[16];
	unsigned count;
	bool nonsense; /* it is no request at all */
};

extern struct m_client m_clients[M_CLIENTS];
extern struct m_departed m_departed[M_DEPARTED]; /* the newest */
extern uint64_t m_host_nic;

struct m_verdict m_judge(const struct m_client *c, const struct m_request *r);
bool m_allows(const struct m_verdict *v, int status);
/* It worked: take note, and check what was answered. false: wrong. */
bool m_follow(struct m_client *c, const union vmb_ctl_any *msg,
	      const union vmb_ctl_any *reply);
void m_leave(struct m_client *c);
unsigned m_endpoints(const struct m_client *c);
unsigned m_regions(const struct m_client *c);
uint64_t m_memory(const struct m_client *c);
unsigned m_lanes(const struct m_client *c);
/* Lanes whose sender has not come for them. */
unsigned m_lanes_offered(const struct m_client *c);
/* The last client lives on another host. */
bool m_is_coresident(const struct m_client *a, const struct m_client *b);
/* Does a reply to this, when it works, bring memory of a lane? */
bool m_brings_lane(const union vmb_ctl_any *msg);
/* Attachments that this request takes. */
unsigned m_attachments(const struct m_client *c, const union vmb_ctl_any *msg,
		       size_t len);
/* Is there no more room for this region? */
bool m_is_over(const struct m_client *c, uint64_t len);

#endif
