/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * local.h - the inside of the local platform, shared by its files only.
 *
 *   local.c      the ops table; clients come and go
 *   transport.c  one client's socket: requests in, replies out
 *   taking.c     requests that bring descriptors
 *   closing.c    descriptors, and sockets, that may be slow to close
 *   memory.c     memfds: checked and mapped
 *   process.c    memory of a process, reached by process_vm_readv/writev
 *   signal.c     kicks and notifications
 */
#ifndef VMB_PLATFORM_LOCAL_LOCAL_H
#define VMB_PLATFORM_LOCAL_LOCAL_H

#include <sys/socket.h>

#include "base/list.h"
#include "platform/local/helper.h"
#include "platform/platform.h"
#include "vmbd/listen.h"

struct vmb_platform {
	struct vmb_platform_config config;
	struct vmbd_listener listener;
	sd_event_source *listen_source, *resume_source;
	struct vmb_list transports;
	unsigned transport_count;
	struct vmb_helper *helper;
	unsigned hang_ups;  /* sockets of those who left, not closed yet */
	bool one_may_come;  /* after a pause, however many these are */
	bool process_works; /* this kernel lets us move memory of others */
};

/* Memory that came with a request: one descriptor. */
struct vmb_attachment {
	int fd;
	bool known; /* is a memfd, so that closing it cannot block */
};

/*
 * What a helper thread does for a client. It is not served meanwhile, so that
 * there is one at a time, and what a client makes us hold is bounded.
 */
struct vmb_transport_job {
	struct vmb_helper_job helper;
	struct vmb_transport *t; /* NULL: none, or it has left */
	bool uses_socket;	 /* who left is hung up by done() */
};

struct vmb_closing; /* closing.c */

struct vmb_transport {
	struct vmb_platform *p;
	struct vmb_list node; /* in platform.transports */
	struct vmbd_client *client;
	struct vmb_credentials who;
	int fd;
	sd_event_source *io;
	int pidfd; /* -1: this kernel has none */
	sd_event_source *exit_source;
	uint64_t process;	       /* ticket in process.c; 0: none */
	struct vmb_transport_job *job; /* under way: no request is taken */
	/* what requests have left over, and the job that closes the last lot */
	struct vmb_closing *closing;
	struct vmb_transport_job *closes;

	/* the reply that found no room; no request is taken either */
	union vmb_ctl_any unsent;
	unsigned unsent_len; /* 0: none */
	int unsent_fds[2];
	unsigned unsent_fd_count;
};

/* ---- transport.c -------------------------------------------------------- */

/* fd, credentials and client are set. Adds what the loop watches. */
int vmb_transport_watch(struct vmb_transport *t);
/* After a reason not to take requests has come or gone. */
void vmb_transport_update(struct vmb_transport *t);
/* Close what requests have left over, after what is being closed. */
void vmb_transport_tidy(struct vmb_transport *t);
/* run() and done() are set; it is the only one. */
void vmb_transport_begin(struct vmb_transport *t,
			 struct vmb_transport_job *job);
/* In done(): whose it was, to be updated or dropped; NULL: it has left. */
struct vmb_transport *vmb_transport_end(struct vmb_transport_job *job);
/*
 * The next message, with room for what head has room for, and flags of
 * recvmsg(). Bytes that it has (0: closed), which may be more than fit, or
 * -errno. Any thread.
 */
ssize_t vmb_transport_receive(int fd, union vmb_ctl_any *msg,
			      struct msghdr *head, int flags);
/* Serve it, and close its attachment. 0; -errno: the client must go. */
int vmb_transport_request(struct vmb_transport *t,
			  const struct vmb_platform_request *request);
/* As vmb_transport_drop(), for what a system call said. */
void vmb_transport_failed(struct vmb_transport *t, int err);
int vmb_transport_reply(struct vmb_transport *t, const union vmb_ctl_any *msg,
			const struct vmb_gift *gift);
/* Close and free; events->left() unless client is NULL. */
void vmb_transport_drop(struct vmb_transport *t, const char *why);

/* ---- taking.c ----------------------------------------------------------- */

/* The next message has descriptors, of which so many (0, 1) are wanted. */
int vmb_take_start(struct vmb_transport *t, unsigned wanted);

/* ---- closing.c ---------------------------------------------------------- */

/* Collect what is not to be closed here. *closing NULL: the first of them. */
void vmb_close_later(struct vmb_closing **closing, int fd);
unsigned vmb_closing_count(const struct vmb_closing *closing); /* or NULL */
/*
 * Close what was collected, without waiting for whoever serves it; *closing is
 * NULL afterwards. t: whose t->closes it is until then, or NULL.
 */
void vmb_closing_begin(struct vmb_platform *p, uid_t uid,
		       struct vmb_transport *t, struct vmb_closing **closing);
/*
 * The other side hears it now; what lies unread goes with it, later, and so
 * does what was collected, or NULL.
 */
void vmb_hang_up(struct vmb_platform *p, uid_t uid, int fd,
		 struct vmb_closing *with);

/* ---- memory.c ----------------------------------------------------------- */

int vmb_memory_map(struct vmb_transport *t, struct vmb_attachment *attachment,
		   struct vmb_platform_memory *memory);
void vmb_memory_unmap(struct vmb_transport *t,
		      struct vmb_platform_memory *memory);
int vmb_lane_make(struct vmb_transport *receiver, struct vmb_transport *sender,
		  size_t len, struct vmb_lane_memory **lane);
void vmb_lane_free(struct vmb_lane_memory *lane);
int vmb_lane_fd(const struct vmb_lane_memory *lane);

/* ---- process.c ---------------------------------------------------------- */

/* Once, before any thread: may we reach other processes at all? */
bool vmb_process_init(void);
/* 0 and a ticket; -EOPNOTSUPP: the kernel does not let us reach this one. */
int vmb_process_open(const struct vmb_credentials *who, int pidfd,
		     uint64_t *ticket);
void vmb_process_close(uint64_t ticket);
/* -EINPROGRESS, or an error. */
int vmb_process_probe(struct vmb_transport *t,
		      const struct vmb_platform_memory *memory);
int64_t vmb_process_read(void *cookie, uint64_t addr, void *buf, size_t len);
int64_t vmb_process_write(void *cookie, uint64_t addr, const void *buf,
			  size_t len);

/* ---- signal.c ----------------------------------------------------------- */

int vmb_signal_open(struct vmb_transport *t, struct vmb_attachment *attachment,
		    struct vmb_signal **signal);
int vmb_signal_bind(struct vmb_signal *signal, struct vmb_nic_endpoint *ep);
void vmb_signal_unbind(struct vmb_signal *signal);
void vmb_signal_close(struct vmb_signal *signal);
/* The client's ends, still owned by the signal until given. */
void vmb_signal_client_fds(const struct vmb_signal *signal, int fds[2]);
/* They are on their way: from now on the client has them as well. */
void vmb_signal_given(struct vmb_signal *signal);

#endif
