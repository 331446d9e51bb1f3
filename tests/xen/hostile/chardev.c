// SPDX-License-Identifier: BSD-2-Clause
/*
 * chardev.c - a process of a guest that misuses /dev/vmbypass, and one that has
 * to live with a backend that lies.
 *
 * Flow:  [here], in a guest -> shim -> vmbd, or backend.c of this folder
 * Owns:  nothing: what a test opens, it or its end closes
 * Trust: the shim is under test. Whatever happens, it answers as docs/chardev.md
 *        says, the guest lives, and the device can be used afterwards.
 *
 * usage: chardev [SUITE]. Suite "chardev" runs with any backend, suite "backend"
 * with backend.c only, suite "foreign" with a page of another guest that runs
 * "chardev share DOMAIN", see memory.c. Run as root.
 */
#include "hostile/device.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- suite "chardev", case "request" --------------------------------------- */

START_TEST(refuses_what_is_no_whole_message)
{
	int fd = client_open();
	union vmb_ctl_any msg;
	char big[4096] = {0};

	for (size_t n = 0; n < sizeof(msg.head); n++)
		ck_fails(write(fd, big, n), EMSGSIZE);
	msg_init(&msg, VMB_CTL_LOOKUP, sizeof(msg.lookup));
	memcpy(big, &msg, sizeof(msg.lookup));
	ck_fails(write(fd, big, sizeof(msg) + 1), EMSGSIZE);
	ck_fails(write(fd, big, sizeof(big)), EMSGSIZE);
	ck_fails(write(fd, big, sizeof(msg.lookup) - 1), EMSGSIZE);
	ck_fails(write(fd, big, sizeof(msg.lookup) + 1), EMSGSIZE);

	for (uint32_t op = VMB_CTL_HELLO; op <= VMB_CTL_LANE; op++) {
		msg_init(&msg, op, sizeof(msg.head));
		ck_fails(write(fd, &msg, sizeof(msg.head)), EMSGSIZE);
		msg_init(&msg, op, sizeof(msg));
		ck_fails(write(fd, &msg, sizeof(msg)), EMSGSIZE);
		msg_init(&msg, op, 0xffffffff);
		ck_fails(write(fd, &msg, sizeof(msg.head)), EMSGSIZE);
	}
}
END_TEST

START_TEST(refuses_what_is_no_operation_of_a_client)
{
	static const uint32_t ops[] = {0, VMB_CTL_LANE + 1, VMB_CTL_LANE + 2,
				       0x80000001, 0xffffffff};
	int fd = client_open();
	union vmb_ctl_any msg;

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		msg_init(&msg, ops[i], sizeof(msg.head));
		ck_fails(write(fd, &msg, sizeof(msg.head)), EINVAL);
	}
	msg_init(&msg, VMB_CTL_LOOKUP, sizeof(msg.lookup));
	msg.head.status = -1;
	ck_fails(write(fd, &msg, sizeof(msg.lookup)), EINVAL);
}
END_TEST

START_TEST(refuses_all_before_hello)
{
	int fd = device_open();
	uint32_t handle;
	uint64_t key;

	ck_assert_int_eq(endpoint_open(fd, &small, &handle), -ENOTCONN);
	ck_assert_int_eq(region_open(fd, VMB_REGION_GRANT, pages_map(1), 1,
				     &key),
			 -ENOTCONN);
	ck_assert_int_eq(endpoint_close(fd, 1), -ENOTCONN);
	ck_assert_int_eq(region_close(fd, 1), -ENOTCONN);
	ck_assert_int_eq(hello(fd), 0);
}
END_TEST

START_TEST(survives_bad_pointers)
{
	int fd = client_open();
	char *hole = pages_map(2), *volatile nowhere = NULL;
	union vmb_ctl_any msg;

	ck_fails(write(fd, nowhere, sizeof(msg.lookup)), EFAULT);
	ck_fails(write(fd, (void *)-4096L, sizeof(msg.lookup)), EFAULT);
	munmap(hole + VMB_PAGE, VMB_PAGE);
	ck_fails(write(fd, hole + VMB_PAGE - 8, sizeof(msg.lookup)), EFAULT);

	msg_init(&msg, VMB_CTL_CLOSE, sizeof(msg.close));
	ck_assert_int_eq(write(fd, &msg, sizeof(msg.close)), sizeof(msg.close));
	wait_for(fd, POLLIN);
	ck_fails(read(fd, nowhere, sizeof(msg)), EFAULT);
	ck_fails(read(fd, hole + VMB_PAGE - 8, sizeof(msg)), EFAULT);
	/* and the reply is still there */
	ck_assert_int_eq(read(fd, &msg, sizeof(msg)), sizeof(msg.head));
	ck_assert_int_eq(msg.head.status, -ENOENT);
}
END_TEST

