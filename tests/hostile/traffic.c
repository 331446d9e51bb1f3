// SPDX-License-Identifier: BSD-2-Clause
/*
 * traffic.c - see traffic.h.
 *
 * Flow:  honest process <-> vmbd of the test <-> honest process, visitors
 * Owns:  the shared memory of a test and the pair's processes.
 * Trust: nothing that arrives. An operation with a visitor may end in any way
 *        that vmb.h names for a peer that dies, and has to end.
 */
#include "traffic.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/util.h"

#define LAST (1ull << 62) /* the round after which both stop */
#define ROUND_MASK (~LAST)
#define GUESTS 4  /* receives for visitors that are posted */
#define ANSWERS 8 /* operations towards visitors that are under way */
#define ANSWER_BYTES 200000u

/* ---- bytes -------------------------------------------------------------- */

uint64_t t_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

uint64_t t_choose_seed(const char *test)
{
	const char *given = getenv("VMB_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : vmb_now_ns();

	printf("%s: VMB_SEED=%#llx\n", test, (unsigned long long)seed);
	fflush(stdout);
	return seed;
}

const unsigned char *t_bytes(uint64_t seed)
{
	static unsigned char *pattern;
	uint64_t word;

	if (!pattern) {
		pattern = malloc(T_MESSAGE_MAX + T_SEEDS);
		t_must(pattern);
		for (size_t i = 0; i < T_MESSAGE_MAX + T_SEEDS; i += 8) {
			word = t_mix(i);
			memcpy(pattern + i, &word, sizeof(word));
		}
	}
	return pattern + seed % T_SEEDS;
}

size_t t_size(uint64_t seed)
{
	static const size_t limits[] = {41, 97, 4097, 65537, T_MESSAGE_MAX + 1};
	uint64_t r = t_mix(seed);

	return (size_t)((r >> 8) % limits[r % vmb_array_size(limits)]);
}

/* It died; -ESTALE: and another one, which we know, has its place. */
bool t_is_gone(int code)
{
	return code == -ECONNRESET || code == -ESTALE;
}

/* ---- processes ---------------------------------------------------------- */

void t_give_up(const char *what, const char *file, int line)
{
	fprintf(stderr, "process %d: %s:%d: not so: %s\n", (int)getpid(), file,
		line, what);
	_exit(1);
}

pid_t t_child(void)
{
	pid_t parent = getpid(), pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	return 0;
}

void t_child_ends(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), status;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	ck_assert_msg(poll(&p, 1, 2 * T_PATIENCE_MS) == 1,
		      "process %d does not end", (int)pid);
	close(fd);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(!status, "process %d ended with status %#x", (int)pid,
		      status);
}

void t_child_kill(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	/* unless it found something wrong before */
	ck_assert_msg(WIFSIGNALED(status), "process %d ended with status %#x",
		      (int)pid, status);
}

void t_until_set(const uint32_t *word)
{
	uint64_t limit = vmb_now_ns() + T_PATIENCE_MS * 1000000ull;

	while (!vmb_observe(word)) {
		ck_assert_msg(vmb_now_ns() < limit, "a process does nothing");
		poll(NULL, 0, 1);
	}
}

struct vmb_endpoint *t_member_open(const struct t_crowd *crowd,
				   struct t_member *me)
{
	struct vmb_endpoint *ep;
	struct vmb_addr self;
	struct vmb_mem *mem;
	void *memory;

	setenv("VMB_PORT", crowd->port, 1);
	t_must(!vmb_init());
	t_must(!vmb_open(NULL, &ep));
	t_must(!vmb_self(ep, &self));
	t_must(!vmb_addr_query(ep, self, NULL, &me->id, NULL));
	t_must(!vmb_alloc(T_MESSAGE_MAX, &memory));
	t_must(!vmb_register(memory, T_MESSAGE_MAX,
			     VMB_REMOTE_READ | VMB_REMOTE_WRITE, &mem));
	t_must(!vmb_mem_key(mem, &me->key));
	vmb_publish(&me->ready, 1);
	return ep;
}

/* ---- one of the pair ---------------------------------------------------- */

