// SPDX-License-Identifier: BSD-2-Clause
/*
 * info.c - mx_get_info(): what is asked about a board.
 *
 * Flow:  mx_get_info() -> a row of the table -> vmb queries -> out_val
 * Owns:  nothing.
 * Trust: keys, lengths and pointers are input. in_val may be out_val.
 */
#include <stdio.h>
#include <string.h>

#include "mx/mx.h"

/* A program was seen that cannot have more; a process may open more. */
#define ENDPOINTS_TOLD 32u

union answer {
	uint32_t number;
	uint64_t ids[2];
	char text[MX_MAX_STR_LEN];
};

/* ---- counters ------------------------------------------------------------------ */

#define COUNTER(name)                                      \
	{                                                  \
#name, offsetof(struct vmb_counters, name) \
	}

static const struct {
	const char *label;
	size_t at;
} counters[] = {
	COUNTER(eager),		  COUNTER(rendezvous),
	COUNTER(pipelined),	  COUNTER(expected),
	COUNTER(unexpected),	  COUNTER(bounced),
	COUNTER(resumed),	  COUNTER(sleeps),
	COUNTER(kicks),		  COUNTER(regcache_hits),
	COUNTER(regcache_misses), COUNTER(regcache_invalidated),
};

#define COUNTERS (sizeof(counters) / sizeof(counters[0]))
#define COUNTERS_OF_ENDPOINTS 9 /* the others are of the process */

static void copy_labels(char *out)
{
	memset(out, 0, COUNTERS * MX_MAX_STR_LEN);
	for (size_t i = 0; i < COUNTERS; i++)
		snprintf(out + i * MX_MAX_STR_LEN, MX_MAX_STR_LEN, "%s",
			 counters[i].label);
}

static void add_counters(uint32_t *values, struct vmb_endpoint *ep)
{
	struct vmb_counters c = {.size = sizeof(c)};
	uint64_t value;

	if (!ep || vmb_query_counters(ep, &c))
		return;
	for (size_t i = 0; i < COUNTERS; i++) {
		memcpy(&value, (char *)&c + counters[i].at, sizeof(value));
		if (i < COUNTERS_OF_ENDPOINTS)
			values[i] += (uint32_t)value;
		else
			values[i] = (uint32_t)value;
	}
}

/* Of the endpoint, or of all that this process has open on the board. */
static void copy_values(struct vmb_endpoint *ep, void *out)
{
	uint32_t values[COUNTERS] = {0};

	if (ep)
		add_counters(values, ep);
	for (unsigned i = 0; !ep && i < mx_endpoint_places(); i++)
		add_counters(values, mx_beneath(&mx_endpoints[i]));
	memcpy(out, values, sizeof(values));
}

/* ---- answers -------------------------------------------------------------------- */

static uint32_t give_number(union answer *a, uint32_t number)
{
	a->number = number;
	return sizeof(a->number);
}

static uint32_t give_text(union answer *a, const char *text)
{
	return (uint32_t)snprintf(a->text, sizeof(a->text), "%s", text) + 1;
}

static uint32_t give_limit(union answer *a, mx_get_info_key_t key)
{
	struct vmb_limits l = {.size = sizeof(l)};

	if (vmb_query_limits(&l))
		return 0;
	if (key == MX_PIO_SEND_MAX)
		return give_number(a, l.inline_max);
	return give_number(a, l.endpoints_max < ENDPOINTS_TOLD
				      ? l.endpoints_max
				      : ENDPOINTS_TOLD);
}

static uint32_t give_ids(union answer *a)
{
	a->ids[1] = 0;
	return vmb_nic_id(&a->ids[0]) ? 0 : sizeof(a->ids);
}

static uint32_t give_serial(union answer *a)
{
	uint64_t nic_id;

	if (vmb_nic_id(&nic_id))
		return 0;
	return (uint32_t)snprintf(a->text, sizeof(a->text), "%012llx",
				  (unsigned long long)nic_id) +
	       1;
}

