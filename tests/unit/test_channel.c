// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_channel.c - replies that lie, come late, in any order or never, and a
 * daemon that goes away: test_channel [PORT].
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/util.h"
#include "port/calls.h"
#include "port/port.h"
#include "unit/fake_daemon.h"

#define SHORT_MS 1500

static const struct vmb_geometry geometry = {
	.eq_slots = 64, .rx_bytes = 4096, .tx_bytes = 4096};

static int connect_once(struct vmb_port *port, int timeout_ms)
{
	uint32_t handle = 0, session = 0;
	int err = t_fake_port->connect(port, 1, 2, 3, timeout_ms, &handle,
				       &session);

	if (!err) {
		ck_assert_uint_eq(handle, 0x10007);
		ck_assert_uint_eq(session, 99);
	}
	return err;
}

static void reply_connect(struct t_fake *fake, const struct t_request *request)
{
	union vmb_ctl_any reply = {
		.connect_reply = {.handle = 0x10007, .session = 99}};

	t_fake_reply(fake, request, &reply, sizeof(reply.connect_reply), NULL,
		     0);
}

static void answer_connect(struct t_fake *fake)
{
	struct t_request request = t_fake_expect(fake, VMB_CTL_CONNECT);

	reply_connect(fake, &request);
}

/* ---- shape -------------------------------------------------------------- */

static const struct lie {
	int len_change;	  /* bytes sent, against what is right */
	int claim_change; /* head.len */
	int op_change;
	int status;
	unsigned fds;
	int expected;
} lies[] = {
	{.len_change = 0, .expected = 0},
	{.len_change = -4, .claim_change = -4, .expected = -EPROTO},
	{.len_change = 8, .claim_change = 8, .expected = -EPROTO},
	{.len_change = 200, .claim_change = 200, .expected = -EPROTO},
	{.claim_change = 1, .expected = -EPROTO},
	{.claim_change = -24, .expected = -EPROTO},
	{.op_change = 1, .expected = -EPROTO},
	{.status = 1, .expected = -EPROTO},
	{.status = -5000, .expected = -EPROTO},
	{.status = -ENXIO, .expected = -ENXIO},
	{.status = -ENXIO,
	 .len_change = -8,
	 .claim_change = -8,
	 .expected = -ENXIO},
	{.status = -ENXIO,
	 .len_change = -4,
	 .claim_change = -4,
	 .expected = -EPROTO},
	{.status = -ENXIO, .fds = 1, .expected = -EPROTO},
	{.fds = 1, .expected = -EPROTO},
	{.fds = 4, .expected = -EPROTO},
	{.fds = 6, .expected = -EPROTO},
};

/*
 * From the kernel shim no descriptor comes, and nothing longer than the
 * longest message: a file that does not obey is of no use any more.
 */
static int expected_of(const struct lie *lie)
{
	if (t_fake_passes_fds())
		return lie->expected;
	if (lie->len_change > (int)sizeof(union vmb_ctl_any))
		return -EPIPE;
	return lie->fds ? lie->status : lie->expected;
}

static void script_lie(struct t_fake *fake)
{
	const struct lie *lie = fake->arg;
	struct t_request request = t_fake_expect(fake, VMB_CTL_CONNECT);
	struct vmb_ctl_connect_reply good = {
		.head = {.op = (__u32)(VMB_CTL_CONNECT + lie->op_change),
			 .tag = request.body.head.tag,
			 .status = lie->status,
			 .len = (__u32)((int)sizeof(good) + lie->claim_change)},
		.handle = 0x10007,
		.session = 99,
	};
	char bytes[512] = {0};
	int fds[6];

	memcpy(bytes, &good, sizeof(good));
	for (unsigned i = 0; i < lie->fds; i++)
		fds[i] = dup(0);
	t_fake_send(fake, bytes, (size_t)((int)sizeof(good) + lie->len_change),
		    fds, lie->fds);
	for (unsigned i = 0; i < lie->fds; i++)
		close(fds[i]);
	if (expected_of(lie) != -EPIPE)
		answer_connect(fake);
}

START_TEST(reply_must_have_the_right_shape)
{
	int expected = expected_of(&lies[_i]);
	struct t_fake fake;
	struct vmb_port *port;
	int before;

	t_fake_init(&fake, script_lie, (void *)&lies[_i]);
	port = t_fake_open_port(&fake);
	before = t_count_fds();
	ck_assert_int_eq(connect_once(port, -1), expected);
	ck_assert_int_eq(connect_once(port, -1),
			 expected == -EPIPE ? -EPIPE : 0);
	ck_assert_int_eq(t_count_fds(), before);
	t_fake_close_port(&fake, port);
}
END_TEST

