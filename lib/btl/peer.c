// SPDX-License-Identifier: BSD-2-Clause
/*
 * peer.c - who of the job is reachable, and by which address.
 *
 * Flow:  bml -> vmb_btl_add_procs() -> the process's data of the job -> daemon
 * Owns:  the peers.
 * Trust: what a process told the job is checked in shape; whether its endpoint
 *        is there and the key is right, the daemon says.
 *
 * Open MPI asks for a process when it first sends to it, which may be inside a
 * handler, where nobody may wait for the daemon. Then the answer comes later
 * and fragments wait for it.
 */
#include "btl/btl.h"

#include <sched.h>

#define CONNECT_MS 10000

static void construct(btl_peer_t *peer)
{
	peer->proc = NULL;
	peer->addr = (struct vmb_addr){{0, 0}};
	peer->state = BTL_PEER_CONNECTING;
	peer->connect = NULL;
	peer->moving = 0;
	OBJ_CONSTRUCT(&peer->waiting, opal_list_t);
}

static void destruct(btl_peer_t *peer)
{
	OBJ_DESTRUCT(&peer->waiting);
}

OBJ_CLASS_INSTANCE(btl_peer_t, opal_list_item_t, construct, destruct);

/* This thread goes through all peers: what it calls may end one. */
static __thread bool walking;

/* One thread, and not from a callback of its own. false: another one does. */
static bool walk_begin(struct btl_module *m)
{
	if (__atomic_test_and_set(&m->advancing, __ATOMIC_ACQUIRE))
		return false;
	walking = true;
	return true;
}

static void walk_end(struct btl_module *m)
{
	walking = false;
	__atomic_clear(&m->advancing, __ATOMIC_RELEASE);
}

/* Out of the list, where no other thread may be standing on it. */
static void take_out(struct btl_module *m, btl_peer_t *peer)
{
	bool ours = walking;

	while (!ours && !walk_begin(m))
		sched_yield();
	OPAL_THREAD_LOCK(&m->lock);
	opal_list_remove_item(&m->peers, &peer->super);
	OPAL_THREAD_UNLOCK(&m->lock);
	if (!ours)
		walk_end(m);
}

/* What the process said of itself. False: it has no endpoint of our kind. */
static bool learn(struct opal_proc_t *proc, struct btl_address *address)
{
	struct btl_address *told = NULL;
	size_t len = 0;
	int rc;

	OPAL_MODEX_RECV(rc, &mca_btl_vmb_component.super.btl_version,
			&proc->proc_name, (uint8_t **)&told, &len);
	if (rc != OPAL_SUCCESS || !told)
		return false;
	if (len == sizeof(*address))
		*address = *told;
	free(told);
	return len == sizeof(*address) && address->version == BTL_VERSION_1;
}

/* Its address is known. */
static int connected(struct btl_module *m, btl_peer_t *peer)
{
	peer->state = BTL_PEER_CONNECTED;
	return BTL_TELLS_SENDER ? vmb_addr_set_context(m->ep, peer->addr, peer)
				: 0;
}

static int connect_peer(struct btl_module *m, btl_peer_t *peer,
			const struct btl_address *a)
{
	int rc = vmb_connect(m->ep, a->nic_id, a->id, a->key, CONNECT_MS,
			     &peer->addr);

	if (!rc)
		return connected(m, peer);
	if (rc != -EDEADLK)
		return rc;
	rc = vmb_iconnect(m->ep, a->nic_id, a->id, a->key, 0, peer,
			  &peer->connect);
	if (!rc)
		vmb_btl_count(&m->busy, 1);
	return rc;
}

