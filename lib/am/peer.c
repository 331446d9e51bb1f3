// SPDX-License-Identifier: BSD-2-Clause
/*
 * peer.c - who this endpoint knows, and what waits for each of them.
 *
 * Flow:  a peer has no room: its SENDs come back -> kept on `bounced`, newer
 *        posts on `waiting` -> EV_ROOM -> all bounces seen -> `bounced` goes
 *        before `waiting`, and post.c sends, the first with VMB_F_RESUME
 * Owns:  the peers and the messages kept for them.
 * Trust: handles come from the engine, or from addresses that api checked.
 *
 * A handle is an index and a generation: another generation is another peer,
 * the one before it is gone. A forgotten peer that is not gone stays as a
 * shell, because the engine still knows whether it is blocked and may still
 * give back what was posted before.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "am/internal.h"
#include "am/lane.h"

/* ---- the table ------------------------------------------------------------- */

/* Where the newest peer of an index hangs, or will. NULL: no memory. */
static struct vmb_peer **find_place(struct vmb_am *am, uint32_t handle)
{
	uint32_t index = VMB_HANDLE_INDEX(handle);
	struct vmb_peer ***dir = &am->peers[index / VMB_PEERS_PER_DIR];

	if (!*dir)
		*dir = calloc(VMB_PEERS_PER_DIR, sizeof(**dir));
	return *dir ? &(*dir)[index % VMB_PEERS_PER_DIR] : NULL;
}

/* Is handle an instance from before that one? Generations wrap. */
static bool is_older(uint32_t handle, uint32_t than)
{
	return (int16_t)(VMB_HANDLE_GEN(handle) - VMB_HANDLE_GEN(than)) < 0;
}

static struct vmb_peer *make_peer(struct vmb_am *am, uint32_t handle)
{
	struct vmb_peer **place = find_place(am, handle);
	struct vmb_peer *peer;

	if (!place)
		return NULL;
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return NULL;
	peer->handle = handle;
	peer->last_post = am->settled;
	vmb_list_init(&peer->waiting);
	vmb_list_init(&peer->bounced);
	vmb_list_init(&peer->ready_node);
	vmb_list_init(&peer->lane_node);
	if (*place && is_older(handle, (*place)->handle)) {
		peer->gone = true; /* it was replaced before we met it */
		place = &(*place)->older;
	}
	peer->older = *place;
	*place = peer;
	if (peer->older)
		vmb_peer_gone(am, peer->older);
	return peer;
}

struct vmb_peer *vmb_am_peer(struct vmb_am *am, uint32_t handle)
{
	struct vmb_peer *peer = vmb_peer_lookup(am, handle);

	if (vmb_unlikely(!peer))
		return handle ? make_peer(am, handle) : NULL;
	peer->forgotten = false;
	return peer;
}

static void free_peer(struct vmb_am *am, struct vmb_peer *peer)
{
	struct vmb_peer **link = find_place(am, peer->handle);

	while (*link != peer)
		link = &(*link)->older;
	*link = peer->older;
	free(peer);
}

/* Callbacks may forget the peer they are about: it stays until unpinned. */
static void pin(struct vmb_peer *peer)
{
	peer->pins++;
}

static void unpin(struct vmb_am *am, struct vmb_peer *peer)
{
	peer->pins--;
	if (!peer->pins && peer->forgotten && peer->gone)
		free_peer(am, peer);
}

/* ---- what waits ------------------------------------------------------------ */

/* Append all of src to dst; src is left empty. */
static void move_all(struct vmb_list *dst, struct vmb_list *src)
{
	struct vmb_list *pos, *tmp;

	vmb_list_each_safe (pos, tmp, src) {
		vmb_list_remove(pos);
		vmb_list_append(dst, pos);
	}
}

static struct vmb_am_waiting *first_of(struct vmb_list *list)
{
	return vmb_list_first(list, struct vmb_am_waiting, node);
}

