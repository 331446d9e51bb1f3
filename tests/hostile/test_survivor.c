// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_survivor.c - three processes: the survivor talks with one that is
 * killed, again and again, and with a third. Each death is told to it as
 * -ECONNRESET, all that it had under way with the dead one ends, and the
 * third's messages go on and verify.
 *
 * Flow:  victim, killed at a random moment <-> survivor <-> third, over vmbd
 * Owns:  one daemon; what it held before is compared with after.
 * Trust: no message. All are echoed, and both sides look at every byte.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
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

#define DEATHS 200
#define ROOMS 4	    /* receives that are posted, for each peer */
#define UNDER_WAY 4 /* sends, to each peer */
#define GOES_ON 4   /* echoes of the third after each death */
#define MOMENT_NS 2000000u

struct scene {
	struct t_crowd crowd; /* for its port */
	struct t_member third, victim;
	uint32_t over; /* now the survivor may die */
	/* the survivor writes: */
	uint32_t talking; /* with the victim of this number, from 1 on */
	uint32_t noticed; /* deaths, after which the third was heard */
};

/* ---- victim and third --------------------------------------------------- */

struct room {
	unsigned char *bytes;
	bool sends; /* what it received */
};

static void post(struct vmb_endpoint *ep, struct room *room, uint64_t match,
		 uint64_t mask)
{
	struct vmb_segment seg = {room->bytes, T_MESSAGE_MAX};
	struct vmb_req *req; /* wait_any finds it */

	t_must(!vmb_irecv(ep, &seg, 1, match, mask, room, &req));
	room->sends = false;
}

/* It is what its match bits say that it is. */
static void verify(const struct room *room, const struct vmb_status *status)
{
	uint64_t seed = status->match % T_SEEDS;

	t_must(status->xfer_len == t_size(seed));
	t_must(!memcmp(room->bytes, t_bytes(seed), status->xfer_len));
}

/* Send all back, until killed. Here nobody dies: no operation may fail. */
static _Noreturn void echo_main(struct scene *scene, struct t_member *me)
{
	struct vmb_endpoint *ep = t_member_open(&scene->crowd, me);
	struct room rooms[ROOMS], *room;
	struct vmb_status status;
	struct vmb_segment seg;
	struct vmb_req *req;
	int done;

	for (unsigned i = 0; i < ROOMS; i++) {
		t_must(rooms[i].bytes = malloc(T_MESSAGE_MAX));
		post(ep, &rooms[i], 0, 0);
	}
	for (;;) {
		t_must(!vmb_wait_any(ep, 0, 0, VMB_INFINITE, &status, &done));
		while (vmb_observe(&scene->over))
			pause();
		t_must(done && !status.code);
		room = status.context;
		if (room->sends) {
			post(ep, room, 0, 0);
			continue;
		}
		verify(room, &status);
		seg = (struct vmb_segment){room->bytes, status.xfer_len};
		room->sends = true;
		t_must(!vmb_isend(ep, &seg, 1, status.peer, status.match, room,
				  &req));
	}
}

/* ---- survivor ----------------------------------------------------------- */

struct talk {
	struct vmb_addr peer;
	uint64_t bits; /* in the match bits of all its messages */
	struct room rooms[ROOMS];
	unsigned under_way;
	uint64_t sent, echoed;
	bool dead, buried;
};

struct survivor {
	struct scene *scene;
	struct vmb_endpoint *ep;
	struct talk with_third, with_victim;
};

static void talk_open(struct survivor *s, struct talk *talk, uint64_t bits)
{
	talk->bits = bits;
	for (unsigned i = 0; i < ROOMS; i++) {
		t_must(talk->rooms[i].bytes = malloc(T_MESSAGE_MAX));
		post(s->ep, &talk->rooms[i], bits, T_VISIT);
	}
}

static void talk_to(struct survivor *s, struct talk *talk,
		    const struct t_member *peer)
{
	uint64_t nic_id;

	t_must(!vmb_nic_id(&nic_id));
	t_must(!vmb_connect(s->ep, nic_id, peer->id, 0, T_PATIENCE_MS,
			    &talk->peer));
	talk->dead = talk->buried = false;
	talk->echoed = 0;
}

/* Only the victim may die, and that has one name. */
static void end_badly(struct survivor *s, struct talk *talk, int code)
{
	t_must(talk == &s->with_victim);
	t_must(code == -ECONNRESET);
	talk->dead = true;
}

static void say_more(struct survivor *s, struct talk *talk)
{
	struct vmb_segment seg;
	struct vmb_req *req;
	uint64_t seed;
	int err;

	while (!talk->dead && talk->under_way < UNDER_WAY) {
		seed = t_mix(talk->sent++) % T_SEEDS;
		seg = (struct vmb_segment){(void *)(uintptr_t)t_bytes(seed),
					   t_size(seed)};
		err = vmb_isend(s->ep, &seg, 1, talk->peer, talk->bits | seed,
				NULL, &req);
		if (err)
			end_badly(s, talk, err);
		else
			talk->under_way++;
	}
}

