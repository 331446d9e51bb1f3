// SPDX-License-Identifier: BSD-2-Clause
/*
 * faults.c - what was refused, and why: a table, or with --follow a
 * line for each new record until interrupted.
 */
#include <errno.h>
#include <time.h>

#include "admin.h"
#include "base/util.h"
#include "table.h"

static const struct vmb_column columns[] = {
	{"NO", "number", VMB_TEXT_NUMBER, false},
	{"TIME", "time", VMB_TEXT_TIME, false},
	{"DOMAIN", "domain_name", VMB_TEXT_DOMAIN, false},
	{"HANDLE", "handle", VMB_TEXT_HANDLE, false},
	{"OP", "op", VMB_TEXT_PLAIN, false},
	{"REASON", "reason", VMB_TEXT_PLAIN, false},
	{"CODE", "code", VMB_TEXT_PLAIN, true},
	{"REGION", "key_index", VMB_TEXT_NUMBER, true},
	{"ADDRESS", "address", VMB_TEXT_HANDLE, true},
	{"LENGTH", "length", VMB_TEXT_NUMBER, true},
};

static int ask_faults(const struct vmb_options *o, unsigned max,
		      json_t **faults)
{
	int err = vmb_admin_ask(
		o, json_pack("{s:s, s:i}", "cmd", "faults", "max", (int)max),
		faults, NULL);

	if (!err && !json_is_array(json_object_get(*faults, "records"))) {
		json_decref(*faults);
		err = vmb_fail(-EPROTO,
			       "faults: the daemon's answer has no records");
	}
	return err;
}

static json_int_t lost_of(const json_t *faults)
{
	return json_integer_value(json_object_get(faults, "lost"));
}

static int show_once(const struct vmb_options *o)
{
	json_t *faults, *records;
	json_int_t lost;
	int err = ask_faults(o, o->max, &faults);

	if (err)
		return err;
	if (o->json) {
		vmb_json_print(faults, false);
		json_decref(faults);
		return 0;
	}
	records = json_incref(json_object_get(faults, "records"));
	lost = lost_of(faults);
	json_decref(faults);
	err = vmb_table_show(o, columns, vmb_array_size(columns), records,
			     "no faults");
	if (!err && lost)
		printf("%lld older records are no longer held\n",
		       (long long)lost);
	return err;
}

static void print_line(const struct vmb_options *o, const json_t *record)
{
	char text[VMB_TEXT_BYTES];

	if (o->json) {
		vmb_json_print(record, true);
		return;
	}
	for (size_t i = 1; i < vmb_array_size(columns); i++) {
		vmb_table_cell(&columns[i], record, text, sizeof(text));
		if (columns[i].wide && !o->all)
			continue;
		printf("%s%s", i > 1 ? "  " : "", text);
	}
	printf("\n");
}

/* ---- going on ----------------------------------------------------------- */

struct place {
	json_int_t next; /* number of the first record that was not shown */
	bool looked;	 /* at least once: what is skipped now is missed */
};

static json_int_t number_of(const json_t *record)
{
	return json_integer_value(json_object_get(record, "number"));
}

/*
 * A daemon holds its newest record as long as it lives. Another one counts
 * from 0 again.
 */
static void notice_restart(const json_t *records, struct place *at)
{
	size_t n = json_array_size(records);
	json_int_t newest = n ? number_of(json_array_get(records, n - 1)) : -1;

	if (!at->looked || newest >= at->next - 1)
		return;
	vmb_fail(0, "the daemon was started again: its records begin anew");
	at->next = 0;
}

/* Print the records from number at->next on. */
static void print_new(const struct vmb_options *o, const json_t *faults,
		      struct place *at)
{
	const json_t *records = json_object_get(faults, "records");
	json_t *record;
	size_t i;

	notice_restart(records, at);
	json_array_foreach(records, i, record)
	{
		json_int_t number = number_of(record);

		if (number < at->next)
			continue;
		if (number > at->next && at->looked)
			vmb_fail(0, "%lld records came too fast to be shown",
				 (long long)(number - at->next));
		print_line(o, record);
		at->next = number + 1;
	}
	at->looked = true;
	fflush(stdout);
}

static int follow(const struct vmb_options *o)
{
	struct timespec pause = {
		.tv_sec = o->interval_ms / 1000,
		.tv_nsec = o->interval_ms % 1000 * 1000000L,
	};
	struct place at = {.next = 0};
	json_t *faults;
	int err;

	for (;;) {
		/* --max is how many old ones are wanted */
		err = ask_faults(o, at.looked ? VMB_FAULTS_MAX : o->max,
				 &faults);
		if (err)
			return err;
		print_new(o, faults, &at);
		json_decref(faults);
		if (ferror(stdout)) /* run_command() says so */
			return 0;
		nanosleep(&pause, NULL);
	}
}

int vmb_faults_run(const struct vmb_options *o)
{
	return o->follow ? follow(o) : show_once(o);
}
