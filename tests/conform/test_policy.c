// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_policy.c - the policy file and protection domains hold what they promise.
 *
 * Flow:  a vmbd of our own ($VMBD) <- policy files, requests by hand
 * Owns:  one daemon and one folder per test.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "support/daemon.h"
#include "support/raw.h"
#include "support/run.h"
#include "support/skip.h"

static struct t_daemon d;

static void start(void)
{
	t_daemon_start(&d, NULL);
}

static void stop(void)
{
	t_daemon_stop(&d);
}

/* The answer to one admin line. */
static const char *ask(const char *request)
{
	return t_raw_ask(d.socket, request);
}

/* ---- policy ------------------------------------------------------------- */

static char policy_path[64];

static void start_with_policy(const char *text)
{
	const char *const args[] = {"--policy", policy_path, NULL};

	snprintf(policy_path, sizeof(policy_path), "/tmp/vmb-policy-%d",
		 (int)getpid());
	t_raw_write_file(policy_path, text);
	t_daemon_start(&d, args);
}

static void stop_with_policy(void)
{
	t_daemon_stop(&d);
	unlink(policy_path);
}

START_TEST(policy_refuses_a_user)
{
	struct t_raw_reply r;
	int fd;

	start_with_policy("[default]\nallow = no\n");
	fd = t_raw_connect(d.socket);
	ck_assert_int_eq(t_raw_hello(fd, "", NULL), -EACCES);
	t_raw_receive(fd, &r);
	ck_assert_uint_eq(r.len, 0);
	close(fd);
	stop_with_policy();
}
END_TEST

START_TEST(policy_of_a_user_counts_over_the_default)
{
	char text[128];
	int fd;

	snprintf(text, sizeof(text),
		 "[user %u]\nallow = yes\nendpoints = 2\n\n"
		 "[default]\nallow = no\nendpoints = 1\n",
		 (unsigned)getuid());
	start_with_policy(text);
	fd = t_raw_attach(d.socket, "");
	ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, NULL, NULL), 0);
	ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, NULL, NULL), 0);
	ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, NULL, NULL), -EDQUOT);
	close(fd);
	stop_with_policy();
}
END_TEST

START_TEST(policy_limits_memory_and_clients)
{
	uint64_t key;
	int fd, other;

	start_with_policy("[default]\nmemory = 8K\nclients = 1\nregions = 2\n");
	fd = t_raw_attach(d.socket, "");
	ck_assert_int_eq(t_raw_register_memfd(fd, 8193, NULL), -EDQUOT);
	ck_assert_int_eq(t_raw_register_memfd(fd, 8192, &key), 0);
	ck_assert_int_eq(t_raw_register_memfd(fd, 1, NULL), -EDQUOT);
	ck_assert_int_eq(t_raw_deregister(fd, key), 0);
	ck_assert_int_eq(t_raw_register_memfd(fd, 1, NULL), 0);
	ck_assert_int_eq(t_raw_register_memfd(fd, 1, NULL), 0);
	ck_assert_int_eq(t_raw_register_memfd(fd, 1, NULL), -EDQUOT);
	other = t_raw_connect(d.socket);
	ck_assert_int_eq(t_raw_hello(other, "", NULL), -EUSERS);
	close(other);
	close(fd);
	stop_with_policy();
}
END_TEST

START_TEST(memory_registered_twice_counts_twice)
{
	int fd, memfd = t_raw_memfd(8192, T_RAW_SEALS);
	uint64_t key;

	start_with_policy("[default]\nmemory = 12K\n");
	fd = t_raw_attach(d.socket, "");
	ck_assert_int_eq(t_raw_register_part(fd, memfd, 0, 8192, &key), 0);
	ck_assert_int_eq(t_raw_register_part(fd, memfd, 0, 4097, NULL),
			 -EDQUOT);
	ck_assert_int_eq(t_raw_register_part(fd, memfd, 100, 4096, NULL), 0);
	ck_assert_int_eq(t_raw_register_part(fd, memfd, 0, 1, NULL), -EDQUOT);
	ck_assert_int_eq(t_raw_deregister(fd, key), 0);
	ck_assert_int_eq(t_raw_register_part(fd, memfd, 0, 8192, NULL), 0);
	close(memfd);
	close(fd);
	stop_with_policy();
}
END_TEST

