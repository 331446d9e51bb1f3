// SPDX-License-Identifier: BSD-2-Clause
/*
 * pair.c - the measuring side of a pair, and the making of the other one.
 *
 * Flow:  sweep -> bench_pair_run() -> side loops -> struct bench_round
 * Owns:  the endpoints, the library, the forked server.
 * Trust: what the server reports is its own count, shown as such.
 */
#include "pair.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "control.h"

/* ---- the forked server -------------------------------------------------- */

static volatile pid_t server_pid;

/* Without its peer a measured loop would spin for ever. */
static void server_died(int sig)
{
	static const char text[] = "\nthe peer process died: giving up\n";
	siginfo_t info = {0};

	(void)sig;
	if (server_pid <= 0 ||
	    waitid(P_PID, (id_t)server_pid, &info,
		   WEXITED | WNOHANG | WNOWAIT) ||
	    !info.si_pid)
		return;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	bench_daemon_abandon();
	_exit(1);
}

/* What the server tells its parent once: it is open, or why not. */
struct hello {
	int32_t code;
	uint32_t id;
};

/* Library, endpoint, and our own address into *self. */
static int endpoint_open(struct bench_side *s,
			 const struct bench_pair_options *o, uint32_t id)
{
	int ret = bench_api_attach(bench_pair_api(o), o->wait);

	if (ret)
		return ret;
	ret = bench_side_open(s, bench_pair_api(o), o->wait, id);
	if (ret)
		bench_api_detach(bench_pair_api(o));
	return ret;
}

static int endpoint_id(struct bench_side *s, uint32_t *id)
{
	struct vmb_addr self;
	int ret = vmb_self(s->ep, &self);

	return ret ? ret : vmb_addr_query(s->ep, self, NULL, id, NULL);
}

static void server_main(struct bench_pair *p, int fd)
{
	const struct bench_options *o = &p->bench->options;
	struct bench_syscalls syscalls;
	struct hello hello = {0};

	bench_syscalls_open(&syscalls, o->count);
	hello.code = bench_cpu_pin(o->cpus[1]);
	if (!hello.code)
		hello.code = endpoint_open(&p->b, p->options, VMB_ANY_ID);
	if (!hello.code)
		hello.code = endpoint_id(&p->b, &hello.id);
	if (write(fd, &hello, sizeof(hello)) != sizeof(hello) || hello.code)
		_exit(1);
	close(fd);
	bench_fail("peer", bench_server_run(&p->b, &syscalls));
	_exit(1);
}

static int server_fork(struct bench_pair *p)
{
	struct hello hello;
	int fds[2];
	ssize_t n;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	p->server = bench_child_fork();
	if (!p->server) {
		close(fds[0]);
		server_main(p, fds[1]);
	}
	close(fds[1]);
	if (p->server < 0) {
		close(fds[0]);
		return (int)p->server;
	}
	n = read(fds[0], &hello, sizeof(hello));
	close(fds[0]);
	if (n != sizeof(hello))
		return -ECHILD;
	p->server_id = hello.id;
	return hello.code;
}

/* Fewer processors than busy threads: spinning would measure the scheduler. */
static bool can_spin(const struct bench_options *o)
{
	return o->cpus[0] != o->cpus[1] && o->cpus[0] != o->engine_cpu &&
	       o->cpus[1] != o->engine_cpu;
}

/*
 * Who was told to spin, and shares a processor, takes turns with the other one
 * in slices of the scheduler. An engine that the user put there is meant.
 */
static void sharing_warn(const struct bench_pair *p)
{
	static const char *const who[] = {
		[3] = "the bench and its peer",
		[5] = "the bench and the engine",
		[6] = "the peer and the engine",
		[7] = "the bench, its peer and the engine",
	};
	const struct bench *b = p->bench;
	bool peer =
		!(p->options->self || p->options->serve || p->options->connect);
	bool engine = b->daemon.private && !b->engine_placed;
	int cpus[] = {b->options.cpus[0],
		      peer ? b->options.cpus[1] : BENCH_CPU_ANY,
		      engine ? b->options.engine_cpu : BENCH_CPU_ANY};
	unsigned sharing = 0;
	int on = BENCH_CPU_ANY;

	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			if (i != j && cpus[i] >= 0 && cpus[i] == cpus[j]) {
				sharing |= 1u << i;
				on = cpus[i];
			}
	if (sharing)
		fprintf(stderr,
			"%s spin on processor %d: the times may be those of "
			"the scheduler\n",
			who[sharing], on);
}

int bench_pair_prepare(struct bench_pair *p, struct bench *bench,
		       struct bench_pair_options *options)
{
	int ret;

	p->bench = bench;
	p->options = options;
	if (!options->wait_chosen)
		options->wait = options->self || can_spin(&bench->options)
					? VMB_WAIT_SPIN
					: VMB_WAIT_BLOCK;
	else if (options->wait == VMB_WAIT_SPIN)
		sharing_warn(p);
	if (options->self || options->serve || options->connect)
		return 0;
	ret = server_fork(p);
	if (ret) {
		bench_child_end(p->server);
		p->server = 0;
		return bench_fail("cannot start the peer process", ret);
	}
	server_pid = p->server;
	signal(SIGCHLD, server_died);
	return 0;
}

