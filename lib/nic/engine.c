// SPDX-License-Identifier: BSD-2-Clause
/*
 * engine.c - the loop of an engine thread: who is looked at, when, and for
 * how many bytes.
 *
 * Flow:  breathe: serve the hot endpoints of each domain in turn -> look at a
 *        few cold ones -> notify clients -> cool what has been idle -> sleep
 *        when nothing is hot
 * Owns:  the hot and cold lists of its thread.
 * Trust: a client can make the engine look, and pays for what it then finds.
 *
 * An endpoint is hot while it has had work within spin_ns, else cold. Before
 * the thread sleeps every cold one is armed: its client kicks
 * (docs/signalling.md).
 */
#include "nic/engine.h"

#include <stdlib.h>

void vmb_engine_init(struct vmb_engine *engine, struct vmb_nic *nic,
		     unsigned index)
{
	engine->nic = nic;
	engine->index = index;
	vmb_list_init(&engine->active);
	vmb_list_init(&engine->unarmed);
	engine->now_ns = vmb_now_ns();
}

/* ---- hot and cold ------------------------------------------------------ */

static struct vmb_nic_share *share_of(struct vmb_nic_endpoint *ep)
{
	return &ep->domain->shares[ep->engine->index];
}

static void cold_add(struct vmb_nic_endpoint *ep)
{
	struct vmb_engine *engine = ep->engine;

	ep->hot = false;
	ep->cold_index = engine->cold_count;
	engine->cold[engine->cold_count++] = ep;
}

static void cold_remove(struct vmb_nic_endpoint *ep)
{
	struct vmb_engine *engine = ep->engine;
	struct vmb_nic_endpoint *last = engine->cold[--engine->cold_count];

	last->cold_index = ep->cold_index;
	engine->cold[ep->cold_index] = last;
}

static void hot_remove(struct vmb_nic_endpoint *ep)
{
	struct vmb_nic_share *share = share_of(ep);

	vmb_list_remove(&ep->place);
	if (vmb_list_empty(&share->hot))
		vmb_list_remove(&share->node);
}

static uint32_t arm_number(struct vmb_nic_endpoint *ep)
{
	if (++ep->arm_number == 0)
		ep->arm_number = 1;
	return ep->arm_number;
}

static void arm(struct vmb_nic_endpoint *ep)
{
	uint32_t number = arm_number(ep);

	ep->armed = true;
	vmb_store_relaxed(&ep->ctl->kick_arm, number);
	vmb_store_relaxed(&ep->ctl->room_arm,
			  vmb_load_relaxed(&ep->watch_room) ? number : 0);
}

static void disarm(struct vmb_nic_endpoint *ep)
{
	if (!ep->armed)
		return;
	ep->armed = false;
	vmb_store_relaxed(&ep->ctl->kick_arm, 0);
	vmb_store_relaxed(&ep->ctl->room_arm, 0);
}

void vmb_engine_heat(struct vmb_nic_endpoint *ep)
{
	struct vmb_nic_share *share = share_of(ep);

	if (ep->hot || vmb_load_relaxed(&ep->state) != VMB_STATE_OPEN)
		return;
	cold_remove(ep);
	vmb_list_remove(&ep->place);
	ep->hot = true;
	vmb_store_relaxed(&ep->last_work_ns, ep->engine->now_ns);
	if (vmb_list_empty(&share->hot)) {
		share->deficit = 0;
		vmb_list_append(&ep->engine->active, &share->node);
	}
	vmb_list_append(&share->hot, &ep->place);
	disarm(ep);
	vmb_count(&ep->stats->kicks, 1);
}

/*
 * Is a look at its room due? Whoever delivers here notes what was read, but only
 * its own engine acts on it.
 */
static bool room_is_due(const struct vmb_nic_endpoint *ep)
{
	uint32_t watch = vmb_load_relaxed(&ep->watch_room);

	return watch == VMB_ROOM_ASKED ||
	       (vmb_unlikely(watch) &&
		vmb_observe(&ep->ctl->consumed) != ep->room_seen);
}