START_TEST(policy_of_a_domain_limits_all_its_clients)
{
	int fd, other, third;

	start_with_policy("[domain db]\nendpoints = 2\nclients = 2\n"
			  "weight = 9\n");
	fd = t_raw_attach(d.socket, "db");
	other = t_raw_attach(d.socket, "db");
	ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, NULL, NULL), 0);
	ck_assert_int_eq(t_raw_open(other, VMB_ID_ANY, 0, NULL, NULL), 0);
	ck_assert_int_eq(t_raw_open(other, VMB_ID_ANY, 0, NULL, NULL), -EDQUOT);
	ck_assert_int_eq(t_raw_number(ask("{\"cmd\":\"domains\"}"), "weight"),
			 9);
	third = t_raw_connect(d.socket);
	ck_assert_int_eq(t_raw_hello(third, "db", NULL), -EUSERS);
	close(third);
	close(fd);
	close(other);
	stop_with_policy();
}
END_TEST

START_TEST(policy_keeps_a_domain_to_itself)
{
	struct vmb_ctl_hello_reply hello;
	int fd, other;

	start_with_policy("[domain alone]\npeers = domain\n");
	fd = t_raw_attach(d.socket, "alone");
	other = t_raw_connect(d.socket);
	ck_assert_int_eq(t_raw_hello(other, "", &hello), 0);
	ck_assert_int_eq(t_raw_open(other, 1, 0, NULL, NULL), 0);
	ck_assert_int_eq(t_raw_peer(fd, hello.nic_id, 1, 0, NULL), -ENXIO);
	ck_assert_int_eq(t_raw_peer(other, hello.nic_id, 1, 0, NULL), 0);
	close(fd);
	close(other);
	stop_with_policy();
}
END_TEST

/* What another user is told at hello; features only when it is admitted. */
static int hello_of_another_user(const char *domain, uint64_t *features)
{
	struct vmb_ctl_hello_reply hello = {0};
	struct {
		int status;
		uint64_t features;
	} result;
	int fds[2];
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		if (setgid(65534) || setuid(65534))
			_exit(1);
		result.status =
			t_raw_hello(t_raw_connect(d.socket), domain, &hello);
		result.features = hello.features;
		_exit(write(fds[1], &result, sizeof(result)) < 0);
	}
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &result, sizeof(result)), sizeof(result));
	close(fds[0]);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	*features = result.features;
	return result.status;
}

static void start_for_all(const char *policy)
{
	const char *const args[] = {"--mode", "0666", "--policy", policy_path,
				    NULL};

	start_with_policy(policy);
	ck_assert_int_eq(chmod(d.dir, 0711), 0);
	t_daemon_kill(&d);
	t_daemon_restart(&d, args);
}

START_TEST(other_users_need_a_policy)
{
	uint64_t features;
	int fd;

	if (getuid()) {
		t_skip("only root can be somebody else");
		return;
	}
	start_for_all("");
	ck_assert_int_eq(hello_of_another_user("", &features), -EACCES);
	stop_with_policy();
	start_for_all("[group 65534]\nallow = yes\n");
	ck_assert_int_eq(hello_of_another_user("", &features), 0);
	/* memory of processes of other users is not reached */
	ck_assert_uint_eq(features & VMB_FEATURE_PROCESS_MEMORY, 0);
	fd = t_raw_attach(d.socket, "mine");
	ck_assert_int_eq(hello_of_another_user("mine", &features), -EACCES);
	close(fd);
	stop_with_policy();
	start_for_all("[default]\nallow = yes\n[domain mine]\nallow = yes\n");
	fd = t_raw_attach(d.socket, "mine");
	ck_assert_int_eq(hello_of_another_user("mine", &features), 0);
	close(fd);
	stop_with_policy();
}
END_TEST

static bool log_has(const char *text)
{
	char line[512];
	bool has = false;
	FILE *f = fopen(d.log, "r");

	ck_assert_ptr_nonnull(f);
	while (!has && fgets(line, sizeof(line), f))
		has = strstr(line, text);
	fclose(f);
	return has;
}

