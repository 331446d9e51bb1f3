/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mapped.h - memory of a peer's process that is mapped into ours.
 *
 * Flow:  direct.c: meet() for each message, at() for each piece of it
 *        lane.c: end() with the lane -> port lane_map, lane_unmap
 * Owns:  the mappings of one lane.
 * Trust: what the peer says of its memory is checked by the port, its ranges
 *        here. A lie reaches no memory but what the peer could write itself.
 *
 * A file is mapped when a second message lies in it: for one message alone the
 * faults would take longer than the copy by the kernel. When others need its
 * place the one goes that was not met for longest, first of all one that is not
 * mapped. One that its owner has freed stays until then, without pages.
 */
#ifndef VMB_AM_MAPPED_H
#define VMB_AM_MAPPED_H

#include "port/port.h"

#define VMB_MAPPED_FILES 64u
#define VMB_MAPPED_WAYS 4u	       /* places that a file may take */
#define VMB_MAPPED_BYTES (32ull << 30) /* of address space, at most */

struct vmb_mapped_file {
	uint64_t file; /* 0: the place is free */
	char *base;    /* NULL: met once, or it could not be mapped */
	size_t len;
	uint64_t met; /* mapped.meetings at the last one */
	bool failed;
};

struct vmb_mapped {		    /* zeroed at first */
	struct vmb_mapped_file *at; /* VMB_MAPPED_FILES, or NULL */
	uint64_t meetings, bytes;   /* so far; mapped now */
	bool denied;		    /* the kernel lets us map nothing of it */
};

/* A message lies there: is it time to map it? */
void vmb_mapped_meet(struct vmb_mapped *mapped, const struct vmb_port_ops *ops,
		     const struct vmb_port_lane *lane,
		     const struct vmb_lane_file *where);
/*
 * Where [addr, addr + len) of the peer's process is in ours, until the next
 * meet() or end(); NULL: not mapped, or not all of it lies in there.
 */
void *vmb_mapped_at(const struct vmb_mapped *mapped,
		    const struct vmb_lane_file *where, uint64_t addr,
		    size_t len);
void vmb_mapped_end(struct vmb_mapped *mapped, const struct vmb_port_ops *ops);

#endif
