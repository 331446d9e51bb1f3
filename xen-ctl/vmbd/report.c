// SPDX-License-Identifier: BSD-2-Clause
/*
 * report.c - see report.h.
 *
 * Flow:  command.c -> [here] -> tables of the daemon, counters of the engine
 * Owns:  nothing; the caller owns what is returned.
 * Trust: everything told here was checked when it came in.
 */
#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <vmbypass/vmb.h>

#include "base/barrier.h"
#include "board.h"
#include "control.h"
#include "domain.h"
#include "endpoint.h"
#include "guest.h"
#include "lane.h"
#include "region.h"

#define NIC_TEXT 24

static void format_nic(uint64_t nic_id, char text[NIC_TEXT])
{
	snprintf(text, NIC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x",
		 (unsigned)(nic_id >> 40) & 0xff,
		 (unsigned)(nic_id >> 32) & 0xff,
		 (unsigned)(nic_id >> 24) & 0xff,
		 (unsigned)(nic_id >> 16) & 0xff,
		 (unsigned)(nic_id >> 8) & 0xff, (unsigned)nic_id & 0xff);
}

static json_int_t number(uint64_t value)
{
	return value > INT64_MAX ? INT64_MAX : (json_int_t)value;
}

static const struct vmb_stats_head *stats_head(struct vmbd *d)
{
	/* the records follow the head, the first is that of index 0 */
	return (const void *)((const char *)vmb_nic_stats(d->nic, 0) -
			      VMB_PAGE);
}

/* ---- lists -------------------------------------------------------------- */

/* Call row() for each node and collect what it makes. */
static json_t *collect(struct vmb_list *list, json_t *into,
		       json_t *(*row)(struct vmbd *d, struct vmb_list *node),
		       struct vmbd *d)
{
	struct vmb_list *pos;

	vmb_list_each (pos, list)
		if (json_array_append_new(into, row(d, pos))) {
			json_decref(into);
			return NULL;
		}
	return into;
}

/* The same for what each client has. */
static json_t *collect_of_clients(struct vmbd *d, size_t list_at,
				  json_t *(*row)(struct vmbd *d,
						 struct vmb_list *node))
{
	json_t *array = json_array();
	struct vmb_list *pos;

	vmb_list_each (pos, &d->clients) {
		char *client =
			(char *)vmb_container_of(pos, struct vmbd_client, node);

		if (array)
			array = collect((void *)(client + list_at), array, row,
					d);
	}
	return array;
}

/* ---- status ------------------------------------------------------------- */

json_t *vmbd_report_status(struct vmbd *d)
{
	const struct vmb_stats_head *head = stats_head(d);
	char nic[NIC_TEXT], version[32], platforms[64] = "";

	for (unsigned i = 0; i < d->platform_count; i++)
		snprintf(platforms + strlen(platforms),
			 sizeof(platforms) - strlen(platforms), "%s%s",
			 i ? " " : "", d->platforms[i].ops->name);
	snprintf(version, sizeof(version), "%d.%d.%d", VMB_VERSION_MAJOR,
		 VMB_VERSION_MINOR, VMB_VERSION_PATCH);
	format_nic(d->host_board->nic_id, nic);
	return json_pack(
		"{s:s, s:i, s:I, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:I, s:I, "
		"s:I, s:I, s:s, s:s, s:s*}",
		"version", version, "pid", (int)getpid(), "uptime_s",
		number((vmb_now_ns() - d->started_ns) / 1000000000u), "socket",
		d->options->socket, "platform", platforms, "engines",
		(int)d->options->engines, "clients", (int)d->client_count,
		"endpoints", (int)d->endpoint_count, "endpoints_max",
		(int)d->options->endpoints_max, "regions", (int)d->region_count,
		"faults", number(vmb_load_relaxed(&head->faults)),
		"faults_lost", number(vmb_load_relaxed(&head->faults_lost)),
		"breaths", number(vmb_load_relaxed(&head->breaths)), "sleeps",
		number(vmb_load_relaxed(&head->sleeps)), "nic_id", nic, "name",
		d->host_board->name, "policy", d->options->policy);
}

/* ---- clients and domains ------------------------------------------------ */

/*
 * Adds who it is: process and user, or the guest that it runs in. What a user is
 * called vmbctl finds out: that may take a question to a directory elsewhere,
 * and nobody waits for it here.
 */
static json_t *with_owner(const struct vmbd_client *c, json_t *row)
{
	json_t *owner;

	if (c->who.guest) {
		owner = json_pack("{s:s}", "guest", c->who.guest->who.name);
	} else {
		owner = json_pack("{s:i, s:I}", "pid", (int)c->who.pid, "uid",
				  (json_int_t)c->who.uid);
	}
	if (!row || !owner || json_object_update(row, owner)) {
		json_decref(row);
		row = NULL;
	}
	json_decref(owner);
	return row;
}

