/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mx.h - what the files of lib/mx share: the endpoint, and how failures are
 * told.
 *
 * Flow:  application -> mx_*() -> check, translate -> vmb_*()
 * Owns:  the table of MX endpoints, the error handlers. Everything else is
 *        vmb's: a request is a struct vmb_req, an address a struct vmb_addr.
 * Trust: arguments are input. A handle is checked by its place in the table, a
 *        request and an address by vmb.
 *
 * libmyriexpress is an application of libvmbypass: public headers only.
 */
#ifndef VMB_MX_MX_H
#define VMB_MX_MX_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mx/mx_extensions.h>
#include <vmbypass/vmb.h>

#define mx_likely(x) __builtin_expect(!!(x), 1)
#define mx_unlikely(x) __builtin_expect(!!(x), 0)

/* ---- endpoints (endpoint.c) ---------------------------------------------- */

#define MX_ENDPOINTS 65536u /* no fewer than a process can open */
#define MX_ID_MAX 65535u
#define MX_BOARD 0u /* the only one that a process sees */

struct mx_endpoint {
	struct vmb_endpoint *ep;    /* NULL: not open */
	mx_error_handler_t handler; /* NULL: the global one */
	uint64_t context_mask;	    /* bits of the context id */
	bool used;		    /* protected by the table's mutex */
	pthread_mutex_t mutex;	    /* protects the rest */
	mx_unexp_handler_t unexpected;
	mx_matching_callback_t callback; /* its deprecated form */
	void *unexpected_context;
} __attribute__((aligned(128)));
_Static_assert(!(sizeof(struct mx_endpoint) & (sizeof(struct mx_endpoint) - 1)),
	       "mx_is_place() shifts");

/* In the zero pages of the process: what is not used takes no memory. */
extern struct mx_endpoint mx_endpoints[MX_ENDPOINTS];

/* Is it a pointer to a place of the table? Safe for any value. */
static inline bool mx_is_place(const struct mx_endpoint *e)
{
	size_t at = (uintptr_t)e - (uintptr_t)mx_endpoints;
	unsigned shift = (unsigned)__builtin_ctzl(sizeof(*e));

	/* turned right: what is no multiple gets high bits */
	return (at >> shift | at << (64 - shift)) < MX_ENDPOINTS;
}

/* The endpoint beneath; NULL when e is not open, which vmb refuses. */
static inline struct vmb_endpoint *mx_beneath(struct mx_endpoint *e)
{
	if (mx_unlikely(!mx_is_place(e)))
		return NULL;
	return __atomic_load_n(&e->ep, __ATOMIC_ACQUIRE);
}

/* How many places from the first were ever used. */
unsigned mx_endpoint_places(void);
/* Close all, in the process that opened them. */
void mx_endpoint_close_all(void);
/* They were open in the process that forked us. */
void mx_endpoint_drop_all(void);
/* Bytes up to which mx_isend() does not wait for the receiver. */
uint32_t mx_eager_bytes(void);
/* The endpoint that gave an address, or NULL. */
struct vmb_endpoint *mx_endpoint_of(mx_endpoint_addr_t addr);
/* Does the calling thread run a handler of the application? */
bool mx_in_handler(void);

/* ---- the library (library.c) ----------------------------------------------- */

/* Between mx_init() and mx_finalize(), and in the process that called it. */
bool mx_is_initialized(void);

/* ---- failures (error.c) ------------------------------------------------------ */

/*
 * Tell the handler in force: the endpoint's, when e is one, else the global
 * one. reason NULL: what the code means. Returns what the handler returned.
 */
mx_return_t mx_fail(struct mx_endpoint *e, const char *call, mx_return_t code,
		    const char *reason);
/* The same, where it may be no endpoint's yet. own NULL: the global one. */
mx_return_t mx_fail_to(mx_error_handler_t own, const char *call,
		       mx_return_t code, const char *reason);
/*
 * The same for a failed vmb call. invalid: what -EINVAL means when the endpoint
 * is open.
 */
mx_return_t mx_fail_vmb(struct mx_endpoint *e, const char *call, int rc,
			mx_return_t invalid);
/* A call without an endpoint: with or without the library. */
mx_return_t mx_fail_plain(const char *call, int rc, mx_return_t invalid);

/* vmb_open() has failed. */
mx_return_t mx_fail_open(mx_error_handler_t own, int rc);

/* A request has ended with an error: tell the handler, see myriexpress.h. */
mx_status_code_t mx_fail_request(struct mx_endpoint *e, const char *call,
				 int code);

/* Names of codes, as in the headers: "MX_TIMEOUT". */
const char *mx_code_name(mx_return_t code);
const char *mx_status_name(mx_status_code_t code);

/* ---- spelling ------------------------------------------------------------------ */

_Static_assert(sizeof(mx_endpoint_addr_t) == sizeof(struct vmb_addr),
	       "an address is an address");

static inline struct vmb_addr mx_addr_to_vmb(mx_endpoint_addr_t addr)
{
	return (struct vmb_addr){{addr.stuff[0], addr.stuff[1]}};
}

static inline mx_endpoint_addr_t mx_addr_from_vmb(struct vmb_addr addr)
{
	return (mx_endpoint_addr_t){{addr.opaque[0], addr.opaque[1]}};
}

static inline struct vmb_req *mx_request_to_vmb(mx_request_t request)
{
	return (struct vmb_req *)(void *)request;
}

/* Where vmb is to put a request, or to take one from. */
static inline struct vmb_req **mx_request_place(mx_request_t *request)
{
	return (struct vmb_req **)(void *)request;
}

static inline mx_request_t mx_request_from_vmb(struct vmb_req *req)
{
	return (mx_request_t)(void *)req;
}

/* What vmb calls a time limit. */
static inline int mx_timeout(uint32_t milli_seconds)
{
	if (milli_seconds == MX_INFINITE)
		return VMB_INFINITE;
	return milli_seconds > INT32_MAX ? INT32_MAX : (int)milli_seconds;
}

#endif
