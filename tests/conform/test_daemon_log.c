// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_daemon_log.c - what the daemon's log has, for programs (--log-json) and
 * for the journal: who came, who left, who was refused, what was changed.
 *
 * Flow:  a vmbd of our own ($VMBD) <- requests by hand; its log, as JSON
 * Owns:  one daemon and one folder per test.
 */
#include <check.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "support/daemon.h"
#include "support/raw.h"
#include "support/run.h"

static struct t_daemon d;

static void start(void)
{
	t_daemon_start(&d, (const char *const[]){"--log-json", NULL});
}

/* All lines so far: each is an object. The last one may be half there. */
static json_t *read_log(void)
{
	json_t *lines = json_array(), *object;
	FILE *f = fopen(d.log, "r");
	char line[8192];

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f) && strchr(line, '\n')) {
		object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		ck_assert_msg(json_is_object(object), "no object: %s", line);
		json_array_append_new(lines, object);
	}
	fclose(f);
	return lines;
}

/* A copy of the first line about it, or NULL. */
static json_t *find_event(const char *event)
{
	json_t *lines = read_log(), *line, *found = NULL;
	const char *name;
	size_t i;

	json_array_foreach(lines, i, line)
	{
		name = json_string_value(json_object_get(line, "event"));
		if (!found && name && !strcmp(name, event))
			found = json_deep_copy(line);
	}
	json_decref(lines);
	return found;
}

static json_t *await_event(const char *event)
{
	uint64_t until = vmb_now_ns() + T_RAW_TIMEOUT_MS * 1000000ull;
	json_t *line = find_event(event);

	while (!line) {
		ck_assert_msg(vmb_now_ns() < until, "no %s in the log", event);
		poll(NULL, 0, 10);
		line = find_event(event);
	}
	return line;
}

/* The event comes, at this level, with these numbers: {"key":number, ...} */
#define expect(event, level, ...) \
	expect_packed(event, level, json_pack(__VA_ARGS__))

static void expect_packed(const char *event, const char *level, json_t *wanted)
{
	json_t *line = await_event(event), *value;
	const char *key;

	ck_assert_ptr_nonnull(wanted);
	ck_assert_str_eq(json_string_value(json_object_get(line, "level")),
			 level);
	ck_assert_ptr_nonnull(
		json_string_value(json_object_get(line, "message")));
	json_object_foreach(wanted, key, value)
		ck_assert_msg(json_equal(value, json_object_get(line, key)),
			      "%s: %s: %s", event, key, json_dumps(line, 0));
	json_decref(wanted);
	json_decref(line);
}

START_TEST(clients_come_and_leave)
{
	int fd, uid = (int)getuid(), pid = (int)getpid();

	expect("ready", "info", "{s:s}", "socket", d.socket);
	fd = t_raw_attach(d.socket, "");
	expect("client_came", "info", "{s:i,s:i,s:i,s:i}", "client", 1, "pid",
	       pid, "uid", uid, "domain", 1);
	close(fd);
	expect("client_left", "info", "{s:i,s:i,s:i,s:i}", "client", 1, "pid",
	       pid, "uid", uid, "domain", 1);
	t_daemon_stop(&d);
}
END_TEST

START_TEST(refusals_name_whom)
{
	int fd = t_raw_connect(d.socket);
	json_t *line;

	ck_assert_int_eq(t_raw_hello(fd, "no name", NULL), -EINVAL);
	expect("client_warning", "warn", "{s:i,s:i,s:i}", "client", 1, "pid",
	       (int)getpid(), "uid", (int)getuid());
	line = await_event("client_warning");
	ck_assert_ptr_null(json_object_get(line, "domain"));
	json_decref(line);
	close(fd);
	t_daemon_stop(&d);
}
END_TEST

START_TEST(changes_are_told)
{
	int fd = t_raw_attach(d.socket, "");

	t_raw_ask(d.socket, "{\"cmd\":\"set-weight\",\"domain\":1,"
			    "\"weight\":7}\n");
	expect("weight_set", "info", "{s:i,s:i}", "domain", 1, "weight", 7);
	t_raw_ask(d.socket, "{\"cmd\":\"set-limit\",\"client\":1,"
			    "\"endpoints\":5,\"memory\":4096}\n");
	expect("limits_set", "info", "{s:i,s:i,s:i}", "client", 1, "endpoints",
	       5, "memory", 4096);
	kill(d.pid, SIGHUP);
	expect("policy_read", "info", "{}");
	close(fd);
	t_daemon_stop(&d);
}
END_TEST

/* What no section of a policy limits, and no administrator. */
START_TEST(no_limit_is_null)
{
	int fd = t_raw_attach(d.socket, "");

	t_raw_ask(d.socket, "{\"cmd\":\"set-limit\",\"domain\":1,"
			    "\"memory\":4096}\n");
	expect("limits_set", "info", "{s:i,s:n,s:i}", "domain", 1, "endpoints",
	       "memory", 4096);
	close(fd);
	t_daemon_stop(&d);
}
END_TEST

static const char *last_line(void)
{
	static char line[8192];
	FILE *f = fopen(d.log, "r");

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		;
	fclose(f);
	return line;
}

/*
 * The journal takes the priority from the beginning of a line. Who inherits the
 * variable but writes elsewhere has lines of JSON and nothing else.
 */
START_TEST(priority_is_for_the_journal_only)
{
	const char *const options[] = {"--log-json", NULL};
	char stream[64];
	struct stat st;

	ck_assert_int_eq(stat(d.log, &st), 0);
	for (int other = 0; other < 2; other++) {
		snprintf(stream, sizeof(stream), "%llu:%llu",
			 (unsigned long long)st.st_dev,
			 (unsigned long long)st.st_ino + (unsigned)other);
		t_daemon_kill(&d);
		setenv("JOURNAL_STREAM", stream, 1);
		t_daemon_restart(&d, options);
		ck_assert_str_eq(strndupa(last_line(), 11),
				 other ? "{\"time\":\"20" : "<6>{\"time\":");
	}
	t_daemon_stop(&d);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("daemon_log");
	TCase *c = tcase_create("json");

	tcase_add_checked_fixture(c, start, NULL);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, clients_come_and_leave);
	tcase_add_test(c, refusals_name_whom);
	tcase_add_test(c, changes_are_told);
	tcase_add_test(c, no_limit_is_null);
	tcase_add_test(c, priority_is_for_the_journal_only);
	suite_add_tcase(suite, c);
	return t_run(suite);
}
