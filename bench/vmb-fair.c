// SPDX-License-Identifier: BSD-2-Clause
/*
 * vmb-fair.c - does the engine share itself fairly? Protection domains with
 * small messages beside domains with large transfers, equal weights.
 *
 * Flow:  main -> one thread drives an am pair per domain -> engine
 * Owns:  per domain: a port (so a domain of its own), two endpoints, memory.
 * Trust: its user.
 *
 * A process has one domain in the public library, and eight spinning
 * processes would measure the scheduler of a small machine. So this one bench
 * is built on the library's layers: a port for each domain, one thread for
 * all.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "am/am.h"
#include "harness.h"
#include "jain.h"
#include "port/port.h"

#define DOMAINS_MAX 64
#define SMALL_ID 7
#define POLL_BUDGET 64
#define LARGE_UNDER_WAY 4
#define TIMED_EVERY 17u /* small messages: to read the clock is dear */
#define TURNS 16u	/* between looks at the clock */

static const char doc[] =
	"Measure how the engine is shared by protection domains of equal "
	"weight: some send small messages, the others move large blocks, each "
	"between two endpoints of its own. Prints the bytes of each domain, "
	"Jain's index, and what the company costs the small ones."
	"\vJAIN is Jain's index of the bytes of all domains. A domain that "
	"cannot use its share lowers it; JAIN ENTITLED compares each domain "
	"with what it was entitled to: its share, or what it moves when it is "
	"alone if that is less. Both are computed for each round: what is "
	"printed is the median of the rounds; JAIN MIN is the least of them."
	"\n\n"
	"Example:\n"
	"  vmb-fair --domains 8 --small 1";

static const struct bench_column columns[] = {
	{"TEST", "test", BENCH_TEXT},
	{"DOMAIN", "domain", BENCH_COUNT},
	{"SIZE", "size", BENCH_SIZE},
	{"MSG/s", "rate_mps", BENCH_COUNT},
	{"MB/s", "bw_MBps", BENCH_FIX1},
	{"P50 ns", "lat_ns.p50", BENCH_FIX1},
	{"P99 ns", "lat_ns.p99", BENCH_FIX1},
	{"VS ALONE p99", "alone_ratio", BENCH_RATIO},
	{"JAIN", "jain", BENCH_FIX3},
	{"JAIN min", "jain_min", BENCH_FIX3},
	{"JAIN ENTITLED", "jain_entitled", BENCH_FIX3},
	{0},
};

struct domain {
	struct vmb_port *port;
	struct vmb_am from, to;
	struct vmb_peer *peer;
	bool small, active;
	void *memory[2];
	uint64_t key[2];
	uint64_t remote_key; /* of memory[1], for the large transfers */
	uint64_t posted, arrived, bytes;
	uint64_t failed;	 /* transfers that ended with an error */
	struct bench_hist *hist; /* of small messages, or NULL */
	struct bench_point alone, together;
};

struct fair {
	struct bench bench;
	struct domain domains[DOMAINS_MAX];
	unsigned count, small, window;
	size_t small_bytes, large_bytes;
	bool get; /* large ones by GET instead of PUT */
};

enum {
	OPT_DOMAINS = 'd',
	OPT_SMALL = 's',
	OPT_WINDOW = 'w',
	OPT_SMALL_BYTES = 0x4000,
	OPT_LARGE_BYTES,
	OPT_GET,
};

