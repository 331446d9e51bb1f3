// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_logjson.c - a line of the daemon's log is one JSON object on one line,
 * whatever the text has in it.
 */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "support/run.h"
#include "vmbd/logjson.h"

static json_t *form(const char *text, const struct vmb_log_field *fields)
{
	char line[VMB_LOG_LINE_BYTES];
	json_t *object;

	memset(line, 'x', sizeof(line));
	vmbd_logjson(line, "warn", text, fields);
	ck_assert_ptr_nonnull(memchr(line, '\0', sizeof(line)));
	ck_assert_ptr_null(strchr(line, '\n'));
	object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	ck_assert_msg(json_is_object(object), "no object: %s", line);
	return object;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	ck_assert_msg(text, "%s is no string", key);
	return text;
}

START_TEST(fields_are_members)
{
	json_t *object =
		form("domain 3 web: weight 18446744073709551615",
		     VMB_LOG_FIELDS(VMB_LOG_TEXT("event", "weight_set"),
				    VMB_LOG_NUMBER("domain", 3),
				    VMB_LOG_NUMBER("weight", 1ull << 62)));

	ck_assert_str_eq(text_of(object, "level"), "warn");
	ck_assert_str_eq(text_of(object, "message"),
			 "domain 3 web: weight 18446744073709551615");
	ck_assert_str_eq(text_of(object, "event"), "weight_set");
	ck_assert_int_eq(json_integer_value(json_object_get(object, "domain")),
			 3);
	ck_assert_int_eq(json_integer_value(json_object_get(object, "weight")),
			 1ll << 62);
	ck_assert_uint_eq(json_object_size(object), 6);
	json_decref(object);
}
END_TEST

/* Jansson's numbers are signed, and a limit may be none. */
START_TEST(numbers_keep_their_sign)
{
	json_t *object =
		form("x", VMB_LOG_FIELDS(VMB_LOG_NUMBER("most", INT64_MAX),
					 VMB_LOG_NUMBER("more", UINT64_MAX - 1),
					 VMB_LOG_NUMBER("memory", UINT64_MAX)));

	ck_assert_int_eq(json_integer_value(json_object_get(object, "most")),
			 INT64_MAX);
	ck_assert_int_eq(json_integer_value(json_object_get(object, "more")),
			 INT64_MAX);
	ck_assert(json_is_null(json_object_get(object, "memory")));
	json_decref(object);
}
END_TEST

/* UTC: 2026-11-30T12:34:56.123456Z */
START_TEST(time_is_to_the_microsecond)
{
	json_t *object = form("x", VMB_LOG_FIELDS({0}));
	const char *time = text_of(object, "time");
	unsigned at[7];
	char zone;

	ck_assert_uint_eq(strlen(time), 27);
	ck_assert_int_eq(sscanf(time, "%4u-%2u-%2uT%2u:%2u:%2u.%6u%c", &at[0],
				&at[1], &at[2], &at[3], &at[4], &at[5], &at[6],
				&zone),
			 8);
	ck_assert_int_eq(zone, 'Z');
	ck_assert_uint_ge(at[0], 2024);
	json_decref(object);
}
END_TEST

START_TEST(text_stays_one_string)
{
	static const char *const texts[] = {"", "\"}, {\"level\":\"none\"",
					    "a\nb\r\tc\\", "\x01\x1f\x7f",
					    "Gr\xc3\xbcn"};

	for (unsigned i = 0; i < vmb_array_size(texts); i++) {
		json_t *object =
			form(texts[i],
			     VMB_LOG_FIELDS(VMB_LOG_TEXT("socket", texts[i])));

		ck_assert_str_eq(text_of(object, "message"), texts[i]);
		ck_assert_str_eq(text_of(object, "socket"), texts[i]);
		json_decref(object);
	}
}
END_TEST

START_TEST(bytes_that_are_no_utf8_are_told_as_such)
{
	json_t *object = form("/run/\xff.\xfe/x\xc3", VMB_LOG_FIELDS({0}));

	ck_assert_str_eq(text_of(object, "message"), "/run/?.?/x?");
	json_decref(object);
}
END_TEST

/* Each byte of the longest text becomes six, and there are fields, too. */
START_TEST(longest_text_fits)
{
	char text[VMB_LOG_TEXT_BYTES];
	json_t *object;

	memset(text, 1, sizeof(text));
	text[sizeof(text) - 1] = '\0';
	object = form(text, VMB_LOG_FIELDS(VMB_LOG_TEXT("event", "x"),
					   VMB_LOG_TEXT("guest", "web"),
					   VMB_LOG_NUMBER("pid", 1u << 31)));
	ck_assert_str_eq(text_of(object, "message"), text);
	json_decref(object);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("logjson");
	TCase *c = tcase_create("line");

	tcase_add_test(c, fields_are_members);
	tcase_add_test(c, numbers_keep_their_sign);
	tcase_add_test(c, time_is_to_the_microsecond);
	tcase_add_test(c, text_stays_one_string);
	tcase_add_test(c, bytes_that_are_no_utf8_are_told_as_such);
	tcase_add_test(c, longest_text_fits);
	suite_add_tcase(suite, c);
	return t_run(suite);
}
