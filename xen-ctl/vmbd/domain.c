// SPDX-License-Identifier: BSD-2-Clause
/*
 * domain.c - see domain.h.
 *
 * Flow:  HELLO -> vmbd_domain_enter(); the client left -> _leave()
 *        a guest is attached -> vmbd_domain_add(); detached -> _remove()
 * Owns:  the engine's domain and, for a named one, its board.
 * Trust: a name was checked for shape; who may found or join is decided here,
 *        by the policy of now for a domain that it names.
 */
#include "domain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "board.h"
#include "client.h"
#include "guest.h"
#include "name.h"

static struct vmbd_domain *domain_of(struct vmb_list *node)
{
	return vmb_container_of(node, struct vmbd_domain, node);
}

struct vmbd_domain *vmbd_domain_by_name(struct vmbd *d, const char *name)
{
	struct vmb_list *pos;

	vmb_list_each (pos, &d->domains)
		if (!strcmp(domain_of(pos)->name, name))
			return domain_of(pos);
	return NULL;
}

struct vmbd_domain *vmbd_domain_by_id(struct vmbd *d, uint32_t id)
{
	struct vmb_list *pos;

	vmb_list_each (pos, &d->domains)
		if (domain_of(pos)->id == id)
			return domain_of(pos);
	return NULL;
}

/* A named domain's own weight, or that of whoever founded it. */
static uint32_t policy_weight(const struct vmbd_domain *domain)
{
	struct vmbd_limits limits;

	if (domain->guest) {
		vmbd_policy_guest(domain->d->policy, domain->name, &limits);
		return (uint32_t)limits.of[VMBD_WEIGHT];
	}
	vmbd_policy_domain(domain->d->policy, domain->name, &limits);
	if (!domain->name[0] || !(limits.set & 1u << VMBD_WEIGHT))
		vmbd_policy_client(domain->d->policy, &domain->founder,
				   &limits);
	return (uint32_t)limits.of[VMBD_WEIGHT];
}

/* d, name, and founder or guest are set; the rest follows from them. */
static int establish(struct vmbd_domain *domain)
{
	struct vmbd *d = domain->d;
	const char *name = domain->name;
	int err;

	domain->board = d->host_board;
	if (name[0]) {
		err = vmbd_board_add(d, name, &domain->board);
		if (err)
			return err;
	}
	domain->weight = policy_weight(domain);
	err = vmb_nic_domain_add(d->nic, domain->weight, &domain->nic);
	if (err)
		goto err_remove_board;
	domain->id = vmb_nic_domain_id(domain->nic);
	vmb_list_append(&d->domains, &domain->node);
	return 0;

err_remove_board:
	if (name[0])
		vmbd_board_remove(d, domain->board);
	return err;
}

static int found(struct vmbd *d, const char *name,
		 const struct vmb_credentials *who, struct vmbd_domain **result)
{
	struct vmbd_domain *domain = calloc(1, sizeof(*domain));
	int err;

	if (!domain)
		return -ENOMEM;
	domain->d = d;
	domain->founder = *who;
	snprintf(domain->name, sizeof(domain->name), "%s", name);
	vmbd_policy_domain(d->policy, name, &domain->limits);
	err = establish(domain);
	if (err)
		free(domain);
	else
		*result = domain;
	return err;
}

int vmbd_domain_add(struct vmbd_guest *guest, struct vmbd_domain **result)
{
	struct vmbd *d = guest->platform->d;
	struct vmbd_domain *domain;
	int err;

	if (!vmbd_name_is_domain(guest->who.name))
		return -EINVAL;
	domain = calloc(1, sizeof(*domain));
	if (!domain)
		return -ENOMEM;
	domain->d = d;
	domain->guest = guest;
	snprintf(domain->name, sizeof(domain->name), "%s", guest->who.name);
	vmbd_policy_guest(d->policy, domain->name, &domain->limits);
	err = establish(domain);
	if (err)
		free(domain);
	else
		*result = domain;
	return err;
}

