// SPDX-License-Identifier: BSD-2-Clause
/*
 * fake_port.c - a port that registers nothing but remembers everything.
 *
 * Flow:  regcache tests -> regcache -> vmb_port_ops -> [here]
 * Owns:  a record of every registration ever made, a clock that orders them.
 * Trust: the cache under test is not trusted: what it does wrong is counted.
 */
#include "fake_port.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "base/util.h"

static struct fake_port *fake_of(struct vmb_port *port)
{
	return vmb_container_of(port, struct fake_port, port);
}

uint64_t fake_clock(void)
{
	static uint64_t clock;

	return __atomic_add_fetch(&clock, 1, __ATOMIC_SEQ_CST);
}

static int add(struct fake_port *f, uintptr_t start, size_t len, bool own,
	       uint64_t stamp, uint64_t *key)
{
	int err = 0;

	pthread_mutex_lock(&f->lock);
	f->calls++;
	if (f->error && !own) {
		err = f->error;
	} else if (f->live >= f->live_max) {
		err = -EDQUOT;
	} else if (f->count == FAKE_RECORDS) {
		err = -ENOSPC;
	} else {
		f->records[f->count++] = (struct fake_record){
			.start = start,
			.end = start + len,
			.stamp = stamp,
			.live = true,
			.own = own,
		};
		f->live++;
		*key = f->count;
	}
	pthread_mutex_unlock(&f->lock);
	return err;
}

static void end(struct fake_port *f, uint64_t key, bool own)
{
	pthread_mutex_lock(&f->lock);
	if (key == 0 || key > f->count || !f->records[key - 1].live ||
	    (own && !f->records[key - 1].own)) {
		f->wrong++;
	} else {
		f->records[key - 1].live = false;
		f->live--;
		pthread_cond_broadcast(&f->fewer);
	}
	pthread_mutex_unlock(&f->lock);
}

static int fake_register(struct vmb_port *port, void *addr, size_t len,
			 uint32_t access, uint64_t *key)
{
	struct fake_port *f = fake_of(port);
	uint64_t stamp = fake_clock();
	int err = add(f, (uintptr_t)addr, len, false, stamp, key);

	if (access != VMB_ACCESS_REMOTE_READ)
		return -EINVAL;
	if (!err && f->registered)
		f->registered(f);
	return err;
}

static int fake_deregister(struct vmb_port *port, uint64_t key)
{
	struct fake_port *f = fake_of(port);

	if (f->deregistering)
		f->deregistering(f);
	end(f, key, false);
	return 0;
}

static int fake_alloc(struct vmb_port *port, size_t len, void **addr,
		      uint64_t *key)
{
	struct fake_port *f = fake_of(port);
	void *p = mmap(f->place, len, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS |
			       (f->place ? MAP_FIXED_NOREPLACE : 0),
		       -1, 0);
	int err;

	if (p == MAP_FAILED)
		return -errno;
	err = add(f, (uintptr_t)p, len, true, fake_clock(), key);
	if (err)
		munmap(p, len);
	else
		*addr = p;
	return err;
}

static void fake_free(struct vmb_port *port, void *addr, size_t len,
		      uint64_t key)
{
	end(fake_of(port), key, true);
	munmap(addr, len);
}

static const struct vmb_port_ops fake_ops = {
	.name = "fake",
	.mem_register = fake_register,
	.mem_deregister = fake_deregister,
	.mem_alloc = fake_alloc,
	.mem_free = fake_free,
};

void fake_port_init(struct fake_port *f)
{
	*f = (struct fake_port){
		.port.ops = &f->ops, .ops = fake_ops, .live_max = FAKE_RECORDS};
	f->records = calloc(FAKE_RECORDS, sizeof(*f->records));
	if (!f->records)
		abort();
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->fewer, NULL);
}

void fake_port_fini(struct fake_port *f)
{
	free(f->records);
	pthread_cond_destroy(&f->fewer);
	pthread_mutex_destroy(&f->lock);
}

struct fake_record fake_port_record(struct fake_port *f, uint64_t key)
{
	struct fake_record r = {0};

	pthread_mutex_lock(&f->lock);
	if (key && key <= f->count)
		r = f->records[key - 1];
	pthread_mutex_unlock(&f->lock);
	return r;
}

unsigned fake_port_live(struct fake_port *f)
{
	unsigned live;

	pthread_mutex_lock(&f->lock);
	live = f->live;
	pthread_mutex_unlock(&f->lock);
	return live;
}

bool fake_port_wait(struct fake_port *f, unsigned live)
{
	struct timespec until;
	bool reached;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	pthread_mutex_lock(&f->lock);
	while (f->live > live &&
	       pthread_cond_timedwait(&f->fewer, &f->lock, &until) == 0) {
	}
	reached = f->live <= live;
	pthread_mutex_unlock(&f->lock);
	return reached;
}
