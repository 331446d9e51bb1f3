// SPDX-License-Identifier: BSD-2-Clause
/*
 * address.c - peers: how they are found, connected and explained.
 *
 * Flow:  mx_connect(), mx_iconnect() -> vmb; decompose and contexts: the
 *        address says which endpoint it belongs to
 * Owns:  nothing.
 * Trust: nic ids, ids and addresses are input; vmb knows which are good.
 */
#include "mx/mx.h"

mx_return_t mx_get_endpoint_addr(mx_endpoint_t endpoint,
				 mx_endpoint_addr_t *endpoint_addr)
{
	struct vmb_addr self;
	int rc = vmb_self(mx_beneath(endpoint), &self);

	if (rc || !endpoint_addr)
		return mx_fail_vmb(endpoint, __func__, rc ? rc : -EINVAL,
				   MX_BAD_BAD_BAD);
	*endpoint_addr = mx_addr_from_vmb(self);
	return MX_SUCCESS;
}

/* ---- connect ----------------------------------------------------------------- */

/* Are we that endpoint? MX asks for no key then. */
static bool is_self(struct vmb_endpoint *ep, uint64_t nic_id, uint32_t id,
		    struct vmb_addr *self)
{
	uint64_t own_nic;
	uint32_t own_id;

	return !vmb_self(ep, self) &&
	       !vmb_addr_query(ep, *self, &own_nic, &own_id, NULL) &&
	       own_nic == nic_id && own_id == id;
}

mx_return_t mx_connect(mx_endpoint_t endpoint, uint64_t nic_id,
		       uint32_t endpoint_id, uint32_t key, uint32_t timeout,
		       mx_endpoint_addr_t *addr)
{
	struct vmb_endpoint *ep = mx_beneath(endpoint);
	struct vmb_addr to;
	int rc = 0;

	if (!ep)
		return mx_fail_vmb(endpoint, __func__, -EINVAL,
				   MX_BAD_ENDPOINT);
	if (!addr)
		return mx_fail(endpoint, __func__, MX_BAD_BAD_BAD,
			       "no place for the address");
	if (!is_self(ep, nic_id, endpoint_id, &to))
		rc = vmb_connect(ep, nic_id, endpoint_id, key,
				 mx_timeout(timeout), &to);
	if (rc)
		return mx_fail_vmb(endpoint, __func__, rc, MX_BAD_ENDPOINT_ID);
	*addr = mx_addr_from_vmb(to);
	return MX_SUCCESS;
}

/* A nic that is not there is told at once, an endpoint by the request. */
static int post_connect(struct vmb_endpoint *ep, uint64_t nic_id, uint32_t id,
			uint32_t key, uint64_t match, void *context,
			struct vmb_req **req)
{
	char name[VMB_NAME_MAX];
	uint64_t own;
	int rc = vmb_nic_id(&own);

	if (!rc && own != nic_id)
		rc = vmb_nic_id_to_name(nic_id, name);
	if (rc)
		return rc == -ENOENT || rc == -EINVAL ? -ENXIO : rc;
	if (id > MX_ID_MAX)
		return vmb_icomplete_as(ep, VMB_ENDED_CONNECT,
					&(struct vmb_status){
						.code = -EINVAL,
						.match = match,
						.context = context,
					},
					req);
	return vmb_iconnect(ep, nic_id, id, key, match, context, req);
}

mx_return_t mx_iconnect(mx_endpoint_t endpoint, uint64_t nic_id, uint32_t eid,
			uint32_t key, uint64_t match_info, void *context,
			mx_request_t *request)
{
	struct vmb_endpoint *ep = mx_beneath(endpoint);
	struct vmb_req *req;
	int rc = -EINVAL;

	if (ep)
		rc = post_connect(ep, nic_id, eid, key, match_info, context,
				  request ? &req : NULL);
	if (rc)
		return mx_fail_vmb(endpoint, __func__, rc, MX_BAD_ENDPOINT);
	if (request)
		*request = mx_request_from_vmb(req);
	return MX_SUCCESS;
}

mx_return_t mx_disconnect(mx_endpoint_t endpoint, mx_endpoint_addr_t addr)
{
	struct vmb_endpoint *ep = mx_beneath(endpoint);
	struct vmb_addr self;
	int rc = vmb_disconnect(ep, mx_addr_to_vmb(addr));

	if (rc)
		return mx_fail_vmb(endpoint, __func__, rc, MX_BAD_ENDPOINT);
	/* if it was our own: an endpoint is always connected to itself */
	vmb_self(ep, &self);
	return MX_SUCCESS;
}