static struct vmb_am_waiting *keep(struct vmb_am *am, struct vmb_list *list,
				   unsigned id, uint64_t hdr, size_t len)
{
	struct vmb_am_waiting *w = malloc(sizeof(*w) + len);

	if (!w)
		return NULL;
	w->hdr = hdr;
	w->len = (uint32_t)len;
	w->id = (uint8_t)id;
	w->again = w->last = false;
	vmb_list_append(list, &w->node);
	am->kept++;
	return w;
}

void vmb_peer_drop(struct vmb_am *am, struct vmb_am_waiting *w)
{
	vmb_list_remove(&w->node);
	free(w);
	am->kept--;
}

/* On the list where it belongs: ready when something may be sent now. */
static void set_ready(struct vmb_am *am, struct vmb_peer *peer)
{
	vmb_list_remove(&peer->ready_node);
	if (!peer->blocked && peer->queued)
		vmb_list_append(&am->ready, &peer->ready_node);
	else if (peer->blocked && peer->room)
		vmb_list_append(&am->settling, &peer->ready_node);
	if (vmb_unlikely(peer->lane_owes))
		vmb_lane_may_speak(am, peer);
}

int vmb_peer_keep(struct vmb_am *am, struct vmb_list *list, unsigned id,
		  uint64_t hdr, const struct vmb_segment *segments,
		  unsigned count, size_t first_byte, size_t len)
{
	struct vmb_am_waiting *w = keep(am, list, id, hdr, len);

	if (!w)
		return -ENOMEM;
	vmb_am_gather(w->data, segments, count, first_byte, len);
	return 0;
}

int vmb_peer_queue(struct vmb_am *am, struct vmb_peer *peer, unsigned id,
		   uint64_t hdr, const struct vmb_segment *segments,
		   unsigned count, size_t first_byte, size_t len)
{
	int rc = vmb_peer_keep(am, &peer->waiting, id, hdr, segments, count,
			       first_byte, len);

	if (rc)
		return rc;
	if (!peer->queued) {
		peer->queued = true;
		set_ready(am, peer);
	}
	return 0;
}

void vmb_peer_sent(struct vmb_am *am, struct vmb_peer *peer)
{
	struct vmb_am_waiting *w = first_of(&peer->waiting);

	if (w->again)
		am->counters.resumed++;
	vmb_peer_drop(am, w);
	peer->queued = !vmb_list_empty(&peer->waiting);
	set_ready(am, peer); /* behind the others */
}

/* ---- back-pressure ----------------------------------------------------------- */

int vmb_peer_bounce(struct vmb_am *am, struct vmb_peer *peer,
		    const struct vmb_slot *slot, const void *data, size_t len)
{
	struct vmb_am_waiting *w;

	if (!peer->discard) {
		w = keep(am, &peer->bounced, slot->am, slot->hdr, len);
		if (!w)
			return -ENOMEM;
		memcpy(w->data, data, len);
		w->again = true;
	}
	am->counters.bounced++;
	if (peer->blocked)
		return 0; /* one of those that were under way behind it */
	peer->blocked = true;
	peer->room = false;
	set_ready(am, peer);
	return 0;
}

void vmb_peer_room(struct vmb_am *am, struct vmb_peer *peer)
{
	if (!peer->blocked || peer->room)
		return;
	peer->room = true;
	set_ready(am, peer);
}

static void unblock(struct vmb_am *am, struct vmb_peer *peer)
{
	move_all(&peer->bounced, &peer->waiting);
	move_all(&peer->waiting, &peer->bounced);
	peer->queued = !vmb_list_empty(&peer->waiting);
	peer->blocked = peer->room = peer->discard = false;
	peer->resume = true;
	set_ready(am, peer);
}

/* ---- the end of a peer ------------------------------------------------------ */

