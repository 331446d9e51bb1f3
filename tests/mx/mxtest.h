/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mxtest.h - what a conformance test of libmyriexpress has at hand. The program
 * is written to MX alone.
 *
 *   mx_conform far ID            serves: a fresh process for each test
 *   mx_conform near NAME/ID      runs the tests against it
 *
 * The two may be processes of one machine or of two: nothing but MX is between
 * them. A test that needs a partner has a far half of the same name, which the
 * near half starts. The far half ends with a verdict, or, where the test says
 * so, without one.
 *
 * Flow:  near: begin() -> START -> far half -> VERDICT -> end()
 * Owns:  match bits with bit 63 set: messages of the two halves to each other.
 * Trust: a far half that fails says where; one that is silent fails the test.
 */
#ifndef TESTS_MX_MXTEST_H
#define TESTS_MX_MXTEST_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mx_extensions.h"

#define T_MS 30000 /* longer than anything takes: a time-out fails the test */
#define T_CONTROL (UINT64_C(1) << 63)

/* One half, its endpoint, and the address of the other half. */
struct peer {
	mx_endpoint_t ep;
	mx_endpoint_addr_t to;
	bool far;
};

/* ---- checks, in both halves --------------------------------------------------- */

/* Fails the test: in the far half by a verdict. Does not return. */
void t_fail(const char *file, int line, const char *format, ...)
	__attribute__((noreturn, format(printf, 3, 4)));

#define T_CHECK(condition)                                         \
	do {                                                       \
		if (!(condition))                                  \
			t_fail(__FILE__, __LINE__, "%s is not so", \
			       #condition);                        \
	} while (0)

#define T_EQ(a, b)                                                            \
	do {                                                                  \
		long long t_a = (long long)(a), t_b = (long long)(b);         \
                                                                              \
		if (t_a != t_b)                                               \
			t_fail(__FILE__, __LINE__, "%s is %lld and not %lld", \
			       #a, t_a, t_b);                                 \
	} while (0)

#define T_OK(call) T_EQ(call, MX_SUCCESS)
#define T_FAILS(call, code) T_EQ(call, code)

/* ---- near ---------------------------------------------------------------------- */

extern const char *t_far_name; /* host:board of the far half */
extern uint32_t t_far_id;      /* of its endpoint */

/* Without a partner: mx_init(), errors return. */
void t_attach(void);
void t_detach(void);
mx_endpoint_t t_open(void);
uint64_t t_own_nic(void);
uint64_t t_far_nic(void);
uint32_t t_id(mx_endpoint_t ep);
/* The address of another endpoint of this process. */
mx_endpoint_addr_t t_connect(mx_endpoint_t from, mx_endpoint_t to);

/* Attach, open, connect, start the far half of this test. */
struct peer t_begin(const char *test);
/* Wait for its verdict, close, detach. */
void t_end(struct peer *p);
/* Instead: the far half ends without one. Closes, detaches. */
void t_end_silent(struct peer *p);

/* ---- far ----------------------------------------------------------------------- */

struct far_half {
	const char *test;
	void (*run)(struct peer *p);
};

/* Each file of tests has a table, ended by {NULL}. */
extern const struct far_half t_checklist_1_10_far[], t_checklist_11_19_far[],
	t_status_far[], t_message_far[], t_request_far[], t_handler_far[],
	t_peer_far[], t_thread_far[];

/* Serve until killed, or until the near side says stop. */
int t_far_main(uint32_t id);

/* ---- both ---------------------------------------------------------------------- */

/* Both halves are here now. Only control messages are sent. */
void t_sync(struct peer *p);
/* One piece; results are checked. */
mx_request_t t_isend(struct peer *p, uint64_t match, const void *buf,
		     size_t len);
mx_request_t t_issend(struct peer *p, uint64_t match, const void *buf,
		      size_t len);
mx_request_t t_irecv(struct peer *p, uint64_t match, void *buf, size_t len);
/* Wait; it must end in time. */
mx_status_t t_finish(struct peer *p, mx_request_t request);
/* ... and with success. */
mx_status_t t_finish_well(struct peer *p, mx_request_t request);
/* Send or receive one message of that pattern, checked. */
void t_put(struct peer *p, uint64_t match, size_t len);
void t_take(struct peer *p, uint64_t match, size_t len);
/* Wait until a message that fits is unexpected. */
mx_status_t t_probe(struct peer *p, uint64_t match);

/* Bytes that depend on their place and on seed. */
void t_fill(void *buf, size_t len, unsigned seed);
void t_verify(const void *buf, size_t len, unsigned seed);
void *t_alloc(size_t len);

double t_seconds(void);
/*
 * How many times slower than usual this machine is: libcheck's variable
 * CK_TIMEOUT_MULTIPLIER, the same for both halves. 1 or more.
 */
double t_slowness(void);
/* Without any call into MX. */
void t_compute(double seconds);

/* ---- suites ---------------------------------------------------------------------- */

TCase *t_case(Suite *suite, const char *name);

Suite *t_checklist_suite(void);
void t_checklist_add_11_19(TCase *tc); /* its second file */
Suite *t_codes_suite(void);
Suite *t_argument_suite(void);
Suite *t_status_suite(void);
Suite *t_error_suite(void);
Suite *t_message_suite(void);
Suite *t_request_suite(void);
Suite *t_handler_suite(void);
Suite *t_peer_suite(void);
Suite *t_thread_suite(void);

#endif
