/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmb.h - user-level messaging that by-passes the kernel and the hypervisor.
 *
 * A process attaches to the daemon (vmb_init), opens endpoints, connects to
 * others and exchanges messages selected by 64-bit match bits. The style is
 * that of Myrinet Express: every operation is posted, returns at once, and is
 * completed later by test or wait.
 *
 * Errors:   every call returns 0 or a negative errno value; results come
 *           through the last arguments and are written on success only,
 *           unless a call says otherwise. vmb_strerror() puts it in words.
 *           Any call on an endpoint may return
 *             -EPIPE  the daemon is gone (or was restarted): close the
 *                     endpoint, then vmb_finalize(), vmb_init(), open again
 *             -EIO    the engine faulted this endpoint; `vmbctl faults` says
 *                     why. Close it
 *             -EINVAL a null or closed handle, an unknown flag, a bad argument
 * Threads:  all calls may be made by any thread at any time. Two threads must
 *           not complete the same request. No call may be made in a signal
 *           handler.
 * fork:     handles belong to the process that opened them. In a child every
 *           call returns -EPERM until it calls vmb_init() for itself. exec
 *           closes everything.
 * Time:     all time-outs are milliseconds; VMB_INFINITE means no limit and 0
 *           means one look.
 */
#ifndef VMBYPASS_VMB_H
#define VMBYPASS_VMB_H

#include <stddef.h>
#include <stdint.h>

#define VMB_VERSION_MAJOR 0
#define VMB_VERSION_MINOR 1
#define VMB_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define VMB_PUBLIC __attribute__((visibility("default")))
#else
#define VMB_PUBLIC
#endif

#define VMB_INFINITE (-1)      /* no time limit */
#define VMB_ANY_ID 0xffffffffu /* vmb_open(): the lowest free endpoint id */
#define VMB_MATCH_ALL (~(uint64_t)0) /* mask: all 64 bits must be equal */
#define VMB_SEGMENTS_MAX 256	     /* segments of one message */
#define VMB_MESSAGE_MAX 0xffffffffu  /* bytes of one message */
#define VMB_NAME_MAX 80		     /* bytes of a name, its NUL included */

struct vmb_endpoint; /* an open endpoint */
struct vmb_req;	     /* a posted operation that was not completed yet */

/*
 * Address of a peer as one endpoint sees it. Opaque, 16 bytes, may be copied
 * and compared with memcmp(); has meaning only with the endpoint that gave it.
 */
struct vmb_addr {
	uint64_t opaque[2];
};

/* A piece of memory. ptr may be NULL when len is 0. */
struct vmb_segment {
	void *ptr;
	size_t len; /* bytes */
};

/* How an operation ended. */
struct vmb_status {
	/*
	 * 0, or: -EMSGSIZE truncated; -ECONNRESET the peer closed, died or
	 * was faulted; -ESTALE the peer was closed and opened again;
	 * -ECONNREFUSED no such endpoint is open; -EKEYREJECTED wrong key;
	 * -ENXIO no such nic; -ETIMEDOUT; -ECANCELED vmb_disconnect(); -ECONNABORTED the sender
	 * gave up, its request timed out; -EFAULT memory that cannot be
	 * reached; -ENOBUFS resources ran out; -EPIPE; -EIO; or what
	 * vmb_icomplete() was given
	 */
	int code;
	struct vmb_addr peer; /* source of a receive, target of the others */
	uint64_t match;	      /* match bits of the message */
	uint32_t msg_len;     /* bytes that were sent */
	uint32_t xfer_len;    /* bytes that were transferred */
	void *context;	      /* as given when posted */
};

/* ---- library ---------------------------------------------------------- */

