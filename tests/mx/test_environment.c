// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_environment.c - what MX's variables change in the process, and signals
 * that come while a call blocks.
 *
 * Flow:  a vmbd of the test's own; its variables, then mx_init()
 * Owns:  the daemon, one at a time.
 * Trust: nothing.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "mx_extensions.h"
#include "support/daemon.h"
#include "support/run.h"

#define T_MS 20000
#define LARGE (1u << 20)
#define returns(call, code) ck_assert_int_eq((int)(call), (int)(code))

static struct t_daemon vmbd;

static void start(void)
{
	char where[128];

	t_daemon_start(&vmbd, NULL);
	snprintf(where, sizeof(where), "local:%s", vmbd.socket);
	setenv("VMB_PORT", where, 1);
	mx_set_error_handler(MX_ERRORS_RETURN);
}

static void attach(void)
{
	start();
	returns(mx_init(), MX_SUCCESS);
}

static void detach(void)
{
	returns(mx_finalize(), MX_SUCCESS);
	t_daemon_stop(&vmbd);
}

static mx_endpoint_t open_one(void)
{
	mx_endpoint_t ep = NULL;

	returns(mx_open_endpoint(0, MX_ANY_ENDPOINT, 0, NULL, 0, &ep), 0);
	return ep;
}

static mx_endpoint_addr_t connect_to(mx_endpoint_t from, uint32_t id)
{
	mx_endpoint_addr_t addr;
	uint64_t nic;

	returns(mx_board_number_to_nic_id(0, &nic), 0);
	returns(mx_connect(from, nic, id, 0, T_MS, &addr), 0);
	return addr;
}

/* ---- MX_MONOTHREAD ----------------------------------------------------------------- */

static unsigned threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned count = 0;

	ck_assert_ptr_nonnull(dir);
	for (struct dirent *d = readdir(dir); d; d = readdir(dir))
		count += d->d_name[0] != '.';
	closedir(dir);
	return count;
}

/* One that was joined is seen for a moment. */
static void wait_until_threads_are(unsigned count)
{
	time_t end = time(NULL) + T_MS / 1000;

	while (threads() != count) {
		ck_assert_int_le(time(NULL), end);
		usleep(1000);
	}
}

static const struct {
	const char *value; /* NULL: not set */
	unsigned each;	   /* threads of an endpoint */
} monothread[] = {{NULL, 1}, {"0", 1}, {"1", 0}};

START_TEST(monothread_has_no_thread_for_progress)
{
	unsigned before, each = monothread[_i].each;
	mx_endpoint_t eps[3];

	unsetenv("MX_MONOTHREAD");
	if (monothread[_i].value)
		setenv("MX_MONOTHREAD", monothread[_i].value, 1);
	attach();
	before = threads();
	for (unsigned i = 0; i < 3; i++) {
		eps[i] = open_one();
		ck_assert_uint_eq(threads(), before + (i + 1) * each);
	}
	for (unsigned i = 0; i < 3; i++)
		returns(mx_close_endpoint(eps[i]), 0);
	wait_until_threads_are(before);
	detach();
}
END_TEST

/* ---- MX_RCACHE --------------------------------------------------------------------- */

static uint32_t counter(const char *label)
{
	char labels[32][MX_MAX_STR_LEN];
	uint32_t count = 0, values[32];

	returns(mx_get_info(NULL, MX_COUNTERS_COUNT, NULL, 0, &count, 4), 0);
	ck_assert_uint_le(count, 32);
	returns(mx_get_info(NULL, MX_COUNTERS_LABELS, NULL, 0, labels,
			    sizeof(labels)),
		0);
	returns(mx_get_info(NULL, MX_COUNTERS_VALUES, NULL, 0, values,
			    sizeof(values)),
		0);
	for (uint32_t i = 0; i < count; i++)
		if (!strcmp(labels[i], label))
			return values[i];
	ck_abort_msg("no counter has the name %s", label);
}

/* From the same memory each time, into the same. */
static void send_large(unsigned times)
{
	mx_endpoint_t a = open_one(), b = open_one();
	mx_endpoint_addr_t to_b = connect_to(a, 1);
	mx_segment_t out = {calloc(1, LARGE), LARGE};
	mx_segment_t in = {calloc(1, LARGE), LARGE};
	mx_request_t send, receive;
	mx_status_t status;
	uint32_t done;

	while (times--) {
		returns(mx_irecv(b, &in, 1, 1, 1, NULL, &receive), 0);
		returns(mx_isend(a, &out, 1, to_b, 1, NULL, &send), 0);
		for (done = 0; !done;) {
			returns(mx_progress(a), 0);
			returns(mx_wait(b, &receive, 1, &status, &done), 0);
		}
		returns(status.code, 0);
		returns(mx_wait(a, &send, T_MS, &status, &done), 0);
		ck_assert_uint_eq(done, 1);
		returns(status.code, 0);
	}
	free(in.segment_ptr);
	free(out.segment_ptr);
}

