// SPDX-License-Identifier: BSD-2-Clause
/*
 * control.c - what the host asks of the engine: open and close it, add and
 * remove domains and endpoints.
 *
 * Flow:  vmbd's control thread -> [here] -> vmb_engine_run() -> engine thread
 * Owns:  the tables, the generations of handles.
 * Trust: the host is believed; sizes that came from a client are checked.
 *
 * Removing: take it out of the table, let its engine thread drop it, let all
 * engine threads pass a breath, free it. So no engine thread takes a lock.
 */
#include "nic/engine.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

/* ---- between threads ----------------------------------------------------- */

void vmb_engine_run(struct vmb_engine *engine,
		    void (*fn)(struct vmb_engine *engine, void *arg), void *arg)
{
	struct vmb_engine_call call = {.fn = fn, .arg = arg};

	if (!engine->nic->started) {
		fn(engine, arg);
		return;
	}
	sem_init(&call.done, 0, 0);
	vmb_publish(&engine->call, &call);
	vmb_engine_wake(engine);
	while (sem_wait(&call.done)) /* EINTR only */
		;
	sem_destroy(&call.done);
}

static void nothing(struct vmb_engine *engine, void *arg)
{
	(void)engine;
	(void)arg;
}

void vmb_nic_quiesce(struct vmb_nic *nic)
{
	for (unsigned i = 0; i < nic->threads; i++)
		vmb_engine_run(&nic->engines[i], nothing, NULL);
}

/* ---- the engine as a whole ------------------------------------------------- */

static int engines_init(struct vmb_nic *nic)
{
	nic->engines = aligned_alloc(VMB_LINE_PAIR,
				     nic->threads * sizeof(*nic->engines));
	if (!nic->engines)
		return -ENOMEM;
	memset(nic->engines, 0, nic->threads * sizeof(*nic->engines));
	for (unsigned i = 0; i < nic->threads; i++) {
		vmb_engine_init(&nic->engines[i], nic, i);
		nic->engines[i].cold = calloc(nic->endpoints_max,
					      sizeof(*nic->engines[i].cold));
		if (!nic->engines[i].cold)
			return -ENOMEM;
	}
	return 0;
}

static int tables_init(struct vmb_nic *nic, const struct vmb_nic_config *config)
{
	nic->endpoints = calloc(nic->endpoints_max, sizeof(*nic->endpoints));
	nic->generations = calloc(nic->endpoints_max, sizeof(uint16_t));
	nic->regions = calloc(65536, sizeof(*nic->regions));
	nic->region_generations = calloc(65536, sizeof(uint16_t));
	nic->cpus = calloc(nic->threads, sizeof(int));
	if (!nic->endpoints || !nic->generations || !nic->regions ||
	    !nic->region_generations || !nic->cpus)
		return -ENOMEM;
	for (unsigned i = 0; i < nic->threads; i++)
		nic->cpus[i] = config->cpus ? config->cpus[i] : -1;
	return 0;
}

int vmb_nic_open(const struct vmb_nic_config *config, struct vmb_nic **out)
{
	struct vmb_nic *nic;
	int err;

	if (!config->host || !config->host->notify || !config->threads ||
	    config->threads > VMB_NIC_THREADS_MAX || !config->endpoints_max ||
	    config->endpoints_max > 65535)
		return -EINVAL;
	nic = calloc(1, sizeof(*nic));
	if (!nic)
		return -ENOMEM;
	nic->host = config->host;
	nic->threads = config->threads;
	nic->endpoints_max = config->endpoints_max;
	nic->spin_ns = (uint64_t)config->spin_us * 1000;
	nic->hold_ns = (uint64_t)config->hold_us * 1000;
	nic->quantum = config->quantum ? config->quantum : ENGINE_QUANTUM;
	nic->first_position = config->first_position;
	nic->stats_fd = -1;
	vmb_list_init(&nic->domains);
	err = tables_init(nic, config);
	if (!err)
		err = engines_init(nic);
	if (!err)
		err = vmb_stats_init(nic);
	if (!err)
		err = vmb_faults_init(nic, config->fault_log);
	if (err) {
		vmb_nic_close(nic);
		return err;
	}
	*out = nic;
	return 0;
}

void vmb_nic_close(struct vmb_nic *nic)
{
	if (!nic)
		return;
	vmb_nic_stop(nic);
	if (!vmb_movers_gone(nic))
		return; /* rather a leak at the end than a stray access */
	for (unsigned i = 0; nic->engines && i < nic->threads; i++)
		free(nic->engines[i].cold);
	free(nic->engines);
	vmb_stats_fini(nic);
	free(nic->faults);
	free(nic->endpoints);
	free(nic->generations);
	free(nic->regions);
	free(nic->region_generations);
	free(nic->cpus);
	free(nic);
}

