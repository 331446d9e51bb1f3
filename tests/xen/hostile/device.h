/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * device.h - a client of /dev/vmbypass that speaks the control messages itself,
 * for tests that send what no library would.
 *
 * Flow:  chardev.c, lies.c, memory.c -> [here] -> shim
 * Owns:  nothing: what is opened, the caller or the end of its process closes.
 * Trust: the shim is under test: each reply is checked against its request. What
 *        cannot be fails the test.
 */
#ifndef VMB_TESTS_XEN_DEVICE_H
#define VMB_TESTS_XEN_DEVICE_H

#include <check.h>
#include <errno.h>
#include <stdint.h>

#include <vmbypass/abi/chardev.h>
#include <vmbypass/abi/control.h>

extern const struct vmb_geometry small;

uint64_t now_ms(void);
/* The device, as soon as a backend is connected. */
int device_open(void);
/* What poll() says of fd, which it must soon. */
short wait_for(int fd, short events);

/* A message of len bytes, zeroed but for its head, with a tag of its own. */
void msg_init(union vmb_ctl_any *msg, uint32_t op, size_t len);
/* Sends msg, whose reply replaces it. Returns the status. */
int call(int fd, union vmb_ctl_any *msg);
int hello(int fd);
/* device_open() and hello(). */
int client_open(void);

/* These return the status of the reply. */
int endpoint_open(int fd, const struct vmb_geometry *g, uint32_t *handle);
int endpoint_close(int fd, uint32_t handle);
int region_open(int fd, uint32_t kind, const void *base, uint64_t len,
		uint64_t *key);
int region_close(int fd, uint64_t key);
/* The file of an endpoint, or -1 and errno. */
int endpoint_fd(int fd, uint32_t handle);

/* The file of an endpoint that has ended says so. */
void check_ended(int ep);

/* Pages of this process. */
void *pages_map(size_t count);

/* A call that returns -1, and errno is that. */
#define ck_fails(call_, errno_)                                   \
	do {                                                      \
		errno = 0;                                        \
		ck_assert_msg((call_) == -1 && errno == (errno_), \
			      #call_ ": %m, not " #errno_);       \
	} while (0)

/* lies.c: the suite for a backend that lies. */
Suite *suite_backend(void);

/* memory.c: replies that are read late; memory of another guest. */
TCase *case_late(void);
Suite *suite_foreign(void);
/* Grants a page to a domain, prints the reference, and stays. */
int page_share(uint32_t domain);

#endif
