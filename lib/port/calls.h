/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * calls.h - the control calls of abi/control.h over a channel: what every
 * port does in the same way, whatever carries its messages.
 *
 * Flow:  local.c, kshim.c -> [here] -> channel.c
 * Owns:  nothing; the channel is the port's.
 * Trust: channel.c checks the shape of replies; what the values mean is
 *        checked here before they are used.
 */
#ifndef VMB_PORT_CALLS_H
#define VMB_PORT_CALLS_H

#include "port/channel.h"
#include "port/port.h"

/* A port whose daemon is at the other end of a channel. */
struct vmb_calls_port {
	struct vmb_port base;
	struct vmb_channel *channel;
};

struct vmb_channel *vmb_calls_channel(struct vmb_port *port);

/* Instead of VMB_PORT_TIMEOUT_MS, for ports attached from now on: tests. */
void vmb_calls_set_timeout(int timeout_ms);

/*
 * Make the channel over fd, which is taken in any case, say HELLO, and fill in
 * port->base.hello. where: for messages; domain: a checked name, or NULL;
 * features: what we offer. -EPROTO: an answer that cannot be; else what the
 * daemon says.
 */
int vmb_calls_attach(struct vmb_calls_port *port,
		     const struct vmb_carrier *carrier, int fd,
		     const char *where, const char *domain, uint64_t features);

/*
 * OPEN with pep->geometry: fills in handle, id and session. pass: a
 * descriptor that goes along, or -1; fds: fd_count descriptors that come with
 * the reply, the caller's from then on.
 */
int vmb_calls_open(struct vmb_port *port, uint32_t id, uint32_t key, int pass,
		   int *fds, unsigned fd_count, struct vmb_port_endpoint *pep);
/* Best effort: when the daemon is gone, so is what it held for us. */
void vmb_calls_close(struct vmb_port *port, uint32_t handle);

/*
 * Take the notifications that are there, else sleep until there are some. fd
 * does not block. The wait of struct vmb_port_ops.
 */
int vmb_calls_wait(int fd, int timeout_ms);

/* what: kind, access, base and len. */
int vmb_calls_register(struct vmb_port *port,
		       const struct vmb_ctl_register *what, int pass,
		       uint64_t *key);
/* Best effort, as vmb_calls_close(). */
void vmb_calls_end_key(struct vmb_port *port, uint64_t key);

/* Those of struct vmb_port_ops that need nothing else. */
int vmb_calls_alive(struct vmb_port *port);
int vmb_calls_deregister(struct vmb_port *port, uint64_t key);
int vmb_calls_connect(struct vmb_port *port, uint64_t nic_id, uint32_t id,
		      uint32_t key, int timeout_ms, uint32_t *handle,
		      uint32_t *session);
int vmb_calls_connect_start(struct vmb_port *port, uint64_t nic_id, uint32_t id,
			    uint32_t key, uint32_t *tag);
int vmb_calls_connect_poll(struct vmb_port *port, uint32_t tag,
			   uint32_t *handle, uint32_t *session);
void vmb_calls_connect_cancel(struct vmb_port *port, uint32_t tag);
/*
 * fds: that a good reply brings, 0 or 1; fds_more: that may follow it, 0 or 1.
 * Else as lane_start.
 */
int vmb_calls_lane_start(struct vmb_port *port, const struct vmb_ctl_lane *what,
			 unsigned fds, unsigned fds_more, uint32_t *tag);
void vmb_calls_lane_cancel(struct vmb_port *port, uint32_t tag);
/*
 * As lane_poll: sizes and ticket of *lane are filled in, and *answer, but there
 * is no memory yet. fds: the caller's, -1 where there is none.
 */
int vmb_calls_lane_poll(struct vmb_port *port, uint32_t tag,
			struct vmb_port_lane *lane, struct vmb_ctl_lane *answer,
			int fds[2]);
/* No memory came of it: an OFFER is taken back. */
void vmb_calls_lane_failed(struct vmb_port *port,
			   const struct vmb_ctl_lane *answer);
/* Best effort, and not waited for. */
void vmb_calls_lane_close(struct vmb_port *port, uint64_t ticket,
			  uint32_t reason);
int vmb_calls_lookup(struct vmb_port *port, uint32_t kind, uint32_t handle,
		     struct vmb_port_identity *who);

#endif
