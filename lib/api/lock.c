// SPDX-License-Identifier: BSD-2-Clause
/*
 * lock.c - the slow half of the endpoint's lock: spin, sleep, wake.
 *
 * Flow:  vmb_lock_take() -> [here] -> futex(2), membarrier(2)
 * Owns:  nothing.
 * Trust: see lock.h.
 */
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "api/lock.h"

/* Long enough for the usual call of another thread to end. */
#define SPINS_BEFORE_SLEEP 200
/* Long enough for a thread that was just woken to run. */
#define SPINS_TO_YIELD 500

bool vmb_lock_fences = true;

void vmb_lock_setup(void)
{
	long have = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	if (have < 0 || !(have & MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		return;
	if (!syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
		     0, 0))
		vmb_lock_fences = false;
}

/* After this, whoever released before has released for us, and whoever
 * releases later sees what we stored before. */
static void order_releases(void)
{
	if (vmb_lock_fences)
		vmb_arm_fence();
	else
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

void vmb_futex_wait(uint32_t *word, uint32_t value, uint64_t deadline_ns)
{
	struct timespec at = {
		.tv_sec = (time_t)(deadline_ns / 1000000000u),
		.tv_nsec = (long)(deadline_ns % 1000000000u),
	};

	syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value,
		deadline_ns == UINT64_MAX ? NULL : &at, NULL,
		FUTEX_BITSET_MATCH_ANY);
}

void vmb_futex_wake(uint32_t *word, int threads)
{
	syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, threads, NULL,
		NULL, 0);
}

static bool spin_for(struct vmb_lock *l)
{
	for (int i = 0; i < SPINS_BEFORE_SLEEP; i++) {
		if (!vmb_load_relaxed(&l->word) && vmb_lock_try(l))
			return true;
		vmb_relax();
	}
	return false;
}

void vmb_lock_take_slow(struct vmb_lock *l)
{
	__atomic_add_fetch(&l->wanted, 1, __ATOMIC_RELAXED);
	if (!spin_for(l)) {
		__atomic_add_fetch(&l->sleepers, 1, __ATOMIC_SEQ_CST);
		order_releases();
		while (!vmb_lock_try(l))
			vmb_futex_wait(&l->word, 1, UINT64_MAX);
		__atomic_sub_fetch(&l->sleepers, 1, __ATOMIC_RELAXED);
	}
	__atomic_sub_fetch(&l->wanted, 1, __ATOMIC_RELAXED);
}

void vmb_lock_wake(struct vmb_lock *l)
{
	vmb_futex_wake(&l->word, 1);
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
