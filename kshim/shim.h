/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of vmbypass.ko share.
 *
 *   main.c      module: begin and end
 *   xenbus.c    the device: store nodes, states, one connection at a time
 *   conn.c      a connection: ring, events page, interrupt, its end
 *   client.c    clients and what they hold; what replies change about it
 *   memory.c    pages: allocated or pinned, granted, and let go of
 *   chardev.c   /dev/vmbypass: clients and endpoints as files
 *
 * Trust: processes and the backend are both unknown; neither may hurt this
 * kernel or another process. What the backend writes is copied once, checked,
 * and used from the copy. What a process writes likewise.
 *
 * Objects, each counted:
 *
 *   conn       one session with a backend; it is replaced, never reused
 *   client     an open control file; held by the file, and by its place in
 *              conn->clients until the backend has let go of all it had
 *   object     an endpoint or a region; held by its client or by the request
 *              that makes or ends it, and by files of the endpoint
 *
 * Clients and objects hold their conn. Memory belongs to one object or conn.
 *
 * Locks, outermost first:
 *
 *   misc_mtx       (kernel) open of the control file
 *   shim.mutex     the device and its states: shim.dev, which conn is current;
 *                  held across store operations, never taken by a process
 *   shim.lock      the pointer shim.conn, for open
 *   conn->lock     all that hangs on a connection: dead, ring, flight, queue,
 *                  clients, numbers, slots, and of each client its lists,
 *                  objects, counts and flags. Taken by processes, works and
 *                  the interrupt thread; nothing sleeps under it.
 *   grants_lock, stuck_lock
 *                  (memory.c) how many, and what cannot be given back
 *
 * The hard interrupt takes no lock: it finds endpoints in conn->slots under RCU.
 * A kick reads conn->dead under RCU, too: the channel is unbound after a grace
 * period. object->noted and ->ended are read and written as single words.
 *
 * Replies are worked on by client->work, in order. It waits for no process: what
 * cannot be given back, since it is mapped or locked, is stuck (memory.c).
 */
#ifndef VMBYPASS_KSHIM_SHIM_H
#define VMBYPASS_KSHIM_SHIM_H

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/hashtable.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <xen/grant_table.h>
#include <xen/interface/io/ring.h>
#include <xen/xenbus.h>

#include <vmbypass/abi/chardev.h>
#include <vmbypass/abi/xenbus.h>

#include "kcompat.h"

/* A page of ours is a page of a grant, and a word holds 64 bits. */
static_assert(PAGE_SIZE == VMB_PAGE && PAGE_SIZE == XEN_PAGE_SIZE);
static_assert(BITS_PER_LONG == 64);

DEFINE_RING_TYPES(vmb_xen, struct vmb_xen_request, struct vmb_xen_reply);

struct vmb_client;
struct vmb_object;

#define VMB_FLIGHT 8u /* requests on the ring; a power of two */

extern struct workqueue_struct *vmb_wq;

/* ---- memory.c ------------------------------------------------------------- */

struct vmb_memory {
	struct list_head stuck;	  /* it cannot be given back yet */
	struct vmb_memory *lists; /* list pages, until the reply came */
	struct page **pages;
	grant_ref_t *refs; /* refs[0..granted) are the backend's to use */
	u32 count;	   /* pages[] that are filled */
	u32 granted;
	struct mm_struct *mm; /* pinned memory: whose pinned_vm counts it */
	u32 charged;	      /* pages, there */
};

void vmb_memory_init(void);
void vmb_memory_exit(void);
struct vmb_memory *vmb_memory_alloc(u32 count, domid_t backend, bool readonly);
struct vmb_memory *vmb_memory_pin(u64 base, u32 count, domid_t backend);
void vmb_memory_unlist(struct vmb_memory *memory);
void vmb_memory_revoke(struct vmb_memory *memory);
void vmb_memory_free(struct vmb_memory *memory);

/* ---- conn.c --------------------------------------------------------------- */

