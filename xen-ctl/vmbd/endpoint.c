// SPDX-License-Identifier: BSD-2-Clause
/*
 * endpoint.c - see endpoint.h.
 *
 * Flow:  OPEN -> limits -> area mapped -> id taken -> engine -> kicks bound
 *        CLOSE, or the client left -> the same backwards; departed
 * Owns:  the area's mapping, the signal, the engine's endpoint, the id.
 * Trust: sizes are checked before any of them is used; the area's size must
 *        be theirs exactly.
 */
#include "endpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "board.h"
#include "domain.h"
#include "lane.h"

struct vmbd_endpoint *vmbd_endpoint_by_handle(struct vmbd *d, uint32_t handle)
{
	uint32_t index = VMB_HANDLE_INDEX(handle);
	struct vmbd_endpoint *e;

	if (index >= d->options->endpoints_max)
		return NULL;
	e = d->endpoints[index];
	return e && e->handle == handle ? e : NULL;
}

bool vmbd_client_sees_domain(const struct vmbd_client *c, uint32_t domain)
{
	return c->limits.of[VMBD_PEERS] || domain == c->domain->id;
}

bool vmbd_client_sees(const struct vmbd_client *c,
		      const struct vmbd_endpoint *e)
{
	return e && vmbd_client_sees_domain(c, e->client->domain->id);
}

static struct vmbd_identity identity_of(const struct vmbd_endpoint *e)
{
	const struct vmbd_domain *domain = e->client->domain;
	struct vmbd_identity who = {
		.handle = e->handle,
		.id = e->id,
		.session = e->session,
		.domain = domain->id,
		.nic_id = domain->board->nic_id,
	};

	memcpy(who.name, domain->board->name, sizeof(who.name));
	return who;
}

/* One that lives has its handle to itself, whoever had it before. */
int vmbd_endpoint_identify(struct vmbd *d, uint32_t handle,
			   struct vmbd_identity *who)
{
	const struct vmbd_endpoint *e = vmbd_endpoint_by_handle(d, handle);
	const struct vmbd_identity *departed;

	if (e) {
		*who = identity_of(e);
		return 0;
	}
	departed = vmbd_departed_by_handle(&d->departed, handle);
	if (!departed)
		return -ENOENT;
	*who = *departed;
	return 0;
}

static bool is_size(uint32_t value, uint32_t min, uint32_t max)
{
	return vmb_is_pow2(value) && value >= min && value <= max;
}

static int check_request(struct vmbd_client *c,
			 const struct vmb_ctl_open *request)
{
	const struct vmb_geometry *g = &request->geometry;

	if (request->id > VMB_ID_MAX && request->id != VMB_ID_ANY) {
		vmbd_client_lied(c, VMB_CTL_OPEN, request->id,
				 "open refused: id %u is over %u", request->id,
				 VMB_ID_MAX);
		return -EINVAL;
	}
	if (!is_size(g->eq_slots, VMB_EQ_SLOTS_MIN, VMB_EQ_SLOTS_MAX) ||
	    !is_size(g->rx_bytes, VMB_RX_BYTES_MIN, VMB_RX_BYTES_MAX) ||
	    !is_size(g->tx_bytes, VMB_TX_BYTES_MIN, VMB_TX_BYTES_MAX)) {
		vmbd_client_lied(c, VMB_CTL_OPEN, request->id,
				 "open refused: sizes %u slots, %u and %u "
				 "bytes are out of range or no powers of two",
				 g->eq_slots, g->rx_bytes, g->tx_bytes);
		return -EINVAL;
	}
	return 0;
}

/*
 * What of an area counts as memory of its client. That of a process is its own
 * memfd, for which the kernel asks somebody; that of a guest is mapped by us.
 */
static uint64_t charge(const struct vmbd_client *c,
		       const struct vmb_geometry *geometry)
{
	return c->who.guest ? VMB_AREA_BYTES(geometry) : 0;
}

static int check_limits(struct vmbd_client *c,
			const struct vmb_geometry *geometry)
{
	struct vmbd *d = c->d;

	if (c->endpoint_count >= c->limits.of[VMBD_ENDPOINTS] ||
	    c->domain->endpoints >= c->domain->limits.of[VMBD_ENDPOINTS]) {
		vmbd_client_warn(
			c,
			"open refused: it has %u endpoints, its domain "
			"%u, the policy allows no more",
			c->endpoint_count, c->domain->endpoints);
		return -EDQUOT;
	}
	if (!vmbd_client_has_memory(c, charge(c, geometry))) {
		vmbd_client_warn(c,
				 "open refused: with its area its guest would "
				 "have more memory than the policy allows");
		return -EDQUOT;
	}
	if (d->endpoint_count >= d->options->endpoints_max) {
		vmbd_client_warn(c,
				 "open refused: all %u endpoints of the engine "
				 "are open",
				 d->options->endpoints_max);
		return -EBUSY;
	}
	if (!vmbd_client_may_take(c, VMBD_HAS_ENDPOINTS, 1, "open"))
		return -EBUSY;
	if (!vmbd_client_may_take(c, VMBD_HAS_DESCRIPTORS,
				  VMBD_DESCRIPTORS_OF_ENDPOINT, "open"))
		return -EMFILE;
	return 0;
}

