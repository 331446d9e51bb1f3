// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_port_local.c - the local port against a daemon that is played by the
 * test: what it sends, what it maps, what it makes of the answers. How
 * replies find their requests is in test_channel.c.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/paths.h"
#include "base/util.h"
#include "port/calls.h"
#include "port/port.h"
#include "support/run.h"
#include "unit/fake_daemon.h"

#define KEY 0x0123456700020001ull
#define SEALED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static const struct vmb_geometry geometry = {
	.eq_slots = 128, .rx_bytes = 8192, .tx_bytes = 4096};

static void assert_sealed(int fd, size_t len)
{
	struct stat st;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq((size_t)st.st_size, len);
	ck_assert_int_eq(fcntl(fd, F_GET_SEALS), SEALED);
}

/* ---- open --------------------------------------------------------------- */

START_TEST(open_says_hello_and_keeps_the_answer)
{
	struct t_fake fake;
	struct vmb_port *port;

	t_fake_init(&fake, NULL, NULL);
	t_fake_start(&fake);
	ck_assert_int_eq(vmb_port_local.open(fake.path, "db.front", &port), 0);
	ck_assert_str_eq(port->hello.name, "fake:0");
	ck_assert_uint_eq(port->hello.nic_id, 0x020000000001);
	ck_assert_int_eq(vmb_port_local.alive(port), 0);
	t_fake_close_port(&fake, port);
	ck_assert_str_eq(fake.asked.domain, "db.front");
	ck_assert_uint_eq(fake.asked.abi_major, VMB_ABI_MAJOR);
	ck_assert_uint_eq(fake.asked.features & ~VMB_FEATURES_ALL, 0);
	ck_assert(fake.asked.features & VMB_FEATURE_PROCESS_MEMORY);
	ck_assert_uint_eq(fake.asked.reserved_a0, 0);
}
END_TEST

static void spoil_major(struct vmb_ctl_hello_reply *hello)
{
	hello->abi_major++;
}

static void spoil_minor(struct vmb_ctl_hello_reply *hello)
{
	hello->abi_minor = VMB_ABI_MINOR + 1;
}

static void spoil_features(struct vmb_ctl_hello_reply *hello)
{
	hello->features |= 1ull << 40;
}

static void spoil_nic_zero(struct vmb_ctl_hello_reply *hello)
{
	hello->nic_id = 0;
}

static void spoil_nic_wide(struct vmb_ctl_hello_reply *hello)
{
	hello->nic_id = 1ull << 48;
}

static void spoil_name(struct vmb_ctl_hello_reply *hello)
{
	memset(hello->name, 'x', sizeof(hello->name));
}

static void (*const spoilers[])(struct vmb_ctl_hello_reply *hello) = {
	spoil_major,	spoil_minor,	spoil_features,
	spoil_nic_zero, spoil_nic_wide, spoil_name,
};

START_TEST(open_refuses_a_hello_that_cannot_be)
{
	struct vmb_port *port;
	struct t_fake fake;

	t_fake_init(&fake, NULL, NULL);
	spoilers[_i](&fake.hello);
	t_fake_start(&fake);
	ck_assert_int_eq(vmb_port_local.open(fake.path, NULL, &port), -EPROTO);
	t_fake_stop(&fake);
}
END_TEST

START_TEST(open_passes_on_the_refusal)
{
	struct vmb_port *port;
	struct t_fake fake;
	int before = t_count_fds();

	t_fake_init(&fake, NULL, NULL);
	fake.hello.head.status = -EACCES;
	t_fake_start(&fake);
	ck_assert_int_eq(vmb_port_local.open(fake.path, NULL, &port), -EACCES);
	t_fake_stop(&fake);
	ck_assert_int_eq(t_count_fds(), before);
}
END_TEST

START_TEST(open_without_daemon_says_so)
{
	char path[] = "/tmp/vmb-none-XXXXXX";
	struct vmb_port *port;
	int fd = mkstemp(path);

	ck_assert_int_eq(vmb_port_local.open(path, NULL, &port), -ECONNREFUSED);
	close(fd);
	unlink(path);
	ck_assert_int_eq(vmb_port_local.open(path, NULL, &port), -ENOENT);
}
END_TEST

