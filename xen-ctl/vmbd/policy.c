// SPDX-License-Identifier: BSD-2-Clause
/*
 * policy.c - see policy.h.
 *
 * Flow:  file -> inih -> one section per heading -> limits of a client when
 *        it says hello, of a domain when it is created
 * Owns:  the sections.
 * Trust: the file is the administrator's, and must be writable by nobody
 *        else; its text is checked word by word.
 */
#include "policy.h"

#include <errno.h>
#include <grp.h>
#include <ini.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "name.h"

#define SECTIONS_MAX 4096u
#define HEADING_MAX 48u /* bytes; inih cuts longer ones after one more */

static const struct key {
	const char *name;
	uint64_t min, max, builtin;
	const char *choice[2]; /* for 0 and 1; NULL: a number */
	bool is_size, is_user;
	const char *allowed;
} keys[VMBD_KEYS] = {
	[VMBD_ALLOW] = {.name = "allow",
			.max = 1,
			.choice = {"no", "yes"},
			.allowed = "yes or no"},
	[VMBD_ENDPOINTS] = {.name = "endpoints",
			    .max = 65535,
			    .builtin = 1024,
			    .allowed = "0 to 65535"},
	[VMBD_MEMORY] = {.name = "memory",
			 .max = VMB_REGION_BYTES_MAX,
			 .builtin = 4ull << 30,
			 .is_size = true,
			 .allowed = "a number of bytes, or of K, M, G or T, "
				    "up to 1T"},
	[VMBD_WEIGHT] = {.name = "weight",
			 .min = 1,
			 .max = 256,
			 .builtin = 1,
			 .allowed = "1 to 256"},
	[VMBD_CLIENTS] = {.name = "clients",
			  .max = 65535,
			  .builtin = 128,
			  .allowed = "0 to 65535"},
	[VMBD_REGIONS] = {.name = "regions",
			  .max = 65535,
			  .builtin = 4096,
			  .allowed = "0 to 65535"},
	[VMBD_PEERS] = {.name = "peers",
			.max = 1,
			.builtin = 1,
			.choice = {"domain", "all"},
			.allowed = "all or domain"},
	[VMBD_LANES] = {.name = "lanes",
			.max = 65535,
			.builtin = 256,
			.allowed = "0 to 65535"},
	[VMBD_ATTACH] = {.name = "attach",
			 .max = 1,
			 .choice = {"no", "yes"},
			 .allowed = "yes or no"},
	[VMBD_OWNER] = {.name = "owner",
			.max = UINT32_MAX - 1,
			.is_user = true,
			.allowed = "a user of this machine, or a number"},
};

static const char *const kind_names[] = {
	[VMBD_SECTION_DEFAULT] = "default",
	[VMBD_SECTION_GROUP] = "group",
	[VMBD_SECTION_USER] = "user",
	[VMBD_SECTION_DOMAIN] = "domain",
	[VMBD_SECTION_DEFAULT_GUEST] = "default-guest",
	[VMBD_SECTION_GUEST] = "guest",
};

const char *vmbd_key_name(enum vmbd_key key)
{
	return keys[key].name;
}

bool vmbd_key_is_choice(enum vmbd_key key)
{
	return keys[key].choice[0];
}

const char *vmbd_key_choice(enum vmbd_key key, uint64_t value)
{
	return keys[key].choice[!!value];
}

bool vmbd_key_allows(enum vmbd_key key, uint64_t value)
{
	return value >= keys[key].min && value <= keys[key].max;
}

const char *vmbd_section_kind_name(enum vmbd_section_kind kind)
{
	return kind_names[kind];
}

/* ---- the file ----------------------------------------------------------- */

struct reader {
	struct vmbd_policy *policy;
	FILE *file;
	int line, no_line; /* the last one; the one that cannot be read */
	char error[256];   /* of the first line that is wrong */
};

