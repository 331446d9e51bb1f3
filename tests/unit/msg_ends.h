/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * msg_ends.h - endpoints with matched messages, over an engine that the test
 * steps, so that every run takes the same way.
 *
 * Flow:  test -> m_send(), m_recv() -> lib/msg -> lib/am -> engine
 * Owns:  up to M_ENDS open endpoints.
 * Trust: payloads are made from a number and compared byte by byte.
 */
#ifndef TESTS_UNIT_MSG_ENDS_H
#define TESTS_UNIT_MSG_ENDS_H

#include <check.h>

#include "am/regcache.h"
#include "msg/msg.h"
#include "support/inproc.h"

#define M_ENDS 4
#define M_KEY 42u /* of each end */
#define M_EAGER_MAX 16384u
#define M_GUARD 64u /* bytes around a buffer that nobody may touch */

struct m_end {
	struct vmb_port *port;
	struct vmb_regcache *cache;
	struct vmb_am am;
	struct vmb_msg *msg; /* NULL: speaks raw active messages */
	unsigned completed, locked;
	unsigned heard[VMB_AM_ID_COUNT]; /* raw: arrivals by id */
	uint64_t last_hdr;
	uint8_t last[64]; /* raw: begin of the last payload */
};

struct m_options {
	uint64_t unexpected_max; /* 0: 64 MiB */
	uint32_t eq_slots;	 /* 0: 1024 */
	bool raw;
	bool lanes; /* and what is longer than eager goes direct, if it can */
};

/* tcase fixtures */
void m_setup(void);
void m_teardown(void); /* closes what is open, checks that nothing leaked */

struct m_end *m_open(const struct m_options *options);
void m_close(struct m_end *e);
struct vmb_peer *m_peer(struct m_end *e, const struct m_end *to);

/* The engine, then every end: one step. */
void m_turn(void);
/* Until nothing moves any more. */
void m_settle(void);

struct vmb_req *m_send(struct m_end *e, const struct m_end *to, void *buf,
		       size_t len, uint64_t match, bool synchronous);
struct vmb_req *m_recv(struct m_end *e, void *buf, size_t len, uint64_t match,
		       uint64_t mask);
/* Turn until it has ended, collect it. */
struct vmb_status m_wait(struct m_end *e, struct vmb_req *req);
/* ... and it must have ended so. */
void m_expect(struct m_end *e, struct vmb_req *req, int code, uint64_t msg_len,
	      uint64_t xfer_len);
bool m_has_ended(struct m_end *e, struct vmb_req *req);
struct vmb_msg_counters m_count(struct m_end *e);

/* len bytes made from number; guards around them; freed by m_teardown(). */
uint8_t *m_payload(size_t len, unsigned number);
/* The same, but every byte is 0xee. */
uint8_t *m_blank(size_t len);
/* len bytes of vmb_alloc() memory, of an end, with which it goes. */
uint8_t *m_alloc(struct m_end *e, size_t len);
/* Fill with what m_payload() has. */
void m_fill(uint8_t *buf, size_t len, unsigned number);
/* First `taken` of len bytes are those of number, the others untouched. */
void m_check(const uint8_t *buf, size_t len, size_t taken, unsigned number);

#define m_until(expr)                                                     \
	do {                                                              \
		uint64_t m_stop = vmb_now_ns() + 20000000000ull;          \
                                                                          \
		while (!(expr)) {                                         \
			ck_assert_msg(vmb_now_ns() < m_stop, "never: %s", \
				      #expr);                             \
			m_turn();                                         \
		}                                                         \
	} while (0)

#endif
