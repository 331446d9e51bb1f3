// SPDX-License-Identifier: BSD-2-Clause
/*
 * control_model.c - see control_model.h. Tables are searched from end to end,
 * and when several things are wrong with a request each may be named.
 */
#include "control_model.h"

#include <errno.h>
#include <string.h>

struct m_client m_clients[M_CLIENTS];
struct m_departed m_departed[M_DEPARTED];
uint64_t m_host_nic;

static const size_t request_len[] = {
	[VMB_CTL_HELLO] = sizeof(struct vmb_ctl_hello),
	[VMB_CTL_OPEN] = sizeof(struct vmb_ctl_open),
	[VMB_CTL_CLOSE] = sizeof(struct vmb_ctl_close),
	[VMB_CTL_REGISTER] = sizeof(struct vmb_ctl_register),
	[VMB_CTL_DEREGISTER] = sizeof(struct vmb_ctl_deregister),
	[VMB_CTL_CONNECT] = sizeof(struct vmb_ctl_connect),
	[VMB_CTL_LOOKUP] = sizeof(struct vmb_ctl_lookup),
	[VMB_CTL_LANE] = sizeof(struct vmb_ctl_lane),
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

unsigned m_lanes(const struct m_client *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < M_LANES; i++)
		n += c->lanes[i].ticket != 0;
	return n;
}

unsigned m_lanes_offered(const struct m_client *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < M_LANES; i++)
		n += c->lanes[i].ticket && !c->lanes[i].accepted;
	return n;
}

bool m_is_coresident(const struct m_client *a, const struct m_client *b)
{
	const struct m_client *last = &m_clients[M_CLIENTS - 1];

	return (a == last) == (b == last);
}

