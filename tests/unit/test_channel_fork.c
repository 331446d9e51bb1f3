// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_channel_fork.c - a channel of a process with many threads, one of which
 * forks: what the child must leave alone, and what it must not keep. What a
 * port says in a child is in test_channel.c.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/barrier.h"
#include "port/channel.h"
#include "support/run.h"

#define STACK_BYTES (4u << 20) /* ThreadSanitizer needs one of them */
#define WINDOW_MS 300

static const struct vmb_carrier carrier = {.send = vmb_socket_send,
					   .receive = vmb_socket_receive};

int __real_close(int fd);
int __wrap_close(int fd);

static struct vmb_channel *open_channel(int *fd, int *daemon_fd)
{
	struct vmb_channel *ch;
	int fds[2];

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(vmb_channel_open(&carrier, fds[0], 20000, &ch), 0);
	*fd = fds[0];
	*daemon_fd = fds[1];
	return ch;
}

static struct vmb_channel_call make_call(void)
{
	return (struct vmb_channel_call){
		.request.head = {.op = VMB_CTL_CONNECT,
				 .len = sizeof(struct vmb_ctl_connect)},
		.request_fd = -1,
		.reply_bytes = sizeof(struct vmb_ctl_connect_reply),
	};
}

static void expect_request(int daemon_fd)
{
	union vmb_ctl_any request;

	ck_assert_int_eq(recv(daemon_fd, &request, sizeof(request), 0),
			 sizeof(struct vmb_ctl_connect));
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void expect_success(pid_t child)
{
	int status;

	ck_assert_int_ge(child, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}

/* ---- calls of other threads --------------------------------------------- */

static void *call_thread(void *ch)
{
	struct vmb_channel_call call = make_call();

	return (void *)(intptr_t)vmb_channel_call(ch, &call, -1);
}

/* Its call lies on a stack that may have any use in a child. */
static pthread_t start_on(void *stack, struct vmb_channel *ch)
{
	pthread_attr_t attr;
	pthread_t thread;

	ck_assert_int_eq(pthread_attr_init(&attr), 0);
	ck_assert_int_eq(pthread_attr_setstack(&attr, stack, STACK_BYTES), 0);
	ck_assert_int_eq(pthread_create(&thread, &attr, call_thread, ch), 0);
	pthread_attr_destroy(&attr);
	return thread;
}

static int close_without(void *stack, struct vmb_channel *ch, int fd)
{
	if (is_open(fd) || munmap(stack, STACK_BYTES))
		return 1;
	/* the number is another's now */
	if (open("/dev/null", O_RDONLY | O_CLOEXEC) != fd)
		return 2;
	vmb_channel_close(ch);
	return is_open(fd) ? 0 : 3;
}

START_TEST(child_leaves_calls_of_other_threads_alone)
{
	void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vmb_channel_call call = make_call();
	struct vmb_channel *ch;
	int fd, daemon_fd;
	pthread_t thread;
	uint32_t tag;
	void *result;
	pid_t child;

	ck_assert_ptr_ne(stack, MAP_FAILED);
	ch = open_channel(&fd, &daemon_fd);
	ck_assert_int_eq(vmb_channel_start(ch, &call, &tag), 0);
	thread = start_on(stack, ch);
	expect_request(daemon_fd);
	expect_request(daemon_fd); /* it is in the table */
	child = fork();
	if (!child)
		_exit(close_without(stack, ch, fd));
	expect_success(child);
	close(daemon_fd);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_int_eq((int)(intptr_t)result, -EPIPE);
	vmb_channel_close(ch);
	munmap(stack, STACK_BYTES);
}
END_TEST

/* ---- a fork in the middle of a close -------------------------------------- */

static struct {
	pid_t process; /* 0: nothing is watched */
	int fd;
	bool closing, forked;
} window;

/* Leave the other thread time to fork, which it may have to wait with. */
int __wrap_close(int fd)
{
	if (window.process == getpid() && fd == window.fd) {
		vmb_publish(&window.closing, true);
		for (int i = 0; i < WINDOW_MS && !vmb_observe(&window.forked);
		     i++)
			usleep(1000);
	}
	return __real_close(fd);
}

static void *fork_thread(void *arg)
{
	pid_t child;

	(void)arg;
	while (!vmb_observe(&window.closing))
		usleep(1000);
	child = fork();
	if (!child)
		_exit(is_open(window.fd));
	vmb_publish(&window.forked, true);
	return (void *)(intptr_t)child;
}

START_TEST(fork_beside_a_close_keeps_nothing_open)
{
	struct vmb_channel *ch;
	pthread_t thread;
	int daemon_fd;
	void *child;

	ch = open_channel(&window.fd, &daemon_fd);
	window.process = getpid();
	ck_assert_int_eq(pthread_create(&thread, NULL, fork_thread, NULL), 0);
	vmb_channel_close(ch);
	ck_assert_int_eq(pthread_join(thread, &child), 0);
	window.process = 0;
	expect_success((pid_t)(intptr_t)child);
	close(daemon_fd);
}
END_TEST

static Suite *fork_suite(void)
{
	Suite *s = suite_create("channel_fork");
	TCase *c = tcase_create("fork");

	tcase_add_test(c, child_leaves_calls_of_other_threads_alone);
	tcase_add_test(c, fork_beside_a_close_keeps_nothing_open);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return t_run(fork_suite());
}