/*
 * Attach this process to its daemon. Counted: each successful call is paired
 * with a vmb_finalize(). Reads the environment: VMB_PORT (how to reach the
 * daemon: "local:PATH" or "kshim"), VMB_DOMAIN (protection domain to join;
 * none: one of our own), VMB_WAIT, VMB_EAGER, VMB_LOG: see vmbypass(7).
 *
 * Returns 0; -ENOENT or -ECONNREFUSED: no daemon listens there (start vmbd), or
 * this guest has no device or is not attached; -EACCES: the policy does not
 * admit this user, or the device is not for it; -EPROTO: the daemon speaks
 * another major version; -ENOMEM; -EUSERS: too many clients; -EINVAL: VMB_PORT
 * or VMB_DOMAIN makes no sense; -EPIPE: we are attached to a daemon that is
 * gone, vmb_finalize() first.
 */
VMB_PUBLIC int vmb_init(void);

/* Detach. The last call closes what is still open. */
VMB_PUBLIC void vmb_finalize(void);

/* Static text for 0 or any negative errno value; never NULL. */
VMB_PUBLIC const char *vmb_strerror(int code);

/* "0.1.0"; static. */
VMB_PUBLIC const char *vmb_version(void);

/* ---- names ------------------------------------------------------------ */

/*
 * A nic id (48 bits, never 0) names a board: the NIC as one host or one guest
 * sees it. Its name is "host:board"; "host" alone means board 0, and
 * "localhost" our own.
 *
 * Return 0; -ENOENT: not known to the daemon; -EINVAL: not a name.
 */
VMB_PUBLIC int vmb_nic_id(uint64_t *nic_id);
VMB_PUBLIC int vmb_name_to_nic_id(const char *name, uint64_t *nic_id);
VMB_PUBLIC int vmb_nic_id_to_name(uint64_t nic_id, char name[VMB_NAME_MAX]);

/* What this process may use; set by the daemon and the environment. */
struct vmb_limits {
	size_t size;		/* set by the caller: bytes of this structure */
	uint32_t endpoints_max; /* open at a time */
	uint32_t inline_max;	/* bytes of a message that need no buffer */
	uint32_t eager_max;	/* default of vmb_open_params.eager_max */
	uint32_t reserved;
	uint64_t memory_max; /* bytes registered at a time */
};

/* Returns 0; -ENOTCONN: no vmb_init(); -EINVAL: size is not set. */
VMB_PUBLIC int vmb_query_limits(struct vmb_limits *limits);

/* ---- endpoints -------------------------------------------------------- */

/* How a blocking call waits. */
enum vmb_wait_mode {
	VMB_WAIT_DEFAULT = 0, /* VMB_WAIT in the environment, else adaptive */
	VMB_WAIT_SPIN,	      /* never give up the processor */
	VMB_WAIT_ADAPTIVE,    /* spin for a while, then sleep */
	VMB_WAIT_BLOCK,	      /* look once, then sleep */
};

/*
 * Parameters of vmb_open(). Set size to sizeof(struct vmb_open_params) and
 * everything else to 0 (or the default) before filling in.
 */
struct vmb_open_params {
	size_t size;  /* bytes of this structure */
	uint32_t id;  /* endpoint id 0..65535 on our board, or VMB_ANY_ID */
	uint32_t key; /* a peer must give it to connect */
	enum vmb_wait_mode wait;
	uint32_t eq_slots;	 /* event queue slots, power of 2; 0: 1024 */
	uint32_t rx_bytes;	 /* receive buffers, power of 2, at least and
				    by default (0) 64 KiB */
	uint32_t tx_bytes;	 /* send buffers, power of 2; 0: 64 KiB */
	uint64_t unexpected_max; /* bytes held for receives not yet posted,
				    0: 64 MiB; beyond it senders wait */
	uint32_t flags;		 /* VMB_OPEN_* */
	uint32_t eager_max;	 /* bytes up to which vmb_isend() does not
				    wait for the receiver, 4096..32768;
				    0: VMB_EAGER in the environment */
	uint32_t linger_ms; /* so long vmb_close() waits for a receiver that
			       makes no room at all; 0: 1000 */
};

/*
 * A thread of the library makes progress while none of the application is in
 * a call on this endpoint: large messages go on while it computes, and
 * handlers may run in that thread. It sleeps when nothing happens.
 */
#define VMB_OPEN_BACKGROUND 1u

/*
 * Who will send much to each peer that it sends to at all: a lane is wanted
 * with the first message, not after many.
 */
