// SPDX-License-Identifier: BSD-2-Clause
/* test_vmbctl.c - vmbctl as its users see it, against a real daemon. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include <vmbypass/abi/stats.h>

#include "base/util.h"
#include "ctl.h"
#include "port/port.h"
#include "ring/ring.h"
#include "support/daemon.h"
#include "support/raw.h"
#include "support/run.h"

static const json_t *row_named(const json_t *rows, const char *name)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		if (!strcmp(ctl_string(row, "name"), name))
			return row;
	}
	ck_abort_msg("no row of %s", name);
}

/* ---- with a real daemon ------------------------------------------------- */

struct bench {
	struct t_daemon daemon;
	struct vmb_port *port;
	struct vmb_port_endpoint pep;
	void *memory;
	uint64_t key;
	struct vmb_ring doorbell;
};

static const struct vmb_geometry geometry = {
	.eq_slots = 64, .rx_bytes = 4096, .tx_bytes = 4096};
static struct bench b; /* each test runs in a process of its own */
static struct ctl_result r;

static void setup(void)
{
	t_daemon_start(&b.daemon, NULL);
	ck_assert_int_eq(vmb_port_local.open(b.daemon.socket, "blue", &b.port),
			 0);
	ck_assert_int_eq(vmb_port_local.endpoint_open(b.port, 7, 0, &geometry,
						      &b.pep),
			 0);
	ck_assert_int_eq(
		vmb_port_local.mem_alloc(b.port, 8192, &b.memory, &b.key), 0);
	vmb_ring_init(&b.doorbell, b.pep.area, VMB_DOORBELL_SLOTS, 0);
}

static void teardown(void)
{
	vmb_port_local.mem_free(b.port, b.memory, 8192, b.key);
	vmb_port_local.endpoint_close(b.port, &b.pep);
	vmb_port_local.close(b.port);
	t_daemon_stop(&b.daemon);
}

/* Post a descriptor and wait until the engine has answered it. */
static void post(const struct vmb_slot *slot)
{
	const struct vmb_control_page *ctl =
		(void *)((char *)b.pep.area + VMB_AREA_CONTROL);
	uint64_t until = vmb_now_ns() + 10000000000u;
	uint64_t before = vmb_observe(&ctl->progress);

	vmb_ring_commit(&b.doorbell, slot);
	vmb_port_local.kick(&b.pep);
	while (vmb_observe(&ctl->progress) == before &&
	       vmb_observe(&ctl->state) == VMB_STATE_OPEN)
		ck_assert_uint_lt(vmb_now_ns(), until);
}

/* A message to ourselves. */
static void post_send(void)
{
	post(&(struct vmb_slot){
		.op = VMB_OP_SEND, .len = 8, .peer = b.pep.handle});
}

START_TEST(status_names_the_daemon)
{
	json_t *status;

	RUN(b.daemon.socket, &r, "status", "--json");
	ck_assert_int_eq(r.status, 0);
	status = ctl_parse(r.out);
	ck_assert_int_eq(ctl_integer(status, "pid"), b.daemon.pid);
	ck_assert_int_eq(ctl_integer(status, "endpoints"), 1);
	ck_assert_int_eq(ctl_integer(status, "clients"), 1);
	json_decref(status);
	RUN(b.daemon.socket, &r, "status");
	ck_assert_int_eq(r.status, 0);
	ctl_assert_has(r.out, b.daemon.socket);
}
END_TEST

static const struct listing {
	const char *command, *title, *key;
	json_int_t value;
	bool bytes;
} listings[] = {
	{"clients", "USER", "endpoints", 1, false},
	{"domains", "NAME", "endpoints", 1, false},
	{"endpoints", "HANDLE", "id", 7, false},
	{"regions", "KEY", "bytes", 8192, true},
	{"weights", "SHARE", "weight", 1, false},
	{"counters", "ARRIVALS", "id", 7, false},
};

START_TEST(list_shows_a_table_and_json)
{
	const struct listing *l = &listings[_i];
	json_t *rows;
	char line[512];
	FILE *f;

	RUN(b.daemon.socket, &r, l->command, "--json");
	ck_assert_int_eq(r.status, 0);
	rows = ctl_parse(r.out);
	ck_assert_uint_eq(json_array_size(rows), 1);
	ck_assert_int_eq(ctl_integer(json_array_get(rows, 0), l->key),
			 l->value);
	json_decref(rows);
	RUN(b.daemon.socket, &r, l->command);
	ck_assert_int_eq(r.status, 0);
	ctl_assert_has(r.out, l->title);
	if (l->bytes)
		ctl_assert_has(r.out, "8K");
	f = fmemopen(r.out, strlen(r.out), "r");
	while (fgets(line, sizeof(line), f))
		ck_assert_msg(strlen(line) <= 81, "too wide: %s", line);
	fclose(f);
}
END_TEST

