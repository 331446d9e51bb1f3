/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.h - one line per event, to stderr, silent unless asked.
 *
 * The level comes from vmb_log_set_level() (daemon, tools) or, the first time
 * something is logged, from VMB_LOG=error|warn|info|debug. Lower case, the
 * value after the word: "endpoint 3 faulted: unknown operation 9". With
 * VMB_LOG_SYSTEMD the line begins with the <N> priority that journald reads.
 * Never called on the data path. Thread-safe.
 */
#ifndef VMB_BASE_LOG_H
#define VMB_BASE_LOG_H

#include <stdbool.h>

enum vmb_log_level {
	VMB_LOG_NONE,
	VMB_LOG_ERROR,
	VMB_LOG_WARN,
	VMB_LOG_INFO,
	VMB_LOG_DEBUG,
};

void vmb_log_set_level(enum vmb_log_level level);
void vmb_log_set_systemd(bool on);

/* -EINVAL unless name is one of none, error, warn, info, debug. */
int vmb_log_parse_level(const char *name, enum vmb_log_level *level);

void vmb_log(enum vmb_log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define vmb_error(...) vmb_log(VMB_LOG_ERROR, __VA_ARGS__)
#define vmb_warn(...) vmb_log(VMB_LOG_WARN, __VA_ARGS__)
#define vmb_info(...) vmb_log(VMB_LOG_INFO, __VA_ARGS__)
#define vmb_debug(...) vmb_log(VMB_LOG_DEBUG, __VA_ARGS__)

#endif
