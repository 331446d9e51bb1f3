// SPDX-License-Identifier: BSD-2-Clause
/*
 * complete.c - how requests end, and what else is asked about them.
 *
 * Flow:  vmb_test(), vmb_wait(), ... -> a look -> vmb_endpoint_await() -> msg
 * Owns:  nothing.
 * Trust: a request pointer is input; msg says whether it is one.
 */
#include "api/api.h"

/* ---- one request ---------------------------------------------------------- */

struct request_look {
	struct vmb_req *req;
	struct vmb_status *status; /* the caller's, or NULL */
};

static int look_at_request(struct vmb_endpoint *ep, void *arg)
{
	struct request_look *l = arg;
	int rc = vmb_msg_collect(ep->msg, l->req, l->status);

	return rc ? rc : ep->am.error;
}

static int await_request(struct vmb_endpoint *ep, struct vmb_req **req,
			 int timeout_ms, struct vmb_status *status, int *done)
{
	struct request_look l = {.status = status};
	int rc;

	if (!done)
		return -EINVAL;
	*done = 0;
	if (!req || !*req)
		return -EINVAL;
	rc = vmb_endpoint_enter_to_look(ep);
	if (rc)
		return rc;
	l.req = *req;
	rc = vmb_endpoint_await(ep, look_at_request, &l, timeout_ms, false);
	vmb_endpoint_leave(ep);
	if (rc <= 0)
		return rc;
	*done = 1;
	*req = NULL;
	return 0;
}

int vmb_test(struct vmb_endpoint *ep, struct vmb_req **req,
	     struct vmb_status *status, int *done)
{
	return await_request(ep, req, 0, status, done);
}

int vmb_wait(struct vmb_endpoint *ep, struct vmb_req **req, int timeout_ms,
	     struct vmb_status *status, int *done)
{
	return await_request(ep, req, timeout_ms, status, done);
}

/* ---- any request, any message ---------------------------------------------- */

struct match_look {
	uint64_t match, mask;
	struct vmb_status status;
};

static int look_for_any(struct vmb_endpoint *ep, void *arg)
{
	struct match_look *l = arg;
	struct vmb_req *req = vmb_msg_first_done(ep->msg, l->match, l->mask);

	if (req && vmb_msg_collect(ep->msg, req, &l->status) > 0)
		return 1;
	return ep->am.error;
}

static int look_for_message(struct vmb_endpoint *ep, void *arg)
{
	struct match_look *l = arg;

	if (vmb_msg_probe(ep->msg, l->match, l->mask, &l->status))
		return 1;
	return ep->am.error;
}

static int await_match(struct vmb_endpoint *ep, vmb_look_fn look,
		       uint64_t match, uint64_t mask, int timeout_ms,
		       struct vmb_status *status, int *done)
{
	struct match_look l = {.match = match, .mask = mask};
	int rc;

	if (!done)
		return -EINVAL;
	*done = 0;
	if (match & ~mask)
		return -EINVAL;
	rc = vmb_endpoint_enter_to_look(ep);
	if (rc)
		return rc;
	rc = vmb_endpoint_await(ep, look, &l, timeout_ms, false);
	vmb_endpoint_leave(ep);
	if (rc <= 0)
		return rc;
	*done = 1;
	if (status)
		*status = l.status;
	return 0;
}

int vmb_test_any(struct vmb_endpoint *ep, uint64_t match, uint64_t mask,
		 struct vmb_status *status, int *done)
{
	return await_match(ep, look_for_any, match, mask, 0, status, done);
}

int vmb_wait_any(struct vmb_endpoint *ep, uint64_t match, uint64_t mask,
		 int timeout_ms, struct vmb_status *status, int *done)
{
	return await_match(ep, look_for_any, match, mask, timeout_ms, status,
			   done);
}

int vmb_iprobe(struct vmb_endpoint *ep, uint64_t match, uint64_t mask,
	       struct vmb_status *status, int *done)
{
	return await_match(ep, look_for_message, match, mask, 0, status, done);
}

int vmb_probe(struct vmb_endpoint *ep, uint64_t match, uint64_t mask,
	      int timeout_ms, struct vmb_status *status, int *done)
{
	return await_match(ep, look_for_message, match, mask, timeout_ms,
			   status, done);
}

/* ---- peek -------------------------------------------------------------------- */

