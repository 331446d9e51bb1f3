// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_message.c - matching, order, sizes, names: what is said between two.
 *
 * Flow:  near halves are libcheck tests; far halves have the same name
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mxtest.h"

/* ---- sizes ---------------------------------------------------------------------- */

static const size_t sizes[] = {0,     1,      39,	40,
			       41,    96,     97,	4096,
			       4097,  8192,   32768,	32769,
			       65536, 100001, 1u << 20, (9u << 20) + 1};

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* There and back, expected and unexpected. */
START_TEST(every_size_goes_there_and_back)
{
	struct peer p = t_begin("sizes");

	for (unsigned i = 0; i < SIZES; i++) {
		t_put(&p, i, sizes[i]);
		t_take(&p, i, sizes[i]);
	}
	t_end(&p);
}
END_TEST

static void far_sizes(struct peer *p)
{
	for (unsigned i = 0; i < SIZES; i++) {
		if (i % 2) /* let it be unexpected */
			t_probe(p, i);
		t_take(p, i, sizes[i]);
		t_put(p, i, sizes[i]);
	}
}

/* ---- order ----------------------------------------------------------------------- */

#define STREAM 300

/* A length and a kind for each place; all have one match value. */
static size_t stream_len(unsigned i)
{
	static const size_t lens[] = {4, 100, 40000, 5000, 8, 200000, 33000};

	return lens[i * 5 % 7];
}

START_TEST(messages_match_in_the_order_of_sending)
{
	struct peer p = t_begin("order");
	mx_request_t requests[STREAM];
	uint32_t *out[STREAM];

	for (uint32_t i = 0; i < STREAM; i++) {
		out[i] = t_alloc(stream_len(i));
		out[i][0] = i;
		requests[i] = i % 3 ? t_isend(&p, 5, out[i], stream_len(i))
				    : t_issend(&p, 5, out[i], stream_len(i));
	}
	for (uint32_t i = 0; i < STREAM; i++) {
		t_finish_well(&p, requests[i]);
		free(out[i]);
	}
	t_end(&p);
}
END_TEST

/* Half of them are posted before anything comes, half after. */
static void far_order(struct peer *p)
{
	mx_request_t requests[STREAM];
	uint32_t *in[STREAM];

	for (uint32_t i = 0; i < STREAM; i++)
		in[i] = t_alloc(200000);
	for (uint32_t i = 0; i < STREAM / 2; i++)
		requests[i] = t_irecv(p, 5, in[i], 200000);
	for (uint32_t i = 0; i < STREAM; i++) {
		mx_status_t status;

		if (i >= STREAM / 2)
			requests[i] = t_irecv(p, 5, in[i], 200000);
		status = t_finish_well(p, requests[i]);
		T_EQ(status.msg_length, stream_len(i));
		T_EQ(in[i][0], i);
	}
	for (uint32_t i = 0; i < STREAM; i++)
		free(in[i]);
}

/* The oldest receive that fits takes the message, whatever its mask. */
START_TEST(oldest_fitting_receive_is_taken)
{
	static const struct {
		uint64_t info, mask;
	} posted[] = {
		{0x30, 0xf0}, {0x12, ~UINT64_C(0)}, {0, 0},
		{0x12, 0xff}, {0x10, 0xf0},	    {0, 0},
	};
	/* match bits, and which of the receives above it meets */
	static const struct {
		uint64_t bits;
		int which;
	} sent[] = {{0x12, 1}, {0x35, 0}, {0x99, 2},
		    {0x12, 3}, {0x12, 4}, {0x12, 5}};
	struct peer p = {0};
	mx_request_t requests[6];
	mx_status_t status;
	uint32_t result;

	t_attach();
	p.ep = t_open();
	T_OK(mx_get_endpoint_addr(p.ep, &p.to));
	for (int i = 0; i < 6; i++)
		T_OK(mx_irecv(p.ep, NULL, 0, posted[i].info, posted[i].mask,
			      NULL, &requests[i]));
	for (int i = 0; i < 6; i++) {
		T_OK(mx_issend(p.ep, NULL, 0, p.to, sent[i].bits, NULL, NULL));
		T_OK(mx_wait(p.ep, &requests[sent[i].which], T_MS, &status,
			     &result));
		T_EQ(result, 1);
		/* the message's bits, not the receive's */
		ck_assert_uint_eq(status.match_info, sent[i].bits);
	}
	t_detach();
}
END_TEST

