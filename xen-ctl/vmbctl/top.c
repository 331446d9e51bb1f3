// SPDX-License-Identifier: BSD-2-Clause
/*
 * top.c - who uses the engine now: rates between two looks at the statistics
 * memory, busiest first.
 *
 * Flow:  reader -> two samples -> rates of endpoints, sums of domains ->
 *        screen, or plain text, or a line of JSON
 * Trust: counters may jump (an index changed hands): a rate is computed only
 *        between two records of one handle, and never below 0.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin.h"
#include "base/util.h"
#include "reader.h"
#include "screen.h"
#include "table.h"

struct sample {
	uint64_t time_ns, breaths, sleeps, faults;
	size_t count;
	struct vmb_stats *records; /* in order of their index */
};

struct rate {
	uint32_t handle, domain, id;
	unsigned endpoints;
	double tx_messages, rx_messages, tx_bytes, rx_bytes; /* a second */
	uint64_t faults;
};

struct top {
	const struct vmb_options *o;
	struct vmb_reader reader;
	int watch;     /* readable when the daemon has died, or -1 */
	bool screen;   /* the terminal is ours */
	json_t *names; /* of the domains there were at the start */
	struct sample before, now;
};

struct rates {
	double seconds;
	size_t count, domain_count;
	struct rate *endpoints, *domains; /* busiest first */
};

static const struct vmb_column endpoint_columns[] = {
	{"ENDPOINT", "handle", VMB_TEXT_HANDLE, false},
	{"ID", "id", VMB_TEXT_NUMBER, false},
	{"DOMAIN", "domain_name", VMB_TEXT_DOMAIN, false},
	{"TX-MSG/S", "tx_messages_per_s", VMB_TEXT_COUNT, false},
	{"RX-MSG/S", "rx_messages_per_s", VMB_TEXT_COUNT, false},
	{"TX-B/S", "tx_bytes_per_s", VMB_TEXT_BYTES_KIND, false},
	{"RX-B/S", "rx_bytes_per_s", VMB_TEXT_BYTES_KIND, false},
	{"FAULTS", "faults", VMB_TEXT_COUNT, false},
};

static const struct vmb_column domain_columns[] = {
	{"DOMAIN", "domain_name", VMB_TEXT_DOMAIN, false},
	{"ENDPOINTS", "endpoints", VMB_TEXT_NUMBER, false},
	{"TX-MSG/S", "tx_messages_per_s", VMB_TEXT_COUNT, false},
	{"RX-MSG/S", "rx_messages_per_s", VMB_TEXT_COUNT, false},
	{"TX-B/S", "tx_bytes_per_s", VMB_TEXT_BYTES_KIND, false},
	{"RX-B/S", "rx_bytes_per_s", VMB_TEXT_BYTES_KIND, false},
	{"SHARE", "share_percent", VMB_TEXT_PERCENT, false},
	{"FAULTS", "faults", VMB_TEXT_COUNT, false},
};

/* ---- samples ------------------------------------------------------------ */

static int take_sample(const struct vmb_reader *r, struct sample *s)
{
	struct vmb_stats record, *more;
	size_t room = 0;

	*s = (struct sample){.time_ns = vmb_now_ns(),
			     .breaths = r->head->breaths,
			     .sleeps = r->head->sleeps,
			     .faults = r->head->faults};
	for (uint32_t i = 0; i < r->records; i++) {
		if (!vmb_reader_get(r, i, &record))
			continue;
		if (s->count == room) {
			room = room ? 2 * room : 64;
			more = realloc(s->records, room * sizeof(*more));
			if (!more) {
				free(s->records);
				return -ENOMEM;
			}
			s->records = more;
		}
		s->records[s->count++] = record;
	}
	return 0;
}

static double per_second(uint64_t now, uint64_t before, double seconds)
{
	return now > before ? (double)(now - before) / seconds : 0;
}

static struct rate endpoint_rate(const struct vmb_stats *now,
				 const struct vmb_stats *was, double seconds)
{
#define RATE(a, b) \
	per_second(now->a + now->b, was ? was->a + was->b : 0, seconds)
	return (struct rate){
		.handle = now->handle,
		.domain = now->domain,
		.id = now->id,
		.endpoints = 1,
		.tx_messages = RATE(sends, puts),
		.rx_messages = RATE(arrivals, gets),
		.tx_bytes = RATE(send_bytes, put_bytes),
		.rx_bytes = RATE(arrival_bytes, get_bytes),
		.faults = now->faults,
	};
#undef RATE
}

