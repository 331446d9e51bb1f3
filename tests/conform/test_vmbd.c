// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_vmbd.c - the daemon keeps its side of abi/control.h and of its options.
 *
 * Flow:  a vmbd of our own ($VMBD) <- requests by hand
 * Owns:  one daemon and one folder per test.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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

/* ---- the service manager --------------------------------------------------- */

/* The next of its messages has this line. */
static void expect_told(int fd, const char *line)
{
	char text[512] = "\n";
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char wanted[64];
	ssize_t n;

	ck_assert_msg(poll(&p, 1, 10000) == 1, "%s was not told", line);
	n = recv(fd, text + 1, sizeof(text) - 3, 0);
	ck_assert_int_gt(n, 0);
	text[n + 1] = '\n';
	snprintf(wanted, sizeof(wanted), "\n%s\n", line);
	ck_assert_msg(strstr(text, wanted), "%s was told, not %s", text, line);
}

START_TEST(service_manager_is_told)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/vmb-test-XXXXXX";
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/notify", dir);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	setenv("NOTIFY_SOCKET", at.sun_path, 1);
	t_daemon_start(&d, NULL);
	expect_told(fd, "READY=1");
	kill(d.pid, SIGHUP);
	expect_told(fd, "RELOADING=1");
	expect_told(fd, "READY=1");
	t_daemon_stop(&d);
	expect_told(fd, "STOPPING=1");
	unlink(at.sun_path);
	rmdir(dir);
	close(fd);
}
END_TEST

/* ---- hello -------------------------------------------------------------- */

START_TEST(hello_tells_what_is_granted)
{
	struct vmb_ctl_hello_reply r;
	int fd = t_raw_connect(d.socket);

	ck_assert_int_eq(t_raw_hello(fd, "", &r), 0);
	ck_assert_uint_eq(r.abi_major, VMB_ABI_MAJOR);
	ck_assert_uint_ge(r.endpoints_max, 1000);
	ck_assert_uint_eq(r.memory_max, 4ull << 30);
	ck_assert_uint_eq(r.engine_threads, 1);
	ck_assert_uint_ne(r.nic_id, 0);
	ck_assert_uint_eq(r.nic_id >> 40, 0x02); /* 48 bits, local */
	ck_assert_uint_eq(r.features & ~VMB_FEATURES_ALL, 0);
	ck_assert_ptr_nonnull(strstr(r.name, ":0"));
	close(fd);
}
END_TEST

START_TEST(hello_of_another_major_version_is_refused_and_closed)
{
	union vmb_ctl_any msg = {.hello = {.abi_major = VMB_ABI_MAJOR + 1}};
	int fd = t_raw_connect(d.socket);
	struct t_raw_reply r;

	ck_assert_int_eq(t_raw_call(fd, &msg, VMB_CTL_HELLO, NULL, 0, &r),
			 -EPROTO);
	t_raw_receive(fd, &r);
	ck_assert_uint_eq(r.len, 0);
	close(fd);
}
END_TEST

START_TEST(hello_of_a_later_minor_version_speaks_the_lower)
{
	union vmb_ctl_any msg = {
		.hello = {.abi_major = VMB_ABI_MAJOR, .abi_minor = 77}};
	int fd = t_raw_connect(d.socket);
	struct t_raw_reply r;

	ck_assert_int_eq(t_raw_call(fd, &msg, VMB_CTL_HELLO, NULL, 0, &r), 0);
	ck_assert_uint_eq(r.msg.hello_reply.abi_minor, VMB_ABI_MINOR);
	close(fd);
}
END_TEST

START_TEST(hello_grants_only_features_that_were_offered)
{
	union vmb_ctl_any msg = {.hello = {.abi_major = VMB_ABI_MAJOR}};
	int fd = t_raw_connect(d.socket);
	struct t_raw_reply r;

	ck_assert_int_eq(t_raw_call(fd, &msg, VMB_CTL_HELLO, NULL, 0, &r), 0);
	ck_assert_uint_eq(r.msg.hello_reply.features, 0);
	close(fd);
}
END_TEST

START_TEST(second_hello_is_refused)
{
	int fd = t_raw_attach(d.socket, "");

	ck_assert_int_eq(t_raw_hello(fd, "", NULL), -EALREADY);
	ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, NULL, NULL), 0);
	close(fd);
}
END_TEST