#define VMB_OPEN_LANES 2u

/*
 * The program gives up the processor, or turns to something else, whenever
 * vmb_progress() has found nothing, as programs do where there are more of them
 * than processors. Then vmb_progress() looks on for some microseconds first if the
 * peer that was sent to last, through a lane, is looking for messages itself, and
 * sometimes if it is not; and peers are told when this process stops looking.
 */
#define VMB_OPEN_YIELDS 4u

/*
 * Open an endpoint. params may be NULL: any id, key 0, defaults.
 *
 * Returns 0 and *ep, which the caller ends with vmb_close(); -EINVAL: a size
 * that is not a power of two or out of range; -EBUSY: the id is taken, or all
 * are; -EDQUOT: the policy allows this client no further endpoint; -ENOMEM;
 * -EMFILE; -ENOTCONN: no vmb_init().
 */
VMB_PUBLIC int vmb_open(const struct vmb_open_params *params,
			struct vmb_endpoint **ep);

/*
 * Close an endpoint. Sends that were reported complete are still delivered,
 * unless no receiver makes room for them within linger_ms of the last that did, or
 * after six times that;
 * everything else that is pending is dropped without report, its requests are
 * dead. Threads that wait on it return -EBADF. NULL is ignored. Must not be
 * called inside a handler (it then returns -EDEADLK and does nothing).
 */
VMB_PUBLIC int vmb_close(struct vmb_endpoint *ep);

/* Our own address (a valid destination), nic id, endpoint id and session. */
VMB_PUBLIC int vmb_self(struct vmb_endpoint *ep, struct vmb_addr *addr);

/*
 * Who is behind an address. Works for every address that a connect, a status
 * or a handler gave, also when the peer has gone. The answer is the daemon's,
 * not the peer's. Any result pointer may be NULL.
 *
 * Returns 0; -ENOENT: the peer has gone so long ago that the daemon has
 * forgotten it, and it was never asked about before.
 */
VMB_PUBLIC int vmb_addr_query(struct vmb_endpoint *ep, struct vmb_addr addr,
			      uint64_t *nic_id, uint32_t *id,
			      uint32_t *session);

/*
 * The open endpoint of this process that gave an address.
 *
 * Returns 0; -EINVAL: none that is open did.
 */
VMB_PUBLIC int vmb_addr_endpoint(struct vmb_addr addr,
				 struct vmb_endpoint **ep);

/* One pointer per (endpoint, peer), NULL at first; dropped on disconnect. */
VMB_PUBLIC int vmb_addr_set_context(struct vmb_endpoint *ep,
				    struct vmb_addr addr, void *context);
VMB_PUBLIC int vmb_addr_get_context(struct vmb_endpoint *ep,
				    struct vmb_addr addr, void **context);

/*
 * A file descriptor for poll(2) or epoll(7). It is readable when vmb_arm()
 * returned 0 and something arrived since. Belongs to the endpoint: do not
 * read, write or close it.
 */
VMB_PUBLIC int vmb_fd(struct vmb_endpoint *ep, int *fd);

/*
 * Ask for vmb_fd() to become readable at the next event.
 * Returns 0: now sleep; -EAGAIN: there is work already, progress first.
 */
VMB_PUBLIC int vmb_arm(struct vmb_endpoint *ep);

/*
 * One bounded pass over arrived events; a pause of about 0.1 us when there is
 * none, which lets who sends one get on. Every test and wait does this too.
 * -EDEADLK: inside a handler.
 */
VMB_PUBLIC int vmb_progress(struct vmb_endpoint *ep);

/*
 * Every thread that is blocked on the endpoint in this moment returns, with
 * its result 0 (done == 0) or, from vmb_connect(), -ETIMEDOUT. Not remembered.
 */
VMB_PUBLIC int vmb_wakeup(struct vmb_endpoint *ep);

/*
 * Stop (1) or allow (0, the default) the processing of arrivals and with it
 * the handlers, in all threads. Stopping returns when a handler that runs in
 * another thread has ended; inside a handler it counts from the end of the
 * pass that called it. Not counted. Requests may be posted meanwhile.
 */
