// SPDX-License-Identifier: BSD-2-Clause
/*
 * show.c - commands that ask the daemon for a list and show it. Without
 * --all the columns fit into 80 characters.
 */
#include <errno.h>
#include <pwd.h>

#include "admin.h"
#include "base/util.h"
#include "table.h"

static const struct vmb_column client_columns[] = {
	{"CLIENT", "client", VMB_TEXT_NUMBER, false},
	{"PID", "pid", VMB_TEXT_NUMBER, false},
	{"USER", "user", VMB_TEXT_PLAIN, false},
	{"UID", "uid", VMB_TEXT_NUMBER, true},
	{"GUEST", "guest", VMB_TEXT_PLAIN, true},
	{"DOMAIN", "domain_name", VMB_TEXT_DOMAIN, false},
	{"DOMAIN-ID", "domain", VMB_TEXT_NUMBER, true},
	{"ENDPOINTS", "endpoints", VMB_TEXT_NUMBER, false},
	{"MAX", "endpoints_max", VMB_TEXT_NUMBER, false},
	{"MEMORY", "memory_bytes", VMB_TEXT_BYTES_KIND, false},
	{"MAX", "memory_max", VMB_TEXT_BYTES_KIND, false},
};

static const struct vmb_column domain_columns[] = {
	{"DOMAIN", "domain", VMB_TEXT_NUMBER, false},
	{"NAME", "name", VMB_TEXT_PLAIN, false},
	{"WEIGHT", "weight", VMB_TEXT_NUMBER, false},
	{"CLIENTS", "clients", VMB_TEXT_NUMBER, false},
	{"ENDPOINTS", "endpoints", VMB_TEXT_NUMBER, false},
	{"REGIONS", "regions", VMB_TEXT_NUMBER, false},
	{"MEMORY", "memory_bytes", VMB_TEXT_BYTES_KIND, false},
};

static const struct vmb_column endpoint_columns[] = {
	{"HANDLE", "handle", VMB_TEXT_HANDLE, false},
	{"ID", "id", VMB_TEXT_NUMBER, false},
	{"DOMAIN", "domain_name", VMB_TEXT_DOMAIN, false},
	{"PID", "pid", VMB_TEXT_NUMBER, false},
	{"STATE", "state", VMB_TEXT_PLAIN, false},
	{"MEMORY", "bytes", VMB_TEXT_BYTES_KIND, false},
	{"SENDS", "sends", VMB_TEXT_COUNT, false},
	{"ARRIVALS", "arrivals", VMB_TEXT_COUNT, false},
	{"FAULTS", "faults", VMB_TEXT_COUNT, false},
	{"BOARD", "board", VMB_TEXT_PLAIN, true},
	{"NIC-ID", "nic_id", VMB_TEXT_PLAIN, true},
	{"CLIENT", "client", VMB_TEXT_NUMBER, true},
	{"SESSION", "session", VMB_TEXT_HANDLE, true},
	{"THREAD", "thread", VMB_TEXT_NUMBER, true},
	{"EQ", "eq_slots", VMB_TEXT_NUMBER, true},
	{"RX", "rx_bytes", VMB_TEXT_BYTES_KIND, true},
	{"TX", "tx_bytes", VMB_TEXT_BYTES_KIND, true},
};

static const struct vmb_column region_columns[] = {
	{"KEY", "key", VMB_TEXT_PLAIN, false},
	{"DOMAIN", "domain_name", VMB_TEXT_DOMAIN, false},
	{"CLIENT", "client", VMB_TEXT_NUMBER, false},
	{"PID", "pid", VMB_TEXT_NUMBER, false},
	{"KIND", "kind", VMB_TEXT_PLAIN, false},
	{"REMOTE-ACCESS", "access", VMB_TEXT_PLAIN, false},
	{"SIZE", "bytes", VMB_TEXT_BYTES_KIND, false},
};

