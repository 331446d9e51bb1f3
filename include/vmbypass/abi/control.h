/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * control.h - what a port and the daemon say to each other, never on the data
 * path. Eight operations. On the local platform each message is one packet of
 * a SOCK_SEQPACKET Unix socket; file descriptors travel with it as SCM_RIGHTS.
 *
 * A request is answered by exactly one reply with its `op` and `tag`, in any
 * order. Reserved fields are 0 and are checked. See docs/control.md.
 */
#ifndef VMBYPASS_ABI_CONTROL_H
#define VMBYPASS_ABI_CONTROL_H

#include <vmbypass/abi/doorbell.h>
#include <vmbypass/abi/lane.h>
#include <vmbypass/abi/region.h>

#define VMB_ABI_MAJOR 1u /* differs: refused */
#define VMB_ABI_MINOR 0u /* the lower of the two is spoken */

/* feature bits: a side offers, the reply holds what both have */
#define VMB_FEATURE_PROCESS_MEMORY (1ull << 0) /* VMB_REGION_PROCESS works */
#define VMB_FEATURE_BARRIER (1ull << 1)	       /* see docs/signalling.md */
#define VMB_FEATURE_PEER_PROCESS (1ull << 2) /* LANE tells the other process */
#define VMB_FEATURE_WAKE_WORD (1ull << 3)    /* VMB_ARM_WORD works */
#define VMB_FEATURES_ALL                                    \
	(VMB_FEATURE_PROCESS_MEMORY | VMB_FEATURE_BARRIER | \
	 VMB_FEATURE_PEER_PROCESS | VMB_FEATURE_WAKE_WORD)

#define VMB_CTL_HELLO 1u
#define VMB_CTL_OPEN 2u
#define VMB_CTL_CLOSE 3u
#define VMB_CTL_REGISTER 4u
#define VMB_CTL_DEREGISTER 5u
#define VMB_CTL_CONNECT 6u
#define VMB_CTL_LOOKUP 7u
#define VMB_CTL_LANE 8u

#define VMB_NAME_BYTES 80u     /* host or board name with its NUL */
#define VMB_ID_ANY 0xffffffffu /* OPEN: lowest free endpoint id */
#define VMB_ID_MAX 65535u

struct vmb_ctl_head {
	__u32 op;     /* VMB_CTL_* */
	__u32 tag;    /* chosen by the client, returned */
	__s32 status; /* request: 0; reply: 0 or -errno */
	__u32 len;    /* bytes of the whole message, this head included */
};
_Static_assert(sizeof(struct vmb_ctl_head) == 16, "fixed");

/* First message. An empty domain: a protection domain of the client's own. */
struct vmb_ctl_hello {
	struct vmb_ctl_head head;
	__u16 abi_major, abi_minor;
	__u32 reserved_a0;
	__u64 features;
	char domain[VMB_NAME_BYTES]; /* [A-Za-z0-9._-]*, NUL-padded */
};
_Static_assert(sizeof(struct vmb_ctl_hello) == 112, "fixed");

struct vmb_ctl_hello_reply {
	struct vmb_ctl_head head;
	__u16 abi_major, abi_minor;
	__u32 domain_id;
	__u64 features;
	__u64 nic_id;	     /* of the client's board; 48 bits, not 0 */
	__u32 endpoints_max; /* this client may open */
	__u32 engine_threads;
	__u64 memory_max;	   /* bytes this client may register */
	char name[VMB_NAME_BYTES]; /* "host:board" of the client's board */
};
_Static_assert(sizeof(struct vmb_ctl_hello_reply) == 136, "fixed");

/* With one fd: a memfd of VMB_AREA_BYTES, sealed against any resizing. */
struct vmb_ctl_open {
	struct vmb_ctl_head head;
	__u32 id;  /* endpoint id on the board, or VMB_ID_ANY */
	__u32 key; /* compared when a peer connects */
	struct vmb_geometry geometry;
};
_Static_assert(sizeof(struct vmb_ctl_open) == 40, "fixed");

/* With two fds: eventfd to kick the engine; socket the engine notifies. */
struct vmb_ctl_open_reply {
	struct vmb_ctl_head head;
	__u32 handle;
	__u32 id;
	__u32 session; /* random, never 0: tells instances of an id apart */
	__u32 reserved_e0;
};
_Static_assert(sizeof(struct vmb_ctl_open_reply) == 32, "fixed");

struct vmb_ctl_close {
	struct vmb_ctl_head head;
	__u32 handle;
	__u32 reserved_a0;
};