/* inih wants 0 for "wrong". */
static int wrong(struct reader *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int wrong(struct reader *r, const char *format, ...)
{
	va_list args;

	if (r->error[0])
		return 0;
	va_start(args, format);
	vsnprintf(r->error, sizeof(r->error), format, args);
	va_end(args);
	return 0;
}

/*
 * One line for inih, which would cut one that is too long and read its end,
 * perhaps of a comment, as the next line.
 */
static char *next_line(char *line, int size, void *arg)
{
	struct reader *r = arg;
	size_t room = 0;
	char *whole = NULL;
	ssize_t len = getline(&whole, &room, r->file);

	r->line++;
	if (len >= size || (len >= 0 && strlen(whole) != (size_t)len)) {
		r->no_line = r->line;
		wrong(r, "longer than %d bytes, or no text", size - 1);
		len = -1;
	}
	if (len >= 0)
		memcpy(line, whole, (size_t)len + 1);
	free(whole);
	return len >= 0 ? line : NULL;
}

static bool parse_number(const char *text, uint64_t *value, const char **rest)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	*rest = end;
	return !errno;
}

static bool parse_size(const char *text, uint64_t *value)
{
	static const char units[] = "KMGT";
	const char *rest, *unit;
	unsigned shift;

	if (!parse_number(text, value, &rest))
		return false;
	if (!*rest)
		return true;
	unit = strchr(units, *rest);
	if (!unit || rest[1])
		return false;
	shift = 10 * (unsigned)(unit - units + 1);
	if (*value > UINT64_MAX >> shift)
		return false;
	*value <<= shift;
	return true;
}

/* A number is one, whether somebody has it or not. */
static bool parse_user(const char *text, uint64_t *uid)
{
	const struct passwd *user;
	const char *rest;

	if (parse_number(text, uid, &rest) && !*rest && *uid < UINT32_MAX)
		return true;
	user = getpwnam(text);
	if (user)
		*uid = user->pw_uid;
	return user;
}

static bool parse_value(const struct key *key, const char *text,
			uint64_t *value)
{
	const char *rest;

	if (key->is_user)
		return parse_user(text, value);
	if (key->choice[0]) {
		for (*value = 0; *value < 2; ++*value)
			if (!strcmp(text, key->choice[*value]))
				return true;
		return false;
	}
	if (key->is_size ? !parse_size(text, value)
			 : !parse_number(text, value, &rest) || *rest)
		return false;
	return *value >= key->min && *value <= key->max;
}

static int find_id(struct reader *r, struct vmbd_section *s)
{
	const struct group *group;
	const char *rest;
	uint64_t number;

	if (s->kind == VMBD_SECTION_USER) {
		if (!parse_user(s->name, &number))
			return wrong(r, "no user %s on this machine", s->name);
		s->id = (uint32_t)number;
	} else if (parse_number(s->name, &number, &rest) && !*rest &&
		   number < UINT32_MAX) {
		s->id = (uint32_t)number;
	} else {
		group = getgrnam(s->name);
		if (!group)
			return wrong(r, "no group %s on this machine", s->name);
		s->id = group->gr_gid;
	}
	return 1;
}

static bool is_default(enum vmbd_section_kind kind)
{
	return kind == VMBD_SECTION_DEFAULT ||
	       kind == VMBD_SECTION_DEFAULT_GUEST;
}

static bool is_of_guests(enum vmbd_section_kind kind)
{
	return kind == VMBD_SECTION_DEFAULT_GUEST || kind == VMBD_SECTION_GUEST;
}

static int parse_heading(struct reader *r, const char *heading,
			 struct vmbd_section *s)
{
	size_t len = strcspn(heading, " \t");
	const char *name = heading + len + strspn(heading + len, " \t");

