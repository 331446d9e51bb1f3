// SPDX-License-Identifier: BSD-2-Clause
/*
 * tables.c - the tables of the daemon, empty; and the host's own board.
 *
 * Flow:  main.c, once
 * Owns:  the memory of the tables, not what stands in them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "board.h"
#include "daemon.h"
#include "name.h"

#define MAPPINGS_SPARE 2048u /* for libraries, threads, the engine */

/* Each area and each region but process memory is a mapping; the kernel counts them. */
static unsigned mappings_of_kernel(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	unsigned count;

	if (!file || fscanf(file, "%u", &count) != 1 ||
	    count < 2 * MAPPINGS_SPARE)
		count = 65530; /* the kernel's default */
	if (file)
		fclose(file);
	return count - MAPPINGS_SPARE;
}

static unsigned descriptors_of_process(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 1024; /* what programs may rely on */
	return limit.rlim_cur < UINT32_MAX ? (unsigned)limit.rlim_cur
					   : UINT32_MAX;
}

int vmbd_tables_init(struct vmbd *d)
{
	char host[VMB_NAME_BYTES];

	vmb_list_init(&d->clients);
	vmb_list_init(&d->pending);
	vmb_list_init(&d->users);
	vmb_list_init(&d->guests);
	vmb_list_init(&d->domains);
	vmb_list_init(&d->boards);
	d->mappings_max = mappings_of_kernel();
	d->descriptors_max = descriptors_of_process();
	if (getrandom(&d->nic_prefix, sizeof(d->nic_prefix), 0) !=
	    sizeof(d->nic_prefix))
		return -EIO;
	d->nic_prefix &= 0xffffff;
	d->endpoints = calloc(d->options->endpoints_max, sizeof(*d->endpoints));
	d->regions = calloc(VMBD_REGION_BUCKETS, sizeof(*d->regions));
	if (!d->endpoints || !d->regions)
		return -ENOMEM;
	if (vmbd_departed_init(&d->departed, d->options->endpoints_max))
		return -ENOMEM;
	for (unsigned i = 0; i < VMBD_REGION_BUCKETS; i++)
		vmb_list_init(&d->regions[i]);
	vmbd_name_of_host(host);
	return vmbd_board_add(d, host, &d->host_board);
}

void vmbd_tables_fini(struct vmbd *d)
{
	vmbd_board_remove(d, d->host_board);
	vmbd_departed_fini(&d->departed);
	free(d->endpoints);
	free(d->regions);
}
