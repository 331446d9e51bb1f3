// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_death.c - processes and endpoints that end in the middle of whatever
 * they do: their peers are told, the daemon holds nothing of theirs, and
 * memory that was given back is not touched any more.
 *
 * Flow:  visitors, killed at random moments <-> vmbd <-> honest pair
 * Owns:  one daemon per test; what it held before is compared with after.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/util.h"
#include "support/run.h"
#include "traffic.h"
#include "witness.h"

#define KILLS 200
#define KILLS_NIGHTLY 5000

/* ---- visitors ----------------------------------------------------------- */

#define ROOMS 4 /* receives that a visitor has posted */

struct visitor {
	struct t_crowd *crowd;
	struct t_member *me;
	struct vmb_endpoint *ep;
	struct vmb_mem *mem;	  /* of its own, for puts and gets */
	unsigned char *nic_bytes; /* as t_bytes(), of vmb_alloc() */
	unsigned char *rooms[ROOMS];
	uint64_t random;
	unsigned under_way;
};

static uint64_t draw(struct visitor *v)
{
	return v->random = t_mix(v->random);
}

static void post_room(struct visitor *v, unsigned char *room)
{
	struct vmb_segment seg = {room, T_MESSAGE_MAX};
	struct vmb_req *req; /* test_any finds it */

	t_must(!vmb_irecv(v->ep, &seg, 1, 0, 0, room, &req));
}

static void visitor_open(struct visitor *v)
{
	void *memory;

	v->ep = t_member_open(v->crowd, v->me);
	t_must(!vmb_alloc(T_MESSAGE_MAX, &memory));
	t_must(!vmb_register(memory, T_MESSAGE_MAX, 0, &v->mem));
	t_must(!vmb_alloc(T_MESSAGE_MAX + T_SEEDS, &memory));
	v->nic_bytes = memcpy(memory, t_bytes(0), T_MESSAGE_MAX + T_SEEDS);
	for (int i = 0; i < ROOMS; i++) {
		t_must(v->rooms[i] = malloc(T_MESSAGE_MAX));
		post_room(v, v->rooms[i]);
	}
}

/* One of the pair or another visitor, which may be dead already. */
static int pick_peer(struct visitor *v, struct vmb_addr *addr, uint64_t *key)
{
	unsigned n = (unsigned)(draw(v) % (2 + T_VISITORS));
	struct t_member *m =
		n < 2 ? &v->crowd->honest[n] : &v->crowd->visitors[n - 2];
	uint64_t nic_id;
	int err;

	if (!vmb_observe(&m->ready))
		return -ENOENT;
	*key = m->key;
	t_must(!vmb_nic_id(&nic_id));
	err = vmb_connect(v->ep, nic_id, m->id, 0, T_PATIENCE_MS, addr);
	t_must(!err || err == -ECONNREFUSED);
	return err;
}

/* Eager or rendezvous, from malloc() or from vmb_alloc() memory. */
static void act_send(struct visitor *v, struct vmb_addr to, uint64_t key)
{
	uint64_t seed = draw(v) % T_SEEDS;
	struct vmb_segment seg = {(void *)(uintptr_t)t_bytes(seed),
				  t_size(draw(v))};
	struct vmb_req *req;
	int err;

	(void)key;
	if (draw(v) % 2)
		seg.ptr = v->nic_bytes + seed;
	err = vmb_isend(v->ep, &seg, 1, to, t_visit((unsigned)seed), NULL,
			&req);
	t_must(!err || t_is_gone(err));
	v->under_way += !err;
}

static void on_done(struct vmb_endpoint *ep, int code, uint64_t moved,
		    void *context)
{
	struct visitor *v = context;

	(void)ep;
	t_must(moved <= T_MESSAGE_MAX);
	t_must(!code || t_is_gone(code) || code == -ENOKEY);
	v->under_way--;
}

static void act_put_or_get(struct visitor *v, struct vmb_addr to, uint64_t key)
{
	uint64_t len = t_size(draw(v)), offset = T_MESSAGE_MAX - len;
	int err;

	err = (draw(v) % 2 ? vmb_am_put : vmb_am_get)(
		v->ep, to, v->mem, offset, key, offset, len, on_done, v);
	t_must(!err || err == -EAGAIN || t_is_gone(err));
	v->under_way += !err;
}

