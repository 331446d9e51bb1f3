// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_control.c - messages that break the rules of the control socket: the
 * daemon answers with an error or sends their sender away, serves the others,
 * and holds nothing of theirs afterwards.
 *
 * Flow:  hostile requests -> vmbd of our own <- a good client, all the time
 * Owns:  one daemon per test; what it held before is compared with after.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "nic/nic.h"
#include "fault_log.h"
#include "support/run.h"
#include "support/skip.h"
#include "witness.h"

/* ---- messages ----------------------------------------------------------- */

/* Send it and expect a refusal with this status, head alone, no more. */
static void expect_refusal(int fd, const void *msg, size_t len, const int *fds,
			   unsigned fd_count, int status)
{
	struct t_raw_reply r;

	ck_assert_int_eq(t_raw_send(fd, msg, len, fds, fd_count), 0);
	t_raw_receive(fd, &r);
	ck_assert_uint_eq(r.len, sizeof(r.msg.head));
	ck_assert_int_eq(r.msg.head.status, status);
	ck_assert_uint_eq(r.fd_count, 0);
}

/* Records so far; the last one is of what is no request at all. */
static long records(void)
{
	long count = t_recorded();

	if (count)
		ck_assert_int_eq(t_raw_number(t_last_record(), "code"),
				 VMB_NIC_FAULT_REQUEST);
	return count;
}

/* Refused, and in the fault log. */
static void expect_lie(int fd, const union vmb_ctl_any *msg, const int *memory,
		       int status, const char *op, uint64_t value)
{
	long before = t_recorded();

	expect_refusal(fd, msg, msg->head.len, memory, memory ? 1 : 0, status);
	t_expect_record(before, op, value);
}

/* Looped over the operations. */
START_TEST(truncated_message_is_refused)
{
	long before = records(), attached = 0;
	uint32_t op = (uint32_t)_i;
	union vmb_ctl_any msg;

	t_request_fill(&msg, op);
	for (size_t len = 1; len < t_raw_request_len(op); len++) {
		int fd = t_raw_connect(t_witness.daemon.socket);

		if (len % 2) /* said hello or not: refused */
			ck_assert_int_eq(t_raw_hello(fd, "", NULL), 0);
		expect_refusal(fd, &msg, len, NULL, 0, -EBADMSG);
		close(fd);
		attached += len % 2;
	}
	ck_assert_int_eq(records() - before, attached); /* of a domain's */
}
END_TEST

START_TEST(oversized_message_is_refused)
{
	static char big[65536];
	union vmb_ctl_any msg;
	int fd = t_raw_attach(t_witness.daemon.socket, "");
	long before = records();

	t_request_fill(&msg, (uint32_t)_i);
	memcpy(big, &msg, sizeof(msg));
	expect_refusal(fd, big, msg.head.len + 1, NULL, 0, -EBADMSG);
	((struct vmb_ctl_head *)(void *)big)->len = sizeof(big);
	expect_refusal(fd, big, sizeof(big), NULL, 0, -EBADMSG);
	ck_assert_int_eq(records() - before, 2);
	close(fd);
}
END_TEST

START_TEST(wrong_head_len_is_refused)
{
	static const uint32_t wrong[] = {0, 1, 15, 16, 0xffffffff};
	int fd = t_raw_attach(t_witness.daemon.socket, "");
	long before = records();
	union vmb_ctl_any msg;
	size_t len;

	for (unsigned i = 0; i < vmb_array_size(wrong); i++) {
		t_request_fill(&msg, (uint32_t)_i);
		len = msg.head.len;
		msg.head.len = wrong[i];
		expect_refusal(fd, &msg, len, NULL, 0, -EBADMSG);
	}
	ck_assert_int_eq(records() - before, vmb_array_size(wrong));
	close(fd);
}
END_TEST

START_TEST(status_in_a_request_is_refused)
{
	int fd = t_raw_attach(t_witness.daemon.socket, "");
	union vmb_ctl_any msg;

	t_request_fill(&msg, (uint32_t)_i);
	msg.head.status = -1;
	expect_refusal(fd, &msg, msg.head.len, NULL, 0, -EINVAL);
	close(fd);
}
END_TEST

START_TEST(unknown_operation_is_refused)
{
	static const uint32_t ops[] = {0, 9, 10, 0x80000000, 0xffffffff};
	int fd = t_raw_attach(t_witness.daemon.socket, "");
	union vmb_ctl_any msg = {0};

	for (unsigned i = 0; i < vmb_array_size(ops); i++) {
		msg.head.op = ops[i];
		msg.head.len = sizeof(msg.head);
		expect_refusal(fd, &msg, sizeof(msg.head), NULL, 0, -ENOSYS);
	}
	close(fd);
}
END_TEST

