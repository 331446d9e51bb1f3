/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * example.h - what every example needs: say what failed and stop, and a second
 * process to talk to.
 *
 * Flow:  main -> example_fork() -> parent and child attach, each for itself
 * Owns:  nothing.
 * Trust: every result is checked.
 */
#ifndef EXAMPLES_EXAMPLE_H
#define EXAMPLES_EXAMPLE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vmbypass/vmb.h>

#define EXAMPLE_LIMIT_MS 10000 /* nothing here takes so long */

/* Stop with a reason unless rc is 0. */
static inline void check(int rc, const char *what)
{
	if (!rc)
		return;
	fprintf(stderr, "%s: %s\n", what, vmb_strerror(rc));
	exit(EXIT_FAILURE);
}

/* Attach and open an endpoint with any id. */
static inline struct vmb_endpoint *example_open(void)
{
	struct vmb_endpoint *ep;

	check(vmb_init(), "vmb_init");
	check(vmb_open(NULL, &ep), "vmb_open");
	return ep;
}

static inline void example_close(struct vmb_endpoint *ep)
{
	check(vmb_close(ep), "vmb_close");
	vmb_finalize();
}

/* Wait until a request has ended well. */
static inline struct vmb_status example_wait(struct vmb_endpoint *ep,
					     struct vmb_req **req)
{
	struct vmb_status status;
	int done;

	check(vmb_wait(ep, req, EXAMPLE_LIMIT_MS, &status, &done), "vmb_wait");
	check(done ? status.code : -ETIMEDOUT, "request");
	return status;
}

/* Another process that was told, through a pipe, where to connect. */
struct example_child {
	pid_t pid;
	int tell;
};

/*
 * Start a child that runs main_of_child(number, id), where id is the endpoint
 * that example_tell() names. Fork before vmb_init(): handles do not cross it.
 */
static inline struct example_child
example_fork(void (*main_of_child)(int number, uint32_t id), int number)
{
	struct example_child child;
	int ends[2];
	uint32_t id;

	if (pipe(ends) || (child.pid = fork()) < 0) {
		perror("fork");
		exit(EXIT_FAILURE);
	}
	child.tell = ends[1];
	if (child.pid) {
		close(ends[0]);
		return child;
	}
	close(ends[1]);
	if (read(ends[0], &id, sizeof(id)) == sizeof(id))
		main_of_child(number, id);
	exit(EXIT_SUCCESS); /* told nothing: the parent gave up */
}

/* Tell the child the id of our endpoint. */
static inline void example_tell(struct example_child *child,
				struct vmb_endpoint *ep)
{
	struct vmb_addr self;
	uint32_t id;

	check(vmb_self(ep, &self), "vmb_self");
	check(vmb_addr_query(ep, self, NULL, &id, NULL), "vmb_addr_query");
	if (write(child->tell, &id, sizeof(id)) != sizeof(id))
		perror("write");
	close(child->tell);
}

/* Connect to endpoint id of our own board. */
static inline struct vmb_addr example_connect(struct vmb_endpoint *ep,
					      uint32_t id)
{
	struct vmb_addr addr;
	uint64_t nic_id;

	check(vmb_nic_id(&nic_id), "vmb_nic_id");
	check(vmb_connect(ep, nic_id, id, 0, EXAMPLE_LIMIT_MS, &addr),
	      "vmb_connect");
	return addr;
}

/* Wait for the child; its failure is ours. */
static inline void example_join(struct example_child *child)
{
	int status;

	if (waitpid(child->pid, &status, 0) < 0 || status) {
		fprintf(stderr, "the other process failed\n");
		exit(EXIT_FAILURE);
	}
}

#endif