/* Who may found a domain, and join it, beside root: another user, 65534. */
static const struct {
	const char *section;
	int found, join;
} owners[] = {
	{"", 0, -EACCES}, /* not named: who comes first */
	{"[domain web]\nweight = 4\n", -EACCES, -EACCES},
	{"[domain web]\nowner = 4711\n", -EACCES, -EACCES},
	{"[domain web]\nowner = root\nallow = no\n", -EACCES, -EACCES},
	{"[domain web]\nowner = 65534\n", 0, 0},
	{"[domain web]\nowner = 65534\nallow = no\n", 0, 0},
	{"[domain web]\nowner = 4711\nallow = yes\n", 0, 0},
	{"[domain other]\nowner = 4711\n", 0, -EACCES},
};

START_TEST(domain_of_the_policy_has_an_owner)
{
	uint64_t features;
	char policy[128];
	int fd;

	if (getuid()) {
		t_skip("only root can be somebody else");
		return;
	}
	snprintf(policy, sizeof(policy), "[default]\nallow = yes\n%s",
		 owners[_i].section);
	start_for_all(policy);
	ck_assert_int_eq(hello_of_another_user("web", &features),
			 owners[_i].found);
	t_raw_wait_clients(d.socket, 0);
	fd = t_raw_attach(d.socket, "web"); /* root may */
	ck_assert_int_eq(hello_of_another_user("web", &features),
			 owners[_i].join);
	ck_assert_int_eq(log_has("[domain web] owner = 65534, or allow = yes"),
			 owners[_i].found == -EACCES);
	close(fd);
	stop_with_policy();
}
END_TEST

/* Until this is what [default] says. */
static void reload_for_all(const char *policy, int weight)
{
	char text[256];

	snprintf(text, sizeof(text), "[default]\nallow = yes\nweight = %d\n%s",
		 weight, policy);
	t_raw_write_file(policy_path, text);
	kill(d.pid, SIGHUP);
	for (int i = 0; i < 1000; i++)
		if (t_raw_number(ask("{\"cmd\":\"domains\"}"), "weight") ==
		    weight)
			return;
	ck_abort_msg("the policy is not read again");
}

START_TEST(owner_after_hangup_counts_for_later_comers)
{
	uint64_t features;
	int fd;

	if (getuid()) {
		t_skip("only root can be somebody else");
		return;
	}
	start_for_all("[default]\nallow = yes\n[domain web]\nowner = 4711\n");
	fd = t_raw_attach(d.socket, "web");
	ck_assert_int_eq(hello_of_another_user("web", &features), -EACCES);
	reload_for_all("[domain web]\nowner = 65534\n", 2);
	ck_assert_int_eq(hello_of_another_user("web", &features), 0);
	reload_for_all("[domain web]\nowner = 0\n", 3);
	ck_assert_int_eq(hello_of_another_user("web", &features), -EACCES);
	reload_for_all("", 4); /* not named: its founder's, who is root */
	ck_assert_int_eq(hello_of_another_user("web", &features), -EACCES);
	close(fd);
	stop_with_policy();
}
END_TEST

START_TEST(policy_can_keep_peers_apart)
{
	struct vmb_ctl_hello_reply hello;
	struct t_raw_endpoint a, again, b;
	int fd, other;

	start_with_policy("[default]\npeers = domain\n");
	fd = t_raw_connect(d.socket);
	ck_assert_int_eq(t_raw_hello(fd, "", &hello), 0);
	other = t_raw_attach(d.socket, "");
	ck_assert_int_eq(t_raw_open(fd, 1, 0, NULL, NULL), 0);
	ck_assert_int_eq(t_raw_peer(fd, hello.nic_id, 1, 0, NULL), 0);
	ck_assert_int_eq(t_raw_peer(other, hello.nic_id, 1, 0, NULL),
			 -ECONNREFUSED);
	/* a handle that was guessed is no way around it */
	t_raw_endpoint_open(fd, 2, &a);
	t_raw_endpoint_open(fd, 4, &again);
	t_raw_endpoint_open(other, 3, &b);
	ck_assert_uint_eq(t_raw_endpoint_send(&b, a.open.handle),
			  VMB_CODE_BAD_PEER);
	ck_assert_uint_eq(t_raw_endpoint_send(&again, a.open.handle),
			  VMB_CODE_OK);
	ck_assert_uint_eq(t_raw_endpoint_receive(&a), again.open.handle);
	t_raw_endpoint_drop(&a);
	t_raw_endpoint_drop(&again);
	t_raw_endpoint_drop(&b);
	close(fd);
	close(other);
	stop_with_policy();
}
END_TEST

