// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_match.c - matching gives what a scan in order would give, and costs the
 * same whatever waits.
 *
 * Flow:  random operations -> match.c and a naive list -> compare
 * Owns:  nothing beyond one test.
 * Trust: cost is counted in comparisons, not in time.
 */
#include <check.h>
#include <stdlib.h>

#include "msg/match.h"
#include "support/run.h"

#define OPERATIONS 100000
#define LIVE_MAX 600
#define MANY 10000
#define MASKS 14 /* more than there are classes */

static uint64_t seed, state;

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void setup(void)
{
	seed = vmb_index_seed();
	state = 88172645463325252u;
}

/* Few distinct bits, so that matches are frequent and ambiguous. */
static uint64_t some_bits(void)
{
	return (rnd() & 0x3) | (rnd() & 0x3) << 31 | (rnd() & 0x7) << 60;
}

static uint64_t some_mask(void)
{
	static const uint64_t masks[MASKS] = {
		~0ull,
		0,
		0x3,
		0x3ull << 31,
		0x7ull << 60,
		0xffffffff00000000ull,
		0x00000000ffffffffull,
		0x1,
		0x2,
		0x1ull << 31,
		0x1ull << 60,
		0x3ull << 60,
		0x8000000000000001ull,
		0x00ffffffffffff00ull,
	};

	return masks[rnd() % MASKS];
}

/* ---- posted ---------------------------------------------------------------- */

struct posting {
	struct vmb_posted p;
	uint64_t match;
};

struct posted_model {
	struct vmb_postedset set;
	struct posting *live[LIVE_MAX]; /* in order */
	unsigned count;
};

static void forget_posting(struct posted_model *m, unsigned at)
{
	free(m->live[at]);
	m->count--;
	for (unsigned i = at; i < m->count; i++)
		m->live[i] = m->live[i + 1];
}

/* alike: all those that are posted, as in a window of one kind of message */
static void post(struct posted_model *m, bool alike)
{
	struct posting *x = malloc(sizeof(*x));
	uint64_t mask = alike ? 0x3 : some_mask();

	x->match = alike ? 0x1 : some_bits() & mask;
	vmb_postedset_insert(&m->set, &x->p, x->match, mask);
	m->live[m->count++] = x;
}

static void take(struct posted_model *m)
{
	uint64_t bits = some_bits();
	struct vmb_posted *got = vmb_postedset_take(&m->set, bits);
	unsigned i;

	for (i = 0; i < m->count; i++)
		if ((bits & m->live[i]->p.mask) == m->live[i]->match)
			break;
	if (i == m->count) {
		ck_assert_ptr_null(got);
		return;
	}
	ck_assert_ptr_eq(got, &m->live[i]->p);
	forget_posting(m, i);
}

static void cancel(struct posted_model *m)
{
	unsigned at = (unsigned)(rnd() % m->count);

	vmb_postedset_remove(&m->set, &m->live[at]->p);
	forget_posting(m, at);
}

START_TEST(posted_agrees_with_a_scan)
{
	static struct posted_model m;

	vmb_postedset_init(&m.set, &seed);
	for (int i = 0; i < OPERATIONS; i++) {
		/* fill up and drain in turns */
		unsigned fill = i / 5000 % 2 ? 3 : 7;
		/* few of them, or more than are kept as such; then others */
		bool alike = i / 100 % 50 < _i * 10;
		unsigned what = (unsigned)(rnd() % 10);

		if (m.count < LIVE_MAX && what < fill)
			post(&m, alike);
		else if (m.count && what == 9)
			cancel(&m);
		else
			take(&m);
		ck_assert_uint_eq(m.set.count, m.count);
	}
	while (m.count)
		cancel(&m);
	vmb_postedset_fini(&m.set);
}
END_TEST