VMB_PUBLIC int vmb_hold(struct vmb_endpoint *ep, int hold);

/* ---- connections ------------------------------------------------------ */

/*
 * Obtain the address of endpoint id on nic_id. The daemon answers; the peer
 * need not run. Again is allowed and gives an equal address. With ourselves
 * it always works.
 *
 * Returns 0; -ENXIO: no such nic; -ECONNREFUSED: endpoint not open;
 * -EKEYREJECTED: wrong key; -EINVAL: id out of range; -ETIMEDOUT.
 */
VMB_PUBLIC int vmb_connect(struct vmb_endpoint *ep, uint64_t nic_id,
			   uint32_t id, uint32_t key, int timeout_ms,
			   struct vmb_addr *addr);

/*
 * The same as a request; its status holds the address in peer and the match
 * bits given here. req may be NULL (then nobody learns the outcome).
 */
VMB_PUBLIC int vmb_iconnect(struct vmb_endpoint *ep, uint64_t nic_id,
			    uint32_t id, uint32_t key, uint64_t match,
			    void *context, struct vmb_req **req);

/*
 * Forget a peer: what is pending with it completes with -ECANCELED, what it
 * sent and nobody received is dropped, its context too. Posted receives stay.
 * The peer is not told. Connecting again later is allowed. -EDEADLK: inside a
 * handler.
 */
VMB_PUBLIC int vmb_disconnect(struct vmb_endpoint *ep, struct vmb_addr addr);

/* ---- messages --------------------------------------------------------- */

/*
 * Post a send of the concatenation of count segments. The array may be reused
 * on return, the memory it names only when the request completes.
 *
 * vmb_isend completes when the memory may be reused: small messages at once
 * (unless many wait for room), large ones when the receiver has fetched them.
 * vmb_issend completes when a receive has matched. Messages from one endpoint
 * to another are matched in the order of their sends.
 *
 * req: set to the request, to be ended with vmb_test(), vmb_wait(), the _any
 * calls or vmb_forget(); NULL means forget at once.
 *
 * Returns 0; -EINVAL: dest is no address of ep, count over VMB_SEGMENTS_MAX,
 * a NULL segment with a length; -EMSGSIZE: over VMB_MESSAGE_MAX; -ENOMEM.
 */
VMB_PUBLIC int vmb_isend(struct vmb_endpoint *ep,
			 const struct vmb_segment *segments, unsigned count,
			 struct vmb_addr dest, uint64_t match, void *context,
			 struct vmb_req **req);
VMB_PUBLIC int vmb_issend(struct vmb_endpoint *ep,
			  const struct vmb_segment *segments, unsigned count,
			  struct vmb_addr dest, uint64_t match, void *context,
			  struct vmb_req **req);

/*
 * Post a receive for the first message m, of any source, for which
 * (m & mask) == match. A message that is longer than the segments is
 * truncated: code -EMSGSIZE, msg_len what was sent, xfer_len what was stored.
 * The sender is told the same when it waited for the receiver anyway (large
 * or synchronous); to other senders a truncation looks like success.
 *
 * Returns as vmb_isend(); -EINVAL also: match has bits outside mask.
 */
VMB_PUBLIC int vmb_irecv(struct vmb_endpoint *ep,
			 const struct vmb_segment *segments, unsigned count,
			 uint64_t match, uint64_t mask, void *context,
			 struct vmb_req **req);

/* ---- completion ------------------------------------------------------- */

/*
 * Look whether, or wait until, a request has ended. *done is always written.
 * When it is 1 the status is filled, the request is gone and *req is NULL;
 * when it is 0 the time passed or vmb_wakeup() was called. status may be NULL.
 *
 * Returns 0; -EINVAL: not a live request of ep; -EBADF: ep was closed.
 */
VMB_PUBLIC int vmb_test(struct vmb_endpoint *ep, struct vmb_req **req,
			struct vmb_status *status, int *done);
VMB_PUBLIC int vmb_wait(struct vmb_endpoint *ep, struct vmb_req **req,
			int timeout_ms, struct vmb_status *status, int *done);