START_TEST(region_key_stays_secret)
{
	char secret[32];

	RUN(b.daemon.socket, &r, "regions", "--json");
	snprintf(secret, sizeof(secret), "%llu", (unsigned long long)b.key);
	ck_assert_ptr_null(strstr(r.out, secret));
	snprintf(secret, sizeof(secret), "%u.%u", VMB_KEY_INDEX(b.key),
		 VMB_KEY_GEN(b.key));
	ctl_assert_has(r.out, secret);
}
END_TEST

START_TEST(peers_names_our_board)
{
	RUN(b.daemon.socket, &r, "peers");
	ck_assert_int_eq(r.status, 0);
	ctl_assert_has(r.out, b.port->hello.name);
	ctl_assert_has(r.out, "blue");
}
END_TEST

/* Of a text like 02:00:c0:ff:ee:01. */
static uint64_t nic_of(const char *text)
{
	uint64_t nic_id = 0;

	ck_assert_uint_eq(strlen(text), 17);
	for (unsigned i = 0; i < 6; i++)
		nic_id = nic_id << 8 | strtoul(text + 3 * i, NULL, 16);
	return nic_id;
}

START_TEST(peers_are_rows_of_boards_with_their_endpoints)
{
	const json_t *row, *ids;
	struct vmb_port *other;
	json_t *rows;

	ck_assert_int_eq(vmb_port_local.open(b.daemon.socket, "red", &other),
			 0);
	RUN(b.daemon.socket, &r, "peers", "--json");
	ck_assert_int_eq(r.status, 0);
	ck_assert_int_eq(r.err[0], 0);
	rows = ctl_parse(r.out);
	ck_assert_uint_eq(json_array_size(rows), 3); /* and the host's */
	row = row_named(rows, b.port->hello.name);
	ck_assert_str_eq(ctl_string(row, "domain"), "blue");
	ck_assert_uint_eq(nic_of(ctl_string(row, "nic_id")),
			  b.port->hello.nic_id);
	ids = json_object_get(row, "endpoints");
	ck_assert_uint_eq(json_array_size(ids), 1);
	ck_assert_int_eq(json_integer_value(json_array_get(ids, 0)), 7);
	row = row_named(rows, other->hello.name);
	ck_assert_str_eq(ctl_string(row, "domain"), "red");
	ids = json_object_get(row, "endpoints");
	ck_assert(json_is_array(ids) && !json_array_size(ids));
	json_decref(rows);
	vmb_port_local.close(other);
}
END_TEST

START_TEST(counters_are_those_of_the_handle)
{
	char handle[16];
	json_t *row;

	for (int i = 0; i < 3; i++)
		post_send();
	snprintf(handle, sizeof(handle), "%#x", b.pep.handle);
	RUN(b.daemon.socket, &r, "counters", handle, "--json");
	ck_assert_int_eq(r.status, 0);
	row = ctl_parse(r.out);
	ck_assert_int_eq(ctl_integer(row, "handle"), b.pep.handle);
	ck_assert_int_eq(ctl_integer(row, "sends"), 3);
	ck_assert_int_eq(ctl_integer(row, "send_bytes"), 24);
	ck_assert_int_eq(ctl_integer(row, "arrivals"), 3);
	json_decref(row);
	RUN(b.daemon.socket, &r, "counters", "0xfffe");
	ck_assert_int_eq(r.status, 1);
	ctl_assert_has(r.err, "0xfffe");
	/* the same index, but of another generation */
	snprintf(handle, sizeof(handle), "%#x", b.pep.handle + 0x10000);
	RUN(b.daemon.socket, &r, "counters", handle);
	ck_assert_int_eq(r.status, 1);
	RUN(b.daemon.socket, &r, "counters", "seven");
	ck_assert_int_eq(r.status, 2);
	ctl_assert_has(r.err, "not a handle");
}
END_TEST

