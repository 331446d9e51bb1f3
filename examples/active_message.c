// SPDX-License-Identifier: BSD-2-Clause
/*
 * active_message.c - active messages: an id, a header word, a payload, and a
 * handler at the other side. No matching, no requests.
 *
 * Flow:  child: sends numbers to add; parent: handler adds, answers the sum
 * Owns:  nothing.
 * Trust: see example.h. The handler checks the length that it was sent.
 */
#include <string.h>
#include <vmbypass/vmb_am.h>

#include "example.h"

#define ID_ADD 1
#define ID_SUM 2
#define NUMBERS 1000

struct sum {
	uint64_t value;
	unsigned count;
};

static void on_add(struct vmb_endpoint *ep, const struct vmb_am_msg *msg,
		   void *context)
{
	struct sum *sum = context;
	uint64_t number;

	(void)ep;
	if (msg->len != sizeof(number))
		return;
	memcpy(&number, msg->data, sizeof(number));
	sum->value += number;
	sum->count++;
	/* the header word tells which is the last; the handler answers it */
	if (msg->hdr == NUMBERS)
		check(vmb_am_send(ep, msg->source, ID_SUM, sum->value, NULL, 0),
		      "vmb_am_send");
}

static void on_sum(struct vmb_endpoint *ep, const struct vmb_am_msg *msg,
		   void *context)
{
	struct sum *sum = context;

	(void)ep;
	sum->value = msg->hdr;
	sum->count++;
}

/* Run handlers, asleep between messages, until so many were counted. */
static void run_until(struct vmb_endpoint *ep, const unsigned *count,
		      unsigned wanted)
{
	int done;

	while (*count < wanted)
		check(vmb_wait_any(ep, 0, 0, 100, NULL, &done), "vmb_wait_any");
}

static void send_numbers(int child, uint32_t id)
{
	struct vmb_endpoint *ep = example_open();
	struct vmb_addr to = example_connect(ep, id);
	struct sum sum = {0};
	int rc;

	(void)child;
	check(vmb_am_register(ep, ID_SUM, on_sum, &sum), "vmb_am_register");
	for (uint64_t i = 1; i <= NUMBERS; i++) {
		struct vmb_segment seg = {&i, sizeof(i)};

		/* it never blocks: make progress until there is room */
		while ((rc = vmb_am_send(ep, to, ID_ADD, i, &seg, 1)) ==
		       -EAGAIN)
			check(vmb_progress(ep), "vmb_progress");
		check(rc, "vmb_am_send");
	}
	run_until(ep, &sum.count, 1);
	printf("child: the sum of 1..%d is %llu\n", NUMBERS,
	       (unsigned long long)sum.value);
	example_close(ep);
}

int main(void)
{
	struct example_child child = example_fork(send_numbers, 0);
	struct vmb_endpoint *ep = example_open();
	struct sum sum = {0};

	check(vmb_am_register(ep, ID_ADD, on_add, &sum), "vmb_am_register");
	example_tell(&child, ep);
	run_until(ep, &sum.count, NUMBERS);
	printf("parent: %u active messages handled\n", sum.count);
	example_close(ep); /* the answer is delivered first */
	example_join(&child);
	return EXIT_SUCCESS;
}