bool m_brings_lane(const union vmb_ctl_any *msg)
{
	return msg->head.op == VMB_CTL_LANE &&
	       (msg->lane.kind == VMB_LANE_OFFER ||
		msg->lane.kind == VMB_LANE_ACCEPT);
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

			if (!e->open ||
			    (handle ? e->handle != handle
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
	for (unsigned i = 0; i < M_CLIENTS; i++)
		if (m_clients[i].admitted && m_clients[i].nic_id == nic_id)
			return true;
	return nic_id == m_host_nic;
}

bool m_is_over(const struct m_client *c, uint64_t len)
{
	return m_regions(c) == M_REGIONS || len > M_MEMORY ||
	       m_memory(c) + len > M_MEMORY;
}

static bool owns_handle(const struct m_client *c, uint32_t handle)
{
	const struct m_client *owner = NULL;

	return handle && find(0, 0, handle, &owner) && owner == c;
}

static bool is_open(uint32_t handle, const struct m_client **owner)
{
	return handle && find(0, 0, handle, owner);
}

/* Of those that are open, else of those that were. NULL: not known. */
static const struct m_endpoint *identify(uint32_t handle, uint64_t *nic_id)
{
	const struct m_client *owner;
	const struct m_endpoint *e = handle ? find(0, 0, handle, &owner) : NULL;

	if (e) {
		*nic_id = owner->nic_id;
		return e;
	}
	for (unsigned i = 0; handle && i < M_DEPARTED; i++) {
		if (m_departed[i].endpoint.handle != handle)
			continue;
		*nic_id = m_departed[i].nic_id;
		return &m_departed[i].endpoint;
	}
	return NULL;
}

static void depart(const struct m_client *c, struct m_endpoint *e)
{
	memmove(&m_departed[1], &m_departed[0],
		sizeof(m_departed) - sizeof(m_departed[0]));
	m_departed[0] = (struct m_departed){*e, c->nic_id};
	e->open = false;
}

/* NULL: nobody reads a lane of this ticket, or not this client. */
static struct m_lane *find_lane(const struct m_client *reader, uint64_t ticket)
{
	for (unsigned i = 0; i < M_CLIENTS; i++)
		for (unsigned k = 0; k < M_LANES; k++)
			if (ticket && m_clients[i].lanes[k].ticket == ticket &&
			    (!reader || reader == &m_clients[i]))
				return &m_clients[i].lanes[k];
	return NULL;
}

/* ---- verdicts ----------------------------------------------------------- */

static void unless(struct m_verdict *v, bool good, int status)
{
	if (!good)
		v->status[v->count++] = status;
}

bool m_allows(const struct m_verdict *v, int status)
{
	for (unsigned i = 0; i < v->count; i++)
		if (v->status[i] == status)
			return true;
	return !v->count && !status;
}

static bool is_zero(const void *p, size_t len)
{
	const char *bytes = p;

	for (size_t i = 0; i < len; i++)
		if (bytes[i])
			return false;
	return true;
}

static bool is_padded(const char *name)
{
	const size_t len = strnlen(name, VMB_NAME_BYTES);

	return len < VMB_NAME_BYTES &&
	       is_zero(name + len, VMB_NAME_BYTES - len);
}

static bool is_domain(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz0123456789._-";
	const size_t len = strnlen(name, VMB_NAME_BYTES);

	/* "NAME:0" has to fit, and one name is ours */
	return len + 3 <= VMB_NAME_BYTES && strspn(name, letters) == len &&
	       strcmp(name, "localhost");
}

static bool is_size(uint32_t size, uint32_t min, uint32_t max)
{
	return size >= min && size <= max && !(size & (size - 1));
}

unsigned m_attachments(const struct m_client *c, const union vmb_ctl_any *msg,
		       size_t len)
{
	if (!c->admitted)
		return 0;
	if (msg->head.op == VMB_CTL_OPEN)
		return len == sizeof(msg->open);
	return msg->head.op == VMB_CTL_REGISTER && len == sizeof(msg->reg) &&
	       msg->reg.kind == VMB_REGION_MEMFD;
}

static void judge_shape(struct m_verdict *v, const struct m_client *c,
			const struct m_request *r)
{
	const union vmb_ctl_any *m = r->msg;
	const uint32_t op = m->head.op;

	unless(v, r->len >= sizeof(m->head), -EBADMSG);
	if (v->count)
		return;
	unless(v, op >= VMB_CTL_HELLO && op <= VMB_CTL_LANE, -ENOSYS);
	if (v->count)
		return;
	unless(v, r->len == request_len[op] && m->head.len == r->len, -EBADMSG);
	if (v->count)
		return;
	unless(v, !m->head.status, -EINVAL);
	unless(v, op != VMB_CTL_HELLO || !m->hello.reserved_a0, -EINVAL);
	unless(v, op != VMB_CTL_OPEN || !m->open.geometry.reserved_60, -EINVAL);
	unless(v, op != VMB_CTL_CLOSE || !m->close.reserved_a0, -EINVAL);
	unless(v, op != VMB_CTL_LANE || !m->lane.reserved_1a0, -EINVAL);
	unless(v,
	       !r->attached_more && r->attached == m_attachments(c, m, r->len),
	       -EBADF);
	unless(v, c->admitted || op == VMB_CTL_HELLO, -ENOTCONN);
}

static void judge_hello(struct m_verdict *v, const struct m_client *c,
			const struct vmb_ctl_hello *h)
{
	unless(v, !c->admitted, -EALREADY);
	unless(v, h->abi_major == VMB_ABI_MAJOR, -EPROTO);
	unless(v, is_padded(h->domain) && is_domain(h->domain), -EINVAL);
	unless(v, admitted() < M_ADMITTED, -EUSERS);
}

static void judge_open(struct m_verdict *v, const struct m_client *c,
		       const struct vmb_ctl_open *o, int map_status)
{
	const struct vmb_geometry *g = &o->geometry;
	const struct m_client *owner;

	unless(v, o->id <= VMB_ID_MAX || o->id == VMB_ID_ANY, -EINVAL);
	unless(v, is_size(g->eq_slots, VMB_EQ_SLOTS_MIN, VMB_EQ_SLOTS_MAX),
	       -EINVAL);
	unless(v, is_size(g->rx_bytes, VMB_RX_BYTES_MIN, VMB_RX_BYTES_MAX),
	       -EINVAL);
	unless(v, is_size(g->tx_bytes, VMB_TX_BYTES_MIN, VMB_TX_BYTES_MAX),
	       -EINVAL);
	unless(v, m_endpoints(c) < M_ENDPOINTS, -EDQUOT);
	unless(v, !map_status, map_status);
	unless(v, !find(c->nic_id, o->id, 0, &owner), -EBUSY);
}

static void judge_register(struct m_verdict *v, const struct m_client *c,
			   const struct vmb_ctl_register *r, int map_status)
{
	const bool process = r->kind == VMB_REGION_PROCESS;

	unless(v, process || r->kind == VMB_REGION_MEMFD,
	       r->kind == VMB_REGION_GRANT ? -EOPNOTSUPP : -EINVAL);
	unless(v, !process || c->features & VMB_FEATURE_PROCESS_MEMORY,
	       -EOPNOTSUPP);
	unless(v, !(r->access & ~VMB_ACCESS_ALL), -EINVAL);
	unless(v, r->len && r->len <= VMB_REGION_BYTES_MAX, -EINVAL);
	unless(v, !m_is_over(c, r->len), -EDQUOT);
	unless(v, !map_status, map_status);
}

static void judge_connect(struct m_verdict *v, const struct vmb_ctl_connect *r)
{
	const struct m_client *owner;
	const struct m_endpoint *e = NULL;

	unless(v, knows_nic(r->nic_id), -ENXIO);
	unless(v, r->id <= VMB_ID_MAX, -EINVAL);
	if (!v->count)
		e = find(r->nic_id, r->id, 0, &owner);
	unless(v, v->count || e, -ECONNREFUSED);
	unless(v, !e || e->key == r->key, -EKEYREJECTED);
}

static void judge_lookup(struct m_verdict *v, const struct vmb_ctl_lookup *l)
{
	uint64_t nic_id;

	unless(v, !l->id && !l->session, -EINVAL);
	unless(v, l->kind == VMB_LOOKUP_NIC || !l->nic_id, -EINVAL);
	unless(v, l->kind == VMB_LOOKUP_HANDLE || !l->handle, -EINVAL);
	unless(v,
	       l->kind == VMB_LOOKUP_NAME ? is_padded(l->name)
					  : is_zero(l->name, VMB_NAME_BYTES),
	       -EINVAL);
	unless(v, l->kind >= VMB_LOOKUP_NAME && l->kind <= VMB_LOOKUP_HANDLE,
	       -EINVAL);
	if (v->count)
		return;
	if (l->kind == VMB_LOOKUP_NIC)
		unless(v, knows_nic(l->nic_id), -ENOENT);
	if (l->kind == VMB_LOOKUP_HANDLE)
		unless(v, identify(l->handle, &nic_id), -ENOENT);
	if (l->kind == VMB_LOOKUP_NAME && strcmp(l->name, "localhost"))
		unless(v, false, -ENOENT); /* the fuzzer knows no other */
}

static void judge_offer(struct m_verdict *v, const struct m_client *c,
			const struct vmb_ctl_lane *l, int lane_status)
{
	const struct m_client *sender = c;

	unless(v, owns_handle(c, l->handle), -ENOENT);
	unless(v, is_open(l->peer, &sender), -ENOENT);
	unless(v, !l->ticket && !l->reason && !l->guest, -EINVAL);
	unless(v, is_size(l->slots, VMB_LANE_SLOTS_MIN, VMB_LANE_SLOTS_MAX),
	       -EINVAL);
	unless(v, is_size(l->bytes, VMB_LANE_BYTES_MIN, VMB_LANE_BYTES_MAX),
	       -EINVAL);
	unless(v, m_is_coresident(c, sender), -EXDEV);
	unless(v, m_lanes(c) < M_LANES, -EDQUOT);
	unless(v, !lane_status, lane_status);
}

static void judge_accept(struct m_verdict *v, const struct m_client *c,
			 const struct vmb_ctl_lane *l)
{
	const struct m_lane *lane = find_lane(NULL, l->ticket);

	unless(v, owns_handle(c, l->handle), -ENOENT);
	unless(v,
	       lane && lane->receiver == l->peer && lane->sender == l->handle,
	       -ENOENT);
	unless(v, !lane || !lane->accepted, -EALREADY);
	unless(v, !l->slots && !l->bytes && !l->reason && !l->guest, -EINVAL);
}

static void judge_lane(struct m_verdict *v, const struct m_client *c,
		       const struct vmb_ctl_lane *l, int lane_status)
{
	if (l->kind == VMB_LANE_OFFER) {
		judge_offer(v, c, l, lane_status);
	} else if (l->kind == VMB_LANE_ACCEPT) {
		judge_accept(v, c, l);
	} else if (l->kind == VMB_LANE_CLOSE) {
		unless(v, find_lane(c, l->ticket), -ENOENT);
		unless(v,
		       !l->handle && !l->peer && !l->slots && !l->bytes &&
			       !l->guest,
		       -EINVAL);
		unless(v, l->reason < VMB_CODE_COUNT, -EINVAL);
	} else {
		unless(v, false, -EINVAL);
	}
}

static bool owns_key(const struct m_client *c, uint64_t key)
{
	for (unsigned i = 0; i < M_REGIONS; i++)
		if (key && c->regions[i].key == key)
			return true;
	return false;
}

struct m_verdict m_judge(const struct m_client *c, const struct m_request *r)
{
	const union vmb_ctl_any *m = r->msg;
	struct m_verdict v = {0};

	judge_shape(&v, c, r);
	v.nonsense = v.count;
	if (v.nonsense)
		return v;
	if (m->head.op == VMB_CTL_HELLO)
		judge_hello(&v, c, &m->hello);
	if (m->head.op == VMB_CTL_OPEN)
		judge_open(&v, c, &m->open, r->map_status);
	if (m->head.op == VMB_CTL_CLOSE)
		unless(&v, owns_handle(c, m->close.handle), -ENOENT);
	if (m->head.op == VMB_CTL_REGISTER)
		judge_register(&v, c, &m->reg, r->map_status);
	if (m->head.op == VMB_CTL_DEREGISTER)
		unless(&v, owns_key(c, m->dereg.key), -ENOENT);
	if (m->head.op == VMB_CTL_CONNECT)
		judge_connect(&v, &m->connect);
	if (m->head.op == VMB_CTL_LOOKUP)
		judge_lookup(&v, &m->lookup);
	if (m->head.op == VMB_CTL_LANE)
		judge_lane(&v, c, &m->lane, r->lane_status);
	return v;
}

/* ---- what follows ------------------------------------------------------- */

static bool follow_hello(struct m_client *c, const struct vmb_ctl_hello *h,
			 const struct vmb_ctl_hello_reply *r)
{
	bool good = r->nic_id && !(r->nic_id >> 48) &&
		    r->endpoints_max == M_ENDPOINTS &&
		    r->memory_max == M_MEMORY && is_padded(r->name);

	/* a named domain has one board, the others share the host's */
	for (unsigned i = 0; i < M_CLIENTS; i++)
		if (m_clients[i].admitted)
			good &= (m_clients[i].nic_id == r->nic_id) ==
				!strcmp(m_clients[i].domain, h->domain);
	good &= (r->nic_id == m_host_nic) == !h->domain[0];
	good &= !(r->features & ~h->features);
	c->admitted = true;
	c->nic_id = r->nic_id;
	c->features = r->features;
	memcpy(c->domain, h->domain, sizeof(c->domain));
	return good;
}

static bool follow_open(struct m_client *c, const struct vmb_ctl_open *o,
			const struct vmb_ctl_open_reply *r)
{
	static uint64_t opened;
	const struct m_client *owner;
	bool good = r->handle && r->session && !r->reserved_e0 &&
		    !find(0, 0, r->handle, &owner) &&
		    !find(c->nic_id, r->id, 0, &owner) &&
		    (o->id == VMB_ID_ANY || o->id == r->id);

	if (o->id == VMB_ID_ANY) /* the lowest */
		for (uint32_t id = 0; id < r->id; id++)
			good &= find(c->nic_id, id, 0, &owner) != NULL;
	for (unsigned i = 0; i < M_ENDPOINTS; i++) {
		if (c->endpoints[i].open)
			continue;
		c->endpoints[i] = (struct m_endpoint){
			true, r->id, o->key, r->handle, r->session, ++opened};
		return good;
	}
	return false;
}

static bool follow_register(struct m_client *c, uint64_t len, uint64_t key)
{
	for (unsigned i = 0; i < M_CLIENTS; i++)
		if (owns_key(&m_clients[i], key))
			return false;
	for (unsigned i = 0; i < M_REGIONS; i++) {
		if (c->regions[i].key)
			continue;
		c->regions[i] = (struct m_region){key, len};
		return key > VMB_KEY_TX && key >> 32;
	}
	return false;
}

/* Lanes to it end; one from it stays until its reader closes that. */
static void follow_close(uint32_t handle)
{
	const struct m_client *owner = NULL;
	struct m_endpoint *e = find(0, 0, handle, &owner);

	depart(owner, e);
	for (unsigned i = 0; i < M_CLIENTS; i++)
		for (unsigned k = 0; k < M_LANES; k++)
			if (m_clients[i].lanes[k].receiver == handle)
				m_clients[i].lanes[k] = (struct m_lane){0};
}

static bool follow_offer(struct m_client *c, const struct vmb_ctl_lane *l,
			 uint64_t ticket)
{
	if (!ticket || find_lane(NULL, ticket))
		return false;
	for (unsigned i = 0; i < M_LANES; i++) {
		if (c->lanes[i].ticket)
			continue;
		c->lanes[i] = (struct m_lane){ticket,	l->handle, l->peer,
					      l->slots, l->bytes,  false};
		return true;
	}
	return false;
}

static bool follow_lane(struct m_client *c, const struct vmb_ctl_lane *l,
			const struct vmb_ctl_lane *r)
{
	struct m_lane *lane;

	if (r->kind != l->kind || r->reason || r->guest)
		return false;
	if (l->kind == VMB_LANE_OFFER && !follow_offer(c, l, r->ticket))
		return false;
	if (l->kind == VMB_LANE_CLOSE) {
		*find_lane(c, l->ticket) = (struct m_lane){0};
		return !r->handle && !r->peer && !r->slots && !r->bytes &&
		       !r->ticket;
	}
	lane = find_lane(NULL, r->ticket);
	if (!lane)
		return false;
	lane->accepted = l->kind == VMB_LANE_ACCEPT;
	return r->handle == l->handle && r->peer == l->peer &&
	       r->slots == lane->slots && r->bytes == lane->bytes &&
	       (!l->ticket || r->ticket == l->ticket);
}

static bool follow_lookup(const struct m_client *c,
			  const struct vmb_ctl_lookup *l,
			  const struct vmb_ctl_lookup *r)
{
	uint64_t nic_id = l->kind == VMB_LOOKUP_NIC ? l->nic_id : c->nic_id;
	const struct m_endpoint *e;

	if (l->kind == VMB_LOOKUP_HANDLE) {
		e = identify(l->handle, &nic_id);
		if (!e || r->handle != l->handle || r->id != e->id ||
		    r->session != e->session)
			return false;
	}
	return r->nic_id == nic_id && is_padded(r->name);
}

bool m_follow(struct m_client *c, const union vmb_ctl_any *msg,
	      const union vmb_ctl_any *reply)
{
	const struct m_client *owner = NULL;
	struct m_endpoint *e;

	switch (msg->head.op) {
	case VMB_CTL_HELLO:
		return follow_hello(c, &msg->hello, &reply->hello_reply);
	case VMB_CTL_OPEN:
		return follow_open(c, &msg->open, &reply->open_reply);
	case VMB_CTL_CLOSE:
		follow_close(msg->close.handle);
		return true;
	case VMB_CTL_REGISTER:
		return follow_register(c, msg->reg.len, reply->reg_reply.key);
	case VMB_CTL_DEREGISTER:
		for (unsigned i = 0; i < M_REGIONS; i++)
			if (c->regions[i].key == msg->dereg.key)
				c->regions[i].key = 0;
		return true;
	case VMB_CTL_CONNECT:
		e = find(msg->connect.nic_id, msg->connect.id, 0, &owner);
		return e && reply->connect_reply.handle == e->handle &&
		       reply->connect_reply.session == e->session;
	case VMB_CTL_LANE:
		return follow_lane(c, &msg->lane, &reply->lane);
	default:
		return follow_lookup(c, &msg->lookup, &reply->lookup);
	}
}

/* In the order in which they were opened. NULL: none is open. */
static struct m_endpoint *oldest(struct m_client *c)
{
	struct m_endpoint *oldest = NULL;

	for (unsigned i = 0; i < M_ENDPOINTS; i++) {
		struct m_endpoint *e = &c->endpoints[i];

		if (e->open && (!oldest || e->opened < oldest->opened))
			oldest = e;
	}
	return oldest;
}

void m_leave(struct m_client *c)
{
	while (oldest(c))
		depart(c, oldest(c));
	memset(c, 0, sizeof(*c));
}
