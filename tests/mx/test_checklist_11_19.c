// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_checklist_11_19.c - the other rows of the checklist; see
 * test_checklist_1_10.c.
 *
 * Flow:  near halves are libcheck tests; far halves have the same name
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "mx_internals/mx__driver_interface.h"
#include "mx_internals/mx__fops.h"
#include "mxtest.h"

#define LARGE (1u << 20)

int mx__regcache_clean(void *ptr, size_t len); /* 14: as Open MPI has it */

/* ---- 11 ----------------------------------------------------------------------- */

START_TEST(row11_probe_fills_both_lengths)
{
	static const size_t lens[3] = {0, 777, LARGE};
	struct peer p = t_begin("row11");

	for (uint64_t i = 0; i < 3; i++) {
		mx_status_t status = t_probe(&p, i);
		uint32_t result;

		T_EQ(status.msg_length, lens[i]);
		T_EQ(status.xfer_length, lens[i]);
		T_EQ(status.code, MX_STATUS_SUCCESS);
		ck_assert_uint_eq(status.match_info, i);
		ck_assert_mem_eq(&status.source, &p.to, sizeof(p.to));
		T_OK(mx_iprobe(p.ep, i, MX_MATCH_MASK_NONE, &status, &result));
		T_EQ(result, 1); /* it stays */
		t_take(&p, i, lens[i]);
		T_OK(mx_iprobe(p.ep, i, MX_MATCH_MASK_NONE, &status, &result));
		T_EQ(result, 0);
	}
	t_end(&p);
}
END_TEST

static void far_row11(struct peer *p)
{
	t_put(p, 0, 0);
	t_put(p, 1, 777);
	t_put(p, 2, LARGE);
}

/* ---- 12 ----------------------------------------------------------------------- */

START_TEST(row12_cancel_writes_its_result)
{
	struct peer p = t_begin("row12");
	static char buf[LARGE];
	uint32_t result = 7;
	mx_request_t send, receive, none = NULL;
	mx_status_t status;

	send = t_issend(&p, 1, buf, LARGE);
	T_FAILS(mx_cancel(p.ep, &send, &result), MX_CANCEL_NOT_SUPPORTED);
	T_EQ(result, 0);
	result = 7;
	T_FAILS(mx_cancel(p.ep, &none, &result), MX_BAD_REQUEST);
	T_EQ(result, 0);
	result = 7;
	T_FAILS(mx_cancel(NULL, &send, &result), MX_BAD_ENDPOINT);
	T_EQ(result, 0);
	t_sync(&p);
	t_finish_well(&p, send);
	receive = t_irecv(&p, 2, buf, 1);
	T_OK(mx_cancel(p.ep, &receive, &result));
	T_EQ(result, 1);
	ck_assert_ptr_null(receive);
	T_OK(mx_test_any(p.ep, 0, 0, &status, &result));
	T_EQ(result, 0); /* nothing is reported of it */
	t_end(&p);
}
END_TEST

static void far_row12(struct peer *p)
{
	t_sync(p);
	void *buf = t_alloc(LARGE);

	t_finish_well(p, t_irecv(p, 1, buf, LARGE));
	free(buf);
}

/* ---- 13 ----------------------------------------------------------------------- */

START_TEST(row13_connects_are_answered_while_the_peer_computes)
{
	struct peer p = t_begin("row13");
	mx_endpoint_addr_t addr;
	mx_return_t code = MX_TIMEOUT;
	uint32_t limit_ms = (uint32_t)(5 * t_slowness());
	unsigned answered = 0, asked = 0;
	double end;

	t_sync(&p); /* it computes for a second from now on */
	end = t_seconds() + 0.5 * t_slowness();
	while (t_seconds() < end) {
		code = mx_connect(p.ep, t_far_nic(), t_far_id, 0, limit_ms,
				  &addr);
		/* a busy machine may lose a time slice; the peer may not */
		T_CHECK(code == MX_SUCCESS || code == MX_TIMEOUT);
		answered += code == MX_SUCCESS;
		asked++;
	}
	/* who waits in vain does so for 5 ms, and an answer takes less by far:
	 * half of the calls are nearly all of the time */
	ck_assert_uint_gt(answered, 0);
	ck_assert_uint_ge(2 * answered, asked);
	ck_assert_mem_eq(&addr, &p.to, sizeof(addr));
	T_OK(mx_connect(p.ep, t_own_nic(), t_id(p.ep), 77, limit_ms, &addr));
	t_end(&p);
}
END_TEST

static void far_row13(struct peer *p)
{
	t_sync(p);
	t_compute(1 * t_slowness());
}

