// SPDX-License-Identifier: BSD-2-Clause
/* share_ends.c - see share_ends.h. */
#include "unit/share_ends.h"

#include <errno.h>

#include "am/direct.h"
#include "am/lane.h"

static const struct m_options lanes = {.lanes = true};

static void lane_up(struct m_end *from, struct m_end *to)
{
	for (unsigned i = 0; !m_peer(from, to)->lane_on; i++) {
		struct vmb_req *r = m_recv(to, NULL, 0, 7, ~0ull);
		struct vmb_req *s = m_send(from, to, NULL, 0, 7, false);

		ck_assert_uint_lt(i, 2000);
		m_expect(from, s, 0, 0, 0);
		m_expect(to, r, 0, 0, 0);
	}
	m_until(m_peer(to, from)->lane_in->state == VMB_LANE_OPEN);
}

void s_start(const struct t_direct *direct, struct m_end **a, struct m_end **b)
{
	t_port_direct(direct);
	*a = m_open(&lanes);
	*b = m_open(&lanes);
	lane_up(*a, *b);
	lane_up(*b, *a);
}

void s_warm_up(struct m_end *a, struct m_end *b)
{
	s_exchange(a, b, m_payload(20000, 9), m_blank(20000), 20000, 20000, 9,
		   true);
	ck_assert(vmb_direct_is_proven(m_peer(b, a)));
}

void s_exchange(struct m_end *a, struct m_end *b, uint8_t *from, uint8_t *to,
		size_t len, size_t room, unsigned number, bool early)
{
	size_t taken = vmb_min(len, room);
	int code = taken < len ? -EMSGSIZE : 0;
	struct vmb_req *r = NULL, *s;

	if (early)
		r = m_recv(b, to, room, number, ~0ull);
	s = m_send(a, b, from, len, number, number % 2);
	if (!early) {
		m_settle();
		r = m_recv(b, to, room, number, ~0ull);
	}
	m_expect(a, s, code, len, taken);
	m_expect(b, r, code, len, taken);
	m_check(to, len, taken, number);
}
