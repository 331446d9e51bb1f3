/* SPDX-License-Identifier: BSD-2-Clause */
/* mx__fops.h - open a board, as Open MPI's BTL does. */
#ifndef MX__FOPS_H
#define MX__FOPS_H

#include "../mx_io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Needs no closing. MX_BOARD_UNKNOWN. */
MX_PUBLIC mx_return_t mx_open_board(int board_number,
				    mx_endpt_handle_t *handle);

#ifdef __cplusplus
}
#endif

#endif