/* A receive takes the first unexpected message that fits. */
START_TEST(first_unexpected_message_that_fits_is_taken)
{
	static const uint64_t bits[] = {0x11, 0x21, 0x12, 0x22, 0x13};
	static const struct {
		uint64_t info, mask;
		uint64_t gets;
	} asked[] = {{0x20, 0xf0, 0x21},
		     {0x02, 0x0f, 0x12},
		     {0, 0, 0x11},
		     {0x13, ~UINT64_C(0), 0x13},
		     {0, 0, 0x22}};
	struct peer p = {0};

	t_attach();
	p.ep = t_open();
	T_OK(mx_get_endpoint_addr(p.ep, &p.to));
	for (int i = 0; i < 5; i++)
		T_OK(mx_isend(p.ep, NULL, 0, p.to, bits[i], NULL, NULL));
	t_probe(&p, bits[4]);
	for (int i = 0; i < 5; i++) {
		mx_request_t request;

		T_OK(mx_irecv(p.ep, NULL, 0, asked[i].info, asked[i].mask, NULL,
			      &request));
		ck_assert_uint_eq(t_finish_well(&p, request).match_info,
				  asked[i].gets);
	}
	t_detach();
}
END_TEST

/* Data are in place when a later message of the source is complete. */
START_TEST(earlier_data_are_in_place)
{
	struct peer p = t_begin("placed");
	char *buf = t_alloc(1u << 20);

	for (unsigned i = 0; i < 20; i++) {
		t_sync(&p); /* the receive is posted and forgotten */
		t_fill(buf, 1u << 20, i);
		t_finish_well(&p, t_isend(&p, 1, buf, 1u << 20));
		t_finish_well(&p, t_isend(&p, 2, NULL, 0));
	}
	free(buf);
	t_end(&p);
}
END_TEST

static void far_placed(struct peer *p)
{
	char *buf = t_alloc(1u << 20);
	mx_segment_t seg = {buf, 1u << 20};

	for (unsigned i = 0; i < 20; i++) {
		mx_request_t request;

		T_OK(mx_irecv(p->ep, &seg, 1, 1, MX_MATCH_MASK_NONE, NULL,
			      &request));
		T_OK(mx_forget(p->ep, &request));
		T_CHECK(request == NULL);
		t_sync(p);
		t_take(p, 2, 0);
		t_verify(buf, 1u << 20, i);
	}
	free(buf);
}

/* Nothing is taken of it, but it is gone. */
START_TEST(receive_of_no_bytes_takes_a_message)
{
	struct peer p = {0};
	mx_request_t request;
	mx_status_t status;
	uint32_t result;

	t_attach();
	p.ep = t_open();
	T_OK(mx_get_endpoint_addr(p.ep, &p.to));
	t_put(&p, 1, 5);
	T_OK(mx_irecv(p.ep, NULL, 0, 1, MX_MATCH_MASK_NONE, NULL, &request));
	status = t_finish(&p, request);
	T_EQ(status.code, MX_STATUS_TRUNCATED);
	T_EQ(status.msg_length, 5);
	T_EQ(status.xfer_length, 0);
	T_OK(mx_iprobe(p.ep, 0, 0, NULL, &result));
	T_EQ(result, 0);
	t_detach();
}
END_TEST

/* ---- what nobody receives yet -------------------------------------------------------- */

#define PIECE 32768u /* bytes of a message; a little more is counted for it */
#define OVER 100u /* messages that find no room, buffers under way included */

static const struct {
	uint32_t asked, bytes;
} limits[] = {{1, 64u << 20}, {66u << 20, 66u << 20}}; /* see docs/mx.md */

static mx_endpoint_t open_limited(uint32_t bytes)
{
	mx_param_t param = {.key = MX_PARAM_UNEXP_QUEUE_MAX};
	mx_endpoint_t ep = NULL;

	param.val.unexp_queue_max = bytes;
	T_OK(mx_open_endpoint(0, MX_ANY_ENDPOINT, 0, &param, 1, &ep));
	return ep;
}

/* One thread stands in for both. */
static bool is_unexpected(struct peer *from, struct peer *to, uint64_t match)
{
	uint32_t result;

	T_OK(mx_progress(from->ep));
	T_OK(mx_iprobe(to->ep, match, MX_MATCH_MASK_NONE, NULL, &result));
	return result != 0;
}

/* How many of the sends have ended when no other does any more. */
static unsigned sends_ended(struct peer *from, struct peer *to,
			    mx_request_t *sends, unsigned count)
{
	double since = t_seconds();
	unsigned ended = 0;

	while (ended < count && t_seconds() - since < 0.2) {
		mx_status_t status;
		uint32_t result;

		T_OK(mx_progress(to->ep));
		T_OK(mx_test(from->ep, &sends[ended], &status, &result));
		if (!result)
			continue;
		T_EQ(status.code, MX_STATUS_SUCCESS);
		ended++;
		since = t_seconds();
	}
	return ended;
}

