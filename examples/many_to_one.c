// SPDX-License-Identifier: BSD-2-Clause
/*
 * many_to_one.c - several processes send to one, which takes whatever comes
 * first and tells the senders apart by match bits.
 *
 * Flow:  children: send numbered messages, match = child and number
 *        parent:   a few receives posted for anybody, vmb_wait_any()
 * Owns:  nothing.
 * Trust: see example.h.
 */
#include "example.h"

#define SENDERS 4
#define MESSAGES 1000 /* of each */
#define POSTED 8      /* receives at a time */

/* Match bits: the sender in the upper half, the message in the lower. */
static uint64_t make_match(int sender, int message)
{
	return (uint64_t)sender << 32 | (uint64_t)message;
}

static void send_all(int number, uint32_t id)
{
	struct vmb_endpoint *ep = example_open();
	struct vmb_addr to = example_connect(ep, id);
	struct vmb_segment seg = {&number, sizeof(number)};
	struct vmb_req *req;

	for (int i = 0; i < MESSAGES; i++) {
		check(vmb_isend(ep, &seg, 1, to, make_match(number, i), NULL,
				&req),
		      "vmb_isend");
		example_wait(ep, &req);
	}
	example_close(ep);
}

static void post(struct vmb_endpoint *ep, int *buffer)
{
	struct vmb_segment seg = {buffer, sizeof(*buffer)};
	struct vmb_req *req; /* vmb_wait_any() will find it */

	check(vmb_irecv(ep, &seg, 1, 0, 0, buffer, &req), "vmb_irecv");
}

/* The next message of any sender; its buffer is the context. */
static struct vmb_status take(struct vmb_endpoint *ep)
{
	struct vmb_status status;
	int done;

	check(vmb_wait_any(ep, 0, 0, EXAMPLE_LIMIT_MS, &status, &done),
	      "vmb_wait_any");
	check(done ? status.code : -ETIMEDOUT, "receive");
	return status;
}

int main(void)
{
	struct example_child children[SENDERS];
	int buffers[POSTED], received[SENDERS] = {0};
	struct vmb_endpoint *ep;

	for (int i = 0; i < SENDERS; i++)
		children[i] = example_fork(send_all, i);
	ep = example_open();
	for (int i = 0; i < POSTED; i++)
		post(ep, &buffers[i]);
	for (int i = 0; i < SENDERS; i++)
		example_tell(&children[i], ep);
	for (int i = 0; i < SENDERS * MESSAGES; i++) {
		struct vmb_status status = take(ep);
		int sender = *(int *)status.context;

		/* messages of one sender come in order */
		if (sender < 0 || sender >= SENDERS ||
		    status.match != make_match(sender, received[sender])) {
			fprintf(stderr, "message %llx is not due\n",
				(unsigned long long)status.match);
			return EXIT_FAILURE;
		}
		received[sender]++;
		post(ep, status.context);
	}
	for (int i = 0; i < SENDERS; i++)
		printf("received %d messages of sender %d, in order\n",
		       received[i], i);
	example_close(ep);
	for (int i = 0; i < SENDERS; i++)
		example_join(&children[i]);
	return EXIT_SUCCESS;
}
