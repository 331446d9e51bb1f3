// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_control.c - sequences of control messages of several clients, against
 * a naive model of what docs/control.md says must come of them.
 *
 * Flow:  fuzzer -> record (choices, bytes) -> message -> vmbd's events -> reply
 *        -> platform of our own; the model says what the reply has to be
 * Owns:  the daemon's tables, a stepped engine, the memory that "clients" give.
 *
 * A record is 16 bytes: who, what it does, then choices from which a request
 * is made that would be good, with a byte or a length changed now and then.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "client.h"
#include "control_model.h"
#include "daemon.h"
#include "domain.h"
#include "name.h"

#define RECORD 16u

struct vmb_transport {
	struct vmbd_client *client;
	struct m_client *model;
	union vmb_ctl_any reply; /* the last */
	unsigned replies;
	bool signal_given, lane_given, pending;
	struct vmb_ctl_register reg; /* that is pending */
};

struct vmb_attachment {
	int status; /* of memory_map() */
};

struct vmb_lane_memory {
	size_t len;
};

static struct vmb_transport transports[M_CLIENTS];
static struct vmbd_options options = {.engines = 1,
				      .endpoints_max = M_DEPARTED};
static struct vmbd d = {.options = &options};
static struct vmbd_platform platform = {.d = &d};
static unsigned mapped, signals, lanes; /* what vmbd holds of ours */
static int lane_status;			/* of lane_make() */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_control: %s\n", what);
	abort();
}

/* ---- the platform ------------------------------------------------------- */

static uint64_t fake_features(struct vmb_transport *t)
{
	(void)t;
	return VMB_FEATURES_ALL;
}

static int fake_reply(struct vmb_transport *t, const union vmb_ctl_any *msg,
		      const struct vmb_gift *gift)
{
	check(msg->head.len >= sizeof(msg->head) &&
		      msg->head.len <= sizeof(*msg),
	      "a reply of impossible length");
	t->reply = *msg;
	t->replies++;
	t->signal_given = gift && gift->signal;
	t->lane_given = gift && gift->lane;
	if (t->lane_given)
		check(gift->lane->len ==
			      VMB_LANE_LEN(msg->lane.slots, msg->lane.bytes),
		      "memory of another lane");
	return 0;
}

static void fake_drop(struct vmb_transport *t, const char *why)
{
	vmbd_client_events.left(t->client, why);
	m_leave(t->model);
	memset(t, 0, sizeof(*t));
}

static int fake_memory_map(struct vmb_transport *t, struct vmb_attachment *a,
			   struct vmb_platform_memory *memory)
{
	(void)t;
	if (memory->kind == VMB_REGION_PROCESS)
		return -EINPROGRESS;
	if (a->status)
		return a->status;
	check(memory->len <= 64u << 20, "memory over every limit is mapped");
	memory->base = calloc(1, memory->len);
	check(memory->base, "out of memory");
	mapped++;
	return 0;
}

static void fake_memory_unmap(struct vmb_transport *t,
			      struct vmb_platform_memory *memory)
{
	(void)t;
	free(memory->base);
	mapped--;
}

static void *fake_mover_cookie(struct vmb_transport *t)
{
	return t;
}

static int fake_signal_open(struct vmb_transport *t,
			    struct vmb_attachment *attachment,
			    struct vmb_signal **signal)
{
	(void)t;
	(void)attachment;
	*signal = calloc(1, sizeof(**signal));
	check(*signal, "out of memory");
	signals++;
	return 0;
}

static int fake_signal_bind(struct vmb_signal *signal,
			    struct vmb_nic_endpoint *ep)
{
	signal->ep = ep;
	return 0;
}

static void fake_signal_unbind(struct vmb_signal *signal)
{
	check(signal->ep, "unbound, and was not bound");
	signal->ep = NULL;
}

static void fake_signal_close(struct vmb_signal *signal)
{
	check(!signal->ep, "closed, and is still bound");
	free(signal);
	signals--;
}

static bool fake_coresident(const struct vmb_transport *a,
			    const struct vmb_transport *b)
{
	return m_is_coresident(a->model, b->model);
}

