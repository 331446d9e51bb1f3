/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * barrier.h - the memory orderings of the data path, each named for its part
 * in the protocol. No other file orders memory by itself.
 *
 * publish   release store: everything before it is visible to who observes it
 * observe   acquire load: partner of publish
 * relaxed   a shared word whose order does not matter, read or written once
 * acquire_fence, release_fence
 *           the same for what Xen's ring macros read and write by themselves
 * bits_set, bits_take
 *           bits that many set and one takes: set returns the word as it was,
 *           take leaves 0; both order everything before and after them
 * arm_fence full fence between "I said I sleep" and "I look again", and
 *           between "I published" and "does it sleep?"; see docs/signalling.md
 */
#ifndef VMB_BASE_BARRIER_H
#define VMB_BASE_BARRIER_H

#include <stdint.h>

#define vmb_publish(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define vmb_observe(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define vmb_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define vmb_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)

#define vmb_bits_set(p, bits) __atomic_fetch_or((p), (bits), __ATOMIC_SEQ_CST)
#define vmb_bits_take(p) __atomic_exchange_n((p), 0, __ATOMIC_SEQ_CST)

static inline void vmb_acquire_fence(void)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}

static inline void vmb_release_fence(void)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void vmb_arm_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Tell the processor that this is a spin loop. */
static inline void vmb_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

/* Two 32-bit positions in the one 64-bit word they travel in. */
static inline uint64_t vmb_pack(uint32_t low, uint32_t high)
{
	return (uint64_t)high << 32 | low;
}

static inline uint32_t vmb_low(uint64_t word)
{
	return (uint32_t)word;
}

static inline uint32_t vmb_high(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

#endif
