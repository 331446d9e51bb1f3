/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.h - a one-way ring of 64-byte slots in shared memory.
 *
 * Flow:  producer: reserve -> fill a private slot -> commit
 *        consumer: peek (copies the slot) -> release
 * Owns:  nothing; the caller maps the memory. Positions are private to each
 *        side; what crosses is the slot (its `seq`) and, in batches, the
 *        consumer's position in a word that the caller names.
 * Trust: the consumer copies a slot once and checks the copy; the producer
 *        checks the consumer's position. Neither believes the other.
 *
 * Sequence: the slot at position p (counted from the start, mod 2^32) is
 * valid when its seq is p + 1. Before that it holds p + 1 - size, of the lap
 * before, or 0 if it was never written. Anything else is a lie (-EPROTO).
 */
#ifndef VMB_RING_RING_H
#define VMB_RING_RING_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
/* ThreadSanitizer follows the atomic words only */
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
#include <emmintrin.h>
#define VMB_SLOT_BY_16
#endif

#include <vmbypass/abi/slot.h>

#include "base/barrier.h"
#include "base/util.h"

struct vmb_ring {
	struct vmb_slot *slots; /* shared */
	uint32_t mask;		/* size - 1; size is a power of two */
	uint32_t pos;  /* producer: next to write; consumer: next to read */
	uint32_t seen; /* producer: consumer position last observed */
};

/*
 * Both sides start at the same position on zeroed memory; start is 0 but in
 * tests. A start other than 0 needs vmb_ring_prime() by the producer.
 */
static inline void vmb_ring_init(struct vmb_ring *r, void *slots, uint32_t size,
				 uint32_t start)
{
	r->slots = slots;
	r->mask = size - 1;
	r->pos = start;
	r->seen = start;
}

static inline void vmb_ring_prime(struct vmb_ring *r)
{
	for (uint32_t i = 0; i <= r->mask; i++) {
		uint32_t p = r->pos + i;

		r->slots[p & r->mask].seq = p - r->mask;
	}
}

/* ---- producer --------------------------------------------------------- */

/* Slots that are free as far as is known. */
static inline uint32_t vmb_ring_room(const struct vmb_ring *r)
{
	return r->mask + 1 - (r->pos - r->seen);
}

/* Is that a position the consumer can be at? */
static inline bool vmb_ring_may_observe(const struct vmb_ring *r,
					uint32_t consumed)
{
	return consumed - r->seen <= r->pos - r->seen;
}

/*
 * Take note of the consumer's published position.
 * -EPROTO: it runs backwards or ahead of what was produced.
 */
static inline int vmb_ring_observe(struct vmb_ring *r, uint32_t consumed)
{
	if (!vmb_ring_may_observe(r, consumed))
		return -EPROTO;
	r->seen = consumed;
	return 0;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "ABI is little-endian");

/*
 * Change op, flags and peer of a private slot as whole words: a byte written
 * here and read back within a word would cost a store-forwarding stall.
 */
static inline void vmb_slot_head(struct vmb_slot *slot, unsigned op,
				 unsigned flags, uint32_t peer)
{
	uint64_t w[2];

	memcpy(w, slot, sizeof(w));
	w[0] = (w[0] & ~0xffffull << 32) | (uint64_t)op << 32 |
	       (uint64_t)flags << 40;
	w[1] = (w[1] & ~0xffffffffull) | peer;
	memcpy(slot, w, sizeof(w));
}

#define VMB_SLOT_HEAD_BYTES offsetof(struct vmb_slot, payload)

/* Whole words of a slot from byte 16 on, in as few stores as there can be. */
static inline void vmb_slot_store_tail(struct vmb_slot *dst, const void *src,
				       uint32_t bytes)
{
#ifdef VMB_SLOT_BY_16
	for (uint32_t i = 1; i < 4 && i * 16 < bytes; i++)
		_mm_store_si128((__m128i *)(void *)dst + i,
				_mm_loadu_si128((const __m128i *)src + i));
#else
	for (uint32_t i = 2; i < 8 && i * 8 < bytes; i++) {
		uint64_t word;

		memcpy(&word, (const char *)src + i * 8, sizeof(word));
		vmb_store_relaxed((uint64_t *)(void *)dst + i, word);
	}
#endif
}

static inline void vmb_slot_store_two(uint64_t *dst, uint64_t low,
				      uint64_t high)
{
#ifdef VMB_SLOT_BY_16
	_mm_store_si128((__m128i *)(void *)dst,
			_mm_set_epi64x((long long)high, (long long)low));
#else
	vmb_store_relaxed(&dst[0], low);
	vmb_store_relaxed(&dst[1], high);
#endif
}