static int lookup_handle(int fd, uint32_t handle)
{
	union vmb_ctl_any msg = {
		.lookup = {.kind = VMB_LOOKUP_HANDLE, .handle = handle}};
	struct t_raw_reply r;

	return t_raw_call(fd, &msg, VMB_CTL_LOOKUP, NULL, 0, &r);
}

/*
 * Looped: peers are seen, or hidden. Who may not ask about an endpoint while
 * it is there may not when it has gone, and who might may.
 */
START_TEST(departed_peers_are_hidden_as_those_that_are_there)
{
	struct vmb_ctl_open_reply open;
	int fd, friend, stranger;

	start_with_policy(_i ? "[default]\npeers = domain\n"
			     : "[default]\npeers = all\n");
	fd = t_raw_attach(d.socket, _i == 2 ? "" : "web");
	friend = _i == 2 ? fd : t_raw_attach(d.socket, "web");
	stranger = t_raw_attach(d.socket, "");
	ck_assert_int_eq(t_raw_open(fd, 1, 0, &open, NULL), 0);
	for (int gone = 0; gone < 2; gone++) {
		ck_assert_int_eq(lookup_handle(friend, open.handle), 0);
		ck_assert_int_eq(lookup_handle(stranger, open.handle),
				 _i ? -ENOENT : 0);
		ck_assert_int_eq(t_raw_close(fd, open.handle),
				 gone ? -ENOENT : 0);
	}
	close(stranger);
	close(fd);
	if (friend != fd)
		close(friend);
	stop_with_policy();
}
END_TEST

/* Who comes by the name of a domain that has gone is not of it. */
START_TEST(departed_peers_are_hidden_from_a_new_domain_of_their_name)
{
	struct vmb_ctl_open_reply open;
	int fd;

	start_with_policy("[default]\npeers = domain\n");
	fd = t_raw_attach(d.socket, "web");
	ck_assert_int_eq(t_raw_open(fd, 1, 0, &open, NULL), 0);
	close(fd);
	t_raw_wait_clients(d.socket, 0);
	fd = t_raw_attach(d.socket, "web");
	ck_assert_int_eq(lookup_handle(fd, open.handle), -ENOENT);
	close(fd);
	stop_with_policy();
}
END_TEST

/* What one of two says no to, is no. */
START_TEST(policy_of_a_domain_opens_no_peers)
{
	struct vmb_ctl_hello_reply hello;
	int fd, other;

	start_with_policy("[default]\npeers = domain\n"
			  "[domain open]\npeers = all\n");
	fd = t_raw_connect(d.socket);
	ck_assert_int_eq(t_raw_hello(fd, "", &hello), 0);
	ck_assert_int_eq(t_raw_open(fd, 1, 0, NULL, NULL), 0);
	other = t_raw_attach(d.socket, "open");
	ck_assert_int_lt(t_raw_peer(other, hello.nic_id, 1, 0, NULL), 0);
	close(fd);
	close(other);
	stop_with_policy();
}
END_TEST

/* An endpoint of another user, until something is written to *stop. */
static uint32_t endpoint_of_another_user(const char *domain, pid_t *pid,
					 int *stop)
{
	struct vmb_ctl_open_reply reply = {0};
	int said[2], told[2];

	ck_assert_int_eq(pipe(said), 0);
	ck_assert_int_eq(pipe(told), 0);
	*pid = fork();
	ck_assert_int_ge(*pid, 0);
	if (!*pid) {
		char byte;

		if (setgid(65534) || setuid(65534))
			_exit(1);
		t_raw_open(t_raw_attach(d.socket, domain), VMB_ID_ANY, 0,
			   &reply, NULL);
		if (write(said[1], &reply, sizeof(reply)) < 0)
			_exit(1);
		close(told[1]);
		_exit(read(told[0], &byte, 1) < 0);
	}
	close(said[1]);
	close(told[0]);
	*stop = told[1];
	ck_assert_int_eq(read(said[0], &reply, sizeof(reply)), sizeof(reply));
	close(said[0]);
	return reply.handle;
}

