// SPDX-License-Identifier: BSD-2-Clause
/*
 * inproc.c - a port whose daemon is this process.
 *
 * Flow:  lib/am -> ops table -> [here] -> vmb_nic_* control calls; the engine
 *        comes back for notifications and sleep through struct vmb_nic_host
 * Owns:  the engine, the table of open endpoints, areas and allocations.
 * Trust: the test is believed. Control calls are serialised by `control`;
 *        what the engine threads call takes `kicks` only, so that a removal,
 *        which waits for them, cannot wait for itself.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/futex.h"
#include "port/blocks.h"
#include "port/shared.h"
#include "support/inproc_state.h"

struct inproc_port {
	struct vmb_port port;
	struct t_inproc_domain *domain;
	struct vmb_blocks blocks;
};

struct t_inproc t_inproc = {
	.control = PTHREAD_MUTEX_INITIALIZER,
	.kicks = PTHREAD_MUTEX_INITIALIZER,
	.kicked = PTHREAD_COND_INITIALIZER,
};

/* ---- host: what the engine calls ---------------------------------------- */

static void host_notify(void *cookie)
{
	struct t_inproc_endpoint *e = cookie;
	uint64_t one = 1;
	ssize_t n = write(e->event_fd, &one, sizeof(one));

	(void)n; /* a full counter is readable as well */
}

/* Hand kicked endpoints of a thread to the engine. Called with kicks held. */
static bool deliver_kicks(unsigned thread)
{
	struct vmb_list *pos;
	bool any = false;

	vmb_list_each (pos, &t_inproc.endpoints) {
		struct t_inproc_endpoint *e =
			vmb_container_of(pos, struct t_inproc_endpoint, node);

		if (!e->kicked || vmb_nic_endpoint_thread(e->ep) != thread)
			continue;
		e->kicked = false;
		vmb_nic_kicked(t_inproc.nic, e->ep);
		any = true;
	}
	return any;
}

static void host_sleep(void *arg, unsigned thread)
{
	(void)arg;
	pthread_mutex_lock(&t_inproc.kicks);
	while (!deliver_kicks(thread) && !t_inproc.wake[thread])
		pthread_cond_wait(&t_inproc.kicked, &t_inproc.kicks);
	t_inproc.wake[thread] = false;
	pthread_mutex_unlock(&t_inproc.kicks);
}

static void host_wake(void *arg, unsigned thread)
{
	(void)arg;
	pthread_mutex_lock(&t_inproc.kicks);
	t_inproc.wake[thread] = true;
	pthread_cond_broadcast(&t_inproc.kicked);
	pthread_mutex_unlock(&t_inproc.kicks);
}

/* ---- the engine ----------------------------------------------------------- */

void t_nic_start(const struct vmb_nic_config *config)
{
	t_nic_start_stepped(config, config && !config->threads);
}

void t_nic_start_stepped(const struct vmb_nic_config *config, unsigned engines)
{
	struct vmb_nic_config c = {
		.threads = 1, .endpoints_max = 1024, .spin_us = 20};

	if (config)
		c = *config;
	ck_assert_msg(!t_inproc.nic, "the engine runs already");
	t_inproc.refuse_register = t_inproc.hold_connects = t_inproc.lost =
		t_inproc.dies = false;
	t_inproc.regions = 0;
	t_port_hold_lanes(false);
	t_port_refuse_lanes(0);
	t_port_direct(NULL);
	memset(t_inproc.wake, 0, sizeof(t_inproc.wake));
	memset(t_inproc.answers, 0, sizeof(t_inproc.answers));
	memset(t_inproc.departed, 0, sizeof(t_inproc.departed));
	vmb_list_init(&t_inproc.endpoints);
	t_inproc.host = (struct vmb_nic_host){
		.notify = host_notify,
		.notify_word = vmb_futex_wake_shared,
		.sleep = host_sleep,
		.wake = host_wake,
	};
	t_inproc.stepped = engines;
	c.host = &t_inproc.host;
	if (engines) {
		c.threads = engines;
		t_inproc.host.sleep = NULL;
	}
	ck_assert_int_eq(vmb_nic_open(&c, &t_inproc.nic), 0);
	if (!t_inproc.stepped)
		ck_assert_int_eq(vmb_nic_start(t_inproc.nic), 0);
}

void t_nic_stop(void)
{
	ck_assert_msg(vmb_list_empty(&t_inproc.endpoints),
		      "an endpoint is open");
	for (int i = 0; i < T_DOMAINS; i++)
		ck_assert_msg(!t_inproc.domains[i].nic_domain,
			      "a port is open");
	if (!t_inproc.stepped)
		vmb_nic_stop(t_inproc.nic);
	vmb_nic_close(t_inproc.nic);
	t_inproc.nic = NULL;
}