static void script_foreign_replies(struct t_fake *fake)
{
	struct t_request request = t_fake_expect(fake, VMB_CTL_CONNECT);
	struct t_request other = request;
	int fd = dup(0);

	other.body.head.tag += 1000;
	reply_connect(fake, &other);
	t_fake_send(fake, "short", 5, &fd, 1);
	close(fd);
	reply_connect(fake, &request);
	reply_connect(fake, &request); /* a second reply is nobody's */
	answer_connect(fake);
}

START_TEST(reply_with_unknown_tag_is_ignored)
{
	struct t_fake fake;
	struct vmb_port *port;
	int before;

	t_fake_init(&fake, script_foreign_replies, NULL);
	port = t_fake_open_port(&fake);
	before = t_count_fds();
	ck_assert_int_eq(connect_once(port, -1), 0);
	ck_assert_int_eq(connect_once(port, -1), 0);
	ck_assert_int_eq(t_count_fds(), before);
	t_fake_close_port(&fake, port);
}
END_TEST

static void script_two_fds_short(struct t_fake *fake)
{
	struct t_request request = t_fake_expect(fake, VMB_CTL_OPEN);
	union vmb_ctl_any reply = {
		.open_reply = {.handle = 0x20003, .id = 5, .session = 1}};
	int fd = eventfd(0, EFD_CLOEXEC);

	t_fake_reply(fake, &request, &reply, sizeof(reply.open_reply), &fd, 1);
	close(fd);
	close(request.fd);
}

START_TEST(open_without_descriptors_is_refused_and_given_back)
{
	struct vmb_port_endpoint pep;
	struct t_fake fake;
	struct vmb_port *port;
	int before;

	t_fake_init(&fake, script_two_fds_short, NULL);
	port = t_fake_open_port(&fake);
	before = t_count_fds();
	ck_assert_int_eq(t_fake_port->endpoint_open(port, 5, 0, &geometry,
						    &pep),
			 -EPROTO);
	t_fake_close_port(&fake, port);
	ck_assert_int_eq(fake.closes, 1);
	ck_assert_uint_eq(fake.closed_handle, 0x20003);
	/* the port's socket, the fake's connection and listener are gone */
	ck_assert_int_eq(t_count_fds(), before - 3);
}
END_TEST

/* ---- time --------------------------------------------------------------- */

static void script_silence(struct t_fake *fake)
{
	struct t_request request = t_fake_expect(fake, VMB_CTL_CONNECT);
	int *silent = fake->arg;

	while (!vmb_observe(silent))
		usleep(1000);
	reply_connect(fake, &request); /* too late */
	answer_connect(fake);
}

START_TEST(silence_times_out_and_a_late_reply_is_ignored)
{
	struct t_fake fake;
	struct vmb_port *port;
	uint64_t begin, took_ms;
	int over = 0;

	vmb_calls_set_timeout(SHORT_MS);
	t_fake_init(&fake, script_silence, &over);
	port = t_fake_open_port(&fake);
	begin = vmb_now_ns();
	ck_assert_int_eq(connect_once(port, -1), -ETIMEDOUT);
	took_ms = (vmb_now_ns() - begin) / 1000000;
	ck_assert_uint_ge(took_ms, SHORT_MS);
	ck_assert_uint_le(took_ms, 50 * SHORT_MS);
	vmb_publish(&over, 1);
	ck_assert_int_eq(connect_once(port, 20000), 0);
	t_fake_close_port(&fake, port);
}
END_TEST

static void script_late_open(struct t_fake *fake)
{
	struct t_request request = t_fake_expect(fake, VMB_CTL_OPEN);
	union vmb_ctl_any reply = {
		.open_reply = {.handle = 0x20003, .id = 5, .session = 1}};
	int fds[2] = {eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC)};
	int *over = fake->arg;

	while (!vmb_observe(over))
		usleep(1000);
	t_fake_reply(fake, &request, &reply, sizeof(reply.open_reply), fds,
		     t_fake_passes_fds() ? 2 : 0);
	close(fds[0]);
	close(fds[1]);
	close(request.fd);
	answer_connect(fake);
}

START_TEST(late_open_is_closed_again)
{
	struct vmb_port_endpoint pep;
	struct t_fake fake;
	struct vmb_port *port;
	int before, over = 0;

	vmb_calls_set_timeout(SHORT_MS);
	t_fake_init(&fake, script_late_open, &over);
	port = t_fake_open_port(&fake);
	before = t_count_fds();
	ck_assert_int_eq(t_fake_port->endpoint_open(port, 5, 0, &geometry,
						    &pep),
			 -ETIMEDOUT);
	vmb_publish(&over, 1);
	ck_assert_int_eq(connect_once(port, 20000), 0);
	ck_assert_int_eq(t_count_fds(), before);
	t_fake_close_port(&fake, port);
	ck_assert_int_eq(fake.closes, 1);
	ck_assert_uint_eq(fake.closed_handle, 0x20003);
}
END_TEST

