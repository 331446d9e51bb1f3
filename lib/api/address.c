// SPDX-License-Identifier: BSD-2-Clause
/*
 * address.c - peers: how their addresses are obtained, checked, explained.
 *
 * Flow:  vmb_connect() -> port connect_start(), connect_poll() -> vmb_am_peer()
 * Owns:  nothing; am owns the peers.
 * Trust: an address is the application's, and input: it is good if the peer
 *        that it names would be given the same one.
 */
#include <string.h>

#include "api/api.h"

struct vmb_peer *vmb_address_peer(struct vmb_endpoint *ep, struct vmb_addr addr)
{
	uint32_t handle = (uint32_t)addr.opaque[0];
	struct vmb_addr given = vmb_msg_addr_of(ep->msg, handle);

	if (vmb_unlikely(given.opaque[0] != addr.opaque[0] ||
			 given.opaque[1] != addr.opaque[1] || !handle))
		return NULL;
	return vmb_am_find_peer(&ep->am, handle);
}

/* Lock the endpoint and find the peer of one of its addresses. */
static int enter_peer(struct vmb_endpoint *ep, struct vmb_addr addr,
		      struct vmb_peer **peer)
{
	int rc = vmb_endpoint_enter(ep);

	if (rc)
		return rc;
	*peer = vmb_address_peer(ep, addr);
	if (*peer)
		return 0;
	vmb_endpoint_leave(ep);
	return -EINVAL;
}

int vmb_self(struct vmb_endpoint *ep, struct vmb_addr *addr)
{
	struct vmb_peer *peer;
	int rc;

	if (!addr)
		return -EINVAL;
	rc = vmb_endpoint_enter(ep);
	if (rc)
		return rc;
	peer = vmb_am_peer(&ep->am, ep->am.pep.handle);
	if (peer)
		*addr = vmb_msg_addr(ep->msg, peer);
	vmb_endpoint_leave(ep);
	return peer ? 0 : -ENOMEM;
}

/* ---- connect ----------------------------------------------------------------- */

struct connect_look {
	uint32_t tag;
	uint32_t handle, session;
	bool answered;
};

static int look_for_answer(struct vmb_endpoint *ep, void *arg)
{
	struct vmb_port *port = ep->am.port;
	struct connect_look *l = arg;
	int rc;

	rc = port->ops->connect_poll(port, l->tag, &l->handle, &l->session);
	if (rc == -EAGAIN)
		return 0;
	l->answered = true;
	return rc ? rc : 1;
}

/* Ask the daemon. Locked; other threads run meanwhile. */
static int ask_daemon(struct vmb_endpoint *ep, uint64_t nic_id, uint32_t id,
		      uint32_t key, int timeout_ms, struct connect_look *l)
{
	struct vmb_port *port = ep->am.port;
	int rc;

	rc = port->ops->connect_start(port, nic_id, id, key, &l->tag);
	if (rc)
		return rc;
	rc = vmb_endpoint_await(ep, look_for_answer, l, timeout_ms, true);
	if (!l->answered)
		port->ops->connect_cancel(port, l->tag);
	if (rc == 0)
		return -ETIMEDOUT;
	return rc > 0 ? 0 : rc;
}

static bool is_self(const struct vmb_endpoint *ep, uint64_t nic_id, uint32_t id,
		    uint32_t key)
{
	return nic_id == ep->am.port->hello.nic_id && id == ep->am.pep.id &&
	       key == ep->key;
}

static int connect_peer(struct vmb_endpoint *ep, uint64_t nic_id, uint32_t id,
			uint32_t key, int timeout_ms, struct vmb_addr *addr)
{
	struct connect_look l = {.handle = ep->am.pep.handle,
				 .session = ep->am.pep.session};
	struct vmb_peer *peer;
	int rc = ep->am.error;

	if (!rc && !is_self(ep, nic_id, id, key))
		rc = ask_daemon(ep, nic_id, id, key, timeout_ms, &l);
	if (rc)
		return rc;
	peer = vmb_am_peer(&ep->am, l.handle);
	if (!peer)
		return -ENOMEM;
	peer->nic_id = nic_id;
	peer->id = id;
	peer->session = l.session;
	*addr = vmb_msg_addr(ep->msg, peer);
	return 0;
}

int vmb_connect(struct vmb_endpoint *ep, uint64_t nic_id, uint32_t id,
		uint32_t key, int timeout_ms, struct vmb_addr *addr)
{
	int rc;

	if (!addr || id > VMB_ID_MAX || timeout_ms < VMB_INFINITE)
		return -EINVAL;
	rc = vmb_endpoint_enter(ep);
	if (rc)
		return rc;
	if (vmb_endpoint_in_handler(ep))
		rc = -EDEADLK;
	else
		rc = connect_peer(ep, nic_id, id, key, timeout_ms, addr);
	vmb_endpoint_leave(ep);
	return rc;
}

