// SPDX-License-Identifier: BSD-2-Clause
/*
 * memory.c - memory of a guest that the engine reaches: granted pages.
 *
 * Flow:  OPEN, REGISTER -> references -> map -> engine; CLOSE, DEREGISTER,
 *        LEAVE -> unmap -> the reply says so
 * Owns:  the mappings. Pages stay the guest's.
 * Trust: references are the guest's: the hypervisor checks that it granted
 *        them to us. It cannot take a page back while it is mapped, also not
 *        by dying, so the engine's accesses do not fail. What it writes there
 *        meanwhile is input, as always.
 *
 * Mapping takes a time that the number of pages bounds (VMB_XEN_PAGES_MAX),
 * and the daemon has counted them against the policy before it comes here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/xen/xen.h"

static uint32_t pages_of(const struct vmb_platform_memory *m)
{
	uint64_t before = m->kind == VMB_MEMORY_AREA ? 0 : m->address;

	return (uint32_t)((before + m->len + VMB_PAGE - 1) / VMB_PAGE);
}

/* As many pages as the request needs, and it begins in the first of them. */
static int check_pages(struct vmb_guest *g, const struct vmb_attachment *a,
		       const struct vmb_platform_memory *m)
{
	uint64_t max = (uint64_t)VMB_XEN_PAGES_MAX * VMB_PAGE;

	if (m->kind == VMB_REGION_GRANT && m->address >= VMB_PAGE) {
		vmb_xen_guest_lied(g, VMB_NIC_FAULT_PAGES, m->address);
		return -EINVAL;
	}
	if (m->len > max || pages_of(m) != a->pages) {
		vmb_xen_guest_lied(g, VMB_NIC_FAULT_PAGES, a->pages);
		return -EINVAL;
	}
	return 0;
}

/*
 * So many mappings of one page at once are always possible: the hypervisor
 * counts them up to 127, and a PV domain has two for each.
 */
#define PROBE_PAGES 32u

static bool is_our_want(int err)
{
	return err == ENOMEM || err == ENOSPC || err == EMFILE || err == ENFILE;
}

static bool can_map(struct vmb_guest *g, uint32_t count, uint32_t *refs,
		    int prot)
{
	void *base = xengnttab_map_domain_grant_refs(g->grants, count,
						     g->who.id, refs, prot);

	if (base)
		xengnttab_unmap(g->grants, base, count);
	return base;
}

/* As many mappings of a page that is good: that of the ring. */
static bool would_fit(struct vmb_guest *g, uint32_t count)
{
	uint32_t refs[PROBE_PAGES];

	for (uint32_t i = 0; i < count; i++)
		refs[i] = g->ring_ref;
	return can_map(g, count, refs, PROT_READ | PROT_WRITE);
}

/*
 * Linux says EINVAL for a reference that is not good, and for a hypervisor
 * that maps no more for us. So look at them a few at a time: those that fail
 * where as many others do not are not good. True: *bad is one of them.
 * (A guest can make the others fail, and so hide a lie. It gains an error.)
 */
static bool find_bad(struct vmb_guest *g, uint32_t count, uint32_t *refs,
		     int prot, uint32_t *bad)
{
	for (uint32_t n; count; refs += n, count -= n) {
		n = vmb_min(count, PROBE_PAGES);
		if (can_map(g, n, refs, prot))
			continue;
		if (!would_fit(g, n))
			return false;
		while (n > 1 && can_map(g, 1, refs, prot)) {
			refs++;
			n--;
		}
		*bad = refs[0];
		return true;
	}
	return false;
}

static int map_refs(struct vmb_guest *g, uint32_t count, uint32_t *refs,
		    int prot, void **base)
{
	uint32_t bad;
	int err;

	*base = xengnttab_map_domain_grant_refs(g->grants, count, g->who.id,
						refs, prot);
	if (*base)
		return 0;
	err = errno;
	if (is_our_want(err) || !find_bad(g, count, refs, prot, &bad)) {
		vmb_warn("guest %s: cannot map %u pages: %s (limits: memory "
			 "of this domain; gntdev's parameter \"limit\"; Xen's "
			 "gnttab_max_maptrack_frames)",
			 g->who.name, count, strerror(err));
		return err == ENOMEM ? -ENOMEM : -ENOSPC;
	}
	vmb_xen_guest_lied(g, VMB_NIC_FAULT_GRANT, bad);
	return -EFAULT;
}

/* The references of the pages, read once; to be freed unless they are a's. */
static int read_list(struct vmb_guest *g, const struct vmb_attachment *a,
		     uint32_t **result)
{
	uint32_t lists = (a->pages + VMB_XEN_LIST_REFS - 1) / VMB_XEN_LIST_REFS;
	uint32_t list_refs[VMB_XEN_REFS], *refs;
	void *base;
	int err;

	memcpy(list_refs, a->refs, sizeof(list_refs));
	err = map_refs(g, lists, list_refs, PROT_READ, &base);
	if (err)
		return err;
	refs = malloc(a->pages * sizeof(*refs));
	if (refs)
		memcpy(refs, base, a->pages * sizeof(*refs));
	xengnttab_unmap(g->grants, base, lists);
	*result = refs;
	return refs ? 0 : -ENOMEM;
}

int vmb_xen_memory_map(struct vmb_transport *t, struct vmb_attachment *a,
		       struct vmb_platform_memory *m)
{
	struct vmb_guest *g = t->g;
	uint32_t direct[VMB_XEN_REFS], *refs = direct;
	void *base;
	int err;

	m->base = NULL;
	if (m->kind != VMB_MEMORY_AREA && m->kind != VMB_REGION_GRANT)
		return -EOPNOTSUPP;
	err = check_pages(g, a, m);
	if (err)
		return err;
	if (a->pages > VMB_XEN_REFS)
		err = read_list(g, a, &refs);
	else
		memcpy(direct, a->refs, sizeof(direct));
	if (err)
		return err;
	err = map_refs(g, a->pages, refs, PROT_READ | PROT_WRITE, &base);
	if (refs != direct)
		free(refs);
	if (!err)
		m->base = (char *)base +
			  (m->kind == VMB_MEMORY_AREA ? 0 : m->address);
	return err;
}

void vmb_xen_memory_unmap(struct vmb_transport *t,
			  struct vmb_platform_memory *m)
{
	uintptr_t base = (uintptr_t)m->base & ~(uintptr_t)(VMB_PAGE - 1);

	if (!m->base)
		return;
	/* the offset in the first page is that of the pointer */
	if (xengnttab_unmap(t->g->grants, (void *)base,
			    (uint32_t)(((uintptr_t)m->base - base + m->len +
					VMB_PAGE - 1) /
				       VMB_PAGE)))
		vmb_error("guest %s: cannot unmap %llu bytes: %m",
			  t->g->who.name, (unsigned long long)m->len);
	m->base = NULL;
}
