/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * room.pml - who is told of room in an event queue: an engine that found none
 * for its sender, and another one, the queue's home, that looks when it is asked
 * to and when its client has read more.
 *
 * Flow:  tests/model/run.sh VARIANT EXPECTATION -> spin -> pan
 * Owns:  the argument that no sender waits beside a queue with room: such a
 *        state is an invalid end state. lib/nic/deliver.c has the same steps.
 * Trust: the memory of tso.pml. Both engines write `watch`, and who reads it
 *        has drained what it wrote there before. That a sleeping home hears of
 *        both causes to look is wake.pml's matter: here it looks at any moment.
 *
 * Variants (-D):
 *   JUDGED        as the engine does it
 *   NO_ASKED      a watch is yes or no, and it takes news of the client to look
 *   PLAIN_CLEAR   the home ends a watch without looking who asked meanwhile
 *   REACH_WAIT    JUDGED, and an assertion that nobody ever asks: must fail
 */

#define MESSAGES 3
#define RING 1

/* shared words; in brackets who writes */
#define BLOCKED 0  /* the sender waits for room [asker] */
#define WATCH 1	   /* [both] */
#define CONSUMED 2 /* [client, at once in memory] */

#define ASKER 0
#define HOME 1

/* values of WATCH */
#define UNWATCHED 0
#define JUDGED_ONCE 1
#define ASKED 2

#include "tso.pml"

byte delivered;
bit told;

active proctype asker()
{
	byte sent = 0;

	do
	:: sent == MESSAGES -> break
	:: sent < MESSAGES ->
		if
		:: delivered - memory[CONSUMED] < RING ->
			delivered++;
			sent++
		:: delivered - memory[CONSUMED] >= RING ->
			store(ASKER, BLOCKED, 1);
			fence(ASKER);
#ifdef NO_ASKED
			store(ASKER, WATCH, JUDGED_ONCE);
#else
			store(ASKER, WATCH, ASKED);
#endif
#ifdef REACH_WAIT
			assert(false);
#endif
			sleep(ASKER, told);
			store(ASKER, BLOCKED, 0)
		fi
	od
}

/* A sender of a third engine, that asks for room too; it fences. */
active proctype another()
{
#ifdef NO_ASKED
	memory[WATCH] = JUDGED_ONCE
#else
	memory[WATCH] = ASKED
#endif
}

active proctype client()
{
end:
	do
	:: delivered != memory[CONSUMED] -> memory[CONSUMED] = delivered
	od
}

#define has_work \
	(drained(HOME) && \
	 (memory[WATCH] == ASKED || \
	  (memory[WATCH] != UNWATCHED && memory[CONSUMED] != seen)))

active proctype home()
{
	byte seen = 0;

end:
	do
	:: has_work ->
#ifndef NO_ASKED
		store(HOME, WATCH, JUDGED_ONCE);
		fence(HOME);
#endif
		seen = memory[CONSUMED];
		if
		:: delivered - seen < RING ->
#if defined(NO_ASKED)
			store(HOME, WATCH, UNWATCHED);
			fence(HOME);
#elif defined(PLAIN_CLEAR)
			store(HOME, WATCH, UNWATCHED);
#else
			atomic {
				drained(HOME);
				if
				:: memory[WATCH] == JUDGED_ONCE ->
					memory[WATCH] = UNWATCHED
				:: memory[WATCH] != JUDGED_ONCE -> skip
				fi
			};
#endif
			if
			:: memory[BLOCKED] == 1 -> told = 1
			:: memory[BLOCKED] == 0 -> skip
			fi
		:: delivered - seen >= RING -> skip
		fi
	od
}