/* Word i of len bytes, zeros behind them. */
static inline uint64_t vmb_slot_word(const void *data, size_t len, size_t i)
{
	const char *from = data;
	uint64_t word = 0;

	if (vmb_likely(8 * i + 8 <= len))
		memcpy(&word, from + 8 * i, 8);
	else if (8 * i < len)
		word = vmb_load_short(from + 8 * i, len - 8 * i);
	return word;
}

/*
 * Fill a slot whose payload, at most VMB_INLINE_ONE bytes, is where the
 * application has it. All of it goes through registers: read back by 16 bytes,
 * words that were just written would have to leave the store buffer first.
 */
static inline void vmb_slot_store_short(struct vmb_slot *dst,
					const uint64_t head[3], uint32_t seq,
					const void *data, size_t len)
{
	uint64_t *to = (uint64_t *)(void *)dst;

	vmb_slot_store_two(&to[2], head[2], vmb_slot_word(data, len, 0));
	if (len > 8)
		vmb_slot_store_two(&to[4], vmb_slot_word(data, len, 1),
				   vmb_slot_word(data, len, 2));
	if (len > 24)
		vmb_slot_store_two(&to[6], vmb_slot_word(data, len, 3),
				   vmb_slot_word(data, len, 4));
	vmb_store_relaxed(&to[1], head[1]);
	/* pairs with vmb_ring_peek() */
	vmb_publish(&to[0], head[0] | seq);
}

/*
 * Fill the slot at a position: `bytes` of it, the word with seq last and with
 * release. The fewer stores the better: the consumer spins on this line and
 * may take it away between any two of them.
 */
static inline void vmb_slot_store(struct vmb_slot *dst, const void *src,
				  uint32_t seq, uint32_t bytes)
{
	uint64_t *to = (uint64_t *)(void *)dst;
	uint64_t head[2];

	memcpy(head, src, sizeof(head));
	vmb_slot_store_tail(dst, src, bytes);
	vmb_store_relaxed(&to[1], head[1]);
	/* pairs with vmb_ring_peek() */
	vmb_publish(&to[0], (head[0] & ~0xffffffffull) | seq);
}

/*
 * In a stream every slot is another line to fetch from the other side; asking
 * for the next ones early lets the fetches overlap. Not for the very next
 * slot: the consumer may spin on it.
 */
#define VMB_RING_AHEAD 3u
#define VMB_RING_CLAIM 8u

static inline void vmb_ring_prefetch_write(const struct vmb_ring *r)
{
	vmb_prefetch_write(&r->slots[(r->pos + VMB_RING_AHEAD) & r->mask]);
}

static inline void vmb_ring_prefetch_read(const struct vmb_ring *r)
{
	for (uint32_t i = 1; i <= VMB_RING_AHEAD; i++)
		vmb_prefetch(&r->slots[(r->pos + i) & r->mask]);
}

/*
 * Write one slot of which `payload` bytes count (the rest of its last word
 * goes along). The caller made sure that there is room.
 */
static inline void vmb_ring_commit_some(struct vmb_ring *r,
					const struct vmb_slot *slot,
					uint32_t payload)
{
	vmb_slot_store(&r->slots[r->pos & r->mask], slot, r->pos + 1,
		       VMB_SLOT_HEAD_BYTES + payload);
	vmb_ring_prefetch_write(r);
	r->pos++;
}

/* The same from its first three words, seq being 0, and its payload. */
static inline void vmb_ring_commit_short(struct vmb_ring *r,
					 const uint64_t head[3],
					 const void *data, size_t len)
{
	vmb_slot_store_short(&r->slots[r->pos & r->mask], head, r->pos + 1,
			     data, len);
	vmb_ring_prefetch_write(r);
	r->pos++;
}

/*
 * Own the lines of the next slots before they are written. A line that the
 * other side has read as well is taken back only by a store (measured: not by
 * a prefetch, on AMD Zen 2). So these stores say nothing: the consumer looks
 * at no word of a free slot but the first.
 */
static inline void vmb_ring_claim_slots(const struct vmb_ring *r,
					uint32_t count)
{
	if (vmb_ring_room(r) < count)
		return;
	for (uint32_t i = 0; i < count; i++) {
		struct vmb_slot *slot = &r->slots[(r->pos + i) & r->mask];

		vmb_store_relaxed((uint64_t *)(void *)slot + 1, 0);
	}
}

/* For a stream: stores of one message wait for those of the last; the waits of
 * these overlap. */