START_TEST(request_before_hello_is_refused)
{
	int fd = t_raw_connect(d.socket);

	ck_assert_int_eq(t_raw_deregister(fd, 5), -ENOTCONN);
	close(fd);
}
END_TEST

/* ---- endpoints ---------------------------------------------------------- */

START_TEST(open_takes_the_lowest_free_id)
{
	int fd = t_raw_attach(d.socket, "");
	struct vmb_ctl_open_reply a, b, c;

	ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, &a, NULL), 0);
	ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, &b, NULL), 0);
	ck_assert_uint_eq(a.id, 0);
	ck_assert_uint_eq(b.id, 1);
	ck_assert_uint_ne(a.handle, b.handle);
	ck_assert_uint_ne(a.session, 0);
	ck_assert_int_eq(t_raw_close(fd, a.handle), 0);
	ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, &c, NULL), 0);
	ck_assert_uint_eq(c.id, 0);
	ck_assert_uint_ne(c.handle, a.handle);
	ck_assert_uint_ne(c.session, a.session);
	close(fd);
}
END_TEST

START_TEST(open_of_a_taken_id_is_busy)
{
	int fd = t_raw_attach(d.socket, "");
	int other = t_raw_attach(d.socket, "");

	ck_assert_int_eq(t_raw_open(fd, 65535, 0, NULL, NULL), 0);
	ck_assert_int_eq(t_raw_open(fd, 65535, 0, NULL, NULL), -EBUSY);
	/* unnamed domains share the host's board */
	ck_assert_int_eq(t_raw_open(other, 65535, 0, NULL, NULL), -EBUSY);
	ck_assert_int_eq(t_raw_open(fd, 65536, 0, NULL, NULL), -EINVAL);
	close(fd);
	close(other);
}
END_TEST

START_TEST(close_of_a_foreign_or_stale_handle_is_refused)
{
	int fd = t_raw_attach(d.socket, "");
	int other = t_raw_attach(d.socket, "");
	struct vmb_ctl_open_reply r;

	ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, &r, NULL), 0);
	ck_assert_int_eq(t_raw_close(other, r.handle), -ENOENT);
	ck_assert_int_eq(t_raw_close(fd, r.handle), 0);
	ck_assert_int_eq(t_raw_close(fd, r.handle), -ENOENT);
	ck_assert_int_eq(t_raw_close(fd, 0), -ENOENT);
	close(fd);
	close(other);
}
END_TEST

START_TEST(thousand_endpoints_open_in_one_process)
{
	int fd = t_raw_attach(d.socket, "");

	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, NULL, NULL), 0);
	ck_assert_int_eq(t_raw_number(ask("{\"cmd\":\"status\"}"), "endpoints"),
			 1000);
	close(fd);
	t_raw_wait_clients(d.socket, 0);
	ck_assert_int_eq(t_raw_number(ask("{\"cmd\":\"status\"}"), "endpoints"),
			 0);
}
END_TEST

START_TEST(engine_is_full_at_its_maximum)
{
	const char *const args[] = {"--max-endpoints", "2", NULL};
	int fd;

	t_daemon_stop(&d);
	t_daemon_start(&d, args);
	fd = t_raw_attach(d.socket, "");
	ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, NULL, NULL), 0);
	ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, NULL, NULL), 0);
	ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, NULL, NULL), -EBUSY);
	close(fd);
}
END_TEST

START_TEST(kick_is_served_and_the_event_is_notified)
{
	int fd = t_raw_attach(d.socket, "");
	struct t_raw_endpoint ep;

	t_raw_endpoint_open(fd, 1, &ep);
	for (int i = 0; i < 1000; i++)
		t_raw_endpoint_fence(&ep);
	t_raw_endpoint_drop(&ep);
	close(fd);
}
END_TEST

START_TEST(notifications_end_with_the_daemon)
{
	int fd = t_raw_attach(d.socket, ""), fds[2];
	char byte;

	ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, NULL, fds), 0);
	t_daemon_kill(&d);
	ck_assert_int_eq(read(fds[1], &byte, 1), 0);
	close(fds[0]);
	close(fds[1]);
	close(fd);
}
END_TEST

/* ---- regions ------------------------------------------------------------ */

