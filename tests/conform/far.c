// SPDX-License-Identifier: BSD-2-Clause
/*
 * far.c - the half that does what near.c asks for; see far.h.
 *
 * Flow:  conform serve PORT -> a child per test -> frames -> vmb_*()
 * Owns:  the endpoints of one test, and the memory of their requests.
 * Trust: the other half.
 */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conform/conform.h"
#include "conform/far.h"

static int line = -1; /* to the near half */

/* A request: what the near half calls it, and its memory on this side. */
struct record {
	uint64_t tag;
	size_t len;
	bool receive;
	char memory[];
};

/* A handler of the near half, and its endpoint here. */
struct handler {
	struct vmb_endpoint *ep;
	uint64_t fn, context;
};

static void serve(struct far_frame *f, struct far_payload *in);

static struct vmb_endpoint *ep_of(const struct far_frame *f)
{
	return (struct vmb_endpoint *)(uintptr_t)f->w[0];
}

static struct vmb_req *req_of(const struct far_frame *f)
{
	return (struct vmb_req *)(uintptr_t)f->w[1];
}

static struct vmb_addr addr_of(const struct far_frame *f)
{
	return (struct vmb_addr){{f->w[1], f->w[2]}};
}

/* ---- handlers ----------------------------------------------------------------- */

/* Ask the near half; it may call back meanwhile. */
static int ask(struct far_frame *f, const void *data, size_t len)
{
	struct far_payload in = {NULL, 0};

	f->kind = FAR_HANDLER;
	far_send(line, f, data, len);
	for (;;) {
		far_receive(line, f, &in);
		if (f->kind == FAR_HANDLED)
			break;
		serve(f, &in);
	}
	free(in.bytes);
	return f->rc;
}

static enum vmb_unexpected_action on_unexpected(void *context,
						struct vmb_addr source,
						uint64_t match, uint64_t len,
						const void *data)
{
	struct handler *h = context;
	struct far_frame f = {
		.call = FAR_UNEXPECTED,
		.w = {(uintptr_t)h->ep, h->fn, h->context, source.opaque[0],
		      source.opaque[1], match, len, data != NULL},
	};

	return (enum vmb_unexpected_action)ask(&f, data, data ? len : 0);
}

static void on_am(struct vmb_endpoint *ep, const struct vmb_am_msg *msg,
		  void *context)
{
	struct handler *h = context;
	struct far_frame f = {
		.call = FAR_AM,
		.w = {(uintptr_t)ep, h->fn, h->context, msg->source.opaque[0],
		      msg->source.opaque[1], msg->hdr},
	};

	ask(&f, msg->data, msg->len);
}

static void on_done(struct vmb_endpoint *ep, int code, uint64_t moved,
		    void *context)
{
	struct handler *h = context;
	struct far_frame f = {
		.call = FAR_DONE,
		.w = {(uintptr_t)ep, h->fn, h->context, (uint64_t)(int64_t)code,
		      moved},
	};

	ask(&f, NULL, 0);
	free(h);
}

static struct handler *handler_of(const struct far_frame *f, unsigned at)
{
	struct handler *h = malloc(sizeof(*h));

	*h = (struct handler){ep_of(f), f->w[at], f->w[at + 1]};
	return h;
}

/* ---- requests ----------------------------------------------------------------- */

/* Lengths of the pieces, then, of a send, their bytes. */
static struct record *make_record(const struct far_payload *in, bool receive,
				  uint64_t tag, struct vmb_segment *segments,
				  unsigned *count)
{
	size_t head = in->len ? sizeof(uint64_t) : 0, len = 0, at = 0;
	uint64_t lens[VMB_SEGMENTS_MAX], n = 0;
	struct record *r;

	memcpy(&n, in->bytes, head);
	memcpy(lens, in->bytes + head, n * sizeof(lens[0]));
	head += n * sizeof(lens[0]);
	for (uint64_t i = 0; i < n; i++)
		len += lens[i];
	r = malloc(sizeof(*r) + len + 1);
	*r = (struct record){.tag = tag, .len = len, .receive = receive};
	if (!receive)
		memcpy(r->memory, in->bytes + head, len);
	for (uint64_t i = 0; i < n; i++) {
		segments[i] = (struct vmb_segment){r->memory + at, lens[i]};
		at += lens[i];
	}
	*count = (unsigned)n;
	return r;
}

static struct vmb_req *no_req;

/* Where the request goes, if the near half wants one. */
static struct vmb_req **wanted(uint64_t wants, struct vmb_req **req)
{
	*req = no_req;
	return wants ? req : NULL;
}

static int post(struct far_frame *f, const struct far_payload *in)
{
	struct vmb_segment segments[VMB_SEGMENTS_MAX];
	bool receive = f->call == FAR_IRECV;
	unsigned count;
	struct record *r = make_record(in, receive, f->w[4], segments, &count);
	struct vmb_req *req, **out = wanted(f->w[5], &req);
	int rc;

	if (receive)
		rc = vmb_irecv(ep_of(f), segments, count, f->w[1], f->w[2], r,
			       out);
	else
		rc = (f->call == FAR_ISEND ? vmb_isend : vmb_issend)(
			ep_of(f), segments, count, addr_of(f), f->w[3], r, out);
	if (rc)
		free(r);
	f->w[0] = (uintptr_t)req;
	return rc;
}

