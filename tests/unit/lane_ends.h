/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane_ends.h - three endpoints of lib/am that may have lanes between them,
 * around an engine that the test steps.
 *
 * Flow:  test_lane.c, test_lane_liar.c, test_answer.c -> [here] -> lib/am
 * Owns:  a, b and c, for as long as a test runs.
 * Trust: see support/ends.h.
 */
#ifndef TESTS_UNIT_LANE_ENDS_H
#define TESTS_UNIT_LANE_ENDS_H

#include <check.h>

#include "am/lane.h"
#include "support/ends.h"

#define LANES 8

extern struct t_end a, b, c;

void l_setup(void);
void l_teardown(void); /* closes what is open, checks that no lane is left */

/* A message of the first stream, and wait until it has arrived. */
void l_send(struct t_end *from, struct t_end *to, size_t len);
/* The same, 8 bytes, without waiting. */
void l_post(struct t_end *from, struct t_end *to);
/* A lane from one to the other, with all messages so far received. */
struct vmb_lane_out *l_bring_up(struct t_end *from, struct t_end *to);
/* Its other half. */
struct vmb_lane_in *l_in_of(struct t_end *to, struct t_end *from);

/* A case of tests that begin with l_setup(). */
TCase *l_case(Suite *s, const char *name);

#endif
