/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * btl.h - a byte transfer layer of Open MPI over active messages and one-sided
 * transfers (vmb_am.h). See docs/mpi.md.
 *
 * component.c  the plug-in: parameters, start, progress, the end
 * peer.c       who is reachable, and his address
 * send.c       fragments out: at once, or in a queue while there is no room
 * arrive.c     fragments and completions in
 * rdma.c       registered and offered memory, put, get, flush
 *
 * Flow:  Open MPI's ob1 -> [here] -> vmb_am_send(), vmb_am_put()
 *        vmb_progress() -> [here] -> ob1
 * Owns:  one endpoint of this process; fragments while they wait.
 * Trust: the other processes of the job, as Open MPI does: the endpoint's key
 *        travels with the job's own data. What arrives has its tag checked.
 *
 * Open MPI's names begin with mca_btl_ or opal_; two of its types are ours to
 * define: mca_btl_base_endpoint_t (a peer) and the registration handle.
 */
#ifndef VMB_BTL_BTL_H
#define VMB_BTL_BTL_H

#include "btl/compat.h" /* first of all, for opal_config.h */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <string.h>

#include <opal/class/opal_free_list.h>
#include <opal/class/opal_list.h>
#include <opal/datatype/opal_convertor.h>
#include <opal/mca/btl/base/base.h>
#include <opal/mca/rcache/base/base.h>
#include <opal/util/output.h>
#include <opal/util/proc.h>

#include <vmbypass/vmb_am.h>

#define BTL_AM_ID 0u /* active message id of fragments; its word: the tag */
#define BTL_VERSION_NONE 0u /* there is no endpoint of ours */
#define BTL_VERSION_1 1u    /* of struct btl_address and of the fragments */

/* What a process tells the others of its job. */
struct btl_address {
	uint64_t nic_id;
	uint32_t id, key; /* of the endpoint */
	uint32_t version; /* BTL_VERSION_* */
	uint32_t reserved;
};

/*
 * What a process tells another one of memory: what it has registered, for
 * whoever knows the key, or what it offers, to one peer, once.
 */
struct mca_btl_base_registration_handle_t {
	uint64_t key;  /* BTL_KEY_OFFER: none, it is offered */
	uint64_t base; /* address where the memory begins */
	struct vmb_am_offer offer;
};
#define BTL_KEY_OFFER 0u /* the key of no region */

/* In the registration cache. */
struct btl_registration {
	mca_rcache_base_registration_t super;
	struct mca_btl_base_registration_handle_t handle;
	struct vmb_mem *mem;
};

/* Memory that is offered. */
struct btl_offer {
	opal_free_list_item_t super;
	struct mca_btl_base_registration_handle_t handle;
};
typedef struct btl_offer btl_offer_t;
OBJ_CLASS_DECLARATION(btl_offer_t);

enum btl_peer_state {
	BTL_PEER_CONNECTING, /* fragments wait */
	BTL_PEER_CONNECTED,
	BTL_PEER_FAILED, /* Open MPI was told, if it has said whom to tell */
};

struct mca_btl_base_endpoint_t {
	opal_list_item_t super; /* module.peers */
	struct opal_proc_t *proc;
	struct vmb_addr addr;
	enum btl_peer_state state;
	struct vmb_req *connect; /* while connecting */
	opal_list_t waiting;	 /* fragments without room, in order */
	int32_t moving;		 /* transfers under way; atomic */
};
typedef struct mca_btl_base_endpoint_t btl_peer_t;
OBJ_CLASS_DECLARATION(btl_peer_t);

/* A message on its way out. */
struct btl_fragment {
	mca_btl_base_descriptor_t super;
	mca_btl_base_segment_t segments[2];
	btl_peer_t *peer;
	opal_free_list_t *home;
	mca_btl_base_tag_t tag;
};
typedef struct btl_fragment btl_fragment_t;
OBJ_CLASS_DECLARATION(btl_fragment_t);

/* A put or get under way. */
struct btl_transfer {
	opal_free_list_item_t super;
	btl_peer_t *peer;
	void *local_address;
	struct mca_btl_base_registration_handle_t *local_handle;
	struct btl_registration *registration; /* ours, of local memory */
	mca_btl_base_rdma_completion_fn_t done;
	void *context, *data;
	int code; /* how it ended */
};
typedef struct btl_transfer btl_transfer_t;
OBJ_CLASS_DECLARATION(btl_transfer_t);

struct btl_module {
	mca_btl_base_module_t super;
	struct vmb_endpoint *ep;
	mca_btl_base_module_error_cb_fn_t error;
	mca_rcache_base_module_t *rcache;
	opal_free_list_t small, large; /* fragments: eager, longest */
	opal_free_list_t transfers, offers;
	opal_mutex_t lock; /* of `peers`, and of what waits for each */
	opal_list_t peers; /* all */
	int32_t busy;	   /* connects and fragments that wait; atomic */
	bool advancing;	   /* somebody looks after them; atomic */
	bool deferred;	   /* several threads: see arrive.c */
	bool failed;	   /* the daemon is gone */
	bool told;	   /* and Open MPI was told so */
	int32_t worry;	   /* -errno that progress has to report; atomic */
	opal_mutex_t inbox_lock;
	int32_t inbox;	   /* how many are in the two lists; atomic */
	opal_list_t ended; /* transfers that were put aside */
	opal_list_t come;  /* fragments */
	int events;	   /* handed to Open MPI so far; a hint */
};

