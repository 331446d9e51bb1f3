// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_neighbours.c - processes that do not read, stop, flood, post without
 * end or give memory that cannot be reached: the honest pair beside them goes
 * on, who waits for them gets all that was sent, and killing them ends it.
 *
 * Flow:  bad neighbour <-> vmbd <-> the test, the honest pair
 * Owns:  one daemon per test; what it held before is compared with after.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/util.h"
#include "support/run.h"
#include "support/skip.h"
#include "traffic.h"
#include "witness.h"

#define ROUNDS 20 /* of the pair: it goes on */

static struct vmb_addr connect_to(struct vmb_endpoint *ep,
				  const struct t_member *member)
{
	struct vmb_addr addr;
	uint64_t nic_id;

	t_must(!vmb_nic_id(&nic_id));
	t_must(!vmb_connect(ep, nic_id, member->id, 0, T_PATIENCE_MS, &addr));
	return addr;
}

static struct vmb_req *post_send(struct vmb_endpoint *ep, struct vmb_addr to,
				 uint64_t match, const void *from, size_t len)
{
	struct vmb_segment seg = {(void *)(uintptr_t)from, len};
	struct vmb_req *req;

	t_must(!vmb_isend(ep, &seg, 1, to, match, NULL, &req));
	return req;
}

static struct vmb_req *post_receive(struct vmb_endpoint *ep, uint64_t match,
				    void *to, size_t len)
{
	struct vmb_segment seg = {to, len};
	struct vmb_req *req;

	t_must(!vmb_irecv(ep, &seg, 1, match, ~0ull, NULL, &req));
	return req;
}

static struct vmb_status finish(struct vmb_endpoint *ep, struct vmb_req *req)
{
	struct vmb_status status;
	int done;

	t_must(!vmb_wait(ep, &req, T_PATIENCE_MS, &status, &done));
	t_must(done);
	return status;
}

/* What was sent may still wait for room in our own process: make progress. */
static void progress_until(struct vmb_endpoint *ep, const uint64_t *word)
{
	uint64_t limit = vmb_now_ns() + 2ull * T_PATIENCE_MS * 1000000u;

	while (!vmb_observe(word)) {
		t_must(vmb_now_ns() < limit);
		t_must(!vmb_progress(ep));
	}
}

/* ---- who does not read -------------------------------------------------- */

#define UNREAD 3000 /* messages, far more than its queue and buffers hold */

static size_t unread_size(uint64_t i)
{
	return t_mix(i) % 2048;
}

/* Reads nothing until it is told to, then all, in order. */
static _Noreturn void sleeper_main(struct t_crowd *crowd, bool holds)
{
	struct vmb_endpoint *ep = t_member_open(crowd, &crowd->visitors[0]);
	unsigned char *in = malloc(T_MESSAGE_MAX);
	struct vmb_status status;

	t_must(in);
	if (holds) {
		t_must(!vmb_hold(ep, 1));
		while (!vmb_observe(&crowd->visitors[1].ready))
			t_must(!vmb_progress(ep));
		t_must(!vmb_hold(ep, 0));
	}
	for (uint64_t i = 0; i < UNREAD; i++) {
		status = finish(ep, post_receive(ep, 7, in, T_MESSAGE_MAX));
		t_must(!status.code && status.msg_len == unread_size(i));
		t_must(!memcmp(in, t_bytes(i), status.xfer_len));
	}
	vmb_publish(&crowd->visitors[0].rounds, 1);
	vmb_finalize();
	_exit(0);
}

/* Looped: it holds, or it is stopped. */
START_TEST(messages_that_are_not_read_wait_and_hold_up_nobody)
{
	struct t_crowd *crowd = t_crowd_start(t_witness.daemon.socket);
	struct vmb_endpoint *ep;
	struct vmb_addr to, honest;
	struct vmb_req **reqs = calloc(UNREAD, sizeof(struct vmb_req *));
	pid_t pid = t_child();

	if (!pid)
		sleeper_main(crowd, _i);
	ck_assert_ptr_nonnull(reqs);
	t_until_set(&crowd->visitors[0].ready);
	ep = t_member_open(crowd, &crowd->visitors[2]);
	to = connect_to(ep, &crowd->visitors[0]);
	honest = connect_to(ep, &crowd->honest[0]);
	if (!_i)
		ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	for (uint64_t i = 0; i < UNREAD; i++)
		reqs[i] = post_send(ep, to, 7, t_bytes(i), unread_size(i));
	t_crowd_goes_on(crowd, ROUNDS);
	/* the same endpoint reaches others, at once */
	finish(ep, post_send(ep, honest, t_visit(1), t_bytes(1), 500000));
	vmb_publish(&crowd->visitors[1].ready, 1);
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	for (uint64_t i = 0; i < UNREAD; i++)
		ck_assert_int_eq(finish(ep, reqs[i]).code, 0);
	progress_until(ep, &crowd->visitors[0].rounds);
	t_child_ends(pid);
	free(reqs);
	vmb_finalize();
	t_crowd_stop(crowd);
}
END_TEST