START_TEST(open_refuses_names_that_do_not_fit)
{
	char longer[300];
	struct vmb_port *port;

	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = 0;
	ck_assert_int_eq(vmb_port_local.open("/x", "a b", &port), -EINVAL);
	ck_assert_int_eq(vmb_port_local.open("/x", "a/b", &port), -EINVAL);
	ck_assert_int_eq(vmb_port_local.open("/x", longer + 219, &port),
			 -EINVAL);
	ck_assert_int_eq(vmb_port_local.open(longer, NULL, &port),
			 -ENAMETOOLONG);
}
END_TEST

/* ---- endpoints ---------------------------------------------------------- */

struct opened {
	struct vmb_ctl_open asked;
	int area, kick, notes; /* the daemon's ends */
};

static void answer_open(struct t_fake *fake, struct vmb_ctl_open_reply answer)
{
	struct opened *o = fake->arg;
	struct t_request request = t_fake_expect(fake, VMB_CTL_OPEN);
	union vmb_ctl_any reply = {.open_reply = answer};
	int notes[2];

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, notes), 0);
	o->asked = request.body.open;
	o->area = request.fd;
	o->kick = eventfd(0, EFD_CLOEXEC);
	o->notes = notes[1];
	t_fake_reply(fake, &request, &reply, sizeof(reply.open_reply),
		     (int[]){o->kick, notes[0]}, 2);
	close(notes[0]);
}

static void script_open(struct t_fake *fake)
{
	answer_open(fake, (struct vmb_ctl_open_reply){
				  .handle = 0x30004, .id = 17, .session = 21});
}

static void close_opened(struct opened *o)
{
	close(o->area);
	close(o->kick);
	if (o->notes >= 0)
		close(o->notes);
}

static void open_endpoint(struct t_fake *fake, struct opened *o,
			  struct vmb_port **port, struct vmb_port_endpoint *pep)
{
	t_fake_init(fake, script_open, o);
	*port = t_fake_open_port(fake);
	ck_assert_int_eq(
		vmb_port_local.endpoint_open(*port, 17, 5, &geometry, pep), 0);
}

START_TEST(endpoint_area_is_shared_and_sealed)
{
	size_t len = VMB_AREA_BYTES(&geometry);
	struct vmb_port_endpoint pep;
	struct vmb_port *port;
	struct t_fake fake;
	struct opened o;
	uint8_t *theirs;

	open_endpoint(&fake, &o, &port, &pep);
	ck_assert_uint_eq(pep.handle, 0x30004);
	ck_assert_uint_eq(pep.id, 17);
	ck_assert_uint_eq(pep.session, 21);
	ck_assert_uint_eq(o.asked.id, 17);
	ck_assert_uint_eq(o.asked.key, 5);
	ck_assert_mem_eq(&o.asked.geometry, &geometry, sizeof(geometry));
	assert_sealed(o.area, len);
	theirs = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, o.area, 0);
	for (size_t i = 0; i < len; i++)
		ck_assert_uint_eq(((uint8_t *)pep.area)[i], 0);
	theirs[len - 1] = 7;
	ck_assert_uint_eq(((uint8_t *)pep.area)[len - 1], 7);
	munmap(theirs, len);
	vmb_port_local.endpoint_close(port, &pep);
	vmb_port_local.endpoint_close(port, &pep);
	t_fake_close_port(&fake, port);
	close_opened(&o);
	ck_assert_int_eq(fake.closes, 1);
	ck_assert_uint_eq(fake.closed_handle, 0x30004);
}
END_TEST

START_TEST(endpoint_close_leaves_nothing_open)
{
	struct vmb_port_endpoint pep;
	struct vmb_port *port;
	struct t_fake fake;
	struct opened o;
	int before = t_count_fds();

	open_endpoint(&fake, &o, &port, &pep);
	vmb_port_local.endpoint_close(port, &pep);
	t_fake_close_port(&fake, port);
	close_opened(&o);
	ck_assert_int_eq(t_count_fds(), before);
}
END_TEST

