// SPDX-License-Identifier: BSD-2-Clause
/*
 * send.c - fragments on their way out.
 *
 * Flow:  ob1 -> vmb_btl_sendi(), vmb_btl_send() -> vmb_am_send()
 * Owns:  fragments without room, until vmb_btl_resume() gets rid of them.
 * Trust: ob1 keeps to the sizes of the module.
 *
 * vmb_am_send() has copied everything when it returns 0, so a fragment is
 * complete at once. Without room it waits, and so do those behind it.
 */
#include "btl/btl.h"

#define SHORT 40u	/* bytes: what a slot takes goes in one piece */
#define WAITING_MAX 64u /* fragments for one peer; then requests wait in ob1 */

static void construct(btl_fragment_t *frag)
{
	frag->super.des_segments = frag->segments;
	frag->super.des_segment_count = 1;
	frag->segments[0].seg_addr.pval = frag->super.super.ptr;
	frag->home = NULL; /* set when it is taken out for the first time */
}

OBJ_CLASS_INSTANCE(btl_fragment_t, mca_btl_base_descriptor_t, construct, NULL);

/* ---- fragments ---------------------------------------------------------- */

/* One that holds size bytes, or NULL. */
static btl_fragment_t *fragment(struct btl_module *m, size_t size)
{
	opal_free_list_t *home =
		size <= m->super.btl_eager_limit ? &m->small : &m->large;
	btl_fragment_t *frag;

	if (size > m->super.btl_max_send_size)
		return NULL;
	frag = (btl_fragment_t *)opal_free_list_get(home);
	if (!frag)
		return NULL;
	frag->home = home;
	frag->super.order = MCA_BTL_NO_ORDER;
	frag->super.des_segment_count = 1;
	frag->segments[0].seg_addr.pval = frag->super.super.ptr;
	frag->segments[0].seg_len = size;
	return frag;
}

mca_btl_base_descriptor_t *vmb_btl_alloc(mca_btl_base_module_t *btl,
					 struct mca_btl_base_endpoint_t *peer,
					 uint8_t order, size_t size,
					 uint32_t flags)
{
	btl_fragment_t *frag;

	(void)order;
	/* those that wait call ob1 back, which then tries again */
	if (opal_list_get_size(&peer->waiting) >= WAITING_MAX)
		return NULL;
	frag = fragment((struct btl_module *)btl, size);
	if (!frag)
		return NULL;
	frag->peer = peer;
	frag->super.des_flags = flags;
	return &frag->super;
}

int vmb_btl_free(mca_btl_base_module_t *btl, mca_btl_base_descriptor_t *des)
{
	btl_fragment_t *frag = (btl_fragment_t *)des;

	(void)btl;
	opal_free_list_return(frag->home, &frag->super.super);
	return OPAL_SUCCESS;
}

/* ---- what is to be sent ------------------------------------------------- */

/* Copy the next bytes of the message, at most *size. */
static int pack(opal_convertor_t *convertor, void *to, size_t *size)
{
	struct iovec iov = {.iov_base = to, .iov_len = *size};
	uint32_t count = 1;

	return opal_convertor_pack(convertor, &iov, &count, size) < 0
		       ? OPAL_ERROR
		       : OPAL_SUCCESS;
}

/* Leave the next bytes of the message where they are. */
static void point(opal_convertor_t *convertor, mca_btl_base_segment_t *segment,
		  size_t size)
{
	void *where;

	opal_convertor_get_current_pointer(convertor, &where);
	segment->seg_addr.pval = where;
	segment->seg_len = size;
}

static int fill(btl_fragment_t *frag, opal_convertor_t *convertor,
		size_t reserve, size_t *size)
{
	int rc;

	if (!opal_convertor_need_buffers(convertor) && *size) {
		frag->segments[0].seg_len = reserve;
		point(convertor, &frag->segments[1], *size);
		frag->super.des_segment_count = 2;
		return OPAL_SUCCESS;
	}
	rc = pack(convertor, (char *)frag->super.super.ptr + reserve, size);
	frag->segments[0].seg_len = reserve + *size;
	return rc;
}

mca_btl_base_descriptor_t *
vmb_btl_prepare_src(mca_btl_base_module_t *btl,
		    struct mca_btl_base_endpoint_t *peer,
		    opal_convertor_t *convertor, uint8_t order, size_t reserve,
		    size_t *size, uint32_t flags)
{
	btl_fragment_t *frag;

	if (reserve > btl->btl_max_send_size)
		return NULL;
	if (*size > btl->btl_max_send_size - reserve)
		*size = btl->btl_max_send_size - reserve;
	frag = (btl_fragment_t *)vmb_btl_alloc(btl, peer, order,
					       reserve + *size, flags);
	if (!frag)
		return NULL;
	if (fill(frag, convertor, reserve, size) == OPAL_SUCCESS)
		return &frag->super;
	vmb_btl_free(btl, &frag->super);
	return NULL;
}

/* ---- out ---------------------------------------------------------------- */

static int transmit(struct btl_module *m, const btl_peer_t *peer,
		    mca_btl_base_tag_t tag,
		    const mca_btl_base_segment_t *segments, size_t count)
{
	struct vmb_segment out[2];

	for (size_t i = 0; i < count; i++)
		out[i] = (struct vmb_segment){segments[i].seg_addr.pval,
					      segments[i].seg_len};
	return vmb_am_send(m->ep, peer->addr, BTL_AM_ID, tag, out,
			   (unsigned)count);
}

/* May this peer be sent to now, past nothing that waits? 0 or -errno. */
static int check_peer(btl_peer_t *peer)
{
	if (peer->state == BTL_PEER_FAILED)
		return -ECONNRESET;
	if (peer->state == BTL_PEER_CONNECTING ||
	    !opal_list_is_empty(&peer->waiting))
		return -EAGAIN;
	return 0;
}