/* Without it, nothing is kept anyway. */
static bool kernel_lets_us_watch(void)
{
	int fd = (int)syscall(__NR_userfaultfd, O_CLOEXEC | 1);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

START_TEST(rcache_0_keeps_nothing)
{
	unsetenv("VMB_REGCACHE");
	setenv("VMB_LANES", "0", 1); /* copies need no registration */
	setenv("MX_RCACHE", _i ? "0" : "2", 1);
	attach();
	send_large(10);
	/* a registration for each at both ends, or one and then none */
	if (_i) {
		ck_assert_uint_eq(counter("regcache_hits"), 0);
		ck_assert_uint_ge(counter("regcache_misses"), 20);
	} else if (kernel_lets_us_watch()) {
		ck_assert_uint_ge(counter("regcache_hits"), 10);
	}
	detach();
}
END_TEST

/* ---- MX_VERBOSE -------------------------------------------------------------------- */

/* What mx_init() says on standard error. */
static void listen_to_init(char *text, size_t size)
{
	int fds[2], old = dup(STDERR_FILENO);
	ssize_t n;

	ck_assert_int_eq(pipe2(fds, O_NONBLOCK), 0);
	dup2(fds[1], STDERR_FILENO);
	returns(mx_init(), 0);
	dup2(old, STDERR_FILENO);
	n = read(fds[0], text, size - 1);
	text[n > 0 ? n : 0] = 0;
	close(fds[0]);
	close(fds[1]);
	close(old);
}

START_TEST(verbose_says_where_we_are)
{
	char text[400], name[MX_MAX_HOSTNAME_LEN], id[20];
	uint64_t nic;

	start();
	unsetenv("MX_VERBOSE");
	listen_to_init(text, sizeof(text));
	ck_assert_str_eq(text, "");
	returns(mx_finalize(), 0);
	setenv("MX_VERBOSE", "", 1);
	listen_to_init(text, sizeof(text));
	ck_assert_str_eq(text, "");
	returns(mx_finalize(), 0);
	setenv("MX_VERBOSE", "1", 1);
	listen_to_init(text, sizeof(text));
	returns(mx_board_number_to_nic_id(0, &nic), 0);
	returns(mx_nic_id_to_hostname(nic, name), 0);
	snprintf(id, sizeof(id), "%012llx", (unsigned long long)nic);
	ck_assert_ptr_nonnull(strstr(text, "libmyriexpress: vmbypass "));
	ck_assert_ptr_nonnull(strstr(text, name));
	ck_assert_ptr_nonnull(strstr(text, id));
	detach();
}
END_TEST

/* ---- signals ----------------------------------------------------------------------- */

static int ticks; /* signals that this thread has had */
static pthread_t main_thread;

static void tick(int number)
{
	(void)number;
	if (pthread_equal(pthread_self(), main_thread))
		__atomic_add_fetch(&ticks, 1, __ATOMIC_SEQ_CST);
}

/* SIGALRM every 5 ms, and what it interrupts is not begun again. */
static void let_it_tick(void)
{
	const struct itimerval every = {{0, 5000}, {0, 5000}};
	const struct sigaction action = {.sa_handler = tick};

	main_thread = pthread_self();
	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &every, NULL), 0);
}

static void stop_ticking(void)
{
	const struct itimerval never = {{0, 0}, {0, 0}};

	ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
}

/* What ends the call that blocks. */
struct end {
	mx_endpoint_t from; /* NULL: the daemon goes on */
	mx_endpoint_addr_t to;
	uint64_t match;
	int ticks; /* so many after */
};

static void *end_it(void *arg)
{
	struct end *e = arg;

	while (__atomic_load_n(&ticks, __ATOMIC_SEQ_CST) < e->ticks + 10)
		usleep(1000);
	if (e->from)
		returns(mx_isend(e->from, NULL, 0, e->to, e->match, NULL, NULL),
			0);
	else
		ck_assert_int_eq(kill(vmbd.pid, SIGCONT), 0);
	return NULL;
}

