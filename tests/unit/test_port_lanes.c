// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_port_lanes.c - lanes of a port against a daemon that is played by the
 * test: whose memory it is, which answers are refused, and what is then given
 * back: test_port_lanes [PORT]. What is done with a lane is in test_lane.c.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/log.h"
#include "base/util.h"
#include "port/port.h"
#include "port/shared.h"
#include "support/skip.h"
#include "unit/fake_daemon.h"

#define OWN 0x30004u
#define PEER 0x50006u
#define TICKET 0x0123456789abcdefull
#define SLOTS 64u
#define BYTES VMB_LANE_BYTES_MIN
#define LEN VMB_LANE_LEN((size_t)SLOTS, BYTES)

/* ---- the daemon ----------------------------------------------------------- */

/* Answers so many requests, one after the other, all for one lane. */
struct lanes {
	unsigned requests;
	void (*spoil)(struct vmb_ctl_lane *reply);
	uint32_t guest;		  /* where the other side is */
	bool *hold;		  /* until it is false */
	struct vmb_ctl_lane told; /* the last answer */
	int memory;		  /* passed along, if the port has it so */
};

static void answer_lane(struct t_fake *fake, struct lanes *l)
{
	struct t_request request = t_fake_expect(fake, VMB_CTL_LANE);
	const struct vmb_ctl_lane *asked = &request.body.lane;
	union vmb_ctl_any reply = {.lane = {.kind = asked->kind,
					    .handle = asked->handle,
					    .peer = asked->peer,
					    .slots = SLOTS,
					    .bytes = BYTES,
					    .ticket = TICKET,
					    .guest = l->guest}};
	int fds[2];

	while (l->hold && vmb_observe(l->hold))
		usleep(1000);
	if (l->spoil)
		l->spoil(&reply.lane);
	l->told = reply.lane;
	if (!t_fake_passes_fds()) {
		t_fake_reply(fake, &request, &reply, sizeof(reply.lane), NULL,
			     0);
		return;
	}
	fds[0] = l->memory;
	fds[1] = dup(l->memory); /* where a pidfd may be */
	t_fake_reply(fake, &request, &reply, sizeof(reply.lane), fds, 2);
	close(fds[1]);
}

static void script_lanes(struct t_fake *fake)
{
	struct lanes *l = fake->arg;
	void *at;

	ck_assert_int_eq(vmb_shared_create("test", LEN, &l->memory, &at), 0);
	munmap(at, LEN);
	for (unsigned i = 0; i < l->requests; i++)
		answer_lane(fake, l);
	close(l->memory);
}

static struct vmb_port *open_port(struct t_fake *fake, struct lanes *l)
{
	if (!t_fake_passes_fds() && !l->guest)
		l->guest = VMB_LANE_SAME_GUEST;
	t_fake_init(fake, script_lanes, l);
	if (t_fake_passes_fds())
		fake->hello.features |= VMB_FEATURE_PEER_PROCESS;
	return t_fake_open_port(fake);
}

/* ---- the port -------------------------------------------------------------- */

static uint32_t start(struct vmb_port *port, uint32_t kind)
{
	struct vmb_ctl_lane what = {.kind = kind, .handle = OWN, .peer = PEER};
	uint32_t tag;

	if (kind == VMB_LANE_OFFER) {
		what.slots = SLOTS;
		what.bytes = BYTES;
	} else {
		what.ticket = TICKET;
	}
	ck_assert_int_eq(t_fake_port->lane_start(port, &what, &tag), 0);
	return tag;
}

static int finish(struct vmb_port *port, uint32_t tag,
		  struct vmb_port_lane *lane)
{
	int err;

	do
		err = t_fake_port->lane_poll(port, tag, lane);
	while (err == -EAGAIN);
	return err;
}

static int offer_lane(struct vmb_port *port, struct vmb_port_lane *lane)
{
	return finish(port, start(port, VMB_LANE_OFFER), lane);
}