static const struct vmb_column lane_columns[] = {
	{"FROM", "from", VMB_TEXT_PLAIN, false},
	{"TO", "to", VMB_TEXT_PLAIN, false},
	{"PID", "pid", VMB_TEXT_NUMBER, false},
	{"STATE", "state", VMB_TEXT_PLAIN, false},
	{"SLOTS", "slots", VMB_TEXT_NUMBER, false},
	{"MEMORY", "bytes", VMB_TEXT_BYTES_KIND, false},
	{"WHY", "why", VMB_TEXT_PLAIN, false},
};

static const struct vmb_column peer_columns[] = {
	{"NAME", "name", VMB_TEXT_PLAIN, false},
	{"NIC-ID", "nic_id", VMB_TEXT_PLAIN, false},
	{"DOMAIN", "domain", VMB_TEXT_PLAIN, false},
	{"ENDPOINTS", "endpoints", VMB_TEXT_PLAIN, false},
};

static const struct vmb_column limit_columns[] = {
	{"SECTION", "section", VMB_TEXT_PLAIN, false},
	{"NAME", "name", VMB_TEXT_PLAIN, false},
	{"ALLOW", "allow", VMB_TEXT_PLAIN, false},
	{"CLIENTS", "clients", VMB_TEXT_NUMBER, false},
	{"ENDPOINTS", "endpoints", VMB_TEXT_NUMBER, false},
	{"REGIONS", "regions", VMB_TEXT_NUMBER, false},
	{"MEMORY", "memory", VMB_TEXT_BYTES_KIND, false},
	{"WEIGHT", "weight", VMB_TEXT_NUMBER, false},
	{"LANES", "lanes", VMB_TEXT_NUMBER, false},
	{"PEERS", "peers", VMB_TEXT_PLAIN, false},
	{"ATTACH", "attach", VMB_TEXT_PLAIN, false},
	{"OWNER", "owner_name", VMB_TEXT_PLAIN, false},
	{"OWNER-UID", "owner", VMB_TEXT_NUMBER, true},
};

static const struct vmb_column guest_columns[] = {
	{"GUEST", "guest", VMB_TEXT_PLAIN, false},
	{"ID", "id", VMB_TEXT_NUMBER, false},
	{"UUID", "uuid", VMB_TEXT_PLAIN, true},
	{"STATE", "state", VMB_TEXT_PLAIN, false},
	{"DOMAIN-ID", "domain", VMB_TEXT_NUMBER, true},
	{"CLIENTS", "clients", VMB_TEXT_NUMBER, false},
	{"ENDPOINTS", "endpoints", VMB_TEXT_NUMBER, false},
	{"MAX", "endpoints_max", VMB_TEXT_NUMBER, false},
	{"REGIONS", "regions", VMB_TEXT_NUMBER, true},
	{"MEMORY", "memory_bytes", VMB_TEXT_BYTES_KIND, false},
	{"MAX", "memory_max", VMB_TEXT_BYTES_KIND, false},
	{"FAULTS", "faults", VMB_TEXT_COUNT, false},
};

static const struct vmb_column weight_columns[] = {
	{"DOMAIN", "domain", VMB_TEXT_NUMBER, false},
	{"NAME", "name", VMB_TEXT_PLAIN, false},
	{"WEIGHT", "weight", VMB_TEXT_NUMBER, false},
	{"SHARE", "share", VMB_TEXT_PERCENT, false},
};

/* What the user of that number is called here, or the number. */
static json_t *user_text(json_int_t uid)
{
	const struct passwd *user = NULL;

	if (uid >= 0 && uid <= UINT32_MAX) /* others end in those of somebody */
		user = getpwuid((uid_t)uid);
	return user ? json_string(user->pw_name)
		    : json_sprintf("%" JSON_INTEGER_FORMAT, uid);
}