struct host {
	struct t_crowd *crowd;
	struct t_member *me;
	struct vmb_endpoint *ep;
	struct vmb_addr partner;
	struct vmb_mem *landing;       /* for gets */
	unsigned char *out[2], *in[2]; /* of malloc() and of vmb_alloc() */
	unsigned char *guests[GUESTS];
	unsigned answers; /* under way */
};

/* How an operation ends whose other side may die at any moment. */
static void count_end(struct host *h, int code)
{
	if (!code)
		h->me->visits++;
	else if (t_is_gone(code))
		h->me->resets++;
	else
		t_must(code == -ENOKEY); /* another has its place now */
}

static void post_guest(struct host *h, unsigned char *buf)
{
	struct vmb_segment seg = {buf, T_MESSAGE_MAX};
	struct vmb_req *req; /* test_any finds it */

	t_must(!vmb_irecv(h->ep, &seg, 1, T_VISIT, T_VISIT, buf, &req));
}

static void on_got(struct vmb_endpoint *ep, int code, uint64_t moved,
		   void *context)
{
	struct host *h = context;

	(void)ep;
	t_must(moved <= ANSWER_BYTES);
	h->answers--;
	count_end(h, code);
}

/* Fetch from the memory of whoever is in that place now. */
static void get_from_visitor(struct host *h, unsigned place)
{
	struct t_member *v = &h->crowd->visitors[place];
	struct vmb_addr addr;
	uint64_t nic_id;
	int err;

	if (!vmb_observe(&v->ready))
		return;
	t_must(!vmb_nic_id(&nic_id));
	err = vmb_connect(h->ep, nic_id, v->id, 0, T_PATIENCE_MS, &addr);
	if (err) { /* it died meanwhile */
		t_must(err == -ECONNREFUSED);
		return;
	}
	err = vmb_am_get(h->ep, addr, h->landing, 0, v->key, 0, ANSWER_BYTES,
			 on_got, h);
	t_must(!err || err == -EAGAIN || t_is_gone(err));
	if (!err)
		h->answers++;
}

/* A message came, or an answer has ended. */
static void guest_ended(struct host *h, const struct vmb_status *status)
{
	struct vmb_segment seg = {(void *)(uintptr_t)t_bytes(status->match),
				  t_size(status->match) % ANSWER_BYTES};
	struct vmb_req *req;
	int err;

	count_end(h, status->code);
	if (!status->context) {
		h->answers--;
		return;
	}
	if (!status->code)
		t_must(!memcmp(status->context, t_bytes(status->match),
			       status->xfer_len));
	if (!status->code && h->answers < ANSWERS) {
		err = vmb_isend(h->ep, &seg, 1, status->peer, status->match,
				NULL, &req);
		t_must(!err || t_is_gone(err) || err == -EINVAL);
		h->answers += !err;
	}
	post_guest(h, status->context);
}

static void serve_guests(struct host *h)
{
	struct vmb_status status;
	int done = 1;

	for (int i = 0; i < 2 * GUESTS && done; i++) {
		t_must(!vmb_test_any(h->ep, T_VISIT, T_VISIT, &status, &done));
		if (done)
			guest_ended(h, &status);
	}
	if (h->answers < ANSWERS)
		get_from_visitor(h, h->me->rounds % T_VISITORS);
}

static struct vmb_status finish(struct host *h, struct vmb_req *req)
{
	struct vmb_status status;
	int done;

	t_must(!vmb_wait(h->ep, &req, T_PATIENCE_MS, &status, &done));
	t_must(done);
	t_must(!status.code);
	return status;
}

/* One message each way. Returns whether it was the last. */
static bool exchange(struct host *h, uint64_t round, bool last)
{
	size_t len = t_size(round);
	unsigned char *out = h->out[round % 2], *in = h->in[round / 2 % 2];
	struct vmb_segment to = {out, len}, from = {in, T_MESSAGE_MAX};
	struct vmb_req *send, *recv;
	struct vmb_status status;

	memcpy(out, t_bytes(round), len);
	memset(in, 0xee, len + 1);
	t_must(!vmb_irecv(h->ep, &from, 1, round, ROUND_MASK, NULL, &recv));
	t_must(!vmb_isend(h->ep, &to, 1, h->partner, round | (last ? LAST : 0),
			  NULL, &send));
	status = finish(h, recv);
	finish(h, send);
	t_must(status.xfer_len == len && status.msg_len == len);
	t_must(!memcmp(in, t_bytes(round), len) && in[len] == 0xee);
	return status.match & LAST;
}