static void wait_for_room(struct btl_module *m, btl_peer_t *peer,
			  btl_fragment_t *frag)
{
	OPAL_THREAD_LOCK(&m->lock);
	opal_list_append(&peer->waiting, &frag->super.super.super);
	OPAL_THREAD_UNLOCK(&m->lock);
	vmb_btl_count(&m->busy, 1);
}

/* It is out, or never will be. */
static void complete(struct btl_module *m, btl_peer_t *peer,
		     btl_fragment_t *frag, int code)
{
	bool ours = frag->super.des_flags & MCA_BTL_DES_FLAGS_BTL_OWNERSHIP;

	if (frag->super.des_flags & MCA_BTL_DES_SEND_ALWAYS_CALLBACK &&
	    frag->super.des_cbfunc)
		frag->super.des_cbfunc(&m->super, peer, &frag->super, code);
	if (ours)
		vmb_btl_free(&m->super, &frag->super);
}

int vmb_btl_send(mca_btl_base_module_t *btl,
		 struct mca_btl_base_endpoint_t *peer,
		 mca_btl_base_descriptor_t *des, mca_btl_base_tag_t tag)
{
	struct btl_module *m = (struct btl_module *)btl;
	btl_fragment_t *frag = (btl_fragment_t *)des;
	int rc = check_peer(peer);

	frag->peer = peer;
	frag->tag = tag;
	if (!rc)
		rc = transmit(m, peer, tag, des->des_segments,
			      des->des_segment_count);
	if (!rc) {
		complete(m, peer, frag, OPAL_SUCCESS);
		return 1;
	}
	/* ob1 would keep what we refuse, and try it for ever: progress finds out
	 * what is wrong with it, and may report that */
	des->des_flags |= MCA_BTL_DES_SEND_ALWAYS_CALLBACK;
	wait_for_room(m, peer, frag);
	return OPAL_SUCCESS;
}

/* What fits a slot goes in one piece: two take longer to be put together. */
static int transmit_short(struct btl_module *m, const btl_peer_t *peer,
			  mca_btl_base_tag_t tag, const void *header,
			  size_t header_size,
			  const mca_btl_base_segment_t *payload)
{
	char both[SHORT];
	struct vmb_segment out = {both, header_size + payload->seg_len};

	memcpy(both, header, header_size);
	memcpy(both + header_size, payload->seg_addr.pval, payload->seg_len);
	return vmb_am_send(m->ep, peer->addr, BTL_AM_ID, tag, &out, 1);
}

/*
 * Without room there is no copy made that nobody waits for: the request stays
 * with ob1, so a sender is never further ahead of its receiver than what the
 * program has under way.
 */
int vmb_btl_sendi(mca_btl_base_module_t *btl,
		  struct mca_btl_base_endpoint_t *peer,
		  opal_convertor_t *convertor, void *header, size_t header_size,
		  size_t payload_size, uint8_t order, uint32_t flags,
		  mca_btl_base_tag_t tag, mca_btl_base_descriptor_t **des)
{
	struct btl_module *m = (struct btl_module *)btl;
	mca_btl_base_segment_t segments[2];
	unsigned count = 1;
	int rc = check_peer(peer);

	/* else it has to be packed somewhere, which a fragment is for */
	if (!rc && !(payload_size && opal_convertor_need_buffers(convertor))) {
		segments[0].seg_addr.pval = header;
		segments[0].seg_len = header_size;
		if (payload_size)
			point(convertor, &segments[count++], payload_size);
		if (count == 2 && header_size + payload_size <= SHORT)
			rc = transmit_short(m, peer, tag, header, header_size,
					    &segments[1]);
		else
			rc = transmit(m, peer, tag, segments, count);
		if (!rc)
			return OPAL_SUCCESS;
	}
	if (des)
		*des = vmb_btl_alloc(btl, peer, order,
				     header_size + payload_size, flags);
	if (rc && rc != -EAGAIN)
		return vmb_btl_code(rc);
	/* with nothing to send, only this makes ob1 keep the request */
	return des && *des ? OPAL_ERR_RESOURCE_BUSY : OPAL_ERR_OUT_OF_RESOURCE;
}

/* ---- what waits --------------------------------------------------------- */

static btl_fragment_t *take_first(struct btl_module *m, btl_peer_t *peer)
{
	opal_list_item_t *item;

	OPAL_THREAD_LOCK(&m->lock);
	item = opal_list_remove_first(&peer->waiting);
	OPAL_THREAD_UNLOCK(&m->lock);
	if (item)
		vmb_btl_count(&m->busy, -1);
	return (btl_fragment_t *)item;
}

static void put_back(struct btl_module *m, btl_peer_t *peer,
		     btl_fragment_t *frag)
{
	OPAL_THREAD_LOCK(&m->lock);
	opal_list_prepend(&peer->waiting, &frag->super.super.super);
	OPAL_THREAD_UNLOCK(&m->lock);
	vmb_btl_count(&m->busy, 1);
}

int vmb_btl_resume(struct btl_module *m, btl_peer_t *peer)
{
	btl_fragment_t *frag;
	int rc;

	while ((frag = take_first(m, peer))) {
		rc = transmit(m, peer, frag->tag, frag->super.des_segments,
			      frag->super.des_segment_count);
		if (rc) {
			put_back(m, peer, frag);
			return rc;
		}
		m->events++;
		complete(m, peer, frag, OPAL_SUCCESS);
	}
	return 0;
}

void vmb_btl_drop(struct btl_module *m, btl_peer_t *peer, int code)
{
	btl_fragment_t *frag;

	while ((frag = take_first(m, peer)))
		complete(m, peer, frag, code);
}
