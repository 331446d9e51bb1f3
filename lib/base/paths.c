// SPDX-License-Identifier: BSD-2-Clause
/* paths.c - see paths.h. */
#include "base/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/util.h"

#define SOCKET_NAME "vmbd.sock"

/* An empty variable counts as unset, as the XDG specification wants it. */
static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

int vmb_default_socket(char *path, size_t size)
{
	const char *chosen = environment("VMB_SOCKET");
	const char *runtime = environment("XDG_RUNTIME_DIR");
	struct sockaddr_un address;
	int n;

	if (chosen)
		n = snprintf(path, size, "%s", chosen);
	else if (geteuid() == 0)
		n = snprintf(path, size, "/run/vmbypass/" SOCKET_NAME);
	else if (runtime)
		n = snprintf(path, size, "%s/vmbypass/" SOCKET_NAME, runtime);
	else
		n = snprintf(path, size, "/tmp/vmbypass-%u/" SOCKET_NAME,
			     (unsigned)geteuid());
	if (n < 0 || (size_t)n >= vmb_min(size, sizeof(address.sun_path)))
		return -ENAMETOOLONG;
	return 0;
}

int vmb_user_conf(char *path, size_t size)
{
	const char *config = environment("XDG_CONFIG_HOME");
	const char *home = environment("HOME");
	int n;

	if (!config && !home)
		return -ENOENT;
	n = snprintf(path, size, "%s%s/vmbypass/vmbypass.conf",
		     config ? config : home, config ? "" : "/.config");
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}
