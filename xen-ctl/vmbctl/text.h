/* SPDX-License-Identifier: BSD-2-Clause */
/* text.h - numbers as people read and write them. */
#ifndef VMBCTL_TEXT_H
#define VMBCTL_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define VMB_TEXT_BYTES 256 /* room for any cell */

/* What a value is, and so how it is written. */
enum vmb_text_kind {
	VMB_TEXT_PLAIN, /* as it is; arrays joined by commas */
	VMB_TEXT_NUMBER,
	VMB_TEXT_COUNT,	     /* 12.3M: thousands */
	VMB_TEXT_BYTES_KIND, /* 12.3M: 1024 each */
	VMB_TEXT_HANDLE,     /* 0x10003 */
	VMB_TEXT_DURATION,   /* seconds */
	VMB_TEXT_TIME,	     /* ISO 8601, without year and zone */
	VMB_TEXT_PERCENT,
	VMB_TEXT_DOMAIN, /* its name; without one "#3", the number */
};

/*
 * What others wrote must not steer the terminal: bytes of control characters,
 * and those that are no UTF-8, become "?".
 */
void vmb_text_clean(char *text);

/* "-" for a value that is missing or empty. The text is clean. */
void vmb_text_format(enum vmb_text_kind kind, const json_t *value, char *text,
		     size_t size);
/* The same for a number that is not in JSON. */
void vmb_text_scaled(double value, unsigned base, char *text, size_t size);

/* Whole numbers; sizes take K, M, G or T. -EINVAL; -ERANGE. */
int vmb_text_parse_number(const char *text, uint64_t max, uint64_t *value);
int vmb_text_parse_size(const char *text, uint64_t *value);

#endif