START_TEST(reserved_field_that_is_not_zero_is_refused)
{
	int fd = t_raw_attach(t_witness.daemon.socket, "");
	int fresh = t_raw_connect(t_witness.daemon.socket);
	union vmb_ctl_any msg;

	t_request_fill(&msg, VMB_CTL_OPEN);
	msg.open.geometry.reserved_60 = 1;
	expect_refusal(fd, &msg, msg.head.len, NULL, 0, -EINVAL);
	t_request_fill(&msg, VMB_CTL_CLOSE);
	msg.close.reserved_a0 = 0x80000000;
	expect_refusal(fd, &msg, msg.head.len, NULL, 0, -EINVAL);
	t_request_fill(&msg, VMB_CTL_LOOKUP);
	msg.lookup.kind = VMB_LOOKUP_NIC;
	msg.lookup.name[79] = 1;
	expect_lie(fd, &msg, NULL, -EINVAL, "lookup", VMB_LOOKUP_NIC);
	t_request_fill(&msg, VMB_CTL_LOOKUP);
	msg.lookup.kind = VMB_LOOKUP_NAME;
	memset(msg.lookup.name, 'a', sizeof(msg.lookup.name));
	expect_lie(fd, &msg, NULL, -EINVAL, "lookup", VMB_LOOKUP_NAME);
	t_request_fill(&msg, VMB_CTL_LOOKUP);
	msg.lookup.kind = VMB_LOOKUP_HANDLE + 1;
	expect_lie(fd, &msg, NULL, -EINVAL, "lookup", VMB_LOOKUP_HANDLE + 1);
	t_request_fill(&msg, VMB_CTL_HELLO);
	msg.hello.reserved_a0 = 1;
	expect_refusal(fresh, &msg, msg.head.len, NULL, 0, -EINVAL);
	close(fd);
	close(fresh);
}
END_TEST

START_TEST(what_is_not_its_own_is_refused)
{
	int fd = t_raw_attach(t_witness.daemon.socket, "");
	union vmb_ctl_any msg;
	uint64_t key;

	t_request_fill(&msg, VMB_CTL_HELLO); /* it has said it */
	expect_lie(fd, &msg, NULL, -EALREADY, "hello", 0);
	t_request_fill(&msg, VMB_CTL_CLOSE);
	msg.close.handle = t_witness.ep.open.handle;
	expect_lie(fd, &msg, NULL, -ENOENT, "close", msg.close.handle);
	ck_assert_int_eq(t_raw_register_memfd(t_witness.fd, 4096, &key), 0);
	t_request_fill(&msg, VMB_CTL_DEREGISTER);
	msg.dereg.key = key;
	/* the log is shown to others: it has no secret part of a key */
	expect_lie(fd, &msg, NULL, -ENOENT, "deregister", VMB_KEY_INDEX(key));
	ck_assert_int_eq(t_raw_deregister(t_witness.fd, key), 0);
	close(fd);
}
END_TEST

/* What happens to correct programs is told to them, and to nobody else. */
START_TEST(daily_life_leaves_no_record)
{
	int fd = t_raw_attach(t_witness.daemon.socket, "");
	union vmb_ctl_any msg;
	long before = t_recorded();

	ck_assert_int_eq(t_raw_open(fd, 5, 0, NULL, NULL), 0);
	ck_assert_int_eq(t_raw_open(fd, 5, 0, NULL, NULL), -EBUSY);
	t_request_fill(&msg, VMB_CTL_LOOKUP);
	msg.lookup.kind = VMB_LOOKUP_NAME;
	memcpy(msg.lookup.name, "nobody", 6);
	expect_refusal(fd, &msg, msg.head.len, NULL, 0, -ENOENT);
	t_request_fill(&msg, VMB_CTL_CONNECT);
	msg.connect.nic_id = 1;
	expect_refusal(fd, &msg, msg.head.len, NULL, 0, -ENXIO);
	t_request_fill(&msg, VMB_CTL_REGISTER);
	msg.reg.kind = VMB_REGION_GRANT;
	expect_refusal(fd, &msg, msg.head.len, NULL, 0, -EOPNOTSUPP);
	ck_assert_int_eq(t_recorded(), before);
	close(fd);
}
END_TEST

