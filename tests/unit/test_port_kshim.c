// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_port_kshim.c - the kernel shim's port against a device and a daemon
 * that are played by the test: what it sends, what it maps, what it makes of
 * the answers, and what it says when it cannot attach. How replies find their
 * requests is in test_channel.c.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/log.h"
#include "base/util.h"
#include "port/calls.h"
#include "support/device.h"
#include "support/run.h"
#include "unit/fake_daemon.h"

#define KEY 0x0123456700020001ull

static const struct vmb_geometry geometry = {
	.eq_slots = 128, .rx_bytes = 8192, .tx_bytes = 4096};

/* ---- open --------------------------------------------------------------- */

START_TEST(open_offers_nothing_and_names_no_domain)
{
	struct t_fake fake;
	struct vmb_port *port;

	t_fake_init(&fake, NULL, NULL);
	port = t_fake_open_port(&fake);
	ck_assert_ptr_eq(port->ops, &vmb_port_kshim);
	ck_assert_str_eq(port->hello.name, "fake:0");
	ck_assert_int_eq(vmb_port_kshim.alive(port), 0);
	t_fake_close_port(&fake, port);
	ck_assert_uint_eq(fake.asked.features, 0);
	ck_assert_uint_eq(fake.asked.abi_major, VMB_ABI_MAJOR);
	for (unsigned i = 0; i < sizeof(fake.asked.domain); i++)
		ck_assert_int_eq(fake.asked.domain[i], 0);
}
END_TEST

static const uint64_t features[] = {VMB_FEATURE_BARRIER,
				    VMB_FEATURE_PROCESS_MEMORY};

START_TEST(open_refuses_features_that_cannot_be_there)
{
	int before = t_count_fds();
	struct t_fake fake;
	struct vmb_port *port;

	t_fake_init(&fake, NULL, NULL);
	fake.hello.features = features[_i];
	t_fake_start(&fake);
	ck_assert_int_eq(vmb_port_kshim.open(fake.path, NULL, &port), -EPROTO);
	t_fake_stop(&fake);
	ck_assert_int_eq(t_count_fds(), before);
}
END_TEST

static void script_hang_up(struct t_fake *fake)
{
	t_fake_hang_up(fake);
}

/* What vmb_log() said while fn ran. */
static const char *log_of(int (*fn)(const char *path), const char *path,
			  int code)
{
	static char text[1000];
	int saved = dup(STDERR_FILENO), fd = memfd_create("log", MFD_CLOEXEC);
	ssize_t n;

	dup2(fd, STDERR_FILENO);
	vmb_log_set_level(VMB_LOG_ERROR);
	ck_assert_int_eq(fn(path), code);
	vmb_log_set_level(VMB_LOG_NONE);
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = pread(fd, text, sizeof(text) - 1, 0);
	close(fd);
	ck_assert_int_ge(n, 0);
	text[n] = 0;
	return text;
}

static int open_path(const char *path)
{
	struct vmb_port *port;

	return vmb_port_kshim.open(path, NULL, &port);
}

static int open_with_domain(const char *path)
{
	struct vmb_port *port;

	return vmb_port_kshim.open(path, "db", &port);
}

static const struct {
	int error, code;
	const char *hint;
} refusals[] = {
	{ENXIO, -ECONNREFUSED, "vmbctl attach"},
	{ENODEV, -ECONNREFUSED, "does vmbd run"},
	{EACCES, -EACCES, "group vmbypass"},
	{EPERM, -EACCES, "group vmbypass"},
	{EUSERS, -EUSERS, "end one"},
	{ENOMEM, -ENOMEM, "Cannot allocate memory"},
};

START_TEST(open_says_what_to_do_next)
{
	const char *text;

	t_device_link("@nobody");
	t_device_refuse(refusals[_i].error);
	text = log_of(open_path, NULL, refusals[_i].code);
	ck_assert_msg(strstr(text, refusals[_i].hint) &&
			      strstr(text, VMB_CHARDEV_PATH),
		      "it says: %s", text);
}
END_TEST

START_TEST(open_without_a_device_says_so)
{
	const char *text = log_of(open_path, "/dev/no-vmbypass", -ENOENT);

	ck_assert(strstr(text, "/dev/no-vmbypass"));
	ck_assert(strstr(text, "load the module"));
}
END_TEST

