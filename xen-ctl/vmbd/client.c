// SPDX-License-Identifier: BSD-2-Clause
/*
 * client.c - see client.h.
 *
 * Flow:  arrived -> pending -> HELLO -> admitted -> ... -> left
 * Owns:  everything a client has; all of it goes when the client goes.
 * Trust: a client that does not say hello costs a socket, and only so many
 *        of them are kept.
 */
#include "client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "control.h"
#include "domain.h"
#include "endpoint.h"
#include "guest.h"
#include "region.h"

#define PENDING_MAX 256u     /* in all: then the oldest goes */
#define PENDING_PER_USER 32u /* so that nobody pushes others out */

static struct vmbd_client *client_of(struct vmb_list *node)
{
	return vmb_container_of(node, struct vmbd_client, node);
}

/* ---- log ---------------------------------------------------------------- */

const char *vmbd_client_owner(const struct vmbd_client *c,
			      char text[VMBD_OWNER_BYTES])
{
	if (c->who.guest)
		snprintf(text, VMBD_OWNER_BYTES, "guest %s",
			 c->who.guest->who.name);
	else
		snprintf(text, VMBD_OWNER_BYTES, "process %d user %u",
			 (int)c->who.pid, (unsigned)c->who.uid);
	return text;
}

#define ABOUT 6

/* What a line about a client has besides its text. */
static const struct vmb_log_field *about(const struct vmbd_client *c,
					 const char *event,
					 struct vmb_log_field fields[ABOUT])
{
	const struct vmb_log_field all[] = {
		VMB_LOG_TEXT("event", event),
		VMB_LOG_NUMBER("client", c->number),
		VMB_LOG_NUMBER("pid", (uint64_t)c->who.pid),
		VMB_LOG_NUMBER("uid", c->who.uid),
		VMB_LOG_NUMBER("domain", c->domain ? c->domain->id : 0),
	};
	unsigned n = vmb_array_size(all) - !c->domain;

	memcpy(fields, all, sizeof(all));
	if (c->who.guest) {
		fields[2] = (struct vmb_log_field)VMB_LOG_TEXT(
			"guest", c->who.guest->who.name);
		fields[3] = fields[4];
		n--;
	}
	fields[n] = (struct vmb_log_field){0};
	return fields;
}

static __attribute__((format(printf, 2, 0))) void
warn(struct vmbd_client *c, const char *format, va_list args)
{
	char text[320], owner[VMBD_OWNER_BYTES];
	struct vmb_log_field fields[ABOUT];

	if (!vmbd_talk_may(c->d, &c->who, VMBD_TALK_WARNING))
		return;
	vsnprintf(text, sizeof(text), format, args);
	vmb_log_with(VMB_LOG_WARN, about(c, "client_warning", fields),
		     "client %u (%s): %s", c->number,
		     vmbd_client_owner(c, owner), text);
}

void vmbd_client_warn(struct vmbd_client *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	warn(c, format, args);
	va_end(args);
}

void vmbd_client_lied(struct vmbd_client *c, uint32_t op, uint64_t value,
		      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	warn(c, format, args);
	va_end(args);
	vmb_nic_fault_report(c->d->nic, c->domain->nic, VMB_NIC_FAULT_VALUE, op,
			     value);
}

/* Of a guest's pages its platform has recorded what was wrong with them. */
void vmbd_client_memory_refused(struct vmbd_client *c, uint32_t op,
				uint64_t value, int err)
{
	bool lie = err == -EBADF || err == -EPERM || err == -EACCES ||
		   err == -EINVAL || err == -EFAULT;
	const char *name = vmbd_control_name(op);

	if (lie && !c->who.guest)
		vmbd_client_lied(c, op, value, "%s refused: %s", name,
				 strerror(-err));
	else
		vmbd_client_warn(c, "%s refused: %s", name, strerror(-err));
}

/* ---- what is there for all ----------------------------------------------- */

bool vmbd_client_may_take(struct vmbd_client *c, enum vmbd_resource what,
			  unsigned more, const char *op)
{
	if (vmbd_user_may_take(c->d, c->user, what, more))
		return true;
	vmbd_client_warn(c,
			 "%s refused: all clients of its user have %u %s, and "
			 "may have %u, half of what is there for all",
			 op, c->user->has[what], vmbd_resource_name(what),
			 vmbd_user_max(c->d, what));
	return false;
}

/* ---- memory ------------------------------------------------------------- */

static bool is_over(uint64_t used, uint64_t more, uint64_t max)
{
	return used > max || more > max - used;
}

bool vmbd_client_has_memory(const struct vmbd_client *c, uint64_t len)
{
	const struct vmbd_domain *domain = c->domain;

	return !is_over(c->memory, len, c->limits.of[VMBD_MEMORY]) &&
	       !is_over(domain->memory, len, domain->limits.of[VMBD_MEMORY]);
}

