// SPDX-License-Identifier: BSD-2-Clause
/*
 * rdma.c - memory that peers may reach, put and get.
 *
 * Flow:  ob1 -> vmb_btl_register_mem() -> vmb_am_offer(), and at the receiver
 *        vmb_btl_get() -> vmb_am_accept()
 *        else -> Open MPI's registration cache -> vmb_register(), and
 *        vmb_btl_get() -> vmb_am_get()
 * Owns:  offers, the registrations that the cache keeps.
 * Trust: a handle of a peer is an offer, which the library checks, or a key and
 *        an address, which the engine does.
 *
 * ob1 asks for memory to be read by one peer, and no more, when it has a long
 * message for it: that is an offer. Everything else is a registration.
 */
#include "btl/btl.h"

/* ---- registrations ------------------------------------------------------ */

static int register_region(void *data, void *base, size_t size,
			   mca_rcache_base_registration_t *r)
{
	struct btl_registration *reg = (struct btl_registration *)r;
	unsigned access = 0;
	int rc;

	(void)data;
	if (r->access_flags & MCA_BTL_REG_FLAG_REMOTE_READ)
		access |= VMB_REMOTE_READ;
	if (r->access_flags & MCA_BTL_REG_FLAG_REMOTE_WRITE)
		access |= VMB_REMOTE_WRITE;
	rc = vmb_register(base, size, access, &reg->mem);
	if (rc)
		return vmb_btl_code(rc);
	reg->handle.base = (uintptr_t)base;
	vmb_mem_key(reg->mem, &reg->handle.key);
	return OPAL_SUCCESS;
}

static int deregister_region(void *data, mca_rcache_base_registration_t *r)
{
	(void)data;
	return vmb_btl_code(
		vmb_deregister(((struct btl_registration *)r)->mem));
}

int vmb_btl_rcache_open(struct btl_module *m)
{
	mca_rcache_base_resources_t resources = {
		.cache_name = "vmb",
		.reg_data = m,
		.sizeof_reg = sizeof(struct btl_registration),
		.register_mem = register_region,
		.deregister_mem = deregister_region,
	};

	m->rcache = mca_rcache_base_module_create("grdma", m, &resources);
	return m->rcache ? 0 : -ENOMEM;
}

static struct btl_registration *registered(struct btl_module *m, void *base,
					   size_t size, int32_t access)
{
	mca_rcache_base_registration_t *reg;

	if (m->rcache->rcache_register(m->rcache, base, size, 0, access,
				       &reg) != OPAL_SUCCESS)
		return NULL;
	return (struct btl_registration *)reg;
}

static struct btl_registration *
registration_of(mca_btl_base_registration_handle_t *handle)
{
	return (struct btl_registration *)((char *)handle -
					   offsetof(struct btl_registration,
						    handle));
}

/* ---- offers ------------------------------------------------------------- */

OBJ_CLASS_INSTANCE(btl_offer_t, opal_free_list_item_t, NULL, NULL);

static bool is_message(const struct btl_module *m, const btl_peer_t *peer,
		       uint32_t flags)
{
	return peer && m->super.btl_flags & MCA_BTL_FLAGS_GET &&
	       (flags & MCA_BTL_REG_FLAG_ACCESS_ANY) ==
		       MCA_BTL_REG_FLAG_REMOTE_READ;
}

/* NULL: it is sent in fragments. */
static mca_btl_base_registration_handle_t *
offer(struct btl_module *m, btl_peer_t *peer, void *base, size_t size)
{
	btl_offer_t *o;

	if (size < mca_btl_vmb_component.offer_min ||
	    peer->state != BTL_PEER_CONNECTED)
		return NULL;
	o = (btl_offer_t *)opal_free_list_get(&m->offers);
	if (!o)
		return NULL;
	o->handle.key = BTL_KEY_OFFER;
	o->handle.base = (uintptr_t)base;
	if (!vmb_am_offer(m->ep, peer->addr, base, size, NULL, NULL,
			  &o->handle.offer))
		return &o->handle;
	opal_free_list_return(&m->offers, &o->super);
	return NULL;
}

/* The receiver has it, as a rule; what it has not taken up it never will. */
static int withdraw(struct btl_module *m,
		    mca_btl_base_registration_handle_t *handle)
{
	btl_offer_t *o =
		(btl_offer_t *)((char *)handle - offsetof(btl_offer_t, handle));

	(void)vmb_am_withdraw(m->ep, &handle->offer);
	opal_free_list_return(&m->offers, &o->super);
	return OPAL_SUCCESS;
}

mca_btl_base_registration_handle_t *
vmb_btl_register_mem(mca_btl_base_module_t *btl,
		     struct mca_btl_base_endpoint_t *peer, void *base,
		     size_t size, uint32_t flags)
{
	struct btl_module *m = (struct btl_module *)btl;
	struct btl_registration *reg;

	if (is_message(m, peer, flags))
		return offer(m, peer, base, size);
	reg = registered(m, base, size,
			 (int32_t)(flags & MCA_BTL_REG_FLAG_ACCESS_ANY));
	return reg ? &reg->handle : NULL;
}

int vmb_btl_deregister_mem(mca_btl_base_module_t *btl,
			   mca_btl_base_registration_handle_t *handle)
{
	struct btl_module *m = (struct btl_module *)btl;

	if (handle->key == BTL_KEY_OFFER)
		return withdraw(m, handle);
	return m->rcache->rcache_deregister(m->rcache,
					    &registration_of(handle)->super);
}

