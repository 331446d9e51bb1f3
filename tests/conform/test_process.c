// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_process.c - fork, two processes, and daemons that die.
 *
 * Flow:  the test process, its children, and a daemon that is killed
 * Owns:  the children.
 * Trust: nothing.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conform/conform.h"

/* What a child finds is wrong, in its exit status; libcheck is the parent's. */
#define CHILD_EXPECT(condition, status) \
	do {                            \
		if (!(condition))       \
			_exit(status);  \
	} while (0)

static void expect_child(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "child: signal %d", WTERMSIG(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}

/* ---- fork ----------------------------------------------------------------------- */

static void child_is_refused(struct vmb_endpoint *ep, struct vmb_mem *mem)
{
	struct vmb_addr addr = {{0, 0}};
	struct vmb_endpoint *other;
	uint64_t word;
	void *p;
	int done;

	CHILD_EXPECT(vmb_self(ep, &addr) == -EPERM, 1);
	CHILD_EXPECT(vmb_progress(ep) == -EPERM, 2);
	CHILD_EXPECT(vmb_isend(ep, NULL, 0, addr, 0, NULL, NULL) == -EPERM, 3);
	CHILD_EXPECT(vmb_wait_any(ep, 0, 0, 0, NULL, &done) == -EPERM, 4);
	CHILD_EXPECT(vmb_close(ep) == -EPERM, 5);
	CHILD_EXPECT(vmb_open(NULL, &other) == -EPERM, 6);
	CHILD_EXPECT(vmb_alloc(1, &p) == -EPERM, 7);
	CHILD_EXPECT(vmb_mem_key(mem, &word) == -EPERM, 8);
	CHILD_EXPECT(vmb_deregister(mem) == -EPERM, 9);
	CHILD_EXPECT(vmb_nic_id(&word) == -EPERM, 10);
	vmb_finalize(); /* of the parent; nothing happens */
	CHILD_EXPECT(vmb_open(NULL, &other) == -EPERM, 11);
}

START_TEST(child_is_refused_until_init)
{
	struct t_pair pair = t_pair_open();
	static char buf[100];
	struct vmb_mem *mem;
	pid_t pid;

	t_ok(vmb_register(buf, sizeof(buf), 0, &mem));
	pid = fork();
	if (pid == 0) {
		child_is_refused(pair.a, mem);
		_exit(0);
	}
	expect_child(pid);
	t_exchange(&pair, 1, 100000); /* the parent noticed nothing */
	t_ok(vmb_deregister(mem));
	t_pair_close(&pair);
}
END_TEST

/* In the child: attach and send to the parent. */
static void child_sends(struct vmb_endpoint *inherited, uint64_t nic_id,
			uint32_t id)
{
	struct vmb_segment seg = {(void *)(uintptr_t) "hello", 6};
	struct vmb_endpoint *ep;
	struct vmb_status status;
	struct vmb_addr addr;
	struct vmb_req *req;
	int done;

	CHILD_EXPECT(vmb_init() == 0, 21);
	CHILD_EXPECT(vmb_progress(inherited) == -EINVAL, 22);
	CHILD_EXPECT(vmb_open(NULL, &ep) == 0, 23);
	CHILD_EXPECT(ep != inherited, 24);
	CHILD_EXPECT(vmb_connect(ep, nic_id, id, 0, T_MS, &addr) == 0, 25);
	CHILD_EXPECT(vmb_issend(ep, &seg, 1, addr, 5, NULL, &req) == 0, 26);
	CHILD_EXPECT(vmb_wait(ep, &req, T_MS, &status, &done) == 0, 27);
	CHILD_EXPECT(done && status.code == 0, 28);
	vmb_finalize();
	_exit(0);
}

START_TEST(child_attaches_for_itself)
{
	struct t_pair pair = t_pair_open();
	uint64_t nic_id = t_nic_id();
	uint32_t id = t_id(pair.b);
	char in[6];
	void *p;
	pid_t pid;

	t_ok(vmb_alloc(100000, &p));
	for (int i = 0; i < 3; i++) {
		pid = fork();
		if (pid == 0)
			child_sends(pair.a, nic_id, id);
		t_finish(pair.b, t_irecv(pair.b, 5, VMB_MATCH_ALL, in, 6));
		ck_assert_str_eq(in, "hello");
		expect_child(pid);
		t_exchange(&pair, 1, 100000);
	}
	t_ok(vmb_free(p));
	t_pair_close(&pair);
}
END_TEST

/* ---- two processes ------------------------------------------------------------------ */

static const size_t sizes[] = {
	0, 1, 40, 97, 4097, 8193, 65536, 1u << 20, (4u << 20) + 3};

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* Receive and send back until a message of match 0. */
static void child_echoes(int ready)
{
	size_t room = 5u << 20;
	unsigned char *buf = malloc(room);
	struct vmb_segment seg = {buf, room};
	struct vmb_status status;
	struct vmb_endpoint *ep;
	struct vmb_addr self;
	struct vmb_req *req;
	uint32_t id;
	int done;

	CHILD_EXPECT(vmb_init() == 0 && vmb_open(NULL, &ep) == 0, 31);
	CHILD_EXPECT(vmb_self(ep, &self) == 0, 32);
	CHILD_EXPECT(vmb_addr_query(ep, self, NULL, &id, NULL) == 0, 33);
	CHILD_EXPECT(write(ready, &id, sizeof(id)) == sizeof(id), 34);
	do {
		seg.len = room;
		CHILD_EXPECT(vmb_irecv(ep, &seg, 1, 0, 0, NULL, &req) == 0, 35);
		CHILD_EXPECT(vmb_wait(ep, &req, T_MS, &status, &done) == 0 &&
				     done && status.code == 0,
			     36);
		seg.len = status.xfer_len;
		CHILD_EXPECT(vmb_isend(ep, &seg, 1, status.peer, status.match,
				       NULL, &req) == 0,
			     37);
		CHILD_EXPECT(vmb_wait(ep, &req, T_MS, NULL, &done) == 0 && done,
			     38);
	} while (status.match);
	free(buf);
	vmb_finalize();
	_exit(0);
}

/* The echoing child, started before we attach. */
static pid_t start_echo(uint32_t *id)
{
	int ready[2];
	pid_t pid;

	vmb_finalize();
	t_ok(pipe(ready));
	pid = fork();
	if (pid == 0)
		child_echoes(ready[1]);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], id, sizeof(*id)), sizeof(*id));
	close(ready[0]);
	t_ok(vmb_init());
	return pid;
}

