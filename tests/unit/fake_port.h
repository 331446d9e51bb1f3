/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake_port.h - a port that registers nothing but remembers everything.
 *
 * Flow:  regcache tests -> regcache -> vmb_port_ops -> [here]
 * Owns:  a record of every registration ever made, a clock that orders them.
 * Trust: the cache under test is not trusted: what it does wrong is counted.
 */
#ifndef FAKE_PORT_H
#define FAKE_PORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "port/port.h"

#define FAKE_RECORDS 100000u

struct fake_record {
	uintptr_t start, end;
	uint64_t stamp; /* the clock when the registration began */
	bool live, own;
};

struct fake_port {
	struct vmb_port port;
	struct vmb_port_ops ops; /* of this port; a test may change them */
	pthread_mutex_t lock;
	pthread_cond_t fewer;	     /* `live` went down */
	struct fake_record *records; /* key - 1 is the index */
	unsigned count, live;
	unsigned live_max; /* beyond it: -EDQUOT */
	unsigned calls;	   /* of mem_register and mem_alloc */
	unsigned wrong;	   /* ends of what is not live */
	int error;	   /* of every mem_register, 0: none */
	void *place;	   /* where mem_alloc maps, NULL: anywhere */
	/* called with nothing held: by mem_deregister before it ends one, by
	 * mem_register after it made one */
	void (*deregistering)(struct fake_port *f);
	void (*registered)(struct fake_port *f);
};

void fake_port_init(struct fake_port *f);
void fake_port_fini(struct fake_port *f);

/* Now, later than every time before. */
uint64_t fake_clock(void);

struct fake_record fake_port_record(struct fake_port *f, uint64_t key);
unsigned fake_port_live(struct fake_port *f);
/* Wait until at most that many are live; false after ten seconds. */
bool fake_port_wait(struct fake_port *f, unsigned live);

#endif