static void call_undelivered(struct vmb_am *am, const struct vmb_am_arrival *a,
			     unsigned id, int code)
{
	bool outer = am->in_handler;

	if (!am->undelivered || id == VMB_AM_LANE_ID) /* nobody's but ours */
		return;
	am->in_handler = true;
	am->undelivered(am, a, id, code, am->upper_arg);
	am->in_handler = outer;
}

/* All but what is to be said even to a peer that is forgotten. */
static void move_forgotten(struct vmb_list *dst, struct vmb_list *src)
{
	struct vmb_list *pos, *tmp;

	vmb_list_each_safe (pos, tmp, src) {
		if (vmb_container_of(pos, struct vmb_am_waiting, node)->last)
			continue;
		vmb_list_remove(pos);
		vmb_list_append(dst, pos);
	}
}

/* Callbacks may come back here: the list is nobody else's. */
static void fail_all(struct vmb_am *am, struct vmb_peer *peer,
		     struct vmb_list *all, int code)
{
	while (!vmb_list_empty(all)) {
		struct vmb_am_waiting *w = first_of(all);
		struct vmb_am_arrival a = {.peer = peer,
					   .hdr = w->hdr,
					   .data = w->data,
					   .len = w->len};

		call_undelivered(am, &a, w->id, code);
		vmb_peer_drop(am, w);
	}
}

static void fail_waiting(struct vmb_am *am, struct vmb_peer *peer, int code,
			 bool forget)
{
	struct vmb_list all;

	vmb_list_init(&all);
	move_all(&all, &peer->bounced);
	move_all(&all, &peer->waiting);
	if (peer->lane_out && forget)
		move_forgotten(&all, &peer->lane_out->waiting);
	else if (peer->lane_out)
		move_all(&all, &peer->lane_out->waiting);
	peer->queued = false;
	if (peer->gone)
		peer->blocked = peer->room = false;
	set_ready(am, peer);
	fail_all(am, peer, &all, code);
}

static void fail_bounced(struct vmb_am *am, struct vmb_peer *peer, int code)
{
	struct vmb_list all;

	vmb_list_init(&all);
	move_all(&all, &peer->bounced);
	fail_all(am, peer, &all, code);
}

/*
 * It is gone. What came back is older than what the engine still has to give
 * back, and what waits, in a lane last, is younger: it stays until that is seen.
 */
static void fail_in_order(struct vmb_am *am, struct vmb_peer *peer)
{
	fail_bounced(am, peer, -ECONNRESET);
	if (peer->lane_out)
		move_all(&peer->waiting, &peer->lane_out->waiting);
	if (peer->forgotten || vmb_list_empty(&peer->waiting) ||
	    !vmb_am_unsettled(am, peer)) {
		fail_waiting(am, peer, -ECONNRESET, false);
		return;
	}
	peer->blocked = peer->room = true; /* on settling */
	set_ready(am, peer);
}

/* Nothing that was posted to it can come back any more. */
static void end_of_posts(struct vmb_am *am, struct vmb_peer *peer)
{
	pin(peer);
	fail_waiting(am, peer, -ECONNRESET, false);
	unpin(am, peer);
}

void vmb_peers_settle(struct vmb_am *am)
{
	struct vmb_list *pos, *tmp, ended;

	vmb_list_init(&ended);
	vmb_list_each_safe (pos, tmp, &am->settling) {
		struct vmb_peer *peer =
			vmb_container_of(pos, struct vmb_peer, ready_node);

		if (vmb_am_unsettled(am, peer))
			continue;
		if (!peer->gone) {
			unblock(am, peer);
			continue;
		}
		vmb_list_remove(&peer->ready_node);
		vmb_list_append(&ended, &peer->ready_node);
	}
	/* callbacks may forget any of them */
	while (!vmb_list_empty(&ended))
		end_of_posts(am, vmb_list_first(&ended, struct vmb_peer,
						ready_node));
}