/* Another endpoint, for one message. */
static void act_open_and_close(struct visitor *v, struct vmb_addr to,
			       uint64_t key)
{
	struct vmb_segment seg = {v->nic_bytes, 40};
	struct vmb_endpoint *ep;
	uint64_t nic_id;

	(void)key;
	t_must(!vmb_open(NULL, &ep));
	t_must(!vmb_nic_id(&nic_id));
	t_must(!vmb_connect(ep, nic_id, v->crowd->honest[0].id, 0,
			    T_PATIENCE_MS, &to));
	t_must(!vmb_isend(ep, &seg, 1, to, t_visit(0), NULL, NULL));
	t_must(!vmb_close(ep));
}

static void take_ends(struct visitor *v)
{
	struct vmb_status status;
	int done = 1;

	while (done) {
		t_must(!vmb_wait_any(v->ep, 0, 0, v->under_way > 8 ? 1 : 0,
				     &status, &done));
		if (!done)
			break;
		t_must(!status.code || t_is_gone(status.code));
		if (!status.context) {
			v->under_way--;
			continue;
		}
		if (!status.code)
			t_must(!memcmp(status.context, t_bytes(status.match),
				       status.xfer_len));
		post_room(v, status.context);
	}
}

/* Never returns: traffic of all kinds, with everybody, until the end. */
static _Noreturn void visitor_main(struct t_crowd *crowd, unsigned place,
				   uint64_t seed)
{
	static void (*const acts[])(struct visitor *, struct vmb_addr,
				    uint64_t) = {
		act_send,	act_send,	act_send,
		act_put_or_get, act_put_or_get, act_open_and_close};
	struct visitor v = {
		.crowd = crowd, .me = &crowd->visitors[place], .random = seed};
	struct vmb_addr addr;
	uint64_t key;

	visitor_open(&v);
	for (;;) {
		if (v.under_way < 16 && !pick_peer(&v, &addr, &key))
			acts[draw(&v) % vmb_array_size(acts)](&v, addr, key);
		take_ends(&v);
	}
}

/* ---- any moment --------------------------------------------------------- */

static unsigned choose_kills(void)
{
	const char *stress = getenv("VMB_STRESS");

	return stress && !strcmp(stress, "nightly") ? KILLS_NIGHTLY : KILLS;
}

static void start_visitor(struct t_crowd *crowd, pid_t *pids, unsigned place,
			  uint64_t seed)
{
	vmb_store_relaxed(&crowd->visitors[place].ready, 0);
	pids[place] = t_child();
	if (!pids[place])
		visitor_main(crowd, place, seed);
}

/* One in four dies before it is ready, the others at work. */
static void wait_moment(const struct t_member *visitor, uint64_t random)
{
	uint64_t until;

	if (random % 4)
		t_until_set(&visitor->ready);
	until = vmb_now_ns() + (random >> 8) % 8000000u;
	while (vmb_now_ns() < until)
		poll(NULL, 0, 1);
}

/* Do all rows of `vmbctl --json what` belong to one of these processes? */
static void expect_only(const char *what, const pid_t *pids, unsigned count)
{
	static const char command[] = "exec \"$VMBCTL\" --socket %s --json %s";
	char line[256];
	FILE *rows;
	bool known;
	int pid;

	snprintf(line, sizeof(line), command, t_witness.daemon.socket, what);
	rows = popen(line, "r");
	ck_assert_ptr_nonnull(rows);
	while (fgets(line, sizeof(line), rows)) {
		const char *at = strstr(line, "\"pid\":");

		if (!at || sscanf(at, "\"pid\": %d", &pid) != 1)
			continue;
		known = false;
		for (unsigned i = 0; i < count; i++)
			known |= pids[i] == pid;
		ck_assert_msg(known, "%s of process %d are left", what, pid);
	}
	ck_assert_int_eq(pclose(rows), 0);
}

static void expect_only_the_living(const struct t_crowd *crowd)
{
	const pid_t living[] = {getpid(), crowd->pids[0], crowd->pids[1]};

	t_raw_wait_clients(t_witness.daemon.socket, vmb_array_size(living));
	expect_only("clients", living, vmb_array_size(living));
	expect_only("endpoints", living, vmb_array_size(living));
	expect_only("regions", living, vmb_array_size(living));
}

/* Visits to both of the honest went well, and some were cut off. */
static bool they_met(const struct t_crowd *crowd, unsigned kills)
{
	bool met = true;

	for (unsigned i = 0; i < 2; i++)
		met &= crowd->honest[i].visits > kills / 4 &&
		       crowd->honest[i].resets > 0;
	return met;
}

