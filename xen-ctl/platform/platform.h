/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * platform.h - how the daemon reaches memory and events of its clients: the
 * seam between vmbd and the machine.
 *
 * Flow:  a client's request -> platform -> vmb_platform_events -> vmbd
 *        vmbd -> vmb_platform_ops -> the client's memory, events, replies
 *        engine thread -> ops->engine_host() -> sleep, notify, process memory
 * Owns:  the transport of control messages, who is at its other end, mappings
 *        of client memory, kicks and notifications. Knows neither domains nor
 *        policies, and reads no field of a request.
 * Trust: the kernel is believed, nothing else. Nothing that a client does or
 *        hands over may block the control thread.
 *
 * All calls but those of the engine host are made by the control thread.
 */
#ifndef VMB_PLATFORM_PLATFORM_H
#define VMB_PLATFORM_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include <vmbypass/abi/control.h>

#include "nic/nic.h"

struct vmb_platform;   /* the implementation's state */
struct vmb_transport;  /* its side of one client */
struct vmb_signal;     /* its side of one endpoint: kick and notification */
struct vmb_attachment; /* memory that came with a request */
struct vmbd_client;    /* the daemon's side of one client */

#define VMB_GROUPS_MAX 256

/* Who a client is, said by the kernel. */
struct vmb_credentials {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	unsigned group_count;
	gid_t groups[VMB_GROUPS_MAX]; /* supplementary */
};

/* One control message as it came. Valid during the call only. */
struct vmb_platform_request {
	const union vmb_ctl_any *msg; /* private copy, zero beyond len */
	size_t len;	    /* that came; may be more than sizeof(*msg) */
	unsigned attached;  /* attachments that came */
	bool attached_more; /* and more than were expected */
	struct vmb_attachment *attachment;
};

/* What the daemon does when something happens to a client. */
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
};

/* Memory of a client that the daemon asks for and then holds. */
struct vmb_platform_memory {
	uint32_t kind;	  /* VMB_REGION_* */
	bool exact;	  /* an attachment must end with it */
	uint64_t address; /* PROCESS: virtual; MEMFD: byte offset in it */
	uint64_t len;
	void *base; /* MEMFD: result, where the byte at address is mapped */
};

struct vmb_platform_config {
	sd_event *event;
	const struct vmb_platform_events *events;
	void *arg; /* of events->arrived() */
	const char *socket;
	mode_t mode;
	gid_t group;	  /* of the socket; (gid_t)-1: ours */
	unsigned threads; /* of the engine */
};

struct vmb_platform_ops {
	const char *name;

	/*
	 * Prepare; no client arrives before start(). The config is copied,
	 * the strings in it are not. -EADDRINUSE: another daemon is there.
	 */
	int (*open)(const struct vmb_platform_config *config,
		    struct vmb_platform **platform);
	/* Let clients come. */
	int (*start)(struct vmb_platform *p, struct vmb_nic *nic);
	/* Send all clients away (events->left() for each); none come. */
	void (*stop)(struct vmb_platform *p);
	/* After the engine was closed. NULL is ignored. */
	void (*close)(struct vmb_platform *p);
	/* What the engine calls; valid until close(). */
	const struct vmb_nic_host *(*engine_host)(struct vmb_platform *p);

	/* VMB_FEATURE_* that work with this client on this machine. */
	uint64_t (*features)(struct vmb_transport *t);
	/* May two clients share memory without the engine? */
	bool (*coresident)(const struct vmb_transport *a,
			   const struct vmb_transport *b);
	/*
	 * Send one message, with the client's ends of a signal unless NULL
	 * (they are not ours any more after success). Never waits; a client
	 * that does not read is not served until it does. -errno: it must go.
	 */
	int (*reply)(struct vmb_transport *t, const union vmb_ctl_any *msg,
		     struct vmb_signal *signal);
	/* Send it away; events->left() is called. Not inside its events. */
	void (*drop)(struct vmb_transport *t, const char *why);

	/*
	 * Check and map memory. -EINPROGRESS: events->memory_ready() tells
	 * the end, and no request of this client comes before. Other errors:
	 * -EBADF not memory that can be shared, -EPERM not sealed as it must
	 * be, -EINVAL wrong size, -EFAULT not memory of the client,
	 * -EOPNOTSUPP this kind cannot be reached, -ENOMEM.
	 */
	int (*memory_map)(struct vmb_transport *t,
			  struct vmb_attachment *attachment,
			  struct vmb_platform_memory *memory);
	void (*memory_unmap)(struct vmb_transport *t,
			     struct vmb_platform_memory *memory);
	/* Cookie of vmb_nic_mover_open(); harmless after the client left. */
	void *(*mover_cookie)(struct vmb_transport *t);

	/* A signal is the cookie of vmb_nic_endpoint_add(). -EMFILE. */
	int (*signal_open)(struct vmb_transport *t, struct vmb_signal **signal);
	/* From now on kicks go to ep. */
	int (*signal_bind)(struct vmb_signal *signal,
			   struct vmb_nic_endpoint *ep);
	/* After return no kick refers to the endpoint any more. */
	void (*signal_unbind)(struct vmb_signal *signal);
	/* After the endpoint was removed. */
	void (*signal_close)(struct vmb_signal *signal);
};

extern const struct vmb_platform_ops vmb_platform_local;

#endif
