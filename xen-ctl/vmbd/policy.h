/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * policy.h - who may use the daemon and how much: the policy file.
 *
 *   [default]            for everybody
 *   [group NAME]         for members of a group
 *   [user NAME]          for a user
 *   [domain NAME]        for a named protection domain as a whole
 *   [default-guest]      for every guest as a whole
 *   [guest NAME]         for a guest as a whole
 *
 * The first three are for processes of this machine, the last two for guests.
 * A later line of this list counts over an earlier one; of several groups the
 * one that stands last in the file. Names of users and groups may be numbers.
 */
#ifndef VMBD_POLICY_H
#define VMBD_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/platform.h"

enum vmbd_key {
	VMBD_ALLOW,	/* 1: may open; of a domain: anybody may enter */
	VMBD_ENDPOINTS, /* at once */
	VMBD_MEMORY,	/* registered bytes at once */
	VMBD_WEIGHT,	/* share of the engine */
	VMBD_CLIENTS,	/* of this user, or in this domain, at once */
	VMBD_REGIONS,	/* at once */
	VMBD_PEERS,	/* 1: may see all peers; 0: those of its domain */
	VMBD_LANES,	/* to the endpoints of one client, at once */
	VMBD_ATTACH,	/* of a guest: 1: attached as soon as it runs */
	VMBD_OWNER,	/* of a domain: user who may enter, by number */
	VMBD_KEYS,
};

struct vmbd_limits {
	uint64_t of[VMBD_KEYS];
	unsigned set; /* bit per key: somebody said so */
};

enum vmbd_section_kind {
	VMBD_SECTION_DEFAULT,
	VMBD_SECTION_GROUP,
	VMBD_SECTION_USER,
	VMBD_SECTION_DOMAIN,
	VMBD_SECTION_DEFAULT_GUEST,
	VMBD_SECTION_GUEST,
	VMBD_SECTIONS,
};

struct vmbd_section {
	enum vmbd_section_kind kind;
	char name[VMB_NAME_BYTES];
	uint32_t id; /* of user or group */
	struct vmbd_limits limits;
};

struct vmbd_policy {
	struct vmbd_section *sections;
	unsigned count;
};

/*
 * path NULL: no file, our own user and root may open. Errors are logged with
 * file, line, and what is allowed. -EINVAL, -ENOENT, -EPERM, -ENOMEM.
 */
int vmbd_policy_load(const char *path, struct vmbd_policy **policy);
void vmbd_policy_free(struct vmbd_policy *policy);

/* What holds for a client. */
void vmbd_policy_client(const struct vmbd_policy *policy,
			const struct vmb_credentials *who,
			struct vmbd_limits *limits);
/*
 * What holds for a named domain; a key that is not set has no limit. None is
 * set: the policy does not name it.
 */
void vmbd_policy_domain(const struct vmbd_policy *policy, const char *name,
			struct vmbd_limits *limits);

/* What holds for a guest: all its processes together. */
void vmbd_policy_guest(const struct vmbd_policy *policy, const char *name,
		       struct vmbd_limits *limits);

const char *vmbd_key_name(enum vmbd_key key);
bool vmbd_key_is_choice(enum vmbd_key key);
/* Text of a choice: "yes"/"no", "all"/"domain". */
const char *vmbd_key_choice(enum vmbd_key key, uint64_t value);
/* Is the number allowed for this key? */
bool vmbd_key_allows(enum vmbd_key key, uint64_t value);
const char *vmbd_section_kind_name(enum vmbd_section_kind kind);

#endif
