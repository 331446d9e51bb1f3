// SPDX-License-Identifier: BSD-2-Clause
/*
 * extra.c - symbols that programs link, and that do little: calls which MX
 * declared and never implemented, and some that are not public.
 *
 * Flow:  old programs -> [here]
 * Owns:  nothing.
 * Trust: arguments are input.
 */
#include <string.h>

#include <mx/mx_internals/mx__driver_interface.h>
#include <mx/mx_internals/mx__fops.h>

#include "mx/mx.h"

/* ---- never implemented by MX: the handler is not told -------------------------- */

static mx_return_t refuse(mx_request_t *request)
{
	if (request)
		*request = NULL;
	return MX_FAILURE;
}

mx_return_t mx_iput(mx_endpoint_t endpoint, void *local_addr, uint32_t length,
		    mx_endpoint_addr_t dest, uint64_t remote_addr,
		    void *context, mx_request_t *request)
{
	(void)endpoint;
	(void)local_addr;
	(void)length;
	(void)dest;
	(void)remote_addr;
	(void)context;
	return refuse(request);
}

mx_return_t mx_iget(mx_endpoint_t endpoint, void *local_addr, uint32_t length,
		    mx_endpoint_addr_t dest, uint64_t remote_addr,
		    void *context, mx_request_t *request)
{
	return mx_iput(endpoint, local_addr, length, dest, remote_addr, context,
		       request);
}

mx_return_t mx_buffered(mx_endpoint_t endpoint, mx_request_t *request,
			uint32_t timeout, uint32_t *result)
{
	(void)endpoint;
	(void)request;
	(void)timeout;
	if (result)
		*result = 0;
	return MX_FAILURE;
}

/* ---- not public, and linked all the same ---------------------------------------- */

/*
 * Open MPI calls this when it gives memory back. The library's registration
 * cache watches the memory by itself (docs/regcache.md). Open MPI declares it.
 */
MX_PUBLIC int mx__regcache_clean(void *ptr, size_t len);

int mx__regcache_clean(void *ptr, size_t len)
{
	(void)ptr;
	(void)len;
	return 0;
}

mx_return_t mx_open_board(int board_number, mx_endpt_handle_t *handle)
{
	if (!mx_is_initialized())
		return mx_fail(NULL, __func__, MX_NOT_INITIALIZED, NULL);
	if (board_number != (int)MX_BOARD)
		return mx_fail(NULL, __func__, MX_BOARD_UNKNOWN, NULL);
	if (!handle)
		return mx_fail(NULL, __func__, MX_BAD_BAD_BAD,
			       "no place for the handle");
	*handle = board_number;
	return MX_SUCCESS;
}

/* Open MPI takes bytes 3 to 5 of the address for the name of the network, and
 * peers must have the same. */
mx_return_t mx__get_mapper_state(mx_endpt_handle_t handle,
				 mx_mapper_state_t *state)
{
	static const mx_mapper_state_t ours = {
		.board_number = MX_BOARD,
		.mapper_mac = {0x02, 0, 0, 'v', 'm', 'b'},
		.map_version = 1,
		.num_hosts = 1,
		.network_configured = 1,
		.routes_valid = 1,
	};

	if (handle != (int)MX_BOARD)
		return mx_fail(NULL, __func__, MX_BOARD_UNKNOWN, NULL);
	if (!state)
		return mx_fail(NULL, __func__, MX_BAD_BAD_BAD,
			       "no place for the state");
	*state = ours;
	return MX_SUCCESS;
}
