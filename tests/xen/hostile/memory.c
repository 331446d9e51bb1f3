// SPDX-License-Identifier: BSD-2-Clause
/*
 * memory.c - a process of a guest whose memory is not what the shim may take it
 * for: the case "late" of chardev.c.
 *
 * Flow:  [here], in a guest -> shim
 * Owns:  nothing: what a test opens, it or its end closes
 * Trust: the shim is under test. Whatever memory a process names, the shim does
 *        what docs/chardev.md says.
 */
#include "hostile/device.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

/* ---- case "late": memory that takes its time ------------------------------- */

/* Who touches the page waits, until the descriptor is closed. */
static int page_watch(void *page)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {
		.range = {.start = (uintptr_t)page, .len = VMB_PAGE},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	ck_assert_msg(fd >= 0, "userfaultfd: %m");
	ck_assert_int_eq(ioctl(fd, UFFDIO_API, &api), 0);
	ck_assert_int_eq(ioctl(fd, UFFDIO_REGISTER, &range), 0);
	return fd;
}

struct late {
	int fd;
	void *to;
	ssize_t n;
	int err;
};

static void *late_read(void *arg)
{
	struct late *late = arg;

	late->n = read(late->fd, late->to, sizeof(union vmb_ctl_any));
	late->err = errno;
	return NULL;
}

static ssize_t close_send(int fd)
{
	union vmb_ctl_any msg;

	msg_init(&msg, VMB_CTL_CLOSE, sizeof(msg.close));
	return write(fd, &msg, sizeof(msg.close));
}

/*
 * A reader that has taken a reply, and does not get it copied, makes no room:
 * neither while it tries nor when it gives up.
 */
START_TEST(counts_a_reply_until_it_was_copied)
{
	struct late late = {.fd = client_open(), .to = pages_map(1)};
	int fd = late.fd, watch = page_watch(late.to);
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	union vmb_ctl_any msg;
	pthread_t reader;

	for (uint32_t i = 0; i < VMB_CHARDEV_OUTSTANDING; i++)
		ck_assert_int_eq(close_send(fd), sizeof(msg.close));
	ck_assert_int_eq(pthread_create(&reader, NULL, late_read, &late), 0);
	ck_assert_int_eq(wait_for(watch, POLLIN), POLLIN);
	ck_fails(close_send(fd), EAGAIN);
	ck_assert_int_eq(poll(&p, 1, 0), 0);

	munmap(late.to, VMB_PAGE);
	close(watch);
	pthread_join(reader, NULL);
	ck_assert_int_eq(late.n, -1);
	ck_assert_int_eq(late.err, EFAULT);
	ck_fails(close_send(fd), EAGAIN);
	ck_assert_int_eq(poll(&p, 1, 0), 0);

	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	for (uint32_t i = 0; i < VMB_CHARDEV_OUTSTANDING; i++)
		ck_assert_int_eq(read(fd, &msg, sizeof(msg)), sizeof(msg.head));
	ck_fails(read(fd, &msg, sizeof(msg)), EAGAIN);
	ck_assert_int_eq(close_send(fd), sizeof(msg.close));
}
END_TEST

TCase *case_late(void)
{
	TCase *tc = tcase_create("late");

	tcase_set_timeout(tc, 400);
	tcase_add_test(tc, counts_a_reply_until_it_was_copied);
	return tc;
}
