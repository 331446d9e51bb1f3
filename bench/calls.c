// SPDX-License-Identifier: BSD-2-Clause
/*
 * calls.c - see calls.h.
 *
 * Flow:  side -> [here] -> vmb_*() or mx_*() -> the same endpoint
 * Owns:  nothing.
 * Trust: its callers. What MX says of a failure is -EIO here.
 */
#include "calls.h"

#include <errno.h>
#include <stdlib.h>

#include <mx/mx_extensions.h>
#include <mx/mx_vmbypass.h>

#include "options.h"
#include "side.h"

const char *const bench_api_names[BENCH_APIS + 1] = {"vmb", "mx", NULL};

/* ---- vmb ---------------------------------------------------------------- */

static int vmb_send(struct bench_side *s, void *data, uint64_t len,
		    struct vmb_req **req)
{
	struct vmb_segment segment = {data, len};

	return vmb_isend(s->ep, &segment, 1, s->peer, BENCH_MATCH_DATA, NULL,
			 req);
}

static int vmb_receive(struct bench_side *s, void *data, uint64_t len,
		       struct vmb_req **req)
{
	struct vmb_segment segment = {data, len};

	return vmb_irecv(s->ep, &segment, 1, BENCH_MATCH_DATA, VMB_MATCH_ALL,
			 NULL, req);
}

static int vmb_finish(struct bench_side *s, struct vmb_req **req,
		      int timeout_ms, struct bench_outcome *outcome, int *done)
{
	struct vmb_status status;
	int ret = timeout_ms ? vmb_wait(s->ep, req, timeout_ms, &status, done)
			     : vmb_test(s->ep, req, &status, done);

	if (!ret && *done) {
		outcome->code = status.code;
		outcome->len = status.xfer_len;
	}
	return ret;
}

static int vmb_pass(struct bench_side *s)
{
	return vmb_progress(s->ep);
}

/* ---- MX ----------------------------------------------------------------- */

static int mx_send(struct bench_side *s, void *data, uint64_t len,
		   struct vmb_req **req)
{
	mx_endpoint_addr_t to = {{s->peer.opaque[0], s->peer.opaque[1]}};
	mx_segment_t segment = {data, (uint32_t)len};

	return mx_isend(s->mx, &segment, 1, to, BENCH_MATCH_DATA, NULL,
			(mx_request_t *)(void *)req)
		       ? -EIO
		       : 0;
}

static int mx_receive(struct bench_side *s, void *data, uint64_t len,
		      struct vmb_req **req)
{
	mx_segment_t segment = {data, (uint32_t)len};

	return mx_irecv(s->mx, &segment, 1, BENCH_MATCH_DATA,
			MX_MATCH_MASK_NONE, NULL, (mx_request_t *)(void *)req)
		       ? -EIO
		       : 0;
}

static int mx_finish(struct bench_side *s, struct vmb_req **req, int timeout_ms,
		     struct bench_outcome *outcome, int *done)
{
	mx_request_t *request = (mx_request_t *)(void *)req;
	uint32_t limit = timeout_ms < 0 ? MX_INFINITE : (uint32_t)timeout_ms;
	mx_status_t status;
	uint32_t result = 0;
	mx_return_t code =
		timeout_ms ? mx_wait(s->mx, request, limit, &status, &result)
			   : mx_test(s->mx, request, &status, &result);

	*done = (int)result;
	if (result) {
		outcome->code = status.code ? -EIO : 0;
		outcome->len = status.xfer_length;
	}
	return code ? -EIO : 0;
}

static int mx_pass(struct bench_side *s)
{
	return mx_progress(s->mx) ? -EIO : 0;
}

const struct bench_calls bench_calls[BENCH_APIS] = {
	[BENCH_API_VMB] = {vmb_send, vmb_receive, vmb_finish, vmb_pass},
	[BENCH_API_MX] = {mx_send, mx_receive, mx_finish, mx_pass},
};

/* ---- attach and open ------------------------------------------------------ */

/* MX has no way to say how to wait: the environment does. */
int bench_api_attach(enum bench_api api, enum vmb_wait_mode wait)
{
	if (api == BENCH_API_VMB)
		return vmb_init();
	if (wait != VMB_WAIT_DEFAULT)
		setenv("VMB_WAIT", bench_wait_text(wait), 1);
	mx_set_error_handler(MX_ERRORS_RETURN);
	switch (mx_init()) {
	case MX_SUCCESS:
		return 0;
	case MX_NO_DEV:
		return -ENOENT;
	default:
		return -EIO;
	}
}

void bench_api_detach(enum bench_api api)
{
	if (api == BENCH_API_VMB)
		vmb_finalize();
	else
		mx_finalize();
}

int bench_api_open(enum bench_api api, struct bench_side *s,
		   enum vmb_wait_mode wait, uint32_t id)
{
	struct vmb_open_params params = {.size = sizeof(params),
					 .id = id,
					 .wait = wait,
					 .unexpected_max = s->unexpected_max};

	s->mx = NULL;
	if (api == BENCH_API_VMB)
		return vmb_open(&params, &s->ep);
	if (mx_open_endpoint(MX_ANY_NIC,
			     id == VMB_ANY_ID ? MX_ANY_ENDPOINT : id, 0, NULL,
			     0, &s->mx) ||
	    mx_vmbypass_endpoint(s->mx, &s->ep))
		return -EIO;
	return 0;
}

void bench_api_close(struct bench_side *s)
{
	if (s->mx)
		mx_close_endpoint(s->mx);
	else
		vmb_close(s->ep);
	s->mx = NULL;
	s->ep = NULL;
}
