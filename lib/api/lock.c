// SPDX-License-Identifier: BSD-2-Clause
/*
 * lock.c - the slow half of the endpoint's lock: spin, sleep, wake.
 *
 * Flow:  vmb_lock_take() -> [here] -> futex.c, membarrier(2)
 * Owns:  nothing.
 * Trust: see lock.h.
 */
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/lock.h"

/* Long enough for the usual call of another thread to end. */
#define SPINS_BEFORE_SLEEP 200
/* Long enough for a thread that was just woken to run. */
#define SPINS_TO_YIELD 500
/* Calls in a row before a thread is favoured; twice as many after each fall. */
#define STREAK_FIRST 64u
#define FALLS_MAX 10

bool vmb_lock_fences = true;
__thread char vmb_thread_mark;

void vmb_lock_setup(void)
{
	long have = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	if (have < 0 || !(have & MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		return;
	if (!syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
		     0, 0))
		vmb_lock_fences = false;
}

/* After this, what another thread stored before is seen, and what it loads
 * later shows what we stored before. */
static void order_others(void)
{
	if (vmb_lock_fences)
		vmb_arm_fence();
	else
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

static bool try_word(struct vmb_lock *l)
{
	uint32_t unlocked = 0;

	return __atomic_compare_exchange_n(&l->word, &unlocked, 1, false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static bool outside(struct vmb_lock *l)
{
	return !vmb_observe(&l->inside);
}

/* Until got() says so; sleeps on *word while that is 1. */
static void wait_for(struct vmb_lock *l, bool (*got)(struct vmb_lock *l),
		     uint32_t *word)
{
	__atomic_add_fetch(&l->wanted, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < SPINS_BEFORE_SLEEP; i++) {
		if (!vmb_load_relaxed(word) && got(l))
			goto out;
		vmb_relax();
	}
	__atomic_add_fetch(&l->sleepers, 1, __ATOMIC_SEQ_CST);
	order_others();
	while (!got(l))
		vmb_futex_wait(word, 1, UINT64_MAX);
	__atomic_sub_fetch(&l->sleepers, 1, __ATOMIC_RELAXED);
out:
	__atomic_sub_fetch(&l->wanted, 1, __ATOMIC_RELAXED);
}

/* The word is ours: whoever is favoured may finish, and is it no more. */
static void end_favour(struct vmb_lock *l)
{
	vmb_publish(&l->favoured, NULL);
	order_others(); /* pairs with vmb_lock_try_favour() */
	if (!outside(l))
		wait_for(l, outside, &l->inside);
	if (l->falls < FALLS_MAX)
		l->falls++;
}

static void count_streak(struct vmb_lock *l)
{
	const void *self = vmb_thread_self();

	if (l->last != self) {
		l->last = self;
		l->streak = 0;
	} else if (++l->streak >= STREAK_FIRST << l->falls &&
		   !vmb_lock_fences && !vmb_lock_wanted(l)) {
		l->streak = 0;
		vmb_publish(&l->favoured, self);
	}
}

void vmb_lock_take_word(struct vmb_lock *l)
{
	if (!try_word(l))
		wait_for(l, try_word, &l->word);
	if (vmb_load_relaxed(&l->favoured))
		end_favour(l);
	else
		count_streak(l);
}

void vmb_lock_retreat(struct vmb_lock *l)
{
	vmb_publish(&l->inside, 0u);
	vmb_arm_fence(); /* pairs with the sleepers of wait_for() */
	if (vmb_load_relaxed(&l->sleepers))
		vmb_futex_wake(&l->inside, 1);
}

void vmb_lock_wake(uint32_t *word)
{
	vmb_futex_wake(word, 1);
}

void vmb_lock_yield(struct vmb_lock *l)
{
	vmb_lock_release(l);
	for (int i = 0; i < SPINS_TO_YIELD; i++) {
		if (!vmb_lock_wanted(l) || vmb_load_relaxed(&l->word))
			break;
		vmb_relax();
	}
	if (vmb_lock_wanted(l) && !vmb_load_relaxed(&l->word))
		sched_yield();
	vmb_lock_take(l);
}