/*
 * The same for the request that ended first among those, of any kind, whose
 * match bits m have (m & mask) == match. status->context tells which it was.
 */
VMB_PUBLIC int vmb_test_any(struct vmb_endpoint *ep, uint64_t match,
			    uint64_t mask, struct vmb_status *status,
			    int *done);
VMB_PUBLIC int vmb_wait_any(struct vmb_endpoint *ep, uint64_t match,
			    uint64_t mask, int timeout_ms,
			    struct vmb_status *status, int *done);

/*
 * The request that ended first and was not completed yet; it stays, and
 * vmb_test() will succeed on it. *req is NULL when there is none in time.
 */
VMB_PUBLIC int vmb_ipeek(struct vmb_endpoint *ep, struct vmb_req **req);
VMB_PUBLIC int vmb_peek(struct vmb_endpoint *ep, int timeout_ms,
			struct vmb_req **req);

/*
 * The first message that arrived, was not matched, and has
 * (m & mask) == match; it stays. Both lengths of the status are its length.
 */
VMB_PUBLIC int vmb_iprobe(struct vmb_endpoint *ep, uint64_t match,
			  uint64_t mask, struct vmb_status *status, int *done);
VMB_PUBLIC int vmb_probe(struct vmb_endpoint *ep, uint64_t match, uint64_t mask,
			 int timeout_ms, struct vmb_status *status, int *done);

/*
 * Take back a receive that has not matched or a connect that has no answer.
 * *cancelled, always written: 1, the request is gone and *req is NULL; 0, too
 * late, complete it as usual. Sends: -EOPNOTSUPP.
 */
VMB_PUBLIC int vmb_cancel(struct vmb_endpoint *ep, struct vmb_req **req,
			  int *cancelled);

/* Never report this request; it still runs to its end. *req becomes NULL. */
VMB_PUBLIC int vmb_forget(struct vmb_endpoint *ep, struct vmb_req **req);

/* *done is 1 when the memory of a send may be reused. Others: -EINVAL. */
VMB_PUBLIC int vmb_ibuffered(struct vmb_endpoint *ep, struct vmb_req *req,
			     int *done);

/*
 * Post a request that has ended already, with the code given, 0 or negative.
 * A layer above reports its own failures so, in order with everything else.
 * It counts as a send of no bytes to nobody. req NULL: nothing happens.
 *
 * Returns 0; -EINVAL: code is positive; -ENOMEM.
 */
VMB_PUBLIC int vmb_icomplete(struct vmb_endpoint *ep, int code, uint64_t match,
			     void *context, struct vmb_req **req);

/* What a request counts as that never was one. */
enum vmb_ended_as {
	VMB_ENDED_SEND,
	VMB_ENDED_CONNECT, /* vmb_cancel() comes too late, vmb_ibuffered() fails */
};

/*
 * The same with the whole status told, *status: its peer and lengths too, which
 * are not looked at. status->code is as above.
 *
 * Returns 0; -EINVAL: status is NULL, its code positive, `as` is neither;
 * -ENOMEM.
 */
VMB_PUBLIC int vmb_icomplete_as(struct vmb_endpoint *ep, enum vmb_ended_as as,
				const struct vmb_status *status,
				struct vmb_req **req);

/* The context that a live request was posted with. */
VMB_PUBLIC int vmb_req_context(struct vmb_endpoint *ep, struct vmb_req *req,
			       void **context);

/*
 * Limit for one send or connect from now on (req), or for all posted later
 * (req NULL); 0 takes the limit away. Beyond it the request completes with
 * -ETIMEDOUT. A posted receive never times out.
 */
VMB_PUBLIC int vmb_set_request_timeout(struct vmb_endpoint *ep,
				       struct vmb_req *req,
				       unsigned timeout_ms);

/* ---- unexpected messages ---------------------------------------------- */

enum vmb_unexpected_action {
	VMB_UNEXPECTED_CONTINUE = 0, /* match again, then queue */
	VMB_UNEXPECTED_FINISHED = 1, /* consumed: drop it */
};