/* ---- the end of the daemon ---------------------------------------------- */

static void script_hang_up(struct t_fake *fake)
{
	int *calls = fake->arg;

	for (int i = 0; i < *calls; i++)
		t_fake_expect(fake, VMB_CTL_CONNECT);
	t_fake_hang_up(fake);
}

START_TEST(end_of_daemon_is_sticky)
{
	struct vmb_port_endpoint pep = {.area = NULL};
	struct t_fake fake;
	struct vmb_port *port;
	int calls = 1;
	uint64_t key;
	void *addr;

	t_fake_init(&fake, script_hang_up, &calls);
	port = t_fake_open_port(&fake);
	ck_assert_int_eq(t_fake_port->alive(port), 0);
	ck_assert_int_eq(connect_once(port, -1), -EPIPE);
	ck_assert_int_eq(connect_once(port, -1), -EPIPE);
	ck_assert_int_eq(t_fake_port->alive(port), -EPIPE);
	ck_assert_int_eq(t_fake_port->mem_alloc(port, 4096, &addr, &key),
			 -EPIPE);
	ck_assert_int_eq(t_fake_port->endpoint_open(port, 0, 0, &geometry,
						    &pep),
			 -EPIPE);
	t_fake_close_port(&fake, port);
}
END_TEST

static void *connect_thread(void *port)
{
	return (void *)(intptr_t)connect_once(port, -1);
}

START_TEST(end_of_daemon_wakes_every_waiter)
{
	struct t_fake fake;
	struct vmb_port *port;
	pthread_t threads[8];
	int calls = 9;
	uint32_t tag;
	void *result;

	t_fake_init(&fake, script_hang_up, &calls);
	port = t_fake_open_port(&fake);
	ck_assert_int_eq(t_fake_port->connect_start(port, 1, 2, 3, &tag), 0);
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, connect_thread, port);
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], &result);
		ck_assert_int_eq((int)(intptr_t)result, -EPIPE);
	}
	ck_assert_int_eq(t_fake_port->connect_poll(port, tag, &tag, &tag),
			 -EPIPE);
	t_fake_close_port(&fake, port);
}
END_TEST

static void script_last_words(struct t_fake *fake)
{
	struct t_request request = t_fake_expect(fake, VMB_CTL_CONNECT);

	/* a second request stays unread: the socket is reset, not just ended */
	reply_connect(fake, &request);
	while (!vmb_observe((int *)fake->arg))
		usleep(1000);
	t_fake_hang_up(fake);
}

START_TEST(last_reply_before_the_end_counts)
{
	struct t_fake fake;
	struct vmb_port *port;
	uint32_t first, second, handle, session;
	int over = 0;

	t_fake_init(&fake, script_last_words, &over);
	port = t_fake_open_port(&fake);
	ck_assert_int_eq(t_fake_port->connect_start(port, 1, 2, 3, &first), 0);
	ck_assert_int_eq(t_fake_port->connect_start(port, 1, 2, 3, &second), 0);
	vmb_publish(&over, 1);
	t_fake_stop(&fake);
	ck_assert_int_eq(
		t_fake_port->connect_poll(port, first, &handle, &session), 0);
	ck_assert_int_eq(t_fake_port->connect_poll(port, second, &handle,
						   &session),
			 -EPIPE);
	t_fake_port->close(port);
}
END_TEST

/* ---- many at once ------------------------------------------------------- */

#define MANY 4000

static void script_reverse(struct t_fake *fake)
{
	static struct t_request requests[MANY];
	int *go = fake->arg;

	while (!vmb_observe(go)) /* until the socket is full */
		usleep(1000);
	for (int block = 0; block < MANY; block += 8) {
		for (int i = 0; i < 8; i++)
			requests[i] = t_fake_expect(fake, VMB_CTL_CONNECT);
		for (int i = 8; i-- > 0;) {
			union vmb_ctl_any reply = {
				.connect_reply = {.session = 1}};

			reply.connect_reply.handle =
				requests[i].body.connect.id;
			t_fake_reply(fake, &requests[i], &reply,
				     sizeof(reply.connect_reply), NULL, 0);
		}
	}
}

START_TEST(start_never_waits_and_loses_nothing)
{
	static uint32_t tags[MANY];
	uint32_t handle, session;
	struct t_fake fake;
	struct vmb_port *port;
	int go = 0, err;

	t_fake_init(&fake, script_reverse, &go);
	port = t_fake_open_port(&fake);
	for (uint32_t i = 0; i < MANY; i++)
		ck_assert_int_eq(t_fake_port->connect_start(port, 1, i + 1, 0,
							    &tags[i]),
				 0);
	ck_assert_int_eq(t_fake_port->connect_poll(port, tags[0], &handle,
						   &session),
			 -EAGAIN);
	vmb_publish(&go, 1);
	for (uint32_t i = 0; i < MANY; i++) {
		do {
			err = t_fake_port->connect_poll(port, tags[i], &handle,
							&session);
		} while (err == -EAGAIN);
		ck_assert_int_eq(err, 0);
		ck_assert_uint_eq(handle, i + 1);
	}
	ck_assert_int_eq(t_fake_port->connect_poll(port, tags[0], &handle,
						   &session),
			 -ENOENT);
	t_fake_close_port(&fake, port);
}
END_TEST

