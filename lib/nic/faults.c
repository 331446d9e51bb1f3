// SPDX-License-Identifier: BSD-2-Clause
/*
 * faults.c - the fault log: who tried what, where, and why it was refused.
 *
 * Owns:  a bounded ring of records. Engine threads write without waiting;
 *        the control thread reads what is complete and skips what is being
 *        overwritten. The count never stops, so overflow is known.
 */
#include "nic/engine.h"

#include <errno.h>
#include <stdlib.h>

#define FAULT_WORDS \
	(sizeof(((struct vmb_nic_fault_slot *)0)->words) / sizeof(uint64_t))

_Static_assert(sizeof(struct vmb_nic_fault) == FAULT_WORDS * sizeof(uint64_t),
	       "a record is whole words");

static const char *const code_texts[VMB_CODE_COUNT] = {
	[VMB_CODE_OK] = "no fault",
	[VMB_CODE_NO_ROOM] = "no room at the peer",
	[VMB_CODE_PEER_GONE] = "the peer has closed",
	[VMB_CODE_BAD_PEER] = "no such endpoint",
	[VMB_CODE_BAD_OP] = "unknown operation",
	[VMB_CODE_BAD_FLAGS] = "unknown flag or reserved bit set",
	[VMB_CODE_BAD_LENGTH] = "length over the limit of the operation",
	[VMB_CODE_BAD_KEY] = "no such region in that protection domain",
	[VMB_CODE_STALE_KEY] = "the region was deregistered",
	[VMB_CODE_BAD_RANGE] = "past the end of the region",
	[VMB_CODE_DENIED] = "the region does not allow this access",
	[VMB_CODE_BAD_SEQ] = "impossible sequence word",
	[VMB_CODE_BAD_CONSUMER] = "impossible consumer position",
	[VMB_CODE_UNREACHABLE] = "memory that cannot be reached",
};

static const char *const fault_texts[] = {
	"impossible position of the control ring",
	"malformed control request",
	"no such client number",
	"place of an endpoint that is taken or out of range",
	"wrong number of pages",
	"memory that cannot be mapped",
	"impossible value in the store",
	"storm of events that bring nothing",
	"nonsense written into a lane, or a lane of others",
	"control request with a value that cannot be",
};
_Static_assert(vmb_array_size(fault_texts) ==
		       VMB_NIC_FAULT_END - VMB_NIC_FAULT_RING,
	       "a text for each");

const char *vmb_nic_code_text(unsigned code)
{
	if (code >= VMB_NIC_FAULT_RING && code < VMB_NIC_FAULT_END)
		return fault_texts[code - VMB_NIC_FAULT_RING];
	return code < VMB_CODE_COUNT ? code_texts[code] : "unknown code";
}

int vmb_faults_init(struct vmb_nic *nic, uint32_t records)
{
	nic->fault_slots = records ? records : 1024;
	nic->faults = calloc(nic->fault_slots, sizeof(*nic->faults));
	return nic->faults ? 0 : -ENOMEM;
}

/* Not if who was a lap before is still at it, or who was a lap later was first:
 * then this record is one of the lost. */
static bool claim(struct vmb_nic_fault_slot *slot, uint64_t number)
{
	uint64_t seen = vmb_load_relaxed(&slot->seq);

	return !(seen & 1) && seen <= 2 * number &&
	       __atomic_compare_exchange_n(&slot->seq, &seen, 2 * number + 1,
					   false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

/* Time and number are filled in. Any thread. */
static void record(struct vmb_nic *nic, struct vmb_nic_fault *fault)
{
	uint64_t number =
		__atomic_fetch_add(&nic->fault_count, 1, __ATOMIC_RELAXED);
	struct vmb_nic_fault_slot *slot =
		&nic->faults[number % nic->fault_slots];
	uint64_t words[FAULT_WORDS];
	struct timespec now;
	bool ours;

	clock_gettime(CLOCK_REALTIME, &now);
	fault->time_ns =
		(uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	fault->number = number;
	memcpy(words, fault, sizeof(words));
	ours = claim(slot, number);
	if (ours) {
		vmb_release_fence(); /* words after the odd seq */
		for (size_t i = 0; i < FAULT_WORDS; i++)
			vmb_store_relaxed(&slot->words[i], words[i]);
		vmb_publish(&slot->seq, 2 * number + 2);
	}
	__atomic_fetch_add(&nic->stats->faults, 1, __ATOMIC_RELAXED);
	if (!ours || number >= nic->fault_slots)
		__atomic_fetch_add(&nic->stats->faults_lost, 1,
				   __ATOMIC_RELAXED);
}

void vmb_faults_record(struct vmb_nic_endpoint *ep, unsigned op, unsigned code,
		       uint64_t key, uint64_t address, uint64_t len)
{
	struct vmb_nic_fault fault = {
		.domain = ep->domain->id,
		.handle = ep->handle,
		.op = op,
		.code = code,
		.key = key,
		.address = address,
		.len = len,
	};

	record(ep->nic, &fault);
	/* not always by its own engine */
	__atomic_fetch_add(&ep->stats->faults, 1, __ATOMIC_RELAXED);
}

void vmb_nic_fault_report(struct vmb_nic *nic,
			  const struct vmb_nic_domain *domain, unsigned code,
			  uint32_t op, uint64_t value)
{
	struct vmb_nic_fault fault = {
		.domain = domain->id, .op = op, .code = code, .address = value};

	record(nic, &fault);
}

/* False: overwritten meanwhile. */
static bool read_record(const struct vmb_nic_fault_slot *slot, uint64_t number,
			struct vmb_nic_fault *record)
{
	uint64_t words[FAULT_WORDS];

	if (vmb_observe(&slot->seq) != 2 * number + 2)
		return false;
	for (size_t i = 0; i < FAULT_WORDS; i++)
		words[i] = vmb_load_relaxed(&slot->words[i]);
	__atomic_thread_fence(__ATOMIC_ACQUIRE); /* seq after the words */
	if (vmb_load_relaxed(&slot->seq) != 2 * number + 2)
		return false;
	memcpy(record, words, sizeof(words));
	return true;
}

size_t vmb_nic_faults(struct vmb_nic *nic, struct vmb_nic_fault *records,
		      size_t max, uint64_t *lost)
{
	uint64_t end = vmb_load_relaxed(&nic->fault_count);
	uint64_t kept = vmb_min(end, (uint64_t)nic->fault_slots);
	uint64_t first = end - vmb_min(kept, (uint64_t)max);
	size_t n = 0;

	for (uint64_t number = first; number < end; number++)
		n += read_record(&nic->faults[number % nic->fault_slots],
				 number, &records[n]);
	*lost = end - kept;
	return n;
}

/*
 * Several engine threads may find a lie of one endpoint. The first one's code
 * stands, and is there before the state is: who sees the state tells the code.
 */
void vmb_endpoint_fault(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
			unsigned op, unsigned code, uint64_t address)
{
	uint32_t none = VMB_CODE_OK;
	bool first =
		__atomic_compare_exchange_n(&ep->fault_code, &none, code, false,
					    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);

	if (first)
		vmb_faults_record(ep, op, code, 0, address, 0);
	vmb_publish(&ep->state, VMB_STATE_FAULTED); /* pairs with look() */
	if (!first)
		return;
	/* its own thread drops what is under way, and tells the client then */
	vmb_publish(&ep->engine->look_all, 1);
	if (ep->engine != engine)
		vmb_engine_wake(ep->engine);
}
