// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_slow_files.c - clients that send what is slow to close, where one is
 * expected, where none is, and where nobody will ever read it: the daemon
 * serves the others, and in the end has closed all of it.
 *
 * Flow:  hostile clients -> vmbd of our own <- a good client, all the time
 * Owns:  one daemon per test; what it held before is compared with after.
 *
 * The slow thing is a TCP socket that lingers: its last close waits for
 * LINGER_S, because the other end does not read. That is longer than anybody
 * here waits for an answer.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/util.h"
#include "support/run.h"
#include "support/skip.h"
#include "witness.h"

#define LINGER_S 120
#define SLOW 8 /* in one message */

/* The other ends, which do not read, and are open until the test ends. */
static int ends[1024];
static unsigned end_count;

static void connect_pair(int fds[2])
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int small = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, len), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(
		getsockname(listener, (struct sockaddr *)&address, &len), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	ck_assert_int_eq(connect(fds[0], (struct sockaddr *)&address, len), 0);
	fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(fds[1], 0);
	close(listener);
}

/* What it still has to say finds no room at the other end. */
static int make_slow(void)
{
	struct linger linger = {.l_onoff = 1, .l_linger = LINGER_S};
	char bytes[4096] = {0};
	int fds[2];

	connect_pair(fds);
	ck_assert_int_eq(setsockopt(fds[0], SOL_SOCKET, SO_LINGER, &linger,
				    sizeof(linger)),
			 0);
	while (send(fds[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_uint_lt(end_count, vmb_array_size(ends));
	ends[end_count++] = fds[1];
	return fds[0];
}

static void on_alarm(int number)
{
	(void)number;
}

/* Signals, without a restart, every so many microseconds; 0: no more. */
static void interrupt_us(long us)
{
	const struct sigaction action = {.sa_handler = on_alarm};
	const struct itimerval timer = {.it_value = {.tv_usec = us},
					.it_interval = {.tv_usec = us}};

	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

/* After this nobody has them but the daemon, or the socket to it. */
static int send_slow(int fd, const union vmb_ctl_any *msg, unsigned count)
{
	int fds[SLOW] = {0}, err;

	for (unsigned i = 0; i < count; i++)
		fds[i] = make_slow();
	err = t_raw_send(fd, msg, msg->head.len, fds, count);
	interrupt_us(5000); /* the daemon may have been quick: ours are last */
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
	interrupt_us(0);
	return err;
}

START_TEST(slow_files_are_slow)
{
	uint64_t start = vmb_now_ns();
	int fd = make_slow();

	interrupt_us(300000);
	close(fd);
	interrupt_us(0);
	ck_assert_uint_ge(vmb_now_ns() - start, 250000000u);
}
END_TEST

START_TEST(descriptors_that_are_slow_to_go_hold_up_nobody)
{
	uint32_t op = (uint32_t)_i;
	union vmb_ctl_any msg;
	struct t_raw_reply r;
	int fd;

	t_request_fill(&msg, op);
	for (unsigned n = 1; n <= SLOW; n *= 2) {
		fd = op == VMB_CTL_HELLO
			     ? t_raw_connect(t_witness.daemon.socket)
			     : t_raw_attach(t_witness.daemon.socket, "");
		ck_assert_int_eq(send_slow(fd, &msg, n), 0);
		t_witness_is_served();
		/* it gets its answer as well */
		t_raw_receive(fd, &r);
		ck_assert_int_eq(r.msg.head.status, -EBADF);
		ck_assert_uint_eq(r.msg.head.op, op);
		close(fd);
	}
}
END_TEST

/* They lie in the socket when it is closed, with or without a hello before. */
START_TEST(descriptors_that_nobody_reads_hold_up_nobody)
{
	union vmb_ctl_any msg;
	int fd;

	t_request_fill(&msg, _i ? VMB_CTL_CONNECT : VMB_CTL_HELLO);
	for (unsigned i = 0; i < 32; i++) {
		fd = _i ? t_raw_attach(t_witness.daemon.socket, "")
			: t_raw_connect(t_witness.daemon.socket);
		for (int n = 0; n < 3; n++)
			send_slow(fd, &msg, 2);
		close(fd);
		t_witness_is_served();
	}
	fd = t_raw_attach(t_witness.daemon.socket, ""); /* newcomers get in */
	close(fd);
}
END_TEST

/* ---- files that both have --------------------------------------------------- */

struct waiter {
	int set;
	void *events;
};

static void *wait_for_ever(void *arg)
{
	const struct waiter *w = arg;

	epoll_wait(w->set, w->events, 4, -1);
	return NULL;
}

/* Something is ready, so that it is busy with telling of it. */
static void hold_up(struct waiter *w, pthread_t *thread, int uffd, int ready)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct pollfd p = {.fd = uffd, .events = POLLIN};

	ck_assert_int_eq(epoll_ctl(w->set, EPOLL_CTL_ADD, ready, &event), 0);
	ck_assert_int_eq(pthread_create(thread, NULL, wait_for_ever, w), 0);
	ck_assert_int_eq(poll(&p, 1, T_RAW_TIMEOUT_MS), 1);
}

/*
 * The files of kicks and notifications lie in an epoll set that is held up; the
 * client has closed them, so that the daemon's close is the last, and waits.
 */
START_TEST(files_in_a_set_that_is_held_up_hold_up_nobody)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct waiter w = {.set = epoll_create1(EPOLL_CLOEXEC)};
	int fd = t_raw_attach(t_witness.daemon.socket, ""), uffd;
	int ready = eventfd(1, EFD_CLOEXEC);
	struct t_raw_endpoint ep;
	pthread_t thread;

	w.events = t_endless_memory(&uffd);
	if (!w.events) {
		t_skip("no userfaultfd here");
		close(fd);
		return;
	}
	t_raw_endpoint_open(fd, VMB_ID_ANY, &ep);
	ck_assert_int_eq(epoll_ctl(w.set, EPOLL_CTL_ADD, ep.kick_fd, &event),
			 0);
	ck_assert_int_eq(epoll_ctl(w.set, EPOLL_CTL_ADD, ep.notify_fd, &event),
			 0);
	t_raw_endpoint_drop(&ep);
	hold_up(&w, &thread, uffd, ready);
	if (_i)
		ck_assert_int_eq(t_raw_close(fd, ep.open.handle), 0);
	else
		close(fd);
	for (int i = 0; i < 100; i++)
		t_witness_is_served();
	close(uffd); /* lets it go on */
	pthread_join(thread, NULL);
	if (_i)
		close(fd);
	close(w.set);
	close(ready);
	munmap(w.events, 4096);
}
END_TEST

/* ---- no descriptor left --------------------------------------------------- */

/* Without a descriptor: there may be none. */
static void is_answered(void)
{
	t_raw_endpoint_fence(&t_witness.ep);
	ck_assert_int_eq(t_raw_peer(t_witness.fd, 1, 1, 0, NULL), -ENXIO);
}

/*
 * A daemon that has no descriptor left turns away, and drops what lies there.
 * Who brings one is told so, as often as he likes: it is no lie.
 */
START_TEST(daemon_without_descriptors_is_held_up_by_nobody)
{
	struct rlimit all, few;
	union vmb_ctl_any msg;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fds[64], fd, admin, status;
	uint64_t key;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s.ctl",
		 t_witness.daemon.socket);
	few.rlim_cur = t_witness.before.fds + 8;
	ck_assert_int_eq(
		prlimit(t_witness.daemon.pid, RLIMIT_NOFILE, NULL, &all), 0);
	few.rlim_max = all.rlim_max;
	ck_assert_int_eq(
		prlimit(t_witness.daemon.pid, RLIMIT_NOFILE, &few, NULL), 0);
	t_request_fill(&msg, VMB_CTL_HELLO);
	for (unsigned i = 0; i < vmb_array_size(fds); i++) {
		fds[i] = t_raw_connect(t_witness.daemon.socket);
		send_slow(fds[i], &msg, 1);
		is_answered();
	}
	for (int i = 0; i < 20; i++) {
		status = t_raw_register_memfd(t_witness.fd, 4096, &key);
		if (status)
			ck_assert_int_eq(status, -EMFILE);
		else
			ck_assert_int_eq(t_raw_deregister(t_witness.fd, key),
					 0);
	}
	/* the administrator as well waits for his turn */
	admin = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(admin, (struct sockaddr *)&address,
				 sizeof(address)),
			 0);
	is_answered();
	close(admin);
	for (unsigned i = 0; i < vmb_array_size(fds); i++)
		close(fds[i]);
	ck_assert_int_eq(
		prlimit(t_witness.daemon.pid, RLIMIT_NOFILE, &all, NULL), 0);
	fd = t_raw_attach(t_witness.daemon.socket, "");
	ck_assert_ptr_nonnull(strstr(t_raw_ask(t_witness.daemon.socket,
					       "{\"cmd\":\"clients\"}"),
				     "\"ok\":true"));
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("slow_files");
	TCase *t = tcase_create("slow_files");

	tcase_add_checked_fixture(t, t_witness_start, t_witness_stop);
	tcase_set_timeout(t, 100);
	tcase_add_test(t, slow_files_are_slow);
	tcase_add_loop_test(t, descriptors_that_are_slow_to_go_hold_up_nobody,
			    VMB_CTL_HELLO, VMB_CTL_LANE + 1);
	tcase_add_loop_test(t, descriptors_that_nobody_reads_hold_up_nobody, 0,
			    2);
	tcase_add_loop_test(t, files_in_a_set_that_is_held_up_hold_up_nobody, 0,
			    2);
	tcase_add_test(t, daemon_without_descriptors_is_held_up_by_nobody);
	suite_add_tcase(s, t);
	return t_run(s);
}
