/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * board.h - a board: the NIC as one host or one guest sees it. It has a name
 * ("host:0"), a nic id, and endpoint ids 0..65535.
 */
#ifndef VMBD_BOARD_H
#define VMBD_BOARD_H

#include "daemon.h"

#define BOARD_CHUNK 256u

/* Endpoint ids in two levels, so that id 65535 alone costs little. */
struct vmbd_board_chunk {
	unsigned used;
	struct vmbd_endpoint *endpoints[BOARD_CHUNK];
};

struct vmbd_board {
	struct vmb_list node; /* daemon.boards */
	char name[VMB_NAME_BYTES];
	uint64_t nic_id;
	struct vmbd_board_chunk *chunks[(VMB_ID_MAX + 1) / BOARD_CHUNK];
};

/* owner: name of the host or the domain. -EEXIST, -ENOMEM, -ENOSPC. */
int vmbd_board_add(struct vmbd *d, const char *owner,
		   struct vmbd_board **board);
/* Its endpoints have been removed. */
void vmbd_board_remove(struct vmbd *d, struct vmbd_board *board);

/* NULL: no such board. own: what "localhost" means. */
struct vmbd_board *vmbd_board_by_name(struct vmbd *d, const char *name,
				      struct vmbd_board *own);
struct vmbd_board *vmbd_board_by_nic(struct vmbd *d, uint64_t nic_id);

/* Take an id; VMB_ID_ANY: the lowest free. -EBUSY, -ENOMEM. */
int vmbd_board_take(struct vmbd_board *board, uint32_t *id,
		    struct vmbd_endpoint *endpoint);
void vmbd_board_give(struct vmbd_board *board, uint32_t id);
/* id is at most VMB_ID_MAX. NULL: not open. */
struct vmbd_endpoint *vmbd_board_endpoint(const struct vmbd_board *board,
					  uint32_t id);

#endif
