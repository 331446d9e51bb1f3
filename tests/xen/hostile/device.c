// SPDX-License-Identifier: BSD-2-Clause
/*
 * device.c - see device.h.
 */
#include "hostile/device.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SOON_MS 60000 /* an emulated machine is slow, and shared */

const struct vmb_geometry small = {
	.eq_slots = VMB_EQ_SLOTS_MIN,
	.rx_bytes = VMB_RX_BYTES_MIN,
	.tx_bytes = VMB_TX_BYTES_MIN,
};

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

int device_open(void)
{
	uint64_t end = now_ms() + SOON_MS;
	int fd;

	while ((fd = open(VMB_CHARDEV_PATH, O_RDWR | O_CLOEXEC)) < 0) {
		ck_assert_msg(errno == ENXIO || errno == ENOENT, "open: %m");
		ck_assert_msg(now_ms() < end, "no backend");
		usleep(20000);
	}
	return fd;
}

short wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	ck_assert_int_eq(poll(&p, 1, SOON_MS), 1);
	return p.revents;
}

void msg_init(union vmb_ctl_any *msg, uint32_t op, size_t len)
{
	static uint32_t tags;

	memset(msg, 0, sizeof(*msg));
	msg->head.op = op;
	msg->head.tag = ++tags;
	msg->head.len = len;
}

int call(int fd, union vmb_ctl_any *msg)
{
	struct vmb_ctl_head head = msg->head;
	ssize_t n;

	ck_assert_msg(write(fd, msg, head.len) == (ssize_t)head.len,
		      "write: %m");
	wait_for(fd, POLLIN);
	n = read(fd, msg, sizeof(*msg));
	ck_assert_msg(n >= (ssize_t)sizeof(head), "read: %zd, %m", n);
	ck_assert_int_eq(msg->head.len, n);
	ck_assert_int_eq(msg->head.op, head.op);
	ck_assert_int_eq(msg->head.tag, head.tag);
	return msg->head.status;
}

int hello(int fd)
{
	union vmb_ctl_any msg;

	msg_init(&msg, VMB_CTL_HELLO, sizeof(msg.hello));
	msg.hello.abi_major = VMB_ABI_MAJOR;
	return call(fd, &msg);
}

int client_open(void)
{
	int fd = device_open();

	ck_assert_int_eq(hello(fd), 0);
	return fd;
}

int endpoint_open(int fd, const struct vmb_geometry *g, uint32_t *handle)
{
	union vmb_ctl_any msg;
	int status;

	msg_init(&msg, VMB_CTL_OPEN, sizeof(msg.open));
	msg.open.id = VMB_ID_ANY;
	msg.open.geometry = *g;
	status = call(fd, &msg);
	*handle = msg.open_reply.handle;
	return status;
}

int endpoint_close(int fd, uint32_t handle)
{
	union vmb_ctl_any msg;

	msg_init(&msg, VMB_CTL_CLOSE, sizeof(msg.close));
	msg.close.handle = handle;
	return call(fd, &msg);
}

int endpoint_fd(int fd, uint32_t handle)
{
	struct vmb_chardev_endpoint which = {.handle = handle};

	return ioctl(fd, VMB_IOC_ENDPOINT, &which);
}

int region_open(int fd, uint32_t kind, const void *base, uint64_t len,
		uint64_t *key)
{
	union vmb_ctl_any msg;
	int status;

	msg_init(&msg, VMB_CTL_REGISTER, sizeof(msg.reg));
	msg.reg.kind = kind;
	msg.reg.base = (uintptr_t)base;
	msg.reg.len = len;
	status = call(fd, &msg);
	*key = msg.reg_reply.key;
	return status;
}

int region_close(int fd, uint64_t key)
{
	union vmb_ctl_any msg;

	msg_init(&msg, VMB_CTL_DEREGISTER, sizeof(msg.dereg));
	msg.dereg.key = key;
	return call(fd, &msg);
}

void *pages_map(size_t count)
{
	void *p = mmap(NULL, count * VMB_PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert(p != MAP_FAILED);
	return p;
}

void check_ended(int ep)
{
	uint64_t word;

	ck_assert_int_eq(wait_for(ep, POLLIN), POLLIN | POLLHUP);
	ck_assert_int_eq(read(ep, &word, sizeof(word)), 0);
	ck_fails(write(ep, &word, sizeof(word)), EPIPE);
}
