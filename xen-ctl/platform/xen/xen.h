/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xen.h - the inside of the Xen platform, shared by its files only.
 *
 *   xen.c        the ops table; which guests are there: watches, attach
 *   store.c      nodes of the store: paths, values, transactions
 *   guest.c      one guest's device: the state machine of docs/xenbus.md
 *   channel.c    its event channel: kicks, notes, storms
 *   ring.c       its control ring: requests in, replies out; its clients
 *   memory.c     granted pages
 */
#ifndef VMB_PLATFORM_XEN_XEN_H
#define VMB_PLATFORM_XEN_XEN_H

#include <pthread.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>
#include <xentoollog.h>

#include <xen/io/xenbus.h>

#include <vmbypass/abi/xenbus.h>

#include "base/barrier.h"
#include "base/list.h"
#include "base/log.h"
#include "platform/platform.h"

/* what ring.h of Xen wants to order memory with */
#define xen_mb() vmb_arm_fence()
#define xen_rmb() vmb_acquire_fence()
#define xen_wmb() vmb_release_fence()
#include <xen/io/ring.h>

DEFINE_RING_TYPES(vmb_xen, struct vmb_xen_request, struct vmb_xen_reply);

#define XEN_LIES_MAX 16u /* then the device is sent away */
#define XEN_SESSION_BYTES 17u

/* What engine threads ask of the control thread, see channel.c. */
#define XEN_ASK_RING 1u	  /* requests are there */
#define XEN_ASK_UNMASK 2u /* after a while */

struct vmb_platform {
	struct vmb_platform_config config;
	struct xs_handle *store;
	sd_event_source *store_source;
	uint32_t self; /* our domain */
	struct vmb_list guests;
	int ask_fd; /* written by engine threads */
	sd_event_source *ask_source;
	uint32_t *declined; /* guests detached by hand that still run */
	unsigned declined_count;
};

enum xen_state {
	XEN_WAITING,   /* a session is offered: InitWait */
	XEN_CONNECTED, /* Connected */
	XEN_CLOSING,   /* all was let go; the guest has to close: Closing */
	XEN_CLOSED,    /* sent away for good: Closed */
};

struct vmb_guest {
	struct vmb_platform *p;
	struct vmb_list node; /* platform.guests */
	struct vmb_guest_identity who;
	struct vmbd_guest *guest; /* the daemon's side */
	enum xen_state state;
	char session[XEN_SESSION_BYTES];
	unsigned lies; /* since it was attached */
	bool changed;  /* nodes of it did, and were not looked at yet */

	/* while connected */
	xengnttab_handle *grants;
	xenevtchn_handle *channel;
	evtchn_port_t port;
	vmb_xen_back_ring_t ring; /* sring NULL: not connected */
	uint32_t ring_ref;
	struct vmb_xen_events *events;
	sd_event_source *io;	/* the channel */
	sd_event_source *more;	/* further requests, at the next turn */
	sd_event_source *later; /* unmask */
	struct vmb_watch watches[VMB_NIC_THREADS_MAX];
	uint32_t answering; /* id of the request that is being served */
	struct vmb_transport *clients[VMB_XEN_CLIENTS + 1]; /* by number */

	pthread_mutex_t lock; /* what follows */
	struct xen_signal *slots[VMB_XEN_SLOTS];
	unsigned useless; /* events in a row that brought nothing */

	/* written by the control thread and by engine threads */
	uint32_t taken; /* ring.req_cons, for those who may not look there */
	uint32_t asked; /* XEN_ASK_* */
};

/* One client: an open file of the guest. */
struct vmb_transport {
	struct vmb_guest *g;
	uint32_t number;
	struct vmbd_client *client; /* NULL: sent away, LEAVE is to come */
};

/* Of a lane: which domains are to share it. */
struct vmb_lane_memory {
	uint32_t receiver, sender;
};

/* Pages that came with a request. */
struct vmb_attachment {
	uint32_t slot;
	uint32_t pages;
	const uint32_t *refs; /* VMB_XEN_REFS, as they came */
};

/* ---- xen.c -------------------------------------------------------------- */

/* What Xen's libraries say: in our log, for `--log debug`; we say why as well. */
extern struct xentoollog_logger vmb_xen_logger;

/* ---- store.c ------------------------------------------------------------ */

#define XEN_PATH_BYTES 128
#define XEN_VALUE_BYTES 128

