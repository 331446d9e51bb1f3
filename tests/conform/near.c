// SPDX-License-Identifier: BSD-2-Clause
/*
 * near.c - stands in for the calls on endpoints of the other half; see far.h.
 *
 * Flow:  test -> __wrap_vmb_*() -> ours: __real_vmb_*(); theirs: a frame
 * Owns:  the connection of one test, the handles of far endpoints, and what
 *        is to be done to our memory when a request over there ends.
 * Trust: the other half.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conform/conform.h"
#include "conform/far.h"

const char *far_where;

static int line = -1;		       /* to the far half */
static unsigned open_here, open_there; /* endpoints of this test */
static unsigned in_handler;	       /* handlers that run for the far half */

/* ---- the other half ------------------------------------------------------------ */

void far_attach(void)
{
	struct addrinfo *at,
		want = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	char host[64];
	int yes = 1;

	if (!far_where)
		return;
	snprintf(host, sizeof(host), "%.*s", (int)strcspn(far_where, ":"),
		 far_where);
	ck_assert_int_eq(
		getaddrinfo(host, strchr(far_where, ':') + 1, &want, &at), 0);
	line = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_msg(!connect(line, at->ai_addr, at->ai_addrlen),
		      "no far half at %s: %s", far_where, strerror(errno));
	freeaddrinfo(at);
	setsockopt(line, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	open_here = open_there = 0;
}

void far_detach(void)
{
	if (line >= 0)
		close(line);
	line = -1;
}

/* ---- handles ---------------------------------------------------------------------- */

#define FAR_ENDPOINTS 64

/* What a test takes for the endpoint. */
static struct far_endpoint {
	uint64_t there; /* 0: free */
} endpoints[FAR_ENDPOINTS];

static bool is_far(const struct vmb_endpoint *ep)
{
	return (uintptr_t)ep - (uintptr_t)endpoints < sizeof(endpoints);
}

static struct vmb_endpoint *handle_of(uint64_t there)
{
	for (unsigned i = 0; i < FAR_ENDPOINTS; i++)
		if (endpoints[i].there == there)
			return (struct vmb_endpoint *)(void *)&endpoints[i];
	return NULL;
}

/* ---- calls ------------------------------------------------------------------------ */

static void run_handler(struct far_frame *f, const struct far_payload *in)
{
	struct vmb_endpoint *ep = handle_of(f->w[0]);
	void *context = (void *)(uintptr_t)f->w[2];
	struct vmb_addr source = {{f->w[3], f->w[4]}};
	struct vmb_am_msg msg = {source, f->w[5], in->bytes, in->len};

	in_handler++;
	if (f->call == FAR_UNEXPECTED)
		f->rc = (int)((vmb_unexpected_handler_t)(uintptr_t)f->w[1])(
			context, source, f->w[5], f->w[6],
			f->w[7] ? in->bytes : NULL);
	else if (f->call == FAR_AM)
		((vmb_am_handler_t)(uintptr_t)f->w[1])(ep, &msg, context);
	else
		((vmb_am_done_t)(uintptr_t)f->w[1])(ep, (int)f->w[3], f->w[4],
						    context);
	in_handler--;
	f->kind = FAR_HANDLED;
	far_send(line, f, NULL, 0);
}

/* One call, with the handlers that it makes run. *in is the caller's to free. */
static int call_with(struct vmb_endpoint *ep, enum far_call call,
		     struct far_frame *f, const void *bytes, size_t len,
		     struct far_payload *in)
{
	f->kind = FAR_CALL;
	f->call = call;
	if (ep)
		f->w[0] = ((struct far_endpoint *)(void *)ep)->there;
	far_send(line, f, bytes, len);
	for (;;) {
		far_receive(line, f, in);
		if (f->kind == FAR_RETURN)
			return f->rc;
		run_handler(f, in);
	}
}

static int call(struct vmb_endpoint *ep, enum far_call number,
		struct far_frame *f)
{
	struct far_payload in = {NULL, 0};
	int rc = call_with(ep, number, f, NULL, 0, &in);

	free(in.bytes);
	return rc;
}

/* ---- requests --------------------------------------------------------------------- */

/*
 * A request of theirs, as the tests here see it: an address over there that
 * could be that of a request here, so one bit says that it is not.
 */
#define FAR_REQUEST (1ULL << 63)

static struct vmb_req *request_of(uint64_t there)
{
	return there ? (struct vmb_req *)(uintptr_t)(there ^ FAR_REQUEST)
		     : NULL;
}

static uint64_t request_there(const struct vmb_req *req)
{
	return req ? (uintptr_t)req ^ FAR_REQUEST : 0;
}

/* What was posted there: its context here, and where its bytes go. */
struct posted {
	LIST_ENTRY(posted) others;
	void *context;
	unsigned count;
	struct vmb_segment segments[];
};

static LIST_HEAD(, posted) all_posted; /* a test may end before its requests */

static struct posted *note_posted(const struct vmb_segment *segments,
				  unsigned count, void *context)
{
	struct posted *p = malloc(sizeof(*p) + count * sizeof(*segments));

	p->context = context;
	p->count = count;
	if (count)
		memcpy(p->segments, segments, count * sizeof(*segments));
	LIST_INSERT_HEAD(&all_posted, p, others);
	return p;
}

static void forget_posted(struct posted *p)
{
	if (p)
		LIST_REMOVE(p, others);
	free(p);
}

/* The lengths, then the bytes if they are to be sent. */
static struct far_payload pack(const struct vmb_segment *segments,
			       unsigned count, bool bytes)
{
	struct far_payload out = {NULL, sizeof(uint64_t) * (1 + count)};
	uint64_t n = count;
	char *at;

	for (unsigned i = 0; bytes && i < count; i++)
		out.len += segments[i].len;
	at = out.bytes = malloc(out.len);
	memcpy(at, &n, sizeof(n));
	at += sizeof(n);
	for (unsigned i = 0; i < count; i++, at += sizeof(n)) {
		n = segments[i].len;
		memcpy(at, &n, sizeof(n));
	}
	for (unsigned i = 0; bytes && i < count; i++) {
		if (segments[i].len)
			memcpy(at, segments[i].ptr, segments[i].len);
		at += segments[i].len;
	}
	return out;
}

/* Words 1 to 3 are the call's own. */
static int post(struct vmb_endpoint *ep, enum far_call number,
		struct far_frame *f, const struct vmb_segment *segments,
		unsigned count, void *context, struct vmb_req **req)
{
	struct posted *p = note_posted(segments, count, context);
	struct far_payload out = pack(segments, count, number != FAR_IRECV);
	struct far_payload in = {NULL, 0};
	int rc;

	f->w[4] = (uintptr_t)p;
	f->w[5] = req != NULL;
	rc = call_with(ep, number, f, out.bytes, out.len, &in);
	if (!rc && req)
		*req = request_of(f->w[0]);
	if (rc)
		forget_posted(p);
	free(out.bytes);
	free(in.bytes);
	return rc;
}

static void scatter(const struct posted *p, const char *from, size_t len)
{
	for (unsigned i = 0; i < p->count && len; i++) {
		size_t n = p->segments[i].len < len ? p->segments[i].len : len;

		if (n)
			memcpy(p->segments[i].ptr, from, n);
		from += n;
		len -= n;
	}
}

/* A test, wait or probe: words 1 to 3 are the call's own. */
static int complete(struct vmb_endpoint *ep, enum far_call number,
		    struct far_frame *f, struct vmb_status *status, int *done)
{
	struct far_payload in = {NULL, 0};
	int rc = call_with(ep, number, f, NULL, 0, &in);
	struct posted *p = (struct posted *)(uintptr_t)f->w[1];
	struct vmb_status s;

	*done = (int)f->w[0];
	memcpy(&s, in.bytes, sizeof(s));
	s.context = p ? p->context : NULL;
	if (p)
		scatter(p, in.bytes + sizeof(s), in.len - sizeof(s));
	if (status && !rc && *done)
		*status = s;
	forget_posted(p);
	free(in.bytes);
	return rc;
}

static int complete_request(struct vmb_endpoint *ep, enum far_call number,
			    struct far_frame *f, struct vmb_req **req,
			    int timeout_ms, struct vmb_status *status,
			    int *done)
{
	int rc;

	f->w[1] = request_there(*req);
	f->w[3] = (uint64_t)timeout_ms;
	rc = complete(ep, number, f, status, done);

	if (!rc && *done)
		*req = NULL;
	return rc;
}

static int complete_match(struct vmb_endpoint *ep, enum far_call number,
			  struct far_frame *f, uint64_t match, uint64_t mask,
			  int timeout_ms, struct vmb_status *status, int *done)
{
	f->w[1] = match;
	f->w[2] = mask;
	f->w[3] = (uint64_t)timeout_ms;
	return complete(ep, number, f, status, done);
}

/* ---- the calls of vmb.h and vmb_am.h ----------------------------------------------- */

/* A stand-in: body for a far endpoint, the library for one of ours. */
#define STAND_IN(name, params, args, ...)          \
	int __real_##name params;                  \
	int __wrap_##name params;                  \
	int __wrap_##name params                   \
	{                                          \
		struct far_frame f = {0};          \
		int rc;                            \
                                                   \
		if (!is_far(ep))                   \
			return __real_##name args; \
		__VA_ARGS__                        \
		return rc;                         \
	}

#define SET(i, value) f.w[i] = (uint64_t)(value)
#define SET_ADDR(addr) (SET(1, (addr).opaque[0]), SET(2, (addr).opaque[1]))

void __real_vmb_finalize(void);
void __wrap_vmb_finalize(void);

/* Refused in a handler, also in one that runs for the far half. */
void __wrap_vmb_finalize(void)
{
	if (!in_handler)
		__real_vmb_finalize();
}

/* There if more are open here: so of a pair, and of who comes after. */
int far_open(const struct vmb_open_params *params, struct vmb_endpoint **ep)
{
	struct far_payload in = {NULL, 0};
	struct far_frame f = {0};
	int rc;

	/* threads of a test may open and close at once, in this half only */
	if (!far_where ||
	    __atomic_load_n(&open_here, __ATOMIC_RELAXED) <= open_there) {
		rc = vmb_open(params, ep);
		__atomic_add_fetch(&open_here, !rc, __ATOMIC_RELAXED);
		return rc;
	}
	rc = call_with(NULL, FAR_OPEN, &f, params, params ? params->size : 0,
		       &in);
	free(in.bytes);
	if (rc)
		return rc;
	*ep = handle_of(0);
	ck_assert_ptr_nonnull(*ep);
	((struct far_endpoint *)(void *)*ep)->there = f.w[0];
	open_there++;
	return 0;
}

int __real_vmb_close(struct vmb_endpoint *ep);
int __wrap_vmb_close(struct vmb_endpoint *ep);

int __wrap_vmb_close(struct vmb_endpoint *ep)
{
	struct far_frame f = {0};
	int rc;

	if (!is_far(ep)) {
		rc = __real_vmb_close(ep);
		if (!rc && __atomic_load_n(&open_here, __ATOMIC_RELAXED))
			__atomic_sub_fetch(&open_here, 1, __ATOMIC_RELAXED);
		return rc;
	}
	rc = call(ep, FAR_CLOSE, &f);
	if (!rc) {
		((struct far_endpoint *)(void *)ep)->there = 0;
		open_there--;
	}
	return rc;
}

STAND_IN(vmb_progress, (struct vmb_endpoint * ep), (ep),
	 { rc = call(ep, FAR_PROGRESS, &f); })

STAND_IN(vmb_hold, (struct vmb_endpoint * ep, int hold), (ep, hold), {
	SET(1, hold);
	rc = call(ep, FAR_HOLD, &f);
})

STAND_IN(vmb_wakeup, (struct vmb_endpoint * ep), (ep),
	 { rc = call(ep, FAR_WAKEUP, &f); })

STAND_IN(vmb_query_counters,
	 (struct vmb_endpoint * ep, struct vmb_counters *counters),
	 (ep, counters), {
		 struct far_payload in = {NULL, 0};

		 rc = call_with(ep, FAR_QUERY_COUNTERS, &f, counters,
				counters->size, &in);
		 memcpy(counters, in.bytes, in.len);
		 free(in.bytes);
	 })

/* ---- addresses ---------------------------------------------------------------------- */

STAND_IN(vmb_self, (struct vmb_endpoint * ep, struct vmb_addr *addr),
	 (ep, addr), {
		 rc = call(ep, FAR_SELF, &f);
		 *addr = (struct vmb_addr){{f.w[0], f.w[1]}};
	 })

STAND_IN(vmb_connect,
	 (struct vmb_endpoint * ep, uint64_t nic_id, uint32_t id, uint32_t key,
	  int timeout_ms, struct vmb_addr *addr),
	 (ep, nic_id, id, key, timeout_ms, addr), {
		 SET(1, nic_id);
		 SET(2, id);
		 SET(3, key);
		 SET(4, timeout_ms);
		 rc = call(ep, FAR_CONNECT, &f);
		 if (!rc)
			 *addr = (struct vmb_addr){{f.w[0], f.w[1]}};
	 })

STAND_IN(vmb_iconnect,
	 (struct vmb_endpoint * ep, uint64_t nic_id, uint32_t id, uint32_t key,
	  uint64_t match, void *context, struct vmb_req **req),
	 (ep, nic_id, id, key, match, context, req), {
		 SET(1, nic_id);
		 SET(2, id);
		 SET(3, key);
		 SET(4, match);
		 SET(5, (uintptr_t)note_posted(NULL, 0, context));
		 SET(6, req != NULL);
		 rc = call(ep, FAR_ICONNECT, &f);
		 if (!rc && req)
			 *req = request_of(f.w[0]);
	 })

STAND_IN(vmb_disconnect, (struct vmb_endpoint * ep, struct vmb_addr addr),
	 (ep, addr), {
		 SET_ADDR(addr);
		 rc = call(ep, FAR_DISCONNECT, &f);
	 })

STAND_IN(vmb_addr_query,
	 (struct vmb_endpoint * ep, struct vmb_addr addr, uint64_t *nic_id,
	  uint32_t *id, uint32_t *session),
	 (ep, addr, nic_id, id, session), {
		 SET_ADDR(addr);
		 rc = call(ep, FAR_ADDR_QUERY, &f);
		 if (!rc && nic_id)
			 *nic_id = f.w[0];
		 if (!rc && id)
			 *id = (uint32_t)f.w[1];
		 if (!rc && session)
			 *session = (uint32_t)f.w[2];
	 })

STAND_IN(vmb_addr_set_context,
	 (struct vmb_endpoint * ep, struct vmb_addr addr, void *context),
	 (ep, addr, context), {
		 SET_ADDR(addr);
		 SET(3, (uintptr_t)context);
		 rc = call(ep, FAR_ADDR_SET_CONTEXT, &f);
	 })

STAND_IN(vmb_addr_get_context,
	 (struct vmb_endpoint * ep, struct vmb_addr addr, void **context),
	 (ep, addr, context), {
		 SET_ADDR(addr);
		 rc = call(ep, FAR_ADDR_GET_CONTEXT, &f);
		 if (!rc)
			 *context = (void *)(uintptr_t)f.w[0];
	 })

int __real_vmb_addr_endpoint(struct vmb_addr addr, struct vmb_endpoint **ep);
int __wrap_vmb_addr_endpoint(struct vmb_addr addr, struct vmb_endpoint **ep);

/* It names no endpoint: one of ours, or else one of theirs. */
int __wrap_vmb_addr_endpoint(struct vmb_addr addr, struct vmb_endpoint **ep)
{
	int rc = __real_vmb_addr_endpoint(addr, ep);
	struct far_frame f = {0};

	if (rc != -EINVAL || line < 0 || !ep)
		return rc;
	SET_ADDR(addr);
	rc = call(NULL, FAR_ADDR_ENDPOINT, &f);
	if (!rc)
		*ep = handle_of(f.w[0]);
	return rc;
}

/* ---- messages ------------------------------------------------------------------------ */

STAND_IN(vmb_isend,
	 (struct vmb_endpoint * ep, const struct vmb_segment *segments,
	  unsigned count, struct vmb_addr dest, uint64_t match, void *context,
	  struct vmb_req **req),
	 (ep, segments, count, dest, match, context, req), {
		 SET_ADDR(dest);
		 SET(3, match);
		 rc = post(ep, FAR_ISEND, &f, segments, count, context, req);
	 })

STAND_IN(vmb_issend,
	 (struct vmb_endpoint * ep, const struct vmb_segment *segments,
	  unsigned count, struct vmb_addr dest, uint64_t match, void *context,
	  struct vmb_req **req),
	 (ep, segments, count, dest, match, context, req), {
		 SET_ADDR(dest);
		 SET(3, match);
		 rc = post(ep, FAR_ISSEND, &f, segments, count, context, req);
	 })

STAND_IN(vmb_irecv,
	 (struct vmb_endpoint * ep, const struct vmb_segment *segments,
	  unsigned count, uint64_t match, uint64_t mask, void *context,
	  struct vmb_req **req),
	 (ep, segments, count, match, mask, context, req), {
		 SET(1, match);
		 SET(2, mask);
		 rc = post(ep, FAR_IRECV, &f, segments, count, context, req);
	 })

STAND_IN(vmb_icomplete,
	 (struct vmb_endpoint * ep, int code, uint64_t match, void *context,
	  struct vmb_req **req),
	 (ep, code, match, context, req), {
		 SET(1, code);
		 SET(2, match);
		 SET(5, (uintptr_t)note_posted(NULL, 0, context));
		 SET(6, req != NULL);
		 rc = call(ep, FAR_ICOMPLETE, &f);
		 if (!rc && req)
			 *req = request_of(f.w[0]);
	 })

STAND_IN(vmb_set_unexpected_handler,
	 (struct vmb_endpoint * ep, vmb_unexpected_handler_t handler,
	  void *context),
	 (ep, handler, context), {
		 SET(1, (uintptr_t)handler);
		 SET(2, (uintptr_t)context);
		 rc = call(ep, FAR_SET_HANDLER, &f);
	 })

/* ---- completion ------------------------------------------------------------------------ */

STAND_IN(vmb_test,
	 (struct vmb_endpoint * ep, struct vmb_req **req,
	  struct vmb_status *status, int *done),
	 (ep, req, status, done),
	 { rc = complete_request(ep, FAR_TEST, &f, req, 0, status, done); })

STAND_IN(vmb_wait,
	 (struct vmb_endpoint * ep, struct vmb_req **req, int timeout_ms,
	  struct vmb_status *status, int *done),
	 (ep, req, timeout_ms, status, done), {
		 rc = complete_request(ep, FAR_WAIT, &f, req, timeout_ms,
				       status, done);
	 })

STAND_IN(vmb_test_any,
	 (struct vmb_endpoint * ep, uint64_t match, uint64_t mask,
	  struct vmb_status *status, int *done),
	 (ep, match, mask, status, done), {
		 rc = complete_match(ep, FAR_TEST_ANY, &f, match, mask, 0,
				     status, done);
	 })

STAND_IN(vmb_wait_any,
	 (struct vmb_endpoint * ep, uint64_t match, uint64_t mask,
	  int timeout_ms, struct vmb_status *status, int *done),
	 (ep, match, mask, timeout_ms, status, done), {
		 rc = complete_match(ep, FAR_WAIT_ANY, &f, match, mask,
				     timeout_ms, status, done);
	 })

STAND_IN(vmb_iprobe,
	 (struct vmb_endpoint * ep, uint64_t match, uint64_t mask,
	  struct vmb_status *status, int *done),
	 (ep, match, mask, status, done), {
		 rc = complete_match(ep, FAR_IPROBE, &f, match, mask, 0, status,
				     done);
	 })

STAND_IN(vmb_probe,
	 (struct vmb_endpoint * ep, uint64_t match, uint64_t mask,
	  int timeout_ms, struct vmb_status *status, int *done),
	 (ep, match, mask, timeout_ms, status, done), {
		 rc = complete_match(ep, FAR_PROBE, &f, match, mask, timeout_ms,
				     status, done);
	 })

STAND_IN(vmb_peek,
	 (struct vmb_endpoint * ep, int timeout_ms, struct vmb_req **req),
	 (ep, timeout_ms, req), {
		 SET(1, timeout_ms);
		 rc = call(ep, FAR_PEEK, &f);
		 if (!rc)
			 *req = request_of(f.w[0]);
	 })

STAND_IN(vmb_ipeek, (struct vmb_endpoint * ep, struct vmb_req **req), (ep, req),
	 {
		 rc = call(ep, FAR_PEEK, &f);
		 if (!rc)
			 *req = request_of(f.w[0]);
	 })

STAND_IN(vmb_cancel,
	 (struct vmb_endpoint * ep, struct vmb_req **req, int *cancelled),
	 (ep, req, cancelled), {
		 SET(1, request_there(*req));
		 rc = call(ep, FAR_CANCEL, &f);
		 *cancelled = (int)f.w[0];
		 if (!rc && *cancelled)
			 *req = NULL;
	 })

STAND_IN(vmb_forget, (struct vmb_endpoint * ep, struct vmb_req **req),
	 (ep, req), {
		 SET(1, request_there(*req));
		 rc = call(ep, FAR_FORGET, &f);
		 if (!rc)
			 *req = NULL;
	 })

STAND_IN(vmb_ibuffered,
	 (struct vmb_endpoint * ep, struct vmb_req *req, int *done),
	 (ep, req, done), {
		 SET(1, request_there(req));
		 rc = call(ep, FAR_IBUFFERED, &f);
		 *done = (int)f.w[0];
	 })

STAND_IN(vmb_req_context,
	 (struct vmb_endpoint * ep, struct vmb_req *req, void **context),
	 (ep, req, context), {
		 SET(1, request_there(req));
		 rc = call(ep, FAR_REQ_CONTEXT, &f);
		 if (!rc)
			 *context =
				 ((struct posted *)(uintptr_t)f.w[0])->context;
	 })

STAND_IN(vmb_set_request_timeout,
	 (struct vmb_endpoint * ep, struct vmb_req *req, unsigned timeout_ms),
	 (ep, req, timeout_ms), {
		 SET(1, request_there(req));
		 SET(2, timeout_ms);
		 rc = call(ep, FAR_SET_TIMEOUT, &f);
	 })

/* ---- active messages ---------------------------------------------------------------------- */

STAND_IN(vmb_am_register,
	 (struct vmb_endpoint * ep, unsigned id, vmb_am_handler_t handler,
	  void *context),
	 (ep, id, handler, context), {
		 SET(1, id);
		 SET(2, (uintptr_t)handler);
		 SET(3, (uintptr_t)context);
		 rc = call(ep, FAR_AM_REGISTER, &f);
	 })

STAND_IN(vmb_am_send,
	 (struct vmb_endpoint * ep, struct vmb_addr dest, unsigned id,
	  uint64_t hdr, const struct vmb_segment *segments, unsigned count),
	 (ep, dest, id, hdr, segments, count), {
		 struct far_payload out = pack(segments, count, true);
		 struct far_payload in = {NULL, 0};

		 SET_ADDR(dest);
		 SET(3, id);
		 SET(4, hdr);
		 rc = call_with(ep, FAR_AM_SEND, &f, out.bytes, out.len, &in);
		 free(out.bytes);
		 free(in.bytes);
	 })

STAND_IN(vmb_am_max, (struct vmb_endpoint * ep, size_t *max), (ep, max), {
	rc = call(ep, FAR_AM_MAX, &f);
	*max = f.w[0];
})

STAND_IN(vmb_am_fence,
	 (struct vmb_endpoint * ep, vmb_am_done_t done, void *context),
	 (ep, done, context), {
		 SET(1, (uintptr_t)done);
		 SET(2, (uintptr_t)context);
		 rc = call(ep, FAR_AM_FENCE, &f);
	 })