START_TEST(any_moment_is_survived_by_all_others)
{
	struct t_crowd *crowd = t_crowd_start(t_witness.daemon.socket);
	unsigned kills = choose_kills(), place;
	uint64_t random = t_choose_seed("death");
	pid_t pids[T_VISITORS];

	for (place = 0; place < T_VISITORS; place++)
		start_visitor(crowd, pids, place, t_mix(random + place));
	for (unsigned i = 0; i < kills || !they_met(crowd, kills); i++) {
		ck_assert_uint_lt(i, 20 * kills);
		random = t_mix(random);
		place = (unsigned)(random >> 2) % T_VISITORS;
		wait_moment(&crowd->visitors[place], random);
		t_child_kill(pids[place]);
		start_visitor(crowd, pids, place, random);
	}
	for (place = 0; place < T_VISITORS; place++)
		t_child_kill(pids[place]);
	t_crowd_goes_on(crowd, 20);
	expect_only_the_living(crowd);
	t_crowd_stop(crowd);
}
END_TEST

/* ---- the middle of a transfer ------------------------------------------- */

#define LARGE (128u << 20)
#define ATTEMPTS 20 /* to see the end come before the transfer's own */
#define SENT 0x5a
#define OURS 0xee

static struct vmb_segment large(bool of_nic, int fill)
{
	struct vmb_segment seg = {NULL, LARGE};

	if (of_nic)
		ck_assert_int_eq(vmb_alloc(LARGE, &seg.ptr), 0);
	else
		seg.ptr = malloc(LARGE);
	ck_assert_ptr_nonnull(seg.ptr);
	memset(seg.ptr, fill, LARGE);
	return seg;
}

static void large_free(struct vmb_segment seg, bool of_nic)
{
	if (of_nic)
		ck_assert_int_eq(vmb_free(seg.ptr), 0);
	else
		free(seg.ptr);
}

static struct vmb_endpoint *open_here(void)
{
	struct vmb_endpoint *ep;

	ck_assert_int_eq(vmb_open(NULL, &ep), 0);
	return ep;
}

static void attach_here(void)
{
	char port[64];

	snprintf(port, sizeof(port), "local:%s", t_witness.daemon.socket);
	setenv("VMB_PORT", port, 1);
	ck_assert_int_eq(vmb_init(), 0);
}

static struct vmb_addr connect_here(struct vmb_endpoint *from,
				    struct vmb_endpoint *to)
{
	struct vmb_addr addr;
	uint64_t nic_id;
	uint32_t id;

	ck_assert_int_eq(vmb_self(to, &addr), 0);
	ck_assert_int_eq(vmb_addr_query(to, addr, &nic_id, &id, NULL), 0);
	ck_assert_int_eq(vmb_connect(from, nic_id, id, 0, T_PATIENCE_MS, &addr),
			 0);
	return addr;
}

/* Both ends work until half of the bytes are there. b may be NULL. */
static void until_middle(struct vmb_endpoint *a, struct vmb_endpoint *b,
			 const struct vmb_segment *to)
{
	const unsigned char *half = (unsigned char *)to->ptr + LARGE / 2;
	uint64_t limit = vmb_now_ns() + T_PATIENCE_MS * 1000000ull;

	while (vmb_load_relaxed(half) != SENT) {
		ck_assert_msg(vmb_now_ns() < limit, "nothing is moved");
		ck_assert_int_eq(vmb_progress(a), 0);
		if (b)
			ck_assert_int_eq(vmb_progress(b), 0);
	}
}

/* Given back to us: from now on nobody writes to it. */
static void expect_untouched(struct vmb_endpoint *ep, struct vmb_segment *seg)
{
	const unsigned char *p = memset(seg->ptr, OURS, LARGE);
	uint64_t limit = vmb_now_ns() + 20000000u;

	while (vmb_now_ns() < limit)
		ck_assert_int_eq(vmb_progress(ep), 0);
	ck_assert(p[0] == OURS && !memcmp(p, p + 1, LARGE - 1));
}

/* Wait; it must end well or by the death of the other side. */
static bool was_cut_off(struct vmb_endpoint *ep, struct vmb_req *req)
{
	struct vmb_status status;
	int done;

	ck_assert_int_eq(vmb_wait(ep, &req, T_PATIENCE_MS, &status, &done), 0);
	ck_assert_msg(done, "the request hangs");
	ck_assert(!status.code || t_is_gone(status.code));
	return status.code;
}

