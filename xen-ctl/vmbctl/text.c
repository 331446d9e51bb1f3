// SPDX-License-Identifier: BSD-2-Clause
/* text.c - see text.h. */
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the UTF-8 character here, 0 when there is none. */
static size_t character_length(const unsigned char *c)
{
	size_t len = 1;

	if (*c >= 0x80)
		len = *c < 0xe0 ? 2 : *c < 0xf0 ? 3 : 4;
	if ((*c >= 0x80 && *c < 0xc2) || *c > 0xf4)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((c[i] & 0xc0) != 0x80) /* the end of the text, too */
			return 0;
	if ((*c == 0xe0 && c[1] < 0xa0) || (*c == 0xf0 && c[1] < 0x90))
		return 0; /* a shorter one, written longer */
	return len;
}

/* Of both sets, that of ASCII and that of 0x80 to 0x9f; and DEL. */
static bool is_control(const unsigned char *c)
{
	return *c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0);
}

void vmb_text_clean(char *text)
{
	unsigned char *c = (unsigned char *)text;

	while (*c) {
		size_t len = character_length(c);

		if (len && !is_control(c)) {
			c += len;
			continue;
		}
		*c++ = '?'; /* what is left of it is no character, either */
	}
}

static const char units[] = "KMGTPE";

/* Three digits and a letter; small whole numbers as they are. */
void vmb_text_scaled(double value, unsigned base, char *text, size_t size)
{
	size_t unit = 0;

	if (value < base * 10.0 && value == (double)(uint64_t)value &&
	    (base == 1000 || value < base)) {
		snprintf(text, size, "%.0f", value);
		return;
	}
	while (value >= base && units[unit]) {
		value /= base;
		unit++;
	}
	snprintf(text, size,
		 value < 99.95 && value != (double)(int)value ? "%.1f%.1s"
							      : "%.0f%.1s",
		 value, unit ? &units[unit - 1] : "");
}

static void format_duration(long long seconds, char *text, size_t size)
{
	long long days = seconds / 86400;
	int n = 0;

	if (days)
		n = snprintf(text, size, "%lldd ", days);
	snprintf(text + n, size - (size_t)n, "%02lld:%02lld:%02lld",
		 seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
}

/* 2026-11-22T10:20:30.123Z -> 11-22 10:20:30.123 */
static void format_time(const char *iso, char *text, size_t size)
{
	if (strlen(iso) < 23 || iso[10] != 'T') {
		snprintf(text, size, "%s", iso);
		return;
	}
	snprintf(text, size, "%.5s %.12s", iso + 5, iso + 11);
}

static void format_array(const json_t *array, char *text, size_t size)
{
	char one[VMB_TEXT_BYTES];
	size_t i, used = 0;
	json_t *value;

	text[0] = '\0';
	json_array_foreach(array, i, value)
	{
		vmb_text_format(VMB_TEXT_PLAIN, value, one, sizeof(one));
		if (used + strlen(one) + 5 > size) {
			snprintf(text + used, size - used, ",...");
			return;
		}
		used += (size_t)snprintf(text + used, size - used, "%s%s",
					 i ? "," : "", one);
	}
}

static void format_integer(enum vmb_text_kind kind, json_int_t value,
			   char *text, size_t size)
{
	switch (kind) {
	case VMB_TEXT_COUNT:
		vmb_text_scaled((double)value, 1000, text, size);
		break;
	case VMB_TEXT_BYTES_KIND:
		vmb_text_scaled((double)value, 1024, text, size);
		break;
	case VMB_TEXT_HANDLE:
		snprintf(text, size, "%#llx", (unsigned long long)value);
		break;
	case VMB_TEXT_DURATION:
		format_duration(value, text, size);
		break;
	default:
		snprintf(text, size, "%lld", (long long)value);
	}
}

void vmb_text_format(enum vmb_text_kind kind, const json_t *value, char *text,
		     size_t size)
{
	if (json_is_string(value) && kind == VMB_TEXT_TIME)
		format_time(json_string_value(value), text, size);
	else if (json_is_string(value))
		snprintf(text, size, "%s", json_string_value(value));
	else if (json_is_integer(value))
		format_integer(kind, json_integer_value(value), text, size);
	else if (json_is_real(value) && kind == VMB_TEXT_PERCENT)
		snprintf(text, size, "%.1f%%", json_real_value(value));
	else if (json_is_real(value) && kind == VMB_TEXT_DURATION)
		format_duration((long long)json_real_value(value), text, size);
	else if (json_is_real(value))
		vmb_text_scaled(json_real_value(value),
				kind == VMB_TEXT_BYTES_KIND ? 1024 : 1000, text,
				size);
	else if (json_is_boolean(value))
		snprintf(text, size, "%s", json_is_true(value) ? "yes" : "no");
	else if (json_is_array(value))
		format_array(value, text, size);
	else
		text[0] = '\0';
	if (!*text)
		snprintf(text, size, "-");
	vmb_text_clean(text);
}

int vmb_text_parse_number(const char *text, uint64_t max, uint64_t *value)
{
	bool hex = !strncmp(text, "0x", 2);
	char *end;
	unsigned long long v;

	if (!isxdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, hex ? 16 : 10);
	if (*end)
		return -EINVAL;
	if (errno || v > max)
		return -ERANGE;
	*value = v;
	return 0;
}

int vmb_text_parse_size(const char *text, uint64_t *value)
{
	size_t len = strlen(text);
	char digits[32];
	const char *unit;
	unsigned shift = 0;
	int err;

	if (!len || len >= sizeof(digits))
		return -EINVAL;
	strcpy(digits, text);
	unit = strchr("KMGT", toupper((unsigned char)digits[len - 1]));
	if (unit) {
		shift = 10 * (unsigned)(unit - "KMGT" + 1);
		digits[len - 1] = '\0';
	}
	err = vmb_text_parse_number(digits, UINT64_MAX >> shift, value);
	if (!err)
		*value <<= shift;
	return err;
}
