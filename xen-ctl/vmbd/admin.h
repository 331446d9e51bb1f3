/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * admin.h - the socket of vmbctl: one JSON object per line, in and out.
 *
 *   {"cmd":"NAME", ...}  ->  {"ok":true,"data":...}
 *                            {"ok":false,"error":"text","errno":N}
 */
#ifndef VMBD_ADMIN_H
#define VMBD_ADMIN_H

#include "daemon.h"

int vmbd_admin_open(struct vmbd *d, struct vmbd_admin **admin);
void vmbd_admin_close(struct vmbd_admin *admin);

#endif
