// SPDX-License-Identifier: BSD-2-Clause
/*
 * hello.c - one message from one process to another.
 *
 * Flow:  parent: open, tell the child its id, receive
 *        child:  open, connect, send
 * Owns:  nothing.
 * Trust: see example.h.
 */
#include "example.h"

#define MATCH 42

static void send_hello(int number, uint32_t id)
{
	struct vmb_endpoint *ep = example_open();
	struct vmb_addr addr = example_connect(ep, id);
	struct vmb_segment seg;
	struct vmb_req *req;
	char text[64];

	(void)number;
	seg.len = (size_t)snprintf(text, sizeof(text), "hello from process %d",
				   (int)getpid());
	seg.ptr = text;
	check(vmb_isend(ep, &seg, 1, addr, MATCH, NULL, &req), "vmb_isend");
	example_wait(ep, &req);
	example_close(ep);
}

int main(void)
{
	struct example_child child = example_fork(send_hello, 0);
	struct vmb_endpoint *ep = example_open();
	char text[64] = "", name[VMB_NAME_MAX];
	struct vmb_segment seg = {text, sizeof(text) - 1};
	struct vmb_status status;
	struct vmb_req *req;
	uint64_t nic_id;

	example_tell(&child, ep);
	check(vmb_irecv(ep, &seg, 1, MATCH, VMB_MATCH_ALL, NULL, &req),
	      "vmb_irecv");
	status = example_wait(ep, &req);

	check(vmb_nic_id(&nic_id), "vmb_nic_id");
	check(vmb_nic_id_to_name(nic_id, name), "vmb_nic_id_to_name");
	printf("process %d on %s received \"%s\" (%llu bytes)\n", (int)getpid(),
	       name, text, (unsigned long long)status.xfer_len);
	example_close(ep);
	example_join(&child);
	return EXIT_SUCCESS;
}
