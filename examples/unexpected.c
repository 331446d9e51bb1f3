// SPDX-License-Identifier: BSD-2-Clause
/*
 * unexpected.c - a server that posts no receives: a handler sees each message
 * as it arrives, and answers.
 *
 * Flow:  child: sends words, receives their lengths
 *        parent: handler counts the letters and posts the answer
 * Owns:  nothing.
 * Trust: see example.h. What the client sent is input: the length decides.
 */
#include <string.h>

#include "example.h"

#define MATCH_WORD 1
#define MATCH_LENGTH 2
#define MATCH_END 3

struct server {
	struct vmb_endpoint *ep;
	int served, ended;
};

static enum vmb_unexpected_action serve(void *context, struct vmb_addr source,
					uint64_t match, uint64_t len,
					const void *data)
{
	struct server *s = context;
	struct vmb_segment seg = {&len, sizeof(len)};

	if (match == MATCH_END)
		s->ended = 1;
	if (match != MATCH_WORD)
		return VMB_UNEXPECTED_FINISHED;
	printf("server: \"%.*s\" has %llu letters\n", data ? (int)len : 0,
	       data ? (const char *)data : "", (unsigned long long)len);
	s->served++;
	/* a small send has copied its data when it returns */
	check(vmb_isend(s->ep, &seg, 1, source, MATCH_LENGTH, NULL, NULL),
	      "vmb_isend");
	return VMB_UNEXPECTED_FINISHED; /* nobody will receive it */
}

static void ask(int number, uint32_t id)
{
	static const char *const words[] = {"user", "level", "messaging"};
	struct vmb_endpoint *ep = example_open();
	struct vmb_addr to = example_connect(ep, id);

	(void)number;
	for (int i = 0; i < 3; i++) {
		struct vmb_segment out = {(void *)(uintptr_t)words[i],
					  strlen(words[i])};
		uint64_t length = 0;
		struct vmb_segment in = {&length, sizeof(length)};
		struct vmb_req *req;

		check(vmb_irecv(ep, &in, 1, MATCH_LENGTH, VMB_MATCH_ALL, NULL,
				&req),
		      "vmb_irecv");
		check(vmb_isend(ep, &out, 1, to, MATCH_WORD, NULL, NULL),
		      "vmb_isend");
		example_wait(ep, &req);
		printf("client: the server counted %llu in \"%s\"\n",
		       (unsigned long long)length, words[i]);
	}
	check(vmb_isend(ep, NULL, 0, to, MATCH_END, NULL, NULL), "vmb_isend");
	example_close(ep); /* delivers it first */
}

int main(void)
{
	struct example_child child = example_fork(ask, 0);
	struct server server = {.ep = example_open()};
	int done;

	check(vmb_set_unexpected_handler(server.ep, serve, &server),
	      "vmb_set_unexpected_handler");
	example_tell(&child, server.ep);
	while (!server.ended) /* handlers run in here */
		check(vmb_wait_any(server.ep, 0, 0, 100, NULL, &done),
		      "vmb_wait_any");
	printf("server: %d requests served\n", server.served);
	example_close(server.ep);
	example_join(&child);
	return EXIT_SUCCESS;
}