START_TEST(open_writes_to_no_ordinary_file)
{
	char path[] = "/tmp/vmb-file-XXXXXX";
	int before = t_count_fds();
	int fd = mkstemp(path);
	struct stat st;

	ck_assert(strstr(log_of(open_path, path, -EINVAL), "not a device"));
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq((int)st.st_size, 0);
	close(fd);
	unlink(path);
	ck_assert_int_eq(t_count_fds(), before);
}
END_TEST

START_TEST(open_refuses_a_protection_domain)
{
	const char *text = log_of(open_with_domain, "@nobody", -EINVAL);

	ck_assert(strstr(text, "VMB_DOMAIN=db"));
	ck_assert(strstr(text, "unset it"));
}
END_TEST

/* ---- the choice of a port ----------------------------------------------- */

/* With this in VMB_PORT (NULL: it is not set), followed by the path or not. */
static void expect_choice(const char *text, bool path,
			  const struct vmb_port_ops *ops)
{
	struct t_fake fake;
	struct vmb_port *port;
	char value[100];

	t_fake_port = ops;
	t_fake_init(&fake, NULL, NULL);
	t_fake_start(&fake);
	t_device_link(ops == &vmb_port_kshim ? fake.path : NULL);
	setenv("VMB_SOCKET", fake.path, 1);
	if (text) {
		snprintf(value, sizeof(value), "%s%s", text,
			 path ? fake.path : "");
		setenv("VMB_PORT", value, 1);
	} else {
		unsetenv("VMB_PORT");
	}
	ck_assert_int_eq(vmb_port_open(&port), 0);
	ck_assert_ptr_eq(port->ops, ops);
	port->ops->close(port);
	t_fake_stop(&fake);
}

START_TEST(port_is_the_one_that_this_machine_has)
{
	unsetenv("VMB_DOMAIN");
	expect_choice(NULL, false, &vmb_port_kshim);
	expect_choice("", false, &vmb_port_kshim);
	expect_choice(NULL, false, &vmb_port_local);
}
END_TEST

START_TEST(port_is_the_one_that_the_environment_names)
{
	setenv("VMB_DOMAIN", "", 1); /* as if it were not there */
	expect_choice("kshim", false, &vmb_port_kshim);
	expect_choice("kshim:", false, &vmb_port_kshim);
	expect_choice("local:", true, &vmb_port_local);
	t_device_link(NULL);
	expect_choice("kshim:", true, &vmb_port_kshim);
}
END_TEST

/* ---- endpoints ---------------------------------------------------------- */

#define HANDLE 0x30004

/* The shim's side of one endpoint. */
struct opened {
	struct vmb_ctl_open asked;
	struct vmb_ctl_open_reply answer;
	void *area;
	size_t len;  /* of the area */
	int end;     /* of the file; -1: none */
	int refusal; /* of the ioctl */
	uint32_t handle;
	bool hang_up; /* after the reply, before the ioctl is answered */
	bool gone;
};

static void script_open(struct t_fake *fake)
{
	struct opened *o = fake->arg;
	struct t_request request = t_fake_expect(fake, VMB_CTL_OPEN);
	union vmb_ctl_any reply = {.open_reply = o->answer};

	o->asked = request.body.open;
	ck_assert_int_eq(request.fd, -1);
	t_fake_reply(fake, &request, &reply, sizeof(reply.open_reply), NULL, 0);
	if (!o->hang_up)
		return;
	t_fake_hang_up(fake);
	vmb_publish(&o->gone, true);
}

static int give_file(void *arg, const struct vmb_chardev_endpoint *asked)
{
	struct opened *o = arg;

	while (o->hang_up && !vmb_observe(&o->gone))
		sched_yield();
	o->handle = asked->handle;
	ck_assert_uint_eq(asked->reserved_20, 0);
	if (o->refusal)
		return o->refusal;
	return t_device_endpoint(o->area, o->len, &o->end);
}

static struct vmb_port *start_open(struct t_fake *fake, struct opened *o)
{
	size_t len = VMB_AREA_BYTES(&geometry);

	*o = (struct opened){
		.answer = {.handle = HANDLE, .id = 17, .session = 21},
		.area = mmap(NULL, len, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0),
		.len = len,
		.end = -1,
	};
	ck_assert_ptr_ne(o->area, MAP_FAILED);
	t_device_on_endpoint(give_file, o);
	t_fake_init(fake, script_open, o);
	return t_fake_open_port(fake);
}

