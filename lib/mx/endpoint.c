// SPDX-License-Identifier: BSD-2-Clause
/*
 * endpoint.c - MX endpoints from open to close, and their progress.
 *
 * Flow:  mx_open_endpoint() -> a place in the table -> vmb_open()
 * Owns:  the table.
 * Trust: parameters and handles are input.
 *
 * A handle is the address of a place. Places are never unmapped and are given
 * out again in turn, so a closed handle is recognised for a long time.
 */
#include <stdlib.h>
#include <string.h>

#include <mx/mx_vmbypass.h>

#include "mx/mx.h"

/* MX buffers so much for a receiver; programs have it in their bones. */
#define EAGER_BYTES 32768u
/* Room for several such messages under way. */
#define BUFFER_BYTES (256u << 10)
/* A limit below what vmb grants would only make senders wait. */
#define UNEXPECTED_BYTES (64u << 20)
/* Nobody who gives none expects one. */
#define UNEXPECTED_DEFAULT (1ul << 30)
/* What was reported complete outlives its sender, also if the receiver computes
 * for a while. */
#define LINGER_MS 10000

struct mx_endpoint mx_endpoints[MX_ENDPOINTS];

static struct {
	pthread_mutex_t mutex;
	unsigned next;	 /* where to look for a free place */
	unsigned places; /* from the first, ever used */
} table = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- places ------------------------------------------------------------------ */

unsigned mx_endpoint_places(void)
{
	return __atomic_load_n(&table.places, __ATOMIC_ACQUIRE);
}

static struct mx_endpoint *take_place(void)
{
	struct mx_endpoint *e = NULL;

	pthread_mutex_lock(&table.mutex);
	for (unsigned i = 0; i < MX_ENDPOINTS; i++) {
		unsigned at = table.next++ % MX_ENDPOINTS;

		if (mx_endpoints[at].used)
			continue;
		e = &mx_endpoints[at];
		*e = (struct mx_endpoint){.used = true};
		pthread_mutex_init(&e->mutex, NULL);
		if (at >= table.places)
			__atomic_store_n(&table.places, at + 1,
					 __ATOMIC_RELEASE);
		break;
	}
	pthread_mutex_unlock(&table.mutex);
	return e;
}

static void give_place(struct mx_endpoint *e)
{
	__atomic_store_n(&e->ep, NULL, __ATOMIC_RELEASE);
	pthread_mutex_lock(&table.mutex);
	e->used = false;
	pthread_mutex_unlock(&table.mutex);
}

struct vmb_endpoint *mx_endpoint_of(mx_endpoint_addr_t addr)
{
	struct vmb_endpoint *ep = NULL;

	return vmb_addr_endpoint(mx_addr_to_vmb(addr), &ep) ? NULL : ep;
}

/* ---- parameters ---------------------------------------------------------------- */

/* What the program wants, as far as its parameters make sense. */
struct wish {
	struct vmb_open_params open;
	mx_error_handler_t handler;
	uint64_t context_mask;
	mx_return_t code; /* of the first parameter that does not */
};

static mx_return_t take_context_id(struct wish *w, const mx_param_t *p)
{
	unsigned bits = p->val.context_id.bits;
	unsigned shift = p->val.context_id.shift;

	if (bits > MX_CONTEXT_ID_BITS_MAX || bits + shift > 64)
		return MX_BAD_PARAM_VAL;
	w->context_mask = bits ? (((uint64_t)1 << bits) - 1) << shift : 0;
	return MX_SUCCESS;
}

static mx_return_t take_param(struct wish *w, const mx_param_t *p)
{
	switch (p->key) {
	case MX_PARAM_ERROR_HANDLER:
		w->handler = p->val.error_handler;
		return MX_SUCCESS;
	case MX_PARAM_UNEXP_QUEUE_MAX:
		w->open.unexpected_max = p->val.unexp_queue_max;
		if (w->open.unexpected_max < UNEXPECTED_BYTES)
			w->open.unexpected_max = UNEXPECTED_BYTES;
		return MX_SUCCESS;
	case MX_PARAM_CONTEXT_ID:
		return take_context_id(w, p);
	default:
		return MX_BAD_PARAM_NAME;
	}
}

static void take_params(struct wish *w, const mx_param_t *params,
			uint32_t count)
{
	if (count && !params)
		w->code = MX_BAD_PARAM_LIST;
	for (uint32_t i = 0; i < count && !w->code; i++)
		w->code = take_param(w, &params[i]);
}

uint32_t mx_eager_bytes(void)
{
	struct vmb_limits l = {.size = sizeof(l)};

	if (getenv("VMB_EAGER") && !vmb_query_limits(&l))
		return l.eager_max; /* somebody has chosen */
	return EAGER_BYTES;
}

/*
 * MX_MONOTHREAD=1: no thread of ours, and the waiting ones spin, unless
 * VMB_WAIT says something else.
 */
static void take_environment(struct vmb_open_params *o)
{
	const char *mono = getenv("MX_MONOTHREAD");

	if (!mono || strcmp(mono, "1") != 0)
		o->flags |= VMB_OPEN_BACKGROUND;
	else if (!getenv("VMB_WAIT"))
		o->wait = VMB_WAIT_SPIN;
	o->eager_max = mx_eager_bytes();
}

/* ---- open and close -------------------------------------------------------------- */

