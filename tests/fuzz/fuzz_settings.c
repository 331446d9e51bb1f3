// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_settings.c - any bytes as vmbypass.conf, against a naive reading of what
 * vmbypass.conf(5) says must come of them.
 *
 * Flow:  fuzzer -> memfd, named by VMB_CONF -> settings.c -> settings; the
 *        model reads the same bytes
 * Owns:  the memfd, the environment.
 * Trust: the file is the fuzzer's. What makes no sense changes nothing, and
 *        no value is ever outside of its range.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/api.h"
#include "base/log.h"
#include "fuzz.h"

#define KEY_MAX 15u
#define VALUE_MAX 23u

enum key {
	WAIT,
	SPIN_US,
	EAGER,
	LANE_EAGER,
	LANE_STREAM,
	LANE_DIRECT,
	LANE_MAPPED,
	LANES,
	KEYS,
};

static const struct {
	const char *name;
	uint64_t min, max;
} keys[KEYS] = {
	[WAIT] = {.name = "wait"},
	[SPIN_US] = {"spin_us", 0, 1000000},
	[EAGER] = {"eager", 4096, 32768},
	[LANE_EAGER] = {"lane_eager", 4096, 32768},
	[LANE_STREAM] = {"lane_stream", 0, 1ull << 40},
	[LANE_DIRECT] = {"lane_direct", 0, 1ull << 40},
	[LANE_MAPPED] = {"lane_mapped", 0, 1ull << 40},
	[LANES] = {"lanes", 0, 4096},
};

static int file = -1;
static uint64_t defaults[KEYS];

/* ---- the model ----------------------------------------------------------- */

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The text between two places, without the spaces at its ends. */
static void trim(const char **from, const char **to)
{
	while (*from < *to && is_space(**from))
		++*from;
	while (*from < *to && is_space((*to)[-1]))
		--*to;
}

/* false: not this value, so the default. */
static bool m_wait(const char *from, const char *to, uint64_t *value)
{
	static const struct {
		const char *word;
		enum vmb_wait_mode mode;
	} words[] = {{"spin", VMB_WAIT_SPIN},
		     {"adaptive", VMB_WAIT_ADAPTIVE},
		     {"block", VMB_WAIT_BLOCK}};

	for (unsigned i = 0; i < vmb_array_size(words); i++) {
		*value = words[i].mode;
		if ((size_t)(to - from) == strlen(words[i].word) &&
		    !memcmp(from, words[i].word, (size_t)(to - from)))
			return true;
	}
	return false;
}

static bool m_number(enum key key, const char *from, const char *to,
		     uint64_t *value)
{
	unsigned __int128 n = 0; /* of 23 digits at most */

	for (; from < to && *from >= '0' && *from <= '9'; from++)
		n = n * 10 + (unsigned)(*from - '0');
	*value = (uint64_t)n;
	return from == to && n >= keys[key].min && n <= keys[key].max;
}

static void m_set(enum key key, const char *from, const char *to,
		  uint64_t values[KEYS])
{
	uint64_t value;
	bool good = key == WAIT ? m_wait(from, to, &value)
				: m_number(key, from, to, &value);

	values[key] = good ? value : defaults[key];
}

/* KEY = VALUE, each one word; other lines change nothing. */
static void m_line(const char *from, const char *to, uint64_t values[KEYS])
{
	const char *equal = memchr(from, '=', (size_t)(to - from)), *end, *v;

	if (!equal)
		return;
	end = equal;
	v = equal + 1;
	trim(&from, &end);
	trim(&v, &to);
	if (v == to || (size_t)(to - v) > VALUE_MAX)
		return;
	for (const char *c = v; c < to; c++)
		if (is_space(*c))
			return;
	for (enum key key = 0; key < KEYS; key++)
		if ((size_t)(end - from) == strlen(keys[key].name) &&
		    !memcmp(from, keys[key].name, (size_t)(end - from)))
			m_set(key, v, to, values);
}

static void m_read(const char *text, size_t size, uint64_t values[KEYS])
{
	const char *end = text + size, *next, *stop;

	memcpy(values, defaults, sizeof(defaults));
	for (; text < end; text = next) {
		next = memchr(text, '\n', (size_t)(end - text));
		next = next ? next + 1 : end;
		/* what follows is a comment, or no text */
		for (stop = text; stop < next && *stop && *stop != '#' &&
				  *stop != ';' && *stop != '\r';)
			stop++;
		m_line(text, stop, values);
	}
}

/* ---- the run --------------------------------------------------------------- */

static void read_settings(uint64_t values[KEYS])
{
	struct vmb_settings s = {0};

	vmb_settings_read(&s);
	values[WAIT] = s.wait;
	values[SPIN_US] = s.spin_ns / 1000;
	values[EAGER] = s.eager_max;
	values[LANE_EAGER] = s.lane_eager_max;
	values[LANE_STREAM] = s.lane_stream_max;
	values[LANE_DIRECT] = s.lane_direct_max;
	values[LANE_MAPPED] = s.lane_mapped_max;
	values[LANES] = s.lanes;
}

static void start(void)
{
	char path[32];

	vmb_log_set_level(VMB_LOG_NONE);
	file = memfd_create("fuzz", MFD_CLOEXEC);
	fuzz_check(file >= 0, "memfd");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	setenv("VMB_CONF", path, 1);
	read_settings(defaults);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t want[KEYS], values[KEYS];

	if (file < 0)
		start();
	fuzz_check(!ftruncate(file, 0) &&
			   pwrite(file, data, size, 0) == (ssize_t)size,
		   "write");
	read_settings(values);
	m_read((const char *)data, size, want);
	fuzz_check(!memcmp(values, want, sizeof(want)), "other settings");
	return 0;
}