START_TEST(limits_what_is_outstanding)
{
	int fd = client_open();
	union vmb_ctl_any msg;
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	msg_init(&msg, VMB_CTL_CLOSE, sizeof(msg.close));
	for (uint32_t i = 0; i < VMB_CHARDEV_OUTSTANDING; i++)
		ck_assert_int_eq(write(fd, &msg, sizeof(msg.close)),
				 sizeof(msg.close));
	ck_fails(write(fd, &msg, sizeof(msg.close)), EAGAIN);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	ck_assert_int_eq(read(fd, &msg, sizeof(msg)), sizeof(msg.head));
	ck_assert_int_eq(poll(&p, 1, 0), 1);
	msg_init(&msg, VMB_CTL_CLOSE, sizeof(msg.close));
	ck_assert_int_eq(write(fd, &msg, sizeof(msg.close)), sizeof(msg.close));
}
END_TEST

static void nothing(int signal)
{
	(void)signal;
}

START_TEST(reads_whole_replies_only)
{
	struct sigaction action = {.sa_handler = nothing};
	int fd = client_open();
	union vmb_ctl_any msg;

	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	ck_fails(read(fd, &msg, sizeof(msg)), EAGAIN);
	msg_init(&msg, VMB_CTL_CLOSE, sizeof(msg.close));
	ck_assert_int_eq(write(fd, &msg, sizeof(msg.close)), sizeof(msg.close));
	wait_for(fd, POLLIN);
	ck_fails(read(fd, &msg, 0), EMSGSIZE);
	ck_fails(read(fd, &msg, sizeof(msg.head) - 1), EMSGSIZE);
	ck_assert_int_eq(read(fd, &msg, sizeof(msg)), sizeof(msg.head));

	ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
	sigaction(SIGALRM, &action, NULL);
	alarm(1);
	ck_fails(read(fd, &msg, sizeof(msg)), EINTR);
	ck_fails(lseek(fd, 0, SEEK_SET), ESPIPE);
	ck_fails(pread(fd, &msg, sizeof(msg), 0), ESPIPE);
}
END_TEST

/* Any bytes, with heads that get through; everything is answered. */
START_TEST(survives_random_requests)
{
	static const uint32_t lens[] = {112, 40, 24, 40, 24, 32, 120};
	int fd = client_open();
	union vmb_ctl_any msg;
	char *bytes = (char *)&msg;

	srandom(_i + 1);
	for (int n = 0; n < 1000; n++) {
		uint32_t op = 1 + random() % 7;

		/* one in ten of several: most of a real message stays sane */
		msg_init(&msg, op, lens[op - 1]);
		for (size_t i = sizeof(msg.head); i < msg.head.len; i++)
			if (random() % 10 == 0)
				bytes[i] = random();
		if (op == VMB_CTL_LOOKUP)
			memset(msg.lookup.name, 'x', 3); /* no action */
		if (op == VMB_CTL_REGISTER && random() % 2)
			msg.reg.kind = VMB_REGION_GRANT;
		call(fd, &msg);
	}
}
END_TEST

/* ---- case "open" ----------------------------------------------------------- */

START_TEST(refuses_other_geometries)
{
	static const struct vmb_geometry bad[] = {
		{0, 4096, 4096, 0},	 {63, 4096, 4096, 0},
		{96, 4096, 4096, 0},	 {131072, 4096, 4096, 0},
		{~0u, 4096, 4096, 0},	 {1u << 31, 4096, 4096, 0},
		{64, 0, 4096, 0},	 {64, 2048, 4096, 0},
		{64, 4097, 4096, 0},	 {64, 1u << 25, 4096, 0},
		{64, ~0u, 4096, 0},	 {64, 4096, 0, 0},
		{64, 4096, 2048, 0},	 {64, 4096, 12288, 0},
		{64, 4096, 1u << 25, 0}, {64, 4096, 1u << 31, 0},
	};
	int fd = client_open();
	uint32_t handle;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(endpoint_open(fd, &bad[i], &handle) == -EINVAL,
			      "geometry %zu", i);
}
END_TEST

