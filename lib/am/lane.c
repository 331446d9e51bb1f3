// SPDX-License-Identifier: BSD-2-Clause
/*
 * lane.c - how lanes come and go.
 *
 * Flow:  many sends to a peer -> WANT -> its daemon call -> OFFER -> our daemon
 *        call -> ON -> lane_out.c; see docs/lane.md
 * Owns:  both kinds of lanes, the words that are owed to peers.
 * Trust: a word that does not fit the state of a lane is counted and ignored.
 *        A peer can make us ask the daemon for as many lanes as we have, and
 *        for no more.
 *
 * Words go through the engine, behind what was sent there before. One that
 * finds no room is owed. Nothing here waits: the daemon is asked without
 * waiting, and until it answers messages go through the engine.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "am/direct.h"
#include "am/lane.h"
#include "base/log.h"

#define CALLS_EVERY 64u /* passes between looks for the daemon's answer */
#define AT_REST 8u	/* hot lanes: more take as long as a pass */
#define RECLAIM_NS 1000000000u /* a lane that was silent for so long may go */

static void on_word(struct vmb_am *am, const struct vmb_am_arrival *a,
		    void *arg);

void vmb_lanes_init(struct vmb_am *am)
{
	struct vmb_lanes *l = &am->lanes;

	vmb_list_init(&l->owing);
	vmb_list_init(&l->calls_out);
	vmb_list_init(&l->calls_in);
	vmb_list_init(&l->hot);
	vmb_list_init(&l->cold);
	vmb_list_init(&l->stuck);
	vmb_list_init(&l->ended_out);
	vmb_am_bind(am, VMB_AM_LANE_ID, on_word, NULL);
}

void vmb_am_set_lanes(struct vmb_am *am, unsigned most, unsigned after)
{
	am->lanes.after = after;
	am->lanes.most = am->port->ops->lane_start ? most : 0;
}

void vmb_am_weigh_lanes(struct vmb_am *am, bool weigh)
{
	am->lanes.weighed = weigh;
}

/* ---- words ------------------------------------------------------------------ */

void vmb_lane_may_speak(struct vmb_am *am, struct vmb_peer *peer)
{
	if (peer->lane_owes && !peer->blocked && !peer->queued &&
	    vmb_list_empty(&peer->lane_node))
		vmb_list_append(&am->lanes.owing, &peer->lane_node);
}

void vmb_lane_owe(struct vmb_am *am, struct vmb_peer *peer,
		  enum vmb_lane_word word)
{
	am->lanes.active = true;
	peer->lane_owes |= (uint16_t)(1u << word);
	vmb_lane_may_speak(am, peer);
}

static void forgive(struct vmb_peer *peer, enum vmb_lane_word word)
{
	peer->lane_owes &= (uint16_t) ~(1u << word);
}

static int say(struct vmb_am *am, struct vmb_peer *peer,
	       enum vmb_lane_word word)
{
	struct vmb_lane_terms terms = {.fences = am->fences};
	struct vmb_segment body[2] = {{NULL, 0}, {NULL, 0}};

	if (word == VMB_LANE_OFFERED) {
		const struct vmb_port_lane *memory = &peer->lane_in->memory;

		terms.ticket = memory->ticket;
		body[1].ptr = memory->refs;
		body[1].len = memory->ref_count * sizeof(memory->refs[0]);
	}
	if (word == VMB_LANE_OFFERED || word == VMB_LANE_ON)
		body[0] = (struct vmb_segment){&terms, sizeof(terms)};
	else if (word == VMB_LANE_NO)
		body[0] = (struct vmb_segment){&peer->lane_no,
					       sizeof(peer->lane_no)};
	return vmb_am_send_now(am, peer, VMB_AM_LANE_ID, word, body, 2, 0,
			       body[0].len + body[1].len);
}

/* No lane: ask again, but not soon. */
static void give_up(struct vmb_am *am, struct vmb_lane_out *out)
{
	struct vmb_peer *peer = out->peer;

	vmb_lane_out_end(am, out);
	peer->lane_sends = am->lanes.after - VMB_LANE_AGAIN;
}

/* From now on messages take the other way. */
static void said(struct vmb_am *am, struct vmb_peer *peer,
		 enum vmb_lane_word word)
{
	struct vmb_lane_out *out = peer->lane_out;