static void pin(struct vmb_engine *engine, int cpu)
{
	cpu_set_t set;
	int err;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	err = pthread_setaffinity_np(engine->thread, sizeof(set), &set);
	if (err)
		vmb_warn("engine thread %u not pinned to cpu %d: %s",
			 engine->index, cpu, strerror(err));
}

int vmb_nic_start(struct vmb_nic *nic)
{
	char name[24];

	for (unsigned i = 0; i < nic->threads; i++) {
		struct vmb_engine *engine = &nic->engines[i];
		int err;

		engine->stop = false;
		err = pthread_create(&engine->thread, NULL, vmb_engine_main,
				     engine);
		if (err) {
			nic->threads = i ? i : 1;
			nic->started = i > 0;
			vmb_nic_stop(nic);
			return -err;
		}
		snprintf(name, sizeof(name), "engine-%u", i & 0xff);
		pthread_setname_np(engine->thread, name);
		pin(engine, nic->cpus[i]);
	}
	nic->started = true;
	return 0;
}

void vmb_nic_stop(struct vmb_nic *nic)
{
	if (!nic->started)
		return;
	for (unsigned i = 0; i < nic->threads; i++) {
		vmb_store_relaxed(&nic->engines[i].stop, true);
		vmb_engine_wake(&nic->engines[i]);
	}
	for (unsigned i = 0; i < nic->threads; i++)
		pthread_join(nic->engines[i].thread, NULL);
	nic->started = false;
}

unsigned vmb_nic_breathe(struct vmb_nic *nic, unsigned thread)
{
	return vmb_engine_breathe(&nic->engines[thread]);
}

bool vmb_nic_may_sleep(struct vmb_nic *nic, unsigned thread)
{
	return vmb_engine_may_sleep(&nic->engines[thread]);
}

void vmb_nic_kicked(struct vmb_nic *nic, struct vmb_nic_endpoint *ep)
{
	(void)nic;
	vmb_engine_heat(ep);
}

/* Of a bitmap of endpoints. */
static size_t bit_words(const struct vmb_nic *nic)
{
	return (nic->endpoints_max + 63) / 64;
}

/* ---- domains ------------------------------------------------------------------ */

int vmb_nic_domain_add(struct vmb_nic *nic, uint32_t weight,
		       struct vmb_nic_domain **out)
{
	struct vmb_nic_domain *domain = calloc(1, sizeof(*domain));

	if (!domain)
		return -ENOMEM;
	domain->allowed = calloc(bit_words(nic), sizeof(uint64_t));
	if (!domain->allowed) {
		free(domain);
		return -ENOMEM;
	}
	vmb_list_append(&nic->domains, &domain->node);
	domain->id = ++nic->next_domain;
	vmb_nic_domain_set_weight(domain, weight);
	for (unsigned i = 0; i < VMB_NIC_THREADS_MAX; i++) {
		vmb_list_init(&domain->shares[i].node);
		vmb_list_init(&domain->shares[i].hot);
	}
	*out = domain;
	return 0;
}

void vmb_nic_domain_remove(struct vmb_nic *nic, struct vmb_nic_domain *domain)
{
	vmb_nic_quiesce(nic);
	vmb_list_remove(&domain->node);
	free(domain->allowed);
	free(domain);
}

void vmb_nic_domain_allow(struct vmb_nic_domain *domain,
			  const struct vmb_nic_endpoint *ep)
{
	vmb_bit_set(domain->allowed, ep->index);
}

/* The next one at this index is let to nobody yet. */
static void disallow(struct vmb_nic *nic, uint32_t index)
{
	struct vmb_nic_domain *domain;
	struct vmb_list *pos;

	vmb_list_each (pos, &nic->domains) {
		domain = vmb_container_of(pos, struct vmb_nic_domain, node);
		vmb_bit_clear(domain->allowed, index);
	}
}

void vmb_nic_domain_set_weight(struct vmb_nic_domain *domain, uint32_t weight)
{
	weight = vmb_min(vmb_max(weight, 1u), 256u);
	vmb_store_relaxed(&domain->weight, weight);
}

uint32_t vmb_nic_domain_id(const struct vmb_nic_domain *domain)
{
	return domain->id;
}

/* ---- endpoints ------------------------------------------------------------------ */

static bool size_ok(uint32_t v, uint32_t min, uint32_t max)
{
	return vmb_is_pow2(v) && v >= min && v <= max;
}

