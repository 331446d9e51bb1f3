/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memfd.h - may a descriptor that another process made be mapped?
 *
 * Flow:  vmbd's local platform, the local port -> [here] -> mmap()
 * Owns:  nothing.
 * Trust: the descriptor may be anything. The first question put to it is
 *        F_GET_SEALS, which the kernel answers from memory for a memfd and
 *        refuses for all else; fstat() or close() of a file in a FUSE file
 *        system would wait for its owner, perhaps for ever.
 *
 * A fault in the mapping of one that passes cannot end in SIGBUS: the size is
 * sealed, so every page lies inside the file, and a memfd on tmpfs (not
 * hugetlbfs, whose pool can run dry) gets a page for each hole or waits for
 * memory as any anonymous memory does. Where the kernel refuses to overcommit
 * (vm.overcommit_memory 2) it may refuse that page, and SIGBUS is how it says
 * so (Linux, mm/shmem.c): whoever can do without should ask first.
 */
#ifndef VMB_BASE_MEMFD_H
#define VMB_BASE_MEMFD_H

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

/* What ours have. */
#define VMB_MEMFD_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/*
 * 0: a memfd whose size is sealed and that may be mapped for writing; *st is
 * what fstat() says. -EBADF: it is no memfd of tmpfs; -EPERM: its seals.
 */
int vmb_memfd_check(int fd, struct stat *st);

bool vmb_memfd_faults_are_safe(void);

#endif
