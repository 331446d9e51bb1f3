// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmbypass.ko: begin and end.
 *
 * Flow:  xenbus.c finds the device and makes a connection (conn.c); chardev.c
 *        lets processes use it, as clients (client.c)
 * Owns:  the workqueue; nothing in it waits for a process
 */
#include "shim.h"

#include <xen/xen.h>

struct workqueue_struct *vmb_wq;

static int __init vmb_init(void)
{
	int err;

	if (!xen_domain())
		return -ENODEV;

	vmb_wq = alloc_workqueue("vmbypass", WQ_UNBOUND, 0);
	if (!vmb_wq)
		return -ENOMEM;

	vmb_memory_init();
	err = vmb_xenbus_register();
	if (err)
		destroy_workqueue(vmb_wq);
	return err;
}

/* No file is open: each holds the module. */
static void __exit vmb_exit(void)
{
	vmb_xenbus_unregister();
	flush_workqueue(vmb_wq);
	vmb_memory_exit();
	destroy_workqueue(vmb_wq);
}

module_init(vmb_init);
module_exit(vmb_exit);

MODULE_DESCRIPTION("vmbypass: the NIC of a driver domain for processes of a Xen guest");
MODULE_AUTHOR("The vmbypass authors");
MODULE_LICENSE("GPL");
MODULE_ALIAS("xen:" VMB_XEN_DEVICE);
