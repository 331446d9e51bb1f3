/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine.h - the inside of the engine, shared by the files of lib/nic only.
 *
 * Who may touch what: an endpoint's doorbell, transfers and place in the hot
 * or cold list belong to its engine thread; its event queue may be written by
 * any engine thread that holds its event lock (no lock when there is only
 * one thread). Tables of endpoints and regions are arrays of pointers that
 * the control thread publishes and the engine threads observe; what is taken
 * out is freed after every engine thread has passed a breath.
 */
#ifndef VMB_NIC_ENGINE_H
#define VMB_NIC_ENGINE_H

#include <pthread.h>
#include <semaphore.h>

#include <vmbypass/abi/slot.h>

#include "base/barrier.h"
#include "base/copy.h"
#include "base/list.h"
#include "base/util.h"
#include "nic/nic.h"
#include "ring/ring.h"

#define ENGINE_BATCH 32u     /* descriptors of one endpoint and visit */
#define ENGINE_COLD_LOOKS 2u /* at cold endpoints, after work, at least */
#define ENGINE_COLD_EVERY 4u /* breaths, when there was none for so many: */
#define ENGINE_QUIET 32u
#define ENGINE_TOUCHED 64u   /* endpoints to notify, before an early flush */
#define ENGINE_QUANTUM 4096u /* bytes per visit when domains compete */
#define ENGINE_QUANTUM_ALONE 65536u /* when one domain has work */
/* when one of them sends short messages: what its doorbell page holds */
#define ENGINE_QUANTUM_SHORT (VMB_DOORBELL_SLOTS / 2 * ENGINE_COST_MIN)
#define ENGINE_SHORT_BREATHS 64u /* so long after it last did */
#define ENGINE_COST_MIN 64 /* a descriptor costs its bytes, at least this */
#define ENGINE_HELD -1
/* a pause takes as long as half a breath or more: not in an exchange */
#define ENGINE_BREATHS_BEFORE_PAUSE 256u
#define ENGINE_CLOCK_EVERY 64u /* breaths between looks at the clock */
#define TRANSFERS_MAX 64u      /* under way, per endpoint */
#define EVENTS_KEPT 4u /* event slots that arrivals leave to our own events */

/* What an endpoint's engine has to do about room in its event queue. */
enum {
	VMB_ROOM_UNWATCHED, /* nobody waits for any */
	VMB_ROOM_JUDGED,    /* not before its client has read past room_seen */
	VMB_ROOM_ASKED,	    /* look at once: somebody has come to wait */
};

struct vmb_engine;

struct vmb_nic_region {
	uint64_t key;
	struct vmb_nic_domain *domain;
	struct vmb_nic_memory memory;
};

/* Memory behind a checked address: mapped here, or moved by a mover. */
struct vmb_nic_span {
	uint8_t *ptr; /* NULL: process memory */
	struct vmb_nic_mover *mover;
	uint64_t address;
};

/* A domain as one engine thread schedules it. */
struct vmb_nic_share {
	struct vmb_list node; /* in engine.active, when it has hot endpoints */
	struct vmb_list hot;  /* endpoint.place */
	int64_t deficit;      /* bytes it may still move in this visit */
};

struct vmb_nic_domain {
	uint32_t id;
	uint32_t weight;
	uint64_t *allowed; /* by index: keyed endpoints that it may send to */
	struct vmb_list node; /* in nic.domains */
	struct vmb_nic_share shares[VMB_NIC_THREADS_MAX];
};

/* A PUT or GET under way. */
struct vmb_nic_transfer {
	struct vmb_list node; /* endpoint.transfers or .transfers_free */
	struct vmb_slot slot; /* the checked copy of the descriptor */
	struct vmb_slot_rdma what;
	uint64_t moved;
	struct vmb_nic_job *in, *out; /* chunks on their way through movers */
	struct vmb_nic_job *spare;    /* kept to write what `in` reads */
	bool own_refused;	      /* not the side of the peer */
};