/* It was founded before the policy named it, by somebody who may not now. */
START_TEST(owner_meets_no_stranger)
{
	int stop, fd;
	pid_t pid;

	if (getuid()) {
		t_skip("only root can be somebody else");
		return;
	}
	start_for_all("[default]\nallow = yes\n");
	endpoint_of_another_user("web", &pid, &stop);
	reload_for_all("[domain web]\nowner = root\n", 2);
	fd = t_raw_connect(d.socket);
	ck_assert_int_eq(t_raw_hello(fd, "web", NULL), -EACCES);
	ck_assert(log_has("somebody who is inside since before"));
	close(fd);
	close(stop);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	t_raw_wait_clients(d.socket, 0);
	fd = t_raw_attach(d.socket, "web");
	close(fd);
	stop_with_policy();
}
END_TEST

START_TEST(processes_of_other_users_are_not_told)
{
	union vmb_ctl_any msg = {.lane = {.kind = VMB_LANE_OFFER,
					  .slots = VMB_LANE_SLOTS_DEFAULT,
					  .bytes = VMB_LANE_BYTES_DEFAULT}};
	struct vmb_ctl_open_reply mine;
	struct t_raw_reply r;
	int fd, stop;
	pid_t pid;

	if (getuid()) {
		t_skip("only root can be somebody else");
		return;
	}
	start_for_all("[default]\nallow = yes\n");
	fd = t_raw_attach(d.socket, "");
	ck_assert_int_eq(t_raw_open(fd, 1, 0, &mine, NULL), 0);
	msg.lane.handle = mine.handle;
	msg.lane.peer = endpoint_of_another_user("", &pid, &stop);
	ck_assert_int_eq(t_raw_call(fd, &msg, VMB_CTL_LANE, NULL, 0, &r), 0);
	ck_assert_uint_eq(r.fd_count, 1);
	t_raw_close_fds(&r);
	/* but one's own are */
	msg.lane.peer = mine.handle;
	ck_assert_int_eq(t_raw_call(fd, &msg, VMB_CTL_LANE, NULL, 0, &r), 0);
	ck_assert_uint_eq(r.fd_count, 2);
	t_raw_close_fds(&r);
	close(stop);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	close(fd);
	stop_with_policy();
}
END_TEST

static int offer_lane(int fd, uint32_t to, uint32_t from)
{
	union vmb_ctl_any msg = {.lane = {.kind = VMB_LANE_OFFER,
					  .handle = to,
					  .peer = from,
					  .slots = VMB_LANE_SLOTS_DEFAULT,
					  .bytes = VMB_LANE_BYTES_DEFAULT}};
	struct t_raw_reply r;
	int status = t_raw_call(fd, &msg, VMB_CTL_LANE, NULL, 0, &r);

	t_raw_close_fds(&r);
	return status;
}

/* Looped: every peer is seen, or those of the own domain alone. */
START_TEST(policy_limits_lanes)
{
	struct vmb_ctl_open_reply mine, other;
	int fds[2];

	start_with_policy(_i ? "[default]\nlanes = 2\npeers = domain\n"
			     : "[default]\nlanes = 2\n");
	for (int i = 0; i < 2; i++)
		fds[i] = t_raw_attach(d.socket, "");
	ck_assert_int_eq(t_raw_open(fds[0], 1, 0, &mine, NULL), 0);
	ck_assert_int_eq(t_raw_open(fds[1], 2, 0, &other, NULL), 0);
	/* one that is hidden is as one that never was */
	ck_assert_int_eq(offer_lane(fds[0], mine.handle, other.handle),
			 _i ? -ENOENT : 0);
	ck_assert_int_eq(offer_lane(fds[0], mine.handle, 0x12340007), -ENOENT);
	ck_assert_int_eq(offer_lane(fds[0], mine.handle, mine.handle), 0);
	ck_assert_int_eq(offer_lane(fds[0], mine.handle, mine.handle),
			 _i ? 0 : -EDQUOT);
	ck_assert_int_eq(offer_lane(fds[0], mine.handle, mine.handle), -EDQUOT);
	ck_assert_ptr_nonnull(
		strstr(ask("{\"cmd\":\"lanes\"}"), "\"refused\""));
	close(fds[0]);
	close(fds[1]);
	stop_with_policy();
}
END_TEST

