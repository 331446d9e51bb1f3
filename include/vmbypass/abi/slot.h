/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * slot.h - one slot of a ring: the contract between two sides that do not
 * trust each other.
 *
 * The same 64 bytes serve as descriptor (client to engine, in the doorbell
 * page), as event (engine to client, in the event queue) and, between
 * co-resident endpoints, as message in a lane. A slot is written whole by its
 * producer, `seq` last and with release; the consumer reads `seq` with
 * acquire, copies the slot once, and checks the copy. See docs/slot.md.
 */
#ifndef VMBYPASS_ABI_SLOT_H
#define VMBYPASS_ABI_SLOT_H

#include <linux/types.h>
#ifdef __KERNEL__
#include <linux/stddef.h>
#else
#include <stddef.h>
#endif

#define VMB_ABI_AT(type, field, byte)                   \
	_Static_assert(offsetof(type, field) == (byte), \
		       #type "." #field " moved")

#define VMB_SLOT_BYTES 64u
#define VMB_INLINE_ONE 40u  /* payload bytes that fit in one slot */
#define VMB_INLINE_PAIR 96u /* and in a slot with its extension */

/* Descriptor operations. */
#define VMB_OP_SEND 0x01  /* active message to @peer */
#define VMB_OP_PUT 0x02	  /* own region -> region of @peer */
#define VMB_OP_GET 0x03	  /* region of @peer -> own region */
#define VMB_OP_FENCE 0x04 /* hold later descriptors until earlier PUT/GET end */

/* Event operations. */
#define VMB_EV_ARRIVE 0x41 /* a SEND of @peer arrived */
#define VMB_EV_DONE 0x42   /* a PUT, GET or FENCE of ours ended */
#define VMB_EV_BOUNCE 0x43 /* a SEND of ours comes back, @status says why */
#define VMB_EV_ROOM 0x44   /* @peer, which bounced us, has room again */
#define VMB_EV_GONE 0x45   /* @peer, whom we have met, closed or was faulted */
#define VMB_EV_FAULT 0x46  /* this endpoint is faulted; @hdr is the position */

/* Flags. Unknown flags fault the endpoint. */
#define VMB_F_PAIR 0x01	  /* the next slot is an extension of this one */
#define VMB_F_BUF 0x02	  /* payload is struct vmb_slot_buf, not the data */
#define VMB_F_RESUME 0x04 /* SEND: the sender has seen the bounces of @peer */

/* Codes: why the engine refused. 0 is success. Strings: docs/slot.md. */
#define VMB_CODE_OK 0
#define VMB_CODE_NO_ROOM 1    /* @peer has no room; wait for VMB_EV_ROOM */
#define VMB_CODE_PEER_GONE 2  /* @peer was open once, is not any more */
#define VMB_CODE_BAD_PEER 3   /* @peer names none that it may send to */
#define VMB_CODE_BAD_OP 4     /* unknown operation */
#define VMB_CODE_BAD_FLAGS 5  /* unknown flag, or reserved bits not zero */
#define VMB_CODE_BAD_LENGTH 6 /* length over the limit of the operation */
#define VMB_CODE_BAD_KEY 7    /* no such region in that protection domain */
#define VMB_CODE_STALE_KEY 8  /* the region was deregistered */
#define VMB_CODE_BAD_RANGE 9  /* offset + length past the end of the region */
#define VMB_CODE_DENIED 10    /* the region does not allow this access */
#define VMB_CODE_BAD_SEQ 11   /* a sequence word neither due nor of last lap */
#define VMB_CODE_BAD_CONSUMER 12 /* a consumer position that is impossible */
#define VMB_CODE_UNREACHABLE 13	 /* the kernel refused to reach the memory */
#define VMB_CODE_COUNT 14

struct vmb_slot {
	__u32 seq;  /* position of this slot in the ring, plus 1 */
	__u8 op;    /* VMB_OP_* or VMB_EV_* */
	__u8 flags; /* VMB_F_* */
	__u16 len;  /* bytes inline; 0 with VMB_F_BUF */
	__u32 peer; /* descriptor: destination; event: source (engine's word) */
	__u8 am;    /* active message id */
	__u8 status;	   /* event: VMB_CODE_*; descriptor: 0 */
	__u16 reserved_70; /* 0 */
	__u64 hdr; /* active message header word, or cookie of the operation */
	__u8 payload[VMB_INLINE_ONE];
};
VMB_ABI_AT(struct vmb_slot, seq, 0);
VMB_ABI_AT(struct vmb_slot, op, 4);
VMB_ABI_AT(struct vmb_slot, flags, 5);
VMB_ABI_AT(struct vmb_slot, len, 6);
VMB_ABI_AT(struct vmb_slot, peer, 8);
VMB_ABI_AT(struct vmb_slot, am, 12);
VMB_ABI_AT(struct vmb_slot, status, 13);
VMB_ABI_AT(struct vmb_slot, hdr, 16);
VMB_ABI_AT(struct vmb_slot, payload, 24);
_Static_assert(sizeof(struct vmb_slot) == VMB_SLOT_BYTES, "one cache line");

/* The second slot of a pair. Its `seq` is written before that of the first. */
struct vmb_slot_ext {
	__u32 seq;
	__u32 reserved_20;
	__u8 payload[56];
};
VMB_ABI_AT(struct vmb_slot_ext, payload, 8);
_Static_assert(sizeof(struct vmb_slot_ext) == VMB_SLOT_BYTES, "one cache line");
_Static_assert(VMB_INLINE_PAIR == VMB_INLINE_ONE + 56, "pair payload");

/*
 * Payload of a slot with VMB_F_BUF. In a descriptor the data lie in region
 * @key at @offset; in an event they lie in the receive buffers at @offset and
 * @key is 0.
 */
struct vmb_slot_buf {
	__u64 key;
	__u64 offset;
	__u32 len; /* bytes, 1..VMB_BUF_MAX */
	__u32 reserved_a0;
};
VMB_ABI_AT(struct vmb_slot_buf, offset, 8);
VMB_ABI_AT(struct vmb_slot_buf, len, 16);
_Static_assert(sizeof(struct vmb_slot_buf) == 24, "fits inline");

#define VMB_BUF_MAX 32768u /* payload of one SEND, at most */

/* Payload of VMB_OP_PUT and VMB_OP_GET; `hdr` of the slot is the cookie. */
struct vmb_slot_rdma {
	__u64 local_key;  /* region of the own domain */
	__u64 remote_key; /* region of the domain of `peer` */
	__u64 local_offset;
	__u64 remote_offset;
	__u64 len; /* bytes; 0 is allowed and moves nothing */
};
VMB_ABI_AT(struct vmb_slot_rdma, len, 32);
_Static_assert(sizeof(struct vmb_slot_rdma) == VMB_INLINE_ONE, "fits inline");

/* Payload of VMB_EV_DONE; `hdr` is the cookie, `status` the outcome. */
struct vmb_slot_done {
	__u64 moved; /* bytes moved before the end or the error */
};

#endif
