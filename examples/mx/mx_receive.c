// SPDX-License-Identifier: BSD-2-Clause
/*
 * mx_receive.c - receive messages of any length from any sender, and answer
 * each: a program written to Myrinet Express, to which vmbypass is unknown.
 *
 *   mx_receive [COUNT]    prints where it is; mx_send goes there
 *
 * Flow:  probe -> make room -> receive -> answer to the source, by its address
 * Owns:  nothing.
 * Trust: errors end the program: MX's default handler says which.
 */
#include <stdio.h>
#include <stdlib.h>

#include "myriexpress.h"

#define MATCH_DATA 1
#define MATCH_ANSWER 2

static void say_where_we_are(mx_endpoint_t ep)
{
	char name[MX_MAX_HOSTNAME_LEN];
	mx_endpoint_addr_t self;
	uint64_t nic;
	uint32_t id;

	mx_get_endpoint_addr(ep, &self);
	mx_decompose_endpoint_addr(self, &nic, &id);
	mx_nic_id_to_hostname(nic, name);
	printf("receiving at %s %u\n", name, id);
	fflush(stdout);
}

static mx_status_t wait_for(mx_endpoint_t ep, mx_request_t request)
{
	mx_status_t status;
	uint32_t result;

	do {
		mx_wait(ep, &request, MX_INFINITE, &status, &result);
	} while (!result);
	return status;
}

/* The length is known when the message is here. */
static void receive_and_answer(mx_endpoint_t ep)
{
	mx_segment_t seg;
	mx_request_t request;
	mx_status_t status;
	uint32_t result = 0;

	while (!result)
		mx_probe(ep, MX_INFINITE, MATCH_DATA, MX_MATCH_MASK_NONE,
			 &status, &result);
	seg.segment_length = status.msg_length;
	seg.segment_ptr = malloc(status.msg_length + 1);
	if (!seg.segment_ptr) {
		fprintf(stderr, "mx_receive: out of memory\n");
		exit(EXIT_FAILURE);
	}
	mx_irecv(ep, &seg, 1, MATCH_DATA, MX_MATCH_MASK_NONE, NULL, &request);
	status = wait_for(ep, request);
	((char *)seg.segment_ptr)[status.xfer_length] = 0;
	printf("received %u bytes: %.40s\n", status.xfer_length,
	       (char *)seg.segment_ptr);
	fflush(stdout);
	mx_isend(ep, &seg, 1, status.source, MATCH_ANSWER, NULL, &request);
	wait_for(ep, request);
	free(seg.segment_ptr);
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 1;
	mx_endpoint_t ep;

	mx_init();
	mx_open_endpoint(MX_ANY_NIC, MX_ANY_ENDPOINT, 0, NULL, 0, &ep);
	say_where_we_are(ep);
	while (count-- > 0)
		receive_and_answer(ep);
	mx_close_endpoint(ep);
	mx_finalize();
	return EXIT_SUCCESS;
}