/* The nodes of one guest's device. */
void vmb_xen_front_path(uint32_t guest, const char *node,
			char path[XEN_PATH_BYTES]);
void vmb_xen_back_path(const struct vmb_platform *p, uint32_t guest,
		       const char *node, char path[XEN_PATH_BYTES]);

/* -ENOENT, -EINVAL: too long, or has bytes that no node of ours has. */
int vmb_xen_store_read(struct vmb_platform *p, const char *path,
		       char value[XEN_VALUE_BYTES]);
/* Decimal digits and nothing else. -ENOENT, -EINVAL. */
int vmb_xen_store_number(struct vmb_platform *p, const char *path,
			 uint32_t *value);
int vmb_xen_back_write(struct vmb_guest *g, const char *node,
		       const char *value);
/* Number, name and uuid of a domain that runs. -ENOENT. */
int vmb_xen_store_identity(struct vmb_platform *p, uint32_t id,
			   struct vmb_guest_identity *who);
/* Make the nodes of a device, which offers a session. -errno. */
int vmb_xen_store_attach(struct vmb_platform *p, uint32_t guest,
			 char session[XEN_SESSION_BYTES]);
/* abi, a new session, InitWait. */
int vmb_xen_store_offer(struct vmb_guest *g);
/* Remove the backend's folder, and the frontend's. */
void vmb_xen_store_remove(struct vmb_platform *p, uint32_t guest,
			  bool front_too);

/* ---- guest.c ------------------------------------------------------------ */

/*
 * A device whose nodes are there; its state follows from them. session: the
 * one that they offer; NULL: another one is offered. -errno and why: the
 * daemon does not take it.
 */
int vmb_xen_guest_add(struct vmb_platform *p,
		      const struct vmb_guest_identity *who, const char *session,
		      char why[VMB_ERROR_BYTES]);
struct vmb_guest *vmb_xen_guest_find(struct vmb_platform *p, uint32_t id);
/* Nodes changed: do what follows. The guest may be gone after this. */
void vmb_xen_guest_check(struct vmb_guest *g);
/* The domain has died: give all back. */
void vmb_xen_guest_died(struct vmb_guest *g);
/* Let go of everything, and say nothing in the store. */
void vmb_xen_guest_free(struct vmb_guest *g, const char *why);
/* Lied too often, or so that nothing can be believed any more. */
void vmb_xen_guest_send_away(struct vmb_guest *g, const char *why);
/* One more lie. */
void vmb_xen_guest_lied(struct vmb_guest *g, unsigned fault, uint64_t value);
const char *vmb_xen_guest_state(const struct vmb_guest *g);

/* ---- channel.c ---------------------------------------------------------- */

int vmb_xen_channel_open(struct vmb_guest *g, evtchn_port_t remote);
/* Begin to hear it; the shared pages are mapped. */
int vmb_xen_channel_listen(struct vmb_guest *g);
/* Engine threads do not touch the shared pages after this. */
void vmb_xen_channel_deafen(struct vmb_guest *g);
void vmb_xen_channel_close(struct vmb_guest *g);
void vmb_xen_channel_notify(struct vmb_guest *g);
/* platform.ask_fd */
int vmb_xen_asks_open(struct vmb_platform *p);
void vmb_xen_asks_close(struct vmb_platform *p);

int vmb_xen_signal_open(struct vmb_transport *t,
			struct vmb_attachment *attachment,
			struct vmb_signal **signal);
int vmb_xen_signal_bind(struct vmb_signal *signal, struct vmb_nic_endpoint *ep);
void vmb_xen_signal_unbind(struct vmb_signal *signal);
void vmb_xen_signal_close(struct vmb_signal *signal);

/* ---- ring.c ------------------------------------------------------------- */

/* Serve what is there, as far as one turn goes; the guest may be sent away. */
void vmb_xen_ring_serve(struct vmb_guest *g);
/* End all its clients. */
void vmb_xen_clients_drop(struct vmb_guest *g, const char *why);
int vmb_xen_reply(struct vmb_transport *t, const union vmb_ctl_any *msg,
		  const struct vmb_gift *gift);
void vmb_xen_drop(struct vmb_transport *t, const char *why);

/* ---- memory.c ----------------------------------------------------------- */

int vmb_xen_memory_map(struct vmb_transport *t,
		       struct vmb_attachment *attachment,
		       struct vmb_platform_memory *memory);
void vmb_xen_memory_unmap(struct vmb_transport *t,
			  struct vmb_platform_memory *memory);

#endif