struct vmb_nic_endpoint {
	/* read at every look */
	struct vmb_ring doorbell; /* consumer */
	struct vmb_control_page *ctl;
	uint32_t handle;
	uint32_t state; /* VMB_STATE_*; any thread may fault it */
	bool hot;
	bool stalled;	     /* its own event queue was full when last served */
	bool held;	     /* its next SEND waits for room at its peer */
	bool armed;	     /* kicks us when it has something */
	bool laid_off;	     /* faulted, and its client was told */
	bool fenced;	     /* a FENCE waits for the transfers before it */
	bool barrier;	     /* to arm it takes host->barrier(), too */
	bool word;	     /* may sleep on ctl->notified */
	uint32_t watch_room; /* someone waits for room here: VMB_ROOM_* */
	uint64_t room_seen;  /* `consumed` when that was last acted upon */
	uint32_t active;     /* transfers under way; any engine reads it */
	struct vmb_list transfers;

	/* event queue: under event_lock */
	uint32_t event_lock __attribute__((aligned(VMB_LINE_PAIR)));
	struct vmb_ring events; /* producer */
	uint8_t *rx;
	uint32_t rx_bytes, rx_pos, rx_seen;
	struct vmb_copier rx_copier;
	uint32_t notified; /* the event_arm that was served last */
	uint32_t owed;	   /* GONE and ROOM events that found no room */

	/* the rest */
	struct vmb_nic *nic __attribute__((aligned(VMB_LINE_PAIR)));
	struct vmb_engine *engine;
	struct vmb_nic_domain *domain;
	struct vmb_stats *stats;
	uint64_t last_work_ns;
	uint64_t held_ns; /* since when */
	uint32_t fault_code;
	uint32_t arm_number;
	uint32_t cold_index; /* in engine.cold */
	uint32_t index;
	struct vmb_slot fence;
	uint8_t *tx;
	uint32_t tx_bytes;
	void *cookie;
	struct vmb_list place; /* in share.hot, or cold in engine.unarmed */
	struct vmb_list transfers_free;
	struct vmb_nic_transfer *transfer_table;
	bool keyed, confined; /* as vmb_nic_endpoint_info */
	uint32_t blocked_count;
	uint64_t *blocked;   /* by index: bounced, and not resumed yet */
	uint64_t *peers;     /* by index: exchanged messages with us */
	uint64_t *owed_room; /* by index: EV_ROOM to be written */
	uint32_t *owed_gone; /* handles: EV_GONE to be written; one an index */
	uint32_t owed_gone_count;
};

/* Work that another thread asks an engine thread to do between breaths. */
struct vmb_engine_call {
	void (*fn)(struct vmb_engine *engine, void *arg);
	void *arg;
	sem_t done;
};

struct vmb_engine {
	struct vmb_nic *nic;
	unsigned index;
	struct vmb_list active; /* shares with hot endpoints */
	uint32_t busy;		/* domains that had work in the last breath */
	uint32_t halved;	/* breaths to go with smaller quanta */
	uint32_t quiet;		/* breaths since there was work, or more */
	uint32_t touched_count;
	struct vmb_nic_endpoint *touched[ENGINE_TOUCHED];
	struct vmb_nic_endpoint **cold;
	uint32_t cold_count, cold_next;
	struct vmb_list unarmed; /* those of them to arm before a sleep */
	uint64_t now_ns;
	uint32_t breaths; /* since the clock was read */
	bool stop;
	pthread_t thread;

	/* written by others */
	struct vmb_engine_call *call __attribute__((aligned(VMB_LINE_PAIR)));
	uint32_t sleeping;
	uint32_t look_all; /* something changed at a cold endpoint */
};

struct vmb_nic_fault_slot {
	uint64_t seq; /* odd while written; 2 * number + 2 when complete */
	uint64_t words[(sizeof(struct vmb_nic_fault) + 7) / 8];
};