/* refs: as told in band. */
static int accept_lane(struct vmb_port *port, const uint32_t *refs,
		       uint32_t count, struct vmb_port_lane *lane)
{
	*lane = (struct vmb_port_lane){.ref_count = count};
	if (count) {
		lane->refs = malloc(count * sizeof(*refs));
		memcpy(lane->refs, refs, count * sizeof(*refs));
	}
	return finish(port, start(port, VMB_LANE_ACCEPT), lane);
}

static void end_lane(struct vmb_port *port, struct vmb_port_lane *lane,
		     bool offered, uint32_t reason)
{
	t_fake_port->lane_close(port, lane, offered, reason);
	ck_assert_ptr_null(lane->base);
	free(lane->refs);
}

/* What the library says while it is silenced otherwise. */
static int said_fd, stderr_fd;

static void listen_to_log(void)
{
	stderr_fd = dup(STDERR_FILENO);
	said_fd = memfd_create("log", MFD_CLOEXEC);
	dup2(said_fd, STDERR_FILENO);
	vmb_log_set_level(VMB_LOG_WARN);
}

static const char *log_text(void)
{
	static char text[1000];
	ssize_t n = pread(said_fd, text, sizeof(text) - 1, 0);

	vmb_log_set_level(VMB_LOG_NONE);
	dup2(stderr_fd, STDERR_FILENO);
	close(stderr_fd);
	close(said_fd);
	ck_assert_int_ge(n, 0);
	text[n] = 0;
	return text;
}

/* ---- good answers ------------------------------------------------------------ */

START_TEST(both_sides_have_the_same_memory)
{
	struct lanes l = {.requests = 2};
	struct vmb_port_lane in = {0}, out;
	int before = t_count_fds();
	struct vmb_port *port;
	struct t_fake fake;

	port = open_port(&fake, &l);
	ck_assert_int_eq(offer_lane(port, &in), 0);
	ck_assert_int_eq(accept_lane(port, in.refs, in.ref_count, &out), 0);
	ck_assert_uint_eq(in.slots, SLOTS);
	ck_assert_uint_eq(out.bytes, BYTES);
	ck_assert_uint_eq(in.ticket, TICKET);
	ck_assert_uint_eq(out.ticket, TICKET);
	((uint8_t *)out.base)[LEN - 1] = 7;
	ck_assert_uint_eq(((uint8_t *)in.base)[LEN - 1], 7);
	end_lane(port, &out, false, 0);
	end_lane(port, &in, true, 5);
	t_fake_close_port(&fake, port);
	ck_assert_int_eq(fake.lane_closes, 1);
	ck_assert_uint_eq(fake.closed_lane.ticket, TICKET);
	ck_assert_uint_eq(fake.closed_lane.reason, 5);
	ck_assert_int_eq(t_count_fds(), before);
}
END_TEST

/* ---- answers that cannot be ---------------------------------------------------- */

static void swap_kind(struct vmb_ctl_lane *reply)
{
	reply->kind = VMB_LANE_OFFER + VMB_LANE_ACCEPT - reply->kind;
}

static void answer_close(struct vmb_ctl_lane *reply)
{
	reply->kind = VMB_LANE_CLOSE;
}

static void other_handle(struct vmb_ctl_lane *reply)
{
	reply->handle++;
}

static void other_peer(struct vmb_ctl_lane *reply)
{
	reply->peer = 0;
}

static void no_slots(struct vmb_ctl_lane *reply)
{
	reply->slots = 0;
}

static void odd_slots(struct vmb_ctl_lane *reply)
{
	reply->slots++;
}

static void many_slots(struct vmb_ctl_lane *reply)
{
	reply->slots = 2 * VMB_LANE_SLOTS_MAX;
}

static void few_bytes(struct vmb_ctl_lane *reply)
{
	reply->bytes = VMB_LANE_BYTES_MIN / 2;
}

static void many_bytes(struct vmb_ctl_lane *reply)
{
	reply->bytes = 1u << 31;
}

static void no_guest(struct vmb_ctl_lane *reply)
{
	reply->guest = VMB_LANE_SAME_GUEST + 1;
}

