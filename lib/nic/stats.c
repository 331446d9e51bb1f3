// SPDX-License-Identifier: BSD-2-Clause
/*
 * stats.c - the statistics memory: a sealed memfd that others map read-only.
 *
 * Owns: the memfd. Written by the engine threads, one writer per counter.
 */
#include "nic/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t stats_bytes(const struct vmb_nic *nic)
{
	return VMB_PAGE + nic->endpoints_max * sizeof(struct vmb_stats);
}

int vmb_stats_init(struct vmb_nic *nic)
{
	size_t bytes = stats_bytes(nic);
	void *map;

	nic->stats_fd =
		memfd_create("vmbypass-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (nic->stats_fd < 0)
		return -errno;
	if (ftruncate(nic->stats_fd, (off_t)bytes) ||
	    fcntl(nic->stats_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return -errno;
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		   nic->stats_fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	nic->stats = map;
	/* our mapping stays writable, nobody gets another one */
	if (fcntl(nic->stats_fd, F_ADD_SEALS,
		  F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
		return -errno;
	*nic->stats = (struct vmb_stats_head){
		.magic = VMB_STATS_MAGIC,
		.abi_major = 1,
		.records = nic->endpoints_max,
		.record_bytes = sizeof(struct vmb_stats),
	};
	return 0;
}

void vmb_stats_fini(struct vmb_nic *nic)
{
	if (nic->stats)
		munmap(nic->stats, stats_bytes(nic));
	if (nic->stats_fd >= 0)
		close(nic->stats_fd);
}

static struct vmb_stats *record(struct vmb_nic *nic, uint32_t index)
{
	return (struct vmb_stats *)((char *)nic->stats + VMB_PAGE) + index;
}

struct vmb_stats *vmb_stats_claim(struct vmb_nic *nic, uint32_t index)
{
	struct vmb_stats *stats = record(nic, index);
	uint64_t *words = (uint64_t *)(void *)stats;

	vmb_publish(&stats->handle, 0); /* readers drop what they read */
	for (size_t i = 1; i < sizeof(*stats) / sizeof(*words); i++)
		vmb_store_relaxed(&words[i], 0);
	return stats;
}

int vmb_nic_stats_fd(struct vmb_nic *nic)
{
	return nic->stats_fd;
}

const struct vmb_stats *vmb_nic_stats(struct vmb_nic *nic, uint32_t handle)
{
	uint32_t index = VMB_HANDLE_INDEX(handle);

	return index < nic->endpoints_max ? record(nic, index) : NULL;
}
