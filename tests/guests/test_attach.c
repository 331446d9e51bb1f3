// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_attach.c - guests come and go: the nodes and states of docs/xenbus.md,
 * by command, by policy, by death, and over a restart of the daemon.
 */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "support/guest.h"
#include "support/run.h"

#define FRONT "/local/domain/%u/device/vmb/0"
#define BACK "/local/domain/0/backend/vmb/%u/0"

static struct t_vmbd v;
static struct t_guest g, h;

static void setup(void)
{
	t_xen_start();
	t_vmbd_start(&v, NULL);
}

static void teardown(void)
{
	t_vmbd_stop(&v);
	t_xen_stop();
}

static int command(const char *cmd, const char *guest)
{
	int err = t_vmbd_command(&v, NULL, "{s:s, s:s}", "cmd", cmd, "guest",
				 guest);

	t_vmbd_settle(&v);
	return err;
}

static unsigned guests(void)
{
	unsigned n;
	json_t *rows;

	ck_assert_int_eq(t_vmbd_command(&v, &rows, "{s:s}", "cmd", "guests"),
			 0);
	n = (unsigned)json_array_size(rows);
	json_decref(rows);
	return n;
}

/* What "guests" says of the only one. */
static const char *state_of_guest(void)
{
	static char text[32];
	json_t *rows;

	ck_assert_int_eq(t_vmbd_command(&v, &rows, "{s:s}", "cmd", "guests"),
			 0);
	ck_assert_uint_eq(json_array_size(rows), 1);
	strcpy(text, json_string_value(json_object_get(json_array_get(rows, 0),
						       "state")));
	json_decref(rows);
	return text;
}

START_TEST(attach_writes_the_nodes)
{
	t_guest_start(&g, &v, 5, "web");
	ck_assert_ptr_null(t_xen_read(BACK "/state", 5));
	ck_assert_int_eq(command("attach", "web"), 0);
	ck_assert_str_eq(t_xen_read(FRONT "/backend", 5),
			 "/local/domain/0/backend/vmb/5/0");
	ck_assert_str_eq(t_xen_read(FRONT "/backend-id", 5), "0");
	ck_assert_str_eq(t_xen_read(FRONT "/state", 5), "1");
	ck_assert_str_eq(t_xen_read(BACK "/frontend", 5),
			 "/local/domain/5/device/vmb/0");
	ck_assert_str_eq(t_xen_read(BACK "/frontend-id", 5), "5");
	ck_assert_str_eq(t_xen_read(BACK "/online", 5), "1");
	ck_assert_str_eq(t_xen_read(BACK "/state", 5), "2");
	ck_assert_str_eq(t_xen_read(BACK "/abi", 5), "1.0");
	ck_assert_uint_eq(strlen(t_xen_read(BACK "/session", 5)), 16);
	ck_assert_str_eq(state_of_guest(), "waiting");
}
END_TEST

/* Each folder is its owner's to write and the other's to read. */
START_TEST(nodes_belong_to_their_writer)
{
	static const char *const front[] = {"", "/state", "/backend"};
	static const char *const back[] = {"", "/state", "/session", "/online"};

	t_guest_start(&g, &v, 5, "web");
	ck_assert_int_eq(command("attach", "5"), 0);
	for (unsigned i = 0; i < vmb_array_size(front); i++)
		ck_assert_str_eq(t_xen_perms(FRONT "%s", 5, front[i]), "n5,r0");
	for (unsigned i = 0; i < vmb_array_size(back); i++)
		ck_assert_str_eq(t_xen_perms(BACK "%s", 5, back[i]), "n0,r5");
}
END_TEST

START_TEST(attach_says_why_not)
{
	ck_assert_int_eq(command("attach", "nobody"), -ENOENT);
	ck_assert_int_eq(command("attach", "0"), -ENOENT);
	ck_assert_int_eq(command("attach", ""), -EINVAL);
	ck_assert_int_eq(command("detach", "web"), -ENOENT);
	t_guest_start(&g, &v, 5, "web");
	ck_assert_int_eq(command("attach", "web"), 0);
	ck_assert_int_eq(command("attach", "web"), -EEXIST);
	ck_assert_int_eq(command("attach", "5"), -EEXIST);
	/* another name makes no other guest of it */
	t_xen_write("blog", "/local/domain/%u/name", 5);
	ck_assert_int_eq(command("attach", "blog"), -EEXIST);
	ck_assert_uint_eq(guests(), 1);
	/* names that no board can have leave nothing behind */
	t_guest_start(&h, &v, 6, "a b");
	ck_assert_int_eq(command("attach", "6"), -EINVAL);
	ck_assert_ptr_null(t_xen_read(BACK "/state", 6));
	ck_assert_ptr_null(t_xen_read(FRONT "/state", 6));
	ck_assert_uint_eq(guests(), 1);
}
END_TEST

