// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_descriptor.c - any 64 bytes as a descriptor, against a naive model of
 * what docs/slot.md says must come of them.
 *
 * Flow:  fuzzer -> record (choices, descriptor, extension) -> stepped engine
 *        -> outcome; the model, written from the page and not from the
 *        engine, says what the outcome has to be
 *
 * A record is 4 choice bytes, then 64 + 64 bytes. The choices put values that
 * are known only at run time (handles, keys) where a fuzzer cannot guess them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nic/nic.h"
#include "ring/ring.h"

#define RECORD (4 + 2 * VMB_SLOT_BYTES)
#define REGION 8192u

enum kind {
	FAULT,
	DONE,
	BOUNCE,
	ARRIVE
};

struct outcome {
	enum kind kind;
	unsigned code;
};

struct side {
	struct vmb_nic_domain *domain;
	struct vmb_nic_endpoint *ep;
	uint32_t handle;
	uint8_t *area, *region;
	uint64_t key;
	struct vmb_ring doorbell, events;
	uint32_t rx_pos;
};

static const struct vmb_geometry geometry = {
	.eq_slots = 64, .rx_bytes = 4096, .tx_bytes = 4096};
static struct vmb_nic *nic;
static struct side liar, honest;
static uint64_t stale_key, private_key;
static bool met; /* the honest side has had a message of this liar */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_descriptor: %s\n", what);
	abort();
}

static void notify(void *cookie)
{
	(void)cookie;
}

static void notify_word(uint32_t *word)
{
	(void)word;
}

static void side_open(struct side *s)
{
	struct vmb_nic_endpoint_info info = {
		.domain = s->domain, .geometry = geometry, .word = true};

	memset(s->area, 0, VMB_AREA_BYTES(&geometry));
	info.area = s->area;
	check(!vmb_nic_endpoint_add(nic, &info, &s->ep, &s->handle), "add");
	vmb_ring_init(&s->doorbell, s->area, VMB_DOORBELL_SLOTS, 0);
	vmb_ring_init(&s->events, s->area + VMB_AREA_EQ, geometry.eq_slots, 0);
	s->rx_pos = 0;
}

static uint64_t region(struct vmb_nic_domain *domain, void *base,
		       uint32_t access)
{
	struct vmb_nic_memory memory = {.kind = VMB_REGION_MEMFD,
					.access = access,
					.base = base,
					.len = REGION};
	uint64_t key;

	check(!vmb_nic_region_add(nic, domain, &memory, &key), "region");
	return key;
}

static void side_init(struct side *s)
{
	check(!vmb_nic_domain_add(nic, 1, &s->domain), "domain");
	s->area = aligned_alloc(VMB_PAGE, VMB_AREA_BYTES(&geometry));
	s->region = calloc(1, REGION);
	side_open(s);
	s->key = region(s->domain, s->region, VMB_ACCESS_ALL);
}

static void start(void)
{
	static const struct vmb_nic_host host = {.notify = notify,
						 .notify_word = notify_word};
	static uint8_t spare[REGION];

	check(!vmb_nic_open(&(struct vmb_nic_config){.host = &host,
						     .threads = 1,
						     .endpoints_max = 16},
			    &nic),
	      "open");
	side_init(&liar);
	side_init(&honest);
	private_key = region(honest.domain, spare, 0);
	stale_key = region(honest.domain, spare, VMB_ACCESS_ALL);
	vmb_nic_region_remove(nic, honest.domain, stale_key);
}

/* ---- the model ------------------------------------------------------------ */

static struct outcome fault(unsigned code)
{
	return (struct outcome){FAULT, code};
}

static bool past_end(uint64_t offset, uint64_t len, uint64_t size)
{
	return (unsigned __int128)offset + len > size;
}

/* Local side: the liar's own region or its send buffers. */
static unsigned model_local(uint64_t key, uint64_t offset, uint64_t len)
{
	if (key == VMB_KEY_TX)
		return past_end(offset, len, geometry.tx_bytes)
			       ? VMB_CODE_BAD_RANGE
			       : VMB_CODE_OK;
	if (key == stale_key)
		return VMB_CODE_STALE_KEY;
	if (key != liar.key)
		return VMB_CODE_BAD_KEY;
	return past_end(offset, len, REGION) ? VMB_CODE_BAD_RANGE : VMB_CODE_OK;
}