static json_t *client_row(struct vmbd *d, struct vmb_list *node)
{
	const struct vmbd_client *c =
		vmb_container_of(node, struct vmbd_client, node);
	(void)d;
	return with_owner(
		c,
		json_pack("{s:I, s:i, s:s, s:i, s:I, s:I, s:I, s:i}", "client",
			  (json_int_t)c->number, "domain", (int)c->domain->id,
			  "domain_name", c->domain->name, "endpoints",
			  (int)c->endpoint_count, "endpoints_max",
			  number(c->limits.of[VMBD_ENDPOINTS]), "memory_bytes",
			  number(c->memory), "memory_max",
			  number(c->limits.of[VMBD_MEMORY]), "regions",
			  (int)c->region_count));
}

json_t *vmbd_report_clients(struct vmbd *d)
{
	return collect(&d->clients, json_array(), client_row, d);
}

static json_t *domain_row(struct vmbd *d, struct vmb_list *node)
{
	const struct vmbd_domain *domain =
		vmb_container_of(node, struct vmbd_domain, node);

	(void)d;
	return json_pack("{s:i, s:s, s:i, s:i, s:i, s:i, s:I}", "domain",
			 (int)domain->id, "name", domain->name, "weight",
			 (int)domain->weight, "clients", (int)domain->clients,
			 "endpoints", (int)domain->endpoints, "regions",
			 (int)domain->regions, "memory_bytes",
			 number(domain->memory));
}

json_t *vmbd_report_domains(struct vmbd *d)
{
	return collect(&d->domains, json_array(), domain_row, d);
}

/* ---- endpoints ---------------------------------------------------------- */

#define COUNTER(name)                                   \
	{                                               \
#name, offsetof(struct vmb_stats, name) \
	}

static const struct counter {
	const char *name;
	size_t at;
} counters[] = {
	COUNTER(sends),		COUNTER(send_bytes), COUNTER(arrivals),
	COUNTER(arrival_bytes), COUNTER(puts),	     COUNTER(put_bytes),
	COUNTER(gets),		COUNTER(get_bytes),  COUNTER(bounces),
	COUNTER(stalls),	COUNTER(faults),     COUNTER(notifies),
	COUNTER(kicks),		COUNTER(fences),
};

static const char *state_name(uint32_t state)
{
	switch (state) {
	case VMB_STATE_OPEN:
		return "open";
	case VMB_STATE_FAULTED:
		return "faulted";
	case VMB_STATE_CLOSED:
		return "closed";
	default:
		return "unknown";
	}
}

static int add_counters(json_t *row, const struct vmb_stats *stats)
{
	for (size_t i = 0; i < vmb_array_size(counters); i++) {
		const uint64_t *counter =
			(const void *)((const char *)stats + counters[i].at);

		if (json_object_set_new(
			    row, counters[i].name,
			    json_integer(number(vmb_load_relaxed(counter)))))
			return -ENOMEM;
	}
	return 0;
}

static json_t *endpoint_row(struct vmbd *d, struct vmb_list *node)
{
	const struct vmbd_endpoint *e =
		vmb_container_of(node, struct vmbd_endpoint, node);
	const struct vmb_stats *stats = vmb_nic_stats(d->nic, e->handle);
	const struct vmbd_client *c = e->client;
	const struct vmbd_board *board = c->domain->board;
	char nic[NIC_TEXT];
	json_t *row;

	format_nic(board->nic_id, nic);
	row = json_pack(
		"{s:I, s:i, s:s, s:s, s:i, s:s, s:I, s:I, s:s, s:i, s:i, s:i, "
		"s:i, s:I}",
		"handle", (json_int_t)e->handle, "id", (int)e->id, "board",
		board->name, "nic_id", nic, "domain", (int)c->domain->id,
		"domain_name", c->domain->name, "client", (json_int_t)c->number,
		"session", (json_int_t)e->session, "state",
		state_name(vmb_load_relaxed(&stats->state)), "thread",
		(int)vmb_nic_endpoint_thread(e->nic), "eq_slots",
		(int)e->geometry.eq_slots, "rx_bytes",
		(int)e->geometry.rx_bytes, "tx_bytes",
		(int)e->geometry.tx_bytes, "bytes",
		number(vmb_nic_endpoint_bytes(&e->geometry)));
	if (row && add_counters(row, stats)) {
		json_decref(row);
		return NULL;
	}
	return with_owner(c, row);
}

json_t *vmbd_report_endpoints(struct vmbd *d)
{
	return collect_of_clients(d, offsetof(struct vmbd_client, endpoints),
				  endpoint_row);
}

