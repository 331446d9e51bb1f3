// SPDX-License-Identifier: BSD-2-Clause
/* shim.c - see shim.h. */
#include "support/shim.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/list.h"
#include "base/util.h"
#include "support/device.h"
#include "support/inproc.h"

#define PAGES_MAX 24576u /* of one region */
#define KEYS 1024u	 /* regions of one client */
#define CONNECTS 64u	 /* of one client without an answer */

/* What epoll reports: who is to look. */
struct source {
	void (*look)(void *owner);
	void *owner;
};

struct client {
	struct vmb_list node;
	struct source source;
	int fd;
	struct vmb_port *port; /* NULL: no HELLO yet */
	uint64_t keys[KEYS];   /* 0: free */
	struct {
		bool used;
		uint32_t tag; /* of connect_start() */
		struct vmb_ctl_head head;
	} connects[CONNECTS];
};

struct endpoint {
	struct vmb_list node;
	struct source notes, kicks;
	struct client *client;
	struct vmb_port_endpoint pep;
	int end; /* of its file; -1: none yet, or the client closed it */
};

static struct {
	char path[32];
	pthread_t thread;
	pthread_mutex_t lock; /* all that follows */
	struct source listens, stops;
	int epoll_fd, listener, stop_fd;
	struct vmb_list clients, endpoints;
	unsigned pages_max, registers, regions;
} shim = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void watch(int fd, struct source *source, void (*look)(void *owner),
		  void *owner)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

	*source = (struct source){look, owner};
	ck_assert_int_eq(epoll_ctl(shim.epoll_fd, EPOLL_CTL_ADD, fd, &event),
			 0);
}

/* ---- endpoints ---------------------------------------------------------------- */