static void script_bad_open(struct t_fake *fake)
{
	struct opened *o = fake->arg;

	answer_open(fake, t_fake_bad_opens[o->asked.id]);
}

START_TEST(endpoint_open_refuses_a_reply_that_cannot_be)
{
	struct vmb_port_endpoint pep;
	struct opened o = {.asked.id = (uint32_t)_i};
	struct vmb_port *port;
	struct t_fake fake;
	int before = t_count_fds();

	t_fake_init(&fake, script_bad_open, &o);
	port = t_fake_open_port(&fake);
	ck_assert_int_eq(vmb_port_local.endpoint_open(port, 17, 0, &geometry,
						      &pep),
			 -EPROTO);
	t_fake_close_port(&fake, port);
	close_opened(&o);
	ck_assert_int_eq(fake.closes, 1);
	ck_assert_int_eq(t_count_fds(), before);
}
END_TEST

START_TEST(kick_adds_one_and_never_blocks)
{
	struct vmb_port_endpoint pep;
	struct vmb_port *port;
	struct t_fake fake;
	uint64_t count = 0;
	struct opened o;

	open_endpoint(&fake, &o, &port, &pep);
	vmb_port_local.kick(&pep);
	vmb_port_local.kick(&pep);
	ck_assert_int_eq(read(o.kick, &count, sizeof(count)), sizeof(count));
	ck_assert_uint_eq(count, 2);
	count = UINT64_MAX - 1; /* full: one more would block */
	ck_assert_int_eq(write(o.kick, &count, sizeof(count)), sizeof(count));
	vmb_port_local.kick(&pep);
	vmb_port_local.endpoint_close(port, &pep);
	t_fake_close_port(&fake, port);
	close_opened(&o);
}
END_TEST

START_TEST(wait_swallows_notifications_and_sees_the_end)
{
	struct vmb_port_endpoint pep;
	struct vmb_port *port;
	struct t_fake fake;
	struct opened o;

	open_endpoint(&fake, &o, &port, &pep);
	ck_assert_int_eq(vmb_port_local.wait(&pep, 0), -ETIMEDOUT);
	ck_assert_int_eq(vmb_port_local.wait(&pep, 20), -ETIMEDOUT);
	for (int limit = -1; limit < 2; limit++) {
		for (int i = 0; i < 3; i++)
			ck_assert_int_eq(write(o.notes, "!", 1), 1);
		ck_assert_int_eq(vmb_port_local.wait(&pep, limit), 0);
		ck_assert_int_eq(vmb_port_local.wait(&pep, 0), -ETIMEDOUT);
	}
	close(o.notes);
	o.notes = -1;
	ck_assert_int_eq(vmb_port_local.wait(&pep, -1), -EPIPE);
	ck_assert_int_eq(vmb_port_local.wait(&pep, 1000), -EPIPE);
	vmb_port_local.endpoint_close(port, &pep);
	t_fake_close_port(&fake, port);
	close_opened(&o);
}
END_TEST

/* What we sent the wrong way, and nobody read, resets the socket at the end. */
START_TEST(end_of_a_daemon_that_left_something_unread_is_an_end)
{
	struct vmb_port_endpoint pep;
	struct vmb_port *port;
	struct t_fake fake;
	struct opened o;

	open_endpoint(&fake, &o, &port, &pep);
	ck_assert_int_eq(write(pep.wait_fd, "?", 1), 1);
	close(o.notes);
	o.notes = -1;
	ck_assert_int_eq(vmb_port_local.wait(&pep, 1000), -EPIPE);
	vmb_port_local.endpoint_close(port, &pep);
	t_fake_close_port(&fake, port);
	close_opened(&o);
}
END_TEST

