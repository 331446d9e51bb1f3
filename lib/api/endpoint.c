// SPDX-License-Identifier: BSD-2-Clause
/*
 * endpoint.c - endpoints from open to close, and the check of their handles.
 *
 * Flow:  vmb_open() -> vmb_am_init(), vmb_msg_open() -> calls -> vmb_close()
 * Owns:  the table of endpoints; the state of each.
 * Trust: parameters and handles are input.
 *
 * A handle is checked by its address, then the endpoint is locked, then its
 * state is looked at. Entries of the table are never unmapped, so a closed
 * handle finds a lock, and the state behind it says no.
 */
#include <string.h>
#include <unistd.h>

#include "api/api.h"

#define UNEXPECTED_DEFAULT (64u << 20)
#define LINGER_DEFAULT_MS 1000
#define LINGER_MAX_MS 3600000
#define FLAGS (VMB_OPEN_BACKGROUND | VMB_OPEN_LANES | VMB_OPEN_YIELDS)
/* bytes of the parameters that every program knows */
#define PARAMS_FIRST offsetof(struct vmb_open_params, linger_ms)

struct vmb_table vmb_endpoints =
	VMB_TABLE_INIT(vmb_endpoints, sizeof(struct vmb_endpoint));

/* ---- handles --------------------------------------------------------------- */

int vmb_endpoint_refuse(void)
{
	return vmb_load_relaxed(&vmb_library.forked) ? -EPERM : -EINVAL;
}

void vmb_endpoint_handler_enter(void *arg)
{
	vmb_endpoint_leave(arg);
}

void vmb_endpoint_handler_leave(void *arg)
{
	struct vmb_endpoint *ep = arg;

	vmb_lock_take(&ep->lock);
}

static void request_completed(void *arg)
{
	vmb_endpoint_changed(arg);
}

static void undelivered(struct vmb_am *am, const struct vmb_am_arrival *a,
			unsigned id, int code, void *arg)
{
	struct vmb_endpoint *ep = arg;

	/* the application's own are lost with the peer, as documented */
	if (id >= VMB_AM_IDS)
		vmb_msg_undelivered(am, a, id, code, ep->msg);
}

static void peer_gone(struct vmb_am *am, struct vmb_peer *peer, void *arg)
{
	struct vmb_endpoint *ep = arg;

	vmb_msg_peer_gone(am, peer, ep->msg);
}

/* ---- open ------------------------------------------------------------------- */

static bool is_zero(const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len && !*p) {
		p++;
		len--;
	}
	return !len;
}

/* Copy what the caller gave; what a newer program knows more must be 0. */
static int copy_params(struct vmb_open_params *p,
		       const struct vmb_open_params *params)
{
	*p = (struct vmb_open_params){.id = VMB_ANY_ID};
	if (!params)
		return 0;
	if (params->size < PARAMS_FIRST ||
	    (params->size > sizeof(*p) &&
	     !is_zero((const char *)params + sizeof(*p),
		      params->size - sizeof(*p))))
		return -EINVAL;
	memcpy(p, params, vmb_min(params->size, sizeof(*p)));
	if (p->flags & ~FLAGS ||
	    (p->eager_max &&
	     (p->eager_max < VMB_EAGER_MIN || p->eager_max > VMB_BUF_MAX)) ||
	    (p->id != VMB_ANY_ID && p->id > VMB_ID_MAX) ||
	    (unsigned)p->wait > VMB_WAIT_BLOCK)
		return -EINVAL;
	return 0;
}

static int choose_size(uint32_t *size, uint32_t asked, uint32_t min,
		       uint32_t max, uint32_t preset)
{
	*size = asked ? asked : preset;
	return vmb_is_pow2(*size) && *size >= min && *size <= max ? 0 : -EINVAL;
}

static int choose_geometry(struct vmb_geometry *g,
			   const struct vmb_open_params *p)
{
	*g = (struct vmb_geometry){0};
	if (choose_size(&g->eq_slots, p->eq_slots, VMB_EQ_SLOTS_MIN,
			VMB_EQ_SLOTS_MAX, VMB_EQ_SLOTS_DEFAULT) ||
	    /* room for the longest message of any peer: it cannot know ours */
	    choose_size(&g->rx_bytes, p->rx_bytes, 2 * VMB_BUF_MAX,
			VMB_RX_BYTES_MAX, VMB_RX_BYTES_DEFAULT) ||
	    choose_size(&g->tx_bytes, p->tx_bytes, VMB_TX_BYTES_MIN,
			VMB_TX_BYTES_MAX, VMB_TX_BYTES_DEFAULT))
		return -EINVAL;
	return 0;
}

