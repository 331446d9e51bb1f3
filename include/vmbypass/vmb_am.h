/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmb_am.h - active messages and one-sided transfers, without matching: what
 * runtimes (MPI, sockets) build upon. The same endpoints, addresses, threads
 * and error rules as vmb.h. Between two endpoints active messages and
 * matched messages arrive in one common order.
 */
#ifndef VMBYPASS_VMB_AM_H
#define VMBYPASS_VMB_AM_H

#include <vmbypass/vmb.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMB_AM_IDS 192 /* ids 0..191 are the application's */

/* An arrived message. Valid during the call of the handler only. */
struct vmb_am_msg {
	struct vmb_addr source;
	uint64_t hdr;	  /* the sender's header word */
	const void *data; /* 16-byte aligned when over 96 bytes */
	size_t len;	  /* bytes */
};

/*
 * Called in order of arrival by whatever thread makes progress, with the
 * endpoint locked against other handlers. It may call vmb_am_send(),
 * vmb_am_put(), vmb_am_get() and post requests; it must not wait.
 */
typedef void (*vmb_am_handler_t)(struct vmb_endpoint *ep,
				 const struct vmb_am_msg *msg, void *context);

/*
 * Bind a handler to an id. A message for an id without a handler is counted
 * and dropped. Returns 0; -EINVAL: id out of range.
 */
VMB_PUBLIC int vmb_am_register(struct vmb_endpoint *ep, unsigned id,
			       vmb_am_handler_t handler, void *context);

/* Longest payload of one active message, bytes. */
VMB_PUBLIC int vmb_am_max(struct vmb_endpoint *ep, size_t *max);

/*
 * Send. On 0 the payload has been copied and the memory may be reused; the
 * message will arrive unless the peer closes. Never blocks.
 *
 * Returns 0; -EAGAIN: no room at the peer or in our buffers: vmb_progress()
 * and try again; -EMSGSIZE: over vmb_am_max(); -EINVAL; -ECONNRESET: the
 * peer has closed.
 */
VMB_PUBLIC int vmb_am_send(struct vmb_endpoint *ep, struct vmb_addr dest,
			   unsigned id, uint64_t hdr,
			   const struct vmb_segment *segments, unsigned count);

/*
 * How a one-sided transfer ended. code: 0; -ENOKEY: the key is unknown or
 * stale; -ERANGE: past the end of a region; -EACCES: the region does not
 * allow it; -ECONNRESET: the peer has closed; -EFAULT: memory that cannot be
 * reached; -EPIPE: the daemon is gone; -EIO: the endpoint was faulted. moved:
 * bytes that were moved before that, as far as is known.
 */
typedef void (*vmb_am_done_t)(struct vmb_endpoint *ep, int code, uint64_t moved,
			      void *context);

/*
 * Copy len bytes from our registered memory to that of the peer (put), or the
 * other way (get). key is the peer's vmb_mem_key(). done is called by
 * whatever thread makes progress; it may be NULL. Transfers may overtake each
 * other and messages; see vmb_am_fence().
 *
 * Returns 0; -EAGAIN: too many are under way; -ERANGE: offset + len past the
 * end of mem; -EINVAL.
 */
VMB_PUBLIC int vmb_am_put(struct vmb_endpoint *ep, struct vmb_addr dest,
			  struct vmb_mem *mem, uint64_t offset, uint64_t key,
			  uint64_t remote_offset, uint64_t len,
			  vmb_am_done_t done, void *context);
VMB_PUBLIC int vmb_am_get(struct vmb_endpoint *ep, struct vmb_addr dest,
			  struct vmb_mem *mem, uint64_t offset, uint64_t key,
			  uint64_t remote_offset, uint64_t len,
			  vmb_am_done_t done, void *context);

/*
 * Order: what is sent, put or got after the fence begins when all transfers
 * before it have ended. done (may be NULL) is called then.
 * Returns 0; -EAGAIN.
 */
VMB_PUBLIC int vmb_am_fence(struct vmb_endpoint *ep, vmb_am_done_t done,
			    void *context);

/* What the peer needs to accept an offer: copy it into a message of yours. */
struct vmb_am_offer {
	uint64_t word[5]; /* meaningful to the two libraries alone */
};

/*
 * Long messages without matching, for who matches by himself. Offer len bytes
 * at ptr to dest, who accepts them into memory of his own once it is known
 * which, with the offer that you have sent him: the first len bytes of the two, the shorter
 * one counts. Neither memory need be registered. Where both are on one host
 * both processes copy at the same time, each while it is in a call of the
 * library; else the NIC does. The memory of an offer may be read by dest until
 * done is called, that of an accept may be written.
 *
 * done (may be NULL) is called by whatever thread makes progress, never within
 * these calls; not after vmb_close(). moved: the bytes that were copied. code: 0;
 * -EMSGSIZE: the memory of the one who accepted was shorter than the offer;
 * -ECANCELED: withdrawn or disconnected by us; -ECONNABORTED: by the
 * peer; -ECONNRESET: the peer has closed; -EFAULT: memory that cannot be
 * reached, or is not offered any more; -ENOBUFS; or as vmb_progress().
 *
 * vmb_am_withdraw() takes an offer back: when it returns the memory is ours alone, and
 * done will be called with -ECANCELED.
 *
 * len is at most VMB_MESSAGE_MAX bytes, ptr may be NULL when it is 0. Any thread may call these, handlers
 * too.
 *
 * Return 0; -EINVAL: also an offer that cannot be one, or, to withdraw, that
 * has ended; -EMSGSIZE; -ECONNRESET: the peer has closed; -EALREADY: we have
 * accepted this one; -ENOMEM.
 */
VMB_PUBLIC int vmb_am_offer(struct vmb_endpoint *ep, struct vmb_addr dest,
			    void *ptr, size_t len, vmb_am_done_t done,
			    void *context, struct vmb_am_offer *offer);
VMB_PUBLIC int vmb_am_accept(struct vmb_endpoint *ep, struct vmb_addr source,
			     const struct vmb_am_offer *offer, void *ptr,
			     size_t len, vmb_am_done_t done, void *context);
VMB_PUBLIC int vmb_am_withdraw(struct vmb_endpoint *ep,
			       const struct vmb_am_offer *offer);

#ifdef __cplusplus
}
#endif

#endif
