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
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/channel.h"

#define STACK_BYTES (4u << 20) /* ThreadSanitizer needs one of them */

static const struct vmb_carrier carrier = {.send = vmb_socket_send,
					   .receive = vmb_socket_receive};

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

static Suite *fork_suite(void)
{
	Suite *s = suite_create("channel_fork");
	TCase *c = tcase_create("fork");

	tcase_add_test(c, child_leaves_calls_of_other_threads_alone);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(fork_suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
