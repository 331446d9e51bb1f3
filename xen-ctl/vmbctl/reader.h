/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reader.h - look at the statistics memory of the engine (abi/stats.h).
 * After the open nothing is asked of the daemon, and nothing waits for it.
 */
#ifndef VMBCTL_READER_H
#define VMBCTL_READER_H

#include <vmbypass/abi/control.h>
#include <vmbypass/abi/stats.h>

#include "vmbctl.h"

struct vmb_reader {
	const struct vmb_stats_head *head; /* mapped, read-only */
	size_t bytes;
	uint32_t records, record_bytes; /* as checked at open */
};

/* Obtain the memory from the daemon, check and map it. Says what is wrong. */
int vmb_reader_open(const struct vmb_options *o, struct vmb_reader *reader);
void vmb_reader_close(struct vmb_reader *reader);

/* Map what fd stands for; fd stays the caller's. -EPROTO: not such memory. */
int vmb_reader_map(int fd, struct vmb_reader *reader);

/* Copy a record. false: no endpoint there, or it changed hands meanwhile. */
bool vmb_reader_get(const struct vmb_reader *reader, uint32_t index,
		    struct vmb_stats *record);

/* As an object whose members have the names of the fields. */
json_t *vmb_reader_json(const struct vmb_stats *record);

#endif