static void finish_open(struct t_fake *fake, struct opened *o,
			struct vmb_port *port)
{
	t_fake_close_port(fake, port);
	t_device_on_endpoint(NULL, NULL);
	if (o->end >= 0)
		close(o->end);
	munmap(o->area, VMB_AREA_BYTES(&geometry));
}

static void open_endpoint(struct vmb_port *port, struct vmb_port_endpoint *pep)
{
	ck_assert_int_eq(
		vmb_port_kshim.endpoint_open(port, 17, 5, &geometry, pep), 0);
}

START_TEST(endpoint_is_one_file_and_its_area)
{
	struct vmb_port_endpoint pep;
	int before = t_count_fds();
	struct vmb_port *port;
	struct t_fake fake;
	struct opened o;

	port = start_open(&fake, &o);
	open_endpoint(port, &pep);
	ck_assert_uint_eq(o.asked.id, 17);
	ck_assert_uint_eq(o.asked.key, 5);
	ck_assert_mem_eq(&o.asked.geometry, &geometry, sizeof(geometry));
	ck_assert_uint_eq(o.handle, HANDLE);
	ck_assert_uint_eq(pep.handle, HANDLE);
	ck_assert_uint_eq(pep.id, 17);
	ck_assert_uint_eq(pep.session, 21);
	ck_assert_int_eq(pep.wait_fd, pep.kick_fd);
	((uint8_t *)o.area)[o.len - 1] = 7;
	ck_assert_uint_eq(((uint8_t *)pep.area)[o.len - 1], 7);
	vmb_port_kshim.endpoint_close(port, &pep);
	ck_assert_int_eq(pep.wait_fd, -1);
	ck_assert_int_eq(pep.kick_fd, -1);
	vmb_port_kshim.endpoint_close(port, &pep); /* nothing happens */
	finish_open(&fake, &o, port);
	ck_assert_int_eq(fake.closes, 1);
	ck_assert_uint_eq(fake.closed_handle, HANDLE);
	ck_assert_int_eq(t_count_fds(), before);
}
END_TEST

static void spoil_answer(struct opened *o)
{
	o->answer = t_fake_bad_opens[0];
	o->answer.handle = HANDLE;
	o->answer.session = 0;
}

static void refuse_file(struct opened *o)
{
	o->refusal = -ENOENT; /* and yet the daemon is there */
}

static void refuse_file_as_gone(struct opened *o)
{
	o->refusal = -ENOENT;
	o->hang_up = true;
}

static void run_out_of_files(struct opened *o)
{
	o->refusal = -EMFILE;
}

static void shrink_area(struct opened *o)
{
	o->len -= 4096;
}

static const struct {
	void (*spoil)(struct opened *o);
	int code, closes;
} spoilers[] = {
	{spoil_answer, -EPROTO, 1},	  {refuse_file, -EPROTO, 1},
	{refuse_file_as_gone, -EPIPE, 0}, {run_out_of_files, -EMFILE, 1},
	{shrink_area, -EINVAL, 1},
};

START_TEST(endpoint_that_cannot_be_used_is_given_back)
{
	struct vmb_port_endpoint pep = {.wait_fd = 77};
	int before = t_count_fds();
	struct vmb_port *port;
	struct t_fake fake;
	struct opened o;

	port = start_open(&fake, &o);
	spoilers[_i].spoil(&o);
	ck_assert_int_eq(vmb_port_kshim.endpoint_open(port, 17, 0, &geometry,
						      &pep),
			 spoilers[_i].code);
	ck_assert_int_eq(pep.wait_fd, 77); /* written on success only */
	finish_open(&fake, &o, port);
	ck_assert_int_eq(fake.closes, spoilers[_i].closes);
	ck_assert_int_eq(t_count_fds(), before);
}
END_TEST

START_TEST(endpoint_open_refuses_a_reply_that_cannot_be)
{
	struct vmb_port_endpoint pep;
	struct vmb_port *port;
	struct t_fake fake;
	struct opened o;

	port = start_open(&fake, &o);
	o.answer = t_fake_bad_opens[_i];
	ck_assert_int_eq(vmb_port_kshim.endpoint_open(port, 17, 0, &geometry,
						      &pep),
			 -EPROTO);
	ck_assert_uint_eq(o.handle, 0); /* no file was asked for */
	finish_open(&fake, &o, port);
	ck_assert_int_eq(fake.closes, 1);
}
END_TEST

