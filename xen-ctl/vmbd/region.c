// SPDX-License-Identifier: BSD-2-Clause
/*
 * region.c - see region.h.
 *
 * Flow:  REGISTER -> limits -> platform maps or probes -> engine gives a key
 *        DEREGISTER, or the client left -> the same backwards
 * Owns:  the mapping and the engine's region.
 * Trust: a key is good for the client that registered it. Each region counts
 *        by itself: memory that is registered twice counts twice.
 */
#include "region.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "domain.h"

static struct vmb_list *bucket_of(struct vmbd *d, uint64_t key)
{
	return &d->regions[VMB_KEY_INDEX(key) % VMBD_REGION_BUCKETS];
}

struct vmbd_region *vmbd_region_by_key(struct vmbd_client *c, uint64_t key)
{
	struct vmbd_region *region;
	struct vmb_list *pos;

	vmb_list_each (pos, bucket_of(c->d, key)) {
		region = vmb_container_of(pos, struct vmbd_region, bucket_node);
		if (region->key == key && region->client == c)
			return region;
	}
	return NULL;
}

bool vmbd_region_is_attached(const struct vmbd_client *c, uint32_t kind)
{
	return kind >= VMB_REGION_MEMFD && kind <= VMB_REGION_GRANT &&
	       c->platform->ops->attached_kinds & 1u << kind;
}

static int check_request(struct vmbd_client *c,
			 const struct vmb_ctl_register *r)
{
	const char *what = NULL;
	int err = -EINVAL;

	if (r->kind != VMB_REGION_PROCESS &&
	    !vmbd_region_is_attached(c, r->kind)) {
		what = "a kind that is not served here";
		if (r->kind == VMB_REGION_MEMFD || r->kind == VMB_REGION_GRANT)
			err = -EOPNOTSUPP;
	} else if (r->access & ~VMB_ACCESS_ALL) {
		what = "an unknown access flag";
	} else if (!r->len || r->len > VMB_REGION_BYTES_MAX) {
		what = "a length that is 0 or too large";
	} else if (r->kind == VMB_REGION_PROCESS &&
		   !(c->features & VMB_FEATURE_PROCESS_MEMORY)) {
		what = "process memory, which was not agreed on";
		err = -EOPNOTSUPP;
	}
	if (!what)
		return 0;
	if (err == -EINVAL)
		vmbd_client_lied(c, VMB_CTL_REGISTER, r->base,
				 "register refused: it has %s", what);
	else
		vmbd_client_warn(c, "register refused: it has %s", what);
	return err;
}

static int check_limits(struct vmbd_client *c, uint64_t len)
{
	const struct vmbd_domain *domain = c->domain;

	if (vmbd_client_has_memory(c, len) &&
	    c->region_count < c->limits.of[VMBD_REGIONS] &&
	    domain->regions < domain->limits.of[VMBD_REGIONS])
		return vmbd_client_may_take(c, VMBD_HAS_REGIONS, 1, "register")
			       ? 0
			       : -ENOSPC;
	vmbd_client_warn(c,
			 "register of %llu bytes refused: it has %llu bytes in "
			 "%u regions, the policy allows no more",
			 (unsigned long long)len, (unsigned long long)c->memory,
			 c->region_count);
	return -EDQUOT;
}

static void count(struct vmbd_region *region, int by)
{
	struct vmbd_client *c = region->client;

	vmbd_client_charge(c,
			   by > 0 ? region->memory.len : -region->memory.len);
	c->region_count += (unsigned)by;
	c->domain->regions += (unsigned)by;
	c->d->region_count += (unsigned)by;
	vmbd_user_count(c->user, VMBD_HAS_REGIONS, by);
}

static int add_to_engine(struct vmbd_region *region)
{
	struct vmbd_client *c = region->client;
	struct vmb_nic_memory memory = {
		.kind = region->memory.kind,
		.access = region->access,
		.base = region->memory.base,
		.len = region->memory.len,
	};
	int err;

	if (memory.kind == VMB_REGION_PROCESS) {
		if (!c->mover) {
			err = vmb_nic_mover_open(
				c->d->nic,
				c->platform->ops->mover_cookie(c->transport),
				&c->mover);
			if (err)
				return err;
		}
		memory.address = region->memory.address;
		memory.mover = c->mover;
	}
	return vmb_nic_region_add(c->d->nic, c->domain->nic, &memory,
				  &region->key);
}

/* The memory is at hand; it is unmapped again on failure. */
static int enter(struct vmbd_client *c,
		 const struct vmb_platform_memory *memory, uint32_t access,
		 uint64_t *key)
{
	struct vmbd_region *region = calloc(1, sizeof(*region));
	int err = -ENOMEM;

	if (!region)
		goto err_unmap;
	region->client = c;
	region->access = access;
	region->memory = *memory;
	err = add_to_engine(region);
	if (err)
		goto err_free;
	vmb_list_append(&c->regions, &region->node);
	vmb_list_append(bucket_of(c->d, region->key), &region->bucket_node);
	count(region, 1);
	*key = region->key;
	return 0;

err_free:
	free(region);
err_unmap:
	vmbd_client_unmap(c, &(struct vmb_platform_memory){.kind = memory->kind,
							   .base = memory->base,
							   .len = memory->len});
	return err;
}

static struct vmb_platform_memory memory_of(const struct vmb_ctl_register *r)
{
	return (struct vmb_platform_memory){
		.kind = r->kind, .address = r->base, .len = r->len};
}

int vmbd_region_add(struct vmbd_client *c, const struct vmb_ctl_register *r,
		    struct vmb_attachment *attachment, uint64_t *key)
{
	struct vmb_platform_memory memory = memory_of(r);
	int err;

	err = check_request(c, r);
	if (!err)
		err = check_limits(c, r->len);
	if (err)
		return err;
	err = vmbd_client_map(c, attachment, &memory);
	if (err == -EINPROGRESS)
		return err;
	if (err) {
		vmbd_client_memory_refused(c, VMB_CTL_REGISTER, r->base, err);
		return err;
	}
	return enter(c, &memory, r->access, key);
}

int vmbd_region_finish(struct vmbd_client *c, const struct vmb_ctl_register *r,
		       uint64_t *key)
{
	struct vmb_platform_memory memory = memory_of(r);
	int err;

	/* others of its domain may have been faster meanwhile */
	err = check_limits(c, r->len);
	return err ? err : enter(c, &memory, r->access, key);
}

void vmbd_region_remove(struct vmbd_region *region)
{
	struct vmbd_client *c = region->client;

	vmb_list_remove(&region->node);
	vmb_list_remove(&region->bucket_node);
	count(region, -1);
	if (vmb_nic_region_remove(c->d->nic, c->domain->nic, region->key))
		vmb_error("the engine does not know a region of client %u",
			  c->number);
	vmbd_client_unmap(c, &region->memory);
	free(region);
}