START_TEST(client_that_talks_nonsense_is_sent_away)
{
	int fd = t_raw_attach(t_witness.daemon.socket, "");
	union vmb_ctl_any msg = {.head = {.op = 99}};
	struct t_raw_reply r;
	int answers = 0;

	while (!t_raw_send(fd, &msg, sizeof(msg.head), NULL, 0)) {
		t_raw_receive(fd, &r);
		if (!r.len)
			break;
		ck_assert_int_lt(++answers, 100);
	}
	ck_assert_int_gt(answers, 1);
	t_raw_wait_clients(t_witness.daemon.socket, 1);
	close(fd);
}
END_TEST

START_TEST(random_messages_harm_nobody)
{
	union vmb_ctl_any msg;
	struct t_raw_reply r;
	unsigned char *bytes = (void *)&msg;
	int fd = t_raw_attach(t_witness.daemon.socket, "");

	srandom(12345);
	for (int i = 0; i < 20000; i++) {
		size_t len = (size_t)random() % sizeof(msg) + 1;

		t_request_fill(&msg, (uint32_t)random() % 9);
		for (long n = random() % 4; n > 0; n--)
			bytes[(size_t)random() % len] = (unsigned char)random();
		if (random() % 4)
			len = t_raw_request_len(msg.head.op);
		r.len = 0;
		if (!t_raw_send(fd, &msg, len ? len : 1, NULL, 0))
			t_raw_receive(fd, &r);
		if (!r.len) {
			close(fd);
			fd = t_raw_attach(t_witness.daemon.socket, "");
		}
		t_raw_close_fds(&r);
	}
	close(fd);
}
END_TEST

/* ---- descriptors -------------------------------------------------------- */

START_TEST(descriptors_where_none_belong_are_refused)
{
	uint32_t op = (uint32_t)_i;
	int fds[8], fd;
	union vmb_ctl_any msg;

	for (unsigned i = 0; i < vmb_array_size(fds); i++)
		fds[i] = t_raw_memfd(4096, T_RAW_SEALS);
	for (unsigned n = 1; n <= vmb_array_size(fds); n++) {
		t_request_fill(&msg, op);
		fd = op == VMB_CTL_HELLO
			     ? t_raw_connect(t_witness.daemon.socket)
			     : t_raw_attach(t_witness.daemon.socket, "");
		if (n == 1 && (op == VMB_CTL_OPEN || op == VMB_CTL_REGISTER))
			expect_refusal(fd, &msg, msg.head.len, NULL, 0, -EBADF);
		else
			expect_refusal(fd, &msg, msg.head.len, fds, n, -EBADF);
		close(fd);
	}
	for (unsigned i = 0; i < vmb_array_size(fds); i++)
		close(fds[i]);
}
END_TEST

static int make_pipe(void)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	close(fds[1]);
	return fds[0];
}

static int make_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int make_device(void)
{
	return open("/dev/zero", O_RDWR | O_CLOEXEC);
}

static int make_folder(void)
{
	return open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int make_path(void)
{
	return open("/tmp", O_PATH | O_CLOEXEC);
}

static int make_file(void)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct vmb_geometry g = t_raw_geometry();

	if (fd >= 0)
		ck_assert_int_eq(ftruncate(fd, VMB_AREA_BYTES(&g)), 0);
	return fd;
}

static int make_sized(size_t more, int seals)
{
	struct vmb_geometry g = t_raw_geometry();

	return t_raw_memfd(VMB_AREA_BYTES(&g) + more, seals);
}

static int make_unsealed(void)
{
	return make_sized(0, 0);
}

static int make_shrinkable(void)
{
	return make_sized(0, F_SEAL_GROW | F_SEAL_SEAL);
}

static int make_unfinished(void)
{
	return make_sized(0, F_SEAL_GROW | F_SEAL_SHRINK);
}

static int make_unwritable(void)
{
	return make_sized(0, T_RAW_SEALS | F_SEAL_WRITE);
}

static int make_too_large(void)
{
	return make_sized(4096, T_RAW_SEALS);
}

static int make_too_small(void)
{
	return make_sized(-(size_t)4096, T_RAW_SEALS);
}

static int make_readonly(void)
{
	char path[64];
	int fd = make_sized(0, T_RAW_SEALS), again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_CLOEXEC);
	close(fd);
	return again;
}

static int make_huge(void)
{
	int fd = memfd_create("huge",
			      MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);

	if (fd < 0)
		return -1;
	if (ftruncate(fd, 2 << 20) || fcntl(fd, F_ADD_SEALS, T_RAW_SEALS)) {
		close(fd);
		return -1;
	}
	return fd;
}

