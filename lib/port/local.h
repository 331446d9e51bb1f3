/* SPDX-License-Identifier: BSD-2-Clause */
/* local.h - what tests may turn in the local port; see port.h for its use. */
#ifndef VMB_PORT_LOCAL_H
#define VMB_PORT_LOCAL_H

/* Instead of VMB_PORT_TIMEOUT_MS, for ports opened from now on. */
void vmb_port_local_set_timeout(int timeout_ms);

#endif
