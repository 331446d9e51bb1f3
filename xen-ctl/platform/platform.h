/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * platform.h - how the daemon reaches memory and events of its clients: the
 * seam between vmbd and the machine. Several platforms may be open at once,
 * around one engine: then a client of one talks to a client of another.
 *
 * Flow:  a client's request -> platform -> vmb_platform_events -> vmbd
 *        vmbd -> vmb_platform_ops -> the client's memory, events, replies
 *        engine thread -> host.h -> the platform's watches and signals
 * Owns:  the transport of control messages, who is at its other end, mappings
 *        of client memory, kicks and notifications. Knows no policies, and
 *        reads no field of a request but its head.
 * Trust: kernel and hypervisor are believed, nothing else. Nothing that a
 *        client does or hands over may block the control thread.
 *
 * A client is a process of this machine, or a process of a guest: another
 * machine that this one hosts. A guest is attached as a whole, is one
 * protection domain, and may be attached while none of its processes is there.
 *
 * All calls are made by the control thread; what engine threads call is in
 * host.h.
 */
#ifndef VMB_PLATFORM_PLATFORM_H
#define VMB_PLATFORM_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include <vmbypass/abi/control.h>

#include "nic/nic.h"
#include "platform/host.h"

struct vmb_platform;	/* the implementation's state */
struct vmb_transport;	/* its side of one client */
struct vmb_guest;	/* its side of one guest */
struct vmb_attachment;	/* memory that came with a request */
struct vmb_lane_memory; /* of a lane, until both sides have it */
struct vmbd_client;	/* the daemon's side of one client */
struct vmbd_guest;	/* the daemon's side of one guest */

#define VMB_GROUPS_MAX 256
#define VMB_ERROR_BYTES 192 /* a sentence that says why */

/* Who a guest is, said by the machine that hosts it. */
struct vmb_guest_identity {
	uint32_t id;		   /* while it runs */
	char name[VMB_NAME_BYTES]; /* not checked */
	char uuid[40];		   /* for ever; empty: none */
};

/* Who a client is, said by the kernel or by who hosts the guest. */
struct vmb_credentials {
	struct vmbd_guest *guest; /* NULL: a process of this machine */
	pid_t pid;		  /* what follows is 0 for a guest */
	uid_t uid;
	gid_t gid;
	bool groups_unknown; /* there are too many */
	unsigned group_count;
	gid_t groups[VMB_GROUPS_MAX]; /* supplementary */
};

/* One control message as it came. Valid during the call only. */
struct vmb_platform_request {
	const union vmb_ctl_any *msg; /* private copy, zero beyond len */
	size_t len;	    /* that came; may be more than sizeof(*msg) */
	unsigned attached;  /* attachments that came */
	bool attached_more; /* and more than were expected */
	int attach_error;   /* -EMFILE: it came, and we had no room for it */
	struct vmb_attachment *attachment;
};

/* What the daemon does when something happens to a client or a guest. */
struct vmb_platform_events {
	/* A client came. -errno: it is sent away without an answer. */
	int (*arrived)(void *arg, struct vmb_transport *t,
		       const struct vmb_credentials *who,
		       struct vmbd_client **client);
	/*
	 * How many attachments this request may carry: 0 or 1. Asked before
	 * it is taken, so that others never become ours. len may be anything.
	 */
	unsigned (*attachments)(const struct vmbd_client *client,
				const union vmb_ctl_any *msg, size_t len);
	/* One request. -errno: the client must go; `left` follows. */
	int (*request)(struct vmbd_client *client,
		       const struct vmb_platform_request *request);
	/* How a memory_map() that was under way ended. As `request`. */
	int (*memory_ready)(struct vmbd_client *client, int status);
	/* The client closed, died or had to go: give everything back. */
	void (*left)(struct vmbd_client *client, const char *why);

	/* Does the policy attach this guest as soon as it runs? */
	bool (*guest_wanted)(void *arg, const struct vmb_guest_identity *who);
	/* It is attached: its processes may come. -errno and why: not so. */
	int (*guest_attached)(void *arg, struct vmb_guest *g,
			      const struct vmb_guest_identity *who,
			      struct vmbd_guest **guest,
			      char why[VMB_ERROR_BYTES]);
	/* It is not any more, and all its clients have left. */
	void (*guest_detached)(struct vmbd_guest *guest);
	/* It did what no correct guest does: VMB_NIC_FAULT_*, and a value. */
	void (*guest_lied)(struct vmbd_guest *guest, unsigned fault,
			   uint64_t value);
};

/* The area of an endpoint: all of what is attached. Else VMB_REGION_*. */
#define VMB_MEMORY_AREA 0u

/* Memory of a client that the daemon asks for and then holds. */
struct vmb_platform_memory {
	uint32_t kind; /* VMB_MEMORY_AREA or VMB_REGION_* */
	/* PROCESS: virtual; MEMFD, GRANT: byte offset in what is attached */
	uint64_t address;
	uint64_t len;
	void *base; /* result but for PROCESS: where the first byte is mapped */
};

