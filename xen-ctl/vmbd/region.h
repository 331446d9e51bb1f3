/* SPDX-License-Identifier: BSD-2-Clause */
/* region.h - registered memory as the daemon knows it. */
#ifndef VMBD_REGION_H
#define VMBD_REGION_H

#include "client.h"

struct vmbd_region {
	struct vmb_list node; /* client.regions */
	struct vmb_list bucket_node;
	struct vmbd_client *client;
	uint64_t key;
	uint32_t access;
	struct vmb_platform_memory memory;
};

/*
 * Register for a client what its checked request asks for. -EINPROGRESS:
 * vmbd_region_finish() ends it. Errors: see vmb_register().
 */
int vmbd_region_add(struct vmbd_client *client,
		    const struct vmb_ctl_register *request,
		    struct vmb_attachment *attachment, uint64_t *key);
int vmbd_region_finish(struct vmbd_client *client,
		       const struct vmb_ctl_register *request, uint64_t *key);
/* Does memory of this kind come with a request, on the client's platform? */
bool vmbd_region_is_attached(const struct vmbd_client *client, uint32_t kind);
/* NULL: this client registered no such key. */
struct vmbd_region *vmbd_region_by_key(struct vmbd_client *client,
				       uint64_t key);
void vmbd_region_remove(struct vmbd_region *region);

#endif
