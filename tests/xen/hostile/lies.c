// SPDX-License-Identifier: BSD-2-Clause
/*
 * lies.c - a process of a guest that has to live with a backend that lies: the
 * suite "backend" of chardev.c.
 *
 * Flow:  [here], in a guest -> shim -> backend.c of this folder
 * Owns:  nothing: what a test opens, it or its end closes
 * Trust: neither side: a lie of the backend ends its clients, whose guest lives,
 *        and the device can be used afterwards.
 */
#include "hostile/device.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- suite "backend" ------------------------------------------------------- */

static void action(int fd, const char *name)
{
	union vmb_ctl_any msg;

	msg_init(&msg, VMB_CTL_LOOKUP, sizeof(msg.lookup));
	msg.lookup.kind = VMB_LOOKUP_NAME;
	snprintf(msg.lookup.name, sizeof(msg.lookup.name), "do:%s", name);
	ck_assert_int_eq(call(fd, &msg), 0);
}

static void check_kick(int ep, volatile uint64_t *area, uint64_t value)
{
	uint64_t word = 0;

	area[0] = value;
	ck_assert_int_eq(write(ep, &word, sizeof(word)), sizeof(word));
	wait_for(ep, POLLIN);
	ck_assert_int_eq(read(ep, &word, sizeof(word)), sizeof(word));
	ck_assert_int_eq(word, 1);
	ck_assert_uint_eq(area[(VMB_AREA_CONTROL + 2048) / 8], value + 1);
}

START_TEST(shares_the_area)
{
	static const struct vmb_geometry sizes[] = {
		{64, 4096, 4096, 0},
		{1024, 65536, 65536, 0}, /* with a list page */
		{65536, 4096, 4096, 0},	 /* with several */
	};
	const struct vmb_geometry *g = &sizes[_i];
	int fd = client_open(), ep;
	uint32_t handle;
	uint64_t *area;

	ck_assert_int_eq(endpoint_open(fd, g, &handle), 0);
	ep = endpoint_fd(fd, handle);
	area = mmap(NULL, VMB_AREA_BYTES(g), PROT_READ | PROT_WRITE, MAP_SHARED,
		    ep, 0);
	ck_assert(area != MAP_FAILED);
	for (uint64_t i = 0; i < 100; i++)
		check_kick(ep, area, i * 1000);
	ck_assert_int_eq(endpoint_close(fd, handle), 0);
}
END_TEST

START_TEST(grants_each_page_of_a_region)
{
	static const uint32_t counts[] = {1, 2, 24, 25, 1024, 1025, 5000};
	uint32_t count = counts[_i];
	int fd = client_open();
	char *p = pages_map(count);
	uint64_t key;

	/* the first byte and the last one are not in it */
	memset(p, 0xee, (size_t)count * VMB_PAGE);
	ck_assert_int_eq(region_open(fd, VMB_REGION_GRANT, p + 1,
				     (uint64_t)count * VMB_PAGE - 1, &key),
			 0);
	for (uint32_t i = 0; i < count; i++)
		ck_assert_int_eq(
			memcmp(p + (size_t)(i + 1) * VMB_PAGE - 4, &i, 4), 0);
	ck_assert_int_eq(region_close(fd, key), 0);
}
END_TEST

START_TEST(limits_the_endpoints)
{
	int fd = client_open(), status = 0;
	uint32_t handle, n;

	for (n = 0; n < 1025; n++) {
		status = endpoint_open(fd, &small, &handle);
		if (status)
			break;
	}
	ck_assert_int_eq(status, -EBUSY);
	ck_assert_int_eq(n, 1024);
	ck_assert_int_eq(endpoint_close(fd, handle ?: 1), -ENOENT);
}
END_TEST

START_TEST(limits_the_grants)
{
	int fd = client_open(), status;
	char *p = pages_map(1024);
	uint64_t key, first = 0;
	int n;

	for (n = 0; n < 200; n++) {
		status = region_open(fd, VMB_REGION_GRANT, p, 1024 * VMB_PAGE,
				     &key);
		if (status)
			break;
		first = first ?: key;
	}
	ck_assert_int_eq(status, -ENOSPC);
	ck_assert_int_eq(region_close(fd, first), 0);
	ck_assert_int_eq(
		region_open(fd, VMB_REGION_GRANT, p, 1024 * VMB_PAGE, &key), 0);
}
END_TEST