static bool geometry_ok(const struct vmb_geometry *g)
{
	return size_ok(g->eq_slots, VMB_EQ_SLOTS_MIN, VMB_EQ_SLOTS_MAX) &&
	       size_ok(g->rx_bytes, VMB_RX_BYTES_MIN, VMB_RX_BYTES_MAX) &&
	       size_ok(g->tx_bytes, VMB_TX_BYTES_MIN, VMB_TX_BYTES_MAX) &&
	       !g->reserved_60;
}

/* The index that was free for longest, so that handles are slow to return. */
static int free_index(struct vmb_nic *nic, uint32_t *index)
{
	for (uint32_t n = 0; n < nic->endpoints_max; n++) {
		uint32_t i = (nic->next_index + n) % nic->endpoints_max;

		if (nic->endpoints[i])
			continue;
		nic->next_index = i + 1;
		*index = i;
		return 0;
	}
	return -ENOSPC;
}

static void rings_init(struct vmb_nic_endpoint *ep,
		       const struct vmb_nic_endpoint_info *info)
{
	const struct vmb_geometry *g = &info->geometry;
	uint8_t *area = info->area;
	uint32_t first = ep->nic->first_position;

	ep->ctl = (void *)(area + VMB_AREA_CONTROL);
	ep->rx = area + VMB_AREA_RX(g);
	ep->tx = area + VMB_AREA_TX(g);
	ep->rx_bytes = g->rx_bytes;
	ep->tx_bytes = g->tx_bytes;
	vmb_copier_init(&ep->rx_copier);
	vmb_ring_init(&ep->doorbell, area + VMB_AREA_DOORBELL,
		      VMB_DOORBELL_SLOTS, first);
	vmb_ring_init(&ep->events, area + VMB_AREA_EQ, g->eq_slots, first);
	if (first)
		vmb_ring_prime(&ep->events);
	vmb_store_relaxed(&ep->ctl->consumed, vmb_pack(first, 0));
	vmb_store_relaxed(&ep->ctl->progress, vmb_pack(first, first));
	vmb_store_relaxed(&ep->ctl->state, VMB_STATE_OPEN);
}

static void endpoint_free(struct vmb_nic_endpoint *ep)
{
	free(ep->blocked);
	free(ep->peers);
	free(ep->owed_room);
	free(ep->owed_gone);
	free(ep->transfer_table);
	free(ep);
}

static struct vmb_nic_endpoint *endpoint_new(struct vmb_nic *nic)
{
	size_t words = bit_words(nic);
	size_t bytes =
		vmb_round_up(sizeof(struct vmb_nic_endpoint), VMB_LINE_PAIR);
	struct vmb_nic_endpoint *ep = aligned_alloc(VMB_LINE_PAIR, bytes);

	if (!ep)
		return NULL;
	memset(ep, 0, bytes);
	ep->nic = nic;
	ep->blocked = calloc(words, sizeof(uint64_t));
	ep->peers = calloc(words, sizeof(uint64_t));
	ep->owed_room = calloc(words, sizeof(uint64_t));
	ep->owed_gone = calloc(nic->endpoints_max, sizeof(uint32_t));
	vmb_list_init(&ep->place);
	vmb_list_init(&ep->transfers);
	vmb_list_init(&ep->transfers_free);
	if (!ep->blocked || !ep->peers || !ep->owed_room || !ep->owed_gone ||
	    vmb_transfer_init(ep)) {
		endpoint_free(ep);
		return NULL;
	}
	return ep;
}

static void adopt(struct vmb_engine *engine, void *ep)
{
	(void)engine;
	vmb_engine_adopt(ep);
}

int vmb_nic_endpoint_add(struct vmb_nic *nic,
			 const struct vmb_nic_endpoint_info *info,
			 struct vmb_nic_endpoint **out, uint32_t *handle)
{
	struct vmb_nic_endpoint *ep;
	uint32_t index;
	int err;