START_TEST(processes_exchange_messages)
{
	size_t room = 5u << 20;
	unsigned char *out, *in;
	struct vmb_endpoint *ep;
	struct vmb_addr addr;
	uint32_t id;
	pid_t pid;

	out = malloc(room);
	in = malloc(room);
	pid = start_echo(&id);
	ep = t_open(NULL);
	t_ok(vmb_connect(ep, t_nic_id(), id, 0, T_MS, &addr));
	for (unsigned i = 0; i < 5 * SIZES; i++) {
		uint64_t match = i + 1 < 5 * SIZES ? i + 1 : 0;
		size_t len = sizes[i % SIZES];
		struct vmb_req *recv =
			t_irecv(ep, match, VMB_MATCH_ALL, in, room);

		t_fill(out, len, i);
		t_finish(ep, t_isend(ep, addr, match, out, len));
		ck_assert_uint_eq(t_finish(ep, recv).xfer_len, len);
		t_verify(in, len, i);
	}
	expect_child(pid);
	free(out);
	free(in);
	t_ok(vmb_close(ep));
}
END_TEST

START_TEST(killed_peer_is_reported)
{
	char *buf = t_pages(4 * T_LARGE);
	struct vmb_status status;
	struct vmb_endpoint *ep;
	struct vmb_addr addr;
	struct vmb_req *req;
	uint32_t id;
	int rc = 0, wait_status;
	pid_t pid;

	pid = start_echo(&id);
	ep = t_open(NULL);
	t_ok(vmb_connect(ep, t_nic_id(), id, 0, T_MS, &addr));
	t_finish(ep, t_isend(ep, addr, 1, "x", 1));
	t_finish(ep, t_irecv(ep, 1, VMB_MATCH_ALL, buf, 1));
	kill(pid, SIGSTOP); /* it will not receive this one */
	req = t_isend(ep, addr, 2, buf, 4 * T_LARGE);
	poll(NULL, 0, 20);
	kill(pid, SIGKILL);
	status = t_finish(ep, req);
	ck_assert_int_eq(status.code, -ECONNRESET);
	ck_assert_int_eq(waitpid(pid, &wait_status, 0), pid);
	rc = vmb_isend(ep, &(struct vmb_segment){buf, 1}, 1, addr, 3, NULL,
		       &req);
	if (!rc)
		rc = t_finish(ep, req).code;
	ck_assert_int_eq(rc, -ECONNRESET);
	t_ok(vmb_close(ep));
}
END_TEST

