// SPDX-License-Identifier: BSD-2-Clause
/* log.c - see log.h. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/barrier.h"
#include "base/util.h"

static const char *const level_names[] = {
	[VMB_LOG_NONE] = "none",   [VMB_LOG_ERROR] = "error",
	[VMB_LOG_WARN] = "warn",   [VMB_LOG_INFO] = "info",
	[VMB_LOG_DEBUG] = "debug",
};

static const int syslog_priority[] = {
	[VMB_LOG_ERROR] = 3,
	[VMB_LOG_WARN] = 4,
	[VMB_LOG_INFO] = 6,
	[VMB_LOG_DEBUG] = 7,
};

static int current_level = -1; /* not decided yet */
static int systemd_prefix;

void vmb_log_set_level(enum vmb_log_level level)
{
	vmb_store_relaxed(&current_level, (int)level);
}

void vmb_log_set_systemd(bool on)
{
	vmb_store_relaxed(&systemd_prefix, on);
}

int vmb_log_parse_level(const char *name, enum vmb_log_level *level)
{
	for (size_t i = 0; i < vmb_array_size(level_names); i++) {
		if (!strcmp(name, level_names[i])) {
			*level = (enum vmb_log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int level_now(void)
{
	int level = vmb_load_relaxed(&current_level);
	enum vmb_log_level asked = VMB_LOG_NONE;
	const char *env;

	if (level >= 0)
		return level;
	env = getenv("VMB_LOG");
	if (env && vmb_log_parse_level(env, &asked))
		asked = VMB_LOG_WARN; /* asked for something: say something */
	vmb_log_set_level(asked);
	return (int)asked;
}

/* ---- lines --------------------------------------------------------------- */

static void as_text(char line[VMB_LOG_LINE_BYTES], const char *level,
		    const char *text, const struct vmb_log_field *fields)
{
	(void)fields;
	snprintf(line, VMB_LOG_LINE_BYTES, "vmbypass: %s: %s", level, text);
}

static vmb_log_form current_form = as_text;

void vmb_log_set_form(vmb_log_form form)
{
	current_form = form;
}

static void write_line(enum vmb_log_level level, const char *text,
		       const struct vmb_log_field *fields)
{
	static const struct vmb_log_field none = {0};
	bool systemd = vmb_load_relaxed(&systemd_prefix);
	char line[VMB_LOG_LINE_BYTES];

	if (systemd && current_form == as_text) /* it shows who and how bad */
		snprintf(line, sizeof(line), "%s", text);
	else
		current_form(line, level_names[level], text,
			     fields ? fields : &none);
	/* one call, so that lines of threads do not mix */
	if (systemd)
		fprintf(stderr, "<%d>%s\n", syslog_priority[level], line);
	else
		fprintf(stderr, "%s\n", line);
}

static __attribute__((format(printf, 3, 0))) void
log_args(enum vmb_log_level level, const struct vmb_log_field *fields,
	 const char *format, va_list args)
{
	char text[VMB_LOG_TEXT_BYTES];
	int saved = errno;

	if ((int)level > level_now())
		return;
	errno = saved; /* for %m */
	vsnprintf(text, sizeof(text), format, args);
	write_line(level, text, fields);
	errno = saved;
}

void vmb_log(enum vmb_log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_args(level, NULL, format, args);
	va_end(args);
}

void vmb_log_with(enum vmb_log_level level, const struct vmb_log_field *fields,
		  const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_args(level, fields, format, args);
	va_end(args);
}