static int new_session(uint32_t *session)
{
	do {
		if (getrandom(session, sizeof(*session), 0) != sizeof(*session))
			return -EIO;
	} while (!*session);
	return 0;
}

static int add_to_engine(struct vmbd_endpoint *e)
{
	struct vmbd_client *c = e->client;
	const struct vmb_nic_endpoint_info info = {
		.domain = c->domain->nic,
		.geometry = e->geometry,
		.area = e->area.base,
		.id = e->id,
		.cookie = e->signal,
		.barrier = c->features & VMB_FEATURE_BARRIER,
		.word = c->features & VMB_FEATURE_WAKE_WORD,
		.keyed = e->key,
		.confined = !c->limits.of[VMBD_PEERS],
	};
	int err;

	err = vmb_nic_endpoint_add(c->d->nic, &info, &e->nic, &e->handle);
	if (err)
		return err == -ENOSPC ? -EBUSY : err;
	err = c->platform->ops->signal_bind(e->signal, e->nic);
	if (err)
		vmb_nic_endpoint_remove(c->d->nic, e->nic, false);
	return err;
}

static void count(struct vmbd_endpoint *e, int by)
{
	struct vmbd_client *c = e->client;
	uint64_t bytes = charge(c, &e->geometry);

	vmbd_client_charge(c, by > 0 ? bytes : -bytes);
	c->endpoint_count += (unsigned)by;
	c->domain->endpoints += (unsigned)by;
	c->d->endpoint_count += (unsigned)by;
	vmbd_user_count(c->user, VMBD_HAS_ENDPOINTS, by);
	vmbd_user_count(c->user, VMBD_HAS_DESCRIPTORS,
			by * (int)VMBD_DESCRIPTORS_OF_ENDPOINT);
	c->d->endpoints[VMB_HANDLE_INDEX(e->handle)] = by > 0 ? e : NULL;
}

/* The resources, in order; what fails takes back what came before. */
static int acquire(struct vmbd_endpoint *e, struct vmb_attachment *attachment)
{
	struct vmbd_client *c = e->client;
	const struct vmb_platform_ops *ops = c->platform->ops;
	int err;

	e->area = (struct vmb_platform_memory){
		.kind = VMB_MEMORY_AREA,
		.len = VMB_AREA_BYTES(&e->geometry),
	};
	err = vmbd_client_map(c, attachment, &e->area);
	if (err)
		return err;
	err = ops->signal_open(c->transport, attachment, &e->signal);
	if (err)
		goto err_unmap;
	err = vmbd_board_take(c->domain->board, &e->id, e);
	if (err)
		goto err_close_signal;
	err = add_to_engine(e);
	if (err)
		goto err_give_id;
	return 0;

err_give_id:
	vmbd_board_give(c->domain->board, e->id);
err_close_signal:
	ops->signal_close(e->signal);
err_unmap:
	vmbd_client_unmap(c, &e->area);
	return err;
}

int vmbd_endpoint_open(struct vmbd_client *c,
		       const struct vmb_ctl_open *request,
		       struct vmb_attachment *attachment,
		       struct vmbd_endpoint **result)
{
	struct vmbd_endpoint *e;
	int err;

	err = check_request(c, request);
	if (!err)
		err = check_limits(c, &request->geometry);
	if (err)
		return err;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->client = c;
	e->id = request->id;
	e->key = request->key;
	e->geometry = request->geometry;
	err = new_session(&e->session);
	if (!err)
		err = acquire(e, attachment);
	if (err) {
		vmbd_client_memory_refused(c, VMB_CTL_OPEN, request->id, err);
		free(e);
		return err;
	}
	vmb_list_append(&c->endpoints, &e->node);
	count(e, 1);
	*result = e;
	return 0;
}

void vmbd_endpoint_close(struct vmbd_endpoint *e, bool orderly)
{
	struct vmbd_client *c = e->client;
	const struct vmb_platform_ops *ops = c->platform->ops;
	struct vmbd_identity who = identity_of(e);

	vmbd_lanes_end(e);
	vmbd_departed_note(&c->d->departed, &who);
	count(e, -1);
	vmb_list_remove(&e->node);
	vmbd_board_give(c->domain->board, e->id);
	/* first, so that no kick names an endpoint that is gone */
	ops->signal_unbind(e->signal);
	vmb_nic_endpoint_remove(c->d->nic, e->nic, orderly);
	ops->signal_close(e->signal);
	vmbd_client_unmap(c, &e->area);
	free(e);
}