static void take_end(struct survivor *s, const struct vmb_status *status)
{
	struct room *room = status->context;
	struct talk *talk =
		status->match & T_VISIT ? &s->with_victim : &s->with_third;

	if (!room) {
		talk->under_way--;
		t_must(status->code || !talk->buried);
		if (status->code)
			end_badly(s, talk, status->code);
		return;
	}
	if (status->code) { /* it died while it sent this echo */
		t_must(talk == &s->with_victim);
		t_must(status->code == -ECONNRESET);
	} else {
		verify(room, status);
		talk->echoed++;
	}
	post(s->ep, room, talk->bits, T_VISIT);
}

static void turn(struct survivor *s)
{
	struct vmb_status status;
	int done;

	say_more(s, &s->with_third);
	say_more(s, &s->with_victim);
	t_must(!vmb_wait_any(s->ep, 0, 0, 1, &status, &done));
	if (done)
		take_end(s, &status);
}

#define turn_until(s, condition)                                            \
	do {                                                                \
		uint64_t limit = vmb_now_ns() + T_PATIENCE_MS * 1000000ull; \
                                                                            \
		while (!(condition)) {                                      \
			t_must(vmb_now_ns() < limit);                       \
			turn(s);                                            \
		}                                                           \
	} while (0)

/* From the first message with this victim until the third was heard again. */
static void live_through(struct survivor *s, uint32_t number)
{
	struct talk *victim = &s->with_victim, *third = &s->with_third;
	uint64_t heard;

	talk_to(s, victim, &s->scene->victim);
	turn_until(s, victim->echoed || victim->dead);
	t_must(victim->echoed); /* it is killed after that */
	vmb_publish(&s->scene->talking, number);
	turn_until(s, victim->dead);
	turn_until(s, !victim->under_way);
	/* and nothing that is said to it afterwards ends well */
	victim->buried = true;
	victim->dead = false;
	turn_until(s, victim->dead);
	turn_until(s, !victim->under_way);
	heard = third->echoed;
	turn_until(s, third->echoed >= heard + GOES_ON);
	vmb_publish(&s->scene->noticed, number);
}

static _Noreturn void survivor_main(struct scene *scene, struct t_member *me)
{
	struct survivor s = {.scene = scene};

	s.with_victim.dead = true;
	s.ep = t_member_open(&scene->crowd, me);
	talk_open(&s, &s.with_third, 0);
	talk_open(&s, &s.with_victim, T_VISIT);
	talk_to(&s, &s.with_third, &scene->third);
	for (uint32_t number = 1;; number++) {
		while (!vmb_observe(&scene->victim.ready))
			turn(&s);
		live_through(&s, number);
	}
}

/* ---- deaths ------------------------------------------------------------- */

static struct scene *scene_start(void)
{
	struct scene *scene = mmap(NULL, sizeof(*scene), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(scene, MAP_FAILED);
	snprintf(scene->crowd.port, sizeof(scene->crowd.port), "local:%s",
		 t_witness.daemon.socket);
	t_bytes(0); /* once for all children */
	return scene;
}

static pid_t start_echo(struct scene *scene, struct t_member *me)
{
	pid_t pid = t_child();

	if (!pid)
		echo_main(scene, me);
	return pid;
}

/* Until *word is this number; the survivor must not have given up. */
static void until_number(const uint32_t *word, uint32_t number, pid_t survivor)
{
	uint64_t limit = vmb_now_ns() + 2 * T_PATIENCE_MS * 1000000ull;

	while (vmb_observe(word) != number) {
		ck_assert_msg(!waitpid(survivor, NULL, WNOHANG),
			      "death %u: the survivor gave up", number);
		ck_assert_msg(vmb_now_ns() < limit, "death %u is not noticed",
			      number);
		poll(NULL, 0, 1);
	}
}

static void wait_moment(uint64_t random)
{
	uint64_t until = vmb_now_ns() + random % MOMENT_NS;

	while (vmb_now_ns() < until)
		;
}

START_TEST(each_death_is_noticed_and_the_third_goes_on)
{
	struct scene *scene = scene_start();
	struct t_member *me = &scene->crowd.honest[0];
	pid_t third = start_echo(scene, &scene->third), survivor, victim;
	uint64_t random = t_choose_seed("survivor");

	t_until_set(&scene->third.ready);
	survivor = t_child();
	if (!survivor)
		survivor_main(scene, me);
	for (uint32_t number = 1; number <= DEATHS; number++) {
		random = t_mix(random);
		victim = start_echo(scene, &scene->victim);
		until_number(&scene->talking, number, survivor);
		wait_moment(random);
		vmb_store_relaxed(&scene->victim.ready, 0);
		t_child_kill(victim);
		until_number(&scene->noticed, number, survivor);
	}
	vmb_publish(&scene->over, 1);
	t_child_kill(survivor);
	t_child_kill(third);
	munmap(scene, sizeof(*scene));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("survivor");
	TCase *t = tcase_create("deaths");

	tcase_add_checked_fixture(t, t_witness_start, t_witness_stop);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, each_death_is_noticed_and_the_third_goes_on);
	suite_add_tcase(s, t);
	return t_run(s);
}
