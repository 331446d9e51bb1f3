/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * copy.h - copies into memory that another processor reads next.
 *
 * Flow:  am, nic -> vmb_copier_begin() -> vmb_copy() or vmb_copy_past()
 *        -> vmb_copier_end()
 * Owns:  nothing.
 * Trust: none is needed; the caller has checked both places.
 *
 * A ring's memory is used again and again, so what is written next is still in
 * the caches of who read it a lap ago. An ordinary store has to take each of
 * these lines away from there; a non-temporal one writes whole lines past all
 * caches, and the reader fetches them from memory. Between processors that are
 * near each other the first is cheaper, between far ones the second, several
 * times. Nobody can be asked which they are, and under a hypervisor it changes
 * (docs/performance.md): so both are tried, a few copies of many.
 */
#ifndef VMB_BASE_COPY_H
#define VMB_BASE_COPY_H

#include "base/util.h"

/* ThreadSanitizer does not follow non-temporal stores */
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
#include <emmintrin.h>
#define VMB_COPY_BY_16
#endif

/* Whoever copies: what he passes to a function that walks over segments. */
typedef void (*vmb_copy_fn)(void *dst, const void *src, size_t len);

static inline void vmb_copy(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
}

#ifdef VMB_COPY_BY_16
/* All loads before all stores, or it takes a third longer. */
static inline void vmb_copy_line_past(char *dst, const char *src)
{
	const __m128i *from = (const __m128i *)(const void *)src;
	__m128i *to = (__m128i *)(void *)dst;
	__m128i w0 = _mm_loadu_si128(from);
	__m128i w1 = _mm_loadu_si128(from + 1);
	__m128i w2 = _mm_loadu_si128(from + 2);
	__m128i w3 = _mm_loadu_si128(from + 3);

	_mm_stream_si128(to, w0);
	_mm_stream_si128(to + 1, w1);
	_mm_stream_si128(to + 2, w2);
	_mm_stream_si128(to + 3, w3);
}
#endif

/*
 * The same past the caches, whole lines of dst at a time. What was written is
 * visible before what is published next only after vmb_copy_past_end().
 */
static inline void vmb_copy_past(void *dst, const void *src, size_t len)
{
#ifdef VMB_COPY_BY_16
	size_t head = vmb_min(-(uintptr_t)dst & (VMB_LINE - 1), len);
	const char *s = src;
	char *d = dst;

	memcpy(d, s, head);
	for (d += head, s += head, len -= head; len >= VMB_LINE;
	     d += VMB_LINE, s += VMB_LINE, len -= VMB_LINE)
		vmb_copy_line_past(d, s);
	memcpy(d, s, len);
#else
	memcpy(dst, src, len);
#endif
}

static inline void vmb_copy_past_end(void)
{
#ifdef VMB_COPY_BY_16
	_mm_sfence();
#endif
}

/* ---- which of both ---------------------------------------------------------- */

#define VMB_COPIER_MIN 1024u   /* bytes; for shorter ones it is all the same */
#define VMB_COPIER_ROUND 1024u /* copies; then both are tried again ... */
#define VMB_COPIER_TRIALS 8u   /* ... in turn, so often in all */
/* Copies before the first trial: the memory has been used once by then. */
#define VMB_COPIER_FIRST 128u

struct vmb_copier {
	uint32_t copies;  /* so far, modulo 2^32 */
	uint32_t best[2]; /* fastest of this round, ps per byte; 1: past */
	bool past;	  /* cheaper, as the last round has shown */
	uint64_t from;	  /* ns, when a copy began that is timed; else 0 */
};

static inline void vmb_copier_init(struct vmb_copier *c)
{
	*c = (struct vmb_copier){
		.copies = 0u - VMB_COPIER_FIRST,
		.best = {UINT32_MAX, UINT32_MAX},
	};
}

/* A copy of so many bytes begins. Should it go past the caches? */
static inline bool vmb_copier_begin(struct vmb_copier *c, size_t len)
{
	uint32_t turn;

	c->from = 0;
	if (len < VMB_COPIER_MIN)
		return false;
	turn = c->copies++ % VMB_COPIER_ROUND;
	if (vmb_likely(turn >= VMB_COPIER_TRIALS))
		return c->past;
	c->from = vmb_now_ns();
	return turn % 2;
}

/* One that was timed took so long. */
void vmb_copier_took(struct vmb_copier *c, size_t len, uint64_t ns);

/* It has ended. */
static inline void vmb_copier_end(struct vmb_copier *c, size_t len)
{
	if (vmb_unlikely(c->from))
		vmb_copier_took(c, len, vmb_now_ns() - c->from);
}

/* All of it, in one piece. */
static inline void vmb_copier_copy(struct vmb_copier *c, void *dst,
				   const void *src, size_t len)
{
	if (vmb_copier_begin(c, len)) {
		vmb_copy_past(dst, src, len);
		vmb_copy_past_end();
	} else {
		vmb_copy(dst, src, len);
	}
	vmb_copier_end(c, len);
}

#endif