static void reserved(struct vmb_ctl_lane *reply)
{
	reply->reserved_1a0 = 1;
}

static void other_ticket(struct vmb_ctl_lane *reply)
{
	reply->ticket++; /* an OFFER gives one, an ACCEPT names it */
}

static const struct {
	uint32_t kind;
	void (*spoil)(struct vmb_ctl_lane *reply);
	int closes;
} lies[] = {
	{VMB_LANE_OFFER, swap_kind, 1},	    {VMB_LANE_OFFER, answer_close, 1},
	{VMB_LANE_OFFER, other_handle, 1},  {VMB_LANE_OFFER, other_peer, 1},
	{VMB_LANE_OFFER, no_slots, 1},	    {VMB_LANE_OFFER, odd_slots, 1},
	{VMB_LANE_OFFER, many_slots, 1},    {VMB_LANE_OFFER, few_bytes, 1},
	{VMB_LANE_OFFER, many_bytes, 1},    {VMB_LANE_OFFER, no_guest, 1},
	{VMB_LANE_OFFER, reserved, 1},	    {VMB_LANE_ACCEPT, swap_kind, 1},
	{VMB_LANE_ACCEPT, answer_close, 0}, {VMB_LANE_ACCEPT, other_handle, 0},
	{VMB_LANE_ACCEPT, other_peer, 0},   {VMB_LANE_ACCEPT, no_slots, 0},
	{VMB_LANE_ACCEPT, many_bytes, 0},   {VMB_LANE_ACCEPT, other_ticket, 0},
};

START_TEST(answer_to_another_question_is_refused_and_given_back)
{
	struct lanes l = {.requests = 1, .spoil = lies[_i].spoil};
	struct vmb_port_lane lane = {0};
	int before = t_count_fds();
	struct vmb_port *port;
	struct t_fake fake;

	port = open_port(&fake, &l);
	listen_to_log();
	ck_assert_int_eq(finish(port, start(port, lies[_i].kind), &lane),
			 -EPROTO);
	ck_assert_ptr_nonnull(strstr(log_text(), "daemon"));
	ck_assert_ptr_null(lane.base);
	ck_assert_ptr_null(lane.refs);
	t_fake_close_port(&fake, port);
	ck_assert_int_eq(fake.lane_closes, lies[_i].closes);
	if (lies[_i].closes)
		ck_assert_uint_eq(fake.closed_lane.ticket, l.told.ticket);
	ck_assert_int_eq(t_count_fds(), before);
}
END_TEST

/* ---- answers that come too late --------------------------------------------------- */

START_TEST(offer_that_nobody_waits_for_is_closed_in_silence)
{
	bool hold = true;
	struct lanes l = {.requests = 1, .hold = &hold};
	int before = t_count_fds();
	struct vmb_port *port;
	struct t_fake fake;

	port = open_port(&fake, &l);
	listen_to_log();
	t_fake_port->lane_cancel(port, start(port, VMB_LANE_OFFER));
	vmb_publish(&hold, false);
	while (!vmb_observe(&fake.lane_closes))
		ck_assert_int_eq(t_fake_port->alive(port), 0);
	/* what the daemon said to that is no news */
	ck_assert_int_eq(t_fake_port->alive(port), 0);
	ck_assert_str_eq(log_text(), "");
	t_fake_close_port(&fake, port);
	ck_assert_int_eq(fake.lane_closes, 1);
	ck_assert_uint_eq(fake.closed_lane.ticket, TICKET);
	ck_assert_int_eq(t_count_fds(), before);
}
END_TEST

/* ---- inside one guest: a file ------------------------------------------------------- */

START_TEST(offer_without_memory_is_closed)
{
	struct lanes l = {.requests = 1, .guest = 5}; /* has no grants here */
	struct vmb_port_lane lane = {0};
	struct vmb_port *port;
	struct t_fake fake;

	if (!access("/dev/xen/gntalloc", F_OK)) {
		t_skip("/dev/xen/gntalloc is there");
		return;
	}
	port = open_port(&fake, &l);
	ck_assert_int_eq(offer_lane(port, &lane), -EOPNOTSUPP);
	ck_assert_ptr_null(lane.base);
	free(lane.refs);
	t_fake_close_port(&fake, port);
	ck_assert_int_eq(fake.lane_closes, 1);
}
END_TEST