START_TEST(register_gives_keys_that_end)
{
	int fd = t_raw_attach(d.socket, "");
	uint64_t a, b;

	ck_assert_int_eq(t_raw_register_memfd(fd, 8192, &a), 0);
	ck_assert_int_eq(t_raw_register_memfd(fd, 100, &b), 0);
	ck_assert_uint_ne(a, b);
	ck_assert_int_eq(t_raw_deregister(fd, a), 0);
	ck_assert_int_eq(t_raw_deregister(fd, a), -ENOENT);
	ck_assert_int_eq(t_raw_deregister(fd, b ^ (1ull << 40)), -ENOENT);
	ck_assert_int_eq(t_raw_deregister(fd, b), 0);
	close(fd);
}
END_TEST

START_TEST(key_of_another_client_cannot_be_deregistered)
{
	int fd = t_raw_attach(d.socket, "same");
	int other = t_raw_attach(d.socket, "same");
	uint64_t key;

	ck_assert_int_eq(t_raw_register_memfd(fd, 8192, &key), 0);
	ck_assert_int_eq(t_raw_deregister(other, key), -ENOENT);
	ck_assert_int_eq(t_raw_deregister(fd, key), 0);
	close(fd);
	close(other);
}
END_TEST

START_TEST(process_memory_registers_when_it_is_there)
{
	struct vmb_ctl_hello_reply hello;
	int fd = t_raw_connect(d.socket);
	char *at = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t key;

	ck_assert_int_eq(t_raw_hello(fd, "", &hello), 0);
	if (!(hello.features & VMB_FEATURE_PROCESS_MEMORY)) {
		ck_assert_int_eq(t_raw_register_process(fd, at, 8192, &key),
				 -EOPNOTSUPP);
		t_skip("memory of processes is not reached here");
		return;
	}
	ck_assert_int_eq(t_raw_register_process(fd, at, 8192, &key), 0);
	ck_assert_int_eq(t_raw_deregister(fd, key), 0);
	munmap(at + 4096, 4096);
	ck_assert_int_eq(t_raw_register_process(fd, at, 4097, &key), -EFAULT);
	ck_assert_int_eq(t_raw_register_process(fd, at, 4096, &key), 0);
	ck_assert_int_eq(t_raw_register_process(fd, (void *)~0xfffull, 8192,
						&key),
			 -EFAULT);
	close(fd);
}
END_TEST

/* ---- peers -------------------------------------------------------------- */

START_TEST(connect_answers_from_the_table)
{
	struct vmb_ctl_hello_reply hello;
	struct vmb_ctl_open_reply open;
	int fd = t_raw_connect(d.socket), other = t_raw_attach(d.socket, "");
	uint32_t handle;

	ck_assert_int_eq(t_raw_hello(fd, "", &hello), 0);
	ck_assert_int_eq(t_raw_open(other, 7, 1234, &open, NULL), 0);
	ck_assert_int_eq(t_raw_peer(fd, hello.nic_id, 7, 1234, &handle), 0);
	ck_assert_uint_eq(handle, open.handle);
	ck_assert_int_eq(t_raw_peer(fd, hello.nic_id, 7, 1, NULL),
			 -EKEYREJECTED);
	ck_assert_int_eq(t_raw_peer(fd, hello.nic_id, 8, 1234, NULL),
			 -ECONNREFUSED);
	ck_assert_int_eq(t_raw_peer(fd, hello.nic_id, 65536, 0, NULL), -EINVAL);
	ck_assert_int_eq(t_raw_peer(fd, hello.nic_id + 1, 7, 1234, NULL),
			 -ENXIO);
	close(fd);
	close(other);
}
END_TEST

static int lookup(int fd, struct vmb_ctl_lookup *l)
{
	union vmb_ctl_any msg = {.lookup = *l};
	struct t_raw_reply r;
	int status = t_raw_call(fd, &msg, VMB_CTL_LOOKUP, NULL, 0, &r);

	*l = r.msg.lookup;
	return status;
}

static int lookup_name(int fd, const char *name, uint64_t *nic_id)
{
	struct vmb_ctl_lookup l = {.kind = VMB_LOOKUP_NAME};
	int status;

	snprintf(l.name, sizeof(l.name), "%s", name);
	status = lookup(fd, &l);
	*nic_id = l.nic_id;
	return status;
}

