// SPDX-License-Identifier: BSD-2-Clause
/*
 * fake_xen.c - domains, grants and event channels of fake_xen.h.
 *
 * Flow:  see fake_xen.h
 * Owns:  a memfd per domain, mapped once for the "guest" and page by page for
 *        who maps its grants.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#include "fake_xen_inside.h"

#define DOMAINS_MAX 16u
#define PORTS_MAX 64u
#define PAGE 4096u
#define FIRST_REF 8u
#define MAPPED_MAX 127u /* mappings of one grant that Xen can count */

struct grant {
	bool used, read_only;
	uint32_t page;
	unsigned mapped;
};

/* The guest's end of a channel, and what Xen knows of the other. */
struct port {
	bool used;
	struct xenevtchn_handle *bound;
	int fd; /* the guest hears by this */
	unsigned delivered;
};

struct domain {
	uint32_t id;
	bool used, runs;
	int memfd;
	char *memory;
	uint32_t next_page, next_ref;
	struct grant grants[T_XEN_GRANTS];
	struct port ports[PORTS_MAX];
};

/* One mapping of one or more grants, by the platform. */
struct mapping {
	struct mapping *next;
	struct domain *domain;
	char *base;
	uint32_t count;
	uint32_t *refs;
	uint32_t notify_offset, notify_port;
	struct xengntdev_handle *handle;
};

struct xengntdev_handle {
	unsigned mappings;
};

/* Domain 0's end of a channel: what the kernel's driver does. */
struct xenevtchn_handle {
	int fd;
	struct domain *domain;
	struct port *port; /* NULL: none is bound */
	int number;
	bool masked, pending;
};

static struct domain domains[DOMAINS_MAX];
static struct mapping *mappings;
static unsigned grant_handles, channel_handles, mapped_pages;
static uint32_t page_limit;
static pthread_mutex_t channels = PTHREAD_MUTEX_INITIALIZER;

static struct domain *domain_of(uint32_t id)
{
	for (unsigned i = 0; i < DOMAINS_MAX; i++)
		if (domains[i].used && domains[i].id == id)
			return &domains[i];
	return NULL;
}

bool t_fake_domain_runs(uint32_t id)
{
	const struct domain *d = domain_of(id);

	return d && d->runs;
}

/* ---- the host ----------------------------------------------------------- */

void t_xen_start(void)
{
	t_fake_store_start();
	page_limit = UINT32_MAX;
}

static void domain_free(struct domain *d)
{
	for (unsigned i = 0; i < PORTS_MAX; i++)
		if (d->ports[i].used)
			close(d->ports[i].fd);
	munmap(d->memory, (size_t)T_XEN_PAGES * PAGE);
	close(d->memfd);
	memset(d, 0, sizeof(*d));
}

void t_xen_stop(void)
{
	ck_assert_msg(!mappings && !mapped_pages, "%u pages are still mapped",
		      mapped_pages);
	ck_assert_uint_eq(grant_handles, 0);
	ck_assert_uint_eq(channel_handles, 0);
	t_fake_store_stop();
	for (unsigned i = 0; i < DOMAINS_MAX; i++)
		if (domains[i].used)
			domain_free(&domains[i]);
}

struct t_xen_usage t_xen_usage(void)
{
	return (struct t_xen_usage){.pages = mapped_pages,
				    .channels = channel_handles,
				    .handles = grant_handles,
				    .watches = t_fake_store_watches()};
}

void t_xen_limit_pages(uint32_t pages)
{
	page_limit = pages;
}

void t_xen_domain_start(uint32_t id, const char *name)
{
	struct domain *d = NULL;

	ck_assert_ptr_null(domain_of(id));
	for (unsigned i = 0; i < DOMAINS_MAX && !d; i++)
		if (!domains[i].used)
			d = &domains[i];
	ck_assert_ptr_nonnull(d);
	d->id = id;
	d->used = d->runs = true;
	d->next_ref = FIRST_REF;
	d->memfd = memfd_create("domain", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(d->memfd, (off_t)T_XEN_PAGES * PAGE), 0);
	d->memory = mmap(NULL, (size_t)T_XEN_PAGES * PAGE,
			 PROT_READ | PROT_WRITE, MAP_SHARED, d->memfd, 0);
	ck_assert(d->memory != MAP_FAILED);
	t_xen_write(name, "/local/domain/%u/name", id);
	t_xen_write("/vm/00000000-0000-0000-0000-000000000001",
		    "/local/domain/%u/vm", id);
	t_fake_store_fire("@introduceDomain");
}

void t_xen_domain_die(uint32_t id)
{
	domain_of(id)->runs = false;
	t_xen_remove("/local/domain/%u", id);
	t_fake_store_fire("@releaseDomain");
	domain_of(id)->id |= 0x80000000u; /* the number is free again */
}