START_TEST(hangup_reads_the_policy_again)
{
	int fd;

	start_with_policy("[default]\nweight = 2\n");
	fd = t_raw_attach(d.socket, "");
	ck_assert_int_eq(t_raw_number(ask("{\"cmd\":\"domains\"}"), "weight"),
			 2);
	t_raw_write_file(policy_path, "[default]\nweight = 3\n");
	kill(d.pid, SIGHUP);
	/* signals and sockets are served in no certain order */
	for (int i = 0; i < 1000; i++)
		if (t_raw_number(ask("{\"cmd\":\"domains\"}"), "weight") == 3)
			break;
	ck_assert_int_eq(t_raw_number(ask("{\"cmd\":\"domains\"}"), "weight"),
			 3);
	t_raw_write_file(policy_path, "[default]\nweight = 300\n");
	kill(d.pid, SIGHUP);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(t_raw_number(ask("{\"cmd\":\"domains\"}"),
					      "weight"),
				 3);
	close(fd);
	stop_with_policy();
}
END_TEST

#define TEN "xxxxxxxxxx"
#define FIFTY TEN TEN TEN TEN TEN

static const char *const bad_policies[] = {
	"[default]\nweight = 257\n",
	"[default]\nweight = -1\n",
	"[default]\nallow = maybe\n",
	"[default]\nmemory = 4X\n",
	"[default]\nmemory = 99999999999999999999\n",
	"[default]\ncolour = red\n",
	"[user]\nallow = yes\n",
	"[user no-such-user-here]\nallow = yes\n",
	"[domain a b]\nweight = 1\n",
	"[guest a b]\nattach = yes\n",
	"[guest]\nattach = yes\n",
	"[default-guest web]\nattach = yes\n",
	"[guest web]\nattach = maybe\n",
	"[default]\nattach = yes\n",
	"[domain web]\nattach = yes\n",
	"[default]\nowner = 0\n",
	"[user 0]\nowner = 0\n",
	"[guest web]\nowner = 0\n",
	"[domain web]\nowner = no-such-user-here\n",
	"[domain web]\nowner = 4294967295\n",
	"[everybody]\nallow = yes\n",
	"allow = yes\n",
	"[default]\nno value\n",
	/* what inih would cut, and take for less or for more than it is */
	"[domain " FIFTY "]\nallow = yes\n",
	"[default]\n; " FIFTY FIFTY FIFTY TEN TEN TEN TEN "xxxxxxx"
	"allow = yes\n",
};

START_TEST(bad_policy_ends_with_78)
{
	const char *args[] = {"--policy", policy_path, "--socket",
			      "/nonexistent/never", NULL};

	snprintf(policy_path, sizeof(policy_path), "/tmp/vmb-policy-%d",
		 (int)getpid());
	t_raw_write_file(policy_path, bad_policies[_i]);
	ck_assert_int_eq(t_raw_run_vmbd(args), 78);
	unlink(policy_path);
}
END_TEST

START_TEST(policy_that_others_can_write_is_refused)
{
	const char *args[] = {"--policy", policy_path, NULL};

	snprintf(policy_path, sizeof(policy_path), "/tmp/vmb-policy-%d",
		 (int)getpid());
	t_raw_write_file(policy_path, "[default]\nallow = yes\n");
	ck_assert_int_eq(chmod(policy_path, 0666), 0);
	ck_assert_int_eq(t_raw_run_vmbd(args), 78);
	unlink(policy_path);
}
END_TEST

/* ---- domains ------------------------------------------------------------ */