static uint32_t inode_of(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return (uint32_t)st.st_ino;
}

START_TEST(references_are_process_descriptor_and_inode)
{
	struct lanes l = {.requests = 1};
	struct vmb_port_lane in = {0};
	struct vmb_port *port;
	struct t_fake fake;

	port = open_port(&fake, &l);
	ck_assert_int_eq(offer_lane(port, &in), 0);
	ck_assert_uint_eq(in.ref_count, 3);
	ck_assert_uint_eq(in.refs[0], (uint32_t)getpid());
	ck_assert_uint_eq(in.refs[2], inode_of((int)in.refs[1]));
	end_lane(port, &in, true, 0);
	t_fake_close_port(&fake, port);
}
END_TEST

START_TEST(lane_that_ended_is_not_taken_for_the_next_one)
{
	struct vmb_port_lane first = {0}, next = {0}, out;
	struct lanes l = {.requests = 4}; /* offer, close, offer, accept */
	int before = t_count_fds();
	struct vmb_port *port;
	struct t_fake fake;
	uint32_t refs[3];

	port = open_port(&fake, &l);
	ck_assert_int_eq(offer_lane(port, &first), 0);
	memcpy(refs, first.refs, sizeof(refs));
	end_lane(port, &first, true, 0);
	ck_assert_int_eq(offer_lane(port, &next), 0);
	ck_assert_uint_eq(next.refs[1], refs[1]);
	ck_assert_int_eq(accept_lane(port, refs, 3, &out), -ENOENT);
	ck_assert_ptr_null(out.base);
	free(out.refs);
	end_lane(port, &next, true, 0);
	t_fake_close_port(&fake, port);
	ck_assert_int_eq(fake.lane_closes, 1);
	ck_assert_int_eq(t_count_fds(), before);
}
END_TEST

/* What a receiver may name: a descriptor, or -1: none. */
static int make_pipe(void)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	close(fds[0]);
	return fds[1];
}

static int make_short(void)
{
	void *at;
	int fd;

	ck_assert_int_eq(vmb_shared_create("test", LEN - 4096, &fd, &at), 0);
	munmap(at, LEN - 4096);
	return fd;
}

static int make_unsealed(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_eq(ftruncate(fd, LEN), 0);
	return fd;
}

static int make_ended(void)
{
	return -1;
}

static const struct {
	int (*make)(void);
	int inode_change, code;
	uint32_t count;
} wrongs[] = {
	{make_ended, 0, -ENOENT, 3}, {make_pipe, 0, -EPERM, 3},
	{make_short, 0, -EPERM, 3},  {make_unsealed, 0, -EPERM, 3},
	{make_short, 1, -ENOENT, 3}, {make_short, 0, -EPROTO, 2},
	{make_short, 0, -EPROTO, 4}, {make_short, 0, -EPROTO, 0},
};

/* The messages go through the engine then. */
START_TEST(references_that_cannot_be_are_refused)
{
	int before = t_count_fds(), fd = wrongs[_i].make();
	struct lanes l = {.requests = 1};
	uint32_t refs[4] = {(uint32_t)getpid(), (uint32_t)fd};
	struct vmb_port_lane out;
	struct vmb_port *port;
	struct t_fake fake;

	if (fd >= 0)
		refs[2] = inode_of(fd) + (uint32_t)wrongs[_i].inode_change;
	port = open_port(&fake, &l);
	ck_assert_int_eq(accept_lane(port, refs, wrongs[_i].count, &out),
			 wrongs[_i].code);
	ck_assert_ptr_null(out.base);
	free(out.refs);
	t_fake_close_port(&fake, port);
	ck_assert_int_eq(fake.lane_closes, 0); /* it is the receiver's */
	if (fd >= 0)
		close(fd);
	ck_assert_int_eq(t_count_fds(), before);
}
END_TEST