/*
 * VMB_REGION_MEMFD comes with one fd, sealed like the area. The region is
 * exactly [base, base + len), which lies inside the file.
 */
struct vmb_ctl_register {
	struct vmb_ctl_head head;
	__u32 kind;   /* VMB_REGION_* */
	__u32 access; /* VMB_ACCESS_* */
	__u64 base;   /* MEMFD: byte offset in it; PROCESS: virtual address */
	__u64 len;    /* bytes, not 0 */
};
_Static_assert(sizeof(struct vmb_ctl_register) == 40, "fixed");

struct vmb_ctl_register_reply {
	struct vmb_ctl_head head;
	__u64 key;
};

struct vmb_ctl_deregister {
	struct vmb_ctl_head head;
	__u64 key;
};

/*
 * Errors: -ENXIO no such nic; -EINVAL id out of range; -ECONNREFUSED endpoint
 * not open; -EKEYREJECTED wrong key.
 */
struct vmb_ctl_connect {
	struct vmb_ctl_head head;
	__u64 nic_id;
	__u32 id;
	__u32 key;
};

struct vmb_ctl_connect_reply {
	struct vmb_ctl_head head;
	__u32 handle;
	__u32 session;
};

#define VMB_LOOKUP_NAME 1u   /* name -> nic_id */
#define VMB_LOOKUP_NIC 2u    /* nic_id -> name */
#define VMB_LOOKUP_HANDLE 3u /* handle -> nic_id, id, session, name */

/*
 * Both directions; unused fields 0. -ENOENT: not known. A handle may be that of
 * an endpoint that was closed.
 */
struct vmb_ctl_lookup {
	struct vmb_ctl_head head;
	__u32 kind; /* VMB_LOOKUP_* */
	__u32 handle;
	__u64 nic_id;
	__u32 id;
	__u32 session;
	char name[VMB_NAME_BYTES];
};
_Static_assert(sizeof(struct vmb_ctl_lookup) == 120, "fixed");

#define VMB_LANE_OFFER 1u  /* R: make one, from @peer to my @handle */
#define VMB_LANE_ACCEPT 2u /* S: the one of @ticket, from my @handle to @peer */
#define VMB_LANE_CLOSE 3u  /* R: the one of @ticket is not used any more */

#define VMB_LANE_SAME_GUEST 0x7ff0u /* @guest: our own; Xen's DOMID_SELF */

/*
 * Request and reply, see docs/lane.md. The reply to OFFER and ACCEPT brings
 * the sizes, the ticket and, on the local platform, one fd: a sealed memfd of
 * VMB_LANE_LEN(slots, bytes). With VMB_FEATURE_PEER_PROCESS on both sides, and
 * where both are processes of one user, a second one follows: a pidfd of the
 * other side's process. Unused fields are 0.
 *
 * Errors: -ENOENT handle or ticket is not known, or not the client's; -EXDEV
 * not on one host; -EDQUOT the policy allows no more; -EINVAL sizes;
 * -EALREADY accepted before; -EOPNOTSUPP this platform makes no lanes.
 */
struct vmb_ctl_lane {
	struct vmb_ctl_head head;
	__u32 kind;   /* VMB_LANE_* */
	__u32 handle; /* own endpoint; CLOSE: 0 */
	__u32 peer;   /* the other one; CLOSE: 0 */
	__u32 slots;  /* OFFER, and replies */
	__u32 bytes;  /* the same: of the buffers */
	__u32 reason; /* CLOSE: VMB_CODE_* of what the sender did, or 0 */
	__u64 ticket; /* OFFER: 0 */
	__u32 guest;  /* reply on Xen: where the other side is; else 0 */
	__u32 reserved_1a0;
};
_Static_assert(sizeof(struct vmb_ctl_lane) == 56, "fixed");

union vmb_ctl_any {
	struct vmb_ctl_head head;
	struct vmb_ctl_hello hello;
	struct vmb_ctl_hello_reply hello_reply;
	struct vmb_ctl_open open;
	struct vmb_ctl_open_reply open_reply;
	struct vmb_ctl_close close;
	struct vmb_ctl_register reg;
	struct vmb_ctl_register_reply reg_reply;
	struct vmb_ctl_deregister dereg;
	struct vmb_ctl_connect connect;
	struct vmb_ctl_connect_reply connect_reply;
	struct vmb_ctl_lookup lookup;
	struct vmb_ctl_lane lane;
};

#endif
