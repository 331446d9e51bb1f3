// SPDX-License-Identifier: BSD-2-Clause
/*
 * inproc_lane.c - what the daemon does for lanes, in this process.
 *
 * Flow:  lib/am -> ops table -> [here]
 * Owns:  the memory of lanes, while one side or the other has it.
 * Trust: the test is believed; the rules of the daemon are those of vmbd and
 *        are tested there.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/process.h"
#include "port/shared.h"
#include "support/inproc_state.h"

#define LANES 256

/* One lane; the ticket is its place, plus 1. */
static struct lane {
	void *base; /* NULL: not in use */
	uint32_t receiver, sender, slots, bytes;
	unsigned holders;
} lanes[LANES];

static struct t_lane_call {
	bool used;
	struct vmb_ctl_lane what;
} calls[LANES];

static bool held;
static int refused;
static unsigned last_reason;

static struct t_direct direct;
static unsigned maps;

void t_port_direct(const struct t_direct *d)
{
	direct = d ? *d : (struct t_direct){0};
}

static int may_copy(bool write)
{
	int why = write ? direct.write : direct.read;

	if (direct.hook)
		direct.hook(write, direct.arg);
	if (why && !direct.after)
		return why;
	direct.after -= direct.after > 0;
	return 0;
}

int64_t t_inproc_lane_read(const struct vmb_port_lane *lane, uint64_t addr,
			   void *buf, size_t len)
{
	int rc = may_copy(false);

	ck_assert_int_eq(lane->process, getpid());
	return rc ? rc : vmb_process_read_memory(getpid(), addr, buf, len);
}

int64_t t_inproc_lane_write(const struct vmb_port_lane *lane, uint64_t addr,
			    const void *buf, size_t len)
{
	int rc = may_copy(true);

	ck_assert_int_eq(lane->process, getpid());
	return rc ? rc : vmb_process_write_memory(getpid(), addr, buf, len);
}

int t_inproc_lane_map(const struct vmb_port_lane *lane,
		      const struct vmb_lane_file *what, size_t max, void **base,
		      size_t *len)
{
	int rc = direct.map ? direct.map
			    : vmb_shared_map_file((int)what->fd, what->file,
						  max, base, len);

	ck_assert_int_eq(lane->process, getpid());
	maps += !rc;
	return rc;
}

void t_inproc_lane_unmap(void *base, size_t len)
{
	vmb_shared_unmap(base, len);
	maps--;
}

unsigned t_port_maps(void)
{
	return maps;
}

bool t_inproc_lane_alive(const struct vmb_port_lane *lane)
{
	ck_assert_int_eq(lane->process, getpid());
	return !direct.dead;
}

void t_port_hold_lanes(bool hold)
{
	held = hold;
}

void t_port_refuse_lanes(int why)
{
	refused = why;
}

unsigned t_port_lane_reason(void)
{
	return last_reason;
}

unsigned t_port_lanes(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LANES; i++)
		n += lanes[i].base != NULL;
	return n;
}

int t_inproc_lane_start(struct vmb_port *port, const struct vmb_ctl_lane *what,
			uint32_t *tag)
{
	int rc = -ENOMEM;

	(void)port;
	pthread_mutex_lock(&t_inproc.control);
	for (uint32_t i = 0; i < LANES && rc; i++) {
		if (calls[i].used)
			continue;
		calls[i].used = true;
		calls[i].what = *what;
		*tag = i;
		rc = 0;
	}
	pthread_mutex_unlock(&t_inproc.control);
	return rc;
}

/* As between guests: one for each page, and they have to arrive. */
static void make_refs(struct vmb_port_lane *lane)
{
	lane->ref_count = VMB_LANE_LEN(lane->slots, lane->bytes) / VMB_PAGE;
	lane->refs = calloc(lane->ref_count, sizeof(lane->refs[0]));
	ck_assert_ptr_nonnull(lane->refs);
	for (uint32_t i = 0; i < lane->ref_count; i++)
		lane->refs[i] = (uint32_t)lane->ticket * 1000u + i;
}

static bool refs_are_right(const struct vmb_port_lane *lane,
			   const struct lane *l, uint64_t ticket)
{
	bool right =
		lane->ref_count == VMB_LANE_LEN(l->slots, l->bytes) / VMB_PAGE;

	for (uint32_t i = 0; right && i < lane->ref_count; i++)
		right = lane->refs[i] == (uint32_t)ticket * 1000u + i;
	return right;
}

static int offer(const struct vmb_ctl_lane *what, struct vmb_port_lane *lane)
{
	size_t len = VMB_LANE_LEN(what->slots, what->bytes);

	for (uint32_t i = 0; i < LANES; i++) {
		if (lanes[i].base)
			continue;
		lanes[i] = (struct lane){
			.base = mmap(NULL, len, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
			.receiver = what->handle,
			.sender = what->peer,
			.slots = what->slots,
			.bytes = what->bytes,
			.holders = 1,
		};
		ck_assert_ptr_ne(lanes[i].base, MAP_FAILED);
		*lane = (struct vmb_port_lane){.base = lanes[i].base,
					       .slots = what->slots,
					       .bytes = what->bytes,
					       .ticket = i + 1};
		make_refs(lane);
		return 0;
	}
	return -ENOMEM;
}

static int accept_lane(const struct vmb_ctl_lane *what,
		       struct vmb_port_lane *lane)
{
	struct lane *l = &lanes[(what->ticket - 1) % LANES];

	if (!l->base || l->sender != what->handle || l->receiver != what->peer)
		return -ENOENT;
	ck_assert(refs_are_right(lane, l, what->ticket));
	l->holders++;
	lane->base = l->base;
	lane->slots = l->slots;
	lane->bytes = l->bytes;
	lane->ticket = what->ticket;
	return 0;
}

int t_inproc_lane_poll(struct vmb_port *port, uint32_t tag,
		       struct vmb_port_lane *lane)
{
	const struct vmb_ctl_lane *what = &calls[tag].what;
	int rc = refused;

	(void)port;
	if (held)
		return -EAGAIN;
	pthread_mutex_lock(&t_inproc.control);
	calls[tag].used = false;
	if (!rc)
		rc = what->kind == VMB_LANE_OFFER ? offer(what, lane)
						  : accept_lane(what, lane);
	lane->process = !rc && direct.told ? getpid() : 0;
	pthread_mutex_unlock(&t_inproc.control);
	return rc;
}

void t_inproc_lane_cancel(struct vmb_port *port, uint32_t tag)
{
	(void)port;
	pthread_mutex_lock(&t_inproc.control);
	calls[tag].used = false;
	pthread_mutex_unlock(&t_inproc.control);
}

void t_inproc_lane_close(struct vmb_port *port, struct vmb_port_lane *lane,
			 bool offered, uint32_t reason)
{
	struct lane *l = &lanes[(lane->ticket - 1) % LANES];

	(void)port;
	pthread_mutex_lock(&t_inproc.control);
	if (offered)
		last_reason = reason;
	if (!--l->holders) {
		munmap(l->base, VMB_LANE_LEN(l->slots, l->bytes));
		l->base = NULL;
	}
	pthread_mutex_unlock(&t_inproc.control);
	lane->base = NULL;
}
