// SPDX-License-Identifier: BSD-2-Clause
/*
 * server.c - the side that is measured with, and what both sides say to each
 * other about it.
 *
 * Flow:  client -> JOB -> [here] -> READY -> data, both ways -> RESULT
 * Owns:  nothing; the endpoint is the caller's.
 * Trust: the client's job is input: it is checked before it is used.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "harness.h"

int bench_control_send(struct bench_side *s, enum bench_control kind,
		       const void *data, size_t len)
{
	struct vmb_segment segment = {(void *)(uintptr_t)data, len};
	struct vmb_status status;
	struct vmb_req *req;
	int done, ret;

	ret = vmb_isend(s->ep, &segment, 1, s->peer, BENCH_MATCH_CONTROL | kind,
			NULL, &req);
	if (!ret)
		ret = vmb_wait(s->ep, &req, BENCH_SILENCE_MS, &status, &done);
	if (ret)
		return ret;
	return done ? status.code : -ETIMEDOUT;
}

int bench_control_receive(struct bench_side *s, enum bench_control kind,
			  void *data, size_t len, int timeout_ms,
			  struct vmb_addr *source)
{
	struct vmb_segment segment = {data, len};
	struct vmb_status status;
	struct vmb_req *req;
	int done, taken, ret;

	ret = vmb_irecv(s->ep, &segment, 1, BENCH_MATCH_CONTROL | kind,
			VMB_MATCH_ALL, NULL, &req);
	if (!ret)
		ret = vmb_wait(s->ep, &req, timeout_ms, &status, &done);
	if (ret)
		return ret;
	if (!done) {
		vmb_cancel(s->ep, &req, &taken);
		return -ETIMEDOUT;
	}
	if (status.code)
		return status.code;
	if (source)
		*source = status.peer;
	return status.xfer_len == len ? 0 : -EPROTO;
}

/* Answer each message with one. */
static int pingpong_serve(struct bench_side *s, uint64_t until)
{
	int ret = 0;

	while (!ret && s->received < until) {
		ret = bench_side_receive(s, NULL);
		if (!ret)
			ret = bench_side_send(s);
	}
	return ret;
}

/* The warm part of the job, or the rest of it. */
static int part_serve(struct bench_side *s, bool warm)
{
	if (s->job.pattern == BENCH_PINGPONG)
		return pingpong_serve(s, warm ? s->job.warm : s->job.iters);
	return bench_side_run(s, warm ? s->job.warm : UINT64_MAX);
}

static void job_measure(struct bench_side *s, struct bench_syscalls *syscalls,
			struct bench_result *result)
{
	bool count = s->job.flags & BENCH_JOB_COUNT;
	uint64_t before = 0, after = 0;
	int64_t nobody;
	int unknown;

	if (count && bench_syscalls_begin(syscalls, 0))
		count = false;
	result->code = part_serve(s, true);
	unknown = bench_cpu_time(getpid(), &before);
	if (count)
		bench_syscalls_start(syscalls);
	if (!result->code)
		result->code = part_serve(s, false);
	if (count)
		bench_syscalls_stop(syscalls, &result->syscalls, &nobody);
	if (!unknown && !bench_cpu_time(getpid(), &after))
		result->cpu_ns = (int64_t)(after - before);
	if (count)
		bench_syscalls_end(syscalls);
}

static int job_serve(struct bench_side *s, struct bench_syscalls *syscalls,
		     const struct bench_job *job)
{
	struct bench_result result = {.syscalls = BENCH_NOT_COUNTED,
				      .cpu_ns = -1};
	struct bench_ready ready = {.code = bench_job_check(job)};
	int ret;

	if (!ready.code)
		ready.code = bench_side_begin(s, job, false);
	ret = bench_control_send(s, BENCH_CONTROL_READY, &ready, sizeof(ready));
	if (ret || ready.code)
		return ret;
	job_measure(s, syscalls, &result);
	ret = bench_control_send(s, BENCH_CONTROL_RESULT, &result,
				 sizeof(result));
	if (result.code)
		bench_fail("the peer's part of a job failed", result.code);
	if (ret || result.code) /* what it sent is not for the next client */
		vmb_disconnect(s->ep, s->peer);
	return ret;
}

int bench_server_run(struct bench_side *s, struct bench_syscalls *syscalls)
{
	int ret;

	do {
		struct bench_job job;

		ret = bench_control_receive(s, BENCH_CONTROL_JOB, &job,
					    sizeof(job), VMB_INFINITE,
					    &s->peer);
		if (!ret)
			ret = job_serve(s, syscalls, &job);
		else if (ret == -EPROTO || ret == -EMSGSIZE)
			ret = 0; /* no job of ours; nobody waits for it */
	} while (!ret);
	return ret;
}
