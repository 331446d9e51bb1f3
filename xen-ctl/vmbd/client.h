/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * client.h - one client: who it is, what it may have, what it has.
 */
#ifndef VMBD_CLIENT_H
#define VMBD_CLIENT_H

#include "daemon.h"
#include "user.h"

struct vmbd_domain;

#define VMBD_LANES_ENDED 64u

struct vmbd_client {
	struct vmb_list node; /* daemon.clients or, before hello, .pending */
	struct vmbd *d;
	const struct vmbd_platform *platform;
	uint32_t number;
	struct vmb_transport *transport;
	struct vmb_credentials who;
	struct vmbd_domain *domain; /* NULL before hello */
	struct vmbd_user *user;	    /* NULL before hello, and of a guest */
	uint64_t features;
	struct vmbd_limits limits;
	struct vmb_list endpoints, regions;
	struct vmb_list lanes; /* to its endpoints, and refused ones */
	unsigned endpoint_count, region_count;
	unsigned lane_count, lanes_refused;
	uint64_t lanes_ended[VMBD_LANES_ENDED]; /* the last tickets */
	unsigned lanes_ended_next;
	uint64_t memory;
	struct vmb_nic_mover *mover;	 /* NULL until it is needed */
	struct vmb_ctl_register pending; /* memory is being looked at */
	unsigned strikes;		 /* messages that were no requests */
};

extern const struct vmb_platform_events vmbd_client_events;

/*
 * Admit a client that said hello: policy, limits, domain. -EACCES; -EUSERS;
 * -EINVAL: the name of the domain; -ENOMEM. Logs who came or why not.
 */
int vmbd_client_admit(struct vmbd_client *client, const char *domain);

/* "process 12 user 0", or "guest web". */
#define VMBD_OWNER_BYTES 96
const char *vmbd_client_owner(const struct vmbd_client *client,
			      char text[VMBD_OWNER_BYTES]);

struct vmbd_client *vmbd_client_by_number(struct vmbd *d, uint32_t number);

/* Do so many more bytes fit its limit, and that of its domain? */
bool vmbd_client_has_memory(const struct vmbd_client *client, uint64_t len);
/* Count them; -len: not any more. */
void vmbd_client_charge(struct vmbd_client *client, uint64_t len);

/* May its user have so many more? If not, a warning: "op refused: why". */
bool vmbd_client_may_take(struct vmbd_client *client, enum vmbd_resource what,
			  unsigned more, const char *op);

/*
 * Map memory of a client, within what the kernel lets us map in all, and half
 * of it for one user. -ENOMEM; others of the platform.
 */
int vmbd_client_map(struct vmbd_client *client,
		    struct vmb_attachment *attachment,
		    struct vmb_platform_memory *memory);
void vmbd_client_unmap(struct vmbd_client *client,
		       struct vmb_platform_memory *memory);

/* A warning that says which client; a few per second and user, or guest. */
void vmbd_client_warn(struct vmbd_client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * No correct client asks for that: the warning, and a record in the fault log
 * with the operation, VMB_CTL_*, and the value that cannot be.
 */
void vmbd_client_lied(struct vmbd_client *client, uint32_t op, uint64_t value,
		      const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The same when its memory is the lie; else there was no room for it. */
void vmbd_client_memory_refused(struct vmbd_client *client, uint32_t op,
				uint64_t value, int err);

#endif
