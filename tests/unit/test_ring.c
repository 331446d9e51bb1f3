// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_ring.c - rings of slots and the byte ring beside them, both sides in
 * one thread; tests/stress/ has the threads.
 *
 * Flow:  a producer and a consumer over the same plain memory.
 * Owns:  one ring of SLOTS slots.
 * Trust: each side lies to the other in turn.
 */
#include <check.h>
#include <stdlib.h>

#include <vmbypass/abi/doorbell.h>

#include "ring/ring.h"
#include "support/run.h"

#define SLOTS 8u
#define NEAR_WRAP (0u - 3u) /* 2^32 is crossed after three slots */

static struct vmb_slot memory[SLOTS] __attribute__((aligned(64)));
static struct vmb_ring producer, consumer;

static void start_at(uint32_t position)
{
	memset(memory, 0, sizeof(memory));
	vmb_ring_init(&producer, memory, SLOTS, position);
	vmb_ring_init(&consumer, memory, SLOTS, position);
	vmb_ring_prime(&producer);
}

static void put(uint64_t value)
{
	struct vmb_slot slot = {.op = VMB_OP_SEND,
				.peer = 0x1000 + (uint32_t)value,
				.hdr = value};

	memset(slot.payload, (int)value, sizeof(slot.payload));
	vmb_ring_commit(&producer, &slot);
}

static void take(uint64_t value)
{
	struct vmb_slot slot;

	ck_assert_int_eq(vmb_ring_peek(&consumer, &slot), 1);
	ck_assert_uint_eq(slot.hdr, value);
	ck_assert_uint_eq(slot.payload[VMB_INLINE_ONE - 1], (uint8_t)value);
	vmb_ring_release(&consumer, 1);
}

static void setup(void)
{
	start_at(0);
}

/* ---- one slot ------------------------------------------------------------ */

START_TEST(peek_finds_nothing_in_new_ring)
{
	struct vmb_slot slot;

	ck_assert_int_eq(vmb_ring_peek(&consumer, &slot), 0);
}
END_TEST

START_TEST(peek_finds_nothing_in_unprimed_memory)
{
	struct vmb_slot slot;

	start_at(NEAR_WRAP);
	memset(memory, 0, sizeof(memory));
	ck_assert_int_eq(vmb_ring_peek(&consumer, &slot), 0);
}
END_TEST

START_TEST(peek_does_not_advance)
{
	struct vmb_slot slot;

	put(5);
	ck_assert_int_eq(vmb_ring_peek(&consumer, &slot), 1);
	take(5);
	ck_assert_int_eq(vmb_ring_peek(&consumer, &slot), 0);
}
END_TEST

/* looped over lengths: as a slot that was put together in memory, with zeros
 * up to the end of the last word; what lies behind stays what it was */
START_TEST(short_payload_is_written_from_where_it_is)
{
	const uint64_t head[] = {(uint64_t)VMB_OP_SEND << 32, 0x1234567890, 42};
	uint8_t data[VMB_INLINE_ONE], expected[VMB_INLINE_ONE] = {0};
	struct vmb_slot slot;

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(0x80 + i);
	memcpy(expected, data, (size_t)_i);
	memset(memory[0].payload, 0x55, sizeof(memory[0].payload));
	vmb_ring_commit_short(&producer, head, data, (size_t)_i);
	ck_assert_int_eq(vmb_ring_peek(&consumer, &slot), 1);
	ck_assert_uint_eq(slot.seq, 1);
	ck_assert_uint_eq(slot.op, VMB_OP_SEND);
	ck_assert_uint_eq(slot.hdr, 42);
	ck_assert_uint_eq(slot.peer, 0x34567890);
	ck_assert_mem_eq(slot.payload, expected, vmb_round_up((uint64_t)_i, 8));
	if (_i <= 24)
		ck_assert_uint_eq(slot.payload[VMB_INLINE_ONE - 1], 0x55);
	vmb_ring_release(&consumer, 1);
	ck_assert_int_eq(vmb_ring_peek(&consumer, &slot), 0);
	ck_assert_uint_eq(producer.pos, 1);
}
END_TEST

START_TEST(slots_travel_in_order_across_2_32)
{
	uint64_t in = 0, out = 0;

	start_at(NEAR_WRAP);
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned n = 0; n <= round % SLOTS; n++)
			put(in++);
		while (out < in)
			take(out++);
		ck_assert_int_eq(vmb_ring_observe(&producer, consumer.pos), 0);
		ck_assert_uint_eq(vmb_ring_room(&producer), SLOTS);
	}
	ck_assert_uint_lt(consumer.pos, 1000); /* it did wrap */
}
END_TEST

