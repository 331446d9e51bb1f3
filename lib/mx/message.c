// SPDX-License-Identifier: BSD-2-Clause
/*
 * message.c - posting sends and receives, and the handler of messages that
 * nobody waits for.
 *
 * Flow:  mx_isend() -> segments in vmb's spelling -> vmb_isend()
 *        vmb -> unexpected() -> the application's handler
 * Owns:  nothing.
 * Trust: arguments are input. What is wrong with them is looked for where a
 *        failed call must be explained, and nowhere else.
 *
 * One piece of memory is the usual message, and MX is to cost nothing beside
 * vmb: such a call goes straight down, and keeps no more of its arguments than
 * it takes to tell of a failure.
 */
#include "mx/mx.h"

/* ---- segments ---------------------------------------------------------------- */

/* MX_SUCCESS: into `to`, which has room for MX_MAX_SEGMENTS. */
static inline mx_return_t
spell_segments(struct vmb_segment *to, const mx_segment_t *from, uint32_t count)
{
	if (mx_unlikely(count > MX_MAX_SEGMENTS))
		return MX_BAD_SEG_CNT;
	if (mx_unlikely(count && !from))
		return MX_BAD_SEG_LIST;
	for (uint32_t i = 0; i < count; i++) {
		to[i].ptr = from[i].segment_ptr;
		to[i].len = from[i].segment_length;
		if (mx_unlikely(!to[i].ptr && to[i].len))
			return MX_BAD_SEG_MEM;
	}
	return MX_SUCCESS;
}

/* Is it one piece? */
static inline bool is_one(const mx_segment_t *segments, uint32_t count)
{
	return count == 1 && segments && segments->segment_ptr;
}

/* ---- sends ------------------------------------------------------------------- */

typedef int (*send_fn)(struct vmb_endpoint *ep,
		       const struct vmb_segment *segments, unsigned count,
		       struct vmb_addr dest, uint64_t match, void *context,
		       struct vmb_req **req);

/* Nothing was sent: into a status when it is the destination, else told. */
static __attribute__((noinline, cold)) mx_return_t
send_failed(const char *call, mx_endpoint_t endpoint, int rc,
	    const mx_segment_t *segments, uint32_t count,
	    mx_endpoint_addr_t dest, uint64_t match, void *context,
	    mx_request_t *request)
{
	struct vmb_endpoint *ep = mx_beneath(endpoint);
	struct vmb_status status = {
		.code = -ESTALE,
		.peer = mx_addr_to_vmb(dest),
		.match = match,
		.context = context,
	};

	if (rc == -EINVAL && ep) {
		for (uint32_t i = 0; i < count; i++)
			status.msg_len += segments[i].segment_length;
		rc = vmb_icomplete_as(ep, VMB_ENDED_SEND, &status,
				      mx_request_place(request));
	}
	return rc ? mx_fail_vmb(endpoint, call, rc, MX_BAD_ENDPOINT)
		  : MX_SUCCESS;
}

static __attribute__((noinline)) mx_return_t
send_any(send_fn send, const char *call, mx_endpoint_t endpoint,
	 const mx_segment_t *segments, uint32_t count, mx_endpoint_addr_t dest,
	 uint64_t match, void *context, mx_request_t *request)
{
	struct vmb_segment spelt[MX_MAX_SEGMENTS];
	mx_return_t code = spell_segments(spelt, segments, count);
	int rc;

	if (mx_unlikely(!mx_beneath(endpoint)))
		return mx_fail_vmb(endpoint, call, -EINVAL, MX_BAD_ENDPOINT);
	if (mx_unlikely(code))
		return mx_fail(endpoint, call, code, NULL);
	rc = send(mx_beneath(endpoint), spelt, count, mx_addr_to_vmb(dest),
		  match, context, mx_request_place(request));
	if (mx_unlikely(rc))
		return send_failed(call, endpoint, rc, segments, count, dest,
				   match, context, request);
	return MX_SUCCESS;
}

mx_return_t mx_isend(mx_endpoint_t endpoint, mx_segment_t *segments_list,
		     uint32_t segments_count, mx_endpoint_addr_t dest_endpoint,
		     uint64_t match_info, void *context, mx_request_t *request)
{
	int rc;

	if (mx_unlikely(!is_one(segments_list, segments_count)))
		return send_any(vmb_isend, __func__, endpoint, segments_list,
				segments_count, dest_endpoint, match_info,
				context, request);
	rc = vmb_isend(mx_beneath(endpoint),
		       &(struct vmb_segment){segments_list->segment_ptr,
					     segments_list->segment_length},
		       1, mx_addr_to_vmb(dest_endpoint), match_info, context,
		       mx_request_place(request));
	if (mx_unlikely(rc))
		return send_failed(__func__, endpoint, rc, segments_list, 1,
				   dest_endpoint, match_info, context, request);
	return MX_SUCCESS;
}