static int fake_lane_make(struct vmb_transport *receiver,
			  struct vmb_transport *sender, size_t len,
			  struct vmb_lane_memory **lane)
{
	check(fake_coresident(receiver, sender), "a lane between two hosts");
	if (lane_status)
		return lane_status;
	*lane = malloc(sizeof(**lane));
	check(*lane, "out of memory");
	(*lane)->len = len;
	lanes++;
	return 0;
}

static void fake_lane_free(struct vmb_lane_memory *lane)
{
	free(lane);
	lanes--;
}

static const struct vmb_platform_ops fake = {
	.name = "fake",
	.attached_kinds = 1u << VMB_REGION_MEMFD,
	.features = fake_features,
	.coresident = fake_coresident,
	.reply = fake_reply,
	.drop = fake_drop,
	.memory_map = fake_memory_map,
	.memory_unmap = fake_memory_unmap,
	.mover_cookie = fake_mover_cookie,
	.signal_open = fake_signal_open,
	.signal_bind = fake_signal_bind,
	.signal_unbind = fake_signal_unbind,
	.signal_close = fake_signal_close,
	.lane_make = fake_lane_make,
	.lane_free = fake_lane_free,
};

/* One thread does everything here: nobody is woken, nobody fences. */
static void nothing(void *arg)
{
	(void)arg;
}

static void wake_nobody(uint32_t *word)
{
	(void)word;
}

static void start(void)
{
	static const struct vmb_nic_host host = {.notify = nothing,
						 .notify_word = wake_nobody,
						 .barrier = nothing};
	static struct vmbd_section everybody = {
		.kind = VMBD_SECTION_DEFAULT,
		.limits = {.of = {[VMBD_ALLOW] = 1,
				  [VMBD_ENDPOINTS] = M_ENDPOINTS,
				  [VMBD_MEMORY] = M_MEMORY,
				  [VMBD_WEIGHT] = 1,
				  [VMBD_CLIENTS] = M_ADMITTED,
				  [VMBD_REGIONS] = M_REGIONS,
				  [VMBD_PEERS] = 1,
				  [VMBD_LANES] = M_LANES},
			   .set = ((1u << VMBD_KEYS) - 1) &
				  ~(1u << VMBD_OWNER)}};
	static struct vmbd_policy policy = {&everybody, 1};
	const struct vmb_nic_config config = {
		.host = &host, .threads = 1, .endpoints_max = M_DEPARTED};

	vmb_log_set_level(VMB_LOG_NONE);
	d.policy = &policy;
	platform.ops = &fake;
	check(!vmb_nic_open(&config, &d.nic), "engine");
	check(!vmbd_tables_init(&d), "tables");
	m_host_nic = d.host_board->nic_id;
}

/* ---- messages ----------------------------------------------------------- */

/* Any endpoint or region that is there, or one that is not. */
static const struct m_endpoint *some_endpoint(uint8_t choice,
					      const struct m_client **owner)
{
	*owner = &m_clients[choice % M_CLIENTS];
	return &(*owner)->endpoints[choice / M_CLIENTS % M_ENDPOINTS];
}

static uint64_t some_key(uint8_t choice)
{
	const struct m_client *c = &m_clients[choice % M_CLIENTS];

	return c->regions[choice / M_CLIENTS % M_REGIONS].key;
}

static void make_hello(union vmb_ctl_any *m, const uint8_t *r)
{
	static const char *const domains[] = {"", "a",	 "b",
					      "", "a b", "localhost"};

	m->hello.abi_major = VMB_ABI_MAJOR;
	m->hello.features = r[4];
	strcpy(m->hello.domain, domains[r[5] % vmb_array_size(domains)]);
}

static void make_open(union vmb_ctl_any *m, const uint8_t *r)
{
	static const uint32_t ids[] = {VMB_ID_ANY,     0,  1, VMB_ID_MAX,
				       VMB_ID_MAX + 1, 300};

	m->open.id = ids[r[4] % vmb_array_size(ids)];
	m->open.key = r[5] % 2;
	m->open.geometry = (struct vmb_geometry){64, 4096, 4096, 0};
}

