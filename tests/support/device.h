/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * device.h - /dev/vmbypass without a kernel: system calls on it are taken over
 * when the program is linked (vmb_test_device: --wrap), so that the product
 * knows nothing of it. A listening SOCK_SEQPACKET socket stands for the device.
 *
 * Flow:  kshim.c -> open, write, read, poll, ioctl, mmap -> [here]
 *        -> what listens: shim.c with the engine, or the scripts of a test
 * Owns:  what docs/chardev.md says of the system calls themselves.
 * Trust: the calls of the port under test are checked as the shim would.
 *
 * open() of the path of a socket connects to it ("@NAME": an abstract one), and
 * that is a control file: whoever accepted reads the requests and sends the
 * replies. It may lie in them.
 */
#ifndef TESTS_SUPPORT_DEVICE_H
#define TESTS_SUPPORT_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include <vmbypass/abi/chardev.h>

/*
 * Where VMB_CHARDEV_PATH leads to; NULL: there is no such file. Without a call
 * it is what this machine has.
 */
void t_device_link(const char *path);

/* open() of a device fails with this error; 0: it does not. */
void t_device_refuse(int error);

/* Who answers VMB_IOC_ENDPOINT: a new file, or -errno. NULL: -ENOENT. */
typedef int (*t_device_endpoint_fn)(void *arg,
				    const struct vmb_chardev_endpoint *asked);
void t_device_on_endpoint(t_device_endpoint_fn fn, void *arg);

/*
 * Make the file of an endpoint, to be given to the client. Its area is
 * [area, area + len), mapped shared, and stays the caller's. *end: 8 bytes
 * sent there are a notification, 8 bytes that arrive a kick; closing it ends
 * the endpoint.
 */
int t_device_endpoint(void *area, size_t len, int *end);

#endif
