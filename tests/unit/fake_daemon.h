/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake_daemon.h - a daemon that does what a test tells it, lies included, in
 * a thread of the test. The kernel shim's port reaches it as its device, where
 * the program is linked with vmb_test_device.
 */
#ifndef VMB_TESTS_FAKE_DAEMON_H
#define VMB_TESTS_FAKE_DAEMON_H

#include <check.h>
#include <pthread.h>
#include <stdbool.h>

#include <vmbypass/abi/control.h>

#include "base/socket.h"
#include "port/port.h"

/* The port under test; vmb_port_local unless the program says otherwise. */
extern const struct vmb_port_ops *t_fake_port;
/* Does it pass descriptors? */
bool t_fake_passes_fds(void);

/* Run the suite for the port that is named, or the local one; the status. */
int t_fake_main(int argc, char **argv, Suite *(*suite)(void));

struct t_fake {
	char dir[32], path[64];
	int listener;
	int conn; /* -1: hung up */
	pthread_t thread;
	/* runs after the greeting; then CLOSE, DEREGISTER and the CLOSE of a
	 * lane are answered until the client goes. NULL: nothing */
	void (*script)(struct t_fake *fake);
	void *arg;			  /* of the script */
	struct vmb_ctl_hello_reply hello; /* the answer; may be changed */
	struct vmb_ctl_hello asked;	  /* what the client said */
	int closes, deregisters;	  /* answered */
	__u32 closed_handle;
	__u64 deregistered;		 /* key */
	int lane_closes;		 /* published when it is answered */
	struct vmb_ctl_lane closed_lane; /* what was said */
};

/* A request as it came. */
struct t_request {
	union vmb_ctl_any body;
	int fd; /* or -1 */
};

/* Listen in a folder of its own, and greet the first client. */
void t_fake_init(struct t_fake *fake, void (*script)(struct t_fake *fake),
		 void *arg);
void t_fake_start(struct t_fake *fake);
/* Wait until the client has gone; remove the folder. */
void t_fake_stop(struct t_fake *fake);

/* Start, and attach a port to it; and the end of both. */
struct vmb_port *t_fake_open_port(struct t_fake *fake);
void t_fake_close_port(struct t_fake *fake, struct vmb_port *port);

/* The next request, which must be of this op. */
struct t_request t_fake_expect(struct t_fake *fake, __u32 op);
/* A reply to it, of len bytes; its head is filled in. fds may be NULL. */
void t_fake_reply(struct t_fake *fake, const struct t_request *request,
		  union vmb_ctl_any *reply, size_t len, const int *fds,
		  unsigned fd_count);
/* Send as it is. */
void t_fake_send(struct t_fake *fake, const void *bytes, size_t len,
		 const int *fds, unsigned fd_count);
void t_fake_hang_up(struct t_fake *fake);

/* A script: answer one REGISTER. arg: struct t_registered. */
struct t_registered {
	struct vmb_ctl_register asked;
	int fd;	   /* that came along, or -1 */
	__u64 key; /* answered */
	int status;
};
void t_fake_script_register(struct t_fake *fake);

/* Register memory, deregister it; see what was asked for. */
void t_fake_check_register(__u32 kind);

/* Answers to OPEN with id 17 that cannot be. */
#define T_FAKE_BAD_OPENS 4
extern const struct vmb_ctl_open_reply t_fake_bad_opens[T_FAKE_BAD_OPENS];

/* Descriptors that this process has open. */
int t_count_fds(void);

#endif
