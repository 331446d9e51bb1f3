/* SPDX-License-Identifier: BSD-2-Clause */
/* endpoint.h - an endpoint as the daemon knows it. */
#ifndef VMBD_ENDPOINT_H
#define VMBD_ENDPOINT_H

#include "client.h"

struct vmbd_endpoint {
	struct vmb_list node; /* client.endpoints */
	struct vmbd_client *client;
	uint32_t id, key, session, handle;
	struct vmb_geometry geometry;
	struct vmb_platform_memory area;
	struct vmb_signal *signal;
	struct vmb_nic_endpoint *nic;
};

/*
 * Open for a client what its checked request asks for. Errors: see
 * vmb_open(); the reason was logged.
 */
int vmbd_endpoint_open(struct vmbd_client *client,
		       const struct vmb_ctl_open *request,
		       struct vmb_attachment *attachment,
		       struct vmbd_endpoint **endpoint);
/* What its doorbell holds is served first. orderly: and what is being written. */
void vmbd_endpoint_close(struct vmbd_endpoint *endpoint, bool orderly);
/* May the client know of the endpoints of a domain? */
bool vmbd_client_sees_domain(const struct vmbd_client *client, uint32_t domain);
/* May the client know of it? e NULL: no. */
bool vmbd_client_sees(const struct vmbd_client *client,
		      const struct vmbd_endpoint *e);
/* NULL: no such handle. */
struct vmbd_endpoint *vmbd_endpoint_by_handle(struct vmbd *d, uint32_t handle);
/* Who is behind a handle, or was. -ENOENT: nobody, or it left long ago. */
int vmbd_endpoint_identify(struct vmbd *d, uint32_t handle,
			   struct vmbd_identity *who);

#endif
