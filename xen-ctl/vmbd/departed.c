// SPDX-License-Identifier: BSD-2-Clause
/*
 * departed.c - see departed.h.
 *
 * Flow:  an endpoint is closed -> vmbd_departed_note()
 *        LOOKUP of a handle that is not open -> _by_handle()
 * Owns:  a ring of identities, all of its memory from the start.
 * Trust: a handle that is asked for is compared only; who may be told is
 *        decided by the caller.
 */
#include "departed.h"

#include <errno.h>
#include <stdlib.h>

int vmbd_departed_init(struct vmbd_departed *departed, unsigned max)
{
	departed->handles = calloc(max, sizeof(*departed->handles));
	departed->identities = calloc(max, sizeof(*departed->identities));
	departed->max = max;
	return departed->handles && departed->identities ? 0 : -ENOMEM;
}

void vmbd_departed_fini(struct vmbd_departed *departed)
{
	free(departed->handles);
	free(departed->identities);
}

void vmbd_departed_note(struct vmbd_departed *departed,
			const struct vmbd_identity *who)
{
	unsigned i = departed->next;

	departed->handles[i] = who->handle;
	departed->identities[i] = *who;
	departed->next = (i + 1) % departed->max;
	if (departed->count < departed->max)
		departed->count++;
}

/* From the newest on: a handle comes again when its generations are used up. */
const struct vmbd_identity *
vmbd_departed_by_handle(const struct vmbd_departed *departed, uint32_t handle)
{
	unsigned i = departed->next;

	for (unsigned n = 0; n < departed->count; n++) {
		i = (i ? i : departed->max) - 1;
		if (departed->handles[i] == handle)
			return &departed->identities[i];
	}
	return NULL;
}
