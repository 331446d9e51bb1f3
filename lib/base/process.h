/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * process.h - copies between our memory and that of another process.
 *
 * Flow:  vmbd's mover, the local port -> [here] -> process_vm_readv, _writev
 * Owns:  nothing; the pidfd is the caller's.
 * Trust: the kernel decides at every copy whether we may. A number names
 *        another process after its owner died; a pidfd does not, but takes no
 *        part in a copy. So callers ask whether it is alive: after they read,
 *        or what they read may be another's, and before they write. A write
 *        that is under way in the very moment in which its process dies may
 *        reach a new one of this number, which the kernel lets us write to
 *        anyway.
 *
 * A copy lasts as long as the page faults on both sides (userfaultfd, FUSE).
 */
#ifndef VMB_BASE_PROCESS_H
#define VMB_BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Bytes, maybe fewer than len; -ESRCH: it is gone; -EPERM; -EFAULT; -ENOSYS. */
int64_t vmb_process_read_memory(pid_t pid, uint64_t addr, void *buf,
				size_t len);
int64_t vmb_process_write_memory(pid_t pid, uint64_t addr, const void *buf,
				 size_t len);

bool vmb_process_is_alive(int pidfd);

/*
 * A duplicate of its descriptor number fd, to be closed by the caller: whatever
 * that is now. -EPERM: the kernel lets us copy its memory no more than this;
 * -EBADF: it has none; -ESRCH: it is gone; -EMFILE; -ENOSYS: Linux before 5.6.
 */
int vmb_process_take_fd(int pidfd, uint32_t fd);

/* The number of a pidfd's process in our pid namespace; -ESRCH: it has none
 * there, or /proc does not say, as one that is of another namespace. */
pid_t vmb_process_number(int pidfd);

#endif