/* Is there anything to do for this endpoint? One line, mostly unchanged. */
static bool has_work(struct vmb_nic_endpoint *ep)
{
	/* a descriptor that cannot be taken yet is no work */
	if (!ep->stalled && !ep->fenced && ep->active < TRANSFERS_MAX &&
	    vmb_ring_due(&ep->doorbell, 0, vmb_ring_seq(&ep->doorbell)))
		return true; /* due, or a lie: serve finds out */
	if ((ep->active || ep->fenced) && vmb_transfer_ready(ep))
		return true;
	return room_is_due(ep);
}

/* Nothing for long: it is looked at now and then, as long as we are awake. */
static void cool(struct vmb_nic_endpoint *ep)
{
	if (has_work(ep)) /* since the last pass */
		return;
	vmb_events_check(ep->engine, ep); /* a liar is told, if late */
	hot_remove(ep);
	cold_add(ep);
	vmb_list_append(&ep->engine->unarmed, &ep->place);
}

/*
 * Before a sleep: arm, then look again, all at once. Pairs with the client's
 * fence between its descriptor and its look at kick_arm, or replaces it by a
 * barrier in the client's place. False: there is work.
 */
static bool arm_cold(struct vmb_engine *engine)
{
	const struct vmb_nic_host *host = engine->nic->host;
	struct vmb_list *l, *tmp;
	bool barrier = false;

	if (vmb_list_empty(&engine->unarmed))
		return true;
	vmb_list_each (l, &engine->unarmed) {
		struct vmb_nic_endpoint *ep =
			vmb_container_of(l, struct vmb_nic_endpoint, place);

		arm(ep);
		barrier |= ep->barrier;
	}
	vmb_arm_fence();
	if (barrier) /* a system call, which guests cannot be reached by */
		host->barrier(host->arg);
	vmb_list_each_safe (l, tmp, &engine->unarmed) {
		struct vmb_nic_endpoint *ep =
			vmb_container_of(l, struct vmb_nic_endpoint, place);

		if (has_work(ep))
			vmb_engine_heat(ep);
		if (!ep->hot) /* or faulted, and never to be hot again */
			vmb_list_remove(&ep->place);
	}
	return vmb_list_empty(&engine->active);
}

int vmb_engine_adopt(struct vmb_nic_endpoint *ep)
{
	struct vmb_engine *engine = ep->engine;

	cold_add(ep);
	arm(ep);
	vmb_publish(&ep->nic->endpoints[ep->index], ep);
	/* the client has no handle yet, so nothing can have been missed, but
	 * an adopted endpoint may bring descriptors along */
	vmb_publish(&engine->look_all, 1);
	return 0;
}

void vmb_engine_forget(struct vmb_nic_endpoint *ep)
{
	struct vmb_engine *engine = ep->engine;

	for (uint32_t i = 0; i < engine->touched_count; i++)
		if (engine->touched[i] == ep)
			engine->touched[i--] =
				engine->touched[--engine->touched_count];
	if (ep->hot)
		hot_remove(ep);
	else
		cold_remove(ep);
	vmb_list_remove(&ep->place); /* of the unarmed */
	ep->hot = false;
}

/* ---- serving ------------------------------------------------------------ */

/*
 * The descriptor of which the ring says that it is due. A lie in the ring faults
 * the endpoint; positions in the fault record count from open.
 */
static inline int fetch(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
			int due, struct vmb_slot *slot,
			struct vmb_slot_ext *ext)
{
	if (vmb_likely(due == 1)) {
		vmb_ring_load(&ep->doorbell, slot);
		if (vmb_unlikely(slot->flags & VMB_F_PAIR))
			due = vmb_ring_peek_ext(&ep->doorbell, ext);
	}
	if (vmb_unlikely(due < 0))
		vmb_endpoint_fault(engine, ep, 0, VMB_CODE_BAD_SEQ,
				   ep->doorbell.pos);
	return due;
}

/* Wait with the doorbell until the transfers before the fence have ended. */
static void fence(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
		  const struct vmb_slot *slot)
{
	ep->fence = *slot;
	ep->fenced = true;
	vmb_transfer_serve(engine, ep, &(int64_t){0});
}

