// SPDX-License-Identifier: BSD-2-Clause
/*
 * job.c - one measurement over a transport: ping-pong or stream, the loops of
 * both sides.
 *
 * Flow:  client: JOB -> data -> RESULT    server: the same, answering
 * Owns:  the connection and one buffer.
 * Trust: the client's job is input; a server checks it. Payloads too, when the
 *        job says so.
 */
#include "job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../clock.h"
#include "../cpu.h"
#include "../pattern.h"

/* What the server has seen, to the client, when all is there. */
struct peer_result {
	int32_t code;
	uint32_t reserved;
	int64_t syscalls; /* BENCH_NOT_COUNTED */
	int64_t cpu_ns;	  /* -1: not known */
};

int peer_side_open(struct peer_side *s, const struct peer_transport *transport,
		   const struct peer_where *where,
		   enum bench_count_method count)
{
	int ret;

	memset(s, 0, sizeof(*s));
	s->transport = transport;
	s->buf = calloc(1, PEER_SIZE_MAX);
	if (!s->buf)
		return -ENOMEM;
	ret = transport->open(where, &s->conn);
	if (ret) {
		free(s->buf);
		return ret;
	}
	bench_syscalls_open(&s->syscalls, count);
	return 0;
}

void peer_side_close(struct peer_side *s)
{
	bench_syscalls_close(&s->syscalls);
	s->transport->close(s->conn);
	free(s->buf);
}

/* ---- messages ----------------------------------------------------------- */

static bool job_has(const struct peer_job *job, uint32_t flag)
{
	return job->flags & flag;
}

static int send_one(struct peer_side *s, const struct peer_job *job, uint64_t n)
{
	if (job_has(job, PEER_JOB_VERIFY))
		bench_pattern_fill(s->buf, job->size, job->seed + n);
	return s->transport->send(s->conn, s->buf, job->size,
				  job_has(job, PEER_JOB_SPIN));
}

static int receive_one(struct peer_side *s, const struct peer_job *job,
		       uint64_t n)
{
	int ret = s->transport->receive(s->conn, s->buf, job->size,
					job_has(job, PEER_JOB_SPIN));

	if (!ret && job_has(job, PEER_JOB_VERIFY) &&
	    !bench_pattern_check(s->buf, job->size, job->seed + n))
		return -EBADMSG;
	return ret;
}

/* ---- client ------------------------------------------------------------- */

/* Messages from..until-1; hist NULL: not measured. */
static int client_part(struct peer_side *s, const struct peer_job *job,
		       uint64_t from, uint64_t until, struct bench_hist *hist)
{
	uint64_t last = bench_ticks();
	int ret = 0;

	for (uint64_t n = from; n < until && !ret; n++) {
		uint64_t now;

		ret = send_one(s, job, n);
		if (ret || job_has(job, PEER_JOB_STREAM))
			continue;
		ret = receive_one(s, job, n);
		now = bench_ticks();
		if (hist)
			bench_hist_record(hist, now - last);
		last = now;
	}
	return ret;
}

/* The server answers when the warm part, or all, has arrived. */
static int answer_wait(struct peer_side *s, const struct peer_job *job,
		       struct peer_result *result)
{
	int ret = s->transport->receive(s->conn, result, sizeof(*result),
					job_has(job, PEER_JOB_SPIN));

	return ret ? ret : result->code;
}

static int client_measure(struct peer_side *s, const struct peer_job *job,
			  struct bench_round *r)
{
	struct peer_result result;
	int64_t engine;
	uint64_t started = bench_monotonic_ns();
	int ret;

	if (r->counted)
		bench_syscalls_start(&s->syscalls);
	ret = client_part(s, job, job->warm, job->iters, &r->hist);
	if (r->counted)
		bench_syscalls_stop(&s->syscalls, &r->syscalls[BENCH_CLIENT],
				    &engine);
	if (!ret && !job_has(job, PEER_JOB_STREAM))
		r->ns = bench_monotonic_ns() - started;
	if (!ret)
		ret = answer_wait(s, job, &result);
	if (ret)
		return ret;
	if (job_has(job, PEER_JOB_STREAM))
		r->ns = bench_monotonic_ns() - started;
	r->syscalls[BENCH_SERVER] = result.syscalls;
	r->cpu_ns[BENCH_SERVER] = result.cpu_ns;
	return 0;
}