START_TEST(finds_only_own_endpoints)
{
	struct vmb_chardev_endpoint which = {.handle = 0};
	int fd = client_open(), other = client_open();
	uint32_t handle;

	ck_assert_int_eq(endpoint_open(fd, &small, &handle), 0);
	ck_fails(endpoint_fd(other, handle), ENOENT);
	ck_fails(endpoint_fd(fd, 0), ENOENT);
	ck_fails(endpoint_fd(fd, handle + 1), ENOENT);
	ck_fails(endpoint_fd(fd, ~0u), ENOENT);
	ck_fails(ioctl(fd, VMB_IOC_ENDPOINT, NULL), EFAULT);
	which.handle = handle;
	which.reserved_20 = 1;
	ck_fails(ioctl(fd, VMB_IOC_ENDPOINT, &which), EINVAL);
	ck_fails(ioctl(fd, VMB_IOC_ENDPOINT + 1, &which), ENOTTY);
	ck_fails(ioctl(fd, 0, &which), ENOTTY);
	ck_assert_int_eq(endpoint_close(other, handle), -ENOENT);
	ck_assert_int_eq(endpoint_close(fd, handle), 0);
	ck_assert_int_eq(endpoint_close(fd, handle), -ENOENT);
	ck_fails(endpoint_fd(fd, handle), ENOENT);
}
END_TEST

START_TEST(maps_exactly_the_area)
{
	size_t len = VMB_AREA_BYTES(&small);
	int fd = client_open(), ep, status;
	uint32_t handle;
	char *area;

	ck_assert_int_eq(endpoint_open(fd, &small, &handle), 0);
	ep = endpoint_fd(fd, handle);
	ck_assert_int_ge(ep, 0);
	ck_assert_int_eq(fcntl(ep, F_GETFD), FD_CLOEXEC);

#define MAP(len_, flags_, at_) \
	((long)mmap(NULL, len_, PROT_READ | PROT_WRITE, flags_, ep, at_))
	ck_fails(MAP(len, MAP_PRIVATE, 0), EINVAL);
	ck_fails(MAP(len + VMB_PAGE, MAP_SHARED, 0), EINVAL);
	ck_fails(MAP(len - VMB_PAGE, MAP_SHARED, 0), EINVAL);
	ck_fails(MAP(len, MAP_SHARED, VMB_PAGE), EINVAL);
	ck_fails(MAP(len - VMB_PAGE, MAP_SHARED, VMB_PAGE), EINVAL);
	ck_fails(MAP(len, MAP_SHARED, 1l << 40), EINVAL);
#undef MAP
	ck_fails((long)mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0), ENODEV);

	area = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, ep, 0);
	ck_assert(area != MAP_FAILED);
	for (size_t i = 0; i < VMB_PAGE; i++)
		ck_assert_int_eq(area[i], 0);
	ck_fails((long)mremap(area, len, len + VMB_PAGE, MREMAP_MAYMOVE),
		 EFAULT);
	if (!fork()) {
		signal(SIGSEGV, SIG_DFL);
		_exit(area[0]); /* not inherited: a fault */
	}
	wait(&status);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	/* in parts, and after the file */
	close(ep);
	ck_assert_int_eq(munmap(area + VMB_PAGE, VMB_PAGE), 0);
	area[0] = 1;
	close(fd);
	area[0] = 2;
}
END_TEST

START_TEST(endpoint_file_takes_eight_bytes)
{
	int fd = client_open(), ep;
	uint64_t words[2] = {0};
	uint32_t handle;

	ck_assert_int_eq(endpoint_open(fd, &small, &handle), 0);
	ep = endpoint_fd(fd, handle);
	ck_assert_int_eq(fcntl(ep, F_SETFL, O_NONBLOCK), 0);
	ck_fails(read(ep, words, 0), EINVAL);
	ck_fails(read(ep, words, 7), EINVAL);
	ck_fails(read(ep, words, 16), EAGAIN);
	ck_fails(write(ep, words, 0), EINVAL);
	ck_fails(write(ep, words, 7), EINVAL);
	ck_fails(write(ep, words, 16), EINVAL);
	ck_fails(ioctl(ep, VMB_IOC_ENDPOINT, words), ENOTTY);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(write(ep, words, 8), 8);
}
END_TEST