/*
 * Called once for each message that arrives and matches no posted receive, in
 * order of arrival, by whatever thread makes progress. data points to the
 * whole message until return when it is at hand (vmb_isend of at most 4096
 * bytes, 0 included), else it is NULL. The handler may post receives, sends
 * and connects, and test for the answers of connects; no other message is
 * taken meanwhile. Calls that would have to wait return -EDEADLK in it.
 */
typedef enum vmb_unexpected_action (*vmb_unexpected_handler_t)(
	void *context, struct vmb_addr source, uint64_t match, uint64_t len,
	const void *data);

/* handler NULL: none. Messages that are queued already are not replayed. */
VMB_PUBLIC int vmb_set_unexpected_handler(struct vmb_endpoint *ep,
					  vmb_unexpected_handler_t handler,
					  void *context);

/* ---- memory ----------------------------------------------------------- */

/*
 * Memory that the NIC reaches without any copy or system call: registered,
 * shared with the engine, page-aligned, zeroed. Freed by vmb_free(), which
 * waits until the NIC has left it (NULL is ignored, what vmb_alloc() did not
 * give is -EINVAL); vmb_finalize() frees what was forgotten. It goes back with
 * vmb_free() only: a block that was unmapped by hand keeps its registration, and
 * where something else is mapped now, the data of the old block are sent.
 *
 * Returns 0; -ENOMEM; -EDQUOT: over the registered-memory limit of the policy,
 * or in a guest over RLIMIT_MEMLOCK; -EFBIG: more than 96 MiB in a guest;
 * -ENOSPC; -EINVAL: len is 0; -ENOTCONN: no vmb_init().
 */
VMB_PUBLIC int vmb_alloc(size_t len, void **ptr);
VMB_PUBLIC int vmb_free(void *ptr);

struct vmb_mem; /* memory that was registered by vmb_register() */

#define VMB_REMOTE_READ 1u  /* peers that are told the key may get */
#define VMB_REMOTE_WRITE 2u /* and put */

/*
 * Register memory for put and get (vmb_am.h). Ordinary memory and memory of
 * vmb_alloc() are both welcome. Messages need no registration: the library
 * registers, and keeps registrations, by itself.
 *
 * Returns 0 and *mem, ended by vmb_deregister(); -EDQUOT, -EFBIG, -ENOSPC as
 * for vmb_alloc(); -EFAULT: not readable and writable memory of this process;
 * -EOPNOTSUPP: the kernel does not let the engine reach it (use vmb_alloc());
 * -EINVAL.
 */
VMB_PUBLIC int vmb_register(void *ptr, size_t len, unsigned access,
			    struct vmb_mem **mem);

/*
 * End a registration; returns after the last access of the NIC. Transfers
 * that still use it end with an error at both sides.
 */
VMB_PUBLIC int vmb_deregister(struct vmb_mem *mem);

/* What to tell a peer: a key that cannot be guessed. */
VMB_PUBLIC int vmb_mem_key(const struct vmb_mem *mem, uint64_t *key);

/* ---- counters --------------------------------------------------------- */

/* Counters of this endpoint's library side, since open. */
struct vmb_counters {
	size_t size; /* set by the caller: bytes of this structure */
	uint64_t eager, rendezvous, pipelined; /* sends by protocol */
	uint64_t expected, unexpected;	       /* arrivals */
	uint64_t bounced, resumed; /* sends given back, and sent again */
	uint64_t sleeps, kicks;	   /* system calls made to wait and to wake */
	uint64_t regcache_hits, regcache_misses, regcache_invalidated;
	uint64_t lanes, lane_arrivals; /* that came up, both ways; messages */
	/* messages received from the memory of their sender's process; pieces
	 * of such that this endpoint, as the sender, wrote to the receiver's */
	uint64_t direct, direct_written;
	/* pieces, of both, in memory of the other process that is mapped here */
	uint64_t direct_mapped;
};

VMB_PUBLIC int vmb_query_counters(struct vmb_endpoint *ep,
				  struct vmb_counters *counters);

#ifdef __cplusplus
}
#endif

#endif