static const struct {
	const char *what;
	int (*make)(void);
	int area, region; /* status of OPEN and of REGISTER; 0: it is good */
} descriptors[] = {
	{"pipe", make_pipe, -EBADF, -EBADF},
	{"socket", make_socket, -EBADF, -EBADF},
	{"device", make_device, -EBADF, -EBADF},
	{"folder", make_folder, -EBADF, -EBADF},
	{"path", make_path, -EBADF, -EBADF},
	{"file", make_file, -EBADF, -EBADF},
	{"huge pages", make_huge, -EBADF, -EBADF},
	{"unsealed", make_unsealed, -EPERM, -EPERM},
	{"can shrink", make_shrinkable, -EPERM, -EPERM},
	{"seals not sealed", make_unfinished, -EPERM, -EPERM},
	{"sealed for writing", make_unwritable, -EPERM, -EPERM},
	{"open for reading", make_readonly, -EACCES, -EACCES},
	{"too small", make_too_small, -EINVAL, 0},
	{"too large", make_too_large, -EINVAL, 0},
};

START_TEST(wrong_descriptor_is_refused)
{
	int fd = t_raw_attach(t_witness.daemon.socket, "");
	int thing = descriptors[_i].make();
	union vmb_ctl_any msg;
	struct t_raw_reply r;

	if (thing < 0) {
		t_skip(descriptors[_i].what); /* this machine has none */
		goto out;
	}
	t_request_fill(&msg, VMB_CTL_OPEN);
	expect_lie(fd, &msg, &thing, descriptors[_i].area, "open", VMB_ID_ANY);
	t_request_fill(&msg, VMB_CTL_REGISTER);
	if (descriptors[_i].region)
		expect_lie(fd, &msg, &thing, descriptors[_i].region, "register",
			   0);
	else
		ck_assert_int_eq(t_raw_call(fd, &msg, VMB_CTL_REGISTER, &thing,
					    1, &r),
				 0);
	ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, NULL, NULL), 0);
	close(thing);
out:
	close(fd);
}
END_TEST

static const struct vmb_geometry bad_geometries[] = {
	{0, 4096, 4096, 0},
	{63, 4096, 4096, 0},
	{32, 4096, 4096, 0},
	{131072, 4096, 4096, 0},
	{64, 2048, 4096, 0},
	{64, 4097, 4096, 0},
	{64, 4096, 32u << 20, 0},
	{64, 0x80000000, 0x80000000, 0},
	{0xffffffff, 0xffffffff, 0xffffffff, 0},
};

START_TEST(geometry_out_of_range_is_refused)
{
	int fd = t_raw_attach(t_witness.daemon.socket, "");
	int memfd = t_raw_memfd(1 << 20, T_RAW_SEALS);
	union vmb_ctl_any msg;

	t_request_fill(&msg, VMB_CTL_OPEN);
	msg.open.geometry = bad_geometries[_i];
	expect_lie(fd, &msg, &memfd, -EINVAL, "open", VMB_ID_ANY);
	t_request_fill(&msg, VMB_CTL_OPEN);
	msg.open.id = VMB_ID_MAX + 1;
	expect_lie(fd, &msg, &memfd, -EINVAL, "open", VMB_ID_MAX + 1);
	close(memfd);
	close(fd);
}
END_TEST

static const struct {
	uint32_t kind, access;
	uint64_t base, len;
	int status;
} bad_regions[] = {
	{0, 0, 0, 4096, -EINVAL},
	{4, 0, 0, 4096, -EINVAL},
	{VMB_REGION_GRANT, 0, 0, 4096, -EOPNOTSUPP},
	{VMB_REGION_PROCESS, 4, 4096, 4096, -EINVAL},
	{VMB_REGION_PROCESS, 0x80000000, 4096, 4096, -EINVAL},
	{VMB_REGION_PROCESS, 0, 4096, 0, -EINVAL},
	{VMB_REGION_PROCESS, 0, 4096, (1ull << 40) + 1, -EINVAL},
	{VMB_REGION_PROCESS, 0, 4096, UINT64_MAX, -EINVAL},
};

START_TEST(region_out_of_range_is_refused)
{
	int fd = t_raw_attach(t_witness.daemon.socket, "");
	union vmb_ctl_any msg;

	t_request_fill(&msg, VMB_CTL_REGISTER);
	msg.reg.kind = bad_regions[_i].kind;
	msg.reg.access = bad_regions[_i].access;
	msg.reg.base = bad_regions[_i].base;
	msg.reg.len = bad_regions[_i].len;
	if (bad_regions[_i].status == -EINVAL)
		expect_lie(fd, &msg, NULL, -EINVAL, "register", msg.reg.base);
	else
		expect_refusal(fd, &msg, msg.head.len, NULL, 0,
			       bad_regions[_i].status);
	close(fd);
}
END_TEST

