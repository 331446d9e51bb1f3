// SPDX-License-Identifier: BSD-2-Clause
/*
 * xen.c - the platform of a Xen host: clients are processes of guests.
 *
 * Flow:  vmbctl attach, or a domain starts and the policy wants it -> nodes
 *        in the store -> guest.c; watches -> which guest -> guest.c
 * Owns:  the connection to xenstored, the list of guests.
 * Trust: xenstored and the toolstack say which domains run and what they are
 *        called. Everything else of a guest: guest.c, ring.c, channel.c.
 *
 * libxenctrl is not used: what it would say of domains, the store says as
 * well, and its interface is another one with each Xen.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/xen/xen.h"

/*
 * Events of the store are first noted, then looked at: a guest that writes
 * its nodes all the time makes the queue no longer than it can be emptied.
 */
#define EVENTS_PER_TURN 4096

/* ---- log ---------------------------------------------------------------- */

static __attribute__((format(printf, 5, 0))) void
say(struct xentoollog_logger *logger, xentoollog_level level, int errnoval,
    const char *context, const char *format, va_list args)
{
	char text[256];

	(void)logger;
	vsnprintf(text, sizeof(text), format, args);
	vmb_debug("%s: %s: %s%s%s", context ? context : "xen",
		  level >= XTL_ERROR ? "error" : "note", text,
		  errnoval > 0 ? ": " : "",
		  errnoval > 0 ? strerror(errnoval) : "");
}

struct xentoollog_logger vmb_xen_logger = {.vmessage = say};

/* ---- which domains ------------------------------------------------------ */

/* Calls with each other domain of the store, until one call returns true. */
static bool each_domain(struct vmb_platform *p,
			bool (*call)(struct vmb_platform *p, uint32_t id,
				     void *arg),
			void *arg)
{
	bool done = false;
	unsigned count;
	char **ids = xs_directory(p->store, XBT_NULL, "/local/domain", &count);

	for (unsigned i = 0; ids && i < count && !done; i++) {
		uint32_t id = (uint32_t)strtoul(ids[i], NULL, 10);

		if (id != p->self)
			done = call(p, id, arg);
	}
	free(ids);
	return done;
}

struct search {
	const char *which;
	struct vmb_guest_identity found;
};

static bool is_searched(struct vmb_platform *p, uint32_t id, void *arg)
{
	char number[16], path[XEN_PATH_BYTES], name[XEN_VALUE_BYTES];
	struct search *search = arg;

	snprintf(number, sizeof(number), "%u", id);
	snprintf(path, sizeof(path), "/local/domain/%u/name", id);
	return (!strcmp(number, search->which) ||
		(!vmb_xen_store_read(p, path, name) &&
		 !strcmp(name, search->which))) &&
	       !vmb_xen_store_identity(p, id, &search->found);
}

/* ---- guests that were detached by hand ---------------------------------- */

static bool is_declined(const struct vmb_platform *p, uint32_t id)
{
	for (unsigned i = 0; i < p->declined_count; i++)
		if (p->declined[i] == id)
			return true;
	return false;
}

static void decline(struct vmb_platform *p, uint32_t id)
{
	uint32_t *grown =
		realloc(p->declined, (p->declined_count + 1) * sizeof(*grown));

	if (!grown) {
		vmb_warn("no memory: the policy may attach domain %u again",
			 id);
		return;
	}
	p->declined = grown;
	p->declined[p->declined_count++] = id;
}

static void forget_declined(struct vmb_platform *p, uint32_t id)
{
	for (unsigned i = p->declined_count; i-- > 0;)
		if (p->declined[i] == id)
			p->declined[i] = p->declined[--p->declined_count];
}

/* ---- attach and detach -------------------------------------------------- */

static int attach(struct vmb_platform *p, const struct vmb_guest_identity *who,
		  char why[VMB_ERROR_BYTES])
{
	char session[XEN_SESSION_BYTES];
	int err;

	err = vmb_xen_store_attach(p, who->id, session);
	if (err) {
		snprintf(why, VMB_ERROR_BYTES,
			 "guest %.80s: cannot write its nodes: %s", who->name,
			 strerror(-err));
		return err;
	}
	err = vmb_xen_guest_add(p, who, session, why);
	if (err)
		vmb_xen_store_remove(p, who->id, true);
	return err;
}

static int xen_guest_attach(struct vmb_platform *p, const char *which,
			    char why[VMB_ERROR_BYTES])
{
	struct search search = {.which = which};
	const struct vmb_guest *g;

	if (!each_domain(p, is_searched, &search)) {
		snprintf(why, VMB_ERROR_BYTES,
			 "no domain %.80s runs here, or it is this one", which);
		return -ENOENT;
	}
	g = vmb_xen_guest_find(p, search.found.id);
	if (g) { /* it was given another name meanwhile */
		snprintf(why, VMB_ERROR_BYTES,
			 "domain %u is attached, as guest %.80s",
			 search.found.id, g->who.name);
		return -EEXIST;
	}
	forget_declined(p, search.found.id);
	return attach(p, &search.found, why);
}