struct vmb_nic *t_nic(void)
{
	return t_inproc.nic;
}

unsigned t_nic_breathe_one(unsigned engine)
{
	if (!t_inproc.stepped) /* an assertion that holds costs a message each */
		ck_abort_msg("the engine has threads of its own");
	pthread_mutex_lock(&t_inproc.kicks);
	deliver_kicks(engine);
	pthread_mutex_unlock(&t_inproc.kicks);
	return vmb_nic_breathe(t_inproc.nic, engine);
}

unsigned t_nic_breathe(void)
{
	unsigned work = t_nic_breathe_one(0);

	for (unsigned i = 1; i < t_inproc.stepped; i++)
		work += t_nic_breathe_one(i);
	return work;
}

bool t_nic_may_sleep_one(unsigned engine)
{
	return vmb_nic_may_sleep(t_inproc.nic, engine);
}

bool t_nic_may_sleep(void)
{
	return t_nic_may_sleep_one(0);
}

void t_nic_settle(void)
{
	/* a cold endpoint may need a few passes until it is looked at */
	for (int fruitless = 0; t_inproc.stepped && fruitless < 1000;)
		fruitless = t_nic_breathe() ? 0 : fruitless + 1;
}

void t_port_refuse_register(bool refuse)
{
	t_inproc.refuse_register = refuse;
}

void t_port_hold_connects(bool hold)
{
	t_inproc.hold_connects = hold;
}

void t_port_die(bool dies)
{
	t_inproc.dies = dies;
}

void t_port_lose_daemon(bool lost)
{
	struct vmb_list *pos;

	__atomic_store_n(&t_inproc.lost, lost, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&t_inproc.kicks);
	vmb_list_each (pos, &t_inproc.endpoints)
		host_notify(
			vmb_container_of(pos, struct t_inproc_endpoint, node));
	pthread_mutex_unlock(&t_inproc.kicks);
}

bool t_inproc_lost(void)
{
	return __atomic_load_n(&t_inproc.lost, __ATOMIC_SEQ_CST);
}

unsigned t_port_regions(void)
{
	unsigned n;

	pthread_mutex_lock(&t_inproc.control);
	n = t_inproc.regions;
	pthread_mutex_unlock(&t_inproc.control);
	return n;
}

/* ---- port ------------------------------------------------------------------ */

/* The domain of that name, or a new one. NULL: none is free. */
static struct t_inproc_domain *domain_get(const char *name)
{
	struct t_inproc_domain *free_one = NULL;

	for (int i = 0; i < T_DOMAINS; i++) {
		struct t_inproc_domain *d = &t_inproc.domains[i];

		if (!d->nic_domain)
			free_one = d;
		else if (name && !strcmp(d->name, name)) {
			d->users++;
			return d;
		}
	}
	if (!free_one ||
	    vmb_nic_domain_add(t_inproc.nic, 1, &free_one->nic_domain))
		return NULL;
	memset(free_one->name, 0, sizeof(free_one->name));
	if (name)
		strncpy(free_one->name, name, sizeof(free_one->name) - 1);
	free_one->users = 1;
	return free_one;
}

static void domain_put(struct t_inproc_domain *d)
{
	if (--d->users)
		return;
	vmb_nic_domain_remove(t_inproc.nic, d->nic_domain);
	d->nic_domain = NULL;
}

static int inproc_open(const char *where, const char *domain,
		       struct vmb_port **port)
{
	struct inproc_port *p = calloc(1, sizeof(*p));

	(void)where;
	if (!p)
		return -ENOMEM;
	pthread_mutex_lock(&t_inproc.control);
	p->domain = t_inproc.nic ? domain_get(domain && *domain ? domain : NULL)
				 : NULL;
	pthread_mutex_unlock(&t_inproc.control);
	if (!p->domain) {
		free(p);
		return t_inproc.nic ? -EUSERS : -ECONNREFUSED;
	}
	p->port.ops = &t_port_inproc;
	p->port.hello = (struct vmb_ctl_hello_reply){
		.abi_major = VMB_ABI_MAJOR,
		.abi_minor = VMB_ABI_MINOR,
		.domain_id = vmb_nic_domain_id(p->domain->nic_domain),
		.nic_id = T_NIC_ID,
		.endpoints_max = 1024,
		.engine_threads = 1,
		.memory_max = 1ull << 32,
		.features = vmb_futex_has_either() ? VMB_FEATURE_WAKE_WORD : 0,
		.name = T_NIC_NAME,
	};
	vmb_blocks_init(&p->blocks);
	*port = &p->port;
	return 0;
}

struct vmb_nic_domain *t_port_domain(struct vmb_port *port)
{
	return ((struct inproc_port *)port)->domain->nic_domain;
}

