// SPDX-License-Identifier: BSD-2-Clause
/*
 * help.c - what both halves of a test use; see mxtest.h.
 *
 * Flow:  test -> [here] -> mx_*()
 * Owns:  nothing.
 * Trust: every result is checked, so that a test fails where it goes wrong.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control.h"
#include "mxtest.h"
#include "support/pattern.h"

double t_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double t_slowness(void)
{
	const char *text = getenv("CK_TIMEOUT_MULTIPLIER");
	double times = text ? strtod(text, NULL) : 1;

	return times > 1 ? times : 1;
}

void t_compute(double seconds)
{
	double end = t_seconds() + seconds;

	while (t_seconds() < end)
		;
}

/* ---- payload ------------------------------------------------------------------ */

void t_fill(void *buf, size_t len, unsigned seed)
{
	t_pattern_fill(buf, len, seed);
}

void t_verify(const void *buf, size_t len, unsigned seed)
{
	size_t wrong = t_pattern_check(buf, len, seed);

	if (wrong < len)
		t_fail(__FILE__, __LINE__, "byte %zu of %zu is %u, sent was %u",
		       wrong, len, ((const unsigned char *)buf)[wrong],
		       t_pattern_byte(wrong, seed));
}

void *t_alloc(size_t len)
{
	void *p = calloc(1, len ? len : 1);

	T_CHECK(p != NULL);
	return p;
}

/* ---- requests ----------------------------------------------------------------- */

static mx_segment_t piece(const void *buf, size_t len)
{
	return (mx_segment_t){.segment_ptr = (void *)(uintptr_t)buf,
			      .segment_length = (uint32_t)len};
}

mx_request_t t_isend(struct peer *p, uint64_t match, const void *buf,
		     size_t len)
{
	mx_segment_t seg = piece(buf, len);
	mx_request_t request = NULL;

	T_OK(mx_isend(p->ep, &seg, 1, p->to, match, NULL, &request));
	T_CHECK(request != NULL);
	return request;
}

mx_request_t t_issend(struct peer *p, uint64_t match, const void *buf,
		      size_t len)
{
	mx_segment_t seg = piece(buf, len);
	mx_request_t request = NULL;

	T_OK(mx_issend(p->ep, &seg, 1, p->to, match, NULL, &request));
	T_CHECK(request != NULL);
	return request;
}

mx_request_t t_irecv(struct peer *p, uint64_t match, void *buf, size_t len)
{
	mx_segment_t seg = piece(buf, len);
	mx_request_t request = NULL;

	T_OK(mx_irecv(p->ep, &seg, 1, match, MX_MATCH_MASK_NONE, NULL,
		      &request));
	T_CHECK(request != NULL);
	return request;
}

mx_status_t t_finish(struct peer *p, mx_request_t request)
{
	mx_status_t status;
	uint32_t result = 0;

	T_OK(mx_wait(p->ep, &request, T_MS, &status, &result));
	if (!result)
		t_fail(__FILE__, __LINE__, "a request did not end in time");
	T_CHECK(request == NULL);
	return status;
}

mx_status_t t_finish_well(struct peer *p, mx_request_t request)
{
	mx_status_t status = t_finish(p, request);

	T_EQ(status.code, MX_STATUS_SUCCESS);
	return status;
}

void t_put(struct peer *p, uint64_t match, size_t len)
{
	void *buf = t_alloc(len);

	t_fill(buf, len, (unsigned)match);
	t_finish_well(p, t_isend(p, match, buf, len));
	free(buf);
}

void t_take(struct peer *p, uint64_t match, size_t len)
{
	void *buf = t_alloc(len);
	mx_status_t status = t_finish_well(p, t_irecv(p, match, buf, len));

	T_EQ(status.xfer_length, len);
	T_EQ(status.msg_length, len);
	t_verify(buf, len, (unsigned)match);
	free(buf);
}

mx_status_t t_probe(struct peer *p, uint64_t match)
{
	mx_status_t status;
	uint32_t result = 0;

	T_OK(mx_probe(p->ep, T_MS, match, MX_MATCH_MASK_NONE, &status,
		      &result));
	T_EQ(result, 1);
	return status;
}

void t_sync(struct peer *p)
{
	uint64_t out = p->far ? CONTROL_SYNC_NEAR : CONTROL_SYNC_FAR;
	uint64_t in = p->far ? CONTROL_SYNC_FAR : CONTROL_SYNC_NEAR;
	mx_request_t request = t_irecv(p, in, NULL, 0);

	t_finish_well(p, t_isend(p, out, NULL, 0));
	t_finish_well(p, request);
}
