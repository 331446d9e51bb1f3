// SPDX-License-Identifier: BSD-2-Clause
/*
 * stress_ring.c - a producer and a consumer thread over lib/ring, across the
 * wrap of positions at 2^32.
 *
 * Flow:  producer: commit single or pair -> slots -> consumer: peek, verify
 * Owns:  the ring's memory and the consumer's published position.
 * Trust: each message is computed from its number alone, so the consumer
 *        verifies every byte without asking the producer.
 *
 * All shared words are atomics that ThreadSanitizer follows (release store of
 * seq, acquire load of seq), so this program runs under it unchanged. No
 * stand-alone fence takes part.
 */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include <vmbypass/abi/doorbell.h>

#include "ring/ring.h"
#include "stress/stress.h"
#include "support/run.h"

static struct {
	uint32_t size, start, messages;
	struct vmb_slot *slots;
	/* the consumer's position, as in a control page: its own line */
	uint32_t consumed __attribute__((aligned(VMB_LINE_PAIR)));
	/* messages verified; read by the watchdog */
	uint32_t verified __attribute__((aligned(VMB_LINE_PAIR)));
} shared;

static void dump_shared(void)
{
	fprintf(stderr,
		"ring of %u, start %u: consumed %u, verified %u of %u\n",
		shared.size, shared.start, vmb_load_relaxed(&shared.consumed),
		vmb_load_relaxed(&shared.verified), shared.messages);
}

/* Spin, but let the other thread run where processors are few. */
static void pause_spin(unsigned *spins)
{
	vmb_relax();
	if (++*spins % 1024 == 0)
		sched_yield();
}

/* What message number n must look like. Returns the slots it takes. */
static uint32_t make_message(uint32_t n, struct vmb_slot *slot,
			     struct vmb_slot_ext *ext)
{
	uint64_t random = stress_mix(n);
	bool pair = random & 1;
	uint64_t word;

	slot->op = VMB_OP_SEND;
	slot->flags = pair ? VMB_F_PAIR : 0;
	slot->len = (uint16_t)(pair ? VMB_INLINE_PAIR : VMB_INLINE_ONE);
	slot->peer = n;
	slot->am = (uint8_t)(random >> 8);
	slot->status = 0;
	slot->reserved_70 = 0;
	slot->hdr = random;
	for (unsigned i = 0; i < sizeof(slot->payload); i += 8) {
		word = random * (i + 3);
		memcpy(slot->payload + i, &word, 8);
	}
	ext->reserved_20 = 0;
	for (unsigned i = 0; pair && i < sizeof(ext->payload); i += 8) {
		word = random ^ (i + 5);
		memcpy(ext->payload + i, &word, 8);
	}
	return pair ? 2 : 1;
}

static void *produce(void *unused)
{
	struct vmb_ring ring;
	struct vmb_slot slot;
	struct vmb_slot_ext ext;
	unsigned spins = 0;

	(void)unused;
	vmb_ring_init(&ring, shared.slots, shared.size, shared.start);
	for (uint32_t n = 0; n < shared.messages; n++) {
		uint32_t need = make_message(n, &slot, &ext);

		while (vmb_ring_room(&ring) < need) {
			if (vmb_ring_observe(&ring,
					     vmb_observe(&shared.consumed)))
				abort();
			if (vmb_ring_room(&ring) < need)
				pause_spin(&spins);
		}
		if (need == 2)
			vmb_ring_commit_pair(&ring, &slot, &ext);
		else
			vmb_ring_commit(&ring, &slot);
	}
	return NULL;
}

/*
 * Take message n; returns the slots it took. Plain comparisons: the check
 * library's assertions make a system call each.
 */
static uint32_t consume_one(struct vmb_ring *ring, uint32_t n)
{
	struct vmb_slot slot, want;
	struct vmb_slot_ext ext, want_ext;
	uint32_t need = make_message(n, &want, &want_ext);
	unsigned spins = 0;
	int due;

	while ((due = vmb_ring_peek(ring, &slot)) == 0)
		pause_spin(&spins);
	want.seq = ring->pos + 1;
	if (due != 1 || memcmp(&slot, &want, sizeof(slot)))
		ck_abort_msg("message %u: due %d, seq %u, number %u", n, due,
			     slot.seq, slot.peer);
	if (need == 2 &&
	    (vmb_ring_peek_ext(ring, &ext) != 1 ||
	     memcmp(ext.payload, want_ext.payload, sizeof(ext.payload))))
		ck_abort_msg("message %u: bad extension, seq %u", n, ext.seq);
	vmb_ring_release(ring, need);
	return need;
}

static void consume_all(void)
{
	uint32_t published = shared.start;
	struct vmb_ring ring;

	vmb_ring_init(&ring, shared.slots, shared.size, shared.start);
	for (uint32_t n = 0; n < shared.messages; n++) {
		consume_one(&ring, n);
		vmb_store_relaxed(&shared.verified, n + 1);
		if (ring.pos - published >= shared.size / 4) {
			published = ring.pos;
			vmb_publish(&shared.consumed, published);
		}
	}
}

static void run_ring(uint32_t size, uint32_t start)
{
	struct vmb_ring ring;
	pthread_t producer;

	shared.size = size;
	shared.start = start;
	shared.messages = stress_messages();
	shared.consumed = start;
	shared.verified = 0;
	shared.slots = aligned_alloc(VMB_PAGE, size * VMB_SLOT_BYTES);
	ck_assert_ptr_nonnull(shared.slots);
	vmb_ring_init(&ring, shared.slots, size, start);
	vmb_ring_prime(&ring);
	stress_watch(&shared.verified, dump_shared);
	ck_assert_int_eq(pthread_create(&producer, NULL, produce, NULL), 0);
	consume_all();
	pthread_join(producer, NULL);
	stress_unwatch();
	free(shared.slots);
}

/* rings as small and as large as an endpoint's */
static const uint32_t ring_sizes[] = {VMB_DOORBELL_SLOTS, VMB_EQ_SLOTS_DEFAULT};

START_TEST(singles_and_pairs_survive_the_wrap)
{
	/* positions pass 2^32 a third of the way */
	run_ring(ring_sizes[_i], 0u - stress_messages() / 2);
}
END_TEST

START_TEST(wrap_inside_a_pair_survives)
{
	/* every distance from 2^32 within the first lap */
	for (uint32_t back = 1; back <= 4; back++)
		run_ring(ring_sizes[_i], 0u - back);
}
END_TEST

int main(void)
{
	const int sizes = (int)vmb_array_size(ring_sizes);
	Suite *suite = suite_create("stress_ring");
	TCase *tcase = tcase_create("wrap");

	tcase_set_timeout(tcase, 0); /* the watchdog knows better */
	tcase_add_loop_test(tcase, singles_and_pairs_survive_the_wrap, 0,
			    sizes);
	tcase_add_loop_test(tcase, wrap_inside_a_pair_survives, 0, sizes);
	suite_add_tcase(suite, tcase);
	return t_run(suite);
}
