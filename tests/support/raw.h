/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * raw.h - the control protocol spoken by hand, right and wrong: what the
 * library would send, and what it never would. And the admin socket, one line
 * each way.
 *
 * A helper that cannot do its part ends the test; what the daemon answers is
 * returned.
 */
#ifndef TESTS_SUPPORT_RAW_H
#define TESTS_SUPPORT_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <vmbypass/abi/control.h>

#define T_RAW_TIMEOUT_MS 10000
#define T_RAW_FDS 4
#define T_RAW_SEALS 0x7 /* SEAL, SHRINK, GROW */

struct t_raw_reply {
	size_t len; /* 0: the daemon has closed */
	union vmb_ctl_any msg;
	unsigned fd_count;
	int fds[T_RAW_FDS];
};

int t_raw_connect(const char *path);

/* One packet as it is. Returns 0 or -errno. */
int t_raw_send(int fd, const void *buf, size_t len, const int *fds,
	       unsigned fd_count);
/* The next packet; none within T_RAW_TIMEOUT_MS ends the test. */
void t_raw_receive(int fd, struct t_raw_reply *reply);
void t_raw_close_fds(struct t_raw_reply *reply);

/*
 * A request and its answer. head.op, .len and .tag are filled in. Returns the
 * status; the reply must have its op and tag, or the test ends.
 */
int t_raw_call(int fd, union vmb_ctl_any *msg, uint32_t op, const int *fds,
	       unsigned fd_count, struct t_raw_reply *reply);

/* Sizes of the requests, by operation. */
size_t t_raw_request_len(uint32_t op);

extern uint64_t t_raw_features; /* what it offers; at first all */
int t_raw_hello(int fd, const char *domain, struct vmb_ctl_hello_reply *reply);
/* connect and hello, which must work. */
int t_raw_attach(const char *path, const char *domain);

/* Default sizes. fds (kick, notify) may be NULL: then they are closed. */
int t_raw_open(int fd, uint32_t id, uint32_t key,
	       struct vmb_ctl_open_reply *reply, int fds[2]);
int t_raw_close(int fd, uint32_t handle);
int t_raw_register_memfd(int fd, size_t len, uint64_t *key);
/* len bytes from base on of this memfd. */
int t_raw_register_part(int fd, int memfd, uint64_t base, uint64_t len,
			uint64_t *key);
int t_raw_register_process(int fd, const void *at, size_t len, uint64_t *key);
int t_raw_deregister(int fd, uint64_t key);
int t_raw_peer(int fd, uint64_t nic_id, uint32_t id, uint32_t key,
	       uint32_t *handle);

/* An endpoint of smallest size, driven by hand. */
struct t_raw_endpoint {
	struct vmb_ctl_open_reply open;
	int kick_fd, notify_fd;
	char *area;
	uint32_t position, events; /* of doorbell and event queue */
};
void t_raw_endpoint_open(int fd, uint32_t id, struct t_raw_endpoint *ep);
void t_raw_endpoint_open_keyed(int fd, uint32_t id, uint32_t key,
			       struct t_raw_endpoint *ep);
/* Unmap and close what is ours; the daemon is not told. */
void t_raw_endpoint_drop(struct t_raw_endpoint *ep);
/*
 * A FENCE there and back: descriptor, kick, sleep until the notification,
 * event. The one way through the engine that needs no peer.
 */
void t_raw_endpoint_fence(struct t_raw_endpoint *ep);
/* In two steps: post it, armed with that number; has it ended? */
void t_raw_endpoint_post_fence(struct t_raw_endpoint *ep, uint32_t arm);
bool t_raw_endpoint_fenced(struct t_raw_endpoint *ep);
/*
 * An empty message, and a fence behind it: VMB_CODE_OK when it went, else the
 * code that it bounced with. The receiver finds it with the other.
 */
unsigned t_raw_endpoint_send(struct t_raw_endpoint *ep, uint32_t peer);
/* From whom is the message that is there; 0: there is none. */
uint32_t t_raw_endpoint_receive(struct t_raw_endpoint *ep);

struct vmb_geometry t_raw_geometry(void);
/* A memfd with these seals (F_SEAL_*), of len bytes. */
int t_raw_memfd(size_t len, int seals);

/* Ask the admin socket of the daemon at path; the answer is a line. */
void t_raw_admin(const char *path, const char *request, char *answer,
		 size_t size);
/* The same; the answer is good until the next question. */
const char *t_raw_ask(const char *path, const char *request);
/* The number behind "name": in an answer; fails when it is not there. */
long t_raw_number(const char *answer, const char *name);

/* A vmbd that must end by itself; its exit status. args end with NULL. */
int t_raw_run_vmbd(const char *const *args);
/* The same; what it says goes to this file. */
int t_raw_hear_vmbd(const char *const *args, FILE *says);
/* With mode 0600. */
void t_raw_write_file(const char *path, const char *text);

/* What a process holds; for "as before". */
struct t_raw_usage {
	unsigned fds, maps, threads;
	long rss_kb;
};
struct t_raw_usage t_raw_usage(pid_t pid);
/*
 * Wait until the daemon at path has so many clients (those without hello do
 * not count); fails after T_RAW_TIMEOUT_MS.
 */
void t_raw_wait_clients(const char *path, long clients);

#endif
