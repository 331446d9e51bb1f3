/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shared.h - memory that the daemon maps too: a memfd whose size is sealed,
 * so that neither side can take pages away under the other.
 */
#ifndef VMB_PORT_SHARED_H
#define VMB_PORT_SHARED_H

#include <stddef.h>
#include <stdint.h>

/*
 * len bytes (a multiple of the page size, not 0), zeroed and mapped at *addr;
 * from 2 MiB on aligned so that huge pages can stand behind them. The caller
 * ends *fd and *addr separately. name is what /proc shows. -ENOMEM; -EMFILE.
 */
int vmb_shared_create(const char *name, size_t len, int *fd, void **addr);
/*
 * Map memory that another process made: -EPERM unless its size is len exactly
 * and sealed, so that nobody can take pages away under us; -ENOMEM.
 */
int vmb_shared_map(int fd, size_t len, void **addr);
/*
 * The same whatever its size, *len, if its inode number is file: -ESTALE unless
 * it is such a memfd, in whole pages; -EFBIG: more than max bytes; -ENOMEM.
 */
int vmb_shared_map_file(int fd, uint64_t file, size_t max, void **addr,
			size_t *len);
/* Inode number of what vmb_shared_create() made, which no other file of its
 * kind has while anybody has it open or mapped; 0: none. */
uint64_t vmb_shared_file(int fd);
/* Give the pages back if fd is that file; who still has them mapped finds zeros
 * there. */
void vmb_shared_discard(int fd, uint64_t file, size_t len);
void vmb_shared_unmap(void *addr, size_t len);

#endif
