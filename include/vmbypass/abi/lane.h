/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * lane.h - the memory of a lane, shared by its receiver (R) and its sender
 * (S), who do not trust each other. See docs/lane.md.
 *
 *   page 0      wake words and R's positions            R and S halves
 *   page 1      long messages that both copy            R and S
 *   page 2..    ring of slots                           S writes
 *   then        buffers: a byte ring                    S writes
 */
#ifndef VMBYPASS_ABI_LANE_H
#define VMBYPASS_ABI_LANE_H

#include <vmbypass/abi/doorbell.h>

#define VMB_LANE_SLOTS_MIN 64u
#define VMB_LANE_SLOTS_MAX 4096u
#define VMB_LANE_SLOTS_DEFAULT 256u
#define VMB_LANE_BYTES_MIN (2u * VMB_BUF_MAX)
#define VMB_LANE_BYTES_MAX (16u << 20)
#define VMB_LANE_BYTES_DEFAULT (128u << 10)

#define VMB_LANE_DIRECTS 64u

/*
 * Which file stands behind memory of a side's process, so that the other side
 * may map it in place of asking the kernel for each piece.
 */
struct vmb_lane_file {
	__u64 start; /* address there of the first byte of the file */
	__u64 file;  /* its inode number; 0: there is none */
	__u32 fd;    /* its descriptor there */
	__u32 reserved_a0;
};
VMB_ABI_AT(struct vmb_lane_file, file, 8);
VMB_ABI_AT(struct vmb_lane_file, fd, 16);
_Static_assert(sizeof(struct vmb_lane_file) == 24, "two in an entry");

/*
 * One message that both sides copy at once, straight from the memory of S's
 * process to that of R's: see docs/messages.md.
 */
struct vmb_lane_direct {
	/*
	 * Low 32 bits: S's number for the message, 0: there is none. Then 16
	 * bits: pieces that R has claimed, from the first on; 16 bits: that S
	 * has, from the last on. S writes it; both claim by compare and swap.
	 */
	__u64 claim;
	__u32 written; /* S: of the pieces that it claimed, it has written */
	__u32 reserved_60;
	struct vmb_lane_file source;	  /* S: before it gives the number */
	struct vmb_lane_file destination; /* S: none; R: before it asks */
};
VMB_ABI_AT(struct vmb_lane_direct, claim, 0);
VMB_ABI_AT(struct vmb_lane_direct, written, 8);
VMB_ABI_AT(struct vmb_lane_direct, source, 16);
VMB_ABI_AT(struct vmb_lane_direct, destination, 40);
_Static_assert(sizeof(struct vmb_lane_direct) == 64, "a cache line");

struct vmb_lane_control {
	/* R: low 32 bits: slots consumed; high 32 bits: bytes of the buffers.
	 * Published in batches. */
	__u64 consumed;
	__u8 reserved_40[120];
	/* R: a number asks S for one LOOK after its next slot; each arming
	 * takes another number, 0 asks for nothing. */
	__u32 look_arm;
	/* R: 1: its process has found nothing and does not look any more. */
	__u32 away;
	__u8 reserved_440[1912];
	/* S: the same for one ROOM after R next publishes `consumed`. */
	__u32 room_arm;
	__u8 reserved_4020[2044];
	struct vmb_lane_direct direct[VMB_LANE_DIRECTS];
};
VMB_ABI_AT(struct vmb_lane_control, consumed, 0);
VMB_ABI_AT(struct vmb_lane_control, look_arm, 128);
VMB_ABI_AT(struct vmb_lane_control, away, 132);
VMB_ABI_AT(struct vmb_lane_control, room_arm, 2048);
VMB_ABI_AT(struct vmb_lane_control, direct, VMB_PAGE);
_Static_assert(sizeof(struct vmb_lane_control) == 2 * VMB_PAGE, "two pages");

/* Byte offsets; with sizes within the limits above none of them overflows. */
#define VMB_LANE_RING (2u * VMB_PAGE)
#define VMB_LANE_BUFFERS(slots) (VMB_LANE_RING + (slots)*VMB_SLOT_BYTES)
#define VMB_LANE_LEN(slots, bytes) (VMB_LANE_BUFFERS(slots) + (bytes))

#endif
