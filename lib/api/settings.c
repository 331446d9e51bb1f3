// SPDX-License-Identifier: BSD-2-Clause
/*
 * settings.c - what the environment and a file say about waiting and
 * protocols: vmbypass.conf(5).
 *
 * Flow:  vmb_init() -> [here] -> vmb_library.settings -> vmb_open()
 * Owns:  nothing.
 * Trust: the environment and the file are input. A value that makes no sense
 *        is named in a warning, together with what is allowed, and the default
 *        is used.
 */
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/log.h"
#include "base/paths.h"

#define EAGER_DEFAULT 8192
#define LANE_EAGER_DEFAULT VMB_BUF_MAX
#define LANE_STREAM_DEFAULT (1ul << 20)
#define LANE_STREAM_MAX (1ul << 40)
#define LANE_DIRECT_DEFAULT (1ul << 20)
#define LANE_DIRECT_MAX (1ul << 40)
#define LANE_MAPPED_DEFAULT (8ul << 10)
#define SPIN_US_DEFAULT 20
#define SPIN_US_MAX 1000000
#define LANES_DEFAULT 64
#define LANES_MAX 4096

#define VALUE_MAX 24 /* bytes of a value's text */

enum setting {
	WAIT,
	SPIN_US,
	EAGER,
	LANE_EAGER,
	LANE_STREAM,
	LANE_DIRECT,
	LANE_MAPPED,
	LANES,
	SETTINGS,
};

static const struct {
	const char *key, *variable;
} names[SETTINGS] = {
	[WAIT] = {"wait", "VMB_WAIT"},
	[SPIN_US] = {"spin_us", "VMB_SPIN_US"},
	[EAGER] = {"eager", "VMB_EAGER"},
	[LANE_EAGER] = {"lane_eager", "VMB_LANE_EAGER"},
	[LANE_STREAM] = {"lane_stream", "VMB_LANE_STREAM"},
	[LANE_DIRECT] = {"lane_direct", "VMB_LANE_DIRECT"},
	[LANE_MAPPED] = {"lane_mapped", "VMB_LANE_MAPPED"},
	[LANES] = {"lanes", "VMB_LANES"},
};

/* ---- the file ---------------------------------------------------------------- */

struct conf {
	const char *path;
	char value[SETTINGS][VALUE_MAX]; /* empty: not said */
};

static void read_line(struct conf *c, char *line, unsigned number)
{
	char key[16], value[VALUE_MAX], rest;

	line[strcspn(line, "#;\r\n")] = '\0';
	if (!line[strspn(line, " \t")])
		return;
	if (sscanf(line, " %15[a-z_] = %23s %c", key, value, &rest) != 2) {
		vmb_warn("%s: line %u is not KEY = VALUE", c->path, number);
		return;
	}
	for (int i = 0; i < SETTINGS; i++) {
		if (!strcmp(key, names[i].key)) {
			strcpy(c->value[i], value);
			return;
		}
	}
	vmb_warn("%s: line %u: no such setting: %s", c->path, number, key);
}

/* false: it cannot be read, so the next one counts. */
static bool read_file(struct conf *c, const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned number = 0;
	size_t room = 0;
	char *line = NULL;

	if (!file)
		return false;
	c->path = path;
	/* whole ones: the end of a long comment is no setting */
	while (getline(&line, &room, file) >= 0)
		read_line(c, line, ++number);
	free(line);
	fclose(file);
	return true;
}

static void read_conf(struct conf *c, char user[PATH_MAX])
{
	const char *chosen = getenv("VMB_CONF");

	if (chosen) {
		if (*chosen && !read_file(c, chosen))
			vmb_warn("VMB_CONF=%s cannot be read: %m", chosen);
		return;
	}
	if (vmb_user_conf(user, PATH_MAX) || !read_file(c, user))
		read_file(c, VMB_CONF_SYSTEM);
}

/* ---- values ------------------------------------------------------------------ */

/* The environment's word, else the file's, else NULL. */
static const char *text_of(const struct conf *c, enum setting s)
{
	const char *text = getenv(names[s].variable);

	if (text && *text)
		return text;
	return c->value[s][0] ? c->value[s] : NULL;
}

static void ignore(const struct conf *c, enum setting s, const char *allowed)
{
	const char *text = text_of(c, s);

	if (text == c->value[s])
		vmb_warn("%s: %s = %s ignored: use %s", c->path, names[s].key,
			 text, allowed);
	else
		vmb_warn("%s=%s ignored: use %s", names[s].variable, text,
			 allowed);
}

static enum vmb_wait_mode read_wait(const struct conf *c)
{
	const char *text = text_of(c, WAIT);

	if (!text || !strcmp(text, "adaptive"))
		return VMB_WAIT_ADAPTIVE;
	if (!strcmp(text, "spin"))
		return VMB_WAIT_SPIN;
	if (!strcmp(text, "block"))
		return VMB_WAIT_BLOCK;
	ignore(c, WAIT, "spin, adaptive or block");
	return VMB_WAIT_ADAPTIVE;
}

static unsigned long read_number(const struct conf *c, enum setting s,
				 unsigned long min, unsigned long max,
				 unsigned long preset)
{
	const char *text = text_of(c, s);
	unsigned long value;
	char allowed[80];
	char *end;

	if (!text)
		return preset;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && !*end && !errno &&
	    value >= min && value <= max)
		return value;
	snprintf(allowed, sizeof(allowed), "a number from %lu to %lu", min,
		 max);
	ignore(c, s, allowed);
	return preset;
}

/*
 * The engine copies once where a lane copies twice, but it needs a processor
 * while both sides spin on theirs.
 */
static unsigned long default_lane_stream(void)
{
	cpu_set_t ours;

	CPU_ZERO(&ours);
	if (!sched_getaffinity(0, sizeof(ours), &ours) && CPU_COUNT(&ours) < 3)
		return LANE_STREAM_MAX;
	return LANE_STREAM_DEFAULT;
}

void vmb_settings_read(struct vmb_settings *settings)
{
	struct conf conf = {0};
	char user[PATH_MAX];

	read_conf(&conf, user);
	settings->wait = read_wait(&conf);
	settings->eager_max = read_number(&conf, EAGER, VMB_EAGER_MIN,
					  VMB_BUF_MAX, EAGER_DEFAULT);
	settings->lane_eager_max = read_number(&conf, LANE_EAGER, VMB_EAGER_MIN,
					       VMB_BUF_MAX, LANE_EAGER_DEFAULT);
	settings->lane_stream_max = read_number(
		&conf, LANE_STREAM, 0, LANE_STREAM_MAX, default_lane_stream());
	settings->lane_direct_max = read_number(
		&conf, LANE_DIRECT, 0, LANE_DIRECT_MAX, LANE_DIRECT_DEFAULT);
	settings->lane_mapped_max = read_number(
		&conf, LANE_MAPPED, 0, LANE_DIRECT_MAX, LANE_MAPPED_DEFAULT);
	settings->spin_ns =
		1000u * (uint64_t)read_number(&conf, SPIN_US, 0, SPIN_US_MAX,
					      SPIN_US_DEFAULT);
	settings->lanes = (unsigned)read_number(&conf, LANES, 0, LANES_MAX,
						LANES_DEFAULT);
}
