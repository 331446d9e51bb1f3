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

void vmb_log(enum vmb_log_level level, const char *format, ...)
{
	char line[512];
	int saved = errno;
	va_list args;

	if ((int)level > level_now())
		return;
	va_start(args, format);
	errno = saved; /* for %m */
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	/* one call, so that lines of threads do not mix */
	if (vmb_load_relaxed(&systemd_prefix))
		fprintf(stderr, "<%d>%s\n", syslog_priority[level], line);
	else
		fprintf(stderr, "vmbypass: %s: %s\n", level_names[level], line);
	errno = saved;
}
