/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.h - one line per event, to stderr, silent unless asked.
 *
 * The level comes from vmb_log_set_level() (daemon, tools) or, the first time
 * something is logged, from VMB_LOG=error|warn|info|debug. Lower case, the
 * value after the word: "endpoint 3 faulted: unknown operation 9". With
 * VMB_LOG_SYSTEMD the line begins with the <N> priority that journald reads.
 * Never called on the data path. Thread-safe.
 *
 * A line may have fields beside its text, for programs. The text says the same
 * to people; who sets another form gets both (vmbd's logjson.c).
 */
#ifndef VMB_BASE_LOG_H
#define VMB_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* One thing that a line is about. Of an array the last one has no key. */
struct vmb_log_field {
	const char *key;
	const char *text; /* NULL: it is the number */
	uint64_t number;
};

#define VMB_LOG_TEXT(k, t)              \
	{                               \
		.key = (k), .text = (t) \
	}
#define VMB_LOG_NUMBER(k, n)              \
	{                                 \
		.key = (k), .number = (n) \
	}
#define VMB_LOG_FIELDS(...) ((const struct vmb_log_field[]){__VA_ARGS__, {0}})

/* The same with fields, which are read before it returns. */
void vmb_log_with(enum vmb_log_level level, const struct vmb_log_field *fields,
		  const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * The bytes that a line needs at most: a byte of the text may become six, and
 * the fields are short.
 */
#define VMB_LOG_TEXT_BYTES 512
#define VMB_LOG_LINE_BYTES (8 * VMB_LOG_TEXT_BYTES)

/*
 * Make a line of it, with no newline: of a text shorter than VMB_LOG_TEXT_BYTES
 * and fields, never NULL. Called by any thread.
 */
typedef void (*vmb_log_form)(char line[VMB_LOG_LINE_BYTES], const char *level,
			     const char *text,
			     const struct vmb_log_field *fields);

/* From now on all lines have that form. Before other threads log. */
void vmb_log_set_form(vmb_log_form form);

#define vmb_error(...) vmb_log(VMB_LOG_ERROR, __VA_ARGS__)
#define vmb_warn(...) vmb_log(VMB_LOG_WARN, __VA_ARGS__)
#define vmb_info(...) vmb_log(VMB_LOG_INFO, __VA_ARGS__)
#define vmb_debug(...) vmb_log(VMB_LOG_DEBUG, __VA_ARGS__)

#endif
