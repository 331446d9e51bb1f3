/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mx_vmbypass.h - for programs that use MX and vmb.h side by side.
 *
 * A program can be moved from one to the other call by call: an endpoint
 * address has the same 16 bytes in both, and the endpoint beneath an MX one may
 * be used with vmb_*() calls. Requests end in the interface that posted them.
 * It is closed by mx_close_endpoint() only.
 */
#ifndef MX_VMBYPASS_H
#define MX_VMBYPASS_H

#include "myriexpress.h"

struct vmb_endpoint;

#ifdef __cplusplus
extern "C" {
#endif

/* The endpoint beneath. */
MX_PUBLIC mx_return_t mx_vmbypass_endpoint(mx_endpoint_t endpoint,
					   struct vmb_endpoint **ep);

#ifdef __cplusplus
}
#endif

#endif
