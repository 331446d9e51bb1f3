/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mx_io.h - the few types below libmx that Open MPI's BTL asks for.
 */
#ifndef MX_IO_H
#define MX_IO_H

#include "myriexpress.h"

typedef int mx_endpt_handle_t; /* an open board */
#define MX__INVALID_HANDLE (-1)

/* What MX's mapper said of the network. Ours needs none: constants. */
typedef struct {
	uint32_t board_number;
	uint8_t mapper_mac[6]; /* equal wherever messages can go */
	uint16_t iport;
	uint32_t map_version;
	uint32_t num_hosts;
	uint32_t network_configured;
	uint32_t routes_valid;
	uint32_t level;
	uint32_t flags;
} mx_mapper_state_t;

#endif
