/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * chardev.h - /dev/vmbypass: how a process of a guest reaches its kernel shim.
 *
 * The control file speaks abi/control.h: write() one request, read() one
 * reply, poll(). An endpoint has a file of its own, which is mapped for its
 * area, polled and read for notifications, written for a kick.
 * See docs/chardev.md.
 */
#ifndef VMBYPASS_ABI_CHARDEV_H
#define VMBYPASS_ABI_CHARDEV_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VMB_CHARDEV_PATH "/dev/vmbypass"
#define VMB_CHARDEV_OUTSTANDING 64u /* requests of one file without a reply */

/* The file of an endpoint that this control file opened. */
struct vmb_chardev_endpoint {
	__u32 handle;	   /* in: of the reply to OPEN */
	__u32 reserved_20; /* 0 */
};
_Static_assert(sizeof(struct vmb_chardev_endpoint) == 8, "fixed");

/*
 * Returns a new file descriptor, close-on-exec. -ENOENT: no such endpoint of
 * this file; -EINVAL: reserved bits; -EMFILE, -ENFILE, -ENOMEM, -EFAULT.
 */
#define VMB_IOC_ENDPOINT _IOW('V', 0x40, struct vmb_chardev_endpoint)

#endif
