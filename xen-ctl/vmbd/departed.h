/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * departed.h - who the endpoints were that have gone. Whoever has a message of
 * one may ask for its sender later than that has left.
 *
 * As many are remembered as can be open at a time: when all of them leave at
 * once, the end of a job, each is still known. The newest takes the place of
 * the oldest, whoever's they are, so nobody has memory of the daemon by coming
 * and going.
 */
#ifndef VMBD_DEPARTED_H
#define VMBD_DEPARTED_H

#include <stdint.h>

#include <vmbypass/abi/control.h>

/* What LOOKUP tells of a handle, and by what it is decided to whom. */
struct vmbd_identity {
	uint32_t handle, id, session;
	uint32_t domain; /* a number that is not given again, as its name is */
	uint64_t nic_id;
	char name[VMB_NAME_BYTES]; /* of the board, which may have gone too */
};

struct vmbd_departed {
	uint32_t *handles; /* apart from the rest: they are searched */
	struct vmbd_identity *identities;
	unsigned max, count, next;
};

/* -ENOMEM. fini() follows also then. */
int vmbd_departed_init(struct vmbd_departed *departed, unsigned max);
void vmbd_departed_fini(struct vmbd_departed *departed);

void vmbd_departed_note(struct vmbd_departed *departed,
			const struct vmbd_identity *who);
/* NULL: it never was, it is open, or too many have left after it. */
const struct vmbd_identity *
vmbd_departed_by_handle(const struct vmbd_departed *departed, uint32_t handle);

#endif