/* What it says of itself is what the daemon is to say of it. */
struct self {
	uint64_t nic_id;
	uint32_t id, session;
};

static void child_sends_and_leaves(uint64_t nic_id, uint32_t id)
{
	struct vmb_endpoint *ep;
	struct vmb_addr addr;
	struct vmb_segment seg;
	struct vmb_req *req;
	struct self self;
	int done;

	CHILD_EXPECT(vmb_init() == 0 && vmb_open(NULL, &ep) == 0, 41);
	CHILD_EXPECT(vmb_self(ep, &addr) == 0, 42);
	CHILD_EXPECT(vmb_addr_query(ep, addr, &self.nic_id, &self.id,
				    &self.session) == 0,
		     43);
	CHILD_EXPECT(vmb_connect(ep, nic_id, id, 0, T_MS, &addr) == 0, 44);
	seg = (struct vmb_segment){&self, sizeof(self)};
	CHILD_EXPECT(vmb_isend(ep, &seg, 1, addr, 9, NULL, &req) == 0, 45);
	CHILD_EXPECT(vmb_wait(ep, &req, T_MS, NULL, &done) == 0 && done, 46);
	vmb_finalize();
	_exit(0);
}

/* A process is known by the messages that it leaves behind. */
START_TEST(departed_process_is_known_by_its_message)
{
	struct vmb_endpoint *ep = t_open(NULL);
	uint64_t nic_id = t_nic_id(), nic;
	uint32_t own_id = t_id(ep), id, session;
	struct vmb_status status;
	struct vmb_addr again;
	struct self self;
	pid_t pid;

	for (int i = 0; i < 3; i++) {
		pid = fork();
		if (pid == 0)
			child_sends_and_leaves(nic_id, own_id);
		expect_child(pid);
		status = t_finish(ep, t_irecv(ep, 9, VMB_MATCH_ALL, &self,
					      sizeof(self)));
		ck_assert_uint_eq(status.xfer_len, sizeof(self));
		/* the kernel tells the daemon, and that us, a little later */
		while (!vmb_connect(ep, self.nic_id, self.id, 0, T_MS, &again))
			t_ok(vmb_disconnect(ep, again));
		t_ok(vmb_addr_query(ep, status.peer, &nic, &id, &session));
		ck_assert_uint_eq(nic, self.nic_id);
		ck_assert_uint_eq(id, self.id);
		ck_assert_uint_eq(session, self.session);
	}
	t_ok(vmb_close(ep));
}
END_TEST

/* ---- the daemon dies --------------------------------------------------------------------- */

struct sleeper {
	struct vmb_endpoint *ep;
	pthread_t thread;
	int kind, rc, done;
	int there; /* it is about to wait */
	struct vmb_status status;
};

static void *sleep_in_call(void *arg)
{
	struct sleeper *s = arg;
	struct vmb_req *req = t_irecv(s->ep, 1, VMB_MATCH_ALL, NULL, 0), *seen;

	__atomic_store_n(&s->there, 1, __ATOMIC_SEQ_CST);
	switch (s->kind) {
	case 0:
		s->rc = vmb_wait(s->ep, &req, VMB_INFINITE, &s->status,
				 &s->done);
		break;
	case 1:
		s->rc = vmb_probe(s->ep, 0, 0, VMB_INFINITE, NULL, &s->done);
		break;
	default:
		s->rc = vmb_peek(s->ep, VMB_INFINITE, &seen);
		break;
	}
	return NULL;
}

