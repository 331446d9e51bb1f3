// SPDX-License-Identifier: BSD-2-Clause
/* name.c - see name.h. */
#include "name.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SUFFIX ":0"
#define ALPHABET                     \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"abcdefghijklmnopqrstuvwxyz" \
	"0123456789._-"

bool vmbd_name_is_padded(const char name[VMB_NAME_BYTES])
{
	const char *end = memchr(name, 0, VMB_NAME_BYTES);

	if (!end)
		return false;
	for (; end < name + VMB_NAME_BYTES; end++)
		if (*end)
			return false;
	return true;
}

bool vmbd_name_is_domain(const char *name)
{
	size_t len = strlen(name);

	return len && len + sizeof(SUFFIX) <= VMB_NAME_BYTES &&
	       strspn(name, ALPHABET) == len && strcmp(name, "localhost");
}

void vmbd_name_of_host(char name[VMB_NAME_BYTES])
{
	size_t room = VMB_NAME_BYTES - sizeof(SUFFIX) + 1;

	if (gethostname(name, room))
		name[0] = 0;
	name[room - 1] = 0;
	for (char *c = name; *c; c++)
		if (!strchr(ALPHABET, *c))
			*c = '-';
	if (!vmbd_name_is_domain(name))
		snprintf(name, VMB_NAME_BYTES, "host");
}
