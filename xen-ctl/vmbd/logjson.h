/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * logjson.h - the daemon's log for programs: each line is a JSON object with
 * "time", "level", "message" and the line's fields (vmbd(8), LOG).
 */
#ifndef VMBD_LOGJSON_H
#define VMBD_LOGJSON_H

#include "base/log.h"

/* A vmb_log_form. */
void vmbd_logjson(char line[VMB_LOG_LINE_BYTES], const char *level,
		  const char *text, const struct vmb_log_field *fields);

#endif