void vmb_peer_undelivered(struct vmb_am *am, struct vmb_peer *peer,
			  const struct vmb_slot *slot, const void *data,
			  size_t len)
{
	struct vmb_am_arrival a = {
		.peer = peer, .hdr = slot->hdr, .data = data, .len = len};
	bool gone = peer->gone || slot->status == VMB_CODE_PEER_GONE;
	int code = gone ? vmb_peer_gone_code(am, peer)
			: vmb_am_errno(slot->status);

	pin(peer);
	if (gone) /* what bounced before is older than this one */
		fail_bounced(am, peer, code);
	if (!peer->discard && !peer->forgotten)
		call_undelivered(am, &a, slot->am, code);
	if (gone)
		vmb_peer_gone(am, peer);
	unpin(am, peer);
}

void vmb_peer_gone(struct vmb_am *am, struct vmb_peer *peer)
{
	bool outer = am->in_handler;

	if (peer->gone)
		return;
	pin(peer);
	if (peer->lane_in)
		vmb_lane_drain(am, peer);
	if (peer->gone) { /* there was a lie in the lane, which ended it */
		unpin(am, peer);
		return;
	}
	peer->gone = true;
	peer->blocked = peer->room = peer->resume = false;
	fail_in_order(am, peer);
	vmb_lane_peer_gone(am, peer);
	if (am->gone && !peer->forgotten) {
		am->in_handler = true;
		am->gone(am, peer, am->upper_arg);
		am->in_handler = outer;
	}
	unpin(am, peer);
}

static bool is_successor(const struct vmb_peer *other,
			 const struct vmb_peer *peer)
{
	return other != peer && !other->gone && !other->forgotten &&
	       other->nic_id == peer->nic_id && other->id == peer->id;
}

/* Slow: asked only about a peer that nothing can be sent to. */
int vmb_peer_gone_code(const struct vmb_am *am, const struct vmb_peer *peer)
{
	if (!peer->nic_id)
		return -ECONNRESET;
	for (uint32_t d = 0; d < vmb_array_size(am->peers); d++) {
		for (uint32_t i = 0; am->peers[d] && i < VMB_PEERS_PER_DIR;
		     i++) {
			const struct vmb_peer *other = am->peers[d][i];

			if (other && is_successor(other, peer))
				return -ESTALE;
		}
	}
	return -ECONNRESET;
}

/*
 * Nothing that was posted before may reach who connects again: until all of
 * it is settled, what comes back is dropped and new posts wait.
 */
static void discard_posted(struct vmb_am *am, struct vmb_peer *peer)
{
	if (!peer->blocked && !vmb_am_unsettled(am, peer))
		return;
	peer->blocked = peer->room = peer->discard = true;
	set_ready(am, peer);
}

void vmb_am_forget_peer(struct vmb_am *am, struct vmb_peer *peer, int code)
{
	pin(peer);
	fail_waiting(am, peer, code, true);
	peer->forgotten = true;
	peer->context = peer->msg = NULL;
	peer->session = peer->id = 0;
	peer->nic_id = 0;
	if (!peer->gone)
		discard_posted(am, peer);
	unpin(am, peer);
}

/* ---- close -------------------------------------------------------------------- */

static void fini_dir(struct vmb_am *am, struct vmb_peer **dir)
{
	for (uint32_t i = 0; i < VMB_PEERS_PER_DIR; i++) {
		while (dir[i]) {
			struct vmb_peer *peer = dir[i];

			fail_waiting(am, peer, -ECANCELED, false);
			vmb_lane_peer_gone(am, peer);
			vmb_list_remove(&peer->ready_node);
			dir[i] = peer->older;
			free(peer);
		}
	}
}

void vmb_peers_fini(struct vmb_am *am)
{
	for (uint32_t d = 0; d < vmb_array_size(am->peers); d++) {
		if (!am->peers[d])
			continue;
		fini_dir(am, am->peers[d]);
		free(am->peers[d]);
		am->peers[d] = NULL;
	}
}
