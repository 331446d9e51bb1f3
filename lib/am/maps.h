/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * maps.h - what kind of memory lies behind addresses of this process.
 *
 * Flow:  watch -> [here] -> /proc/self/maps
 * Owns:  nothing; the caller opened the file.
 * Trust: the kernel is believed.
 */
#ifndef VMB_AM_MAPS_H
#define VMB_AM_MAPS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Is all of [*start, *end) mapped, private and anonymous? Then widen it to the
 * whole mappings that hold it. fd is /proc/self/maps (any file with such text
 * will do). One system call per mapping where the kernel has PROCMAP_QUERY
 * (6.11), else the text is read.
 * Returns 1; 0: no; or a negative errno of reading.
 */
int vmb_maps_private(int fd, uintptr_t *start, uintptr_t *end);

#endif