int vmb_iconnect(struct vmb_endpoint *ep, uint64_t nic_id, uint32_t id,
		 uint32_t key, uint64_t match, void *context,
		 struct vmb_req **req)
{
	struct vmb_req *posted;
	int rc;

	if (id > VMB_ID_MAX)
		return -EINVAL;
	rc = vmb_endpoint_enter(ep);
	if (rc)
		return rc;
	rc = vmb_msg_iconnect(ep->msg, nic_id, id, key, match, context,
			      &posted);
	if (!rc && req)
		*req = posted;
	else if (!rc)
		vmb_msg_forget(ep->msg, posted);
	vmb_endpoint_posted(ep);
	vmb_endpoint_leave(ep);
	return rc;
}

/* Arrivals that a handler looks at belong to the peer: wait for its end. */
static int disconnect(struct vmb_endpoint *ep, struct vmb_addr addr)
{
	struct vmb_peer *peer;
	int rc;

	if (vmb_endpoint_in_handler(ep))
		return -EDEADLK;
	rc = vmb_endpoint_quiesce(ep);
	if (rc)
		return rc;
	peer = vmb_address_peer(ep, addr);
	if (!peer)
		return -EINVAL;
	vmb_msg_disconnect(ep->msg, peer);
	vmb_am_forget_peer(&ep->am, peer, -ECANCELED);
	return 0;
}

int vmb_disconnect(struct vmb_endpoint *ep, struct vmb_addr addr)
{
	int rc = vmb_endpoint_enter(ep);

	if (rc)
		return rc;
	rc = disconnect(ep, addr);
	vmb_endpoint_emptied(ep);
	vmb_endpoint_leave(ep);
	return rc;
}

/* ---- about a peer -------------------------------------------------------------- */

/* Ask the daemon once who it is. Locked, but not while the daemon thinks. */
static int identify(struct vmb_endpoint *ep, struct vmb_addr addr)
{
	struct vmb_port_identity who = {0};
	struct vmb_port *port = ep->am.port;
	struct vmb_peer *peer;
	int rc, left;

	vmb_endpoint_absent(ep);
	rc = port->ops->lookup(port, VMB_LOOKUP_HANDLE,
			       (uint32_t)addr.opaque[0], &who);
	left = vmb_endpoint_present(ep);
	if (left)
		return left;
	peer = vmb_address_peer(ep, addr); /* may have been forgotten */
	if (!rc && peer) {
		peer->nic_id = who.nic_id;
		peer->id = who.id;
		peer->session = who.session;
	}
	if (rc || !peer)
		vmb_endpoint_leave(ep);
	return rc ? rc : peer ? 0 : -EINVAL;
}

int vmb_addr_query(struct vmb_endpoint *ep, struct vmb_addr addr,
		   uint64_t *nic_id, uint32_t *id, uint32_t *session)
{
	struct vmb_peer *peer;
	int rc;

	rc = enter_peer(ep, addr, &peer);
	if (rc)
		return rc;
	if (!peer->nic_id || !peer->session) {
		rc = identify(ep, addr);
		if (rc)
			return rc;
		peer = vmb_address_peer(ep, addr);
	}
	if (nic_id)
		*nic_id = peer->nic_id;
	if (id)
		*id = peer->id;
	if (session)
		*session = peer->session;
	vmb_endpoint_leave(ep);
	return 0;
}

int vmb_addr_endpoint(struct vmb_addr addr, struct vmb_endpoint **ep)
{
	struct vmb_endpoint *found =
		vmb_table_at(&vmb_endpoints, (unsigned)(addr.opaque[1] >> 32));
	struct vmb_peer *peer;
	int rc;

	if (!ep || !found)
		return -EINVAL;
	rc = enter_peer(found, addr, &peer);
	if (rc)
		return rc;
	vmb_endpoint_leave(found);
	*ep = found;
	return 0;
}

int vmb_addr_set_context(struct vmb_endpoint *ep, struct vmb_addr addr,
			 void *context)
{
	struct vmb_peer *peer;
	int rc = enter_peer(ep, addr, &peer);

	if (rc)
		return rc;
	peer->context = context;
	vmb_endpoint_leave(ep);
	return 0;
}

int vmb_addr_get_context(struct vmb_endpoint *ep, struct vmb_addr addr,
			 void **context)
{
	struct vmb_peer *peer;
	int rc;

	if (!context)
		return -EINVAL;
	rc = enter_peer(ep, addr, &peer);
	if (rc)
		return rc;
	*context = peer->context;
	vmb_endpoint_leave(ep);
	return 0;
}
