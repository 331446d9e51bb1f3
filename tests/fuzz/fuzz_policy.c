// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_policy.c - any bytes as the policy file, against a naive reading of what
 * vmbd.conf(5) says must come of them.
 *
 * Flow:  fuzzer -> memfd -> policy.c -> sections, or a refusal; the model reads
 *        the same bytes
 * Owns:  the memfd.
 * Trust: the file is the fuzzer's. What the page does not say of a line (a
 *        line that is continued, a comment behind a value) the model leaves
 *        open; whatever is accepted must be allowed all the same.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "fuzz.h"
#include "name.h"
#include "policy.h"

#define SECTIONS 64u
#define LINE_MAX_BYTES 199u
#define HEADING_MAX_BYTES 48u

enum verdict {
	GOOD,
	BAD,
	OPEN, /* the page does not say */
};

static const struct {
	const char *name, *zero, *one; /* words, or NULL: a number */
	uint64_t min, max;
} m_keys[VMBD_KEYS] = {
	[VMBD_ALLOW] = {"allow", "no", "yes", 0, 1},
	[VMBD_ATTACH] = {"attach", "no", "yes", 0, 1},
	[VMBD_PEERS] = {"peers", "domain", "all", 0, 1},
	[VMBD_ENDPOINTS] = {"endpoints", NULL, NULL, 0, 65535},
	[VMBD_MEMORY] = {"memory", NULL, NULL, 0, 1ull << 40},
	[VMBD_REGIONS] = {"regions", NULL, NULL, 0, 65535},
	[VMBD_CLIENTS] = {"clients", NULL, NULL, 0, 65535},
	[VMBD_WEIGHT] = {"weight", NULL, NULL, 1, 256},
	[VMBD_LANES] = {"lanes", NULL, NULL, 0, 65535},
	[VMBD_OWNER] = {"owner", NULL, NULL, 0, UINT32_MAX - 1},
};

static const char *const m_kinds[VMBD_SECTIONS] = {
	[VMBD_SECTION_DEFAULT] = "default",
	[VMBD_SECTION_GROUP] = "group ",
	[VMBD_SECTION_USER] = "user ",
	[VMBD_SECTION_DOMAIN] = "domain ",
	[VMBD_SECTION_DEFAULT_GUEST] = "default-guest",
	[VMBD_SECTION_GUEST] = "guest ",
};

static int file = -1;
static char path[32];
static struct vmbd_section sections[SECTIONS]; /* of the model */
static unsigned count;
static struct vmbd_section *current, fresh; /* the last heading */

/* ---- the model: headings --------------------------------------------------- */

static bool is_number(const char *s)
{
	return *s && strspn(s, "0123456789") == strlen(s);
}

static enum verdict m_heading(const char *text)
{
	const char *name = NULL;
	unsigned kind;

	if (strlen(text) > HEADING_MAX_BYTES)
		return BAD;
	if (*text && text[strlen(text) - 1] == ' ')
		return OPEN;
	for (kind = 0; kind < VMBD_SECTIONS; kind++) {
		size_t len = strlen(m_kinds[kind]);
		bool named = m_kinds[kind][len - 1] == ' ';

		if (named ? !strncmp(text, m_kinds[kind], len)
			  : !strcmp(text, m_kinds[kind])) {
			name = text + len;
			break;
		}
	}
	if (!name)
		return BAD;
	memset(&fresh, 0, sizeof(fresh));
	fresh.kind = kind;
	snprintf(fresh.name, sizeof(fresh.name), "%s", name);
	if (kind == VMBD_SECTION_USER || kind == VMBD_SECTION_GROUP) {
		if (!is_number(name) || strlen(name) > 9)
			return OPEN; /* who is known on this machine? */
		fresh.id = (uint32_t)atoi(name);
	} else if (*name || m_kinds[kind][strlen(m_kinds[kind]) - 1] == ' ') {
		if (strchr(name, ' ') == name)
			return OPEN; /* more spaces */
		if (!vmbd_name_is_domain(name))
			return BAD;
	}
	return GOOD;
}

/* A section begins with its first key; one that was there goes on. */
static struct vmbd_section *m_section(void)
{
	for (unsigned i = 0; i < count; i++)
		if (sections[i].kind == fresh.kind &&
		    !strcmp(sections[i].name, fresh.name))
			return &sections[i];
	if (count == SECTIONS)
		return NULL;
	sections[count] = fresh;
	return &sections[count++];
}

/* ---- the model: keys -------------------------------------------------------- */

static bool m_value(unsigned key, const char *text, uint64_t *value)
{
	static const char units[] = "KMGT";
	unsigned __int128 n = 0;
	const char *unit;

	if (m_keys[key].zero) {
		*value = !strcmp(text, m_keys[key].one);
		return *value || !strcmp(text, m_keys[key].zero);
	}
	if (*text < '0' || *text > '9')
		return false;
	for (; *text >= '0' && *text <= '9'; text++)
		n = n > UINT64_MAX ? n : n * 10 + (unsigned)(*text - '0');
	unit = *text && key == VMBD_MEMORY ? strchr(units, *text) : NULL;
	if (unit && n <= UINT64_MAX) {
		n <<= 10 * (unit - units + 1);
		text++;
	}
	*value = (uint64_t)n;
	return !*text && n >= m_keys[key].min && n <= m_keys[key].max;
}

static enum verdict m_key(char *name, const char *text)
{
	unsigned key;
	uint64_t value;
	bool guests, domain;

