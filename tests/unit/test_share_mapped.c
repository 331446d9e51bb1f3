// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_share_mapped.c - long messages between memory of vmb_alloc(), which the
 * two ends of a lane map of each other: when, what for, until when, and what
 * they do when the other one lies about it.
 *
 * Flow:  s_exchange() -> lib/msg/share.c -> lib/am/direct.c -> lib/am/mapped.c
 * Owns:  two ends per test; their blocks go with them.
 * Trust: payloads are compared byte by byte. That nothing was copied by the
 *        kernel is seen by forbidding it.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "am/lane.h"
#include "msg/state.h"
#include "support/run.h"
#include "unit/share_ends.h"

#define LONG ((3u << 20) + 5u) /* several pieces, the last one short */

static struct m_end *a, *b;
static uint8_t *from, *to; /* LONG bytes of vmb_alloc() of each */

static const struct t_direct told = {.told = true};
static const struct t_direct no_kernel = {
	.told = true, .read = -EFAULT, .write = -EFAULT};

static void exchange(unsigned number, bool early)
{
	m_fill(from, LONG, number);
	memset(to, 0xee, LONG);
	s_exchange(a, b, from, to, LONG, LONG, number, early);
}

/* Blocks on both sides; both have met them once. */
static void start(void)
{
	s_start(&told, &a, &b);
	from = m_alloc(a, LONG);
	to = m_alloc(b, LONG);
	s_warm_up(a, b);
	exchange(1, true);
	ck_assert_uint_eq(t_port_maps(), 0);
	ck_assert_uint_eq(a->am.counters.direct_mapped, 0);
}

START_TEST(second_message_needs_no_kernel)
{
	start();
	exchange(2, true);
	ck_assert_uint_eq(t_port_maps(), 2);
	t_port_direct(&no_kernel);
	for (unsigned i = 3; i < 9; i++)
		exchange(i, i % 2);
	ck_assert_uint_eq(t_port_maps(), 2);
	ck_assert_uint_gt(a->am.counters.direct_mapped, 0);
	ck_assert_uint_gt(b->am.counters.direct_mapped, 0);
	ck_assert_uint_eq(m_count(a).pipelined, 0);
}
END_TEST

START_TEST(parts_of_a_block_lie_where_they_should)
{
	static const size_t at[] = {0, 1, 4095, 4097, 70001, 1u << 20};

	start();
	exchange(2, true);
	t_port_direct(&no_kernel);
	for (unsigned i = 0; i < vmb_array_size(at); i++) {
		size_t len = 200000 + i;

		m_fill(from + at[i], len, i);
		memset(to, 0xee, LONG);
		s_exchange(a, b, from + at[i], to + at[5 - i], len, len, i,
			   true);
		if (at[5 - i])
			ck_assert_uint_eq(to[at[5 - i] - 1], 0xee);
		ck_assert_uint_eq(to[at[5 - i] + len], 0xee);
	}
}
END_TEST

/* The other side's is ordinary, or was freed: it is copied by the kernel. */
START_TEST(one_side_is_enough)
{
	start();
	if (_i)
		from = m_blank(LONG);
	else
		to = m_blank(LONG);
	for (unsigned i = 2; i < 6; i++)
		exchange(i, true);
	ck_assert_uint_eq(t_port_maps(), 1);
	ck_assert_uint_gt((_i ? a : b)->am.counters.direct_mapped, 0);
	ck_assert_uint_eq((_i ? b : a)->am.counters.direct_mapped, 0);
}
END_TEST

START_TEST(what_reaches_beyond_the_block_is_not_mapped)
{
	struct vmb_mapped *mapped;
	struct vmb_lane_file what;
	uint64_t end;

	start();
	exchange(2, true);
	vmb_regcache_describe(a->cache, from, LONG, &what);
	ck_assert_uint_eq(what.start, (uintptr_t)from);
	mapped = &m_peer(b, a)->lane_in->mapped;
	end = what.start + vmb_round_up(LONG, 4096);
	ck_assert_ptr_nonnull(vmb_mapped_at(mapped, &what, end - 1, 1));
	ck_assert_ptr_nonnull(
		vmb_mapped_at(mapped, &what, what.start, end - what.start));
	ck_assert_ptr_null(vmb_mapped_at(mapped, &what, end - 1, 2));
	ck_assert_ptr_null(vmb_mapped_at(mapped, &what, end + 1, 1));
	ck_assert_ptr_null(vmb_mapped_at(mapped, &what, what.start - 1, 1));
	ck_assert_ptr_null(
		vmb_mapped_at(mapped, &what, what.start + 1, SIZE_MAX));
	ck_assert_ptr_null(vmb_mapped_at(mapped, &what, UINT64_MAX, 1));
	vmb_regcache_describe(a->cache, from + 1, LONG + 4096, &what);
	ck_assert_uint_eq(what.file, 0);
	vmb_regcache_describe(a->cache, from - 1, 2, &what);
	ck_assert_uint_eq(what.file, 0);
	vmb_regcache_describe(b->cache, from, 1, &what);
	ck_assert_uint_eq(what.file, 0);
}
END_TEST