/* A guest that writes all the time cannot hold us up for ever. */
START_TEST(attach_bears_transactions_that_fail)
{
	t_guest_start(&g, &v, 5, "web");
	t_xen_disturb(10);
	ck_assert_int_eq(command("attach", "web"), 0);
	ck_assert_int_eq(command("detach", "web"), 0);
	t_xen_disturb(1000000);
	ck_assert_int_eq(command("attach", "web"), -EAGAIN);
	t_xen_disturb(0);
	ck_assert_uint_eq(guests(), 0);
}
END_TEST

START_TEST(connect_maps_and_detach_lets_go)
{
	t_guest_start(&g, &v, 5, "web");
	t_guest_attach(&g);
	t_guest_connect(&g);
	ck_assert_str_eq(state_of_guest(), "connected");
	ck_assert_uint_eq(t_xen_usage().pages, 2);
	ck_assert_uint_eq(t_xen_usage().channels, 1);
	ck_assert_int_eq(command("detach", "web"), 0);
	ck_assert_uint_eq(t_guest_back_state(&g), XenbusStateClosing);
	ck_assert_uint_eq(t_xen_usage().pages, 0);
	ck_assert_uint_eq(t_xen_usage().channels, 0);
	t_guest_check_let_go(&g);
	ck_assert_uint_eq(guests(), 1); /* until it has closed */
	t_guest_say(&g, XenbusStateClosed);
	ck_assert_uint_eq(guests(), 0);
	ck_assert_ptr_null(t_xen_read(BACK "/state", 5));
	ck_assert_ptr_null(t_xen_read(FRONT "/state", 5));
	ck_assert_uint_eq(t_xen_usage().watches, 3);
}
END_TEST

START_TEST(detach_of_a_guest_without_module_is_at_once)
{
	t_guest_start(&g, &v, 5, "web");
	t_guest_attach(&g);
	ck_assert_int_eq(command("detach", "web"), 0);
	ck_assert_uint_eq(guests(), 0);
	ck_assert_ptr_null(t_xen_read(BACK "/state", 5));
	t_guest_attach(&g);
	t_guest_connect(&g);
}
END_TEST

/* rmmod and insmod: Closing, Closed, then a new session; twenty times. */
START_TEST(module_is_reloaded)
{
	t_guest_start(&g, &v, 5, "web");
	t_guest_attach(&g);
	for (int i = 0; i < 20; i++) {
		t_guest_connect(&g);
		ck_assert_int_eq(t_guest_hello(&g, 1, NULL), 0);
		t_guest_say(&g, XenbusStateClosing);
		ck_assert_uint_eq(t_guest_back_state(&g), XenbusStateInitWait);
		t_guest_check_let_go(&g);
		t_guest_say(&g, XenbusStateClosed);
		ck_assert_uint_eq(t_guest_back_state(&g), XenbusStateInitWait);
	}
	ck_assert_uint_eq(t_xen_usage().pages, 0);
}
END_TEST

/* What belongs to an old session connects nobody. */
START_TEST(an_old_session_is_ignored)
{
	t_guest_start(&g, &v, 5, "web");
	t_guest_attach(&g);
	t_guest_await(&g, XenbusStateInitWait);
	t_guest_prepare(&g);
	strcpy(g.session, "0123456789abcdef");
	t_guest_initialise(&g);
	ck_assert_uint_eq(t_guest_back_state(&g), XenbusStateInitWait);
	ck_assert_uint_eq(t_xen_usage().pages, 0);
	ck_assert_uint_eq(t_vmbd_faults(&v, VMB_NIC_FAULT_NODE), 0);
	strcpy(g.session, t_xen_read(BACK "/session", 5));
	t_guest_initialise(&g);
	ck_assert_uint_eq(t_guest_back_state(&g), XenbusStateConnected);
}
END_TEST

