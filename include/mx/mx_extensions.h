/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mx_extensions.h - what Myrinet Express offered beyond myriexpress.h.
 *
 * Errors, threads and time: see myriexpress.h.
 */
#ifndef MX_EXTENSIONS_H
#define MX_EXTENSIONS_H

#include "myriexpress.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MX_HAS_ICONNECT_V2 1 /* mx_iconnect() takes match_info */

/* ---- connections ------------------------------------------------------- */

/*
 * mx_connect() as a request: its status has the address in source, and the
 * match_info given here. request NULL: nobody learns the outcome.
 *
 * MX_NIC_NOT_FOUND; MX_TIMEOUT: the daemon does not say whether it is there.
 * The status: MX_STATUS_ENDPOINT_CLOSED: not open;
 * MX_STATUS_BAD_KEY; MX_STATUS_BAD_ENDPOINT: eid is over 65535;
 * MX_STATUS_TIMEOUT.
 */
MX_PUBLIC mx_return_t mx_iconnect(mx_endpoint_t endpoint, uint64_t nic_id,
				  uint32_t eid, uint32_t key,
				  uint64_t match_info, void *context,
				  mx_request_t *request);

/*
 * Forget a peer: what is pending with it ends with
 * MX_STATUS_ENDPOINT_UNREACHABLE, what it sent and nobody received is dropped,
 * its context too. The peer is not told. MX_BAD_ENDPOINT: not an address of
 * this endpoint; MX_FAILURE: in a handler.
 */
MX_PUBLIC mx_return_t mx_disconnect(mx_endpoint_t endpoint,
				    mx_endpoint_addr_t addr);

/*
 * One pointer for each (local endpoint, peer), NULL at first. The address says
 * which. MX_BAD_ENDPOINT: not an address that an open endpoint gave.
 */
MX_PUBLIC mx_return_t mx_set_endpoint_addr_context(mx_endpoint_addr_t addr,
						   void *context);
MX_PUBLIC mx_return_t mx_get_endpoint_addr_context(mx_endpoint_addr_t addr,
						   void **context);

/* mx_decompose_endpoint_addr(), and the random number of the peer's opening. */
MX_PUBLIC mx_return_t mx_decompose_endpoint_addr2(mx_endpoint_addr_t addr,
						  uint64_t *nic_id,
						  uint32_t *endpoint_id,
						  uint32_t *session_id);

/* ---- unexpected messages ----------------------------------------------- */

enum mx_unexp_handler_action {
	MX_RECV_CONTINUE = 0, /* match again, then queue */
	MX_RECV_FINISHED = 1  /* consumed: drop it */
};
typedef enum mx_unexp_handler_action mx_unexp_handler_action_t;

/*
 * Called once for each message that arrives and matches no posted receive, in
 * order of arrival, by whatever thread makes progress: one of the application
 * or, unless MX_MONOTHREAD=1, one of the library. data_if_available points to
 * the whole message, for reading, until return: of an mx_isend() of at most
 * 4096 bytes, 0 included; else it is NULL.
 */
typedef mx_unexp_handler_action_t (*mx_unexp_handler_t)(
	void *context, mx_endpoint_addr_t source, uint64_t match_value,
	uint32_t length, void *data_if_available);

/* handler NULL: none. What is queued already is not replayed. */
MX_PUBLIC mx_return_t mx_register_unexp_handler(mx_endpoint_t endpoint,
						mx_unexp_handler_t handler,
						void *context);

/* ---- requests ---------------------------------------------------------- */

/* Never report this request; it still runs to its end. *request becomes NULL.
 * MX_BAD_REQUEST. */
MX_PUBLIC mx_return_t mx_forget(mx_endpoint_t endpoint, mx_request_t *request);

/* One pass over what has arrived. In a handler: nothing. */
MX_PUBLIC mx_return_t mx_progress(mx_endpoint_t endpoint);

/*
 * Limit for one send or connect from this call on, or (request NULL) for all
 * posted later from their posting on: beyond it the request ends with
 * MX_STATUS_TIMEOUT. Less than 1000 ms is taken for 1000; 0: no limit.
 * MX_BAD_REQUEST.
 */
MX_PUBLIC mx_return_t mx_set_request_timeout(mx_endpoint_t endpoint,
					     mx_request_t request,
					     uint32_t milli_seconds);

#ifdef __cplusplus
}
#endif

#endif
