/* SPDX-License-Identifier: BSD-2-Clause */
/* fake_xen_inside.h - what the files of fake_xen.h share. */
#ifndef TESTS_SUPPORT_FAKE_XEN_INSIDE_H
#define TESTS_SUPPORT_FAKE_XEN_INSIDE_H

#include "fake_xen.h"

/* ---- fake_store.c ------------------------------------------------------- */

void t_fake_store_start(void);
void t_fake_store_stop(void);
/* A change there, or "@introduceDomain" and its like. */
void t_fake_store_fire(const char *path);
unsigned t_fake_store_watches(void);

/* ---- fake_xen.c --------------------------------------------------------- */

bool t_fake_domain_runs(uint32_t id);

#endif