/* Processor time of all parties at one moment. */
struct bench_cpu {
	uint64_t at_ns;
	int64_t ns[BENCH_PARTIES]; /* -1: not known */
};

/* ---- open and close ----------------------------------------------------- */

/* NAME/ID, or the endpoint of our own server or second side. */
static int peer_find(struct bench_pair *p, uint64_t *nic_id, uint32_t *id)
{
	char name[VMB_NAME_MAX + 16], *slash;

	if (p->options->self) {
		int ret = endpoint_id(&p->b, id);

		return ret ? ret : vmb_nic_id(nic_id);
	}
	if (!p->options->connect) {
		*id = p->server_id;
		return vmb_nic_id(nic_id);
	}
	snprintf(name, sizeof(name), "%s", p->options->connect);
	slash = strrchr(name, '/');
	if (!slash)
		return -EINVAL;
	*slash = '\0';
	*id = (uint32_t)strtoul(slash + 1, NULL, 10);
	return vmb_name_to_nic_id(name, nic_id);
}

static int sides_connect(struct bench_pair *p)
{
	uint64_t nic_id;
	uint32_t id;
	int ret;

	ret = peer_find(p, &nic_id, &id);
	if (!ret)
		ret = vmb_connect(p->a.ep, nic_id, id, 0, BENCH_SILENCE_MS,
				  &p->a.peer);
	if (ret || !p->options->self)
		return ret;
	ret = endpoint_id(&p->a, &id);
	if (!ret)
		ret = vmb_connect(p->b.ep, nic_id, id, 0, BENCH_SILENCE_MS,
				  &p->b.peer);
	return ret;
}

int bench_pair_open(struct bench_pair *p)
{
	int ret =
		endpoint_open(&p->a, p->options,
			      p->options->serve ? p->options->id : VMB_ANY_ID);

	if (ret)
		return bench_fail("cannot open an endpoint", ret);
	if (p->options->serve)
		return 0;
	if (p->options->self)
		ret = bench_side_open(&p->b, bench_pair_api(p->options),
				      p->options->wait, VMB_ANY_ID);
	if (!ret)
		ret = sides_connect(p);
	if (ret) {
		bench_fail("cannot connect to the peer", ret);
		bench_pair_close(p);
	}
	return ret;
}

void bench_pair_close(struct bench_pair *p)
{
	signal(SIGCHLD, SIG_DFL);
	bench_child_end(p->server);
	p->server = 0;
	server_pid = 0;
	if (!p->a.ep)
		return;
	bench_side_close(&p->a);
	if (p->b.ep)
		bench_side_close(&p->b);
	bench_api_detach(bench_pair_api(p->options));
}

int bench_pair_serve(struct bench_pair *p)
{
	char name[VMB_NAME_MAX];
	uint64_t nic_id;
	uint32_t id;
	int ret;

	ret = vmb_nic_id(&nic_id);
	if (!ret)
		ret = vmb_nic_id_to_name(nic_id, name);
	if (!ret)
		ret = endpoint_id(&p->a, &id);
	if (ret)
		return bench_fail("cannot learn our own address", ret);
	printf("serving; the peer runs with --connect %s/%u\n", name, id);
	fflush(stdout);
	do {
		ret = bench_server_run(&p->a, &p->bench->syscalls);
		/* a client that left is no reason to stop */
	} while (ret == -ECONNRESET || ret == -ETIMEDOUT || ret == -EBADMSG);
	return bench_fail("serving ended", ret);
}

/* ---- a job -------------------------------------------------------------- */

/* There and back once. */
static int ping(struct bench_pair *p)
{
	bool self = p->options->self;
	int ret = bench_side_send(&p->a);

	if (!ret && self)
		ret = bench_side_receive(&p->b, &p->a);
	if (!ret && self)
		ret = bench_side_send(&p->b);
	return ret ? ret : bench_side_receive(&p->a, self ? &p->b : NULL);
}

static int pingpong(struct bench_pair *p, uint64_t until,
		    struct bench_hist *hist)
{
	uint64_t last = bench_ticks();
	int ret = 0;

	while (p->a.received < until && !ret) {
		uint64_t now;

		ret = ping(p);
		now = bench_ticks();
		if (hist)
			bench_hist_record(hist, now - last);
		last = now;
	}
	return ret;
}

/* Messages that have got where they go, as far as we can see. */
static uint64_t moved(const struct bench_pair *p)
{
	return p->a.received +
	       (p->options->self ? p->b.received : p->a.finished);
}

static int window(struct bench_pair *p, uint64_t until)
{
	int ret = 0;

	if (!p->options->self)
		return bench_side_run(&p->a, until);
	while (!ret && moved(p) < until &&
	       !(bench_side_done(&p->a) && bench_side_done(&p->b))) {
		uint64_t before = moved(p);

		ret = bench_side_step(&p->a);
		if (!ret)
			ret = bench_side_step(&p->b);
		if (!ret)
			ret = bench_side_patience(&p->a, moved(p) != before);
	}
	return ret;
}