static void receive_all(struct peer *from, struct peer *to, unsigned count)
{
	double end = t_seconds() + T_MS / 1000 * t_slowness();
	char *in = t_alloc(PIECE);

	for (unsigned i = 0; i < count; i++) {
		while (!is_unexpected(from, to, i))
			T_CHECK(t_seconds() < end);
		memset(in, 0, PIECE);
		T_EQ(t_finish_well(to, t_irecv(to, i, in, PIECE)).xfer_length,
		     PIECE);
		t_verify(in, PIECE, 3);
	}
	free(in);
}

/* When it is emptied they go on, and everything arrives. */
START_TEST(full_unexpected_queue_makes_senders_wait)
{
	unsigned most = limits[_i].bytes / PIECE, count = most + OVER, ended;
	mx_request_t *sends = t_alloc(count * sizeof(*sends));
	double end = t_seconds() + T_MS / 1000 * t_slowness();
	char *out = t_alloc(PIECE);
	struct peer from = {0}, to = {0};

	t_attach();
	from.ep = t_open();
	to.ep = open_limited(limits[_i].asked);
	from.to = t_connect(from.ep, to.ep);
	t_fill(out, PIECE, 3);
	for (unsigned i = 0; i < count; i++)
		sends[i] = t_isend(&from, i, out, PIECE);
	/* it takes what was asked for, and no more */
	while (!is_unexpected(&from, &to, most - OVER / 2))
		T_CHECK(t_seconds() < end);
	ended = sends_ended(&from, &to, sends, count);
	T_CHECK(ended < count);
	T_CHECK(!is_unexpected(&from, &to, most));
	receive_all(&from, &to, count);
	for (unsigned i = ended; i < count; i++)
		t_finish_well(&from, sends[i]);
	t_detach();
	free(sends);
	free(out);
}
END_TEST

/* ---- context ids ------------------------------------------------------------------- */

/* The same results as without. */
START_TEST(context_ids_change_no_result)
{
	mx_param_t param = {.key = MX_PARAM_CONTEXT_ID};
	const uint64_t field = UINT64_C(1) << 41;
	struct peer p = {0};
	mx_status_t status;
	mx_request_t request;
	uint32_t result;

	param.val.context_id.bits = 1;
	param.val.context_id.shift = 41;
	t_attach();
	T_OK(mx_open_endpoint(0, MX_ANY_ENDPOINT, 0, &param, 1, &p.ep));
	T_OK(mx_get_endpoint_addr(p.ep, &p.to));
	T_OK(mx_isend(p.ep, NULL, 0, p.to, 1, NULL, NULL));
	T_OK(mx_isend(p.ep, NULL, 0, p.to, field | 2, NULL, NULL));
	T_OK(mx_probe(p.ep, T_MS, 2, 3, &status, &result)); /* across fields */
	T_EQ(result, 1);
	ck_assert_uint_eq(status.match_info, field | 2);
	T_OK(mx_irecv(p.ep, NULL, 0, field, field, NULL, &request));
	T_OK(mx_peek(p.ep, T_MS, &request, &result));
	T_EQ(result, 1);
	T_OK(mx_wait_any(p.ep, T_MS, 2, 2, &status, &result));
	T_EQ(result, 1);
	T_OK(mx_irecv(p.ep, NULL, 0, 0, field, NULL, &request));
	ck_assert_uint_eq(t_finish_well(&p, request).match_info, 1);
	t_detach();
}
END_TEST

/* ---- names and information ------------------------------------------------------------ */

START_TEST(names_lead_to_nics_and_back)
{
	struct peer p = t_begin("names");
	char name[MX_MAX_HOSTNAME_LEN], bare[MX_MAX_HOSTNAME_LEN];
	char localhost[] = "localhost", first[] = "localhost:0";
	uint64_t far = t_far_nic(), own = t_own_nic(), nic;
	uint32_t board = 9;

	T_OK(mx_nic_id_to_hostname(far, name));
	T_OK(mx_hostname_to_nic_id(name, &nic));
	ck_assert_uint_eq(nic, far);
	ck_assert_ptr_nonnull(strchr(name, ':'));
	snprintf(bare, sizeof(bare), "%s", name);
	*strchr(bare, ':') = 0; /* board 0 */
	T_OK(mx_hostname_to_nic_id(bare, &nic));
	ck_assert_uint_eq(nic, far);
	T_OK(mx_hostname_to_nic_id(localhost, &nic));
	ck_assert_uint_eq(nic, own);
	T_OK(mx_hostname_to_nic_id(first, &nic)); /* as some programs have it */
	ck_assert_uint_eq(nic, own);
	T_OK(mx_nic_id_to_board_number(own, &board));
	T_EQ(board, 0);
	t_end(&p);
}
END_TEST