	if (word == VMB_LANE_ON) {
		out->state = VMB_LANE_OPEN;
		peer->lane_on = true;
		am->counters.lanes_out++;
	} else if (word == VMB_LANE_OFF && out) {
		give_up(am, out);
	}
}

/* It has something to do again: it will be owed the word when that has ended. */
static bool may_not_end(const struct vmb_lane_out *out, enum vmb_lane_word word)
{
	return word == VMB_LANE_OFF && out && out->state == VMB_LANE_OPEN &&
	       !vmb_lane_out_rests(out);
}

/* false: the doorbell page is full. */
static bool speak_to(struct vmb_am *am, struct vmb_peer *peer)
{
	while (peer->lane_owes && !peer->gone) {
		enum vmb_lane_word word =
			(enum vmb_lane_word)__builtin_ctz(peer->lane_owes);

		if (may_not_end(peer->lane_out, word)) {
			forgive(peer, word);
			continue;
		}
		if (say(am, peer, word))
			return false;
		forgive(peer, word);
		said(am, peer, word);
	}
	return true;
}

void vmb_lanes_speak(struct vmb_am *am)
{
	uint32_t posted = am->doorbell.pos;

	while (!am->error && !vmb_list_empty(&am->lanes.owing)) {
		struct vmb_peer *peer = vmb_list_first(
			&am->lanes.owing, struct vmb_peer, lane_node);

		/* blocked again: it comes back by vmb_lane_may_speak() */
		if (!peer->blocked && !peer->queued && !speak_to(am, peer))
			break;
		vmb_list_remove(&peer->lane_node);
	}
	if (posted != am->doorbell.pos)
		vmb_am_kick(am);
}

/* ---- ends ------------------------------------------------------------------- */

/*
 * Lists of lanes may be walked by a caller of ours: what has ended stays where
 * it is until the pass is over.
 */
void vmb_lane_out_end(struct vmb_am *am, struct vmb_lane_out *out)
{
	struct vmb_peer *peer = out->peer;

	if (out->state == VMB_LANE_CALLING)
		am->port->ops->lane_cancel(am->port, out->tag);
	if (out->state == VMB_LANE_OPEN)
		for (unsigned i = 0; i < VMB_LANE_DIRECTS; i++)
			vmb_publish(&out->ctl->direct[i].claim, 0);
	out->state = VMB_LANE_ENDED;
	if (am->short_to == &out->ring)
		am->short_to = NULL;
	if (am->lanes.to == out)
		am->lanes.to = NULL;
	peer->lane_out = NULL;
	peer->lane_on = peer->lane_stuck = false;
	peer->lane_sends = 0;
	forgive(peer, VMB_LANE_WANT);
	forgive(peer, VMB_LANE_ON);
	forgive(peer, VMB_LANE_LOOK);
	vmb_list_append(&am->lanes.ended_out, &out->ended_node);
	am->lanes.reap = true;
}

void vmb_lane_in_end(struct vmb_am *am, struct vmb_lane_in *in, unsigned reason)
{
	struct vmb_peer *peer = in->peer;

	if (in->state == VMB_LANE_CALLING)
		am->port->ops->lane_cancel(am->port, in->tag);
	if (in->state == VMB_LANE_OPEN) /* a liar is not waited for */
		vmb_direct_shut_all(am, in, !reason);
	in->state = VMB_LANE_ENDED;
	in->reason = reason;
	peer->lane_in = NULL;
	forgive(peer, VMB_LANE_OFFERED);
	forgive(peer, VMB_LANE_END);
	forgive(peer, VMB_LANE_ROOM);
	am->lanes.reap = true;
}

void vmb_lane_peer_gone(struct vmb_am *am, struct vmb_peer *peer)
{
	if (peer->lane_out)
		vmb_lane_out_end(am, peer->lane_out);
	if (peer->lane_in)
		vmb_lane_in_end(am, peer->lane_in, 0);
	peer->lane_owes = 0;
	vmb_list_remove(&peer->lane_node);
}

static void free_in(struct vmb_am *am, struct vmb_lane_in *in)
{
	vmb_list_remove(&in->node);
	am->lanes.in_count--;
	am->lanes.hot_count -= in->hot;
	vmb_mapped_end(&in->mapped, am->port->ops);
	if (in->memory.base)
		am->port->ops->lane_close(am->port, &in->memory, true,
					  in->reason);
	free(in->memory.refs);
	free(in);
}