static void expect_pipe_everywhere(struct t_pair *pair)
{
	struct vmb_addr addr;
	uint64_t nic_id;
	uint32_t session;
	int done;
	void *p;

	t_fails(vmb_progress(pair->a), -EPIPE);
	t_fails(vmb_isend(pair->a, NULL, 0, pair->to_b, 1, NULL, NULL), -EPIPE);
	t_fails(vmb_issend(pair->a, NULL, 0, pair->to_b, 1, NULL, NULL),
		-EPIPE);
	t_fails(vmb_irecv(pair->a, NULL, 0, 1, 1, NULL, NULL), -EPIPE);
	t_fails(vmb_wait_any(pair->a, 0, 0, VMB_INFINITE, NULL, &done), -EPIPE);
	t_fails(vmb_probe(pair->a, 0, 0, VMB_INFINITE, NULL, &done), -EPIPE);
	t_fails(vmb_connect(pair->a, t_nic_id(), 3, 0, T_MS, &addr), -EPIPE);
	t_fails(vmb_am_send(pair->a, pair->to_b, 1, 0, NULL, 0), -EPIPE);
	t_fails(vmb_am_fence(pair->a, NULL, NULL), -EPIPE);
	t_fails(vmb_arm(pair->a), -EPIPE);
	t_fails(vmb_alloc(100, &p), -EPIPE);
	t_fails(vmb_name_to_nic_id("elsewhere:0", &nic_id), -EPIPE);
	t_ok(vmb_addr_query(pair->a, pair->to_b, NULL, NULL, &session));
	t_fails(vmb_init(), -EPIPE);
}

static void transfers_are_refused(struct t_pair *pair, struct vmb_mem *mem)
{
	struct vmb_am_offer offer;
	char buf[8];

	t_fails(vmb_am_put(pair->a, pair->to_b, mem, 0, 1, 0, 8, NULL, NULL),
		-EPIPE);
	t_fails(vmb_am_get(pair->a, pair->to_b, mem, 0, 1, 0, 8, NULL, NULL),
		-EPIPE);
	t_fails(vmb_am_offer(pair->a, pair->to_b, buf, 8, NULL, NULL, &offer),
		-EPIPE);
}

/* What needs neither daemon nor engine may go on; nothing waits for them. */
static void expect_end(int rc)
{
	ck_assert_msg(!rc || rc == -EPIPE, "%d", rc);
}

static void expect_pipe_or_end(struct t_pair *pair)
{
	struct vmb_req *req = NULL;
	struct vmb_endpoint *ep;
	char name[VMB_NAME_MAX];
	struct vmb_addr addr;
	struct vmb_mem *mem;
	int done, fd;

	t_fails(vmb_open(NULL, &ep), -EPIPE);
	t_fails(vmb_iconnect(pair->a, t_nic_id(), 3, 0, 1, NULL, &req), -EPIPE);
	t_fails(vmb_test_any(pair->a, 0, 0, NULL, &done), -EPIPE);
	t_fails(vmb_iprobe(pair->a, 0, 0, NULL, &done), -EPIPE);
	t_fails(vmb_ipeek(pair->a, &req), -EPIPE);
	t_fails(vmb_peek(pair->a, VMB_INFINITE, &req), -EPIPE);
	t_fails(vmb_nic_id_to_name(t_nic_id() + 1, name), -EPIPE);
	t_fails(vmb_register(name, sizeof(name), VMB_REMOTE_READ, &mem),
		-EPIPE);
	expect_end(vmb_icomplete(pair->a, -EIO, 0, NULL, NULL));
	expect_end(vmb_disconnect(pair->a, pair->to_b));
	expect_end(vmb_self(pair->a, &addr));
	expect_end(vmb_fd(pair->a, &fd));
	expect_end(vmb_wakeup(pair->a));
	expect_end(vmb_hold(pair->a, 1));
	expect_end(vmb_hold(pair->a, 0));
	expect_end(vmb_set_request_timeout(pair->a, NULL, 1000));
	expect_end(vmb_set_unexpected_handler(pair->a, NULL, NULL));
}