START_TEST(names_resolve_as_the_interface_says)
{
	struct vmb_ctl_hello_reply hello, guest;
	int fd = t_raw_connect(d.socket), other = t_raw_connect(d.socket);
	char bare[VMB_NAME_BYTES];
	uint64_t nic;

	ck_assert_int_eq(t_raw_hello(fd, "", &hello), 0);
	ck_assert_int_eq(t_raw_hello(other, "guest1", &guest), 0);
	ck_assert_str_eq(guest.name, "guest1:0");
	ck_assert_uint_ne(guest.nic_id, hello.nic_id);
	ck_assert_int_eq(lookup_name(fd, "localhost", &nic), 0);
	ck_assert_uint_eq(nic, hello.nic_id);
	ck_assert_int_eq(lookup_name(other, "localhost:0", &nic), 0);
	ck_assert_uint_eq(nic, guest.nic_id);
	ck_assert_int_eq(lookup_name(fd, "guest1", &nic), 0);
	ck_assert_uint_eq(nic, guest.nic_id);
	memcpy(bare, hello.name, sizeof(bare));
	*strchr(bare, ':') = 0;
	ck_assert_int_eq(lookup_name(other, bare, &nic), 0);
	ck_assert_uint_eq(nic, hello.nic_id);
	ck_assert_int_eq(lookup_name(fd, "guest1:1", &nic), -ENOENT);
	ck_assert_int_eq(lookup_name(fd, "", &nic), -ENOENT);
	close(other);
	t_raw_wait_clients(d.socket, 1);
	ck_assert_int_eq(lookup_name(fd, "guest1", &nic), -ENOENT);
	close(fd);
}
END_TEST

START_TEST(lookup_of_a_handle_tells_who)
{
	struct vmb_ctl_lookup l = {.kind = VMB_LOOKUP_HANDLE};
	struct vmb_ctl_open_reply open;
	int fd = t_raw_attach(d.socket, ""),
	    other = t_raw_attach(d.socket, "g");

	ck_assert_int_eq(t_raw_open(other, 3, 0, &open, NULL), 0);
	l.handle = open.handle;
	ck_assert_int_eq(lookup(fd, &l), 0);
	ck_assert_uint_eq(l.id, 3);
	ck_assert_uint_eq(l.session, open.session);
	ck_assert_str_eq(l.name, "g:0");
	l = (struct vmb_ctl_lookup){.kind = VMB_LOOKUP_NIC, .nic_id = l.nic_id};
	ck_assert_int_eq(lookup(fd, &l), 0);
	ck_assert_str_eq(l.name, "g:0");
	close(fd);
	close(other);
}
END_TEST

static int lookup_handle(int fd, uint32_t handle, struct vmb_ctl_lookup *l)
{
	*l = (struct vmb_ctl_lookup){.kind = VMB_LOOKUP_HANDLE,
				     .handle = handle};
	return lookup(fd, l);
}

/*
 * Looped: it closes, or its process goes, and its board goes with it. The
 * answer is the one of before.
 */
START_TEST(lookup_of_a_handle_tells_who_left)
{
	/* then the next endpoint has the index of the last one */
	const char *const args[] = {"--max-endpoints", "1", NULL};
	struct vmb_ctl_open_reply open, next;
	struct vmb_ctl_lookup before, after;
	int fd, other;

	t_daemon_stop(&d);
	t_daemon_start(&d, args);
	fd = t_raw_attach(d.socket, "");
	other = t_raw_attach(d.socket, "g");
	ck_assert_int_eq(t_raw_open(other, 3, 0, &open, NULL), 0);
	ck_assert_int_eq(lookup_handle(fd, open.handle, &before), 0);
	if (_i) {
		close(other);
		t_raw_wait_clients(d.socket, 1);
	} else {
		ck_assert_int_eq(t_raw_close(other, open.handle), 0);
	}
	ck_assert_int_eq(lookup_handle(fd, open.handle, &after), 0);
	after.head = before.head;
	ck_assert_mem_eq(&after, &before, sizeof(after));
	ck_assert_int_eq(t_raw_peer(fd, before.nic_id, 3, 0, NULL),
			 _i ? -ENXIO : -ECONNREFUSED);
	/* the next one in its place is another one */
	ck_assert_int_eq(t_raw_open(fd, 4, 0, &next, NULL), 0);
	ck_assert_uint_eq(VMB_HANDLE_INDEX(next.handle),
			  VMB_HANDLE_INDEX(open.handle));
	ck_assert_int_eq(lookup_handle(fd, next.handle, &after), 0);
	ck_assert_uint_eq(after.id, 4);
	ck_assert_int_eq(lookup_handle(fd, open.handle, &after), 0);
	ck_assert_uint_eq(after.session, open.session);
	/* and one that never was is nobody */
	ck_assert_int_eq(lookup_handle(fd, open.handle + (7u << 16), &after),
			 -ENOENT);
	ck_assert_int_eq(lookup_handle(fd, 0, &after), -ENOENT);
	close(fd);
	if (!_i)
		close(other);
}
END_TEST

