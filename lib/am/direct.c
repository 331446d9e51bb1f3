// SPDX-License-Identifier: BSD-2-Clause
/*
 * direct.c - see direct.h.
 */
#include "am/direct.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "am/lane.h"
#include "base/log.h"

#define PIECE_MIN (64u << 10) /* a call takes what some KiB take */
#define PIECES 8u /* who is done first waits for half of one, in the mean */
#define CLAIMS_CLOSED 0xffffu /* more than any message has */
#define SHUT_NS 1000000000u   /* to wait for a piece that the sender writes */

/* ---- claim words ------------------------------------------------------------ */

static uint64_t claim_word(uint32_t number, uint32_t front, uint32_t back)
{
	return vmb_pack(number, front | back << 16);
}

static uint32_t front_of(uint64_t word)
{
	return vmb_high(word) & 0xffffu;
}

static uint32_t back_of(uint64_t word)
{
	return vmb_high(word) >> 16;
}

static bool swap(__u64 *claim, __u64 *seen, uint64_t next)
{
	return __atomic_compare_exchange_n(claim, seen, next, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

uint32_t vmb_direct_piece(uint64_t len)
{
	uint32_t piece = PIECE_MIN;

	while (piece < VMB_DIRECT_PIECE_MAX && (uint64_t)piece * PIECES < len)
		piece *= 2;
	return piece;
}

/* Bytes of one piece. */
static size_t piece_len(const struct vmb_direct_copy *c, uint32_t i)
{
	return vmb_min(c->len - (uint64_t)i * c->piece, c->piece);
}

/* A process that is gone may have another of its number. */
static int copy_by_kernel(const struct vmb_port_ops *ops,
			  const struct vmb_port_lane *memory, uint64_t addr,
			  char *local, size_t len, bool write)
{
	if (write && !ops->lane_alive(memory))
		return -ESRCH;
	while (len) {
		int64_t n = write ? ops->lane_write(memory, addr, local, len)
				  : ops->lane_read(memory, addr, local, len);

		if (n <= 0)
			return n ? (int)n : -EFAULT;
		addr += (uint64_t)n;
		local += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Piece i, all of it, or why not. */
static int copy_piece(struct vmb_am *am, const struct vmb_port_lane *memory,
		      const struct vmb_mapped *mapped,
		      struct vmb_direct_copy *c, uint32_t i, bool write)
{
	uint64_t addr = c->remote + (uint64_t)i * c->piece;
	char *local = (char *)c->local + (uint64_t)i * c->piece;
	size_t len = piece_len(c, i);
	void *there = vmb_mapped_at(mapped, &c->where, addr, len);

	if (!there) {
		c->called = true;
		return copy_by_kernel(am->port->ops, memory, addr, local, len,
				      write);
	}
	if (write)
		memcpy(there, local, len);
	else
		memcpy(local, there, len);
	am->counters.direct_mapped++;
	return 0;
}

/* ---- what each tells of its memory ------------------------------------------ */

/* What follows says that it is there: a number, a message. */
static void put_memory(struct vmb_lane_file *shared,
		       const struct vmb_lane_file *memory)
{
	vmb_store_relaxed(&shared->start, memory->start);
	vmb_store_relaxed(&shared->file, memory->file);
	vmb_store_relaxed(&shared->fd, memory->fd);
}

static struct vmb_lane_file get_memory(const struct vmb_lane_file *shared)
{
	return (struct vmb_lane_file){
		.start = vmb_load_relaxed(&shared->start),
		.file = vmb_load_relaxed(&shared->file),
		.fd = vmb_load_relaxed(&shared->fd),
	};
}

/* ---- sender ----------------------------------------------------------------- */

static struct vmb_lane_direct *out_entry(const struct vmb_peer *peer,
					 const struct vmb_direct *id)
{
	return peer->lane_out && peer->lane_out->state == VMB_LANE_OPEN
		       ? &peer->lane_out->ctl->direct[id->entry]
		       : NULL;
}

bool vmb_direct_may_offer(const struct vmb_peer *peer)
{
	const struct vmb_lane_out *out = peer->lane_out;

	return peer->lane_on && !out->ending && out->memory.process &&
	       !out->direct_refused && out->direct_free;
}

bool vmb_direct_offer(struct vmb_peer *peer, const struct vmb_lane_file *source,
		      struct vmb_direct *id)
{
	struct vmb_lane_out *out = peer->lane_out;
	struct vmb_lane_direct *entry;

	if (!vmb_direct_may_offer(peer))
		return false;
	if (++out->direct_number == 0)
		out->direct_number = 1;
	id->number = out->direct_number;
	id->entry = (uint32_t)__builtin_ctzll(out->direct_free);
	out->direct_free &= ~(1ull << id->entry);
	entry = &out->ctl->direct[id->entry];
	vmb_store_relaxed(&entry->written, 0);
	put_memory(&entry->source, source);
	put_memory(&entry->destination, &(struct vmb_lane_file){0});
	vmb_publish(&entry->claim, claim_word(id->number, 0, 0));
	return true;
}

void vmb_direct_refused(struct vmb_peer *peer)
{
	if (peer->lane_out)
		peer->lane_out->direct_refused = true;
}

void vmb_direct_end(struct vmb_am *am, struct vmb_peer *peer,
		    const struct vmb_direct *id)
{
	struct vmb_lane_direct *entry = out_entry(peer, id);
	struct vmb_lane_out *out = peer->lane_out;

	if (!entry)
		return; /* its lane ended, and with it the peer */
	__atomic_store_n(&entry->claim, 0, __ATOMIC_SEQ_CST);
	vmb_release_fence(); /* before its owner writes there */
	out->direct_free |= 1ull << id->entry;
	vmb_lane_out_rest(am, out);
}

/* 1: piece c->back, from the last, is ours to write. */
static int claim_last(struct vmb_lane_direct *entry, struct vmb_direct_copy *c)
{
	__u64 seen = vmb_observe(&entry->claim);
	uint64_t front;

	do {
		front = front_of(seen);
		if (vmb_low(seen) != c->id.number || back_of(seen) != c->back ||
		    front < c->front)
			return -EPROTO;
		c->front = (uint32_t)front;
		if (front + c->back >= vmb_direct_pieces(c))
			return 0;
	} while (!swap(&entry->claim, &seen,
		       claim_word(c->id.number, c->front, c->back + 1)));
	return 1;
}

void vmb_direct_begin_write(struct vmb_am *am, struct vmb_peer *peer,
			    struct vmb_direct_copy *c)
{
	struct vmb_lane_direct *entry = out_entry(peer, &c->id);

	if (!entry)
		return; /* write() will say so */
	c->where = get_memory(&entry->destination);
	vmb_mapped_meet(&peer->lane_out->mapped, am->port->ops,
			&peer->lane_out->memory, &c->where);
}

int vmb_direct_write(struct vmb_am *am, struct vmb_peer *peer,
		     struct vmb_direct_copy *c)
{
	struct vmb_lane_direct *entry = out_entry(peer, &c->id);
	int rc = entry ? claim_last(entry, c) : -EPROTO;

	if (rc <= 0)
		return rc;
	rc = copy_piece(am, &peer->lane_out->memory, &peer->lane_out->mapped, c,
			vmb_direct_pieces(c) - 1 - c->back, true);
	if (peer->lane_in) /* that SHARE came by */
		peer->lane_in->fruitless = 0;
	/* not written is not being written either */
	vmb_publish(&entry->written, ++c->back);
	return rc ? rc : 1;
}

/* ---- receiver --------------------------------------------------------------- */

static struct vmb_lane_direct *in_entry(const struct vmb_peer *peer,
					const struct vmb_direct *id)
{
	return peer->lane_in && peer->lane_in->state == VMB_LANE_OPEN
		       ? &peer->lane_in->ctl->direct[id->entry]
		       : NULL;
}

bool vmb_direct_reaches(const struct vmb_peer *peer)
{
	return peer->lane_in && peer->lane_in->state == VMB_LANE_OPEN &&
	       peer->lane_in->memory.process && !peer->lane_in->direct_denied;
}

bool vmb_direct_is_denied(const struct vmb_peer *peer)
{
	return peer->lane_in && peer->lane_in->state == VMB_LANE_OPEN &&
	       !vmb_direct_reaches(peer);
}

bool vmb_direct_is_proven(const struct vmb_peer *peer)
{
	return peer->lane_in && peer->lane_in->direct_proven;
}

/* If the number is another one by now, so is what we get: read() will say so. */
void vmb_direct_begin_read(struct vmb_am *am, struct vmb_peer *peer,
			   struct vmb_direct_copy *c)
{
	struct vmb_lane_direct *entry = in_entry(peer, &c->id);

	if (!entry || vmb_low(vmb_observe(&entry->claim)) != c->id.number)
		return;
	c->where = get_memory(&entry->source);
	vmb_mapped_meet(&peer->lane_in->mapped, am->port->ops,
			&peer->lane_in->memory, &c->where);
}

void vmb_direct_tell(struct vmb_peer *peer, const struct vmb_direct_copy *c,
		     const struct vmb_lane_file *destination)
{
	struct vmb_lane_direct *entry = in_entry(peer, &c->id);

	/* it may be another message's by now: read() will find out */
	if (entry && vmb_low(vmb_observe(&entry->claim)) == c->id.number)
		put_memory(&entry->destination, destination);
}

void vmb_direct_read_alone(struct vmb_direct_copy *c)
{
	c->alone = true;
	c->back = 0;
}

/* Can that be, after what we saw before? */
static bool is_sane(const struct vmb_direct_copy *c, uint64_t word)
{
	return front_of(word) == c->front && back_of(word) >= c->back &&
	       back_of(word) <= vmb_direct_pieces(c) - c->front;
}

/*
 * 1: piece c->front is ours to read. A number that is still there says too that
 * what was read so far was the sender's to give, so the end comes by here.
 */
static int claim_first(struct vmb_lane_direct *entry, struct vmb_direct_copy *c)
{
	__u64 seen;

	vmb_acquire_fence(); /* what was read of a mapping was read before */
	seen = vmb_observe(&entry->claim);
	do {
		if (vmb_low(seen) != c->id.number)
			return -ESTALE;
		if (!c->alone && !is_sane(c, seen))
			vmb_direct_read_alone(c); /* a liar is no help */
		if (!c->alone)
			c->back = back_of(seen);
		if (c->front + c->back == vmb_direct_pieces(c))
			return 0;
	} while (!c->alone &&
		 !swap(&entry->claim, &seen,
		       claim_word(c->id.number, c->front + 1, c->back)));
	return 1;
}

static void note_refusal(struct vmb_lane_in *in, int rc)
{
	if (rc == -EPERM || rc == -ENOSYS)
		in->direct_denied = true;
}

int vmb_direct_read(struct vmb_am *am, struct vmb_peer *peer,
		    struct vmb_direct_copy *c)
{
	struct vmb_lane_direct *entry = in_entry(peer, &c->id);
	int rc = entry ? claim_first(entry, c) : -ESTALE;

	if (!rc && c->called &&
	    !am->port->ops->lane_alive(&peer->lane_in->memory))
		rc = -ESRCH; /* what we read may be somebody else's */
	if (rc <= 0)
		return rc;
	rc = copy_piece(am, &peer->lane_in->memory, &peer->lane_in->mapped, c,
			c->front, false);
	c->front++;
	if (rc && vmb_low(vmb_observe(&entry->claim)) != c->id.number)
		return -ESTALE; /* no wonder: its owner has the memory back */
	if (rc == -ESRCH && am->port->ops->lane_alive(&peer->lane_in->memory))
		rc = -EPERM; /* it lives, but not under a number of ours */
	if (rc) {
		note_refusal(peer->lane_in, rc);
		return rc;
	}
	peer->lane_in->direct_proven = true;
	peer->lane_in->fruitless = 0; /* this is what a lane is for */
	return 1;
}

/*
 * The sender can claim no more: how many pieces it has. 0: there is no such
 * message any more, so it does not write either.
 */
static uint32_t close_claims(struct vmb_lane_direct *entry, uint32_t number)
{
	__u64 seen = vmb_observe(&entry->claim);

	do {
		if (vmb_low(seen) != number)
			return 0;
	} while (!swap(&entry->claim, &seen,
		       claim_word(number, CLAIMS_CLOSED, back_of(seen))));
	return back_of(seen);
}

/* Until the sender has written what it claimed, or cannot. false: too long. */
static bool await_written(const struct vmb_am *am, const struct vmb_lane_in *in,
			  struct vmb_lane_direct *entry, uint32_t number,
			  uint64_t end)
{
	uint32_t back = close_claims(entry, number);

	while (vmb_observe(&entry->written) < back &&
	       vmb_low(vmb_observe(&entry->claim)) == number &&
	       am->port->ops->lane_alive(&in->memory)) {
		if (vmb_now_ns() > end) {
			vmb_warn("endpoint %u: peer 0x%x does not end a copy "
				 "into a message that was given up",
				 am->pep.id, in->peer->handle);
			return false;
		}
		sched_yield();
	}
	return true;
}

void vmb_direct_shut(struct vmb_am *am, struct vmb_peer *peer,
		     struct vmb_direct_copy *c)
{
	struct vmb_lane_direct *entry = in_entry(peer, &c->id);

	if (entry && !c->alone)
		await_written(am, peer->lane_in, entry, c->id.number,
			      vmb_now_ns() + SHUT_NS);
}

void vmb_direct_shut_all(struct vmb_am *am, struct vmb_lane_in *in, bool wait)
{
	uint64_t end = wait ? vmb_now_ns() + SHUT_NS : 0;

	for (unsigned i = 0; in->memory.process && i < VMB_LANE_DIRECTS; i++) {
		struct vmb_lane_direct *entry = &in->ctl->direct[i];
		uint32_t number = vmb_low(vmb_observe(&entry->claim));

		if (!number)
			continue;
		if (wait)
			wait = await_written(am, in, entry, number, end);
		else
			close_claims(entry, number);
	}
}