/* Requests, an offer and memory of before: ended, or still ours to end. */
struct left {
	struct vmb_req *tested, *cancelled, *forgotten, *sent;
	struct vmb_am_offer offer;
	struct t_ended offered, moved, fenced;
	struct vmb_mem *mem;
	void *block;
};

static char left_memory[4096];

static void leave(struct t_pair *pair, struct left *l)
{
	l->tested = t_irecv(pair->a, 11, VMB_MATCH_ALL, NULL, 0);
	l->cancelled = t_irecv(pair->a, 12, VMB_MATCH_ALL, NULL, 0);
	l->forgotten = t_irecv(pair->a, 13, VMB_MATCH_ALL, NULL, 0);
	l->sent = t_isend(pair->a, pair->to_b, 14, left_memory, 1);
	t_ok(vmb_am_offer(pair->a, pair->to_b, left_memory, 8, t_note_end,
			  &l->offered, &l->offer));
	t_ok(vmb_register(left_memory, sizeof(left_memory), VMB_REMOTE_READ,
			  &l->mem));
	t_ok(vmb_alloc(1000, &l->block));
}

static void expect_left_to_end(struct t_pair *pair, struct left *l)
{
	struct vmb_status status;
	struct vmb_req *send = l->sent;
	int done;

	t_ok(vmb_test(pair->a, &l->tested, &status, &done));
	ck_assert(done && status.code == -EPIPE);
	t_ok(vmb_cancel(pair->a, &l->cancelled, &done));
	ck_assert(!done); /* it has ended before */
	ck_assert_int_eq(t_finish(pair->a, l->cancelled).code, -EPIPE);
	t_ok(vmb_forget(pair->a, &l->forgotten));
	t_ok(vmb_ibuffered(pair->a, l->sent, &done));
	ck_assert(done);
	t_fails(vmb_cancel(pair->a, &send, &done), -EOPNOTSUPP);
	t_ok(vmb_test(pair->a, &l->sent, &status, &done));
	ck_assert(done && !status.code); /* it was copied */
	t_fails(vmb_am_accept(pair->a, pair->to_b, &l->offer, left_memory, 8,
			      NULL, NULL),
		-EPIPE);
	t_fails(vmb_am_withdraw(pair->a, &l->offer), -EINVAL);
	ck_assert_uint_eq(l->offered.count, 1);
	ck_assert_int_eq(l->offered.code, -EPIPE);
	ck_assert_uint_eq(l->moved.count, 1);
	ck_assert_int_eq(l->moved.code, -EPIPE);
	ck_assert_uint_eq(l->fenced.count, 1);
	ck_assert_int_eq(l->fenced.code, -EPIPE);
	transfers_are_refused(pair, l->mem);
	expect_end(vmb_deregister(l->mem));
	t_fails(vmb_deregister(l->mem), -EINVAL);
	t_ok(vmb_free(l->block));
}

