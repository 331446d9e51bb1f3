/* SPDX-License-Identifier: BSD-2-Clause */
/* run.h - the end of main() of a test program. */
#ifndef TESTS_SUPPORT_RUN_H
#define TESTS_SUPPORT_RUN_H

#include <check.h>

/*
 * Run a suite, as much and as loudly as the environment says (CK_*), and free
 * it. What main() returns: 1 when tests failed, 77 when some could not run on
 * this machine (skip.h), or 0.
 */
int t_run(Suite *suite);

#endif