/* Everything but what a late user of the old handle may look at. */
static void reset(struct vmb_endpoint *ep, const struct vmb_open_params *p)
{
	static uint32_t last_number;

	memset((char *)ep + offsetof(struct vmb_endpoint, number), 0,
	       sizeof(*ep) - offsetof(struct vmb_endpoint, number));
	ep->number = __atomic_add_fetch(&last_number, 1, __ATOMIC_RELAXED);
	ep->key = p->key;
	ep->linger_ms = p->linger_ms ? (int)vmb_min(p->linger_ms, LINGER_MAX_MS)
				     : LINGER_DEFAULT_MS;
	ep->wait_mode = p->wait ? p->wait : vmb_library.settings.wait;
	ep->yields = p->flags & VMB_OPEN_YIELDS;
	ep->spin_ns = vmb_library.settings.spin_ns;
	vmb_list_init(&ep->waiters);
	vmb_list_init(&ep->pausers);
}

static int open_msg(struct vmb_endpoint *ep, const struct vmb_open_params *p)
{
	size_t eager_max =
		p->eager_max ? p->eager_max : vmb_library.settings.eager_max;
	struct vmb_msg_config config = {
		.am = &ep->am,
		.regcache = vmb_library.regcache,
		.unexpected_max = p->unexpected_max ? p->unexpected_max
						    : UNEXPECTED_DEFAULT,
		.eager_max = vmb_min(eager_max, vmb_am_payload_max(&ep->am)),
		.lane_eager_max = vmb_min(
			p->eager_max ? p->eager_max
				     : vmb_library.settings.lane_eager_max,
			vmb_am_payload_max(&ep->am)),
		.lane_stream_max = vmb_library.settings.lane_stream_max,
		.lane_direct_max = vmb_library.settings.lane_direct_max,
		.lane_mapped_max = vmb_library.settings.lane_mapped_max,
		.completed = request_completed,
		.arg = ep,
		.handler_enter = vmb_endpoint_handler_enter,
		.handler_leave = vmb_endpoint_handler_leave,
		.endpoint_number = ep->number,
		.endpoint_place = vmb_table_number(&vmb_endpoints, &ep->entry),
	};

	return vmb_msg_open(&config, &ep->msg);
}

static int open_layers(struct vmb_endpoint *ep, const struct vmb_open_params *p,
		       const struct vmb_geometry *g)
{
	int rc;

	rc = vmb_endpoint_sleep_init(ep);
	if (rc)
		return rc;
	rc = vmb_am_init(&ep->am, vmb_library.port, p->id, p->key, g,
			 undelivered, peer_gone, ep);
	if (rc)
		goto err_sleep;
	vmb_am_set_lanes(&ep->am, vmb_library.settings.lanes,
			 p->flags & VMB_OPEN_LANES ? 1 : VMB_LANE_AFTER);
	vmb_am_weigh_lanes(&ep->am, true);
	rc = open_msg(ep, p);
	if (rc)
		goto err_am;
	if (p->flags & VMB_OPEN_BACKGROUND)
		rc = vmb_background_start(ep);
	if (rc)
		goto err_msg;
	return 0;
err_msg:
	vmb_msg_close(ep->msg);
err_am:
	vmb_am_fini(&ep->am, 0);
err_sleep:
	vmb_endpoint_sleep_fini(ep);
	return rc;
}

static int open_entry(const struct vmb_open_params *p,
		      const struct vmb_geometry *g, struct vmb_endpoint **out)
{
	struct vmb_entry *entry;
	struct vmb_endpoint *ep;
	int rc;

	rc = vmb_table_take(&vmb_endpoints, &entry);
	if (rc)
		return rc;
	ep = vmb_container_of(entry, struct vmb_endpoint, entry);
	reset(ep, p);
	rc = open_layers(ep, p, g);
	if (rc) {
		vmb_table_give(&vmb_endpoints, entry);
		return rc;
	}
	vmb_lock_take(&ep->lock);
	ep->state = VMB_ENDPOINT_OPEN;
	vmb_lock_release(&ep->lock);
	*out = ep;
	return 0;
}

int vmb_open(const struct vmb_open_params *params, struct vmb_endpoint **ep)
{
	struct vmb_open_params p;
	struct vmb_geometry g;
	int rc;

	if (!ep)
		return -EINVAL;
	rc = copy_params(&p, params);
	if (!rc)
		rc = choose_geometry(&g, &p);
	if (rc)
		return rc;
	rc = vmb_library_enter(); /* until the endpoint is closed */
	if (rc)
		return rc;
	rc = open_entry(&p, &g, ep);
	if (rc)
		vmb_library_leave();
	return rc;
}