static unsigned check_head(const struct vmb_slot *slot)
{
	static const uint8_t flags_of[] = {
		[VMB_OP_SEND] = VMB_F_PAIR | VMB_F_BUF | VMB_F_RESUME,
		[VMB_OP_PUT] = 0,
		[VMB_OP_GET] = 0,
		[VMB_OP_FENCE] = 0,
	};

	if (slot->op < VMB_OP_SEND || slot->op > VMB_OP_FENCE)
		return VMB_CODE_BAD_OP;
	if ((slot->flags & ~flags_of[slot->op]) || slot->status ||
	    slot->reserved_70)
		return VMB_CODE_BAD_FLAGS;
	return VMB_CODE_OK;
}

/* One descriptor that was copied and has room for its consequences. */
static int64_t execute(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
		       struct vmb_slot *slot, const struct vmb_slot_ext *ext)
{
	unsigned code = check_head(slot);

	if (vmb_unlikely(code)) {
		vmb_endpoint_fault(engine, ep, slot->op, code,
				   ep->doorbell.pos);
		return ENGINE_COST_MIN;
	}
	if (vmb_likely(slot->op == VMB_OP_SEND))
		return vmb_engine_send(engine, ep, slot, ext);
	if (slot->op != VMB_OP_FENCE) {
		vmb_transfer_begin(engine, ep, slot);
		return 0; /* pays as it moves */
	}
	fence(engine, ep, slot);
	return ENGINE_COST_MIN;
}

/* May one more descriptor be taken? Its events must find room. */
static bool may_take(struct vmb_engine *engine, struct vmb_nic_endpoint *ep)
{
	uint32_t wanted = ep->active + EVENTS_KEPT;
	bool room;

	if (ep->fenced || ep->active == TRANSFERS_MAX ||
	    vmb_load_relaxed(&ep->state) != VMB_STATE_OPEN)
		return false;
	vmb_events_lock(ep);
	room = vmb_events_room(engine, ep, wanted) >= wanted;
	vmb_events_unlock(ep);
	ep->stalled = !room;
	if (vmb_unlikely(!room)) {
		vmb_count(&ep->stats->stalls, 1);
		/* no news for who looks already: it has seen as much */
		if (!vmb_load_relaxed(&ep->watch_room))
			vmb_publish(&ep->watch_room, VMB_ROOM_ASKED);
	}
	return room;
}

static unsigned serve_doorbell(struct vmb_engine *engine,
			       struct vmb_nic_endpoint *ep, int64_t *deficit)
{
	struct vmb_slot_ext ext;
	struct vmb_slot slot;
	unsigned taken = 0;
	int64_t cost;

	while (taken<ENGINE_BATCH && * deficit> 0) {
		int due = vmb_ring_due(&ep->doorbell, 0,
				       vmb_ring_seq(&ep->doorbell));

		if (!due)
			break;
		vmb_ring_prefetch_read(&ep->doorbell);
		if (!may_take(engine, ep) ||
		    fetch(engine, ep, due, &slot, &ext) != 1)
			break;
		cost = execute(engine, ep, &slot, &ext);
		if (vmb_unlikely(cost == ENGINE_HELD))
			break;
		*deficit -= cost;
		vmb_ring_release(&ep->doorbell,
				 slot.flags & VMB_F_PAIR ? 2 : 1);
		taken++;
	}
	if (taken) {
		/* bounces of these were written before: docs/doorbell.md */
		vmb_events_lock(ep);
		vmb_publish(&ep->ctl->progress,
			    vmb_pack(ep->doorbell.pos, ep->events.pos));
		vmb_events_unlock(ep);
	}
	return taken;
}

/* Those who wait for room here, and our own stalled doorbell. */
static unsigned serve_room(struct vmb_engine *engine,
			   struct vmb_nic_endpoint *ep)
{
	vmb_events_pay(engine, ep);
	return vmb_events_room_again(engine, ep);
}

unsigned vmb_engine_serve(struct vmb_nic_endpoint *ep, int64_t *deficit)
{
	struct vmb_engine *engine = ep->engine;
	unsigned work = serve_doorbell(engine, ep, deficit);

	if (ep->active || ep->fenced)
		work += vmb_transfer_serve(engine, ep, deficit);
	if (vmb_unlikely(room_is_due(ep)))
		work += serve_room(engine, ep);
	if (work)
		vmb_store_relaxed(&ep->last_work_ns, engine->now_ns);
	return work;
}

