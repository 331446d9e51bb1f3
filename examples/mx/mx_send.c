// SPDX-License-Identifier: BSD-2-Clause
/*
 * mx_send.c - send a text to mx_receive, and take its answer: a program written
 * to Myrinet Express, to which vmbypass is unknown.
 *
 *   mx_send HOST[:BOARD] ID TEXT
 *
 * Flow:  name -> nic id -> address -> send, receive
 * Owns:  nothing.
 * Trust: the command line is checked; errors of MX are looked at here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "myriexpress.h"

#define MATCH_DATA 1
#define MATCH_ANSWER 2
#define LIMIT_MS 10000

/* With MX_ERRORS_RETURN every result is ours to check. */
static void check(mx_return_t code, const char *what)
{
	if (code == MX_SUCCESS)
		return;
	fprintf(stderr, "%s: %s\n", what, mx_strerror(code));
	exit(EXIT_FAILURE);
}

static mx_status_t wait_for(mx_endpoint_t ep, mx_request_t *request)
{
	mx_status_t status;
	uint32_t result;

	check(mx_wait(ep, request, LIMIT_MS, &status, &result), "mx_wait");
	if (!result) {
		fprintf(stderr, "no answer in %d ms\n", LIMIT_MS);
		exit(EXIT_FAILURE);
	}
	if (status.code != MX_STATUS_SUCCESS) {
		fprintf(stderr, "request: %s\n", mx_strstatus(status.code));
		exit(EXIT_FAILURE);
	}
	return status;
}

static void exchange(mx_endpoint_t ep, mx_endpoint_addr_t to, char *text)
{
	mx_segment_t out, in;
	mx_request_t send, receive;
	mx_status_t status;

	out.segment_ptr = text;
	out.segment_length = (uint32_t)strlen(text);
	in.segment_ptr = malloc(out.segment_length + 1);
	in.segment_length = out.segment_length;
	if (!in.segment_ptr) {
		fprintf(stderr, "mx_send: out of memory\n");
		exit(EXIT_FAILURE);
	}
	check(mx_irecv(ep, &in, 1, MATCH_ANSWER, MX_MATCH_MASK_NONE, NULL,
		       &receive),
	      "mx_irecv");
	check(mx_isend(ep, &out, 1, to, MATCH_DATA, NULL, &send), "mx_isend");
	wait_for(ep, &send);
	status = wait_for(ep, &receive);
	printf("answer of %u bytes: %.*s\n", status.xfer_length,
	       (int)status.xfer_length, (char *)in.segment_ptr);
	free(in.segment_ptr);
}

int main(int argc, char **argv)
{
	mx_endpoint_addr_t to;
	mx_endpoint_t ep;
	uint64_t nic;

	if (argc != 4) {
		fprintf(stderr, "usage: mx_send HOST[:BOARD] ID TEXT\n");
		return 2;
	}
	mx_set_error_handler(MX_ERRORS_RETURN);
	check(mx_init(), "mx_init");
	check(mx_open_endpoint(MX_ANY_NIC, MX_ANY_ENDPOINT, 0, NULL, 0, &ep),
	      "mx_open_endpoint");
	check(mx_hostname_to_nic_id(argv[1], &nic), argv[1]);
	check(mx_connect(ep, nic, (uint32_t)strtoul(argv[2], NULL, 10), 0,
			 LIMIT_MS, &to),
	      "mx_connect");
	exchange(ep, to, argv[3]);
	check(mx_close_endpoint(ep), "mx_close_endpoint");
	check(mx_finalize(), "mx_finalize");
	return EXIT_SUCCESS;
}
