// SPDX-License-Identifier: BSD-2-Clause
/*
 * one_sided_put.c - one process writes into memory of another, which does
 * nothing meanwhile.
 *
 * Flow:  child: registers a window, sends its key, waits for a message
 *        parent: puts, fences, sends the message that says so
 * Owns:  nothing.
 * Trust: see example.h. The key allows writing to the window, and no more.
 */
#include <string.h>
#include <vmbypass/vmb_am.h>

#include "example.h"

#define WINDOW (1u << 20)
#define MATCH_KEY 1
#define MATCH_DONE 2

static void open_window(int number, uint32_t id)
{
	struct vmb_endpoint *ep = example_open();
	struct vmb_addr to = example_connect(ep, id);
	struct vmb_mem *mem;
	struct vmb_req *req;
	uint64_t key;
	struct vmb_segment seg = {&key, sizeof(key)};
	void *window;

	(void)number;
	check(vmb_alloc(WINDOW, &window), "vmb_alloc");
	check(vmb_register(window, WINDOW, VMB_REMOTE_WRITE, &mem),
	      "vmb_register");
	check(vmb_mem_key(mem, &key), "vmb_mem_key");
	check(vmb_isend(ep, &seg, 1, to, MATCH_KEY, NULL, NULL), "vmb_isend");

	check(vmb_irecv(ep, NULL, 0, MATCH_DONE, VMB_MATCH_ALL, NULL, &req),
	      "vmb_irecv");
	example_wait(ep, &req);
	printf("child: my window now says \"%s\"\n", (char *)window);

	check(vmb_deregister(mem), "vmb_deregister");
	check(vmb_free(window), "vmb_free");
	example_close(ep);
}

struct put {
	int ended, code;
	uint64_t moved;
};

static void on_end(struct vmb_endpoint *ep, int code, uint64_t moved,
		   void *context)
{
	struct put *put = context;

	(void)ep;
	put->ended = 1;
	put->code = code;
	put->moved = moved;
}

/* Write text into the window of a peer, and tell the peer after that. */
static void put_text(struct vmb_endpoint *ep, struct vmb_addr to, uint64_t key,
		     const char *text)
{
	struct put put = {0};
	struct vmb_mem *mem;
	void *buf;
	int done;

	check(vmb_alloc(WINDOW, &buf), "vmb_alloc");
	strcpy(buf, text);
	check(vmb_register(buf, WINDOW, 0, &mem), "vmb_register");
	check(vmb_am_put(ep, to, mem, 0, key, 0, WINDOW, on_end, &put),
	      "vmb_am_put");
	/* what follows the fence begins when the put has ended */
	check(vmb_am_fence(ep, NULL, NULL), "vmb_am_fence");
	check(vmb_isend(ep, NULL, 0, to, MATCH_DONE, NULL, NULL), "vmb_isend");
	while (!put.ended)
		check(vmb_wait_any(ep, 0, 0, 100, NULL, &done), "vmb_wait_any");
	check(put.code, "put");
	printf("parent: put %llu bytes\n", (unsigned long long)put.moved);
	check(vmb_deregister(mem), "vmb_deregister");
	check(vmb_free(buf), "vmb_free");
}

int main(void)
{
	struct example_child child = example_fork(open_window, 0);
	struct vmb_endpoint *ep = example_open();
	uint64_t key;
	struct vmb_segment seg = {&key, sizeof(key)};
	struct vmb_req *req;
	struct vmb_addr to;

	example_tell(&child, ep);
	check(vmb_irecv(ep, &seg, 1, MATCH_KEY, VMB_MATCH_ALL, NULL, &req),
	      "vmb_irecv");
	to = example_wait(ep, &req).peer;
	put_text(ep, to, key, "written by another process");
	example_close(ep);
	example_join(&child);
	return EXIT_SUCCESS;
}