static void make_register(union vmb_ctl_any *m, const uint8_t *r)
{
	static const uint64_t lens[] = {4096,	  1, M_MEMORY / 2,
					M_MEMORY, 0, VMB_REGION_BYTES_MAX};

	m->reg.kind = 1 + r[4] % 8 / 6; /* mostly memfds */
	m->reg.access = r[5] % 4;
	m->reg.len = lens[r[6] % vmb_array_size(lens)];
	m->reg.base = r[7]; /* good or not: the platform says */
}

static void make_connect(union vmb_ctl_any *m, const uint8_t *r)
{
	const struct m_client *owner;
	const struct m_endpoint *e = some_endpoint(r[4], &owner);

	m->connect.nic_id = r[5] % 4 ? owner->nic_id : m_host_nic;
	m->connect.id = e->id;
	m->connect.key = e->key ^ (r[5] / 4 % 4 == 3);
}

static void make_lookup(union vmb_ctl_any *m, const uint8_t *r)
{
	const struct m_client *owner;
	const struct m_endpoint *e = some_endpoint(r[4], &owner);

	m->lookup.kind = r[5] % 4;
	if (m->lookup.kind == VMB_LOOKUP_HANDLE) {
		m->lookup.handle = e->handle;
		if (r[6] % 2)
			m->lookup.handle =
				m_departed[r[4] % M_DEPARTED].endpoint.handle;
	}
	if (m->lookup.kind == VMB_LOOKUP_NIC)
		m->lookup.nic_id = owner->nic_id;
	if (m->lookup.kind == VMB_LOOKUP_NAME)
		strcpy(m->lookup.name, r[6] % 2 ? "localhost" : "nobody");
}

/* One of its own more often than not. */
static uint32_t own_handle(uint8_t who, uint8_t choice)
{
	const struct m_client *owner = &m_clients[who % M_CLIENTS];

	if (choice % 8 == 7)
		return some_endpoint(choice / 8, &owner)->handle;
	return owner->endpoints[choice % M_ENDPOINTS].handle;
}

static void make_lane(union vmb_ctl_any *m, const uint8_t *r)
{
	static const uint32_t slots[] = {VMB_LANE_SLOTS_MIN, 4096, 256, 255,
					 8192};
	static const uint32_t bytes[] = {VMB_LANE_BYTES_MIN, 1u << 24,
					 VMB_LANE_BYTES_MIN / 2};
	const struct m_client *who = &m_clients[r[r[6] / 4 % 2 ? 0 : 5] % 4];
	const struct m_lane *lane = &who->lanes[r[5] / 4 % M_LANES];

	m->lane.kind = r[6] % 4;
	if (m->lane.kind == VMB_LANE_OFFER) {
		m->lane.handle = own_handle(r[0], r[4]);
		m->lane.peer = some_endpoint(r[5], &who)->handle;
		m->lane.slots = slots[r[7] % vmb_array_size(slots)];
		m->lane.bytes = bytes[r[13] % vmb_array_size(bytes)];
	} else {
		m->lane.ticket = lane->ticket;
	}
	if (m->lane.kind == VMB_LANE_ACCEPT) {
		m->lane.handle =
			r[7] % 4 ? lane->sender : own_handle(r[0], r[4]);
		m->lane.peer = r[13] % 8 ? lane->receiver
					 : some_endpoint(r[4], &who)->handle;
	}
	if (m->lane.kind == VMB_LANE_CLOSE)
		m->lane.reason = r[7] % (VMB_CODE_COUNT + 1);
}

