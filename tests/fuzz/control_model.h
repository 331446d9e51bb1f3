/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control_model.h - a naive model of the daemon's control protocol, written
 * from docs/control.md: who has which endpoint, region and domain, and which
 * statuses a request may get.
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
#define M_ADMITTED 3u
#define M_STRIKES 16u

struct m_endpoint {
	bool open;
	uint32_t id, key, handle, session;
};

struct m_region {
	uint64_t key, len; /* key 0: none */
};

struct m_client {
	bool there, admitted;
	unsigned strikes;
	char domain[VMB_NAME_BYTES];
	uint64_t nic_id, features;
	struct m_endpoint endpoints[M_ENDPOINTS];
	struct m_region regions[M_REGIONS];
};

struct m_request {
	const union vmb_ctl_any *msg;
	size_t len;
	unsigned attached;
	bool attached_more;
	int map_status; /* what the platform says of the memory */
};

/* Statuses that a request may get; none: it must work. */
struct m_verdict {
	int status[16];
	unsigned count;
	bool nonsense; /* it is no request at all */
};

extern struct m_client m_clients[M_CLIENTS];
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
/* Attachments that this request takes. */
unsigned m_attachments(const struct m_client *c, const union vmb_ctl_any *msg,
		       size_t len);
/* Is there no more room for this region? */
bool m_is_over(const struct m_client *c, uint64_t len);

#endif