struct vmb_nic {
	const struct vmb_nic_host *host;
	struct vmb_nic_endpoint **endpoints; /* by index */
	uint32_t endpoints_max;
	uint32_t index_top; /* above every index that was ever used */
	unsigned threads;
	uint64_t spin_ns;
	uint64_t hold_ns;
	uint32_t quantum;
	uint32_t first_position;
	struct vmb_nic_region **regions; /* by index, 65536 */
	struct vmb_stats_head *stats;
	int stats_fd;
	struct vmb_engine *engines;
	bool started;
	uint32_t movers; /* threads that run */

	struct vmb_nic_fault_slot *faults;
	uint32_t fault_slots;
	uint64_t fault_count;

	/* control thread only */
	uint16_t *generations; /* by endpoint index */
	uint32_t next_index, open_count;
	uint16_t *region_generations;
	uint32_t next_region, next_domain;
	struct vmb_list domains;
	int *cpus;
};

/* ---- engine.c --------------------------------------------------------- */

void vmb_engine_init(struct vmb_engine *engine, struct vmb_nic *nic,
		     unsigned index);
unsigned vmb_engine_breathe(struct vmb_engine *engine);
/* Nothing is hot? Then arm what is cold, and look again. */
bool vmb_engine_may_sleep(struct vmb_engine *engine);
void *vmb_engine_main(void *engine);
void vmb_engine_heat(struct vmb_nic_endpoint *ep);
void vmb_engine_forget(struct vmb_nic_endpoint *ep); /* of either list */
int vmb_engine_adopt(struct vmb_nic_endpoint *ep);   /* as a cold one */
unsigned vmb_engine_serve(struct vmb_nic_endpoint *ep, int64_t *deficit);
/* An event was written: its client is to hear of it. No event lock is held. */
void vmb_engine_touch(struct vmb_engine *engine, struct vmb_nic_endpoint *ep);
void vmb_engine_notify(struct vmb_engine *engine);
/* Make an engine thread that may sleep come round. Any thread. */
void vmb_engine_wake(struct vmb_engine *engine);

/* ---- deliver.c: events and SEND ---------------------------------------- */

static inline void vmb_events_lock(struct vmb_nic_endpoint *ep)
{
	if (ep->nic->threads == 1)
		return;
	while (__atomic_exchange_n(&ep->event_lock, 1, __ATOMIC_ACQUIRE))
		vmb_relax();
}

static inline void vmb_events_unlock(struct vmb_nic_endpoint *ep)
{
	if (ep->nic->threads > 1)
		vmb_publish(&ep->event_lock, 0);
}

/* Is what the client published a position it can be at? Else a fault. */
void vmb_events_check(struct vmb_engine *engine, struct vmb_nic_endpoint *ep);
/* Room for events, refreshed from what the client published. */
uint32_t vmb_events_room(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
			 uint32_t wanted);
/* Returns what it cost; ENGINE_HELD: not taken, come again. */
int64_t vmb_engine_send(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
			struct vmb_slot *slot, const struct vmb_slot_ext *ext);
void vmb_events_done(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
		     uint64_t cookie, unsigned code, uint64_t moved);
void vmb_events_gone(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
		     uint32_t handle);
/* The same to all that have exchanged messages with it. */
void vmb_events_tell_gone(struct vmb_engine *engine,
			  const struct vmb_nic_endpoint *gone);
/* Write the GONE and ROOM events that are owed, as far as there is room. */
void vmb_events_pay(struct vmb_engine *engine, struct vmb_nic_endpoint *ep);
/* Tell those who wait for room at ep to send again. Returns their number. */
unsigned vmb_events_tell_room(struct vmb_engine *engine,
			      struct vmb_nic_endpoint *ep);
/* The same if ep has room again; called by its own engine. */
unsigned vmb_events_room_again(struct vmb_engine *engine,
			       struct vmb_nic_endpoint *ep);
