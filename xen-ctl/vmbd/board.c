// SPDX-License-Identifier: BSD-2-Clause
/*
 * board.c - see board.h.
 *
 * Flow:  OPEN takes an id; CONNECT and LOOKUP ask
 * Owns:  names, nic ids, tables of ids. Endpoints belong to their clients.
 * Trust: ids were checked against VMB_ID_MAX by the caller; names are compared
 *        only.
 */
#include "board.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NIC_LOCAL 0x02ull /* first byte: locally administered, not multicast */

static struct vmbd_board *board_of(struct vmb_list *node)
{
	return vmb_container_of(node, struct vmbd_board, node);
}

static uint64_t nic_id_of(const struct vmbd *d, uint16_t number)
{
	return NIC_LOCAL << 40 | (uint64_t)d->nic_prefix << 16 | number;
}

/* Numbers come round after 65535 boards; one still in use is passed over. */
static int next_nic_id(struct vmbd *d, uint64_t *nic_id)
{
	for (unsigned i = 0; i <= UINT16_MAX; i++) {
		*nic_id = nic_id_of(d, ++d->last_board);
		if (!vmbd_board_by_nic(d, *nic_id))
			return 0;
	}
	return -ENOSPC;
}

int vmbd_board_add(struct vmbd *d, const char *owner,
		   struct vmbd_board **result)
{
	struct vmbd_board *board;
	int err;

	board = calloc(1, sizeof(*board));
	if (!board)
		return -ENOMEM;
	snprintf(board->name, sizeof(board->name), "%s:0", owner);
	err = vmbd_board_by_name(d, board->name, NULL)
		      ? -EEXIST
		      : next_nic_id(d, &board->nic_id);
	if (err) {
		free(board);
		return err;
	}
	vmb_list_append(&d->boards, &board->node);
	*result = board;
	return 0;
}

void vmbd_board_remove(struct vmbd *d, struct vmbd_board *board)
{
	(void)d;
	if (!board)
		return;
	vmb_list_remove(&board->node);
	for (unsigned i = 0; i < vmb_array_size(board->chunks); i++)
		free(board->chunks[i]);
	free(board);
}

struct vmbd_board *vmbd_board_by_name(struct vmbd *d, const char *name,
				      struct vmbd_board *own)
{
	char full[VMB_NAME_BYTES + 2];
	struct vmb_list *pos;

	snprintf(full, sizeof(full), "%s%s", name,
		 strchr(name, ':') ? "" : ":0");
	if (!strcmp(full, "localhost:0"))
		return own;
	vmb_list_each (pos, &d->boards)
		if (!strcmp(board_of(pos)->name, full))
			return board_of(pos);
	return NULL;
}

struct vmbd_board *vmbd_board_by_nic(struct vmbd *d, uint64_t nic_id)
{
	struct vmb_list *pos;

	vmb_list_each (pos, &d->boards)
		if (board_of(pos)->nic_id == nic_id)
			return board_of(pos);
	return NULL;
}

static int lowest_free(const struct vmbd_board *board, uint32_t *id)
{
	const struct vmbd_board_chunk *chunk;

	for (uint32_t i = 0; i < vmb_array_size(board->chunks); i++) {
		chunk = board->chunks[i];
		if (chunk && chunk->used == BOARD_CHUNK)
			continue;
		for (*id = i * BOARD_CHUNK; chunk; ++*id)
			if (!chunk->endpoints[*id % BOARD_CHUNK])
				break;
		return 0;
	}
	return -EBUSY;
}

int vmbd_board_take(struct vmbd_board *board, uint32_t *id,
		    struct vmbd_endpoint *endpoint)
{
	struct vmbd_board_chunk **chunk;
	uint32_t wanted = *id;

	if (wanted == VMB_ID_ANY && lowest_free(board, &wanted))
		return -EBUSY;
	if (vmbd_board_endpoint(board, wanted))
		return -EBUSY;
	chunk = &board->chunks[wanted / BOARD_CHUNK];
	if (!*chunk)
		*chunk = calloc(1, sizeof(**chunk));
	if (!*chunk)
		return -ENOMEM;
	(*chunk)->endpoints[wanted % BOARD_CHUNK] = endpoint;
	(*chunk)->used++;
	*id = wanted;
	return 0;
}

void vmbd_board_give(struct vmbd_board *board, uint32_t id)
{
	struct vmbd_board_chunk **chunk = &board->chunks[id / BOARD_CHUNK];

	(*chunk)->endpoints[id % BOARD_CHUNK] = NULL;
	if (--(*chunk)->used)
		return;
	free(*chunk);
	*chunk = NULL;
}

struct vmbd_endpoint *vmbd_board_endpoint(const struct vmbd_board *board,
					  uint32_t id)
{
	const struct vmbd_board_chunk *chunk = board->chunks[id / BOARD_CHUNK];

	return chunk ? chunk->endpoints[id % BOARD_CHUNK] : NULL;
}