int peer_job_run(struct peer_side *s, const struct peer_job *job,
		 struct bench_round *r)
{
	unsigned ways = job_has(job, PEER_JOB_STREAM) ? 1 : 2;
	uint64_t before = 0, after = 0, started;
	struct peer_result ready;
	int ret;

	r->messages = (job->iters - job->warm) * ways;
	r->bytes = r->messages * job->size;
	ret = s->transport->send(s->conn, job, sizeof(*job), false);
	if (!ret)
		ret = client_part(s, job, 0, job->warm, NULL);
	if (!ret)
		ret = answer_wait(s, job, &ready);
	if (ret)
		return ret;
	r->counted = job_has(job, PEER_JOB_COUNT) &&
		     !bench_syscalls_begin(&s->syscalls, 0);
	bench_cpu_time(getpid(), &before);
	started = bench_monotonic_ns();
	ret = client_measure(s, job, r);
	r->cpu_window_ns = bench_monotonic_ns() - started;
	if (!bench_cpu_time(getpid(), &after))
		r->cpu_ns[BENCH_CLIENT] = (int64_t)(after - before);
	r->syscalls[BENCH_ENGINE] = 0; /* there is none */
	r->cpu_ns[BENCH_ENGINE] = 0;
	if (r->counted)
		bench_syscalls_end(&s->syscalls);
	return ret;
}

int peer_job_end(struct peer_side *s)
{
	struct peer_job last = {0};

	return s->transport->send(s->conn, &last, sizeof(last), false);
}

/* ---- server ------------------------------------------------------------- */

static int job_check(const struct peer_job *job)
{
	if (job->flags & ~PEER_JOB_FLAGS || job->reserved || !job->size ||
	    job->size > PEER_SIZE_MAX || job->warm > job->iters)
		return -EINVAL;
	return 0;
}

static int server_part(struct peer_side *s, const struct peer_job *job,
		       uint64_t from, uint64_t until)
{
	int ret = 0;

	for (uint64_t n = from; n < until && !ret; n++) {
		ret = receive_one(s, job, n);
		if (!ret && !job_has(job, PEER_JOB_STREAM))
			ret = send_one(s, job, n);
	}
	return ret;
}

static int answer(struct peer_side *s, const struct peer_result *result)
{
	int ret = s->transport->send(s->conn, result, sizeof(*result), false);

	return ret ? ret : result->code;
}

static int server_measure(struct peer_side *s, const struct peer_job *job,
			  struct peer_result *result)
{
	bool counted = job_has(job, PEER_JOB_COUNT) &&
		       !bench_syscalls_begin(&s->syscalls, 0);
	uint64_t before = 0, after = 0;
	int64_t engine;
	int ret;

	ret = answer(s, result);
	bench_cpu_time(getpid(), &before);
	if (counted)
		bench_syscalls_start(&s->syscalls);
	if (!ret)
		ret = server_part(s, job, job->warm, job->iters);
	if (counted)
		bench_syscalls_stop(&s->syscalls, &result->syscalls, &engine);
	if (!bench_cpu_time(getpid(), &after))
		result->cpu_ns = (int64_t)(after - before);
	if (counted)
		bench_syscalls_end(&s->syscalls);
	return ret;
}

static int job_serve(struct peer_side *s, const struct peer_job *job)
{
	struct peer_result result = {.syscalls = BENCH_NOT_COUNTED,
				     .cpu_ns = -1};

	result.code = server_part(s, job, 0, job->warm);
	if (!result.code)
		result.code = server_measure(s, job, &result);
	return answer(s, &result);
}

int peer_job_serve(struct peer_side *s)
{
	int ret;

	do {
		struct peer_job job;

		ret = s->transport->receive(s->conn, &job, sizeof(job), false);
		if (!ret && !job.iters)
			return 0;
		if (!ret)
			ret = job_check(&job);
		if (!ret)
			ret = job_serve(s, &job);
	} while (!ret);
	return ret;
}