START_TEST(fault_is_listed_with_its_reason)
{
	json_t *faults, *record;

	RUN(b.daemon.socket, &r, "faults");
	ctl_assert_has(r.out, "no faults");
	post(&(struct vmb_slot){.op = 99, .peer = b.pep.handle});
	RUN(b.daemon.socket, &r, "faults", "--json");
	ck_assert_int_eq(r.status, 0);
	faults = ctl_parse(r.out);
	ck_assert_int_eq(ctl_integer(faults, "lost"), 0);
	record = json_array_get(json_object_get(faults, "records"), 0);
	ck_assert_int_eq(ctl_integer(record, "code"), VMB_CODE_BAD_OP);
	ck_assert_int_eq(ctl_integer(record, "handle"), b.pep.handle);
	RUN(b.daemon.socket, &r, "faults");
	ctl_assert_has(r.out,
		       json_string_value(json_object_get(record, "reason")));
	json_decref(faults);
	RUN(b.daemon.socket, &r, "endpoints");
	ctl_assert_has(r.out, "faulted");
}
END_TEST

/* The next line of a pipe, as JSON. */
static json_t *next_line(FILE *pipe)
{
	struct pollfd p = {.fd = fileno(pipe), .events = POLLIN};
	static char line[CTL_OUTPUT_BYTES];

	ck_assert_int_eq(poll(&p, 1, 20000), 1);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), pipe));
	return ctl_parse(line);
}

static FILE *start(pid_t *pid, const char *const *args)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	*pid = ctl_spawn(b.daemon.socket, args, fds[1], STDERR_FILENO);
	close(fds[1]);
	return fdopen(fds[0], "r");
}

START_TEST(faults_follow_shows_new_records)
{
	static const char *const args[] = {"faults",	 "--follow", "--json",
					   "--interval", "0.1",	     NULL};
	FILE *pipe;
	pid_t pid;
	json_t *record;

	pipe = start(&pid, args);
	post(&(struct vmb_slot){.op = 99, .peer = b.pep.handle});
	record = next_line(pipe);
	ck_assert_int_eq(ctl_integer(record, "code"), VMB_CODE_BAD_OP);
	json_decref(record);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fclose(pipe);
}
END_TEST

START_TEST(top_shows_rates_once_without_a_terminal)
{
	RUN(b.daemon.socket, &r, "top", "--interval", "0.1");
	ck_assert_int_eq(r.status, 0);
	ctl_assert_has(r.out, "TX-MSG/S");
	ctl_assert_has(r.out, "blue");
}
END_TEST

START_TEST(top_goes_on_while_the_daemon_is_stopped)
{
	static const char *const args[] = {
		"top", "--json", "--count", "10", "--interval", "0.1", NULL};
	FILE *pipe;
	pid_t pid;

	pipe = start(&pid, args);
	for (int i = 0; i < 10; i++) {
		json_t *line = next_line(pipe);

		ck_assert_uint_eq(
			json_array_size(json_object_get(line, "endpoints")), 1);
		json_decref(line);
		if (i == 0)
			kill(b.daemon.pid, SIGSTOP);
	}
	ck_assert_int_eq(ctl_exit_code(pid), 0);
	kill(b.daemon.pid, SIGCONT);
	fclose(pipe);
}
END_TEST

START_TEST(top_ends_when_the_daemon_dies)
{
	static const char *const args[] = {"top", "--json", "--interval", "0.1",
					   NULL};
	FILE *pipe;
	pid_t pid;

	pipe = start(&pid, args);
	json_decref(next_line(pipe));
	t_daemon_kill(&b.daemon);
	ck_assert_int_eq(ctl_exit_code(pid), 1);
	fclose(pipe);
}
END_TEST

START_TEST(stopped_daemon_is_an_error_and_not_a_hang)
{
	kill(b.daemon.pid, SIGSTOP);
	RUN(b.daemon.socket, &r, "status");
	kill(b.daemon.pid, SIGCONT);
	ck_assert_int_eq(r.status, 1);
	ctl_assert_has(r.err, "does not answer");
}
END_TEST