/* The daemon knows users by their numbers. */
static void name_users(json_t *rows)
{
	static const struct {
		const char *number, *name;
	} keys[] = {{"uid", "user"}, {"owner", "owner_name"}};
	json_t *row, *uid;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		for (size_t k = 0; k < vmb_array_size(keys); k++) {
			uid = json_object_get(row, keys[k].number);
			if (json_is_integer(uid))
				json_object_set_new(
					row, keys[k].name,
					user_text(json_integer_value(uid)));
		}
	}
}

static int show_list(const struct vmb_options *o, const char *command,
		     const struct vmb_column *columns, size_t count,
		     const char *nothing)
{
	json_t *rows;
	int err = vmb_admin_list(o, command, &rows);

	if (err)
		return err;
	name_users(rows);
	return vmb_table_show(o, columns, count, rows, nothing);
}

int vmb_status_run(const struct vmb_options *o)
{
	json_t *status;
	int err = vmb_admin_ask(o, json_pack("{s:s}", "cmd", "status"), &status,
				NULL);

	if (err)
		return err;
	if (!json_is_object(status))
		err = vmb_fail(-EPROTO,
			       "status: the daemon's answer is no object");
	else if (o->json)
		vmb_json_print(status, false);
	else
		vmb_table_print_object(status, stdout);
	json_decref(status);
	return err;
}

int vmb_clients_run(const struct vmb_options *o)
{
	return show_list(o, "clients", client_columns,
			 vmb_array_size(client_columns), "no clients");
}

int vmb_guests_run(const struct vmb_options *o)
{
	return show_list(o, "guests", guest_columns,
			 vmb_array_size(guest_columns), "no guest is attached");
}

int vmb_domains_run(const struct vmb_options *o)
{
	return show_list(o, "domains", domain_columns,
			 vmb_array_size(domain_columns),
			 "no protection domains");
}

int vmb_endpoints_run(const struct vmb_options *o)
{
	return show_list(o, "endpoints", endpoint_columns,
			 vmb_array_size(endpoint_columns),
			 "no endpoints are open");
}

int vmb_regions_run(const struct vmb_options *o)
{
	return show_list(o, "regions", region_columns,
			 vmb_array_size(region_columns),
			 "no memory is registered");
}

int vmb_lanes_run(const struct vmb_options *o)
{
	return show_list(o, "lanes", lane_columns, vmb_array_size(lane_columns),
			 "no lanes: everything goes through the engine");
}

int vmb_peers_run(const struct vmb_options *o)
{
	return show_list(o, "peers", peer_columns, vmb_array_size(peer_columns),
			 "no boards");
}

int vmb_limits_run(const struct vmb_options *o)
{
	return show_list(o, "limits", limit_columns,
			 vmb_array_size(limit_columns),
			 "no policy is in force");
}

/* A domain's share of the engine when all of them have work. */
static json_t *weight_rows(const json_t *domains)
{
	json_t *rows = json_array(), *domain;
	json_int_t sum = 0;
	size_t i;

	json_array_foreach(domains, i, domain) sum +=
		json_integer_value(json_object_get(domain, "weight"));
	json_array_foreach(domains, i, domain)
	{
		json_int_t weight =
			json_integer_value(json_object_get(domain, "weight"));

		json_array_append_new(
			rows,
			json_pack("{s:O?, s:O?, s:I, s:f}", "domain",
				  json_object_get(domain, "domain"), "name",
				  json_object_get(domain, "name"), "weight",
				  weight, "share",
				  sum ? 100.0 * (double)weight / (double)sum
				      : 0.0));
	}
	return rows;
}

int vmb_weights_run(const struct vmb_options *o)
{
	json_t *domains, *rows;
	int err = vmb_admin_list(o, "domains", &domains);

	if (err)
		return err;
	rows = weight_rows(domains);
	json_decref(domains);
	return vmb_table_show(o, weight_columns, vmb_array_size(weight_columns),
			      rows, "no protection domains");
}
