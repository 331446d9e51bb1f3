/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inproc.h - the engine inside the test process: a port without daemon,
 * socket or second process, and a raw client that speaks slots.
 *
 * Flow:  test -> lib/msg, lib/am -> t_port_inproc -> lib/nic
 *        test -> t_client (raw descriptors, raw events) -> lib/nic
 * Owns:  one engine at a time, its domains, endpoints and their memory.
 * Trust: the test is believed; a helper that cannot do its part ends it.
 */
#ifndef TESTS_SUPPORT_INPROC_H
#define TESTS_SUPPORT_INPROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nic/nic.h"
#include "port/port.h"
#include "ring/ring.h"

#define T_NIC_ID 0x0200c0ffee01ull
#define T_NIC_NAME "inproc:0"

/*
 * Start the engine. NULL: one thread, defaults. config->host is ignored.
 * threads 0: the test steps the engine itself, with t_nic_breathe().
 */
void t_nic_start(const struct vmb_nic_config *config);
/* Stop it. Ports and clients must have been closed. */
void t_nic_stop(void);
struct vmb_nic *t_nic(void);

/* The same for so many engines that the test steps. */
void t_nic_start_stepped(const struct vmb_nic_config *config, unsigned engines);

/* One pass of each stepped engine, or of one; returns the work done. */
unsigned t_nic_breathe(void);
unsigned t_nic_breathe_one(unsigned engine);
/* Would its thread sleep now? Then every endpoint was armed. */
bool t_nic_may_sleep(void);
bool t_nic_may_sleep_one(unsigned engine);
/* Breathe until a stepped engine finds nothing to do; else nothing. */
void t_nic_settle(void);

/*
 * The port. open() makes a protection domain, or joins the one named; all
 * memory is of VMB_REGION_MEMFD kind, that of the caller too.
 */
extern const struct vmb_port_ops t_port_inproc;

/* Switches; t_nic_start() puts them all back to false. */
void t_port_refuse_register(bool refuse); /* mem_register: -EOPNOTSUPP */
void t_port_hold_connects(bool hold);	  /* connects get no answer */
void t_port_lose_daemon(bool lost);	  /* alive() and all calls: -EPIPE */
void t_port_die(bool dies); /* endpoints end as those of a process that dies */

void t_port_hold_lanes(bool hold); /* the daemon does not answer */
void t_port_refuse_lanes(int why); /* it refuses with this errno */

/* How copies from and to the other side's process go. */
struct t_direct {
	bool told;	 /* which process it is: this one */
	bool dead;	 /* and that it has ended */
	int read, write; /* they fail with this errno, from here on: */
	unsigned after;	 /* that many of both went well */
	int map;	 /* memory is mapped with this errno */
	/* called before each copy, unless NULL */
	void (*hook)(bool write, void *arg);
	void *arg;
};

void t_port_direct(const struct t_direct *direct); /* NULL: not told */

/* Files of one side that are mapped for another. */
unsigned t_port_maps(void);

/* Lanes that somebody has; why the last one was closed by its receiver. */
unsigned t_port_lanes(void);
unsigned t_port_lane_reason(void);

/* The engine's protection domain of a port. */
struct vmb_nic_domain *t_port_domain(struct vmb_port *port);

/* Regions that ports registered and did not end yet. */
unsigned t_port_regions(void);

/* ---- raw client --------------------------------------------------------- */

struct t_client {
	struct vmb_port *port;
	struct vmb_port_endpoint pep;
	uint32_t key; /* of its endpoint when it is opened again */
	struct vmb_control_page *ctl;
	uint8_t *rx, *tx;
	struct vmb_ring doorbell, events;
	uint32_t rx_pos;
};

/* domain NULL: its own. geometry NULL: the smallest. */
void t_client_open(struct t_client *c, const char *domain,
		   const struct vmb_geometry *geometry);
void t_client_close(struct t_client *c);
/* Close its endpoint and open another, of the same sizes. */
void t_client_reopen(struct t_client *c);

/* Post as it is, but for seq. Waits for a free doorbell slot. */
void t_client_post(struct t_client *c, const struct vmb_slot *slot);
void t_client_post_pair(struct t_client *c, const struct vmb_slot *slot,
			const struct vmb_slot_ext *ext);
/* An inline SEND of len bytes (at most VMB_INLINE_ONE). */
void t_client_send(struct t_client *c, uint32_t peer, unsigned am, uint64_t hdr,
		   const void *data, size_t len);

/*
 * Take the next event within timeout_ms; false: there was none. *data, if
 * not NULL, is the payload, gathered, valid until the next call.
 */
bool t_client_next(struct t_client *c, struct vmb_slot *event, int timeout_ms,
		   const uint8_t **data);
/* Take the next event; it must be there within 10 s and have this op. */
void t_client_expect(struct t_client *c, unsigned op, struct vmb_slot *event);
/* Tell the engine what was taken; t_client_next() does it when it waits. */
void t_client_publish(struct t_client *c);

#endif