/* ---- about an address ---------------------------------------------------------- */

static mx_return_t decompose(const char *call, mx_endpoint_addr_t addr,
			     uint64_t *nic_id, uint32_t *id, uint32_t *session)
{
	struct vmb_endpoint *ep = mx_endpoint_of(addr);
	int rc = vmb_addr_query(ep, mx_addr_to_vmb(addr), nic_id, id, session);

	return rc ? mx_fail_plain(call, mx_is_initialized() ? rc : -ENOTCONN,
				  MX_BAD_ENDPOINT)
		  : MX_SUCCESS;
}

mx_return_t mx_decompose_endpoint_addr(mx_endpoint_addr_t endpoint_addr,
				       uint64_t *nic_id, uint32_t *endpoint_id)
{
	return decompose(__func__, endpoint_addr, nic_id, endpoint_id, NULL);
}

mx_return_t mx_decompose_endpoint_addr2(mx_endpoint_addr_t addr,
					uint64_t *nic_id, uint32_t *endpoint_id,
					uint32_t *session_id)
{
	return decompose(__func__, addr, nic_id, endpoint_id, session_id);
}

mx_return_t mx_set_endpoint_addr_context(mx_endpoint_addr_t addr, void *context)
{
	struct vmb_endpoint *ep = mx_endpoint_of(addr);
	int rc = vmb_addr_set_context(ep, mx_addr_to_vmb(addr), context);

	return rc ? mx_fail_plain(__func__,
				  mx_is_initialized() ? rc : -ENOTCONN,
				  MX_BAD_ENDPOINT)
		  : MX_SUCCESS;
}

mx_return_t mx_get_endpoint_addr_context(mx_endpoint_addr_t addr,
					 void **context)
{
	struct vmb_endpoint *ep = mx_endpoint_of(addr);
	int rc = vmb_addr_get_context(ep, mx_addr_to_vmb(addr), context);

	return rc ? mx_fail_plain(__func__,
				  mx_is_initialized() ? rc : -ENOTCONN,
				  MX_BAD_ENDPOINT)
		  : MX_SUCCESS;
}

/* ---- names ------------------------------------------------------------------------ */

mx_return_t mx_hostname_to_nic_id(char *hostname, uint64_t *nic_id)
{
	int rc;

	if (!nic_id)
		return mx_fail(NULL, __func__, MX_BAD_BAD_BAD,
			       "no place for the nic id");
	rc = vmb_name_to_nic_id(hostname, nic_id);
	if (rc == -EINVAL && !mx_is_initialized())
		rc = -ENOTCONN;
	return rc ? mx_fail_plain(__func__, rc, MX_BAD_HOSTNAME_ARGS)
		  : MX_SUCCESS;
}

mx_return_t mx_nic_id_to_hostname(uint64_t nic_id, char *hostname)
{
	int rc;

	if (!hostname)
		return mx_fail(NULL, __func__, MX_BAD_HOSTNAME_ARGS, NULL);
	rc = vmb_nic_id_to_name(nic_id, hostname);
	if (rc == -EINVAL && !mx_is_initialized())
		rc = -ENOTCONN;
	return rc ? mx_fail_plain(__func__, rc, MX_HOST_NOT_FOUND) : MX_SUCCESS;
}

mx_return_t mx_board_number_to_nic_id(uint32_t board_number, uint64_t *nic_id)
{
	int rc = 0;

	if (!mx_is_initialized())
		rc = -ENOTCONN;
	else if (!nic_id)
		return mx_fail(NULL, __func__, MX_BAD_BAD_BAD,
			       "no place for the nic id");
	else if (board_number != MX_BOARD)
		return mx_fail(NULL, __func__, MX_BOARD_UNKNOWN, NULL);
	else
		rc = vmb_nic_id(nic_id);
	return rc ? mx_fail_plain(__func__, rc, MX_BAD_BAD_BAD) : MX_SUCCESS;
}

mx_return_t mx_nic_id_to_board_number(uint64_t nic_id, uint32_t *board_number)
{
	uint64_t own;
	int rc = vmb_nic_id(&own);

	if (rc)
		return mx_fail_plain(__func__, rc, MX_BAD_BAD_BAD);
	if (!board_number)
		return mx_fail(NULL, __func__, MX_BAD_BAD_BAD,
			       "no place for the board number");
	if (nic_id != own)
		return mx_fail(NULL, __func__, MX_BOARD_UNKNOWN, NULL);
	*board_number = MX_BOARD;
	return MX_SUCCESS;
}
