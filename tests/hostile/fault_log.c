// SPDX-License-Identifier: BSD-2-Clause
/*
 * fault_log.c - see fault_log.h.
 *
 * Flow:  test -> vmbctl's question to t_witness.daemon -> one record
 * Owns:  nothing.
 */
#include "fault_log.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "nic/nic.h"
#include "witness.h"

const char *t_last_record(void)
{
	return t_raw_ask(t_witness.daemon.socket,
			 "{\"cmd\":\"faults\",\"max\":1}");
}

long t_recorded(void)
{
	const char *answer = t_last_record();

	return strstr(answer, "\"number\"") ? t_raw_number(answer, "number") + 1
					    : 0;
}

void t_expect_record(long before, const char *op, uint64_t value)
{
	char pattern[64];
	const char *answer;

	ck_assert_int_eq(t_recorded(), before + 1);
	answer = t_last_record();
	ck_assert_int_eq(t_raw_number(answer, "code"), VMB_NIC_FAULT_VALUE);
	ck_assert_int_gt(t_raw_number(answer, "domain"), 0);
	/* a number in the log ends where those of JSON's readers do */
	ck_assert_int_eq(t_raw_number(answer, "address"),
			 (long)vmb_min(value, (uint64_t)INT64_MAX));
	snprintf(pattern, sizeof(pattern), "\"op\":\"%s\"", op);
	ck_assert_msg(strstr(answer, pattern), "no %s in %s", pattern, answer);
}