START_TEST(death_of_the_daemon_is_reported_by_each_call)
{
	struct t_pair pair;
	struct left left = {0};
	struct sleeper ss[3];
	char *buf = t_pages(T_LARGE);
	struct vmb_req *send, *recv;

	pair = t_pair_open();
	send = t_isend(pair.a, pair.to_b, 6, buf, T_LARGE);
	recv = t_irecv(pair.a, 7, VMB_MATCH_ALL, buf, 1);
	leave(&pair, &left);
	for (int i = 0; i < 3; i++) {
		ss[i] = (struct sleeper){.ep = pair.b, .kind = i};
		pthread_create(&ss[i].thread, NULL, sleep_in_call, &ss[i]);
		while (!__atomic_load_n(&ss[i].there, __ATOMIC_SEQ_CST))
			sched_yield();
	}
	poll(NULL, 0, 100); /* from there it is a few instructions */
	t_port->kill();
	/* nobody has noticed yet, and nobody serves them any more */
	t_ok(vmb_am_put(pair.a, pair.to_b, left.mem, 0, 1, 0, 8, t_note_end,
			&left.moved));
	t_ok(vmb_am_fence(pair.a, t_note_end, &left.fenced));
	for (int i = 0; i < 3; i++) /* a hang is ended by the test's limit */
		pthread_join(ss[i].thread, NULL);
	/* a request ends with the reason; peek may have seen that one */
	ck_assert_int_eq(ss[0].rc, 0);
	ck_assert_int_eq(ss[0].status.code, -EPIPE);
	ck_assert(ss[2].rc == -EPIPE || ss[2].rc == 0);
	ck_assert(ss[1].rc == -EPIPE || ss[1].done);
	ck_assert_int_eq(t_finish(pair.a, send).code, -EPIPE);
	ck_assert_int_eq(t_finish(pair.a, recv).code, -EPIPE);
	expect_left_to_end(&pair, &left);
	expect_pipe_everywhere(&pair);
	expect_pipe_or_end(&pair);
	t_pair_close(&pair);
}
END_TEST

/* ---- who looks, or posts, now and then ---------------------------------------------- */

/* Each is 0 until the loss is known. */
static int now_and_then_test(struct t_pair *pair, struct vmb_req **req)
{
	struct vmb_status status = {0};
	int done = 0, rc = vmb_test(pair->a, req, &status, &done);

	return done ? status.code : rc;
}

static int now_and_then_progress(struct t_pair *pair, struct vmb_req **req)
{
	(void)req;
	return vmb_progress(pair->a);
}

static int now_and_then_post(struct t_pair *pair, struct vmb_req **req)
{
	struct vmb_req *send;
	int rc = vmb_isend(pair->a, NULL, 0, pair->to_b, 2, NULL, &send);

	(void)req;
	return rc ? rc : vmb_forget(pair->a, &send);
}

static const struct {
	int (*call)(struct t_pair *pair, struct vmb_req **req);
	int pause_ms;
	double limit; /* seconds; some of it is for a machine that is busy */
} seldom[] = {
	{now_and_then_test, 1, 5},	{now_and_then_test, 20, 15},
	{now_and_then_progress, 10, 9}, {now_and_then_post, 1, 5},
	{now_and_then_post, 20, 15},
};

/* It did nothing but look before, for a while. */
START_TEST(death_of_the_daemon_is_noticed_by_who_looks_now_and_then)
{
	struct t_pair pair = t_pair_open();
	struct vmb_req *req = t_irecv(pair.a, 1, VMB_MATCH_ALL, NULL, 0);
	double begin;
	int rc = 0;

	for (int i = 0; i < 100000; i++)
		t_ok(now_and_then_test(&pair, &req));
	t_port->kill();
	begin = t_seconds();
	while (!rc && t_seconds() - begin < seldom[_i].limit) {
		poll(NULL, 0, seldom[_i].pause_ms);
		rc = seldom[_i].call(&pair, &req);
	}
	ck_assert_int_eq(rc, -EPIPE);
	t_fails(vmb_progress(pair.a), -EPIPE);
	t_pair_close(&pair);
}
END_TEST

struct player {
	struct vmb_endpoint *ep;
	pthread_t thread;
	unsigned ball;
	int rounds, rc;
};

static int return_ball(struct player *p)
{
	struct vmb_segment seg = {&p->ball, sizeof(p->ball)};
	struct vmb_status status;
	struct vmb_req *req;
	int rc, done;

	rc = vmb_irecv(p->ep, &seg, 1, 0, 0, NULL, &req);
	if (!rc)
		rc = vmb_wait(p->ep, &req, VMB_INFINITE, &status, &done);
	if (rc || status.code)
		return rc ? rc : status.code;
	rc = vmb_isend(p->ep, &seg, 1, status.peer, 0, NULL, &req);
	if (!rc)
		rc = vmb_wait(p->ep, &req, VMB_INFINITE, &status, &done);
	return rc ? rc : status.code;
}