/* Mean comparisons to take each of count values, the last posted first. */
static double posted_cost(unsigned count, uint64_t (*value)(unsigned))
{
	struct vmb_posted *p = calloc(count, sizeof(*p));
	struct vmb_postedset *set = calloc(1, sizeof(*set));
	uint64_t before, after;

	vmb_postedset_init(set, &seed);
	for (unsigned i = 0; i < count; i++)
		vmb_postedset_insert(set, &p[i], value(i), ~0ull);
	before = vmb_postedset_steps(set);
	for (unsigned i = count; i--;)
		ck_assert_uint_eq(vmb_postedset_take(set, value(i))->node.key,
				  value(i));
	after = vmb_postedset_steps(set);
	ck_assert_uint_eq(set->count, 0);
	vmb_postedset_fini(set);
	free(set);
	free(p);
	return (double)(after - before) / count;
}

static uint64_t low_bits(unsigned i)
{
	return i;
}

static uint64_t high_bits(unsigned i)
{
	return (uint64_t)i << 48;
}

static uint64_t strided(unsigned i)
{
	return (uint64_t)i * 0x100010000ull;
}

static uint64_t equal(unsigned i)
{
	(void)i;
	return 7;
}

static uint64_t (*const series[])(unsigned) = {
	low_bits,
	high_bits,
	strided,
	equal,
};

START_TEST(posted_cost_does_not_grow)
{
	ck_assert_double_le(posted_cost(MANY, series[_i]),
			    2 * posted_cost(1, series[_i]));
}
END_TEST

/* ---- item sets ---------------------------------------------------------------- */

struct item_model {
	struct vmb_itemset set;
	struct vmb_item *live[LIVE_MAX];
	unsigned count;
};

static void forget_item(struct item_model *m, unsigned at)
{
	vmb_itemset_remove(&m->set, m->live[at]);
	free(m->live[at]);
	m->count--;
	for (unsigned i = at; i < m->count; i++)
		m->live[i] = m->live[i + 1];
}

static void find(struct item_model *m, bool and_remove)
{
	uint64_t mask = some_mask(), match = some_bits() & mask;
	struct vmb_item *got = vmb_itemset_find(&m->set, match, mask);
	unsigned i;

	for (i = 0; i < m->count; i++)
		if ((m->live[i]->bits & mask) == match)
			break;
	ck_assert_ptr_eq(got, i < m->count ? m->live[i] : NULL);
	if (got && and_remove)
		forget_item(m, i);
}

START_TEST(items_agree_with_a_scan)
{
	static struct item_model m;

	vmb_itemset_init(&m.set, &seed);
	for (int i = 0; i < OPERATIONS; i++) {
		unsigned fill = i / 5000 % 2 ? 3 : 7;
		unsigned what = (unsigned)(rnd() % 10);

		if (m.count < LIVE_MAX && what < fill) {
			m.live[m.count] = malloc(sizeof(struct vmb_item));
			vmb_itemset_insert(&m.set, m.live[m.count++],
					   some_bits());
		} else if (m.count && what == 9) {
			forget_item(&m, (unsigned)(rnd() % m.count));
		} else {
			find(&m, what & 1);
		}
		ck_assert_uint_eq(m.set.count, m.count);
	}
	ck_assert_uint_eq(m.set.class_count, VMB_MATCH_CLASSES);
	while (m.count)
		forget_item(&m, m.count - 1);
	vmb_itemset_fini(&m.set);
}
END_TEST

/* As posted_cost(), with a question of mask; the first one builds its class. */
static double item_cost(unsigned count, uint64_t mask)
{
	struct vmb_item *items = calloc(count, sizeof(*items));
	struct vmb_itemset *set = calloc(1, sizeof(*set));
	uint64_t before, after;

	vmb_itemset_init(set, &seed);
	for (unsigned i = 0; i < count; i++)
		vmb_itemset_insert(set, &items[i], strided(i));
	vmb_itemset_find(set, mask, mask);
	before = vmb_itemset_steps(set);
	for (unsigned i = count; i--;) {
		struct vmb_item *item =
			vmb_itemset_find(set, strided(i) & mask, mask);

		ck_assert_uint_eq(item->bits & mask, strided(i) & mask);
		vmb_itemset_remove(set, item);
	}
	after = vmb_itemset_steps(set);
	vmb_itemset_fini(set);
	free(set);
	free(items);
	return (double)(after - before) / count;
}

