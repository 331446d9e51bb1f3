/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * skip.h - a test of a libcheck program that cannot run on this machine says
 * why. The program then ends with 77, the ctest status of a skip, and its last
 * line has the reason, which tests/run.sh prints and counts.
 */
#ifndef TESTS_SUPPORT_SKIP_H
#define TESTS_SUPPORT_SKIP_H

/* Say it, in a test or beside it, and leave the test. The program goes on. */
void t_skip(const char *why);

/* What main() returns: 1 when tests failed, 77 when some could not run, or 0. */
int t_exit_status(int failed);

#endif
