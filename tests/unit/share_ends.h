/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * share_ends.h - two ends with lanes between them that are told to be
 * processes of one user: long messages are copied by both.
 */
#ifndef TESTS_UNIT_SHARE_ENDS_H
#define TESTS_UNIT_SHARE_ENDS_H

#include "unit/msg_ends.h"

/* Both are open, and lanes are up in both directions. */
void s_start(const struct t_direct *direct, struct m_end **a, struct m_end **b);
/* One that both sides prove to be able to do: then SHARE comes first. */
void s_warm_up(struct m_end *a, struct m_end *b);
/*
 * A message from a to b, and what there is of it; `from` was filled by number.
 * early: the receive is posted before the send.
 */
void s_exchange(struct m_end *a, struct m_end *b, uint8_t *from, uint8_t *to,
		size_t len, size_t room, unsigned number, bool early);

#endif