/* ---- a guest's machine -------------------------------------------------- */

uint32_t t_xen_pages(uint32_t domain, uint32_t count)
{
	struct domain *d = domain_of(domain);
	uint32_t first = d->next_page;

	ck_assert_uint_le(first + count, T_XEN_PAGES);
	d->next_page += count;
	return first;
}

void *t_xen_page(uint32_t domain, uint32_t page)
{
	return domain_of(domain)->memory + (size_t)page * PAGE;
}

uint32_t t_xen_grant(uint32_t domain, uint32_t page, bool read_only)
{
	struct domain *d = domain_of(domain);
	uint32_t ref = d->next_ref++;

	ck_assert_uint_lt(ref, T_XEN_GRANTS);
	d->grants[ref] = (struct grant){
		.used = true, .read_only = read_only, .page = page};
	return ref;
}

bool t_xen_grant_end(uint32_t domain, uint32_t ref)
{
	struct grant *grant = &domain_of(domain)->grants[ref];

	ck_assert(grant->used);
	if (grant->mapped)
		return false;
	grant->used = false;
	return true;
}

static struct port *port_of(uint32_t domain, uint32_t number)
{
	struct domain *d = domain_of(domain);

	ck_assert(d && number && number < PORTS_MAX && d->ports[number].used);
	return &d->ports[number];
}

uint32_t t_xen_port(uint32_t domain)
{
	struct domain *d = domain_of(domain);

	for (uint32_t i = 1; i < PORTS_MAX; i++) {
		if (d->ports[i].used)
			continue;
		d->ports[i] = (struct port){.used = true,
					    .fd = eventfd(0, EFD_NONBLOCK)};
		return i;
	}
	ck_abort_msg("no port left");
}

void t_xen_port_close(uint32_t domain, uint32_t number)
{
	struct port *port = port_of(domain, number);

	ck_assert_msg(!port->bound, "a port that is still bound");
	close(port->fd);
	port->used = false;
}

/* Called with channels locked: into the kernel's ring, and masked. */
static void deliver(struct xenevtchn_handle *h)
{
	static const uint64_t one = 1;

	if (h->masked) {
		h->pending = true;
		return;
	}
	h->masked = true;
	h->pending = false;
	h->port->delivered++;
	ck_assert_int_eq(write(h->fd, &one, sizeof(one)), sizeof(one));
}

void t_xen_event(uint32_t domain, uint32_t number)
{
	struct port *port = port_of(domain, number);

	pthread_mutex_lock(&channels);
	if (port->bound)
		deliver(port->bound);
	pthread_mutex_unlock(&channels);
}

unsigned t_xen_delivered(uint32_t domain, uint32_t number)
{
	unsigned delivered;

	pthread_mutex_lock(&channels);
	delivered = port_of(domain, number)->delivered;
	pthread_mutex_unlock(&channels);
	return delivered;
}

int t_xen_event_fd(uint32_t domain, uint32_t number)
{
	return port_of(domain, number)->fd;
}

unsigned t_xen_events(uint32_t domain, uint32_t number)
{
	uint64_t count = 0;

	if (read(port_of(domain, number)->fd, &count, sizeof(count)) < 0)
		ck_assert_int_eq(errno, EAGAIN);
	return (unsigned)count;
}

/* ---- libxenevtchn ------------------------------------------------------- */

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger,
				 unsigned flags)
{
	xenevtchn_handle *h = calloc(1, sizeof(*h));

	ck_assert_ptr_nonnull(logger); /* else it would write to stderr */
	(void)flags;
	h->fd = eventfd(0, EFD_CLOEXEC);
	channel_handles++;
	return h;
}

int xenevtchn_close(xenevtchn_handle *h)
{
	pthread_mutex_lock(&channels);
	if (h->port)
		h->port->bound = NULL;
	pthread_mutex_unlock(&channels);
	close(h->fd);
	free(h);
	channel_handles--;
	return 0;
}

int xenevtchn_fd(xenevtchn_handle *h)
{
	return h->fd;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h,
						     uint32_t id,
						     evtchn_port_t remote)
{
	struct domain *d = domain_of(id);

	if (!d || !d->runs || !remote || remote >= PORTS_MAX ||
	    !d->ports[remote].used || d->ports[remote].bound) {
		errno = EINVAL;
		return -1;
	}
	pthread_mutex_lock(&channels);
	h->domain = d;
	h->port = &d->ports[remote];
	h->port->bound = h;
	h->number = 1000 + (int)remote;
	deliver(h); /* Xen does so: something may have been sent before */
	pthread_mutex_unlock(&channels);
	return h->number;
}

int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
	static const uint64_t one = 1;

	ck_assert(h->port && (int)port == h->number);
	ck_assert_int_eq(write(h->port->fd, &one, sizeof(one)), sizeof(one));
	return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h)
{
	uint64_t count;

	if (read(h->fd, &count, sizeof(count)) < 0)
		return -1;
	return h->number;
}