/* Returns its length. */
static size_t make(union vmb_ctl_any *m, const uint8_t *r)
{
	static const size_t lens[] = {
		sizeof(struct vmb_ctl_head),
		sizeof(struct vmb_ctl_hello),
		sizeof(struct vmb_ctl_open),
		sizeof(struct vmb_ctl_close),
		sizeof(struct vmb_ctl_register),
		sizeof(struct vmb_ctl_deregister),
		sizeof(struct vmb_ctl_connect),
		sizeof(struct vmb_ctl_lookup),
		sizeof(struct vmb_ctl_lane),
	};
	const struct m_client *owner;
	const uint32_t op = r[2] % vmb_array_size(lens);
	size_t len = lens[op];

	memset(m, 0, sizeof(*m));
	m->head.op = op;
	m->head.tag = r[3];
	m->head.len = (uint32_t)len;
	if (m->head.op == VMB_CTL_HELLO)
		make_hello(m, r);
	if (m->head.op == VMB_CTL_OPEN)
		make_open(m, r);
	if (m->head.op == VMB_CTL_CLOSE)
		m->close.handle = some_endpoint(r[4], &owner)->handle;
	if (m->head.op == VMB_CTL_REGISTER)
		make_register(m, r);
	if (m->head.op == VMB_CTL_DEREGISTER)
		m->dereg.key = some_key(r[4]);
	if (m->head.op == VMB_CTL_CONNECT)
		make_connect(m, r);
	if (m->head.op == VMB_CTL_LOOKUP)
		make_lookup(m, r);
	if (m->head.op == VMB_CTL_LANE)
		make_lane(m, r);
	if (r[8] % 8 == 7) /* a byte is changed */
		((uint8_t *)m)[r[9] % len] ^= r[10];
	if (r[8] % 32 == 8) /* or the length */
		len = r[9];
	return len;
}

/* ---- one step ------------------------------------------------------------- */

static void expect_reply(struct vmb_transport *t, uint32_t op, uint32_t tag)
{
	check(t->replies == 1, "not exactly one reply");
	check(t->reply.head.op == op && t->reply.head.tag == tag,
	      "the reply to another request");
	check(!t->reply.head.status ||
		      t->reply.head.len == sizeof(t->reply.head),
	      "an error with more than a head");
	t->replies = 0;
}

static void arrive(struct vmb_transport *t, struct m_client *c)
{
	static const struct vmb_credentials who = {.pid = 1};

	t->model = c;
	check(!vmbd_client_events.arrived(&platform, t, &who, &t->client),
	      "arrival");
	c->there = true;
}

/* A request whose memory was looked at gets its reply. */
static void finish_pending(struct vmb_transport *t, int status)
{
	union vmb_ctl_any msg = {.reg = t->reg};
	int want = status;

	if (!want && m_is_over(t->model, t->reg.len))
		want = -EDQUOT; /* cannot be: nobody else shares its limits */
	t->pending = false;
	check(!vmbd_client_events.memory_ready(t->client, status), "ready");
	expect_reply(t, VMB_CTL_REGISTER, t->reg.head.tag);
	check(t->reply.head.status == want, "another status of the memory");
	if (!want)
		check(m_follow(t->model, &msg, &t->reply), "another key");
}

static void request(struct vmb_transport *t, const uint8_t *r)
{
	static const int map[] = {0, 0, 0, 0, 0, -EBADF, -EPERM, -EINVAL};
	struct vmb_attachment attachment = {map[r[11] % 8]};
	struct vmb_platform_request p = {0};
	struct m_request model = {0};
	struct m_verdict verdict;
	union vmb_ctl_any msg;
	bool must_go;
	int err;

	model.msg = p.msg = &msg;
	model.len = p.len = make(&msg, r);
	if (p.len < sizeof(msg))
		memset((char *)&msg + p.len, 0, sizeof(msg) - p.len);
	check(vmbd_client_events.attachments(t->client, &msg, p.len) ==
		      m_attachments(t->model, &msg, p.len),
	      "another number of attachments");
	p.attached = m_attachments(t->model, &msg, p.len);
	if (r[12] % 16 == 1)
		p.attached = !p.attached;
	p.attached_more = r[12] % 16 == 2;
	p.attachment = p.attached ? &attachment : NULL;
	model.attached = p.attached;
	model.attached_more = p.attached_more;
	model.map_status = p.attached ? attachment.status : 0;

	model.lane_status = lane_status = r[14] % 16 == 1 ? -EMFILE : 0;

	verdict = m_judge(t->model, &model);
	err = vmbd_client_events.request(t->client, &p);
	if (!verdict.count && msg.head.op == VMB_CTL_REGISTER &&
	    msg.reg.kind == VMB_REGION_PROCESS) {
		check(!err && !t->replies, "answered before it was looked at");
		t->reg = msg.reg;
		t->pending = true;
		return;
	}
	expect_reply(t, msg.head.op, msg.head.tag);
	if (!m_allows(&verdict, t->reply.head.status))
		fprintf(stderr, "operation %u: %s\n", msg.head.op,
			strerror(-t->reply.head.status));
	check(m_allows(&verdict, t->reply.head.status), "another status");
	check(t->signal_given ==
		      (!verdict.count && msg.head.op == VMB_CTL_OPEN),
	      "descriptors that do not belong to the reply");
	check(t->lane_given == (!verdict.count && m_brings_lane(&msg)),
	      "a lane that does not belong to the reply");
	if (!verdict.count)
		check(m_follow(t->model, &msg, &t->reply), "another answer");
	t->model->strikes += verdict.nonsense;
	must_go = t->model->strikes >= M_STRIKES && verdict.nonsense;
	must_go |= verdict.count && !verdict.nonsense && !t->model->admitted;
	check(!err == !must_go, "sent away, or not, against the page");
	if (err)
		fake_drop(t, "nonsense");
}

