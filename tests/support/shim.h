/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shim.h - the kernel shim of a guest and the daemon behind it, played by a
 * thread around the engine in this process.
 *
 * Flow:  vmb_port_kshim -> device.c -> [here] -> t_port_inproc -> engine
 * Owns:  the clients: their ports, endpoints and regions.
 * Trust: what the port under test sends is checked; a request that no correct
 *        port makes ends the test.
 */
#ifndef TESTS_SUPPORT_SHIM_H
#define TESTS_SUPPORT_SHIM_H

#include <stdbool.h>

/* The engine runs (t_nic_start()). Listen; "kshim:PATH" leads here. */
void t_shim_start(void);
/* Every client reads its end, and nothing of it is left. */
void t_shim_stop(void);
const char *t_shim_path(void);

/* As t_port_hold_connects(), and answers them when they are let go. */
void t_shim_hold_connects(bool hold);

/* Pages of one region, at most; t_shim_start() sets 24576. */
void t_shim_set_pages_max(unsigned pages);

/* REGISTER requests so far, and regions that clients registered and did not end yet. */
unsigned t_shim_registers(void);
unsigned t_shim_regions(void);

#endif