static void notify(struct opened *o)
{
	uint64_t one = 1;

	ck_assert_int_eq(send(o->end, &one, sizeof(one), 0), sizeof(one));
}

START_TEST(wait_takes_a_notification_and_sees_the_end)
{
	struct vmb_port_endpoint pep;
	struct vmb_port *port;
	struct t_fake fake;
	struct opened o;
	pid_t child;

	port = start_open(&fake, &o);
	open_endpoint(port, &pep);
	ck_assert_int_eq(vmb_port_kshim.wait(&pep, 0), -ETIMEDOUT);
	ck_assert_int_eq(vmb_port_kshim.wait(&pep, 20), -ETIMEDOUT);
	for (int limit = -1; limit < 2; limit++) {
		notify(&o);
		ck_assert_int_eq(vmb_port_kshim.wait(&pep, limit), 0);
		ck_assert_int_eq(vmb_port_kshim.wait(&pep, 0), -ETIMEDOUT);
	}
	child = fork();
	if (!child) { /* while the parent sleeps, most likely */
		usleep(20000);
		notify(&o);
		_exit(0);
	}
	ck_assert_int_eq(vmb_port_kshim.wait(&pep, -1), 0);
	waitpid(child, NULL, 0);
	notify(&o); /* it was there before the end */
	close(o.end);
	o.end = -1;
	ck_assert_int_eq(vmb_port_kshim.wait(&pep, -1), 0);
	ck_assert_int_eq(vmb_port_kshim.wait(&pep, -1), -EPIPE);
	ck_assert_int_eq(vmb_port_kshim.wait(&pep, 1000), -EPIPE);
	ck_assert_int_eq(vmb_port_kshim.wait(&pep, 0), -EPIPE);
	vmb_port_kshim.kick(&pep); /* harmless */
	vmb_port_kshim.endpoint_close(port, &pep);
	finish_open(&fake, &o, port);
}
END_TEST

START_TEST(kick_is_one_write_that_never_waits)
{
	struct vmb_port_endpoint pep;
	struct vmb_port *port;
	uint64_t got;
	struct t_fake fake;
	struct opened o;

	port = start_open(&fake, &o);
	open_endpoint(port, &pep);
	vmb_port_kshim.kick(&pep);
	ck_assert_int_eq(recv(o.end, &got, sizeof(got), MSG_DONTWAIT),
			 sizeof(got));
	ck_assert_int_eq(recv(o.end, &got, sizeof(got), MSG_DONTWAIT), -1);
	for (int i = 0; i < 1000; i++) /* more than a socket holds */
		vmb_port_kshim.kick(&pep);
	vmb_port_kshim.endpoint_close(port, &pep);
	finish_open(&fake, &o, port);
}
END_TEST

static void on_alarm(int number)
{
	(void)number;
}

START_TEST(wait_ends_with_a_signal)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct vmb_port_endpoint pep;
	struct vmb_port *port;
	struct t_fake fake;
	struct opened o;

	port = start_open(&fake, &o);
	open_endpoint(port, &pep);
	sigaction(SIGALRM, &action, NULL);
	ualarm(20000, 20000); /* again and again: one may come too early */
	ck_assert_int_eq(vmb_port_kshim.wait(&pep, -1), -EINTR);
	ualarm(0, 0);
	vmb_port_kshim.endpoint_close(port, &pep);
	finish_open(&fake, &o, port);
}
END_TEST

/* In the child other memory may be where the area was in the parent. */
static int close_in_child(struct vmb_port *port, struct vmb_port_endpoint *pep)
{
	char *at = pep->area;
	int fds = t_count_fds();

	if (mmap(at, 4096, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		 0) != at)
		return 1; /* it was inherited */
	*at = 5;
	vmb_port_kshim.endpoint_close(port, pep);
	if (t_count_fds() != fds - 1)
		return 2;
	vmb_port_kshim.close(port);
	return *at == 5 ? 0 : 3; /* or SIGSEGV */
}

