// SPDX-License-Identifier: BSD-2-Clause
/*
 * complete.c - how requests end, and what else is asked about them.
 *
 * Flow:  mx_test(), mx_wait() ... -> vmb -> the status in MX's spelling
 * Owns:  nothing.
 * Trust: vmb says whether a request is one. *result is written on every path.
 */
#include "mx/mx.h"

/*
 * The two statuses are one but for the code of a failure, so vmb writes into
 * the caller's.
 */
#define SAME(theirs, ours)                                        \
	_Static_assert(offsetof(mx_status_t, theirs) ==           \
			       offsetof(struct vmb_status, ours), \
		       "mx_status_t." #theirs)
SAME(code, code);
SAME(source, peer);
SAME(match_info, match);
SAME(msg_length, msg_len);
SAME(xfer_length, xfer_len);
SAME(context, context);
_Static_assert(sizeof(mx_status_t) == sizeof(struct vmb_status) &&
		       sizeof(mx_status_code_t) == sizeof(int) &&
		       MX_STATUS_SUCCESS == 0,
	       "a status is a status");

static inline struct vmb_status *status_place(mx_status_t *status,
					      struct vmb_status *instead)
{
	return status ? (struct vmb_status *)(void *)status : instead;
}

/* A request was taken in. */
static inline void ended(mx_endpoint_t endpoint, const char *call,
			 struct vmb_status *s)
{
	if (mx_unlikely(s->code))
		s->code = (int)mx_fail_request(endpoint, call, s->code);
}

static mx_return_t no_result(mx_endpoint_t endpoint, const char *call)
{
	if (!mx_beneath(endpoint))
		return mx_fail_vmb(endpoint, call, -EINVAL, MX_BAD_ENDPOINT);
	return mx_fail(endpoint, call, MX_BAD_BAD_BAD,
		       "no place for the result");
}

/* ---- one request --------------------------------------------------------------- */

static inline mx_return_t complete_one(const char *call, mx_endpoint_t endpoint,
				       mx_request_t *request, int timeout_ms,
				       mx_status_t *status, uint32_t *result)
{
	struct vmb_status unseen, *s = status_place(status, &unseen);
	int rc;

	if (mx_unlikely(!result))
		return no_result(endpoint, call);
	rc = vmb_wait(mx_beneath(endpoint), mx_request_place(request),
		      timeout_ms, s, (int *)result);
	if (mx_unlikely(rc))
		return mx_fail_vmb(endpoint, call, rc, MX_BAD_REQUEST);
	if (mx_likely(*result)) /* else there is time */
		ended(endpoint, call, s);
	return MX_SUCCESS;
}

mx_return_t mx_test(mx_endpoint_t endpoint, mx_request_t *request,
		    mx_status_t *status, uint32_t *result)
{
	return complete_one(__func__, endpoint, request, 0, status, result);
}

mx_return_t mx_wait(mx_endpoint_t endpoint, mx_request_t *request,
		    uint32_t timeout, mx_status_t *status, uint32_t *result)
{
	return complete_one(__func__, endpoint, request, mx_timeout(timeout),
			    status, result);
}

/* ---- any request, any message ---------------------------------------------------- */

typedef int (*match_fn)(struct vmb_endpoint *ep, uint64_t match, uint64_t mask,
			int timeout_ms, struct vmb_status *status, int *done);

/* vmb_wait_any() takes a request in, vmb_probe() only looks. */
static inline mx_return_t wait_match(match_fn wait, const char *call,
				     mx_endpoint_t endpoint, int timeout_ms,
				     uint64_t match, uint64_t mask,
				     mx_status_t *status, uint32_t *result)
{
	struct vmb_status unseen, *s = status_place(status, &unseen);
	int done, rc;

	if (mx_unlikely(!result))
		return no_result(endpoint, call);
	*result = 0;
	rc = wait(mx_beneath(endpoint), match, mask, timeout_ms, s, &done);
	if (mx_unlikely(rc))
		return mx_fail_vmb(endpoint, call, rc, MX_BAD_MATCH_MASK);
	if (!done)
		return MX_SUCCESS;
	*result = 1;
	ended(endpoint, call, s);
	return MX_SUCCESS;
}

mx_return_t mx_test_any(mx_endpoint_t endpoint, uint64_t match_info,
			uint64_t match_mask, mx_status_t *status,
			uint32_t *result)
{
	return wait_match(vmb_wait_any, __func__, endpoint, 0, match_info,
			  match_mask, status, result);
}

mx_return_t mx_wait_any(mx_endpoint_t endpoint, uint32_t timeout,
			uint64_t match_info, uint64_t match_mask,
			mx_status_t *status, uint32_t *result)
{
	return wait_match(vmb_wait_any, __func__, endpoint, mx_timeout(timeout),
			  match_info, match_mask, status, result);
}

mx_return_t mx_iprobe(mx_endpoint_t endpoint, uint64_t match_info,
		      uint64_t match_mask, mx_status_t *status,
		      uint32_t *result)
{
	return wait_match(vmb_probe, __func__, endpoint, 0, match_info,
			  match_mask, status, result);
}

mx_return_t mx_probe(mx_endpoint_t endpoint, uint32_t timeout,
		     uint64_t match_info, uint64_t match_mask,
		     mx_status_t *status, uint32_t *result)
{
	return wait_match(vmb_probe, __func__, endpoint, mx_timeout(timeout),
			  match_info, match_mask, status, result);
}

/* ---- peek ---------------------------------------------------------------------------- */

static inline mx_return_t peek(const char *call, mx_endpoint_t endpoint,
			       int timeout_ms, mx_request_t *request,
			       uint32_t *result)
{
	struct vmb_req *req = NULL;
	int rc;

	if (mx_unlikely(!result))
		return no_result(endpoint, call);
	*result = 0;
	rc = vmb_peek(mx_beneath(endpoint), timeout_ms, &req);
	if (mx_unlikely(rc))
		return mx_fail_vmb(endpoint, call, rc, MX_BAD_ENDPOINT);
	if (!req)
		return MX_SUCCESS;
	if (!request)
		return mx_fail(endpoint, call, MX_BAD_REQUEST,
			       "no place for the request");
	*request = mx_request_from_vmb(req);
	*result = 1;
	return MX_SUCCESS;
}

mx_return_t mx_ipeek(mx_endpoint_t endpoint, mx_request_t *request,
		     uint32_t *result)
{
	return peek(__func__, endpoint, 0, request, result);
}

mx_return_t mx_peek(mx_endpoint_t endpoint, uint32_t timeout,
		    mx_request_t *request, uint32_t *result)
{
	return peek(__func__, endpoint, mx_timeout(timeout), request, result);
}

/* ---- about one request ----------------------------------------------------------------- */

mx_return_t mx_cancel(mx_endpoint_t endpoint, mx_request_t *request,
		      uint32_t *result)
{
	struct vmb_req *req = request ? mx_request_to_vmb(*request) : NULL;
	int cancelled, rc;

	if (!result)
		return no_result(endpoint, __func__);
	*result = 0;
	rc = vmb_cancel(mx_beneath(endpoint), &req, &cancelled);
	if (rc)
		return mx_fail_vmb(endpoint, __func__, rc, MX_BAD_REQUEST);
	if (!cancelled)
		return MX_SUCCESS;
	*request = NULL;
	*result = 1;
	return MX_SUCCESS;
}

mx_return_t mx_forget(mx_endpoint_t endpoint, mx_request_t *request)
{
	struct vmb_req *req = request ? mx_request_to_vmb(*request) : NULL;
	int rc = vmb_forget(mx_beneath(endpoint), &req);

	if (rc)
		return mx_fail_vmb(endpoint, __func__, rc, MX_BAD_REQUEST);
	*request = NULL;
	return MX_SUCCESS;
}

mx_return_t mx_ibuffered(mx_endpoint_t endpoint, mx_request_t *request,
			 uint32_t *result)
{
	struct vmb_req *req = request ? mx_request_to_vmb(*request) : NULL;
	int done, rc;

	if (!result)
		return no_result(endpoint, __func__);
	*result = 0;
	rc = vmb_ibuffered(mx_beneath(endpoint), req, &done);
	if (rc)
		return mx_fail_vmb(endpoint, __func__, rc, MX_BAD_REQUEST);
	*result = (uint32_t)done;
	return MX_SUCCESS;
}

/* The call names no endpoint: the request is somebody's or nobody's. */
mx_return_t mx_context(mx_request_t *request, void **context)
{
	struct vmb_req *req = request ? mx_request_to_vmb(*request) : NULL;

	if (!mx_is_initialized())
		return mx_fail(NULL, __func__, MX_NOT_INITIALIZED, NULL);
	for (unsigned i = 0; req && context && i < mx_endpoint_places(); i++) {
		struct vmb_endpoint *ep = mx_beneath(&mx_endpoints[i]);

		if (ep && !vmb_req_context(ep, req, context))
			return MX_SUCCESS;
	}
	return mx_fail(NULL, __func__, MX_BAD_REQUEST, NULL);
}

/* Programs ask for "1" and mean a second: it was MX's least. */
mx_return_t mx_set_request_timeout(mx_endpoint_t endpoint, mx_request_t request,
				   uint32_t milli_seconds)
{
	int rc;

	if (milli_seconds && milli_seconds < 1000)
		milli_seconds = 1000;
	rc = vmb_set_request_timeout(mx_beneath(endpoint),
				     mx_request_to_vmb(request), milli_seconds);
	return rc ? mx_fail_vmb(endpoint, __func__, rc, MX_BAD_REQUEST)
		  : MX_SUCCESS;
}
