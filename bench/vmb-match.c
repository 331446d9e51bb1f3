// SPDX-License-Identifier: BSD-2-Clause
/*
 * vmb-match.c - does matching stay flat? The receiver's cost of one message,
 * beside many receives that are posted, or many messages that wait.
 *
 * Flow:  main -> pair (one thread, two endpoints) -> one match at a time
 * Owns:  the receives and messages that fill the queues.
 * Trust: its user.
 *
 * Only the receiver's part is timed. A message to ourselves, sent behind the
 * measured one, tells when the engine has delivered both: the engine takes
 * the descriptors of an endpoint in their order.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"

#define MATCH_FIRST (1ull << 32) /* of the queue: this, and upwards */
#define MATCH_MARK (1ull << 62)
#define QUEUE_EACH 1024 /* bytes of a short message that waits, at most */
#define QUEUE_LEAST (1u << 20)

static const char doc[] =
	"Measure what it costs the receiver to match one 8-byte message: with "
	"one receive posted and with many (the one that matches was posted "
	"last), and with one unexpected message and many (the one that is "
	"received came last)."
	"\vRATIO compares with a depth of 1.\n\n"
	"Example:\n"
	"  vmb-match --depth 10000";

static const struct bench_column columns[] = {
	{"TEST", "test", BENCH_TEXT},
	{"POSITION", "position", BENCH_TEXT},
	{"DEPTH", "depth", BENCH_COUNT},
	{"MIN ns", "lat_ns.min", BENCH_FIX1},
	{"P50 ns", "lat_ns.p50", BENCH_FIX1},
	{"P99 ns", "lat_ns.p99", BENCH_FIX1},
	{"MAX ns", "lat_ns.max", BENCH_FIX1},
	{"ROUNDS min", "rounds.min", BENCH_FIX1},
	{"max", "rounds.max", BENCH_FIX1},
	{"RATIO", "floor_ratio", BENCH_RATIO},
	{0},
};

struct entry {
	struct bench_point point;
	bool unexpected, random;
	unsigned depth;
};

#define ENTRIES 6 /* posted and unexpected: one, many last, many random */

struct matcher {
	struct bench bench;
	struct bench_pair_options options;
	struct bench_pair pair;
	unsigned depth;
	struct entry entries[ENTRIES];
	struct vmb_req **posted; /* by match - MATCH_FIRST */
	uint64_t sink;		 /* all payloads go here */
	uint64_t random;
};

enum {
	OPT_DEPTH = 'd'
};

