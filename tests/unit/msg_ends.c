// SPDX-License-Identifier: BSD-2-Clause
/*
 * msg_ends.c - endpoints with matched messages over a stepped engine.
 *
 * Flow:  test -> [here] -> lib/msg, lib/am, tests/support/inproc.c
 * Owns:  the open ends, the buffers of a test.
 * Trust: what arrives is compared byte by byte.
 */
#include <stdlib.h>
#include <string.h>

#include "unit/msg_ends.h"

#define BLANK 0xee

struct buffer {
	struct buffer *next;
	size_t len;
	uint8_t bytes[];
};

static struct m_end ends[M_ENDS];
static struct buffer *buffers;

/* ---- buffers ---------------------------------------------------------------- */

static uint8_t *new_buffer(size_t len)
{
	struct buffer *b = malloc(sizeof(*b) + len + 2 * M_GUARD);

	memset(b->bytes, BLANK, len + 2 * M_GUARD);
	b->len = len;
	b->next = buffers;
	buffers = b;
	return b->bytes + M_GUARD;
}

uint8_t *m_blank(size_t len)
{
	return new_buffer(len);
}

static uint8_t byte_of(unsigned number, size_t i)
{
	/* pieces are powers of two: each differs from all others */
	return (uint8_t)(number * 37u + i * 11u + (i >> 8) + (i >> 16) * 13u);
}

void m_fill(uint8_t *buf, size_t len, unsigned number)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = byte_of(number, i);
}

uint8_t *m_payload(size_t len, unsigned number)
{
	uint8_t *buf = new_buffer(len);

	m_fill(buf, len, number);
	return buf;
}

uint8_t *m_alloc(struct m_end *e, size_t len)
{
	void *addr;

	ck_assert_int_eq(vmb_regcache_alloc(e->cache, len, &addr), 0);
	return addr;
}

void m_check(const uint8_t *buf, size_t len, size_t taken, unsigned number)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t expected = i < taken ? byte_of(number, i) : BLANK;

		if (buf[i] != expected)
			ck_abort_msg("message %u: byte %zu of %zu is %u",
				     number, i, len, buf[i]);
	}
}

static void free_buffers(void)
{
	while (buffers) {
		struct buffer *b = buffers;

		for (size_t i = 0; i < M_GUARD; i++)
			if (b->bytes[i] != BLANK ||
			    b->bytes[M_GUARD + b->len + i] != BLANK)
				ck_abort_msg("written beside a buffer of %zu",
					     b->len);
		buffers = b->next;
		free(b);
	}
}

/* ---- ends ---------------------------------------------------------------------- */

static void on_completed(void *arg)
{
	((struct m_end *)arg)->completed++;
}

static void on_enter(void *arg)
{
	ck_assert_uint_eq(((struct m_end *)arg)->locked--, 1);
}

static void on_leave(void *arg)
{
	ck_assert_uint_eq(((struct m_end *)arg)->locked++, 0);
}

/* As api does it: msg is opened after am. */
static void on_undelivered(struct vmb_am *am, const struct vmb_am_arrival *a,
			   unsigned id, int code, void *arg)
{
	struct m_end *e = arg;

	if (e->msg)
		vmb_msg_undelivered(am, a, id, code, e->msg);
}

static void on_gone(struct vmb_am *am, struct vmb_peer *peer, void *arg)
{
	struct m_end *e = arg;

	if (e->msg)
		vmb_msg_peer_gone(am, peer, e->msg);
}

static void on_raw(struct vmb_am *am, const struct vmb_am_arrival *a, void *arg)
{
	struct m_end *e = vmb_container_of(am, struct m_end, am);

	e->heard[(unsigned *)arg - e->heard]++;
	e->last_hdr = a->hdr;
	memcpy(e->last, a->data, vmb_min(a->len, sizeof(e->last)));
}

static void open_msg(struct m_end *e, const struct m_options *o)
{
	struct vmb_msg_config config = {
		.am = &e->am,
		.regcache = e->cache,
		.unexpected_max =
			o->unexpected_max ? o->unexpected_max : 64u << 20,
		.eager_max = M_EAGER_MAX,
		.lane_eager_max = M_EAGER_MAX,
		.completed = on_completed,
		.handler_enter = on_enter,
		.handler_leave = on_leave,
		.arg = e,
		.endpoint_number = (uint32_t)(e - ends) + 1,
	};

	ck_assert_int_eq(vmb_msg_open(&config, &e->msg), 0);
}

struct m_end *m_open(const struct m_options *options)
{
	struct m_options o = options ? *options : (struct m_options){0};
	struct vmb_geometry g = {
		.eq_slots = o.eq_slots ? o.eq_slots : VMB_EQ_SLOTS_DEFAULT,
		.rx_bytes = VMB_RX_BYTES_DEFAULT,
		.tx_bytes = VMB_TX_BYTES_DEFAULT,
	};
	struct m_end *e = ends;

