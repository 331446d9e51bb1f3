/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nic.h - the engine: the NIC in software.
 *
 * Flow:  doorbell page -> engine thread: check, translate, move -> event queue
 * Owns:  tables of domains, regions and endpoints; the engine threads; the
 *        fault log and the statistics memory. Memory of clients is mapped and
 *        unmapped by the host (vmbd), which calls in here.
 * Trust: nobody. A descriptor is copied once and checked; every address goes
 *        through vmb_nic_translate(). A lie faults the liar's endpoint.
 *
 * Control calls (add, remove, query) are made by one thread, the host's.
 * Removal returns when no engine thread can touch the thing any more.
 */
#ifndef VMB_NIC_NIC_H
#define VMB_NIC_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmbypass/abi/doorbell.h>
#include <vmbypass/abi/region.h>
#include <vmbypass/abi/stats.h>

struct vmb_nic;
struct vmb_nic_domain;
struct vmb_nic_endpoint;

/* What the engine needs from the process around it. */
struct vmb_nic_host {
	/*
	 * Tell the client of an endpoint that an event is there. Must not
	 * block. cookie: as given to vmb_nic_endpoint_add().
	 */
	void (*notify)(void *cookie);
	/*
	 * Wake a client that sleeps on this word of its area, which the
	 * engine has changed. Must not block. NULL: clients cannot.
	 */
	void (*notify_word)(uint32_t *word);
	/*
	 * Sleep until a client kicks or vmb_nic_host.wake is called; for each
	 * endpoint that was kicked call vmb_nic_kicked(). Called by engine
	 * thread `thread` with nothing held. NULL: threads never sleep.
	 */
	void (*sleep)(void *arg, unsigned thread);
	/* Make sleep() of that thread return. Any thread. */
	void (*wake)(void *arg, unsigned thread);
	/*
	 * A full memory barrier on every processor that runs a client, so
	 * that clients need none of their own between a descriptor and the
	 * look at kick_arm (docs/signalling.md). NULL: clients fence.
	 */
	void (*barrier)(void *arg);
	/*
	 * Move len bytes between buf and address addr of the process behind
	 * a VMB_REGION_PROCESS region. May block; called by a mover thread
	 * of that client only. Returns bytes moved or -errno; -ESRCH: the
	 * process has ended.
	 */
	int64_t (*process_read)(void *cookie, uint64_t addr, void *buf,
				size_t len);
	int64_t (*process_write)(void *cookie, uint64_t addr, const void *buf,
				 size_t len);
	void *arg;
};

struct vmb_nic_config {
	const struct vmb_nic_host *host;
	unsigned threads; /* 1..VMB_NIC_THREADS_MAX */
	const int *cpus;  /* of `threads` numbers, -1: not pinned; or NULL */
	uint32_t endpoints_max; /* whole engine; at most 65535 */
	uint32_t spin_us;	/* an endpoint without work stays hot so long */
	uint32_t hold_us; /* a SEND waits for room so long before it bounces */
	uint32_t quantum; /* bytes per domain of weight 1 and visit; 0: 4096;
			   * less beside short messages: engine.c */
	uint32_t fault_log;	 /* records kept; 0: 1024 */
	uint32_t first_position; /* of every ring; 0 but in tests */
};

#define VMB_NIC_THREADS_MAX 16

/* threads are not started yet. Errors: -EINVAL, -ENOMEM. */
int vmb_nic_open(const struct vmb_nic_config *config, struct vmb_nic **nic);
/* Stops the threads, frees everything. Endpoints must have been removed. */
void vmb_nic_close(struct vmb_nic *nic);

/* Start and stop the engine threads. */
int vmb_nic_start(struct vmb_nic *nic);
void vmb_nic_stop(struct vmb_nic *nic);

/*
 * Instead of threads (tests, fuzzing, a device model): one pass of the engine
 * thread's loop by the caller. Returns the work done, 0: nothing.
 */
unsigned vmb_nic_breathe(struct vmb_nic *nic, unsigned thread);

/*
 * For the same callers: may they wait for a kick now? If so every endpoint
 * was armed and has nothing to do.
 */
bool vmb_nic_may_sleep(struct vmb_nic *nic, unsigned thread);

/* From host->sleep() or after it: this endpoint may have work. */
void vmb_nic_kicked(struct vmb_nic *nic, struct vmb_nic_endpoint *ep);

/* ---- protection domains ------------------------------------------------ */

/* weight 1..256. The domain is empty; *domain lives until _remove(). */
int vmb_nic_domain_add(struct vmb_nic *nic, uint32_t weight,
		       struct vmb_nic_domain **domain);
/* Its endpoints and regions must have been removed. */
void vmb_nic_domain_remove(struct vmb_nic *nic, struct vmb_nic_domain *domain);
void vmb_nic_domain_set_weight(struct vmb_nic_domain *domain, uint32_t weight);
/* It knows the key of ep, and may send to it as long as that is open. */
void vmb_nic_domain_allow(struct vmb_nic_domain *domain,
			  const struct vmb_nic_endpoint *ep);
uint32_t vmb_nic_domain_id(const struct vmb_nic_domain *domain);

/* ---- regions ------------------------------------------------------------ */

struct vmb_nic_memory {
	uint32_t kind;	  /* VMB_REGION_* */
	uint32_t access;  /* VMB_ACCESS_* */
	void *base;	  /* MEMFD, GRANT: where the host mapped it */
	uint64_t address; /* PROCESS: virtual address in the client */
	uint64_t len;	  /* bytes */
	struct vmb_nic_mover *mover; /* PROCESS: of the client */
};

