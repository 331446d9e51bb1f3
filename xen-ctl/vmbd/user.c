// SPDX-License-Identifier: BSD-2-Clause
/*
 * user.c - see user.h.
 *
 * Flow:  HELLO -> vmbd_user_enter(); OPEN, REGISTER, LANE -> may_take(), then
 *        count(); given back -> count(); the client left -> _leave()
 * Owns:  a record per user who has clients.
 * Trust: the kernel says whose a client is. How much it may have does not depend
 *        on how many processes, clients or domains its user makes of himself.
 */
#include "user.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define REGIONS_MAX 65535u /* of the engine, see vmb_nic_region_add() */

static struct vmbd_user *user_of(struct vmb_list *node)
{
	return vmb_container_of(node, struct vmbd_user, node);
}

static struct vmbd_user *find(struct vmbd *d, uid_t uid)
{
	struct vmb_list *pos;

	vmb_list_each (pos, &d->users)
		if (user_of(pos)->uid == uid)
			return user_of(pos);
	return NULL;
}

int vmbd_user_enter(struct vmbd *d, uid_t uid, struct vmbd_user **result)
{
	struct vmbd_user *user = find(d, uid);

	if (!user) {
		user = calloc(1, sizeof(*user));
		if (!user)
			return -ENOMEM;
		user->uid = uid;
		vmb_list_append(&d->users, &user->node);
	}
	user->clients++;
	*result = user;
	return 0;
}

void vmbd_user_leave(struct vmbd_user *user)
{
	if (--user->clients)
		return;
	vmb_list_remove(&user->node);
	free(user);
}

/* ---- half of what there is ---------------------------------------------- */

static unsigned there_is(const struct vmbd *d, enum vmbd_resource what)
{
	switch (what) {
	case VMBD_HAS_ENDPOINTS:
		return d->options->endpoints_max;
	case VMBD_HAS_REGIONS:
		return REGIONS_MAX;
	case VMBD_HAS_MAPPINGS:
		return d->mappings_max;
	default:
		return d->descriptors_max;
	}
}

/* Where there is one, it may be had. */
unsigned vmbd_user_max(const struct vmbd *d, enum vmbd_resource what)
{
	unsigned all = there_is(d, what);

	return all / 2 + all % 2;
}

bool vmbd_user_may_take(const struct vmbd *d, const struct vmbd_user *user,
			enum vmbd_resource what, unsigned more)
{
	unsigned max = vmbd_user_max(d, what);

	if (!user || !user->uid || user->uid == geteuid())
		return true;
	return more <= max && user->has[what] <= max - more;
}

void vmbd_user_count(struct vmbd_user *user, enum vmbd_resource what, int by)
{
	if (user)
		user->has[what] += (unsigned)by;
}

const char *vmbd_resource_name(enum vmbd_resource what)
{
	static const char *const names[] = {
		[VMBD_HAS_ENDPOINTS] = "endpoints",
		[VMBD_HAS_REGIONS] = "regions",
		[VMBD_HAS_MAPPINGS] = "mappings",
		[VMBD_HAS_DESCRIPTORS] = "descriptors",
	};

	return names[what];
}