/* hist NULL: the warm part of the job; else the rest, which is measured. */
static int job_loop(struct bench_pair *p, struct bench_hist *hist)
{
	const struct bench_job *job = &p->a.job;

	if (job->pattern == BENCH_PINGPONG)
		return pingpong(p, hist ? job->iters : job->warm, hist);
	return window(p, hist ? UINT64_MAX : job->warm);
}

static int job_begin(struct bench_pair *p, const struct bench_job *job)
{
	struct bench_ready ready;
	int ret = bench_side_begin(&p->a, job, true);

	if (ret)
		return ret;
	if (p->options->self) {
		ret = bench_side_begin(&p->b, job, false);
		p->a.delivered = &p->b.received;
		p->b.delivered = &p->a.received;
		return ret;
	}
	ret = bench_control_send(&p->a, BENCH_CONTROL_JOB, job, sizeof(*job));
	if (!ret)
		ret = bench_control_receive(&p->a, BENCH_CONTROL_READY, &ready,
					    sizeof(ready), BENCH_SILENCE_MS,
					    NULL);
	return ret ? ret : ready.code;
}

/* With a server, a job has ended when it says that everything is there. */
static int job_end(struct bench_pair *p, struct bench_result *result)
{
	int ret;

	if (p->options->self) {
		result->syscalls = 0; /* of a process that there is not */
		return 0;
	}
	ret = bench_control_receive(&p->a, BENCH_CONTROL_RESULT, result,
				    sizeof(*result), BENCH_SILENCE_MS, NULL);
	return ret ? ret : result->code;
}

static void cpu_read(const struct bench_pair *p, struct bench_cpu *cpu)
{
	uint64_t own, engine;

	cpu->at_ns = bench_monotonic_ns();
	cpu->ns[BENCH_CLIENT] =
		bench_cpu_time(getpid(), &own) ? -1 : (int64_t)own;
	cpu->ns[BENCH_ENGINE] = bench_cpu_time(p->bench->daemon.pid, &engine)
					? -1
					: (int64_t)engine;
	cpu->ns[BENCH_SERVER] = -1;
}

static void round_fill(struct bench_round *r, const struct bench_job *job,
		       const struct bench_result *result,
		       const struct bench_cpu *before,
		       const struct bench_cpu *after)
{
	r->bytes = r->messages * job->size;
	r->cpu_window_ns = after->at_ns - before->at_ns;
	for (int i = 0; i < BENCH_PARTIES; i++)
		r->cpu_ns[i] = before->ns[i] < 0 || after->ns[i] < 0
				       ? -1
				       : after->ns[i] - before->ns[i];
	r->cpu_ns[BENCH_SERVER] = result->cpu_ns;
	r->syscalls[BENCH_SERVER] = result->syscalls;
}

/*
 * The measured part. A ping-pong ends with its last answer, a stream when the
 * receiver says that everything is there.
 */
static int job_measure(struct bench_pair *p, struct bench_round *r,
		       struct bench_result *result)
{
	bool answered = p->a.job.pattern == BENCH_PINGPONG;
	unsigned senders = p->a.job.pattern == BENCH_STREAM ? 1 : 2;
	struct bench_cpu before, after;
	uint64_t started, already = answered ? 2 * p->a.received : moved(p);
	int ret;

	cpu_read(p, &before);
	if (r->counted)
		bench_syscalls_start(&p->bench->syscalls);
	started = bench_monotonic_ns();
	ret = job_loop(p, &r->hist);
	if (!ret && !answered)
		ret = job_end(p, result);
	r->ns = bench_monotonic_ns() - started;
	if (r->counted)
		bench_syscalls_stop(&p->bench->syscalls,
				    &r->syscalls[BENCH_CLIENT],
				    &r->syscalls[BENCH_ENGINE]);
	cpu_read(p, &after);
	if (!ret && answered)
		ret = job_end(p, result);
	r->messages = p->a.job.iters * senders - already;
	round_fill(r, &p->a.job, result, &before, &after);
	return ret;
}

int bench_pair_run(struct bench_pair *p, struct bench_job *job, bool count,
		   struct bench_round *r)
{
	struct bench_result result = {.syscalls = BENCH_NOT_COUNTED,
				      .cpu_ns = -1};
	int ret;

	job->memory = p->options->memory;
	job->flags = (job->flags & (BENCH_JOB_MX | BENCH_JOB_ONE_BUFFER)) |
		     (p->options->verify ? BENCH_JOB_VERIFY : 0) |
		     (p->options->am ? BENCH_JOB_AM : 0) |
		     (count ? BENCH_JOB_COUNT : 0);
	ret = job_begin(p, job);
	if (ret)
		return ret;
	r->counted = count && !bench_syscalls_begin(&p->bench->syscalls,
						    p->bench->daemon.pid);
	ret = job_loop(p, NULL);
	if (!ret)
		ret = job_measure(p, r, &result);
	if (r->counted)
		bench_syscalls_end(&p->bench->syscalls);
	return ret;
}