/* An endpoint by hand, whose event queue nobody ever looks at. */
START_TEST(queue_that_is_never_read_holds_up_nobody)
{
	struct t_crowd *crowd = t_crowd_start(t_witness.daemon.socket);
	int fd = t_raw_attach(t_witness.daemon.socket, "");
	struct t_member mute = {0};
	struct t_raw_endpoint raw;
	struct vmb_endpoint *ep;
	struct vmb_req *reqs[200];
	struct vmb_segment seg;
	struct vmb_addr to;

	t_raw_endpoint_open(fd, VMB_ID_ANY, &raw);
	mute.id = raw.open.id;
	ep = t_member_open(crowd, &crowd->visitors[0]);
	to = connect_to(ep, &mute);
	for (unsigned i = 0; i < vmb_array_size(reqs); i++) {
		seg = (struct vmb_segment){(void *)(uintptr_t)t_bytes(i), 1000};
		ck_assert_int_eq(vmb_issend(ep, &seg, 1, to, 7, NULL, &reqs[i]),
				 0);
	}
	t_crowd_goes_on(crowd, ROUNDS);
	ck_assert_int_eq(t_raw_close(fd, raw.open.handle), 0);
	/* none was received, and that is said */
	for (unsigned i = 0; i < vmb_array_size(reqs); i++)
		ck_assert_int_eq(finish(ep, reqs[i]).code, -ECONNRESET);
	t_raw_endpoint_drop(&raw);
	close(fd);
	vmb_finalize();
	t_crowd_stop(crowd);
}
END_TEST

/* ---- floods ------------------------------------------------------------- */

static _Noreturn void flood_connects(struct t_crowd *crowd, unsigned place)
{
	struct t_member *me = &crowd->visitors[place];
	struct vmb_endpoint *ep = t_member_open(crowd, me);
	struct vmb_status status;
	struct vmb_req *req;
	uint64_t nic_id;
	int done;

	t_must(!vmb_nic_id(&nic_id));
	for (;;) {
		for (int i = 0; i < 64; i++)
			t_must(!vmb_iconnect(ep, nic_id, crowd->honest[0].id, 0,
					     1, NULL, &req));
		for (int i = 0; i < 64; i++) {
			t_must(!vmb_wait_any(ep, 0, 0, T_PATIENCE_MS, &status,
					     &done));
			t_must(done && !status.code);
		}
		vmb_publish(&me->rounds, me->rounds + 1);
	}
}

static _Noreturn void flood_opens(struct t_crowd *crowd, unsigned place)
{
	struct t_member *me = &crowd->visitors[place];
	struct vmb_endpoint *ep;

	setenv("VMB_PORT", crowd->port, 1);
	for (;;) {
		t_must(!vmb_init());
		for (int i = 0; i < 4; i++) {
			t_must(!vmb_open(NULL, &ep));
			connect_to(ep, &crowd->honest[i % 2]);
			t_must(!vmb_close(ep));
		}
		vmb_finalize();
		vmb_publish(&me->rounds, me->rounds + 1);
	}
}

START_TEST(floods_of_connects_and_opens_let_others_go_on)
{
	struct t_crowd *crowd = t_crowd_start(t_witness.daemon.socket);
	pid_t pids[T_VISITORS];

	for (unsigned i = 0; i < T_VISITORS; i++) {
		pids[i] = t_child();
		if (!pids[i])
			(i % 2 ? flood_connects : flood_opens)(crowd, i);
	}
	/* they do flood, and the pair and the witness go on among them */
	for (unsigned i = 0; i < T_VISITORS; i++)
		while (vmb_observe(&crowd->visitors[i].rounds) < 20) {
			t_crowd_goes_on(crowd, 1);
			t_witness_is_served();
		}
	t_crowd_goes_on(crowd, ROUNDS);
	for (unsigned i = 0; i < T_VISITORS; i++)
		t_child_kill(pids[i]);
	t_crowd_stop(crowd);
}
END_TEST

/* ---- without waiting ---------------------------------------------------- */

#define POSTED 10000

static size_t posted_size(uint64_t i)
{
	return t_mix(i) % 100 ? t_mix(i) % 300 : 20000 + t_mix(i) % 50000;
}

/* Post all, sends and receives, then look what became of them. */
static _Noreturn void poster_main(struct t_crowd *crowd, unsigned place)
{
	struct vmb_endpoint *ep = t_member_open(crowd, &crowd->visitors[place]);
	struct t_member *other = &crowd->visitors[!place];
	struct vmb_req **sends = calloc(POSTED, sizeof(struct vmb_req *));
	struct vmb_req **recvs = calloc(POSTED, sizeof(struct vmb_req *));
	unsigned char **in = calloc(POSTED, sizeof(unsigned char *));
	struct vmb_status status;
	struct vmb_addr to;

	t_must(sends && recvs && in);
	while (!vmb_observe(&other->ready))
		poll(NULL, 0, 1);
	to = connect_to(ep, other);
	for (uint64_t i = 0; i < POSTED; i++) {
		sends[i] = post_send(ep, to, i, t_bytes(i), posted_size(i));
		t_must(in[i] = malloc(posted_size(i) + 1));
		recvs[i] = post_receive(ep, i, in[i], posted_size(i) + 1);
	}
	for (uint64_t i = 0; i < POSTED; i++) {
		status = finish(ep, recvs[i]);
		t_must(!status.code && status.xfer_len == posted_size(i));
		t_must(!memcmp(in[i], t_bytes(i), status.xfer_len));
		t_must(!finish(ep, sends[i]).code);
	}
	vmb_publish(&crowd->visitors[place].rounds, 1);
	progress_until(ep, &other->rounds);
	vmb_finalize();
	_exit(0);
}

