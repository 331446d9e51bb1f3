/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pages.h - address space for memory that the engine reaches: from 2 MiB on
 * so aligned that huge pages can stand behind it.
 */
#ifndef VMB_PORT_PAGES_H
#define VMB_PORT_PAGES_H

#include <stddef.h>

/*
 * Map len bytes (a multiple of the page size, not 0), for reading and
 * writing: of a file from its start, shared; fd -1: private and anonymous.
 * NULL: out of memory. The caller ends it with munmap().
 */
void *vmb_pages_map(int fd, size_t len);

#endif
