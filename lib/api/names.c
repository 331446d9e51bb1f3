// SPDX-License-Identifier: BSD-2-Clause
/*
 * names.c - nic ids and their names.
 *
 * Flow:  vmb_name_to_nic_id() -> [here] -> port lookup -> daemon
 * Owns:  nothing.
 * Trust: a name is the application's, and input.
 */
#include <stdio.h>
#include <string.h>

#include "api/api.h"

_Static_assert(VMB_NAME_MAX == VMB_NAME_BYTES, "public and wire size");

#define NIC_ID_BITS 48

int vmb_nic_id(uint64_t *nic_id)
{
	int rc;

	if (!nic_id)
		return -EINVAL;
	rc = vmb_library_enter();
	if (rc)
		return rc;
	*nic_id = vmb_library.port->hello.nic_id;
	vmb_library_leave();
	return 0;
}

/* "host" -> "host:0"; "localhost..." -> "OUR HOST..."; -EINVAL. */
static int full_name(const char *name, const char *own, char *out, size_t size)
{
	const char *colon = strchr(name, ':');
	size_t host = colon ? (size_t)(colon - name) : strlen(name);
	const char *board = colon ? colon : ":0";
	int n;

	if (!host || !board[1] || strchr(board + 1, ':'))
		return -EINVAL;
	if (host == strlen("localhost") && !strncmp(name, "localhost", host)) {
		name = own;
		host = strcspn(own, ":");
	}
	n = snprintf(out, size, "%.*s%s", (int)host, name, board);
	return n < 0 || (size_t)n >= size ? -EINVAL : 0;
}

static int find_name(struct vmb_port *port, const char *name, uint64_t *nic_id)
{
	struct vmb_port_identity who = {0};
	int rc;

	if (!strcmp(name, "localhost")) {
		*nic_id = port->hello.nic_id;
		return 0;
	}
	rc = full_name(name, port->hello.name, who.name, sizeof(who.name));
	if (rc)
		return rc;
	rc = port->ops->lookup(port, VMB_LOOKUP_NAME, 0, &who);
	if (!rc)
		*nic_id = who.nic_id;
	return rc;
}

int vmb_name_to_nic_id(const char *name, uint64_t *nic_id)
{
	int rc;

	if (!name || !nic_id || strnlen(name, VMB_NAME_MAX) == VMB_NAME_MAX)
		return -EINVAL;
	rc = vmb_library_enter();
	if (rc)
		return rc;
	rc = find_name(vmb_library.port, name, nic_id);
	vmb_library_leave();
	return rc;
}

int vmb_nic_id_to_name(uint64_t nic_id, char name[VMB_NAME_MAX])
{
	struct vmb_port_identity who = {.nic_id = nic_id};
	struct vmb_port *port;
	int rc;

	if (!name || !nic_id || nic_id >> NIC_ID_BITS)
		return -EINVAL;
	rc = vmb_library_enter();
	if (rc)
		return rc;
	port = vmb_library.port;
	rc = port->ops->lookup(port, VMB_LOOKUP_NIC, 0, &who);
	if (!rc)
		memcpy(name, who.name, VMB_NAME_MAX);
	vmb_library_leave();
	return rc;
}