START_TEST(ten_thousand_requests_posted_without_waiting_all_complete)
{
	struct t_crowd *crowd = t_crowd_start(t_witness.daemon.socket);
	pid_t pids[2];

	for (unsigned i = 0; i < 2; i++) {
		pids[i] = t_child();
		if (!pids[i])
			poster_main(crowd, i);
	}
	for (unsigned i = 0; i < 2; i++)
		t_child_ends(pids[i]);
	t_crowd_goes_on(crowd, 1);
	t_crowd_stop(crowd);
}
END_TEST

/* ---- memory that never answers ------------------------------------------ */

#define ENDLESS (8u << 20)

/*
 * All but the first and the last page wait for somebody to answer their page
 * fault, and nobody does. NULL: this machine has no such memory.
 */
static void *make_endless(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register r = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	int uffd = (int)syscall(__NR_userfaultfd, O_CLOEXEC);
	char *at = mmap(NULL, ENDLESS, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (uffd < 0 || at == MAP_FAILED)
		return NULL;
	at[0] = at[ENDLESS - 1] = 1;
	r.range.start = (uintptr_t)at + 4096;
	r.range.len = ENDLESS - 2 * 4096;
	if (ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &r))
		return NULL;
	return at;
}

/* Send from such memory, and let it be fetched from. */
static _Noreturn void endless_main(struct t_crowd *crowd)
{
	void *endless = make_endless();
	struct vmb_endpoint *ep;

	t_must(endless);
	ep = t_member_open(crowd, &crowd->visitors[0]);
	while (!vmb_observe(&crowd->visitors[1].ready))
		poll(NULL, 0, 1);
	post_send(ep, connect_to(ep, &crowd->visitors[1]), 7, endless, ENDLESS);
	post_send(ep, connect_to(ep, &crowd->honest[0]), t_visit(0), endless,
		  T_MESSAGE_MAX);
	vmb_publish(&crowd->visitors[0].rounds, 1);
	for (;;)
		vmb_progress(ep);
}

START_TEST(memory_that_never_answers_holds_up_its_own_transfers_only)
{
	struct t_crowd *crowd = t_crowd_start(t_witness.daemon.socket);
	unsigned char *in = malloc(ENDLESS);
	struct vmb_endpoint *ep;
	struct vmb_addr honest;
	struct vmb_req *req;
	int done;
	pid_t pid = t_child();

	if (!pid)
		endless_main(crowd);
	ck_assert_ptr_nonnull(in);
	ep = t_member_open(crowd, &crowd->visitors[1]);
	req = post_receive(ep, 7, in, ENDLESS);
	honest = connect_to(ep, &crowd->honest[0]);
	while (!vmb_observe(&crowd->visitors[0].rounds))
		ck_assert_int_eq(vmb_progress(ep), 0);
	for (int i = 0; i < 20; i++) {
		/* as long as it likes, and nobody else waits */
		ck_assert_int_eq(vmb_wait(ep, &req, 5, NULL, &done), 0);
		ck_assert_int_eq(done, 0);
		ck_assert_int_eq(finish(ep, post_send(ep, honest, t_visit(3),
						      t_bytes(3), 100000))
					 .code,
				 0);
		t_crowd_goes_on(crowd, 1);
		t_witness_is_served();
	}
	t_child_kill(pid);
	ck_assert_int_eq(finish(ep, req).code, -ECONNRESET);
	free(in);
	vmb_finalize();
	t_crowd_stop(crowd);
}
END_TEST

/* ---- suite -------------------------------------------------------------- */

static void add_tests(TCase *t)
{
	tcase_add_checked_fixture(t, t_witness_start, t_witness_stop);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(
		t, messages_that_are_not_read_wait_and_hold_up_nobody, 0, 2);
	tcase_add_test(t, queue_that_is_never_read_holds_up_nobody);
	tcase_add_test(t, floods_of_connects_and_opens_let_others_go_on);
	tcase_add_test(
		t, ten_thousand_requests_posted_without_waiting_all_complete);
	if (make_endless())
		tcase_add_test(
			t,
			memory_that_never_answers_holds_up_its_own_transfers_only);
	else
		t_skip("no userfaultfd here");
}

int main(void)
{
	Suite *s = suite_create("neighbours");
	TCase *t = tcase_create("neighbours");

	add_tests(t);
	suite_add_tcase(s, t);
	return t_run(s);
}
