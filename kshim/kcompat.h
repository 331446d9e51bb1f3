/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernels from 6.1 on: what is named differently in some of them.
 * Each VMB_HAVE_* is the answer of a probe in config/, see Kbuild.
 */
#ifndef VMBYPASS_KSHIM_KCOMPAT_H
#define VMBYPASS_KSHIM_KCOMPAT_H

#include <linux/mm.h>

/* 6.3 made vm_flags constant. */
#ifndef VMB_HAVE_VM_FLAGS_SET
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}
#endif

#endif