	memset(s, 0, sizeof(*s));
	if (strlen(heading) > HEADING_MAX)
		return wrong(r, "section [%s...: longer than %u bytes", heading,
			     HEADING_MAX);
	for (s->kind = VMBD_SECTION_DEFAULT; s->kind < VMBD_SECTIONS; s->kind++)
		if (strlen(kind_names[s->kind]) == len &&
		    !memcmp(heading, kind_names[s->kind], len))
			break;
	if (s->kind == VMBD_SECTIONS || is_default(s->kind) != !*name ||
	    strlen(name) >= sizeof(s->name))
		return wrong(r,
			     "section [%s]: allowed are [default], "
			     "[group NAME], [user NAME], [domain NAME], "
			     "[default-guest], [guest NAME]",
			     heading);
	snprintf(s->name, sizeof(s->name), "%s", name);
	if (is_default(s->kind))
		return 1;
	if (s->kind == VMBD_SECTION_USER || s->kind == VMBD_SECTION_GROUP)
		return find_id(r, s);
	return vmbd_name_is_domain(name)
		       ? 1
		       : wrong(r,
			       "%s %s: allowed are letters, digits, '.', '_', "
			       "'-'",
			       kind_names[s->kind], name);
}

static struct vmbd_section *add_section(struct reader *r,
					const struct vmbd_section *s)
{
	struct vmbd_policy *policy = r->policy;
	struct vmbd_section *grown;

	for (unsigned i = 0; i < policy->count; i++) {
		if (policy->sections[i].kind == s->kind &&
		    !strcmp(policy->sections[i].name, s->name))
			return &policy->sections[i];
	}
	if (policy->count == SECTIONS_MAX) {
		wrong(r, "more than %u sections", SECTIONS_MAX);
		return NULL;
	}
	grown = realloc(policy->sections, (policy->count + 1) * sizeof(*grown));
	if (!grown) {
		wrong(r, "no memory");
		return NULL;
	}
	policy->sections = grown;
	policy->sections[policy->count] = *s;
	return &policy->sections[policy->count++];
}

/* Some keys make sense in some sections only. */
static int check_place(struct reader *r, unsigned key,
		       enum vmbd_section_kind kind)
{
	if (key == VMBD_ATTACH && !is_of_guests(kind))
		return wrong(r, "key attach: allowed in [default-guest] and "
				"[guest NAME]");
	if (key == VMBD_OWNER && kind != VMBD_SECTION_DOMAIN)
		return wrong(r, "key owner: allowed in [domain NAME]");
	return 1;
}

static int on_line(void *arg, const char *heading, const char *name,
		   const char *value)
{
	struct reader *r = arg;
	struct vmbd_section parsed, *s;
	uint64_t number;

	if (!parse_heading(r, heading, &parsed))
		return 0;
	s = add_section(r, &parsed);
	if (!s)
		return 0;
	for (unsigned key = 0; key < VMBD_KEYS; key++) {
		if (strcmp(name, keys[key].name))
			continue;
		if (!parse_value(&keys[key], value, &number))
			return wrong(r, "%s = %s: allowed is %s", name, value,
				     keys[key].allowed);
		if (!check_place(r, key, s->kind))
			return 0;
		s->limits.of[key] = number;
		s->limits.set |= 1u << key;
		return 1;
	}
	return wrong(r,
		     "key %s: allowed are allow, endpoints, memory, weight, "
		     "clients, regions, lanes, peers, attach, owner",
		     name);
}

static int check_file(FILE *file, const char *path)
{
	struct stat st;

	if (fstat(fileno(file), &st))
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		vmb_error("policy %s is not a file", path);
		return -EINVAL;
	}
	if ((st.st_uid && st.st_uid != geteuid()) || (st.st_mode & 022)) {
		vmb_error("policy %s: others (owner %u, mode %o) can write it",
			  path, (unsigned)st.st_uid,
			  (unsigned)st.st_mode & 07777);
		return -EPERM;
	}
	return 0;
}