static void add_to_domain(struct rates *r, const struct rate *e)
{
	struct rate *d = r->domains, *end = d + r->domain_count;

	while (d < end && d->domain != e->domain)
		d++;
	if (d == end) {
		r->domain_count++;
		*d = (struct rate){.domain = e->domain};
	}
	d->endpoints++;
	d->tx_messages += e->tx_messages;
	d->rx_messages += e->rx_messages;
	d->tx_bytes += e->tx_bytes;
	d->rx_bytes += e->rx_bytes;
	d->faults += e->faults;
}

static int compare(double a, double b)
{
	return (a < b) - (a > b);
}

static int busiest_first(const void *a, const void *b)
{
	const struct rate *x = a, *y = b;
	int order =
		compare(x->tx_bytes + x->rx_bytes, y->tx_bytes + y->rx_bytes);

	if (!order)
		order = compare(x->tx_messages + x->rx_messages,
				y->tx_messages + y->rx_messages);
	if (!order)
		order = compare(y->handle, x->handle);
	return order ? order : compare(y->domain, x->domain);
}

static void free_rates(struct rates *r)
{
	free(r->endpoints);
	free(r->domains);
}

static int compute(const struct sample *before, const struct sample *now,
		   struct rates *r)
{
	const struct vmb_stats *was = before->records;
	/* without endpoints there are no records */
	const struct vmb_stats *end = was ? was + before->count : NULL;

	*r = (struct rates){
		.seconds = (double)(now->time_ns - before->time_ns) / 1e9,
		.endpoints = calloc(now->count + 1, sizeof(struct rate)),
		.domains = calloc(now->count + 1, sizeof(struct rate)),
	};
	if (!r->endpoints || !r->domains) {
		free_rates(r);
		return -ENOMEM;
	}
	for (size_t i = 0; i < now->count; i++) {
		const struct vmb_stats *n = &now->records[i];
		uint32_t index = VMB_HANDLE_INDEX(n->handle);

		while (was < end && VMB_HANDLE_INDEX(was->handle) < index)
			was++;
		r->endpoints[i] = endpoint_rate(
			n, was < end && was->handle == n->handle ? was : NULL,
			r->seconds);
		add_to_domain(r, &r->endpoints[i]);
	}
	r->count = now->count;
	qsort(r->endpoints, r->count, sizeof(struct rate), busiest_first);
	qsort(r->domains, r->domain_count, sizeof(struct rate), busiest_first);
	return 0;
}

/* ---- output ------------------------------------------------------------- */

/* What the daemon called it when we began; later ones have no name here. */
static json_t *name_of(const struct top *t, uint32_t domain)
{
	json_t *row;
	size_t i;

	json_array_foreach(
		t->names, i,
		row) if (json_integer_value(json_object_get(row, "domain")) ==
			 domain) return json_incref(json_object_get(row,
								    "name"));
	return json_string("");
}

static json_t *rate_row(const struct top *t, const struct rate *r, double all)
{
	double bytes = r->tx_bytes + r->rx_bytes;
	json_t *row =
		json_pack("{s:I, s:o, s:f, s:f, s:f, s:f, s:I}", "domain",
			  (json_int_t)r->domain, "domain_name",
			  name_of(t, r->domain), "tx_messages_per_s",
			  r->tx_messages, "rx_messages_per_s", r->rx_messages,
			  "tx_bytes_per_s", r->tx_bytes, "rx_bytes_per_s",
			  r->rx_bytes, "faults", (json_int_t)r->faults);

	if (r->handle) {
		json_object_set_new(row, "handle", json_integer(r->handle));
		json_object_set_new(row, "id", json_integer(r->id));
	} else {
		json_object_set_new(row, "endpoints",
				    json_integer(r->endpoints));
		json_object_set_new(row, "share_percent",
				    json_real(all > 0 ? 100 * bytes / all : 0));
	}
	return row;
}

static json_t *rate_rows(const struct top *t, const struct rate *rates,
			 size_t count)
{
	json_t *rows = json_array();
	double all = 0;

	for (size_t i = 0; i < count; i++)
		all += rates[i].tx_bytes + rates[i].rx_bytes;
	for (size_t i = 0; i < count; i++)
		json_array_append_new(rows, rate_row(t, &rates[i], all));
	return rows;
}

static void print_title(const struct top *t, const struct rates *r, FILE *out)
{
	char passes[32], clock[16];
	time_t now = time(NULL);
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	vmb_text_scaled(per_second(t->now.breaths, t->before.breaths,
				   r->seconds),
			1000, passes, sizeof(passes));
	fprintf(out,
		"vmbypass %s  endpoints %zu  engine %s passes/s, %.0f sleeps/s"
		"  faults %llu\n\n",
		clock, r->count, passes,
		per_second(t->now.sleeps, t->before.sleeps, r->seconds),
		(unsigned long long)t->now.faults);
}

