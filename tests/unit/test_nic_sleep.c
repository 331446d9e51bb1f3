// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_nic_sleep.c - the engine beside the sleep of one client: the barrier
 * before its own sleep, and how it tells a client that has armed.
 *
 * Flow:  bare descriptors -> stepped engine -> a host that counts
 * Owns:  an engine with one endpoint, for as long as a test runs.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nic/engine.h"
#include "support/run.h"

static const struct vmb_geometry smallest = {
	.eq_slots = VMB_EQ_SLOTS_MIN,
	.rx_bytes = VMB_RX_BYTES_MIN,
	.tx_bytes = VMB_TX_BYTES_MIN,
};

/* ---- an engine with one client ---------------------------------------------------- */

struct alone {
	struct vmb_nic *nic;
	struct vmb_nic_endpoint_info info;
	struct vmb_nic_endpoint *ep;
};

static void alone_close(struct alone *alone)
{
	if (alone->ep)
		vmb_nic_endpoint_remove(alone->nic, alone->ep, false);
	vmb_nic_domain_remove(alone->nic, alone->info.domain);
	vmb_nic_close(alone->nic);
	free(alone->info.area);
}

/* What vmb_nic_endpoint_add() says; if not 0, it is closed again. */
static int alone_open(struct alone *alone, const struct vmb_nic_host *host)
{
	const struct vmb_nic_config config = {
		.host = host, .threads = 1, .endpoints_max = 1};
	struct vmb_nic_endpoint_info *info = &alone->info;
	size_t len = VMB_AREA_BYTES(&smallest);
	uint32_t handle;
	int err;

	ck_assert_int_eq(vmb_nic_open(&config, &alone->nic), 0);
	ck_assert_int_eq(vmb_nic_domain_add(alone->nic, 1, &info->domain), 0);
	info->geometry = smallest;
	info->area = aligned_alloc(VMB_PAGE, len);
	memset(info->area, 0, len);
	err = vmb_nic_endpoint_add(alone->nic, info, &alone->ep, &handle);
	if (err)
		alone_close(alone);
	return err;
}

/* ---- the barrier before a sleep ------------------------------------------------ */

static unsigned barriers;

static void no_notify(void *cookie)
{
	(void)cookie;
}

static void count_barrier(void *arg)
{
	(void)arg;
	barriers++;
}

static const struct vmb_nic_host barrier_host = {
	.notify = no_notify,
	.barrier = count_barrier,
};

/* One client: how many barriers does it take to let it go cold, and sleep? */
static unsigned barriers_of(bool barrier)
{
	struct alone alone = {.info.barrier = barrier};

	ck_assert_int_eq(alone_open(&alone, &barrier_host), 0);
	barriers = 0;
	vmb_nic_kicked(alone.nic, alone.ep);
	ck_assert(!vmb_nic_may_sleep(alone.nic, 0));
	while (!vmb_nic_may_sleep(alone.nic, 0))
		vmb_nic_breathe(alone.nic, 0);
	alone_close(&alone);
	return barriers;
}

/* It is a system call of the engine, and guests fence by themselves. */
START_TEST(barrier_is_for_who_does_not_fence)
{
	ck_assert_uint_eq(barriers_of(true), 1);
	ck_assert_uint_eq(barriers_of(false), 0);
}
END_TEST

/* ---- how a client is told ------------------------------------------------------- */

static unsigned told;
static const uint32_t *told_word;

static void count_told(void *cookie)
{
	(void)cookie;
	told++;
}

static void note_word(uint32_t *word)
{
	told_word = word;
}

static const struct vmb_nic_host telling_host = {
	.notify = count_told,
	.notify_word = note_word,
};

/* Its own FENCE ends, for which it armed with this number: how is it told? */
static void arm_and_fence(struct alone *alone, uint32_t number)
{
	uint8_t *area = alone->info.area;
	struct vmb_control_page *ctl = (void *)(area + VMB_AREA_CONTROL);
	struct vmb_slot *slot = (void *)(area + VMB_AREA_DOORBELL);
	uint32_t position = vmb_low(ctl->progress);

	told = 0;
	told_word = NULL;
	slot += position % VMB_DOORBELL_SLOTS;
	slot->op = VMB_OP_FENCE;
	vmb_publish(&slot->seq, position + 1);
	vmb_publish(&ctl->event_arm, number);
	vmb_nic_kicked(alone->nic, alone->ep);
	while (vmb_low(ctl->progress) == position)
		vmb_nic_breathe(alone->nic, 0);
	ck_assert_uint_eq(ctl->notified, number);
}

static void told_by(bool word)
{
	struct alone alone = {.info.word = word};
	uint8_t *area;

	ck_assert_int_eq(alone_open(&alone, &telling_host), 0);
	area = alone.info.area;
	arm_and_fence(&alone, 7);
	ck_assert(told == 1 && !told_word);
	arm_and_fence(&alone, 8 | VMB_ARM_WORD);
	ck_assert_uint_eq(told, !word);
	ck_assert_ptr_eq(told_word,
			 word ? area + VMB_AREA_CONTROL +
					 offsetof(struct vmb_control_page,
						  notified)
			      : NULL);
	arm_and_fence(&alone, 8 | VMB_ARM_WORD); /* once a number */
	ck_assert(!told && !told_word);
	alone_close(&alone);
}

/* The word is for who has the feature and asks for it. */
START_TEST(client_is_told_as_it_armed)
{
	struct alone alone = {.info.word = true};

	told_by(true);
	told_by(false);
	ck_assert_int_eq(alone_open(&alone, &barrier_host), -EINVAL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("nic_sleep");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, barrier_is_for_who_does_not_fence);
	tcase_add_test(t, client_is_told_as_it_armed);
	suite_add_tcase(s, t);
	return t_run(s);
}
