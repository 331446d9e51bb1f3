/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inproc_state.h - what inproc.c and inproc_names.c share: the one engine of
 * this process and what the daemon would know about its clients.
 */
#ifndef TESTS_SUPPORT_INPROC_STATE_H
#define TESTS_SUPPORT_INPROC_STATE_H

#include <pthread.h>

#include "base/list.h"
#include "support/inproc.h"

#define T_DOMAINS 64
#define T_CONNECTS 256
#define T_DEPARTED 64 /* remembered */

struct t_inproc_domain {
	struct vmb_nic_domain *nic_domain; /* NULL: not in use */
	char name[VMB_NAME_BYTES];	   /* empty: of one port alone */
	unsigned users;
};

/* The host's side of an open endpoint; pages belong to the port's caller. */
struct t_inproc_endpoint {
	struct vmb_list node;
	struct vmb_nic_endpoint *ep;
	uint32_t handle, id, key, session;
	int event_fd;
	bool kicked;
};

/* Who an endpoint was that has been closed. */
struct t_inproc_departed {
	uint32_t handle, id, session;
};

/* An answer to connect_start() that was not fetched yet. */
struct t_inproc_answer {
	bool used;
	int rc;
	uint32_t handle, session;
};

extern struct t_inproc {
	struct vmb_nic *nic;
	struct vmb_nic_host host;
	unsigned stepped; /* engines */
	bool refuse_register, hold_connects, lost, dies;
	unsigned regions;
	uint32_t sessions;
	struct t_inproc_domain domains[T_DOMAINS];
	struct t_inproc_answer answers[T_CONNECTS];
	pthread_mutex_t control;

	pthread_mutex_t kicks; /* endpoints, departed, kicked, wake */
	pthread_cond_t kicked;
	struct vmb_list endpoints;
	struct t_inproc_departed departed[T_DEPARTED];
	unsigned departures;
	bool wake[VMB_NIC_THREADS_MAX];
} t_inproc;

bool t_inproc_lost(void);
/* By id (VMB_ID_ANY: none) or handle (0: none). Called with kicks held. */
struct t_inproc_endpoint *t_inproc_find(uint32_t id, uint32_t handle);

/* It leaves the table. Called with kicks held. */
void t_inproc_depart(struct t_inproc_endpoint *e);

int t_inproc_connect(struct vmb_port *port, uint64_t nic_id, uint32_t id,
		     uint32_t key, int timeout_ms, uint32_t *handle,
		     uint32_t *session);
int t_inproc_connect_start(struct vmb_port *port, uint64_t nic_id, uint32_t id,
			   uint32_t key, uint32_t *tag);
int t_inproc_connect_poll(struct vmb_port *port, uint32_t tag, uint32_t *handle,
			  uint32_t *session);
void t_inproc_connect_cancel(struct vmb_port *port, uint32_t tag);
int t_inproc_lane_start(struct vmb_port *port, const struct vmb_ctl_lane *what,
			uint32_t *tag);
int t_inproc_lane_poll(struct vmb_port *port, uint32_t tag,
		       struct vmb_port_lane *lane);
int64_t t_inproc_lane_read(const struct vmb_port_lane *lane, uint64_t addr,
			   void *buf, size_t len);
int64_t t_inproc_lane_write(const struct vmb_port_lane *lane, uint64_t addr,
			    const void *buf, size_t len);
int t_inproc_lane_map(const struct vmb_port_lane *lane,
		      const struct vmb_lane_file *what, size_t max, void **base,
		      size_t *len);
void t_inproc_lane_unmap(void *base, size_t len);
bool t_inproc_lane_alive(const struct vmb_port_lane *lane);
void t_inproc_lane_cancel(struct vmb_port *port, uint32_t tag);
void t_inproc_lane_close(struct vmb_port *port, struct vmb_port_lane *lane,
			 bool offered, uint32_t reason);
int t_inproc_lookup(struct vmb_port *port, uint32_t kind, uint32_t handle,
		    struct vmb_port_identity *who);

#endif
