/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane.pml - the wake-ups of a lane, docs/lane.md: a receiver that arms it and
 * does not look there again before LOOK, a sender that finds it full and sleeps
 * until ROOM. Both words go through the engine, which loses none.
 *
 * Flow:  tests/model/run.sh VARIANT EXPECTATION -> spin -> pan
 * Owns:  the argument that no message stays in a cold lane and no sender
 *        sleeps beside an empty one: such a state is an invalid end state.
 * Trust: the memory of tso.pml. A word is posted behind the stores before it,
 *        so it drains the buffer; so does a sleep.
 *
 * Variants (-D):
 *   FENCE           who publishes fences before it looks at the wake word
 *   BARRIER         it does not; who arms runs membarrier()
 *   NO_FENCE        neither: a LOOK or ROOM is lost
 *   NO_LOOK_AGAIN   FENCE, but the receiver goes without a second look
 *   NO_ROOM_AGAIN   FENCE, but the sender sleeps without a second look
 *   NO_PUBLISH      FENCE, but the receiver goes without saying how far it is
 *   REACH_RECEIVER  FENCE, and an assertion that the receiver never goes
 *   REACH_SENDER    the same of a sender that sleeps: these must fail, or the
 *                   model proves nothing about sleepers
 */

#define MESSAGES 4
#define RING 2 /* slots: it runs full */

#if !defined(BARRIER) && !defined(NO_FENCE)
#define FENCES
#endif

/* who */
#define SENDER 0
#define RECEIVER 1

/* shared words; in brackets their only writer */
#define SLOTS 0	   /* slots published [sender] */
#define ROOM_ARM 1 /* [sender] */
#define CONSUMED 2 /* slots consumed, as published [receiver] */
#define LOOK_ARM 3 /* [receiver] */

#include "tso.pml"

bit look; /* to the receiver, through the engine */
bit room; /* to the sender */

active proctype sender()
{
	byte sent = 0, arms = 0, told = 0, number;

	do
	:: sent == MESSAGES -> break
	:: sent < MESSAGES && sent - memory[CONSUMED] < RING ->
		sent++;
		store(SENDER, SLOTS, sent);
#ifdef FENCES
		fence(SENDER);
#endif
		answer(SENDER, LOOK_ARM, told, look)
	:: sent < MESSAGES && sent - memory[CONSUMED] >= RING ->
		arms++;
		store(SENDER, ROOM_ARM, arms);
		fence(SENDER);
#ifdef BARRIER
		drained(RECEIVER); /* membarrier(): every processor fences */
#endif
		if
#ifndef NO_ROOM_AGAIN
		:: sent - memory[CONSUMED] < RING -> skip
		:: sent - memory[CONSUMED] >= RING ->
#else
		:: true ->
#endif
			sleep(SENDER, room);
#ifdef REACH_SENDER
			assert(false)
#endif
		fi
	od
}

#define due (memory[SLOTS] > taken)

active proctype receiver()
{
	byte taken = 0, published = 0, arms = 0, told = 0, number;

hot:
	do
	:: taken == MESSAGES && published == taken -> goto done
	:: due -> taken++
	:: published != taken ->
		/* in batches: now, or after some more */
		store(RECEIVER, CONSUMED, taken);
		published = taken;
#ifdef FENCES
		fence(RECEIVER);
#endif
		answer(RECEIVER, ROOM_ARM, told, room)
#ifdef NO_PUBLISH
	:: !due && taken < MESSAGES -> break
#else
	:: !due && taken < MESSAGES && published == taken -> break
#endif
	od;
	arms++;
	store(RECEIVER, LOOK_ARM, arms);
	fence(RECEIVER);
#ifdef BARRIER
	drained(SENDER);
#endif
	if
#ifndef NO_LOOK_AGAIN
	:: due -> skip
	:: !due ->
#else
	:: true ->
#endif
		sleep(RECEIVER, look); /* or is awake for others: it is cold */
#ifdef REACH_RECEIVER
		assert(false)
#endif
	fi;
	store(RECEIVER, LOOK_ARM, 0);
	goto hot;
done:
	skip
}