/* Its answer comes when a helper thread has looked. */
START_TEST(process_memory_that_is_not_there_is_refused)
{
	struct vmb_ctl_hello_reply reply;
	int fd = t_raw_connect(t_witness.daemon.socket);
	union vmb_ctl_any msg;

	ck_assert_int_eq(t_raw_hello(fd, "", &reply), 0);
	t_request_fill(&msg, VMB_CTL_REGISTER);
	msg.reg.kind = VMB_REGION_PROCESS;
	msg.reg.base = 0x1000;
	if (reply.features & VMB_FEATURE_PROCESS_MEMORY)
		expect_lie(fd, &msg, NULL, -EFAULT, "register", 0x1000);
	else
		expect_refusal(fd, &msg, msg.head.len, NULL, 0, -EOPNOTSUPP);
	close(fd);
}
END_TEST

#define FILE_BYTES 12288u

static const struct {
	uint64_t base, len;
	int status;
} parts[] = {
	{0, FILE_BYTES, 0},
	{1, FILE_BYTES - 1, 0},
	{4095, 2, 0},
	{FILE_BYTES - 1, 1, 0},
	{0, FILE_BYTES + 1, -EINVAL},
	{1, FILE_BYTES, -EINVAL},
	{FILE_BYTES, 1, -EINVAL},
	{FILE_BYTES - 1, 2, -EINVAL},
	{UINT64_MAX, 1, -EINVAL},
	{UINT64_MAX - 4094, 4096, -EINVAL},
	{1ull << 63, 1, -EINVAL},
	{(1ull << 63) - 1, 2, -EINVAL},
};

/* The witness sees at the end that nothing stayed mapped. */
START_TEST(only_a_range_inside_of_the_file_is_registered)
{
	int fd = t_raw_attach(t_witness.daemon.socket, "");
	int memfd = t_raw_memfd(FILE_BYTES, T_RAW_SEALS);
	uint64_t key;

	for (int i = 0; i < 100; i++) {
		long before = t_recorded();

		ck_assert_int_eq(t_raw_register_part(fd, memfd, parts[_i].base,
						     parts[_i].len, &key),
				 parts[_i].status);
		if (!parts[_i].status)
			ck_assert_int_eq(t_raw_deregister(fd, key), 0);
		else
			t_expect_record(before, "register", parts[_i].base);
	}
	close(memfd);
	close(fd);
}
END_TEST

/* ---- suite -------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name)
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, t_witness_start, t_witness_stop);
	tcase_set_timeout(t, 120);
	suite_add_tcase(s, t);
	return t;
}

static void add_messages(Suite *s)
{
	TCase *t = add_case(s, "messages");

	tcase_add_loop_test(t, truncated_message_is_refused, VMB_CTL_HELLO,
			    VMB_CTL_LANE + 1);
	tcase_add_loop_test(t, oversized_message_is_refused, VMB_CTL_HELLO,
			    VMB_CTL_LANE + 1);
	tcase_add_loop_test(t, wrong_head_len_is_refused, VMB_CTL_HELLO,
			    VMB_CTL_LANE + 1);
	tcase_add_loop_test(t, status_in_a_request_is_refused, VMB_CTL_HELLO,
			    VMB_CTL_LANE + 1);
	tcase_add_test(t, unknown_operation_is_refused);
	tcase_add_test(t, reserved_field_that_is_not_zero_is_refused);
	tcase_add_test(t, what_is_not_its_own_is_refused);
	tcase_add_test(t, daily_life_leaves_no_record);
	tcase_add_test(t, client_that_talks_nonsense_is_sent_away);
	tcase_add_test(t, random_messages_harm_nobody);
}

static void add_descriptors(Suite *s)
{
	TCase *t = add_case(s, "descriptors");

	tcase_add_loop_test(t, descriptors_where_none_belong_are_refused,
			    VMB_CTL_HELLO, VMB_CTL_LANE + 1);
	tcase_add_loop_test(t, wrong_descriptor_is_refused, 0,
			    vmb_array_size(descriptors));
	tcase_add_loop_test(t, geometry_out_of_range_is_refused, 0,
			    vmb_array_size(bad_geometries));
	tcase_add_loop_test(t, region_out_of_range_is_refused, 0,
			    vmb_array_size(bad_regions));
	tcase_add_test(t, process_memory_that_is_not_there_is_refused);
	tcase_add_loop_test(t, only_a_range_inside_of_the_file_is_registered, 0,
			    vmb_array_size(parts));
}

int main(void)
{
	Suite *s = suite_create("control");

	add_messages(s);
	add_descriptors(s);
	return t_run(s);
}
