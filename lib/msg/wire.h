/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wire.h - what two lib/msg say to each other: active messages with the ids
 * and payloads below. See docs/messages.md.
 *
 * A request number is chosen by the side that owns the request and given back
 * by the other: index in the low, generation in the high 32 bits.
 */
#ifndef VMB_MSG_WIRE_H
#define VMB_MSG_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include <vmbypass/abi/slot.h>

#define VMB_MSG_EAGER 192u	/* hdr: match;  payload: the data */
#define VMB_MSG_EAGER_SYNC 193u /* hdr: match;  vmb_wire_sync, the data */
#define VMB_MSG_RTS 194u	/* hdr: match;  vmb_wire_rts */
#define VMB_MSG_ACK 195u	/* hdr: sender's number;  vmb_wire_end */
#define VMB_MSG_CTS 196u	/* hdr: sender's number;  vmb_wire_cts */
#define VMB_MSG_DATA 197u	/* hdr: receiver's number;  a fragment */
#define VMB_MSG_FIN 198u	/* hdr: sender's number;  vmb_wire_end */
#define VMB_MSG_ABORT 199u	/* hdr: sender's number;  nothing */
#define VMB_MSG_RTS_DIRECT 200u /* hdr: match bits;  vmb_wire_rts */
#define VMB_MSG_SHARE 201u	/* hdr: sender's number;  vmb_wire_share */
#define VMB_MSG_SHARED 202u	/* hdr: receiver's number;  vmb_wire_shared */
#define VMB_MSG_FIRST VMB_MSG_EAGER
#define VMB_MSG_LAST VMB_MSG_SHARED

struct vmb_wire_sync {
	uint64_t number; /* of the send */
};
_Static_assert(sizeof(struct vmb_wire_sync) == 8, "fixed");

/*
 * Fits one slot, as all but EAGER, EAGER_SYNC and DATA do. RTS_DIRECT: key is
 * an entry of the lane (low half) and the number in it (high half), offset a
 * virtual address of the sender's process.
 */
struct vmb_wire_rts {
	uint64_t number; /* of the send */
	uint64_t len;	 /* bytes of the message */
	uint64_t key;	 /* VMB_KEY_NONE: cannot be fetched, ask with CTS */
	uint64_t offset; /* of the first byte in the region */
};
VMB_ABI_AT(struct vmb_wire_rts, key, 16);
_Static_assert(sizeof(struct vmb_wire_rts) == 32, "fixed");

/*
 * What an application carries to the peer in place of RTS or RTS_DIRECT
 * (vmb_am_offer(3)); to it and to applications, five words.
 */
struct vmb_wire_offer {
	struct vmb_wire_rts rts;
	uint32_t id; /* VMB_MSG_RTS or VMB_MSG_RTS_DIRECT: how to read rts */
	uint32_t reserved_120;
};
VMB_ABI_AT(struct vmb_wire_offer, id, 32);
_Static_assert(sizeof(struct vmb_wire_offer) == 40, "fixed");

/* What follows `want` is sent when `denied` is 1 only, to who knows of it. */
struct vmb_wire_cts {
	uint64_t number; /* of the receive */
	uint64_t want;	 /* bytes, from the first on */
	uint32_t denied; /* 1: it may not read the sender's memory, ever */
	uint32_t reserved_a0;
};
VMB_ABI_AT(struct vmb_wire_cts, denied, 16);
_Static_assert(sizeof(struct vmb_wire_cts) == 24, "fixed");
#define VMB_WIRE_CTS_SHORT 16u

/* Write pieces of the message, from the last on, until we have met. */
struct vmb_wire_share {
	uint64_t number; /* of the receive */
	uint64_t want;	 /* bytes, from the first on */
	uint64_t addr;	 /* of the first byte in the receiver's process */
	uint32_t piece;	 /* bytes of each but the last: a power of two */
	uint32_t reserved_e0;
};
VMB_ABI_AT(struct vmb_wire_share, piece, 24);
_Static_assert(sizeof(struct vmb_wire_share) == 32, "fixed");

/* So many are written, and there will be no more. */
struct vmb_wire_shared {
	uint32_t pieces;
	uint32_t failed; /* 1: one of them could not be, read them all */
};
_Static_assert(sizeof(struct vmb_wire_shared) == 8, "fixed");

#define VMB_WIRE_OK 0u
#define VMB_WIRE_FAULT 1u   /* the memory could not be reached */
#define VMB_WIRE_NO_ROOM 2u /* the receiver ran out of memory */
#define VMB_WIRE_CODES 3u

struct vmb_wire_end {
	uint64_t moved; /* bytes that the receive took */
	uint32_t code;	/* VMB_WIRE_* */
	uint32_t reserved_60;
};
VMB_ABI_AT(struct vmb_wire_end, code, 8);
_Static_assert(sizeof(struct vmb_wire_end) == 16, "fixed");

#endif