/* Sees the message in its memory, without a call into MX. */
START_TEST(row13_large_messages_arrive_while_the_peer_computes)
{
	struct peer p = t_begin("row13_large");
	static char buf[4 * LARGE];

	memset(buf, 1, sizeof(buf));
	t_sync(&p);
	t_finish_well(&p, t_isend(&p, 1, buf, sizeof(buf)));
	t_end(&p);
}
END_TEST

static void far_row13_large(struct peer *p)
{
	size_t len = 4 * LARGE;
	volatile char *buf = t_alloc(len);
	mx_request_t request = t_irecv(p, 1, (void *)(uintptr_t)buf, len);
	double end = t_seconds() + T_MS / 1000;
	const char *mono = getenv("MX_MONOTHREAD");

	t_sync(p);
	while (!buf[len - 1] && !(mono && !strcmp(mono, "1")))
		if (t_seconds() > end)
			t_fail(__FILE__, __LINE__, "nothing arrives");
	t_finish_well(p, request);
	free((void *)(uintptr_t)buf);
}

/* ---- 14, 16 ------------------------------------------------------------------- */

START_TEST(row14_regcache_clean_links)
{
	char buf[10];

	T_EQ(mx__regcache_clean(buf, sizeof(buf)), 0);
}
END_TEST

struct network {
	uint8_t mac[3];
	uint32_t speed, type;
};

static struct network network(void)
{
	struct network n = {.speed = 99};
	mx_mapper_state_t state;
	mx_endpt_handle_t board = MX__INVALID_HANDLE;
	uint32_t number = 0;

	T_OK(mx_open_board(0, &board));
	T_CHECK(board != MX__INVALID_HANDLE);
	T_OK(mx__get_mapper_state(board, &state));
	memcpy(n.mac, &state.mapper_mac[3], 3);
	T_OK(mx_get_info(NULL, MX_LINE_SPEED, &number, sizeof(number), &n.speed,
			 sizeof(n.speed)));
	T_OK(mx_get_info(NULL, MX_NET_TYPE, &number, sizeof(number), &n.type,
			 sizeof(n.type)));
	return n;
}

START_TEST(row16_network_id_is_the_same_everywhere)
{
	struct peer p = t_begin("row16");
	struct network here = network(), there;

	t_finish_well(&p, t_irecv(&p, 1, &there, sizeof(there)));
	ck_assert_mem_eq(here.mac, there.mac, 3);
	T_EQ(here.speed, there.speed);
	T_EQ(here.type, there.type);
	t_end(&p);
}
END_TEST

static void far_row16(struct peer *p)
{
	struct network n = network();

	t_finish_well(p, t_isend(p, 1, &n, sizeof(n)));
}

/* ---- 15 ----------------------------------------------------------------------- */

#define OWN 4
#define OWN_LEN (9u << 20)

/* By a request, too. */
static void expect_own(struct peer *self, mx_endpoint_addr_t own)
{
	mx_request_t request;
	mx_status_t status;

	T_OK(mx_iconnect(self->ep, t_own_nic(), t_id(self->ep), 3, 7, self,
			 &request));
	status = t_finish_well(self, request);
	ck_assert_mem_eq(&status.source, &own, sizeof(own));
	ck_assert_uint_eq(status.match_info, 7);
	ck_assert_ptr_eq(status.context, self);
}

START_TEST(row15_everything_works_with_oneself)
{
	struct peer self = {0};
	mx_request_t sends[OWN];
	char *buf = t_alloc(OWN_LEN), *in = t_alloc(OWN_LEN);
	uint32_t result;
	mx_endpoint_addr_t own;

	t_attach();
	self.ep = t_open();
	T_OK(mx_get_endpoint_addr(self.ep, &own));
	/* connect, whatever the key: the same address */
	T_OK(mx_connect(self.ep, t_own_nic(), t_id(self.ep), 3, T_MS,
			&self.to));
	ck_assert_mem_eq(&own, &self.to, sizeof(own));
	expect_own(&self, own);
	for (int i = 0; i < OWN; i++) {
		t_fill(buf, OWN_LEN, 5);
		sends[i] = t_isend(&self, 1, buf, OWN_LEN);
	}
	for (int i = 0; i < OWN; i++) {
		mx_status_t s =
			t_finish_well(&self, t_irecv(&self, 1, in, OWN_LEN));

		ck_assert_mem_eq(&s.source, &own, sizeof(own));
		t_verify(in, OWN_LEN, 5);
		t_finish_well(&self, sends[i]);
	}
	sends[0] = t_issend(&self, 1, buf, 10); /* nobody receives */
	t_probe(&self, 1);
	T_OK(mx_disconnect(self.ep, own));
	T_EQ(t_finish(&self, sends[0]).code, MX_STATUS_ENDPOINT_UNREACHABLE);
	T_OK(mx_iprobe(self.ep, 0, 0, NULL, &result));
	T_EQ(result, 0);     /* dropped */
	t_put(&self, 2, 10); /* and connected again at once */
	t_take(&self, 2, 10);
	T_OK(mx_close_endpoint(self.ep));
	t_detach();
	free(buf);
	free(in);
}
END_TEST