/* What a request of @op does after the backend was told to lie. */
struct lie {
	const char *action;
	uint32_t op;
};

static const struct lie lies[] = {
	{"bad-id", VMB_CTL_CONNECT},
	{"bad-client", VMB_CTL_CONNECT},
	{"bad-op", VMB_CTL_CONNECT},
	{"bad-tag", VMB_CTL_CONNECT},
	{"short", VMB_CTL_CONNECT},
	{"long", VMB_CTL_OPEN},
	{"status", VMB_CTL_OPEN},
	{"big-status", VMB_CTL_REGISTER},
	{"twice", VMB_CTL_REGISTER},
	{"index-far", VMB_CTL_OPEN},
	{"index-back", VMB_CTL_OPEN},
	{"die", 0},
	{"close", 0},
};

static void lie_provoke(int fd, uint32_t op, void *page)
{
	union vmb_ctl_any msg;

	switch (op) {
	case VMB_CTL_OPEN:
		msg_init(&msg, op, sizeof(msg.open));
		msg.open.id = VMB_ID_ANY;
		msg.open.geometry = small;
		break;
	case VMB_CTL_REGISTER:
		msg_init(&msg, op, sizeof(msg.reg));
		msg.reg.kind = VMB_REGION_GRANT;
		msg.reg.base = (uintptr_t)page;
		msg.reg.len = VMB_PAGE;
		break;
	case VMB_CTL_CONNECT:
		msg_init(&msg, op, sizeof(msg.connect));
		break;
	default:
		return;
	}
	ck_assert_int_eq(write(fd, &msg, msg.head.len), msg.head.len);
}

/* Reads replies until the end of the file. */
static void check_end(int fd)
{
	union vmb_ctl_any msg;
	ssize_t n;

	do {
		wait_for(fd, POLLIN);
		n = read(fd, &msg, sizeof(msg));
		ck_assert_msg(n >= 0, "read: %m");
	} while (n);
	ck_assert(wait_for(fd, POLLIN) & POLLHUP);
	msg_init(&msg, VMB_CTL_CLOSE, sizeof(msg.close));
	ck_fails(write(fd, &msg, sizeof(msg.close)), EPIPE);
}

/* Every lie ends the connection, for all; a new one can be used at once. */
START_TEST(a_liar_ends_all_clients)
{
	const struct lie *lie = &lies[_i];
	int fd = client_open(), other = client_open(), ep;
	char *page = pages_map(1);
	uint32_t handle;
	uint64_t key;

	ck_assert_int_eq(endpoint_open(fd, &small, &handle), 0);
	ck_assert_int_eq(
		region_open(fd, VMB_REGION_GRANT, page, VMB_PAGE, &key), 0);
	ep = endpoint_fd(fd, handle);
	action(fd, lie->action);
	lie_provoke(fd, lie->op, page);
	check_end(fd);
	check_end(other);
	check_ended(ep);
	ck_fails(endpoint_fd(fd, handle), ENOENT);
	close(fd);

	fd = client_open();
	ck_assert_int_eq(endpoint_open(fd, &small, &handle), 0);
}
END_TEST

/* A handle or key twice, or 0: a matter of the library, no harm to the guest. */
START_TEST(survives_equal_names)
{
	int fd = client_open();
	char *page = pages_map(1);
	uint32_t handle, same;
	uint64_t key, none;

	ck_assert_int_eq(endpoint_open(fd, &small, &handle), 0);
	action(fd, "same-handle");
	ck_assert_int_eq(endpoint_open(fd, &small, &same), 0);
	ck_assert_uint_eq(same, handle);
	ck_assert_int_eq(
		region_open(fd, VMB_REGION_GRANT, page, VMB_PAGE, &key), 0);
	action(fd, "no-key");
	ck_assert_int_eq(
		region_open(fd, VMB_REGION_GRANT, page, VMB_PAGE, &none), 0);
	ck_assert_uint_eq(none, 0);
	ck_assert_int_eq(endpoint_close(fd, handle), 0);
	ck_assert_int_eq(endpoint_close(fd, same), 0);
	ck_assert_int_eq(endpoint_close(fd, same), -ENOENT);
}
END_TEST