/* ---- what is there ---------------------------------------------------------- */

static void compare_user(unsigned clients, unsigned offered)
{
	const struct vmbd_user *user;

	check(vmb_list_empty(&d.users) == !clients, "a user is left, or none");
	if (!clients)
		return;
	user = vmb_list_first(&d.users, struct vmbd_user, node);
	check(d.users.next->next == &d.users && user->clients == clients,
	      "another number of users, or of clients of one");
	check(user->has[VMBD_HAS_ENDPOINTS] == d.endpoint_count &&
		      user->has[VMBD_HAS_REGIONS] == d.region_count &&
		      user->has[VMBD_HAS_MAPPINGS] == mapped &&
		      user->has[VMBD_HAS_DESCRIPTORS] ==
			      VMBD_DESCRIPTORS_OF_CLIENT * clients +
				      VMBD_DESCRIPTORS_OF_ENDPOINT * signals +
				      VMBD_DESCRIPTORS_OF_LANE * offered,
	      "the user has more or less than the clients have");
}

static void compare(void)
{
	unsigned admitted = 0, pending = 0, endpoints = 0, regions = 0;
	unsigned offered = 0;

	for (unsigned i = 0; i < M_CLIENTS; i++) {
		const struct m_client *c = &m_clients[i];

		if (!c->there)
			continue;
		admitted += c->admitted;
		pending += !c->admitted;
		endpoints += m_endpoints(c);
		regions += m_regions(c);
		offered += m_lanes_offered(c);
		check(transports[i].client->endpoint_count == m_endpoints(c) &&
			      transports[i].client->region_count ==
				      m_regions(c) &&
			      transports[i].client->memory == m_memory(c) &&
			      transports[i].client->lane_count == m_lanes(c),
		      "a client has more or less than it was given");
	}
	check(d.client_count == admitted && d.pending_count == pending,
	      "another number of clients");
	check(d.endpoint_count == endpoints && signals == endpoints,
	      "another number of endpoints");
	check(d.region_count == regions, "another number of regions");
	check(d.mappings == mapped, "another number of mappings");
	check(lanes == offered, "another number of lanes in the middle");
	compare_user(admitted, offered);
}

static void step(const uint8_t *r)
{
	struct vmb_transport *t = &transports[r[0] % M_CLIENTS];

	if (!t->client)
		arrive(t, &m_clients[r[0] % M_CLIENTS]);
	if (r[1] % 16 == 15)
		fake_drop(t, "closed");
	else if (t->pending)
		finish_pending(t, r[1] % 4 ? 0 : -EFAULT);
	else
		request(t, r);
	compare();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!d.nic)
		start();
	for (; size >= RECORD; data += RECORD, size -= RECORD)
		step(data);
	for (unsigned i = 0; i < M_CLIENTS; i++)
		if (transports[i].client)
			fake_drop(&transports[i], "the end");
	compare();
	check(!mapped && !signals && !lanes, "something of theirs is left");
	check(vmb_list_empty(&d.domains), "a domain is left");
	check(d.boards.next->next == &d.boards, "a board is left");
	return 0;
}
