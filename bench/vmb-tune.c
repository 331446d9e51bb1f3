// SPDX-License-Identifier: BSD-2-Clause
/*
 * vmb-tune.c - where does one protocol give way to another on this machine?
 *
 * Flow:  main -> rounds of vmb-perf, each made to send in one way only
 *        -> the size from which the other way is better -> vmbypass.conf
 * Owns:  the programs that it starts, one at a time.
 * Trust: its user; vmb-perf beside it.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/paths.h"
#include "base/util.h"
#include "environment.h"
#include "harness.h"

static const char doc[] =
	"Measure from which size on one way to send is better than another, "
	"and how long a sleep takes, and write what this machine should use: "
	"vmbypass.conf(5), which the library reads. Takes about a minute on a "
	"machine that does nothing else."
	"\vWAY is what the size is sent by up to the value that is found, ELSE "
	"the other way; TAKEN says which of them the size gets.\n\n"
	"Examples:\n"
	"  vmb-tune                     write the file that the library reads\n"
	"  vmb-tune --output -          only show it";

static const struct bench_column columns[] = {
	{"SETTING", "setting", BENCH_TEXT}, {"SIZE", "size", BENCH_SIZE},
	{"WAY", "way", BENCH_TEXT},	    {"P50 ns", "way_ns", BENCH_FIX1},
	{"ELSE", "other", BENCH_TEXT},	    {"P50 ns", "other_ns", BENCH_FIX1},
	{"TAKEN", "taken", BENCH_TEXT},	    {0},
};

#define SIZES_MAX 8

/* A setting that is a size, and how to make all sizes go one way. */
struct threshold {
	const char *key, *variable;
	const char *way[2];  /* up to the size, beyond it */
	const char *only[2]; /* value with which only that way is taken */
	const char *engine;  /* "0": through the engine, "64": through lanes */
	const char *direct;  /* VMB_LANE_DIRECT meanwhile; NULL: as it is */
	const char *memory;  /* of both sides; NULL: "malloc" */
	const char *least, *most; /* when one way is best for all sizes */
	const char *list;
	unsigned count;
	uint64_t sizes[SIZES_MAX];
};

#define LONG_ONES                                                   \
	.least = "0", .most = "1099511627776",                      \
	.list = "40960,65536,131072,262144,524288,1048576,4194304", \
	.count = 7,                                                 \
	.sizes = {40960, 65536, 131072, 262144, 524288, 1048576, 4194304}

/* In this order: what was found counts for those that follow. */
static const struct threshold thresholds[] = {
	{
		.key = "eager",
		.variable = "VMB_EAGER",
		.way = {"eager", "rendezvous"},
		.only = {"32768", "4096"},
		.engine = "0",
		.least = "4096",
		.most = "32768",
		.list = "6144,8192,12288,16384,24576,32768",
		.count = 6,
		.sizes = {6144, 8192, 12288, 16384, 24576, 32768},
	},
	{
		.key = "lane_stream",
		.variable = "VMB_LANE_STREAM",
		.way = {"stream", "rendezvous"},
		.only = {"1099511627776", "0"},
		.engine = "64",
		.direct = "1099511627776",
		LONG_ONES,
	},
	{
		.key = "lane_direct",
		.variable = "VMB_LANE_DIRECT",
		.way = {"copied", "direct"},
		.only = {"1099511627776", "0"},
		.engine = "64",
		LONG_ONES,
	},
	{
		.key = "lane_mapped",
		.variable = "VMB_LANE_MAPPED",
		.way = {"copied", "mapped"},
		.only = {"1099511627776", "0"},
		.engine = "64",
		.memory = "alloc",
		LONG_ONES,
	},
	{
		.key = "lane_eager",
		.variable = "VMB_LANE_EAGER",
		.way = {"eager", "announced"},
		.only = {"32768", "4096"},
		.engine = "64",
		.least = "4096",
		.most = "32768",
		.list = "6144,8192,12288,16384,24576,32768",
		.count = 6,
		.sizes = {6144, 8192, 12288, 16384, 24576, 32768},
	},
};

