// SPDX-License-Identifier: BSD-2-Clause
/*
 * region.c - registered memory, and the one function through which a
 * descriptor reaches any memory at all.
 *
 * Flow:  descriptor (key, offset, length) -> vmb_nic_translate() -> span
 * Owns:  the table of regions. The memory belongs to the host.
 * Trust: nothing in a key is believed: the index is bounded, the whole key is
 *        compared, then domain, access and range are checked.
 */
#include "nic/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define REGIONS_MAX 65536u

/* Index 0 is never given out: keys below 65536 are VMB_KEY_NONE or _TX. */
static int free_index(struct vmb_nic *nic, uint32_t *index)
{
	for (uint32_t n = 0; n < REGIONS_MAX; n++) {
		uint32_t i = (nic->next_region + n) % REGIONS_MAX;

		if (!i || nic->regions[i])
			continue;
		nic->next_region = i + 1;
		*index = i;
		return 0;
	}
	return -ENOSPC;
}

static int make_key(struct vmb_nic *nic, uint32_t index, uint64_t *key)
{
	uint32_t random = 0;

	while (!random)
		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return -EIO;
	if (++nic->region_generations[index] == 0)
		nic->region_generations[index] = 1;
	*key = VMB_KEY(index, nic->region_generations[index], random);
	return 0;
}

int vmb_nic_region_add(struct vmb_nic *nic, struct vmb_nic_domain *domain,
		       const struct vmb_nic_memory *memory, uint64_t *key)
{
	struct vmb_nic_region *region;
	uint32_t index;
	int err;

	if (!memory->len || memory->len > VMB_REGION_BYTES_MAX ||
	    (memory->access & ~VMB_ACCESS_ALL) ||
	    (memory->kind == VMB_REGION_PROCESS ? !memory->mover
						: !memory->base))
		return -EINVAL;
	err = free_index(nic, &index);
	if (err)
		return err;
	if (memory->kind == VMB_REGION_PROCESS) {
		err = vmb_mover_start(memory->mover);
		if (err)
			return err;
	}
	region = calloc(1, sizeof(*region));
	if (!region)
		return -ENOMEM;
	err = make_key(nic, index, &region->key);
	if (err) {
		free(region);
		return err;
	}
	region->domain = domain;
	region->memory = *memory;
	*key = region->key;
	vmb_publish(&nic->regions[index], region);
	return 0;
}

int vmb_nic_region_remove(struct vmb_nic *nic, struct vmb_nic_domain *domain,
			  uint64_t key)
{
	uint32_t index = VMB_KEY_INDEX(key);
	struct vmb_nic_region *region = nic->regions[index];

	if (!region || region->key != key || region->domain != domain)
		return -ENOENT;
	vmb_publish(&nic->regions[index], NULL);
	vmb_nic_quiesce(nic); /* a span is good for one breath */
	if (region->memory.kind == VMB_REGION_PROCESS)
		vmb_mover_settle(region->memory.mover);
	free(region);
	return 0;
}

/* A key of an earlier generation of its index was good once. */
static unsigned missing(struct vmb_nic *nic, uint64_t key)
{
	uint16_t now =
		vmb_load_relaxed(&nic->region_generations[VMB_KEY_INDEX(key)]);
	uint16_t age = (uint16_t)(now - VMB_KEY_GEN(key));
	bool live = vmb_observe(&nic->regions[VMB_KEY_INDEX(key)]) != NULL;

	return VMB_KEY_GEN(key) && age < 0x8000 && (age || !live) && now
		       ? VMB_CODE_STALE_KEY
		       : VMB_CODE_BAD_KEY;
}

static unsigned check_range(uint64_t offset, uint64_t len, uint64_t size)
{
	return offset <= size && len <= size - offset ? VMB_CODE_OK
						      : VMB_CODE_BAD_RANGE;
}

unsigned vmb_nic_translate(struct vmb_nic_endpoint *ep, uint64_t key,
			   uint64_t offset, uint64_t len, uint32_t access,
			   struct vmb_nic_span *span)
{
	const struct vmb_nic_region *region;
	const struct vmb_nic_memory *memory;
	unsigned code;

	if (key == VMB_KEY_TX) {
		if (access)
			return VMB_CODE_DENIED;
		code = check_range(offset, len, ep->tx_bytes);
		if (!code)
			span->ptr = ep->tx + offset;
		return code;
	}
	region = vmb_observe(&ep->nic->regions[VMB_KEY_INDEX(key)]);
	if (!region || region->key != key)
		return missing(ep->nic, key);
	if (region->domain != ep->domain)
		return VMB_CODE_BAD_KEY;
	memory = &region->memory;
	if (access & ~memory->access)
		return VMB_CODE_DENIED;
	code = check_range(offset, len, memory->len);
	if (code)
		return code;
	span->ptr = memory->base ? (uint8_t *)memory->base + offset : NULL;
	span->mover = memory->mover;
	span->address = memory->address + offset;
	return VMB_CODE_OK;
}