static int xen_guest_detach(struct vmb_platform *p, struct vmb_guest *g,
			    char why[VMB_ERROR_BYTES])
{
	int err;

	err = vmb_xen_back_write(g, "online", "0");
	if (err) {
		snprintf(why, VMB_ERROR_BYTES, "cannot write its nodes: %s",
			 strerror(-err));
		return err;
	}
	decline(p, g->who.id);
	vmb_xen_guest_check(g);
	return 0;
}

static bool attach_if_wanted(struct vmb_platform *p, uint32_t id, void *arg)
{
	struct vmb_guest_identity who;
	char why[VMB_ERROR_BYTES];

	(void)arg;
	if (!vmb_xen_guest_find(p, id) && !is_declined(p, id) &&
	    !vmb_xen_store_identity(p, id, &who) &&
	    p->config.events->guest_wanted(p->config.arg, &who) &&
	    attach(p, &who, why))
		vmb_warn("not attached: %s", why);
	return false;
}

static void xen_guests_reconsider(struct vmb_platform *p)
{
	each_domain(p, attach_if_wanted, NULL);
}

/* ---- devices that are there already ------------------------------------- */

/* Refused: say so in the store, once. */
static void refuse(struct vmb_platform *p, uint32_t id, const char *why)
{
	char path[XEN_PATH_BYTES];
	uint32_t state;

	vmb_xen_back_path(p, id, "state", path);
	if (!vmb_xen_store_number(p, path, &state) &&
	    state == XenbusStateClosed)
		return;
	vmb_warn("a device of domain %u is not served: %s", id, why);
	xs_write(p->store, XBT_NULL, path, "6", 1);
	vmb_xen_back_path(p, id, "error", path);
	xs_write(p->store, XBT_NULL, path, why, (unsigned)strlen(why));
}

/* Left by a daemon that died, or made by other hands. */
static void adopt(struct vmb_platform *p, uint32_t id)
{
	char path[XEN_PATH_BYTES], why[VMB_ERROR_BYTES];
	struct vmb_guest_identity who;
	uint32_t other;

	vmb_xen_back_path(p, id, "frontend-id", path);
	if (vmb_xen_store_number(p, path, &other) || other != id)
		return;
	if (id == p->self || vmb_xen_store_identity(p, id, &who))
		vmb_xen_store_remove(p, id, false); /* it does not run */
	else if (vmb_xen_guest_add(p, &who, NULL, why))
		refuse(p, id, why);
}

static void adopt_all(struct vmb_platform *p)
{
	char path[XEN_PATH_BYTES];
	unsigned count;
	char **ids;

	snprintf(path, sizeof(path), "/local/domain/%u/backend/%s", p->self,
		 VMB_XEN_DEVICE);
	ids = xs_directory(p->store, XBT_NULL, path, &count);
	for (unsigned i = 0; ids && i < count; i++)
		adopt(p, (uint32_t)strtoul(ids[i], NULL, 10));
	free(ids);
}

/* ---- watches ------------------------------------------------------------ */

/* Who has died? A domain that only shut down is still there. */
static void on_release(struct vmb_platform *p)
{
	struct vmb_list *pos, *tmp;

	vmb_list_each_safe (pos, tmp, &p->guests) {
		struct vmb_guest *g =
			vmb_container_of(pos, struct vmb_guest, node);

		if (!xs_is_domain_introduced(p->store, g->who.id))
			vmb_xen_guest_died(g);
	}
	for (unsigned i = p->declined_count; i-- > 0;)
		if (!xs_is_domain_introduced(p->store, p->declined[i]))
			forget_declined(p, p->declined[i]);
}

static void on_back(struct vmb_platform *p, const char *path)
{
	struct vmb_guest *g;
	unsigned self, id;

	if (sscanf(path, "/local/domain/%u/backend/" VMB_XEN_DEVICE "/%u",
		   &self, &id) != 2)
		return;
	g = vmb_xen_guest_find(p, id);
	if (g)
		g->changed = true;
	else
		adopt(p, id);
}

static void on_watch(struct vmb_platform *p, const char *path,
		     const char *token)
{
	struct vmb_guest *g;
	unsigned id;

	if (!strcmp(token, "introduce")) {
		xen_guests_reconsider(p);
	} else if (!strcmp(token, "release")) {
		on_release(p);
	} else if (!strcmp(token, "back")) {
		on_back(p, path);
	} else if (sscanf(token, "front/%u", &id) == 1) {
		g = vmb_xen_guest_find(p, id);
		if (g)
			g->changed = true;
	}
}

static void check_changed(struct vmb_platform *p)
{
	struct vmb_list *pos, *tmp;

	vmb_list_each_safe (pos, tmp, &p->guests) {
		struct vmb_guest *g =
			vmb_container_of(pos, struct vmb_guest, node);

		if (!g->changed)
			continue;
		g->changed = false;
		vmb_xen_guest_check(g);
	}
}