/* ---- regions ------------------------------------------------------------ */

static const char *kind_name(uint32_t kind)
{
	switch (kind) {
	case VMB_REGION_MEMFD:
		return "memfd";
	case VMB_REGION_PROCESS:
		return "process";
	default:
		return "grant";
	}
}

static const char *access_name(uint32_t access)
{
	switch (access) {
	case VMB_ACCESS_ALL:
		return "read,write";
	case VMB_ACCESS_REMOTE_READ:
		return "read";
	case VMB_ACCESS_REMOTE_WRITE:
		return "write";
	default:
		return "none";
	}
}

static json_t *region_row(struct vmbd *d, struct vmb_list *node)
{
	const struct vmbd_region *region =
		vmb_container_of(node, struct vmbd_region, node);
	const struct vmbd_client *c = region->client;
	char key[32];

	(void)d;
	snprintf(key, sizeof(key), "%u.%u", VMB_KEY_INDEX(region->key),
		 VMB_KEY_GEN(region->key));
	return with_owner(c, json_pack("{s:s, s:i, s:s, s:I, s:s, s:s, s:I}",
				       "key", key, "domain", (int)c->domain->id,
				       "domain_name", c->domain->name, "client",
				       (json_int_t)c->number, "kind",
				       kind_name(region->memory.kind), "access",
				       access_name(region->access), "bytes",
				       number(region->memory.len)));
}

json_t *vmbd_report_regions(struct vmbd *d)
{
	return collect_of_clients(d, offsetof(struct vmbd_client, regions),
				  region_row);
}

/* ---- lanes -------------------------------------------------------------- */

/* "host:board:id", or the handle of one that has closed. */
static void format_end(struct vmbd *d, uint32_t handle, char *text, size_t size)
{
	const struct vmbd_endpoint *e = vmbd_endpoint_by_handle(d, handle);

	if (e)
		snprintf(text, size, "%s/%u", e->client->domain->board->name,
			 e->id);
	else
		snprintf(text, size, "0x%x (closed)", handle);
}

static json_t *lane_row(struct vmbd *d, struct vmb_list *node)
{
	const struct vmbd_lane *lane =
		vmb_container_of(node, struct vmbd_lane, node);
	bool refused = lane->state == VMBD_LANE_REFUSED;
	char from[VMB_NAME_BYTES + 16], to[VMB_NAME_BYTES + 16];

	format_end(d, lane->sender, from, sizeof(from));
	format_end(d, lane->receiver->handle, to, sizeof(to));
	return with_owner(
		lane->receiver->client,
		json_pack("{s:s, s:s, s:s, s:I, s:I, s:s}", "from", from, "to",
			  to, "state", vmbd_lane_state_name(lane->state),
			  "slots", (json_int_t)lane->slots, "bytes",
			  (json_int_t)(refused ? 0
					       : VMB_LANE_LEN(lane->slots,
							      lane->bytes)),
			  "why", refused ? vmbd_lane_why(lane) : ""));
}

json_t *vmbd_report_lanes(struct vmbd *d)
{
	return collect_of_clients(d, offsetof(struct vmbd_client, lanes),
				  lane_row);
}

/* ---- guests ------------------------------------------------------------- */

static json_t *guest_row(struct vmbd *d, struct vmb_list *node)
{
	const struct vmbd_guest *g =
		vmb_container_of(node, struct vmbd_guest, node);
	const struct vmbd_domain *domain = g->domain;

	(void)d;
	return json_pack(
		"{s:s, s:I, s:s, s:s, s:i, s:i, s:i, s:I, s:i, s:I, s:I, s:I}",
		"guest", g->who.name, "id", (json_int_t)g->who.id, "uuid",
		g->who.uuid, "state", g->platform->ops->guest_state(g->guest),
		"domain", (int)domain->id, "clients", (int)domain->clients,
		"endpoints", (int)domain->endpoints, "endpoints_max",
		number(domain->limits.of[VMBD_ENDPOINTS]), "regions",
		(int)domain->regions, "memory_bytes", number(domain->memory),
		"memory_max", number(domain->limits.of[VMBD_MEMORY]), "faults",
		number(g->faults));
}

json_t *vmbd_report_guests(struct vmbd *d)
{
	return collect(&d->guests, json_array(), guest_row, d);
}

/* ---- peers -------------------------------------------------------------- */

/* Clients of one board share its domain, or it is the host's. */
static const char *board_domain(struct vmbd *d, const struct vmbd_board *board)
{
	struct vmb_list *pos;

	vmb_list_each (pos, &d->domains) {
		const struct vmbd_domain *domain =
			vmb_container_of(pos, struct vmbd_domain, node);

		if (domain->board == board)
			return domain->name;
	}
	return "";
}

