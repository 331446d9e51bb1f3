// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_clients.c - clients that flood, stall, do not read, or die at any moment:
 * the daemon serves the others, and holds nothing of theirs afterwards.
 *
 * Flow:  hostile clients -> vmbd of our own <- a good client, all the time
 * Owns:  one daemon per test; what it held before is compared with after.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/futex.h"
#include "base/util.h"
#include "support/run.h"
#include "support/skip.h"
#include "witness.h"

#define KILLS 200

/* ---- behaviour ---------------------------------------------------------- */

START_TEST(replies_that_are_never_read_hold_up_nobody)
{
	int fd = t_raw_attach(t_witness.daemon.socket, ""), sent = 0,
	    answered = 0;
	struct t_raw_reply r;
	union vmb_ctl_any msg;

	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	t_request_fill(&msg, VMB_CTL_CONNECT);
	while (!t_raw_send(fd, &msg, msg.head.len, NULL, 0)) {
		ck_assert_int_lt(++sent, 100000);
		if (sent % 8 == 0) /* let the daemon take some */
			t_witness_is_served();
	}
	ck_assert_int_gt(sent, 1);
	for (int i = 0; i < 100; i++)
		t_witness_is_served();
	/* nothing was lost: each gets its answer */
	for (; answered < sent; answered++) {
		t_raw_receive(fd, &r);
		ck_assert_int_eq(r.msg.head.status, -ENXIO);
	}
	close(fd);
}
END_TEST

START_TEST(unread_opens_go_with_their_client)
{
	struct vmb_geometry g = t_raw_geometry();
	int fd = t_raw_attach(t_witness.daemon.socket, "");
	union vmb_ctl_any msg;

	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	t_request_fill(&msg, VMB_CTL_OPEN);
	for (;;) {
		int memfd = t_raw_memfd(VMB_AREA_BYTES(&g), T_RAW_SEALS);
		int err = t_raw_send(fd, &msg, msg.head.len, &memfd, 1);

		close(memfd);
		if (err)
			break;
		t_witness_is_served();
	}
	close(fd);
}
END_TEST

START_TEST(flood_of_connections_is_survived)
{
	int fds[600], fd;
	uint64_t until;

	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < vmb_array_size(fds); i++)
			fds[i] = t_raw_connect(t_witness.daemon.socket);
		t_witness_is_served();
		fd = t_raw_attach(t_witness.daemon.socket,
				  ""); /* newcomers get in */
		close(fd);
		/* those without hello are not kept but for a few, when the
		 * helpers have closed the others */
		until = vmb_now_ns() + T_RAW_TIMEOUT_MS * 1000000ull;
		while (t_raw_usage(t_witness.daemon.pid).fds >=
		       t_witness.before.fds + 100) {
			ck_assert_uint_lt(vmb_now_ns(), until);
			t_witness_is_served();
		}
		for (unsigned i = 0; i < vmb_array_size(fds); i++)
			close(fds[i]);
	}
}
END_TEST

START_TEST(flood_of_hellos_ends_at_the_limit)
{
	int fds[200], refused = 0;

	for (unsigned i = 0; i < vmb_array_size(fds); i++) {
		fds[i] = t_raw_connect(t_witness.daemon.socket);
		refused += t_raw_hello(fds[i], "", NULL) == -EUSERS;
	}
	ck_assert_int_gt(refused, 0);
	t_witness_is_served();
	for (unsigned i = 0; i < vmb_array_size(fds); i++)
		close(fds[i]);
}
END_TEST

/* ---- the daemon's own log ------------------------------------------------ */

#define COMINGS 2000
#define LINES_PER_SECOND 34u /* twice VMBD_TALK_LINES, and what is counted */

/* Lines so far; those that have the text, too, in *having. */
static unsigned log_lines(const char *text, unsigned *having)
{
	FILE *f = fopen(t_witness.daemon.log, "r");
	unsigned lines = 0;
	char line[512];

	ck_assert_ptr_nonnull(f);
	*having = 0;
	for (; fgets(line, sizeof(line), f); lines++)
		*having += strstr(line, text) != NULL;
	fclose(f);
	return lines;
}

