// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_users.c - a user whose many clients take what they can get: half of what
 * the daemon has is left for the others, and all of it when they have gone.
 *
 * Flow:  processes of other users -> vmbd of our own, which has little to give
 * Owns:  a daemon per test, and a policy that limits no client.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "support/daemon.h"
#include "support/raw.h"
#include "support/run.h"
#include "support/skip.h"

#define GREEDY 65534u
#define OTHER 65533u
#define DESCRIPTORS 256 /* of the daemon */
#define CLIENTS_MAX 64u

static struct t_daemon d;
static char policy_path[64];

/* What processes of other users tell the test. */
struct told {
	unsigned got;
	int status; /* of the first that was refused */
};
static struct told *told;

/* ---- what is taken -------------------------------------------------------- */

static int attach(void)
{
	return t_raw_attach(d.socket, "");
}

static void take_endpoints(void)
{
	int fds[3], later;

	for (unsigned i = 0; i < vmb_array_size(fds); i++)
		fds[i] = attach();
	later = attach();
	do {
		told->status = t_raw_open(fds[told->got % 3], VMB_ID_ANY, 0,
					  NULL, NULL);
	} while (!told->status && ++told->got);
	/* nor does a client get any that has none */
	ck_assert_int_eq(t_raw_open(later, VMB_ID_ANY, 0, NULL, NULL),
			 told->status);
}

static void take_regions(void)
{
	int fd = attach();

	do {
		told->status = t_raw_register_memfd(fd, 4096, NULL);
	} while (!told->status && ++told->got);
	ck_assert_int_eq(t_raw_register_memfd(attach(), 4096, NULL),
			 told->status);
}

static void take_clients(void)
{
	do {
		told->status = t_raw_hello(t_raw_connect(d.socket), "", NULL);
	} while (!told->status && ++told->got < CLIENTS_MAX);
}

/* Offered to itself, and never taken. */
static void take_lanes(void)
{
	union vmb_ctl_any msg = {.lane = {.kind = VMB_LANE_OFFER,
					  .slots = VMB_LANE_SLOTS_DEFAULT,
					  .bytes = VMB_LANE_BYTES_DEFAULT}};
	struct vmb_ctl_open_reply mine;
	struct t_raw_reply r;
	int fd = attach();

	ck_assert_int_eq(t_raw_open(fd, 1, 0, &mine, NULL), 0);
	msg.lane.handle = msg.lane.peer = mine.handle;
	do {
		told->status = t_raw_call(fd, &msg, VMB_CTL_LANE, NULL, 0, &r);
		t_raw_close_fds(&r);
	} while (!told->status && ++told->got);
}

/* One of each: a client that wants to work. */
static int work(void)
{
	int fd = attach();

	ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, NULL, NULL), 0);
	ck_assert_int_eq(t_raw_register_memfd(fd, 4096, NULL), 0);
	return fd;
}

static void take_a_little(void)
{
	work();
	told->got = 1;
}

/* ---- by whom -------------------------------------------------------------- */

/* A process of another user, which has what it took until *stop is closed. */
static pid_t start_user(uid_t uid, void (*take)(void), int *stop)
{
	int ready[2], end[2];
	pid_t pid;
	char byte;

	*told = (struct told){.got = 0};
	ck_assert_int_eq(pipe(ready), 0);
	ck_assert_int_eq(pipe(end), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		close(end[1]);
		if (setgid(uid) || setuid(uid))
			_exit(1);
		take();
		close(ready[1]);
		_exit(read(end[0], &byte, 1) != 0);
	}
	close(ready[1]);
	close(end[0]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 0);
	close(ready[0]);
	*stop = end[1];
	return pid;
}

static void stop_user(pid_t pid, int stop)
{
	int status;

	close(stop);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

/* Nobody is there, and the last socket of theirs is closed. */
static void wait_for_nothing(unsigned fds)
{
	uint64_t limit = vmb_now_ns() + 20000000000ull;

	t_raw_wait_clients(d.socket, 0);
	while (t_raw_usage(d.pid).fds > fds)
		ck_assert_uint_lt(vmb_now_ns(), limit);
}

/* The limits of a user are met before those of one client. */
static bool start(const char *max_endpoints)
{
	const struct rlimit descriptors = {DESCRIPTORS, DESCRIPTORS};
	const char *const args[] = {
		"--mode",	   "0666",	  "--policy", policy_path,
		"--max-endpoints", max_endpoints, NULL};

	if (getuid()) {
		t_skip("only root can be somebody else");
		return false;
	}
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(told, MAP_FAILED);
	snprintf(policy_path, sizeof(policy_path), "/tmp/vmb-policy-%d",
		 (int)getpid());
	t_raw_write_file(policy_path, "[default]\nallow = yes\n"
				      "regions = 65535\n");
	/* the daemon has them from us */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &descriptors), 0);
	t_daemon_start(&d, args);
	ck_assert_int_eq(chmod(d.dir, 0711), 0);
	return true;
}

