/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * regcache.h - registrations kept for reuse, one cache per process.
 *
 * Flow:  msg (rendezvous) -> vmb_regcache_get() -> port mem_register
 * Owns:  the registrations it made, and the list of vmb_alloc() memory.
 * Trust: the application may unmap, remap, fork or punch holes at any time;
 *        the kernel tells a monitor thread (userfaultfd events), and an entry
 *        that was touched is never handed out again. Where the kernel does
 *        not let us watch a range, nothing of it is kept: each get registers,
 *        the last put deregisters.
 * Threads: every call, any thread.
 */
#ifndef VMB_AM_REGCACHE_H
#define VMB_AM_REGCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "port/port.h"

struct vmb_regcache;

/* A use of registered memory. Ends with vmb_regcache_put(). */
struct vmb_regref {
	struct vmb_regcache_entry *entry;
	uint64_t key;
	uint64_t offset; /* of the address asked for, within the region */
};

/* entries: registrations kept at most (LRU among those not in use). */
int vmb_regcache_open(struct vmb_port *port, unsigned entries,
		      struct vmb_regcache **cache);
/* Deregisters everything; frees vmb_alloc() memory that was forgotten. */
void vmb_regcache_close(struct vmb_regcache *cache);

/*
 * Key and offset of [addr, addr + len) with remote access. Memory of
 * vmb_regcache_alloc() costs a look-up, a hit too; a miss a control call.
 * -EOPNOTSUPP: this memory cannot be reached by the engine; -EDQUOT; -ENOMEM;
 * -EFAULT; -EPIPE; -EINVAL: len is 0; -EPERM: the cache of a forked parent.
 */
int vmb_regcache_get(struct vmb_regcache *cache, const void *addr, size_t len,
		     struct vmb_regref *ref);
void vmb_regcache_put(struct vmb_regcache *cache, struct vmb_regref *ref);

/* Memory of the engine's kind (port mem_alloc), known to get(). */
int vmb_regcache_alloc(struct vmb_regcache *cache, size_t len, void **addr);
/* -EINVAL: not what alloc returned. Waits for the last access. */
int vmb_regcache_free(struct vmb_regcache *cache, void *addr);

/*
 * What a peer has to be told to map [addr, addr + len); file 0: that is not all
 * in one piece of vmb_regcache_alloc(), or the port has no such memory.
 */
void vmb_regcache_describe(struct vmb_regcache *cache, const void *addr,
			   size_t len, struct vmb_lane_file *what);

/*
 * Forget every idle entry in [addr, addr + len); len SIZE_MAX: all. Those in
 * use are deregistered with their last put.
 */
void vmb_regcache_invalidate(struct vmb_regcache *cache, const void *addr,
			     size_t len);

struct vmb_regcache_counters {
	uint64_t hits, misses, invalidated;
	bool watching; /* the kernel lets us keep registrations */
};
void vmb_regcache_query(struct vmb_regcache *cache,
			struct vmb_regcache_counters *counters);

#endif