START_TEST(death_of_the_guest_removes_its_backend)
{
	t_guest_start(&g, &v, 5, "web");
	t_guest_attach(&g);
	t_guest_connect(&g);
	ck_assert_int_eq(t_guest_hello(&g, 1, NULL), 0);
	t_xen_domain_die(5);
	t_vmbd_settle(&v);
	ck_assert_uint_eq(guests(), 0);
	ck_assert_ptr_null(t_xen_read(BACK "/state", 5));
	ck_assert_uint_eq(t_xen_usage().pages, 0);
	/* the number is used again, by another one */
	t_guest_start(&g, &v, 5, "mail");
	t_guest_attach(&g);
	t_guest_connect(&g);
}
END_TEST

START_TEST(nodes_removed_by_others_end_the_device)
{
	t_guest_start(&g, &v, 5, "web");
	t_guest_attach(&g);
	t_guest_connect(&g);
	t_xen_remove("/local/domain/0/backend/vmb/5");
	t_vmbd_settle(&v);
	ck_assert_uint_eq(guests(), 0);
	ck_assert_uint_eq(t_xen_usage().pages, 0);
	ck_assert_ptr_null(t_xen_read("/local/domain/0/backend/vmb/5"));
}
END_TEST

/* The next daemon finds the devices, and offers them a new session. */
START_TEST(restart_offers_a_new_session)
{
	t_guest_start(&g, &v, 5, "web");
	t_guest_start(&h, &v, 6, "mail");
	t_guest_attach(&g);
	t_guest_attach(&h);
	t_guest_connect(&g);
	t_guest_connect(&h);
	t_vmbd_stop(&v);
	t_guest_check_let_go(&g);
	t_xen_domain_die(6);
	ck_assert_uint_eq(t_guest_back_state(&g), XenbusStateConnected);
	t_vmbd_start(&v, NULL);
	ck_assert_uint_eq(t_guest_back_state(&g), XenbusStateInitWait);
	ck_assert_str_ne(t_xen_read(BACK "/session", 5), g.session);
	ck_assert_ptr_null(t_xen_read(BACK "/state", 6)); /* died meanwhile */
	ck_assert_uint_eq(guests(), 1);
	t_guest_connect(&g);
	ck_assert_int_eq(t_guest_hello(&g, 1, NULL), 0);
}
END_TEST

/* It was to be detached when its daemon died: that goes on. */
START_TEST(restart_goes_on_with_a_detach)
{
	t_guest_start(&g, &v, 5, "web");
	t_guest_attach(&g);
	t_guest_connect(&g);
	ck_assert_int_eq(command("detach", "web"), 0);
	t_vmbd_stop(&v);
	t_vmbd_start(&v, NULL);
	ck_assert_uint_eq(t_guest_back_state(&g), XenbusStateClosing);
	t_guest_say(&g, XenbusStateClosed);
	ck_assert_ptr_null(t_xen_read(BACK "/state", 5));
}
END_TEST

/* ---- the policy --------------------------------------------------------- */

static void setup_policy(void)
{
	t_xen_start();
	t_vmbd_start(&v, "[default-guest]\nattach = no\nendpoints = 2\n"
			 "[guest web]\nattach = yes\nweight = 7\n"
			 "[guest evil]\nattach = yes\nallow = no\n");
}

START_TEST(policy_attaches_who_starts)
{
	t_guest_start(&g, &v, 5, "mail");
	t_guest_start(&h, &v, 6, "web");
	ck_assert_uint_eq(t_guest_back_state(&g), 0);
	t_guest_connect(&h);
	t_guest_start(&g, &v, 7, "evil");
	ck_assert_uint_eq(t_guest_back_state(&g), 0);
	ck_assert_int_eq(command("attach", "evil"), -EACCES);
	ck_assert_ptr_null(t_xen_read(BACK "/state", 7));
}
END_TEST

/* What the administrator detached stays so, until it starts again. */
START_TEST(policy_does_not_attach_who_was_detached)
{
	t_guest_start(&g, &v, 6, "web");
	ck_assert_int_eq(command("detach", "web"), 0);
	t_guest_start(&h, &v, 7, "mail");
	ck_assert_uint_eq(t_guest_back_state(&g), 0);
	t_xen_domain_die(6);
	t_vmbd_settle(&v);
	t_guest_start(&g, &v, 6, "web");
	ck_assert_uint_eq(t_guest_back_state(&g), XenbusStateInitWait);
}
END_TEST