static int look_for_ended(struct vmb_endpoint *ep, void *arg)
{
	struct vmb_req **req = arg;

	*req = vmb_msg_first_done(ep->msg, 0, 0);
	return *req ? 1 : ep->am.error;
}

int vmb_peek(struct vmb_endpoint *ep, int timeout_ms, struct vmb_req **req)
{
	struct vmb_req *ended = NULL;
	int rc;

	if (!req)
		return -EINVAL;
	rc = vmb_endpoint_enter_to_look(ep);
	if (rc)
		return rc;
	rc = vmb_endpoint_await(ep, look_for_ended, &ended, timeout_ms, false);
	vmb_endpoint_leave(ep);
	if (rc < 0)
		return rc;
	*req = ended;
	return 0;
}

int vmb_ipeek(struct vmb_endpoint *ep, struct vmb_req **req)
{
	return vmb_peek(ep, 0, req);
}

/* ---- about one request --------------------------------------------------------- */

/* Lock the endpoint of a live request. */
static int enter_request(struct vmb_endpoint *ep, const struct vmb_req *req)
{
	int rc;

	if (!req)
		return -EINVAL;
	rc = vmb_endpoint_enter(ep);
	if (rc)
		return rc;
	if (vmb_msg_owns(ep->msg, req))
		return 0;
	vmb_endpoint_leave(ep);
	return -EINVAL;
}

int vmb_cancel(struct vmb_endpoint *ep, struct vmb_req **req, int *cancelled)
{
	int rc;

	if (!cancelled)
		return -EINVAL;
	*cancelled = 0;
	rc = enter_request(ep, req ? *req : NULL);
	if (rc)
		return rc;
	rc = vmb_msg_cancel(ep->msg, *req, cancelled);
	vmb_endpoint_leave(ep);
	if (!rc && *cancelled)
		*req = NULL;
	return rc;
}

int vmb_forget(struct vmb_endpoint *ep, struct vmb_req **req)
{
	int rc = enter_request(ep, req ? *req : NULL);

	if (rc)
		return rc;
	vmb_msg_forget(ep->msg, *req);
	vmb_endpoint_leave(ep);
	*req = NULL;
	return 0;
}

int vmb_ibuffered(struct vmb_endpoint *ep, struct vmb_req *req, int *done)
{
	int rc;

	if (!done)
		return -EINVAL;
	*done = 0;
	rc = enter_request(ep, req);
	if (rc)
		return rc;
	rc = vmb_msg_buffered(ep->msg, req, done);
	vmb_endpoint_leave(ep);
	return rc;
}

int vmb_icomplete(struct vmb_endpoint *ep, int code, uint64_t match,
		  void *context, struct vmb_req **req)
{
	const struct vmb_status status = {
		.code = code,
		.match = match,
		.context = context,
	};

	return vmb_icomplete_as(ep, VMB_ENDED_SEND, &status, req);
}

int vmb_icomplete_as(struct vmb_endpoint *ep, enum vmb_ended_as as,
		     const struct vmb_status *status, struct vmb_req **req)
{
	bool connect = as == VMB_ENDED_CONNECT;
	struct vmb_req *posted;
	int rc;

	if (!status || status->code > 0 || (as != VMB_ENDED_SEND && !connect))
		return -EINVAL;
	rc = vmb_endpoint_enter(ep);
	if (rc)
		return rc;
	if (req)
		rc = vmb_msg_icomplete(ep->msg, connect, status, &posted);
	if (req && !rc)
		*req = posted;
	vmb_endpoint_leave(ep);
	return rc;
}

int vmb_req_context(struct vmb_endpoint *ep, struct vmb_req *req,
		    void **context)
{
	int rc;

	if (!context)
		return -EINVAL;
	rc = enter_request(ep, req);
	if (rc)
		return rc;
	*context = vmb_msg_context(ep->msg, req);
	vmb_endpoint_leave(ep);
	return 0;
}

int vmb_set_request_timeout(struct vmb_endpoint *ep, struct vmb_req *req,
			    unsigned timeout_ms)
{
	int rc = req ? enter_request(ep, req) : vmb_endpoint_enter(ep);

	if (rc)
		return rc;
	rc = vmb_msg_set_timeout(ep->msg, req, timeout_ms);
	vmb_endpoint_posted(ep);
	vmb_endpoint_leave(ep);
	return rc;
}