static json_t *peer_row(struct vmbd *d, struct vmb_list *node)
{
	const struct vmbd_board *board =
		vmb_container_of(node, struct vmbd_board, node);
	json_t *ids = json_array();
	char nic[NIC_TEXT];

	for (uint32_t id = 0; ids && id <= VMB_ID_MAX; id++) {
		if (!board->chunks[id / BOARD_CHUNK]) {
			id |= BOARD_CHUNK - 1;
			continue;
		}
		if (vmbd_board_endpoint(board, id))
			json_array_append_new(ids, json_integer(id));
	}
	format_nic(board->nic_id, nic);
	return json_pack("{s:s, s:s, s:s, s:o}", "name", board->name, "nic_id",
			 nic, "domain", board_domain(d, board), "endpoints",
			 ids);
}

json_t *vmbd_report_peers(struct vmbd *d)
{
	return collect(&d->boards, json_array(), peer_row, d);
}

/* ---- faults ------------------------------------------------------------- */

static const char *op_name(const struct vmb_nic_fault *f)
{
	static const char *const names[] = {
		[VMB_OP_SEND] = "send",
		[VMB_OP_PUT] = "put",
		[VMB_OP_GET] = "get",
		[VMB_OP_FENCE] = "fence",
	};

	if (f->code == VMB_NIC_FAULT_VALUE)
		return vmbd_control_name(f->op);
	return f->op < vmb_array_size(names) && names[f->op] ? names[f->op]
							     : "none";
}

static void format_time(uint64_t time_ns, char *text, size_t size)
{
	time_t seconds = (time_t)(time_ns / 1000000000u);
	struct tm tm;
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, size - n, ".%03uZ",
		 (unsigned)(time_ns / 1000000u % 1000u));
}

static json_t *fault_row(struct vmbd *d, const struct vmb_nic_fault *f)
{
	const struct vmbd_domain *domain = vmbd_domain_by_id(d, f->domain);
	char time[40];

	format_time(f->time_ns, time, sizeof(time));
	return json_pack("{s:I, s:s, s:i, s:s, s:I, s:s, s:s, s:i, s:i, s:I, "
			 "s:I}",
			 "number", number(f->number), "time", time, "domain",
			 (int)f->domain, "domain_name",
			 domain ? domain->name : "", "handle",
			 (json_int_t)f->handle, "op", op_name(f), "reason",
			 vmb_nic_code_text(f->code), "code", (int)f->code,
			 "key_index", (int)VMB_KEY_INDEX(f->key), "address",
			 number(f->address), "length", number(f->len));
}

json_t *vmbd_report_faults(struct vmbd *d, size_t max)
{
	struct vmb_nic_fault *records = calloc(max, sizeof(*records));
	json_t *rows = json_array();
	uint64_t lost = 0;
	size_t n;

	if (!records || !rows) {
		free(records);
		json_decref(rows);
		return NULL;
	}
	n = vmb_nic_faults(d->nic, records, max, &lost);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(rows, fault_row(d, &records[i]));
	free(records);
	return json_pack("{s:I, s:o}", "lost", number(lost), "records", rows);
}

/* ---- limits ------------------------------------------------------------- */

static json_t *limits_row(const char *section, const char *name,
			  const struct vmbd_limits *limits)
{
	json_t *row = json_pack("{s:s, s:s}", "section", section, "name", name);

	for (unsigned key = 0; row && key < VMBD_KEYS; key++) {
		uint64_t value = limits->of[key];

		if (!(limits->set & 1u << key))
			continue;
		json_object_set_new(
			row, vmbd_key_name(key),
			vmbd_key_is_choice(key)
				? json_string(vmbd_key_choice(key, value))
				: json_integer(number(value)));
	}
	return row;
}

/* First what holds when no section says otherwise, here for our own user. */
json_t *vmbd_report_limits(struct vmbd *d)
{
	const struct vmb_credentials self = {.uid = geteuid(),
					     .gid = (gid_t)-1};
	const struct vmbd_policy none = {0};
	struct vmbd_limits builtin;
	json_t *rows = json_array();

	vmbd_policy_client(&none, &self, &builtin);
	builtin.set = ((1u << VMBD_KEYS) - 1) & ~(1u << VMBD_OWNER); /* none */
	json_array_append_new(rows, limits_row("built-in", "", &builtin));
	for (unsigned i = 0; i < d->policy->count; i++) {
		const struct vmbd_section *s = &d->policy->sections[i];

		json_array_append_new(
			rows, limits_row(vmbd_section_kind_name(s->kind),
					 s->name, &s->limits));
	}
	return rows;
}
