/* SPDX-License-Identifier: BSD-2-Clause */
/* control.h - the requests of abi/control.h; see platform.h for when. */
#ifndef VMBD_CONTROL_H
#define VMBD_CONTROL_H

#include "client.h"

/* Of a VMB_CTL_*; never NULL. */
const char *vmbd_control_name(uint32_t op);

unsigned vmbd_control_attachments(const struct vmbd_client *client,
				  const union vmb_ctl_any *msg, size_t len);
int vmbd_control_request(struct vmbd_client *client,
			 const struct vmb_platform_request *request);
int vmbd_control_memory_ready(struct vmbd_client *client, int status);

#endif
