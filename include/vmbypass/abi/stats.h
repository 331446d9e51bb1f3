/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * stats.h - counters of every endpoint, in one read-only memory that the
 * daemon hands to whoever may look (vmbctl does): a header page, then one
 * record per endpoint index. The engine stores, readers load, nobody waits.
 *
 * A record belongs to the endpoint whose handle it shows; a reader that sees
 * the handle change while it reads drops the record. See docs/stats.md.
 */
#ifndef VMBYPASS_ABI_STATS_H
#define VMBYPASS_ABI_STATS_H

#include <vmbypass/abi/doorbell.h>

#define VMB_STATS_MAGIC 0x746174732d626d76ull /* "vmb-stat" */

struct vmb_stats_head {
	__u64 magic;
	__u16 abi_major, abi_minor;
	__u32 records; /* records that follow this page */
	__u32 record_bytes;
	__u32 reserved_a0;
	__u64 breaths;	   /* engine passes, all threads */
	__u64 sleeps;	   /* times an engine thread slept */
	__u64 faults;	   /* recorded since start, overflow included */
	__u64 faults_lost; /* of them, pushed out of the bounded log */
	__u8 reserved_1c0[4040];
};
VMB_ABI_AT(struct vmb_stats_head, breaths, 24);
_Static_assert(sizeof(struct vmb_stats_head) == VMB_PAGE, "one page");

struct vmb_stats {
	__u32 handle; /* 0: not in use */
	__u32 domain;
	__u32 id;		       /* endpoint id on its board */
	__u32 state;		       /* VMB_STATE_* */
	__u64 sends, send_bytes;       /* SEND delivered to others */
	__u64 arrivals, arrival_bytes; /* SEND of others delivered to it */
	__u64 puts, put_bytes;	       /* ended well */
	__u64 gets, get_bytes;
	__u64 bounces; /* SEND given back */
	__u64 stalls;  /* visits that found its own event queue full */
	__u64 faults;
	__u64 notifies; /* notifications sent to the client */
	__u64 kicks;	/* times a kick (or a scan) made it hot again */
	__u64 fences;
	__u8 reserved_400[128];
};
VMB_ABI_AT(struct vmb_stats, sends, 16);
_Static_assert(sizeof(struct vmb_stats) == 256, "two pairs of lines");

#endif