static void script_answer_all(struct t_fake *fake)
{
	int *calls = fake->arg;

	for (int i = 0; i < *calls; i++)
		answer_connect(fake);
}

START_TEST(cancelled_start_is_forgotten)
{
	uint32_t tag, handle, session;
	struct t_fake fake;
	struct vmb_port *port;
	int calls = 2;

	t_fake_init(&fake, script_answer_all, &calls);
	port = t_fake_open_port(&fake);
	ck_assert_int_eq(t_fake_port->connect_start(port, 1, 2, 3, &tag), 0);
	t_fake_port->connect_cancel(port, tag);
	ck_assert_int_eq(t_fake_port->connect_poll(port, tag, &handle,
						   &session),
			 -ENOENT);
	ck_assert_int_eq(connect_once(port, -1), 0);
	t_fake_close_port(&fake, port);
}
END_TEST

static void *connect_many(void *port)
{
	for (int i = 0; i < 500; i++)
		if (connect_once(port, -1))
			return port;
	return NULL;
}

START_TEST(threads_get_their_own_replies)
{
	struct t_fake fake;
	struct vmb_port *port;
	pthread_t threads[4];
	int calls = 2000;
	void *failed;

	t_fake_init(&fake, script_answer_all, &calls);
	port = t_fake_open_port(&fake);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, connect_many, port);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &failed);
		ck_assert_ptr_null(failed);
	}
	t_fake_close_port(&fake, port);
}
END_TEST

/* ---- fork --------------------------------------------------------------- */

static int use_in_child(struct vmb_port *port, int hold)
{
	uint32_t tag;
	bool refused =
		t_fake_port->alive(port) == -EPERM &&
		connect_once(port, -1) == -EPERM &&
		t_fake_port->connect_start(port, 1, 2, 3, &tag) == -EPERM &&
		t_fake_port->mem_deregister(port, 1) == -EPERM;
	char byte;

	t_fake_port->close(port);
	return refused && read(hold, &byte, 1) == 0 ? 0 : 1;
}

START_TEST(child_is_refused_and_does_not_keep_the_daemon_waiting)
{
	struct t_fake fake;
	struct vmb_port *port;
	int calls = 1, status, hold[2];
	pid_t child;

	t_fake_init(&fake, script_answer_all, &calls);
	port = t_fake_open_port(&fake);
	ck_assert_int_eq(pipe(hold), 0);
	child = fork();
	if (!child) {
		close(hold[1]);
		_exit(use_in_child(port, hold[0]));
	}
	ck_assert_int_eq(connect_once(port, -1), 0);
	/* returns only when the daemon saw the end, while the child lives */
	t_fake_close_port(&fake, port);
	close(hold[1]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	close(hold[0]);
}
END_TEST

static Suite *channel_suite(void)
{
	Suite *s = suite_create("channel");
	TCase *shape = tcase_create("shape");
	TCase *late = tcase_create("time");
	TCase *end = tcase_create("end");
	TCase *many = tcase_create("many");
	TCase *child = tcase_create("fork");

	tcase_add_loop_test(shape, reply_must_have_the_right_shape, 0,
			    vmb_array_size(lies));
	tcase_add_test(shape, reply_with_unknown_tag_is_ignored);
	if (t_fake_passes_fds())
		tcase_add_test(
			shape,
			open_without_descriptors_is_refused_and_given_back);
	tcase_add_test(late, silence_times_out_and_a_late_reply_is_ignored);
	tcase_add_test(late, late_open_is_closed_again);
	tcase_add_test(end, end_of_daemon_is_sticky);
	tcase_add_test(end, end_of_daemon_wakes_every_waiter);
	tcase_add_test(end, last_reply_before_the_end_counts);
	tcase_add_test(many, start_never_waits_and_loses_nothing);
	tcase_add_test(many, cancelled_start_is_forgotten);
	tcase_add_test(many, threads_get_their_own_replies);
	tcase_add_test(child,
		       child_is_refused_and_does_not_keep_the_daemon_waiting);
	suite_add_tcase(s, shape);
	suite_add_tcase(s, late);
	suite_add_tcase(s, end);
	suite_add_tcase(s, many);
	suite_add_tcase(s, child);
	return s;
}

int main(int argc, char **argv)
{
	return t_fake_main(argc, argv, channel_suite);
}
