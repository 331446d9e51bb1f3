/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fault_log.h - what the daemon of the witness has recorded of liars.
 *
 * Flow:  test_control.c, test_strangers.c -> [here] -> vmbd
 * Owns:  nothing.
 */
#ifndef TESTS_HOSTILE_FAULT_LOG_H
#define TESTS_HOSTILE_FAULT_LOG_H

#include <stdint.h>

/* The newest record, as JSON, good until the next question. */
const char *t_last_record(void);
/* Records so far. */
long t_recorded(void);
/* Since there were `before`, there is one more: who did what with which value. */
void t_expect_record(long before, const char *op, uint64_t value);

#endif