	while (e->port)
		ck_assert(++e < ends + M_ENDS);
	memset(e, 0, sizeof(*e));
	e->locked = 1;
	ck_assert_int_eq(t_port_inproc.open(NULL, NULL, &e->port), 0);
	ck_assert_int_eq(vmb_am_init(&e->am, e->port, VMB_ID_ANY, M_KEY, &g,
				     on_undelivered, on_gone, e),
			 0);
	if (o.lanes)
		vmb_am_set_lanes(&e->am, M_ENDS, 1);
	ck_assert_int_eq(vmb_regcache_open(e->port, 64, &e->cache), 0);
	if (!o.raw)
		open_msg(e, &o);
	for (unsigned i = 0; o.raw && i < VMB_AM_ID_COUNT; i++)
		vmb_am_bind(&e->am, i, on_raw, &e->heard[i]);
	return e;
}

void m_close(struct m_end *e)
{
	vmb_msg_close(e->msg);
	vmb_am_fini(&e->am, 0);
	vmb_regcache_close(e->cache);
	e->port->ops->close(e->port);
	e->port = NULL;
}

void m_setup(void)
{
	struct vmb_nic_config config = {.endpoints_max = 64, .spin_us = 20};

	t_nic_start(&config);
}

void m_teardown(void)
{
	for (unsigned i = 0; i < M_ENDS; i++)
		if (ends[i].port)
			m_close(&ends[i]);
	ck_assert_uint_eq(t_port_regions(), 0);
	ck_assert_uint_eq(t_port_maps(), 0);
	t_nic_stop();
	free_buffers();
}

struct vmb_peer *m_peer(struct m_end *e, const struct m_end *to)
{
	struct vmb_peer *peer;
	uint32_t handle, session;

	ck_assert_int_eq(e->port->ops->connect(e->port, T_NIC_ID, to->am.pep.id,
					       M_KEY, -1, &handle, &session),
			 0);
	peer = vmb_am_peer(&e->am, handle);
	ck_assert_ptr_nonnull(peer);
	return peer;
}

/* Until it finds nothing to do; cold endpoints are looked at in turn. */
static void engine_works(void)
{
	for (unsigned fruitless = 0; fruitless < 2 * M_ENDS;)
		fruitless = t_nic_breathe() ? 0 : fruitless + 1;
}

static int step(void)
{
	int work = 0;

	engine_works();
	for (unsigned i = 0; i < M_ENDS; i++) {
		int n = 0;

		if (ends[i].port && ends[i].msg)
			n = vmb_msg_progress(ends[i].msg);
		else if (ends[i].port)
			n = vmb_am_poll(&ends[i].am, 64);
		ck_assert(!ends[i].port || ends[i].locked == 1);
		work += n > 0 ? n : 0;
	}
	return work;
}

void m_turn(void)
{
	step();
}

void m_settle(void)
{
	for (int idle = 0; idle < 4;)
		idle = step() ? 0 : idle + 1;
}

/* ---- messages --------------------------------------------------------------------- */

struct vmb_req *m_send(struct m_end *e, const struct m_end *to, void *buf,
		       size_t len, uint64_t match, bool synchronous)
{
	struct vmb_segment s = {buf, len};
	struct vmb_req *req;

	ck_assert_int_eq(vmb_msg_isend(e->msg, &s, 1, len, m_peer(e, to), match,
				       synchronous, buf, &req),
			 0);
	ck_assert(vmb_msg_owns(e->msg, req));
	return req;
}

struct vmb_req *m_recv(struct m_end *e, void *buf, size_t len, uint64_t match,
		       uint64_t mask)
{
	struct vmb_segment s = {buf, len};
	struct vmb_req *req;

	ck_assert_int_eq(
		vmb_msg_irecv(e->msg, &s, 1, len, match, mask, buf, &req), 0);
	ck_assert(vmb_msg_owns(e->msg, req));
	return req;
}

struct vmb_status m_wait(struct m_end *e, struct vmb_req *req)
{
	struct vmb_status status;

	m_until(vmb_msg_collect(e->msg, req, &status) > 0);
	ck_assert(!vmb_msg_owns(e->msg, req));
	return status;
}

void m_expect(struct m_end *e, struct vmb_req *req, int code, uint64_t msg_len,
	      uint64_t xfer_len)
{
	struct vmb_status status = m_wait(e, req);

	ck_assert_int_eq(status.code, code);
	ck_assert_uint_eq(status.msg_len, msg_len);
	ck_assert_uint_eq(status.xfer_len, xfer_len);
}

bool m_has_ended(struct m_end *e, struct vmb_req *req)
{
	struct vmb_req *first = vmb_msg_first_done(e->msg, 0, 0);

	/* tests that ask have one request of interest that ended first */
	return first == req;
}

struct vmb_msg_counters m_count(struct m_end *e)
{
	struct vmb_msg_counters counters;

	vmb_msg_query(e->msg, &counters);
	return counters;
}