/* Bytes of the answer; 0: unknown key or no answer. */
static uint32_t answer(union answer *a, mx_get_info_key_t key)
{
	switch (key) {
	case MX_NIC_COUNT:
	case MX_PORT_COUNT:
		return give_number(a, 1);
	case MX_NIC_IDS:
		return give_ids(a);
	case MX_MAX_NATIVE_ENDPOINTS:
	case MX_PIO_SEND_MAX:
		return give_limit(a, key);
	case MX_COPY_SEND_MAX:
		return give_number(a, mx_eager_bytes());
	case MX_NATIVE_REQUESTS:
	case MX_NUMA_NODE:
		return give_number(a, UINT32_MAX);
	case MX_COUNTERS_COUNT:
		return give_number(a, COUNTERS);
	case MX_PRODUCT_CODE:
		return give_text(a, "vmbypass");
	case MX_PART_NUMBER:
		return give_text(a, vmb_version());
	case MX_SERIAL_NUMBER:
		return give_serial(a);
	case MX_NET_TYPE:
		return give_number(a, MX_NET_ETHER);
	case MX_LINE_SPEED:
		return give_number(a, MX_SPEED_OPEN_MX);
	default:
		return 0;
	}
}

/* ---- the call ---------------------------------------------------------------------- */

static bool is_known(mx_get_info_key_t key)
{
	return key >= MX_NIC_COUNT && key <= MX_LINE_SPEED;
}

/* Keys about one board. The others do not look at in_val. */
static bool asks_about_board(mx_get_info_key_t key)
{
	return key >= MX_COUNTERS_COUNT && key != MX_PIO_SEND_MAX &&
	       key != MX_COPY_SEND_MAX;
}

/* Some programs give fewer bytes than four. */
static uint32_t board_of(const void *in_val, uint32_t in_len)
{
	uint32_t board = 0;

	if (in_val)
		memcpy(&board, in_val,
		       in_len < sizeof(board) ? in_len : sizeof(board));
	return board;
}

static mx_return_t give(struct vmb_endpoint *ep, mx_get_info_key_t key,
			void *out, uint32_t room)
{
	union answer a;
	uint32_t len;

	if (key == MX_COUNTERS_LABELS || key == MX_COUNTERS_VALUES) {
		len = key == MX_COUNTERS_LABELS
			      ? COUNTERS * MX_MAX_STR_LEN
			      : COUNTERS * (uint32_t)sizeof(uint32_t);
		if (room < len)
			return MX_BAD_INFO_LENGTH;
		if (key == MX_COUNTERS_LABELS)
			copy_labels(out);
		else
			copy_values(ep, out);
		return MX_SUCCESS;
	}
	len = answer(&a, key);
	if (!len)
		return MX_NIC_DEAD;
	if (room < len)
		return MX_BAD_INFO_LENGTH;
	memcpy(out, &a, len);
	return MX_SUCCESS;
}

mx_return_t mx_get_info(mx_endpoint_t endpoint, mx_get_info_key_t key,
			void *in_val, uint32_t in_len, void *out_val,
			uint32_t out_len)
{
	struct vmb_endpoint *ep = mx_beneath(endpoint);
	mx_return_t code;

	if (!mx_is_initialized() || (endpoint && !ep))
		return mx_fail_vmb(endpoint, __func__, -EINVAL,
				   MX_BAD_ENDPOINT);
	if (!is_known(key))
		return mx_fail(endpoint, __func__, MX_BAD_INFO_KEY, NULL);
	if (!out_val)
		return mx_fail(endpoint, __func__, MX_BAD_INFO_VAL, NULL);
	if (!ep && asks_about_board(key) &&
	    board_of(in_val, in_len) != MX_BOARD)
		return mx_fail(NULL, __func__, MX_BOARD_UNKNOWN, NULL);
	code = give(ep, key, out_val, out_len);
	return code ? mx_fail(endpoint, __func__, code, NULL) : MX_SUCCESS;
}