struct vmb_request {
	struct list_head link; /* conn->queue, or a list of the client */
	struct vmb_client *client;
	struct vmb_object *object; /* that it makes or ends */
	u32 id;			   /* on the ring */
	union vmb_ctl_any msg;	   /* the request; later its reply */
};

struct vmb_conn {
	struct kref kref;
	domid_t backend;
	char session[17]; /* 16 hex digits */
	bool connected;	  /* the backend said so, in this session */
	bool dead;	  /* for ever */
	bool broken;	  /* dead, and the backend is to blame */

	struct vmb_memory *pages; /* ring page, events page */
	struct vmb_xen_events *events;
	evtchn_port_t port;
	int irq;
	wait_queue_head_t gone; /* events->alive fell */

	spinlock_t lock; /* see above */
	struct vmb_xen_front_ring ring;
	struct vmb_request *flight[VMB_FLIGHT];
	u32 requests; /* so far: makes ids */
	struct list_head queue;
	struct list_head clients;
	DECLARE_BITMAP(numbers, VMB_XEN_CLIENTS + 1); /* 0 is not used */
	struct vmb_object __rcu *slots[VMB_XEN_SLOTS];
};

/* Bytes of a request of each operation, and of its reply without an error. */
extern const struct vmb_len {
	u32 request, reply;
} vmb_lens[VMB_CTL_LEAVE + 1];

struct vmb_conn *vmb_conn_open(struct xenbus_device *dev, const char *session);
void vmb_conn_close(struct vmb_conn *conn, bool told);
void vmb_conn_put(struct vmb_conn *conn);
void vmb_conn_end(struct vmb_conn *conn);
void vmb_conn_send(struct vmb_conn *conn, struct vmb_request *request);
int vmb_conn_kick(struct vmb_conn *conn, u32 slot);

/* ---- client.c ------------------------------------------------------------- */

struct vmb_client {
	struct kref kref;
	struct vmb_conn *conn;
	struct list_head link; /* conn->clients, or none */
	u32 number;
	wait_queue_head_t wait;
	struct list_head answered; /* replies for the work */
	struct list_head replies;  /* replies for read() */
	DECLARE_HASHTABLE(objects, 6);
	struct work_struct work;
	struct vmb_request leave;
	u32 outstanding; /* requests of the process whose reply was not read */
	u32 unanswered;	 /* requests in queue and flight */
	bool greeted;	 /* HELLO is on its way or there */
	bool closed;	 /* the file is gone */
	bool left;	 /* the backend holds nothing of it */
};

/* An endpoint, or a region. */
struct vmb_object {
	struct kref kref;
	struct rcu_head rcu;
	struct hlist_node node; /* client->objects */
	struct vmb_conn *conn;
	struct vmb_memory *memory;
	u64 name; /* handle or key */
	bool endpoint;
	/* of an endpoint: */
	u32 slot;
	wait_queue_head_t wait;
	bool noted; /* a notification that nobody took */
	bool ended;
};

int vmb_client_open(struct vmb_conn *conn, struct vmb_client **out);
void vmb_client_close(struct vmb_client *client);
void vmb_client_work(struct vmb_client *client);
void vmb_request_deliver(struct vmb_request *request);
void vmb_request_drop(struct vmb_request *request);
int vmb_object_new(struct vmb_conn *conn, struct vmb_memory *memory, bool endpoint,
		   struct vmb_object **out);
struct vmb_object *vmb_object_find(struct vmb_client *client, bool endpoint, u64 name);
void vmb_object_put(struct vmb_object *object);

/* ---- chardev.c, xenbus.c -------------------------------------------------- */

int vmb_chardev_register(struct device *parent);
void vmb_chardev_deregister(void);

int vmb_xenbus_register(void);
void vmb_xenbus_unregister(void);
struct vmb_conn *vmb_xenbus_conn(void); /* with a reference, or NULL */
void vmb_xenbus_broken(void);		/* the current one may be: look */

#endif
