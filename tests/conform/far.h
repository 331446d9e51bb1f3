/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * far.h - the suite between two processes, guests or machines: every second
 * endpoint of a test is opened, and used, in another process.
 *
 * Flow:  test -> vmb_isend(b) -> near.c -> TCP -> far.c -> vmb_isend()
 *        a handler of b <- near.c <- TCP <- far.c <- vmb calls it
 * Owns:  nothing; shapes only.
 * Trust: both halves are the same program of the same build.
 *
 * The tests do not know: near.c stands in for the calls on such an endpoint
 * (the linker's --wrap) and carries out what they do to memory. Two things do
 * not cross: memory that is looked at before its request was completed, and
 * registered memory. Cases that need them are of one process (t_case_here()).
 */
#ifndef TESTS_CONFORM_FAR_H
#define TESTS_CONFORM_FAR_H

#include <stdint.h>

#include <vmbypass/vmb.h>
#include <vmbypass/vmb_am.h>

enum far_kind {
	FAR_CALL,    /* near -> far */
	FAR_RETURN,  /* far -> near */
	FAR_HANDLER, /* far -> near, in the course of a call */
	FAR_HANDLED, /* near -> far */
};

enum far_call {
	FAR_OPEN,
	FAR_CLOSE,
	FAR_SELF,
	FAR_CONNECT,
	FAR_ICONNECT,
	FAR_DISCONNECT,
	FAR_ADDR_QUERY,
	FAR_ADDR_SET_CONTEXT,
	FAR_ADDR_GET_CONTEXT,
	FAR_ADDR_ENDPOINT,
	FAR_PROGRESS,
	FAR_HOLD,
	FAR_WAKEUP,
	FAR_QUERY_COUNTERS,
	FAR_ISEND,
	FAR_ISSEND,
	FAR_IRECV,
	FAR_ICOMPLETE,
	FAR_TEST,
	FAR_WAIT,
	FAR_TEST_ANY,
	FAR_WAIT_ANY,
	FAR_IPROBE,
	FAR_PROBE,
	FAR_PEEK,
	FAR_CANCEL,
	FAR_FORGET,
	FAR_IBUFFERED,
	FAR_REQ_CONTEXT,
	FAR_SET_TIMEOUT,
	FAR_SET_HANDLER,
	FAR_AM_REGISTER,
	FAR_AM_SEND,
	FAR_AM_MAX,
	FAR_AM_FENCE,
	FAR_CALLS,
	/* handlers */
	FAR_UNEXPECTED,
	FAR_AM,
	FAR_DONE,
};

#define FAR_WORDS 10

/*
 * A call and what it returns. w: arguments, w[0] the endpoint; then results.
 * Pointers of the near half travel as numbers and come back as they were.
 */
struct far_frame {
	uint32_t kind, call;
	int32_t rc;
	uint32_t bytes; /* of payload behind it */
	uint64_t w[FAR_WORDS];
};

/* ---- both halves (frame.c) -------------------------------------------------- */

struct far_payload {
	char *bytes; /* malloc */
	size_t len;
};

/* The process ends when the other half is gone. */
void far_send(int fd, struct far_frame *frame, const void *payload, size_t len);
/* payload->bytes is replaced. */
void far_receive(int fd, struct far_frame *frame, struct far_payload *payload);

/* ---- near.c ------------------------------------------------------------------- */

/* Where the other half is, HOST:PORT; NULL: there is none. */
extern const char *far_where;

/* Meet it, for one test; open an endpoint there if more are open here. */
void far_attach(void);
void far_detach(void);
int far_open(const struct vmb_open_params *params, struct vmb_endpoint **ep);

/* ---- far.c -------------------------------------------------------------------- */

/* Serve one process after the other, each in a child: does not return. */
int far_serve(const char *port);

#endif