/*
 * What a domain may move in a visit. One that sends short messages can use no
 * more than its page holds and saves nothing, so that is all that anybody gets.
 */
static int64_t quantum(const struct vmb_engine *engine,
		       const struct vmb_nic_domain *domain)
{
	uint32_t bytes = engine->nic->quantum;

	if (engine->busy <= 1)
		return ENGINE_QUANTUM_ALONE;
	if (engine->halved)
		bytes = vmb_min(bytes, ENGINE_QUANTUM_SHORT);
	return (int64_t)bytes * vmb_load_relaxed(&domain->weight);
}

/* All it had was less than it might move, and no trickle. */
static bool came_short(const struct vmb_engine *engine, int64_t granted,
		       int64_t left)
{
	return left > 0 && engine->busy > 1 && granted - left >= granted / 4;
}

/*
 * Deficit round robin: each domain may move its quantum, weighted, and keeps
 * what it could not use only while it still has work.
 */
static unsigned serve_domain(struct vmb_engine *engine,
			     struct vmb_nic_domain *domain)
{
	struct vmb_nic_share *share = &domain->shares[engine->index];
	int64_t granted = quantum(engine, domain);
	unsigned work = 0, pass;

	share->deficit += granted;
	do {
		struct vmb_list *l = share->hot.next;

		pass = 0;
		/* each hot endpoint once; served ones go to the back */
		do {
			struct vmb_nic_endpoint *ep = vmb_container_of(
				l, struct vmb_nic_endpoint, place);

			l = l->next;
			pass += vmb_engine_serve(ep, &share->deficit);
			if (share->deficit <= 0)
				break;
		} while (l != &share->hot);
		if (share->deficit <= 0 && l != &share->hot) {
			/* next time begin where we stopped */
			vmb_list_remove(&share->hot);
			vmb_list_append(l, &share->hot);
		}
		work += pass;
	} while (pass && share->deficit > 0 && engine->busy > 1);
	if (came_short(engine, granted, share->deficit))
		engine->halved = ENGINE_SHORT_BREATHS;
	if (share->deficit > 0)
		share->deficit = 0; /* nothing more to do: nothing to save */
	return work;
}

static struct vmb_nic_domain *domain_of(struct vmb_engine *engine,
					struct vmb_list *node)
{
	struct vmb_nic_share *share =
		vmb_container_of(node, struct vmb_nic_share, node);

	return vmb_container_of(share - engine->index, struct vmb_nic_domain,
				shares[0]);
}

/* Its client hears of it by its state and, if there is room, by an event. */
static void tell_faulted(struct vmb_nic_endpoint *ep)
{
	uint32_t code = vmb_load_relaxed(&ep->fault_code);
	struct vmb_slot event = {
		.op = VMB_EV_FAULT,
		.status = (uint8_t)code,
		.hdr = ep->doorbell.pos,
	};

	vmb_store_relaxed(&ep->ctl->fault_code, code);
	vmb_publish(&ep->ctl->state, VMB_STATE_FAULTED);
	vmb_store_relaxed(&ep->stats->state, VMB_STATE_FAULTED);
	vmb_events_lock(ep);
	if (vmb_ring_room(&ep->events))
		vmb_ring_commit(&ep->events, &event);
	vmb_events_unlock(ep);
	vmb_engine_touch(ep->engine, ep);
}

/*
 * The endpoint was faulted: drop what it had, tell its client and its peers. Who
 * is told may use the memory of its transfers for other things; so while a copy
 * to it is under way the client is not told, and this is called again.
 */
static void lay_off(struct vmb_nic_endpoint *ep)
{
	ep->laid_off = vmb_transfer_stop(ep);
	if (ep->laid_off)
		tell_faulted(ep);
	/* who waits for room, in a lane, or for an answer: it is as good as gone.
	 * Who delivered to it noted that under its lock, before we have it. */
	vmb_events_lock(ep);
	vmb_events_unlock(ep);
	vmb_arm_fence(); /* pairs with that in bounce_no_room() */
	vmb_events_tell_gone(ep->engine, ep);
}