/* In a process that will be killed: send to, or receive from, the other. */
static _Noreturn void partner_main(struct t_crowd *crowd, bool sends,
				   const struct vmb_segment *seg)
{
	const struct t_member *other = &crowd->visitors[0];
	struct vmb_endpoint *ep = t_member_open(crowd, &crowd->visitors[1]);
	struct vmb_addr addr;
	struct vmb_req *req;
	uint64_t nic_id;
	int done;

	t_must(!vmb_nic_id(&nic_id));
	t_must(!vmb_connect(ep, nic_id, other->id, 0, T_PATIENCE_MS, &addr));
	if (sends)
		t_must(!vmb_isend(ep, seg, 1, addr, 1, NULL, &req));
	else
		t_must(!vmb_irecv(ep, seg, 1, 1, ~0ull, NULL, &req));
	vmb_wait(ep, &req, VMB_INFINITE, NULL, &done);
	for (;;)
		pause();
}

/* The partner is to be killed, or its half of the transfer was too fast. */
static bool kill_sender(struct t_crowd *crowd, bool to_nic)
{
	struct vmb_segment from = {NULL, LARGE}, to;
	struct vmb_endpoint *ep;
	struct vmb_req *req;
	bool cut;
	pid_t pid;

	memset(crowd->visitors, 0, sizeof(crowd->visitors));
	pid = t_child();
	if (!pid) {
		t_must(from.ptr = malloc(LARGE));
		memset(from.ptr, SENT, LARGE);
		while (!vmb_observe(&crowd->visitors[0].ready))
			poll(NULL, 0, 1);
		partner_main(crowd, true, &from);
	}
	ep = t_member_open(crowd, &crowd->visitors[0]);
	to = large(to_nic, 0);
	ck_assert_int_eq(vmb_irecv(ep, &to, 1, 1, ~0ull, NULL, &req), 0);
	until_middle(ep, NULL, &to);
	t_child_kill(pid);
	cut = was_cut_off(ep, req);
	expect_untouched(ep, &to);
	large_free(to, to_nic);
	vmb_finalize();
	return cut;
}

