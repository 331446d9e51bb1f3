// SPDX-License-Identifier: BSD-2-Clause
/*
 * side.c - one endpoint of a measured pair.
 *
 * Flow:  pair -> [here] -> calls -> vmb_isend, mx_isend ...; vmb_am_send
 * Owns:  the endpoint, its buffers, the requests of the job under way.
 * Trust: a job was checked by bench_job_check(); payloads are verified when
 *        the job says so, lengths always.
 */
#include "side.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "pattern.h"

#define SMALL 4096 /* bytes that are sent eagerly in any case */
#define BURST 16   /* messages of each direction per step */

int bench_job_check(const struct bench_job *job)
{
	if (job->pattern >= BENCH_PATTERNS || job->flags & ~BENCH_JOB_FLAGS ||
	    !job->window || job->window > BENCH_WINDOW_MAX ||
	    job->memory > BENCH_MEMORY_MALLOC || job->warm > job->iters ||
	    job->size > BENCH_SIZE_LIMIT || job->arena > BENCH_ARENA_MAX ||
	    bench_job_bytes(job) > job->arena ||
	    (job->pattern == BENCH_PINGPONG && job->window != 1))
		return -EINVAL;
	return 0;
}

static unsigned job_buffers(const struct bench_job *job)
{
	return job->flags & BENCH_JOB_ONE_BUFFER ? 1 : job->window;
}

static uint64_t job_stride(const struct bench_job *job)
{
	uint64_t align = job->size >= 4096 ? 4096 : 64;

	return (job->size + align - 1) / align * align;
}

uint64_t bench_job_bytes(const struct bench_job *job)
{
	return job_stride(job) * job_buffers(job);
}

/* ---- buffers ------------------------------------------------------------ */

static void arena_free(struct bench_side *s)
{
	for (int i = 0; i < 2; i++) {
		if (s->arena[i] && s->memory == BENCH_MEMORY_ALLOC)
			vmb_free(s->arena[i]);
		else
			free(s->arena[i]);
		s->arena[i] = NULL;
	}
	s->arena_bytes = 0;
}

static int arena_allocate(enum bench_memory memory, uint64_t bytes, void **at)
{
	if (memory == BENCH_MEMORY_ALLOC)
		return vmb_alloc(bytes, at);
	return -posix_memalign(at, 4096, bytes);
}

/* Kept from job to job, so that registrations and pages are there. */
static int arena_prepare(struct bench_side *s, const struct bench_job *job)
{
	uint64_t bytes = (job->arena + 4095) / 4096 * 4096;

	if (s->arena_bytes >= bytes && s->memory == job->memory)
		return 0;
	arena_free(s);
	s->memory = (enum bench_memory)job->memory;
	for (int i = 0; i < 2 && bytes; i++) {
		void *at;
		int ret = arena_allocate(s->memory, bytes, &at);

		if (ret) {
			arena_free(s);
			return ret;
		}
		s->arena[i] = at;
		memset(at, 0, bytes);
	}
	s->arena_bytes = bytes;
	return 0;
}

static void *slot_at(const struct bench_side *s, int direction, uint32_t place)
{
	if (!s->job.size)
		return NULL;
	return s->arena[direction] + place * s->stride;
}

/* The next place in the window, without a division: those of a few messages
 * take as long as one of them. */
static void advance(const struct bench_side *s, uint32_t *place)
{
	*place = *place + 1 == s->job.window ? 0 : *place + 1;
}

/* ---- open, close, begin ------------------------------------------------- */

static int payload_check(const struct bench_side *s, const void *data,
			 uint64_t len)
{
	if (len != s->job.size)
		return -EBADMSG;
	if (s->job.flags & BENCH_JOB_VERIFY &&
	    !bench_pattern_check(data, len, s->recv_seed + s->received))
		return -EBADMSG;
	return 0;
}