/* A cold one: is it to be hot? */
static bool look(struct vmb_nic_endpoint *ep)
{
	if (vmb_unlikely(vmb_observe(&ep->state) != VMB_STATE_OPEN)) {
		if (!ep->laid_off)
			lay_off(ep);
		return false;
	}
	if (!has_work(ep))
		return false;
	vmb_engine_heat(ep);
	return true;
}

static unsigned look_at_some(struct vmb_engine *engine, uint32_t count)
{
	unsigned found = 0;

	while (count-- && engine->cold_count) {
		if (engine->cold_next >= engine->cold_count)
			engine->cold_next = 0;
		found += look(engine->cold[engine->cold_next++]);
	}
	return found;
}

/* From the end: the place of one that is heated is taken by one from behind. */
static unsigned look_at_all(struct vmb_engine *engine)
{
	unsigned found = 0;

	for (uint32_t i = engine->cold_count; i-- > 0;)
		if (i < engine->cold_count)
			found += look(engine->cold[i]);
	return found;
}

/* ---- notification ------------------------------------------------------- */

void vmb_engine_touch(struct vmb_engine *engine, struct vmb_nic_endpoint *ep)
{
	if (engine->touched_count &&
	    engine->touched[engine->touched_count - 1] == ep)
		return;
	if (engine->touched_count == ENGINE_TOUCHED)
		vmb_engine_notify(engine);
	engine->touched[engine->touched_count++] = ep;
}

/*
 * Which number is there to be answered, or 0. It is read with the lock held, so
 * that no thread puts an older one into the word. The word is written for every
 * number: what a sleeper read before it armed is what was answered before that,
 * however it slept then.
 */
static uint32_t take_number(struct vmb_nic_endpoint *ep)
{
	uint32_t number;

	vmb_events_lock(ep);
	number = vmb_load_relaxed(&ep->ctl->event_arm);
	if (number == ep->notified)
		number = 0;
	if (number) {
		ep->notified = number;
		vmb_publish(&ep->ctl->notified, number);
		vmb_count(&ep->stats->notifies, 1);
	}
	vmb_events_unlock(ep);
	return number;
}

static void answer(struct vmb_nic_endpoint *ep)
{
	const struct vmb_nic_host *host = ep->nic->host;
	uint32_t number = take_number(ep);

	if (!number)
		return;
	if (ep->word && number & VMB_ARM_WORD)
		host->notify_word(&ep->ctl->notified);
	else
		host->notify(ep->cookie);
}

/*
 * One fence for all events of this breath, then the wake words: pairs with
 * the client's fence between arming and looking again.
 */
void vmb_engine_notify(struct vmb_engine *engine)
{
	if (!engine->touched_count)
		return;
	vmb_arm_fence();
	for (uint32_t i = 0; i < engine->touched_count; i++) {
		struct vmb_nic_endpoint *ep = engine->touched[i];

		if (vmb_unlikely(vmb_load_relaxed(&ep->ctl->event_arm)))
			answer(ep);
	}
	engine->touched_count = 0;
}

/* ---- the loop ------------------------------------------------------------ */

static void answer_call(struct vmb_engine *engine)
{
	struct vmb_engine_call *call = vmb_observe(&engine->call);

	if (vmb_likely(!call))
		return;
	vmb_store_relaxed(&engine->call, NULL);
	call->fn(engine, call->arg);
	sem_post(&call->done);
}

/* Another engine thread, whose clock was read later, may have noted work. */
static bool is_idle(const struct vmb_nic_endpoint *ep)
{
	int64_t idle = (int64_t)(ep->engine->now_ns -
				 vmb_load_relaxed(&ep->last_work_ns));

	return idle > (int64_t)ep->nic->spin_ns;
}