/* The partner receives to memory that both can see. */
static bool kill_receiver(struct t_crowd *crowd, bool from_nic)
{
	struct vmb_segment from, to = {NULL, LARGE};
	struct vmb_endpoint *ep;
	struct vmb_addr addr;
	struct vmb_req *req;
	uint64_t nic_id;
	bool cut;
	pid_t pid;

	memset(crowd->visitors, 0, sizeof(crowd->visitors));
	to.ptr = mmap(NULL, LARGE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(to.ptr, MAP_FAILED);
	pid = t_child();
	if (!pid) {
		while (!vmb_observe(&crowd->visitors[0].ready))
			poll(NULL, 0, 1);
		partner_main(crowd, false, &to);
	}
	ep = t_member_open(crowd, &crowd->visitors[0]);
	t_until_set(&crowd->visitors[1].ready);
	from = large(from_nic, SENT);
	ck_assert_int_eq(vmb_nic_id(&nic_id), 0);
	ck_assert_int_eq(vmb_connect(ep, nic_id, crowd->visitors[1].id, 0,
				     T_PATIENCE_MS, &addr),
			 0);
	ck_assert_int_eq(vmb_isend(ep, &from, 1, addr, 1, NULL, &req), 0);
	until_middle(ep, NULL, &to);
	t_child_kill(pid);
	cut = was_cut_off(ep, req);
	large_free(from, from_nic);
	munmap(to.ptr, LARGE);
	vmb_finalize();
	return cut;
}

/* Looped: who is killed, and of which kind our memory is. */
START_TEST(peer_of_one_killed_in_the_middle_is_told)
{
	struct t_crowd *crowd = t_crowd_start(t_witness.daemon.socket);
	bool cut = false;

	for (int i = 0; i < ATTEMPTS && !cut; i++)
		cut = (_i & 1 ? kill_sender : kill_receiver)(crowd, _i & 2);
	ck_assert_msg(cut, "no transfer was cut off");
	t_crowd_goes_on(crowd, 2);
	t_crowd_stop(crowd);
}
END_TEST

/* Looped: who closes, and of which kind the memory is. */
START_TEST(peer_of_one_closed_in_the_middle_is_told)
{
	bool receiver = _i & 1, of_nic = _i & 2, cut = false;
	struct vmb_segment from, to;
	struct vmb_endpoint *a, *b;
	struct vmb_req *send, *recv;

	attach_here();
	from = large(of_nic, SENT);
	to = large(of_nic, 0);
	for (int i = 0; i < ATTEMPTS && !cut; i++) {
		memset(to.ptr, 0, LARGE);
		a = open_here();
		b = open_here();
		ck_assert_int_eq(vmb_irecv(b, &to, 1, 1, ~0ull, NULL, &recv),
				 0);
		ck_assert_int_eq(vmb_isend(a, &from, 1, connect_here(a, b), 1,
					   NULL, &send),
				 0);
		until_middle(a, b, &to);
		ck_assert_int_eq(vmb_close(receiver ? b : a), 0);
		if (receiver) {
			expect_untouched(a, &to);
			cut = was_cut_off(a, send);
		} else {
			cut = was_cut_off(b, recv);
			expect_untouched(b, &to);
		}
		ck_assert_int_eq(vmb_close(receiver ? a : b), 0);
	}
	ck_assert_msg(cut, "no transfer was cut off");
	large_free(from, of_nic);
	large_free(to, of_nic);
	vmb_finalize();
}
END_TEST

struct outcome {
	bool ended;
	int code;
	uint64_t moved;
};

static void on_outcome(struct vmb_endpoint *ep, int code, uint64_t moved,
		       void *context)
{
	struct outcome *o = context;

	(void)ep;
	*o = (struct outcome){true, code, moved};
}

/*
 * One put or get of a from (and to) the memory of b, of which one side is
 * deregistered in the middle. Returns whether that ended it.
 */
static bool deregister_once(struct vmb_endpoint *a, struct vmb_endpoint *b,
			    struct vmb_segment *from, struct vmb_segment *to,
			    bool put, bool remote)
{
	struct vmb_mem *mem[2]; /* of a, of b */
	struct outcome o = {0};
	uint64_t key, limit;

	memset(from->ptr, SENT, LARGE);
	memset(to->ptr, 0, LARGE);
	ck_assert_int_eq(
		vmb_register(put ? from->ptr : to->ptr, LARGE, 0, &mem[0]), 0);
	ck_assert_int_eq(vmb_register(put ? to->ptr : from->ptr, LARGE,
				      VMB_REMOTE_READ | VMB_REMOTE_WRITE,
				      &mem[1]),
			 0);
	ck_assert_int_eq(vmb_mem_key(mem[1], &key), 0);
	ck_assert_int_eq((put ? vmb_am_put : vmb_am_get)(a, connect_here(a, b),
							 mem[0], 0, key, 0,
							 LARGE, on_outcome, &o),
			 0);
	until_middle(a, b, to);
	ck_assert_int_eq(vmb_deregister(mem[remote]), 0);
	expect_untouched(a, to);
	limit = vmb_now_ns() + T_PATIENCE_MS * 1000000ull;
	while (!o.ended) {
		ck_assert_msg(vmb_now_ns() < limit, "the transfer hangs");
		ck_assert_int_eq(vmb_progress(a), 0);
	}
	ck_assert(o.code ? o.code == -ENOKEY && o.moved < LARGE
			 : o.moved == LARGE);
	ck_assert_int_eq(vmb_deregister(mem[!remote]), 0);
	return o.code;
}

static const struct {
	bool put, remote, of_nic; /* remote: memory of the one who waits */
} deregistrations[] = {
	{false, false, false}, {true, false, false}, {false, true, false},
	{true, true, false},   {false, false, true}, {true, false, true},
	{false, true, true},   {true, true, true},
};

START_TEST(deregistration_in_the_middle_ends_the_transfer)
{
	bool of_nic = deregistrations[_i].of_nic, cut = false;
	struct vmb_endpoint *a, *b;
	struct vmb_segment from, to;

	attach_here();
	a = open_here();
	b = open_here();
	from = large(of_nic, SENT);
	to = large(of_nic, 0);
	for (int i = 0; i < ATTEMPTS && !cut; i++)
		cut = deregister_once(a, b, &from, &to, deregistrations[_i].put,
				      deregistrations[_i].remote);
	ck_assert_msg(cut, "no transfer was cut off");
	large_free(from, of_nic);
	large_free(to, of_nic);
	vmb_finalize();
}
END_TEST

/* ---- suite -------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name)
{
	const char *stress = getenv("VMB_STRESS");
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, t_witness_start, t_witness_stop);
	tcase_set_timeout(t, stress ? 1800 : 120);
	suite_add_tcase(s, t);
	return t;
}

int main(void)
{
	Suite *s = suite_create("death");
	TCase *t;

	t = add_case(s, "moment");
	tcase_add_test(t, any_moment_is_survived_by_all_others);
	t = add_case(s, "middle");
	tcase_add_loop_test(t, peer_of_one_killed_in_the_middle_is_told, 0, 4);
	tcase_add_loop_test(t, peer_of_one_closed_in_the_middle_is_told, 0, 4);
	tcase_add_loop_test(t, deregistration_in_the_middle_ends_the_transfer,
			    0, vmb_array_size(deregistrations));
	return t_run(s);
}