/* A receiver may be of a library that knows nothing of it. */
START_TEST(who_says_nothing_of_its_memory_is_not_taken_at_an_old_word)
{
	struct vmb_lane_direct *entry;
	struct vmb_req *s;

	start();
	exchange(2, true);
	entry = &m_peer(b, a)->lane_in->ctl->direct[0];
	ck_assert_uint_ne(entry->destination.file, 0);
	s = m_send(a, b, from, LONG, 3, false);
	m_settle();
	ck_assert_uint_eq(entry->destination.file, 0);
	m_expect(b, m_recv(b, to, LONG, 3, ~0ull), 0, LONG, LONG);
	m_expect(a, s, 0, LONG, LONG);
}
END_TEST

/* An offer may be accepted when its entry is another message's. */
START_TEST(nothing_is_told_in_the_entry_of_another_message)
{
	struct vmb_direct_copy copy = {.id = {.entry = 0}};
	struct vmb_lane_direct *entry;
	struct vmb_lane_file what;
	struct vmb_req *s;

	start();
	s = m_send(a, b, from, LONG, 3, false);
	m_settle();
	entry = &m_peer(b, a)->lane_in->ctl->direct[0];
	vmb_regcache_describe(b->cache, to, LONG, &what);
	copy.id.number = vmb_low(entry->claim) - 1;
	vmb_direct_tell(m_peer(b, a), &copy, &what);
	ck_assert_uint_eq(entry->destination.file, 0);
	copy.id.number++;
	vmb_direct_tell(m_peer(b, a), &copy, &what);
	ck_assert_uint_eq(entry->destination.file, what.file);
	ck_assert_uint_eq(entry->destination.start, (uintptr_t)to);
	m_expect(b, m_recv(b, to, LONG, 3, ~0ull), 0, LONG, LONG);
	m_expect(a, s, 0, LONG, LONG);
}
END_TEST

/* ---- the end ------------------------------------------------------------------ */

static uint64_t pages_of(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks;
}

START_TEST(freed_pages_are_given_back_though_mapped)
{
	struct vmb_lane_file what;
	int fd;

	start();
	exchange(2, true);
	vmb_regcache_describe(a->cache, from, LONG, &what);
	fd = dup((int)what.fd);
	ck_assert_uint_gt(pages_of(fd), 0);
	ck_assert_int_eq(vmb_regcache_free(a->cache, from), 0);
	ck_assert_uint_eq(t_port_maps(), 2);
	ck_assert_uint_eq(pages_of(fd), 0);
	close(fd);
}
END_TEST

START_TEST(block_in_the_place_of_another_is_another)
{
	struct vmb_lane_file before, after;
	unsigned same = 0;

	start();
	exchange(2, true);
	for (unsigned i = 3; i < 9; i++) {
		struct vmb_regcache *cache = i % 2 ? a->cache : b->cache;
		uint8_t **block = i % 2 ? &from : &to;

		vmb_regcache_describe(cache, *block, LONG, &before);
		ck_assert_int_eq(vmb_regcache_free(cache, *block), 0);
		*block = m_alloc(i % 2 ? a : b, LONG);
		vmb_regcache_describe(cache, *block, LONG, &after);
		ck_assert_uint_ne(before.file, after.file);
		same += before.start == after.start && before.fd == after.fd;
		exchange(i, true);
		exchange(i + 20, true);
	}
	ck_assert_uint_gt(same, 0); /* or it shows nothing */
}
END_TEST

START_TEST(maps_end_with_the_lane)
{
	start();
	exchange(2, true);
	ck_assert_uint_eq(t_port_maps(), 2);
	m_close(_i ? a : b);
	m_settle();
	ck_assert_uint_eq(t_port_maps(), 0);
}
END_TEST

START_TEST(many_blocks_take_each_others_place)
{
	enum {
		BLOCKS = 3 * VMB_MAPPED_FILES,
		LEN = 32768
	};
	uint8_t *blocks[BLOCKS];

	start();
	to = m_blank(LONG);
	for (unsigned i = 0; i < BLOCKS; i++)
		blocks[i] = m_alloc(a, LEN);
	for (unsigned n = 0; n < 2 * BLOCKS; n++) {
		uint8_t *block = blocks[n / 4 * 7 % BLOCKS];

		m_fill(block, LEN, n);
		memset(to, 0xee, LONG);
		s_exchange(a, b, block, to, LEN, LEN, n, true);
		ck_assert_uint_le(t_port_maps(), VMB_MAPPED_FILES);
	}
	ck_assert_uint_gt(b->am.counters.direct_mapped, BLOCKS);
}
END_TEST

