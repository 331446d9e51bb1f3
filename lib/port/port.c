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
#include <unistd.h>

#include <vmbypass/abi/chardev.h>

#include "base/log.h"
#include "base/util.h"

static const struct vmb_port_ops *const ports[] = {
	&vmb_port_local,
	&vmb_port_kshim,
};

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

/* A guest has the device of its kernel shim. */
static const struct vmb_port_ops *default_port(void)
{
	return access(VMB_CHARDEV_PATH, F_OK) ? &vmb_port_local
					      : &vmb_port_kshim;
}

int vmb_port_open(struct vmb_port **port)
{
	const char *domain = getenv("VMB_DOMAIN");
	const char *text = getenv("VMB_PORT");
	const char *where = NULL;

	if (override)
		return override->open(NULL, domain, port);
	if (!text || !*text)
		return default_port()->open(NULL, domain, port);
	for (size_t i = 0; i < vmb_array_size(ports); i++)
		if (is_named(text, ports[i]->name, &where))
			return ports[i]->open(where, domain, port);
	vmb_error("VMB_PORT=%s: not a port; use local, local:PATH, kshim or "
		  "kshim:PATH",
		  text);
	return -EINVAL;
}