/* Until one more line has it. */
static void await_line(const char *text, unsigned before)
{
	uint64_t until = vmb_now_ns() + T_RAW_TIMEOUT_MS * 1000000ull;
	unsigned having;

	do {
		ck_assert_msg(vmb_now_ns() < until, "no '%s' in the log", text);
		poll(NULL, 0, 20);
		log_lines(text, &having);
	} while (having == before);
}

/* Under ever new numbers they are one user: admitted, or refused. */
START_TEST(coming_and_going_does_not_fill_the_log)
{
	const char *domain = _i ? "no name" : "";
	const char *rest = _i ? "more warnings" : "more times";
	uint64_t begin = vmb_now_ns();
	unsigned before, after, having;
	int fd;

	before = log_lines(rest, &having);
	ck_assert_uint_eq(having, 0);
	for (int i = 0; i < COMINGS; i++) {
		fd = t_raw_connect(t_witness.daemon.socket);
		ck_assert_int_eq(t_raw_hello(fd, domain, NULL),
				 _i ? -EINVAL : 0);
		close(fd);
	}
	t_raw_wait_clients(t_witness.daemon.socket, 1);
	await_line(rest, 0);
	after = log_lines(rest, &having);
	ck_assert_uint_le(after - before,
			  (unsigned)((vmb_now_ns() - begin) / 1000000000u + 2) *
				  LINES_PER_SECOND);
	/* one who comes later is heard of again */
	sleep(2);
	log_lines("in domain", &before);
	fd = t_raw_attach(t_witness.daemon.socket, "");
	await_line("in domain", before);
	close(fd);
}
END_TEST

/* ---- they do not read ---------------------------------------------------- */

struct stuck_reader {
	int fd;
	void *memory;
};

static void *read_into_nowhere(void *arg)
{
	struct stuck_reader *r = arg;
	ssize_t n = read(r->fd, r->memory, 1);

	(void)n;
	return NULL;
}

/*
 * Whoever reads a notification may hold what it reads from for ever, and then
 * nobody reads at all: the engine waits for neither.
 */
START_TEST(notifications_that_are_not_taken_hold_up_nobody)
{
	int fd = t_raw_attach(t_witness.daemon.socket, ""), uffd, zero;
	struct stuck_reader reader = {.memory = t_endless_memory(&uffd)};
	struct t_raw_endpoint ep;
	pthread_t thread;

	if (!reader.memory) {
		t_skip("no userfaultfd here");
		close(fd);
		return;
	}
	t_raw_endpoint_open(fd, VMB_ID_ANY, &ep);
	t_raw_endpoint_fence(&ep);
	reader.fd = dup(ep.notify_fd);
	ck_assert_int_eq(fcntl(reader.fd, F_SETFL, 0), 0);
	ck_assert_int_eq(
		pthread_create(&thread, NULL, read_into_nowhere, &reader), 0);
	zero = open("/dev/zero", O_RDONLY);
	ck_assert_int_eq(dup2(zero, ep.notify_fd), ep.notify_fd);
	close(zero);
	for (int i = 0; i < 1000; i++) {
		t_raw_endpoint_fence(&ep);
		if (i % 100 == 0)
			t_witness_is_served();
	}
	close(uffd); /* lets it go on */
	pthread_join(thread, NULL);
	close(reader.fd);
	for (int i = 0; i < 10; i++) /* nobody there */
		t_raw_endpoint_fence(&ep);
	t_witness_is_served();
	munmap(reader.memory, 4096);
	t_raw_endpoint_drop(&ep);
	close(fd);
}
END_TEST

#define WORD_SLEEPERS 64
#define WORD_QUEUED 16 /* times that each waits for it */

struct word_liar {
	struct vmb_control_page *ctl;
	uint32_t other; /* a word to queue sleepers at in between */
	unsigned woken;
	bool over;
};

static bool is_over(struct word_liar *l)
{
	return __atomic_load_n(&l->over, __ATOMIC_RELAXED);
}

static void *scribble_on_word(void *arg)
{
	struct word_liar *l = arg;

	for (uint32_t i = 0; !is_over(l); i++)
		__atomic_store_n(&l->ctl->notified, i * 2654435761u,
				 __ATOMIC_RELAXED);
	return NULL;
}