START_TEST(endpoint_ends_with_close_and_with_its_client)
{
	size_t len = VMB_AREA_BYTES(&small);
	int fd = client_open(), ep;
	uint32_t handle;
	char *area;

	ck_assert_int_eq(endpoint_open(fd, &small, &handle), 0);
	ep = endpoint_fd(fd, handle);
	area = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, ep, 0);
	ck_assert(area != MAP_FAILED);
	ck_assert_int_eq(endpoint_close(fd, handle), 0);
	check_ended(ep);
	area[0] = area[len - 1] = 1; /* nobody at the other end */
	close(ep);

	ck_assert_int_eq(endpoint_open(fd, &small, &handle), 0);
	ep = endpoint_fd(fd, handle);
	close(fd);
	check_ended(ep);
}
END_TEST

/* ---- case "register" ------------------------------------------------------- */

START_TEST(refuses_what_cannot_be_granted)
{
	int fd = client_open();
	char *p = pages_map(4);
	uint64_t key;

#define REGISTER(base_, len_) \
	region_open(fd, VMB_REGION_GRANT, (void *)(base_), len_, &key)
	for (uint32_t kind = 0; kind < 6; kind++)
		if (kind != VMB_REGION_GRANT)
			ck_assert_int_eq(region_open(fd, kind, p, 1, &key),
					 -EOPNOTSUPP);
	ck_assert_int_eq(REGISTER(p, 0), -EINVAL);
	ck_assert_int_eq(REGISTER(p, ~0ull), -EINVAL);
	ck_assert_int_eq(REGISTER(-4096L, 4096), -EINVAL);
	ck_assert_int_eq(REGISTER(p, (96ull << 20) + 1), -EFBIG);
	ck_assert_int_eq(REGISTER(p + 1, 96ull << 20), -EFBIG);
	ck_assert_int_eq(REGISTER(p, 1ull << 62), -EFBIG);
	ck_assert_int_eq(REGISTER(0, 4096), -EFAULT);
	ck_assert_int_eq(REGISTER(-8192L, 4096), -EFAULT);
	ck_assert_int_eq(REGISTER(1L << 62, 4096), -EFAULT);
	mprotect(p + VMB_PAGE, VMB_PAGE, PROT_READ);
	ck_assert_int_eq(REGISTER(p, 4 * VMB_PAGE), -EFAULT);
	ck_assert_int_eq(REGISTER(p + VMB_PAGE, 1), -EFAULT);
	mprotect(p + VMB_PAGE, VMB_PAGE, PROT_NONE);
	ck_assert_int_eq(REGISTER(p + VMB_PAGE, 1), -EFAULT);
	munmap(p + VMB_PAGE, VMB_PAGE);
	ck_assert_int_eq(REGISTER(p + VMB_PAGE - 1, 2), -EFAULT);
	ck_assert_int_eq(REGISTER(p + VMB_PAGE - 1, 1), 0);
	ck_assert_int_eq(region_close(fd, key), 0);
	ck_assert_int_eq(region_close(fd, key), -ENOENT);
	ck_assert_int_eq(region_close(fd, 0), -ENOENT);
	ck_assert_int_eq(region_close(fd, ~0ull), -ENOENT);
#undef REGISTER
}
END_TEST

START_TEST(counts_pins_against_the_limit)
{
	struct rlimit limit = {4 * VMB_PAGE, 4 * VMB_PAGE};
	int fd = client_open();
	char *p = pages_map(5);
	uint64_t key, more;

	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	ck_assert_int_eq(setuid(65534), 0); /* no capability */
	ck_assert_int_eq(region_open(fd, VMB_REGION_GRANT, p, 5 * VMB_PAGE,
				     &key),
			 -EDQUOT);
	ck_assert_int_eq(
		region_open(fd, VMB_REGION_GRANT, p, 4 * VMB_PAGE, &key), 0);
	ck_assert_int_eq(region_open(fd, VMB_REGION_GRANT, p, 1, &more),
			 -EDQUOT);
	/* the reply to DEREGISTER says that it does not count any more */
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(region_close(fd, key), 0);
		ck_assert_int_eq(region_open(fd, VMB_REGION_GRANT, p,
					     4 * VMB_PAGE, &key),
				 0);
	}
}
END_TEST

/* ---- case "end" ------------------------------------------------------------ */