static int make_sealed(void)
{
	void *at;
	int fd;

	ck_assert_int_eq(vmb_shared_create("test", LEN, &fd, &at), 0);
	munmap(at, LEN);
	return fd;
}

/* What comes of it when a receiver names that descriptor of ours; closes it. */
static int accept_file(int fd)
{
	uint32_t refs[3] = {(uint32_t)getpid(), (uint32_t)fd, inode_of(fd)};
	struct lanes l = {.requests = 1};
	struct vmb_port_lane out;
	struct vmb_port *port;
	struct t_fake fake;
	int err;

	port = open_port(&fake, &l);
	err = accept_lane(port, refs, 3, &out);
	if (err)
		free(out.refs);
	else
		end_lane(port, &out, false, 0);
	t_fake_close_port(&fake, port);
	close(fd);
	return err;
}

/* What it is lies with a file system that may be the receiver's program. */
START_TEST(file_that_is_no_memfd_is_not_opened)
{
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	char path[] = "/tmp/vmb-file-XXXXXX", event[500];
	int fd = mkstemp(path);

	ck_assert_int_eq(ftruncate(fd, LEN), 0);
	ck_assert_int_ge(inotify_add_watch(watch, path, IN_OPEN), 0);
	ck_assert_int_eq(accept_file(fd), -EPERM);
	ck_assert_int_eq(read(watch, event, sizeof(event)), -1);
	ck_assert_int_eq(errno, EAGAIN);
	close(watch);
	unlink(path);
}
END_TEST

/* Or root would write into the lane between two others. */
START_TEST(memfd_of_another_user_is_not_opened)
{
	int fd = make_sealed();

	if (fchown(fd, geteuid() + 1, (gid_t)-1)) {
		t_skip("may not give files to other users");
		close(fd);
		return;
	}
	ck_assert_int_eq(accept_file(fd), -EPERM);
	ck_assert_int_eq(accept_file(make_sealed()), 0);
}
END_TEST

/* The kernel would wait 45 seconds for its holder to give it up. */
START_TEST(lease_on_the_file_is_not_waited_for)
{
	int made = make_sealed(), fd;
	uint64_t begin = vmb_now_ns();
	char path[64];

	/* one that was opened: what memfd_create() gives can have no lease */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", made);
	fd = open(path, O_RDWR | O_CLOEXEC);
	close(made);
	signal(SIGIO, SIG_IGN);
	if (fcntl(fd, F_SETLEASE, F_WRLCK)) {
		t_skip("no leases on memfds");
		close(fd);
		return;
	}
	ck_assert_int_eq(accept_file(fd), -EBUSY);
	ck_assert_uint_lt(vmb_now_ns() - begin, 20000000000u);
}
END_TEST

static Suite *lanes_suite(void)
{
	Suite *s = suite_create("port_lanes");
	TCase *daemon = tcase_create("daemon");
	TCase *file;

	tcase_add_test(daemon, both_sides_have_the_same_memory);
	tcase_add_loop_test(
		daemon, answer_to_another_question_is_refused_and_given_back, 0,
		vmb_array_size(lies));
	tcase_add_test(daemon,
		       offer_that_nobody_waits_for_is_closed_in_silence);
	suite_add_tcase(s, daemon);
	if (t_fake_passes_fds())
		return s;
	file = tcase_create("file");
	tcase_add_test(file, offer_without_memory_is_closed);
	tcase_add_test(file, references_are_process_descriptor_and_inode);
	tcase_add_test(file, lane_that_ended_is_not_taken_for_the_next_one);
	tcase_add_loop_test(file, references_that_cannot_be_are_refused, 0,
			    vmb_array_size(wrongs));
	tcase_add_test(file, file_that_is_no_memfd_is_not_opened);
	tcase_add_test(file, memfd_of_another_user_is_not_opened);
	tcase_add_test(file, lease_on_the_file_is_not_waited_for);
	suite_add_tcase(s, file);
	return s;
}

int main(int argc, char **argv)
{
	return t_fake_main(argc, argv, lanes_suite);
}