static void *play(void *arg)
{
	struct player *p = arg;
	int rc;

	do {
		rc = return_ball(p);
		__atomic_store_n(&p->rc, rc, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&p->rounds, 1, __ATOMIC_SEQ_CST);
	} while (!rc);
	return NULL;
}

/* In the middle of a game, when each sleeps for a moment only. */
START_TEST(death_of_the_daemon_ends_a_game_of_sleepers)
{
	struct vmb_open_params params = {.size = sizeof(params),
					 .id = VMB_ANY_ID,
					 .wait = VMB_WAIT_BLOCK};
	struct t_pair pair = t_pair_open_with(&params);
	struct player ps[2] = {{.ep = pair.a}, {.ep = pair.b}};
	unsigned ball = 1;

	t_finish(pair.a, t_isend(pair.a, pair.to_b, 0, &ball, sizeof(ball)));
	for (int i = 0; i < 2; i++)
		pthread_create(&ps[i].thread, NULL, play, &ps[i]);
	while (__atomic_load_n(&ps[1].rounds, __ATOMIC_SEQ_CST) < 1000) {
		for (int i = 0; i < 2; i++)
			ck_assert_int_eq(__atomic_load_n(&ps[i].rc,
							 __ATOMIC_SEQ_CST),
					 0);
		poll(NULL, 0, 1);
	}
	t_port->kill();
	for (int i = 0; i < 2; i++) { /* a hang is ended by the test's limit */
		pthread_join(ps[i].thread, NULL);
		ck_assert_int_eq(ps[i].rc, -EPIPE);
	}
	t_pair_close(&pair);
}
END_TEST

START_TEST(restarted_daemon_serves_a_new_init)
{
	struct t_pair pair;

	for (int i = 0; i < 3; i++) {
		pair = t_pair_open();
		t_exchange(&pair, 1, 100000);
		t_port->kill();
		t_port->start();
		/* the old endpoints do not come to life again */
		t_fails(vmb_wait_any(pair.a, 0, 0, T_MS, NULL, &(int){0}),
			-EPIPE);
		t_ok(vmb_close(pair.a));
		vmb_finalize(); /* closes the other */
		t_ok(vmb_init());
	}
	pair = t_pair_open();
	t_exchange(&pair, 1, 100000);
	t_pair_close(&pair);
}
END_TEST

START_TEST(init_without_daemon_says_so)
{
	int rc;

	vmb_finalize();
	t_port->kill();
	rc = vmb_init();
	ck_assert(rc == -ECONNREFUSED || rc == -ENOENT);
	setenv("VMB_PORT", "local:/nonexistent/socket", 1);
	t_fails(vmb_init(), -ENOENT);
	setenv("VMB_PORT", "foo", 1);
	t_fails(vmb_init(), -EINVAL);
	ck_assert_ptr_nonnull(strstr(vmb_strerror(-EINVAL), "VMB_PORT"));
	t_port->start();
	t_ok(vmb_init());
}
END_TEST

Suite *t_process_suite(void)
{
	Suite *s = suite_create("process");
	TCase *tc = t_case(s, "fork");

	tcase_add_test(tc, child_is_refused_until_init);
	if (t_port->processes) {
		tcase_add_test(tc, child_attaches_for_itself);
		tc = t_case(s, "two processes");
		tcase_add_test(tc, processes_exchange_messages);
		tcase_add_test(tc, killed_peer_is_reported);
		tcase_add_test(tc, departed_process_is_known_by_its_message);
	}
	if (t_port->kill) {
		tc = t_case(s, "daemon");
		tcase_add_test(tc,
			       death_of_the_daemon_is_reported_by_each_call);
		tcase_add_loop_test(
			tc,
			death_of_the_daemon_is_noticed_by_who_looks_now_and_then,
			0, sizeof(seldom) / sizeof(seldom[0]));
		tcase_add_test(tc, death_of_the_daemon_ends_a_game_of_sleepers);
		tcase_add_test(tc, restarted_daemon_serves_a_new_init);
		tcase_add_test(tc, init_without_daemon_says_so);
	}
	return s;
}