/* Errors: -ENOSPC: 65535 regions; -ENOMEM. The memory stays the host's. */
int vmb_nic_region_add(struct vmb_nic *nic, struct vmb_nic_domain *domain,
		       const struct vmb_nic_memory *memory, uint64_t *key);
/* Returns after the last access. -ENOENT: no such region of this domain. */
int vmb_nic_region_remove(struct vmb_nic *nic, struct vmb_nic_domain *domain,
			  uint64_t key);

/*
 * Who moves process memory for one client: a thread of its own, started by
 * the first region, so that memory whose faults never end (userfaultfd,
 * FUSE) holds up nobody but its owner.
 */
int vmb_nic_mover_open(struct vmb_nic *nic, void *cookie,
		       struct vmb_nic_mover **mover);
/*
 * No transfer may refer to it any more. The client is dead or detached, so
 * the thread's last copy ends by itself; it is not waited for.
 */
void vmb_nic_mover_close(struct vmb_nic_mover *mover);

/* ---- endpoints ---------------------------------------------------------- */

struct vmb_nic_endpoint_info {
	struct vmb_nic_domain *domain;
	struct vmb_geometry geometry; /* checked again */
	void *area;    /* mapped by the host, VMB_AREA_BYTES, zeroed */
	uint32_t id;   /* shown in the statistics */
	void *cookie;  /* for host->notify() */
	bool barrier;  /* the client does not fence: host->barrier() does */
	bool word;     /* VMB_ARM_WORD works: host->notify_word() */
	bool keyed;    /* who was not let by vmb_nic_domain_allow() stays out */
	bool confined; /* it reaches its own domain, and whom it answers */
};

/*
 * Returns 0, the endpoint and its handle; -EINVAL: geometry, or something that
 * the host does not have; -ENOSPC: all endpoints_max are open; -ENOMEM.
 */
int vmb_nic_endpoint_add(struct vmb_nic *nic,
			 const struct vmb_nic_endpoint_info *info,
			 struct vmb_nic_endpoint **ep, uint32_t *handle);
/*
 * Peers that exchanged messages with it get VMB_EV_GONE, its transfers end.
 * After return the engine does not touch the area any more. The messages that
 * its page holds are sent first. orderly: transfers begin, too, and what is being
 * written is waited for.
 */
void vmb_nic_endpoint_remove(struct vmb_nic *nic, struct vmb_nic_endpoint *ep,
			     bool orderly);
unsigned vmb_nic_endpoint_thread(const struct vmb_nic_endpoint *ep);
size_t vmb_nic_endpoint_bytes(const struct vmb_geometry *geometry);

/* ---- observation -------------------------------------------------------- */

struct vmb_nic_fault {
	uint64_t time_ns; /* CLOCK_REALTIME */
	uint64_t number;  /* counts from 0 since start */
	uint32_t domain;
	uint32_t handle;
	uint32_t op;	  /* VMB_OP_*, or VMB_CTL_*: see below; 0: none */
	uint32_t code;	  /* VMB_CODE_* or VMB_NIC_FAULT_* */
	uint64_t key;	  /* region, or 0 */
	uint64_t address; /* offset in the region, ring position, or value */
	uint64_t len;
};

/*
 * Copy at most max of the newest records, oldest first; *lost: older ones
 * that the log does not hold any more. Returns how many.
 */
size_t vmb_nic_faults(struct vmb_nic *nic, struct vmb_nic_fault *records,
		      size_t max, uint64_t *lost);

/*
 * Faults of a domain beside the data path, in what its host reads from it.
 * They stand in the log beside VMB_CODE_*, and no slot ever carries them.
 */
#define VMB_NIC_FAULT_RING 64u	  /* positions of the control ring; which */
#define VMB_NIC_FAULT_REQUEST 65u /* no request at all; operation */
#define VMB_NIC_FAULT_CLIENT 66u  /* client number */
#define VMB_NIC_FAULT_SLOT 67u	  /* place of an endpoint */
#define VMB_NIC_FAULT_PAGES 68u	  /* number of pages */
#define VMB_NIC_FAULT_GRANT 69u	  /* memory that cannot be mapped; reference */
#define VMB_NIC_FAULT_NODE 70u	  /* what it wrote to the store; state */
#define VMB_NIC_FAULT_STORM 71u	  /* events that bring nothing; how many */
#define VMB_NIC_FAULT_LANE 72u	  /* nonsense in a lane, or no right to it */
#define VMB_NIC_FAULT_VALUE 73u	  /* that no request has; its op: VMB_CTL_* */
#define VMB_NIC_FAULT_END 74u

/* Record one; op: 0 but where it says so; value: see there. Any thread. */
void vmb_nic_fault_report(struct vmb_nic *nic,
			  const struct vmb_nic_domain *domain, unsigned fault,
			  uint32_t op, uint64_t value);

/* Text of a VMB_CODE_* or VMB_NIC_FAULT_*; never NULL. */
const char *vmb_nic_code_text(unsigned code);

/* The read-only statistics memory (a memfd, see abi/stats.h). */
int vmb_nic_stats_fd(struct vmb_nic *nic);
const struct vmb_stats *vmb_nic_stats(struct vmb_nic *nic, uint32_t handle);

#endif
