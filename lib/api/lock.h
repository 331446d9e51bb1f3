/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock.h - the lock of an endpoint: no atomic operation at all for a thread
 * that has the endpoint to itself, one while nobody else wants it.
 *
 * Flow:  every public call on an endpoint -> vmb_lock_take() -> msg, am
 * Owns:  the words below; who must wait sleeps on one of them (futex).
 * Trust: threads of our own process only.
 *
 * An atomic operation waits for all stores before it, so for the line of the
 * doorbell page that was just written: more than all else that a send costs.
 * Hence the favour: a thread that took the lock many times in a row takes it
 * by a plain store to `inside` and a look at `favoured`. Another thread takes
 * `word`, ends the favour and waits until `inside` is 0.
 *
 * The favoured thread stores and then loads, and so does a release (`word` or
 * `inside`, then `sleepers`). The processor must not exchange the two, or a
 * thread enters twice, or a sleeper is forgotten. The rarer side pays for
 * that: after its own store it orders all threads of the process with
 * membarrier(2), and looks. Where the kernel has no membarrier,
 * vmb_lock_fences is set, nobody is favoured, and a release has a full fence.
 */
#ifndef VMB_API_LOCK_H
#define VMB_API_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/barrier.h"
#include "base/futex.h"
#include "base/util.h"

struct vmb_lock {
	const void *favoured; /* vmb_thread_self() of a thread, or NULL */
	uint32_t inside;      /* 1: the favoured thread has it, or tries */
	uint32_t word;	   /* 1: another thread has it, or waits for inside */
	uint32_t wanted;   /* threads that did not get it at once */
	uint32_t sleepers; /* those of them that sleep, or are about to */

	/* whose the lock is */
	bool by_favour;	  /* it was taken by `inside` */
	uint8_t falls;	  /* favours that ended */
	uint32_t streak;  /* times that `last` took it in a row */
	const void *last; /* thread */
};

extern bool vmb_lock_fences; /* set once, before the first lock is used */

extern __thread char vmb_thread_mark __attribute__((tls_model("initial-exec")));

/* What no other living thread of the process has. */
static inline const void *vmb_thread_self(void)
{
	return &vmb_thread_mark;
}

/* Find out what the kernel has. Called by vmb_init(); again after a fork. */
void vmb_lock_setup(void);

/* The ways that are not inlined. retreat: the favour has ended meanwhile. */
void vmb_lock_take_word(struct vmb_lock *l);
void vmb_lock_retreat(struct vmb_lock *l);
void vmb_lock_wake(uint32_t *word);

static inline bool vmb_lock_try_favour(struct vmb_lock *l)
{
	const void *self = vmb_thread_self();

	if (vmb_load_relaxed(&l->favoured) != self)
		return false;
	vmb_store_relaxed(&l->inside, 1u);
	/* pairs with the membarrier of end_favour() */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (vmb_likely(vmb_observe(&l->favoured) == self))
		return true;
	vmb_lock_retreat(l);
	return false;
}

static inline void vmb_lock_take(struct vmb_lock *l)
{
	bool favour = vmb_lock_try_favour(l);

	if (vmb_unlikely(!favour))
		vmb_lock_take_word(l);
	l->by_favour = favour;
}

static inline void vmb_lock_release(struct vmb_lock *l)
{
	uint32_t *word = l->by_favour ? &l->inside : &l->word;

	vmb_publish(word, 0u);
	if (vmb_unlikely(vmb_lock_fences))
		vmb_arm_fence(); /* pairs with order_others() */
	else
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (vmb_unlikely(vmb_load_relaxed(&l->sleepers)))
		vmb_lock_wake(word);
}

/* Does another thread want it? Who holds it for long looks from time to time */
static inline bool vmb_lock_wanted(const struct vmb_lock *l)
{
	return vmb_load_relaxed(&l->wanted) != 0;
}

/* Let another thread have it first, then take it again. */
void vmb_lock_yield(struct vmb_lock *l);

#endif