static inline void vmb_ring_claim(const struct vmb_ring *r)
{
	vmb_ring_claim_slots(r, VMB_RING_CLAIM);
}

/*
 * For an answer, which the consumer watches for: the line comes while the
 * question is being read. Too early, and the consumer has it back by then.
 */
static inline void vmb_ring_claim_next(const struct vmb_ring *r)
{
	vmb_ring_claim_slots(r, 1);
}

static inline void vmb_ring_commit(struct vmb_ring *r,
				   const struct vmb_slot *slot)
{
	vmb_ring_commit_some(r, slot, VMB_INLINE_ONE);
}

/* Write a pair: the extension first, so that who sees the first sees both. */
static inline void vmb_ring_commit_pair(struct vmb_ring *r,
					const struct vmb_slot *slot,
					const struct vmb_slot_ext *ext)
{
	vmb_slot_store(&r->slots[(r->pos + 1) & r->mask], ext, r->pos + 2,
		       VMB_SLOT_BYTES);
	vmb_ring_commit(r, slot);
	r->pos++;
}

/* ---- consumer --------------------------------------------------------- */

/* The line that is spun on. */
static inline uint32_t vmb_ring_seq(const struct vmb_ring *r)
{
	return vmb_observe(&r->slots[r->pos & r->mask].seq);
}

/*
 * Copied in the same pieces in which vmb_slot_store() reads it when it goes
 * on: a load across two earlier stores has to wait for both.
 */
static inline void vmb_slot_load(struct vmb_slot *dst,
				 const struct vmb_slot *src)
{
#ifdef VMB_SLOT_BY_16
	for (int i = 0; i < 4; i++)
		_mm_storeu_si128((__m128i *)(void *)dst + i,
				 _mm_load_si128((const __m128i *)src + i));
#else
	uint64_t *d = (uint64_t *)(void *)dst;
	const uint64_t *s = (const uint64_t *)(const void *)src;

	for (int i = 0; i < 8; i++)
		d[i] = vmb_load_relaxed(&s[i]);
#endif
}

/* Is a valid slot due? 1 yes, 0 not yet, -EPROTO the word is a lie. */
static inline int vmb_ring_due(const struct vmb_ring *r, uint32_t ahead,
			       uint32_t seq)
{
	uint32_t p = r->pos + ahead;

	if (vmb_likely(seq == p + 1))
		return 1;
	if (seq == p - r->mask || seq == 0) /* last lap, or never written */
		return 0;
	return -EPROTO;
}

/* Copy the next slot, which is known to be due. */
static inline void vmb_ring_load(const struct vmb_ring *r,
				 struct vmb_slot *slot)
{
	vmb_slot_load(slot, &r->slots[r->pos & r->mask]);
}

/*
 * Copy the next slot. Returns 1, 0 when there is none yet, -EPROTO. Does not
 * advance: see vmb_ring_release().
 */
static inline int vmb_ring_peek(const struct vmb_ring *r, struct vmb_slot *slot)
{
	int due = vmb_ring_due(r, 0, vmb_ring_seq(r));

	if (due == 1)
		vmb_ring_load(r, slot);
	return due;
}

/* Copy the extension of a pair whose first slot was peeked: 1 or -EPROTO. */
static inline int vmb_ring_peek_ext(const struct vmb_ring *r,
				    struct vmb_slot_ext *ext)
{
	const struct vmb_slot *second = &r->slots[(r->pos + 1) & r->mask];

	/* written before the first, so it must be there: pairs with publish */
	if (vmb_ring_due(r, 1, vmb_observe(&second->seq)) != 1)
		return -EPROTO;
	vmb_slot_load((struct vmb_slot *)(void *)ext, second);
	return 1;
}

static inline void vmb_ring_release(struct vmb_ring *r, uint32_t slots)
{
	r->pos += slots;
}

/* ---- receive buffers: a byte ring beside the event queue --------------- */

/*
 * Where the next len bytes go in a ring of size bytes: aligned to
 * VMB_RX_ALIGN, never across the end. Producer and consumer compute the same,
 * so the consumer needs to believe nobody. Adds to *pos what is used up.
 * len must be at most size / 2.
 */
static inline uint32_t vmb_rx_place(uint32_t *pos, uint32_t size, uint32_t len,
				    uint32_t align)
{
	uint32_t need = (uint32_t)vmb_round_up(len, align);
	uint32_t at = *pos & (size - 1);

	if (at + need > size) {
		*pos += size - at; /* the tail is left unused */
		at = 0;
	}
	*pos += need;
	return at;
}

#endif