static void *nic_memory(size_t len)
{
	void *memory;

	t_must(!vmb_alloc(len, &memory));
	return memory;
}

static void host_open(struct host *h, unsigned side)
{
	struct t_member *partner = &h->crowd->honest[!side];
	unsigned char *landing;
	uint64_t nic_id;

	h->me = &h->crowd->honest[side];
	h->ep = t_member_open(h->crowd, h->me);
	t_must(h->out[0] = malloc(T_MESSAGE_MAX));
	h->out[1] = nic_memory(T_MESSAGE_MAX);
	h->in[0] = nic_memory(T_MESSAGE_MAX + 1);
	t_must(h->in[1] = malloc(T_MESSAGE_MAX + 1));
	landing = nic_memory(ANSWER_BYTES);
	t_must(!vmb_register(landing, ANSWER_BYTES, 0, &h->landing));
	for (int i = 0; i < GUESTS; i++) {
		t_must(h->guests[i] = malloc(T_MESSAGE_MAX));
		post_guest(h, h->guests[i]);
	}
	while (!vmb_observe(&partner->ready))
		poll(NULL, 0, 1);
	t_must(!vmb_nic_id(&nic_id));
	t_must(!vmb_connect(h->ep, nic_id, partner->id, 0, T_PATIENCE_MS,
			    &h->partner));
}

static _Noreturn void host_main(struct t_crowd *crowd, unsigned side)
{
	struct host h = {.crowd = crowd};
	struct vmb_status status;
	bool last;
	int done;

	host_open(&h, side);
	do {
		last = !side && vmb_load_relaxed(&crowd->stop);
		last |= exchange(&h, h.me->rounds, last);
		vmb_publish(&h.me->rounds, h.me->rounds + 1);
		serve_guests(&h);
	} while (!last);
	/* visitors are gone: nothing with them may last */
	for (uint64_t limit = vmb_now_ns() + T_PATIENCE_MS * 1000000ull;
	     h.answers;) {
		t_must(vmb_now_ns() < limit);
		t_must(!vmb_wait_any(h.ep, T_VISIT, T_VISIT, 10, &status,
				     &done));
		if (done)
			guest_ended(&h, &status);
	}
	vmb_finalize();
	_exit(0);
}

/* ---- the pair ----------------------------------------------------------- */

struct t_crowd *t_crowd_start(const char *socket)
{
	struct t_crowd *crowd =
		mmap(NULL, sizeof(*crowd), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(crowd, MAP_FAILED);
	snprintf(crowd->port, sizeof(crowd->port), "local:%s", socket);
	for (unsigned i = 0; i < 2; i++) {
		pid_t pid = t_child();

		if (!pid)
			host_main(crowd, i);
		crowd->pids[i] = pid;
	}
	t_until_set(&crowd->honest[0].ready);
	t_until_set(&crowd->honest[1].ready);
	return crowd;
}

void t_crowd_goes_on(struct t_crowd *crowd, uint64_t rounds)
{
	uint64_t limit = vmb_now_ns() + T_PATIENCE_MS * 1000000ull;
	uint64_t aim = vmb_observe(&crowd->honest[0].rounds) + rounds;

	while (vmb_observe(&crowd->honest[0].rounds) < aim) {
		ck_assert_msg(vmb_now_ns() < limit,
			      "the honest pair does not go on");
		poll(NULL, 0, 1);
	}
}

void t_crowd_stop(struct t_crowd *crowd)
{
	vmb_store_relaxed(&crowd->stop, 1);
	for (unsigned i = 0; i < 2; i++)
		t_child_ends(crowd->pids[i]);
	munmap(crowd, sizeof(*crowd));
}