static const struct argp_option option_list[] = {
	{"depth", OPT_DEPTH, "N", 0,
	 "Receives or messages in the queue (default 10000)", 1},
	{0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct matcher *m = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &m->bench.options;
		return 0;
	case OPT_DEPTH:
		m->depth = (unsigned)bench_parse_number(state, "depth", arg, 2,
							1000000);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static uint64_t random_next(struct matcher *m)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return m->random;
}

static int receive_post(struct matcher *m, struct vmb_endpoint *ep,
			uint64_t match, struct vmb_req **req)
{
	struct vmb_segment segment = {&m->sink, sizeof(m->sink)};

	return vmb_irecv(ep, &segment, 1, match, VMB_MATCH_ALL, NULL, req);
}

/* Returns 0 when the request has ended well. */
static int request_end(struct vmb_endpoint *ep, struct vmb_req **req)
{
	struct vmb_status status;
	int done, ret;

	do {
		ret = vmb_test(ep, req, &status, &done);
	} while (!ret && !done);
	return ret ? ret : status.code;
}

/*
 * Send to the receiver. When it returns, the message lies in the receiver's
 * event queue: the mark behind it has come back.
 */
static int message_deliver(struct matcher *m, uint64_t match)
{
	struct vmb_endpoint *ep = m->pair.a.ep;
	struct vmb_segment segment = {&match, sizeof(match)};
	struct vmb_addr self;
	struct vmb_req *mark;
	int ret;

	ret = vmb_self(ep, &self);
	if (!ret)
		ret = receive_post(m, ep, MATCH_MARK, &mark);
	if (!ret)
		ret = vmb_isend(ep, &segment, 1, m->pair.a.peer, match, NULL,
				NULL);
	if (!ret)
		ret = vmb_isend(ep, &segment, 1, self, MATCH_MARK, NULL, NULL);
	return ret ? ret : request_end(ep, &mark);
}

/* Let the receiver take in a message that nobody waits for. */
static int message_queue(struct matcher *m, uint64_t match)
{
	int done = 0, ret = message_deliver(m, match);

	while (!ret && !done)
		ret = vmb_iprobe(m->pair.b.ep, match, VMB_MATCH_ALL, NULL,
				 &done);
	return ret;
}

/*
 * Beyond its limit an endpoint takes nothing more in before something is received,
 * and we would wait for ever: what we queue has to fit.
 */
static uint64_t queue_bytes(const struct matcher *m)
{
	return QUEUE_LEAST + (uint64_t)m->depth * QUEUE_EACH;
}

/* One of the queue, to be matched next: its last one, or any. */
static uint64_t target_choose(struct matcher *m, const struct entry *e)
{
	uint64_t n = e->random ? random_next(m) % e->depth : e->depth - 1;

	return MATCH_FIRST + n;
}

static int posted_one(struct matcher *m, const struct entry *e,
		      struct bench_hist *hist)
{
	uint64_t match = target_choose(m, e), started;
	struct vmb_req **req = &m->posted[match - MATCH_FIRST];
	int ret = message_deliver(m, match);

	if (ret)
		return ret;
	started = bench_ticks();
	ret = request_end(m->pair.b.ep, req);
	bench_hist_record(hist, bench_ticks() - started);
	return ret ? ret : receive_post(m, m->pair.b.ep, match, req);
}

static int unexpected_one(struct matcher *m, const struct entry *e,
			  struct bench_hist *hist)
{
	uint64_t match = target_choose(m, e), started = bench_ticks();
	struct vmb_req *req;
	int ret = receive_post(m, m->pair.b.ep, match, &req);

	if (!ret)
		ret = request_end(m->pair.b.ep, &req);
	bench_hist_record(hist, bench_ticks() - started);
	return ret ? ret : message_queue(m, match);
}

static int queue_fill(struct matcher *m, const struct entry *e)
{
	int ret = 0;

	for (unsigned i = 0; i < e->depth && !ret; i++)
		ret = e->unexpected
			      ? message_queue(m, MATCH_FIRST + i)
			      : receive_post(m, m->pair.b.ep, MATCH_FIRST + i,
					     &m->posted[i]);
	return ret;
}

static int queue_empty(struct matcher *m, const struct entry *e)
{
	struct vmb_endpoint *ep = m->pair.b.ep;
	int ret = 0;

	for (unsigned i = 0; i < e->depth && !ret; i++) {
		struct vmb_req *req;
		int cancelled;

		if (!e->unexpected) {
			ret = vmb_cancel(ep, &m->posted[i], &cancelled);
			continue;
		}
		ret = receive_post(m, ep, MATCH_FIRST + i, &req);
		if (!ret)
			ret = request_end(ep, &req);
	}
	return ret;
}

static int entry_run(struct matcher *m, struct entry *e)
{
	static struct bench_round round;
	uint64_t iters = bench_iters(&m->bench.options, 5000);
	uint64_t started = 0;
	int ret = queue_fill(m, e);

	bench_round_init(&round, bench_ns_per_tick());
	for (uint64_t i = 0; i < iters + iters / 8 && !ret; i++) {
		if (i == iters / 8) { /* warm now */
			bench_round_init(&round, bench_ns_per_tick());
			started = bench_monotonic_ns();
		}
		ret = e->unexpected ? unexpected_one(m, e, &round.hist)
				    : posted_one(m, e, &round.hist);
	}
	if (ret)
		return ret;
	round.ns = bench_monotonic_ns() - started;
	round.messages = iters;
	bench_point_add(&e->point, &round);
	return queue_empty(m, e);
}

static void entries_make(struct matcher *m)
{
	for (int i = 0; i < ENTRIES; i++) {
		struct entry *e = &m->entries[i];

		e->unexpected = i >= ENTRIES / 2;
		e->depth = i % 3 ? m->depth : 1;
		e->random = i % 3 == 2;
		bench_point_init(&e->point,
				 e->unexpected ? "unexpected" : "posted",
				 "vmb-local", BENCH_LATENCY, 8,
				 bench_ns_per_tick());
		if (i % 3)
			e->point.floor = &m->entries[i - i % 3].point;
	}
}

static void entries_report(struct matcher *m)
{
	for (int i = 0; i < ENTRIES; i++) {
		const struct entry *e = &m->entries[i];
		json_t *point = bench_point_json(&e->point);

		json_object_set_new(point, "depth", json_integer(e->depth));
		json_object_set_new(point, "position",
				    json_string(e->random ? "random" : "last"));
		bench_report_add(m->bench.report, point);
	}
	bench_report_note(m->bench.report,
			  "every time contains %.1f ns of the clock",
			  bench_clock_overhead_ns());
}

static int matcher_run(struct matcher *m)
{
	unsigned total = m->bench.options.rounds * ENTRIES;
	int ret;

	m->posted = calloc(m->depth, sizeof(struct vmb_req *));
	if (!m->posted)
		return -ENOMEM;
	entries_make(m);
	for (unsigned i = 0; i < total; i++) {
		struct entry *e = &m->entries[i % ENTRIES];

		bench_progress(&m->bench.options, i, total, e->point.test);
		ret = entry_run(m, e);
		if (ret)
			return bench_fail(e->point.test, ret);
	}
	bench_progress(&m->bench.options, 1, 1, "");
	entries_report(m);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{&bench_options_argp, 0, NULL, 0}, {0}};
	static const struct argp argp = {option_list, parse, NULL, doc,
					 children,    NULL,  NULL};
	static struct matcher m = {.depth = 10000,
				   .options.self = true,
				   .random = 88172645463325252ull};
	int ret;

	bench_options_init(&m.bench.options);
	argp_parse(&argp, argc, argv, 0, NULL, &m);
	ret = bench_open(&m.bench, "match", columns, BENCH_NEEDS_DAEMON);
	if (ret)
		return 1;
	ret = bench_pair_prepare(&m.pair, &m.bench, &m.options);
	if (!ret)
		ret = bench_begin(&m.bench);
	m.pair.b.unexpected_max = queue_bytes(&m);
	if (!ret)
		ret = bench_pair_open(&m.pair);
	if (!ret)
		ret = matcher_run(&m);
	bench_pair_close(&m.pair);
	if (bench_close(&m.bench))
		ret = 1;
	free(m.posted);
	return ret ? 1 : 0;
}