/* NULL: not reachable by us; others may reach it. */
static btl_peer_t *add(struct btl_module *m, struct opal_proc_t *proc)
{
	struct btl_address address;
	btl_peer_t *peer;
	int rc;

	if (!opal_compare_proc(proc->proc_name, OPAL_PROC_MY_NAME) ||
	    !learn(proc, &address))
		return NULL;
	peer = OBJ_NEW(btl_peer_t);
	if (!peer)
		return NULL;
	peer->proc = proc;
	rc = connect_peer(m, peer, &address);
	if (!rc) {
		OPAL_THREAD_LOCK(&m->lock);
		opal_list_append(&m->peers, &peer->super);
		OPAL_THREAD_UNLOCK(&m->lock);
		return peer;
	}
	opal_output_verbose(10, opal_btl_base_framework.framework_output,
			    "btl:vmb: no way to %s: %s",
			    OPAL_NAME_PRINT(proc->proc_name), vmb_strerror(rc));
	OBJ_RELEASE(peer);
	return NULL;
}

int vmb_btl_add_procs(mca_btl_base_module_t *btl, size_t count,
		      struct opal_proc_t **procs,
		      struct mca_btl_base_endpoint_t **peers,
		      opal_bitmap_t *reachable)
{
	struct btl_module *m = (struct btl_module *)btl;

	for (size_t i = 0; i < count; i++) {
		peers[i] = add(m, procs[i]);
		if (peers[i] && reachable)
			opal_bitmap_set_bit(reachable, (int)i);
	}
	return OPAL_SUCCESS;
}

int vmb_btl_del_procs(mca_btl_base_module_t *btl, size_t count,
		      struct opal_proc_t **procs,
		      struct mca_btl_base_endpoint_t **peers)
{
	struct btl_module *m = (struct btl_module *)btl;

	(void)procs;
	for (size_t i = 0; i < count; i++) {
		btl_peer_t *peer = peers[i];

		if (!peer)
			continue;
		take_out(m, peer);
		vmb_btl_drop(m, peer, OPAL_ERR_UNREACH);
		if (peer->connect) {
			vmb_forget(m->ep, &peer->connect);
			vmb_btl_count(&m->busy, -1);
		}
		/* one that failed may still send */
		if (BTL_TELLS_SENDER)
			vmb_addr_set_context(m->ep, peer->addr, NULL);
		if (peer->state == BTL_PEER_CONNECTED)
			vmb_disconnect(m->ep, peer->addr);
		OBJ_RELEASE(peer);
	}
	return OPAL_SUCCESS;
}

/* ---- progress ----------------------------------------------------------- */

/* Has the daemon answered? */
static void settle(struct btl_module *m, btl_peer_t *peer)
{
	struct vmb_status status;
	int rc, done;

	rc = vmb_test(m->ep, &peer->connect, &status, &done);
	if (!rc && !done)
		return;
	vmb_btl_count(&m->busy, -1);
	peer->connect = NULL;
	if (!rc)
		rc = status.code;
	if (!rc) {
		peer->addr = status.peer;
		rc = connected(m, peer);
	}
	if (rc)
		vmb_btl_report(m, peer, rc, "no connection");
}

static void advance(struct btl_module *m, btl_peer_t *peer)
{
	int rc;

	if (peer->connect)
		settle(m, peer);
	if (opal_list_is_empty(&peer->waiting) ||
	    peer->state == BTL_PEER_CONNECTING)
		return;
	if (peer->state == BTL_PEER_FAILED) { /* that was reported */
		vmb_btl_drop(m, peer, OPAL_ERR_UNREACH);
		return;
	}
	rc = vmb_btl_resume(m, peer);
	if (!rc || rc == -EAGAIN)
		return;
	vmb_btl_drop(m, peer, vmb_btl_code(rc));
	vmb_btl_report(m, peer, rc, "a send failed");
}

void vmb_btl_advance(struct btl_module *m)
{
	btl_peer_t *peer, *next;

	if (!walk_begin(m))
		return;
	OPAL_LIST_FOREACH_SAFE(peer, next, &m->peers, btl_peer_t)
	advance(m, peer);
	walk_end(m);
}
