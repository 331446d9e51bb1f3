/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * grants.h - memory that two guests of a Xen host share: the receiver of a lane
 * grants pages to the sender's domain, the sender maps them.
 *
 * Flow:  kshim.c, when the daemon has answered -> [here] -> /dev/xen/gntalloc,
 *        /dev/xen/gntdev of the guest's kernel
 * Owns:  nothing: a mapping is the caller's and holds all there is, so that
 *        munmap() or the end of the process gives it back.
 * Trust: references are the other guest's words: one that cannot be mapped is
 *        an error, and what can be mapped was granted to this guest.
 */
#ifndef VMB_PORT_GRANTS_H
#define VMB_PORT_GRANTS_H

#include <stddef.h>
#include <stdint.h>

/*
 * count zeroed pages, granted to a domain for writing, mapped in one piece at
 * *base. refs[count] are their references, in order.
 *
 * -EOPNOTSUPP: no device (module xen-gntalloc); -EACCES; -ENOSPC: no more pages
 * may be shared, or no grant is left; -ENOMEM.
 */
int vmb_grants_share(uint32_t domain, uint32_t *refs, uint32_t count,
		     void **base);

/*
 * Map what a domain granted to us, for writing. -EOPNOTSUPP: no device (module
 * xen-gntdev); -EACCES; -EINVAL: a reference that cannot be mapped; -ENOMEM.
 */
int vmb_grants_map(uint32_t domain, const uint32_t *refs, uint32_t count,
		   void **base);

#endif