static void stop(void)
{
	t_daemon_stop(&d);
	unlink(policy_path);
}

static bool log_says_why(void)
{
	char line[512];
	bool says = false;
	FILE *f = fopen(d.log, "r");

	ck_assert_ptr_nonnull(f);
	while (!says && fgets(line, sizeof(line), f))
		says = strstr(line, "half of what is there for all");
	fclose(f);
	return says;
}

/* ---- tests ---------------------------------------------------------------- */

/* Of the descriptors a client takes 4, an endpoint 3, a lane 1. */
static const struct greed {
	void (*take)(void);
	const char *max_endpoints;
	unsigned gets;
	int status;
} greeds[] = {
	{take_endpoints, "8", 4, -EBUSY},
	{take_endpoints, "4096", (DESCRIPTORS / 2 - 4 * 4) / 3, -EMFILE},
	{take_lanes, "4096", DESCRIPTORS / 2 - 4 - 3, -EMFILE},
	{take_clients, "4096", DESCRIPTORS / 2 / 4, -EUSERS},
};

START_TEST(user_gets_half_and_gives_it_back)
{
	const struct greed *g = &greeds[_i];
	int greedy_stop, other_stop;
	pid_t greedy, other;
	unsigned fds;

	if (!start(g->max_endpoints))
		return;
	for (int i = 0; i < 2; i++) {
		fds = t_raw_usage(d.pid).fds;
		greedy = start_user(GREEDY, g->take, &greedy_stop);
		ck_assert_uint_le(t_raw_usage(d.pid).fds,
				  fds + DESCRIPTORS / 2);
		ck_assert_int_eq(told->status, g->status);
		ck_assert_uint_eq(told->got, g->gets);
		ck_assert(log_says_why());
		other = start_user(OTHER, take_a_little, &other_stop);
		ck_assert_uint_eq(told->got, 1);
		close(work()); /* root is served as well */
		stop_user(other, other_stop);
		stop_user(greedy, greedy_stop);
		wait_for_nothing(fds);
	}
	stop();
}
END_TEST

/* Of this kernel, see tables.c. */
static unsigned mappings(void)
{
	FILE *f = fopen("/proc/sys/vm/max_map_count", "r");
	unsigned n;

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%u", &n), 1);
	fclose(f);
	return n - 2048;
}

/* Mappings, or where the kernel allows many of them the engine's regions. */
START_TEST(user_gets_half_of_the_memory_that_can_be_registered)
{
	bool few = mappings() < 65535;
	int greedy_stop, other_stop;
	pid_t greedy, other;
	unsigned fds;

	if (!start("8"))
		return;
	fds = t_raw_usage(d.pid).fds;
	greedy = start_user(GREEDY, take_regions, &greedy_stop);
	ck_assert_int_eq(told->status, few ? -ENOMEM : -ENOSPC);
	ck_assert_uint_eq(told->got, (vmb_min(mappings(), 65535u) + 1) / 2);
	ck_assert(log_says_why());
	other = start_user(OTHER, take_a_little, &other_stop);
	ck_assert_uint_eq(told->got, 1);
	stop_user(other, other_stop);
	stop_user(greedy, greedy_stop);
	wait_for_nothing(fds);
	stop();
}
END_TEST

START_TEST(root_is_not_limited)
{
	int end;
	pid_t pid;

	if (!start("8"))
		return;
	pid = start_user(0, take_endpoints, &end);
	ck_assert_int_eq(told->status, -EBUSY);
	ck_assert_uint_eq(told->got, 8);
	stop_user(pid, end);
	stop();
}
END_TEST

/* ---- suite ---------------------------------------------------------------- */

int main(void)
{
	Suite *s = suite_create("users");
	TCase *t = tcase_create("shares");

	tcase_set_timeout(t, 240);
	tcase_add_loop_test(t, user_gets_half_and_gives_it_back, 0,
			    vmb_array_size(greeds));
	tcase_add_test(t, user_gets_half_of_the_memory_that_can_be_registered);
	tcase_add_test(t, root_is_not_limited);
	suite_add_tcase(s, t);
	return t_run(s);
}
