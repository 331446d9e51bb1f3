/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wake.pml - the wake-up protocol of docs/signalling.md, both directions at
 * once: a client that posts descriptors and sleeps for events, an engine that
 * takes descriptors, writes events and sleeps for kicks, also when the event
 * queue is full and it waits for the client to consume.
 *
 * Flow:  tests/model/run.sh VARIANT EXPECTATION -> spin -> pan
 * Owns:  the argument that no wake-up is lost. A lost wake-up is a state in
 *        which somebody sleeps for ever, which Spin reports as an invalid end
 *        state.
 * Trust: the memory of tso.pml. System calls (kick, notify, sleep) drain the
 *        caller's buffer.
 *
 * Variants (-D):
 *   FENCE            the client fences between a descriptor and kick_arm
 *   BARRIER          it does not; the engine runs membarrier() after arming
 *   NO_FENCE         neither: a kick is lost
 *   NO_LOOK_AGAIN    FENCE, but the engine sleeps without a second look
 *   NO_EVENT_FENCE   FENCE, but the engine does not fence between an event
 *                    and event_arm: a notification is lost
 *   REACH_ENGINE     FENCE, and an assertion that the engine is never woken
 *   REACH_CLIENT     the same of the client: these must fail, or the model
 *                    proves nothing about sleepers
 *   REACH_STALL      the same of an engine that sleeps for room
 */

#define MESSAGES 3
#define QUEUE 2 /* slots of the event queue: it runs full */

#if !defined(BARRIER) && !defined(NO_FENCE)
#define CLIENT_FENCES
#endif
#ifndef NO_EVENT_FENCE
#define ENGINE_FENCES
#endif
#ifndef NO_LOOK_AGAIN
#define ENGINE_LOOKS_AGAIN
#endif

/* who */
#define CLIENT 0
#define ENGINE 1

/* shared words; in brackets their only writer */
#define DESCRIPTORS 0 /* descriptors published [client] */
#define CONSUMED 1    /* events consumed [client] */
#define EVENT_ARM 2   /* [client] */
#define EVENTS 3      /* events published [engine] */
#define KICK_ARM 4    /* [engine] */
#define ROOM_ARM 5    /* [engine] */

#include "tso.pml"

bit kick;   /* the eventfd of the engine */
bit notify; /* the notification socket of the client */

active proctype client()
{
	byte posted = 0, done = 0, arms = 0, kicked = 0, number;

post:
	posted++;
	store(CLIENT, DESCRIPTORS, posted);
#ifdef CLIENT_FENCES
	fence(CLIENT);
#endif
	answer(CLIENT, KICK_ARM, kicked, kick);
	if
	:: posted < MESSAGES -> goto post
	:: done < posted
	fi;

collect:
	if
	:: memory[EVENTS] > done ->
		done = memory[EVENTS];
		store(CLIENT, CONSUMED, done);
#ifdef CLIENT_FENCES
		fence(CLIENT);
#endif
		answer(CLIENT, ROOM_ARM, kicked, kick)
	:: memory[EVENTS] == done ->
		arms++;
		store(CLIENT, EVENT_ARM, arms);
		fence(CLIENT);
		if
		:: memory[EVENTS] > done -> skip
		:: memory[EVENTS] == done ->
			sleep(CLIENT, notify);
#ifdef REACH_CLIENT
			assert(false)
#endif
		fi;
		store(CLIENT, EVENT_ARM, 0)
	fi;
	if
	:: done < posted -> goto collect
	:: done == posted && posted < MESSAGES -> goto post
	:: done == MESSAGES -> skip
	fi
}

#define has_descriptor (memory[DESCRIPTORS] > taken)
#define has_room (taken - memory[CONSUMED] < QUEUE)
#define has_work (has_descriptor && has_room)

active proctype engine()
{
	byte taken = 0, arms = 0, notified = 0, number;
	bit wrote;

breath:
	wrote = 0;
	do
	:: has_work ->
		taken++;
		store(ENGINE, EVENTS, taken);
		wrote = 1
	:: !has_work || wrote -> break
	od;
	if
	:: wrote ->
#ifdef ENGINE_FENCES
		fence(ENGINE);
#endif
		answer(ENGINE, EVENT_ARM, notified, notify)
	:: !wrote ->
		arms++;
		store(ENGINE, KICK_ARM, arms);
		store(ENGINE, ROOM_ARM, arms);
		fence(ENGINE);
#ifdef BARRIER
		drained(CLIENT); /* membarrier(): every processor fences */
#endif
		if
#ifdef ENGINE_LOOKS_AGAIN
		:: has_work -> skip
		:: !has_work ->
#else
		:: true ->
#endif
#ifdef REACH_STALL
			assert(has_room);
#endif
			sleep(ENGINE, kick);
#ifdef REACH_ENGINE
			assert(false)
#endif
		fi;
		store(ENGINE, KICK_ARM, 0);
		store(ENGINE, ROOM_ARM, 0)
	fi;
	if
	:: taken < MESSAGES -> goto breath
	:: taken == MESSAGES -> skip
	fi
}