struct vmb_platform_config {
	sd_event *event;
	struct vmb_host *host; /* the engine's, of all platforms */
	const struct vmb_platform_events *events;
	void *arg; /* of events that have one */
	const char *socket;
	mode_t mode;
	gid_t group; /* of the socket; (gid_t)-1: ours */
};

/* What goes along with a reply; NULL: not that. */
struct vmb_gift {
	struct vmb_signal *signal;    /* the client's ends of it */
	struct vmb_lane_memory *lane; /* stays ours as well */
	/* and which process the other side is, where it may be told; or NULL */
	const struct vmb_transport *process_of;
};

struct vmb_platform_ops {
	const char *name;
	uint32_t
		attached_kinds; /* 1 << VMB_REGION_* that bring an attachment */

	/*
	 * Prepare; no client arrives before start(). The config is copied,
	 * the strings in it are not. -EADDRINUSE: another daemon is there.
	 */
	int (*open)(const struct vmb_platform_config *config,
		    struct vmb_platform **platform);
	/* Let clients come. stop() follows, also after a failure. */
	int (*start)(struct vmb_platform *p);
	/* Send all clients away (events->left() for each); none come. */
	void (*stop)(struct vmb_platform *p);
	/* After the engine was closed. NULL is ignored. */
	void (*close)(struct vmb_platform *p);

	/* VMB_FEATURE_* that work with this client on this machine. */
	uint64_t (*features)(struct vmb_transport *t);
	/* May two clients of this platform share memory without the engine? */
	bool (*coresident)(const struct vmb_transport *a,
			   const struct vmb_transport *b);
	/*
	 * Send one message, with a gift unless NULL (the client's ends of a
	 * signal are not ours any more after success). Never waits; a client
	 * that does not read is not served until it does. -errno: it must go.
	 */
	int (*reply)(struct vmb_transport *t, const union vmb_ctl_any *msg,
		     const struct vmb_gift *gift);
	/* Send it away; events->left() is called. Not inside its events. */
	void (*drop)(struct vmb_transport *t, const char *why);

	/*
	 * Check and map memory. -EINPROGRESS: events->memory_ready() tells
	 * the end, and no request of this client comes before. Other errors:
	 * -EBADF not memory that can be shared, -EPERM not sealed as it must
	 * be, -EINVAL wrong size, -EFAULT not memory of the client,
	 * -EOPNOTSUPP this kind cannot be reached, -ENOSPC the machine maps
	 * no more, -ENOMEM.
	 */
	int (*memory_map)(struct vmb_transport *t,
			  struct vmb_attachment *attachment,
			  struct vmb_platform_memory *memory);
	void (*memory_unmap)(struct vmb_transport *t,
			     struct vmb_platform_memory *memory);
	/*
	 * Cookie of vmb_nic_mover_open(); harmless after the client left.
	 * Only for clients that may have VMB_FEATURE_PROCESS_MEMORY.
	 */
	void *(*mover_cookie)(struct vmb_transport *t);

	/*
	 * A signal is the cookie of vmb_nic_endpoint_add(). attachment: that
	 * of the request to open the endpoint. -EMFILE, -ENOMEM.
	 */
	int (*signal_open)(struct vmb_transport *t,
			   struct vmb_attachment *attachment,
			   struct vmb_signal **signal);
	/* From now on kicks go to ep. */
	int (*signal_bind)(struct vmb_signal *signal,
			   struct vmb_nic_endpoint *ep);
	/* After return no kick refers to the endpoint any more. */
	void (*signal_unbind)(struct vmb_signal *signal);
	/* After the endpoint was removed. */
	void (*signal_close)(struct vmb_signal *signal);

	/*
	 * What a reply gives to each of the two sides of a lane: zeroed memory,
	 * the receiver's; or, where they share it without us, who the other
	 * side is. NULL: this platform makes none. -EMFILE, -ENOMEM.
	 */
	int (*lane_make)(struct vmb_transport *receiver,
			 struct vmb_transport *sender, size_t len,
			 struct vmb_lane_memory **lane);
	void (*lane_free)(struct vmb_lane_memory *lane);

	/* ---- guests; NULL on a platform that has none ------------------- */

	/*
	 * Attach the running guest of this name or number; or begin to detach
	 * it, which ends its clients now and is complete when the guest has
	 * closed its side. -errno and why. guest_attach() is not called while
	 * that guest is attached.
	 */
	int (*guest_attach)(struct vmb_platform *p, const char *which,
			    char why[VMB_ERROR_BYTES]);
	int (*guest_detach)(struct vmb_platform *p, struct vmb_guest *g,
			    char why[VMB_ERROR_BYTES]);
	/* A word for people: "waiting", "connected" ... */
	const char *(*guest_state)(const struct vmb_guest *g);
	/* Attach those that the policy wants now and did not want before. */
	void (*guests_reconsider)(struct vmb_platform *p);
};

extern const struct vmb_platform_ops vmb_platform_local;

/* The platform whose clients are guests. NULL: built without one. */
const struct vmb_platform_ops *vmb_platform_guests(void);

#endif