static void reap_in(struct vmb_am *am, struct vmb_list *list)
{
	struct vmb_list *pos, *tmp;

	vmb_list_each_safe (pos, tmp, list) {
		struct vmb_lane_in *in =
			vmb_container_of(pos, struct vmb_lane_in, node);

		if (in->state == VMB_LANE_ENDED)
			free_in(am, in);
	}
}

static void reap(struct vmb_am *am)
{
	struct vmb_list *pos, *tmp;

	am->lanes.reap = false;
	vmb_list_each_safe (pos, tmp, &am->lanes.ended_out) {
		struct vmb_lane_out *out =
			vmb_container_of(pos, struct vmb_lane_out, ended_node);

		vmb_list_remove(&out->node);
		vmb_list_remove(&out->ended_node);
		vmb_mapped_end(&out->mapped, am->port->ops);
		if (out->memory.base)
			am->port->ops->lane_close(am->port, &out->memory, false,
						  0);
		free(out->memory.refs);
		free(out);
	}
	reap_in(am, &am->lanes.calls_in);
	reap_in(am, &am->lanes.hot);
	reap_in(am, &am->lanes.cold);
	vmb_lane_set_watch(am);
}

void vmb_lanes_fini(struct vmb_am *am)
{
	if (am->lanes.active)
		reap(am);
}

/* ---- the sender's side ------------------------------------------------------- */

void vmb_lane_want(struct vmb_am *am, struct vmb_peer *peer)
{
	struct vmb_lane_out *out;

	if (!am->lanes.most || peer->lane_out || peer->gone)
		return;
	if (peer->lane_owes & 1u << VMB_LANE_OFF) {
		peer->lane_sends = 0; /* the last one has not ended there */
		return;
	}
	out = calloc(1, sizeof(*out));
	if (!out)
		return;
	out->peer = peer;
	out->state = VMB_LANE_ASKED;
	vmb_list_init(&out->waiting);
	vmb_list_init(&out->node);
	vmb_list_init(&out->ended_node);
	peer->lane_out = out;
	vmb_lane_owe(am, peer, VMB_LANE_WANT);
}

/* What stands behind the terms. false: no memory. */
static bool take_refs(struct vmb_port_lane *memory, const void *refs,
		      size_t len)
{
	memory->refs = NULL;
	memory->ref_count = (uint32_t)(len / sizeof(memory->refs[0]));
	if (!len)
		return true;
	memory->refs = malloc(len);
	if (!memory->refs)
		return false;
	memcpy(memory->refs, refs, len);
	return true;
}

static void on_offer(struct vmb_am *am, const struct vmb_am_arrival *a,
		     const struct vmb_lane_terms *terms)
{
	struct vmb_peer *peer = a->peer;
	struct vmb_lane_out *out = peer->lane_out;
	struct vmb_ctl_lane what = {
		.kind = VMB_LANE_ACCEPT,
		.handle = am->pep.handle,
		.peer = peer->handle,
		.ticket = terms->ticket,
	};

	if (!out || out->state != VMB_LANE_ASKED) {
		am->counters.lane_nonsense++;
		return;
	}
	if (!take_refs(&out->memory, (const char *)a->data + sizeof(*terms),
		       a->len - sizeof(*terms)) ||
	    am->port->ops->lane_start(am->port, &what, &out->tag)) {
		give_up(am, out);
		vmb_lane_owe(am, peer, VMB_LANE_OFF);
		return;
	}
	out->fences = am->fences || terms->fences;
	out->state = VMB_LANE_CALLING;
	vmb_list_append(&am->lanes.calls_out, &out->node);
}

static void out_answered(struct vmb_am *am, struct vmb_lane_out *out)
{
	struct vmb_peer *peer = out->peer;
	int rc = am->port->ops->lane_poll(am->port, out->tag, &out->memory);

	if (rc == -EAGAIN)
		return;
	vmb_list_remove(&out->node);
	out->state = VMB_LANE_MAPPED;
	if (rc) {
		vmb_debug("lane to 0x%x: %s", peer->handle, strerror(-rc));
		give_up(am, out);
		vmb_lane_owe(am, peer, VMB_LANE_OFF);
		return;
	}
	vmb_lane_out_start(out);
	vmb_lane_owe(am, peer, VMB_LANE_ON);
}

