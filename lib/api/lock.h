/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock.h - the lock of an endpoint: one atomic when nobody else wants it.
 *
 * Flow:  every public call on an endpoint -> vmb_lock_take() -> msg, am
 * Owns:  one word of state; who must wait sleeps on it (futex).
 * Trust: threads of our own process only.
 *
 * Releasing is a plain store followed by a look at `sleepers`. The two must
 * not be exchanged by the processor, or a sleeper is forgotten. The sleeper
 * pays for that: it announces itself, orders all other threads of the process
 * with membarrier(2), and looks again. Where the kernel has no membarrier,
 * vmb_lock_fences is set and every release pays for a full fence.
 */
#ifndef VMB_API_LOCK_H
#define VMB_API_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/barrier.h"
#include "base/util.h"

struct vmb_lock {
	uint32_t word;	   /* 1: taken */
	uint32_t wanted;   /* threads that did not get it at once */
	uint32_t sleepers; /* those of them that sleep, or are about to */
};

extern bool vmb_lock_fences; /* set once, before the first lock is used */

/* Find out what the kernel has. Called by vmb_init(); again after a fork. */
void vmb_lock_setup(void);

void vmb_lock_take_slow(struct vmb_lock *l);
void vmb_lock_wake(struct vmb_lock *l);

static inline bool vmb_lock_try(struct vmb_lock *l)
{
	uint32_t unlocked = 0;

	return __atomic_compare_exchange_n(&l->word, &unlocked, 1, false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void vmb_lock_take(struct vmb_lock *l)
{
	if (vmb_unlikely(!vmb_lock_try(l)))
		vmb_lock_take_slow(l);
}

static inline void vmb_lock_release(struct vmb_lock *l)
{
	vmb_publish(&l->word, 0u);
	if (vmb_unlikely(vmb_lock_fences))
		vmb_arm_fence(); /* pairs with the one in take_slow() */
	else
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (vmb_unlikely(vmb_load_relaxed(&l->sleepers)))
		vmb_lock_wake(l);
}

/* Does another thread want it? Who holds it for long looks from time to time */
static inline bool vmb_lock_wanted(const struct vmb_lock *l)
{
	return vmb_load_relaxed(&l->wanted) != 0;
}

/* Let another thread have it first, then take it again. */
void vmb_lock_yield(struct vmb_lock *l);

/*
 * Sleep while *word is value, until vmb_futex_wake() or deadline_ns
 * (vmb_now_ns; UINT64_MAX: none). May return early; the caller looks again.
 */
void vmb_futex_wait(uint32_t *word, uint32_t value, uint64_t deadline_ns);
void vmb_futex_wake(uint32_t *word, int threads);

#endif
