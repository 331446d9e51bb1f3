// SPDX-License-Identifier: BSD-2-Clause
/*
 * command.c - see command.h.
 *
 * Flow:  admin.c -> table of commands -> report.c, or a change
 * Owns:  nothing.
 * Trust: the request is JSON, of an administrator who can err: types and
 *        ranges are checked, and an error says what is allowed.
 */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "domain.h"
#include "guest.h"
#include "report.h"

#define FAULTS_DEFAULT 64
#define FAULTS_MAX 4096

static int fail(struct vmbd_command_result *result, int err, const char *format,
		...) __attribute__((format(printf, 3, 4)));

static int fail(struct vmbd_command_result *result, int err, const char *format,
		...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(result->error, sizeof(result->error), format, args);
	va_end(args);
	return err;
}

/* ---- questions ---------------------------------------------------------- */

static int answer(struct vmbd_command_result *result, json_t *data)
{
	if (!data)
		return fail(result, -ENOMEM, "no memory");
	result->data = data;
	return 0;
}

#define QUESTION(noun)                                              \
	static int do_##noun(struct vmbd *d, const json_t *request, \
			     struct vmbd_command_result *result)    \
	{                                                           \
		(void)request;                                      \
		return answer(result, vmbd_report_##noun(d));       \
	}

QUESTION(status)
QUESTION(clients)
QUESTION(guests)
QUESTION(domains)
QUESTION(endpoints)
QUESTION(regions)
QUESTION(lanes)
QUESTION(peers)
QUESTION(limits)

static int do_faults(struct vmbd *d, const json_t *request,
		     struct vmbd_command_result *result)
{
	const json_t *max = json_object_get(request, "max");
	json_int_t n = max ? json_integer_value(max) : FAULTS_DEFAULT;

	if ((max && !json_is_integer(max)) || n < 1 || n > FAULTS_MAX)
		return fail(result, -EINVAL, "max: allowed is 1 to %d",
			    FAULTS_MAX);
	return answer(result, vmbd_report_faults(d, (size_t)n));
}

/* Opened again, so that its file description allows reading only. */
static int do_stats(struct vmbd *d, const json_t *request,
		    struct vmbd_command_result *result)
{
	char path[64];
	int err;

	(void)request;
	snprintf(path, sizeof(path), "/proc/self/fd/%d",
		 vmb_nic_stats_fd(d->nic));
	result->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (result->fd >= 0)
		return 0;
	err = errno;
	return fail(result, -err, "cannot open the statistics: %s",
		    strerror(err));
}

/* ---- changes ------------------------------------------------------------ */

/* Numbers of clients and domains have 32 bits, those of JSON have 64. */
static bool read_number(const json_t *given, uint32_t *number)
{
	json_int_t n = json_integer_value(given);

	if (!json_is_integer(given) || n < 0 || n > UINT32_MAX)
		return false;
	*number = (uint32_t)n;
	return true;
}

/* Digits only, and not too many. */
static bool read_digits(const char *text, uint32_t *number)
{
	unsigned long long n;

	if (!*text || text[strspn(text, "0123456789")])
		return false;
	errno = 0;
	n = strtoull(text, NULL, 10);
	if (errno || n > UINT32_MAX)
		return false;
	*number = (uint32_t)n;
	return true;
}

/* A name may be all digits, too: it counts before a number as text. */
static struct vmbd_domain *find_domain(struct vmbd *d, const json_t *which)
{
	const char *text = json_string_value(which);
	struct vmbd_domain *domain;
	uint32_t id;

	if (!text)
		return read_number(which, &id) ? vmbd_domain_by_id(d, id)
					       : NULL;
	domain = *text ? vmbd_domain_by_name(d, text) : NULL;
	if (!domain && read_digits(text, &id))
		domain = vmbd_domain_by_id(d, id);
	return domain;
}

/* The limits of the client or domain that the request names, or NULL. */
/* Of a client or a domain, and whose they are. */
static struct vmbd_limits *find_limits(struct vmbd *d, const json_t *request,
				       struct vmb_log_field *whose)
{
	const json_t *number = json_object_get(request, "client");
	struct vmbd_domain *domain;
	struct vmbd_client *c;
	uint32_t which;

	if (number) {
		c = read_number(number, &which)
			    ? vmbd_client_by_number(d, which)
			    : NULL;
		if (!c)
			return NULL;
		*whose = (struct vmb_log_field)VMB_LOG_NUMBER("client",
							      c->number);
		return &c->limits;
	}
	domain = find_domain(d, json_object_get(request, "domain"));
	if (!domain)
		return NULL;
	*whose = (struct vmb_log_field)VMB_LOG_NUMBER("domain", domain->id);
	return &domain->limits;
}

/* 1: given and good; 0: not given; -errno. */
static int read_limit(const json_t *request, enum vmbd_key key, uint64_t *value,
		      struct vmbd_command_result *result)
{
	const json_t *given = json_object_get(request, vmbd_key_name(key));
	json_int_t n = json_integer_value(given);

	if (!given)
		return 0;
	if (!json_is_integer(given) || n < 0 ||
	    !vmbd_key_allows(key, (uint64_t)n))
		return fail(result, -EINVAL, "%s: out of range",
			    vmbd_key_name(key));
	*value = (uint64_t)n;
	return 1;
}

static const char *limit_text(uint64_t limit, char text[24])
{
	if (limit == UINT64_MAX)
		return "unlimited";
	snprintf(text, 24, "%llu", (unsigned long long)limit);
	return text;
}

static void say_limits(const struct vmbd_limits *limits,
		       const struct vmb_log_field *whose)
{
	uint64_t endpoints = limits->of[VMBD_ENDPOINTS];
	uint64_t memory = limits->of[VMBD_MEMORY];
	char texts[2][24];

	vmb_log_with(VMB_LOG_INFO,
		     VMB_LOG_FIELDS(VMB_LOG_TEXT("event", "limits_set"), *whose,
				    VMB_LOG_NUMBER("endpoints", endpoints),
				    VMB_LOG_NUMBER("memory", memory)),
		     "limits of %s %llu: endpoints %s memory %s", whose->key,
		     (unsigned long long)whose->number,
		     limit_text(endpoints, texts[0]),
		     limit_text(memory, texts[1]));
}

static int do_set_limit(struct vmbd *d, const json_t *request,
			struct vmbd_command_result *result)
{
	static const enum vmbd_key keys[] = {VMBD_ENDPOINTS, VMBD_MEMORY};
	struct vmb_log_field whose;
	struct vmbd_limits *limits = find_limits(d, request, &whose);
	struct vmbd_limits changed;
	int given, any = 0;

	if (!limits)
		return fail(result, -ENOENT,
			    "no such client or domain: see `vmbctl clients` "
			    "and `vmbctl domains`");
	changed = *limits;
	for (unsigned i = 0; i < vmb_array_size(keys); i++) {
		given = read_limit(request, keys[i], &changed.of[keys[i]],
				   result);
		if (given < 0)
			return given;
		any |= given;
	}
	if (!any)
		return fail(result, -EINVAL,
			    "wanted is \"endpoints\":N or \"memory\":N");
	*limits = changed;
	say_limits(limits, &whose);
	return 0;
}

static int do_set_weight(struct vmbd *d, const json_t *request,
			 struct vmbd_command_result *result)
{
	struct vmbd_domain *domain;
	uint64_t weight;
	int given;

	domain = find_domain(d, json_object_get(request, "domain"));
	if (!domain)
		return fail(result, -ENOENT,
			    "no such domain: see `vmbctl domains`");
	given = read_limit(request, VMBD_WEIGHT, &weight, result);
	if (given <= 0)
		return fail(result, -EINVAL, "weight: allowed is 1 to 256");
	vmbd_domain_set_weight(domain, (uint32_t)weight);
	vmb_log_with(VMB_LOG_INFO,
		     VMB_LOG_FIELDS(VMB_LOG_TEXT("event", "weight_set"),
				    VMB_LOG_NUMBER("domain", domain->id),
				    VMB_LOG_NUMBER("weight", domain->weight)),
		     "domain %u %s: weight %u", domain->id, domain->name,
		     domain->weight);
	return 0;
}

/* ---- guests ------------------------------------------------------------- */

static int change_guest(struct vmbd *d, const json_t *request,
			struct vmbd_command_result *result,
			int (*change)(struct vmbd *d, const char *which,
				      char why[VMB_ERROR_BYTES]))
{
	const char *which =
		json_string_value(json_object_get(request, "guest"));
	char why[VMB_ERROR_BYTES] = "";
	int err;

	if (!which || !*which)
		return fail(result, -EINVAL,
			    "wanted is \"guest\":\"name or number\"");
	err = change(d, which, why);
	return err ? fail(result, err, "%s", why) : 0;
}

static int do_attach(struct vmbd *d, const json_t *request,
		     struct vmbd_command_result *result)
{
	return change_guest(d, request, result, vmbd_guest_attach);
}

static int do_detach(struct vmbd *d, const json_t *request,
		     struct vmbd_command_result *result)
{
	return change_guest(d, request, result, vmbd_guest_detach);
}

/* ---- the table ---------------------------------------------------------- */

static const struct command {
	const char *name;
	int (*run)(struct vmbd *d, const json_t *request,
		   struct vmbd_command_result *result);
} commands[] = {
	{"status", do_status},	     {"clients", do_clients},
	{"guests", do_guests},	     {"attach", do_attach},
	{"detach", do_detach},	     {"domains", do_domains},
	{"endpoints", do_endpoints}, {"regions", do_regions},
	{"lanes", do_lanes},	     {"peers", do_peers},
	{"faults", do_faults},	     {"limits", do_limits},
	{"set-limit", do_set_limit}, {"set-weight", do_set_weight},
	{"stats", do_stats},
};

static int unknown(const char *name, struct vmbd_command_result *result)
{
	size_t n = (size_t)snprintf(result->error, sizeof(result->error),
				    "unknown command \"%.40s\"; known:", name);

	for (size_t i = 0; i < vmb_array_size(commands); i++)
		n += (size_t)snprintf(result->error + n,
				      sizeof(result->error) - n, " %s",
				      commands[i].name);
	return -EINVAL;
}

int vmbd_command_run(struct vmbd *d, const json_t *request,
		     struct vmbd_command_result *result)
{
	const char *name = json_string_value(json_object_get(request, "cmd"));

	*result = (struct vmbd_command_result){.fd = -1};
	for (size_t i = 0; name && i < vmb_array_size(commands); i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].run(d, request, result);
	return unknown(name ? name : "", result);
}