static void cool_idle(struct vmb_engine *engine)
{
	struct vmb_list *node, *tmp, *l, *tmp2;

	engine->now_ns = vmb_now_ns();
	__atomic_fetch_add(&engine->nic->stats->breaths, engine->breaths,
			   __ATOMIC_RELAXED);
	engine->breaths = 0;
	vmb_list_each_safe (node, tmp, &engine->active) {
		struct vmb_nic_share *share =
			vmb_container_of(node, struct vmb_nic_share, node);

		vmb_list_each_safe (l, tmp2, &share->hot) {
			struct vmb_nic_endpoint *ep = vmb_container_of(
				l, struct vmb_nic_endpoint, place);

			if (vmb_observe(&ep->state) != VMB_STATE_OPEN) {
				hot_remove(ep);
				cold_add(ep);
				lay_off(ep);
			} else if (is_idle(ep)) {
				cool(ep);
			}
		}
	}
	/* those of faulted ones, before a sleep */
	vmb_engine_notify(engine);
}

/*
 * How many cold ones to look at. Each is a page that the processor may have
 * forgotten. Who got a message needs longer to answer it than the looks take;
 * then the engine waits for the answer and for nothing else, for a while. That
 * while is made up for behind the next one.
 */
static uint32_t looks_due(struct vmb_engine *engine, unsigned work)
{
	if (work) {
		uint32_t missed = engine->quiet / ENGINE_COLD_EVERY;

		engine->quiet = 0;
		return ENGINE_COLD_LOOKS + missed;
	}
	if (engine->quiet < ENGINE_QUIET) {
		engine->quiet++;
		return 0;
	}
	return engine->breaths % ENGINE_COLD_EVERY ? 0 : ENGINE_COLD_LOOKS;
}

unsigned vmb_engine_breathe(struct vmb_engine *engine)
{
	struct vmb_list *node, *tmp;
	unsigned work = 0, busy = 0;

	answer_call(engine);
	if (vmb_unlikely(vmb_load_relaxed(&engine->look_all))) {
		vmb_store_relaxed(&engine->look_all, 0);
		vmb_arm_fence();
		work += look_at_all(engine);
	}
	vmb_list_each_safe (node, tmp, &engine->active) {
		struct vmb_nic_domain *domain = domain_of(engine, node);
		/* who has moved more than its share only waits for its turn */
		bool debt = domain->shares[engine->index].deficit < 0;
		unsigned done = serve_domain(engine, domain);

		busy += done || debt;
		work += done;
	}
	engine->busy = busy;
	engine->halved -= engine->halved > 0;
	vmb_engine_notify(engine);
	work += look_at_some(engine, looks_due(engine, work));
	vmb_engine_notify(engine); /* faulted ones among them */
	if (++engine->breaths >= ENGINE_CLOCK_EVERY)
		cool_idle(engine);
	return work;
}

void vmb_engine_wake(struct vmb_engine *engine)
{
	const struct vmb_nic_host *host = engine->nic->host;

	vmb_arm_fence(); /* pairs with that in doze() */
	if (vmb_load_relaxed(&engine->sleeping) && host->wake)
		host->wake(host->arg, engine->index);
}

bool vmb_engine_may_sleep(struct vmb_engine *engine)
{
	return vmb_list_empty(&engine->active) && arm_cold(engine);
}

/* Every endpoint is cold, and armed, so a kick ends the sleep. */
static void doze(struct vmb_engine *engine)
{
	const struct vmb_nic_host *host = engine->nic->host;

	vmb_store_relaxed(&engine->sleeping, 1);
	vmb_arm_fence(); /* pairs with that in vmb_engine_wake() */
	if (!vmb_load_relaxed(&engine->call) &&
	    !vmb_load_relaxed(&engine->look_all) &&
	    !vmb_load_relaxed(&engine->stop)) {
		__atomic_fetch_add(&engine->nic->stats->sleeps, 1,
				   __ATOMIC_RELAXED);
		host->sleep(host->arg, engine->index);
	}
	vmb_store_relaxed(&engine->sleeping, 0);
	engine->now_ns = vmb_now_ns();
}

void *vmb_engine_main(void *arg)
{
	struct vmb_engine *engine = arg;
	unsigned idle = 0; /* breaths without work, in a row */

	while (!vmb_load_relaxed(&engine->stop)) {
		if (vmb_engine_breathe(engine))
			idle = 0;
		else if (engine->nic->host->sleep &&
			 vmb_engine_may_sleep(engine))
			doze(engine);
		else if (++idle > ENGINE_BREATHS_BEFORE_PAUSE)
			vmb_relax();
	}
	answer_call(engine);
	return NULL;
}
