/* SPDX-License-Identifier: BSD-2-Clause */
/* options.h - the command line of vmbd. */
#ifndef VMBD_OPTIONS_H
#define VMBD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "nic/nic.h"

/* exit codes, documented in --help and vmbd(8) */
#define VMBD_EXIT_OK 0
#define VMBD_EXIT_FAILED 1 /* could not start, or the loop broke */
#define VMBD_EXIT_BUSY 2   /* another daemon serves this socket */
#define VMBD_EXIT_USAGE 64
#define VMBD_EXIT_POLICY 78 /* the policy file is wrong */

struct vmbd_options {
	char socket[256];
	char admin[256]; /* socket.ctl */
	bool guests;	 /* serve those of this machine, too */
	mode_t mode;
	gid_t group;	    /* (gid_t)-1: ours */
	const char *policy; /* NULL: none */
	unsigned engines;
	int cpus[VMB_NIC_THREADS_MAX]; /* -1: not pinned */
	unsigned cpu_count;	       /* 0: none was named */
	uint32_t spin_us;
	uint32_t hold_us;
	uint32_t quantum; /* 0: the engine's own */
	uint32_t endpoints_max;
	enum vmb_log_level log;
	bool log_json;
	int ready_fd; /* -1: none */
};

/* Does not return on a bad argument, --help and --version. */
void vmbd_options_parse(struct vmbd_options *options, int argc, char **argv);

#endif