START_TEST(weight_is_set_by_name_and_by_number)
{
	char number[16];

	RUN(b.daemon.socket, &r, "set-weight", "blue", "4");
	ck_assert_int_eq(r.status, 0);
	RUN(b.daemon.socket, &r, "weights", "--json");
	ctl_assert_has(r.out, "\"weight\": 4");
	snprintf(number, sizeof(number), "%u", b.port->hello.domain_id);
	RUN(b.daemon.socket, &r, "set-weight", number, "5");
	ck_assert_int_eq(r.status, 0);
	RUN(b.daemon.socket, &r, "weights", "--json");
	ctl_assert_has(r.out, "\"weight\": 5");
	RUN(b.daemon.socket, &r, "set-weight", "blue", "0");
	ck_assert_int_eq(r.status, 1);
	RUN(b.daemon.socket, &r, "set-weight", "green", "1");
	ck_assert_int_eq(r.status, 1);
	ctl_assert_has(r.err, "no such domain: see `vmbctl domains`");
	RUN(b.daemon.socket, &r, "set-limit", "--domain", "green", "--memory",
	    "1M");
	ck_assert_int_eq(r.status, 1);
	ctl_assert_has(r.err, "see `vmbctl clients` and `vmbctl domains`");
}
END_TEST

/* Of the domain with this number. */
static json_int_t weight_of(uint32_t domain)
{
	json_int_t weight = -1;
	json_t *rows, *row;
	size_t i;

	RUN(b.daemon.socket, &r, "weights", "--json");
	rows = ctl_parse(r.out);
	json_array_foreach(rows, i, row)
	{
		if (ctl_integer(row, "domain") == domain)
			weight = ctl_integer(row, "weight");
	}
	json_decref(rows);
	return weight;
}

/* A domain is called like the number of another: digits mean it, # does not. */
START_TEST(name_of_digits_counts_before_a_number)
{
	uint32_t blue = b.port->hello.domain_id;
	struct vmb_port *digits;
	char name[16], number[16];

	snprintf(name, sizeof(name), "%u", blue);
	snprintf(number, sizeof(number), "#%u", blue);
	ck_assert_int_eq(vmb_port_local.open(b.daemon.socket, name, &digits),
			 0);
	RUN(b.daemon.socket, &r, "set-weight", name, "4");
	ck_assert_int_eq(r.status, 0);
	ck_assert_int_eq(weight_of(digits->hello.domain_id), 4);
	ck_assert_int_eq(weight_of(blue), 1);
	RUN(b.daemon.socket, &r, "set-weight", number, "7");
	ck_assert_int_eq(r.status, 0);
	ck_assert_int_eq(weight_of(blue), 7);
	RUN(b.daemon.socket, &r, "set-limit", "--domain", name, "--memory",
	    "1M");
	ck_assert_int_eq(r.status, 0);
	RUN(b.daemon.socket, &r, "set-limit", "--domain", number, "--memory",
	    "1M");
	ck_assert_int_eq(r.status, 0);
	vmb_port_local.close(digits);
	/* more digits than a number has */
	RUN(b.daemon.socket, &r, "set-weight", "18446744073709551617", "2");
	ck_assert_int_eq(r.status, 1);
	ctl_assert_has(r.err, "no such domain");
}
END_TEST

/* The order of programs: VMB_PORT counts over VMB_SOCKET. An option over both. */
START_TEST(daemon_is_found_where_programs_find_it)
{
	char port[64];

	snprintf(port, sizeof(port), "local:%s", b.daemon.socket);
	setenv("VMB_SOCKET", "/nowhere/vmbd.sock", 1);
	setenv("VMB_PORT", port, 1);
	RUN(NULL, &r, "status");
	ck_assert_int_eq(r.status, 0);
	setenv("VMB_PORT", "local", 1);
	RUN(NULL, &r, "status");
	ck_assert_int_eq(r.status, 1);
	ctl_assert_has(r.err, "/nowhere/vmbd.sock");
	setenv("VMB_PORT", "local:/nowhere/else", 1);
	RUN(b.daemon.socket, &r, "status");
	ck_assert_int_eq(r.status, 0);
	setenv("VMB_SOCKET", b.daemon.socket, 1);
	RUN(NULL, &r, "status");
	ck_assert_int_eq(r.status, 1);
	ctl_assert_has(r.err, "/nowhere/else");
	/* what is no path is no business of ours */
	unsetenv("VMB_SOCKET");
	setenv("VMB_PORT", "kshim", 1);
	setenv("XDG_RUNTIME_DIR", "/nowhere", 1);
	RUN(NULL, &r, "status");
	ctl_assert_has(r.err, "/vmbypass/vmbd.sock");
}
END_TEST

