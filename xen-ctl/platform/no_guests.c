// SPDX-License-Identifier: BSD-2-Clause
/* no_guests.c - this daemon was built without a platform for guests. */
#include "platform/platform.h"

const struct vmb_platform_ops *vmb_platform_guests(void)
{
	return NULL;
}
