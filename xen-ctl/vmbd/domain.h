/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * domain.h - protection domains. A client has one of its own on the host's
 * board, or joins a named one, which has a board of its own. A guest is a
 * named one that is there as long as the guest is attached.
 */
#ifndef VMBD_DOMAIN_H
#define VMBD_DOMAIN_H

#include "daemon.h"

struct vmbd_domain {
	struct vmb_list node; /* daemon.domains */
	struct vmbd *d;
	char name[VMB_NAME_BYTES]; /* empty: of one client */
	struct vmb_nic_domain *nic;
	uint32_t id;
	uint32_t weight;
	struct vmbd_board *board;
	struct vmbd_guest *guest; /* NULL: of processes of this machine */
	struct vmb_credentials founder;
	struct vmbd_limits limits; /* of all its clients together */
	unsigned clients, endpoints, regions;
	uint64_t memory;
};

/*
 * Find or create the domain of this name (empty: always a new one) and enter
 * it. The client of a guest enters that of its guest, and names none.
 * -EACCES: it belongs to another user or a guest, or the policy gives it to
 * others; -EUSERS: full; -EINVAL: name; -EEXIST: the name is taken by the host;
 * -ENOMEM.
 */
int vmbd_domain_enter(struct vmbd *d, const char *name,
		      const struct vmb_credentials *who,
		      struct vmbd_domain **domain);
/* Does the policy have a section for this domain that keeps the user out? */
bool vmbd_domain_is_barred(struct vmbd *d, const char *name,
			   const struct vmb_credentials *who);
/* Is somebody inside whom that section keeps out? Then nobody may join. */
bool vmbd_domain_has_strangers(struct vmbd *d, const char *name);
/* The last one takes it away, unless it is that of a guest. */
void vmbd_domain_leave(struct vmbd_domain *domain);

/* That of a guest. -EINVAL: name; -EEXIST: it is taken; -ENOMEM. */
int vmbd_domain_add(struct vmbd_guest *guest, struct vmbd_domain **domain);
/* Its clients have left. */
void vmbd_domain_remove(struct vmbd_domain *domain);

struct vmbd_domain *vmbd_domain_by_name(struct vmbd *d, const char *name);
struct vmbd_domain *vmbd_domain_by_id(struct vmbd *d, uint32_t id);

void vmbd_domain_set_weight(struct vmbd_domain *domain, uint32_t weight);
/* After the policy changed: weights of all domains. */
void vmbd_domain_reweigh(struct vmbd *d);

#endif
