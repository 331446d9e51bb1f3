// SPDX-License-Identifier: BSD-2-Clause
/*
 * memory.c - a process of a guest whose memory is not what the shim may take it
 * for: the case "late" and the suite "foreign" of chardev.c.
 *
 * Flow:  [here], in a guest -> shim -> vmbd; another guest -> [here]: a page
 * Owns:  nothing: what a test opens, it or its end closes
 * Trust: the shim is under test. Whatever memory a process names, the shim does
 *        what docs/chardev.md says, and the daemon hears no lie.
 */
#include "hostile/device.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>
#include <xen/gntalloc.h>

/* gntdev.h names these types of Xen's and does not say what they are */
typedef uint16_t domid_t;
typedef uint32_t grant_ref_t;
#include <xen/gntdev.h>

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

/* ---- suite "foreign": memory of another guest ------------------------------ */

#define MARK 0x6e6f7420796f7572ull

int page_share(uint32_t domain)
{
	struct ioctl_gntalloc_alloc_gref ask = {
		.domid = (uint16_t)domain,
		.flags = GNTALLOC_FLAG_WRITABLE,
		.count = 1,
	};
	int fd = open("/dev/xen/gntalloc", O_RDWR | O_CLOEXEC);
	uint64_t *page = MAP_FAILED;

	if (fd >= 0 && !ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, &ask))
		page = mmap(NULL, VMB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			    fd, (off_t)ask.index);
	if (page == MAP_FAILED) {
		perror("gntalloc");
		return 1;
	}
	*page = MARK;
	printf("%u\n", ask.gref_ids[0]);
	fflush(stdout);
	for (;;)
		pause();
}

/* Maps there what $VMB_FOREIGN names: "DOMAIN REFERENCE". */
static void foreign_map(void *at)
{
	struct ioctl_gntdev_map_grant_ref ask = {.count = 1};
	const char *where = getenv("VMB_FOREIGN");
	int fd = open("/dev/xen/gntdev", O_RDWR | O_CLOEXEC);

	ck_assert(where && sscanf(where, "%u %u", &ask.refs[0].domid,
				  &ask.refs[0].ref) == 2);
	ck_assert_msg(fd >= 0, "gntdev: %m");
	ck_assert_int_eq(ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, &ask), 0);
	ck_assert_msg(mmap(at, VMB_PAGE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED, fd, (off_t)ask.index) == at,
		      "mmap: %m");
	close(fd);
	ck_assert_uint_eq(*(volatile uint64_t *)at, MARK);
}

/*
 * The daemon answers -EFAULT as well, where a grant is of no use, but sixteen
 * times: then it has sent the guest away.
 */
START_TEST(refuses_memory_of_another_guest)
{
	int fd = client_open();
	char *p = pages_map(3), *foreign = p + VMB_PAGE;
	uint64_t key;

#define REGISTER(base_, len_) \
	region_open(fd, VMB_REGION_GRANT, base_, len_, &key)
	foreign_map(foreign);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(REGISTER(foreign, VMB_PAGE), -EFAULT);
		ck_assert_int_eq(REGISTER(p, 3 * VMB_PAGE), -EFAULT);
		ck_assert_int_eq(REGISTER(foreign - 1, 2), -EFAULT);
		ck_assert_int_eq(REGISTER(foreign + VMB_PAGE - 1, 2), -EFAULT);
	}
	/* what lies beside it is ours, and so is what takes its place */
	ck_assert_int_eq(REGISTER(p, VMB_PAGE), 0);
	ck_assert_int_eq(region_close(fd, key), 0);
	ck_assert_int_eq(munmap(foreign, VMB_PAGE), 0);
	ck_assert_int_eq(REGISTER(p, 3 * VMB_PAGE), -EFAULT);
	ck_assert(mmap(foreign, VMB_PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		       0) == foreign);
	ck_assert_int_eq(REGISTER(p, 3 * VMB_PAGE), 0);
#undef REGISTER
}
END_TEST

Suite *suite_foreign(void)
{
	Suite *suite = suite_create("foreign");
	TCase *tc = tcase_create("foreign");

	tcase_set_timeout(tc, 400);
	tcase_add_test(tc, refuses_memory_of_another_guest);
	suite_add_tcase(suite, tc);
	return suite;
}
