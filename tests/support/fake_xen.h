/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake_xen.h - a Xen host inside the test process: libxenstore, libxengnttab
 * and libxenevtchn are defined here and take the place of the real ones at
 * link time. Domains have memory, grants and event channels.
 *
 * Flow:  platform/xen -> xs_*, xengnttab_*, xenevtchn_* -> [here] <- t_xen_*
 *        <- the test, which plays toolstack and guests
 * Owns:  the store, the domains and their memory, all mappings and channels.
 * Trust: the platform is under test: a call that the real thing would not
 *        bear (unmapping what is not mapped, a closed channel) fails the test.
 *
 * Store and grants are for the control thread, which is the test's own;
 * channels may be used by engine threads.
 */
#ifndef TESTS_SUPPORT_FAKE_XEN_H
#define TESTS_SUPPORT_FAKE_XEN_H

#include <stdbool.h>
#include <stdint.h>

#define T_XEN_PAGES 4096u  /* of each domain */
#define T_XEN_GRANTS 8192u /* of each domain; 0..7 are Xen's own */

/* Begin with an empty host. At the end nothing may be mapped or open. */
void t_xen_start(void);
void t_xen_stop(void);

/* ---- toolstack ---------------------------------------------------------- */

/* Nodes as xl writes them, then @introduceDomain. */
void t_xen_domain_start(uint32_t id, const char *name);
/* It is gone; then @releaseDomain. Its memory stays while it is mapped. */
void t_xen_domain_die(uint32_t id);

/* As any domain would write; watches fire. */
void t_xen_write(const char *value, const char *path, ...)
	__attribute__((format(printf, 2, 3)));
void t_xen_remove(const char *path, ...) __attribute__((format(printf, 1, 2)));
/* NULL: not there. Good until the next call. */
const char *t_xen_read(const char *path, ...)
	__attribute__((format(printf, 1, 2)));
/* Who may read or write a node: "n5,r0" as xenstore-ls -p has it. */
const char *t_xen_perms(const char *path, ...)
	__attribute__((format(printf, 1, 2)));

/* The next transactions end with EAGAIN, as if others wrote meanwhile. */
void t_xen_disturb(unsigned times);
/* From now on at most so many pages can be mapped: EINVAL, as Linux says. */
void t_xen_limit_pages(uint32_t pages);

/* ---- a guest's machine -------------------------------------------------- */

/* Zeroed pages in a row, from its memory; the number of the first. */
uint32_t t_xen_pages(uint32_t domain, uint32_t count);
void *t_xen_page(uint32_t domain, uint32_t page);
/* Grant a page to domain 0. */
uint32_t t_xen_grant(uint32_t domain, uint32_t page, bool read_only);
/* End it. False: it is mapped. */
bool t_xen_grant_end(uint32_t domain, uint32_t ref);

/* A port that domain 0 may bind. */
uint32_t t_xen_port(uint32_t domain);
/* Close it; whoever bound it hears nothing any more. */
void t_xen_port_close(uint32_t domain, uint32_t port);
/* Send an event to who bound it. */
void t_xen_event(uint32_t domain, uint32_t port);
/* Events that came to this port since the last call. */
unsigned t_xen_events(uint32_t domain, uint32_t port);
/* A descriptor that is readable when some came. */
int t_xen_event_fd(uint32_t domain, uint32_t port);

/* ---- what the platform holds -------------------------------------------- */

struct t_xen_usage {
	unsigned pages; /* mapped */
	unsigned channels, handles, watches;
};
struct t_xen_usage t_xen_usage(void);
/* Times an event was delivered to (not: sent to) the other side. */
unsigned t_xen_delivered(uint32_t domain, uint32_t port);

#endif