/* This daemon serves processes only. */
START_TEST(guests_are_none_of_a_local_daemon)
{
	RUN(b.daemon.socket, &r, "guests");
	ck_assert_int_eq(r.status, 0);
	ctl_assert_has(r.out, "no guest is attached");
	RUN(b.daemon.socket, &r, "attach", "web");
	ck_assert_int_eq(r.status, 1);
	ctl_assert_has(r.err, "serves no guests");
	RUN(b.daemon.socket, &r, "detach", "web");
	ck_assert_int_eq(r.status, 1);
	ctl_assert_has(r.err, "serves no guests");
}
END_TEST

START_TEST(limit_holds_from_now_on)
{
	struct vmb_port_endpoint second;
	char number[16];
	json_t *rows;
	void *addr;
	uint64_t key;

	RUN(b.daemon.socket, &r, "clients", "--json");
	rows = ctl_parse(r.out);
	snprintf(number, sizeof(number), "%lld",
		 (long long)ctl_integer(json_array_get(rows, 0), "client"));
	json_decref(rows);
	RUN(b.daemon.socket, &r, "set-limit", "--client", number, "--endpoints",
	    "1", "--memory", "8K");
	ck_assert_int_eq(r.status, 0);
	ck_assert_int_eq(vmb_port_local.endpoint_open(b.port, VMB_ID_ANY, 0,
						      &geometry, &second),
			 -EDQUOT);
	ck_assert_int_eq(vmb_port_local.mem_alloc(b.port, 4096, &addr, &key),
			 -EDQUOT);
	RUN(b.daemon.socket, &r, "clients", "--json");
	ctl_assert_has(r.out, "\"memory_max\": 8192");
	RUN(b.daemon.socket, &r, "set-limit", "--client", "999", "--endpoints",
	    "1");
	ck_assert_int_eq(r.status, 1);
}
END_TEST

START_TEST(clients_shows_what_users_are_called)
{
	const struct passwd *self = getpwuid(getuid());
	const json_t *row;
	json_t *rows;

	RUN(b.daemon.socket, &r, "clients", "--json");
	rows = ctl_parse(r.out);
	row = json_array_get(rows, 0);
	ck_assert_int_eq(ctl_integer(row, "uid"), getuid());
	ck_assert_ptr_nonnull(self);
	ck_assert_str_eq(ctl_string(row, "user"), self->pw_name);
	json_decref(rows);
	ck_assert_ptr_null(
		strstr(t_raw_ask(b.daemon.socket, "{\"cmd\":\"clients\"}"),
		       "\"user\""));
}
END_TEST

START_TEST(limits_shows_the_policy)
{
	RUN(b.daemon.socket, &r, "limits", "--json");
	ck_assert_int_eq(r.status, 0);
	json_decref(ctl_parse(r.out));
	RUN(b.daemon.socket, &r, "limits");
	ck_assert_int_eq(r.status, 0);
	ctl_assert_has(r.out, "ENDPOINTS");
}
END_TEST

START_TEST(limits_shows_who_owns_a_domain)
{
	char path[64];
	const char *const args[] = {"--policy", path, NULL};
	struct t_daemon d;
	const json_t *row;
	json_t *rows;

	snprintf(path, sizeof(path), "/tmp/vmb-policy-%d", (int)getpid());
	t_raw_write_file(path, "[domain web]\nowner = root\n"
			       "[domain db]\nowner = 4000000001\n");
	t_daemon_start(&d, args);
	RUN(d.socket, &r, "limits", "--json");
	rows = ctl_parse(r.out);
	row = row_named(rows, "web");
	ck_assert_int_eq(ctl_integer(row, "owner"), 0);
	ck_assert_str_eq(ctl_string(row, "owner_name"), "root");
	row = row_named(rows, "db"); /* nobody has this number */
	ck_assert_int_eq(ctl_integer(row, "owner"), 4000000001);
	ck_assert_str_eq(ctl_string(row, "owner_name"), "4000000001");
	/* it was vmbctl who asked: that may take long */
	ck_assert_ptr_null(strstr(t_raw_ask(d.socket, "{\"cmd\":\"limits\"}"),
				  "owner_name"));
	/* the row of what is built in: there is no owner */
	ck_assert_ptr_null(json_object_get(row_named(rows, ""), "owner"));
	json_decref(rows);
	RUN(d.socket, &r, "limits");
	ctl_assert_has(r.out, "OWNER");
	ctl_assert_has(r.out, "root");
	ctl_assert_has(r.out, "4000000001");
	t_daemon_stop(&d);
	unlink(path);
}
END_TEST