/* All signals are for this thread, and ten will come before the end. */
static pthread_t begin(struct end *e)
{
	sigset_t all, before;
	pthread_t thread;

	e->ticks = __atomic_load_n(&ticks, __ATOMIC_SEQ_CST);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ck_assert_int_eq(pthread_create(&thread, NULL, end_it, e), 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return thread;
}

static void finish(pthread_t thread, const struct end *e)
{
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_ge(ticks, e->ticks + 10);
}

enum blocking {
	WAIT,
	WAIT_ANY,
	PEEK,
	PROBE,
	BLOCKING
};

static mx_return_t block(mx_endpoint_t ep, enum blocking call, uint32_t ms,
			 mx_request_t *request, uint32_t *result)
{
	mx_status_t status;
	mx_request_t seen;

	switch (call) {
	case WAIT:
		return mx_wait(ep, request, ms, &status, result);
	case WAIT_ANY:
		return mx_wait_any(ep, ms, 0, 0, &status, result);
	case PEEK:
		return mx_peek(ep, ms, &seen, result);
	default:
		return mx_probe(ep, ms, 0, 0, &status, result);
	}
}

START_TEST(signals_do_not_end_a_wait)
{
	static const uint32_t limits[2] = {MX_INFINITE, T_MS};
	mx_endpoint_t ep, from;
	mx_request_t request = NULL;
	struct end e = {.match = 1};
	mx_status_t status;
	pthread_t thread;
	uint32_t result;

	attach();
	ep = open_one();
	e.from = from = open_one();
	e.to = connect_to(from, 0);
	let_it_tick();
	for (int i = 0; i < 2 * BLOCKING; i++) {
		enum blocking call = (enum blocking)(i / 2);

		if (call != PROBE)
			returns(mx_irecv(ep, NULL, 0, 1, 1, NULL, &request), 0);
		thread = begin(&e);
		returns(block(ep, call, limits[i % 2], &request, &result), 0);
		ck_assert_uint_eq(result, 1);
		finish(thread, &e);
		if (call == PROBE) /* it is still there */
			returns(mx_irecv(ep, NULL, 0, 1, 1, NULL, &request), 0);
		if (call == PROBE || call == PEEK)
			returns(mx_wait(ep, &request, T_MS, &status, &result),
				0);
	}
	stop_ticking();
	detach();
}
END_TEST

/* Nor a limit: less than it has not passed. */
START_TEST(signals_do_not_shorten_a_limit)
{
	struct timespec before, after;
	mx_request_t request;
	mx_status_t status;
	mx_endpoint_t ep;
	uint32_t result;

	attach();
	ep = open_one();
	returns(mx_irecv(ep, NULL, 0, 1, 1, NULL, &request), 0);
	let_it_tick();
	clock_gettime(CLOCK_MONOTONIC, &before);
	returns(mx_wait(ep, &request, 200, &status, &result), 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	stop_ticking();
	ck_assert_uint_eq(result, 0);
	ck_assert_int_ge((after.tv_sec - before.tv_sec) * 1000 +
				 (after.tv_nsec - before.tv_nsec) / 1000000,
			 199);
	detach();
}
END_TEST

/* The daemon stops, and answers when it goes on. */
START_TEST(signals_do_not_end_what_asks_the_daemon)
{
	char name[MX_MAX_HOSTNAME_LEN] = "localhost:0";
	mx_endpoint_addr_t addr;
	struct end e = {.from = NULL};
	mx_endpoint_t ep;
	pthread_t thread;
	uint64_t nic, found;

	attach();
	ep = open_one();
	open_one();
	returns(mx_board_number_to_nic_id(0, &nic), 0);
	let_it_tick();
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(kill(vmbd.pid, SIGSTOP), 0);
		thread = begin(&e);
		if (i == 2) {
			returns(mx_hostname_to_nic_id(name, &found), 0);
			ck_assert_uint_eq(found, nic);
		} else {
			returns(mx_connect(ep, nic, 1, 0, i ? T_MS : 0, &addr),
				0);
		}
		finish(thread, &e);
	}
	stop_ticking();
	detach();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("environment");
	TCase *tc = tcase_create("environment");

	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	tcase_add_loop_test(tc, monothread_has_no_thread_for_progress, 0, 3);
	tcase_add_loop_test(tc, rcache_0_keeps_nothing, 0, 2);
	tcase_add_test(tc, verbose_says_where_we_are);
	tcase_add_test(tc, signals_do_not_end_a_wait);
	tcase_add_test(tc, signals_do_not_shorten_a_limit);
	tcase_add_test(tc, signals_do_not_end_what_asks_the_daemon);
	return t_run(s);
}
