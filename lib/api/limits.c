// SPDX-License-Identifier: BSD-2-Clause
/*
 * limits.c - what this process may use.
 *
 * Flow:  vmb_query_limits() -> the daemon's HELLO, the environment
 * Owns:  nothing.
 * Trust: the port checked the daemon's answer.
 */
#include <string.h>

#include "api/api.h"

int vmb_query_limits(struct vmb_limits *limits)
{
	const struct vmb_ctl_hello_reply *hello;
	struct vmb_limits l;
	size_t size;
	int rc;

	if (!limits || limits->size < sizeof(size))
		return -EINVAL;
	rc = vmb_library_enter();
	if (rc)
		return rc;
	size = limits->size;
	hello = &vmb_library.port->hello;
	l = (struct vmb_limits){
		.size = size,
		.endpoints_max = hello->endpoints_max,
		.inline_max = VMB_INLINE_PAIR,
		.eager_max = (uint32_t)vmb_library.settings.eager_max,
		.memory_max = hello->memory_max,
	};
	vmb_library_leave();
	memset(limits, 0, size);
	memcpy(limits, &l, vmb_min(size, sizeof(l)));
	return 0;
}