void vmb_lane_out_rest(struct vmb_am *am, struct vmb_lane_out *out)
{
	if (out->ending && vmb_lane_out_rests(out))
		vmb_lane_owe(am, out->peer, VMB_LANE_OFF);
}

/* The receiver wants its memory back. */
static void on_end(struct vmb_am *am, struct vmb_peer *peer)
{
	struct vmb_lane_out *out = peer->lane_out;

	if (!out || out->state < VMB_LANE_MAPPED) {
		am->counters.lane_nonsense++;
		return;
	}
	forgive(peer, VMB_LANE_ON);
	out->ending = true;
	vmb_lane_out_rest(am, out);
}

/* ---- the receiver's side ------------------------------------------------------ */

void vmb_lane_ask_end(struct vmb_am *am, struct vmb_lane_in *in)
{
	if (in->state != VMB_LANE_OPEN || in->ending)
		return;
	in->ending = true;
	vmb_lane_owe(am, in->peer, VMB_LANE_END);
}

/* The one that has been silent for longest, if it was for long. */
static void reclaim(struct vmb_am *am)
{
	uint64_t now = vmb_now_ns();
	struct vmb_lane_in *oldest = NULL;
	struct vmb_list *pos;

	vmb_list_each (pos, &am->lanes.cold) {
		struct vmb_lane_in *in =
			vmb_container_of(pos, struct vmb_lane_in, node);

		if (in->state == VMB_LANE_OPEN && !in->ending &&
		    (!oldest || in->last_ns < oldest->last_ns))
			oldest = in;
	}
	if (oldest && now - oldest->last_ns > RECLAIM_NS)
		vmb_lane_ask_end(am, oldest);
}

static void refuse(struct vmb_am *am, struct vmb_peer *peer, int why)
{
	peer->lane_no = why;
	vmb_lane_owe(am, peer, VMB_LANE_NO);
}

static int offer(struct vmb_am *am, struct vmb_peer *peer)
{
	struct vmb_ctl_lane what = {
		.kind = VMB_LANE_OFFER,
		.handle = am->pep.handle,
		.peer = peer->handle,
		.slots = VMB_LANE_SLOTS_DEFAULT,
		.bytes = VMB_LANE_BYTES_DEFAULT,
	};
	struct vmb_lane_in *in = calloc(1, sizeof(*in));
	int rc;

	if (!in)
		return -ENOMEM;
	rc = am->port->ops->lane_start(am->port, &what, &in->tag);
	if (rc) {
		free(in);
		return rc;
	}
	in->peer = peer;
	in->state = VMB_LANE_CALLING;
	vmb_list_append(&am->lanes.calls_in, &in->node);
	am->lanes.in_count++;
	am->lanes.active = true;
	peer->lane_in = in;
	return 0;
}

static void on_want(struct vmb_am *am, struct vmb_peer *peer)
{
	int rc;

	if (peer->lane_in || peer->gone) {
		am->counters.lane_nonsense++;
		return;
	}
	if (!am->lanes.most) {
		refuse(am, peer, -EOPNOTSUPP);
		return;
	}
	if (am->lanes.in_count >= am->lanes.most) {
		reclaim(am);
		refuse(am, peer, -EBUSY);
		return;
	}
	rc = offer(am, peer);
	if (rc)
		refuse(am, peer, rc);
}

static void in_answered(struct vmb_am *am, struct vmb_lane_in *in)
{
	struct vmb_peer *peer = in->peer;
	int rc = am->port->ops->lane_poll(am->port, in->tag, &in->memory);

	if (rc == -EAGAIN)
		return;
	in->state = VMB_LANE_MAPPED;
	if (rc) {
		vmb_debug("lane from 0x%x: %s", peer->handle, strerror(-rc));
		vmb_lane_in_end(am, in, 0);
		refuse(am, peer, rc);
		return;
	}
	vmb_list_remove(&in->node);
	vmb_list_append(&am->lanes.cold, &in->node);
	vmb_lane_in_start(in);
	vmb_lane_owe(am, peer, VMB_LANE_OFFERED);
}