static const char *const outputs[][6] = {
	{"status"},
	{"endpoints"},
	{"endpoints", "--json"},
	{"faults", "--follow", "--interval", "0.1"},
	{"top", "--interval", "0.1"},
	{"top", "--json", "--interval", "0.1"}, /* without end, else */
};

START_TEST(output_that_is_lost_is_an_error)
{
	FILE *err = tmpfile();
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	pid_t pid;

	post(&(struct vmb_slot){.op = 99, .peer = b.pep.handle});
	pid = ctl_spawn(b.daemon.socket, outputs[_i], full, fileno(err));
	ck_assert_int_eq(ctl_exit_code(pid), 1);
	ctl_take_output(err, r.err, sizeof(r.err));
	ctl_assert_has(r.err, "vmbctl: standard output: ");
	close(full);
}
END_TEST

/* ---- wrong use ---------------------------------------------------------- */

START_TEST(no_daemon_says_how_to_start_one)
{
	RUN("/nonexistent/vmbd.sock", &r, "status");
	ck_assert_int_eq(r.status, 1);
	ctl_assert_has(r.err, "/nonexistent/vmbd.sock");
	ctl_assert_has(r.err, "vmbd --local");
}
END_TEST

static const char *const misuses[][4] = {
	{"nonsense"},
	{"status", "surplus"},
	{"set-weight", "blue"},
	{"attach"},
	{"detach", "web", "mail"},
	{"status", "--timeout", "0"},
	{"status", "--follow"},
	{"status", "--socket", ""},
	{"top", "--interval", "0"},
	{"top", "--count", "x"},
	{"faults", "--max", "99999"},
};

START_TEST(misuse_is_refused_with_code_2)
{
	ctl_run("/nonexistent", &r, misuses[_i]);
	ck_assert_int_eq(r.status, 2);
	ck_assert_int_ne(r.err[0], 0);
	ck_assert_int_eq(r.out[0], 0);
}
END_TEST

/* Only who has to know where the daemon is errs. */
START_TEST(path_too_long_matters_only_where_it_is_used)
{
	char path[128], port[140];

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	snprintf(port, sizeof(port), "local:%s", path);
	if (_i == 0)
		setenv("VMB_SOCKET", path, 1);
	else
		setenv("VMB_PORT", port, 1);
	RUN(NULL, &r, "--help");
	ck_assert_int_eq(r.status, 0);
	RUN(NULL, &r, "status", "--help");
	ck_assert_int_eq(r.status, 0);
	RUN("/nonexistent", &r, "status");
	ck_assert_int_eq(r.status, 1);
	ctl_assert_has(r.err, "no daemon at /nonexistent");
	RUN(NULL, &r, "--socket", "/nonexistent", "status");
	ctl_assert_has(r.err, "no daemon at /nonexistent");
	RUN(NULL, &r, "status");
	ck_assert_int_eq(r.status, 2);
	ctl_assert_has(r.err, "path too long");
	RUN(path, &r, "status");
	ck_assert_int_eq(r.status, 2);
}
END_TEST

static const char *const bad_values[][8] = {
	{"set-limit"},
	{"set-limit", "--client", "1"},
	{"set-limit", "--client", "1", "--memory", "2X"},
	{"set-limit", "--client", "-1", "--memory", "2"},
	{"set-limit", "--domain", "d", "--memory", "99999999T"},
	{"set-limit", "--domain", "d", "--client", "1", "--memory", "2"},
	{"set-weight", "web", "abc"},
	{"set-weight", "web", "99999999999"},
	{"counters", "seven"},
	{"counters", "0x100000000"},
};

START_TEST(value_that_is_none_is_refused)
{
	ctl_run("/nonexistent", &r, bad_values[_i]);
	ck_assert_int_eq(r.status, 2);
	ck_assert_ptr_null(strstr(r.err, "vmbd --local")); /* not even asked */
}
END_TEST

static const char *const commands[] = {
	"status",     "clients",   "guests",  "attach",	   "detach",
	"domains",    "endpoints", "regions", "lanes",	   "peers",
	"counters",   "faults",	   "limits",  "set-limit", "weights",
	"set-weight", "top",
};

/* Lines of a text that begin with this. */
static unsigned lines_with(const char *text, const char *begin)
{
	unsigned n = !strncmp(text, begin, strlen(begin));
	char pattern[64];

	snprintf(pattern, sizeof(pattern), "\n%s", begin);
	for (; (text = strstr(text, pattern)); text++)
		n++;
	return n;
}

