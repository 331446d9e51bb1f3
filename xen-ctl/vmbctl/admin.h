/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * admin.h - ask the daemon.
 *
 * Each way one JSON object on a line, over the stream socket SOCKET.ctl:
 * {"cmd":"...", ...} is answered by {"ok":true,"data":...}, for "stats" with
 * a descriptor, or by {"ok":false,"error":"text","errno":N}.
 */
#ifndef VMBCTL_ADMIN_H
#define VMBCTL_ADMIN_H

#include "vmbctl.h"

/*
 * Send one request (the reference is taken) and wait for its reply, for some
 * seconds at most. Says what went wrong. data: "data" of the reply, owned by
 * the caller; fd: the descriptor that came with it; either may be NULL.
 */
int vmb_admin_ask(const struct vmb_options *o, json_t *request, json_t **data,
		  int *fd);

/* The same for a command without arguments, whose data are an array. */
int vmb_admin_list(const struct vmb_options *o, const char *command,
		   json_t **rows);

/*
 * A descriptor that poll() finds readable when the daemon has died; -1 when
 * it cannot be watched from here.
 */
int vmb_admin_watch(const struct vmb_options *o);

#endif
