/* SPDX-License-Identifier: BSD-2-Clause */
/* command.h - commands of the admin socket. */
#ifndef VMBD_COMMAND_H
#define VMBD_COMMAND_H

#include <jansson.h>

#include "daemon.h"

struct vmbd_command_result {
	json_t *data;	 /* owned; NULL: null */
	int fd;		 /* passed with the answer and closed; -1: none */
	char error[256]; /* when it failed */
};

/* request: any JSON. 0, or -errno and result->error. */
int vmbd_command_run(struct vmbd *d, const json_t *request,
		     struct vmbd_command_result *result);

#endif
