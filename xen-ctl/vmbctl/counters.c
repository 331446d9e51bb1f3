// SPDX-License-Identifier: BSD-2-Clause
/* counters.c - the counters of all endpoints, or of one in full. */
#include <errno.h>

#include "base/util.h"
#include "reader.h"
#include "table.h"

static const struct vmb_column columns[] = {
	{"HANDLE", "handle", VMB_TEXT_HANDLE, false},
	{"SENDS", "sends", VMB_TEXT_COUNT, false},
	{"BYTES", "send_bytes", VMB_TEXT_BYTES_KIND, false},
	{"ARRIVALS", "arrivals", VMB_TEXT_COUNT, false},
	{"BYTES", "arrival_bytes", VMB_TEXT_BYTES_KIND, false},
	{"PUTS", "puts", VMB_TEXT_COUNT, false},
	{"GETS", "gets", VMB_TEXT_COUNT, false},
	{"BOUNCES", "bounces", VMB_TEXT_COUNT, false},
	{"FAULTS", "faults", VMB_TEXT_COUNT, false},
	{"PUT-BYTES", "put_bytes", VMB_TEXT_BYTES_KIND, true},
	{"GET-BYTES", "get_bytes", VMB_TEXT_BYTES_KIND, true},
	{"STALLS", "stalls", VMB_TEXT_COUNT, true},
	{"NOTIFIES", "notifies", VMB_TEXT_COUNT, true},
	{"KICKS", "kicks", VMB_TEXT_COUNT, true},
	{"FENCES", "fences", VMB_TEXT_COUNT, true},
	{"ID", "id", VMB_TEXT_NUMBER, true},
	{"DOMAIN", "domain", VMB_TEXT_NUMBER, true},
	{"STATE", "state", VMB_TEXT_PLAIN, true},
};

static json_t *all_records(const struct vmb_reader *r)
{
	json_t *rows = json_array();
	struct vmb_stats record;

	for (uint32_t i = 0; i < r->records; i++)
		if (vmb_reader_get(r, i, &record))
			json_array_append_new(rows, vmb_reader_json(&record));
	return rows;
}

static int show_one(const struct vmb_options *o, const struct vmb_reader *r,
		    uint64_t handle)
{
	struct vmb_stats record;
	json_t *row;
	int err = 0;

	/* the record of an endpoint is found by the index in its handle */
	if (VMB_HANDLE_INDEX(handle) >= r->records ||
	    !vmb_reader_get(r, VMB_HANDLE_INDEX(handle), &record) ||
	    record.handle != handle)
		return vmb_fail(-ENOENT,
				"no endpoint has handle %s; `vmbctl "
				"endpoints` lists them",
				o->args[0]);
	row = vmb_reader_json(&record);
	if (o->json)
		vmb_json_print(row, false);
	else
		err = vmb_table_print_object(row, stdout);
	json_decref(row);
	return err;
}

int vmb_counters_run(const struct vmb_options *o)
{
	struct vmb_reader reader;
	uint64_t handle;
	int err;

	if (o->arg_count &&
	    vmb_text_parse_number(o->args[0], UINT32_MAX, &handle))
		return vmb_fail(VMB_EXIT_USAGE,
				"%s: not a handle; `vmbctl endpoints` lists "
				"them",
				o->args[0]);
	err = vmb_reader_open(o, &reader);
	if (err)
		return err;
	if (o->arg_count)
		err = show_one(o, &reader, handle);
	else
		err = vmb_table_show(o, columns, vmb_array_size(columns),
				     all_records(&reader),
				     "no endpoints are open");
	vmb_reader_close(&reader);
	return err;
}