/* The library hands out watches until there is none; then it is EAGAIN. */
static int on_store(sd_event_source *source, int fd, uint32_t revents,
		    void *arg)
{
	struct vmb_platform *p = arg;
	char **watch;

	(void)source;
	(void)fd;
	(void)revents;
	for (unsigned i = 0; i < EVENTS_PER_TURN; i++) {
		watch = xs_check_watch(p->store);
		if (!watch)
			break;
		on_watch(p, watch[XS_WATCH_PATH], watch[XS_WATCH_TOKEN]);
		free(watch);
	}
	check_changed(p);
	return 0;
}

static int watch_store(struct vmb_platform *p)
{
	char path[XEN_PATH_BYTES];
	int err;

	err = sd_event_add_io(p->config.event, &p->store_source,
			      xs_fileno(p->store), EPOLLIN, on_store, p);
	if (err < 0)
		return err;
	snprintf(path, sizeof(path), "/local/domain/%u/backend/%s", p->self,
		 VMB_XEN_DEVICE);
	if (!xs_watch(p->store, path, "back") ||
	    !xs_watch(p->store, "@introduceDomain", "introduce") ||
	    !xs_watch(p->store, "@releaseDomain", "release"))
		return -errno;
	return 0;
}

/* ---- operations --------------------------------------------------------- */

static int xen_open(const struct vmb_platform_config *config,
		    struct vmb_platform **platform)
{
	struct vmb_platform *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->config = *config;
	vmb_list_init(&p->guests);
	p->store = xs_open(0);
	if (!p->store) {
		err = -errno;
		vmb_error("cannot reach xenstored: %m (is this a Xen host?)");
		goto err_free;
	}
	/* without the node we are domain 0: a driver domain is told its own */
	if (vmb_xen_store_number(p, "domid", &p->self))
		p->self = 0;
	err = vmb_xen_asks_open(p);
	if (err)
		goto err_close_store;
	*platform = p;
	return 0;

err_close_store:
	xs_close(p->store);
err_free:
	free(p);
	return err;
}

static int xen_start(struct vmb_platform *p)
{
	adopt_all(p);
	xen_guests_reconsider(p);
	return watch_store(p);
}

/* Nothing is written: who comes after us finds the devices and goes on. */
static void xen_stop(struct vmb_platform *p)
{
	struct vmb_list *pos, *tmp;

	p->store_source = sd_event_source_disable_unref(p->store_source);
	vmb_list_each_safe (pos, tmp, &p->guests)
		vmb_xen_guest_free(vmb_container_of(pos, struct vmb_guest,
						    node),
				   "daemon stops");
}

static void xen_close(struct vmb_platform *p)
{
	if (!p)
		return;
	vmb_xen_asks_close(p);
	xs_close(p->store);
	free(p->declined);
	free(p);
}

/* A barrier does not reach another domain's processors, nor we its memory. */
static uint64_t xen_features(struct vmb_transport *t)
{
	(void)t;
	return 0;
}

/* All guests of this host are. */
static bool xen_coresident(const struct vmb_transport *a,
			   const struct vmb_transport *b)
{
	return a->g->p == b->g->p;
}

/* The guests make the memory; each is told which domain the other one is. */
static int xen_lane_make(struct vmb_transport *receiver,
			 struct vmb_transport *sender, size_t len,
			 struct vmb_lane_memory **lane)
{
	(void)len;
	*lane = malloc(sizeof(**lane));
	if (!*lane)
		return -ENOMEM;
	(*lane)->receiver = receiver->g->who.id;
	(*lane)->sender = sender->g->who.id;
	return 0;
}

static void xen_lane_free(struct vmb_lane_memory *lane)
{
	free(lane);
}

static void *xen_mover_cookie(struct vmb_transport *t)
{
	(void)t;
	return NULL;
}

static const struct vmb_platform_ops vmb_platform_xen = {
	.name = "xen",
	.attached_kinds = 1u << VMB_REGION_GRANT,
	.open = xen_open,
	.start = xen_start,
	.stop = xen_stop,
	.close = xen_close,
	.features = xen_features,
	.coresident = xen_coresident,
	.reply = vmb_xen_reply,
	.drop = vmb_xen_drop,
	.memory_map = vmb_xen_memory_map,
	.memory_unmap = vmb_xen_memory_unmap,
	.mover_cookie = xen_mover_cookie,
	.signal_open = vmb_xen_signal_open,
	.signal_bind = vmb_xen_signal_bind,
	.signal_unbind = vmb_xen_signal_unbind,
	.signal_close = vmb_xen_signal_close,
	.lane_make = xen_lane_make,
	.lane_free = xen_lane_free,
	.guest_attach = xen_guest_attach,
	.guest_detach = xen_guest_detach,
	.guest_state = vmb_xen_guest_state,
	.guests_reconsider = xen_guests_reconsider,
};

const struct vmb_platform_ops *vmb_platform_guests(void)
{
	return &vmb_platform_xen;
}