struct btl_component {
	mca_btl_base_component_3_0_0_t super;
	char *port;	  /* VMB_PORT for this job, or NULL */
	size_t offer_min; /* bytes: shorter messages are sent in fragments */
};

extern struct btl_component mca_btl_vmb_component;
extern struct btl_module vmb_btl_module;

static inline void vmb_btl_count(int32_t *what, int32_t by)
{
	__atomic_fetch_add(what, by, __ATOMIC_ACQ_REL);
}

/* ---- component.c -------------------------------------------------------- */

/* Tell Open MPI that a peer (NULL: everybody) cannot be reached any more: once,
 * as soon as there is a callback for it. */
void vmb_btl_report(struct btl_module *m, btl_peer_t *peer, int rc,
		    const char *what);
/* The same from a handler, which may run in any thread: progress does it. */
void vmb_btl_worry(struct btl_module *m, int rc);
/* One of Open MPI's codes for one of ours. */
int vmb_btl_code(int rc);

/* vmb_progress(), and handing over; its result. */
int vmb_btl_progress(struct btl_module *m);

/* ---- peer.c ------------------------------------------------------------- */

int vmb_btl_add_procs(mca_btl_base_module_t *btl, size_t count,
		      struct opal_proc_t **procs,
		      struct mca_btl_base_endpoint_t **peers,
		      opal_bitmap_t *reachable);
int vmb_btl_del_procs(mca_btl_base_module_t *btl, size_t count,
		      struct opal_proc_t **procs,
		      struct mca_btl_base_endpoint_t **peers);
/* Connects that got their answer; then what waits for room. */
void vmb_btl_advance(struct btl_module *m);

/* ---- send.c ------------------------------------------------------------- */

mca_btl_base_descriptor_t *vmb_btl_alloc(mca_btl_base_module_t *btl,
					 struct mca_btl_base_endpoint_t *peer,
					 uint8_t order, size_t size,
					 uint32_t flags);
int vmb_btl_free(mca_btl_base_module_t *btl, mca_btl_base_descriptor_t *des);
mca_btl_base_descriptor_t *
vmb_btl_prepare_src(mca_btl_base_module_t *btl,
		    struct mca_btl_base_endpoint_t *peer,
		    opal_convertor_t *convertor, uint8_t order, size_t reserve,
		    size_t *size, uint32_t flags);
int vmb_btl_send(mca_btl_base_module_t *btl,
		 struct mca_btl_base_endpoint_t *peer,
		 mca_btl_base_descriptor_t *des, mca_btl_base_tag_t tag);
int vmb_btl_sendi(mca_btl_base_module_t *btl,
		  struct mca_btl_base_endpoint_t *peer,
		  opal_convertor_t *convertor, void *header, size_t header_size,
		  size_t payload_size, uint8_t order, uint32_t flags,
		  mca_btl_base_tag_t tag, mca_btl_base_descriptor_t **des);
/* Send what waits. Returns 0 when nothing does any more, else -errno. */
int vmb_btl_resume(struct btl_module *m, btl_peer_t *peer);
/* Complete what waits for a peer, with one of Open MPI's codes. */
void vmb_btl_drop(struct btl_module *m, btl_peer_t *peer, int code);
/* ---- arrive.c ----------------------------------------------------------- */

/* This thread is in progress(), so handlers in it may call Open MPI. */
extern __thread bool vmb_btl_asked __attribute__((tls_model("initial-exec")));

void vmb_btl_arrive(struct vmb_endpoint *ep, const struct vmb_am_msg *msg,
		    void *context);
void vmb_btl_moved(struct vmb_endpoint *ep, int code, uint64_t moved,
		   void *context);
/* Hand over what was put aside. */
void vmb_btl_deliver(struct btl_module *m);

/* ---- rdma.c ------------------------------------------------------------- */

int vmb_btl_rcache_open(struct btl_module *m);
/* The local registration of a transfer is needed no more. */
void vmb_btl_release(struct btl_module *m, btl_transfer_t *t);
mca_btl_base_registration_handle_t *
vmb_btl_register_mem(mca_btl_base_module_t *btl,
		     struct mca_btl_base_endpoint_t *peer, void *base,
		     size_t size, uint32_t flags);
int vmb_btl_deregister_mem(mca_btl_base_module_t *btl,
			   mca_btl_base_registration_handle_t *handle);
int vmb_btl_put(mca_btl_base_module_t *btl,
		struct mca_btl_base_endpoint_t *peer, void *local_address,
		uint64_t remote_address,
		mca_btl_base_registration_handle_t *local_handle,
		mca_btl_base_registration_handle_t *remote_handle, size_t size,
		int flags, int order, mca_btl_base_rdma_completion_fn_t done,
		void *context, void *data);
int vmb_btl_get(mca_btl_base_module_t *btl,
		struct mca_btl_base_endpoint_t *peer, void *local_address,
		uint64_t remote_address,
		mca_btl_base_registration_handle_t *local_handle,
		mca_btl_base_registration_handle_t *remote_handle, size_t size,
		int flags, int order, mca_btl_base_rdma_completion_fn_t done,
		void *context, void *data);
int vmb_btl_flush(mca_btl_base_module_t *btl,
		  struct mca_btl_base_endpoint_t *peer);

#endif