static void am_arrived(struct vmb_endpoint *ep, const struct vmb_am_msg *msg,
		       void *context)
{
	struct bench_side *s = context;
	int ret;

	(void)ep;
	ret = payload_check(s, msg->data, msg->len);
	if (ret || msg->hdr != s->received)
		s->error = -EBADMSG;
	s->received++;
}

int bench_side_open(struct bench_side *s, enum bench_api api,
		    enum vmb_wait_mode wait, uint32_t id)
{
	int ret = bench_api_open(api, s, wait, id);

	if (ret)
		return ret;
	s->block = wait == VMB_WAIT_BLOCK;
	return vmb_am_register(s->ep, BENCH_AM_ID, am_arrived, s);
}

void bench_side_close(struct bench_side *s)
{
	bench_api_close(s);
	arena_free(s);
}

static int receive_post(struct bench_side *s)
{
	int ret = s->calls->receive(s, slot_at(s, 1, s->post_at), s->job.size,
				    &s->recv_req[s->post_at]);

	if (!ret) {
		s->posted++;
		advance(s, &s->post_at);
	}
	return ret;
}

/* What a job that failed has left behind. */
static void leftovers_drop(struct bench_side *s)
{
	int cancelled;

	for (; s->posted > s->received; s->received++) {
		struct vmb_req **req = &s->recv_req[s->receive_at];

		advance(s, &s->receive_at);
		if (!vmb_cancel(s->ep, req, &cancelled) && !cancelled)
			vmb_forget(s->ep, req);
	}
	for (; !s->delivered && s->sent > s->finished; s->finished++) {
		vmb_forget(s->ep, &s->send_req[s->finish_at]);
		advance(s, &s->finish_at);
	}
}

int bench_side_begin(struct bench_side *s, const struct bench_job *job,
		     bool client)
{
	bool both = job->pattern != BENCH_STREAM;
	int ret;

	leftovers_drop(s);
	if (job->flags & BENCH_JOB_MX && !s->mx)
		return -EOPNOTSUPP; /* opened without --api mx */
	s->calls = &bench_calls[job->flags & BENCH_JOB_MX ? BENCH_API_MX
							  : BENCH_API_VMB];
	ret = arena_prepare(s, job);
	if (ret)
		return ret;
	s->job = *job;
	s->stride = job->flags & BENCH_JOB_ONE_BUFFER ? 0 : job_stride(job);
	s->to_send = client || both ? job->iters : 0;
	s->to_recv = !client || both ? job->iters : 0;
	s->send_seed = job->seed + (client ? 0 : 1ull << 32);
	s->recv_seed = job->seed + (client ? 1ull << 32 : 0);
	s->sent = s->finished = s->posted = s->received = 0;
	s->send_at = s->finish_at = s->post_at = s->receive_at = 0;
	s->error = 0;
	/* an answer tells that what it answers has arrived */
	s->delivered = job->pattern == BENCH_PINGPONG ? &s->received : NULL;
	if (job->flags & BENCH_JOB_AM)
		return 0;
	while (!ret && s->posted < job->window && s->posted < s->to_recv)
		ret = receive_post(s);
	return ret;
}

bool bench_side_done(const struct bench_side *s)
{
	return s->finished == s->to_send && s->received == s->to_recv;
}

/* ---- waiting ------------------------------------------------------------ */

int bench_side_patience(struct bench_side *s, bool moved)
{
	uint64_t now;

	if (moved) {
		s->fruitless = 0;
		return 0;
	}
	if (++s->fruitless % 65536)
		return 0;
	now = bench_monotonic_ns();
	if (s->fruitless == 65536)
		s->quiet_ns = now;
	return now - s->quiet_ns > BENCH_SILENCE_MS * 1000000ull ? -ETIMEDOUT
								 : 0;
}

/* Until something arrives: for what has no request to wait for. */
static int side_sleep(struct bench_side *s)
{
	struct pollfd p = {.events = POLLIN};
	int ret = vmb_fd(s->ep, &p.fd);

	if (ret)
		return ret;
	ret = vmb_arm(s->ep);
	if (ret)
		return ret == -EAGAIN ? 0 : ret;
	ret = poll(&p, 1, BENCH_SILENCE_MS);
	if (!ret)
		return -ETIMEDOUT;
	return ret < 0 && errno != EINTR ? -errno : 0;
}