/* As many are remembered as can be open, whoever leaves how often. */
START_TEST(departed_endpoints_are_forgotten_in_their_order)
{
	enum {
		MAX = 8,
		ALL = 5 * MAX
	};
	const char *const args[] = {"--max-endpoints", "8", NULL};
	struct vmb_ctl_open_reply open[ALL];
	struct vmb_ctl_lookup l;
	int fds[2];

	t_daemon_stop(&d);
	t_daemon_start(&d, args);
	for (int i = 0; i < 2; i++)
		fds[i] = t_raw_attach(d.socket, "");
	for (int i = 0; i < ALL; i++) {
		ck_assert_int_eq(t_raw_open(fds[i % 2], 1, 0, &open[i], NULL),
				 0);
		ck_assert_int_eq(t_raw_close(fds[i % 2], open[i].handle), 0);
		for (int k = 0; k <= i; k++) {
			ck_assert_int_eq(lookup_handle(fds[0], open[k].handle,
						       &l),
					 i - k < MAX ? 0 : -ENOENT);
			if (i - k < MAX)
				ck_assert_uint_eq(l.session, open[k].session);
		}
	}
	for (int i = 0; i < 2; i++)
		close(fds[i]);
}
END_TEST

/* ---- sockets ------------------------------------------------------------ */

/* More than helper threads close at once. */
START_TEST(daemon_with_many_clients_ends_well)
{
	struct t_daemon busy;
	int fds[100];

	t_daemon_start(&busy, NULL);
	for (unsigned i = 0; i < vmb_array_size(fds); i++)
		fds[i] = t_raw_attach(busy.socket, "");
	t_daemon_stop(&busy);
	for (unsigned i = 0; i < vmb_array_size(fds); i++)
		close(fds[i]);
}
END_TEST

START_TEST(second_daemon_is_refused)
{
	const char *const args[] = {"--socket", d.socket, NULL};
	int fd;

	ck_assert_int_eq(t_raw_run_vmbd(args), 2);
	fd = t_raw_attach(d.socket, ""); /* the first is not harmed */
	close(fd);
}
END_TEST

START_TEST(stale_socket_is_replaced)
{
	struct stat st;
	int fd;

	t_daemon_kill(&d);
	ck_assert_int_eq(lstat(d.socket, &st), 0);
	t_daemon_restart(&d, NULL);
	fd = t_raw_attach(d.socket, "");
	close(fd);
}
END_TEST

START_TEST(file_that_is_no_socket_is_kept)
{
	const char *const args[] = {"--socket", d.socket, NULL};
	struct stat st;

	t_daemon_kill(&d);
	unlink(d.socket);
	t_raw_write_file(d.socket, "precious");
	ck_assert_int_eq(t_raw_run_vmbd(args), 1);
	ck_assert_int_eq(lstat(d.socket, &st), 0);
	ck_assert_int_eq(st.st_size, 8);
}
END_TEST

START_TEST(folder_that_others_can_write_is_refused)
{
	const char *const args[] = {"--socket", d.socket, NULL};

	t_daemon_kill(&d);
	ck_assert_int_eq(chmod(d.dir, 0777), 0);
	ck_assert_int_eq(t_raw_run_vmbd(args), 1);
}
END_TEST