static int read_file(const char *path, struct vmbd_policy *policy)
{
	struct reader r = {.policy = policy, .file = fopen(path, "re")};
	int line, err;

	if (!r.file) {
		err = -errno;
		vmb_error("policy %s: %m", path);
		return err;
	}
	err = check_file(r.file, path);
	if (!err) {
		line = ini_parse_stream(next_line, &r, on_line, &r);
		line = line ?: r.no_line;
		if (line < 0)
			err = -ENOMEM;
		else if (line > 0)
			err = -EINVAL;
		if (err)
			vmb_error("policy %s line %d: %s", path, line,
				  r.error[0] ? r.error
					     : "neither [section], key = value "
					       "nor ; comment");
	}
	fclose(r.file);
	return err;
}

int vmbd_policy_load(const char *path, struct vmbd_policy **result)
{
	struct vmbd_policy *policy = calloc(1, sizeof(*policy));
	int err;

	if (!policy)
		return -ENOMEM;
	err = path ? read_file(path, policy) : 0;
	if (err) {
		vmbd_policy_free(policy);
		return err;
	}
	*result = policy;
	return 0;
}

void vmbd_policy_free(struct vmbd_policy *policy)
{
	if (!policy)
		return;
	free(policy->sections);
	free(policy);
}

/* ---- what holds --------------------------------------------------------- */

static void apply(struct vmbd_limits *limits, const struct vmbd_section *s)
{
	for (unsigned key = 0; key < VMBD_KEYS; key++)
		if (s->limits.set & 1u << key)
			limits->of[key] = s->limits.of[key];
	limits->set |= s->limits.set;
}

static bool concerns(const struct vmbd_section *s,
		     const struct vmb_credentials *who)
{
	switch (s->kind) {
	case VMBD_SECTION_DEFAULT:
		return true;
	case VMBD_SECTION_USER:
		return s->id == who->uid;
	case VMBD_SECTION_GROUP:
		for (unsigned i = 0; i < who->group_count; i++)
			if (s->id == who->groups[i])
				return true;
		return s->id == who->gid;
	default:
		return false;
	}
}

static void set_builtin(struct vmbd_limits *limits)
{
	limits->set = 0;
	for (unsigned key = 0; key < VMBD_KEYS; key++)
		limits->of[key] = keys[key].builtin;
}

void vmbd_policy_client(const struct vmbd_policy *policy,
			const struct vmb_credentials *who,
			struct vmbd_limits *limits)
{
	set_builtin(limits);
	limits->of[VMBD_ALLOW] = !who->uid || who->uid == geteuid();
	for (unsigned kind = 0; kind < VMBD_SECTION_DOMAIN; kind++)
		for (unsigned i = 0; i < policy->count; i++)
			if (policy->sections[i].kind == kind &&
			    concerns(&policy->sections[i], who))
				apply(limits, &policy->sections[i]);
}

void vmbd_policy_domain(const struct vmbd_policy *policy, const char *name,
			struct vmbd_limits *limits)
{
	limits->set = 0;
	for (unsigned key = 0; key < VMBD_KEYS; key++)
		limits->of[key] = UINT64_MAX;
	for (unsigned i = 0; i < policy->count; i++)
		if (policy->sections[i].kind == VMBD_SECTION_DOMAIN &&
		    !strcmp(policy->sections[i].name, name))
			apply(limits, &policy->sections[i]);
}

/* Whoever may attach a guest has allowed it, unless a section says no. */
void vmbd_policy_guest(const struct vmbd_policy *policy, const char *name,
		       struct vmbd_limits *limits)
{
	const struct vmbd_section *s;

	set_builtin(limits);
	limits->of[VMBD_ALLOW] = 1;
	for (unsigned kind = VMBD_SECTION_DEFAULT_GUEST; kind < VMBD_SECTIONS;
	     kind++)
		for (unsigned i = 0; i < policy->count; i++) {
			s = &policy->sections[i];
			if (s->kind == kind &&
			    (is_default(s->kind) || !strcmp(s->name, name)))
				apply(limits, s);
		}
}