/* It finds us too: by the name that it has for the sender. */
static void far_names(struct peer *p)
{
	char name[MX_MAX_HOSTNAME_LEN];
	uint64_t nic, again;
	uint32_t id;

	T_OK(mx_decompose_endpoint_addr(p->to, &nic, &id));
	T_OK(mx_nic_id_to_hostname(nic, name));
	T_OK(mx_hostname_to_nic_id(name, &again));
	T_CHECK(again == nic);
}

static uint32_t number(mx_endpoint_t ep, mx_get_info_key_t key)
{
	uint32_t value = 0xdead;

	T_OK(mx_get_info(ep, key, NULL, 0, &value, sizeof(value)));
	return value;
}

START_TEST(info_answers_every_key)
{
	char text[MX_MAX_STR_LEN], *labels;
	uint32_t count, *values, both = 0;
	uint64_t ids[2] = {1, 1};
	mx_endpoint_t ep;

	t_attach();
	ep = t_open();
	T_EQ(number(NULL, MX_NIC_COUNT), 1);
	T_OK(mx_get_info(NULL, MX_NIC_IDS, NULL, 0, ids, sizeof(ids)));
	T_CHECK(ids[0] == t_own_nic() && ids[1] == 0);
	T_CHECK(number(NULL, MX_MAX_NATIVE_ENDPOINTS) >= 1);
	T_CHECK(number(NULL, MX_MAX_NATIVE_ENDPOINTS) <= 32); /* docs/mx.md */
	T_CHECK(number(NULL, MX_NATIVE_REQUESTS) >= 6000);
	T_EQ(number(NULL, MX_PORT_COUNT), 1);
	T_CHECK(number(ep, MX_PIO_SEND_MAX) <= number(ep, MX_COPY_SEND_MAX));
	T_EQ(number(ep, MX_NUMA_NODE), 0xffffffff);
	T_EQ(number(ep, MX_NET_TYPE), MX_NET_ETHER);
	T_EQ(number(ep, MX_LINE_SPEED), MX_SPEED_OPEN_MX);
	/* an endpoint and a board: it is the endpoint's */
	T_OK(mx_get_info(ep, MX_LINE_SPEED, &(uint32_t){7}, 4, &both, 4));
	T_EQ(both, MX_SPEED_OPEN_MX);
	for (int key = MX_PRODUCT_CODE; key <= MX_SERIAL_NUMBER; key++) {
		T_OK(mx_get_info(ep, (mx_get_info_key_t)key, NULL, 0, text,
				 sizeof(text)));
		T_CHECK(strlen(text) > 0);
	}
	/* old programs: in and out the same, a byte for the board */
	T_OK(mx_get_info(NULL, MX_NIC_COUNT, &both, 4, &both, 4));
	T_EQ(both, 1);
	T_OK(mx_get_info(NULL, MX_PORT_COUNT, "", 1, &both, 4));
	count = number(NULL, MX_COUNTERS_COUNT);
	labels = t_alloc(count * MX_MAX_STR_LEN);
	values = t_alloc(count * sizeof(*values));
	T_OK(mx_get_info(ep, MX_COUNTERS_LABELS, NULL, 0, labels,
			 count * MX_MAX_STR_LEN));
	T_OK(mx_get_info(ep, MX_COUNTERS_VALUES, NULL, 0, values,
			 count * (uint32_t)sizeof(*values)));
	for (uint32_t i = 0; i < count; i++)
		T_CHECK(labels[i * MX_MAX_STR_LEN] &&
			memchr(&labels[i * MX_MAX_STR_LEN], 0, MX_MAX_STR_LEN));
	free(labels);
	free(values);
	t_detach();
}
END_TEST

/* ---- tables ------------------------------------------------------------------------------ */

const struct far_half t_message_far[] = {
	{"sizes", far_sizes}, {"order", far_order}, {"placed", far_placed},
	{"names", far_names}, {NULL, NULL},
};

Suite *t_message_suite(void)
{
	Suite *s = suite_create("message");
	TCase *tc = t_case(s, "messages");

	tcase_add_test(tc, every_size_goes_there_and_back);
	tcase_add_test(tc, messages_match_in_the_order_of_sending);
	tcase_add_test(tc, oldest_fitting_receive_is_taken);
	tcase_add_test(tc, first_unexpected_message_that_fits_is_taken);
	tcase_add_test(tc, earlier_data_are_in_place);
	tcase_add_test(tc, receive_of_no_bytes_takes_a_message);
	tcase_add_loop_test(tc, full_unexpected_queue_makes_senders_wait, 0, 2);
	tcase_add_test(tc, context_ids_change_no_result);
	tc = t_case(s, "names");
	tcase_add_test(tc, names_lead_to_nics_and_back);
	tcase_add_test(tc, info_answers_every_key);
	return s;
}
