/* SPDX-License-Identifier: BSD-2-Clause */
/* util.h - the handful of helpers that every layer uses. */
#ifndef VMB_BASE_UTIL_H
#define VMB_BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#define VMB_LINE 64	  /* bytes of a cache line */
#define VMB_LINE_PAIR 128 /* what the prefetcher moves; see abi/doorbell.h */

#define vmb_likely(x) __builtin_expect(!!(x), 1)
#define vmb_unlikely(x) __builtin_expect(!!(x), 0)
#define vmb_array_size(a) (sizeof(a) / sizeof((a)[0]))
#define vmb_container_of(ptr, type, member) \
	((type *)((char *)(ptr)-offsetof(type, member)))
#define vmb_min(a, b) ((a) < (b) ? (a) : (b))
#define vmb_max(a, b) ((a) > (b) ? (a) : (b))

/* Fetch a line early, to read it or to own it. A hint, of any address. */
#define vmb_prefetch(p) __builtin_prefetch(p)

static inline void vmb_prefetch_write(const void *p)
{
#ifdef __x86_64__
	/* the builtin asks for a shared line only, unless told of the CPU */
	__asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

/* The next of a sequence of random numbers (Marsaglia's xorshift); not 0. */
static inline uint32_t vmb_xorshift(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* memcpy() for what fits in a slot or two: no call, no loop. */
static inline void vmb_copy_short(void *dst, const void *src, size_t len)
{
	char *d = dst;
	const char *s = src;

	if (len > 32) {
		memcpy(d, s, len);
	} else if (len >= 16) {
		memcpy(d, s, 16);
		memcpy(d + len - 16, s + len - 16, 16);
	} else if (len >= 8) {
		memcpy(d, s, 8);
		memcpy(d + len - 8, s + len - 8, 8);
	} else if (len >= 4) {
		memcpy(d, s, 4);
		memcpy(d + len - 4, s + len - 4, 4);
	} else if (len) {
		d[0] = s[0];
		d[len / 2] = s[len / 2];
		d[len - 1] = s[len - 1];
	}
}

/* Less than 8 bytes as a little-endian number. */
static inline uint64_t vmb_load_short(const void *src, size_t len)
{
	const unsigned char *s = src;
	uint32_t low, high;

	if (len >= 4) {
		memcpy(&low, s, 4);
		memcpy(&high, s + len - 4, 4);
		return low | (uint64_t)high << 8 * (len - 4);
	}
	if (!len)
		return 0;
	return s[0] | (uint64_t)s[len / 2] << 8 * (len / 2) |
	       (uint64_t)s[len - 1] << 8 * (len - 1);
}

static inline bool vmb_is_pow2(uint64_t v)
{
	return v && !(v & (v - 1));
}

static inline uint64_t vmb_round_up(uint64_t v, uint64_t pow2)
{
	return (v + pow2 - 1) & ~(pow2 - 1);
}

/* CLOCK_MONOTONIC in nanoseconds; no system call with the vDSO. */
static inline uint64_t vmb_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline struct timespec vmb_timespec(uint64_t ns)
{
	return (struct timespec){
		.tv_sec = (time_t)(ns / 1000000000u),
		.tv_nsec = (long)(ns % 1000000000u),
	};
}

#endif