/* ---- close ------------------------------------------------------------------ */

/* Nobody else can enter any more, so the lock is not needed for these. */
static void close_layers(struct vmb_endpoint *ep)
{
	vmb_msg_close(ep->msg);
	vmb_am_fini(&ep->am, ep->linger_ms);
	vmb_transfer_fini(ep);
	vmb_endpoint_sleep_fini(ep);
}

int vmb_close(struct vmb_endpoint *ep)
{
	int rc;

	if (!ep)
		return 0;
	rc = vmb_endpoint_enter(ep);
	if (rc)
		return rc;
	if (vmb_endpoint_in_handler(ep)) {
		vmb_endpoint_leave(ep);
		return -EDEADLK;
	}
	ep->state = VMB_ENDPOINT_CLOSING;
	vmb_background_stop(ep);
	vmb_endpoint_evict(ep);
	vmb_lock_release(&ep->lock);

	close_layers(ep);

	vmb_lock_take(&ep->lock);
	ep->state = VMB_ENDPOINT_FREE;
	vmb_lock_release(&ep->lock);
	vmb_table_give(&vmb_endpoints, &ep->entry);
	vmb_library_leave();
	return 0;
}

void vmb_endpoint_close_all(void)
{
	struct vmb_endpoint *ep;

	/* those of which another thread closes, or closed, say -EINVAL */
	for (unsigned i = 0; (ep = vmb_table_at(&vmb_endpoints, i)); i++)
		vmb_close(ep);
}

bool vmb_endpoint_any_handler(void)
{
	struct vmb_endpoint *ep;
	bool inside = false;

	for (unsigned i = 0; (ep = vmb_table_at(&vmb_endpoints, i)); i++) {
		if (vmb_endpoint_enter(ep))
			continue;
		inside = inside || vmb_endpoint_in_handler(ep);
		vmb_endpoint_leave(ep);
	}
	return inside;
}

/* ---- fork ------------------------------------------------------------------- */

void vmb_endpoint_mark_forked(void)
{
	struct vmb_endpoint *ep;

	for (unsigned i = 0; (ep = vmb_table_at(&vmb_endpoints, i)); i++) {
		ep->lock = (struct vmb_lock){0};
		vmb_am_mark_forked(&ep->am);
		if (ep->state == VMB_ENDPOINT_OPEN)
			ep->state = VMB_ENDPOINT_INHERITED;
		else if (ep->state != VMB_ENDPOINT_FREE)
			ep->state = VMB_ENDPOINT_LOST;
	}
}

void vmb_endpoint_drop_forked(void)
{
	struct vmb_endpoint *ep;

	for (unsigned i = 0; (ep = vmb_table_at(&vmb_endpoints, i)); i++) {
		if (ep->state != VMB_ENDPOINT_INHERITED)
			continue;
		ep->am.port->ops->endpoint_close(ep->am.port, &ep->am.pep);
		vmb_endpoint_sleep_fini(ep);
		ep->state = VMB_ENDPOINT_LOST;
	}
}

/* ---- about an endpoint ------------------------------------------------------ */

int vmb_query_counters(struct vmb_endpoint *ep, struct vmb_counters *counters)
{
	struct vmb_counters c = {0};
	struct vmb_regcache_counters reg;
	struct vmb_msg_counters msg;
	size_t size;
	int rc;

	if (!counters || counters->size < sizeof(size))
		return -EINVAL;
	rc = vmb_endpoint_enter(ep);
	if (rc)
		return rc;
	vmb_msg_query(ep->msg, &msg);
	vmb_regcache_query(vmb_library.regcache, &reg);
	size = counters->size;
	c = (struct vmb_counters){
		.size = size,
		.eager = msg.eager,
		.rendezvous = msg.rendezvous,
		.pipelined = msg.pipelined,
		.expected = msg.expected,
		.unexpected = msg.unexpected,
		.bounced = ep->am.counters.bounced,
		.resumed = ep->am.counters.resumed,
		.sleeps = ep->sleeps,
		.kicks = ep->am.counters.kicks,
		.regcache_hits = reg.hits,
		.regcache_misses = reg.misses,
		.regcache_invalidated = reg.invalidated,
		.lanes = ep->am.counters.lanes_in + ep->am.counters.lanes_out,
		.lane_arrivals = ep->am.counters.lane_arrivals,
		.direct = msg.direct,
		.direct_written = msg.direct_written,
		.direct_mapped = ep->am.counters.direct_mapped,
	};
	vmb_endpoint_leave(ep);
	memset(counters, 0, size);
	memcpy(counters, &c, vmb_min(size, sizeof(c)));
	return 0;
}
