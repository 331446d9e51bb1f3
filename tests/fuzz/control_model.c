// SPDX-License-Identifier: BSD-2-Clause
/*
 * control_model.c - see control_model.h. Tables are searched from end to end,
 * and when several things are wrong with a request each may be named.
 */
#include "control_model.h"

#include <errno.h>
#include <string.h>

struct m_client m_clients[M_CLIENTS];

static const size_t request_len[] = {
	[VMB_CTL_HELLO] = sizeof(struct vmb_ctl_hello),
	[VMB_CTL_OPEN] = sizeof(struct vmb_ctl_open),
	[VMB_CTL_CLOSE] = sizeof(struct vmb_ctl_close),
	[VMB_CTL_REGISTER] = sizeof(struct vmb_ctl_register),
	[VMB_CTL_DEREGISTER] = sizeof(struct vmb_ctl_deregister),
	[VMB_CTL_CONNECT] = sizeof(struct vmb_ctl_connect),
	[VMB_CTL_LOOKUP] = sizeof(struct vmb_ctl_lookup),
};

/* ---- tables ------------------------------------------------------------- */

unsigned m_endpoints(const struct m_client *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < M_ENDPOINTS; i++)
		n += c->endpoints[i].open;
	return n;
}

unsigned m_regions(const struct m_client *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < M_REGIONS; i++)
		n += c->regions[i].key != 0;
	return n;
}

uint64_t m_memory(const struct m_client *c)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < M_REGIONS; i++)
		n += c->regions[i].key ? c->regions[i].len : 0;
	return n;
}

static unsigned admitted(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < M_CLIENTS; i++)
		n += m_clients[i].there && m_clients[i].admitted;
	return n;
}

/* By board and id, or by handle. NULL: not open. */
static struct m_endpoint *find(uint64_t nic_id, uint32_t id, uint32_t handle,
			       const struct m_client **owner)
{
	for (unsigned i = 0; i < M_CLIENTS; i++) {
		for (unsigned k = 0; k < M_ENDPOINTS; k++) {
			struct m_endpoint *e = &m_clients[i].endpoints[k];

			if (!e->open || (handle ? e->handle != handle
						: e->id != id ||
						  m_clients[i].nic_id != nic_id))
				continue;
			*owner = &m_clients[i];
			return e;
		}
	}
	return NULL;
}

static bool knows_nic(uint64_t nic_id)
{
	extern uint64_t m_host_nic;

	for (unsigned i = 0; i < M_CLIENTS; i++)
		if (m_clients[i].admitted && m_clients[i].nic_id == nic_id)
			return true;
	return nic_id == m_host_nic;
}