START_TEST(an_unanswered_request_is_no_obstacle)
{
	int fd = client_open(), other = client_open();

	action(fd, "hold");
	lie_provoke(fd, VMB_CTL_REGISTER, pages_map(1));
	/* LEAVE is answered before it: a lie again */
	close(fd);
	check_end(other);
	client_open();
}
END_TEST

START_TEST(a_refused_request_leaves_nothing)
{
	int fd = client_open();
	uint32_t handle;
	uint64_t key;

	action(fd, "refuse");
	ck_assert_int_eq(endpoint_open(fd, &small, &handle), -EIO);
	action(fd, "refuse");
	ck_assert_int_eq(region_open(fd, VMB_REGION_GRANT, pages_map(40),
				     40 * VMB_PAGE, &key),
			 -EIO);
	/* what stays, stays */
	ck_assert_int_eq(endpoint_open(fd, &small, &handle), 0);
	action(fd, "refuse");
	ck_assert_int_eq(endpoint_close(fd, handle), -EIO);
	ck_assert_int_eq(endpoint_close(fd, handle), 0);
}
END_TEST

/* A page that the backend keeps is not used for anything else. */
START_TEST(keeps_what_is_kept)
{
	int fd = client_open();
	char *page = pages_map(1);
	uint64_t key;

	ck_assert_int_eq(
		region_open(fd, VMB_REGION_GRANT, page, VMB_PAGE, &key), 0);
	action(fd, "keep");
	ck_assert_int_eq(region_close(fd, key), 0);
	munmap(page, VMB_PAGE);
	close(fd);
}
END_TEST

START_TEST(survives_storms)
{
	int fd = client_open(), ep;
	uint64_t begin = now_ms();
	uint32_t handle;
	uint64_t *area;

	ck_assert_int_eq(endpoint_open(fd, &small, &handle), 0);
	ep = endpoint_fd(fd, handle);
	area = mmap(NULL, VMB_AREA_BYTES(&small), PROT_READ | PROT_WRITE,
		    MAP_SHARED, ep, 0);
	action(fd, _i ? "notes" : "storm");
	/* this process gets on meanwhile */
	while (now_ms() < begin + 1000)
		getppid();
	ck_assert_int_eq(fcntl(ep, F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(endpoint_close(fd, handle), 0);
	ck_assert_int_eq(endpoint_open(fd, &small, &handle), 0);
	ep = endpoint_fd(fd, handle);
	area = mmap(NULL, VMB_AREA_BYTES(&small), PROT_READ | PROT_WRITE,
		    MAP_SHARED, ep, 0);
	check_kick(ep, area, 5);
}
END_TEST

/* ---- the suite ------------------------------------------------------------- */

Suite *suite_backend(void)
{
	Suite *suite = suite_create("backend");
	TCase *tc = tcase_create("honest");

	tcase_set_timeout(tc, 400);
	tcase_add_loop_test(tc, shares_the_area, 0, 3);
	tcase_add_loop_test(tc, grants_each_page_of_a_region, 0, 7);
	tcase_add_test(tc, limits_the_endpoints);
	tcase_add_test(tc, limits_the_grants);
	suite_add_tcase(suite, tc);

	tc = tcase_create("liar");
	tcase_set_timeout(tc, 400);
	tcase_add_loop_test(tc, a_liar_ends_all_clients, 0,
			    sizeof(lies) / sizeof(lies[0]));
	tcase_add_test(tc, survives_equal_names);
	tcase_add_test(tc, an_unanswered_request_is_no_obstacle);
	tcase_add_test(tc, a_refused_request_leaves_nothing);
	tcase_add_test(tc, keeps_what_is_kept);
	tcase_add_loop_test(tc, survives_storms, 0, 2);
	suite_add_tcase(suite, tc);
	return suite;
}