static void inproc_close(struct vmb_port *port)
{
	struct inproc_port *p = (struct inproc_port *)port;

	pthread_mutex_lock(&t_inproc.control);
	domain_put(p->domain);
	pthread_mutex_unlock(&t_inproc.control);
	vmb_blocks_fini(&p->blocks);
	free(p);
}

static int inproc_alive(struct vmb_port *port)
{
	(void)port;
	return t_inproc_lost() ? -EPIPE : 0;
}

struct t_inproc_endpoint *t_inproc_find(uint32_t id, uint32_t handle)
{
	struct vmb_list *pos;

	vmb_list_each (pos, &t_inproc.endpoints) {
		struct t_inproc_endpoint *e =
			vmb_container_of(pos, struct t_inproc_endpoint, node);

		if (e->id == id || (handle && e->handle == handle))
			return e;
	}
	return NULL;
}

/* -EBUSY: the id, or every id, is taken. Called with kicks held. */
static int choose_id(uint32_t *id)
{
	if (*id != VMB_ID_ANY)
		return t_inproc_find(*id, 0) ? -EBUSY : 0;
	for (*id = 0; t_inproc_find(*id, 0); ++*id)
		if (*id == VMB_ID_MAX)
			return -EBUSY;
	return 0;
}

static void *map_pages(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Called with control held; fills e->ep and e->handle. */
static int add_endpoint(struct inproc_port *p, struct t_inproc_endpoint *e,
			const struct vmb_port_endpoint *pep)
{
	struct vmb_nic_endpoint_info info = {
		.domain = p->domain->nic_domain,
		.geometry = pep->geometry,
		.area = pep->area,
		.id = e->id,
		.cookie = e,
		.word = p->port.hello.features & VMB_FEATURE_WAKE_WORD,
		.keyed = e->key,
	};
	int rc = vmb_nic_endpoint_add(t_inproc.nic, &info, &e->ep, &e->handle);

	if (rc)
		return rc;
	e->session = ++t_inproc.sessions;
	pthread_mutex_lock(&t_inproc.kicks);
	vmb_list_append(&t_inproc.endpoints, &e->node);
	pthread_mutex_unlock(&t_inproc.kicks);
	return 0;
}

static int open_endpoint(struct inproc_port *p, struct t_inproc_endpoint *e,
			 struct vmb_port_endpoint *pep)
{
	int rc;

	pthread_mutex_lock(&t_inproc.control);
	pthread_mutex_lock(&t_inproc.kicks);
	rc = choose_id(&e->id);
	pthread_mutex_unlock(&t_inproc.kicks);
	if (!rc)
		rc = add_endpoint(p, e, pep);
	pthread_mutex_unlock(&t_inproc.control);
	return rc;
}

static int inproc_endpoint_open(struct vmb_port *port, uint32_t id,
				uint32_t key, const struct vmb_geometry *g,
				struct vmb_port_endpoint *pep)
{
	struct t_inproc_endpoint *e;
	int rc = -ENOMEM;

	if (t_inproc_lost())
		return -EPIPE;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	*pep = (struct vmb_port_endpoint){.geometry = *g, .kick_fd = -1};
	e->id = id;
	e->key = key;
	e->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (e->event_fd < 0)
		goto err_free;
	pep->area = map_pages(VMB_AREA_BYTES(g));
	if (!pep->area)
		goto err_close;
	rc = open_endpoint((struct inproc_port *)port, e, pep);
	if (rc)
		goto err_unmap;
	pep->handle = e->handle;
	pep->id = e->id;
	pep->session = e->session;
	pep->wait_fd = e->event_fd;
	return 0;
err_unmap:
	munmap(pep->area, VMB_AREA_BYTES(g));
err_close:
	close(e->event_fd);
err_free:
	free(e);
	return rc;
}

static void inproc_endpoint_close(struct vmb_port *port,
				  struct vmb_port_endpoint *pep)
{
	struct t_inproc_endpoint *e;

	(void)port;
	if (!pep->area)
		return;
	pthread_mutex_lock(&t_inproc.control);
	pthread_mutex_lock(&t_inproc.kicks);
	e = t_inproc_find(pep->id, pep->handle);
	t_inproc_depart(e); /* from now on nobody kicks it */
	pthread_mutex_unlock(&t_inproc.kicks);
	vmb_nic_endpoint_remove(t_inproc.nic, e->ep, !t_inproc.dies);
	pthread_mutex_unlock(&t_inproc.control);
	munmap(pep->area, VMB_AREA_BYTES(&pep->geometry));
	close(e->event_fd);
	free(e);
	memset(pep, 0, sizeof(*pep));
}

static void inproc_kick(struct vmb_port_endpoint *pep)
{
	struct t_inproc_endpoint *e;

	pthread_mutex_lock(&t_inproc.kicks);
	e = t_inproc_find(pep->id, pep->handle);
	e->kicked = true;
	pthread_cond_broadcast(&t_inproc.kicked);
	pthread_mutex_unlock(&t_inproc.kicks);
}

static int inproc_wait(struct vmb_port_endpoint *pep, int timeout_ms)
{
	struct pollfd p = {.fd = pep->wait_fd, .events = POLLIN};
	uint64_t count;
	int n = poll(&p, 1, timeout_ms);

	if (t_inproc_lost())
		return -EPIPE;
	if (n < 0)
		return -errno;
	if (!n)
		return -ETIMEDOUT;
	return read(p.fd, &count, sizeof(count)) < 0 ? -EINTR : 0;
}

/* ---- memory ----------------------------------------------------------------- */

static int add_region(struct vmb_port *port, void *addr, size_t len,
		      uint32_t access, uint64_t *key)
{
	struct inproc_port *p = (struct inproc_port *)port;
	struct vmb_nic_memory memory = {.kind = VMB_REGION_MEMFD,
					.access = access,
					.base = addr,
					.len = len};
	int rc;

	if (t_inproc_lost())
		return -EPIPE;
	pthread_mutex_lock(&t_inproc.control);
	rc = vmb_nic_region_add(t_inproc.nic, p->domain->nic_domain, &memory,
				key);
	if (!rc)
		t_inproc.regions++;
	pthread_mutex_unlock(&t_inproc.control);
	return rc;
}

static int inproc_mem_deregister(struct vmb_port *port, uint64_t key)
{
	struct inproc_port *p = (struct inproc_port *)port;
	int rc;

	pthread_mutex_lock(&t_inproc.control);
	rc = vmb_nic_region_remove(t_inproc.nic, p->domain->nic_domain, key);
	if (!rc)
		t_inproc.regions--;
	pthread_mutex_unlock(&t_inproc.control);
	return rc;
}

static int inproc_mem_alloc(struct vmb_port *port, size_t len, void **addr,
			    uint64_t *key)
{
	struct inproc_port *p = (struct inproc_port *)port;
	int rc, fd;

	rc = vmb_shared_create("inproc", len, &fd, addr);
	if (rc)
		return rc;
	/* peers may write too, unlike in the product: tests of put need it */
	rc = add_region(port, *addr, len, VMB_ACCESS_ALL, key);
	if (rc) {
		close(fd);
		vmb_shared_unmap(*addr, len);
		return rc;
	}
	ck_assert_int_eq(vmb_blocks_add(&p->blocks, *addr, len, fd), 0);
	return 0;
}

static void inproc_mem_describe(struct vmb_port *port, const void *addr,
				struct vmb_lane_file *what)
{
	vmb_blocks_describe(&((struct inproc_port *)port)->blocks, addr, what);
}

static void inproc_mem_free(struct vmb_port *port, void *addr, size_t len,
			    uint64_t key)
{
	struct inproc_port *p = (struct inproc_port *)port;

	inproc_mem_deregister(port, key);
	vmb_blocks_discard(&p->blocks, addr, len);
	vmb_blocks_drop(&p->blocks, addr);
	vmb_shared_unmap(addr, len);
}

static int inproc_mem_register(struct vmb_port *port, void *addr, size_t len,
			       uint32_t access, uint64_t *key)
{
	if (t_inproc.refuse_register)
		return -EOPNOTSUPP;
	return add_region(port, addr, len, access, key);
}

const struct vmb_port_ops t_port_inproc = {
	.name = "inproc",
	.open = inproc_open,
	.close = inproc_close,
	.alive = inproc_alive,
	.endpoint_open = inproc_endpoint_open,
	.endpoint_close = inproc_endpoint_close,
	.kick = inproc_kick,
	.wait = inproc_wait,
	.mem_alloc = inproc_mem_alloc,
	.mem_free = inproc_mem_free,
	.mem_describe = inproc_mem_describe,
	.mem_register = inproc_mem_register,
	.mem_deregister = inproc_mem_deregister,
	.connect = t_inproc_connect,
	.connect_start = t_inproc_connect_start,
	.connect_poll = t_inproc_connect_poll,
	.connect_cancel = t_inproc_connect_cancel,
	.lookup = t_inproc_lookup,
	.lane_start = t_inproc_lane_start,
	.lane_poll = t_inproc_lane_poll,
	.lane_cancel = t_inproc_lane_cancel,
	.lane_close = t_inproc_lane_close,
	.lane_read = t_inproc_lane_read,
	.lane_write = t_inproc_lane_write,
	.lane_map = t_inproc_lane_map,
	.lane_unmap = t_inproc_lane_unmap,
	.lane_alive = t_inproc_lane_alive,
};