/* A process that opens and registers what it can, until it is killed. */
static void busy(unsigned int seed)
{
	char *p = pages_map(64);
	int fd = client_open();
	uint64_t key = 0;
	uint32_t handle = 0;

	srandom(seed);
	for (;;) {
		union vmb_ctl_any msg;

		switch (random() % 6) {
		case 0:
			if (!endpoint_open(fd, &small, &handle))
				endpoint_fd(fd, handle);
			break;
		case 1:
			region_open(fd, VMB_REGION_GRANT, p,
				    random() % (64 * VMB_PAGE), &key);
			break;
		case 2: /* without waiting for the reply */
			msg_init(&msg, VMB_CTL_REGISTER, sizeof(msg.reg));
			msg.reg.kind = VMB_REGION_GRANT;
			msg.reg.base = (uintptr_t)p;
			msg.reg.len = 40 * VMB_PAGE;
			if (write(fd, &msg, sizeof(msg.reg)) > 0) {
				wait_for(fd, POLLIN);
				if (read(fd, &msg, sizeof(msg)) < 0)
					_exit(1);
			}
			break;
		case 3:
			close(fd);
			fd = client_open();
			break;
		case 4:
			endpoint_close(fd, handle);
			break;
		case 5:
			region_close(fd, key);
			break;
		}
	}
}

START_TEST(survives_killed_processes)
{
	int status, fd;
	pid_t pid;

	for (unsigned int i = 0; i < 20; i++) {
		pid = fork();
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			busy(i);
		}
		usleep(50000 + i * 7777);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	fd = client_open();
	close(fd);
}
END_TEST

START_TEST(limits_the_clients)
{
	struct rlimit limit = {2000, 2000};
	int fds[1100], n;

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	fds[0] = device_open();
	for (n = 1; n < 1100; n++) {
		fds[n] = open(VMB_CHARDEV_PATH, O_RDWR | O_CLOEXEC);
		if (fds[n] < 0)
			break;
	}
	ck_assert_msg(errno == EUSERS, "client %d: %m", n);
	/* others of this guest may be open */
	ck_assert_int_le(n, 1024);
	close(fds[0]);
	fds[0] = device_open();
	while (n--)
		close(fds[n]);
}
END_TEST

/* ---- main ------------------------------------------------------------------ */

static Suite *suite_chardev(void)
{
	Suite *suite = suite_create("chardev");
	TCase *tc = tcase_create("request");

	tcase_set_timeout(tc, 400);
	tcase_add_test(tc, refuses_what_is_no_whole_message);
	tcase_add_test(tc, refuses_what_is_no_operation_of_a_client);
	tcase_add_test(tc, refuses_all_before_hello);
	tcase_add_test(tc, survives_bad_pointers);
	tcase_add_test(tc, limits_what_is_outstanding);
	tcase_add_test(tc, reads_whole_replies_only);
	tcase_add_loop_test(tc, survives_random_requests, 0, 3);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, case_late());

	tc = tcase_create("endpoint");
	tcase_set_timeout(tc, 400);
	tcase_add_test(tc, refuses_other_geometries);
	tcase_add_test(tc, finds_only_own_endpoints);
	tcase_add_test(tc, maps_exactly_the_area);
	tcase_add_test(tc, endpoint_file_takes_eight_bytes);
	tcase_add_test(tc, endpoint_ends_with_close_and_with_its_client);
	suite_add_tcase(suite, tc);

	tc = tcase_create("region");
	tcase_set_timeout(tc, 400);
	tcase_add_test(tc, refuses_what_cannot_be_granted);
	tcase_add_test(tc, counts_pins_against_the_limit);
	suite_add_tcase(suite, tc);

	tc = tcase_create("end");
	tcase_set_timeout(tc, 400);
	tcase_add_test(tc, survives_killed_processes);
	tcase_add_test(tc, limits_the_clients);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(int argc, char **argv)
{
	SRunner *runner;
	int failed;

	if (argc == 3 && !strcmp(argv[1], "share"))
		return page_share((uint32_t)strtoul(argv[2], NULL, 10));

	runner = srunner_create(suite_chardev());
	srunner_add_suite(runner, suite_backend());
	srunner_add_suite(runner, suite_foreign());
	srunner_run(runner, argc > 1 ? argv[1] : "chardev", NULL, CK_VERBOSE);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