#define THRESHOLDS vmb_array_size(thresholds)

struct tune {
	struct bench_options options;
	struct bench_report *report;
	const char *output; /* NULL: where the library reads */
	bool force;
	unsigned done;
	const char *found[THRESHOLDS];
	char text[THRESHOLDS][24];
	unsigned spin_us;
};

enum {
	OPT_OUTPUT = 'o',
	OPT_FORCE = 'f'
};

static const struct argp_option option_list[] = {
	{"output", OPT_OUTPUT, "FILE", 0,
	 "Where to write; -: standard output (default: where the library "
	 "reads, /etc/vmbypass/vmbypass.conf for root)",
	 1},
	{"force", OPT_FORCE, NULL, 0, "Replace a file that is there", 1},
	{0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct tune *t = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &t->options;
		return 0;
	case OPT_OUTPUT:
		t->output = arg;
		return 0;
	case OPT_FORCE:
		t->force = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- one run ------------------------------------------------------------------ */

/* Two sides that spin never share a processor; the engine has one if it can. */
static int choose_processors(struct bench_options *o)
{
	int cpus[3];
	unsigned n = bench_cpu_list(cpus, 3);

	if (n < 2)
		return bench_fail("two processors are needed", -ENODEV);
	for (int i = 0; i < 2; i++)
		if (o->cpus[i] < 0)
			o->cpus[i] = cpus[i];
	if (o->engine_cpu < 0)
		o->engine_cpu = cpus[n > 2 ? 2 : 1];
	return 0;
}

/* The arguments that all runs share, from ours. */
static void describe(const struct bench_options *o, char *text, size_t size)
{
	snprintf(text, size,
		 "--quiet --count none --json - --rounds 1 --time %u "
		 "--cpu %d,%d --engine-cpu %d --daemon '%s'",
		 o->time_ms, o->cpus[0], o->cpus[1], o->engine_cpu, o->daemon);
}

/* Run a bench beside us; ns[i]: what its i-th line says. */
static int run(const struct tune *t, const char *program, const char *how,
	       double *ns, unsigned count)
{
	char self[PATH_MAX], shared[PATH_MAX], command[3 * PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	unsigned lines = 0;
	json_t *line;
	bool unfit;
	FILE *pipe;
	int status;

	self[len < 0 ? 0 : len] = '\0';
	*(strrchr(self, '/') ? strrchr(self, '/') : self) = '\0';
	describe(&t->options, shared, sizeof(shared));
	snprintf(command, sizeof(command), "exec '%s/%s' %s %s", self, program,
		 shared, how);
	pipe = popen(command, "re");
	if (!pipe)
		return bench_fail(program, -errno);
	while ((line = json_loadf(pipe, JSON_DISABLE_EOF_CHECK, NULL))) {
		double p50 = json_number_value(json_object_get(
			json_object_get(line, "lat_ns"), "p50"));

		json_decref(line);
		if (!(p50 > 0) || lines == count)
			break;
		ns[lines++] = p50;
	}
	unfit = line || lines != count;
	status = pclose(pipe);
	if (status || unfit)
		return bench_fail(command, -ECHILD);
	return 0;
}

/* Two spinning processes and the engine want a processor each. */
static const char *pair_for(const char *lanes)
{
	if (strcmp(lanes, "0"))
		return "--wait spin";
	return sysconf(_SC_NPROCESSORS_ONLN) < 3 ? "--self --wait spin"
						 : "--wait spin";
}

/* ---- thresholds ----------------------------------------------------------------- */

/*
 * How many sizes, from the first, to send the first way: that which makes the
 * product of all times least. So one disturbed point decides nothing.
 */
static unsigned choose(double (*ns)[SIZES_MAX], unsigned count)
{
	double best = INFINITY;
	unsigned chosen = 0;

	for (unsigned n = 0; n <= count; n++) {
		double sum = 0;

		for (unsigned i = 0; i < count; i++)
			sum += log(ns[i >= n][i]);
		if (sum < best) {
			best = sum;
			chosen = n;
		}
	}
	return chosen;
}

static void tell(struct tune *t, const struct threshold *h,
		 double (*ns)[SIZES_MAX], unsigned chosen)
{
	for (unsigned i = 0; i < h->count; i++)
		bench_report_add(
			t->report,
			json_pack("{s:s,s:I,s:s,s:o,s:s,s:o,s:s}", "setting",
				  h->key, "size", (json_int_t)h->sizes[i],
				  "way", h->way[0], "way_ns",
				  bench_fix1_json(ns[0][i]), "other", h->way[1],
				  "other_ns", bench_fix1_json(ns[1][i]),
				  "taken", h->way[i >= chosen]));
}

static int tune_one(struct tune *t, unsigned number)
{
	const struct threshold *h = &thresholds[number];
	static double all[2][SIZES_MAX][BENCH_ROUNDS_MAX];
	double one[SIZES_MAX], ns[2][SIZES_MAX];
	unsigned chosen, rounds = t->options.rounds;
	char how[256];

	snprintf(how, sizeof(how), "--test latency --memory %s %s --sizes %s",
		 h->memory ? h->memory : "malloc", pair_for(h->engine),
		 h->list);
	setenv("VMB_LANES", h->engine, 1);
	if (h->direct)
		setenv("VMB_LANE_DIRECT", h->direct, 1);
	for (unsigned i = 0; i < 2 * rounds; i++) {
		int rc;

		setenv(h->variable, h->only[i % 2], 1);
		rc = run(t, "vmb-perf", how, one, h->count);
		if (rc)
			return rc;
		for (unsigned s = 0; s < h->count; s++)
			all[i % 2][s][i / 2] = one[s];
		bench_progress(&t->options, ++t->done,
			       2 * rounds * (unsigned)THRESHOLDS + rounds,
			       h->key);
	}
	for (unsigned i = 0; i < 2 * h->count; i++)
		ns[i % 2][i / 2] = bench_median(all[i % 2][i / 2], rounds);
	chosen = choose(ns, h->count);
	tell(t, h, ns, chosen);
	snprintf(t->text[number], sizeof(t->text[number]), "%llu",
		 chosen ? (unsigned long long)h->sizes[chosen - 1] : 0ull);
	t->found[number] = !chosen		? h->least
			   : chosen == h->count ? h->most
						: t->text[number];
	setenv(h->variable, t->found[number], 1);
	if (h->direct)
		unsetenv("VMB_LANE_DIRECT");
	return 0;
}

/*
 * Who spins for as long as a sleep costs, and then sleeps, never loses more
 * than as much again: Karlin et al., Empirical studies of competitive spinning
 * for a shared-memory multiprocessor, 1991.
 */
static int tune_spin(struct tune *t)
{
	double all[BENCH_ROUNDS_MAX], ns;

	setenv("VMB_LANES", "64", 1);
	for (unsigned i = 0; i < t->options.rounds; i++) {
		int rc = run(t, "vmb-pingpong", "--wait block --sizes 8",
			     &all[i], 1);

		if (rc)
			return rc;
		bench_progress(&t->options, ++t->done,
			       (2 * (unsigned)THRESHOLDS + 1) *
				       t->options.rounds,
			       "spin_us");
	}
	ns = bench_median(all, t->options.rounds);
	t->spin_us = (unsigned)vmb_min(vmb_max(ns / 1000, 1.0), 1000.0);
	bench_report_note(t->report, "a message to a sleeper: %.1f us",
			  ns / 1000);
	return 0;
}

/* ---- the file -------------------------------------------------------------------- */

static int write_settings(const struct tune *t, FILE *file, const char *name)
{
	json_t *e = bench_environment();

	fprintf(file, "# vmbypass.conf(5), by vmb-tune: %s, %s, %s\n",
		json_string_value(json_object_get(e, "host")),
		json_string_value(json_object_get(e, "cpu_model")),
		json_string_value(json_object_get(e, "time")));
	json_decref(e);
	for (unsigned i = 0; i < THRESHOLDS; i++)
		fprintf(file, "%s = %s\n", thresholds[i].key, t->found[i]);
	fprintf(file, "spin_us = %u\n", t->spin_us);
	if (fflush(file) || ferror(file))
		return bench_fail(name, errno ? -errno : -EIO);
	return 0;
}

static int where_to(const struct tune *t, char path[PATH_MAX])
{
	if (t->output)
		snprintf(path, PATH_MAX, "%s", t->output);
	else if (geteuid() == 0)
		snprintf(path, PATH_MAX, "%s", VMB_CONF_SYSTEM);
	else
		return vmb_user_conf(path, PATH_MAX);
	return 0;
}

/* The folders above a file. */
static void make_folders(const char *path)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *p = part + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		mkdir(part, 0755);
	}
}

static int write_file(const struct tune *t, const char *path)
{
	FILE *file;
	int rc;

	make_folders(path);
	file = fopen(path, t->force ? "we" : "wxe");
	if (!file)
		return bench_fail(path, -errno);
	rc = write_settings(t, file, path);
	if (fclose(file) && !rc)
		rc = bench_fail(path, -errno);
	if (rc)
		return rc;
	bench_report_note(t->report, "written: %s", path);
	return 0;
}

/* Before minutes are spent on it. */
static int check_output(const struct tune *t, char path[PATH_MAX])
{
	int rc = where_to(t, path);

	if (rc)
		return bench_fail("no place for the file: --output", rc);
	if (strcmp(path, "-") && !t->force && !access(path, F_OK)) {
		fprintf(stderr,
			"vmb-tune: %s is there: --force replaces it, --output "
			"writes elsewhere\n",
			path);
		return -EEXIST;
	}
	return 0;
}

/* What is measured is the default, but for what is varied. */
static void forget_settings(void)
{
	static const char *const variables[] = {
		"VMB_WAIT",	   "VMB_SPIN_US",     "VMB_EAGER",
		"VMB_LANE_EAGER",  "VMB_LANE_STREAM", "VMB_LANE_DIRECT",
		"VMB_LANE_MAPPED", "VMB_LANES",	      NULL};

	for (int i = 0; variables[i]; i++)
		unsetenv(variables[i]);
	setenv("VMB_CONF", "", 1);
}

static int tune(struct tune *t)
{
	char path[PATH_MAX];
	int rc = check_output(t, path), closed;

	if (!rc)
		rc = choose_processors(&t->options);
	if (rc)
		return rc;
	rc = bench_report_open(&t->options, "tune", columns, &t->report);
	if (rc)
		return rc;
	forget_settings();
	for (unsigned i = 0; i < THRESHOLDS && !rc; i++)
		rc = tune_one(t, i);
	if (!rc)
		rc = tune_spin(t);
	if (!rc && strcmp(path, "-"))
		rc = write_file(t, path);
	closed = bench_report_close(t->report);
	if (!rc && !strcmp(path, "-"))
		rc = write_settings(t, stdout, "standard output");
	return rc ? rc : closed;
}

int main(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{&bench_options_argp, 0, "Shared by all benches:", 10}, {0}};
	static const struct argp argp = {option_list, parse, NULL, doc,
					 children,    NULL,  NULL};
	struct tune t = {0};

	bench_options_init(&t.options);
	t.options.time_ms = 100;
	argp_parse(&argp, argc, argv, 0, NULL, &t);
	return tune(&t) ? EXIT_FAILURE : EXIT_SUCCESS;
}
