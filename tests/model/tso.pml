/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tso.pml - memory of two processors as x86 has it, for the models beside.
 *
 * Flow:  store -> buffer of its processor -> at any later moment, memory
 * Owns:  the memory, the buffers and what drains them.
 * Trust: stores of one processor reach memory in order (TSO). A load sees
 *        memory only; no process loads a word that it writes itself, so
 *        nothing is forwarded.
 */

byte memory[6];
chan buffer[2] = [6] of { byte, byte }; /* word, value */

#define store(who, word, value) buffer[who]!word, value
#define drained(who) (empty(buffer[who]))
#define fence(who) drained(who)
#define sleep(who, flag) drained(who); atomic { flag == 1 -> flag = 0 }

/* One wake-up for each number that the other side armed with. */
#define answer(who, word, answered, flag) \
	number = memory[word]; \
	if \
	:: number != 0 && number != answered -> \
		answered = number; \
		drained(who); \
		flag = 1 \
	:: number == 0 || number == answered -> skip \
	fi

/* Both processors: any buffered store may reach memory at any moment. */
active [2] proctype drain()
{
	byte word, value;

end:
	do
	:: atomic { buffer[_pid]?word, value -> memory[word] = value }
	od
}