/* The engine has notified: 8 bytes into the file. */
static void pass_note(void *owner)
{
	struct endpoint *e = owner;
	uint64_t one = 1;

	if (!t_port_inproc.wait(&e->pep, 0) && e->end >= 0)
		send(e->end, &one, sizeof(one), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void pass_kick(void *owner)
{
	struct endpoint *e = owner;
	uint64_t kick;

	if (recv(e->end, &kick, sizeof(kick), MSG_DONTWAIT) > 0) {
		t_port_inproc.kick(&e->pep);
		return;
	}
	close(e->end); /* the client closed the file, not the endpoint */
	e->end = -1;
}

static struct endpoint *find_endpoint(uint32_t handle)
{
	struct vmb_list *pos;

	vmb_list_each (pos, &shim.endpoints) {
		struct endpoint *e =
			vmb_container_of(pos, struct endpoint, node);

		if (e->pep.handle == handle)
			return e;
	}
	return NULL;
}

/* VMB_IOC_ENDPOINT; in the client's thread. */
static int give_file(void *arg, const struct vmb_chardev_endpoint *asked)
{
	struct endpoint *e;
	int fd = -ENOENT;

	(void)arg;
	if (asked->reserved_20)
		return -EINVAL;
	pthread_mutex_lock(&shim.lock);
	e = find_endpoint(asked->handle);
	if (e) {
		ck_assert_msg(e->end < 0, "a second file of an endpoint");
		fd = t_device_endpoint(
			e->pep.area, VMB_AREA_BYTES(&e->pep.geometry), &e->end);
		watch(e->end, &e->kicks, pass_kick, e);
		watch(e->pep.wait_fd, &e->notes, pass_note, e);
	}
	pthread_mutex_unlock(&shim.lock);
	return fd;
}

static void end_endpoint(struct endpoint *e)
{
	vmb_list_remove(&e->node);
	/* closed first: from here on the client finds its end */
	if (e->end >= 0)
		close(e->end);
	t_port_inproc.endpoint_close(e->client->port, &e->pep);
	free(e);
}

static int do_open(struct client *c, const union vmb_ctl_any *msg,
		   union vmb_ctl_any *reply)
{
	struct endpoint *e = calloc(1, sizeof(*e));
	int err;

	ck_assert_ptr_nonnull(e);
	e->client = c;
	e->end = -1;
	err = t_port_inproc.endpoint_open(c->port, msg->open.id, msg->open.key,
					  &msg->open.geometry, &e->pep);
	if (err) {
		free(e);
		return err;
	}
	vmb_list_append(&shim.endpoints, &e->node);
	reply->open_reply.handle = e->pep.handle;
	reply->open_reply.id = e->pep.id;
	reply->open_reply.session = e->pep.session;
	return 0;
}

static int do_close(struct client *c, const union vmb_ctl_any *msg,
		    union vmb_ctl_any *reply)
{
	struct endpoint *e = find_endpoint(msg->close.handle);

	(void)reply;
	if (!e || e->client != c)
		return -ENOENT;
	end_endpoint(e);
	return 0;
}

/* ---- memory ---------------------------------------------------------------------- */

/* As the shim answers by itself: docs/chardev.md. */
static int check_memory(const struct vmb_ctl_register *r)
{
	uintptr_t start = r->base & ~4095ull;
	uintptr_t end = vmb_round_up(r->base + r->len, 4096);

	if (r->kind != VMB_REGION_GRANT)
		return -EOPNOTSUPP;
	if (!r->len || r->base + r->len < r->base)
		return -EINVAL;
	if ((end - start) / 4096 > shim.pages_max)
		return -EFBIG;
	return madvise((void *)start, end - start, MADV_POPULATE_WRITE)
		       ? -EFAULT
		       : 0;
}

static uint64_t *find_key(struct client *c, uint64_t key)
{
	for (unsigned i = 0; i < KEYS; i++)
		if (c->keys[i] == key)
			return &c->keys[i];
	return NULL;
}

static int do_register(struct client *c, const union vmb_ctl_any *msg,
		       union vmb_ctl_any *reply)
{
	const struct vmb_ctl_register *r = &msg->reg;
	uint64_t *key = find_key(c, 0);
	int err = check_memory(r);

	shim.registers++;
	if (err)
		return err;
	if (!key)
		return -ENOSPC;
	err = t_port_inproc.mem_register(c->port, (void *)(uintptr_t)r->base,
					 r->len, r->access, key);
	if (err)
		return err;
	shim.regions++;
	reply->reg_reply.key = *key;
	return 0;
}

static int do_deregister(struct client *c, const union vmb_ctl_any *msg,
			 union vmb_ctl_any *reply)
{
	uint64_t *key = find_key(c, msg->dereg.key);
	int err;

	(void)reply;
	if (!key || !*key)
		return -ENOENT;
	err = t_port_inproc.mem_deregister(c->port, *key);
	*key = 0;
	shim.regions--;
	return err;
}

/* ---- the rest -------------------------------------------------------------------- */

static int do_hello(struct client *c, const union vmb_ctl_any *msg,
		    union vmb_ctl_any *reply)
{
	struct vmb_ctl_head head = reply->head;
	int err;

	ck_assert_msg(!msg->hello.domain[0], "a domain is named in a guest");
	if (c->port)
		return -EALREADY;
	err = t_port_inproc.open(NULL, "guest", &c->port);
	if (err)
		return err;
	reply->hello_reply = c->port->hello;
	reply->hello_reply.features &= msg->hello.features;
	reply->head = head;
	return 0;
}

static int do_connect(struct client *c, const union vmb_ctl_any *msg,
		      union vmb_ctl_any *reply)
{
	(void)reply;
	for (unsigned i = 0; i < CONNECTS; i++) {
		if (c->connects[i].used)
			continue;
		c->connects[i].used = true;
		c->connects[i].head = msg->head;
		return t_port_inproc.connect_start(c->port, msg->connect.nic_id,
						   msg->connect.id,
						   msg->connect.key,
						   &c->connects[i].tag);
	}
	ck_abort_msg("more requests than a file may have");
}

static int do_lookup(struct client *c, const union vmb_ctl_any *msg,
		     union vmb_ctl_any *reply)
{
	struct vmb_port_identity who = {.nic_id = msg->lookup.nic_id};
	struct vmb_ctl_head head = reply->head;
	int err;

	memcpy(who.name, msg->lookup.name, sizeof(who.name));
	err = t_port_inproc.lookup(c->port, msg->lookup.kind,
				   msg->lookup.handle, &who);
	if (err)
		return err;
	reply->lookup = msg->lookup;
	reply->head = head;
	reply->lookup.nic_id = who.nic_id;
	reply->lookup.id = who.id;
	reply->lookup.session = who.session;
	memcpy(reply->lookup.name, who.name, sizeof(who.name));
	return 0;
}

static int do_lane(struct client *c, const union vmb_ctl_any *msg,
		   union vmb_ctl_any *reply)
{
	(void)c;
	(void)msg;
	(void)reply;
	return -EOPNOTSUPP;
}

static const struct {
	int (*run)(struct client *c, const union vmb_ctl_any *msg,
		   union vmb_ctl_any *reply);
	size_t request, reply;
} operations[] = {
	[VMB_CTL_HELLO] = {do_hello, sizeof(struct vmb_ctl_hello),
			   sizeof(struct vmb_ctl_hello_reply)},
	[VMB_CTL_OPEN] = {do_open, sizeof(struct vmb_ctl_open),
			  sizeof(struct vmb_ctl_open_reply)},
	[VMB_CTL_CLOSE] = {do_close, sizeof(struct vmb_ctl_close),
			   sizeof(struct vmb_ctl_head)},
	[VMB_CTL_REGISTER] = {do_register, sizeof(struct vmb_ctl_register),
			      sizeof(struct vmb_ctl_register_reply)},
	[VMB_CTL_DEREGISTER] = {do_deregister,
				sizeof(struct vmb_ctl_deregister),
				sizeof(struct vmb_ctl_head)},
	[VMB_CTL_CONNECT] = {do_connect, sizeof(struct vmb_ctl_connect),
			     sizeof(struct vmb_ctl_connect_reply)},
	[VMB_CTL_LOOKUP] = {do_lookup, sizeof(struct vmb_ctl_lookup),
			    sizeof(struct vmb_ctl_lookup)},
	[VMB_CTL_LANE] = {do_lane, sizeof(struct vmb_ctl_lane),
			  sizeof(struct vmb_ctl_lane)},
};

/* ---- clients ---------------------------------------------------------------------- */

static void answer(struct client *c, union vmb_ctl_any *reply, int status)
{
	reply->head.status = status;
	reply->head.len = (uint32_t)(status ? sizeof(reply->head)
					    : operations[reply->head.op].reply);
	send(c->fd, reply, reply->head.len, MSG_NOSIGNAL);
}

/* Connects whose answer is there: all, unless they are held. */
static void answer_connects(struct client *c)
{
	for (unsigned i = 0; i < CONNECTS; i++) {
		union vmb_ctl_any reply = {.head = c->connects[i].head};
		int err;

		if (!c->connects[i].used)
			continue;
		err = t_port_inproc.connect_poll(c->port, c->connects[i].tag,
						 &reply.connect_reply.handle,
						 &reply.connect_reply.session);
		if (err == -EAGAIN)
			continue;
		c->connects[i].used = false;
		answer(c, &reply, err);
	}
}

static void end_client(struct client *c)
{
	struct vmb_list *pos, *tmp;

	vmb_list_remove(&c->node);
	close(c->fd);
	vmb_list_each_safe (pos, tmp, &shim.endpoints) {
		struct endpoint *e =
			vmb_container_of(pos, struct endpoint, node);

		if (e->client == c)
			end_endpoint(e);
	}
	for (unsigned i = 0; i < CONNECTS; i++)
		if (c->connects[i].used)
			t_port_inproc.connect_cancel(c->port,
						     c->connects[i].tag);
	for (unsigned i = 0; i < KEYS; i++) {
		if (!c->keys[i])
			continue;
		t_port_inproc.mem_deregister(c->port, c->keys[i]);
		shim.regions--;
	}
	if (c->port)
		t_port_inproc.close(c->port);
	free(c);
}

static void serve(void *owner)
{
	union vmb_ctl_any msg, reply = {0};
	struct client *c = owner;
	ssize_t n = recv(c->fd, &msg, sizeof(msg), MSG_DONTWAIT);
	int err;

	if (n <= 0) {
		end_client(c);
		return;
	}
	ck_assert_uint_eq((size_t)n, operations[msg.head.op].request);
	ck_assert_int_eq(msg.head.status, 0);
	ck_assert(c->port || msg.head.op == VMB_CTL_HELLO);
	reply.head = msg.head;
	err = operations[msg.head.op].run(c, &msg, &reply);
	if (err || msg.head.op != VMB_CTL_CONNECT)
		answer(c, &reply, err);
	answer_connects(c);
}

static void admit(void *owner)
{
	struct client *c = calloc(1, sizeof(*c));

	(void)owner;
	ck_assert_ptr_nonnull(c);
	c->fd = accept4(shim.listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(c->fd, 0);
	vmb_list_append(&shim.clients, &c->node);
	watch(c->fd, &c->source, serve, c);
}

/* ---- the thread --------------------------------------------------------------------- */

static void *run(void *arg)
{
	struct epoll_event event = {.events = 0};
	const struct source *source;

	(void)arg;
	for (;;) {
		/* one at a time: it may end whom the next would be about */
		if (epoll_wait(shim.epoll_fd, &event, 1, -1) != 1)
			continue;
		pthread_mutex_lock(&shim.lock);
		/* and another thread may have ended this one: look again */
		if (epoll_wait(shim.epoll_fd, &event, 1, 0) == 1) {
			source = event.data.ptr;
			if (source == &shim.stops)
				break;
			source->look(source->owner);
		}
		pthread_mutex_unlock(&shim.lock);
	}
	pthread_mutex_unlock(&shim.lock);
	return NULL;
}

void t_shim_start(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(shim.path, sizeof(shim.path), "@vmb-shim-%d", (int)getpid());
	strcpy(address.sun_path, shim.path);
	address.sun_path[0] = 0;
	vmb_list_init(&shim.clients);
	vmb_list_init(&shim.endpoints);
	shim.pages_max = PAGES_MAX;
	shim.registers = shim.regions = 0;
	shim.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	shim.stop_fd = eventfd(0, EFD_CLOEXEC);
	shim.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(shim.listener, (struct sockaddr *)&address,
			      sizeof(address)),
			 0);
	ck_assert_int_eq(listen(shim.listener, 8), 0);
	watch(shim.listener, &shim.listens, admit, NULL);
	watch(shim.stop_fd, &shim.stops, NULL, NULL);
	t_device_on_endpoint(give_file, NULL);
	ck_assert_int_eq(pthread_create(&shim.thread, NULL, run, NULL), 0);
}

void t_shim_stop(void)
{
	t_device_on_endpoint(NULL, NULL);
	eventfd_write(shim.stop_fd, 1);
	pthread_join(shim.thread, NULL);
	close(shim.listener);
	while (!vmb_list_empty(&shim.clients))
		end_client(vmb_list_first(&shim.clients, struct client, node));
	close(shim.stop_fd);
	close(shim.epoll_fd);
	ck_assert_uint_eq(shim.regions, 0);
}

const char *t_shim_path(void)
{
	return shim.path;
}

void t_shim_hold_connects(bool hold)
{
	struct vmb_list *pos;

	t_port_hold_connects(hold);
	pthread_mutex_lock(&shim.lock);
	vmb_list_each (pos, &shim.clients)
		answer_connects(vmb_container_of(pos, struct client, node));
	pthread_mutex_unlock(&shim.lock);
}

void t_shim_set_pages_max(unsigned pages)
{
	pthread_mutex_lock(&shim.lock);
	shim.pages_max = pages;
	pthread_mutex_unlock(&shim.lock);
}

static unsigned read_counter(const unsigned *counter)
{
	unsigned n;

	pthread_mutex_lock(&shim.lock);
	n = *counter;
	pthread_mutex_unlock(&shim.lock);
	return n;
}

unsigned t_shim_registers(void)
{
	return read_counter(&shim.registers);
}

unsigned t_shim_regions(void)
{
	return read_counter(&shim.regions);
}