/* A request without memory. */
static int post_other(struct far_frame *f)
{
	struct record *r = calloc(1, sizeof(*r) + 1);
	struct vmb_req *req, **out = wanted(f->w[6], &req);
	int rc;

	r->tag = f->w[5];
	if (f->call == FAR_ICONNECT)
		rc = vmb_iconnect(ep_of(f), f->w[1], (uint32_t)f->w[2],
				  (uint32_t)f->w[3], f->w[4], r, out);
	else
		rc = vmb_icomplete(ep_of(f), (int)f->w[1], f->w[2], r, out);
	if (rc)
		free(r);
	f->w[0] = (uintptr_t)req;
	return rc;
}

/* What has ended, and the bytes that it received. */
static struct far_payload status_of(struct far_frame *f, bool request,
				    const struct vmb_status *status, int done)
{
	struct record *r = done && request ? status->context : NULL;
	size_t len = r && r->receive ? status->xfer_len : 0;
	struct far_payload out = {malloc(sizeof(*status) + len),
				  sizeof(*status) + len};

	f->w[0] = (uint64_t)done;
	f->w[1] = r ? r->tag : 0;
	memcpy(out.bytes, status, sizeof(*status));
	if (r)
		memcpy(out.bytes + sizeof(*status), r->memory, len);
	free(r);
	return out;
}

static int complete(struct far_frame *f, struct far_payload *out)
{
	struct vmb_status status = {0};
	struct vmb_req *req = req_of(f);
	uint64_t match = f->w[1], mask = f->w[2];
	int done = 0, rc, ms = (int)f->w[3];
	bool request = true;

	switch (f->call) {
	case FAR_TEST:
		rc = vmb_test(ep_of(f), &req, &status, &done);
		break;
	case FAR_WAIT:
		rc = vmb_wait(ep_of(f), &req, ms, &status, &done);
		break;
	case FAR_TEST_ANY:
		rc = vmb_test_any(ep_of(f), match, mask, &status, &done);
		break;
	case FAR_WAIT_ANY:
		rc = vmb_wait_any(ep_of(f), match, mask, ms, &status, &done);
		break;
	default:
		request = false;
		rc = f->call == FAR_IPROBE
			     ? vmb_iprobe(ep_of(f), match, mask, &status, &done)
			     : vmb_probe(ep_of(f), match, mask, ms, &status,
					 &done);
	}
	*out = status_of(f, request, &status, done);
	return rc;
}

static int cancel(struct far_frame *f)
{
	struct vmb_req *req = req_of(f);
	void *record = NULL;
	int rc, done = 0;

	vmb_req_context(ep_of(f), req, &record);
	rc = vmb_cancel(ep_of(f), &req, &done);
	f->w[0] = (uint64_t)done;
	if (!rc && done)
		free(record);
	return rc;
}

/* The rest of what one asks of a request. */
static int about_request(struct far_frame *f)
{
	struct vmb_req *req = req_of(f);
	void *record = NULL;
	int rc, done = 0;

	switch (f->call) {
	case FAR_CANCEL:
		return cancel(f);
	case FAR_FORGET: /* its memory may still be received into */
		return vmb_forget(ep_of(f), &req);
	case FAR_IBUFFERED:
		rc = vmb_ibuffered(ep_of(f), req, &done);
		f->w[0] = (uint64_t)done;
		return rc;
	case FAR_REQ_CONTEXT:
		rc = vmb_req_context(ep_of(f), req, &record);
		f->w[0] = rc ? 0 : ((struct record *)record)->tag;
		return rc;
	default:
		return vmb_set_request_timeout(ep_of(f), req,
					       (unsigned)f->w[2]);
	}
}

/* ---- endpoints and addresses ----------------------------------------------------- */

static int open_one(struct far_frame *f, const struct far_payload *in)
{
	struct vmb_endpoint *ep = NULL;
	int rc = vmb_open(in->len ? (const void *)in->bytes : NULL, &ep);

	f->w[0] = (uintptr_t)ep;
	return rc;
}