static void on_on(struct vmb_am *am, struct vmb_peer *peer,
		  const struct vmb_lane_terms *terms)
{
	struct vmb_lane_in *in = peer->lane_in;

	if (!in || in->state != VMB_LANE_MAPPED) {
		am->counters.lane_nonsense++;
		return;
	}
	in->state = VMB_LANE_OPEN;
	in->fences = am->fences || terms->fences;
	am->counters.lanes_in++;
	am->lanes.trials = VMB_LANE_TRIALS;
	vmb_lane_heat(am, in);
}

/* ---- words that arrive -------------------------------------------------------- */

static bool is_offer(const struct vmb_am_arrival *a)
{
	size_t len = a->len - sizeof(struct vmb_lane_terms);

	return a->hdr == VMB_LANE_OFFERED &&
	       a->len >= sizeof(struct vmb_lane_terms) &&
	       len % sizeof(uint32_t) == 0 &&
	       len / sizeof(uint32_t) <= VMB_PORT_LANE_REFS;
}

static void on_word(struct vmb_am *am, const struct vmb_am_arrival *a,
		    void *arg)
{
	struct vmb_lane_in *in = a->peer->lane_in;
	struct vmb_lane_terms terms = {0};

	(void)arg;
	if (a->len >= sizeof(terms))
		memcpy(&terms, a->data, sizeof(terms));
	if (a->hdr == VMB_LANE_WANT) {
		on_want(am, a->peer);
	} else if (is_offer(a)) {
		on_offer(am, a, &terms);
	} else if (a->hdr == VMB_LANE_NO && a->peer->lane_out &&
		   a->peer->lane_out->state == VMB_LANE_ASKED) {
		give_up(am, a->peer->lane_out);
	} else if (a->hdr == VMB_LANE_ON && a->len == sizeof(terms)) {
		on_on(am, a->peer, &terms);
	} else if (a->hdr == VMB_LANE_OFF && in) {
		vmb_lane_in_end(am, in, 0);
	} else if (a->hdr == VMB_LANE_END) {
		on_end(am, a->peer);
	} else if (a->hdr == VMB_LANE_LOOK && in &&
		   in->state == VMB_LANE_OPEN) {
		vmb_lane_heat(am, in);
	} else if (a->hdr != VMB_LANE_ROOM) {
		/* ROOM has woken us; it may come after the end of the lane */
		am->counters.lane_nonsense++;
	}
}

/* ---- a pass ---------------------------------------------------------------------- */

static void hear_daemon(struct vmb_am *am)
{
	struct vmb_list *pos, *tmp;

	vmb_list_each_safe (pos, tmp, &am->lanes.calls_out) {
		struct vmb_lane_out *out =
			vmb_container_of(pos, struct vmb_lane_out, node);

		if (out->state == VMB_LANE_CALLING)
			out_answered(am, out);
	}
	vmb_list_each_safe (pos, tmp, &am->lanes.calls_in) {
		struct vmb_lane_in *in =
			vmb_container_of(pos, struct vmb_lane_in, node);

		if (in->state == VMB_LANE_CALLING)
			in_answered(am, in);
	}
}

bool vmb_lanes_at_rest(const struct vmb_am *am)
{
	const struct vmb_lanes *l = &am->lanes;
	struct vmb_list *pos;

	if (l->hot_count > AT_REST || l->reap || !vmb_list_empty(&l->stuck) ||
	    !vmb_list_empty(&l->calls_out) || !vmb_list_empty(&l->calls_in))
		return false;
	vmb_list_each (pos, &l->hot) {
		const struct vmb_lane_in *in =
			vmb_container_of(pos, struct vmb_lane_in, node);

		if (in->rest_until || !vmb_lane_is_told(in))
			return false;
	}
	return true;
}

unsigned vmb_lanes_pass(struct vmb_am *am, unsigned budget)
{
	unsigned taken;

	if (++am->lanes.passes % CALLS_EVERY == 0)
		hear_daemon(am);
	if (vmb_unlikely(!vmb_list_empty(&am->lanes.stuck)))
		vmb_lanes_unstick(am);
	taken = vmb_lanes_take(am, budget);
	if (vmb_unlikely(!vmb_list_empty(&am->lanes.owing)))
		vmb_lanes_speak(am);
	if (vmb_unlikely(am->lanes.reap))
		reap(am);
	return taken;
}
