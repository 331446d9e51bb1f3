/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * watch.h - learn from the kernel when memory of this process goes away.
 *
 * Flow:  munmap() and its like -> kernel -> userfaultfd -> watch thread
 *        -> queue of changes -> vmb_watch_take() (regcache)
 * Owns:  the userfaultfd, the watch thread, the queue of changes.
 * Trust: the kernel is believed. The application may do anything to its
 *        memory at any time, in signal handlers too.
 *
 * The promise: when munmap(), mremap(), madvise() or a mmap() over the range
 * has returned, vmb_watch_changed() says so to every thread. The thread that
 * changes its memory waits in the kernel until the watch thread reads, so the
 * watch thread never takes a lock, never frees memory and never calls out:
 * it cannot end up waiting for a thread that waits for it.
 *
 * See docs/regcache.md for what the kernel does not report.
 */
#ifndef VMB_AM_WATCH_H
#define VMB_AM_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct vmb_watch;

struct vmb_watch_change {
	uintptr_t start, end; /* everything, when the queue overran */
};

/*
 * Open without starting the thread. notify is called by the thread after it
 * has queued changes; it must not block and must not free memory.
 * -EOPNOTSUPP: this kernel or sandbox does not let us watch; -ENOMEM.
 */
int vmb_watch_open(void (*notify)(void *arg), void *arg,
		   struct vmb_watch **watch);
/* Once, before the first add. Negative errno of pthread_create(). */
int vmb_watch_start(struct vmb_watch *watch);
/* Stops the thread; nothing is watched any more. */
void vmb_watch_close(struct vmb_watch *watch);
/*
 * In a forked child: give up its copy of the descriptors. As long as a child
 * held them open the parent's ranges would stay watched with nobody reading.
 * Frees it.
 */
void vmb_watch_abandon(struct vmb_watch *watch);

/*
 * Report changes of [start, end) from now on, as long as it stays mapped.
 * -EOPNOTSUPP: not private anonymous memory, or it cannot be watched.
 */
int vmb_watch_add(struct vmb_watch *watch, uintptr_t start, uintptr_t end);

/*
 * The consumer's side; one thread at a time (the caller's lock).
 * changed: is there anything to take? Two loads.
 * take: the next change; false when none is left. Waits, if need be, until
 * the watch thread has queued what it is reading in this moment.
 */
bool vmb_watch_changed(const struct vmb_watch *watch);
bool vmb_watch_take(struct vmb_watch *watch, struct vmb_watch_change *change);

/*
 * Is a call that changes watched memory under way? Then addresses that are
 * free again may have been given to another thread before changed() says so.
 * False: what changed before is there to take. One system call.
 */
bool vmb_watch_changing(const struct vmb_watch *watch);

#endif