START_TEST(domain_is_shared_by_name_and_ends_with_its_last_client)
{
	struct vmb_ctl_hello_reply a, b, c;
	int fd = t_raw_connect(d.socket), other = t_raw_connect(d.socket);

	ck_assert_int_eq(t_raw_hello(fd, "dom", &a), 0);
	ck_assert_int_eq(t_raw_hello(other, "dom", &b), 0);
	ck_assert_uint_eq(a.domain_id, b.domain_id);
	ck_assert_uint_eq(a.nic_id, b.nic_id);
	close(fd);
	close(other);
	t_raw_wait_clients(d.socket, 0);
	ck_assert_ptr_null(strstr(ask("{\"cmd\":\"domains\"}"), "dom\""));
	fd = t_raw_connect(d.socket);
	ck_assert_int_eq(t_raw_hello(fd, "dom", &c), 0);
	ck_assert_uint_ne(c.nic_id, a.nic_id);
	close(fd);
}
END_TEST

static const char *const bad_domains[] = {"a/b", "a b", "localhost", "a:0",
					  "\xc3\xa4"};

START_TEST(bad_domain_name_is_refused)
{
	int fd = t_raw_connect(d.socket);

	ck_assert_int_eq(t_raw_hello(fd, bad_domains[_i], NULL), -EINVAL);
	close(fd);
}
END_TEST

START_TEST(domain_named_like_the_host_is_refused)
{
	struct vmb_ctl_hello_reply hello;
	int fd = t_raw_connect(d.socket), other = t_raw_connect(d.socket);

	ck_assert_int_eq(t_raw_hello(fd, "", &hello), 0);
	*strchr(hello.name, ':') = 0;
	ck_assert_int_eq(t_raw_hello(other, hello.name, NULL), -EEXIST);
	close(fd);
	close(other);
}
END_TEST

/* ---- suite -------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name, bool with_daemon)
{
	TCase *t = tcase_create(name);

	if (with_daemon)
		tcase_add_checked_fixture(t, start, stop);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return t;
}

static void add_policy(Suite *s)
{
	TCase *t = add_case(s, "policy", false);

	tcase_add_test(t, policy_refuses_a_user);
	tcase_add_test(t, policy_of_a_user_counts_over_the_default);
	tcase_add_test(t, policy_limits_memory_and_clients);
	tcase_add_test(t, memory_registered_twice_counts_twice);
	tcase_add_test(t, policy_of_a_domain_limits_all_its_clients);
	tcase_add_test(t, policy_can_keep_peers_apart);
	tcase_add_loop_test(
		t, departed_peers_are_hidden_as_those_that_are_there, 0, 3);
	tcase_add_test(
		t, departed_peers_are_hidden_from_a_new_domain_of_their_name);
	tcase_add_test(t, policy_of_a_domain_opens_no_peers);
	tcase_add_loop_test(t, policy_limits_lanes, 0, 2);
	tcase_add_test(t, processes_of_other_users_are_not_told);
	tcase_add_test(t, policy_keeps_a_domain_to_itself);
	tcase_add_test(t, other_users_need_a_policy);
	tcase_add_loop_test(t, domain_of_the_policy_has_an_owner, 0,
			    vmb_array_size(owners));
	tcase_add_test(t, owner_after_hangup_counts_for_later_comers);
	tcase_add_test(t, owner_meets_no_stranger);
	tcase_add_test(t, hangup_reads_the_policy_again);
	tcase_add_loop_test(t, bad_policy_ends_with_78, 0,
			    vmb_array_size(bad_policies));
	tcase_add_test(t, policy_that_others_can_write_is_refused);
}

static void add_domains(Suite *s)
{
	TCase *t = add_case(s, "domains", true);

	tcase_add_test(t,
		       domain_is_shared_by_name_and_ends_with_its_last_client);
	tcase_add_loop_test(t, bad_domain_name_is_refused, 0,
			    vmb_array_size(bad_domains));
	tcase_add_test(t, domain_named_like_the_host_is_refused);
}

int main(void)
{
	Suite *s = suite_create("policy");

	add_policy(s);
	add_domains(s);
	return t_run(s);
}
