/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * daemon.h - what the files of vmbd share: the daemon itself.
 *
 *   options.c   the command line
 *   main.c      the program: the loop, signals
 *   daemon.c    set-up of what serves clients
 *   policy.c    who may do how much
 *   client.c    who is there; control.c what they ask for
 *   guest.c     guests that are attached
 *   domain.c    protection domains; board.c names and endpoint ids
 *   endpoint.c  region.c   what clients hold; user.c all those of a user
 *   talk.c      how much the log says of whom
 *   departed.c  who the endpoints were that have gone
 *   admin.c     the socket of vmbctl; command.c its commands; report.c answers
 */
#ifndef VMBD_DAEMON_H
#define VMBD_DAEMON_H

#include <systemd/sd-event.h>

#include "base/list.h"
#include "departed.h"
#include "listen.h"
#include "nic/nic.h"
#include "options.h"
#include "platform/platform.h"
#include "policy.h"
#include "talk.h"

#define VMBD_REGION_BUCKETS 4096u

struct vmbd_board;
struct vmbd_endpoint;
struct vmbd_admin;
struct vmbd;

/* One platform that is open; the arg of its events. */
struct vmbd_platform {
	struct vmbd *d;
	const struct vmb_platform_ops *ops;
	struct vmb_platform *platform;
};

#define VMBD_PLATFORMS 2 /* at most, at once */

struct vmbd {
	const struct vmbd_options *options;
	struct vmbd_lock lock;
	sd_event *event;
	struct vmbd_policy *policy;
	struct vmb_host *host;
	struct vmbd_platform platforms[VMBD_PLATFORMS];
	unsigned platform_count;
	struct vmb_nic *nic;
	struct vmbd_admin *admin;
	uint64_t started_ns;

	struct vmb_list clients; /* those who said hello */
	struct vmb_list pending; /* those who did not yet, oldest first */
	struct vmb_list users;	 /* whose clients they are, but guests */
	struct vmbd_talk talk;
	unsigned client_count, pending_count;
	uint32_t last_client;

	struct vmb_list guests; /* those that are attached */
	struct vmb_list domains;
	struct vmb_list boards;
	struct vmbd_board *host_board; /* of clients without a named domain */
	uint32_t nic_prefix;
	uint16_t last_board;

	struct vmbd_endpoint **endpoints; /* by index of the handle */
	unsigned endpoint_count;
	struct vmbd_departed departed;
	struct vmb_list *regions; /* buckets by key */
	unsigned region_count;
	unsigned mappings, mappings_max; /* of client memory */
	unsigned descriptors_max;	 /* that this process may have */
};

/*
 * options, event and policy are set. Nobody is served before start(); stop()
 * sends all clients away, and follows start() also when that failed.
 */
int vmbd_open(struct vmbd *d);
int vmbd_start(struct vmbd *d);
void vmbd_stop(struct vmbd *d);
void vmbd_close(struct vmbd *d);

/* Tables and the host's board. */
int vmbd_tables_init(struct vmbd *d);
void vmbd_tables_fini(struct vmbd *d);

#endif
