/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event.h - a slot that was copied and is being checked, whoever wrote it.
 *
 * Flow:  poll.c (event queue), lane_in.c (lanes) -> [here] -> handler
 * Owns:  nothing.
 * Trust: the copy is checked: flags, lengths, and that a payload lies where it
 *        must. -EPROTO is for the caller to act upon.
 */
#ifndef VMB_AM_EVENT_H
#define VMB_AM_EVENT_H

#include <errno.h>
#include <string.h>

#include "am/am.h"

struct vmb_event {
	struct vmb_slot slot;
	uint8_t more[VMB_INLINE_PAIR - VMB_INLINE_ONE]; /* goes on from slot */
	const uint8_t *data;
	size_t len;
	uint32_t slots;	 /* of the ring */
	uint32_t rx_pos; /* of the byte ring, after it */
};

_Static_assert(offsetof(struct vmb_event, more) == VMB_SLOT_BYTES,
	       "the payload of a pair is one piece");

/* The extension of a pair, behind the first slot. */
static inline int vmb_event_pair(const struct vmb_ring *ring,
				 struct vmb_event *e)
{
	struct vmb_slot_ext ext;

	if (vmb_ring_peek_ext(ring, &ext) != 1)
		return -EPROTO;
	memcpy(e->more, ext.payload, sizeof(ext.payload));
	e->slots = 2;
	return 0;
}

static inline int vmb_event_inline(const struct vmb_ring *ring,
				   struct vmb_event *e)
{
	bool pair = e->slot.flags & VMB_F_PAIR;

	e->len = e->slot.len;
	e->data = (const uint8_t *)e + offsetof(struct vmb_slot, payload);
	if (vmb_unlikely(e->len > (pair ? VMB_INLINE_PAIR : VMB_INLINE_ONE)))
		return -EPROTO;
	return pair ? vmb_event_pair(ring, e) : 0;
}

/* A payload that is not in the slot: where, as the slot says. */
static inline int vmb_event_buf(struct vmb_event *e, struct vmb_slot_buf *buf)
{
	memcpy(buf, e->slot.payload, sizeof(*buf));
	if ((e->slot.flags & ~(VMB_F_BUF | VMB_F_RESUME)) || e->slot.len ||
	    !buf->len || buf->len > VMB_BUF_MAX)
		return -EPROTO;
	e->len = buf->len;
	return 0;
}

#define VMB_EVENT_FETCH 1024u /* bytes; beyond, the processor does it */

/*
 * All lines of a payload at once: who reads a header first, and then what is
 * behind it, would wait for the other processor twice.
 */
static inline void vmb_event_fetch(const struct vmb_event *e)
{
	size_t len = vmb_min(e->len, (size_t)VMB_EVENT_FETCH);

	for (size_t at = 0; at < len; at += VMB_LINE)
		vmb_prefetch(e->data + at);
}

/* Where an arrival lies is for us to say: both sides place it alike. */
static inline int vmb_event_received(struct vmb_event *e,
				     const struct vmb_slot_buf *buf,
				     const uint8_t *rx, uint32_t size)
{
	if (buf->key || buf->len > size / 2 ||
	    buf->offset !=
		    vmb_rx_place(&e->rx_pos, size, buf->len, VMB_RX_ALIGN))
		return -EPROTO;
	e->data = rx + buf->offset;
	vmb_event_fetch(e);
	return 0;
}

#endif