static const struct argp_option option_list[] = {
	{"domains", OPT_DOMAINS, "N", 0, "Domains (default 8)", 1},
	{"small", OPT_SMALL, "N", 0, "of them with small messages (default 1)",
	 1},
	{"window", OPT_WINDOW, "N", 0,
	 "Small messages under way per domain (default 32)", 1},
	{"small-bytes", OPT_SMALL_BYTES, "N", 0,
	 "Bytes of a small message (default 64)", 1},
	{"large-bytes", OPT_LARGE_BYTES, "N", 0,
	 "Bytes of a large transfer (default 1M)", 1},
	{"get", OPT_GET, NULL, 0, "Large transfers by GET (default: PUT)", 1},
	{0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct fair *f = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &f->bench.options;
		return 0;
	case OPT_DOMAINS:
		f->count = (unsigned)bench_parse_number(state, "domains", arg,
							1, DOMAINS_MAX);
		return 0;
	case OPT_SMALL:
		f->small = (unsigned)bench_parse_number(state, "small", arg, 0,
							DOMAINS_MAX);
		return 0;
	case OPT_WINDOW:
		f->window = (unsigned)bench_parse_number(state, "window", arg,
							 1, 1024);
		return 0;
	case OPT_SMALL_BYTES:
		f->small_bytes =
			bench_parse_number(state, "small-bytes", arg, 1, 4096);
		return 0;
	case OPT_LARGE_BYTES:
		f->large_bytes = bench_parse_number(state, "large-bytes", arg,
						    4096, 64u << 20);
		return 0;
	case OPT_GET:
		f->get = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument %s", arg);
		return 0;
	case ARGP_KEY_END:
		if (f->small > f->count)
			argp_error(state, "--small is over --domains");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- traffic ------------------------------------------------------------ */

static void small_arrived(struct vmb_am *am, const struct vmb_am_arrival *a,
			  void *arg)
{
	struct domain *d = arg;

	(void)am;
	d->arrived++;
	d->bytes += a->len;
	if (d->hist && a->hdr)
		bench_hist_record(d->hist, bench_ticks() - a->hdr);
}

static void large_ended(struct vmb_am *am, int code, uint64_t moved, void *arg)
{
	struct domain *d = arg;

	(void)am;
	d->arrived++;
	d->bytes += moved;
	d->failed += code != 0;
}

static int small_send(const struct fair *f, struct domain *d)
{
	static const char payload[4096];
	struct vmb_segment segment = {(void *)(uintptr_t)payload,
				      f->small_bytes};
	uint64_t ticks = d->posted % TIMED_EVERY ? 0 : bench_ticks();

	return vmb_am_post(&d->from, d->peer, SMALL_ID, ticks, &segment, 1, 0,
			   f->small_bytes, VMB_AM_TRY);
}

static int large_start(const struct fair *f, struct domain *d)
{
	struct vmb_slot_rdma what = {.local_key = d->key[0],
				     .remote_key = d->remote_key,
				     .len = f->large_bytes};

	return vmb_am_rdma(&d->from, f->get ? VMB_OP_GET : VMB_OP_PUT, d->peer,
			   &what, large_ended, d, VMB_AM_TRY);
}

/* Keep a domain busy, and take in what came. */
static int domain_drive(const struct fair *f, struct domain *d)
{
	uint64_t limit = d->small ? f->window : LARGE_UNDER_WAY;
	int ret = 0;

	while (d->active && d->posted - d->arrived < limit) {
		ret = d->small ? small_send(f, d) : large_start(f, d);
		if (ret)
			break;
		d->posted++;
	}
	if (ret && ret != -EAGAIN)
		return ret;
	ret = vmb_am_poll(&d->from, POLL_BUDGET);
	if (ret >= 0)
		ret = vmb_am_poll(&d->to, POLL_BUDGET);
	return ret < 0 ? ret : 0;
}

/* The small ones each time, a large one in turn. */
static int turn(struct fair *f, unsigned *large)
{
	int ret = 0;

	for (unsigned i = 0; i < f->small && !ret; i++)
		ret = domain_drive(f, &f->domains[i]);
	if (*large >= f->count)
		*large = f->small;
	if (*large < f->count && !ret)
		ret = domain_drive(f, &f->domains[(*large)++]);
	return ret;
}

static int all_drive(struct fair *f, uint64_t ns)
{
	uint64_t start = bench_monotonic_ns();
	unsigned large = f->small;
	int ret = 0;

	while (!ret && bench_monotonic_ns() - start < ns)
		for (unsigned i = 0; i < TURNS && !ret; i++)
			ret = turn(f, &large);
	return ret;
}

/* Nothing new; what is under way arrives, so that phases do not mix. */
static int all_drain(struct fair *f)
{
	bool busy = true;

	while (busy) {
		busy = false;
		for (unsigned i = 0; i < f->count; i++) {
			struct domain *d = &f->domains[i];
			int ret;

			d->active = false;
			ret = domain_drive(f, d);
			if (ret)
				return ret;
			busy |= d->posted != d->arrived;
		}
	}
	return 0;
}

/* Measure the active domains for the time of a round. */
static int phase_measure(struct fair *f, bool alone)
{
	static struct bench_round rounds[DOMAINS_MAX];
	uint64_t ns = f->bench.options.time_ms * 1000000ull, started;
	int ret = all_drive(f, ns / 10); /* until the mix is steady */

	for (unsigned i = 0; i < f->count; i++) {
		struct domain *d = &f->domains[i];

		bench_round_init(&rounds[i], bench_ns_per_tick());
		rounds[i].messages = d->arrived;
		d->bytes = 0;
		d->hist = d->small ? &rounds[i].hist : NULL;
	}
	started = bench_monotonic_ns();
	if (!ret)
		ret = all_drive(f, ns);
	ns = bench_monotonic_ns() - started;
	for (unsigned i = 0; i < f->count && !ret; i++) {
		struct domain *d = &f->domains[i];

		rounds[i].messages = d->arrived - rounds[i].messages;
		rounds[i].bytes = d->bytes;
		rounds[i].ns = ns;
		d->hist = NULL;
		if (d->active)
			bench_point_add(alone ? &d->alone : &d->together,
					&rounds[i]);
		if (d->failed)
			ret = -EIO;
	}
	return ret ? ret : all_drain(f);
}

/* Each small domain and the first large one alone, then all together. */
static int round_run(struct fair *f)
{
	int ret = 0;

	for (unsigned i = 0; i <= f->small && i < f->count && !ret; i++) {
		f->domains[i].active = true;
		ret = phase_measure(f, true);
	}
	for (unsigned i = 0; i < f->count; i++)
		f->domains[i].active = true;
	return ret ? ret : phase_measure(f, false);
}

/* ---- set up ------------------------------------------------------------- */

static int domain_memory(const struct fair *f, struct domain *d)
{
	int ret = 0;

	for (int i = 0; i < 2 && !ret; i++) {
		ret = d->port->ops->mem_alloc(d->port, f->large_bytes,
					      &d->memory[i], &d->key[i]);
		if (!ret)
			memset(d->memory[i], i, f->large_bytes);
	}
	if (!ret)
		ret = d->port->ops->mem_register(d->port, d->memory[1],
						 f->large_bytes, VMB_ACCESS_ALL,
						 &d->remote_key);
	return ret;
}

static int domain_open(const struct fair *f, struct domain *d, bool small)
{
	static const struct vmb_geometry geometry = {VMB_EQ_SLOTS_DEFAULT,
						     VMB_RX_BYTES_DEFAULT,
						     VMB_TX_BYTES_DEFAULT, 0};
	int ret = vmb_port_local.open(f->bench.daemon.where, NULL, &d->port);

	d->small = small;
	if (!ret)
		ret = vmb_am_init(&d->from, d->port, VMB_ID_ANY, 0, &geometry,
				  NULL, NULL, NULL);
	if (!ret)
		ret = vmb_am_init(&d->to, d->port, VMB_ID_ANY, 0, &geometry,
				  NULL, NULL, NULL);
	if (!ret && !small)
		ret = domain_memory(f, d);
	if (ret)
		return ret;
	vmb_am_bind(&d->to, SMALL_ID, small_arrived, d);
	d->peer = vmb_am_peer(&d->from, d->to.pep.handle);
	bench_point_init(&d->alone, "alone", "vmb-local", BENCH_BANDWIDTH,
			 small ? f->small_bytes : f->large_bytes,
			 bench_ns_per_tick());
	bench_point_init(&d->together, "together", "vmb-local", BENCH_BANDWIDTH,
			 d->alone.size, bench_ns_per_tick());
	return d->peer ? 0 : -ENOMEM;
}

static void domain_close(const struct fair *f, struct domain *d)
{
	if (!d->port)
		return;
	vmb_am_fini(&d->from, 0);
	vmb_am_fini(&d->to, 0);
	if (d->remote_key)
		d->port->ops->mem_deregister(d->port, d->remote_key);
	for (int i = 0; i < 2; i++)
		if (d->memory[i])
			d->port->ops->mem_free(d->port, d->memory[i],
					       f->large_bytes, d->key[i]);
	d->port->ops->close(d->port);
}

/* ---- results ------------------------------------------------------------ */

/* The index of all, of the large ones, and of parts of what is due. */
enum {
	JAIN,
	JAIN_LARGE,
	JAIN_ENTITLED,
	JAINS
};

/*
 * Round by round: who had too much in one round and too little in the next one
 * would look served well by the median of its rounds.
 */
static void jain_rounds(const struct fair *f, double (*index)[BENCH_ROUNDS_MAX])
{
	double got[DOMAINS_MAX], alone[DOMAINS_MAX];

	for (unsigned round = 0; round < f->bench.options.rounds; round++) {
		for (unsigned i = 0; i < f->count; i++) {
			got[i] = f->domains[i].together.value[round];
			alone[i] = f->domains[i].alone.value[round];
		}
		index[JAIN][round] = bench_jain(got, f->count);
		index[JAIN_LARGE][round] =
			bench_jain(got + f->small, f->count - f->small);
		index[JAIN_ENTITLED][round] =
			bench_jain_entitled(got, alone, f->small, f->count);
	}
}

/* The median of the rounds, and the least. */
static void jain_report(const struct fair *f, json_t *point)
{
	static const char *const names[JAINS][2] = {
		[JAIN] = {"jain", "jain_min"},
		[JAIN_LARGE] = {"jain_large", "jain_large_min"},
		[JAIN_ENTITLED] = {"jain_entitled", "jain_entitled_min"},
	};
	double index[JAINS][BENCH_ROUNDS_MAX];
	unsigned rounds = f->bench.options.rounds;

	jain_rounds(f, index);
	for (int i = 0; i < JAINS; i++) {
		double median = bench_median(index[i], rounds); /* sorts */

		json_object_set_new(point, names[i][0],
				    bench_fix3_json(median));
		json_object_set_new(point, names[i][1],
				    bench_fix3_json(index[i][0]));
	}
}

static void domain_report(struct fair *f, unsigned i, bool alone)
{
	const struct domain *d = &f->domains[i];
	const struct bench_point *p = alone ? &d->alone : &d->together;
	json_t *point;

	if (!p->rounds)
		return;
	point = bench_point_json(p);
	json_object_set_new(point, "domain", json_integer(i));
	json_object_set_new(point, "small", json_boolean(d->small));
	if (!alone && d->small)
		json_object_set_new(
			point, "alone_ratio",
			bench_fix3_json(
				bench_hist_quantile_ns(&p->hist, 0.99) /
				bench_hist_quantile_ns(&d->alone.hist, 0.99)));
	if (!alone && !i)
		jain_report(f, point);
	bench_report_add(f->bench.report, point);
}

static void fair_report(struct fair *f)
{
	for (unsigned i = 0; i < f->count; i++)
		domain_report(f, i, true);
	for (unsigned i = 0; i < f->count; i++)
		domain_report(f, i, false);
	bench_report_note(f->bench.report,
			  "large transfers by %s, %u under way; %u small "
			  "messages under way",
			  f->get ? "GET" : "PUT", LARGE_UNDER_WAY, f->window);
}

static int fair_run(struct fair *f)
{
	const struct bench_options *o = &f->bench.options;

	for (unsigned i = 0; i < f->count; i++) {
		int ret = domain_open(f, &f->domains[i], i < f->small);

		if (ret)
			return bench_fail("cannot open a domain", ret);
	}
	for (unsigned i = 0; i < o->rounds; i++) {
		int ret;

		bench_progress(o, i, o->rounds, "alone and together");
		ret = round_run(f);
		if (ret)
			return bench_fail("traffic", ret);
	}
	bench_progress(o, 1, 1, "");
	fair_report(f);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{&bench_options_argp, 0, NULL, 0}, {0}};
	static const struct argp argp = {option_list, parse, NULL, doc,
					 children,    NULL,  NULL};
	static struct fair f = {.count = 8,
				.small = 1,
				.window = 32,
				.small_bytes = 64,
				.large_bytes = 1u << 20};
	int ret;

	bench_options_init(&f.bench.options);
	argp_parse(&argp, argc, argv, 0, NULL, &f);
	ret = bench_open(&f.bench, "fair", columns, BENCH_NEEDS_DAEMON);
	if (ret)
		return 1;
	ret = bench_begin(&f.bench);
	if (!ret)
		ret = fair_run(&f);
	for (unsigned i = 0; i < f.count; i++)
		domain_close(&f, &f.domains[i]);
	if (bench_close(&f.bench))
		ret = 1;
	return ret ? 1 : 0;
}