static inline struct vmb_nic_endpoint *
vmb_nic_find(struct vmb_nic *nic, uint32_t handle, unsigned *code)
{
	uint32_t index = VMB_HANDLE_INDEX(handle);
	struct vmb_nic_endpoint *ep;

	*code = VMB_CODE_BAD_PEER;
	if (index >= nic->endpoints_max || !VMB_HANDLE_GEN(handle))
		return NULL;
	ep = vmb_observe(&nic->endpoints[index]);
	*code = VMB_CODE_PEER_GONE;
	if (!ep || ep->handle != handle ||
	    vmb_load_relaxed(&ep->state) != VMB_STATE_OPEN)
		return NULL;
	*code = VMB_CODE_OK;
	return ep;
}

/* ---- transfer.c: PUT, GET, FENCE ---------------------------------------- */

/* Take on a checked descriptor. The caller made sure of a free place. */
void vmb_transfer_begin(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
			const struct vmb_slot *slot);
/* Move at most *deficit bytes. Returns work done. */
unsigned vmb_transfer_serve(struct vmb_engine *engine,
			    struct vmb_nic_endpoint *ep, int64_t *deficit);
/* Would vmb_transfer_serve() find work? */
bool vmb_transfer_ready(struct vmb_nic_endpoint *ep);
/* Drop all of them without events; the endpoint goes away. */
void vmb_transfer_abort(struct vmb_nic_endpoint *ep);
/*
 * The same, but for copies to memory of its own side that are under way: they
 * cannot be called back. True: there is none. Else again, when one has ended.
 */
bool vmb_transfer_stop(struct vmb_nic_endpoint *ep);
/* Give the mover's jobs back; its regions are gone, so this ends them. */
void vmb_transfer_leave(struct vmb_nic_endpoint *ep,
			const struct vmb_nic_mover *mover);
/* Who writes to memory of the endpoint's own side now; NULL: nobody. */
struct vmb_nic_mover *vmb_transfer_writer(const struct vmb_nic_endpoint *ep);
int vmb_transfer_init(struct vmb_nic_endpoint *ep);

/* ---- region.c ----------------------------------------------------------- */

/*
 * The one place where an address becomes memory. key and offset come from a
 * descriptor; ep is the endpoint in whose domain they are meant; access is 0
 * for the initiator's own side, else what the peer must have allowed.
 * Returns a VMB_CODE_*; *span is filled for VMB_CODE_OK only and is good for
 * this breath.
 */
unsigned vmb_nic_translate(struct vmb_nic_endpoint *ep, uint64_t key,
			   uint64_t offset, uint64_t len, uint32_t access,
			   struct vmb_nic_span *span);

/* ---- mover.c ------------------------------------------------------------ */

#define JOB_BYTES (128u << 10)

enum vmb_nic_job_state {
	JOB_IDLE,
	JOB_TAKEN, /* by an engine thread, being filled in */
	JOB_QUEUED,
	JOB_RUNNING,
	JOB_DONE,
	JOB_ORPHAN, /* running, and nobody waits for it any more */
};

/* A chunk between process memory and a buffer of ours. */
struct vmb_nic_job {
	struct vmb_nic_mover *mover;
	struct vmb_engine *engine; /* to wake when it is done */
	uint32_t state;		   /* enum vmb_nic_job_state */
	bool write;
	uint64_t address;
	uint32_t len;
	int64_t result; /* bytes, or -errno */
	uint32_t ended; /* copies, whoever waited for them */
	uint8_t buffer[JOB_BYTES];
};

/* Start its thread, once. */
int vmb_mover_start(struct vmb_nic_mover *mover);
bool vmb_movers_gone(const struct vmb_nic *nic);
/* NULL: all of the mover's jobs are in use; come again. */
struct vmb_nic_job *vmb_mover_take(struct vmb_nic_mover *mover,
				   struct vmb_engine *engine);