START_TEST(wait_without_limit_sleeps_until_it_is_told)
{
	struct vmb_port_endpoint pep;
	struct vmb_port *port;
	struct t_fake fake;
	struct opened o;
	pid_t child;

	open_endpoint(&fake, &o, &port, &pep);
	child = fork();
	if (!child) {
		usleep(20000);
		_exit(write(o.notes, "!", 1) != 1);
	}
	ck_assert_int_eq(vmb_port_local.wait(&pep, -1), 0);
	waitpid(child, NULL, 0);
	vmb_port_local.endpoint_close(port, &pep);
	t_fake_close_port(&fake, port);
	close_opened(&o);
}
END_TEST

/* ---- memory ------------------------------------------------------------- */

static const size_t alloc_sizes[] = {4096, 65536, 2u << 20, (5u << 20) + 4096};

START_TEST(allocated_memory_is_shared_sealed_and_aligned)
{
	size_t len = alloc_sizes[_i];
	struct t_registered r = {.key = KEY};
	struct vmb_port *port;
	struct t_fake fake;
	uint8_t *theirs;
	uint64_t key;
	void *addr;

	t_fake_init(&fake, t_fake_script_register, &r);
	port = t_fake_open_port(&fake);
	ck_assert_int_eq(vmb_port_local.mem_alloc(port, len, &addr, &key), 0);
	ck_assert_uint_eq(key, KEY);
	ck_assert_uint_eq((uintptr_t)addr % (len >= 2u << 20 ? 2u << 20 : 4096),
			  0);
	ck_assert_uint_eq(r.asked.kind, VMB_REGION_MEMFD);
	ck_assert_uint_eq(r.asked.access, VMB_ACCESS_REMOTE_READ);
	ck_assert_uint_eq(r.asked.base, 0);
	ck_assert_uint_eq(r.asked.len, len);
	assert_sealed(r.fd, len);
	theirs = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, 0);
	theirs[len - 1] = 9;
	ck_assert_uint_eq(((uint8_t *)addr)[0], 0);
	ck_assert_uint_eq(((uint8_t *)addr)[len - 1], 9);
	munmap(theirs, len);
	close(r.fd);
	vmb_port_local.mem_free(port, addr, len, key);
	t_fake_close_port(&fake, port);
	ck_assert_int_eq(fake.deregisters, 1);
	ck_assert_int_eq(msync(addr, 4096, MS_ASYNC), -1); /* unmapped */
}
END_TEST

START_TEST(allocated_memory_can_be_mapped_until_it_is_freed)
{
	struct vmb_port_lane self = {.process = getpid()};
	struct t_registered r = {.key = KEY};
	struct vmb_lane_file what;
	struct vmb_port *port;
	struct t_fake fake;
	uint64_t key;
	void *addr, *base;
	struct stat st;
	size_t len;

	t_fake_init(&fake, t_fake_script_register, &r);
	port = t_fake_open_port(&fake);
	self.process_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	ck_assert_int_eq(vmb_port_local.mem_alloc(port, 8192, &addr, &key), 0);
	vmb_port_local.mem_describe(port, addr, &what);
	ck_assert_uint_eq(what.start, (uintptr_t)addr);
	ck_assert_int_eq(
		vmb_port_local.lane_map(&self, &what, 8192, &base, &len), 0);
	ck_assert_uint_eq(len, 8192);
	((uint8_t *)base)[8191] = 7;
	ck_assert_uint_eq(((uint8_t *)addr)[8191], 7);
	((uint8_t *)addr)[0] = 8;
	ck_assert_uint_eq(((uint8_t *)base)[0], 8);

	vmb_port_local.mem_free(port, addr, 8192, key);
	ck_assert_uint_eq(((uint8_t *)base)[8191], 0);
	ck_assert_int_eq(fstat(r.fd, &st), 0); /* that page is new */
	ck_assert_int_eq(st.st_blocks, 4096 / 512);
	vmb_port_local.mem_describe(port, addr, &what);
	ck_assert_uint_eq(what.file, 0);
	vmb_port_local.lane_unmap(base, len);
	ck_assert_int_eq(msync(base, 4096, MS_ASYNC), -1);
	close(r.fd);
	close(self.process_fd);
	t_fake_close_port(&fake, port);
}
END_TEST

