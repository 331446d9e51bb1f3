/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * xenbus.h - what a guest's kernel shim (G) and the daemon in the driver
 * domain (B, the backend) share: two granted pages and one event channel for
 * each device of type "vmb", beside a few store nodes.
 *
 *   ring page     control requests and their replies: a Xen ring (xen/io/ring.h)
 *                 of struct vmb_xen_request and struct vmb_xen_reply
 *   events page   who was kicked, who is to be notified, is the backend alive
 *
 * Neither side believes the other: a request or reply is copied once and the
 * copy is checked. See docs/xenbus.md.
 */
#ifndef VMBYPASS_ABI_XENBUS_H
#define VMBYPASS_ABI_XENBUS_H

#include <vmbypass/abi/control.h>

#define VMB_XEN_DEVICE "vmb" /* device type in the store */

#define VMB_XEN_SLOTS 1024u	/* endpoints of one device */
#define VMB_XEN_CLIENTS 1024u	/* open files of one device */
#define VMB_XEN_REFS 24u	/* grant references in one request */
#define VMB_XEN_LIST_REFS 1024u /* grant references in one list page */
#define VMB_XEN_PAGES_MAX (VMB_XEN_REFS * VMB_XEN_LIST_REFS)
#define VMB_XEN_MSG_BYTES 136u /* the longest control message */

/*
 * One control message of a client, with the pages that belong to it: the area
 * of an OPEN, the memory of a REGISTER (kind VMB_REGION_GRANT; `base` is the
 * byte offset in the first page), none otherwise.
 *
 * Up to VMB_XEN_REFS pages are named by refs[] itself. For more, each of
 * refs[] names a granted page that holds VMB_XEN_LIST_REFS references.
 */
struct vmb_xen_request {
	__u32 id;     /* G's choice, returned */
	__u32 client; /* which open file, 1..VMB_XEN_CLIENTS */
	__u32 slot;   /* OPEN: the endpoint's bit in the events page; else 0 */
	__u32 pages;  /* granted pages, 0..VMB_XEN_PAGES_MAX */
	__u32 refs[VMB_XEN_REFS];    /* unused ones are 0 */
	__u8 msg[VMB_XEN_MSG_BYTES]; /* union vmb_ctl_any */
	__u8 reserved_7c0[8];
};
VMB_ABI_AT(struct vmb_xen_request, refs, 16);
VMB_ABI_AT(struct vmb_xen_request, msg, 112);
_Static_assert(sizeof(struct vmb_xen_request) == 256, "fixed");
_Static_assert(sizeof(union vmb_ctl_any) == VMB_XEN_MSG_BYTES, "it fits");

struct vmb_xen_reply {
	__u32 id;
	__u32 client;
	__u8 msg[VMB_XEN_MSG_BYTES];
};
VMB_ABI_AT(struct vmb_xen_reply, msg, 8);
_Static_assert(sizeof(struct vmb_xen_reply) == 144, "fixed");

/*
 * The first message about a client is its HELLO. The last is LEAVE, which only
 * the shim sends, when the file was closed: a head alone. Its reply says that
 * nothing of the client's is mapped any more.
 */
#define VMB_CTL_LEAVE 9u

/*
 * Both sides set and clear bits with atomic operations; a bit that lies costs
 * one useless look. Bit n is the endpoint that was opened with slot n.
 */
struct vmb_xen_events {
	__u64 kicks[VMB_XEN_SLOTS / 64]; /* G sets, B takes */
	__u8 reserved_400[896];
	__u64 notes[VMB_XEN_SLOTS / 64]; /* B sets, G takes */
	__u8 reserved_2400[896];
	/* B sets it to 1 before it is Connected. The hypervisor or the kernel of
	 * B clears it, and sends an event, when B unmaps the page or dies. */
	__u8 alive;
	__u8 reserved_4008[2047];
};
VMB_ABI_AT(struct vmb_xen_events, notes, 1024);
VMB_ABI_AT(struct vmb_xen_events, alive, 2048);
_Static_assert(sizeof(struct vmb_xen_events) == VMB_PAGE, "one page");

#endif
