/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * direct.h - long messages that the two ends of a lane copy straight from one
 * process's memory to the other's, both at once.
 *
 * Flow:  msg (sender)   -> vmb_direct_offer() ... write() ... end()
 *        msg (receiver) -> vmb_direct_read() ... shut()
 *        both -> claim words in the lane's page; a mapping (mapped.h), or else
 *        port lane_read, lane_write
 * Owns:  the sender's entries of that page (lane_out.direct_free).
 * Trust: the other side can write the claim words at any moment. Nobody writes
 *        or reads beyond the message for it, or waits for ever: who finds a
 *        word that cannot be goes on without it, alone. What the sender's
 *        address names is the sender's memory, whatever it says.
 *
 * A message is cut into pieces. The receiver claims them from the first on and
 * reads them, the sender from the last on and writes them, until they meet.
 * The sender ends an entry before its owner gets the memory back; what the
 * receiver has read by then of a message that was not complete is discarded.
 */
#ifndef VMB_AM_DIRECT_H
#define VMB_AM_DIRECT_H

#include "am/am.h"

struct vmb_lane_in;

/* As the sender announced it: which entry, and its number for the message. */
struct vmb_direct {
	uint32_t entry;
	uint32_t number;
};

/* The copy as one side sees it. */
struct vmb_direct_copy {
	struct vmb_direct id;
	uint64_t remote; /* address of the message on the other side */
	void *local;
	uint64_t len;
	uint32_t piece;		    /* bytes of each but the last */
	uint32_t front;		    /* pieces that the receiver has claimed */
	uint32_t back;		    /* pieces that the sender has claimed */
	bool alone;		    /* receiver: the sender takes no part */
	bool called;		    /* some of it was copied by the kernel */
	struct vmb_lane_file where; /* what we are told of remote */
};

#define VMB_DIRECT_PIECE_MIN 4096u
#define VMB_DIRECT_PIECE_MAX (512u << 10)
#define VMB_DIRECT_PIECES_MAX 65535u

/* How many pieces it has: at most 65535. */
static inline uint32_t vmb_direct_pieces(const struct vmb_direct_copy *c)
{
	return (uint32_t)((c->len + c->piece - 1) / c->piece);
}

/* Bytes of a piece that suit a message of so many, 1 to VMB_MESSAGE_MAX. */
uint32_t vmb_direct_piece(uint64_t len);

/* ---- sender ----------------------------------------------------------------- */

/* Does it make sense to offer()? */
bool vmb_direct_may_offer(const struct vmb_peer *peer);
/* Announce one more message, which lies there; end() follows. false: not to
 * this peer, or no entry is free. */
bool vmb_direct_offer(struct vmb_peer *peer, const struct vmb_lane_file *source,
		      struct vmb_direct *id);
/* The peer cannot read our memory: offer no more. */
void vmb_direct_refused(struct vmb_peer *peer);
/* Before the first write(): where the receiver says that it goes. */
void vmb_direct_begin_write(struct vmb_am *am, struct vmb_peer *peer,
			    struct vmb_direct_copy *c);
/*
 * Claim a piece and write it. 1: done; 0: none is left; -EPROTO: the claim word
 * cannot be; others: as lane_write of the port. No more after an error.
 */
int vmb_direct_write(struct vmb_am *am, struct vmb_peer *peer,
		     struct vmb_direct_copy *c);
/* The memory is about to be its owner's again. */
void vmb_direct_end(struct vmb_am *am, struct vmb_peer *peer,
		    const struct vmb_direct *id);

/* ---- receiver --------------------------------------------------------------- */

/* Are we told which process the sender is, and could read it so far? */
bool vmb_direct_reaches(const struct vmb_peer *peer);
/* Are we not told, or did the kernel say that we may not? It stays so. */
bool vmb_direct_is_denied(const struct vmb_peer *peer);
/* Has it been shown, by a read, that we may? */
bool vmb_direct_is_proven(const struct vmb_peer *peer);
/* Before the first read(): where the sender says that it lies. */
void vmb_direct_begin_read(struct vmb_am *am, struct vmb_peer *peer,
			   struct vmb_direct_copy *c);
/* Before the sender is asked for help: where it may write to. */
void vmb_direct_tell(struct vmb_peer *peer, const struct vmb_direct_copy *c,
		     const struct vmb_lane_file *destination);
/*
 * Claim a piece and read it. 1: done; 0: none is left, and c->back of them are
 * the sender's, which says when it has written them; -ESTALE: the message was
 * taken back; others: as lane_read of the port.
 */
int vmb_direct_read(struct vmb_am *am, struct vmb_peer *peer,
		    struct vmb_direct_copy *c);
/* Read from now on all that we have not, also what the sender claimed. */
void vmb_direct_read_alone(struct vmb_direct_copy *c);
/*
 * Give up: the sender claims nothing any more, and is not writing when this
 * returns. (One that was stopped in the middle of a piece is waited for
 * no longer than a second.)
 */
void vmb_direct_shut(struct vmb_am *am, struct vmb_peer *peer,
		     struct vmb_direct_copy *c);
/*
 * The same for all messages of a lane that ends: its sender may count as gone
 * and live. wait: all within a second; else the claims are closed only.
 */
void vmb_direct_shut_all(struct vmb_am *am, struct vmb_lane_in *in, bool wait);

#endif