START_TEST(item_cost_does_not_grow)
{
	static const uint64_t masks[] = {~0ull, ~0ull << 32, 0};

	ck_assert_double_le(item_cost(MANY, masks[_i]),
			    2 * item_cost(1, masks[_i]));
}
END_TEST

/* ---- the table -------------------------------------------------------------------- */

/* Links followed for each of the keys 0, stride, 2 * stride ... */
static double stride_cost(uint64_t *secret, uint64_t stride)
{
	static struct vmb_index_node nodes[4096];
	unsigned count = vmb_array_size(nodes);
	uint64_t inserted;
	struct vmb_index ix;

	vmb_index_init(&ix, secret);
	for (unsigned i = 0; i < count; i++)
		vmb_index_insert(&ix, &nodes[i], i * stride);
	inserted = ix.steps;
	for (unsigned i = 0; i < count; i++)
		ck_assert_ptr_eq(vmb_index_find(&ix, i * stride), &nodes[i]);
	inserted = ix.steps - inserted;
	vmb_index_fini(&ix);
	return (double)inserted / count;
}

/*
 * Match bits are fields put side by side, so keys differ by a power of two. None
 * of these multipliers, the same ones in each run, has them fall on few buckets.
 */
START_TEST(keys_of_equal_distance_are_spread)
{
	uint64_t secret = 1;

	for (unsigned shift = 0; shift < 50; shift += 4)
		for (unsigned i = 0; i < 16; i++)
			ck_assert_double_le(stride_cost(&secret, 1ull << shift),
					    2);
}
END_TEST

/*
 * Someone has learned the multiplier and sends keys of one bucket only. The
 * table draws another one before it grows, and stays cheap.
 */
START_TEST(chosen_collisions_are_undone)
{
	struct vmb_index_node *nodes = calloc(MANY, sizeof(*nodes));
	struct vmb_index ix, learned;
	uint64_t before, key = 0;
	unsigned i;

	vmb_index_init(&ix, &seed);
	for (i = 0; i < MANY / 2; i++)
		vmb_index_insert(&ix, &nodes[i], rnd());
	learned = ix;
	for (; i < MANY / 2 + 2000; i++) {
		do
			key++;
		while (vmb_index_bucket(&learned, key));
		vmb_index_insert(&ix, &nodes[i], key);
	}
	ck_assert_uint_eq(ix.bits, learned.bits);
	ck_assert_uint_ne(ix.multiplier, learned.multiplier);
	ck_assert_uint_eq(ix.keys, i);
	before = ix.steps;
	for (i = 0; i < ix.keys; i++)
		ck_assert_ptr_eq(vmb_index_find(&ix, nodes[i].key), &nodes[i]);
	ck_assert_uint_le((ix.steps - before) / ix.keys, 2);
	while (i--)
		vmb_index_remove(&ix, &nodes[i]);
	ck_assert_uint_eq(ix.keys, 0);
	vmb_index_fini(&ix);
	free(nodes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("match");
	TCase *posted = tcase_create("posted");
	TCase *items = tcase_create("items");
	TCase *index = tcase_create("index");

	tcase_add_checked_fixture(posted, setup, NULL);
	tcase_add_loop_test(posted, posted_agrees_with_a_scan, 0, 5);
	tcase_add_loop_test(posted, posted_cost_does_not_grow, 0,
			    vmb_array_size(series));
	tcase_add_checked_fixture(items, setup, NULL);
	tcase_add_test(items, items_agree_with_a_scan);
	tcase_add_loop_test(items, item_cost_does_not_grow, 0, 3);
	tcase_add_checked_fixture(index, setup, NULL);
	tcase_add_test(index, keys_of_equal_distance_are_spread);
	tcase_add_test(index, chosen_collisions_are_undone);
	suite_add_tcase(suite, posted);
	suite_add_tcase(suite, items);
	suite_add_tcase(suite, index);
	return t_run(suite);
}
