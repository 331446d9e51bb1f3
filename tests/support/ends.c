// SPDX-License-Identifier: BSD-2-Clause
/*
 * ends.c - endpoints of lib/am that check all they receive.
 *
 * Flow:  t_end_post(): number, length -> payload -> vmb_am_post()
 *        vmb_am_poll() -> on_arrival(): header -> payload again -> compare
 * Owns:  nothing beyond what struct t_end holds.
 * Trust: arrivals are compared byte by byte.
 */
#include <check.h>
#include <sched.h>
#include <string.h>

#include "support/ends.h"

/* Byte i of message number of a stream; streams differ, so do numbers. */
static uint8_t pattern(unsigned stream, uint32_t number, size_t i)
{
	return (uint8_t)(number * 7u + stream * 31u + i + (i >> 8) * 3u);
}

static void check_payload(const struct vmb_am_arrival *a, unsigned stream)
{
	const uint8_t *data = a->data;
	uint32_t number = vmb_low(a->hdr);

	ck_assert_uint_eq(a->len, vmb_high(a->hdr));
	if (a->len > VMB_INLINE_PAIR)
		ck_assert_uint_eq((uintptr_t)data % 16, 0);
	for (size_t i = 0; i < a->len; i++)
		if (data[i] != pattern(stream, number, i))
			ck_abort_msg("stream %u message %u: byte %zu of %zu",
				     stream, number, i, a->len);
}

static unsigned stream_of(struct t_end *e, void *arg)
{
	return (unsigned)((uint32_t *)arg - e->received);
}

static void on_arrival(struct vmb_am *am, const struct vmb_am_arrival *a,
		       void *arg)
{
	struct t_end *e = vmb_container_of(am, struct t_end, am);
	unsigned stream = stream_of(e, arg);

	ck_assert_uint_eq(vmb_low(a->hdr), e->received[stream]);
	e->received[stream]++;
	e->bytes += a->len;
	check_payload(a, stream);
	ck_assert_int_eq(vmb_am_poll(am, 1), 0); /* never inside a handler */
}

static void on_undelivered(struct vmb_am *am, const struct vmb_am_arrival *a,
			   unsigned id, int code, void *arg)
{
	struct t_end *e = arg;

	(void)am;
	ck_assert_uint_lt(id, T_STREAMS);
	check_payload(a, id);
	if (e->undelivered[id])
		ck_assert_uint_gt(vmb_low(a->hdr), e->last_undelivered[id]);
	e->last_undelivered[id] = vmb_low(a->hdr);
	e->undelivered[id]++;
	e->code = code;
}

static void on_gone(struct vmb_am *am, struct vmb_peer *peer, void *arg)
{
	struct t_end *e = arg;

	(void)am;
	ck_assert(peer->gone);
	e->gone_peer = peer;
	e->gone++;
}

void t_end_on_done(struct vmb_am *am, int code, uint64_t moved, void *arg)
{
	struct t_end *e = arg;

	(void)am;
	e->code = code;
	e->moved = moved;
	e->done++;
}

void t_end_open_on(struct t_end *e, const struct vmb_port_ops *ops,
		   const char *domain, const struct vmb_geometry *geometry)
{
	static const struct vmb_geometry defaults = {
		.eq_slots = VMB_EQ_SLOTS_DEFAULT,
		.rx_bytes = VMB_RX_BYTES_DEFAULT,
		.tx_bytes = VMB_TX_BYTES_DEFAULT,
	};

	memset(e, 0, sizeof(*e));
	ck_assert_int_eq(ops->open(NULL, domain, &e->port), 0);
	ck_assert_int_eq(vmb_am_init(&e->am, e->port, VMB_ID_ANY, 0,
				     geometry ? geometry : &defaults,
				     on_undelivered, on_gone, e),
			 0);
	for (unsigned i = 0; i < T_STREAMS; i++)
		vmb_am_bind(&e->am, i, on_arrival, &e->received[i]);
}

void t_end_open(struct t_end *e, const char *domain,
		const struct vmb_geometry *geometry)
{
	t_end_open_on(e, &t_port_inproc, domain, geometry);
}

void t_end_close(struct t_end *e, int linger_ms)
{
	vmb_am_fini(&e->am, linger_ms);
	e->port->ops->close(e->port);
	e->port = NULL;
}

struct vmb_peer *t_end_peer(struct t_end *e, const struct t_end *to)
{
	struct vmb_peer *peer = vmb_am_peer(&e->am, to->am.pep.handle);

	ck_assert_ptr_nonnull(peer);
	return peer;
}

int t_end_post(struct t_end *e, const struct t_end *to, unsigned stream,
	       size_t len, enum vmb_am_mode mode)
{
	static _Thread_local uint8_t memory[VMB_BUF_MAX + 64];
	uint32_t number = e->sent[stream];
	size_t first = number % 5, cut = (number * 13u) % (len + 1);
	struct vmb_segment segments[] = {
		{.ptr = memory, .len = first + cut},
		{.ptr = NULL, .len = 0},
		{.ptr = memory + first + cut, .len = len - cut},
	};
	int rc;

	ck_assert_uint_le(len, VMB_BUF_MAX);
	for (size_t i = 0; i < len; i++)
		memory[first + i] = pattern(stream, number, i);
	rc = vmb_am_post(&e->am, t_end_peer(e, to), stream,
			 vmb_pack(number, (uint32_t)len), segments,
			 cut == len ? 1 : 3, first, len, mode);
	if (!rc)
		e->sent[stream]++;
	return rc;
}

void t_ends_turn(struct t_end **ends, unsigned count)
{
	int taken = 0;

	t_nic_settle();
	for (unsigned i = 0; i < count; i++) {
		int rc = vmb_am_poll(&ends[i]->am, 16);

		ck_assert_int_ge(rc, 0);
		taken += rc;
	}
	if (!taken)
		sched_yield(); /* the engine's turn */
}