	if (!geometry_ok(&info->geometry) ||
	    (info->barrier && !nic->host->barrier) ||
	    (info->word && !nic->host->notify_word))
		return -EINVAL;
	err = free_index(nic, &index);
	if (err)
		return err;
	ep = endpoint_new(nic);
	if (!ep)
		return -ENOMEM;
	if (++nic->generations[index] == 0)
		nic->generations[index] = 1;
	ep->index = index;
	ep->handle = VMB_HANDLE(index, nic->generations[index]);
	ep->engine = &nic->engines[index % nic->threads];
	ep->domain = info->domain;
	ep->cookie = info->cookie;
	ep->barrier = info->barrier;
	ep->word = info->word;
	ep->keyed = info->keyed;
	ep->confined = info->confined;
	ep->state = VMB_STATE_OPEN;
	ep->last_work_ns = vmb_now_ns();
	ep->stats = vmb_stats_claim(nic, index);
	ep->stats->domain = info->domain->id;
	ep->stats->id = info->id;
	vmb_store_relaxed(&ep->stats->state, VMB_STATE_OPEN);
	vmb_publish(&ep->stats->handle, ep->handle);
	rings_init(ep, info);
	if (index >= nic->index_top)
		vmb_store_relaxed(&nic->index_top, index + 1);
	vmb_engine_run(ep->engine, adopt, ep);
	*handle = ep->handle;
	*out = ep;
	return 0;
}

/* An endpoint that goes. */
struct departure {
	struct vmb_nic_endpoint *ep;
	bool orderly;
	struct vmb_nic_mover *writer; /* result */
};

/*
 * What is in the doorbell page still goes its way, past what finds no room,
 * which nobody waits for any more: to whoever posted it, it was sent, and a
 * process that ends does not ask first whether the engine has had its turn.
 * Of one that just ended messages only: transfers can be long, and it is
 * nobody's turn.
 */
static void flush(struct vmb_engine *engine, void *arg)
{
	const struct departure *departure = arg;
	struct vmb_nic_endpoint *ep = departure->ep;
	int64_t quantum = departure->orderly ? ENGINE_QUANTUM_ALONE : 1;
	unsigned work = 1;

	for (unsigned n = 0; n < VMB_DOORBELL_SLOTS && work; n++) {
		if (!departure->orderly)
			vmb_transfer_abort(ep);
		ep->held = true;
		ep->held_ns = engine->now_ns - engine->nic->hold_ns;
		work = vmb_engine_serve(ep, &(int64_t){quantum});
	}
	vmb_engine_notify(engine);
}

static void drop(struct vmb_engine *engine, void *arg)
{
	struct departure *departure = arg;
	struct vmb_nic_endpoint *ep = departure->ep;

	(void)engine;
	departure->writer = vmb_transfer_writer(ep);
	vmb_transfer_abort(ep);
	vmb_engine_forget(ep);
	vmb_publish(&ep->nic->endpoints[ep->index], NULL);
}

/* Those of this thread who knew the endpoint hear of it; its index is free. */
static void spread_gone(struct vmb_engine *engine, void *arg)
{
	const struct vmb_nic_endpoint *gone = arg;
	struct vmb_nic *nic = engine->nic;

	for (uint32_t i = 0; i < nic->index_top; i++) {
		struct vmb_nic_endpoint *ep = nic->endpoints[i];

		if (!ep || ep->engine != engine)
			continue;
		if (vmb_bit(ep->blocked, gone->index)) {
			vmb_bit_clear(ep->blocked, gone->index);
			vmb_store_relaxed(&ep->blocked_count,
					  ep->blocked_count - 1);
		}
		if (!vmb_bit(ep->peers, gone->index))
			continue;
		vmb_bit_clear(ep->peers, gone->index);
		vmb_events_gone(engine, ep, gone->handle);
	}
	vmb_engine_notify(engine);
}

void vmb_nic_endpoint_remove(struct vmb_nic *nic, struct vmb_nic_endpoint *ep,
			     bool orderly)
{
	struct departure departure = {.ep = ep, .orderly = orderly};

	vmb_engine_run(ep->engine, flush, &departure);
	vmb_engine_run(ep->engine, drop, &departure);
	vmb_nic_quiesce(nic); /* nobody delivers to it any more */
	if (orderly && departure.writer)
		vmb_mover_settle(departure.writer);
	for (unsigned i = 0; i < nic->threads; i++)
		vmb_engine_run(&nic->engines[i], spread_gone, ep);
	vmb_nic_quiesce(nic);
	disallow(nic, ep->index);
	vmb_store_relaxed(&ep->ctl->state, VMB_STATE_CLOSED);
	vmb_publish(&ep->stats->handle, 0);
	endpoint_free(ep);
}

unsigned vmb_nic_endpoint_thread(const struct vmb_nic_endpoint *ep)
{
	return ep->engine->index;
}

size_t vmb_nic_endpoint_bytes(const struct vmb_geometry *geometry)
{
	return VMB_AREA_BYTES(geometry) + sizeof(struct vmb_nic_endpoint) +
	       TRANSFERS_MAX * sizeof(struct vmb_nic_transfer);
}
