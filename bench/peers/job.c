// SPDX-License-Identifier: BSD-2-Clause
/*
 * job.c - one measurement over a transport: ping-pong or stream, the loops of
 * both sides.
 *
 * Flow:  client: JOB -> data -> RESULT    server: the same, answering
 * Owns:  the connection and the buffers.
 * Trust: the client's job is input; a server checks it. Payloads too, when the
 *        job says so.
 */
#include "job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
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
	ret = transport->open(where, &s->conn);
	if (ret)
		return ret;
	bench_syscalls_open(&s->syscalls, count);
	return 0;
}

static void arena_free(struct peer_side *s)
{
	for (int i = 0; i < 2; i++) {
		free(s->arena[i]);
		s->arena[i] = NULL;
	}
	s->arena_bytes = 0;
}

void peer_side_close(struct peer_side *s)
{
	bench_syscalls_close(&s->syscalls);
	s->transport->close(s->conn);
	arena_free(s);
}

/* ---- buffers ------------------------------------------------------------ */

static uint64_t job_stride(const struct peer_job *job)
{
	uint64_t align = job->size >= 4096 ? 4096 : 64;

	return job->size ? (job->size + align - 1) / align * align : align;
}

static unsigned job_buffers(const struct peer_job *job)
{
	return job->flags & PEER_JOB_ONE_BUFFER ? 1 : job->window;
}

uint64_t peer_job_bytes(const struct peer_job *job)
{
	return job_stride(job) * job_buffers(job);
}

/* Kept from job to job, so that registrations and pages are there. */
static int arena_prepare(struct peer_side *s, const struct peer_job *job)
{
	uint64_t bytes = peer_job_bytes(job);

	if (s->arena_bytes >= bytes)
		return 0;
	arena_free(s);
	for (int i = 0; i < 2; i++) {
		void *at;

		if (posix_memalign(&at, 4096, bytes)) {
			arena_free(s);
			return -ENOMEM;
		}
		s->arena[i] = at;
		memset(at, 0, bytes);
	}
	s->arena_bytes = bytes;
	return 0;
}

static uint8_t *slot_at(const struct peer_side *s, const struct peer_job *job,
			enum peer_direction direction, uint64_t n)
{
	return s->arena[direction] + n % job_buffers(job) * job_stride(job);
}

/* ---- messages ----------------------------------------------------------- */

static bool job_has(const struct peer_job *job, uint32_t flag)
{
	return job->flags & flag;
}

static int payload_check(struct peer_side *s, const struct peer_job *job,
			 uint64_t n)
{
	if (job_has(job, PEER_JOB_VERIFY) &&
	    !bench_pattern_check(slot_at(s, job, PEER_RECEIVE, n), job->size,
				 job->seed + n))
		return -EBADMSG;
	return 0;
}

static void payload_fill(struct peer_side *s, const struct peer_job *job,
			 uint64_t n)
{
	if (job_has(job, PEER_JOB_VERIFY))
		bench_pattern_fill(slot_at(s, job, PEER_SEND, n), job->size,
				   job->seed + n);
}

static int send_one(struct peer_side *s, const struct peer_job *job, uint64_t n)
{
	payload_fill(s, job, n);
	return s->transport->send(s->conn, slot_at(s, job, PEER_SEND, n),
				  job->size, job_has(job, PEER_JOB_SPIN));
}

static int receive_one(struct peer_side *s, const struct peer_job *job,
		       uint64_t n)
{
	int ret =
		s->transport->receive(s->conn, slot_at(s, job, PEER_RECEIVE, n),
				      job->size, job_has(job, PEER_JOB_SPIN));

	return ret ? ret : payload_check(s, job, n);
}

static int start_one(struct peer_side *s, const struct peer_job *job,
		     enum peer_direction direction, uint64_t n)
{
	if (direction == PEER_SEND)
		payload_fill(s, job, n);
	return s->transport->start(s->conn, direction,
				   (unsigned)(n % job->window),
				   slot_at(s, job, direction, n), job->size);
}

static int finish_one(struct peer_side *s, const struct peer_job *job,
		      enum peer_direction direction, uint64_t n)
{
	int ret = s->transport->finish(s->conn, (unsigned)(n % job->window),
				       job_has(job, PEER_JOB_SPIN));

	if (!ret && direction == PEER_RECEIVE)
		ret = payload_check(s, job, n);
	return ret;
}

/* Messages from..until-1 in one direction, a window of them under way. */
static int stream(struct peer_side *s, const struct peer_job *job,
		  enum peer_direction direction, uint64_t from, uint64_t until)
{
	uint64_t done = from;
	int ret = 0;

	if (!s->transport->start) {
		for (uint64_t n = from; n < until && !ret; n++)
			ret = direction == PEER_SEND ? send_one(s, job, n)
						     : receive_one(s, job, n);
		return ret;
	}
	for (uint64_t n = from; n < until && !ret; n++) {
		if (n - done == job->window)
			ret = finish_one(s, job, direction, done++);
		if (!ret)
			ret = start_one(s, job, direction, n);
	}
	while (done < until && !ret)
		ret = finish_one(s, job, direction, done++);
	return ret;
}

/* ---- client ------------------------------------------------------------- */

/* Messages from..until-1; hist NULL: not measured. */
static int client_part(struct peer_side *s, const struct peer_job *job,
		       uint64_t from, uint64_t until, struct bench_hist *hist)
{
	uint64_t last = bench_ticks();
	int ret = 0;

	if (job_has(job, PEER_JOB_STREAM))
		return stream(s, job, PEER_SEND, from, until);
	for (uint64_t n = from; n < until && !ret; n++) {
		uint64_t now;

		ret = send_one(s, job, n);
		if (ret)
			break;
		ret = receive_one(s, job, n);
		now = bench_ticks();
		if (hist)
			bench_hist_record(hist, now - last);
		last = now;
	}
	return ret;
}

/* The other side has nothing meanwhile, and waits in its way. */
static void pause_take(uint64_t ns)
{
	struct timespec left = {(time_t)(ns / 1000000000),
				(long)(ns % 1000000000)};

	while (ns && clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
		continue;
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
	pause_take(job->pause_ns);
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
	ret = arena_prepare(s, job);
	if (!ret)
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

static int job_check(const struct peer_side *s, const struct peer_job *job)
{
	bool empty_ok = s->transport->traits & PEER_MESSAGES;

	if ((!job->size && !empty_ok) || job->flags & ~PEER_JOB_FLAGS ||
	    !job->window || job->window > PEER_WINDOW_MAX ||
	    job->size > PEER_SIZE_MAX || peer_job_bytes(job) > PEER_ARENA_MAX ||
	    job->warm > job->iters ||
	    (!job_has(job, PEER_JOB_STREAM) && job->window != 1))
		return -EINVAL;
	return 0;
}

static int server_part(struct peer_side *s, const struct peer_job *job,
		       uint64_t from, uint64_t until)
{
	int ret = 0;

	if (job_has(job, PEER_JOB_STREAM))
		return stream(s, job, PEER_RECEIVE, from, until);
	for (uint64_t n = from; n < until && !ret; n++) {
		ret = receive_one(s, job, n);
		if (!ret)
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
			ret = job_check(s, &job);
		if (!ret)
			ret = arena_prepare(s, &job);
		if (!ret)
			ret = job_serve(s, &job);
	} while (!ret);
	return ret;
}