void vmbd_client_charge(struct vmbd_client *c, uint64_t len)
{
	c->memory += len;
	c->domain->memory += len;
}

int vmbd_client_map(struct vmbd_client *c, struct vmb_attachment *attachment,
		    struct vmb_platform_memory *memory)
{
	struct vmbd *d = c->d;
	int err;

	if (memory->kind != VMB_REGION_PROCESS &&
	    d->mappings >= d->mappings_max) {
		vmbd_client_warn(c, "all %u mappings of the daemon are in use",
				 d->mappings_max);
		return -ENOMEM;
	}
	if (memory->kind != VMB_REGION_PROCESS &&
	    !vmbd_client_may_take(c, VMBD_HAS_MAPPINGS, 1, "mapping"))
		return -ENOMEM;
	err = c->platform->ops->memory_map(c->transport, attachment, memory);
	if (err || !memory->base)
		return err;
	d->mappings++;
	vmbd_user_count(c->user, VMBD_HAS_MAPPINGS, 1);
	return 0;
}

void vmbd_client_unmap(struct vmbd_client *c,
		       struct vmb_platform_memory *memory)
{
	if (!memory->base)
		return;
	c->platform->ops->memory_unmap(c->transport, memory);
	c->d->mappings--;
	vmbd_user_count(c->user, VMBD_HAS_MAPPINGS, -1);
}

/* ---- arrival ------------------------------------------------------------ */

static struct vmbd_client *oldest_pending(struct vmbd *d, uid_t uid,
					  unsigned *of_user)
{
	struct vmbd_client *oldest = NULL;
	struct vmb_list *pos;

	*of_user = 0;
	vmb_list_each (pos, &d->pending) {
		if (client_of(pos)->who.guest || client_of(pos)->who.uid != uid)
			continue;
		if (!oldest)
			oldest = client_of(pos);
		++*of_user;
	}
	return oldest;
}

static void make_room(struct vmbd *d, uid_t uid)
{
	struct vmbd_client *oldest;
	unsigned of_user;

	oldest = oldest_pending(d, uid, &of_user);
	if (of_user < PENDING_PER_USER && d->pending_count < PENDING_MAX)
		return;
	if (of_user < PENDING_PER_USER)
		oldest = client_of(d->pending.next);
	oldest->platform->ops->drop(oldest->transport,
				    "said no hello, others came");
}

static int on_arrived(void *arg, struct vmb_transport *t,
		      const struct vmb_credentials *who,
		      struct vmbd_client **client)
{
	const struct vmbd_platform *platform = arg;
	struct vmbd *d = platform->d;
	char owner[VMBD_OWNER_BYTES];
	struct vmbd_client *c;

	if (!who->guest) /* that of a guest comes with its hello */
		make_room(d, who->uid);
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->d = d;
	c->platform = platform;
	c->number = ++d->last_client;
	c->transport = t;
	c->who = *who;
	vmb_list_init(&c->endpoints);
	vmb_list_init(&c->regions);
	vmb_list_init(&c->lanes);
	vmb_list_append(&d->pending, &c->node);
	d->pending_count++;
	if (who->groups_unknown)
		vmbd_client_warn(c, "it is in more than %u groups, none counts",
				 VMB_GROUPS_MAX);
	vmb_debug("client %u arrives: %s", c->number,
		  vmbd_client_owner(c, owner));
	*client = c;
	return 0;
}

/* One more client of its user, unless that has enough of them. */
static int enter_user(struct vmbd_client *c)
{
	int err;

	err = vmbd_user_enter(c->d, c->who.uid, &c->user);
	if (err)
		return err;
	if (c->user->clients > c->limits.of[VMBD_CLIENTS]) {
		vmbd_client_warn(
			c, "not admitted: its user has %llu clients",
			(unsigned long long)c->limits.of[VMBD_CLIENTS]);
	} else if (vmbd_client_may_take(c, VMBD_HAS_DESCRIPTORS,
					VMBD_DESCRIPTORS_OF_CLIENT, "hello")) {
		vmbd_user_count(c->user, VMBD_HAS_DESCRIPTORS,
				VMBD_DESCRIPTORS_OF_CLIENT);
		return 0;
	}
	vmbd_user_leave(c->user);
	c->user = NULL;
	return -EUSERS;
}

static void leave_user(struct vmbd_client *c)
{
	if (!c->user)
		return;
	vmbd_user_count(c->user, VMBD_HAS_DESCRIPTORS,
			-(int)VMBD_DESCRIPTORS_OF_CLIENT);
	vmbd_user_leave(c->user);
	c->user = NULL;
}