/* Ask the daemon now who we are: mx_connect() has a time limit later. */
static void meet_ourselves(struct vmb_endpoint *ep)
{
	struct vmb_addr self;

	if (!vmb_self(ep, &self))
		vmb_addr_query(ep, self, NULL, NULL, NULL);
}

static mx_return_t open_place(struct mx_endpoint *e, struct wish *w)
{
	struct vmb_endpoint *ep;
	int rc = vmb_open(&w->open, &ep);

	if (rc)
		return mx_fail_open(w->handler, rc);
	meet_ourselves(ep);
	e->handler = w->handler;
	e->context_mask = w->context_mask;
	__atomic_store_n(&e->ep, ep, __ATOMIC_RELEASE);
	return MX_SUCCESS;
}

/* What is wrong with the arguments; MX_SUCCESS: nothing. */
static mx_return_t check_open(const struct wish *w, uint32_t board,
			      const mx_endpoint_t *endpoint, const char **why)
{
	*why = NULL;
	if (!mx_is_initialized())
		return MX_NOT_INITIALIZED;
	if (!endpoint) {
		*why = "no place for the endpoint";
		return MX_BAD_BAD_BAD;
	}
	if (board != MX_BOARD && board != MX_ANY_NIC)
		return MX_BOARD_UNKNOWN;
	return w->code;
}

mx_return_t mx_open_endpoint(uint32_t board_number, uint32_t endpoint_id,
			     uint32_t endpoint_key, mx_param_t *params_array,
			     uint32_t params_count, mx_endpoint_t *endpoint)
{
	struct wish w = {
		.open =
			{
				.size = sizeof(w.open),
				.id = endpoint_id == MX_ANY_ENDPOINT
					      ? VMB_ANY_ID
					      : endpoint_id,
				.key = endpoint_key,
				.rx_bytes = BUFFER_BYTES,
				.tx_bytes = BUFFER_BYTES,
				.unexpected_max = UNEXPECTED_DEFAULT,
				.linger_ms = LINGER_MS,
			},
	};
	struct mx_endpoint *e;
	mx_return_t code;
	const char *why;

	take_params(&w, params_array, params_count);
	code = check_open(&w, board_number, endpoint, &why);
	if (code)
		return mx_fail_to(w.handler, __func__, code, why);
	take_environment(&w.open);
	e = take_place();
	if (!e)
		return mx_fail_to(w.handler, __func__, MX_NO_RESOURCES, NULL);
	code = open_place(e, &w);
	if (mx_beneath(e))
		*endpoint = e;
	else
		give_place(e);
	return code;
}

mx_return_t mx_close_endpoint(mx_endpoint_t endpoint)
{
	struct vmb_endpoint *ep = mx_beneath(endpoint);
	int rc = ep ? vmb_close(ep) : -EINVAL;

	if (rc == -EDEADLK)
		return mx_fail(endpoint, __func__, MX_CLOSE_IN_HANDLER, NULL);
	if (rc)
		return mx_fail_vmb(endpoint, __func__, rc, MX_BAD_ENDPOINT);
	give_place(endpoint);
	return MX_SUCCESS;
}

void mx_endpoint_close_all(void)
{
	for (unsigned i = 0; i < mx_endpoint_places(); i++) {
		struct vmb_endpoint *ep = mx_beneath(&mx_endpoints[i]);

		if (ep && !vmb_close(ep))
			give_place(&mx_endpoints[i]);
	}
}

void mx_endpoint_drop_all(void)
{
	pthread_mutex_init(&table.mutex, NULL); /* its holder is not here */
	for (unsigned i = 0; i < mx_endpoint_places(); i++)
		mx_endpoints[i] = (struct mx_endpoint){.used = false};
}

/* ---- progress ---------------------------------------------------------------------- */

mx_return_t mx_wakeup(mx_endpoint_t endpoint)
{
	int rc = vmb_wakeup(mx_beneath(endpoint));

	return rc ? mx_fail_vmb(endpoint, __func__, rc, MX_BAD_ENDPOINT)
		  : MX_SUCCESS;
}

mx_return_t mx_progress(mx_endpoint_t endpoint)
{
	int rc = vmb_progress(mx_beneath(endpoint));

	if (rc && rc != -EDEADLK) /* a handler runs in the middle of one */
		return mx_fail_vmb(endpoint, __func__, rc, MX_BAD_ENDPOINT);
	return MX_SUCCESS;
}

mx_return_t mx_disable_progression(mx_endpoint_t endpoint)
{
	int rc = vmb_hold(mx_beneath(endpoint), 1);

	return rc ? mx_fail_vmb(endpoint, __func__, rc, MX_BAD_ENDPOINT)
		  : MX_SUCCESS;
}

mx_return_t mx_reenable_progression(mx_endpoint_t endpoint)
{
	int rc = vmb_hold(mx_beneath(endpoint), 0);

	if (!rc)
		rc = vmb_progress(mx_beneath(endpoint));
	if (rc && rc != -EDEADLK)
		return mx_fail_vmb(endpoint, __func__, rc, MX_BAD_ENDPOINT);
	return MX_SUCCESS;
}

/* ---- beneath ------------------------------------------------------------------------ */

mx_return_t mx_vmbypass_endpoint(mx_endpoint_t endpoint,
				 struct vmb_endpoint **ep)
{
	struct vmb_endpoint *beneath = mx_beneath(endpoint);

	if (!ep || !beneath)
		return mx_fail_vmb(endpoint, __func__, -EINVAL, MX_BAD_BAD_BAD);
	*ep = beneath;
	return MX_SUCCESS;
}
