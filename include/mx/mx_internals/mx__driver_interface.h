/* SPDX-License-Identifier: BSD-2-Clause */
/* mx__driver_interface.h - ask an open board about the network. */
#ifndef MX__DRIVER_INTERFACE_H
#define MX__DRIVER_INTERFACE_H

#include "../mx_io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* MX_BOARD_UNKNOWN: not a handle of mx_open_board(). */
MX_PUBLIC mx_return_t mx__get_mapper_state(mx_endpt_handle_t handle,
					   mx_mapper_state_t *state);

#ifdef __cplusplus
}
#endif

#endif
