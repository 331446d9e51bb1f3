/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * futex.h - threads that sleep on a word of memory.
 *
 * Flow:  api, am: threads of one process; vmbd -> a client that sleeps on a
 *        word of its area (docs/signalling.md)
 * Owns:  nothing.
 * Trust: the kernel. Whoever shares a word can end a sleep early, or not end
 *        it; the waker waits for as long as the kernel walks along those who
 *        sleep there, and for nobody.
 *
 * A word holds whatever its users agree on. A sleep may end early, also with
 * the word unchanged: the caller looks again.
 */
#ifndef VMB_BASE_FUTEX_H
#define VMB_BASE_FUTEX_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Sleep while *word is value, until vmb_futex_wake() or deadline_ns
 * (vmb_now_ns; UINT64_MAX: none). Threads of this process.
 */
void vmb_futex_wait(uint32_t *word, uint32_t value, uint64_t deadline_ns);
void vmb_futex_wake(uint32_t *word, int threads);

/* Wake one thread that sleeps on a word of memory that processes share. */
void vmb_futex_wake_shared(uint32_t *word);
/* One word of two to sleep on. */
struct vmb_futex_watched {
	uint32_t *word;
	uint32_t value; /* sleep while it is this */
};
/*
 * Sleep while both are as they say: `shared` by processes, `own` of this one.
 * Needs vmb_futex_has_either().
 */
void vmb_futex_wait_either(const struct vmb_futex_watched *shared,
			   const struct vmb_futex_watched *own,
			   uint64_t deadline_ns);
/* Has the kernel futex_waitv(2), since Linux 5.16, and may we call it? */
bool vmb_futex_has_either(void);

#endif