	if (!current)
		current = m_section();
	if (!current)
		return OPEN;
	guests = current->kind == VMBD_SECTION_GUEST ||
		 current->kind == VMBD_SECTION_DEFAULT_GUEST;
	domain = current->kind == VMBD_SECTION_DOMAIN;
	for (key = 0; key < VMBD_KEYS; key++)
		if (!strcmp(name, m_keys[key].name))
			break;
	if (key == VMBD_KEYS || (key == VMBD_ATTACH && !guests) ||
	    (key == VMBD_OWNER && !domain))
		return BAD;
	if (key == VMBD_OWNER && !m_value(key, text, &value))
		return OPEN; /* who is known on this machine? */
	if (!m_value(key, text, &value))
		return BAD;
	current->limits.of[key] = value;
	current->limits.set |= 1u << key;
	return GOOD;
}

/* ---- the model: lines --------------------------------------------------------- */

/* [KIND] or [KIND NAME]. It counts with its first key: till then BAD is none. */
static enum verdict m_heading_line(char *line, size_t len)
{
	enum verdict v;

	if (line[len - 1] != ']' || strchr(line, ']') != line + len - 1)
		return OPEN;
	line[len - 1] = 0;
	current = NULL;
	v = m_heading(line + 1);
	if (v == BAD)
		fresh.kind = VMBD_SECTIONS;
	return v == BAD ? GOOD : v;
}

/* A line as the page has them: no spaces at its ends, one comment or none. */
static enum verdict m_line(char *line)
{
	size_t len = strlen(line);
	char *equal;

	if (!len || *line == ';' || *line == '#')
		return GOOD;
	if (strpbrk(line, ";#:\t\v\f\r\xef") || *line == ' ' ||
	    line[len - 1] == ' ')
		return OPEN;
	if (*line == '[')
		return m_heading_line(line, len);
	equal = strstr(line, " = ");
	if (!equal || strchr(line, '=') != equal + 1 || equal[3] == ' ' ||
	    equal[-1] == ' ')
		return OPEN;
	if (fresh.kind == VMBD_SECTIONS)
		return BAD;
	*equal = 0;
	return m_key(line, equal + 3);
}

/* The verdict of the worst line. */
static enum verdict m_read(const char *text, size_t size)
{
	const char *end = text + size, *next;
	char line[LINE_MAX_BYTES + 1];
	enum verdict worst = GOOD, v;
	size_t len;

	count = 0;
	current = NULL;
	fresh.kind = VMBD_SECTIONS;
	for (; text < end; text = next) {
		next = memchr(text, '\n', (size_t)(end - text));
		next = next ? next + 1 : end;
		len = (size_t)(next - text);
		if (len > LINE_MAX_BYTES || memchr(text, 0, len))
			return BAD;
		len -= text[len - 1] == '\n';
		memcpy(line, text, len);
		line[len] = 0;
		v = m_line(line);
		if (v == OPEN)
			return OPEN;
		worst = v == BAD ? BAD : worst;
	}
	return worst;
}

/* ---- the run ------------------------------------------------------------------ */

static void check_section(const struct vmbd_section *s)
{
	bool named = s->kind != VMBD_SECTION_DEFAULT &&
		     s->kind != VMBD_SECTION_DEFAULT_GUEST;

	fuzz_check(s->kind < VMBD_SECTIONS, "a kind that is none");
	fuzz_check(memchr(s->name, 0, sizeof(s->name)) && !*s->name == !named,
		   "a name where none belongs, or none");
	for (unsigned key = 0; key < VMBD_KEYS; key++)
		if (s->limits.set & 1u << key)
			fuzz_check(s->limits.of[key] >= m_keys[key].min &&
					   s->limits.of[key] <= m_keys[key].max,
				   "a value that is not allowed");
}

static void compare(const struct vmbd_policy *policy)
{
	fuzz_check(policy->count == count, "another number of sections");
	for (unsigned i = 0; i < count; i++) {
		const struct vmbd_section *s = &policy->sections[i];

		fuzz_check(s->kind == sections[i].kind &&
				   !strcmp(s->name, sections[i].name) &&
				   s->id == sections[i].id,
			   "another section");
		fuzz_check(s->limits.set == sections[i].limits.set,
			   "other keys are set");
		for (unsigned key = 0; key < VMBD_KEYS; key++)
			fuzz_check(!(s->limits.set & 1u << key) ||
					   s->limits.of[key] ==
						   sections[i].limits.of[key],
				   "another value");
	}
}

static void start(void)
{
	vmb_log_set_level(VMB_LOG_NONE);
	file = memfd_create("fuzz", MFD_CLOEXEC);
	fuzz_check(file >= 0 && !fchmod(file, 0600), "memfd");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmbd_policy *policy;
	enum verdict want;
	int err;

	if (file < 0)
		start();
	fuzz_check(!ftruncate(file, 0) &&
			   pwrite(file, data, size, 0) == (ssize_t)size,
		   "write");
	want = m_read((const char *)data, size);
	err = vmbd_policy_load(path, &policy);
	fuzz_check(!err || err == -EINVAL, "an error that cannot be");
	fuzz_check(want == OPEN || !err == (want == GOOD), "another verdict");
	if (err)
		return 0;
	for (unsigned i = 0; i < policy->count; i++)
		check_section(&policy->sections[i]);
	if (want == GOOD)
		compare(policy);
	vmbd_policy_free(policy);
	return 0;
}