static int side_progress(struct bench_side *s)
{
	uint64_t before = s->received;
	int ret = vmb_progress(s->ep);

	if (ret < 0)
		return ret;
	if (s->error)
		return s->error;
	if (s->block && s->received == before)
		return side_sleep(s);
	return bench_side_patience(s, s->received != before);
}

/* ---- sending ------------------------------------------------------------ */

/* Which sends have finished? Those that came first are asked first. */
static int sends_finish(struct bench_side *s, bool wait)
{
	if (s->delivered) {
		s->finished = *s->delivered;
		return s->calls->progress(s);
	}
	if (s->job.flags & BENCH_JOB_AM) {
		s->finished = s->sent; /* so the call said by returning 0 */
		return 0;
	}
	while (s->finished < s->sent) {
		struct vmb_req **req;
		struct bench_outcome outcome;
		int done, ret;

		req = &s->send_req[s->finish_at];
		ret = s->calls->wait(s, req, wait ? VMB_INFINITE : 0, &outcome,
				     &done);
		if (ret || !done)
			return ret;
		if (outcome.code)
			return outcome.code;
		s->finished++;
		advance(s, &s->finish_at);
		wait = false;
	}
	return 0;
}

static int send_try(struct bench_side *s)
{
	void *data = slot_at(s, 0, s->send_at);
	uint64_t len = s->job.size;
	int ret;

	if (s->job.flags & BENCH_JOB_VERIFY)
		bench_pattern_fill(data, len, s->send_seed + s->sent);
	if (s->job.flags & BENCH_JOB_AM) {
		struct vmb_segment segment = {data, len};

		ret = vmb_am_send(s->ep, s->peer, BENCH_AM_ID, s->sent,
				  &segment, 1);
	} else {
		ret = s->calls->send(s, data, len,
				     s->delivered ? NULL
						  : &s->send_req[s->send_at]);
	}
	if (!ret) {
		s->sent++;
		advance(s, &s->send_at);
	}
	return ret;
}

/*
 * In a ping-pong the next receive is posted behind the send, as by programs
 * that call send and receive in turn.
 */
static bool receive_is_due(const struct bench_side *s)
{
	return !(s->job.flags & BENCH_JOB_AM) && s->posted == s->received &&
	       s->posted < s->to_recv;
}

int bench_side_send(struct bench_side *s)
{
	int ret;

	/* no event tells that our own buffers have room: ask again */
	while ((ret = send_try(s)) == -EAGAIN) {
		ret = vmb_progress(s->ep);
		if (ret < 0)
			return ret;
	}
	if (!ret && receive_is_due(s))
		ret = receive_post(s);
	return ret;
}

/* ---- receiving ---------------------------------------------------------- */

/* The oldest posted receive has ended: check it; in a stream, post the next. */
static int received_one(struct bench_side *s,
			const struct bench_outcome *outcome)
{
	int ret = outcome->code;

	if (!ret)
		ret = payload_check(s, slot_at(s, 1, s->receive_at),
				    outcome->len);
	if (ret)
		return ret;
	s->received++;
	advance(s, &s->receive_at);
	if (s->job.pattern == BENCH_PINGPONG || s->posted == s->to_recv)
		return 0;
	return receive_post(s);
}

/* Returns 1 when a message was taken in, 0 when there was none. */
static int receive_try(struct bench_side *s)
{
	struct vmb_req **req = &s->recv_req[s->receive_at];
	struct bench_outcome outcome;
	int done, ret;

	ret = s->calls->wait(s, req, 0, &outcome, &done);
	if (ret || !done)
		return ret;
	ret = received_one(s, &outcome);
	return ret ? ret : 1;
}