void vmbd_domain_remove(struct vmbd_domain *domain)
{
	struct vmbd *d = domain->d;

	vmb_nic_domain_remove(d->nic, domain->nic);
	if (domain->name[0])
		vmbd_board_remove(d, domain->board);
	vmb_list_remove(&domain->node);
	free(domain);
}

/*
 * One that the policy names is its owner's, or everybody's. Nobody's name,
 * weight and peers are had by coming first.
 */
static bool section_admits(const struct vmbd_limits *section,
			   const struct vmb_credentials *who)
{
	if (!who->uid || who->uid == geteuid())
		return true;
	if (section->set & 1u << VMBD_OWNER &&
	    section->of[VMBD_OWNER] == who->uid)
		return true;
	return section->set & 1u << VMBD_ALLOW && section->of[VMBD_ALLOW];
}

bool vmbd_domain_is_barred(struct vmbd *d, const char *name,
			   const struct vmb_credentials *who)
{
	struct vmbd_limits section;

	vmbd_policy_domain(d->policy, name, &section);
	return section.set && !section_admits(&section, who);
}

/* Who is inside came perhaps before the section did. */
static bool admits_members(const struct vmbd_domain *domain,
			   const struct vmbd_limits *section)
{
	const struct vmbd_client *c;
	struct vmb_list *pos;

	vmb_list_each (pos, &domain->d->clients) {
		c = vmb_container_of(pos, struct vmbd_client, node);
		if (c->domain == domain && !section_admits(section, &c->who))
			return false;
	}
	return true;
}

bool vmbd_domain_has_strangers(struct vmbd *d, const char *name)
{
	const struct vmbd_domain *domain = vmbd_domain_by_name(d, name);
	struct vmbd_limits section;

	vmbd_policy_domain(d->policy, name, &section);
	return domain && section.set && !admits_members(domain, &section);
}

/*
 * One that the policy does not name is its founder's, and root's. Into that of
 * a guest nobody comes from outside.
 */
static bool may_join(const struct vmbd_domain *domain,
		     const struct vmb_credentials *who)
{
	struct vmbd_limits section;

	if (domain->guest)
		return false;
	vmbd_policy_domain(domain->d->policy, domain->name, &section);
	if (section.set)
		return section_admits(&section, who) &&
		       admits_members(domain, &section);
	return !who->uid || who->uid == domain->founder.uid;
}

static int choose(struct vmbd *d, const char *name,
		  const struct vmb_credentials *who,
		  struct vmbd_domain **result)
{
	struct vmbd_domain *domain = NULL;

	if (who->guest) {
		*result = who->guest->domain;
		return name[0] ? -EACCES : 0;
	}
	if (name[0]) {
		if (!vmbd_name_is_domain(name))
			return -EINVAL;
		domain = vmbd_domain_by_name(d, name);
		if (domain ? !may_join(domain, who)
			   : vmbd_domain_is_barred(d, name, who))
			return -EACCES;
	}
	*result = domain;
	return domain ? 0 : found(d, name, who, result);
}

int vmbd_domain_enter(struct vmbd *d, const char *name,
		      const struct vmb_credentials *who,
		      struct vmbd_domain **result)
{
	struct vmbd_domain *domain;
	int err;

	err = choose(d, name, who, &domain);
	if (err)
		return err;
	domain->clients++;
	if (domain->name[0] &&
	    domain->clients > domain->limits.of[VMBD_CLIENTS]) {
		vmbd_domain_leave(domain);
		return -EUSERS;
	}
	*result = domain;
	return 0;
}

void vmbd_domain_leave(struct vmbd_domain *domain)
{
	if (!--domain->clients && !domain->guest)
		vmbd_domain_remove(domain);
}

void vmbd_domain_set_weight(struct vmbd_domain *domain, uint32_t weight)
{
	domain->weight = weight;
	vmb_nic_domain_set_weight(domain->nic, weight);
}

void vmbd_domain_reweigh(struct vmbd *d)
{
	struct vmb_list *pos;

	vmb_list_each (pos, &d->domains)
		vmbd_domain_set_weight(domain_of(pos),
				       policy_weight(domain_of(pos)));
}
