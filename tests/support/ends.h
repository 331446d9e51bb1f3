/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ends.h - endpoints of lib/am that check all they receive: every payload is
 * made from its number and length, and numbers must come in order.
 *
 * Flow:  test -> t_end_post() -> lib/am -> engine -> lib/am -> checks
 * Owns:  a port and an endpoint per struct t_end.
 * Trust: nothing that arrives; a difference fails the test.
 */
#ifndef TESTS_SUPPORT_ENDS_H
#define TESTS_SUPPORT_ENDS_H

#include "am/am.h"
#include "support/inproc.h"

#define T_STREAMS 10u /* message ids that t_end_open() binds */

struct t_end {
	struct vmb_port *port;
	struct vmb_am am;
	uint32_t sent[T_STREAMS];	 /* numbers of the next posts */
	uint32_t received[T_STREAMS];	 /* and of the next arrivals */
	uint32_t undelivered[T_STREAMS]; /* came back for good */
	uint32_t last_undelivered[T_STREAMS];
	uint64_t bytes;
	unsigned gone, done; /* callbacks */
	struct vmb_peer *gone_peer;
	int code; /* of the last callback */
	uint64_t moved;
};

/* geometry NULL: the defaults. */
void t_end_open(struct t_end *e, const char *domain,
		const struct vmb_geometry *geometry);
/* Attach by a port of its own, whose ops are given. */
void t_end_open_on(struct t_end *e, const struct vmb_port_ops *ops,
		   const char *domain, const struct vmb_geometry *geometry);
void t_end_close(struct t_end *e, int linger_ms);

struct vmb_peer *t_end_peer(struct t_end *e, const struct t_end *to);

/*
 * Post the next message of a stream, of len bytes, in segments of unequal
 * size. Streams are ids 0..T_STREAMS-1; one sender each.
 */
int t_end_post(struct t_end *e, const struct t_end *to, unsigned stream,
	       size_t len, enum vmb_am_mode mode);

/* Counts in done, code, moved; arg is a struct t_end. */
void t_end_on_done(struct vmb_am *am, int code, uint64_t moved, void *arg);

/* Poll all of the ends (count of them) and step the engine, once. */
void t_ends_turn(struct t_end **ends, unsigned count);

/* Turn until expr is true; the test fails after 20 s. */
#define t_ends_until(expr, ...)                                           \
	do {                                                              \
		struct t_end *t_list[] = {__VA_ARGS__};                   \
		uint64_t t_stop = vmb_now_ns() + 20000000000ull;          \
                                                                          \
		while (!(expr)) {                                         \
			ck_assert_msg(vmb_now_ns() < t_stop, "never: %s", \
				      #expr);                             \
			t_ends_turn(t_list, vmb_array_size(t_list));      \
		}                                                         \
	} while (0)

#endif