static int receive_wait(struct bench_side *s)
{
	struct vmb_req **req = &s->recv_req[s->receive_at];
	struct bench_outcome outcome;
	int done, ret;

	ret = s->calls->wait(s, req, BENCH_SILENCE_MS, &outcome, &done);
	if (!ret && !done)
		ret = -ETIMEDOUT;
	return ret ? ret : received_one(s, &outcome);
}

static int am_receive_try(struct bench_side *s)
{
	uint64_t before = s->received;
	int ret = vmb_progress(s->ep);

	if (ret < 0 || s->error)
		return ret < 0 ? ret : s->error;
	return s->received != before;
}

/* A small message comes without the help of its sender: wait, as one would. */
static int receive_small(struct bench_side *s)
{
	struct vmb_req **req = &s->recv_req[s->receive_at];
	struct bench_outcome outcome;
	int done, ret;

	ret = s->calls->wait(s, req, 1, &outcome, &done);
	if (ret || !done)
		return ret;
	ret = received_one(s, &outcome);
	return ret ? ret : 1;
}

/* Both endpoints are ours: the other one must go on too, now and then. */
static int receive_beside(struct bench_side *s, struct bench_side *idle)
{
	bool am = s->job.flags & BENCH_JOB_AM;
	bool small = !am && s->job.size <= SMALL;

	s->fruitless = 0;
	for (unsigned look = 1;; look++) {
		int ret = am	  ? am_receive_try(s)
			  : small ? receive_small(s)
				  : receive_try(s);

		if (ret)
			return ret < 0 ? ret : 0;
		if (!small && look % BURST)
			continue;
		ret = vmb_progress(idle->ep);
		if (ret >= 0)
			ret = bench_side_patience(s, false);
		if (ret < 0)
			return ret;
	}
}

int bench_side_receive(struct bench_side *s, struct bench_side *idle)
{
	uint64_t before = s->received;
	int ret;

	if (idle)
		return receive_beside(s, idle);
	if (!(s->job.flags & BENCH_JOB_AM))
		return receive_wait(s);
	do {
		ret = side_progress(s);
	} while (!ret && s->received == before);
	return ret;
}

/* ---- windows ------------------------------------------------------------ */

static int step_send(struct bench_side *s)
{
	uint64_t burst = 0;
	int ret = sends_finish(s, false);

	while (!ret && burst++ < BURST && s->sent < s->to_send &&
	       s->sent - s->finished < s->job.window)
		ret = send_try(s);
	return ret == -EAGAIN ? 0 : ret;
}

static int step_receive(struct bench_side *s)
{
	int ret = 0;

	if (s->job.flags & BENCH_JOB_AM) {
		ret = am_receive_try(s);
		return ret < 0 ? ret : 0;
	}
	for (int burst = 0; burst < BURST && s->received < s->to_recv;
	     burst++) {
		ret = receive_try(s);
		if (ret <= 0)
			break;
	}
	return ret < 0 ? ret : 0;
}

int bench_side_step(struct bench_side *s)
{
	int ret = s->finished < s->to_send ? step_send(s) : 0;

	if (!ret && (s->received < s->to_recv || s->job.flags & BENCH_JOB_AM))
		ret = step_receive(s);
	return ret;
}

/* Nothing moved: wait for what must come next, if we may sleep at all. */
static int run_wait(struct bench_side *s)
{
	if (!s->block)
		return 0;
	if (s->job.flags & BENCH_JOB_AM)
		return s->sent < s->to_send ? 0 : side_progress(s);
	if (s->received < s->to_recv)
		return receive_wait(s); /* makes the sends go on as well */
	return sends_finish(s, true);
}

int bench_side_run(struct bench_side *s, uint64_t until)
{
	int ret = 0;

	while (!ret && !bench_side_done(s) &&
	       s->finished + s->received < until) {
		uint64_t before = s->sent + s->finished + s->received;
		bool moved;

		ret = bench_side_step(s);
		moved = s->sent + s->finished + s->received != before;
		if (!ret && !moved)
			ret = run_wait(s);
		if (!ret)
			ret = bench_side_patience(s, moved);
	}
	return ret;
}
