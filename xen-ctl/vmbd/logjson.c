// SPDX-License-Identifier: BSD-2-Clause
/*
 * logjson.c - see logjson.h.
 *
 * Flow:  vmb_log() of any part -> here -> standard error
 * Owns:  nothing.
 * Trust: the text may have bytes that somebody chose, a path: it stays one
 *        string of one line.
 */
#include "logjson.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/util.h"

/* What is no UTF-8 is told without what is no ASCII. */
static json_t *make_string(const char *text)
{
	char ascii[VMB_LOG_TEXT_BYTES];
	json_t *string = json_string(text);

	if (string)
		return string;
	snprintf(ascii, sizeof(ascii), "%s", text);
	for (char *c = ascii; *c; c++)
		if (*c & 0x80)
			*c = '?';
	return json_string(ascii);
}

/* UTC, to the microsecond, as in RFC 3339. */
static json_t *make_time(void)
{
	struct timespec now;
	char date[32];
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(date, sizeof(date), "%FT%T", &tm);
	return json_sprintf("%s.%06ldZ", date, now.tv_nsec / 1000);
}

/* UINT64_MAX is no limit, and no number that all readers of JSON take. */
static json_t *make_value(const struct vmb_log_field *field)
{
	if (field->text)
		return make_string(field->text);
	return field->number == UINT64_MAX
		       ? json_null()
		       : json_integer((json_int_t)vmb_min(field->number,
							  (uint64_t)INT64_MAX));
}

void vmbd_logjson(char line[VMB_LOG_LINE_BYTES], const char *level,
		  const char *text, const struct vmb_log_field *fields)
{
	json_t *object = json_object();
	size_t len;

	json_object_set_new(object, "time", make_time());
	json_object_set_new(object, "level", json_string(level));
	for (; fields->key; fields++)
		json_object_set_new(object, fields->key, make_value(fields));
	json_object_set_new(object, "message", make_string(text));
	len = json_dumpb(object, line, VMB_LOG_LINE_BYTES - 1, JSON_COMPACT);
	json_decref(object);
	if (len && len < VMB_LOG_LINE_BYTES)
		line[len] = '\0';
	else /* no memory */
		snprintf(line, VMB_LOG_LINE_BYTES, "{\"level\":\"%s\"}", level);
}