START_TEST(child_closes_the_file_and_leaves_its_memory_alone)
{
	struct vmb_port_endpoint pep;
	struct vmb_port *port;
	struct t_fake fake;
	struct opened o;
	int status;
	pid_t child;

	port = start_open(&fake, &o);
	open_endpoint(port, &pep);
	child = fork();
	if (!child)
		_exit(close_in_child(port, &pep));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(fake.closes, 0);
	notify(&o);
	ck_assert_int_eq(vmb_port_kshim.wait(&pep, -1), 0);
	vmb_port_kshim.endpoint_close(port, &pep);
	finish_open(&fake, &o, port);
	ck_assert_int_eq(fake.closes, 1);
}
END_TEST

/* ---- memory ------------------------------------------------------------- */

static const size_t alloc_sizes[] = {4096, 65536, 2u << 20, (5u << 20) + 4096};

START_TEST(allocated_memory_is_private_registered_and_aligned)
{
	size_t len = alloc_sizes[_i];
	struct t_registered r = {.key = KEY};
	struct vmb_port *port;
	struct t_fake fake;
	uint8_t sum = 0;
	uint64_t key;
	void *addr;

	t_fake_init(&fake, t_fake_script_register, &r);
	port = t_fake_open_port(&fake);
	ck_assert_int_eq(vmb_port_kshim.mem_alloc(port, len, &addr, &key), 0);
	ck_assert_uint_eq(key, KEY);
	ck_assert_uint_eq((uintptr_t)addr % (len >= 2u << 20 ? 2u << 20 : 4096),
			  0);
	for (size_t i = 0; i < len; i++)
		sum |= ((uint8_t *)addr)[i];
	ck_assert_uint_eq(sum, 0);
	memset(addr, 1, len);
	ck_assert_uint_eq(r.asked.kind, VMB_REGION_GRANT);
	ck_assert_uint_eq(r.asked.access, VMB_ACCESS_REMOTE_READ);
	ck_assert_uint_eq(r.asked.base, (uintptr_t)addr);
	ck_assert_uint_eq(r.asked.len, len);
	ck_assert_int_eq(r.fd, -1);
	vmb_port_kshim.mem_free(port, addr, len, key);
	t_fake_close_port(&fake, port);
	ck_assert_int_eq(fake.deregisters, 1);
	ck_assert_int_eq(msync(addr, 4096, MS_ASYNC), -1); /* unmapped */
}
END_TEST

static const struct {
	int status;
	uint64_t key;
	int code;
} no_memory[] = {
	{-EFBIG, KEY, -EFBIG}, {-EDQUOT, KEY, -EDQUOT}, {-ENOSPC, KEY, -ENOSPC},
	{0, 1, -EPROTO},       {0, 0, -EPROTO},
};

START_TEST(memory_that_is_not_registered_is_unmapped)
{
	struct t_registered r = {.key = no_memory[_i].key,
				 .status = no_memory[_i].status};
	struct vmb_port *port;
	struct t_fake fake;
	uint64_t key;
	void *addr = NULL;

	t_fake_init(&fake, t_fake_script_register, &r);
	port = t_fake_open_port(&fake);
	ck_assert_int_eq(vmb_port_kshim.mem_alloc(port, 4096, &addr, &key),
			 no_memory[_i].code);
	ck_assert_ptr_null(addr);
	ck_assert_int_eq(msync((void *)(uintptr_t)r.asked.base, 4096, MS_ASYNC),
			 -1);
	t_fake_close_port(&fake, port);
	ck_assert_int_eq(fake.deregisters, !no_memory[_i].status);
	if (!no_memory[_i].status)
		ck_assert_uint_eq(fake.deregistered, no_memory[_i].key);
}
END_TEST

START_TEST(register_names_our_addresses)
{
	t_fake_check_register(VMB_REGION_GRANT);
}
END_TEST

/* ---- the end, at each step ------------------------------------------------ */

static int open_some(struct vmb_port *port)
{
	struct vmb_port_endpoint pep;

	return vmb_port_kshim.endpoint_open(port, VMB_ID_ANY, 0, &geometry,
					    &pep);
}

static int alloc_some(struct vmb_port *port)
{
	uint64_t key;
	void *addr;

	return vmb_port_kshim.mem_alloc(port, 8192, &addr, &key);
}