mx_return_t mx_issend(mx_endpoint_t endpoint, mx_segment_t *segments_list,
		      uint32_t segments_count, mx_endpoint_addr_t dest_endpoint,
		      uint64_t match_info, void *context, mx_request_t *request)
{
	return send_any(vmb_issend, __func__, endpoint, segments_list,
			segments_count, dest_endpoint, match_info, context,
			request);
}

/* ---- receives ---------------------------------------------------------------- */

static __attribute__((noinline)) mx_return_t
receive_any(const char *call, mx_endpoint_t endpoint,
	    const mx_segment_t *segments, uint32_t count, uint64_t match,
	    uint64_t mask, void *context, mx_request_t *request)
{
	struct vmb_endpoint *ep = mx_beneath(endpoint);
	struct vmb_segment spelt[MX_MAX_SEGMENTS];
	mx_return_t code = spell_segments(spelt, segments, count);
	int rc;

	if (!ep)
		return mx_fail_vmb(endpoint, call, -EINVAL, MX_BAD_ENDPOINT);
	if (code)
		return mx_fail(endpoint, call, code, NULL);
	if (endpoint->context_mask & ~mask)
		return mx_fail(endpoint, call,
			       MX_BAD_MATCHING_FOR_CONTEXT_ID_MASK, NULL);
	rc = vmb_irecv(ep, spelt, count, match, mask, context,
		       mx_request_place(request));
	return rc ? mx_fail_vmb(endpoint, call, rc, MX_BAD_MATCH_MASK)
		  : MX_SUCCESS;
}

mx_return_t mx_irecv(mx_endpoint_t endpoint, mx_segment_t *segments_list,
		     uint32_t segments_count, uint64_t match_info,
		     uint64_t match_mask, void *context, mx_request_t *request)
{
	int rc;

	if (mx_unlikely(!is_one(segments_list, segments_count) ||
			!mx_is_place(endpoint) ||
			endpoint->context_mask & ~match_mask))
		return receive_any(__func__, endpoint, segments_list,
				   segments_count, match_info, match_mask,
				   context, request);
	rc = vmb_irecv(mx_beneath(endpoint),
		       &(struct vmb_segment){segments_list->segment_ptr,
					     segments_list->segment_length},
		       1, match_info, match_mask, context,
		       mx_request_place(request));
	if (mx_unlikely(rc))
		return mx_fail_vmb(endpoint, __func__, rc, MX_BAD_MATCH_MASK);
	return MX_SUCCESS;
}

/* ---- the unexpected handler ------------------------------------------------------ */

static _Thread_local unsigned handlers_running;

bool mx_in_handler(void)
{
	return handlers_running != 0;
}

/* As they were set together. */
static struct mx_endpoint snapshot(struct mx_endpoint *e)
{
	struct mx_endpoint now;

	pthread_mutex_lock(&e->mutex);
	now.unexpected = e->unexpected;
	now.callback = e->callback;
	now.unexpected_context = e->unexpected_context;
	pthread_mutex_unlock(&e->mutex);
	return now;
}

static enum vmb_unexpected_action unexpected(void *context,
					     struct vmb_addr source,
					     uint64_t match, uint64_t len,
					     const void *data)
{
	struct mx_endpoint now = snapshot(context);
	mx_unexp_handler_action_t action = MX_RECV_CONTINUE;

	handlers_running++;
	if (now.unexpected)
		action = now.unexpected(now.unexpected_context,
					mx_addr_from_vmb(source), match,
					(uint32_t)len, (void *)(uintptr_t)data);
	else if (now.callback)
		now.callback(now.unexpected_context, match, (int)len);
	handlers_running--;
	return action == MX_RECV_FINISHED ? VMB_UNEXPECTED_FINISHED
					  : VMB_UNEXPECTED_CONTINUE;
}

static mx_return_t set_handler(const char *call, mx_endpoint_t endpoint,
			       mx_unexp_handler_t handler,
			       mx_matching_callback_t callback, void *context)
{
	struct vmb_endpoint *ep = mx_beneath(endpoint);
	int rc = -EINVAL;

	if (ep) {
		pthread_mutex_lock(&endpoint->mutex);
		endpoint->unexpected = handler;
		endpoint->callback = callback;
		endpoint->unexpected_context = context;
		pthread_mutex_unlock(&endpoint->mutex);
		rc = vmb_set_unexpected_handler(
			ep, handler || callback ? unexpected : NULL, endpoint);
	}
	return rc ? mx_fail_vmb(endpoint, call, rc, MX_BAD_ENDPOINT)
		  : MX_SUCCESS;
}

mx_return_t mx_register_unexp_handler(mx_endpoint_t endpoint,
				      mx_unexp_handler_t handler, void *context)
{
	return set_handler(__func__, endpoint, handler, NULL, context);
}

mx_return_t mx_register_unexp_callback(mx_endpoint_t endpoint,
				       mx_matching_callback_t cb, void *ctxt)
{
	return set_handler(__func__, endpoint, NULL, cb, ctxt);
}
