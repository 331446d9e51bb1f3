/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user.h - what all clients of one user have together of what there is once for
 * all: a user gets half of it at most, however many clients come.
 *
 * Root and the daemon's own user are counted and not limited: they can end the
 * daemon anyway. A guest is no user; its section of the policy limits it as a
 * whole.
 */
#ifndef VMBD_USER_H
#define VMBD_USER_H

#include "daemon.h"

enum vmbd_resource {
	VMBD_HAS_ENDPOINTS,
	VMBD_HAS_REGIONS,
	VMBD_HAS_MAPPINGS,
	VMBD_HAS_DESCRIPTORS,
	VMBD_RESOURCES,
};

/*
 * Descriptors that the daemon holds, see platform/local/. Of a client: its
 * socket, its pidfd, and two in a reply that it does not read. Of an endpoint:
 * one to be kicked by, both ends of its notifications. Of a lane that was
 * offered: its memory.
 */
#define VMBD_DESCRIPTORS_OF_CLIENT 4u
#define VMBD_DESCRIPTORS_OF_ENDPOINT 3u
#define VMBD_DESCRIPTORS_OF_LANE 1u

struct vmbd_user {
	struct vmb_list node; /* daemon.users */
	uid_t uid;
	unsigned clients; /* that refer to it */
	unsigned has[VMBD_RESOURCES];
};

/* A client comes: the record of its user. -ENOMEM. */
int vmbd_user_enter(struct vmbd *d, uid_t uid, struct vmbd_user **user);
/* It leaves. The last one takes the record away, and has given back all. */
void vmbd_user_leave(struct vmbd_user *user);

/* May it have so many more? user NULL: that of a guest's client, always. */
bool vmbd_user_may_take(const struct vmbd *d, const struct vmbd_user *user,
			enum vmbd_resource what, unsigned more);
/* It has more, or less. user NULL: nothing. */
void vmbd_user_count(struct vmbd_user *user, enum vmbd_resource what, int by);

/* What one user may have. */
unsigned vmbd_user_max(const struct vmbd *d, enum vmbd_resource what);
/* "endpoints", "regions", "mappings", "descriptors". */
const char *vmbd_resource_name(enum vmbd_resource what);

#endif