static int about_address(struct far_frame *f)
{
	struct vmb_addr addr = addr_of(f);
	uint32_t id = 0, session = 0;
	struct vmb_endpoint *ep = NULL;
	void *context = NULL;
	uint64_t nic = 0;
	int rc;

	switch (f->call) {
	case FAR_SELF:
		rc = vmb_self(ep_of(f), &addr);
		break;
	case FAR_CONNECT:
		rc = vmb_connect(ep_of(f), f->w[1], (uint32_t)f->w[2],
				 (uint32_t)f->w[3], (int)f->w[4], &addr);
		break;
	case FAR_DISCONNECT:
		return vmb_disconnect(ep_of(f), addr);
	case FAR_ADDR_SET_CONTEXT:
		return vmb_addr_set_context(ep_of(f), addr,
					    (void *)(uintptr_t)f->w[3]);
	case FAR_ADDR_GET_CONTEXT:
		rc = vmb_addr_get_context(ep_of(f), addr, &context);
		f->w[0] = (uintptr_t)context;
		return rc;
	case FAR_ADDR_ENDPOINT:
		rc = vmb_addr_endpoint(addr, &ep);
		f->w[0] = (uintptr_t)ep;
		return rc;
	default:
		rc = vmb_addr_query(ep_of(f), addr, &nic, &id, &session);
		f->w[0] = nic;
		f->w[1] = id;
		f->w[2] = session;
		return rc;
	}
	f->w[0] = addr.opaque[0];
	f->w[1] = addr.opaque[1];
	return rc;
}

/* ---- active messages ----------------------------------------------------------- */

static int am_send(struct far_frame *f, const struct far_payload *in)
{
	struct vmb_segment segments[VMB_SEGMENTS_MAX];
	unsigned count;
	struct record *r = make_record(in, false, 0, segments, &count);
	int rc = vmb_am_send(ep_of(f), addr_of(f), (unsigned)f->w[3], f->w[4],
			     segments, count);

	free(r); /* it was copied */
	return rc;
}

static int about_handlers(struct far_frame *f)
{
	struct handler *h;
	int rc;

	if (f->call == FAR_SET_HANDLER)
		return vmb_set_unexpected_handler(
			ep_of(f), f->w[1] ? on_unexpected : NULL,
			handler_of(f, 1));
	if (f->call == FAR_AM_REGISTER)
		return vmb_am_register(ep_of(f), (unsigned)f->w[1],
				       f->w[2] ? on_am : NULL,
				       handler_of(f, 2));
	h = handler_of(f, 1);
	rc = vmb_am_fence(ep_of(f), on_done, h);
	if (rc)
		free(h);
	return rc;
}

/* ---- serve ---------------------------------------------------------------------- */

static int do_call(struct far_frame *f, const struct far_payload *in,
		   struct far_payload *out)
{
	struct vmb_req *req = NULL;
	size_t max = 0;
	int rc;

	switch (f->call) {
	case FAR_OPEN:
		return open_one(f, in);
	case FAR_CLOSE:
		return vmb_close(ep_of(f));
	case FAR_PROGRESS:
		return vmb_progress(ep_of(f));
	case FAR_HOLD:
		return vmb_hold(ep_of(f), (int)f->w[1]);
	case FAR_WAKEUP:
		return vmb_wakeup(ep_of(f));
	case FAR_QUERY_COUNTERS:
		*out = (struct far_payload){malloc(in->len), in->len};
		memcpy(out->bytes, in->bytes, in->len);
		return vmb_query_counters(ep_of(f), (void *)out->bytes);
	case FAR_ISEND:
	case FAR_ISSEND:
	case FAR_IRECV:
		return post(f, in);
	case FAR_ICONNECT:
	case FAR_ICOMPLETE:
		return post_other(f);
	case FAR_PEEK:
		rc = vmb_peek(ep_of(f), (int)f->w[1], &req);
		f->w[0] = (uintptr_t)req;
		return rc;
	case FAR_AM_SEND:
		return am_send(f, in);
	case FAR_AM_MAX:
		rc = vmb_am_max(ep_of(f), &max);
		f->w[0] = max;
		return rc;
	case FAR_SET_HANDLER:
	case FAR_AM_REGISTER:
	case FAR_AM_FENCE:
		return about_handlers(f);
	default:
		if (f->call >= FAR_TEST && f->call <= FAR_PROBE)
			return complete(f, out);
		if (f->call >= FAR_CANCEL && f->call <= FAR_SET_TIMEOUT)
			return about_request(f);
		return about_address(f);
	}
}

static void serve(struct far_frame *f, struct far_payload *in)
{
	struct far_payload out = {NULL, 0};

	f->rc = do_call(f, in, &out);
	f->kind = FAR_RETURN;
	far_send(line, f, out.bytes, out.len);
	free(out.bytes);
}

/* Until the test is over, or its process gone: then everything of it goes. */
static void serve_test(void)
{
	struct far_payload in = {NULL, 0};
	struct far_frame f;
	int rc = vmb_init();

	if (rc) {
		fprintf(stderr, "conform: far half: %s\n", vmb_strerror(rc));
		_exit(EXIT_FAILURE);
	}
	for (;;) {
		far_receive(line, &f, &in);
		serve(&f, &in);
	}
}

int far_serve(const char *port)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
	};
	socklen_t len = sizeof(at);
	int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(listener, 8)) {
		perror("conform: serve");
		return EXIT_FAILURE;
	}
	signal(SIGCHLD, SIG_IGN);
	getsockname(listener, (struct sockaddr *)&at, &len);
	printf("serving at port %u\n", ntohs(at.sin_port));
	fflush(stdout);
	for (;;) {
		line = accept(listener, NULL, NULL);
		if (line >= 0 && !fork())
			serve_test();
		close(line);
	}
}