static unsigned model_remote(const struct side *peer, uint64_t key,
			     uint64_t offset, uint64_t len)
{
	if (key == VMB_KEY_TX)
		return VMB_CODE_DENIED;
	if (key == stale_key)
		return VMB_CODE_STALE_KEY;
	if (peer == &honest && key == private_key)
		return VMB_CODE_DENIED;
	if (key != peer->key)
		return VMB_CODE_BAD_KEY;
	return past_end(offset, len, REGION) ? VMB_CODE_BAD_RANGE : VMB_CODE_OK;
}

static const struct side *model_peer(uint32_t handle)
{
	return handle == liar.handle	 ? &liar
	       : handle == honest.handle ? &honest
					 : NULL;
}

static struct outcome model_send(const struct vmb_slot *s,
				 const struct vmb_slot_ext *ext)
{
	struct vmb_slot_buf buf;
	unsigned code;

	memcpy(&buf, s->payload, sizeof(buf));
	if (s->flags & VMB_F_BUF) {
		if ((s->flags & VMB_F_PAIR) || buf.reserved_a0)
			return fault(VMB_CODE_BAD_FLAGS);
		if (s->len || buf.len < 1 || buf.len > VMB_BUF_MAX)
			return fault(VMB_CODE_BAD_LENGTH);
	} else if (s->flags & VMB_F_PAIR) {
		if (ext->reserved_20)
			return fault(VMB_CODE_BAD_FLAGS);
		if (s->len > VMB_INLINE_PAIR)
			return fault(VMB_CODE_BAD_LENGTH);
	} else if (s->len > VMB_INLINE_ONE) {
		return fault(VMB_CODE_BAD_LENGTH);
	}
	if (!model_peer(s->peer))
		return (struct outcome){BOUNCE, VMB_CODE_BAD_PEER};
	if (!(s->flags & VMB_F_BUF))
		return (struct outcome){ARRIVE, 0};
	if (buf.len > geometry.rx_bytes / 2)
		return (struct outcome){BOUNCE, VMB_CODE_BAD_LENGTH};
	code = model_local(buf.key, buf.offset, buf.len);
	return (struct outcome){code ? BOUNCE : ARRIVE, code};
}

static struct outcome model(const struct vmb_slot *s,
			    const struct vmb_slot_ext *ext)
{
	struct vmb_slot_rdma what;
	const struct side *peer;
	unsigned code;

	if (s->op < 1 || s->op > 4)
		return fault(VMB_CODE_BAD_OP);
	if (s->flags & (s->op == VMB_OP_SEND ? 0xf8 : 0xff))
		return fault(VMB_CODE_BAD_FLAGS);
	if (s->status || s->reserved_70)
		return fault(VMB_CODE_BAD_FLAGS);
	if (s->op == VMB_OP_SEND)
		return model_send(s, ext);
	if (s->op == VMB_OP_FENCE)
		return (struct outcome){DONE, VMB_CODE_OK};
	if (s->len || s->am)
		return fault(VMB_CODE_BAD_FLAGS);
	memcpy(&what, s->payload, sizeof(what));
	peer = model_peer(s->peer);
	if (!peer)
		return (struct outcome){DONE, VMB_CODE_BAD_PEER};
	code = model_local(what.local_key, what.local_offset, what.len);
	if (!code)
		code = model_remote(peer, what.remote_key, what.remote_offset,
				    what.len);
	return (struct outcome){DONE, code};
}

/* ---- the engine ------------------------------------------------------------- */

/* Take all events of a side; the last is kept. */
static unsigned take(struct side *s, struct vmb_slot *event)
{
	struct vmb_control_page *ctl = (void *)(s->area + VMB_AREA_CONTROL);
	unsigned n = 0;
	int due;

	while ((due = vmb_ring_peek(&s->events, event)) == 1) {
		struct vmb_slot_buf buf;

		memcpy(&buf, event->payload, sizeof(buf));
		if (event->op == VMB_EV_ARRIVE && (event->flags & VMB_F_BUF))
			check(vmb_rx_place(&s->rx_pos, geometry.rx_bytes,
					   buf.len, VMB_RX_ALIGN) == buf.offset,
			      "receive buffer not where it must be");
		vmb_ring_release(&s->events, event->flags & VMB_F_PAIR ? 2 : 1);
		n++;
	}
	check(due == 0, "the engine wrote an impossible seq");
	vmb_publish(&ctl->consumed, vmb_pack(s->events.pos, s->rx_pos));
	return n;
}

