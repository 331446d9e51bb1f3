/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform.h - one suite for every port: what vmb.h and vmb_am.h promise.
 *
 * Flow:  conform PORT -> for each test: start the port, vmb_init(), test,
 *        vmb_finalize(), stop the port
 * Owns:  the port that the test runs over.
 * Trust: a helper that cannot do its part fails the test.
 */
#ifndef TESTS_CONFORM_CONFORM_H
#define TESTS_CONFORM_CONFORM_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmbypass/vmb.h>
#include <vmbypass/vmb_am.h>

/* ---- ports (ports.c) ------------------------------------------------------ */

/* A way to an engine. start and stop are called in the process of the test. */
struct t_port {
	const char *name;
	void (*start)(void); /* then vmb_init() finds it */
	void (*stop)(void);
	/* the daemon dies without a word; start() begins another */
	void (*kill)(void);
	/* connects get no answer until told otherwise; NULL: cannot */
	void (*hold_connects)(bool hold);
	bool processes; /* other processes can attach */
};

extern const struct t_port *t_port;

/* NULL: no port of that name. */
const struct t_port *t_port_named(const char *name);
void t_port_list(void);
/* Where it makes none, the engine carries everything. */
bool t_port_makes_lanes(void);

/* ---- fixtures and helpers (help.c) ------------------------------------------ */

void t_attach(void); /* start the port, vmb_init() */
void t_detach(void);

#define T_MS 20000 /* longer than anything takes: a time-out fails the test */

/* Two endpoints of this process that know each other. */
struct t_pair {
	struct vmb_endpoint *a, *b;
	struct vmb_addr to_a, to_b; /* b's name for a; a's name for b */
};

struct vmb_endpoint *t_open(const struct vmb_open_params *params);
struct t_pair t_pair_open(void);
struct t_pair t_pair_open_with(const struct vmb_open_params *params);
void t_pair_close(struct t_pair *pair);
struct vmb_addr t_connect(struct vmb_endpoint *from, struct vmb_endpoint *to);
uint32_t t_id(struct vmb_endpoint *ep);
uint64_t t_nic_id(void);
/* The same of an endpoint, which may be elsewhere: see far.h. */
uint64_t t_nic_of(struct vmb_endpoint *ep);

/* One segment; results are checked. */
struct vmb_req *t_isend(struct vmb_endpoint *ep, struct vmb_addr to,
			uint64_t match, const void *buf, size_t len);
struct vmb_req *t_irecv(struct vmb_endpoint *ep, uint64_t match, uint64_t mask,
			void *buf, size_t len);
/* Wait; it must end in time. */
struct vmb_status t_finish(struct vmb_endpoint *ep, struct vmb_req *req);
/* The same with progress of both ends, for one thread that plays both. */
struct vmb_status t_finish_pair(struct t_pair *pair, struct vmb_endpoint *ep,
				struct vmb_req *req);
/* Send and receive len bytes from a to b within one thread, checked. */
void t_exchange(struct t_pair *pair, uint64_t match, size_t len);
/* The same between given memory, of len and len + 1 bytes. */
void t_exchange_in(struct t_pair *pair, uint64_t match, unsigned char *out,
		   unsigned char *in, size_t len);
/* The same often enough for a lane, where the port makes them. */
void t_exchange_until_lane(struct t_pair *pair);
/*
 * Progress of both until the engine has done all that ep had posted; ep is not
 * held.
 */
void t_flush(struct t_pair *pair, struct vmb_endpoint *ep);
/* The same again and again for both: nothing else will arrive. */
void t_settle(struct t_pair *pair);

#define T_LARGE (1u << 20) /* bytes of a message that needs a rendezvous */

/*
 * Zeroed pages until the test ends. For what is large: a leak detector reads all
 * static arrays of the program at the end of every test.
 */
void *t_pages(size_t len);

/* Bytes that depend on their place and on seed. */
void t_fill(void *buf, size_t len, unsigned seed);
void t_verify(const void *buf, size_t len, unsigned seed);

/* A transfer or an offer, as its done is told: t_note_end(). */
struct t_ended {
	unsigned count;
	int code;
	uint64_t moved;
};

void t_note_end(struct vmb_endpoint *ep, int code, uint64_t moved,
		void *context);
struct vmb_counters t_counters(struct vmb_endpoint *ep);
bool t_addr_equal(struct vmb_addr a, struct vmb_addr b);
double t_seconds(void);

#define t_ok(call) ck_assert_int_eq((call), 0)
#define t_fails(call, code) ck_assert_int_eq((call), (code))

/* ---- suites ------------------------------------------------------------------ */

TCase *t_case(Suite *suite, const char *name);
/* Of tests that need both ends in this process: not run between two. */
TCase *t_case_here(Suite *suite, const char *name);

Suite *t_lane_suite(void);
Suite *t_library_suite(void);
Suite *t_endpoint_suite(void);
Suite *t_connect_suite(void);
Suite *t_messages_suite(void);
Suite *t_requests_suite(void);
Suite *t_unexpected_suite(void);
Suite *t_wait_suite(void);
Suite *t_threads_suite(void);
Suite *t_background_suite(void);
Suite *t_memory_suite(void);
Suite *t_am_suite(void);
Suite *t_offer_suite(void);
Suite *t_process_suite(void);

#endif