static int memfd_with(unsigned flags, int seals, off_t len)
{
	int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

	if (fd < 0)
		return fd;
	ck_assert_int_eq(ftruncate(fd, len), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

/* What a process may say that its memory is; 9: it is. */
static int make_file(unsigned i)
{
	char path[] = "/tmp/vmb-test-XXXXXX";
	int fd[2] = {-1, -1};

	switch (i) {
	case 0:
		return memfd_with(0, SEALED & ~F_SEAL_SHRINK, 4096);
	case 1:
		return memfd_with(0, SEALED & ~F_SEAL_GROW, 4096);
	case 2:
		return memfd_with(0, SEALED & ~F_SEAL_SEAL, 4096);
	case 3:
		return memfd_with(0, SEALED | F_SEAL_WRITE, 4096);
	case 4:
		return memfd_with(0, SEALED, 0);
	case 5: /* if the machine has none, nobody has */
		return memfd_with(MFD_HUGETLB, SEALED, 2 << 20);
	case 6:
		ck_assert_int_eq(pipe(fd), 0);
		close(fd[1]);
		return fd[0];
	case 7:
		fd[0] = mkstemp(path);
		unlink(path);
		ck_assert_int_eq(ftruncate(fd[0], 4096), 0);
		return fd[0];
	case 8:
		return eventfd(0, 0);
	case 10:
		return memfd_with(0, SEALED, 4097);
	case 11:
		return memfd_with(0, SEALED, 12288);
	case 12:
		return memfd_with(0, SEALED | F_SEAL_FUTURE_WRITE, 4096);
	default:
		return memfd_with(0, SEALED, 4096);
	}
}

START_TEST(what_is_not_sealed_memory_is_not_mapped)
{
	struct vmb_port_lane self = {.process = getpid()};
	struct vmb_lane_file what;
	struct stat st = {0};
	void *base = NULL;
	size_t len = 0;
	int fd, rc;

	self.process_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	fd = make_file((unsigned)_i);
	fstat(fd, &st);
	what = (struct vmb_lane_file){.file = st.st_ino, .fd = (uint32_t)fd};
	rc = vmb_port_local.lane_map(&self, &what, 8192, &base, &len);
	ck_assert_int_eq(rc, _i == 9 ? 0 : _i == 11 ? -EFBIG : -ESTALE);
	if (!rc) {
		ck_assert_uint_eq(len, 4096);
		vmb_port_local.lane_unmap(base, len);
		what.file++;
		ck_assert_int_eq(vmb_port_local.lane_map(&self, &what, 8192,
							 &base, &len),
				 -ESTALE);
	}
	close(fd);
	close(self.process_fd);
}
END_TEST

START_TEST(key_of_nothing_is_refused_and_given_back)
{
	struct t_registered r = {.key = 1};
	struct vmb_port *port;
	struct t_fake fake;
	uint64_t key;
	void *addr;

	t_fake_init(&fake, t_fake_script_register, &r);
	port = t_fake_open_port(&fake);
	ck_assert_int_eq(vmb_port_local.mem_alloc(port, 4096, &addr, &key),
			 -EPROTO);
	close(r.fd);
	t_fake_close_port(&fake, port);
	/* whatever it means: the memory is not its any more */
	ck_assert_int_eq(fake.deregisters, 1);
	ck_assert_uint_eq(fake.deregistered, 1);
}
END_TEST

START_TEST(too_much_memory_is_an_error)
{
	struct vmb_port *port;
	struct t_fake fake;
	uint64_t key;
	void *addr;

	t_fake_init(&fake, NULL, NULL);
	port = t_fake_open_port(&fake);
	ck_assert_int_eq(vmb_port_local.mem_alloc(port, SIZE_MAX - 4095, &addr,
						  &key),
			 -ENOMEM);
	ck_assert_int_eq(vmb_port_local.mem_alloc(port, 1ull << 60, &addr,
						  &key),
			 -ENOMEM);
	t_fake_close_port(&fake, port);
}
END_TEST

START_TEST(register_names_our_addresses)
{
	t_fake_check_register(VMB_REGION_PROCESS);
}
END_TEST

/* Inside; up to the end; past the end; and after it was freed. */
static const struct {
	size_t at, len;
	bool of_file;
} parts[] = {
	{5, 100, true}, {8191, 1, true}, {8191, 2, false}, {5, 100, false}};

#define PARTS vmb_array_size(parts)

struct many {
	struct t_registered all;
	struct t_registered of[PARTS];
};

static void script_many(struct t_fake *fake)
{
	union vmb_ctl_any reply = {0};
	struct many *m = fake->arg;
	struct t_request request;

	fake->arg = &m->all;
	t_fake_script_register(fake);
	for (unsigned i = 0; i < PARTS; i++) {
		if (i == PARTS - 1) {
			request = t_fake_expect(fake, VMB_CTL_DEREGISTER);
			t_fake_reply(fake, &request, &reply, sizeof(reply.head),
				     NULL, 0);
		}
		fake->arg = &m->of[i];
		t_fake_script_register(fake);
	}
}

static void assert_same_file(int a, int b)
{
	struct stat x, y;

	ck_assert_int_eq(fstat(a, &x) | fstat(b, &y), 0);
	ck_assert(x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

static void check_part(const struct t_registered *r, unsigned i, uintptr_t addr,
		       int file)
{
	bool of_file = parts[i].of_file;

	ck_assert_uint_eq(r->asked.kind,
			  of_file ? VMB_REGION_MEMFD : VMB_REGION_PROCESS);
	ck_assert_uint_eq(r->asked.access, VMB_ACCESS_REMOTE_READ);
	ck_assert_uint_eq(r->asked.base, parts[i].at + (of_file ? 0 : addr));
	ck_assert_uint_eq(r->asked.len, parts[i].len);
	ck_assert(of_file == (r->fd >= 0));
	if (of_file) {
		assert_same_file(r->fd, file);
		close(r->fd);
	}
}

START_TEST(part_of_allocated_memory_is_registered_as_such)
{
	struct many m = {.all.key = KEY};
	int before = t_count_fds();
	struct vmb_port *port;
	struct t_fake fake;
	uint64_t key, part;
	void *p;

	t_fake_init(&fake, script_many, &m);
	port = t_fake_open_port(&fake);
	ck_assert_int_eq(vmb_port_local.mem_alloc(port, 8192, &p, &key), 0);
	for (unsigned i = 0; i < PARTS; i++) {
		m.of[i].key = KEY + 1;
		if (i == PARTS - 1)
			vmb_port_local.mem_free(port, p, 8192, key);
		ck_assert_int_eq(vmb_port_local.mem_register(
					 port, (char *)p + parts[i].at,
					 parts[i].len, VMB_ACCESS_REMOTE_READ,
					 &part),
				 0);
		ck_assert_uint_eq(part, KEY + 1);
	}
	t_fake_close_port(&fake, port);
	for (unsigned i = 0; i < PARTS; i++)
		check_part(&m.of[i], i, (uintptr_t)p, m.all.fd);
	close(m.all.fd);
	ck_assert_int_eq(t_count_fds(), before);
}
END_TEST

START_TEST(register_needs_the_feature)
{
	struct vmb_port *port;
	struct t_fake fake;
	uint64_t key;

	t_fake_init(&fake, NULL, NULL);
	fake.hello.features = 0;
	port = t_fake_open_port(&fake);
	ck_assert_int_eq(vmb_port_local.mem_register(port, &fake, 8,
						     VMB_ACCESS_ALL, &key),
			 -EOPNOTSUPP);
	t_fake_close_port(&fake, port);
}
END_TEST

/* ---- names -------------------------------------------------------------- */

static void script_lookup(struct t_fake *fake)
{
	struct vmb_ctl_lookup *asked = fake->arg;

	for (__u32 kind = VMB_LOOKUP_NAME; kind <= VMB_LOOKUP_HANDLE; kind++) {
		struct t_request request = t_fake_expect(fake, VMB_CTL_LOOKUP);
		union vmb_ctl_any reply = {.lookup = {.kind = kind,
						      .nic_id = 0xabc,
						      .id = 4,
						      .session = 6,
						      .name = "far:1"}};

		asked[kind] = request.body.lookup;
		t_fake_reply(fake, &request, &reply, sizeof(reply.lookup), NULL,
			     0);
	}
}

START_TEST(lookup_asks_and_fills_what_its_kind_says)
{
	struct vmb_ctl_lookup asked[VMB_LOOKUP_HANDLE + 1];
	struct vmb_port_identity who = {.name = "far"};
	struct vmb_port *port;
	struct t_fake fake;

	t_fake_init(&fake, script_lookup, asked);
	port = t_fake_open_port(&fake);
	ck_assert_int_eq(vmb_port_local.lookup(port, VMB_LOOKUP_NAME, 0, &who),
			 0);
	ck_assert_uint_eq(who.nic_id, 0xabc);
	ck_assert_str_eq(who.name, "far");
	ck_assert_int_eq(vmb_port_local.lookup(port, VMB_LOOKUP_NIC, 0, &who),
			 0);
	ck_assert_str_eq(who.name, "far:1");
	ck_assert_int_eq(vmb_port_local.lookup(port, VMB_LOOKUP_HANDLE, 0x50001,
					       &who),
			 0);
	ck_assert_uint_eq(who.id, 4);
	ck_assert_uint_eq(who.session, 6);
	ck_assert_int_eq(vmb_port_local.lookup(port, 9, 0, &who), -EINVAL);
	memset(who.name, 'x', sizeof(who.name));
	ck_assert_int_eq(vmb_port_local.lookup(port, VMB_LOOKUP_NAME, 0, &who),
			 -EINVAL);
	t_fake_close_port(&fake, port);
	ck_assert_str_eq(asked[VMB_LOOKUP_NAME].name, "far");
	ck_assert_uint_eq(asked[VMB_LOOKUP_NIC].nic_id, 0xabc);
	ck_assert_uint_eq(asked[VMB_LOOKUP_NIC].name[0], 0);
	ck_assert_uint_eq(asked[VMB_LOOKUP_HANDLE].handle, 0x50001);
}
END_TEST

/* ---- the choice of a port ----------------------------------------------- */

START_TEST(port_is_chosen_by_the_environment)
{
	struct vmb_port *port;
	struct t_fake fake;
	char text[100];

	t_fake_init(&fake, NULL, NULL);
	t_fake_start(&fake);
	snprintf(text, sizeof(text), "local:%s", fake.path);
	setenv("VMB_PORT", text, 1);
	setenv("VMB_DOMAIN", "joined", 1);
	ck_assert_int_eq(vmb_port_open(&port), 0);
	ck_assert_ptr_eq(port->ops, &vmb_port_local);
	t_fake_close_port(&fake, port);
	ck_assert_str_eq(fake.asked.domain, "joined");
}
END_TEST

START_TEST(port_without_text_uses_the_default_socket)
{
	struct vmb_port *port;
	struct t_fake fake;

	t_fake_init(&fake, NULL, NULL);
	t_fake_start(&fake);
	setenv("VMB_SOCKET", fake.path, 1);
	unsetenv("VMB_PORT");
	ck_assert_int_eq(vmb_port_open(&port), 0);
	t_fake_close_port(&fake, port);
}
END_TEST

START_TEST(port_refuses_what_it_does_not_know)
{
	struct vmb_port *port;

	setenv("VMB_PORT", "localhost", 1);
	ck_assert_int_eq(vmb_port_open(&port), -EINVAL);
	setenv("VMB_PORT", "infiniband:0", 1);
	ck_assert_int_eq(vmb_port_open(&port), -EINVAL);
	setenv("VMB_PORT", "kshims", 1);
	ck_assert_int_eq(vmb_port_open(&port), -EINVAL);
}
END_TEST

static int refuse_open(const char *where, const char *domain,
		       struct vmb_port **port)
{
	(void)where;
	(void)domain;
	(void)port;
	return -ENOTTY;
}

START_TEST(port_override_comes_first)
{
	static const struct vmb_port_ops ops = {.open = refuse_open};
	struct vmb_port *port;

	setenv("VMB_PORT", "nonsense", 1);
	vmb_port_override(&ops);
	ck_assert_int_eq(vmb_port_open(&port), -ENOTTY);
	vmb_port_override(NULL);
	ck_assert_int_eq(vmb_port_open(&port), -EINVAL);
}
END_TEST

START_TEST(default_socket_follows_the_environment)
{
	char path[108];

	setenv("VMB_SOCKET", "/a/b", 1);
	ck_assert_int_eq(vmb_default_socket(path, sizeof(path)), 0);
	ck_assert_str_eq(path, "/a/b");
	ck_assert_int_eq(vmb_default_socket(path, 4), -ENAMETOOLONG);
	setenv("VMB_SOCKET", "", 1);
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	ck_assert_int_eq(vmb_default_socket(path, sizeof(path)), 0);
	if (geteuid() == 0)
		ck_assert_str_eq(path, "/run/vmbypass/vmbd.sock");
	else
		ck_assert_str_eq(path, "/run/user/7/vmbypass/vmbd.sock");
}
END_TEST

static TCase *endpoint_case(void)
{
	TCase *c = tcase_create("endpoint");

	tcase_add_test(c, endpoint_area_is_shared_and_sealed);
	tcase_add_test(c, endpoint_close_leaves_nothing_open);
	tcase_add_loop_test(c, endpoint_open_refuses_a_reply_that_cannot_be, 0,
			    T_FAKE_BAD_OPENS);
	tcase_add_test(c, kick_adds_one_and_never_blocks);
	tcase_add_test(c, wait_swallows_notifications_and_sees_the_end);
	tcase_add_test(c, end_of_a_daemon_that_left_something_unread_is_an_end);
	tcase_add_test(c, wait_without_limit_sleeps_until_it_is_told);
	return c;
}

static TCase *memory_case(void)
{
	TCase *c = tcase_create("memory");

	tcase_add_loop_test(c, allocated_memory_is_shared_sealed_and_aligned, 0,
			    vmb_array_size(alloc_sizes));
	tcase_add_test(c, allocated_memory_can_be_mapped_until_it_is_freed);
	tcase_add_loop_test(c, what_is_not_sealed_memory_is_not_mapped, 0, 13);
	tcase_add_test(c, key_of_nothing_is_refused_and_given_back);
	tcase_add_test(c, too_much_memory_is_an_error);
	tcase_add_test(c, register_names_our_addresses);
	tcase_add_test(c, part_of_allocated_memory_is_registered_as_such);
	tcase_add_test(c, register_needs_the_feature);
	return c;
}

static Suite *port_suite(void)
{
	Suite *s = suite_create("port_local");
	TCase *open = tcase_create("open");
	TCase *names = tcase_create("names");
	TCase *choice = tcase_create("choice");

	tcase_add_test(open, open_says_hello_and_keeps_the_answer);
	tcase_add_loop_test(open, open_refuses_a_hello_that_cannot_be, 0,
			    vmb_array_size(spoilers));
	tcase_add_test(open, open_passes_on_the_refusal);
	tcase_add_test(open, open_without_daemon_says_so);
	tcase_add_test(open, open_refuses_names_that_do_not_fit);
	tcase_add_test(names, lookup_asks_and_fills_what_its_kind_says);
	tcase_add_test(choice, port_is_chosen_by_the_environment);
	tcase_add_test(choice, port_without_text_uses_the_default_socket);
	tcase_add_test(choice, port_refuses_what_it_does_not_know);
	tcase_add_test(choice, port_override_comes_first);
	tcase_add_test(choice, default_socket_follows_the_environment);
	suite_add_tcase(s, open);
	suite_add_tcase(s, endpoint_case());
	suite_add_tcase(s, memory_case());
	suite_add_tcase(s, names);
	suite_add_tcase(s, choice);
	return s;
}

int main(void)
{
	return t_run(port_suite());
}