/* Woken or not, until it is over: a crowd for the kernel. */
static void *sleep_on_word(void *arg)
{
	struct futex_waitv words[WORD_QUEUED];
	struct word_liar *l = arg;
	struct timespec end;

	while (!is_over(l)) {
		for (int i = 0; i < WORD_QUEUED; i++)
			words[i] = (struct futex_waitv){
				.val = __atomic_load_n(&l->ctl->notified,
						       __ATOMIC_RELAXED),
				.uaddr = (uintptr_t)&l->ctl->notified,
				.flags = FUTEX_32};
		end = vmb_timespec(vmb_now_ns() + 50000000);
		if (syscall(SYS_futex_waitv, words, WORD_QUEUED, 0, &end,
			    CLOCK_MONOTONIC) >= 0)
			__atomic_add_fetch(&l->woken, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* There and back, so that the kernel holds the lock of their queue for long. */
static void *move_sleepers(void *arg)
{
	struct word_liar *l = arg;

	while (!is_over(l)) {
		syscall(SYS_futex, &l->ctl->notified, FUTEX_REQUEUE, 0, INT_MAX,
			&l->other, 0);
		syscall(SYS_futex, &l->other, FUTEX_REQUEUE, 0, INT_MAX,
			&l->ctl->notified, 0);
	}
	return NULL;
}

static void be_told_by_word(struct t_raw_endpoint *ep, uint32_t *number)
{
	for (int i = 0; i < 500; i++) {
		t_raw_endpoint_post_fence(ep, ++*number | VMB_ARM_WORD);
		while (!t_raw_endpoint_fenced(ep))
			sched_yield();
		if (i % 100 == 0)
			t_witness_is_served();
	}
}

/* The engine writes the word and never reads it, and wakes one of who sleeps. */
START_TEST(words_that_are_not_kept_hold_up_nobody)
{
	static void *(*const lies[])(void *) = {scribble_on_word,
						move_sleepers};
	int fd = t_raw_attach(t_witness.daemon.socket, "");
	pthread_t liar, sleepers[WORD_SLEEPERS];
	struct word_liar l = {.over = false};
	struct t_raw_endpoint ep;
	uint32_t number = 0;

	if (!vmb_futex_has_either()) {
		t_skip("no futex_waitv() here");
		close(fd);
		return;
	}
	t_raw_endpoint_open(fd, VMB_ID_ANY, &ep);
	l.ctl = (void *)(ep.area + VMB_AREA_CONTROL);
	for (int i = 0; i < WORD_SLEEPERS; i++)
		ck_assert_int_eq(pthread_create(&sleepers[i], NULL,
						sleep_on_word, &l),
				 0);
	be_told_by_word(&ep, &number);
	ck_assert_int_eq(pthread_create(&liar, NULL, lies[_i], &l), 0);
	be_told_by_word(&ep, &number);
	__atomic_store_n(&l.over, true, __ATOMIC_RELAXED);
	pthread_join(liar, NULL);
	for (int i = 0; i < WORD_SLEEPERS; i++)
		pthread_join(sleepers[i], NULL);
	ck_assert_uint_gt(l.woken, 0);
	t_raw_endpoint_fence(&ep); /* and by its descriptor once more */
	t_witness_is_served();
	t_raw_endpoint_drop(&ep);
	close(fd);
}
END_TEST

START_TEST(memory_that_never_answers_holds_up_its_owner_only)
{
	struct vmb_ctl_hello_reply hello;
	int fd = t_raw_connect(t_witness.daemon.socket), uffd;
	void *at = t_endless_memory(&uffd);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	union vmb_ctl_any msg;

	ck_assert_int_eq(t_raw_hello(fd, "", &hello), 0);
	if (!at || !(hello.features & VMB_FEATURE_PROCESS_MEMORY)) {
		t_skip(at ? "memory of processes is not reached here"
			  : "no userfaultfd here");
		goto out;
	}
	t_request_fill(&msg, VMB_CTL_REGISTER);
	msg.reg.kind = VMB_REGION_PROCESS;
	msg.reg.base = (uintptr_t)at;
	ck_assert_int_eq(t_raw_send(fd, &msg, msg.head.len, NULL, 0), 0);
	for (int i = 0; i < 200; i++)
		t_witness_is_served();
	ck_assert_int_eq(poll(&p, 1, 0), 0); /* it does wait */
out:
	close(fd);
	t_raw_wait_clients(t_witness.daemon.socket, 1);
	close(uffd);
}
END_TEST

/* ---- death -------------------------------------------------------------- */

/* Never returns: hold things, and use them, until the end. */
static void victim(const char *path)
{
	struct t_raw_endpoint eps[4];
	int fd = t_raw_attach(path, "");
	uint64_t key;
	char at[4096];

	for (unsigned i = 0; i < vmb_array_size(eps); i++) {
		t_raw_endpoint_open(fd, VMB_ID_ANY, &eps[i]);
		ck_assert_int_eq(t_raw_register_memfd(fd, 65536, NULL), 0);
	}
	t_raw_register_process(fd, at, sizeof(at), NULL);
	for (;;) {
		for (unsigned i = 0; i < vmb_array_size(eps); i++)
			t_raw_endpoint_fence(&eps[i]);
		ck_assert_int_eq(t_raw_register_memfd(fd, 4096, &key), 0);
		ck_assert_int_eq(t_raw_deregister(fd, key), 0);
	}
}

/*
 * An assertion that holds is written to a file that check and all its children
 * share. Who is killed in the middle of that leaves it unreadable; so a victim
 * writes nothing there.
 */
static void leave_check(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	char link[32], path[64];

	for (int fd = 3; fd < 256; fd++) {
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, path, sizeof(path) - 1);
		path[n > 0 ? n : 0] = '\0';
		if (strstr(path, "/check_"))
			dup2(null, fd);
	}
}

static bool good_runs;

static void *good_thread(void *arg)
{
	unsigned long *rounds = arg;

	while (__atomic_load_n(&good_runs, __ATOMIC_RELAXED)) {
		t_witness_is_served();
		++*rounds;
	}
	return NULL;
}

START_TEST(killed_clients_leave_nothing)
{
	unsigned long rounds = 0;
	pthread_t thread;
	uint64_t until;
	pid_t pid;

	srandom(54321);
	good_runs = true;
	ck_assert_int_eq(pthread_create(&thread, NULL, good_thread, &rounds),
			 0);
	for (int i = 0; i < KILLS; i++) {
		pid = fork();
		ck_assert_int_ge(pid, 0);
		if (!pid) {
			leave_check();
			victim(t_witness.daemon.socket);
			_exit(1);
		}
		/* a moment of its life, from before it connects to after */
		until = vmb_now_ns() + (uint64_t)random() % 10000000u;
		while (vmb_now_ns() < until)
			sched_yield();
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	}
	__atomic_store_n(&good_runs, false, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	ck_assert_uint_gt(rounds, 100);
}
END_TEST

START_TEST(child_that_keeps_the_socket_keeps_nothing_alive)
{
	int ready[2], fd;
	pid_t pid;
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		fd = t_raw_attach(t_witness.daemon.socket, "");
		ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, NULL, NULL), 0);
		if (!fork()) { /* holds a copy of the socket until told */
			close(ready[1]);
			_exit(read(ready[0], &byte, 1) != 0);
		}
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	t_raw_wait_clients(t_witness.daemon.socket, 1);
	close(ready[0]);
	close(ready[1]);
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

static void add_behaviour(Suite *s)
{
	TCase *t = add_case(s, "behaviour");

	tcase_add_test(t, replies_that_are_never_read_hold_up_nobody);
	tcase_add_test(t, unread_opens_go_with_their_client);
	tcase_add_test(t, flood_of_connections_is_survived);
	tcase_add_test(t, flood_of_hellos_ends_at_the_limit);
	tcase_add_loop_test(t, coming_and_going_does_not_fill_the_log, 0, 2);
	tcase_add_test(t, notifications_that_are_not_taken_hold_up_nobody);
	tcase_add_loop_test(t, words_that_are_not_kept_hold_up_nobody, 0, 2);
	tcase_add_test(t, memory_that_never_answers_holds_up_its_owner_only);
	tcase_add_test(t, killed_clients_leave_nothing);
	tcase_add_test(t, child_that_keeps_the_socket_keeps_nothing_alive);
}

int main(void)
{
	Suite *s = suite_create("clients");

	add_behaviour(s);
	return t_run(s);
}
