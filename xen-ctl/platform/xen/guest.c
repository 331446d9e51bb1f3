// SPDX-License-Identifier: BSD-2-Clause
/*
 * guest.c - the device of one guest: the state machine of docs/xenbus.md.
 *
 * Flow:  nodes changed -> vmb_xen_guest_check() -> offer, connect, disconnect,
 *        remove
 * Owns:  the two shared pages, the handles of grants and channel: one of each
 *        per guest, so that no guest uses up what another needs.
 * Trust: what stands in the frontend's folder is the guest's: states out of
 *        turn, bad references, a foreign session lead to an error or nothing.
 *        The backend's folder is ours.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/xen/xen.h"

const char *vmb_xen_guest_state(const struct vmb_guest *g)
{
	static const char *const names[] = {
		[XEN_WAITING] = "waiting",
		[XEN_CONNECTED] = "connected",
		[XEN_CLOSING] = "closing",
		[XEN_CLOSED] = "closed",
	};

	return names[g->state];
}

struct vmb_guest *vmb_xen_guest_find(struct vmb_platform *p, uint32_t id)
{
	struct vmb_list *pos;

	vmb_list_each (pos, &p->guests) {
		struct vmb_guest *g =
			vmb_container_of(pos, struct vmb_guest, node);

		if (g->who.id == id)
			return g;
	}
	return NULL;
}

static void set_state(struct vmb_guest *g, XenbusState state)
{
	char text[8];

	snprintf(text, sizeof(text), "%d", (int)state);
	vmb_xen_back_write(g, "state", text);
}

/* ---- letting go --------------------------------------------------------- */

/*
 * First nobody touches the pages any more, then they go; the hypervisor clears
 * `alive` with the events page and sends an event, for which the channel is
 * still there.
 */
static void disconnect(struct vmb_guest *g, const char *why)
{
	vmb_xen_clients_drop(g, why);
	vmb_xen_channel_deafen(g);
	if (g->events)
		xengnttab_unmap(g->grants, g->events, 1);
	if (g->ring.sring)
		xengnttab_unmap(g->grants, g->ring.sring, 1);
	g->events = NULL;
	g->ring.sring = NULL;
	vmb_xen_channel_close(g);
	if (g->grants)
		xengnttab_close(g->grants);
	g->grants = NULL;
}

