/* SPDX-License-Identifier: BSD-2-Clause */
/* test_regcache.h - what the files of the regcache test share. */
#ifndef TEST_REGCACHE_H
#define TEST_REGCACHE_H

#include <check.h>
#include <stdbool.h>

#include "am/regcache.h"
#include "fake_port.h"

#define T_PAGE 4096u /* regcache asks the system; the tests assume */

/* One cache on one fake port. */
struct t_cache {
	struct fake_port fake;
	struct vmb_regcache *cache;
};

void t_open(struct t_cache *t, unsigned entries);
/* Close and check that nothing is left registered or was ended twice. */
void t_close(struct t_cache *t);

/* Fresh private memory. */
void *t_map(size_t pages);
/* Get and put; returns the key. */
uint64_t t_touch(struct t_cache *t, const void *addr, size_t len);
bool t_watching(struct t_cache *t);
/* Why a test is left out that needs it. */
#define T_NOT_WATCHED                                      \
	"no userfaultfd with write-protect mode here, or " \
	"VMB_REGCACHE=0"
struct vmb_regcache_counters t_counters(struct t_cache *t);

TCase *t_changes(void);	 /* test_regcache_changes.c */
TCase *t_sequence(void); /* test_regcache_sequence.c */
TCase *t_pins(void);	 /* test_regcache_pins.c */

#endif
