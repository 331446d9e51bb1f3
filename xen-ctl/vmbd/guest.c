// SPDX-License-Identifier: BSD-2-Clause
/*
 * guest.c - see guest.h.
 *
 * Flow:  vmbctl or the policy -> platform attaches -> vmbd_guest_attached()
 *        -> its clients come and go -> vmbd_guest_detached()
 * Owns:  the list of guests, and their protection domains.
 * Trust: who a guest is, is said by the machine that hosts it. Its name is the
 *        administrator's, and checked for shape all the same.
 */
#include "guest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "domain.h"

static struct vmbd_guest *guest_of(struct vmb_list *node)
{
	return vmb_container_of(node, struct vmbd_guest, node);
}

/* ---- log ---------------------------------------------------------------- */

static __attribute__((format(printf, 4, 5))) void
say(const struct vmbd_guest *guest, enum vmb_log_level level, const char *event,
    const char *format, ...)
{
	char text[VMB_ERROR_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	vmb_log_with(
		level,
		VMB_LOG_FIELDS(VMB_LOG_TEXT("event", event),
			       VMB_LOG_TEXT("guest", guest->who.name),
			       VMB_LOG_NUMBER("number", guest->who.id),
			       VMB_LOG_NUMBER("domain", guest->domain->id)),
		"%s", text);
}

/* ---- events ------------------------------------------------------------- */

static bool policy_says(struct vmbd *d, const char *name, enum vmbd_key key)
{
	struct vmbd_limits limits;

	vmbd_policy_guest(d->policy, name, &limits);
	return limits.of[key];
}

bool vmbd_guest_wanted(void *arg, const struct vmb_guest_identity *who)
{
	struct vmbd *d = ((const struct vmbd_platform *)arg)->d;

	return policy_says(d, who->name, VMBD_ALLOW) &&
	       policy_says(d, who->name, VMBD_ATTACH);
}

static int refuse(int err, const char *name, char why[VMB_ERROR_BYTES])
{
	const char *text = strerror(-err);

	if (err == -EACCES)
		text = "the policy does not allow it (allow = no)";
	else if (err == -EINVAL)
		text = "its name is no board name: allowed are letters, "
		       "digits, '.', '_', '-', at most 77, not \"localhost\"";
	else if (err == -EEXIST)
		text = "its name is that of this host or of a protection "
		       "domain here";
	snprintf(why, VMB_ERROR_BYTES, "guest %.80s: %s", name, text);
	return err;
}

int vmbd_guest_attached(void *arg, struct vmb_guest *g,
			const struct vmb_guest_identity *who,
			struct vmbd_guest **result, char why[VMB_ERROR_BYTES])
{
	const struct vmbd_platform *platform = arg;
	struct vmbd *d = platform->d;
	struct vmbd_guest *guest;
	int err;

	if (!policy_says(d, who->name, VMBD_ALLOW))
		return refuse(-EACCES, who->name, why);
	guest = calloc(1, sizeof(*guest));
	if (!guest)
		return refuse(-ENOMEM, who->name, why);
	guest->platform = platform;
	guest->guest = g;
	guest->who = *who;
	err = vmbd_domain_add(guest, &guest->domain);
	if (err) {
		free(guest);
		return refuse(err, who->name, why);
	}
	vmb_list_append(&d->guests, &guest->node);
	say(guest, VMB_LOG_INFO, "guest_attached",
	    "guest %s (number %u) is attached: domain %u", who->name, who->id,
	    guest->domain->id);
	*result = guest;
	return 0;
}

void vmbd_guest_detached(struct vmbd_guest *guest)
{
	say(guest, VMB_LOG_INFO, "guest_detached",
	    "guest %s (number %u) is detached", guest->who.name, guest->who.id);
	vmb_list_remove(&guest->node);
	vmbd_domain_remove(guest->domain);
	free(guest);
}

void vmbd_guest_lied(struct vmbd_guest *guest, unsigned fault, uint64_t value)
{
	struct vmbd *d = guest->platform->d;

	guest->faults++;
	vmb_nic_fault_report(d->nic, guest->domain->nic, fault, 0, value);
	say(guest, VMB_LOG_WARN, "guest_lied", "guest %s: %s (0x%llx)",
	    guest->who.name, vmb_nic_code_text(fault),
	    (unsigned long long)value);
}

/* ---- what the administrator wants --------------------------------------- */

static struct vmbd_guest *find(struct vmbd *d, const char *which)
{
	struct vmb_list *pos;
	char number[16];

	vmb_list_each (pos, &d->guests) {
		struct vmbd_guest *guest = guest_of(pos);

		snprintf(number, sizeof(number), "%u", guest->who.id);
		if (!strcmp(guest->who.name, which) || !strcmp(number, which))
			return guest;
	}
	return NULL;
}

static const struct vmbd_platform *hosting(struct vmbd *d,
					   char why[VMB_ERROR_BYTES])
{
	for (unsigned i = 0; i < d->platform_count; i++)
		if (d->platforms[i].ops->guest_attach)
			return &d->platforms[i];
	snprintf(why, VMB_ERROR_BYTES,
		 "this daemon serves no guests, see vmbd --help");
	return NULL;
}

int vmbd_guest_attach(struct vmbd *d, const char *which,
		      char why[VMB_ERROR_BYTES])
{
	const struct vmbd_platform *platform = hosting(d, why);

	if (!platform)
		return -EOPNOTSUPP;
	if (find(d, which)) {
		snprintf(why, VMB_ERROR_BYTES, "guest %.80s is attached: %s",
			 which,
			 platform->ops->guest_state(find(d, which)->guest));
		return -EEXIST;
	}
	return platform->ops->guest_attach(platform->platform, which, why);
}

int vmbd_guest_detach(struct vmbd *d, const char *which,
		      char why[VMB_ERROR_BYTES])
{
	const struct vmbd_platform *platform = hosting(d, why);
	struct vmbd_guest *guest = find(d, which);

	if (!platform)
		return -EOPNOTSUPP;
	if (!guest) {
		snprintf(why, VMB_ERROR_BYTES, "guest %.80s is not attached",
			 which);
		return -ENOENT;
	}
	return platform->ops->guest_detach(platform->platform, guest->guest,
					   why);
}

void vmbd_guest_reconsider(struct vmbd *d)
{
	for (unsigned i = 0; i < d->platform_count; i++)
		if (d->platforms[i].ops->guests_reconsider)
			d->platforms[i].ops->guests_reconsider(
				d->platforms[i].platform);
}
