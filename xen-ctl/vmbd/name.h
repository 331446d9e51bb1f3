/* SPDX-License-Identifier: BSD-2-Clause */
/* name.h - names of domains and boards as clients and files write them. */
#ifndef VMBD_NAME_H
#define VMBD_NAME_H

#include <stdbool.h>

#include <vmbypass/abi/control.h>

/* NUL-terminated in its field and nothing but NUL behind. */
bool vmbd_name_is_padded(const char name[VMB_NAME_BYTES]);
/*
 * [A-Za-z0-9._-]+, not "localhost" (it means the asker's own board), short
 * enough for ":0" behind it.
 */
bool vmbd_name_is_domain(const char *name);
/* This machine's name as part of a board name; never empty. */
void vmbd_name_of_host(char name[VMB_NAME_BYTES]);

#endif