int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t port)
{
	ck_assert(h->port && (int)port == h->number);
	pthread_mutex_lock(&channels);
	ck_assert_msg(h->masked, "unmasked, and was not masked");
	h->masked = false;
	if (h->pending)
		deliver(h);
	pthread_mutex_unlock(&channels);
	return 0;
}

/* ---- libxengnttab ------------------------------------------------------- */

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger,
				 unsigned flags)
{
	ck_assert_ptr_nonnull(logger); /* else it would write to stderr */
	(void)flags;
	grant_handles++;
	return calloc(1, sizeof(xengnttab_handle));
}

int xengnttab_close(xengnttab_handle *h)
{
	ck_assert_msg(!h->mappings, "closed with %u mappings", h->mappings);
	grant_handles--;
	free(h);
	return 0;
}

static bool may_map(const struct domain *d, uint32_t ref, int prot)
{
	return d && ref < T_XEN_GRANTS && d->grants[ref].used &&
	       !((prot & PROT_WRITE) && d->grants[ref].read_only);
}

static void uncount(struct domain *d, uint32_t count, const uint32_t *refs)
{
	while (count--)
		d->grants[refs[count]].mapped--;
}

/* All of them once more, or none: Xen's counters are that small. */
static bool count_mapped(struct domain *d, uint32_t count, const uint32_t *refs,
			 int prot)
{
	for (uint32_t i = 0; i < count; i++) {
		if (!may_map(d, refs[i], prot) ||
		    d->grants[refs[i]].mapped == MAPPED_MAX) {
			uncount(d, i, refs);
			return false;
		}
		d->grants[refs[i]].mapped++;
	}
	return true;
}

static void *map(xengnttab_handle *h, uint32_t count, uint32_t id,
		 const uint32_t *refs, int prot)
{
	struct domain *d = domain_of(id);
	struct mapping *m;

	errno = EINVAL;
	if (mapped_pages + count > page_limit ||
	    !count_mapped(d, count, refs, prot))
		return NULL;
	m = calloc(1, sizeof(*m));
	m->domain = d;
	m->count = count;
	m->refs = memcpy(malloc(count * sizeof(*refs)), refs,
			 count * sizeof(*refs));
	m->notify_offset = m->notify_port = UINT32_MAX;
	m->handle = h;
	m->base = mmap(NULL, (size_t)count * PAGE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (uint32_t i = 0; i < count; i++)
		ck_assert(mmap(m->base + (size_t)i * PAGE, PAGE, prot,
			       MAP_SHARED | MAP_FIXED, d->memfd,
			       (off_t)d->grants[refs[i]].page * PAGE) !=
			  MAP_FAILED);
	m->next = mappings;
	mappings = m;
	h->mappings++;
	mapped_pages += count;
	return m->base;
}

void *xengnttab_map_grant_ref(xengnttab_handle *h, uint32_t id, uint32_t ref,
			      int prot)
{
	return map(h, 1, id, &ref, prot);
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *h, uint32_t count,
				      uint32_t id, uint32_t *refs, int prot)
{
	return map(h, count, id, refs, prot);
}

void *xengnttab_map_grant_ref_notify(xengnttab_handle *h, uint32_t id,
				     uint32_t ref, int prot, uint32_t offset,
				     evtchn_port_t port)
{
	void *base = map(h, 1, id, &ref, prot);

	if (base) {
		mappings->notify_offset = offset;
		mappings->notify_port = port;
	}
	return base;
}

static void tell_unmapped(const struct mapping *m)
{
	static const uint64_t one = 1;
	struct port *port;

	if (m->notify_offset != UINT32_MAX)
		__atomic_store_n(m->base + m->notify_offset, 0,
				 __ATOMIC_RELEASE);
	if (m->notify_port == UINT32_MAX)
		return;
	port = &m->domain->ports[m->notify_port - 1000];
	ck_assert_msg(port->bound, "the channel is closed before the page");
	ck_assert_int_eq(write(port->fd, &one, sizeof(one)), sizeof(one));
}

int xengnttab_unmap(xengnttab_handle *h, void *start, uint32_t count)
{
	struct mapping **at, *m;

	for (at = &mappings; *at && (*at)->base != start; at = &(*at)->next)
		;
	m = *at;
	ck_assert_msg(m && m->count == count && m->handle == h,
		      "unmapped %u pages that are not mapped so", count);
	tell_unmapped(m);
	uncount(m->domain, count, m->refs);
	munmap(m->base, (size_t)count * PAGE);
	*at = m->next;
	h->mappings--;
	mapped_pages -= count;
	free(m->refs);
	free(m);
	return 0;
}