static int deregister_some(struct vmb_port *port)
{
	return vmb_port_kshim.mem_deregister(port, KEY);
}

static int connect_some(struct vmb_port *port)
{
	uint32_t handle, session;

	return vmb_port_kshim.connect(port, 1, 2, 3, -1, &handle, &session);
}

static int look_up_some(struct vmb_port *port)
{
	struct vmb_port_identity who = {.nic_id = 1};

	return vmb_port_kshim.lookup(port, VMB_LOOKUP_NIC, 0, &who);
}

static int (*const steps[])(struct vmb_port *port) = {
	open_some, alloc_some, deregister_some, connect_some, look_up_some};

/* Before it is asked, and when it was and has not answered. */
static void script_end(struct t_fake *fake)
{
	char byte;

	if (fake->arg)
		ck_assert_int_eq(recv(fake->conn, &byte, 1, MSG_PEEK), 1);
	t_fake_hang_up(fake);
}

START_TEST(end_at_any_step_is_the_end_of_the_port)
{
	int asked = _i % 2, before = t_count_fds();
	struct t_fake fake;
	struct vmb_port *port;

	t_fake_init(&fake, asked ? script_end : script_hang_up,
		    asked ? &asked : NULL);
	port = t_fake_open_port(&fake);
	ck_assert_int_eq(steps[_i / 2](port), -EPIPE);
	ck_assert_int_eq(vmb_port_kshim.alive(port), -EPIPE);
	for (unsigned i = 0; i < vmb_array_size(steps); i++)
		ck_assert_int_eq(steps[i](port), -EPIPE);
	t_fake_close_port(&fake, port);
	ck_assert_int_eq(t_count_fds(), before);
}
END_TEST

/* ---- suite -------------------------------------------------------------- */

static TCase *open_case(void)
{
	TCase *c = tcase_create("open");

	tcase_add_test(c, open_offers_nothing_and_names_no_domain);
	tcase_add_loop_test(c, open_refuses_features_that_cannot_be_there, 0,
			    vmb_array_size(features));
	tcase_add_loop_test(c, open_says_what_to_do_next, 0,
			    vmb_array_size(refusals));
	tcase_add_test(c, open_without_a_device_says_so);
	tcase_add_test(c, open_writes_to_no_ordinary_file);
	tcase_add_test(c, open_refuses_a_protection_domain);
	tcase_add_test(c, port_is_the_one_that_this_machine_has);
	tcase_add_test(c, port_is_the_one_that_the_environment_names);
	return c;
}

static TCase *endpoint_case(void)
{
	TCase *c = tcase_create("endpoint");

	tcase_add_test(c, endpoint_is_one_file_and_its_area);
	tcase_add_loop_test(c, endpoint_that_cannot_be_used_is_given_back, 0,
			    vmb_array_size(spoilers));
	tcase_add_loop_test(c, endpoint_open_refuses_a_reply_that_cannot_be, 0,
			    T_FAKE_BAD_OPENS);
	tcase_add_test(c, wait_takes_a_notification_and_sees_the_end);
	tcase_add_test(c, kick_is_one_write_that_never_waits);
	tcase_add_test(c, wait_ends_with_a_signal);
	tcase_add_test(c, child_closes_the_file_and_leaves_its_memory_alone);
	return c;
}

static TCase *memory_case(void)
{
	TCase *c = tcase_create("memory");

	tcase_add_loop_test(c,
			    allocated_memory_is_private_registered_and_aligned,
			    0, vmb_array_size(alloc_sizes));
	tcase_add_loop_test(c, memory_that_is_not_registered_is_unmapped, 0,
			    vmb_array_size(no_memory));
	tcase_add_test(c, register_names_our_addresses);
	return c;
}

static Suite *port_suite(void)
{
	Suite *s = suite_create("port_kshim");
	TCase *end = tcase_create("end");

	tcase_add_loop_test(end, end_at_any_step_is_the_end_of_the_port, 0,
			    2 * vmb_array_size(steps));
	suite_add_tcase(s, open_case());
	suite_add_tcase(s, endpoint_case());
	suite_add_tcase(s, memory_case());
	suite_add_tcase(s, end);
	return s;
}

int main(void)
{
	t_fake_port = &vmb_port_kshim;
	return t_run(port_suite());
}
