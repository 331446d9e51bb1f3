// SPDX-License-Identifier: BSD-2-Clause
/*
 * port.c - choose the port of this process, by VMB_PORT.
 *
 * Flow:  vmb_init() -> vmb_port_open() -> the port's own open
 * Owns:  nothing but the override of tests.
 * Trust: the environment is input: unknown text is refused by name.
 */
#include "port/port.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static const struct vmb_port_ops *override;

void vmb_port_override(const struct vmb_port_ops *ops)
{
	override = ops;
}

/* "NAME" or "NAME:WHERE"; *where is NULL in the first case. */
static bool is_named(const char *text, const char *name, const char **where)
{
	size_t len = strlen(name);

	if (strncmp(text, name, len) || (text[len] && text[len] != ':'))
		return false;
	*where = text[len] ? text + len + 1 : NULL;
	return true;
}

int vmb_port_open(struct vmb_port **port)
{
	const char *domain = getenv("VMB_DOMAIN");
	const char *text = getenv("VMB_PORT");
	const char *where = NULL;

	if (override)
		return override->open(NULL, domain, port);
	if (!text || !*text || is_named(text, vmb_port_local.name, &where))
		return vmb_port_local.open(where, domain, port);
	if (is_named(text, "kshim", &where)) {
		vmb_error("VMB_PORT=%s: this version has no kernel shim; use "
			  "local or local:PATH",
			  text);
		return -ENOSYS;
	}
	vmb_error("VMB_PORT=%s: not a port; use local, local:PATH or kshim",
		  text);
	return -EINVAL;
}