/* ---- 17 ----------------------------------------------------------------------- */

#define LAST 200
#define LONG_LEN 32768
#define ROOM 8	   /* so many of them may lie unread */
#define LONG 12	   /* are sent */
#define BUSY_S 2.5 /* longer than vmb_close() waits unless told otherwise */

START_TEST(row17_complete_sends_survive_close_and_exit)
{
	struct peer p = t_begin("row17");

	t_sync(&p);
	for (unsigned i = 0; i < LAST; i++)
		t_take(&p, i, i * 100);
	t_end_silent(&p);
}
END_TEST

/* Complete, close with receives pending, gone: no finalize, no verdict. */
static void far_row17(struct peer *p)
{
	char in[10];

	for (uint64_t i = 0; i < 10; i++)
		t_irecv(p, 1000 + i, in, 10);
	t_sync(p);
	for (unsigned i = 0; i < LAST; i++)
		t_put(p, i, i * 100); /* up to 20 KB: buffered */
	T_OK(mx_close_endpoint(p->ep));
	_Exit(0);
}

/* The receiver takes no event for a while, as if it computed without a thread of MX. */
START_TEST(row17_complete_sends_survive_a_busy_receiver)
{
	struct peer p = t_begin("row17_busy");

	t_sync(&p);
	T_OK(mx_disable_progression(p.ep));
	t_compute(BUSY_S);
	T_OK(mx_reenable_progression(p.ep));
	for (unsigned i = 0; i < LONG; i++)
		t_take(&p, i, LONG_LEN);
	t_end_silent(&p);
}
END_TEST

/* As a rule the last ones are complete at once, and not yet where they belong. */
static void far_row17_busy(struct peer *p)
{
	mx_request_t requests[LONG - ROOM];
	char *buf = t_alloc(LONG * LONG_LEN);

	t_sync(p);
	t_compute(BUSY_S / 5); /* until it is busy */
	for (unsigned i = 0; i < ROOM; i++)
		t_put(p, i, LONG_LEN);
	for (unsigned i = ROOM; i < LONG; i++) {
		t_fill(buf + i * LONG_LEN, LONG_LEN, i);
		requests[i - ROOM] =
			t_isend(p, i, buf + i * LONG_LEN, LONG_LEN);
	}
	for (unsigned i = ROOM; i < LONG; i++)
		t_finish_well(p, requests[i - ROOM]);
	T_OK(mx_close_endpoint(p->ep));
	_Exit(0);
}

/* ---- 18 ----------------------------------------------------------------------- */

#define UNEXPECTED 2500u /* of 32 KiB: more than vmb holds by itself */
#define EACH 125u	 /* of these one is asked for */

#define MANY 6000u
#define MANY_LARGE (650u << 10) /* every third; 1.3 GB in all */

static size_t many_len(unsigned i)
{
	return i % 3 ? i % 1000 : MANY_LARGE;
}

START_TEST(row18_many_requests_queue)
{
	struct peer p = t_begin("row18");
	char *buf = t_alloc(MANY_LARGE);
	mx_request_t *requests = t_alloc(MANY * sizeof(*requests));

	for (unsigned i = 0; i < MANY; i++)
		requests[i] = t_isend(&p, i, buf, many_len(i));
	t_sync(&p);
	for (unsigned i = 0; i < MANY; i++)
		t_finish_well(&p, requests[i]);
	t_end(&p);
	free(requests);
	free(buf);
}
END_TEST

static void far_row18(struct peer *p)
{
	char *buf = t_alloc(MANY_LARGE);
	mx_request_t *requests = t_alloc(MANY * sizeof(*requests));

	t_sync(p);
	for (unsigned i = 0; i < MANY; i++)
		requests[i] = t_irecv(p, i, buf, MANY_LARGE);
	for (unsigned i = 0; i < MANY; i++)
		T_EQ(t_finish_well(p, requests[i]).xfer_length, many_len(i));
	free(requests);
	free(buf);
}

/* What nobody has asked for yet holds up nothing that is asked for. */
START_TEST(row18_unexpected_messages_queue)
{
	struct peer p = t_begin("row18_unexpected");

	for (unsigned i = EACH; i <= UNEXPECTED; i += EACH)
		t_take(&p, UNEXPECTED + i, 10);
	for (unsigned i = 0; i < UNEXPECTED; i++)
		t_take(&p, i, 32768);
	t_end(&p);
}
END_TEST