/* ---- what may not be, and lies ------------------------------------------------- */

START_TEST(what_cannot_be_mapped_is_copied_by_the_kernel)
{
	static const struct {
		int why;
		unsigned same, others; /* mapped later of these, or others */
	} cases[] = {
		{-EPERM, 0, 0}, {-ENOSYS, 0, 0}, {-ESTALE, 0, 2},
		{-EFBIG, 2, 2}, {-ENOMEM, 2, 2}, {-EMFILE, 2, 2},
	};

	start();
	t_port_direct(&(struct t_direct){.told = true, .map = cases[_i].why});
	for (unsigned i = 2; i < 5; i++)
		exchange(i, true);
	t_port_direct(&told);
	exchange(6, true);
	ck_assert_uint_eq(t_port_maps(), cases[_i].same);
	from = m_alloc(a, LONG);
	to = m_alloc(b, LONG);
	exchange(7, true);
	exchange(8, true);
	ck_assert_uint_eq(t_port_maps(), cases[_i].same + cases[_i].others);
	ck_assert_uint_eq(m_count(b).direct, 8);
}
END_TEST

static int sockets[2];

static void lie_about(unsigned i, struct vmb_lane_file *f)
{
	switch (i) {
	case 0: /* what is told is no file of that number */
		f->file++;
		break;
	case 1:
		f->fd = (uint32_t)sockets[0];
		break;
	case 2:
		f->fd = UINT32_MAX;
		break;
	case 3: /* it is, and the message does not lie in it */
		f->start += LONG;
		break;
	case 4:
		f->start = 0;
		break;
	case 5:
		f->file = 0;
		break;
	case 6: /* part of it does: the liar's own bytes are the wrong ones */
		f->start += 1u << 20;
		break;
	case 7:
		f->start -= 1u << 20;
		break;
	}
}

/*
 * The second message in a block, or the third, after a side lied about where it
 * is. The blocks end where pages do, so beyond them is a fault or a guard.
 */
START_TEST(lies_reach_nothing)
{
	bool sender = _i < 8;
	struct vmb_lane_direct *entry;
	struct vmb_req *s, *r;
	unsigned lie = _i % 8;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	start();
	if (lie > 2) { /* about a block that is mapped */
		exchange(2, true);
		ck_assert_uint_eq(t_port_maps(), 2);
	}
	m_fill(from, LONG, 3);
	memset(to, 0xee, LONG);
	entry = &m_peer(b, a)->lane_in->ctl->direct[0];
	s = m_send(a, b, from, LONG, 3, false);
	m_settle();
	if (sender)
		lie_about(lie, &entry->source);
	r = m_recv(b, to, LONG, 3, ~0ull);
	if (!sender) {
		vmb_msg_progress(b->msg); /* asks for help */
		lie_about(lie, &entry->destination);
	}
	m_expect(b, r, 0, LONG, LONG);
	m_expect(a, s, 0, LONG, LONG);
	if (lie < 6)
		m_check(to, LONG, LONG, 3);
	exchange(4, true);
	close(sockets[0]);
	close(sockets[1]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("share_mapped");
	TCase *t = tcase_create("share_mapped");

	tcase_add_checked_fixture(t, m_setup, m_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, second_message_needs_no_kernel);
	tcase_add_test(t, parts_of_a_block_lie_where_they_should);
	tcase_add_loop_test(t, one_side_is_enough, 0, 2);
	tcase_add_test(t, what_reaches_beyond_the_block_is_not_mapped);
	tcase_add_test(
		t, who_says_nothing_of_its_memory_is_not_taken_at_an_old_word);
	tcase_add_test(t, nothing_is_told_in_the_entry_of_another_message);
	tcase_add_test(t, freed_pages_are_given_back_though_mapped);
	tcase_add_test(t, block_in_the_place_of_another_is_another);
	tcase_add_loop_test(t, maps_end_with_the_lane, 0, 2);
	tcase_add_test(t, many_blocks_take_each_others_place);
	tcase_add_loop_test(t, what_cannot_be_mapped_is_copied_by_the_kernel, 0,
			    6);
	tcase_add_loop_test(t, lies_reach_nothing, 0, 16);
	suite_add_tcase(s, t);
	return t_run(s);
}