static void compare(const struct outcome *want, const struct vmb_slot *event,
		    unsigned at_liar, unsigned at_honest)
{
	static const uint8_t ops[] = {[FAULT] = VMB_EV_FAULT,
				      [DONE] = VMB_EV_DONE,
				      [BOUNCE] = VMB_EV_BOUNCE,
				      [ARRIVE] = VMB_EV_ARRIVE};

	check(at_liar + at_honest == 1, "not exactly one event");
	check(event->op == ops[want->kind], "another kind of outcome");
	if (want->kind == BOUNCE && want->code == VMB_CODE_BAD_PEER)
		check(event->status == VMB_CODE_BAD_PEER ||
			      event->status == VMB_CODE_PEER_GONE,
		      "another code");
	else if (want->kind == DONE && want->code == VMB_CODE_BAD_PEER)
		check(event->status == VMB_CODE_BAD_PEER ||
			      event->status == VMB_CODE_PEER_GONE,
		      "another code");
	else if (want->kind == BOUNCE || want->kind == DONE)
		/* of two reasons the engine may name either side's first */
		check(!event->status == !want->code, "another verdict");
	else
		check(event->status == want->code, "another code");
}

static void settle(void)
{
	for (int idle = 0; idle < 200;)
		idle = vmb_nic_breathe(nic, 0) ? 0 : idle + 1;
}

/* Who has met the liar hears once that it is gone, when it is faulted. */
static unsigned hear_of_fault(const struct vmb_slot *event, unsigned at_honest)
{
	if (!met)
		return at_honest;
	met = false;
	check(at_honest == 1 && event->op == VMB_EV_GONE &&
		      event->peer == liar.handle,
	      "whom it has met was not told");
	return 0;
}

static void one(const uint8_t *record)
{
	const uint64_t keys[] = {liar.key,  honest.key, private_key,
				 stale_key, VMB_KEY_TX, 0};
	const uint32_t peers[] = {honest.handle, liar.handle, 0,
				  honest.handle ^ 0x10000};
	struct vmb_slot_rdma what;
	struct vmb_slot_ext ext;
	struct outcome want;
	struct vmb_slot slot, event, other;
	unsigned at_liar, at_honest;

	memcpy(&slot, record + 4, sizeof(slot));
	memcpy(&ext, record + 4 + sizeof(slot), sizeof(ext));
	if (record[0] & 1)
		slot.op = 1 + (record[0] >> 1) % 4;
	if (record[1] & 1)
		slot.peer = peers[(record[1] >> 1) % 4];
	memcpy(&what, slot.payload, sizeof(what));
	if (record[2] & 1)
		what.local_key = keys[(record[2] >> 1) % 6];
	if (record[3] & 1)
		what.remote_key = keys[(record[3] >> 1) % 6];
	memcpy(slot.payload, &what, sizeof(what));

	want = model(&slot, &ext);
	if (slot.flags & VMB_F_PAIR)
		vmb_ring_commit_pair(&liar.doorbell, &slot, &ext);
	else
		vmb_ring_commit(&liar.doorbell, &slot);
	settle();
	at_liar = take(&liar, &event);
	at_honest = take(&honest, at_liar ? &other : &event);
	if (want.kind == FAULT)
		at_honest = hear_of_fault(&other, at_honest);
	compare(&want, &event, at_liar, at_honest);
	met |= want.kind == ARRIVE && slot.peer == honest.handle;
	if (want.kind == FAULT) {
		vmb_nic_endpoint_remove(nic, liar.ep, false);
		settle();
		check(!take(&honest, &event), "told twice of one end");
		side_open(&liar);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!nic)
		start();
	for (; size >= RECORD; data += RECORD, size -= RECORD)
		one(data);
	return 0;
}