static void far_row18_unexpected(struct peer *p)
{
	for (unsigned i = 0; i < UNEXPECTED; i++) {
		t_put(p, i, 32768);
		if ((i + 1) % EACH == 0)
			t_put(p, UNEXPECTED + i + 1, 10);
	}
}

#define CANCELLED 4096u

static void *cancel_many(void *arg)
{
	struct peer *p = arg;
	mx_request_t *requests = t_alloc(CANCELLED * sizeof(*requests));
	uint32_t result;

	for (unsigned i = 0; i < CANCELLED; i++)
		requests[i] = t_irecv(p, i, NULL, 0);
	for (unsigned i = 0; i < CANCELLED; i++) {
		T_OK(mx_cancel(p->ep, &requests[i], &result));
		T_EQ(result, 1);
	}
	free(requests);
	return NULL;
}

START_TEST(row18_thousands_can_be_cancelled_by_each_thread)
{
	struct peer p = {0};
	pthread_t threads[4];
	mx_status_t status;
	uint32_t result;

	t_attach();
	p.ep = t_open();
	for (int i = 0; i < 4; i++)
		T_EQ(pthread_create(&threads[i], NULL, cancel_many, &p), 0);
	for (int i = 0; i < 4; i++)
		T_EQ(pthread_join(threads[i], NULL), 0);
	T_OK(mx_test_any(p.ep, 0, 0, &status, &result));
	T_EQ(result, 0);
	T_OK(mx_close_endpoint(p.ep));
	t_detach();
}
END_TEST

/* ---- 19 ----------------------------------------------------------------------- */

#define FRAGMENTS 64

START_TEST(row19_contexts_come_back_and_none_is_invented)
{
	struct peer p = t_begin("row19");
	char in[FRAGMENTS][32], seen[FRAGMENTS] = {0};
	mx_segment_t seg = {NULL, 32};
	unsigned nulls = 0, total = 0;
	mx_status_t status;
	uint32_t result;

	for (int i = 0; i < FRAGMENTS; i++) {
		seg.segment_ptr = in[i];
		T_OK(mx_irecv(p.ep, &seg, 1, 1, MX_MATCH_MASK_NONE, &seen[i],
			      &(mx_request_t){NULL}));
	}
	T_OK(mx_isend(p.ep, NULL, 0, p.to, 2, NULL, &(mx_request_t){NULL}));
	T_OK(mx_isend(p.ep, NULL, 0, p.to, 2, &total, NULL)); /* forgotten */
	while (total < FRAGMENTS + 1) {
		T_OK(mx_wait_any(p.ep, T_MS, 0, 0, &status, &result));
		T_EQ(result, 1);
		total++;
		if (status.context)
			++*(char *)status.context;
		else
			nulls++;
	}
	ck_assert_uint_eq(nulls, 1);
	for (int i = 0; i < FRAGMENTS; i++)
		T_EQ(seen[i], 1);
	T_OK(mx_wait_any(p.ep, 30, 0, 0, &status, &result));
	T_EQ(result, 0);
	t_end(&p);
}
END_TEST

static void far_row19(struct peer *p)
{
	for (int i = 0; i < FRAGMENTS; i++)
		t_put(p, 1, 32);
	t_take(p, 2, 0);
	t_take(p, 2, 0);
}

/* ---- tables --------------------------------------------------------------------- */

const struct far_half t_checklist_11_19_far[] = {
	{"row11", far_row11},
	{"row12", far_row12},
	{"row13", far_row13},
	{"row13_large", far_row13_large},
	{"row16", far_row16},
	{"row17", far_row17},
	{"row17_busy", far_row17_busy},
	{"row18", far_row18},
	{"row18_unexpected", far_row18_unexpected},
	{"row19", far_row19},
	{NULL, NULL},
};

void t_checklist_add_11_19(TCase *tc)
{
	tcase_add_test(tc, row11_probe_fills_both_lengths);
	tcase_add_test(tc, row12_cancel_writes_its_result);
	tcase_add_test(tc, row13_connects_are_answered_while_the_peer_computes);
	tcase_add_test(tc, row13_large_messages_arrive_while_the_peer_computes);
	tcase_add_test(tc, row14_regcache_clean_links);
	tcase_add_test(tc, row15_everything_works_with_oneself);
	tcase_add_test(tc, row16_network_id_is_the_same_everywhere);
	tcase_add_test(tc, row17_complete_sends_survive_close_and_exit);
	tcase_add_test(tc, row17_complete_sends_survive_a_busy_receiver);
	tcase_add_test(tc, row18_many_requests_queue);
	tcase_add_test(tc, row18_unexpected_messages_queue);
	tcase_add_test(tc, row18_thousands_can_be_cancelled_by_each_thread);
	tcase_add_test(tc, row19_contexts_come_back_and_none_is_invented);
}