/* ---- room ------------------------------------------------------------------ */

START_TEST(room_shrinks_with_each_commit)
{
	for (uint32_t n = 0; n < SLOTS; n++) {
		ck_assert_uint_eq(vmb_ring_room(&producer), SLOTS - n);
		put(n);
	}
	ck_assert_uint_eq(vmb_ring_room(&producer), 0);
}
END_TEST

START_TEST(room_returns_when_consumer_is_observed)
{
	for (uint32_t n = 0; n < SLOTS; n++)
		put(n);
	for (uint32_t n = 0; n < 3; n++)
		take(n);
	ck_assert_uint_eq(vmb_ring_room(&producer), 0);
	ck_assert_int_eq(vmb_ring_observe(&producer, consumer.pos), 0);
	ck_assert_uint_eq(vmb_ring_room(&producer), 3);
}
END_TEST

/* looped over what is still there: that, and what comes, arrives whole */
START_TEST(claim_touches_free_slots_only)
{
	uint32_t there = (uint32_t)_i;
	struct vmb_slot slot;

	start_at(NEAR_WRAP);
	for (uint32_t n = 0; n < SLOTS; n++)
		put(n);
	for (uint32_t n = 0; n < SLOTS - there; n++)
		take(n);
	ck_assert_int_eq(vmb_ring_observe(&producer, consumer.pos), 0);
	vmb_ring_claim(&producer);
	vmb_ring_claim_next(&producer);
	for (uint32_t n = SLOTS - there; n < SLOTS; n++) {
		ck_assert_int_eq(vmb_ring_peek(&consumer, &slot), 1);
		ck_assert_uint_eq(slot.op, VMB_OP_SEND);
		ck_assert_uint_eq(slot.peer, 0x1000 + n);
		take(n);
	}
	ck_assert_int_eq(vmb_ring_peek(&consumer, &slot), 0);
	put(77);
	take(77);
}
END_TEST

/* looped over starts, so that 2^32 lies before, between and after */
START_TEST(consumer_that_lies_is_refused)
{
	start_at(NEAR_WRAP + (uint32_t)_i);
	for (uint32_t n = 0; n < 4; n++)
		put(n);
	ck_assert_int_eq(vmb_ring_observe(&producer, producer.pos - 2), 0);
	/* backwards, ahead, far away; the last good position stays */
	ck_assert_int_eq(vmb_ring_observe(&producer, producer.pos - 3),
			 -EPROTO);
	ck_assert_int_eq(vmb_ring_observe(&producer, producer.pos + 1),
			 -EPROTO);
	ck_assert_int_eq(vmb_ring_observe(&producer, producer.pos + (1u << 31)),
			 -EPROTO);
	ck_assert_uint_eq(producer.seen, producer.pos - 2);
	ck_assert_int_eq(vmb_ring_observe(&producer, producer.pos), 0);
}
END_TEST

/* ---- sequence words --------------------------------------------------------- */

START_TEST(seq_from_the_future_is_refused)
{
	struct vmb_slot slot;

	for (uint32_t ahead = 2; ahead < 2 * SLOTS; ahead++) {
		memory[0].seq = consumer.pos + ahead;
		ck_assert_int_eq(vmb_ring_peek(&consumer, &slot), -EPROTO);
	}
}
END_TEST

START_TEST(seq_of_two_laps_ago_is_refused)
{
	struct vmb_slot slot;

	start_at(4 * SLOTS);
	ck_assert_int_eq(vmb_ring_peek(&consumer, &slot), 0);
	memory[0].seq = consumer.pos + 1 - 2 * SLOTS;
	ck_assert_int_eq(vmb_ring_peek(&consumer, &slot), -EPROTO);
}
END_TEST

/* ---- pairs -------------------------------------------------------------------- */

