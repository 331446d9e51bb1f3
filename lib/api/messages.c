// SPDX-License-Identifier: BSD-2-Clause
/*
 * messages.c - posting sends and receives.
 *
 * Flow:  vmb_isend() -> check -> vmb_msg_isend()
 * Owns:  nothing.
 * Trust: arguments are input, and all checked here.
 */
#include "api/api.h"

int vmb_segments_check_all(const struct vmb_segment *segments, unsigned count,
			   uint64_t *len)
{
	uint64_t sum = 0;

	if (count > VMB_SEGMENTS_MAX || (count && !segments))
		return -EINVAL;
	for (unsigned i = 0; i < count; i++)
		if (!segments[i].ptr && segments[i].len)
			return -EINVAL;
	for (unsigned i = 0; i < count; i++) {
		if (segments[i].len > VMB_MESSAGE_MAX - sum)
			return -EMSGSIZE;
		sum += segments[i].len;
	}
	*len = sum;
	return 0;
}

static int post_send(struct vmb_endpoint *ep,
		     const struct vmb_segment *segments, unsigned count,
		     struct vmb_addr dest, uint64_t match, bool synchronous,
		     void *context, struct vmb_req **req)
{
	struct vmb_peer *peer;
	uint64_t len;
	int rc;

	rc = vmb_segments_check(segments, count, &len);
	if (rc)
		return rc;
	rc = vmb_endpoint_enter(ep);
	if (rc)
		return rc;
	peer = vmb_address_peer(ep, dest);
	if (vmb_likely(peer != NULL))
		rc = vmb_msg_isend(ep->msg, segments, count, len, peer, match,
				   synchronous, context, req);
	else
		rc = -EINVAL;
	if (!rc)
		vmb_endpoint_posted(ep);
	vmb_endpoint_leave(ep);
	return rc;
}

int vmb_isend(struct vmb_endpoint *ep, const struct vmb_segment *segments,
	      unsigned count, struct vmb_addr dest, uint64_t match,
	      void *context, struct vmb_req **req)
{
	return post_send(ep, segments, count, dest, match, false, context, req);
}

int vmb_issend(struct vmb_endpoint *ep, const struct vmb_segment *segments,
	       unsigned count, struct vmb_addr dest, uint64_t match,
	       void *context, struct vmb_req **req)
{
	return post_send(ep, segments, count, dest, match, true, context, req);
}

int vmb_irecv(struct vmb_endpoint *ep, const struct vmb_segment *segments,
	      unsigned count, uint64_t match, uint64_t mask, void *context,
	      struct vmb_req **req)
{
	uint64_t len;
	int rc;

	if (match & ~mask)
		return -EINVAL;
	rc = vmb_segments_check(segments, count, &len);
	if (rc)
		return rc;
	rc = vmb_endpoint_enter(ep);
	if (rc)
		return rc;
	rc = vmb_msg_irecv(ep->msg, segments, count, len, match, mask, context,
			   req);
	vmb_endpoint_emptied(ep);
	if (!rc)
		vmb_endpoint_posted(ep);
	vmb_endpoint_leave(ep);
	return rc;
}

int vmb_set_unexpected_handler(struct vmb_endpoint *ep,
			       vmb_unexpected_handler_t handler, void *context)
{
	int rc = vmb_endpoint_enter(ep);

	if (rc)
		return rc;
	vmb_msg_set_handler(ep->msg, handler, context);
	vmb_endpoint_leave(ep);
	return 0;
}
