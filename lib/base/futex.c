// SPDX-License-Identifier: BSD-2-Clause
/* futex.c - see futex.h. */
#include "base/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/util.h"

void vmb_futex_wait(uint32_t *word, uint32_t value, uint64_t deadline_ns)
{
	struct timespec until = vmb_timespec(deadline_ns);

	syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value,
		deadline_ns == UINT64_MAX ? NULL : &until, NULL,
		FUTEX_BITSET_MATCH_ANY);
}

void vmb_futex_wake(uint32_t *word, int threads)
{
	syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, threads, NULL,
		NULL, 0);
}

void vmb_futex_wake_shared(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void vmb_futex_wait_either(const struct vmb_futex_watched *shared,
			   const struct vmb_futex_watched *own,
			   uint64_t deadline_ns)
{
	struct timespec until = vmb_timespec(deadline_ns);
	struct futex_waitv words[2] = {
		{
			.val = shared->value,
			.uaddr = (uintptr_t)shared->word,
			.flags = FUTEX_32,
		},
		{
			.val = own->value,
			.uaddr = (uintptr_t)own->word,
			.flags = FUTEX_32 | FUTEX_PRIVATE_FLAG,
		},
	};

	syscall(SYS_futex_waitv, words, 2, 0,
		deadline_ns == UINT64_MAX ? NULL : &until, CLOCK_MONOTONIC);
}

/* No words at all: a kernel that has the call says that they are missing. */
bool vmb_futex_has_either(void)
{
	return syscall(SYS_futex_waitv, NULL, 0, 0, NULL, CLOCK_MONOTONIC) <
		       0 &&
	       errno == EINVAL;
}