START_TEST(policy_read_again_attaches)
{
	t_guest_start(&g, &v, 5, "mail");
	ck_assert_uint_eq(t_guest_back_state(&g), 0);
	t_vmbd_reload(&v, "[guest mail]\nattach = yes\n");
	t_vmbd_settle(&v);
	ck_assert_uint_eq(t_guest_back_state(&g), XenbusStateInitWait);
}
END_TEST

/* Guests that run when the daemon starts are attached as well. */
START_TEST(policy_attaches_who_runs)
{
	t_vmbd_stop(&v);
	t_xen_domain_start(5, "web");
	t_vmbd_start(&v, "[default-guest]\nattach = yes\n");
	g = (struct t_guest){.v = &v, .id = 5};
	ck_assert_uint_eq(t_guest_back_state(&g), XenbusStateInitWait);
}
END_TEST

START_TEST(policy_limits_the_guest_as_a_whole)
{
	struct vmb_ctl_hello_reply hello;
	struct t_guest_endpoint ep;

	t_guest_start(&g, &v, 6, "web");
	t_guest_connect(&g);
	ck_assert_int_eq(t_guest_hello(&g, 1, &hello), 0);
	ck_assert_uint_eq(hello.endpoints_max, 2);
	ck_assert_int_eq(t_guest_hello(&g, 2, NULL), 0);
	ck_assert_int_eq(t_guest_open(&g, 1, 0, &ep), 0);
	ck_assert_int_eq(t_guest_open(&g, 2, 1, &ep), 0);
	ck_assert_int_eq(t_guest_open(&g, 2, 2, &ep), -EDQUOT);
	ck_assert_uint_eq(t_xen_usage().pages, 2 + 2 * ep.pages);
	ck_assert_int_eq(t_guest_leave(&g, 1), 0);
	ck_assert_int_eq(t_guest_open(&g, 2, 2, &ep), 0);
}
END_TEST

/* Areas are mapped by us like any other memory of the guest. */
START_TEST(policy_counts_areas_of_guests)
{
	struct t_guest_endpoint ep;
	uint32_t page;
	uint64_t key;

	t_vmbd_reload(&v, "[guest web]\nattach = yes\nmemory = 44K\n");
	t_guest_start(&g, &v, 6, "web");
	page = t_xen_pages(6, 4);
	t_guest_connect(&g);
	ck_assert_int_eq(t_guest_hello(&g, 1, NULL), 0);
	ck_assert_int_eq(t_guest_hello(&g, 2, NULL), 0);
	ck_assert_int_eq(t_guest_open(&g, 1, 0, &ep), 0);
	ck_assert_uint_eq(ep.pages, 5);
	ck_assert_int_eq(t_guest_open(&g, 2, 1, &ep), 0);
	ck_assert_int_eq(t_guest_open(&g, 2, 2, &ep), -EDQUOT);
	ck_assert_int_eq(t_guest_register(&g, 2, page, 0, 4 * VMB_PAGE, 0,
					  &key),
			 -EDQUOT);
	ck_assert_int_eq(t_guest_leave(&g, 1), 0);
	ck_assert_int_eq(
		t_guest_register(&g, 2, page, 0, 4 * VMB_PAGE, 0, &key), 0);
	ck_assert_int_eq(t_guest_open(&g, 2, 2, &ep), -EDQUOT);
}
END_TEST

static void add_case(Suite *s, const char *name, SFun start,
		     const TTest *const *tests, size_t count)
{
	TCase *c = tcase_create(name);

	tcase_add_checked_fixture(c, start, teardown);
	for (size_t i = 0; i < count; i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
}

int main(void)
{
	const TTest *const device[] = {
		attach_writes_the_nodes,
		nodes_belong_to_their_writer,
		attach_says_why_not,
		attach_bears_transactions_that_fail,
		connect_maps_and_detach_lets_go,
		detach_of_a_guest_without_module_is_at_once,
		module_is_reloaded,
		an_old_session_is_ignored,
		death_of_the_guest_removes_its_backend,
		nodes_removed_by_others_end_the_device,
		restart_offers_a_new_session,
		restart_goes_on_with_a_detach,
	};
	const TTest *const policy[] = {
		policy_attaches_who_starts,
		policy_does_not_attach_who_was_detached,
		policy_read_again_attaches,
		policy_attaches_who_runs,
		policy_limits_the_guest_as_a_whole,
		policy_counts_areas_of_guests,
	};
	Suite *s = suite_create("attach");

	add_case(s, "device", setup, device, vmb_array_size(device));
	add_case(s, "policy", setup_policy, policy, vmb_array_size(policy));
	return t_run(s);
}