static int print_tables(const struct top *t, const struct rates *r, FILE *out)
{
	json_t *domains = rate_rows(t, r->domains, r->domain_count);
	json_t *endpoints = rate_rows(t, r->endpoints, r->count);
	int err;

	print_title(t, r, out);
	err = vmb_table_print(domain_columns, vmb_array_size(domain_columns),
			      false, domains, out);
	fprintf(out, "\n");
	if (!err)
		err = vmb_table_print(endpoint_columns,
				      vmb_array_size(endpoint_columns), false,
				      endpoints, out);
	if (t->screen)
		fprintf(out, "\nq: quit\n");
	json_decref(domains);
	json_decref(endpoints);
	return err;
}

static void print_json(const struct top *t, const struct rates *r)
{
	json_t *line = json_pack(
		"{s:f, s:f, s:f, s:I, s:o, s:o}", "seconds", r->seconds,
		"engine_passes_per_s",
		per_second(t->now.breaths, t->before.breaths, r->seconds),
		"engine_sleeps_per_s",
		per_second(t->now.sleeps, t->before.sleeps, r->seconds),
		"faults", (json_int_t)t->now.faults, "domains",
		rate_rows(t, r->domains, r->domain_count), "endpoints",
		rate_rows(t, r->endpoints, r->count));

	vmb_json_print(line, true);
	json_decref(line);
}

static int draw(const struct top *t, const struct rates *r)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int err;

	if (!out)
		return -ENOMEM;
	err = print_tables(t, r, out);
	fclose(out);
	if (!err)
		vmb_screen_draw(text);
	else
		free(text);
	return err;
}

static int show(const struct top *t)
{
	struct rates r;
	int err = compute(&t->before, &t->now, &r);

	if (err)
		return err;
	if (t->o->json)
		print_json(t, &r);
	else if (t->screen)
		err = draw(t, &r);
	else
		err = print_tables(t, &r, stdout);
	free_rates(&r);
	fflush(stdout);
	return err;
}

/* ---- the loop ----------------------------------------------------------- */

static bool daemon_gone(const struct top *t)
{
	struct pollfd p = {.fd = t->watch, .events = POLLIN};

	return t->watch >= 0 && poll(&p, 1, 0) == 1;
}

/* Until the interval is over. true: the user wants to leave. */
static bool pause_or_quit(const struct top *t)
{
	uint64_t until = t->before.time_ns + t->o->interval_ms * 1000000ull;
	uint64_t now;

	while ((now = vmb_now_ns()) < until) {
		unsigned ms = (unsigned)((until - now) / 1000000) + 1;

		if (!t->screen)
			poll(NULL, 0, (int)ms);
		else if (vmb_screen_wait(ms) == 'q')
			return true;
	}
	return false;
}

static int run_loop(struct top *t)
{
	unsigned shown = 0;
	int err = take_sample(&t->reader, &t->before);

	while (!err && !pause_or_quit(t)) {
		if (daemon_gone(t))
			return -EPIPE;
		err = take_sample(&t->reader, &t->now);
		if (!err)
			err = show(t);
		free(t->before.records);
		t->before = t->now;
		t->now.records = NULL;
		if (++shown == t->o->count || ferror(stdout))
			break;
	}
	return err;
}

static int top_failed(const struct top *t, int err)
{
	if (err == -EPIPE)
		return vmb_fail(err, "the daemon at %s has gone", t->o->socket);
	return err ? vmb_fail(err, "top: %s", strerrordesc_np(-err)) : 0;
}

static int run_shown(struct top *t)
{
	int err = t->screen ? vmb_screen_open() : 0;

	if (err)
		return vmb_fail(err, "the terminal cannot be used: %s",
				strerrordesc_np(-err));
	err = run_loop(t);
	vmb_screen_close();
	free(t->before.records);
	free(t->now.records);
	return top_failed(t, err);
}

int vmb_top_run(const struct vmb_options *options)
{
	struct vmb_options o = *options;
	struct top t = {.o = &o};
	int err = vmb_reader_open(&o, &t.reader);

	if (err)
		return err;
	t.screen = !o.json && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
	if (!t.screen && !o.count && !o.json)
		o.count = 1;
	t.watch = vmb_admin_watch(&o);
	err = vmb_admin_list(&o, "domains", &t.names);
	if (!err) {
		err = run_shown(&t);
		json_decref(t.names);
	}
	if (t.watch >= 0)
		close(t.watch);
	vmb_reader_close(&t.reader);
	return err;
}
