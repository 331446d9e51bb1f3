// SPDX-License-Identifier: BSD-2-Clause
/*
 * pingpong.c - messages back and forth between two processes, timed.
 *
 * Flow:  parent sends, child answers, of each size so many times
 * Owns:  nothing.
 * Trust: see example.h. bench/vmb-pingpong measures with more care.
 */
#include <time.h>

#include "example.h"

#define ROUNDS 2000
#define MATCH 1

static const size_t sizes[] = {0, 8, 64, 1024, 8192, 65536, 1u << 20};

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void send_one(struct vmb_endpoint *ep, struct vmb_addr to,
		     struct vmb_segment *seg)
{
	struct vmb_req *req;

	check(vmb_isend(ep, seg, 1, to, MATCH, NULL, &req), "vmb_isend");
	example_wait(ep, &req);
}

static struct vmb_addr receive_one(struct vmb_endpoint *ep,
				   struct vmb_segment *seg)
{
	struct vmb_req *req;

	check(vmb_irecv(ep, seg, 1, MATCH, VMB_MATCH_ALL, NULL, &req),
	      "vmb_irecv");
	return example_wait(ep, &req).peer;
}

/* Memory that the NIC reaches without any copy of the kernel. */
static struct vmb_segment make_buffer(void)
{
	struct vmb_segment seg = {.len = sizes[SIZES - 1]};

	check(vmb_alloc(seg.len, &seg.ptr), "vmb_alloc");
	return seg;
}

static void answer(int number, uint32_t id)
{
	struct vmb_endpoint *ep = example_open();
	struct vmb_addr to = example_connect(ep, id);
	struct vmb_segment seg = make_buffer();

	(void)number;
	send_one(ep, to, &(struct vmb_segment){NULL, 0}); /* here we are */
	for (size_t i = 0; i < SIZES; i++) {
		seg.len = sizes[i];
		for (int round = 0; round < ROUNDS; round++) {
			receive_one(ep, &seg);
			send_one(ep, to, &seg);
		}
	}
	check(vmb_free(seg.ptr), "vmb_free");
	example_close(ep);
}

int main(void)
{
	struct example_child child = example_fork(answer, 0);
	struct vmb_endpoint *ep = example_open();
	struct vmb_segment seg = make_buffer();
	struct vmb_addr to;
	double start, one_way;

	example_tell(&child, ep);
	to = receive_one(ep, &(struct vmb_segment){NULL, 0});
	printf("%10s %14s %10s\n", "bytes", "one way us", "MB/s");
	for (size_t i = 0; i < SIZES; i++) {
		seg.len = sizes[i];
		start = now_us();
		for (int round = 0; round < ROUNDS; round++) {
			send_one(ep, to, &seg);
			receive_one(ep, &seg);
		}
		one_way = (now_us() - start) / ROUNDS / 2;
		printf("%10zu %14.2f %10.1f\n", sizes[i], one_way,
		       (double)sizes[i] / one_way);
	}
	check(vmb_free(seg.ptr), "vmb_free");
	example_close(ep);
	example_join(&child);
	return EXIT_SUCCESS;
}