/* ---- transfers ---------------------------------------------------------- */

typedef int (*move_fn)(struct vmb_endpoint *ep, struct vmb_addr dest,
		       struct vmb_mem *mem, uint64_t offset, uint64_t key,
		       uint64_t remote_offset, uint64_t len, vmb_am_done_t done,
		       void *context);

void vmb_btl_release(struct btl_module *m, btl_transfer_t *t)
{
	if (t->registration)
		m->rcache->rcache_deregister(m->rcache,
					     &t->registration->super);
	t->registration = NULL;
}

/* Of memory that the peer has registered: the NIC needs ours to be, too. */
static int move_region(struct btl_module *m, move_fn fn, btl_transfer_t *t,
		       uint64_t remote_address,
		       const mca_btl_base_registration_handle_t *remote,
		       size_t size)
{
	uint64_t at;
	int rc;

	t->registration = registered(m, t->local_address, size,
				     MCA_BTL_REG_FLAG_LOCAL_WRITE);
	if (!t->registration)
		return -EAGAIN;
	at = (uintptr_t)t->local_address - t->registration->handle.base;
	rc = fn(m->ep, t->peer->addr, t->registration->mem, at, remote->key,
		remote_address - remote->base, size, vmb_btl_moved, t);
	if (rc)
		vmb_btl_release(m, t);
	return rc;
}

/* An offer is of one message, and ob1 gets all of it (btl_get_limit). */
static int take_up(struct btl_module *m, btl_transfer_t *t,
		   uint64_t remote_address,
		   const mca_btl_base_registration_handle_t *remote,
		   size_t size)
{
	if (remote_address != remote->base)
		return -EINVAL;
	return vmb_am_accept(m->ep, t->peer->addr, &remote->offer,
			     t->local_address, size, vmb_btl_moved, t);
}

/* what says everything but where to. */
static int move(struct btl_module *m, move_fn fn, const btl_transfer_t *what,
		uint64_t remote_address,
		const mca_btl_base_registration_handle_t *remote, size_t size)
{
	btl_peer_t *peer = what->peer;
	btl_transfer_t *t;
	int rc;

	if (peer->state == BTL_PEER_CONNECTING)
		return OPAL_ERR_OUT_OF_RESOURCE; /* ob1 sends it */
	t = (btl_transfer_t *)opal_free_list_get(&m->transfers);
	if (!t)
		return OPAL_ERR_OUT_OF_RESOURCE;
	t->peer = peer;
	t->local_address = what->local_address;
	t->local_handle = what->local_handle;
	t->registration = NULL;
	t->done = what->done;
	t->context = what->context;
	t->data = what->data;
	OBJ_RETAIN(peer); /* it may be taken away before the end */
	vmb_btl_count(&peer->moving, 1);
	if (remote->key == BTL_KEY_OFFER && fn == vmb_am_get)
		rc = take_up(m, t, remote_address, remote, size);
	else
		rc = move_region(m, fn, t, remote_address, remote, size);
	if (!rc)
		return OPAL_SUCCESS;
	vmb_btl_count(&peer->moving, -1);
	OBJ_RELEASE(peer);
	opal_free_list_return(&m->transfers, &t->super);
	return vmb_btl_code(rc);
}

int vmb_btl_put(mca_btl_base_module_t *btl,
		struct mca_btl_base_endpoint_t *peer, void *local_address,
		uint64_t remote_address,
		mca_btl_base_registration_handle_t *local_handle,
		mca_btl_base_registration_handle_t *remote_handle, size_t size,
		int flags, int order, mca_btl_base_rdma_completion_fn_t done,
		void *context, void *data)
{
	const btl_transfer_t what = {
		.peer = peer,
		.local_address = local_address,
		.local_handle = local_handle,
		.done = done,
		.context = context,
		.data = data,
	};

	(void)flags;
	(void)order;
	return move((struct btl_module *)btl, vmb_am_put, &what, remote_address,
		    remote_handle, size);
}

int vmb_btl_get(mca_btl_base_module_t *btl,
		struct mca_btl_base_endpoint_t *peer, void *local_address,
		uint64_t remote_address,
		mca_btl_base_registration_handle_t *local_handle,
		mca_btl_base_registration_handle_t *remote_handle, size_t size,
		int flags, int order, mca_btl_base_rdma_completion_fn_t done,
		void *context, void *data)
{
	const btl_transfer_t what = {
		.peer = peer,
		.local_address = local_address,
		.local_handle = local_handle,
		.done = done,
		.context = context,
		.data = data,
	};

	(void)flags;
	(void)order;
	return move((struct btl_module *)btl, vmb_am_get, &what, remote_address,
		    remote_handle, size);
}

static bool is_moving(struct btl_module *m, btl_peer_t *peer)
{
	btl_peer_t *p;

	if (peer)
		return __atomic_load_n(&peer->moving, __ATOMIC_ACQUIRE);
	OPAL_LIST_FOREACH(p, &m->peers, btl_peer_t)
	if (__atomic_load_n(&p->moving, __ATOMIC_ACQUIRE))
		return true;
	return false;
}

/* peer NULL: all of them. */
int vmb_btl_flush(mca_btl_base_module_t *btl,
		  struct mca_btl_base_endpoint_t *peer)
{
	struct btl_module *m = (struct btl_module *)btl;

	while (is_moving(m, peer)) {
		if (m->failed || vmb_btl_progress(m))
			return OPAL_ERROR;
	}
	return OPAL_SUCCESS;
}
