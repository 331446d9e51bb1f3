/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * doorbell.h - the memory of one endpoint, shared by its client (C) and the
 * engine (E). One writer per field; offsets, never pointers.
 *
 *   page 0      doorbell page: ring of 64 descriptor slots            C writes
 *   page 1      control page: positions and wake words          C and E halves
 *   page 2..    event queue: ring of slots                            E writes
 *   then        receive buffers: a byte ring, filled with events      E writes
 *   then        send buffers: staging for VMB_F_BUF (VMB_KEY_TX)      C writes
 *
 * Sizes are chosen by the client at open, checked once, and kept privately by
 * both sides; nothing in the area says how large it is. See docs/doorbell.md.
 */
#ifndef VMBYPASS_ABI_DOORBELL_H
#define VMBYPASS_ABI_DOORBELL_H

#include <vmbypass/abi/slot.h>

#define VMB_PAGE 4096u
#define VMB_DOORBELL_SLOTS 64u /* one page */

#define VMB_EQ_SLOTS_MIN 64u
#define VMB_EQ_SLOTS_MAX 65536u
#define VMB_EQ_SLOTS_DEFAULT 1024u
#define VMB_RX_BYTES_MIN 4096u
#define VMB_RX_BYTES_MAX (16u << 20)
#define VMB_RX_BYTES_DEFAULT (64u << 10)
#define VMB_TX_BYTES_MIN 4096u
#define VMB_TX_BYTES_MAX (16u << 20)
#define VMB_TX_BYTES_DEFAULT (64u << 10)
#define VMB_RX_ALIGN 64u /* a message in the receive buffers starts aligned */

/* endpoint handle: 16 bits of index, 16 bits of generation; 0 is none */
#define VMB_HANDLE_INDEX(h) ((h)&0xffffu)
#define VMB_HANDLE_GEN(h) ((h) >> 16)
#define VMB_HANDLE(index, gen) (((__u32)(gen) << 16) | (__u32)(index))

/* vmb_control_page.state */
#define VMB_STATE_OPEN 1
#define VMB_STATE_FAULTED 2
#define VMB_STATE_CLOSED 3

/*
 * In a number of vmb_control_page.event_arm, with VMB_FEATURE_WAKE_WORD: the
 * client sleeps on the word `notified`, and its descriptor is left alone.
 */
#define VMB_ARM_WORD 0x80000000u

/*
 * Positions count slots or bytes since open and wrap at 2^32; a ring's slot is
 * position modulo its size. Two positions of one line travel in one 64-bit
 * store, so a reader never sees halves of two moments.
 */
struct vmb_control_page {
	/* C: how far the client has consumed. Low 32 bits: events; high 32
	 * bits: bytes of the receive buffers. Published in batches. */
	__u64 consumed;
	__u8 reserved_40[120];
	/* C: a number asks the engine for one notification after its next
	 * event; each arming takes another number, 0 asks for nothing. */
	__u32 event_arm;
	__u8 reserved_420[124];
	__u8 reserved_800[1792];
	/* E: low 32 bits: descriptors consumed; high 32 bits: events written
	 * when that was so. Published in batches. */
	__u64 progress;
	__u8 reserved_4040[120];
	/* E: a number asks the client for one kick after its next descriptor,
	 * or after it next publishes `consumed`; 0 asks for nothing. */
	__u32 kick_arm;
	__u32 room_arm;
	__u8 reserved_4440[120];
	/* E: VMB_STATE_*, and VMB_CODE_* when faulted. */
	__u32 state;
	__u32 fault_code;
	__u8 reserved_4840[120];
	/* E: the number of event_arm that was answered last, VMB_ARM_WORD and
	 * all. A client may sleep on it with futex(2). */
	__u32 notified;
	__u8 reserved_4c20[1660];
};
VMB_ABI_AT(struct vmb_control_page, consumed, 0);
VMB_ABI_AT(struct vmb_control_page, event_arm, 128);
VMB_ABI_AT(struct vmb_control_page, progress, 2048);
VMB_ABI_AT(struct vmb_control_page, kick_arm, 2176);
VMB_ABI_AT(struct vmb_control_page, room_arm, 2180);
VMB_ABI_AT(struct vmb_control_page, state, 2304);
VMB_ABI_AT(struct vmb_control_page, fault_code, 2308);
VMB_ABI_AT(struct vmb_control_page, notified, 2432);
_Static_assert(sizeof(struct vmb_control_page) == VMB_PAGE, "one page");

/* The three sizes chosen at open; powers of two within the limits above. */
struct vmb_geometry {
	__u32 eq_slots; /* slots */
	__u32 rx_bytes;
	__u32 tx_bytes;
	__u32 reserved_60;
};
_Static_assert(sizeof(struct vmb_geometry) == 16, "fixed");

/* Byte offsets into the area; with checked sizes none of them overflows. */
#define VMB_AREA_DOORBELL 0u
#define VMB_AREA_CONTROL VMB_PAGE
#define VMB_AREA_EQ (2u * VMB_PAGE)
#define VMB_AREA_RX(g) (VMB_AREA_EQ + (g)->eq_slots * VMB_SLOT_BYTES)
#define VMB_AREA_TX(g) (VMB_AREA_RX(g) + (g)->rx_bytes)
#define VMB_AREA_BYTES(g) (VMB_AREA_TX(g) + (g)->tx_bytes)

#endif