void vmb_mover_submit(struct vmb_nic_job *job);
static inline bool vmb_mover_done(struct vmb_nic_job *job)
{
	return vmb_observe(&job->state) == JOB_DONE;
}
/* Give a job back, whatever its state. */
void vmb_mover_give(struct vmb_nic_job *job);
/* Its client held up a copy for too long: no further copies. */
bool vmb_mover_lost(const struct vmb_nic_mover *mover);
/* Wait until nothing is under way, but not for ever. */
void vmb_mover_settle(struct vmb_nic_mover *mover);

/* ---- faults.c ------------------------------------------------------------ */

int vmb_faults_init(struct vmb_nic *nic, uint32_t records);
void vmb_faults_record(struct vmb_nic_endpoint *ep, unsigned op, unsigned code,
		       uint64_t key, uint64_t address, uint64_t len);
/* Record, and stop serving the endpoint for good. Any engine thread. */
void vmb_endpoint_fault(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
			unsigned op, unsigned code, uint64_t address);

/* ---- stats.c --------------------------------------------------------------- */

int vmb_stats_init(struct vmb_nic *nic);
void vmb_stats_fini(struct vmb_nic *nic);
struct vmb_stats *vmb_stats_claim(struct vmb_nic *nic, uint32_t index);

/* One writer (or the event lock) per counter; readers load. */
static inline void vmb_count(__u64 *counter, uint64_t n)
{
	vmb_store_relaxed(counter, vmb_load_relaxed(counter) + n);
}

/* ---- control.c --------------------------------------------------------------- */

/* Run fn on that engine thread between two breaths; wait for it. */
void vmb_engine_run(struct vmb_engine *engine,
		    void (*fn)(struct vmb_engine *engine, void *arg),
		    void *arg);
/* Return when no engine thread holds what was unpublished before. */
void vmb_nic_quiesce(struct vmb_nic *nic);

static inline bool vmb_bit(const uint64_t *bits, uint32_t i)
{
	return vmb_load_relaxed(&bits[i / 64]) >> (i % 64) & 1;
}

static inline void vmb_bit_set(uint64_t *bits, uint32_t i)
{
	__atomic_fetch_or(&bits[i / 64], 1ull << (i % 64), __ATOMIC_RELAXED);
}

static inline void vmb_bit_clear(uint64_t *bits, uint32_t i)
{
	__atomic_fetch_and(&bits[i / 64], ~(1ull << (i % 64)),
			   __ATOMIC_RELAXED);
}

/* Clear it. Was it set? */
static inline bool vmb_bit_take(uint64_t *bits, uint32_t i)
{
	if (!vmb_bit(bits, i))
		return false;
	return __atomic_fetch_and(&bits[i / 64], ~(1ull << (i % 64)),
				  __ATOMIC_RELAXED) >>
		       (i % 64) &
	       1;
}

/*
 * May ep begin something with this one? That it has the handle says nothing,
 * handles can be guessed. The processes of a domain trust each other, and who
 * was spoken to may answer.
 */
static inline bool vmb_endpoint_may_meet(const struct vmb_nic_endpoint *ep,
					 const struct vmb_nic_endpoint *to)
{
	if (vmb_likely(vmb_bit(ep->peers, to->index)) ||
	    ep->domain == to->domain)
		return true;
	return !ep->confined &&
	       (!to->keyed || vmb_bit(ep->domain->allowed, to->index));
}

/* It may not; or not any more, since the other was laid off meanwhile. */
static inline unsigned
vmb_endpoint_stranger_code(const struct vmb_nic_endpoint *to)
{
	vmb_acquire_fence(); /* pairs with that between both in lay_off() */
	return vmb_load_relaxed(&to->state) == VMB_STATE_OPEN
		       ? VMB_CODE_BAD_PEER
		       : VMB_CODE_PEER_GONE;
}

#endif