/* All of them are in the table above: the list ends with an empty line. */
START_TEST(help_lists_the_commands)
{
	char line[64], *list, *end;

	RUN("/x", &r, "--help");
	ck_assert_int_eq(r.status, 0);
	list = strstr(r.out, "Commands:\n");
	ck_assert_ptr_nonnull(list);
	end = strstr(list, "\n\n");
	ck_assert_ptr_nonnull(end);
	end[1] = '\0';
	for (size_t i = 0; i < vmb_array_size(commands); i++) {
		snprintf(line, sizeof(line), "  %s ", commands[i]);
		ck_assert_msg(lines_with(list, line) == 1, "no%s", line);
	}
	ck_assert_uint_eq(lines_with(list, "  "), vmb_array_size(commands));
}
END_TEST

/* Without a daemon: what it takes, what is common to all, and examples. */
START_TEST(help_of_a_command_has_its_options_and_examples)
{
	const char *command = commands[_i];
	char usage[64], example[64];

	RUN("/x", &r, command, "--help");
	ck_assert_int_eq(r.status, 0);
	ck_assert_int_eq(r.err[0], 0);
	snprintf(usage, sizeof(usage), "Usage: vmbctl %s [OPTION...]", command);
	ctl_assert_has(r.out, usage);
	ctl_assert_has(r.out, "--socket=PATH");
	snprintf(example, sizeof(example), "Examples:\n  vmbctl %s", command);
	ctl_assert_has(r.out, example);
	RUN("/x", &r, command, "--no-such-option");
	ck_assert_int_eq(r.status, 2);
	ck_assert_int_eq(r.out[0], 0);
	ctl_assert_has(r.err, "--no-such-option");
}
END_TEST

/* ---- suite -------------------------------------------------------------- */

static TCase *daemon_case(void)
{
	TCase *c = tcase_create("daemon");

	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, status_names_the_daemon);
	tcase_add_loop_test(c, list_shows_a_table_and_json, 0,
			    vmb_array_size(listings));
	tcase_add_test(c, region_key_stays_secret);
	tcase_add_test(c, peers_names_our_board);
	tcase_add_test(c, peers_are_rows_of_boards_with_their_endpoints);
	tcase_add_test(c, counters_are_those_of_the_handle);
	tcase_add_test(c, fault_is_listed_with_its_reason);
	tcase_add_test(c, faults_follow_shows_new_records);
	tcase_add_test(c, top_shows_rates_once_without_a_terminal);
	tcase_add_test(c, top_goes_on_while_the_daemon_is_stopped);
	tcase_add_test(c, top_ends_when_the_daemon_dies);
	tcase_add_test(c, stopped_daemon_is_an_error_and_not_a_hang);
	tcase_add_test(c, weight_is_set_by_name_and_by_number);
	tcase_add_test(c, name_of_digits_counts_before_a_number);
	tcase_add_test(c, daemon_is_found_where_programs_find_it);
	tcase_add_test(c, guests_are_none_of_a_local_daemon);
	tcase_add_test(c, limit_holds_from_now_on);
	tcase_add_test(c, clients_shows_what_users_are_called);
	tcase_add_test(c, limits_shows_the_policy);
	tcase_add_test(c, limits_shows_who_owns_a_domain);
	tcase_add_loop_test(c, output_that_is_lost_is_an_error, 0,
			    vmb_array_size(outputs));
	return c;
}

static Suite *vmbctl_suite(void)
{
	Suite *s = suite_create("vmbctl");
	TCase *misuse = tcase_create("misuse");

	tcase_add_test(misuse, no_daemon_says_how_to_start_one);
	tcase_add_loop_test(misuse, misuse_is_refused_with_code_2, 0,
			    vmb_array_size(misuses));
	tcase_add_loop_test(misuse, path_too_long_matters_only_where_it_is_used,
			    0, 2);
	tcase_add_loop_test(misuse, value_that_is_none_is_refused, 0,
			    vmb_array_size(bad_values));
	tcase_add_test(misuse, help_lists_the_commands);
	tcase_add_loop_test(misuse,
			    help_of_a_command_has_its_options_and_examples, 0,
			    vmb_array_size(commands));
	suite_add_tcase(s, daemon_case());
	suite_add_tcase(s, misuse);
	return s;
}

int main(void)
{
	return t_run(vmbctl_suite());
}