START_TEST(folder_that_is_not_there_is_named_once)
{
	const char *const args[] = {"--socket", "/proc/none/such/vmbd", NULL};
	FILE *says = tmpfile();
	char line[256];

	ck_assert_int_eq(t_raw_hear_vmbd(args, says), 1);
	rewind(says);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), says));
	ck_assert_ptr_nonnull(strstr(line, "/proc/none/such"));
	ck_assert_ptr_null(fgets(line, sizeof(line), says));
	fclose(says);
}
END_TEST

START_TEST(sockets_have_their_modes_and_go_at_the_end)
{
	const char *const args[] = {"--mode", "0660", NULL};
	char ctl[64];
	struct stat st;

	t_daemon_kill(&d);
	t_daemon_restart(&d, args);
	snprintf(ctl, sizeof(ctl), "%s.ctl", d.socket);
	ck_assert_int_eq(stat(d.socket, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0660);
	ck_assert_int_eq(stat(ctl, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	kill(d.pid, SIGTERM);
	ck_assert_int_eq(waitpid(d.pid, NULL, 0), d.pid);
	d.pid = 0;
	ck_assert_int_ne(stat(d.socket, &st), 0);
	ck_assert_int_ne(stat(ctl, &st), 0);
}
END_TEST

static const char *const bad_arguments[] = {
	"--engines=0", "--engines=17", "--mode=9",
	"--cpu=1,x",   "--log=loud",   "--max-endpoints=0",
	"--no-such",   "surplus",      "--ready-fd=99",
};

START_TEST(bad_argument_ends_with_64)
{
	const char *const args[] = {bad_arguments[_i], NULL};

	ck_assert_int_eq(t_raw_run_vmbd(args), 64);
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

static void add_protocol(Suite *s)
{
	TCase *t = add_case(s, "protocol", true);

	tcase_add_test(t, hello_tells_what_is_granted);
	tcase_add_test(t, hello_of_another_major_version_is_refused_and_closed);
	tcase_add_test(t, hello_of_a_later_minor_version_speaks_the_lower);
	tcase_add_test(t, hello_grants_only_features_that_were_offered);
	tcase_add_test(t, second_hello_is_refused);
	tcase_add_test(t, request_before_hello_is_refused);
	tcase_add_test(t, open_takes_the_lowest_free_id);
	tcase_add_test(t, open_of_a_taken_id_is_busy);
	tcase_add_test(t, close_of_a_foreign_or_stale_handle_is_refused);
	tcase_add_test(t, thousand_endpoints_open_in_one_process);
	tcase_add_test(t, engine_is_full_at_its_maximum);
	tcase_add_test(t, kick_is_served_and_the_event_is_notified);
	tcase_add_test(t, notifications_end_with_the_daemon);
	tcase_add_test(t, register_gives_keys_that_end);
	tcase_add_test(t, key_of_another_client_cannot_be_deregistered);
	tcase_add_test(t, process_memory_registers_when_it_is_there);
	tcase_add_test(t, connect_answers_from_the_table);
	tcase_add_test(t, names_resolve_as_the_interface_says);
	tcase_add_test(t, lookup_of_a_handle_tells_who);
	tcase_add_loop_test(t, lookup_of_a_handle_tells_who_left, 0, 2);
	tcase_add_test(t, departed_endpoints_are_forgotten_in_their_order);
}

static void add_sockets(Suite *s)
{
	TCase *t = add_case(s, "sockets", true);

	tcase_add_test(t, daemon_with_many_clients_ends_well);
	tcase_add_test(t, second_daemon_is_refused);
	tcase_add_test(t, stale_socket_is_replaced);
	tcase_add_test(t, file_that_is_no_socket_is_kept);
	tcase_add_test(t, folder_that_others_can_write_is_refused);
	tcase_add_test(t, folder_that_is_not_there_is_named_once);
	tcase_add_test(t, sockets_have_their_modes_and_go_at_the_end);
	t = add_case(s, "service manager", false);
	tcase_add_test(t, service_manager_is_told);
	t = add_case(s, "arguments", false);
	tcase_add_loop_test(t, bad_argument_ends_with_64, 0,
			    vmb_array_size(bad_arguments));
}

int main(void)
{
	Suite *s = suite_create("vmbd");

	add_protocol(s);
	add_sockets(s);
	return t_run(s);
}
