/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest.h - guests that are attached: each is one protection domain with a
 * board of its name, from when it is attached until it is detached or dies,
 * however many of its processes are there.
 */
#ifndef VMBD_GUEST_H
#define VMBD_GUEST_H

#include "daemon.h"

struct vmbd_domain;

struct vmbd_guest {
	struct vmb_list node; /* daemon.guests */
	const struct vmbd_platform *platform;
	struct vmb_guest *guest; /* the platform's side */
	struct vmb_guest_identity who;
	struct vmbd_domain *domain;
	uint64_t faults; /* of its own, not of its endpoints */
};

/* Events of the platform, see platform.h. */
bool vmbd_guest_wanted(void *arg, const struct vmb_guest_identity *who);
int vmbd_guest_attached(void *arg, struct vmb_guest *g,
			const struct vmb_guest_identity *who,
			struct vmbd_guest **guest, char why[VMB_ERROR_BYTES]);
void vmbd_guest_detached(struct vmbd_guest *guest);
void vmbd_guest_lied(struct vmbd_guest *guest, unsigned fault, uint64_t value);

/*
 * By name or number. -ENOENT: no such guest runs or is attached; -EEXIST: it
 * is attached; -EACCES: the policy; -EOPNOTSUPP: guests are not served; others.
 */
int vmbd_guest_attach(struct vmbd *d, const char *which,
		      char why[VMB_ERROR_BYTES]);
int vmbd_guest_detach(struct vmbd *d, const char *which,
		      char why[VMB_ERROR_BYTES]);

/* After the policy changed. */
void vmbd_guest_reconsider(struct vmbd *d);

#endif