/* May this process be a client at all? A guest was asked when attached. */
static int check_user(struct vmbd_client *c)
{
	struct vmbd *d = c->d;

	vmbd_policy_client(d->policy, &c->who, &c->limits);
	if (!c->limits.of[VMBD_ALLOW]) {
		vmbd_client_warn(c, "not admitted: the policy does not allow "
				    "this user");
		return -EACCES;
	}
	return enter_user(c);
}

static void say_kept_out(struct vmbd_client *c, const char *domain, int err)
{
	if (err == -EACCES && !c->who.guest &&
	    vmbd_domain_is_barred(c->d, domain, &c->who))
		vmbd_client_warn(c,
				 "not admitted to domain '%.80s': the policy "
				 "names it; say there who may: [domain %.80s] "
				 "owner = %u, or allow = yes",
				 domain, domain, (unsigned)c->who.uid);
	else if (err == -EACCES && !c->who.guest &&
		 vmbd_domain_has_strangers(c->d, domain))
		vmbd_client_warn(
			c,
			"not admitted to domain '%.80s': the policy "
			"keeps out somebody who is inside since before "
			"(vmbctl clients)",
			domain);
	else
		vmbd_client_warn(c, "not admitted to domain '%.80s': %s",
				 domain, strerror(-err));
}

int vmbd_client_admit(struct vmbd_client *c, const char *domain)
{
	struct vmb_log_field fields[ABOUT];
	char owner[VMBD_OWNER_BYTES];
	struct vmbd *d = c->d;
	int err;

	err = c->who.guest ? 0 : check_user(c);
	if (err)
		return err;
	err = vmbd_domain_enter(d, domain, &c->who, &c->domain);
	if (err) {
		say_kept_out(c, domain, err);
		leave_user(c);
		return err;
	}
	if (c->who.guest) /* all its processes together, and any of them */
		c->limits = c->domain->limits;
	else if (c->domain->limits.set & 1u << VMBD_PEERS)
		c->limits.of[VMBD_PEERS] &= c->domain->limits.of[VMBD_PEERS];
	vmb_list_remove(&c->node);
	d->pending_count--;
	vmb_list_append(&d->clients, &c->node);
	d->client_count++;
	if (vmbd_talk_may(d, &c->who, VMBD_TALK_COMING))
		vmb_log_with(VMB_LOG_INFO, about(c, "client_came", fields),
			     "client %u: %s in domain %u%s%s", c->number,
			     vmbd_client_owner(c, owner), c->domain->id,
			     domain[0] ? " " : "", domain);
	return 0;
}

struct vmbd_client *vmbd_client_by_number(struct vmbd *d, uint32_t number)
{
	struct vmb_list *pos;

	vmb_list_each (pos, &d->clients)
		if (client_of(pos)->number == number)
			return client_of(pos);
	return NULL;
}

/* ---- departure ---------------------------------------------------------- */

/* The order matters: endpoints use regions, regions use the mover. */
static void give_back(struct vmbd_client *c)
{
	while (!vmb_list_empty(&c->endpoints))
		vmbd_endpoint_close(vmb_list_first(&c->endpoints,
						   struct vmbd_endpoint, node),
				    false); /* nobody is left to wait */
	while (!vmb_list_empty(&c->regions))
		vmbd_region_remove(
			vmb_list_first(&c->regions, struct vmbd_region, node));
	if (c->mover)
		vmb_nic_mover_close(c->mover);
}

static void on_left(struct vmbd_client *c, const char *why)
{
	struct vmb_log_field fields[ABOUT];
	char owner[VMBD_OWNER_BYTES];
	struct vmbd *d = c->d;

	vmb_list_remove(&c->node);
	if (!c->domain) {
		d->pending_count--;
		vmb_debug("client %u leaves before hello: %s", c->number, why);
		free(c);
		return;
	}
	if (vmbd_talk_may(d, &c->who, VMBD_TALK_COMING))
		vmb_log_with(
			VMB_LOG_INFO, about(c, "client_left", fields),
			"client %u leaves (%s), %s: %u endpoints, %u regions",
			c->number, why, vmbd_client_owner(c, owner),
			c->endpoint_count, c->region_count);
	give_back(c);
	d->client_count--;
	vmbd_domain_leave(c->domain);
	leave_user(c);
	free(c);
}

const struct vmb_platform_events vmbd_client_events = {
	.arrived = on_arrived,
	.attachments = vmbd_control_attachments,
	.request = vmbd_control_request,
	.memory_ready = vmbd_control_memory_ready,
	.left = on_left,
	.guest_wanted = vmbd_guest_wanted,
	.guest_attached = vmbd_guest_attached,
	.guest_detached = vmbd_guest_detached,
	.guest_lied = vmbd_guest_lied,
};