/* looped: the extension lies at every place, once behind the end */
START_TEST(pair_travels_whole)
{
	struct vmb_slot slot = {.op = VMB_OP_SEND, .flags = VMB_F_PAIR};
	struct vmb_slot_ext ext = {0}, got;

	start_at(NEAR_WRAP + (uint32_t)_i);
	memset(ext.payload, 0xa5, sizeof(ext.payload));
	vmb_ring_commit_pair(&producer, &slot, &ext);
	put(9);
	ck_assert_int_eq(vmb_ring_peek(&consumer, &slot), 1);
	ck_assert_uint_eq(slot.flags, VMB_F_PAIR);
	ck_assert_int_eq(vmb_ring_peek_ext(&consumer, &got), 1);
	ck_assert_mem_eq(got.payload, ext.payload, sizeof(ext.payload));
	vmb_ring_release(&consumer, 2);
	take(9);
}
END_TEST

START_TEST(pair_without_extension_is_refused)
{
	struct vmb_slot slot = {.op = VMB_OP_SEND, .flags = VMB_F_PAIR};
	struct vmb_slot_ext ext;

	vmb_ring_commit(&producer, &slot);
	ck_assert_int_eq(vmb_ring_peek(&consumer, &slot), 1);
	ck_assert_int_eq(vmb_ring_peek_ext(&consumer, &ext), -EPROTO);
}
END_TEST

/* ---- placement in the byte ring ------------------------------------------------- */

#define BYTES 4096u

/*
 * The naive model: step over 64-byte lines, counted without end, until the
 * message fits before the end of the ring.
 */
static uint32_t model_place(uint32_t *line, uint32_t len)
{
	uint32_t lines = (len + 63) / 64, at;

	while (*line % (BYTES / 64) + lines > BYTES / 64)
		++*line;
	at = *line % (BYTES / 64);
	*line += lines;
	return at * 64;
}

/* looped: the start decides where 2^32 is crossed */
START_TEST(placement_equals_model)
{
	uint32_t pos = 0u - BYTES * 3 + (uint32_t)_i * 64;
	uint32_t line = pos % BYTES / 64;
	uint32_t base = pos - line * 64;
	unsigned seed = (unsigned)_i;

	for (unsigned n = 0; n < 2000; n++) {
		uint32_t len = 1 + (uint32_t)rand_r(&seed) % (BYTES / 2);
		uint32_t expected = model_place(&line, len);
		uint32_t at = vmb_rx_place(&pos, BYTES, len, VMB_RX_ALIGN);

		ck_assert_uint_eq(at, expected);
		ck_assert_uint_le(at + len, BYTES);
		ck_assert_uint_eq(pos, base + line * 64);
	}
}
END_TEST

START_TEST(placement_skips_a_tail_too_short)
{
	uint32_t pos = BYTES - 64;

	ck_assert_uint_eq(vmb_rx_place(&pos, BYTES, 64, 64), BYTES - 64);
	ck_assert_uint_eq(pos, BYTES);
	pos = BYTES - 64;
	ck_assert_uint_eq(vmb_rx_place(&pos, BYTES, 65, 64), 0);
	ck_assert_uint_eq(pos, BYTES + 128);
}
END_TEST

static TCase *add_case(Suite *s, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, setup, NULL);
	suite_add_tcase(s, tc);
	return tc;
}

static Suite *ring_suite(void)
{
	Suite *s = suite_create("ring");
	TCase *tc = add_case(s, "slot");

	tcase_add_test(tc, peek_finds_nothing_in_new_ring);
	tcase_add_test(tc, peek_finds_nothing_in_unprimed_memory);
	tcase_add_test(tc, peek_does_not_advance);
	tcase_add_loop_test(tc, short_payload_is_written_from_where_it_is, 0,
			    VMB_INLINE_ONE + 1);
	tcase_add_test(tc, slots_travel_in_order_across_2_32);
	tc = add_case(s, "room");
	tcase_add_test(tc, room_shrinks_with_each_commit);
	tcase_add_test(tc, room_returns_when_consumer_is_observed);
	tcase_add_loop_test(tc, claim_touches_free_slots_only, 0, SLOTS + 1);
	tcase_add_loop_test(tc, consumer_that_lies_is_refused, 0, 6);
	tc = add_case(s, "sequence");
	tcase_add_test(tc, seq_from_the_future_is_refused);
	tcase_add_test(tc, seq_of_two_laps_ago_is_refused);
	tc = add_case(s, "pair");
	tcase_add_loop_test(tc, pair_travels_whole, 0, SLOTS);
	tcase_add_test(tc, pair_without_extension_is_refused);
	tc = add_case(s, "placement");
	tcase_add_loop_test(tc, placement_equals_model, 0, 16);
	tcase_add_test(tc, placement_skips_a_tail_too_short);
	return s;
}

int main(void)
{
	return t_run(ring_suite());
}