void vmb_xen_guest_free(struct vmb_guest *g, const char *why)
{
	char path[XEN_PATH_BYTES], token[24];

	disconnect(g, why);
	vmb_xen_front_path(g->who.id, "state", path);
	snprintf(token, sizeof(token), "front/%u", g->who.id);
	xs_unwatch(g->p->store, path, token);
	g->p->config.events->guest_detached(g->guest);
	vmb_list_remove(&g->node);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

void vmb_xen_guest_died(struct vmb_guest *g)
{
	struct vmb_platform *p = g->p;
	uint32_t id = g->who.id;

	vmb_xen_guest_free(g, "the guest died");
	vmb_xen_store_remove(p, id, false);
}

static void remove_device(struct vmb_guest *g)
{
	struct vmb_platform *p = g->p;
	uint32_t id = g->who.id;

	vmb_xen_guest_free(g, "detached");
	vmb_xen_store_remove(p, id, true);
}

static void close_device(struct vmb_guest *g, const char *error)
{
	disconnect(g, error);
	g->state = XEN_CLOSING;
	vmb_xen_back_write(g, "error", error);
	set_state(g, XenbusStateClosing);
}

void vmb_xen_guest_lied(struct vmb_guest *g, unsigned fault, uint64_t value)
{
	g->lies++;
	g->p->config.events->guest_lied(g->guest, fault, value);
}

void vmb_xen_guest_send_away(struct vmb_guest *g, const char *why)
{
	vmb_log_with(VMB_LOG_ERROR,
		     VMB_LOG_FIELDS(VMB_LOG_TEXT("event", "guest_sent_away"),
				    VMB_LOG_TEXT("guest", g->who.name)),
		     "guest %s is sent away: %s", g->who.name, why);
	g->lies = XEN_LIES_MAX;
	close_device(g, why);
}

/* ---- connecting --------------------------------------------------------- */

static void offer(struct vmb_guest *g)
{
	int err = vmb_xen_store_offer(g);

	g->state = XEN_WAITING;
	if (err)
		vmb_error("guest %s: cannot offer a session: %s", g->who.name,
			  strerror(-err));
}

/* What the guest wrote for this session. */
struct offered {
	uint32_t ring_ref, events_ref, port;
};

static bool is_our_session(struct vmb_guest *g)
{
	char path[XEN_PATH_BYTES], session[XEN_VALUE_BYTES];

	vmb_xen_front_path(g->who.id, "session", path);
	return !vmb_xen_store_read(g->p, path, session) &&
	       !strcmp(session, g->session);
}

static int read_front(struct vmb_guest *g, const char *node, uint32_t *value)
{
	char path[XEN_PATH_BYTES];

	vmb_xen_front_path(g->who.id, node, path);
	return vmb_xen_store_number(g->p, path, value);
}

static int check_abi(struct vmb_guest *g)
{
	char path[XEN_PATH_BYTES], text[XEN_VALUE_BYTES];
	unsigned major, minor;
	int n = 0;

	vmb_xen_front_path(g->who.id, "abi", path);
	if (vmb_xen_store_read(g->p, path, text) ||
	    sscanf(text, "%5u.%5u%n", &major, &minor, &n) != 2 || text[n])
		return -EINVAL;
	return major == VMB_ABI_MAJOR && minor <= VMB_ABI_MINOR ? 0 : -EPROTO;
}

static int read_offered(struct vmb_guest *g, struct offered *o,
			const char **what)
{
	int err;

	*what = "version (abi)";
	err = check_abi(g);
	if (err)
		return err;
	*what = "ring-ref";
	err = read_front(g, "ring-ref", &o->ring_ref);
	if (err)
		return err;
	*what = "events-ref";
	err = read_front(g, "events-ref", &o->events_ref);
	if (err)
		return err;
	*what = "event-channel";
	return read_front(g, "event-channel", &o->port);
}

static int map_pages(struct vmb_guest *g, const struct offered *o,
		     const char **what)
{
	vmb_xen_sring_t *ring;

	*what = "ring-ref";
	ring = xengnttab_map_grant_ref(g->grants, g->who.id, o->ring_ref,
				       PROT_READ | PROT_WRITE);
	if (!ring)
		return -errno;
	BACK_RING_INIT(&g->ring, ring, VMB_PAGE);
	g->ring_ref = o->ring_ref;
	vmb_store_relaxed(&g->taken, 0);
	*what = "events-ref";
	g->events = xengnttab_map_grant_ref_notify(
		g->grants, g->who.id, o->events_ref, PROT_READ | PROT_WRITE,
		offsetof(struct vmb_xen_events, alive), g->port);
	return g->events ? 0 : -errno;
}

static int open_device(struct vmb_guest *g, const char **what)
{
	struct offered o;
	int err;

	err = read_offered(g, &o, what);
	if (err)
		return err;
	*what = "handle of grants";
	g->grants = xengnttab_open(&vmb_xen_logger, 0);
	if (!g->grants)
		return -errno;
	*what = "event-channel";
	err = vmb_xen_channel_open(g, o.port);
	if (!err)
		err = map_pages(g, &o, what);
	if (err)
		return err;
	*what = "event loop";
	return vmb_xen_channel_listen(g);
}

static void connect_device(struct vmb_guest *g)
{
	char error[VMB_ERROR_BYTES];
	const char *what;
	int err = open_device(g, &what);

	if (err) {
		snprintf(error, sizeof(error), "cannot connect: %s: %s", what,
			 strerror(-err));
		vmb_log_with(
			VMB_LOG_WARN,
			VMB_LOG_FIELDS(VMB_LOG_TEXT("event", "guest_refused"),
				       VMB_LOG_TEXT("guest", g->who.name)),
			"guest %s: %s", g->who.name, error);
		if (err == -ENOMEM || err == -EMFILE || err == -ENFILE)
			g->lies++; /* none, but it must not go on for ever */
		else
			vmb_xen_guest_lied(g, VMB_NIC_FAULT_NODE,
					   XenbusStateInitialised);
		close_device(g, error);
		return;
	}
	vmb_publish(&g->events->alive, 1);
	g->state = XEN_CONNECTED;
	set_state(g, XenbusStateConnected);
	vmb_log_with(VMB_LOG_INFO,
		     VMB_LOG_FIELDS(VMB_LOG_TEXT("event", "guest_connected"),
				    VMB_LOG_TEXT("guest", g->who.name)),
		     "guest %s is connected", g->who.name);
	vmb_xen_ring_serve(g); /* what came before we listened */
}

static bool is_online(struct vmb_guest *g)
{
	char path[XEN_PATH_BYTES];
	uint32_t online;

	vmb_xen_back_path(g->p, g->who.id, "online", path);
	return !vmb_xen_store_number(g->p, path, &online) && online;
}

/* ---- the state machine -------------------------------------------------- */

/* Has the guest nothing of ours, or not yet? */
static bool has_closed(uint32_t front)
{
	return front == XenbusStateUnknown || front == XenbusStateClosed ||
	       front == XenbusStateInitialising;
}

static void check_detaching(struct vmb_guest *g, uint32_t front)
{
	if (g->state == XEN_CONNECTED)
		disconnect(g, "detached");
	if (has_closed(front)) {
		remove_device(g);
	} else if (g->state != XEN_CLOSING) {
		g->state = XEN_CLOSING;
		set_state(g, XenbusStateClosing);
	}
}

static void check_online(struct vmb_guest *g, uint32_t front)
{
	switch (g->state) {
	case XEN_WAITING:
		if (front == XenbusStateInitialised && is_our_session(g))
			connect_device(g);
		break;
	case XEN_CONNECTED:
		if (front == XenbusStateInitialised ||
		    front == XenbusStateConnected)
			break;
		disconnect(g, "the guest closed its device");
		offer(g);
		break;
	case XEN_CLOSING:
		if (!has_closed(front))
			break;
		if (g->lies < XEN_LIES_MAX) {
			offer(g);
			break;
		}
		g->state = XEN_CLOSED;
		set_state(g, XenbusStateClosed);
		break;
	case XEN_CLOSED:
		break;
	}
}

void vmb_xen_guest_check(struct vmb_guest *g)
{
	uint32_t front = XenbusStateUnknown, id;
	char path[XEN_PATH_BYTES];

	if (read_front(g, "state", &front) &&
	    !xs_is_domain_introduced(g->p->store, g->who.id)) {
		vmb_xen_guest_died(g);
		return;
	}
	vmb_xen_back_path(g->p, g->who.id, "frontend-id", path);
	if (vmb_xen_store_number(g->p, path, &id) == -ENOENT)
		vmb_xen_guest_free(g, "its nodes were removed");
	else if (!is_online(g))
		check_detaching(g, front);
	else
		check_online(g, front);
}

/* ---- arrival ------------------------------------------------------------ */

int vmb_xen_guest_add(struct vmb_platform *p,
		      const struct vmb_guest_identity *who, const char *session,
		      char why[VMB_ERROR_BYTES])
{
	char path[XEN_PATH_BYTES], token[24];
	struct vmb_guest *g = calloc(1, sizeof(*g));
	int err;

	if (!g) {
		snprintf(why, VMB_ERROR_BYTES, "no memory");
		return -ENOMEM;
	}
	g->p = p;
	g->who = *who;
	err = p->config.events->guest_attached(p->config.arg, g, who, &g->guest,
					       why);
	if (err) {
		free(g);
		return err;
	}
	pthread_mutex_init(&g->lock, NULL);
	vmb_list_append(&p->guests, &g->node);
	if (session)
		snprintf(g->session, sizeof(g->session), "%s", session);
	else if (is_online(g)) /* else it is being detached already */
		offer(g);
	vmb_xen_front_path(who->id, "state", path);
	snprintf(token, sizeof(token), "front/%u", who->id);
	if (!xs_watch(p->store, path, token)) {
		err = -errno;
		snprintf(why, VMB_ERROR_BYTES, "cannot watch %s: %s", path,
			 strerror(-err));
		vmb_xen_guest_free(g, why);
	}
	return err;
}
